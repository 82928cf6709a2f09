"""The command line: exit statuses, one message, JSON fields, figures and files; the same on several ranks."""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from homfem.blocks import BlockMedium, homogenize_blocks
from homfem.parameters import ConvergenceError, InputError
from homfem.tensors import EffectiveTensor

CELL = '[cell]\nshape = "three-pipe"\nedge = 0.5\nperiod = "2 um"\nresolution = 0.3\n'
EFFECTIVE = '[effective]\nphysics = "diffusion"\n[effective.phases]\ner = "250 um^2/s"\n'
WAVE = """
[macro]
model = "calcium"
[macro.domain]
shape = "box"
size = ["40 um", "20 um"]
resolution = "4 um"
[macro.tensors]
cytosol = { value = "16 um^2/s", volume_fraction = 0.8 }
er = { value = "2 um^2/s", volume_fraction = 0.2 }
interface_area = "2 1/um"
[macro.kinetics]
ip3 = "0.3 uM"
[macro.time]
end = "0.4 s"
step = "20 ms"
[macro.stimulus]
rise = "0.8 uM"
centre = ["0 um", "0 um"]
radius = "12 um"
[macro.output]
folder = "wave"
every = "0.1 s"
checkpoint_every = "0.2 s"
"""
# What every result holds, by the contract of the command.
FIELDS = {
    "physics", "method", "boundary", "value", "lower", "upper", "relative_gap", "unit", "volume_fractions",
    "interface_area", "dofs", "iterations", "seconds", "ranks", "versions", "config",
}  # fmt: skip


@pytest.fixture
def er(tmp_path):
    path = tmp_path / "er.toml"
    path.write_text(CELL + EFFECTIVE)
    return path


@pytest.fixture
def wave(tmp_path):
    path = tmp_path / "wave.toml"
    path.write_text(WAVE)
    return path


def outside(*arguments, ranks=None, **environment):
    """Run ``python -m homfem`` in processes of its own."""
    launcher = ["mpirun", "-n", str(ranks)] if ranks else []
    command = [*launcher, sys.executable, "-m", "homfem", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | environment)


def test_help_and_version(homfem):
    assert homfem() == homfem("--help")
    status, out, _ = homfem("--help")
    assert status == 0
    for name in ("effective", "cell", "run", "doctor"):
        assert name in out
    shown = " ".join(homfem("cell", "--help")[1].replace("\u2502", " ").split())
    assert "one length, [a, b, c], or vectors [[a, b], [c, d]]" in shown
    import homfem as package

    assert homfem("--version") == (0, f"homfem {package.__version__}\n", "")


def test_help_loads_nothing_heavy_and_is_fast():
    script = (
        "import sys, homfem.cli\ntry: homfem.cli.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'dolfinx', 'mpi4py', 'numpy', 'pint', 'pydantic'}\n"
        "print(*{m.split('.')[0] for m in sys.modules} & heavy, file=sys.stderr)"
    )
    # Held against what the libraries of the command line alone take of the processor, which is as busy with both.
    libraries = "import typer.main, typer.rich_utils, rich.markdown"
    shares = []
    for _ in range(3):
        spent = [resource.getrusage(resource.RUSAGE_CHILDREN)]
        for program in (script, libraries):
            answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            assert answer.stderr.split() == []
            spent.append(resource.getrusage(resource.RUSAGE_CHILDREN))
        ours, theirs = (b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in itertools.pairwise(spent))
        shares.append(ours / theirs)
    assert min(shares) < 4.0


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


def test_a_mesh_of_junk_is_no_domain(homfem, tmp_path):
    for name in ("dom_junk.toml", "junk.msh"):  # the folder of the run is made beside them
        shutil.copy(Path(__file__).parents[1] / "cases" / name, tmp_path)
    status, _, err = homfem("run", tmp_path / "dom_junk.toml")
    assert status == 2
    assert err.startswith("homfem: macro.domain.file = ")
    assert "read file" in err
    assert err.count("\n") == 1


