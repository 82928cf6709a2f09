"""The command ``homfem doctor``."""

from __future__ import annotations

import json

import numpy as np


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
