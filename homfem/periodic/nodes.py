"""Which nodes of a mesh are one on the torus, and whether the mesh is fine enough for that. Plain arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.csgraph
import scipy.spatial

from homfem.parameters import Array, Lattice, PeriodicityError

Indices = npt.NDArray[np.int64]


def identify_nodes(points: npt.ArrayLike, lattice: Lattice, tolerance: float = 1e-8) -> tuple[Indices, Indices]:
    r"""Match the nodes of opposite faces.

    :math:`x_i = x_{r(i)} + \sum_k o_{ik} a_k` with the representative :math:`r(i)` and the integer offset :math:`o_i`.

    Parameters
    ----------
    points : array, shape (n, d)
        Nodes of a mesh of one period cell, or of some phases of it: a parallelepiped spanned by the lattice, or any
        other shape that tiles space by the lattice (then its boundary nodes are matched where they have a partner).
    lattice
        Period vectors, in the unit of ``points``.
    tolerance
        Two nodes are one when they are closer than this times the shortest period.

    Returns
    -------
    representative : array of int, shape (n,)
        For each node the node that stands for it; itself for all but the nodes of the high faces.
    offset : array of int, shape (n, d)

    Raises
    ------
    PeriodicityError
        If a node of a face has no partner on the opposite face; the first such node is named.
    """
    points = np.asarray(points, dtype=np.float64)
    dimension, count = lattice.dimension, len(points)
    fractional = lattice.fractional(points)
    low, high = fractional.min(axis=0), fractional.max(axis=0)
    slack = tolerance * lattice.shortest / np.linalg.norm(lattice.vectors, axis=1)
    slack = np.maximum(slack, tolerance)
    offset = np.zeros((count, dimension), dtype=np.int64)
    if np.any(high - low > 1.0 + slack):
        return _identify_by_wrapping(points, fractional, low - slack, lattice, tolerance * lattice.shortest)
    for k in range(dimension):
        if high[k] - low[k] < 1.0 - slack[k]:
            continue
        at_low = np.flatnonzero(fractional[:, k] <= low[k] + slack[k])
        at_high = np.flatnonzero(fractional[:, k] >= low[k] + 1.0 - slack[k])
        _require_partners(points, at_low, at_high, lattice.vectors[k], k, tolerance * lattice.shortest)
        offset[at_high, k] = 1
    representative = np.arange(count)
    moved = np.flatnonzero(offset.any(axis=1))
    if len(moved):
        fixed = np.flatnonzero(~offset.any(axis=1))
        images = points[moved] - offset[moved] @ lattice.vectors
        distance, nearest = scipy.spatial.cKDTree(points[fixed]).query(images)
        if distance.max() > tolerance * lattice.shortest:
            bad = moved[np.argmax(distance)]
            raise PeriodicityError(
                "mesh", f"node at {_place(points[bad])}", "periodic: its image one period away must be a node", _REMEDY
            )
        representative[moved] = fixed[nearest]
    return representative, offset


def _identify_by_wrapping(
    points: Array, fractional: Array, origin: Array, lattice: Lattice, distance: float
) -> tuple[Indices, Indices]:
    """Match the nodes of a cell that is no parallelepiped: equal are those that wrap to one place."""
    wrapped = (fractional - np.floor(fractional - origin)) @ lattice.vectors
    pairs = scipy.spatial.cKDTree(wrapped).query_pairs(distance, output_type="ndarray")
    links = scipy.sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    _, label = scipy.sparse.csgraph.connected_components(links, directed=False)
    _, first = np.unique(label, return_index=True)
    representative = first[label].astype(np.int64)
    return representative, np.rint(fractional - fractional[representative]).astype(np.int64)


def _require_partners(
    points: Array, low: Indices, high: Indices, shift: Array, direction: int, distance: float
) -> None:
    for source, target, sign in ((low, high, 1.0), (high, low, -1.0)):
        found, _ = scipy.spatial.cKDTree(points[target]).query(points[source] + sign * shift)
        if np.any(found > distance):
            bad = int(np.argmax(found > distance))
            raise PeriodicityError(
                f"mesh faces across period {direction + 1}",
                f"node at {_place(points[source[bad]])} against a nearest node {found[bad]:.3g} away from its image "
                f"{_place(points[source[bad]] + sign * shift)} "
                f"({len(low)} nodes on one face, {len(high)} on the other)",
                "matching node by node",
                _REMEDY,
            )


_REMEDY = 'Mesh opposite faces with "Periodic Surface"/"Periodic Curve" in Gmsh, or check the period vectors.'


def _place(point: Array) -> str:
    return "(" + ", ".join(f"{c:.9g}" for c in point) + ")"


def check_resolution(points: Array, cells: Indices, representative: Indices, lattice: Lattice) -> None:
    """Refuse a mesh with fewer than three elements across a period, on which identified vertices are ambiguous.

    No cell may meet a vertex twice, and two edges with the same identified end points must have the same displacement.
    Only the cells that touch a matched face can fail, so only they are looked at.

    Raises
    ------
    PeriodicityError
        Naming the edge; the remedy is a finer mesh.
    """
    corners = cells[:, : points.shape[1] + 1]
    on_face = np.zeros(len(points), dtype=bool)
    moved = representative != np.arange(len(points))
    on_face[moved] = True
    on_face[representative[moved]] = True
    corners = corners[on_face[corners].any(axis=1)]
    if not len(corners):
        return
    first, second = np.triu_indices(corners.shape[1], 1)
    a, b = corners[:, first].ravel(), corners[:, second].ravel()
    ends = np.column_stack([representative[a], representative[b]])
    step = points[b] - points[a]
    flip = ends[:, 0] > ends[:, 1]
    ends[flip] = ends[flip, ::-1]
    step[flip] *= -1.0
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    ends, step = ends[order], step[order]
    same = (ends[1:] == ends[:-1]).all(axis=1)
    differs = np.abs(step[1:] - step[:-1]).max(axis=1) > 1e-6 * lattice.shortest
    for bad in (np.flatnonzero(ends[:, 0] == ends[:, 1]), np.flatnonzero(same & differs)):
        if len(bad):
            raise PeriodicityError(
                "mesh",
                f"edge at {_place(points[ends[bad[0], 0]])} along {_place(step[bad[0]])}",
                "at least three elements across every period",
                "Choose a finer mesh (a smaller resolution).",
            )
