"""A calcium bidomain run: the march over a time grid, its observers, checkpoints and result; the speed of a front."""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.macro.calcium.model import CalciumModel, Snapshot
from homfem.macro.calcium.problem import CalciumProblem
from homfem.parameters import Array, ConvergenceError, InputError, check_integer, check_number
from homfem.solve import collective
from homfem.timestepping import Request, Splitting, TimeGrid, interruptible

log = logging.getLogger("homfem")


class Checkpointer(Protocol):
    """Where a run is saved; :class:`homfem.output.checkpoint.CheckpointFile` is one."""

    def exists(self, comm: MPI.Comm) -> bool:
        """Tell whether there is something to resume from."""

    def write(
        self,
        space: fem.FunctionSpace,
        values: Mapping[str, Array],
        *,
        state: Mapping[str, Any],
        problem: Mapping[str, Any],
    ) -> None:
        """Save the owned values of P1 fields and a state of plain numbers."""

    def read(self, space: fem.FunctionSpace, problem: Mapping[str, Any]) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the owned values of the fields and the state."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalciumResult:
    """What a run gives. Arrays have one entry per time level, the start included; numbers are global.

    Parameters
    ----------
    times : array
        Times, s.
    total : array
        Integral of gamma_c c + gamma_e e over the tissue, uM um^d.
    maximum, minimum : array
        Extrema of c over the nodes, uM.
    iterations : array
        Iterations of the linear solver in the step that led here, both fields and all stages.
    cytosol, er : Function
        c and e at the end, uM.
    states : mapping
        X at the end, by name.
    activation : Function or None
        Time at which c first passed the threshold (s; linear in time within a step; inf where it did not).
    finished : bool
        False if the run was interrupted.
    seconds : mapping
        Wall time by stage: setup, reaction, diffusion, output, total.
    dofs, ranks : int
        Nodes of the mesh; ranks of the run.
    """

    times: Array
    total: Array
    maximum: Array
    minimum: Array
    iterations: Array
    cytosol: fem.Function
    er: fem.Function
    states: Mapping[str, fem.Function]
    activation: fem.Function | None
    finished: bool
    seconds: Mapping[str, float]
    dofs: int
    ranks: int

    @property
    def drift(self) -> float:
        """Largest relative deviation of the total calcium from its start."""
        return float(np.abs(self.total / self.total[0] - 1.0).max())


