"""A sweep from its plan to its table: by processes, by the ranks of MPI, or one row at a time."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homfem.parameters import InputError, check_integer
from homfem.progress import progress_bar
from homfem.runs.configs import communicator
from homfem.sweeps.rows import PlanSource, Prepared, prepare
from homfem.sweeps.store import Store
from homfem.sweeps.table import SweepTable, make_table
from homfem.sweeps.work import Task, run_task

if TYPE_CHECKING:
    from mpi4py import MPI

_WAIT = 0.3  # seconds until a row that another process has is looked at again


def sweep(
    plan: PlanSource | Prepared,
    *,
    folder: str | Path | None = None,
    workers: int | None = None,
    retry: bool = False,
    task: int | None = None,
    comm: MPI.Comm | None = None,
) -> SweepTable:
    """Run the rows of a plan that are not stored yet, and return the table of all. Collective.

    With ``workers`` above 1 rows are run by fresh processes; on several ranks by groups of ``ranks`` of them, which
    take rows from the same store; else one after the other in this process. Whatever ends a sweep, what was stored
    stays, and the same call goes on.

    Parameters
    ----------
    plan
        The path of a plan, its tables as a mapping, or what :func:`prepare` returned.
    folder
        As that of :func:`prepare`.
    workers
        Number of processes, by default that of the plan.
    retry
        Run rows again that failed.
    task
        Run the row of this number alone, from 1.
    comm
        The ranks; all by default.

    Returns
    -------
    SweepTable
        The keys that vary and the results, row by row.

    Raises
    ------
    InputError
        For anything wrong in the plan or in the config of a row, before anything runs; for a column that no result
        has, after the first row.
    """
    ready = plan if isinstance(plan, Prepared) else prepare(plan, folder=folder)
    group, store = communicator(comm), Store(ready.plan.store)
    if workers is not None:
        check_integer("workers", workers, at_least=1)
    if group.size % ready.plan.table.ranks:
        raise InputError("ranks", ready.plan.table.ranks, f"a number that divides the {group.size} ranks of this run")
    tasks = _tasks(ready, task)
    _open(store, tasks, retry, group)
    left = _not_stored(tasks, store, group)
    with progress_bar("rows", float(len(tasks)), rank=group.rank, unit="") as advance_to:
        numbers = itertools.count(len(tasks) - len(left))
        advance_to(float(next(numbers)))

        def report(record: Mapping[str, Any]) -> None:
            number = next(numbers)
            if number == len(tasks) - len(left) + 1:
                make_table(ready, {record["key"]: record})  # a column that is not there ends the sweep at once
            advance_to(float(number))

        processes = ready.plan.table.workers if workers is None else workers
        if group.size == 1 and processes > 1 and len(left) > 1:
            from homfem.sweeps.processes import run_in_processes

            run_in_processes(left, processes, report)
        else:
            _run_in_groups(left, store, group, group.size if task is not None else ready.plan.table.ranks, report)
    return collect(ready)


def collect(plan: PlanSource | Prepared, *, folder: str | Path | None = None) -> SweepTable:
    """Return the table of what is stored; rows that are not have the status ``"missing"``.

    Raises
    ------
    InputError
        For anything wrong in the plan or in the config of a row, and for a column that no result has.
    """
    ready = plan if isinstance(plan, Prepared) else prepare(plan, folder=folder)
    store = Store(ready.plan.store)
    records = {row.key: store.read(row.key) for row in ready.rows}
    return make_table(ready, {key: record for key, record in records.items() if record is not None})


def _tasks(ready: Prepared, number: int | None) -> list[Task]:
    """Return what is to be run, each row once: all, or the row of a number."""
    rows = {row.key: row for row in reversed(ready.rows)}
    chosen = [row for row in ready.rows if rows[row.key] is row]
    if number is not None:
        chosen = [ready.rows[check_integer("task", number, at_least=1, at_most=len(ready.rows)) - 1]]
    plan = ready.plan
    return [
        Task(
            key=row.key,
            number=row.number,
            values=row.values,
            document=row.document,
            command=plan.command,
            folder=str(plan.folder),
            store=str(plan.store),
        )
        for row in chosen
    ]


def _open(store: Store, tasks: Sequence[Task], retry: bool, comm: MPI.Comm) -> None:
    """Make the store, and forget the failures in it if they are to be tried again; collective."""
    from homfem.ranks import on_root

    def make() -> None:
        store.make()
        for task in tasks if retry else ():
            if (store.read(task.key) or {}).get("status") == "failed":
                shutil.rmtree(store.run_folder(task.key), ignore_errors=True)
                store.forget(task.key)

    on_root(comm, make)


def _not_stored(tasks: Sequence[Task], store: Store, comm: MPI.Comm) -> list[Task]:
    """Return the rows that are not stored, the same on every rank; collective."""
    keys = {task.key for task in tasks if store.read(task.key) is None} if comm.rank == 0 else None
    missing = comm.bcast(keys)
    return [task for task in tasks if task.key in missing]


def _run_in_groups(
    tasks: Sequence[Task], store: Store, comm: MPI.Comm, ranks: int, report: Callable[[Mapping[str, Any]], None]
) -> None:
    """Let groups of ranks take rows from the store until all are stored, those of other processes too. Collective.

    A group asks for the rows in its own order, so that few ask for the same one.
    """
    colour, groups = comm.rank // ranks, comm.size // ranks
    group = comm if groups == 1 else comm.Split(colour, comm.rank)
    first = colour * len(tasks) // groups
    left = [*tasks[first:], *tasks[:first]]
    try:
        while left:
            waiting = []
            for task in left:
                stored = group.bcast(store.read(task.key) if group.rank == 0 else None)
                record = stored if stored is not None else run_task(task, group)
                if record is None:
                    waiting.append(task)
                else:
                    report(record)
            left = waiting
            if left:
                time.sleep(_WAIT)
    finally:
        if groups > 1:
            group.Free()
    if comm.size > 1:
        comm.Barrier()
