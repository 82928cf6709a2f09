r"""Cells that are made here: three orthogonal pipes that cross at the centre of the unit cube.

With edges :math:`(a, b, c)` the network is

.. math:: \{|y-\tfrac12|,|z-\tfrac12|<\tfrac a2\}\cup\{|z-\tfrac12|,|x-\tfrac12|<\tfrac b2\}\cup
          \{|x-\tfrac12|,|y-\tfrac12|<\tfrac c2\},

the pipe along x has the cross-section a by a, and so on. Equal edges l: volume fraction :math:`3l^2-2l^3`, interface
area :math:`12\,l(1-l)` per cell; the complement is the network of edge 1 - l shifted by half a period.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from homfem.cells.raw import Indices, RawCell
from homfem.parameters import Array, InputError, Lattice, check_choice, check_number

log = logging.getLogger("homfem")

NETWORK, OUTSIDE = "er", "cytosol"
INTERFACE = f"{NETWORK}|{OUTSIDE}"
FACES = ("x-", "x+", "y-", "y+", "z-", "z+")

# The six tetrahedra of a box around its diagonal from corner 0 to corner 7 (corner number = bits zyx): one for each
# order in which the three axes are walked. Every pair of opposite faces of the box is cut along the same diagonal.
_KUHN = np.array([[0, 1 << i, (1 << i) | (1 << j), 7] for i in range(3) for j in range(3) if i != j])


def three_pipe_raw(
    edges: float | Sequence[float] = 0.1,
    *,
    resolution: float = 0.05,
    grading: float = 0.25,
    phases: Sequence[str] = (NETWORK, OUTSIDE),
    section: str = "square",
    order: int = 1,
    mesher: str = "structured",
) -> RawCell:
    """Return the mesh of three orthogonal pipes that cross at the centre of the unit cube.

    Parameters
    ----------
    edges
        Edge of the pipes along x, y, z (``section="round"``: their diameter) as a fraction of the period, or one
        for all; in (0, 1).
    resolution
        Bulk mesh size as a fraction of the period, in (0, 1/3].
    grading
        Mesh size at the edges where the corrector is singular, over the bulk size; in (0, 1].
    phases
        ``"er"`` (the pipes), ``"cytosol"`` (the rest), or both.
    section
        ``"square"`` or ``"round"``.
    order
        Degree of the geometry, 1 or 2.
    mesher
        ``"structured"`` (square section and order 1 only): graded grid of boxes cut into tetrahedra.
    """
    check_choice("section", section, ["square", "round"])
    check_choice("mesher", mesher, ["structured"])
    return structured_three_pipe(edges, resolution=resolution, grading=grading, phases=phases)


def structured_three_pipe(
    edges: float | Sequence[float] = 0.1,
    *,
    resolution: float = 0.05,
    grading: float = 0.25,
    growth: float = 0.5,
    phases: Sequence[str] = (NETWORK, OUTSIDE),
) -> RawCell:
    r"""Mesh the three square pipes with a graded grid of boxes, each cut into six tetrahedra.

    Along each axis the spacing at distance s from the nearest interface plane is

    .. math:: h(s) = \min(H,\; g H + q\,s),

    with the bulk size H (``resolution``, or half of the gap between two planes if that is smaller), ``grading`` g and
    ``growth`` q. The grid is symmetric about the centre and the boxes of each octant are cut along the diagonal that
    points to the centre: the mesh has every symmetry of the cell (all 48 of a cube for equal edges), opposite faces
    match bit for bit, and the interface is met exactly.

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
    names = _check_phases(phases)
    start = time.perf_counter()

    axes = [graded_axis([p, q], resolution, grading, growth) for p, q in ((b, c), (c, a), (a, b))]
    shape = tuple(len(axis) - 1 for axis in axes)
    near = [np.abs(0.5 * (axis[1:] + axis[:-1]) - 0.5) * 2.0 for axis in axes]
    x, y, z = np.meshgrid(*near, indexing="ij", sparse=True)
    network = ((y < a) & (z < a)) | ((z < b) & (x < b)) | ((x < c) & (y < c))
    if len(names) == 1:
        boxes = np.argwhere(network if names[0] == NETWORK else ~network)
    else:
        boxes = np.argwhere(np.ones(shape, dtype=bool))
    tag_of_box = np.where(network, 1, 2).astype(np.int32)[tuple(boxes.T)]

    grid = np.meshgrid(*axes, indexing="ij")
    facets, facet_tags, facet_names = _box_facets(network, NETWORK in names, len(names) == 2)
    raw = RawCell(
        points=np.stack([g.ravel(order="F") for g in grid], axis=1),
        cells=_corners_of_boxes(boxes, shape)[:, _KUHN].reshape(-1, 4),
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


def graded_axis(edges: Sequence[float], resolution: float, grading: float, growth: float) -> Array:
    """Return the nodes of [0, 1], symmetric about 1/2, with nodes at (1 - e)/2 and (1 + e)/2 for each edge e."""
    planes = sorted({0.5 * (1.0 - edge) for edge in edges})
    stops = [0.0, *planes, 0.5]
    pieces = []
    for low, high in itertools.pairwise(stops):
        length = high - low
        # A piece that ends at the wall or at the centre is continued there by its mirror image.
        gap = length if low > 0.0 and high < 0.5 else 2.0 * length
        bulk = min(resolution, 0.5 * gap)
        sides = (low > 0.0) + (high < 0.5)
        spacing = _one_sided(length / sides, bulk, grading * bulk, growth)
        nodes = np.concatenate([[0.0], np.cumsum(spacing)])
        nodes *= length / sides / nodes[-1]
        if sides == 2:
            nodes = np.concatenate([nodes, length - nodes[-2::-1]])
        piece = low + nodes if low > 0.0 else (high - nodes)[::-1]
        piece[0], piece[-1] = low, high
        pieces.append(piece[:-1])
    half = np.concatenate([*pieces, [0.5]])
    return np.concatenate([half, 1.0 - half[-2::-1]])


def _one_sided(length: float, bulk: float, smallest: float, growth: float) -> Array:
    """Return spacings that fill ``length``, growing away from its start: equal steps of the integral of 1/h."""
    reach = min((bulk - smallest) / growth, length)
    graded = math.log1p(growth * reach / smallest) / growth
    count = max(1, math.ceil(graded + (length - reach) / bulk - 1e-9))
    level = np.linspace(0.0, graded + (length - reach) / bulk, count + 1)
    inside = smallest * np.expm1(growth * np.minimum(level, graded)) / growth
    return np.diff(inside + bulk * np.maximum(level - graded, 0.0))


def check_edges(edges: float | Sequence[float]) -> tuple[float, float, float]:
    """Return the three edges; each must be in (0, 1)."""
    values = list(edges) if isinstance(edges, (Sequence, np.ndarray)) and not isinstance(edges, str) else [edges] * 3
    if len(values) != 3:
        raise InputError("edges", edges, "one number, or three: the edges of the pipes along x, y and z")
    remedy = "An edge is a fraction of the period."
    a, b, c = (check_number("edges", value, above=0.0, below=1.0, remedy=remedy) for value in values)
    return a, b, c


def _check_phases(phases: Sequence[str]) -> list[str]:
    names = [phases] if isinstance(phases, str) else list(phases)
    for name in names:
        check_choice("phases", name, [NETWORK, OUTSIDE])
    if not names:
        raise InputError("phases", phases, f"{NETWORK!r}, {OUTSIDE!r} or both")
    return names


def _corners_of_boxes(boxes: Indices, shape: tuple[int, ...]) -> Indices:
    """Return the grid nodes at the corners of boxes, shape (n, 8): corner 0 is the nearest to the cell's centre."""
    stride = np.array([1, shape[0] + 1, (shape[0] + 1) * (shape[1] + 1)])
    upper = boxes >= np.array(shape) // 2
    step = np.where(upper, 1, -1) * stride
    bits = (np.arange(8)[:, None] >> np.arange(3)) & 1
    return np.asarray(((boxes + ~upper) @ stride)[:, None] + step @ bits.T)


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
        corners = _corners_of_boxes(boxes, shape)
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
