"""The cardiac model in a config: its contract, words of other codes, restart, what is computed, what is refused."""

from __future__ import annotations

import copy
import json
import logging
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import ufl
from mpi4py import MPI

from homfem import EffectiveTensor, runs
from homfem.bodies import box_mesh
from homfem.cli.run import described
from homfem.config import make_config
from homfem.config.document import set_values
from homfem.kinetics import ionic
from homfem.kinetics.ionic import ionic_kinetics
from homfem.macro.cardiac import CardiacMethod, CardiacProblem, solve_cardiac
from homfem.macro.domain import Domain
from homfem.macro.ecg import pseudo_ecg
from homfem.macro.stimulus import Box, Stimulus
from homfem.parameters import InputError
from homfem.timestepping import Schedule, TimeGrid
from made_configs import outside

STRIP = """
[macro]
model = "cardiac"
kind = "monodomain"
[macro.domain]
shape = "box"
size = ["6 mm", "1 mm"]
resolution = "0.25 mm"
[macro.fibres]
direction = [1, 0]
[macro.tensors]
intracellular = { longitudinal = "0.17 S/m", transverse = "0.019 S/m" }
extracellular = { longitudinal = "0.62 S/m", transverse = "0.24 S/m" }
[macro.membrane]
model = "fitzhugh-nagumo"
parameters = { rate = "4 1/ms", epsilon = 1e-4 }
area = "140 1/mm"
capacitance = "0.01 uF/mm^2"
[[macro.stimulus]]
type = "box"
min = ["0 mm", "0 mm"]
max = ["1 mm", "1 mm"]
amplitude = "2 uA/mm^3"
duration = "1 ms"
[macro.time]
end = "14 ms"
step = "0.05 ms"
[macro.output]
every = "7 ms"
[[macro.probes]]
name = "near"
at = ["2 mm", "0.5 mm"]
[[macro.probes]]
name = "far"
at = ["4 mm", "0.5 mm"]
"""

#: The same in the words of others.
THEIRS = """
[macro]
model = "cardiac"
chi = "140 mm**-1"
C_m = "0.01 uF/mm**2"
theta = 1
conductivity = { preset = "Niederer" }
[macro.domain]
shape = "box"
size = ["6 mm", "1 mm"]
resolution = "0.25 mm"
[macro.fibres]
direction = [1, 0]
[macro.membrane]
model = "fitzhugh-nagumo"
parameters = { rate = "4 1/ms", epsilon = 1e-4 }
[[macro.stimulus]]
type = "box"
min = ["0 mm", "0 mm"]
max = ["1 mm", "1 mm"]
amplitude = "2000 uA/cm**3"
duration = "1 ms"
start = "0 ms"
period = "100 ms"
num_pulses = 1
[macro.time]
end = "14 ms"
step = "0.05 ms"
[macro.output]
save_every = "7 ms"
[[macro.probes]]
name = "near"
at = ["2 mm", "0.5 mm"]
[[macro.probes]]
name = "far"
at = ["4 mm", "0.5 mm"]
"""
CONTRACT = {"times", "probes", "conserved", "seconds", "dofs", "iterations", "ranks", "versions", "config"}


def tables(text=STRIP, **changes):
    """The strip with keys of [macro] in place of its own, or absent (None)."""
    document = copy.deepcopy(tomllib.loads(text))
    for path, value in changes.items():
        at, keys = document["macro"], path.split("__")
        for key in keys[:-1]:
            at = at[int(key)] if isinstance(at, list) else at.setdefault(key, {})
        if value is None:
            at.pop(keys[-1], None)
        else:
            at[keys[-1]] = value
    return document


def run(folder, text=STRIP, **changes):
    return runs.macro(tables(text, **changes), folder=folder)


SHORT = {"time__end": "0.5 ms", "output__every": None, "probes": None}


def test_a_strip_gives_what_the_contract_says(homfem, tmp_path):
    (tmp_path / "heart.toml").write_text(STRIP)
    status, out, err = homfem("run", tmp_path / "heart.toml", "--json", tmp_path / "o.json")
    assert status == 0, err
    assert "activation of far" in out
    report = json.loads((tmp_path / "o.json").read_text())
    assert set(report) >= CONTRACT
    assert report["config"] == tomllib.loads(STRIP)
    assert report["times"] == pytest.approx(np.linspace(0.0, 14.0, 281))
    near, far = (report["probes"][name] for name in ("near", "far"))
    assert set(near) == {"V", "activation"}
    assert 0.0 < near["activation"] < far["activation"] < 14.0
    assert report["dofs"] == 25 * 5
    assert report["iterations"] == report["iterations_by_stage"]["parabolic"] > 0
    assert {"setup", "ODE", "parabolic", "output", "total"} <= set(report["seconds"])
    assert report["activation"]["largest"] > far["activation"]
    assert report["velocity"]["along_fibres"] == pytest.approx(report["velocity"]["mean"], rel=0.1)
    assert report["velocity"]["across_fibres"] is None
    # A front of Nagumo's equation with D = sigma/(chi Cm): sqrt(D k/2) (1 - 2 a), a bit faster on this mesh.
    speed = 2.0 / (far["activation"] - near["activation"])
    assert report["velocity"]["along_fibres"] == pytest.approx(speed, rel=0.02)  # without stimulus and ends
    assert 50 < report["velocity"]["cells"] < report["velocity"]["cells_in_all"] == 2 * 24 * 4
    sigma = 0.17 * 0.62 / (0.17 + 0.62)
    assert speed == pytest.approx(np.sqrt(sigma / 1.4 * 4.0 / 2.0) * 0.8, rel=0.1)
    for name in ("fields.xdmf", "activation.xdmf", "probes.csv", "checkpoint"):
        assert (tmp_path / "output" / name).exists()
    assert (tmp_path / "output" / "probes.csv").read_text().startswith("time (ms),near: V,far: V\n")


def test_the_figure_has_the_units_of_the_model(tmp_path, monkeypatch):
    views = []
    monkeypatch.setattr("homfem.output.waves.draw_series", lambda *_, view, **__: views.append(view))
    made = runs.macro(tables(**SHORT), folder=tmp_path, drawn=True)
    runs.draw_macro(made, tmp_path / "v.png")
    assert (views[0].length_unit, views[0].time_unit, views[0].label) == ("mm", "ms", "V")


def test_words_of_others_mean_the_same(tmp_path):
    ours, theirs = (run(tmp_path, text).report() for text in (STRIP, THEIRS))
    assert theirs["probes"] == ours["probes"]
    four = {"g_il": "0.17 S/m", "g_it": "19 mS/m", "g_el": "0.62 S/m", "g_et": "0.24 S/m"}
    numbers = run(tmp_path, THEIRS, conductivity=four).report()
    assert numbers["probes"] == ours["probes"]
    harmonic = {"longitudinal": f"{0.17 * 0.62 / 0.79!r} S/m", "transverse": f"{0.019 * 0.24 / 0.259!r} S/m"}
    one = run(tmp_path, THEIRS, conductivity=harmonic, theta=0.5, time__subcycles=2).report()
    assert one["probes"]["far"]["activation"] == pytest.approx(ours["probes"]["far"]["activation"], rel=0.02)
    assert one["probes"] != ours["probes"]


