r"""Which phases of an image carry a flux from period to period, and which parts of them are islands.

Voxels are connected through faces, across the period too; those that meet at an edge or a corner only are not, because
no flux passes through a line or a point. A closed path through a connected part comes back shifted by whole periods;
these shifts, the windings of the part, span the space in which it conducts.

Parts are found inside the box first (:func:`scipy.ndimage.label`) and then joined across the period faces: in the graph
of parts and faces each part gets a position in whole periods along a spanning tree, and every other face closes a path
whose winding is what is missing to the difference of the positions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from homfem.grid.image import Image
from homfem.parameters import Array, check_choice

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Parts:
    """The connected parts of a set of voxels on the torus.

    Parameters
    ----------
    number : array of int, shape of the image
        Part of each voxel from 1 on, 0 outside.
    voxels : array of int, shape (parts,)
        Number of voxels of each part.
    windings : tuple of arrays, each of shape (w, d)
        Shifts in whole periods of closed paths that generate all others; no rows for an island.
    """

    number: npt.NDArray[np.int32]
    voxels: Indices
    windings: tuple[Indices, ...]

    @property
    def islands(self) -> npt.NDArray[np.bool_]:
        """Which parts percolate in no direction."""
        return np.array([len(rows) == 0 for rows in self.windings], dtype=bool)

    def span(self, period: Sequence[float]) -> Array:
        """Return orthonormal rows that span the space in which the voxels conduct; axes where it is made of axes."""
        d = len(period)
        rows = np.vstack([np.zeros((0, d), dtype=np.int64), *self.windings])
        rows = np.unique(rows, axis=0)
        if len(rows) == 0:
            return np.zeros((0, d))
        lengths = rows * np.asarray(period, dtype=np.float64)
        values, basis = np.linalg.svd(lengths, full_matrices=False)[1:]
        basis = basis[values > 1e-9 * values[0]]
        axes = np.eye(d)[np.abs(lengths).max(axis=0) > 0.0]
        return axes if len(axes) == len(basis) else np.asarray(basis)


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseReport:
    """How one phase, or several together, are connected.

    Parameters
    ----------
    phase : str
        Name; several are joined by a plus sign, ``"a + b"``.
    fraction : float
        Volume fraction.
    parts, islands : int
        Number of connected parts, and of those among them that percolate in no direction.
    island_volume : float
        Volume of the islands, in the unit of length of the image cubed (squared in 2D).
    island_fraction : float
        The same per volume of the image.
    axes : tuple of int
        The axes (0 is x) along which a flux passes.
    rank : int
        Dimension of the space in which a flux passes; larger than the number of axes where it passes obliquely only.
    """

    phase: str
    fraction: float
    parts: int
    islands: int
    island_volume: float
    island_fraction: float
    axes: tuple[int, ...]
    rank: int

    def __str__(self) -> str:
        where = " and ".join("xyz"[axis] for axis in self.axes)
        where = f"percolates along {where}" if where else "percolates along no axis"
        if self.rank > len(self.axes):
            where += f", obliquely in a space of dimension {self.rank}"
        text = f"{self.phase}: fraction {self.fraction:.6g}, {where}; {self.parts} part(s)"
        return f"{text}, {self.islands} island(s) of fraction {self.island_fraction:.3g}" if self.islands else text


def connectivity(image: Image, *together: Sequence[str]) -> dict[str, PhaseReport]:
    """Return how each phase is connected, and further sets of phases taken together.

    Parameters
    ----------
    image
        The image.
    together
        Sequences of phase names: what a flux may pass through.

    Returns
    -------
    dict of str to PhaseReport
        In the order of the image's phases, then of ``together``.
    """
    result = {}
    for names in [*((name,) for name in image.names), *together]:
        for name in names:
            check_choice("phase", name, image.names)
        inside = image.mask(*names)
        parts = find_parts(inside)
        islands, span = parts.islands, parts.span(image.period)
        lost = int(parts.voxels[islands].sum())
        d = image.dimension
        axes = tuple(k for k in range(d) if len(span) and np.linalg.norm(span[:, k]) > 1.0 - 1e-9)
        label = " + ".join(names)
        result[label] = PhaseReport(
            phase=label,
            fraction=float(inside.mean()),
            parts=len(parts.voxels),
            islands=int(islands.sum()),
            island_volume=float(lost * np.prod(image.voxel)),
            island_fraction=lost / inside.size,
            axes=axes,
            rank=len(span),
        )
    return result


def open_passages(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the voxels that lie in a block of two voxels along every axis: without passages one voxel thin.

    The morphological opening of a periodic set by a square of 2 x 2 pixels or a cube of 2 x 2 x 2 voxels.
    """
    blocks = inside
    for axis in range(inside.ndim):
        blocks = blocks & np.roll(blocks, -1, axis=axis)
    for axis in range(inside.ndim):
        blocks = blocks | np.roll(blocks, 1, axis=axis)
    return np.asarray(blocks)


