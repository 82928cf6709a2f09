# mypy: disallow-untyped-defs=False
"""The loop over nodes of :mod:`homfem.macro.action_potentials`, compiled. Imported where it is used."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from homfem.parameters import Array

#: What the first rows of a beat are.
ROWS = ("activation", "peak", "rest", "upstroke")
AT, PEAK, REST, SLOPE = range(4)
#: A rise over a step that is less than this of the steepest one is not divided by the step to see.
NEARLY = 1.0 - 1e-9
_compiled = numba.njit(cache=True, error_model="numpy")


class Kept(NamedTuple):
    """What is kept at the nodes, n of them.

    Parameters
    ----------
    beats : array, shape (rows, ages, n)
        :data:`ROWS` of each beat, then where it fell through each level; age 0 is the one under way or the last one.
    counts, low : array, shape (n,)
        How many beats there were, and the least value since the peak of the last one.
    steepest, steepest_at : array, shape (n,)
        The steepest rise since the last fall through the threshold, and when.
    top : array, shape (n,)
        The peak of the beat under way, NaN where none is followed.
    marks : array, shape (levels, n)
        Its levels: ``levels`` in percent, then ``fixed`` ones.
    """

    beats: Array
    counts: Array
    low: Array
    steepest: Array
    steepest_at: Array
    top: Array
    marks: Array
    levels: Array
    fixed: Array


@_compiled
def mark(i, kept):
    """Set the levels of the beat under way at a node."""
    peak, rest, number = kept.top[i], kept.beats[REST, 0, i], kept.levels.size
    for k in range(number):
        kept.marks[k, i] = peak - 0.01 * kept.levels[k] * (peak - rest)
    for k in range(kept.fixed.size):
        kept.marks[number + k, i] = np.nan if np.isnan(peak) else kept.fixed[k]


@_compiled
def begin_beat(i, at, rest, value, first, kept):
    """Begin a beat at a node; where no more are kept (``first``), look no further."""
    beats = kept.beats
    kept.counts[i] += 1.0
    kept.low[i] = value
    if first and kept.counts[i] > beats.shape[1]:
        kept.top[i] = np.nan
        kept.marks[:, i] = np.nan
        return
    for row in range(beats.shape[0]):
        for age in range(beats.shape[1] - 1, 0, -1):
            beats[row, age, i] = beats[row, age - 1, i]
        beats[row, 0, i] = np.nan
    beats[AT, 0, i], beats[REST, 0, i] = at, rest
    kept.top[i] = beats[PEAK, 0, i] = value
    mark(i, kept)


@_compiled
def watch_nodes(span, u, v, threshold, first, upstroke, kept):
    """See which nodes pass what between the values u at the start of a step and v at its end; put v into u."""
    start, end = span
    length, beats, top, steepest, marks = end - start, kept.beats, kept.top, kept.steepest, kept.marks
    for i in range(u.size):
        before, now = u[i], v[i]
        u[i] = now
        if now > before:
            begun = now >= threshold and before < threshold
            if begun:
                at = start + (threshold - before) / ((now - before) / length)
                begin_beat(i, at, kept.low[i], now, first, kept)
            if now > top[i]:
                top[i] = beats[PEAK, 0, i] = now
                mark(i, kept)
            # The steepest rise belongs to the beat that begins before V falls through the threshold again.
            faster = now - before > NEARLY * steepest[i] * length and (now - before) / length > steepest[i]
            if faster:
                steepest[i], kept.steepest_at[i] = (now - before) / length, 0.5 * (start + end)
            if (begun or (faster and now >= threshold)) and not np.isnan(top[i]):
                beats[SLOPE, 0, i] = steepest[i]
                if upstroke:
                    beats[AT, 0, i] = kept.steepest_at[i]
        elif now < before:
            if now < kept.low[i]:
                kept.low[i] = now
            if before >= threshold and now < threshold:
                steepest[i] = 0.0
            for k in range(marks.shape[0]):
                level = marks[k, i]
                if before >= level and now < level and (level > threshold or np.isnan(beats[SLOPE + 1 + k, 0, i])):
                    beats[SLOPE + 1 + k, 0, i] = start + (level - before) / ((now - before) / length)


@_compiled
def begin_high(time, v, threshold, first, kept):
    """Begin a beat, whose rest is not known, at each node that is above the threshold at the start."""
    for i in range(v.size):
        if v[i] >= threshold:
            begin_beat(i, time, np.nan, v[i], first, kept)


@_compiled
def mark_all(kept):
    """Set the levels of the beats under way at all nodes."""
    for i in range(kept.top.size):
        mark(i, kept)
