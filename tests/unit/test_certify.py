"""The bounds as bounds, the indicators, the adaptive loop, the budget, the refusals; the same on every rank."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from homfem import certify, homogenize_diffusion, solve_diffusion, three_pipe
from homfem.cells.unitcell import UnitCell
from homfem.local.diffusion import diffusion_coefficient, diffusion_problem
from homfem.local.engine import averages, solve_correctors
from homfem.local.flux import solve_fluxes
from homfem.parameters import ConvergenceError, HomfemError, InputError, PercolationError
from made_cells import grid_cell, grid_raw, square

CONTRAST = {"a": 1.0, "b": 10.0}


def exact_square():
    """Obnosov's square of fraction 1/4, 10 in 1."""
    return np.sqrt((1.0 + 30.0) / (10.0 + 3.0))


def test_any_conforming_corrector_gives_an_upper_bound():
    """Far from converged, and even with the corrector of another medium."""
    cell = grid_cell((8, 8), square)
    problem = diffusion_problem(cell, diffusion_coefficient(cell, CONTRAST))
    good = solve_correctors(cell, problem, rtol=1e-12)
    other = solve_correctors(cell, diffusion_problem(cell, diffusion_coefficient(cell, {"a": 3.0, "b": 1.0})))
    for functions in (good.functions, other.functions):
        bound = averages(cell, problem, list(functions))
        assert np.linalg.eigvalsh(bound - exact_square() * np.eye(2))[0] > 0.0
        assert np.linalg.eigvalsh(bound - good.average)[0] > -1e-12


@pytest.mark.parametrize("rtol", [1e-2, 1e-3, 1e-4])
def test_the_allowance_keeps_an_unconverged_lower_bound_a_bound(rtol):
    """The energy of unconverged Crouzeix-Raviart correctors lies above the converged one; the allowance covers it."""
    cell = grid_cell((12, 12), square)
    coefficient = diffusion_coefficient(cell, CONTRAST)
    problem = diffusion_problem(cell, coefficient, element="CR")
    sharp = solve_correctors(cell, problem, rtol=1e-13)
    loose = solve_correctors(cell, problem, rtol=rtol)
    excess = np.linalg.eigvalsh(loose.average - sharp.average)[-1]
    allowance = certify.residual_allowance(cell, coefficient, loose)
    assert excess > 1e-12
    assert allowance > excess
    assert certify.residual_allowance(cell, coefficient, sharp) < 1e-12


def test_the_allowance_is_small_at_the_default_tolerance():
    solution = solve_diffusion(grid_cell((16, 16), square), CONTRAST, lower_degree=0)
    coefficient = diffusion_coefficient(solution.cell, CONTRAST)
    assert certify.residual_allowance(solution.cell, coefficient, solution.dual) < 1e-3 * solution.tensor.half_gap
    sharper = solve_diffusion(grid_cell((16, 16), square), CONTRAST)
    assert sharper.dual.allowance < 1e-3 * sharper.tensor.half_gap


@pytest.mark.parametrize("rtol", [1e-2, 1e-3, 1e-4])
def test_the_allowance_of_unconverged_fluxes(rtol):
    cell = grid_cell((12, 12), square)
    coefficient = diffusion_coefficient(cell, CONTRAST)
    sharp, loose = (
        solve_fluxes(cell, coefficient, rtol=1e-13),
        solve_fluxes(cell, coefficient, rtol=rtol, allowance=np.inf),
    )
    excess = np.linalg.eigvalsh(loose.average - sharp.average)[-1]
    assert excess > 1e-12
    assert loose.allowance > excess
    assert sharp.allowance < 1e-12


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_crouzeix_raviart_flux_is_admissible(degree):
    """Its normal component is continuous on the torus, it has no flux through the wall, and its mean is L e_j."""
    import ufl

    from homfem import solve

    cell = grid_cell((8, 8), square)
    part = cell.restrict(["a"])
    solution = solve_diffusion(cell, {"a": 2.0}, degree=degree, lower_degree=0, rtol=1e-13)
    n = ufl.FacetNormal(part.mesh)
    chi = solution.dual.functions[0]
    flux = 2.0 * (ufl.grad(chi) + ufl.as_vector([1.0, 0.0]))
    n = ufl.FacetNormal(solution.cell.mesh)
    assert solve.integrate(ufl.jump(flux, n) ** 2 * ufl.dS) < 1e-18
    assert solve.integrate(ufl.inner(flux, n) ** 2 * ufl.ds) < 1e-18
    assert solve.integrate(flux[0] * ufl.dx) == pytest.approx(solution.tensor.lower[0, 0], abs=1e-10)
    assert solve.integrate(flux[1] * ufl.dx) == pytest.approx(solution.tensor.lower[1, 0], abs=1e-10)


