"""What numbers the states and the parameters of a membrane can have: refused are those that no membrane has."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from homfem.kinetics.point import PointKinetics
from homfem.parameters import Array, InputError, UnitError
from homfem.quantities import dimension_of

#: No membrane has a potential beyond this, mV.
HIGHEST = 1e3
#: Potentials at which the target of a gate is looked at, mV.
_POTENTIALS = np.linspace(-150.0, 100.0, 51).astype(np.float64)
#: Units of what is never negative; of these, what a state may be.
_POSITIVE = ("mM", "S", "S/m^2", "S/F", "F", "F/m^2", "m^3", "m^2", "m", "K", "ms", "1/ms", "m/s", "1/mM", "1/mM/ms")
_CONCENTRATION = "mM"
#: Of these, what is not zero: models divide by it.
_NOT_ZERO = ("F", "F/m^2", "m^3", "K")


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from ``least``, or ``above`` it, to ``largest``, and why there are no others."""

    least: float
    largest: float
    why: str
    above: bool = False

    def check(self, name: str, values: float | Array) -> None:
        """Raise :class:`InputError` for a number that is outside, of several for that of the largest size."""
        given = np.atleast_1d(np.asarray(values, dtype=np.float64))
        wrong = given[(given < self.least) | (given > self.largest) | (self.above & (given == self.least))]
        if wrong.size:
            low = f"{'>' if self.above else '>='} {self.least:g}"
            allowed = low if np.isinf(self.largest) else f"from {self.least:g} to {self.largest:g}"
            raise InputError(name, float(wrong[np.argmax(np.abs(wrong))]), allowed, self.why)


def ranges(kinetics: PointKinetics) -> dict[str, Range]:
    """Return the numbers that the potential, the states and the parameters of a membrane can have, by name.

    A gate whose target is from 0 to 1 at every potential from -150 to 100 mV, with all else as at the start, is a
    share. Concentrations, conductances, capacitances, volumes, temperatures, times and rates are not negative, where
    the model itself has none that is. What is not named can be any number.

    Example
    -------
    >>> from homfem.kinetics.ionic import ionic_kinetics
    >>> found = ranges(ionic_kinetics("tentusscher-panfilov-2006"))
    >>> found["m"].largest, found["Ca_i"].least, found["g_Na"].least, "I_pulse" in found
    (1.0, 0.0, 0.0, False)
    """
    found = {}
    for entry in kinetics.fields:
        if entry.unit == "mV":
            found[entry.name] = Range(-HIGHEST, HIGHEST, "No membrane has such a potential: is it in mV?")
    for state in kinetics.states:
        if _of(state.unit, (_CONCENTRATION,)) and state.start >= 0.0:
            found[state.name] = Range(0.0, np.inf, f"{state.name} is a concentration.")
    for name in _shares(kinetics):
        found[name] = Range(0.0, 1.0, f"{name} is a gate: the share that is open.")
    for parameter in kinetics.parameters:
        conductance = parameter.name.lower().startswith("g_")  # whatever it multiplies
        if parameter.value >= 0.0 and (conductance or _of(parameter.unit, _POSITIVE)):
            why = f"{parameter.name} is {parameter.meaning or 'a parameter'}, in {parameter.unit or 'no unit'}."
            found[parameter.name] = Range(0.0, np.inf, why, parameter.value > 0.0 and _of(parameter.unit, _NOT_ZERO))
    return found


def check_ranges(path: str, kinetics: PointKinetics, given: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` for the first of the numbers by name that is out of range; of arrays, and by region."""
    known = ranges(kinetics) if given else {}
    for name, values in given.items():
        if name in known:
            for region, value in values.items() if isinstance(values, Mapping) else [("", values)]:
                known[name].check(f"{path}.{name}.{region}".rstrip("."), value)


def _shares(kinetics: PointKinetics) -> list[str]:
    """Return the names of the gates whose target is from 0 to 1 at every potential."""
    if kinetics.relaxation is None or len(kinetics.fields) != 1:
        return []
    start, n = kinetics.start(), _POTENTIALS.size
    states = np.repeat(start[1:, None], n, axis=1)
    _, targets = kinetics.relaxation(0.0, [_POTENTIALS.copy()], states, kinetics.values(size=n))
    least, most = targets.min(axis=1), targets.max(axis=1)  # not a number, at a potential or two, is no share
    gates = kinetics.states[: kinetics.gates]
    return [
        gate.name
        for gate, low, high in zip(gates, least, most, strict=True)
        if low >= -1e-9 and high <= 1.0 + 1e-9 and 0.0 <= gate.start <= 1.0
    ]


def _of(unit: str, others: tuple[str, ...]) -> bool:
    """Tell whether a unit has the dimension of one of the others; one that is not known has not."""
    if not unit or unit == "1":
        return False
    own = _dimension(unit)
    return own is not None and any(own == _dimension(other) for other in others)


@functools.cache
def _dimension(unit: str) -> tuple[tuple[str, float], ...] | None:
    try:
        return tuple(sorted(dimension_of(unit).items()))
    except UnitError:  # words of the file's own
        return None
