"""How a march goes from one time to the next: by equal steps, or by steps that follow an error tolerance."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from mpi4py import MPI

from homfem.macro.state import Adjustable, Model, reduced
from homfem.parameters import Array, ConvergenceError, InputError
from homfem.step_control import (
    AdaptiveGrid,
    Controller,
    Interval,
    Segment,
    StepError,
    check_multiple,
    merged,
    next_mark,
)
from homfem.timestepping import TimeGrid

log = logging.getLogger("homfem")
#: What the history has of steps that follow a tolerance.
CONTROL = ("time step", "error of the step", "rejected steps")

Values: TypeAlias = dict[str, list[Array]]


class Steps(Protocol):
    """Takes the steps of a march.

    Attributes
    ----------
    about
        What tells these steps from others, for the identity of a run.
    text
        The steps in words.
    """

    about: dict[str, float]
    text: str

    @property
    def time(self) -> float:
        """The time that was reached."""

    @property
    def finished(self) -> bool:
        """Whether that is the end."""

    def advance(self) -> None:
        """Take one step; collective."""

    def numbers(self) -> dict[str, float]:
        """Return what is kept of the last step, the same on every rank."""

    def series(self) -> Array:
        """Return what a restart needs beside the time."""

    def restore(self, time: float, series: Any) -> int | None:
        """Go on from a time, with what was kept; return the number of steps up to there if that follows from it."""


class EqualSteps:
    """The steps of a :class:`homfem.timestepping.TimeGrid`."""

    def __init__(self, model: Model, grid: TimeGrid, intervals: Mapping[str, Interval]) -> None:
        for name, interval in intervals.items():
            check_multiple(name, interval, grid.step, model.units.time)
        self.model, self.grid, self.step = model, grid, 0
        self.about: dict[str, float] = {}
        self.text = f"{grid.steps} steps of {grid.step:g} {model.units.time}".rstrip()

    @property
    def time(self) -> float:
        """The time that was reached."""
        return self.grid.time(self.step)

    @property
    def finished(self) -> bool:
        """Whether that is the end."""
        return self.step == self.grid.steps

    def advance(self) -> None:
        """Take one step; collective."""
        self.model.advance(self.time)
        self.step += 1

    def numbers(self) -> dict[str, float]:
        """Return nothing: the steps are known."""
        return {}

    def series(self) -> Array:
        """Return nothing."""
        return np.zeros(0)

    def restore(self, time: float, series: Any) -> int:
        """Go on from a time on the grid."""
        self.step = self.grid.index(time)
        return self.step


class AdaptiveSteps:
    """Steps that follow a tolerance (:mod:`homfem.step_control`), all ranks the same ones.

    Parameters
    ----------
    model
        One that is :class:`homfem.macro.state.Adjustable`.
    grid
        The tolerance, and the longest and the shortest step.
    intervals
        Of outputs and checkpoints: a step ends at their multiples.

    Raises
    ------
    InputError
        For a model that takes steps of one length alone.
    """

    def __init__(self, model: Model, grid: AdaptiveGrid, intervals: Mapping[str, Interval]) -> None:
        if not isinstance(model, Adjustable):
            raise InputError("grid", "adaptive", f"equal steps (TimeGrid) for {model.name}")
        self.comm, self.units, self.name = model.comm, model.units.time, model.name
        self.model: Any = model
        self.grid = grid
        marks = [mark for interval in intervals.values() for mark in interval.marks(grid.start, grid.end)]
        self.marks = merged([*marks, *model.edges(grid.start, grid.end)], grid.start, grid.end)
        self.segment = Segment.between(grid.start, self.marks[0], grid.longest)
        self.control = Controller(wanted=grid.longest)
        self.scales = largest(self.comm, list(model.judged().values()))
        given = {"tolerance": grid.tolerance, "longest step": grid.step_max, "shortest step": grid.step_min}
        self.about = {name: number for name, number in given.items() if number is not None}
        self.text = f"steps by a tolerance of {grid.tolerance:g}, at most {grid.longest:g} {self.units}".rstrip()
        self.failure, self._last = "", (0.0, 0.0, 0)

    @property
    def time(self) -> float:
        """The time that was reached."""
        return self.segment.time

    @property
    def finished(self) -> bool:
        """Whether that is the end."""
        return self.segment.at == self.segment.parts and self.segment.end == self.grid.end

    def advance(self) -> None:
        """Take one step that is as good as the tolerance; collective.

        Raises
        ------
        StepError
            If it would have to be shorter than the shortest.
        """
        if self.segment.at == self.segment.parts:
            mark = next_mark(self.marks, self.segment.end)
            self.segment = Segment.between(self.segment.end, mark, self.grid.longest)
        rejected = 0
        while True:
            level = self.segment.level(self.control.wanted)
            length = self.segment.length(level)
            error = self._attempt(length)
            if error <= 1.0:
                break
            rejected += 1
            self.control.reject(length, error, self.model.order)
            log.debug("%s: t = %g, a step of %g has an error of %.3g tolerances", self.name, self.time, length, error)
            if self.control.wanted < self.grid.shortest * (1.0 - 1e-9):
                raise StepError(
                    f"{self.name}: at t = {self.time:g} {self.units} the tolerance {self.grid.tolerance:g} asks for a "
                    f"step below step_min = {self.grid.shortest:g} {self.units} (one of {length:g} "
                    + (f"has {error:.3g} times the error). " if np.isfinite(error) else f"fails: {self.failure}) ")
                    + "Take a larger tolerance, a smoother start, or a smaller step_min."
                )
        self.control.accept(length, error, self.model.order)
        self.segment.go(level)
        self._last = (length, error * self.grid.tolerance, rejected)

    def _attempt(self, length: float) -> float:
        """Take a step whole and in halves; keep the better result, or the start if the error is too large.

        Returns the error over the tolerance, infinite where the step fails (``failure`` says why).
        """
        before = self._values()
        try:
            error = self._doubled(length, before)
        except ConvergenceError as failure:  # the same on every rank
            error, self.failure = np.inf, str(failure)
        if error > 1.0:
            self._restore(before)
        return error

    def _doubled(self, length: float, before: Values) -> float:
        """Take a step whole and in halves, and put both together; return the error over the tolerance."""
        model, time = self.model, self.time
        weight = 1.0 / (2.0**model.order - 1.0)
        model.take(time, length)
        whole, brought = self._values(), model.tally()
        self._restore(before)
        model.take(time, 0.5 * length)
        halves = model.tally()
        model.take(time + 0.5 * length, 0.5 * length)
        halves = halves + model.tally()
        now = model.judged()
        with np.errstate(invalid="ignore", over="ignore"):
            gaps = {
                name: [values - other for values, other in zip(pieces, whole[name], strict=True)]
                for name, pieces in now.items()
            }
        found = largest(self.comm, [*gaps.values(), *now.values()])
        differences, scales = found[: len(now)], np.maximum(self.scales, found[len(now) :])
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = np.where(differences == 0.0, 0.0, weight * differences / (self.grid.tolerance * scales))
        error = float(np.where(np.isnan(errors), np.inf, errors).max(initial=0.0))
        if error > 1.0:
            return error
        if model.extrapolates:
            for name, pieces in now.items():
                for values, gap in zip(pieces, gaps[name], strict=True):
                    values += weight * gap
            halves = halves + weight * (halves - brought)
        model.accept(halves)
        model.judge(time + length, reduced(self.comm, model.measure())[0])
        self.scales = scales
        return error

    def _values(self) -> Values:
        return {name: [values.copy() for values in pieces] for name, pieces in self.model.judged().items()}

    def _restore(self, before: Values) -> None:
        for name, pieces in self.model.judged().items():
            for values, other in zip(pieces, before[name], strict=True):
                values[:] = other

    def numbers(self) -> dict[str, float]:
        """Return the length of the last step, the error of one, and how many were too long before it."""
        length, error, rejected = self._last
        return dict(zip(CONTROL, (length, error, float(rejected)), strict=True))

    def series(self) -> Array:
        """Return what a restart needs: the controller, the segment, the largest values."""
        control, segment = self.control, self.segment
        head = [control.wanted, control.before, float(control.held)]
        where = [segment.begin, segment.end, float(segment.number), float(segment.at)]
        return np.array([*head, *where, *self.scales])

    def restore(self, time: float, series: Any) -> None:
        """Go on from a time: on the ladder of the run that was saved where the next mark is the same."""
        wanted, before, held, begin, end, number, at = series[:7].tolist()
        self.control = Controller(wanted, before, bool(held))
        self.scales = series[7:].copy()
        saved = Segment(begin, end, int(number), int(at))
        if saved.at == saved.parts or next_mark(self.marks, time) == end:
            self.segment = saved
        else:
            self.segment = Segment.between(time, next_mark(self.marks, time), self.grid.longest)


def largest(comm: MPI.Comm, fields: Sequence[Sequence[Array]]) -> Array:
    """Return the largest absolute value of each field over all ranks, infinite where one is not finite; collective."""
    found = np.array([max((np.abs(piece).max(initial=0.0) for piece in pieces), default=0.0) for pieces in fields])
    broken = [not all(np.isfinite(piece).all() for piece in pieces) for pieces in fields]
    found[np.array(broken, dtype=bool)] = np.inf
    comm.Allreduce(MPI.IN_PLACE, found, op=MPI.MAX)
    return found


def steps_of(model: Model, grid: TimeGrid | AdaptiveGrid, intervals: Mapping[str, Interval]) -> Steps:
    """Return what takes the steps of a grid; ``intervals`` by the name under which they are refused."""
    if isinstance(grid, AdaptiveGrid):
        return AdaptiveSteps(model, grid, intervals)
    return EqualSteps(model, grid, intervals)
