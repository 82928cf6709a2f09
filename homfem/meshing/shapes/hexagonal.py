r"""Heart muscle cells of hexagonal section in a hexagonal array; every interface is plane, the mesh is structured.

The section of the tissue is cut into the hexagons of the array, one around each cell; each of them into six sectors
around its centre, and a sector into rows of triangles up to the side of the cell and a strip of rectangles beyond. The
triangles become prisms along the cells, and each prism three tetrahedra.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.csgraph
import scipy.spatial

from homfem.meshing.arrays.budget import require_cells
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.shapes.box_grid import one_sided, steps
from homfem.meshing.shapes.junctions import with_junctions
from homfem.meshing.shapes.plan import CellPlan, Myocytes
from homfem.parameters import Array, Lattice, check_number

PHASES = {"intracellular": 1, "junction": 2, "extracellular": 3}
#: Parts of the section: the patch on the end of a cell, the rest of the cell, the patch on its side, the rest.
CORE, BODY, PATCH, GAP = range(4)

Flags = npt.NDArray[np.bool_]


def hexagonal_myocyte_plan(length: float, width: float, gap: float, *, staggered: bool, common: Myocytes) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.hexagonal_myocyte`, which has the parameters; no MPI here."""
    long = check_number("length", length, above=0.0, remedy="It is the size of a cell.")
    wide = check_number("width", width, above=0.0, remedy="It is the size of a cell.")
    small = min(long, wide)
    apart = check_number("gap", gap, at_least=1e-6 * small, below=small, remedy="The gap is narrower than a cell.")
    check_number("end_patch", common.end_patch, below=1.0, remedy="A hexagonal mesh needs a rim around the patch.")
    check_number("side_patch", common.side_patch, below=1.0, remedy="A hexagonal mesh needs room beside the patch.")
    end, side, resolution, length_unit = common.end_patch, common.side_patch, common.resolution, common.length_unit
    unit = min(long + apart, wide + apart)

    def make() -> RawCell:
        rows, layers = _rows_and_layers(wide / unit, apart / unit, resolution)
        along = 12.0 + steps((long + apart) / unit, resolution, resolution, 1.0)
        require_cells("resolution", resolution, "tetrahedron", 36.0 * (rows**2 + 2.0 * rows * layers) * along)
        section = _section(wide / unit, apart / unit, end, resolution)
        shift = 0.5 if staggered else 0.0
        return with_junctions(_extruded(section, long / unit, apart / unit, side, shift, resolution, length_unit))

    return CellPlan(make=make, name="hexagonal-myocyte", length=unit, length_unit=length_unit)


@dataclass(frozen=True, slots=True, eq=False)
class _Section:
    """Triangles of the plane across the cells, of one period.

    Parameters
    ----------
    points : array, shape (n, 2)
        In the plane (y, z).
    triangles : array of int, shape (m, 3)
        Their corners in the order in which a prism is cut: two triangles agree on the order of what they share.
    part : array of int, shape (m,)
    row : array of int, shape (m,)
        To which of the two cells the triangle belongs.
    pitch
        Distance p of the axes: periods p and sqrt(3) p.
    """

    points: Array
    triangles: Indices
    part: Indices
    row: Indices
    pitch: float


def _section(wide: float, apart: float, end: float, size: float) -> _Section:
    """Two hexagons of the array, in sectors of triangles not much larger than ``size``."""
    rows, layers = (int(number) for number in _rows_and_layers(wide, apart, size))
    heights, places = _sector_points(wide, apart, end, rows, layers)
    pitch = wide + apart

    angle = np.arange(6) * np.pi / 3.0
    normal, tangent = (np.stack(pair, axis=1) for pair in (
        (np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle)),
    ))  # fmt: skip
    sectors = heights[:, None] * normal[:, None] + places[:, None] * tangent[:, None]
    centres = np.array([[0.0, 0.0], [0.5 * pitch, 0.5 * math.sqrt(3.0) * pitch]])
    points = (centres[:, None, None] + sectors).reshape(-1, 2)
    count = len(heights)
    # Opposite sides differ in turn, so that the two cells that share a side agree on its middle.
    (straight, part), (turned, _) = (_sector_triangles(rows, layers, end, turn) for turn in (False, True))
    triangles = np.stack([straight, turned] * 6) + count * np.arange(12)[:, None, None]
    label, first = _merged(points, 1e-9 * pitch)
    return _Section(
        points=points[first],
        triangles=label[triangles.reshape(-1, 3)],
        part=np.tile(part, 12),
        row=np.repeat([0, 1], 6 * len(part)),
        pitch=pitch,
    )


