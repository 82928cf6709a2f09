"""Identities of block media that hold exactly, for the semi-analytical and the finite-volume method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homfem.blocks.finite_volume import solve_finite_volume
from homfem.blocks.media import checkerboard
from homfem.blocks.medium import BlockMedium
from homfem.blocks.semi_analytical import solve_semi_analytical


def semi(medium):
    return solve_semi_analytical(medium, abscissas=8).value


def volumes(medium):
    return solve_finite_volume(medium, intervals=5).value


def four_phase(k1, k2, k3, k4):
    """Effective (xx, yy) of the checkerboard with k1 NE, k2 NW, k3 SW, k4 SE."""
    k = np.array([k1, k2, k3, k4])
    base = np.sqrt(k.prod() * (1 / k).sum() / k.sum())
    ratio = np.sqrt((k1 + k4) * (k2 + k3) / ((k1 + k2) * (k3 + k4)))
    return base * ratio, base / ratio


@st.composite
def media(draw, largest=4, zeros=False):
    rows, columns = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    values = 10.0 ** rng.uniform(-1.5, 1.5, (rows, columns, 2 if draw(st.booleans()) else 1))
    if zeros:
        values[rng.random((rows, columns)) < 0.3] = 0.0
        values[0, 0] = 1.0
    values = values[..., 0] if values.shape[-1] == 1 else values
    return BlockMedium(diffusivity=values, widths=rng.uniform(0.5, 1.5, columns), heights=rng.uniform(0.5, 1.5, rows))


@pytest.mark.parametrize("method", [semi, volumes])
def test_laminates_to_round_off(method):
    values, shares = np.array([0.1, 3.0, 1.0]), np.array([0.2, 0.5, 0.3])
    layered = BlockMedium(diffusivity=values[:, None] * np.ones((1, 2)), heights=shares, widths=[0.4, 0.6])
    along, across = (values * shares).sum(), 1.0 / (shares / values).sum()
    assert np.allclose(method(layered), np.diag([along, across]), rtol=0, atol=1e-12)
    assert np.allclose(method(layered.transposed()), np.diag([across, along]), rtol=0, atol=1e-12)
    axial = np.stack([values, 2.0 * values], axis=-1)[:, None, :]
    across = 1.0 / (shares / (2.0 * values)).sum()
    assert np.allclose(method(BlockMedium(diffusivity=axial, heights=shares)), np.diag([along, across]), atol=1e-12)


@pytest.mark.parametrize("method", [semi, volumes])
@settings(max_examples=12, deadline=None, derandomize=True)
@given(medium=media())
def test_symmetry_bounds_and_invariances(method, medium):
    value = method(medium)
    scale = np.abs(value).max()
    assert np.allclose(value, value.T, atol=2e-2 * scale)
    assert np.linalg.eigvalsh(0.5 * (value + value.T))[0] > 0.0
    weights = medium.block_areas[..., None] / medium.area
    upper, lower = (weights * medium.axial).sum((0, 1)), 1.0 / (weights / medium.axial).sum((0, 1))
    assert np.all(np.diag(value) <= upper * (1 + 1e-9))
    assert np.all(np.diag(value) >= lower * (1 - 1e-9))
    assert np.allclose(method(medium.transposed()), value[::-1, ::-1], rtol=1e-7, atol=1e-9 * scale)
    assert np.allclose(method(medium.shifted(1, 2)), value, rtol=1e-7, atol=1e-9 * scale)
    mirrored = BlockMedium(
        diffusivity=medium.diffusivity[:, ::-1], widths=np.asarray(medium.widths)[::-1], heights=medium.heights
    )
    signs = np.array([[1, -1], [-1, 1]])
    assert np.allclose(method(mirrored), signs * value, rtol=1e-7, atol=1e-9 * scale)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(medium=media(zeros=True))
def test_zero_blocks_never_make_a_singular_system(medium):
    value = semi(medium)
    assert np.all(np.isfinite(value))
    scale = max(np.abs(value).max(), 1e-12)
    assert np.linalg.eigvalsh(0.5 * (value + value.T))[0] > -1e-2 * scale
    assert np.allclose(semi(medium.shifted(1, 1)), value, rtol=1e-7, atol=1e-9 * scale + 1e-13)


def test_finite_volumes_bound_the_effective_tensor_from_above_on_both_sides_of_the_duality():
    rng = np.random.default_rng(11)
    medium = BlockMedium(diffusivity=10.0 ** rng.uniform(-1, 1, (3, 3)))
    previous = None
    for intervals in (2, 4, 8):
        upper = solve_finite_volume(medium, intervals=intervals).value
        turn = np.array([[0.0, -1.0], [1.0, 0.0]])
        lower = turn @ np.linalg.inv(solve_finite_volume(medium.dual(), intervals=intervals).value) @ turn.T
        assert np.linalg.eigvalsh(upper - lower)[0] > 0.0
        if previous is not None:
            assert np.linalg.eigvalsh(previous[0] - upper)[0] > 0.0
            assert np.linalg.eigvalsh(lower - previous[1])[0] > 0.0
        previous = upper, lower


@pytest.mark.parametrize("number", [2, 4])
def test_dykhne_is_approached(number):
    medium = checkerboard(number)
    errors = [solve_semi_analytical(medium, abscissas=n, modes=n - 1).value[0, 0] - np.sqrt(0.1) for n in (8, 16, 32)]
    # The flux grows like r^(lambda - 1) at the corners, tan(pi lambda / 4) = sqrt(1 / 10); the error falls like
    # N^(-2 lambda) with 2 lambda = .78.
    exponent = 8 / np.pi * np.arctan(np.sqrt(0.1))
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.allclose(rates, exponent, atol=0.04)
    assert abs(errors[2]) < 1e-2


def test_four_phase_checkerboard_and_obnosov_are_approached():
    k = (1.0, 2.0, 0.5, 3.0)
    medium = BlockMedium(diffusivity=[[k[2], k[3]], [k[1], k[0]]])
    value = solve_semi_analytical(medium, abscissas=32).value
    assert np.allclose(np.diag(value), four_phase(*k), rtol=4e-3)
    inclusion, matrix = 10.0, 1.0
    obnosov = matrix * np.sqrt((matrix + 3 * inclusion) / (inclusion + 3 * matrix))
    medium = BlockMedium(diffusivity=[[matrix, matrix], [matrix, inclusion]])
    assert np.allclose(solve_semi_analytical(medium, abscissas=32).value, obnosov * np.eye(2), rtol=2e-3)


def test_keller_duality_is_approached():
    rng = np.random.default_rng(2)
    medium = BlockMedium(diffusivity=rng.choice([0.2, 1.0], (3, 4)), widths=rng.uniform(0.5, 1, 4))
    product = []
    for n in (6, 24):
        one = solve_semi_analytical(medium, abscissas=n).value
        other = solve_semi_analytical(medium.dual(), abscissas=n).value
        turn = np.array([[0.0, -1.0], [1.0, 0.0]])
        product.append(np.abs(one @ turn @ other @ turn.T - np.eye(2)).max())
    assert product[1] < product[0] / 3
    assert product[1] < 1e-2
