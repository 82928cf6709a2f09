"""A cell in the plane on a sheet: phases or a field, interfaces, lines along a flux, the shape at rest."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from homfem.output import canvas, skins
from homfem.output.colours import COLOURS, ColourScale, Theme, colour_scale
from homfem.output.flow_lines import draw_flow_lines
from homfem.output.views import CellView
from homfem.output.words import printed, with_unit
from homfem.parameters import Array

#: Triangles of a field from which on they are pixels in PDF and SVG files.
MANY = 3_000


def draw_plane(drawn: skins.Drawn, phases: Mapping[str, int], path: Path, view: CellView) -> None:
    """Draw triangles or quadrilaterals of the plane, the interfaces between phases as lines.

    Parameters are those of :func:`homfem.output.pictures.draw_fields`.
    """
    nodes, corners, tags, values = drawn[:4]
    known = np.zeros(len(corners), dtype=bool) if values is None else np.isfinite(values).all(axis=1)
    plain = {
        name: colour
        for colour, (name, tag) in zip(itertools.cycle(COLOURS), phases.items(), strict=False)
        if ((tags == tag) & ~known).any()
    }
    extent = nodes if drawn.rest is None else np.vstack([nodes, drawn.rest])
    low, high = extent.min(axis=0), extent.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    with canvas.styled(view.theme, points=canvas.letters_for(view.size)) as theme:
        words = canvas.Words(title=view.title, label=printed(view.label) if known.any() else None, names=list(plain))
        sheet = canvas.laid_out((float(span[0]), float(span[1])), view.size, words)
        axes = sheet.axes
        for name, colour in plain.items():
            _fill(axes, nodes, corners[(tags == phases[name]) & ~known], colour, view.mesh_lines)
        if values is not None and known.any():
            scale = colour_scale(values[known], limits=view.limits)
            _colour(axes, skins.apart(nodes, corners[known], tags[known], values[known]), scale)
            if view.mesh_lines:
                _fill(axes, nodes, corners[known], "none", True)
            add_bar(sheet, scale, theme)
        if len(np.unique(tags)) > 1 and values is not None:
            _lines(axes, nodes, skins.interfaces(corners, tags), "#101010", 1.0)
        if drawn.rest is not None:
            _lines(axes, drawn.rest, skins.rim(corners), theme.ink, 0.8, linestyles=(0, (4, 3)))
            _lines(axes, nodes, skins.rim(corners), theme.ink, 0.8)
        if drawn.vectors is not None:
            draw_flow_lines(axes, drawn, view.lines, heads=view.heads)
        add_key(sheet, [(name, colour, 1.0) for name, colour in plain.items()], theme)
        margin = 0.02 * span if drawn.rest is not None else 0.0 * span
        axes.set(xlabel=with_unit("x", view.unit), ylabel=with_unit("y", view.unit), aspect="equal")
        axes.set(xlim=(low[0] - margin[0], low[0] + span[0] + margin[0]))
        axes.set(ylim=(low[1] - margin[1], low[1] + span[1] + margin[1]))
        canvas.save(sheet.figure, path)


def _fill(axes: Any, nodes: Array, cells: skins.Indices, colour: str, mesh_lines: bool) -> None:
    """Fill cells with one colour, with or without their edges."""
    from matplotlib.collections import PolyCollection

    edge: dict[str, Any] = (
        {"edgecolors": "#404040", "linewidths": 0.3}
        if mesh_lines
        else {"edgecolors": "face", "linewidths": 0.2, "antialiased": False}
    )
    outlines: Any = nodes[skins.around(cells)]
    big = len(cells) > MANY and not mesh_lines
    axes.add_collection(PolyCollection(outlines, facecolors=colour, rasterized=big, **edge))


def _colour(axes: Any, shaded: skins.Surface, scale: ColourScale) -> None:
    """Colour cells by the values at their corners."""
    if shaded.faces.shape[1] == 4:
        shaded = skins.fanned(shaded._replace(faces=skins.around(shaded.faces)))
    axes.tripcolor(
        *shaded.points.T,
        shaded.faces,
        shaded.values,
        shading="gouraud",
        cmap=scale.colormap,
        norm=scale.norm,
        rasterized=len(shaded.faces) > MANY,
    )


def _lines(axes: Any, nodes: Array, edges: skins.Indices, colour: str, width: float, **options: Any) -> None:
    from matplotlib.collections import LineCollection

    # Joined edges: a pattern of dashes would begin anew at every short one.
    paths = [nodes[path] for path in skins.chains(edges)] if len(edges) <= MANY else list(nodes[edges])
    axes.add_collection(LineCollection(paths, colors=colour, linewidths=width, snap=False, **options))


def add_key(sheet: canvas.Layout, entries: Sequence[tuple[str, str, float]], theme: Theme) -> None:
    """Name the phases beside the picture: name, colour and opacity of each."""
    from matplotlib.patches import Patch

    if not entries:
        return
    patches = [
        Patch(facecolor=colour, edgecolor=theme.faint, linewidth=0.5, label=name, alpha=opacity)
        for name, colour, opacity in entries
    ]
    sheet.figure.legend(handles=patches, loc="upper left", bbox_to_anchor=sheet.key, frameon=False, borderaxespad=0.0,
                        handlelength=1.2, handleheight=1.0)  # fmt: skip


def add_bar(sheet: canvas.Layout, scale: ColourScale, theme: Theme) -> None:
    """Draw the colour bar beside the picture."""
    bar = sheet.figure.colorbar(scale.mappable, cax=sheet.bar, label=sheet.label)
    bar.outline.set(linewidth=0.6, edgecolor=theme.ink)
    bar.formatter.set_powerlimits((-3, 4))
    bar.formatter.set_useMathText(True)
    # A power of ten stands above the bar, not beside it over the picture.
    bar.ax.yaxis.get_offset_text().set(horizontalalignment="left", x=0.0)
