"""The table ``[effective]`` of Stokes flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from homfem.config.physics.effective_table import MESHED, EffectiveTable, require_absent
from homfem.config.table import Check, choice, flag, integer, quantity, text, tolerance_check
from homfem.parameters import InputError, check_choice
from homfem.quantities import LENGTH, Quantity


def fluid_names(value: Any) -> tuple[str, ...]:
    """Return the phases that flow."""
    names = value if isinstance(value, list) else [value]
    if not names or any(not isinstance(name, str) or not name for name in names):
        raise InputError("", value, "the name of the phase that flows, or a list of them")
    return tuple(names)


class Stokes(EffectiveTable):
    """Slow viscous flow through one phase; the others are solid.

    A ``tolerance`` is the relative half-gap of both bounds, or with ``bounds = false`` an estimate of the relative
    error, without guarantee.
    """

    runner = "homfem.runs.physics:stokes"
    voxel_runner = "homfem.runs.physics:stokes_on_voxels"

    example: ClassVar[Mapping[str, Any]] = {"fluid": "matrix"}

    physics: Annotated[str, choice("stokes")] = "stokes"
    method: Annotated[str, text("the name of a method")] = MESHED
    """How it is solved: `finite-element`, or `grid` between the voxels of an image."""
    fluid: Annotated[tuple[str, ...], Check(fluid_names, says="the name of a phase, or a list of them")] = Field(
        description="the phase that flows"
    )
    tolerance: Annotated[float, tolerance_check()] | None = None
    """Relative half-gap between the bounds, or an estimate of the error without them, as with `grid`."""
    max_dofs: Annotated[int, integer(at_least=1, example=200000)] | None = None
    """Most unknowns that refinement may take."""
    bounds: Annotated[bool, flag()] | None = None
    """Whether the permeability is bounded from both sides; by default with a tolerance."""
    degree: Annotated[int, integer(at_least=2, at_most=6)] | None = None
    """Degree of the velocity."""
    slip_length: Annotated[Quantity, quantity(LENGTH, above=0.0)] | None = None
    """Navier's slip length on the walls; no slip without it."""
    refine: Annotated[int, integer(at_least=1)] | None = None
    """With `grid`: parts along each side of a voxel."""
    boundary: Annotated[str, choice("periodic")] = "periodic"
    """The conditions on the cell."""
    symmetry: Annotated[str, choice("none", "auto")] | None = None
    """Whether mirror planes are looked for, so that a part of the cell is solved; by default where that may help."""

    @property
    def meshless(self) -> bool:
        """Whether the method is not that of finite elements on a mesh."""
        return self.method != MESHED

    @property
    def phases(self) -> Mapping[str, Any]:
        """No phase has a coefficient: the permeability is of the geometry alone."""
        return {}

    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse a method that the cell does not allow, and keys that it does not have."""
        known = (MESHED, *(method for method in methods if method == "grid"))
        check_choice("effective.method", self.method, known)
        own = ("degree", "slip_length", "bounds") if self.meshless else ("refine",)
        require_absent(self, own, self.method)
        if self.meshless and self.symmetry == "auto":
            raise InputError("effective.symmetry", "auto", "'none' with method 'grid'", "The whole image is solved.")

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse a fluid that the cell does not have."""
        if phase_names is not None:
            for name in self.fluid:
                check_choice("effective.fluid", name, tuple(phase_names))


TABLES: Mapping[str, type[EffectiveTable]] = {"stokes": Stokes}
