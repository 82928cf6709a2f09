"""The fixture on_ranks: what a case leaves behind, and how it fails, stays with that case and is told by rank."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from mpi_ranks import CaseError, Ranks


@pytest.fixture(scope="module")
def two():
    ranks = Ranks(2)
    yield ranks
    ranks.end()


def case_state(comm):
    """What a case finds: processes, environment, folder, handler of an interrupt, an option of PETSc, open files."""
    from petsc4py import PETSc

    handler = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    found = [os.getpid(), os.environ.get("LEFT"), str(Path.cwd()), handler, PETSc.Options().getString("left", "none")]
    return {"found": comm.allgather([*found, PETSc.Options().getString("set", "none")])}


def case_leaves(comm):
    from petsc4py import PETSc

    before = case_state(comm)
    os.environ["LEFT"] = "here"
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    PETSc.Options()["left"] = "here"
    PETSc.Options()["set"] = "changed"
    return before


def case_raises(comm):
    if comm.rank == 1:
        raise ValueError("spoilt")
    comm.Barrier()


def case_dies(comm):
    if comm.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    comm.Barrier()


def case_sleeps(comm):
    if comm.rank == 1:
        time.sleep(60.0)


def case_answers_no_json(comm):
    return {"comm": comm}


@pytest.mark.mpi
def test_ranks_are_kept_and_nothing_is_left_behind(on_ranks, monkeypatch, tmp_path):
    from petsc4py import PETSc

    monkeypatch.chdir(tmp_path)
    PETSc.Options()["set"] = "here"
    try:
        before = on_ranks(case_leaves, ranks=(1, 2, 3))
        assert on_ranks(case_state, ranks=(1, 2, 3)) == before
    finally:
        PETSc.Options().delValue("set")
    assert [len({state[0] for state in answer["found"]}) for answer in before] == [1, 2, 3]
    assert before[0]["found"] == [[os.getpid(), None, str(tmp_path), True, "none", "here"]]
    assert {tuple(state[1:]) for answer in before[1:] for state in answer["found"]} == {
        (None, str(tmp_path), True, "none", "none")
    }
    monkeypatch.setenv("LEFT", "by the test")
    assert {state[1] for answer in on_ranks(case_state) for state in answer["found"]} == {"by the test"}


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("case", "patience", "told"),
    [
        (case_raises, 60.0, r"(?s)rank 0: no answer.*rank 1: Trace.*ValueError: spoilt.*line \d+ in case_raises"),
        (case_dies, 60.0, r"(?s)rank 1: the process has ended"),
        (case_sleeps, 0.3, r"(?s)rank 1: no answer, of 0\.3 s at most.*line \d+ in case_sleeps"),
    ],
)
def test_a_failure_is_told_by_rank_and_the_next_case_runs(two, case, patience, told):
    with pytest.raises(CaseError, match=told):
        two.run(__file__, case.__name__, {}, patience)
    assert len(two.run(__file__, "case_state", {})["found"]) == 2


@pytest.mark.mpi
def test_the_fixture_fails_the_test(on_ranks):
    with pytest.raises(pytest.fail.Exception, match=r"case_answers_no_json on 2 rank\(s\) failed:\nrank 0: "):
        on_ranks(case_answers_no_json, ranks=(2,))
    with pytest.raises(TypeError, match="not JSON serializable") as error:
        on_ranks(case_answers_no_json, ranks=(1, 2))
    assert error.value.__notes__[-1] == "case_answers_no_json on 1 rank"  # newer Pythons add notes of their own
