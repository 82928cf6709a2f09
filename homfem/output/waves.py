"""What figures of a field at several times are drawn from: a record of it, whole on rank 0.

A :class:`FieldRecord` gathers a function at each time; :func:`draw_series` draws what it holds, and
:func:`draw_isochrones` when it came to each place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import ufl
from dolfinx import fem, la

from homfem._dolfinx import interpolation_points
from homfem.macro.places import Held
from homfem.output.canvas import check_figure, nice_number
from homfem.output.cuts import Cells
from homfem.output.panels import draw_isochrone_panel, draw_panels
from homfem.output.profiles import draw_profiles
from homfem.output.views import SeriesView
from homfem.parameters import Array, InputError, check_number
from homfem.ranks import collective
from homfem.solve import Numbering


class FieldRecord:
    """The values of a field at the vertices of a mesh of simplices at several times, whole on rank 0.

    Of a vector the length is kept. On rank 0 ``points`` has shape (n, 3), ``cells`` (m, 2 to 4), and ``values[k]`` (n,)
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
            For functions that are no continuous Lagrange functions on intervals, triangles or tetrahedra.
        """
        element, mesh = space.ufl_element(), space.mesh
        simplex = str(mesh.topology.cell_name()) in ("interval", "triangle", "tetrahedron")
        continuous = element.family_name == "P" and not element.discontinuous
        if not (
            continuous and simplex and len(space.value_shape) <= 1 and (space.dofmap.bs > 1 or not space.value_shape)
        ):
            allowed = "a continuous Lagrange function on intervals, triangles or tetrahedra"
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
            held = Held.of({"": function})[""].cells
            if held is None:
                self._shown.interpolate(function)
            else:  # beside where it has values, such as a bath, there are none
                cells = np.flatnonzero(held).astype(np.int32)
                self._shown.x.array[:] = np.nan
                self._shown.interpolate(function, cells0=cells, cells1=cells)
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
        The field; on intervals a line for each time, triangles as they are, tetrahedra as ``view.style`` says.
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
        If the folder does not exist, or the name ends otherwise.
    """
    if not record.times:
        raise InputError("record", "empty", "a record with at least one time", "Call record.add first.")
    with collective(record.comm):
        if record.comm.rank == 0:
            place = check_figure(path)
            wanted = record.times if times is None else times
            picked = list(dict.fromkeys(int(np.argmin(np.abs(np.subtract(record.times, t)))) for t in wanted))
            if record.cells.shape[1] == 2:
                shown = [record.values[k] for k in picked]
                draw_profiles(place, record.points, shown, [record.times[k] for k in picked], view)
                return
            titles = [f"t = {record.times[k]:.4g} {view.time_unit}" for k in picked]
            draw_panels(place, record.points, record.cells, [record.values[k] for k in picked], titles, view)


def draw_isochrones(record: FieldRecord, path: Path | str, *, view: SeriesView, threshold: float) -> None:
    """Draw when a field first rose above a threshold at each place, with lines of equal time; collective.

    Between two recorded times the field is linear. Places that it never reached have the colour of the void.

    Parameters
    ----------
    record, path, view
        As of :func:`draw_series`; the label is that of the times.
    threshold
        In the unit of the field.

    Raises
    ------
    InputError
        If fewer than two times were recorded, or the field is nowhere above the threshold.
    FileError
        If the folder does not exist, or the name ends otherwise.
    """
    threshold = check_number("threshold", threshold)
    if len(record.times) < 2:
        raise InputError("record", len(record.times), "a record of at least two times", "Call record.add more often.")
    with collective(record.comm):
        if record.comm.rank == 0:
            place = check_figure(path)
            times = arrival_times(np.array(record.times), np.array(record.values), threshold)
            if not np.isfinite(times).any():
                raise InputError("threshold", threshold, f"below the largest value, {np.max(record.values):.4g}")
            draw_isochrone_panel(place, record.points, record.cells, times, view)


def arrival_times(times: Array, values: Array, threshold: float) -> Array:
    """Return the first time at which each value is at a threshold or above; NaN where it never is.

    Parameters
    ----------
    times : array, shape (t,)
    values : array, shape (t, n)
        Linear between two times.
    threshold
        The threshold.
    """
    above = values >= threshold
    first = above.argmax(axis=0)
    column = np.arange(values.shape[1])
    before = np.maximum(first - 1, 0)
    low, high = values[before, column], values[first, column]
    share = np.divide(threshold - low, high - low, out=np.zeros_like(low), where=(first > 0) & (high > low))
    found = times[before] + share * (times[first] - times[before])
    return np.where(above.any(axis=0), np.where(first > 0, found, times[0]), np.nan)


#: Length of a scale bar.
nice_length = nice_number