@pytest.mark.parametrize("divisions", [(8, 8), (6, 6, 4)])
@pytest.mark.parametrize("perforated", [True, False])
def test_the_linear_flux_is_admissible(divisions, perforated):
    """No divergence, no jump of the normal component, nothing through the wall; its mean and energy are L."""
    import ufl

    from homfem import solve

    d = len(divisions)
    phases = {"a": np.eye(d) + 0.3 * np.ones((d, d))} | ({} if perforated else {"b": 10.0 * np.eye(d)})
    solution = solve_diffusion(grid_cell(divisions, square if d == 2 else square_3d), phases, rtol=1e-13)
    n = ufl.FacetNormal(solution.cell.mesh)
    inverse = solution.dual.inverse
    for j, sigma in enumerate(solution.dual.functions):
        assert solve.integrate(ufl.div(sigma) ** 2 * ufl.dx) < 1e-16
        assert solve.integrate(ufl.jump(sigma, n) ** 2 * ufl.dS) < 1e-18
        assert solve.integrate(ufl.inner(sigma, n) ** 2 * ufl.ds) < 1e-18
        energy = solve.integrate(ufl.inner(sigma, ufl.dot(inverse, sigma)) * ufl.dx)
        assert energy == pytest.approx(solution.tensor.lower[j, j], abs=1e-9)
        for i in range(d):
            assert solve.integrate(sigma[i] * ufl.dx) == pytest.approx(solution.tensor.lower[i, j], abs=1e-9)


def test_linear_fluxes_converge_faster_and_never_pass_the_limit():
    """Square inclusion, singular corners: at every mesh a several times smaller error, from the same side."""
    errors = []
    for n in (8, 16, 32):
        cell = grid_cell((n, n), square)
        bounds = [homogenize_diffusion(cell, CONTRAST, lower_degree=k).lower[0, 0] for k in (0, 1)]
        errors.append([exact_square() - bound for bound in bounds])
    assert all(0 < sharp < 0.25 * plain for plain, sharp in errors)
    assert errors[2][1] < 8e-4


def test_the_midpoint_of_two_second_order_sides_is_close():
    """The error of the midpoint is far smaller than the guaranteed half-gap."""
    tensor = homogenize_diffusion(grid_cell((16, 16), square), CONTRAST)
    assert tensor.contains(exact_square())
    assert abs(tensor.value[0, 0] - exact_square()) < 0.1 * tensor.half_gap


@pytest.mark.parametrize("contrast", [1e8, 1e-8])
@pytest.mark.parametrize("lower_degree", [0, 1])
def test_the_value_of_a_square_of_any_contrast_does_not_carry_the_solver(contrast, lower_degree):
    """Obnosov's square: the value is as close as at a contrast of 10, and the bounds hold it in a small gap."""
    tensor = homogenize_diffusion(grid_cell((16, 16), square), {"a": 1.0, "b": contrast}, lower_degree=lower_degree)
    exact = np.sqrt((1.0 + 3.0 * contrast) / (contrast + 3.0))
    assert tensor.reached
    assert tensor.contains(exact)
    assert tensor.relative_gap < 1e-2
    assert abs(tensor.value[0, 0] - exact) < (1e-5 if lower_degree else 1.1e-2)


@pytest.mark.parametrize("contrast", [1e-8, 1e8, 1e12])
@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_fluxes_of_layers_lose_no_digits_by_cancellation(contrast, unit):
    """Layers of 1e-8 to 1: the energy was 1.8e-7 above the exact value."""
    cell = grid_cell((8, 4), lambda s: s[:, 0] > 0.5)
    solution = solve_diffusion(cell, {"a": unit, "b": contrast * unit})
    exact = unit * np.array([2.0 / (1.0 + 1.0 / contrast), 0.5 * (1.0 + contrast)])
    assert np.diag(solution.dual.average) == pytest.approx(exact, rel=1e-12)
    assert solution.tensor.contains(np.diag(exact), slack=1e-15 * exact[0])
    assert solution.tensor.reached


