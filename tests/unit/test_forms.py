"""Locks in the cache of compiled forms: what a process that was ended has left stops no later one."""

from __future__ import annotations

import os
import time

import pytest
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.solve import compile_form, forms


def _lock(folder, name, age=0.0, finished=False):
    path = folder / f"libffcx_forms_{name}.c"
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    if finished:
        path.with_suffix(".c.cached").touch()
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(forms, "_cache", lambda: tmp_path)
    forms._clear_old_locks.cache_clear()
    yield tmp_path
    forms._clear_old_locks.cache_clear()


def test_locks_that_nobody_waits_for_any_more_are_removed_once(cache):
    old, new = _lock(cache, "old", age=700.0), _lock(cache, "new", age=500.0)
    done, other = _lock(cache, "done", age=700.0, finished=True), cache / "other.c"
    other.touch()
    volume = compile_form(fem.Constant(mesh.create_unit_interval(MPI.COMM_SELF, 2), 1.0) * ufl.dx)
    assert fem.assemble_scalar(volume) == pytest.approx(1.0)
    assert [path.exists() for path in (old, new, done, other)] == [False, True, True, True]
    again = _lock(cache, "old", age=700.0)
    compile_form(fem.Constant(mesh.create_unit_interval(MPI.COMM_SELF, 2), 1.0) * ufl.dx)
    assert again.exists()


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_takes_its_own_lock_away(cache, monkeypatch, end):
    others = _lock(cache, "others", age=5.0)

    def interrupted(*_, **__):
        _lock(cache, "mine")
        raise end

    monkeypatch.setattr(forms.fem, "form", interrupted)
    with pytest.raises(end):
        compile_form(None)
    assert others.exists()
    assert not (cache / "libffcx_forms_mine.c").exists()


def test_the_cache_is_the_one_that_forms_go_to():
    """The module of a compiled form lies in it, beside the mark that it is finished."""
    form = compile_form(fem.Constant(mesh.create_unit_interval(MPI.COMM_SELF, 2), 3.0) * ufl.dx)
    source = forms._cache() / f"{form.module.__name__.rpartition('.')[2]}.c"
    assert source.is_file()
    assert source.with_suffix(".c.cached").exists()
