"""Transport by a flow: exact solutions at their orders, streamline diffusion, Darcy's flow, what is kept."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from analytic_transport import gaussian_plume, ogata_banks
from homfem.bodies import box_mesh
from homfem.macro.conditions import Dirichlet, Neumann, Outflow
from homfem.macro.domain import Domain
from homfem.macro.flow import Darcy, cell_peclet, darcy_velocity, velocity_coefficient
from homfem.macro.reaction_diffusion import (
    Method,
    ReactionDiffusion,
    ReactionDiffusionModel,
    Species,
    run_reaction_diffusion,
)
from homfem.parameters import InputError
from homfem.solve import integrate
from homfem.timestepping import TimeGrid


def box(sides, counts, comm=MPI.COMM_SELF) -> Domain:
    names = [("left", "right"), ("bottom", "top"), ("front", "back")]
    made = box_mesh(comm, sides, counts)
    places = {}
    for axis, side in enumerate(sides):
        places[names[axis][0]] = lambda x, axis=axis: x[axis] < 1e-9
        places[names[axis][1]] = lambda x, axis=axis, side=side: x[axis] > side - 1e-9
    return Domain(mesh=made, unit="um").with_boundaries(places)


def error(u: fem.Function, exact) -> float:
    space = fem.functionspace(u.function_space.mesh, ("Lagrange", u.function_space.ufl_element().degree + 2))
    fine, there = fem.Function(space), fem.Function(space)
    fine.interpolate(u)
    there.interpolate(exact)
    return float(np.sqrt(integrate((fine - there) ** 2 * ufl.dx)))


def column(n: int, steps: int, degree=1, method=None) -> float:
    """The column of Ogata and Banks from t = 1 to 3, with phi: V = v/phi, D = D'/phi."""
    phi, v, d = 0.4, 0.8, 0.6
    exact = lambda x, t: ogata_banks(x[0], 1.0 + t, velocity=v / phi, dispersion=d / phi)  # noqa: E731
    species = Species(
        name="u",
        tensor=d,
        volume_fraction=phi,
        velocity=[v],
        initial=lambda x: exact(x, 0.0),
        conditions=[Dirichlet(boundary="left", value=1.0), Outflow(boundary="right")],
    )
    problem = ReactionDiffusion(mesh=box([24.0], [n]), species=[species], degree=degree)
    result = run_reaction_diffusion(problem, TimeGrid(end=2.0, step=2.0 / steps), method)
    assert result.conserved[0].drift < 1e-12
    return error(result.fields["u"], lambda x: exact(x, 2.0))


@pytest.mark.parametrize("method", [None, Method(splitting="implicit")])
def test_an_inlet_that_is_on_from_the_start_is_of_second_order(method):
    """The start is zero: the inlet has its value from t = 0 on, and does not rise within the first step."""
    conditions = [Dirichlet(boundary="left", value=1.0), Outflow(boundary="right")]
    species = Species(name="u", tensor=1.0, velocity=[1.0], conditions=conditions)
    problem = ReactionDiffusion(mesh=box([10.0], [100]), species=[species])
    results = [run_reaction_diffusion(problem, TimeGrid(end=1.0, step=1.0 / n), method) for n in (10, 20, 640)]
    one, two, fine = (result.fields["u"].x.array for result in results)
    assert all(result.conserved[0].drift < 1e-12 for result in results)
    errors = [np.abs(values - fine).max() for values in (one, two)]
    assert errors[0] < 5e-4
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("degree", "method", "order", "cap"),
    [(1, None, 2.0, 4e-3), (2, None, 3.0, 2e-4), (1, Method(stabilization="supg"), 2.0, 5e-3)],
)
def test_a_column_at_the_order_of_the_elements(degree, method, order, cap):
    counts = (60, 120, 240) if degree == 1 else (15, 30, 60)
    errors = [column(n, 160, degree, method) for n in counts]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.25)
    assert errors[2] < cap


@pytest.mark.parametrize(("scheme", "order"), [("tr-bdf2", 2.0), ("crank-nicolson", 2.0), ("backward-euler", 1.0)])
def test_a_column_at_the_order_in_time(scheme, order):
    errors = [column(400, steps, 2, Method(scheme=scheme)) for steps in (10, 20, 40)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.25)
    assert errors[1] < (0.1 if order == 1.0 else 0.01)


