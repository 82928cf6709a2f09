"""A cell from its arrays: made and checked on rank 0, and told to all; the mesh itself is distributed later."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from mpi4py import MPI

from homfem.cells.distribution import Distribution
from homfem.cells.features import boundary_area
from homfem.meshing.arrays.raw_cell import RawCell, scaled
from homfem.meshing.topology.broadcast import Facts, Known, facts_of
from homfem.meshing.topology.faces import Joined
from homfem.parameters import Array, InputError, check_number
from homfem.ranks import collective

log = logging.getLogger("homfem")


class MakingOptions(TypedDict, total=False):
    """The words of :class:`Making` as keywords of a function."""

    name: str
    length: float
    length_unit: str
    normalise: bool
    partial: bool
    faces: str
    origin: Array | None
    cracks: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Making:
    """What a cell of arrays is called, how large it is, and how its arrays are checked.

    Parameters
    ----------
    name
        What it is.
    length, length_unit
        Physical length of one mesh unit.
    normalise
        Scale the mesh so that its shortest period is 1, and ``length`` so that the physical size stays.
    partial
        The arrays are some of the phases of a cell whose faces were found to match, see
        :func:`homfem.periodic.identify_nodes`.
    faces, origin
        Whether opposite faces match, and where they need not, for a part of a cell, the low corner of that cell: see
        :func:`homfem.meshing.topology.faces.join`.
    cracks
        Whether parts that touch and are not joined, else refused, are meant (:mod:`homfem.meshing.topology.cracks`).
    """

    name: str = "cell"
    length: float = 1.0
    length_unit: str = "m"
    normalise: bool = False
    partial: bool = False
    faces: str = "matching"
    origin: Array | None = None
    cracks: bool = False

    def __post_init__(self) -> None:
        check_number("length", self.length, above=0.0, remedy="The period is a length.")


def made(
    make: Callable[[], RawCell | None] | RawCell | None,
    comm: MPI.Comm,
    how: Making,
    *,
    conforming: bool = False,
    known: Known | None = None,
) -> dict[str, Any]:
    """Make and check the arrays on rank 0, and tell the others what was found; collective.

    Returns the fields of a :class:`homfem.cells.UnitCell`.
    """
    start = time.perf_counter()
    raw: RawCell | None = None
    joined: Joined | None = None
    told: tuple[Facts, float, dict[str, float]] | None = None
    with collective(comm):
        if comm.rank == 0:
            raw, length = make() if callable(make) else make, how.length
            if raw is None:
                raise InputError("make", make, "a RawCell, or a function that makes one, on rank 0")
            if how.normalise:
                length = raw.lattice.shortest * length
                raw = scaled(raw, 1.0 / raw.lattice.shortest)
            meshed = time.perf_counter()
            facts, joined = facts_of(
                raw,
                faces=how.faces,
                partial=how.partial,
                origin=how.origin,
                cracks=how.cracks,
                conforming=conforming,
                known=known,
            )
            told = facts, length, {"mesh": meshed - start, "identify": time.perf_counter() - meshed}
    if comm.size > 1:
        told = comm.bcast(told, root=0)
    assert told is not None
    facts, length, seconds = told
    distribution = Distribution(comm, facts, raw, joined)
    if known is not None:
        area = known.interface_area
    else:
        mesh_area = facts.area
        if mesh_area is None:
            there = distribution.mesh
            mesh_area = boundary_area(there.periodic_mesh.mesh, there.phase_of_cell, len(facts.phases))
        area = (mesh_area + facts.seam_area) / (facts.lattice.volume * length)
        for warning in facts.warnings:
            log.warning("%s: %s", how.name, warning)
    log.info("%s: %d cells, %.2f s", how.name, facts.number_of_cells, time.perf_counter() - start)
    return {
        "name": how.name,
        "length": length,
        "length_unit": how.length_unit,
        "facts": facts,
        "distribution": distribution,
        "volume_fractions": facts.volume_fractions,
        "interface_area": area,
        "raw": raw,
        "seconds": seconds,
        "partial": how.partial,
        "cracks": how.cracks,
        "warnings": facts.warnings,
    }