def test_short_of_the_tolerance_is_status_3_with_a_warning(homfem, er):
    options = ["--set", "effective.tolerance=1e-5", "--set", "effective.max_dofs=10000"]
    status, out, err = homfem("effective", er, "--json", "-", *options)
    assert status == 3
    assert "homfem: warning: " in err
    assert "10000" in err
    result = json.loads(out)
    assert not result["reached"]
    assert result["relative_gap"] > 1e-5


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["effective", "none.toml"], ["CONFIG = 'none.toml'", "exists"]),
        (["effective", "er.toml", "--set", "cell.edge=1.5"], ["cell.edge = 1.5", "> 0 and < 1"]),
        (["effective", "er.toml", "--set", "cell.edg=1.5"], ["cell.edg = 1.5", "known keys", "'cell.edge'"]),
        (["effective", "er.toml", "--set", "effective.phases.err=1 m^2/s"], ["effective.phases.err", "er, cytosol"]),
        (["effective", "er.toml", "--set", "nokey"], ["--set = 'nokey'", "path.to.key=value"]),
        (["effective", "er.toml", "--json", "no/er.json"], ["--json = 'no/er.json'", "a folder that exists"]),
        (["effective", "er.toml", "--json", "."], ["--json = '.'", "can be written"]),
        (["effective", "er.toml", "--figure", "er.jpg"], ["--figure = 'er.jpg'", ".png"]),
        (["cell", "er.toml", "--save", "er.stl"], ["--save = 'er.stl'", ".msh or .xdmf"]),
        (["run", "er.toml"], ["macro = (missing)", "[macro]"]),
        (["effective", "wave.toml"], ["cell = (missing)", "[cell]"]),
        (["cell", "flat.toml"], ["cell.file = 'flat.geo'", "its physical groups = 0 must be", "Physical Surface"]),
        (["effective"], ["Missing argument", "CONFIG.toml"]),
        (["effectiv"], ["No such command 'effectiv'"]),
        (["effective", "er.toml", "--jsn", "x"], ["No such option: --jsn"]),
        (["run", "wave.toml", "--set", "macro.initial.cytosol=-0.1 uM"], ["macro.initial.cytosol = '-0.1 uM'", ">= 0"]),
        (["run", "wave.toml", "--set", "macro.tensors.er={file='bad.json'}"], ["macro.tensors.er.file", "valid JSON"]),
        (["run", "wave.toml", "--set", "macro.tensors.er.volume_fraction=0.5"], ["macro.tensors.er = 0.5", "<= 0.2"]),
        (["run", "wave.toml", "--set", "macro.output.folder=er.toml"], ["macro.output.folder", "a folder"]),
        (["run", "wave.toml", "--set", "macro.domain={file='bad.msh', unit='um'}"], ["macro.domain.file", "meshio"]),
    ],
    ids=lambda value: " ".join(value)[-50:],
)
def test_bad_input_is_status_2_and_one_message(homfem, er, wave, tmp_path, monkeypatch, arguments, fragments):
    monkeypatch.chdir(tmp_path)
    Path("flat.geo").write_text("SetFactory('OpenCASCADE');\nRectangle(1) = {0, 0, 0, 1, 1};\n".replace("'", '"'))
    Path("flat.toml").write_text('[cell]\nfile = "flat.geo"\n')
    Path("bad.json").write_text("{")
    Path("bad.msh").write_text("$MeshFormat\n")
    status, out, err = homfem(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("homfem: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for fragment in fragments:
        assert fragment in err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConvergenceError("the solver stalled"), "homfem: the solver stalled\n"),
        (OSError(28, "No space left on device", "er.json"), "homfem: er.json: No space left on device\n"),
        (ModuleNotFoundError("No module named 'dolfinx'", name="dolfinx"), "homfem: the module 'dolfinx' is not here."),
        (KeyboardInterrupt(), "homfem: interrupted\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_any_other_failure_is_status_1(homfem, er, monkeypatch, error, message):
    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr("homfem.runs.tensors.build_cell", fail)
    status, out, err = homfem("effective", er)
    assert (status, out) == (1, "")
    assert err.startswith(message)
    assert "Traceback" not in err


def test_a_fault_of_the_program_is_status_1_and_tells_its_place(homfem, er, monkeypatch):
    monkeypatch.setattr("homfem.runs.tensors.build_cell", lambda *_: 1 / 0)
    status, _, err = homfem("effective", er)
    assert status == 1
    assert "ZeroDivisionError" in err
    assert "Traceback" in err


def test_cell_is_described_saved_and_drawn(homfem, er, tmp_path):
    mesh, figure = tmp_path / "er.msh", tmp_path / "er.png"
    status, out, err = homfem("cell", er, "--save", mesh, "--figure", figure)
    assert status == 0, err
    assert "periods 2 x 2 x 2 um" in out
    assert mesh.stat().st_size > 1000
    assert figure.read_bytes().startswith(b"\x89PNG")
    (tmp_path / "again.toml").write_text('[cell]\nfile = "er.msh"\nperiod = "2 um"\n')
    status, again, err = homfem("cell", tmp_path / "again.toml")
    assert status == 0, err
    assert "periods 2 x 2 x 2 um" in again
    assert [line for line in again.splitlines() if "tetrahedra" in line] == [
        line for line in out.splitlines() if "tetrahedra" in line
    ]


def case_unfolded(comm):
    """Fill a periodic function with cos(2 pi x) cos(4 pi y) and unfold it to the nodes of the arrays."""
    from dolfinx import fem

    import homfem

    def wavy(x):
        return np.cos(2 * np.pi * x[0]) * np.cos(4 * np.pi * x[1])

    cell = homfem.three_pipe(0.5, resolution=0.3, period=(1.0, 2.0, 1.0), comm=comm)
    periods = np.diag(cell.lattice.vectors)
    function = fem.Function(fem.functionspace(cell.mesh, ("Lagrange", 2)))
    function.interpolate(lambda x: wavy(x / periods[:, None]))
    values = cell.nodal_values(function)
    if cell.raw is None or values is None:
        return {}
    return {"error": float(np.abs(values - wavy((cell.raw.points / periods).T)).max()), "size": len(values)}


@pytest.mark.mpi
def test_figures_take_a_periodic_function_to_every_node(on_ranks):
    for answer in on_ranks(case_unfolded, ranks=(1, 2)):
        assert answer["size"] > 100
        assert answer["error"] < 1e-12


def test_figure_of_the_solved_cell(homfem, er, tmp_path):
    figure = tmp_path / "er.png"
    status, _, err = homfem("effective", er, "--figure", figure)
    assert status == 0, err
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_run_writes_fields_summary_and_figure(homfem, wave, tmp_path):
    figure, summary = tmp_path / "wave.png", tmp_path / "wave.json"
    status, out, err = homfem("run", wave, "--figure", figure, "--json", summary)
    assert status == 0, err
    assert "finished: True" in out
    result = json.loads(summary.read_text())
    assert result["times"] == pytest.approx(np.linspace(0, 0.4, 21))
    assert result["drift"] < 1e-12
    # At the start: rest (0.1 uM) and 0.8 uM on top in the ball; c0 = 3 uM per volume of cytosol.
    assert result["maximum"][0] == pytest.approx(0.9, abs=0.02)
    ball = 0.8 * 0.8 * np.pi * 12**2 / 4
    assert result["total"][0] == pytest.approx(3 * 0.8 * 800 + ball, rel=0.02)
    assert result["config"]["macro"]["model"] == "calcium"
    assert figure.read_bytes().startswith(b"\x89PNG")
    import meshio

    with meshio.xdmf.TimeSeriesReader(tmp_path / "wave" / "fields.xdmf") as series:
        series.read_points_cells()
        times = [series.read_data(k)[0] for k in range(series.num_steps)]
    assert set(np.round(times, 12)) >= {0.0, 0.1, 0.2, 0.3, 0.4}


def test_run_goes_on_from_its_checkpoint(homfem, wave):
    whole = json.loads(homfem("run", wave, "--json", "-")[1])
    folder = ["--set", "macro.output.folder=parts"]
    assert homfem("run", wave, *folder, "--set", "macro.time.end=0.2 s")[0] == 0
    status, out, err = homfem("run", wave, *folder, "--resume", "--json", "-")
    assert status == 0, err
    result = json.loads(out)
    assert result["total"] == whole["total"]
    assert result["maximum"] == whole["maximum"]
    for change, named in (
        ("macro.kinetics.ip3=0.4 uM", "IP3 (uM)"),
        ("macro.time.step=10 ms", "time step (s): 0.02 in the checkpoint, 0.01 here"),
        ("macro.time.splitting=godunov", "splitting: strang: reaction 0.5, diffusion 1.0, reaction 0.5 in the "),
        ("macro.stimulus.rise=0.7 uM", "cytosol at the start (uM)"),
        ("macro.output.threshold=0.4 uM", "threshold (uM): none in the checkpoint, 0.4 here"),
        ("macro.tensors.er.value=3 um^2/s", "er (um^2/s)"),
    ):
        status, _, err = homfem("run", wave, *folder, "--resume", "--set", change)
        assert status == 2
        assert "checkpoint = " in err
        assert named in err


PROBED = """
[[macro.probes]]
name = "near"
at = ["0.016 mm", "0 um"]
[[macro.probes]]
name = "far"
at = ["40 um", "20 um"]
"""


def test_run_reports_probes_in_the_unit_of_its_end(homfem, wave, tmp_path):
    """Values over time, first times above the threshold and what is conserved; the same series after a resume."""
    wave.write_text(WAVE.replace('end = "0.4 s"', 'end = "400 ms"') + 'threshold = "0.2 uM"\n' + PROBED)
    status, out, err = homfem("run", wave, "--json", "-")
    assert status == 0, err
    result = json.loads(out)
    assert result["times"] == pytest.approx(np.linspace(0, 400, 21))
    assert result["units"]["time"] == "ms"
    near, far = result["probes"]["near"], result["probes"]["far"]
    assert [len(series[name]) for series in (near, far) for name in ("cytosol", "er", "h")] == [21] * 6
    assert 0.8 * far["cytosol"][0] + 0.2 * far["er"][0] == pytest.approx(3.0 * 0.8)  # at rest: c0 per volume of cytosol
    rising = np.array(near["cytosol"])
    step = int(np.flatnonzero(rising >= 0.2)[0])
    assert step > 0
    exact = 20.0 * (step - 1 + (0.2 - rising[step - 1]) / (rising[step] - rising[step - 1]))
    assert near["activation"] == pytest.approx(exact, rel=1e-9)
    assert far["activation"] is None
    total = result["total"]
    (conserved,) = result["conserved"]
    assert (conserved["name"], conserved["start"], conserved["unit"]) == ("calcium", total[0], "uM um^2")
    assert conserved["drift"] == np.abs(np.array(total) / total[0] - 1).max() < 1e-12
    table = (tmp_path / "wave" / "probes.csv").read_text()
    assert table.startswith("time (s),near: cytosol (uM),far: cytosol (uM),near: er (uM)")
    assert homfem("run", wave, "--set", "macro.time.end=200 ms")[0] == 0
    assert len((tmp_path / "wave" / "probes.csv").read_text().splitlines()) == 12
    status, out, err = homfem("run", wave, "--resume", "--json", "-")
    assert status == 0, err
    assert json.loads(out)["probes"] == result["probes"]
    assert (tmp_path / "wave" / "probes.csv").read_text() == table
    status, out, _ = homfem("run", wave, "--resume")
    lines = out.splitlines()
    assert "end: 400 ms" in lines
    assert f"activation of near: {near['activation']:.6g} ms" in lines
    assert "activation of far: none" in lines
    low, high = min(result["minimum"]), max(result["maximum"])
    assert f"cytosol_range: smallest {low:.6g} uM, largest {high:.6g} uM" in lines
    assert f"conserved: calcium, {total[0]:.6g} uM um^2 at the start, to {conserved['drift']:.2g} of it" in lines
    assert all(part.endswith(" s") for line in lines if line.startswith("seconds: ") for part in line.split(", "))
    status, _, err = homfem("run", wave, "--resume", "--set", "macro.probes=[{name='near', at=['16 um', '1 um']}]")
    assert status == 2
    assert "probes.points.near: [16, 0, 0] in the checkpoint, [16, 1, 0] here" in err


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        ("[{name='a', at=['41 um', '3 um']}]", "macro.probes[0].at = '(41, 3) um': it must be a point of the domain. "
         "The nearest node is at (40, 4) um, 1.41 um away"),
        ("[{name='a', at=['1 um']}]", "macro.probes[0].at = ['1 um']: it must be 2 lengths, as the domain"),
        ("[{name='a', at=['1 um', 2]}]", "macro.probes[0].at[1] = 2: it must be a length"),
        ("[{name='a', at=['1 um', '2 s']}]", "macro.probes[0].at[1] = '2 s'"),
        ("[{name='a', at=['1 um', '2 um']}, {name='a', at=['1 um', '3 um']}]", "macro.probes[1].name = 'a': it must "
         "be a name that no other probe has"),
        ("[{name='a/b', at=['1 um', '2 um']}]", "macro.probes[0].name = 'a/b'"),
        ("[{name='a', where=['1 um', '2 um']}]", "macro.probes[0].where"),
        ("[{name='a'}]", "macro.probes[0].at = (missing)"),
        ("{name='a', at=['1 um', '2 um']}", "macro.probes = {"),
        ("[3]", "macro.probes[0] = 3: it must be a table of keys"),
    ],
)  # fmt: skip
def test_probes_that_cannot_be_are_refused_by_their_key(homfem, wave, probes, message):
    status, out, err = homfem("run", wave, "--set", f"macro.probes={probes}")
    assert (status, out) == (2, "")
    assert err.startswith(f"homfem: {message}")


