"""Resolved membranes: a mode that decays exactly, orders, the cell problem, charge, ranks, restarts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem import UnitCell, homogenize_bidomain, homogenize_diffusion
from homfem.bodies import box_mesh
from homfem.cells import myocyte
from homfem.kinetics.ionic import ionic_kinetics
from homfem.kinetics.ionic.fitzhugh_nagumo import FITZHUGH_NAGUMO
from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import PointKinetics, Variable
from homfem.macro.cardiac import CardiacMethod, CardiacModel, CardiacProblem
from homfem.macro.conditions import Neumann, Pulsed
from homfem.macro.domain import Domain
from homfem.macro.emi import (
    Contact,
    EmiMethod,
    EmiModel,
    EmiProblem,
    Held,
    Injected,
    Membrane,
    TileMeans,
    solve_emi,
    solve_steady,
    tiled_domain,
)
from homfem.macro.march import march
from homfem.macro.observers import Call
from homfem.macro.reaction import CompiledReaction, make_reaction
from homfem.macro.stimulus import Box as Place
from homfem.macro.stimulus import Stimulus
from homfem.meshing.shapes.box_grid import box_grid_raw
from homfem.meshing.shapes.painted import Box, paint
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


def test_the_steady_state_in_space_is_the_cell_problem_too():
    """A sheet joined along and across, on a mesh with the cell's own mirror planes: along x, and along y."""
    size = np.array([40.0, 20.0, 20.0])
    boxes = [
        Box("junction", (-0.05, 0.4, 0.4), (0.05, 0.6, 0.6)),
        Box("junction", (0.4, -0.05, 0.4), (0.6, 0.05, 0.6)),
        Box("intracellular", (0.05, 0.05, 0.05), (0.95, 0.95, 0.95)),
    ]
    labels, names, layers = paint(boxes, "extracellular")
    halves = [np.repeat(0.5 * part, 2) for part in layers]  # a layer about a mirror plane is cut by it
    axes = [np.concatenate([[0.0], np.cumsum(part)]) * length / 20.0 for part, length in zip(halves, size, strict=True)]
    for axis in range(3):
        labels = np.repeat(labels, 2, axis=axis)
    upward = [0.5 * (axis[1:] + axis[:-1]) < 0.5 * axis[-1] for axis in axes]
    phases = {name: names.index(name) + 1 for name in ("intracellular", "junction", "extracellular")}
    raw = box_grid_raw(axes, (labels + 1).astype(np.int32), phases, upward=upward, length_unit="um")
    cell = UnitCell.from_raw(raw, comm=MPI.COMM_WORLD, length=20.0, length_unit="um")
    resistance, leak = 0.1, 0.02
    conductivities = {"extracellular": 2.0, "intracellular": 0.5, "junction": 0.7}
    membranes = {"intracellular|junction": 2e-3 / resistance, "intracellular|extracellular": 1e-3 * leak}
    membranes["junction|extracellular"] = 1e-3 * leak
    expected = homogenize_diffusion(
        cell, conductivities, membranes=membranes, unit="mS/mm", physics="conductivity", bounds=False, degree=1,
        rtol=1e-12,
    ).value  # fmt: skip
    # Cells of a sheet are not joined across it: the conductivities in series are those of nothing there.
    sheet = homogenize_bidomain(cell, conductivities, resistance=resistance, degree=1, bounds=False, rtol=1e-11)
    assert np.all(sheet.monodomain.value[2] == 0.0)
    assert np.all(np.diag(sheet.monodomain.value)[:2] > 0.0)
    assert "monodomain" in str(sheet)
    for axis, counts in ((0, [2, 1, 1]), (1, [1, 2, 1])):
        problem = EmiProblem(
            domain=tiled_domain(MPI.COMM_WORLD, cell.raw, counts, length=1e-3 * cell.length),
            spaces=JOINED,
            conductivities=conductivities,
            membrane=Membrane(kinetics=PASSIVE, capacitance=CAPACITANCE),
            contacts=[
                Contact(first="junction", second="intracellular", resistance=0.5 * resistance),
                Contact(first="junction", second="extracellular", resistance=1.0 / leak),
            ],
            held=[
                Held(space=space, boundary=f"{'xyz'[axis]}-{side}", value=value)
                for side, value in (("low", 0.0), ("high", 1.0))
                for space in ("extracellular", "junction")
            ],
        )
        found = solve_steady(problem, leak=leak, method=EmiMethod(rtol=1e-12))
        sides = 1e-3 * size * counts
        section = np.prod(sides) / sides[axis]
        assert sum(found.currents[2:]) * sides[axis] / section == pytest.approx(expected[axis, axis], rel=1e-9)


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
            Stimulus(place=Place(low=(-1.0, -1.0), high=(0.1, 1.0)), amplitude=0.05, schedule=Schedule(duration=0.5))
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


