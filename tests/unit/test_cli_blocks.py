"""The command ``homfem effective`` on block media, and ``homfem blocks tables``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from homfem.blocks import BlockMedium, homogenize_blocks
from made_configs import FIELDS

BLOCKS = """
[cell]
shape = "blocks"
layout = ["LDD", "LLD"]
widths = [0.5, 0.3, 0.2]
heights = [0.25, 0.75]
period = "2 um"
[effective]
physics = "diffusion"
[effective.phases]
L = "1 um^2/s"
D = "0.1 um^2/s"
"""


@pytest.mark.parametrize("method", ["semi-analytical", "finite-volume", "corner-galerkin", "finite-element"])
def test_every_method_gives_the_tensor_of_blocks(homfem, tmp_path, method):
    (tmp_path / "b.toml").write_text(BLOCKS)
    status, output, _ = homfem(
        "effective", str(tmp_path / "b.toml"), "--set", f"effective.method={method}", "--json", "-",
        "--figure", str(tmp_path / "b.png"),
    )  # fmt: skip
    assert status == 0
    result = json.loads(output)
    assert set(result) >= FIELDS
    # The same blocks with periods of 2 along both axes: the tensor of corner-Galerkin at degree 8.
    medium = BlockMedium.from_layout(["LDD", "LLD"], {"L": 1.0, "D": 0.1}, widths=[0.5, 0.3, 0.2], heights=[0.25, 0.75])
    exact = homogenize_blocks(medium, degree=8)
    assert np.array(result["value"]) == pytest.approx(exact.value, rel=4e-3, abs=1e-9)
    assert result["method"] == method
    assert result["unit"] == "um^2/s"
    assert result["volume_fractions"] == pytest.approx({"L": 0.725, "D": 0.275}, abs=1e-12)
    assert result["interface_area"] == pytest.approx(2.6 / 2.0, rel=1e-12)
    assert (result["upper"] is None) == (method == "semi-analytical")
    assert (result["lower"] is None) == (method in ("semi-analytical", "finite-volume"))
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    without = method in ("semi-analytical", "finite-volume")
    assert (result["estimated_error"] is not None) == bool(result["warnings"]) == without
    if without:
        tight = ("--set", f"effective.method={method}", "--set", "effective.tolerance=1e-6", "--json", "-")
        status, output, _ = homfem("effective", str(tmp_path / "b.toml"), *tight)
        assert status == 3
        assert json.loads(output)["estimated_error"] == result["estimated_error"] > 1e-6


def test_methods_without_a_mesh_write_no_fields(homfem, tmp_path):
    (tmp_path / "b.toml").write_text(BLOCKS)
    status, _, message = homfem(
        "effective", str(tmp_path / "b.toml"), "--set", "effective.method=finite-volume",
        "--fields", str(tmp_path / "f.bp"),
    )  # fmt: skip
    assert status == 2
    assert "--fields" in message
    assert not (tmp_path / "f.bp").exists()


def test_tables_of_the_paper_are_regenerated(homfem, tmp_path):
    status, output, _ = homfem(
        "blocks", "tables", "1", "figure 3", "--quick", "--repeats", "1",
        "--json", str(tmp_path / "t.json"), "--figure", str(tmp_path / "f.png"),
    )  # fmt: skip
    assert status == 0
    assert "Table 1" in output
    assert "Figure 3" in output
    tables = json.loads((tmp_path / "t.json").read_text())
    assert list(tables) == ["1", "figure 3"]
    columns = tables["figure 3"]["columns"]
    for row in tables["figure 3"]["rows"]:
        entry = dict(zip(columns, row, strict=True))
        assert entry["N(SA)"] == entry["m"] ** 2 * (16 + 16 + 1)
        assert entry["CG"] == pytest.approx(np.sqrt(0.1), rel=1e-8)
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    status, _, message = homfem("blocks", "tables", "7")
    assert status == 2
    assert "TABLE = '7'" in message
