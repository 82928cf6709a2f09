"""``regime = "double-layer"`` of electrodiffusion in a config: units, the result, what is refused under which key."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from homfem import EffectiveTensor, homogenize_electrokinetics, runs
from homfem.cells import slit
from homfem.config import make_config
from homfem.electrolytes import FARADAY, VACUUM, Ion
from homfem.parameters import InputError

CONFIG: dict[str, Any] = {
    "cell": {"shape": "slit", "aperture": 0.5, "axis": "y", "resolution": 0.2, "period": "20 nm"},
    "effective": {
        "physics": "electrodiffusion",
        "regime": "double-layer",
        "temperature": "298.15 K",
        "viscosity": "0.89 mPa*s",
        "permittivity": 78.4,
        "wall_charge": "-10 mC/m^2",
        "ions": [
            {"name": "K", "valence": 1, "bath": "1 mmol/l", "diffusivity": {"pore": "1957 um^2/s"}},
            {"name": "Cl", "valence": -1, "bath": "1 mol/m^3", "diffusivity": {"pore": "2.032e-9 m^2/s"}},
        ],
    },
}


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    """The config with another value; None takes the key away."""
    document = copy.deepcopy(CONFIG)
    *above, last = path
    place: Any = document
    for key in above:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


def test_a_charged_slit_in_real_units(tmp_path: Any) -> None:
    run = runs.tensor(CONFIG)
    ions = [
        Ion(name="K", valence=1, bath=1.0, diffusivities={"pore": 1.957e-9}),
        Ion(name="Cl", valence=-1, bath=1.0, diffusivities={"pore": 2.032e-9}),
    ]
    cell = slit(0.5, axis="y", resolution=0.2, period=20.0, length_unit="nm")
    expected = homogenize_electrokinetics(
        cell, ions, viscosity=0.89e-3, permittivity=78.4 * VACUUM, wall_charge=-0.01, temperature=298.15
    )
    assert run.tensor.unit == "S/m"
    assert run.tensor.value == pytest.approx(expected.value, rel=1e-9)
    # All of the charge of the walls is in the pore: two walls, 20 nm.
    found = {name: one.value for name, one in run.tensor.coefficients.items()}
    assert found["concentration.K"] - found["concentration.Cl"] == pytest.approx(2.0 * 0.01 / FARADAY / 20e-9, rel=1e-6)
    assert found["permeability"][0, 0] == pytest.approx((10e-9) ** 3 / 12.0 / 20e-9, rel=1e-9)
    text = json.loads(run.tensor.to_json(tmp_path / "result.json"))
    assert np.shape(text["coefficients"]["onsager"]["value"]) == (6, 6)
    assert np.shape(text["coefficients"]["onsager_bath"]["value"]) == (6, 6)
    assert EffectiveTensor.from_json(tmp_path / "result.json") == run.tensor
    assert "virtual bath" in str(run.tensor)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["effective", "viscosity"], None, r"^effective\.viscosity"),
        (["effective", "viscosity"], "0 Pa*s", r"^effective\.viscosity"),
        (["effective", "viscosity"], "1 mPa", r"^effective\.viscosity"),
        (["effective", "permittivity"], None, r"^effective\.permittivity"),
        (["effective", "permittivity"], "78 F/m", r"^effective\.permittivity.*vacuum"),
        (["effective", "permittivity"], {"pore": -1.0}, r"^effective\.permittivity\.pore"),
        (["effective", "permittivity"], 1e-300, r"^effective\.permittivity = 1e-300: .*>= 1 and <= 1e\+06"),
        (["effective", "permittivity"], {"solid": 4.0}, r"^effective\.permittivity\.pore"),
        (["effective", "wall_charge"], "-10 mC", r"^effective\.wall_charge"),
        (["effective", "wall_charge"], {}, r"^effective\.wall_charge"),
        (["effective", "wall_charge"], {"pore|gel": "1 C/m^2"}, r"^effective\.wall_charge = 'pore\|gel'"),
        (["effective", "wall_potential"], "-50 mV", r"^effective\.wall_charge = '-10"),
        (["effective", "wall_potential"], {"pore|solid": "-50 mV"}, r"^effective\.wall_charge"),
        (["effective", "fixed_charge"], {"solid": "1 mol/m^3"}, r"^effective\.fixed_charge\.solid"),
        (["effective", "bounds"], "yes", r"^effective\.bounds"),
        (["effective", "symmetry"], "auto", r"^effective\.symmetry"),
        (["effective", "degree"], 1, r"^effective\.degree"),
        (["effective", "regime"], "donnan", r"^effective\.(viscosity|permittivity|wall_charge).*double-layer"),
        (["effective", "ions", 0, "bath"], "2 mol/m^3", r"^effective\.ions"),
        (["effective", "ions", 0, "valence"], 0, r"^effective\.ions\[0\]\.valence"),
        (["effective", "ions", 0, "diffusivity"], {"solid": "1 um^2/s"}, r"^effective\.ions\[0\]\.diffusivity\.pore"),
        (
            ["effective", "ions", 0, "diffusivity", "pore"],
            [["1 um^2/s", "0 um^2/s"], ["0 um^2/s", "1 um^2/s"]],
            r"^effective\.ions\[0\]\.diffusivity\.pore",
        ),
    ],
)
def test_bad_keys_are_refused_by_their_names(path: list[Any], value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        runs.tensor(changed(path, value))


def test_bounds_are_a_key_too() -> None:
    found = runs.tensor(changed(["effective", "bounds"], True)).tensor
    assert found.lower is not None
    assert found.lower[0, 0] < found.value[0, 0] < found.upper[0, 0]
    assert found.coefficients["onsager"].upper is not None


def test_a_wall_potential_is_a_key_too() -> None:
    document = changed(["effective", "wall_charge"], None)
    document["effective"]["wall_potential"] = {"solid|pore": "-50 mV"}
    assert make_config(document).effective.wall_potential["solid|pore"].to("V") == pytest.approx(-0.05)
    value = runs.tensor(document).tensor.value
    document["effective"]["wall_potential"] = {"walls": "-50 mV"}
    assert runs.tensor(document).tensor.value == pytest.approx(value, rel=1e-12)
