"""Figures of a field at several times, drawn without a display: a cut through the body, or the body cut open.

A :class:`FieldRecord` gathers a function to rank 0 at each time; :func:`draw_series` draws what it holds.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem, la

from homfem._dolfinx import interpolation_points
from homfem.output.cuts import Cells, boundary, clip, outline, section, vertex_normals
from homfem.output.views import SeriesView
from homfem.parameters import Array, FileError, InputError
from homfem.ranks import collective
from homfem.solve import Numbering

log = logging.getLogger("homfem")

_INK = "#222222"


class FieldRecord:
    """The values of a field at the vertices of triangles or tetrahedra at several times, whole on rank 0.

    Of a vector the length is kept. On rank 0 ``points`` has shape (n, 3), ``cells`` (m, 3 or 4), and ``values[k]`` (n,)
    belongs to ``times[k]``, in an order that is the same on any number of ranks; on the other ranks they are empty.
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self.values: list[Array] = []
        self.points: Array = np.empty((0, 3))
        self.cells: Cells = np.empty((0, 0), dtype=np.int64)
        self.numbering: Numbering | None = None

    def begin(self, space: fem.FunctionSpace) -> None:
        """Take the space of the functions to come, and gather its mesh; collective.

        Raises
        ------
        InputError
            For functions that are no continuous Lagrange functions on triangles or tetrahedra.
        """
        element, mesh = space.ufl_element(), space.mesh
        simplex = str(mesh.topology.cell_name()) in ("triangle", "tetrahedron")
        continuous = element.family_name == "P" and not element.discontinuous
        if not (
            continuous and simplex and len(space.value_shape) <= 1 and (space.dofmap.bs > 1 or not space.value_shape)
        ):
            allowed = "a continuous Lagrange function on triangles or tetrahedra"
            raise InputError("function", str(element), allowed, "Interpolate or project it into such a space.")
        linear = element.degree == 1 and not space.value_shape
        self.space = space if linear else fem.functionspace(mesh, ("Lagrange", 1))
        self._shown = None if linear else fem.Function(self.space)
        self.numbering = numbering = Numbering(self.space)
        owned, dofmap = numbering.owned, self.space.dofmap
        columns = [numbering.gather(column) for column in self.space.tabulate_dof_coordinates()[:owned].T.copy()]
        numbers = la.vector(dofmap.index_map, 1, dtype=np.float64)
        numbers.array[:owned] = numbering.scatter(np.arange(numbering.size, dtype=np.float64))
        numbers.scatter_forward()
        local = np.asarray(dofmap.list)[: mesh.topology.index_map(mesh.topology.dim).size_local]
        parts = mesh.comm.gather(numbers.array[local].astype(np.int64))
        if parts is not None:
            self.points, self.cells = np.stack(columns, axis=1), np.concatenate(parts)
        self.comm = mesh.comm

    def add(self, function: fem.Function, time: float) -> None:
        """Gather the function as it is now; every call is for a function of the same space. Collective."""
        if self.numbering is None:
            self.begin(function.function_space)
        if self.numbering is None:
            return
        self.times.append(float(time))
        self.values.append(self.numbering.gather(self._linear(function).x.array))

    def _linear(self, function: fem.Function) -> fem.Function:
        """Return the function, or its length, at the vertices."""
        if self._shown is None:
            return function
        if function.function_space.value_shape:
            length = ufl.sqrt(ufl.inner(function, function))
            self._shown.interpolate(fem.Expression(length, interpolation_points(self.space)))
        else:
            self._shown.interpolate(function)
        return self._shown

    def restore(self, times: Array | None, values: Array | None) -> None:
        """Begin with times and values that rank 0 had on any number of ranks; None: with nothing. Collective."""
        self.times = self.comm.bcast(None if times is None else times.tolist()) or []
        self.values = [*values] if values is not None else [np.empty(0) for _ in self.times]


