"""Thermoelasticity, poroelasticity and active stress from a config: exact laminates and relations, in any units."""

from __future__ import annotations

import json

import numpy as np
import pytest

from homfem import bounds, cli
from homfem.cli import session
from homfem.config import load_config, make_config
from homfem.config.document import set_values
from homfem.kinds import STIFFNESS
from homfem.materials import required_coefficient, required_tensor
from homfem.parameters import InputError
from homfem.quantities import EXPANSION, MODULUS, PRESSURE, PURE
from homfem.runs.physics import solve_effective
from homfem.runs.shapes import make_cell
from homfem.stiffness import isotropic, orthotropic, rotate
from homfem.tensors import EffectiveTensor

LAMINATE = {"shape": "laminate", "fractions": [0.25, 0.75], "axis": "x", "dimension": 2, "resolution": 0.25}
HEAT = {
    "cell": LAMINATE,
    "effective": {
        "physics": "thermoelasticity",
        "plane": "stress",
        "phases": {
            "layer1": {"young": "2 GPa", "poisson": 0.3, "expansion": "60e-6 1/K"},
            "layer2": {"young": "70 GPa", "poisson": 0.2, "expansion": "-5e-6 1/K"},
        },
    },
}
PORES = {
    "cell": {"shape": "blocks", "layout": ["SSS", "SVS", "SSS"]},
    "effective": {
        "physics": "poroelasticity",
        "fluid_bulk": "2.2 GPa",
        "phases": {"S": {"young": "20 GPa", "poisson": 0.3}},
    },
}
MUSCLE = {
    "cell": LAMINATE,
    "effective": {
        "physics": "active-stress",
        "active_phase": "layer1",
        "direction": [0, 2],
        "tension": "50 kPa",
        "phases": {"layer1": {"young": "30 kPa", "poisson": 0.4}, "layer2": {"young": "3 kPa", "poisson": 0.3}},
    },
}


@pytest.fixture
def result(monkeypatch, capsys, tmp_path):
    """Compute the tensor of a config in this process; give what it writes to standard output as JSON."""
    for name in session._LAUNCHERS:
        monkeypatch.delenv(name, raising=False)

    def run(document, *assignments, options=("--json", "-"), status=0):
        file = tmp_path / "config.toml"
        file.write_text("".join(toml(document)))
        capsys.readouterr()
        setting = [part for assignment in assignments for part in ("--set", assignment)]
        with pytest.raises(SystemExit) as end:
            cli.main(["effective", str(file), *options, *setting])
        assert end.value.code == status
        found = capsys.readouterr()
        return json.loads(found.out) if options == ("--json", "-") else found.out or found.err

    return run


def toml(tables, path=""):
    """TOML of nested tables; JSON's lists, numbers and strings are those of TOML."""
    for key, entry in tables.items():
        if not isinstance(entry, dict):
            yield f"{key} = {json.dumps(entry)}\n"
    for key, entry in tables.items():
        if isinstance(entry, dict):
            yield f"[{path}{key}]\n"
            yield from toml(entry, f"{path}{key}.")


def numbers(found, name, unit):
    """A coefficient of a result, which has the unit and no bounds."""
    entry = found["coefficients"][name]
    assert (entry["unit"], entry["lower"], entry["upper"]) == (unit, None, None)
    return np.array(entry["value"])


def sheet_expansion(first=(2.0, 0.3, 60.0), second=(70.0, 0.2, -5.0), constraint=1):
    """Across and along free layers (E, nu, alpha): no stress across them, ``constraint`` directions along them."""
    phases = [(0.25, *first), (0.75, *second)]
    stiff = [f * e / (1.0 - (constraint - 1) * nu) for f, e, nu, _ in phases]
    along = sum(s * alpha for s, (*_, alpha) in zip(stiff, phases, strict=True)) / sum(stiff)
    bulge = [constraint * nu / (1.0 - (constraint - 1) * nu) for _, _, nu, _ in phases]
    across = sum(f * (alpha - b * (along - alpha)) for b, (f, _, _, alpha) in zip(bulge, phases, strict=True))
    return 1e-6 * across, 1e-6 * along


def test_the_expansion_of_a_laminated_sheet(result):
    found = result(HEAT)
    across, along = sheet_expansion()
    assert (found["physics"], found["unit"], found["plane"]) == ("thermoelasticity", "GPa", "stress")
    assert numbers(found, "expansion", "1/K") == pytest.approx([across, along, 0.0], abs=1e-14)
    value = np.array(found["value"])
    assert numbers(found, "stress", "GPa/K") == pytest.approx(value @ [across, along, 0.0], abs=1e-12)
    for low, high in (("lower", "value"), ("value", "upper")):
        assert np.linalg.eigvalsh(np.array(found[high]) - np.array(found[low]))[0] >= -1e-9
    assert found["relative_gap"] < 1e-6
    assert found["warnings"] == []


