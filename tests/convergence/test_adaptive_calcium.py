"""Steps that follow a tolerance, for calcium in a cell of which a part has ER: errors, balance, restarts, ranks."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from mpi4py import MPI

from homfem.bodies import box_mesh
from homfem.kinetics import TRIGGER_WAVE, li_rinzel, membrane_from_rates, resting_state
from homfem.macro.calcium import CalciumProblem, Source, run_calcium
from homfem.macro.domain import Domain
from homfem.macro.observers import Call
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError
from homfem.step_control import AdaptiveGrid, Interval, StepError
from homfem.tensors import EffectiveTensor
from homfem.timestepping import Schedule, TimeGrid

END, PULSE = 1.2, Schedule(start=0.3, duration=0.25)
FRACTIONS = {"cytosol_fraction": 1.0 / 1.185, "er_fraction": 0.185 / 1.185}


PUFF = Source(place=(12.0,), strength=60.0, schedule=PULSE, name="puff")


def cell(comm: MPI.Comm = MPI.COMM_SELF, source: Source = PUFF) -> CalciumProblem:
    """An interval whose last quarter is cytosol alone, with a puff at 12 um in the tissue with ER."""
    domain = Domain(mesh=box_mesh(comm, [80.0], [80]), unit="um")
    domain = domain.with_regions({"tissue": lambda x: x[0] < 60.0, "plain": lambda x: x[0] > 60.0})
    gamma_c, gamma_e = FRACTIONS["cytosol_fraction"], FRACTIONS["er_fraction"]
    membrane = membrane_from_rates(TRIGGER_WAVE, interface_area=2.0, **FRACTIONS)
    rest = resting_state(membrane, total=3.0 * gamma_c, ip3=0.3, **FRACTIONS)

    def tensor(name: str, value: float, fraction: float) -> EffectiveTensor:
        return EffectiveTensor.measured(name, value * fraction, volume_fraction=fraction, unit="um^2/s", dimension=1)

    return CalciumProblem(
        mesh=domain,
        cytosol={"tissue": tensor("cytosol", 20.0, gamma_c), "plain": tensor("cytosol", 25.0, 1.0)},
        er={"tissue": tensor("er", 10.0, gamma_e)},
        kinetics=li_rinzel(membrane),
        ip3=0.3,
        initial_cytosol=rest.cytosol,
        initial_er=rest.er,
        initial_states={"h": rest.inactivation},
        interface_area=2.0,
        sources=[source],
    )


def solved(grid, **options):
    result = run_calcium(cell(), grid, preconditioner="direct", **options)
    assert result.drift < 1e-13
    assert result.brought["puff"][-1] == pytest.approx(15.0, rel=1e-11)
    return result


def test_the_error_of_a_puff_is_proportional_to_the_tolerance_and_the_steps_pay():
    limit = solved(AdaptiveGrid(end=END, tolerance=1e-6)).cytosol.x.array.copy()
    tolerances, errors, solves = np.array([1e-3, 1e-4, 1e-5]), [], []
    for tolerance in tolerances:
        result = solved(AdaptiveGrid(end=END, tolerance=float(tolerance)))
        for edge in (0.3, 0.3 + 0.25, END):
            assert edge in result.times
        errors.append(float(np.abs(result.cytosol.x.array - limit).max()))
        solves.append(int(result.iterations.sum()))
    assert np.all(errors < tolerances)
    assert np.log10(errors[0] / errors[-1]) / 2.0 == pytest.approx(1.0, abs=0.35)
    steps = 20 * round(solves[1] / 4 / 20)  # of four solves each; they meet the edges
    fixed = float(np.abs(solved(TimeGrid(end=END, step=END / steps)).cytosol.x.array - limit).max())
    assert fixed > 3.0 * errors[1]


def case_run(comm, path, resume=False, interrupt=-1):
    def stop(_model, step, _time):
        if step == interrupt and comm.rank == 0:
            os.kill(os.getpid(), signal.SIGUSR1)

    result = run_calcium(
        cell(comm), AdaptiveGrid(end=END, tolerance=1e-3), threshold=0.2, checkpoint=CheckpointFile(path),
        checkpoint_every=Interval(0.5), resume=resume, observers=[Call(stop)],
    )  # fmt: skip
    numbers = {"total": result.total, "maximum": result.maximum, "minimum": result.minimum, **result.control}
    return {
        "times": result.times.tolist(),
        "finished": result.finished,
        "drift": result.drift,
        "brought": result.brought["puff"].tolist(),
        "solves": result.iterations.tolist(),
        "numbers": {name: values.tolist() for name, values in numbers.items()},
    }


@pytest.mark.parametrize("step", [2, 12])
def test_an_interrupted_run_goes_on_to_the_last_bit(step, tmp_path):
    whole = case_run(MPI.COMM_SELF, tmp_path / "a")
    part = case_run(MPI.COMM_SELF, tmp_path / "b", interrupt=step)
    assert not part["finished"]
    assert len(part["times"]) == step + 2
    assert case_run(MPI.COMM_SELF, tmp_path / "b", resume=True) == whole
    with pytest.raises(CheckpointError, match="tolerance"):
        run_calcium(cell(), AdaptiveGrid(end=END, tolerance=1e-2), threshold=0.2,
                    checkpoint=CheckpointFile(tmp_path / "a"), resume=True)  # fmt: skip


@pytest.mark.mpi
def test_the_same_on_1_2_3_ranks(on_ranks, tmp_path):
    """On three ranks one has no node where there is ER."""
    one, *others = on_ranks(case_run, path=str(tmp_path / "a"))
    for other in others:
        assert other["times"] == one["times"]
        assert other["drift"] < 1e-13
        assert other["brought"] == pytest.approx(one["brought"], rel=1e-12)
        for name, values in one["numbers"].items():
            assert other["numbers"][name] == pytest.approx(values, rel=1e-6, abs=1e-9)


def test_a_concentration_that_no_step_keeps_above_zero_ends_the_run():
    """A sink takes more than there is: the error says which step fails, and why."""
    sink = Source(place=(70.0,), strength=-400.0, schedule=PULSE, name="sink")
    taken = cell(source=sink)
    with pytest.raises(StepError, match=r"fails: calcium bidomain: cytosol = -.* < 0 at t = 0\.3"):
        run_calcium(taken, AdaptiveGrid(end=END, tolerance=1e-2, step_min=1e-4), preconditioner="direct")
