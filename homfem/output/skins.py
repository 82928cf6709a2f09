"""Surfaces of phases as arrays: what a picture of a cell shows."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from homfem.output.cuts import distinct_rows
from homfem.parameters import Array
from homfem.reference import EDGES, FACETS, kind_of

Indices = npt.NDArray[np.int64]


class Surface(NamedTuple):
    """Faces with a value at their corners: ``points`` (n, 3), ``faces`` (t, 3 or 4), ``values`` (n,) or None.

    The corners of a face stand around it.
    """

    points: Array
    faces: Indices
    values: Array | None


class Drawn(NamedTuple):
    """A cell as it is drawn.

    Parameters
    ----------
    nodes, corners, tags
        Points (n, d), corners (m, k) and phases (m,) of the mesh cells.
    values
        A field at the corners of each mesh cell, (m, k), or None.
    vectors
        A flux or velocity there, (m, k, d), or None: drawn as lines along it.
    rest
        The nodes before they were displaced, (n, d), or None.
    """

    nodes: Array
    corners: Indices
    tags: npt.NDArray
    values: Array | None = None
    vectors: Array | None = None
    rest: Array | None = None

    def sized(self) -> Drawn:
        """Return it coloured by the size of its vectors."""
        return self if self.vectors is None else self._replace(values=np.linalg.norm(self.vectors, axis=-1))


def repeated(drawn: Drawn, lattice: Array, counts: list[int]) -> Drawn:
    """Join copies of the cell, one for each period."""
    nodes, corners, tags, values, vectors, rest = drawn
    shifts = np.array(list(itertools.product(*map(range, counts)))) @ lattice
    joined = (nodes[None] + shifts[:, None]).reshape(-1, nodes.shape[1])
    several = (corners[None] + len(nodes) * np.arange(len(shifts))[:, None, None]).reshape(-1, corners.shape[1])
    rounded = np.rint((joined - joined.min(axis=0)) / np.abs(lattice).max() * 1e6).astype(np.int64)
    first, number, _ = distinct_rows(rounded)
    return Drawn(
        joined[first],
        number[several],
        np.tile(tags, len(shifts)),
        None if values is None else np.tile(values, (len(shifts), 1)),
        None if vectors is None else np.tile(vectors, (len(shifts), 1, 1)),
        None if rest is None else (rest[None] + shifts[:, None]).reshape(-1, nodes.shape[1])[first],
    )


def volumes(nodes: Array, corners: Indices) -> Array:
    """Return the volume of each tetrahedron or parallelepiped, shape (m,)."""
    box = corners.shape[1] == 8
    a, b, c = (nodes[corners[:, k]] - nodes[corners[:, 0]] for k in ((1, 2, 4) if box else (1, 2, 3)))
    return np.asarray(np.abs(np.einsum("ix,ix->i", a, np.cross(b, c))) / (1.0 if box else 6.0))


def skin(nodes: Array, corners: Indices) -> Indices:
    """Return the facets that belong to one tetrahedron or hexahedron only, turned outward, shape (t, 3 or 4)."""
    of_cells = corners[:, FACETS[kind_of(3, corners.shape[1])]]
    facets = of_cells.reshape(-1, of_cells.shape[2])
    owner = np.repeat(np.arange(len(corners)), of_cells.shape[1])
    first, _, count = distinct_rows(np.sort(facets, axis=1))
    chosen = first[count == 1]
    faces = around(facets[chosen])
    a, b, c = (nodes[faces[:, k]] for k in range(3))
    inside = nodes[corners].mean(axis=1)[owner[chosen]]
    inward = np.einsum("ix,ix->i", np.cross(b - a, c - a), inside - a) > 0
    faces[inward] = faces[inward][:, ::-1]
    return faces


def around(corners: Indices) -> Indices:
    """Return triangles as they are, and the corners of quadrilaterals (numbered as a product) one after the other."""
    return corners[:, [0, 1, 3, 2]] if corners.shape[1] == 4 else corners


def without(faces: Indices, others: Indices) -> Indices:
    """Return the faces that are not among the others."""
    both = np.sort(np.vstack([faces, others]), axis=1)
    number = distinct_rows(both).inverse
    return faces[~np.isin(number[: len(faces)], number[len(faces) :])]


def surface(nodes: Array, faces: Indices, values: Array | None) -> Surface:
    """Return the faces with the nodes that they use, and the values there."""
    used, number = np.unique(faces, return_inverse=True)
    return Surface(nodes[used], number.reshape(faces.shape), None if values is None else values[used])


def at_nodes(count: int, corners: Indices, values: Array) -> Array:
    """Return values at nodes, the mean of those at the corners of the cells there; NaN at nodes of no cell."""
    number = np.bincount(corners.ravel(), minlength=count)
    flat = values.reshape(corners.size, -1)
    sums = np.stack([np.bincount(corners.ravel(), column, minlength=count) for column in flat.T], axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray((sums / number[:, None]).reshape(count, *values.shape[2:]))


def apart(nodes: Array, corners: Indices, tags: npt.NDArray, values: Array) -> Surface:
    """Return cells with a value (m, k) at their corners: phases share no nodes, so that it may jump between them.

    Where it jumps within a phase too, no cells share a node.
    """
    keys = tags[:, None].astype(np.int64) * len(nodes) + corners
    used, number = np.unique(keys, return_inverse=True)
    number = number.reshape(corners.shape)
    mean = at_nodes(len(used), number, values)
    reach = float(np.abs(values).max()) if values.size else 0.0
    if np.abs(mean[number] - values).max(initial=0.0) <= 1e-6 * reach:
        return Surface(nodes[used % len(nodes)], number, mean)
    return Surface(
        nodes[corners].reshape(-1, nodes.shape[1]), np.arange(corners.size).reshape(corners.shape), values.ravel()
    )


def fanned(surface: Surface) -> Surface:
    """Cut each face into triangles around its centre, where the value is the mean: no direction is preferred."""
    points, faces, values = surface
    centre = np.broadcast_to(len(points) + np.arange(len(faces))[:, None], faces.shape)
    triangles = np.stack([faces, np.roll(faces, -1, axis=1), centre], axis=2).reshape(-1, 3)
    joined = np.vstack([points, points[faces].mean(axis=1)])
    return Surface(joined, triangles, None if values is None else np.concatenate([values, values[faces].mean(axis=1)]))


def divided(surface: Surface) -> Surface:
    """Cut each face into four, with the values interpolated."""
    points, faces, values = surface
    width = faces.shape[1]
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    first, number, _ = distinct_rows(pairs)
    edges = pairs[first]
    middle = len(points) + number.reshape(-1, width)
    before = np.roll(middle, 1, axis=1)
    new = [points, points[edges].mean(axis=1)]
    fields = None if values is None else [values, values[edges].mean(axis=1)]
    if width == 3:
        pieces = [np.stack([faces[:, k], middle[:, k], before[:, k]], axis=1) for k in range(3)] + [middle]
    else:
        centre = len(points) + len(edges) + np.arange(len(faces))
        pieces = [np.stack([faces[:, k], middle[:, k], centre, before[:, k]], axis=1) for k in range(4)]
        new.append(points[faces].mean(axis=1))
        if values is not None and fields is not None:
            fields.append(values[faces].mean(axis=1))
    four = np.stack(pieces, axis=1).reshape(-1, width)
    return Surface(np.vstack(new), four, None if fields is None else np.concatenate(fields))


def interfaces(corners: Indices, tags: npt.NDArray) -> Indices:
    """Return the edges between triangles or quadrilaterals of different phases."""
    sides = np.array(EDGES[kind_of(2, corners.shape[1])])
    edges = np.sort(corners[:, sides].reshape(-1, 2), axis=1)
    order = np.lexsort(edges.T)
    edges, phase = edges[order], np.repeat(tags, len(sides))[order]
    same = (edges[1:] == edges[:-1]).all(axis=1) & (phase[1:] != phase[:-1])
    return edges[1:][same]


def creases(points: Array, triangles: Indices, angle: float | None = 30.0) -> Indices:
    """Return the edges of a surface at its rim, and where it turns by more than an angle in degrees; shape (k, 2).

    Without an angle all edges.
    """
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0.0)
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    owner = np.repeat(np.arange(len(triangles)), 3)
    first, number, counts = distinct_rows(edges)
    order = np.argsort(number, kind="stable")
    start = np.cumsum(counts) - counts
    one = owner[order[start]]
    other = owner[order[np.minimum(start + 1, len(order) - 1)]]
    if angle is None:
        return edges[first]
    turned = np.einsum("ix,ix->i", normals[one], normals[other]) < np.cos(np.radians(angle))
    return edges[first][(counts == 1) | ((counts == 2) & turned)]


#: Six tetrahedra about the diagonal of a hexahedron whose corners are numbered as a product.
_IN_BOX = np.array([[0, 1, 3, 7], [0, 1, 5, 7], [0, 2, 3, 7], [0, 2, 6, 7], [0, 4, 5, 7], [0, 4, 6, 7]])


def tetrahedra(corners: Indices, values: Array | None) -> tuple[Indices, Array | None]:
    """Return tetrahedra as they are, and hexahedra cut into six each, with the values at their corners."""
    if corners.shape[1] == 4:
        return corners, values
    return corners[:, _IN_BOX].reshape(-1, 4), None if values is None else values[:, _IN_BOX].reshape(-1, 4)


def rim(corners: Indices) -> Indices:
    """Return the edges of triangles or quadrilaterals that belong to one only, shape (k, 2)."""
    sides = np.array(EDGES[kind_of(2, corners.shape[1])])
    edges = np.sort(corners[:, sides].reshape(-1, 2), axis=1)
    first, _, counts = distinct_rows(edges)
    return np.asarray(edges[first[counts == 1]])


def chains(edges: Indices) -> list[Indices]:
    """Return edges (k, 2) joined to paths: the nodes of each, which end where no edge or several go on."""
    nodes, numbered = np.unique(edges, return_inverse=True)
    ends: list[list[int]] = numbered.reshape(-1, 2).tolist()
    at: list[list[int]] = [[] for _ in nodes]
    for k, pair in enumerate(ends):
        for node in pair:
            at[node].append(k)
    used = [False] * len(ends)
    paths = []
    # From the ends and the crossings first, then the closed ones.
    open_ones = [k for k, (one, other) in enumerate(ends) if len(at[one]) != 2 or len(at[other]) != 2]
    for edge in [*open_ones, *range(len(ends))]:
        if used[edge]:
            continue
        one, other = ends[edge]
        path = [one, other] if len(at[one]) != 2 or len(at[other]) == 2 else [other, one]
        used[edge] = True
        while len(at[path[-1]]) == 2:
            onward = [k for k in at[path[-1]] if not used[k]]
            if not onward:
                break
            used[onward[0]] = True
            path.append(sum(ends[onward[0]]) - path[-1])
        paths.append(np.asarray(nodes[path]))
    return paths
