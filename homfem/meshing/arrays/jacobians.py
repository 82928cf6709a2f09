"""Jacobian determinants of mesh cells and their integrals: volumes, orientation, folds. Plain arrays on one rank."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array
from homfem.reference import CORNERS, DIMENSIONS, is_simplex

Indices = npt.NDArray[np.int64]


def jacobians(points: Array, cells: Indices, key: tuple[str, int]) -> Array:
    """Return the Jacobian determinants at the quadrature points of each cell, shape (m, q); q = 1 for constant ones.

    Parameters
    ----------
    points : array, shape (n, d)
    cells : array of int, shape (m, k)
        In the node order of DOLFINx.
    key
        Kind and order of the cells.
    """
    d = DIMENSIONS[key[0]]
    if not is_simplex(key[0]):
        return _of_boxes(points, cells, key)
    if key[1] == 1:
        origin = points[cells[:, 0]]
        edges = [points[cells[:, k]] - origin for k in range(1, d + 1)]
        return _determinant(edges)[:, None]
    nodes = points[cells].transpose(0, 2, 1)
    return _determinant([nodes @ gradient for gradient in _GRADIENTS[key]])


def integrate(determinants: Array, key: tuple[str, int]) -> Array:
    """Return the integral of the determinants over the reference cell, shape (m,): the volumes, exact."""
    weights = RULES[key][1]
    if determinants.shape[1] == 1:
        return np.asarray(determinants[:, 0] * weights.sum())
    return np.asarray(determinants @ weights)


def flat_cells(points: Array, cells: Indices, determinants: Array, kind: str) -> npt.NDArray[np.bool_]:
    """Return which cells are degenerate or folded, their determinants being turned to be positive; shape (m,)."""
    extent = _extents([points[corner] for corner in cells[:, : CORNERS[kind]].T])
    return np.asarray(determinants.min(axis=1) <= 1e-12 * extent ** DIMENSIONS[kind])


def bent_cells(points: Array, corners: Indices) -> npt.NDArray[np.bool_]:
    """Return which quadrilaterals or hexahedra are no parallelograms or parallelepipeds, to round-off; shape (m,).

    The Jacobian of the others is constant.
    """
    nodes = [points[corner] for corner in corners.T]
    size = _extents(nodes)
    away = np.zeros(len(corners))
    # Each corner ends a parallelogram with three others of smaller numbers.
    for k in range(3, len(nodes)):
        low = k & -k
        if k != low:
            away = np.maximum(away, np.abs(nodes[k] - nodes[k ^ low] - nodes[low] + nodes[0]).max(axis=1))
    return np.asarray(away > 1e-10 * size)


def _extents(nodes: Sequence[Array]) -> Array:
    """Longest side of the box around each cell; ``nodes`` are the first corners of all cells, the second, ..."""
    low, high = nodes[0], nodes[0]
    for node in nodes[1:]:
        low, high = np.minimum(low, node), np.maximum(high, node)
    return np.asarray((high - low).max(axis=1))


def _of_boxes(points: Array, cells: Indices, key: tuple[str, int]) -> Array:
    """Determinants of the multilinear maps, at the corners of the reference cell and between them."""
    d, places = DIMENSIONS[key[0]], RULES[key][0]
    if not bent_cells(points, cells).any():
        origin = points[cells[:, 0]]
        return _determinant([points[cells[:, 1 << a]] - origin for a in range(d)])[:, None]
    nodes = points[cells]
    columns = []
    for place in places:
        # Weight of each edge along axis a: linear in the other coordinates.
        rows = []
        for a in range(d):
            low = [k for k in range(1 << d) if not k >> a & 1]
            weights = [np.prod([place[b] if k >> b & 1 else 1.0 - place[b] for b in range(d) if b != a]) for k in low]
            rows.append(sum(w * (nodes[:, k | 1 << a] - nodes[:, k]) for w, k in zip(weights, low, strict=True)))
        columns.append(_determinant(rows))
    return np.stack(columns, axis=1)


def _determinant(rows: Sequence[Array]) -> Array:
    """The determinants of matrices by their rows, each of shape (m, d) or (m, d, q)."""
    if len(rows) == 2:
        (a, b) = rows
        return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    a, b, c = rows
    return np.asarray((a * np.cross(b, c, axis=1)).sum(axis=1))


def quadratic_edges(d: int) -> list[tuple[int, int]]:
    """Return the corners of the edges whose middles are nodes of a simplex of second order, in the order of these."""
    return {1: [(0, 1)], 2: [(1, 2), (0, 2), (0, 1)], 3: [(2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)]}[d]


@functools.cache
def lattice_nodes(d: int, order: int) -> Array:
    """Return the equispaced nodes of a simplex of an order in the order of DOLFINx, in barycentric coordinates.

    Corners, the nodes of each edge of :func:`quadratic_edges` from its first corner to its second, and in the plane
    those inside; shape (nodes, d + 1). In space up to the second order.
    """
    corners = np.eye(d + 1)
    parts = np.arange(1, order)[:, None] / order
    edges = [corners[i] + parts * (corners[j] - corners[i]) for i, j in quadratic_edges(d)]
    inside = [[order - i - j, i, j] for j in range(1, order) for i in range(1, order - j)] if d == 2 else []
    nodes = np.vstack([corners, *edges, np.array(inside).reshape(-1, d + 1) / order])
    nodes.setflags(write=False)  # they are the next caller's too
    return nodes


def lagrange_gradients(places: Array, d: int, order: int) -> Array:
    """Return the gradients of the Lagrange functions of an order on the reference simplex, shape (q, nodes, d)."""
    powers = np.array([p for p in product(range(order + 1), repeat=d) if sum(p) <= order])
    nodes = lattice_nodes(d, order)[:, 1:]
    coefficients = np.linalg.inv(np.prod(nodes[:, None] ** powers, axis=2))
    gradients = []
    for k in range(d):
        lower = np.maximum(powers - np.eye(d, dtype=int)[k], 0)
        gradients.append(powers[:, k] * np.prod(places[:, None] ** lower, axis=2) @ coefficients)
    return np.stack(gradients, axis=2)


def _rules() -> dict[tuple[str, int], tuple[Array, Array]]:
    """Quadrature that is exact for the determinant.

    Degree 0 for straight simplices, 2 for curved triangles and 3 for curved tetrahedra of second order; of higher order
    k degree 2k - 2, by Gauss's rule on the collapsed square. The determinant of a
    quadrilateral has degree 1 in each coordinate, that of a hexahedron 2: the trapezoidal rule and that of Simpson,
    which look at the corners, where a folded cell shows first.
    """
    triangle = np.array([[0.5, 0.5], [0.0, 0.5], [0.5, 0.0]])
    tetrahedron = np.vstack([np.full((1, 3), 0.25), np.full((4, 3), 1 / 6) + np.vstack([np.zeros(3), np.eye(3) / 3])])
    simpson = np.array([1.0, 4.0, 1.0]) / 6.0
    curved = {("triangle", order): _collapsed(order) for order in (3, 4)}
    return curved | {
        ("triangle", 1): (np.full((1, 2), 1 / 3), np.array([1 / 2])),
        ("tetrahedron", 1): (np.full((1, 3), 0.25), np.array([1 / 6])),
        ("triangle", 2): (triangle, np.full(3, 1 / 6)),
        ("tetrahedron", 2): (tetrahedron, np.array([-4 / 5, *[9 / 20] * 4]) / 6),
        ("quadrilateral", 1): (np.array(list(product([0.0, 1.0], repeat=2))), np.full(4, 1 / 4)),
        ("hexahedron", 1): (
            np.array(list(product([0.0, 0.5, 1.0], repeat=3))),
            np.einsum("i,j,k->ijk", simpson, simpson, simpson).ravel(),
        ),
    }


def _collapsed(count: int) -> tuple[Array, Array]:
    """Places in the reference triangle and weights of Gauss's rule on the square that is collapsed to it."""
    x, w = (0.5 * np.asarray(values) for values in np.polynomial.legendre.leggauss(count))
    x = x + 0.5
    places = np.column_stack([np.repeat(x, count), np.outer(1.0 - x, x).ravel()])
    return places, np.asarray(np.outer(w * (1.0 - x), w).ravel())


RULES = _rules()
#: Derivatives of the Lagrange functions along each axis at the places of the rule, each of shape (nodes, q).
_GRADIENTS = {
    key: tuple(np.ascontiguousarray(lagrange_gradients(RULES[key][0], DIMENSIONS[key[0]], key[1]).transpose(2, 1, 0)))
    for key in RULES
    if key[1] > 1 and is_simplex(key[0])
}
