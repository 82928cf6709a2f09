r"""Cutting a periodic grid of simplices along surfaces that are given by level sets. Plain arrays on one rank.

Isosurface stuffing: where the surface crosses an edge close to a vertex, that vertex is moved onto the surface, so
that no short edges are left over; then every simplex that the surface still crosses is bisected at the crossings of
its edges, all in one order of the edges. What happens to a facet depends on its edges alone, so that neighbours agree.

Everything is decided once on the torus: a node and its images one period away are one, and so are their edges. Nodes
on the faces of the cell stay in them where the surface lets them; nodes in mirror planes, the walls, always do.

Source: Labelle, Shewchuk 2007, ACM Trans. Graphics 26(3), 57, doi 10.1145/1276377.1276448.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.identification import identify_nodes
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.arrays.refinement import PAIRS, bisect_simplices
from homfem.meshing.cut.background import sines
from homfem.meshing.cut.level_sets import STEP, LevelSet, expansions, roots, values
from homfem.meshing.cut.mirror_parts import Part
from homfem.parameters import Array, Lattice

Flags = npt.NDArray[np.bool_]

#: A vertex is moved onto the surface if it is closer to a crossing, along an edge, than this times its shortest edge.
SNAP = {2: 0.38, 3: 0.3}

#: Cells with a sine of an angle below this are flat.
FLAT = 0.05


@dataclass(slots=True, eq=False)
class CutMesh:
    """A periodic mesh that is being cut.

    Parameters
    ----------
    part
        What of the period is meshed.
    points : array, shape (n, d)
        ``points[i] = points[representative[i]] + offset[i] @ lattice.vectors``.
    representative : array of int, shape (n,)
    offset : array of int, shape (n, d)
    cells : array of int, shape (m, d + 1)
    region : array of int, shape (m,)
        Number of the first function that is negative in the cell; their count where none is.
    on : array of bool, shape (n, functions)
        On which surfaces a node lies.
    planes : array of bool, shape (n, planes)
        In which faces of the cell, by the period vector that crosses them, and in which other planes of the part a
        node lies.
    fixed : array of bool, shape (n,)
        Nodes that stay: corners of a surface.
    """

    part: Part
    points: Array
    representative: Indices
    offset: Indices
    cells: Indices
    region: Indices
    on: Flags
    planes: Flags
    fixed: Flags

    @property
    def lattice(self) -> Lattice:
        """Period vectors."""
        return self.part.lattice

    @property
    def across(self) -> Array:
        """Unit normals of the planes, shape (planes, d)."""
        return self.part.across

    @property
    def walls(self) -> Flags:
        """Planes that their nodes never leave, shape (planes,)."""
        return self.part.walls

    @property
    def step(self) -> float:
        """Step of the central differences."""
        return STEP * self.lattice.shortest

    def move(self, nodes: Indices, places: Array) -> None:
        """Move representatives, and with them their images."""
        moved = self.points.copy()
        moved[nodes] = places
        self.points = moved[self.representative] + self.offset @ self.lattice.vectors


def start(raw: RawCell, functions: int, part: Part) -> CutMesh:
    """Return the grid before any cut."""
    representative, offset = identify_nodes(raw.points, raw.lattice)
    return CutMesh(
        part=part,
        points=raw.points,
        representative=representative,
        offset=offset,
        cells=raw.corners,
        region=np.full(len(raw.cells), functions),
        on=np.zeros((len(raw.points), functions), dtype=bool),
        planes=part.planes_of(raw.points),
        fixed=np.zeros(len(raw.points), dtype=bool),
    )


def cut(mesh: CutMesh, functions: Sequence[LevelSet], number: int) -> None:
    """Cut the cells where no function before was negative along the zero level of function ``number``."""
    count = len(functions)
    sign = _signs(mesh, functions[number], number)
    edges = _crossed_edges(mesh, sign, mesh.region == count)
    if len(edges.low):
        fraction = _crossings(mesh, functions[number], edges)
        snapped = _snap(mesh, functions, number, edges, fraction)
        free = ~(snapped[edges.low] | snapped[edges.high])
        sign[snapped] = 0
        mesh.on[:, number] = sign == 0
        sign = np.concatenate([sign, np.zeros(_split(mesh, functions, number, edges, fraction, free), dtype=np.int8)])
    rest = np.flatnonzero(mesh.region == count)
    corners = sign[mesh.cells[rest]]
    inside = corners.min(axis=1) < 0
    flat = (corners == 0).all(axis=1)
    if flat.any():
        inside[flat] = values(functions[number], mesh.points[mesh.cells[rest[flat]]].mean(axis=1)) < 0.0
    mesh.region[rest[inside]] = number


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Edges between nodes ``low`` and ``high``; ``torus`` numbers them on the torus, ``first`` gives one image each."""

    low: Indices
    high: Indices
    torus: Indices
    first: Indices


