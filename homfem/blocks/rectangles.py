"""Partitions of a block medium into rectangles of one diffusivity: the blocks themselves, or blocks merged greedily.

Merging removes the interfaces between equal neighbours (March, Carr, Turner, section 5.5). A side of a merged rectangle
is cut into segments, one per grid edge, and neighbouring rectangles need not be aligned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homfem.blocks.medium import BlockMedium

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Partition:
    """A partition of the conducting blocks of a medium into rectangles.

    Parameters
    ----------
    medium
        The block medium.
    boxes : int array, shape (r, 4)
        First and last-plus-one row, first and last-plus-one column of each rectangle. No rectangle crosses the
        boundary of the cell.
    owner : int array, shape (m, n)
        Rectangle of each block; -1 where the diffusivity is zero.
    """

    medium: BlockMedium
    boxes: Integers
    owner: Integers

    def active_edges(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return which left edges and which bottom edges of the blocks carry an unknown flux, each of shape (m, n).

        An edge does when both of its blocks conduct and it is not inside a rectangle. An edge on the boundary of the
        cell always separates, even a rectangle from its own periodic image.
        """
        result = []
        for axis in (1, 0):
            other = np.roll(self.owner, 1, axis=axis)
            active = (self.owner >= 0) & (other >= 0) & (self.owner != other)
            border = (slice(None), 0) if axis == 1 else (0, slice(None))
            active[border] = (self.owner[border] >= 0) & (other[border] >= 0)
            result.append(active)
        return result[0], result[1]


def single_blocks(medium: BlockMedium) -> Partition:
    """Return the partition in which every conducting block is a rectangle of its own."""
    conducting = medium.conducting
    owner = np.full(medium.shape, -1, dtype=np.int64)
    owner[conducting] = np.arange(np.count_nonzero(conducting))
    rows, columns = np.nonzero(conducting)
    return Partition(medium=medium, boxes=np.stack([rows, rows + 1, columns, columns + 1], axis=1), owner=owner)


def merged_blocks(medium: BlockMedium) -> Partition:
    """Return a partition into few large rectangles of equal neighbours.

    Greedy: the largest rectangle of one diffusivity (most blocks, then shortest perimeter) is cut out of what is left,
    until nothing is left. The minimum of rectangles or of their perimeter is a harder problem; this comes near it.
    """
    values = medium.axial
    _, kind = np.unique(values.reshape(-1, 2), axis=0, return_inverse=True)
    kind = kind.reshape(medium.shape).astype(np.int64)
    kind[~medium.conducting] = -1
    left = kind.copy()
    boxes = []
    while (left >= 0).any():
        box = _largest_rectangle(left)
        boxes.append(box)
        left[box[0] : box[1], box[2] : box[3]] = -1
    owner = np.full(medium.shape, -1, dtype=np.int64)
    for number, (bottom, top, first, last) in enumerate(boxes):
        owner[bottom:top, first:last] = number
    return Partition(medium=medium, boxes=np.array(boxes, dtype=np.int64), owner=owner)


def _largest_rectangle(kind: Integers) -> tuple[int, int, int, int]:
    """Return the largest rectangle of one label >= 0, by histograms over the rows and a stack."""
    rows, columns = kind.shape
    run: Integers = np.zeros(columns, dtype=np.int64)
    best, found = (0, 0), (0, 0, 0, 0)
    for i in range(rows):
        same = (kind[i] >= 0) & (kind[i] == kind[i - 1]) if i else np.zeros(columns, dtype=bool)
        run = np.where(kind[i] < 0, 0, np.where(same, run + 1, 1))
        stack: list[tuple[int, int]] = []  # (first column, height), heights increasing, one label
        for j in range(columns + 1):
            height = int(run[j]) if j < columns else 0
            first = j
            broken = j == columns or (j > 0 and kind[i, j] != kind[i, j - 1])
            while stack and (broken or stack[-1][1] >= height):
                start, tall = stack.pop()
                if not broken:
                    first = start
                rank = (tall * (j - start), -(tall + j - start))
                if rank > best:
                    best, found = rank, (i + 1 - tall, i + 1, start, j)
            if height:
                stack.append((first, height))
    return found
