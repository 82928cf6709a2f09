"""What the benchmarks share: run a worker and sample its memory, print a table, say what it ran on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

#: One thread per process, whatever the machine has.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
Samples = dict[int, list[tuple[float, int]]]


def run_worker(
    script: str, case: Mapping[str, Any], *, ranks: int = 0, interval: float = 0.02, timeout: float = 1800.0
) -> tuple[dict[str, Any], Samples]:
    """Run ``script --worker case.json answer.json`` in its own processes; sample the memory of each.

    Parameters
    ----------
    ranks
        Number of ranks under mpirun; 0 for one process without it.

    Returns
    -------
    answer
        What the worker wrote.
    samples
        For each process id the times (seconds of ``time.perf_counter``, the same clock in all processes of a machine)
        and resident sizes (bytes).

    Raises
    ------
    RuntimeError
        If the worker failed; with the end of what it printed.
    """
    samples: Samples = {}
    with tempfile.TemporaryDirectory() as folder:
        task, answer, printed = (Path(folder) / name for name in ("case.json", "answer.json", "printed"))
        task.write_text(json.dumps(case))
        command = [sys.executable, script, "--worker", str(task), str(answer)]
        if ranks:
            command = ["mpirun", "-n", str(ranks), *command]
        root = str(Path(__file__).resolve().parents[2])
        path = [part for part in (os.environ.get("PYTHONPATH"), root) if part]
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(path)}
        with printed.open("w") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, env=environment)
            end = time.perf_counter() + timeout
            family: list[psutil.Process] = []
            looked = 0.0
            while process.poll() is None:
                # To list the processes of a machine costs more than to read the size of a few.
                if time.perf_counter() - looked > 0.5:
                    family, looked = _family(process.pid), time.perf_counter()
                _sample(family, samples)
                if time.perf_counter() > end:
                    process.kill()
                time.sleep(interval)
        if process.returncode != 0 or not answer.is_file():
            tail = printed.read_text()[-2000:]
            raise RuntimeError(f"{case} on {ranks} rank(s) ended with status {process.returncode}:\n{tail}")
        return json.loads(answer.read_text()), samples


def _sample(processes: list[psutil.Process], samples: Samples) -> None:
    for process in processes:
        try:
            samples.setdefault(process.pid, []).append((time.perf_counter(), process.memory_info().rss))
        except psutil.NoSuchProcess:
            continue


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def peak_between(samples: Sequence[tuple[float, int]], start: float, end: float) -> float:
    """Return the largest resident size in MB from ``start`` to ``end``; of the nearest sample if none lies inside."""
    inside = [size for moment, size in samples if start <= moment <= end]
    if not inside:
        inside = [min(samples, key=lambda sample: abs(sample[0] - 0.5 * (start + end)))[1]] if samples else [0]
    return max(inside) / 1e6


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on: they are worth nothing without it."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=True),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return an aligned plain-text table."""
    cells = [[str(entry) for entry in row] for row in rows]
    width = [max(len(row[k]) for row in [list(head), *cells]) for k in range(len(head))]
    lines = [title, "  ".join(name.rjust(w) for name, w in zip(head, width, strict=True))]
    lines.append("  ".join("-" * w for w in width))
    lines += ["  ".join(entry.rjust(w) for entry, w in zip(row, width, strict=True)) for row in cells]
    return "\n".join(lines) + "\n"


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a result file, and its folder if it is missing."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content, indent=1) + "\n")
