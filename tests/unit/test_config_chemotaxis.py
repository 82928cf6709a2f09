"""Chemotaxis in a config: functions of position beside numbers, their units, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from homfem import runs
from homfem.parameters import InputError, UnitError

LAYERS = {"shape": "laminate", "fractions": [0.5, 0.5], "axis": "x", "dimension": 2, "resolution": 0.1}
WAVE = {"expression": "d/(2 + cos(2*pi*x/L))", "parameters": {"d": "1 um^2/s", "L": "20 um"}}
FOLLOW = {"expression": "-3*s/(2 + cos(2*pi*x/L))", "parameters": {"s": "1 um^2/s/uM", "L": "0.02 mm"}}


def both(value: Any) -> dict[str, Any]:
    return {"layer1": value, "layer2": value}


def config(motility: Any, sensitivity: Any, attractant: Any, period: str = "20 um") -> dict[str, Any]:
    tables = {"motility": motility, "sensitivity": sensitivity, "attractant": attractant}
    effective = {"physics": "chemotaxis", **{key: both(value) for key, value in tables.items()}}
    return {"cell": {**LAYERS, "period": period}, "effective": effective}


@pytest.mark.parametrize("period", ["20 um", "0.02 mm"])
def test_functions_of_position_are_those_of_the_layers_that_they_draw(period):
    """Along x the motility is harmonic, across it its mean; the sensitivity is -3 times the motility."""
    report = runs.tensor(config(WAVE, FOLLOW, "5 um^2/s", period)).report()
    assert report["unit"] == "um ** 2 / s / uM" or report["unit"] == "um^2/s/uM"
    value = np.array(report["value"])
    assert value[0, 0] == pytest.approx(-3.0 / 2.0, rel=0.01)
    assert value[1, 1] == pytest.approx(-3.0 / np.sqrt(3.0), rel=0.01)
    assert report["coefficients"]["motility"]["value"][0][0] == pytest.approx(0.5, rel=0.01)
    assert report["coefficients"]["sensitivity"]["lower"] is None


def test_functions_alone_tell_their_unit():
    plain = runs.tensor(config("2 um^2/s", {"expression": "s", "parameters": {"s": "3 mm^2/s"}}, "5 um^2/s")).report()
    assert plain["value"][0][0] == pytest.approx(3e6)
    of_mass = {"expression": "s", "parameters": {"s": "3 um^2/s/(g/l)"}}
    flat = {"expression": "d", "parameters": {"d": "2 mm^2/h"}}
    massive = runs.tensor(config(flat, of_mass, flat)).report()
    assert massive["value"][0][0] == pytest.approx(3e-3)
    assert massive["coefficients"]["motility"]["value"][0][0] == pytest.approx(2e6 / 3600.0)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ((WAVE, {"expression": "x"}, "1 um^2/s"), UnitError, r"^effective\.sensitivity\.layer1\.expression"),
        (({"expression": "x"}, "1 um^2/s", "1 um^2/s"), UnitError, r"^effective\.motility\.layer1\.expression"),
        (({"expression": "d*t", "parameters": {"d": "1 um^2/s"}}, "1 um^2/s", "1 um^2/s"), InputError, r"\bt\b"),
        (({"expression": ["d", "d"], "parameters": {"d": "1 um^2/s"}}, "1 um^2/s", "1 um^2/s"), InputError,
         r"^effective\.motility\.layer1.*one expression"),
        (({"expression": "d*cos(2*pi*x/L)", "parameters": WAVE["parameters"]}, "1 um^2/s", "1 um^2/s"), InputError,
         r"^effective\.motility\.layer1.*positive"),
        (("1 um^2/s", "1 um^2/s", {"expression": "d*z/L", "parameters": WAVE["parameters"]}), InputError,
         r"^effective\.attractant\.layer1\.expression"),
    ],
)  # fmt: skip
def test_what_a_function_is_refused_for(given, error, said):
    with pytest.raises(error, match=said):
        runs.tensor(config(*given))


def test_a_function_where_no_cell_moves_is_refused():
    table = config("1 um^2/s", FOLLOW, "1 um^2/s")
    del table["effective"]["motility"]["layer2"]
    with pytest.raises(InputError, match=r"^effective\.sensitivity\.layer2.*no cell moves"):
        runs.tensor(table)
