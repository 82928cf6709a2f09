"""Run a mesher in a process of its own, which can be ended: Gmsh itself cannot be interrupted."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from homfem.limits import VARIABLE, memory_limit, readable
from homfem.parameters import CellError, check_number

log = logging.getLogger("homfem")
Result = TypeVar("Result")

#: Seconds after which a mesher is ended, unless another limit is given.
TIMEOUT = 600.0

_CHILD = """
import sys
sys.path[:] = {path!r}
from homfem.meshing.by_gmsh.subprocess_mesher import serve
serve({folder!r})
"""
# What a launcher of MPI leaves in the environment: the new process is not one of its ranks.
_LAUNCHERS = ("OMPI_COMM_", "OMPI_MCA_ess", "OMPI_MCA_orte", "OMPI_UNIVERSE", "PMIX_", "PMI_", "PRTE_", "MPI_LOCAL")


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelno, record.getMessage()))


def run_limited(
    function: Callable[..., Result], *arguments: Any, timeout: float | None = TIMEOUT, **named: Any
) -> Result:
    """Return ``function(*arguments, **named)``, computed in a new process that is ended after ``timeout`` seconds.

    The new process has the memory that :func:`homfem.limits.memory_limit` allows.

    Parameters
    ----------
    function
        A function at the top level of a module that does not import DOLFINx, such as those of :mod:`homfem.meshing`.
        Arguments and result are pickled.
    timeout
        Seconds of wall time, > 0. None: no limit, and no process of its own.

    Raises
    ------
    CellError
        Time ran out, or the process crashed; the process and what it started have ended then.
    Exception
        Whatever the function raises.

    Notes
    -----
    A new interpreter and ``import gmsh`` take about a second. A fork would be faster, but is not safe once MPI runs.
    """
    if timeout is None:
        return function(*arguments, **named)
    timeout = check_number("timeout", timeout, above=0.0, remedy="It is in seconds; None means no limit.")
    with tempfile.TemporaryDirectory(prefix="homfem-") as folder:
        job = (function.__module__, function.__qualname__, arguments, named, log.getEffectiveLevel())
        (Path(folder) / "job").write_bytes(pickle.dumps(job))
        program = _CHILD.format(path=sys.path, folder=folder)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_LAUNCHERS)}
        with (Path(folder) / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired as error:
                raise CellError(
                    "timeout",
                    timeout,
                    "long enough, in seconds, for the mesh to be made; the mesher was ended",
                    "Choose a coarser resolution or a longer timeout, or look at the geometry in Gmsh.",
                ) from error
            finally:
                if process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        answer = Path(folder) / "answer"
        if not answer.is_file():
            text = (Path(folder) / "output").read_text(errors="replace").strip().splitlines()
            ended = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise _ended(ended, text[-1] if text else "none")
        result, failure, lines = pickle.loads(answer.read_bytes())
    for level, line in lines:
        log.log(level, "%s", line)
    if isinstance(failure, MemoryError):
        raise _ended("out of memory", str(failure))
    if failure is not None:
        raise failure
    return result


def _ended(value: str, words: str) -> CellError:
    allowed = f"a mesher that comes to its end with {readable(memory_limit())} of memory"
    remedy = f"Its last words: {words}. Choose a coarser resolution, or allow more by {VARIABLE}."
    return CellError("mesher", value, allowed, remedy)


def serve(folder: str) -> None:
    """Do the job that lies in a folder and leave the answer there: what the new process runs."""
    module, name, arguments, named, level = pickle.loads((Path(folder) / "job").read_bytes())
    records = _Records()
    log.addHandler(records)
    log.setLevel(level)
    result, failure = None, None
    limit, hardest = int(memory_limit()), resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hardest < 0 else min(limit, hardest), hardest))
    try:
        result = getattr(__import__(module, fromlist=[name]), name)(*arguments, **named)
    except Exception as error:  # noqa: BLE001  (handed on to the process that waits)
        failure = error
    whole = Path(folder) / "answer.part"
    whole.write_bytes(pickle.dumps((result, failure, records.lines)))
    whole.replace(Path(folder) / "answer")