def find_parts(inside: npt.NDArray[np.bool_]) -> Parts:
    """Return the connected parts of the voxels ``inside`` a periodic box."""
    d = inside.ndim
    inner, count = scipy.ndimage.label(inside)
    if count == 0:
        return Parts(number=inner, voxels=np.zeros(0, dtype=np.int64), windings=())
    edges = [_across(inner, axis) for axis in range(d)]
    low, high = (np.concatenate([pairs[:, k] for pairs in edges]) - 1 for k in (0, 1))
    shift = np.concatenate(
        [np.tile(np.eye(d, dtype=np.int64)[axis], (len(pairs), 1)) for axis, pairs in enumerate(edges)]
    )
    graph = coo_array((np.ones(len(low), dtype=np.int8), (high, low)), shape=(count, count))
    parts, part_of_inner = connected_components(graph, directed=False)
    position = _positions(count, part_of_inner, low, high, shift)
    # Stepping up across the face from the part ``high`` one arrives in ``low``, one period further.
    winding = position[high] + shift - position[low]
    closing = np.flatnonzero(winding.any(axis=1))
    rows = np.unique(np.column_stack([part_of_inner[low[closing]], winding[closing]]), axis=0)
    starts = np.searchsorted(rows[:, 0], np.arange(parts + 1)) if len(rows) else np.zeros(parts + 1, dtype=np.int64)
    number = np.concatenate([[0], part_of_inner + 1]).astype(np.int32)[inner]
    return Parts(
        number=number,
        voxels=np.bincount(number.reshape(-1), minlength=parts + 1)[1:].astype(np.int64),
        windings=tuple(rows[a:b, 1:] for a, b in itertools.pairwise(starts)),
    )


def _across(inner: npt.NDArray[np.int32], axis: int) -> Indices:
    """Pairs of inner parts that meet across the period: (on the lower face, on the upper face), without repetition."""
    low, high = np.take(inner, 0, axis=axis), np.take(inner, -1, axis=axis)
    both = (low > 0) & (high > 0)
    return np.unique(np.column_stack([low[both], high[both]]).astype(np.int64), axis=0)


def _positions(count: int, part_of_inner: Indices, low: Indices, high: Indices, shift: Indices) -> Indices:
    """Positions of the inner parts in whole periods along a spanning tree, shape (count, d)."""
    d = shift.shape[1]
    # One further node is joined to one inner part of each part, so that one search reaches all.
    first = np.unique(part_of_inner, return_index=True)[1]
    ends = (np.concatenate([low, np.full(len(first), count)]), np.concatenate([high, first]))
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(count + 1, count + 1)).tocsr()
    parent = breadth_first_order(graph, count, directed=False)[1].astype(np.int64)
    parent[count] = count
    position = np.zeros((count + 1, d), dtype=np.int64)
    # The step from its parent to a node: across whichever face comes last in the list; all are closed later.
    for child, other, sign in ((low, high, 1), (high, low, -1)):
        of_tree = (parent[child] == other) & (child != other)
        position[child[of_tree]] = sign * shift[of_tree]
    while True:
        further = parent[parent]
        if np.array_equal(further, parent):
            return position[:count]
        position = position + position[parent]
        parent = further
