"""The table ``[effective]`` of dispersion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from homfem.config.fields import FieldCoefficient
from homfem.config.functions import FunctionTable, parse_function
from homfem.config.physics.coefficients import Coefficient, phases_of
from homfem.config.physics.effective_table import MESHED, EffectiveTable, check_phase, require_absent
from homfem.config.physics.stokes import fluid_names
from homfem.config.table import Check, Missing, choice, flag, integer, listed, numbers, quantity, text, tolerance_check
from homfem.parameters import InputError, check_choice, check_number
from homfem.quantities import DIFFUSIVITY, LENGTH, PERMEABILITY, SPEED, Quantity, parse_quantity


def _peclet(value: Any) -> float | tuple[float, ...]:
    remedy = "Turn the direction round for the reversed flow."
    if isinstance(value, list):
        if not value:
            raise InputError("", value, "a number >= 0, or a list of them")
        return tuple(check_number(f"[{k}]", one, at_least=0.0, remedy=remedy) for k, one in enumerate(value))
    return check_number("", value, at_least=0.0, remedy=remedy)


def _wall_rate(value: Any) -> Quantity:
    if value == "infinite":
        return Quantity(value=math.inf, unit="m/s")
    return parse_quantity("", value, PERMEABILITY, at_least=0.0, remedy='Walls that take all are "infinite".')


class Dispersion(EffectiveTable):
    """Diffusion in a flow through the cell, as it appears on the scale of many cells.

    The flow is that of a fluid between walls (Stokes), or a given ``velocity`` or ``stream_function``. The result is
    per volume of the phases that carry.
    """

    runner = "homfem.runs.dispersion:dispersion"
    voxel_runner = "homfem.runs.dispersion:dispersion_on_voxels"

    example: ClassVar[Mapping[str, Any]] = {"phases": {"matrix": "1 um^2/s"}, "peclet": 10.0}

    physics: Annotated[str, choice("dispersion")] = "dispersion"
    method: Annotated[str, text("the name of a method")] = MESHED
    """How it is solved: `finite-element`, or `grid` between the voxels of an image."""
    phases: Annotated[Mapping[str, Coefficient | FieldCoefficient], phases_of(DIFFUSIVITY)] = Field(
        description="a table [effective.phases] with the diffusivity of each phase that carries"
    )
    fluid: Annotated[tuple[str, ...], Check(fluid_names, says="the name of a phase, or a list of them")] | None = None
    """The phase that flows; by default the only one that carries."""
    peclet: (
        Annotated[Any, Check(_peclet, says="a number >= 0, or a list of them", schema={"type": ["number", "array"]})]
        | None
    ) = None
    """Mean speed in the fluid times the shortest period over its diffusivity; a given flow may be taken as it is."""
    direction: (
        Annotated[
            tuple[float, ...],
            listed(lambda value: check_number("", value), (2, 3), "a direction, such as [1, 0]"),
        ]
        | None
    ) = None
    """That of the mean velocity of the Stokes flow; by default the first axis."""
    velocity: (
        Annotated[
            FunctionTable,
            Check(lambda value: parse_function(value, vector=True), says="a table", schema={"type": "object"}),
        ]
        | None
    ) = None
    """A given flow, in place of the Stokes flow: without divergence, through no wall, periodic."""
    stream_function: (
        Annotated[FunctionTable, Check(parse_function, says="a table", schema={"type": "object"})] | None
    ) = None
    """A given flow in the plane: its velocity is the derivative along y, and minus that along x."""
    mean_velocity: (
        Annotated[
            tuple[Quantity, ...],
            listed(lambda value: parse_quantity("", value, SPEED), (2,), 'two speeds, such as ["1 um/s", "0 um/s"]'),
        ]
        | None
    ) = None
    """What is added to the flow of the stream function."""
    sorption_length: Annotated[Quantity, quantity(LENGTH, at_least=0.0)] | None = None
    """What a unit concentration holds on an area of the walls, in equilibrium (linear sorption)."""
    wall_rate: (
        Annotated[
            Quantity,
            Check(
                _wall_rate,
                says=f'a speed >= 0, such as "{PERMEABILITY.example}", or "infinite"',
                schema={"type": "string", "examples": [PERMEABILITY.example, "infinite"]},
            ),
        ]
        | None
    ) = None
    """Rate of a reaction on the walls, per concentration and area ("infinite": the concentration on them is zero); the
    tensor is that of what is left."""
    partition: Annotated[Mapping[str, float], numbers("partition coefficients > 0 of phases")] | None = None
    """Concentration in a phase over that in the fluid, where it is not 1."""
    tolerance: Annotated[float, tolerance_check()] | None = None
    """Relative half-gap between the bounds that is to be reached; with `grid` an estimate of the error."""
    bounds: Annotated[bool, flag()] | None = None
    """Whether the tensor is bounded from both sides; by default with a tolerance."""
    max_dofs: Annotated[int, integer(at_least=1, example=200000)] | None = None
    """Most unknowns that a system may have."""
    degree: Annotated[int, integer(at_least=1, at_most=6)] | None = None
    """Degree of the elements."""
    refine: Annotated[int, integer(at_least=1)] | None = None
    """With `grid`: parts along each side of a voxel."""

    @property
    def meshless(self) -> bool:
        """Whether the method is not that of finite elements on a mesh."""
        return self.method != MESHED

    @property
    def unit(self) -> str:
        """Unit of the result: that of the first phase."""
        return next(iter(self.phases.values())).unit

    @property
    def several(self) -> bool:
        """Whether there are several results, one for each Peclet number."""
        return isinstance(self.peclet, tuple)

    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse a method that the cell does not allow, keys that it does not have, and two flows at once."""
        known = (MESHED, *(method for method in methods if method == "grid"))
        check_choice("effective.method", self.method, known)
        own: tuple[str, ...] = ("refine",)
        if self.meshless:
            own = ("velocity", "stream_function", "wall_rate", "bounds", "degree")
        require_absent(self, own, self.method)
        given = [key for key in ("velocity", "stream_function") if getattr(self, key) is not None]
        if len(given) > 1:
            raise InputError("effective.stream_function", "given", "left out beside effective.velocity")
        if self.mean_velocity is not None and self.stream_function is None:
            raise InputError("effective.mean_velocity", "given", "left out without effective.stream_function")
        if given and self.direction is not None:
            raise InputError("effective.direction", list(self.direction), f"left out beside effective.{given[0]}")
        if not given and self.peclet is None:
            allowed = "given, as a number >= 0 or a list of them"
            raise InputError("effective.peclet", Missing(), allowed, "It says how fast the fluid flows.")

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse phases that the cell does not have, and vectors of another dimension."""
        for name, coefficient in self.phases.items():
            at = f"effective.phases.{name}"
            check_phase(at, name, str(coefficient), phase_names)
            if dimension is not None and coefficient.dimension not in (None, dimension):
                raise InputError(at, str(coefficient), f"a number or a {dimension}x{dimension} matrix, as the cell")
        for name in self.fluid or ():
            check_choice("effective.fluid", name, tuple(self.phases))
        if self.fluid is None and len(self.phases) > 1:
            raise InputError("effective.fluid", Missing(), f"one of {', '.join(map(repr, self.phases))}")
        for name, value in (self.partition or {}).items():
            check_choice("effective.partition", name, tuple(self.phases))
            check_number(f"effective.partition.{name}", value, above=0.0)
        if dimension is None:
            return
        if self.direction is not None and len(self.direction) != dimension:
            allowed = f"{dimension} numbers, as the cell has dimensions"
            raise InputError("effective.direction", list(self.direction), allowed)
        if self.velocity is not None and len(self.velocity.expression) != dimension:
            allowed = f"{dimension} expressions, as the cell has dimensions"
            raise InputError("effective.velocity.expression", list(self.velocity.expression), allowed)
        if self.stream_function is not None and dimension != 2:
            raise InputError("effective.stream_function", "given", "left out in space", "Give a velocity there.")


TABLES: Mapping[str, type[EffectiveTable]] = {"dispersion": Dispersion}
