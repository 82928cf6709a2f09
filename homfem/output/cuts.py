"""Cuts of simplex meshes by a plane, and their boundary: arrays in, arrays out, for drawing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array

Cells = npt.NDArray[np.int64]


class Distinct(NamedTuple):
    """Distinct rows: the ``first`` place of each, which one each row is (``inverse``), and how many are alike."""

    first: Cells
    inverse: Cells
    counts: Cells


def distinct_rows(rows: Cells) -> Distinct:
    """Return which rows of numbers >= 0 are equal, shape (n, k).

    A row is one number of 64 bits where that can hold it, which is ten times as fast as to compare rows.
    """
    base = int(rows.max()) + 1 if rows.size else 1
    if base ** rows.shape[1] < 2**63:
        keys = rows[:, 0].astype(np.int64)
        for column in rows.T[1:]:
            keys = keys * base + column
        found = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    else:
        found = np.unique(rows, axis=0, return_index=True, return_inverse=True, return_counts=True)
    return Distinct(found[1], found[2].reshape(-1), found[3])


class Patch(NamedTuple):
    """Triangles (t, 3) over points (n, 3), with a value at each point, (n,), or None."""

    points: Array
    triangles: Cells
    values: Array | None

    def between(self, triangles: Cells, edges: Cells, weights: Array) -> Patch:
        """Return triangles whose points lie on edges between the points here; the answer of :func:`section`."""
        points = blend(self.points, edges, weights)
        return Patch(points, triangles, None if self.values is None else blend(self.values, edges, weights))


def blend(values: Array, edges: Cells, weights: Array) -> Array:
    """Return ``(1 - w) v[edge[0]] + w v[edge[1]]`` for values at nodes, (n, ...)."""
    w = weights.reshape(-1, *([1] * (values.ndim - 1)))
    first, second = values[edges[:, 0]], values[edges[:, 1]]
    # Where an edge is a node its value is kept, also one that is not finite.
    return np.asarray(np.where(w == 0.0, first, np.where(w == 1.0, second, (1.0 - w) * first + w * second)))


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
    side = snapped((points - origin) @ (normal / np.linalg.norm(normal)))
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
    first, inverse, _ = distinct_rows(keys)
    edges = keys[first]
    a, b = side[edges[:, 0]], side[edges[:, 1]]
    triangles, weights = inverse.reshape(-1, 3), np.asarray(a / (a - b))
    # A node that lies in the plane ends several cut edges: it is one point, else hairs of no width are left.
    on_first, on_second = weights == 0.0, weights == 1.0
    node = np.where(on_first, edges[:, 0], edges[:, 1])
    key = np.where(on_first | on_second, node, len(points) + np.arange(len(edges)))
    used, number = np.unique(key, return_index=True, return_inverse=True)[1:]
    triangles = number.reshape(-1)[triangles].reshape(-1, 3)
    flat = (triangles == np.roll(triangles, 1, axis=1)).any(axis=1)
    return triangles[~flat].astype(np.int64), edges[used].astype(np.int64), weights[used]


def snapped(side: Array) -> Array:
    """Return distances from a plane, zero where they are round-off: what touches it is not cut in two."""
    reach = float(np.ptp(side)) if side.size else 0.0
    return np.where(np.abs(side) < 1e-9 * reach, 0.0, side)


def boundary(points: Array, cells: Cells) -> Cells:
    """Return the faces of tetrahedra that belong to one only, corners counter-clockwise from outside; shape (k, 3)."""
    faces = cells[:, [[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]]]
    x = points[cells]
    turned = np.linalg.det(x[:, 1:] - x[:, :1]) < 0.0
    faces[turned] = faces[turned][:, :, ::-1]
    flat = faces.reshape(-1, 3)
    first, _, counts = distinct_rows(np.sort(flat, axis=1))
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
    first, inverse, _ = distinct_rows(keys)
    edges = keys[first]
    a, b = side[edges[:, 0]], side[edges[:, 1]]
    weights = np.divide(a, a - b, out=np.zeros(len(edges)), where=edges[:, 0] != edges[:, 1])
    return inverse.reshape(-1, 3).astype(np.int64), edges.astype(np.int64), weights


def outline(triangles: Cells) -> Cells:
    """Return the edges that belong to one triangle only, shape (k, 2)."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    first, _, counts = distinct_rows(edges)
    found = edges[first]
    return np.asarray(found[(counts == 1) & (found[:, 0] != found[:, 1])], dtype=np.int64)


