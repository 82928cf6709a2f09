"""The equations of a membrane from a file, in SymPy, in mV and ms, without its stimulus.

SymPy, gotranx and myokit load with this module, which is imported where a file is read for the first time.
"""

from __future__ import annotations

import graphlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import sympy

from homfem.kinetics.ionic.sources import Quantity, read_source
from homfem.parameters import FileError, InputError, nearest_name

#: Usual names of the membrane potential, without the name of its component.
POTENTIALS = ("V", "v", "Vm", "V_m", "vm", "E", "Em", "membrane_potential", "membrane_V", "membrane_v")
#: Names of what a file stimulates with.
_STIMULUS = re.compile(
    r"(?i)^(\w+_)?i_?_?(st|stim|stimulus|istim|app|applied)(_?(current|tot|total|c))?(_converter)?$|^pace$"
)
#: Milliseconds in a unit of time, millivolts in one of potential.
_TIMES = {"ms": 1.0, "millisecond": 1.0, "s": 1e3, "second": 1e3}
_POTENTIALS = {"mV": 1.0, "millivolt": 1.0, "V": 1e3, "volt": 1e3, "": 1.0, "1": 1.0, "dimensionless": 1.0}
TIME = sympy.Symbol("time", real=True)
#: Of a number: more is none that a model has.
_LARGEST_POWER = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Equations:
    """Ordinary differential equations of a membrane.

    ``derivatives`` of the states, ``definitions`` that they use, in terms of symbols with the names of ``states`` and
    ``parameters`` and of ``TIME``; ``notes`` say what was done to them.
    """

    name: str
    potential: str
    states: Mapping[str, Quantity]
    parameters: Mapping[str, Quantity]
    definitions: Mapping[sympy.Symbol, sympy.Expr]
    derivatives: Mapping[str, sympy.Expr]
    notes: list[str] = field(default_factory=list)


def symbol(name: str) -> sympy.Symbol:
    """Return the symbol of a state, a parameter or a definition."""
    return sympy.Symbol(name, real=True)


def equations_of(file: Path, data: bytes, potential: str | None) -> Equations:
    """Return the equations of a file, whose content is given, in mV and ms, with no stimulus.

    Raises
    ------
    FileError
        If it cannot be read, or has no states.
    InputError
        If it has no such membrane potential.
    """
    source = read_source(file, data)
    found = _potential(file, source.states, potential)
    definitions = {symbol(name): plain(entry, source.times) for name, entry in source.definitions.items()}
    derivatives = {name: plain(entry, source.times) for name, entry in source.derivatives.items()}
    definitions |= {symbol(f"d{name}_dt"): expression for name, expression in derivatives.items()}
    equations = Equations(
        name=file.stem,
        potential=found,
        states=source.states,
        parameters={name: entry for name, entry in source.parameters.items() if name not in source.times},
        definitions=definitions,
        derivatives=derivatives,
    )
    _check_definitions(file, equations)
    return _in_units(file, _without_stimulus(equations, source.stimuli), source.time_unit)


def plain(expression: sympy.Expr, times: tuple[str, ...]) -> sympy.Expr:
    """Return an expression evaluated by SymPy, with all symbols of one kind."""
    expression = sympy.sympify(expression)
    if isinstance(expression, sympy.Symbol):
        return TIME if expression.name in times else symbol(expression.name)
    if not expression.args:
        return expression
    parts = [plain(part, times) for part in expression.args]
    if expression.is_Pow and parts[1].is_Float and parts[1] == int(parts[1]):
        parts[1] = sympy.Integer(int(parts[1]))
    if expression.is_Pow and parts[0].is_number and parts[1].is_number and abs(parts[1]) > _LARGEST_POWER:
        raise OverflowError(f"a number to the power {sympy.Float(parts[1], 3)}")
    return expression.func(*parts)


