"""Cells whose opposite faces do not match: what lies opposite to what, by the overlaps of facets. Plain arrays.

A mesh cell at a face is joined to all those at the opposite face whose facets overlap with its own one period away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.spatial

from homfem.meshing.arrays.facet_overlaps import REACH, TOLERANCE, balls, face_frame, measures, overlaps
from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.mesh_report import place
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.topology.percolation import Links
from homfem.parameters import Array, PeriodicityError

#: Facets overlap when they do by more than this times the smaller one.
_LEAST = 1e-6
_WAYS = "Mesh the faces with the same phase boundaries, or from the geometry (.geo or .step)."


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Face:
    """The facets of one side of a period: nodes, corners in the plane, cells."""

    nodes: Indices
    corners: Array
    cell: Indices


def origin_of(raw: RawCell) -> Array:
    """Return the low corner of a cell in lattice coordinates.

    Raises
    ------
    PeriodicityError
        Unless the cell is a parallelepiped of straight simplices that spans every period.
    """
    fractional = raw.lattice.fractional(raw.points)
    low, reach = fractional.min(axis=0), np.ptp(fractional, axis=0)
    remedy = "Give a mesh whose faces match."
    if raw.order != 1 or raw.kind not in ("triangle", "tetrahedron"):
        kind = f"{raw.kind} of order {raw.order}"
        raise PeriodicityError("faces", kind, "matching but for straight triangles and tetrahedra", remedy)
    if np.any(np.abs(reach - 1.0) > TOLERANCE):
        raise PeriodicityError(
            "faces", "reaching over " + ", ".join(f"{value:.9g}" for value in reach) + " periods",
            "those of a parallelepiped of exactly one period where they do not match", remedy,
        )  # fmt: skip
    return np.asarray(low)


def links_across(raw: RawCell, origin: Array) -> Links:
    """Return the pairs of cells that are joined through the faces, for the functions of ``percolation``."""
    first: list[Indices] = []
    second: list[Indices] = []
    jump: list[Indices] = []
    for k, (low, high) in enumerate(_faces(raw, origin)):
        one, other, area = _common(high, low)
        kept = area > _LEAST * np.minimum(measures(high.corners)[one], measures(low.corners)[other])
        first.append(high.cell[one[kept]])
        second.append(low.cell[other[kept]])
        jump.append(np.tile(np.eye(raw.dimension, dtype=np.int64)[k], (int(kept.sum()), 1)))
    return np.concatenate(first), np.concatenate(second), np.vstack(jump)


def seam_area(raw: RawCell, origin: Array) -> float:
    """Return what is added to the area of the outer facets so that faces are no walls.

    Where the same phase lies opposite both sides count nothing, where another phase does they count once, by the area
    of the overlaps, and where nothing does each counts as a wall. Phase boundaries that are cut differently on the two
    faces leave narrow strips of the second and third kind: they are counted as they are.
    """
    total = 0.0
    for low, high in _faces(raw, origin):
        one, other, area = _common(high, low)
        same = raw.phase_of_cell[high.cell[one]] == raw.phase_of_cell[low.cell[other]]
        total -= float(2.0 * area[same].sum() + area[~same].sum())
    return total


def face_nodes(raw: RawCell, origin: Array) -> list[Indices]:
    """Return for each period vector the nodes of the facets on the two faces that it crosses."""
    return [np.unique(np.concatenate([low.nodes.ravel(), high.nodes.ravel()])) for low, high in _faces(raw, origin)]


def check_traces(raw: RawCell, origin: Array) -> None:
    """Refuse a cell whose phase boundaries meet opposite faces in other places.

    Each phase boundary (and rim of a void) on a face must have one on the opposite face within half the radius of the
    facets there.

    Raises
    ------
    PeriodicityError
        Naming the worst place.
    """
    fractional = np.asarray(raw.lattice.fractional(raw.points) - origin)
    for k, pair in enumerate(_faces(raw, origin)):
        curves = [_boundaries(face, raw.phase_of_cell[face.cell], np.delete(fractional, k, axis=1)) for face in pair]
        frame = face_frame(raw.lattice, k)
        plane = np.delete(fractional, k, axis=1) @ frame
        for (ridges, radius), (others, size) in (curves, curves[::-1]):
            if not len(ridges):
                continue
            samples = np.concatenate([plane[ridges], plane[ridges].mean(axis=1, keepdims=True)], axis=1)
            gap, nearest = _distances(samples, plane[others])
            limit = REACH * np.minimum(radius[:, None], size[nearest] if len(size) else np.zeros_like(gap))
            if np.any(gap > limit):
                bad = np.unravel_index(np.argmax(gap - limit), gap.shape)
                where = raw.points[ridges[bad[0]]].mean(axis=0)
                raise PeriodicityError(
                    f"mesh faces across period {k + 1}",
                    f"a phase boundary at {place(where)}, {gap[bad]:.3g} away from one on the opposite face",
                    f"such that phase boundaries meet them in the same places, here within {float(limit[bad]):.3g}",
                    _WAYS,
                )


def _faces(raw: RawCell, origin: Array) -> list[tuple[_Face, _Face]]:
    """The low and the high face across each period."""
    d = raw.dimension
    facets = cell_facets(raw.corners, raw.kind).reshape(-1, d)
    _, first, count = np.unique(row_numbers(np.sort(facets, axis=1)), return_index=True, return_counts=True)
    outer = first[count == 1]
    fractional = raw.lattice.fractional(raw.points) - origin
    result = []
    for k in range(d):
        plane = np.delete(fractional, k, axis=1) @ face_frame(raw.lattice, k)
        sides = []
        for end in (0.0, 1.0):
            on_face = (np.abs(fractional[:, k] - end) < TOLERANCE)[facets[outer]].all(axis=1)
            own = outer[on_face]
            sides.append(_Face(nodes=facets[own], corners=plane[facets[own]], cell=own // (d + 1)))
        result.append((sides[0], sides[1]))
    return result


def _common(one: _Face, other: _Face) -> tuple[Indices, Indices, Array]:
    """Pairs of facets that overlap, and the areas."""
    first, second, parts = overlaps(one.corners, other.corners)
    pair, inverse = np.unique(np.column_stack([first, second]), axis=0, return_inverse=True)
    area = np.bincount(inverse.ravel(), weights=measures(parts), minlength=len(pair))
    return pair[:, 0], pair[:, 1], np.asarray(area, dtype=np.float64)


def _boundaries(face: _Face, phase: npt.NDArray[np.int32], fractional: Array) -> tuple[Indices, Array]:
    """Ridges (points in 2D, edges in 3D) between phases or at voids, and the radius of the facets there."""
    d = face.nodes.shape[1]
    ridges = np.sort(face.nodes[:, [[j for j in range(d) if j != k] for k in range(d)]].reshape(-1, d - 1), axis=1)
    if not len(ridges):
        return ridges, np.zeros(0)
    _, first, number, count = np.unique(row_numbers(ridges), return_index=True, return_inverse=True, return_counts=True)
    number = number.ravel()
    own = np.repeat(phase, d)
    least, most = np.full(len(first), np.iinfo(np.int32).max), np.full(len(first), -1)
    np.minimum.at(least, number, own)
    np.maximum.at(most, number, own)
    radius = np.full(len(first), np.inf)
    np.minimum.at(radius, number, np.repeat(balls(face.corners)[1], d))
    ends = fractional[ridges[first]]
    low, high = np.abs(ends) < TOLERANCE, np.abs(ends - 1.0) < TOLERANCE
    on_edge = np.any(np.all(low, axis=1) | np.all(high, axis=1), axis=1)
    chosen = ((count == 2) & (least != most)) | ((count == 1) & ~on_edge)
    return ridges[first[chosen]], radius[chosen]


def _distances(points: Array, ridges: Array) -> tuple[Array, Indices]:
    """Distance of points (n, q, m) to the nearest of the ridges (r, m, m), about, and which it is."""
    flat = points.reshape(-1, points.shape[2])
    if not len(ridges):
        return np.full(points.shape[:2], np.inf), np.zeros(points.shape[:2], dtype=np.int64)
    steps = 9 if ridges.shape[1] == 2 else 1
    share = np.linspace(0.0, 1.0, steps)[None, :, None]
    samples = ridges[:, :1] + share * (ridges[:, -1:] - ridges[:, :1])
    nearest = scipy.spatial.cKDTree(samples.reshape(-1, points.shape[2])).query(flat)[1] // steps
    start, along = ridges[nearest, 0], ridges[nearest, -1] - ridges[nearest, 0]
    length = np.maximum(np.einsum("pm,pm->p", along, along), 1e-300)
    share = np.clip(np.einsum("pm,pm->p", flat - start, along) / length, 0.0, 1.0)
    gap = np.linalg.norm(flat - start - share[:, None] * along, axis=1)
    return gap.reshape(points.shape[:2]), nearest.reshape(points.shape[:2])
