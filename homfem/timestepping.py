r"""Time grids, schedules of pulses, operator splitting and implicit schemes as data, subcycling.

A problem :math:`\dot u = A u + B u` is split into operators that each know how to advance the state by a step. A
:class:`Splitting` lists which operator goes over which fraction of the step; :func:`advance` runs the list. A
:class:`DiffusionScheme` lists the implicit stages of one diffusion step;
:class:`homfem.macro.diffusion_step.DiffusionStep` runs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from homfem.parameters import InputError, check_choice, check_integer, check_number

Operator = Callable[[float, float], None]
"""Advances the state in place: ``operator(time, step)``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeGrid:
    """A whole number of equal steps from ``start`` that ends exactly at ``end``.

    Parameters
    ----------
    end : float
        End time, > ``start``; any unit of time.
    step : float
        Time step, > 0; it divides ``end - start``.
    start : float
        Start time.

    Raises
    ------
    InputError
        If the step does not divide the interval (to 1e-9 of a step); the message names the nearest step that does.

    Example
    -------
    >>> grid = TimeGrid(end=1.0, step=0.1)
    >>> grid.steps, grid.time(10)
    (10, 1.0)
    """

    end: float
    step: float
    start: float = 0.0

    def __post_init__(self) -> None:
        start = check_number("start", self.start)
        end = check_number("end", self.end, above=start)
        step = check_number("step", self.step, above=0.0)
        ratio = (end - start) / step
        steps = max(1, round(ratio))
        if not math.isclose(ratio, steps, rel_tol=1e-12, abs_tol=1e-9):
            raise InputError(
                "step",
                self.step,
                f"a step that divides the interval of length {end - start:g} (it fits {ratio:.6g} times)",
                f"The nearest one is {(end - start) / steps!r} ({steps} steps).",
            )

    @property
    def steps(self) -> int:
        """Number of steps."""
        return max(1, round((self.end - self.start) / self.step))

    def time(self, index: int) -> float:
        """Return the time after ``index`` steps; exactly ``end`` after the last one."""
        return self.end if index == self.steps else self.start + (self.end - self.start) * (index / self.steps)

    def index(self, time: float) -> int:
        """Return the number of steps that lead to ``time``; raise :class:`InputError` if it is not on the grid."""
        position = (time - self.start) / (self.end - self.start) * self.steps
        nearest = round(position)
        if not (0 <= nearest <= self.steps and abs(position - nearest) <= 1e-6):
            raise InputError(
                "time", time, f"start + k step with start {self.start:g}, step {self.step:g}, 0 <= k <= {self.steps}"
            )
        return nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Pulses in time: the first begins at ``start``, each lasts ``duration``, the next begins a ``period`` later.

    Parameters
    ----------
    start, duration
        In the model's unit of time; duration > 0, infinite by default.
    period
        From one start to the next, at least the duration; None where there is one pulse.
    pulses
        How many; None: without end.
    """

    start: float = 0.0
    duration: float = math.inf
    period: float | None = None
    pulses: int | None = 1

    def __post_init__(self) -> None:
        check_number("start", self.start)
        if not self.duration > 0.0:
            raise InputError("duration", self.duration, "a time > 0")
        if self.pulses is not None:
            check_integer("pulses", self.pulses, at_least=1)
        if self.period is None and self.pulses != 1:
            raise InputError("period", None, f"given where pulses = {self.pulses}")
        if self.period is not None and not self.duration <= self.period < math.inf:
            raise InputError("period", self.period, f"a finite time of at least the duration, {self.duration:g}")

    def on(self, time: float) -> float:
        """Return for how long it was on until ``time``."""
        since = time - self.start
        if since <= 0.0:
            return 0.0
        if self.period is None:
            return min(since, self.duration)
        # A time that round-off leaves just before the start of a pulse belongs to it.
        whole = math.floor(since / self.period + 1e-12)
        if self.pulses is not None and whole >= self.pulses:
            return self.pulses * self.duration
        return whole * self.duration + min(max(0.0, since - whole * self.period), self.duration)

    def active(self, time: float) -> bool:
        """Tell whether it is on at a time, the start of a pulse included."""
        since = time - self.start
        if self.period is None:
            return 0.0 <= since < self.duration
        whole = math.floor(since / self.period + 1e-12)
        return 0 <= whole < (math.inf if self.pulses is None else self.pulses) and (
            since - whole * self.period < self.duration
        )

    def share(self, time: float, step: float) -> float:
        """Return the share of the step from ``time`` in which it is on, from 0 to 1."""
        return share_of_step(self.on, time, step)

    def edges(self, start: float, end: float) -> list[float]:
        """Return the times between ``start`` and ``end`` at which it is switched on or off."""
        period = math.inf if self.period is None else self.period
        first = 0 if self.period is None else max(0, math.floor((start - self.start) / period) - 1)
        last = first + (0 if self.period is None else max(0, math.ceil((end - start) / period)) + 2)
        last = last if self.pulses is None else min(last, self.pulses - 1)
        begins = [self.start + (k * period if k else 0.0) for k in range(first, last + 1)]
        return [at for begin in begins for at in (begin, begin + self.duration) if start < at < end]


def share_of_step(on: Callable[[float], float], time: float, step: float) -> float:
    """Return the share of a step in which something is on, of ``on(time)``, for how long it was; without round-off."""
    share = (on(time + step) - on(time)) / step
    return share if 1e-9 < share < 1.0 - 1e-9 else float(round(share))


@dataclass(frozen=True, kw_only=True, slots=True)
class Splitting:
    """An operator splitting: the operators in order, each over a fraction of the step.

    Parameters
    ----------
    name : str
        Name of the method.
    order : int
        Order of convergence in time.
    stages : tuple of (str, float)
        Name of the operator and the fraction of the step it covers; the fractions of each operator sum to one.
    """

    name: str
    order: int
    stages: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        for operator in self.operators:
            total = sum(fraction for name, fraction in self.stages if name == operator)
            if not math.isclose(total, 1.0, rel_tol=1e-12):
                raise InputError("stages", self.stages, f"fractions that sum to one for each operator, not {total:g}")

    @property
    def operators(self) -> tuple[str, ...]:
        """Names of the operators, in order of first use."""
        return tuple(dict.fromkeys(name for name, _ in self.stages))

    def fractions(self, operator: str) -> tuple[float, ...]:
        """Return the distinct fractions of the step over which an operator goes."""
        return tuple(dict.fromkeys(fraction for name, fraction in self.stages if name == operator))


GODUNOV = Splitting(name="godunov", order=1, stages=(("reaction", 1.0), ("diffusion", 1.0)))
STRANG = Splitting(name="strang", order=2, stages=(("reaction", 0.5), ("diffusion", 1.0), ("reaction", 0.5)))
SPLITTINGS: Mapping[str, Splitting] = {splitting.name: splitting for splitting in (GODUNOV, STRANG)}


def get_splitting(splitting: str | Splitting) -> Splitting:
    """Return a splitting itself or the one of that name; raise :class:`InputError` for an unknown name."""
    if isinstance(splitting, Splitting):
        return splitting
    return SPLITTINGS[check_choice("splitting", splitting, tuple(SPLITTINGS))]


def advance(splitting: Splitting, operators: Mapping[str, Operator], time: float, step: float) -> None:
    """Advance the state by one step: run the stages of a splitting in order.

    Each operator is told the time that it has itself reached.

    Raises
    ------
    InputError
        If an operator of the splitting is missing.
    """
    missing = [name for name in splitting.operators if name not in operators]
    if missing:
        raise InputError("operators", sorted(operators), f"all of {', '.join(splitting.operators)}")
    reached = dict.fromkeys(splitting.operators, 0.0)
    for name, fraction in splitting.stages:
        operators[name](time + reached[name] * step, fraction * step)
        reached[name] += fraction


def subcycled(operator: Operator, number: int) -> Operator:
    """Return an operator that covers its step in ``number`` equal parts."""
    number = check_integer("subcycles", number, at_least=1)
    if number == 1:
        return operator

    def run(time: float, step: float) -> None:
        for part in range(number):
            operator(time + step * part / number, step / number)

    return run


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionScheme:
    r"""A one-step method for :math:`M\dot u = -K u` whose stages share one matrix :math:`M + aK`.

    Stage i solves :math:`(M + aK)\,d_i = m_i\,M d_{i-1} - k_i\,K u_n` with :math:`a = a_0\Delta t`,
    :math:`k_i = k_{0,i}\Delta t`; the new state is :math:`u_n + d_s` with the last stage s. The constants are a
    fixed point to round-off, since only increments are solved for.

    Parameters
    ----------
    name : str
        Name of the method.
    order : int
        Order of convergence.
    diagonal : float
        :math:`a_0`.
    stages : tuple of (float, float)
        :math:`(m_i, k_{0,i})`; the first :math:`m` is 0.
    forcing : tuple of tuples of (float, float)
        Of a source F(t): stage i adds :math:`k_i\sum_j w_{ij}F(t_n + c_{ij}\Delta t)`, the weights w sum to one; each
        pair is (w, c). The last c of a stage is its own time.
    """

    name: str
    order: int
    diagonal: float
    stages: tuple[tuple[float, float], ...]
    forcing: tuple[tuple[tuple[float, float], ...], ...] = ()


_GAMMA = 2.0 - math.sqrt(2.0)

BACKWARD_EULER = DiffusionScheme(
    name="backward-euler", order=1, diagonal=1.0, stages=((0.0, 1.0),), forcing=(((1.0, 1.0),),)
)
TR_BDF2 = DiffusionScheme(
    name="tr-bdf2",
    order=2,
    diagonal=0.5 * _GAMMA,
    stages=((0.0, _GAMMA), (1.0 / (_GAMMA * (2.0 - _GAMMA)), 0.5 * _GAMMA)),
    forcing=(((0.5, 0.0), (0.5, _GAMMA)), ((1.0, 1.0),)),
)
"""Trapezoidal rule to 2 - sqrt(2) of the step, then BDF2: second order and L-stable (Bank et al. 1985,
doi 10.1109/T-ED.1985.22232)."""
CRANK_NICOLSON = DiffusionScheme(
    name="crank-nicolson", order=2, diagonal=0.5, stages=((0.0, 1.0),), forcing=(((0.5, 0.0), (0.5, 1.0)),)
)
"""Second order; it does not damp what a step is too long for."""
SCHEMES: Mapping[str, DiffusionScheme] = {scheme.name: scheme for scheme in (BACKWARD_EULER, CRANK_NICOLSON, TR_BDF2)}

#: In place of a splitting: all operators are solved for together.
IMPLICIT = "implicit"


def method_of(splitting: str | Splitting, scheme: str | None, subcycles: int = 1) -> tuple[Splitting, DiffusionScheme]:
    """Return a splitting with the scheme of its diffusion, or the scheme of an implicit step of all operators.

    Raises
    ------
    InputError
        For unknown names, a scheme that is not asked for, and subcycles of what is not split.

    Example
    -------
    >>> [(method.stages, scheme.name) for method, scheme in (method_of("godunov", None), method_of("implicit", None))]
    [((('reaction', 1.0), ('diffusion', 1.0)), 'backward-euler'), ((('implicit', 1.0),), 'tr-bdf2')]
    """
    if isinstance(splitting, Splitting) or splitting != IMPLICIT:
        if isinstance(splitting, str):
            check_choice("splitting", splitting, (*SPLITTINGS, IMPLICIT))
        found = get_splitting(splitting)
        if scheme is not None:
            raise InputError("scheme", scheme, f"absent with the splitting {found.name!r}, which has its own")
        return found, TR_BDF2 if found.order > 1 else BACKWARD_EULER
    chosen = TR_BDF2 if scheme is None else SCHEMES[check_choice("scheme", scheme, tuple(SCHEMES))]
    if check_integer("subcycles", subcycles, at_least=1) != 1:
        raise InputError("subcycles", subcycles, "1 where nothing is split")
    return Splitting(name=IMPLICIT, order=chosen.order, stages=((IMPLICIT, 1.0),)), chosen
