"""Bounds of dispersion: exact tensors inside, for any fields at all; the gap where it is; what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, brackets, solve
from homfem.cells import fibre_array
from homfem.certify.dispersion import GivenFlow, StokesFlow, StreamFunction, solve_dispersion
from homfem.certify.dispersion.bounds import _Allowances, _Forms, certify, degree_of_fluxes
from homfem.certify.dispersion.gap import dispersion_gaps
from homfem.certify.dispersion.stream import Stream
from homfem.certify.dispersion.velocity import solenoidal
from homfem.local.diffusion import diffusion_coefficient
from homfem.local.equilibrium import Equilibrium
from homfem.parameters import InputError
from made_cells import grid_cell

TAU = 2.0 * np.pi


def cellular(x):
    return np.sin(TAU * x[0]) * np.sin(TAU * x[1])


def generic(x):
    waves = np.cos(TAU * (x[0] + 2 * x[1])), np.sin(TAU * (2 * x[0] - x[1]) + 0.7)
    return cellular(x) + 0.5 * waves[0] + 0.3 * waves[1]


def shear(strength, across):
    """Along x by the sine of y, with a wind along y: the tensor is known exactly."""

    def velocity(x):
        found = np.zeros_like(x)
        found[0], found[1] = strength * np.sin(TAU * x[1]), across
        return found

    return velocity, 1.0 + 0.5 * strength**2 / (TAU**2 + across**2)


def inside(tensor, value, room=0.0):
    assert brackets.violation(tensor.lower, value) <= room
    assert brackets.violation(value, tensor.upper) <= room


@pytest.mark.parametrize(("scale", "value", "half_gap"), [(1.0, 1.117730417, 2e-4), (10.0, 3.416574503, 1e-2)])
def test_a_cellular_flow(scale, value, half_gap):
    flow = StreamFunction(function=lambda x: scale * cellular(x))
    tensor = solve_dispersion(grid_cell((12, 12)), {"a": 1.0}, flow=flow, bounds=True).tensor
    inside(tensor, value * np.eye(2))
    assert tensor.relative_gap < half_gap
    assert brackets.violation(tensor.lower, tensor.value) == brackets.violation(tensor.value, tensor.upper) == 0.0


def test_a_flow_without_symmetry():
    """A tensor with all of its entries, against a Fourier method."""
    flow = StreamFunction(function=generic)
    tensor = solve_dispersion(grid_cell((20, 20)), {"a": 1.0}, flow=flow, bounds=True).tensor
    inside(tensor, np.array([[1.20805027, -0.0309194369], [-0.0309194369, 1.16489756]]))
    assert tensor.relative_gap < 1e-4


@pytest.mark.parametrize(("d", "n", "across"), [(2, 10, 0.0), (2, 10, 5.0), (3, 4, 5.0)])
def test_a_shear_flow(d, n, across):
    velocity, along = shear(10.0, across)
    divisions = (3, n, *(3,) * (d - 2))
    tensor = solve_dispersion(grid_cell(divisions), {"a": 1.0}, flow=GivenFlow(velocity=velocity), bounds=True).tensor
    exact = np.diag([along, *np.ones(d - 1)])
    # Where nothing is carried both sides are D itself, but for what the field of the mesh differs from the given one.
    assert tensor.lower[1:, 1:] == pytest.approx(exact[1:, 1:], abs=1e-7)
    assert tensor.upper[1:, 1:] == pytest.approx(exact[1:, 1:], abs=1e-7)
    inside(tensor, exact, room=1e-7)
    assert tensor.relative_gap < 0.05


def test_what_a_change_of_the_flow_may_do():
    """All that the flow adds to the diffusivity goes with the square of its speed."""
    velocity, along = shear(10.0, 0.0)
    solution = solve_dispersion(grid_cell((3, 6)), {"a": 1.0}, flow=GivenFlow(velocity=velocity), bounds=True)
    change, tensor = solution.solved.flow.change, solution.tensor
    assert 1e-5 < change < 1e-2
    told = float(tensor.coefficients["flow_error"].value)
    assert told == pytest.approx(2.0 * change * (along - 1.0) / along, rel=1e-2)


def golay(peclet, held):
    """Taylor's dispersion in a slit of the width 1 with sorbing walls, per capacity; Golay 1958."""
    half = 0.5 * peclet
    return 1.0 / (1 + held) + 2.0 / 105.0 * half**2 * (1 + 9 * held + 25.5 * held**2) / (1 + held) ** 3


