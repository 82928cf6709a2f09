"""The sections of transport in the cell, beside numbers of other methods."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from homfem.validation import STUDIES
from homfem.validation.transport import collect


def test_every_module_with_rows_is_a_section():
    folder = Path(collect.__file__).parent
    with_rows = {path.stem for path in folder.glob("*.py") if "def rows(" in path.read_text()}
    assert with_rows == set(collect.SECTIONS)


def test_the_study_has_the_rows_of_every_section(monkeypatch):
    for name in collect.SECTIONS:
        module = importlib.import_module(f"homfem.validation.transport.{name}")
        monkeypatch.setattr(module, "rows", lambda name=name: iter([f"first of {name}", f"second of {name}"]))
    found = list(STUDIES["transport"].rows())
    assert found == [f"{word} of {name}" for name in collect.SECTIONS for word in ("first", "second")]


def test_a_section_that_raises_is_not_left_out(monkeypatch):
    monkeypatch.setattr(collect, "SECTIONS", ("at_rest", "not_there"))
    monkeypatch.setattr(importlib.import_module("homfem.validation.transport.at_rest"), "rows", lambda: iter(["one"]))
    with pytest.raises(ModuleNotFoundError, match="not_there"):
        list(STUDIES["transport"].rows())
