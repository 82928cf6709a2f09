"""Membranes from files: what a file becomes, what is refused, and that nothing heavy loads before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from homfem.kinetics.ionic import IONIC_MODELS, ionic_kinetics, read_ionic
from homfem.parameters import FileError, InputError

TOY = """
states(v = ScalarParam(-80, unit="mV", description="potential"), n = 0.3, lambda = 0.1)
parameters(g = ScalarParam(2.0, unit="mS/uF", description="conductance"), int = 0.5, stim_amplitude = -52)
i_Stim = Conditional(Lt(time - floor(time/1000)*1000, 2), stim_amplitude, 0)
alpha = 0.1*(v + 40)/(1 - exp(-(v + 40)/10))
dn_dt = alpha*(1 - n) - int*n
dlambda_dt = -lambda**2*n
dv_dt = -(g*n*v + i_Stim)
"""


def written(tmp_path: Path, text: str, name: str = "toy model.ode") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_file_becomes_kinetics_with_gates_units_and_no_stimulus(tmp_path, caplog):
    caplog.set_level("INFO", logger="homfem")
    kinetics = read_ionic(written(tmp_path, TOY))
    assert [field.name for field in kinetics.fields] == ["V"]
    assert [(state.name, state.gate) for state in kinetics.states] == [("n", True), ("lambda", False)]
    assert [(entry.name, entry.value, entry.unit, entry.meaning) for entry in kinetics.parameters] == [
        ("g", 2.0, "mS/uF", "conductance"),
        ("int", 0.5, "", ""),
    ]
    assert "i_Stim is 0" in caplog.text
    v, n, x = -30.0, 0.4, 0.2
    alpha = 0.1 * (v + 40) / (1 - np.exp(-(v + 40) / 10))
    expected = [-2.0 * n * v, alpha * (1 - n) - 0.5 * n, -(x**2) * n]
    assert kinetics.derivative(0.0, np.array([v, n, x]), kinetics.values()) == pytest.approx(expected, rel=1e-14)
    rate, target = kinetics.relaxation(0.0, [np.array([v])], np.array([[n], [x]]), kinetics.values())
    assert (rate[0, 0], target[0, 0]) == pytest.approx((alpha + 0.5, alpha / (alpha + 0.5)), rel=1e-14)


def test_every_model_of_the_registry_is_at_rest_or_nearly_so():
    for name, model in IONIC_MODELS.items():
        for variant in model.variants or [None]:
            kinetics = ionic_kinetics(name, variant)
            assert kinetics.fields[0].name == "V"
            derivative = kinetics.derivative(0.0, kinetics.start(), kinetics.values())
            assert np.all(np.isfinite(derivative))
            assert abs(derivative[0]) < 0.1, name
            assert all(entry.meaning for entry in (*kinetics.fields, *kinetics.states, *kinetics.parameters)), name


def test_names_that_are_not_there_are_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'tentusscher-panfilov-2006'"):
        ionic_kinetics("tentuscher-panfilov-2006")
    with pytest.raises(InputError, match="one of 'epi', 'endo', 'm'"):
        ionic_kinetics("tentusscher-panfilov-2006", "septum")
    with pytest.raises(InputError, match="has no variants"):
        ionic_kinetics("fitzhugh-nagumo", "epi")
    kinetics = ionic_kinetics("tentusscher-panfilov-2006")
    with pytest.raises(InputError, match="Did you mean 'g_Na'"):
        kinetics.values({"gNa": 1.0})
    with pytest.raises(InputError, match="Did you mean 'Ca_i'"):
        kinetics.start({"Cai": 1.0})
    with pytest.raises(InputError, match="Did you mean 'v'"):
        read_ionic(written(tmp_path, TOY), "Vv")
    with pytest.raises(InputError, match="none of the usual names: its states are volts, n, lambda"):
        read_ionic(written(tmp_path, TOY.replace("v =", "volts =").replace("dv_", "dvolts_").replace("*v", "*volts")
                           .replace("(v +", "(volts +")))  # fmt: skip


def test_nothing_heavy_loads_before_a_new_file_is_read():
    program = """
import sys, json
import homfem.kinetics
first = sorted({"sympy", "gotranx", "myokit", "lark", "structlog"} & set(sys.modules))
homfem.kinetics.ionic.ionic_kinetics("tentusscher-panfilov-2006")
print(json.dumps([first, sorted({"sympy", "gotranx", "myokit"} & set(sys.modules))]))
"""
    ionic_kinetics("tentusscher-panfilov-2006")  # it is kept now
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [[], []]


def test_a_file_that_is_missing_or_of_another_kind_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"can be read \(No such file"):
        read_ionic(tmp_path / "no.ode")
    with pytest.raises(FileError, match=r"ends in .ode, .cellml, .mmt"):
        read_ionic(written(tmp_path, TOY, "toy.txt"))