def _rows_and_layers(wide: float, apart: float, size: float) -> tuple[float, float]:
    """Rows of triangles from the centre of a hexagon to its side, and beyond it."""
    rows = np.ceil(max(3.0, wide / math.sqrt(3.0) / size, 0.5 * wide / size))
    return float(rows), float(np.ceil(max(1.0, 0.5 * apart / size)))


def _sector_points(wide: float, apart: float, end: float, rows: int, layers: int) -> tuple[Array, Array]:
    """Distance from the centre along the normal of the side, and place along the side, of the nodes of a sector.

    Row j = 0 ... ``rows`` has j + 1 nodes; the last is the side of the cell, and as many lie in each layer beyond.
    """
    core, outer = _split(rows, end)
    row = np.repeat(np.arange(rows + 1), np.arange(1, rows + 2))
    along = np.concatenate([np.arange(j + 1) for j in range(rows + 1)]) / np.maximum(row, 1)
    height = 0.5 * wide * np.interp(row, [0, core, rows], [0.0, end, 1.0])
    share = np.array([0.0, outer / rows, 1.0 - outer / rows, 1.0])
    place = np.interp(along, share, [-1.0, -end, end, 1.0]) * height / math.sqrt(3.0)
    place[0] = 0.0
    # Across the patch the lines of the strip are normal to the side; the corner goes to the corner.
    last = place[-rows - 1 :]
    half = 0.5 * np.array([end * wide, wide, wide + apart]) / math.sqrt(3.0)
    stretched = np.interp(last, half[1] * np.array([-1.0, -end, end, 1.0]), [-half[2], -half[0], half[0], half[2]])
    depth = np.arange(1, layers + 1)[:, None] / layers
    beyond = last + depth * (stretched - last)
    heights = np.broadcast_to(0.5 * (wide + depth * apart), beyond.shape)
    return np.concatenate([height, heights.ravel()]), np.concatenate([place, beyond.ravel()])


