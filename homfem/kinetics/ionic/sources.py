"""What the file of a membrane says, in SymPy: gotranx reads ``.ode`` files, myokit CellML and ``.mmt``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sympy

from homfem.parameters import FileError


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """A state or a parameter of a file: its number, unit and meaning."""

    value: float
    unit: str = ""
    meaning: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a file says.

    ``derivatives`` of its states and ``definitions`` are expressions of symbols that bear the names of states,
    parameters and definitions; the derivative of x itself is the symbol ``dx_dt``, time one of ``times``. ``stimuli``
    are the names of what paces the cell, as far as the file says so. ``units`` are those of definitions, where it says
    them.
    """

    states: Mapping[str, Quantity]
    parameters: Mapping[str, Quantity]
    definitions: Mapping[str, sympy.Expr]
    derivatives: Mapping[str, sympy.Expr]
    times: tuple[str, ...] = ("t", "time")
    time_unit: str = "ms"
    stimuli: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)


def read_source(file: Path, data: bytes) -> Source:
    """Return what a file with this content says.

    Raises
    ------
    FileError
        If it cannot be read, or has no states.
    """
    source = _from_ode(file, data) if file.suffix.lower() == ".ode" else _from_myokit(file, data)
    if not source.states:
        raise FileError("ionic model", str(file), "equations with states", f"{file.name} has none.")
    return source


def _from_ode(file: Path, data: bytes) -> Source:
    import gotranx

    _quiet()
    try:
        text = data.decode("utf-8")
        ode = gotranx.load.ode_from_string(text, name=file.stem, remove_singularities=False)
    except _of_gotranx() as error:
        raise FileError("ionic model", str(file), "equations as gotranx reads them", _first_line(error)) from error
    bare = re.sub("#.*", "", text)
    lines = Counter(re.findall(r"^\s*([A-Za-z_]\w*)\s*=", bare, flags=re.MULTILINE))
    twice = next((name for name, count in lines.items() if count > 1 and name not in ("unit", "description")), None)
    if twice is not None:  # gotranx takes one of them
        raise FileError("ionic model", str(file), "equations that define each name once", f"{twice} has several.")
    places: dict[str, int] = {}
    for found in re.finditer(r"\b([A-Za-z_]\w*)\s*=", bare):
        places.setdefault(found[1], found.start())
    states, parameters = (
        {entry.name: _of_ode(entry) for entry in sorted(entries, key=lambda entry: places.get(entry.name, 0))}
        for entries in (ode.states, ode.parameters)
    )
    return Source(
        states=states,
        parameters=parameters,
        definitions={entry.name: entry.expr for entry in ode.intermediates},
        derivatives={entry.state.name: entry.expr for entry in ode.state_derivatives},
        units={entry.name: entry.unit_str or "" for entry in ode.intermediates},
    )


def _of_gotranx() -> tuple[type[Exception], ...]:
    """Return what gotranx raises for files that it does not read, on purpose or not."""
    import gotranx
    import lark

    own = (lark.exceptions.LarkError, gotranx.exceptions.GotranxError)
    return (*own, AssertionError, TypeError, ValueError, LookupError, AttributeError, RecursionError)


def _of_ode(entry: Any) -> Quantity:
    unit = entry.unit_str or ""
    return Quantity(value=float(entry.value), unit="" if unit == "1" else unit, meaning=entry.description or "")


def _quiet() -> None:
    """Let gotranx say only what is wrong."""
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def _from_myokit(file: Path, data: bytes) -> Source:
    import myokit
    import myokit.formats

    try:
        model = _model(file, data)
        model.validate()
        model.create_unique_names()
        return _of_model(model)
    except (myokit.MyokitError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise FileError("ionic model", str(file), "a model as myokit reads it", _first_line(error)) from error


def _model(file: Path, data: bytes) -> Any:
    import myokit
    import myokit.formats

    if file.suffix.lower() == ".cellml":
        return myokit.formats.importer("cellml").model(str(file))
    model = myokit.parse(data.decode("utf-8").splitlines())[0]
    if model is None:
        raise ValueError("It has no [[model]].")
    return model


def _of_model(model: Any) -> Source:
    import myokit
    import myokit.formats.sympy

    def name(reference: Any) -> str:
        own = str(reference.var().uname())
        return f"d{own}_dt" if isinstance(reference, myokit.Derivative) else own

    writer = myokit.formats.sympy.SymPyExpressionWriter()
    writer.set_lhs_function(name)
    pace, time = model.binding("pace"), model.time()
    starts = dict(zip((state.uname() for state in model.states()), model.initial_values(True), strict=True))
    rest = [variable for variable in model.variables(deep=True, state=False) if not variable.is_bound()]
    parameters = [variable for variable in rest if variable.is_literal()]
    return Source(
        states={state.uname(): _of_variable(state, starts[state.uname()]) for state in model.states()},
        parameters={variable.uname(): _of_variable(variable, variable.eval()) for variable in parameters},
        definitions={
            **{variable.uname(): writer.ex(variable.rhs()) for variable in rest if variable not in parameters},
            **{
                variable.uname(): sympy.Integer(0)
                for variable in model.variables(deep=True, bound=True)
                if variable is not time
            },
        },
        derivatives={state.uname(): writer.ex(state.rhs()) for state in model.states()},
        times=(time.uname(),),
        time_unit=_unit(time) or "ms",
        stimuli=() if pace is None else (pace.uname(),),
        units={variable.uname(): _unit(variable) for variable in rest},
    )


def _of_variable(variable: Any, value: float) -> Quantity:
    return Quantity(value=float(value), unit=_unit(variable), meaning=variable.meta.get("desc", ""))


def _unit(variable: Any) -> str:
    text = "" if variable.unit() is None else str(variable.unit()).strip("[]")
    return "" if text in ("1", "dimensionless") else text


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
