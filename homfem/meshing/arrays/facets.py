"""Facets of mesh cells as arrays: their corners, a number for each, and which belong to which cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from homfem.reference import CORNERS, FACET_CORNERS, FACETS

Indices = npt.NDArray[np.int64]


def facets_of(cells: npt.ArrayLike, facets: npt.ArrayLike, kind: str) -> npt.NDArray[np.bool_]:
    """Return for each facet whether it is a facet of one of the cells; shape (f,)."""
    width = FACET_CORNERS[kind]
    cells, facets = np.asarray(cells, dtype=np.int64), np.asarray(facets, dtype=np.int64)
    if len(facets) == 0:
        return np.zeros(0, dtype=bool)
    wanted = np.unique(facets[:, :width])
    flag = np.zeros(max(int(cells.max(initial=0)), int(wanted[-1])) + 1, dtype=bool)
    flag[wanted] = True
    corners = cells[:, : CORNERS[kind]]
    own = cell_facets(corners[flag[corners].sum(axis=1) >= width], kind).reshape(-1, width)
    number = row_numbers(np.sort(np.vstack([own, facets[:, :width]]), axis=1))
    return np.isin(number[len(own) :], number[: len(own)])


def cell_facets(cells: Indices, kind: str) -> Indices:
    """Return the corner nodes of the facets of each cell, shape (m, facets of a cell, corners of a facet).

    Facet k of a simplex is opposite to corner k; for the others see :data:`homfem.reference.FACETS`.
    """
    return cells[:, FACETS[kind]]


def row_numbers(rows: npt.ArrayLike) -> Indices:
    """Return a number for each row of non-negative integers, equal for equal rows and only for those; shape (n,)."""
    rows = np.asarray(rows, dtype=np.int64)
    number = rows[:, 0]
    for column in rows.T[1:]:
        # The first factor is made small when the product could overflow.
        if int(number.max(initial=0)) * (int(column.max(initial=0)) + 1) > 2**62:
            number = np.unique(number, return_inverse=True)[1]
        number = number * (int(column.max(initial=0)) + 1) + column
    return number
