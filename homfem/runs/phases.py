"""The effective tensors of the phases of a config's cell, for macroscale models."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from homfem.config import Config, present
from homfem.config.physics.coefficients import Coefficient
from homfem.runs.cells import build_cell
from homfem.runs.keys import keys_under
from homfem.runs.physics import solve_effective, with_symmetry

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.cells import UnitCell
    from homfem.tensors import EffectiveTensor


def phase_tensors(config: Config, comm: MPI.Comm) -> Callable[..., EffectiveTensor]:
    """Return a function that computes the tensor of a phase, the others left out, once; it is collective.

    It takes the phase, and if wanted a coefficient in place of that of ``[effective.phases]``.
    """

    @functools.cache
    def cell() -> UnitCell:
        return build_cell(config, comm)

    @functools.cache
    def compute(phase: str, coefficient: Coefficient | None = None) -> EffectiveTensor:
        unit_cell, effective = cell(), present("effective", config.effective)
        if coefficient is not None:
            phases = getattr(effective, "phases", {}) | {phase: coefficient}
            effective = effective.model_copy(update={"phases": phases})
        with keys_under("effective"):
            table = with_symmetry(effective, unit_cell)
            tensor: EffectiveTensor = solve_effective(table, unit_cell, config=config.document, only=[phase]).tensor
        return tensor

    return compute