@pytest.mark.parametrize("order", [1, 2])
def test_order_in_time_with_the_kinetics(order):
    """Membrane and currents split: all of V and the recovery, after half an excitation from a smooth start."""
    start = {"V": lambda x: 0.6 * np.cos(0.5 * np.pi * x[0] / 0.124) ** 2}
    problem, end = strip(periods=2, stimuli=[], start=start), 0.4

    def at_end(steps, order):
        model = run(problem, end / steps, steps, order=order)
        return np.concatenate([model.values, 10.0 * model.reaction.states[0]])

    fine = at_end(640, 2)
    errors = [np.abs(at_end(steps, order) - fine).max() for steps in (20, 40, 80)]
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx(order, abs=0.15)
    assert errors[-1] < (0.02 if order == 1 else 2e-4)


@pytest.mark.parametrize("periods", [1, 6])
def test_junctions_that_resist_next_to_nothing_or_to_all(periods):
    """R to infinity is no contact, and below some R nothing changes any more; one cell alone is a tissue, too."""
    problem = strip(periods=periods)

    def after(*resistances):
        contacts = [Contact(first="junction", second="intracellular", resistance=r) for r in resistances]
        return run(replace(problem, contacts=contacts), 0.05, 10).values

    assert after(1e10) == pytest.approx(after(), abs=1e-6)
    assert after(1e-10) == pytest.approx(after(1e-7), abs=1e-5)
    assert (np.abs(after(1e-7) - after()).max() > 0.05) == (periods > 1)


@pytest.mark.parametrize(("name", "order"), [("gray-pathmanathan-2016", 2), ("luo-rudy-1991", 1)])
def test_tissue_that_is_the_same_everywhere_is_a_single_cell(name, order):
    """Without gradients no current flows between cells: V is that of the ionic model alone, compiled as there."""
    kinetics = ionic_kinetics(name)
    start = kinetics.fields[0].start + 60.0
    model = EmiModel(
        strip(periods=2, kinetics=kinetics, parameters={}, stimuli=[], start={"V": start}),
        step=0.02,
        method=EmiMethod(order=order, rtol=1e-12),
    )
    assert isinstance(model.reaction, CompiledReaction)
    alone = np.full(1, start)
    single = make_reaction(kinetics, {kinetics.fields[0].name: alone}, order=order)
    for k in range(100):
        model.advance(0.02 * k)
        for part in range(order):
            single.step(0.02 * (k + part / order), 0.02 / order)
    assert abs(alone[0] - start) > 3.0
    assert model.values == pytest.approx(np.full(len(model.values), alone[0]), abs=1e-7)
    assert model.reaction.states[:, 5] == pytest.approx(single.states[:, 0], rel=1e-7, abs=1e-9)


def test_iterations_do_not_grow_with_the_number_of_cells():
    found = []
    for periods in (4, 16, 64):
        model = EmiModel(strip(periods=periods), step=0.05, method=EmiMethod(preconditioner="multigrid"))
        counts = [model.advance(0.05 * k) for k in range(5)]
        found.append(np.diff([0, *counts]).mean())
    assert max(found) < 1.4 * min(found)
    assert max(found) < 30


def sandwich():
    """Space outside above a cell, between two sides."""
    grid = mesh.create_rectangle(MPI.COMM_WORLD, [[0.0, 0.0], [1.0, 1.0]], [10, 10])
    domain = Domain(mesh=grid, unit="mm").with_regions(
        {"intracellular": lambda x: x[1] < 0.3, "extracellular": lambda x: x[1] > 0.3}
    )
    domain = domain.with_boundaries({"low": lambda x: x[0] < 1e-9, "high": lambda x: x[0] > 1.0 - 1e-9})
    return EmiProblem(
        domain=domain,
        spaces=SPACES,
        conductivities=SIGMA,
        membrane=Membrane(kinetics=PASSIVE, capacitance=CAPACITANCE, parameters={"rate": 0.0}),
    )


def outside(model):
    """Where the nodes outside are along x, and the potential there."""
    x = model.spaces.space.tabulate_dof_coordinates()
    there = x[:, 1] > 0.3 - 1e-9
    return x[there, 0], model.fields()["extracellular"].x.array[there]


