"""The table ``[effective]`` of the bidomain of heart muscle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from homfem.config.physics.coefficients import Coefficient, phases_of
from homfem.config.physics.effective_table import EffectiveTable, check_phase
from homfem.config.physics.methods import FiniteElement
from homfem.config.table import Check, choice
from homfem.parameters import InputError
from homfem.quantities import AREA_RESISTANCE, CONDUCTIVITY, Quantity, parse_quantity


def _resistance(value: Any) -> Quantity | dict[str, Quantity]:
    remedy = "A junction that resists nothing is left out; one that lets nothing through is no junction."
    if not isinstance(value, dict):
        return parse_quantity("", value, AREA_RESISTANCE, above=0.0, remedy=remedy)
    if not value:
        raise InputError("", value, f"{AREA_RESISTANCE.allowed}, or a table of them by the faces of junctions")
    return {name: parse_quantity(name, r, AREA_RESISTANCE, above=0.0, remedy=remedy) for name, r in value.items()}


class Bidomain(EffectiveTable, FiniteElement):
    """Both conductivities of heart muscle and the area of its membrane."""

    runner = "homfem.runs.physics:bidomain"

    example: ClassVar[Mapping[str, Any]] = {
        "phases": {"intracellular": "0.5 S/m", "extracellular": "2 S/m"},
        "resistance": "0.15 kohm*mm^2",
    }
    example_cell: ClassVar[Mapping[str, Any]] = {"shape": "myocyte"}

    physics: Annotated[str, choice("bidomain")] = "bidomain"
    method: Annotated[str, choice("finite-element")] = "finite-element"
    """How it is solved."""
    boundary: Annotated[str, choice("periodic")] = "periodic"
    """The conditions on the cell."""
    membranes: None = None
    """The membrane insulates; what junctions resist is `resistance`."""
    symmetry: Annotated[str, choice("none")] = "none"
    """The whole cell is solved."""
    resistance: Annotated[Any, Check(_resistance, says="a resistance times an area, or a table of them", schema={})] = (
        None
    )
    """What the gap junctions resist, per area: one for all, or a table by `end-junctions` and `side-junctions`."""
    phases: Annotated[Mapping[str, Coefficient], phases_of(CONDUCTIVITY)] = Field(
        description="a table [effective.phases] with the conductivity of `intracellular`, `extracellular` and, where "
        "it is another than inside, `junction`"
    )

    @property
    def unit(self) -> str:
        """Unit of the result."""
        return "mS/mm"

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse a phase that the cell does not have, one that is missing, and a matrix of another dimension."""
        for name in ("intracellular", "extracellular"):
            if name not in self.phases:
                raise InputError(f"effective.phases.{name}", None, f"given, {CONDUCTIVITY.allowed}")
        for name, coefficient in self.phases.items():
            at = f"effective.phases.{name}"
            check_phase(at, name, str(coefficient), phase_names)
            if dimension is not None and coefficient.dimension not in (None, dimension):
                raise InputError(at, str(coefficient), f"a number or a {dimension}x{dimension} matrix, as the cell")

    def check_method(self, methods: Sequence[str]) -> None:
        """Nothing to refuse: there is one method."""


TABLES: Mapping[str, type[EffectiveTable]] = {"bidomain": Bidomain}