def test_resume_where_nothing_is_says_that_it_starts_anew(homfem, wave, tmp_path):
    status, out, err = homfem("run", wave, "--resume", "--set", "macro.time.end=0.2 s")
    assert status == 0
    assert "steps: 10" in out
    path = str(tmp_path / "wave" / "checkpoint")
    assert err == f"homfem: warning: calcium bidomain: no checkpoint {path!r} to resume from; starting at t = 0 s\n"


def test_interrupted_run_is_status_1(homfem, wave, monkeypatch):
    import dataclasses

    import homfem.macro.calcium as calcium

    run = calcium.run_calcium
    interrupted = lambda *a, **o: dataclasses.replace(run(*a, **o), finished=False)  # noqa: E731
    monkeypatch.setattr(calcium, "run_calcium", interrupted)
    status, out, err = homfem("run", wave)
    assert status == 1
    assert "finished: False" in out
    assert "--resume" in err


def test_run_takes_tensors_from_the_cell_and_from_files(homfem, tmp_path):
    """The tensors of the run are those that the command effective gives for each phase alone."""
    phases = EFFECTIVE + 'cytosol = "0.22 um^2/ms"\n'
    start, _, rest = WAVE.partition("[macro.tensors]")
    rest = "[macro.kinetics]" + rest.partition("[macro.kinetics]")[2]
    text = (start + rest).replace('["40 um", "20 um"]', '["40 um", "20 um", "20 um"]')
    text = text.replace('"0 um", "0 um"', '"0 um", "0 um", "0 um"').replace('"4 um"', '"10 um"')
    path = tmp_path / "both.toml"
    path.write_text(text + CELL + phases)
    status, out, err = homfem("run", path, "--json", "-")
    assert status == 0, err
    computed = json.loads(out)
    for name, other in (("er", "cytosol"), ("cytosol", "er")):
        alone = tmp_path / f"{name}.toml"
        kept = [line for line in (CELL + phases).splitlines() if not line.startswith(other)]
        alone.write_text("\n".join(kept))
        status, _, err = homfem("effective", alone, "--json", tmp_path / f"{name}.json")
        assert status == 0, err
        tensor = EffectiveTensor.from_json(tmp_path / f"{name}.json")
        factor = 1.0 if name == "er" else 1000.0
        assert np.array(computed["tensors"][name]["value"]) == pytest.approx(factor * tensor.value, rel=1e-7, abs=1e-9)
    files = [option for name in ("er", "cytosol") for option in ("--set", f"macro.tensors.{name}={name}.json")]
    status, out, err = homfem("run", path, "--json", "-", *files, "--set", "macro.output.folder=again")
    assert status == 0, err
    assert json.loads(out)["maximum"] == pytest.approx(computed["maximum"], rel=1e-7)


