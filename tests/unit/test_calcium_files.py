"""Kinetics of calcium from files: the same numbers as by name, in whatever units the file is; what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.kinetics.calcium import FluxOfFile, calcium_kinetics, cell_kinetics, closed_cell, read_calcium
from homfem.parameters import FileError, InputError, UnitError

FLUXES = [
    FluxOfFile(name="J_ip3r", source="er", target="cytosol"),
    FluxOfFile(name="J_leak", source="er", target="cytosol"),
    FluxOfFile(name="J_pump", source="cytosol", target="er"),
]
NAMES = {"cytosol": "Ca", "er": "CaER", "ip3": "IP3"}
# Li-Rinzel in mM and ms.
ODE = """
parameters("Cell",
    IP3 = ScalarParam(0.0004, unit="mM", description="IP3"),
    c1 = ScalarParam(0.185, unit="1"),
    v1 = ScalarParam(0.006, unit="1/ms"),
    v2 = ScalarParam(0.00011, unit="1/ms"),
    v3 = ScalarParam(9e-07, unit="mM/ms"),
    k3 = ScalarParam(0.0001, unit="mM"),
    a2 = ScalarParam(0.2, unit="1/mM/ms"),
    density = ScalarParam(1.0, unit="1")
)
states("Cell",
    Ca = ScalarParam(0.0001, unit="mM"),
    CaER = ScalarParam(0.01, unit="mM"),
    h = ScalarParam(0.8, unit="1", description="inactivation"),
    seen = ScalarParam(0.0, unit="1")
)
expressions("Cell")
m_inf = IP3/(IP3 + 0.00013)*Ca/(Ca + 0.00008234) # 1
Q2 = 0.001049*(IP3 + 0.00013)/(IP3 + 0.0009434) # mM
J_ip3r = density*c1*v1*(m_inf*h)**3*(CaER - Ca) # mM/ms
J_leak = c1*v2*(CaER - Ca) # mM/ms
J_pump = v3*Ca**2/(k3**2 + Ca**2) # mM/ms
dCa_dt = J_ip3r + J_leak - J_pump
dCaER_dt = -(J_ip3r + J_leak - J_pump)/c1
dh_dt = a2*(Q2 - (Q2 + Ca)*h)
dseen_dt = 0.001*Ca/0.0001 - 0.001*seen*seen
"""
MMT = """
[[model]]
cell.Ca = 0.1
cell.CaER = 10
cell.h = 0.8

[engine]
time = 0 [s]
    in [s]
    bind time

[cell]
IP3 = 0.4 [uM]
    in [uM]
c1 = 0.185
v1 = 6 [1/s]
    in [1/s]
m_inf = IP3 / (IP3 + 0.13 [uM]) * Ca / (Ca + 0.08234 [uM])
Q2 = 1.049 [uM] * (IP3 + 0.13 [uM]) / (IP3 + 0.9434 [uM])
    in [uM]
J_ip3r = c1 * v1 * (m_inf * h)^3 * (CaER - Ca)
    in [uM/s]
J_leak = c1 * 0.11 [1/s] * (CaER - Ca)
    in [uM/s]
J_pump = 0.9 [uM/s] * Ca^2 / ((0.1 [uM])^2 + Ca^2)
    in [uM/s]
dot(Ca) = J_ip3r + J_leak - J_pump
    in [uM]
dot(CaER) = -(J_ip3r + J_leak - J_pump) / c1
    in [uM]
