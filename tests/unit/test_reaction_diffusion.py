"""The reaction-diffusion model: balance of amounts, conditions, sources, regions, shared matrices, restarts, ranks."""

from __future__ import annotations

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from homfem import EffectiveTensor
from homfem.bodies import box_mesh
from homfem.kinetics.reactions import named_reaction, written_reaction
from homfem.macro.conditions import Dirichlet, Neumann, Outflow, Pulsed, Robin
from homfem.macro.domain import Domain
from homfem.macro.fibres import FibreFrame
from homfem.macro.reaction_diffusion import (
    Method,
    ReactionDiffusion,
    ReactionDiffusionModel,
    Species,
    run_reaction_diffusion,
)
from homfem.macro.stimulus import Ball, Box, Region, Stimulus
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, ConvergenceError, InputError
from homfem.solve import Numbering
from homfem.timestepping import Schedule, TimeGrid

SIDES = {
    "left": lambda x: x[0] < 1e-9,
    "right": lambda x: x[0] > 1 - 1e-9,
    "bottom": lambda x: x[1] < 1e-9,
    "top": lambda x: x[1] > 1 - 1e-9,
}
TENSOR = [[2.0, 0.5], [0.5, 1.0]]


def square(comm=MPI.COMM_SELF, n=8, **options) -> Domain:
    made = box_mesh(comm, [1.0, 1.0], [n, n])
    domain = Domain(mesh=made, unit="um", **options).with_boundaries(SIDES)
    return domain.with_regions({"low": lambda x: x[1] < 0.5, "high": lambda x: x[1] > 0.5})


def owned(u: fem.Function) -> np.ndarray:
    return u.x.array[: u.function_space.dofmap.index_map.size_local]


def everything(comm, degree=1, method=None, **options):
    """Two species that exchange and react, with every kind of condition and source, and what holds one back."""
    domain = square(comm)
    tissue = EffectiveTensor.measured("a", 1.5, volume_fraction=0.6, unit="um^2/s", dimension=2)
    dense = EffectiveTensor.measured("a", 0.5, volume_fraction=0.3, unit="um^2/s", dimension=2)
    pulses = Schedule(start=0.02, duration=0.03, period=0.05, pulses=2)
    species = [
        Species(
            name="a",
            tensor={"low": tissue, "high": dense},
            initial=lambda x: 1.0 + x[0],
            conditions=[
                Dirichlet(boundary="left", value=lambda x, t: 1.0 + t + 0.0 * x[0]),
                Robin(boundary="right", coefficient=3.0, ambient=0.5),
            ],
            sources=[Stimulus(place=Ball(centre=(0.5, 0.5), radius=0.3), amplitude=4.0, schedule=pulses)],
        ),
        Species(
            name="b",
            tensor=TENSOR,
            initial=0.2,
            conditions=[Neumann(boundary="top", flux=0.7), Neumann(boundary="left", flux=-0.1)],
            sources=[Stimulus(place=Region(name="low"), amplitude=-0.3)],
        ),
        Species(name="still", tensor=None, initial=3.0),
    ]
    rates = {"a": "-k*a*b", "b": "-k*a*b - 0.1*b", "still": "k*a*b*(1 + x)"}
    kinetics = written_reaction(rates, ["a", "b", "still"], parameters={"k": 2.0})
    problem = ReactionDiffusion(mesh=domain, species=species, kinetics=kinetics, degree=degree)
    return problem, run_reaction_diffusion(problem, TimeGrid(end=0.1, step=0.01), method, **options)


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("method", [Method(), Method(splitting="godunov"), Method(scheme="crank-nicolson")])
def test_amounts_change_by_what_is_brought(degree, method):
    """By reaction, sources and boundaries of every kind; phi differs by region with linear elements."""
    problem, result = everything(MPI.COMM_SELF, degree, method)
    for entry in result.conserved:
        assert entry.drift < 1e-13
    amounts = {name: result.numbers[f"{name} amount"] for name in "ab"}
    assert amounts["a"][0] == pytest.approx(1.5 * 0.5 * 0.9, rel=1e-12)
    assert np.ptp(amounts["a"]) > 0.01
    phi = fem.Function(fem.functionspace(problem.domain.mesh, ("DG", 0)))
    phi.interpolate(lambda x: np.where(x[1] < 0.5, 0.6, 0.3))
    total = problem.domain.integral(phi * result.fields["a"])
    assert amounts["a"][-1] == pytest.approx(total, rel=1e-12)