def test_the_config_is_the_problem_of_the_python_interface(tmp_path):
    """Numbers by region of one kind and another, S1-S2, a start: the same as written out in Python."""
    schedule = Schedule(start=0.1, duration=0.5)
    domain = Domain(mesh=box_mesh(MPI.COMM_WORLD, [6.0, 1.0], [24, 4]), unit="mm")
    problem = CardiacProblem(
        mesh=domain,
        membrane=ionic_kinetics("fitzhugh-nagumo"),
        parameters={"a": 0.13},
        start={"w": 0.05},
        conductivity=np.diag([0.2, 0.1]),
        area=100.0,
        capacitance=0.02,
        stimuli=[Stimulus(place=Box(low=(0.0, 0.0), high=(1.0, 1.0)), amplitude=3.0, schedule=schedule)],
    )
    theirs = solve_cardiac(problem, TimeGrid(end=2.0, step=0.02), CardiacMethod(splitting="strang", degree=2))
    ours = run(
        tmp_path,
        degree=2,
        tensors={"conductivity": {"longitudinal": "0.2 S/m", "transverse": "0.1 S/m"}},
        membrane={
            "model": "fitzhugh-nagumo",
            "parameters": {"a": {"*": 0.13}},
            "initial": {"w": 0.05},
            "area": "0.1 1/um",
            "capacitance": "2 uF/cm^2",
        },
        stimulus__0__amplitude="3 mA/cm^3",
        stimulus__0__start="100 us",
        stimulus__0__duration="0.5 ms",
        time={"end": "2 ms", "step": "20 us", "splitting": "strang"},
        output={"folder": "here"},
    )
    assert ours.result.fields["V"].x.array == pytest.approx(theirs.fields["V"].x.array, abs=1e-12)
    assert np.ptp(theirs.fields["V"].x.array) > 0.3


def test_the_words_of_others_on_the_page_are_understood(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "cardiac.md").read_text()
    given = tomllib.loads(page.partition("## The words of other codes")[2].split("```")[1])
    source = Path(ionic.__file__).parent / "models" / "mitchell-schaeffer.ode"
    shutil.copy(source, tmp_path / given["macro"]["membrane"]["ode_file"])
    rest = {
        "domain": {"shape": "box", "size": ["20 mm", "7 mm", "3 mm"], "resolution": "1 mm"},
        "fibres": {"direction": [1, 0, 0]},
        "time": {"end": "2 ms", "step": "0.05 ms"},
    }
    given["macro"]["membrane"]["v_name"] = "V"
    given["macro"] |= rest
    table = make_config(given, folder=tmp_path).macro
    assert (table.membrane.pacing.beats, table.output.every.to("ms"), table.probes[0].name) == (2, 1.0, "P1")
    assert table.time.splitting == "strang"
    assert (table.stimulus[0].pulses, table.membrane.scheme) == (3, "generalized-rush-larsen")
    assert table.membrane.area.to("1/mm") == pytest.approx(140.0)


def test_further_words_of_others(tmp_path):
    """Those of [ep], [cell], [solver] and [postprocess] of a code with tables of these names, put into [macro]."""
    ours = make_config(tables(), folder=tmp_path).macro
    document = tables(time=None, output=None, probes=None, tensors=None, membrane=None)
    document["stimulus"] = document["macro"].pop("stimulus")
    document["macro"] |= {
        "dt": "0.05 ms", "end_time": "14 ms", "save_every": "7 ms", "checkpoint_every": "7 ms",
        "activation_threshold": 0.4, "points": [["2 mm", "0.5 mm"], ["4 mm", "0.5 mm"]],
        "conductivity": {"sigma_il": "0.17 S/m", "sigma_it": "19 mS/m", "sigma_el": "0.62 S/m", "sigma_et": "0.24 S/m"},
        "membrane": {"model": "fitzhugh-nagumo"}, "parameters": {"rate": "4 1/ms", "epsilon": 1e-4},
        "chi": "1400 cm**-1", "C_m": "1 uF/cm**2", "scheme": "hybrid_rush_larsen", "BCL": "400 ms", "num_beats": 3,
    }  # fmt: skip
    theirs = make_config(document, folder=tmp_path).macro
    assert theirs.time == ours.time
    assert theirs.stimulus == ours.stimulus
    assert theirs.membrane.parameters == ours.membrane.parameters
    assert theirs.membrane.area.to("1/mm") == pytest.approx(140.0)
    assert theirs.membrane.capacitance.to("uF/mm^2") == pytest.approx(0.01)
    assert (theirs.membrane.pacing.cycle_length.to("s"), theirs.membrane.pacing.beats) == (0.4, 3)
    assert [probe.name for probe in theirs.probes] == ["P1", "P2"]
    assert theirs.output.threshold == 0.4
    inner, outer = theirs.tensors.spaces.values()
    for mine, given in zip(ours.tensors.spaces.values(), (inner, outer), strict=True):
        assert np.array_equal(mine.matrix(2), given.matrix(2))
    document["stimulus"][0]["amplitude"] = "2 mA"
    with pytest.raises(InputError, match=r"^stimulus\.amplitude = '2 mA'"):
        make_config(document, folder=tmp_path)
    document["macro"]["stimulus"] = []
    with pytest.raises(InputError, match=r"^stimulus = 'given'.*macro\.stimulus"):
        make_config(document, folder=tmp_path)
    with pytest.raises(InputError, match=r"stimulus = .*cell, effective, macro$"):
        make_config({"stimulus": []}, folder=tmp_path)


def test_variants_by_region_are_their_parameters_by_region(tmp_path):
    """Of two variants: the same potentials as of the parameters written out, and one of its own beside them."""
    halves = {
        "left": {"type": "box", "min": ["0 mm", "0 mm"], "max": ["3 mm", "1 mm"]},
        "right": {"type": "box", "min": ["3 mm", "0 mm"], "max": ["6 mm", "1 mm"]},
    }
    change = SHORT | {"domain__regions": halves, "output": {"fields": ["V", "Ca_i"]}, "time__end": "4 ms"}
    membrane = {"model": "tentusscher-panfilov-2006", "area": "140 1/mm", "variant": {"left": "m", "right": "endo"}}
    pulse = {"stimulus__0__amplitude": "50 uA/mm^3"}
    made = run(tmp_path, membrane=membrane, **change, **pulse)
    assert made.report()["membrane"] == "tentusscher-panfilov-2006 (left: m, right: endo)"
    both = [vars(ionic_kinetics(membrane["model"], name).values()) for name in ("m", "endo")]
    known = {entry.name: entry for entry in ionic_kinetics(membrane["model"]).parameters}
    written = {}
    for name, entry in known.items():
        pair = [float(numbers[name]) for numbers in both]
        if pair[0] != pair[1]:
            unit = "" if entry.unit == "1" else f" {entry.unit}"
            written[name] = dict(zip(halves, [f"{n!r}{unit}" if unit else n for n in pair], strict=True))
    assert len(written) > 5
    other = run(tmp_path, membrane=membrane | {"variant": "epi", "parameters": written}, **change, **pulse)
    v, w = (run.result.fields["V"].x.array for run in (made, other))
    assert np.array_equal(v, w)
    plain = run(tmp_path, membrane=membrane | {"variant": "endo"}, **change, **pulse)
    assert np.abs(plain.result.fields["V"].x.array - v).max() > 1e-3
    own = {"g_to": {"left": "0.1 mS/uF"}}
    table = make_config(tables(membrane=membrane | {"parameters": own}, **change), folder=tmp_path).macro.membrane
    assert table.numbers(table.kinetics(tmp_path))[0]["g_to"] == {"left": 0.1, "right": 0.073}
    own["g_to"] = {"*": "0.1 mS/uF"}
    table = make_config(tables(membrane=membrane | {"parameters": own}, **change), folder=tmp_path).macro.membrane
    assert table.numbers(table.kinetics(tmp_path))[0]["g_to"] == {"*": 0.1}
    for variant, message in (
        ({"left": "m"}, r"macro\.membrane\.variant = \['left'\]: it must be a value for every region.*'right'"),
        ({"left": "m", "rihgt": "epi"}, r"macro\.membrane\.variant = 'rihgt'.*'right'"),
        ({"left": "m", "right": "mid"}, r"macro\.membrane\.variant\.right = 'mid'.*'epi', 'endo', 'm'"),
        ({"left": 1}, r"macro\.membrane\.variant\.left = 1"),
    ):
        with pytest.raises(InputError, match=message):
            run(tmp_path, membrane=membrane | {"variant": variant}, **change)
    with pytest.raises(InputError, match=r"macro\.membrane\.model = .*one model for all.*variants may differ"):
        run(tmp_path, membrane=membrane | {"model": {"left": "a"}}, **change)


