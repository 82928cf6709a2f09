"""The tables ``[effective]`` of diffusion and of electric conduction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from homfem.config.fields import FieldCoefficient
from homfem.config.physics.coefficients import Coefficient, phases_of
from homfem.config.physics.effective_table import BOUNDARIES, MESHED, EffectiveTable, check_phase, refuse_tolerance
from homfem.config.physics.methods import (
    METHOD_KEYS,
    CornerGalerkin,
    FiniteElement,
    FiniteVolume,
    Grid,
    SemiAnalytical,
    check_section,
)
from homfem.config.table import Check, choice, text
from homfem.parameters import InputError, check_choice
from homfem.quantities import (
    CONDUCTANCE,
    CONDUCTIVITY,
    DIFFUSIVITY,
    HEAT_TRANSFER,
    PERMEABILITY,
    THERMAL_CONDUCTIVITY,
    Kind,
    Quantity,
    parse_quantity,
)


def _membranes_of(kind: Kind) -> Check:
    def check(value: Any) -> dict[str, Quantity]:
        if not isinstance(value, dict) or not value:
            allowed = f"a table of interfaces with {kind.name} each, such as 'fibre|matrix' = {kind.example!r}"
            raise InputError("", value, allowed)
        remedy = "Without a membrane phases are in perfect contact; a phase that is not named insulates."
        return {name: parse_quantity(name, h, kind, above=0.0, remedy=remedy) for name, h in value.items()}

    return Check(check, says=f"a table of interfaces, each with {kind.name}", schema={"type": "object"})


class Diffusion(EffectiveTable, CornerGalerkin, SemiAnalytical, FiniteVolume, Grid, FiniteElement):
    """Diffusion in the named phases; the others insulate. Each method has its own keys beside those of all."""

    runner = "homfem.runs.physics:diffusion"

    example: ClassVar[Mapping[str, Any]] = {"phases": {"fibre": "10 um^2/s", "matrix": "1 um^2/s"}}

    physics: Annotated[str, choice("diffusion")] = "diffusion"
    method: Annotated[str, text("the name of a method")] = MESHED
    """How it is solved: `finite-element`, or one of the shape's own."""
    boundary: Annotated[str, choice(*BOUNDARIES)] = "periodic"
    """Periodic, or the conditions on a window without periods."""
    membranes: Annotated[Mapping[str, Quantity], _membranes_of(PERMEABILITY)] | None = None
    """Interfaces that resist the flux, by the names of their two phases."""
    phases: Annotated[Mapping[str, Coefficient | FieldCoefficient], phases_of(DIFFUSIVITY)] = Field(
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
        check_section("effective", self.method, {key: getattr(self, key) for key in METHOD_KEYS})
        for name, value in self.phases.items():
            if isinstance(value, FieldCoefficient) and self.method not in (MESHED, "grid"):
                allowed = f"one value with method {self.method!r}"
                raise InputError(f"effective.phases.{name}", str(value), allowed)
        refuse_tolerance(self.tolerance, self.boundary)
        if self.meshless and self.boundary != "periodic":
            raise InputError("effective.boundary", self.boundary, f"'periodic' with method {self.method!r}")

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


class Conductivity(Diffusion):
    """Electric conduction: the equations of diffusion in the units of electricity."""

    example: ClassVar[Mapping[str, Any]] = {"phases": {"fibre": "0.5 S/m", "matrix": "2 S/m"}}

    physics: Annotated[str, choice("conductivity")] = "conductivity"
    membranes: Annotated[Mapping[str, Quantity], _membranes_of(CONDUCTANCE)] | None = None
    """Interfaces that resist the current, by the names of their two phases."""
    phases: Annotated[Mapping[str, Coefficient | FieldCoefficient], phases_of(CONDUCTIVITY)] = Field(
        description="a table [effective.phases] with the conductivity of each phase that conducts"
    )

    @property
    def unit(self) -> str:
        """Unit of the result, whatever the phases are given in."""
        return CONDUCTIVITY.unit


class HeatConduction(Diffusion):
    """Conduction of heat: the equations of diffusion; interfaces may have a finite conductance (Kapitza)."""

    example: ClassVar[Mapping[str, Any]] = {"phases": {"fibre": "30 W/(m*K)", "matrix": "0.2 W/(m*K)"}}

    physics: Annotated[str, choice("heat-conduction")] = "heat-conduction"
    membranes: Annotated[Mapping[str, Quantity], _membranes_of(HEAT_TRANSFER)] | None = None
    phases: Annotated[Mapping[str, Coefficient | FieldCoefficient], phases_of(THERMAL_CONDUCTIVITY)] = Field(
        description="a table [effective.phases] with the thermal conductivity of each phase that conducts"
    )


TABLES: Mapping[str, type[EffectiveTable]] = {
    "diffusion": Diffusion,
    "conductivity": Conductivity,
    "heat-conduction": HeatConduction,
}
