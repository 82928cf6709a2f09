"""Stimulation protocols as schedules: pulses at listed times, S1-S2, bursts, stages of ever shorter cycles."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from homfem.parameters import InputError, check_integer, check_number
from homfem.timestepping import Schedule, share_of_step


@dataclass(frozen=True, kw_only=True, slots=True)
class PulseTimes:
    """Pulses of one duration at listed times.

    Parameters
    ----------
    times : tuple of float
        When they begin, ascending, at least the duration apart; in the model's unit of time.
    duration
        How long each lasts, > 0 and finite.

    Raises
    ------
    InputError
        For no times, or such that overlap or descend.

    Example
    -------
    >>> PulseTimes(times=(0.0, 300.0), duration=2.0).share(299.0, 2.0)
    0.5
    """

    times: tuple[float, ...]
    duration: float

    def __post_init__(self) -> None:
        duration = check_number("duration", self.duration, above=0.0)
        object.__setattr__(self, "times", tuple(check_number("times", time) for time in self.times))
        # Times that are sums of intervals have round-off.
        if not self.times or np.diff(self.times).min(initial=np.inf) < duration * (1.0 - 1e-9):
            raise InputError("times", list(self.times), f"at least one, each {duration:g} or more after the one before")

    @property
    def start(self) -> float:
        """When the first pulse begins."""
        return self.times[0]

    def on(self, time: float) -> float:
        """Return for how long it was on until ``time``."""
        begun = bisect.bisect_right(self.times, time)
        return (begun - 1) * self.duration + min(time - self.times[begun - 1], self.duration) if begun else 0.0

    def active(self, time: float) -> bool:
        """Tell whether it is on at a time, the start of a pulse included."""
        begun = bisect.bisect_right(self.times, time)
        return begun > 0 and time - self.times[begun - 1] < self.duration

    def share(self, time: float, step: float) -> float:
        """Return the share of the step from ``time`` in which it is on, from 0 to 1."""
        return share_of_step(self.on, time, step)

    def edges(self, start: float, end: float) -> list[float]:
        """Return the times between ``start`` and ``end`` at which it is switched on or off."""
        return [at for begin in self.times for at in (begin, begin + self.duration) if start < at < end]


Timing: TypeAlias = Schedule | PulseTimes
"""When a stimulus is on."""


def s1_s2(
    *, period: float, pulses: int, coupling: float | Sequence[float], duration: float, start: float = 0.0
) -> PulseTimes:
    """Return an S1-S2 protocol: a train of pulses S1, then premature ones S2, S3, ...

    Parameters
    ----------
    period, pulses
        From one S1 to the next, and how many.
    coupling
        The interval from the last S1 to S2; several: then from S2 to S3, and so on.
    duration
        Of each pulse.
    start
        When the first S1 begins.

    Raises
    ------
    InputError
        For intervals shorter than the duration.

    Example
    -------
    >>> s1_s2(period=1000.0, pulses=2, coupling=280.0, duration=2.0).times
    (0.0, 1000.0, 1280.0)
    """
    check_number("duration", duration, above=0.0)
    check_number("start", start)
    count = check_integer("pulses", pulses, at_least=1)
    # A single S1 has no period to speak of.
    cycle = check_number("period", period, at_least=duration if count > 1 else 0.0)
    intervals = [coupling] if isinstance(coupling, (int, float)) else list(coupling)
    checked = [check_number("coupling", interval, at_least=duration) for interval in intervals]
    train = start + cycle * np.arange(count)
    return _pulses(np.concatenate([train, train[-1] + np.cumsum(checked)]), duration)


def bursts(
    *, period: float, pulses: int, interval: float, number: int, duration: float, start: float = 0.0
) -> PulseTimes:
    """Return bursts: every ``interval`` a train of ``pulses``, one every ``period``; ``number`` trains.

    Raises
    ------
    InputError
        For pulses that overlap, and an interval that is shorter than a train.

    Example
    -------
    >>> bursts(period=50.0, pulses=3, interval=1000.0, number=2, duration=1.0).times
    (0.0, 50.0, 100.0, 1000.0, 1050.0, 1100.0)
    """
    check_number("duration", duration, above=0.0)
    cycle = check_number("period", period, at_least=duration)
    train = cycle * np.arange(check_integer("pulses", pulses, at_least=1))
    trains = check_integer("number", number, at_least=1)
    check_number("interval", interval, at_least=float(train[-1]) + duration)
    begins = check_number("start", start) + interval * np.arange(trains)
    return _pulses((begins[:, None] + train).ravel(), duration)


def stages(cycles: Sequence[tuple[float, int]], *, duration: float, start: float = 0.0) -> PulseTimes:
    """Return a dynamic restitution protocol: stages (cycle length, number of pulses), one after the other.

    The interval that leads to a pulse is that of its own stage.

    Raises
    ------
    InputError
        For cycles that are shorter than the duration.

    Example
    -------
    >>> stages([(500.0, 2), (400.0, 2)], duration=1.0).times
    (0.0, 500.0, 900.0, 1300.0)
    """
    check_number("duration", duration, above=0.0)
    intervals: list[float] = []
    for length, pulses in cycles:
        cycle = check_number("cycles", length, at_least=duration)
        intervals += [cycle] * check_integer("cycles", pulses, at_least=1)
    if not intervals:
        raise InputError("cycles", list(cycles), "at least one stage")
    return _pulses(check_number("start", start) + np.cumsum([0.0, *intervals[1:]]), duration)


def _pulses(times: np.ndarray, duration: float) -> PulseTimes:
    return PulseTimes(times=tuple(float(time) for time in times), duration=duration)