DISPERSION = np.array([[0.3, 0.1, 0.0], [0.1, 0.15, 0.05], [0.0, 0.05, 0.2]])


def plume(sides, n: int, steps: int, *, start: float = 1.0, end: float = 1.0, amount: float = 1e-3) -> float:
    """A spot that drifts askew and spreads along the axes of an anisotropic tensor."""
    d = len(sides)
    phi, velocity, tensor = 0.5, [0.6, 0.3, -0.2][:d], DISPERSION[:d, :d]
    numbers = {"mass": 1.0, "velocity": velocity, "dispersion": tensor, "fraction": phi}
    centre = np.array([5.0, 5.0, 6.0])[:d, None]
    exact = lambda x, t: gaussian_plume(x[:d] - centre, start + t, **numbers)  # noqa: E731
    species = Species(name="u", tensor=tensor, volume_fraction=phi, velocity=velocity, initial=lambda x: exact(x, 0.0))
    problem = ReactionDiffusion(mesh=box(sides, [n] * d), species=[species])
    result = run_reaction_diffusion(problem, TimeGrid(end=end, step=end / steps))
    assert result.conserved[0].drift < 1e-12
    assert result.numbers["u amount"][-1] == pytest.approx(1.0, rel=amount)  # of the interpolated start
    return error(result.fields["u"], lambda x: exact(x, end))


