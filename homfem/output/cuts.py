"""Cuts of simplex meshes by a plane, and their boundary: arrays in, arrays out, for drawing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array

Cells = npt.NDArray[np.int64]


def section(points: Array, cells: Cells, origin: Array, normal: Array) -> tuple[Cells, Cells, Array]:
    """Return where a plane cuts tetrahedra.

    Parameters
    ----------
    points, cells
        Nodes (n, 3) and tetrahedra (m, 4).
    origin, normal
        A point of the plane and its normal.

    Returns
    -------
    triangles : array, shape (k, 3)
        Triangles over the cut edges.
    edges : array, shape (p, 2)
        The two nodes of each cut edge.
    weights : array, shape (p,)
        A nodal field has the value ``(1 - w) v[edge[0]] + w v[edge[1]]`` on a cut edge.
    """
    side = (points - origin) @ (normal / np.linalg.norm(normal))
    order = np.take_along_axis(cells, np.argsort(side[cells], axis=1), axis=1)
    below = (side[order] < 0.0).sum(axis=1)
    # Vertices of the section by their edges, for one, two, three vertices below the plane.
    patterns = {
        1: [((0, 1), (0, 2), (0, 3))],
        2: [((0, 2), (0, 3), (1, 3)), ((0, 2), (1, 3), (1, 2))],
        3: [((0, 3), (1, 3), (2, 3))],
    }
    pieces = [
        np.stack([order[below == count][:, list(edge)] for edge in triangle], axis=1)
        for count, triangles in patterns.items()
        for triangle in triangles
    ]
    corners = np.concatenate(pieces)  # (k, 3 corners, 2 nodes)
    keys = np.sort(corners, axis=2).reshape(-1, 2)
    edges, inverse = np.unique(keys, axis=0, return_inverse=True)
    a, b = side[edges[:, 0]], side[edges[:, 1]]
    return inverse.reshape(-1, 3).astype(np.int64), edges.astype(np.int64), np.asarray(a / (a - b))


def boundary(points: Array, cells: Cells) -> Cells:
    """Return the faces of tetrahedra that belong to one only, corners counter-clockwise from outside; shape (k, 3)."""
    faces = cells[:, [[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]]]
    x = points[cells]
    turned = np.linalg.det(x[:, 1:] - x[:, :1]) < 0.0
    faces[turned] = faces[turned][:, :, ::-1]
    flat = faces.reshape(-1, 3)
    _, first, counts = np.unique(np.sort(flat, axis=1), axis=0, return_index=True, return_counts=True)
    return np.asarray(flat[first[counts == 1]], dtype=np.int64)


def clip(triangles: Cells, side: Array) -> tuple[Cells, Cells, Array]:
    """Return the part of triangles where a nodal field is >= 0; the answer is that of :func:`section`."""
    # Turn each triangle so that its odd node, the one alone on its side of the plane, comes first.
    below = side[triangles] < 0.0
    count = below.sum(axis=1)
    odd = np.where(count == 1, below.argmax(axis=1), (~below).argmax(axis=1))
    turned = np.take_along_axis(triangles, (odd[:, None] + np.arange(3)) % 3, axis=1)
    patterns = {
        0: [((0, 0), (1, 1), (2, 2))],
        1: [((0, 1), (1, 1), (2, 2)), ((0, 1), (2, 2), (0, 2))],
        2: [((0, 0), (0, 1), (0, 2))],
    }
    pieces = [
        np.stack([turned[count == number][:, list(edge)] for edge in corners], axis=1)
        for number, pattern in patterns.items()
        for corners in pattern
    ]
    keys = np.sort(np.concatenate(pieces), axis=2).reshape(-1, 2)
    edges, inverse = np.unique(keys, axis=0, return_inverse=True)
    a, b = side[edges[:, 0]], side[edges[:, 1]]
    weights = np.divide(a, a - b, out=np.zeros(len(edges)), where=edges[:, 0] != edges[:, 1])
    return inverse.reshape(-1, 3).astype(np.int64), edges.astype(np.int64), weights


def outline(triangles: Cells) -> Cells:
    """Return the edges that belong to one triangle only, shape (k, 2)."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    found, counts = np.unique(edges, axis=0, return_counts=True)
    return np.asarray(found[(counts == 1) & (found[:, 0] != found[:, 1])], dtype=np.int64)


def vertex_normals(points: Array, triangles: Cells) -> Array:
    """Return unit normals at the nodes of a surface, the mean of its triangles' by area; zero elsewhere."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for k in range(3):
        np.add.at(normals, triangles[:, k], area)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=normals, where=length > 0.0)