def opened(skin: Patch, inside: Patch, corner: Array) -> list[Patch]:
    """Return the surface of tetrahedra without what is nearest to the eye: x above, y below and z above a corner.

    First the outer surface that stays, then the section in each of the three planes, exact polygons of every cell.

    Parameters
    ----------
    skin
        The whole outer surface.
    inside
        The tetrahedra, (m, 4) in place of triangles.
    corner
        The point where the three planes meet.
    """
    toward = np.array([1.0, -1.0, 1.0])
    kept: list[Patch] = []
    rest = skin
    for k in range(3):
        side = snapped(toward[k] * (rest.points[:, k] - corner[k]))
        outer = side[rest.triangles].max(axis=1) <= 0.0
        kept.append(rest._replace(triangles=rest.triangles[outer]))
        rest = rest._replace(triangles=rest.triangles[~outer])
        kept.append(rest.between(*clip(rest.triangles, -side)))
        rest = rest.between(*clip(rest.triangles, side))
    faces = []
    for k in range(3):
        normal = np.zeros(3)
        normal[k] = toward[k]
        face = inside.between(*section(inside.points, inside.triangles, corner, normal))
        # Exactly in its plane, whatever the rounding of the interpolation.
        face.points[:, k] = corner[k]
        for j in range(3):
            if j != k:
                face = face.between(*clip(face.triangles, snapped(toward[j] * (face.points[:, j] - corner[j]))))
        a, b, c = (face.points[face.triangles[:, j]] for j in range(3))
        turned = np.cross(b - a, c - a) @ normal < 0.0
        face.triangles[turned] = face.triangles[turned][:, ::-1]
        faces.append(compact(face))
    return [compact(joined(kept)), *faces]


def opened_lines(segments: Array, corner: Array) -> Array:
    """Return what is left of line segments (k, 2, 3) where :func:`opened` takes the part nearest to the eye away."""
    toward = np.array([1.0, -1.0, 1.0])
    side = toward * (segments - corner)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = side[:, 0] / (side[:, 0] - side[:, 1])
    crossing = np.clip(np.where(np.isfinite(crossing), crossing, 0.0), 0.0, 1.0)
    ends = np.sort(np.column_stack([np.zeros(len(segments)), crossing, np.ones(len(segments))]), axis=1)
    span = (segments[:, 1] - segments[:, 0])[:, None]
    parts = segments[:, :1, None] + np.stack([ends[:, :-1], ends[:, 1:]], axis=2)[..., None] * span[:, :, None]
    parts = parts[ends[:, 1:] - ends[:, :-1] > 1e-9]
    return np.asarray(parts[(toward * (parts.mean(axis=1) - corner) <= 0.0).any(axis=1)])


def joined(patches: list[Patch]) -> Patch:
    """Return patches as one; all have values, or none has."""
    starts = np.cumsum([0, *(len(patch.points) for patch in patches)])
    triangles = [patch.triangles + start for patch, start in zip(patches, starts, strict=False)]
    fields = [patch.values for patch in patches if patch.values is not None]
    values = np.concatenate(fields) if fields else None
    return Patch(np.vstack([patch.points for patch in patches]), np.vstack(triangles), values)


def compact(patch: Patch) -> Patch:
    """Return a patch without triangles of no area and without points that no triangle has."""
    points, triangles, values = patch
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    reach = float(np.ptp(points, axis=0).max()) if len(points) else 0.0
    triangles = triangles[area > (1e-9 * reach) ** 2]
    used, number = np.unique(triangles, return_inverse=True)
    return Patch(points[used], number.reshape(-1, 3).astype(np.int64), None if values is None else values[used])


def vertex_normals(points: Array, triangles: Cells) -> Array:
    """Return unit normals at the nodes of a surface, the mean of its triangles' by area; zero elsewhere."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for k in range(3):
        np.add.at(normals, triangles[:, k], area)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=normals, where=length > 0.0)