def test_what_enters_is_what_is_said():
    """Sources and fluxes alone: the amount is known, whatever the mesh and the step."""
    domain = square()
    corner = Stimulus(place=Box(low=(0.0, 0.0), high=(0.33, 0.2)), amplitude=5.0, schedule=Schedule(duration=0.035))
    for degree in (1, 2):
        species = Species(
            name="u",
            tensor=EffectiveTensor.measured("u", 1.0, volume_fraction=0.4, unit="um^2/s", dimension=2),
            conditions=[Neumann(boundary="top", flux=0.7)],
            sources=[corner],
        )
        problem = ReactionDiffusion(mesh=domain, species=[species], degree=degree)
        result = run_reaction_diffusion(problem, TimeGrid(end=0.1, step=0.01))
        assert result.numbers["u amount"][-1] == pytest.approx(0.7 * 0.1 + 5.0 * 0.33 * 0.2 * 0.035, rel=1e-3)
        assert result.conserved[0].drift < 1e-13
        assert result.conserved[0].start == 0.0


def test_species_that_are_alike_share_their_matrices():
    tensor = np.array(TENSOR)
    left = Dirichlet(boundary="left", value=1.0)
    given = [
        Species(name="a", tensor=tensor, conditions=[left]),
        Species(name="b", tensor=TENSOR, initial=1.0, conditions=[Dirichlet(boundary="left", value=2.0)]),
        Species(name="c", tensor=TENSOR),
        Species(name="d", tensor=1.0, conditions=[left]),
        Species(name="e", tensor=TENSOR, volume_fraction=0.5, conditions=[left]),
    ]
    domain = square()
    model = ReactionDiffusionModel(ReactionDiffusion(mesh=domain, species=given), step=0.02)
    steps = {name: step for (name, _), step in model.transport.items()}
    assert steps["b"].matrix is steps["a"].matrix
    assert steps["b"].solver is steps["a"].solver
    assert len({id(step.matrix) for step in steps.values()}) == 4
    for k in range(10):
        model.advance(0.02 * k)
    alone = ReactionDiffusionModel(ReactionDiffusion(mesh=domain, species=[given[1]]), step=0.02)
    for k in range(10):
        alone.advance(0.02 * k)
    assert model.values["b"] == pytest.approx(alone.values["b"], abs=1e-13)
    assert model.values["a"] == pytest.approx(model.values["b"] - 1.0, abs=1e-12)  # a constant more, throughout


