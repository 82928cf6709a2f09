"""Where neither DOLFINx nor MPI is installed: methods without a mesh compute, everything else says what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from homfem.blocks import BlockMedium, homogenize_blocks
from made_configs import FIELDS

ROOT = Path(__file__).parents[2]
# What is None in sys.modules can neither be imported nor found.
WITHOUT = """
import sys
for name in ("adios2", "adios4dolfinx", "basix", "dolfinx", "dolfinx_mpc", "ffcx", "gmsh", "mpi4py", "petsc4py", "ufl"):
    sys.modules[name] = None
from homfem.cli import main
main(sys.argv[1:])
"""
BLOCKS = """
[cell]
shape = "blocks"
layout = ["LDD", "LLD"]
period = "2 um"
[effective]
physics = "diffusion"
[effective.phases]
L = "1 um^2/s"
D = "0.1 um^2/s"
"""
STRIPES = """
[cell]
shape = "image"
file = "stripes.npy"
labels = { a = 0, b = 1 }
voxel = "1 um"
[effective]
physics = "diffusion"
method = "grid"
[effective.phases]
a = "1 um^2/s"
b = "3 um^2/s"
"""


@pytest.fixture
def alone(tmp_path):
    """Run the command in a folder of configs, without DOLFINx and MPI; return status, output, messages."""
    (tmp_path / "blocks.toml").write_text(BLOCKS)
    (tmp_path / "stripes.toml").write_text(STRIPES)
    np.save(tmp_path / "stripes.npy", np.tile(np.arange(2, dtype=np.uint8), (4, 2)))

    def run(*arguments):
        command = [sys.executable, "-c", WITHOUT, *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        return answer.returncode, answer.stdout, answer.stderr

    return run


@pytest.mark.parametrize("method", ["semi-analytical", "finite-volume", "corner-galerkin"])
def test_methods_of_blocks(alone, method):
    status, output, message = alone("effective", "blocks.toml", "--set", f"effective.method={method}", "--json", "-")
    assert (status, message) == (0, "")
    result = json.loads(output)
    assert set(result) >= FIELDS
    exact = homogenize_blocks(BlockMedium.from_layout(["LDD", "LLD"], {"L": 1.0, "D": 0.1}), degree=8)
    assert np.array(result["value"]) == pytest.approx(exact.value, rel=4e-3, abs=1e-9)
    assert result["ranks"] == 1


def test_finite_elements_on_voxels_with_their_picture(alone, tmp_path):
    status, output, message = alone("effective", "stripes.toml", "--json", "-", "--figure", "stripes.png")
    assert (status, message) == (0, "")
    # Stripes of equal width: the arithmetic mean along them, the harmonic one across.
    assert np.sort(np.diag(json.loads(output)["value"])) == pytest.approx([1.5, 2.0], rel=1e-8)
    assert (tmp_path / "stripes.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["effective", "blocks.toml", "--set", "effective.method=finite-element"], 1, "homfem: the module '"),
        (["cell", "blocks.toml"], 1, "homfem: the module '"),
        (["effective", "blocks.toml", "--set", "effective.phases.L=1"], 2, "homfem: effective.phases.L = "),
        (["effective", "blocks.toml", "--set", "effective.metod=1"], 2, "homfem: effective.metod = "),
        (["effective", "nowhere.toml"], 2, "homfem: CONFIG = 'nowhere.toml'"),
        (["effective", "stripes.toml", "--set", "cell.file=none.npy"], 2, "homfem: cell.file = 'none.npy'"),
        (["keys", "cel"], 2, "homfem: "),
        (["effectiv"], 2, "homfem: No such command 'effectiv'."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_messages(alone, arguments, status, message):
    found, output, text = alone(*arguments)
    assert (found, output) == (status, "")
    assert text.startswith(message)
    assert text.count("\n") == 1


def test_the_doctor_says_what_computes_here(alone):
    status, output, _ = alone("doctor")
    assert status == 1
    assert "PROBLEM: dolfinx is missing" in output
    assert "only methods without a mesh compute here: those of blocks, and method = 'grid' on images" in output
