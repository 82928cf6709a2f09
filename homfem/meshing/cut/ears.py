"""Simplices that a curved surface would flatten: those with a corner all of whose edges lie in it. Plain arrays.

At such a corner the edges, once bent, are tangent to the surface, so that the Jacobian of the cell vanishes there on
any mesh of any size. Bisecting an edge of the opposite facet leaves every corner an edge that leaves the surface.
"""

from __future__ import annotations

import numpy as np

from homfem.meshing.arrays.facets import row_numbers
from homfem.meshing.arrays.raw_cell import Indices
from homfem.meshing.arrays.refinement import PAIRS
from homfem.meshing.cut.cutting import CutMesh, Edges, Flags, bisect_edges
from homfem.meshing.cut.volume_correction import interface


def torus_edges(mesh: CutMesh, low: Indices, high: Indices) -> Indices:
    """Return a row for each edge between nodes, equal for the images of one and only for those; shape (e, d + 2)."""
    one, other = mesh.representative[low], mesh.representative[high]
    step = mesh.offset[high] - mesh.offset[low]
    turned = one > other
    return np.column_stack([np.minimum(one, other), np.maximum(one, other), np.where(turned[:, None], -step, step) + 8])


def surface_edges(mesh: CutMesh, phase: Indices) -> tuple[Indices, Flags]:
    """Return the number of the edge of the torus between each two corners of the cells, shape (m, pairs).

    The second array says which edges lie in a facet between phases, by number.
    """
    first, second = PAIRS[mesh.cells.shape[1]]
    rows = torus_edges(mesh, mesh.cells[:, first].ravel(), mesh.cells[:, second].ravel())
    faces = interface(mesh, phase)
    one, other = PAIRS[faces.nodes.shape[1]]
    own = torus_edges(mesh, faces.nodes[:, one].ravel(), faces.nodes[:, other].ravel())
    _, number = np.unique(row_numbers(np.vstack([rows, own])), return_inverse=True)
    found = np.zeros(int(number.max()) + 1, dtype=bool)
    found[number[len(rows) :]] = True
    return number[: len(rows)].reshape(len(mesh.cells), -1), found


def open_ears(mesh: CutMesh, phase: Indices, rounds: int = 4) -> int:
    """Bisect edges so that no cell has a corner all of whose edges lie in a surface; return how many were bisected.

    Of the opposite facet the longest edge is bisected that is not in a surface itself; a cell all of whose edges are is
    left, and so is what remains after the ``rounds``. ``phase`` is that of each region.
    """
    corners, count = mesh.cells.shape[1], 0
    first, second = PAIRS[corners]
    at = np.array([[c in (i, j) for i, j in zip(first, second, strict=True)] for c in range(corners)])
    for _ in range(rounds):
        number, on = surface_edges(mesh, phase)
        flat = on[number]
        cell, corner = np.nonzero((flat.astype(int) @ at.T) == corners - 1)
        ends = mesh.points[mesh.cells[cell][:, first]] - mesh.points[mesh.cells[cell][:, second]]
        length = np.round(np.linalg.norm(ends, axis=2) / mesh.lattice.shortest, 9)
        length[flat[cell] | at[corner]] = -1.0
        chosen = length.argmax(axis=1)
        able = length[np.arange(len(cell)), chosen] > 0.0
        if not able.any():
            break
        marked = np.zeros(len(on), dtype=bool)
        marked[number[cell[able], chosen[able]]] = True
        count += int(np.count_nonzero(marked))
        _bisect(mesh, number, marked)
    return count


def _bisect(mesh: CutMesh, number: Indices, marked: Flags) -> None:
    """Bisect the marked edges, by their numbers on the torus, in the middle."""
    first, second = PAIRS[mesh.cells.shape[1]]
    row, pair = np.nonzero(marked[number])
    a, b = mesh.cells[row, first[pair]], mesh.cells[row, second[pair]]
    low, high = np.minimum(a, b), np.maximum(a, b)
    _, one = np.unique(low * len(mesh.points) + high, return_index=True)
    low, high = low[one], high[one]
    _, first_image, torus = np.unique(number[row, pair][one], return_index=True, return_inverse=True)
    tail, head = low[first_image], high[first_image]
    length = np.linalg.norm(mesh.points[head] - mesh.points[tail], axis=1)
    order = np.empty(len(tail), dtype=np.int64)
    order[np.lexsort((np.arange(len(tail)), np.round(length / mesh.lattice.shortest, 9)))] = np.arange(len(tail))
    place = 0.5 * (mesh.points[tail] + mesh.points[head])
    on = np.zeros((len(tail), mesh.on.shape[1]), dtype=bool)
    bisect_edges(mesh, Edges(low, high, torus, first_image), place, on, mesh.planes[tail] & mesh.planes[head], order)