def test_a_tensor_lies_along_the_fibres():
    """Diffusion along the fibre alone spreads along it: moments of a spot."""
    made = box_mesh(MPI.COMM_SELF, [1.0, 1.0], [24, 24])
    domain = Domain(mesh=made, unit="um", fibres=FibreFrame.constant(made, [1.0, 1.0]))
    spot = lambda x: np.exp(-((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2) / 0.005)  # noqa: E731
    species = Species(name="u", tensor=np.diag([1.0, 0.1]), initial=spot)
    problem = ReactionDiffusion(mesh=domain, species=[species])
    result = run_reaction_diffusion(problem, TimeGrid(end=4e-3, step=2e-4))
    u = result.fields["u"]
    x = u.function_space.tabulate_dof_coordinates()[:, :2] - 0.5
    weights = u.x.array / u.x.array.sum()
    spread = np.einsum("n,ni,nj->ij", weights, x, x)
    along, across = np.array([1.0, 1.0]) / np.sqrt(2.0), np.array([1.0, -1.0]) / np.sqrt(2.0)
    assert along @ spread @ along == pytest.approx(0.0025 + 2.0 * 1.0 * 4e-3, rel=0.02)
    assert across @ spread @ across == pytest.approx(0.0025 + 2.0 * 0.1 * 4e-3, rel=0.02)


def test_units_of_a_tensor_are_those_of_the_model():
    domain = Domain(mesh=box_mesh(MPI.COMM_SELF, [1.0], [4]), unit="mm")
    tensor = EffectiveTensor.measured("u", 2.0, volume_fraction=1.0, unit="um^2/ms", dimension=1)
    problem = ReactionDiffusion(mesh=domain, species=[Species(name="u", tensor=tensor)], time_unit="min")
    model = ReactionDiffusionModel(problem, step=1.0)
    assert model.equations.problems["u"].coefficient.value == pytest.approx(np.array([[2.0 * 60e3 * 1e-6]]))
    assert (model.units.length, model.units.time) == ("mm", "min")


def case_everywhere(comm, path, resume=False):
    options = {"checkpoint": CheckpointFile(path), "checkpoint_every": 4, "resume": resume}
    _, result = everything(comm, threshold=1.6, **options)
    numbers = Numbering(result.fields["a"].function_space)
    return {
        "fields": {name: numbers.gather(owned(u)).tolist() for name, u in result.fields.items()},
        "activation": np.nan_to_num(numbers.gather(owned(result.activation)), posinf=-1.0).tolist(),
        "numbers": {name: values.tolist() for name, values in result.numbers.items()},
        "drift": [entry.drift for entry in result.conserved],
        "times": result.times.tolist(),
    }


@pytest.mark.mpi
def test_the_same_on_1_2_3_ranks_and_after_a_break(on_ranks, tmp_path):
    one, *others = on_ranks(case_everywhere, path=str(tmp_path / "a"))
    assert max(one["drift"]) < 1e-13
    assert 0.2 < np.mean(np.array(one["activation"]) >= 0.0) < 1.0
    problem, _ = everything(MPI.COMM_SELF)
    run_reaction_diffusion(
        problem, TimeGrid(end=0.05, step=0.01), threshold=1.6, checkpoint=CheckpointFile(tmp_path / "c")
    )
    others.append(on_ranks(case_everywhere, ranks=(2,), path=str(tmp_path / "c"), resume=True)[0])
    for other in others:
        assert other["times"] == one["times"]
        assert max(other["drift"]) < 1e-13
        assert other["activation"] == pytest.approx(one["activation"], abs=1e-10)
        for name, values in one["fields"].items():
            assert other["fields"][name] == pytest.approx(values, abs=1e-10)
        for name, values in one["numbers"].items():
            if name != "iterations":
                assert other["numbers"][name] == pytest.approx(values, abs=1e-10)


@pytest.mark.parametrize(
    "other",
    [
        {"method": Method(subcycles=2)},
        {"method": Method(scheme="backward-euler")},
        {"degree": 2},
    ],
)
def test_a_checkpoint_of_another_method_is_refused(tmp_path, other):
    everything(MPI.COMM_SELF, checkpoint=CheckpointFile(tmp_path / "a"))
    with pytest.raises(CheckpointError):
        everything(MPI.COMM_SELF, checkpoint=CheckpointFile(tmp_path / "a"), resume=True, **other)


def held(value, grid, path, method=None, **options):
    """A value that is held at a side and marches on from a checkpoint."""
    species = Species(name="u", tensor=1.0, conditions=[Dirichlet(boundary="left", value=value)])
    kinetics = named_reaction("first-order", parameters={"rate": 2.0})
    problem = ReactionDiffusion(mesh=square(n=4), species=[species], kinetics=kinetics)
    return run_reaction_diffusion(problem, grid, method, checkpoint=CheckpointFile(path), **options)


@pytest.mark.parametrize("method", [Method(splitting="implicit"), Method(positivity=True)])
def test_a_run_of_each_method_goes_on_where_it_was(tmp_path, method):
    """And another function at the boundary is refused, one that is data also where it differs later on only."""
    first = lambda x, t: 1.0 + x[1] + t  # noqa: E731
    whole = held(first, TimeGrid(end=0.1, step=0.01), tmp_path / "a", method)
    held(first, TimeGrid(end=0.04, step=0.01), tmp_path / "b", method)
    rest = held(first, TimeGrid(end=0.1, step=0.01), tmp_path / "b", method, resume=True)
    assert rest.fields["u"].x.array == pytest.approx(whole.fields["u"].x.array, abs=1e-14)
    assert rest.numbers["u amount"] == pytest.approx(whole.numbers["u amount"], rel=1e-13)
    assert rest.conserved[0].drift < 1e-12
    with pytest.raises(CheckpointError, match="left"):
        held(lambda x, t: 1.0 + x[1] + 2.0 * t, TimeGrid(end=0.2, step=0.01), tmp_path / "b", method, resume=True)
    early, late = (Pulsed(value=1.0, schedule=Schedule(duration=duration)) for duration in (0.06, 0.07))
    held(early, TimeGrid(end=0.04, step=0.01), tmp_path / "c", method)
    held(early, TimeGrid(end=0.05, step=0.01), tmp_path / "c", method, resume=True)
    with pytest.raises(CheckpointError, match="Pulsed"):
        held(late, TimeGrid(end=0.1, step=0.01), tmp_path / "c", method, resume=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"species": []}, r"species = \[\]"),
        ({"species": [Species(name="u"), Species(name="u")]}, r"species = \['u', 'u'\].*differ"),
        ({"kinetics": named_reaction("fisher", ["v"], parameters={"rate": 1.0})}, r"kinetics\.fisher\.fields = 'v'"),
        ({"kinetics": named_reaction("fisher", parameters={"rate": 1.0}, time_unit="ms")}, r"kinetics = 'ms'.*in s"),
        ({"parameters": {"rate": 1.0}}, r"parameters = \['rate'\].*absent"),
        ({"degree": 3}, r"degree = 3"),
        ({"time_unit": "um"}, r"time_unit = 'um'"),
        (
            {"species": [Species(name="u", tensor=1.0, conditions=[Dirichlet(boundary="lef", value=0.0)])]},
            r"species\.u\.conditions\[0\]\.boundary = 'lef'.*Did you mean 'left'",
        ),
        (
            {"species": [Species(name="u", tensor=1.0, conditions=[Outflow(boundary="left")])]},
            r"species\.u\.conditions\[0\] = 'outflow'.*velocity",
        ),
    ],
)
def test_bad_problems_are_refused(change, named):
    given = {"mesh": square(n=2), "species": [Species(name="u", tensor=1.0)]} | change
    with pytest.raises(InputError, match=named):
        ReactionDiffusion(**given)


