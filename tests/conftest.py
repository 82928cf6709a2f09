"""Shared fixtures: run a case on several ranks; collect PETSc objects collectively after each test."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for made_cells
RUNNER = Path(__file__).parent / "run_case.py"


def _on_ranks(case: Callable[..., dict[str, Any]], *, ranks: tuple[int, ...] = (1, 2, 3), **inputs: Any) -> list[dict]:
    """Run ``case(comm, **inputs)`` under mpirun on each number of ranks; return what rank 0 returned, in order."""
    results = []
    for number in ranks:
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "answer.json"
            command = ["mpirun", "-n", str(number), sys.executable, str(RUNNER), case.__code__.co_filename]
            command += [case.__name__, json.dumps(inputs), str(answer)]
            run = subprocess.run(command, capture_output=True, text=True, timeout=400)
            if run.returncode != 0:
                tail = (run.stdout + run.stderr)[-4000:]
                pytest.fail(f"{case.__name__} on {number} rank(s) ended with status {run.returncode}:\n{tail}")
            results.append(json.loads(answer.read_text()))
    return results


@pytest.fixture
def on_ranks() -> Callable[..., list[dict]]:
    """Give ``on_ranks(case, ranks=(1, 2, 3), **inputs)``: a top-level function of the test's module, under mpirun."""
    return _on_ranks


_modules = 0


@pytest.fixture(autouse=True)
def _collect() -> Any:
    yield
    gc.collect()
    # Most of the objects there are come from imports: no need to look at them after each test.
    global _modules
    if len(sys.modules) > _modules:
        _modules = len(sys.modules)
        gc.freeze()