def test_layers_of_a_wall_are_regions_of_the_membrane(tmp_path):
    layers = {"parts": {"inside": 0.25, "outside": 0.75}, "inner": ["bottom"], "outer": ["top"]}
    kept = [{"name": name, "region": name, "quantity": "mean"} for name in ("inside", "outside")]
    a = {"inside": 0.3, "outside": 0.1}
    made = run(
        tmp_path, domain__layers=layers, membrane__parameters={"a": a}, membrane__initial={"V": a}, stimulus=None,
        **SHORT | {"probes": kept, "time__end": "0.05 ms"},
    )  # fmt: skip
    probes = made.report()["probes"]
    # Of four rows of elements the first is inside; its upper nodes have the mean of both layers.
    assert probes["inside"]["V"][0] == pytest.approx(0.25, abs=1e-3)
    assert probes["outside"]["V"][0] == pytest.approx(0.1 + 0.1 / 6, abs=1e-3)
    theirs = {"method": "transmural", "endo_size": 0.2, "epi_size": 0.3}
    table = make_config(tables(domain__layers=theirs), folder=tmp_path).macro
    assert dict(table.domain.layers.parts) == {"endo": 0.2, "mid": 0.5, "epi": 0.3}
    names = {"inner": 0.5, "outer": 0.5}  # of layers, and not of boundaries
    assert dict(make_config(tables(domain__layers=names), folder=tmp_path).macro.domain.layers.parts) == names
    for wrong, message in (
        ({"endo": 0.3, "epi": 0.3}, r"macro\.domain\.layers = .*sum to 1; these sum to 0\.6"),
        ({"parts": {"a": 1.5}}, r"macro\.domain\.layers\.parts\.a = 1\.5"),
        ({"parts": {"a": 1.0}, "inner": "bottom"}, r"macro\.domain\.layers\.inner = 'bottom'.*list"),
        ({"parts": {"a": 1.0}, "inner": ["bottom"], "outer": ["botom"]}, r"macro\.domain\.layers\.outer = 'botom'"),
        ({"a": 1.0}, r"macro\.domain\.layers\.inner = 'endo'"),
        ({"method": "cell_markers", "endo_size": 0.3}, r"macro\.domain\.layers\.method = 'cell_markers'"),
        ({"method": "transmural", "endo_size": 0.7, "epi_size": 0.4}, r"macro\.domain\.layers\.epi_size = 0\.4"),
    ):
        with pytest.raises(InputError, match=message):
            run(tmp_path, domain__layers=wrong, **SHORT)


TUNED = {
    "membrane": {"model": "mitchell-schaeffer", "area": "140 1/mm"},
    "tensors": {"conductivity": {"preset": "Niederer"}, "velocity": {"longitudinal": "0.5 m/s"}},
    "stimulus__0__amplitude": "50 uA/mm^3",
    "domain__size": ["8 mm", "0.5 mm"],
    "stimulus__0__max": ["1 mm", "0.5 mm"],
    "probes": [{"name": "near", "at": ["3 mm", "0.25 mm"]}, {"name": "far", "at": ["5 mm", "0.25 mm"]}],
}


def test_conductivities_are_tuned_to_a_velocity_on_the_mesh(tmp_path):
    """The strip has the velocity that was asked for; the report says what a finer mesh would have, a warning, too."""
    made = run(tmp_path, **TUNED)
    report = made.report()
    found = report["tuning"]["longitudinal"]
    assert found["velocity"] == pytest.approx(0.5, rel=2e-3)
    assert found["mesh_error"] == pytest.approx(found["velocity"] / found["fine_velocity"] - 1.0)
    speed = 2.0 / (report["probes"]["far"]["activation"] - report["probes"]["near"]["activation"])
    assert speed == pytest.approx(0.5, rel=0.01)
    factor = found["intracellular"] / 0.17
    assert found["extracellular"] == pytest.approx(0.62 * factor)
    told = [text for text in made.warnings if "macro.tensors.velocity.longitudinal" in text]
    assert len(told) == (abs(found["mesh_error"]) > 0.1)
    assert sum("Nodes of the tissue" in text for text in made.warnings) <= 1  # not of each cable


def test_a_monodomain_needs_no_conductivity_where_velocities_are_given(tmp_path):
    both = {"velocity": {"longitudinal": "0.5 m/s", "transverse": "0.3 m/s"}}
    change = TUNED | {"tensors": both, "time__end": "0.1 ms", "output__every": None, "stimulus": None, "probes": None}
    change = {key: value for key, value in change.items() if not key.startswith("stimulus__")}
    found = run(tmp_path, **change).report()["tuning"]
    assert found["longitudinal"]["conductivity"] > found["transverse"]["conductivity"]
    assert found["longitudinal"]["intracellular"] is None
    with pytest.raises(InputError, match=r"macro\.fibres = \(missing\)"):
        run(tmp_path, **change, fibres=None)
    with pytest.raises(InputError, match=r"macro\.tensors\.intracellular = \(missing\)"):
        run(tmp_path, **change, kind="bidomain")
    for tensors, message in (
        ({"conductivity": "1 S/m"} | both, r"macro\.tensors\.velocity = 'given'.*longitudinal and transverse"),
        ({"velocity": {"longitudinal": "5 mm"}}, r"macro\.tensors\.velocity\.longitudinal = '5 mm'"),
        ({"velocity": {"longitudinal": "0 m/s"}}, r"macro\.tensors\.velocity\.longitudinal = '0"),
        ({"velocity": {"transverse": "1 m/s"}}, r"macro\.tensors\.velocity\.longitudinal = \(missing\)"),
    ):
        with pytest.raises(InputError, match=message):
            run(tmp_path, **change | {"tensors": tensors})


def test_durations_of_action_potentials_and_states_on_request(tmp_path):
    report = run(
        tmp_path,
        membrane__parameters={"rate": "4 1/ms", "epsilon": 0.05},
        output={"apd": [50, 90], "fields": ["V", "w"], "threshold": 0.4},
        time={"end": "40 ms", "step": "0.05 ms"},
    ).report()
    assert set(report["probes"]["far"]) == {"V", "w", "activation"}
    half, most = report["apd"]["50"], report["apd"]["90"]
    assert 0.1 < half["mean"] < most["mean"] < 30.0
    import meshio

    with meshio.xdmf.TimeSeriesReader(tmp_path / "output" / "apd.xdmf") as series:
        series.read_points_cells()
        assert sorted(series.read_data(0)[1]) == ["APD50", "APD90"]


