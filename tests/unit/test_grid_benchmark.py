"""The benchmark of images runs at a tiny size, gives sane numbers, and its reference extrapolates."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "image_diffusion.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_image_diffusion", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_tiny_image(tmp_path):
    command = [sys.executable, str(SCRIPT), "--size", "20", "--cases", "contrast", "--peers", "homfem"]
    run = subprocess.run([*command, "--json", str(tmp_path / "n.json")], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "time ratio" in run.stdout
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