def _potential(file: Path, states: Mapping[str, Quantity], wanted: str | None) -> str:
    has = "its states are " + ", ".join(states)
    if wanted is not None:
        if wanted not in states:
            close = nearest_name(wanted, list(states))
            raise InputError("potential", wanted, f"a state of {file.name}: {has}", close)
        return wanted
    for name in POTENTIALS:
        if name in states:
            return name
    raise InputError(
        "potential", None, f"the name of the membrane potential, as {file.name} has none of the usual names: {has}"
    )


def _check_definitions(file: Path, equations: Equations) -> None:
    """Refuse names that are not defined, definitions in a circle, and numbers that are not finite."""
    known = {TIME, *map(symbol, (*equations.states, *equations.parameters)), *equations.definitions}
    uses = {}
    for what, entry in (*equations.states.items(), *equations.parameters.items()):
        if not math.isfinite(entry.value):
            raise FileError("ionic model", str(file), "of finite real numbers", f"{what} is {entry.value}.")
    for name, expression in equations.definitions.items():
        strange = sorted(map(str, expression.free_symbols - known))
        if strange:
            raise FileError("ionic model", str(file), "equations of names that it defines", f"{name} has {strange[0]}.")
        if expression.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I) or any(
            math.isinf(float(number)) for number in expression.atoms(sympy.Float)
        ):
            raise FileError("ionic model", str(file), "of finite real numbers", f"{name} is infinite or not real.")
        uses[name] = expression.free_symbols & equations.definitions.keys()
    try:
        graphlib.TopologicalSorter(uses).prepare()
    except graphlib.CycleError as error:
        circle = ", ".join(map(str, error.args[1]))
        raise FileError("ionic model", str(file), "without a circle", f"{circle} is defined by itself.") from error


def _in_units(file: Path, equations: Equations, time_unit: str) -> Equations:
    """Return equations whose potential is V, in mV, and whose time is in ms."""
    own = equations.states[equations.potential]
    if own.unit not in _POTENTIALS:
        raise FileError("ionic model", str(file), "a membrane potential in mV or V", f"It is in {own.unit!r}.")
    if time_unit not in _TIMES:
        raise FileError("ionic model", str(file), "a time in ms or s", f"It is in {time_unit!r}.")
    volts, time = _POTENTIALS[own.unit], _TIMES[time_unit]
    if equations.potential != "V" and "V" in {
        *equations.states,
        *equations.parameters,
        *map(str, equations.definitions),
    }:
        allowed = f"a file without another quantity of the name V beside the potential {equations.potential}"
        raise FileError("ionic model", str(file), allowed, "Rename it.")
    if equations.potential == "V" and volts == time == 1.0:
        return equations
    new = {symbol(equations.potential): symbol("V") / volts, TIME: TIME / time}
    states = {("V" if name == equations.potential else name): entry for name, entry in equations.states.items()}
    states["V"] = replace(own, value=own.value * volts, unit="mV" if own.unit else "")
    derivatives = {name: expression.xreplace(new) / time for name, expression in equations.derivatives.items()}
    return replace(
        equations,
        potential="V",
        states=states,
        definitions={name: expression.xreplace(new) for name, expression in equations.definitions.items()},
        derivatives={
            ("V" if name == equations.potential else name): expression * (volts if name == equations.potential else 1)
            for name, expression in derivatives.items()
        },
    )


def _without_stimulus(equations: Equations, known: tuple[str, ...]) -> Equations:
    """Return equations in which what stimulates is 0."""
    every = [*map(str, equations.definitions), *equations.parameters]
    names = [name for name in every if name in known or _STIMULUS.match(name)]
    if not names:
        return equations
    nothing = {symbol(other): sympy.Integer(0) for other in names}
    definitions = {
        name: sympy.Integer(0) if str(name) in names else expression.xreplace(nothing)
        for name, expression in equations.definitions.items()
    }
    note = f"{', '.join(names)} is 0: what stimulates is said to the macroscale model"
    return replace(
        equations,
        parameters={name: entry for name, entry in equations.parameters.items() if name not in names},
        definitions=definitions,
        derivatives={name: definitions[symbol(f"d{name}_dt")] for name in equations.derivatives},
        notes=[*equations.notes, note],
    )
