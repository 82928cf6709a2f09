"""The table ``[effective]`` of cells that follow an attractant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from homfem.config.physics.coefficients import Coefficient, parse_coefficient
from homfem.config.physics.effective_table import EffectiveTable, check_phase, require_meshed
from homfem.config.physics.electrodiffusion import by_phase
from homfem.config.physics.methods import FiniteElement
from homfem.config.table import choice
from homfem.parameters import InputError, UnitError
from homfem.quantities import DIFFUSIVITY, Kind, Quantity, check_unit, parse_quantity

ANY_SENSITIVITY = Kind(name="a sensitivity", unit="", example="0.3 um^2/s/uM")
#: Per what an attractant is measured: nothing, an amount, a mass or a number per volume.
PER = ("1", "m^3/mol", "m^3/kg", "m^3")


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The sensitivity of one phase: a number of either sign or a matrix, in one unit."""

    value: float | tuple[tuple[float, ...], ...]
    unit: str

    @property
    def dimension(self) -> int | None:
        """Size of the matrix; None for a number."""
        return len(self.value) if isinstance(self.value, tuple) else None

    def __str__(self) -> str:
        return f"{self.value} {self.unit}"

    def to(self, unit: str) -> float | list[list[float]]:
        """Return the number or the matrix in another unit."""
        if isinstance(self.value, tuple):
            return [[Quantity(entry, self.unit).to(unit) for entry in row] for row in self.value]
        return Quantity(self.value, self.unit).to(unit)


def _one(name: str, value: Any) -> Quantity:
    found = parse_quantity(name, value, ANY_SENSITIVITY)
    for per in PER:
        try:
            check_unit(
                name, found.unit, Kind(name="a sensitivity", unit=f"m^2/s*{per}", example=ANY_SENSITIVITY.example)
            )
        except UnitError:
            continue
        return found
    remedy = "It is a diffusivity, or one over the concentration of the attractant (an amount, a mass or a number)."
    raise UnitError(name, value, ANY_SENSITIVITY.allowed, remedy)


def _sensitivity(value: Any) -> Sensitivity:
    if not isinstance(value, list):
        one = _one("", value)
        return Sensitivity(one.value, one.unit)
    size = len(value)
    if size not in (2, 3) or any(not isinstance(row, list) or len(row) != size for row in value):
        raise InputError("", value, f"{ANY_SENSITIVITY.name} or a square matrix of them, 2x2 or 3x3")
    entries = [[_one(f"[{i}][{j}]", entry) for j, entry in enumerate(row)] for i, row in enumerate(value)]
    unit = entries[0][0].unit
    try:
        return Sensitivity(tuple(tuple(entry.to(unit) for entry in row) for row in entries), unit)
    except UnitError as error:
        raise InputError("", value, "a matrix whose entries are all in units of one dimension", error.remedy) from error


def _diffusing(value: Any) -> Coefficient:
    return parse_coefficient(value, DIFFUSIVITY)


_DIFFUSIVITIES = "a diffusivity, or a matrix of them, such as '10 um^2/s'"


class Chemotaxis(EffectiveTable, FiniteElement):
    """Cells that follow an attractant: effective motility, sensitivity, and diffusion of the attractant."""

    runner = "homfem.runs.chemotaxis:chemotaxis"

    example: ClassVar[Mapping[str, Any]] = {
        "motility": {"fibre": "1 um^2/s", "matrix": "10 um^2/s"},
        "sensitivity": {"fibre": "1 um^2/s/uM", "matrix": "4 um^2/s/uM"},
        "attractant": {"fibre": "300 um^2/s", "matrix": "30 um^2/s"},
    }

    physics: Annotated[str, choice("chemotaxis")] = "chemotaxis"
    method: Annotated[str, choice("finite-element")] = "finite-element"
    """How it is solved."""
    boundary: Annotated[str, choice("periodic")] = "periodic"
    """The conditions on the cell."""
    membranes: None = None
    """Interfaces resist nothing."""
    symmetry: Annotated[str, choice("none")] = "none"
    """The whole cell is solved."""
    motility: Annotated[Mapping[str, Coefficient], by_phase(_diffusing, _DIFFUSIVITIES)] = Field(
        description="a table [effective.motility] with the motility of the cells in each phase in which they move"
    )
    sensitivity: Annotated[
        Mapping[str, Sensitivity],
        by_phase(_sensitivity, "a sensitivity, or a matrix of them, such as '0.3 um^2/s/uM'"),
    ] = Field(
        description="a table [effective.sensitivity] with that of the cells in each phase in which they follow the "
        "attractant, negative where they flee it"
    )
    attractant: Annotated[Mapping[str, Coefficient], by_phase(_diffusing, _DIFFUSIVITIES)] = Field(
        description="a table [effective.attractant] with its diffusivity in each phase in which it diffuses"
    )

    @property
    def phase_names(self) -> tuple[str, ...]:
        """The phases in which cells move or the attractant diffuses."""
        return tuple(dict.fromkeys([*self.motility, *self.attractant]))

    @property
    def unit(self) -> str:
        """Unit of the motility and of the attractant's diffusivity: that of the first phase."""
        return next(iter(self.motility.values())).unit

    @property
    def sensitivity_unit(self) -> str:
        """Unit of the result: that of the first phase."""
        return next(iter(self.sensitivity.values())).unit

    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse all methods but the finite elements."""
        require_meshed(self.method, self.physics)

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse phases and matrices that do not fit the cell, and a sensitivity where no cell moves."""
        for key in ("motility", "sensitivity", "attractant"):
            table: Mapping[str, Coefficient | Sensitivity] = getattr(self, key)
            for phase, value in table.items():
                at = f"effective.{key}.{phase}"
                check_phase(at, phase, str(value), phase_names)
                if dimension is not None and value.dimension not in (None, dimension):
                    raise InputError(at, str(value), f"a number or a {dimension}x{dimension} matrix, as the cell")
        for phase, given in self.sensitivity.items():
            at = f"effective.sensitivity.{phase}"
            for key, what in (("motility", "no cell moves"), ("attractant", "no attractant is")):
                if phase not in getattr(self, key) and np.any(given.value):
                    remedy = f"Give the phase its {key}, or leave its sensitivity out."
                    raise InputError(at, str(given), f"0 where {what}", remedy)
            try:
                given.to(self.sensitivity_unit)
            except UnitError as error:
                allowed = f"a sensitivity in a unit that converts to {self.sensitivity_unit}"
                raise InputError(at, str(given), allowed, error.remedy) from error


TABLES: Mapping[str, type[EffectiveTable]] = {"chemotaxis": Chemotaxis}