@pytest.mark.parametrize("held", [0.0, 1.0])
def test_a_slit_with_walls_that_sorb(held):
    """Half of the cell is a slit; its walls hold as much as the fluid, or nothing."""
    cell = grid_cell((3, 12), lambda s: (s[:, 1] > 0.5).astype(int))
    # The width is one half: the Peclet number of the period is twice that of the width.
    solution = solve_dispersion(cell, {"a": 1.0}, peclet=[0.0, 20.0], sorption_length=0.25 * held, bounds=True)
    for tensor, peclet in zip(solution.series, (0.0, 10.0), strict=True):
        exact = golay(peclet, held)
        assert tensor.lower[0, 0] <= exact * (1.0 + 1e-12)
        assert exact * (1.0 - 1e-12) <= tensor.upper[0, 0]
        assert tensor.lower[1, 1] == tensor.upper[1, 1] == 0.0
        assert tensor.upper[0, 0] - tensor.lower[0, 0] < 5e-3 * exact


def beside_still_layers(peclet, still, share):
    """Taylor's dispersion in a slit of half of the period between layers that do not flow: along and across."""
    z, h, end = np.polynomial.Polynomial([0.0, 1.0]), 0.25, 0.5
    mean = peclet * h / (h + share * (end - h))
    carried = peclet * (1.5 * z - 0.5 * z**3 / h**2) - mean * z
    taken = share * mean * (end - z)
    inside, beside = (1.0 + carried**2).integ(), (share * still + taken**2 / (share * still)).integ()
    held = 2.0 * (h + share * (end - h))
    along = 2.0 * (inside(h) - inside(0.0) + beside(end) - beside(h)) / held
    return along, 1.0 / (2.0 * h + 2.0 * (end - h) / (share * still)) / held


@pytest.mark.parametrize(("d", "n"), [(2, 12), (3, 4)])
def test_a_slit_between_layers_that_do_not_flow(d, n):
    """They hold twice as much as the fluid, and the solute is slow in them."""
    cell = grid_cell((3, n, *(3,) * (d - 2)), lambda s: (s[:, 1] > 0.5).astype(int))
    tensor = solve_dispersion(
        cell,
        {"a": 1.0, "b": 0.3},
        flow=StokesFlow(fluid="a"),
        peclet=20.0,
        partition={"b": 2.0},
        bounds=True,
    ).tensor
    along, across = beside_still_layers(20.0, 0.3, 2.0)
    for axis, exact in enumerate((along, across)):
        assert tensor.lower[axis, axis] <= exact * (1.0 + 1e-10)
        assert exact * (1.0 - 1e-10) <= tensor.upper[axis, axis]
    assert tensor.relative_gap < (1e-3 if d == 2 else 3e-2)
    assert tensor.retardation == pytest.approx(1.5, rel=1e-9)


def test_a_given_flow_is_that_of_the_fluid_alone():
    """What the function says of phases that do not flow is not taken."""
    cell = grid_cell((3, 4), lambda s: (s[:, 1] > 0.5).astype(int))
    flow = GivenFlow(fluid="a", velocity=lambda x: np.stack([1.0 + 0.0 * x[0], 0.0 * x[0]]))
    for bounds in (True, False):
        tensor = solve_dispersion(cell, {"a": 1.0, "b": 1.0}, flow=flow, bounds=bounds).tensor
        assert tensor.coefficients["velocity"].value == pytest.approx([0.5, 0.0], rel=1e-9, abs=1e-9)
        # F rises and falls by 1/8 of the speed: its mean square is a third of (1/8)^2.
        assert tensor.value[0, 0] == pytest.approx(1.0 + 1.0 / 192.0, rel=1e-9)


# Any fields ----------------------------------------------------------------------------------------------------------


