r"""Mirror planes and equivalent axes of a cell, found on its mesh. Plain arrays on one rank; no dolfinx here.

A periodic medium that is its own mirror image across the plane :math:`x_m=c` is so across :math:`x_m=c+L_m/2` as well.
Its mesh may be halved there if no mesh cell lies on both sides of either plane. The mesh itself need not be symmetric:
what is compared are the phases as sets. With the mirrors along every axis, exchanges of axes are compared on the part
between the planes.

**When are two phases one set?** A polyhedral set is determined by its boundary, a set of flat facets with a side; that
by its edges with a direction, line by line in each plane; and those by their ends with a sign. So the facets of one
description count +1, those of the other -1; they cancel where they agree node by node, and of the rest the sums at each
end of each line of each plane all vanish if and only if both sets are equal, however their facets are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.spatial

from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.identification import joined_by
from homfem.meshing.arrays.raw_cell import Indices, RawCell, cell_volumes, select
from homfem.parameters import Array

#: Points closer than this times the shortest period are one.
NEAR = 1e-9
#: Planes and lines whose unit vectors and distances differ by less than this are one.
_FLAT = 1e-7


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    """A pair of mirror planes half a period apart.

    Parameters
    ----------
    axis
        The planes are across this axis.
    low, high
        Where they are, in mesh units; ``high`` is half a period above ``low``.
    """

    axis: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Region:
    """Mesh cells as sets of points, by the boundaries of their phases.

    Parameters
    ----------
    points : array, shape (n, d)
        Coordinates.
    rows : array of int, shape (f, d)
        Corner nodes of the facets that bound a phase, as simplices.
    middle : array, shape (f, d)
        A point of the phase that each of them bounds, on the inner side of it.
    phase : array of int, shape (f,)
        The phase.
    """

    points: Array
    rows: Indices
    middle: Array
    phase: Indices

    @classmethod
    def of(cls, points: Array, corners: Indices, phase_of_cell: npt.NDArray[np.int32], kind: str) -> Region:
        """Return the region of mesh cells, given by their corner nodes and phases."""
        return _Facets.of(corners, phase_of_cell, kind).bounding(points, np.ones(len(corners), dtype=bool))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Facets:
    """Facets of mesh cells and what lies behind them, so that the boundary of a part is found without sorting anew.

    Parameters
    ----------
    corners : array of int, shape (m, k)
        Corner nodes of the mesh cells.
    phase_of_cell : array of int, shape (m,)
        Phase of each.
    facets : array of int, shape (m facets, w)
        Corner nodes of the facets, one cell after the other.
    behind : array of int, shape (m facets,)
        The cell on the other side; -1 where there is none.
    owner : array of int, shape (m facets,)
        The cell itself.
    alike : array of bool, shape (m facets,)
        Whether there is a cell of the same phase on the other side.
    """

    corners: Indices
    phase_of_cell: Indices
    facets: Indices
    behind: Indices
    owner: Indices
    alike: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, corners: Indices, phase_of_cell: npt.ArrayLike, kind: str) -> _Facets:
        of_cells = cell_facets(corners, kind)
        per_cell, width = of_cells.shape[1:]
        facets: Indices = of_cells.reshape(-1, width)
        number = row_numbers(np.sort(facets, axis=1))
        order = np.argsort(number)
        same = np.flatnonzero(number[order[1:]] == number[order[:-1]])
        behind = np.full(len(facets), -1, dtype=np.int64)
        behind[order[same]], behind[order[same + 1]] = order[same + 1] // per_cell, order[same] // per_cell
        phase = np.asarray(phase_of_cell, dtype=np.int64)
        owner = np.repeat(np.arange(len(corners)), per_cell)
        alike = (behind >= 0) & (phase[behind] == phase[owner])
        return cls(corners=corners, phase_of_cell=phase, facets=facets, behind=behind, owner=owner, alike=alike)

    def bounding(self, points: Array, inside: npt.NDArray[np.bool_]) -> Region:
        """Return the region of some of the mesh cells."""
        outer = np.flatnonzero(inside[self.owner] & ~(self.alike & inside[self.behind]))
        rows, owner = self.facets[outer], self.owner[outer]
        if rows.shape[1] == 4:
            rows, owner = np.concatenate([rows[:, [0, 1, 3]], rows[:, [0, 2, 3]]]), np.tile(owner, 2)
        middle = points[self.corners[owner]].mean(axis=1)
        return Region(points=points, rows=rows, middle=middle, phase=self.phase_of_cell[owner])


def find_mirrors(raw: RawCell, axes: Sequence[int] | None = None) -> tuple[tuple[Mirror, ...], dict[int, str]]:
    """Return the mirrors of a cell whose planes its mesh respects, and for each other axis the reason.

    Parameters
    ----------
    raw
        The mesh of a cell, or of some of its phases: only what is meshed is compared.
    axes
        Axes to look at; by default all.
    """
    d = raw.dimension
    wanted = list(range(d)) if axes is None else sorted(set(axes))
    refused = _no_box(raw)
    if refused is not None:
        return (), dict.fromkeys(wanted, refused)
    found, reasons = [], {}
    facets = _Facets.of(raw.corners, raw.phase_of_cell, raw.kind)
    extents, volume = _extents(raw), cell_volumes(raw)
    for axis in wanted:
        low = _plane(raw, facets, axis, extents, volume)
        if isinstance(low, str):
            reasons[axis] = low
        else:
            found.append(Mirror(axis=axis, low=low, high=low + 0.5 * float(raw.lattice.vectors[axis, axis])))
    return tuple(found), reasons


def between(raw: RawCell, mirrors: Sequence[Mirror]) -> RawCell:
    """Return the mesh between the planes of all mirrors; the lattice stays that of the whole cell."""
    middle = _extents(raw)[2]
    inside = np.ones(len(raw.cells), dtype=bool)
    for mirror in mirrors:
        inside &= (middle[:, mirror.axis] > mirror.low) & (middle[:, mirror.axis] < mirror.high)
    return select(raw, inside)


def equal_axes(part: RawCell, mirrors: Sequence[Mirror], pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return for each axis the first one that an exchange of axes takes to it.

    Parameters
    ----------
    part
        The mesh between the planes of mirrors along every axis, see :func:`between`.
    mirrors
        The mirrors.
    pairs
        Exchanges that the coefficients allow. Three axes that cyclic exchange alone makes equal are found as well if
        all pairs are allowed.
    """
    d = part.dimension
    first = list(range(d))
    if len(mirrors) < d:
        return tuple(first)
    low = np.array([mirror.low for mirror in sorted(mirrors, key=lambda m: m.axis)])
    sides = np.diag(part.lattice.vectors)
    own = Region.of(np.asarray(part.points - low), part.corners, part.phase_of_cell, part.kind)
    near = part.lattice.shortest * NEAR

    def maps(order: list[int]) -> bool:
        if np.abs(sides[order] - sides).max() > near:
            return False
        turned = replace(own, points=own.points[:, order], middle=own.middle[:, order])
        return same_regions(own, turned, scale=part.lattice.shortest)

    if d == 3 and len(pairs) == 3 and maps([1, 2, 0]):
        return (0, 0, 0)
    for i, j in pairs:
        order = list(range(d))
        order[i], order[j] = j, i
        if first[j] != first[i] and maps(order):
            first = [min(first[i], first[j]) if f in (first[i], first[j]) else f for f in first]
    return tuple(first)


