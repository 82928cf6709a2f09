"""Steps that follow a tolerance, for species that diffuse and react: errors, marks, restarts, ranks, cost."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from homfem.bodies import box_mesh
from homfem.kinetics.reactions import named_reaction, written_reaction
from homfem.macro.conditions import Dirichlet, Neumann, Pulsed
from homfem.macro.domain import Domain
from homfem.macro.march import march
from homfem.macro.observers import Activation, Call
from homfem.macro.reaction_diffusion import Method, ReactionDiffusion, Species, run_reaction_diffusion
from homfem.macro.reaction_diffusion.model import ReactionDiffusionModel
from homfem.macro.stepping import AdaptiveSteps
from homfem.macro.stimulus import Box, Stimulus
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, ConvergenceError, InputError
from homfem.solve import Numbering
from homfem.step_control import AdaptiveGrid, Interval, StepError
from homfem.timestepping import Schedule, TimeGrid
from toy_march import FitzHughNagumo

PULSE = Schedule(start=0.37, duration=0.11)
END = 1.5


def line(n: int = 100, comm=MPI.COMM_SELF) -> Domain:
    ends = {"left": lambda x: x[0] < 1e-9, "right": lambda x: x[0] > 20.0 - 1e-9}
    return Domain(mesh=box_mesh(comm, [20.0], [n]), unit="um").with_boundaries(ends)


def waves(comm=MPI.COMM_SELF, **more) -> ReactionDiffusion:
    """A front of Nagumo's from a step at the left, and a pulse that starts another one later; nothing leaves."""
    source = Stimulus(place=Box(low=(13.0,), high=(15.0,)), amplitude=12.0, schedule=PULSE)
    species = Species(name="u", tensor=0.5, initial=lambda x: (x[0] < 3.0) * 1.0, sources=(source,), **more)
    kinetics = named_reaction("nagumo", parameters={"rate": 6.0, "threshold": 0.1})
    return ReactionDiffusion(mesh=line(comm=comm), species=[species], kinetics=kinetics)


def solved(grid, method=None, **options):
    result = run_reaction_diffusion(waves(), grid, method, **options)
    assert result.conserved[0].drift < 1e-13
    return result


def values(result) -> np.ndarray:
    return result.fields["u"].x.array.copy()


@pytest.fixture(scope="module")
def limit():
    """The solution in time alone, on the one mesh."""
    return values(solved(AdaptiveGrid(end=END, tolerance=1e-7)))


def test_the_error_is_proportional_to_the_tolerance_and_the_steps_pay(limit):
    tolerances, errors, solves = np.array([1e-3, 1e-4, 1e-5, 1e-6]), [], []
    for tolerance in tolerances:
        result = solved(AdaptiveGrid(end=END, tolerance=float(tolerance)))
        errors.append(float(np.abs(values(result) - limit).max()))
        solves.append(result.numbers["iterations"].sum())  # factors: one for each right-hand side
        assert result.numbers["error of the step"].max() <= tolerance
    ratios = errors / tolerances
    assert np.all((ratios > 0.02) & (ratios < 0.5))
    assert np.log10(errors[0] / errors[-1]) / 3.0 == pytest.approx(1.0, abs=0.2)
    steps = int(solves[1]) // 2
    fixed = float(np.abs(values(solved(TimeGrid(end=END, step=END / steps))) - limit).max())
    assert fixed > 5.0 * errors[1]  # of as many solves


def test_steps_grow_and_shrink_and_few_lengths_occur():
    result = solved(AdaptiveGrid(end=END, tolerance=1e-3))
    steps = result.numbers["time step"][1:]
    assert np.diff(result.times) == pytest.approx(steps, rel=1e-6)
    before, on = result.times[1:] <= PULSE.start, result.times[:-1] >= PULSE.start
    assert steps[:2].max() < 0.5 * steps[before].max()  # after the step in space
    assert steps[on][:2].min() < 0.5 * steps[before].max()  # where the pulse begins
    assert len(set(np.round(steps, 10))) < 16
    assert 1 <= result.numbers["rejected steps"].sum() < 0.2 * len(steps)


@pytest.mark.parametrize(
    ("method", "cap"),
    [
        (Method(splitting="godunov"), 2e-2),
        (Method(splitting="implicit"), 2e-3),
        (Method(scheme="crank-nicolson"), 2e-3),
        (Method(positivity=True), 6e-3),
    ],
)
def test_every_method_follows_a_tolerance(method, cap, limit):
    result = solved(AdaptiveGrid(end=END, tolerance=1e-2), method)
    assert np.abs(values(result) - limit).max() < cap
    if method.positivity:
        assert result.numbers["u minimum"].min() >= 0.0


