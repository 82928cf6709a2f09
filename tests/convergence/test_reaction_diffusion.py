"""Reaction-diffusion against exact solutions at the orders of the methods."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from analytic_transport import fisher_speed, fisher_wave, nagumo_speed, nagumo_wave
from homfem.bodies import box_mesh
from homfem.kinetics.reactions import named_reaction, written_reaction
from homfem.macro.conditions import Dirichlet
from homfem.macro.domain import Domain
from homfem.macro.observers import Activation
from homfem.macro.reaction_diffusion import Method, ReactionDiffusion, Species, run_reaction_diffusion
from homfem.solve import integrate
from homfem.timestepping import TimeGrid


def line(length: float, n: int, comm=MPI.COMM_SELF) -> Domain:
    made = box_mesh(comm, [length], [n])
    ends = {"left": lambda x: x[0] < 1e-9, "right": lambda x: x[0] > length - 1e-9}
    return Domain(mesh=made, unit="um").with_boundaries(ends)


def error(u: fem.Function, exact) -> float:
    """In the norm of L2, by quadrature in a finer space."""
    space = fem.functionspace(u.function_space.mesh, ("Lagrange", u.function_space.ufl_element().degree + 2))
    fine, there = fem.Function(space), fem.Function(space)
    fine.interpolate(u)
    there.interpolate(exact)
    return float(np.sqrt(integrate((fine - there) ** 2 * ufl.dx)))


@pytest.mark.parametrize(("degree", "order", "cap"), [(1, 2.0, 3e-3), (2, 3.0, 4e-5)])
def test_volume_fractions_by_region_at_the_order_of_the_elements(degree, order, cap):
    """Two tissues with one D/phi; no flux where they meet: u = 1 + cos(2 pi x) exp(-4 pi^2 D t/phi)."""

    def run(n):
        domain = line(1.0, n).with_regions({"a": lambda x: x[0] < 0.5, "b": lambda x: x[0] > 0.5})
        species = Species(
            name="u",
            tensor={"a": 0.02, "b": 0.008},
            volume_fraction={"a": 0.5, "b": 0.2},
            initial=lambda x: 1.0 + np.cos(2.0 * np.pi * x[0]),
        )
        problem = ReactionDiffusion(mesh=domain, species=[species], degree=degree)
        result = run_reaction_diffusion(problem, TimeGrid(end=0.4, step=0.01))
        assert result.conserved[0].drift < 1e-12
        decay = np.exp(-4.0 * np.pi**2 * 0.04 * 0.4)
        return error(result.fields["u"], lambda x: 1.0 + decay * np.cos(2.0 * np.pi * x[0]))

    errors = [run(n) for n in (8, 16, 32)]
    assert np.log2(errors[0] / errors[2]) / 2.0 == pytest.approx(order, abs=0.25)
    assert errors[2] < cap


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_a_rate_per_tissue_is_shared_by_volumes_where_fractions_meet(degree, dimension):
    """u' = -k u/phi at the nodes inside, and what one species loses the other gains, whatever their fractions."""
    domain = Domain(mesh=box_mesh(MPI.COMM_SELF, [1.0] * dimension, [4] * dimension), unit="um")
    domain = domain.with_regions({"a": lambda x: x[0] < 0.5, "b": lambda x: x[0] > 0.5})
    species = [
        Species(name="a", volume_fraction={"a": 0.5, "b": 0.2}, initial=1.0),
        Species(name="b", volume_fraction={"a": 0.3, "b": 0.6}),
    ]
    kinetics = written_reaction({"a": "-k*a", "b": "k*a"}, ["a", "b"], parameters={"k": 0.1})
    problem = ReactionDiffusion(mesh=domain, species=species, kinetics=kinetics, degree=degree)
    result = run_reaction_diffusion(problem, TimeGrid(end=1.0, step=0.05))
    assert all(entry.drift < 1e-13 for entry in result.conserved)
    a = result.fields["a"]
    x = a.function_space.tabulate_dof_coordinates()[:, 0]
    assert a.x.array[x < 0.49] == pytest.approx(np.exp(-0.2), rel=1e-4)
    assert a.x.array[x > 0.51] == pytest.approx(np.exp(-0.5), rel=1e-4)
    middle = a.x.array[np.abs(x - 0.5) < 0.01]
    assert np.all((middle > np.exp(-0.5)) & (middle < np.exp(-0.2)))


