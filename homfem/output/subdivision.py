r"""Triangles and tetrahedra cut into smaller ones, for drawing: curved cells, and fields of second order on them.

A second-order cell has its corners and the middles of its edges in the order of DOLFINx: (12)(02)(01) of a triangle,
(23)(13)(12)(03)(02)(01) of a tetrahedron. With the barycentric coordinates :math:`\lambda` a field on it is

.. math:: u = \sum_i u_i\,\lambda_i(2\lambda_i-1) + \sum_{ij} u_{ij}\,4\lambda_i\lambda_j .
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from homfem.output.cuts import Cells, distinct_rows
from homfem.parameters import Array

#: Edges of a simplex in the order of its middles, by the number of its corners.
MIDDLES = {
    3: ((1, 2), (0, 2), (0, 1)),
    4: ((2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)),
}
#: Number of second-order nodes, by the number of corners.
NODES = {3: 6, 4: 10}
#: As many pieces as a picture can show, by the number of corners, and as often as makes a difference.
PIECES = {3: 300_000, 4: 500_000}
DEEPEST = {3: 3, 4: 2}


def shape_functions(barycentric: npt.ArrayLike) -> Array:
    """Return the second-order shape functions at barycentric coordinates (..., k), shape (..., 6 or 10)."""
    at = np.asarray(barycentric, dtype=np.float64)
    corners = at * (2.0 * at - 1.0)
    first, second = np.array(MIDDLES[at.shape[-1]]).T
    return np.concatenate([corners, 4.0 * at[..., first] * at[..., second]], axis=-1)


def halved(cells: Cells, count: int) -> tuple[Cells, Cells]:
    """Return cells cut at the middles of their edges: four triangles or eight tetrahedra each, one after the other.

    Parameters
    ----------
    cells
        Corners (m, 3 or 4).
    count
        Number of nodes so far; the new ones follow.

    Returns
    -------
    cells : array, shape (4 m, 3) or (8 m, 4)
    edges : array, shape (e, 2)
        The nodes between which each new node lies.
    """
    width = cells.shape[1]
    pairs = np.sort(cells[:, list(combinations(range(width), 2))].reshape(-1, 2), axis=1)
    first, number, _ = distinct_rows(pairs)
    middle = dict(zip(combinations(range(width), 2), (count + number.reshape(len(cells), -1)).T, strict=True))
    corner = cells.T

    def at(i: int, j: int) -> Cells:
        return np.asarray(corner[i] if i == j else middle[min(i, j), max(i, j)])

    pieces = [[at(i, j) for j in range(width)] for i in range(width)]
    if width == 3:
        pieces.append([at(1, 2), at(0, 2), at(0, 1)])
    else:
        # The octahedron in the middle, cut along the diagonal from (02) to (13).
        ring = ((0, 1), (1, 2), (2, 3), (0, 3))
        pieces += [[at(0, 2), at(1, 3), at(*ring[k]), at(*ring[(k + 1) % 4])] for k in range(4)]
    stacked = np.stack([np.stack(piece, axis=1) for piece in pieces], axis=1)
    return stacked.reshape(-1, width).astype(np.int64), pairs[first]


def depth_for(cells: int, width: int) -> int:
    """Return how often cells are to be halved for a picture: 0 where there are many already."""
    depth = 0
    while depth < DEEPEST[width] and cells * (1 << ((width - 1) * (depth + 1))) <= PIECES[width]:
        depth += 1
    return depth


def subdivided(corners: Cells, fields: list[Array], depth: int) -> tuple[Cells, list[Array]]:
    """Cut second-order cells into straight ones with linear fields.

    Parameters
    ----------
    corners
        Numbers of the corners of the cells, (m, k).
    fields
        Second-order fields at the nodes of each cell, (m, 6 or 10, ...): the places of the nodes, values, ...
    depth
        How often every edge is halved.

    Returns
    -------
    corners : array, shape (m r, k)
        The pieces of each cell one after the other; neighbours share nodes as the cells do.
    fields : list of array, shape (m r, k, ...)
        The fields at the corners of each piece.
    """
    width = corners.shape[1]
    template = np.arange(width)[None]
    at = np.eye(width)
    pieces, count = corners, int(corners.max()) + 1
    for _ in range(depth):
        pieces, edges = halved(pieces, count)
        count += len(edges)
        template, own = halved(template, len(at))
        at = np.vstack([at, at[own].mean(axis=1)])
    shapes = shape_functions(at[template])  # (r, k, nodes)
    found = [
        np.einsum("rkn,mn...->mrk...", shapes, field).reshape(len(pieces), width, *field.shape[2:]) for field in fields
    ]
    return pieces, found


def straight(points: Array) -> Array:
    """Return second-order cells with the middles between the corners, (m, k, ...) to (m, 6 or 10, ...)."""
    first, second = np.array(MIDDLES[points.shape[1]]).T
    return np.concatenate([points, 0.5 * (points[:, first] + points[:, second])], axis=1)


def as_second_order(places: Array) -> Array:
    """Return the nodes of curved cells as those of second order, (m, k, d) to (m, 6 or 10, d).

    Triangles of third and fourth order, of 10 and 15 nodes in the plane, have the middle of each edge interpolated.
    """
    order = {10: 3, 15: 4}.get(places.shape[1]) if places.shape[2] == 2 else None
    if order is None:
        return places
    middles = []
    for k, (i, j) in enumerate(MIDDLES[3]):
        own = places[:, 3 + (order - 1) * k : 3 + (order - 1) * (k + 1)]
        ends = places[:, i] + places[:, j]
        middles.append(own[:, 1] if order == 4 else (9.0 * own.sum(axis=1) - ends) / 16.0)
    return np.concatenate([places[:, :3], np.stack(middles, axis=1)], axis=1)
