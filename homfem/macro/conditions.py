r"""Conditions on named boundaries: what a field is there, or what enters per area and time.

With the flux :math:`j = v u - K\nabla u` (v = 0 where nothing flows) and the outer normal n,

.. math::
    u = g\ \text{(Dirichlet)},\qquad -n\cdot j = q\ \text{(Neumann)},\qquad
    -n\cdot j = h\,(u_a - u)\ \text{(Robin)},\qquad n\cdot j = \max(n\cdot v, 0)\,u\ \text{(outflow)}.

Nothing passes where nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from typing import TypeAlias

import numpy as np
from dolfinx import fem

from homfem.macro.protocols import Timing
from homfem.parameters import Array, InputError, check_number
from homfem.solve import nodal_fingerprint

Value: TypeAlias = float | Callable[[Array, float], Array]
"""A number, or a function ``f(x, time) -> values`` of points x of shape (3, n), values of shape (n,) or a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dirichlet:
    """``u = value`` on a boundary."""

    boundary: str
    value: Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Neumann:
    """``-n . j = flux`` on a boundary: what enters, per area and time."""

    boundary: str
    flux: Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Robin:
    """``-n . j = coefficient (ambient - u)`` on a boundary; coefficient > 0."""

    boundary: str
    coefficient: float
    ambient: Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Outflow:
    """``n . j = max(n . v, 0) u`` on a boundary: what flows out takes the field along, what flows in has none."""

    boundary: str


Condition: TypeAlias = Dirichlet | Neumann | Robin | Outflow


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulsed:
    """A value while a schedule is on, else 0: itself a function of points and time."""

    value: Value
    schedule: Timing

    def __call__(self, x: Array, time: float) -> Array:
        """Return the values at points of shape (3, n)."""
        if not self.schedule.active(time):
            return np.zeros(x.shape[1])
        values = self.value(x, time) if callable(self.value) else self.value
        return np.array(np.broadcast_to(values, (x.shape[1],)), dtype=np.float64)


def told(name: str, space: fem.FunctionSpace, dofs: Array, value: Value, times: Sequence[float]) -> object:
    """Return plain data that tells a value at some owned dofs from others, equal on any number of ranks; collective.

    Of a function these are numbers of its values at some times, and of one that is data, as those of a config are, all
    that it is made of.
    """
    if not callable(value):
        return value
    nodal, found = NodalValue(name, space, dofs, value), []
    for time in times:
        values = np.zeros(space.dofmap.index_map.size_local)
        values[dofs] = nodal.at(time)
        found.append(nodal_fingerprint(space, values))
    return {"function": repr(value) if is_dataclass(value) else "", "values at first": {"about": found}}


class NodalValue:
    """A value at some owned dofs; a number is evaluated once.

    Parameters
    ----------
    name
        Of the parameter, for messages.
    space, dofs
        A scalar space and its dofs.
    value
        The number or function.
    at_least
        Limit of the values.
    """

    def __init__(
        self, name: str, space: fem.FunctionSpace, dofs: Array, value: Value, *, at_least: float = -np.inf
    ) -> None:
        self.name, self.dofs, self.varies, self.at_least = name, dofs, callable(value), at_least
        self._value, self._points = value, space.tabulate_dof_coordinates()[dofs].T
        self._fixed = None
        if not callable(value):
            self._fixed = np.full(len(dofs), check_number(name, value, at_least=at_least))

    def at(self, time: float) -> Array:
        """Return the values at a time.

        Raises
        ------
        InputError
            For values of another shape, or out of range.
        """
        if self._fixed is not None:
            return self._fixed
        values = np.asarray(self._value(self._points, time), dtype=np.float64)  # type: ignore[operator]
        if values.shape not in ((), (len(self.dofs),)):
            raise InputError(self.name, values.shape, f"a function whose values have shape ({len(self.dofs)},)")
        if not np.all(np.isfinite(values)):
            raise InputError(self.name, float(values[~np.isfinite(values)][0]), "a function with finite values")
        if len(self.dofs) and not values.min() >= self.at_least:
            raise InputError(self.name, float(values.min()), f"a function with values >= {self.at_least:g}")
        return np.broadcast_to(values, (len(self.dofs),))
