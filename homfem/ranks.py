"""The ranks that share a run, also where there is no MPI; errors that reach every rank."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from homfem.parameters import HomfemError, InputError

if TYPE_CHECKING:
    from mpi4py import MPI


class OneProcess:
    """The communicator of a process where mpi4py is not installed: what methods without a mesh ask of one."""

    rank = 0
    size = 1

    def bcast(self, value: Any, root: int = 0) -> Any:
        """Return the value."""
        return value

    def allgather(self, value: Any) -> list[Any]:
        """Return the value as that of the only rank."""
        return [value]


def world() -> MPI.Comm | Any:
    """Return the communicator of all ranks; where mpi4py is not installed, :class:`OneProcess`."""
    if find_spec("mpi4py") is None:
        return OneProcess()
    from mpi4py import MPI

    return MPI.COMM_WORLD


def require_communicator(comm: MPI.Comm) -> MPI.Comm:
    """Return a communicator; raise :class:`InputError` for anything else, and for one without ranks."""
    if isinstance(comm, OneProcess):
        return comm
    if find_spec("mpi4py") is not None:
        from mpi4py import MPI

        if isinstance(comm, MPI.Comm) and comm != MPI.COMM_NULL:
            return comm
    raise InputError("comm", comm, "a communicator of mpi4py, such as MPI.COMM_WORLD")


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
        pickle.dumps(shared)
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