def stream(comm, case):
    """A flow through two phases, with all that a stream may have."""
    d, hole = case["d"], case["hole"]
    n = 6 if d == 2 else 3

    def phase(s):
        inner = np.all(np.abs(s - 0.5) < 0.2, axis=1)
        return np.where(inner & hole, 2, (s[:, 0] > 0.5).astype(int))

    cell = grid_cell((n,) * d, phase, comm=comm).restrict(["a", "b"])
    skewed = np.eye(d) + 0.4 * (np.eye(d, k=1) + np.eye(d, k=-1))
    coefficient = diffusion_coefficient(cell, {"a": 0.5 * np.eye(d), "b": 2.0 * skewed})
    given = fem.Function(solve.function_space(cell.mesh, "Lagrange", 2, (d,)))

    def velocity(x):
        waves = [np.sin(TAU * x[(k + 1) % d] + k) + 0.4 * np.cos(TAU * x[k]) + 0.3 for k in range(d)]
        return case["speed"] * np.array(waves)

    given.interpolate(velocity)
    found = solenoidal(cell, [given])
    return Stream(
        cell=cell,
        coefficient=coefficient,
        velocity=found.functions[0],
        uncertainty=float(found.uncertainty[0]),
        capacity=cell.cell_function({"a": 1.0, "b": 3.0}),
        wall_capacity=fem.Constant(cell.mesh, 0.7) if hole else None,
    )


def drawn(given, degree, seed, size):
    """Random fields, the same on any ranks: values by position."""
    space = solve.function_space(given.cell.mesh, "Lagrange", degree)
    draw, fields = np.random.default_rng(seed), []
    for _ in range(2 * given.cell.dimension):
        wave, phase = draw.integers(-2, 3, (4, given.cell.dimension)), draw.uniform(0.0, TAU, 4)
        field = fem.Function(space)
        field.interpolate(lambda x, w=wave, t=phase: size * np.sin(TAU * w @ x[: w.shape[1]] + t[:, None]).sum(axis=0))
        fields.append(field)
    half = given.cell.dimension
    return fields[:half], fields[half:]


CASES = [
    {"d": 2, "hole": False, "speed": 3.0},
    {"d": 2, "hole": True, "speed": 5.0},
    {"d": 3, "hole": False, "speed": 3.0},
]


def all_brackets(comm, case):
    """The two bounds for several pairs of fields of several degrees, and how far the sum of the gaps is off."""
    given = stream(comm, case)
    found, off = [], []
    for seed, (degree, size) in enumerate([(2, 0.0), (2, 0.02), (1, 0.2), (2, 1.0)]):
        equilibrium = Equilibrium(given.cell, given.coefficient, degree_of_fluxes(degree))
        fields = drawn(given, degree, seed, size)
        sides = certify(given, *fields, equilibrium)
        gap = dispersion_gaps(given, *fields, sides.fluxes)
        assert np.all(gap >= 0.0)
        apart = float(np.trace(sides.high - sides.low))
        off.append(abs(comm.allreduce(float(gap.sum()), op=MPI.SUM) / apart - 1.0))
        found.append((sides.lower, sides.upper))
        equilibrium.destroy()
    return found, off


@pytest.mark.parametrize("case", CASES)
def test_any_fields_bound_from_both_sides(case):
    """Every lower bound lies below every upper one, whatever fields they are made of; and the gap is where it is."""
    found, off = all_brackets(MPI.COMM_SELF, case)
    for lower, _ in found:
        for _, upper in found:
            assert brackets.violation(lower, upper) == 0.0
    assert max(off) < 1e-8


def test_a_velocity_that_is_not_known_exactly():
    """What an uncertain velocity can change in both sides is at most what is allowed for it."""
    given = stream(MPI.COMM_SELF, CASES[1])
    equilibrium = Equilibrium(given.cell, given.coefficient, 4)
    fields = drawn(given, 2, 5, 0.3)
    exact = certify(given, *fields, equilibrium)
    draw = np.random.default_rng(2)
    for _ in range(3):
        noise = fem.Function(given.velocity.function_space)
        noise.x.array[:] = 1e-9 * draw.standard_normal(len(noise.x.array))
        size = float(np.sqrt(solve.integrate(ufl.inner(noise, noise) * ufl.dx)))
        noise.x.array[:] += given.velocity.x.array
        sides = certify(replace(given, velocity=noise, uncertainty=size), *fields, equilibrium)
        for wrong, right, allowed, usual in (
            (sides.low, exact.low, sides.below, exact.below),
            (sides.high, exact.high, sides.above, exact.above),
        ):
            assert 1e-13 < np.abs(wrong - right).max() < np.linalg.norm(allowed - usual, 2)
            assert brackets.violation(right, wrong + allowed) == brackets.violation(wrong - allowed, right) == 0.0
    equilibrium.destroy()


