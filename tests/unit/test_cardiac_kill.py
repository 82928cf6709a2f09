"""kill -9 while a checkpoint of a cardiac run is written: the one before is whole, and the run goes on from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from homfem import runs
from homfem.kinetics.ionic import ionic_kinetics
from homfem.macro.cardiac import CardiacProblem, solve_cardiac
from homfem.macro.stimulus import Box, Stimulus
from homfem.output.archives import ArchiveWriter
from homfem.output.checkpoint import CheckpointFile
from homfem.timestepping import Schedule, TimeGrid
from mpi_ranks import CaseError, Ranks

STEPS, EVERY = 20, 5
#: Before which call of a function.
MOMENTS = {"half written": (ArchiveWriter, "add", 4), "written": (os, "fsync", 1), "renamed once": (os, "replace", 2)}


class Killed:
    """A checkpoint file that ends its process by SIGKILL the third time, at a moment of the writing."""

    def __init__(self, path, moment):
        self.file, self.moment, self.written = CheckpointFile(path), moment, 0
        self.exists, self.prepare, self.read = self.file.exists, self.file.prepare, self.file.read

    def write(self, *args, **kwargs):
        self.written += 1
        if self.written == 3 and self.moment:
            owner, name, number = MOMENTS[self.moment]
            original, calls = getattr(owner, name), []

            def killing(*inner):
                calls.append(inner)
                if len(calls) == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*inner)

            setattr(owner, name, killing)
        self.file.write(*args, **kwargs)


def case_run(comm, path, moment="", resume=False):
    """A front of a bidomain; V, phi_e and a state at the end in the order of x and y, on rank 0."""
    made = mesh.create_rectangle(comm, [[0, 0], [4, 1]], [16, 4])
    pulse = Stimulus(place=Box(low=(0.0, 0.0), high=(1.0, 1.0)), amplitude=50.0, schedule=Schedule(duration=0.5))
    problem = CardiacProblem(
        mesh=made, kind="bidomain", membrane=ionic_kinetics("mitchell-schaeffer"), area=140.0, capacitance=0.01,
        intracellular=np.diag([0.17, 0.019]), extracellular=np.diag([0.62, 0.24]), stimuli=(pulse,),
    )  # fmt: skip
    grid, checkpoint = TimeGrid(end=0.05 * STEPS, step=0.05), Killed(path, moment)
    done = solve_cardiac(problem, grid, checkpoint=checkpoint, checkpoint_every=EVERY, resume=resume)
    found = {"times": done.times.tolist(), "steps": done.steps}
    for name in ("V", "phi_e", "h"):
        function = done.fields[name]
        owned = function.function_space.dofmap.index_map.size_local
        rows = np.column_stack(
            [function.function_space.tabulate_dof_coordinates()[:owned, :2], function.x.array[:owned]]
        )
        whole = np.concatenate(comm.allgather(rows))
        found[name] = whole[np.lexsort(np.round(whole[:, :2].T, 9))][:, 2].tolist()
    return found


@pytest.mark.mpi
@pytest.mark.parametrize(("ranks", "moment"), [(1, "half written"), (1, "renamed once"), (2, "half written")])
def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path, ranks, moment):
    whole = case_run(MPI.COMM_SELF, tmp_path / "whole.ckpt")
    path = tmp_path / "run.ckpt"
    with pytest.raises(CaseError):
        Ranks(ranks).run(__file__, "case_run", {"path": str(path), "moment": moment})
    assert CheckpointFile(path).exists(MPI.COMM_SELF)
    again = case_run(MPI.COMM_SELF, path, resume=True)
    assert again["times"] == whole["times"]
    for name in ("V", "phi_e", "h"):
        # On one rank to the last bit; the solvers of two leave what their tolerances allow.
        tolerance = 0.0 if ranks == 1 else 1e-4 * np.ptp(whole[name])
        assert again[name] == pytest.approx(whole[name], rel=0.0, abs=tolerance), name


CONFIG = """
[macro]
model = "cardiac"
[macro.domain]
shape = "box"
size = ["10 mm", "5 mm"]
resolution = "0.25 mm"
[macro.tensors]
conductivity = "0.1 S/m"
[macro.membrane]
model = "mitchell-schaeffer"
area = "140 1/mm"
[[macro.stimulus]]
type = "box"
min = ["0 mm", "0 mm"]
max = ["1 mm", "5 mm"]
amplitude = "50 uA/mm^3"
duration = "1 ms"
[macro.time]
end = "20 ms"
step = "0.05 ms"
[macro.output]
checkpoint_every = "0.05 ms"
[[macro.probes]]
name = "p"
at = ["1.5 mm", "2.5 mm"]
"""


def test_a_run_of_the_command_that_is_killed_at_any_time_goes_on(tmp_path):
    """Killed from outside as soon as a checkpoint is under way; what is left is read, and the run is as without."""
    (tmp_path / "heart.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "homfem", "run", "heart.toml"]
    part = tmp_path / "output" / "checkpoint.part"
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    saved, patience = tmp_path / "output" / "checkpoint.previous", time.monotonic() + 100.0
    while not (saved.exists() and part.exists()):  # a third one, with two before it
        assert running.poll() is None
        assert time.monotonic() < patience
        time.sleep(1e-4)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    end = ["--set", "macro.time.end=1.5 ms", "--json", "-"]
    again = subprocess.run([*command, *end, "--resume"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "no checkpoint" not in again.stderr
    mine = json.loads(again.stdout)
    other = {"macro.output.folder": "whole", "macro.output.checkpoint_every": "1.5 ms", "macro.time.end": "1.5 ms"}
    theirs = json.loads(json.dumps(runs.macro(tmp_path / "heart.toml", overrides=other).report()))
    for key in ("times", "probes", "maximum", "minimum"):
        assert mine[key] == theirs[key], key
    assert Path(saved).exists()