def test_every_mark_is_met_exactly():
    """Outputs, checkpoints, edges of the pulse, the end; each observer is told the right times."""
    seen, arrived = [], Activation("u", 0.5, name="again")
    result = solved(
        AdaptiveGrid(end=END, tolerance=1e-2),
        threshold=0.5,
        observers=[Call(lambda _model, _step, time: seen.append(time), every=Interval(0.4)), arrived],
        checkpoint_every=Interval(0.7),
    )
    times = result.times.tolist()
    assert times[-1] == END
    for mark in (0.37, 0.37 + 0.11, 0.4, 0.8, 3 * 0.4, 0.7, 1.4):
        assert mark in times
    assert seen == [0.0, 0.4, 0.8, 3 * 0.4, END]
    found = result.activation.x.array
    fine = run_reaction_diffusion(waves(), TimeGrid(end=END, step=END / 600), threshold=0.5).activation.x.array
    reached = np.isfinite(found) & np.isfinite(fine)
    assert 0.3 < reached.mean() < 1.0
    assert found[reached] == pytest.approx(fine[reached], abs=0.01)


@pytest.mark.parametrize("kind", [Dirichlet, Neumann])
def test_values_that_are_switched_cost_no_tiny_steps_before_the_edge(kind):
    key = {Dirichlet: "value", Neumann: "flux"}[kind]
    condition = kind(boundary="left", **{key: Pulsed(value=1.0, schedule=Schedule(start=1.0, duration=3.0))})
    species = Species(name="u", tensor=0.5, initial=lambda x: np.exp(-((x[0] - 10.0) ** 2)), conditions=[condition])
    problem = ReactionDiffusion(mesh=line(), species=[species])
    result = run_reaction_diffusion(problem, AdaptiveGrid(end=2.0, tolerance=1e-3, step_max=0.5))
    steps, times = result.numbers["time step"][1:], result.times[1:]
    assert 1.0 in times
    assert steps[times <= 1.0][-1] >= 0.5 * steps[times <= 1.0].max()
    assert steps[times > 1.0][0] < 0.1 * steps[times <= 1.0].max()
    fine = run_reaction_diffusion(problem, AdaptiveGrid(end=2.0, tolerance=1e-6, step_max=0.5)).fields["u"]
    assert result.fields["u"].x.array == pytest.approx(fine.x.array, abs=2e-3)


def case_run(comm, path, resume=False, interrupt=-1, end=END):
    def stop(_model, step, _time):
        if step == interrupt and comm.rank == 0:
            os.kill(os.getpid(), signal.SIGUSR1)

    result = run_reaction_diffusion(
        waves(comm), AdaptiveGrid(end=end, tolerance=3e-3, step_max=0.3), threshold=0.5,
        checkpoint=CheckpointFile(path), checkpoint_every=Interval(0.5), resume=resume, observers=[Call(stop)],
    )  # fmt: skip
    u = result.fields["u"]
    owned = u.x.array[: u.function_space.dofmap.index_map.size_local]
    return {
        "times": result.times.tolist(),
        "numbers": {name: numbers.tolist() for name, numbers in result.numbers.items()},
        "u": Numbering(u.function_space).gather(owned).tolist(),
        "finished": result.finished,
        "drift": result.conserved[0].drift,
    }


@pytest.mark.parametrize("step", [1, 9, 20])
def test_an_interrupted_run_goes_on_to_the_last_bit(step, tmp_path):
    whole = case_run(MPI.COMM_SELF, tmp_path / "a")
    part = case_run(MPI.COMM_SELF, tmp_path / "b", interrupt=step)
    assert (part["finished"], len(part["times"])) == (False, step + 2)
    assert case_run(MPI.COMM_SELF, tmp_path / "b", resume=True) == whole


def test_a_run_goes_on_to_a_later_end_and_refuses_another_tolerance(tmp_path):
    case_run(MPI.COMM_SELF, tmp_path / "a")
    longer = case_run(MPI.COMM_SELF, tmp_path / "a", resume=True, end=1.8)
    assert longer["finished"]
    assert longer["times"][-1] == 1.8
    assert END in longer["times"]
    assert longer["drift"] < 1e-13
    with pytest.raises(InputError, match=r"end = 1\.0: .*no earlier than the checkpoint, at t = 1\.8 s"):
        case_run(MPI.COMM_SELF, tmp_path / "a", resume=True, end=1.0)
    with pytest.raises(CheckpointError, match="tolerance"):
        run_reaction_diffusion(waves(), AdaptiveGrid(end=END, tolerance=1e-2, step_max=0.3), threshold=0.5,
                               checkpoint=CheckpointFile(tmp_path / "a"), resume=True)  # fmt: skip


