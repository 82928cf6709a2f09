"""Compiled steps of membranes: as those of NumPy, of their order, kept once, safe among many processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate

from homfem.kinetics.ionic import cache, ionic_kinetics, kernels, read_ionic
from homfem.macro.reaction import CompiledReaction, MembraneReaction, NodalReaction, make_reaction
from homfem.parameters import InputError

CELL = """
states(V = ScalarParam(-20, unit="mV"), n = 0.3, c = 0.5)
parameters(g = 0.2, k = 0.3)
dn_dt = (1/(1 + exp(-(V + 25)/8)) - n)/(2 + V**2/1000)
dc_dt = k*(0.01*n*(V + 60) - c**2)
dV_dt = -g*n*(V + 70) + 0.1*(V - 10)*(1 - V/40) - c
"""


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache with nothing in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    for kept in (kernels._say, cache._say_not_kept, cache._own_folder):
        kept.cache_clear()
    return tmp_path / "a cache" / "homfem" / "ionic"


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    path = tmp_path_factory.mktemp("cell") / "cell.ode"
    path.write_text(CELL)
    return read_ionic(path)


def states(kinetics, n: int, seed: int = 1):
    """Return V and states of n nodes, and parameters of which some vary."""
    random = np.random.default_rng(seed)
    start = {
        state.name: random.uniform(0.01, 0.99, n) if state.gate else state.start * random.uniform(0.7, 1.3, n)
        for state in kinetics.states
    }
    return random.uniform(-90.0, 40.0, n), start


@pytest.mark.parametrize("scheme", kernels.SCHEMES)
@pytest.mark.parametrize("order", [1, 2])
def test_compiled_steps_are_those_of_numpy(scheme, order):
    kinetics = ionic_kinetics("tentusscher-panfilov-2006")
    n = 1001
    v, start = states(kinetics, n)
    parameters = {"g_Na": np.linspace(0.0, 20.0, n), "g_Kr": 0.1}
    results = []
    for compile_, kind in ((True, CompiledReaction), (False, MembraneReaction)):
        values = np.repeat(v, 2)[::2] if compile_ else v.copy()  # one of them strided
        reaction = make_reaction(
            kinetics, {"V": values}, scheme=scheme, order=order, start=start, parameters=parameters,
            scales={"V": np.linspace(0.5, 1.5, n)}, compile=compile_,
        )  # fmt: skip
        assert type(reaction) is kind
        reaction.step(0.0, 0.001)
        reaction.step(0.001, 0.001)
        assert reaction.not_finite() is None
        results.append(np.vstack([values, reaction.states]))
    assert np.abs(results[0] / results[1] - 1.0).max() < 1e-12
    assert np.abs(results[0][0] - v).max() > 0.01


def test_rush_larsen_is_what_other_kinetics_take(cell):
    v, start = states(cell, 50)
    results = []
    for order in (1, 2):
        for make in (NodalReaction, make_reaction):
            values = v.copy()
            reaction = make(cell, {"V": values}, order=order, start=start)
            reaction.step(0.0, 0.05)
            results.append(np.vstack([values, reaction.states]))
    assert results[0] == pytest.approx(results[1], rel=1e-13)
    assert results[2] == pytest.approx(results[3], rel=1e-13)
    assert results[0] != pytest.approx(results[2], rel=1e-6)


@pytest.mark.parametrize("scheme", kernels.SCHEMES)
@pytest.mark.parametrize("order", [1, 2])
def test_schemes_have_their_order(cell, scheme, order):
    p = cell.values()
    exact = scipy.integrate.solve_ivp(
        lambda t, y: cell.derivative(t, y, p), (0.0, 4.0), cell.start(), rtol=1e-11, atol=1e-12, method="LSODA"
    ).y[:, -1]
    errors = []
    for steps in (100, 200):
        v = np.array([cell.fields[0].start])
        reaction = make_reaction(cell, {"V": v}, scheme=scheme, order=order)
        for k in range(steps):
            reaction.step(k * 4.0 / steps, 4.0 / steps)
        errors.append(np.abs(np.r_[v, reaction.states[:, 0]] - exact).max())
    assert errors[1] < (0.3 if order == 1 else 2e-3)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_a_large_step_is_stable_but_of_the_explicit_scheme():
    ends = {}
    for scheme in kernels.SCHEMES:
        v = np.array([-20.0])
        reaction = make_reaction(ionic_kinetics("tentusscher-panfilov-2006"), {"V": v}, scheme=scheme, order=1)
        for k in range(500):
            reaction.step(0.1 * k, 0.1)
        ends[scheme] = reaction.not_finite() or v[0]
    assert -20.0 < ends["rush-larsen"] < 40.0
    assert ends["generalized-rush-larsen"] == pytest.approx(ends["rush-larsen"], abs=2.0)
    assert isinstance(ends["explicit"], tuple)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("compile_", [True, False])
def test_what_is_not_finite_stays_so_and_is_named(bad, compile_):
    kinetics = ionic_kinetics("tentusscher-panfilov-2006")
    v = np.full(70, -85.0)
    reaction = make_reaction(kinetics, {"V": v}, compile=compile_)
    assert reaction.not_finite() is None
    reaction.states[4, 33] = bad
    assert reaction.not_finite() == (kinetics.states[4].name, 33)
    reaction.step(0.0, 0.01)
    assert reaction.not_finite() == ("V", 33)
    v[33] = reaction.states[4, 33] = -85.0
    v[[5, 6]] = 1e308  # their sum alone is not finite
    reaction.states[:, 33] = 0.5
    assert reaction.not_finite() is None


def test_a_scheme_that_is_not_there_is_refused(cell):
    fields = {"V": np.zeros(3)}
    with pytest.raises(InputError, match="Did you mean 'generalized-rush-larsen'"):
        make_reaction(cell, fields, scheme="generalised-rush-larsen")
    with pytest.raises(InputError, match="'rush-larsen' for FitzHugh-Nagumo"):
        make_reaction(ionic_kinetics("fitzhugh-nagumo"), fields, scheme="explicit")
    with pytest.raises(InputError, match="Did you mean 'g'"):
        make_reaction(cell, fields, parameters={"gg": 1.0})


def test_without_a_compiler_numpy_takes_the_steps_and_says_so_once(cell, own_cache, monkeypatch, caplog):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    for _ in range(2):
        assert type(make_reaction(cell, {"V": np.zeros(3)})) is MembraneReaction
    assert [record.message for record in caplog.records] == [
        "ionic models are not compiled: there is no C compiler on the PATH. "
        "NumPy takes their steps, several times slower"
    ]


def test_a_compiler_that_fails_is_quoted(cell, own_cache, monkeypatch, caplog, tmp_path):
    broken = tmp_path / "broken cc"
    broken.write_text("#!/bin/sh\necho 'broken: error: no licence' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert type(make_reaction(cell, {"V": np.zeros(3)})) is MembraneReaction
    assert "error: no licence" in caplog.text
    assert [path.name for path in own_cache.iterdir()] == ["lock"]


def test_a_kernel_is_compiled_once_and_anew_for_another_processor(cell, own_cache, monkeypatch):
    calls = []
    compile_ = kernels._compile
    monkeypatch.setattr(kernels, "_compile", lambda *given: (calls.append(given), compile_(*given))[1])
    for _ in range(2):
        make_reaction(cell, {"V": np.zeros(3)})
    assert len(calls) == 1
    monkeypatch.setattr(kernels, "_processor", lambda: "another one")
    make_reaction(cell, {"V": np.zeros(3)})
    assert len(calls) == 2


def test_a_kept_file_that_was_damaged_is_made_anew(own_cache, tmp_path):
    path = tmp_path / "my cell.ode"
    path.write_text(CELL)
    for damage in (b"", b"damaged"):
        run = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True)
        assert run.stdout.strip() == "CompiledReaction", run.stderr
        kept = sorted(own_cache.glob("*-*.*"))
        assert [file.suffix for file in kept] == [".json", ".so"]
        assert min(file.stat().st_size for file in kept) > 1000
        for file in kept:
            file.write_bytes(damage)


def test_without_a_cache_a_folder_of_the_process_is_used(cell, tmp_path, own_cache, monkeypatch, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    for _ in range(2):
        assert type(make_reaction(cell, {"V": np.zeros(3)})) is CompiledReaction
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.text


PROGRAM = """
import sys, numpy as np
from homfem.kinetics.ionic import read_ionic
from homfem.macro.reaction import make_reaction
print(type(make_reaction(read_ionic(sys.argv[1]), {"V": np.zeros(3)})).__name__)
"""


def test_many_processes_at_once_and_one_that_is_killed_leave_a_good_cache(own_cache, tmp_path, monkeypatch):
    path = tmp_path / "my cell.ode"
    path.write_text(CELL)
    slow = tmp_path / "cc"
    slow.write_text(f"#!/bin/sh\necho $$ >> '{tmp_path}/started'\nsleep 0.5\nexec {kernels._compiler()} \"$@\"\n")
    slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(slow))
    command = [sys.executable, "-c", PROGRAM, str(path)]
    killed = subprocess.Popen(command)
    started = tmp_path / "started"
    while not started.exists():
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not list(own_cache.glob("*.so"))
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0].strip() for process in several] == ["CompiledReaction"] * 2
    assert len(list(own_cache.glob("*.so"))) == 1
    assert len(started.read_text().split()) == 2
    assert os.environ["CC"] == str(slow)
    assert Path(own_cache, "lock").exists()
