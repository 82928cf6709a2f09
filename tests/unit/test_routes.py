"""Orders and hashes over the ranks against those of one rank: as numpy sorts, whoever has which rows."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.solve import Blocks, fingerprint, positions


def _rows():
    return np.random.default_rng(4).permutation(np.array([(i, j, i * j) for i in range(13) for j in range(7)]))


def case_rows(comm, seed):
    """Rows and values fall to ranks at random; the last rank may have none."""
    rows = _rows()
    owner = np.random.default_rng(seed).integers(max(1, comm.size - 1), size=len(rows))
    mine = np.flatnonzero(owner == comm.rank)
    numbers = positions(comm, rows[mine])
    blocks = Blocks(comm, numbers, len(rows))
    block = blocks.gather(rows[mine].astype(float))
    there = blocks.scatter(np.stack([blocks.first + np.arange(blocks.count)] * 2, axis=1))
    return {
        "whole": np.concatenate(comm.allgather(block)).tolist(),
        "back": bool(np.array_equal(there, np.stack([numbers] * 2, axis=1))),
        "hash": fingerprint(comm, rows[mine]),
        "another": fingerprint(comm, rows[mine] + (rows[mine] == 12)),
    }


@pytest.mark.mpi
def test_rows_of_all_ranks_are_sorted_and_hashed_as_those_of_one(on_ranks):
    first, *others = on_ranks(case_rows, seed=1)
    assert first["whole"] == sorted(_rows().tolist())
    assert first["back"]
    assert first["hash"] != first["another"]
    assert others == [first, first]
