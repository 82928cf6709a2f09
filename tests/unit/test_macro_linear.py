"""Linear diffusion with boundary values: closed forms, balance of what enters, any ranks, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.macro.conditions import Dirichlet, Neumann, Robin
from homfem.macro.domain import Domain
from homfem.macro.linear import BoundedDiffusionStep, EllipticSolver, LinearProblem
from homfem.parameters import ConvergenceError, InputError
from homfem.timestepping import BACKWARD_EULER, TR_BDF2

SIDES = {
    "left": lambda x: x[0] < 1e-9,
    "right": lambda x: x[0] > 1 - 1e-9,
    "low": lambda x: x[1] < 1e-9,
    "top": lambda x: x[1] > 1 - 1e-9,
}
TENSOR = np.array([[2.0, 0.5], [0.5, 1.0]])


def problem(comm=MPI.COMM_SELF, n=8, conditions=(), tensor=TENSOR, **options) -> LinearProblem:
    made = mesh.create_unit_square(comm, n, n)
    domain = Domain(mesh=made, unit="mm").with_boundaries(SIDES)
    space = fem.functionspace(made, ("Lagrange", 1))
    return LinearProblem(
        domain=domain, space=space, coefficient=fem.Constant(made, tensor), conditions=conditions, **options
    )


def error(u: fem.Function, exact) -> float:
    owned = u.function_space.dofmap.index_map.size_local
    x = u.function_space.tabulate_dof_coordinates()[:owned]
    mine = np.abs(u.x.array[:owned] - exact(x.T)).max(initial=0.0)
    return u.function_space.mesh.comm.allreduce(mine, MPI.MAX)


def plane(x):
    return 1.0 + 2.0 * x[0] - 3.0 * x[1]


GRADIENT = TENSOR @ [2.0, -3.0]  # K grad of the plane
MIXED = (
    Dirichlet(boundary="left", value=lambda x, _t: plane(x)),
    Neumann(boundary="right", flux=float(GRADIENT[0])),
    Neumann(boundary="low", flux=-float(GRADIENT[1])),
    Robin(boundary="top", coefficient=4.0, ambient=lambda x, _t: plane(x) + GRADIENT[1] / 4.0),
)


def case_plane(comm):
    """A linear field is in the space: all conditions give it to the tolerance of the solver."""
    given = problem(comm, conditions=MIXED)
    u = fem.Function(given.space)
    solver = EllipticSolver(given, rtol=1e-12)
    solver.solve(u.x.petsc_vec)
    found = {"rest": error(u, plane)}
    step = BoundedDiffusionStep(given, step=0.1, rtol=1e-12)
    for k in range(3):  # and it stays
        step.apply(u.x.petsc_vec, 0.1 * k)
    found["in time"] = error(u, plane)
    closed = problem(comm, source=lambda x, t: np.exp(-((x[0] - 0.3) ** 2)) * (1 + t), conditions=MIXED[1:3])
    u = fem.Function(closed.space)
    u.interpolate(lambda x: x[0] * x[1])
    step = BoundedDiffusionStep(closed, step=0.1, rtol=1e-3)
    masses = [step.weights.dot(u.x.petsc_vec)]
    for k in range(5):
        step.apply(u.x.petsc_vec, 0.1 * k)
        masses.append(step.weights.dot(u.x.petsc_vec))
    found["masses"] = masses
    return found


def test_a_linear_field_and_the_balance_on_any_ranks(on_ranks):
    results = on_ranks(case_plane)
    for found in results:
        assert found["rest"] < 1e-10
        assert found["in time"] < 1e-10
        # Whatever the solver leaves: the rule in time is exact for what is linear in it.
        s = fem.Function(problem().space)
        s.interpolate(lambda x: np.exp(-((x[0] - 0.3) ** 2)))
        amount = BoundedDiffusionStep(problem(), step=1.0).weights.dot(s.x.petsc_vec)
        start = found["masses"][0]
        assert start == pytest.approx(0.25, rel=0.01)
        expected = [start + (GRADIENT[0] - GRADIENT[1]) * t + amount * (t + 0.5 * t * t) for t in 0.1 * np.arange(6)]
        assert found["masses"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scheme", [BACKWARD_EULER, TR_BDF2])
def test_nothing_leaves_a_closed_domain(scheme):
    given = problem(capacity=3.0)
    u = fem.Function(given.space)
    u.interpolate(lambda x: np.sin(5 * x[0]) + x[1])
    step = BoundedDiffusionStep(given, step=0.01, scheme=scheme, rtol=1e-2)
    start = step.weights.dot(u.x.petsc_vec)
    for k in range(100):
        step.apply(u.x.petsc_vec, 0.01 * k)
    assert step.weights.sum() == pytest.approx(3.0, rel=1e-12)
    assert step.weights.dot(u.x.petsc_vec) == pytest.approx(start, rel=1e-13)
    assert np.ptp(u.x.array) < 0.15  # of 2.2: it has spread


def manufactured(n: int, steps: int, scheme, conditions: str) -> float:
    """u = exp(-t) cos(pi x) cos(2 y) + t y, with K = TENSOR and every kind of condition."""

    def exact(x, t):
        return math.exp(-t) * np.cos(np.pi * x[0]) * np.cos(2 * x[1]) + t * x[1]

    def flux(x, t):
        ux = -np.pi * math.exp(-t) * np.sin(np.pi * x[0]) * np.cos(2 * x[1])
        uy = -2 * math.exp(-t) * np.cos(np.pi * x[0]) * np.sin(2 * x[1]) + t
        return np.array([TENSOR[0, 0] * ux + TENSOR[0, 1] * uy, TENSOR[1, 0] * ux + TENSOR[1, 1] * uy])

    def source(x, t):
        c, s = np.cos(np.pi * x[0]) * np.cos(2 * x[1]), np.sin(np.pi * x[0]) * np.sin(2 * x[1])
        return math.exp(-t) * (-1.5 * c + TENSOR[0, 0] * np.pi**2 * c - 2 * TENSOR[0, 1] * 2 * np.pi * s
                               + TENSOR[1, 1] * 4 * c) + 1.5 * x[1]  # fmt: skip

    h = 2.5
    conditions = {
        "dirichlet": [Dirichlet(boundary=name, value=exact) for name in SIDES],
        "neumann": [
            Neumann(boundary="left", flux=lambda x, t: -flux(x, t)[0]),
            Neumann(boundary="right", flux=lambda x, t: flux(x, t)[0]),
            Neumann(boundary="low", flux=lambda x, t: -flux(x, t)[1]),
            Neumann(boundary="top", flux=lambda x, t: flux(x, t)[1]),
        ],
        "mixed": [
            Dirichlet(boundary="left", value=exact),
            Neumann(boundary="low", flux=lambda x, t: -flux(x, t)[1]),
            Robin(boundary="right", coefficient=h, ambient=lambda x, t: exact(x, t) + flux(x, t)[0] / h),
            Robin(boundary="top", coefficient=h, ambient=lambda x, t: exact(x, t) + flux(x, t)[1] / h),
        ],
    }[conditions]
    given = problem(n=n, source=source, conditions=conditions, capacity=1.5)
    u = fem.Function(given.space)
    u.interpolate(lambda x: exact(x, 0.0))
    step = BoundedDiffusionStep(given, step=0.5 / steps, scheme=scheme, rtol=1e-11)
    for k in range(steps):
        step.apply(u.x.petsc_vec, 0.5 * k / steps)
    x = given.space.tabulate_dof_coordinates().T
    left = u.x.array - exact(x, 0.5)
    return math.sqrt(step.weights.array_r @ left**2 / 1.5)


@pytest.mark.parametrize("conditions", ["dirichlet", "neumann", "mixed"])
def test_second_order_in_space_and_time_with_every_kind_of_condition(conditions):
    errors = [manufactured(n, n, TR_BDF2, conditions) for n in (8, 16, 32)]
    assert np.log2(np.array(errors[:-1]) / np.array(errors[1:])) == pytest.approx([2.0, 2.0], abs=0.15)
    assert errors[-1] < 2.5e-3


@pytest.mark.parametrize(("scheme", "order", "cap"), [(BACKWARD_EULER, 1, 0.02), (TR_BDF2, 2, 4e-4)])
def test_order_in_time_alone(scheme, order, cap):
    """Against a fine step on the same mesh; the boundary values move."""

    def run(steps):
        conditions = (
            Dirichlet(boundary="left", value=lambda x, t: np.sin(3 * t) + 0 * x[0]),
            Robin(boundary="right", coefficient=3.0, ambient=lambda x, t: t * t + 0 * x[0]),
            Neumann(boundary="top", flux=lambda x, t: x[0] * math.cos(2 * t)),
        )
        given = problem(n=6, conditions=conditions)
        u = fem.Function(given.space)
        step = BoundedDiffusionStep(given, step=1.0 / steps, scheme=scheme, rtol=1e-12)
        for k in range(steps):
            step.apply(u.x.petsc_vec, k / steps)
        return u.x.array.copy()

    fine = run(640) if order == 2 else (2 * run(1280) - run(640))
    errors = [np.abs(run(steps) - fine).max() for steps in (10, 20, 40)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.15)
    assert errors[1] < cap


def test_a_closed_system_at_rest_has_mean_zero_and_must_balance():
    """-u'' = cos(pi x): u = cos(pi x)/pi^2; what does not balance is refused."""
    given = problem(n=32, tensor=np.eye(2), source=lambda x, _t: np.cos(np.pi * x[0]))
    u = fem.Function(given.space)
    EllipticSolver(given).solve(u.x.petsc_vec)
    assert error(u, lambda x: np.cos(np.pi * x[0]) / np.pi**2) < 3e-3 / np.pi**2
    fluxes = (Neumann(boundary="left", flux=1.0), Neumann(boundary="right", flux=-1.0))
    given = problem(tensor=2 * np.eye(2), conditions=fluxes)
    u = fem.Function(given.space)
    EllipticSolver(given).solve(u.x.petsc_vec)
    x = given.space.tabulate_dof_coordinates()[:, 0]
    assert u.x.array == pytest.approx(0.25 - 0.5 * x, abs=1e-8)
    with pytest.raises(ConvergenceError, match="diffusion: sources and fluxes leave 1 over"):
        EllipticSolver(problem(conditions=fluxes[:1])).solve(u.x.petsc_vec)


def test_the_mean_at_rest_is_that_of_the_integral():
    """Not that of the nodes: cos(2 pi x) has more of its crests at nodes than of its troughs."""
    given = problem(n=8, tensor=np.eye(2), source=lambda x, _t: np.cos(2 * np.pi * x[0]))
    u = fem.Function(given.space)
    solver = EllipticSolver(given)
    solver.solve(u.x.petsc_vec)
    assert abs(solver.weights.dot(u.x.petsc_vec)) < 1e-15
    assert u.x.array.sum() > 0.1


def test_fixed_values_are_exact_whatever_the_solver_leaves():
    conditions = (Dirichlet(boundary="left", value=lambda x, t: x[1] + t),)
    given = problem(conditions=conditions)
    u = fem.Function(given.space)
    u.interpolate(lambda x: x[1] + 0.1)
    left = given.space.tabulate_dof_coordinates()[:, 0] < 1e-9
    BoundedDiffusionStep(given, step=0.1, rtol=0.3).apply(u.x.petsc_vec, 0.1)
    assert np.array_equal(u.x.array[left], given.space.tabulate_dof_coordinates()[left, 1] + 0.2)
    EllipticSolver(given, rtol=0.3).solve(u.x.petsc_vec, 0.5)
    assert np.array_equal(u.x.array[left], given.space.tabulate_dof_coordinates()[left, 1] + 0.5)


def test_a_load_and_a_fixed_value_at_rest():
    """-u'' = 2 by a vector, u = t at x = 0, no flux at 1: u = t + 2x - x^2, exact at the nodes of an interval."""
    line = mesh.create_interval(MPI.COMM_SELF, 7, [0.0, 1.0])
    domain = Domain(mesh=line, unit="mm").with_boundaries({"start": SIDES["left"]})
    space = fem.functionspace(line, ("Lagrange", 1))
    given = LinearProblem(
        domain=domain,
        space=space,
        coefficient=fem.Constant(line, np.eye(1)),
        conditions=(Dirichlet(boundary="start", value=lambda x, t: t + 0 * x[0]),),
    )
    solver = EllipticSolver(given, rtol=1e-13)
    u, more = fem.Function(space), solver.weights.copy()
    more.scale(2.0)
    solver.solve(u.x.petsc_vec, 5.0, more=more)
    x = space.tabulate_dof_coordinates()[:, 0]
    assert u.x.array == pytest.approx(5.0 + 2.0 * x - x * x, abs=1e-10)


def test_second_order_elements():
    """A quadratic field in P2."""
    made = mesh.create_unit_square(MPI.COMM_SELF, 3, 3)
    domain = Domain(mesh=made, unit="mm").with_boundaries(SIDES)
    space = fem.functionspace(made, ("Lagrange", 2))
    given = LinearProblem(
        domain=domain,
        space=space,
        coefficient=fem.Constant(made, TENSOR),
        source=-2.0 * TENSOR[0, 0],
        conditions=tuple(Dirichlet(boundary=name, value=lambda x, _t: x[0] ** 2) for name in SIDES),
    )
    u = fem.Function(space)
    EllipticSolver(given, rtol=1e-12).solve(u.x.petsc_vec)
    assert error(u, lambda x: x[0] ** 2) < 1e-10


@pytest.mark.parametrize(
    ("conditions", "named"),
    [
        ((Dirichlet(boundary="lef", value=0.0),), r"conditions\[0\]\.boundary = 'lef'.*'left'.*Did you mean 'left'"),
        ((Dirichlet(boundary="left", value=0.0), Neumann(boundary="left", flux=0.0)), r"conditions\[1\].*two"),
        ((Robin(boundary="top", coefficient=0.0, ambient=0.0),), r"conditions\[0\]\.coefficient = 0.0.*> 0"),
    ],
)
def test_bad_conditions_are_refused(conditions, named):
    with pytest.raises(InputError, match=named):
        problem(conditions=conditions)


@pytest.mark.parametrize(
    ("conditions", "named"),
    [
        ((Dirichlet(boundary="left", value=math.nan),), r"conditions\[0\]\.value = nan"),
        ((Neumann(boundary="left", flux=lambda x, _t: x),), r"conditions\[0\]\.flux = \(3, 9\).*shape \(9,\)"),
    ],
)
def test_bad_values_are_refused(conditions, named):
    u = fem.Function(problem().space)
    with pytest.raises(InputError, match=named):
        EllipticSolver(problem(conditions=conditions)).solve(u.x.petsc_vec)
