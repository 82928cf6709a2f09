"""The table ``[effective]``: what every physics has, diffusion, and electric conduction."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, PlainValidator

from homfem.config.fields import FieldCoefficient, parse_field_table
from homfem.config.table import (
    Missing,
    Table,
    choice,
    flag,
    integer,
    renamed,
    sentence,
    text,
    tolerance_check,
)
from homfem.parameters import InputError, UnitError, check_choice, check_integer, check_spd, nearest_name
from homfem.quantities import (
    CONDUCTANCE,
    CONDUCTIVITY,
    DIFFUSIVITY,
    LENGTH,
    PERMEABILITY,
    Kind,
    Quantity,
    check_unit,
    parse_quantity,
)

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell
    from homfem.certify import CellSolution
    from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A coefficient of one phase: a number > 0 or a symmetric positive definite matrix, in one unit."""

    value: float | tuple[tuple[float, ...], ...]
    unit: str

    @property
    def dimension(self) -> int | None:
        """Size of the matrix; None for a number."""
        return len(self.value) if isinstance(self.value, tuple) else None

    def __str__(self) -> str:
        number = self.value if isinstance(self.value, tuple) else f"{self.value:g}"
        return f"{number} {self.unit}"

    def to(self, unit: str) -> float | list[list[float]]:
        """Return the number or the matrix in another unit."""
        if isinstance(self.value, tuple):
            return [[Quantity(entry, self.unit).to(unit) for entry in row] for row in self.value]
        return Quantity(self.value, self.unit).to(unit)


def parse_coefficient(value: Any, kind: Kind) -> Coefficient:
    """Return the coefficient that a string or a matrix of strings says; the unit is that of the first entry."""
    if not isinstance(value, (list, tuple)):
        single = parse_quantity("", value, kind, above=0.0, remedy="A phase that is not named carries nothing.")
        return Coefficient(single.value, single.unit)
    size = len(value)
    if size not in (2, 3) or any(not isinstance(row, (list, tuple)) or len(row) != size for row in value):
        raise InputError("", value, f"{kind.name} or a square matrix of them, 2x2 or 3x3")
    entries = [[parse_quantity(f"[{i}][{j}]", v, kind) for j, v in enumerate(row)] for i, row in enumerate(value)]
    unit = entries[0][0].unit
    matrix = np.array([[entry.to(unit) for entry in row] for row in entries])
    try:
        matrix = check_spd("", matrix, size)
    except InputError as error:
        raise InputError("", value, f"a symmetric positive definite {size}x{size} matrix", error.remedy) from error
    return Coefficient(tuple(tuple(map(float, row)) for row in matrix), unit)


class EffectiveTable(Table):
    """What every physics has."""

    physics: str

    @property
    def meshless(self) -> bool:
        """Whether the method needs no mesh, and the cell's table computes the tensor itself."""
        return False

    @property
    def phase_names(self) -> tuple[str, ...]:
        """The phases that carry the field."""
        return tuple(getattr(self, "phases", ()))

    @abstractmethod
    def solve(self, cell: UnitCell, *, config: Mapping[str, Any], only: Sequence[str] | None = None) -> Any:
        """Return the solved cell problem and its tensor; ``only`` names the phases that carry it. Collective."""

    @abstractmethod
    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse phases and coefficients that do not fit a cell, as far as it is known."""

    def located(self, folder: Path) -> EffectiveTable:
        """Return the table with the paths of its files from ``folder``; refuse files that are missing."""
        phases: Mapping[str, Any] = getattr(self, "phases", {})
        placed = {
            name: value.located(f"effective.phases.{name}", folder)
            for name, value in phases.items()
            if hasattr(value, "located")
        }
        return self.model_copy(update={"phases": {**phases, **placed}}) if placed else self

    @abstractmethod
    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse a method that the cell does not allow; ``methods`` are those it allows beside the finite elements."""


def parse_phase(value: Any, kind: Kind) -> Coefficient | FieldCoefficient:
    """Return what a phase of ``[effective.phases]`` has: one coefficient, or ``{ field = { file = ... } }``."""
    return parse_field_table(value, kind) if isinstance(value, dict) else parse_coefficient(value, kind)


