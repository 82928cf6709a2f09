"""The command line as a whole: help, messages, exit statuses; one message from several ranks."""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from homfem.parameters import ConvergenceError
from made_configs import outside


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
        "from homfem.cli import session\nfrom homfem.parameters import InputError\nfrom homfem.ranks import world\n"
        "session._PATIENCE = 0.5\n"
        "def body():\n"
        "    comm = world()\n"
        f"    if comm.rank == {rank}:\n        raise InputError('cell.edge', 2, 'a number < 1')\n"
        "    comm.Barrier()\n    return 0\n"
        "raise SystemExit(session.run_on_all_ranks(body))\n"
    )
    command = ["mpirun", "-n", "2", sys.executable, str(script)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 2
    assert answer.stderr.count("cell.edge = 2: it must be a number < 1") == 1
    # The first of ours: mpirun has remarks of its own, sometimes within the same line.
    first = answer.stderr[answer.stderr.index("homfem: ") :]
    assert first.startswith("homfem: cell.edge" if rank == 0 else "homfem: rank 1 alone failed: cell.edge")
    assert "Traceback" not in answer.stderr


@pytest.mark.mpi
def test_an_error_on_one_rank_at_the_end_is_the_status_of_all(tmp_path):
    script = tmp_path / "last.py"
    script.write_text(
        "import sys\nfrom homfem.cli import session\nfrom homfem.parameters import InputError\n"
        "from homfem.ranks import world\n"
        "def body():\n"
        "    if world().rank == 1:\n        raise InputError('cell.edge', 2, 'a number < 1')\n"
        "    return 0\n"
        "status = session.run_on_all_ranks(body)\n"
        "print(world().rank, status, file=sys.stderr)\nraise SystemExit(status)\n"
    )
    answer = subprocess.run(
        ["mpirun", "-n", "2", sys.executable, str(script)], capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 2
    assert answer.stderr.count("homfem: cell.edge = 2") == 1
    assert {"0 2", "1 2"} <= set(answer.stderr.splitlines())