@pytest.mark.parametrize(
    "assignments",
    [
        ["effective.phases.layer1.young=2000 MPa", "effective.phases.layer2.young=7e10 Pa"],
        ["effective.phases.layer1.expansion=60 um/m/K", "effective.phases.layer2.expansion=-5e-9 1/mK"],
        ["effective.phases.layer1.expansion=60e-6 1/degC", "effective.phases.layer2.expansion=-5 ppm/K"],
        ['effective.phases.layer1.expansion=["6e-8 1/mK", "60e-6 1/K", "0 1/K"]'],
        [
            "effective.phases.layer1={bulk='1.6666666666666667 GPa', shear='769.2307692307692 MPa', "
            "expansion='60e-6 1/K'}"
        ],
        ["effective.bounds=false"],
        ["effective.tolerance=1e-3", "effective.degree=1"],
    ],
    ids=str,
)
def test_the_same_sheet_in_other_words(result, assignments):
    found = result(HEAT, *assignments)
    across, along = sheet_expansion()
    assert numbers(found, "expansion", "1/K") == pytest.approx([across, along, 0.0], abs=1e-14)
    in_gpa = 1e-3 if found["unit"] == "MPa" else 1.0
    assert in_gpa * found["value"][1][1] == pytest.approx(0.25 * 2.0 / 0.91 + 0.75 * 70.0 / 0.96, rel=0.05)
    assert (found["lower"] is None) == ("effective.bounds=false" in assignments)
    assert found["upper"] is not None


def test_layers_in_space(result):
    found = result(HEAT | {"cell": LAMINATE | {"dimension": 3}, "effective": HEAT["effective"] | {"bounds": False}},
                   "effective.plane=strain", status=2, options=())  # fmt: skip
    assert "effective.plane = 'strain'" in found
    effective = {key: entry for key, entry in HEAT["effective"].items() if key != "plane"}
    found = result({"cell": LAMINATE | {"dimension": 3}, "effective": effective | {"bounds": False, "degree": 1}})
    across, along = sheet_expansion(constraint=2)
    assert numbers(found, "expansion", "1/K") == pytest.approx([across, along, along, 0, 0, 0], abs=1e-13)
    assert found["plane"] is None


def test_anisotropic_solids_and_levin(result):
    """Two anisotropic phases in a square inclusion: the expansion follows from the stiffness; in plane strain."""
    solid = rotate(
        orthotropic([10.0, 5.0, 2.0], [0.2, 0.3, 0.1], [1.0, 2.0, 3.0]), [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]
    )
    plane = solid[np.ix_([0, 1, 5], [0, 1, 5])]
    rows = [[f"{entry!r} GPa" for entry in row] for row in solid.tolist()]
    strain = np.array([[3.0, 0.5], [0.5, -1.0]])
    phases = {
        "S": {"young": "20 GPa", "poisson": 0.3, "expansion": "2 1/K"},
        "V": {"stiffness": rows, "expansion": ["3 1/K", "-1 1/K", "1 1/K"]},
    }
    found = result(PORES | {"effective": {"physics": "thermoelasticity", "phases": phases}})
    exact = bounds.levin_expansion(
        found["value"], [isotropic(young=20.0, poisson=0.3, dimension=2), plane], [2.0, strain], [8 / 9, 1 / 9]
    )
    assert numbers(found, "expansion", "1/K") == pytest.approx([exact[0, 0], exact[1, 1], 2.0 * exact[0, 1]], abs=1e-7)
    # What a number means in plane strain is said.
    assert "(1 + nu)" in found["warnings"][0]
    phases["S"]["expansion"] = ["2 1/K", "2 1/K", "0 1/K"]
    again = result(PORES | {"effective": {"physics": "thermoelasticity", "phases": phases}})
    assert again["warnings"] == []
    assert again["coefficients"]["expansion"]["value"] == pytest.approx(found["coefficients"]["expansion"]["value"])