@pytest.mark.parametrize(
    ("species", "named"),
    [
        (Species(name="u", tensor=-1.0), r"species\.u\.tensor = -1\.0.*positive definite"),
        (Species(name="u", tensor={"low": 1.0}), r"species\.u\.tensor = \['low'\].*'high' would have none"),
        (Species(name="u", tensor=1.0, volume_fraction=1.5), r"species\.u\.volume_fraction = 1\.5.*<= 1"),
        (Species(name="u", tensor=1.0, initial=np.inf), r"species\.u\.initial = inf"),
        (Species(name="u", tensor=1.0, initial=lambda x: x), r"species\.u\.initial = \(3, 9\).*shape \(9,\)"),
        (
            Species(name="u", sources=[Stimulus(place=Ball(centre=(5.0, 5.0), radius=0.1), amplitude=1.0)]),
            r"species\.u\.sources\[0\]\.radius",
        ),
    ],
)
def test_bad_species_are_refused(species, named):
    with pytest.raises(InputError, match=named):
        ReactionDiffusionModel(ReactionDiffusion(mesh=square(n=2), species=[species]), step=0.1)


@pytest.mark.parametrize(
    ("method", "named"),
    [
        ({"splitting": "strange"}, r"splitting = 'strange'.*'implicit'.*Did you mean 'strang'"),
        ({"scheme": "euler"}, r"scheme = 'euler'"),
        ({"stabilization": "upwind"}, r"stabilization = 'upwind'"),
        ({"subcycles": 0}, r"subcycles = 0"),
        ({"rtol": 0.0}, r"rtol = 0\.0"),
    ],
)
def test_bad_methods_are_refused(method, named):
    with pytest.raises(InputError, match=named):
        Method(**method)


