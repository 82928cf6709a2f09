"""Iterations that do not come to their end, systems without factors: each says so, by its own error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from homfem import blocks
from homfem.blocks import boxes, effective, finite_volume, flux_system, perfect
from homfem.grid import Image, homogenize_image
from homfem.orientation import bingham
from homfem.parameters import ConvergenceError

MEDIUM = blocks.BlockMedium.from_layout(["LLD", "LDD", "DLL"], {"L": 1.0, "D": 100.0})


def fails(message: str) -> Any:
    """Expect an error of convergence."""
    return pytest.raises(ConvergenceError, match=message)


@pytest.mark.parametrize("module", [finite_volume, boxes])
@pytest.mark.parametrize(("limit", "iterations"), [(3, 3), (1000, r"\d+")])
def test_finite_volumes_by_fourier_transforms(monkeypatch, module, limit, iterations):
    # Twice the same random medium: too few iterations, and a tolerance below what round-off allows.
    monkeypatch.setattr(module, "MOST_ITERATIONS", limit)
    tolerance = 1e-10 if limit == 3 else 1e-30
    values = np.random.default_rng(1).uniform(1.0, 100.0, (8, 8, 8))
    with fails(f"finite volumes: no convergence in {iterations} iterations"):
        if module is boxes:
            boxes._potential([values] * 3, [1.0, 0.0, 0.0], symbol(3), tolerance)
        else:
            drop = values[0] - np.roll(values[0], 1, axis=1)
            finite_volume._solve_fft(values[0], values[0], np.stack([drop, drop]), tolerance)


def symbol(axes: int) -> np.ndarray:
    """The Laplacian of a grid of 8 nodes along each axis, in frequencies; 1 for the mean."""
    waves = [2.0 - 2.0 * np.cos(2.0 * np.pi * np.fft.fftfreq(8))] * axes
    waves[-1] = waves[-1][:5]
    total = sum(wave.reshape([-1 if b == a else 1 for b in range(axes)]) for a, wave in enumerate(waves))
    total[(0,) * axes] = 1.0
    return np.asarray(total)


def test_numbers_that_are_not_finite():
    values = np.full((8, 8, 8), np.inf)
    with fails("box finite volumes: no convergence in 0 iterations"), np.errstate(invalid="ignore"):
        boxes._potential([values] * 3, [1.0, 0.0, 0.0], symbol(3), 1e-10)
    with fails("finite volumes: no convergence in 0 iterations"), np.errstate(invalid="ignore"):
        finite_volume._solve_fft(values[0], values[0], values[:2], 1e-10)


def test_fluxes_between_corners():
    system = flux_system.FluxSystem(MEDIUM, 3, 2)
    *_, iterations = system._solve_iteratively(1e-8)
    with fails("corner-galerkin: no convergence in 2 iterations"):
        system._solve_iteratively(1e-8, limit=2)
    assert iterations > 4  # two loads


def test_bounds_without_factors(monkeypatch):
    def none(*arguments: Any, **options: Any) -> Any:
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(effective, "solve_bounds", none)
    with fails(r"corner-galerkin: no bounds at this contrast \(singular\)"):
        blocks.homogenize_blocks(MEDIUM, method="corner-galerkin")


def test_round_off_larger_than_the_bound():
    high, raised = perfect.turned_inverse(np.diag([1.0, 2.0]), np.zeros((2, 2)))
    assert (high == np.diag([0.5, 1.0])).all()
    assert not raised.any()
    with fails("corner-galerkin: round-off leaves no bound at this contrast"):
        perfect.turned_inverse(np.eye(2), np.diag([0.5, 1.0]))


def test_grid():
    image = Image.from_labels(np.random.default_rng(1).integers(0, 2, (8, 8)), {"a": 0, "b": 1})
    with fails(r"load 1: 2 iterations leave a relative energy step of .*, short of rtol = "):
        homogenize_image(image, {"a": 1.0, "b": 1e6}, max_iterations=2)


def test_moments_of_no_distribution():
    with fails("no Bingham distribution was found with second moments"):
        bingham._fit_values(np.array([np.nan, 0.3, 0.6]))
