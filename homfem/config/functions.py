"""A function of place and time in a config: an expression with its parameters, in place of a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from homfem.config.table import Check, Table, parse_table
from homfem.kinetics.functions import WrittenFunction, written_function
from homfem.parameters import InputError


def _expression(value: Any) -> str | tuple[str, ...]:
    entries = value if isinstance(value, list) else [value]
    if not entries or not all(isinstance(e, (str, int, float)) and not isinstance(e, bool) for e in entries):
        raise InputError("", value, 'an expression, such as "c*exp(-(x/w)^2)", or a list of them for a vector')
    return tuple(map(str, entries)) if isinstance(value, list) else str(value)


def _parameters(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError("", value, "a table of numbers and quantities by name")
    for name, entry in value.items():
        if isinstance(entry, bool) or not isinstance(entry, (int, float, str)):
            raise InputError(str(name), entry, "a number, or a quantity with its unit")
    return dict(value)


class FunctionTable(Table):
    """``{ expression = "c*exp(-(x/w)^2)", parameters = { c = "2 uM", w = "5 um" } }`` in place of a number."""

    expression: Annotated[Any, Check(_expression, says="an expression of x, y, z and t; of a vector a list of them")]
    """Of `x`, `y`, `z` (lengths), `t` (time) and the parameters; numbers in it are pure."""
    parameters: Annotated[Mapping[str, Any], Check(_parameters, says="a table of numbers and quantities")] = {}
    """The names in it: pure numbers, or quantities with units, all of which must fit together."""

    def function(self, unit: str, *, dimension: int = 3, timed: bool = True) -> WrittenFunction:
        """Return the function, in s and um, with values in a unit."""
        text = list(self.expression) if isinstance(self.expression, tuple) else self.expression
        return written_function(text, unit=unit, parameters=self.parameters, dimension=dimension, timed=timed)


def is_function(value: Any) -> bool:
    """Whether a value of a config is meant to be a function."""
    return isinstance(value, dict) and "expression" in value


def parse_function(value: Any, *, vector: bool = False) -> FunctionTable:
    """Return the table of a function whose values are numbers, or vectors."""
    table = parse_table(FunctionTable, value, "")
    if isinstance(table.expression, tuple) != vector:
        allowed = "a list of expressions, one per axis" if vector else "one expression"
        given = list(table.expression) if isinstance(table.expression, tuple) else table.expression
        raise InputError("expression", given, allowed)
    return table