def _signs(mesh: CutMesh, phi: LevelSet, number: int) -> npt.NDArray[np.int8]:
    """Sign of a function at the nodes, the same at all images of a node; 0 on its surface."""
    own = np.flatnonzero(mesh.representative == np.arange(len(mesh.points)))
    found = values(phi, mesh.points[own], f"functions[{number}]")
    found[np.abs(found) <= 1e-13 * np.abs(found).max(initial=1e-300)] = 0.0
    sign = np.zeros(len(mesh.points), dtype=np.int8)
    sign[own] = np.sign(found).astype(np.int8)
    return np.asarray(sign[mesh.representative])


def _crossed_edges(mesh: CutMesh, sign: npt.NDArray[np.int8], rest: Flags) -> Edges:
    """Edges of the cells of ``rest`` whose ends have opposite signs, with all of their images."""
    corners = sign[mesh.cells]
    mixed = np.flatnonzero((corners.min(axis=1) < 0) & (corners.max(axis=1) > 0))
    first, second = PAIRS[mesh.cells.shape[1]]
    low: Indices = mesh.cells[mixed][:, first].ravel()
    high: Indices = mesh.cells[mixed][:, second].ravel()
    of_rest = np.repeat(rest[mixed], len(first))
    crossed = sign[low] * sign[high] < 0
    low, high, of_rest = np.minimum(low, high)[crossed], np.maximum(low, high)[crossed], of_rest[crossed]
    ends = np.sort(mesh.representative[np.stack([low, high], axis=1)], axis=1)
    n = len(mesh.points)
    wanted = np.isin(ends @ [n, 1], (ends @ [n, 1])[of_rest])
    keys: Indices = np.unique(low[wanted] * n + high[wanted])
    low, high = np.divmod(keys, n)
    ends = np.sort(mesh.representative[np.stack([low, high], axis=1)], axis=1)
    _, one, torus = np.unique(ends @ [n, 1], return_index=True, return_inverse=True)
    return Edges(low, high, torus, one)


def _crossings(mesh: CutMesh, phi: LevelSet, edges: Edges) -> Array:
    """Where the surface crosses each edge of the torus, as a fraction from the low end of its first image."""
    tail = mesh.points[edges.low[edges.first]]
    step = mesh.points[edges.high[edges.first]] - tail
    return roots(lambda x, edge: values(phi, tail[edge] + x[:, None] * step[edge]), len(tail))


def _snap(mesh: CutMesh, functions: Sequence[LevelSet], number: int, edges: Edges, fraction: Array) -> Flags:
    """Move vertices that are close to a crossing onto the surface; tell which, images included.

    A vertex that is moved has no crossings on its edges any more. The closest ones go first, so that no two that share
    a crossed edge are moved where one is enough. Vertices in walls are moved if the surface is in reach there.
    """
    n = len(mesh.points)
    low, high = edges.low[edges.first], edges.high[edges.first]
    ends = mesh.representative[np.stack([low, high], axis=1)]
    step = mesh.points[high] - mesh.points[low]
    length = np.linalg.norm(step, axis=1)
    part = np.stack([fraction, 1.0 - fraction], axis=1)
    shortest = np.full(n, np.inf)
    np.minimum.at(shortest, ends, length[:, None])
    limit = np.minimum(SNAP[mesh.points.shape[1]] * shortest[ends] / length[:, None], 0.45)
    limit[_out_of_reach(mesh, functions, number, ends, part < limit, limit * length[:, None])] = -1.0
    target = mesh.points[ends] + np.stack([fraction[:, None] * step, (fraction[:, None] - 1.0) * step], axis=1)
    snapped = np.zeros(n, dtype=bool)
    nodes, places, reach = [], [], []
    open_: Indices = np.arange(len(low))
    while True:
        open_ = open_[~snapped[ends[open_]].any(axis=1)]
        close = part[open_] < limit[open_]
        if not close.any():
            break
        # The closest crossing of each vertex, and the order of the vertices by it.
        edge, side = np.nonzero(close)
        edge = open_[edge]
        order = np.lexsort((ends[edge, side], part[edge, side]))
        vertex, first = np.unique(ends[edge, side][order], return_index=True)
        edge, side = edge[order][first], side[order][first]
        rank = np.full(n, n)
        rank[vertex[np.lexsort((vertex, part[edge, side]))]] = np.arange(len(vertex))
        beaten = np.zeros(n, dtype=bool)
        beaten[np.where(rank[ends[open_, 0]] > rank[ends[open_, 1]], ends[open_, 0], ends[open_, 1])] = True
        wins = ~beaten[vertex]
        snapped[vertex[wins]] = True
        nodes.append(vertex[wins])
        places.append(target[edge[wins], side[wins]])
        reach.append(limit[edge[wins], side[wins]] * length[edge[wins]])
    if nodes:
        node = np.concatenate(nodes)
        on = mesh.on[node]
        on[:, number] = True
        _place(mesh, functions, node, on, np.concatenate(places), np.concatenate(reach))
    return snapped[mesh.representative]


