"""The corner-Galerkin method: closed forms inside brackets, identities, bounds, exponents, energies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from homfem.blocks import BlockMedium, aggregated, checkerboard, homogenize_blocks
from homfem.blocks.corners import corner_exponents, vertex_exponents
from homfem.blocks.finite_volume import solve_finite_volume
from homfem.blocks.flux_energies import SideEnergies, hurwitz
from homfem.blocks.flux_system import FluxSystem
from homfem.blocks.galerkin import solve_bounds, solve_galerkin
from homfem.blocks.interface_basis import make_basis
from homfem.blocks.semi_analytical import solve_semi_analytical
from homfem.grid import Image, homogenize_image


@st.composite
def media(draw, zeros=False, largest=3):
    rows, columns = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    values = rng.choice([0.05, 0.3, 1.0, 7.0], (rows, columns))
    if zeros:
        values[rng.random((rows, columns)) < 0.35] = 0.0
        values[0, 0] = 1.0
    lengths = np.array([1.0, 1.5])
    return BlockMedium(diffusivity=values, widths=rng.choice(lengths, columns), heights=rng.choice(lengths, rows))


def loewner(larger, smaller):
    """Smallest eigenvalue of larger - smaller over the size of larger."""
    return np.linalg.eigvalsh(larger - smaller)[0] / np.linalg.norm(larger)


@pytest.mark.parametrize("number", [2, 4])
@pytest.mark.parametrize("contrast", [10.0, 100.0])
def test_dykhne(number, contrast):
    tensor = homogenize_blocks(checkerboard(number, dark=1.0 / contrast), degree=6)
    assert tensor.contains(np.sqrt(1.0 / contrast), slack=1e-13)
    assert tensor.relative_gap < 1e-9
    assert np.allclose(tensor.value, np.eye(2) / np.sqrt(contrast), atol=1e-10)


def test_four_phase_checkerboard_and_obnosov():
    k = np.array([1.0, 2.0, 0.5, 3.0])  # NE, NW, SW, SE
    base = np.sqrt(k.prod() * (1 / k).sum() / k.sum())
    ratio = np.sqrt((k[0] + k[3]) * (k[1] + k[2]) / ((k[0] + k[1]) * (k[2] + k[3])))
    medium = BlockMedium(diffusivity=[[k[2], k[3]], [k[1], k[0]]])
    tensor = homogenize_blocks(medium, degree=6)
    assert tensor.contains(np.diag([base * ratio, base / ratio]), slack=1e-12)
    assert tensor.relative_gap < 1e-9
    for inclusion in (0.1, 10.0, 1000.0):
        medium = BlockMedium(diffusivity=[[1, 1], [1, inclusion]])
        exact = np.sqrt((1 + 3 * inclusion) / (inclusion + 3))
        tensor = homogenize_blocks(medium, degree=6)
        assert tensor.contains(exact, slack=1e-12)
        assert np.allclose(tensor.value, exact * np.eye(2), rtol=1e-9)
    # The insulating inclusion: the limit sqrt(1/3), re-entrant corners with exponent 2/3.
    tensor = homogenize_blocks(BlockMedium(diffusivity=[[1, 1], [1, 0]]), degree=6)
    assert np.allclose(tensor.value, np.sqrt(1 / 3) * np.eye(2), rtol=1e-8)
    assert tensor.contains(np.sqrt(1 / 3), slack=1e-12)
    assert tensor.relative_gap < 1e-10


def test_insulating_clusters_that_reach_from_cell_to_cell():
    # Conducting stairs along the diagonal, walled in by insulating blocks that touch at corners only: rank one.
    stairs = BlockMedium(diffusivity=[[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    tensor = homogenize_blocks(stairs, degree=6)
    assert np.allclose(tensor.value, tensor.value[0, 0] * np.ones((2, 2)), atol=1e-11)
    assert tensor.half_gap < 1e-10
    assert np.allclose(solve_semi_analytical(stairs, abscissas=32, modes=31).value, tensor.value, atol=1e-3)
    mirrored = homogenize_blocks(BlockMedium(diffusivity=stairs.diffusivity[::-1]), degree=6)
    assert np.allclose(mirrored.upper, tensor.upper * [[1, -1], [-1, 1]], atol=1e-11)
    for islands in ([[1, 0], [0, 1]], [[1, 0], [0, 0]], [[1, 0, 0], [0, 1, 0.3]]):
        tensor = homogenize_blocks(BlockMedium(diffusivity=islands))
        assert np.abs(tensor.lower).max() == np.abs(tensor.upper).max() == 0.0
    # A small diffusivity in place of zero raises the tensor, and closes in.
    medium = BlockMedium(diffusivity=[[1, 0, 1], [1, 1, 0.5], [0, 1, 0]], widths=[0.3, 0.3, 0.4])
    tensor = homogenize_blocks(medium, degree=6)
    for small in (1e-3, 1e-6):
        values = np.maximum(medium.diffusivity, small)
        above = homogenize_blocks(BlockMedium(diffusivity=values, widths=medium.widths), degree=6)
        assert loewner(above.upper, tensor.lower) > 0.0
    assert np.allclose(above.value, tensor.value, atol=3e-3)


def test_laminates_to_round_off():
    values, shares = np.array([0.1, 3.0, 1.0]), np.array([0.2, 0.5, 0.3])
    layered = BlockMedium(diffusivity=values[:, None] * np.ones((1, 2)), heights=shares)
    exact = np.diag([(values * shares).sum(), 1.0 / (shares / values).sum()])
    for degree in (0, 3):
        tensor = homogenize_blocks(layered, degree=degree, collapse=False)
        assert np.allclose(tensor.lower, exact, atol=1e-13)
        assert np.allclose(tensor.upper, exact, atol=1e-12)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(medium=media())
def test_bounds_are_nested_ordered_and_invariant(medium):
    coarse, _, above, _ = solve_bounds(medium, degree=1, singular=1)
    fine, _, closer, _ = solve_bounds(medium, degree=4, singular=2)
    assert loewner(fine.lower, coarse.lower) > -1e-12
    assert loewner(above, closer) > -1e-12
    assert loewner(closer, fine.lower) > -1e-11
    assert np.allclose(fine.lower, fine.lower.T, atol=1e-12)
    assert loewner(solve_finite_volume(medium, intervals=4).value, fine.lower) > -1e-10
    other = solve_galerkin(medium.transposed(), degree=4).lower
    assert np.allclose(other, fine.lower[::-1, ::-1], atol=1e-11 * np.linalg.norm(other))
    moved = solve_galerkin(medium.shifted(1, 1), degree=4).lower
    assert np.allclose(moved, fine.lower, atol=1e-11 * np.linalg.norm(moved))
    joined = homogenize_blocks(medium, degree=4)
    assert loewner(joined.upper, fine.lower) > -1e-11
    assert loewner(closer, joined.lower) > -1e-11


def grid_bounds(medium, refine=2):
    """Bounds by finite elements on a grid whose lines are those of the blocks, all lengths being multiples of 1/2."""
    rows, columns = (np.rint(2.0 * np.asarray(lengths)).astype(int) for lengths in (medium.heights, medium.widths))
    number = np.arange(medium.diffusivity.size).reshape(medium.shape)
    values, labels = medium.diffusivity.ravel(), np.repeat(np.repeat(number, rows, axis=0), columns, axis=1)
    image = Image.from_labels(labels.T, {str(n): n for n in number.ravel()}, voxel=0.5)
    conducting = {str(n): values[n] for n in np.flatnonzero(values)}
    tensor = homogenize_image(image, conducting, refine=refine, thin_gaps="solve", threads=1)
    return tensor.lower, tensor.upper


@settings(max_examples=12, deadline=None, derandomize=True)
@given(medium=media(zeros=True))
# Strong contrasts next to an insulating corner, with the exponent 0.076: half of the tensor is missed by 12 abscissas.
@example(medium=BlockMedium(diffusivity=[[1.0, 7.0, 0.0], [7.0, 0.05, 7.0]], widths=[1.5, 1.5, 1.5], heights=[1, 1]))
def test_bounds_with_insulating_blocks(medium):
    first, _, upper, _ = solve_bounds(medium, degree=6)
    scale = float(medium.diffusivity.max())
    gap = np.linalg.eigvalsh(upper - first.lower)
    assert gap[0] > -1e-12 * scale
    assert gap[1] < 1e-5 * scale
    volumes = solve_finite_volume(medium, intervals=6).value
    assert np.linalg.eigvalsh(volumes - first.lower)[0] > -1e-10 * scale
    if upper.any():
        below, above = grid_bounds(medium)
        assert np.linalg.eigvalsh(upper - below)[0] > -1e-10 * scale
        assert np.linalg.eigvalsh(above - first.lower)[0] > -1e-10 * scale
    # Finite volumes let blocks that only touch at a corner exchange flux; the semi-analytical method does not. With N
    # abscissas it misses an energy like N^(-2 lambda) at a corner with the exponent lambda: 0.22 of it was the most.
    missed = 0.3 * scale * 12.0 ** (-2.0 * vertex_exponents(medium).min())
    assert np.allclose(first.lower, solve_semi_analytical(medium, abscissas=12).value, atol=missed)


def test_anisotropic_blocks_stay_inside_the_bracket():
    rng = np.random.default_rng(4)
    axial = 10.0 ** rng.uniform(-1, 1, (2, 3, 2))
    medium = BlockMedium(diffusivity=axial)
    first, _, upper, _ = solve_bounds(medium, degree=8)
    better, _, closer, _ = solve_bounds(medium.refined(2), degree=6)
    assert loewner(upper, first.lower) > 0.0
    assert loewner(better.lower, first.lower) > -1e-12
    assert loewner(upper, closer) > -1e-12
    # One anisotropy everywhere is a stretching: the singularities are known, and the bracket is tight.
    values = np.array([[1.0, 0.1], [0.3, 2.0]])
    stretched = BlockMedium(diffusivity=np.stack([2.0 * values, 0.5 * values], axis=-1), heights=[0.4, 0.6])
    plain = BlockMedium(diffusivity=values, heights=[0.8, 1.2])
    one, two = homogenize_blocks(stretched, degree=5), homogenize_blocks(plain, degree=5)
    assert np.allclose(one.value, np.diag([2.0, 0.5]) @ two.value, rtol=1e-9)
    assert one.relative_gap < 1e-6


def test_exponents_of_corners():
    def first(*k):
        return corner_exponents(np.repeat(np.array(k, dtype=float)[None, :, None], 2, axis=2))[0]

    assert np.allclose(first(2, 2, 2, 2), [1.0, 1.0])
    assert np.allclose(first(1, 0.1, 1, 0.1)[0], 4 / np.pi * np.arctan(np.sqrt(0.1)))
    assert np.allclose(first(0, 1, 1, 1), [2 / 3, 4 / 3])
    assert np.allclose(first(1e-14, 1, 1, 1), [2 / 3, 4 / 3], atol=1e-6)
    assert np.allclose(first(0, 0, 1, 2), [1.0, 1.0])
    assert np.allclose(first(0, 1, 0, 2), [1.0, 1.0])
    # The defining equation: the product of the four transfer matrices has the eigenvalue 1.
    rng = np.random.default_rng(0)
    for _ in range(5):
        quadrants = 10.0 ** rng.uniform(-1, 1, (4, 2))
        isotropic = np.repeat(quadrants[:, :1], 2, axis=1)
        for case in (isotropic, quadrants):
            exponents = corner_exponents(case[None])[0]
            for exponent in exponents[np.abs(exponents - 1.0) > 1e-9]:
                product = np.eye(2)
                angle = exponent * np.pi / 2
                for number, (dx, dy) in enumerate(case):
                    k, factor = np.sqrt(dx * dy), (dx / dy) ** (exponent / 2 * (1 if number % 2 == 0 else -1))
                    turn = np.array([[np.cos(angle), np.sin(angle) / k], [-k * np.sin(angle), np.cos(angle)]])
                    product = factor * turn @ product
                assert np.abs(np.linalg.eigvals(product) - 1.0).min() < 1e-6


@pytest.mark.parametrize("ratio", [1.0, 0.37, 3.1])
def test_energies_are_symmetric_and_equal_brute_force_sums(ratio):
    basis = make_basis(np.array([[0.39, 1.61, 0.7314, 1.2686], [0.5, 1.5, 1.0, 1.0]]), 4)
    here, there = SideEnergies(basis, ratio), SideEnergies(basis, 1.0 / ratio)
    first, second = np.array([0, 0, 1, 2, 3]), np.array([1, 0, 3, 0, 2])
    # Reciprocity: the same energy as a sum over the modes of one side or of the other.
    assert np.allclose(here.adjacent(first, second), np.swapaxes(there.adjacent(second, first), 1, 2), atol=1e-13)
    # Against plain summation of the moments (the smooth functions, whose sums converge fast).
    modes = 1000
    omega = np.pi * np.arange(1, modes + 1)
    points, weights = np.polynomial.legendre.leggauss(1200)
    s = 0.5 * (points + 1.0)
    functions = np.stack([np.polynomial.legendre.Legendre.basis(j)(points) for j in range(5)])
    moments = (functions * weights / 2) @ np.cos(np.outer(s, omega))
    brute = (moments * 2 / omega / np.tanh(omega * ratio)) @ moments.T
    brute[0, 0] += ratio / 3.0
    assert np.allclose(here.same(np.array([0]))[0, :5, :5], brute, atol=1e-11)


def test_tails_are_hurwitz_zeta_functions():
    from scipy.special import zeta

    power = np.array([1.02, 1.78, 3.0, 8.5, 20.0, 37.0])
    for start in (17.0, 33.0, 200.0):
        assert np.allclose(hurwitz(power, start), zeta(power, start), rtol=1e-13, atol=1e-17)


def test_moments_of_singular_functions():
    from scipy.integrate import quad

    exponent = 0.3
    basis = make_basis(np.array([[exponent, 1.7, 1.0, 1.0]]), 0)
    computed = basis.moments(60)[0, 1]
    for k in (1, 5, 31, 33, 60):
        # s = t^(1/exponent) removes the singularity: ds s^(exponent-1) = dt / exponent.
        value, _ = quad(
            lambda t, k=k: np.cos(np.pi * k * t ** (1 / exponent)) / exponent, 0, 1, limit=400, epsabs=1e-12
        )
        assert computed[k] == pytest.approx(value, abs=1e-9)
    assert abs(computed[0]) < 1e-12


def test_dense_and_iterative_solutions_agree():
    medium = checkerboard(4, dark=0.01)
    system = FluxSystem(medium, 3, 2)
    dense, _ = system._solve_dense()
    krylov, _, iterations = system._solve_iteratively(1e-10)
    assert iterations > 0
    assert np.allclose(system.bound(dense), system.bound(krylov), rtol=1e-12)
    # An unfinished iteration stays a lower bound.
    system = FluxSystem(BlockMedium(diffusivity=10.0 ** np.random.default_rng(1).uniform(-1, 1, (4, 4))), 2, 1)
    dense, _ = system._solve_dense()
    rough, _, _ = system._solve_iteratively(0.3)
    assert 0.2 > loewner(system.bound(dense), system.bound(rough)) > 1e-9


def test_iterations_are_bounded_in_size_and_contrast():
    def count(number, contrast):
        return FluxSystem(aggregated(number, seed=1, dark=1.0 / contrast), 2, 1)._solve_iteratively(1e-8)[2] // 2

    assert count(16, 10.0) < 40
    assert count(48, 10.0) < 45
    assert count(32, 1e6) < 1.3 * count(32, 1e4) < 100


def test_fields_are_continuous_and_carry_the_tensor():
    medium = BlockMedium(diffusivity=[[1.0, 0.2], [0.4, 3.0]], widths=[0.4, 0.6])
    solution = solve_galerkin(medium, degree=6)
    fields = solution.fields(modes=3000)
    for x, y in ((0.4, 0.23), (0.4, 0.77), (0.0, 0.31)):
        sides = np.array([[x - 1e-9, y], [x + 1e-9, y]])
        potential, flux = fields.potential(sides), fields.flux(sides)
        assert np.allclose(potential[0], potential[1], atol=2e-6)
        assert np.allclose(flux[0, 0], flux[1, 0], atol=1e-4)
    # The flux through a vertical section is the first row of the tensor.
    nodes, weights = np.polynomial.legendre.leggauss(40)
    total = np.zeros(2)
    for low in (0.0, 0.5):
        points = np.stack([np.full(40, 0.2), low + 0.25 * (nodes + 1)], axis=1)
        total += 0.25 * weights @ fields.flux(points)[:, 0]
    assert np.allclose(total, solution.lower[0], atol=1e-9)
