"""Single cells: durations of action potentials, restitution, limit cycles, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from homfem.kinetics.ionic import (
    ActionPotential,
    Pacing,
    UnstableStepError,
    ionic_kinetics,
    limit_cycle,
    pace,
    restitution,
)
from homfem.kinetics.ionic import limit_cycle as _limit_cycle_function
from homfem.kinetics.ionic.cells import Cells, make_cells
from homfem.kinetics.ionic.pacing import trace_of
from homfem.kinetics.point import PointKinetics, Variable
from homfem.parameters import ConvergenceError, InputError
from homfem.validation.ionic import IONIC_APD

SHORT = Pacing(cycle_length=400.0, amplitude=40.0, step=0.05)


def trace(times, potential, **options):
    given = {"threshold": -10.0, "settled": 1.0} | options
    return ActionPotential(times=np.array(times, float), potential=np.array(potential, float), **given)


def test_durations_of_a_trace_of_straight_lines():
    """Rest -80, up to 20 from 1 to 2 ms, down by 1 mV/ms: 90 % of 100 mV are lost at -70, 90 ms after the peak."""
    action = trace([0, 1, 2, 102, 200], [-80, -80, 20, -80, -80])
    assert (action.rest, action.peak, action.upstroke, action.upstroke_time) == (-80.0, 20.0, 100.0, 1.5)
    assert action.repolarisation(0.9) == pytest.approx(92.0, abs=1e-12)
    assert action.duration(0.9) == pytest.approx(90.5, abs=1e-12)
    assert action.duration(0.5) == pytest.approx(50.5, abs=1e-12)
    assert action.duration(0.9, above=-60.0) == pytest.approx(92.0 - 1.2, abs=1e-12)


def test_a_beat_that_did_not_recover_or_was_not_captured_has_no_duration():
    assert math.isnan(trace([0, 1, 2, 50], [-80, -80, 20, -60]).duration(0.9))
    charged = trace([0, 1, 1.5, 3, 50], [-80, -20, -5, -30, -80], settled=2.0)
    assert not charged.captured
    plateau = [0, 1, 2, 3, 50], [-20, 10, 18, 5, -80]
    assert not trace(*plateau, charge=40.0).captured
    assert trace(*plateau, charge=30.0).captured
    assert math.isnan(charged.duration(0.9))
    with pytest.raises(InputError, match="rising times and finite potentials"):
        trace([0, 1, 1], [0, 1, 2])
    with pytest.raises(InputError, match="level = 90"):
        trace([0, 1, 2], [0, 1, 2]).duration(90)


@pytest.mark.parametrize("name", ["aliev-panfilov", "mitchell-schaeffer", "gray-pathmanathan-2016", "beeler-reuter",
                                  "luo-rudy-1991"])  # fmt: skip
def test_beats_last_as_those_of_other_implementations(name):
    expected = IONIC_APD[name, None]
    beats = pace(ionic_kinetics(name), Pacing(amplitude=40.0, step=0.01), beats=expected.beats).beats
    assert beats[-1].captured
    assert beats[-1].apd90 == pytest.approx(expected.apd90, abs=0.02)
    assert beats[-1].apd50 == pytest.approx(expected.apd50, abs=0.02)
    assert beats[-1].rest == pytest.approx(expected.rest, abs=1e-3)
    assert beats[-1].peak == pytest.approx(expected.peak, abs=0.03)
    assert beats[-1].upstroke == pytest.approx(expected.upstroke, rel=5e-3)


def test_ten_tusscher_and_panfilov_by_generalized_rush_larsen():
    """-52 pA/pF for 1 ms at 1 Hz: APD90 of beat 1 is 290.15 ms, of beat 10 306.08."""
    paced = pace(ionic_kinetics("tentusscher-panfilov-2006"), Pacing(step=0.01, order=1), beats=10)
    assert paced.beats[0].apd90 == pytest.approx(290.15, abs=0.02)
    assert paced.beats[9].apd90 == pytest.approx(306.08, abs=0.02)
    assert paced.missed == ()


@pytest.mark.parametrize("order", [1, 2])
def test_steps_that_are_compiled_are_those_of_numpy(order):
    kinetics = ionic_kinetics("luo-rudy-1991")
    start = np.repeat(kinetics.start()[:, None], 3, axis=1)
    start[0] += [0.0, 40.0, 60.0]
    found = []
    for make in (make_cells, Cells):
        cells = make(kinetics, start, order=order, parameters={"g_Na": 16.0})
        record = cells.advance(0.0, 0.01, 40)
        assert record[-1].tolist() == cells.values[0].tolist()
        found.append(cells.values)
    assert type(make_cells(kinetics, start)) is not Cells
    assert found[0] == pytest.approx(found[1], rel=1e-10)


def test_second_order_in_time():
    kinetics = ionic_kinetics("gray-pathmanathan-2016")
    exact = IONIC_APD["gray-pathmanathan-2016", None].apd90
    errors = {
        order: [
            abs(pace(kinetics, Pacing(amplitude=40.0, step=step, order=order)).beats[0].apd90 - exact)
            for step in (0.04, 0.02)
        ]
        for order in (1, 2)
    }
    assert 1.5 < errors[1][0] / errors[1][1] < 2.5
    assert errors[2][0] / errors[2][1] > 3.5
    assert errors[2][1] < 0.03 < 1.0 < errors[1][1]


def test_the_stimulus_is_carried_by_potassium_or_charges_the_membrane():
    kinetics = ionic_kinetics("tentusscher-panfilov-2006")
    names = [entry.name for entry in (*kinetics.fields, *kinetics.states)]
    start = kinetics.start()
    off, on = (kinetics.derivative(0.0, start, kinetics.values({"I_pulse": amount})) for amount in (0.0, -52.0))
    changed = {name: change for name, change in zip(names, on - off, strict=True) if change}
    assert changed == pytest.approx({"V": 52.0, "K_i": 52.0 * 0.185 / (0.016404 * 96485.3415)})
    passive = ionic_kinetics("fitzhugh-nagumo")
    options = {"scheme": "rush-larsen", "threshold": 0.5, "amplitude": 0.05, "cycle_length": 3.0}
    slow = pace(passive, Pacing(step=0.5, **options), parameters={"rate": 1e-9})
    assert slow.end["V"] == pytest.approx(0.05, rel=1e-6)
    assert slow.missed == (1,)


def test_s2_is_the_next_beat_of_a_train_with_that_cycle_length():
    kinetics = ionic_kinetics("mitchell-schaeffer")
    found = restitution(kinetics, [300.0, 40.0, 120.0], SHORT, beats=3)
    before = kinetics.start(pace(kinetics, SHORT, beats=2).end)
    names = [entry.name for entry in (*kinetics.fields, *kinetics.states)]
    start = dict(zip(names, before, strict=True))
    last = pace(kinetics, SHORT, start=start).last
    for interval, duration in zip(found.intervals, found.durations, strict=True):
        cycle = round((last.repolarisation(0.9) + interval) / 0.05) * 0.05
        train = pace(kinetics, dataclasses.replace(SHORT, cycle_length=cycle), beats=1, start=start)
        assert pace(kinetics, SHORT, start=train.end).beats[0].apd90 == pytest.approx(duration, abs=1e-9)
    shortest, middle, longest = (found.durations[k] for k in (1, 2, 0))  # 40, 120, 300 ms
    assert found.slopes == pytest.approx([(middle - shortest) / 80.0, (longest - middle) / 180.0], rel=1e-12)
    assert np.all(found.slopes > 0.0)
    closed = 150.0 * np.log((1.0 - 0.8 * np.exp(-found.intervals / 120.0)) / 0.2)  # Mitchell, Schaeffer 2003, eq. 10
    steeper = np.diff(found.durations) / np.diff(closed)
    assert steeper == pytest.approx(1.0, abs=0.15)


def test_s2_that_comes_too_early_has_no_duration_and_s1_must_recover():
    kinetics = ionic_kinetics("luo-rudy-1991")
    pacing = Pacing(cycle_length=500.0, amplitude=40.0)
    found = restitution(kinetics, [5.0, 200.0], pacing, beats=1)
    assert np.isnan(found.durations).tolist() == [True, False]
    assert [beat.captured for beat in found.beats] == [False, True]
    with pytest.raises(ConvergenceError, match="has not recovered within 200 ms"):
        restitution(kinetics, [50.0], dataclasses.replace(pacing, cycle_length=200.0), beats=1)
    for bad in ([], [100.0, 100.0], [0.0], [math.nan], [1e9]):
        with pytest.raises(InputError, match="intervals"):
            restitution(kinetics, bad, pacing)


def test_a_limit_cycle_repeats_itself(tmp_path):
    kinetics = ionic_kinetics("aliev-panfilov")
    found = limit_cycle(kinetics, SHORT, tolerance=1e-8, cache=tmp_path)
    assert not found.alternans
    again = pace(kinetics, SHORT, start=found.start)
    assert again.end == pytest.approx(found.start, rel=1e-7, abs=1e-8)
    assert again.beats[0].apd90 == pytest.approx(found.last[-1].apd90, abs=1e-4)


def test_alternans_and_block_are_told(tmp_path):
    kinetics = ionic_kinetics("beeler-reuter")
    fast = Pacing(cycle_length=280.0, amplitude=40.0)
    found = limit_cycle(kinetics, fast, cache=tmp_path)
    assert found.alternans
    assert sorted(beat.apd90 for beat in found.last) == pytest.approx([46.96, 261.97], abs=0.2)
    assert pace(kinetics, fast, beats=2, start=found.start).end == pytest.approx(found.start, rel=1e-3, abs=1e-4)
    with pytest.raises(ConvergenceError, match=r"no beat was captured by 5 A/F for 1 ms. Take a longer cycle_length"):
        limit_cycle(kinetics, dataclasses.replace(fast, amplitude=5.0), cache=tmp_path)
    with pytest.raises(ConvergenceError, match="every other beat was not captured"):
        limit_cycle(kinetics, dataclasses.replace(fast, cycle_length=240.0), cache=tmp_path)
    with pytest.raises(ConvergenceError, match=r"after 3 beats x1 still changes by .* the tolerance is 1e-07"):
        limit_cycle(kinetics, dataclasses.replace(fast, cycle_length=400.0), tolerance=1e-7, beats=3, cache=tmp_path)


def test_a_limit_cycle_is_kept_by_all_that_it_depends_on(tmp_path, monkeypatch):
    kinetics, calls = ionic_kinetics("mitchell-schaeffer"), []
    module = sys.modules["homfem.kinetics.ionic.limit_cycle"]
    assert module.limit_cycle is _limit_cycle_function
    paced = module._paced
    monkeypatch.setattr(module, "_paced", lambda *given: calls.append(1) or paced(*given))
    first = limit_cycle(kinetics, SHORT, tolerance=1e-3, cache=tmp_path)
    assert limit_cycle(kinetics, SHORT, tolerance=1e-3, cache=tmp_path) == first
    assert len(calls) == 1
    (path,) = tmp_path.glob("cycle-*.json")
    for damage in (path.read_text()[:50], json.dumps({"start": {}}), ""):
        path.write_text(damage)
        assert limit_cycle(kinetics, SHORT, tolerance=1e-3, cache=tmp_path) == first
    assert len(calls) == 4
    others = [
        {"tolerance": 2e-3},
        {"parameters": {"tau_out": 6.1}},
        {"start": {"h": 0.9}},
        {"beats": 1999},
        {"pacing": dataclasses.replace(SHORT, order=1)},
        {"pacing": dataclasses.replace(SHORT, step=0.025)},
    ]
    for other in others:
        limit_cycle(kinetics, **({"pacing": SHORT, "tolerance": 1e-3} | other), cache=tmp_path)
    assert len(calls) == 4 + len(others)
    limit_cycle(ionic_kinetics("aliev-panfilov"), SHORT, cache=tmp_path)
    assert len(list(tmp_path.glob("cycle-*.json"))) == 2 + len(others)


def test_processes_that_ask_at_once_compute_once(tmp_path):
    program = """
