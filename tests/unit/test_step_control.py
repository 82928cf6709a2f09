"""Steps that follow a tolerance: the ladder between marks, the controller, intervals, edges of pulses."""

from __future__ import annotations

import math

import pytest

from homfem.macro.protocols import PulseTimes
from homfem.parameters import InputError
from homfem.step_control import (
    DEEPEST,
    GROW,
    SHRINK,
    TARGET,
    AdaptiveGrid,
    Controller,
    Interval,
    Segment,
    check_every,
    check_multiple,
    dues_before,
    is_due,
    merged,
    next_mark,
)
from homfem.timestepping import Schedule


@pytest.mark.parametrize(
    ("begin", "end", "longest"), [(0.0, 1.0, 1.0), (0.3, 1.7, 0.4), (5.0, 5.1, 7.0), (-1.0, 2.0, 0.7)]
)
def test_every_walk_on_a_ladder_ends_exactly_at_its_mark(begin, end, longest):
    """Whatever is wanted: each step begins at a multiple of itself, and is no longer than wanted, or than a rung."""
    segment, lengths = Segment.between(begin, end, longest), set()
    wanted = [0.9, 0.03, 0.011, 0.2, 0.5, 0.004, 0.1]
    count, times = 0, [segment.time]
    while segment.at < segment.parts:
        level = segment.level(wanted[count % len(wanted)] * longest)
        length = segment.length(level)
        assert length <= wanted[count % len(wanted)] * longest * (1.0 + 1e-9)
        assert segment.at % (1 << (DEEPEST - level)) == 0
        segment.go(level)
        times.append(segment.time)
        assert times[-1] - times[-2] == pytest.approx(length, rel=1e-6)
        lengths.add(level)
        count += 1
    assert times[-1] == end
    assert times == sorted(times)
    assert len(lengths) <= 12


def test_the_longest_step_is_a_whole_part_of_the_segment():
    assert Segment.between(0.0, 1.0, 0.3).length(0) == 0.25
    assert Segment.between(0.0, 1.0, 1.0 / 3.0).number == 3  # not 4, of round-off
    assert Segment.between(0.0, 1e-5, 1.0).length(0) == 1e-5


def test_marks_are_sorted_once_and_inside():
    assert merged([2.0, 1.0, 1.0 + 1e-13, 0.0, 3.0, 4.0, -1.0], 0.0, 3.0) == [1.0, 2.0, 3.0]
    assert next_mark([1.0, 2.0, 3.0], 1.0) == 2.0
    assert next_mark([1.0, 2.0, 3.0], 1.5) == 2.0
    assert next_mark([1.0, 2.0, 3.0], 3.0) == 3.0


def test_intervals_are_due_at_their_multiples():
    every = Interval(0.1)
    marks = every.marks(0.3, 1.0)
    assert marks == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8, 0.9], rel=1e-14)
    assert all(is_due(every, 7, mark - 0.3) for mark in marks)
    assert not is_due(every, 7, 0.15)
    assert not Interval(1e-3).due(1000.00049)
    assert Interval(1e-3).due(1000.0)
    assert (is_due(4, 8, 0.0), is_due(4, 9, 0.0)) == (True, False)
    assert (dues_before(every, 0, 0.0), dues_before(every, 9, 0.05), dues_before(every, 9, 0.2)) == (0, 1, 2)
    assert (dues_before(4, 0, 0.0), dues_before(4, 1, 0.0), dues_before(4, 8, 0.0)) == (0, 1, 2)


def test_intervals_that_are_no_whole_number_of_equal_steps_are_refused():
    check_multiple("every", Interval(0.3), 0.1)
    for length in (0.25, 0.05, 1e-9):
        with pytest.raises(InputError, match=r"every = .*a whole number of steps of 0\.1 s"):
            check_multiple("every", Interval(length), 0.1, "s")
    for bad in (0, 1.5, "2"):
        with pytest.raises(InputError):
            check_every("every", bad)
    with pytest.raises(InputError):
        Interval(0.0)


