"""The semi-analytical and the finite-volume method: sizes, modes, fields, zero blocks, input errors."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.blocks.finite_volume import solve_finite_volume
from homfem.blocks.media import checkerboard, paper_case
from homfem.blocks.medium import BlockMedium
from homfem.blocks.semi_analytical import solve_semi_analytical
from homfem.parameters import InputError

UNEVEN = {"widths": [0.3, 0.7], "heights": [0.45, 0.6, 0.2]}


@pytest.mark.parametrize(("across", "up"), [(4, 4), (8, 6)])
def test_system_size_is_the_papers(across, up):
    medium = BlockMedium(diffusivity=np.arange(1.0, 7.0).reshape(3, 2), **UNEVEN)
    assert solve_semi_analytical(medium, abscissas=(across, up)).unknowns == 3 * 2 * (across + up + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"abscissas": 1}, "N_x.*>= 2"),
        ({"abscissas": (4, 1)}, "N_y.*>= 2"),
        ({"abscissas": 2.5}, "whole number"),
        ({"abscissas": 8, "modes": 6}, r"7 <= N_eig <= .* = 13"),
        ({"abscissas": 8, "modes": 14}, r"7 <= N_eig <= .* = 13"),
        ({"abscissas": (20, 4)}, r"19 <= .* = 5"),
    ],
)
def test_abscissas_and_modes_out_of_range_are_refused_with_their_bounds(options, message):
    with pytest.raises(InputError, match=message):
        solve_semi_analytical(checkerboard(2), **options)


@pytest.mark.parametrize("modes", [15, 20, 29])
def test_residual_is_round_off_for_every_allowed_number_of_modes(modes):
    assert solve_semi_analytical(paper_case("4"), abscissas=16, modes=modes).residual < 1e-11


def test_too_few_modes_would_be_singular():
    # The reason of the lower end of eq. 62: a flux vector orthogonal to all kept modes changes nothing.
    from homfem.blocks.elements import cosine_moments

    points = (np.arange(8) + 0.5) / 8
    rank = [np.linalg.matrix_rank(cosine_moments(points, np.full(8, 0.125), modes)) for modes in (6, 7)]
    assert rank == [7, 8]


def uneven_medium() -> BlockMedium:
    return BlockMedium(diffusivity=[[1.0, 0.4], [0.6, 2.0], [1.0, 0.0]], **UNEVEN)


def test_field_is_periodic_continuous_divergence_free_and_of_zero_mean():
    solution = solve_semi_analytical(uneven_medium(), abscissas=12)
    fields = solution.fields
    x, y = np.linspace(0.013, 0.987, 6), np.linspace(0.011, 0.41, 7)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    assert np.allclose(fields.potential(points + np.array([2.0, -1.25])), fields.potential(points), atol=1e-12)
    step = 1e-5
    base = np.array([[0.11, 0.2], [0.5, 0.31], [0.21, 0.7], [0.6, 0.8]])
    ahead = [[fields.potential(base + sign * step * np.eye(2)[k]) for sign in (1, -1)] for k in (0, 1)]
    slope = np.stack([(plus - minus) / (2 * step) for plus, minus in ahead], axis=1) + np.eye(2)
    diffusivity = np.array([1.0, 0.4, 0.6, 2.0])
    assert np.allclose(fields.flux(base), diffusivity[:, None, None] * slope, atol=1e-7)
    divergence = sum(
        fields.flux(base + step * np.eye(2)[k])[:, k] - fields.flux(base - step * np.eye(2)[k])[:, k] for k in (0, 1)
    )
    assert np.abs(divergence / (2 * step)).max() < 1e-6
    # Continuity at an interface's abscissa; NaN and no flux in the zero block.
    height = 0.45 * 3.5 / 12
    sides = fields.potential([[0.3 - 1e-12, height], [0.3 + 1e-12, height]])
    assert np.allclose(sides[0], sides[1], atol=1e-9)
    assert np.isnan(fields.potential([[0.5, 1.2]])).all()
    assert np.all(fields.flux([[0.5, 1.2]]) == 0.0)
    with pytest.raises(InputError):
        fields.flux([[np.nan, 0.0]])


def test_closed_form_average_equals_the_integral_of_the_flux():
    solution = solve_semi_analytical(uneven_medium(), abscissas=6)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    total = np.zeros((2, 2))
    for x0, x1 in ((0, 0.3), (0.3, 1.0)):
        for y0, y1 in ((0, 0.45), (0.45, 1.05), (1.05, 1.25)):
            x, y = (a + (b - a) * (nodes + 1) / 2 for a, b in ((x0, x1), (y0, y1)))
            points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
            weight = np.outer(weights, weights).ravel() * (x1 - x0) * (y1 - y0) / 4
            total += np.einsum("p,pij->ij", weight, solution.fields.flux(points))
    assert np.allclose(total / 1.25, solution.value, atol=2e-6)


def test_anisotropic_blocks_stretch_to_isotropic_ones():
    # D = diag(a, b) in every block on lengths (L, H) is D = sqrt(ab) I on lengths (L, H sqrt(a/b)).
    values = np.array([[1.0, 0.1], [0.3, 2.0]])
    plain = solve_semi_analytical(BlockMedium(diffusivity=values, heights=[0.8, 1.2]), abscissas=8).value
    axial = np.stack([2.0 * values, 0.5 * values], axis=-1)
    stretched = BlockMedium(diffusivity=axial, heights=[0.4, 0.6])
    assert np.allclose(solve_semi_analytical(stretched, abscissas=8).value, np.diag([2.0, 0.5]) @ plain, rtol=1e-11)


def test_zero_blocks_percolating_and_not():
    # A straight conducting channel: exactly its share along, exactly nothing across.
    channel = BlockMedium(diffusivity=[[0, 0, 0], [2, 2, 2], [0, 0, 0]], heights=[0.2, 0.5, 0.3])
    for value in (solve_semi_analytical(channel, abscissas=4).value, solve_finite_volume(channel, intervals=4).value):
        assert np.allclose(value, [[1.0, 0.0], [0.0, 0.0]], atol=1e-13)
    islands = BlockMedium(diffusivity=[[1, 0, 1], [0, 0, 0], [1, 0, 1]])
    for solve in (solve_semi_analytical, solve_finite_volume):
        assert np.abs(solve(islands).value).max() < 1e-13
    alone = BlockMedium(diffusivity=[[0, 0], [1, 0]])
    assert np.abs(solve_semi_analytical(alone, abscissas=4).value).max() < 1e-14
    diagonal = BlockMedium(diffusivity=[[1, 0], [0, 1]])
    assert np.abs(solve_semi_analytical(diagonal, abscissas=4).value).max() < 1e-14


def test_zero_blocks_are_the_limit_of_small_ones_and_cost_fewer_unknowns():
    layout = ["LLL", "LVV", "LLL"]
    zero = solve_semi_analytical(BlockMedium.from_layout(layout, {"L": 1.0}), abscissas=16)
    small = solve_semi_analytical(BlockMedium.from_layout(layout, {"L": 1.0, "V": 1e-7}), abscissas=16)
    assert np.allclose(zero.value, small.value, rtol=2e-6)
    # Counted by hand: 7 blocks, 6 left edges and 5 bottom edges between two conducting blocks.
    assert zero.unknowns == 7 + 16 * (6 + 5)
    assert solve_finite_volume(BlockMedium.from_layout(layout, {"L": 1.0}), intervals=8).value == pytest.approx(
        solve_finite_volume(BlockMedium.from_layout(layout, {"L": 1.0}), intervals=8, solver="fft").value, rel=1e-8
    )


def test_merging_changes_little_and_saves_unknowns():
    medium = paper_case("2")
    plain = solve_semi_analytical(medium, abscissas=8)
    merged = solve_semi_analytical(medium, abscissas=8, merge=True)
    assert merged.unknowns < 0.45 * plain.unknowns
    assert np.allclose(merged.value, plain.value, atol=2e-3)
    exact = np.diag([0.69351602, 0.56586684])
    assert np.abs(merged.value - exact).max() < 1e-3


def test_finite_volume_solvers_agree_and_bad_input_is_refused():
    medium = paper_case("4")
    direct = solve_finite_volume(medium, intervals=4, solver="direct")
    krylov = solve_finite_volume(medium, intervals=4, solver="fft")
    assert np.allclose(direct.value, krylov.value, rtol=1e-9)
    assert np.allclose(direct.potential, krylov.potential, atol=1e-8)
    assert direct.unknowns == krylov.unknowns == 1024
    assert krylov.iterations > 0
    for options in ({"intervals": 0}, {"intervals": 2, "solver": "magic"}, {"intervals": 1.5}):
        with pytest.raises(InputError):
            solve_finite_volume(medium, **options)
    with pytest.raises(InputError, match="equally spaced"):
        solve_finite_volume(BlockMedium(diffusivity=[[1, 2]], widths=[0.3, 0.7]), intervals=4, solver="fft")


def test_finite_volume_energy_is_the_papers_integral_of_centroid_gradients():
    medium = BlockMedium(diffusivity=[[1.0, 0.3], [0.2, 2.0]], widths=[0.4, 0.6])
    solution = solve_finite_volume(medium, intervals=3)
    grid = medium.refined(3)
    total = np.zeros((2, 2))
    for load in (0, 1):
        psi = solution.potential[load]
        right, up = np.roll(psi, -1, 1), np.roll(psi, -1, 0)
        corner = np.roll(right, -1, 0)
        slope_x = (right - psi + corner - up) / (2 * grid.widths[None, :]) + (load == 0)
        slope_y = (up - psi + corner - right) / (2 * grid.heights[:, None]) + (load == 1)
        cells = grid.diffusivity * grid.block_areas
        total[:, load] = (cells * slope_x).sum(), (cells * slope_y).sum()
    assert np.allclose(total / medium.area, solution.value, rtol=1e-12)
