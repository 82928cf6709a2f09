"""What is not negative stays so: where the Galerkin method does not, at no loss of amounts or of order."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem.bodies import box_mesh, mesh_from_arrays
from homfem.kinetics.reactions import named_reaction, written_reaction
from homfem.macro.conditions import Dirichlet, Neumann, Outflow, Robin
from homfem.macro.domain import Domain
from homfem.macro.flow import Darcy
from homfem.macro.reaction import NodalReaction
from homfem.macro.reaction_diffusion import (
    Method,
    ReactionDiffusion,
    ReactionDiffusionModel,
    Species,
    run_reaction_diffusion,
    solve_at_rest,
)
from homfem.macro.stimulus import Ball, Stimulus
from homfem.parameters import InputError
from homfem.solve import Numbering, integrate
from homfem.timestepping import TimeGrid

KEEPING = Method(positivity=True)
TENSOR = np.array([[1.0, 0.9], [0.9, 1.0]])


def skewed(comm=MPI.COMM_SELF, n=12) -> Domain:
    """A parallelogram of triangles with angles of 150 degrees."""

    def arrays():
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
        points = np.stack([i + 1.73 * j, 1.0 * j], axis=-1).reshape(-1, 2) / n
        at = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
        low, right, up, across = at[:-1, :-1], at[1:, :-1], at[:-1, 1:], at[1:, 1:]
        cells = np.concatenate([np.stack(c, axis=-1).reshape(-1, 3) for c in ((low, right, across), (low, across, up))])
        return points, cells

    sides = {"bottom": lambda x: x[1] < 1e-9, "top": lambda x: x[1] > 1.0 - 1e-9}
    return Domain(mesh=mesh_from_arrays(comm, arrays), unit="um").with_boundaries(sides)


def spot(x):
    return np.where(np.hypot(x[0] - 1.3, x[1] - 0.5) < 0.2, 1.0, 0.0)


def history(comm, method, *, velocity=None, conditions=(), reaction=None, end=0.1, steps=20):
    species = Species(name="u", tensor=0.1 * TENSOR, initial=spot, velocity=velocity, conditions=conditions)
    problem = ReactionDiffusion(mesh=skewed(comm), species=[species], kinetics=reaction)
    return run_reaction_diffusion(problem, TimeGrid(end=end, step=end / steps), method)


FLOWS = {
    "still": {},
    "closed flow": {"velocity": [2.0, 1.0]},
    "through": {
        "velocity": Darcy(permeability=np.diag([1.0, 3.0]), viscosity=0.5, pressures={"bottom": 1.0, "top": 0.0}),
        "conditions": [Dirichlet(boundary="bottom", value=0.3), Outflow(boundary="top")],
    },
    "fed": {"conditions": [Neumann(boundary="bottom", flux=0.4), Robin(boundary="top", coefficient=2.0, ambient=0.1)]},
}


@pytest.mark.parametrize("flow", list(FLOWS))
@pytest.mark.parametrize("scheme", ["tr-bdf2", "backward-euler", "crank-nicolson"])
def test_nothing_becomes_negative_on_obtuse_angles(flow, scheme):
    plain = history(MPI.COMM_SELF, Method(scheme=scheme, stabilization="none"), **FLOWS[flow])
    kept = history(MPI.COMM_SELF, Method(scheme=scheme, positivity=True), **FLOWS[flow])
    assert plain.numbers["u minimum"].min() < -1e-3
    assert kept.numbers["u minimum"].min() >= 0.0
    assert kept.conserved[0].drift < 1e-12
    if flow == "through":  # advection rules
        assert kept.numbers["u maximum"].max() <= 1.0 + 1e-12
        assert plain.numbers["u maximum"].max() > 2.0
    if flow in ("still", "fed"):  # the Galerkin solution but for what is limited
        difference = np.abs(kept.fields["u"].x.array - plain.fields["u"].x.array).max()
        assert 1e-4 < difference < 0.1


def stream(n: int, method) -> float:
    """u = 2 + sin 2(x - t), carried along with hardly any diffusion: smooth, with extrema."""
    exact = lambda x, t: 2.0 + np.sin(2.0 * (x[0] - t))  # noqa: E731
    domain = Domain(mesh=box_mesh(MPI.COMM_SELF, [6.0], [n]), unit="um").with_boundaries(
        {"left": lambda x: x[0] < 1e-9, "right": lambda x: x[0] > 6.0 - 1e-9}
    )
    ends = [Dirichlet(boundary="left", value=exact), Outflow(boundary="right")]
    species = Species(name="u", tensor=1e-6, velocity=[1.0], initial=lambda x: exact(x, 0.0), conditions=ends)
    problem = ReactionDiffusion(mesh=domain, species=[species])
    result = run_reaction_diffusion(problem, TimeGrid(end=1.0, step=2.0 / n), method)
    assert result.conserved[0].drift < 1e-12
    if method.positivity and method.stabilization == "auto":
        assert result.numbers["u maximum"].max() < 3.001
        assert result.numbers["u minimum"].min() > 0.999
    fine = fem.Function(fem.functionspace(domain.mesh, ("Lagrange", 3)))
    there = fine.copy()
    fine.interpolate(result.fields["u"])
    there.interpolate(lambda x: exact(x, 1.0))
    return float(np.sqrt(integrate((fine - there) ** 2 * ufl.dx)))


def test_a_smooth_stream_loses_little_but_at_its_extrema():
    """Upwinding alone has first order; with nothing to limit the solution is Galerkin's."""
    errors = [stream(n, KEEPING) for n in (50, 100, 200)]
    assert np.log2(errors[0] / errors[2]) / 2.0 > 1.4
    assert errors[2] < 0.01
    plain = Method(stabilization="none")
    free = Method(stabilization="none", positivity=True)
    assert stream(50, free) == pytest.approx(stream(50, plain), rel=1e-9)