def test_the_controller_meets_the_tolerance_of_a_known_error():
    """With an error of (h/0.2)^3 tolerances, on a ladder of halves: the longest rung whose error is allowed."""
    control, steps = Controller(wanted=1e-3), []
    for _ in range(30):
        steps.append(2.0 ** math.floor(math.log2(control.wanted)))
        control.accept(steps[-1], (steps[-1] / 0.2) ** 3, 2)
    assert steps[-10:] == [0.125] * 10
    assert control.wanted == pytest.approx(0.2 * TARGET ** (1.0 / 3.0), rel=0.01)
    assert steps.index(0.125) < 12


def test_the_controller_shrinks_after_a_bad_step_and_does_not_grow_at_once():
    control = Controller(wanted=0.1)
    control.reject(0.1, 8.0 * TARGET, 2)
    assert control.wanted == pytest.approx(0.05)
    control.reject(0.05, 64.0 * TARGET, 2)
    assert control.wanted == pytest.approx(0.0125)
    control.accept(0.0125, 1e-9, 2)
    assert control.wanted == pytest.approx(0.0125)
    control.accept(0.0125, 1e-9, 2)
    assert control.wanted == pytest.approx(0.0125 * GROW)
    for error in (1e12, math.inf, math.nan):
        control = Controller(wanted=0.1)
        control.reject(0.1, error, 2)
        assert control.wanted == pytest.approx(0.1 * SHRINK)
    control.reject(0.1, 1.001, 2)
    assert control.wanted <= 0.05  # the next rung, not the same one again


def test_a_step_that_a_mark_cuts_does_not_shorten_the_next():
    control = Controller(wanted=0.1)
    control.accept(1e-4, 1e-10, 2)
    assert control.wanted == 0.1
    control.accept(1e-2, 0.5, 2)  # of the whole step it would be 500
    assert control.wanted < 0.05
    control = Controller(wanted=0.1, before=0.8)
    control.accept(0.1, 0.8, 2)
    assert control.wanted == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": 0.2}, "tolerance"),
        ({"tolerance": math.nan}, "tolerance"),
        ({"end": 0.0}, "end"),
        ({"step_max": 0.0}, "step_max"),
        ({"step_max": 0.1, "step_min": 0.2}, "step_min"),
        ({"step_min": -1.0}, "step_min"),
        ({"start": math.inf}, "start"),
    ],
)
def test_bad_adaptive_grids_are_refused(values, name):
    with pytest.raises(InputError, match=name):
        AdaptiveGrid(**({"end": 1.0, "tolerance": 1e-3} | values))


def test_steps_are_a_tenth_and_less_where_nothing_is_said():
    grid = AdaptiveGrid(start=1.0, end=3.0, tolerance=1e-3)
    assert (grid.longest, grid.shortest) == (0.2, pytest.approx(2e-8))
    assert AdaptiveGrid(end=3.0, tolerance=1e-3, step_max=0.5, step_min=0.1).shortest == 0.1


@pytest.mark.parametrize("duration", [0.25, math.inf])
def test_edges_of_schedules_are_where_their_time_on_bends(duration):
    one = Schedule(start=0.5, duration=duration)
    assert one.edges(0.0, 10.0) == ([0.5, 0.75] if duration < 1.0 else [0.5])
    assert one.edges(0.6, 0.7) == []


def test_edges_of_trains_of_pulses():
    train = Schedule(start=0.5, duration=0.25, period=1.0, pulses=3)
    assert train.edges(0.0, 10.0) == [0.5, 0.75, 1.5, 1.75, 2.5, 2.75]
    assert train.edges(1.6, 2.6) == [1.75, 2.5]
    endless = Schedule(start=0.0, duration=0.2, period=1.0, pulses=None)
    assert endless.edges(100.1, 101.5) == pytest.approx([100.2, 101.0, 101.2])
    for edge in endless.edges(100.1, 101.5):
        assert abs(endless.share(edge - 1e-3, 1e-3) - endless.share(edge, 1e-3)) == 1.0
    assert PulseTimes(times=(1.0, 4.0), duration=0.5).edges(1.2, 4.2) == [1.5, 4.0]
