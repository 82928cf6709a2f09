"""Mesh cells that lie over each other although no wall has a cell behind it: folds, and parts that cross. Plain arrays.

A fold is a facet whose two cells lie on one side of it: a node was moved too far. Parts cross where an edge of a wall
of one passes through a wall of the other; the middles of both may well lie outside of all cells.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.facet_overlaps import close_pairs
from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.mesh_report import place
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.topology.walls import Facets, walls_of
from homfem.parameters import Array
from homfem.reference import CORNERS, FACET_CORNERS, FACETS

Flags = npt.NDArray[np.bool_]

#: What counts as on one side, over the sizes of what is compared: more than round-off.
_LEAST = 1e-9
#: Edges that are looked at together: bounds the memory.
_BLOCK = 50_000


def find_overlaps(raw: RawCell, representative: Indices, *, faces: bool = True) -> str:
    """Return in words where cells lie over each other; empty where none do, for curved cells and grids made here.

    Parameters
    ----------
    raw, representative
        The cell, and the node that stands for each on the torus (:func:`homfem.periodic.identify_nodes`).
    faces
        Whether facets on the faces of the cell are walls if nothing matches them.
    """
    if raw.order > 1 or len(raw.element_shape) > 1:
        return ""
    return _folds(raw) or _crossings(raw, walls_of(raw, representative, faces=faces))


def _folds(raw: RawCell) -> str:
    facets = cell_facets(raw.corners, raw.kind).reshape(-1, FACET_CORNERS[raw.kind])
    number = row_numbers(np.sort(facets, axis=1))
    order = np.argsort(number)
    pair = np.flatnonzero(np.diff(number[order]) == 0)
    one, other = order[pair], order[pair + 1]
    simplices = CORNERS[raw.kind] == raw.dimension + 1
    bad = _turned_alike(facets, one, other) if simplices else _on_one_side(raw, facets, one, other)
    if not len(bad):
        return ""
    where = place(raw.points[facets[one[bad[0]]]].mean(axis=0))
    return f"{len(bad)} facets whose two cells lie on the same side, one at {where}: it is folded"


def _turned_alike(facets: Indices, one: Indices, other: Indices) -> Indices:
    """Which pairs of facets of simplices have one orientation: where all volumes are positive, the folds."""
    turned = np.arange(len(facets)) % (facets.shape[1] + 1) % 2 == 1  # facet k lies opposite to corner k
    for i, j in itertools.combinations(range(facets.shape[1]), 2):
        turned = turned ^ (facets[:, i] > facets[:, j])
    return np.flatnonzero(turned[one] == turned[other])


def _on_one_side(raw: RawCell, facets: Indices, one: Indices, other: Indices) -> Indices:
    """Which pairs of facets have the middles of both cells on one side."""
    per_cell = len(FACETS[raw.kind])
    x = raw.points[facets[one]]
    if raw.dimension == 2:
        normal = (x[:, 1] - x[:, 0])[:, ::-1] * np.array([1.0, -1.0])
    else:
        normal = np.cross(x[:, -1] - x[:, 0], x[:, 2] - x[:, 1])
    away = [raw.points[raw.corners[cell // per_cell]].mean(axis=1) - x.mean(axis=1) for cell in (one, other)]
    sides = np.stack([np.einsum("fi,fi->f", normal, a) for a in away])
    size = np.linalg.norm(normal, axis=1) * np.maximum(*(np.linalg.norm(a, axis=1) for a in away))
    return np.flatnonzero((np.sign(sides[0]) == np.sign(sides[1])) & (np.abs(sides).min(axis=0) > _LEAST * size))


def _crossings(raw: RawCell, walls: Facets) -> str:
    """Edges of walls that pass through walls, one period away or not."""
    if not len(walls.cell):
        return ""
    d, width = raw.dimension, walls.nodes.shape[1]
    simplices = walls.nodes if width == d else walls.nodes[:, [[0, 1, 3], [0, 3, 2]]].reshape(-1, 3)
    rim = list(itertools.combinations(range(d), 2))
    edges = np.unique(np.sort(simplices[:, rim].reshape(-1, 2), axis=1), axis=0)
    centres = [raw.points[nodes].mean(axis=1) for nodes in (edges, simplices)]
    radii = [
        np.linalg.norm(raw.points[nodes] - centre[:, None], axis=2).max(axis=1)
        for nodes, centre in zip((edges, simplices), centres, strict=True)
    ]
    low, high = raw.points.min(axis=0), raw.points.max(axis=0)
    for turn in itertools.product((0, -1, 1), repeat=d):
        shift = np.array(turn) @ raw.lattice.vectors
        moved, reach = centres[0] + shift, radii[0][:, None]
        near = np.flatnonzero(np.all((moved >= low - reach) & (moved <= high + reach), axis=1))
        for start in range(0, len(near), _BLOCK):
            own = near[start : start + _BLOCK]
            edge, wall = close_pairs(moved[own], radii[0][own], centres[1], radii[1])
            crossed = _pass_through(raw.points[edges[own[edge]]] + shift, raw.points[simplices[wall]])
            if crossed.any():
                where = place(raw.points[simplices[wall[crossed.argmax()]]].mean(axis=0))
                return f"edges of walls pass through other walls, one at {where}"
    return ""


def _pass_through(edges: Array, walls: Array) -> Flags:
    """Whether edges, shape (n, 2, d), pass through the inside of segments or triangles, shape (n, d, d)."""
    d = edges.shape[2]
    size = np.maximum(np.ptp(edges, axis=1).max(axis=1), np.ptp(walls, axis=1).max(axis=1)) ** d * _LEAST
    ends = [np.linalg.det(walls - edges[:, k][:, None]) for k in (0, 1)]
    result = (ends[0] * ends[1] < 0.0) & (np.minimum(np.abs(ends[0]), np.abs(ends[1])) > size)
    # The volumes with the edge and each side of the wall have one sign.
    along = (edges[:, 1] - edges[:, 0])[:, None]
    sides = []
    for k in range(d):
        ridge = np.delete(walls, k, axis=1) - edges[:, :1]
        sides.append((-1.0) ** k * np.linalg.det(np.concatenate([along, ridge], axis=1)))
    found = np.stack(sides)
    same = (found > size).all(axis=0) | (found < -size).all(axis=0)
    return np.asarray(result & same)
