"""Exact effective tensors inside the bracket: laminates, checkerboards, Obnosov's square, Keller, the complement."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from homfem import homogenize_diffusion, three_pipe
from made_cells import checkerboard, grid_cell, quarters, square

SKEW = [[1.0, 0.0], [0.5, np.sqrt(0.75)]]


def layers(s):
    return np.select([s[:, 0] < 0.25, s[:, 0] < 0.5], [0, 1], default=2)


@pytest.mark.parametrize("d", [2, 3])
def test_a_laminate_is_exact_to_round_off(d):
    """Harmonic mean across, arithmetic mean along; both bounds meet."""
    cell = grid_cell((4, 3, 3)[:d], layers)
    k, f = np.array([1.0, 5.0, 0.2]), np.array([0.25, 0.25, 0.5])
    tensor = homogenize_diffusion(cell, {"a": k[0], "b": k[1], "c": k[2]}, rtol=1e-13)
    expected = np.diag([1 / (f / k).sum(), *[(f * k).sum()] * (d - 1)])
    for matrix in (tensor.lower, tensor.value, tensor.upper):
        assert np.abs(matrix - expected).max() < 1e-11
    assert tensor.anisotropy == ("transversely isotropic" if d == 3 else "orthotropic")


@pytest.mark.parametrize("vectors", [SKEW, [[1.0, 0.3], [0.0, 2.0]]])
def test_a_laminate_of_anisotropic_layers_on_a_skew_lattice(vectors):
    """Normal n, tensors A, B: D* = <D> - f(1-f) (A-B)n n.(A-B) / n.((1-f)A + f B)n for two layers (fraction f of A)."""
    a = np.array([[2.0, 0.7], [0.7, 1.0]])
    b = np.array([[0.5, -0.2], [-0.2, 3.0]])
    cell = grid_cell((4, 3), lambda s: s[:, 0] >= 0.25, vectors=vectors)
    f = 0.25
    n = np.linalg.inv(np.array(vectors))[:, 0]
    n = n / np.linalg.norm(n)
    jump = (a - b) @ n
    expected = f * a + (1 - f) * b - f * (1 - f) * np.outer(jump, jump) / (n @ ((1 - f) * a + f * b) @ n)
    tensor = homogenize_diffusion(cell, {"a": a, "b": b}, rtol=1e-13)
    for matrix in (tensor.lower, tensor.upper):
        assert np.abs(matrix - expected).max() < 1e-11


@pytest.mark.parametrize("contrast", [10.0, 1e4])
def test_dykhne(contrast):
    cell = grid_cell((16, 16), checkerboard)
    tensor = homogenize_diffusion(cell, {"a": 1.0, "b": contrast})
    assert tensor.contains(np.sqrt(contrast))
    assert contrast > 10.0 or tensor.relative_gap < 0.12


def test_dykhne_on_a_coarse_mesh_at_high_contrast():
    """Where incomplete Cholesky is no longer positive definite as a smoother."""
    for contrast in (1e4, 1e6):
        assert homogenize_diffusion(grid_cell((8, 8), checkerboard), {"a": 1.0, "b": contrast}).contains(
            np.sqrt(contrast)
        )


def test_the_four_phase_checkerboard():
    k1, k2, k3, k4 = 1.0, 3.0, 10.0, 2.0
    k = np.array([k1, k2, k3, k4])
    base = np.sqrt(k.prod() * (1 / k).sum() / k.sum())
    ratio = np.sqrt((k1 + k4) * (k2 + k3) / ((k1 + k2) * (k3 + k4)))
    cell = grid_cell((16, 16), quarters)
    tensor = homogenize_diffusion(cell, {"a": k1, "b": k2, "c": k3, "d": k4})
    assert tensor.contains(np.diag([base * ratio, base / ratio]))
    assert tensor.relative_gap < 0.02


def test_obnosov():
    """Centred square of fraction 1/4."""
    k1, k2 = 10.0, 1.0
    exact = k2 * np.sqrt((k2 + 3 * k1) / (k1 + 3 * k2))
    cell = grid_cell((16, 16), square)
    tensor = homogenize_diffusion(cell, {"a": k2, "b": k1}, degree=1)
    assert tensor.contains(exact)
    assert tensor.relative_gap < 0.01
    assert abs(tensor.value[0, 0] / exact - 1.0) < 1e-4


def test_keller_duality_of_the_bounds():
    """The upper bound of a medium and the lower bound of its dual lie on either side of Keller's product."""
    cell = grid_cell((12, 12), lambda s: (s[:, 0] < 0.5) & (s[:, 1] < 0.75))
    k1, k2 = 1.0, 7.0
    one = homogenize_diffusion(cell, {"a": k1, "b": k2}, degree=1)
    other = homogenize_diffusion(cell, {"a": k2, "b": k1}, degree=1)
    assert one.lower[0, 0] * other.lower[1, 1] <= k1 * k2 <= one.upper[0, 0] * other.upper[1, 1]
    assert abs(one.value[0, 0] * other.value[1, 1] / (k1 * k2) - 1.0) < 2e-4