def test_a_field_that_blows_up_ends_the_run():
    kinetics = written_reaction({"u": "u^2"}, ["u"])
    problem = ReactionDiffusion(mesh=square(n=2), species=[Species(name="u", initial=1.0)], kinetics=kinetics)
    with np.errstate(all="ignore"), pytest.raises(ConvergenceError, match=r"u is not finite at t = .* s"):
        run_reaction_diffusion(problem, TimeGrid(end=100.0, step=1.0))


def test_parameters_by_region():
    """u_t = -k u without diffusion, k by region: the nodes within decay at their own rate."""
    kinetics = named_reaction("first-order", parameters={"rate": 1.0})
    problem = ReactionDiffusion(
        mesh=square(),
        species=[Species(name="u", initial=1.0)],
        kinetics=kinetics,
        parameters={"rate": {"low": 2.0, "*": 0.5}},
    )
    u = run_reaction_diffusion(problem, TimeGrid(end=1.0, step=0.005)).fields["u"]
    y = u.function_space.tabulate_dof_coordinates()[:, 1]
    assert u.x.array[y < 0.45] == pytest.approx(np.exp(-2.0), rel=1e-4)
    assert u.x.array[y > 0.55] == pytest.approx(np.exp(-0.5), rel=1e-4)


@pytest.mark.parametrize(
    ("step", "tensor", "initial", "positivity", "said"),
    [
        (0.01, 1e-2, 0.0, False, ", or ask for positivity"),  # a front at the wall that the mesh does not see
        (0.01, 1e-2, 0.0, True, None),
        (0.01, 10.0, 0.0, False, None),  # a front that it sees
        (0.01, 1e-4, -1.0, False, None),  # what is signed from the start
    ],
)
def test_a_species_that_falls_below_zero_is_told(caplog, step, tensor, initial, positivity, said):
    species = Species(
        name="a", tensor=tensor * np.eye(2), initial=initial, conditions=[Dirichlet(boundary="left", value=1.0)]
    )
    problem = ReactionDiffusion(mesh=square(), species=[species])
    result = run_reaction_diffusion(
        problem, TimeGrid(end=5 * step, step=step), Method(positivity=positivity, stabilization="none")
    )
    told = [record.getMessage() for record in caplog.records if "below zero" in record.getMessage()]
    assert len(told) == (said is not None)
    if said is not None:
        assert result.numbers["a minimum"].min() < -1e-3
        assert told[0].startswith("a: falls to -")
        assert told[0].endswith(said)


def test_a_dispersion_tensor_over_the_fluid_brings_its_capacity():
    shares = {"volume_fractions": {"pore": 0.4, "grain": 0.6}, "active_phases": ("pore",), "retardation": 5.0}
    within = EffectiveTensor(value=np.diag([3.0, 1.0]), physics="dispersion", averaged_over="active", **shares)
    assert Species(name="tracer", tensor=within).fraction == pytest.approx(
        2.0
    )  # walls that adsorb hold more than space
    total = within.per_total_volume()
    np.testing.assert_allclose(total.value, np.diag([6.0, 2.0]))
    assert Species(name="tracer", tensor=total).fraction == pytest.approx(2.0)
    with pytest.raises(InputError, match="volume_fraction"):
        _ = Species(name="tracer", tensor=within, volume_fraction=2.0).fraction