@pytest.mark.parametrize(
    "assignments",
    [
        [],
        ["effective.phases.S.young=20000 MPa"],
        ["effective.fluid_bulk=2200 MPa"],
        ["effective.plane=stress"],
        ["effective.tolerance=0.1"],
    ],
    ids=str,
)
def test_pores(result, assignments):
    """One solid: b = (1 - C* S) I and 1/N = (b - phi I).S I, whatever the pores look like."""
    found = result(PORES, *assignments)
    unit = found["unit"]
    size = 1e-3 if unit == "MPa" else 1.0
    value = size * np.array(found["value"])
    solid = isotropic(young=20.0, poisson=0.3, dimension=2)
    if found["plane"] == "stress":
        solid = 20.0 / 0.91 * np.array([[1.0, 0.3, 0.0], [0.3, 1.0, 0.0], [0.0, 0.0, 0.35]])
    ones = np.array([1.0, 1.0, 0.0])
    squeezed = np.linalg.solve(solid, ones)
    biot = numbers(found, "biot", "")
    porosity = float(numbers(found, "porosity", ""))
    assert porosity == pytest.approx(1.0 / 9.0)
    assert biot == pytest.approx(ones - value @ squeezed, abs=1e-7)
    stored = (biot - porosity * ones) @ squeezed
    assert size * numbers(found, "modulus", unit) == pytest.approx(1.0 / stored, rel=1e-6)
    assert numbers(found, "storage", f"1/{unit}") / size == pytest.approx(stored + porosity / 2.2, rel=1e-6)
    assert found["lower"][0][0] < found["value"][0][0] <= found["upper"][0][0]
    if "effective.tolerance=0.1" in assignments:
        assert found["relative_gap"] <= 0.1


def test_a_cell_without_voids_is_refused(result):
    message = result(PORES, "effective.phases.V={young='1 GPa', poisson=0.1}", status=2, options=())
    assert "effective.phases = ['S', 'V']: it must be given for some phases only" in message


def test_a_budget_and_a_degree(result):
    found = result(PORES, "effective.tolerance=1e-3", "effective.max_dofs=2000", status=3)
    assert found["reached"] is False
    assert found["dofs"] <= 2000
    dofs = [result(PORES, "effective.bounds=false", f"effective.degree={degree}")["dofs"] for degree in (1, 2)]
    assert dofs[0] < dofs[1] / 3


def test_an_unknown_fluid_stores_nothing(result):
    effective = {key: entry for key, entry in PORES["effective"].items() if key != "fluid_bulk"}
    found = result(PORES | {"effective": effective | {"bounds": False}})
    assert set(found["coefficients"]) == {"biot", "modulus", "porosity"}


@pytest.mark.parametrize(
    "assignments",
    [
        [],
        ["effective.tension=0.05 MPa"],
        ["effective.phases.layer1.young=0.03 MPa"],
        ["effective.direction=[0.0, -0.1]"],
        ["effective.bounds=false"],
    ],
    ids=str,
)
def test_contraction_along_layers(result, assignments):
    """Nothing relaxes along the layers; across them the traction is shared as their moduli want it."""
    found = result(MUSCLE, *assignments)
    unit = found["unit"]
    assert unit == ("MPa" if "0.03" in str(assignments) else "kPa")
    size = {"kPa": 1.0, "MPa": 1e3}[unit]
    for name in ("stress", "average"):
        assert size * numbers(found, name, unit) == pytest.approx([0.0, 12.5, 0.0], abs=1e-8)
    across = result(MUSCLE, *assignments[:1], "effective.direction=[1, 0]")
    stiff = [isotropic(young=young, poisson=nu, dimension=2) for young, nu in ((30.0, 0.4), (3.0, 0.3))]
    first = -50.0 / (stiff[0][0, 0] + stiff[1][0, 0] / 3.0)
    second = -first / 3.0
    exact = [stiff[1][0, 0] * second, 0.25 * stiff[0][0, 1] * first + 0.75 * stiff[1][0, 1] * second, 0.0]
    assert size * numbers(across, "stress", unit) == pytest.approx(exact, abs=1e-7)
    assert size * numbers(across, "average", unit) == pytest.approx([12.5, 0.0, 0.0], abs=1e-8)


@pytest.mark.parametrize(
    ("config", "quantity", "units", "bases"),
    [
        ("HEAT", EXPANSION, {"expansion": "1/mK"}, {"expansion": "strain", "stress": "stress"}),
        ("MUSCLE", PRESSURE, {"stress": "N/m^2", "average": "mN/mm^2"}, {"stress": "stress", "average": "stress"}),
    ],
)
def test_a_macroscale_model_takes_what_was_coupled(result, config, quantity, units, bases):
    found = result({"HEAT": HEAT, "MUSCLE": MUSCLE}[config], "effective.bounds=false")
    tensor = EffectiveTensor.from_json(json.dumps(found))
    assert {name: entry.basis for name, entry in tensor.coefficients.items()} == bases
    for name, unit in units.items():
        taken = required_coefficient("tissue", tensor, name, quantity, unit=unit, basis=bases[name])
        factor = {"1/mK": 1e-3, "N/m^2": 1e3, "mN/mm^2": 1.0}[unit]
        assert taken == pytest.approx(factor * np.array(found["coefficients"][name]["value"]), rel=1e-12)


