"""Three orthogonal square pipes on a graded grid of boxes, each cut into six tetrahedra."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.shapes.box_grid import CUTS, corners_of_boxes, graded_axis, graded_steps, grid_points, require_boxes
from homfem.parameters import InputError, Lattice, check_choice, check_number

log = logging.getLogger("homfem")

NETWORK, OUTSIDE = "er", "cytosol"
INTERFACE = f"{NETWORK}|{OUTSIDE}"
#: Nearest that an edge may come to 0 and to 1.
_NEAREST = 1e-9
FACES = ("x-", "x+", "y-", "y+", "z-", "z+")


def structured_three_pipe(
    edges: float | Sequence[float] = 0.1,
    *,
    resolution: float = 0.05,
    grading: float = 0.25,
    growth: float = 1.0,
    phases: Sequence[str] = (NETWORK, OUTSIDE),
) -> RawCell:
    r"""Mesh the three square pipes with a graded grid of boxes, each cut into six tetrahedra.

    Along each axis the spacing at distance s from the nearest interface plane is

    .. math:: h(s) = \min(H,\; g\,w + q\,s),

    with the bulk size H (``resolution``, or half of the gap between two planes if that is smaller), the smaller w of
    the bulk sizes on both sides of that plane, ``grading`` g and ``growth`` q. The grid is symmetric about the centre
    and the boxes of each octant are cut along the diagonal that points to the centre: the mesh has every symmetry of
    the cell (all 48 of a cube for equal edges), opposite faces match bit for bit, and the interface is met exactly.

    Parameters
    ----------
    edges
        Edge of the square pipes along x, y, z as a fraction of the period, or one for all; in (0, 1).
    resolution
        Bulk spacing H as a fraction of the period, in (0, 1/3].
    grading
        Spacing at the interface planes over H, in (0, 1].
    growth
        Slope q of the spacing, > 0.
    phases
        ``"er"`` (the pipes), ``"cytosol"`` (the rest), or both.

    Returns
    -------
    RawCell
        Unit cube, unit "m", facet groups ``"er|cytosol"``, ``"x-"``, ``"x+"``, ... of the phases that were asked for.
    """
    a, b, c = check_edges(edges)
    resolution = check_number("resolution", resolution, above=0.0, at_most=1 / 3)
    grading = check_number("grading", grading, above=0.0, at_most=1.0)
    growth = check_number("growth", growth, above=0.0)
    names = check_phases(phases)
    start = time.perf_counter()

    sections = [[b, c], [c, a], [a, b]]
    boxes_in_all = math.prod(graded_steps(section, resolution, grading, growth) for section in sections)
    require_boxes("resolution", resolution, boxes_in_all, 3)
    axes = [graded_axis(section, resolution, grading, growth) for section in sections]
    shape = tuple(len(axis) - 1 for axis in axes)
    near = [np.abs(0.5 * (axis[1:] + axis[:-1]) - 0.5) * 2.0 for axis in axes]
    x, y, z = np.meshgrid(*near, indexing="ij", sparse=True)
    network = ((y < a) & (z < a)) | ((z < b) & (x < b)) | ((x < c) & (y < c))
    if len(names) == 1:
        boxes = np.argwhere(network if names[0] == NETWORK else ~network)
    else:
        boxes = np.argwhere(np.ones(shape, dtype=bool))
    tag_of_box = np.where(network, 1, 2).astype(np.int32)[tuple(boxes.T)]

    facets, facet_tags, facet_names = _box_facets(network, NETWORK in names, len(names) == 2)
    raw = RawCell(
        points=grid_points(axes),
        cells=corners_of_boxes(boxes, shape, _away(shape))[:, CUTS[3]].reshape(-1, 4),
        kind="tetrahedron",
        order=1,
        phase_of_cell=np.repeat(tag_of_box, 6),
        phases={name: tag for name, tag in ((NETWORK, 1), (OUTSIDE, 2)) if name in names},
        facets=facets,
        facet_tags=facet_tags,
        facet_names=facet_names,
        lattice=Lattice.box(1.0, 1.0, 1.0),
    )
    log.info("structured three-pipe: %d tetrahedra in %.2f s", len(raw.cells), time.perf_counter() - start)
    return raw


def check_edges(edges: float | Sequence[float]) -> tuple[float, float, float]:
    """Return the three edges; each must be in (0, 1), and not so near the ends that planes fall together."""
    values = list(edges) if isinstance(edges, (Sequence, np.ndarray)) and not isinstance(edges, str) else [edges] * 3
    if len(values) != 3:
        raise InputError("edges", edges, "one number, or three: the edges of the pipes along x, y and z")
    remedy = "An edge is a fraction of the period."
    a, b, c = (check_number("edges", value, above=0.0, below=1.0, remedy=remedy) for value in values)
    if min(a, b, c) < _NEAREST or max(a, b, c) > 1.0 - _NEAREST:
        raise InputError("edges", edges, f"at least {_NEAREST:g} away from 0 and from 1", remedy)
    return a, b, c


def check_phases(phases: Sequence[str]) -> list[str]:
    """Return the names of the phases of the mesh: one of the two or both."""
    names = [phases] if isinstance(phases, str) else list(phases)
    for name in names:
        check_choice("phases", name, [NETWORK, OUTSIDE])
    if not names:
        raise InputError("phases", phases, f"{NETWORK!r}, {OUTSIDE!r} or both")
    return names


def _away(shape: tuple[int, ...]) -> list[npt.NDArray[np.bool_]]:
    """The diagonals run away from the centre: the mesh then has every symmetry of the cell."""
    return [np.arange(n) >= n // 2 for n in shape]


def _box_facets(
    network: npt.NDArray[np.bool_], inner: bool, both: bool
) -> tuple[Indices, npt.NDArray[np.int32], dict[str, int]]:
    """Return the facets between the phases and on the period faces, seen from the boxes of the phases in the mesh."""
    shape = network.shape
    tags = {INTERFACE: 10} | {name: 11 + k for k, name in enumerate(FACES)}
    found, found_tags = [], []

    def add(boxes: Indices, axis: int, upper_side: bool, tag: int) -> None:
        far = (boxes[:, axis] >= shape[axis] // 2) == upper_side
        i, j = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        halves = np.array([[0, i, i | j], [0, j, i | j]])
        local = halves[None] + np.where(far, 1 << axis, 0)[:, None, None]
        corners = corners_of_boxes(boxes, shape, _away(shape))
        found.append(np.take_along_axis(corners, local.reshape(-1, 6), axis=1).reshape(-1, 3))
        found_tags.append(np.full(2 * len(boxes), tag, dtype=np.int32))

    for axis in range(3):
        change = np.argwhere(np.diff(network, axis=axis))
        below = network[tuple(change.T)] == inner
        above = change.copy()
        above[:, axis] += 1
        add(change[below], axis, True, tags[INTERFACE])
        add(above[~below], axis, False, tags[INTERFACE])
        for side in range(2):
            at_face = np.take(network, -side, axis=axis)
            boxes = np.argwhere(np.ones_like(at_face) if both else at_face == inner)
            boxes = np.insert(boxes, axis, side * (shape[axis] - 1), axis=1)
            add(boxes, axis, bool(side), tags[FACES[2 * axis + side]])
    return np.vstack(found), np.concatenate(found_tags), tags