def run_calcium(
    problem: CalciumProblem,
    grid: TimeGrid,
    *,
    splitting: str | Splitting = "strang",
    subcycles: int = 1,
    rtol: float = 1e-10,
    preconditioner: str = "jacobi",
    threshold: float | None = None,
    observe: Callable[[Snapshot], None] | None = None,
    observe_every: int = 1,
    checkpoint: Checkpointer | None = None,
    checkpoint_every: int = 1000,
    resume: bool = False,
) -> CalciumResult:
    """March the calcium bidomain equations over a time grid; collective.

    SIGINT, SIGTERM or SIGUSR1 ends the run after the step under way, with a checkpoint if there is one; a second SIGINT
    interrupts at once. SIGCONT asks for a checkpoint (:func:`homfem.timestepping.interruptible`).

    Parameters
    ----------
    problem, grid
        What is solved, and the time steps (s).
    splitting, subcycles, rtol, preconditioner
        See :class:`CalciumModel`.
    threshold
        Record when c first passes this concentration (uM).
    observe, observe_every
        Called with a :class:`Snapshot` at the start, every so many steps, and at the end; on every rank.
    checkpoint, checkpoint_every
        Where the run is saved, every so many steps and at the end.
    resume
        Go on from ``checkpoint`` if it exists (a warning says if not); the result then holds the whole history. The
        problem, its start, ``step``, ``splitting``, ``subcycles``, ``rtol`` and ``threshold`` must be those of the run
        that was saved; the saved time must be on the grid, whose end may have moved. On the same number of ranks the
        fields are those of an uninterrupted run to the last bit, on another they differ by round-off (and by the
        tolerance of the linear solver, with a preconditioner that depends on the ranks).

    Raises
    ------
    InputError
        For bad input; CheckpointError for a checkpoint that is truncated or of another problem.
    ConvergenceError
        If the linear solver stalls or a concentration is no longer finite.
    """
    started = clock.perf_counter()
    check_integer("observe_every", observe_every, at_least=1)
    check_integer("checkpoint_every", checkpoint_every, at_least=1)
    threshold = None if threshold is None else check_number("threshold", threshold)
    model = CalciumModel(
        problem, step=grid.step, splitting=splitting, subcycles=subcycles, rtol=rtol, preconditioner=preconditioner
    )
    comm, seconds = model.comm, model.seconds
    say = log.info if comm.rank == 0 else log.debug
    say("calcium bidomain: %d nodes, %d steps of %g s, %d rank(s)", model.dofs, grid.steps, grid.step, comm.size)
    # Activation times are those of one threshold, over the whole history.
    identity = model.identity() | {"start (s)": grid.start, "threshold (uM)": threshold}
    arrival, history, first = _begin(model, grid, threshold, identity, checkpoint if resume else None)
    concentration = model.cytosol.x.array[: model.owned]

    def save(time: float) -> None:
        if checkpoint is not None:
            begun = clock.perf_counter()
            values = model.state() | {"activation": arrival}
            checkpoint.write(model.space, values, state={"time": time, "history": history}, problem=identity)
            seconds["output"] += clock.perf_counter() - begun

    def show(step: int) -> None:
        if observe is not None:
            begun = clock.perf_counter()
            observe(model.snapshot(step, grid.time(step)))
            seconds["output"] += clock.perf_counter() - begun

    step, asked, negative = first, int(Request.NOTHING), False
    with interruptible() as interrupted:
        show(first)
        while step < grid.steps and asked != Request.STOP:
            before = concentration.copy() if threshold is not None else None
            count = model.advance(grid.time(step))
            step += 1
            total, largest, smallest, asked = model.observe(interrupted())
            history.append([grid.time(step), total, largest, smallest, float(count)])
            if not np.isfinite(total):
                raise ConvergenceError(
                    f"calcium bidomain: the concentrations are not finite at t = {grid.time(step):g} s. "
                    "Take a smaller step or more subcycles."
                )
            if smallest < 0.0 and not negative:
                negative = True
                if comm.rank == 0:
                    log.warning(
                        "calcium bidomain: c = %.3g uM < 0 at t = %g s; resolve the front by a finer mesh or "
                        "a smoother start, or take a smaller step",
                        smallest,
                        grid.time(step),
                    )
            if before is not None and threshold is not None:
                _record(arrival, before, concentration, threshold, grid.time(step - 1), grid.time(step))
            if step % checkpoint_every == 0 or step == grid.steps or asked:
                save(grid.time(step))  # before the output: what sent the signal may not wait
            if asked == Request.SAVE and checkpoint is not None and comm.rank == 0:
                log.warning("calcium bidomain: saved at t = %g s, for a signal", grid.time(step))
            if step % observe_every == 0 or step == grid.steps:
                show(step)
            if step % max(1, grid.steps // 10) == 0:
                say(
                    "calcium bidomain: t = %g s, c in [%.4g, %.4g] uM, %d iterations",
                    grid.time(step),
                    smallest,
                    largest,
                    count,
                )
    final = model.snapshot(step, grid.time(step))
    activation = None
    if threshold is not None:
        activation = fem.Function(model.space, name="activation")
        activation.x.array[: model.owned] = arrival
        activation.x.scatter_forward()
    seconds["total"] = clock.perf_counter() - started
    columns = np.array(history).T
    say(
        "calcium bidomain: %s at t = %g s, %d iterations, %.1f s",
        "interrupted" if step < grid.steps else "finished",
        grid.time(step),
        int(columns[4].sum()),
        seconds["total"],
    )
    return CalciumResult(
        times=columns[0],
        total=columns[1],
        maximum=columns[2],
        minimum=columns[3],
        iterations=columns[4].astype(np.int64),
        cytosol=final.cytosol,
        er=final.er,
        states=final.states,
        activation=activation,
        finished=step == grid.steps,
        seconds=dict(seconds),
        dofs=model.dofs,
        ranks=comm.size,
    )


def front_speed(activation: fem.Function, *, origin: Array, inner: float, outer: float) -> float:
    """Return the speed of a front that spreads from ``origin``, um/s; collective.

    The inverse slope of the regression of activation time on distance, over the activated nodes whose distance from
    ``origin`` lies in [inner, outer].

    Parameters
    ----------
    activation
        Activation time, s (:class:`CalciumResult`).
    origin
        Point, um, shape (d,).
    inner, outer
        Range of distances, um: beyond the stimulus, short of the boundary.

    Raises
    ------
    InputError
        If the front passed fewer than two distances there.
    """
    space = activation.function_space
    owned = space.dofmap.index_map.size_local
    center = np.zeros(3)
    center[: np.size(origin)] = origin
    distance = np.linalg.norm(space.tabulate_dof_coordinates()[:owned] - center, axis=1)
    time = activation.x.array[:owned]
    use = (distance >= inner) & (distance <= outer) & np.isfinite(time)
    r, t = distance[use], time[use]
    sums = np.array([r.size, r.sum(), t.sum(), r @ r, r @ t], dtype=np.float64)
    space.mesh.comm.Allreduce(MPI.IN_PLACE, sums, op=MPI.SUM)
    count, sum_r, sum_t, sum_rr, sum_rt = sums
    spread, slope = count * sum_rr - sum_r**2, count * sum_rt - sum_r * sum_t
    if count < 2 or spread <= 0.0 or slope <= 0.0:
        raise InputError("activation", int(count), "that of a front which moves outward through [inner, outer]")
    return float(spread / slope)


def _begin(
    model: CalciumModel,
    grid: TimeGrid,
    threshold: float | None,
    identity: Mapping[str, Any],
    source: Checkpointer | None,
) -> tuple[Array, list[list[float]], int]:
    """Return activation times, history and the number of steps done, at the start or from a checkpoint; collective."""
    say, warn = (log.info, log.warning) if model.comm.rank == 0 else (log.debug, log.debug)
    if source is not None and source.exists(model.comm):
        values, saved = source.read(model.space, identity)
        with collective(model.comm):
            first = grid.index(saved["time"])
        model.restore(values)
        say("calcium bidomain: resumed at t = %g s (step %d)", saved["time"], first)
        return values["activation"], saved["history"], first
    if source is not None:
        warn("calcium bidomain: no checkpoint %r to resume from; starting at t = %g s", str(source), grid.start)
    concentration = model.cytosol.x.array[: model.owned]
    arrival = np.where(concentration >= (np.inf if threshold is None else threshold), grid.start, np.inf)
    return arrival, [[grid.start, *model.observe()[:3], 0.0]], 0


def _record(arrival: Array, before: Array, after: Array, threshold: float, start: float, end: float) -> None:
    """Set the arrival time, linear in time within the step, where c passed the threshold for the first time."""
    new = np.flatnonzero((before < threshold) & (after >= threshold) & np.isinf(arrival))
    arrival[new] = start + (end - start) * (threshold - before[new]) / (after[new] - before[new])