def test_contraction_of_everything_and_per_unit(result):
    effective = {key: entry for key, entry in MUSCLE["effective"].items() if key != "tension"}
    effective |= {"phases": {"S": {"young": "1 kPa", "poisson": 0.2}}, "active_phase": "S", "direction": [1, 1]}
    found = result({"cell": {"shape": "blocks", "layout": ["SSS"] * 3}, "effective": effective})
    assert numbers(found, "stress", "") == pytest.approx([0.5, 0.5, 0.5], abs=1e-9)
    assert np.array(found["value"]) == pytest.approx(isotropic(young=1.0, poisson=0.2, dimension=2), abs=1e-9)


def test_results_are_printed_kept_and_drawn(result, tmp_path):
    files = {"json": tmp_path / "out.json", "figure": tmp_path / "out.png", "fields": tmp_path / "out.bp"}
    options = tuple(part for key, file in files.items() for part in (f"--{key}", str(file)))
    text = result(PORES, "effective.bounds=false", options=options)
    assert "effective tensor (poroelasticity, S; finite-element, periodic) in GPa" in text
    tensor = EffectiveTensor.from_json(files["json"])
    assert text.strip() == str(tensor)
    lines = [line.strip() for line in text.splitlines()]
    biot, modulus = tensor.coefficients["biot"], tensor.coefficients["modulus"]
    assert abs(biot.value[2]) < 1e-12 * biot.value[0]  # round-off, which is printed as the zero that it is
    assert f"biot: [{biot.value[0]:.7g}, {biot.value[1]:.7g}, 0]" in lines
    assert f"modulus: {float(modulus.value):.7g} GPa" in lines
    assert modulus.value.shape == ()
    assert tensor.anisotropy == "square"
    assert EffectiveTensor.from_json(tensor.to_json()) == tensor
    # What a model in MPa takes from the file.
    solid = required_tensor("solid", files["json"], STIFFNESS, unit="MPa", dimension=2)
    assert solid.value == pytest.approx(1e3 * tensor.value, rel=1e-12)
    taken = required_coefficient("solid", solid, "modulus", MODULUS, unit="MPa", basis="scalar")
    assert taken == pytest.approx(1e3 * float(modulus.value), rel=1e-12)
    assert required_coefficient("solid", solid, "biot", PURE, unit="", basis="stress") == pytest.approx(biot.value)
    assert files["figure"].stat().st_size > 5_000
    assert files["fields"].exists()
    assert "Voigt-Reuss" in str(bounds.table(tensor, {"S": {"young": 20.0, "poisson": 0.3}}))


def test_moduli_from_a_file_beside_the_config(result, tmp_path):
    np.save(tmp_path / "inclusion.npy", np.pad(np.ones((2, 2)), 1))
    np.save(tmp_path / "young.npy", np.full((4, 4), 70.0))
    cell = {"shape": "image", "file": "inclusion.npy", "labels": {"layer1": 0, "layer2": 1}, "voxel": "1 um"}
    constant = result(HEAT | {"cell": cell}, "effective.bounds=false")
    field = "{ field = { file = 'young.npy', unit = 'kN/mm^2' } }"
    varying = result(HEAT | {"cell": cell}, "effective.bounds=false", f"effective.phases.layer2.young={field}")
    for name, unit in (("expansion", "1/K"), ("stress", "GPa/K")):
        assert numbers(varying, name, unit) == pytest.approx(numbers(constant, name, unit), rel=1e-6, abs=1e-12)


