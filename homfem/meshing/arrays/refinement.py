"""Bisection of a simplicial cell that keeps opposite faces matching. Plain arrays on one rank; no dolfinx here.

Edges are marked as edges of the torus, so an edge and its images one period away are bisected together. Every simplex
with marked edges is bisected at the first of them in one strict order of all edges (the longer first, ties by number),
then its halves at theirs. What happens to a facet depends on the marks and the order alone, so neighbours agree and
the mesh stays conforming, across the period faces as well. Marking the longest edge of every simplex that is touched
(Rivara) keeps the shapes from degenerating.

Source: Rivara 1984, doi 10.1002/nme.1620200412.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.raw_cell import Indices, RawCell, elements_of, unchecked
from homfem.parameters import CellError, InputError

#: The two columns of each pair of corners, by the number of corners of a simplex.
PAIRS = {corners: np.triu_indices(corners, 1) for corners in range(1, 5)}


def bisect_cells(raw: RawCell, representative: Indices, marked: npt.NDArray[np.bool_]) -> RawCell:
    """Return the cell with every edge of the marked mesh cells bisected, and what that entails.

    Parameters
    ----------
    raw
        A mesh of first-order geometry.
    representative : array of int, shape (n,)
        The node that stands for each node on the torus, see :func:`homfem.periodic.identify_nodes`.
    marked : array of bool, shape (m,)
        The mesh cells to refine.

    Returns
    -------
    RawCell
        New nodes are midpoints of old edges; old nodes keep their numbers; phases and named facets are handed on. The
        slivers of a facet are shared by area: half for each half.
    """
    if raw.order != 1:
        raise CellError("order", raw.order, "1 for refinement by bisection", "Mesh finer instead.")
    if not raw.simplicial:
        raise CellError("kind", raw.kind, "simplices for refinement by bisection", "Cut the image instead: refined(2).")
    if marked.shape != (len(raw.cells),):
        raise InputError("marked", marked.shape, f"of shape ({len(raw.cells)},): one flag per mesh cell")
    edges = _Edges(raw, representative)
    edges.mark(marked)
    return _bisected(raw, edges)


def bisect_longest(raw: RawCell, representative: Indices, marked: npt.NDArray[np.bool_]) -> RawCell:
    """Return the cell with marked mesh cells bisected at their longest edges, as far as that can be done in one pass.

    An edge is bisected when it is the longest of all the cells around it; for a marked cell whose longest edge is not,
    that is done further along its path of ever longer edges first, and the cell may wait for another pass. Every cell
    is bisected once at the most, at its longest edge, so that only the shapes of longest-edge bisection come up: three
    for a grid of cubes cut after Kuhn, with dihedral angles of 45 degrees and more.

    Parameters
    ----------
    raw, representative, marked
        As for :func:`bisect_cells`.

    Source
    ------
    Rivara 1997, Int. J. Numer. Meth. Eng. 40, 3313 (longest-edge propagation path).
    """
    edges = _Edges(raw, representative)
    edges.mark_ends_of_paths(marked)
    return _bisected(raw, edges, unchecked)


def split_at_barycentres(raw: RawCell) -> RawCell:
    """Return the cell with every simplex split into d + 1 at its barycentre (Alfeld's split); facets stay whole.

    Parameters
    ----------
    raw
        A mesh of simplices of first-order geometry.
    """
    if raw.order != 1 or raw.kind not in ("triangle", "tetrahedron"):
        raise CellError("mesh", f"{raw.kind}s of order {raw.order}", "simplices of order 1 to be split at barycentres")
    d, count = raw.dimension, len(raw.cells)
    cells = np.repeat(raw.cells, d + 1, axis=0).reshape(count, d + 1, d + 1)
    cells[:, np.arange(d + 1), np.arange(d + 1)] = len(raw.points) + np.arange(count)[:, None]
    return replace(
        raw,
        points=np.vstack([raw.points, raw.points[raw.cells].mean(axis=1)]),
        cells=cells.reshape(-1, d + 1),
        phase_of_cell=np.repeat(raw.phase_of_cell, d + 1),
        element=np.repeat(elements_of(raw), d + 1),
    )


def _bisected(raw: RawCell, edges: _Edges, change: Callable[..., RawCell] = replace) -> RawCell:
    points = np.vstack([raw.points, edges.midpoints(raw.points)])
    cells, parents, _ = bisect_simplices(raw.cells, edges.find)
    facets, facet_parents, share = bisect_simplices(raw.facets, edges.find)
    return change(
        raw,
        points=points,
        cells=cells,
        phase_of_cell=raw.phase_of_cell[parents],
        element=elements_of(raw)[parents],
        facets=facets,
        facet_tags=raw.facet_tags[facet_parents],
        slivers=None if raw.slivers is None else raw.slivers[facet_parents] * share[:, None],
    )


class _Edges:
    """The edges of a mesh: as node pairs, as torus edges, their order, and the marks."""

    def __init__(self, raw: RawCell, representative: Indices) -> None:
        corners = raw.corners
        first, second = PAIRS[corners.shape[1]]
        pairs = np.sort(np.stack([corners[:, first], corners[:, second]], axis=2), axis=2)
        self._nodes = len(raw.points)
        keys = pairs[..., 0] * self._nodes + pairs[..., 1]
        self.keys, of_cell = np.unique(keys, return_inverse=True)
        self.of_cell = of_cell.reshape(keys.shape)
        self.ends = np.stack([self.keys // self._nodes, self.keys % self._nodes], axis=1)
        torus = np.sort(representative[self.ends], axis=1)
        _, first_image, self.torus = np.unique(
            torus[:, 0] * self._nodes + torus[:, 1], return_index=True, return_inverse=True
        )
        length = np.linalg.norm(np.diff(raw.points[self.ends[first_image]], axis=1)[:, 0], axis=1)
        # Rounding makes lengths that agree but for the last digits a tie, which the number then breaks.
        rounded = np.round(length / length.max(), 9)
        rank = np.empty(len(rounded), dtype=np.int64)
        rank[np.lexsort((np.arange(len(rounded)), rounded))] = np.arange(len(rounded))
        self.rank = rank[self.torus]
        self.marked: npt.NDArray[np.bool_] = np.zeros(len(self.keys), dtype=bool)
        self._new_node = np.full(len(self.keys), -1, dtype=np.int64)

    def mark(self, cells: npt.NDArray[np.bool_]) -> None:
        """Mark all edges of the given cells, then the longest edge of every cell that is touched, to a fixed point."""
        on_torus = np.zeros(int(self.torus.max()) + 1, dtype=bool)
        on_torus[self.torus[self.of_cell[cells]]] = True
        self._close(on_torus)
        self._set(on_torus)

    def mark_ends_of_paths(self, cells: npt.NDArray[np.bool_]) -> None:
        """Mark those longest edges on the paths from the given cells that are longest in all of their cells."""
        of_cell, longest = self.torus[self.of_cell], self._longest()
        on_torus = np.zeros(int(self.torus.max()) + 1, dtype=bool)
        on_torus[longest[cells]] = True
        self._close(on_torus)
        other = of_cell != longest[:, None]
        on_torus[of_cell[other]] = False
        self._set(on_torus)

    def _longest(self) -> Indices:
        """Longest edge of each cell, on the torus."""
        longest = np.take_along_axis(self.of_cell, self.rank[self.of_cell].argmax(axis=1)[:, None], axis=1)[:, 0]
        return np.asarray(self.torus[longest])

    def _close(self, on_torus: npt.NDArray[np.bool_]) -> None:
        """Mark the longest edge of every cell that has a marked one."""
        of_cell, longest = self.torus[self.of_cell], self._longest()
        while True:
            wanted = longest[on_torus[of_cell].any(axis=1)]
            if on_torus[wanted].all():
                break
            on_torus[wanted] = True

    def _set(self, on_torus: npt.NDArray[np.bool_]) -> None:
        self.marked = on_torus[self.torus]
        self._new_node[self.marked] = self._nodes + np.arange(np.count_nonzero(self.marked))

    def midpoints(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Coordinates of the new nodes."""
        return np.asarray(points[self.ends[self.marked]].mean(axis=1))

    def find(self, a: Indices, b: Indices) -> tuple[Indices, npt.NDArray[np.int64]]:
        """Rank and new node of marked edges between old nodes; -1 where there is none."""
        low, high = np.minimum(a, b), np.maximum(a, b)
        key = low * self._nodes + high
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        found = (high < self._nodes) & (self.keys[place] == key) & self.marked[place]
        return np.where(found, self.rank[place], -1), np.where(found, self._new_node[place], -1)


def bisect_simplices(
    simplices: Indices, find: Callable[[Indices, Indices], tuple[Indices, Indices]]
) -> tuple[Indices, Indices, npt.NDArray[np.float64]]:
    """Bisect simplices of any dimension until none has a marked edge.

    Parameters
    ----------
    simplices : array of int, shape (m, k)
    find
        Gives for the edges between two arrays of nodes the rank of each in the order of all edges, and its new node;
        -1 and -1 where the edge is not marked. The new nodes are ends of no marked edge.

    Returns
    -------
    tuple
        The simplices, for each the number of the one that it came from, and its share of that one, 1 over two to the
        number of bisections.
    """
    parents = np.arange(len(simplices))
    share: npt.NDArray[np.float64] = np.ones(len(simplices))
    done: list[tuple[Indices, Indices, npt.NDArray[np.float64]]] = [(simplices[:0], parents[:0], share[:0])]
    first, second = PAIRS[simplices.shape[1]]
    while len(simplices):
        rank, node = find(simplices[:, first], simplices[:, second])
        chosen = rank.argmax(axis=1)
        split = rank[np.arange(len(simplices)), chosen] >= 0
        done.append((simplices[~split], parents[~split], share[~split]))
        simplices, parents, share, chosen = simplices[split], parents[split], 0.5 * share[split], chosen[split]
        rows = np.arange(len(simplices))
        middle = node[split][rows, chosen]
        one, other = simplices.copy(), simplices.copy()
        one[rows, first[chosen]] = middle
        other[rows, second[chosen]] = middle
        simplices, parents, share = np.vstack([one, other]), np.tile(parents, 2), np.tile(share, 2)
    cells, origin, part = zip(*done, strict=True)
    return np.vstack(cells), np.concatenate(origin), np.concatenate(part)
