"""What a field is at the start: a number, a function of position, or a function of the space, as nodal values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from dolfinx import fem

from homfem.macro.domain import Domain
from homfem.macro.stimulus import Place, nodes_inside, overlap
from homfem.parameters import Array, InputError, check_number
from homfem.ranks import collective

FieldInput: TypeAlias = float | Callable[[Array], Array] | fem.Function
"""A number, a callable ``f(x) -> values`` with x of shape (3, n), or a function of the model's space."""


def nodal_values(name: str, given: FieldInput, space: fem.FunctionSpace, *, at_least: float = -np.inf) -> Array:
    """Return the values of a field at the dofs that the rank owns, as an array of its own; errors on every rank.

    Parameters
    ----------
    name
        The parameter, for messages.
    given
        The field.
    space
        A scalar Lagrange space.
    at_least
        Limit of the values.

    Raises
    ------
    InputError
        For a function of another space or with values of another shape, and for values out of range or not finite.
    """
    owned = space.dofmap.index_map.size_local
    with collective(space.mesh.comm):
        if isinstance(given, fem.Function):
            other, mesh = given.function_space, space.mesh
            same = other.mesh is mesh or other.mesh._cpp_object is mesh._cpp_object
            if not same or other.ufl_element() != space.ufl_element():
                allowed = f"a P{space.ufl_element().degree} function on the problem's mesh"
                raise InputError(name, str(other.ufl_element()), allowed)
            values = given.x.array[:owned].copy()
        elif callable(given):
            points = space.tabulate_dof_coordinates()[:owned].T
            values = np.asarray(given(points), dtype=np.float64) if owned else np.empty(0)
            if values.shape not in ((), (owned,)):
                raise InputError(name, values.shape, f"a function whose values have shape ({owned},)")
            values = np.array(np.broadcast_to(values, (owned,)))
        else:
            values = np.full(owned, check_number(name, given))
        if not np.all(np.isfinite(values)) or values.min(initial=np.inf) < at_least:
            bad = values[~np.isfinite(values)]
            limit = f" >= {at_least:g}" if at_least > -np.inf else ""
            raise InputError(name, float(bad[0] if bad.size else values.min()), f"a finite number{limit} everywhere")
    return values


@dataclass(frozen=True, kw_only=True, slots=True)
class Inside:
    """A value in a place, such as a :class:`homfem.macro.stimulus.Box`."""

    place: Place
    value: float


def placed_values(
    name: str, domain: Domain, space: fem.FunctionSpace, given: Sequence[Inside], outside: float = 0.0
) -> Array:
    """Return a field that has values in places as nodal values, those that the rank owns; collective.

    Where places meet, the later one counts. At the nodes of a P1 space whose basis functions reach beyond a place, the
    value is the mean: the integral of the field over the place is the value times its volume. In a space of higher
    degree the nodes inside have the value.

    Raises
    ------
    InputError
        For a place that meets no part of the domain.
    """
    values = np.full(space.dofmap.index_map.size_local, check_number(f"{name}.outside", outside))
    for k, entry in enumerate(given):
        at = name if len(given) == 1 else f"{name}[{k}]"
        share: Array
        if space.ufl_element().degree == 1:
            share = overlap(domain, space, entry.place, name=at)[0]
        else:
            share = nodes_inside(domain, space, entry.place, name=at).astype(np.float64)
        values += share * (check_number(f"{at}.value", entry.value) - values)
    return values