def test_durations_are_those_of_the_last_beat_that_is_over(tmp_path):
    keys = {
        "membrane__parameters": {"rate": "4 1/ms", "epsilon": 0.05},
        "output": {"apd": [90], "threshold": 0.4},
        "domain__size": ["2 mm", "1 mm"],
        "probes": [{"name": "middle", "at": ["1 mm", "0.5 mm"]}],
    }
    once = run(tmp_path, time={"end": "40 ms", "step": "0.05 ms"}, **keys).report()
    again = run(tmp_path, time={"end": "41.5 ms", "step": "0.05 ms"}, stimulus__0__coupling=["40 ms"], **keys).report()
    assert again["probes"]["middle"]["V"][-1] > 0.4  # the second beat is under way
    assert again["apd"]["90"] == pytest.approx(once["apd"]["90"], rel=1e-12)
    assert once["apd"]["90"]["mean"] > 1.0


def test_a_report_has_units_in_its_text(tmp_path):
    report = run(tmp_path, membrane={"model": "mitchell-schaeffer", "area": "140 1/mm"}, **SHORT).report()
    text = dict(line.split(": ", 1) for line in described(report).splitlines())
    assert text["threshold"] == "0 mV"
    assert described(
        {"activation": {"mean": 2.0}, "velocity": {"mean": 0.6}, "units": report["units"]}
    ).splitlines() == [
        "activation: mean 2 ms",
        "velocity: mean 0.6 mm/ms",
    ]


BATH = """
SetFactory("OpenCASCADE");
Rectangle(1) = {0, 0, 0, 3, 1};
Rectangle(2) = {0, 1, 0, 3, 1};
BooleanFragments{ Surface{1}; Delete; }{ Surface{2}; Delete; }
Physical Surface("wall") = {1};
Physical Surface("bath") = {2};
Physical Curve("top") = Curve In BoundingBox {-.1, 1.9, -.1, 3.1, 2.1, .1};
Mesh.MeshSizeMax = 0.25;
"""
IN_BATH = {
    "kind": "bath",
    "domain": {"file": "bath.geo", "unit": "mm"},
    "tensors__bath": "1 S/m",
    "electrodes": {"boundary": "top", "ground": True},
    "stimulus__0__max": ["1 mm", "1 mm"],
    "probes": [{"name": "p", "at": ["1.5 mm", "0.5 mm"]}, {"name": "b", "at": ["1.5 mm", "1.8 mm"]}],
    "time__end": "1 ms",
    "output__every": None,
}


def test_bidomain_and_bath_with_electrodes(tmp_path):
    """Grounded, or with a current that the other electrode takes: what the potential is there."""
    (tmp_path / "bath.geo").write_text(BATH)
    report = run(tmp_path, **IN_BATH).report()
    assert set(report["probes"]["b"]) == {"phi_e", "activation"}
    assert report["probes"]["b"]["activation"] is None
    assert set(report["probes"]["p"]) == {"V", "phi_e", "activation"}
    assert np.ptp(report["probes"]["p"]["phi_e"]) > 1e-3
    assert abs(report["probes"]["b"]["phi_e"][-1]) < abs(report["probes"]["p"]["phi_e"][-1])
    held = run(tmp_path, **IN_BATH | {"electrodes": {"boundary": "top", "potential": "2 mV"}}).report()
    assert held["probes"]["b"]["phi_e"][-1] == pytest.approx(report["probes"]["b"]["phi_e"][-1] + 2.0, abs=1e-3)
    through = [
        {"boundary": "left", "current": "1 uA/mm^2", "duration": "0.1 ms"},
        {"boundary": "right", "current": "-1 uA/mm^2", "duration": "0.1 ms"},
    ]
    report = run(tmp_path, kind="bidomain", electrodes=through, stimulus=None, **SHORT).report()
    assert report["iterations_by_stage"]["elliptic"] > 0
    fields = run(
        tmp_path,
        kind="bidomain",
        electrodes=[entry | {"duration": "9 ms"} for entry in through],
        stimulus=None,
        **SHORT,
    ).result.fields["phi_e"]
    x = fields.function_space.tabulate_dof_coordinates()[:, 0]
    assert fields.x.array[np.argmin(x)] > fields.x.array[np.argmax(x)] + 1.0


PLACES = {
    "shape": "box",
    "size": ["6 mm", "2 mm"],
    "resolution": "0.25 mm",
    "regions": {
        "bath": {"type": "box", "min": ["0 mm", "1 mm"], "max": ["6 mm", "2 mm"]},
        "scar": {"type": "ball", "centre": ["3 mm", "0.5 mm"], "radius": "0.3 mm"},
    },
}


def test_a_bath_has_no_membrane_potential_in_probes_files_and_pictures(tmp_path):
    """Void or absent, never the start: at points, in regions, in a file; of all of the domain that of the tissue."""
    document = tables(
        kind="bath",
        domain=copy.deepcopy(PLACES),
        tensors__bath="1 S/m",
        electrodes={"boundary": "top", "ground": True},
        **SHORT,
    )
    macro = document["macro"]
    del macro["domain"]["regions"]["scar"]
    macro["domain"]["resolution"] = "0.5 mm"
    macro["probes"] = [
        {"name": "water", "at": ["3 mm", "1.6 mm"]},
        {"name": "edge", "at": ["3.1 mm", "1 mm"]},
        {"name": "under", "at": ["3.1 mm", "0.999999999 mm"]},
        {"name": "pool", "region": "bath"},
        {"name": "all", "region": "*"},
    ]
    macro["output"] = {"fields": ["V", "phi_e", "w"], "apd": [50]}
    macro["degree"] = 2
    made = runs.macro(document, folder=tmp_path, drawn=True)
    runs.draw_macro(made, tmp_path / "v.png")
    assert np.array_equal(np.isnan(made.record.values[-1]), made.record.points[:, 1] > 1.0 + 1e-9)
    probes = made.report()["probes"]
    json.dumps(probes, allow_nan=False)
    assert set(probes["water"]) == {"phi_e", "activation"}
    assert set(probes["pool"]) == {"phi_e", "activation"}
    assert probes["edge"]["V"] == pytest.approx(probes["under"]["V"], abs=1e-7)
    tissue = made.result.fields["V"]
    sigma = 12.0 * np.array(probes["all"]["V"]["mean"]) / 2.0  # of 6 mm x 1 mm of tissue, not of 12 mm^2
    assert sigma[-1] == pytest.approx(probes["all"]["V"]["integral"][-1])
    assert probes["all"]["V"]["maximum"][-1] == pytest.approx(np.nanmax(tissue.x.array))
    macro["degree"], macro["output"]["fields"] = 1, ["V"]
    with pytest.raises(InputError, match=r"macro\.probes\[0\]\.at = .*a point at which V has a value.*bath"):
        runs.macro(document, folder=tmp_path)
    macro["probes"] = macro["probes"][3:]
    with pytest.raises(InputError, match=r"pool.*in which V has values"):
        runs.macro(document, folder=tmp_path)
    del macro["probes"]
    runs.macro(document, folder=tmp_path)
    import meshio

    with meshio.xdmf.TimeSeriesReader(tmp_path / "output" / "fields.xdmf") as series:
        points, _ = series.read_points_cells()
        assert np.array_equal(np.isnan(series.read_data(0)[1]["V"]).ravel(), points[:, 1] > 1.0 + 1e-9)


