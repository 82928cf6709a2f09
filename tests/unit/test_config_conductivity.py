"""Conductivity from a config: the numbers of diffusion in the units of electricity, by every method and shape."""

from __future__ import annotations

import json

import numpy as np
import pytest

from homfem import bounds, cli
from homfem.cli import session
from homfem.config import load_config
from homfem.parameters import UnitError
from homfem.tensors import EffectiveTensor

LAMINATE = """
[cell]
shape = "laminate"
fractions = [0.25, 0.75]
axis = "x"
dimension = 2
resolution = 0.25
period = "20 um"
[effective]
physics = "conductivity"
[effective.phases]
layer1 = "0.4 S/m"
layer2 = "2 mS/cm"
"""
BLOCKS = """
[cell]
shape = "blocks"
layout = ["LDD", "LLD"]
[effective]
physics = "conductivity"
[effective.phases]
L = "1 S/m"
D = "100 mS/m"
"""
IMAGE = """
[cell]
shape = "image"
file = "square.npy"
labels = { pore = 0, solid = 1 }
voxel = "1 um"
[effective]
physics = "conductivity"
method = "grid"
[effective.phases]
pore = { field = { file = "field.npy", unit = "mS/cm" } }
solid = [["5 S/m", "0.01 S/cm"], ["1 S/m", "4 S/m"]]
"""
MEMBRANE = '[effective.membranes]\n"layer1|layer2" = "{}"\n'
# Two membranes of 25 mS/mm^2 in each period of 20 um; what the layers resist is 0.25 / 0.4 + 0.75 / 0.2 in ohm m.
ACROSS = 1.0 / (0.25 / 0.4 + 0.75 / 0.2 + 2.0 / (2.5e4 * 20e-6))
ALONG = 0.25 * 0.4 + 0.75 * 0.2


@pytest.fixture
def result(monkeypatch, capsys, tmp_path):
    """Compute the tensor of a config in this process; give what it writes to standard output as JSON."""
    for name in session._LAUNCHERS:
        monkeypatch.delenv(name, raising=False)

    def run(text, *arguments):
        (tmp_path / "config.toml").write_text(text)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main(["effective", str(tmp_path / "config.toml"), "--json", "-", *arguments])
        assert end.value.code == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("conductance", ["25 mS/mm^2", "2.5 S/cm^2", "25000 S/m^2"])
def test_a_laminate_with_membranes(result, conductance):
    found = result(LAMINATE + MEMBRANE.format(conductance))
    assert (found["physics"], found["unit"], found["length_unit"]) == ("conductivity", "S/m", "um")
    assert np.array(found["value"]) == pytest.approx(np.diag([ACROSS, ALONG]), rel=1e-7, abs=1e-9)
    assert np.all(np.linalg.eigvalsh(np.array(found["upper"]) - np.array(found["lower"])) >= 0.0)
    assert found["membranes"] == {"layer1|layer2": pytest.approx(0.025)}  # S/m per um
    tensor = EffectiveTensor.from_json(json.dumps(found))
    assert "conductivity, layer1, layer2" in str(tensor)
    assert "membranes: layer1|layer2 0.025 S/m/um" in str(tensor)


def test_heat_with_kapitza_resistances(result):
    """The same laminate: S/m read as W/(m K), and interfaces that resist."""
    units = {"S/m": "W/m/K", "mS/cm": "mW/cm/K", "conductivity": "heat-conduction"}
    text = LAMINATE + MEMBRANE.format("25 mW/mm^2/K")
    for unit, other in units.items():
        text = text.replace(unit, other)
    found = result(text)
    assert (found["physics"], found["kind"], found["unit"]) == ("heat-conduction", "thermal conductivity", "W/m/K")
    assert np.array(found["value"]) == pytest.approx(np.diag([ACROSS, ALONG]), rel=1e-7, abs=1e-9)
    tensor = EffectiveTensor.from_json(json.dumps(found))
    assert tensor.to("W/(cm*K)").value == pytest.approx(0.01 * np.array(found["value"]), rel=1e-12)
    assert bounds.table(tensor, {"layer1": 0.4, "layer2": 0.2}).physics == "heat-conduction"