@pytest.mark.parametrize("edge", [0.05, 0.1, 0.3, 0.5, 0.8, 0.95])
def test_the_cytosol_is_an_er_of_the_complementary_edge(edge):
    """D*_cytosol(l) = D*_ER(1 - l): the two brackets, from two geometries and meshes, must overlap."""
    cytosol = homogenize_diffusion(three_pipe(edge, resolution=0.2), {"cytosol": 1.0})
    er = homogenize_diffusion(three_pipe(1 - edge, resolution=0.15), {"er": 1.0})
    for i in range(3):
        assert max(cytosol.lower[i, i], er.lower[i, i]) <= min(cytosol.upper[i, i], er.upper[i, i])
    assert max(cytosol.relative_gap, er.relative_gap) < 0.02
    assert cytosol.anisotropy == er.anisotropy == "isotropic"
    assert np.ptp(np.diag(er.value)) < 1e-6 * er.value[0, 0]
    assert abs(cytosol.value[0, 0] / er.value[0, 0] - 1.0) < 0.01


def test_the_bound_of_a_perforated_medium_is_below_that_of_any_filling():
    """Monotone in the coefficient: an insulating inclusion, then ever better ones."""
    cell = grid_cell((12, 12), square)
    values = [homogenize_diffusion(cell, {"a": 1.0})]
    values += [homogenize_diffusion(cell, {"a": 1.0, "b": k}) for k in (1e-3, 0.1, 1.0, 10.0)]
    for low, high in itertools.pairwise(values):
        assert low.lower[0, 0] < high.lower[0, 0]
        assert low.upper[0, 0] < high.upper[0, 0]
    assert np.abs(values[3].value - np.eye(2)).max() < 1e-9


def test_a_phase_that_percolates_one_way_only():
    """Half of the cell as a layer: its fraction along, exactly nothing across."""
    cell = grid_cell((4, 4), lambda s: s[:, 0] < 0.5, names=("solid", "pore"))
    tensor = homogenize_diffusion(cell, {"pore": 2.0})
    assert np.abs(tensor.value - np.diag([0.0, 1.0])).max() < 1e-12
    assert tensor.anisotropy_ratio == np.inf
    assert np.abs(tensor.effective_coefficient - np.diag([0.0, 2.0])).max() < 1e-12


def test_a_phase_in_two_separate_parts():
    """Two layers that do not touch, each with constants of its own in the kernel: together their fraction along."""
    cell = grid_cell((8, 4), lambda s: (s[:, 0] * 4).astype(int) % 2 == 0, names=("solid", "pore"))
    assert len(cell.connectivity["pore"].parts) == 2
    tensor = homogenize_diffusion(cell, {"pore": 2.0})
    for matrix in (tensor.lower, tensor.upper):
        assert np.abs(matrix - np.diag([0.0, 1.0])).max() < 1e-9
