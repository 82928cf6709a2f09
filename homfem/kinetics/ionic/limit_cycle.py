r"""Pacing until a beat ends as it began: the limit cycle, kept on disk.

A state X has come to rest when its change from the end of one beat to the end of the next, in parts of \|X\| there
(V: of the largest \|V\| of the beat), is below a tolerance; the limit cycle is there when this holds of V and of every
state. Where it holds from each beat to the next but one, and not from one to the next, beats alternate: **alternans**.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from homfem.disk import write_text
from homfem.kinetics.ionic.cache import cache_folder
from homfem.kinetics.ionic.pacing import Beat, Pacing, beat_of, named, paced_beats
from homfem.kinetics.point import PointKinetics
from homfem.parameters import Array, ConvergenceError, check_integer, check_tolerance

#: Of what is written to disk: a change makes what was kept unknown.
_FORMAT = 1
#: Difference of APD90 in ms from which on beats alternate; numbers of steps alone differ by less.
_ALTERNANS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitCycle:
    """A cell that is paced until its beats repeat.

    Parameters
    ----------
    start : mapping of str to float
        V and the states by name just before a stimulus: what a tissue starts with.
    beats : int
        How many it took.
    change : float
        Largest change of a state over a period, in parts of its size; ``slowest`` is that state.
    period : int
        1, or 2 where beats alternate.
    last : tuple of Beat
        The last one, or two where they alternate.
    """

    start: Mapping[str, float]
    beats: int
    change: float
    slowest: str
    period: int
    last: tuple[Beat, ...]

    @property
    def alternans(self) -> bool:
        """Whether every other beat is alike, and APD90 of neighbours differ by more than 1 ms."""
        return self.period == 2 and abs(self.last[0].apd90 - self.last[1].apd90) > _ALTERNANS


def limit_cycle(
    kinetics: PointKinetics,
    pacing: Pacing | None = None,
    *,
    tolerance: float = 1e-5,
    beats: int = 2000,
    parameters: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
    cache: Path | bool = True,
) -> LimitCycle:
    """Pace a cell to its limit cycle.

    Parameters
    ----------
    kinetics
        The model.
    pacing
        The protocol.
    tolerance
        Largest change of a state from beat to beat, in parts of its size, in [1e-13, 1).
    beats
        How many it may take.
    parameters, start
        Numbers in place of the model's own.
    cache
        Whether, or in which folder, the result is kept by a hash of the equations, the parameters, the protocol and the
        scheme; several processes may ask at once, and one computes.

    Raises
    ------
    InputError
        For unknown names and numbers out of range.
    ConvergenceError
        If the beats do not repeat, with the state that moves most; or not all of the last ones were captured.

    Example
    -------
    >>> from homfem.kinetics.ionic import Pacing, ionic_kinetics
    >>> found = limit_cycle(ionic_kinetics("mitchell-schaeffer"), Pacing(cycle_length=500.0, step=0.05))
    >>> found.beats < 10, found.alternans, round(found.last[0].apd90)
    (True, False, 268)
    """
    pacing = pacing or Pacing()
    check_tolerance(tolerance)
    check_integer("beats", beats, at_least=3)
    asked = {"tolerance": tolerance, "beats": beats, "pacing": asdict(pacing)}
    if cache is False:
        return _paced(kinetics, pacing, asked, parameters, start)
    folder = cache_folder() if cache is True else Path(cache)
    path = folder / f"cycle-{_key(kinetics, parameters, start, asked)}.json"
    with _alone(path):
        kept = _kept(path)
        if kept is None:
            kept = _paced(kinetics, pacing, asked, parameters, start)
            with contextlib.suppress(OSError):  # a folder that cannot be written
                write_text(path, json.dumps(asdict(kept)))
    return kept


def _paced(
    kinetics: PointKinetics,
    pacing: Pacing,
    asked: Mapping[str, Any],
    parameters: Mapping[str, float] | None,
    start: Mapping[str, float] | None,
) -> LimitCycle:
    names = [entry.name for entry in (*kinetics.fields, *kinetics.states)]
    ends = deque([kinetics.start(start)], maxlen=3)
    done: deque[Beat] = deque(maxlen=2)
    sizes, tolerance = np.abs(ends[0]), asked["tolerance"]
    for number, (trace, cells) in enumerate(paced_beats(kinetics, pacing, parameters=parameters, start=start), start=1):
        end = cells.values[:, 0].copy()
        done.append(beat_of(trace))
        sizes = np.maximum(0.9 * sizes, np.abs(end))
        sizes[0] = max(sizes[0], np.abs(trace.potential).max())
        changes = [_change(end, other, sizes) for other in ends]  # the last entry is the beat before
        ends.append(end)
        period = _period(changes, tolerance)
        if period or number == asked["beats"]:
            break
    slow = changes[-period or -1]
    worst = int(np.argmax(slow))
    _check_end(kinetics, pacing, done, number)
    if not period:
        raise ConvergenceError(
            f"{kinetics.name}: after {number} beats {names[worst]} still changes by {slow[worst]:.1e} of its size from "
            f"one beat to the next; the tolerance is {tolerance:g}. Allow more beats or a larger tolerance."
        )
    return LimitCycle(
        start=named(kinetics, cells.values),
        beats=number,
        change=float(slow[worst]),
        slowest=names[worst],
        period=period,
        last=tuple(done)[-period:],
    )


def _check_end(kinetics: PointKinetics, pacing: Pacing, last: Iterable[Beat], number: int) -> None:
    """Refuse a train whose last beats were not all captured."""
    missed = sum(not beat.captured for beat in last)
    if missed:
        which = "every other beat" if missed == 1 else "no beat"
        was = "was not captured" if missed == 1 else "was captured"
        raise ConvergenceError(
            f"{kinetics.name}: at the end of {number} beats of {pacing.cycle_length:g} ms {which} {was} by "
            f"{pacing.amplitude:g} A/F for {pacing.duration:g} ms. Take a longer cycle_length or a larger amplitude."
        )


def _change(end: Array, other: Array, sizes: Array) -> Array:
    return np.asarray(np.abs(end - other) / np.where(sizes > 0.0, sizes, 1.0))


def _period(changes: list[Array], tolerance: float) -> int:
    """Return 1 or 2 if the last beat is as the one before, or the one before that; else 0."""
    largest = [float(change.max()) for change in reversed(changes)]
    if largest[0] <= tolerance:
        return 1
    # Beats that only drift are twice as far apart over two.
    return 2 if len(largest) > 1 and largest[1] <= tolerance and largest[0] > 10.0 * tolerance else 0


def _key(
    kinetics: PointKinetics,
    parameters: Mapping[str, float] | None,
    start: Mapping[str, float] | None,
    asked: Mapping[str, Any],
) -> str:
    """Return the hash of all that the result depends on."""
    numbers = {name: float(value) for name, value in vars(kinetics.values(parameters)).items()}
    formulas = kinetics.formulas
    code = [formulas.python, formulas.c, formulas.c_slopes] if formulas is not None else _fingerprint(kinetics)
    variables = [dataclasses.astuple(entry) for entry in (*kinetics.fields, *kinetics.states)]
    whole = [_FORMAT, variables, numbers, kinetics.start(start).tolist(), asked, code]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]


def _fingerprint(kinetics: PointKinetics) -> list[list[str]]:
    """Return derivatives at a few states, to twelve digits: what tells kinetics apart that have no formulas."""
    start = kinetics.start()
    states = [start + shift * np.cos(np.arange(len(start)) + shift) for shift in (0.0, 0.11, 0.37, 0.83)]
    p = kinetics.values()
    return [[f"{value:.12e}" for value in kinetics.derivative(0.0, state, p)] for state in states]


def _kept(path: Path) -> LimitCycle | None:
    """Return what is kept, or None where nothing is or it was damaged."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        entries["last"] = tuple(Beat(**beat) for beat in entries["last"])
        return LimitCycle(**entries)
    except (OSError, ValueError, TypeError, KeyError):
        return None


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time compute what this file keeps; others wait and then read it.

    The system takes the lock from a process that ends. Where there are no locks, each computes for itself.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_suffix(".lock").open("a")
    except OSError:
        yield
        return
    with file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
