r"""Curved cells around a surface made sound: the nodes off the surface follow those on it. Plain arrays on one rank.

Where the edges on a surface bend so much that a cell would be folded, the other nodes of a patch of cells around it are
moved to the minimum of a distortion that grows without bound as a cell becomes flat,

.. math:: W = \sum_{\text{cells}}\sum_q \frac45\,\frac{|F|^d}{d^{d/2}\,\det F}
    + \tfrac15\,\frac{1+\det^2F}{2\det F},\qquad F = \frac{\partial x}{\partial X},

of the map from the straight cell X to the curved one x. The start is folded: there :math:`\det F` is replaced by
:math:`\chi = (\det F + \sqrt{\det F^2 + \delta^2})/2 > 0`, with ever smaller :math:`\delta`.

A cell is sound if the Bernstein coefficients of its Jacobian determinant, a polynomial that lies between the smallest
and the largest of them, are positive: that is a proof at every point, not at those of a quadrature.

Source: Escobar et al. 2003, doi 10.1016/S0045-7825(03)00299-8 (simultaneous untangling and smoothing); Johnen, Remacle,
Geuzaine 2013, doi 10.1016/j.jcp.2012.08.051 (Bernstein coefficients).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy.optimize

from homfem.meshing.arrays.jacobians import lagrange_gradients
from homfem.meshing.arrays.raw_cell import Indices
from homfem.meshing.cut.cutting import Flags
from homfem.parameters import Array

#: Least Bernstein coefficient of the Jacobian determinant over that of the straight cell: below the first one a cell is
#: worked on, below the second one it is refused.
POOR, FOLDED = 0.25, 0.02
#: Weight of the change of the volume in the distortion, beside the shape.
DILATION = 0.2
#: Rings of cells around a poor one that move with it, one after the other.
RINGS = (0, 1, 2, 3)
#: The last delta.
LEAST = 1e-3


@functools.cache
def _bernstein(d: int, order: int) -> tuple[Array, Array]:
    """Gradients of the Lagrange functions at the nodes of the degree of the determinant, shape (q, nodes, d), and the
    matrix from values at these to Bernstein coefficients, shape (q, q)."""
    degree = d * (order - 1)
    powers = np.array([p for p in product(range(degree + 1), repeat=d) if sum(p) <= degree])
    powers = np.column_stack([degree - powers.sum(axis=1), powers])
    places = powers / max(degree, 1)
    several = np.array([math.factorial(degree) / math.prod(map(math.factorial, map(int, p))) for p in powers])
    values = several * np.prod(places[:, None] ** powers, axis=2)
    return lagrange_gradients(places[:, 1:], d, order), np.linalg.inv(values)


def soundness(points: Array, straight: Array, cells: Indices, order: int) -> Array:
    """Return the least Bernstein coefficient of each cell's Jacobian determinant over that of the straight cell.

    Parameters
    ----------
    points, straight : array, shape (n, d)
        Of the curved cells, and of the straight ones of the same volumes at corners.
    cells : array of int, shape (m, nodes)
    order
        Degree of the geometry, 2 or more.
    """
    d = points.shape[1]
    slopes, coefficients = _bernstein(d, order)
    nodes = points[cells]
    found = np.linalg.det(np.einsum("mkx,qkr->mqxr", nodes, slopes)) @ coefficients.T
    x = straight[cells[:, : d + 1]]
    return np.asarray(found.min(axis=1) / np.linalg.det(np.swapaxes(x[:, 1:] - x[:, :1], 1, 2)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BentCells:
    """Curved cells whose nodes off the surfaces may move.

    Parameters
    ----------
    straight : array, shape (n, d)
        Nodes of the straight cells.
    cells : array of int, shape (m, nodes)
    representative : array of int, shape (n,)
        The node that stands for each node on the torus; its images move with it.
    held : array of bool, shape (n,)
        Nodes that stay.
    free_in : array, shape (n, d, d), optional
        Projectors on the directions in which nodes may move; None for any.
    order
        Degree of the geometry.
    """

    straight: Array
    cells: Indices
    representative: Indices
    held: Flags
    free_in: Array | None
    order: int

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return int(self.straight.shape[1])

    def soundness(self, points: Array, cells: Indices) -> Array:
        """Return that of some cells, see :func:`soundness`."""
        return soundness(points, self.straight, self.cells[cells], self.order)


def bent(given: BentCells, points: Array) -> tuple[Array, Array]:
    """Return the points with nodes moved around poor cells, and the soundness of every cell."""
    known = np.ones(len(given.cells))
    touched = np.flatnonzero((points != given.straight)[given.cells].any(axis=(1, 2)))
    known[touched] = given.soundness(points, touched)
    for rings in RINGS:
        poor = np.flatnonzero(known < (POOR if rings == RINGS[0] else 0.5 * POOR))
        if not len(poor):
            break
        node, patch = _patch(given, poor, rings)
        if len(node):
            points = _relaxed(given, points, node, patch)
            known[patch] = given.soundness(points, patch)
    return points, known


def _patch(given: BentCells, poor: Indices, rings: int) -> tuple[Indices, Indices]:
    """Representatives of the nodes that move for poor cells, and the cells that have any of them.

    They are those of the poor cells, without rings only the ones that are no corners, or of all that are so many rings
    away from one.
    """
    at, corners = given.representative[given.cells], given.dimension + 1
    flag = np.zeros(len(given.straight), dtype=bool)
    flag[at[poor, corners if rings == 0 else 0 :]] = True
    for _ in range(rings - 1):
        flag[at[flag[at[:, :corners]].any(axis=1)]] = True
    flag[given.representative[given.held]] = False
    return np.flatnonzero(flag), np.flatnonzero(flag[at].any(axis=1))


def _relaxed(given: BentCells, points: Array, node: Indices, patch: Indices) -> Array:
    """Move nodes towards the least distortion of the cells until these are sound; return the best that was found.

    That is where the fewest cells are folded, and of these where the worst one is best.
    """
    distortion = _Distortion(given, points, node, patch)
    best, worth = points, _worth(given.soundness(points, patch))
    delta = max(LEAST, 0.1 - distortion.least)
    u = np.zeros(len(node) * given.dimension)
    for turn in range(20):
        u = scipy.optimize.minimize(
            distortion, u, args=(delta,), jac=True, method="L-BFGS-B", options={"maxiter": 10, "maxcor": 10}
        ).x
        found = distortion.moved(u)
        known = given.soundness(found, patch)
        if _worth(known) > worth:
            best, worth = found, _worth(known)
        if known.min() > (POOR if turn < 6 else 0.5 * POOR):
            break
        delta = max(LEAST, 0.2 * delta)
    return best


def _worth(known: Array) -> tuple[int, float]:
    """What of two states of the same cells is larger in the better one."""
    return -int(np.count_nonzero(known < FOLDED)), float(known.min())


class _Distortion:
    """The distortion of cells as a function of the steps of nodes, in units of the size of the cells."""

    def __init__(self, given: BentCells, points: Array, node: Indices, patch: Indices) -> None:
        self.points, self.node, self.representative = points, node, given.representative
        cells, d = given.cells[patch], given.dimension
        number = np.full(len(points), -1)
        number[node] = np.arange(len(node))
        self.column: Indices = number[self.representative[cells]]
        self.moving = self.column >= 0
        x = given.straight[cells[:, : d + 1]]
        self.inverse = np.linalg.inv(np.swapaxes(x[:, 1:] - x[:, :1], 1, 2))
        self.size = float(np.abs(np.linalg.det(self.inverse)).mean()) ** (-1.0 / d)
        slopes = _bernstein(d, given.order)[0]
        self.slopes = np.ascontiguousarray(slopes.transpose(1, 0, 2).reshape(slopes.shape[1], -1))
        self.base = np.ascontiguousarray(np.swapaxes(points[cells], 1, 2))
        self.free = None if given.free_in is None else given.free_in[node]
        self.least = float(_cofactor(self._deformation(self.base))[0].min())

    def _deformation(self, nodes: Array) -> Array:
        """Deformation gradients for nodes of shape (m, d, nodes); shape (m, d, q, d)."""
        m, d, count = nodes.shape
        slopes = (nodes.reshape(-1, count) @ self.slopes).reshape(m, -1, d)
        return np.asarray(slopes @ self.inverse).reshape(m, d, -1, d)

    def _steps(self, u: Array) -> Array:
        steps = u.reshape(len(self.node), -1) * self.size
        return steps if self.free is None else np.einsum("nxy,ny->nx", self.free, steps)

    def moved(self, u: Array) -> Array:
        """Return all points after the steps."""
        step = np.zeros_like(self.points)
        step[self.node] = self._steps(u)
        return np.asarray(self.points + step[self.representative])

    def __call__(self, u: Array, delta: float) -> tuple[float, Array]:
        steps = np.where(self.moving[..., None], self._steps(u)[self.column], 0.0)
        nodes = self.base + np.swapaxes(steps, 1, 2)
        m, d, count = nodes.shape
        value, slope = _distortion(self._deformation(nodes), delta)
        slope = slope.reshape(m, -1, d) @ np.swapaxes(self.inverse, 1, 2)
        force = (slope.reshape(m * d, -1) @ self.slopes.T).reshape(m, d, count)
        column = self.column[self.moving]
        pull = np.stack([np.bincount(column, force[:, k][self.moving], len(self.node)) for k in range(d)], axis=1)
        if self.free is not None:
            pull = np.einsum("nyx,ny->nx", self.free, pull)
        return value, (pull * self.size).ravel()


def _distortion(deformation: Array, delta: float) -> tuple[float, Array]:
    """The distortion of deformation gradients, shape (m, d, q, d), and its derivative by them."""
    d = deformation.shape[-1]
    determinant, cofactor = _cofactor(deformation)
    root = np.sqrt(determinant**2 + delta**2)
    # (det + root) / 2 without cancellation.
    volume = np.where(
        determinant > 0.0, 0.5 * (determinant + root), 0.5 * delta**2 / np.maximum(root - determinant, 1e-300)
    )
    square = np.einsum("mxqy,mxqy->mq", deformation, deformation)
    shape = (1.0 - DILATION) * (square / d) ** (0.5 * d) / volume
    dilation = 0.5 * DILATION * (1.0 + determinant**2) / volume
    by_square = (0.5 * d) * shape / square
    by_determinant = DILATION * determinant / volume - (shape + dilation) / root
    slope = (2.0 * by_square)[:, None, :, None] * deformation + by_determinant[:, None, :, None] * cofactor
    return float(shape.sum() + dilation.sum()), slope


def _cofactor(a: Array) -> tuple[Array, Array]:
    """Determinants of matrices, shape (m, d, q, d), and their derivatives by the entries."""
    result = np.empty_like(a)
    if a.shape[-1] == 2:
        result[:, 0, :, 0], result[:, 0, :, 1] = a[:, 1, :, 1], -a[:, 1, :, 0]
        result[:, 1, :, 0], result[:, 1, :, 1] = -a[:, 0, :, 1], a[:, 0, :, 0]
    else:
        for k, i in product(range(3), repeat=2):
            b, c, r, t = a[:, (k + 1) % 3], a[:, (k + 2) % 3], (i + 1) % 3, (i + 2) % 3
            result[:, k, :, i] = b[..., r] * c[..., t] - b[..., t] * c[..., r]
    return np.einsum("mqy,mqy->mq", a[:, 0], result[:, 0]), result
