"""The table ``[effective]`` of a solute that reacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from homfem.config.fields import FieldCoefficient
from homfem.config.physics.coefficients import Coefficient, phases_of
from homfem.config.physics.effective_table import MESHED, EffectiveTable, check_phase, require_meshed
from homfem.config.table import Check, choice, flag, integer, text, tolerance_check
from homfem.parameters import InputError
from homfem.quantities import DIFFUSIVITY, PERMEABILITY, RATE, Kind, Quantity, parse_quantity


def _rates_of(kind: Kind, of: str, such: str) -> Check:
    def check(value: Any) -> dict[str, Quantity]:
        if not isinstance(value, dict) or not value:
            raise InputError("", value, f"a table of {of} with {kind.name} each, such as {such} = {kind.example!r}")
        return {name: parse_quantity(name, rate, kind, at_least=0.0) for name, rate in value.items()}

    return Check(check, says=f"a table of {of}, each with {kind.name}", schema={"type": "object"})


class Reaction(EffectiveTable):
    """A solute that diffuses and reacts in the named phases and on interfaces; the others do not let it in.

    The result is the rate of decay with its bounds and the diffusivity, both per volume of the active phases.
    """

    runner = "homfem.runs.reactions:reaction"

    example: ClassVar[Mapping[str, Any]] = {
        "phases": {"fibre": "10 um^2/s", "matrix": "100 um^2/s"},
        "rates": {"fibre": "0.2 1/s"},
    }

    physics: Annotated[str, choice("reaction")] = "reaction"
    method: Annotated[str, text("the name of a method")] = MESHED
    """How it is solved."""
    regime: Annotated[str, choice("finite", "slow", "inclusions")] = "finite"
    """`finite`: at any rate; `slow`: the limit of fast diffusion, with a warning where it is none; `inclusions`: slow
    diffusion in the phases that have a rate, steady, with the effectiveness factor."""
    tolerance: Annotated[float, tolerance_check()] | None = None
    """Relative half-gap of the rate, and estimated relative error of the diffusivity, that are to be reached."""
    max_dofs: Annotated[int, integer(at_least=1, example=200000)] | None = None
    """Most unknowns that refinement may take."""
    bounds: Annotated[bool, flag()] | None = None
    """Whether the rate is bounded from both sides, by default where the mesh allows it; true: the diffusivity, too."""
    degree: Annotated[int, integer(at_least=1, at_most=4)] | None = None
    """Degree of the elements."""
    phases: Annotated[Mapping[str, Coefficient | FieldCoefficient], phases_of(DIFFUSIVITY)] = Field(
        description="a table [effective.phases] with the diffusivity of each phase that carries the solute"
    )
    rates: Annotated[Mapping[str, Quantity], _rates_of(RATE, "phases", "fibre")] | None = None
    """Rate of the reaction in phases; zero where it is not named."""
    interface_rates: (
        Annotated[Mapping[str, Quantity], _rates_of(PERMEABILITY, "interfaces", "'fibre|matrix'")] | None
    ) = None
    """Rate of the reaction on interfaces, by the names of their two phases."""

    @property
    def unit(self) -> str:
        """Unit of the diffusivity: that of the first phase."""
        return next(iter(self.phases.values())).unit

    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse all methods but the finite elements."""
        require_meshed(self.method, "reaction")

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse phases and interfaces that the cell does not have, and a matrix of another dimension."""
        for name, coefficient in self.phases.items():
            at = f"effective.phases.{name}"
            check_phase(at, name, str(coefficient), phase_names)
            if dimension is not None and coefficient.dimension not in (None, dimension):
                raise InputError(at, str(coefficient), f"a number or a {dimension}x{dimension} matrix, as the cell")
        for name, rate in (self.rates or {}).items():
            if name not in self.phases:
                raise InputError(f"effective.rates.{name}", str(rate), "that of a phase of [effective.phases]")
        for name, rate in (self.interface_rates or {}).items():
            sides = name.split("|")
            if len(sides) == 2 and not any(side in self.phases for side in sides):
                allowed = "on an interface of a phase of [effective.phases], such as 'fibre|matrix'"
                raise InputError(f"effective.interface_rates.{name}", str(rate), allowed)
        if not any(rate.value > 0.0 for table in (self.rates, self.interface_rates) for rate in (table or {}).values()):
            allowed = "given with a rate above zero, or [effective.interface_rates]"
            raise InputError("effective.rates", None, allowed, "Without reaction the physics is 'diffusion'.")
        if self.regime == "inclusions":
            self._check_inclusions()

    def _check_inclusions(self) -> None:
        """Refuse interfaces that react, a rate of zero, and a cell with nothing around the inclusions."""
        if self.interface_rates:
            raise InputError("effective.interface_rates", "given", "absent with regime 'inclusions'")
        for name, rate in (self.rates or {}).items():
            if rate.value == 0.0:
                raise InputError(f"effective.rates.{name}", str(rate), "> 0 with regime 'inclusions'", "Leave it out.")
        if not set(self.phases) - set(self.rates or {}):
            allowed = "with a phase without a rate, around the inclusions"
            raise InputError("effective.phases", sorted(self.phases), allowed)


TABLES: Mapping[str, type[EffectiveTable]] = {"reaction": Reaction}