def test_injected_currents_obey_ohm_where_membranes_are_charged():
    """A step that is long against the membrane's time: all current is outside, and its potential is linear."""
    currents = [
        Injected(space="extracellular", boundary=side, density=sign * 3.0, schedule=Schedule(start=1e9, duration=2e9))
        for side, sign in (("low", -1.0), ("high", 1.0))
    ]
    problem = replace(sandwich(), injected=currents)
    model = EmiModel(problem, step=1e9, method=EmiMethod(rtol=1e-12))
    model.advance(0.0)
    assert np.abs(model.potentials).max() < 1e-12
    model.advance(1e9)
    x, potential = outside(model)
    assert potential == pytest.approx(1.5 * (x - 0.5), abs=1e-7)
    with pytest.raises(InputError, match=r"injected = .*sum zero where no potential is held"):
        EmiModel(replace(problem, injected=currents[1:]), step=1.0)
    away = [replace(currents[0], space="intracellular", boundary="top")]
    with pytest.raises(InputError, match="a space that reaches this boundary"):
        EmiModel(
            replace(problem, domain=problem.domain.with_boundaries({"top": lambda x: x[1] > 1 - 1e-9}), injected=away),
            step=1.0,
        )


@pytest.mark.parametrize("order", [1, 2])
def test_a_potential_on_a_schedule_is_its_mean_over_a_step(order):
    """Beside one that is always held: at the start, half a step before it, a step with half of it, one after."""
    held = [
        Held(space="extracellular", boundary="low", value=-1.0),
        Held(space="extracellular", boundary="high", value=3.0, schedule=Schedule(start=-0.5e9, duration=2e9)),
    ]
    method = EmiMethod(rtol=1e-12, order=order, preconditioner="direct")
    model = EmiModel(replace(sandwich(), held=held), step=1e9, method=method, time=-1e9)
    for time, value in ((None, 0.0), (-1e9, 1.5), (0.0, 3.0), (1e9, 1.5), (2e9, 0.0)):
        if time is not None:
            model.advance(time)
        x, potential = outside(model)
        ends = [potential[np.abs(x - place) < 1e-9] for place in (0.0, 1.0)]
        assert ends[0] == pytest.approx(np.full(len(ends[0]), -1.0), abs=1e-12)
        assert ends[1] == pytest.approx(np.full(len(ends[1]), value), abs=1e-12)
        if order == 1 and time is not None:
            assert potential == pytest.approx(-1.0 + (value + 1.0) * x, abs=1e-7)
    with pytest.raises(InputError, match=r"held\[1\]\.schedule = .*absent"):
        solve_steady(replace(sandwich(), held=held))


def test_the_time_of_each_stage_is_told(caplog):
    with caplog.at_level("INFO", logger="homfem"):
        done = solve_emi(strip(periods=1), TimeGrid(end=0.1, step=0.05))
    assert done.table() in caplog.text
    rows = {line.split()[0]: line.split()[1:] for line in done.table().splitlines()}
    assert list(rows) == ["stage", "setup", "ODE", "potentials", "output", "total"]
    assert int(rows["potentials"][-1]) == done.iterations > 0


def test_means_over_tiles_are_those_of_their_middles():
    model = EmiModel(strip(periods=3), step=0.1)
    space, domain = model.spaces.space, model.problem.domain
    place = fem.Function(space)
    place.interpolate(lambda x: x[0])
    period = 1e-3 * 62
    membrane = model.spaces.between("intracellular", "extracellular", "membrane")
    for measure in (None, domain.dx("extracellular"), membrane):
        means = TileMeans(domain, space, [3, 1], measure)
        assert means.of(place) == pytest.approx(period * np.array([0.5, 1.5, 2.5]), rel=1e-12)
    assert TileMeans(domain, space, [3, 1]).sizes == pytest.approx(period * 1e-3 * 24 * np.ones(3), rel=1e-12)
    with pytest.raises(InputError, match="counts"):
        TileMeans(domain, space, [3])
    with pytest.raises(InputError, match="tiles that all hold"):
        TileMeans(domain, space, [90, 1], domain.dx("intracellular"))


LENGTH, GRID = 2.4, TimeGrid(end=3.0, step=0.05)