def case_kept(comm):
    kinetics = named_reaction("first-order", parameters={"rate": 3.0})
    result = history(comm, KEEPING, reaction=kinetics, end=0.05, steps=4, **FLOWS["through"])
    u = result.fields["u"]
    owned = u.function_space.dofmap.index_map.size_local
    return {
        "u": Numbering(u.function_space).gather(u.x.array[:owned]).tolist(),
        "least": float(result.numbers["u minimum"].min()),
        "drift": result.conserved[0].drift,
    }


def test_the_same_on_1_2_3_ranks(on_ranks):
    one, *others = on_ranks(case_kept)
    for found in (one, *others):
        assert found["least"] >= 0.0
        assert found["drift"] < 1e-12
        assert found["u"] == pytest.approx(one["u"], abs=1e-10)


def test_a_reaction_takes_no_more_than_there_is():
    """A step far too long, shared rates: nothing negative, what one loses the other gains; exact where it is short."""
    kinetics = named_reaction("bimolecular", ["a", "b", "c"], parameters={"rate": 100.0})
    a, b, c = np.linspace(0.0, 2.0, 9), np.linspace(1.0, 0.0, 9), np.zeros(9)
    start = a + c
    for order in (1, 2):
        fields = {"a": a.copy(), "b": b.copy(), "c": c.copy()}
        reaction = NodalReaction(kinetics, fields, order=order, positive=True)
        for _ in range(3):
            reaction.step(0.0, 1.0)
        assert min(values.min() for values in fields.values()) >= 0.0
        assert fields["a"] + fields["c"] == pytest.approx(start, abs=1e-14)
        short = [{"a": a.copy(), "b": b.copy(), "c": c.copy()} for _ in range(2)]
        for given, positive in zip(short, (False, True), strict=True):
            NodalReaction(kinetics, given, order=order, positive=positive).step(0.0, 1e-3)
        assert all(np.array_equal(short[0][name], short[1][name]) for name in "abc")


