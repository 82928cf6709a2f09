"""The march of any macroscale model over a time grid: observers, checkpoints, resuming, signals, numbers over time.

A model is a :class:`homfem.macro.state.Model`: it advances its state by one step and says what its numbers are. What
is watched, kept and written on the way are :class:`homfem.macro.observers.Observer` objects.
"""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.macro.observers import Observer
from homfem.macro.state import Model, Restorable, StateField, reduced, with_unit
from homfem.macro.stepping import steps_of
from homfem.parameters import Array, InputError, check_choice
from homfem.ranks import collective
from homfem.signals import Request, interruptible
from homfem.step_control import SAME, AdaptiveGrid, Interval, check_every, is_due
from homfem.timestepping import TimeGrid

log = logging.getLogger("homfem")


class Checkpointer(Protocol):
    """Where a run is saved; :class:`homfem.output.checkpoint.CheckpointFile` is one."""

    def exists(self, comm: MPI.Comm) -> bool:
        """Tell whether there is something to resume from."""

    def prepare(self, spaces: Mapping[str, fem.FunctionSpace]) -> None:
        """Do what can be done before the first checkpoint, which a signal may want at once."""

    def write(
        self,
        fields: Mapping[str, StateField],
        *,
        state: Mapping[str, Any],
        problem: Mapping[str, Any],
        series: Mapping[str, Array],
    ) -> None:
        """Save the owned values of fields, a state of plain numbers, and arrays that are whole on rank 0."""

    def read(
        self, spaces: Mapping[str, fem.FunctionSpace], problem: Mapping[str, Any]
    ) -> tuple[Mapping[str, Array], Mapping[str, Array], Mapping[str, Any]]:
        """Return the owned values of the fields, the arrays on rank 0, and the state."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class March:
    """What a march gives; the fields at the end are the model's.

    Parameters
    ----------
    times : array
        The time levels, the start included, in the model's unit.
    numbers : mapping of str to array
        What the model measured, global, with one entry per time level.
    steps : int
        Steps done.
    finished : bool
        False if the run was interrupted before the end of the grid.
    seconds : mapping of str to float
        Wall time by stage: those of the model, ``output``, and ``total`` with the set-up.
    """

    times: Array
    numbers: Mapping[str, Array]
    steps: int
    finished: bool
    seconds: Mapping[str, float]

    def conservation(self, name: str) -> Conservation:
        """Return how well a number that the model measured is conserved."""
        values = self.numbers[check_choice("name", name, list(self.numbers))]
        return Conservation(name=name, start=float(values[0]), drift=relative_drift(values))


@dataclass(frozen=True, kw_only=True, slots=True)
class Conservation:
    """A number that should stay as it is: what it was at the start, and its largest relative deviation from that."""

    name: str
    start: float
    drift: float


def relative_drift(values: Array) -> float:
    """Return the largest deviation from the first value, relative to it; if that is zero, to the largest value."""
    largest = float(np.abs(values - values[0]).max())
    scale = abs(float(values[0])) or float(np.abs(values).max()) or 1.0
    return largest / scale


def stage_table(seconds: Mapping[str, float], iterations: Mapping[str, int]) -> str:
    """Return a row for each stage of a run: wall time, its share, iterations of its linear solver.

    Example
    -------
    >>> print(stage_table({"ODE": 3.0, "parabolic": 1.0, "total": 4.0}, {"parabolic": 120}))
    stage           seconds   share  iterations
    ODE               3.000   75.0%
    parabolic         1.000   25.0%         120
    total             4.000  100.0%
    """
    whole = seconds.get("total", 0.0) or sum(seconds.values()) or 1.0
    rows = [f"{'stage':<12}{'seconds':>11}{'share':>8}{'iterations':>12}"]
    for stage, took in seconds.items():
        count = str(iterations[stage]) if stage in iterations else ""
        rows.append(f"{stage:<12}{took:>11.3f}{took / whole:>8.1%}{count:>12}".rstrip())
    return "\n".join(rows)


def march(
    model: Model,
    grid: TimeGrid | AdaptiveGrid,
    *,
    observers: Sequence[Observer] = (),
    checkpoint: Checkpointer | None = None,
    checkpoint_every: int | Interval = 1000,
    resume: bool = False,
) -> March:
    """March a model over a time grid; collective.

    SIGINT, SIGTERM or SIGUSR1 ends the run after the step under way, with a checkpoint if there is one; a second SIGINT
    interrupts at once. SIGCONT asks for a checkpoint (:func:`homfem.signals.interruptible`).

    Parameters
    ----------
    model
        At the start of the grid. Its step is that of the grid.
    grid
        The time steps, in the model's unit of time; or a tolerance that finds them, for a model that is
        :class:`homfem.macro.state.Adjustable`. Then ``numbers`` has the ``"time step"`` that led to each time, the
        ``"error of the step"`` and the ``"rejected steps"`` before it.
    observers
        Each sees every step; what must survive a restart is in the checkpoint.
    checkpoint, checkpoint_every
        Where the run is saved, every so many steps (or :class:`homfem.step_control.Interval`) and at the end, before
        anything is shown.
    resume
        Go on from ``checkpoint`` if it exists (a warning says if not); the result then holds the whole history. The
        model's identity, the start and the observers must be those of the run that was saved; the saved time must be
        on the grid, whose end may have moved.

    Raises
    ------
    InputError
        For bad input; CheckpointError for a checkpoint that is truncated or of another problem.
    StepError
        Where a tolerance asks for a step that is too short.
    HomfemError
        What the model raises to end the run.
    """
    run = _Run(model, grid, observers, checkpoint, check_every("checkpoint_every", checkpoint_every))
    with interruptible() as interrupted, ExitStack() as stack:
        for observer in observers:
            stack.callback(observer.end)
        run.begin(resume)
        while not run.steps.finished and run.asked != Request.STOP:
            run.advance(interrupted)
            if run.saves or run.steps.finished or run.asked:
                run.save()  # before the output: what sent the signal may not wait
            run.show()
    return run.result()


def show_once(model: Model, observers: Sequence[Observer], time: float = 0.0) -> None:
    """Show a state that does not march to observers: what they see and write at the start of a run. Collective."""
    with ExitStack() as stack:
        for observer in observers:
            stack.callback(observer.end)
        for observer in observers:
            observer.begin(model, time)
        for observer in observers:
            observer.write(model, 0, time)
            observer.show(model, 0, time)


@dataclass(kw_only=True, slots=True)
class _History:
    """The numbers that were measured, a row for each time level."""

    names: list[str] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)

    def add(self, time: float, numbers: Mapping[str, float]) -> None:
        self.names = self.names or list(numbers)
        self.rows.append([time, *numbers.values()])


class _Run:
    """A march under way."""

    def __init__(
        self,
        model: Model,
        grid: TimeGrid | AdaptiveGrid,
        observers: Sequence[Observer],
        checkpoint: Checkpointer | None,
        checkpoint_every: int | Interval,
    ) -> None:
        self.started = clock.perf_counter()
        self.model, self.grid, self.checkpoint = model, grid, checkpoint
        self.observers = {observer.name: observer for observer in observers}
        if len(self.observers) < len(observers):
            names = [observer.name for observer in observers]
            raise InputError("observers", names, "observers with different names", "Give each one a name of its own.")
        every = {f"observers[{name!r}].every": observer.every for name, observer in self.observers.items()}
        every |= {"checkpoint_every": checkpoint_every}
        self.steps = steps_of(model, grid, {name: e for name, e in every.items() if isinstance(e, Interval)})
        self.step, self.asked, self.output = 0, int(Request.NOTHING), 0.0
        self.checkpoint_every = checkpoint_every
        self.history = _History()
        root = model.comm.rank == 0
        self.say, self.warn = (log.info, log.warning) if root else (log.debug, log.debug)

    def at(self, time: float) -> str:
        """The time with its unit."""
        return f"t = {time:g} {self.model.units.time}".rstrip()

    def begin(self, resume: bool) -> None:
        model, grid = self.model, self.grid
        self.say("%s: %d unknowns, %s, %d rank(s)", model.name, model.dofs, self.steps.text, model.comm.size)
        for observer in self.observers.values():
            observer.origin = grid.start
            observer.begin(model, grid.start)
        self.identity: dict[str, Any] = {}
        if self.checkpoint is not None:
            self.identity = {**model.identity(), with_unit("start", model.units.time): grid.start, **self.steps.about}
            for observer in self.observers.values():
                self.identity |= observer.identity(model)
            self.checkpoint.prepare({name: entry.space for name, entry in self.fields().items()})
        if resume and self.checkpoint is not None and self.checkpoint.exists(model.comm):
            self.restore(self.checkpoint)
        else:
            if resume and self.checkpoint is not None:
                where = str(self.checkpoint)
                self.warn("%s: no checkpoint %r to resume from; starting at %s", model.name, where, self.at(grid.start))
            self.history.add(grid.start, reduced(model.comm, model.measure())[0] | self.steps.numbers())
        self.write()
        self.show(first=True)

    def fields(self) -> dict[str, StateField]:
        """All that is saved, of the model and of its observers, by name."""
        found = dict(self.model.state())
        for name, observer in self.observers.items():
            found |= {f"{name}: {key}": entry for key, entry in observer.fields().items()}
        return found

    def save(self) -> None:
        """Write the checkpoint, then the files that follow it."""
        begun = clock.perf_counter()
        if self.checkpoint is not None:
            self.write_checkpoint(self.checkpoint, self.steps.time)
        self.write()
        self.output += clock.perf_counter() - begun

    def write_checkpoint(self, checkpoint: Checkpointer, time: float) -> None:
        series = {"history": np.array(self.history.rows), "steps": self.steps.series()}
        for name, observer in self.observers.items():
            series |= {f"{name}: {key}": values for key, values in observer.series().items()}
        state = {"time": time, "step": self.step, "numbers": self.history.names}
        checkpoint.write(self.fields(), state=state, problem=self.identity, series=series)
        if self.asked == Request.SAVE:
            self.warn("%s: saved at %s, for a signal", self.model.name, self.at(time))

    def write(self) -> None:
        for observer in self.observers.values():
            observer.write(self.model, self.step, self.steps.time)

    def restore(self, checkpoint: Checkpointer) -> None:
        fields = self.fields()
        values, series, state = checkpoint.read({name: entry.space for name, entry in fields.items()}, self.identity)
        comm = self.model.comm
        saved = comm.bcast(series.get("steps") if comm.rank == 0 else None)
        with collective(comm):
            if state["time"] > self.grid.end + SAME * abs(self.grid.end):
                raise InputError("end", self.grid.end, f"no earlier than the checkpoint, at {self.at(state['time'])}")
            found = self.steps.restore(state["time"], saved)
            self.step = state["step"] if found is None else found
        for name, entry in fields.items():
            entry.values[:] = values[name]
        if isinstance(self.model, Restorable):
            self.model.restored()
        rows = series["history"].tolist() if comm.rank == 0 else None
        self.history = _History(names=list(state["numbers"]), rows=comm.bcast(rows))
        for name, observer in self.observers.items():
            mine = {key.removeprefix(f"{name}: "): a for key, a in series.items() if key.startswith(f"{name}: ")}
            observer.restore(mine)
        self.say("%s: resumed at %s (step %d)", self.model.name, self.at(state["time"]), self.step)

    def advance(self, interrupted: Any) -> None:
        """Do one step, and what is known after it: numbers, what signals ask on any rank, what observers keep."""
        model, start = self.model, self.steps.time
        self.steps.advance()
        self.step += 1
        end = self.steps.time
        numbers, self.asked = reduced(model.comm, model.measure(), interrupted())
        numbers |= self.steps.numbers()
        self.history.add(end, numbers)
        model.judge(end, numbers)
        for observer in self.observers.values():
            observer.watch(model, self.step, start, end, self.steps.finished)
        if self.tenths(end) > self.tenths(start):
            shown = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            self.say("%s: %s, %s", model.name, self.at(end), shown)

    def tenths(self, time: float) -> int:
        """Tenths of the grid that are done."""
        return int(10.0 * (time - self.grid.start) / (self.grid.end - self.grid.start) + 1e-9)

    @property
    def saves(self) -> bool:
        """Whether a checkpoint is due."""
        return is_due(self.checkpoint_every, self.step, self.steps.time - self.grid.start)

    def show(self, first: bool = False) -> None:
        begun = clock.perf_counter()
        for observer in self.observers.values():
            if observer.shows(self.step, self.steps.time, first or self.steps.finished):
                observer.show(self.model, self.step, self.steps.time)
        self.output += clock.perf_counter() - begun

    def result(self) -> March:
        finished = self.steps.finished
        took = clock.perf_counter() - self.started
        seconds = dict(self.model.seconds)
        word = "finished" if finished else "interrupted"
        self.say("%s: %s at %s, %.1f s", self.model.name, word, self.at(self.steps.time), took)
        columns = np.array(self.history.rows).T
        return March(
            times=columns[0],
            numbers=dict(zip(self.history.names, columns[1:], strict=True)),
            steps=self.step,
            finished=finished,
            seconds=seconds | {"output": self.output, "total": seconds.get("setup", 0.0) + took},
        )