def recorded(model, means, names):
    """Means over tiles of some fields at all times, shape (fields, times, tiles)."""
    rows = []

    def keep(model, _step, _time):
        fields = model.fields()
        rows.append([entry.of(fields[name]) for entry, name in zip(means, names, strict=True)])

    march(model, GRID, observers=[Call(keep)])
    return np.array(rows).swapaxes(0, 1)


def both(cell, tissue, count, field):
    """V and the extracellular potential of resolved cells of a size, and those of the bidomain, which knows no size."""
    scale, kinetics = LENGTH / count / (1e-3 * cell.periods[0]), ionic_kinetics("gray-pathmanathan-2016")
    low, high, pulse = {"x-low": -field, "x-high": field}, 1e-3 * cell.length * scale, Schedule(duration=1.0)
    domain = tiled_domain(MPI.COMM_WORLD, cell.raw, [count, 1], length=high)
    stimulus = Stimulus(place=Place(low=(-1.0, -9.0), high=(0.6, 9.0)), amplitude=0.8 * scale, schedule=pulse)
    free = 1.0 - 0.4 * 20 / 24  # of the face, from which the junction takes its part
    problem = EmiProblem(
        domain=domain,
        spaces=JOINED,
        conductivities=SIGMA | {"junction": 0.5},
        membrane=Membrane(kinetics=kinetics, capacitance=0.01 * scale, stimuli=[] if field else [stimulus]),
        contacts=[Contact(first="junction", second="intracellular", resistance=0.5 * 0.05 * scale)],
        injected=[
            Injected(space="extracellular", boundary=side, density=density / free, schedule=pulse)
            for side, density in low.items()
            if field
        ],
    )
    model = EmiModel(problem, step=GRID.step)
    measures = (model.spaces.between("intracellular", "extracellular", "membrane"), domain.dx("extracellular"))
    means = [TileMeans(domain, model.spaces.space, [count, 1], measure) for measure in measures]
    resolved = recorded(model, means, ["V", "extracellular"])

    line = Domain(mesh=box_mesh(MPI.COMM_WORLD, [LENGTH], [384]), unit="mm")
    line = line.with_boundaries({"x-low": lambda x: x[0] < 1e-9, "x-high": lambda x: x[0] > LENGTH - 1e-9})
    # The bidomain has currents at the ends of steps, where resolved cells have their part of a step.
    late = Schedule(start=0.5 * GRID.step, duration=1.0)
    limit = CardiacModel(
        CardiacProblem(
            mesh=line,
            kind="bidomain",
            membrane=kinetics,
            area=tissue.membrane_area,
            capacitance=0.01,
            intracellular=float(tissue.intracellular.value[0, 0]),
            extracellular=float(tissue.extracellular.value[0, 0]),
            stimuli=[]
            if field
            else [
                Stimulus(place=Place(low=(-1.0,), high=(0.6,)), amplitude=0.8 * tissue.membrane_area, schedule=pulse)
            ],
            electrodes=[
                Neumann(boundary=side, flux=Pulsed(value=density, schedule=late))
                for side, density in low.items()
                if field
            ],
        ),
        step=GRID.step,
        method=CardiacMethod(
            scheme="backward-euler",
            coupling="implicit",
            preconditioner="direct",
            rtol=1e-7,
            elliptic_rtol=1e-9,
        ),
    )
    means = TileMeans(line, limit.space, [count])
    return resolved, recorded(limit, [means, means], ["V", "phi_e"])


@pytest.mark.parametrize(("field", "orders", "most"), [(0.0, (1.9, 1.9), 0.06), (60.0, (1.8, 1.3), 0.03)])
def test_the_bidomain_of_the_cells_is_their_limit(field, orders, most):
    """No number is fitted: a wave, and a field between two electrodes; both potentials, with the size of the cells.

    The electrodes let current in evenly: a layer of one cell beside them has an error of first order in itself.
    """
    cell = plane_cell()
    tissue = homogenize_bidomain(cell, SIGMA | {"junction": 0.5}, resistance=0.05, degree=1, bounds=False, rtol=1e-11)
    errors = []
    for count in (16, 32):
        resolved, limit = both(cell, tissue, count, field)
        off = [np.linalg.norm(a - b) / np.linalg.norm(b - b[0]) for a, b in zip(resolved, limit, strict=True)]
        errors.append(off)
        assert np.ptp(limit[0]) > 30.0
        assert np.ptp(limit[1]) > 5.0
    rates = np.log2(np.array(errors[0]) / errors[1])
    assert rates[0] > orders[0] - 0.2
    assert rates[1] > orders[1] - 0.2
    assert max(errors[1]) < most


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
