"""States at rest, and transport with reaction in one Newton solve, against exact solutions at their orders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from analytic_transport import danckwerts_profile, krogh_first_order, krogh_zero_order, reactive_slab
from homfem.bodies import box_mesh, mesh_from_arrays
from homfem.kinetics import FITZHUGH_NAGUMO
from homfem.kinetics.reactions import named_reaction, written_reaction
from homfem.macro.conditions import Dirichlet, Neumann, Outflow, Robin
from homfem.macro.domain import Domain
from homfem.macro.probes import Probes
from homfem.macro.reaction_diffusion import (
    Method,
    ReactionDiffusion,
    Species,
    run_reaction_diffusion,
    solve_at_rest,
)
from homfem.macro.stimulus import Box, Stimulus
from homfem.parameters import ConvergenceError, InputError
from homfem.solve import Numbering, integrate
from homfem.timestepping import Schedule, TimeGrid


def error(u: fem.Function, exact) -> float:
    space = fem.functionspace(u.function_space.mesh, ("Lagrange", u.function_space.ufl_element().degree + 2))
    fine, there = fem.Function(space), fem.Function(space)
    fine.interpolate(u)
    there.interpolate(exact)
    return float(np.sqrt(integrate((fine - there) ** 2 * ufl.dx)))


def line(length, n, comm=MPI.COMM_SELF) -> Domain:
    made = box_mesh(comm, [length], [n])
    ends = {"left": lambda x: x[0] < 1e-9, "right": lambda x: x[0] > length - 1e-9}
    return Domain(mesh=made, unit="um").with_boundaries(ends)


def orders(errors) -> float:
    return float(np.log2(errors[-2] / errors[-1]))


@pytest.mark.parametrize(("degree", "order", "cap"), [(1, 2.0, 2e-3), (2, 3.0, 3e-5)])
def test_a_slab_with_a_reaction_of_first_order(degree, order, cap):
    def run(n):
        kinetics = named_reaction("first-order", parameters={"rate": 4.0})
        species = Species(name="u", tensor=0.5, conditions=[Dirichlet(boundary="right", value=2.0)])
        problem = ReactionDiffusion(mesh=line(1.5, n), species=[species], kinetics=kinetics, degree=degree)
        result = solve_at_rest(problem)
        assert result.conserved[0].drift < 1e-12
        exact = lambda x: reactive_slab(x[0], half=1.5, diffusivity=0.5, rate=4.0, surface=2.0)  # noqa: E731
        return error(result.fields["u"], exact)

    errors = [run(n) for n in (20, 40)]
    assert orders(errors) == pytest.approx(order, abs=0.15)
    assert errors[-1] < cap


def test_a_reactor_whose_inlet_is_a_flux():
    """Danckwerts' conditions: what flows in is v times the feed; what flows out takes along what there is."""

    def run(n):
        kinetics = named_reaction("first-order", parameters={"rate": 0.7})
        ends = [Neumann(boundary="left", flux=1.2 * 3.0), Outflow(boundary="right")]
        species = Species(name="u", tensor=0.4, velocity=[1.2], conditions=ends)
        result = solve_at_rest(ReactionDiffusion(mesh=line(2.0, n), species=[species], kinetics=kinetics))
        assert result.conserved[0].drift < 1e-12
        numbers = {"length": 2.0, "velocity": 1.2, "dispersion": 0.4, "rate": 0.7, "feed": 3.0}
        return error(result.fields["u"], lambda x: danckwerts_profile(x[0], **numbers))

    errors = [run(n) for n in (20, 40)]
    assert orders(errors) == pytest.approx(2.0, abs=0.15)
    assert errors[-1] < 2e-3


def ring(n: int, inner=1.0, outer=3.0, comm=MPI.COMM_SELF) -> Domain:
    """A quarter of the tissue around a capillary, with its wall."""

    def arrays():
        r, a = np.meshgrid(np.linspace(inner, outer, n + 1), np.linspace(0.0, 0.5 * np.pi, n + 1), indexing="ij")
        points = np.stack([r * np.cos(a), r * np.sin(a)], axis=-1).reshape(-1, 2)
        at = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
        low, right, up, across = at[:-1, :-1], at[1:, :-1], at[:-1, 1:], at[1:, 1:]
        cells = np.concatenate([np.stack(c, axis=-1).reshape(-1, 3) for c in ((low, right, across), (low, across, up))])
        return points, cells

    wall = {"wall": lambda x: np.hypot(x[0], x[1]) < inner + 1e-6}
    return Domain(mesh=mesh_from_arrays(comm, arrays), unit="um").with_boundaries(wall)


