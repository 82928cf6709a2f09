"""Membranes: names and refusals, groups of phases, islands behind them, the same on every rank."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from dolfinx import mesh as dmesh

from homfem import certify, homogenize_diffusion, solve, solve_diffusion
from homfem.cells import myocyte
from homfem.local.diffusion import diffusion_coefficient
from homfem.local.engine import solve_correctors
from homfem.local.flux import solve_fluxes
from homfem.local.membranes import check_membranes, crossing_weight, find_membranes, membrane_problem
from homfem.local.reduced import Reduced
from homfem.local.system import System
from homfem.parameters import InputError, PercolationError
from homfem.solve import find_kernel
from homfem.tensors import EffectiveTensor
from made_cells import grid_cell, square

BOTH = {"a": 1.0, "b": 5.0}


def layers(s):
    return np.select([s[:, 0] < 0.25, s[:, 0] < 0.5], [0, 1], default=2)


@pytest.mark.parametrize(
    ("membranes", "words"),
    [
        ({"a|d": 1.0}, "'a|b'"),
        ({"a|b": 0.0}, "leave one of them out"),
        ({"a|b": -1.0}, "> 0"),
        ({"a|b": np.inf}, "finite"),
        ({"a|b": "fast"}, "finite number"),
        ({"a|b": 1.0, "b|a": 1.0}, "order"),
        ({"period-1": 1.0}, "'a|b'"),
    ],
)
def test_names_and_permeabilities_are_checked(membranes, words):
    with pytest.raises(InputError, match=r"^membranes") as caught:
        homogenize_diffusion(grid_cell((4, 4), square), BOTH, membranes=membranes)
    assert words in str(caught.value)


def test_a_membrane_towards_a_phase_that_insulates():
    with pytest.raises(InputError, match="'b' has no coefficient"):
        homogenize_diffusion(grid_cell((4, 4), square), {"a": 1.0}, membranes={"a|b": 1.0})


def test_a_membrane_that_ends_inside():
    """a|b is a membrane, but both touch c."""
    with pytest.raises(InputError, match="cannot end inside") as caught:
        homogenize_diffusion(grid_cell((4, 4), layers), {"a": 1.0, "b": 1.0, "c": 1.0}, membranes={"a|b": 1.0})
    assert "a|b|c are in perfect contact" in str(caught.value)


def test_other_backends_are_refused():
    with pytest.raises(InputError, match="identified"):
        homogenize_diffusion(grid_cell((4, 4), square), BOTH, membranes={"a|b": 1.0}, backend="multipoint")


@pytest.mark.parametrize("boundary", ["affine", "flux", "mixed"])
def test_other_boundaries_are_refused(boundary):
    with pytest.raises(InputError, match="boundary = 'periodic'"):
        homogenize_diffusion(grid_cell((4, 4), square), BOTH, membranes={"a|b": 1.0}, boundary=boundary)


def test_an_island_behind_a_membrane_stays():
    """Left alone it percolates nowhere; behind a membrane it carries flux."""
    cell = grid_cell((8, 8), square)
    with pytest.raises(PercolationError):
        homogenize_diffusion(cell, {"b": 5.0})
    solution = solve_diffusion(cell, BOTH, membranes={"b|a": 2.0})
    assert set(solution.cell.phase_names) == {"a", "b"}
    assert solution.tensor.active_phases == ("a", "b")
    assert solution.tensor.value[0, 0] > homogenize_diffusion(cell, {"a": 1.0}).value[0, 0] + 0.1


def test_the_result_says_what_the_membranes_are(tmp_path):
    tensor = homogenize_diffusion(grid_cell((4, 4), square), BOTH, membranes={"b|a": 2.0}, unit="um^2/s")
    assert tensor.membranes == {"a|b": 2.0}
    assert "membranes: a|b 2 um^2/s/um" in str(tensor)
    assert EffectiveTensor.from_json(tensor.to_json()).membranes == {"a|b": 2.0}


@pytest.mark.parametrize("divisions", [(8, 8), (6, 6, 4)])
def test_the_flux_is_admissible_and_its_energy_is_the_bound(divisions):
    """No divergence, a continuous normal component on membranes as well; int s.D^-1 s + int (s.n)^2/h = L."""
    d, h = len(divisions), 2.0
    phases = {"a": np.eye(d) + 0.3 * np.ones((d, d)), "b": 10.0 * np.eye(d)}
    cell = grid_cell(divisions, square)
    solution = solve_diffusion(cell, phases, membranes={"a|b": h}, rtol=1e-13)
    facets = np.sort(solution.cell.facets["a|b"])
    tags = dmesh.meshtags(solution.cell.mesh, d - 1, facets, np.ones(len(facets), dtype=np.int32))
    membrane = ufl.Measure("dS", domain=solution.cell.mesh, subdomain_data=tags, subdomain_id=1)
    n = ufl.FacetNormal(solution.cell.mesh)
    for j, sigma in enumerate(solution.dual.functions):
        assert solve.integrate(ufl.div(sigma) ** 2 * ufl.dx) < 1e-16
        assert solve.integrate(ufl.jump(sigma, n) ** 2 * ufl.dS) < 1e-18
        through = ufl.inner(sigma("+"), n("+"))
        energy = solve.integrate(ufl.inner(sigma, ufl.dot(solution.dual.inverse, sigma)) * ufl.dx)
        energy += solve.integrate(through**2 / h * membrane)
        assert energy == pytest.approx(solution.tensor.lower[j, j], abs=1e-9)
        assert solve.integrate(through**2 * membrane) > 0.1
        for i in range(d):
            assert solve.integrate(sigma[i] * ufl.dx) == pytest.approx(solution.tensor.lower[i, j], abs=1e-9)


@pytest.mark.parametrize("lower_degree", [0, 1])
@pytest.mark.parametrize("degree", [1, 2])
def test_the_indicators_sum_to_the_gap(degree, lower_degree):
    cell = grid_cell((8, 8), square)
    coefficient, membranes = diffusion_coefficient(cell, BOTH), find_membranes(cell, {"a|b": 2.0})
    upper = solve_correctors(cell, membrane_problem(cell, coefficient, membranes, degree=degree), rtol=1e-13)
    if lower_degree:
        lower = solve_fluxes(cell, coefficient, membranes=membranes, rtol=1e-13)
    else:
        problem = membrane_problem(cell, coefficient, membranes, element="CR", degree=1)
        lower = solve_correctors(cell, problem, rtol=1e-13)
    indicators = certify.diffusion_gaps(cell, upper, lower, coefficient, membranes)
    gap = np.trace(upper.average - lower.average)
    assert gap > 1e-5
    assert indicators.sum() == pytest.approx(gap, rel=1e-5)
    assert indicators.min() > -1e-12


@pytest.mark.parametrize("h", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("rtol", [1e-2, 1e-4])
def test_the_allowance_keeps_unconverged_bounds_bounds(rtol, h):
    """Of the linear fluxes and of Crouzeix-Raviart."""
    cell = grid_cell((12, 12), square)
    coefficient, membranes = diffusion_coefficient(cell, BOTH), find_membranes(cell, {"a|b": h})
    sharp, loose = (
        solve_fluxes(cell, coefficient, membranes=membranes, rtol=r, allowance=np.inf) for r in (1e-13, rtol)
    )
    excess = np.linalg.eigvalsh(loose.average - sharp.average)[-1]
    assert excess > 1e-13
    assert loose.allowance > excess
    assert sharp.allowance < 1e-10
    problem = membrane_problem(cell, coefficient, membranes, element="CR", degree=1)
    sharp, loose = (solve_correctors(cell, problem, rtol=r) for r in (1e-13, rtol))
    excess = np.linalg.eigvalsh(loose.average - sharp.average)[-1]
    assert certify.residual_allowance(cell, coefficient, loose, membranes) > excess > 1e-13


@pytest.mark.parametrize("lower_degree", [0, 1])
def test_the_adaptive_loop(lower_degree):
    options = {"membranes": {"a|b": 2.0}, "degree": 1 + lower_degree, "lower_degree": lower_degree}
    solution = solve_diffusion(grid_cell((8, 8), square), BOTH, tolerance=2e-4, **options)
    assert solution.tensor.reached
    assert len(solution.history) > 1
    fine = homogenize_diffusion(grid_cell((48, 48), square), BOTH, membranes={"a|b": 2.0})
    assert np.linalg.eigvalsh(solution.tensor.upper - fine.lower)[0] > 0.0
    assert np.linalg.eigvalsh(fine.upper - solution.tensor.lower)[0] > 0.0


def test_the_kernel_of_fields_that_a_stiff_term_ties():
    """Singular values find the common constant at any permeability."""
    for h in (1e-6, 1.0, 1e6):
        cell = grid_cell((8, 8), square)
        problem = membrane_problem(cell, diffusion_coefficient(cell, BOTH), find_membranes(cell, {"a|b": h}))
        system = System(cell, problem, "identified", "periodic")
        reduced = Reduced(system, ((), ()))
        matrix = reduced.matrix(system.matrices(problem.bilinear, "bilinear")).convert("aij")
        kernel = find_kernel(matrix, reduced.candidates(cell.part_of_cell, rotations=False))
        assert len(kernel) == 1
        assert np.ptp(kernel[0].array) < 1e-9


@pytest.mark.parametrize(("element", "degree"), [("Lagrange", 1), ("Lagrange", 2), ("CR", 1)])
def test_iterations_do_not_depend_on_the_permeability(element, degree):
    """Over twelve decades: where the fields do not see each other, and where they are as one."""
    cell = grid_cell((24, 24), square)
    coefficient = diffusion_coefficient(cell, BOTH)
    for h in (1e-6, 1.0, 1e4, 1e6):
        membranes = find_membranes(cell, {"a|b": h})
        problem = membrane_problem(cell, coefficient, membranes, element=element, degree=degree)
        assert solve_correctors(cell, problem).iterations < 2 * 20
        assert solve_fluxes(cell, coefficient, membranes=membranes).iterations < 2 * 25


def test_the_weight_of_a_crossing():
    """One over h times the length of a facet, once for each pair of neighbouring pieces; a phase of two islands."""
    h, length = 3.0, 2.0
    cell = grid_cell((8, 8), square, length=length)
    assert crossing_weight(cell, find_membranes(cell, {"a|b": h})) == pytest.approx(8 / (h * length))
    cell = grid_cell(
        (16, 8), lambda s: square(np.column_stack([(2 * s[:, 0]) % 1.0, s[:, 1]])), vectors=[[2, 0], [0, 1]]
    )
    assert crossing_weight(cell, find_membranes(cell, {"a|b": h})) == pytest.approx(2 * 8 / h)


def test_groups_and_their_fields():
    cell = grid_cell((4, 3, 3), layers, length=3.0)
    membranes = find_membranes(cell, check_membranes(cell, cell.phase_names, {"b|a": 2.0, "a|c": 5.0}))
    assert membranes.groups == (("a",), ("b", "c"))
    assert membranes.links == ((0, 1, 6.0), (0, 1, 15.0))
    assert len(membranes.facets) == 2 * 3 * 3 * 2


def test_heart_muscle_cells_behind_their_sarcolemma():
    """The junctions join the cells. Sarcolemma and the junctions' sides are membranes, their ends are not."""
    cell = myocyte(30.0, 12.0, 12.0, 4.0, resolution=1 / 3, side_patch=0.5)
    conduct = {"intracellular": 0.4, "junction": 0.02, "extracellular": 1.0}
    sarcolemma = ("intracellular|extracellular", "junction|extracellular")
    solution = solve_diffusion(cell, conduct, membranes=dict.fromkeys(sarcolemma, 1e-7), degree=1)
    groups = [set(field.phases) for field in solution.correctors.problem.fields]
    assert groups == [{"intracellular", "junction"}, {"extracellular"}]
    apart = [
        homogenize_diffusion(cell, {name: conduct[name] for name in names}, degree=1)
        for names in (("intracellular", "junction"), ("extracellular",))
    ]
    assert np.abs(solution.tensor.upper - sum(part.upper for part in apart)).max() < 1e-5
    assert np.abs(solution.tensor.lower - sum(part.lower for part in apart)).max() < 1e-5


