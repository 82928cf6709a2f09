"""The table ``[effective]`` of neutrons in a lattice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from homfem.config.physics.effective_table import MESHED, EffectiveTable, check_phase, require_meshed
from homfem.config.table import Check, choice, flag, integer, refuse_unknown, renamed, text, tolerance_check
from homfem.parameters import InputError
from homfem.quantities import INVERSE_LENGTH, LENGTH, Kind, Quantity, parse_quantity

KEYS = ("diffusion", "absorption", "production", "scattering")


@dataclass(frozen=True, slots=True)
class PhaseData:
    """The data of one phase, each with a number for each group; scattering has a row for each."""

    diffusion: tuple[Quantity, ...]
    absorption: tuple[Quantity, ...]
    production: tuple[Quantity, ...] | None
    scattering: tuple[tuple[Quantity, ...], ...] | None

    def __str__(self) -> str:
        return "diffusion " + ", ".join(f"{one.value:g} {one.unit}" for one in self.diffusion)

    def to(self, length: str) -> dict[str, Any]:
        """Return the numbers in a unit of length."""
        per = f"1/({length})"
        found: dict[str, Any] = {
            "diffusion": [one.to(length) for one in self.diffusion],
            "absorption": [one.to(per) for one in self.absorption],
        }
        if self.production is not None:
            found["production"] = [one.to(per) for one in self.production]
        if self.scattering is not None:
            found["scattering"] = [[one.to(per) for one in row] for row in self.scattering]
        return found


def _listed(name: str, value: Any, kind: Kind, *, positive: bool = False) -> tuple[Quantity, ...]:
    above, at_least = (0.0, -math.inf) if positive else (-math.inf, 0.0)
    if not isinstance(value, list):
        return (parse_quantity(name, value, kind, above=above, at_least=at_least),)
    return tuple(
        parse_quantity(f"{name}[{g}]", one, kind, above=above, at_least=at_least) for g, one in enumerate(value)
    )


def _phase(value: Any) -> PhaseData:
    if not isinstance(value, dict):
        example = "{ diffusion = '0.5 cm', absorption = '0.1 1/cm', production = '0.12 1/cm' }"
        raise InputError("", value, f"a table such as {example}; lists with one entry for each group")
    refuse_unknown("", value, list(KEYS))
    for key in ("diffusion", "absorption"):
        if key not in value:
            raise InputError(key, None, "given")
    diffusion = _listed("diffusion", value["diffusion"], LENGTH, positive=True)
    groups = len(diffusion)
    if not groups:
        raise InputError("diffusion", value["diffusion"], "a length, or a list of one for each group")
    wanted = "1 entry" if groups == 1 else f"{groups} entries"
    listed = {key: _listed(key, value[key], INVERSE_LENGTH) for key in KEYS[1:3] if key in value}
    for key, entries in listed.items():
        if len(entries) != groups:
            raise InputError(key, value[key], f"{wanted}, as diffusion: one for each group")
    scattering = None
    if "scattering" in value:
        rows = value["scattering"]
        if (
            not isinstance(rows, list)
            or len(rows) != groups
            or any(not isinstance(row, list) or len(row) != groups for row in rows)
        ):
            raise InputError("scattering", rows, f"a row of {wanted} for each group, from which it is")
        scattering = tuple(_listed(f"scattering[{g}]", row, INVERSE_LENGTH) for g, row in enumerate(rows))
    return PhaseData(diffusion, listed["absorption"], listed.get("production"), scattering)


def _phases(value: Any) -> dict[str, PhaseData]:
    if not isinstance(value, dict) or not value:
        raise InputError("", value, "a table with the data of every phase")
    result = {}
    for name, entry in value.items():
        try:
            result[name] = _phase(entry)
        except InputError as error:
            raise renamed(error, f"{name}.{error.name}" if error.name else name) from error
    if len({len(one.diffusion) for one in result.values()}) > 1:
        raise InputError("", list(result), "phases with one number of groups")
    return result


def _spectrum(value: Any) -> tuple[float, ...]:
    good = isinstance(value, list) and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in value)
    if not good or any(not x >= 0.0 for x in value) or abs(sum(value) - 1.0) > 1e-9:
        raise InputError("", value, "a list of numbers >= 0, one for each group, that add up to 1")
    return tuple(float(x) for x in value)


class Multiplication(EffectiveTable):
    """Neutrons in a lattice, one group or several: multiplication, weighted cross-sections, migration area."""

    runner = "homfem.runs.reactions:multiplication"

    example: ClassVar[Mapping[str, Any]] = {
        "phases": {
            "fibre": {"diffusion": "0.9 cm", "absorption": "0.3 1/cm", "production": "0.4 1/cm"},
            "matrix": {"diffusion": "0.3 cm", "absorption": "0.02 1/cm"},
        }
    }

    example_cell: ClassVar[Mapping[str, Any]] = {
        "shape": "fibre-array",
        "fraction": 0.3,
        "dimension": 2,
        "period": "1.5 cm",
        "resolution": 0.1,
    }

    physics: Annotated[str, choice("multiplication")] = "multiplication"
    method: Annotated[str, text("the name of a method")] = MESHED
    """How it is solved."""
    tolerance: Annotated[float, tolerance_check()] | None = None
    """Relative half-gap of the multiplication, and estimated relative error of the migration area; of one group."""
    max_dofs: Annotated[int, integer(at_least=1, example=200000)] | None = None
    """Most unknowns that refinement may take."""
    bounds: Annotated[bool, flag()] | None = None
    """Whether the multiplication is bounded from both sides; by default for one group where the mesh allows it."""
    degree: Annotated[int, integer(at_least=1, at_most=4)] | None = None
    """Degree of the elements."""
    phases: Annotated[
        Mapping[str, PhaseData],
        Check(_phases, says="a table of phases, each with its data", schema={"type": "object"}),
    ] = Field(
        description="a table [effective.phases] with { diffusion, absorption, production, scattering } of every phase, "
        "with lists for several groups; a row of scattering has what leaves that group"
    )
    spectrum: (
        Annotated[
            tuple[float, ...],
            Check(_spectrum, says="a list of numbers that add up to 1", schema={"type": "array"}),
        ]
        | None
    ) = None
    """The part of the fission neutrons that is born in each group; by default all in the first."""

    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse all methods but the finite elements."""
        require_meshed(self.method, "multiplication")

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse phases that the cell does not have or that have no data, and a spectrum of other groups."""
        for name, data in self.phases.items():
            check_phase(f"effective.phases.{name}", name, str(data), phase_names)
        for name in phase_names or ():
            if name not in self.phases:
                raise InputError(f"effective.phases.{name}", None, "given: neutrons are in every phase")
        groups = len(next(iter(self.phases.values())).diffusion)
        if self.spectrum is not None and len(self.spectrum) != groups:
            raise InputError("effective.spectrum", list(self.spectrum), f"{groups} numbers, one for each group")


TABLES: Mapping[str, type[EffectiveTable]] = {"multiplication": Multiplication}
