"""Names for the interfaces between phases in the arrays of a cell, which stay where one of the phases is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from homfem.meshing.arrays.facets import cell_facets
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.topology.interfaces import facet_nodes
from homfem.meshing.topology.percolation import shared_facets
from homfem.parameters import Array
from homfem.reference import FACETS


def with_interfaces(raw: RawCell, representative: Indices, offset: Indices, names: Sequence[str]) -> RawCell:
    """Return the cell with the facets of interfaces ``"a|b"`` named, the phases in their order; from both sides.

    Parameters
    ----------
    raw
        The cell, of all phases; opposite faces match.
    representative, offset
        How its nodes are joined (:func:`homfem.meshing.topology.faces.join`).
    names
        The interfaces; those that have a name already keep it.
    """
    wanted = [name for name in names if name not in raw.facet_names]
    if not wanted:
        return raw
    one, two, _ = shared_facets(raw, representative, offset)
    per_cell = len(FACETS[raw.kind])
    sides = np.sort(raw.phase_of_cell[np.column_stack([one, two]) // per_cell], axis=1)
    facets, tags, numbers = [raw.facets], [raw.facet_tags], dict(raw.facet_names)
    free = max([0, *numbers.values()]) + 1
    for name in wanted:
        pair = sorted(raw.phases[phase] for phase in name.split("|"))
        on = np.all(sides == pair, axis=1)
        found = _nodes(raw, np.concatenate([one[on], two[on]]))
        if len(found):
            facets.append(found)
            tags.append(np.full(len(found), free, dtype=np.int32))
            numbers[name] = free
            free += 1
    added = sum(map(len, facets)) - len(raw.facets)
    slivers: Array | None = None
    if raw.slivers is not None:
        slivers = np.vstack([raw.slivers, np.zeros((added, 2))])
    return replace(raw, facets=np.vstack(facets), facet_tags=np.concatenate(tags), facet_names=numbers, slivers=slivers)


def _nodes(raw: RawCell, numbers: Indices) -> Indices:
    """The nodes of facets, facet k of cell i with the number ``i * facets of a cell + k``."""
    per_cell = len(FACETS[raw.kind])
    cells, local = numbers // per_cell, numbers % per_cell
    corners = cell_facets(raw.corners[cells], raw.kind)[np.arange(len(cells)), local]
    if raw.order == 1:
        return np.asarray(corners)
    return np.asarray(raw.cells[cells[:, None], facet_nodes(raw.kind, raw.order)[local]])
