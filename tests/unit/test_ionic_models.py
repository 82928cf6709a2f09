"""The equations of each membrane beside those of others: the paper's own form, or another implementation's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from homfem.kinetics.ionic import IONIC_MODELS, ionic_kinetics
from homfem.validation.ionic import IONIC_APD, TENTUSSCHER_BEATS

PAGE = (Path(__file__).parents[2] / "docs" / "ionic-models.md").read_text(encoding="utf-8")
OTHERS = json.loads((Path(__file__).parents[1] / "ionic_derivatives.json").read_text(encoding="utf-8"))
POINTS = {(point["model"], point["variant"], point["state"]["V"]): point for point in OTHERS["points"]}


@pytest.mark.parametrize("key", POINTS, ids=lambda key: " ".join(map(str, key)))
def test_derivatives_are_those_of_another_implementation(key):
    name, variant, _ = key
    point = POINTS[key]
    kinetics = ionic_kinetics(name, variant)
    found = kinetics.derivative(0.0, kinetics.start(point["state"]), kinetics.values(point.get("parameters")))
    names = [entry.name for entry in (*kinetics.fields, *kinetics.states)]
    assert set(names) == set(point["derivative"])
    for entry, ours in zip(names, found, strict=True):
        assert ours == pytest.approx(point["derivative"][entry], rel=1e-12, abs=1e-18), entry


@pytest.mark.parametrize("u", [-0.02, 0.1, 0.4, 0.97])
def test_aliev_and_panfilov_in_their_own_units(u):
    """Their equations 1 and 2 without diffusion: u' = -k u (u-a)(u-1) - u v, v' = eps (-v - k u (u-a-1))."""
    v, k, a, eps0, mu1, mu2 = 1.3, 8.0, 0.15, 0.002, 0.2, 0.3
    eps = eps0 + mu1 * v / (u + mu2)
    expected = [-k * u * (u - a) * (u - 1) - u * v, eps * (-v - k * u * (u - a - 1))]
    kinetics = ionic_kinetics("aliev-panfilov")
    found = kinetics.derivative(0.0, np.array([100.0 * u - 80.0, v]), kinetics.values())
    assert found * 12.9 / [100.0, 1.0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("u", [-0.02, 0.12, 0.14, 0.9])
def test_mitchell_and_schaeffer_in_their_own_units(u):
    """Their equations 1 to 4: u' = h u^2 (1-u)/tau_in - u/tau_out, h' = (1-h)/tau_open below the gate, -h/tau_close."""
    h = 0.7
    expected = [h * u**2 * (1 - u) / 0.3 - u / 6.0, (1 - h) / 120.0 if u < 0.13 else -h / 150.0]
    kinetics = ionic_kinetics("mitchell-schaeffer")
    found = kinetics.derivative(0.0, np.array([100.0 * u - 80.0, h]), kinetics.values())
    assert found / [100.0, 1.0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["aliev-panfilov", "mitchell-schaeffer", "beeler-reuter", "luo-rudy-1991",
                                  "gray-pathmanathan-2016"])  # fmt: skip
def test_membranes_without_concentrations_that_drift_start_at_rest(name):
    kinetics = ionic_kinetics(name)
    start = kinetics.start()
    assert np.abs(kinetics.derivative(0.0, start, kinetics.values())).max() < 1e-8
    assert -85.0 < start[0] <= -80.0


def test_what_stands_in_the_registry_is_published_and_what_stimulates_is_off():
    for name, model in IONIC_MODELS.items():
        assert "doi 10." in model.source
        kinetics = ionic_kinetics(name)
        assert all(entry.source for entry in kinetics.parameters), name
        assert vars(kinetics.values()).get("I_pulse", 0.0) == 0.0


@pytest.mark.parametrize("name", [name for name in IONIC_MODELS if name != "fitzhugh-nagumo"])
def test_an_inward_stimulus_lifts_the_potential_and_potassium_alone(name):
    kinetics = ionic_kinetics(name)
    names = [entry.name for entry in (*kinetics.fields, *kinetics.states)]
    start = kinetics.start()
    off, on = (kinetics.derivative(0.0, start, kinetics.values({"I_pulse": amount})) for amount in (0.0, -10.0))
    changes = {name: change for name, change in zip(names, on - off, strict=True) if abs(change) > 1e-9}
    assert changes.pop("V") == pytest.approx(10.0, abs=1e-9)
    assert changes.pop("K_i", 1e-3) > 0.0
    assert not changes


@pytest.mark.parametrize("name", ["beeler-reuter", "luo-rudy-1991", "ohara-rudy-2011"])
def test_rates_are_finite_and_smooth_where_a_formula_divides_0_by_0(name):
    kinetics = ionic_kinetics(name)
    places = {"beeler-reuter": (-47.0, -23.0), "luo-rudy-1991": (-47.13, -77.0), "ohara-rudy-2011": (0.0,)}[name]
    state = np.repeat(kinetics.start()[:, None], 3, axis=1)
    for place in places:
        state[0] = place + np.array([-1e-3, 0.0, 1e-3])
        found = kinetics.derivative(0.0, state, kinetics.values())
        assert found[:, 1] == pytest.approx(found[:, [0, 2]].mean(axis=1), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", IONIC_MODELS)
def test_the_page_lists_every_model_with_its_numbers(name):
    model, kinetics = IONIC_MODELS[name], ionic_kinetics(name)
    durations = {variant: beat.apd90 for (owner, variant), beat in IONIC_APD.items() if owner == name}
    if name == "tentusscher-panfilov-2006":
        durations = {"epi": TENTUSSCHER_BEATS[100]}
    shown = ", ".join(f"{value:.1f}" + (f" ({variant})" if variant else "") for variant, value in durations.items())
    variants = ", ".join(f"`{variant}`" for variant in model.variants)
    numbers = f"{len(kinetics.states)} ({kinetics.gates}) | {len(kinetics.parameters)} | {shown}"
    assert f"| `{name}` | {model.title} | {variants} | {numbers} | {model.source} |" in PAGE.splitlines()


@pytest.mark.parametrize(
    ("name", "place", "width"),
    [("beeler-reuter", -47.0, 10.0), ("beeler-reuter", -23.0, 25.0), ("luo-rudy-1991", -47.13, 10.0),
     ("luo-rudy-1991", -77.0, 25.0), ("ohara-rudy-2011", 0.0, 26.7)],
)  # fmt: skip
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_series_beside_such_a_place_go_on_as_the_formula(name, place, width, side):
    """Within 1e-5 widths a series stands for the formula; it lies on the cubic through four values of the formula."""
    kinetics = ionic_kinetics(name)
    shifts = side * np.array([0.9, 3.0, -3.0, 6.0, -6.0])
    state = np.repeat(kinetics.start()[:, None], len(shifts), axis=1)
    state[0] = place + 1e-5 * width * shifts
    state[1:] *= 0.5
    found = kinetics.derivative(0.0, state, kinetics.values())
    weights = [np.prod([(0.9 * side - b) / (a - b) for b in shifts[1:] if b != a]) for a in shifts[1:]]
    assert found[:, 0] == pytest.approx(found[:, 1:] @ np.array(weights), rel=2e-10, abs=1e-14)
