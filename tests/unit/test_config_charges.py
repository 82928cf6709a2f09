"""``physics = "electrodiffusion"`` in a config: units, results, voxels, what is refused under which key."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from homfem import EffectiveTensor, runs
from homfem.config import make_config
from homfem.electrolytes import conductivity_factor, layered_gel_frozen, layered_gel_steady
from homfem.electrolytes.ions import Ion
from homfem.parameters import InputError

CONFIG = {
    "cell": {"shape": "laminate", "fractions": [0.4, 0.6], "axis": "x", "dimension": 2, "resolution": 0.3},
    "effective": {
        "physics": "electrodiffusion",
        "temperature": "310.15 K",
        "ions": [
            {"name": "Na", "valence": 1, "bath": "0.15 mol/l",
             "diffusivity": {"layer1": "0.67e-9 m^2/s", "layer2": "1330 um^2/s"}},
            {"name": "Cl", "valence": -1, "bath": "150 mol/m^3",
             "diffusivity": {"layer1": "1000 um^2/s", "layer2": "2030 um^2/s"}},
        ],
        "fixed_charge": {"layer1": "-200 mol/m^3"},
    },
}  # fmt: skip


def changed(path, value):
    document = copy.deepcopy(CONFIG)
    *above, last = path
    place = document
    for key in above:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


def in_si():
    return [
        Ion(name="Na", valence=1, bath=150.0, diffusivities={"gel": 0.67e-9, "water": 1.33e-9}),
        Ion(name="Cl", valence=-1, bath=150.0, diffusivities={"gel": 1e-9, "water": 2.03e-9}),
    ]


def test_a_layered_gel_in_real_units(homfem, tmp_path):
    run = runs.tensor(CONFIG)
    fractions = {"gel": 0.4, "water": 0.6}
    steady = layered_gel_steady(in_si(), {"gel": -200.0}, fractions)
    frozen = layered_gel_frozen(in_si(), {"gel": -200.0}, fractions)
    factor = conductivity_factor(310.15)
    found = run.tensor
    assert found.unit == "S/m"
    assert found.value[0, 0] == pytest.approx(factor * steady.conductivity, rel=1e-12)
    report = run.report()
    named = report["coefficients"]
    assert named["conductivity"]["value"] == report["value"]
    assert named["frozen_conductivity"]["value"][0][0] == pytest.approx(factor * frozen.conductivity, rel=1e-12)
    for ion in ("Na", "Cl"):
        for name, exact in (("transference", steady), ("frozen_transference", frozen)):
            one = named[name][ion]
            assert one["value"][0][0] == pytest.approx(exact.transference[ion], rel=1e-11)
            assert one["lower"][0][0] <= exact.transference[ion] <= one["upper"][0][0]
            assert one["unit"] == ""
    assert named["onsager"]["Na"]["unit"] == "mol/(m*s)"
    assert factor * (named["onsager"]["Na"]["value"][1][1] + named["onsager"]["Cl"]["value"][1][1]) == pytest.approx(
        found.value[1, 1], rel=1e-13
    )
    assert named["salt_diffusion"]["unit"] == "m^2/s"
    volts = 8.314462618 * 310.15 / 96485.33212
    assert named["donnan_potential"]["layer1"]["value"] == pytest.approx(-1e3 * volts * np.arcsinh(2 / 3), rel=1e-9)
    assert named["donnan_potential"]["layer1"]["unit"] == "mV"
    assert report["conventions"]["average"] == "per volume of the whole cell"
    assert report["conventions"]["temperature"] == "310.15 K"
    assert EffectiveTensor.from_dict(json.loads(json.dumps(report))) == found
    assert "transference.Na" in found.to("mS/cm").coefficients
    assert found.to("mS/cm").coefficients["frozen_conductivity"].unit == "mS/cm"


def test_voxels_give_what_the_mesh_gives(tmp_path):
    labels = np.zeros((10, 10), dtype=np.uint8)
    labels[:4] = 1  # the axes of such a file are x, y
    np.save(tmp_path / "layers.npy", labels)
    cell = {"shape": "image", "file": "layers.npy", "labels": {"layer1": 1, "layer2": 0}, "voxel": "1 um"}
    document = CONFIG | {"cell": cell, "effective": CONFIG["effective"] | {"method": "grid"}}
    voxels, mesh = runs.tensor(document, folder=tmp_path).tensor, runs.tensor(CONFIG).tensor
    assert (voxels.method, mesh.method) == ("grid", "finite-element")
    for name, entry in mesh.coefficients.items():
        other = voxels.coefficients[name]
        assert np.allclose(other.value, entry.value, rtol=1e-9, atol=1e-9 * np.abs(entry.value).max()), name
        assert (other.unit, other.basis, other.bounded) == (entry.unit, entry.basis, entry.bounded)
    with pytest.raises(InputError, match=r"^effective\.method = 'grid'"):
        make_config(changed(["effective", "method"], "grid"))
    with pytest.raises(InputError, match=r"^effective\.refine"):
        make_config(changed(["effective", "refine"], 2))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["effective", "ions", 1, "bath"], "0.14 mol/l", r"^effective\.ions = .*electroneutral bath.*add up to"),
        (["effective", "ions", 1, "valence"], 0, r"^effective\.ions\[1\]\.valence = 0.*physics = \"diffusion\""),
        (["effective", "ions", 1, "valence"], -1.5, r"^effective\.ions\[1\]\.valence = -1\.5"),
        (["effective", "ions", 0, "name"], "Cl", r"^effective\.ions = \['Cl'\].*differ"),
        (["effective", "ions", 0, "name"], "a.b", r"^effective\.ions\[0\]\.name"),
        (["effective", "ions", 0, "bath"], "nan mol/l", r"^effective\.ions\[0\]\.bath"),
        (["effective", "ions", 0, "bath"], "0 mol/l", r"^effective\.ions\[0\]\.bath.*> 0"),
        (["effective", "ions", 0, "bath"], 150.0, r"^effective\.ions\[0\]\.bath.*no unit"),
        (["effective", "ions", 0, "bath"], None, r"^effective\.ions\[0\]\.bath"),
        (["effective", "ions", 0, "diffusivty"], {}, r"^effective\.ions\[0\]\.diffusivty.*ions\[0\]\.diffusivity'"),
        (["effective", "ions", 0, "diffusivity", "layer1"], "-1 um^2/s", r"^effective\.ions\[0\]\.diffusivity\.layer1"),
        (["effective", "ions", 0, "diffusivity", "gel"], "1 um^2/s", r"^effective\.ions\[0\]\.diffusivity\.gel"),
        (["effective", "ions", 0, "diffusivity", "layer1"],
         [["1 um^2/s"] * 3] * 3, r"^effective\.ions\[0\]\.diffusivity\.layer1"),
        (["effective", "ions"], [], r"^effective\.ions = \[\].*list of tables"),
        (["effective", "ions"], None, r"^effective\.ions = \(missing\)"),
        (["effective", "ions"], "Na", r"^effective\.ions = 'Na'"),
        (["effective", "fixed_charge", "layer1"], -200.0, r"^effective\.fixed_charge\.layer1.*no unit"),
        (["effective", "fixed_charge", "layer1"], "-200 m", r"^effective\.fixed_charge\.layer1.*dimension"),
        (["effective", "fixed_charge", "layer1"], "nan mol/l", r"^effective\.fixed_charge\.layer1"),
        (["effective", "fixed_charge", "gel"], "-2 mol/l", r"^effective\.fixed_charge\.gel"),
        (["effective", "fixed_charge"], {}, r"^effective\.fixed_charge = \{\}"),
        (["effective", "temperature"], "25 K", r"^effective\.temperature = 25"),
        (["effective", "temperature"], "37 degC", r"^effective\.temperature = '37 degC'.*37 degC is 310\.15 K"),
        (["effective", "temperature"], "2 degC", r"^effective\.temperature = '2 degC'.*2 degC is 275\.15 K"),
        (["effective", "regime"], "donan", r"^effective\.regime = 'donan'.*'donnan'"),
        (["effective", "boundary"], "affine", r"^effective\.boundary"),
        (["effective", "phases"], {"layer1": "1 um^2/s"}, r"^effective\.phases.*known keys"),
    ],
)  # fmt: skip
def test_what_is_refused(path, value, said):
    with pytest.raises(InputError, match=said):
        make_config(changed(path, value))


def test_charges_without_ions_and_beyond_numbers_are_refused():
    document = changed(["effective", "fixed_charge", "layer2"], "-2 mol/l")
    for ion in document["effective"]["ions"]:
        del ion["diffusivity"]["layer2"]
    with pytest.raises(InputError, match=r"^effective\.fixed_charge\.layer2.*without ions"):
        make_config(document)
    with pytest.raises(InputError, match=r"^effective\.fixed_charge\.layer1.*'Cl'.*Leave the ion out"):
        runs.tensor(changed(["effective", "fixed_charge", "layer1"], "-1e140 mol/l"))


def test_an_ion_that_diffuses_unlike_in_unlike_directions_needs_no_word_on_symmetry():
    """The mirror planes that are sought by default are none of the problem of the frozen fluxes."""
    document = changed(
        ["effective", "ions", 0, "diffusivity", "layer2"], [["2 um^2/s", "0 um^2/s"], ["0 um^2/s", "1 um^2/s"]]
    )
    found = runs.tensor(document).tensor.coefficients
    whole = copy.deepcopy(document)
    whole["effective"]["symmetry"] = "none"
    expected = runs.tensor(whole).tensor.coefficients
    for name in ("frozen_transference.Na", "conductivity"):
        np.testing.assert_allclose(found[name].value, expected[name].value, rtol=1e-9, atol=1e-12)
