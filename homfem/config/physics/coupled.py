"""The tables ``[effective]`` of elasticity with one more load: temperature, pore pressure, active stress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from homfem.config.physics.effective_table import EffectiveTable
from homfem.config.physics.elasticity import Elasticity, SolidPhase, parse_solid
from homfem.config.table import Check, Missing, choice, flag, listed, quantity, renamed, same_unit, text
from homfem.parameters import InputError, check_choice, check_number
from homfem.quantities import EXPANSION, MODULUS, Quantity, parse_quantity
from homfem.stiffness import INDEX_NAMES, PAIRS


class CoupledElasticity(Elasticity):
    """What the three share: the keys of elasticity, of periodic cells that are solved whole."""

    boundary: Annotated[str, choice("periodic")] = "periodic"
    """The conditions on the cell."""
    symmetry: Annotated[str, choice("none")] = "none"
    """The whole cell is solved."""
    bounds: Annotated[bool, flag()] = True
    """Whether the stiffness is bounded from both sides."""


@dataclass(frozen=True, slots=True)
class ThermalPhase:
    """A solid with its thermal expansion: one number, or a Voigt strain, per unit of temperature."""

    solid: SolidPhase
    expansion: tuple[Quantity, ...]

    @property
    def unit(self) -> str:
        """Unit of the stiffness."""
        return self.solid.unit

    @property
    def dimension(self) -> int | None:
        """As :attr:`SolidPhase.dimension`."""
        return self.solid.dimension

    def __str__(self) -> str:
        return f"{self.solid}, expansion {', '.join(map(str, self.expansion))}"

    def located(self, at: str, folder: Path) -> ThermalPhase:
        """Return it with the paths of its fields from ``folder``."""
        return replace(self, solid=self.solid.located(at, folder))

    def to(self, unit: str) -> Any:
        """Return the stiffness in another unit."""
        return self.solid.to(unit)

    def expansion_in(self, unit: str) -> float | list[float]:
        """Return the number or the Voigt strain in another unit."""
        values = [entry.to(unit) for entry in self.expansion]
        return values[0] if len(values) == 1 else values


def _expansion(value: Any) -> tuple[Quantity, ...]:
    if not isinstance(value, list):
        return (parse_quantity(".expansion", value, EXPANSION),)
    if len(value) not in map(len, PAIRS.values()):
        orders = " or ".join(" ".join(names) for names in INDEX_NAMES.values())
        raise InputError(".expansion", value, f"{EXPANSION.allowed}, or a list of them in the order {orders}")
    return same_unit([parse_quantity(f".expansion[{k}]", entry, EXPANSION) for k, entry in enumerate(value)])


def _thermal_phases(value: Any) -> dict[str, ThermalPhase]:
    example = 'fibre = { young = "10 GPa", poisson = 0.3, expansion = "5e-6 1/K" }'
    if not isinstance(value, dict) or not value:
        raise InputError("", value, f"a table with one key per solid phase, such as {example}")
    result = {}
    for name, entry in value.items():
        if not isinstance(entry, dict):
            remedy = "A Voigt matrix stands under the key stiffness."
            raise InputError(name, entry, f"a table of constants and expansion, such as {example}", remedy)
        solid = {key: item for key, item in entry.items() if key != "expansion"}
        try:
            expansion = _expansion(entry.get("expansion", Missing()))
            result[name] = ThermalPhase(
                parse_solid(solid["stiffness"] if set(solid) == {"stiffness"} else solid), expansion
            )
        except InputError as error:
            raise renamed(error, f"{name}{error.name}") from error
    return result


class Thermoelasticity(CoupledElasticity):
    """Stiffness and thermal expansion. In plane strain ``expansion`` is that in the plane, as in Python."""

    runner = "homfem.runs.physics:thermoelasticity"

    example: ClassVar[Mapping[str, Any]] = {
        "phases": {
            "fibre": {"young": "70 GPa", "poisson": 0.2, "expansion": "5e-6 1/K"},
            "matrix": {"young": "3 GPa", "poisson": 0.35, "expansion": "60e-6 1/K"},
        }
    }

    physics: Annotated[str, choice("thermoelasticity")] = "thermoelasticity"
    phases: Annotated[
        Mapping[str, ThermalPhase],
        Check(_thermal_phases, says="a table of phases, each as elasticity has them, with `expansion`"),
    ] = Field(  # type: ignore[assignment]
        description="a table [effective.phases] with the stiffness and the expansion of each solid phase"
    )

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse an expansion of another dimension, and what elasticity refuses."""
        super().check(phase_names, dimension)
        for name, phase in self.phases.items():
            if dimension is not None and len(phase.expansion) not in (1, len(PAIRS[dimension])):
                allowed = f"one number, or {len(PAIRS[dimension])} in the order {' '.join(INDEX_NAMES[dimension])}"
                shown = [str(entry) for entry in phase.expansion]
                raise InputError(f"effective.phases.{name}.expansion", shown, allowed)


class Poroelasticity(CoupledElasticity):
    """Drained stiffness, Biot's tensor and Biot's modulus of a solid with voids."""

    runner = "homfem.runs.physics:poroelasticity"

    example: ClassVar[Mapping[str, Any]] = {"phases": {"matrix": {"young": "3 GPa", "poisson": 0.35}}}

    physics: Annotated[str, choice("poroelasticity")] = "poroelasticity"
    fluid_bulk: Annotated[Quantity, quantity(MODULUS, above=0.0)] | None = None
    """Bulk modulus of the fluid: the result then tells what the pores store."""


def _component(value: Any) -> float:
    return check_number("", value, remedy="A direction has pure numbers.")


class ActiveStress(CoupledElasticity):
    """Stiffness, and the macroscopic stress of a phase that contracts along a direction."""

    runner = "homfem.runs.physics:active_stress"

    example: ClassVar[Mapping[str, Any]] = {"active_phase": "fibre", "direction": [1.0, 0.0]}

    physics: Annotated[str, choice("active-stress")] = "active-stress"
    active_phase: Annotated[str, text("the name of the phase that contracts")]
    """The phase that contracts."""
    direction: Annotated[tuple[float, ...], listed(_component, (2, 3), "a list of 2 or 3 numbers, such as [1, 0, 0]")]
    """Along which it does."""
    tension: Annotated[Quantity, quantity(MODULUS)] | None = None
    """Its stress along the direction; 1 in the unit of the stiffness without it."""

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse a phase without stiffness, a direction of another dimension, and what elasticity refuses."""
        super().check(phase_names, dimension)
        check_choice("effective.active_phase", self.active_phase, tuple(self.phases))
        if not any(self.direction) or (dimension is not None and len(self.direction) != dimension):
            allowed = f"a vector of {dimension or '2 or 3'} numbers, not zero"
            raise InputError("effective.direction", list(self.direction), allowed)


TABLES: Mapping[str, type[EffectiveTable]] = {
    "thermoelasticity": Thermoelasticity,
    "poroelasticity": Poroelasticity,
    "active-stress": ActiveStress,
}