def test_regions_of_a_box_are_places(tmp_path):
    """A bath above the tissue, a scar in it: V knows nothing of the bath, and numbers differ by region."""
    spaces = {
        "intracellular": {"scar": "1 mS/m", "*": {"longitudinal": "0.17 S/m", "transverse": "0.019 S/m"}},
        "extracellular": "0.2 S/m",
        "bath": "1 S/m",
    }
    made = run(
        tmp_path,
        kind="bath",
        domain=PLACES,
        tensors=spaces,
        membrane__parameters={"a": {"scar": 0.3, "*": 0.1}},
        electrodes={"boundary": "top", "ground": True},
        **SHORT,
    )
    v = made.result.fields["V"]
    x = v.function_space.tabulate_dof_coordinates()
    assert np.array_equal(np.isnan(v.x.array), x[:, 1] > 1.0 + 1e-9)
    assert np.nanmax(v.x.array[x[:, 0] < 0.5]) > 0.1
    with pytest.raises(InputError, match=r"macro\.domain\.regions\.bath\.min = .*2 lengths"):
        run(tmp_path, domain=PLACES | {"regions": {"bath": {"type": "box", "min": ["0 mm"], "max": ["1 mm"]}}})
    with pytest.raises(InputError, match=r"macro\.domain\.regions\.a\.type = 'region'"):
        run(tmp_path, domain=PLACES | {"regions": {"a": {"type": "region", "region": "b"}}})
    far = {"a": {"type": "ball", "centre": ["9 mm", "0 mm"], "radius": "1 mm"}}
    with pytest.raises(InputError, match=r"macro\.domain\.regions\.a = 'no place'"):
        run(tmp_path, domain=PLACES | {"regions": far})


def test_an_electrocardiogram_of_the_standard_leads(tmp_path):
    """What the same electrodes see of V at the end, by hand; Einthoven's law; a file beside the probes."""
    at = {"RA": (-9.0, 5.0, 1.0), "LA": (15.0, 5.0, 1.0), "LL": (3.0, -9.0, 2.0), "V1": (3.0, 4.0, 3.0)}
    at["far"] = (0.0, 99.0, 0.0)
    electrodes = {name: [f"{x} mm" for x in place] for name, place in at.items()}
    ecg = {"electrodes": electrodes, "conductivity": "0.3 S/m", "section": "2 mm"}
    made = run(tmp_path, ecg=ecg, **SHORT | {"time__end": "4 ms"})
    leads = {name: np.array(values) for name, values in made.report()["ecg"].items()}
    assert set(leads) == {"I", "II", "III", "aVR", "aVL", "aVF", "V1", "RA", "LA", "LL", "far"}
    assert leads["I"] + leads["III"] == pytest.approx(leads["II"], abs=1e-14)
    assert np.abs(leads["I"]).max() > 1e-4
    space = made.result.fields["V"].function_space
    sigma = ufl.as_matrix([[0.17, 0.0], [0.0, 0.019]])
    by_hand = pseudo_ecg(Domain(mesh=space.mesh, unit="mm"), space, sigma, at, bath=0.3, section=2.0)
    found = by_hand(made.result.fields["V"].x.array[: space.dofmap.index_map.size_local])
    assert [leads[name][-1] for name in ("RA", "LA", "LL", "far")] == pytest.approx(found[[0, 1, 2, 4]], rel=1e-10)
    assert leads["V1"][-1] == pytest.approx(found[3] - found[:3].mean(), rel=1e-10)
    assert (tmp_path / "output" / "ecg.csv").read_text().startswith("time (ms),I,II,III")


def test_a_tissue_starts_where_single_cells_end_by_region(tmp_path):
    membrane = {
        "model": "mitchell-schaeffer",
        "area": "140 1/mm",
        "parameters": {"tau_close": {"scar": "100 ms", "*": "150 ms"}},
        "BCL": "400 ms",
        "num_beats": 2,
    }
    box = PLACES | {"size": ["6 mm", "1 mm"], "regions": {"scar": PLACES["regions"]["scar"]}}
    still = {"stimulus": None, "time__end": "0.05 ms", "output": None, "probes": None}
    fields = run(tmp_path, membrane=membrane, domain=box, **still).result.fields
    pacing = ionic.Pacing(cycle_length=400.0)
    kinetics = ionic_kinetics("mitchell-schaeffer")
    ends = [ionic.pace(kinetics, pacing, beats=2, parameters={"tau_close": tau}).end for tau in (150.0, 100.0)]
    x = fields["h"].function_space.tabulate_dof_coordinates()
    assert fields["h"].x.array[x[:, 0] < 2.0] == pytest.approx(ends[0]["h"], abs=1e-3)
    inside = np.hypot(x[:, 0] - 3.0, x[:, 1] - 0.5) < 0.1
    assert fields["h"].x.array[inside] == pytest.approx(ends[1]["h"], abs=1e-3)
    assert abs(ends[0]["h"] - ends[1]["h"]) > 0.01
    del membrane["num_beats"]
    cycle = ionic.limit_cycle(kinetics, pacing).start
    fields = run(tmp_path, membrane=membrane | {"parameters": {}}, **still).result.fields
    assert fields["h"].x.array == pytest.approx(cycle["h"], abs=1e-3)
    with pytest.raises(InputError, match=r"macro\.membrane\.pacing.*threshold|macro\.membrane\.pacing"):
        run(tmp_path, membrane__BCL="400 ms", **still)


def test_entries_of_lists_are_set_by_their_number_or_alone(tmp_path):
    document = tables()
    changes = {
        "macro.stimulus.amplitude": "3 uA/mm^3",
        "macro.probes.1.name": "end",
        "macro.probes.0": {"name": "a", "at": ["0 mm", "0 mm"]},
    }
    found = set_values(document, changes)
    assert found["macro"]["stimulus"][0]["amplitude"] == "3 uA/mm^3"
    assert [probe["name"] for probe in found["macro"]["probes"]] == ["a", "end"]
    assert document == tables()
    for path, message in (
        ("macro.probes.name", "macro.probes is a list: macro.probes.0 to macro.probes.1"),
        ("macro.probes.2.name", "macro.probes.0 to macro.probes.1"),
        ("macro.kind.x", "macro.kind is a value"),
        ("macro.stimulus.min.x", "list"),
    ):
        with pytest.raises(InputError, match=message):
            set_values(document, {path: 1})


def test_an_area_or_a_capacitance_in_another_unit_is_told(tmp_path, caplog):
    membrane = {"model": "mitchell-schaeffer", "area": "140 1/m", "capacitance": "1 uF/mm^2"}
    with caplog.at_level(logging.WARNING, "homfem"):
        run(tmp_path, membrane=membrane, stimulus=None, **SHORT)
    told = [record.getMessage() for record in caplog.records]
    assert any("macro.membrane.area: 0.14 1/mm" in text for text in told)
    assert any("macro.membrane.capacitance: 1 uF/mm^2" in text for text in told)


