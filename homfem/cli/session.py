"""One command on all ranks: one exit status, one message, from rank 0. MPI loads only where there are ranks."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import TextIO

DONE, FAILED, BAD_INPUT, SHORT = 0, 1, 2, 3
"""Exit statuses: done; anything else; bad input; done, but short of the tolerance."""

_PATIENCE = 30.0  # seconds that a rank with an error waits for the others
_STREAM_ERRORS = (errno.EPIPE, errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)  # where no file is named
_LAUNCHERS = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")


def launched_rank() -> int | None:
    """Return the rank that the launcher of MPI gave this process; None without a launcher."""
    for name in _LAUNCHERS:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return None


class OutputError(Exception):
    """Standard output does not take the result."""


def run_on_all_ranks(body: Callable[[], int]) -> int:
    """Run the body of a command and return its exit status, the same on every rank.

    An error of homfem is one message on standard error, from rank 0. An error that the other ranks do not share within
    30 s ends all of them.
    """
    if 1 in _open_streams():
        say("standard output is closed; send it to a file or to /dev/null")
        return FAILED
    try:
        return _run(body)
    finally:
        for stream in (sys.stdout, sys.stderr):
            _let_go(stream)


def _run(body: Callable[[], int]) -> int:
    rank = launched_rank()
    # PETSc's own handlers would abort where a pipe is closed or a run is to end.
    os.environ["PETSC_OPTIONS"] = f"{os.environ.get('PETSC_OPTIONS', '')} -no_signal_handler".strip()
    agreement = _Agreement() if rank is not None else None
    if rank:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the life of the process
    guard = _Guard()
    with _ending_signals(), guard:
        guard.status = body()
    if agreement is not None and agreement.comm.size > 1:
        return agreement.settle(guard.status, guard.message)
    if guard.message:
        say(guard.message)
    return guard.status


@contextmanager
def _ending_signals() -> Iterator[None]:
    """Let SIGTERM, and SIGUSR1 which mpirun hands on, interrupt as SIGINT does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _open_streams() -> list[int]:
    """Let no other file take the place of a closed standard stream; return which were closed."""
    closed = []
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            closed.append(number)
    if 2 in closed:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - for the life of the process
    return closed


def say(message: str) -> None:
    """Write a message to standard error, if that takes it."""
    with suppress(OSError):
        print(f"homfem: {message}", file=sys.stderr, flush=True)  # noqa: T201


def show(text: str) -> None:
    """Write a result to standard output (rank 0 alone has one).

    Raises
    ------
    OutputError
        If nobody takes it: a closed pipe, a full disk.
    """
    try:
        print(text, flush=True)  # noqa: T201
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror}") from error


def _let_go(stream: TextIO) -> None:
    """Drop what a stream cannot get rid of: Python would try once more at its end, and change the status."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class _Guard:
    """Turns what the body raises into an exit status and a message."""

    def __init__(self) -> None:
        self.status, self.message = FAILED, ""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            return True
        self.status, self.message = self._judge(error)
        return True

    def _judge(self, error: BaseException) -> tuple[int, str]:
        import typer

        from homfem.parameters import HomfemError, InputError

        if isinstance(error, InputError):
            return BAD_INPUT, str(error)
        if isinstance(error, _usage_errors()):
            return BAD_INPUT, f"{error.format_message()} See homfem --help."  # type: ignore[attr-defined]
        if isinstance(error, (HomfemError, OutputError)):
            return FAILED, str(error)
        if isinstance(error, (KeyboardInterrupt, typer.Abort)):
            return FAILED, "interrupted"
        if isinstance(error, SystemExit):
            return (error.code if isinstance(error.code, int) else FAILED if error.code else DONE), ""
        if isinstance(error, OSError) and error.filename is not None:
            return FAILED, f"{error.filename}: {error.strerror}"
        if isinstance(error, OSError) and error.errno in _STREAM_ERRORS:
            return FAILED, f"standard output: {error.strerror}"
        if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] != "homfem":
            return FAILED, f"the module {error.name!r} is not here. Run it through docker/run, or see the README."
        return FAILED, "".join(traceback.format_exception(error)).rstrip()


def _usage_errors() -> type[BaseException]:
    """Return the class of all errors of the command line, whether typer uses the package click or has its own."""
    import typer

    return [base for base in typer.BadParameter.__mro__ if hasattr(base, "format_message")][-1]


class _Agreement:
    """Lets all ranks end with one status; its messages do not mix with those of the computation."""

    def __init__(self) -> None:
        from mpi4py import MPI

        self.world = MPI.COMM_WORLD
        self.comm = MPI.COMM_WORLD.Dup()

    def settle(self, status: int, message: str) -> int:
        """Return the largest status of all ranks; rank 0 writes its message at once, else the first. Collective."""
        _let_go(sys.stdout)
        told = self.comm.rank == 0 and bool(message)
        if told:
            say(message)
        request = self.comm.Ibarrier()
        deadline = time.monotonic() + (_PATIENCE if status not in (DONE, SHORT) else float("inf"))
        while not request.Test():
            if time.monotonic() > deadline:
                if not told:
                    say(f"rank {self.comm.rank} alone failed: {message}")
                self.world.Abort(status)
            time.sleep(0.01)
        everything: list[tuple[int, str]] = self.comm.allgather((status, message))
        worst = max(status for status, _ in everything)
        first = next((text for each, text in everything if each == worst and text), "")
        if first and self.comm.rank == 0 and not told:
            say(first)
        self.comm.Barrier()
        return worst


@contextmanager
def results_only(wanted: bool) -> Iterator[None]:
    """Send what libraries write to standard output to standard error, so that a result stands there alone."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