def test_what_an_uncertain_velocity_does_to_the_work_on_g(monkeypatch):
    """The worst one is g less its mean under m: what it does is allowed for, for each axis, and no more."""
    given, nothing, omega = stream(MPI.COMM_SELF, CASES[1]), np.zeros((2, 2)), 1e-6
    equilibrium = Equilibrium(given.cell, given.coefficient, 4)
    f, g = drawn(given, 2, 5, 0.3)
    fluxes = certify(given, f, g, equilibrium).fluxes
    space, work = given.velocity.function_space, []
    for axis, one in enumerate(g):
        apart = one - solve.integrate(given.held(one)) / given.measure
        worst = fem.Function(space)
        direction = ufl.as_vector([apart if k == axis else 0.0 * apart for k in range(2)])
        worst.interpolate(fem.Expression(direction, _dolfinx.interpolation_points(space)))
        size = float(np.sqrt(solve.integrate(ufl.inner(worst, worst) * ufl.dx)))
        worst.x.array[:] = given.velocity.x.array + omega / size * worst.x.array
        before, after = (
            _Forms(replace(given, velocity=flow), one.function_space, 3).energies(f, g)[2]
            for flow in (given.velocity, worst)
        )
        work.append(2.0 * abs(after - before)[axis, axis])
        assert work[-1] == pytest.approx(2.0 * omega * size, rel=1e-6)
    monkeypatch.setattr(_Allowances, "_lacking", lambda *_: np.zeros(2))

    def allowed(uncertainty):
        known, forms = replace(given, uncertainty=uncertainty), _Forms(given, g[0].function_space, 3)
        return _Allowances(known, forms, equilibrium, fluxes).of(f, g, nothing, nothing)[0]

    spread = allowed(omega) - allowed(0.0)
    assert spread == pytest.approx(2.0 * max(work) * np.eye(2), rel=1e-6)
    for one in g:  # a constant that is added to g does nothing
        one.x.array[:] += 7.0
    assert allowed(omega) - allowed(0.0) == pytest.approx(spread, rel=1e-6)
    equilibrium.destroy()


def test_wrong_fields_are_refused():
    given = stream(MPI.COMM_SELF, CASES[0])
    equilibrium = Equilibrium(given.cell, given.coefficient, 2)
    f, g = drawn(given, 2, 0, 1.0)
    with pytest.raises(InputError, match="of degree 4 at least"):
        certify(given, f, g, equilibrium)
    with pytest.raises(InputError, match="2 of each kind"):
        certify(given, f[:1], g, equilibrium)
    broken = [fem.Function(solve.function_space(given.cell.mesh, "DG", 1)) for _ in range(2)]
    with pytest.raises(InputError, match="continuous Lagrange"):
        certify(given, broken, broken, equilibrium)
    equilibrium.destroy()


# The whole -----------------------------------------------------------------------------------------------------------


def test_fibres_between_bounds():
    """Peclet 0 to 100 from one mesh; the limits are of round fibres, the bounds of this mesh of them."""
    solution = solve_dispersion(
        fibre_array(fraction=0.3, resolution=0.1), {"matrix": 1.0}, peclet=[1.0, 10.0, 100.0], bounds=True
    )
    limits = {1.0: (0.79098942, 0.76874271), 10.0: (2.0785848, 0.8200195), 100.0: (71.510432, 1.0499567)}
    for tensor, (peclet, limit) in zip(solution.series, limits.items(), strict=True):
        assert float(tensor.coefficients["peclet"].value) == peclet
        assert tensor.relative_gap < 2e-3
        assert tensor.coefficients["velocity"].value == pytest.approx([peclet, 0.0], rel=1e-9, abs=1e-3)
        # Straight facets change the tensor of this mesh by less than two parts in a thousand.
        assert np.all(np.diag(tensor.lower) < np.array(limit) * 1.002)
        assert np.all(np.diag(tensor.upper) > np.array(limit) * 0.998)
        assert "without divergence" in tensor.conventions["bounds"]
    # The tensor that the loop judges is the one whose bounds are farthest apart.
    assert solution.tensor.relative_gap == max(one.relative_gap for one in solution.series)


