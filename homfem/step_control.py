r"""Time steps that follow an error tolerance: what is asked for, which steps there are, and which one comes next.

A step of length h is taken once as a whole, :math:`u_h`, and once as two halves, :math:`u_{h/2}` (step doubling). With
:math:`\delta = u_{h/2} - u_h` and a method of order p, the error of the halves is :math:`\delta/(2^p - 1)` to leading
order, and :math:`u_{h/2} + \delta/(2^p - 1)` is of order p + 1 (local extrapolation). The number that is to be at most
one,

.. math:: \eta = \max_f\frac{\|\delta_f\|_\infty}{(2^p - 1)\,\mathrm{tol}\,s_f},

is taken over all fields f, relative to the largest value :math:`s_f` that each has had. It is the error of one step;
since the result is of one order more, the error of a run is proportional to the tolerance as well. The next step is
that of a PI controller, :math:`h\,(0.8/\eta)^{0.7/(p+1)}\,(\eta_{before}/\eta)^{0.3/(p+1)}`, or the next shorter one
on a ladder of lengths: the controller works with the step that it wants, and with the error that this would have had.

The ladder: the time from one *mark* (an output, a checkpoint, the edge of a pulse, the end) to the next over a whole
number, halved any number of times. A step of :math:`2^{-k}` of that begins at a multiple of itself alone. So few
lengths occur, every mark is met exactly, and each length has the length of its halves below it.

Source: Hairer, Norsett, Wanner 1993, Solving Ordinary Differential Equations I, II.4, doi 10.1007/978-3-540-78862-1;
Gustafsson 1991, ACM TOMS 17, 533 (PI control), doi 10.1145/210232.210242.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from homfem.parameters import ConvergenceError, InputError, check_integer, check_number

#: Of the controller: the error that it aims at, its exponents times p + 1, what a step may become of the one before.
TARGET, INTEGRAL, PROPORTIONAL = 0.8, 0.7, 0.3
SHRINK, GROW = 1.0 / 16.0, 4.0
#: Steps shorter than this part of the wanted one were cut by a mark or by the ladder.
CUT = 0.45
#: Halvings of the longest step of a segment.
DEEPEST = 30
#: Marks that are nearer to each other than this, relative to the times, are one.
SAME = 1e-10


class StepError(ConvergenceError):
    """The step that the tolerance asks for is shorter than the shortest one that is allowed."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A length of time from one output to the next, where these are not counted in steps; in the model's unit.

    Example
    -------
    >>> Interval(0.5).due(1.5), Interval(0.5).due(1.75)
    (True, False)
    """

    length: float

    def __post_init__(self) -> None:
        check_number("every", self.length, above=0.0)

    def due(self, since: float) -> bool:
        """Tell whether a time since the start is a multiple."""
        parts = since / self.length
        return abs(parts - round(parts)) <= 1e-8 * max(1.0, abs(parts) * 1e-4)

    def marks(self, start: float, end: float) -> list[float]:
        """Return the multiples after ``start``, before ``end``."""
        number = math.ceil((end - start) / self.length - 1e-8)
        return [start + k * self.length for k in range(1, number)]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveGrid:
    """Times that a tolerance finds, from ``start`` exactly to ``end``; for a run in place of a ``TimeGrid``.

    Parameters
    ----------
    end, start : float
        Times, in the model's unit.
    tolerance : float
        The largest error of a step, of every field relative to the largest value that it has had; in (0, 0.1].
    step_max : float or None
        The longest step; None: a tenth of ``end - start``.
    step_min : float or None
        The shortest step that the tolerance may ask for; None: 1e-7 of the longest. A mark may ask for a shorter one.

    Raises
    ------
    InputError
        For numbers that are out of range.

    Example
    -------
    >>> AdaptiveGrid(end=2.0, tolerance=1e-3).longest
    0.2
    """

    end: float
    tolerance: float
    start: float = 0.0
    step_max: float | None = None
    step_min: float | None = None

    def __post_init__(self) -> None:
        start = check_number("start", self.start)
        check_number("end", self.end, above=start)
        check_number("tolerance", self.tolerance, above=0.0, at_most=0.1)
        if self.step_max is not None:
            check_number("step_max", self.step_max, above=0.0)
        if self.step_min is not None:
            check_number("step_min", self.step_min, above=0.0, at_most=self.longest)

    @property
    def longest(self) -> float:
        """The longest step."""
        return (self.end - self.start) / 10.0 if self.step_max is None else self.step_max

    @property
    def shortest(self) -> float:
        """The shortest step."""
        return 1e-7 * self.longest if self.step_min is None else self.step_min


def merged(marks: Iterable[float], start: float, end: float) -> list[float]:
    """Return the marks after ``start`` in order, each once, ``end`` as the last."""
    near = SAME * max(abs(start), abs(end), end - start)
    found: list[float] = []
    for mark in sorted(marks):
        if start + near < mark < end - near and (not found or mark > found[-1] + near):
            found.append(mark)
    return [*found, end]


@dataclass(slots=True)
class Segment:
    """The steps from one mark to the next: ``number`` of the longest ones; ``at`` counts parts of 2^-30 of these."""

    begin: float
    end: float
    number: int
    at: int = 0

    @classmethod
    def between(cls, begin: float, end: float, longest: float) -> Segment:
        """Return the segment of two marks."""
        return cls(begin, end, max(1, math.ceil((end - begin) / longest - 1e-9)))

    @property
    def parts(self) -> int:
        """Parts of the whole segment."""
        return self.number << DEEPEST

    @property
    def time(self) -> float:
        """The time that was reached."""
        return self.time_at(self.at)

    def time_at(self, at: int) -> float:
        """Return the time after some parts: exactly the mark after all."""
        return self.end if at == self.parts else self.begin + (self.end - self.begin) * (at / self.parts)

    def length(self, level: int) -> float:
        """Return the length of a step that was halved ``level`` times."""
        return (self.end - self.begin) / self.number / (1 << level)

    def level(self, wanted: float) -> int:
        """Return the halvings of the longest step of the ladder that may begin here and is not longer than wanted."""
        level = 0
        while level < DEEPEST and (self.at % (1 << (DEEPEST - level)) or self.length(level) > wanted * (1.0 + 1e-9)):
            level += 1
        return level

    def go(self, level: int) -> None:
        """Go on by a step."""
        self.at += 1 << (DEEPEST - level)


@dataclass(slots=True)
class Controller:
    """Which step comes next.

    Parameters
    ----------
    wanted
        Length of the next step.
    before
        Error that the last step would have had in the length that was wanted.
    held
        The last step was tried before in a longer version: the next one does not grow.
    """

    wanted: float
    before: float = 1.0
    held: bool = False

    def accept(self, step: float, error: float, order: int) -> None:
        """See the error of a step that was good."""
        power, wanted = 1.0 / (order + 1), self.wanted
        whole = max(error, 1e-12) * (wanted / step) ** (order + 1)
        # A step that a mark has cut says little of a whole one.
        if step > CUT * wanted or whole > 1.0:
            factor = (TARGET / whole) ** (INTEGRAL * power) * (self.before / whole) ** (PROPORTIONAL * power)
            self.wanted = min(wanted * min(GROW, max(SHRINK, factor)), max(wanted, GROW * step))
            self.before = whole
        if self.held:
            self.wanted = min(self.wanted, wanted)
        self.held = False

    def reject(self, step: float, error: float, order: int) -> None:
        """See the error of a step that was too large, infinite where it failed."""
        factor = SHRINK if not math.isfinite(error) else (TARGET / error) ** (1.0 / (order + 1))
        self.wanted, self.held = step * min(0.5, max(SHRINK, factor)), True


def check_every(name: str, every: int | Interval) -> int | Interval:
    """Return what says how often something is due: a number of steps, or an interval of time."""
    return every if isinstance(every, Interval) else check_integer(name, every, at_least=1)


def is_due(every: int | Interval, step: int, since: float) -> bool:
    """Tell whether something is due after a step, at a time since the start."""
    return every.due(since) if isinstance(every, Interval) else step % every == 0


def dues_before(every: int | Interval, step: int, since: float) -> int:
    """Return how often something was due before a step and its time, the start included."""
    return math.ceil(since / every.length - 1e-8) if isinstance(every, Interval) else -(-step // every)


def plain(every: int | Interval) -> int | dict[str, float]:
    """Return it as plain data."""
    return {"interval": every.length} if isinstance(every, Interval) else every


def check_multiple(name: str, every: Interval, step: float, unit: str = "") -> None:
    """Refuse an interval that is no whole number of equal steps."""
    if not Interval(step).due(every.length) or every.length < 0.5 * step:
        raise InputError(name, every.length, f"a whole number of steps of {step:g} {unit}".rstrip())


def next_mark(marks: Sequence[float], time: float) -> float:
    """Return the first mark after a time; the last one where there is none."""
    near = SAME * max(abs(time), abs(marks[-1]))
    return next((mark for mark in marks if mark > time + near), marks[-1])
