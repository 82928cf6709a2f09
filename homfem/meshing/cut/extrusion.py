"""Cells in space that plane ones sweep along an axis. Plain arrays on one rank."""

from __future__ import annotations

import numpy as np

from homfem.meshing.arrays.identification import identify_nodes
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.parameters import Lattice


def extruded(raw: RawCell, length: float, layers: int, axis: int = 2) -> RawCell:
    """Return the cell in space that a plane cell sweeps along an axis, in layers of prisms cut into three tetrahedra.

    Parameters
    ----------
    raw
        A plane cell of first order on a box lattice.
    length
        Period along the axis, in the unit of the cell.
    layers
        Number of layers, at least 3.
    axis
        0, 1 or 2: the plane's axes become the other two, in their order.
    """
    n = len(raw.points)
    representative, _ = identify_nodes(raw.points, raw.lattice, partial=True)
    heights = np.linspace(0.0, length, layers + 1)
    others = [a for a in range(3) if a != axis]
    points = np.empty((n * (layers + 1), 3))
    points[:, others] = np.tile(raw.points, (layers + 1, 1))
    points[:, axis] = np.repeat(heights, n)
    vectors = np.zeros((3, 3))
    vectors[np.ix_(others, others)] = raw.lattice.vectors
    vectors[axis, axis] = length
    cells = _swept(raw.cells, representative, n, layers)
    facets = _swept(raw.facets, representative, n, layers)
    slivers = None if raw.slivers is None else np.tile(np.repeat(raw.slivers, 2, axis=0), (layers, 1))
    return RawCell(
        points=points,
        cells=cells,
        kind="tetrahedron",
        order=1,
        phase_of_cell=np.tile(np.repeat(raw.phase_of_cell, 3), layers),
        phases=raw.phases,
        facets=facets,
        facet_tags=np.tile(np.repeat(raw.facet_tags, 2), layers),
        facet_names=raw.facet_names,
        lattice=Lattice(vectors=vectors),
        length_unit=raw.length_unit,
        slivers=None if slivers is None else slivers * (length / layers / 2.0),
    )


def _swept(simplices: Indices, representative: Indices, count: int, layers: int) -> Indices:
    """Simplices of the prisms over simplices, layer by layer; the walk up goes through the corners by their number."""
    order = np.argsort(representative[simplices], axis=1, kind="stable")
    corner = np.take_along_axis(simplices, order, axis=1)
    k = corner.shape[1]
    # Simplex j has the corners 0..j of one level and j..k-1 of the other: neighbours share the diagonals.
    pieces = [np.hstack([corner[:, : j + 1], count + corner[:, j:]]) for j in range(k)]
    layer = np.stack(pieces, axis=1).reshape(-1, k + 1)
    return np.asarray((layer[None] + count * np.arange(layers)[:, None, None]).reshape(-1, k + 1))
