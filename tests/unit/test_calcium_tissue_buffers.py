"""Buffers of a tissue: what is refused, what starts in equilibrium, checkpoints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from homfem.kinetics import TRIGGER_WAVE, li_rinzel, membrane_from_rates
from homfem.kinetics.calcium import Buffer
from homfem.macro.calcium import CalciumModel, CalciumProblem, TissueBuffer, run_calcium
from homfem.macro.domain import Domain
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, ConvergenceError, InputError
from homfem.step_control import AdaptiveGrid
from homfem.tensors import EffectiveTensor
from homfem.timestepping import TimeGrid

GEOMETRY = {"cytosol_fraction": 0.75, "er_fraction": 0.2, "interface_area": 2.0}
STILL = Buffer(name="still", total=20.0, k_on=40.0, k_off=200.0)
DYE = Buffer(name="dye", total=40.0, k_on=100.0, k_off=60.0, diffusivity=30.0)
STORE = Buffer(name="store", total=5000.0, k_on=0.1, k_off=65.0, phase="er")


def tensor(phase, fraction, diffusivity):
    return EffectiveTensor.measured(phase, fraction * diffusivity, volume_fraction=fraction, dimension=1)


def problem(*buffers, **change):
    left = lambda x: x[0] < 5.0  # noqa: E731
    line = mesh.create_interval(MPI.COMM_SELF, 20, [0.0, 10.0])
    domain = Domain(mesh=line, unit="um").with_regions({"cleft": left, "myo": lambda x: ~left(x)})
    given = {
        "mesh": domain,
        "cytosol": {"cleft": 220.0, "myo": tensor("cytosol", 0.75, 20.0)},
        "er": {"myo": tensor("er", 0.2, 10.0)},
        "kinetics": li_rinzel(membrane_from_rates(TRIGGER_WAVE, **GEOMETRY)),
        "ip3": 0.3,
        "initial_cytosol": lambda x: 0.1 + 0.05 * x[0],
        "initial_er": 300.0,
        "interface_area": 2.0,
        "buffers": buffers,
    }
    return CalciumProblem(**(given | change))


@pytest.mark.parametrize(
    ("change", "name", "allowed"),
    [
        ({"buffer": DYE}, "buffers.dye.diffusion", "ratio of its diffusivity"),
        ({"ratio": 0.1}, "buffers.still.ratio", "its diffusivity is 0"),
        ({"buffer": DYE, "ratio": -0.1}, "buffers.dye.ratio", "> 0"),
        ({"buffer": DYE, "diffusion": 0.1}, "buffers.dye.diffusion", "an effective tensor, or one by region"),
        ({"buffer": DYE, "ratio": 0.1, "diffusion": {"*": 30.0}}, "buffers.dye.ratio", "where diffusion is given"),
        ({"buffer": dataclasses.replace(STILL, rapid=True), "initial": 1.0}, "buffers.still.initial", "in equilibrium"),
        ({"initial": 20.5}, "buffers.still.initial", "at most its total, 20 uM"),
        ({"initial": {"cleft": 1.0, "myo": 30.0}}, "buffers.still.initial", "at most its total, 20 uM"),
        ({"initial": -1.0}, "initial_still", ">= 0"),
        ({"initial": {"cleft": 1.0}}, "initial_still", "myo"),
        ({"regions": []}, "buffers.still.regions", "at least one"),
        ({"regions": ["nucleus"]}, "buffers.still.regions", "the name of a region"),
        ({"buffer": STORE, "regions": ["cleft"]}, "buffers.store.regions", "regions with er: myo"),
        ({"buffer": dataclasses.replace(STILL, name="er")}, "buffers", "names that differ"),
        ({"buffer": DYE, "diffusion": {"myo": tensor("cytosol", 0.75, 30.0)}}, "buffers.dye.diffusion.cleft", "given"),
        ({"buffer": DYE, "diffusion": tensor("cytosol", 0.6, 30.0)}, "buffers.dye.diffusion.cleft", "volume fraction"),
    ],
)
def test_a_buffer_of_a_tissue_is_refused(change, name, allowed):
    with pytest.raises(InputError) as caught:
        CalciumModel(problem(TissueBuffer(**({"buffer": STILL} | change))), step=0.01)
    assert caught.value.name == name
    assert allowed in str(caught.value)


def test_buffers_start_in_equilibrium_and_live_where_they_are_said_to():
    model = CalciumModel(
        problem(TissueBuffer(buffer=STILL), TissueBuffer(buffer=STORE), TissueBuffer(buffer=DYE, ratio=0.1)),
        step=0.01,
    )
    c = model.unknowns["cytosol"].values
    assert model.unknowns["still"].values == pytest.approx(STILL.bound(c))
    assert model.unknowns["dye"].values == pytest.approx(DYE.bound(c))
    store = model.unknowns["store"]
    assert len(store.values) == len(model.unknowns["er"].values) == 11
    assert store.values == pytest.approx(float(STORE.bound(300.0)))
    # Bound calcium counts: the total is that of free and bound.
    total = model.measure()["total"][0]
    free = CalciumModel(problem(), step=0.01).measure()["total"][0]
    bound = sum(float(model.unknowns[name].weights @ model.unknowns[name].values) for name in ("still", "dye", "store"))
    assert total == pytest.approx(free + bound, rel=1e-13)
    # Beside each other the two calcium fields have the weights of their buffers.
    assert model.unknowns["still"].weights == pytest.approx(model.unknowns["cytosol"].weights)


def test_what_binding_cannot_solve_ends_the_run_on_all_ranks():
    model = CalciumModel(problem(TissueBuffer(buffer=STILL), TissueBuffer(buffer=DYE, ratio=0.1)), step=0.01)
    model.unknowns["cytosol"].values[3] = -1e9
    model.advance(0.0)
    with pytest.raises(ConvergenceError, match="not finite"):
        model.judge(0.01, {name: number for name, (number, _) in model.measure().items()})


def test_steps_by_a_tolerance_with_rapid_buffers():
    """Their steps are of first order, which the extrapolation knows; what is rapid is in equilibrium after it."""
    buffers = [TissueBuffer(buffer=dataclasses.replace(DYE, rapid=True), ratio=0.1), TissueBuffer(buffer=STILL)]
    adaptive = run_calcium(problem(*buffers), AdaptiveGrid(end=0.2, tolerance=1e-5))
    assert adaptive.drift < 1e-13
    c, dye = (adaptive.fields[name].x.array for name in ("cytosol", "dye"))
    assert dye == pytest.approx(DYE.bound(c), rel=1e-12)
    ends = [run_calcium(problem(*buffers), TimeGrid(end=0.2, step=0.2 / n)).cytosol.x.array for n in (200, 400)]
    assert c == pytest.approx(2.0 * ends[1] - ends[0], rel=2e-4)


def test_a_run_with_buffers_goes_on_and_not_with_others(tmp_path):
    given = [TissueBuffer(buffer=DYE, ratio=0.1), TissueBuffer(buffer=STILL, regions=["myo"])]
    whole = run_calcium(problem(*given), TimeGrid(end=0.2, step=0.01))
    kept = CheckpointFile(tmp_path / "checkpoint")
    run_calcium(problem(*given), TimeGrid(end=0.1, step=0.01), checkpoint=kept)
    rest = run_calcium(problem(*given), TimeGrid(end=0.2, step=0.01), checkpoint=kept, resume=True)
    for name, field in whole.fields.items():
        assert np.array_equal(rest.fields[name].x.array, field.x.array), name
    other = [given[0], dataclasses.replace(given[1], buffer=dataclasses.replace(STILL, k_off=201.0))]
    with pytest.raises(CheckpointError, match="buffers"):
        run_calcium(problem(*other), TimeGrid(end=0.2, step=0.01), checkpoint=kept, resume=True)