def draw_series(
    record: FieldRecord, path: Path | str, *, view: SeriesView, times: Sequence[float] | None = None
) -> None:
    """Draw a field at several times on one colour scale, into a PNG, PDF or SVG file; collective.

    Parameters
    ----------
    record
        The field; triangles are drawn as they are, tetrahedra as ``view.style`` says.
    path
        The figure's file.
    view
        Words, cut, colours.
    times
        Draw the recorded times nearest to these; None: all.

    Raises
    ------
    InputError
        If nothing was recorded or an argument is out of range.
    FileError
        If the folder does not exist.
    """
    if not record.times:
        raise InputError("record", "empty", "a record with at least one time", "Call record.add first.")
    with collective(record.comm):
        if record.comm.rank == 0:
            if not Path(path).parent.is_dir():
                raise FileError("path", str(path), "in a folder that exists", "Make the folder first.")
            wanted = record.times if times is None else times
            picked = list(dict.fromkeys(int(np.argmin(np.abs(np.subtract(record.times, t)))) for t in wanted))
            values = [record.values[k] for k in picked]
            cut_open = view.style == "body" and record.cells.shape[1] == 4
            panel = (_Body if cut_open else _Section)(record, view)
            titles = [f"t = {record.times[k]:.3g} {view.time_unit}" for k in picked]
            _draw(Path(path), panel, values, titles, view)


