r"""Parts of a mesh that touch but are not joined, and parts that lie over each other. Plain arrays.

A facet with a mesh cell on one side only is a wall. Where the cells fill the period there is no wall, so that each such
facet is a crack. Where they leave voids, the wall must have a void behind it: the point :math:`c+\epsilon n` beyond the
middle c of the facet, along its outward normal, lies in no cell, and nodes of walls lie at different places. That finds
nodes that are there twice, facets that meet others of another size (hanging nodes), cells that overlap, and surfaces
that were meshed twice. Between the last there are gaps as thin as what the chord of a facet cuts off,
:math:`\kappa\rho^2/2` with the curvature :math:`\kappa` that the angles between facets tell and the radius
:math:`\rho` of the facet; they count where all facets around face such a gap as well, which those at the near points of
two curved bodies do not.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import scipy.spatial

from homfem.meshing.arrays.facet_overlaps import close_pairs
from homfem.meshing.arrays.mesh_report import place
from homfem.meshing.arrays.raw_cell import Indices, RawCell, cell_volumes
from homfem.meshing.topology.crossings import find_overlaps
from homfem.meshing.topology.walls import COINCIDE, SMOOTH, Facets, bends, walls_of
from homfem.parameters import Array, CellError
from homfem.reference import is_simplex

Flags = npt.NDArray[np.bool_]

#: How far beyond a facet a cell is looked for, over the size of the facet.
_BEYOND = 1e-4
#: A point whose barycentric coordinates are above minus this lies in a cell.
_EDGE = 1e-9
_REMEDY = (
    "Join the parts: in Gmsh BooleanFragments or Coherence before meshing, or remove duplicate nodes of a mesh whose "
    "nodes coincide; cracks = true takes the facets for cracks that are meant."
)

# Quadrilaterals and hexahedra cut into simplices, corners in the order of DOLFINx.
_CUT = {
    "quadrilateral": [[0, 1, 3], [0, 2, 3]],
    "hexahedron": [[0, a, a | b, 7] for a, b in itertools.permutations((1, 2, 4), 2)],
}


def check_cracks(raw: RawCell, representative: Indices, *, faces: bool = True, cracks: bool = False) -> tuple[str, ...]:
    """Refuse a cell with parts that are not joined, or return what is not joined where that is meant.

    Parameters
    ----------
    raw, representative
        The cell, and the node that stands for each on the torus (:func:`homfem.periodic.identify_nodes`).
    faces
        Whether facets on the faces of the cell are looked at; not where these need not match.
    cracks
        Whether cracks are meant.

    Raises
    ------
    CellError
        Naming a place, and the remedy. For cells that lie over each other (:mod:`homfem.meshing.topology.crossings`) in
        any case.
    """
    found = find_cracks(raw, representative, faces=faces)
    if found and not cracks:
        raise CellError("mesh", found, "one whose parts are joined wherever they touch", _REMEDY)
    over = find_overlaps(raw, representative, faces=faces)
    if over:
        raise CellError("mesh", over, "one whose cells do not overlap", "Mesh it anew.")
    return (f"the mesh has cracks, which insulate: {found}",) if found else ()


def check_coincident(raw: RawCell) -> None:
    """Raise :class:`CellError` if two nodes lie at one place, faces that are opposite each other apart."""
    found = _coincident(raw, np.arange(len(raw.points)), False)
    if found:
        raise CellError("mesh", found, "one whose parts are joined wherever they touch", _REMEDY)


def find_cracks(raw: RawCell, representative: Indices, *, faces: bool = True) -> str:
    """Return in words what is not joined, or lies over something else; empty for a sound mesh.

    Parameters as for :func:`check_cracks`.
    """
    walls = walls_of(raw, representative, faces=faces)
    if not len(walls.cell):
        return ""
    if float(cell_volumes(raw).sum()) > raw.lattice.volume * (1.0 - 1e-9):
        return _words(raw, walls, np.ones(len(walls.cell), dtype=bool), "although the cells fill the period")
    same = _coincident(raw, np.unique(representative[walls.nodes]), faces)
    touching = _in_cells(raw, walls.centre + _BEYOND * walls.radius[:, None] * walls.normal)
    if touching.any():
        return _words(raw, walls, touching, "and touch another, or lie in it" + ("; " + same) * bool(same))
    facing = _facing(raw, walls, representative)
    if facing.any():
        return _words(raw, walls, facing, "and face another across a gap thinner than they can show")
    return same


def _words(raw: RawCell, walls: Facets, chosen: Flags, what: str) -> str:
    names = {tag: name for name, tag in raw.phases.items()}
    phases = ", ".join(repr(names[int(tag)]) for tag in np.unique(raw.phase_of_cell[walls.cell[chosen]]))
    first = int(np.flatnonzero(chosen)[0])
    return f"{chosen.sum()} facets of {phases}, one at {place(walls.centre[first])}, belong to one cell {what}"


def _in_cells(raw: RawCell, points: Array) -> Flags:
    """Whether a cell holds each point, one period away or not."""
    corners = raw.corners if is_simplex(raw.kind) else raw.corners[:, _CUT[raw.kind]].reshape(-1, raw.dimension + 1)
    low, high = raw.points.min(axis=0), raw.points.max(axis=0)
    shifts = np.array(list(itertools.product((0, -1, 1), repeat=raw.dimension))) @ raw.lattice.vectors
    images = points[None] + shifts[:, None]
    inside = np.all((images >= low) & (images <= high), axis=2)
    which = np.nonzero(inside)[1]
    at = images[inside]
    centre = raw.points[corners].mean(axis=1)
    radius = np.linalg.norm(raw.points[corners] - centre[:, None], axis=2).max(axis=1)
    one, other = close_pairs(at, np.zeros(len(at)), centre, radius)
    near, place_of = np.unique(other, return_inverse=True)
    edges = raw.points[corners[near, 1:]] - raw.points[corners[near, :1]]
    solid = np.linalg.det(edges) != 0.0
    inverse = np.full(edges.shape, np.inf)
    inverse[solid] = np.linalg.inv(edges[solid])
    way = at[one] - raw.points[corners[other, 0]]
    share = np.einsum("pi,pij->pj", way, inverse[place_of])
    least = np.minimum(share.min(axis=1), 1.0 - share.sum(axis=1))
    result = np.zeros(len(points), dtype=bool)
    result[which[one[solid[place_of] & (least > -_EDGE)]]] = True
    return result


def _facing(raw: RawCell, walls: Facets, representative: Indices) -> Flags:
    """Facets that face others across a gap as thin as what chords cut off, as do all around them."""
    one, other, turn, apart = bends(walls, representative)
    smooth = turn < SMOOTH
    one, other = one[smooth], other[smooth]
    curvature = np.zeros(len(walls.cell))
    for at in (one, other):
        np.maximum.at(curvature, at, turn[smooth] / apart[smooth])
    # The gap is one chord's at most where both stand for the same surface; twice that for chance.
    reach = curvature * walls.radius**2
    facing = np.zeros(len(walls.cell), dtype=bool)
    curved = np.flatnonzero(reach > _BEYOND * walls.radius)
    if not len(curved):
        return facing
    beyond = walls.centre[curved] + reach[curved, None] * walls.normal[curved]
    facing[curved] = _in_cells(raw, beyond)
    lone = ~facing
    result = facing.copy()
    result[one[lone[other]]] = False
    result[other[lone[one]]] = False
    return result


def _coincident(raw: RawCell, node: Indices, wrap: bool) -> str:
    """Which of some nodes lie at one place, one period away or not, in words; nothing where none do."""
    x = raw.points[node]
    if wrap:
        # Of the nodes at the low faces there is a copy at the high ones.
        fractional = raw.lattice.fractional(x)
        x = (fractional - np.floor(fractional + COINCIDE)) @ raw.lattice.vectors
    near = scipy.spatial.cKDTree(x).query_pairs(COINCIDE * raw.lattice.shortest, output_type="ndarray")
    if not len(near):
        return ""
    where = place(raw.points[node[near[0, 0]]])
    return f"{len(near)} pairs of nodes coincide, one at {where}: parts that touch there are not joined"