@pytest.mark.parametrize("kind", ["zero-order", "first-order"])
def test_krogh(kind):
    """On straight edges, which lie inside of the wall: second order."""
    numbers = {"capillary": 1.0, "tissue": 3.0, "diffusivity": 2.0}

    def run(n):
        kinetics = named_reaction(kind, parameters={"rate": 0.5})
        species = Species(name="u", tensor=2.0, initial=5.0, conditions=[Dirichlet(boundary="wall", value=5.0)])
        result = solve_at_rest(ReactionDiffusion(mesh=ring(n), species=[species], kinetics=kinetics))
        if kind == "zero-order":
            exact = lambda r: krogh_zero_order(r, uptake=0.5, wall=5.0, **numbers)  # noqa: E731
        else:
            exact = lambda r: krogh_first_order(r, rate=0.5, wall=5.0, **numbers)  # noqa: E731
        u = result.fields["u"]
        x = u.function_space.tabulate_dof_coordinates()
        return float(np.abs(u.x.array - exact(np.hypot(x[:, 0], x[:, 1]))).max())

    errors = [run(n) for n in (8, 16, 32)]
    assert orders(errors) == pytest.approx(2.0, abs=0.3)
    assert errors[-1] < 3e-3


def sleeve(n: int, inner=1.0, outer=3.0, length=2.0, comm=MPI.COMM_SELF) -> Domain:
    """A quarter of the tissue around a piece of a capillary, of tetrahedra."""
    m = n // 3

    def arrays():
        r, a, z = np.meshgrid(
            np.linspace(inner, outer, n + 1), np.linspace(0.0, 0.5 * np.pi, n + 1), np.linspace(0.0, length, m + 1),
            indexing="ij",
        )  # fmt: skip
        points = np.stack([r * np.cos(a), r * np.sin(a), z], axis=-1).reshape(-1, 3)
        at = np.arange(r.size).reshape(r.shape)
        cells = []
        for order in itertools.permutations(range(3)):  # from corner to corner of each box along its edges
            ways = np.cumsum([np.zeros(3, int), *np.eye(3, dtype=int)[list(order)]], axis=0)
            corners = [at[i : n + i, j : n + j, k : m + k].ravel() for i, j, k in ways]
            cells.append(np.stack(corners, axis=1))
        return points, np.concatenate(cells)

    places = {
        "wall": lambda x: np.hypot(x[0], x[1]) < inner + 1e-6,
        "begin": lambda x: x[2] < 1e-9,
        "end": lambda x: x[2] > length - 1e-9,
    }
    return Domain(mesh=mesh_from_arrays(comm, arrays), unit="um").with_boundaries(places)


def test_krogh_in_space():
    """Around a capillary that loses oxygen along its length: a linear function more, which fluxes at the ends hold."""
    numbers = {"capillary": 1.0, "tissue": 3.0, "diffusivity": 2.0, "uptake": 0.5, "wall": 5.0}

    def run(n):
        conditions = [
            Dirichlet(boundary="wall", value=lambda x, _t: 5.0 - 0.3 * x[2]),
            Neumann(boundary="begin", flux=0.6),
            Neumann(boundary="end", flux=-0.6),
        ]
        species = Species(name="u", tensor=2.0, initial=5.0, conditions=conditions)
        kinetics = named_reaction("zero-order", parameters={"rate": 0.5})
        result = solve_at_rest(ReactionDiffusion(mesh=sleeve(n), species=[species], kinetics=kinetics))
        return error(result.fields["u"], lambda x: krogh_zero_order(np.hypot(x[0], x[1]), **numbers) - 0.3 * x[2])

    errors = [run(n) for n in (6, 12, 24)]
    assert orders(errors) == pytest.approx(2.0, abs=0.3)
    assert errors[-1] < 1e-2


