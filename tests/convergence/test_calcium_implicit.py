"""The step of calcium that splits nothing: order where the exchange jumps, balance, buffers, ranks, restarts."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from mpi4py import MPI

from homfem.bodies import box_mesh
from homfem.kinetics.calcium import Buffer, CalciumKinetics, boundary_law, calcium_kinetics
from homfem.kinetics.calcium.pumps import pmca
from homfem.macro.calcium import (
    BoundaryFlux,
    CalciumModel,
    CalciumProblem,
    Messenger,
    Source,
    TissueBuffer,
    run_calcium,
)
from homfem.macro.domain import Domain
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, ConvergenceError, InputError
from homfem.step_control import AdaptiveGrid
from homfem.tensors import EffectiveTensor
from homfem.timestepping import Schedule, TimeGrid
from two_regions import Mode, unit_mesh

SHARES = {"cytosol": 1.0 / 1.185, "er": 0.185 / 1.185}
DYE = Buffer(name="dye", total=50.0, k_on=100.0, k_off=50.0, diffusivity=20.0)
FIXED = Buffer(name="fixed", total=100.0, k_on=50.0, k_off=100.0)
STORE = Buffer(name="store", total=1000.0, k_on=1.0, k_off=500.0, phase="er")
OPEN = {
    "fluxes": [
        BoundaryFlux(
            boundary="right",
            flux=boundary_law(CalciumKinetics(name="plasma", mechanisms=(pmca(20.0, 0.3),))),
            name="pump",
        )
    ],
    "sources": [Source(place=(12.0,), strength=60.0, schedule=Schedule(start=0.02, duration=0.05), name="puff")],
}


def tensor(name: str, value: float, fraction: float) -> EffectiveTensor:
    return EffectiveTensor.measured(name, value * fraction, volume_fraction=fraction, unit="um^2/s", dimension=1)


def cell(
    comm: MPI.Comm = MPI.COMM_SELF, model: str = "li-rinzel", cells: int = 30, rapid: bool = False, **change
) -> CalciumProblem:
    """Two thirds with ER, buffers in both phases, IP3 that diffuses; a third of cytosol alone."""
    domain = Domain(mesh=box_mesh(comm, [60.0], [cells]), unit="um")
    domain = domain.with_regions({"tissue": lambda x: x[0] < 40.0, "plain": lambda x: x[0] > 40.0})
    given = {
        "mesh": domain.with_boundaries({"right": lambda x: x[0] > 60.0 - 1e-6}),
        "cytosol": {"tissue": tensor("cytosol", 20.0, SHARES["cytosol"]), "plain": 25.0},
        "er": {"tissue": tensor("er", 10.0, SHARES["er"])},
        "kinetics": calcium_kinetics(model, "trigger-wave"),
        "ip3": Messenger(
            initial=lambda x: 0.3 + 0.1 * np.exp(-(x[0] ** 2) / 50.0), diffusivity_ratio=1.3, degradation=0.5, rest=0.3
        ),
        "initial_cytosol": lambda x: 0.1 + 0.8 * np.exp(-(x[0] ** 2) / 50.0),
        "initial_er": 12.0,
        "interface_area": 2.0,
        "buffers": [
            TissueBuffer(buffer=DYE, ratio=0.1),
            TissueBuffer(buffer=dataclasses.replace(FIXED, rapid=rapid), regions=["tissue"]),
            TissueBuffer(buffer=STORE),
        ],
    }
    return CalciumProblem(**(given | change))


@pytest.mark.parametrize(
    ("scheme", "order", "worst"), [("tr-bdf2", 2.0, 6e-6), ("crank-nicolson", 2.0, 2e-5), ("backward-euler", 1.0, 2e-3)]
)
def test_the_order_across_the_interface_is_that_of_the_scheme(scheme, order, worst):
    """Where Strang's splitting has order 1.38 and an error of 3.6e-4 at a step of 0.05: errors in time alone."""
    values = []
    for step in (0.1, 0.05, 0.025, 0.0125):
        problem = Mode(unit_mesh(MPI.COMM_SELF, 1, 128)).problem()
        result = run_calcium(
            problem, TimeGrid(end=0.5, step=step), splitting="implicit", scheme=scheme, preconditioner="direct"
        )
        assert result.drift < 1e-14
        values.append(np.concatenate([result.cytosol.x.array, result.er.x.array]))
    gaps = np.array([np.sqrt(np.mean((a - b) ** 2)) for a, b in itertools.pairwise(values)])
    assert np.log2(gaps[:-1] / gaps[1:]) == pytest.approx([order] * 2, abs=0.15)
    assert gaps[1] < worst


