"""Dispersion: closed forms with their orders, exact identities, two formulations, the same on all ranks."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import brackets, solve
from homfem.cells import fibre_array, laminate, slit
from homfem.certify.dispersion import (
    GivenFlow,
    StokesFlow,
    StreamFunction,
    flow,
    homogenize_dispersion,
    solve_dispersion,
)
from homfem.limits import MemoryLimitError
from homfem.local import dispersion_series
from homfem.local.dispersion import Carrier, dispersion_problem, symmetrised_problem
from homfem.local.dispersion_series import _Series, solve_dispersed
from homfem.local.engine import solve_correctors
from homfem.local.posed import Method
from homfem.local.system import System
from homfem.solve import linear
from made_cells import grid_cell

ALL = ("layer1", "layer2")
ONE = {"layer1": 1.0, "layer2": 1.0}


def square(resolution, **rest):
    """A cell that is all fluid, in two layers along x."""
    return laminate([0.5, 0.5], axis="y", dimension=2, resolution=resolution, **rest)


def orders(errors):
    return np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))


def generic(x):
    """The stream function of a flow without any symmetry."""
    turn = 2.0 * np.pi
    return (
        np.sin(turn * x[0]) * np.sin(turn * x[1])
        + 0.5 * np.cos(turn * (x[0] + 2.0 * x[1]))
        + 0.3 * np.sin(turn * (2.0 * x[0] - x[1]) + 0.7)
    )


def shear(size, across):
    """The flow (P sin 2 pi y, W)."""
    return GivenFlow(velocity=lambda x: np.array([size * np.sin(2.0 * np.pi * x[1]), across + 0.0 * x[0]]), fluid=ALL)


# -- closed forms ---------------------------------------------------------------------------------------------------

PECLET = 10.0
WIDTH = 0.5


def between_walls(profile):
    """A flow along a slit of the width 1/2 in the middle of the cell, by its profile on (0, 1) from wall to wall."""
    return GivenFlow(velocity=lambda x: np.array([profile((x[1] % 1.0 - 0.25) / WIDTH), 0.0 * x[0]]))


@pytest.mark.parametrize(
    ("flow", "factor"),
    [
        (StokesFlow(), 1.0 / 210.0),
        (between_walls(lambda s: 2.0 * s), 1.0 / 30.0),  # Couette
        (between_walls(lambda s: 1.5 * s * (2.0 - s)), 2.0 / 105.0),  # film
    ],
    ids=["slit", "couette", "film"],
)
def test_flows_along_walls(flow, factor):
    """D (1 + factor Pe^2) with the distance of the walls and the mean speed, to fourth order (degree 2)."""
    exact = 1.0 + factor * (PECLET * WIDTH) ** 2
    errors = []
    for resolution in (1 / 8, 1 / 16):
        found = homogenize_dispersion(
            slit(WIDTH, axis="y", resolution=resolution), {"pore": 1.0}, flow=flow, peclet=PECLET
        )
        np.testing.assert_allclose(found.coefficients["velocity"].value, [PECLET, 0.0], atol=1e-9)
        np.testing.assert_allclose(found.value[1], 0.0, atol=1e-12)
        errors.append(found.value[0, 0] - exact)
    assert abs(errors[1]) < 1e-3 * (exact - 1.0)
    assert orders(np.array(errors))[0] > 3.7


def test_sorption_on_the_walls_of_a_slit():
    """Golay 1958: 1/R + (2/105) Pe^2 (1 + 9k' + 25.5k'^2)/R^3 with the half-width, R = 1 + k'."""
    length, peclet = 0.2, 10.0
    held = length * 2.0 / WIDTH
    exact = (
        1.0 / (1.0 + held)
        + 2.0 / 105.0 * (peclet * WIDTH / 2.0) ** 2 * (1.0 + 9.0 * held + 25.5 * held**2) / (1.0 + held) ** 3
    )
    errors = []
    for resolution in (1 / 8, 1 / 16):
        cell = slit(WIDTH, axis="y", resolution=resolution, period=1.0)
        found = homogenize_dispersion(cell, {"pore": 1.0}, peclet=peclet, sorption_length=length)
        assert found.retardation == pytest.approx(1.0 + held, rel=1e-12)
        assert found.coefficients["velocity"].value[0] == pytest.approx(peclet / (1.0 + held), rel=1e-9)
        errors.append(found.value[0, 0] - exact)
    assert abs(errors[1]) < 1e-3 * exact
    assert orders(np.array(errors))[0] > 3.7