@pytest.mark.parametrize(("degree", "order", "cap"), [(1, 2.0, 2e-2), (2, 3.0, 8e-4)])
def test_a_manufactured_state_with_every_condition(degree, order, cap):
    """Two species with nonlinear reactions, a tensor, a velocity; u = 2 + cos x e^y, w = 1 + x y."""
    d, v, h = np.array([[1.0, 0.3], [0.3, 0.6]]), np.array([0.8, -0.4]), 2.0
    sides = {
        "left": lambda x: x[0] < 1e-9,
        "right": lambda x: x[0] > 1 - 1e-9,
        "low": lambda x: x[1] < 1e-9,
        "top": lambda x: x[1] > 1 - 1e-9,
    }
    u = lambda x, _t=0.0: 2.0 + np.cos(x[0]) * np.exp(x[1])  # noqa: E731
    w = lambda x, _t=0.0: 1.0 + x[0] * x[1]  # noqa: E731
    ux = lambda x: np.stack([-np.sin(x[0]) * np.exp(x[1]), np.cos(x[0]) * np.exp(x[1])])  # noqa: E731
    wx = lambda x: np.stack([x[1], x[0]])  # noqa: E731

    def enters(x, normal):
        return normal @ (d @ ux(x) - v[:, None] * u(x))

    # v . grad u - div(d grad u) - (u^2 - w) balanced by what is written with x and y; likewise for w.
    lap = "(-cos(x)*exp(y) + 2*0.3*(-sin(x)*exp(y)) + 0.6*cos(x)*exp(y))"
    rates = {
        "u": f"u^2 - w - (2 + cos(x)*exp(y))^2 + 1 + x*y + 0.8*(-sin(x)*exp(y)) - 0.4*cos(x)*exp(y) - {lap}",
        "w": "u*(1 + x*y) - u*w - 0.5*(w - 1 - x*y)",
    }

    def run(n):
        made = box_mesh(MPI.COMM_SELF, [1.0, 1.0], [n, n])
        domain = Domain(mesh=made, unit="um").with_boundaries(sides)
        kinetics = written_reaction(rates, ["u", "w"], dimension=2)
        first = Species(
            name="u",
            tensor=d,
            velocity=v,
            initial=3.0,
            conditions=[
                Dirichlet(boundary="left", value=u),
                Neumann(boundary="low", flux=lambda x, _t: enters(x, np.array([0.0, -1.0]))),
                Robin(
                    boundary="top",
                    coefficient=h,
                    ambient=lambda x, _t: u(x) + enters(x, np.array([0.0, 1.0])) / h,
                ),
                Dirichlet(boundary="right", value=u),
            ],
        )
        ends = [
            Neumann(boundary=name, flux=lambda x, _t, normal=normal: np.array(normal) @ wx(x))
            for name, normal in (
                ("left", [-1.0, 0.0]),
                ("right", [1.0, 0.0]),
                ("low", [0.0, -1.0]),
                ("top", [0.0, 1.0]),
            )
        ]
        second = Species(name="w", tensor=1.0, initial=1.0, conditions=ends)
        problem = ReactionDiffusion(mesh=domain, species=[first, second], kinetics=kinetics, degree=degree)
        result = solve_at_rest(problem)
        assert max(entry.drift for entry in result.conserved) < 1e-12
        return error(result.fields["u"], u) + error(result.fields["w"], w)

    errors = [run(n) for n in (4, 8, 16)]
    assert orders(errors) == pytest.approx(order, abs=0.35)
    assert errors[-1] < cap


def case_front(comm):
    """A nonlinear state and an implicit run of two species on any ranks, with a probe."""
    kinetics = written_reaction({"a": "-a*b - a^3", "b": "-a*b + 1"}, ["a", "b"])
    species = [
        Species(name="a", tensor=0.2, initial=1.0, conditions=[Dirichlet(boundary="left", value=2.0)]),
        Species(
            name="b",
            tensor=0.1,
            initial=0.5,
            conditions=[Robin(boundary="right", coefficient=1.0, ambient=0.3)],
            sources=[Stimulus(place=Box(low=(0.2,), high=(0.55,)), amplitude=2.0)],
        ),
    ]
    problem = ReactionDiffusion(mesh=line(1.0, 20, comm), species=species, kinetics=kinetics)
    probes = Probes({"p": [0.3]})
    rest = solve_at_rest(problem, observers=[probes])
    late = run_reaction_diffusion(problem, TimeGrid(end=60.0, step=4.0), Method(splitting="implicit"))
    numbers = Numbering(rest.fields["a"].function_space)
    owned = rest.fields["a"].function_space.dofmap.index_map.size_local
    found = {
        f"{what} {name}": numbers.gather(result.fields[name].x.array[:owned]).tolist()
        for what, result in (("rest", rest), ("late", late))
        for name in "ab"
    }
    return {
        "fields": found,
        "drift": [entry.drift for result in (rest, late) for entry in result.conserved],
        "probe": probes.values("p", "a").tolist(),
    }


