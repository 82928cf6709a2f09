"""The command ``homfem effective``: its result, statuses, methods and figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from homfem.tensors import EffectiveTensor
from made_configs import EFFECTIVE, FIELDS


def test_effective_gives_a_result_with_every_field(homfem, er, tmp_path):
    file = tmp_path / "er.json"
    status, out, err = homfem("effective", er, "--json", file)
    assert (status, err) == (0, "")
    assert "effective tensor (diffusion, er" in out
    result = json.loads(file.read_text())
    assert result.keys() >= FIELDS
    assert (result["unit"], result["length_unit"], result["ranks"]) == ("um^2/s", "um", 1)
    assert result["config"]["cell"] == {"shape": "three-pipe", "edge": 0.5, "period": "2 um", "resolution": 0.3}
    assert result["volume_fractions"] == pytest.approx({"er": 0.5, "cytosol": 0.5}, rel=1e-12)
    assert result["interface_area"] == pytest.approx(12 * 0.5 * 0.5 / 2.0, rel=1e-12)
    tensor = EffectiveTensor.from_json(file)
    assert tensor.contains(tensor.value)
    assert np.all(np.diag(tensor.upper) < 125.0)  # Voigt


def test_json_on_standard_output_stands_alone(homfem, er):
    status, out, err = homfem("effective", er, "--json", "-")
    assert (status, err) == (0, "")
    assert json.loads(out).keys() >= FIELDS


def test_units_and_set_change_the_result_as_they_should(homfem, er):
    """D* is linear in D and does not depend on the period."""
    values = []
    for assignments in ([], ["effective.phases.er=0.125 um^2/ms"], ["cell.period=1 nm", "effective.phases.er=1 m^2/s"]):
        options = [option for text in assignments for option in ("--set", text)]
        result = json.loads(homfem("effective", er, "--json", "-", *options)[1])
        values.append((np.array(result["value"]), result["unit"]))
    assert [unit for _, unit in values] == ["um^2/s", "um^2/ms", "m^2/s"]
    assert values[1][0] == pytest.approx(values[0][0] / 2000.0, rel=1e-8, abs=1e-12)
    assert values[2][0] == pytest.approx(values[0][0] / 250.0, rel=1e-8, abs=1e-12)


def test_a_bound_that_says_nothing_is_status_3_and_the_value_is_the_other(homfem):
    """Layers of 1e12 and 1: 2 across, in a bracket. At 1e13 with a thin layer the solver leaves no lower bound."""
    cases = Path(__file__).parents[1] / "cases"
    status, out, _ = homfem("effective", cases / "lam.toml", "--json", "-")
    good = json.loads(out)
    assert status == 0
    assert good["value"][0][0] == pytest.approx(2.0 / (1.0 + 1e-12), rel=1e-7)
    assert good["lower"][0][0] == pytest.approx(2.0, rel=1e-3)  # the solver's residual; the value does not carry it
    assert good["upper"][0][0] == pytest.approx(2.0, rel=1e-5)
    assert good["roundoff"] > 0.0
    status, out, _ = homfem("effective", cases / "four_layers.toml", "--json", "-")
    bad = json.loads(out)
    assert status == 3
    assert not bad["reached"]
    assert any("the lower bound is not positive" in warning for warning in bad["warnings"])
    exact = 1.0 / (0.3 / 1e10 + 0.001 / 1.0 + 0.4 / 1e5 + 0.299 / 1e-3)
    assert bad["value"][0][0] == pytest.approx(exact, rel=1e-4)


def test_phases_that_are_nearly_incompressible_have_a_value(homfem):
    """A Poisson number of .4999998: the stresses are beyond what rounding allows, and the value is the upper bound."""
    status, out, _ = homfem("effective", Path(__file__).parents[1] / "cases" / "incompressible.toml", "--json", "-")
    assert status == 3
    result = json.loads(out)
    assert any("the lower bound is not positive" in warning for warning in result["warnings"])
    assert 1.0 / (0.4 / 1.0 + 0.6 / 0.1) < result["value"][2][2] < 0.4 * 1.0 + 0.6 * 0.1
    assert result["value"][0][1] == pytest.approx(1e6, rel=1e-5)


@pytest.mark.parametrize(
    "cell",
    [
        'shape = "three-pipe"\nedge = 0.2',
        'file = "hexagonal.geo"',
        'shape = "image"\nfile = "a.npy"\nlabels = { er = 0, cytosol = 1 }',
    ],
)
def test_a_variable_of_the_environment_keeps_its_name(homfem, tmp_path, monkeypatch, cell):
    monkeypatch.setenv("HOMFEM_MEMORY", "much")
    np.save(tmp_path / "a.npy", np.eye(4, dtype=np.uint8))
    shutil.copy(Path(__file__).parents[1] / "cases" / "hexagonal.geo", tmp_path)
    (tmp_path / "a.toml").write_text(f"[cell]\n{cell}\n{EFFECTIVE}")
    status, _, err = homfem("effective", tmp_path / "a.toml")
    assert (status, err) == (2, "homfem: HOMFEM_MEMORY = 'much': it must be a size of memory, such as '64 GB'\n")


def test_short_of_the_tolerance_is_status_3_with_a_warning(homfem, er):
    options = ["--set", "effective.tolerance=1e-5", "--set", "effective.max_dofs=10000"]
    status, out, err = homfem("effective", er, "--json", "-", *options)
    assert status == 3
    assert "homfem: warning: " in err
    assert "10000" in err
    result = json.loads(out)
    assert not result["reached"]
    assert result["relative_gap"] > 1e-5


def test_figure_of_the_solved_cell(homfem, er, tmp_path):
    figure = tmp_path / "er.png"
    status, _, err = homfem("effective", er, "--figure", figure)
    assert status == 0, err
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_an_image_by_its_grid_and_by_a_mesh(homfem, tmp_path):
    np.save(tmp_path / "square.npy", np.pad(np.ones((4, 4)), 2))
    config = (
        '[cell]\nshape = "image"\nfile = "square.npy"\nlabels = { pore = 0, solid = 1 }\nvoxel = "1 um"\n'
        '[effective]\nphysics = "diffusion"\ntolerance = 2e-2\n'
        '[effective.phases]\npore = "1 um^2/s"\nsolid = "5 um^2/s"\n'
    )
    (tmp_path / "i.toml").write_text(config)
    exact = np.sqrt((1.0 + 15.0) / (5.0 + 3.0))  # Obnosov's square of fraction 1/4
    for method in ("grid", "finite-element"):
        status, output, _ = homfem(
            "effective", str(tmp_path / "i.toml"), "--set", f"effective.method={method}", "--json", "-",
            "--figure", str(tmp_path / f"{method}.png"),
        )  # fmt: skip
        assert status == 0
        result = json.loads(output)
        assert result["method"] == method
        assert result["lower"][0][0] < exact < result["upper"][0][0]
        assert result["volume_fractions"] == pytest.approx({"pore": 0.75, "solid": 0.25})
        assert result["interface_area"] == pytest.approx(16.0 / 64.0)
        assert (tmp_path / f"{method}.png").read_bytes().startswith(b"\x89PNG")
