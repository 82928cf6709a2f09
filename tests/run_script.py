"""Programs run in processes that are there already, as ``python FILE ARGUMENTS`` would: Python takes long to start."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from run_case import contained


def output_of(program: str | Path, *arguments: Any) -> str:
    """Run a program to its end in this process, and return its standard output.

    ``program`` is a file, or the name of a module as after ``python -m``. What it raises comes through, an exit with
    another status than success among it. What it changes of its process is undone (:func:`run_case.contained`).
    """
    out = io.StringIO()
    with _as_started(program, *arguments), contextlib.redirect_stdout(out):
        try:
            if Path(program).suffix == ".py":
                runpy.run_path(str(program), run_name="__main__")
            else:
                runpy.run_module(str(program), run_name="__main__")
        except SystemExit as end:
            if end.code not in (None, 0):
                raise RuntimeError(f"{Path(program).name} ended with {end.code!r}:\n{out.getvalue()}") from end
    return out.getvalue()


@contextlib.contextmanager
def _as_started(file: str | Path, *arguments: Any) -> Iterator[None]:
    argv, path, clock = sys.argv, list(sys.path), time.perf_counter
    sys.argv = [str(file), *map(str, arguments)]
    sys.path.insert(0, str(Path(file).parent))
    try:
        with contained(), _own_style():
            yield
    finally:
        sys.argv, sys.path[:], time.perf_counter = argv, path, clock
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")


@contextlib.contextmanager
def _own_style() -> Iterator[None]:
    """Draw as a process does that has just begun: programs and figures change the size of letters and sheets."""
    import matplotlib as mpl

    from homfem.output import canvas

    dots = canvas.DPI
    with mpl.rc_context():
        mpl.rcdefaults()
        try:
            yield
        finally:
            canvas.DPI = dots


def on_each_rank(comm: Any, file: str, arguments: list[str]) -> dict[str, Any]:
    """Run a program on each rank of a case (conftest.on_ranks); return the standard output of all."""
    return {"output": "".join(comm.allgather(output_of(file, *arguments)))}


def module_of(file: str | Path) -> ModuleType:
    """Import a file under the name ``"program_..."``, once."""
    name = f"program_{Path(file).stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        with _as_started(file):
            spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def work_on_each_rank(comm: Any, file: str, task: str, answer: str) -> dict[str, Any]:
    """Let each rank of a case do ``work(task, answer)`` of a benchmark; return its process ids and their memory."""
    import psutil

    module = module_of(file)
    with _as_started(file):
        module.work(task, answer)
    return {"memory": dict(comm.allgather((os.getpid(), psutil.Process().memory_info().rss)))}


def kept_workers(on_ranks: Callable[..., list[dict]], folder: Path) -> Callable[..., Any]:
    """Return what takes the place of ``run_worker`` of a benchmark: its workers are processes that are there already.

    The memory of each is looked at once, after the work.
    """

    def run_worker(script: str, case: Any, *, ranks: int = 0, **_: Any) -> tuple[Any, dict[int, Any]]:
        task, answer = folder / "case.json", folder / "answer.json"
        task.write_text(json.dumps(case))
        (found,) = on_ranks(
            work_on_each_rank, ranks=(max(1, ranks),), file=str(script), task=str(task), answer=str(answer)
        )
        now = time.perf_counter()
        return json.loads(answer.read_text()), {int(pid): [(now, size)] for pid, size in found["memory"].items()}

    return run_worker