def _place(
    mesh: CutMesh, functions: Sequence[LevelSet], node: Indices, on: Flags, crossing: Array, reach: Array
) -> None:
    """Move nodes to the surfaces ``on``: within the faces of the cell, else freely, else to the crossing of an edge.

    The second and the third are for nodes whose cells would be flat, and where there is no such place. Nodes in walls
    stay in them.
    """
    origin, planes = mesh.points[node], mesh.planes[node]
    own = np.full(len(mesh.points), -1)
    own[node] = np.arange(len(node))
    number: Indices = own[mesh.representative]
    near = mesh.cells[(number[mesh.cells] >= 0).any(axis=1)]
    again: Indices = np.arange(len(node))
    for faces in (planes, planes & mesh.walls, None):
        if faces is None:
            again = again[~(planes[again] & mesh.walls).any(axis=1)]
            place, kept = crossing[again], np.zeros_like(planes[again])
        else:
            place, kept, found = project(mesh, functions, origin[again], on[again], faces[again], reach[again])
            place[~found] = crossing[again][~found]
        mesh.move(node[again], place)
        mesh.planes[node[again]] = kept
        flat = number[near[sines(mesh.points[near]) < FLAT]]
        again = np.unique(flat[flat >= 0])
        if not len(again):
            break
    mesh.planes = mesh.planes[mesh.representative]


def _out_of_reach(
    mesh: CutMesh, functions: Sequence[LevelSet], number: int, ends: Indices, close: Flags, reach: Array
) -> Flags:
    """Which ends of edges lie in walls within which the surface is out of reach; of those that are close to it."""
    row, side = np.nonzero(close & (mesh.planes[ends] & mesh.walls).any(axis=2))
    node, place = np.unique(ends[row, side], return_inverse=True)
    least = np.full(len(node), np.inf)
    np.minimum.at(least, place, reach[row, side])
    on = mesh.on[node]
    on[:, number] = True
    found = project(mesh, functions, mesh.points[node], on, mesh.planes[node] & mesh.walls, least)[2]
    result = np.zeros(close.shape, dtype=bool)
    result[row, side] = ~found[place]
    return result


def project(
    mesh: CutMesh, functions: Sequence[LevelSet], points: Array, on: Flags, planes: Flags, reach: Array
) -> tuple[Array, Flags, Flags]:
    """Move points onto all the surfaces of ``on`` by ``reach`` at most, or twice that within the faces ``planes``.

    Returns
    -------
    tuple
        The new places; the faces in which they still lie; whether a place was found. Where none was, the point stays
        and is said to lie in no face but the walls.
    """
    place, kept = points.copy(), planes.copy()
    within = planes.any(axis=1)
    stays: Flags = (planes & mesh.walls).max(axis=1)
    found = np.zeros(len(points), dtype=bool)
    for attempt in range(2):
        todo = np.flatnonzero(within if attempt == 0 else ~found)
        if not len(todo):
            continue
        faces = planes[todo] if attempt == 0 else planes[todo] & mesh.walls
        moved, good = _newton(mesh, functions, points[todo], on[todo], faces)
        limit = reach[todo] * np.where(stays[todo] | (attempt == 0), 2.0, 1.0 + 1e-9)
        good &= np.linalg.norm(moved - points[todo], axis=1) <= limit
        found[todo] = good
        place[todo[good]] = moved[good]
        kept[todo] = faces & (good[:, None] | mesh.walls)
    return place, kept, found