def test_a_run_comes_to_rest_in_the_state_at_rest_on_any_ranks(on_ranks):
    one, *others = on_ranks(case_front)
    for name in "ab":
        assert one["fields"][f"late {name}"] == pytest.approx(one["fields"][f"rest {name}"], abs=1e-8)
    assert max(one["drift"]) < 1e-12
    assert len(one["probe"]) == 1
    for other in others:
        assert max(other["drift"]) < 1e-12
        assert other["probe"] == pytest.approx(one["probe"], abs=1e-11)
        for name, values in one["fields"].items():
            assert other["fields"][name] == pytest.approx(values, abs=1e-10)


def test_split_and_implicit_runs_meet():
    """With a source, immobile and moving species; half the step, a quarter of the difference."""

    def run(splitting, steps):
        kinetics = written_reaction({"a": "-2*a*b", "b": "-2*a*b", "c": "2*a*b"}, ["a", "b", "c"])
        species = [
            Species(name="a", tensor=1.0, volume_fraction=0.5, initial=lambda x: 1.0 + x[0]),
            Species(
                name="b", tensor=0.3, initial=0.7, sources=[Stimulus(place=Box(low=(0.0,), high=(0.5,)), amplitude=1.0)]
            ),
            Species(name="c"),
        ]
        problem = ReactionDiffusion(mesh=line(1.0, 10), species=species, kinetics=kinetics)
        result = run_reaction_diffusion(problem, TimeGrid(end=1.0, step=1.0 / steps), Method(splitting=splitting))
        assert all(entry.drift < 1e-12 for entry in result.conserved)
        return np.concatenate([result.numbers[f"{name} amount"][-1:] for name in "abc"])

    exact = run("implicit", 80)
    for splitting, cap in (("implicit", 2e-4), ("strang", 2e-3)):
        assert np.abs(run(splitting, 20) - exact).max() < cap


@pytest.mark.parametrize(
    ("species", "kinetics", "named"),
    [
        (Species(name="u", tensor=1.0), None, r"species\.u\.conditions = \[\].*at rest"),
        (
            Species(
                name="u",
                tensor=1.0,
                conditions=[Dirichlet(boundary="left", value=1.0)],
                sources=[Stimulus(place=Box(low=(0.0,), high=(0.5,)), amplitude=1.0, schedule=Schedule(duration=1.0))],
            ),
            None,
            r"species\.u\.sources\[0\]\.schedule",
        ),
    ],
)
def test_states_without_rest_are_refused(species, kinetics, named):
    with pytest.raises(InputError, match=named):
        solve_at_rest(ReactionDiffusion(mesh=line(1.0, 4), species=[species], kinetics=kinetics))


def test_what_does_not_come_to_rest_raises():
    """u'' = -e^u - 9 has no solution between held ends."""
    ends = [Dirichlet(boundary=name, value=0.0) for name in ("left", "right")]
    kinetics = written_reaction({"u": "20*exp(u)"}, ["u"])
    problem = ReactionDiffusion(
        mesh=line(1.0, 20), species=[Species(name="u", tensor=1.0, conditions=ends)], kinetics=kinetics
    )
    with np.errstate(all="ignore"), pytest.raises(ConvergenceError, match=r"Newton|finite"):
        solve_at_rest(problem)


def test_kinetics_with_states_are_refused_where_all_is_solved_together():
    problem = ReactionDiffusion(
        mesh=line(1.0, 4), species=[Species(name="V", tensor=1.0)], kinetics=FITZHUGH_NAGUMO, time_unit="ms"
    )
    with pytest.raises(InputError, match=r"kinetics = 'FitzHugh-Nagumo with states'.*strang"):
        run_reaction_diffusion(problem, TimeGrid(end=1.0, step=0.5), Method(splitting="implicit"))