def _phases_of(kind: Kind) -> PlainValidator:
    def check(value: Any) -> dict[str, Coefficient | FieldCoefficient]:
        if not isinstance(value, dict) or not value:
            raise InputError("", value, f"a table with one key per phase that conducts, such as er = {kind.example!r}")
        result = {}
        for name, entry in value.items():
            try:
                result[name] = parse_phase(entry, kind)
            except InputError as error:
                raise renamed(error, f"{name}{error.name}") from error
        return result

    return PlainValidator(check)


def value_of(name: str, phase: Any, unit: str) -> Any:
    """Return the coefficient of a phase in a unit; what is wrong with a file of it has the path of its key."""
    try:
        return phase.to(unit)
    except InputError as error:
        raise renamed(error, f"effective.phases.{name}.{error.name}") from error


MESHED = "finite-element"
BOUNDARIES = ("periodic", "affine", "flux", "mixed")
#: The keys that only some methods have.
KEYS: Mapping[str, tuple[str, ...]] = {
    "tolerance": (MESHED, "corner-galerkin", "semi-analytical", "finite-volume", "grid"),
    "max_dofs": (MESHED, "corner-galerkin", "grid"),
    "degree": (MESHED, "corner-galerkin"),
    "abscissas": ("semi-analytical",),
    "modes": ("semi-analytical",),
    "merge": ("semi-analytical",),
    "intervals": ("finite-volume",),
    "refine": ("grid",),
    "membranes": (MESHED,),
    "symmetry": (MESHED,),
}


def check_phase(at: str, name: str, value: str, phase_names: Sequence[str] | None) -> None:
    """Refuse a phase that a cell does not have, as far as its phases are known."""
    if phase_names is not None and name not in phase_names:
        near = nearest_name(name, phase_names).replace("'", "'effective.phases.", 1)
        raise InputError(at, value, f"a phase of this cell: {', '.join(phase_names)}", sentence(near))


def require_length(cell: UnitCell, what: str) -> None:
    """Refuse a cell whose unit of length is not known, such as that of an image without the size of a voxel."""
    try:
        check_unit("length_unit", cell.length_unit, LENGTH)
    except UnitError as error:
        remedy = f"The file states no size of a voxel with its unit, and {what} has a length in it."
        raise InputError("cell.voxel", Missing(), "given, such as voxel = '0.5 um'", remedy) from error


def with_known_area(tensor: EffectiveTensor) -> EffectiveTensor:
    """Return the tensor without its interface area if that has no unit, as of an image without the size of a voxel.

    Where nothing else has a length in it the rest of the result stands.
    """
    try:
        check_unit("length_unit", tensor.length_unit, LENGTH)
    except UnitError:
        return replace(tensor, interface_area=None)
    return tensor


def require_meshed(method: str, physics: str) -> None:
    """Refuse all methods but the finite elements."""
    if method != MESHED:
        raise InputError("effective.method", method, f"{MESHED!r} for {physics}")


def refuse_tolerance(tolerance: float | None, boundary: str) -> None:
    """Refuse a tolerance where there are no bounds from both sides."""
    if tolerance is not None and boundary != "periodic":
        remedy = "Only the periodic problem is bounded from both sides: choose cell.resolution instead."
        raise InputError("effective.tolerance", tolerance, f"absent with boundary {boundary!r}", remedy)


def _membranes_of(kind: Kind) -> PlainValidator:
    def check(value: Any) -> dict[str, Quantity]:
        if not isinstance(value, dict) or not value:
            allowed = f"a table of interfaces with {kind.name} each, such as 'fibre|matrix' = {kind.example!r}"
            raise InputError("", value, allowed)
        remedy = "Without a membrane phases are in perfect contact; a phase that is not named insulates."
        return {name: parse_quantity(name, h, kind, above=0.0, remedy=remedy) for name, h in value.items()}

    return PlainValidator(check)


