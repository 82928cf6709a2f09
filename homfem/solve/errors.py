"""Errors that reach every rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mpi4py import MPI

from homfem.parameters import HomfemError, InputError


def require_communicator(comm: MPI.Comm) -> MPI.Comm:
    """Return a communicator; raise :class:`InputError` for anything else, and for one without ranks."""
    if not isinstance(comm, MPI.Comm) or comm == MPI.COMM_NULL:
        raise InputError("comm", comm, "a communicator of mpi4py, such as MPI.COMM_WORLD")
    return comm


@contextmanager
def collective(comm: MPI.Comm) -> Iterator[None]:
    """Raise on every rank what one rank raised inside.

    The body must not communicate: a rank that fails would leave the others waiting. An error of homfem reaches the
    other ranks as it is, any other, and one that holds what cannot be sent, as a :class:`HomfemError` with its text.
    """
    mine: BaseException | None = None
    require_communicator(comm)
    try:
        yield
    except Exception as error:  # noqa: BLE001 - handed on below, on every rank
        mine = error
    shared = mine if isinstance(mine, HomfemError) or mine is None else HomfemError(f"{type(mine).__name__}: {mine}")
    try:
        MPI.pickle.dumps(shared)
    except Exception:  # noqa: BLE001 - pickle raises what the object pleases; an error must not hang the other ranks
        shared = HomfemError(str(mine))
    errors = [error for error in comm.allgather(shared) if error is not None]
    if mine is not None:
        raise mine
    if errors:
        raise errors[0]


def on_root(comm: MPI.Comm, work: Callable[[], object]) -> None:
    """Do work on rank 0, which must not communicate; an error reaches every rank. Collective."""
    with collective(comm):
        if comm.rank == 0:
            work()
