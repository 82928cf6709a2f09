"""Rows run by processes of their own, which live on from row to row: a crash of one fails one row."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from homfem.limits import VARIABLE, memory_limit
from homfem.sweeps.store import Store
from homfem.sweeps.work import Task, failure

_PATIENCE = 20.0  # seconds that a process that is to end has for its checkpoint
_WAIT = 0.3  # seconds until a row that another process has is looked at again
#: What tells a process that a launcher of MPI started it; each of ours is alone.
_LAUNCHED = re.compile(r"PMIX?_|PRTE_|OMPI_(?!MCA_|ALLOW_)|MV2_COMM_")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def run_in_processes(tasks: Iterable[Task], workers: int, report: Callable[[Mapping[str, Any]], None]) -> None:
    """Run rows by fresh processes with one thread each; hand on the record of each as it comes.

    The processes share the memory that a computation may take. They finish the row that they are at when this process
    is killed.

    Parameters
    ----------
    tasks
        The rows.
    workers
        How many processes run at the same time.
    report
        Called with each record, by the caller's thread; what it raises ends the processes.
    """
    pending = deque(tasks)
    answers: queue.Queue[Mapping[str, Any] | BaseException | None] = queue.Queue()
    environment = {name: value for name, value in os.environ.items() if not _LAUNCHED.match(name)}
    environment |= dict.fromkeys(_THREADS, "1")
    environment[VARIABLE] = f"{memory_limit() / workers:.0f} B"
    started = [_Worker(pending, answers, environment) for _ in range(min(workers, len(pending)))]
    left = len(started)
    try:
        while left:
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            if answer is None:
                left -= 1
            else:
                report(answer)
    finally:
        pending.clear()
        for worker in started:
            worker.end()


class _Worker(threading.Thread):
    """A thread with one process, which takes rows until none is left."""

    def __init__(self, pending: deque[Task], answers: queue.Queue[Any], environment: Mapping[str, str]) -> None:
        super().__init__(daemon=True)
        self.pending, self.answers, self.environment = pending, answers, environment
        self.process: subprocess.Popen[str] | None = None
        self.ending = threading.Event()
        self.start()

    def run(self) -> None:
        try:
            with tempfile.TemporaryFile() as log:
                while not self.ending.is_set() and (task := self._next()) is not None:
                    answer = self._answer(task, log)
                    if answer is None:  # another process has the row: it is looked at again, after the others
                        self.pending.append(task)
                        self.ending.wait(_WAIT)
                    else:
                        self.answers.put(answer)
                self._close()
            self.answers.put(None)
        except BaseException as error:  # noqa: BLE001 - handed on to the caller's thread
            self.answers.put(error)

    def _next(self) -> Task | None:
        try:
            return self.pending.popleft()
        except IndexError:
            return None

    def _answer(self, task: Task, log: IO[bytes]) -> Mapping[str, Any] | None:
        """Return the record of a row, of a failure if the process ends; None if another process has the row."""
        store = Store(Path(task.store))
        stored = store.read(task.key)
        if stored is not None:
            return stored
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "homfem.sweeps.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, text=True, env=dict(self.environment), start_new_session=True,
            )  # fmt: skip
            if self.ending.is_set():
                self.process.terminate()
        process, line = self.process, ""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(task.plain(), default=str) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            pass
        if line.strip() == "taken":
            return store.read(task.key)
        if line:
            return dict(json.loads(line))
        return self._crash(task, store, log)

    def _crash(self, task: Task, store: Store, log: IO[bytes]) -> Mapping[str, Any] | None:
        """Store the failure of the row at which the process ended; the next row gets a new process."""
        assert self.process is not None
        status = self.process.wait()
        self.process = None
        if self.ending.is_set():
            return None
        said = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        log.seek(0)
        lines = log.read().decode("utf-8", "replace").split("\n")
        last = " ".join(line.strip() for line in lines if line.strip())[-300:]
        log.seek(0)
        log.truncate()
        message = f"the process that ran the row ended with {said}" + (f": {last}" if last else "")
        record = {"key": task.key, "values": dict(task.values), "command": task.command, **failure(message)}
        with store.claim(task.key) as free:
            if free:
                store.write(record)
        return store.read(task.key) or record

    def _close(self) -> None:
        """Tell the process that there is nothing left, and wait for it."""
        process, self.process = self.process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait()

    def end(self) -> None:
        """End the process; a macroscale run has some seconds to leave a checkpoint."""
        self.ending.set()
        process = self.process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
