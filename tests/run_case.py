"""Run cases of test modules, one after another, on the ranks that mpirun started. See conftest.on_ranks.

Each rank waits on a socket of its own, and not in MPI, where waiting keeps a core busy.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib.util
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _options() -> dict[str, str]:
    petsc = sys.modules.get("petsc4py.PETSc")
    return petsc.Options().getAll() if petsc else {}


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Undo what a case leaves behind in its process: environment, folder, signal handlers, PETSc's options."""
    environment, folder, options = dict(os.environ), Path.cwd(), _options()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for name, value in _options().items():
            if name not in options:
                sys.modules["petsc4py.PETSc"].Options().delValue(name)
            elif value != options[name]:
                sys.modules["petsc4py.PETSc"].Options().setValue(name, options[name])
        gc.collect()


def _module(file: str, known: dict[str, Any]) -> Any:
    if file not in known:
        spec = importlib.util.spec_from_file_location("case", file)
        assert spec is not None
        assert spec.loader is not None
        known[file] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(known[file])
    return known[file]


def _serve(address: str) -> None:
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    link = socket.socket(socket.AF_UNIX)
    link.connect(address)
    lines = link.makefile("rw")

    def send(message: dict[str, Any]) -> None:
        lines.write(json.dumps(message) + "\n")
        lines.flush()

    faulthandler.register(signal.SIGUSR2)
    send({"rank": comm.rank, "pid": os.getpid()})
    known: dict[str, Any] = {}
    for line in lines:
        order = json.loads(line)
        with contained():
            os.environ.update(order["environment"])
            os.chdir(order["folder"])
            try:
                result = getattr(_module(order["file"], known), order["name"])(comm, **order["inputs"])
                answer = json.dumps(result if comm.rank == 0 else None)
            except BaseException:  # noqa: BLE001 - sent, then every rank is ended
                send({"error": traceback.format_exc()})
                continue
        send({"answer": answer})


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    _serve(sys.argv[1])
