"""Quantities with units, as a user writes them: ``"250 um^2/s"``. Read by pint, which loads at first use. No dolfinx.

A quantity is one number and one unit. What is asked for is a :class:`Kind` (a length, a diffusivity ...): a bare
number, an unknown unit and a unit of another dimension are refused.
"""

from __future__ import annotations

import functools
import math
import re
import tokenize
from dataclasses import dataclass
from typing import Any

from homfem.parameters import InputError, UnitError

#: Between these a number of a quantity can be converted to any unit, and is not cut off at either end.
SMALLEST, LARGEST = 1e-200, 1e200

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf(?:inity)?)(?![A-Za-z]))", re.I)
_UNIT = re.compile(r"[A-Za-z0-9_ /*^()+.\-]{1,80}")
_PLAIN = str.maketrans({"µ": "u", "μ": "u", "²": "^2", "³": "^3", "·": "*", "×": "*"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of quantity.

    Parameters
    ----------
    name
        What it is, with its article: ``"a length"``.
    unit
        A unit of its dimension; empty: it may be of any.
    example
        How one is written.
    """

    name: str
    unit: str
    example: str

    @property
    def allowed(self) -> str:
        """What is allowed, as the end of the sentence "it must be ..."."""
        return f"{self.name} as a string with its unit, such as {self.example!r}"


PURE = Kind(name="a pure number", unit="1", example="0.3 1")

LENGTH = Kind(name="a length", unit="m", example="1 um")
AREA = Kind(name="an area", unit="m^2", example="1 um^2")
INVERSE_LENGTH = Kind(name="an area per volume", unit="1/m", example="2.5 1/um")
TIME = Kind(name="a time", unit="s", example="20 ms")
RATE = Kind(name="a rate", unit="1/s", example="6 1/s")
SPEED = Kind(name="a speed", unit="m/s", example="0.5 m/s")

DIFFUSIVITY = Kind(name="a diffusivity", unit="m^2/s", example="250 um^2/s")
PERMEABILITY = Kind(name="a permeability", unit="m/s", example="0.1 um/s")
CONCENTRATION = Kind(name="a concentration", unit="mol/m^3", example="0.1 uM")
CONCENTRATION_RATE = Kind(name="a concentration per time", unit="mol/m^3/s", example="0.9 uM/s")
BINDING_RATE = Kind(name="a rate per concentration", unit="m^3/mol/s", example="0.2 1/(uM s)")

CONDUCTIVITY = Kind(name="a conductivity", unit="S/m", example="0.3 S/m")
CONDUCTANCE = Kind(name="a conductance per area", unit="S/m^2", example="20 S/m^2")
AREA_RESISTANCE = Kind(name="a resistance times an area", unit="ohm*m^2", example="0.15 kohm*mm^2")
VOLTAGE = Kind(name="a voltage", unit="V", example="-85 mV")
CURRENT = Kind(name="a current", unit="A", example="2 nA")
CURRENT_DENSITY = Kind(name="a current per area", unit="A/m^2", example="30 uA/cm^2")
CURRENT_PER_VOLUME = Kind(name="a current per volume", unit="A/m^3", example="50 uA/mm^3")
SURFACE_CHARGE = Kind(name="a charge per area", unit="C/m^2", example="-10 mC/m^2")
CAPACITANCE = Kind(name="a capacitance", unit="F", example="150 pF")
CAPACITANCE_PER_AREA = Kind(name="a capacitance per area", unit="F/m^2", example="1 uF/cm^2")

THERMAL_CONDUCTIVITY = Kind(name="a thermal conductivity", unit="W/(m*K)", example="0.6 W/(m*K)")
HEAT_TRANSFER = Kind(name="a heat transfer coefficient", unit="W/(m^2*K)", example="10 MW/(m^2*K)")
TEMPERATURES = Kind(name="a temperature", unit="K", example="310.15 K")
EXPANSION = Kind(name="a thermal expansion", unit="1/K", example="12e-6 1/K")
THERMAL_STRESS = Kind(name="a stress per temperature", unit="Pa/K", example="0.5 MPa/K")

MODULUS = Kind(name="a modulus", unit="Pa", example="10 GPa")
PRESSURE = Kind(name="a pressure", unit="Pa", example="15 kPa")
COMPLIANCE = Kind(name="a compliance", unit="1/Pa", example="0.4 1/GPa")
FORCE = Kind(name="a force", unit="N", example="3 mN")
FORCE_PER_VOLUME = Kind(name="a force per volume", unit="N/m^3", example="10 mN/mm^3")
VISCOSITY = Kind(name="a viscosity", unit="Pa*s", example="1 mPa*s")
DENSITY = Kind(name="a mass density", unit="kg/m^3", example="1050 kg/m^3")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit.

    Parameters
    ----------
    value
        The number, in ``unit``.
    unit
        The unit as it was written, in plain letters: ``um^2/s``.
    """

    value: float
    unit: str

    def to(self, unit: str) -> float:
        """Return the number in another unit of the same dimension; raise :class:`UnitError` if it is of another."""
        return self.value * conversion_factor(self.unit, unit)

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


def parse_quantity(
    name: str,
    text: Any,
    kind: Kind,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    remedy: str = "",
) -> Quantity:
    """Return the quantity that a string says.

    Parameters
    ----------
    name
        The parameter's name, for the message.
    text
        A number and a unit, such as ``"250 um^2/s"``.
    kind
        What the quantity must be.
    above, at_least
        Limits of the number, 0 or infinite, so that they mean the same in every unit.
    remedy
        What to do about a number out of range.

    Raises
    ------
    UnitError
        For a bare number, an unknown unit, or a unit of another dimension.
    InputError
        For a number that is not finite, out of range, or larger or smaller than what can be computed with.

    Example
    -------
    >>> parse_quantity("D", "250 um^2/s", DIFFUSIVITY)
    Quantity(value=250.0, unit='um^2/s')
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        raise UnitError(name, text, kind.allowed, "This number has no unit.")
    found = _NUMBER.match(text) if isinstance(text, str) else None
    if found is None:
        raise UnitError(name, text, kind.allowed)
    unit = _plain_unit(text[found.end() :])
    if not unit:
        raise UnitError(name, text, kind.allowed, "This number has no unit.")
    problem = _why_not(unit, kind.unit or unit)
    if problem:
        raise UnitError(name, text, kind.allowed, problem)
    value = float(found[1])
    if kind.unit == TEMPERATURES.unit and unit != kind.unit:
        _refuse_other_zero(name, text, value, unit)
    if not (math.isfinite(value) and value > above and value >= at_least):
        limit = f" and > {above:g}" if above > -math.inf else f" and >= {at_least:g}" if at_least > -math.inf else ""
        raise InputError(name, text, f"{kind.name} that is finite{limit}", remedy)
    if value != 0.0 and not SMALLEST <= abs(value) <= LARGEST:
        remedy = "Floating-point numbers cannot hold what follows from it: choose another unit."
        raise InputError(name, text, f"{kind.name} with a number between {SMALLEST:g} and {LARGEST:g}", remedy)
    return Quantity(value, unit)


def _refuse_other_zero(name: str, text: Any, value: float, unit: str) -> None:
    """Refuse a temperature in a unit that does not start at the absolute zero: a factor does not convert it."""
    quantity = _registry().Quantity
    if quantity(0.0, unit).to("K").magnitude != 0.0:
        kelvin = f"{quantity(value, unit).to('K').magnitude:.10g}"
        raise UnitError(name, text, TEMPERATURES.allowed, f"Give it in kelvin: {text} is {kelvin} K.")


def split_quantity(text: Any) -> Quantity | None:
    """Return the number and the unit, known or not, that a string is made of; None for anything else.

    >>> split_quantity("250 um^2/s"), split_quantity("hexagonal"), split_quantity(0.3)
    (Quantity(value=250.0, unit='um^2/s'), None, None)
    """
    found = _NUMBER.match(text) if isinstance(text, str) else None
    unit = _plain_unit(text[found.end() :]) if found else ""
    return Quantity(float(found[1]), unit) if found and unit and math.isfinite(float(found[1])) else None


def check_unit(name: str, text: Any, kind: Kind) -> str:
    """Return a unit of the given kind in plain letters; raise :class:`UnitError` for anything else."""
    allowed = f"a unit of {kind.name}, such as {kind.example.split(maxsplit=1)[1]!r}"
    if not isinstance(text, str):
        raise UnitError(name, text, allowed)
    unit = _plain_unit(text)
    if unit in (kind.unit, _plain_unit(kind.example.split(maxsplit=1)[1])):
        return unit  # the usual ones need no pint, which takes a tenth of a second to load
    problem = _why_not(unit, kind.unit)
    if problem:
        raise UnitError(name, text, allowed, problem)
    return unit


@functools.cache
def conversion_factor(unit: str, wanted: str) -> float:
    """Return how many ``wanted`` one ``unit`` is; raise :class:`UnitError` if it is of another dimension."""
    if unit == wanted:
        return 1.0
    problem = _why_not(unit, wanted)
    if problem:
        raise UnitError("unit", unit, f"a unit that converts to {wanted}", problem)
    return float(_registry().Quantity(1.0, unit).to(wanted).magnitude)


def speed_unit(unit: str, length_unit: str) -> tuple[str, float]:
    """Return the unit of a speed beside one of a diffusivity, and what a speed in ``unit / length_unit`` is in it.

    >>> speed_unit("um^2/ms", "um")
    ('um/ms', 1.0)
    """
    time = re.fullmatch(r"[^/]*/\s*(\w+)", unit)
    if not unit or not length_unit or time is None:
        return "", 1.0
    speed = f"{length_unit}/{time[1]}"
    return speed, conversion_factor(f"{unit}/({length_unit})", speed)


def rate_unit(unit: str, length_unit: str) -> str:
    """Return the unit of a rate beside one of a diffusivity.

    >>> rate_unit("um^2/ms", "um")
    '1/ms'
    """
    speed = speed_unit(unit, length_unit)[0]
    return f"1/{speed.rpartition('/')[2]}" if speed else ""


def dimension_of(unit: str) -> dict[str, float]:
    """Return the exponents of a unit in the base dimensions, such as ``{"[length]": 2.0, "[time]": -1.0}``.

    Raises
    ------
    UnitError
        If it is no unit, or one whose zero is not that of its dimension (a temperature in degC).

    Example
    -------
    >>> sorted(dimension_of("um^2/s").items())
    [('[length]', 2.0), ('[time]', -1.0)]
    """
    problem = _why_not(unit, unit)
    if problem:
        raise UnitError("unit", unit, "a unit", problem)
    if _registry().Quantity(0.0, unit).to_base_units().magnitude != 0.0:
        raise UnitError("unit", unit, "a unit that starts at zero", "Give a temperature in K.")
    return {str(name): float(power) for name, power in _registry().Quantity(1.0, unit).dimensionality.items()}


@functools.cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry()


def _plain_unit(text: str) -> str:
    """Return a unit without the ways to write it: ``"µm² / s"`` and ``"um**2/s"`` are ``"um^2/s"``."""
    unit = re.sub(r"\s*([/*^()])\s*", r"\1", text.translate(_PLAIN).replace("**", "^").strip()).lstrip("*")
    return f"1{unit}" if unit.startswith("/") else unit.replace(")(", ")*(")


@functools.cache
def _why_not(unit: str, wanted: str) -> str:
    """Return why a unit does not convert to ``wanted``, as a sentence; empty if it does."""
    import pint

    unknown = f"{unit!r} is no unit."
    if not _UNIT.fullmatch(unit) or re.search(r"\^[^^]*\d{3}|\^[^/* ]*\^", unit):
        return unknown
    try:
        factor = float(_registry().Quantity(1.0, unit).to(wanted).magnitude)
    except pint.errors.DimensionalityError as error:
        return f"{unit!r} is of dimension {error.dim1}, not {error.dim2}."
    except pint.errors.UndefinedUnitError as error:
        names = error.unit_names
        return f"{names if isinstance(names, str) else ', '.join(map(str, names))!r} is no unit that pint knows."
    except (
        pint.errors.PintError,
        tokenize.TokenError,
        # pint reads an expression with the means of a parser: what is none fails in one of these ways.
        AssertionError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ):
        return unknown
    return "" if math.isfinite(factor) and factor > 0.0 else unknown
