"""The package as pip installs it: whole, typed, with its command; completion in shells; any release of typer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "homfem"

# Beside the newest typer there need not be a package click: homfem must do without.
WITHOUT_CLICK = """
import builtins, sys
load = builtins.__import__
def guarded(name, globals=None, *rest, **more):
    if name.split(".")[0] == "click" and (globals or {}).get("__name__", "").startswith("homfem"):
        raise ModuleNotFoundError("No module named 'click'", name="click")
    return load(name, globals, *rest, **more)
builtins.__import__ = guarded
from homfem.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["effectiv"], "homfem: No such command 'effectiv'."),
        (["effective"], "homfem: Missing argument 'CONFIG.toml'."),
        (["effective", "er.toml", "--jsn", "x"], "homfem: No such option: --jsn"),
        (["cell"], "homfem: Invalid value: either CONFIG.toml or --check FILE is needed."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_is_one_message_without_the_package_click(arguments, message):
    run = subprocess.run([sys.executable, "-c", WITHOUT_CLICK, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(message)
    assert run.stderr.count("\n") == 1


def test_pip_installs_every_module_the_marker_of_types_and_the_command(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(PACKAGE, source / "homfem", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    run = subprocess.run([*pip, "--no-compile", "--target", target, source], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    wanted = {path.relative_to(source) for path in (source / "homfem").rglob("*") if path.is_file()}
    assert Path("homfem/py.typed") in wanted
    assert {path for path in wanted if not (target / path).is_file()} == set()
    path = os.pathsep.join([str(target), *filter(None, sys.path)])
    command = [sys.executable, target / "bin" / "homfem", "effectiv"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path})
    assert run.returncode == 2
    assert run.stderr.startswith("homfem: No such command 'effectiv'.")


@pytest.mark.parametrize(
    ("words", "found"), [("homfem eff", ["effective"]), ("homfem run --re", ["--resume"]), ("homfem nix", [])]
)
def test_a_shell_completes_commands_and_options(homfem, monkeypatch, words, found):
    monkeypatch.setenv("_HOMFEM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    status, out, err = homfem()
    assert (status, err) == (0, "")
    assert out.split() == found


def test_completion_is_shown_and_installed(tmp_path):
    def in_bash(option):  # which is the parent process by which the shell is known
        command = f"{sys.executable} -m homfem {option}; exit $?"
        environment = os.environ | {"HOME": str(tmp_path)}
        return subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, env=environment)

    run = in_bash("--show-completion")
    assert (run.returncode, run.stderr) == (0, "")
    assert "_HOMFEM_COMPLETE=complete_bash" in run.stdout
    assert list(tmp_path.iterdir()) == []
    run = in_bash("--install-completion")
    assert (run.returncode, run.stderr) == (0, "")
    (script,) = (path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".bashrc")
    assert "complete_bash" in script.read_text()
    assert str(script) in (tmp_path / ".bashrc").read_text()
