"""The table ``[cell]``: one shape or one file. A new shape is one class here and its name in :data:`SHAPES`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator, model_validator

from homfem.config.blocks import Blocks
from homfem.config.cell_table import CellTable, Fraction, LatticePeriod, Period, fraction, sizes, written
from homfem.config.images import ImageCell
from homfem.config.random import GaussianField, RandomParticles
from homfem.config.shapes import (
    FibreArray,
    HexagonalMyocyte,
    Laminate,
    MinimalSurface,
    Myocyte,
    Obstacles,
    Sheets,
    Slit,
    SphereArray,
    Struts,
    TortuousPipes,
    Tube,
)
from homfem.config.table import (
    Missing,
    choice,
    choose,
    flag,
    integer,
    keys_from,
    listed,
    number,
    parse_table,
    refuse_unknown,
    renamed,
    require_file,
    require_table,
    text,
)
from homfem.parameters import InputError, VariableError, check_number
from homfem.quantities import Quantity

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.cells.unitcell import UnitCell

_MESHED_HERE = (".geo", ".step", ".stp")


def _three(value: Any) -> int:
    if value != 3 or isinstance(value, bool):
        raise InputError("", value, "3: this shape is three-dimensional")
    return 3


def _groups(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise InputError("", value, "a table of phase names and their numbers or sets in the file")
    for name, entry in value.items():
        items = entry if isinstance(entry, list) else [entry]
        if not items or any(isinstance(item, bool) or not isinstance(item, (int, str)) for item in items):
            raise InputError(name, entry, "a whole number, the name of a cell set, or a list of these")
    return dict(value)


def _offset(value: Any) -> float:
    return check_number("", value, above=-0.5, below=0.5, remedy="It is a fraction of the period.")


class ThreePipe(CellTable):
    """Three orthogonal pipes that cross at the centre of a cube: the endoplasmic reticulum (ER) in the cytosol."""

    shape: Annotated[str, choice("three-pipe")]
    edge: Fraction | None = None
    edges: Annotated[tuple[float, ...], listed(fraction, (3,), "a list of 3 numbers, one per axis")] | None = None
    section: Annotated[str, choice("square", "round")] = "square"
    offsets: Annotated[tuple[float, ...], listed(_offset, (3,), "a list of 3 numbers, one per pipe")] | None = None
    period: Period = (Quantity(1.0, "m"),)
    resolution: Annotated[float, number(above=0.0, at_most=1.0 / 3.0)] | None = None
    dimension: Annotated[int, PlainValidator(_three)] = 3

    @model_validator(mode="after")
    def _one_size(self) -> ThreePipe:
        if self.edge is None and self.edges is None:
            raise InputError(
                "edge",
                Missing(),
                "given: the edge of the pipes as a fraction of the period",
                "Or give edges = [a, b, c].",
            )
        if self.edge is not None and self.edges is not None:
            raise InputError("edges", list(self.edges), "absent where edge is given")
        if len(self.period) not in (1, 3):
            raise InputError("period", [str(p) for p in self.period], "one length, or 3, one per axis")
        return self

    @property
    def known_phases(self) -> tuple[str, ...]:
        """The pipes and the rest."""
        return ("er", "cytosol")

    @property
    def known_dimension(self) -> int:
        """Three."""
        return 3

    def build(self, comm: MPI.Comm, folder: Path) -> UnitCell:
        """Return the meshed cell; collective."""
        from homfem import cells

        edges = self.edges or self.edge or 0.0
        options = {"section": self.section} | sizes(self.period, self.resolution)
        if self.offsets is not None:
            options["offsets"] = list(self.offsets)
        with keys_from({} if self.edge is None else {"edges": "cell.edge"}):
            return cells.three_pipe(edges, comm=comm, **options)


class FileCell(CellTable):
    """A cell from a file: Gmsh, STEP, or anything that meshio reads; its groups are the phases."""

    file: Annotated[str, text("the path of a .geo, .step or .msh file, or of a mesh that meshio reads")]
    period: LatticePeriod | None = None
    dimension: Annotated[int, integer(at_least=2, at_most=3)] | None = None
    resolution: Annotated[float, number(above=0.0, at_most=1.0)] | None = None
    phases: Annotated[Mapping[str, Any], PlainValidator(_groups)] | None = None
    phase_data: Annotated[str, text("the name of the cell data that tells the phases")] | None = None
    repair: Annotated[bool, flag()] = False
    trust: Annotated[bool, flag()] = False
    faces: Annotated[str, choice("matching", "non-matching")] = "matching"
    cracks: Annotated[bool, flag()] = False
    timeout: Annotated[float, number(above=0.0)] | None = None

    @model_validator(mode="after")
    def _suffix(self) -> FileCell:
        suffix = Path(self.file).suffix.lower()
        if suffix not in _MESHED_HERE and self.resolution is not None:
            raise InputError("resolution", self.resolution, f"absent for a {suffix} file: its mesh is already made")
        if suffix != ".geo" and self.trust:
            raise InputError("trust", True, f"false for a {suffix} file: only a .geo file is a script")
        if self.repair and self.faces == "non-matching":
            raise InputError(
                "repair", True, "false with faces = 'non-matching'", "A repaired mesh has faces that match."
            )
        if self.dimension and self.period and len(self.period) not in (1, self.dimension):
            raise InputError(
                "period", written(self.period), f"one length, or {self.dimension}, or {self.dimension} period vectors"
            )
        return self

    @property
    def known_dimension(self) -> int | None:
        """What the table says, if it does."""
        return self.dimension

    def build(self, comm: MPI.Comm, folder: Path) -> UnitCell:
        """Return the meshed cell; collective."""
        from homfem import cells

        own = {name: getattr(self, name) for name in ("phases", "phase_data", "timeout")}
        with keys_from({"lattice": "cell.period"}):
            options = {"dimension": self.dimension} | sizes(self.period, self.resolution)
        options |= {name: value for name, value in own.items() if value is not None}
        options |= {"trust": True} if self.trust else {}
        options |= {"repair": self.repair, "faces": self.faces, "cracks": self.cracks}
        with self._keys():
            return cells.from_file(folder / self.file, comm=comm, **options)

    @contextmanager
    def _keys(self) -> Iterator[None]:
        """Name the file in errors about what it holds."""
        try:
            yield
        except InputError as error:
            key = re.split(r"[^\w]", error.name)[0]
            if key == "lattice" and self.period is not None:
                raise renamed(error, "cell.period") from error
            if key in type(self).model_fields or isinstance(error, VariableError):
                raise
            words = f"a usable cell, but its {error.name} = {error.shown} must be {error.allowed}"
            raise type(error)("cell.file", self.file, words, error.remedy) from error


SHAPES: Mapping[str, type[CellTable]] = {
    "three-pipe": ThreePipe,
    "tortuous-pipes": TortuousPipes,
    "sheets": Sheets,
    "slit": Slit,
    "laminate": Laminate,
    "obstacles": Obstacles,
    "blocks": Blocks,
    "fibre-array": FibreArray,
    "sphere-array": SphereArray,
    "tube": Tube,
    "struts": Struts,
    "gyroid": MinimalSurface,
    "schwarz-p": MinimalSurface,
    "schwarz-d": MinimalSurface,
    "myocyte": Myocyte,
    "hexagonal-myocyte": HexagonalMyocyte,
    "random-particles": RandomParticles,
    "gaussian-field": GaussianField,
    "image": ImageCell,
}
"""Every shape by its name in a config."""


def parse_cell(value: Any, folder: Path, path: str = "cell") -> CellTable:
    """Return the validated table of a cell.

    Raises
    ------
    InputError
        For an unknown shape or key, a value out of range, a file that is missing (FileError).
    """
    table = require_table(path, value)
    if "shape" not in table:
        if "file" not in table:
            known = dict.fromkeys(["shape", "file", *(key for model in SHAPES.values() for key in model.model_fields)])
            refuse_unknown(path, table, list(known))
            names = ", ".join(map(repr, SHAPES))
            raise InputError(f"{path}.shape", Missing(), f"one of {names}; or give {path}.file, a mesh or a geometry")
        cell = parse_table(FileCell, table, path)
        require_file(f"{path}.file", cell.file, folder)
        return cell
    name = choose(f"{path}.shape", table["shape"], list(SHAPES))
    if "file" in table and "file" not in SHAPES[name].model_fields:
        raise InputError(f"{path}.file", table["file"], "absent where a shape is given")
    _refuse_vectors(f"{path}.period", table.get("period"), name)
    shape = parse_table(SHAPES[name], table, path)
    if isinstance(shape, ImageCell):
        require_file(f"{path}.file", shape.file, folder)
    return shape


def _refuse_vectors(path: str, period: Any, name: str) -> None:
    """Refuse period vectors for a shape that has periods along the axes only."""
    if (
        SHAPES[name].vector_dimensions
        or not isinstance(period, list)
        or not any(isinstance(row, list) for row in period)
    ):
        return
    others = ", ".join(repr(known) for known, model in SHAPES.items() if model.vector_dimensions)
    remedy = f"Period vectors are for {others} and for meshes from files."
    raise InputError(path, period, f"one length, or one per axis where the shape allows that, for {name!r}", remedy)
