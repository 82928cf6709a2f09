"""The coefficients of phases: a number or a matrix with its unit, or a field from a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from homfem.config.fields import FieldCoefficient, parse_field_table
from homfem.config.table import Check, renamed
from homfem.parameters import InputError, check_spd
from homfem.quantities import Kind, Quantity, parse_quantity


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


def parse_phase(value: Any, kind: Kind) -> Coefficient | FieldCoefficient:
    """Return what a phase of ``[effective.phases]`` has: one coefficient, or ``{ field = { file = ... } }``."""
    return parse_field_table(value, kind) if isinstance(value, dict) else parse_coefficient(value, kind)


def phases_of(kind: Kind) -> Check:
    """Return the validator of a table of phases with a coefficient of a kind each."""

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

    says = f"a table of phases, each with {kind.name}, a matrix of them, or a field"
    return Check(check, says=says, schema={"type": "object"})
