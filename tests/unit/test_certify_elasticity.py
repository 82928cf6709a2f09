"""Effective stiffness between its bounds: exact cases, published numbers, order, voids, refusals, every rank alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homfem import bounds, homogenize_elasticity, solve_elasticity
from homfem.cells import fibre_array
from homfem.certify import elastic_gaps, hill_mandel
from homfem.certify.windows import compare_boundary_conditions
from homfem.parameters import InputError, PercolationError
from homfem.stiffness import isotropic_moduli, project, rotate, voigt_to_mandel
from homfem.tensors import EffectiveTensor
from homfem.validation.published import FIBRES
from made_cells import checkerboard, grid_cell, square

PHASES = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": 0.2}}
FIBRE = {"fibre": {"young": 10.0, "poisson": 0.3}, "matrix": {"young": 1.0, "poisson": 0.3}}
C11, C12, C13, C33, C44, C66 = FIBRES.values()


def prism(s):
    return square(s[:, :2])


@pytest.mark.parametrize("d", [2, 3])
def test_both_bounds_are_exact_on_a_laminate(d):
    cell = grid_cell((4,) * d, lambda s: s[:, d - 1] >= 0.25)
    tensor = homogenize_elasticity(cell, PHASES, rtol=1e-12)
    exact = bounds.laminate_stiffness(PHASES, {"a": 0.25, "b": 0.75}, np.eye(d)[d - 1])
    for side in (tensor.lower, tensor.upper, tensor.value):
        assert np.abs(side - exact).max() < 1e-6
    assert tensor.relative_gap < 1e-6
    assert tensor.anisotropy == ("orthotropic" if d == 2 else "transversely isotropic about z")


def test_a_square_array_of_fibres_in_plane_strain():
    cell = fibre_array(fraction=0.3, resolution=0.04, dimension=2)
    solution = solve_elasticity(cell, FIBRE)
    tensor = solution.tensor
    exact = np.array([[C11, C12, 0.0], [C12, C11, 0.0], [0.0, 0.0, C66]])
    # Straight facets with the true areas: their error is of the size of the bracket here.
    assert tensor.contains(exact, slack=3e-4)
    assert tensor.relative_gap < 2e-3
    assert np.abs(tensor.value - exact).max() < 5e-4
    assert np.linalg.eigvalsh(tensor.upper - tensor.lower)[0] > 0.0
    assert tensor.anisotropy == "square"
    assert "E_x" in str(tensor)
    indicators = elastic_gaps(solution.cell, solution.correctors, solution.dual)
    width = np.trace(solution.correctors.average - solution.dual.average)
    assert indicators.sum() == pytest.approx(width, rel=1e-6)
    assert indicators.min() > -1e-12


def test_a_square_array_of_fibres_in_space():
    cell = fibre_array(fraction=0.3, resolution=0.2, refinement=0, dimension=3)
    tensor = homogenize_elasticity(cell, FIBRE)
    exact = np.zeros((6, 6))
    exact[:3, :3] = [[C11, C12, C13], [C12, C11, C13], [C13, C13, C33]]
    exact[3:, 3:] = np.diag([C44, C44, C66])
    assert tensor.contains(exact, slack=2e-3)
    assert tensor.relative_gap < 5e-3
    assert np.abs(tensor.value - exact).max() < 3e-3
    assert tensor.anisotropy == "tetragonal about z"


def test_hills_equal_shear_moduli_give_the_exact_bulk_modulus():
    """In plane strain 1/(k + mu) averages, k = K + mu/3, whatever the shape of the phases."""
    mu, bulk = 1.0, (0.5, 20.0)
    cell = grid_cell((12, 12), square)
    tensor = homogenize_elasticity(cell, {n: {"bulk": k, "shear": mu} for n, k in zip("ab", bulk, strict=True)})
    areal = np.array(bulk) + mu / 3.0
    k = 1.0 / (0.75 / (areal[0] + mu) + 0.25 / (areal[1] + mu)) - mu
    below, above = (0.25 * m[:2, :2].sum() for m in (tensor.lower, tensor.upper))
    assert below <= k <= above
    assert above - below < 0.05 * k
    # And the shear modulus of all phases is that of the mixture.
    assert tensor.contains(np.array([[k + mu, k - mu, 0], [k - mu, k + mu, 0], [0, 0, mu]]), slack=1e-7)


@settings(max_examples=6, deadline=None)
@given(
    pattern=st.lists(st.integers(0, 1), min_size=16, max_size=16).filter(lambda p: 0 < sum(p) < 16),
    contrast=st.floats(0.02, 50.0),
    poisson=st.floats(-0.3, 0.45),
)
def test_random_checkerboards_keep_the_order(pattern, contrast, poisson):
    grid = np.array(pattern).reshape(4, 4)

    def phase(s):
        return grid[tuple((4 * s).astype(int).clip(0, 3).T)]

    phases = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": contrast, "poisson": poisson}}
    coarse, fine = (homogenize_elasticity(grid_cell((n, n), phase), phases) for n in (4, 8))
    scale = np.linalg.norm(fine.value, 2)
    for tensor in (coarse, fine):
        assert np.linalg.eigvalsh(tensor.upper - tensor.lower)[0] > -1e-9 * scale
        voigt = bounds.voigt_reuss_stiffness(phases, {n: tensor.volume_fractions[n] for n in phases}, dimension=2)
        assert np.linalg.eigvalsh(voigt.upper - tensor.upper)[0] > -1e-9 * scale
        assert np.linalg.eigvalsh(tensor.lower - voigt.lower)[0] > -1e-5 * scale
    # Nested meshes: each bound tightens.
    assert np.linalg.eigvalsh(coarse.upper - fine.upper)[0] > -1e-9 * scale
    assert np.linalg.eigvalsh(fine.lower - coarse.lower)[0] > -1e-5 * scale


def test_the_bracket_turns_with_the_lattice():
    """A lattice turned by 30 degrees: the turned tensor, and the same relative gap."""
    turn = np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]])
    straight = homogenize_elasticity(grid_cell((8, 8), square), PHASES, rtol=1e-11)
    turned = homogenize_elasticity(grid_cell((8, 8), square, vectors=turn), PHASES, rtol=1e-11)
    assert np.abs(rotate(straight.value, turn.T) - turned.value).max() < 1e-6
    assert turned.relative_gap == pytest.approx(straight.relative_gap, rel=1e-4)
    assert turned.half_gap == pytest.approx(straight.half_gap, rel=1e-4)


def test_a_nearly_incompressible_phase_keeps_the_lower_bound_sharp():
    phases = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": 0.4999}}
    cell = grid_cell((12, 12), square)
    tensor = homogenize_elasticity(cell, phases, degree=3)
    assert tensor.relative_gap < 0.03
    assert tensor.upper[2, 2] - tensor.lower[2, 2] < 0.02 * tensor.lower[2, 2]


@pytest.mark.parametrize("d", [2, 3])
def test_voids(d):
    """A perforated cell: inside its bracket lies the tensor of very soft inclusions, from above."""
    cell = grid_cell((8, 8) if d == 2 else (4, 4, 4), prism)
    hollow = homogenize_elasticity(cell, {"a": PHASES["a"]})
    soft = homogenize_elasticity(cell, {"a": PHASES["a"], "b": {"young": 1e-6, "poisson": 0.3}})
    assert hollow.relative_gap < 0.2
    assert np.abs(hollow.lower - soft.lower).max() < 1e-4
    assert np.abs(hollow.upper - soft.upper).max() < 1e-4
    assert hollow.active_phases == ("a",)


def test_plates_transmit_only_in_their_plane():
    """A solid layer between voids: plane stress in the layer, nothing across; both bounds exact."""
    cell = grid_cell((4, 4, 4), lambda s: (s[:, 2] >= 0.5).astype(int))
    tensor = homogenize_elasticity(cell, {"a": PHASES["a"]}, rtol=1e-12)
    exact = np.zeros((6, 6))
    exact[:2, :2] = 0.5 / (1 - 0.09) * np.array([[1.0, 0.3], [0.3, 1.0]])
    exact[5, 5] = 0.5 / 2.6
    for side in (tensor.lower, tensor.upper):
        assert np.abs(side - exact).max() < 1e-6
    assert "no stress" in str(tensor)


def test_refinement_reaches_a_tolerance():
    tensor = homogenize_elasticity(grid_cell((6, 6), square), PHASES, tolerance=5e-3)
    assert tensor.reached
    assert tensor.relative_gap <= 5e-3
    short = homogenize_elasticity(grid_cell((6, 6), square), PHASES, tolerance=1e-4, max_dofs=3000)
    assert not short.reached
    assert short.dofs <= 3000
    assert np.linalg.eigvalsh(short.upper - tensor.lower)[0] > 0.0
    assert np.linalg.eigvalsh(tensor.upper - short.lower)[0] > 0.0


def test_hills_condition_holds():
    solution = solve_elasticity(grid_cell((6, 6), checkerboard), PHASES, rtol=1e-13, bounds=False)
    work, asymmetry = hill_mandel(solution.cell, solution.correctors)
    assert work < 1e-10
    assert asymmetry < 1e-10
    loose = solve_elasticity(grid_cell((6, 6), checkerboard), PHASES, rtol=1e-4, bounds=False)
    assert hill_mandel(loose.cell, loose.correctors)[0] > 1e-10


def test_other_boundary_conditions_have_no_bounds_and_are_ordered():
    cell = grid_cell((6, 6), square)
    found = compare_boundary_conditions(cell, PHASES, physics="elasticity", windows=(1,), degree=2)
    assert found.violation < 1e-8
    for name in ("affine", "flux"):
        tensor = found.tensors[name][0]
        assert tensor.lower is None
        assert tensor.upper is None
        assert tensor.boundary == name
    with pytest.raises(InputError, match="tolerance"):
        homogenize_elasticity(cell, PHASES, boundary="affine", tolerance=0.01)


def test_a_sampled_stiffness_has_no_bounds():
    one = isotropic_moduli(np.array([[2.0, 1.0, 0], [1.0, 2.0, 0], [0, 0, 0.5]]))
    assert one[1] == pytest.approx(0.5)
    constant = np.array([[2.0, 1.0, 0], [1.0, 2.0, 0], [0, 0, 0.5]])
    tensor = homogenize_elasticity(grid_cell((4, 4)), {"a": lambda x: np.tile(constant, (x.shape[1], 1, 1))})
    assert tensor.lower is None
    assert np.abs(tensor.value - constant).max() < 1e-6


def test_a_stiffness_goes_to_json_and_back():
    tensor = homogenize_elasticity(grid_cell((4, 4), square), PHASES, unit="GPa")
    again = EffectiveTensor.from_json(tensor.to_json())
    assert again.physics == "elasticity"
    assert np.array_equal(again.lower, tensor.lower)
    assert again.relative_gap == tensor.relative_gap
    values = np.linalg.eigvalsh(voigt_to_mandel(tensor.value))
    assert tensor.principal_values == pytest.approx(values[::-1])
    assert np.abs(project(tensor.value, "square") - tensor.value).max() < 0.1 * tensor.half_gap


@pytest.mark.parametrize(
    ("stiffnesses", "complaint"),
    [
        ({"a": {"young": -1.0, "poisson": 0.3}}, "young"),
        ({"a": {"young": 1.0, "poisson": 0.5}}, "0.499"),
        ({"a": [[1.0, 2.0, 0], [2.0, 1.0, 0], [0, 0, 1.0]]}, "positive"),
        ({"a": [[1.0, 0.5, 0], [0.2, 1.0, 0], [0, 0, 1.0]]}, "symmetric"),
        ({"matrix": PHASES["a"]}, "phase"),
        ({}, "stiffnesses"),
    ],
)
def test_bad_stiffnesses_are_refused(stiffnesses, complaint):
    with pytest.raises(InputError, match=complaint):
        homogenize_elasticity(grid_cell((4, 4), square), stiffnesses)


@pytest.mark.parametrize(
    "options", [{"degree": 0}, {"degree": 5}, {"rtol": 0.1}, {"boundary": "free"}, {"backend": "x"},
                {"tolerance": -1.0}, {"max_dofs": 0}, {"bounds": False, "tolerance": 0.1}]
)  # fmt: skip
def test_bad_options_are_refused(options):
    with pytest.raises(InputError):
        homogenize_elasticity(grid_cell((4, 4), square), PHASES, **options)


def test_what_is_not_connected_is_refused():
    with pytest.raises(PercolationError, match="connected"):
        homogenize_elasticity(grid_cell((8, 8), square), {"b": PHASES["b"]})
    with pytest.raises(PercolationError, match="turn"):
        homogenize_elasticity(grid_cell((4, 4, 4), prism), {"b": PHASES["b"]})


def case_bracket(comm):
    cell = grid_cell((3, 3, 3), prism, comm=comm)
    tensor = homogenize_elasticity(cell, PHASES, rtol=1e-11)
    adapted = homogenize_elasticity(grid_cell((6, 6), square, comm=comm), PHASES, tolerance=2e-2)
    return {"lower": tensor.lower.tolist(), "upper": tensor.upper.tolist(), "reached": adapted.reached,
            "gap": adapted.relative_gap}  # fmt: skip


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    answers = on_ranks(case_bracket)
    for answer in answers:
        assert answer["reached"]
        assert answer["gap"] <= 2e-2
        for side in ("lower", "upper"):
            assert np.abs(np.array(answer[side]) - answers[0][side]).max() < 1e-6
