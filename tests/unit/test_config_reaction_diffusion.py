"""The tables of the reaction-diffusion model: every key runs, means what it says, and is refused by its path."""

from __future__ import annotations

import copy
import json
import math
import tomllib

import numpy as np
import pytest
from scipy.integrate import trapezoid

from analytic_transport import nagumo_speed
from homfem import EffectiveTensor, runs
from homfem.config import make_config
from homfem.parameters import InputError

FRONT = """
[macro]
model = "reaction-diffusion"
[macro.domain]
shape = "interval"
size = ["16 mm"]
resolution = "0.1 mm"
[macro.species.u]
tensor = { value = "1 mm^2/s", volume_fraction = 1.0 }
initial = { type = "box", min = ["0 mm"], max = ["2 mm"], value = 1.0 }
[macro.reaction]
name = "nagumo"
rate = "8 1/s"
threshold = 0.1
[macro.time]
end = "0.1 min"
step = "20 ms"
[[macro.probes]]
name = "near"
at = ["6 mm"]
[[macro.probes]]
name = "far"
at = ["10 mm"]
[macro.output]
threshold = 0.5
folder = "front"
"""

CONTRACT = {"times", "probes", "conserved", "seconds", "dofs", "iterations", "ranks", "versions", "config"}


PORES = {
    "cell": {"shape": "fibre-array", "fraction": 0.5, "resolution": 0.25, "period": "1 um", "dimension": 2},
    "effective": {"physics": "dispersion", "peclet": 10.0, "phases": {"matrix": "2 um^2/s"}},
}


def test_a_species_is_carried_by_the_flow_of_its_dispersion_tensor(tmp_path, monkeypatch):
    """U = Pe D/L = 20 um/s in the fluid, which is half of the cell: so fast goes the front, and as wide as D* says."""
    monkeypatch.chdir(tmp_path)
    flows = {"tensor": {"phase": "matrix"}, "velocity": "effective"}
    ends = {"left": {"flux": "10 um/s"}, "right": "outflow"}
    column = {"shape": "box", "size": ["40 um", "1 um"], "resolution": "0.5 um"}
    changes = {"species": {"u": {**flows, "boundary": ends}}, "domain": column, "degree": 2}
    document = PORES | {"macro": tables(**changes)["macro"]}
    document["macro"]["time"] = {"end": "2 s", "step": "10 ms"}
    document["macro"]["probes"] = [{"name": "there", "at": ["20 um", "0.5 um"]}]
    run = runs.macro(document)
    tensor = run.report()["tensors"]["u"]
    assert tensor["averaged_over"] == "total"
    spread, porosity = tensor["value"][0][0] / 0.5, tensor["volume_fractions"]["matrix"]
    assert porosity == pytest.approx(0.5, rel=1e-6)
    times, found = (np.array(one) for one in (run.report()["times"], run.report()["probes"]["there"]["u"]))
    # The time at which it passes, and its variance in time, of all that was put in at one instant.
    rate = np.gradient(found, times)
    mean = trapezoid(times * rate, times)
    variance = trapezoid((times - mean) ** 2 * rate, times)
    assert mean == pytest.approx(1.0 + spread / 20.0**2, rel=2e-3)
    assert variance == pytest.approx(2.0 * spread * 20.0 / 20.0**3 + 3.0 * spread**2 / 20.0**4, rel=2e-2)
    assert abs(run.report()["conserved"][0]["drift"]) < 1e-12


@pytest.mark.parametrize(
    ("species", "physics", "message"),
    [
        (
            {"tensor": {"value": "2 um^2/s", "volume_fraction": 0.5}},
            "dispersion",
            r"species\.u.*velocity = 'effective'",
        ),
        ({}, "dispersion", r"species\.u.*velocity = 'effective'"),
        ({"tensor": {"phase": "matrix"}}, "diffusion", r"effective\.physics = 'diffusion'.*'dispersion' for"),
    ],
)
def test_a_velocity_that_no_tensor_has_is_refused(species, physics, message):
    document = PORES | {"macro": tables(species={"u": {**species, "velocity": "effective"}})["macro"]}
    if physics == "diffusion":
        document["effective"] = {"physics": physics, "phases": {"matrix": "2 um^2/s"}}
    with pytest.raises(InputError, match=message):
        make_config(document)