def test_beside_the_exact_mode_it_is_far_more_exact_than_a_splitting():
    errors = {}
    for splitting in ("strang", "implicit"):
        mode = Mode(unit_mesh(MPI.COMM_SELF, 1, 256))
        grid = TimeGrid(end=0.5, step=0.05)
        errors[splitting] = mode.errors(run_calcium(mode.problem(), grid, splitting=splitting), 0.5)
    assert errors["implicit"][0] < 1e-5
    assert errors["strang"][0] > 40.0 * errors["implicit"][0]


@pytest.mark.parametrize("model", ["li-rinzel", "de-young-keizer"])
def test_all_calcium_is_kept_and_the_limit_is_that_of_strang(model):
    """Buffers, IP3, states, a pump at the boundary, a source, two regions; eight coupled states that drift."""
    grid = TimeGrid(end=0.2, step=0.005)
    both = {name: run_calcium(cell(model=model, **OPEN), grid, splitting=name) for name in ("strang", "implicit")}
    one, other = both["implicit"], both["strang"]
    assert one.drift < 1e-14
    assert one.brought["puff"][-1] == pytest.approx(3.0, rel=1e-12)
    # Of Strang's splitting a strong pump beside stiff binding is of first order: -0.3689 with steps of 0.3 ms.
    assert one.brought["pump"][-1] == pytest.approx(-0.37137, abs=2e-5)
    assert other.brought["pump"][-1] == pytest.approx(-0.36953, rel=0.12)
    for name, field in one.fields.items():
        assert field.x.array == pytest.approx(other.fields[name].x.array, rel=2e-2), name
    for name, state in one.states.items():
        assert state.x.array == pytest.approx(other.states[name].x.array, rel=1e-2, abs=1e-4), name


def test_kept_over_many_steps():
    model = CalciumModel(cell(cells=6), step=0.02, splitting="implicit", rtol=1e-6)
    start = model.measure()["total"][0]
    worst = 0.0
    for step in range(150):
        model.advance(0.02 * step)
        worst = max(worst, abs(model.measure()["total"][0] / start - 1.0))
    assert worst < 1e-13


@pytest.mark.parametrize("splitting", ["godunov", "strang", "implicit"])
def test_what_pumps_hold_counts(splitting):
    """Pumps of two states take up calcium before they release it: a thousandth of all here."""
    given = cell(model="li-rinzel-buffering", buffers=[], **OPEN)
    model = CalciumModel(given, step=0.005, splitting=splitting)
    assert given.held() == {"pump": pytest.approx(SHARES["cytosol"] / 2.0 * 2.5 / 10.0)}

    def held():
        membrane = 2.0 * model.unknowns["er"].part.volumes
        return given.held()["pump"] * float(membrane @ model.exchange.states["pump"].values)

    model.refresh()
    start, moved, first = model.measure()["total"][0], 0.0, held()
    for step in range(20):
        model.advance(0.005 * step)
        moved += sum(model.loads.brought.values())
    assert model.measure()["total"][0] - moved == pytest.approx(start, rel=1e-14)
    model.refresh()
    assert abs(held() - first) > 5e-4 * start


def test_rapid_buffers_are_of_second_order_and_in_equilibrium():
    """A splitting has the first order with them."""
    values, bound = [], None
    for step in (0.02, 0.01, 0.005):
        result = run_calcium(cell(rapid=True), TimeGrid(end=0.2, step=step), splitting="implicit")
        assert result.drift < 1e-13
        values.append(result.cytosol.x.array.copy())
        bound = result.fields["fixed"].x.array
    inside = FIXED.bound(values[-1][: len(bound)])
    assert bound == pytest.approx(inside, rel=1e-4)
    gaps = [np.abs(a - b).max() for a, b in itertools.pairwise(values)]
    assert np.log2(gaps[0] / gaps[1]) > 1.7
    split = run_calcium(cell(rapid=True), TimeGrid(end=0.2, step=0.0025)).cytosol.x.array
    assert split == pytest.approx(values[-1], rel=3e-2)