@pytest.mark.parametrize("shape", ["cell-body", "file"])
def test_domains_have_their_size_in_um(shape, tmp_path):
    import ufl
    from dolfinx import fem
    from mpi4py import MPI

    from homfem.config.domains import parse_domain
    from homfem.solve import integrate

    volume = 4 / 3 * np.pi * 15 * 10 * 8
    table = {"shape": "cell-body", "size": ["30 um", "20 um", "0.016 mm"], "resolution": "2 um"}
    if shape == "file":
        import meshio

        points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [9, 9, 9]])
        meshio.Mesh(points, [("tetra", [[0, 1, 2, 3]])]).write(
            tmp_path / "body.msh", file_format="gmsh22", binary=False
        )
        table, volume = {"file": "body.msh", "unit": "mm"}, 1e9 / 6
    mesh = parse_domain(table).build(MPI.COMM_SELF, tmp_path).mesh
    measured = integrate(fem.Constant(mesh, 1.0) * ufl.dx)
    assert measured == pytest.approx(volume, rel=0.02 if shape == "cell-body" else 1e-12)


def test_doctor_says_what_works(homfem, tmp_path):
    status, out, err = homfem("doctor", "--json", tmp_path / "doctor.json")
    assert (status, err) == (0, ""), out
    report = json.loads((tmp_path / "doctor.json").read_text())
    assert report["works"]
    assert report["problems"] == []
    assert report["versions"]["numpy"] == np.__version__
    for word in ("dolfinx", "PETSc packages", "compiler", "compiled forms", "figures", "everything works"):
        assert word in out