def test_a_velocity_of_the_tensor_is_refused_among_fibres():
    document = PORES | {
        "macro": tables(species={"u": {"tensor": {"phase": "matrix"}, "velocity": "effective"}})["macro"]
    }
    document["macro"]["fibres"] = {"direction": [1, 0]}
    with pytest.raises(InputError, match=r"macro\.species\.u\.velocity = 'effective'.*fibres"):
        runs.macro(document)


def tables(**changes):
    """A square of two species, with keys of [macro] in place of its own or absent (None)."""
    document = {
        "model": "reaction-diffusion",
        "domain": {"shape": "box", "size": ["4 um", "2 um"], "resolution": "0.5 um"},
        "species": {
            "u": {"tensor": {"value": "2 um^2/s", "volume_fraction": 0.5}, "initial": 1.0},
            "v": {"initial": 0.5},
        },
        "time": {"end": "1 s", "step": "50 ms"},
    }
    for path, value in changes.items():
        place, *keys = path.split("__")
        at, last = document, place
        for key in keys:
            at, last = at.setdefault(last, {}), key
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return {"macro": copy.deepcopy(document)}


def run(folder, **changes):
    return runs.macro(tables(**changes), folder=folder)


def test_a_front_gives_what_the_contract_says(homfem, tmp_path):
    (tmp_path / "front.toml").write_text(FRONT)
    status, out, err = homfem("run", tmp_path / "front.toml", "--json", tmp_path / "o.json")
    assert status == 0, err
    assert "conserved: u, 2000 um at the start" in out
    report = json.loads((tmp_path / "o.json").read_text())
    assert set(report) >= CONTRACT
    assert report["config"] == tomllib.loads(FRONT)
    assert report["times"] == pytest.approx(np.linspace(0.0, 0.1, 301))  # in minutes, as the end
    assert report["times"][-1] == report["end"] == 0.1
    assert report["dofs"] == 161
    assert report["ranks"] == 1
    (kept,) = report["conserved"]
    assert kept["name"] == "u"
    assert kept["start"] == pytest.approx(2000.0, rel=1e-12)  # um
    assert kept["drift"] < 1e-12
    assert set(report["seconds"]) == {"setup", "reaction", "transport", "output", "total"}
    near, far = (report["probes"][name] for name in ("near", "far"))
    assert set(near) == {"u", "activation"}
    assert len(near["u"]) == 301
    assert near["u"][-1] == pytest.approx(1.0, abs=1e-3)
    speed = 4.0 / (60.0 * (far["activation"] - near["activation"]))  # mm/s
    assert speed == pytest.approx(nagumo_speed(1.0, 8.0, 0.1), rel=0.01)
    assert (tmp_path / "front" / "activation.xdmf").exists()
    assert (tmp_path / "front" / "probes.csv").read_text().startswith("time (s),near: u,far: u\n")
    status, _, err = homfem("run", tmp_path / "front.toml", "--resume", "--set", "macro.time.end=0.11 min")
    assert (status, err.count("resumed")) == (0, err.count("resumed"))


def test_named_reactions_and_written_rates_are_the_same(tmp_path):
    named = {"name": "fisher", "rate": "2 1/s", "capacity": 3.0, "species": "u"}
    written = [
        {"rates": {"u": "2*u*(1 - u/3)"}},
        {"rates": ["2*u*(1 - u/3)", 0]},
        {"rates": {"u": "r*u*(1 - u/K)"}, "parameters": {"r": "120 1/min", "K": 3}},
    ]
    found = [run(tmp_path, reaction=table).result.fields["u"].x.array for table in (named, *written)]
    # phi = 0.5, no gradient: phi u' = 2 u (1 - u/3)
    exact = 3.0 / (1.0 + 2.0 * math.exp(-4.0))
    for values in found:
        assert values == pytest.approx(exact, rel=1e-3)
        assert values == pytest.approx(found[0], rel=1e-12)


