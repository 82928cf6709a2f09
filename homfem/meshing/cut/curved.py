"""Curved geometry: the nodes of edges on the surfaces that their ends lie on. Plain arrays on one rank."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from homfem.meshing.arrays.identification import identify_nodes
from homfem.meshing.arrays.jacobians import integrate, jacobians, lattice_nodes, quadratic_edges
from homfem.meshing.arrays.raw_cell import Indices, RawCell, cell_volumes
from homfem.meshing.arrays.refinement import PAIRS
from homfem.meshing.cut.bending import FOLDED, BentCells, bent, soundness
from homfem.meshing.cut.level_sets import STEP, LevelSet, expansions, gradients
from homfem.meshing.cut.mirror_parts import Part
from homfem.meshing.cut.resolved import TooCoarseError
from homfem.meshing.cut.volume_correction import relative_sizes
from homfem.parameters import Array, InputError

#: How often nodes of folded cells are taken half of their way back to the straight cells.
STRAIGHTENINGS = 24


def of_order(
    raw: RawCell,
    functions: Sequence[LevelSet],
    targets: Mapping[int, float] | None = None,
    part: Part | None = None,
    *,
    order: int = 2,
    straighten: bool = True,
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
    straighten
        Where cells would be folded whatever the nodes off the surface do (:mod:`homfem.meshing.cut.bending`), take
        nodes of edges off the surface, and say so in the notes; else that is an error.

    Raises
    ------
    TooCoarseError
        With the places of the cells that would be folded, or of edges that are far from the surface on which their ends
        lie.

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
    own = size[(middle - n) // inside]
    far = np.linalg.norm(points[middle] - straight[middle], axis=1) > 0.3 * own
    if far.any():
        raise TooCoarseError.at(
            straight[middle[far]], own[far], "order", order, "1 where the surfaces bend too much for the mesh",
            "Mesh finer, or choose order 1.",
        )  # fmt: skip
    curved = _Curved(
        raw=raw, order=order, points=points, straight=straight, cells=cells, facets=facets,
        representative=representative, node=node, number=number, slope=slope,
    )  # fmt: skip
    curved = curved.sound(middle, part, straighten=straighten)
    curved = replace(curved, slope=curved.slope * curved.relative_sizes()[:, None] ** order)
    shift: Array = np.zeros(len(functions))
    if targets:
        shift = _shifted(curved, shift, targets, float(size.mean()), part.copies)
        curved.require_sound(shift)
    return curved.made(shift)


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
        moved = np.zeros_like(self.points)
        moved[self.node] = shift[self.number][:, None] * self.slope
        return self.points + self.followed(moved[self.representative])

    def settled(self, points: Array) -> Array:
        """Return the points with those inside of triangles where the edges want them."""
        moved = points - self.straight
        return self.straight + self.followed(moved)

    def followed(self, moved: Array) -> Array:
        """Return the moves of all nodes, those inside of triangles by the moves of the others."""
        inner = self.cells[:, 3 * self.order :] if self.raw.dimension == 2 else self.cells[:, :0]
        if not inner.size:
            return moved
        nodes = lattice_nodes(2, self.order)
        corners = moved[self.cells[:, :3]]
        linear = np.einsum("qk,mkx->mqx", nodes[3:], corners)
        edges = slice(0, 3 * (self.order - 1))
        off = moved[self.cells[:, 3 : 3 * self.order]] - linear[:, edges]
        result = moved.copy()
        result[inner] = linear[:, edges.stop :] + np.einsum("qk,mkx->mqx", _blending(self.order), off)
        return result

    def sound(self, middle: Indices, part: Part, *, straighten: bool) -> _Curved:
        """Return the cell with the nodes off the surface, and if need be those on edges of it, where no cell folds."""
        points = self.settled(_matched(self.points, self.straight, self.representative))
        held = np.zeros(len(points), dtype=bool)
        held[self.facets] = True
        points, known = bent(
            BentCells(
                straight=self.straight, cells=self.cells, representative=self.representative, held=held,
                free_in=self._free_in(part), order=self.order,
            ),
            points,
        )  # fmt: skip
        folded = np.flatnonzero(known < FOLDED)
        if not len(folded):
            return replace(self, points=points)
        if not straighten:
            raise self._too_coarse(points, folded)
        points, count = self._straightened(points, middle, known)
        note = f"order {self.order}: {count} nodes on edges are off the surface, as cells would fold: mesh finer"
        return replace(self, points=points, raw=replace(self.raw, notes=(*self.raw.notes, note)))

    def require_sound(self, shift: Array) -> None:
        """Refuse a cell of which some fold as the surfaces are moved."""
        moved = np.zeros(len(self.points), dtype=bool)
        moved[self.node] = True
        near = np.flatnonzero(moved[self.representative[self.cells]].any(axis=1))
        points = self.places(shift)
        folded = near[soundness(points, self.straight, self.cells[near], self.order) <= 0.0]
        if len(folded):
            raise self._too_coarse(points, folded)

    def _too_coarse(self, points: Array, folded: Indices) -> TooCoarseError:
        """The error for cells that fold."""
        corners = points[self.raw.cells[folded]]
        first, second = PAIRS[corners.shape[1]]
        sizes = np.linalg.norm(corners[:, first] - corners[:, second], axis=2).max(axis=1)
        return TooCoarseError.at(
            corners.mean(axis=1), sizes, "order", f"{self.order} for a surface that bends much",
            "one in which no cell folds", "Mesh finer, or choose order 1.",
        )  # fmt: skip

    def _free_in(self, part: Part) -> Array | None:
        """Projectors on the walls of nodes, shape (n, d, d); None where there are no walls."""
        if not part.walls.any():
            return None
        planes = part.planes_of(self.straight) & part.walls
        along = [part.within(np.broadcast_to(row, self.straight.shape), planes) for row in np.eye(self.raw.dimension)]
        return np.stack(along, axis=2)

    def _straightened(self, points: Array, middle: Indices, known: Array) -> tuple[Array, int]:
        """Take nodes of edges back towards the edges where cells are folded; the points, and how many nodes.

        ``known`` is the soundness of every cell.
        """
        flags, taken = np.zeros(len(points), dtype=bool), np.zeros(len(points), dtype=bool)
        flags[middle] = True
        known = known.copy()
        for _ in range(STRAIGHTENINGS):
            folded = np.flatnonzero(known < FOLDED)
            if not len(folded):
                break
            flag = np.zeros(len(points), dtype=bool)
            flag[self.representative[self.cells[folded]]] = True
            back = flag[self.representative]
            taken |= back & flags[self.representative]
            points = np.where(back[:, None], 0.5 * (points + self.straight), points)
            touched = np.flatnonzero(back[self.cells].any(axis=1))
            known[touched] = soundness(points, self.straight, self.cells[touched], self.order)
        folded = np.flatnonzero(known < FOLDED)
        if len(folded):
            raise self._too_coarse(points, folded)
        return points, int(np.count_nonzero(taken & (self.representative == np.arange(len(points)))))

    def relative_sizes(self) -> Array:
        """Return that of the facets at each node on a surface, see :mod:`homfem.meshing.cut.volume_correction`."""
        x = self.straight[self.raw.facets]
        edges = x[:, 1:] - x[:, :1]
        size = np.sqrt(np.linalg.det(edges @ np.swapaxes(edges, 1, 2))) ** (1.0 / edges.shape[1])
        found = relative_sizes(self.representative[self.facets], size, len(self.straight))
        return np.asarray(found[self.representative[self.node]])

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
