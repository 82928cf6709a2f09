"""Stimuli: volumes of boxes, balls and regions on any mesh and ranks, schedules, sources, their tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dolfinx import fem, mesh
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI

from homfem.config.models.stimulus import PlaceTable, PulseTable, stimuli
from homfem.config.table import parse_table
from homfem.kinetics import PointKinetics, Variable
from homfem.macro.domain import Domain
from homfem.macro.reaction import NodalReaction
from homfem.macro.stimulus import Ball, Box, NodalStimulus, Region, Stimulus, nodes_inside, overlap
from homfem.parameters import InputError
from homfem.timestepping import Schedule

PLACES = {
    "corner": (Box(low=(-1.0, -1.0), high=(0.3, 0.75)), 0.3 * 0.75),
    "strip": (Box(low=(-math.inf, 0.4), high=(math.inf, 0.6)), 0.2),
    "disc": (Ball(centre=(0.5, 0.45), radius=0.25), math.pi / 16),
    "half": (Region(name="left"), 0.5),
}


def square(comm=MPI.COMM_SELF, n=20, **options) -> tuple[Domain, fem.FunctionSpace]:
    made = mesh.create_unit_square(comm, n, n, **options)
    domain = Domain(mesh=made, unit="mm").with_regions({"left": lambda x: x[0] < 0.5})
    return domain, fem.functionspace(made, ("Lagrange", 1))


def case_volumes(comm):
    domain, space = square(comm)
    integrals, _ = overlap(domain, space, Box(low=(-1.0, -1.0), high=(2.0, 2.0)))
    found = {"all": comm.allreduce(integrals.sum())}
    mass = domain.nodal_mean(space, np.ones((domain.mesh.topology.index_map(2).size_local, 3)) / 3)
    found["ones"] = comm.allreduce(np.abs(mass - 1).max(initial=0.0), MPI.MAX)
    for name, (place, _) in PLACES.items():
        weights, volume = overlap(domain, space, place)
        x = space.tabulate_dof_coordinates()[: weights.size]
        moment = comm.allreduce(float(weights @ (1.0 + x[:, 0] + 3.0 * x[:, 1] ** 2)))
        flags = nodes_inside(domain, space, place)
        found[name] = [
            volume,
            comm.allreduce(weights.max(initial=0.0), MPI.MAX),
            moment,
            comm.allreduce(int(flags.sum())),
        ]
    return found


def test_volumes_are_those_of_the_places_on_any_ranks(on_ranks):
    results = on_ranks(case_volumes)
    for found in results:
        assert found["all"] == pytest.approx(441)
        assert found["ones"] < 1e-14
        for name, (_, volume) in PLACES.items():
            exact = name in ("strip", "half", "corner")  # their sides are those of elements
            assert found[name][0] == pytest.approx(volume, rel=1e-12 if exact else 3e-3), name
            assert 0.99 < found[name][1] <= 1.0, name
            assert found[name] == pytest.approx(results[0][name], rel=1e-12), name
        assert found["half"][3] == 11 * 21
        assert found["corner"][3] == 7 * 16
        assert found["strip"][3] == 21 * 5


@pytest.mark.parametrize("n", [7, 10, 17, 29])
def test_the_volume_does_not_depend_on_the_mesh(n):
    """Of a ball and a box whose sides cut elements."""
    domain, space = square(n=n)
    weights, volume = overlap(domain, space, Ball(centre=(0.4, 0.5), radius=0.3))
    assert volume == pytest.approx(math.pi * 0.09, rel=0.01)
    nodal = fem.Function(space)
    nodal.x.array[:] = weights
    import ufl

    assert fem.assemble_scalar(fem.form(nodal * ufl.dx)) == pytest.approx(volume, rel=1e-12)
    assert overlap(domain, space, Box(low=(0.1, 0.33), high=(0.41, 0.77)))[1] == pytest.approx(0.31 * 0.44, rel=0.02)


def test_an_interval_and_a_cube():
    line = mesh.create_interval(MPI.COMM_SELF, 10, [0.0, 2.0])
    domain, space = Domain(mesh=line, unit="mm"), fem.functionspace(line, ("Lagrange", 1))
    assert overlap(domain, space, Box(low=(0.5,), high=(0.77,)))[1] == pytest.approx(0.27, rel=0.02)
    assert overlap(domain, space, Ball(centre=(2.0,), radius=0.4))[1] == pytest.approx(0.4, rel=1e-12)
    cube = mesh.create_unit_cube(MPI.COMM_SELF, 8, 8, 8)
    domain, space = Domain(mesh=cube, unit="mm"), fem.functionspace(cube, ("Lagrange", 1))
    ball = Ball(centre=(0.5, 0.5, 0.5), radius=0.31)
    assert overlap(domain, space, ball)[1] == pytest.approx(4 / 3 * math.pi * 0.31**3, rel=0.01)


def pulses(schedule: Schedule, times) -> np.ndarray:
    """Whether it is on, the slow way."""
    number = schedule.pulses or 1000
    starts = schedule.start + (schedule.period or 0.0) * np.arange(number)
    return np.any((times >= starts[:, None]) & (times < starts[:, None] + schedule.duration), axis=0)


@settings(max_examples=60, deadline=None)
@given(
    start=st.floats(-2, 2), duration=st.floats(0.1, 1), rest=st.floats(0.05, 2), number=st.integers(1, 4),
    time=st.floats(-3, 9), step=st.floats(0.05, 3),
)  # fmt: skip
def test_a_schedule_is_on_when_its_pulses_are(start, duration, rest, number, time, step):
    schedule = Schedule(start=start, duration=duration, period=duration + rest, pulses=number)
    middles = time + step * (np.arange(4000) + 0.5) / 4000
    assert schedule.share(time, step) == pytest.approx(pulses(schedule, middles).mean(), abs=3e-3)


def test_the_shares_of_all_steps_are_the_duration():
    """Whatever the steps, and to the last bit where pulses begin and end with steps."""
    schedule = Schedule(start=0.3, duration=0.2, period=1.0, pulses=3)
    shares = [schedule.share(0.1 * k, 0.1) for k in range(60)]
    assert [k for k, share in enumerate(shares) if share] == [3, 4, 13, 14, 23, 24]
    assert set(shares) == {0.0, 1.0}
    assert sum(0.07 * schedule.share(0.07 * k, 0.07) for k in range(100)) == pytest.approx(0.6, rel=1e-12)
    assert Schedule().share(5.0, 0.1) == 1.0
    assert Schedule(duration=1.0, period=2.0, pulses=None).on(1e3) == 500.0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"duration": 0.0}, "duration = 0.0"),
        ({"duration": math.nan}, "duration = nan"),
        ({"pulses": 0}, "pulses = 0"),
        ({"pulses": 3}, "period = None.*pulses = 3"),
        ({"duration": 2.0, "period": 1.0}, "period = 1.0.*at least the duration, 2"),
        ({"start": math.inf}, "start = inf"),
    ],
)
def test_bad_schedules_are_refused(options, named):
    with pytest.raises(InputError, match=named):
        Schedule(**options)


@pytest.mark.parametrize("order", [1, 2])
def test_a_source_of_a_reaction_brings_its_amount(order):
    """A pulse of strength 2 for .4 everywhere: its amount, and with the decay u' = -u the closed form."""
    domain, space = square(n=4)
    place = Box(low=(-1.0, -1.0), high=(2.0, 2.0))
    source = NodalStimulus(domain, space, [Stimulus(place=place, amplitude=2.0, schedule=Schedule(duration=0.4))])
    assert source.volumes == pytest.approx([1.0])
    for rate in (0.0, 1.0):
        kinetics = PointKinetics(
            name="decay",
            time_unit="s",
            fields=(Variable(name="u"),),
            rates=lambda _t, u, _x, _p, k=rate: -k * u[0][None],
        )
        values = np.zeros(25)
        reaction = NodalReaction(kinetics, {"u": values}, sources={"u": source}, order=order)
        for k in range(100):
            reaction.step(0.01 * k, 0.01)
        exact = 0.8 if rate == 0.0 else 2.0 * (1.0 - math.exp(-0.4)) * math.exp(-0.6)
        assert values == pytest.approx(exact, rel=1e-12 if rate == 0.0 else (0.01, 3e-5)[order - 1])


