"""Which nodes of a mesh are one on the torus, and whether the mesh is fine enough for that. Plain arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.spatial

from homfem.meshing.arrays.facets import row_numbers
from homfem.meshing.arrays.raw_cell import Indices
from homfem.parameters import Array, Lattice, PeriodicityError
from homfem.reference import CORNERS, EDGES, FACETS, kind_of


def identify_nodes(
    points: npt.ArrayLike, lattice: Lattice, tolerance: float = 1e-8, *, partial: bool = False
) -> tuple[Indices, Indices]:
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
    partial
        The nodes are some of a cell whose faces are known to match, such as those of one phase: a node of a face whose
        partner is not among them, because another phase lies there, is no error.

    Returns
    -------
    representative : array of int, shape (n,)
        For each node the node that stands for it; itself for all but the nodes of the high faces.
    offset : array of int, shape (n, d)

    Raises
    ------
    PeriodicityError
        If a node of a face of a parallelepiped has no partner on the opposite face; the first such node is named.
        Of other shapes :func:`check_faces` tells.
    """
    points = np.asarray(points, dtype=np.float64)
    dimension, count = lattice.dimension, len(points)
    fractional = lattice.fractional(points)
    low = fractional.min(axis=0)
    planes = _planes(fractional, tolerance)
    distance = tolerance * lattice.shortest
    if planes is None:
        return _identify_by_wrapping(fractional, np.arange(count), low - tolerance, lattice, distance)
    if partial:
        flags = np.zeros(count, dtype=bool)
        for _, on_low, on_high in planes:
            flags |= on_low | on_high
        return _identify_by_wrapping(fractional, np.flatnonzero(flags), low - tolerance, lattice, distance)
    offset = np.zeros((count, dimension), dtype=np.int64)
    for k, on_low, on_high in planes:
        at_low, at_high = np.flatnonzero(on_low), np.flatnonzero(on_high)
        _require_partners(points, at_low, at_high, lattice.vectors[k], k, distance)
        offset[at_high, k] = 1
    representative = np.arange(count)
    moved = np.flatnonzero(offset.any(axis=1))
    if len(moved):
        fixed = np.flatnonzero(~offset.any(axis=1))
        images = points[moved] - offset[moved] @ lattice.vectors
        found, nearest = scipy.spatial.cKDTree(points[fixed]).query(images)
        if found.max() > distance:
            bad = moved[np.argmax(found)]
            raise PeriodicityError(
                "mesh", f"node at {_place(points[bad])}", "periodic: its image one period away must be a node", _REMEDY
            )
        representative[moved] = fixed[nearest]
    return representative, offset


def _planes(
    fractional: Array, tolerance: float
) -> list[tuple[int, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]] | None:
    """For each period that the nodes span, its number and which nodes lie on the low and on the high face.

    None for nodes that reach further than one period: their cell is no parallelepiped.
    """
    low, high = fractional.min(axis=0), fractional.max(axis=0)
    if np.any(high - low > 1.0 + tolerance):
        return None
    spanned = np.flatnonzero(high - low >= 1.0 - tolerance)
    return [
        (int(k), fractional[:, k] <= low[k] + tolerance, fractional[:, k] >= low[k] + 1.0 - tolerance) for k in spanned
    ]


def _identify_by_wrapping(
    fractional: Array, candidates: Indices, origin: Array, lattice: Lattice, distance: float
) -> tuple[Indices, Indices]:
    """Match those candidates that wrap to one place; the one that is moved least, first along period 1, stands."""
    count = len(candidates)
    inside = fractional[candidates]
    shift = np.floor(inside - origin)
    pairs = scipy.spatial.cKDTree((inside - shift) @ lattice.vectors).query_pairs(distance, output_type="ndarray")
    label = joined_by(pairs, count)
    order = np.lexsort((np.arange(count), *shift.T[::-1], label))
    first = np.empty(count, dtype=np.int64)
    first[label[order[::-1]]] = order[::-1]
    representative = np.arange(len(fractional))
    representative[candidates] = candidates[first[label]]
    return representative, np.rint(fractional - fractional[representative]).astype(np.int64)


