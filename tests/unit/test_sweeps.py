"""Sweeps: plans, rows, the store, processes and ranks, tables and pictures."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib

import matplotlib
import numpy as np
import pytest

from homfem import runs, sweeps
from homfem.config.varied import parse_sample
from homfem.output import canvas
from homfem.output import sweeps as pictures
from homfem.parameters import FileError, InputError
from homfem.sweeps import processes
from homfem.sweeps.picture import draw
from homfem.sweeps.slurm import job_script, write_job_script
from homfem.sweeps.store import Store
from made_configs import WAVE, outside

BLOCKS = """
[config.cell]
shape = "blocks"
layout = ["LD", "DL"]
period = "2 um"
[config.effective]
physics = "diffusion"
method = "corner-galerkin"
[config.effective.phases]
L = "4 um^2/s"
D = "1 um^2/s"
"""
L, D = "effective.phases.L", "effective.phases.D"


def plan(text, **keys):
    return tomllib.loads(BLOCKS + text) | keys


def names(table):
    return [entry.name for entry in (*table.keys, *table.columns)]


def test_a_grid_runs_every_combination_and_converts_units(tmp_path):
    """A checkerboard conducts as the geometric mean of its phases, in the unit of the first row."""
    values = {"phases": {"D": ["1 um^2/s", "9 um^2/s", "16 um^2/s"]}}
    table = sweeps.sweep(plan("", grid={L: ["1 um^2/s", "4e-12 m^2/s"], "effective": values}), folder=tmp_path)
    assert names(table) == [L, D, "value[0][0]", "lower[0][0]", "upper[0][0]", "relative_gap"]
    assert table.column(L) == pytest.approx([1, 1, 1, 4, 4, 4], rel=1e-12)
    assert table.column(D) == [1.0, 9.0, 16.0] * 2
    assert {table.unit(name) for name in names(table)[:5]} == {"um^2/s"}
    assert table.unit("relative_gap") == ""
    exact = np.sqrt(np.multiply(table.column(L), table.column(D)))
    assert table.column("value[0][0]") == pytest.approx(exact, rel=1e-4)
    assert np.all(np.array(table.column("lower[0][0]")) <= exact * (1 + 1e-12))
    assert np.all(np.array(table.column("upper[0][0]")) >= exact * (1 - 1e-12))
    assert (table.counts, table.status) == ({"done": 6}, 0)
    with pytest.raises(InputError, match=r"^name = 'valu'.*one of"):
        table.column("valu")


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"start": 0.1, "stop": 0.4, "number": 4}, (0.1, 0.2, 0.3, 0.4)),
        ({"start": 1, "stop": 100, "number": 3, "spacing": "log"}, (1, 10, 100)),
        ({"start": 1, "stop": 4, "number": 4}, (1, 2, 3, 4)),
        ({"start": 1, "stop": 2, "number": 3}, (1.0, 1.5, 2.0)),
        ({"start": "1 um", "stop": "2e-3 mm", "number": 3}, ("1.0 um", "1.5 um", "2.0 um")),
        ({"start": 0.5, "stop": 9, "number": 1}, (0.5,)),
    ],
)
def test_ranges(given, values):
    from homfem.config.varied import parse_grid

    found = parse_grid({"cell.edge": given})["cell.edge"]
    assert found == values
    assert [type(entry) for entry in found] == [type(entry) for entry in values]


def test_a_list_varies_keys_together(tmp_path):
    keys = {L: ["1 um^2/s", "2 um^2/s"], D: ["1 um^2/s", "8 um^2/s"]}
    table = sweeps.sweep(plan("", list=keys, columns=["value[1][1]", "volume_fractions.L", "method"]), folder=tmp_path)
    assert table.column("value[1][1]") == pytest.approx([1.0, 4.0], rel=1e-4)
    assert table.column("volume_fractions.L") == [0.5, 0.5]
    assert table.column("method") == ["corner-galerkin"] * 2


@pytest.mark.parametrize("method", ["latin-hypercube", "random", "sobol"])
def test_samples_have_their_distributions_and_their_seed(method):
    keys = {
        "a": {"min": "1 um", "max": "3e-6 m"},
        "b": {"min": 1.0, "max": 100.0, "spacing": "log"},
        "c": {"distribution": "normal", "mean": 5.0, "standard_deviation": 2.0},
        "d": {"distribution": "log-normal", "median": "2 s", "factor": 3.0},
        "e": {"distribution": "normal", "mean": 0.0, "standard_deviation": 1.0, "min": 0.0},
    }
    given = {"number": 4096, "seed": 7, "method": method, **keys}
    rows = parse_sample(given).rows()
    assert rows == parse_sample(given).rows()
    assert rows != parse_sample(given | {"seed": 8}).rows()
    assert rows[0][0].endswith(" um")
    drawn = np.array([[float(str(entry).split()[0]) for entry in row] for row in rows])
    assert drawn[:, 0].min() >= 1.0
    assert drawn[:, 0].max() <= 3.0
    assert drawn[:, 4].min() >= 0.0
    error = 0.1 if method == "random" else 0.01
    assert drawn[:, 0].mean() == pytest.approx(2.0, abs=error)
    assert np.log10(drawn[:, 1]).mean() == pytest.approx(1.0, abs=error)
    assert [drawn[:, 2].mean(), drawn[:, 2].std()] == pytest.approx([5.0, 2.0], abs=error)
    logs = np.log(drawn[:, 3])
    assert [logs.mean(), logs.std()] == pytest.approx([np.log(2.0), np.log(3.0)], abs=error)
    assert drawn[:, 4].mean() == pytest.approx(np.sqrt(2.0 / np.pi), abs=error)  # half of a normal distribution
    if method == "latin-hypercube":
        places = np.sort(np.floor((drawn[:, 0] - 1.0) / 2.0 * 4096.0 * (1 + 1e-9)))
        assert np.all(np.abs(places - np.arange(4096)) <= 1)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"grid": {"cell.perod": ["1 um"]}}, r"^row 1: cell\.perod = '1 um': .*'cell\.period'"),
        ({"grid": {L: ["1 um^2/s", "-1 um^2/s"]}}, r"^row 2: effective\.phases\.L = '-1 um\^2/s'"),
        ({"grid": {"cell.shape.x": [1]}}, r"^row 1: overrides = 'cell\.shape\.x'.*cell\.shape is a value"),
        ({"grid": {"cell..edge": [1]}}, r"^grid = 'cell\.\.edge': .*path of a key as TOML"),
        ({"grid": {"cell.edge": []}}, r'^grid\."cell\.edge" = \[\]'),
        ({"grid": {"cell.edge": 0.1}}, r'^grid\."cell\.edge" = 0\.1: .*a list of values'),
        ({"grid": {"cell.edge": {"start": 1, "stp": 2}}}, r'^grid\."cell\.edge"\.stp = 2: .*stop'),
        ({"grid": {"cell.edge": {"start": 1, "stop": 2}}}, r'^grid\."cell\.edge"\.number = .*given'),
        ({"grid": {"cell.edge": {"start": 0, "stop": 2, "number": 3, "spacing": "log"}}}, r"\.start = 0.*> 0"),
        ({"grid": {"cell.edge": {"start": "1 um", "stop": 2, "number": 3}}}, r"\.stop = 2: .*converts to um"),
        ({"grid": {"cell.edge": {"start": 1, "stop": "2 um", "number": 3}}}, r"\.stop = '2 um': .*a bare number"),
        ({"grid": {"cell.edge": {"start": "1 s", "stop": "2 um", "number": 3}}}, r"\.stop = '2 um': .*converts to s"),
        ({"grid": {"cell.period": {"start": "1 um", "stop": "2 um", "number": 10**6}}}, r"^grid = '1000000 rows'"),
        ({"grid": {"cell.period": ["1 um"], "cell": {"period": ["2 um"]}}}, r'^grid\."cell\.period" = .*given once'),
        ({"grid": {}}, r"^grid = \{\}"),
        ({}, r"^grid = \(missing\): .*list or sample"),
        ({"list": {L: ["1 um^2/s"], D: ["1 um^2/s"] * 2}}, r"^list = .*as many values"),
        ({"grid": {L: ["1 um^2/s"]}, "list": {L: ["1 um^2/s"]}}, r"^effective\.phases\.L = 'twice'"),
        ({"sample": {L: {"min": "1 m^2/s", "max": "2 m^2/s"}, "number": 3}}, r"^sample\.seed = .*given"),
        ({"sample": {L: {"min": "1 m^2/s", "max": "2 m^2/s"}, "seed": 3}}, r"^sample\.number = .*given"),
        ({"sample": {"number": 3, "seed": 1}}, r"^sample = .*keys that are drawn"),
        (
            {"sample": {L: {"min": 1.0, "max": 2.0}, "number": 3, "seed": 1, "method": "sobol"}},
            r"^sample\.number = 3: .*4",
        ),
        (
            {"sample": {L: {"min": 2.0, "max": 1.0}, "number": 3, "seed": 1}},
            r'^sample\."effective\.phases\.L"\.max = 1',
        ),
        ({"sample": {L: {"mean": 2.0}, "number": 3, "seed": 1}}, r"\.mean = 2\.0: .*known keys distribution, min, max"),
        ({"sample": {L: [1.0], "number": 3, "seed": 1}}, r'^sample\."effective\.phases\.L" = \[1\.0\]'),
        ({"grid": {L: ["1 um^2/s"]}, "works": 2}, r"^works = 2: .*'workers'"),
        ({"grid": {L: ["1 um^2/s"]}, "config": "none.toml"}, r"^config = 'none\.toml'.*exists"),
        ({"grid": {L: ["1 um^2/s"]}, "command": "run"}, r"^row 1: macro = \(missing\)"),
        ({"grid": {L: ["1 um^2/s"]}, "columns": ["a", "a"]}, r"^columns = .*each once"),
        ({"grid": {"macro.output.folder": ["a"]}}, r"^macro\.output\.folder = 'varied'.*absent"),
    ],
    ids=range(30),
)
def test_what_is_wrong_is_named_before_anything_runs(tmp_path, monkeypatch, keys, message):
    monkeypatch.setattr("homfem.sweeps.work._run", lambda *_: pytest.fail("a row ran"))
    with pytest.raises(InputError, match=message):
        sweeps.sweep(plan("", **keys), folder=tmp_path)
    assert not any(tmp_path.iterdir())


def test_no_plan_and_a_store_that_cannot_be(tmp_path):
    with pytest.raises(InputError, match=r"^plan = 3"):
        sweeps.sweep(3)
    with pytest.raises(FileError, match=r"^PLAN = 'none\.toml'"):
        sweeps.sweep("none.toml")
    with pytest.raises(InputError, match=r"^folder = 3"):
        sweeps.sweep({}, folder=3)
    (tmp_path / "results").write_text("")
    with pytest.raises(FileError, match=r"^store = .*written in"):
        sweeps.sweep(plan("", grid={L: ["1 um^2/s"]}), folder=tmp_path)


def test_a_column_that_no_result_has_ends_the_sweep_after_its_first_row(tmp_path):
    wrong = plan("", grid={L: ["1 um^2/s", "2 um^2/s"]}, columns=["relative_gp"])
    with pytest.raises(InputError, match=r"^columns = 'relative_gp'.*'relative_gap'"):
        sweeps.sweep(wrong, folder=tmp_path)
    assert sweeps.sweep(wrong | {"columns": ["relative_gap"]}, folder=tmp_path).counts == {"done": 2}
    with pytest.raises(InputError, match=r"^columns = 'value\[x'"):
        sweeps.sweep(wrong | {"columns": ["value[x"]}, folder=tmp_path)


def counted(monkeypatch):
    """Count the rows that run."""
    from homfem.sweeps import work

    ran, real = [], work._run
    monkeypatch.setattr(work, "_run", lambda task, *rest: ran.append(task.values) or real(task, *rest))
    return ran


def test_only_what_is_not_stored_runs_and_failures_only_when_asked_for(tmp_path, monkeypatch):
    ran = counted(monkeypatch)
    first = plan("", grid={L: ["1 um^2/s", "2 um^2/s"]})
    sweeps.sweep(first, folder=tmp_path)
    more = plan("", grid={L: ["2 um^2/s", "3 um^2/s", "3 um^2/s"]}, workers=1)
    table = sweeps.sweep(more, folder=tmp_path)
    assert [row[L] for row in ran] == ["1 um^2/s", "2 um^2/s", "3 um^2/s"]
    assert table.column("value[0][0]")[1] == table.column("value[0][0]")[2]
    # One of them does not fit, and one does not reach its tolerance.
    budgets = {"effective.max_dofs": [1, 40, 100_000], "effective.tolerance": [1e-3, 1e-9, 1e-3]}
    for retry, number in ((False, 3), (False, 0), (True, 1)):
        ran.clear()
        table = sweeps.sweep(plan("", list=budgets), folder=tmp_path, retry=retry)
        assert len(ran) == number
        assert table.statuses == ("failed", "short", "done")
        assert table.messages[0].startswith("effective.max_dofs = 1")
        assert table.column("value[0][0]")[0] is None
        assert table.status == 1
    assert sweeps.collect(plan("", list={k: v[1:] for k, v in budgets.items()}), folder=tmp_path).status == 3
    assert sweeps.collect(plan("", grid={L: ["7 um^2/s"]}), folder=tmp_path).counts == {"missing": 1}


def test_a_file_that_the_config_names_is_part_of_the_row(tmp_path):
    np.save(tmp_path / "a.npy", np.repeat([[0], [1]], 4, axis=0).reshape(2, 4).astype(np.uint8))
    cell = {"shape": "image", "file": "a.npy", "labels": {"a": 0, "b": 1}, "voxel": "1 um"}
    phases = {"a": "1 um^2/s", "b": "1 um^2/s"}
    image = {"cell": cell, "effective": {"physics": "diffusion", "method": "grid", "phases": phases}}
    given = {"config": image, "grid": {"effective.phases.b": ["1 um^2/s"]}}
    before = sweeps.prepare(given, folder=tmp_path).rows[0].key
    assert before == sweeps.prepare(given | {"workers": 3, "columns": ["value"]}, folder=tmp_path).rows[0].key
    np.save(tmp_path / "a.npy", np.zeros((2, 4), np.uint8))
    assert before != sweeps.prepare(given, folder=tmp_path).rows[0].key


def test_a_damaged_file_of_the_store_is_made_again(tmp_path, monkeypatch):
    given = plan("", grid={L: ["1 um^2/s"]})
    key = sweeps.sweep(given, folder=tmp_path).rows[0].key
    file = Store(tmp_path / "results").file(key)
    assert not list(file.parent.glob("*.lock"))
    ran = counted(monkeypatch)
    file.write_text(file.read_text()[:100])
    assert sweeps.sweep(given, folder=tmp_path).counts == {"done": 1}
    assert len(ran) == 1


def test_a_row_is_computed_by_one_process_at_a_time(tmp_path):
    store = Store(tmp_path)
    store.make()
    with store.claim("a") as mine, store.claim("a") as yours, store.claim("b") as other:
        assert (mine, yours, other) == (True, False, True)
    with store.claim("a") as mine:
        assert mine
        store.write({"key": "a", "status": "done"})
    with store.claim("a") as mine:
        assert not mine


def case_ranks(comm, text, folder):
    """A sweep on ranks; the rows that this rank ran."""
    from homfem.sweeps import work

    real, ran = work._run, []
    work._run = lambda task, *rest: ran.append(task.number) or real(task, *rest)
    try:
        table = sweeps.sweep(tomllib.loads(text), folder=f"{folder}/{comm.size}", comm=comm)
    finally:
        work._run = real
    return {
        "rows": table.column("value[0][0]"),
        "ran": [n for own in comm.allgather(ran) for n in own],
        "status": table.status,
    }


@pytest.mark.mpi
def test_ranks_share_the_rows(on_ranks, tmp_path):
    text = BLOCKS + f'[grid]\n"{L}" = ["1 um^2/s", "4 um^2/s", "9 um^2/s", "16 um^2/s", "25 um^2/s"]\n'
    found = on_ranks(case_ranks, text=text, folder=str(tmp_path))
    for answer in found:
        assert answer["rows"] == found[0]["rows"] == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0], rel=1e-4)
        assert sorted(answer["ran"]) == [1, 2, 3, 4, 5]
    together = "ranks = 2\n" + LAYERS
    for answer in on_ranks(case_ranks, ranks=(2,), text=together, folder=str(tmp_path / "together")):
        assert answer["rows"] == pytest.approx([2.5, 4.0], rel=1e-6)
        assert sorted(answer["ran"]) == [1, 1, 2, 2]


LAYERS = """
[config.cell]
shape = "laminate"
fractions = [0.5, 0.5]
axis = "y"
dimension = 2
resolution = 0.3
[config.effective]
physics = "diffusion"
[config.effective.phases]
layer1 = "1 m^2/s"
[grid]
"effective.phases.layer2" = ["4 m^2/s", "7 m^2/s"]
"""


@pytest.mark.mpi
def test_ranks_that_do_not_divide_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"^ranks = 2: .*divides the 1 ranks"):
        sweeps.sweep(tomllib.loads("ranks = 2\n" + LAYERS), folder=tmp_path)


EDGES = """
config = "er.toml"
workers = 2
columns = ["value[0][0]", "lower[0][0]", "upper[0][0]", "volume_fractions.er"]
[grid]
"cell.edge" = { start = 0.15, stop = 0.7, number = 12 }
"""


def test_killed_and_started_again_nothing_is_computed_twice(tmp_path):
    """Twelve widths of pipes by two processes; what is computed is seen by the files that it writes."""
    (tmp_path / "er.toml").write_text(
        '[cell]\nshape = "three-pipe"\nedge = 0.5\nperiod = "2 um"\nresolution = 0.33\n'
        '[effective]\nphysics = "diffusion"\n[effective.phases]\ner = "1 um^2/s"\n'
    )
    (tmp_path / "plan.toml").write_text(EDGES)
    command = [sys.executable, "-m", "homfem", "sweep", str(tmp_path / "plan.toml")]
    written: dict[str, set[int]] = {}

    def look():
        for entry in os.scandir(tmp_path / "results" / "rows") if (tmp_path / "results" / "rows").is_dir() else ():
            if entry.name.endswith(".json"):
                written.setdefault(entry.name, set()).add(entry.stat().st_mtime_ns)
        time.sleep(0.01)

    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while len(written) < 4 and first.poll() is None:
        look()
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert 4 <= len(written) < 12
    second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while second.poll() is None:
        look()
    look()
    assert second.returncode == 0
    assert len(written) == 12
    assert {len(times) for times in written.values()} == {1}
    shown = second.communicate()[0]
    rows = list(csv.reader((tmp_path / "results" / "table.csv").open()))
    assert rows[0][:4] == ["row", "cell.edge", "value[0][0] [um^2/s]", "lower[0][0] [um^2/s]"]
    assert [float(row[1]) for row in rows[1:]] == pytest.approx(np.linspace(0.15, 0.7, 12), rel=1e-12)
    table = json.loads((tmp_path / "results" / "table.json").read_text())
    assert table["counts"] == {"done": 12}
    for row in table["rows"]:
        edge, found = row["values"]["cell.edge"], row["results"]
        assert found["volume_fractions.er"] == pytest.approx(3 * edge**2 - 2 * edge**3, rel=1e-9)
        assert edge**2 < found["lower[0][0]"] <= found["upper[0][0]"] < found["volume_fractions.er"]
        assert f"{found['value[0][0]']:.6g}" in shown
    assert (tmp_path / "results" / "table.png").read_bytes().startswith(b"\x89PNG")


def test_a_process_that_dies_fails_its_row_alone(tmp_path, monkeypatch):
    script = tmp_path / "worker"
    script.write_text(f"#!/bin/sh\nread row\ncase $row in *'\"9 um^2/s\"'*) echo lost >&2; kill -9 $$;; esac\n"
                      f"echo \"$row\" | {sys.executable} -m homfem.sweeps.worker\n")  # fmt: skip
    script.chmod(0o755)
    monkeypatch.setattr(processes.sys, "executable", str(script))
    table = sweeps.sweep(plan("", grid={L: ["9 um^2/s", "16 um^2/s"]}), folder=tmp_path, workers=2)
    assert table.statuses == ("failed", "done")
    assert table.messages[0] == "the process that ran the row ended with signal SIGKILL: lost"


@pytest.mark.mpi
def test_a_launcher_of_mpi_does_not_reach_the_processes(tmp_path):
    (tmp_path / "plan.toml").write_text(
        BLOCKS.replace("\n[config", "\nworkers = 2\n[config", 1) + f'[grid]\n{L} = ["1 um^2/s", "4 um^2/s"]\n'
    )
    answer = outside("sweep", tmp_path / "plan.toml", ranks=1)
    assert answer.returncode == 0, answer.stderr
    assert "homfem:" not in answer.stderr  # mpirun may have remarks of its own
    assert "2 rows: 2 done" in answer.stdout


def test_what_cannot_be_stored_fails_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(runs.TensorRun, "report", lambda run: {"value": [[float("nan")]]})
    table = sweeps.sweep(plan("", grid={L: ["1 um^2/s", "2 um^2/s"]}), folder=tmp_path)
    assert table.statuses == ("failed", "failed")
    assert "ValueError" in table.messages[0]


def test_an_error_in_the_caller_ends_the_processes(tmp_path, monkeypatch):
    started = []
    real = subprocess.Popen
    monkeypatch.setattr(processes.subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[-1])
    with pytest.raises(InputError, match=r"^columns"):
        sweeps.sweep(
            plan("", grid={L: [f"{k} um^2/s" for k in range(1, 40)]}, columns=["no"]), folder=tmp_path, workers=2
        )
    assert len(started) == 2
    assert all(process.wait(30) is not None for process in started)
    assert len(list((tmp_path / "results" / "rows").glob("*.json"))) < 39


def test_macroscale_runs_have_folders_of_their_own_and_go_on_from_checkpoints(tmp_path, monkeypatch):
    (tmp_path / "wave.toml").write_text(WAVE)
    given = {
        "config": "wave.toml",
        "grid": {"macro.kinetics.ip3": ["0.3 uM", "0.4 uM"]},
        "columns": ["cytosol_range.largest", "end", "steps"],
    }
    ready = sweeps.prepare(given, folder=tmp_path)
    folder = Store(ready.plan.store).run_folder(ready.rows[0].key)
    runs.macro(ready.rows[0].document, overrides={"macro.time.end": "0.2 s", "macro.output.folder": str(folder)})
    resumed, real = [], runs.macro
    monkeypatch.setattr(runs, "macro", lambda *a, **k: resumed.append(k["resume"]) or real(*a, **k))
    table = sweeps.sweep(ready)
    assert resumed == [True, False]
    alone = real(tmp_path / "wave.toml").report()
    assert table.column("cytosol_range.largest")[0] == pytest.approx(alone["cytosol_range"]["largest"], rel=1e-10)
    assert (table.column("end"), table.unit("end"), table.unit("cytosol_range.largest")) == ([0.4, 0.4], "s", "uM")
    assert sorted(path.name for path in (tmp_path / "results" / "runs").iterdir()) == sorted(r.key for r in table.rows)
    assert not (tmp_path / "results" / "wave").exists()


def test_cells_and_all_their_numbers(tmp_path):
    cell = {"shape": "laminate", "fractions": [0.25, 0.75], "period": "2 um", "dimension": 2, "resolution": 0.3}
    table = sweeps.sweep({"config": {"cell": cell}, "grid": {"cell.period": ["2 um", "4 um"]}}, folder=tmp_path)
    assert table.column("volume_fractions.layer1") == pytest.approx([0.25, 0.25], rel=1e-12)
    assert table.column("interface_area") == pytest.approx([1.0, 0.5], rel=1e-12)
    assert table.unit("interface_area") == "1/um"


def test_the_command(homfem, tmp_path, monkeypatch):
    path, out = tmp_path / "plan.toml", tmp_path / "out.json"
    budgets = '[list]\n"effective.max_dofs" = [1, 40]\n"effective.tolerance" = [1e-3, 1e-9]\n'
    path.write_text(BLOCKS + budgets)
    assert homfem("sweep", path, "--collect")[0] == 2
    status, shown, err = homfem("sweep", path, "--task", 2)
    assert (status, shown.strip()) == (3, "row 2: short")
    status, shown, err = homfem("sweep", path, "--task", 3)
    assert (status, err.count("\n")) == (2, 1)
    assert "task = 3" in err
    status, shown, err = homfem("sweep", path, "--collect")
    assert status == 1
    assert "2 rows: 1 short, 1 missing" in shown
    status, shown, err = homfem("sweep", path, "--json", out, "--figure", tmp_path / "out.pdf")
    assert status == 1
    assert "row 1: effective.max_dofs = 1" in shown
    assert json.loads(out.read_text())["counts"] == {"short": 1, "failed": 1}
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")
    status, alone, _ = homfem("sweep", path, "--json", "-", "--retry")
    assert (status, json.loads(alone)["counts"]) == (1, {"short": 1, "failed": 1})
    for wrong in (
        ["--collect", "--slurm"],
        ["--task", 1, "--collect"],
        ["--slurm", "--retry"],
        ["--json", "no/a.json"],
    ):
        assert homfem("sweep", path, *wrong)[0] == 2
    assert homfem("sweep", path, "--json", path)[0] == 2
    (tmp_path / "base.toml").write_text(re.sub(r"config\.", "", BLOCKS))
    path.write_text('config = "base.toml"\n' + budgets)
    status, _, err = homfem("sweep", path, "--json", tmp_path / "base.toml")
    assert status == 2
    assert "another file than config" in err


def test_an_array_of_slurm_runs_a_row_with_each_task(homfem, tmp_path, monkeypatch):
    path = tmp_path / "a plan.toml"
    path.write_text(
        BLOCKS.replace("\n[config", "\nworkers = 3\n[config", 1) + f'[grid]\n{L} = ["1 um^2/s", "4 um^2/s"]\n'
    )
    status, shown, _ = homfem("sweep", path, "--slurm")
    assert status == 0
    assert "2 tasks" in shown
    script = tmp_path / "a plan.slurm"
    assert "#SBATCH --array=1-2%3\n" in script.read_text()
    stub = tmp_path / "bin" / "homfem"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\nexec {sys.executable} -m homfem "$@"\n')
    stub.chmod(0o755)
    environment = os.environ | {"PATH": f"{stub.parent}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "2"}
    done = subprocess.run(["bash", str(script)], env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "row 2: done\n")
    assert sweeps.collect(path).statuses == ("missing", "done")
    write_job_script(sweeps.prepare(path), str(path))
    assert "srun homfem" in job_script(sweeps.prepare(plan("", grid={L: ["1 um^2/s"]}, ranks=4)), "plan.toml")
    script.write_text("mine")
    with pytest.raises(FileError, match=r"^--slurm = .*a plan\.slurm"):
        write_job_script(sweeps.prepare(path), str(path))


def test_the_picture_is_of_the_first_number_that_varies(tmp_path, monkeypatch):
    from homfem.output import sweeps as pictures
    from homfem.sweeps.table import make_table

    ready = sweeps.prepare(plan("", grid={L: ["1 um^2/s", "2 um^2/s", "4 um^2/s"]}), folder=tmp_path)
    reports = [{"end": 20.0, "steps": 400, "velocity": speed} for speed in (0.4, 0.6)]
    records = {row.key: {"status": "done", "report": entry} for row, entry in zip(ready.rows[1:], reports, strict=True)}
    drawn = []
    monkeypatch.setattr(pictures, "draw_sweep", lambda keys, result, path: drawn.append(result.title))
    draw(make_table(ready, records), tmp_path / "a.png")
    for entry in records.values():
        entry["report"]["velocity"] = 0.6
    draw(make_table(ready, records), tmp_path / "b.png")
    assert drawn == ["velocity", "end"]


@pytest.mark.parametrize(
    "grid",
    [
        {L: ["1 um^2/s", "2 um^2/s", "4 um^2/s"]},
        {L: ["1 um^2/s", "2 um^2/s"], "cell.layout": [["LD", "DL"], ["LDD", "DLL", "LLL"]]},
        {key: {"start": "1 um^2/s", "stop": "2 um^2/s", "number": 7} for key in (L, D)},
        {"cell.layout": [["LD", "DL"], ["LDD", "DLL", "LLL"]]},
    ],
    ids=["curve", "curves", "map", "names"],
)
def test_pictures(tmp_path, grid):
    ready = sweeps.prepare(plan("", grid=grid), folder=tmp_path)
    report = {"value": [[1.0]], "lower": [[0.5]], "upper": [[2.0]], "unit": "um^2/s", "relative_gap": None}
    from homfem.sweeps.table import make_table

    records = {row.key: {"status": "done", "report": report} for row in ready.rows[1:]}
    table = make_table(ready, records)
    used = matplotlib.get_backend()
    matplotlib.use("svg")  # what a user chose and set holds for the user's own figures afterwards
    try:
        before = dict(matplotlib.rcParams)
        draw(table, tmp_path / "a.png")
        assert dict(matplotlib.rcParams) == before
    finally:
        matplotlib.use(used)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"^column = 'relative_gap'.*value\[0\]\[0\]"):
        draw(table, tmp_path / "a.png", column="relative_gap")


@pytest.mark.parametrize(
    ("results", "scale"), [((1.0, 40.0), "log"), ((1.0, 20.0), "linear"), ((-1.0, 40.0), "linear")]
)
def test_results_that_span_decades_have_a_logarithmic_axis(tmp_path, monkeypatch, results, scale):
    found = []
    monkeypatch.setattr(canvas, "save", lambda figure, path: found.append(figure))
    keys = [pictures.Varied(title="key", values=(1.0, 100.0))]
    pictures.draw_sweep(keys, pictures.Drawn(title="result", values=np.array(results)), tmp_path / "a.png")
    assert found[0].axes[0].get_yscale() == scale


def test_a_wrong_column_is_told_the_place_of_matrices_too(tmp_path):
    from homfem.sweeps.table import make_table

    ready = sweeps.prepare(
        plan("", grid={L: ["1 um^2/s"]}) | {"columns": ['coefficients."transference.Na".value']}, folder=tmp_path
    )
    report = {"value": [[1.0]], "coefficients": {"transference": {"Na": {"value": [[0.5]], "unit": ""}}}}
    with pytest.raises(InputError, match=r"Did you mean 'coefficients\.transference\.Na\.value'"):
        make_table(ready, {row.key: {"status": "done", "report": report} for row in ready.rows})


def test_the_usual_columns_are_those_that_have_values(tmp_path):
    """Without bounds the table has none; a rate stands beside the tensor, several results follow each other."""
    from homfem.sweeps.table import make_table

    ready = sweeps.prepare(plan("", grid={L: ["1 um^2/s", "2 um^2/s"]}), folder=tmp_path)
    rate = {"value": 3.0, "unit": "1/s"}
    report = {"value": [[1.0]], "lower": None, "upper": None, "unit": "um^2/s", "relative_gap": None, "rate": 3.0}
    report["coefficients"] = {"rate": rate}

    def made(one):
        return make_table(ready, {row.key: {"status": "done", "report": one} for row in ready.rows})

    table = made(report)
    assert names(table) == [L, "value[0][0]", "rate"]
    assert (table.unit("value[0][0]"), table.unit("rate")) == ("um^2/s", "1/s")
    several = made({"results": [report, report | {"lower": [[0.5]]}]})
    expected = ["results[0].value[0][0]", "results[0].rate", "results[1].value[0][0]", "results[1].lower[0][0]"]
    assert names(several) == [L, *expected, "results[1].rate"]
    assert [several.unit(name) for name in expected] == ["um^2/s", "1/s", "um^2/s", "um^2/s"]
