"""Surfaces of a cell in space, and a cell in the plane, drawn by matplotlib."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from homfem.output import skins
from homfem.output.colours import COLOURS, MAP, colour_range
from homfem.output.views import CellView
from homfem.parameters import Array

# Direction of the eye: elevation and azimuth in degrees, and as a vector.
_ELEVATION, _AZIMUTH = 25.0, -55.0
_RISE, _TURN = np.radians([_ELEVATION, _AZIMUTH])
_EYE = np.array([np.cos(_RISE) * np.cos(_TURN), np.cos(_RISE) * np.sin(_TURN), np.sin(_RISE)])


def draw_surfaces(surfaces: Mapping[str, skins.Surface], translucent: set[str], path: Path, view: CellView) -> None:
    """Draw the surfaces of the phases; those of :func:`homfem.output.pictures.draw_cell`."""
    from matplotlib import colormaps, patches
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, to_rgba
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    figure = Figure(figsize=(view.size[0] / 140, view.size[1] / 140), dpi=140)
    FigureCanvasAgg(figure)
    axes: Any = figure.add_axes((0.0, 0.02, 0.84, 0.94), projection="3d", computed_zorder=False)
    norm = Normalize(*colour_range(surfaces))
    legend, coloured = [], False
    light = np.array([0.4, -0.6, 0.7])
    # Matplotlib sorts the faces of one collection by depth: the opaque phases are one, on top of the others.
    faces: dict[bool, list[Array]] = {False: [], True: []}
    colours: dict[bool, list[Array]] = {False: [], True: []}
    for colour, name in zip(itertools.cycle(COLOURS), surfaces, strict=False):
        surface = surfaces[name]
        if len(surface.faces) == 0:
            continue
        while surface.values is not None and len(surface.faces) < 20000 and not view.mesh_lines:
            surface = skins.divided(surface)
        corners = surface.points[surface.faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.linalg.norm(normals, axis=1)[:, None]
        shade = 0.7 + 0.3 * np.clip(normals @ light, -1, 1)
        if surface.values is None:
            own = np.tile(to_rgba(colour), (len(corners), 1))
            if name in translucent:
                # Its back alone, in a pale colour: the front would hide what is inside.
                back = normals @ _EYE < 0
                corners, own, shade = corners[back], 0.8 + 0.2 * own[back], np.ones(np.count_nonzero(back))
            legend.append(patches.Patch(color=colour, label=name, alpha=0.3 if name in translucent else 1.0))
        else:
            own = colormaps[MAP](norm(surface.values[surface.faces].mean(axis=1)))
            coloured = True
        own[:, :3] *= shade[:, None]
        faces[name not in translucent].append(corners)
        colours[name not in translucent].append(own)
    lines = (
        {"edgecolors": "#404040", "linewidths": 0.2}
        if view.mesh_lines
        else {"edgecolors": "none", "antialiased": False}
    )
    for opaque in (False, True):
        if faces[opaque]:
            own = np.vstack(colours[opaque])
            axes.add_collection3d(
                Poly3DCollection(np.vstack(faces[opaque]), facecolors=own, zorder=2 + opaque, **lines)
            )
    everything = np.vstack([surface.points for surface in surfaces.values()])
    low, high = everything.min(axis=0), everything.max(axis=0)
    axes.set(
        xlim=(low[0], high[0]),
        ylim=(low[1], high[1]),
        zlim=(low[2], high[2]),
    )
    axes.set_title(view.title, y=0.98)
    suffix = f" ({view.unit})" if view.unit else ""
    axes.set(xlabel="x" + suffix, ylabel="y" + suffix, zlabel="z" + suffix)
    axes.set_box_aspect(high - low, zoom=1.0)
    axes.grid(False)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
    axes.view_init(elev=_ELEVATION, azim=_AZIMUTH)
    if coloured:
        figure.colorbar(ScalarMappable(norm, MAP), cax=figure.add_axes((0.88, 0.2, 0.025, 0.6)), label=view.label)
    if legend:
        axes.legend(handles=legend, loc="upper left", frameon=False)
    figure.savefig(path)


def draw_plane(drawn: skins.Drawn, phases: Mapping[str, int], path: Path, view: CellView) -> None:
    """Draw triangles or quadrilaterals of the plane, the interfaces between phases as lines.

    Parameters are those of :func:`homfem.output.pictures.draw_cell`.
    """
    from matplotlib import patches
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.figure import Figure

    nodes, corners, tags, values = drawn
    width, height = np.ptp(nodes, axis=0)
    scale = min(view.size[0] / (1.25 * width), view.size[1] / height) / 140
    figure = Figure(figsize=(1.25 * scale * width, scale * height), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    edge: dict[str, Any] = (
        {"edgecolors": "#404040", "linewidths": 0.3} if view.mesh_lines else {"edgecolors": "face", "linewidths": 0.2}
    )
    legend = []
    for colour, (name, tag) in zip(itertools.cycle(COLOURS), phases.items(), strict=False):
        own = corners[tags == tag]
        if values is None or not np.isfinite(values[tags == tag]).all():
            outlines: Any = nodes[skins.around(own)]
            axes.add_collection(PolyCollection(outlines, facecolors=colour, **edge))
            legend.append(patches.Patch(color=colour, label=name))
    if values is not None:
        inside = np.isfinite(values).all(axis=1)
        known = corners[inside]
        shaded = skins.apart(nodes, known, tags[inside], values[inside])
        low, high = colour_range({"": shaded})
        if known.shape[1] == 4:
            shaded = skins.fanned(shaded._replace(faces=skins.around(shaded.faces)))
        field = axes.tripcolor(
            *shaded.points.T, shaded.faces, shaded.values, shading="gouraud", cmap=MAP, vmin=low, vmax=high
        )
        if view.mesh_lines:
            outlines = nodes[skins.around(known)]
            axes.add_collection(PolyCollection(outlines, facecolors="none", **edge))
        figure.colorbar(field, ax=axes, label=view.label, shrink=0.8)
        axes.add_collection(
            LineCollection(list(nodes[skins.interfaces(corners, tags)]), colors="black", linewidths=1.0, snap=False)
        )
    if legend:
        axes.legend(handles=legend, loc="upper right", framealpha=0.9)
    suffix = f" ({view.unit})" if view.unit else ""
    axes.set(xlabel="x" + suffix, ylabel="y" + suffix, title=view.title, aspect="equal")
    axes.set(xlim=(nodes[:, 0].min(), nodes[:, 0].max()), ylim=(nodes[:, 1].min(), nodes[:, 1].max()))
    figure.savefig(path)
