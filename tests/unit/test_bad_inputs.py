"""Bad inputs through the command line, by the benchmark that makes them; and that benchmark's own judgement."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from made_bad_inputs import BadInput

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "bad_inputs.py"
BAD = BadInput(group="a", name="b", arguments=("effective", "c.toml"), keys=("cell.edge",), value="-1")
GOOD = "homfem: warning: x\nhomfem: cell.edge = -1: it must be a finite number > 0\n"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("benchmark_bad_inputs", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_bad_inputs_are_refused_on_two_ranks_with_one_message_that_names_key_and_value():
    command = [sys.executable, str(PROGRAM), "--quick", "--seed", "2", "--ranks", "2", "--memory", "2"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(run.stdout.splitlines()[-1].split(" inputs, 0 faults")[0]) > 80


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"seconds": 61.0}, "more than 60 s"),
        ({"status": -9}, "signal 9"),
        ({"status": 0}, "exit status 0"),
        ({"status": 1}, "exit status 1"),
        ({"status": 99}, "exit status 99"),
        ({"memory": 3.0}, "3.0 GB"),
        ({"err": "Traceback (most recent call last):\n" + GOOD}, "traceback"),
        ({"err": ""}, "0 messages"),
        ({"err": GOOD + "homfem: again\n"}, "2 messages"),
        ({"out": "1\n"}, "standard output"),
        ({"left": ("a.json",)}, "left behind: a.json"),
        ({"err": GOOD.replace("cell.edge", "edge")}, "begin with cell.edge"),
        ({"err": GOOD.replace("cell.edge", "cell.edges")}, "begin with cell.edge"),
        ({"err": GOOD.replace("-1", "1")}, "show -1"),
    ],
)
def test_what_is_wrong_with_an_outcome_is_said(program, changes, words):
    right = {"status": 2, "seconds": 1.0, "memory": 0.1, "out": "", "err": GOOD, "left": ()}
    found = program.fault(BAD, program.Outcome(**{**right, **changes}), limit=60.0, memory=2.0)
    assert words in found
    assert bool(words) == bool(found)
