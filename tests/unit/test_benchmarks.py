"""The benchmarks run at a tiny size, give sane numbers, and their arithmetic of ratios is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from run_script import kept_workers, module_of

FOLDER = Path(__file__).parents[1] / "benchmarks"


def _module(name: str) -> ModuleType:
    return module_of(FOLDER / f"{name}.py")


@pytest.fixture
def run_here(monkeypatch, capsys, on_ranks, tmp_path):
    """Run a benchmark in this process, its workers in processes that are there already; give numbers and output."""

    def run(name: str, *options: str) -> tuple[dict[str, Any], str]:
        module = _module(name)
        with monkeypatch.context() as changed:
            if hasattr(module, "run_worker"):
                changed.setattr(module, "run_worker", kept_workers(on_ranks, tmp_path))
            changed.setattr(sys, "argv", [f"{name}.py", "--json", str(tmp_path / "n.json"), *options])
            module.main()
        return json.loads((tmp_path / "n.json").read_text()), capsys.readouterr().out

    return run


def _run(name: str, folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    command = [
        sys.executable,
        str(FOLDER / f"{name}.py"),
        "--json",
        str(folder / "n.json"),
        "--figure",
        str(folder / "n.png"),
    ]
    run = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (folder / "n.png").stat().st_size > 10_000
    return json.loads((folder / "n.json").read_text()), run.stdout


def test_cell_problem(run_here, tmp_path):
    # One rank and two, both backends: the same bracket, every stage timed, the memory of each rank measured.
    figure = tmp_path / "n.png"
    sizes = ("--sizes", "6000", "--multipoint-up-to", "6000", "--phases", "er", "--ranks", "1", "2")
    content, printed = run_here("cell_problem", *sizes, "--figure", str(figure))
    assert figure.stat().st_size > 10_000
    # As the command does it, in processes of its own.
    alone = {"phase": "er", "size": 6000, "backend": "identified", "edge": 0.1, "route": "alone"}
    started = _module("cell_problem").measured(alone, 2)
    results = [*content["results"], started]
    assert {(r["backend"], r["ranks"]) for r in results} == {
        (b, n) for b in ("identified", "multipoint") for n in (1, 2)
    }
    for r in results:
        low, high = r["bracket"]
        assert low < 0.0104499413 < high
        assert r["bracket"] == pytest.approx(results[0]["bracket"], rel=1e-8)
        assert (
            r["systems"] == results[0]["systems"] or r["systems"]["P2"]["dofs"] == results[0]["systems"]["P2"]["dofs"]
        )
        stages = {k: v for k, v in r["seconds"].items() if k != "total"}
        assert all(stages[k] > 0.0 for k in ("mesh", "identify", "periodic mesh", "constraint", "assembly", "solve"))
        assert sum(stages.values()) <= r["seconds"]["total"] * (1.0 + 1e-9)
        assert sum(stages.values()) > 0.7 * r["seconds"]["total"]
        assert len(r["processes"]) == r["ranks"]
        assert all(len(m) == r["ranks"] and min(m) > 10.0 for m in r["memory_mb"].values())
    assert "ratios" in printed


def test_peers(tmp_path):
    # Whatever is installed runs; a value is within a few per cent of the reference on the coarsest meshes.
    content, printed = _run("peers", tmp_path, "--quick", "--repeat", "1", "--cases", "er")
    results = content["results"]
    assert {"homfem", "scikit-fem"} <= {r["peer"] for r in results} | {
        name for name in ("homfem", "ngsolve", "scikit-fem") if f"{name} is not installed" in printed
    }
    for r in results:
        assert r["value"] == pytest.approx(0.0104499413, rel=0.1)
        assert 0.0 < sum(v for k, v in r["stages"].items() if k != "total") <= 1.01 * r["seconds"]
    bounds = next(r for r in results if r["curve"] == "bounds")
    assert abs(bounds["value"] - 0.0104499413) <= bounds["half_gap"] * bounds["value"]
    # The same elements of degree 2 on the same mesh give the same number in two codes, on the octant as on the whole.
    ours = {r["octant"]: r for r in results if r["peer"] == "homfem" and r["curve"].endswith("upper, degree 2")}
    assert ours[True]["value"] == pytest.approx(ours[False]["value"], rel=1e-9)
    assert ours[True]["dofs"] < ours[False]["dofs"] / 4
    theirs = [r for r in results if r["peer"] == "scikit-fem" and r["curve"].endswith("P2")]
    assert [r["octant"] for r in theirs] in ([], [False, True])
    for r in theirs:
        assert r["value"] == pytest.approx(ours[False]["value"], rel=1e-6)
    for r in (r for r in results if r["peer"] == "ngsolve" and r["order"] >= 3):
        assert r["value"] == pytest.approx(0.0104499413, rel=5e-3)


def test_mechanics_peers(tmp_path):
    # Whatever is installed runs; the coarsest meshes are within a few per cent, the bounds hold on the straight mesh.
    content, printed = _run("mechanics_peers", tmp_path, "--quick", "--repeat", "1")
    results = content["results"]
    peers = ("homfem", "ngsolve", "sfepy")
    assert {r["peer"] for r in results} | {p for p in peers if f"{p} is not installed" in printed} == set(peers)
    exact = {"elasticity": (2.07500597, 0.79325060, 0.55703320), "stokes": (0.0097199390,)}
    for r in results:
        assert r["value"] == pytest.approx(exact[r["phase"]], rel=0.25 if r["curve"] == "bounds" else 0.06)
        if r["curve"] != "bounds" and r.get("degree", r.get("order")) == 4:
            assert r["value"] == pytest.approx(exact[r["phase"]], rel=1e-3)
    bounds = {r["phase"]: r for r in results if r["curve"] == "bounds"}
    assert 0.0 < bounds["elasticity"]["half_gap"] < 0.1
    # The midpoint is no further than the half-gap from the truth, but for the polygon that stands for the circle.
    for cell, r in bounds.items():
        off = abs(r["value"][0] / exact[cell][0] - 1.0)
        assert off < 1.2 * r["half_gap"]
    # The same elements of degree 2 on the same triangles give the same numbers in two codes.
    ours = next(r for r in results if r["curve"] == "upper, straight, degree 2")
    for theirs in (r for r in results if (r["peer"], r["phase"], r["curve"]) == ("sfepy", "elasticity", "P2")):
        assert theirs["value"] == pytest.approx(ours["value"], rel=1e-9)


def test_transport_peers(tmp_path):
    # Whatever is installed runs; on the coarsest meshes all are near the numbers that are known.
    content, printed = _run("transport_peers", tmp_path, "--quick", "--repeat", "1", "--cases", "Pe 10")
    results = content["results"]
    peers = ("homfem", "ngsolve", "scikit-fem")
    assert {r["peer"] for r in results} | {p for p in peers if f"{p} is not installed" in printed} == set(peers)
    for r in results:
        finer = r.get("degree", r.get("order")) >= 4
        assert r["value"] == pytest.approx((2.0785848, 0.8200195), rel=3e-4 if finer else 4e-3)
    # Balls lie inside of their boxes, and none of them meets another.
    media = _module("transport_cells").MEDIA
    for medium in media.values():
        assert len(medium.centres) == medium.n**medium.dimension
        boxes = medium.centres % (1.0 / medium.n)
        assert (boxes.min(), 1.0 / medium.n - boxes.max()) >= (medium.radius, medium.radius)
    # Of the sweep the known numbers are the last two.
    module = _module("transport_peers")
    sweep = {"phase": "32 numbers", "value": [0.0] * 60 + [2.0785848, 0.8200195, 71.510432 * 1.01, 1.0499567]}
    assert module.error(sweep) == pytest.approx(0.01)


def test_seconds_at_equal_error():
    seconds_at = _module("equal_error").seconds_at
    points = [(1.0, 1e-2), (10.0, 1e-4), (5.0, 1e-1)]
    assert seconds_at(points, 1e-3) == pytest.approx(10**0.5)
    assert seconds_at(points, 1e-2) == pytest.approx(1.0)
    assert seconds_at(points, 1.0) == pytest.approx(1.0)
    assert seconds_at(points, 1e-5) == float("inf")


def test_medians_of_rounds():
    # Each case has the median of what was measured in the rounds, and how far the rounds are apart.
    medians = _module("comparison").medians
    rounds = [[{"curve": "a", "seconds": s, "wall": w, "cpu": s}] for s, w in ((3.0, 1.0), (1.0, 2.0), (2.0, 9.0))]
    assert medians(rounds) == [{"curve": "a", "seconds": 2.0, "wall": 2.0, "cpu": 2.0, "spread": 3.0}]


def test_peak_between():
    peak = _module("measure").peak_between
    samples = [(0.0, 1_000_000), (1.0, 5_000_000), (2.0, 3_000_000)]
    assert peak(samples, 0.5, 2.5) == 5.0
    assert peak(samples, 1.6, 1.7) == 3.0
    assert peak([], 0.0, 1.0) == 0.0


def test_mechanics(run_here, tmp_path):
    # One rank and two give the same tensors; every stage is timed.
    figure = tmp_path / "n.png"
    content, printed = run_here("mechanics", "--sizes", "4000", "--ranks", "1", "2", "--figure", str(figure))
    assert figure.stat().st_size > 10_000
    by_physics: dict[str, list[dict[str, Any]]] = {}
    for r in content["results"]:
        by_physics.setdefault(r["physics"], []).append(r)
        assert all(r["seconds"][stage] > 0.0 for stage in ("mesh", "assembly", "preconditioner", "solve"))
        assert len(r["memory_mb"]) == r["ranks"]
    for one, two, octant, octant_on_two in by_physics.values():
        assert two["value"] == pytest.approx(one["value"], rel=1e-6)
        assert two["dofs"] == one["dofs"]
        assert octant_on_two["value"] == pytest.approx(octant["value"], rel=1e-6)
        # The simplices of the whole are not their own mirror images: the same medium on another mesh.
        assert octant["value"] == pytest.approx(one["value"], rel=0.05)
        assert octant["dofs"] < one["dofs"] / 4
    # Softer than Voigt's mean, stiffer than the matrix; less permeable than without the cube's drag.
    assert 1.346 < by_physics["elasticity"][0]["value"] < 1.346 * (7 / 8 + 10 / 8)
    assert 0.0 < by_physics["stokes"][0]["value"] < 0.1
    assert "ratios" in printed


def test_symmetric_cells(run_here):
    # Both ways enclose the published conductivity; one load on a quadrant.
    content, printed = run_here("symmetric_cells", "--coarse", "3", "--cells", "fibres, square")
    whole, part = content["results"]
    for r in (whole, part):
        assert r["value"] == pytest.approx(2.4154674, rel=2e-4)
        assert 0.0 < r["half_gap"] < 1e-3
    assert (whole["loads"], part["loads"]) == (2, 1)
    assert part["cells"] == 4 * part["solved"]
    assert set(part["ratios"]) == {"mesh", "solve", "both"}
    assert "ratio" in printed


def test_ionic(run_here):
    # The codes take the same step; that a compiled one is faster shows at sizes that a test does not have.
    content, _ = run_here("ionic", "--model", "mitchell-schaeffer", "--nodes", "400", "--repeats", "1")
    results = content["results"]
    assert {r["code"] for r in results} >= {"gotranx, NumPy", "NumPy, order 1", "compiled, order 2"}
    assert len(results) == 3 * 5
    assert max(r["difference"] for r in results if r.get("difference") is not None) < 1e-9
    assert min(r["rate"] for r in results) > 0.0


def test_emi(run_here):
    # Strips and sheets on one rank and two: the same wave; what a step takes is told.
    content, printed = run_here("emi", "--strips", "4", "--sheets", "2", "--ranks", "1", "2", "--steps", "2")
    results = content["results"]
    assert [(r["counts"], r["ranks"]) for r in results] == [([4, 1], 1), ([4, 1], 2), ([2, 2, 1], 1), ([2, 2, 1], 2)]
    for one, two in (results[:2], results[2:]):
        assert two["unknowns"] == one["unknowns"]
        assert two["largest"] == pytest.approx(one["largest"], rel=1e-6)
    assert all(0.0 < r["potentials"] < r["ms"] for r in results)
    assert "1 to 2 ranks" in printed


def test_calcium(run_here):
    # Both codes do the same to the tolerance of their solvers, on one rank and two.
    codes = ("--codes", "homfem", "cg", "--steps", "2")
    content, printed = run_here("calcium", "--cells", "8", "--ranks", "1", "2", *codes)
    results = content["results"]
    assert {(one["code"], one["ranks"], one["nodes"]) for one in results} == {
        (code, ranks, 9**3) for code in ("homfem", "cg") for ranks in (1, 2)
    }
    for one in results:
        assert one["largest"] == pytest.approx(results[0]["largest"], rel=1e-6)
        assert 0.0 < one["reaction"] < one["ms"]
    assert "over homfem" in printed
