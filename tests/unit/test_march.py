"""The march of a model of its own units and spaces: activation, probes, restart after a kill, ranks, signals."""

from __future__ import annotations

import csv
import logging
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from homfem.macro.march import march, relative_drift
from homfem.macro.observers import Activation, Call, Observer
from homfem.macro.probes import Probes
from homfem.output.checkpoint import CheckpointFile
from homfem.output.observers import Record
from homfem.parameters import CheckpointError, ConvergenceError, InputError
from homfem.solve import Numbering
from homfem.timestepping import TimeGrid
from mpi_ranks import CaseError, Ranks
from toy_march import FitzHughNagumo

STEP = 0.05


def case_march(comm, path, resume=False, kill=-1, interrupt=-1, end=3.0, every=20):
    """March with probes, activation and checkpoints; kill or interrupt the process after a step."""
    model = FitzHughNagumo(comm, step=STEP)

    def watch(_model, step, _time):
        if step == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == interrupt and comm.rank == 0:
            os.kill(os.getpid(), signal.SIGUSR1)

    activation = Activation("V", 0.5)
    recovery = Activation("w", 0.05, name="recovery")
    probes = Probes({"near": (6.0, 1.0), "node": (6.0, 2.0)}, regions={"left": lambda x: x[0] < 10}, path=f"{path}-p")
    kept = Record("V", every=10)
    done = march(
        model,
        TimeGrid(end=end, step=STEP),
        observers=[activation, recovery, probes, kept, Call(watch)],
        checkpoint=CheckpointFile(path),
        checkpoint_every=every,
        resume=resume,
    )
    fields = [model.V, model.w, activation.times, recovery.times]
    whole = [Numbering(f.function_space).gather(f.x.array) for f in fields]
    rows = list(csv.reader(Path(f"{path}-p.csv").read_text().splitlines())) if comm.rank == 0 else []
    at = np.linalg.norm(model.space.tabulate_dof_coordinates() - [6.0, 2.0, 0.0], axis=1) < 1e-9
    mapped = comm.allreduce(float(activation.times.x.array[at].min(initial=np.inf)), op=MPI.MIN)
    return {
        "fields": [np.nan_to_num(f, posinf=-1.0).tolist() for f in whole],
        "times": done.times.tolist(),
        "numbers": {name: values.tolist() for name, values in done.numbers.items()},
        "done": done.finished,
        "rows": rows,
        "kept": [kept.record.times, [values.tolist() for values in kept.record.values]],
        "arrivals": [probes.activation("node", "V", 0.5), mapped, probes.activation("node", "w", 0.5)],
    }


def close(mine, other):
    for a, b in zip(mine["fields"], other["fields"], strict=True):
        assert b == pytest.approx(np.array(a), abs=1e-9)
    assert other["times"] == mine["times"]
    for name, values in mine["numbers"].items():
        assert other["numbers"][name] == pytest.approx(values, abs=1e-9)
    assert other["kept"][0] == mine["kept"][0]
    assert np.array(other["kept"][1]) == pytest.approx(np.array(mine["kept"][1]), abs=1e-8)
    assert other["rows"][0] == mine["rows"][0]
    assert np.array(other["rows"][1:], dtype=float) == pytest.approx(np.array(mine["rows"][1:], dtype=float), abs=1e-8)


@pytest.mark.mpi
def test_a_model_marches_alike_on_1_2_3_ranks_and_again_after_a_kill(on_ranks, tmp_path):
    """The wave has its activation map; a run killed after step 47 goes on from step 40, in another number of ranks."""
    one, *others = on_ranks(case_march, path=str(tmp_path / "a"))
    for other in others:
        close(one, other)
    assert one["numbers"]["dofs"] == [41 * 9] * 61
    assert one["numbers"]["largest"][-1] == max(one["fields"][0])
    assert one["numbers"]["least"][-1] == min(one["fields"][0]) != 0.0
    arrival = np.array(one["fields"][2])
    assert 0.3 < np.mean(arrival >= 0.0) < 1.0
    assert arrival.min() == -1.0  # what the wave has not reached
    assert 0.5 < one["arrivals"][0] < 3.0
    assert one["arrivals"][0] == pytest.approx(one["arrivals"][1], rel=1e-12)  # the series and the map
    assert one["arrivals"][2] == np.inf
    assert one["rows"][0][:2] == ["time (ms)", "near: V (mV)"]
    assert [float(row[0]) for row in one["rows"][1:]] == one["times"]
    with pytest.raises(CaseError, match="the process has ended"):
        Ranks(2).run(__file__, "case_march", {"path": str(tmp_path / "k"), "kill": 47})
    with (tmp_path / "k-p.csv").open() as file:
        assert len(list(file)) == 1 + 48  # beyond the checkpoint
    saved = (tmp_path / "k").read_bytes()
    for ranks in (3, 1):
        (tmp_path / "k").write_bytes(saved)
        again = on_ranks(case_march, ranks=(ranks,), path=str(tmp_path / "k"), resume=True)[0]
        assert again["done"]
        close(one, again)


def test_an_interrupted_run_goes_on_to_the_last_bit(tmp_path):
    whole = case_march(MPI.COMM_SELF, tmp_path / "a")
    # The wave comes to a node in the first step after the break.
    arrivals = np.array(whole["fields"][2])
    last = int(np.sort(arrivals[arrivals > 10 * STEP])[0] / STEP)
    part = case_march(MPI.COMM_SELF, tmp_path / "b", interrupt=last - 1)
    assert not part["done"]
    assert part["times"][-1] == pytest.approx(last * STEP)
    assert len(part["rows"]) == 2 + last
    (tmp_path / "b-p.csv").unlink()
    rest = case_march(MPI.COMM_SELF, tmp_path / "b", resume=True)
    assert rest == whole


