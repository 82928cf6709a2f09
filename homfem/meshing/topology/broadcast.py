"""What every rank is told of a cell that rank 0 has checked, before the mesh is distributed."""

from __future__ import annotations

from typing import Any

import numpy as np

from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.topology.faces import join
from homfem.meshing.topology.percolation import merged, part_of_cell, percolation, together
from homfem.parameters import Array


def head_of(
    raw: RawCell, *, faces: str, partial: bool, origin: Array | None, cracks: bool
) -> tuple[dict[str, Any], Indices]:
    """Return what the ranks are told, all but the nodes and the mesh cells, and each node's representative.

    Raises :class:`homfem.parameters.CellError` for what is not joined; for the parameters see
    :meth:`homfem.cells.unitcell.UnitCell.from_raw`.
    """
    joined = join(raw, faces=faces, partial=partial, origin=origin, cracks=cracks)
    connectivity = percolation(raw, *joined.nodes)
    head: dict[str, Any] = {
        "lattice": raw.lattice,
        "phases": dict(raw.phases),
        "kind": raw.kind,
        "order": raw.order,
        "affine": raw.affine,
        "phase_of_cell": raw.phase_of_cell,
        "element": raw.element,
        "element_shape": raw.element_shape,
        "connectivity": connectivity,
        "whole": together(raw, *joined.nodes, connectivity=connectivity),
        "facets": np.sort(joined.representative[raw.facet_corners], axis=1),
        "facet_tags": raw.facet_tags,
        "facet_names": dict(raw.facet_names),
        "slivers": raw.slivers,
        "face_nodes": joined.face_nodes,
        "seam_area": joined.seam_area,
        "origin": joined.origin,
        "warnings": (*joined.warnings, *raw.notes),
        "part_of_cell": np.zeros(1, dtype=np.int32),
    }
    if len(head["whole"].parts) > 1:
        head["part_of_cell"] = part_of_cell(merged(raw), *joined.nodes).astype(np.int32)
    return head, joined.representative
