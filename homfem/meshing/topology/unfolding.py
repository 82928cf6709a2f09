"""A periodic mesh laid out in space along a tree: every cell once, beside the neighbour from which it was reached."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.topology.percolation import linked_cells, shared_facets
from homfem.parameters import Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layout:
    """The connected parts of a mesh on the torus, each laid out in space from one of its cells, nearest cells first.

    Parameters
    ----------
    part_of_cell : array of int, shape (m,)
        Number of the part of each cell.
    parent : array of int, shape (m,)
        The neighbour from which a cell was reached; -1 for the first of its part.
    position : array of int, shape (m, d)
        Lattice offset of each cell in the layout: ``points[cells] + position @ lattice.vectors``.
    cycles : tuple of arrays, shape (c, d)
        For each part the shifts between the two sides of the facets where the layout is cut, each with one sign; the
        shift of every closed path is an integer combination of them.
    diameter
        No two points of one part's layout are farther apart.
    levels : tuple of arrays of int
        The cells by their number of steps from the first.
    """

    part_of_cell: Indices
    parent: Indices
    position: Indices
    cycles: tuple[Array, ...]
    diameter: float
    levels: tuple[Indices, ...]

    def path_sums(self, values: Array) -> Array:
        """Return for each cell the sum of ``values``, shape (m,), over the path from the first cell to it."""
        result = np.array(values, dtype=np.float64)
        for cells in self.levels[1:]:
            result[cells] += result[self.parent[cells]]
        return result


def lay_out(raw: RawCell, representative: Indices, offset: Indices, *, together: bool = False) -> Layout:
    """Return the layout of the connected parts of each phase, or of all phases together.

    Parameters
    ----------
    raw, representative, offset
        As for :func:`homfem.meshing.topology.percolation.percolation`.
    together
        Whether cells of different phases are connected.
    """
    first, second, jump = linked_cells(raw, shared_facets(raw, np.asarray(representative), np.asarray(offset)))
    if not together:
        same = raw.phase_of_cell[first] == raw.phase_of_cell[second]
        first, second, jump = first[same], second[same], jump[same]
    count, d = len(raw.cells), raw.dimension
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    parts, part_of_cell = connected_components(graph, directed=False)
    # One extra vertex, joined to the first cell of each part, makes the forest one tree.
    roots = np.unique(part_of_cell, return_index=True)[1]
    rows, columns = np.concatenate([first, np.full(parts, count)]), np.concatenate([second, roots])
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count + 1, count + 1)).tocsr()
    order, parent = breadth_first_order(graph, count, directed=False)
    parent = parent[:count].astype(np.int64)
    parent[roots] = -1
    levels = _levels(order.astype(np.int64), parent, roots)
    position = np.zeros((count, d), dtype=np.int64)
    # The link to the parent: of several through different facets any one.
    low, high = np.minimum(first, second), np.maximum(first, second)
    number, place = np.unique(low * count + high, return_index=True)
    for cells in levels[1:]:
        before = parent[cells]
        link = place[np.searchsorted(number, np.minimum(cells, before) * count + np.maximum(cells, before))]
        position[cells] = position[before] + np.where((second[link] == cells)[:, None], jump[link], -jump[link])
    shifts = position[first] + jump - position[second]
    points = raw.points[raw.corners] + (position @ raw.lattice.vectors)[:, None]
    cycles, diameter = [], 0.0
    for part in range(parts):
        own = shifts[part_of_cell[first] == part]
        own = own[own.any(axis=1)]
        leading = own[np.arange(len(own)), (own != 0).argmax(axis=1)]
        cycles.append(np.unique(own * np.sign(leading)[:, None], axis=0) @ raw.lattice.vectors)
        inside = points[part_of_cell == part].reshape(-1, d)
        diameter = max(diameter, float(np.linalg.norm(inside.max(axis=0) - inside.min(axis=0))))
    return Layout(
        part_of_cell=part_of_cell.astype(np.int64),
        parent=parent,
        position=position,
        cycles=tuple(cycles),
        diameter=diameter,
        levels=levels,
    )


def _levels(order: Indices, parent: Indices, roots: Indices) -> tuple[Indices, ...]:
    """Split the cells, in breadth-first order after the extra vertex, by their depth."""
    cells = order[1:]
    place = np.empty(len(cells), dtype=np.int64)
    place[cells] = np.arange(len(cells))
    # In this order the places of the parents never fall, so that each level is contiguous.
    of_parent = place[parent[cells]]
    of_parent[: len(roots)] = -1
    bounds = [0, len(roots)]
    while bounds[-1] < len(cells):
        bounds.append(int(np.searchsorted(of_parent, bounds[-1])))
    return tuple(cells[a:b] for a, b in itertools.pairwise(bounds))
