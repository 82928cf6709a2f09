"""The benchmark of images runs at a tiny size, gives sane numbers, and its reference extrapolates."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from run_script import kept_workers, module_of

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "image_diffusion.py"


@pytest.fixture
def benchmark():
    return module_of(SCRIPT)


def test_a_tiny_image(benchmark, monkeypatch, capsys, on_ranks, tmp_path):
    """Its workers here, where the solver is compiled; as the command starts them: ``test_benchmarks.py``."""
    options = ["--size", "20", "--cases", "contrast", "--peers", "homfem", "--json", str(tmp_path / "n.json")]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *options])
    monkeypatch.setattr(benchmark, "run_worker", kept_workers(on_ranks, tmp_path))
    benchmark.main()
    assert "time ratio" in capsys.readouterr().out
    case = json.loads((tmp_path / "n.json").read_text())["cases"]["contrast"]
    midpoint, calibrated = case["runs"]
    assert midpoint["lower"] < case["reference"] < midpoint["upper"]
    assert midpoint["errors"]["lower"] < 0.0 < midpoint["errors"]["upper"]
    assert abs(calibrated["errors"]["value"]) < 0.1 * midpoint["errors"]["upper"]
    assert midpoint["seconds"] > 0.0
    assert midpoint["peak_mb"] > 50.0


def test_the_image_is_mirrored_and_half_bright(benchmark):
    image = benchmark.bright(12)
    assert image.mean() == 0.5
    for axis in range(3):
        assert np.array_equal(image, np.flip(image, axis))


def test_the_reference_is_the_limit_of_the_midpoints(benchmark):
    cuts = [1, 2, 4]
    grids = [{"lower": 2.0 - 0.5 / k, "upper": 2.0 + 0.5 / k + 0.2 * k**-1.5} for k in cuts]
    assert benchmark.reference(grids, cuts) == pytest.approx(2.0)
    grids = [{"lower": 1.0, "upper": 2.0}, {"lower": 1.1, "upper": 1.7}, {"lower": 1.2, "upper": 1.9}]
    assert benchmark.reference(grids, [1, 2, 3]) == pytest.approx(1.55)
