r"""Reactions of species that diffuse: named ones from the literature, and rates that a user writes as expressions.

The rates :math:`R_i(u, t, x)` are those of :math:`\phi_i\,\partial_t u_i = \nabla\cdot(D_i\nabla u_i) + R_i(u)`:
per total volume of the medium and per time, in the species' own unit. What happens in a part of the medium only, such
as a phase of volume fraction :math:`\phi`, has its rate times that fraction; what happens on an interface has the rate
of the surface times the interface area per volume, where that is slow (:mod:`homfem.kinetics.named_reactions`).

Rates and their Jacobian are evaluated from one text, the Jacobian by the chain rule
(:mod:`homfem.kinetics.expressions`): no differences, exact up to round-off.

**Quasi-positive** kinetics have :math:`R_i \ge 0` wherever :math:`u_i = 0` and all other species are :math:`\ge 0`:
with them, and only with them, solutions that start non-negative stay so (Pierre 2010, doi 10.1007/s00032-010-0133-4).
``PointKinetics.quasi_positive`` is true where interval arithmetic proves it: of a named reaction for all parameters
within their limits, of an expression for the values of its parameters, all places and all times :math:`\ge 0`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from homfem.kinetics.dimensions import measures
from homfem.kinetics.expressions import Expression, check_name, parse_expression
from homfem.kinetics.intervals import ANYWHERE, NONNEGATIVE, Interval, enclosure
from homfem.kinetics.invariants import kept_sums
from homfem.kinetics.named_reactions import REACTIONS, NamedReaction
from homfem.kinetics.parameters import Parameter, refuse_unknown
from homfem.kinetics.point import Fields, PointKinetics, Variable
from homfem.kinetics.written import renamed
from homfem.parameters import Array, InputError, UnitError, check_choice, check_integer, check_number
from homfem.quantities import Kind, Quantity, parse_quantity

COORDINATES = ("x", "y", "z")
TIME = "t"
Rows = tuple[tuple[float, ...], ...]
_SMALLEST = 5e-324  # the smallest number above zero


def named_reaction(
    name: str,
    species: Mapping[str, str] | Sequence[str] | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    time_unit: str = "s",
    length_unit: str = "um",
    bare: bool = True,
) -> PointKinetics:
    """Return the kinetics of a named reaction (:data:`homfem.kinetics.named_reactions.REACTIONS`).

    Parameters
    ----------
    name
        Such as ``"fisher"``.
    species
        The species that take its roles, in their order, with their unit (one for all; ``""`` for pure numbers); None:
        the names of the roles, without unit.
    parameters
        Numbers in the units of the table (:func:`reaction_parameters`), or strings with any unit of that dimension.
        Numbers that the table has are for species without unit; with a unit, all but pure ones must be given.
    time_unit, length_unit
        Units of the model.
    bare
        Whether numbers may stand where a unit is due.

    Raises
    ------
    InputError
        For unknown names (with the nearest), missing parameters, numbers out of range or without their unit.

    Example
    -------
    >>> front = named_reaction("nagumo", parameters={"rate": "2 1/s", "threshold": 0.1}, time_unit="ms")
    >>> front.values().rate, front.quasi_positive
    (0.002, True)
    >>> front.rates(0.0, [np.array([0.5])], np.empty((0, 1)), front.values()).tolist()
    [[0.0002]]
    """
    found = REACTIONS[check_choice("reaction", name, tuple(REACTIONS))]
    names, unit = _roles(found, species)
    table = reaction_parameters(name, unit=unit, time_unit=time_unit, length_unit=length_unit)
    given = dict(parameters or {})
    refuse_unknown("parameters", given, [entry.name for entry in table])
    table = tuple(
        replace(entry, value=_number(entry, given[entry.name], bare)) if entry.name in given else entry
        for entry in table
    )
    for entry in table:
        if math.isnan(entry.value):
            unit_text = f" (in {entry.unit})" if entry.unit else ""
            raise InputError("parameters", sorted(given), f"with {entry.name!r}{unit_text}: {entry.meaning}")
    roles = dict(zip(found.roles, names, strict=True))
    known = [*found.roles, *(entry.name for entry in table)]
    rates = [renamed(parse_expression("rates", text, known), roles) for text in found.rates]
    ranges = {entry.name: _limits(entry) for entry in table}
    return _kinetics(
        PointKinetics(
            name=name,
            time_unit=time_unit,
            fields=tuple(Variable(name=each, unit=unit) for each in names),
            parameters=table,
            rates=_values_of(rates, names),
            stoichiometry=found.stoichiometry,
        ),
        rates,
        ranges,
    )


def reaction_parameters(
    name: str, *, unit: str = "", time_unit: str = "s", length_unit: str = "um"
) -> tuple[Parameter, ...]:
    """Return the table of parameters of a named reaction for species in ``unit``; NaN: it must be given.

    Example
    -------
    >>> [(entry.name, entry.unit) for entry in reaction_parameters("michaelis-menten", unit="uM")]
    [('maximum', 'uM/s'), ('half', 'uM')]
    """
    found = REACTIONS[check_choice("reaction", name, tuple(REACTIONS))]
    table = []
    for entry in found.parameters:
        text = _unit_text(entry.unit, unit, time_unit, length_unit)
        kind = Kind(name=f"a quantity in {text}", unit=text, example=f"0.5 {text}") if text else None
        keep = not unit or not entry.unit or entry.value == 0.0
        value, source = entry.value if keep else math.nan, entry.source or found.source
        table.append(replace(entry, unit=text, kind=kind, value=value, source=source))
    return tuple(table)


def written_reaction(
    rates: Mapping[str, str],
    species: Mapping[str, str] | Sequence[str],
    *,
    parameters: Mapping[str, Any] | None = None,
    time_unit: str = "s",
    length_unit: str = "um",
    dimension: int = 3,
    bare: bool = True,
) -> PointKinetics:
    r"""Return the kinetics whose rates are expressions of the species, the parameters, ``t`` and ``x``, ``y``, ``z``.

    If one of the parameters of an expression has a unit, all of it must fit together: numbers are pure then, and the
    rate is of the species' dimension per time. Without any, numbers are in the units of the model: species in their own
    units, t in ``time_unit``, x in ``length_unit``, the rate in the species' unit per ``time_unit``.

    The coordinates that are used are parameters without a number: a model hands them over, an array for the nodes of
    each (:data:`COORDINATES`).

    Parameters
    ----------
    rates
        An expression for each species that reacts; the others do not.
    species
        All species with their units, ``""`` for pure numbers.
    parameters
        Numbers, or strings with units, such as ``"0.2 1/(uM s)"``.
    time_unit, length_unit
        Units of the model.
    dimension
        Number of coordinates, 1 to 3.
    bare
        Whether numbers may stand where a unit is due: else the rates of species that have a unit must fit in any case.

    Raises
    ------
    InputError
        For expressions that cannot be read, unknown names (with the nearest), parameters that no rate has.
    UnitError
        For units that do not fit together.

    Example
    -------
    >>> uptake = written_reaction(
    ...     {"oxygen": "-V*oxygen/(K + oxygen)"},
    ...     {"oxygen": "uM"},
    ...     parameters={"V": "1.2 mM/min", "K": "2 uM"},
    ... )
    >>> uptake.values()
    namespace(V=20.0, K=2.0)
    >>> uptake.jacobian(0.0, [np.array([0.0, 2.0])], np.empty((0, 2)), uptake.values()).tolist()
    [[[-10.0, -2.5]]]
    """
    units = dict(species) if isinstance(species, Mapping) else dict.fromkeys(species, "")
    places = COORDINATES[: check_integer("dimension", dimension, at_least=1, at_most=3)]
    for entry in units:
        check_name("species", entry, (TIME, *COORDINATES))
    if not units or not rates:
        raise InputError("rates", dict(rates), "an expression for at least one species")
    refuse_unknown("rates", rates, list(units))
    given = dict(parameters or {})
    for entry in given:
        check_name("parameters", entry, (TIME, *COORDINATES, *units))
    known = [*units, *given, TIME, *places]
    parsed = [parse_expression(f"rates.{entry}", rates.get(entry, 0), known) for entry in units]
    used = frozenset[str]().union(*(expression.names for expression in parsed))
    idle = [entry for entry in given if entry not in used]
    if idle:
        raise InputError("parameters", idle[0], "in one of the rates", "Leave out what no rate has.")
    table = _written_parameters(given, units, parsed, (time_unit, length_unit), bare)
    ranges = {entry.name: (entry.value, entry.value) for entry in table}
    coordinates = [
        Parameter(name=place, value=math.nan, unit=length_unit, meaning="coordinate")
        for place in places
        if place in used
    ]
    return _kinetics(
        PointKinetics(
            name="rates",
            time_unit=time_unit,
            fields=tuple(Variable(name=entry, unit=unit) for entry, unit in units.items()),
            parameters=(*table, *coordinates),
            rates=_values_of(parsed, tuple(units)),
        ),
        parsed,
        ranges,
    )


def _roles(found: NamedReaction, species: Mapping[str, str] | Sequence[str] | None) -> tuple[tuple[str, ...], str]:
    """Return the names of the species in the order of the roles, and their unit."""
    units = dict(species) if isinstance(species, Mapping) else dict.fromkeys(species or found.roles, "")
    taken = (TIME, *COORDINATES, *(entry.name for entry in found.parameters))
    names = tuple(check_name("species", entry, taken) for entry in units)
    if len(names) != len(found.roles):
        raise InputError("species", list(names), f"{len(found.roles)} for {found.name}: {', '.join(found.roles)}")
    different = sorted(set(units.values()))
    if len(different) > 1:
        raise InputError("species", units, "of one unit", f"{found.name} adds what all of them gain and lose.")
    if found.pure and different[0]:
        raise InputError("species", units, f"pure numbers for {found.name}", "Its equations are scaled.")
    return names, different[0]


def _unit_text(pattern: str, unit: str, time_unit: str, length_unit: str) -> str:
    """Return the unit of a parameter for species in ``unit``; empty for a pure number."""
    if pattern == "{u}":
        return unit
    if not unit:
        pattern = re.sub(r"/\{u\}(\^\d)?", "", pattern).replace("{u}", "1")
    return pattern.format(u=f"({unit})" if set(unit) & set("*/^") else unit, t=time_unit, l=length_unit)


def _number(entry: Parameter, given: Any, bare: bool) -> float:
    """Return what is given for a parameter in its unit."""
    if entry.kind is None:
        return entry.check(given)
    if not isinstance(given, (str, Quantity)):
        if not bare:
            raise UnitError(entry.name, given, entry.kind.allowed, "This number has no unit.")
        return entry.check(given)
    text = f"{given.value!r} {given.unit}" if isinstance(given, Quantity) else given
    return parse_quantity(entry.name, text, entry.kind, above=entry.above, at_least=entry.at_least).to(entry.unit)


def _limits(entry: Parameter) -> Interval:
    low = max(entry.at_least, _SMALLEST if entry.above == 0.0 else entry.above)
    return low, math.inf


def _written_parameters(
    given: Mapping[str, Any], units: Mapping[str, str], rates: Sequence[Expression], own: tuple[str, str], bare: bool
) -> tuple[Parameter, ...]:
    """Return the parameters of expressions in the system of the model's units, when all that has units fits."""
    time, length = own
    strict = [name for name, unit in units.items() if unit and not bare]
    if strict or any(isinstance(entry, (str, Quantity)) for entry in given.values()):
        others = {**units, TIME: time, **dict.fromkeys(COORDINATES, length)}
        found = measures(given, others, base=[time, length, *units.values()])
        for (name, unit), rate in zip(units.items(), rates, strict=True):
            if name in strict or rate.names & found.measured:
                found.check(f"rates.{name}", rate, f"({unit or '1'})/({time})")
        numbers = dict(found.numbers)
    else:
        numbers = {name: (check_number(f"parameters.{name}", entry), "") for name, entry in given.items()}
    return tuple(
        Parameter(name=name, value=value, unit=unit, meaning="parameter of the rates")
        for name, (value, unit) in numbers.items()
    )


