r"""A single cell that is paced: :math:`\dot V = -(I_{ion} + I_{stim})/C_m` beat after beat.

The stimulus is a current per capacitance. A model with a parameter ``I_pulse`` has it in its equations, and there also
potassium carries it where the paper says so; of other models it is added to V. In tissue the stimulus is none of the
membrane's, and ``I_pulse`` stays 0.

Durations of action potentials: :mod:`homfem.kinetics.ionic.action_potential`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from homfem.kinetics.ionic.action_potential import ActionPotential
from homfem.kinetics.ionic.cells import Cells, make_cells
from homfem.kinetics.point import PointKinetics
from homfem.parameters import Array, ConvergenceError, InputError, check_integer, check_number

#: Beyond this no membrane has ever been, in mV.
_FAR = 1e3
#: V that an action potential passes and a membrane that is only charged does not, in mV.
_THRESHOLD = -10.0
#: Steps whose V is kept at once.
MOST_STEPS = 10_000_000
#: No stimulus is strong enough that less than this is an action potential, in mV.
_RISE = 60.0
#: Parameter of kinetics that is the stimulus, in A/F, inward where negative.
STIMULUS = "I_pulse"


class UnstableStepError(ConvergenceError):
    """A state of a cell left the finite numbers, or V every physical range: the step is too long for the scheme."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pacing:
    """How a cell is paced.

    Parameters
    ----------
    cycle_length : float
        Time from one stimulus to the next, in ms; it is longer than the stimulus.
    amplitude : float
        The stimulus, in A/F = mV/ms, > 0; it depolarises. (The literature writes it as a negative current.)
    duration : float
        Its duration, in ms.
    step : float
        Time step, in ms; it divides the cycle length and the duration.
    scheme, order
        How a step goes, see :mod:`homfem.kinetics.ionic.kernels`.
    threshold : float or None
        A stimulus has captured if V is above it later than one more duration after the end of the stimulus, and has
        risen by more than the charge of the stimulus can do (or 60 mV). None: -10 mV, for models in mV.

    Raises
    ------
    InputError
        If the numbers are not so.
    """

    cycle_length: float = 1000.0
    amplitude: float = 52.0
    duration: float = 1.0
    step: float = 0.02
    scheme: str = "generalized-rush-larsen"
    order: int = 2
    threshold: float | None = None

    def __post_init__(self) -> None:
        check_number("amplitude", self.amplitude, above=0.0)
        check_number("duration", self.duration, above=0.0)
        check_number("step", self.step, above=0.0, at_most=self.duration)
        if self.threshold is not None:
            check_number("threshold", self.threshold)
        check_number(
            "cycle_length", self.cycle_length, above=2.0 * self.duration, remedy="It is longer than two stimuli."
        )
        for name in ("duration", "cycle_length"):
            self.steps(name, getattr(self, name))

    @property
    def scheme_options(self) -> dict[str, Any]:
        """What cells are told of it."""
        return {"scheme": self.scheme, "order": self.order}

    def captures(self, kinetics: PointKinetics) -> float:
        """Return the threshold for a model; refuse one that is not in mV where none is given."""
        if self.threshold is None and kinetics.fields[0].unit != "mV":
            raise InputError("threshold", None, f"given for {kinetics.name}, whose V is not in mV")
        return _THRESHOLD if self.threshold is None else self.threshold

    def steps(self, name: str, time: float) -> int:
        """Return how many steps a time has; refuse one that has no whole number of them, or too many to keep."""
        if time / self.step > MOST_STEPS:
            raise InputError("step", self.step, f"at least {time / MOST_STEPS:g} ms: {name} has too many steps")
        number = round(time / self.step)
        if abs(time / self.step - number) > 1e-6:
            raise InputError(name, time, f"a whole number of steps of {self.step:g} ms", f"Try {number * self.step:g}.")
        return number


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """What one beat was.

    Parameters
    ----------
    captured
        Whether the stimulus started an action potential.
    apd90, apd50
        Its durations in ms, from the largest upstroke; NaN where there is none, or V has not recovered by the end.
    rest, peak
        V before the stimulus and the largest V, in mV.
    upstroke
        The largest dV/dt, in mV/ms.
    """

    captured: bool
    apd90: float
    apd50: float
    rest: float
    peak: float
    upstroke: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Paced:
    """A paced cell.

    Parameters
    ----------
    pacing
        The protocol.
    beats
        All beats in their order.
    last
        The trace of the last beat.
    end
        Fields and states by name at the end of the last cycle, where the next stimulus would come.
    """

    pacing: Pacing
    beats: tuple[Beat, ...]
    last: ActionPotential
    end: Mapping[str, float]

    @property
    def missed(self) -> tuple[int, ...]:
        """The numbers, from 1 on, of the beats that were not captured."""
        return tuple(k for k, beat in enumerate(self.beats, start=1) if not beat.captured)