def test_messages_are_in_the_units_of_the_model(tmp_path, caplog):
    model, file = FitzHughNagumo(MPI.COMM_SELF, step=STEP, degree=1), CheckpointFile(tmp_path / "a")
    grid = TimeGrid(end=0.2, step=STEP)
    with caplog.at_level(logging.INFO, "homfem"):
        march(model, grid, checkpoint=file, resume=True, observers=[Activation("V", 0.5)])
        march(FitzHughNagumo(MPI.COMM_SELF, step=STEP, degree=1), grid, checkpoint=file, resume=True,
              observers=[Activation("V", 0.5)])  # fmt: skip
    text = [record.getMessage() for record in caplog.records]
    assert text[0] == "FitzHugh-Nagumo: 105 unknowns, 4 steps of 0.05 ms, 1 rank(s)"
    assert text[1].endswith("to resume from; starting at t = 0 ms")
    assert "FitzHugh-Nagumo: t = 0.05 ms, largest 1" in text[2]
    assert "FitzHugh-Nagumo: resumed at t = 0.2 ms (step 4)" in text
    with pytest.raises(CheckpointError, match=r"threshold \(mV\): 0\.5 in the checkpoint, 0\.6 here"):
        march(model, grid, checkpoint=file, resume=True, observers=[Activation("V", 0.6)])
    with pytest.raises(CheckpointError, match=r"start \(ms\): 0 in the checkpoint, -0\.05 here"):
        march(model, TimeGrid(start=-STEP, end=0.2, step=STEP), checkpoint=file, resume=True,
              observers=[Activation("V", 0.5)])  # fmt: skip


def test_a_checkpoint_comes_before_what_is_shown_of_its_step_and_files_after_it():
    """What sent a signal may not wait for pictures; files that follow the checkpoint are never ahead of it."""
    calls = []

    class Kept:
        def exists(self, comm):
            return False

        def prepare(self, spaces):
            calls.append(("prepared", sorted(spaces)))

        def write(self, fields, *, state, problem, series):
            calls.append(("saved", round(state["time"] / STEP)))

    class Files(Observer):
        def write(self, model, step, time):
            calls.append(("written", step))

    model = FitzHughNagumo(MPI.COMM_SELF, step=STEP, degree=1)
    watching = [Files("files"), Call(lambda _, step, __: calls.append(("shown", step)), every=3)]
    march(model, TimeGrid(end=4 * STEP, step=STEP), observers=watching, checkpoint=Kept(), checkpoint_every=3)
    done = ("saved", "written", "shown")
    before = [("prepared", ["V", "w"]), ("written", 0), ("shown", 0)]
    assert calls == [*before, *((what, step) for step in (3, 4) for what in done)]


def test_what_a_model_refuses_ends_the_run(tmp_path):
    model = FitzHughNagumo(MPI.COMM_SELF, step=STEP, rate=1e80, degree=1)
    with np.errstate(all="ignore"), pytest.raises(ConvergenceError, match="not finite"):
        march(model, TimeGrid(end=3.0, step=STEP), checkpoint=CheckpointFile(tmp_path / "a"))


def test_bad_observers_are_refused():
    model, grid = FitzHughNagumo(MPI.COMM_SELF, step=STEP, degree=1), TimeGrid(end=0.1, step=STEP)
    with pytest.raises(InputError, match="observers with different names"):
        march(model, grid, observers=[Activation("V", 0.5), Activation("w", 0.5)])
    with pytest.raises(InputError, match=r"field = 'U'.*'V', 'w'"):
        march(model, grid, observers=[Activation("U", 0.5)])
    with pytest.raises(InputError, match="checkpoint_every"):
        march(model, grid, checkpoint_every=0)
    with pytest.raises(InputError, match="every"):
        Call(print, every=0)


def test_observers_are_let_go_however_the_march_ends():
    ended = []

    class Closing(Observer):
        def end(self):
            ended.append(self.name)

        def show(self, model, step, time):
            if step == 1:
                raise ZeroDivisionError

    model = FitzHughNagumo(MPI.COMM_SELF, step=STEP, degree=1)
    with pytest.raises(ZeroDivisionError):
        march(model, TimeGrid(end=0.1, step=STEP), observers=[Closing("a"), Observer("b")])
    assert ended == ["a"]


@pytest.mark.parametrize(
    ("values", "drift"), [([2.0, 2.0, 1.0], 0.5), ([-4.0, -5.0], 0.25), ([0.0, 3.0], 1.0), ([0.0, 0.0], 0.0)]
)
def test_drift_is_relative_to_the_start(values, drift):
    assert relative_drift(np.array(values)) == drift


def test_conservation_names_a_number_that_was_measured():
    model = FitzHughNagumo(MPI.COMM_SELF, step=STEP, degree=1)
    done = march(model, TimeGrid(end=0.1, step=STEP))
    kept = done.conservation("dofs")
    assert (kept.name, kept.start, kept.drift) == ("dofs", 105.0, 0.0)
    with pytest.raises(InputError, match="'largest', 'least', 'dofs'"):
        done.conservation("mass")