def test_parameters_by_region_and_coordinates(tmp_path):
    """x is in um, the region that of a file's group."""
    u = run(tmp_path, reaction={"rates": {"v": "-k*x*v"}, "parameters": {"k": "0.5 1/(um s)"}}).result.fields["v"]
    x = u.function_space.tabulate_dof_coordinates()[:, 0]
    assert u.x.array == pytest.approx(0.5 * np.exp(-0.5 * x), rel=5e-3)


def test_species_with_units(tmp_path):
    """uM from the start, a threshold in nM, a flux and a source in mixed units, Michaelis-Menten."""
    changes = {
        "species__u__initial": "500 nM",
        "species__u__boundary": {"left": {"flux": "3 uM*mm/min"}, "right": {"transfer": "2 um/s", "outside": "0.1 uM"}},
        "species__v__unit": "uM",
        "species__v__initial": {"type": "ball", "centre": ["1 um", "1 um"], "radius": "0.6 um", "value": "2 mM"},
        "stimulus": [
            {"type": "box", "min": ["0 um", "0 um"], "max": ["1 um", "1 um"], "amplitude": "6 nM/ms", "species": "v"},
            {"type": "ball", "centre": ["2 um", "1 um"], "radius": "1 um", "amplitude": "0 uM/s", "duration": "1 s"},
        ],
        "reaction": {"name": "michaelis-menten", "species": ["u"], "maximum": "1.2 uM/s", "half": "0.2 uM"},
        "output": {"threshold": "0.6 uM", "folder": "units"},
        "probes": [{"name": "p", "at": ["0.1 um", "1 um"]}],
    }
    report = run(tmp_path, **changes).report()
    assert report["units"] == {"time": "s", "u": "nM", "v": "uM"}
    u, v = report["conserved"]
    assert (u["unit"], u["start"]) == ("nM um^2", pytest.approx(0.5 * 500.0 * 8.0))
    assert v["start"] == pytest.approx(2000.0 * math.pi * 0.36, rel=5e-3)  # the ball is cut by few cells
    assert max(u["drift"], v["drift"]) < 1e-12
    assert report["total"]["v"][-1] - v["start"] == pytest.approx(6.0 * 1.0 * 1.0, rel=1e-9)
    assert report["probes"]["p"]["u"][0] == pytest.approx(500.0)
    assert 0.0 < report["probes"]["p"]["activation"] < 0.1  # 50 uM um/s come in there


def test_boundaries_have_schedules(tmp_path):
    """A flux of 2 um/s for 0.3 s in pulses; a value that is there for half of the time."""
    left = {"flux": "2 um/s", "start": "0.1 s", "duration": "0.15 s", "period": "0.3 s", "pulses": 2}
    report = run(
        tmp_path, species__u__boundary={"left": left, "top": "no-flux"}, time__scheme="crank-nicolson"
    ).report()
    assert report["total"]["u"][-1] - report["total"]["u"][0] == pytest.approx(2.0 * 2.0 * 0.3, rel=1e-9)
    right = {"value": 3.0, "duration": "0.5 s"}
    u = run(tmp_path, species__u__boundary={"right": right}, time__splitting="godunov").result.fields["u"]
    x = u.function_space.tabulate_dof_coordinates()[:, 0]
    assert np.all(u.x.array[x > 4.0 - 1e-9] == 0.0)
    assert u.x.array[np.argmin(x)] > 1.0