@pytest.mark.parametrize(
    ("place", "named"),
    [
        (Ball(centre=(3.0, 0.0), radius=1.0), r"stimulus.radius = 1.0.*nearest one is 2 mm from its centre.*0.0707 mm"),
        (Box(low=(2.0, 2.0), high=(3.0, 3.0)), r"stimulus.max = \[3.0, 3.0\].*nearest one is 2.121 mm"),
        (Region(name="lef"), r"stimulus.region = 'lef'.*Did you mean 'left'"),
        (Ball(centre=(0.0, 0.0, 0.0), radius=1.0), "stimulus.centre = 3.*2 lengths, as the domain"),
        (Box(low=(0.0,), high=(1.0,)), "stimulus.min = 1.*2 lengths"),
    ],
)
def test_places_that_meet_nothing_are_refused(place, named):
    domain, space = square()
    with pytest.raises(InputError, match=named):
        overlap(domain, space, place)
    with pytest.raises(InputError, match=named):
        nodes_inside(domain, space, place)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Box(low=(0.0, 1.0), high=(1.0, 0.5)), r"max = \[1.0, 0.5\].*none smaller"),
        (lambda: Box(low=(0.0, math.nan), high=(1.0, 2.0)), "max"),
        (lambda: Box(low=(0.0,), high=(1.0, 2.0)), "max"),
        (lambda: Ball(centre=(0.0,), radius=0.0), "radius = 0.0"),
    ],
)
def test_bad_places_are_refused(make, named):
    with pytest.raises(InputError, match=named):
        make()


