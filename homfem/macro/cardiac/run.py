"""A cardiac run: the model marched over a time grid, and its result."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Unpack

from dolfinx import fem

from homfem.keywords import takes
from homfem.macro.activated import MarchOptions, MarchSettings, march_activated
from homfem.macro.cardiac.model import CardiacModel
from homfem.macro.cardiac.problem import CardiacMethod, CardiacProblem
from homfem.macro.march import stage_table
from homfem.parameters import Array
from homfem.timestepping import TimeGrid

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CardiacResult:
    """What a run gives. Arrays have one entry per time level, the start included; numbers are global.

    Parameters
    ----------
    times : array
        Times, ms.
    numbers : mapping of str to array
        ``"V maximum"``, ``"V minimum"`` (mV), ``"parabolic iterations"`` in the step that led here; of a bidomain also
        ``"phi_e maximum"``, ``"phi_e minimum"``, ``"elliptic iterations"``.
    fields : mapping of str to Function
        At the end ``"V"``, of a bidomain ``"phi_e"`` (mV), and the states of the membrane.
    activation : Function or None
        Time at which V first passed the threshold, ms; inf where it did not.
    finished : bool
        False if the run was interrupted.
    seconds : mapping
        Wall time by stage: setup, ODE, parabolic, elliptic, transfer, output, total.
    iterations : mapping of str to int
        Of the linear solvers in this run, by stage.
    steps, dofs, ranks : int
        Steps done since the start of the grid; unknown potentials; ranks.
    """

    times: Array
    numbers: Mapping[str, Array]
    fields: Mapping[str, fem.Function]
    activation: fem.Function | None
    finished: bool
    seconds: Mapping[str, float]
    iterations: Mapping[str, int]
    steps: int
    dofs: int
    ranks: int

    def table(self) -> str:
        """Return where the time went: a row for each stage, with the iterations of its linear solver."""
        return stage_table(self.seconds, self.iterations)


@takes(MarchSettings)
def solve_cardiac(
    problem: CardiacProblem,
    grid: TimeGrid,
    method: CardiacMethod | None = None,
    *,
    threshold: float | None = None,
    **options: Unpack[MarchOptions],
) -> CardiacResult:
    """March a cardiac problem over a time grid; collective.

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
    model = CardiacModel(problem, step=grid.step, method=method, time=grid.start)
    done, activation = march_activated(model, grid, "V", threshold, **options)
    if model.comm.rank == 0:
        log.info("%s: time by stage\n%s", model.name, stage_table(done.seconds, model.iterations))
    return CardiacResult(
        times=done.times,
        numbers=done.numbers,
        fields=dict(model.fields()),
        activation=activation,
        finished=done.finished,
        seconds=done.seconds,
        iterations=dict(model.iterations),
        steps=done.steps,
        dofs=model.dofs,
        ranks=model.comm.size,
    )
