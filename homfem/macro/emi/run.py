"""A run with resolved membranes: the model marched over a time grid, and its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dolfinx import fem

from homfem.macro.emi.model import EmiModel
from homfem.macro.emi.problem import EmiMethod, EmiProblem
from homfem.macro.march import Checkpointer, march
from homfem.macro.observers import Activation, Observer
from homfem.parameters import Array
from homfem.timestepping import TimeGrid


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


def solve_emi(
    problem: EmiProblem,
    grid: TimeGrid,
    method: EmiMethod | None = None,
    *,
    threshold: float | None = None,
    checkpoint: Checkpointer | None = None,
    checkpoint_every: int = 1000,
    resume: bool = False,
    observers: Sequence[Observer] = (),
) -> EmiResult:
    """March a problem over a time grid; collective.

    Parameters
    ----------
    problem, grid, method
        What is solved, the time steps (ms), and how.
    threshold
        Record when V first passes this value (mV).
    checkpoint, checkpoint_every, resume, observers
        See :func:`homfem.macro.march.march`.

    Raises
    ------
    InputError
        For bad input; CheckpointError for a checkpoint that is truncated or of another problem.
    ConvergenceError
        If a solver stalls or a state is no longer finite: with its node, the time, and its name.
    """
    model = EmiModel(problem, step=grid.step, method=method)
    activation = Activation("V", threshold)
    done = march(
        model,
        grid,
        observers=[activation, *observers],
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
    )
    return EmiResult(
        times=done.times,
        numbers=done.numbers,
        fields=model.fields(),
        activation=activation.times,
        arrival=activation.arrival[model.nodes],
        finished=done.finished,
        seconds=done.seconds,
        iterations=model.iterations,
        steps=done.steps,
        dofs=model.dofs,
        nodes=int(model.comm.allreduce(len(model.nodes))),
        ranks=model.comm.size,
    )
