"""Programs that the tests run in their own process: output, end, and what they leave behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from run_script import on_each_rank, output_of


def written(folder, text):
    file = folder / "program.py"
    file.write_text("import os, sys, time\n" + text)
    return file


def test_a_program_is_the_main_one_and_leaves_nothing_behind(tmp_path):
    program = written(
        tmp_path,
        "print(__name__, sys.argv[1:], sys.path[0] == os.path.dirname(__file__))\n"
        "os.chdir('/'); os.environ['LEFT'] = 'here'; sys.argv.append('more')\n"
        "time.perf_counter = time.process_time\nsys.exit()\n",
    )
    before = Path.cwd(), list(sys.argv), list(sys.path), time.perf_counter
    assert output_of(program, "--number", 3) == "__main__ ['--number', '3'] True\n"
    assert (Path.cwd(), sys.argv, sys.path, time.perf_counter) == before
    assert "LEFT" not in os.environ


def test_a_module_runs_as_one():
    assert output_of("homfem", "--version").startswith("homfem ")


@pytest.mark.parametrize(("end", "error"), [("sys.exit(3)", RuntimeError), ("1 / 0", ZeroDivisionError)])
def test_a_program_that_fails_is_seen(tmp_path, end, error):
    with pytest.raises(error, match=r"ended with 3:\nsaid" if error is RuntimeError else "division"):
        output_of(written(tmp_path, f"print('said')\n{end}\n"))


@pytest.mark.mpi
def test_all_ranks_are_heard(on_ranks, tmp_path):
    program = written(tmp_path, "from mpi4py import MPI\nprint(MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size)\n")
    (found,) = on_ranks(on_each_rank, ranks=(2,), file=str(program), arguments=[])
    assert sorted(found["output"].splitlines()) == ["0 2", "1 2"]
