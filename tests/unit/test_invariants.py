"""Sums of species that reactions keep: found exactly, and kept by runs to round-off."""

from __future__ import annotations

import numpy as np
import pytest

from homfem import runs
from homfem.kinetics import combined_reactions, named_reaction, written_reaction
from homfem.kinetics.point import PointKinetics, Variable
from homfem.parameters import InputError

ENZYME = {"s": "-f*e*s + b*c", "e": "-f*e*s + (b + k)*c", "c": "f*s*e - c*(k + b)", "p": "k*c"}
NUMBERS = {"f": 2.0, "b": 0.5, "k": 0.3}

CASES = [
    (ENZYME, [(1, 0, 1, 1), (0, 1, 1, 0)]),  # all of the substrate, all of the enzyme
    ({"a": "-k*a*b", "b": "-2*b*(k*a)", "c": "k/4*a*b"}, [(1, 0, 4), (0, 1, 8)]),
    ({"a": "k*(a - b)/(1 + a)", "b": "(b - a)*k/(1 + a)"}, [(1, 1)]),
    ({"a": "k*(a - b)/(1 + a)", "b": "k*(b - a)/(1 + b)"}, []),
    ({"a": "-k*a^2", "b": "k*a*a"}, []),  # texts differ: not proved, not said
    ({"a": "-exp(a)*k", "b": "k*exp(a)", "c": "0"}, [(1, 1, 0), (0, 0, 1)]),
    ({"a": "k*a - k*a + 3 - 3"}, [(1,)]),
]


@pytest.mark.parametrize(("rates", "kept"), CASES)
def test_what_written_rates_keep(rates, kept):
    text = " ".join(rates.values())
    parameters = {name: value for name, value in NUMBERS.items() if f"{name}*" in text or name in text.split()}
    parameters |= {"k": 0.3} if "k" in text else {}
    kinetics = written_reaction(rates, list(rates), parameters={k: v for k, v in parameters.items() if k not in rates})
    assert [tuple(map(float, row)) for row in kept] == list(kinetics.kept)
    u = np.random.default_rng(3).uniform(0.1, 2.0, (len(rates), 40))
    gains = kinetics.rates(0.0, list(u), np.empty((0, 40)), kinetics.values())
    for weights in kinetics.kept:
        assert np.abs(np.array(weights) @ gains).max() < 1e-13


def test_what_named_and_combined_reactions_keep():
    assert named_reaction("bimolecular", parameters={"rate": 1.0}).kept == ((1.0, 0.0, 1.0), (0.0, 1.0, 1.0))
    swap = named_reaction("exchange", parameters={"rate": 1.0})
    assert swap.kept == ((1.0, 1.0),)
    onward = named_reaction("exchange", ["b", "c"], parameters={"rate": 2.0})
    assert combined_reactions({"one": swap, "two": onward}).kept == ((1.0, 1.0, 1.0),)
    decay = named_reaction("first-order", ["c"], parameters={"rate": 2.0})
    assert combined_reactions({"one": swap, "two": onward, "three": decay}).kept == ()
    assert combined_reactions({"one": swap, "three": decay}).kept == ((1.0, 1.0, 0.0),)
    with pytest.raises(InputError, match="kept"):
        PointKinetics(name="n", time_unit="s", fields=(Variable(name="u"),), rates=lambda *_: 0, kept=((1.0, 1.0),))


@pytest.mark.parametrize("splitting", ["strang", "godunov", "implicit"])
def test_a_run_tells_the_drift_of_each_sum(tmp_path, splitting):
    """Species that diffuse, are fed and leave at a side: what is left of each sum is round-off."""
    tensor = {"value": "2 um^2/s", "volume_fraction": 0.5}
    species = {
        "s": {"tensor": tensor, "initial": "3 uM", "boundary": {"left": {"transfer": "1 um/s", "outside": "5 uM"}}},
        "e": {"initial": "1 uM"},
        "c": {"initial": "0.1 uM"},
        "p": {"unit": "uM", "initial": "0 uM", "tensor": tensor, "boundary": {"right": {"value": "0 uM"}}},
    }
    parameters = {"f": "2 1/(uM s)", "b": "0.5 1/s", "k": "18 1/min"}
    source = {"min": ["0 um"], "max": ["1 um"], "type": "box", "amplitude": "3 uM/s", "species": "c"}
    source["duration"] = "0.3 s"
    macro = {
        "model": "reaction-diffusion",
        "domain": {"shape": "interval", "size": ["4 um"], "resolution": "0.2 um"},
        "species": species,
        "reaction": {"rates": ENZYME, "parameters": parameters},
        "stimulus": source,
        "time": {"end": "1 s", "step": "20 ms", "splitting": splitting},
    }
    made = runs.macro({"macro": macro}, folder=tmp_path)
    sums = {entry["name"]: entry for entry in made.report()["conserved"]}
    assert list(sums) == ["s", "e", "c", "p", "s + c + p", "e + c"]
    limit = 1e-12 if splitting == "implicit" else 1e-13  # Newton's method stops at round-off of its residual
    assert {name: entry["drift"] for name, entry in sums.items() if entry["drift"] > limit} == {}
    assert sums["e + c"]["start"] == pytest.approx(4.4)
    assert sums["e + c"]["unit"] == "uM um"
    numbers = made.result.numbers
    reacted = sum(numbers[f"{name} reacted"] for name in "ec")
    assert np.abs(reacted).max() < 1e-13 * np.abs(numbers["e reacted"]).max() + 1e-14
    assert np.abs(numbers["e reacted"]).max() > 0.05  # and there was something to keep
    assert numbers["e reacted"] == pytest.approx(numbers["e brought"], abs=1e-13)  # nothing else brings any of it
    total = numbers["e amount"] + numbers["c amount"]
    assert total[-1] - total[0] == pytest.approx(3.0 * 0.3, rel=1e-9)


def test_sums_of_species_in_different_units_are_not_told(tmp_path):
    macro = {
        "model": "reaction-diffusion",
        "domain": {"shape": "interval", "size": ["4 um"], "resolution": "1 um"},
        "species": {"a": {"initial": "1 uM"}, "b": {"initial": 1.0}},
        "reaction": {"rates": {"a": "-k*a", "b": "j*a"}, "parameters": {"k": "1 1/s", "j": "1 1/(uM s)"}},
        "time": {"end": "1 s", "step": "0.1 s"},
    }
    assert [entry["name"] for entry in runs.macro({"macro": macro}, folder=tmp_path).report()["conserved"]] == [
        "a",
        "b",
    ]
