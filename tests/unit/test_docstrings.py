"""Every example in a docstring of the package runs and gives what it says; references name what there is."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "homfem").rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings(name, capsys):
    tried = doctest.testmod(importlib.import_module(name))
    assert tried.attempted
    assert not tried.failed, capsys.readouterr().out


REFERENCE = re.compile(r":(?:mod|func|class|meth|attr|data):`~?([\w.]+)`")


def names_in(module: ModuleType) -> set[str]:
    """Return what a reference without a dot may name: what is in the module, and in its classes."""
    found = set(vars(module))
    for entry in vars(module).values():
        if inspect.isclass(entry):
            found |= set(dir(entry)) | {name for base in entry.__mro__ for name in getattr(base, "__annotations__", {})}
    return found


def exists(name: str) -> bool:
    """Tell whether a full name is that of a module or of something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            entry: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if part in getattr(entry, "__annotations__", {}):
                return True
            if not hasattr(entry, part):
                return False
            entry = getattr(entry, part)
        return True
    return False


def dangling(module: ModuleType, text: str) -> list[str]:
    """Return the references of a text that name nothing."""
    own = names_in(module)
    attributes = set(re.findall(r"self\.(\w+)", text))

    def found(name: str) -> bool:
        first = name.split(".")[0]
        full = exists(f"{module.__name__}.{name}") if first in vars(module) else exists(name)
        return full or name in own or name in attributes

    return [name for name in REFERENCE.findall(text) if not found(name)]


def test_references_in_docstrings_name_something():
    wrong = []
    for path in sorted((ROOT / "homfem").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name == "homfem.__main__":
            continue
        wrong += [f"{name}: {reference}" for reference in dangling(importlib.import_module(name), path.read_text())]
    assert not wrong, "\n".join(wrong)


def test_a_dangling_reference_is_seen():
    module = importlib.import_module("homfem.timestepping")
    text = ":class:`TimeGrid`, :func:`homfem.ranks.on_root`, :attr:`steps`, :attr:`kept` self.kept"
    assert dangling(module, text) == []
    text = ":class:`TimeGrit`, :func:`homfem.cells.raw.load`, :mod:`homfem.solver`, :meth:`TimeGrid.tyme`"
    assert dangling(module, text) == ["TimeGrit", "homfem.cells.raw.load", "homfem.solver", "TimeGrid.tyme"]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_files_that_pages_name_are_there(page):
    named = re.findall(r"`((?:homfem|tests|demos|docs|docker)/[\w/.]+\.(?:py|md|toml))`", (ROOT / page).read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []
