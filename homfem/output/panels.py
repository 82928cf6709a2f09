"""Panels of a field on triangles or tetrahedra: a plane cut, or the half of the body behind it, on one colour scale."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.output import canvas
from homfem.output.colours import ColourScale, Theme, colour_scale
from homfem.output.cuts import Cells, blend, boundary, clip, outline, section, vertex_normals
from homfem.output.views import SeriesView
from homfem.output.words import printed, symbol
from homfem.parameters import Array, InputError


class _Panel(ABC):
    """What every panel shares: points in the plane of the figure, each on an edge of the mesh.

    The triangles that show the field are ``shown``; their points, if the panel has others too, come first.
    """

    view: SeriesView
    theme: Theme
    edges: Cells
    weights: Array
    shown: Cells
    plane: Array

    @property
    def span(self) -> Array:
        return np.asarray(np.ptp(self.plane, axis=0))

    def interpolate(self, values: Array) -> Array:
        return blend(values, self.edges, self.weights)

    def frame(self, axes: Any) -> None:
        axes.set_aspect("equal")
        margin, (x, y) = 0.04 * self.span.max(), self.plane.T
        axes.set_xlim(x.min() - margin, x.max() + margin)
        axes.set_ylim(y.min() - margin, y.max() + margin)
        axes.set_axis_off()
        axes.title.set_visible(True)

    def scale_bar(self, axes: Any, unit: str) -> None:
        length = canvas.nice_number(0.35 * float(self.span[0]))
        right, low = self.plane[:, 0].max(), self.plane[:, 1].min() - 0.05 * self.span[1]
        ink = self.theme.ink
        axes.plot([right - length, right], [low, low], color=ink, linewidth=2.5, solid_capstyle="butt", clip_on=False)
        axes.annotate(
            f"{length:g} {symbol(unit)}",
            (right - 0.5 * length, low),
            (0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=9,
            annotation_clip=False,
        )

    def field(self, axes: Any, values: Array, scale: ColourScale) -> None:
        """Colour the shown triangles by the values, exactly as the bar does; void where they are not finite."""
        at, (x, y) = self.interpolate(values), self.plane.T
        known = np.isfinite(at)[self.shown].all(axis=1)
        if not known.all():
            blank = self.shown[~known]
            axes.tripcolor(x, y, blank, facecolors=np.zeros(len(blank)), cmap=_flat(self.theme.void), rasterized=True)
        if known.any():
            filled, shown = np.nan_to_num(at), self.shown[known]
            colours = {"rasterized": True, "cmap": scale.colormap, "norm": scale.norm}
            # Slivers where a plane just touches a cell: shaded, they would be hairs over their neighbours.
            axes.tripcolor(x, y, shown, facecolors=filled[shown].mean(axis=1), **colours)
            shown = shown[_heights(self.plane[shown]) > SLIVER * self.span.max()]
            if len(shown):  # of a long strip all are slivers
                axes.tripcolor(x, y, shown, filled, shading="gouraud", **colours)
        lines = outline(self.shown)
        axes.plot(x[lines].T, y[lines].T, color=self.theme.ink, linewidth=0.8)

    def levels(self, axes: Any, values: Array, levels: Sequence[float], colour: str) -> Any:
        """Draw lines of equal value."""
        at, (x, y) = self.interpolate(values), self.plane.T
        known = np.isfinite(at)[self.shown].all(axis=1)
        if not known.any():
            return None
        return axes.tricontour(x, y, self.shown[known], np.nan_to_num(at), levels=sorted(levels), colors=colour,
                               linewidths=1.0, linestyles="solid")  # fmt: skip

    @abstractmethod
    def draw(self, axes: Any, values: Array, scale: ColourScale) -> None:
        """Draw the values."""


#: Triangles not as high as this, as a fraction of the picture, have one colour.
SLIVER = 3e-3


def _heights(corners: Array) -> Array:
    """The smallest height of triangles (t, 3, 2)."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    double = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    return np.divide(double, longest, out=np.zeros(len(double)), where=longest > 0.0)


def _flat(colour: str) -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap([colour])


class _Section(_Panel):
    """Draws the plane cut, or a plane mesh as it is."""

    def __init__(self, points: Array, cells: Cells, view: SeriesView, theme: Theme) -> None:
        self.view, self.theme = view, theme
        if cells.shape[1] == 3:
            nodes = np.arange(len(points))
            self.shown, self.edges = cells, np.stack([nodes, nodes], axis=1)
            self.weights = np.zeros(len(nodes))
            self.plane = points[:, :2]
        else:
            direction = _unit(view.normal)
            middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
            self.shown, self.edges, self.weights = section(points, cells, middle, direction)
            if not len(self.shown):
                raise InputError("normal", list(view.normal), "of a plane that cuts the body")
            at = self.interpolate(points)
            self.plane = at @ np.stack(_axes(direction), axis=1)

    def draw(self, axes: Any, values: Array, scale: ColourScale) -> None:
        self.field(axes, values, scale)
        self.frame(axes)


class _Body(_Panel):
    """Draws the half of the body behind the plane, seen from a little to the right and above, far triangles first.

    The field is on the cut; the skin behind it is grey, for it carries no numbers.
    """

    def __init__(self, points: Array, cells: Cells, view: SeriesView, theme: Theme) -> None:
        self.view, self.theme = view, theme
        direction = _unit(view.normal)
        right, up = _axes(direction)
        away = _unit(direction - 0.3 * right - 0.4 * up)
        right = _unit(np.cross(away, up))
        frame = np.stack([right, np.cross(right, away)], axis=1)
        middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
        self.shown, cut_edges, cut_weights = section(points, cells, middle, direction)
        if not len(self.shown):
            raise InputError("normal", list(view.normal), "of a plane that cuts the body")
        surface = boundary(points, cells)
        normals = vertex_normals(points, surface)
        skin, skin_edges, skin_weights = clip(surface, (points - middle) @ direction)
        self.edges, self.weights = np.concatenate([cut_edges, skin_edges]), np.concatenate([cut_weights, skin_weights])
        at = self.interpolate(points)
        skin = skin + len(cut_edges)
        outward = np.cross(at[skin[:, 1]] - at[skin[:, 0]], at[skin[:, 2]] - at[skin[:, 0]])
        skin = skin[outward @ away < 0.0]
        self.skin = skin[np.argsort(-(at @ away)[skin].mean(axis=1), kind="stable")]
        self.light = 0.45 + 0.5 * np.clip(-self.interpolate(normals) @ away, 0.0, 1.0)
        self.plane = at @ frame

    def draw(self, axes: Any, values: Array, scale: ColourScale) -> None:
        from matplotlib.collections import TriMesh
        from matplotlib.colors import to_rgb
        from matplotlib.tri import Triangulation

        x, y = self.plane.T
        ground, grey = np.array(to_rgb(self.theme.ground)), np.array(to_rgb(self.theme.faint))
        light = self.light[:, None]
        colours = np.column_stack([light * grey + (1.0 - light) * (0.35 * ground + 0.65 * grey), np.ones(len(x))])
        if len(self.skin):
            axes.add_collection(TriMesh(Triangulation(x, y, self.skin), facecolor=colours, rasterized=True))
        self.field(axes, values, scale)
        self.frame(axes)


def _panel(points: Array, cells: Cells, view: SeriesView, theme: Theme) -> _Panel:
    cut_open = view.style == "body" and cells.shape[1] == 4
    return (_Body if cut_open else _Section)(points, cells, view, theme)


def draw_panels(
    path: Path, points: Array, cells: Cells, values: Sequence[Array], titles: Sequence[str], view: SeriesView
) -> None:
    """Draw fields side by side.

    Parameters
    ----------
    path
        The figure's file.
    points, cells
        Nodes (n, 3) and triangles or tetrahedra.
    values, titles
        The fields at the nodes, and what stands above each.
    view
        Words, cut, colours.
    """
    with canvas.styled(view.theme) as theme:
        panel = _panel(points, cells, view, theme)
        scale = colour_scale(np.stack(values), limits=view.limits, colormap=view.colormap)
        columns = columns_for(len(values), view.columns)
        rows = math.ceil(len(values) / columns)
        shape = float(panel.span[1] / panel.span[0])
        figure = canvas.sheet(2.7 * columns + 1.2, (2.7 * shape + 0.5) * rows + 0.25, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, field, title in zip(grid, values, titles, strict=False):
            panel.draw(axes, field, scale)
            if view.front is not None:
                panel.levels(axes, field, [view.front], "#FFFFFF")
            axes.set_title(title, fontsize=10)
        for axes in grid[len(values) :]:
            axes.set_axis_off()
        panel.scale_bar(grid[len(values) - 1], view.length_unit)
        _bar(figure, grid.tolist(), scale, printed(view.label), view.front)
        canvas.save(figure, path)


def draw_fields(
    path: Path, points: Array, cells: Cells, fields: Mapping[str, Array], title: str, view: SeriesView
) -> None:
    """Draw different fields side by side, each with a colour bar of its own.

    Parameters
    ----------
    path
        The figure's file.
    points, cells
        Nodes (n, 3) and triangles or tetrahedra.
    fields
        The fields at the nodes by their names with units.
    title
        What stands above all.
    view
        Cut, colours, columns; each field has its own label and scale.
    """
    with canvas.styled(view.theme) as theme:
        panel = _panel(points, cells, view, theme)
        columns = columns_for(len(fields), view.columns)
        rows = math.ceil(len(fields) / columns)
        shape = float(panel.span[1] / panel.span[0])
        wide = 3.4 if len(fields) > 1 else 5.0
        figure = canvas.sheet((wide + 1.0) * columns, (wide * shape + 0.5) * rows + 0.35, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (label, values) in zip(grid, fields.items(), strict=False):
            scale = colour_scale(values, limits=view.limits, colormap=view.colormap)
            panel.draw(axes, values, scale)
            _bar(figure, [axes], scale, printed(label), None)
        for axes in grid[len(fields) :]:
            axes.set_axis_off()
        panel.scale_bar(grid[len(fields) - 1], view.length_unit)
        figure.suptitle(title, fontsize=11)
        canvas.save(figure, path)


def draw_isochrone_panel(path: Path, points: Array, cells: Cells, times: Array, view: SeriesView) -> None:
    """Draw times of arrival (n,) with lines of equal time, about eight of them at round numbers."""
    from matplotlib.patches import Patch

    with canvas.styled(view.theme) as theme:
        panel = _panel(points, cells, view, theme)
        low, high = float(np.nanmin(times)), float(np.nanmax(times))
        scale = colour_scale(
            times, limits=view.limits or (low, high if high > low else low + 1.0), colormap=view.colormap
        )
        shape = float(panel.span[1] / panel.span[0])
        figure = canvas.sheet(6.4, 5.0 * shape + 0.9, layout="constrained")
        axes = figure.subplots()
        panel.draw(axes, times, scale)
        if high > low:
            step = canvas.nice_number((high - low) / 5.0)
            levels = step * np.arange(math.ceil(low / step), math.floor(high / step) + 1)
            lines = panel.levels(axes, times, [float(level) for level in levels], "#FFFFFF")
            if lines is not None:
                axes.clabel(lines, fmt=lambda level: f"{level:.3g}", fontsize=8, colors="#FFFFFF")
        panel.scale_bar(axes, view.length_unit)
        if np.isnan(times).any():
            blank = Patch(facecolor=theme.void, edgecolor=theme.ink, linewidth=0.5, label="not reached")
            axes.legend(handles=[blank], loc="upper right", frameon=False, fontsize=9)
        _bar(figure, [axes], scale, printed(view.label), None)
        canvas.save(figure, path)


def _bar(figure: Any, axes: list[Any], scale: ColourScale, label: str, front: float | None) -> None:
    bar = figure.colorbar(scale.mappable, ax=axes, shrink=0.8, aspect=28, pad=0.02)
    bar.set_label(label, fontsize=10)
    bar.ax.tick_params(labelsize=9)
    bar.outline.set_linewidth(0.6)
    if front is not None and scale.low < front < scale.high:
        bar.ax.axhline(front, color="#FFFFFF", linewidth=1.0)


def columns_for(number: int, most: int) -> int:
    """Return how many panels stand in a row: as many as allowed, or fewer where that leaves no gap.

    Example
    -------
    >>> columns_for(6, 3), columns_for(4, 3), columns_for(5, 3), columns_for(2, 3)
    (3, 2, 3, 2)
    """
    most = min(most, number)
    full = [columns for columns in range(most, 1, -1) if number % columns == 0]
    return full[0] if full else most


def _unit(normal: npt.ArrayLike) -> Array:
    direction = np.asarray(normal, dtype=np.float64)
    if direction.shape != (3,) or not np.all(np.isfinite(direction)) or not np.any(direction):
        raise InputError("normal", normal, "three numbers, not all zero")
    return np.asarray(direction / np.linalg.norm(direction))


def _axes(direction: Array) -> tuple[Array, Array]:
    """Return the right and the up axis of a view along ``direction``: z is up unless one looks along it."""
    up = np.array([0.0, 1.0, 0.0]) if abs(direction[2]) > 0.9 else np.array([0.0, 0.0, 1.0])
    up = up - (up @ direction) * direction
    up /= np.linalg.norm(up)
    return np.cross(direction, up), up
