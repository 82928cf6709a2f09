r"""The FitzHugh-Nagumo model: one excitation variable V and one recovery variable w, both without unit.

.. math:: \dot V = k\,\bigl(V(V - a)(1 - V) - w\bigr),\qquad \dot w = k\,\varepsilon\,(V - \gamma w).

V = w = 0 is the state of rest; a stimulus that lifts V beyond a starts an excursion to V near 1. With diffusion D and
w = 0 a front runs at :math:`\sqrt{Dk/2}\,(1 - 2a)`.

Source: FitzHugh 1961, doi 10.1016/S0006-3495(61)86902-6. Nagumo, Arimoto, Yoshizawa 1962,
doi 10.1109/JRPROC.1962.288235.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import Fields, PointKinetics, Variable
from homfem.parameters import Array
from homfem.quantities import RATE

_SOURCE = "Keener, Sneyd 2009, Mathematical Physiology I, chapter 5"


def _rates(_time: float, fields: Fields, states: Array, p: Any) -> Array:
    v = fields[0]
    rate = v - p.a
    rate *= v
    rate *= 1.0 - v
    rate -= states[0]
    rate *= p.rate
    return np.asarray(rate[None])


def _relaxation(_time: float, fields: Fields, _states: Array, p: Any) -> tuple[Array, Array]:
    rate = np.broadcast_to(np.asarray(p.rate * p.epsilon * p.gamma, dtype=np.float64), fields[0].shape)
    return rate[None], np.asarray(fields[0] / p.gamma)[None]


def _rest(fields: Fields, p: Any) -> Array:
    return np.asarray(fields[0] / p.gamma)[None]


def _jacobian(_time: float, fields: Fields, _states: Array, p: Any) -> Array:
    v = fields[0]
    result = np.empty((2, 2, v.size))
    result[0, 0] = p.rate * (-3.0 * v * v + 2.0 * (1.0 + p.a) * v - p.a)
    result[0, 1] = -p.rate
    result[1, 0] = p.rate * p.epsilon
    result[1, 1] = -p.rate * p.epsilon * p.gamma
    return result


FITZHUGH_NAGUMO = PointKinetics(
    name="FitzHugh-Nagumo",
    time_unit="ms",
    fields=(Variable(name="V", meaning="excitation: 0 at rest, about 1 when excited"),),
    states=(Variable(name="w", meaning="recovery"),),
    parameters=(
        Parameter(name="a", value=0.1, meaning="threshold of excitation", source=_SOURCE),
        Parameter(name="epsilon", value=0.01, meaning="speed of recovery", source=_SOURCE, above=0.0),
        Parameter(name="gamma", value=0.5, meaning="decay of recovery", source=_SOURCE, above=0.0),
        Parameter(name="rate", value=1.0, unit="1/ms", kind=RATE, meaning="k: speed of excitation", above=0.0),
    ),
    rates=_rates,
    relaxation=_relaxation,
    rest=_rest,
    jacobian=_jacobian,
)
"""The FitzHugh-Nagumo model with time in ms."""
