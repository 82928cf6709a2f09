r"""The Jacobian of any kinetics: their own, that of their expressions, or differences.

:math:`\partial(\dot u, \dot X)/\partial(u, X)`, as :class:`homfem.kinetics.point.PointKinetics` has it in ``jacobian``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from homfem.kinetics.point import Fields, PointKinetics
from homfem.kinetics.written import written_kinetics
from homfem.parameters import Array

#: Relative and absolute steps of differences: the cube root of the rounding, where they err least.
_RELATIVE, _ABSOLUTE = 6e-6, 1e-8


def jacobian_of(kinetics: PointKinetics) -> Callable[[float, Fields, Array, Any], Array]:
    """Return the Jacobian ``f(time, fields, states, p)`` of kinetics, of shape (f + s, f + s, n).

    Kinetics that have none of their own, but are written as expressions, are differentiated by the chain rule; others,
    such as a user's own functions, by central differences.

    Example
    -------
    >>> from homfem.kinetics import Variable
    >>> square = PointKinetics(
    ...     name="square", time_unit="s", fields=(Variable(name="u"),), rates=lambda t, u, x, p: u[0][None] ** 2
    ... )
    >>> found = jacobian_of(square)(0.0, [np.array([3.0])], np.empty((0, 1)), square.values())
    >>> round(float(found[0, 0, 0]), 8)
    6.0
    """
    if kinetics.jacobian is not None:
        return kinetics.jacobian
    if kinetics.written is not None:
        found = written_kinetics(
            kinetics.written,
            name=kinetics.name,
            time_unit=kinetics.time_unit,
            fields=kinetics.fields,
            states=kinetics.states,
            stoichiometry=kinetics.stoichiometry,
        ).jacobian
        if found is not None:
            return found

    def differences(time: float, fields: Fields, states: Array, p: Any) -> Array:
        here = np.vstack([*fields, states])
        result = np.empty((len(here), len(here), here.shape[1]))
        for j in range(len(here)):
            step = _RELATIVE * np.abs(here[j]) + _ABSOLUTE
            ends = []
            for sign in (1.0, -1.0):
                there = here.copy()
                there[j] += sign * step
                ends.append(kinetics.derivative(time, there, p))
            result[:, j] = (ends[0] - ends[1]) / (2.0 * step)
        return result

    return differences