def _split(rows: int, end: float) -> tuple[int, int]:
    """Number of rows inside the patch on the end, and of nodes' gaps from a corner to the patch on the side."""
    return int(np.clip(round(end * rows), 1, rows - 1)), int(np.clip(round(0.5 * (1 - end) * rows), 1, (rows - 1) // 2))


def _sector_triangles(rows: int, layers: int, end: float, turn: bool) -> tuple[Indices, Indices]:
    """Triangles of a sector, their corners in the order of the cut, and the part to which each belongs.

    The order is from the centre outwards, in a row from its ends to the middle, and over the middle of the row as
    ``turn`` says. So the corner with the right angle of a thin triangle is never the first or the last.
    """
    core, outer = _split(rows, end)
    row, k = np.tril_indices(rows)
    first, below = row * (row + 1) // 2 + k, (row + 1) * (row + 2) // 2 + k
    outward = np.stack([first, below, below + 1], axis=1)
    inner = k < row
    inward = np.stack([first, first + 1, below + 1], axis=1)[inner]
    cell = np.where(np.concatenate([row, row[inner]]) < core, CORE, BODY)

    layer, k = (grid.ravel() for grid in np.mgrid[:layers, :rows])
    low = rows * (rows + 1) // 2 + layer * (rows + 1) + k
    high = low + rows + 1
    towards = (2 * k + turn < rows)[:, None]
    one = np.where(towards, np.stack([low, low + 1, high + 1], axis=1), np.stack([low, low + 1, high], axis=1))
    two = np.where(towards, np.stack([low, high, high + 1], axis=1), np.stack([low + 1, high, high + 1], axis=1))
    strip = np.where((k >= outer) & (k < rows - outer), PATCH, GAP)

    level = np.concatenate(
        [np.repeat(np.arange(rows), np.arange(1, rows + 1)), rows + np.repeat(np.arange(layers + 1), rows + 1)]
    )
    start = np.concatenate([[0], np.flatnonzero(np.diff(level)) + 1])
    place, segments = np.arange(len(level)) - start[level], np.minimum(level, rows)
    across = segments - place if turn else place
    key = (level * (rows + 1) - np.abs(2 * place - segments)) * (rows + 1) + across
    triangles = np.vstack([outward, inward, one, two])
    ordered = np.take_along_axis(triangles, np.argsort(key[triangles], axis=1), axis=1)
    return ordered, np.concatenate([cell, strip, strip])


def _merged(points: Array, distance: float) -> tuple[Indices, Indices]:
    """Number of each point when those closer than ``distance`` are one, and the first point of each number."""
    pairs = scipy.spatial.cKDTree(points).query_pairs(distance, output_type="ndarray")
    links = scipy.sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    label = scipy.sparse.csgraph.connected_components(links, directed=False)[1].astype(np.int64)
    return label, np.unique(label, return_index=True)[1]


def _extruded(
    section: _Section, long: float, apart: float, side: float, shift: float, size: float, length_unit: str
) -> RawCell:
    """The section along x: layers of prisms, each of which is three tetrahedra."""
    period = long + apart
    patch = 0.25 * side * (long - apart)
    planes = [0.5 * apart, period - 0.5 * apart]
    planes += [place * period + sign * patch for place in (0.25, 0.75) for sign in (-1.0, 1.0)]
    planes += [0.5 * (period - apart), 0.5 * (period + apart)] if shift else []
    nodes, upward = _layers(np.sort(planes), period, size)
    middle = 0.5 * (nodes[1:] + nodes[:-1])

    between = [
        np.abs((middle - move * period + 0.5 * period) % period - 0.5 * period) < 0.5 * apart for move in (0, shift)
    ]
    bridged = np.min([np.abs(middle - place * period) for place in (0.25, 0.75)], axis=0) < patch
    outside = np.stack(between)[section.row]
    part = section.part[:, None]
    in_cell = np.where(
        outside, np.where(part == CORE, PHASES["junction"], PHASES["extracellular"]), PHASES["intracellular"]
    )
    in_gap = np.where((part == PATCH) & bridged, PHASES["junction"], PHASES["extracellular"])
    phase = np.where(part <= BODY, in_cell, in_gap)

    count = len(section.points)
    base = section.triangles[:, None] + count * np.arange(len(middle))[:, None]
    above = base + count
    low, high = np.where(upward[:, None], base, above), np.where(upward[:, None], above, base)
    a, b, c = np.moveaxis(low, 2, 0)
    d, e, f = np.moveaxis(high, 2, 0)
    tetrahedra = np.stack([np.stack(corners, axis=2) for corners in ((a, b, c, f), (a, b, e, f), (a, d, e, f))], axis=2)
    points = np.column_stack([np.repeat(nodes, count), np.tile(section.points, (len(nodes), 1))])
    return RawCell(
        points=points,
        cells=tetrahedra.reshape(-1, 4),
        kind="tetrahedron",
        order=1,
        phase_of_cell=np.repeat(phase.ravel(), 3).astype(np.int32),
        phases=PHASES,
        facets=np.zeros((0, 3), dtype=np.int64),
        facet_tags=np.zeros(0, dtype=np.int32),
        facet_names={},
        lattice=Lattice.box(period, section.pitch, math.sqrt(3.0) * section.pitch),
        length_unit=length_unit,
    )


def _layers(planes: Array, period: float, size: float) -> tuple[Array, Flags]:
    """Nodes along x, growing apart from each plane towards the middle to the next, and in which half each layer is."""
    widths = np.diff(np.append(planes, planes[0] + period))
    bulks = np.minimum(size, 0.5 * widths)
    nodes: list[Array] = [np.zeros(1)]
    upper: list[Flags] = []
    for k, plane in enumerate(planes):
        smallest = float(min(bulks[k - 1], bulks[k]))
        before = one_sided(0.5 * widths[k - 1], bulks[k - 1], smallest, 1.0)
        after = one_sided(0.5 * widths[k], bulks[k], smallest, 1.0)
        nodes += [plane - before[-2::-1], np.array([plane]), plane + after]
        upper += [np.ones(len(before), dtype=bool), np.zeros(len(after), dtype=bool)]
    nodes[-1][-1] = period
    return np.concatenate(nodes), np.concatenate(upper)
