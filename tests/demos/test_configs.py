"""The configs beside the demos run as they are, but shorter and coarser, and give what the demos do."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from homfem import runs
from homfem.kinetics import REACTIONS, named_reaction, written_reaction

DEMOS = Path(__file__).parents[2] / "demos"
#: Of each config: what is coarser, and what a probe holds at the end.
COARSE = {
    "12_oxygen_in_tissue.toml": (
        {"cell.resolution": 0.2, "macro.domain.resolution": "20 um", "macro.time.end": "20 s"},
        {"far": ("oxygen", 55.2, 0.3), "edge": ("oxygen", 41.9, 1.0), "corner": ("oxygen", 0.2, 0.5)},
    ),
    "13_packed_bed.toml": (
        {"cell.resolution": 0.3},
        {"outlet": ("gas", 0.1713, 1e-3), "inlet": ("gas", 0.9793, 1e-3)},
    ),
    "33_breakthrough.toml": (
        {"cell.resolution": 0.2, "macro.domain.resolution": "10 um"},
        {"middle": ("solute", 0.9224, 3e-3)},  # by the formula of the demo
    ),
    "17_ventricle.toml": (
        {
            "macro.domain.resolution": "1.4 mm",
            "macro.time.end": "50 ms",
            "macro.output.every": "50 ms",
            "macro.output.checkpoint_every": "50 ms",
        },
        {"endocardium": ("V", 18.6, 2.0), "epicardium": ("V", 18.6, 2.0)},  # both are activated
    ),
    "18_spiral.toml": (
        {"macro.domain.resolution": "1.25 mm", "macro.time.step": "1 ms", "macro.time.end": "1.14 s"},
        {"right": ("V", 12.9, 3.0)},  # the spiral has come back
    ),
    "19_dog_bone.toml": (
        {"macro.domain.resolution": "0.4 mm", "macro.time.step": "4 ms"},
        # Those of an infinite sheet, by Fourier transform as in the demo.
        {"cathode": ("V", 26.76, 2.5), "virtual anode": ("V", -0.664, 0.2), "dog bone": ("V", 0.890, 0.3)},
    ),
}


#: Of each config of a tensor: what is coarser, and the last value.
COARSE_TENSORS = {
    "28_dispersion.toml": (
        {"cell.resolution": 0.1, "effective.peclet": [1.0, 100.0]},
        [[721.496, -11.6125], [-11.6125, 215.8647]],
    ),
}
#: The same of configs of a cell alone: a coefficient, its first entry, how far the coarse cell may be off.
OF_CELLS = {
    "29_charged_hydrogel.toml": (
        {"cell.resolution": 0.12, "effective.tolerance": 5e-2},
        {"conductivity": (1.1042, 2e-2), "transference.Na": (0.6219, 2e-3)},
    ),
    "30_chemotaxis.toml": (
        {"cell.resolution": 0.12, "effective.tolerance": 1e-1},
        {"sensitivity": (5.0 * 1.1832, 2e-2), "motility": (0.6044, 2e-3)},
    ),
}


def test_every_config_is_run_here():
    assert {*COARSE, *COARSE_TENSORS, *OF_CELLS} == {path.name for path in DEMOS.glob("*.toml")}


@pytest.mark.parametrize("name", COARSE_TENSORS)
def test_config_of_a_tensor(name, tmp_path):
    overrides, expected = COARSE_TENSORS[name]
    shutil.copy(DEMOS / name, tmp_path)
    found = runs.tensor(tmp_path / name, overrides=overrides).report()
    for row, entries in zip(found["results"][-1]["value"], expected, strict=True):
        assert row == pytest.approx(entries, rel=2e-3)


@pytest.mark.parametrize("name", OF_CELLS)
def test_config_of_a_cell(name):
    overrides, expected = OF_CELLS[name]
    found = runs.tensor(DEMOS / name, overrides=overrides).tensor
    assert found.reached
    for coefficient, (value, room) in expected.items():
        one = found.coefficients[coefficient]
        assert one.value[0, 0] == pytest.approx(value, abs=room)
        assert one.lower[0, 0] < one.value[0, 0] < one.upper[0, 0]


@pytest.mark.parametrize("name", COARSE)
def test_config(name, tmp_path):
    overrides, expected = COARSE[name]
    for file in (name, *re.findall(r'file = "(.*)"', (DEMOS / name).read_text())):
        shutil.copy(DEMOS / file, tmp_path)
    run = runs.macro(tmp_path / name, overrides=overrides)
    probes = run.report()["probes"]
    for probe, (field, value, room) in expected.items():
        assert probes[probe][field][-1] == pytest.approx(value, abs=room)


def test_the_page_of_the_model_has_what_there_is():
    """Its reactions can be made with the units that it writes, and its table names them all."""
    page = (DEMOS.parent / "docs" / "reaction-diffusion.md").read_text()
    first, second = (
        tomllib.loads(block)["macro"]["reaction"]
        for block in re.findall("```\n(.*?)```", page, re.S)
        if "[macro.reaction" in block
    )
    named = named_reaction(first.pop("name"), {"oxygen": "uM"}, parameters=first, bare=False)
    assert named.values().maximum == 20.0
    units = dict.fromkeys(second["rates"], "uM")
    written = written_reaction(second["rates"], units, parameters=second["parameters"])
    assert written.values().full == pytest.approx(8800.0)
    table = page.split("| name | rate | roles |")[1].split("The sources")[0]
    assert set(re.findall("`([a-z-]+)`", table)) == set(REACTIONS)
    named_files = re.findall(r"`((?:tests|demos)/[\w/.]+)`", page)
    assert [name for name in named_files if not (DEMOS.parent / name).exists()] == []