def pace(
    kinetics: PointKinetics,
    pacing: Pacing | None = None,
    *,
    beats: int = 1,
    parameters: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
) -> Paced:
    """Pace a cell.

    Parameters
    ----------
    kinetics
        The model, with V as its first field.
    pacing
        The protocol.
    beats
        How many.
    parameters, start
        Numbers in place of the model's own; the start is that before the first stimulus.

    Returns
    -------
    Paced

    Raises
    ------
    InputError
        For unknown names and numbers out of range.
    UnstableStepError
        If a state leaves the finite numbers, with its name and the time.

    Example
    -------
    >>> from homfem.kinetics.ionic import ionic_kinetics
    >>> found = pace(ionic_kinetics("mitchell-schaeffer"), Pacing(step=0.05), beats=2)
    >>> round(found.beats[1].apd90)
    286
    """
    pacing = pacing or Pacing()
    check_integer("beats", beats, at_least=1)
    train = paced_beats(kinetics, pacing, parameters=parameters, start=start)
    done: list[Beat] = []
    for last, cells in islice(train, beats):
        done.append(beat_of(last))
        end = cells.values
    return Paced(pacing=pacing, beats=tuple(done), last=last, end=named(kinetics, end))


def paced_beats(
    kinetics: PointKinetics,
    pacing: Pacing,
    *,
    parameters: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
) -> Iterator[tuple[ActionPotential, Cells]]:
    """Yield, after each beat of an endless train, its trace and the cell, which goes on from there."""
    pacing.captures(kinetics)
    cells = make_cells(kinetics, kinetics.start(start)[:, None], parameters=parameters, **pacing.scheme_options)
    number = pacing.steps("cycle_length", pacing.cycle_length)
    while True:
        yield trace_of(run_beat(cells, pacing, number)[:, 0], pacing, kinetics), cells


def run_beat(cells: Cells, pacing: Pacing, number: int) -> Array:
    """Advance cells by some steps, of which the first are those of a stimulus; return V, shape (number + 1, n).

    Raises
    ------
    UnstableStepError
        If a state leaves the finite numbers, with its name and the time.
    """
    before = cells.values.copy()
    potential = np.concatenate([before[:1], *_parts(cells, pacing, number)])
    if not (np.all(np.isfinite(cells.values)) and np.all(np.abs(potential) < _FAR)):
        cells.values[:] = before
        _blame(cells, pacing, number)
    return potential


def _parts(cells: Cells, pacing: Pacing, number: int, *, single: bool = False) -> Iterator[Array]:
    """Advance cells and yield V after each step, in parts: the stimulus and the rest, or (``single``) step by step."""
    on, step = pacing.steps("duration", pacing.duration), pacing.step
    carried = cells.has(STIMULUS)
    k = 0
    while k < number:
        pulse = k < on
        many = 1 if single or (pulse and not carried) else (on if pulse else number) - k
        if carried:
            cells.set(STIMULUS, -pacing.amplitude if pulse else 0.0)
        part = cells.advance(k * step, step, many)
        if pulse and not carried:
            cells.values[0] += pacing.amplitude * step
            part[-1] = cells.values[0]
        k += many
        yield part


def _blame(cells: Cells, pacing: Pacing, number: int) -> None:
    """Raise the error that names the state which left the finite numbers first, and when."""
    names = [entry.name for entry in (*cells.kinetics.fields, *cells.kinetics.states)]
    for k, _ in enumerate(_parts(cells, pacing, number, single=True), start=1):
        bad = np.any(~np.isfinite(cells.values), axis=1)
        bad = np.append(bad[0] or np.any(np.abs(cells.values[0]) >= _FAR), bad[1:])
        if bad.any():
            row = int(np.argmax(bad))
            raise UnstableStepError(
                f"{cells.kinetics.name}: {names[row]} = {cells.values[row].tolist()[0]} at {k * pacing.step:g} ms "
                f"after a stimulus, with the scheme {pacing.scheme!r} and step = {pacing.step:g} ms. Take a shorter "
                "step, or look at the stimulus and the parameters that were changed."
            )
    raise UnstableStepError(f"{cells.kinetics.name}: a state is not finite after a beat. Take a shorter step.")


def trace_of(potential: Array, pacing: Pacing, kinetics: PointKinetics) -> ActionPotential:
    """Return V at all steps from a stimulus on as a trace."""
    return ActionPotential(
        times=pacing.step * np.arange(len(potential), dtype=np.float64),
        potential=potential,
        threshold=pacing.captures(kinetics),
        settled=2.0 * pacing.duration,
        charge=min(_RISE, pacing.amplitude * pacing.duration),
    )


def beat_of(trace: ActionPotential) -> Beat:
    """Return the numbers of a beat."""
    return Beat(
        captured=trace.captured,
        apd90=trace.duration(0.9),
        apd50=trace.duration(0.5),
        rest=trace.rest,
        peak=trace.peak,
        upstroke=trace.upstroke,
    )


def named(kinetics: PointKinetics, values: Array) -> dict[str, float]:
    """Return fields and states of one cell by name."""
    entries: Sequence[Any] = (*kinetics.fields, *kinetics.states)
    return {entry.name: float(value) for entry, value in zip(entries, values[:, 0], strict=True)}
