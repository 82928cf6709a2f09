"""The arrays of several periods of a cell as one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from homfem.meshing.arrays.identification import identify_nodes
from homfem.meshing.arrays.raw_cell import Indices, RawCell, elements_of
from homfem.parameters import Lattice


def tiled_raw(raw: RawCell, counts: Sequence[int], *, partial: bool = False) -> tuple[RawCell, Indices, Indices]:
    """Return the arrays of a cell of several periods, and where its nodes come from.

    Parameters
    ----------
    raw
        A cell whose faces match.
    counts
        Number of periods along each period vector.
    partial
        As in :func:`homfem.periodic.identify_nodes`.

    Returns
    -------
    RawCell
    node : array of int, shape (n,)
        For each node of it the node of ``raw`` whose image it is,
    shift : array of int, shape (n, d)
        and by how many periods that is moved.
    """
    representative, offset = identify_nodes(raw.points, raw.lattice, partial=partial)
    shifts = np.array(list(itertools.product(*map(range, counts))), dtype=np.int64)
    # A node is the representative that stands for it and its place in whole periods.
    place = (shifts[:, None, :] + offset[None, :, :]).reshape(-1, raw.dimension)
    keys = np.column_stack([np.tile(representative, len(shifts)), place])
    unique, number = np.unique(keys, axis=0, return_inverse=True)
    number = number.reshape(len(shifts), len(raw.points))
    points = raw.points[unique[:, 0]] + unique[:, 1:] @ raw.lattice.vectors
    big = replace(
        raw,
        points=points,
        cells=number[:, raw.cells].reshape(-1, raw.cells.shape[1]),
        phase_of_cell=np.tile(raw.phase_of_cell, len(shifts)),
        element=np.tile(elements_of(raw), len(shifts)),
        facets=number[:, raw.facets].reshape(-1, raw.facets.shape[1]),
        facet_tags=np.tile(raw.facet_tags, len(shifts)),
        slivers=None if raw.slivers is None else np.tile(raw.slivers, (len(shifts), 1)),
        lattice=Lattice(vectors=raw.lattice.vectors * np.asarray(counts)[:, None]),
    )
    return big, unique[:, 0], unique[:, 1:]
