"""What lies in the folder of a run, read back: probes, series of fields at their nodes, tensors. No DOLFINx here."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as xml
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from homfem.output.cuts import Cells
from homfem.parameters import Array, FileError

# The labels that homfem.macro.probes.Column gives; places of extrema are no curves.
_LABEL = re.compile(
    r"^(?P<probe>.*): (?P<field>.+?)(\[(?P<part>\d+)\])?"
    r"( (?P<statistic>mean|minimum|maximum|integral)(?P<at> at [xyz])?)?( \((?P<unit>.*)\))?$"
)

# Simplices with linear fields for each kind of cell that meshio tells, by the places of its nodes.
_TRIANGLES = {
    "triangle": [(0, 1, 2)],
    "triangle6": [(0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)],
    "quad": [(0, 1, 2), (0, 2, 3)],
    "quad9": [(a, b, 8) for a, b in ((0, 4), (4, 1), (1, 5), (5, 2), (2, 6), (6, 3), (3, 7), (7, 0))],
}
_PRISM = [(0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5)]
_HEXAHEDRON = [(0, 1, 2, 6), (0, 2, 3, 6), (0, 3, 7, 6), (0, 7, 4, 6), (0, 4, 5, 6), (0, 5, 1, 6)]
_TETRAHEDRA = {
    "tetra": [(0, 1, 2, 3)],
    "tetra10": [(0, 4, 6, 7), (1, 5, 4, 8), (2, 6, 5, 9), (3, 7, 9, 8)]
    + [(4, 9, a, b) for a, b in ((5, 6), (6, 7), (7, 8), (8, 5))],
    "wedge": _PRISM,
    "hexahedron": _HEXAHEDRON,
    "hexahedron27": _HEXAHEDRON,
}
_LINES = {"line": [(0, 1)], "line3": [(0, 2), (2, 1)]}
#: Information on a region, or on a phase, with its number.
_REGION = re.compile(r"^region (\d+)$")
_PIECES = _LINES | _TRIANGLES | _TETRAHEDRA


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A number over time: of a field at a point, or a statistic of it in a region."""

    probe: str
    field: str
    part: int | None
    statistic: str
    unit: str
    values: Array

    @property
    def name(self) -> str:
        """What a legend says of it."""
        part = "" if self.part is None else f" [{self.part}]"
        return f"{self.probe}{part}" + (f", {self.statistic}" if self.statistic else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """All curves of a run, their times and the unit of these."""

    times: Array
    unit: str
    curves: tuple[Curve, ...]


def read_numbers(path: Path) -> tuple[list[str], Array]:
    """Return the header of a table in CSV and its rows, shape (rows, columns), of a run that goes on too.

    Raises
    ------
    OSError, ValueError
        If there is no such file, or something else in it.
    """
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    whole = [row for row in rows if len(row) == len(header)]  # the last one may be half written
    return header, np.array(whole, dtype=np.float64).reshape(len(whole), len(header))


def read_curves(path: Path) -> Curves:
    """Read the table of a run's probes, of a run that goes on too.

    Raises
    ------
    FileError
        If it is no such table.
    """
    try:
        header, numbers = read_numbers(path)
        first = re.fullmatch(r"time( \((?P<unit>.*)\))?", header[0])
        labels = [_LABEL.match(label) for label in header[1:]]
        if first is None or not all(labels):
            raise ValueError(header)
    except (OSError, ValueError, IndexError) as error:
        raise FileError("folder", str(path), "a table of probes as homfem writes it") from error
    found = []
    for label, column in zip(labels, range(1, len(header)), strict=True):
        if label is not None and label["at"] is None:
            part = None if label["part"] is None else int(label["part"])
            names: dict[str, Any] = {key: label[key] or "" for key in ("probe", "field", "statistic", "unit")}
            found.append(Curve(part=part, values=numbers[:, column], **names))
    return Curves(times=numbers[:, 0], unit=first["unit"] or "", curves=tuple(found))


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """The diagonal of a tensor that a result in JSON holds, with its bounds, if it has them."""

    name: str
    unit: str
    value: Array
    lower: Array | None
    upper: Array | None


def read_tensor(path: Path) -> Tensor | None:
    """Return the tensor of a result in JSON, as ``homfem effective --json`` writes it; None for any other file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        value = np.array(found["value"], dtype=np.float64)
        bounds = [found[key] for key in ("lower", "upper")]
        ends = [None if bound is None else np.array(bound, dtype=np.float64).diagonal() for bound in bounds]
        if value.ndim != 2 or any(end is not None and end.shape != value.diagonal().shape for end in ends):
            return None
        return Tensor(name=path.stem, unit=str(found["unit"]), value=value.diagonal(), lower=ends[0], upper=ends[1])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Fields at one time at the corners of simplices.

    Parameters
    ----------
    time
        In the series' unit.
    points, cells
        Nodes (n, 3), and lines, triangles or tetrahedra, (m, 2 to 4).
    fields
        By name a value at each node: a field of cells is averaged over those at a node, of a vector and of a tensor it
        is the length.
    """

    time: float
    points: Array
    cells: Cells
    fields: Mapping[str, Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class SolvedCell:
    """Fields of a solved cell at the corners of simplices, apart where they jump.

    Parameters
    ----------
    points, cells
        Nodes (n, 2 or 3) in ``unit``, and triangles or tetrahedra (m, 3 or 4).
    unit
        Of length.
    phase_of_cell, phases
        Number of the phase of each simplex, (m,), and of each name.
    fields
        By the label, with unit, values (m, 3 or 4); of a vector and of a tensor the length.
    """

    points: Array
    cells: Cells
    unit: str
    phase_of_cell: Cells
    phases: Mapping[str, int]
    fields: Mapping[str, Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A series of fields on disk.

    Parameters
    ----------
    path
        Its ``.xdmf`` file.
    times
        Its times.
    names
        Its fields, and of which of them the length is shown.
    information
        The units and regions that stand in it.
    """

    path: Path
    times: tuple[float, ...]
    names: Mapping[str, bool]
    information: Mapping[str, str]

    @property
    def time_unit(self) -> str:
        """Unit of the times."""
        return self.information.get("time unit", "")

    def label(self, name: str) -> str:
        """Return the name of a field with its unit; with bars where its length is shown."""
        unit = self.information.get(f"unit of {name}", "")
        shown = f"|{name}|" if self.names[name] else name
        return f"{shown} ({unit})" if unit else shown

    @property
    def of_cell(self) -> bool:
        """Whether these are fields of a cell, which are at no time and belong to phases."""
        return not self.time_unit and len(self.times) == 1 and any(map(_REGION.match, self.information))

    def at(self, number: int) -> Snapshot:
        """Return the fields at one of the times."""
        points, kind, corners, (time, nodal, cellular) = self._read(number)
        nodes, number_of = _joined(points)
        corners = number_of[corners]
        cells = corners[:, np.array(_PIECES[kind])].reshape(-1, len(_PIECES[kind][0]))
        fields = {name: _mean(number_of, _length(values), len(nodes)) for name, values in nodal.items()}
        for name, (values,) in cellular.items():
            each = np.repeat(_length(values), corners.shape[1])
            fields[name] = _mean(corners.ravel(), each, len(nodes))
        return Snapshot(time=float(time), points=nodes, cells=cells, fields={name: fields[name] for name in self.names})

    def cell(self) -> SolvedCell:
        """Return the fields of a cell."""
        points, kind, corners, (_, nodal, cellular) = self._read(0)
        pieces = np.array(_PIECES[kind])
        nodes, number_of = _joined(points)
        cells = number_of[corners][:, pieces].reshape(-1, pieces.shape[1])
        factor, unit = _factor(self.information.get("length unit", ""))
        fields = {}
        for name in self.names:
            if name in nodal:
                at_corners = _length(nodal[name])[corners][:, pieces].reshape(cells.shape)
            else:
                at_corners = np.repeat(_length(cellular[name][0]), cells.size // len(corners)).reshape(cells.shape)
            times, own = _factor(self.information.get(f"unit of {name}", ""))
            shown = f"|{name}|" if self.names[name] else name
            fields[f"{shown} ({own})" if own else shown] = times * at_corners
        found = {match[1]: name for key, name in self.information.items() if (match := _REGION.match(key))}
        return SolvedCell(
            points=factor * (nodes if cells.shape[1] == 4 else nodes[:, :2]),
            cells=cells,
            unit=unit,
            phase_of_cell=np.repeat(cellular["region"][0], len(pieces)),
            phases={name: int(number) for number, name in found.items()},
            fields=fields,
        )

    def _read(self, number: int) -> tuple[Array, str, Cells, Any]:
        """Return the nodes, the kind of cells and their nodes, and time, fields at nodes and fields of cells."""
        import meshio

        with meshio.xdmf.TimeSeriesReader(self.path) as reader:
            points, (block,) = reader.read_points_cells()
            return points, block.type, np.asarray(block.data, dtype=np.int64), reader.read_data(number)


def _factor(unit: str) -> tuple[float, str]:
    """Return the number that a unit begins with, such as ``"40 um"``, or 1, and the rest."""
    number, _, rest = unit.partition(" ")
    try:
        return float(number), rest
    except ValueError:
        return 1.0, unit


def is_series(path: Path) -> bool:
    """Tell whether a file is a series of fields by homfem; meshes and facets of cells are not."""
    try:
        return xml.parse(path).getroot().find("./Domain/Grid[@Name='series']/Grid") is not None
    except (OSError, ValueError, SyntaxError):
        return False


def read_series(path: Path) -> Series:
    """Read what a series of fields holds, of a run that goes on too.

    Raises
    ------
    FileError
        If it is no series that homfem writes.
    """
    try:
        grids = xml.parse(path).getroot().findall("./Domain/Grid/Grid")
        times = tuple(float(grid.findall("./Time")[0].attrib["Value"]) for grid in grids)
        attributes = grids[0].findall("./Attribute")
        names = {entry.attrib["Name"]: entry.attrib["AttributeType"] != "Scalar" for entry in attributes}
        information = {entry.attrib["Name"]: entry.attrib["Value"] for entry in grids[0].findall("./Information")}
    except (OSError, ValueError, KeyError, IndexError, SyntaxError) as error:
        raise FileError("folder", str(path), "a series of fields as homfem writes it") from error
    names.pop("region", None)
    return Series(path=path, times=times, names=names, information=information)


def _joined(points: Array) -> tuple[Array, Cells]:
    """Return the nodes without repeats, and which one each is: where fields jump, cells have nodes of their own."""
    size = float(np.ptp(points, axis=0).max(initial=0.0)) or 1.0
    rounded = np.rint((points - points.min(axis=0, initial=np.inf)) / (1e-9 * size)).astype(np.int64)
    _, first, number = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    return np.asarray(points[first]), number.reshape(-1)


def _length(values: Array) -> Array:
    return values if values.ndim == 1 else np.linalg.norm(values.reshape(len(values), -1), axis=1)


def _mean(places: Cells, values: Array, size: int) -> Array:
    """Return the mean of the values that fall to each place."""
    return np.asarray(np.bincount(places, values, minlength=size) / np.bincount(places, minlength=size))