def _names(time: float, fields: Fields, p: Any, species: Sequence[str]) -> dict[str, Any]:
    return {**vars(p), **dict(zip(species, fields, strict=True)), TIME: time}


def _values_of(rates: Sequence[Expression], species: Sequence[str]) -> Any:
    def values(time: float, fields: Fields, _states: Array, p: Any) -> Array:
        names = _names(time, fields, p, species)
        result = np.empty((len(rates), len(fields[0])))
        for row, rate in zip(result, rates, strict=True):
            row[:] = rate.value(names)
        return result

    return values


def _kinetics(
    kinetics: PointKinetics, rates: Sequence[Expression], parameters: Mapping[str, Interval]
) -> PointKinetics:
    """Return kinetics with the Jacobian of their expressions, and whether they are quasi-positive."""
    species = tuple(field.name for field in kinetics.fields)
    own = tuple(tuple(float(i == j) for j in range(len(rates))) for i in range(len(species)))
    rows: Rows = kinetics.stoichiometry or own

    def jacobian(time: float, fields: Fields, _states: Array, p: Any) -> Array:
        names = _names(time, fields, p, species)
        result = np.zeros((len(species), len(species), len(fields[0])))
        for column, rate in enumerate(rates):
            for name, slope in rate.slopes(names, species)[1].items():
                for i, row in enumerate(rows):
                    if row[column]:
                        result[i, species.index(name)] += row[column] * slope
        return result

    positive = _quasi_positive(species, rates, rows, parameters)
    return replace(kinetics, jacobian=jacobian, quasi_positive=positive, kept=kept_sums(rates, rows))


def _quasi_positive(
    species: Sequence[str], rates: Sequence[Expression], rows: Rows, parameters: Mapping[str, Interval]
) -> bool:
    for name, row in zip(species, rows, strict=True):
        ranges = dict.fromkeys(COORDINATES, ANYWHERE) | {TIME: NONNEGATIVE, **parameters}
        ranges |= dict.fromkeys(species, NONNEGATIVE) | {name: (0.0, 0.0)}
        found = [(number, enclosure(rate.tree, ranges)) for number, rate in zip(row, rates, strict=True) if number]
        lowest = [None if ends is None else min(number * ends[0], number * ends[1]) for number, ends in found]
        if any(low is None or low < 0.0 for low in lowest):
            return False
    return True