def test_the_lower_bound_by_the_dual_problem():
    """In 2D the complementary problem is the primal one of the inverse medium: det-like duality of the P1 bound."""
    cell = grid_cell((12, 12), square)
    lower = homogenize_diffusion(cell, CONTRAST, degree=1).lower
    dual = homogenize_diffusion(cell, {"a": 1.0, "b": 0.1}, degree=1).upper
    # The conforming stream function gives the sharper lower bound 1 / dual; both lie below the truth.
    assert lower[0, 0] < exact_square()
    assert 1.0 / dual[1, 1] < exact_square()


def test_higher_degree_tightens_the_upper_bound_only():
    cell = grid_cell((8, 8), square)
    one, two, three = (homogenize_diffusion(cell, CONTRAST, degree=k, lower_degree=0) for k in (1, 2, 3))
    assert one.upper[0, 0] > two.upper[0, 0] > three.upper[0, 0] > exact_square()
    assert np.abs(one.lower - three.lower).max() < 1e-9
    value = homogenize_diffusion(cell, CONTRAST, degree=3, bounds=False)
    assert value.lower is None
    assert value.relative_gap is None
    assert np.abs(value.value - three.upper).max() < 1e-9


def case_brackets(comm, backend, lower_degree):
    cell = three_pipe(0.4, resolution=0.3, comm=comm)
    phases = {"er": 250.0, "cytosol": 25.0}
    solution = solve_diffusion(cell, phases, backend=backend, lower_degree=lower_degree, rtol=1e-12)
    indicators = certify.diffusion_gaps(solution.cell, solution.correctors, solution.dual)
    total = comm.allreduce(float(indicators.sum()))
    means = [abs(float(np.sum(f.x.array))) for f in solution.correctors.functions]
    t = solution.tensor
    return {"lower": t.lower.tolist(), "upper": t.upper.tolist(), "trace": total, "dofs": t.dofs, "means": means,
            "iterations": t.iterations}  # fmt: skip


@pytest.mark.mpi
def test_ranks_and_backends_agree(on_ranks):
    answers = on_ranks(case_brackets, backend="identified", lower_degree=0)
    answers += on_ranks(case_brackets, ranks=(1, 2), backend="multipoint", lower_degree=0)
    check_agreement(answers)


@pytest.mark.mpi
def test_ranks_agree_on_the_linear_fluxes(on_ranks):
    check_agreement(on_ranks(case_brackets, backend="identified", lower_degree=1))


def check_agreement(answers):
    for answer in answers:
        assert answer["dofs"] == answers[0]["dofs"]
        for side in ("lower", "upper"):
            assert np.abs(np.array(answer[side]) - answers[0][side]).max() < 1e-8
        trace = np.trace(np.array(answer["upper"]) - answer["lower"])
        assert answer["trace"] == pytest.approx(trace, rel=1e-6)


def case_adaptive(comm):
    cell = three_pipe(0.4, resolution=0.3, comm=comm)
    solution = solve_diffusion(cell, {"er": 1.0}, tolerance=4e-3)
    return {
        "gaps": [step["relative_gap"] for step in solution.history],
        "cells": [step["cells"] for step in solution.history],
        "reached": solution.tensor.reached,
        "value": solution.tensor.value.tolist(),
        "fractions": dict(solution.tensor.volume_fractions),
    }


@pytest.mark.mpi
def test_the_adaptive_loop_reaches_its_tolerance_on_any_number_of_ranks(on_ranks):
    answers = on_ranks(case_adaptive)
    for answer in answers:
        assert answer["reached"]
        assert len(answer["gaps"]) > 1
        assert all(b < a for a, b in zip(answer["gaps"][:-1], answer["gaps"][1:], strict=True))
        assert answer["gaps"][-1] <= 4e-3 < answer["gaps"][-2]
        assert answer["fractions"] == pytest.approx({"er": 0.352, "cytosol": 0.648}, abs=1e-13)
    assert np.abs(np.array(answers[1]["value"]) - answers[0]["value"]).max() < 2e-3 * answers[0]["value"][0][0]


