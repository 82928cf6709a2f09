"""The tables ``[macro.buffers.NAME]``: what binds calcium in the cytosol and in the endoplasmic reticulum."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from homfem.config.cells import CellTable
from homfem.config.effective import EffectiveTable
from homfem.config.models.macro_table import ComputedTensor, TensorSource, check_source, source_of
from homfem.config.table import Check, Missing, Table, choice, flag, number, parse_table, quantity, tables_by_name
from homfem.kinds import DIFFUSION
from homfem.kinetics.calcium.buffers import BUFFERED_PHASES
from homfem.parameters import InputError
from homfem.quantities import BINDING_RATE, CONCENTRATION, DIFFUSIVITY, RATE, Quantity

_SOURCE = Annotated[TensorSource, source_of(DIFFUSION)]


def _regions(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        raise InputError("", value, "a list of names of regions, not empty")
    return tuple(value)


class BufferTable(Table):
    """``[macro.buffers.NAME]``: a buffer, and where it is; its field of bound calcium has its name."""

    total: Annotated[Quantity, quantity(CONCENTRATION, above=0.0)] = Field(
        description="its concentration, free and bound, per volume of its phase, such as '50 uM'"
    )
    k_on: Annotated[Quantity, quantity(BINDING_RATE, above=0.0)] | None = None
    """Rate of binding, such as `"100 1/(uM*s)"`; of a rapid buffer only its ratio to `k_off` counts."""
    k_off: Annotated[Quantity, quantity(RATE, above=0.0)] | None = None
    """Rate of release, such as `"50 1/s"`."""
    dissociation: Annotated[Quantity, quantity(CONCENTRATION, above=0.0)] | None = None
    """Calcium at which half of it is bound, in place of one of the rates, or of a rapid buffer of both."""
    diffusivity: Annotated[Quantity, quantity(DIFFUSIVITY, above=0.0)] | None = None
    """In its phase, as `[effective.phases]` has that of calcium; without it or `ratio` or `tensor` it is immobile."""
    ratio: Annotated[float, number(above=0.0)] | None = None
    """Its diffusivity over that of calcium, in place of the diffusivity."""
    tensor: _SOURCE | None = None
    """Its effective tensor, in place of the diffusivity."""
    phase: Annotated[str, choice(*BUFFERED_PHASES)] = "cytosol"
    """Where it is."""
    rapid: Annotated[bool, flag()] = False
    """Whether it is in equilibrium with calcium at all times: the rapid-buffer approximation."""
    initial: Annotated[Quantity, quantity(CONCENTRATION, at_least=0.0)] | None = None
    """Bound calcium at the start; without it in equilibrium with the calcium at the start."""
    regions: Annotated[tuple[str, ...], Check(_regions, says="a list of names of regions")] | None = None
    """The regions in which it is; without it wherever its phase is."""

    @model_validator(mode="after")
    def _fits(self) -> BufferTable:
        rates = [key for key in ("k_on", "k_off", "dissociation") if getattr(self, key) is not None]
        if len(rates) == 3:
            raise InputError("dissociation", str(self.dissociation), "absent where both rates are given")
        if len(rates) < 2 and not (self.rapid and rates == ["dissociation"]):
            missing = next(key for key in ("k_on", "k_off", "dissociation") if key not in rates)
            allowed = "given: two of k_on, k_off and dissociation, or of a rapid buffer dissociation alone"
            raise InputError(missing, Missing(), allowed)
        moves = [key for key in ("diffusivity", "ratio", "tensor") if getattr(self, key) is not None]
        if len(moves) > 1:
            raise InputError(moves[1], str(getattr(self, moves[1])), f"absent where {moves[0]} is given")
        if self.rapid and self.initial is not None:
            raise InputError("initial", str(self.initial), "absent: a rapid buffer is in equilibrium")
        if self.initial is not None and self.initial.to("uM") > self.total.to("uM"):
            remedy = "More calcium is bound at the start than there is of the buffer."
            raise InputError("initial", str(self.initial), f"at most the total, {self.total}", remedy)
        return self

    def rates(self) -> tuple[float, float]:
        """Return both rates in 1/(uM s) and 1/s; of a rapid buffer without rates those of k_on = 1/(uM s)."""
        on = None if self.k_on is None else self.k_on.to("1/(uM*s)")
        off = None if self.k_off is None else self.k_off.to("1/s")
        half = None if self.dissociation is None else self.dissociation.to("uM")
        if half is not None:
            on = on if on is not None else (1.0 if off is None else off / half)
            off = on * half
        return on or 0.0, off or 0.0

    def check_tensor(self, name: str, cell: CellTable | None, effective: EffectiveTable | None) -> None:
        """Refuse a tensor that cannot be computed, and a diffusivity where that of calcium is not known."""
        path = f"macro.buffers.{name}"
        if isinstance(self.tensor, ComputedTensor):
            self.tensor.check(f"{path}.tensor", cell, effective, DIFFUSION)

    def check_calcium(self, name: str, source: TensorSource) -> None:
        """Refuse a diffusivity in a phase whose tensor was not computed from the config's cell."""
        if self.diffusivity is not None and not isinstance(source, ComputedTensor):
            remedy = f"The tensor of the {self.phase} does not tell the diffusivity of calcium in it."
            raise InputError(f"macro.buffers.{name}.diffusivity", str(self.diffusivity), "given as ratio", remedy)


#: The validator of all of them.
BUFFERS = tables_by_name(lambda value: parse_table(BufferTable, value, ""), "buffer")


def check_buffers(
    buffers: Mapping[str, BufferTable],
    sources: Mapping[str, TensorSource],
    cell: CellTable | None,
    effective: EffectiveTable | None,
) -> None:
    """Refuse what does not fit the other tables of a config; ``sources`` are those of the tensors of calcium."""
    for name, table in buffers.items():
        table.check_tensor(name, cell, effective)
        table.check_calcium(name, sources[table.phase])


def check_files(buffers: Mapping[str, BufferTable], path: str, folder: Path) -> None:
    """Refuse files of tensors that are missing."""
    for name, table in buffers.items():
        if table.tensor is not None:
            check_source(f"{path}.buffers.{name}.tensor", table.tensor, folder)
