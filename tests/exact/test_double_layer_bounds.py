"""Guaranteed bounds of matrices of Onsager, of the discrete equilibrium: against exact numbers and higher degrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx.mesh import exterior_facet_indices
from mpi4py import MPI

from homfem import homogenize_electrokinetics
from homfem.cells import fibre_array, obstacles, slit
from homfem.certify.electrokinetics import solve_electrokinetics
from homfem.certify.electrokinetics.bounds import Medium, cell_means, lower_matrix, upper_matrix
from homfem.certify.electrokinetics.gap import electrokinetic_gaps
from homfem.certify.electrokinetics.on_mesh import ElectrokineticsOnMesh
from homfem.electrolytes import Ion
from homfem.local.charges import Charges
from homfem.local.electrokinetic_upper import upper_problem
from homfem.local.electrokinetics import electrokinetic_problem, potential_on
from homfem.local.engine import solve_correctors
from homfem.local.poisson_boltzmann import solve_poisson_boltzmann
from homfem.parameters import InputError
from homfem.solve import assemble_vector, function_space, integrate
from made_cells import grid_cell


def salt(ratio: float = 1.0) -> list[Ion]:
    """A 1:1 salt; the anion diffuses ``ratio`` times as fast."""
    mobile = {"pore": 1.0, "matrix": 1.0}
    return [
        Ion(name=name, valence=z, bath=1.0, diffusivities={phase: factor * d for phase, d in mobile.items()})
        for name, z, factor in (("+", 1, 1.0), ("-", -1, ratio))
    ]


def test_without_charge_they_contain_the_flow_and_the_diffusion_around_squares() -> None:
    gaps = []
    for resolution in (0.1, 0.05):
        tensor = homogenize_electrokinetics(
            obstacles(0.5, resolution=resolution), salt(), viscosity=0.25, permittivity=0.1, bounds=True
        )
        virtual = tensor.coefficients["onsager_bath"]
        # Permeability .013023322 and diffusion .76980036 per fluid around squares, by elements of high order.
        exact = np.kron(np.diag([0.013023322 / 0.25, 0.75 * 0.76980036, 0.75 * 0.76980036]), np.eye(2))
        assert np.linalg.eigvalsh(virtual.upper - exact).min() > 0.0
        assert np.linalg.eigvalsh(exact - virtual.lower).min() > 0.0
        gaps.append(np.linalg.norm(virtual.upper - virtual.lower, 2))
        assert tensor.lower[0, 0] < 2.0 * 0.75 * 0.76980036 < tensor.upper[0, 0]
        permeability = tensor.coefficients["permeability"]
        assert permeability.lower[0, 0] < 0.013023322 < permeability.upper[0, 0]
    assert gaps[1] < 0.6 * gaps[0]


@pytest.mark.parametrize(("zeta", "ratio", "most"), [(-2.0, 1.0, 0.3), (5.0, 3.0, 2.0)])
def test_they_contain_what_higher_degrees_give(zeta: float, ratio: float, most: float) -> None:
    cell = fibre_array("square", fraction=0.3, resolution=0.1)
    charges = Charges(
        fluid=("matrix",),
        valences=(2, -1),
        baths=(0.5, 1.0),
        permittivities={"matrix": 0.03},
        potentials={"walls": zeta},
    )
    fluid = cell.restrict(["matrix"])
    potential = cell_means(potential_on(fluid, solve_poisson_boltzmann(cell, charges)))
    medium = Medium(
        fluid=fluid,
        charges=charges,
        potential=potential,
        diffusivities=[{"matrix": 1.0}, {"matrix": ratio}],
        viscosity=0.08,
    )
    upper, _ = upper_matrix(medium)
    lower, _ = lower_matrix(medium, upper)
    problem = electrokinetic_problem(fluid, charges, potential, degree=4, **medium.given)
    value = solve_correctors(fluid, problem, preconditioner="direct").average
    size = np.sqrt(np.diag(value))
    above, below = (matrix / np.outer(size, size) for matrix in (upper - value, value - lower))
    assert np.linalg.eigvalsh(above).min() > 1e-5
    assert np.linalg.eigvalsh(below).min() > 1e-5
    assert np.linalg.eigvalsh(above + below).max() < most


def test_the_stress_of_the_upper_bound_is_in_balance_with_the_force() -> None:
    cell = fibre_array("square", fraction=0.3, resolution=0.2)
    charges = Charges(
        fluid=("matrix",),
        valences=(1, -1),
        baths=(1.0, 1.0),
        permittivities={"matrix": 0.1},
        potentials={"walls": -4.0},
    )
    fluid = cell.restrict(["matrix"])
    potential = cell_means(potential_on(fluid, solve_poisson_boltzmann(cell, charges)))
    problem = upper_problem(fluid, charges, potential, diffusivities=[1.0, 1.0], viscosity=0.3)
    found, flow = solve_correctors(fluid, problem, preconditioner="direct", rtol=1e-12), problem.bilinear.__self__
    space = function_space(fluid.mesh, "Lagrange", 3, (2,))
    v, load = ufl.TestFunction(space), fem.Constant(fluid.mesh, np.zeros(6))
    fluid.mesh.topology.create_connectivity(1, 2)
    wall = fem.locate_dofs_topological(space, 1, exterior_facet_indices(fluid.mesh.topology))
    for j, (u, p, *chi) in enumerate(found.functions):
        load.value[:] = np.eye(6)[j]
        force = flow.uniform(load)
        for (excess, _), a in zip(flow.concentrations(), chi, strict=True):
            force = force - excess * ufl.grad(a)
        stress = 0.3 * ufl.grad(u) - p * ufl.Identity(2) - ufl.outer(force, flow.place) / 2
        works = [
            assemble_vector(form) for form in (ufl.inner(stress, ufl.grad(v)) * ufl.dx, ufl.inner(force, v) * ufl.dx)
        ]
        left = (works[0].array_r - works[1].array_r).reshape(-1, 2)
        left[wall] = 0.0
        assert np.abs(left).max() < 1e-10 * np.abs(works[1].array_r).max()
        # Its deviator is the one whose energy is the bound.
        other = flow._stress((u, p, *chi), load) - ufl.dev(stress)
        assert abs(integrate(ufl.inner(other, other) * ufl.dx)) < 1e-20


def test_the_energy_of_the_upper_bound_is_stationary() -> None:
    """At the solution it is what the forces alone have, and their work on the fields."""
    fluid = fibre_array("square", fraction=0.3, resolution=0.3).restrict(["matrix"])
    charges = Charges(fluid=("matrix",), valences=(2, -1), baths=(0.5, 1.0), permittivities={"matrix": 1.0})
    potential = fem.Function(function_space(fluid.mesh, "DG", 0))
    potential.x.array[:] = np.random.default_rng(5).uniform(-1.0, 1.0, len(potential.x.array))
    problem = upper_problem(fluid, charges, potential, diffusivities=[1.0, 3.0], viscosity=0.05)
    found, flow = solve_correctors(fluid, problem, preconditioner="direct", rtol=1e-12), problem.bilinear.__self__
    s, t = (fem.Constant(fluid.mesh, np.zeros(6)) for _ in range(2))
    drawn, other = np.random.default_rng(6).standard_normal((2, 6))
    fields = tuple(fem.Function(space) for space in found.spaces)
    for weight, functions in zip(drawn, found.functions, strict=True):
        for field, function in zip(fields, functions, strict=True):
            field.x.array[:] += weight * function.x.array
    s.value[:], t.value[:] = drawn, other
    alone = ufl.inner(flow.moment(flow.uniform(s)), flow.moment(flow.uniform(t))) / 0.05
    for (_, mobile), one, two in zip(flow.concentrations(), flow.forces(s)[1:], flow.forces(t)[1:], strict=True):
        alone += mobile * ufl.inner(one, two)
    work = integrate(alone * ufl.dx) + integrate(flow.linear(fields, t))
    assert other @ found.average @ drawn == pytest.approx(work, rel=1e-9)


def test_what_flows_along_a_slit_is_bounded_there_and_zero_across() -> None:
    cell = slit(0.5, axis="y", resolution=0.1, period=4.0)
    tensor = homogenize_electrokinetics(cell, salt(), viscosity=1.0, permittivity=0.5, wall_potential=-2.0, bounds=True)
    assert tensor.lower[0, 0] < tensor.value[0, 0] < tensor.upper[0, 0]
    assert np.all(tensor.upper[1] == 0.0)
    assert np.all(tensor.lower[1] == 0.0)
    matrix = tensor.coefficients["onsager"]
    assert matrix.order == "loewner"
    assert np.linalg.eigvalsh(matrix.upper - matrix.lower).min() > -1e-12
    assert any("equilibrium as it was computed" in text for text in tensor.warnings)


def test_the_gap_is_a_sum_over_mesh_cells() -> None:
    cell = fibre_array("square", fraction=0.3, resolution=0.2)
    solution = solve_electrokinetics(
        cell, salt(2.0), "matrix", viscosity=0.08, permittivity=0.05, wall_charge=-0.5, bounds=True
    )
    solved = solution.solved
    assert isinstance(solved, ElectrokineticsOnMesh)
    assert solved.bounded is not None
    forces = np.random.default_rng(1).normal(size=(3, 6))
    gaps = electrokinetic_gaps(solved.bounded.dual, solved.bounded.fields, forces)
    apart = np.einsum("na,ab,nb->n", forces, solved.bounded.upper - solved.bounded.lower, forces)
    assert gaps.min() >= 0.0
    assert gaps.sum(axis=1) == pytest.approx(apart, rel=1e-6)
    relative = solved.gaps()
    assert len(relative) == len(cell.raw.cells)
    assert np.all(relative[cell.raw.phase_of_cell != cell.phases["matrix"]] == 0.0)
    sigma = solution.tensor
    assert relative.sum() == pytest.approx(float(np.trace(sigma.upper - sigma.lower) / sigma.upper[0, 0]), rel=1e-4)


def test_a_tolerance_refines_until_the_bounds_are_so_close() -> None:
    cell = obstacles(0.5, resolution=0.2)
    given: dict[str, Any] = {"viscosity": 0.1, "permittivity": 2.0 / 6.0**2, "wall_potential": -2.0}
    solution = solve_electrokinetics(cell, salt(), bounds=True, tolerance=0.02, refine_layers=False, **given)
    tensor = solution.tensor
    assert tensor.reached
    assert tensor.relative_gap is not None
    assert tensor.relative_gap <= 0.02
    assert tensor.estimated_error is None
    gaps = [entry["relative_gap"] for entry in solution.history]
    assert len(gaps) > 2
    assert gaps == sorted(gaps, reverse=True)
    finer = homogenize_electrokinetics(obstacles(0.5, resolution=0.1, grading=0.2), salt(), degree=3, **given)
    assert tensor.lower[0, 0] < finer.value[0, 0] < tensor.upper[0, 0]


def test_bounds_in_space_contain_what_higher_degrees_give() -> None:
    """A square pillar, which nothing flows through; of the mesh as coarse as it is."""
    cell = grid_cell((3, 3, 3), lambda s: ((s[:, 0] < 1 / 3) & (s[:, 1] < 1 / 3)).astype(int))
    charges = Charges(
        fluid=("a",), valences=(2, -1), baths=(0.5, 1.0), permittivities={"a": 0.03}, potentials={"walls": -2.0}
    )
    fluid = cell.restrict(["a"])
    potential = cell_means(potential_on(fluid, solve_poisson_boltzmann(cell, charges)))
    mobile = [{"a": 1.0}, {"a": 1.5}]
    medium = Medium(fluid=fluid, charges=charges, potential=potential, diffusivities=mobile, viscosity=0.08)
    upper, dual = upper_matrix(medium)
    lower, fields = lower_matrix(medium, upper)
    value = solve_correctors(
        fluid, electrokinetic_problem(fluid, charges, potential, degree=3, **medium.given), preconditioner="direct"
    ).average
    size = np.sqrt(np.diag(value))
    for part in (upper - value, value - lower):
        assert np.linalg.eigvalsh(part / np.outer(size, size)).min() > 1e-6
    gaps = electrokinetic_gaps(dual, fields, np.eye(9))
    assert gaps.sum(axis=1) == pytest.approx(np.diag(upper - lower), rel=1e-6)


def test_there_are_none_on_curved_cells() -> None:
    given: dict[str, Any] = {"viscosity": 1.0, "permittivity": 0.5, "bounds": True}
    with pytest.raises(InputError, match="bounds"):
        homogenize_electrokinetics(fibre_array(fraction=0.3, resolution=0.2, order=2), salt(), "matrix", **given)


def ranks_case(comm: MPI.Comm) -> dict[str, Any]:
    """Bounds of charged fibres."""
    cell = fibre_array("square", fraction=0.3, resolution=0.2, comm=comm)
    tensor = homogenize_electrokinetics(
        cell, salt(1.5), "matrix", viscosity=0.08, permittivity=0.05, wall_charge=-0.2, bounds=True
    )
    matrix = tensor.coefficients["onsager"]
    return {"lower": matrix.lower.tolist(), "upper": matrix.upper.tolist()}


def test_one_two_and_three_ranks_agree(on_ranks: Any) -> None:
    one, *others = on_ranks(ranks_case)
    for other in others:
        for side in ("lower", "upper"):
            assert np.array(other[side]) == pytest.approx(np.array(one[side]), rel=1e-8, abs=1e-9)
