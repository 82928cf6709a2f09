"""Series of fields in XDMF and HDF5 that ParaView, PyVista and meshio read: one grid per time, all fields in each.

``NAME.xdmf`` is a temporal collection of grids, each with geometry, topology and attributes written out (no
``XInclude``, no references: readers know neither of them well). ``NAME.h5`` holds the mesh and the fields at the first
time, ``NAME-times/STEP.h5`` those of each further one. A file is written beside its place and renamed, the ``.xdmf``
last, so that a run that is killed leaves a series that can be read; none is open between two times.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as xml
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from dolfinx import fem

from homfem.disk import write_text
from homfem.macro.domain import Domain
from homfem.macro.state import Units
from homfem.output.grids import Column, Grid, Part
from homfem.output.hdf5 import write_hdf5
from homfem.parameters import FileError
from homfem.ranks import collective

_FORMAT = "homfem series 1"
_NUMBERS = {"f8": 'NumberType="Float" Precision="8"', "i8": 'NumberType="Int" Precision="8"'}


def plain(name: str) -> str:
    """Return a name of a file that every reader takes: VTK's ends at a space.

    Example
    -------
    >>> plain("fields-Ca2+ a/b")
    'fields-Ca2__a_b'
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def data_places(path: Path) -> tuple[Path, Path]:
    """Return the file of the mesh and the first time, and the folder of the others, that belong to an ``.xdmf``."""
    return path.with_name(f"{plain(path.stem)}.h5"), path.with_name(f"{plain(path.stem)}-times")


class Entry(NamedTuple):
    """A time of a series: its step, itself, and the file of its fields, seen from the folder of the series."""

    step: int
    time: float
    file: str


