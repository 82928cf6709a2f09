"""Where the facets of two meshes of one plane lie on each other: pairs and common parts. Plain arrays.

Facets are simplices of m dimensions in m coordinates: intervals (m = 1) on the sides of a 2D cell, triangles (m = 2) on
the faces of a 3D cell.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.spatial

from homfem.parameters import Array, Lattice

Indices = npt.NDArray[np.int64]

#: An image beside the leading side is taken to be on it when it is closer than this times the radius of the facets.
REACH = 0.5
#: Nodes are on a face when they are closer to it than this times the period.
TOLERANCE = 1e-8


def close_pairs(first: Array, first_radius: Array, second: Array, second_radius: Array) -> tuple[Indices, Indices]:
    """Return all pairs of balls that meet, sorted: centres of shape (n, m), radii of shape (n,).

    Balls are sorted by powers of two of their radii, so that a few large ones cost no time at the small ones.
    """
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    groups = [_by_size(first_radius), _by_size(second_radius)]
    for one in groups[0]:
        tree = scipy.spatial.cKDTree(first[one])
        for other in groups[1]:
            reach = float(first_radius[one].max() + second_radius[other].max())
            found = tree.sparse_distance_matrix(
                scipy.spatial.cKDTree(second[other]), reach * (1.0 + 1e-9) + 1e-300, output_type="ndarray"
            )
            pairs.append(np.column_stack([one[found["i"]], other[found["j"]]]))
    joined = np.vstack(pairs)
    gap = np.linalg.norm(first[joined[:, 0]] - second[joined[:, 1]], axis=1)
    joined = joined[gap <= (first_radius[joined[:, 0]] + second_radius[joined[:, 1]]) * (1.0 + 1e-9)]
    joined = joined[np.lexsort((joined[:, 1], joined[:, 0]))]
    return joined[:, 0], joined[:, 1]


def _by_size(radius: Array) -> list[Indices]:
    level = np.floor(np.log2(np.maximum(radius, 1e-12 * radius.max(initial=1e-300)) + 1e-300))
    return [np.flatnonzero(level == value) for value in np.unique(level)]


def balls(facets: Array) -> tuple[Array, Array]:
    """Return the centres of facets of shape (n, m + 1, m), and the radii of balls around them that hold them."""
    centre = facets.mean(axis=1)
    return centre, np.linalg.norm(facets - centre[:, None], axis=2).max(axis=1, initial=0.0)


def face_frame(lattice: Lattice, k: int) -> Array:
    """Return the matrix from lattice coordinates on a face, without the k-th, to lengths in its plane."""
    return np.asarray(np.linalg.qr(np.delete(lattice.vectors, k, axis=0).T)[1].T)


def measures(facets: Array) -> Array:
    """Return the length or area of simplices, shape (n, m + 1, m) -> (n,)."""
    edges = facets[..., 1:, :] - facets[..., :1, :]
    if edges.shape[-1] == 1:
        return np.asarray(np.abs(edges[..., 0, 0]))
    return np.asarray(0.5 * np.abs(_cross(edges[..., 0, :], edges[..., 1, :])))


def overlaps(first: Array, second: Array) -> tuple[Indices, Indices, Array]:
    """Return which facets of two meshes have a common part, and those parts cut into simplices.

    Parameters
    ----------
    first, second : array, shape (n, m + 1, m)
        Corners of the facets.

    Returns
    -------
    one, other : array of int, shape (p,)
        Facet of ``first`` and of ``second`` to which each part belongs; a pair may have several parts.
    parts : array, shape (p, m + 1, m)
        Simplices of positive measure, larger than round-off; together they are the overlap.
    """
    one, other = close_pairs(*balls(first), *balls(second))
    if first.shape[2] == 1:
        ends = np.sort(first[one, :, 0], axis=1), np.sort(second[other, :, 0], axis=1)
        low, high = np.maximum(ends[0][:, 0], ends[1][:, 0]), np.minimum(ends[0][:, 1], ends[1][:, 1])
        parts = np.stack([low, np.maximum(low, high)], axis=1)[:, None, :, None]
    else:
        polygon = first[one]
        corners = second[other].copy()
        turned = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) < 0.0
        corners[turned] = corners[turned][:, [0, 2, 1]]
        for k in range(3):
            polygon = _cut(polygon, corners[:, k], corners[:, (k + 1) % 3])
        fan = range(1, polygon.shape[1] - 1)
        parts = np.stack([polygon[:, [0, k, k + 1]] for k in fan], axis=1)
    size = measures(parts)
    smallest = np.minimum(measures(first)[one], measures(second)[other])
    pair, place = np.nonzero(size > 1e-12 * smallest[:, None])
    return one[pair], other[pair], parts[pair, place]


def _cut(polygon: Array, start: Array, end: Array) -> Array:
    """Cut convex polygons (n, k, 2) by the half planes left of the lines from start to end; (n, k + 1, 2).

    Polygons with fewer corners repeat one; those of which nothing is left are a point.
    """
    along = (end - start)[:, None]
    side = _cross(along, polygon - start[:, None])
    after, beyond = np.roll(polygon, -1, axis=1), np.roll(side, -1, axis=1)
    crosses = side * beyond < 0.0
    share = np.where(crosses, side, 0.0) / np.where(crosses, side - beyond, 1.0)
    crossing = polygon + share[..., None] * (after - polygon)
    # Each edge gives its first corner, if that stays, and then the point where it is cut.
    corners = np.stack([polygon, crossing], axis=2).reshape(len(polygon), 2 * polygon.shape[1], 2)
    kept = np.stack([side >= 0.0, crosses], axis=2).reshape(len(polygon), 2 * polygon.shape[1])
    width = polygon.shape[1] + 1
    order = np.argsort(~kept, axis=1, kind="stable")[:, :width]
    count = np.minimum(kept.sum(axis=1), width)
    order = np.where(np.arange(width) < count[:, None], order, order[:, :1])
    return np.take_along_axis(corners, order[..., None], axis=1)


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