@pytest.mark.parametrize(("degree", "order"), [(1, 2), (2, 4)])
def test_shear_to_its_order(degree, order):
    size, across = 10.0, 5.0
    exact = 1.0 + size**2 / (2.0 * (4.0 * np.pi**2 + across**2))
    errors = []
    for resolution in (1 / 8, 1 / 16):
        found = homogenize_dispersion(square(resolution), ONE, flow=shear(size, across), degree=degree)
        errors.append(found.value[0, 0] - exact)
        np.testing.assert_allclose(found.coefficients["velocity"].value, [0.0, across], atol=1e-9)
    np.testing.assert_allclose(found.value[1], [0.0, 1.0], atol=1e-6)
    assert abs(errors[1]) < 10.0 ** (1 - 2.5 * degree)
    assert orders(np.array(errors))[0] > order - 0.35


def test_flow_along_layers_is_exact_to_round_off():
    """Diffusivities 1 and 3, a velocity that is linear in each layer: chi is cubic, found here by one quadrature."""
    size = 40.0
    tent = GivenFlow(
        velocity=lambda x: np.array([size * np.minimum(x[1] % 1.0, 1.0 - x[1] % 1.0), 0.0 * x[0]]), fluid=ALL
    )
    found = homogenize_dispersion(square(0.25), {"layer1": 1.0, "layer2": 3.0}, flow=tent, degree=3)
    # d/dy (D chi') = v - V with D chi' = q + c, and chi periodic: c = -<q/D>/<1/D>; D*_xx = <D> + <(q + c)^2/D>
    y, weights = np.polynomial.legendre.leggauss(8)
    diffusivity = (1.0, 3.0)
    q = [np.polynomial.Polynomial([0.0, -size / 4.0, size / 2.0])]
    half = q[0](0.5)
    q.append(np.polynomial.Polynomial([half, 0.0]) + _integral(size))
    points = [0.25 * (y + 1.0), 0.25 * (y + 1.0) + 0.5]
    values = [part(at) for part, at in zip(q, points, strict=True)]
    mean = [0.25 * float(weights @ (v / d)) for v, d in zip(values, diffusivity, strict=True)]
    constant = -sum(mean) / (0.5 / 1.0 + 0.5 / 3.0)
    energy = [0.25 * float(weights @ ((v + constant) ** 2 / d)) for v, d in zip(values, diffusivity, strict=True)]
    assert found.value[0, 0] == pytest.approx(2.0 + sum(energy), rel=1e-11)
    assert found.value[1, 1] == pytest.approx(1.5, rel=1e-11)


def _integral(size):
    """The integral from 1/2 to y of size (1 - y) - size/4."""
    whole = np.polynomial.Polynomial([0.0, 0.75 * size, -0.5 * size])
    return whole - whole(0.5)


# -- identities -----------------------------------------------------------------------------------------------------


def test_reversed_flow_and_no_flow():
    """D*(-v) = D*(v), F(-v) = F(v)^T, V(-v) = -V, D*(Pe) >= D*(0): of the discrete numbers, to round-off."""
    flows = [
        StreamFunction(function=lambda x, s=s: s * generic(x), fluid=ALL, mean=(3.0 * s, s)) for s in (1.0, -1.0, 0.0)
    ]
    ahead, back, still = (
        homogenize_dispersion(square(0.125), {"layer1": 1.0, "layer2": [[2.0, 0.5], [0.5, 1.0]]}, flow=flow, rtol=1e-12)
        for flow in flows
    )
    np.testing.assert_allclose(back.value, ahead.value, rtol=1e-10)
    forms = [one.coefficients["flux_form"].value for one in (ahead, back)]
    np.testing.assert_allclose(forms[1], forms[0].T, rtol=1e-10)
    assert abs(forms[0][0, 1] - forms[0][1, 0]) > 1e-4
    np.testing.assert_allclose(back.coefficients["velocity"].value, -ahead.coefficients["velocity"].value, rtol=1e-12)
    assert np.linalg.eigvalsh(ahead.value - still.value).min() > 1e-3