def test_a_plume_in_space_at_second_order():
    errors = [plume([12.0, 11.0, 10.0], n, n // 2, start=0.8, amount=5e-3) for n in (16, 24)]
    assert np.log(errors[0] / errors[1]) / np.log(1.5) == pytest.approx(2.0, abs=0.3)
    assert errors[1] < 1.5e-2


def test_a_plume_in_the_plane_at_second_order():
    errors = [plume([16.0, 14.0], n, n // 4) for n in (24, 48, 96)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2.0, abs=0.3)
    assert errors[2] < 4e-3


def case_drift(comm):
    """In space: the first moments of what is there, and the fields on any ranks."""
    domain = box([2.0, 1.0, 1.0], [16, 8, 8], comm)
    start = lambda x: np.exp(-((x[0] - 0.7) ** 2 + (x[1] - 0.5) ** 2 + (x[2] - 0.5) ** 2) / 0.02)  # noqa: E731
    species = Species(name="u", tensor=0.01, velocity=[0.8, 0.0, 0.0], initial=start)
    model = ReactionDiffusionModel(ReactionDiffusion(mesh=domain, species=[species]), step=0.05)
    weights = model.equations.weights["u"]
    x = model.equations.coordinates()[0]
    moment = lambda: comm.allreduce(float(weights @ (x * model.values["u"])))  # noqa: E731
    amount = lambda: comm.allreduce(float(weights @ model.values["u"]))  # noqa: E731
    found = [moment() / amount()]
    for k in range(8):
        model.advance(0.05 * k)
    peak = comm.allreduce(float(model.values["u"].max(initial=0.0)), op=MPI.MAX)
    return {"moments": [*found, moment() / amount()], "amount": amount(), "peak": peak}


def test_what_drifts_in_space_is_the_same_on_1_2_3_ranks(on_ranks):
    one, *others = on_ranks(case_drift)
    assert one["moments"][1] - one["moments"][0] == pytest.approx(0.4 * 0.8, rel=2e-3)
    for other in others:
        assert other["moments"] == pytest.approx(one["moments"], rel=1e-9)
        assert other["amount"] == pytest.approx(one["amount"], rel=1e-11)
        assert other["peak"] == pytest.approx(one["peak"], rel=1e-8)


def layer(stabilization: str, n: int = 20) -> fem.Function:
    """A stream at a cell Peclet number of 50 that is held at 0 where it leaves: a layer far thinner than a cell."""
    ends = [Dirichlet(boundary="left", value=1.0), Dirichlet(boundary="right", value=0.0)]
    species = Species(name="u", tensor=0.01 / n, velocity=[1.0], initial=1.0, conditions=ends)
    problem = ReactionDiffusion(mesh=box([1.0], [n]), species=[species])
    return run_reaction_diffusion(problem, TimeGrid(end=4.0, step=0.05), Method(stabilization=stabilization)).fields[
        "u"
    ]


def test_streamline_diffusion_leaves_no_wiggles_and_is_chosen_and_said(caplog):
    wild = layer("none").x.array
    assert wild.max() > 1.5
    with caplog.at_level(logging.INFO, logger="homfem"):
        calm = layer("auto")
    assert "transport of u: Peclet number of a cell up to 50, SUPG" in caplog.text
    x = calm.function_space.tabulate_dof_coordinates()[:, 0]
    assert calm.x.array[x < 0.94] == pytest.approx(1.0, abs=0.02)
    assert calm.x.array.max() < 1.03
    assert np.array_equal(calm.x.array, layer("supg").x.array)


def test_a_smooth_stream_at_a_high_peclet_number_at_second_order():
    """u = sin(x - t) carried along, with hardly any diffusion: its inlet moves."""

    def run(n):
        exact = lambda x, t: np.sin(2.0 * (x[0] - t)) + 2.0  # noqa: E731
        ends = [Dirichlet(boundary="left", value=exact), Outflow(boundary="right")]
        species = Species(name="u", tensor=1e-6, velocity=[1.0], initial=lambda x: exact(x, 0.0), conditions=ends)
        problem = ReactionDiffusion(mesh=box([2.0], [n]), species=[species])
        result = run_reaction_diffusion(problem, TimeGrid(end=1.0, step=0.5 / n))
        assert result.conserved[0].drift < 1e-12
        return error(result.fields["u"], lambda x: exact(x, 1.0))

    errors = [run(n) for n in (20, 40, 80)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2.0, abs=0.4)
    assert errors[2] < 5e-3


def stream(degree: int) -> tuple[Domain, Darcy]:
    """A flow from left to right past a plug that is hardly permeable."""
    domain = box([2.0, 1.0], [12, 6]).with_regions(
        {
            "plug": lambda x: (np.abs(x[0] - 1.0) < 0.35) & (x[1] < 0.5),
            "rest": lambda x: (np.abs(x[0] - 1.0) > 0.35) | (x[1] > 0.5),
        }
    )
    return domain, Darcy(permeability={"plug": 0.01, "rest": 2.0}, viscosity=0.5, pressures={"left": 3.0, "right": 1.0})


@pytest.mark.parametrize("degree", [1, 2])
def test_a_constant_stays_in_darcys_flow_and_amounts_are_kept(degree):
    domain, flow = stream(degree)
    species = [
        Species(
            name="one",
            tensor=0.05,
            velocity=flow,
            initial=1.0,
            conditions=[Dirichlet(boundary="left", value=1.0), Outflow(boundary="right")],
        ),
        Species(name="closed", tensor=0.05, velocity=flow, initial=lambda x: x[0]),
        Species(
            name="in",
            tensor=0.05,
            velocity=flow,
            conditions=[Neumann(boundary="left", flux=2.0), Outflow(boundary="right")],
        ),
    ]
    problem = ReactionDiffusion(mesh=domain, species=species, degree=degree)
    result = run_reaction_diffusion(problem, TimeGrid(end=0.5, step=0.02))
    assert result.fields["one"].x.array == pytest.approx(1.0, abs=1e-10)
    assert all(entry.drift < 1e-12 for entry in result.conserved)
    assert np.ptp(result.numbers["closed amount"]) < 1e-12
    assert 0.1 < result.numbers["in amount"][-1] < 1.0


def test_darcys_velocity_in_layers_is_exact():
    """Pressures along layers: k_i/mu times the gradient; across: the same in all, by the harmonic mean."""
    domain = box([2.0, 1.0], [8, 4]).with_regions({"low": lambda x: x[1] < 0.5, "high": lambda x: x[1] > 0.5})
    space = fem.functionspace(domain.mesh, ("Lagrange", 1))
    k = {"low": 3.0, "high": np.diag([1.0, 2.0])}
    v = darcy_velocity("v", domain, space, Darcy(permeability=k, viscosity=0.5, pressures={"left": 5.0, "right": 1.0}))
    for region, expected in (("low", 3.0), ("high", 1.0)):
        assert domain.integral(v[0], region) == pytest.approx(expected * 2.0 / 0.5, rel=1e-10)
        assert abs(domain.integral(abs(v[1]), region)) < 1e-10
    up = darcy_velocity("v", domain, space, Darcy(permeability=k, viscosity=0.5, pressures={"bottom": 4.0, "top": 0.0}))
    assert domain.integral(up[1]) == pytest.approx(2.0 * 4.0 / 0.5 / (0.5 / 3.0 + 0.5 / 2.0), rel=1e-10)


def test_a_flow_with_divergence_makes_nothing_and_is_told(caplog):
    """v = x: what is there is thinned out, not more: the amount is kept where nothing leaves."""
    species = Species(
        name="u", tensor=0.1, velocity=lambda x: x[:1] - 0.5, initial=1.0, conditions=[Outflow(boundary="right")]
    )
    problem = ReactionDiffusion(mesh=box([1.0], [20]), species=[species])
    result = run_reaction_diffusion(problem, TimeGrid(end=1.0, step=0.05))
    assert "species.u.velocity: its divergence is not zero" in caplog.text
    assert result.conserved[0].drift < 1e-12
    assert result.numbers["u amount"][-1] < 0.9


def test_a_flow_into_a_wall_is_told(caplog):
    """What crosses a boundary of which nothing is said piles up there; with outflow, or along it, nothing is told."""
    ends = [Dirichlet(boundary="left", value=1.0), Outflow(boundary="right")]
    for velocity, conditions, told in (
        ([1.0, 0.0], ends, False),
        ([1.0, 0.0], ends[:1], True),
        ([1.0, 0.1], ends, True),
    ):
        caplog.clear()
        species = Species(name="u", tensor=1.0, velocity=velocity, conditions=conditions)
        ReactionDiffusionModel(ReactionDiffusion(mesh=box([1.0, 1.0], [2, 2]), species=[species]), step=0.1)
        assert ("crosses boundaries of which nothing is said" in caplog.text) == told


def test_velocities_by_region_and_of_any_kind():
    domain = box([2.0, 1.0], [4, 2]).with_regions({"low": lambda x: x[1] < 0.5, "high": lambda x: x[1] > 0.5})
    space = fem.functionspace(domain.mesh, ("Lagrange", 2))
    by_region = velocity_coefficient("v", domain, space, {"low": [1.0, 0.0], "*": [2.0, 0.0]})
    assert domain.integral(by_region[0]) == pytest.approx(3.0)
    of_place = velocity_coefficient("v", domain, space, lambda x: np.stack([x[1] ** 2, 0.0 * x[0]]))
    assert domain.integral(of_place[0]) == pytest.approx(2.0 / 3.0)
    assert cell_peclet(domain, by_region, None) == math.inf
    k = fem.Constant(domain.mesh, 0.5 * np.eye(2))
    assert cell_peclet(domain, velocity_coefficient("v", domain, space, [0.0, 0.0]), k) == 0.0
    line = box([1.0], [4])
    v = velocity_coefficient("v", line, fem.functionspace(line.mesh, ("Lagrange", 1)), [3.0])
    assert cell_peclet(line, v, fem.Constant(line.mesh, [[0.5]])) == pytest.approx(3.0 * 0.25 / (2.0 * 0.5))


@pytest.mark.parametrize(
    ("velocity", "named"),
    [
        ([1.0], r"species\.u\.velocity = \[1\.0\].*2 finite"),
        ([1.0, math.nan], r"species\.u\.velocity = \[1\.0, nan\]"),
        ("fast", r"species\.u\.velocity = 'fast'"),
        ({"here": [1.0, 0.0]}, r"species\.u\.velocity = 'here'"),
        (lambda x: x[0], r"species\.u\.velocity = \(\d+,\).*shape \(2, \d+\)"),
        (Darcy(permeability=1.0, viscosity=0.0, pressures={"left": 1.0}), r"velocity\.viscosity = 0\.0"),
        (Darcy(permeability=1.0, viscosity=1.0, pressures={}), r"velocity\.pressures = \{\}"),
        (Darcy(permeability=1.0, viscosity=1.0, pressures={"lft": 1.0}), r"velocity\.pressures = 'lft'.*'left'"),
        (Darcy(permeability=-1.0, viscosity=1.0, pressures={"left": 1.0}), r"velocity\.permeability = -1\.0"),
    ],
)
def test_bad_velocities_are_refused(velocity, named):
    species = Species(name="u", tensor=1.0, velocity=velocity)
    with pytest.raises(InputError, match=named):
        ReactionDiffusionModel(ReactionDiffusion(mesh=box([1.0, 1.0], [2, 2]), species=[species]), step=0.1)