def same_regions(one: Region, other: Region, *, scale: float = 1.0) -> bool:
    """Return whether each phase fills the same set of points in both; see the top of this module.

    Parameters
    ----------
    one, other
        Straight mesh cells.
    scale
        Length of order one.
    """
    rows, others = _turned_outwards(one), _turned_outwards(other)
    facets = np.vstack([rows, others + len(one.points)])
    phase = np.concatenate([one.phase, other.phase])
    weight: Indices = np.repeat([1, -1], [len(rows), len(others)])
    points = np.asarray(np.vstack([one.points, other.points]) / scale, dtype=np.float64)
    used = np.unique(facets)
    number = np.full(len(points), -1, dtype=np.int64)
    number[used] = merged(points[used])
    places = np.empty((int(number.max(initial=-1)) + 1, points.shape[1]))
    places[number[used]] = points[used]
    if not len(facets):
        return True
    facets, phase, weight = _cancelled(number[facets], phase, weight)
    return not len(facets) or not _ends(places, facets, phase, weight)


def _no_box(raw: RawCell) -> str | None:
    """Why the cell is none that can be halved along the axes."""
    vectors, sides = raw.lattice.vectors, np.diag(raw.lattice.vectors)
    if np.abs(vectors - np.diag(sides)).max() > 1e-12 * raw.lattice.shortest or sides.min() <= 0.0:
        return "the period is no box along the axes"
    if not raw.affine:
        return "the mesh is curved"
    if np.any(np.ptp(raw.points, axis=0) > sides + NEAR * raw.lattice.shortest):
        return "the mesh is no box"
    return None


