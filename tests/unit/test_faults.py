"""Faults around what the commands read and write: refused before the work, or one line and an exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from homfem import cli
from homfem.cli import session
from homfem.disk import write_text

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
[macro.output]
folder = "wave"
every = "0.1 s"
checkpoint_every = "0.2 s"
"""
IMAGE = '[cell]\nshape = "image"\nfile = "in.png"\nlabels = { pore = 0, solid = 1 }\nvoxel = "1 um"\n'
IMAGE += EFFECTIVE.replace("er =", "pore =")
FIELD = EFFECTIVE.replace('"250 um^2/s"', '{ field = { file = "in.png", unit = "um^2/s" } }')
TENSOR = WAVE.replace('er = { value = "2 um^2/s", volume_fraction = 0.2 }', 'er = "in.json"')
DOMAIN = WAVE.partition("[macro.domain]")[0] + '[macro.domain]\nfile = "wave/fields.xdmf"\nunit = "um"\n[macro.tensors]'
DOMAIN += WAVE.partition("[macro.tensors]")[2]
SCRIPT = '[cell]\nfile = "in.geo"\ntrust = true\n'


@pytest.fixture
def homfem(capsys, monkeypatch, tmp_path):
    """Run a command in this process, in a folder of its own; give status, standard output, standard error."""
    for name in session._LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


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
        ("--fields", "a.BP", "ends in .bp"),
        ("--figure", "folder.png", "a file that can be written"),
    ],
)
def test_a_target_that_cannot_be_written_is_refused_before_the_work(homfem, option, path, fragment):
    Path("c.toml").write_text(CELL + EFFECTIVE)
    for name in ("file", "file.bp"):
        Path(name).write_text("kept")
    for name in ("full.bp", "folder.png"):
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
    monkeypatch.setattr("homfem.cli.macro.make_problem", lambda *_: os.kill(os.getpid(), number))
    assert homfem("run", "c.toml") == (1, "", "homfem: interrupted\n")


def test_the_second_of_two_runs_into_a_folder_is_refused(homfem):
    """A lock is held by a living process alone."""
    Path("c.toml").write_text(WAVE)
    holding = (
        "import os, sys\nfrom pathlib import Path\nfrom mpi4py import MPI\nfrom homfem.cli.folders import run_folder\n"
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
    def draw(cell, path):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("homfem.cli.figures.draw_unit_cell", draw)
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
