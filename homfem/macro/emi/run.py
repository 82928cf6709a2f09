"""A run with resolved membranes: the model marched over a time grid, and its result."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Unpack

import numpy as np
from dolfinx import fem

from homfem.keywords import takes
from homfem.macro.activated import MarchOptions, MarchSettings, march_activated
from homfem.macro.emi.model import EmiModel
from homfem.macro.emi.problem import EmiMethod, EmiProblem
from homfem.macro.march import stage_table
from homfem.parameters import Array
from homfem.timestepping import TimeGrid

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EmiResult:
    """What a run gives. Arrays have one entry per time level, the start included; numbers are global.

    Parameters
    ----------
    times : array
        Times, ms.
    numbers : mapping of str to array
        ``"V maximum"``, ``"V minimum"`` (mV).
    fields : mapping of str to Function
        At the end V and the states on the membrane, and the potential of each space by its name.
    activation : Function
        Time at which V first passed the threshold, ms; inf where it did not, and off the membrane.
    arrival : array
        The same at the nodes of the membrane that the rank owns.
    finished : bool
        False if the run was interrupted.
    seconds : mapping
        Wall time by stage: setup, ODE, potentials, output, total.
    iterations, steps, dofs, nodes, ranks : int
        Of the linear solver in this run; steps done since the start of the grid; unknown potentials; nodes of the
        membrane; ranks.
    """

    times: Array
    numbers: Mapping[str, Array]
    fields: Mapping[str, fem.Function]
    activation: fem.Function | None
    arrival: Array
    finished: bool
    seconds: Mapping[str, float]
    iterations: int
    steps: int
    dofs: int
    nodes: int
    ranks: int

    def table(self) -> str:
        """Return where the time went: a row for each stage, with the iterations of its linear solver."""
        return stage_table(self.seconds, {"potentials": self.iterations})


@takes(MarchSettings)
def solve_emi(
    problem: EmiProblem,
    grid: TimeGrid,
    method: EmiMethod | None = None,
    *,
    threshold: float | None = None,
    **options: Unpack[MarchOptions],
) -> EmiResult:
    """March a problem over a time grid; collective.

    At the end the table of its stages is logged.

    Parameters
    ----------
    problem, grid, method
        What is solved, the time steps (ms), and how.
    threshold
        Record when V first passes this value (mV).
    **options
        As :class:`homfem.macro.activated.MarchSettings` has them.

    Raises
    ------
    InputError
        For bad input; CheckpointError for a checkpoint that is truncated or of another problem.
    ConvergenceError
        If a solver stalls or a state is no longer finite: with its node, the time, and its name.
    """
    model = EmiModel(problem, step=grid.step, method=method, time=grid.start)
    done, activation = march_activated(model, grid, "V", threshold, **options)
    result = EmiResult(
        times=done.times,
        numbers=done.numbers,
        fields=model.fields(),
        activation=activation,
        arrival=np.full(len(model.nodes), np.inf) if activation is None else activation.x.array[model.nodes],
        finished=done.finished,
        seconds=done.seconds,
        iterations=model.iterations,
        steps=done.steps,
        dofs=model.dofs,
        nodes=int(model.comm.allreduce(len(model.nodes))),
        ranks=model.comm.size,
    )
    if model.comm.rank == 0:
        log.info("%s: time by stage\n%s", model.name, result.table())
    return result
