"""Every demo runs coarse, asserts its numbers, and leaves its figures, on one rank and on two."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from run_script import on_each_rank

DEMOS = Path(__file__).parents[2] / "demos"
FIGURES = {
    "01_calcium_bidomain.py": ("cell.png", "wave.png", "isochrones.png"),
    "02_cells.py": ("gallery.png", "gyroid.png", "spheres_simple_cubic.png"),
    "03_block_media.py": ("pixelations.png", "flux_lines.png"),
    "05_stokes.py": ("flow.png",),
    "06_elasticity.py": ("elasticity.png",),
    "07_membranes.py": ("membranes.png",),
    "08_new_physics.py": ("piezo.png",),
    "09_coupled_elasticity.py": ("coupled.png",),
    "10_boundary_conditions.py": ("windows.png", "windows_elastic.png", "field.png"),
    "11_permeability_tables.py": ("permeability.png",),
    "12_oxygen_in_tissue.py": ("oxygen.png",),
    "13_packed_bed.py": ("reactor.png", "bed.png"),
    "14_myocyte_tensors.py": ("tensors.png",),
    "15_emi.py": ("emi.png",),
    "16_planar_wave.py": ("cell.png", "velocity.png", "wave.png"),
    "17_ventricle.py": ("activation.png", "electrocardiogram.png"),
    "18_spiral.py": ("spiral.png", "turns.png"),
    "19_dog_bone.py": ("dog_bone.png",),
    "20_heart_fibres.py": ("left.png", "both.png"),
    "21_single_cells.py": ("action_potentials.png", "restitution.png"),
    "22_wave_speed.py": ("speed.png",),
    "23_calcium_cells.py": ("oscillations.png", "open_probability.png", "own.png"),
    "24_calcium_buffers.py": ("buffers.png",),
    "26_two_scale.py": ("fields.png", "calcium.png", "rates.png"),
    "27_calcium_regions.py": ("terminal_cytosol.png", "terminal_er.png", "nucleus_cytosol.png", "nucleus_er.png"),
    "28_dispersion.py": ("dispersion.png",),
    "31_electro_osmosis.py": ("electro_osmosis.png",),
    "29_charged_hydrogel.py": ("hydrogel.png",),
    "30_chemotaxis.py": ("chemotaxis.png",),
    "32_calcium_oscillations.py": ("target.png", "traces.png"),
    "33_breakthrough.py": ("breakthrough.png",),
    "34_image_dispersion.py": ("image.png",),
    "figure_8_er_edges.py": ("figure_8.png",),
}


def test_every_demo_is_run_here():
    assert set(FIGURES) == {path.name for path in DEMOS.glob("*.py")}


@pytest.mark.parametrize("demo", FIGURES)
def test_every_demo_prints_on_one_rank(demo):
    """Each call of print stands under a condition on the rank, or on the number of ranks, in its own function."""

    def loose(node, guarded=False):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print" and not guarded:
            yield node.lineno
        if isinstance(node, ast.If):
            guarded = guarded or ast.unparse(node.test).endswith((".rank == 0", ".size == 1"))
        for child in ast.iter_child_nodes(node):
            yield from loose(child, guarded and not isinstance(child, ast.FunctionDef))

    text = (DEMOS / demo).read_text()
    assert "print(" in text
    assert list(loose(ast.parse(text))) == []


#: On two ranks these would take longer than all the others; what they call has tests on ranks of its own.
LONG = (
    "02_cells.py",
    "05_stokes.py",
    "14_myocyte_tensors.py",
    "15_emi.py",
    "16_planar_wave.py",
    "22_wave_speed.py",
    "26_two_scale.py",
)
#: It draws what only one rank has whole.
ALONE = ("06_elasticity.py",)
RUNS = [(demo, ranks) for demo in FIGURES for ranks in ((1,) if demo in LONG else (1, 2))]


@pytest.mark.parametrize(("demo", "ranks"), RUNS)
def test_demo(demo, ranks, on_ranks, tmp_path):
    arguments = ["--coarse", "--out", str(tmp_path)]
    (found,) = on_ranks(on_each_rank, ranks=(ranks,), file=str(DEMOS / demo), arguments=arguments)
    _check(found["output"], demo, ranks, tmp_path)


def test_a_demo_in_processes_of_its_own(tmp_path):
    """As the page says to start it; the others run in processes that are there already."""
    demo = "07_membranes.py"
    command = ["mpirun", "-n", "2", sys.executable, str(DEMOS / demo), "--coarse", "--out", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    _check(run.stdout, demo, 2, tmp_path)


def _check(output, demo, ranks, folder):
    if ranks > 1:
        first = "\n".join(output.strip().splitlines()[:3])
        assert output.count(first) == 1
    for name in () if ranks > 1 and demo in ALONE else FIGURES[demo]:
        picture = (folder / name).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 20_000