def test_tensors_by_region_by_file_and_of_the_cell(tmp_path):
    tensor = EffectiveTensor.measured("u", np.diag([4.0, 1.0]), volume_fraction=0.25, unit="um^2/s", dimension=2)
    tensor.to_json(tmp_path / "u.json")
    report = run(tmp_path, species__u__tensor="u.json", species__v__tensor={"*": {"file": "u.json"}}).report()
    assert report["conserved"][0]["start"] == pytest.approx(0.25 * 8.0)
    assert report["conserved"][1]["start"] == pytest.approx(0.25 * 0.5 * 8.0)
    assert report["tensors"]["u"]["value"] == [[4.0, 0.0], [0.0, 1.0]]
    document = tables(species__u__tensor={"phase": "layer1"}) | {
        "cell": {"shape": "laminate", "fractions": [0.25, 0.75], "period": "1 um", "resolution": 0.25, "axis": "y"},
        "effective": {"physics": "diffusion", "phases": {"layer1": "8 um^2/s", "layer2": "1 um^2/s"}},
    }
    with pytest.raises(InputError):  # nothing goes across layers that are apart
        runs.macro(document, folder=tmp_path)
    document["cell"] = {"shape": "fibre-array", "fraction": 0.4, "resolution": 0.2, "period": "1 um"}
    document["effective"]["phases"] = {"matrix": "8 um^2/s"}
    document["macro"]["species"]["u"]["tensor"] = {"phase": "matrix"}
    report = runs.macro(document, folder=tmp_path).report()
    assert report["conserved"][0]["start"] == pytest.approx(0.6 * 8.0, rel=1e-2)


def test_quadratic_elements_and_fibres(tmp_path):
    tensor = {"value": [["4 um^2/s", "0 um^2/s"], ["0 um^2/s", "1e-9 um^2/s"]], "volume_fraction": 1.0}
    start = {"type": "box", "min": ["0 um", "0 um"], "max": ["4 um", "1 um"], "value": 1.0, "outside": 0.25}
    made = run(
        tmp_path, degree=2, species__u__tensor=tensor, species__u__initial=start, fibres={"direction": [0, 1]}
    ).result
    u = made.fields["u"]
    assert u.function_space.ufl_element().degree == 2
    assert np.ptp(u.x.array) < 0.02  # it has spread along y
    x = run(tmp_path, species__u__tensor=tensor, species__u__initial=start).result.fields["u"].x.array
    assert np.ptp(x) == pytest.approx(0.75, abs=0.01)  # along x there was nothing to spread


def test_what_flows_is_carried_along(tmp_path):
    """A velocity, and the same one by Darcy's law from pressures; what comes in at one end leaves at the other."""
    ends = {"left": {"value": 2.0}, "right": "outflow"}
    given = {"species__u__boundary": ends, "species__u__initial": 2.0, "time__end": "2 s"}
    plain = run(tmp_path, species__u__velocity=["60 um/min", "0 mm/s"], **given)
    darcy = {
        "permeability": {"value": "0.5 um^2"},
        "viscosity": "2 mPa*s",
        "pressures": {"left": "17 mPa", "right": "1e-3 Pa"},  # 0.5 um^2 / 2 mPa s * 16 mPa / 4 um = 1 um/s
    }
    other = run(tmp_path, species__u__velocity="darcy", darcy=darcy, **given)
    for made in (plain, other):
        assert made.result.fields["u"].x.array == pytest.approx(2.0, abs=1e-10)
        assert all(entry["drift"] < 1e-12 for entry in made.report()["conserved"])
    given["species__u__initial"] = {"type": "box", "min": ["0 um", "0 um"], "max": ["1 um", "2 um"], "value": 1.0}
    found = [
        run(tmp_path, species__u__velocity=velocity, darcy=table, stabilization=word, **given)
        .result.fields["u"]
        .x.array
        for velocity, table, word in (
            (["1 um/s", "0 um/s"], None, "none"),
            ("darcy", darcy, "none"),
            ({"*": ["1 um/s", "0 um/s"]}, None, "supg"),
        )
    ]
    assert found[1] == pytest.approx(found[0], abs=1e-9)
    assert found[2] == pytest.approx(found[0], abs=0.2)
    assert np.abs(found[2] - found[0]).max() > 1e-4


