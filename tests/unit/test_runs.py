"""Runs from Python: the same from a file, from a mapping and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import made_configs
from homfem import runs
from homfem.config import load_config
from homfem.parameters import FileError, InputError
from homfem.runs import Outcome
from homfem.runs.keys import keys_under
from read_files import read_with_meshio

LAYERS = """
[cell]
shape = "laminate"
fractions = [0.25, 0.75]
period = "2 um"
dimension = 2
resolution = 0.3
[effective]
physics = "diffusion"
[effective.phases]
layer1 = "4 um^2/s"
layer2 = "1 um^2/s"
"""
BLOCKS = """
[cell]
shape = "blocks"
layout = ["LD", "DL"]
period = "2 um"
[effective]
physics = "diffusion"
method = "corner-galerkin"
[effective.phases]
L = "4 um^2/s"
D = "1 um^2/s"
"""
IMAGE = """
[cell]
shape = "image"
file = "layers.npy"
labels = { a = 0, b = 1 }
voxel = "1 um"
[effective]
physics = "diffusion"
method = "grid"
[effective.phases]
a = "4 um^2/s"
b = "1 um^2/s"
"""
# Exact along the axes: layers across and along the first one, a checkerboard.
EXACT = {
    "layers": (LAYERS, [1.0 / (0.25 / 4.0 + 0.75 / 1.0), 0.25 * 4.0 + 0.75 * 1.0]),
    "blocks": (BLOCKS, [2.0, 2.0]),
    "image": (IMAGE, [1.0 / (0.25 / 4.0 + 0.75 / 1.0), 0.25 * 4.0 + 0.75 * 1.0]),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the files of the configs, which is not the current one."""
    np.save(tmp_path / "layers.npy", np.repeat([[0], [1], [1], [1]], 4, axis=1).astype(np.uint8))
    for name, (text, _) in EXACT.items():
        (tmp_path / f"{name}.toml").write_text(text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def told(report):
    """A report without what differs from run to run."""
    return json.dumps({name: value for name, value in report.items() if name != "seconds"}, allow_nan=False)


def alike(one, other, part):
    """Compare plain data; numbers to a part of themselves or of one."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key], part) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(alike(a, b, part) for a, b in zip(one, other, strict=True))
    return one == other or (isinstance(one, float) and abs(one - other) <= part * max(1.0, abs(one)))


@pytest.mark.parametrize("name", list(EXACT))
def test_a_path_a_mapping_and_the_command_line_give_the_same(homfem, place, name):
    text, exact = EXACT[name]
    key, value = ("effective.refine", 2) if name == "image" else ("effective.tolerance", 0.03)
    from_path = runs.tensor(place / f"{name}.toml", overrides=[f"{key}={value}"])
    mapping = tomllib.loads(text)
    from_mapping = runs.tensor(mapping, folder=place, overrides={key: value})
    checked = load_config(place / f"{name}.toml", assignments=[f"{key}={value}"])
    status, out, _ = homfem("effective", place / f"{name}.toml", "--set", f"{key}={value}", "--json", "-")
    reports = [from_path.report(), from_mapping.report(), runs.tensor(checked).report(), json.loads(out)]
    first, *others = (json.loads(told(report)) for report in reports)
    # On voxels threads add up, in an order that is not always the same.
    assert all(alike(first, other, 1e-13 if name == "image" else 0.0) for other in others)
    assert runs.read_config(checked, overrides={"effective.max_dofs": 9000}).effective.max_dofs == 9000
    assert mapping == tomllib.loads(text)  # overrides go into a copy
    assert "max_dofs" not in checked.document["effective"]
    assert reports[0]["config"]["effective"][key.split(".")[1]] == value
    assert (from_path.outcome, status) == (Outcome.DONE, 0)
    assert np.diag(from_path.tensor.value) == pytest.approx(exact, rel=1e-3)


def test_runs_are_at_hand_in_the_package(place):
    """The line that the documentation shows, in a process that has loaded nothing else."""
    line = "import homfem; print(homfem.runs.tensor('../blocks.toml').tensor.value[0, 0])"
    answer = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, timeout=100)
    assert float(answer.stdout) == pytest.approx(2.0, rel=1e-3), answer.stderr


def test_a_run_that_is_short_says_so_and_why(homfem, place):
    tight = {"effective.method": "finite-volume", "effective.tolerance": 1e-9}
    run = runs.tensor(place / "blocks.toml", overrides=tight)
    assert run.outcome is Outcome.SHORT
    options = [part for key, value in tight.items() for part in ("--set", f"{key}={value}")]
    status, _, _ = homfem("effective", place / "blocks.toml", *options)
    assert status == run.outcome.status == 3
    assert run.warnings
    assert run.warnings == tuple(run.report()["warnings"])


def test_numbers_of_numpy_and_tuples_are_as_toml_has_them(place):
    mapping = tomllib.loads(LAYERS)
    mapping["cell"] |= {"fractions": np.array([0.25, 0.75]), "resolution": np.float64(0.3), "dimension": np.int64(2)}
    report = runs.tensor(mapping).report()
    assert told(report) == told(runs.tensor(place / "layers.toml").report())
    mapping["cell"]["fractions"] = (0.25, 0.75)
    assert runs.read_config(mapping).document == tomllib.loads(LAYERS)


ENDLESS: dict = {}
ENDLESS["cell"] = ENDLESS


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ("none.toml", {}, r"^CONFIG = 'none\.toml'.*exists"),
        ({"cel": {}}, {}, r"^cel = .*'cell'"),
        ({"cell": {"shape": "laminate"}}, {}, r"^effective = \(missing\)"),
        (tomllib.loads(LAYERS), {"overrides": {"cell.fraction": 1}}, r"^cell\.fraction = 1: .*'cell\.fractions'"),
        (tomllib.loads(LAYERS), {"overrides": {"cell.period": None}}, r"^cell\.period = None: .*what TOML has"),
        (tomllib.loads(LAYERS), {"overrides": {"cell..period": 1}}, r"^overrides = 'cell\.\.period'"),
        (tomllib.loads(LAYERS), {"overrides": {"cell.shape.x": 1}}, r"^overrides = .*cell\.shape is a value"),
        (tomllib.loads(LAYERS), {"overrides": "cell.period=1 m"}, r"^overrides = 'cell\.period=1 m'.*a list"),
        (tomllib.loads(LAYERS), {"overrides": ["cell.period"]}, r"^overrides = 'cell\.period'.* cell\.edge=0\.2"),
        (tomllib.loads(LAYERS), {"overrides": {"a b": 1}}, r"^overrides = 'a b': .*a key as TOML writes it, such as"),
        (tomllib.loads(LAYERS), {"comm": 3}, r"^comm = 3: .*a communicator of mpi4py"),
        ({"cell": {"shape": "laminate", "fractions": [0.5, Path()]}}, {}, r"^cell\.fractions\[1\] = .*what TOML has"),
        ({"cell": {1: 2}}, {}, r"^cell = 1: .*keys are strings"),
        (ENDLESS, {}, r"^cell = '\.\.\.'.*deep"),
        (3, {}, r"^config = 3: .*the path of a TOML file, a mapping"),
        (tomllib.loads(LAYERS), {"folder": 3}, r"^folder = 3: .*the path of a folder"),
        (tomllib.loads(LAYERS), {"overrides": 3}, r"^overrides = 3: .*a mapping, or a list"),
        (tomllib.loads(LAYERS), {"overrides": [3]}, r"^overrides = \[3\]: .*a mapping, or a list"),
        (tomllib.loads(IMAGE), {}, r"^cell\.file = 'layers\.npy'.*exists"),
    ],
    ids=range(19),
)
def test_what_is_wrong_has_the_path_of_its_key(place, config, options, message):
    with pytest.raises(InputError, match=message):
        runs.tensor(config, **options)


def test_errors_of_the_work_have_the_keys_of_the_config(place):
    apart = tomllib.loads(LAYERS) | {"cell": {"shape": "sphere-array", "fraction": 0.3, "resolution": 0.3}}
    apart["effective"] = {"physics": "stokes", "fluid": "sphere"}
    with pytest.raises(InputError, match=r"^effective\.fluid = .*connected"):
        runs.tensor(apart, overrides={"cell.period": "1 um"})


def test_the_cell_of_a_config(place):
    run = runs.cell(place / "layers.toml", overrides={"cell.period": ["2 um", "1 um"]})
    report = run.report()
    json.dumps(report, allow_nan=False)
    assert report["periods"] == [[2.0, 0.0], [0.0, 1.0]]
    assert report["length_unit"] == "um"
    assert report["volume_fractions"] == pytest.approx({"layer1": 0.25, "layer2": 0.75}, rel=1e-12)
    assert report["interface_area"] == pytest.approx(2.0 / 2.0, rel=1e-12)  # two planes in a period of 2 um
    assert report["cells"] == run.cell.number_of_cells
    assert run.description == run.cell.describe()
    assert run.outcome is Outcome.DONE


def test_a_check_gives_what_the_command_does(homfem, place):
    good = Path(__file__).parents[2] / "meshes" / "slit.geo"
    run = runs.check(good)
    assert run.outcome is Outcome.DONE
    assert json.dumps(run.report()) == json.dumps(json.loads(homfem("cell", "--check", good, "--json", "-")[1]))
    short = runs.check(good, period=[2.0, 2.0])
    assert short.outcome is Outcome.UNFIT
    assert short.outcome.status == homfem("cell", "--check", good, "--period", "[2, 2]")[0] == 1
    assert any("period 1" in warning for warning in short.warnings)
    with pytest.raises(FileError, match=r"^file = 'none\.msh'"):
        runs.check("none.msh")


def test_pictures_of_every_kind_of_solution(place):
    for name in EXACT:
        run = runs.tensor(place / f"{name}.toml", drawn=True)
        runs.draw_tensor(run, f"{name}.png")
        assert Path(f"{name}.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"^drawn = False"):
        runs.draw_tensor(runs.tensor(place / "image.toml"), "image.png")


def case_tensors(comm, blocks, layers):
    """Every rank has the tensor and its report, of methods with and without a mesh."""
    import tomllib

    from homfem import runs
    from homfem.parameters import InputError

    values = {}
    for name, text in (("blocks", blocks), ("layers", layers)):
        run = runs.tensor(tomllib.loads(text), comm=comm)
        everyone = comm.allgather(run.report()["value"])
        assert all(value == everyone[0] for value in everyone)
        values[name] = everyone[0]
    try:
        runs.tensor(tomllib.loads(blocks), comm=comm, overrides={"effective.phases.L": [["1 m^2/s", "0.5 m^2/s"]] * 2})
    except InputError:
        values["refused"] = comm.allreduce(1) == comm.size
    return values


@pytest.mark.mpi
def test_tensors_are_the_same_on_every_rank(on_ranks):
    one, two = on_ranks(case_tensors, ranks=(1, 2), blocks=BLOCKS, layers=LAYERS)
    for name in ("blocks", "layers"):
        assert np.array(two[name]) == pytest.approx(np.array(one[name]), rel=1e-8, abs=1e-12)
    assert one["refused"]
    assert two["refused"]


# Shorter, and with one output at the end.
WAVE = made_configs.WAVE.replace('end = "0.4 s"', 'end = "0.2 s"').partition("every = ")[0]


def test_a_wave_from_python_is_that_of_the_command(homfem, place):
    import h5py

    (place / "wave.toml").write_text(WAVE)
    run = runs.macro(place / "wave.toml")
    assert (run.outcome, run.result.finished) == (Outcome.DONE, True)
    with h5py.File(place / "wave" / "fields-times" / "00000010.h5") as file:
        written = file["fields"]["cytosol"][...]
    assert np.sort(written) == pytest.approx(np.sort(run.result.cytosol.x.array), rel=1e-12)
    status, out, _ = homfem("run", place / "wave.toml", "--json", "-")
    assert status == 0
    assert told(json.loads(out)) == told(run.report())
    mapping = tomllib.loads(WAVE)
    assert told(runs.macro(mapping, folder=place).report()) == told(run.report())
    # The first half, and on from its checkpoint.
    half = runs.macro(mapping, folder=place, overrides={"macro.time.end": "0.1 s", "macro.output.folder": "half"})
    assert half.report()["steps"] == 5
    whole = runs.macro(mapping, folder=place, overrides={"macro.output.folder": "half"}, resume=True, drawn=True)
    assert whole.report()["total"] == run.report()["total"]
    assert [path.name for path in (place / "half").glob("*.xdmf")] == ["fields.xdmf"]
    assert read_with_meshio(place / "half" / "fields.xdmf")["times"] == pytest.approx([0.0, 0.1, 0.2])
    runs.draw_macro(whole, "wave.svg")
    assert "<svg" in Path("wave.svg").read_text()[:1000]
    with pytest.raises(InputError, match=r"^drawn = False"):
        runs.draw_macro(run, "wave.svg")


def test_a_run_that_is_interrupted_says_so(place, monkeypatch):
    import dataclasses

    import homfem.macro.calcium as calcium

    run = calcium.run_calcium
    monkeypatch.setattr(calcium, "run_calcium", lambda *a, **o: dataclasses.replace(run(*a, **o), finished=False))
    stopped = runs.macro(tomllib.loads(WAVE))
    assert stopped.outcome is Outcome.INTERRUPTED
    assert stopped.outcome.status == 1


def test_a_run_uses_the_mirrors_that_the_mesh_has_unless_it_is_drawn():
    """What is left out is the symmetric part; the same bracket as of the whole, which pictures and fields get."""
    tables = {
        "cell": {"shape": "three-pipe", "edge": 0.3, "resolution": 0.33, "period": "1 um"},
        "effective": {"physics": "diffusion", "phases": {"er": "1 um^2/s"}},
    }
    part, drawn = runs.tensor(tables), runs.tensor(tables, drawn=True)
    whole = runs.tensor(tables, overrides={"effective.symmetry": "none"})
    assert [run.solution.cell.copies for run in (part, drawn, whole)] == [8, 1, 1]
    for bound in ("lower", "upper", "value"):
        ours, theirs = getattr(part.tensor, bound), getattr(whole.tensor, bound)
        assert np.allclose(ours, theirs, rtol=0.0, atol=1e-6 * np.abs(theirs).max())
    walls = runs.tensor(tables, overrides={"effective.boundary": "affine"})
    assert walls.solution.cell.copies == 1


def test_arguments_of_a_region_have_the_key_of_the_argument():
    for name, key in (("er.left", r"tensors\.er\.left"), ("er", r"tensors\.er"), ("mesh.left", r"mesh\.left")):
        with pytest.raises(InputError, match=rf"^macro\.{key} = "), keys_under("macro", {"er": "tensors.er"}):
            raise InputError(name, 1, "another")
