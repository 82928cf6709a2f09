"""The mesh of a cell over the ranks, made when it is first asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

from homfem import _dolfinx, periodic
from homfem.cells.features import Slivers, named_facets
from homfem.meshing.arrays.raw_cell import CELL_NODES, Indices, RawCell
from homfem.meshing.topology.broadcast import Facts, mesh_arrays_of
from homfem.meshing.topology.faces import Joined
from homfem.parameters import Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DistributedMesh:
    """The mesh of a cell and what is known of its local parts; see :class:`homfem.cells.UnitCell`."""

    periodic_mesh: periodic.PeriodicMesh
    phase_of_cell: npt.NDArray[np.int32]
    facets: Mapping[str, npt.NDArray[np.int32]]
    part_of_cell: npt.NDArray[np.int32]
    element_of_cell: npt.NDArray[np.int64]
    slivers: Slivers


class Distribution:
    """A mesh that is distributed at most once, however many cells share it.

    Parameters
    ----------
    comm
        The communicator.
    facts
        What every rank knows.
    raw, joined
        The arrays and how their faces are joined, on rank 0; None elsewhere.
    """

    def __init__(self, comm: MPI.Comm, facts: Facts, raw: RawCell | None, joined: Joined | None) -> None:
        self.comm, self.facts = comm, facts
        self._arrays = None if raw is None or joined is None else (raw, joined)
        self._mesh: DistributedMesh | None = None

    def distribute(self) -> float:
        """Distribute the mesh if that is not done; return the seconds that it took. Collective."""
        if self._mesh is not None:
            return 0.0
        start = time.perf_counter()
        self._mesh = _distributed(self.comm, self.facts, self._arrays)
        self._arrays = None
        return time.perf_counter() - start

    @property
    def mesh(self) -> DistributedMesh:
        """The mesh, distributed at the first time: collective then."""
        self.distribute()
        assert self._mesh is not None
        return self._mesh


def _distributed(comm: MPI.Comm, facts: Facts, given: tuple[RawCell, Joined] | None) -> DistributedMesh:
    points: Array = np.zeros((0, facts.lattice.dimension))
    cells: Indices = np.zeros((0, CELL_NODES[facts.kind, facts.order]), dtype=np.int64)
    representative: Indices = np.zeros(0, dtype=np.int64)
    own = None
    if given is not None:
        raw, joined = given
        points, cells, representative = raw.points, raw.cells, joined.representative
        own = mesh_arrays_of(raw, joined, len(facts.whole.parts))
    arrays: Any = own if comm.size == 1 else comm.bcast(own, root=0)  # which would make a copy
    assert arrays is not None
    if facts.origin is None:
        periodic_mesh = periodic.create_periodic_mesh(
            comm, points, cells, representative, kind=facts.kind, order=facts.order
        )
    else:
        periodic_mesh = periodic.create_open_mesh(
            comm, points, cells, arrays.phase_of_cell, facts.origin, kind=facts.kind
        )
    number = _dolfinx.original_cell_index(periodic_mesh.mesh)
    phase_of_cell = arrays.phase_of_cell[number]
    facets, slivers = named_facets(periodic_mesh, phase_of_cell, facts, arrays)
    part = arrays.part_of_cell
    return DistributedMesh(
        periodic_mesh=periodic_mesh,
        phase_of_cell=phase_of_cell,
        facets=facets,
        part_of_cell=part[number] if len(part) > 1 else np.full(len(number), part[0]),
        element_of_cell=arrays.element[number],
        slivers=slivers,
    )
