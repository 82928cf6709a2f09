"""The table ``[cell]``: one shape or one file. A new shape is one class here and its name in :data:`SHAPES`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import PlainValidator, model_validator

from homfem.config.table import (
    Missing,
    Table,
    choice,
    choose,
    integer,
    lengths_of,
    listed,
    number,
    parse_table,
    refuse_unknown,
    require_table,
    text,
)
from homfem.parameters import FileError, InputError, check_number
from homfem.quantities import LENGTH, Quantity, parse_quantity

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.cells.unitcell import UnitCell

_FILES = (".geo", ".msh")


def _period(value: Any) -> tuple[Quantity, ...]:
    if isinstance(value, list):
        return lengths_of(LENGTH, value, (2, 3), "a length, or a list of 2 or 3 lengths, one per axis")
    return (parse_quantity("", value, LENGTH, above=0.0),)


def _fraction(value: Any) -> float:
    return check_number("", value, above=0.0, below=1.0, remedy="It is a fraction of the period.")


def _three(value: Any) -> int:
    if value != 3 or isinstance(value, bool):
        raise InputError("", value, "3: this shape is three-dimensional")
    return 3


Period = Annotated[tuple[Quantity, ...], PlainValidator(_period)]
Fraction = Annotated[float, PlainValidator(_fraction)]


class CellTable(Table):
    """What every cell has."""

    #: Names of the phases, if they are known before the cell is made.
    known_phases: ClassVar[tuple[str, ...] | None] = None

    @abstractmethod
    def build(self, comm: MPI.Comm, folder: Path) -> UnitCell:
        """Return the meshed cell; files are sought from ``folder``. Collective."""

    @property
    def known_dimension(self) -> int | None:
        """Number of space dimensions, if it is known before the cell is made."""
        return None


class ThreePipe(CellTable):
    """Three orthogonal pipes that cross at the centre of a cube: the endoplasmic reticulum (ER) in the cytosol."""

    known_phases: ClassVar[tuple[str, ...] | None] = ("er", "cytosol")

    shape: Annotated[str, choice("three-pipe")]
    edge: Fraction | None = None
    edges: Annotated[tuple[float, ...], listed(_fraction, (3,), "a list of 3 numbers, one per axis")] | None = None
    section: Annotated[str, choice("square", "round")] = "square"
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
    def known_dimension(self) -> int:
        """Three."""
        return 3

    def build(self, comm: MPI.Comm, folder: Path) -> UnitCell:
        """Return the meshed cell; collective."""
        from homfem import cells

        edges = self.edges or self.edge or 0.0
        options = {"section": self.section} | _sizes(self.period, self.resolution)
        return cells.three_pipe(edges, comm=comm, **options)


class FileCell(CellTable):
    """A cell from a Gmsh file; its physical groups are the phases."""

    file: Annotated[str, text("the path of a .geo or .msh file")]
    period: Period | None = None
    dimension: Annotated[int, integer(at_least=2, at_most=3)] | None = None
    resolution: Annotated[float, number(above=0.0, at_most=1.0)] | None = None

    @model_validator(mode="after")
    def _suffix(self) -> FileCell:
        if Path(self.file).suffix not in _FILES:
            raise FileError("file", self.file, "the path of a .geo or .msh file")
        if Path(self.file).suffix == ".msh" and self.resolution is not None:
            raise InputError("resolution", self.resolution, "absent for a .msh file: its mesh is already made")
        if self.dimension and self.period and len(self.period) not in (1, self.dimension):
            raise InputError("period", [str(p) for p in self.period], f"one length, or {self.dimension}")
        return self

    @property
    def known_dimension(self) -> int | None:
        """What the table says, if it does."""
        return self.dimension

    def build(self, comm: MPI.Comm, folder: Path) -> UnitCell:
        """Return the meshed cell; collective."""
        from homfem import cells

        options = {"dimension": self.dimension} | _sizes(self.period, self.resolution)
        return cells.from_gmsh(folder / self.file, comm=comm, **options)


def _sizes(period: tuple[Quantity, ...] | None, resolution: float | None) -> dict[str, Any]:
    """Return the arguments of a mesher for what is given; its own defaults stand for the rest."""
    sizes: dict[str, Any] = {} if resolution is None else {"resolution": resolution}
    if period is not None:
        values = [entry.value for entry in period]
        sizes |= {"period": values[0] if len(values) == 1 else values, "length_unit": period[0].unit}
    return sizes


SHAPES: Mapping[str, type[CellTable]] = {"three-pipe": ThreePipe}
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
        known = dict.fromkeys(["shape", "file", *(key for model in SHAPES.values() for key in model.model_fields)])
        refuse_unknown(path, table, list(known))
        if "file" not in table:
            names = ", ".join(map(repr, SHAPES))
            raise InputError(f"{path}.shape", Missing(), f"one of {names}; or give {path}.file, a .geo or .msh file")
        cell = parse_table(FileCell, table, path)
        if not (folder / cell.file).is_file():
            raise FileError(f"{path}.file", cell.file, "a file that exists", f"It is sought from {str(folder)!r}.")
        return cell
    if "file" in table:
        raise InputError(f"{path}.file", table["file"], "absent where a shape is given")
    name = choose(f"{path}.shape", table["shape"], list(SHAPES))
    return parse_table(SHAPES[name], table, path)