def _newton(
    mesh: CutMesh, functions: Sequence[LevelSet], points: Array, on: Flags, planes: Flags
) -> tuple[Array, Flags]:
    """Shortest Newton steps towards the surfaces ``on``, within the faces; the places, and whether they converged."""
    d, across = points.shape[1], mesh.across
    place = points.copy()
    distance = np.full(len(points), np.inf)
    todo = np.arange(len(points))
    for _ in range(12):
        rows = np.zeros((len(todo), len(functions) + len(across), d))
        rows[:, len(functions) :] = planes[todo][:, :, None] * across
        gap = np.zeros((len(todo), len(functions) + len(across)))
        for number, phi in enumerate(functions):
            own = np.flatnonzero(on[todo, number])
            if len(own):
                level, slope = expansions(phi, place[todo[own]], mesh.step)
                size = np.linalg.norm(slope, axis=1)
                size[size == 0.0] = 1.0
                rows[own, number] = slope / size[:, None]
                gap[own, number] = level / size
        distance[todo] = np.abs(gap).max(axis=1)
        again = distance[todo] > 1e-14 * mesh.lattice.shortest
        todo, rows, gap = todo[again], rows[again], gap[again]
        if not len(todo):
            break
        single = (rows != 0.0).any(axis=2).sum(axis=1) == 1
        move = np.einsum("mkx,mk->mx", rows, gap)
        if not single.all():
            inverse = np.linalg.pinv(rows[~single], rcond=0.2)
            move[~single] = np.einsum("mxk,mk->mx", inverse, gap[~single])
        place[todo] -= move
    return place, distance <= 1e-12 * mesh.lattice.shortest


def _split(
    mesh: CutMesh, functions: Sequence[LevelSet], number: int, edges: Edges, fraction: Array, free: Flags
) -> int:
    """Bisect the cells at the crossings of the free edges; return how many nodes came to be."""
    low, high, torus = edges.low[free], edges.high[free], edges.torus[free]
    if not len(low):
        return 0
    kept, first, torus = np.unique(torus, return_index=True, return_inverse=True)
    tail, head = low[first], high[first]
    step = mesh.points[head] - mesh.points[tail]
    place = mesh.points[tail] + fraction[kept, None] * step
    on = mesh.on[tail] & mesh.on[head]
    planes = mesh.planes[tail] & mesh.planes[head]
    joint = np.flatnonzero(on.any(axis=1))
    on[:, number] = True
    if len(joint):
        reach = 0.1 * np.linalg.norm(step[joint], axis=1)
        place[joint], planes[joint], found = project(mesh, functions, place[joint], on[joint], planes[joint], reach)
        on[joint[~found]] = np.arange(len(functions)) == number
    length = np.round(np.linalg.norm(step, axis=1) / mesh.lattice.shortest, 9)
    order = np.empty(len(first), dtype=np.int64)
    # The longest edges first, of these the ones that are cut in the middle: found to leave the best angles.
    centred = -np.round(np.abs(fraction[kept] - 0.5), 9)
    order[np.lexsort((np.arange(len(first)), centred, length))] = np.arange(len(first))
    bisect_edges(mesh, Edges(low, high, torus, first), place, on, planes, order)
    return len(low)


def bisect_edges(mesh: CutMesh, edges: Edges, place: Array, on: Flags, planes: Flags, order: Indices) -> None:
    """Bisect the cells around edges, all of whose images are given, at new nodes.

    ``place`` has those of the first images, ``on`` and ``planes`` the surfaces and planes in which they lie, ``order``
    says which edge is bisected first where a cell has several: that of the greatest number.
    """
    n, low, high, torus = len(mesh.points), edges.low, edges.high, edges.torus
    tail, head = low[edges.first], high[edges.first]
    # Images: the new node of an edge lies as far from that of the first as their ends do.
    same = mesh.representative[low] == mesh.representative[tail[torus]]
    offset = mesh.offset[low] - mesh.offset[np.where(same, tail[torus], head[torus])]
    mesh.points = np.vstack([mesh.points, place[torus] + offset @ mesh.lattice.vectors])
    mesh.representative = np.concatenate([mesh.representative, n + edges.first[torus]])
    mesh.offset = np.vstack([mesh.offset, offset])
    mesh.on = np.vstack([mesh.on, on[torus]])
    mesh.planes = np.vstack([mesh.planes, planes[torus]])
    mesh.fixed = np.concatenate([mesh.fixed, np.zeros(len(low), dtype=bool)])
    keys, rank = low * n + high, order[torus]

    def find(a: Indices, b: Indices) -> tuple[Indices, Indices]:
        small, large = np.minimum(a, b), np.maximum(a, b)
        index = np.minimum(np.searchsorted(keys, small * n + large), len(keys) - 1)
        hit = (large < n) & (keys[index] == small * n + large)
        return np.where(hit, rank[index], -1), np.where(hit, n + index, -1)

    ends = np.zeros(n, dtype=bool)
    ends[low] = ends[high] = True
    touched = ends[mesh.cells].sum(axis=1) >= 2
    cells, parents, _ = bisect_simplices(mesh.cells[touched], find)
    mesh.region = np.concatenate([mesh.region[~touched], mesh.region[touched][parents]])
    mesh.cells = np.vstack([mesh.cells[~touched], cells])