def test_adaptive_refinement_beats_uniform():
    """With fewer unknowns than the uniform mesh, a gap 0.6 times as wide."""
    uniform = solve_diffusion(grid_cell((32, 32), square), CONTRAST).tensor
    adapted = solve_diffusion(grid_cell((8, 8), square), CONTRAST, tolerance=0.6 * uniform.relative_gap).tensor
    assert adapted.contains(exact_square())
    assert adapted.dofs < uniform.dofs


def test_the_budget_ends_it_and_is_said(caplog):
    cell = grid_cell((8, 8), square)
    with caplog.at_level(logging.WARNING, logger="homfem"):
        tensor = homogenize_diffusion(cell, CONTRAST, tolerance=1e-5, max_dofs=3000)
    assert not tensor.reached
    assert tensor.dofs <= 3000
    assert tensor.dofs > 1000
    assert "max_dofs" in caplog.text
    assert "short of the tolerance" in str(tensor)


@pytest.mark.parametrize("lower_degree", [0, 1])
def test_a_mesh_far_from_the_origin_has_the_same_bounds(lower_degree):
    """The load's trace x is large there, and the energy a small difference of its squares."""
    raw = grid_raw((8, 8), square)
    near, far = (
        homogenize_diffusion(UnitCell.from_raw(one, comm=MPI.COMM_SELF), CONTRAST, lower_degree=lower_degree)
        for one in (raw, replace(raw, points=raw.points + np.array([1e4, -3e4])))
    )
    for side in ("lower", "upper"):
        assert np.abs(getattr(near, side) - getattr(far, side)).max() < 1e-10


@pytest.mark.parametrize("lower_degree", [0, 1])
def test_a_gap_that_the_residual_makes_is_not_refined(lower_degree):
    """Turned anisotropic layers, exact on any mesh but for the solver: a finer mesh would only widen the gap."""
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    layers = {"a": turn @ np.diag([1e4, 1.0]) @ turn.T, "b": turn.T @ np.diag([1.0, 1e-4]) @ turn}
    cell = grid_cell((8, 6), lambda s: s[:, 0] >= 0.25)
    assert homogenize_diffusion(cell, layers, lower_degree=lower_degree, rtol=1e-8).relative_gap < 1e-5
    solution = solve_diffusion(cell, layers, lower_degree=lower_degree, rtol=1e-8, tolerance=1e-4)
    assert solution.tensor.relative_gap < 1e-4
    assert len(solution.history) == 1
    assert solution.cell.number_of_cells == cell.number_of_cells


def test_a_field_gives_what_the_phases_give():
    cell = grid_cell((8, 8), square)
    by_phase = homogenize_diffusion(cell, {"a": 1.0, "b": np.diag([10.0, 5.0])})

    def field(x):
        inside = (np.abs(x - 0.5) < 0.25).all(axis=0)
        return np.eye(2) + inside[:, None, None] * np.diag([9.0, 4.0])

    by_field = homogenize_diffusion(cell, {"a": field, "b": field})
    assert np.abs(by_phase.value - by_field.value).max() < 1e-9


def test_a_field_has_no_guaranteed_bounds_since_it_is_sampled():
    # 1 + .9 cos 2 pi x: the laminate's harmonic mean is sqrt(1 - .81); on few mesh cells the sampled medium is another.
    cell = grid_cell((4, 4), lambda s: np.zeros(len(s), dtype=int), names=("a",))
    found = homogenize_diffusion(cell, {"a": lambda x: 1.0 + 0.9 * np.cos(2.0 * np.pi * x[0])})
    exact = np.sqrt(1.0 - 0.81)
    assert abs(found.value[0, 0] - exact) > 0.05
    assert found.lower is None
    assert found.upper is None
    assert found.reached
    fine = grid_cell((48, 4), lambda s: np.zeros(len(s), dtype=int), names=("a",))
    close = homogenize_diffusion(fine, {"a": lambda x: 1.0 + 0.9 * np.cos(2.0 * np.pi * x[0])})
    assert close.value[0, 0] == pytest.approx(exact, rel=2e-2)


def test_correctors_have_mean_zero():
    import ufl

    from homfem import solve

    solution = solve_diffusion(grid_cell((6, 6, 4), square_3d), CONTRAST, lower_degree=0)
    for correctors in (solution.correctors, solution.dual):
        for function in correctors.functions:
            assert abs(solve.integrate(function * ufl.dx)) < 1e-13