def case_everything(comm):
    from homfem.cells import fibre_array

    cell = fibre_array("square", fraction=0.3, resolution=0.1, comm=comm)
    options = {"membranes": {"fibre|matrix": 3.0}, "rtol": 1e-12}
    tensor = homogenize_diffusion(cell, {"fibre": 10.0, "matrix": 1.0}, tolerance=2e-3, degree=1, **options)
    sharp = homogenize_diffusion(cell, {"fibre": 10.0, "matrix": 1.0}, **options)
    slab = homogenize_diffusion(
        grid_cell((4, 3, 3), layers, comm=comm), {"a": 1.0, "b": 5.0, "c": 0.2}, membranes={"a|b": 1.0, "a|c": 2.0}
    )
    return {
        "bounds": [tensor.lower.tolist(), tensor.upper.tolist(), sharp.lower.tolist(), sharp.upper.tolist()],
        "slab": [slab.lower.tolist(), slab.upper.tolist()],
        "dofs": [tensor.dofs, slab.dofs],
        "geometric_error": tensor.geometric_error,
    }


@pytest.mark.mpi
def test_the_same_on_every_rank(on_ranks):
    answers = on_ranks(case_everything)
    for answer in answers:
        for name in ("bounds", "slab"):
            assert np.abs(np.array(answer[name]) - np.array(answers[0][name])).max() < 1e-8
        assert answer["dofs"] == answers[0]["dofs"]
        assert answer["geometric_error"] == pytest.approx(answers[0]["geometric_error"], rel=1e-5)
