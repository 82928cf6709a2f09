"""The table ``[effective]`` of elasticity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from homfem.config.fields import FieldCoefficient, parse_field_table
from homfem.config.physics.effective_table import (
    BOUNDARIES,
    MESHED,
    EffectiveTable,
    check_phase,
    refuse_tolerance,
    require_meshed,
)
from homfem.config.table import Check, choice, integer, renamed, text, tolerance_check
from homfem.parameters import InputError, check_number
from homfem.quantities import MODULUS, Quantity, parse_quantity
from homfem.stiffness import PAIRS, PLANES, check_stiffness, moduli

_SIZES = {len(pairs): dimension for dimension, pairs in PAIRS.items()}


@dataclass(frozen=True, slots=True)
class SolidPhase:
    """A stiffness: constants of an isotropic solid, some of them fields, or a Voigt matrix; moduli in one unit."""

    value: Mapping[str, float | FieldCoefficient] | tuple[tuple[float, ...], ...]
    unit: str

    @property
    def dimension(self) -> int | None:
        """Number of space dimensions of the matrix; None for constants."""
        return None if isinstance(self.value, Mapping) else _SIZES[len(self.value)]

    def __str__(self) -> str:
        return f"{self.value} {self.unit}"

    def located(self, at: str, folder: Path) -> SolidPhase:
        """Return it with the paths of its fields from ``folder``."""
        if not isinstance(self.value, Mapping):
            return self
        placed = {
            key: entry.located(f"{at}.{key}", folder) if isinstance(entry, FieldCoefficient) else entry
            for key, entry in self.value.items()
        }
        return SolidPhase(placed, self.unit)

    def to(self, unit: str) -> dict[str, Any] | list[list[float]]:
        """Return the constants or the matrix in another unit."""
        if isinstance(self.value, Mapping):
            return {key: self._constant(key, entry, unit) for key, entry in self.value.items()}
        return [[Quantity(entry, self.unit).to(unit) for entry in row] for row in self.value]

    def _constant(self, key: str, entry: float | FieldCoefficient, unit: str) -> Any:
        if isinstance(entry, FieldCoefficient):
            try:
                return entry.to(unit)
            except InputError as error:
                raise renamed(error, f"{key}.{error.name}") from error
        return entry if key == "poisson" else Quantity(entry, self.unit).to(unit)


def parse_solid(value: Any) -> SolidPhase:
    """Return the stiffness that a table of constants or a matrix of strings says."""
    if isinstance(value, Mapping):
        given: dict[str, float | FieldCoefficient] = {}
        unit = ""
        for key, entry in value.items():
            if key == "poisson":
                given[key] = check_number(f".{key}", entry, remedy="It is a pure number, without unit.")
            elif isinstance(entry, Mapping):
                field = _field(key, dict(entry))
                unit, given[key] = unit or field.unit, field
            else:
                parsed = parse_quantity(f".{key}", entry, MODULUS)
                unit = unit or parsed.unit
                given[key] = parsed.to(unit)
        moduli("", **{key: 0.25 if isinstance(entry, FieldCoefficient) else entry for key, entry in given.items()})
        return SolidPhase(given, unit)
    size = len(value) if isinstance(value, (list, tuple)) else 0
    if size not in _SIZES or any(not isinstance(row, (list, tuple)) or len(row) != size for row in value):
        allowed = 'a table such as { young = "10 GPa", poisson = 0.3 }, or a Voigt matrix of moduli, 3x3 or 6x6'
        raise InputError("", value, allowed)
    entries = [[parse_quantity(f"[{i}][{j}]", v, MODULUS) for j, v in enumerate(row)] for i, row in enumerate(value)]
    unit = entries[0][0].unit
    matrix = check_stiffness("", [[entry.to(unit) for entry in row] for row in entries], _SIZES[size])
    return SolidPhase(tuple(tuple(map(float, row)) for row in matrix), unit)


def _field(key: str, value: dict[str, Any]) -> FieldCoefficient:
    try:
        return parse_field_table(value, MODULUS)
    except InputError as error:
        raise renamed(error, f".{key}{error.name}") from error


def _solids(value: Any) -> dict[str, SolidPhase]:
    if not isinstance(value, dict) or not value:
        example = 'fibre = { young = "10 GPa", poisson = 0.3 }'
        raise InputError("", value, f"a table with one key per solid phase, such as {example}")
    result = {}
    for name, entry in value.items():
        try:
            result[name] = parse_solid(entry)
        except InputError as error:
            raise renamed(error, f"{name}{error.name}") from error
    return result


class Elasticity(EffectiveTable):
    """Linear elasticity of the named phases; the others are voids."""

    runner = "homfem.runs.physics:elasticity"

    example: ClassVar[Mapping[str, Any]] = {
        "phases": {"fibre": {"young": "70 GPa", "poisson": 0.2}, "matrix": {"young": "3 GPa", "poisson": 0.35}}
    }

    physics: Annotated[str, choice("elasticity")] = "elasticity"
    method: Annotated[str, text("the name of a method")] = MESHED
    """How it is solved."""
    tolerance: Annotated[float, tolerance_check()] | None = None
    """Relative half-gap between the bounds that is to be reached."""
    max_dofs: Annotated[int, integer(at_least=1, example=200000)] | None = None
    """Most unknowns that refinement may take."""
    degree: Annotated[int, integer(at_least=1, at_most=4)] | None = None
    """Degree of the elements."""
    boundary: Annotated[str, choice(*BOUNDARIES)] = "periodic"
    """Periodic, or the conditions on a window without periods."""
    symmetry: Annotated[str, choice("none", "auto")] | None = None
    """Whether mirror planes are looked for, so that a part of the cell is solved; by default where that may help."""
    plane: Annotated[str, choice(*PLANES)] | None = None
    """Plane strain or plane stress in two dimensions."""
    phases: Annotated[
        Mapping[str, SolidPhase],
        Check(_solids, says="a table of phases, each with two elastic constants or a Voigt matrix"),
    ] = Field(description="a table [effective.phases] with the stiffness of each solid phase")

    @property
    def unit(self) -> str:
        """Unit of the result: that of the first phase."""
        return next(iter(self.phases.values())).unit

    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse all methods but the finite elements."""
        require_meshed(self.method, self.physics)
        refuse_tolerance(self.tolerance, self.boundary)

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse a phase that the cell does not have and a matrix of another dimension."""
        for name, solid in self.phases.items():
            at = f"effective.phases.{name}"
            check_phase(at, name, str(solid), phase_names)
            if dimension is not None and solid.dimension not in (None, dimension, 3):
                raise InputError(at, str(solid), "moduli or a 6x6 Voigt matrix, as the cell")
        if self.plane is not None and dimension == 3:
            raise InputError("effective.plane", self.plane, "absent in three dimensions")


TABLES: Mapping[str, type[EffectiveTable]] = {"elasticity": Elasticity}