def test_currents_through_the_membrane_and_from_outside(tmp_path):
    """Through the membrane what enters the cells leaves the space outside; from outside it must go to the ground."""
    found = {}
    for current in ("membrane", "intracellular", "extracellular"):
        fields = run(
            tmp_path,
            kind="bidomain",
            stimulus__0__current=current,
            electrodes={"boundary": "right", "ground": True},
            **SHORT,
        ).result.fields
        corner = np.argmin(fields["V"].function_space.tabulate_dof_coordinates()[:, 0])
        found[current] = [float(fields[name].x.array[corner]) for name in ("V", "phi_e")]
    assert found["membrane"][0] > 0.1 > 0.0 > found["membrane"][1]
    assert found["intracellular"][0] > 0.1
    assert found["intracellular"][1] > 1.0
    assert found["extracellular"][0] < found["membrane"][0]
    assert found["extracellular"][1] > 1.0


def test_tensors_of_files_and_of_the_cell_of_the_config(tmp_path):
    """A laminate along x: sigma is the mean; its interface is the area of the membrane."""
    tensor = EffectiveTensor.measured(
        "i", np.diag([170.0, 19.0]), unit="mS/m", dimension=2, volume_fraction=0.8, physics="conductivity"
    )
    tensor.to_json(tmp_path / "i.json")
    from_file = run(tmp_path, tensors__intracellular="i.json", **SHORT)
    assert from_file.result.fields["V"].x.array == pytest.approx(
        run(tmp_path, **SHORT).result.fields["V"].x.array, abs=1e-12
    )
    cell = {
        "cell": {
            "shape": "laminate",
            "fractions": [0.8, 0.2],
            "period": "20 um",
            "axis": "y",
            "dimension": 2,
            "resolution": 0.2,
        },
        "effective": {"physics": "conductivity", "phases": {"layer1": "0.4 S/m", "layer2": "1.2 S/m"}},
    }
    document = tables(
        tensors={"intracellular": {"phase": "layer1"}, "extracellular": {"phase": "layer2"}},
        membrane__area=None,
        **SHORT,
    )
    with pytest.raises(InputError, match=r"macro\.tensors\.intracellular.*definite"):
        runs.macro(cell | document, folder=tmp_path)  # a layer conducts in its plane alone
    cell["cell"] = {"shape": "fibre-array", "fraction": 0.5, "period": "20 um", "dimension": 2, "resolution": 0.2}
    cell["effective"]["phases"] = {"matrix": "1.2 S/m"}
    document = tables(tensors={"conductivity": {"phase": "matrix"}}, membrane__area=None, **SHORT)
    made = runs.macro(cell | document, folder=tmp_path)
    area = np.sqrt(4.0 * np.pi * 0.5) / 0.02  # of circles of half of the area, 1/mm
    with_area = runs.macro(
        cell | tables(tensors=document["macro"]["tensors"], membrane__area=f"{area} 1/mm", **SHORT), folder=tmp_path
    )
    assert made.result.fields["V"].x.array == pytest.approx(with_area.result.fields["V"].x.array, abs=5e-3)
    assert np.ptp(made.result.fields["V"].x.array) > 0.05


def test_a_run_goes_on_on_another_number_of_ranks(homfem, tmp_path):
    (tmp_path / "heart.toml").write_text(STRIP)
    more = [
        "--set",
        'macro.output.checkpoint_every="1 ms"',
        "--set",
        'macro.output.every="1 ms"',
        "--set",
        'macro.time.end="14 ms"',
    ]
    whole = json.loads(homfem("run", tmp_path / "heart.toml", *more, "--json", "-")[1])
    half = [*more, "--set", 'macro.output.folder="half"']
    status, _, err = homfem("run", tmp_path / "heart.toml", *half, "--set", 'macro.time.end="6 ms"')
    assert status == 0, err
    answer = outside("run", tmp_path / "heart.toml", *half, "--resume", "--json", "-", ranks=2)
    assert answer.returncode == 0, answer.stderr
    two = json.loads(answer.stdout)
    assert two["ranks"] == 2
    for name, series in whole["probes"].items():
        assert two["probes"][name]["V"] == pytest.approx(series["V"], abs=1e-5)
        assert two["probes"][name]["activation"] == pytest.approx(series["activation"], abs=1e-5)
    status, _, err = homfem("run", tmp_path / "heart.toml", *half, "--resume", "--set", "macro.membrane.area='1 1/um'")
    assert (status, "checkpoint" in err) == (2, True)


def test_a_membrane_of_a_file_by_schemes_and_their_other_names(tmp_path):
    """The file of Mitchell and Schaeffer's model is the model by its name."""
    source = Path(ionic.__file__).parent / "models" / "mitchell-schaeffer.ode"
    shutil.copy(source, tmp_path / "ms.ode")
    membrane = {"model": "mitchell-schaeffer", "area": "140 1/mm", "scheme": "generalized-rush-larsen"}
    named = run(tmp_path, membrane=membrane, **SHORT).result
    others = {"ode_file": "ms.ode", "v_name": "V", "chi": "140 1/mm", "scheme": "generalized_rush_larsen"}
    read = run(tmp_path, membrane=others, **SHORT).result
    assert read.fields["V"].x.array == pytest.approx(named.fields["V"].x.array, abs=1e-13)
    explicit = run(tmp_path, membrane=others | {"scheme": "forward_euler"}, **SHORT).result
    assert 0.0 < np.abs(explicit.fields["V"].x.array - named.fields["V"].x.array).max() < 0.05


def test_stimuli_after_which_nothing_is_active_are_told(tmp_path):
    (weak,) = run(tmp_path, stimulus__0__amplitude="0.01 uA/mm^3", **SHORT).warnings
    assert re.search(r"no place becomes active: the largest V is 0\.\d+, the threshold 0\.5\.$", weak)
    (late,) = run(tmp_path, stimulus__0__start="3 ms", **SHORT).warnings
    assert late.endswith("the first pulse begins at 3 ms, and the run ends at 0.5 ms.")
    assert run(tmp_path, stimulus=None, **SHORT).warnings == ()


def test_conductivities_in_another_unit_are_told(tmp_path, caplog):
    membrane = {"model": "mitchell-schaeffer", "area": "140 1/mm"}
    with caplog.at_level(logging.WARNING, "homfem"):
        run(tmp_path, membrane=membrane, stimulus=None, **SHORT)
        assert not caplog.records
        run(tmp_path, membrane=membrane, stimulus=None, tensors__extracellular="62 S/m", **SHORT)
    assert [record.getMessage()[:35] for record in caplog.records] == ["macro.tensors.extracellular: 62 S/m"]


def test_spaces_that_are_exchanged_and_a_mesh_in_another_unit_are_told(tmp_path, caplog):
    document = tables(**SHORT)
    spaces = document["macro"]["tensors"]
    assert runs.macro(document, folder=tmp_path).warnings == ()
    spaces["intracellular"], spaces["extracellular"] = spaces["extracellular"], spaces["intracellular"]
    (warning,) = runs.macro(document, folder=tmp_path).warnings
    assert "exchanged" in warning
    with caplog.at_level(logging.WARNING, "homfem"):
        size = {"size": ["6 m", "1 m"], "resolution": "0.25 m", "shape": "box"}
        run(tmp_path, domain=size, stimulus__0__max=["1 m", "1 m"], **SHORT)
    assert "the unit of the mesh" in caplog.text


