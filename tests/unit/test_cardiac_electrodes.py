"""Electrodes of cardiac runs, and conductivities that give a wanted velocity."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from homfem.kinetics import FITZHUGH_NAGUMO
from homfem.kinetics.ionic import ionic_kinetics
from homfem.macro.cardiac import CardiacMethod, CardiacProblem, solve_cardiac
from homfem.macro.cardiac.electrodes import cardiac_ecg, cardiac_recovery
from homfem.macro.cardiac.tuning import Cable, cable_velocity, tune_conductivities
from homfem.macro.domain import Domain
from homfem.macro.fibres import FibreFrame
from homfem.macro.leads import LeadSeries
from homfem.macro.stimulus import Box, Stimulus
from homfem.parameters import ConvergenceError, InputError
from homfem.timestepping import Schedule, TimeGrid

SIDES = {"intracellular": np.diag([0.17, 0.019]), "extracellular": np.diag([0.62, 0.24])}
# No recovery to speak of: the front is Nagumo's, sqrt(D k/2)(1 - 2a) with D = sigma/C.
NAGUMO = {
    "membrane": FITZHUGH_NAGUMO, "area": 1.0, "capacitance": 2.0, "parameters": {"epsilon": 1e-12, "rate": 8.0},
}  # fmt: skip


def strip(comm, kind="bidomain", bath=False, **options):
    made = mesh.create_rectangle(comm, [[0, 0], [6, 2]], [24, 8])
    domain = Domain(mesh=made, unit="mm", fibres=FibreFrame.constant(made, [0.8, 0.6]))
    domain = domain.with_regions({"tissue": lambda x: x[1] < 1.25, "bath": lambda x: x[1] > 1.25})
    place = Box(low=(0.0, 0.0), high=(1.0, 1.0))
    pulse = Stimulus(place=place, amplitude=3.0, schedule=Schedule(duration=1.0))
    more = {"bath": {"bath": 1.0}, "kind": "bath"} if bath else {"kind": kind}
    return CardiacProblem(mesh=domain, stimuli=[pulse], **(NAGUMO | SIDES | more | options))


def owned(function):
    return function.x.array[: function.function_space.dofmap.index_map.size_local]


def case_electrodes(comm):
    """phi_e of a bidomain run is what is recovered from its V, with and without a bath; its leads are those values."""
    found = []
    for bath in (False, True):
        problem = strip(comm, bath=bath)
        recovery = cardiac_recovery(problem, rtol=1e-12)
        ends = {"a": (0.3, 0.4), "b": (4.9, 1.9)}
        series = LeadSeries(recovery.leads(ends, reference="b"))
        method = CardiacMethod(rtol=1e-11, elliptic_rtol=1e-12)
        result = solve_cardiac(problem, TimeGrid(end=4.0, step=0.05), method, observers=[series])
        at = recovery._functionals(ends)
        phi = owned(result.fields["phi_e"])
        seen = [comm.allreduce(float(at[name] @ phi)) for name in ends]
        error = np.abs(owned(recovery(owned(result.fields["V"]))) - phi).max(initial=0.0)
        found.append([seen, comm.allreduce(error, MPI.MAX), float(series.values("a")[-1])])
    return found


@pytest.mark.mpi
def test_the_recovered_potential_is_that_of_the_bidomain(on_ranks):
    for answer in on_ranks(case_electrodes, ranks=(1, 2)):
        for (a, b), error, lead in answer:
            assert error < 1e-8
            assert lead == pytest.approx(a - b, abs=1e-8)
            assert abs(a - b) > 0.01


def test_a_front_that_comes_has_a_positive_deflection_and_one_that_goes_a_negative_one():
    """A pseudo-ECG of a monodomain run; before the stimulus nothing."""
    problem = strip(MPI.COMM_SELF, "monodomain")
    ahead = cardiac_ecg(problem, {"ahead": (9.0, 1.0, 0.0), "behind": (-3.0, 1.0, 0.0)}, bath=1.0, section=0.5)
    series = LeadSeries(ahead)
    solve_cardiac(problem, TimeGrid(end=5.0, step=0.05), observers=[series])
    assert np.abs(ahead.weights @ np.ones(ahead.weights.shape[1])).max() < 1e-12
    middle = np.abs(series.times - 4.0).argmin()
    assert series.values("ahead")[middle] > 1e-4
    assert series.values("behind")[middle] < -1e-4
    assert series.values("ahead")[0] == 0.0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: cardiac_ecg(strip(MPI.COMM_SELF, bath=True), {"a": (0, 0, 9)}, bath=1.0, section=1.0), "kind|bath"),
        (
            lambda: cardiac_recovery(
                strip(MPI.COMM_SELF, "monodomain", intracellular=None, extracellular=None, conductivity=0.1)
            ),
            "intracellular = None.*extracellular",
        ),
        (lambda: Cable(size=0.1, step=0.01, **NAGUMO), "amplitude = None.*not in mV"),
        (lambda: Cable(size=0.0, step=0.01, amplitude=1.0, **NAGUMO), "size = 0"),
        (lambda: tune_conductivities({"x": -1.0}, cable()), r"velocities\['x'\] = -1"),
        (lambda: tune_conductivities({"x": 1.0}, cable(), intracellular={"x": 1.0}), "extracellular = None"),
        (
            lambda: tune_conductivities({"x": 1.0}, cable(), intracellular={"x": 1.0}, extracellular={"y": 1.0}),
            r"extracellular\['x'\] = None",
        ),
    ],
)
def test_bad_input_is_refused(make, named):
    with pytest.raises(InputError, match=named):
        make()


def cable(size=0.05, step=0.02, **options):
    return Cable(size=size, step=step, threshold=0.5, amplitude=1.0, **(NAGUMO | options))


def test_velocities_of_a_cable():
    """Nagumo's front; four times the conductivity on elements of twice the length: twice the velocity to round-off."""
    velocity = cable_velocity(0.05, cable(size=0.025, step=0.01))
    assert velocity == pytest.approx(math.sqrt(0.025 * 8.0 / 2.0) * 0.8, rel=5e-3)
    tight = CardiacMethod(rtol=1e-12)
    assert cable_velocity(0.2, cable(0.1, method=tight)) == pytest.approx(
        2.0 * cable_velocity(0.05, cable(0.05, method=tight)), rel=1e-9
    )


