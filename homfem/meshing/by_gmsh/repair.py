"""Mesh a cell anew whose opposite faces do not match: the boundaries inside it stay, its faces become alike.

The faces of a cell are plane and can be meshed in any way; the boundaries between phases, and of voids, are kept node
by node. They must meet opposite faces in the same places: a curve that was cut differently on two faces cannot be
brought together without its true geometry, and is refused.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.spatial
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.identification import check_faces, identify_nodes
from homfem.meshing.arrays.mesh_report import place
from homfem.meshing.arrays.raw_cell import Indices, RawCell, Tags, cell_volumes
from homfem.meshing.by_gmsh.filling import fill_regions, fill_volume
from homfem.meshing.by_gmsh.subprocess_mesher import TIMEOUT, run_limited
from homfem.parameters import Array, CellError, PeriodicityError

log = logging.getLogger("homfem")
_TOLERANCE = 1e-8
_REMEDY = "Mesh it again from its geometry (.geo or .step), which makes it periodic."


class RepairError(CellError):
    """A mesh whose faces do not match cannot be repaired."""


def repaired(raw: RawCell, *, timeout: float | None = TIMEOUT) -> RawCell:
    """Return the cell with faces that match; the cell itself if they do.

    Parameters
    ----------
    raw
        A parallelepiped of first order.
    timeout
        Seconds after which meshing is ended, see :func:`homfem.meshing.by_gmsh.subprocess_mesher.run_limited`.

    Returns
    -------
    RawCell
        Boundaries between phases and of voids, and facets with a name that lie on them, are those of ``raw``; all
        else is meshed anew with sizes like those of the boundaries. Names of facets on the faces are lost.

    Raises
    ------
    RepairError
        Geometry of second order, a cell that is no parallelepiped, boundaries of phases that meet opposite faces in
        other places or are cut differently there, voids opposite to phases, or a mesher that fails. With the place.
    """
    try:
        representative, _ = identify_nodes(raw.points, raw.lattice)
        whole = float(cell_volumes(raw).sum()) > raw.lattice.volume * (1.0 - 1e-9)
        check_faces(raw.points, raw.corners, representative, raw.lattice, whole=whole)
    except PeriodicityError as error:
        log.info("faces do not match, the cell is meshed anew: %s", error)
        return run_limited(remeshed, raw, timeout=timeout)
    return raw


def remeshed(raw: RawCell) -> RawCell:
    """Mesh a cell anew in this process, see :func:`repaired`."""
    if raw.order != 1:
        raise RepairError("order", raw.order, "1: a repair would take the curvature away", _REMEDY)
    if not raw.simplicial:
        raise RepairError("kind", raw.kind, "simplices: the mesher fills with those", _REMEDY)
    old = _read(raw)
    _check_kept(old)
    lines = [_subdivided(old, axis) for axis in range(raw.dimension)]
    try:
        simplices, parts = (_fill_plane if raw.dimension == 2 else _fill_space)(old, lines)
    except RepairError:
        raise
    except CellError as error:
        raise RepairError("mesh", str(error), "such that its parts can be filled again", _REMEDY) from error
    kept_points = raw.points[np.unique(old.kept)]
    points, cells = _joined(kept_points, simplices)
    phase_of_part = np.zeros(int(old.part.max()) + 1, dtype=np.int32)
    phase_of_part[old.part] = raw.phase_of_cell
    facets, tags = _named_facets(raw, points)
    result = RawCell(
        points=points,
        cells=cells,
        kind=raw.kind,
        order=1,
        phase_of_cell=phase_of_part[parts],
        phases=raw.phases,
        facets=facets,
        facet_tags=tags,
        facet_names={name: tag for name, tag in raw.facet_names.items() if tag in tags},
        lattice=raw.lattice,
        length_unit=raw.length_unit,
    )
    before, after = float(cell_volumes(raw).sum()), float(cell_volumes(result).sum())
    if abs(after - before) > 1e-9 * raw.lattice.volume:
        raise RepairError("volume", after, f"{before:.9g}, that of the mesh that was given", _REMEDY)
    return result


@dataclass(kw_only=True, slots=True, eq=False)
class _Old:
    """The mesh that was given: its parts, the facets that are kept, and those on the faces of the cell.

    ``s``: lattice coordinates from 0 to 1. ``part``: connected part of a phase of each cell. ``kept_parts``: the two
    parts beside a facet, -1 for a void. ``outer_side``: number of the period, and 0 on the low face, 1 on the high one.
    """

    raw: RawCell
    s: Array
    part: Indices
    kept: Indices
    kept_parts: Indices
    outer: Indices
    outer_part: Indices
    outer_side: Indices


def _read(raw: RawCell) -> _Old:
    d = raw.dimension
    s = raw.lattice.fractional(raw.points)
    s = s - s.min(axis=0)
    if np.any(np.abs(s.max(axis=0) - 1.0) > _TOLERANCE):
        raise RepairError("cell", s.max(axis=0), "a parallelepiped that the period vectors span", _REMEDY)
    facets = cell_facets(raw.corners, raw.kind).reshape(-1, d)
    owner = np.repeat(np.arange(len(raw.cells)), d + 1)
    number = row_numbers(np.sort(facets, axis=1))
    order = np.argsort(number, kind="stable")
    inner = np.flatnonzero(number[order][1:] == number[order][:-1])
    one, two = order[inner], order[inner + 1]
    same = raw.phase_of_cell[owner[one]] == raw.phase_of_cell[owner[two]]
    part = _labels(len(raw.cells), owner[one[same]], owner[two[same]])
    between = part[owner[one]] != part[owner[two]]
    alone = np.ones(len(facets), dtype=bool)
    alone[order[inner]] = alone[order[inner + 1]] = False
    side = np.full((len(facets), 2), -1, dtype=np.int64)
    for k in range(d):
        for end in (0, 1):
            side[alone & np.all(np.abs(s[facets][..., k] - end) <= _TOLERANCE, axis=1)] = k, end
    void, outer = alone & (side[:, 0] < 0), side[:, 0] >= 0
    return _Old(
        raw=raw,
        s=s,
        part=part,
        kept=np.vstack([facets[one[between]], facets[void]]),
        kept_parts=np.vstack([
            np.column_stack([part[owner[one[between]]], part[owner[two[between]]]]),
            np.column_stack([part[owner[void]], np.full(np.count_nonzero(void), -1)]),
        ]),
        outer=facets[outer],
        outer_part=part[owner[outer]],
        outer_side=side[outer],
    )  # fmt: skip


def _check_kept(old: _Old) -> None:
    """What is kept must meet opposite faces in the same nodes and, in space, along the same edges."""
    nodes, edges = np.unique(old.kept), _edges(old.kept)
    for k in range(old.raw.dimension):
        other = np.arange(old.raw.dimension) != k
        on = [np.abs(old.s[:, k] - end) <= _TOLERANCE for end in (0.0, 1.0)]
        ends = [[x[side[x].all(axis=-1)] for x in (nodes[:, None], edges)] for side in on]
        for low, high in zip(*ends, strict=True):
            places = [old.s[side][..., other].mean(axis=1) for side in (low, high)]
            for here, there, own in ((places[0], places[1], low), (places[1], places[0], high)):
                far = scipy.spatial.cKDTree(there).query(here)[0] if len(there) else np.full(len(here), np.inf)
                if np.any(far > _TOLERANCE * 10):
                    first = old.raw.points[own[np.flatnonzero(far > _TOLERANCE * 10)[0]]].mean(axis=0)
                    raise RepairError(
                        f"boundaries of phases on the faces across period {k + 1}",
                        f"{np.count_nonzero(far > _TOLERANCE * 10)} nodes or edges that differ, one at {place(first)}",
                        "cut alike on both faces; only the rest of a face can be meshed anew",
                        _REMEDY,
                    )


def _subdivided(old: _Old, axis: int) -> Array:
    """Values from 0 to 1 at which all edges of the cell along an axis are cut, so that all are alike."""
    d, s = old.raw.dimension, old.s
    others = [k for k in range(d) if k != axis]
    on_line = np.all((np.abs(s[:, others]) <= _TOLERANCE) | (np.abs(s[:, others] - 1.0) <= _TOLERANCE), axis=1)
    corner = (s[:, others] > 0.5) @ (2 ** np.arange(d - 1))
    edges = _edges(old.outer) if d == 3 else old.outer
    edges = edges[on_line[edges].all(axis=1) & (corner[edges[:, 0]] == corner[edges[:, 1]])]
    edges = edges[np.ptp(s[edges][..., others], axis=1).max(axis=1) <= _TOLERANCE]
    kept = np.unique(old.kept)
    keys = _distinct(np.concatenate([[0.0, 1.0], s[kept[on_line[kept]], axis]]))
    fixed = _edges(old.kept) if d == 3 else old.kept
    fixed = fixed[on_line[fixed].all(axis=1) & (corner[fixed[:, 0]] == corner[fixed[:, 1]])]
    spans = np.sort(s[fixed][..., axis], axis=1)
    lengths = np.abs(np.diff(s[edges][..., axis], axis=1)).ravel()
    size = min(float(lengths.mean()), 1.0 / 3.0) if len(lengths) else 1.0 / 3.0
    cuts = []
    for low, high in itertools.pairwise(keys):
        is_kept = len(spans) and np.any(np.abs(spans - (low, high)).max(axis=1) <= _TOLERANCE)
        count = 1 if is_kept else max(1, round((high - low) / size))
        cuts.append(np.linspace(low, high, count, endpoint=False))
    return np.append(np.concatenate(cuts), 1.0)


def _regions(
    old: _Old, triangles: Indices, label: Indices, axes: tuple[int, int], lines: list[Array]
) -> tuple[Array, list[Indices], Indices]:
    """Plane regions of equal label: lattice coordinates, edges of the boundary of each, and a triangle of each."""
    edges = np.sort(triangles[:, [[1, 2], [0, 2], [0, 1]]].reshape(-1, 2), axis=1)
    owner = np.repeat(np.arange(len(triangles)), 3)
    number = row_numbers(edges)
    order = np.argsort(number, kind="stable")
    both = np.flatnonzero(number[order][1:] == number[order][:-1])
    one, two = order[both], order[both + 1]
    same = label[owner[one]] == label[owner[two]]
    region = _labels(len(triangles), owner[one[same]], owner[two[same]])
    inside = np.zeros(len(edges), dtype=bool)
    inside[one[same]] = inside[two[same]] = True

    s = old.s[:, axes]
    on_side = np.full(len(edges), -1, dtype=np.int64)  # 2 * (which of the two coordinates is fixed) + (0 low or 1 high)
    for fixed in (0, 1):
        for end in (0, 1):
            on_side[np.all(np.abs(s[edges][..., fixed] - end) <= _TOLERANCE, axis=1)] = 2 * fixed + end
    new: list[Array] = [s]
    result = []
    count = len(s)
    for own_region in range(int(region.max()) + 1):
        own = np.flatnonzero(~inside & (region[owner] == own_region))
        parts = [edges[own[on_side[own] < 0]]]
        for side in range(4):
            fixed, end = divmod(side, 2)
            cuts = lines[axes[1 - fixed]]
            spans = np.sort(s[edges[own[on_side[own] == side]]][..., 1 - fixed], axis=1)
            middle = 0.5 * (cuts[1:] + cuts[:-1])
            covered = np.flatnonzero(
                np.any((spans[:, :1] <= middle + _TOLERANCE) & (middle <= spans[:, 1:] + _TOLERANCE), axis=0)
            )
            ends = np.empty((len(cuts), 2))
            ends[:, fixed], ends[:, 1 - fixed] = end, cuts
            parts.append(np.column_stack([covered, covered + 1]) + count)
            new.append(ends)
            count += len(cuts)
        result.append(np.vstack(parts))
    places = np.concatenate(new)
    name = _merged(places)
    first = np.unique(region, return_index=True)[1]
    return places, [name[own] for own in result], np.asarray(first)


def _fill_plane(old: _Old, lines: list[Array]) -> tuple[Array, Indices]:
    places, regions, first = _regions(old, old.raw.cells, old.part, (0, 1), lines)
    _check_sides(old, lines)
    origin = old.raw.points[0] - old.s[0] @ old.raw.lattice.vectors
    filled = fill_regions(places @ old.raw.lattice.vectors + origin, regions)
    parts = [np.full(len(cells), old.part[k]) for (_, cells), k in zip(filled, first, strict=True)]
    return np.concatenate([points[cells] for points, cells in filled]), np.concatenate(parts)


def _check_sides(old: _Old, lines: list[Array]) -> None:
    """In the plane voids must lie opposite to voids."""
    for k in (0, 1):
        middle = 0.5 * (lines[1 - k][1:] + lines[1 - k][:-1])
        filled = []
        for end in (0, 1):
            spans = np.sort(old.s[old.outer[(old.outer_side == (k, end)).all(axis=1)]][..., 1 - k], axis=1)
            filled.append(np.any((spans[:, :1] <= middle + _TOLERANCE) & (middle <= spans[:, 1:] + _TOLERANCE), axis=0))
        _refuse_one_sided(k, filled[0] != filled[1])


def _refuse_one_sided(k: int, differ: npt.NDArray[np.bool_]) -> None:
    if np.any(differ):
        what = f"{np.count_nonzero(differ)} of {len(differ)} pieces without anything on the other face"
        raise RepairError(f"faces across period {k + 1}", what, "filled in the same places", _REMEDY)


def _fill_space(old: _Old, lines: list[Array]) -> tuple[Array, Indices]:
    vectors = old.raw.lattice.vectors
    origin = old.raw.points[0] - old.s[0] @ vectors
    surface = [old.raw.points[old.kept], old.raw.points[old.kept]]
    part = [old.kept_parts[:, 0], old.kept_parts[:, 1]]
    for k in range(3):
        axes = tuple(a for a in range(3) if a != k)
        low = np.flatnonzero((old.outer_side == (k, 0)).all(axis=1))
        high = np.flatnonzero((old.outer_side == (k, 1)).all(axis=1))
        if not len(low):
            continue
        places, regions, first = _regions(old, old.outer[low], old.outer_part[low], axes, lines)  # type: ignore[arg-type]
        # Lengths and angles of the plane of the face, in an orthonormal basis of it.
        basis = np.linalg.qr(vectors[list(axes)].T)[0].T
        filled = fill_regions(places @ vectors[list(axes)] @ basis.T, regions)
        high_part = _part_at(old, high, axes, [points[cells[0]].mean(axis=0) @ basis for points, cells in filled])
        low_part = old.outer_part[low][first]
        sizes = [_area(old.raw.points[old.outer[side]]) for side in (low, high)]
        _refuse_one_sided(k, np.append(high_part < 0, abs(sizes[0] - sizes[1]) > 1e-9 * sizes[0]))
        for (points, cells), one, two in zip(filled, low_part, high_part, strict=True):
            corners = points[cells] @ basis + origin
            surface += [corners, corners + vectors[k]]
            part += [np.full(len(cells), one), np.full(len(cells), two)]
    corners, owner = np.concatenate(surface), np.concatenate(part)
    points, triangles = _joined(old.raw.points[np.unique(old.kept)], corners)
    solids, parts = [], []
    for own in range(int(old.part.max()) + 1):
        used, numbers = np.unique(triangles[owner == own], return_inverse=True)
        inner, cells = fill_volume(points[used], numbers.reshape(-1, 3))
        solids.append(inner[cells])
        parts.append(np.full(len(cells), own))
    return np.concatenate(solids), np.concatenate(parts)


def _part_at(old: _Old, facets: Indices, axes: tuple[int, ...], places: list[Array]) -> Indices:
    """Part of the old facets of a face in which points of its plane lie, relative to the origin; -1 for a void."""
    vectors = old.raw.lattice.vectors[list(axes)]
    x = np.linalg.lstsq(vectors.T, np.array(places).T, rcond=None)[0].T
    corners = old.s[old.outer[facets]][..., list(axes)]
    result = np.full(len(places), -1, dtype=np.int64)
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    for k, point in enumerate(x):
        inner = np.linalg.solve(edges, (point - corners[:, 0])[..., None])[..., 0]
        inside = np.flatnonzero((inner >= -1e-9).all(axis=1) & (inner.sum(axis=1) <= 1.0 + 1e-9))
        if len(inside):
            result[k] = old.outer_part[facets[inside[0]]]
    return result


def _area(triangles: Array) -> float:
    edges = triangles[:, 1:] - triangles[:, :1]
    return float(0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum())


def _joined(first: Array, simplices: Array) -> tuple[Array, Indices]:
    """Points and node numbers of simplices that are given by coordinates; ``first`` are taken where they coincide."""
    d = simplices.shape[2]
    points = np.concatenate([first, simplices.reshape(-1, d)])
    name = _merged(points / np.ptp(points, axis=0).max())
    used, number = np.unique(name[len(first) :], return_inverse=True)
    return points[used], number.reshape(len(simplices), -1).astype(np.int64)


def _merged(points: Array) -> Indices:
    """For each point the first of those that coincide with it."""
    pairs = scipy.spatial.cKDTree(points).query_pairs(_TOLERANCE, output_type="ndarray")
    label = _labels(len(points), pairs[:, 0], pairs[:, 1])
    return np.asarray(np.unique(label, return_index=True)[1][label], dtype=np.int64)


def _labels(count: int, one: Indices, two: Indices) -> Indices:
    graph = coo_array((np.ones(len(one), dtype=np.int8), (one, two)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _edges(facets: Indices) -> Indices:
    """Edges of triangles, each once, shape (e, 2); of the edges of a plane mesh none."""
    if facets.shape[1] == 2:
        return np.zeros((0, 2), dtype=np.int64)
    return np.asarray(np.unique(np.sort(facets[:, [[1, 2], [0, 2], [0, 1]]].reshape(-1, 2), axis=1), axis=0))


def _distinct(values: Array) -> Array:
    values = np.sort(values)
    return np.asarray(values[np.append(True, np.diff(values) > _TOLERANCE)])


def _named_facets(raw: RawCell, points: Array) -> tuple[Indices, Tags]:
    """The named facets whose nodes are all still there."""
    if not len(raw.facets):
        return np.zeros((0, raw.dimension), dtype=np.int64), np.zeros(0, dtype=np.int32)
    far, near = scipy.spatial.cKDTree(points).query(raw.points)
    there = (far[raw.facets] <= _TOLERANCE * raw.lattice.shortest).all(axis=1)
    lost = sorted(name for name, tag in raw.facet_names.items() if not np.any(there[raw.facet_tags == tag]))
    if lost:
        log.warning("facets that were meshed anew have lost their names: %s", ", ".join(lost))
    return near[raw.facets[there]].astype(np.int64), raw.facet_tags[there]
