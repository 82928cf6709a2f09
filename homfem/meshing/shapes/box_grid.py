"""Grids of rectangles and boxes, cut into simplices or as they are, for interfaces that all lie in coordinate planes.

Every box of the grid may be cut around one of its diagonals: two triangles, or the six tetrahedra of Kuhn, one for each
order in which the axes are walked. On which side the diagonal begins is chosen for each axis and layer alone, so that
neighbours, opposite faces included, always share the diagonals of the face between them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.budget import require_cells
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.parameters import Array, CellError, Lattice, check_choice, check_number
from homfem.reference import BOX, SIMPLEX

#: What the boxes of a grid become.
ELEMENTS = ("simplex", "voxel")
#: Corners (number = bits zyx) of the simplices of a box around its diagonal from corner 0 to the last corner.
CUTS = {
    2: np.array([[0, 1, 3], [0, 2, 3]]),
    3: np.array([[0, 1 << i, (1 << i) | (1 << j), 7] for i in range(3) for j in range(3) if i != j]),
}


def box_grid_raw(
    axes: Sequence[Array],
    tags: npt.NDArray[np.int32],
    phases: Mapping[str, int],
    *,
    upward: Sequence[npt.NDArray[np.bool_]] | None = None,
    elements: str = "simplex",
    length_unit: str = "m",
) -> RawCell:
    """Return the grid of boxes with the given tags, cut into simplices or as it is.

    Parameters
    ----------
    axes
        Nodes along x, y (and z), increasing; the cell is the box that they span, one period.
    tags : array of int, shape (boxes along x, along y, ...)
        Tag of each box; boxes whose tag is not one of ``phases`` are left out.
    phases
        Name and tag of each phase.
    upward
        For each axis and each of its layers whether the diagonals run towards larger coordinates; by default all do.
    elements
        ``"simplex"``: two triangles or six tetrahedra for each box; ``"voxel"``: one quadrilateral or hexahedron.
    length_unit
        Unit of the nodes.
    """
    check_choice("elements", elements, ELEMENTS)
    d, shape = len(axes), tuple(len(axis) - 1 for axis in axes)
    if tags.shape != shape:
        raise CellError("tags", tags.shape, f"of shape {shape}, one tag per box")
    cuts = CUTS[d] if elements == "simplex" else np.arange(1 << d)[None]
    if upward is None or elements == "voxel":
        upward = [np.ones(n, dtype=bool) for n in shape]
    boxes = np.argwhere(np.isin(tags, list(phases.values())))
    corners = corners_of_boxes(boxes, shape, upward)
    return RawCell(
        points=grid_points(axes),
        cells=corners[:, cuts].reshape(-1, cuts.shape[1]),
        kind=SIMPLEX[d] if elements == "simplex" else BOX[d],
        order=1,
        phase_of_cell=np.repeat(tags[tuple(boxes.T)].astype(np.int32), len(cuts)),
        element=np.repeat(np.ravel_multi_index(tuple(boxes.T), shape), len(cuts)),
        element_shape=shape,
        phases=phases,
        facets=np.zeros(0, dtype=np.int64),
        facet_tags=np.zeros(0, dtype=np.int32),
        facet_names={},
        lattice=Lattice.box(*(float(axis[-1] - axis[0]) for axis in axes)),
        length_unit=length_unit,
    )


def require_boxes(name: str, value: Any, count: float, dimension: int, elements: str = "simplex") -> None:
    """Refuse a parameter with which a grid of ``count`` boxes would not fit into the memory."""
    if elements == "simplex":
        require_cells(name, value, SIMPLEX[dimension], len(CUTS[dimension]) * count)
    else:
        require_cells(name, value, BOX[dimension], count)


def grid_points(axes: Sequence[Array]) -> Array:
    """Return the nodes of a grid, x running fastest; shape (n, d)."""
    return np.stack([g.ravel(order="F") for g in np.meshgrid(*axes, indexing="ij")], axis=1)


def corners_of_boxes(boxes: Indices, shape: tuple[int, ...], upward: Sequence[npt.NDArray[np.bool_]]) -> Indices:
    """Return the grid nodes at the corners of boxes, shape (n, 2^d); the diagonal runs from the first to the last.

    Parameters
    ----------
    boxes : array, shape (n, d)
        Place of each box in the grid.
    shape
        Number of boxes along each axis.
    upward
        For each axis and each of its layers whether corner 0 is the lower one.
    """
    d = len(shape)
    stride = np.cumprod([1, *(n + 1 for n in shape[:-1])])
    up = np.stack([np.asarray(upward[a])[boxes[:, a]] for a in range(d)], axis=1)
    bits = (np.arange(1 << d)[:, None] >> np.arange(d)) & 1
    return np.asarray(((boxes + ~up) @ stride)[:, None] + (np.where(up, 1, -1) * stride) @ bits.T)


def block_array_raw(
    labels: npt.NDArray[np.int64],
    phases: Mapping[str, int],
    lengths: Sequence[Array],
    *,
    resolution: float = 0.1,
    grading: float = 1.0,
    growth: float = 1.0,
    elements: str = "simplex",
    length_unit: str = "m",
) -> RawCell:
    r"""Return the mesh of an array of blocks (2D rectangles or 3D boxes), conforming to all of their sides.

    Along each axis the spacing at distance s from the nearest side of a block is :math:`\min(H, g\,w+q\,s)` with the
    bulk spacing H (``resolution`` times the shortest period, or half of the block if that is smaller), the smaller w
    of the bulk spacings on both sides, ``grading`` g and ``growth`` q. Each block is symmetric about its centre lines.

    Parameters
    ----------
    labels : array of int, shape (n1, n2) or (n1, n2, n3)
        Tag of the phase of each block along x, y, z; a tag that is not one of ``phases`` is left out.
    phases
        Name and tag of each phase.
    lengths
        For each axis the lengths of its layers, > 0, in ``length_unit``.
    resolution
        Bulk spacing as a fraction of the shortest period, in (0, 1/3].
    grading
        Spacing at the sides of the blocks over the bulk spacing, in (0, 1].
    growth
        Slope of the spacing, > 0.
    elements
        As for :func:`box_grid_raw`.
    length_unit
        Unit of the lengths.
    """
    resolution = check_number("resolution", resolution, above=0.0, at_most=1 / 3)
    grading = check_number("grading", grading, above=0.0, at_most=1.0)
    growth = check_number("growth", growth, above=0.0)
    bulk = resolution * min(float(np.sum(part)) for part in lengths)
    counts = [_steps_along(np.asarray(part), bulk, grading, growth) for part in lengths]
    require_boxes("resolution", resolution, math.prod(counts), len(lengths), elements)
    axes, upward, tags = [], [], labels
    for a, part in enumerate(lengths):
        nodes, up, layer = _block_axis(np.asarray(part), bulk, grading, growth)
        axes.append(nodes)
        upward.append(up)
        tags = np.take(tags, layer, axis=a)
    return box_grid_raw(axes, tags.astype(np.int32), phases, upward=upward, elements=elements, length_unit=length_unit)


def _block_axis(
    part: Array, resolution: float, grading: float, growth: float
) -> tuple[Array, npt.NDArray[np.bool_], Indices]:
    """Return the nodes along an axis, and for each layer of the grid whether it is in an upper half, and its block."""
    bulks, smallest = _spacings(part, resolution, grading)
    starts = np.concatenate([[0.0], np.cumsum(part)])
    nodes: list[Array] = [np.zeros(1)]
    counts: list[int] = []
    for k, (low, high) in enumerate(itertools.pairwise(starts)):
        half, middle = 0.5 * (high - low), 0.5 * (high + low)
        lower = one_sided(half, bulks[k], smallest[k], growth)
        upper = one_sided(half, bulks[k], smallest[(k + 1) % len(part)], growth)
        nodes += [low + lower[:-1], np.array([middle]), (high - upper[:-1])[::-1], np.array([high])]
        counts += [len(lower), len(upper)]
    flag = np.tile([False, True], len(part))
    return np.concatenate(nodes), np.repeat(flag, counts), np.repeat(np.arange(2 * len(part)) // 2, counts)


def _spacings(part: Array, resolution: float, grading: float) -> tuple[Array, Array]:
    """Bulk spacing in each block of an axis, and the spacing at its lower end."""
    bulks = np.minimum(resolution, 0.5 * part)
    return bulks, grading * np.minimum(bulks, np.roll(bulks, 1))


def _steps_along(part: Array, resolution: float, grading: float, growth: float) -> float:
    """Number of layers of the grid that :func:`_block_axis` gives."""
    bulks, smallest = _spacings(part, resolution, grading)
    ends = np.stack([smallest, np.roll(smallest, -1)])
    pieces = itertools.product(range(len(part)), (0, 1))
    return float(sum(steps(0.5 * part[k], bulks[k], ends[side, k], growth) for k, side in pieces))


def graded_axis(edges: Sequence[float], resolution: float, grading: float, growth: float) -> Array:
    """Return the nodes of [0, 1], symmetric about 1/2, with nodes at (1 - e)/2 and (1 + e)/2 for each edge e."""
    half: list[Array] = [np.zeros(1)]
    for low, high, lower, upper in _graded_pieces(edges, resolution, grading, growth):
        if low > 0.0:
            half.append(low + one_sided(*lower))
        if high < 0.5:
            half.append(high - one_sided(*upper)[::-1])
            half.append(np.array([high]))
    nodes = np.concatenate(half)
    nodes = np.concatenate([nodes[np.concatenate([[True], np.diff(nodes) > 1e-12])][:-1], [0.5]])
    return np.concatenate([nodes, 1.0 - nodes[-2::-1]])


def graded_steps(edges: Sequence[float], resolution: float, grading: float, growth: float) -> float:
    """Return the number of steps between the nodes that :func:`graded_axis` gives, or a few more."""
    count = 0.0
    for low, high, lower, upper in _graded_pieces(edges, resolution, grading, growth):
        count += (steps(*lower) if low > 0.0 else 0.0) + (steps(*upper) if high < 0.5 else 0.0)
    return 2.0 * count


def _graded_pieces(edges: Sequence[float], resolution: float, grading: float, growth: float) -> list[Any]:
    """The pieces of [0, 1/2] between planes: both ends, and for each what :func:`one_sided` takes."""
    planes = sorted({0.5 * (1.0 - edge) for edge in edges})
    pieces = list(itertools.pairwise([0.0, *planes, 0.5]))
    # A piece that ends at the wall or at the centre is continued there by its mirror image.
    gaps = [high - low if low > 0.0 and high < 0.5 else 2.0 * (high - low) for low, high in pieces]
    bulks = [min(resolution, 0.5 * gap) for gap in gaps]
    smallest = dict(zip(planes, (grading * min(pair) for pair in itertools.pairwise(bulks)), strict=True))
    return [
        (low, high, *((0.5 * gap, bulk, smallest.get(end, bulk), growth) for end in (low, high)))
        for (low, high), gap, bulk in zip(pieces, gaps, bulks, strict=True)
    ]


def steps(length: float, bulk: float, smallest: float, growth: float) -> float:
    """Return the number of distances that :func:`one_sided` gives; infinite where it cannot be told."""
    graded, even = _integral(length, bulk, smallest, growth)
    return max(1.0, float(np.ceil(graded + even - 1e-9)))


def _integral(length: float, bulk: float, smallest: float, growth: float) -> tuple[float, float]:
    """The integral of 1/h over the part where h grows and over the rest."""
    length, bulk, smallest = float(length), float(bulk), float(smallest)
    reach = min((bulk - smallest) / growth, length)
    return math.log1p(growth * reach / smallest) / growth, (length - reach) / bulk


def one_sided(length: float, bulk: float, smallest: float, growth: float) -> Array:
    """Return distances from 0 (left out) to ``length``, growing apart: equal steps of the integral of 1/h."""
    graded, even = _integral(length, bulk, smallest, growth)
    level = np.linspace(0.0, graded + even, int(steps(length, bulk, smallest, growth)) + 1)
    inside = smallest * np.expm1(growth * np.minimum(level, graded)) / growth
    nodes = (inside + bulk * np.maximum(level - graded, 0.0))[1:]
    nodes[-1] = length
    return nodes