class Diffusion(EffectiveTable):
    """Diffusion in the named phases; the others insulate."""

    physics: Annotated[str, choice("diffusion")] = "diffusion"
    method: Annotated[str, text("the name of a method")] = MESHED
    tolerance: Annotated[float, tolerance_check()] | None = None
    max_dofs: Annotated[int, integer(at_least=1)] | None = None
    degree: Annotated[int, integer(at_least=0, at_most=12)] | None = None
    abscissas: Annotated[int, integer(at_least=2)] | None = None
    modes: Annotated[int, integer(at_least=0)] | None = None
    merge: Annotated[bool, flag()] | None = None
    intervals: Annotated[int, integer(at_least=1)] | None = None
    refine: Annotated[int, integer(at_least=1)] | None = None
    boundary: Annotated[str, choice(*BOUNDARIES)] = "periodic"
    membranes: Annotated[Mapping[str, Quantity], _membranes_of(PERMEABILITY)] | None = None
    symmetry: Annotated[str, choice("none", "auto")] | None = None
    phases: Annotated[Mapping[str, Coefficient | FieldCoefficient], _phases_of(DIFFUSIVITY)] = Field(
        description="a table [effective.phases] with the diffusivity of each phase that conducts"
    )

    @property
    def meshless(self) -> bool:
        """Whether the method is not that of finite elements on a mesh."""
        return self.method != MESHED

    @property
    def unit(self) -> str:
        """Unit of the result: that of the first phase."""
        return next(iter(self.phases.values())).unit

    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse a method that the cell does not allow, and a key that the method does not have."""
        try:
            check_choice("effective.method", self.method, (MESHED, *methods))
        except InputError as error:
            remedy = "; ".join(part for part in (error.remedy, "Other methods belong to other shapes") if part)
            raise InputError(error.name, error.value, error.allowed + " for this cell", remedy) from error
        for key, owners in KEYS.items():
            if getattr(self, key) is not None and self.method not in owners:
                names = " and ".join(map(repr, owners))
                allowed = f"absent with method {self.method!r}"
                raise InputError(f"effective.{key}", getattr(self, key), allowed, f"It belongs to {names}.")
        for name, value in self.phases.items():
            if isinstance(value, FieldCoefficient) and self.method not in (MESHED, "grid"):
                allowed = f"one value with method {self.method!r}"
                raise InputError(f"effective.phases.{name}", str(value), allowed)
        refuse_tolerance(self.tolerance, self.boundary)
        if self.meshless and self.boundary != "periodic":
            raise InputError("effective.boundary", self.boundary, f"'periodic' with method {self.method!r}")
        if not self.meshless and self.degree is not None:
            check_integer("effective.degree", self.degree, at_least=1, at_most=4)

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse a phase that the cell does not have and a matrix of another dimension."""
        for name in self.membranes or {}:
            sides = name.split("|")
            if len(sides) != 2 or any(side not in self.phases for side in sides):
                allowed = "the names of two phases of [effective.phases] with a bar between, such as 'fibre|matrix'"
                raise InputError("effective.membranes", name, allowed)
        for name, coefficient in self.phases.items():
            at = f"effective.phases.{name}"
            check_phase(at, name, str(coefficient), phase_names)
            if dimension is not None and coefficient.dimension not in (None, dimension):
                raise InputError(at, str(coefficient), f"a number or a {dimension}x{dimension} matrix, as the cell")

    def solve(self, cell: UnitCell, *, config: Mapping[str, Any], only: Sequence[str] | None = None) -> CellSolution:
        """Return the solution, its effective tensor in :attr:`unit`; collective."""
        import homfem

        self.check(cell.phase_names, cell.dimension)
        unit = self.unit
        names = list(self.phases) if only is None else list(only)
        options: dict[str, Any] = {} if self.degree is None else {"degree": self.degree}
        if self.symmetry is not None:
            options["symmetry"] = self.symmetry
        if self.membranes:
            require_length(cell, "what a membrane lets through")
            per = f"{unit}/({cell.length_unit})"
            options["membranes"] = {name: h.to(per) for name, h in self.membranes.items()}
        return homfem.solve_diffusion(
            cell,
            {name: value_of(name, self.phases[name], unit) for name in names},
            tolerance=self.tolerance,
            max_dofs=self.max_dofs,
            unit=unit,
            physics=self.physics,
            boundary=self.boundary,
            config=dict(config),
            **options,
        )


class Conductivity(Diffusion):
    """Electric conduction: the equations of diffusion in the units of electricity."""

    physics: Annotated[str, choice("conductivity")] = "conductivity"
    membranes: Annotated[Mapping[str, Quantity], _membranes_of(CONDUCTANCE)] | None = None
    phases: Annotated[Mapping[str, Coefficient | FieldCoefficient], _phases_of(CONDUCTIVITY)] = Field(
        description="a table [effective.phases] with the conductivity of each phase that conducts"
    )

    @property
    def unit(self) -> str:
        """Unit of the result, whatever the phases are given in."""
        return CONDUCTIVITY.unit