FRONTS = {
    "fisher": (named_reaction("fisher", parameters={"rate": 2.0}), {"diffusivity": 0.5, "rate": 2.0}, fisher_wave),
    "nagumo": (
        named_reaction("nagumo", parameters={"rate": 6.0, "threshold": 0.1}),
        {"diffusivity": 0.5, "rate": 6.0, "threshold": 0.1},
        nagumo_wave,
    ),
}


def front(name: str, *, n: int, steps: int, degree: int = 1, method: Method | None = None, end=0.5):
    """A front in the middle of the domain, with its values at the ends."""
    kinetics, numbers, wave = FRONTS[name]
    exact = lambda x, t: wave(x[0], t, **numbers, start=12.0)  # noqa: E731
    domain = line(20.0, n)
    ends = [Dirichlet(boundary=boundary, value=exact) for boundary in ("left", "right")]
    species = Species(name="u", tensor=numbers["diffusivity"], initial=lambda x: exact(x, 0.0), conditions=ends)
    problem = ReactionDiffusion(mesh=domain, species=[species], kinetics=kinetics, degree=degree)
    result = run_reaction_diffusion(problem, TimeGrid(end=end, step=end / steps), method)
    assert result.conserved[0].drift < 1e-12
    return error(result.fields["u"], lambda x: exact(x, end))


@pytest.mark.parametrize("name", list(FRONTS))
@pytest.mark.parametrize(("degree", "order", "cap"), [(1, 2.0, 1.2e-3), (2, 3.0, 1.2e-4)])
def test_fronts_at_the_order_of_the_elements(name, degree, order, cap):
    errors = [front(name, n=n // degree, steps=100, degree=degree) for n in (100, 200, 400)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.25)
    assert errors[2] < cap


@pytest.mark.parametrize(
    ("method", "order", "cap"),
    [
        (Method(), 2.0, 1e-3),
        (Method(scheme="crank-nicolson"), 2.0, 1e-3),
        (Method(splitting="godunov"), 1.0, 0.2),
        (Method(splitting="strang", subcycles=3), 2.0, 1e-3),
        (Method(splitting="implicit"), 2.0, 2e-4),
        (Method(splitting="implicit", scheme="crank-nicolson"), 2.0, 4e-4),
        (Method(splitting="implicit", scheme="backward-euler"), 1.0, 2e-2),
    ],
)
def test_fronts_at_the_order_in_time(method, order, cap):
    errors = [front("nagumo", n=320, degree=2, steps=steps, method=method) for steps in (5, 10, 20)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.3)
    assert errors[1] < cap


@pytest.mark.parametrize(
    ("name", "speed"), [("fisher", fisher_speed(0.5, 2.0)), ("nagumo", nagumo_speed(0.5, 6.0, 0.1))]
)
def test_fronts_run_at_their_exact_speed(name, speed):
    """Fisher's from its exact profile: from a step it would run at the least speed. Nagumo's from a step."""
    kinetics, numbers, wave = FRONTS[name]
    domain = line(40.0, 800)
    start = (lambda x: wave(x[0], 0.0, **numbers, start=5.0)) if name == "fisher" else lambda x: (x[0] < 5.0) * 1.0
    species = Species(name="u", tensor=numbers["diffusivity"], initial=start)
    problem = ReactionDiffusion(mesh=domain, species=[species], kinetics=kinetics)
    seen = Activation("u", 0.5, name="seen")
    steps = round(26.0 / speed / 0.04)
    run_reaction_diffusion(problem, TimeGrid(end=26.0 / speed, step=26.0 / speed / steps), observers=[seen])
    times = seen.times
    at = times.function_space.tabulate_dof_coordinates()[:, 0]
    use = (at > 12.0) & (at < 24.0)
    assert np.polyfit(times.x.array[use], at[use], 1)[0] == pytest.approx(speed, rel=2e-3)
