"""A calcium bidomain run: the model marched over a time grid, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
from dolfinx import fem

from homfem.keywords import takes
from homfem.macro.calcium.model import CalciumModel, Snapshot
from homfem.macro.calcium.problem import CalciumProblem
from homfem.macro.march import Checkpointer, march
from homfem.macro.observers import Activation, Call, Observer
from homfem.macro.stepping import CONTROL
from homfem.parameters import Array
from homfem.step_control import AdaptiveGrid, Interval, check_every
from homfem.timestepping import Splitting, TimeGrid


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalciumResult:
    """What a run gives. Arrays have one entry per time level, the start included; numbers are global.

    Parameters
    ----------
    times : array
        Times, s.
    total : array
        All calcium: the integral of gamma_c c + gamma_e e and of what else holds calcium, uM um^d.
    maximum, minimum : array
        Extrema of c over the nodes, uM.
    brought : mapping of str to array
        What each flux and source has brought since the start, uM um^d, by its name.
    iterations : array
        Iterations of the linear solver in the step that led here, all fields and stages.
    control : mapping of str to array
        With a tolerance the ``"time step"`` that led here, the ``"error of the step"`` and the ``"rejected steps"``.
    cytosol, er : Function
        c and e at the end, uM; e on a mesh of the regions with ER, if not all have it.
    fields : mapping
        All fields at the end, by name.
    states : mapping
        X at the end, by name.
    activation : Function or None
        Time at which c first passed the threshold (s; linear in time within a step; inf where it did not).
    finished : bool
        False if the run was interrupted.
    seconds : mapping
        Wall time by stage: setup, reaction and diffusion (or implicit), output, total.
    dofs, ranks : int
        Nodes of the mesh; ranks of the run.
    """

    times: Array
    total: Array
    maximum: Array
    minimum: Array
    brought: Mapping[str, Array]
    iterations: Array
    cytosol: fem.Function
    er: fem.Function
    control: Mapping[str, Array]
    fields: Mapping[str, fem.Function]
    states: Mapping[str, fem.Function]
    activation: fem.Function | None
    finished: bool
    seconds: Mapping[str, float]
    dofs: int
    ranks: int

    @property
    def drift(self) -> float:
        """Largest deviation of the total calcium from its start, relative to it.

        Of an open cell from its start and what has been brought, relative to the largest total.
        """
        if not self.brought and self.total[0]:
            return float(np.abs(self.total / self.total[0] - 1.0).max())
        expected = self.total[0] + sum(self.brought.values(), start=np.zeros_like(self.total))
        return float(np.abs(self.total - expected).max() / (np.abs(self.total).max() or 1.0))


class CalciumOptions(TypedDict, total=False):
    """The words of :class:`CalciumSettings` as keywords of a function."""

    splitting: str | Splitting
    subcycles: int
    scheme: str | None
    rtol: float
    preconditioner: str
    checkpoint: Checkpointer | None
    checkpoint_every: int | Interval
    resume: bool
    observers: Sequence[Observer]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalciumSettings:
    """How a calcium bidomain problem is solved, saved and watched.

    Parameters
    ----------
    splitting, subcycles, scheme, rtol, preconditioner
        See :class:`CalciumModel`.
    checkpoint, checkpoint_every
        Where the run is saved, every so many steps and at the end.
    resume
        Go on from ``checkpoint`` if it exists (a warning says if not); the result then holds the whole history. The
        problem, its start, ``step``, ``splitting``, ``subcycles``, ``rtol`` and ``threshold`` must be those of the run
        that was saved; the saved time must be on the grid, whose end may have moved. On the same number of ranks the
        fields are those of an uninterrupted run to the last bit, on another they differ by round-off (and by the
        tolerance of the linear solver, with a preconditioner that depends on the ranks).
    observers
        What else watches the march (:mod:`homfem.macro.observers`), such as probes; fields ``cytosol``, ``er``, states.
    """

    splitting: str | Splitting = "strang"
    subcycles: int = 1
    scheme: str | None = None
    rtol: float = 1e-10
    preconditioner: str = "auto"
    checkpoint: Checkpointer | None = None
    checkpoint_every: int | Interval = 1000
    resume: bool = False
    observers: Sequence[Observer] = ()


@takes(CalciumSettings)
def run_calcium(
    problem: CalciumProblem,
    grid: TimeGrid | AdaptiveGrid,
    *,
    threshold: float | None = None,
    observe: Callable[[Snapshot], None] | None = None,
    observe_every: int | Interval = 1,
    **settings: Unpack[CalciumOptions],
) -> CalciumResult:
    """March the calcium bidomain equations over a time grid; collective.

    SIGINT, SIGTERM or SIGUSR1 ends the run after the step under way, with a checkpoint if there is one; a second SIGINT
    interrupts at once. SIGCONT asks for a checkpoint (:func:`homfem.signals.interruptible`).

    Parameters
    ----------
    problem, grid
        What is solved, and the time steps (s), or a tolerance that finds them.
    threshold
        Record when c first passes this concentration (uM).
    observe, observe_every
        Called with a :class:`Snapshot` at the start, every so many steps, and at the end; on every rank.
    **settings
        As :class:`CalciumSettings` has them.

    Raises
    ------
    InputError
        For bad input; CheckpointError for a checkpoint that is truncated or of another problem.
    ConvergenceError
        If the linear solver stalls, or a concentration is no longer finite or becomes negative beyond round-off
        (:data:`homfem.macro.calcium.model.NEGATIVE`): it names the field, the time and the place.
    """
    check_every("observe_every", observe_every)
    chosen = CalciumSettings(**settings)
    model = CalciumModel(
        problem,
        step=grid.longest if isinstance(grid, AdaptiveGrid) else grid.step,
        splitting=chosen.splitting,
        subcycles=chosen.subcycles,
        scheme=chosen.scheme,
        rtol=chosen.rtol,
        preconditioner=chosen.preconditioner,
        adaptive=isinstance(grid, AdaptiveGrid),
    )
    activation = Activation("cytosol", threshold)
    watching: list[Observer] = [activation, *chosen.observers]
    if observe is not None:
        seen = observe
        call = lambda _, step, time: seen(model.snapshot(step, time))  # noqa: E731
        watching.append(Call(call, every=observe_every))
    done = march(
        model,
        grid,
        observers=watching,
        checkpoint=chosen.checkpoint,
        checkpoint_every=chosen.checkpoint_every,
        resume=chosen.resume,
    )
    model.fields()
    return CalciumResult(
        times=done.times,
        total=done.numbers["total"],
        maximum=done.numbers["maximum"],
        minimum=done.numbers["minimum"],
        brought={label: np.cumsum(done.numbers[f"brought by {label}"]) for label in model.loads.labels},
        iterations=done.numbers["iterations"].astype(np.int64),
        control={name: done.numbers[name] for name in CONTROL if name in done.numbers},
        cytosol=model.cytosol,
        er=model.er,
        fields={name: one.function for name, one in model.unknowns.items()},
        states=model.state_functions,
        activation=activation.times,
        finished=done.finished,
        seconds=done.seconds,
        dofs=model.dofs,
        ranks=model.comm.size,
    )