@pytest.mark.mpi
def test_the_same_on_1_2_3_ranks(on_ranks, tmp_path):
    one, *others = on_ranks(case_run, path=str(tmp_path / "a"))
    for other in others:
        assert other["times"] == one["times"]
        assert other["u"] == pytest.approx(one["u"], abs=1e-12)
        assert other["numbers"]["rejected steps"] == one["numbers"]["rejected steps"]
        assert other["numbers"]["error of the step"] == pytest.approx(one["numbers"]["error of the step"], rel=1e-6)
        assert other["drift"] < 1e-13


def test_a_rejected_step_leaves_the_state_as_it_was_to_the_last_bit():
    """The tolerance asks for less than the shortest step: a named error, and the start is whole."""
    model = ReactionDiffusionModel(waves(), step=0.5, adaptive=True)
    before = {name: entry.values.copy() for name, entry in model.state().items()}
    steps = AdaptiveSteps(model, AdaptiveGrid(end=END, tolerance=1e-6, step_max=0.5, step_min=0.01), {})
    with pytest.raises(StepError, match=r"reaction-diffusion: at t = 0 s the tolerance 1e-06 .* step_min = 0\.01 s"):
        steps.advance()
    assert before.keys() == model.state().keys()
    for name, entry in model.state().items():
        assert entry.values.tobytes() == before[name].tobytes()
    with pytest.raises(StepError):
        march(model, AdaptiveGrid(end=END, tolerance=1e-6, step_max=0.5, step_min=0.01))


@pytest.mark.parametrize("failure", [None, ConvergenceError("no iteration ends")])
def test_a_step_that_fails_is_taken_again_shorter(failure, monkeypatch):
    """Values that are no numbers, and solvers that do not converge, are errors that are too large."""
    take = ReactionDiffusionModel.take

    def fails(model, time, step):
        take(model, time, step)
        if step > 0.01:
            model.values["u"][3] = np.nan
            if failure is not None:
                raise failure
        return 1

    monkeypatch.setattr(ReactionDiffusionModel, "take", fails)
    result = solved(AdaptiveGrid(end=0.2, tolerance=1e-2, step_max=0.2))
    assert np.isfinite(values(result)).all()
    assert 0.005 < result.numbers["time step"].max() <= 0.01
    assert result.numbers["rejected steps"].sum() > 0


def test_gates_and_sums_of_species_are_kept():
    """a -> b moves as much as it takes, step for step, also where results are combined."""
    kinetics = written_reaction({"a": "-k*a*a", "b": "k*a*a"}, ["a", "b"], parameters={"k": 3.0})
    species = [
        Species(name="a", tensor=0.5, initial=lambda x: 1.0 + np.cos(0.3 * x[0])),
        Species(name="b", tensor=0.02),
    ]
    problem = ReactionDiffusion(mesh=line(), species=species, kinetics=kinetics)
    result = run_reaction_diffusion(problem, AdaptiveGrid(end=2.0, tolerance=1e-3))
    assert len(result.conserved) == 3
    assert max(entry.drift for entry in result.conserved) < 1e-13


def test_models_of_equal_steps_are_refused():
    with pytest.raises(InputError, match=r"equal steps \(TimeGrid\) for FitzHugh-Nagumo"):
        march(FitzHughNagumo(MPI.COMM_SELF, step=0.05, degree=1), AdaptiveGrid(end=1.0, tolerance=1e-3))


def test_an_interval_that_equal_steps_do_not_meet_is_refused():
    model = FitzHughNagumo(MPI.COMM_SELF, step=0.05, degree=1)
    grid = TimeGrid(end=1.0, step=0.05)
    with pytest.raises(InputError, match=r"observers\['call'\]\.every = 0\.12"):
        march(model, grid, observers=[Call(lambda *_: None, every=Interval(0.12))])
    seen = []
    march(model, grid, observers=[Call(lambda _model, step, _time: seen.append(step), every=Interval(0.25))])
    assert seen == [0, 5, 10, 15, 20]


def test_a_field_that_is_zero_throughout_costs_nothing():
    problem = ReactionDiffusion(mesh=line(8), species=[Species(name="u", tensor=1.0)])
    result = run_reaction_diffusion(problem, AdaptiveGrid(end=1.0, tolerance=1e-6, step_max=0.25))
    assert len(result.times) == 5
    assert isinstance(result.fields["u"], fem.Function)
    assert not result.numbers["error of the step"].any()