def test_what_is_used_up_is_told_and_stays_at_zero(caplog):
    """Uptake of zero order goes on as long as there is something."""
    kinetics = named_reaction("zero-order", parameters={"rate": 2.0})
    problem = ReactionDiffusion(
        mesh=skewed(), species=[Species(name="u", tensor=TENSOR, initial=1.0)], kinetics=kinetics
    )
    result = run_reaction_diffusion(problem, TimeGrid(end=1.0, step=0.05), KEEPING)
    assert "zero-order may take away what is not there" in caplog.text
    assert result.numbers["u amount"][5] == pytest.approx(0.5 * result.numbers["u amount"][0], rel=1e-12)
    assert result.numbers["u maximum"][-1] < 1e-15
    assert result.numbers["u minimum"].min() == 0.0


@pytest.mark.parametrize(
    ("method", "problem", "named"),
    [
        ({"splitting": "implicit"}, {}, r"positivity = True.*false with splitting = 'implicit'"),
        ({"stabilization": "supg"}, {}, r"positivity = True.*'supg'"),
        ({}, {"degree": 2}, r"degree = 2.*1 with positivity"),
        ({}, {"initial": -1.0}, r"species\.u\.initial = -1\.0.*>= 0"),
        (
            {},
            {"sources": [Stimulus(place=Ball(centre=(1.3, 0.5), radius=0.2), amplitude=-1.0)]},
            r"species\.u\.sources\[0\]\.amplitude = -1\.0.*>= 0",
        ),
        ({}, {"conditions": [Dirichlet(boundary="top", value=-1.0)]}, r"conditions\[0\]\.value = -1\.0.*>= 0"),
        ({}, {"conditions": [Neumann(boundary="top", flux=-1.0)]}, r"conditions\[0\]\.flux = -1\.0.*>= 0"),
        (
            {},
            {"conditions": [Robin(boundary="top", coefficient=1.0, ambient=lambda x, t: -1.0 + 0 * x[0])]},
            r"conditions\[0\]\.ambient = -1\.0.*>= 0",
        ),
    ],
)
def test_what_is_not_proved_to_keep_it_is_refused(method, problem, named):
    given = {"name": "u", "tensor": 1.0} | {key: value for key, value in problem.items() if key != "degree"}

    def start():
        made = ReactionDiffusion(mesh=skewed(), species=[Species(**given)], degree=problem.get("degree", 1))
        ReactionDiffusionModel(made, step=0.1, method=Method(positivity=True, **method)).advance(0.0)

    with pytest.raises(InputError, match=named):
        start()


def test_a_state_at_rest_with_positivity_is_refused():
    species = Species(name="u", tensor=1.0, conditions=[Dirichlet(boundary="top", value=1.0)])
    with pytest.raises(InputError, match="positivity"):
        solve_at_rest(ReactionDiffusion(mesh=skewed(), species=[species]), KEEPING)


def test_species_that_are_alike_share_what_keeps_them():
    kinetics = written_reaction({"a": "-a*b", "b": "-a*b"}, ["a", "b"])
    ends = [[Dirichlet(boundary="top", value=value)] for value in (1.0, 0.5)]
    species = [
        Species(name=name, tensor=TENSOR, initial=spot, conditions=end) for name, end in zip("ab", ends, strict=True)
    ]
    problem = ReactionDiffusion(mesh=skewed(), species=species, kinetics=kinetics)
    model = ReactionDiffusionModel(problem, step=0.01, method=KEEPING)
    assert model.transport["b", 1.0].solver is model.transport["a", 1.0].solver
    result = run_reaction_diffusion(problem, TimeGrid(end=0.1, step=0.01), KEEPING)
    for name in "ab":
        assert result.numbers[f"{name} minimum"].min() >= 0.0
    assert all(entry.drift < 1e-12 for entry in result.conserved)


def test_a_step_makes_no_objects_of_petsc():
    """Each has a number, and they are counted through."""
    species = Species(name="u", tensor=0.1 * TENSOR, initial=spot, **FLOWS["fed"])
    model = ReactionDiffusionModel(
        ReactionDiffusion(mesh=skewed(), species=[species]), step=0.01, method=Method(positivity=True)
    )
    model.advance(0.0)
    before = PETSc.Vec().create(MPI.COMM_SELF)
    model.advance(0.01)
    after = PETSc.Vec().create(MPI.COMM_SELF)
    assert after.id - before.id == 1