REFUSED = [
    (HEAT, "effective.phases.layer1.expansion=1e-5", ["effective.phases.layer1.expansion = 1e-05", "no unit"]),
    (HEAT, "effective.phases.layer1.expansion='1e-5 K'", ["effective.phases.layer1.expansion", "1 / [temperature]"]),
    (HEAT, "effective.phases.layer1.expansion=['1e-5 /K']", ["effective.phases.layer1.expansion", "xx yy xy"]),
    (HEAT, "effective.phases.layer1.expansion=['1 /K', '1 /K', '1 K']", ["effective.phases.layer1.expansion[2] ="]),
    (HEAT, f"effective.phases.layer1.expansion={['1 /K'] * 6}", ["effective.phases.layer1.expansion", "xx yy xy"]),
    (HEAT, "effective.phases.layer1={young='1 GPa', poisson=0.3}", ["effective.phases.layer1.expansion = (missing)"]),
    (HEAT, "effective.phases.layer1={expansion='1 /K'}", ["effective.phases.layer1", "young and poisson"]),
    (HEAT, "effective.phases.layer1='1 GPa'", ["effective.phases.layer1 = '1 GPa'", "expansion"]),
    (HEAT, "effective.phases.layer1={stiffness='1 GPa', expansion='1 /K'}", ["effective.phases.layer1", "6x6"]),
    (HEAT, "effective.phases={}", ["effective.phases = {}", "one key per solid phase"]),
    (HEAT, "effective.phases.layer3={young='1 GPa', poisson=0.1, expansion='1 /K'}", ["effective.phases.layer3"]),
    (HEAT, "effective.boundary=affine", ["effective.boundary = 'affine'", "'periodic'"]),
    (HEAT, "effective.symmetry=auto", ["effective.symmetry = 'auto'", "'none'"]),
    (HEAT, "effective.method=grid", ["effective.method = 'grid'", "thermoelasticity"]),
    (HEAT, "effective.bounds=1", ["effective.bounds = 1", "true"]),
    (HEAT, "effective.tension='1 kPa'", ["effective.tension"]),
    (PORES, "effective.fluid_bulk='-1 GPa'", ["effective.fluid_bulk", "> 0"]),
    (PORES, "effective.fluid_bulk=1", ["effective.fluid_bulk = 1", "no unit"]),
    (PORES, "effective.plane=plate", ["effective.plane = 'plate'", "'stress'"]),
    (PORES, "effective.phases.S.expansion='1 /K'", ["effective.phases.S"]),
    (MUSCLE, "effective.active_phase=layer3", ["effective.active_phase = 'layer3'", "'layer1'"]),
    (MUSCLE, "effective.direction=[0, 0]", ["effective.direction = [0.0, 0.0]", "not zero"]),
    (MUSCLE, "effective.direction=[0, 0, 1]", ["effective.direction", "2 numbers"]),
    (MUSCLE, "effective.direction=['1 m', 0]", ["effective.direction[0] = '1 m'", "pure numbers"]),
    (MUSCLE, "effective.direction=1", ["effective.direction = 1", "a list of 2 or 3"]),
    (MUSCLE, "effective.tension='50 N'", ["effective.tension = '50 N'", "modulus"]),
    (MUSCLE, "effective.tensions='50 kPa'", ["effective.tensions", "'effective.tension'"]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "assignment", "fragments"), REFUSED, ids=[case[1] for case in REFUSED])
def test_refusals_name_path_value_and_what_is_allowed(document, assignment, fragments):
    with pytest.raises(InputError) as caught:
        make_config(set_values(document, [assignment]))
    for fragment in fragments:
        assert fragment in str(caught.value)


@pytest.mark.parametrize(("document", "key"), [(MUSCLE, "active_phase"), (MUSCLE, "direction"), (HEAT, "phases")])
def test_keys_that_are_needed(document, key):
    effective = {name: entry for name, entry in document["effective"].items() if name != key}
    with pytest.raises(InputError, match=rf"effective\.{key} = \(missing\)"):
        make_config(document | {"effective": effective})


def case_coupled(comm):
    """What the three tables compute on the ranks of a communicator."""
    results = {}
    for name, document in (("heat", HEAT), ("pores", PORES), ("muscle", MUSCLE)):
        config = make_config(set_values(document, ["effective.bounds=false"]))
        cell = make_cell(config.cell, comm, ".")
        tensor = solve_effective(config.effective, cell, config=config.document).tensor
        results[name] = tensor.to_dict()["coefficients"] | {"value": tensor.value.tolist()}
    return results


def test_two_ranks_compute_the_same(on_ranks):
    from mpi4py import MPI

    (two,) = on_ranks(case_coupled, ranks=(2,))
    one = case_coupled(MPI.COMM_SELF)
    for name in one:
        assert np.array(two[name].pop("value")) == pytest.approx(np.array(one[name].pop("value")), rel=1e-7, abs=1e-7)
        assert two[name].keys() == one[name].keys()
        for key, entry in one[name].items():
            size = np.abs(entry["value"]).max()
            assert two[name][key]["unit"] == entry["unit"]
            assert two[name][key]["value"] == pytest.approx(entry["value"], rel=1e-7, abs=1e-7 * size)


def test_a_file_is_read(tmp_path):
    (tmp_path / "muscle.toml").write_text("".join(toml(MUSCLE)))
    assert load_config(tmp_path / "muscle.toml").effective.direction == (0.0, 2.0)
