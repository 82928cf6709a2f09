"""One stage of a step of a membrane in NumPy, by the formulas of :mod:`homfem.kinetics.ionic.kernels`."""

from __future__ import annotations

from typing import Any

import numpy as np

from homfem.kinetics.point import PointKinetics
from homfem.parameters import Array


def stage(
    kinetics: PointKinetics,
    parameters: Any,
    scheme: str,
    *,
    time: float,
    now: Array,
    base: Array,
    step: float,
    scale: float | Array = 1.0,
) -> Array:
    """Return where ``base`` goes in a step with the rates at ``now``; rows are V and the states, of n nodes each.

    Parameters
    ----------
    kinetics
        A membrane, with one field.
    parameters
        Its parameters by attribute.
    scheme
        One of :data:`homfem.kinetics.ionic.kernels.SCHEMES`.
    scale
        Factor of the rate of V.
    """
    gates, new = slice(1, 1 + kinetics.gates), np.empty_like(base)
    given = (time, (now[0],), now[1:], parameters)
    if kinetics.relaxation is not None:
        speed, target = kinetics.relaxation(*given)
        if scheme == "explicit":
            new[gates] = base[gates] + step * speed * (target - now[gates])
        else:
            new[gates] = target + (base[gates] - target) * np.exp(-step * speed)
    others = np.r_[0, gates.stop : len(base)]
    rates = np.array(kinetics.rates(*given))
    if kinetics.drift is not None:
        rates = np.vstack([rates, kinetics.drift(*given)])
    rates[0] *= scale
    if scheme == "generalized-rush-larsen" and kinetics.slopes is not None:
        slopes = np.array(kinetics.slopes(*given))
        slopes[0] *= scale
        rates = _phi(step * slopes) * (rates + slopes * (base[others] - now[others]))
    new[others] = base[others] + step * rates
    return new


def _phi(z: Array) -> Array:
    """Return (exp(z) - 1)/z."""
    small = np.abs(z) < 1e-3
    safe = np.where(small, 1.0, z)
    return np.where(small, 1.0 + z * (0.5 + z * (1.0 / 6.0 + z / 24.0)), (np.exp(safe) - 1.0) / safe)