def test_doctor_names_what_is_missing(homfem, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "gmsh" else find(name))
    status, out, _ = homfem("doctor")
    assert status == 1
    assert "PROBLEM: gmsh is missing" in out
    assert "gmsh missing" in out


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ([], 0, ""),
        (["--set", "effective.tolerance=1e-5", "--set", "effective.max_dofs=10000"], 3, "warning: "),
        (["--set", "cell.edg=1"], 2, "homfem: cell.edg = 1: "),
    ],
    ids=["done", "short", "key"],
)
def test_two_ranks_speak_once_and_end_alike(er, options, status, message):
    answer = outside("effective", er, *options, ranks=2)
    assert answer.returncode == status, answer.stderr
    assert answer.stdout.count("effective tensor") == (1 if status in (0, 3) else 0)
    assert answer.stderr.count("homfem: ") == (1 if message else 0)
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.mpi
@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_on_one_rank_alone_ends_all(rank, tmp_path):
    """The other rank waits for a message that never comes."""
    script = tmp_path / "alone.py"
    script.write_text(
        "from homfem.cli import session\nfrom homfem.parameters import InputError\n"
        "session._PATIENCE = 0.5\n"
        "def body():\n"
        "    comm = session.world()\n"
        f"    if comm.rank == {rank}:\n        raise InputError('cell.edge', 2, 'a number < 1')\n"
        "    comm.Barrier()\n    return 0\n"
        "raise SystemExit(session.run_on_all_ranks(body))\n"
    )
    command = ["mpirun", "-n", "2", sys.executable, str(script)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 2
    assert answer.stderr.count("cell.edge = 2: it must be a number < 1") == 1
    # The first of ours; newer versions of mpirun begin with a remark on their own options.
    first = next(line for line in answer.stderr.splitlines() if line.startswith("homfem: "))
    assert first.startswith("homfem: cell.edge" if rank == 0 else "homfem: rank 1 alone failed: cell.edge")
    assert "Traceback" not in answer.stderr


@pytest.mark.mpi
def test_an_error_on_one_rank_at_the_end_is_the_status_of_all(tmp_path):
    script = tmp_path / "last.py"
    script.write_text(
        "import sys\nfrom homfem.cli import session\nfrom homfem.parameters import InputError\n"
        "def body():\n"
        "    if session.world().rank == 1:\n        raise InputError('cell.edge', 2, 'a number < 1')\n"
        "    return 0\n"
        "status = session.run_on_all_ranks(body)\n"
        "print(session.world().rank, status, file=sys.stderr)\nraise SystemExit(status)\n"
    )
    answer = subprocess.run(
        ["mpirun", "-n", "2", sys.executable, str(script)], capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 2
    assert answer.stderr.count("homfem: cell.edge = 2") == 1
    assert {"0 2", "1 2"} <= set(answer.stderr.splitlines())


@pytest.mark.parametrize("given", ["interface_area", "files"])
def test_membrane_area_of_a_config_is_converted(given, wave, tmp_path):
    """2 per um, as 2000 per mm: the membrane whose rates are per volume scales with it."""
    from mpi4py import MPI

    from homfem.config import load_config
    from homfem.kinetics import TRIGGER_WAVE
    from homfem.runs.calcium import make_problem

    change = ["macro.tensors.interface_area=2000 1/mm"]
    if given == "files":
        for name, fraction in (("cytosol", 0.8), ("er", 0.2)):
            tensor = EffectiveTensor.measured(name, 20.0 * fraction, volume_fraction=fraction, dimension=2)
            replace(tensor, interface_area=2000.0, length_unit="mm").to_json(tmp_path / f"{name}.json")
        change = ["macro.tensors={cytosol='cytosol.json', er='er.json'}"]
    config = load_config(wave, assignments=change)
    problem = make_problem(config, config.macro, MPI.COMM_SELF)
    assert problem.area == pytest.approx(2.0, rel=1e-12)
    found = problem.kinetics.parameters["channel_permeability"]
    assert found == pytest.approx(TRIGGER_WAVE.v1 * 0.2 / 2.0, rel=1e-12)


@pytest.mark.parametrize("keys", [{"interface_area": 2.0, "length_unit": "voxel"}, {"interface_area": None}, {}])
def test_a_membrane_area_that_is_not_known_is_asked_for(keys, wave, tmp_path):
    from mpi4py import MPI

    from homfem.config import load_config
    from homfem.runs.calcium import make_problem

    for name, fraction in (("cytosol", 0.8), ("er", 0.2)):
        tensor = EffectiveTensor.measured(name, 20.0 * fraction, volume_fraction=fraction, dimension=2)
        replace(tensor, **keys).to_json(tmp_path / f"{name}.json")
    config = load_config(wave, assignments=["macro.tensors={cytosol='cytosol.json', er='er.json'}"])
    message = r"macro\.tensors\.interface_area = \[\]: it must be one positive area that both tensors share\. Give"
    with pytest.raises(InputError, match=message):
        make_problem(config, config.macro, MPI.COMM_SELF)


def test_receptors_start_as_they_were_before_the_stimulus(wave):
    """A puff is too quick for them: the start is the rest of the kinetics with calcium added, and no state changed."""
    from mpi4py import MPI

    from homfem.config import load_config
    from homfem.macro.calcium import CalciumModel
    from homfem.runs.calcium import make_problem

    config = load_config(wave)
    problem = make_problem(config, config.macro, MPI.COMM_SELF)
    c, e, h = (CalciumModel(problem, step=0.01).state()[name].values for name in ("cytosol", "er", "h"))
    resting = c == c.min()
    assert c.max() == pytest.approx(c.min() + 0.8, rel=1e-12)
    assert 0 < resting.sum() < len(c)
    rate, target = problem.kinetics.relaxation(c[resting], e[resting], h[None, resting], problem.ip3)
    np.testing.assert_allclose(h[resting], target[0], rtol=1e-9)  # the unstimulated receptors are at rest
    np.testing.assert_allclose(h, h[resting][0], rtol=1e-12)  # and so are those inside the ball
    assert np.all(np.abs(problem.kinetics.flux(c[resting], e[resting], h[None, resting], problem.ip3)) < 1e-6)
    assert rate.min() > 0.0


@pytest.mark.parametrize(
    ("centre", "radius", "nearest", "enough"),
    [
        ("['-9 um', '-12 um']", "14 um", "15 um", "15.01 um"),
        ("['2 um', '2 um']", "0.001 mm", "2.828 um", "2.83 um"),
    ],
)
def test_a_stimulus_that_no_node_feels_is_refused(homfem, wave, centre, radius, nearest, enough):
    """Outside the domain, and between the nodes, which are 4 um apart."""
    options = ["--set", "macro.time.end=0.1 s", "--set", f"macro.stimulus.centre={centre}"]
    status, out, err = homfem("run", wave, *options, "--set", f"macro.stimulus.radius={radius}")
    assert (status, out) == (2, "")
    assert err.startswith(f"homfem: macro.stimulus.radius = {radius!r}: it must be ")
    assert f"the nearest one is {nearest} from its centre" in err
    assert "up to 5.66 um wide" in err
    assert homfem("run", wave, *options, "--set", f"macro.stimulus.radius={enough}")[0] == 0


@pytest.mark.mpi
def test_run_is_the_same_on_two_ranks(homfem, wave):
    one = json.loads(homfem("run", wave, "--json", "-")[1])
    answer = outside("run", wave, "--json", "-", ranks=2)
    assert answer.returncode == 0, answer.stderr
    two = json.loads(answer.stdout)
    assert two["ranks"] == 2
    assert two["maximum"] == pytest.approx(one["maximum"], rel=1e-8)
    assert two["total"] == pytest.approx(one["total"], rel=1e-12)


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


def test_any_mesh_can_be_checked(homfem, tmp_path):
    good = Path(__file__).parents[2] / "meshes" / "slit.geo"
    status, output, _ = homfem("cell", "--check", str(good), "--json", str(tmp_path / "report.json"))
    assert status == 0
    assert "match" in output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["ok"] is True
    import meshio

    points = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [0, 3], [1.4, 3], [3, 3], [0, 1.5], [3, 1.5], [1.5, 1.5]], float)
    rim = [0, 1, 2, 3, 8, 6, 5, 4, 7]
    triangles = np.array([[a, b, 9] for a, b in zip(rim, rim[1:] + rim[:1], strict=True)])
    meshio.write(tmp_path / "bad.vtu", meshio.Mesh(np.pad(points, ((0, 0), (0, 1))), [("triangle", triangles)]))
    status, output, _ = homfem("cell", "--check", str(tmp_path / "bad.vtu"))
    assert status == 1
    assert "period 2" in output
    for arguments in (
        ["cell"],
        ["cell", "a.toml", "--check", "b.msh"],
        ["cell", "--check", str(tmp_path / "none.msh")],
    ):
        assert homfem(*arguments)[0] == 2
