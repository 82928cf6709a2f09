"""The area of the boundaries of phases, on the arrays of cells with plane facets."""

from __future__ import annotations

import numpy as np

from homfem.meshing.arrays.facets import cell_facets
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.topology.percolation import Links
from homfem.parameters import Array
from homfem.reference import FACETS


def interface_area(raw: RawCell, shared: Links) -> float:
    """Return the length or area of the facets between two phases, and of those that only one cell has.

    Parameters
    ----------
    raw
        Cells that are affine images of the reference cell: facets are intervals, triangles or parallelograms.
    shared
        Pairs of facets that are one on the torus, from :func:`homfem.meshing.topology.percolation.shared_facets`.
    """
    one, two, _ = shared
    per_cell = len(FACETS[raw.kind])
    changes = raw.phase_of_cell[one // per_cell] != raw.phase_of_cell[two // per_cell]
    alone = np.ones(per_cell * len(raw.cells), dtype=bool)
    alone[one] = alone[two] = False
    chosen = np.concatenate([one[changes], np.flatnonzero(alone)])
    facets = cell_facets(raw.corners[chosen // per_cell], raw.kind)[np.arange(len(chosen)), chosen % per_cell]
    return float(_areas(raw.points, facets).sum())


def _areas(points: Array, facets: Indices) -> Array:
    edges = points[facets[:, 1:3]] - points[facets[:, :1]]
    if points.shape[1] == 2:
        return np.asarray(np.linalg.norm(edges[:, 0], axis=1))
    normals = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    return np.asarray(normals if facets.shape[1] == 4 else 0.5 * normals)