dot(h) = 0.2 [1/uM/s] * (Q2 - (Q2 + Ca) * h)
"""


def write(tmp_path, text, name="cell.ode"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "name", "units"),
    [(ODE, "cell.ode", {"time_unit": "ms"}), (MMT, "cell.mmt", {})],
    ids=["ode", "mmt"],
)
def test_a_file_gives_the_kinetics_that_it_writes(tmp_path, text, name, units):
    model = read_calcium(write(tmp_path, text, name), **NAMES, fluxes=FLUXES, **units)
    mine, theirs = (cell_kinetics(one, closed_cell(0.185)) for one in (model, calcium_kinetics("li-rinzel")))
    assert mine.fields[0].start == pytest.approx(0.1)
    assert mine.fields[1].start == pytest.approx(10.0)
    assert mine.states[0].name == "h"
    assert mine.states[0].gate
    rng = np.random.default_rng(1)
    c, e, h = rng.uniform(0.02, 1, 9), rng.uniform(2, 12, 9), rng.uniform(0, 1, 9)
    for ip3 in (0.4, 0.7):
        extra = np.zeros((len(mine.states) - 1, 9)) + 0.3
        found = mine.derivative(0.0, np.vstack([[c, e, h], extra]), mine.values({"ip3": ip3}))
        expected = theirs.derivative(0.0, np.array([c, e, h]), theirs.values({"ip3": ip3}))
        assert found[:3] == pytest.approx(expected, rel=1e-10)
        if len(extra):  # a state that drifts: 1/s
            assert not mine.states[1].gate
            assert found[3] == pytest.approx(c / 0.1 - 0.09, rel=1e-10)
    assert mine.kept == theirs.kept


def test_names_that_mean_something_here_are_told_apart(tmp_path):
    model = read_calcium(write(tmp_path, ODE), **NAMES, fluxes=FLUXES, time_unit="ms")
    assert "density_" in {entry.name for entry in model.parameters}
    assert {entry.name for entry in cell_kinetics(model, closed_cell(0.185)).parameters} >= {"density", "density_"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cytosol": "CaI"}, r"cytosol = 'CaI': it must be a state or parameter of cell\.ode: .*'Ca'"),
        ({"er": "Ca"}, "er = 'Ca': it must be another one"),
        ({"time_unit": ""}, r"cell\.ode: time = '': .*converts to s\. The file gives none"),
        ({"time_unit": "um"}, r"cell\.ode: time = 'um'.*dimension"),
        ({"unit": "mV"}, r"cell\.ode: Ca = 'mV': it must be in a unit that converts to uM"),
        ({"fluxes": [FluxOfFile(name="J_ip", source="er", target="cytosol")]}, r"fluxes = 'J_ip'.*'J_ip3r'"),
        ({"fluxes": [FluxOfFile(name="Q2", source="er", target="cytosol")]}, r"cell\.ode: Q2 = 'mM'.*uM/s"),
        (
            {"fluxes": [FluxOfFile(name="J_leak", source="er", target="cytosol", per="surface")]},
            r"cell\.ode: J_leak = 'mM/ms'.*uM\*um/s",
        ),
        ({"fluxes": [FluxOfFile(name="J_leak", source="er", target="cytosol", per="cell")]}, "J_leak.per = 'cell'"),
        ({"fluxes": []}, "at least one with a flux"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, message):
    given = {**NAMES, "fluxes": FLUXES, "time_unit": "ms"} | change
    with pytest.raises(InputError, match=message):
        read_calcium(write(tmp_path, ODE), **given)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    given = {**NAMES, "fluxes": FLUXES, "time_unit": "ms"}
    with pytest.raises(FileError, match=r"ends in \.ode"):
        read_calcium(tmp_path / "cell.txt", **given)
    with pytest.raises(FileError, match="can be read"):
        read_calcium(tmp_path / "none.ode", **given)
    with pytest.raises(FileError, match="ionic model"):
        read_calcium(write(tmp_path, "states("), **given)
    gamma = ODE.replace(
        "J_leak = c1*v2*(CaER - Ca) # mM/ms", "J_leak = Conditional(Lt(Ca, 0.1), c1*v2*CaER, 0) # mM/ms"
    )
    with pytest.raises(FileError, match="It has Piecewise"):
        read_calcium(write(tmp_path, gamma), **given)
    nameless = ODE.replace('Ca = ScalarParam(0.0001, unit="mM")', "Ca = 0.0001")
    with pytest.raises(UnitError, match="The file gives none"):
        read_calcium(write(tmp_path, nameless), **given)
    assert read_calcium(write(tmp_path, nameless), **given, unit="mM").start["cytosol"] == pytest.approx(0.1)