@pytest.mark.parametrize(("mass", "velocity"), [(1.0, 0.622), (0.0, 0.593)])
def test_velocities_of_the_niederer_set(mass, velocity):
    """Measured with another code at .1 mm and .005 ms, with consistent and lumped mass; .6134 in the limit."""
    human = ionic_kinetics("tentusscher-panfilov-2006")
    made = Cable(
        size=0.1, step=0.005, membrane=human, area=140.0, capacitance=0.01, method=CardiacMethod(mass=mass)
    )  # fmt: skip
    assert cable_velocity(0.13342, made) == pytest.approx(velocity, abs=1.5e-3)


def test_tuned_conductivities_give_the_velocities():
    """On a coarse mesh; on a fine one they are those of the closed form, sigma = 2 C v^2 / (k (1 - 2a)^2)."""
    coarse = cable(0.2, 0.05)
    pair = {"intracellular": {"x": 0.2, "y": 0.01}, "extracellular": {"x": 0.5, "y": 0.04}}
    tuned = tune_conductivities({"x": 0.5, "y": 0.2}, coarse, refinement=2, **pair)
    for name, wanted in (("x", 0.5), ("y", 0.2)):
        found = tuned[name]
        assert found.wanted == wanted
        assert found.velocity == pytest.approx(wanted, rel=1e-3)
        assert cable_velocity(found.conductivity, coarse) == found.velocity
        assert found.fine_velocity == cable_velocity(found.conductivity, cable(0.1, 0.025))
        assert found.mesh_error == pytest.approx(found.velocity / found.fine_velocity - 1.0)
        a, b = found.intracellular, found.extracellular
        assert a * b / (a + b) == pytest.approx(found.conductivity, rel=1e-12)
        assert a / b == pytest.approx(pair["intracellular"][name] / pair["extracellular"][name], rel=1e-12)
        assert found.runs <= 6
    assert 0.02 < tuned["y"].mesh_error < 0.3  # consistent mass is early, the more the wider the elements
    assert 0.0 < tuned["x"].mesh_error < tuned["y"].mesh_error
    fine = tune_conductivities({"x": 0.5}, cable(0.05, 0.02))["x"]
    assert fine.conductivity == pytest.approx(2.0 * 2.0 * 0.25 / (8.0 * 0.64), rel=0.01)
    assert fine.intracellular is None


def test_no_front_is_told():
    with pytest.raises(ConvergenceError, match=r"no front runs.*too wide"):
        cable_velocity(1e-5, cable(0.5, 0.2))
    with pytest.raises(ConvergenceError, match=r"no front runs.*does not excite"):
        cable_velocity(0.05, Cable(size=0.2, step=0.2, threshold=0.5, amplitude=0.01, **NAGUMO))
