"""Background grids of simplices for cells given by level sets, and the angles of simplices. Plain arrays on one rank.

In the plane every box of a grid is joined to its centre: four right isosceles triangles. In space two adjacent boxes
share four tetrahedra, each between the two centres and an edge of the common face: the body-centred cubic grid, with
dihedral angles of 60 and 90 degrees only (45 as well where the faces of the cell halve them). Both are bisected along
their longest edges without new shapes coming up but a few.

Source: Labelle, Shewchuk 2007, ACM Trans. Graphics 26(3), 57, doi 10.1145/1276377.1276448 (the grid in space).
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from homfem.meshing.arrays.budget import require_cells
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.cut.mirror_parts import Part
from homfem.parameters import Array, Lattice, check_number
from homfem.reference import SIMPLEX


def background_raw(lattice: Lattice, resolution: float, length_unit: str = "m", part: Part | None = None) -> RawCell:
    """Return the grid of one period or a part of it, of one phase ``"all"``; opposite faces match bit for bit.

    Parameters
    ----------
    lattice
        Period vectors; the grid of the unit box is mapped to the parallelepiped that they span.
    resolution
        Longest edge along the shortest period as a fraction of it, in (0, 1/3].
    length_unit
        Unit of the lattice.
    part
        What is meshed, if not the whole period: no simplex crosses its planes.
    """
    resolution = check_number("resolution", resolution, above=0.0, at_most=1 / 3)
    part = Part(lattice=lattice) if part is None else part
    whole = np.linalg.norm(lattice.vectors, axis=1) / lattice.shortest
    sides = part.sides * whole
    with np.errstate(over="ignore"):
        several = (4.0 if lattice.dimension == 2 else 12.0) * float(np.prod(whole / resolution))
    require_cells("resolution", resolution, SIMPLEX[lattice.dimension], several)
    counts = tuple(math.ceil(side / resolution - 1e-9) for side in sides)
    make = _joined_to_centres if lattice.dimension == 2 else _body_centred
    places, cells = make(counts)
    points = (part.sides * places / (2.0 * np.array(counts))) @ lattice.vectors
    cells = cells[part.contains(points[cells].mean(axis=1))]
    return RawCell(
        points=points,
        cells=cells,
        kind=SIMPLEX[lattice.dimension],
        order=1,
        phase_of_cell=np.ones(len(cells), dtype=np.int32),
        phases={"all": 1},
        facets=np.zeros((0, lattice.dimension), dtype=np.int64),
        facet_tags=np.zeros(0, dtype=np.int32),
        facet_names={},
        lattice=lattice,
        length_unit=length_unit,
    )


def _numbered(shape: tuple[int, ...], first: int) -> Indices:
    return first + np.arange(math.prod(shape)).reshape(shape)


def _half_places(shape: tuple[int, ...], shift: tuple[int, ...]) -> Array:
    """Places of an array of nodes in halves of a box, in the order of the array."""
    return 2.0 * np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=1) + np.array(shift)


def _joined_to_centres(counts: tuple[int, ...]) -> tuple[Array, Indices]:
    nodes = tuple(n + 1 for n in counts)
    corner, centre = _numbered(nodes, 0), _numbered(counts, math.prod(nodes))
    around = [corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]]
    cells = [np.stack([centre, around[k], around[(k + 1) % 4]], axis=-1).reshape(-1, 3) for k in range(4)]
    return np.vstack([_half_places(nodes, (0, 0)), _half_places(counts, (1, 1))]), np.vstack(cells)


def _body_centred(counts: tuple[int, ...]) -> tuple[Array, Indices]:
    nodes = tuple(n + 1 for n in counts)
    corner, centre = _numbered(nodes, 0), _numbered(counts, math.prod(nodes))
    places = [_half_places(nodes, (0, 0, 0)), _half_places(counts, (1, 1, 1))]
    total = math.prod(nodes) + math.prod(counts)
    cells = []
    for axis in range(3):
        # Beyond the faces of the cell, where there is no centre, the middle of the face takes its place.
        face = tuple(1 if a == axis else n for a, n in enumerate(counts))
        ends = []
        for side in range(2):
            ends.append(_numbered(face, total))
            total += math.prod(face)
            shift = tuple(2 * side * counts[a] if a == axis else 1 for a in range(3))
            places.append(_half_places(face, shift))
        below = np.concatenate([ends[0], centre], axis=axis)
        above = np.concatenate([centre, ends[1]], axis=axis)
        b, c = (a for a in range(3) if a != axis)
        at = [_shifted(corner, axis, b, c, i, j) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
        for k in range(4):
            cells.append(np.stack([below, above, at[k], at[(k + 1) % 4]], axis=-1).reshape(-1, 4))
    return np.vstack(places), np.vstack(cells)


def _shifted(corner: Indices, axis: int, b: int, c: int, i: int, j: int) -> Indices:
    """Corners of the faces across an axis at the place (i, j) of each face."""
    window: list[slice] = [slice(None)] * 3
    window[b] = slice(i, corner.shape[b] - 1 + i)
    window[c] = slice(j, corner.shape[c] - 1 + j)
    return corner[tuple(window)]


def angles(points: Array, corners: Indices) -> tuple[Array, Array]:
    """Return the smallest and the largest angle of each simplex in degrees: of triangles, dihedral of tetrahedra.

    Parameters
    ----------
    points : array, shape (n, d)
    corners : array of int, shape (m, d + 1)
    """
    d = points.shape[1]
    x = points[corners]
    edges = x[:, 1:] - x[:, :1]
    # Rows of the inverse are the gradients of the barycentric coordinates, normal to the facets.
    inner = np.swapaxes(np.linalg.inv(edges), 1, 2)
    slopes = np.concatenate([-inner.sum(axis=1, keepdims=True), inner], axis=1)
    slopes /= np.linalg.norm(slopes, axis=2, keepdims=True)
    pairs = [-np.einsum("mx,mx->m", slopes[:, i], slopes[:, j]) for i, j in itertools.combinations(range(d + 1), 2)]
    cosines = np.clip(pairs, -1.0, 1.0)
    return np.degrees(np.arccos(cosines.max(axis=0))), np.degrees(np.arccos(cosines.min(axis=0)))


def sines(x: Array) -> Array:
    """Return the smallest sine of the angles (dihedral in space) of simplices given by corners, shape (m, d + 1, d).

    Positive for the orientation of RawCell, else negative.
    """
    if x.shape[2] == 2:
        edges = [x[:, (k + 1) % 3] - x[:, k] for k in range(3)]
        twice = edges[0][:, 0] * edges[1][:, 1] - edges[0][:, 1] * edges[1][:, 0]
        length = np.linalg.norm(edges, axis=2)
        products = np.stack([length[k] * length[k - 1] for k in range(3)])
        return np.asarray(twice / products.max(axis=0))
    a, b, c = x[:, 1] - x[:, 0], x[:, 2] - x[:, 0], x[:, 3] - x[:, 0]
    normals = [_cross(b, c), _cross(c, a), _cross(a, b)]
    normals.insert(0, -(normals[0] + normals[1] + normals[2]))
    twice_area = [np.sqrt(np.einsum("mx,mx->m", n, n)) for n in normals]
    six_volume = np.einsum("mx,mx->m", a, normals[1])
    found = np.full(len(x), np.inf)
    for i, j in itertools.combinations(range(4), 2):
        k, m = (n for n in range(4) if n not in (i, j))
        edge = x[:, k] - x[:, m]
        length = np.sqrt(np.einsum("mx,mx->m", edge, edge))
        found = np.minimum(found, six_volume * length / (twice_area[i] * twice_area[j]))
    return np.asarray(found)


def _cross(a: Array, b: Array) -> Array:
    return np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        axis=1,
    )
