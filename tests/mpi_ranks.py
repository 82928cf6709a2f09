"""Processes under mpirun that run one case after another: starting them takes longer than most cases."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TextIO

RUNNER = Path(__file__).parent / "run_case.py"


class CaseError(Exception):
    """A case failed on some rank: what each rank said, and the output of all."""


class Ranks:
    """A number of ranks that are started when the first case comes, and again after a case that failed."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._environment, self._place = dict(os.environ), Path.cwd()
        self._process: subprocess.Popen | None = None

    def run(self, file: str, name: str, inputs: dict[str, Any], patience: float = 400.0) -> Any:
        """Run function ``name`` of ``file`` on every rank; return the answer of rank 0, or raise a CaseError."""
        order = {"file": file, "name": name, "inputs": inputs, "folder": os.getcwd(), "environment": dict(os.environ)}
        good = False
        try:
            if self._process is None:
                self._start()
            before = self._log.stat().st_size
            for link, _ in self._links.values():
                link.sendall(json.dumps(order).encode() + b"\n")
            answers, failures = self._collect(patience)
            good = not failures
        finally:
            if not good:  # also after a KeyboardInterrupt, or the end of pytest's patience
                self.end(now=True)
        if failures:
            text = "\n".join(f"rank {rank}: {text}" for rank, text in sorted(failures.items()))
            raise CaseError(f"{name} on {self.number} rank(s) failed:\n{text}\n{self._output(before)}")
        return json.loads(answers[0])

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "output"
        address = str(Path(self._folder.name) / "socket")
        command = ["mpirun", "-n", str(self.number), sys.executable, str(RUNNER), address]
        self._links: dict[int, tuple[socket.socket, TextIO]] = {}
        self._pids: dict[int, int] = {}
        with socket.socket(socket.AF_UNIX) as door, self._log.open("w") as log:
            door.bind(address)
            door.listen(self.number)
            door.settimeout(1.0)
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._environment,
                cwd=self._place,
            )
            while len(self._links) < self.number:
                with contextlib.suppress(TimeoutError):
                    link = door.accept()[0]
                    lines = link.makefile("r")
                    hello = json.loads(lines.readline())
                    self._links[hello["rank"]] = link, lines
                    self._pids[hello["rank"]] = hello["pid"]
                if self._process.poll() is not None:
                    raise CaseError(f"mpirun -n {self.number} ended:\n{self._output()}")

    def _collect(self, patience: float) -> tuple[dict[int, str], dict[int, str]]:
        """What each rank answers, or how it failed; a second after the first failure the rest is not waited for."""
        answers: dict[int, str] = {}
        failures: dict[int, str] = {}
        limit = time.monotonic() + patience
        with selectors.DefaultSelector() as waiting:
            for rank, (_, lines) in self._links.items():
                waiting.register(lines, selectors.EVENT_READ, rank)
            while len(waiting.get_map()) and (left := limit - time.monotonic()) > 0.0:
                for key, _ in waiting.select(left):
                    waiting.unregister(key.fileobj)
                    line = key.fileobj.readline()
                    message = json.loads(line) if line.endswith("\n") else {"error": "the process has ended"}
                    if "answer" in message:
                        answers[key.data] = message["answer"]
                    else:
                        failures[key.data] = message["error"]
                        limit = min(limit, time.monotonic() + 1.0)
            for key in waiting.get_map().values():
                failures[key.data] = f"no answer, of {patience:g} s at most; where it stands is below"
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pids[key.data], signal.SIGUSR2)
            time.sleep(0.5 if len(waiting.get_map()) else 0.0)  # for what faulthandler writes
        return answers, failures

    def _output(self, since: int = 0) -> str:
        return self._log.read_bytes()[since:].decode(errors="replace")[-4000:]

    def end(self, now: bool = False) -> None:
        """End the processes: as soon as they have finished MPI, or ``now``."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if now:
            for pid in self._pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.terminate()
        for link, lines in self._links.values():
            lines.close()
            link.close()
        try:
            process.wait(20.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
