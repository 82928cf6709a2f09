"""Probes: fields over time at named points and in named regions, kept through restarts, written to CSV and HDF5."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.macro.observers import crossed
from homfem.macro.places import (
    Region,
    components,
    extent,
    first_point,
    has_values,
    sample_points,
    sample_regions,
)
from homfem.macro.samples import Samples
from homfem.macro.series import DataSet
from homfem.macro.state import Model, Units, with_unit
from homfem.parameters import Array, InputError, check_choice
from homfem.step_control import Interval, plain

STATISTICS = ("mean", "minimum", "maximum", "integral")


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What one number of a row is: a component of a field at a point, a statistic of it in a region, or where it is.

    Where an extremum is has the statistic ``"minimum at"`` or ``"maximum at"``, and the axis of its coordinate.
    """

    probe: str
    field: str
    statistic: str = ""
    component: int | None = None
    axis: int | None = None
    unit: str = ""

    @property
    def label(self) -> str:
        """The header of the column: ``"apex: V[0] mean (mV)"``."""
        part = "" if self.component is None else f"[{self.component}]"
        words = [f"{self.probe}: {self.field}{part}", self.statistic, "" if self.axis is None else "xyz"[self.axis]]
        return with_unit(" ".join(filter(None, words)), self.unit)


class Probes(Samples):
    """Fields over time at named points and in named regions.

    A value at a point is that of the finite element function there, of the same cell on any number of ranks. In a
    region, ``mean`` and ``integral`` are of the function (its integral over the region), ``minimum`` and ``maximum``
    over its nodes. The series stand in the checkpoints: a run that goes on continues them, without gaps or rows that
    are there twice, and rows in files that are later than the checkpoint are cut.

    Parameters
    ----------
    points : mapping of str to sequence of float
        Coordinates by name, one per axis, in the unit of the mesh.
    regions : mapping of str to Region
        By name the local cells, such as ``domain.cells("apex")``, or a function of the cells' midpoints (3, n).
    fields : sequence of str or None
        Fields that the model shows; None: all that have values at points.
    statistics : sequence of str, or mapping of str to them
        What is kept of regions, or of each by its name: ``"mean"``, ``"minimum"``, ``"maximum"``, ``"integral"``.
    where : bool
        Keep the coordinates of the node of each extremum, too; of several nodes those of the one that comes first by
        its coordinates.
    every
        Sample at the start, every so many steps, and at the end of the grid.
    path
        ``PATH.csv`` gets a row at each sample, ``PATH.h5`` all rows at each checkpoint and at the end; None: no files.
    name
        For several of them in one run.

    Raises
    ------
    InputError
        At the start of the march: for a point outside, with the node nearest to it; for names that are empty, there
        twice, hold a ``/`` or are ``.`` or ``time``; for fields without values at points or without values at nodes,
        where these are needed.

    Notes
    -----
    ``times`` and ``values(probe, field)`` are the same on every rank. A field that lives on a part of the domain, or is
    not a number (NaN) elsewhere at the start, such as a membrane potential in a bath, has no column for points and
    regions outside of it; of other regions its part counts.
    """

    def __init__(
        self,
        points: Mapping[str, Sequence[float]] | None = None,
        *,
        regions: Mapping[str, Region] | None = None,
        fields: Sequence[str] | None = None,
        statistics: Sequence[str] | Mapping[str, Sequence[str]] = STATISTICS,
        where: bool = False,
        every: int | Interval = 1,
        path: Path | str | None = None,
        name: str = "probes",
    ) -> None:
        super().__init__(name, every=every, path=path)
        self._given = {key: tuple(value) for key, value in (points or {}).items()}
        self.points = {key: _point(key, value) for key, value in (points or {}).items()}
        self.regions = dict(regions or {})
        for key in (*self.points, *self.regions):
            if key in ("", ".", "time") or "/" in key or (key in self.points and key in self.regions):
                allowed = "names that are not empty, differ, hold no '/', and are neither '.' nor 'time'"
                raise InputError("probes", key, allowed)
        if not isinstance(statistics, Mapping):
            statistics = dict.fromkeys([*self.regions, ""], statistics)  # checked, also where there is no region
        given = dict.fromkeys(self.regions, STATISTICS) | dict(statistics)
        self.statistics = {
            key: [check_choice("statistics", entry, STATISTICS) for entry in entries] for key, entries in given.items()
        }
        self.where = where
        self.wanted = fields
        self.columns: list[Column] = []

    def begin(self, model: Model, time: float) -> None:
        """Locate the points, make the functionals of the regions, and sample the start; collective."""
        self.comm, self.units = model.comm, model.units
        shown = model.fields()
        names = (
            list(shown) if self.wanted is None else [check_choice("fields", name, list(shown)) for name in self.wanted]
        )
        self.names = [name for name in names if has_values(shown[name].function_space)]
        if self.wanted is not None and self.names != names:
            bad = next(name for name in names if name not in self.names)
            remedy = "Show a field that is interpolated into a discontinuous space, or a part of the mixed one."
            raise InputError("fields", bad, "a field that has values at points", remedy)
        fields = {name: shown[name] for name in self.names}
        spaces = {name: function.function_space for name, function in fields.items()}
        for key, given in self._given.items():
            d = max((space.mesh.geometry.dim for space in spaces.values()), default=len(given))
            if len(given) != d:
                raise InputError(f"points[{key!r}]", list(given), f"{d} coordinate{'s' * (d > 1)}, one per axis")
        self._point_values = sample_points(self.comm, fields, self.points, self.units.length)
        self._region_values = sample_regions(self.comm, fields, self.regions, self.statistics)
        held = {key: spaces[field].mesh for key, field in self._region_values}
        self._extents = {key: extent(mesh, key, self.regions[key]) for key, mesh in held.items()}
        self.columns = [*self._point_columns(spaces), *self._region_columns(spaces)]
        if len({column.label for column in self.columns}) < len(self.columns):
            raise InputError("probes", [column.label for column in self.columns], "columns with different names")
        self.take(model, time)

    def _point_columns(self, spaces: Mapping[str, fem.FunctionSpace]) -> Iterable[Column]:
        names = list(self.points)
        for field, (_, held) in self._point_values.items():
            for row in held:
                for part in _parts(spaces[field]):
                    unit = self.units.fields.get(field, "")
                    yield Column(probe=names[row], field=field, component=part, unit=unit)

    def _region_columns(self, spaces: Mapping[str, fem.FunctionSpace]) -> Iterable[Column]:
        for key, field in self._region_values:
            parts, mesh = _parts(spaces[field]), spaces[field].mesh
            for statistic in self.statistics[key]:
                unit = self.units.fields.get(field, "")
                if statistic == "integral":
                    unit = _times_volume(unit, self.units, mesh.topology.dim)
                for part in parts:
                    yield Column(probe=key, field=field, statistic=statistic, component=part, unit=unit)
                if self.where and statistic in ("minimum", "maximum"):
                    for part, axis in itertools.product(parts, range(mesh.geometry.dim)):
                        at, unit = f"{statistic} at", self.units.length
                        yield Column(probe=key, field=field, statistic=at, component=part, axis=axis, unit=unit)

    def labels(self) -> Sequence[str]:
        """Return the header of each column."""
        return [column.label for column in self.columns]

    def sample(self, model: Model, time: float) -> Array:
        """Return a row; two reductions, and an exchange for places, at most. Collective."""
        shown = model.fields()
        sums: list[Array] = []
        extrema: list[Array] = []
        for name, (values, held) in self._point_values.items():
            mine = np.zeros((len(self.points), values.weights.shape[2]))
            mine[values.rows] = values(shown[name])
            sums.append(mine[held].ravel())
        for (_, name), (region, _) in self._region_values.items():
            sums.append(region.sums(shown[name]))
            if region.nodes:
                least, largest = region.extrema(shown[name])
                extrema += [-least, largest]
        total = np.concatenate(sums) if sums else np.empty(0)
        self.comm.Allreduce(MPI.IN_PLACE, total, op=MPI.SUM)
        outermost = np.concatenate(extrema) if extrema else np.empty(0)
        if extrema:
            self.comm.Allreduce(MPI.IN_PLACE, outermost, op=MPI.MAX)
        return self._row(shown, total, outermost)

    def _row(self, shown: Mapping[str, fem.Function], total: Array, outermost: Array) -> Array:
        """Return the numbers in the order of the columns; collective."""
        at = sum(values.weights.shape[2] * len(held) for values, held in self._point_values.values())
        parts: list[Array] = [total[:at]]
        of: dict[tuple[str, str], dict[str, Array]] = {}
        first = 0
        for key, (region, volume) in self._region_values.items():
            number = region.weights.shape[0]
            integral = total[at : at + number]
            of[key] = {"integral": integral, "mean": np.asarray(integral / volume)}
            if region.nodes:
                of[key]["minimum"] = -outermost[first : first + number]
                of[key]["maximum"] = outermost[first + number : first + 2 * number]
                first += 2 * number
            at += number
        places = self._places(shown, of) if self.where else {}
        for key, numbers in of.items():
            for statistic in self.statistics[key[0]]:
                parts.append(numbers[statistic])
                if (*key, statistic) in places:
                    parts.append(places[*key, statistic])
        return np.concatenate(parts)

    def _places(
        self, shown: Mapping[str, fem.Function], of: Mapping[tuple[str, str], Mapping[str, Array]]
    ) -> dict[tuple[str, str, str], Array]:
        """Return the coordinates of each extremum, component by component; one exchange. Collective."""
        mine: dict[tuple[str, str, str], Array] = {}
        for (region, field), (values, _) in self._region_values.items():
            if values.nodes:
                numbers = of[region, field]
                found = values.places(shown[field], numbers["minimum"], numbers["maximum"])
                for name, points in zip(("minimum", "maximum"), found, strict=True):
                    mine[region, field, name] = points
        everyones = self.comm.allgather(list(mine.values()))
        places = {}
        for number, (entry, points) in enumerate(mine.items()):
            d = shown[entry[1]].function_space.mesh.geometry.dim
            ranks, grain = np.array([rank[number] for rank in everyones]), self._region_values[entry[:2]][0].grain
            places[entry] = np.concatenate([first_point(ranks[:, part], grain)[:d] for part in range(len(points))])
        return places

    def identity(self, model: Model) -> Mapping[str, Any]:
        """The series of a run are of the same probes from its start to its end."""
        columns = [column.label for column in self.columns]
        points = {key: point.tolist() for key, point in self.points.items()}
        kept: dict[str, Any] = {"columns": columns, "every": plain(self.every), "points": points}
        return {self.name: kept | ({"regions": self._extents} if self._extents else {})}

    def data_sets(self) -> Iterator[DataSet]:
        """Every series with its place in the HDF5 file: ``PROBE/FIELD``, ``REGION/FIELD/STATISTIC``."""
        for column in dict.fromkeys(replace(column, component=None, axis=None) for column in self.columns):
            names = (column.probe, column.field, column.statistic)
            values = self.values(*names)
            yield DataSet("/".join(filter(None, names)), values, column.unit, self.points.get(column.probe))

    def values(self, probe: str, field: str, statistic: str = "") -> Array:
        """Return a field over time at a point or in a region, shape (times,), or (times, components) of vectors.

        The places of extrema (``"maximum at"``) have one more axis, that of the coordinates.

        Raises
        ------
        InputError
            If there is no such series.
        """
        chosen = [
            number
            for number, column in enumerate(self.columns)
            if (column.probe, column.field, column.statistic) == (probe, field, statistic)
        ]
        if not chosen:
            known = list(dict.fromkeys((c.probe, c.field, c.statistic) for c in self.columns))
            raise InputError("probe", (probe, field, statistic), f"one of {known}")
        table, first, last = self.rows[:, chosen], self.columns[chosen[0]], self.columns[chosen[-1]]
        if last.axis is not None:
            return table if first.component is None else table.reshape(len(table), -1, last.axis + 1)
        return table[:, 0] if first.component is None else table

    def activation(self, probe: str, field: str, threshold: float, statistic: str = "") -> float:
        """Return when a series first rose through a threshold, linear between samples; inf if it did not."""
        values, times = self.values(probe, field, statistic), self.times
        if values[0] >= threshold:
            return float(times[0])
        up = np.flatnonzero((values[:-1] < threshold) & (values[1:] >= threshold))[:1]
        arrival = np.full(1, np.inf)
        for k in up:
            crossed(arrival, values[k : k + 1], values[k + 1 : k + 2], threshold, times[k], times[k + 1])
        return float(arrival[0])


def _point(name: str, value: Sequence[float]) -> Array:
    point = np.zeros(3)
    given = np.asarray(value, dtype=np.float64)
    if given.ndim != 1 or not 1 <= given.size <= 3 or not np.all(np.isfinite(given)):
        raise InputError(f"points[{name!r}]", value, "one to three finite coordinates, one per axis")
    point[: given.size] = given
    return point


def _parts(space: fem.FunctionSpace) -> Sequence[int | None]:
    return range(components(space)) if space.value_shape else (None,)


def _times_volume(unit: str, units: Units, dimension: int) -> str:
    length = units.length and (f"{units.length}^{dimension}" if dimension > 1 else units.length)
    return f"{unit} {length}".strip()