import sys, homfem.kinetics.ionic as ionic
module = sys.modules["homfem.kinetics.ionic.limit_cycle"]
paced = module._paced
def told(*given):
    print("computed")
    return paced(*given)
module._paced = told
pacing = ionic.Pacing(cycle_length=400.0, amplitude=40.0, step=0.02)
print(ionic.limit_cycle(ionic.ionic_kinetics("aliev-panfilov"), pacing, tolerance=1e-7, cache=sys.argv[1]).start)
"""
    runs = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = "".join(run.communicate(timeout=60)[0] for run in runs).splitlines()
    assert [run.returncode for run in runs] == [0, 0]
    assert told.count("computed") == 1
    assert len({line for line in told if line != "computed"}) == 1


def test_a_folder_that_cannot_be_written_costs_the_time_only(tmp_path):
    place = tmp_path / "file"
    place.write_text("")
    kinetics = ionic_kinetics("mitchell-schaeffer")
    assert limit_cycle(kinetics, SHORT, cache=place / "below").beats > 1


def test_a_step_that_is_too_long_is_named_with_the_state_and_the_time():
    kinetics = ionic_kinetics("luo-rudy-1991")
    with pytest.raises(
        UnstableStepError, match=r"luo-rudy-1991: \w+ = \S+ at [\d.]+ ms after .*'explicit' and step = 0.5"
    ):
        pace(kinetics, Pacing(amplitude=40.0, step=0.5, scheme="explicit", order=1))
    with pytest.raises(UnstableStepError, match=r"V = nan at 0.02 ms"):
        pace(kinetics, start={"V": math.nan})
    with pytest.raises(UnstableStepError, match=r"V = 1\d\d\d\.\d* at"):
        pace(kinetics, Pacing(amplitude=2000.0, scheme="rush-larsen"))
    with pytest.raises(UnstableStepError, match=r"V = nan at 0.02 ms after a stimulus"):
        pace(ionic_kinetics("mitchell-schaeffer"), parameters={"tau_out": 0.0})
    assert pace(kinetics, Pacing(amplitude=40.0, step=0.5)).beats[0].captured


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cycle_length": 1.0}, "cycle_length = 1.0: it must be a finite number > 2. It is longer than two stimuli"),
        ({"cycle_length": 1000.01}, "cycle_length = 1000.01: it must be a whole number of steps of 0.02 ms. Try 1000"),
        ({"step": 0.3}, "duration = 1.0: it must be a whole number of steps"),
        ({"step": 2.0}, "step = 2.0"),
        ({"step": math.nan}, "step = nan"),
        ({"step": 1e-5}, "step = 1e-05: it must be at least 0.0001 ms: cycle_length has too many steps"),
        ({"amplitude": -52.0}, "amplitude = -52.0"),
        ({"duration": 0.0}, "duration = 0.0"),
        ({"scheme": "rush-larson"}, "Did you mean 'rush-larsen'"),
        ({"order": 3}, "order = 3"),
    ],
)
def test_a_protocol_that_makes_no_sense_is_refused(options, told):
    with pytest.raises(InputError, match=told):
        pace(ionic_kinetics("mitchell-schaeffer"), Pacing(**options))


def test_what_a_model_does_not_have_is_refused():
    kinetics = ionic_kinetics("mitchell-schaeffer")
    with pytest.raises(InputError, match="Did you mean 'tau_out'"):
        pace(kinetics, parameters={"tau_outt": 6.0})
    with pytest.raises(InputError, match="Did you mean 'h'"):
        pace(kinetics, start={"hh": 6.0})
    with pytest.raises(InputError, match="beats = 0"):
        pace(kinetics, beats=0)
    fitzhugh = ionic_kinetics("fitzhugh-nagumo")
    with pytest.raises(InputError, match="threshold = None: it must be given for"):
        pace(fitzhugh, Pacing(scheme="rush-larsen"))
    with pytest.raises(InputError, match="'rush-larsen' for"):
        pace(fitzhugh, Pacing(threshold=0.5))


def test_a_tissue_starts_with_the_limit_cycle_of_its_cells(tmp_path):
    """A tissue that is alike everywhere does what the cell does between two stimuli."""
    from mpi4py import MPI

    from homfem.bodies import box_mesh
    from homfem.macro.cardiac import CardiacProblem, solve_cardiac
    from homfem.timestepping import TimeGrid

    kinetics = ionic_kinetics("beeler-reuter")
    cycle = limit_cycle(kinetics, Pacing(cycle_length=320.0, amplitude=40.0), cache=tmp_path)
    cells = make_cells(kinetics, kinetics.start(cycle.start)[:, None], scheme="rush-larsen", order=1)
    cells.advance(0.0, 0.05, 100)
    assert abs(cells.values[0, 0] - cycle.start["V"]) > 0.01  # it has not come to rest
    problem = CardiacProblem(
        mesh=box_mesh(MPI.COMM_SELF, [2.0], [8]),
        kind="monodomain",
        membrane=kinetics,
        conductivity=0.1,
        area=140.0,
        capacitance=0.01,
        start=cycle.start,
    )
    result = solve_cardiac(problem, TimeGrid(end=5.0, step=0.05))
    assert result.fields["V"].x.array == pytest.approx(cells.values[0, 0], abs=1e-6)


def test_a_membrane_that_only_charges_is_not_captured_however_strong_the_stimulus():
    pacing = Pacing(amplitude=80.0, cycle_length=50.0, step=0.5)
    times = 0.5 * np.arange(101)
    charged = np.where(times <= 1.0, -80.0 + 80.0 * times, -80.0 + 80.0 * np.exp(1.0 - times))
    found = trace_of(charged, pacing, ionic_kinetics("luo-rudy-1991"))
    assert found.peak == 0.0
    assert not found.captured
    assert trace_of(np.where(times < 1.0, charged, 0.0), pacing, ionic_kinetics("luo-rudy-1991")).captured


def test_a_step_of_second_order_takes_rates_at_its_middle():
    clock = PointKinetics(
        name="clock",
        time_unit="ms",
        fields=(Variable(name="V", unit="mV"),),
        rates=lambda time, fields, _states, _p: np.full((1, len(fields[0])), 2.0 * time),
    )
    cells = make_cells(clock, np.zeros((1, 1)), scheme="rush-larsen")
    assert cells.advance(0.0, 0.5, 4)[:, 0].tolist() == pytest.approx([0.25, 1.0, 2.25, 4.0])  # t^2
