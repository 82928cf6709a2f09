"""Surfaces of phases as arrays: what a picture of a cell shows."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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
    """A cell: ``nodes`` (n, d), ``corners`` (m, k) and ``tags`` (m,) of the mesh cells, ``values`` (m, k) or None."""

    nodes: Array
    corners: Indices
    tags: npt.NDArray
    values: Array | None


def repeated(drawn: Drawn, lattice: Array, counts: list[int]) -> Drawn:
    """Join copies of the cell, one for each period."""
    nodes, corners, tags, values = drawn
    shifts = np.array(list(itertools.product(*map(range, counts)))) @ lattice
    joined = (nodes[None] + shifts[:, None]).reshape(-1, nodes.shape[1])
    several = (corners[None] + len(nodes) * np.arange(len(shifts))[:, None, None]).reshape(-1, corners.shape[1])
    merged, number = np.unique(np.round(joined / np.abs(lattice).max(), 9), axis=0, return_inverse=True)
    order = np.argsort(number, kind="stable")
    first = order[np.concatenate([[0], np.cumsum(np.bincount(number, minlength=len(merged)))[:-1]])]
    tiled = None if values is None else np.tile(values, (len(shifts), 1))
    return Drawn(joined[first], number[several], np.tile(tags, len(shifts)), tiled)


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
    _, first, count = np.unique(np.sort(facets, axis=1), axis=0, return_index=True, return_counts=True)
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
    number = np.unique(both, axis=0, return_inverse=True)[1].ravel()
    return faces[~np.isin(number[: len(faces)], number[len(faces) :])]


def surface(nodes: Array, faces: Indices, values: Array | None) -> Surface:
    """Return the faces with the nodes that they use, and the values there."""
    used, number = np.unique(faces, return_inverse=True)
    return Surface(nodes[used], number.reshape(faces.shape), None if values is None else values[used])


def at_nodes(count: int, corners: Indices, values: Array) -> Array:
    """Return values at nodes from those at the corners of the cells of one phase; NaN elsewhere."""
    result = np.full(count, np.nan)
    result[corners] = values
    return result


def apart(nodes: Array, corners: Indices, tags: npt.NDArray, values: Array) -> Surface:
    """Return cells whose phases share no nodes, so that values at the corners, (m, k), may jump between them."""
    keys = tags[:, None].astype(np.int64) * len(nodes) + corners
    used, first, number = np.unique(keys, return_index=True, return_inverse=True)
    return Surface(nodes[used % len(nodes)], number.reshape(corners.shape), values.ravel()[first])


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
    edges, number = np.unique(pairs, axis=0, return_inverse=True)
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
