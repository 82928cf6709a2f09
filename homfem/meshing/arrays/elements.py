"""Elements of other programs as cells of one kind: what is kept, what is taken as straight, what is cut into simplices.

Corners are numbered as VTK and Gmsh do: around each face, the opposite face after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.bent_elements import Middles, is_sound, middles
from homfem.meshing.arrays.identification import identify_nodes
from homfem.meshing.arrays.raw_cell import FACET_NODES, Indices
from homfem.parameters import Array, CellError, Lattice, PeriodicityError
from homfem.reference import FACET_KIND, SIMPLEX

#: Dimension, corners, and faces (2D: edges) of each shape, the corners of a face turning outwards.
SHAPES: Mapping[str, tuple[int, int, list[list[int]]]] = {
    "line": (1, 2, [[0], [1]]),
    "triangle": (2, 3, [[0, 1], [1, 2], [2, 0]]),
    "quad": (2, 4, [[0, 1], [1, 2], [2, 3], [3, 0]]),
    "tetra": (3, 4, [[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]),
    "hexahedron": (3, 8, [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]),
    "wedge": (3, 6, [[0, 2, 1], [3, 4, 5], [0, 1, 4, 3], [1, 2, 5, 4], [2, 0, 3, 5]]),
    "pyramid": (3, 5, [[0, 3, 2, 1], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]),
}
#: Kind of cell, and of facet, of each shape that is one.
KINDS = {
    "line": "interval",
    "triangle": "triangle",
    "quad": "quadrilateral",
    "tetra": "tetrahedron",
    "hexahedron": "hexahedron",
}
_AROUND = {"quad": [0, 1, 3, 2], "hexahedron": [0, 1, 3, 2, 4, 5, 7, 6]}
_STRAIGHT = 1e-8


class Block(NamedTuple):
    """Elements of one shape and order: nodes with the corners first, shape (m, k)."""

    shape: str
    order: int
    nodes: Indices


class Uniform(NamedTuple):
    """Cells of one kind in the node order of DOLFINx; ``parent``: the number of the element of each, over all blocks.

    ``rank`` orders the nodes by what is one on the torus, where cells were cut; ``notes`` say what was done. ``points``
    are those of the file, and after them those in the middle of edges that came to be, told by ``middles``.
    """

    points: Array
    kind: str
    order: int
    cells: Indices
    parent: Indices
    rank: Indices | None
    notes: tuple[str, ...]
    middles: Middles | None = None


def uniform(
    points: Array, blocks: Sequence[Block], lattice: Lattice, curved: Mapping[tuple[str, int], Sequence[int]]
) -> Uniform:
    """Return elements of one dimension as cells of one kind.

    Simplices of order 1 or 2, and quadrilaterals or hexahedra, stay what they are if there is nothing else. Other
    curved elements of order 2 are cut into curved simplices (:mod:`homfem.meshing.arrays.bent_elements`); what is of
    higher order, or folds when it is cut, is taken as straight, which the notes say. Mixtures, wedges and pyramids are
    cut into simplices: the diagonal of a face starts at the corner that comes first on the torus, so that neighbours
    and opposite faces fit and no boundary of a phase moves.

    Parameters
    ----------
    points : array, shape (n, d)
    blocks
        The elements, all of dimension d.
    lattice
        Period vectors; they tell which nodes of opposite faces are one.
    curved
        For (kind, 2) of a simplex the place in the element of each node in the order of DOLFINx.

    Raises
    ------
    CellError
        Elements so warped that no simplices fill them.
    """
    d = points.shape[1]
    shapes, orders = {block.shape for block in blocks}, {block.order for block in blocks}
    parent = np.arange(sum(len(block.nodes) for block in blocks))
    shape, order = next(iter(shapes)), max(orders)
    if len(shapes) == len(orders) == 1 and order == 2 and KINDS.get(shape) == SIMPLEX[d]:
        nodes = np.concatenate([block.nodes for block in blocks])
        return Uniform(points, SIMPLEX[d], 2, nodes[:, list(curved[SIMPLEX[d], 2])], parent, None, ())
    notes = _straightened(points, blocks)
    if notes and orders == {2}:
        bent = _bent(points, blocks, lattice)
        if bent is not None:
            return bent
    if len(shapes) == 1 and shape in KINDS:
        nodes = np.concatenate([block.nodes[:, : SHAPES[shape][1]] for block in blocks])
        return Uniform(points, KINDS[shape], 1, nodes[:, _AROUND.get(shape, slice(None))], parent, None, notes)
    cells, origin, rank = _simplices(points, blocks, lattice)
    return Uniform(points, SIMPLEX[d], 1, cells, origin, rank, notes)


def _simplices(points: Array, blocks: Sequence[Block], lattice: Lattice) -> tuple[Indices, Indices, Indices]:
    """Corners of the simplices that elements are cut into, the number of the element of each, the rank of the nodes."""
    corners = [(block.shape, block.nodes[:, : SHAPES[block.shape][1]]) for block in blocks]
    rank = _rank(points, np.unique(np.concatenate([own.ravel() for _, own in corners])), lattice)
    cells: list[Indices] = []
    parents: list[Indices] = []
    first = 0
    for name, own in corners:
        new, origin = _cut(points, own, name, rank)
        cells.append(new)
        parents.append(origin + first)
        first += len(own)
    return np.concatenate(cells), np.concatenate(parents), rank


def _bent(points: Array, blocks: Sequence[Block], lattice: Lattice) -> Uniform | None:
    """Curved elements of second order as curved simplices; None where these would fold or the nodes tell no order."""
    found = middles(points, [(block.nodes, *SHAPES[block.shape][1:]) for block in blocks])
    if found is None:
        return None
    try:
        corners, parent, rank = _simplices(points, blocks, lattice)
    except CellError:
        return None
    cells, known = found[1].of(corners)
    if not known.all() or not is_sound(found[0], cells):
        return None
    return Uniform(found[0], SIMPLEX[points.shape[1]], 2, cells, parent, rank, (), found[1])


def uniform_facets(
    cells: Uniform, blocks: Sequence[Block], curved: Mapping[tuple[str, int], Sequence[int]]
) -> tuple[Indices, Indices]:
    """Return elements of one dimension less as facets of ``cells``, and the number of the element of each.

    Elements that cannot be one, such as quadrilaterals beside whole tetrahedra, are left out.
    """
    kind = FACET_KIND[cells.kind]
    width = FACET_NODES[cells.kind, 1 if cells.middles else cells.order]
    found: list[Indices] = [np.zeros((0, width), dtype=np.int64)]
    parents: list[Indices] = [np.zeros(0, dtype=np.int64)]
    first = 0
    for block in blocks:
        corners = block.nodes[:, : SHAPES[block.shape][1]]
        number = np.arange(first, first + len(block.nodes))
        first += len(block.nodes)
        if KINDS[block.shape] != kind:
            if block.shape == "quad" and cells.rank is not None:
                new, origin = _halves(corners, cells.rank)
                found.append(new)
                parents.append(number[origin])
        elif cells.order == 1 or cells.middles is not None:
            found.append(corners[:, _AROUND.get(block.shape, slice(None))])
            parents.append(number)
        elif block.order == 2:
            found.append(block.nodes[:, list(curved[kind, 2])])
            parents.append(number)
    simplices, element = np.concatenate(found), np.concatenate(parents)
    if cells.middles is None:
        return simplices, element
    facets, known = cells.middles.of(simplices)
    return facets[known], element[known]


def _rank(points: Array, used: Indices, lattice: Lattice) -> Indices:
    """Number of the node that stands for each on the torus; its own where opposite faces do not match."""
    rank = np.arange(len(points))
    try:
        representative, _ = identify_nodes(points[used], lattice, partial=True)
    except PeriodicityError:
        return rank
    rank[used] = used[representative]
    return rank


def _straightened(points: Array, blocks: Sequence[Block]) -> tuple[str, ...]:
    """Say what is lost where elements of higher order are taken as straight."""
    worst, count = 0.0, 0
    for block in blocks:
        _, width, faces = SHAPES[block.shape]
        extra = block.nodes[:, width:]
        if not extra.size:
            continue
        edges = {tuple(sorted((face[k - 1], face[k]))) for face in faces if len(face) > 1 for k in range(len(face))}
        groups = [list(edge) for edge in edges] + [face for face in faces if len(face) == 4] + [list(range(width))]
        corners = points[block.nodes[:, :width]]
        middles = np.stack([corners[:, group].mean(axis=1) for group in groups], axis=1)
        size = np.ptp(corners, axis=1).max(axis=1)
        off = np.zeros(len(extra))
        for node in extra.T:
            near = np.linalg.norm(middles - points[node][:, None], axis=2).min(axis=1)
            off = np.maximum(off, near / np.where(size > 0.0, size, 1.0))
        worst, count = max(worst, float(off.max(initial=0.0))), count + int(np.count_nonzero(off > _STRAIGHT))
    if not count:
        return ()
    return (
        f"{count} curved elements were taken as straight: nodes between their corners lie up to {100 * worst:.2g} % of "
        "an element's size off (only elements of order 2 stay curved, where they do not fold)",
    )


def _cut(points: Array, corners: Indices, shape: str, rank: Indices) -> tuple[Indices, Indices]:
    """Cut elements into simplices; return these and the element of each."""
    if KINDS.get(shape) == SIMPLEX[points.shape[1]]:
        return corners, np.arange(len(corners))
    cells, origin = _cut_quads(points, corners) if shape == "quad" else _cut_solids(corners, shape, rank)
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    volume = np.linalg.det(edges)
    sign = np.sign(np.bincount(origin, volume, len(corners)))[origin]
    bad = np.flatnonzero(volume * sign <= 0.0)
    if len(bad):
        place = points[corners[origin[bad[0]]]].mean(axis=0)
        allowed = f"such that simplices fill them; {len(np.unique(origin[bad]))} are too warped, one near {place}"
        raise CellError(f"{shape} elements", len(corners), allowed, "Repair the mesh, or mesh with simplices.")
    return cells, origin


def _cut_quads(points: Array, corners: Indices) -> tuple[Indices, Indices]:
    """Cut quadrilaterals along the shorter diagonal, or along the one that lies inside."""
    x = points[corners]
    one, two = (_twice_areas(x, cut) for cut in ([[0, 1, 2], [0, 2, 3]], [[0, 1, 3], [1, 2, 3]]))
    shorter = np.linalg.norm(x[:, 0] - x[:, 2], axis=1) <= np.linalg.norm(x[:, 1] - x[:, 3], axis=1) * (1.0 + 1e-9)
    first = (one.prod(axis=1) > 0.0) & (shorter | (two.prod(axis=1) <= 0.0))
    cells = np.where(first[:, None, None], corners[:, [[0, 1, 2], [0, 2, 3]]], corners[:, [[0, 1, 3], [1, 2, 3]]])
    return cells.reshape(-1, 3), np.repeat(np.arange(len(corners)), 2)


def _twice_areas(x: Array, cut: list[list[int]]) -> Array:
    edges = x[:, cut][:, :, 1:] - x[:, cut][:, :, :1]
    return np.asarray(np.linalg.det(edges))


def _cut_solids(corners: Indices, shape: str, rank: Indices) -> tuple[Indices, Indices]:
    """Join the lowest corner of each element to the triangles of the faces that it does not lie on."""
    lowest = np.argmin(rank[corners], axis=1)
    cells, origin = [], []
    for corner in range(corners.shape[1]):
        own = np.flatnonzero(lowest == corner)
        for face in SHAPES[shape][2]:
            if corner in face:
                continue
            sides = corners[own][:, face]
            triangles, which = _halves(sides, rank) if len(face) == 4 else (sides, np.arange(len(own)))
            cells.append(np.column_stack([corners[own[which], corner], triangles]))
            origin.append(own[which])
    return np.concatenate(cells), np.concatenate(origin)


def _halves(faces: npt.NDArray[np.int64], rank: Indices) -> tuple[Indices, Indices]:
    """Cut faces of four corners from the lowest one."""
    around = (np.argmin(rank[faces], axis=1)[:, None] + np.arange(4)) % 4
    turned = np.take_along_axis(faces, around, axis=1)
    return turned[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3), np.repeat(np.arange(len(faces)), 2)