def test_positivity(tmp_path):
    """A spot in an anisotropic tensor: negative without, not with the key."""
    tensor = {"value": [["1 um^2/s", "0.9 um^2/s"], ["0.9 um^2/s", "1 um^2/s"]], "volume_fraction": 1.0}
    spot = {"type": "ball", "centre": ["2 um", "1 um"], "radius": "0.4 um", "value": 1.0}
    least = [
        min(
            run(
                tmp_path, positivity=keep, species__u__tensor=tensor, species__u__initial=spot, time__step="10 ms"
            ).report()["minimum"]["u"]
        )
        for keep in (False, True)
    ]
    assert least[0] < -1e-3
    assert least[1] == 0.0


def test_a_state_at_rest(homfem, tmp_path):
    """-2 u'' = -u^2 - 1 ... of a config: one time, the probes of it, a balance; the same as after a long run."""
    given = {
        "species__u__boundary": {"left": {"value": 2.0}},
        "species__u__initial": 2.0,
        "species__v": None,
        "reaction": {"rates": {"u": "-0.3*u^2"}},
        "probes": [{"name": "p", "at": ["4 um", "1 um"]}],
    }
    report = run(tmp_path, steady=True, time=None, **given).report()
    assert set(report) >= CONTRACT
    assert report["times"] == [0.0]
    assert len(report["probes"]["p"]["u"]) == 1
    assert report["conserved"][0]["drift"] < 1e-12
    assert (tmp_path / "output" / "fields.xdmf").exists()
    late = run(tmp_path, time={"end": "60 s", "step": "3 s", "splitting": "implicit"}, **given)
    assert late.report()["probes"]["p"]["u"][-1] == pytest.approx(report["probes"]["p"]["u"][0], rel=1e-8)
    assert 0.5 < report["probes"]["p"]["u"][0] < 1.5


