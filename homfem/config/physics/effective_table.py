"""What every table ``[effective]`` has, and the checks that several share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from homfem.config.table import Table
from homfem.parameters import InputError, nearest_name

MESHED = "finite-element"
BOUNDARIES = ("periodic", "affine", "flux", "mixed")


class EffectiveTable(Table):
    """What every physics has."""

    #: The function that solves it, ``"package.module:function"``, called with the table, the cell, and by name the
    #: ``config`` as it was written and ``only`` (the phases that carry the field, or None for all); collective. It
    #: returns a solution with a ``tensor``.
    runner: ClassVar[str]
    #: The same on the voxels of an image, where it is no diffusion problem: called with the image, the table, and
    #: whether fields are kept.
    voxel_runner: ClassVar[str] = ""

    #: What a template gives (:mod:`homfem.config.templates`): the keys that are required, with those of the tables that
    #: this one is made from; and the table ``[cell]`` that it goes with, where that is not the usual array of fibres.
    #: Further templates by their names, each with its ``cell``.
    example: ClassVar[Mapping[str, Any]] = {}
    example_cell: ClassVar[Mapping[str, Any]] = {}
    further_examples: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    physics: str

    @property
    def meshless(self) -> bool:
        """Whether the method needs no mesh, and the cell's table computes the tensor itself."""
        return False

    @property
    def several(self) -> bool:
        """Whether there are several results, such as one for each Peclet number."""
        return False

    @property
    def phase_names(self) -> tuple[str, ...]:
        """The phases that carry the field."""
        return tuple(getattr(self, "phases", ()))

    @abstractmethod
    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse phases and coefficients that do not fit a cell, as far as it is known."""

    def located(self, folder: Path) -> EffectiveTable:
        """Return the table with the paths of its files from ``folder``; refuse files that are missing."""
        phases: Mapping[str, Any] = getattr(self, "phases", {})
        placed = {
            name: value.located(f"effective.phases.{name}", folder)
            for name, value in phases.items()
            if hasattr(value, "located")
        }
        return self.model_copy(update={"phases": {**phases, **placed}}) if placed else self

    @abstractmethod
    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse a method that the cell does not allow; ``methods`` are those it allows beside the finite elements."""


def check_phase(at: str, name: str, value: str, phase_names: Sequence[str] | None) -> None:
    """Refuse a phase that a cell does not have, as far as its phases are known."""
    if phase_names is not None and name not in phase_names:
        near = nearest_name(name, phase_names).replace("'", "'effective.phases.", 1)
        raise InputError(at, value, f"a phase of this cell: {', '.join(phase_names)}", near)


def require_absent(table: EffectiveTable, keys: Sequence[str], method: str) -> None:
    """Refuse keys that a method does not have; what is left out, or false, stands for no value."""
    for key in keys:
        value = getattr(table, key)
        if value is not None and value is not False:
            shown = value if isinstance(value, (bool, int, float)) else str(value)
            shown = "given" if isinstance(value, Table) else shown
            raise InputError(f"effective.{key}", shown, f"absent with method {method!r}", "It belongs to meshes.")


def require_meshed(method: str, physics: str) -> None:
    """Refuse all methods but the finite elements."""
    if method != MESHED:
        raise InputError("effective.method", method, f"{MESHED!r} for {physics}")


def refuse_tolerance(tolerance: float | None, boundary: str) -> None:
    """Refuse a tolerance where there are no bounds from both sides."""
    if tolerance is not None and boundary != "periodic":
        remedy = "Only the periodic problem is bounded from both sides: choose cell.resolution instead."
        raise InputError("effective.tolerance", tolerance, f"absent with boundary {boundary!r}", remedy)
