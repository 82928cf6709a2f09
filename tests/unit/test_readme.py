"""What the README and the pages show runs as printed, and the commands that they name exist."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from read_files import read_with_meshio
from run_script import output_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
# The limit of D*/D in each phase, from the meshes of VALIDATION at h -> 0.
EXACT = {"er": 0.01044994, "cytosol": 0.94938977}


GUIDE = "\n".join(path.read_text() for path in sorted((ROOT / "docs" / "guide").glob("*.md")))


def blocks(language: str, text: str = README + GUIDE) -> list[str]:
    """Return the examples of the README, then those of the guide."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def run_here(folder: Path, program: str, *arguments: str) -> str:
    """Run a program, or a module, in this process; return what it prints."""
    with contextlib.chdir(folder):
        return output_of(program, *arguments)


def run(folder: Path, *command: str) -> str:
    """Run a command in a process of its own; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_python_example_runs_and_brackets_the_known_limits(tmp_path: Path) -> None:
    example = blocks("python")[0]
    assert len([line for line in example.splitlines() if line.strip()]) <= 16
    (tmp_path / "example.py").write_text(example)
    printed = run(tmp_path, sys.executable, "example.py")
    brackets = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) <= D\*/D <= ([\d.]+)", printed)]
    assert len(brackets) == 2
    for (lower, upper), exact in zip(brackets, EXACT.values(), strict=True):
        assert lower < exact < upper
        assert upper - lower < 0.005 * exact
    assert (tmp_path / "er.json").is_file()
    # What it "ends with", digit by digit but the last, which a mesh refined with another round-off may change.
    (shown,) = re.findall(r"ends with\n\n```\n(.*)\n```", README)
    last = printed.strip().splitlines()[-1]
    assert re.sub(r"[\d.]+", "#", last) == re.sub(r"[\d.]+", "#", shown)
    assert brackets[1] == pytest.approx(tuple(map(float, re.findall(r"\d\.\d+", shown))), abs=2e-6)
    limits = re.search(r"limits under refinement are ([\d.]+) and ([\d.]+)\.", README)
    assert limits is not None
    assert [float(limit) for limit in limits.groups()] == pytest.approx(list(EXACT.values()), abs=6e-8)


def test_the_run_from_python_is_that_of_the_command(tmp_path: Path) -> None:
    (example,) = (block for block in blocks("python") if "runs.tensor" in block)
    assert len(example.split("\n\n")[1].splitlines()) == 2
    config = next(block for block in blocks("toml") if "three-pipe" in block and "[macro]" not in block)
    (tmp_path / "er.toml").write_text(config.replace("resolution = 0.05", "resolution = 0.2"))
    (tmp_path / "shown.py").write_text(example)
    printed = run_here(tmp_path, "shown.py")
    command = ("effective", "er.toml", "--set", "cell.edge=0.2", "--json", "-")
    report = json.loads(run_here(tmp_path, "homfem", *command))
    outcome, *matrix, gap = re.findall(r"[\w.+-]+", printed)
    assert outcome == "DONE"
    assert float(matrix[0]) == pytest.approx(report["value"][0][0], rel=1e-6)
    assert float(gap) == pytest.approx(report["relative_gap"], rel=1e-6)


def test_the_example_of_bounds_runs_and_finds_the_spheres_inside(tmp_path: Path) -> None:
    (example,) = (block for block in blocks("python") if "bounds.table" in block)
    (tmp_path / "shown.py").write_text(example)
    printed = run_here(tmp_path, "shown.py")
    assert " yes " in printed
    assert " NO " not in printed


def test_the_example_of_a_form_runs(tmp_path: Path) -> None:
    """Fibres that turn by two right angles conduct along x as the mean of both conductivities."""
    (example,) = (block for block in blocks("python") if ".ufl(" in block)
    statements = [line for line in example.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(statements) <= 10
    (tmp_path / "shown.py").write_text(example)
    assert float(run_here(tmp_path, "shown.py")) == pytest.approx(0.2, rel=1e-6)


def test_the_example_of_permeability_runs(tmp_path: Path) -> None:
    """K = 1/217.89 of the squared period: Sangani, Acrivos 1982."""
    (example,) = (block for block in blocks("python") if "homogenize_stokes(" in block)
    (tmp_path / "shown.py").write_text(example)
    printed = run_here(tmp_path, "shown.py")
    first = float(re.findall(r"um\^2\n  \[ +([\d.e-]+)", printed)[0])
    assert abs(first * 217.89 / 100.0 - 1.0) < 1e-3
    assert "between bounds" in printed


def test_the_config_is_accepted_and_gives_a_bracket_around_the_known_limit(tmp_path: Path) -> None:
    (tmp_path / "er.toml").write_text(blocks("toml")[0])
    run(tmp_path, sys.executable, "-m", "homfem", "effective", "er.toml", "--json", "er.json", "--fields", "er.xdmf")
    fields = read_with_meshio(tmp_path / "er.xdmf")
    assert {len(values) for values in fields["nodal"][0].values()} == {len(fields["points"])}
    assert len(fields["nodal"][0]) == 3
    from homfem.tensors import EffectiveTensor

    tensor = EffectiveTensor.from_json(tmp_path / "er.json")
    assert tensor.unit == "um^2/s"
    assert tensor.contains(250.0 * EXACT["er"])
    assert tensor.relative_gap is not None
    assert tensor.relative_gap <= 5e-3


def test_the_blocks_are_case_a_of_the_paper(tmp_path: Path) -> None:
    (config,) = (block for block in blocks("toml") if 'method = "corner-galerkin"' in block)
    (tmp_path / "blocks.toml").write_text(config)
    result = json.loads(run_here(tmp_path, "homfem", "effective", "blocks.toml", "--json", "-"))
    assert result["method"] == "corner-galerkin"
    assert result["relative_gap"] < 1e-6
    for entry in (result["value"][0][0], result["value"][1][1]):
        assert abs(entry - 0.647576126) < 1e-8


def test_the_image_is_solved_by_both_methods(tmp_path: Path) -> None:
    import numpy as np

    np.save(tmp_path / "slice.npy", np.pad(np.ones((6, 6), dtype=int), 3))
    (config,) = (block for block in blocks("toml") if 'shape = "image"' in block and "diffusion" in block)
    (tmp_path / "image.toml").write_text(config)
    exact = (0.1 / 1.0 * 3 + 1.0) / (0.1 + 3.0)  # Obnosov's square of fraction 1/4, squared
    for method in ("grid", "finite-element"):
        command = ["effective", "image.toml", "--set", f"effective.method={method}", "--json", "-"]
        result = json.loads(run_here(tmp_path, "homfem", *command))
        assert result["relative_gap"] <= 2e-2
        assert result["lower"][0][0] ** 2 < exact < result["upper"][0][0] ** 2


def test_the_macroscale_config_makes_a_wave(tmp_path: Path) -> None:
    ours = (block for block in blocks("toml") if 'model = "calcium"' in block and 'folder = "wave"' in block)
    (tmp_path / "wave.toml").write_text(next(ours))
    coarse = ["--set", "macro.domain.resolution='3 um'", "--set", "macro.time.step='0.05 s'"]
    run_here(tmp_path, "homfem", "run", "wave.toml", *coarse, "--json", "wave.json")
    summary = json.loads((tmp_path / "wave.json").read_text())
    assert summary["finished"]
    assert summary["drift"] < 1e-12
    assert summary["cytosol_range"]["largest"] > 0.8
    assert (tmp_path / "wave" / "fields.xdmf").is_file()


def test_the_commands_that_it_names_exist() -> None:
    named = r"(?:python|homfem effective|homfem run) ((?:demos|tests|docs)/[\w./-]+)"
    for script in set(re.findall(named, README + GUIDE)):
        assert (ROOT / script).is_file(), script
    for target in set(re.findall(r"\]\(([^)#:]+)\)", README)):
        assert (ROOT / target).exists(), target


def test_the_two_set_up_commands_stand_alone_on_their_lines() -> None:
    lines = [line.strip() for block in blocks("", README) for line in block.splitlines()]
    assert "docker/run python demos/01_calcium_bidomain.py" in lines
    assert "docker/run pytest" in lines


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "environment.yml", "CITATION.cff"])
def test_files_for_readers_are_there_and_finished(name: str) -> None:
    text = (ROOT / name).read_text()
    assert len(text) > 300
    assert not re.search(r"TODO|FIXME|XXX|lorem", text)


def test_the_fibres_lie_between_hill_and_hashin(tmp_path: Path) -> None:
    (config,) = (block for block in blocks("toml") if 'physics = "elasticity"' in block)
    (tmp_path / "fibres.toml").write_text(config)
    result = json.loads(run_here(tmp_path, "homfem", "effective", "fibres.toml", "--json", "-"))
    from homfem.bounds import fibre_bounds

    phases = {"fibre": {"young": 70.0, "poisson": 0.2}, "matrix": {"young": 3.0, "poisson": 0.35}}
    found = fibre_bounds(phases, {"fibre": 0.5, "matrix": 0.5})
    value = result["value"]
    # A hexagonal array is isotropic in the plane: shear modulus and area bulk modulus.
    assert value[0][0] - value[0][1] == pytest.approx(2.0 * value[2][2], rel=1e-3)
    assert found.transverse_shear.lower < value[2][2] < found.transverse_shear.upper
    assert found.area_bulk.lower < 0.5 * (value[0][0] + value[0][1]) < found.area_bulk.upper


def test_the_spheres_let_water_through_as_published(tmp_path: Path) -> None:
    (config,) = (block for block in blocks("toml") if 'physics = "stokes"' in block and "image" not in block)
    (tmp_path / "spheres.toml").write_text(config.replace("fraction = 0.3", "fraction = 0.216"))
    result = json.loads(run_here(tmp_path, "homfem", "effective", "spheres.toml", "--json", "-"))
    assert result["unit"] == "um^2"
    # Zick and Homsy 1982: a drag of 7.442 times Stokes'.
    radius = (0.216 * 3.0 / (4.0 * math.pi)) ** (1.0 / 3.0)
    assert result["value"][0][0] == pytest.approx(100.0**2 / (6.0 * math.pi * radius * 7.442), rel=2e-2)