@pytest.mark.parametrize("options", [{"degree": 1}, {"degree": 2}, {"bounds": True}])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_uniform_flow_disperses_nothing(options, size):
    """All of the load is round-off: the tensor is the diffusivity."""
    flow = GivenFlow(velocity=lambda x: size * np.array([1.0 + 0.0 * x[0], 0.5 + 0.0 * x[0]]))
    found = homogenize_dispersion(grid_cell((4, 4)), {"a": [[2.0, 0.5], [0.5, 1.0]]}, flow=flow, **options)
    np.testing.assert_allclose(found.value, [[2.0, 0.5], [0.5, 1.0]], rtol=1e-10)
    np.testing.assert_allclose(found.coefficients["velocity"].value, [size, 0.5 * size], rtol=1e-10)
    assert found.coefficients["peclet"].value == pytest.approx(np.sqrt(1.25) * size / 1.5, rel=1e-10)


def test_generic_flow():
    """A flow without symmetry beside a Fourier-Galerkin solution: the value and the flux form."""
    flow = StreamFunction(function=generic, fluid=ALL)
    found = homogenize_dispersion(square(1 / 24), ONE, flow=flow, degree=2)
    np.testing.assert_allclose(found.value, [[1.20805027, -0.0309194369], [-0.0309194369, 1.16489756]], atol=1e-4)
    form = found.coefficients["flux_form"].value
    assert form[0, 1] - form[1, 0] == pytest.approx(-0.0309449016 + 0.0308939722, rel=0.3)


def test_sorption_only_slows_what_does_not_move():
    cell = fibre_array(fraction=0.3, resolution=0.15, order=2)
    plain, held = (homogenize_dispersion(cell, {"matrix": 1.0}, peclet=10.0, sorption_length=k) for k in (0.0, 0.5))
    assert held.retardation * held.value[1, 1] == pytest.approx(plain.value[1, 1], rel=1e-8)
    assert held.retardation * held.value[0, 0] > 1.5 * plain.value[0, 0]
    assert held.retardation == pytest.approx(1.0 + 0.5 * 1.94162591 / 0.7, rel=1e-4)
    assert 4.18 < held.coefficients["velocity"].value[0] < 4.2
    assert held.conventions["average"] == "per capacity of the fluid"


