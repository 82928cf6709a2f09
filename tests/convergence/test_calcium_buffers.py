"""Buffers in a tissue: conservation, exact and independent solutions, orders, the rapid-buffer approximation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI
from scipy.integrate import solve_ivp

from homfem.kinetics import TRIGGER_WAVE, MembraneKinetics, li_rinzel, membrane_from_rates
from homfem.kinetics.calcium import Buffer, rapid_buffering
from homfem.macro.calcium import CalciumModel, CalciumProblem, TissueBuffer, run_calcium
from homfem.macro.domain import Domain
from homfem.tensors import EffectiveTensor
from homfem.timestepping import TimeGrid

GAMMA_C, GAMMA_E, LENGTH, CELLS = 0.75, 0.2, 10.0, 40
FREE, CARRIED = 200.0, 30.0
DYE = Buffer(name="dye", total=40.0, k_on=100.0, k_off=60.0, diffusivity=CARRIED)
STILL = Buffer(name="still", total=20.0, k_on=40.0, k_off=200.0)


def passive() -> MembraneKinetics:
    """A membrane through which nothing goes."""
    nothing = lambda c, e, x, ip3: np.zeros_like(c)  # noqa: E731
    empty = lambda c, e, x, ip3: (np.empty((0, len(c))),) * 2  # noqa: E731
    return MembraneKinetics(
        name="passive", states=(), flux=nothing, relaxation=empty, steady=lambda c, e, ip3: np.empty((0, len(c)))
    )


def tensor(phase, fraction, diffusivity, d=1):
    return EffectiveTensor.measured(phase, fraction * diffusivity, volume_fraction=fraction, dimension=d)


def start(x):
    return 0.1 + 2.0 * np.exp(-(((x[0] - 3.0) / 1.5) ** 2))


def fibre(buffers, comm=MPI.COMM_SELF, **change):
    """A line of 10 um with a puff."""
    domain = Domain(mesh=mesh.create_interval(comm, CELLS, [0.0, LENGTH]), unit="um")
    given = {
        "mesh": domain,
        "cytosol": tensor("cytosol", GAMMA_C, FREE),
        "er": tensor("er", GAMMA_E, 10.0),
        "kinetics": passive(),
        "ip3": 0.3,
        "initial_cytosol": start,
        "initial_er": 300.0,
        "interface_area": 2.0,
        "buffers": buffers,
    }
    return CalciumProblem(**(given | change))


def at_the_end(buffers, end, steps, **options):
    done = run_calcium(fibre(buffers), TimeGrid(end=end, step=end / steps), rtol=1e-12, **options)
    assert done.drift < 1e-13
    points = done.cytosol.function_space.tabulate_dof_coordinates()[:, 0]
    order = np.argsort(points)
    return np.array([done.fields[name].x.array[order] for name in ("cytosol", *(one.buffer.name for one in buffers))])


def semidiscrete(buffers, end, rapid=False):
    """The same elements, integrated in time by another method: of c and b, or of the total where buffers are rapid."""
    h, n = LENGTH / CELLS, CELLS + 1
    mass, stiffness = np.zeros((n, n)), np.zeros((n, n))
    for k in range(CELLS):
        mass[k : k + 2, k : k + 2] += h / 6 * np.array([[2, 1], [1, 2]])
        stiffness[k : k + 2, k : k + 2] += np.array([[1, -1], [-1, 1]]) / h
    laplace = -np.linalg.solve(mass, stiffness)
    c = start(np.linspace(0, LENGTH, n)[None])
    bound = [buffer.bound(c) for buffer in buffers]
    moves = [FREE, *(buffer.diffusivity for buffer in buffers)]

    def full(_t, y):
        c, *b = y.reshape(-1, n)
        found = [d * laplace @ u for d, u in zip(moves, (c, *b), strict=True)]
        for k, (buffer, own) in enumerate(zip(buffers, b, strict=True), start=1):
            rate = buffer.k_on * c * (buffer.total - own) - buffer.k_off * own
            found[0] = found[0] - rate
            found[k] = found[k] + rate
        return np.concatenate(found)

    def calcium(total):
        c = total / rapid_buffering(buffers, total * 0.05, FREE).capacity
        for _ in range(60):
            c = c - (c + sum(b.bound(c) for b in buffers) - total) / rapid_buffering(buffers, c, FREE).capacity
        return c

    def limit(_t, total):
        c = calcium(total)
        return sum(d * laplace @ u for d, u in zip(moves, (c, *(b.bound(c) for b in buffers)), strict=True))

    options = {"method": "BDF", "rtol": 1e-9, "atol": 1e-11}
    if rapid:
        c = calcium(solve_ivp(limit, (0, end), c + sum(bound), **options).y[:, -1])
        return np.array([c, *(buffer.bound(c) for buffer in buffers)])
    return solve_ivp(full, (0, end), np.concatenate([c, *bound]), **options).y[:, -1].reshape(-1, n)


MOBILE = [TissueBuffer(buffer=DYE, ratio=CARRIED / FREE), TissueBuffer(buffer=STILL)]


def rapid(buffers):
    return [dataclasses.replace(one, buffer=dataclasses.replace(one.buffer, rapid=True)) for one in buffers]


def quick(factor):
    """Buffers whose rates are larger, of the same equilibrium."""
    return [dataclasses.replace(b, k_on=factor * b.k_on, k_off=factor * b.k_off) for b in (DYE, STILL)]


def test_order_in_time_beside_another_method():
    theirs = semidiscrete([DYE, STILL], 0.02)
    errors = [np.abs(at_the_end(MOBILE, 0.02, steps) - theirs).max() for steps in (40, 80)]
    assert errors[1] < 3e-3
    assert 1.8 < np.log2(errors[0] / errors[1]) < 2.2
    first = [np.abs(at_the_end(MOBILE, 0.02, steps, splitting="godunov") - theirs).max() for steps in (40, 80)]
    assert 0.8 < np.log2(first[0] / first[1]) < 1.2


def test_rapid_buffers_are_those_of_wagner_and_keizer():
    """First order in time, and the limit of buffers with rates, from which they differ by one over the rates."""
    limit = semidiscrete([DYE, STILL], 0.02, rapid=True)
    errors = [np.abs(at_the_end(rapid(MOBILE), 0.02, steps) - limit).max() for steps in (40, 80)]
    assert 0.8 < np.log2(errors[0] / errors[1]) < 1.2
    # Two step sizes less the error of first order.
    one, two = (at_the_end(rapid(MOBILE), 0.02, steps) for steps in (40, 80))
    assert np.abs(2.0 * two - one - limit).max() < 4e-3
    apart = [np.abs(semidiscrete(quick(factor), 0.02) - limit).max() for factor in (16.0, 64.0)]
    assert apart[0] / apart[1] == pytest.approx(4.0, rel=0.05)
    # No step is too long for rates that are large: what is computed is the limit.
    stiff = [dataclasses.replace(one, buffer=b) for one, b in zip(MOBILE, quick(1e6), strict=True)]
    assert np.abs(at_the_end(stiff, 0.02, 40) - at_the_end(rapid(MOBILE), 0.02, 40)).max() < 1e-3


def test_proportional_buffers_diffuse_as_their_own_tensor_says():
    own = [dataclasses.replace(MOBILE[0], ratio=None, diffusion=tensor("cytosol", GAMMA_C, CARRIED)), MOBILE[1]]
    assert np.abs(at_the_end(own, 0.02, 10) - at_the_end(MOBILE, 0.02, 10)).max() < 1e-10


def mixed(comm):
    """A square with a cleft without ER; buffers in both phases, mobile or not, rapid, and one beside it alone."""
    near = lambda x: np.linalg.norm(x, axis=0) < 14.0  # noqa: E731
    made = mesh.create_rectangle(comm, [[0.0, 0.0], [30.0, 30.0]], [8, 8])
    domain = Domain(mesh=made, unit="um").with_regions({"cleft": near, "myo": lambda x: ~near(x)})
    store = Buffer(name="store", total=5000.0, k_on=0.1, k_off=65.0, diffusivity=1.0, phase="er")
    buffers = [
        TissueBuffer(buffer=DYE, diffusion={"cleft": 30.0, "myo": tensor("cytosol", GAMMA_C, 30.0, 2)}),
        TissueBuffer(buffer=dataclasses.replace(STILL, rapid=True)),
        TissueBuffer(buffer=dataclasses.replace(STILL, name="beside"), regions=["myo"], initial={"myo": 1.0}),
        TissueBuffer(buffer=store, ratio=0.1),
    ]
    return {
        "mesh": domain,
        "cytosol": {"cleft": 220.0, "myo": tensor("cytosol", GAMMA_C, 20.0, 2)},
        "er": {"myo": tensor("er", GAMMA_E, 10.0, 2)},
        "initial_cytosol": lambda x: 0.1 + 0.5 * np.exp(-((x[0] / 8.0) ** 2)),
        "initial_er": lambda x: 300.0 + x[1],
        "kinetics": li_rinzel(
            membrane_from_rates(TRIGGER_WAVE, cytosol_fraction=GAMMA_C, er_fraction=GAMMA_E, interface_area=2.0)
        ),
        "ip3": 0.3,
        "interface_area": 2.0,
        "buffers": buffers,
    }


def case_mixed(comm, splitting):
    done = run_calcium(
        CalciumProblem(**mixed(comm)), TimeGrid(end=0.2, step=0.005), splitting=splitting, subcycles=2, rtol=1e-11
    )
    held = {name: comm.allreduce(float(np.abs(one.x.array).sum())) for name, one in done.fields.items()}
    least = min(comm.allreduce(float(one.x.array.min(initial=np.inf)), op=MPI.MIN) for one in done.fields.values())
    return {
        "drift": done.drift,
        "c": [float(done.maximum[-1]), float(done.minimum[-1])],
        "total": float(done.total[0]),
        "least": least,
        "names": sorted(held),
    }


@pytest.mark.parametrize("splitting", ["strang", "godunov"])
def test_all_calcium_is_kept_on_any_number_of_ranks(on_ranks, splitting):
    one, *others = on_ranks(case_mixed, splitting=splitting)
    assert one["names"] == ["beside", "cytosol", "dye", "er", "still", "store"]
    for found in (one, *others):
        assert found["drift"] < 2e-13
        assert found["least"] >= 0.0
        assert found["c"] == pytest.approx(one["c"], rel=1e-8)
        assert found["total"] == pytest.approx(one["total"], rel=1e-12)


def test_uniform_totals_stay_uniform_and_bind_as_at_a_point():
    """Nothing varies in space: the binding alone, whose solution is exact; and a saturated buffer stays saturated."""
    problem = fibre(
        [TissueBuffer(buffer=DYE, ratio=0.15, initial=0.0), TissueBuffer(buffer=STILL, initial=STILL.total)],
        initial_cytosol=1.0,
    )
    model = CalciumModel(problem, step=1e-3)
    for k in range(20):
        model.advance(1e-3 * k)
    ours = [model.unknowns[name].values for name in ("cytosol", "dye", "still")]
    assert max(np.ptp(values) for values in ours) < 1e-11

    def rates(_t, y):
        bound = [q.k_on * y[0] * (q.total - b) - q.k_off * b for q, b in zip((DYE, STILL), y[1:], strict=True)]
        return [-sum(bound), *bound]

    theirs = solve_ivp(rates, (0.0, 0.02), [1.0, 0.0, STILL.total], method="Radau", rtol=1e-10, atol=1e-12).y[:, -1]
    assert [values[0] for values in ours] == pytest.approx(theirs, rel=2e-3)
