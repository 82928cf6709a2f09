"""Facets of a mesh as they lie in space: walls, phase boundaries, the angles at which they meet. Plain arrays."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.parameters import Array
from homfem.reference import FACET_CORNERS, FACETS

#: Nodes closer than this, over the shortest period, coincide; so do those that are identified across the period.
COINCIDE = 1e-8
#: Neighbours on one smooth surface have unit normals no further apart; those of a hexagon are, those of a 12-gon not.
SMOOTH = 0.6
#: Facets whose normals differ by less lie in one plane.
_PLANE = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Facets:
    """Facets of mesh cells.

    Parameters
    ----------
    nodes : array of int, shape (n, corners of a facet)
    cell : array of int, shape (n,)
        The cell that the normal points out of.
    centre, normal : array, shape (n, d)
        Mean of the corners, and the unit normal.
    radius : array, shape (n,)
        Largest distance of a corner from the centre.
    """

    nodes: Indices
    cell: Indices
    centre: Array
    normal: Array
    radius: Array


def walls_of(raw: RawCell, representative: Indices, *, faces: bool = True) -> Facets:
    """Return the facets with a cell on one side only, on the torus; without ``faces`` none on those of the cell."""
    facets = cell_facets(raw.corners, raw.kind).reshape(-1, FACET_CORNERS[raw.kind])
    number = row_numbers(np.sort(representative[facets], axis=1))
    order = np.argsort(number, kind="stable")
    new = np.concatenate([[True], np.diff(number[order]) != 0, [True]])
    alone = np.sort(order[new[:-1] & new[1:]])
    if not faces:
        fractional = raw.lattice.fractional(raw.points)
        fractional -= fractional.min(axis=0)
        ends = [np.abs(fractional - end) < COINCIDE for end in (0.0, 1.0)]
        alone = alone[~np.any([end[facets[alone]].all(axis=1).any(axis=1) for end in ends], axis=0)]
    return _chosen(raw, facets, alone)


def curved_boundaries(raw: RawCell) -> float:
    """Return the largest angle (degrees) at which facets between phases or at voids meet as those of a curved surface.

    Zero where all of them lie in planes that meet at larger angles.
    """
    own = np.arange(len(raw.points))
    largest = 0.0
    for facets in (walls_of(raw, own, faces=False), _between_phases(raw)):
        _, _, turn, _ = bends(facets, own)
        bent = turn[(turn > _PLANE) & (turn < SMOOTH)]
        largest = max(largest, float(bent.max(initial=0.0)))
    return float(np.degrees(2.0 * np.arcsin(0.5 * largest)))


def bends(facets: Facets, representative: Indices) -> tuple[Indices, Indices, Array, Array]:
    """Return pairs of facets that share a ridge, how far apart their normals are, and their centres.

    Pairs that lie on both sides of a period are left out.
    """
    width, d = facets.nodes.shape[1], facets.centre.shape[1]
    pairs = list(itertools.combinations(range(width), d - 1)) if width == d else [(0, 1), (0, 2), (1, 3), (2, 3)]
    number = row_numbers(np.sort(representative[facets.nodes][:, pairs], axis=2).reshape(-1, d - 1))
    order = np.argsort(number, kind="stable")
    same = np.flatnonzero(np.diff(number[order]) == 0)
    one, other = order[same] // len(pairs), order[same + 1] // len(pairs)
    apart = np.linalg.norm(facets.centre[one] - facets.centre[other], axis=1)
    turn = np.linalg.norm(facets.normal[one] - facets.normal[other], axis=1)
    near = apart < 2.0 * (facets.radius[one] + facets.radius[other])
    return one[near], other[near], turn[near], apart[near]


def _between_phases(raw: RawCell) -> Facets:
    """The facets between two phases, with the normal out of that of the lower tag."""
    facets = cell_facets(raw.corners, raw.kind).reshape(-1, FACET_CORNERS[raw.kind])
    number = row_numbers(np.sort(facets, axis=1))
    phase = np.repeat(raw.phase_of_cell, len(FACETS[raw.kind]))
    order = np.lexsort((phase, number))
    pair = np.flatnonzero((np.diff(number[order]) == 0) & (np.diff(phase[order]) != 0))
    return _chosen(raw, facets, order[pair])


def _chosen(raw: RawCell, facets: Indices, chosen: Indices) -> Facets:
    nodes, cell = facets[chosen], chosen // len(FACETS[raw.kind])
    x = raw.points[nodes]
    centre = x.mean(axis=1)
    if raw.dimension == 2:
        normal = (x[:, 1] - x[:, 0])[:, ::-1] * np.array([1.0, -1.0])
    else:
        # The diagonals of a quadrilateral, whose corners are numbered row by row.
        normal = np.cross(x[:, -1] - x[:, 0], x[:, 2] - x[:, 1])
    inward = raw.points[raw.corners[cell]].mean(axis=1) - centre
    normal *= -np.sign(np.einsum("fi,fi->f", normal, inward))[:, None]
    normal = np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1), 1e-300)[:, None])
    radius = np.linalg.norm(x - centre[:, None], axis=2).max(axis=1, initial=0.0)
    return Facets(nodes=nodes, cell=cell, centre=centre, normal=normal, radius=radius)
