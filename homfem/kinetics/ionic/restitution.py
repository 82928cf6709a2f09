r"""Restitution: how long an action potential lasts after a diastolic interval.

S1-S2: a train of S1 stimuli, then one S2 a diastolic interval (DI) after the last S1 action potential has recovered by
90 %; APD90(DI) of what S2 starts. All S2 beats go side by side from states that one S1 beat passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from homfem.kinetics.ionic.cells import make_cells
from homfem.kinetics.ionic.pacing import (
    MOST_STEPS,
    Beat,
    Pacing,
    beat_of,
    pace,
    run_beat,
    trace_of,
)
from homfem.kinetics.point import PointKinetics
from homfem.parameters import Array, ConvergenceError, InputError, check_integer, check_number


@dataclass(frozen=True, kw_only=True, slots=True)
class Restitution:
    """A restitution curve.

    Parameters
    ----------
    intervals : array, shape (n,)
        Diastolic intervals in ms, as asked for.
    durations : array, shape (n,)
        APD90 after them, in ms; NaN where S2 captured nothing.
    beats
        The S2 beats.
    last
        The last S1 beat.
    """

    intervals: Array
    durations: Array
    beats: tuple[Beat, ...]
    last: Beat

    @property
    def slopes(self) -> Array:
        """Slopes between neighbouring intervals in rising order, shape (n - 1,)."""
        order = np.argsort(self.intervals)
        return np.asarray(np.diff(self.durations[order]) / np.diff(self.intervals[order]))


def restitution(
    kinetics: PointKinetics,
    intervals: Sequence[float],
    pacing: Pacing | None = None,
    *,
    beats: int = 100,
    parameters: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
) -> Restitution:
    """Return APD90 by S1-S2 after diastolic intervals.

    Parameters
    ----------
    kinetics
        The model.
    intervals
        Diastolic intervals in ms, > 0 and all different.
    pacing
        That of the S1 train; S2 has the same stimulus, and is watched for one cycle length.
    beats
        How many S1.
    parameters, start
        Numbers in place of the model's own.

    Raises
    ------
    InputError
        For intervals that are not so, unknown names, numbers out of range.
    ConvergenceError
        If the last S1 captures nothing, or has not recovered by the end of its cycle.
    """
    pacing = pacing or Pacing()
    longest = MOST_STEPS * pacing.step
    asked = np.array([check_number("intervals", value, above=0.0, at_most=longest) for value in intervals])
    if not len(asked) or len(set(asked)) < len(asked):
        raise InputError("intervals", list(intervals), "at least one number, and all different")
    check_integer("beats", beats, at_least=1)
    before = kinetics.start(start)
    if beats > 1:
        train = pace(kinetics, pacing, beats=beats - 1, parameters=parameters, start=start)
        before = kinetics.start(train.end)
    last = pace(kinetics, pacing, parameters=parameters, start=_by_name(kinetics, before))
    recovered = last.last.repolarisation(0.9)
    if not np.isfinite(recovered):
        raise ConvergenceError(
            f"{kinetics.name}: the last of {beats} S1 beats {'' if last.beats[0].captured else 'was not captured, or '}"
            f"has not recovered within {pacing.cycle_length:g} ms. Take a longer cycle_length or a larger amplitude."
        )
    values = _passed(kinetics, pacing, before, recovered + asked, parameters)
    cells = make_cells(kinetics, values, parameters=parameters, **pacing.scheme_options)
    potential = run_beat(cells, pacing, pacing.steps("cycle_length", pacing.cycle_length))
    found = tuple(beat_of(trace_of(np.ascontiguousarray(column), pacing, kinetics)) for column in potential.T)
    durations = np.array([beat.apd90 for beat in found])
    return Restitution(intervals=asked, durations=durations, beats=found, last=last.beats[0])


def _by_name(kinetics: PointKinetics, values: Array) -> dict[str, float]:
    entries = (*kinetics.fields, *kinetics.states)
    return {entry.name: float(value) for entry, value in zip(entries, values, strict=True)}


def _passed(
    kinetics: PointKinetics, pacing: Pacing, before: Array, times: Array, parameters: Mapping[str, float] | None
) -> Array:
    """Return the states at some times after a stimulus, shape (1 + states, n); times go to the nearest step."""
    steps = np.maximum(pacing.steps("duration", pacing.duration), np.rint(times / pacing.step).astype(int))
    cells = make_cells(kinetics, before[:, None], parameters=parameters, **pacing.scheme_options)
    found, done = np.empty((len(before), len(times))), 0
    for place in np.argsort(steps):
        if done == 0:
            run_beat(cells, pacing, int(steps[place]))
        elif steps[place] > done:
            cells.advance(done * pacing.step, pacing.step, int(steps[place]) - done)
        done = int(steps[place])
        found[:, place] = cells.values[:, 0]
    return found
