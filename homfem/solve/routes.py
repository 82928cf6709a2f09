"""Items on their way between ranks: routes there and back, positions in a common order, blocks of a whole array."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Items = npt.NDArray[Any]


class Route:
    """Where each item of this rank goes; collective.

    Parameters
    ----------
    comm
        The ranks.
    destinations
        A rank for each item, shape (n,).
    """

    def __init__(self, comm: MPI.Comm, destinations: Integers) -> None:
        self.comm = comm
        self._order = np.argsort(destinations, kind="stable")
        self._sent = np.bincount(destinations, minlength=comm.size).astype(np.int64)
        self._received = np.empty_like(self._sent)
        comm.Alltoall(self._sent, self._received)

    @property
    def arriving(self) -> int:
        """How many items arrive here."""
        return int(self._received.sum())

    def there(self, values: Items) -> Items:
        """Return what arrives, rank by rank, if each item has the value, shape (n, ...); collective."""
        return self._move(np.ascontiguousarray(values[self._order]), self._sent, self._received)

    def back(self, arrived: Items) -> Items:
        """Return for each item the value that it has where it arrived; collective."""
        came = self._move(np.ascontiguousarray(arrived), self._received, self._sent)
        values = np.empty_like(came)
        values[self._order] = came
        return values

    def _move(self, values: Items, sent: Integers, received: Integers) -> Items:
        if self.comm.size == 1:
            return values
        target = np.empty((int(received.sum()), *values.shape[1:]), dtype=values.dtype)
        item = MPI.BYTE.Create_contiguous(values.dtype.itemsize * int(np.prod(values.shape[1:], dtype=np.int64)))
        item.Commit()
        try:
            starts = [np.concatenate([[0], np.cumsum(counts)[:-1]]) for counts in (sent, received)]
            self.comm.Alltoallv([values, sent, starts[0], item], [target, received, starts[1], item])
        finally:
            item.Free()
        return target


class Blocks:
    """A whole array in contiguous blocks, one for each rank in their order, from items that lie anywhere; collective.

    Parameters
    ----------
    comm
        The ranks.
    numbers
        Place in the whole array of each item of this rank; each place belongs to one item of one rank.
    size
        Length of the whole array.

    Attributes
    ----------
    first, count
        Where the block of this rank begins, and its length.
    """

    def __init__(self, comm: MPI.Comm, numbers: Integers, size: int) -> None:
        bounds = size * np.arange(comm.size + 1, dtype=np.int64) // comm.size
        self.size, self.first = size, int(bounds[comm.rank])
        self.count = int(bounds[comm.rank + 1]) - self.first
        self._route = Route(comm, np.searchsorted(bounds, numbers, side="right") - 1)
        self._places = self._route.there(numbers) - self.first

    def gather(self, values: Items) -> Items:
        """Return the block of this rank of the items' values, shape (n, ...); collective."""
        block = np.empty((self.count, *values.shape[1:]), dtype=values.dtype)
        block[self._places] = self._route.there(values)
        return block

    def scatter(self, block: Items) -> Items:
        """Return the values of the items of this rank from the blocks; collective."""
        return self._route.back(block[self._places])


def positions(comm: MPI.Comm, rows: Integers) -> Integers:
    """Return the place of each row in the lexicographic order of those of all ranks; collective.

    Parameters
    ----------
    rows
        Shape (n, k), integers >= 0; equal rows keep the order of the ranks.
    """
    largest = comm.allreduce(int(rows[:, 0].max(initial=0)), op=MPI.MAX)
    route = Route(comm, rows[:, 0] * comm.size // (largest + 1))
    arrived = route.there(rows)
    places = np.empty(len(arrived), dtype=np.int64)
    places[np.lexsort(arrived.T[::-1])] = np.arange(len(arrived))
    before = sum(comm.allgather(len(arrived))[: comm.rank])
    return np.asarray(route.back(places + before))


def fingerprint(comm: MPI.Comm, rows: Integers) -> str:
    """Return a hash of the rows of all ranks that depends neither on their order nor on the ranks; collective.

    Parameters
    ----------
    rows
        Shape (n, k), integers; k is the same on every rank.
    """
    sums = np.zeros(3, dtype=np.uint64)
    sums[0] = len(rows)
    for number, seed in enumerate((0x9E3779B97F4A7C15, 0xD1B54A32D192ED03), start=1):
        state: Words = np.full(len(rows), seed, dtype=np.uint64)
        for column in rows.T:
            state = _mixed(state ^ column.astype(np.uint64))
        sums[number] = state.sum(dtype=np.uint64)
    comm.Allreduce(MPI.IN_PLACE, sums, op=MPI.SUM)
    return "".join(f"{int(part):016x}" for part in sums)


def _mixed(state: Words) -> Words:
    """Return integers of 64 bits as SplitMix64 mixes them (Steele, Lea and Flood 2014, doi 10.1145/2660193.2660195)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))