def test_steps_by_a_tolerance_are_few_where_binding_is_stiff():
    result = run_calcium(cell(), AdaptiveGrid(end=0.5, tolerance=1e-3), splitting="implicit")
    assert result.drift < 1e-13
    assert len(result.times) < 30
    limit = run_calcium(cell(), TimeGrid(end=0.5, step=0.01), splitting="implicit")
    assert result.cytosol.x.array == pytest.approx(limit.cytosol.x.array, abs=2e-3)


def case_run(comm, dimension=1):
    result = run_calcium(cell(comm, **OPEN), TimeGrid(end=0.1, step=0.02), splitting="implicit")
    fields = {
        name: [float(comm.allreduce(f.x.array.max(initial=-1.0), op=MPI.MAX))] for name, f in result.fields.items()
    }
    return {
        "drift": result.drift,
        "total": result.total.tolist(),
        "brought": {name: values.tolist() for name, values in result.brought.items()},
        "iterations": result.iterations.tolist(),
        "largest": fields,
    }


@pytest.mark.mpi
def test_the_same_on_1_2_3_ranks(on_ranks):
    one, *others = on_ranks(case_run)
    assert one["drift"] < 1e-14
    for other in others:
        assert other["drift"] < 1e-14
        assert other["iterations"] == one["iterations"]
        assert other["total"] == pytest.approx(one["total"], rel=1e-12)
        assert other["brought"]["pump"] == pytest.approx(one["brought"]["pump"], rel=1e-9)
        for name, largest in one["largest"].items():
            assert other["largest"][name] == pytest.approx(largest, rel=1e-9)


def test_a_run_goes_on_to_the_last_bit_and_not_with_another_scheme(tmp_path):
    options = {"splitting": "implicit", "checkpoint": CheckpointFile(tmp_path / "checkpoint")}
    whole = run_calcium(cell(**OPEN), TimeGrid(end=0.1, step=0.01), splitting="implicit")
    run_calcium(cell(**OPEN), TimeGrid(end=0.05, step=0.01), **options)
    with pytest.raises(CheckpointError, match="splitting"):
        run_calcium(cell(**OPEN), TimeGrid(end=0.1, step=0.01), **options, scheme="backward-euler", resume=True)
    rest = run_calcium(cell(**OPEN), TimeGrid(end=0.1, step=0.01), **options, resume=True)
    for name, field in whole.fields.items():
        assert np.array_equal(rest.fields[name].x.array, field.x.array), name
    for name, state in whole.states.items():
        assert np.array_equal(rest.states[name].x.array, state.x.array), name


def test_what_newton_cannot_solve_ends_the_run_and_leaves_the_fields():
    """A law without any solution: it takes more the less there is."""
    law = lambda t, u: -1e6 * (1.0 + u["cytosol"] ** 2)  # noqa: E731
    model = CalciumModel(
        cell(fluxes=[BoundaryFlux(boundary="right", flux=law)]),
        step=0.05,
        splitting="implicit",
        preconditioner="direct",
    )
    before = model.unknowns["cytosol"].values.copy()
    with pytest.raises(ConvergenceError, match=r"Newton's method does not converge in the step to t = 0\.0"):
        model.advance(0.0)
    assert np.array_equal(model.unknowns["cytosol"].values, before)


@pytest.mark.parametrize(
    ("change", "name", "allowed"),
    [
        ({"splitting": "strang", "scheme": "tr-bdf2"}, "scheme", "which has its own"),
        ({"splitting": "implicit", "scheme": "euler"}, "scheme", "backward-euler"),
        ({"splitting": "implicit", "subcycles": 2}, "subcycles", "1 where nothing is split"),
        ({"splitting": "none"}, "splitting", "implicit"),
    ],
)
def test_methods_that_are_none(change, name, allowed):
    with pytest.raises(InputError, match=allowed) as caught:
        CalciumModel(cell(), step=0.01, **change)
    assert caught.value.name == name


def test_second_order_in_space_across_the_interface():
    """In two dimensions; the amounts are loads beside the mass, which a splitting adds to the nodes."""
    errors = []
    for cells in (8, 16):
        mode = Mode(unit_mesh(MPI.COMM_SELF, 2, cells))
        result = run_calcium(mode.problem(), TimeGrid(end=0.5, step=0.05), splitting="implicit")
        assert result.drift < 1e-14
        errors.append(mode.errors(result, 0.5))
    rates = np.log2(np.array(errors[0]) / np.array(errors[1]))
    assert rates[::2] == pytest.approx([2.0, 2.0], abs=0.2)
    assert max(errors[1][::2]) < 8e-4
