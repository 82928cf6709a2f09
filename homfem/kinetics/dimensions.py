"""Units in expressions: one coherent system for all quantities, and what does not fit together is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from homfem.kinetics.expressions import Expression, Node
from homfem.parameters import InputError, UnitError, check_number
from homfem.quantities import Kind, Quantity, conversion_factor, dimension_of, parse_quantity

Dimension = Mapping[str, float]
ANY = Kind(name="a quantity", unit="", example="0.2 1/s")
"""A quantity of any dimension."""
#: What the system takes for a dimension that no unit of the model has.
_BASES = {
    "[substance]": "mol",
    "[mass]": "kg",
    "[temperature]": "K",
    "[current]": "A",
    "[luminosity]": "cd",
    "[length]": "m",
    "[time]": "s",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitSystem:
    """Units of which every other one of the system is a product of powers, so that numbers in it need no factors.

    Parameters
    ----------
    units : tuple of str
        Independent units, such as ``("s", "um", "uM")``.
    """

    units: tuple[str, ...]

    def unit_of(self, dimension: Dimension) -> str:
        """Return the unit of a dimension in this system, such as ``"uM^-1*s^-1"``; empty for a pure number."""
        names = [*_BASES, *(name for name in dimension if name not in _BASES)]
        table = np.array([[dimension_of(unit).get(name, 0.0) for unit in self.units] for name in names])
        right = np.array([dimension.get(name, 0.0) for name in names])
        powers, *_ = np.linalg.lstsq(table, right, rcond=None)
        if np.abs(table @ powers - right).max() > 1e-9:
            raise UnitError("unit", dict(dimension), "of length, time, substance, mass, temperature, current")
        exact = [Fraction(float(power)).limit_denominator(60) for power in powers]
        factors = [
            unit if power == 1 else f"({unit})^{int(power) if power.denominator == 1 else float(power)}"
            for unit, power in zip(self.units, exact, strict=True)
            if power
        ]
        return "*".join(factors)

    def number(self, quantity: Quantity) -> tuple[float, str]:
        """Return a quantity as its number in this system, with the unit of that."""
        unit = self.unit_of(dimension_of(quantity.unit))
        return (quantity.to(unit), unit) if unit else (quantity.to("1"), "")


def unit_system(name: str, units: Sequence[str]) -> UnitSystem:
    """Return the system of the units of a model: time, length, its species.

    Raises
    ------
    InputError
        If two units of one dimension differ, such as ``"uM"`` and ``"mM"``: no expression could have both.

    Example
    -------
    >>> unit_system("species", ["s", "um", "uM"]).number(Quantity(0.2, "1/(nM*ms)"))
    (200000.0, '(s)^-1*(uM)^-1')
    """
    chosen: list[str] = []
    for unit in filter(None, [*units, *_BASES.values()]):
        known = UnitSystem(units=tuple(chosen))
        try:
            same = known.unit_of(dimension_of(unit)) if chosen else None
        except UnitError:
            same = None
        if same is None:
            chosen.append(unit)
        elif unit in units and abs(conversion_factor(unit, same or "1") - 1.0) > 1e-9:
            raise InputError(name, unit, f"in {same or 'pure numbers'}, which the other units make", "Use one unit.")
    return UnitSystem(units=tuple(chosen))


def check_dimensions(
    name: str,
    expression: Expression,
    dimensions: Mapping[str, Dimension],
    values: Mapping[str, float],
    wanted: Dimension,
) -> None:
    """Refuse an expression whose parts do not fit together, or that is of another dimension than is wanted.

    Parameters
    ----------
    name
        The parameter's name, for the message.
    expression
        The expression.
    dimensions
        Of each name in it.
    values
        Of names that stand for one number, such as an exponent.
    wanted
        What the expression must be of.

    Raises
    ------
    UnitError
        With the part that does not fit.
    """
    found = dimension_of_expression(name, expression, dimensions, values)
    if not _same(found, wanted):
        raise UnitError(name, expression.text, f"of dimension {_text(wanted)}", f"It is of {_text(found)}.")


def dimension_of_expression(
    name: str, expression: Expression, dimensions: Mapping[str, Dimension], values: Mapping[str, float]
) -> Dimension:
    """Return the dimension of an expression; raise :class:`UnitError` where its parts do not fit together.

    Parameters
    ----------
    name, expression, dimensions, values
        As of :func:`check_dimensions`.
    """
    return _Checker(name, expression.text, dimensions, values).of(expression.tree)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """What the names of expressions are in the units of a model.

    Parameters
    ----------
    numbers : mapping of str to (float, str)
        The parameters, each with the unit of its number; empty for a pure one.
    measured : frozenset of str
        Those that were given with a unit.
    dimensions : mapping
        Of parameters, and of all other names.
    """

    numbers: Mapping[str, tuple[float, str]]
    measured: frozenset[str]
    dimensions: Mapping[str, Dimension]

    def check(self, name: str, expression: Expression, unit: str) -> None:
        """Refuse an expression that is not of a unit, or whose parts do not fit together; 0 is of any."""
        if expression.tree.operation == "number" and expression.tree.number == 0.0:
            return
        values = {key: number for key, (number, _) in self.numbers.items()}
        check_dimensions(name, expression, self.dimensions, values, _dimension(unit))


def measures(parameters: Mapping[str, Any], units: Mapping[str, str], *, base: Sequence[str]) -> Measures:
    """Return numbers and quantities in the system that base units and the units of other names make.

    Parameters
    ----------
    parameters
        Numbers, or strings with units, such as ``"0.2 1/(uM s)"``.
    units
        Of all other names, such as species, coordinates and time; empty for pure numbers.
    base
        Units of time and length of the model, and of the species.

    Raises
    ------
    InputError
        For what is neither; UnitError for units that do not fit into the system.
    """
    read = {
        name: parse_quantity(f"parameters.{name}", given, ANY)
        for name, given in parameters.items()
        if isinstance(given, (str, Quantity))
    }
    numbers = {name: (check_number(f"parameters.{name}", parameters[name]), "") for name in parameters.keys() - read}
    system = unit_system("species", list(base))
    numbers |= {name: system.number(quantity) for name, quantity in read.items()}
    all_units = {name: unit for name, (_, unit) in numbers.items()} | dict(units)
    return Measures(
        numbers={name: numbers[name] for name in parameters},
        measured=frozenset(read),
        dimensions={name: _dimension(unit) for name, unit in all_units.items()},
    )


def _dimension(unit: str) -> Dimension:
    return dimension_of(unit) if unit else {}


@dataclass(frozen=True, slots=True)
class _Checker:
    name: str
    text: str
    dimensions: Mapping[str, Dimension]
    values: Mapping[str, float]

    def refuse(self, remedy: str) -> UnitError:
        more = "A number without a unit is a pure number: give one with a unit as a parameter."
        return UnitError(self.name, self.text, "an expression whose units fit together", f"{remedy} {more}")

    def of(self, node: Node) -> Dimension:
        operation, parts = node.operation, [self.of(part) for part in node.parts]
        if operation == "number":
            return {}
        if operation == "name":
            return self.dimensions[node.name]
        if operation in ("negative", "abs"):
            return parts[0]
        if operation in ("+", "-", "min", "max"):
            zero = [part.operation == "number" and part.number == 0.0 for part in node.parts]
            if any(zero):  # 0 is of any dimension
                return parts[1] if zero[0] else parts[0]
            if not _same(parts[0], parts[1]):
                first, second = (f"{part} is of {_text(of)}" for part, of in zip(node.parts, parts, strict=True))
                raise self.refuse(f"In {node}, {first} and {second}.")
            return parts[0]
        if operation in ("*", "/"):
            return _product(parts[0], parts[1], 1.0 if operation == "*" else -1.0)
        if operation == "sqrt":
            return _product({}, parts[0], 0.5)
        pure = parts[1:] if operation == "**" else parts
        if any(pure):
            raise self.refuse(f"In {node}, {node.parts[-1]} is of {_text(pure[-1])}; it must be a pure number.")
        if operation != "**" or not parts[0]:
            return {}
        exponent = self.number(node.parts[1])
        if exponent is None:
            raise self.refuse(f"In {node}, the exponent must be a number, as {node.parts[0]} has a unit.")
        return _product({}, parts[0], exponent)

    def number(self, node: Node) -> float | None:
        """Return the number that a part stands for, or None if it changes."""
        if node.operation == "negative":
            inner = self.number(node.parts[0])
            return None if inner is None else -inner
        if node.operation == "/":
            over, under = (self.number(part) for part in node.parts)
            return None if over is None or not under else over / under
        return node.number if node.operation == "number" else self.values.get(node.name)


def _product(a: Dimension, b: Dimension, power: float) -> dict[str, float]:
    """Return the dimension of a times b to a power."""
    powers = {name: a.get(name, 0.0) + power * b.get(name, 0.0) for name in {*a, *b}}
    return {name: value for name, value in powers.items() if abs(value) > 1e-9}


def _same(a: Dimension, b: Dimension) -> bool:
    return not _product(a, b, -1.0)


def _text(dimension: Dimension) -> str:
    parts = [name if power == 1.0 else f"{name}^{power:g}" for name, power in sorted(dimension.items())]
    return " ".join(parts) or "no unit"
