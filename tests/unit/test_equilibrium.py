"""Fluxes with a given divergence, and velocities without one: continuity, balance, values, ranks, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells import fibre_array
from homfem.certify.dispersion.velocity import solenoidal
from homfem.local.diffusion import diffusion_coefficient
from homfem.local.equilibrium import Equilibrium
from homfem.local.equilibrium_elements import Moments, polynomials, reference_fluxes
from homfem.local.flux import solve_fluxes
from homfem.parameters import InputError
from made_cells import grid_cell

TENSORS = {2: np.array([[2.0, 0.5], [0.5, 1.0]]), 3: np.diag([1.0, 2.0, 3.0]) + 0.2}


def medium(comm=MPI.COMM_SELF, d=2, n=4, **more):
    """Two phases, one with a matrix."""
    cell = grid_cell((n,) * d, lambda s: (s[:, 0] > 0.5).astype(int), comm=comm, **more)
    return cell, diffusion_coefficient(cell, {"a": np.eye(d), "b": TENSORS[d]})


def sources(cell, degree):
    """Moments of a source of mean zero, and the source."""
    s = fem.Function(solve.function_space(cell.mesh, "DG", degree - 1))
    draw = np.random.default_rng(3)
    s.x.array[:] = draw.standard_normal(len(s.x.array))
    s.x.array[:] -= solve.integrate(s * ufl.dx) / solve.integrate(fem.Constant(cell.mesh, 1.0) * ufl.dx)
    return Moments(cell, degree - 1, "test", lambda test: s * test * ufl.dx, [s])()[:, :, None], s


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_the_reference_fields_are_all_there(d, degree):
    fields = reference_fluxes(d, degree)
    n, facet = (polynomials(k, degree, np.zeros((1, k))).shape[2] for k in (d, d - 1))
    assert len(fields.fields) == d * n - (d + 1) * (facet - d)
    below = polynomials(d, degree - 1, np.zeros((1, d))).shape[2]
    assert fields.lifting.shape == (len(fields.fields), below)
    assert fields.kernel.shape == (len(fields.fields), len(fields.fields) - below)
    # On every facet each linear function is a normal component of some of them.
    assert np.linalg.matrix_rank(fields.traces) == (d + 1) * d


@pytest.mark.parametrize("d", [2, 3])
def test_without_sources_it_is_the_flux_problem(d):
    cell, coefficient = medium(d=d, n=3 if d == 3 else 4)
    problem = Equilibrium(cell, coefficient, 1)
    work = problem.elements.work_of_constants()
    found = problem.solve(np.zeros((len(work), 1, d)), work)
    other = solve_fluxes(cell, coefficient)
    assert found.energy == pytest.approx(other.average, abs=1e-11)
    assert -found.value == pytest.approx(other.average, abs=1e-11)
    problem.destroy()


@pytest.mark.parametrize(("d", "degree"), [(2, 2), (2, 4), (3, 3)])
def test_the_fluxes_balance_and_do_not_jump(d, degree):
    cell, coefficient = medium(d=d, n=3)
    problem = Equilibrium(cell, coefficient, degree, rtol=1e-12)
    moments, s = sources(cell, degree)
    found = problem.solve(moments, np.zeros((len(moments), len(problem.elements.reference.fields), 1)))
    q, n = found.function(0, "q"), ufl.FacetNormal(cell.mesh)
    assert solve.integrate((ufl.div(q) - s) ** 2 * ufl.dx) < 1e-24 * solve.integrate(s**2 * ufl.dx)
    assert solve.integrate(ufl.jump(q, n) ** 2 * ufl.dS) < 1e-22
    inverse = fem.Function(coefficient.function_space)
    inverse.x.array[:] = np.linalg.inv(coefficient.x.array.reshape(-1, d, d)).ravel()
    energy = solve.integrate(ufl.inner(q, ufl.dot(inverse, q)) * ufl.dx)
    assert found.energy[0, 0] == pytest.approx(energy, rel=1e-12)
    assert found.value[0, 0] == pytest.approx(energy, rel=1e-12)
    # A larger space has less energy, and so has one with fewer sources.
    problem.destroy()
    larger = Equilibrium(cell, coefficient, degree + 1)
    more = Moments(cell, degree, "test", lambda test: s * test * ufl.dx, [s])()[:, :, None]
    less = larger.solve(more, np.zeros((len(more), len(larger.elements.reference.fields), 1)))
    assert 0.0 < less.energy[0, 0] < energy
    larger.destroy()


@pytest.fixture
def spoil(monkeypatch):
    """Let every solve of multipliers be wrong by random numbers of a size, which is returned in a list to change."""
    solved, wrong = solve.solve_with, [0.0]

    def spoilt(matrix, sides, multipliers, **options):
        solver = solved(matrix, sides, multipliers, **options)
        for x in multipliers:
            x.array[:] += wrong[0] * np.random.default_rng(1).standard_normal(len(x.array))
        return solver

    monkeypatch.setattr(solve, "solve_with", spoilt)
    monkeypatch.setattr("homfem.local.equilibrium.ROUNDS", 0)
    return wrong


def test_a_wrong_multiplier_is_accounted_for(spoil):
    """The value with the excess is above the exact one, whatever the solver left."""
    cell, coefficient = medium(n=6)
    moments, _ = sources(cell, 3)
    values = []
    for size in (0.0, 1e-3):
        spoil[0] = size
        problem = Equilibrium(cell, coefficient, 3)
        none = np.zeros((len(moments), len(problem.elements.reference.fields), 1))
        found = problem.solve(moments, none)
        values.append((found.value[0, 0], found.excess[0]))
        problem.destroy()
    (exact, small), (loose, excess) = values
    assert small < 1e-9 * exact
    assert loose < exact * (1.0 - 1e-6) < loose + excess


def test_a_channel_of_its_own_must_balance():
    cell = grid_cell((4, 8), lambda s: (np.floor(4 * s[:, 1]) % 2).astype(int))
    part = cell.restrict(["a"])
    problem = Equilibrium(part, diffusion_coefficient(part, {"a": 1.0}), 1)
    moments = np.ones((len(part.phase_of_cell), 1, 1))
    upper = part.mesh.geometry.x[:, 1]
    moments[np.array([upper[list(nodes)].mean() > 0.5 for nodes in _dolfinx.geometry_dofmap(part.mesh)])] = -1.0
    with pytest.raises(InputError, match="channels"):
        problem.solve(moments, np.zeros((len(moments), len(problem.elements.reference.fields), 1)))
    problem.destroy()


def test_refusals():
    curved = fibre_array(fraction=0.3, resolution=0.3, order=2).restrict(["matrix"])
    with pytest.raises(InputError, match="straight simplices"):
        Equilibrium(curved, diffusion_coefficient(curved, {"matrix": 1.0}), 2)
    cell, _ = medium()
    with pytest.raises(InputError, match="2 components"):
        solenoidal(cell, [fem.Function(solve.function_space(cell.mesh, "Lagrange", 1))])


def vortices(x):
    return np.array([np.sin(2 * np.pi * x[0]) * np.cos(2 * np.pi * x[1]), np.sin(2 * np.pi * x[1]) + 0.3])


def given(cell, function, degree=3):
    field = fem.Function(solve.function_space(cell.mesh, "Lagrange", degree, (cell.dimension,)))
    field.interpolate(lambda x: np.asarray(function(x))[: cell.dimension])
    return field


def faults(cell, v):
    """Divergence, jumps and flow through walls, in the mean square."""
    n = ufl.FacetNormal(cell.mesh)
    parts = (ufl.div(v) ** 2 * ufl.dx, ufl.jump(v, n) ** 2 * ufl.dS, ufl.inner(v, n) ** 2 * ufl.ds(cell.mesh))
    return np.sqrt([solve.integrate(part) for part in parts])


def test_any_velocity_loses_its_divergence(spoil):
    """Also one that had a lot, beside walls, and with a solver that leaves a thousandth."""
    cell = fibre_array(fraction=0.3, resolution=0.2).restrict(["matrix"])
    for size in (0.0, 1e-3):
        spoil[0] = size
        found = solenoidal(cell, [given(cell, vortices)])
        assert faults(cell, found.functions[0]).max() < 1e-12
        assert 0.0 < found.uncertainty[0] < 1e-11
        assert found.change[0] > 0.1  # vortices through the wall


def test_what_has_no_divergence_stays():
    cell = grid_cell((3, 3, 3))

    def shear(x):
        return [x[1] * 0 + 1.0, 0 * x[0] - 2.0, 0 * x[0] + 0.5]

    found = solenoidal(cell, [given(cell, shear, 2)])
    assert found.change[0] < 1e-12
    assert faults(cell, found.functions[0]).max() < 1e-12
    combined, uncertainty = found.combined(np.array([-3.0]))
    assert combined.x.array == pytest.approx(-3.0 * found.functions[0].x.array)
    assert uncertainty >= 3.0 * found.uncertainty[0]


def test_a_wall_that_slides_is_kept():
    """Couette's flow does not vanish on the walls, and passes none."""
    cell = grid_cell((4, 8), lambda s: (s[:, 1] > 0.5).astype(int)).restrict(["a"])
    found = solenoidal(cell, [given(cell, lambda x: [x[1], 0.0 * x[1]], 2)])
    assert found.change[0] < 1e-12
    assert faults(cell, found.functions[0]).max() < 1e-12


def case_ranks(comm):
    cell, coefficient = medium(comm, n=6)
    found = solenoidal(cell, [given(cell, vortices)])
    problem = Equilibrium(cell, coefficient, 4)
    v = found.functions[0]
    test = Moments(cell, 3, "ranks", lambda w: ufl.inner(v, ufl.grad(ufl.inner(v, v))) * w * ufl.dx, [v])()[:, :, None]
    fluxes = problem.solve(test, np.zeros((len(test), len(problem.elements.reference.fields), 1)), noise=1e-12)
    problem.destroy()
    return [float(fluxes.value[0, 0]), float(found.change[0]), float(faults(cell, v).max() < 1e-12)]


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    first, *others = on_ranks(case_ranks)
    assert first[2]
    for other in others:
        assert other == pytest.approx(first, rel=1e-9)