def test_partition_between_phases():
    """A phase that holds P times as much is one with P times the diffusivity and the capacity P."""
    cell = fibre_array(fraction=0.3, resolution=0.2, order=2)
    flow = StokesFlow(fluid="matrix", direction=[1.0, 1.0])
    found = homogenize_dispersion(
        cell, {"matrix": 1.0, "fibre": 0.5}, flow=flow, peclet=20.0, partition={"fibre": 4.0}, degree=2
    )
    assert found.retardation == pytest.approx(0.7 + 4.0 * 0.3, rel=1e-4)
    assert np.linalg.norm(found.coefficients["velocity"].value) == pytest.approx(20.0 * 0.7 / 1.9, rel=1e-4)
    slow = homogenize_dispersion(cell, {"matrix": 1.0, "fibre": 2.0}, flow=flow, peclet=0.0)
    still = homogenize_dispersion(cell, {"matrix": 1.0, "fibre": 0.5}, flow=flow, peclet=0.0, partition={"fibre": 4.0})
    np.testing.assert_allclose(still.storage * still.value, slow.value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("bounds", [False, True])
def test_a_flow_without_a_mean_has_its_root_mean_square_in_the_peclet_number(bounds):
    """Of the fluid, a fifth and a half of the cell; the diffusivity is that of the fluid too."""
    cell = grid_cell((4, 20), lambda s: (s[:, 1] > 0.7).astype(int), length=3.0)
    turn = 2.0 * np.pi
    flow = GivenFlow(
        fluid="a", velocity=lambda x: np.array([4.0 * np.sin(turn * x[1] / 0.7) * (x[1] % 1.0 < 0.7), 0.0 * x[0]])
    )
    tensor = homogenize_dispersion(cell, {"a": 2.0, "b": 5.0}, flow=flow, bounds=bounds)
    assert tensor.coefficients["peclet"].value == pytest.approx(np.sqrt(8.0) * 3.0 / 2.0, rel=2e-3)


# -- two formulations -----------------------------------------------------------------------------------------------


def test_symmetrised_saddle_point_gives_the_same():
    cell = fibre_array(fraction=0.3, resolution=0.15, order=2)
    flow = StokesFlow(direction=[2.0, 1.0])
    solution = solve_dispersion(cell, {"matrix": 1.0}, flow=flow, peclet=[3.0, 30.0], sorption_length=0.2)
    carrier = solution.solved.carrier
    for one in solution.solved.dispersed:
        for preconditioner in ("direct", "multigrid"):
            problem = symmetrised_problem(carrier, one.scale)
            saddle = solve_correctors(
                solution.cell, problem, preconditioner=preconditioner, rtol=1e-11, max_iterations=3000
            )
            np.testing.assert_allclose(saddle.average / one.mass, one.value, rtol=1e-7)
        engine = solve_correctors(solution.cell, dispersion_problem(carrier, one.scale))
        np.testing.assert_allclose(engine.average / one.mass, one.flux, rtol=1e-8)
    assert [tensor.coefficients["peclet"].value for tensor in solution.series] == [3.0, 30.0]
    assert solution.tensor == solution.series[1]


@pytest.mark.parametrize("peclet", [0.5, 300.0])
def test_iterations_where_factors_are_dear(monkeypatch, peclet):
    """Of linear elements: multigrid of the diffusion for weak flow, incomplete factors for strong flow, same value."""
    cell = fibre_array(fraction=0.3, resolution=0.1, order=2)
    solution = solve_dispersion(cell, {"matrix": 1.0}, peclet=peclet, degree=1)
    carrier, (one,) = solution.solved.carrier, solution.solved.dispersed
    monkeypatch.setattr(solve, "cheap", lambda matrix: False)
    monkeypatch.setattr(linear, "cheap", lambda matrix: False)
    (other,) = solve_dispersed(carrier, [one.scale])
    np.testing.assert_allclose(other.value, one.value, rtol=1e-7, atol=1e-8)
    assert other.correctors.iterations > one.correctors.iterations
    monkeypatch.setenv("HOMFEM_MEMORY", "0.1 MB")
    with pytest.raises(MemoryLimitError, match="dispersion"):
        solve_dispersed(carrier, [one.scale], Method(max_iterations=1))


def test_the_strength_of_a_flow_is_its_peclet_number(monkeypatch):
    """Of the root mean square speed, with the shortest period: it chooses what preconditions where factors are dear."""
    cell = grid_cell((8, 8), vectors=np.diag([1.0, 0.5]))

    def velocity(x):
        return np.stack([12.0 * np.sin(4.0 * np.pi * x[1]), 0.0 * x[0]])

    carrier = solve_dispersion(cell, {"a": 3.0}, flow=GivenFlow(velocity=velocity)).solved.carrier
    series = _Series(carrier, Method())
    assert series.strength == pytest.approx(12.0 / np.sqrt(2.0) * 0.5 / 3.0, rel=2e-3)
    monkeypatch.setattr(solve, "cheap", lambda matrix: False)
    assert [one.preconditioner for one in series._methods(series.still, 10.0)] == ["direct", "streamline"]
    series.carrier = replace(carrier, degree=1)
    for scale, first in ((10.0, None), (-10.0, None), (20.0, "incomplete-factors"), (-20.0, "incomplete-factors")):
        assert [one.preconditioner for one in series._methods(series.still, scale)] == [first, "direct"]
    series.destroy()


@pytest.mark.parametrize(("degree", "order"), [(2, 2), (3, 4), (4, 4)])
def test_convection_on_curved_cells_is_integrated_exactly(degree, order):
    """A quadrature of a higher degree changes nothing but for round-off, one of a lower degree does."""
    cell = fibre_array(fraction=0.3, resolution=0.3, order=order).restrict(["matrix"])
    space = solve.function_space(cell.mesh, "Lagrange", degree)
    velocity = fem.Function(solve.function_space(cell.mesh, "Lagrange", degree, (2,)))
    velocity.x.array[:] = np.random.default_rng(2).standard_normal(len(velocity.x.array))
    u, v, d = ufl.TrialFunction(space), ufl.TestFunction(space), fem.Function(solve.function_space(cell.mesh, "DG", 0))
    carrier = Carrier(cell=cell, diffusivity=d, velocity=velocity, degree=degree)
    more, less = (replace(carrier, exactness=carrier.points + step) for step in (3, -1))
    found, exact, wrong = (solve.assemble_matrix(one.convection(u, v)) for one in (carrier, more, less))
    size = exact.norm()
    for matrix in (found, wrong):
        matrix.axpy(-1.0, exact)
    assert found.norm() < 1e-13 * size < 1e-8 * size < wrong.norm()


def test_a_velocity_and_a_mass_are_sums_of_loads():
    """V and m of the loads are the integrals of the field and of what is held, on curved cells too."""
    cell = fibre_array(fraction=0.3, resolution=0.3, order=4)
    options = {"peclet": 3.0, "sorption_length": 0.2}
    one = solve_dispersion(cell, {"matrix": 2.0}, flow=StokesFlow(direction=(1.0, 0.4)), degree=4, **options).solved
    carrier, (dispersed,) = one.carrier, one.dispersed
    np.testing.assert_allclose(dispersed.mass * cell.lattice.volume, carrier.mass, rtol=1e-13)
    np.testing.assert_allclose(dispersed.velocity, dispersed.scale * carrier.flow / carrier.mass, rtol=1e-12)
    # The speed in the fluid is the one that the Peclet number says, along the direction.
    walls = carrier.mass / solve.volume(carrier.cell.mesh)
    along = np.array([1.0, 0.4]) / np.hypot(1.0, 0.4)
    np.testing.assert_allclose(dispersed.velocity, 2.0 * 3.0 / walls * along, rtol=1e-10)


@pytest.mark.parametrize(
    ("diffusivity", "shared"), [(2.0, True), (lambda x: 1.0 + x[0] * (1.0 - x[0]), False), (np.diag([2.0, 1.0]), False)]
)
def test_flow_and_diffusion_share_a_matrix(monkeypatch, diffusivity, shared):
    """Where the diffusivity is one number; the tensor is that of a diffusion assembled by itself. None is kept."""
    made, names, assemble, matrices = [], [], flow.stiffness_matrix, System.matrices

    def stiffness(*given):
        made.append(assemble(*given))
        return made[-1]

    def blocks(system, form, name, **rest):
        names.append(name)
        return matrices(system, form, name, **rest)

    monkeypatch.setattr(flow, "stiffness_matrix", stiffness)
    monkeypatch.setattr(System, "matrices", blocks)
    cell = fibre_array(fraction=0.3, resolution=0.3, order=3)
    solution = solve_dispersion(cell, {"matrix": diffusivity}, peclet=7.0, degree=3).solved
    assert (len(made), "diffusion" in names) == (1, not shared)
    assert not made[0]  # freed on every rank, though a name for it is left here
    left = weakref.ref(made.pop())
    gc.collect()
    assert left() is None
    (alone,) = solve_dispersed(solution.carrier, [solution.dispersed[0].scale])
    np.testing.assert_allclose(alone.flux, solution.dispersed[0].flux, rtol=1e-9, atol=1e-11)


def disperser(comm=MPI.COMM_WORLD, **flow):
    """What carries in a flow around a box of three different sides."""

    def phase(s):
        return np.all(s > [0.25, 0.5, 0.25], axis=1) & np.all(s < [0.75, 0.99, 0.5], axis=1)

    cell = grid_cell((4, 4, 4), phase, vectors=np.diag([1.0, 1.1, 1.3]), comm=comm)
    return solve_dispersion(cell, {"a": 1.0}, flow=StokesFlow(**flow), peclet=1.0).solved.carrier


def by(carrier, scale, preconditioner, **options):
    """The tensor by one solver alone."""
    (found,) = solve_dispersed(carrier, [scale], Method(preconditioner=preconditioner, rtol=1e-11, **options))
    return found


@pytest.mark.parametrize("peclet", [0.1, 30.0, 3000.0])
def test_multigrid_held_up_along_the_streamlines_gives_what_factors_give(peclet):
    carrier = disperser(direction=[1.0, 0.4, 0.2])
    ours, theirs = (by(carrier, peclet, name, max_iterations=300) for name in ("streamline", "direct"))
    np.testing.assert_allclose(ours.flux, theirs.flux, rtol=1e-8, atol=1e-9)
    assert 3 < ours.correctors.iterations < (60 if peclet < 100.0 else 600)


def test_the_solver_in_space_goes_by_the_strength_of_the_flow_and_the_size(monkeypatch):
    """What does not converge in a few iterations goes to factors, if they fit."""
    carrier = disperser()
    monkeypatch.setattr(solve, "cheap", lambda matrix: False)
    series = _Series(carrier, Method())
    weak, fast = (part * dispersion_series.FAST / series.strength for part in (0.9, -1.1))

    def names(scale):
        return [one.preconditioner for one in series._methods(series.still, scale)]

    assert names(weak) == ["streamline", "direct", "streamline"]
    assert names(fast) == ["direct", "streamline"]
    monkeypatch.setattr(dispersion_series, "FACTORS", 0)
    assert names(fast) == ["streamline", "direct"]
    assert names(weak) == ["streamline", "direct", "streamline"]
    monkeypatch.setattr(dispersion_series, "SHORT", 1)
    assert series.solve(weak).iterations == 3  # of factors
    monkeypatch.setenv("HOMFEM_MEMORY", "1 MB")
    assert series.solve(weak).iterations > 10
    series.destroy()


def case_streamline(comm):
    carrier = disperser(comm)
    return by(carrier, 100.0, "streamline").flux.ravel().tolist()


@pytest.mark.mpi
def test_multigrid_along_the_streamlines_on_several_ranks(on_ranks):
    first, *others = on_ranks(case_streamline)
    for other in others:
        assert other == pytest.approx(first, rel=1e-8, abs=1e-9)


def test_corrector_to_its_order():
    """A manufactured corrector cos 2 pi (x + 2y) of a shear flow: third order in the mean square (degree 2)."""
    errors = []
    for resolution in (1 / 8, 1 / 16):
        solution = solve_dispersion(square(resolution), ONE, flow=shear(5.0, 2.0))
        carrier = solution.solved.carrier
        x = ufl.SpatialCoordinate(solution.cell.mesh)
        exact = ufl.cos(2 * ufl.pi * (x[0] + 2 * x[1]))
        flow = ufl.as_vector([5.0 * ufl.sin(2 * ufl.pi * x[1]), 2.0])
        source = 20 * ufl.pi**2 * exact + ufl.inner(flow, ufl.grad(exact))
        problem = replace(
            dispersion_problem(carrier), loads=1, linear=lambda v, s, f=source: s[0] * f * v * ufl.dx, formula=None,
            average=lambda w, s, z, t, e=exact: (w - s[0] * e) * (z - t[0] * e) * ufl.dx(degree=8),
        )  # fmt: skip
        errors.append(float(np.sqrt(solve_correctors(solution.cell, problem).average[0, 0])))
    assert errors[1] < 4e-3
    assert orders(np.array(errors))[0] > 2.7


# -- ranks ----------------------------------------------------------------------------------------------------------


def case_ranks(comm):
    cell = fibre_array(fraction=0.3, resolution=0.2, order=2, comm=comm)
    flow = StokesFlow(direction=[1.0, 2.0], fluid="matrix")
    found = homogenize_dispersion(
        cell, {"matrix": 1.0, "fibre": 0.3}, flow=flow, peclet=[1.0, 50.0], partition={"fibre": 2.0}
    )
    given = homogenize_dispersion(square(0.25, comm=comm), ONE, flow=StreamFunction(function=generic, fluid=ALL))
    many = homogenize_dispersion(cell, {"matrix": 1.0}, flow=flow, peclet=[0.0, *np.logspace(-1.0, 2.0, 9)])
    return {
        "stokes": [one.value.tolist() for one in found],
        "many": [one.coefficients["flux_form"].value.tolist() for one in many],
        "stream": given.value.tolist(),
    }


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    first, *others = on_ranks(case_ranks)
    for other in others:
        for name, values in first.items():
            np.testing.assert_allclose(other[name], values, rtol=1e-7, atol=1e-9)


# -- what a coarse mesh says of itself -------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [(1.0, 0.0), (1.0, 0.5)])
def test_a_flow_that_is_fast_for_its_mesh_has_its_error_estimated(caplog, direction):
    """Beside a mesh four times as fine: the estimate is above the error, and a slow flow has none."""
    flow, peclet = StokesFlow(direction=direction), [1.0, 300.0, 3000.0]
    coarse, fine = (
        homogenize_dispersion(
            fibre_array(fraction=0.3, resolution=resolution, order=2), {"matrix": 1.0}, flow=flow, peclet=peclet
        )
        for resolution in (0.1, 0.025)
    )
    slow, *fast = zip(coarse, fine, strict=True)
    assert slow[0].estimated_error is None
    assert not slow[0].warnings
    for own, reference in fast:
        true = brackets.relative_gap(reference.value, own.value)
        assert 0.0 < true < own.estimated_error
        assert own.estimated_error > 0.05
        assert "coarse for the Peclet number" in own.warnings[-1]
    assert caplog.text.count("coarse for 2 of the Peclet numbers, 300 to 3000: elements of one degree less differ") == 1
    assert f"by up to {coarse[2].estimated_error:.1%};" in caplog.text
    assert fine[2].estimated_error < 0.5 * coarse[2].estimated_error


def test_the_peclet_number_of_the_mesh():
    """With the mean size of its cells, here the root of 1/32 of the period, and the shortest period."""
    cell = grid_cell((4, 4), length=3.0, vectors=[[2.0, 0.0], [0.0, 2.0]])
    flow = GivenFlow(velocity=lambda x: np.array([1.0 + 0.0 * x[0], 0.0 * x[0]]))
    tensor = homogenize_dispersion(cell, {"a": 1.0}, flow=flow, peclet=100.0, degree=1)
    assert f"that of its cells is {100.0 / np.sqrt(32.0):.3g}, " in tensor.warnings[0]


def test_curved_cells_have_an_estimate_in_the_fastest_flow():
    """The field has no divergence with one quadrature alone: with another the lower degree would have no solution."""
    cell = fibre_array(fraction=0.3, resolution=0.05, order=2)
    assert homogenize_dispersion(cell, {"matrix": 1.0}, peclet=1e6).estimated_error is not None


def test_what_has_no_estimate_says_so():
    cell = fibre_array(fraction=0.3, resolution=0.2)
    slow, fast = homogenize_dispersion(cell, {"matrix": 1.0}, peclet=[1.0, 300.0], degree=1)
    assert not slow.warnings
    assert fast.estimated_error is None
    assert "no estimate" in fast.warnings[-1]