def _extents(raw: RawCell) -> tuple[Array, Array, Array]:
    """Low and high ends and middles of the mesh cells along each axis, shape (m, d)."""
    low = high = total = raw.points[raw.corners[:, 0]]
    for corner in raw.corners.T[1:]:
        x = raw.points[corner]
        low, high, total = np.minimum(low, x), np.maximum(high, x), total + x
    return low, high, np.asarray(total / raw.corners.shape[1])


def _plane(raw: RawCell, facets: _Facets, axis: int, extents: tuple[Array, Array, Array], volume: Array) -> float | str:
    """The low plane of a mirror across the axis, or why there is none."""
    period = float(raw.lattice.vectors[axis, axis])
    near = NEAR * raw.lattice.shortest
    low, high, middle = (extent[:, axis] for extent in extents)
    start = float(low.min())
    # Planes that no mesh cell crosses, the face of the cell first; those in the upper half stand for one in the lower.
    planes = np.unique(raw.points[:, axis])
    planes = np.sort(np.where(planes >= start + 0.5 * period - near, planes - 0.5 * period, planes))
    planes = planes[planes > start - near]
    planes = planes[np.concatenate([[True], np.diff(planes) > near])]
    lows, highs = np.sort(low), np.sort(high)
    for shift in (0.0, 0.5 * period):
        above = np.searchsorted(highs, planes + shift + near, side="right")
        planes = planes[np.searchsorted(lows, planes + shift - near, side="left") == above]
    if not len(planes):
        return 'mesh cells lie on both sides of every plane (shapes with mirrors = "auto" have a mesh with the planes)'
    planes = planes[_halve_the_moments(raw, axis, planes, extents[2], volume)]
    for plane in planes:
        if _is_mirror(raw, facets, axis, float(plane), period, middle):
            return float(plane)
    return "the phases are not their mirror image"


def _halve_the_moments(raw: RawCell, axis: int, planes: Array, centre: Array, volume: Array) -> npt.NDArray[np.bool_]:
    """Whether volume and centre of each phase are as they must be if the planes are mirrors: a quick test."""
    period = float(raw.lattice.vectors[axis, axis])
    order = np.argsort(centre[:, axis])
    place = [np.searchsorted(centre[order, axis], planes + shift) for shift in (0.0, 0.5 * period)]
    near = 1e-8 * raw.lattice.volume
    good = np.ones(len(planes), dtype=bool)
    for tag in np.unique(raw.phase_of_cell):
        own = np.where(raw.phase_of_cell == tag, volume, 0.0)
        moments = np.column_stack([own, own[:, None] * np.delete(centre, axis, axis=1)])[order]
        total = np.vstack([np.zeros(raw.dimension), np.cumsum(moments, axis=0)])
        inside = total[place[1]] - total[place[0]]
        good &= (np.abs(inside - 0.5 * total[-1]) < near * np.maximum(1.0, np.abs(raw.points).max())).all(axis=1)
        beyond = total[-1, 0] - total[place[1], 0]
        good &= np.abs(own @ centre[:, axis] - planes * total[-1, 0] - period * beyond) < near * period
    return good


