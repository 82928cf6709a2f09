"""Resolved membranes: a mode that decays exactly, orders, the cell problem, charge, ranks, restarts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem import UnitCell, homogenize_diffusion
from homfem.cells import myocyte
from homfem.kinetics.ionic.fitzhugh_nagumo import FITZHUGH_NAGUMO
from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import PointKinetics, Variable
from homfem.macro.domain import Domain
from homfem.macro.emi import Contact, EmiMethod, EmiModel, EmiProblem, Held, Membrane, solve_steady, tiled_domain
from homfem.macro.march import march
from homfem.macro.stimulus import Box, Stimulus
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import ConvergenceError, InputError
from homfem.solve import integrate
from homfem.timestepping import Schedule, TimeGrid

SPACES = {"extracellular": ["extracellular"], "intracellular": ["intracellular"]}
JOINED = SPACES | {"junction": ["junction"]}
SIGMA = {"extracellular": 2.0, "intracellular": 0.5}
LEAK, CAPACITANCE = 0.05, 0.01
PASSIVE = PointKinetics(
    name="leak",
    time_unit="ms",
    fields=(Variable(name="V", unit="mV", meaning="membrane potential"),),
    states=(),
    parameters=(Parameter(name="rate", value=LEAK / CAPACITANCE, meaning="g / Cm"),),
    rates=lambda _t, fields, _s, p: -p.rate * fields[0][None],
)


class Mode:
    """cos(kx) cosh(ky) in the cell |y| < a, -b cos(kx) cosh(k(H - y)) beside it; all decay at one rate."""

    a, height, k = 0.3, 1.0, 2.0 * np.pi

    def __init__(self):
        inner, outer = self.k * self.a, self.k * (self.height - self.a)
        current = SIGMA["intracellular"] * np.sinh(inner)
        self.b = current / (SIGMA["extracellular"] * np.sinh(outer))
        self.jump = np.cosh(inner) + self.b * np.cosh(outer)
        self.decay = (LEAK + current * self.k / self.jump) / CAPACITANCE

    def intracellular(self, x):
        return np.cos(self.k * x[0]) * np.cosh(self.k * x[1])

    def extracellular(self, x):
        return -self.b * np.cos(self.k * x[0]) * np.cosh(self.k * (self.height - x[1]))

    def problem(self, n):
        grid = mesh.create_rectangle(MPI.COMM_WORLD, [[0.0, 0.0], [1.0, self.height]], [n, n])
        domain = Domain(mesh=grid, unit="mm").with_regions(
            {"intracellular": lambda x: x[1] < self.a, "extracellular": lambda x: x[1] > self.a}
        )
        start = {"V": lambda x: self.jump * np.cos(self.k * x[0])}
        membrane = Membrane(kinetics=PASSIVE, capacitance=CAPACITANCE, start=start)
        return EmiProblem(domain=domain, spaces=SPACES, conductivities=SIGMA, membrane=membrane)

    def error(self, model, time):
        """The largest L2 error of the two potentials, relative."""
        found = []
        for name in SPACES:
            potential = model.spaces.function(name, model.potentials)
            exact = fem.Function(fem.functionspace(model.problem.domain.mesh, ("Lagrange", 4)))
            exact.interpolate(getattr(self, name))
            scale, part = np.exp(-self.decay * time), model.problem.domain.dx(name)
            off = integrate((potential - scale * exact) ** 2 * part)
            found.append(np.sqrt(off / integrate((scale * exact) ** 2 * part)))
        return max(found)


def run(problem, step, steps, **method):
    model = EmiModel(problem, step=step, method=EmiMethod(**method))
    for k in range(steps):
        model.advance(k * step)
    return model


@pytest.mark.parametrize(("degree", "order", "most"), [(1, 2.0, 5e-3), (2, 3.0, 1e-4)])
def test_order_in_space(degree, order, most):
    mode = Mode()
    step = 1e-5 / mode.decay
    errors = [mode.error(run(mode.problem(n), step, 1, degree=degree), step) for n in (10, 20, 40)]
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert rates == pytest.approx(order, abs=0.15)
    assert errors[-1] < most


@pytest.mark.parametrize(("order", "most"), [(1, 0.06), (2, 2e-3)])
def test_order_in_time(order, most):
    mode = Mode()
    problem, errors = mode.problem(10), []
    end = 0.5 / mode.decay
    # The same mesh: the discrete mode decays at a rate of its own, found with small steps of second order.
    fine = run(problem, end / 400, 400, order=2, degree=2).values.copy()
    for steps in (10, 20, 40):
        model = run(problem, end / steps, steps, order=order, degree=2)
        errors.append(np.abs(model.values - fine).max() / np.abs(fine).max())
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert rates == pytest.approx(order, abs=0.1)
    assert errors[0] < most
    assert np.abs(fine).max() == pytest.approx(mode.jump * np.exp(-0.5), rel=5e-3)


def mirrored(raw, axis):
    """A cell with its mirror image beyond its upper side: its solutions are even or odd there."""
    high = raw.lattice.vectors[axis, axis]
    image = raw.points.copy()
    image[:, axis] = 2.0 * high - image[:, axis]
    points = np.vstack([raw.points, image])
    label = np.unique(np.round(points, 9), axis=0, return_index=True, return_inverse=True)
    vectors = raw.lattice.vectors.copy()
    vectors[axis] *= 2.0
    return replace(
        raw,
        points=points[label[1]],
        cells=label[2].ravel()[np.vstack([raw.cells, raw.cells + len(raw.points)])],
        phase_of_cell=np.tile(raw.phase_of_cell, 2),
        facets=np.zeros((0, 2), dtype=np.int64),
        facet_tags=np.zeros(0, dtype=np.int32),
        facet_names={},
        lattice=type(raw.lattice)(vectors=vectors),
        element=None,
        element_shape=(),
    )


def plane_cell(**more):
    return myocyte(60.0, 20.0, None, (2.0, 4.0), staggered=False, joined="x", end_patch=0.4, resolution=1 / 3, **more)


def held(high=1.0):
    return [
        Held(space=space, boundary=side, value=value)
        for side, value in (("x-low", 0.0), ("x-high", high))
        for space in ("extracellular", "junction")
    ]


def test_the_steady_state_of_passive_membranes_is_the_cell_problem():
    """Between two potentials a mesh with mirror planes carries the effective current of its cell, to the solver."""
    plain = plane_cell()
    cell = UnitCell.from_raw(
        mirrored(mirrored(plain.raw, 0), 1), comm=MPI.COMM_WORLD, length=plain.length, length_unit="um"
    )
    resistance, leak = 0.1, 0.02
    conductivities = {"extracellular": 2.0, "intracellular": 0.5, "junction": 0.5}
    membranes = {"intracellular|junction": 2e-3 / resistance, "intracellular|extracellular": 1e-3 * leak}
    membranes["junction|extracellular"] = 1e-3 * leak  # else in perfect contact
    expected = homogenize_diffusion(
        cell, conductivities, membranes=membranes, unit="mS/mm", physics="conductivity", bounds=False, rtol=1e-12
    ).value[0, 0]
    for periods in (1, 2):
        domain = tiled_domain(MPI.COMM_WORLD, cell.raw, [periods, 1], length=1e-3 * cell.length)
        problem = EmiProblem(
            domain=domain,
            spaces=JOINED,
            conductivities=conductivities,
            membrane=Membrane(kinetics=PASSIVE, capacitance=CAPACITANCE),
            contacts=[
                Contact(first="junction", second="intracellular", resistance=0.5 * resistance),
                Contact(first="junction", second="extracellular", resistance=1.0 / leak),
            ],
            held=held(),
        )
        found = solve_steady(problem, leak=leak, method=EmiMethod(degree=2, rtol=1e-12))
        assert sum(found.currents) == pytest.approx(0.0, abs=1e-12)
        length, width = 2e-3 * 62 * periods, 2e-3 * 24
        assert sum(found.currents[2:]) * length / width == pytest.approx(expected, rel=1e-9)


def test_cells_in_space_are_in_series_with_their_junctions():
    """Junctions over whole faces in 3D: all currents are exact on any mesh, Sigma = phi / (1/sigma + R/L)."""
    cell = myocyte(30.0, 10.0, 10.0, (2.0, 3.0), staggered=False, joined="x", end_patch=1.0, resolution=1 / 3)
    domain = tiled_domain(MPI.COMM_WORLD, cell.raw, [3, 1, 1], length=1e-3 * cell.length)
    problem = EmiProblem(
        domain=domain,
        spaces=JOINED,
        conductivities=SIGMA | {"junction": 0.5},
        contacts=[Contact(first="junction", second="intracellular", resistance=0.05)],
        held=held(),
    )
    found = solve_steady(problem, method=EmiMethod(rtol=1e-12))
    expected = (100 / 169) / (1 / 0.5 + 0.1 / 0.032)
    assert found.currents[3] * 0.096 / 0.013**2 == pytest.approx(expected, rel=1e-9)
    # The space between the columns is a duct.
    assert found.currents[2] * 0.096 / 0.013**2 == pytest.approx(2.0 * (1.0 - 100 / 169), rel=1e-9)


def strip(comm=MPI.COMM_WORLD, *, periods=6, **membrane):
    cell = plane_cell(comm=comm)
    domain = tiled_domain(comm, cell.raw, [periods, 1], length=1e-3 * cell.length)
    given = {
        "kinetics": FITZHUGH_NAGUMO,
        "capacitance": 0.01,
        "parameters": {"rate": 8.0},
        "stimuli": [
            Stimulus(place=Box(low=(-1.0, -1.0), high=(0.1, 1.0)), amplitude=0.05, schedule=Schedule(duration=0.5))
        ],
    }
    return EmiProblem(
        domain=domain,
        spaces=JOINED,
        conductivities=SIGMA | {"junction": 0.5},
        membrane=Membrane(**(given | membrane)),
        contacts=[Contact(first="junction", second="intracellular", resistance=0.05)],
    )


@pytest.mark.parametrize("order", [1, 2])
def test_charge_on_the_membrane_is_kept_without_ionic_current(order):
    silent = {
        "parameters": {"rate": 0.0},
        "kinetics": PASSIVE,
        "stimuli": [],
        "start": {"V": lambda x: np.sin(9.0 * x[0])},
    }
    model = EmiModel(strip(**silent), step=0.01, method=EmiMethod(order=order))
    before = model.total()
    largest = np.abs(model.values).max()
    for k in range(20):
        model.advance(0.01 * k)
    assert np.abs(model.values).max() < 0.9 * largest
    assert model.total() == pytest.approx(before, rel=1e-11)


def case_strip(comm):
    model = EmiModel(strip(comm), step=0.05)
    march(model, TimeGrid(end=1.0, step=0.05))
    whole = comm.allreduce(float(np.sum(model.values)))
    return {
        "V": whole,
        "w": comm.allreduce(float(model.reaction.states.sum())),
        "total": model.total(),
        "dofs": model.dofs,
    }


def test_ranks_agree(on_ranks):
    alone, *others = on_ranks(case_strip)
    assert alone["V"] > 10.0
    for other in others:
        assert other == pytest.approx(alone, rel=1e-9)


def test_a_restart_goes_on_as_if_nothing_had_been(tmp_path):
    whole = EmiModel(strip(), step=0.05)
    march(whole, TimeGrid(end=1.0, step=0.05))
    saved = CheckpointFile(tmp_path / "strip.h5")
    march(EmiModel(strip(), step=0.05), TimeGrid(end=0.5, step=0.05), checkpoint=saved)
    again = EmiModel(strip(), step=0.05)
    march(again, TimeGrid(end=1.0, step=0.05), checkpoint=saved, resume=True)
    assert again.values == pytest.approx(whole.values, rel=1e-10, abs=1e-12)
    assert again.reaction.states == pytest.approx(whole.reaction.states, rel=1e-10, abs=1e-12)


def test_what_is_not_finite_is_told_with_its_node():
    model = EmiModel(strip(), step=0.05)
    model.values[3] = np.nan
    with pytest.raises(ConvergenceError, match=r"(V|w) at the node \(.*\) mm is not finite at t = .*FitzHugh-Nagumo"):
        model.advance(0.0)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"spaces": {"intracellular": ["intracellular"]}}, "spaces"),
        (
            {"spaces": JOINED | {"more": ["junction"]}, "conductivities": SIGMA | {"junction": 1.0, "more": 1.0}},
            "spaces['more']",
        ),
        ({"spaces": JOINED | {"junction": ["gap"]}}, "spaces['junction']"),
        ({"conductivities": SIGMA}, "conductivities['junction']"),
        ({"conductivities": SIGMA | {"junction": 0.0}}, "conductivities['junction']"),
        ({"contacts": [Contact(first="junction", second="cells", resistance=1.0)]}, "contacts[0]"),
        ({"contacts": [Contact(first="intracellular", second="extracellular", resistance=1.0)]}, "membrane"),
        ({"held": [Held(space="junction", boundary="left")]}, "held[0].boundary"),
    ],
)
def test_bad_problems_are_refused(changed, name):
    good = strip(periods=1)
    given = {key: getattr(good, key) for key in ("domain", "spaces", "conductivities", "membrane", "contacts", "held")}
    with pytest.raises(InputError) as caught:
        EmiProblem(**(given | changed))
    assert caught.value.name == name


def test_bad_input_of_models_is_refused():
    good = strip(periods=1)
    for wrong, name in (
        (lambda: EmiModel(replace(good, membrane=None), step=0.1), "membrane"),
        (lambda: EmiModel(good, step=-0.1), "step"),
        (lambda: EmiModel(strip(periods=1, start={"W": 1.0}), step=0.1), "membrane.start"),
        (lambda: solve_steady(good), "held"),
        (lambda: solve_steady(replace(good, held=held(), membrane=None), leak=0.1), "leak"),
        (lambda: solve_steady(replace(good, held=[Held(space="junction", boundary="y-low")])), "held"),
        (lambda: Contact(first="a", second="b", resistance=0.0), "contact.resistance"),
        (lambda: Membrane(kinetics=PASSIVE, capacitance=0.0), "membrane.capacitance"),
        (lambda: tiled_domain(MPI.COMM_WORLD, plane_cell().raw, [1], length=1.0), "counts"),
        (lambda: tiled_domain(MPI.COMM_WORLD, plane_cell().raw, [1, 0], length=1.0), "counts[1]"),
        (lambda: EmiMethod(order=3), "order"),
    ):
        with pytest.raises(InputError) as caught:
            wrong()
        assert caught.value.name.startswith(name), caught.value