def test_tables_of_places_and_pulses():
    table = {"type": "box", "min": ["0 mm", "1 cm"], "max": ["500 um", "2 cm"], "start": "1 ms", "duration": "2 ms"}
    pulse = parse_table(PulseTable, table | {"period": "1 s", "pulses": 3}, "macro.stimulus")
    assert pulse.place("mm") == Box(low=(0.0, 10.0), high=(0.5, 20.0))
    assert pulse.schedule("ms") == Schedule(start=1.0, duration=2.0, period=1000.0, pulses=3)
    assert parse_table(PulseTable, table | {"period": "1 s"}, "").schedule("s").pulses is None
    assert parse_table(PulseTable, table, "").schedule("s").pulses == 1
    assert parse_table(PlaceTable, {"type": "region", "region": "wall"}, "").place("mm") == Region(name="wall")
    several = stimuli(PlaceTable)([{"centre": ["1 mm"], "radius": "2 um"}, {"type": "region", "region": "x"}])
    assert several[0].place("um") == Ball(centre=(1000.0,), radius=2.0)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"type": "bal"}, "^type = 'bal'.*'ball'"),
        ({"type": "box", "min": ["0 mm"]}, "^max = .missing.*largest coordinates"),
        ({"type": "box", "min": ["0 mm"], "max": ["1 mm", "1 mm"]}, "^max = .*1 length, as min"),
        (
            {"type": "box", "min": ["0 mm", "5 mm"], "max": ["1 mm", "4000 um"]},
            "^max = .*'4000 um'.*on no axis less than min",
        ),
        ({"type": "box", "min": ["0 mm"], "max": ["1 mm"], "radius": "1 mm"}, "^radius = '1 mm'.*absent.*min and max"),
        ({"type": "region", "region": "x", "period": "1 s"}, "^period"),
        ({"type": "region", "region": "x", "duration": "2 s", "pulses": 2}, "^period = None.*pulses = 2"),
        ([{"type": "region", "region": "x"}, {"type": "region"}], r"^\[1\]\.region = .missing"),
        ([{"type": "region", "region": "x"}, 3], "several"),
        ([{"type": "region", "region": "x", "amplitud": 3}], "^amplitud = 3"),
    ],
)
def test_bad_tables_are_refused(value, named):
    with pytest.raises(InputError, match=named):
        stimuli(PulseTable)(value)