def _is_mirror(raw: RawCell, facets: _Facets, axis: int, plane: float, period: float, middle: Array) -> bool:
    inside = (middle > plane) & (middle < plane + 0.5 * period)
    own = facets.bounding(raw.points, inside)
    beyond = facets.bounding(raw.points, ~inside & (middle > plane))
    below = facets.bounding(raw.points, ~inside & (middle <= plane))
    # Beyond the upper plane a mesh cell is seen through the period: its nodes are numbered anew.
    count = len(raw.points)
    places = np.vstack([below.points, beyond.points])
    middles = np.vstack([below.middle, beyond.middle])
    for x, first in ((places, count), (middles, len(below.middle))):
        x[:, axis] = 2.0 * plane - x[:, axis]
        x[first:, axis] += period
    other = Region(
        points=places,
        rows=np.vstack([below.rows, beyond.rows + count]),
        middle=middles,
        phase=np.concatenate([below.phase, beyond.phase]),
    )
    return same_regions(own, other, scale=raw.lattice.shortest)


def _turned_outwards(region: Region) -> Indices:
    """The facets with their normals out of the phase that they bound."""
    rows = region.rows
    inward = region.middle - region.points[rows[:, 0]]
    wrong = np.einsum("fi,fi->f", _normals(region.points, rows), inward) > 0.0
    return np.where(wrong[:, None], rows[:, [1, 0, *range(2, rows.shape[1])]], rows)


def _normals(points: Array, rows: Indices) -> Array:
    """Normals of the simplices, of the length of the (doubled) area."""
    edge = points[rows[:, 1]] - points[rows[:, 0]]
    if rows.shape[1] == 2:
        return np.stack([edge[:, 1], -edge[:, 0]], axis=1)
    return np.asarray(np.cross(edge, points[rows[:, 2]] - points[rows[:, 0]]))


def merged(points: Array) -> Indices:
    """For each point the number of the first of those that are one with it."""
    return joined_by(scipy.spatial.cKDTree(points).query_pairs(NEAR, output_type="ndarray"), len(points))


def _cancelled(facets: Indices, phase: Indices, weight: Indices) -> tuple[Indices, Indices, Indices]:
    """The facets that are not there as often with one sign as with the other."""
    width = facets.shape[1]
    swaps = sum((facets[:, i] > facets[:, j]).astype(np.int64) for i in range(width) for j in range(i + 1, width))
    rows = np.column_stack([np.sort(facets, axis=1), phase])
    rows, weight = _sums(rows, weight * (1 - 2 * (swaps % 2)))
    return rows[:, :width], rows[:, width], weight


def _sums(rows: Indices, weight: Indices) -> tuple[Indices, Indices]:
    """Unique rows and the sums of their weights, where these are not zero; at least one row."""
    _, first, number = np.unique(row_numbers(rows - rows.min(axis=0)), return_index=True, return_inverse=True)
    total = np.bincount(number.ravel(), weights=weight, minlength=len(first))
    kept = np.rint(total) != 0
    return rows[first[kept]], np.rint(total[kept]).astype(np.int64)


def _ends(points: Array, facets: Indices, phase: Indices, weight: Indices) -> bool:
    """Whether anything is left at the ends of the lines in which planes (in 2D: lines) carry facets."""
    normal = _directions(_normals(points, facets))
    offset = np.einsum("fi,fi->f", normal, points[facets[:, 0]])
    plane = np.column_stack([phase, _rounded(np.column_stack([normal, offset]))])
    starts, ends = facets[:, [0]], facets[:, [1]]
    if facets.shape[1] == 3:
        starts, ends = facets, np.roll(facets, -1, axis=1)
        plane, weight = np.repeat(plane, 3, axis=0), np.repeat(weight, 3)
        starts, ends = starts.reshape(-1, 1), ends.reshape(-1, 1)
        along = _directions(points[ends[:, 0]] - points[starts[:, 0]])
        foot = points[starts[:, 0]]
        foot = foot - np.einsum("fi,fi->f", foot, along)[:, None] * along
        plane = np.column_stack([plane, _rounded(np.column_stack([along, foot]))])
    rows = np.vstack([np.column_stack([plane, starts]), np.column_stack([plane, ends])])
    return len(_sums(rows, np.concatenate([weight, -weight]))[0]) > 0


def _directions(vectors: Array) -> Array:
    """Unit vectors, the first entry that is not zero > 0."""
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    leading = np.argmax(np.abs(unit) > 10.0 * _FLAT, axis=1)
    sign = np.sign(np.take_along_axis(unit, leading[:, None], axis=1)[:, 0])
    return np.asarray(unit * sign[:, None])


def _rounded(values: Array) -> Indices:
    return np.rint(values / _FLAT).astype(np.int64)
