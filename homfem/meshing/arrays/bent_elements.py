"""Curved elements of second order cut into curved simplices: their edges keep their nodes. Plain arrays on one rank.

The nodes in the middle of the new edges are those in the middle of the faces and of the elements, or where the file has
none, the places that the shape functions of 8 and 20 nodes give these. In the plane the outline stays what it is; in
space the two triangles of a curved face span a surface that differs from it in the third order.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.jacobians import flat_cells, jacobians
from homfem.meshing.arrays.raw_cell import Indices
from homfem.parameters import Array
from homfem.reference import SIMPLEX

#: Edges of a simplex of the dimension in the order of the nodes of DOLFINx.
EDGES: Mapping[int, list[tuple[int, int]]] = {
    1: [(0, 1)],
    2: [(1, 2), (0, 2), (0, 1)],
    3: [(2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)],
}


class Middles(NamedTuple):
    """The node in the middle of pairs of nodes: ``low * total + high``, sorted, and the node of each."""

    total: int
    keys: Indices
    nodes: Indices

    def of(self, corners: Indices) -> tuple[Indices, npt.NDArray[np.bool_]]:
        """Return simplices of order 2 with the given corners, shape (m, k), and of which all middles are known."""
        columns, known = [corners], np.ones(len(corners), dtype=bool)
        for i, j in EDGES[corners.shape[1] - 1]:
            key = _keys(corners[:, i], corners[:, j], self.total)
            place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
            known &= self.keys[place] == key
            columns.append(self.nodes[place][:, None])
        return np.hstack(columns), known


def middles(points: Array, blocks: Sequence[tuple[Indices, int, list[list[int]]]]) -> tuple[Array, Middles] | None:
    """Return the points with those that are added, and the middles of all edges and diagonals of elements.

    Parameters
    ----------
    points : array, shape (n, d)
    blocks
        Nodes of elements of second order with the corners first, the number of corners, and the faces (edges in 2D).

    Returns
    -------
    None where the nodes between the corners cannot be told from each other.
    """
    count, keys, nodes, added = len(points), [], [], [points]
    for own, width, faces in blocks:
        groups, pairs = _groups(width, faces, points.shape[1])
        place = _places(points, own, width, groups)
        edges = sum(len(group) == 2 for group in groups)
        if place is None or any(k < 0 for k in place[:edges]):
            return None
        for k, group in enumerate(groups):
            if place[k] >= 0:
                node = own[:, width + place[k]]
            else:
                new = _serendipity(points, own, width, group, groups, place)
                node = np.arange(len(new)) + sum(map(len, added))
                added.append(new)
            for i, j in pairs[k]:
                keys.append(_keys(own[:, i], own[:, j], count))
                nodes.append(node)
    found, first = np.unique(np.concatenate(keys), return_index=True)
    return np.vstack(added), Middles(count, found, np.concatenate(nodes)[first])


def is_sound(points: Array, cells: Indices) -> bool:
    """Return whether no simplex of order 2 is degenerate or folded, whichever way it is turned."""
    kind = SIMPLEX[points.shape[1]]
    determinants = jacobians(points, cells, (kind, 2))
    turned = determinants * np.where(determinants.mean(axis=1, keepdims=True) < 0.0, -1.0, 1.0)
    return not bool(flat_cells(points, cells, turned, kind).any())


def _keys(one: Indices, other: Indices, count: int) -> Indices:
    return np.minimum(one, other) * np.int64(count) + np.maximum(one, other)


def _groups(width: int, faces: list[list[int]], d: int) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
    """Corners around the place of each node that may be: edges, faces of four corners, the element; and the pairs."""
    around = faces if d == 3 else [list(range(width))]
    edges = sorted({(min(f[k - 1], f[k]), max(f[k - 1], f[k])) for f in around for k in range(len(f))})
    groups = [list(edge) for edge in edges]
    pairs = [[edge] for edge in edges]
    for face in around:
        if len(face) == 4:
            groups.append(face)
            pairs.append([(face[0], face[2]), (face[1], face[3])])
    if width == 8:
        groups.append(list(range(8)))
        known = {pair for group in pairs for pair in group} | {pair[::-1] for group in pairs for pair in group}
        pairs.append([pair for pair in itertools.combinations(range(8), 2) if pair not in known])
    return groups, pairs


def _places(points: Array, own: Indices, width: int, groups: list[list[int]]) -> list[int] | None:
    """Which node after the corners is that of each group (-1: none): the nearest one over all elements."""
    extra = own.shape[1] - width
    if extra > len(groups):
        return None
    corners = points[own[:, :width]]
    size = np.maximum(np.ptp(corners, axis=1).max(axis=1), 1e-300)
    cost = np.zeros((extra, len(groups)))
    for g, group in enumerate(groups):
        middle = corners[:, group].mean(axis=1)
        for k in range(extra):
            cost[k, g] = np.mean((np.linalg.norm(points[own[:, width + k]] - middle, axis=1) / size) ** 2)
    import scipy.optimize

    row, column = scipy.optimize.linear_sum_assignment(cost)
    place = [-1] * len(groups)
    for k, g in zip(row, column, strict=True):
        place[g] = int(k)
    return place


def _serendipity(
    points: Array, own: Indices, width: int, group: list[int], groups: list[list[int]], place: list[int]
) -> Array:
    """The place of the middle of a face or an element of which the file has the edges only."""
    inside = [k for k, edge in enumerate(groups) if len(edge) == 2 and set(edge) <= set(group)]
    edges = sum(points[own[:, width + place[k]]] for k in inside)
    corners = points[own[:, group]].sum(axis=1)
    # Of 4 corners and 4 edges, or of 8 and 12.
    weight = 0.5 if len(group) == 4 else 0.25
    return np.asarray(weight * edges - 0.25 * corners, dtype=np.float64)
