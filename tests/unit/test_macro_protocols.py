"""Protocols of pulses: their times by hand, the charge of a run, tables; volumes of stimuli on any mesh."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.config.models.stimulus import PulseTable
from homfem.config.table import parse_table
from homfem.macro.domain import Domain
from homfem.macro.protocols import PulseTimes, bursts, s1_s2, stages
from homfem.macro.stimulus import Ball, Box, NodalStimulus, Stimulus, overlap
from homfem.parameters import InputError
from homfem.timestepping import Schedule


def test_pulses_are_where_they_are_said():
    assert s1_s2(period=400.0, pulses=3, coupling=[250.0, 180.0], duration=1.0, start=5.0).times == (
        5.0, 405.0, 805.0, 1055.0, 1235.0,
    )  # fmt: skip
    assert s1_s2(period=1.0, pulses=1, coupling=250, duration=2.0).times == (0.0, 250.0)
    assert stages([(300.0, 1), (200.0, 2)], duration=1.0, start=7.0).times == (7.0, 207.0, 407.0)
    train = bursts(period=50.0, pulses=2, interval=300.0, number=2, duration=1.0, start=10.0)
    assert train.times == (10.0, 60.0, 310.0, 360.0)
    assert train.start == 10.0


def test_the_shares_of_steps_are_the_pulses():
    """Whole steps are on or off to the last bit; parts are what they are; all of them make up the durations."""
    pulses = PulseTimes(times=(0.3, 0.9, 1.1), duration=0.2)
    shares = [pulses.share(0.1 * k, 0.1) for k in range(20)]
    assert [k for k, share in enumerate(shares) if share] == [3, 4, 9, 10, 11, 12]
    assert set(shares) == {0.0, 1.0}
    assert sum(0.07 * pulses.share(0.07 * k, 0.07) for k in range(30)) == pytest.approx(0.6, rel=1e-12)
    assert pulses.share(0.0, 0.4) == pytest.approx(0.25)
    assert [pulses.active(t) for t in (0.29, 0.3, 0.49, 0.51, 1.1, 1.31)] == [False, True, True, False, True, False]
    regular = Schedule(start=0.2, duration=0.1, period=0.5, pulses=3)
    listed = PulseTimes(times=(0.2, 0.7, 1.2), duration=0.1)
    for k in range(40):
        assert listed.share(0.043 * k, 0.043) == pytest.approx(regular.share(0.043 * k, 0.043), abs=1e-12)
        assert listed.on(0.043 * k) == pytest.approx(regular.on(0.043 * k), abs=1e-12)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: PulseTimes(times=(), duration=1.0), "times = .*at least one"),
        (lambda: PulseTimes(times=(0.0, 0.5), duration=1.0), "times = .*1 or more after"),
        (lambda: PulseTimes(times=(3.0, 1.0), duration=1.0), "times"),
        (lambda: PulseTimes(times=(0.0, math.nan), duration=1.0), "times = nan"),
        (lambda: PulseTimes(times=(0.0,), duration=math.inf), "duration = inf"),
        (lambda: PulseTimes(times=(0.0,), duration=0.0), "duration = 0.0"),
        (lambda: s1_s2(period=100.0, pulses=2, coupling=1.0, duration=2.0), "coupling = 1.0.*>= 2"),
        (lambda: s1_s2(period=1.0, pulses=2, coupling=5.0, duration=2.0), "period = 1.0.*>= 2"),
        (lambda: bursts(period=50.0, pulses=3, interval=90.0, number=2, duration=1.0), "interval = 90.0.*>= 101"),
        (lambda: stages([], duration=1.0), "cycles"),
        (lambda: stages([(0.5, 3)], duration=1.0), "cycles = 0.5"),
    ],
)
def test_bad_protocols_are_refused(make, named):
    with pytest.raises(InputError, match=named):
        make()


PLACE = {"type": "region", "region": "wall", "duration": "2 ms"}


def test_tables_of_s1_s2_and_of_times():
    read = lambda more: parse_table(PulseTable, PLACE | more, "").schedule("ms")  # noqa: E731
    assert read({"period": "1 s", "pulses": 2, "coupling": ["280 ms"]}).times == (0.0, 1000.0, 1280.0)
    assert read({"start": "5 ms", "coupling": ["280 ms", "0.2 s"]}).times == (5.0, 285.0, 485.0)
    assert read({"times": ["1 ms", "0.4 s"]}) == PulseTimes(times=(1.0, 400.0), duration=2.0)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"times": []}, "times = .*at least one"),
        ({"times": ["1 ms", "2 ms"]}, "times"),
        ({"times": ["1 mm"]}, r"times\[0\]"),
        ({"times": ["1 ms"], "period": "1 s"}, "period = .*absent where times are given"),
        ({"times": ["1 ms"], "coupling": ["1 s"]}, "coupling = .*absent"),
        ({"coupling": ["1 ms"]}, "coupling = "),
        ({"coupling": ["1 s"], "pulses": 3}, "period = .missing.*pulses = 3"),
        ({"coupling": ["1 s"], "period": "1 s"}, "pulses = .missing"),
    ],
)
def test_bad_tables_are_refused(more, named):
    with pytest.raises(InputError, match=named):
        parse_table(PulseTable, PLACE | more, "")
    with pytest.raises(InputError, match=r"duration = .missing"):
        parse_table(PulseTable, {"type": "region", "region": "wall", "times": ["1 ms"]}, "")


def cube(comm, n, d=3):
    make = {1: mesh.create_interval, 2: mesh.create_unit_square, 3: mesh.create_unit_cube}[d]
    made = make(comm, n, [0.0, 1.0]) if d == 1 else make(comm, *[n] * d)
    # No sides of elements are sides of a box.
    made.geometry.x[:] = made.geometry.x + 0.02 * np.sin(7.0 * made.geometry.x[:, [1, 2, 0]]) * (d > 1)
    return Domain(mesh=made, unit="mm"), fem.functionspace(made, ("Lagrange", 1))


def case_boxes(comm):
    """Boxes whose sides cut elements: the volume, and that of the interpolated weights, to round-off."""
    found = []
    for d, n in ((1, 7), (2, 9), (3, 5)):
        domain, space = cube(comm, n, d)
        box = Box(low=(0.21, 0.13, 0.3)[:d], high=(0.77, 0.61, 0.8)[:d])
        weights, volume = overlap(domain, space, box)
        nodal = fem.Function(space)
        nodal.x.array[: weights.size] = weights
        nodal.x.scatter_forward()
        found += [[volume, domain.integral(nodal), comm.allreduce(weights.max(initial=0.0), MPI.MAX)]]
        found[-1].append(float(np.prod(np.subtract(box.high, box.low))))
        corner = overlap(domain, space, Box(low=(0.4,) * d, high=(math.inf,) * d))[1]
        rest = [overlap(domain, space, Box(low=(-math.inf,) * k + (-math.inf,) + (0.4,) * (d - 1 - k),
                                           high=(math.inf,) * k + (0.4,) + (math.inf,) * (d - 1 - k)))[1]
                for k in range(d)]  # fmt: skip
        found[-1] += [corner + sum(rest), domain.integral(fem.Constant(domain.mesh, 1.0))]
    return found


@pytest.mark.mpi
def test_the_volume_of_a_box_is_exact_whatever_the_mesh_and_the_ranks(on_ranks):
    """And the parts of a domain that boxes make add up to it."""
    for answer in on_ranks(case_boxes):
        for volume, integral, largest, exact, parts, whole in answer:
            assert volume == pytest.approx(exact, rel=1e-12)
            assert integral == pytest.approx(exact, rel=1e-12)
            assert largest <= 1.0
            assert parts == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(("d", "n"), [(2, 8), (2, 15), (3, 4), (3, 6)])
def test_the_volume_of_a_ball_hardly_depends_on_the_mesh(d, n):
    """Also of one that is smaller than an element."""
    domain, space = cube(MPI.COMM_SELF, n, d)
    for radius in (0.3, 0.03):
        ball = Ball(centre=(0.45, 0.53, 0.5)[:d], radius=radius)
        exact = math.pi * radius**2 if d == 2 else 4 / 3 * math.pi * radius**3
        assert overlap(domain, space, ball)[1] == pytest.approx(exact, rel=1e-2)


def test_the_charge_of_a_protocol_does_not_depend_on_mesh_or_step():
    """The integral over place and time of what S1-S2 bring to a box."""
    charges = []
    for n, step in ((4, 0.3), (7, 0.5), (10, 0.07)):
        domain, space = cube(MPI.COMM_SELF, n, 2)
        protocol = s1_s2(period=3.0, pulses=2, coupling=2.0, duration=0.5)
        place = Box(low=(0.1, 0.2), high=(0.4, 0.7))
        source = NodalStimulus(domain, space, [Stimulus(place=place, amplitude=2.0, schedule=protocol)])
        values = fem.Function(space)
        for k in range(math.ceil(6.0 / step)):
            source.add(values.x.array, k * step, step)
        charges.append(domain.integral(values))
    assert charges == pytest.approx([2.0 * 3 * 0.5 * 0.3 * 0.5] * 3, rel=1e-12)