class _Panel(ABC):
    """What every panel shares: points in the plane of the figure, each on an edge of the mesh."""

    view: SeriesView
    edges: Cells
    weights: Array
    triangles: Cells
    plane: Array

    @property
    def span(self) -> Array:
        return np.asarray(np.ptp(self.plane, axis=0))

    def interpolate(self, values: Array) -> Array:
        w = self.weights.reshape(-1, *([1] * (values.ndim - 1)))
        return np.asarray((1 - w) * values[self.edges[:, 0]] + w * values[self.edges[:, 1]])

    def frame(self, axes: Any) -> None:
        axes.set_aspect("equal")
        margin, (x, y) = 0.04 * self.span.max(), self.plane.T
        axes.set_xlim(x.min() - margin, x.max() + margin)
        axes.set_ylim(y.min() - margin, y.max() + margin)

    def scale_bar(self, axes: Any, unit: str) -> None:
        length = nice_length(0.35 * float(self.span[0]))
        right, low = self.plane[:, 0].max(), self.plane[:, 1].min() - 0.05 * self.span[1]
        axes.plot([right - length, right], [low, low], color=_INK, linewidth=2.5, solid_capstyle="butt", clip_on=False)
        axes.annotate(
            f"{length:g} {_symbol(unit)}",
            (right - 0.5 * length, low),
            (0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=9,
            annotation_clip=False,
        )

    @abstractmethod
    def draw(self, axes: Any, values: Array, limits: tuple[float, float]) -> Any:
        """Draw the values; return what the colour bar belongs to."""


class _Section(_Panel):
    """Draws the plane cut, or a plane mesh as it is."""

    def __init__(self, record: FieldRecord, view: SeriesView) -> None:
        self.view = view
        if record.cells.shape[1] == 3:
            nodes = np.arange(len(record.points))
            self.triangles, self.edges = record.cells, np.stack([nodes, nodes], axis=1)
            self.weights = np.zeros(len(nodes))
            self.plane = record.points[:, :2]
        else:
            direction = _unit(view.normal)
            middle = 0.5 * (record.points.min(axis=0) + record.points.max(axis=0))
            self.triangles, self.edges, self.weights = section(record.points, record.cells, middle, direction)
            if not len(self.triangles):
                raise InputError("normal", list(view.normal), "of a plane that cuts the body")
            at = self.interpolate(record.points)
            self.plane = at @ np.stack(_axes(direction), axis=1)

    def draw(self, axes: Any, values: Array, limits: tuple[float, float]) -> Any:
        x, y = self.plane.T
        colors = {"vmin": limits[0], "vmax": limits[1], "cmap": self.view.colormap}
        artist = axes.tripcolor(
            x, y, self.triangles, self.interpolate(values), shading="gouraud", rasterized=True, **colors
        )
        lines = outline(self.triangles)
        axes.plot(x[lines].T, y[lines].T, color=_INK, linewidth=0.8)
        self.frame(axes)
        return artist


class _Body(_Panel):
    """Draws the half of the body behind the plane, seen from a little to the right and above, far triangles first."""

    def __init__(self, record: FieldRecord, view: SeriesView) -> None:
        self.view = view
        direction = _unit(view.normal)
        right, up = _axes(direction)
        away = _unit(direction - 0.45 * right - 0.55 * up)
        right = _unit(np.cross(away, up))
        frame = np.stack([right, np.cross(right, away)], axis=1)
        middle = 0.5 * (record.points.min(axis=0) + record.points.max(axis=0))
        cut, cut_edges, cut_weights = section(record.points, record.cells, middle, direction)
        if not len(cut):
            raise InputError("normal", list(view.normal), "of a plane that cuts the body")
        surface = boundary(record.points, record.cells)
        normals = vertex_normals(record.points, surface)
        skin, skin_edges, skin_weights = clip(surface, (record.points - middle) @ direction)
        self.edges, self.weights = np.concatenate([cut_edges, skin_edges]), np.concatenate([cut_weights, skin_weights])
        at = self.interpolate(record.points)
        first = len(cut_edges)
        skin = skin + first
        outward = np.cross(at[skin[:, 1]] - at[skin[:, 0]], at[skin[:, 2]] - at[skin[:, 0]])
        skin = skin[outward @ away < 0.0]
        triangles = np.concatenate([cut, skin])
        self.triangles = triangles[np.argsort(-(at @ away)[triangles].mean(axis=1), kind="stable")]
        facing = -self.interpolate(normals) @ away
        self.light = np.where(np.arange(len(at)) < first, 1.0, 0.30 + 0.45 * np.clip(facing, 0.0, 1.0))
        self.plane = at @ frame
        self.rim = outline(cut)

    def draw(self, axes: Any, values: Array, limits: tuple[float, float]) -> Any:
        from matplotlib.cm import ScalarMappable
        from matplotlib.collections import TriMesh
        from matplotlib.colors import Normalize
        from matplotlib.tri import Triangulation

        scale = ScalarMappable(Normalize(*limits), self.view.colormap)
        colors = scale.to_rgba(self.interpolate(values))
        # The skin is faded to grey, so that it reads as the outside and the cut keeps the colours of the scale.
        colors[:, :3] = self.light[:, None] * colors[:, :3] + (1.0 - self.light[:, None]) * 0.75
        x, y = self.plane.T
        axes.add_collection(TriMesh(Triangulation(x, y, self.triangles), facecolor=colors, rasterized=True))
        axes.plot(x[self.rim].T, y[self.rim].T, color=_INK, linewidth=0.8)
        self.frame(axes)
        return scale


def _draw(path: Path, panel: _Panel, values: Sequence[Array], titles: Sequence[str], view: SeriesView) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    low, high = view.limits or (min(v.min() for v in values), max(v.max() for v in values))
    limits = (float(low), float(high if high > low else low + 1.0))
    columns = min(view.columns, len(values))
    rows = math.ceil(len(values) / columns)
    shape = panel.span[1] / panel.span[0]
    figure = Figure(figsize=(2.7 * columns + 1.1, (2.7 * float(shape) + 0.45) * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    artist: Any = None
    for axes, field, title in zip(grid, values, titles, strict=False):
        artist = panel.draw(axes, field, limits)
        axes.set_title(title, fontsize=10, color=_INK)
    for axes in grid:
        axes.set_axis_off()
    panel.scale_bar(grid[len(values) - 1], view.length_unit)
    axes_list: Any = grid.tolist()
    bar: Any = figure.colorbar(artist, ax=axes_list, shrink=0.75, aspect=28, pad=0.02)
    bar.set_label(view.label, fontsize=10)
    bar.ax.tick_params(labelsize=9)
    bar.outline.set_linewidth(0.6)
    figure.savefig(path, dpi=200, facecolor="white")
    log.info("figure: %s", path)


def nice_length(target: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above ``target`` (> 0)."""
    power = 10.0 ** math.floor(math.log10(target))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= target * (1 + 1e-12))


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


def _symbol(unit: str) -> str:
    return {"um": "µm", "um^2": "µm²"}.get(unit, unit)