class XdmfSeries:
    """Writes functions on one mesh at several times; collective.

    Parameters
    ----------
    path
        ``NAME.xdmf``, in a folder that exists.
    functions
        With different names, with values at points (:class:`homfem.output.grids.Grid`).
    units
        Of times, lengths and fields; they stand in the files.
    domain
        Its regions are cell data ``region``, if it has any and its mesh is that of the functions.
    after
        Go on with the file that is there, of which the times up to this step are kept; None: a new series.

    Raises
    ------
    FileError
        If the series that is there is not of these functions on this mesh, or is damaged.
    """

    def __init__(
        self,
        path: Path,
        functions: Sequence[fem.Function],
        *,
        units: Units,
        domain: Domain | None = None,
        after: int | None = None,
    ) -> None:
        self.path, self.units = path, units
        self._start, self._folder = data_places(path)
        self.grid = Grid(functions)
        self.comm = self.grid.comm
        self._places = {column.name: f"fields/{_safe(column.name, k)}" for k, column in enumerate(self.grid.columns)}
        self._regions: Mapping[str, int] = {}
        self._region_of_cell: Any = None
        if domain is not None and domain.regions and domain.mesh._cpp_object is self.grid.mesh._cpp_object:
            self._regions, self._region_of_cell = domain.regions, domain.region_of_cell.astype(np.int64)
        self.entries: list[Entry] = []
        entries: list[Entry] = []
        with collective(self.comm):
            if self.comm.rank == 0 and after is not None and path.exists():
                entries = [entry for entry in self._found() if entry.step <= after]
        self.entries = self.comm.bcast(entries)
        with collective(self.comm):
            if self.comm.rank == 0:
                if self.entries:
                    self._write_index()
                else:
                    path.unlink(missing_ok=True)
                self._clean()

    @property
    def last(self) -> int | None:
        """The last step that is in the files."""
        return self.entries[-1].step if self.entries else None

    def write(self, time: float, step: int | None = None) -> None:
        """Write the functions as they are now; steps ascend, by default by one."""
        number = step if step is not None else (0 if self.last is None else self.last + 1)
        values = self.grid.values()
        parts = {self._places[column.name]: part for column, part in values}
        attributes: dict[str, Any] = {"": {"step": number, "time": time, "time_unit": self.units.time}}
        for column, _ in values:
            unit = self.units.fields.get(column.function, "")
            attributes[self._places[column.name]] = {"name": column.name, "unit": unit}
        if not self.entries:
            parts = self._mesh() | parts
            attributes[""] |= {"identity": self._identity()}
            attributes["mesh/points"] = {"unit": self.units.length}
            if self._regions:
                attributes["mesh/region"] = {"regions": json.dumps(dict(self._regions))}
            file = self._start
        else:
            file = self._folder / f"{number:08d}.h5"
            with collective(self.comm):
                if self.comm.rank == 0:
                    self._folder.mkdir(exist_ok=True)
        write_hdf5(self.comm, file, parts, attributes)
        self.entries.append(Entry(number, time, file.relative_to(self.path.parent).as_posix()))
        with collective(self.comm):
            if self.comm.rank == 0:
                self._write_index()

    def _mesh(self) -> dict[str, Part]:
        parts = {"mesh/points": self.grid.points(), "mesh/cells": self.grid.connectivity()}
        return parts | ({"mesh/region": self.grid.of_cells(self._region_of_cell)} if self._regions else {})

    def _identity(self) -> str:
        """What must be the same for a series to go on, on any ranks."""
        columns = [[*column, self.units.fields.get(column.function, "")] for column in self.grid.columns]
        regions, units = dict(self._regions), [self.units.time, self.units.length]
        return json.dumps([_FORMAT, self.grid.topology, self.grid.nodes, self.grid.digest, columns, regions, units])

    def _found(self) -> list[Entry]:
        """Return the times of the series that is there; on rank 0."""
        import h5py

        allowed, remedy = "a series of the same fields on the same mesh, to go on with", "Move it away."
        try:
            found = []
            for grid in xml.parse(self.path).getroot().findall("./Domain/Grid/Grid"):
                step = int(grid.get("Name", "").removeprefix("step "))
                time, item = grid.find("./Time"), grid.findall("./Attribute/DataItem")[-1]
                file = (item.text or "").strip().rpartition(":")[0]
                found.append(Entry(step, float(time.get("Value", "")) if time is not None else np.nan, file))
            with h5py.File(self._start, "r") as file:
                same = file.attrs["identity"] == self._identity()
        except (OSError, ValueError, KeyError, IndexError, SyntaxError) as error:
            raise FileError("path", str(self.path), allowed, remedy) from error
        if not (same and all((self.path.parent / entry.file).is_file() for entry in found)):
            raise FileError("path", str(self.path), allowed, remedy)
        return found

    def _clean(self) -> None:
        """Take away the fields of times that are not in the series."""
        kept = {Path(entry.file).name for entry in self.entries}
        for path in self._folder.glob("*.h5*") if self._folder.is_dir() else ():
            if path.name not in kept and path.name.removesuffix(".part").removesuffix(".h5").isdigit():
                path.unlink()

    def _write_index(self) -> None:
        information = {"time unit": self.units.time, "length unit": self.units.length}
        information |= {f"unit of {name}": unit for name, unit in self.units.fields.items()}
        information |= {f"region {number}": name for name, number in self._regions.items()}
        lines = ['<?xml version="1.0" encoding="utf-8"?>', '<Xdmf Version="3.0">', "<Domain>"]
        lines.append('<Grid Name="series" GridType="Collection" CollectionType="Temporal">')
        told = [f"<Information Name={quoteattr(k)} Value={quoteattr(v)}/>" for k, v in information.items() if v]
        for entry in self.entries:  # meshio takes no information elsewhere
            first, *others = self._grid(entry)
            lines += [first, *told, *others]
            told = []
        write_text(self.path, "\n".join([*lines, "</Grid>", "</Domain>", "</Xdmf>", ""]))

    def _grid(self, entry: Entry) -> list[str]:
        grid, mesh = self.grid, self._start.name
        lines = [
            f'<Grid Name="step {entry.step}" GridType="Uniform">',
            f'<Time Value="{entry.time!r}"/>',
            f'<Geometry GeometryType="XYZ">{_item((grid.nodes, 3), "f8", mesh, "mesh/points")}</Geometry>',
            f'<Topology TopologyType="{grid.topology}" NumberOfElements="{grid.cells}" NodesPerElement="{grid.width}">'
            f"{_item((grid.cells, grid.width), 'i8', mesh, 'mesh/cells')}</Topology>",
        ]
        if self._regions:
            taken = any(column.name == "region" for column in grid.columns)
            region = Column("region number" if taken else "region", "", True, "Scalar")
            lines.append(_attribute(region, _item((grid.cells,), "i8", mesh, "mesh/region")))
        for column in grid.columns:
            rows = grid.cells if column.at_cells else grid.nodes
            shape = {"Scalar": (rows,), "Vector": (rows, 3), "Tensor": (rows, 9)}[column.kind]
            lines.append(_attribute(column, _item(shape, "f8", entry.file, self._places[column.name])))
        return [*lines, "</Grid>"]


def _item(shape: tuple[int, ...], kind: str, file: str, place: str) -> str:
    dimensions = " ".join(map(str, shape))
    return f'<DataItem Dimensions="{dimensions}" {_NUMBERS[kind]} Format="HDF">{escape(file)}:/{place}</DataItem>'


def _attribute(column: Column, item: str) -> str:
    center = "Cell" if column.at_cells else "Node"
    name = quoteattr(column.name)
    return f'<Attribute Name={name} AttributeType="{column.kind}" Center="{center}">{item}</Attribute>'


def _safe(name: str, number: int) -> str:
    """Return a name that every reader of paths takes: the column's own, or one with its number."""
    plain = name.isascii() and name.replace("_", "").isalnum()
    return name if plain else f"column-{number}"