WRONG = [
    ({"species": None}, r"macro\.species = \(missing\).*macro\.species\.NAME"),
    ({"species": {}}, r"macro\.species = \{\}.*by its name"),
    ({"species__x": {}}, r"macro\.species = 'x'"),
    ({"species__u__tensr": 1}, r"macro\.species\.u\.tensr = 1.*mean 'macro\.species\.u\.tensor'"),
    ({"species__u__tensor": "2 um^2/s"}, r"macro\.species\.u\.tensor = '2 um\^2/s'.*volume_fraction"),
    ({"species__u__tensor": {"value": 2.0, "volume_fraction": 1.0}}, r"macro\.species\.u\.tensor\.value = 2\.0.*unit"),
    ({"species__u__tensor": {"value": "2 um^2/s"}}, r"macro\.species\.u\.tensor\.volume_fraction = \(missing\)"),
    ({"species__u__tensor": {"file": "no.json"}}, r"macro\.species\.u\.tensor\.file = 'no\.json'.*exists"),
    ({"species__u__tensor": {"phase": "er"}}, r"macro\.species\.u\.tensor = \(missing\).*\[cell\]"),
    ({"species__u__tensor": {"here": "no.json"}}, r"macro\.species\.u\.tensor\.here\.file = 'no\.json'"),
    ({"species__u__initial": "1 uM", "species__u__unit": "s"}, r"macro\.species\.u\.initial = '1 uM'"),
    ({"species__u__initial": 1.0, "species__u__unit": "uM"}, r"macro\.species\.u\.initial = 1\.0.*unit"),
    ({"species__u__initial": True}, r"macro\.species\.u\.initial = True"),
    ({"species__u__unit": "blub"}, r"macro\.species\.u\.unit = '1 blub'"),
    (
        {"species__u__initial": {"type": "box", "min": ["0 um"], "max": ["1 um"], "value": 1.0}},
        r"initial\.min = \['0 um'\].*2 lengths",
    ),
    (
        {"species__u__initial": {"type": "ball", "centre": ["0 um", "0 um"], "radius": "1 um"}},
        r"u\.initial\.value = \(missing\)",
    ),
    (
        {"species__u__initial": {"radius": "1 um", "centre": ["9 um", "0 um"], "value": 1.0}},
        r"macro\.species\.u\.initial\.radius",
    ),
    ({"species__u__velocity": ["1 um/s"]}, r"macro\.species\.u\.velocity = \['1 um/s'\].*2 speeds"),
    ({"species__u__velocity": [1.0, 0.0]}, r"macro\.species\.u\.velocity\[0\] = 1\.0.*unit"),
    ({"species__u__velocity": "darcy"}, r"macro\.darcy = \(missing\)"),
    ({"species__u__velocity": {"here": ["1 um/s", "0 um/s"]}}, r"macro\.species\.u\.velocity = 'here'"),
    ({"species__u__boundary": {"lft": {"value": 1.0}}}, r"macro\.species\.u\.boundary = 'lft'.*Did you mean 'left'"),
    ({"species__u__boundary": {"left": {}}}, r"macro\.species\.u\.boundary\.left = \(missing\).*exactly one"),
    ({"species__u__boundary": {"left": {"value": 1.0, "flux": "1 um/s"}}}, r"boundary\.left = \['value', 'flux'\]"),
    ({"species__u__boundary": {"left": {"flux": 1.0}}}, r"macro\.species\.u\.boundary\.left\.flux = 1\.0.*unit"),
    ({"species__u__boundary": {"left": {"value": "1 uM"}}}, r"macro\.species\.u\.boundary\.left\.value = '1 uM'"),
    ({"species__u__boundary": {"left": {"transfer": "0 um/s"}}}, r"boundary\.left\.transfer = '0 um/s'.*> 0"),
    ({"species__u__boundary": {"left": {"value": 1.0, "outside": 1.0}}}, r"boundary\.left\.outside = 1\.0.*transfer"),
    ({"species__u__boundary": {"left": {"transfer": "1 um/s", "start": "1 s"}}}, r"boundary\.left\.start = '1 s'"),
    ({"species__u__boundary": {"left": "outflow"}}, r"macro\.species\.u\.boundary\.left = 'outflow'.*velocity"),
    ({"species__u__boundary": {"left": "open"}}, r"macro\.species\.u\.boundary\.left\.type = 'open'.*'no-flux'"),
    ({"reaction": {}}, r"macro\.reaction\.name = \(missing\).*rates"),
    (
        {"reaction": {"name": "fischer", "rate": "1 1/s"}},
        r"macro\.reaction\.name = 'fischer'.*Did you mean 'fisher'",
    ),
    ({"reaction": {"name": "fisher", "species": "u"}}, r"macro\.reaction\.rate = \(missing\).*growth"),
    ({"reaction": {"name": "fisher", "species": "u", "rate": 1.0}}, r"macro\.reaction\.rate = 1\.0.*unit"),
    ({"reaction": {"name": "fisher", "species": "u", "rate": "1 um"}}, r"macro\.reaction\.rate = '1 um'"),
    ({"reaction": {"name": "fisher", "species": "w", "rate": "1 1/s"}}, r"macro\.reaction\.species = 'w'.*u, v"),
    ({"reaction": {"name": "fisher", "rate": "1 1/s"}}, r"macro\.reaction\.species = \(missing\).*list of 1 of u, v"),
    (
        {"reaction": {"name": "fisher", "species": "u", "rate": "1 1/s", "threshold": 0.1}},
        r"macro\.reaction\.threshold = 0\.1.*absent for fisher, which has rate, capacity",
    ),
    ({"reaction": {"name": "fisher", "rates": {"u": "1"}}}, r"macro\.reaction\.name = 'fisher'"),
    ({"reaction": {"rates": {"w": "1"}}}, r"macro\.reaction\.rates = 'w'.*'u', 'v'"),
    ({"reaction": {"rates": {"u": "1 +"}}}, r"macro\.reaction\.rates\.u"),
    ({"reaction": {"rates": {"u": "__import__('os')"}}}, r"macro\.reaction\.rates\.u"),
    ({"reaction": {"rates": ["1"]}}, r"macro\.reaction\.rates = \['1'\].*2 expressions"),
    ({"reaction": {"rates": {"u": "k*u"}, "parameters": {"k": "1 um"}}}, r"macro\.reaction\.rates\.u"),
    ({"reaction": {"rates": {"u": "k*u"}, "parameters": {"k": {"here": 1.0}}}}, r"'here'"),
    ({"stimulus": {"centre": ["0 um", "0 um"], "radius": "1 um"}}, r"macro\.stimulus\.amplitude = \(missing\)"),
    (
        {"stimulus": {"centre": ["0 um", "0 um"], "radius": "1 um", "amplitude": 1.0}},
        r"macro\.stimulus\.amplitude = 1\.0.*unit",
    ),
    (
        {"stimulus": {"centre": ["0 um", "0 um"], "radius": "1 um", "amplitude": "1 1/s", "species": "w"}},
        r"macro\.stimulus\.species = 'w'",
    ),
    ({"stimulus": {"centre": ["9 um", "0 um"], "radius": "1 um", "amplitude": "1 1/s"}}, r"macro\.stimulus\.radius"),
    ({"output": {"threshold": "1 uM"}}, r"macro\.output\.threshold = '1 uM'"),
    ({"output": {"threshold": 1.0, "threshold_field": "w"}}, r"macro\.output\.threshold_field = 'w'.*'u', 'v'"),
    ({"output": {"threshold_field": "u"}}, r"macro\.output\.threshold_field = 'u'.*threshold"),
    ({"time__scheme": "euler"}, r"macro\.time\.scheme = 'euler'"),
    ({"degree": 3}, r"macro\.degree = 3"),
    ({"steady": True}, r"macro\.time = 'given'.*absent with steady"),
    ({"time": None}, r"macro\.time = \(missing\).*steady = true"),
    ({"steady": True, "time": None, "output": {"every": "1 s"}}, r"macro\.output\.every = '1 s'.*at rest"),
    ({"steady": True, "time": None}, r"macro\.species\.u\.conditions = \[\].*at rest"),
    ({"positivity": True, "degree": 2}, r"macro\.degree = 2.*1 with positivity"),
    ({"positivity": True, "stabilization": "supg"}, r"macro\.positivity = True.*'supg'"),
    ({"positivity": True, "species__u__initial": -1.0}, r"macro\.species\.u\.initial = -1\.0"),
    ({"steady": 1}, r"macro\.steady = 1.*true or false"),
    ({"stabilization": "upwind"}, r"macro\.stabilization = 'upwind'"),
    (
        {"darcy": {"permeability": {"value": "1 um^2"}, "viscosity": "1 mPa*s", "pressures": {"left": "1 Pa"}}},
        r"macro\.darcy = 'given'.*velocity",
    ),
    ({"output": {"folder": "a"}, "probes": [{"name": "p", "at": ["9 um", "0 um"]}]}, r"macro\.probes\[0\]\.at"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_is_wrong_is_refused_under_its_key(tmp_path, changes, message):
    with pytest.raises(InputError, match=rf"^{message}" if message.startswith("macro") else message):
        run(tmp_path, **changes)


def test_a_wrong_key_of_the_front_is_status_2(homfem, tmp_path):
    (tmp_path / "front.toml").write_text(FRONT)
    status, _, err = homfem("run", tmp_path / "front.toml", "--set", "macro.reaction.treshold=0.1")
    assert status == 2
    assert "macro.reaction.treshold" in err
    assert "macro.reaction.threshold" in err
    assert not (tmp_path / "front").exists()


def test_a_config_is_checked_without_dolfinx(tmp_path):
    config = make_config(tomllib.loads(FRONT), folder=tmp_path)
    assert config.macro.units == {"u": ""}