def joined_by(pairs: Indices, count: int) -> Indices:
    """Return for each of some things the first of those that pairs of them, shape (p, 2), join it to."""
    label: Indices = np.arange(count)
    one, two = pairs[:, 0], pairs[:, 1]
    while len(one):
        # Every group that meets one with a smaller label is joined to it, and its members follow.
        first, second = label[one], label[two]
        apart = first != second
        one, two, first, second = one[apart], two[apart], first[apart], second[apart]
        np.minimum.at(label, np.maximum(first, second), np.minimum(first, second))
        while np.any((further := label[label]) != label):
            label = further
    return label


def _require_partners(
    points: Array, low: Indices, high: Indices, shift: Array, direction: int, distance: float
) -> None:
    for source, target, sign in ((low, high, 1.0), (high, low, -1.0)):
        found, nearest = scipy.spatial.cKDTree(points[target]).query(points[source] + sign * shift)
        if len(low) == len(high) and found.max() <= distance and np.bincount(nearest, minlength=len(target)).all():
            return  # to each its own: the other way round as well
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
    kind = kind_of(points.shape[1], cells.shape[1])
    corners = cells[:, : CORNERS[kind]]
    on_face = np.zeros(len(points), dtype=bool)
    moved = representative != np.arange(len(points))
    on_face[moved] = True
    on_face[representative[moved]] = True
    corners = corners[on_face[corners.T].any(axis=0)]
    if not len(corners):
        return
    first, second = np.array(EDGES[kind]).T
    a, b = corners[:, first].ravel(), corners[:, second].ravel()
    # Edges between other vertices are told by their ends.
    near = on_face[a] | on_face[b] | (a == b)
    a, b = a[near], b[near]
    ends = np.column_stack([representative[a], representative[b]])
    step = points[b] - points[a]
    flip = ends[:, 0] > ends[:, 1]
    ends[flip] = ends[flip, ::-1]
    step[flip] *= -1.0
    number = row_numbers(ends)
    order = np.argsort(number, kind="stable")
    number, ends, step = number[order], ends[order], step[order]
    same = number[1:] == number[:-1]
    differs = np.logical_or.reduce([np.abs(np.diff(along)) > 1e-6 * lattice.shortest for along in step.T])
    for bad in (np.flatnonzero(ends[:, 0] == ends[:, 1]), np.flatnonzero(same & differs)):
        if len(bad):
            raise PeriodicityError(
                "mesh",
                f"edge at {_place(points[ends[bad[0], 0]])} along {_place(step[bad[0]])}",
                "at least three elements across every period",
                "Choose a finer mesh (a smaller resolution).",
            )


def check_faces(
    points: Array, cells: Indices, representative: Indices, lattice: Lattice, *, whole: bool, tolerance: float = 1e-8
) -> None:
    """Refuse a mesh whose facets on opposite faces differ though their nodes may match.

    Such facets would be insulated walls. On a parallelepiped the facets of its faces are looked at; a cell of another
    shape that fills the period has no facet without a partner at all.

    Parameters
    ----------
    points, cells, representative, lattice, tolerance
        As for :func:`identify_nodes` and from it.
    whole
        Whether the cells fill the whole period.

    Raises
    ------
    PeriodicityError
        Naming a facet without partner.
    """
    of_cells = cells[:, FACETS[kind_of(points.shape[1], cells.shape[1])]]
    facets = of_cells.reshape(-1, of_cells.shape[2])
    planes = _planes(lattice.fractional(points), tolerance)
    if planes is not None:
        chosen = np.zeros(len(facets), dtype=bool)
        for _, on_low, on_high in planes:
            chosen |= on_low[facets.T].all(axis=0) | on_high[facets.T].all(axis=0)
        facets = facets[chosen]
    elif not whole:
        return
    if not len(facets):
        return
    number = row_numbers(np.sort(representative[facets], axis=1))
    _, first, times = np.unique(number, return_index=True, return_counts=True)
    alone = first[times == 1]
    if len(alone):
        raise PeriodicityError(
            "mesh faces",
            f"{len(alone)} facets without partner, one near {_place(points[facets[alone[0]]].mean(axis=0))}",
            "matching facet by facet",
            _REMEDY,
        )