def square_3d(s):
    return (np.abs(s - 0.5) < 0.3).all(axis=1).astype(int)


def test_scaling_and_rotation_of_the_coefficient():
    """D -> 7 D scales everything; the tensor does not depend on the size of the cell."""
    one = homogenize_diffusion(grid_cell((6, 8), square), CONTRAST)
    other = homogenize_diffusion(grid_cell((6, 8), square, length=1e-6), {k: 7 * v for k, v in CONTRAST.items()})
    for side in ("lower", "value", "upper"):
        assert np.abs(getattr(other, side) - 7 * getattr(one, side)).max() < 1e-9
    assert other.interface_area == pytest.approx(1e6 * one.interface_area)


@pytest.mark.parametrize(
    ("coefficients", "options", "text"),
    [
        ({"a": 0.0}, {}, "coefficients['a']"),
        ({"a": -1.0}, {}, "smallest eigenvalue"),
        ({"a": np.nan}, {}, "coefficients['a']"),
        ({"a": [[1.0, 2.0], [2.0, 1.0]]}, {}, "smallest eigenvalue is -1"),
        ({"a": [[1.0, 0.5], [0.0, 1.0]]}, {}, "not symmetric"),
        ({"a": np.eye(3)}, {}, "2x2"),
        ({"a": lambda x: np.full(x.shape[1], -1.0)}, {}, "positive definite everywhere"),
        ({"a": lambda x: np.ones((3, 3))}, {}, "returns shape"),
        ({"a": lambda x: 1e-9 * np.full((x.shape[1], 2, 2), [[1.0, 0.8], [0.0, 1.0]])}, {}, "symmetric"),
        ({"a": lambda x: np.full((x.shape[1], 2, 2), [[1.0, 0.5 + 1e-6], [0.5, 1.0]])}, {}, "symmetric"),
        ({}, {}, "at least one of"),
        ({"aa": 1.0}, {}, "Did you mean 'a'"),
        ({"a": 1.0}, {"tolerance": 0.0}, "tolerance"),
        ({"a": 1.0}, {"tolerance": 0.1, "bounds": False}, "two-sided"),
        ({"a": 1.0}, {"degree": 0}, "degree"),
        ({"a": 1.0}, {"max_dofs": 0}, "max_dofs"),
        ({"a": 1.0}, {"lower_degree": 2}, "lower_degree"),
        ({"a": 1.0}, {"lower_degree": 1, "backend": "multipoint"}, "lower_degree"),
        ({"a": 1.0}, {"boundary": "fluxx"}, "boundary"),
        ({"a": 1.0}, {"backend": "topology"}, "backend"),
    ],
)
def test_refusals(coefficients, options, text):
    cell = grid_cell((4, 4), square)
    with pytest.raises(InputError) as error:
        homogenize_diffusion(cell, coefficients, **options)
    assert text in str(error.value)


def test_a_curved_mesh_gives_a_value_without_bounds():
    """Round pipes of second order: between the square pipes inside and around them."""
    cell = three_pipe(0.4, section="round", order=2, resolution=0.3, phases=("er",))
    tensor = homogenize_diffusion(cell, {"er": 1.0})
    assert tensor.lower is None
    assert tensor.upper is None
    inside = homogenize_diffusion(three_pipe(0.4 / np.sqrt(2), resolution=0.3, phases=("er",)), {"er": 1.0})
    around = homogenize_diffusion(three_pipe(0.4, resolution=0.3, phases=("er",)), {"er": 1.0})
    assert inside.lower[0, 0] < tensor.value[0, 0] < around.upper[0, 0]
    with pytest.raises(InputError, match="two-sided"):
        homogenize_diffusion(cell, {"er": 1.0}, tolerance=0.1)


@pytest.mark.parametrize("lower_degree", [0, 1])
def test_a_direction_without_flux_has_no_gap(lower_degree):
    """Whatever the solver leaves: the bounds say zero there, so that the gap is that of the other directions."""

    def channel(s):
        return (s[:, 1] < 0.5) | ((s[:, 1] < 0.75) & (np.abs(s[:, 0] - 0.5) < 0.25))

    vectors = [[1.0, 0.5], [0.2, 1.0]]
    cell = grid_cell((8, 8), channel, vectors=vectors, names=("wall", "pore"))
    loose = homogenize_diffusion(cell, {"pore": 1.0}, lower_degree=lower_degree, rtol=1e-4)
    sharp = homogenize_diffusion(cell, {"pore": 1.0}, lower_degree=lower_degree, rtol=1e-12)
    across = np.array([-0.5, 1.0]) / np.hypot(0.5, 1.0)
    for bound in (loose.lower, loose.upper, loose.value):
        assert np.abs(bound @ across).max() < 1e-15
    assert sharp.relative_gap < loose.relative_gap < 0.1
    assert np.trace(loose.lower) < np.trace(sharp.lower) + loose.roundoff < np.trace(sharp.upper)


