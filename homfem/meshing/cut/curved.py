"""Corners of sections made exact, and curved geometry. Plain arrays on one rank."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.identification import identify_nodes
from homfem.meshing.arrays.jacobians import integrate, jacobians, lattice_nodes, quadratic_edges
from homfem.meshing.arrays.raw_cell import Indices, RawCell, cell_volumes
from homfem.meshing.cut.background import sines
from homfem.meshing.cut.cutting import FLAT, CutMesh, Flags
from homfem.meshing.cut.level_sets import STEP, LevelSet, expansions, gradients, slopes, values
from homfem.meshing.cut.mirror_parts import Part
from homfem.parameters import Array, CellError, InputError

log = logging.getLogger("homfem")

#: Points of a triangle, most of them on its sides, where it is looked at on which side of a surface it lies.
_SAMPLES = np.array([[i, j, 8 - i - j] for i in range(9) for j in range(9 - i)]) / 8.0


def meet_corners(mesh: CutMesh, functions: Sequence[LevelSet], number: int, corners: Array) -> None:
    """Move a node into each corner of surface ``number``, right after its cut; plane cells only.

    Of the nodes near a corner that one is taken after whose move the fewest cells reach over the surface, and of these
    the one with which the worst cell is best. Where the sides are straight, the mesh then has them exactly.

    Raises
    ------
    InputError
        If the surface does not pass through a corner.
    CellError
        If cells reach over the surface still: the grid does not fit the corners.
    """
    off = np.abs(values(functions[number], corners)).max(initial=0.0)
    if off > 1e-9 * np.abs(values(functions[number], mesh.points)).max():
        raise InputError(f"corners[{number}]", corners, f"on the zero level of the function, which is {off:.3g} there")
    for corner in mesh.part.folded(corners):
        _meet_corner(mesh, functions[number], number, len(functions), corner)
    near = np.flatnonzero(mesh.on[mesh.cells, number].any(axis=1) & (mesh.region >= number))
    left = near[_reach_over(mesh, functions[number], mesh.points[mesh.cells[near]])[0]]
    if len(left):
        place = np.array2string(mesh.points[mesh.cells[left[0]]].mean(axis=0), precision=4)
        remedy = "Choose another resolution, or more refinement."
        raise CellError("functions", f"a corner near {place}", "one that the mesh can show", remedy)


def _reach_over(mesh: CutMesh, phi: LevelSet, x: Array) -> tuple[Flags, Flags]:
    """Whether cells with the corners x lie on both sides of a surface, and whether they lie inside in the mean."""
    level = values(phi, np.einsum("qk,mkx->mqx", _SAMPLES, x).reshape(-1, 2)).reshape(len(x), -1)
    tolerance = 1e-9 * mesh.lattice.shortest
    return (level.max(axis=1) > tolerance) & (level.min(axis=1) < -tolerance), level.mean(axis=1) < 0.0


def _meet_corner(mesh: CutMesh, phi: LevelSet, number: int, rest: int, corner: Array, candidates: int = 12) -> None:
    own = np.flatnonzero(mesh.representative == np.arange(len(mesh.points)))
    step = mesh.lattice.fractional(corner - mesh.points[own])
    step = (step - np.rint(step)) @ mesh.lattice.vectors
    order = np.argsort(np.linalg.norm(step, axis=1), kind="stable")[:candidates]
    reach = 2.0 * np.linalg.norm(step[order[-1]])
    close = np.zeros(len(mesh.points), dtype=bool)
    close[own] = np.linalg.norm(step, axis=1) < reach
    near = np.flatnonzero(close[mesh.representative[mesh.cells]].any(axis=1))
    nodes, open_ = mesh.representative[mesh.cells[near]], mesh.region[near] >= number
    others = np.delete(np.arange(mesh.on.shape[1]), number)
    # A node of a wall stays in it, and no other one gets there.
    walls = mesh.part.planes_of(corner[None])[0] & mesh.walls
    best, chosen = (len(near) + 1, 0.0), -1
    inside: Flags = np.zeros(0, dtype=bool)
    for index in order:
        node = own[index]
        star = (nodes == node).any(axis=1)
        if mesh.fixed[node] or mesh.on[node][others].any() or not open_[star].all():
            continue
        if np.any((mesh.planes[node] & mesh.walls) != walls):
            continue
        x = mesh.points[mesh.cells[near]] + np.where((nodes == node)[:, :, None], step[index], 0.0)
        over, within = _reach_over(mesh, phi, x)
        quality = float(sines(x).min())
        found = (int(np.count_nonzero(over & open_)), -quality)
        if quality > FLAT and found < best:
            best, chosen, inside = found, int(index), within
    if chosen < 0:
        return
    node = own[chosen]
    mesh.move(np.array([node]), mesh.points[[node]] + step[chosen])
    images = mesh.representative == node
    mesh.on[images, number] = mesh.fixed[images] = True
    mesh.planes[images] &= np.abs(mesh.across @ step[chosen]) < 1e-12 * mesh.lattice.shortest
    mesh.region[near[open_]] = np.where(inside[open_], number, rest)


def mark_kinks(mesh: CutMesh, functions: Sequence[LevelSet]) -> None:
    """Mark the nodes at which a surface has no normal, as where two spheres meet, as corners: they stay.

    There the slopes to one side and to the other differ by more than a tenth; of a smooth function they differ by the
    step times its curvature.
    """
    for number, phi in enumerate(functions):
        node = np.flatnonzero(mesh.on[:, number] & (mesh.representative == np.arange(len(mesh.points))))
        ahead, behind = slopes(phi, mesh.points[node], mesh.step)
        size = np.maximum(np.linalg.norm(ahead, axis=1), np.linalg.norm(behind, axis=1))
        mesh.fixed[node[np.linalg.norm(ahead - behind, axis=1) > 0.1 * size]] = True
    mesh.fixed = mesh.fixed[mesh.representative]


def of_order(
    raw: RawCell,
    functions: Sequence[LevelSet],
    targets: Mapping[int, float] | None = None,
    part: Part | None = None,
    *,
    order: int = 2,
) -> RawCell:
    """Return the cell with the nodes of an order on every edge; those of facets between phases lie on the surface.

    Nodes inside of triangles follow the edges: the deviation of each from the line between its ends, a polynomial with
    zeros at both, goes on inside as the same multiple of the product of the barycentric coordinates of the two, with
    half of their difference in place of the coordinate along the edge.

    Parameters
    ----------
    raw
        Of first order, with its interface facets and their nodes on the surfaces; phase k is where function k is the
        first that is negative.
    functions
        The level-set functions.
    targets
        Volumes of phases, by their number from 0: their surfaces are moved along their normals to have them.
    part
        What of the period is meshed, if not all of it: nodes in its walls stay in them.
    order
        2, or 3 or 4 in the plane.

    Source: Szabo, Babuska 1991, Finite Element Analysis, section 6.1 (blending on triangles).
    """
    part = Part(lattice=raw.lattice) if part is None else part
    edges, of_cell, of_facet = _edges(raw, order)
    n, inside = len(raw.points), order - 1
    ends = raw.points[edges]
    along = ends[:, :1] + np.arange(1, order)[:, None] / order * (ends[:, 1:] - ends[:, :1])
    interior = lattice_nodes(raw.dimension, order)[len(raw.cells[0]) + of_cell.shape[1] :]
    within = np.einsum("qk,mkx->mqx", interior, raw.points[raw.cells])
    straight = np.vstack([raw.points, along.reshape(-1, raw.dimension), within.reshape(-1, raw.dimension)])
    first = n + inside * len(edges)
    cells = np.hstack([raw.cells, n + of_cell, first + np.arange(within[..., 0].size).reshape(within.shape[:2])])
    facets = np.hstack([raw.facets, n + of_facet])
    representative, _ = identify_nodes(straight, raw.lattice, partial=True)
    node, number = _on_surfaces(raw, representative[facets], len(functions), len(straight))
    points, slope = _projected(straight, node, number, functions, part, middles=n, step=STEP * raw.lattice.shortest)
    size = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    middle = node[node >= n]
    if np.any(np.linalg.norm(points[middle] - straight[middle], axis=1) > 0.3 * size[(middle - n) // inside]):
        raise CellError(
            "order", order, "1 where the surfaces bend too much for the mesh", "Mesh finer, or choose order 1."
        )
    curved = _Curved(
        raw=raw, order=order, points=points, straight=straight, cells=cells, facets=facets,
        representative=representative, node=node, number=number, slope=slope,
    )  # fmt: skip
    curved = replace(curved, points=curved.unfolded(middle))
    shift = np.zeros(len(functions))
    return curved.made(_shifted(curved, shift, targets, float(size.mean()), part.copies) if targets else shift)


def _edges(raw: RawCell, order: int) -> tuple[Indices, Indices, Indices]:
    """Return the ends of the edges, shape (e, 2), and the numbers of their nodes for each cell and for each facet.

    The nodes of an edge are numbered from its end of the smaller number to the other one, edge by edge.
    """
    d, n = raw.dimension, len(raw.points)
    inside = np.arange(order - 1)
    pairs = raw.cells[:, quadratic_edges(d)]
    ends = np.sort(pairs, axis=2)
    keys, of_cell = np.unique(ends[..., 0] * n + ends[..., 1], return_inverse=True)

    def nodes(edge: Indices, pair: Indices) -> Indices:
        turned = pair[..., :1] > pair[..., 1:]
        found = edge[..., None] * (order - 1) + np.where(turned, inside[::-1], inside)
        return np.asarray(found.reshape(len(edge), -1))

    of_facets = raw.facets[:, quadratic_edges(d - 1)]
    sides = np.sort(of_facets, axis=2)
    of_facet = np.searchsorted(keys, sides[..., 0] * n + sides[..., 1])
    edges = np.stack([keys // n, keys % n], axis=1)
    return edges, nodes(of_cell.reshape(ends.shape[:2]), pairs), nodes(of_facet, of_facets)


@functools.cache
def _blending(order: int) -> Array:
    """How much of the deviation of each node of the three edges each node inside of a triangle has; (inside, nodes)."""
    parts = np.arange(order + 1) / order
    weights = []
    for node in lattice_nodes(2, order)[3 * order :]:
        row = []
        for i, j in quadratic_edges(2):
            t = 0.5 * (1.0 + node[j] - node[i])
            for k in range(1, order):
                others = np.delete(parts, k)
                basis = np.prod((t - others) / (parts[k] - others))
                row.append(node[i] * node[j] / (t * (1.0 - t)) * basis)
        weights.append(row)
    return np.array(weights).reshape(len(weights), -1)


def _on_surfaces(raw: RawCell, facets: Indices, surfaces: int, count: int) -> tuple[Indices, Indices]:
    """Return the nodes on one surface alone, and its number; a node of several surfaces stays."""
    names = list(raw.phases)
    first_of = {tag: names.index(name.split("|")[0]) for name, tag in raw.facet_names.items()}
    surface = np.array([first_of.get(int(tag), -1) for tag in raw.facet_tags])
    where = [np.unique(facets[surface == number]) for number in range(surfaces)]
    node = np.concatenate(where)
    number = np.repeat(np.arange(surfaces), [len(own) for own in where])
    single = np.bincount(node, minlength=count)[node] == 1
    return node[single], number[single]


def _projected(
    straight: Array,
    node: Indices,
    number: Indices,
    functions: Sequence[LevelSet],
    part: Part,
    *,
    middles: int,
    step: float,
) -> tuple[Array, Array]:
    """Return the points with those nodes that are middles of edges on their surfaces, and the normals at all nodes."""
    points, slope = straight.copy(), np.zeros((len(node), straight.shape[1]))
    walls = part.planes_of(points)[node] & part.walls
    for k, phi in enumerate(functions):
        own = np.flatnonzero(number == k)
        moving = own[node[own] >= middles]
        for _ in range(4):
            at = points[node[moving]]
            level, slopes_there = expansions(phi, at, step)
            normal = part.within(slopes_there, walls[moving])
            square = np.maximum(np.einsum("nx,nx->n", normal, normal), 1e-300)
            points[node[moving]] = at - (level / square)[:, None] * normal
        slope[own] = part.within(gradients(phi, points[node[own]], step), walls[own])
    length = np.linalg.norm(slope, axis=1, keepdims=True)
    return points, slope / np.where(length > 0.0, length, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Curved:
    """A cell of higher order, whose surfaces can be moved along their normals."""

    raw: RawCell
    order: int
    points: Array
    straight: Array
    cells: Indices
    facets: Indices
    representative: Indices
    node: Indices
    number: Indices
    slope: Array

    def places(self, shift: Array) -> Array:
        """Return the points with each surface moved by its entry of ``shift``."""
        moved = self.points.copy()
        moved[self.node] += shift[self.number][:, None] * self.slope
        return self.settled(_matched(moved, self.straight, self.representative))

    def settled(self, points: Array) -> Array:
        """Return the points with those inside of triangles where the edges want them."""
        inner = self.cells[:, 3 * self.order :] if self.raw.dimension == 2 else self.cells[:, :0]
        if not inner.size:
            return points
        moved, nodes = points - self.straight, lattice_nodes(2, self.order)
        corners = moved[self.cells[:, :3]]
        linear = np.einsum("qk,mkx->mqx", nodes[3:], corners)
        edges = slice(0, 3 * (self.order - 1))
        bent = moved[self.cells[:, 3 : 3 * self.order]] - linear[:, edges]
        inside = linear[:, edges.stop :] + np.einsum("qk,mkx->mqx", _blending(self.order), bent)
        result = points.copy()
        result[inner] = self.straight[inner] + inside
        return result

    def unfolded(self, middle: Indices) -> Array:
        """Return the points with nodes of edges taken back towards the edges where cells would be folded."""
        flags = np.zeros(len(self.points), dtype=bool)
        flags[middle] = True
        representative, straight = self.representative, self.straight
        movable: npt.NDArray[np.bool_] = flags[representative]
        near = self.cells[movable[self.cells].any(axis=1)]
        points, taken = _matched(self.points, straight, representative), np.zeros(len(self.points), dtype=bool)
        for _ in range(8):
            points = self.settled(points)
            determinants = jacobians(points, near, (self.raw.kind, self.order))
            # A margin, as the quadrature points alone do not tell of the corners.
            folded = near[determinants.min(axis=1) < 0.1 * determinants.max(axis=1)]
            if not len(folded):
                break
            flag = np.zeros(len(points), dtype=bool)
            flag[representative[folded]] = True
            back = flag[representative] & movable
            points[back] = 0.5 * (points[back] + straight[back])
            taken |= back
        if taken.any():
            log.warning(
                "order %d: %d nodes on edges are off the surface, as cells would fold; mesh finer",
                self.order,
                taken.sum(),
            )
        return points

    def made(self, shift: Array) -> RawCell:
        """Return the cell with moved surfaces."""
        return replace(
            self.raw, points=self.places(shift), cells=self.cells, facets=self.facets, order=self.order, slivers=None
        )

    def volumes(self, shift: Array) -> Array:
        """Return the volumes of its phases with moved surfaces."""
        own = _sound_volumes(self.places(shift), self.cells, self.raw, self.order)
        return _phase_volumes(self.raw, cell_volumes(self.made(shift)) if own is None else own)


def _shifted(curved: _Curved, shift: Array, targets: Mapping[int, float], size: float, copies: int) -> Array:
    """Return by how much each surface is to be moved for the volumes that phases shall have."""
    shift, numbers = shift.copy(), np.array(sorted(targets))
    wanted, step = np.array([targets[k] for k in numbers]), 1e-3 * size
    rate = np.empty((len(numbers), len(numbers)))
    for turn in range(12):
        volume = curved.volumes(shift)[numbers]
        if np.abs(wanted - volume).max() < 1e-14 * curved.raw.lattice.volume / copies:
            break
        # The shifts are small: the rates of the first turn serve the others.
        for column, k in enumerate(numbers if turn == 0 else ()):
            changed = shift.copy()
            changed[k] += step
            rate[:, column] = (curved.volumes(changed)[numbers] - volume) / step
        shift[numbers] += np.linalg.solve(rate, wanted - volume)
        if np.abs(shift).max() > 0.1 * size:
            raise InputError(
                "fractions", dict(targets), "the volumes of the level sets", "Correct them, or mesh finer."
            )
    return shift


def _matched(moved: Array, straight: Array, representative: Indices) -> Array:
    """Images of a node moved by what the node itself is moved by."""
    return np.asarray(straight + (moved - straight)[representative])


def _sound_volumes(points: Array, cells: Indices, raw: RawCell, order: int) -> Array | None:
    """Volumes of curved cells on the points; None unless they surely pass the checks of a cell."""
    key = (raw.kind, order)
    determinants = jacobians(points, cells, key)
    volumes = integrate(determinants, key)
    # No cell is larger than the box around all of them.
    least = 1e-12 * float(np.ptp(points, axis=0).max()) ** raw.dimension
    return volumes if determinants.min() > least and volumes.sum() <= raw.lattice.volume * (1.0 + 1e-9) else None


def _phase_volumes(raw: RawCell, volumes: Array) -> Array:
    return np.asarray(np.bincount(raw.phase_of_cell, weights=volumes)[1:], dtype=np.float64)
