"""The area of the boundaries of phases, on the arrays."""

from __future__ import annotations

import functools

import numpy as np

from homfem.meshing.arrays.facets import cell_facets
from homfem.meshing.arrays.jacobians import lagrange_gradients, quadratic_edges
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.topology.percolation import Links
from homfem.parameters import Array
from homfem.reference import CORNERS, FACETS, is_simplex


def interface_area(raw: RawCell, shared: Links) -> float | None:
    """Return the length or area of the facets between two phases, and of those that only one cell has.

    Parameters
    ----------
    raw
        Cells that are affine images of the reference cell: facets are intervals, triangles or parallelograms; or
        curved simplices, whose facets are integrated by Gauss's rule: of three points for the second order in the
        plane, of two more for each further one, of 64 in space. Of other cells None.
    shared
        Pairs of facets that are one on the torus, from :func:`homfem.meshing.topology.percolation.shared_facets`.
    """
    one, two, _ = shared
    per_cell = len(FACETS[raw.kind])
    changes = raw.phase_of_cell[one // per_cell] != raw.phase_of_cell[two // per_cell]
    alone = np.ones(per_cell * len(raw.cells), dtype=bool)
    alone[one] = alone[two] = False
    chosen = np.concatenate([one[changes], np.flatnonzero(alone)])
    cells, facet = chosen // per_cell, chosen % per_cell
    if raw.affine:
        facets = cell_facets(raw.corners[cells], raw.kind)[np.arange(len(chosen)), facet]
        return float(_areas(raw.points, facets).sum())
    if not is_simplex(raw.kind) or raw.order == 1:
        return None
    return float(_curved_areas(raw.points, raw.cells[cells[:, None], facet_nodes(raw.kind, raw.order)[facet]]).sum())


def _areas(points: Array, facets: Indices) -> Array:
    edges = points[facets[:, 1:3]] - points[facets[:, :1]]
    if points.shape[1] == 2:
        return np.asarray(np.linalg.norm(edges[:, 0], axis=1))
    normals = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    return np.asarray(normals if facets.shape[1] == 4 else 0.5 * normals)


@functools.cache
def facet_nodes(kind: str, order: int) -> Indices:
    """Return the places in a curved simplex of the nodes of its facets, corners first, shape (facets, nodes)."""
    corners, inside = CORNERS[kind], order - 1
    on_edge = {
        edge: range(corners + inside * k, corners + inside * (k + 1))
        for k, edge in enumerate(quadratic_edges(corners - 1))
    }
    edges = quadratic_edges(corners - 2)
    return np.array([[*own, *(n for i, j in edges for n in on_edge[own[i], own[j]])] for own in FACETS[kind]])


def _curved_areas(points: Array, facets: Indices) -> Array:
    """Areas of curved facets."""
    d = points.shape[1]
    gradients, weights = _rule(d, facets.shape[1] - 1 if d == 2 else 2)
    tangents = np.einsum("fix,qij->jfqx", points[facets], gradients)
    normals = tangents[0] if d == 2 else np.cross(*tangents)
    return np.asarray(np.linalg.norm(normals, axis=2) @ weights)


@functools.cache
def _rule(d: int, order: int) -> tuple[Array, Array]:
    """Gradients of the Lagrange functions of a facet at the points of Gauss's rule, and its weights."""
    x, w = (0.5 * values for values in np.polynomial.legendre.leggauss(2 * order - 1 if d == 2 else 8))
    x = x + 0.5
    places: Array = x[:, None]
    weights: Array = w
    if d == 3:  # the square collapsed to the triangle
        places = np.column_stack([np.repeat(x, len(x)), np.outer(1.0 - x, x).ravel()])
        weights = np.asarray(np.outer(w * (1.0 - x), w).ravel(), dtype=np.float64)
    return lagrange_gradients(places, d - 1, order), weights
