"""Functions of place and time that a user writes as expressions, such as an inflow ``"U*(1 - (y/R)^2)"``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homfem.kinetics.dimensions import measures
from homfem.kinetics.expressions import Expression, as_array, check_name, parse_expression
from homfem.kinetics.reactions import COORDINATES, TIME
from homfem.parameters import Array, InputError, UnitError, check_integer


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenFunction:
    """Expressions of ``x``, ``y``, ``z`` and ``t`` as a function of points and time.

    Parameters
    ----------
    expressions : tuple of Expression
        One, or one for each component.
    parameters : mapping of str to float
        Their other names.
    scalar : bool
        Whether values are numbers, not vectors of one component.
    """

    expressions: tuple[Expression, ...]
    parameters: Mapping[str, float]
    scalar: bool

    def __call__(self, x: Array, time: float = 0.0) -> Array:
        """Return the values at points of shape (3, n): of shape (n,), of a vector (components, n)."""
        names = {**self.parameters, **dict(zip(COORDINATES, x, strict=False)), TIME: time}
        values = [as_array(entry.value(names), x.shape[1]) for entry in self.expressions]
        return values[0] if self.scalar else np.array(values)


def written_function(
    text: str | float | Sequence[str | float],
    *,
    unit: str,
    parameters: Mapping[str, Any] | None = None,
    time_unit: str = "s",
    length_unit: str = "um",
    dimension: int = 3,
    timed: bool = True,
) -> WrittenFunction:
    """Return the function that an expression says, or the vector that a list of them says.

    All of it must fit together: numbers are pure, ``x``, ``y``, ``z`` are lengths, ``t`` is a time, and so is what
    comes out of the given unit.

    Parameters
    ----------
    text
        The expression, or one for each component.
    unit
        Of its values, empty for pure numbers.
    parameters
        Pure numbers, or strings with any unit, such as ``"5 um"``.
    time_unit, length_unit
        Units of the model, in which the function then takes and gives plain numbers.
    dimension
        Number of coordinates, 1 to 3.
    timed
        Whether ``t`` may stand in it.

    Raises
    ------
    InputError
        For an expression that cannot be read, unknown names (with the nearest), parameters that it does not have.
    UnitError
        For units that do not fit together.

    Example
    -------
    >>> spot = written_function("c*exp(-(x/w)^2)", unit="uM", parameters={"c": "2 nM", "w": "1 mm"})
    >>> spot(np.array([[0.0, 1000.0], [0.0, 0.0], [0.0, 0.0]])).round(6).tolist()
    [0.002, 0.000736]
    """
    places = COORDINATES[: check_integer("dimension", dimension, at_least=1, at_most=3)]
    given = dict(parameters or {})
    for entry in given:
        check_name("parameters", entry, (TIME, *COORDINATES))
    scalar = isinstance(text, (str, int, float))
    texts: Sequence[Any] = [text] if scalar or not isinstance(text, Sequence) else text
    names = [*given, *([TIME] if timed else []), *places]
    labels = ["expression" if scalar else f"expression[{k}]" for k in range(len(texts))]
    parsed = [parse_expression(label, entry, names) for label, entry in zip(labels, texts, strict=True)]
    used = frozenset[str]().union(*(expression.names for expression in parsed))
    idle = [entry for entry in given if entry not in used]
    if idle:
        raise InputError("parameters", idle[0], "in the expression", f"Leave out what {text!r} does not have.")
    others = {TIME: time_unit, **dict.fromkeys(places, length_unit)}
    found = measures(given, others, base=[time_unit, length_unit, unit])
    shown = ", ".join(
        f"{name} = {value!r}" + " (no unit)" * (name not in found.measured) for name, value in given.items()
    )
    for label, expression in zip(labels, parsed, strict=True):
        try:
            found.check(label, expression, unit)
        except UnitError as error:
            more = f" Here {shown}." if shown else ""
            raise UnitError(error.name, error.value, error.allowed, error.remedy + more) from error
    return WrittenFunction(
        expressions=tuple(parsed),
        parameters={name: number for name, (number, _) in found.numbers.items()},
        scalar=scalar,
    )
