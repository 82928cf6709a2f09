r"""Parts of simplices in a place that level functions describe: integrals of the barycentric coordinates over them.

A place is where all functions :math:`f_k(x)\ge 0`. A simplex with corners on both sides of :math:`f_k = 0` is split at
the edge between its highest and its lowest corner, where f, taken as linear, is zero; this goes on until no simplex has
corners on both sides. Where all f are affine (a box) the parts are exact to round-off; a curved surface is met by
simplices that are split at their longest edges first.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array

Levels = Callable[[Array], Array]
"""The level functions at points (n, d), of shape (functions, n)."""

_ON = 1e-12  # of the largest level: on the surface
_FINE = 0.2  # of the radius: simplices at a curved surface


def shares_inside(levels: Levels, corners: Array, *, size: float = math.inf) -> Array:
    """Return the integrals of the barycentric coordinates over the parts of simplices in a place, per volume of each.

    Parameters
    ----------
    levels
        Level functions, all >= 0 in the place.
    corners
        Of the simplices, shape (n, d + 1, d).
    size
        The radius of curvature of the surface; infinite for planes.

    Returns
    -------
    array, shape (n, d + 1)
        The sum of a row is the share of the volume.
    """
    d = corners.shape[2]
    shares = np.zeros(corners.shape[:2])
    if not len(corners):
        return shares
    parts = np.tile(np.eye(d + 1), (len(corners), 1, 1))
    parents: npt.NDArray[np.int64] = np.arange(len(corners), dtype=np.int64)
    while math.isfinite(size):
        coarse = _coarse(parts, parents, corners, levels, size)
        if not coarse.any():
            break
        halves, owners = _halved(parts[coarse], parents[coarse], corners)
        parts, parents = np.concatenate([parts[~coarse], halves]), np.concatenate([parents[~coarse], owners])
    for number in range(len(levels(corners[0]))):
        parts, parents = _clipped(parts, parents, corners, levels, number)
    volumes = np.abs(np.linalg.det(parts))
    np.add.at(shares, parents, volumes[:, None] * parts.mean(axis=1))
    return shares


def _coarse(
    parts: Array, parents: npt.NDArray[np.int64], corners: Array, levels: Levels, size: float
) -> npt.NDArray[np.bool_]:
    """Tell which parts are wide beside the radius of a surface that they may meet."""
    points = np.einsum("pvk,pkx->pvx", parts, corners[parents])
    width = np.linalg.norm(np.ptp(points, axis=1), axis=1)
    nearest = np.abs(levels(points.reshape(-1, points.shape[2]))).min(axis=0).reshape(points.shape[:2]).min(axis=1)
    return np.asarray((width > _FINE * size) & (nearest <= width))


def _clipped(
    parts: Array, parents: npt.NDArray[np.int64], corners: Array, levels: Levels, number: int
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return what of the parts, barycentric coordinates of corners as rows, has a level function >= 0."""
    d = corners.shape[2]
    points = np.einsum("pvk,pkx->pvx", parts, corners[parents])
    values = levels(points.reshape(-1, d))[number].reshape(points.shape[:2])
    values[np.abs(values) <= _ON * np.abs(values).max(initial=0.0)] = 0.0
    whole, owners = [parts[:0]], [parents[:0]]
    while len(parts):
        mixed = (values.max(axis=1) > 0.0) & (values.min(axis=1) < 0.0)
        inside = ~mixed & (values.max(axis=1) > 0.0)
        whole.append(parts[inside])
        owners.append(parents[inside])
        parts, parents, values = parts[mixed], parents[mixed], values[mixed]
        rows = np.arange(len(parts))
        high, low = values.argmax(axis=1), values.argmin(axis=1)
        above, below = values[rows, high], values[rows, low]
        share = (above / (above - below))[:, None]
        between = (1.0 - share) * parts[rows, high] + share * parts[rows, low]
        parts, parents, values = (np.concatenate([entry, entry]) for entry in (parts, parents, values))
        for row, corner in ((rows, high), (rows + len(rows), low)):
            parts[row, corner], values[row, corner] = between, 0.0
    return np.concatenate(whole), np.concatenate(owners)


def _halved(parts: Array, parents: npt.NDArray[np.int64], corners: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Split each part at the middle of its longest edge."""
    points = np.einsum("pvk,pkx->pvx", parts, corners[parents])
    one, other = np.triu_indices(parts.shape[1], 1)
    longest = np.linalg.norm(points[:, one] - points[:, other], axis=2).argmax(axis=1)
    rows, a, b = np.arange(len(parts)), one[longest], other[longest]
    middle = 0.5 * (parts[rows, a] + parts[rows, b])
    first, second = parts.copy(), parts.copy()
    first[rows, a] = middle
    second[rows, b] = middle
    return np.concatenate([first, second]), np.concatenate([parents, parents])
