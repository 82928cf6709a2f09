"""What is found on the arrays of a cell and told to every rank: at once, and when the mesh is distributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.raw_cell import Indices, RawCell, Tags, cell_volumes
from homfem.meshing.topology.faces import Joined, join
from homfem.meshing.topology.interfaces import interface_area
from homfem.meshing.topology.percolation import (
    PhaseConnectivity,
    connectivities,
    merged,
    part_of_cell,
    shared_facets,
)
from homfem.parameters import Array, Lattice


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Known:
    """What a cell with other mesh cells keeps: of what was cut out, refined or mirrored the whole is known.

    Parameters
    ----------
    volume_fractions, interface_area
        See :class:`homfem.cells.UnitCell`.
    connectivity, whole
        The same; None where the change may have changed them.
    warnings
        What was said of the whole.
    """

    volume_fractions: Mapping[str, float]
    interface_area: float
    connectivity: Mapping[str, PhaseConnectivity] | None = None
    whole: PhaseConnectivity | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Facts:
    """What every rank is told of a cell that was checked on one; see :class:`homfem.cells.UnitCell`.

    ``area`` is that of all phase boundaries in the units of the arrays, None of bent boxes: there it is integrated on
    the mesh. ``seam_area`` is what the faces add to it.
    """

    lattice: Lattice
    phases: Mapping[str, int]
    kind: str
    order: int
    affine: bool
    number_of_cells: int
    element_shape: tuple[int, ...]
    volume_fractions: Mapping[str, float]
    area: float | None
    seam_area: float
    connectivity: Mapping[str, PhaseConnectivity]
    whole: PhaseConnectivity
    origin: Array | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeshArrays:
    """What every rank is told when the mesh is distributed, all but the nodes and the mesh cells.

    ``facets`` are those that carry a name, by the sorted nodes that stand for their corners; ``part_of_cell`` is one
    zero where the mesh has one part.
    """

    phase_of_cell: Tags
    part_of_cell: npt.NDArray[np.int32]
    element: Indices | None
    facets: Indices
    facet_tags: Tags
    facet_names: Mapping[str, int]
    slivers: Array | None
    face_nodes: list[Indices]


def facts_of(
    raw: RawCell,
    *,
    faces: str,
    partial: bool,
    origin: Array | None,
    cracks: bool,
    conforming: bool = False,
    known: Known | None = None,
) -> tuple[Facts, Joined]:
    """Check that the arrays are a cell, and return what is found on them; on one rank.

    Raises :class:`homfem.parameters.CellError` for what is not joined; for the parameters see
    :meth:`homfem.cells.UnitCell.from_raw`.
    """
    sound = conforming or known is not None
    connectivity = None if known is None else known.connectivity
    whole = None if known is None else known.whole
    searched = connectivity is None or whole is None
    volumes = cell_volumes(raw) if searched else None
    joined = join(raw, faces=faces, partial=partial, origin=origin, cracks=cracks, conforming=sound, volumes=volumes)
    shared = None
    if connectivity is None or whole is None:
        shared = shared_facets(raw, joined.representative, joined.offset)
        found = connectivities(raw, *joined.nodes, shared=shared, volumes=volumes)
        connectivity, whole = connectivity or found[0], whole or found[1]
    if known is None:
        shares = np.bincount(raw.phase_of_cell, weights=volumes) / raw.lattice.volume
        fractions = {name: float(shares[tag]) for name, tag in raw.phases.items()}
        area = None if shared is None else interface_area(raw, shared)
    else:
        fractions, area = dict(known.volume_fractions), None
    facts = Facts(
        lattice=raw.lattice,
        phases=dict(raw.phases),
        kind=raw.kind,
        order=raw.order,
        affine=raw.affine,
        number_of_cells=len(raw.cells),
        element_shape=raw.element_shape,
        volume_fractions=fractions,
        area=area,
        seam_area=joined.seam_area,
        connectivity=connectivity,
        whole=whole,
        origin=joined.origin,
        warnings=(*joined.warnings, *raw.notes) if known is None else known.warnings,
    )
    return facts, joined


def mesh_arrays_of(raw: RawCell, joined: Joined, parts: int) -> MeshArrays:
    """Return what the ranks are told beside the mesh; ``parts`` is the number of connected parts of the whole."""
    part: npt.NDArray[np.int32] = np.zeros(1, dtype=np.int32)
    if parts > 1:
        part = part_of_cell(merged(raw), *joined.nodes).astype(np.int32)
    return MeshArrays(
        phase_of_cell=raw.phase_of_cell,
        part_of_cell=part,
        element=raw.element,
        facets=np.sort(joined.representative[raw.facet_corners], axis=1),
        facet_tags=raw.facet_tags,
        facet_names=dict(raw.facet_names),
        slivers=raw.slivers,
        face_nodes=joined.face_nodes,
    )
