"""Conductivity (diffusion, permittivity) of isotropic mixtures of isotropic phases: bounds and estimates."""

from __future__ import annotations

import math

import numpy as np

from homfem.bounds.phases import Bounds, Estimate, Fractions, PerPhase, matrix_index, scalars, shifted_mean
from homfem.parameters import Array
from homfem.stiffness import check_dimension


def hashin_shtrikman(values: PerPhase, fractions: Fractions, *, dimension: int) -> Bounds:
    r"""Return the Hashin-Shtrikman bounds of the conductivity of an isotropic mixture of N isotropic phases.

    .. math:: k^\mp = \Bigl(\sum_i \frac{f_i}{k_i+(d-1)k_0}\Bigr)^{-1} - (d-1)k_0, \qquad k_0 = k_{\min},\ k_{\max}.

    For two phases :math:`k_1\le k_2` in 3D the lower one is :math:`k_1+f_2/[1/(k_2-k_1)+f_1/(3k_1)]`.

    Parameters
    ----------
    values
        One number per phase in [0, inf]: 0 insulates, ``inf`` conducts perfectly.
    fractions
        Volume fractions, which sum to one.
    dimension
        2 (also the plane across fibres) or 3.

    Returns
    -------
    Bounds. They hold for tensors :math:`k^* I` only, which includes every cell with cubic (2D: square or hexagonal)
    symmetry, not for other anisotropic ones.

    Raises
    ------
    InputError
        For a negative coefficient, and fractions that do not fit.

    Source
    ------
    Hashin and Shtrikman 1962, J. Appl. Phys. 33, 3125.
    """
    _, k, f = scalars(values, fractions)
    factor = check_dimension(dimension) - 1
    return Bounds(lower=shifted_mean(k, f, factor * float(k.min())), upper=shifted_mean(k, f, factor * float(k.max())))


def maxwell(values: PerPhase, fractions: Fractions, *, matrix: str | int, dimension: int) -> Estimate:
    r"""Return the Maxwell (Clausius-Mossotti, Maxwell Garnett) estimate for spheres, or cylinders in 2D, in a matrix.

    .. math:: \frac{k^*-k_m}{k^*+(d-1)k_m} = \sum_i f_i\frac{k_i-k_m}{k_i+(d-1)k_m} .

    Exact to first order in the fraction of the inclusions. It equals a Hashin-Shtrikman bound where the matrix is the
    best or the worst conductor.

    Parameters
    ----------
    values, fractions, dimension
        As for :func:`hashin_shtrikman`.
    matrix
        Name (or number) of the phase around the others.

    Source
    ------
    Maxwell 1873, A Treatise on Electricity and Magnetism, art. 314.
    """
    names, k, f = scalars(values, fractions)
    shift = (check_dimension(dimension) - 1) * float(k[matrix_index(matrix, names)])
    return Estimate(value=shifted_mean(k, f, shift), model=f"Maxwell, matrix {matrix}")


def bruggeman(values: PerPhase, fractions: Fractions, *, dimension: int) -> Estimate:
    r"""Return Bruggeman's symmetric effective medium of N phases.

    .. math:: \sum_i f_i\frac{k_i-k^*}{k_i+(d-1)k^*} = 0 .

    The left side falls with :math:`k^*`, so that there is one root. It is zero once the insulating phases fill
    :math:`(d-1)/d` or more (the conductors are below the percolation threshold 1/d), infinite once perfect conductors
    fill 1/d or more.

    Parameters
    ----------
    values, fractions, dimension
        As for :func:`hashin_shtrikman`.

    Source
    ------
    Bruggeman 1935, Ann. Phys. 416, 636; Landauer 1952, J. Appl. Phys. 23, 779.
    """
    _, k, f = scalars(values, fractions)
    return Estimate(value=_effective_medium(k, f, check_dimension(dimension)), model="Bruggeman")


def _effective_medium(k: Array, f: Array, d: int) -> float:
    from scipy.optimize import brentq

    finite = np.isfinite(k)
    zero = float(f[k == 0.0].sum())
    perfect = float(f[~finite].sum())
    # Limits of the left side as k* -> 0 and k* -> inf; the slack is the round-off of the sum of the fractions.
    if 1.0 - zero - zero / (d - 1) <= 1e-14:
        return 0.0
    if perfect - (1.0 - perfect) / (d - 1) >= -1e-14:
        return math.inf

    def excess(trial: float) -> float:
        if trial == 0.0:
            return 1.0 - zero - zero / (d - 1)
        return perfect + float(np.sum(f[finite] * (k[finite] - trial) / (k[finite] + (d - 1) * trial)))

    inner = k[finite & (k > 0.0)]  # not empty: insulators and perfect conductors alone end above
    scale = float(inner.max())
    top = 1.0
    while excess(top * scale) > 0.0:
        top *= 2.0
    return scale * float(brentq(lambda x: excess(x * scale), 0.0, top, xtol=1e-300, rtol=1e-14, maxiter=2000))
