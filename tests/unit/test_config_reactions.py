"""``physics = "reaction"`` and ``"multiplication"`` in a config: units, results, what is refused under which key."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from homfem import runs
from homfem.config import make_config
from homfem.parameters import InputError

SQUARE = {
    "shape": "blocks", "layout": ["LLL", "LDL", "LLL"], "widths": [0.25, 0.5, 0.25], "heights": [0.25, 0.5, 0.25],
    "resolution": 0.1, "period": "10 um",
}  # fmt: skip
REACTION: dict[str, Any] = {
    "cell": SQUARE,
    "effective": {
        "physics": "reaction",
        "phases": {"L": "1e-6 cm^2/s", "D": "100 um^2/s"},
        "rates": {"D": "600 1/min"},
    },
}
SLAB: dict[str, Any] = {
    "cell": {"shape": "laminate", "fractions": [0.6, 0.4], "axis": "x", "dimension": 2, "resolution": 0.1,
             "period": "1 cm"},
    "effective": {
        "physics": "multiplication",
        "phases": {
            "layer1": {"diffusion": "0.5 mm", "absorption": "1 1/cm", "production": "1.5 1/cm"},
            "layer2": {"diffusion": ["0.1 cm"], "absorption": ["30 1/m"]},
        },
    },
}  # fmt: skip


def changed(document: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    result = copy.deepcopy(document)
    place = result
    for key in path[:-1]:
        place = place.setdefault(key, {})
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return result


def test_reaction_in_real_units() -> None:
    """D = 100 um^2/s, k = 10/s, 10 um: the numbers of the unit cell with k = 10, times D/L^2 = 1/s."""
    tensor = runs.tensor(REACTION).tensor
    rate = tensor.coefficients["rate"]
    assert rate.unit == "1/s"
    assert rate.lower is not None
    assert rate.upper is not None
    assert rate.lower < 2.21120494 < rate.upper
    assert tensor.unit == "cm^2/s"
    assert tensor.value[0, 0] == pytest.approx(0.98826630e-6, rel=1e-4)
    plain = json.loads(tensor.to_json())
    assert plain["rate"] == pytest.approx(2.2112, rel=1e-4)
    assert plain["velocity"] == [0.0, 0.0]
    assert plain["averaged_over"] == "active"


def test_walls_in_real_units() -> None:
    document = changed(changed(REACTION, ["effective", "rates"], None), ["effective", "phases"], {"L": "100 um^2/s"})
    walls = runs.tensor(changed(document, ["effective", "interface_rates"], {"D|L": "10 um/s"})).tensor
    assert walls.coefficients["slow_rate"].value == pytest.approx(2.0 * 10.0 / 10.0 / 0.75, rel=1e-9)
    slow = changed(document, ["effective", "interface_rates"], {"L|D": "6e-4 mm/min"})
    tensor = runs.tensor(changed(slow, ["effective", "regime"], "slow")).tensor
    assert tensor.coefficients["rate"].value == pytest.approx(2.0 * 0.01 / 10.0 / 0.75, rel=1e-9)
    assert tensor.lower is not None


def test_multiplication_in_real_units() -> None:
    tensor = runs.tensor(SLAB).tensor
    k = tensor.coefficients["multiplication"]
    assert k.lower is not None
    assert k.upper is not None
    assert k.lower < 1.279774009 < k.upper
    assert tensor.unit == "cm^2"
    assert tensor.value[1, 1] == pytest.approx(0.0846848442, rel=1e-5)
    two = changed(
        SLAB,
        ["effective", "phases"],
        {
            name: {
                "diffusion": ["1.2 cm", "0.4 cm"], "absorption": ["0.01 1/cm", "0.1 1/cm"],
                "production": ["0 1/cm", "0.15 1/cm"], "scattering": [["0 1/cm", "0.03 1/cm"], ["0 1/cm", "0 1/cm"]],
            }
            for name in ("layer1", "layer2")
        },
    )  # fmt: skip
    found = runs.tensor(two).tensor
    assert found.coefficients["multiplication"].value == pytest.approx(1.125, rel=1e-9)
    assert found.value[0, 0] == pytest.approx(34.0, rel=1e-9)


@pytest.mark.parametrize(
    ("document", "path", "value", "key"),
    [
        (REACTION, ["effective", "rates", "D"], "-1 1/s", "effective.rates.D"),
        (REACTION, ["effective", "rates", "D"], "1 m/s", "effective.rates.D"),
        (REACTION, ["effective", "rates", "D"], "nan 1/s", "effective.rates.D"),
        (REACTION, ["effective", "rates", "D"], 1.0, "effective.rates.D"),
        (REACTION, ["effective", "rates", "D"], "0 1/s", "effective.rates"),
        (REACTION, ["effective", "rates", "X"], "1 1/s", "effective.rates.X"),
        (REACTION, ["effective", "rates"], None, "effective.rates"),
        (REACTION, ["effective", "phases", "X"], "1 m^2/s", "effective.phases.X"),
        (REACTION, ["effective", "phases"], {"D": "1 m^2/s"}, "effective.phases"),
        (REACTION, ["effective", "regime"], "fast", "effective.regime"),
        (REACTION, ["effective", "rate"], "1 1/s", "effective.rate"),
        (REACTION, ["effective", "interface_rates"], {"D|X": "1 m/s"}, "effective.interface_rates"),
        (REACTION, ["effective", "interface_rates"], {"X|Y": "1 m/s"}, "effective.interface_rates.X|Y"),
        (REACTION, ["effective", "interface_rates"], {"L|D": "-1 m/s"}, "effective.interface_rates.L|D"),
        (REACTION, ["effective", "method"], "grid", "effective.method"),
        (SLAB, ["effective", "phases", "layer1", "diffusion"], "0 cm", "effective.phases.layer1.diffusion"),
        (SLAB, ["effective", "phases", "layer1", "diffusion"], [], "effective.phases.layer1.diffusion"),
        (SLAB, ["effective", "phases", "layer1", "absorption"], "-1 1/cm", "effective.phases.layer1.absorption"),
        (SLAB, ["effective", "phases", "layer1", "absorption"], "1 cm", "effective.phases.layer1.absorption"),
        (SLAB, ["effective", "phases", "layer1", "absorption"], ["1 1/cm"] * 2, "effective.phases.layer1.absorption"),
        (SLAB, ["effective", "phases", "layer1", "fission"], "1 1/cm", "effective.phases.layer1.fission"),
        (SLAB, ["effective", "phases", "layer1", "scattering"], [["1 1/cm"]] * 2, "effective.phases.layer1.scattering"),
        (SLAB, ["effective", "phases", "layer2"], None, "effective.phases.layer2"),
        (SLAB, ["effective", "spectrum"], [0.5, 0.5], "effective.spectrum"),
        (SLAB, ["effective", "spectrum"], [0.5], "effective.spectrum"),
        (SLAB, ["effective", "phases", "layer1", "production"], None, "effective.production"),
    ],
)
def test_what_is_wrong_has_the_path_of_its_key(document: dict, path: list[str], value: Any, key: str) -> None:
    wrong = changed(document, path, value)
    with pytest.raises(InputError) as caught:
        runs.tensor(make_config(wrong))
    assert caught.value.name == key


def test_one_group_has_one_entry() -> None:
    wrong = changed(SLAB, ["effective", "phases", "layer1", "absorption"], ["1 1/cm"] * 2)
    with pytest.raises(InputError, match=r"it must be 1 entry, as diffusion: one for each group"):
        make_config(wrong)
