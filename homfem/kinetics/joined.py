r"""Several kinetics at one point as one: their fields by name, their states side by side, parameters as fields.

:func:`joined` stacks the rates :math:`r_j` of each part, times a measure that is one more parameter, so that a field
changes by :math:`\sum_j\nu_{ij}m_jr_j`; :func:`with_fields` makes fields of parameters, which the kinetics read and
leave alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from homfem.kinetics.expressions import Expression, Node
from homfem.kinetics.parameters import Parameter, refuse_unknown
from homfem.kinetics.point import Fields, PointKinetics, Variable
from homfem.kinetics.slopes import jacobian_of
from homfem.kinetics.written import Formulary, product
from homfem.parameters import Array, InputError


def with_fields(kinetics: PointKinetics, names: Mapping[str, str]) -> PointKinetics:
    """Return kinetics that take some parameters from fields, by the names of these; no rate changes those fields.

    Example
    -------
    >>> from homfem.kinetics import TRIGGER_WAVE, exchange_kinetics, li_rinzel, membrane_from_rates
    >>> shares = {"cytosol_fraction": 0.8, "er_fraction": 0.2, "interface_area": 2.0}
    >>> membrane = exchange_kinetics(li_rinzel(membrane_from_rates(TRIGGER_WAVE, **shares)))
    >>> [field.name for field in with_fields(membrane, {"ip3": "IP3"}).fields]
    ['cytosol', 'er', 'IP3']
    """
    table = {entry.name: entry for entry in kinetics.parameters}
    refuse_unknown("parameters", names, list(table))
    count = len(kinetics.fields)
    rates = kinetics.stoichiometry
    if rates is None:
        rates = tuple(tuple(float(i == j) for j in range(count)) for i in range(count))
    width = len(rates[0])
    more = tuple(Variable(name=names[key], unit=table[key].unit, meaning=table[key].meaning) for key in names)

    def own(fields: Fields, p: Any) -> tuple[Fields, Any]:
        given = {key: fields[count + k] for k, key in enumerate(names)}
        return fields[:count], SimpleNamespace(**{**vars(p), **given})

    def read(function: Callable[..., Any] | None) -> Any:
        if function is None:
            return None

        def call(time: float, fields: Fields, states: Array, p: Any) -> Any:
            first, values = own(fields, p)
            return function(time, first, states, values)

        return call

    def at_rest(fields: Fields, p: Any) -> Array:
        first, values = own(fields, p)
        return kinetics.rest(first, values)  # type: ignore[misc]

    return replace(
        kinetics,
        fields=(*kinetics.fields, *more),
        parameters=tuple(entry for name, entry in table.items() if name not in names),
        rates=read(kinetics.rates),
        stoichiometry=(*rates, *((0.0,) * width for _ in more)),
        relaxation=read(kinetics.relaxation),
        drift=read(kinetics.drift),
        rest=None if kinetics.rest is None else at_rest,
        jacobian=None,
        slopes=None,
        formulas=None,
        written=None if kinetics.written is None else kinetics.written.renamed(names),
        kept=tuple((*weights, *(0.0,) * len(more)) for weights in kinetics.kept),
    )


def joined(parts: Mapping[str, PointKinetics], name: str = "exchange") -> PointKinetics:
    """Return several kinetics as one; the rates of each are times its parameter ``LABEL_measure``.

    Parameters
    ----------
    parts
        The kinetics, each by a label; its parameters are ``LABEL_parameter`` then, its states keep their names.

    Raises
    ------
    InputError
        If a field has two units, times have, or a state is there twice.
    """
    if not parts:
        raise InputError("kinetics", [], "at least one")
    fields: dict[str, Variable] = {}
    time_unit = next(iter(parts.values())).time_unit
    table: list[Parameter] = []
    for label, part in parts.items():
        if part.time_unit != time_unit:
            raise InputError(f"kinetics.{label}", part.time_unit, f"in {time_unit}, as the first one is")
        for field in part.fields:
            if fields.setdefault(field.name, field).unit != field.unit:
                allowed = f"in {fields[field.name].unit or 'pure numbers'}, as the others have {field.name}"
                raise InputError(f"kinetics.{label}.{field.name}", field.unit, allowed)
        table.append(Parameter(name=f"{label}_measure", value=1.0, meaning="of what its rates are per"))
        table += [replace(entry, name=f"{label}_{entry.name}") for entry in part.parameters]
    both = _Joined(parts, tuple(fields))
    all_written = all(part.written is not None for part in parts.values())
    return PointKinetics(
        name=name,
        time_unit=time_unit,
        fields=tuple(fields.values()),
        states=both.states,
        parameters=tuple(table),
        rates=both.rates,
        stoichiometry=both.stoichiometry,
        relaxation=both.relaxation if any(part.gates for part in parts.values()) else None,
        drift=both.drift if any(len(part.states) > part.gates for part in parts.values()) else None,
        rest=both.rest if all(part.rest or not part.states for part in parts.values()) else None,
        jacobian=both.jacobian,
        written=_written(parts) if all_written else None,
        shares=tuple(group for part in parts.values() for group in part.shares),
    )


def _written(parts: Mapping[str, PointKinetics]) -> Formulary:
    """Return the expressions of all parts: the rates of each times its measure, own names behind its label."""
    found = []
    for label, part in parts.items():
        own = [entry.name for entry in part.parameters] + [name for name, _ in part.written.definitions]
        mine = part.written.renamed({name: f"{label}_{name}" for name in own})
        measure = Expression(text=f"{label}_measure", tree=Node("name", name=f"{label}_measure"))
        rates = tuple((f"{label}_{name}", product(measure, rate)) for name, rate in mine.rates)
        found.append(replace(mine, rates=rates))
    return Formulary(
        definitions=tuple(entry for part in found for entry in part.definitions),
        rates=tuple(entry for part in found for entry in part.rates),
        gates=tuple(entry for part in found for entry in part.gates),
        drifts=tuple(entry for part in found for entry in part.drifts),
    )


class _Joined:
    """The functions of several kinetics on the fields and states of all: all gates first, then all other states."""

    def __init__(self, parts: Mapping[str, PointKinetics], names: tuple[str, ...]) -> None:
        gates = [(label, k) for label, part in parts.items() for k in range(part.gates)]
        others = [(label, k) for label, part in parts.items() for k in range(part.gates, len(part.states))]
        place = {key: row for row, key in enumerate([*gates, *others])}
        self.states = tuple(parts[label].states[k] for label, k in [*gates, *others])
        self.parts = []
        rows: list[list[float]] = [[] for _ in names]
        for label, part in parts.items():
            columns = [names.index(field.name) for field in part.fields]
            own = [(entry.name, f"{label}_{entry.name}") for entry in part.parameters]
            mine = np.array([place[label, k] for k in range(len(part.states))], dtype=np.int64)
            self.parts.append((part, label, columns, own, mine))
            count = len(part.fields)
            nu = part.stoichiometry or tuple(tuple(float(i == j) for j in range(count)) for i in range(count))
            for i, row in enumerate(rows):
                row += nu[columns.index(i)] if i in columns else (0.0,) * len(nu[0])
        self.stoichiometry = tuple(map(tuple, rows))
        self.slopes = [jacobian_of(part) for part in parts.values()]
        self.count = len(names)

    def _each(self, fields: Fields, states: Array, p: Any) -> Sequence[tuple[Any, ...]]:
        values = vars(p)
        return [
            (
                part,
                [fields[k] for k in columns],
                states[mine],
                SimpleNamespace(**{name: values[other] for name, other in own}),
                values[f"{label}_measure"],
            )
            for part, label, columns, own, mine in self.parts
        ]

    def rates(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        found = [
            part.rates(time, own, mine, q) * measure for part, own, mine, q, measure in self._each(fields, states, p)
        ]
        return np.concatenate(found)

    def relaxation(self, time: float, fields: Fields, states: Array, p: Any) -> tuple[Array, Array]:
        found = [
            part.relaxation(time, own, mine, q)
            for part, own, mine, q, _ in self._each(fields, states, p)
            if part.relaxation is not None
        ]
        return np.concatenate([rate for rate, _ in found]), np.concatenate([target for _, target in found])

    def drift(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        found = [
            part.drift(time, own, mine, q)
            for part, own, mine, q, _ in self._each(fields, states, p)
            if part.drift is not None
        ]
        return np.concatenate(found)

    def jacobian(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        size = self.count + len(states)
        found = np.zeros((size, size, len(fields[0])))
        each = zip(self._each(fields, states, p), self.parts, self.slopes, strict=True)
        for (part, own, mine, q, measure), (_, _, columns, _, rows), slopes in each:
            width = len(part.fields)
            slope = slopes(time, own, mine, q)
            slope[:width] *= measure
            at = np.concatenate([columns, self.count + rows])
            found[np.ix_(at, at)] += slope
        return found

    def rest(self, fields: Fields, p: Any) -> Array:
        states = np.empty((len(self.states), len(fields[0])))
        for part, own, _, q, _ in self._each(fields, states, p):
            if part.states:
                row = next(mine for one, _, _, _, mine in self.parts if one is part)
                states[row] = part.rest(own, q)
        return states
