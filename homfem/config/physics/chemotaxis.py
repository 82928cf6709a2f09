"""The table ``[effective]`` of cells that follow an attractant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from homfem.config.functions import FunctionTable, is_function, parse_function
from homfem.config.physics.coefficients import Coefficient, parse_coefficient
from homfem.config.physics.effective_table import EffectiveTable, check_phase, require_meshed
from homfem.config.physics.electrodiffusion import by_phase
from homfem.config.physics.methods import FiniteElement
from homfem.config.table import choice, keys_from
from homfem.parameters import InputError, UnitError
from homfem.quantities import DIFFUSIVITY, Kind, Quantity, check_unit, parse_quantity

ANY_SENSITIVITY = Kind(name="a sensitivity", unit="", example="0.3 um^2/s/uM")
#: Of functions, where no phase has a unit of its own: that in which what comes out of the function converts.
UNITS = ("um^2/s", "um^2/s/uM", "um^2/s/(mg/l)", "um^5/s")
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


def _sensitivity(value: Any) -> Sensitivity | FunctionTable:
    if is_function(value):
        return parse_function(value)
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


def _diffusing(value: Any) -> Coefficient | FunctionTable:
    return parse_function(value) if is_function(value) else parse_coefficient(value, DIFFUSIVITY)


_DIFFUSIVITIES = "a diffusivity, a matrix of them, or a function of position, such as '10 um^2/s'"


def _shown(value: Coefficient | Sensitivity | FunctionTable) -> str:
    return str(value.expression) if isinstance(value, FunctionTable) else str(value)


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
    motility: Annotated[Mapping[str, Any], by_phase(_diffusing, _DIFFUSIVITIES)] = Field(
        description="a table [effective.motility] with the motility of the cells in each phase in which they move; "
        'of all three tables also a function of position, `{ expression = "d*(1 + x/L)", parameters = '
        '{ d = "1 um^2/s", L = "20 um" } }`, which is sampled in each mesh cell: then without bounds'
    )
    sensitivity: Annotated[
        Mapping[str, Any],
        by_phase(_sensitivity, "a sensitivity, a matrix of them, or a function of position, such as '0.3 um^2/s/uM'"),
    ] = Field(
        description="a table [effective.sensitivity] with that of the cells in each phase in which they follow the "
        "attractant, negative where they flee it"
    )
    attractant: Annotated[Mapping[str, Any], by_phase(_diffusing, _DIFFUSIVITIES)] = Field(
        description="a table [effective.attractant] with its diffusivity in each phase in which it diffuses"
    )

    @property
    def phase_names(self) -> tuple[str, ...]:
        """The phases in which cells move or the attractant diffuses."""
        return tuple(dict.fromkeys([*self.motility, *self.attractant]))

    @property
    def unit(self) -> str:
        """Unit of the motility and of the attractant's diffusivity: that of the first phase that has one."""
        return _first_unit([*self.motility.values(), *self.attractant.values()]) or UNITS[0]

    @property
    def sensitivity_unit(self) -> str:
        """Unit of the result: that of the first phase that has one."""
        return _first_unit(list(self.sensitivity.values())) or self._unit_of_functions()

    def _unit_of_functions(self) -> str:
        phase, first = next(iter(self.sensitivity.items()))
        assert isinstance(first, FunctionTable)  # nothing else is without a unit
        for unit in UNITS:
            try:
                first.function(unit, timed=False)
            except UnitError:
                continue
            return unit
        remedy = "It is a diffusivity, or one over the concentration of the attractant (an amount, a mass or a number)."
        at = f"effective.sensitivity.{phase}.expression"
        raise UnitError(at, first.expression, ANY_SENSITIVITY.allowed, remedy)

    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse all methods but the finite elements."""
        require_meshed(self.method, self.physics)

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse phases and matrices that do not fit the cell, and a sensitivity where no cell moves."""
        for key in ("motility", "sensitivity", "attractant"):
            table: Mapping[str, Coefficient | Sensitivity | FunctionTable] = getattr(self, key)
            for phase, value in table.items():
                at = f"effective.{key}.{phase}"
                check_phase(at, phase, _shown(value), phase_names)
                if isinstance(value, FunctionTable):
                    with keys_from({}, at):
                        unit = self.sensitivity_unit if key == "sensitivity" else self.unit
                        value.function(unit, dimension=dimension or 3, timed=False)
                elif dimension is not None and value.dimension not in (None, dimension):
                    raise InputError(at, str(value), f"a number or a {dimension}x{dimension} matrix, as the cell")
        for phase, given in self.sensitivity.items():
            at = f"effective.sensitivity.{phase}"
            for key, what in (("motility", "no cell moves"), ("attractant", "no attractant is")):
                if phase not in getattr(self, key) and (isinstance(given, FunctionTable) or np.any(given.value)):
                    remedy = f"Give the phase its {key}, or leave its sensitivity out."
                    raise InputError(at, _shown(given), f"0 where {what}", remedy)
            if isinstance(given, FunctionTable):
                continue
            try:
                given.to(self.sensitivity_unit)
            except UnitError as error:
                allowed = f"a sensitivity in a unit that converts to {self.sensitivity_unit}"
                raise InputError(at, str(given), allowed, error.remedy) from error


def _first_unit(values: Sequence[Coefficient | Sensitivity | FunctionTable]) -> str:
    """The unit of the first that has one; empty where all are functions."""
    return next((value.unit for value in values if not isinstance(value, FunctionTable)), "")


TABLES: Mapping[str, type[EffectiveTable]] = {"chemotaxis": Chemotaxis}
