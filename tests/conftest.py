"""Shared fixtures: run a case on several ranks; collect PETSc objects collectively after each test."""

from __future__ import annotations

import gc
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for made_cells
from mpi_ranks import CaseError, Ranks
from run_case import contained


def _here(case: Callable[..., dict[str, Any]], inputs: str) -> dict:
    """Run a case in this process, which is a rank of its own."""
    from mpi4py import MPI

    try:
        with contained():
            return json.loads(json.dumps(case(MPI.COMM_WORLD, **json.loads(inputs))))
    except Exception as error:
        error.add_note(f"{case.__name__} on 1 rank")
        raise


# A shell's background jobs ignore interrupts, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _ranks() -> Iterator[dict[int, Ranks]]:
    started = {number: Ranks(number) for number in (2, 3)}
    yield started
    for ranks in started.values():
        ranks.end()


@pytest.fixture
def on_ranks(_ranks: dict[int, Ranks]) -> Callable[..., list[dict]]:
    """Give ``on_ranks(case, ranks=(1, 2, 3), **inputs)``: a top-level function of the test's module on several ranks.

    It runs ``case(comm, **inputs)`` on each number of ranks, and returns what rank 0 returned, in order. One rank is
    this process; two and three are processes under mpirun, kept from one case to the next.
    """

    def run(case: Callable[..., dict[str, Any]], *, ranks: tuple[int, ...] = (1, 2, 3), **inputs: Any) -> list[dict]:
        text = json.dumps(inputs)
        results = []
        for number in ranks:
            try:
                there = (case.__code__.co_filename, case.__name__, json.loads(text))
                results.append(_here(case, text) if number == 1 else _ranks[number].run(*there))
            except CaseError as error:
                pytest.fail(str(error))
        return results

    return run


@pytest.fixture
def homfem(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, str, str]]:
    """Run a command in this process; give status, standard output, standard error."""
    from homfem import cli
    from homfem.cli import session

    for name in session._LAUNCHERS:
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: Any) -> tuple[Any, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


_modules = 0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def _collect() -> Any:
    handlers = [signal.getsignal(number) for number in _SIGNALS]
    yield
    left = [signal.getsignal(number) for number in _SIGNALS]
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        signal.signal(number, handler)
    assert left == handlers, "a handler of signals is not put back: the next interrupt would be lost"
    gc.collect()
    # Most of the objects there are come from imports: no need to look at them after each test.
    global _modules
    if len(sys.modules) > _modules:
        _modules = len(sys.modules)
        gc.freeze()