TENTUSSCHER = {"membrane__model": "tentusscher-panfilov-2006", "membrane__parameters": None}
WRONG = [
    ({"kind": "tridomain"}, r"macro\.kind = 'tridomain'.*'bidomain'"),
    ({"tensors": None}, r"macro\.tensors = \(missing\)"),
    ({"tensors": {}}, r"macro\.tensors\.intracellular = \(missing\).*or conductivity"),
    ({"tensors__extracellular": None}, r"macro\.tensors\.extracellular = \(missing\)"),
    ({"tensors__conductivity": "1 S/m"}, r"macro\.tensors\.intracellular = 'given'.*beside conductivity"),
    ({"tensors": {"conductivity": "1 S/m"}, "kind": "bidomain"}, r"macro\.tensors\.conductivity = 'given'.*bidomain"),
    ({"tensors__intracellular": 0.17}, r"macro\.tensors\.intracellular = 0\.17"),
    ({"tensors__intracellular": "0.17 S"}, r"macro\.tensors\.intracellular = '0\.17 S'.*S/m"),
    ({"tensors__intracellular": "-0.17 S/m"}, r"macro\.tensors\.intracellular = .*> 0"),
    ({"tensors__intracellular__longitudinal": None}, r"macro\.tensors\.intracellular\.longitudinal = \(missing\)"),
    (
        {"tensors__intracellular": {"longitudnal": "1 S/m", "transverse": "1 S/m"}},
        r"macro\.tensors\.intracellular\.longitudnal.*'macro\.tensors\.intracellular\.longitudinal'",
    ),
    ({"tensors__intracellular": {"scar": "1 S/m"}}, r"macro\.tensors\.intracellular = 'scar'.*absent|region"),
    (
        {"tensors__intracellular": {"value": [["1 S/m", "2 S/m"], ["2 S/m", "1 S/m"]]}},
        r"macro\.tensors\.intracellular.*definite",
    ),
    ({"tensors__intracellular": "none.json"}, r"macro\.tensors\.intracellular\.file = 'none\.json'"),
    ({"tensors__intracellular": {"phase": "cell"}}, r"macro\.tensors\.intracellular = \(missing\).*\[cell\]"),
    ({"tensors": {"conductivity": {"preset": "Nieder"}}}, r"tensors\.conductivity\.preset = 'Nieder'.*'Niederer'"),
    ({"tensors__bath": "1 S/m"}, r"macro\.tensors\.bath = 'given'.*kind = 'bath'"),
    ({"kind": "bath"}, r"macro\.tensors\.bath = \(missing\)"),
    ({"kind": "bath", "tensors__bath": "1 S/m"}, r"macro\.tensors\.bath = 'bath'"),
    ({"fibres": None}, r"macro\.fibres = \(missing\).*longitudinal"),
    ({"fibres": {"direction": [0, 0]}}, r"macro\.fibres\.direction"),
    ({"membrane": None}, r"macro\.membrane = \(missing\)"),
    ({"membrane__model": None}, r"macro\.membrane\.model = \(missing\).*file"),
    ({"membrane__model": "fitzhugh"}, r"macro\.membrane\.model = 'fitzhugh'.*'fitzhugh-nagumo'"),
    ({"membrane__variant": "epi"}, r"macro\.membrane\.variant = 'epi'.*no variants"),
    ({"membrane__scheme": "euler"}, r"macro\.membrane\.scheme = 'euler'.*'explicit'"),
    ({"membrane__scheme": "explicit"}, r"macro\.membrane\.scheme = 'explicit'.*slopes"),
    ({"membrane__potential": "v"}, r"macro\.membrane\.potential = 'v'.*without file"),
    ({"membrane": {"file": "a.ode", "area": "1 1/mm"}}, r"macro\.membrane\.file = 'a\.ode'.*exists"),
    ({"membrane": {"ode_file": "a.ode", "area": "1 1/mm"}}, r"macro\.membrane\.ode_file = 'a\.ode'.*exists"),
    ({"membrane__area": None}, r"macro\.membrane\.area = \(missing\).*140"),
    ({"membrane__area": "140 mm"}, r"macro\.membrane\.area = '140 mm'"),
    ({"membrane__area": None, "chi": "140 mm"}, r"macro\.chi = '140 mm'"),
    ({"chi": "140 1/mm"}, r"macro\.chi = '140 1/mm'.*beside membrane\.area"),
    ({"membrane__capacitance": 0.01}, r"macro\.membrane\.capacitance = 0\.01.*unit"),
    ({"membrane__area": {"scar": "140 1/mm"}}, r"macro\.membrane\.area = 'scar'"),
    ({"membrane__parameters": {"rte": "1 1/ms"}}, r"macro\.membrane\.parameters = 'rte'.*'rate'"),
    ({"membrane__parameters": {"rate": 1.0}}, r"macro\.membrane\.parameters\.rate = 1\.0.*'1\.0 1/ms'"),
    ({"membrane__parameters": {"rate": "1 mV"}}, r"macro\.membrane\.parameters\.rate = '1 mV'"),
    ({"membrane__parameters": {"a": "1 mV"}}, r"macro\.membrane\.parameters\.a = '1 mV'.*without a unit"),
    ({"membrane__parameters": {"rate": "-1 1/ms"}}, r"macro\.membrane\.parameters\.rate = -1\.0.*> 0"),
    ({"membrane__parameters": {"a": {"scar": 0.1}}}, r"macro\.membrane\.parameters\.a = 'scar'"),
    ({"membrane__initial": {"u": 0.1}}, r"macro\.membrane\.initial = 'u'.*'V', 'w'"),
    (TENTUSSCHER | {"membrane__initial": {"m": 2}},
     r"macro\.membrane\.initial\.m = 2\.0: it must be from 0 to 1.*m is a gate"),
    (TENTUSSCHER | {"membrane__initial": {"m": -0.01}}, r"macro\.membrane\.initial\.m = -0\.01: .*from 0 to 1"),
    (TENTUSSCHER | {"membrane__initial": {"Ca_i": "-1 uM"}},
     r"macro\.membrane\.initial\.Ca_i = -0\.001: .*>= 0.*concentration"),
    (TENTUSSCHER | {"membrane__initial": {"V": "-85 V"}},
     r"macro\.membrane\.initial\.V = -85000\.0: .*from -1000 to 1000.*mV"),
    (TENTUSSCHER | {"membrane__parameters": {"g_Na": "-1 mS/uF"}},
     r"macro\.membrane\.parameters\.g_Na = -1\.0: .*>= 0.*fast sodium"),
    (TENTUSSCHER | {"membrane__parameters": {"g_CaL": {"*": "-1 l/F/ms"}}},
     r"macro\.membrane\.parameters\.g_CaL\.\* = -1\.0"),
    (TENTUSSCHER | {"membrane__parameters": {"V_ss": "0 nl"}}, r"macro\.membrane\.parameters\.V_ss = 0\.0: .*> 0"),
    (TENTUSSCHER | {"membrane__parameters": {"F": "0 C/mol"}},
     r"macro\.membrane\.parameters = .*does not divide by zero"),
    (TENTUSSCHER | {"membrane__parameters": {"K_o": "-5.4 mM"}}, r"macro\.membrane\.parameters\.K_o = -5\.4: .*>= 0"),
    ({"stimulus__0__amplitude": None}, r"macro\.stimulus\.amplitude = \(missing\).*50 uA/mm"),
    ({"stimulus__0__amplitude": "50 uA/mm^2"}, r"macro\.stimulus\.amplitude = '50 uA/mm\^2'"),
    ({"stimulus__0__duration": None}, r"macro\.stimulus\.duration = \(missing\).*2 ms"),
    ({"stimulus__0__min": ["9 mm", "0 mm"], "stimulus__0__max": ["10 mm", "1 mm"]}, r"macro\.stimulus\.m"),
    ({"stimulus__0__type": "region", "stimulus__0__min": None, "stimulus__0__max": None, "stimulus__0__region": "scar"},
     r"macro\.stimulus\.region = 'scar'"),
    ({"stimulus__0__num_pulses": 0}, r"macro\.stimulus\.num_pulses = 0"),
    ({"stimulus__0__num_pulses": 2, "stimulus__0__pulses": 2}, r"macro\.stimulus\.num_pulses = 2.*both mean the same"),
    ({"stimulus__0__current": "inward"}, r"macro\.stimulus\.current = 'inward'"),
    ({"stimulus__0__current": "extracellular"}, r"macro\.stimulus\.current = 'extracellular'.*monodomain"),
    ({"electrodes": [{"boundary": "left", "ground": True}]}, r"macro\.electrodes = 1.*kind = 'bidomain'"),
    ({"kind": "bidomain", "electrodes": [{"boundary": "lft", "ground": True}]}, r"macro\.electrodes\.boundary = 'lft'"),
    ({"kind": "bidomain", "electrodes": [{"boundary": "left"}]}, r"macro\.electrodes = \(missing\).*ground"),
    (
        {"kind": "bidomain", "electrodes": [{"boundary": "left", "potential": "1 mV", "current": "1 A/m^2"}]},
        r"macro\.electrodes = \['potential', 'current'\]",
    ),
    ({"ecg": {"electrodes": {}}}, r"macro\.ecg\.electrodes = \{\}"),
    ({"ecg": {"electrodes": {"a": ["1 mm"]}}}, r"macro\.ecg\.section = \(missing\).*thickness"),
    ({"ecg": {"electrodes": {"a": ["1 mm"]}, "section": "1 mm^2"}}, r"macro\.ecg\.section = '1\.?0? mm\^2'"),
    ({"ecg": {"electrodes": {"a": [1.0]}, "section": "1 mm"}}, r"macro\.ecg\.electrodes\.a\[0\] = 1\.0.*unit"),
    ({"ecg": {"electrodes": {"a": ["1 mm"] * 3}, "section": "1 mm"}, "tensors": {"conductivity": "1 S/m"}},
     r"macro\.ecg = 'given'.*intracellular"),
    ({"membrane__BCL": "1 mm"}, r"macro\.membrane\.BCL = '1 mm'"),
    ({"membrane__num_beats": 3}, r"macro\.membrane\.pacing\.cycle_length = \(missing\)"),
    ({"theta": 0.7}, r"macro\.theta = 0\.7.*0\.5"),
    ({"time__theta": 1.0, "time__splitting": "strang"}, r"macro\.time\.theta = 1\.0.*both mean the same"),
    ({"time__coupling": "loose"}, r"macro\.time\.coupling = 'loose'"),
    ({"time__step": "0.03 ms"}, r"macro\.(time\.step|output\.every)"),
    ({"degree": 2, "mass": 0.5}, r"macro\.mass = 0\.5"),
    ({"output__threshold": "0 mV"}, r"macro\.output\.threshold = '0 mV'.*without a unit"),
    ({"output__apd": [100]}, r"macro\.output\.apd\[0\] = 100"),
    ({"output__fields": ["V", "m"]}, r"macro\.output\.fields = 'm'.*'V', 'w'"),
    (
        {
            "tensors": {"intracellular": {"scar": "0.1 S/m"}, "extracellular": "1 S/m"},
            "ecg": {"conductivity": "1 S/m", "section": "1 mm", "electrodes": {"a": ["1 mm", "1 mm", "1 mm"]}},
        },
        r"macro\.tensors\.intracellular",
    ),
    ({"output__save_every": "1 ms"}, r"macro\.output\.save_every = '1 ms'.*both mean the same"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_is_wrong_is_refused_under_the_key_that_was_written(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path, **changes)
    assert list(tmp_path.iterdir()) == []


def test_no_ground_and_a_current_that_goes_nowhere(tmp_path):
    with pytest.raises(InputError, match=r"macro\.electrodes = 1\.0.*sum to zero.*Ground"):
        run(tmp_path, kind="bidomain", electrodes=[{"boundary": "left", "current": "1 uA/mm^2"}], **SHORT)


def test_pulses_that_leave_current_over_are_refused_before_the_run(tmp_path):
    pulse = {"boundary": "left", "current": "1 uA/mm^2", "start": "10 ms", "duration": "1 ms"}
    out = {**pulse, "boundary": "right", "current": "-1 uA/mm^2"}
    assert run(tmp_path, kind="bidomain", electrodes=[pulse, out], **SHORT).report()["finished"]
    for others in ([], [{**out, "current": "-2 uA/mm^2"}], [{**out, "start": "12 ms"}]):
        with pytest.raises(InputError, match=r"macro\.electrodes = -?1\.0.*sum to zero.*Ground"):
            run(tmp_path, kind="bidomain", electrodes=[pulse, *others], **SHORT)


def test_the_command_says_the_warnings_of_a_run(homfem, tmp_path):
    (tmp_path / "heart.toml").write_text(STRIP)
    change = [
        "--set",
        "macro.stimulus.start=3 ms",
        "--set",
        "macro.time.end=0.5 ms",
        "--set",
        "macro.output.every=0.5 ms",
    ]
    status, _, err = homfem("run", tmp_path / "heart.toml", *change)
    assert status == 0
    assert err.count("homfem: warning: macro.stimulus: no place becomes active: the first pulse begins at 3 ms") == 1


def test_warnings_of_all_parts_of_a_run_stand_in_its_report(homfem, tmp_path):
    """Those of the config, of the model as it is made, and of the run, each once; none where there is nothing."""
    (tmp_path / "heart.toml").write_text(STRIP)
    short = ["macro.time.end=1 ms", "macro.output.every=1 ms", "macro.time.step=0.5 ms"]
    change = [
        "macro.membrane={model='mitchell-schaeffer', area='140 1/m'}",
        "macro.stimulus.amplitude=0 uA/mm^3",
        *short,
    ]
    options = [word for entry in change for word in ("--set", entry)]
    status, out, _ = homfem("run", tmp_path / "heart.toml", "--json", "-", *options)
    assert status == 0
    told = json.loads(out)["warnings"]
    starts = ("macro.membrane.area: 0.14 1/mm", "Ionic steps of up to 0.5 ms", "macro.stimulus: no place")
    assert [sum(text.startswith(start) for text in told) for start in starts] == [1, 1, 1]
    assert run(tmp_path, **SHORT).report()["warnings"] == []


def test_a_step_too_large_for_the_membrane_is_named(homfem, tmp_path):
    (tmp_path / "heart.toml").write_text(STRIP)
    change = ["--set", "macro.membrane.parameters.rate='9e4 1/ms'", "--set", "macro.time.step='1 ms'"]
    status, _, err = homfem("run", tmp_path / "heart.toml", *change)
    assert status == 1
    assert "ionic step" in err
    assert "Traceback" not in err


def test_a_config_is_checked_without_dolfinx(tmp_path):
    assert make_config(tables(), folder=tmp_path).macro.kind == "monodomain"
