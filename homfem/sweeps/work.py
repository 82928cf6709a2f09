"""One row of a sweep, computed and stored."""

from __future__ import annotations

import gc
import json
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homfem import runs
from homfem.config import make_config
from homfem.parameters import HomfemError
from homfem.sweeps.store import Store

if TYPE_CHECKING:
    from mpi4py import MPI

STATUS = {runs.Outcome.DONE: "done", runs.Outcome.SHORT: "short"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A row as it is handed to a process: plain values.

    Parameters
    ----------
    key, number, values, document
        As those of :class:`homfem.sweeps.Row`.
    command
        What is done with it.
    folder
        Where the files of the config are sought from.
    store
        The folder of the results.
    """

    key: str
    number: int
    values: Mapping[str, Any]
    document: Mapping[str, Any]
    command: str
    folder: str
    store: str

    def plain(self) -> dict[str, Any]:
        """Return it as a mapping."""
        return asdict(self)


def run_task(task: Task, comm: MPI.Comm) -> dict[str, Any] | None:
    """Compute a row and store it, unless another process does; return the record. Collective.

    Returns
    -------
    dict or None
        What is stored; None where another process is at work on the row, or has stored it.

    Raises
    ------
    KeyboardInterrupt
        If the run was interrupted; nothing is stored then.
    """
    from homfem.ranks import collective

    store, free = Store(Path(task.store)), False
    with ExitStack() as stack:
        with collective(comm):
            if comm.rank == 0:
                free = stack.enter_context(store.claim(task.key))
        if not comm.bcast(free):
            return None
        record = _record(task, store, comm)
        with collective(comm):
            if comm.rank == 0:
                store.write(record)
    return record


def _record(task: Task, store: Store, comm: MPI.Comm) -> dict[str, Any]:
    """Return what is to be stored of a row: its report, or why there is none. Collective."""
    start = time.perf_counter()
    record: dict[str, Any] = {"key": task.key, "values": dict(task.values), "command": task.command}
    try:
        run = _run(task, store, comm)
        if run.outcome is runs.Outcome.INTERRUPTED:
            raise KeyboardInterrupt
        found = {"status": STATUS[run.outcome], "report": run.report(), "warnings": list(run.warnings)}
        json.dumps(found, allow_nan=False)
        record |= found
    except HomfemError as error:
        record |= failure(error)
    except Exception as error:  # one row must not end the others; alone, no other rank waits
        if comm.size > 1:
            raise
        record |= failure(error) | {"trace": traceback.format_exc()}
    gc.collect()  # solvers and meshes of one row are gone before the next
    return record | {"seconds": time.perf_counter() - start}


def failure(error: BaseException | str) -> dict[str, Any]:
    """Return what is stored of a row that failed."""
    message = str(error) if isinstance(error, (HomfemError, str)) else f"{type(error).__name__}: {error}"
    return {"status": "failed", "message": message}


def _run(task: Task, store: Store, comm: MPI.Comm) -> Any:
    config = make_config(task.document, folder=task.folder)
    if task.command == "effective":
        return runs.tensor(config, comm=comm)
    if task.command == "cell":
        return runs.cell(config, comm=comm)
    from homfem.output.checkpoint import CheckpointFile

    folder = store.run_folder(task.key).resolve()
    resume = CheckpointFile(folder / "checkpoint").exists(comm)
    return runs.macro(config, overrides={"macro.output.folder": str(folder)}, resume=resume, comm=comm)
