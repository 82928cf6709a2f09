"""Dispersion from a config: the library's numbers in its units, one result or several, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from homfem import runs
from homfem.cells import fibre_array, slit
from homfem.certify.dispersion import (
    Flow,
    GivenFlow,
    StokesFlow,
    StreamFunction,
    homogenize_dispersion,
    solve_dispersion,
)
from homfem.parameters import InputError, PercolationError
from homfem.tensors import EffectiveTensor

FIBRES = {"shape": "fibre-array", "fraction": 0.3, "resolution": 0.2, "period": "10 um"}
SLIT = {"shape": "slit", "aperture": 0.5, "axis": "y", "resolution": 0.25, "period": "10 um"}
LAYERS = {
    "shape": "laminate",
    "fractions": [0.5, 0.5],
    "axis": "y",
    "dimension": 2,
    "resolution": 0.125,
    "period": "2 um",
}


def config(cell, phases, **keys):
    return {"cell": cell, "effective": {"physics": "dispersion", "phases": phases} | keys}


def test_several_peclet_numbers_are_several_results_in_the_units_of_the_config():
    document = config(FIBRES, {"matrix": "1 cm^2/day"}, peclet=[1, 10], direction=[1, 1], sorption_length="500 nm")
    run = runs.tensor(document)
    report = json.loads(json.dumps(run.report()))
    assert report["physics"] == "dispersion"
    assert [one["peclet"] for one in report["results"]] == [1.0, 10.0]
    cell = fibre_array(fraction=0.3, resolution=0.2)
    flow = StokesFlow(direction=[1.0, 1.0])
    plain = homogenize_dispersion(cell, {"matrix": 1.0}, flow=flow, peclet=[1, 10], sorption_length=0.05)
    for one, other in zip(report["results"], plain, strict=True):
        np.testing.assert_allclose(one["value"], other.value, rtol=1e-8)
        assert (one["unit"], one["averaged_over"]) == ("cm^2/day", "active")
        speed = 1e8 / 86400.0 / 10.0  # cm^2/day over 10 um in um/s
        np.testing.assert_allclose(one["velocity"], speed * other.coefficients["velocity"].value, rtol=1e-8)
        assert one["retardation"] == pytest.approx(other.retardation, rel=1e-12)
        assert one["conventions"]["peclet_length"] == "the shortest period, 10 um"
        assert EffectiveTensor.from_dict(one).coefficients["flux_form"].unit == "cm^2/day"
    assert str(run).count("dispersion tensor") == 2
    # What is said of all of them stands once, at the end; what is said of one, with its number.
    assert str(run).count("the shortest period, 10 um") == 2
    assert (
        str(run).rpartition("all 2:")[2].count("  regime: v = O(1/eps)") == str(run).count("regime: v = O(1/eps)") == 1
    )
    assert report["results"][0]["seconds"]["flow"] > 0.0
    single = runs.tensor(config(FIBRES, {"matrix": "1 cm^2/day"}, peclet=10)).report()
    assert single["peclet"] == 10.0
    assert "results" not in single


def test_a_flow_that_is_given():
    """Couette by a velocity, D (1 + Pe^2/30), and a shear flow by its stream function."""
    parameters = {"U": "3 um/s", "a": "5 um", "b": "2.5 um"}
    velocity = {"expression": ["2*U*(y - b)/a", "0*U"], "parameters": parameters}
    moved = config(SLIT, {"pore": "2 um^2/s"}, velocity=velocity, degree=3)
    report = runs.tensor(moved).report()
    assert report["value"][0][0] == pytest.approx(2.0 * (1.0 + (3.0 * 5.0 / 2.0) ** 2 / 30.0), rel=1e-6)
    assert report["velocity"] == pytest.approx([3.0, 0.0], abs=1e-9)
    assert report["peclet"] == pytest.approx(3.0 * 10.0 / 2.0)
    text = {
        "expression": "-P*L/(2*pi)*cos(2*pi*y/L)",
        "parameters": {"P": "30 um/min", "L": "2 um"},
    }
    both = {"layer1": "100 nm^2/ms", "layer2": "0.1 um^2/s"}
    stream = config(LAYERS, both, fluid=["layer1", "layer2"], stream_function=text, mean_velocity=["0 um/s", "1 um/s"])
    found = runs.tensor(stream).tensor
    # D (1 + P^2/(2 (4 pi^2 + W^2))) with P and W times L/D
    exact = 1.0 + (0.5 * 20.0) ** 2 / (2.0 * (4.0 * np.pi**2 + 20.0**2))
    assert found.to("um^2/s").value[0, 0] / 0.1 == pytest.approx(exact, rel=1e-3)
    assert "the size of the mean velocity" in found.conventions["peclet_speed"]


def test_a_velocity_without_a_mean_says_how_its_size_is_measured():
    flow = StreamFunction(function=lambda x: np.sin(2.0 * np.pi * x[1]) / (2.0 * np.pi), fluid="pore")
    cell = slit(0.5, axis="y", resolution=0.25, dimension=2)
    still = StreamFunction(function=lambda x: np.cos(4.0 * np.pi * x[1]) / (4.0 * np.pi))
    for one, word in ((still, "root mean square"), (flow, "mean velocity")):
        found = homogenize_dispersion(cell, {"pore": 1.0}, flow=one, peclet=3.0)
        assert word in found.conventions["peclet_speed"]
    nothing = GivenFlow(velocity=lambda x: 0.0 * x)
    assert homogenize_dispersion(cell, {"pore": 1.0}, flow=nothing).value[0, 0] == pytest.approx(1.0)
    with pytest.raises(InputError, match=r"peclet.*None for a flow that is nowhere"):
        homogenize_dispersion(cell, {"pore": 1.0}, flow=nothing, peclet=1.0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"peclet": -1.0}, r"effective\.peclet = -1.*>= 0"),
        ({"peclet": [1.0, float("nan")]}, r"effective\.peclet\[1\] = nan"),
        ({"peclet": 1e300}, r"effective\.peclet = 1e\+300.*<= 1e\+09\. No mesh resolves"),
        ({"peclet": []}, r"effective\.peclet = \[\]"),
        ({}, r"effective\.peclet = \(missing\)"),
        ({"peclet": 1.0, "direction": [0, 0]}, r"effective\.direction = "),
        ({"peclet": 1.0, "direction": [1, 0, 0]}, r"effective\.direction = .*2 numbers"),
        ({"peclet": 1.0, "fluid": "fibre"}, r"effective\.fluid = 'fibre'.*'matrix'"),
        ({"peclet": 1.0, "partition": {"matrix": 2.0}}, r"effective\.partition\.matrix = 2.*1 in the fluid"),
        ({"peclet": 1.0, "partition": {"matrix": -2.0}}, r"effective\.partition\.matrix = -2"),
        ({"peclet": 1.0, "sorption_length": "-1 um"}, r"effective\.sorption_length"),
        (
            {"peclet": 1.0, "sorption_length": "1 um", "phases": {"matrix": "1 um^2/s", "fibre": "1 um^2/s"}}
            | {"fluid": "matrix"},
            r"effective\.sorption_length = '1 um': .*every phase carries: there is no wall",
        ),
        (
            {"peclet": 1.0, "wall_rate": "2 mm/s", "phases": {"matrix": "1 um^2/s", "fibre": "1 um^2/s"}}
            | {"fluid": "matrix"},
            r"effective\.wall_rate = '2 mm/s': .*every phase carries: there is no wall",
        ),
        (
            {"peclet": 1.0, "wall_rate": "infinite", "phases": {"matrix": "1 um^2/s", "fibre": "1 um^2/s"}}
            | {"fluid": "matrix"},
            r"effective\.wall_rate = 'infinite': .*every phase carries: there is no wall",
        ),
        (
            {"stream_function": {"expression": "U*cos(2*pi*y/L)", "parameters": {"U": "1 um^2/s", "L": 10.0}}},
            r"effective\.stream_function\.expression = .*a unit .*\. Here U = '1 um\^2/s', L = 10\.0 \(no unit\)\.",
        ),
        ({"peclet": 1.0, "mean_velocity": ["1 um/s", "0 um/s"]}, r"effective\.mean_velocity"),
        ({"velocity": {"expression": ["1", "0"]}, "direction": [1, 0]}, r"effective\.direction .*velocity"),
        ({"velocity": {"expression": ["1"]}}, r"effective\.velocity\.expression = .*2 expressions"),
        ({"velocity": {"expression": ["x", "0*x"]}}, r"effective\.velocity\.expression\[0\] = 'x'"),
        (
            {"velocity": {"expression": ["a*x", "0*a*x"], "parameters": {"a": "1 1/s"}}},
            r"effective\.velocity = \['a\*x', '0\*a\*x'\]: .*periodic; it changes by",
        ),
        (
            {"velocity": {"expression": ["U*sqrt(x/L - 2)", "0*U"], "parameters": {"U": "1 um/s", "L": "1 um"}}},
            r"effective\.velocity = \['U\*sqrt\(x/L - 2\)'.*: it must be finite in the whole cell, .* not at \(.*\)",
        ),
        (
            {"velocity": {"expression": ["U*sin(2*pi*x/L)", "0*U"], "parameters": {"U": "1 um/s", "L": "10 um"}}},
            r"effective\.velocity = .*mean square divergence 0\.\d+.*without divergence",
        ),
        (
            {"velocity": {"expression": ["U", "0*U"], "parameters": {"U": "1 um/s"}}},
            r"effective\.velocity = .*speed through walls 0\.\d+.*through no wall",
        ),
        ({"peclet": 1.0, "phases": {"matrix": "1 S/m"}}, r"effective\.phases\.matrix"),
        ({"peclet": 1.0, "phases": {"matrix": "1 um^2/s", "fibre": "1 um^2/s"}}, r"effective\.fluid = \(missing\)"),
        (
            {"peclet": 1.0, "phases": {"matrix": "1 um^2/s", "fibre": "1 um^2/s"}, "fluid": ["matrix", "fibre"]},
            r"effective\.fluid = .*holds the flow back",
        ),
    ],
)  # fmt: skip
def test_bad_keys_are_refused_by_their_path(keys, message):
    document = config(FIBRES, {"matrix": "1 um^2/s"})
    document["effective"] |= keys
    with pytest.raises(InputError, match=message):
        runs.tensor(document)


def test_a_macroscale_model_takes_one_peclet_number():
    from homfem.config import make_config
    from homfem.runs.dispersion import dispersion

    checked = make_config(config(FIBRES, {"matrix": "1 um^2/s"}, peclet=[1.0, 2.0]))
    cell = fibre_array(fraction=0.3, resolution=0.3, length_unit="um")
    with pytest.raises(InputError, match=r"effective\.peclet = \[1.*one number"):
        dispersion(checked.effective, cell, config={}, only=["matrix"])


def test_flow_that_cannot_be_is_refused():
    with pytest.raises(PercolationError, match=r"effective\.direction"):
        runs.tensor(config(SLIT, {"pore": "1 um^2/s"}, peclet=1.0, direction=[1, 1]))
    closed = {"shape": "obstacles", "edge": 0.5}
    with pytest.raises(PercolationError):
        runs.tensor(config(closed, {"obstacle": "1 um^2/s"}, peclet=1.0))
    cell = fibre_array(fraction=0.3, resolution=0.2)
    for flow in (StokesFlow(direction=[np.nan, 1.0]), GivenFlow(velocity=lambda x: x[:1]), GivenFlow(velocity=3.0)):
        with pytest.raises(InputError, match="flow"):
            solve_dispersion(cell, {"matrix": 1.0}, flow=flow, peclet=1.0)
    for flow in ("stokes", None):
        with pytest.raises(InputError, match=r"flow|peclet"):
            solve_dispersion(cell, {"matrix": 1.0}, flow=flow)
    assert not isinstance("stokes", Flow)
    fast = GivenFlow(
        velocity=lambda x: 1e20 * np.array([np.zeros_like(x[1]), np.sin(2.0 * np.pi * x[0])]), fluid="pore"
    )
    with pytest.raises(InputError, match="peclet"):
        solve_dispersion(slit(0.5, axis="x", resolution=0.25, dimension=2), {"pore": 1.0}, flow=fast)
    with pytest.raises(InputError, match="symmetry"):
        solve_dispersion(cell, {"matrix": 1.0}, peclet=1.0, symmetry="auto")
    with pytest.raises(InputError, match="sorption_length"):
        solve_dispersion(cell, {"matrix": 1.0}, peclet=1.0, sorption_length=float("inf"))


def test_a_given_flow_that_the_mesh_does_not_show():
    """Waves of a tenth of the period vanish at all nodes of quarters of it: without a check there would be no flow."""
    block = {"shape": "blocks", "layout": ["a"], "period": "10 um", "resolution": 0.3}
    written = {"expression": "U*sin(2*pi*x/L)*sin(2*pi*y/L)", "parameters": {"U": "1 um^2/s", "L": "1 um"}}
    document = {"cell": block, "effective": {"physics": "dispersion", "phases": {"a": "1 um^2/s"}}}
    document["effective"]["stream_function"] = written
    with pytest.raises(InputError, match=r"effective\.stream_function = 'U.*resolved by the mesh.*finer resolution"):
        runs.tensor(document)
    written["parameters"]["L"] = "10 um"
    assert runs.tensor(document).tensor.value[0, 0] > 1.0