def test_islands_beside_a_percolating_part_cost_nothing():
    """A strip and 64 squares beside it: the strip alone, without an unknown or a constant more."""

    def pattern(s):
        return (s[:, 1] < 1 / 8) | (np.abs((8 * s) % 1 - 0.5) < 0.25).all(axis=1)

    cell = grid_cell((32, 32), pattern, names=("wall", "pore"))
    assert len(cell.connectivity["pore"].islands) == 56
    solution = solve_diffusion(cell, {"pore": 1.0})
    assert len(solution.cell.whole.parts) == 1
    assert np.abs(solution.tensor.upper - np.diag([1 / 8, 0.0])).max() < 1e-12
    assert np.abs(solution.tensor.lower - np.diag([1 / 8, 0.0])).max() < 1e-9
    assert solution.tensor.volume_fractions["pore"] == pytest.approx(1 / 8 + 56 / 64 / 4)


def corner(s):
    """A strip and a block on it that meets the low face of period 1, where the high face has the other phase."""
    return (s[:, 1] < 0.25) | ((s[:, 0] < 0.5) & (s[:, 1] < 0.5))


def test_a_phase_boundary_on_a_period_face():
    """The origin of the period is arbitrary: the shifted medium on the same grid has the same bounds."""
    tensors = []
    for shift in (0.0, 0.125):
        cell = grid_cell((8, 8), lambda s, shift=shift: corner((s + shift) % 1.0), names=("wall", "pore"))
        tensors.append(homogenize_diffusion(cell, {"pore": 1.0}, tolerance=3e-3))
    assert tensors[0].value[0, 0] > 0.26
    for side in ("lower", "upper"):
        assert np.abs(getattr(tensors[0], side) - getattr(tensors[1], side)).max() < 3e-3


def case_field_that_fails_on_one_rank(comm):
    def field(x):
        if comm.rank == comm.size - 1:
            raise ValueError("outside of the table")
        return np.ones(x.shape[1])

    cell = grid_cell((6, 6), square, comm=comm)
    with pytest.raises((HomfemError, ValueError), match="outside of the table"):
        homogenize_diffusion(cell, {"a": field})
    # The error holds the function, which cannot be sent.
    with pytest.raises(HomfemError, match="positive definite everywhere"):
        homogenize_diffusion(cell, {"a": lambda x: np.full(x.shape[1], float(comm.rank))})
    return {}


@pytest.mark.mpi
def test_a_field_that_fails_on_one_rank_raises_on_all(on_ranks):
    on_ranks(case_field_that_fails_on_one_rank, ranks=(2,))


def test_an_island_is_refused():
    with pytest.raises(PercolationError, match="'b'"):
        homogenize_diffusion(grid_cell((8, 8), square), {"b": 1.0})


def test_a_solver_that_does_not_converge_raises(monkeypatch):
    """Beyond the size that a direct solver takes over."""
    monkeypatch.setattr("homfem.solve.options.DIRECT", 0)
    monkeypatch.setattr("homfem.solve.DIRECT_CORRECTORS", {2: 0})
    cell = grid_cell((16, 16), square)
    problem = diffusion_problem(cell, diffusion_coefficient(cell, CONTRAST))
    with pytest.raises(ConvergenceError, match="diffusion corrector"):
        solve_correctors(cell, problem, max_iterations=2)


def test_a_tolerance_below_round_off_ends_the_loop(caplog):
    cell = grid_cell((4, 4), lambda s: (s[:, 0] > 0.5).astype(int), names=("a", "b"))
    solution = solve_diffusion(cell, {"a": 1.0, "b": 3.0}, tolerance=1e-13)
    assert not solution.tensor.reached
    assert len(solution.history) < 12
    assert "does not fall any more" in caplog.text
