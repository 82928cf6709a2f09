"""How the faces of a cell are joined one period away: node by node, or by overlaps of their facets. Plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homfem.meshing.arrays.identification import check_faces, check_resolution, identify_nodes
from homfem.meshing.arrays.raw_cell import Indices, RawCell, cell_volumes
from homfem.meshing.topology import nonmatching_faces
from homfem.meshing.topology.cracks import check_coincident, check_cracks
from homfem.meshing.topology.percolation import Links
from homfem.parameters import Array, PeriodicityError, check_choice

FACES = ("matching", "non-matching")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Joined:
    """What is one with what on the torus.

    Parameters
    ----------
    representative, offset
        See :func:`homfem.periodic.identify_nodes`; where faces do not match each node stands for itself.
    face_nodes
        For each period vector the nodes of the facets on the faces that it crosses.
    across
        Pairs of cells that are joined by overlaps; None where faces match.
    origin
        Low corner in lattice coordinates; None where faces match.
    seam_area
        What the faces add to the area of the outer facets of the mesh, see
        :func:`homfem.meshing.topology.nonmatching_faces.seam_area`.
    warnings
        What is not joined, where cracks are meant; it is for the results.
    """

    representative: Indices
    offset: Indices
    face_nodes: list[Indices]
    across: Links | None = None
    origin: Array | None = None
    seam_area: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def nodes(self) -> tuple[Indices, Indices, Links | None]:
        """The arguments of the functions of :mod:`homfem.meshing.topology.percolation` after the cell."""
        return self.representative, self.offset, self.across


def join(
    raw: RawCell,
    *,
    faces: str = "matching",
    partial: bool = False,
    origin: Array | None = None,
    cracks: bool = False,
    conforming: bool = False,
    volumes: Array | None = None,
) -> Joined:
    """Check that a cell is joined, inside and across its faces, and return how the faces are.

    Parameters
    ----------
    raw
        The cell.
    faces
        ``"matching"``: node by node, or ``"non-matching"``: by overlaps, also where they would match.
    partial
        It is a part of a cell that was checked.
    origin
        Of that cell, where its faces need not match.
    conforming
        Whether its cells are known to meet in whole facets and not to overlap; of a part also that it is fine enough.
    cracks
        Whether cracks are meant (:mod:`homfem.meshing.topology.cracks`).
    volumes : array, shape (m,), optional
        Volumes of the cells, where they are known.

    Raises
    ------
    CellError
        Parts that touch and are not joined, or overlap.
    PeriodicityError
        Faces that do not match, too coarse a mesh; non-matching: a cell that is no parallelepiped of straight
        simplices, phase boundaries that meet opposite faces in other places.
    """
    if check_choice("faces", faces, FACES) == "matching":
        try:
            representative, offset = identify_nodes(raw.points, raw.lattice, partial=partial)
            if not partial:
                total = float((cell_volumes(raw) if volumes is None else volumes).sum())
                whole = total > raw.lattice.volume * (1.0 - 1e-9)
                check_faces(raw.points, raw.corners, representative, raw.lattice, whole=whole)
        except PeriodicityError:
            check_coincident(raw)
            raise
        if not (partial and conforming):
            check_resolution(raw.points, raw.cells, representative, raw.lattice)
        known = partial or conforming
        warnings = () if known else check_cracks(raw, representative, cracks=cracks)
        face_nodes = _face_nodes(offset, representative)
        return Joined(representative=representative, offset=offset, face_nodes=face_nodes, warnings=warnings)
    representative, warnings = np.arange(len(raw.points)), ()
    if not partial:
        origin = nonmatching_faces.origin_of(raw)
        nonmatching_faces.check_traces(raw, origin)
        warnings = check_cracks(raw, representative, faces=False, cracks=cracks)
    assert origin is not None
    return Joined(
        representative=representative,
        offset=np.zeros((len(raw.points), raw.dimension), dtype=np.int64),
        face_nodes=nonmatching_faces.face_nodes(raw, origin),
        across=nonmatching_faces.links_across(raw, origin),
        origin=origin,
        seam_area=nonmatching_faces.seam_area(raw, origin),
        warnings=warnings,
    )


def _face_nodes(offset: Indices, representative: Indices) -> list[Indices]:
    """For each period vector the representatives of the nodes on the face that it crosses."""
    return [np.unique(representative[offset[:, k] != 0]) for k in range(offset.shape[1])]
