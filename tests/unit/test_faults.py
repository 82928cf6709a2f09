"""Faults around what the commands read and write: refused before the work, or one line and an exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from homfem.disk import write_text
from homfem.parameters import InputError
from made_configs import CELL, EFFECTIVE, WAVE

IMAGE = '[cell]\nshape = "image"\nfile = "in.png"\nlabels = { pore = 0, solid = 1 }\nvoxel = "1 um"\n'
IMAGE += EFFECTIVE.replace("er =", "pore =")
FIELD = EFFECTIVE.replace('"250 um^2/s"', '{ field = { file = "in.png", unit = "um^2/s" } }')
TENSOR = WAVE.replace('er = { value = "2 um^2/s", volume_fraction = 0.2 }', 'er = "in.json"')
DOMAIN = WAVE.partition("[macro.domain]")[0] + '[macro.domain]\nfile = "wave/fields.xdmf"\nunit = "um"\n[macro.tensors]'
DOMAIN += WAVE.partition("[macro.tensors]")[2]
SCRIPT = '[cell]\nfile = "in.geo"\ntrust = true\n'


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Commands run in a folder of their own."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "arguments", "option", "onto"),
    [
        (CELL + EFFECTIVE, ["effective", "c.toml", "--json", "c.toml"], "--json", "CONFIG"),
        (CELL + EFFECTIVE, ["effective", "c.toml", "--json", "./sub/../c.toml"], "--json", "CONFIG"),
        (CELL + EFFECTIVE, ["effective", "c.toml", "--json", "symbolic"], "--json", "CONFIG"),
        (CELL + EFFECTIVE, ["effective", "c.toml", "--json", "hard"], "--json", "CONFIG"),
        (CELL + EFFECTIVE, ["effective", "symbolic", "--json", "hard"], "--json", "CONFIG"),
        (CELL + EFFECTIVE, ["effective", "c.toml", "--figure", "a.png", "--json", "a.png"], "--figure", "--json"),
        (
            IMAGE,
            ["effective", "c.toml", "--figure", "in.png"],
            "--figure",
            "cell.file",
        ),
        (CELL + FIELD, ["effective", "c.toml", "--json", "in.png"], "--json", "effective.phases.er.field.file"),
        ('[cell]\nfile = "in.msh"\n', ["cell", "c.toml", "--save", "in.msh"], "--save", "cell.file"),
        ('[cell]\nfile = "in.msh.json"\n', ["cell", "c.toml", "--save", "in.msh"], "--save", "cell.file"),
        (SCRIPT, ["cell", "c.toml", "--save", "part.msh"], "--save", "cell.file"),
        (TENSOR, ["run", "c.toml", "--json", "in.json"], "--json", "macro.tensors.er"),
        (DOMAIN, ["run", "c.toml", "--json", "x.json"], "macro.output.folder", "macro.domain.file"),
        (DOMAIN, ["run", "c.toml", "--set", "macro.output.folder=x", "--json", "wave/fields.h5"], "--json", "file"),
        (WAVE, ["run", "c.toml", "--json", "wave/checkpoint"], "--json", "macro.output.folder"),
        ("", ["cell", "--check", "in.msh", "--json", "in.msh"], "--json", "--check"),
        ("", ["blocks", "tables", "1", "--json", "a.png", "--figure", "a.png"], "--figure", "--json"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
def test_no_output_onto_what_is_read(homfem, text, arguments, option, onto):
    Path("c.toml").write_text(text)
    Path("sub").mkdir()
    Path("wave").mkdir()
    os.link("c.toml", "hard")
    Path("symbolic").symlink_to("c.toml")
    for name in ("in.png", "in.msh", "in.msh.json", "in.json", "wave/fields.xdmf", "wave/fields.h5", "part.msh"):
        Path(name).write_text("read")
    Path("in.geo").write_text('Merge "part.msh";')
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    status, out, err = homfem(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"homfem: {option} = "), err
    assert f"another file than {onto}" in err or (onto == "file" and "than macro.domain.file" in err)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("option", "path", "fragment"),
    [
        ("--json", "/proc/none.json", "a file that can be written"),
        ("--json", "file/none.json", "in a folder that exists"),
        ("--fields", "file.bp", "no file, but a folder"),
        ("--fields", "full.bp", "a new name, or that of a .bp folder"),
        ("--fields", "a.BP", "ends in .xdmf or .bp"),
        ("--fields", "folder.xdmf", "a file that can be written"),
        ("--figure", "folder.png", "a file that can be written"),
    ],
)
def test_a_target_that_cannot_be_written_is_refused_before_the_work(homfem, option, path, fragment):
    Path("c.toml").write_text(CELL + EFFECTIVE)
    for name in ("file", "file.bp"):
        Path(name).write_text("kept")
    for name in ("full.bp", "folder.png", "folder.xdmf"):
        Path(name).mkdir()
    Path("full.bp/kept").write_text("kept")
    status, out, err = homfem("effective", "c.toml", option, path)
    assert (status, out) == (2, "")
    assert err.startswith(f"homfem: {option} = ")
    assert fragment in err
    assert err.count("\n") == 1


def test_text_is_written_whole_through_links_and_onto_devices(tmp_path):
    target, link, other = tmp_path / "a.json", tmp_path / "link.json", tmp_path / "hard.json"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    os.link(target, other)
    write_text(link, "new")
    assert link.is_symlink()
    assert (target.read_text(), other.read_text()) == ("new", "old")
    assert target.stat().st_mode & 0o777 == 0o640
    write_text("/dev/null", "gone")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_text("/dev/full", "too much")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "hard.json", "link.json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_signal_before_the_march_is_an_interrupt(homfem, monkeypatch, number):
    Path("c.toml").write_text(WAVE)
    monkeypatch.setattr("homfem.runs.calcium.make_problem", lambda *_: os.kill(os.getpid(), number))
    assert homfem("run", "c.toml") == (1, "", "homfem: interrupted\n")


def test_the_second_of_two_runs_into_a_folder_is_refused(homfem):
    """A lock is held by a living process alone."""
    Path("c.toml").write_text(WAVE)
    holding = (
        "import os, sys\nfrom pathlib import Path\nfrom mpi4py import MPI\nfrom homfem.runs.folders import run_folder\n"
        "with run_folder(Path('wave'), MPI.COMM_SELF):\n    print(os.getpid(), flush=True)\n    sys.stdin.read()\n"
    )
    first = subprocess.Popen([sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process = int(first.stdout.readline())
    status, out, err = homfem("run", "c.toml")
    assert (status, out) == (2, "")
    assert err.startswith("homfem: macro.output.folder = 'wave': it must be a folder into which no other run writes")
    assert f"process {process} on " in err
    assert err.count("\n") == 1
    first.kill()
    first.wait()
    for _ in range(2):
        assert homfem("run", "c.toml")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--check", "in.msh", "--save", "c.msh"], "go with CONFIG.toml"),
        (["--check", "in.msh", "--figure", "c.png"], "go with CONFIG.toml"),
        (["--check", "in.msh", "--set", "cell.edge=1"], "go with CONFIG.toml"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(homfem, arguments, message):
    Path("c.toml").write_text(CELL)
    Path("in.msh").write_text("")
    status, out, err = homfem("cell", *arguments)
    assert (status, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("command", "stream", "message"),
    [
        ("homfem --version | true", "", "standard output: Broken pipe"),
        ("homfem --version > /dev/full", "", "standard output: No space left on device"),
        ("homfem --help > /dev/full", "", "standard output: No space left on device"),
        ("homfem --version >&-", "", "standard output is closed; send it to a file or to /dev/null"),
        ("homfem effective c.toml --json c.json | true", "c.json", "standard output: Broken pipe"),
        ("homfem effective none.toml 2> /dev/full", "", None),
        ("homfem effective none.toml 2>&-", "", None),
    ],
)
def test_streams_that_take_nothing_are_status_1_and_one_line(tmp_path, command, stream, message):
    """A result that was asked for in a file is there all the same; a full standard error changes nothing."""
    (tmp_path / "c.toml").write_text(CELL + EFFECTIVE)
    script = command.replace("homfem", f"{sys.executable} -m homfem") + "; exit ${PIPESTATUS[0]}"
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert answer.returncode == (2 if message is None else 1)
    assert answer.stderr == ("" if message is None else f"homfem: {message}\n")
    assert answer.stdout == ""
    assert not stream or (tmp_path / stream).stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["run", "wave.toml"], "wave/fields.xdmf"),
        (["run", "wave.toml", "--set", "macro.output.format=bp"], "wave/fields.bp"),
        (["cell", "c.toml", "--save", "c.xdmf"], "c.xdmf"),
    ],
)
def test_files_are_not_begun_without_room_for_them(homfem, monkeypatch, arguments, path):
    """HDF5 and ADIOS2 end the process, some with a dump, when there is none."""
    Path("wave.toml").write_text(WAVE)
    Path("c.toml").write_text(CELL)
    small = os.statvfs_result((4096, 4096, 1000, 300, 250, 10, 10, 10, 0, 255))  # 1.0 MB free
    monkeypatch.setattr("homfem.disk.os.statvfs", lambda path: small)
    assert homfem(*arguments) == (1, "", f"homfem: {path}: No space left on device\n")
    assert not Path(path).exists()


def test_a_figure_that_breaks_off_is_taken_away(homfem, monkeypatch):
    def draw(cell, path, theme):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("homfem.output.cell_figures.draw_unit_cell", draw)
    Path("c.toml").write_text(CELL)
    assert homfem("cell", "c.toml", "--figure", "c.png") == (1, "", "homfem: c.png: No space left on device\n")
    assert not Path("c.png").exists()


@pytest.mark.parametrize(("name", "form"), [("fields.bp", "bp"), ("fields.xdmf", "xdmf"), ("fields.h5", "xdmf")])
def test_something_else_in_the_place_of_a_field_file_is_refused(homfem, name, form):
    Path("c.toml").write_text(WAVE)
    Path("wave").mkdir()
    if form == "bp":
        (Path("wave") / name).write_text("kept")
    else:
        (Path("wave") / name).mkdir()
    status, out, err = homfem("run", "c.toml", "--set", f"macro.output.format={form}")
    assert (status, out) == (2, "")
    assert f"'wave/{name}': it must be " in err
    assert err.count("\n") == 1


GOOD = {"value": [[2.0, 0.0], [0.0, 2.0]], "unit": "um^2/s", "volume_fractions": {"er": 0.2, "cytosol": 0.8}}
GOOD |= {"active_phases": ["er"], "interface_area": 2.0, "length_unit": "um"}


def changed(**entries):
    return json.dumps(GOOD | entries).encode()


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"\xff\xfe{", "valid JSON in UTF-8. Byte 0 is not"),
        (b'{"value": ' + b"[" * 100000, "nested too deeply"),
        (b'{"value": [[' + b"9" * 5000 + b"]]}", "valid JSON. Exceeds the limit"),
        (b'{"value": [[' + b"9" * 400 + b"]]}", "In it value = "),
        (b"[[2, 0], [0, 2]]", "a JSON object. It is of type list"),
        (b"2", "a JSON object. It is of type int"),
        (b"", "valid JSON. It breaks off at character 0"),
        (changed()[:-20], "valid JSON. It breaks off at character"),
        (b'{"value": [[NaN, 0], [0, 2]]}', "JSON has no number NaN"),
        (b'{"value": [[2, 0], [0, Infinity]]}', "JSON has no number Infinity"),
        (b'{"valeu": 1}', "In it value = ['valeu']: it must be present"),
        (changed(value=[[2, 0], [0]]), "In it value = [[2, 0], [0]]: it must be a square matrix"),
        (changed(value=[["2", 0], [0, 2]]), "In it value = [['2', 0], [0, 2]]"),
        (changed(value=[[True, 0], [0, 2]]), "In it value = [[True, 0], [0, 2]]"),
        (changed(value={"a": 1}), "In it value = {'a': 1}"),
        (changed(value=2.0), "In it value = 2.0"),
        (changed(lower=[[1.0]]), "In it lower = [[1.0]]"),
        (changed(lower=[[3.0, 0.0], [0.0, 3.0]], upper=[[1.0, 0.0], [0.0, 1.0]]), "In it lower = "),
        (changed(volume_fractions=[0.2]), "In it volume_fractions = [0.2]: it must be a table"),
        (changed(volume_fractions={"er": "0.2"}), "In it volume_fractions.er = '0.2'"),
        (changed(volume_fractions={"er": -0.2}), "In it volume_fractions.er = -0.2"),
        (changed(volume_fractions={"er": 1.2}), "In it volume_fractions.er = 1.2"),
        (changed(volume_fractions={"er": 0.0}), "> 0 for the active phases"),
        (changed(volume_fractions={}), "'er' has none"),
        (changed(active_phases="er"), "In it active_phases = 'er': it must be a list of strings"),
        (changed(unit=3), "In it unit = 3: it must be a string"),
        (changed(interface_area="2 1/um"), "In it interface_area = '2 1/um'"),
        (changed(reached="no"), "In it reached = 'no': it must be true or false"),
        (changed(coefficients=[1]), "In it coefficients = [1]: it must be a table"),
        (changed(dofs=-1), "In it dofs = -1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tensors_that_are_none_are_refused_by_key_and_file(homfem, content, fragment):
    Path("c.toml").write_text(TENSOR)
    Path("in.json").write_bytes(changed())
    assert homfem("run", "c.toml")[0] == 0
    Path("in.json").write_bytes(content)
    status, out, err = homfem("run", "c.toml")
    assert (status, out) == (2, "")
    assert err.startswith("homfem: macro.tensors.er.file = 'in.json': it must be "), err
    assert fragment in err
    assert err.count("\n") == 1
    assert len(err) < 600


@pytest.mark.parametrize(
    ("old", "new", "fragment"),
    [
        ("3 1 1 0", "3 1 nan 0", "finite coordinates; those of this cell are not (0)"),
        ("4 0 1 0", "4 0 1e400 0", "finite coordinates; those of this cell are not (1)"),
        ("4 0 1 0", "4 0.5 0.5 0", "a mesh of cells with a volume; this one is flat (1)"),
        ("1 3 4", "1 3 9", "meshio"),
        ("3 1 1 0", "3 1 1", "meshio"),
    ],
)
@pytest.mark.filterwarnings("ignore:string or file")  # of numpy, for meshio
def test_meshes_of_a_domain_that_are_none_are_refused_by_key_and_file(homfem, old, new, fragment):
    """A square of two triangles, and with one fault."""
    text = "$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$Nodes\n4\n1 0 0 0\n2 1 0 0\n3 1 1 0\n4 0 1 0\n$EndNodes\n"
    text += "$Elements\n2\n1 2 2 0 1 1 2 3\n2 2 2 0 1 1 3 4\n$EndElements\n"
    Path("c.toml").write_text(DOMAIN.replace("wave/fields.xdmf", "in.msh"))
    for content, expected in ((text, 0), (text.replace(old, new), 2)):
        Path("in.msh").write_text(content)
        status, out, err = homfem("run", "c.toml")
        assert status == expected, err
    assert out == ""
    assert err.startswith("homfem: macro.domain.file = 'in.msh': it must be "), err
    assert fragment in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([[0, 1, 2], [0, 1, 3], [0, 1, 4]], "mesh = 3: it must be a mesh in which a facet belongs to one cell or two"),
        ([[0, 1, 5]], "whose cells have nodes 0 to 4"),
        ([[0, 1, -1]], "whose cells have nodes 0 to 4"),
        ([[0, 1, 1]], "this one is flat"),
        (np.zeros((0, 3), dtype=int), "a mesh with cells"),
    ],
)
def test_simplices_that_are_no_mesh_are_refused(cells, message):
    from mpi4py import MPI

    from homfem.bodies import mesh_from_arrays

    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 1.0]])
    assert mesh_from_arrays(MPI.COMM_SELF, lambda: (points, np.array([[0, 1, 2], [0, 1, 3]]))).topology.dim == 2
    with pytest.raises(InputError, match=message):
        mesh_from_arrays(MPI.COMM_SELF, lambda: (points, np.array(cells)))


@pytest.mark.mpi
def test_two_ranks_end_after_the_step_under_way(homfem):
    """SIGUSR1, which mpirun hands on: status and message of a run on one rank, and a checkpoint to go on from."""
    endless = WAVE.replace('end = "0.4 s"', 'end = "100 s"').replace('checkpoint_every = "0.2 s"\n', "")
    Path("c.toml").write_text(endless)
    command = ["mpirun", "-n", "2", sys.executable, "-m", "homfem", "run", "c.toml"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60.0
    while not Path("wave/fields.h5").exists() and time.monotonic() < until:
        time.sleep(0.05)
    run.send_signal(signal.SIGUSR1)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 1, err
    assert "finished: False" in out
    assert err.count("homfem: interrupted; homfem run --resume goes on from the checkpoint\n") == 1
    reached = float(out.partition("end: ")[2].split()[0])
    assert 0.0 < reached < 100.0
    status, out, err = homfem("run", "c.toml", "--resume", "--set", f"macro.time.end={reached + 0.02} s")
    assert status == 0, err
    assert f"steps: {round(reached / 0.02) + 1}\n" in out
