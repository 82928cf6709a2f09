"""Surfaces of phases as arrays: what a picture of a cell shows."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array

Indices = npt.NDArray[np.int64]


class Surface(NamedTuple):
    """Triangles with a value at their corners: ``points`` (n, 3), ``triangles`` (t, 3), ``values`` (n,) or None."""

    points: Array
    triangles: Indices
    values: Array | None


def repeated(
    nodes: Array, corners: Indices, tags: npt.NDArray, values: Array | None, lattice: Array, counts: list[int]
) -> tuple[Array, Indices, npt.NDArray, Array | None]:
    """Join copies of the cell, one for each period."""
    shifts = np.array(list(itertools.product(*map(range, counts)))) @ lattice
    joined = (nodes[None] + shifts[:, None]).reshape(-1, nodes.shape[1])
    several = (corners[None] + len(nodes) * np.arange(len(shifts))[:, None, None]).reshape(-1, corners.shape[1])
    merged, number = np.unique(np.round(joined / np.abs(lattice).max(), 9), axis=0, return_inverse=True)
    order = np.argsort(number, kind="stable")
    first = order[np.concatenate([[0], np.cumsum(np.bincount(number, minlength=len(merged)))[:-1]])]
    tiled = None if values is None else np.tile(values, len(shifts))[first]
    return joined[first], number[several], np.tile(tags, len(shifts)), tiled


def volumes(nodes: Array, corners: Indices) -> Array:
    """Return the volume of each tetrahedron, shape (m,)."""
    a, b, c = (nodes[corners[:, k]] - nodes[corners[:, 0]] for k in (1, 2, 3))
    return np.asarray(np.abs(np.einsum("ix,ix->i", a, np.cross(b, c))) / 6.0)


def skin(nodes: Array, corners: Indices) -> Indices:
    """Return the facets that belong to one of the tetrahedra only, turned outward, shape (t, 3)."""
    facets = corners[:, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]].reshape(-1, 3)
    opposite = corners.ravel()
    _, first, count = np.unique(np.sort(facets, axis=1), axis=0, return_index=True, return_counts=True)
    chosen = first[count == 1]
    triangles = facets[chosen]
    a, b, c = (nodes[triangles[:, k]] for k in range(3))
    inward = np.einsum("ix,ix->i", np.cross(b - a, c - a), nodes[opposite[chosen]] - a) > 0
    triangles[inward] = triangles[inward][:, ::-1]
    return triangles


def without(triangles: Indices, others: Indices) -> Indices:
    """Return the triangles that are not among the others."""
    both = np.sort(np.vstack([triangles, others]), axis=1)
    number = np.unique(both, axis=0, return_inverse=True)[1].ravel()
    return triangles[~np.isin(number[: len(triangles)], number[len(triangles) :])]


def surface(nodes: Array, triangles: Indices, values: Array | None) -> Surface:
    """Return the triangles with the nodes that they use, and the values there."""
    used, number = np.unique(triangles, return_inverse=True)
    return Surface(nodes[used], number.reshape(-1, 3), None if values is None else values[used])


def divided(surface: Surface) -> Surface:
    """Cut each triangle into four, with the values interpolated."""
    points, triangles, values = surface
    pairs = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    edges, number = np.unique(pairs, axis=0, return_inverse=True)
    middle = len(points) + number.reshape(-1, 3)
    a, b, c = triangles.T
    ab, bc, ca = middle.T
    four = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], axis=1).reshape(-1, 3)
    joined = np.vstack([points, points[edges].mean(axis=1)])
    return Surface(joined, four, None if values is None else np.concatenate([values, values[edges].mean(axis=1)]))


def interfaces(corners: Indices, tags: npt.NDArray) -> Indices:
    """Return the edges between triangles of different phases."""
    edges = np.sort(corners[:, [[1, 2], [0, 2], [0, 1]]].reshape(-1, 2), axis=1)
    order = np.lexsort(edges.T)
    edges, phase = edges[order], np.repeat(tags, 3)[order]
    same = (edges[1:] == edges[:-1]).all(axis=1) & (phase[1:] != phase[:-1])
    return edges[1:][same]
