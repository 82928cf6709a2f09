r"""What the system of a cell problem may take: unknowns and memory, looked at before its matrix is made.

Bytes for each unknown while a system is assembled, its preconditioner set up and all loads solved, measured on meshes
of blocks and rounded up; the mesh is there already. Factors grow faster than the unknowns: like :math:`n\log n` in the
plane, like :math:`n^{4/3}` in space (nested dissection; George 1973, doi 10.1137/0710032).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.limits import BudgetError, require_memory
from homfem.ranks import collective

#: Bytes for each unknown with a multigrid preconditioner, by dimension; with several components each couples to all.
BYTES = {2: 1500.0, 3: 2700.0}
#: Bytes for each unknown of the factors: times log2(n) in the plane, the cube root of n in space.
FACTORS = {2: 100.0, 3: 200.0}
REMEDY = "Make the mesh coarser (cell.resolution)."

_most: ContextVar[int | None] = ContextVar("most", default=None)


@contextmanager
def unknowns_limited(most: int | None) -> Iterator[None]:
    """Refuse systems of more unknowns than ``most`` in the block."""
    token = _most.set(most)
    try:
        yield
    finally:
        _most.reset(token)


def require_system(cell: UnitCell, name: str, dofs: int, components: int = 1, *, direct: bool = False) -> None:
    """Refuse a system of too many unknowns, or one that would not fit into the memory; collective.

    Parameters
    ----------
    cell
        What is solved.
    name
        Of the system, for the message.
    dofs
        Its unknowns.
    components
        Of its field.
    direct
        Whether its factors are made.

    Raises
    ------
    BudgetError
        Beyond :func:`unknowns_limited`.
    MemoryLimitError
        Beyond :func:`homfem.limits.memory_limit` of the machines that the ranks run on.
    """
    most = _most.get()
    if most is not None and dofs > most:
        allowed = f">= {dofs}: the {name} on this mesh has so many unknowns"
        raise BudgetError("max_dofs", most, allowed, f"Allow more. {REMEDY}")
    what = f"the {name} on {cell.number_of_cells} mesh cells, with {dofs} unknowns,"
    with collective(cell.comm):
        needed = bytes_of(dofs, cell.dimension, components, direct=direct) / _machines(cell.comm)
        require_memory("cell", cell.name, needed, what, REMEDY)


def bytes_of(dofs: int, dimension: int, components: int = 1, *, direct: bool = False) -> float:
    """Return about how many bytes a system takes."""
    each = BYTES[dimension] * (1.0 + 0.5 * (components - 1))
    if direct:
        each += FACTORS[dimension] * (math.log2(dofs + 2.0) if dimension == 2 else dofs ** (1.0 / 3.0))
    return each * dofs


def bytes_on_cell(dimension: int, components: int = 1) -> float:
    """Return how many bytes for each simplex the lower bound takes at the least: multipliers linear on each facet."""
    return BYTES[dimension] * 0.5 * (dimension + 1) * dimension * components


def _machines(comm: MPI.Comm) -> int:
    """Number of machines that the ranks run on."""
    if comm.size == 1:
        return 1
    own = comm.Split_type(MPI.COMM_TYPE_SHARED)
    count = comm.allreduce(int(own.rank == 0))
    own.Free()
    return int(count)
