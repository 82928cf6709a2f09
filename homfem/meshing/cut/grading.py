"""A background grid made finer towards surfaces, before it is cut along them. Plain arrays on one rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from homfem.meshing.arrays.budget import require_cells
from homfem.meshing.arrays.identification import identify_nodes
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.arrays.refinement import PAIRS, bisect_longest
from homfem.meshing.cut.level_sets import STEP, LevelSet, gradients, values
from homfem.parameters import Array, InputError

#: size(points of shape (n, d)) -> wanted length of the longest edge there, shape (n,).
MeshSize = Callable[[Array], Array]
#: Mesh cells that take the place of one that a surface passes, each of the wanted size, measured.
LAYERS = {2: 3.0, 3: 5.0}


def graded(
    raw: RawCell, functions: Sequence[LevelSet], size: MeshSize, copies: int = 1, refinement: int = 0
) -> RawCell:
    """Return the grid with the cells near surfaces bisected until their longest edges are as wanted.

    Parameters
    ----------
    raw
        The grid, of order 1.
    functions
        Level-set functions.
    size
        Wanted length of the longest edge at points near the surfaces, > 0; the grid is made no coarser.

    copies
        How many such grids the mesh will have, which counts for the memory.
    refinement
        How many halvings were asked for, for messages; by default those that the sizes need.

    Raises
    ------
    MemoryLimitError
        Where the finer grid would not fit into the memory.
    """
    while True:
        corners = raw.points[raw.corners]
        first, second = PAIRS[raw.corners.shape[1]]
        longest = np.linalg.norm(corners[:, first] - corners[:, second], axis=2).max(axis=1)
        candidate = np.flatnonzero(_near(raw, functions, longest))
        wanted = values(size, corners[candidate].mean(axis=1), "size")
        if not np.all(wanted > 0.0):
            raise InputError("size", float(wanted.min()), "> 0 near the surfaces")
        marked = np.zeros(len(longest), dtype=bool)
        marked[candidate] = longest[candidate] > wanted * (1.0 + 1e-6)
        if not marked.any():
            return raw
        _require(raw, longest[candidate] / wanted, copies, refinement)
        representative, _ = identify_nodes(raw.points, raw.lattice)
        raw = bisect_longest(raw, representative, marked)


def _require(raw: RawCell, ratio: Array, copies: int, refinement: int) -> None:
    """Refuse sizes whose grid would not fit: near a surface the cells fill a layer of a few cells' thickness."""
    finer = LAYERS[raw.dimension] * float(np.sum(np.maximum(ratio, 1.0) ** (raw.dimension - 1) - 1.0))
    asked = refinement or math.ceil(math.log2(max(1.0, float(ratio.max()))))
    require_cells("refinement", asked, raw.kind, copies * (len(raw.cells) + finer))


def _near(raw: RawCell, functions: Sequence[LevelSet], longest: Array) -> np.ndarray:
    """Mesh cells through which a surface passes, or close by."""
    found = np.zeros(len(longest), dtype=bool)
    for number, phi in enumerate(functions):
        at = values(phi, raw.points, f"functions[{number}]")
        of_cell = at[raw.corners]
        found |= (of_cell.min(axis=1) <= 0.0) & (of_cell.max(axis=1) >= 0.0)
        # Distances by the slope, where the values change little enough over the cell for that.
        close = np.flatnonzero(~found & (np.abs(of_cell).min(axis=1) < 2.0 * np.ptp(of_cell, axis=1)))
        node = np.unique(raw.corners[close])
        slope = np.linalg.norm(gradients(phi, raw.points[node], STEP * raw.lattice.shortest), axis=1)
        away = np.full(len(at), np.inf)
        away[node] = np.abs(at[node]) / np.maximum(slope, 1e-300)
        found[close] |= away[raw.corners[close]].min(axis=1) < 0.4 * longest[close]
    return found