def as_diffusion(text):
    """The same config in m^2/s, with the same numbers."""
    units = {"mS/cm": "dm*m/s", "mS/m": "m*mm/s", "S/cm": "m*hm/s", "S/m": "m^2/s", "conductivity": "diffusion"}
    for unit, other in units.items():
        text = text.replace(unit, other)
    return text


@pytest.mark.parametrize("method", ["semi-analytical", "finite-volume", "corner-galerkin", "finite-element"])
def test_every_method_of_blocks(result, method):
    options = ["--set", f"effective.method={method}"]
    found = result(BLOCKS, *options)
    other = result(as_diffusion(BLOCKS), *options)
    assert (found["physics"], found["unit"], found["method"]) == ("conductivity", "S/m", method)
    assert other["physics"] == "diffusion"
    for name in ("value", "lower", "upper"):
        assert found[name] == (None if other[name] is None else pytest.approx(np.array(other[name]), rel=1e-12))


@pytest.mark.parametrize("method", ["grid", "finite-element"])
def test_images_with_fields_and_matrices(result, tmp_path, method):
    np.save(tmp_path / "square.npy", np.pad(np.ones((2, 2)), 1))
    np.save(tmp_path / "field.npy", np.random.default_rng(5).uniform(10.0, 30.0, (4, 4)))
    options = ["--set", f"effective.method={method}"]
    found = result(IMAGE, *options)
    other = result(as_diffusion(IMAGE), *options)
    assert other["unit"] == "dm*m/s"
    assert (found["physics"], found["unit"]) == ("conductivity", "S/m")
    assert np.array(found["value"]) == pytest.approx(0.1 * np.array(other["value"]), rel=1e-12)
    assert found["value"][0][1] != 0.0


@pytest.mark.parametrize("boundary", ["affine", "flux", "mixed"])
def test_windows(result, boundary):
    found = result(LAMINATE, "--set", f"effective.boundary={boundary}")
    across = 1.0 / (0.25 / 0.4 + 0.75 / 0.2)
    # The field of uniform flux, and of mirrors, is that of the layers; an affine one costs more.
    exact = pytest.approx(across, rel=1e-6)
    assert found["value"][0][0] > 1.01 * across if boundary == "affine" else found["value"][0][0] == exact
    assert (found["boundary"], found["physics"], found["unit"]) == (boundary, "conductivity", "S/m")


def test_a_tolerance(result):
    text = LAMINATE.replace("[effective.phases]", "tolerance = 1e-3\n[effective.phases]")
    found = result(text)
    assert found["relative_gap"] <= 1e-3
    assert np.array(found["value"]) == pytest.approx(np.diag([1.0 / (0.25 / 0.4 + 0.75 / 0.2), ALONG]), abs=1e-6)


def test_the_bounds_of_a_conductivity(result):
    found = EffectiveTensor.from_json(json.dumps(result(LAMINATE)))
    beside = bounds.table(found, {"layer1": 0.4, "layer2": 0.2})
    assert beside.inside
    assert str(beside).startswith("bounds of conductivity in S/m")
    assert not bounds.table(found, {"layer1": 0.4, "layer2": 0.3}).inside


@pytest.mark.parametrize(
    ("assignment", "fragments"),
    [
        ("effective.phases.layer1='1 um^2/s'", ["effective.phases.layer1", "[length] ** 2 / [time]", "S/m"]),
        ("effective.phases.layer1='1 S'", ["effective.phases.layer1", "a conductivity"]),
        ("effective.phases.layer1=0.4", ["effective.phases.layer1 = 0.4", "no unit"]),
        ("effective.membranes={'layer1|layer2'='1 S/m'}", ["effective.membranes.layer1|layer2", "S/m^2"]),
        ("effective.membranes={'layer1|layer2'='1 m/s'}", ["effective.membranes.layer1|layer2", "S/m^2"]),
        ("effective.membranes={}", ["effective.membranes = {}", "a conductance per area"]),
        ("effective.physics=diffusion", ["effective.phases.layer1", "a diffusivity"]),
    ],
)
def test_other_units_are_refused(tmp_path, assignment, fragments):
    (tmp_path / "config.toml").write_text(LAMINATE)
    with pytest.raises(UnitError if "={}" not in assignment else ValueError) as caught:
        load_config(tmp_path / "config.toml", assignments=[assignment])
    for fragment in fragments:
        assert fragment in str(caught.value)
