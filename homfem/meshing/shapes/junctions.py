"""The faces of gap junctions between heart muscle cells, by name: at the ends of the cells, and at their sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.raw_cell import RawCell

#: The faces across the long axis x of the cells, and the others.
ENDS, SIDES = "end-junctions", "side-junctions"


def with_junctions(raw: RawCell) -> RawCell:
    """Return straight cells with names for the facets between ``intracellular`` and ``junction``, by their normals."""
    inside, junction = raw.phases["intracellular"], raw.phases.get("junction")
    if junction is None:
        return raw
    near = np.isin(raw.phase_of_cell, (inside, junction))
    facets = cell_facets(raw.corners[near], raw.kind)
    width = facets.shape[2]
    own = np.repeat(raw.phase_of_cell[near] == junction, facets.shape[1])
    facets = facets.reshape(-1, width)
    number = row_numbers(np.sort(facets, axis=1))
    _, first, label = np.unique(number, return_index=True, return_inverse=True)
    both = np.bincount(label, own) * np.bincount(label, ~own) > 0.0
    chosen = facets[first[both]]
    across = np.ptp(raw.points[chosen, 0], axis=1) <= 1e-9 * np.ptp(raw.points[:, 0])
    return replace(
        raw,
        facets=chosen,
        facet_tags=np.where(across, 1, 2).astype(np.int32),
        facet_names={ENDS: 1, SIDES: 2},
    )
