r"""What is measured on periodic voxel arrays: two-point correlation, correlation length, specific surface.

With the indicator I of a phase of volume fraction f the two-point correlation is the probability
:math:`S_2(r)=\langle I(x)I(x+r)\rangle` that both ends of a segment r lie in the phase: :math:`S_2(0)=f`, and
:math:`S_2\to f^2` at distances at which a medium has no order. In isotropic media it begins as

.. math:: S_2(r)=f-\frac{S_v}{4}r\ (3D),\qquad S_2(r)=f-\frac{S_v}{\pi}r\ (2D)

with the surface per volume :math:`S_v` of the phase.

Source: Debye, Anderson, Brumberger 1957, J. Appl. Phys. 28, 679; Torquato 2002, Random Heterogeneous Materials, chapter
2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.spatial

from homfem.parameters import Array, InputError, check_number
from homfem.random_media.particles import check_period


def two_point_correlation(labels: npt.ArrayLike, phase: int = 1) -> Array:
    """Return the periodic two-point correlation S2 of one phase at all lags, exact for the voxel array.

    Parameters
    ----------
    labels : array, shape (n_x, n_y[, n_z])
        Label of each voxel.
    phase
        Label of the phase.

    Returns
    -------
    ndarray, shape of ``labels``
        Entry (i, j, k) belongs to the lag of i, j, k voxels, periodic: i and i - n_x are one. Computed by FFT.
    """
    inside = _indicator(labels, phase)
    spectrum = scipy.fft.rfftn(inside.astype(np.float64))
    return np.asarray(scipy.fft.irfftn(np.abs(spectrum) ** 2, s=inside.shape) / inside.size)


def radial_average(values: npt.ArrayLike, period: Sequence[float]) -> tuple[Array, Array]:
    """Return a function of the lag averaged over directions.

    Parameters
    ----------
    values : array, shape (n_x, n_y[, n_z])
        As :func:`two_point_correlation` gives it.
    period
        Sides of the box along x, y (and z).

    Returns
    -------
    radius : array, shape (m,)
        Mean distance of the lags in each shell; shells are as wide as the shortest voxel edge, around its multiples,
        and reach to half the shortest period.
    average : array, shape (m,)
        Mean over the lags of each shell; the first is that of lag 0.
    """
    values = np.asarray(values, dtype=np.float64)
    sides = check_period(period, values.ndim)
    edges = [side / n for side, n in zip(sides, values.shape, strict=True)]
    lags = [np.fft.fftfreq(n, 1.0 / n) * h for n, h in zip(values.shape, edges, strict=True)]
    radius = np.sqrt(reduce(np.add, np.ix_(*(lag**2 for lag in lags)))).ravel()
    shell = np.rint(radius / min(edges)).astype(np.int64)
    count = np.bincount(shell)
    last = int(0.5 * min(sides) / min(edges) + 0.5)
    kept = np.flatnonzero(count[: last + 1])
    mean = [np.bincount(shell, weights=w)[kept] / count[kept] for w in (radius, values.ravel())]
    return mean[0], mean[1]


def correlation_length(labels: npt.ArrayLike, period: Sequence[float], phase: int = 1) -> float:
    r"""Return the distance at which the radial mean of :math:`(S_2-f^2)/(f-f^2)` first falls to 1/e.

    Linear between shells, whose width is that of a voxel. In the unit of the period.

    Raises
    ------
    InputError
        If the phase is empty or fills the box, or the correlation does not fall so far within half the period.
    """
    inside = _indicator(labels, phase)
    fraction = float(inside.mean())
    if fraction in (0.0, 1.0):
        raise InputError("phase", phase, "in some voxels and not in others", f"Its fraction is {fraction:g}.")
    radius, mean = radial_average(two_point_correlation(labels, phase), period)
    rest = (mean - fraction**2) / (fraction - fraction**2) - math.exp(-1.0)
    below = np.flatnonzero(rest <= 0.0)
    if not len(below):
        allowed = "so large that the correlation falls to 1/e within half of it"
        raise InputError("period", tuple(period), allowed)
    k = int(below[0])
    step = rest[k - 1] / (rest[k - 1] - rest[k])
    return float(radius[k - 1] + step * (radius[k] - radius[k - 1]))


def specific_surface(labels: npt.ArrayLike, period: Sequence[float], phase: int = 1) -> float:
    r"""Return the area (length in 2D) of the phase's surface per volume, from the slope of S2 at 0.

    .. math:: S_v = c\,\sum_k w_k\frac{S_2(0)-S_2(r_k)}{|r_k|},\qquad c=4\ (3D),\ \pi\ (2D)

    over the lags to the neighbours of a voxel (8 in 2D, 26 in 3D), each with the share :math:`w_k` of the directions
    that are nearest to its own. Unlike the area of the voxel faces it converges to the area of a smooth surface, whose
    directions need not be uniform: for square and cubic voxels it errs by -5 to +3 % (2D) or -7 to +2 % (3D) for a
    plane, by its direction, and not at all in the mean over all directions; long voxels make it worse (-11 % for a
    flat spheroid on voxels of 3 : 2 : 1). The error of the voxels is of second order in their size over the radius of
    curvature.

    Parameters
    ----------
    labels : array, shape (n_x, n_y[, n_z])
    period
        Sides of the box.
    phase
        Label of the phase.

    Returns
    -------
    float
        In 1 / (unit of the period).

    Source
    ------
    Debye, Anderson, Brumberger 1957; weights: Ohser, Mücklich 2000, Statistical Analysis of Microstructures, chapter 4.
    """
    inside = _indicator(labels, phase)
    d = inside.ndim
    h = np.array(check_period(period, d)) / inside.shape
    steps = np.array([step for step in itertools.product((-1, 0, 1), repeat=d) if any(step)])
    lengths = np.linalg.norm(steps * h, axis=1)
    weights = _shares(steps * h / lengths[:, None])
    total = 0.0
    for step, length, weight in zip(steps, lengths, weights, strict=True):
        if tuple(step) > (0,) * d:
            # S2(0) - S2(r) is half the probability that the two ends of r lie in different phases.
            other = np.roll(inside, tuple(step), axis=tuple(range(d)))
            total += 2.0 * weight * 0.5 * float(np.mean(inside != other)) / length
    return (math.pi if d == 2 else 4.0) * total


def _shares(directions: Array) -> Array:
    """Share of the circle or the sphere that is nearest to each of the unit vectors."""
    if directions.shape[1] == 3:
        return np.asarray(scipy.spatial.SphericalVoronoi(directions).calculate_areas() / (4.0 * math.pi))
    angle = np.arctan2(directions[:, 1], directions[:, 0])
    order = np.argsort(angle)
    gaps = np.diff(angle[order], append=angle[order[0]] + 2.0 * math.pi)
    shares = np.empty(len(angle))
    shares[order] = 0.5 * (gaps + np.roll(gaps, 1)) / (2.0 * math.pi)
    return shares


def _indicator(labels: npt.ArrayLike, phase: int) -> npt.NDArray[np.bool_]:
    array = np.asarray(labels)
    if array.ndim not in (2, 3) or array.size == 0:
        raise InputError("labels", f"an array of shape {array.shape}", "an array with 2 or 3 axes that is not empty")
    check_number("phase", phase)
    return np.asarray(array == phase)