def test_a_diffusivity_in_any_unit():
    """Of 1e-9 m^2/s as of 1: nothing is added to what is far larger."""
    cell = fibre_array(fraction=0.3, resolution=0.3)
    one = solve_dispersion(cell, {"matrix": 1.0}, peclet=10.0, bounds=True).tensor
    for size in (1e-15, 1e15):
        other = solve_dispersion(cell, {"matrix": size}, peclet=10.0, bounds=True).tensor
        for ours, theirs in ((one.value, other.value), (one.lower, other.lower), (one.upper, other.upper)):
            assert theirs / size == pytest.approx(ours, rel=1e-7, abs=1e-7)


def test_what_facets_and_the_flow_may_change_is_told():
    """Around fibres the distance to the limit is within the estimates, which fall with the mesh."""
    limit, estimates = np.array([2.0785848, 0.8200195]), []
    for resolution in (0.2, 0.05):
        tensor = solve_dispersion(
            fibre_array(fraction=0.3, resolution=resolution), {"matrix": 1.0}, peclet=10.0, bounds=True
        ).tensor
        flow = float(tensor.coefficients["flow_error"].value)
        off = float(np.abs(np.diag(tensor.value) / limit - 1.0).max())
        assert off < flow + tensor.relative_geometric_error < 0.02
        estimates.append((flow, tensor.relative_geometric_error))
    assert all(fine < 0.3 * coarse for coarse, fine in zip(*estimates, strict=True))


def test_the_loop_ends_at_the_tolerance_or_says_that_it_did_not():
    flow = StreamFunction(function=lambda x: 30.0 * cellular(x))
    options = {"flow": flow, "tolerance": 0.02}
    solution = solve_dispersion(grid_cell((8, 8)), {"a": 1.0}, **options)
    assert solution.tensor.reached
    assert solution.tensor.relative_gap <= 0.02 < solution.history[0]["relative_gap"]
    short = solve_dispersion(grid_cell((8, 8)), {"a": 1.0}, max_dofs=500, **options).tensor
    assert not short.reached
    assert short.relative_gap > 0.02


def test_what_has_no_bounds():
    curved = fibre_array(fraction=0.3, resolution=0.3, order=2)
    with pytest.raises(InputError, match="order 2"):
        solve_dispersion(curved, {"matrix": 1.0}, peclet=1.0, bounds=True)
    with pytest.raises(InputError, match=r"tolerance.*order 2.*geometric_error"):
        solve_dispersion(curved, {"matrix": 1.0}, peclet=1.0, tolerance=0.1)
    cell = fibre_array(fraction=0.3, resolution=0.3)
    assert solve_dispersion(cell, {"matrix": 1.0}, peclet=1.0).tensor.lower is None


def case_ranks(comm):
    found, off = all_brackets(comm, CASES[1])
    whole = solve_dispersion(
        fibre_array(fraction=0.3, resolution=0.2, comm=comm), {"matrix": 1.0}, peclet=10.0, bounds=True
    )
    still = solve_dispersion(
        fibre_array(fraction=0.3, resolution=0.2, comm=comm),
        {"matrix": 1.0, "fibre": 0.2},
        flow=StokesFlow(fluid="matrix"),
        peclet=10.0,
        bounds=True,
    )
    both = [*whole.tensor.lower.ravel(), *still.tensor.lower.ravel(), still.tensor.geometric_error]
    return [*np.ravel(found).tolist(), *both, float(max(off) < 1e-8)]


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    first, *others = on_ranks(case_ranks)
    assert first[-1]
    for other in others:
        assert other == pytest.approx(first, rel=1e-6, abs=1e-7)
