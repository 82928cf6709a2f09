"""The sum of several reactions of species."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from homfem.kinetics.expressions import check_name
from homfem.kinetics.invariants import Weights, null_vectors
from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import Fields, PointKinetics, Variable
from homfem.kinetics.reactions import COORDINATES
from homfem.parameters import Array, InputError


def combined_reactions(parts: Mapping[str, PointKinetics], name: str = "reactions") -> PointKinetics:
    """Return the sum of several reactions, each by a name of its own: its parameters are ``NAME_parameter`` then.

    Raises
    ------
    InputError
        If kinetics have states, a species has two units, or times have.

    Example
    -------
    >>> from homfem.kinetics import named_reaction
    >>> growth = named_reaction("fisher", ["u"], parameters={"rate": 1.0})
    >>> decay = named_reaction("first-order", ["u"], parameters={"rate": 0.1})
    >>> both = combined_reactions({"growth": growth, "decay": decay})
    >>> both.values()
    namespace(growth_rate=1.0, growth_capacity=1.0, decay_rate=0.1, decay_surface_rate=0.0, decay_interface_area=0.0)
    """
    fields: dict[str, Variable] = {}
    table: dict[str, Parameter] = {}
    if not parts:
        raise InputError("reactions", [], "at least one")
    time_unit = next(iter(parts.values())).time_unit
    for label, part in parts.items():
        check_name("reactions", label)
        if part.states:
            raise InputError(f"reactions.{label}", part.name, "kinetics without states")
        if part.time_unit != time_unit:
            raise InputError(f"reactions.{label}", part.time_unit, f"in {time_unit}, as the first one is")
        for field in part.fields:
            if fields.setdefault(field.name, field).unit != field.unit:
                raise InputError(f"reactions.{label}", field.unit, f"in {fields[field.name].unit or 'pure numbers'}")
        for entry in part.parameters:
            own = _own(label, entry.name)
            table[own] = replace(entry, name=own)
    sums = _Sum(parts, tuple(fields))
    return PointKinetics(
        name=name,
        time_unit=time_unit,
        fields=tuple(fields.values()),
        parameters=tuple(table.values()),
        rates=sums.rates,
        jacobian=sums.jacobian if all(part.jacobian for part in parts.values()) else None,
        quasi_positive=all(part.quasi_positive for part in parts.values()),
        kept=_kept_by_all(list(parts.values()), tuple(fields)),
    )


def _kept_by_all(parts: Sequence[PointKinetics], names: tuple[str, ...]) -> Weights:
    """Return the sums that each of several reactions keeps."""
    rows = []
    for part in parts:
        columns = [names.index(field.name) for field in part.fields]
        for gains in null_vectors(part.kept, len(part.fields)):  # what it may bring: orthogonal to all that it keeps
            row = [0.0] * len(names)
            for column, gain in zip(columns, gains, strict=True):
                row[column] = gain
            rows.append(row)
    return null_vectors(rows, len(names))


class _Sum:
    """The rates of several kinetics on the fields of all of them."""

    def __init__(self, parts: Mapping[str, PointKinetics], names: tuple[str, ...]) -> None:
        self.size = len(names)
        self.parts = [
            (
                part,
                np.array([names.index(field.name) for field in part.fields]),
                [(entry.name, _own(label, entry.name)) for entry in part.parameters],
            )
            for label, part in parts.items()
        ]

    def rates(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        total = np.zeros((self.size, len(fields[0])))
        for part, rows, names in self.parts:
            own = SimpleNamespace(**{name: getattr(p, other) for name, other in names})
            found = part.rates(time, [fields[row] for row in rows], states, own)
            total[rows] += found if part.stoichiometry is None else np.array(part.stoichiometry) @ found
        return total

    def jacobian(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        total = np.zeros((self.size, self.size, len(fields[0])))
        for part, rows, names in self.parts:
            own = SimpleNamespace(**{name: getattr(p, other) for name, other in names})
            assert part.jacobian is not None  # else this one is not asked
            total[np.ix_(rows, rows)] += part.jacobian(time, [fields[row] for row in rows], states, own)
        return total


def _own(label: str, name: str) -> str:
    return name if name in COORDINATES else f"{label}_{name}"
