"""Point kinetics: tables of parameters, what is refused, FitzHugh-Nagumo against scipy and against closed forms."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from homfem.config.models.calcium import KineticsTable
from homfem.kinetics import (
    FITZHUGH_NAGUMO,
    TRIGGER_WAVE,
    LiRinzelMembrane,
    LiRinzelRates,
    Parameter,
    PointKinetics,
    Variable,
    describe_parameters,
    exchange_kinetics,
    li_rinzel,
    membrane_from_rates,
    parameters_of,
    resting_point,
    resting_state,
)
from homfem.parameters import ConvergenceError, InputError
from homfem.quantities import conversion_factor

FRACTIONS = {"cytosol_fraction": 0.8, "er_fraction": 0.15}


@pytest.mark.parametrize(
    "table", [parameters_of(LiRinzelRates), parameters_of(LiRinzelMembrane), FITZHUGH_NAGUMO.parameters]
)
def test_units_of_a_table_are_of_its_kinds(table):
    assert all(entry.meaning for entry in table)
    for entry in table:
        if entry.kind is not None:
            assert conversion_factor(entry.unit, entry.kind.unit) > 0.0


def test_one_table_of_rates_for_code_config_and_text():
    """The numbers of the published set by hand; the config has each of them but the ratio of volumes."""
    table = {entry.name: entry for entry in parameters_of(LiRinzelRates)}
    published = {
        "v1": 6,
        "v2": 0.11,
        "v3": 0.9,
        "k3": 0.1,
        "a2": 0.2,
        "d1": 0.13,
        "d2": 1.049,
        "d3": 0.9434,
        "d5": 0.08234,
    }
    assert {name: table[name].value for name in published} == published
    assert asdict(LiRinzelRates()) == {name: entry.value for name, entry in table.items()}
    others = {"model", "parameters", "values", "ip3", "density", "file", "names", "time_unit", "unit", "fluxes"}
    keys = set(KineticsTable.model_fields) - others
    assert keys == set(table) - {"c1"}
    assert KineticsTable.model_fields["v3"].description == "largest rate of the SERCA pump"
    text = describe_parameters(table.values())
    assert "| `v3` | 0.9 | uM/s | largest rate of the SERCA pump | De Young, Keizer 1992, table 1 |" in text
    assert {entry.name: entry.value for entry in parameters_of(TRIGGER_WAVE)}["v1"] == 12.0


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"epsilom": 0.1}, r"parameters = 'epsilom'.*'epsilon'.*Did you mean 'epsilon'"),
        ({"epsilon": 0.0}, "epsilon = 0.0.*> 0"),
        ({"a": math.nan}, "a = nan.*finite"),
        ({"epsilon": np.array([0.1, -0.2, 0.3])}, "epsilon = -0.2.*> 0"),
        ({"epsilon": np.array([0.1, math.nan, 0.3])}, "epsilon = nan"),
        ({"a": np.ones(4)}, r"a = \(4,\).*shape \(3,\)"),
        ({"a": "0.1"}, "a = '0.1'"),
    ],
)
def test_bad_parameters_are_refused(given, named):
    with pytest.raises(InputError, match=named):
        FITZHUGH_NAGUMO.values(given, size=3)


def test_parameters_are_numbers_or_arrays_of_their_own():
    mine = np.array([0.1, 0.2, 0.3])
    values = FITZHUGH_NAGUMO.values({"a": mine, "gamma": 2}, size=3)
    mine[:] = 0.0
    assert values.a.tolist() == [0.1, 0.2, 0.3]
    assert (values.gamma, values.epsilon) == (2.0, 0.01)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"states": (Variable(name="V"),)}, r"fields and states = \['V'\].*differ"),
        ({"parameters": (Parameter(name="a", value=1, meaning="x"),) * 2}, r"parameters = \['a'\]"),
        ({"states": (Variable(name="x", gate=False), Variable(name="w"))}, "gates before the others"),
        ({"relaxation": None}, "relaxation = None.*for 1 states"),
        ({"drift": lambda *_: np.zeros((0, 1))}, "drift.*None, without such states"),
        ({"stoichiometry": ((1.0,), (-1.0,))}, "stoichiometry.*1 rows"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, named):
    with pytest.raises(InputError, match=named):
        replace(FITZHUGH_NAGUMO, **change)


def by_hand(_t, y, a=0.1, eps=0.01, gamma=0.5):
    v, w = y
    return [v * (v - a) * (1 - v) - w, eps * (v - gamma * w)]


def test_fitzhugh_nagumo_is_the_published_equation():
    p = FITZHUGH_NAGUMO.values()
    run = solve_ivp(lambda t, y: FITZHUGH_NAGUMO.derivative(t, y, p), (0, 300), [0.3, 0.0], rtol=1e-10, atol=1e-12)
    other = solve_ivp(by_hand, (0, 300), [0.3, 0.0], rtol=1e-10, atol=1e-12)
    assert run.y[:, -1] == pytest.approx(other.y[:, -1], abs=1e-9)
    assert run.y[0].max() > 0.8  # an excursion
    assert run.y[0].min() < -0.1  # with its undershoot


def test_jacobian_is_the_derivative_of_the_rates():
    rng = np.random.default_rng(1)
    state, p = rng.uniform(-0.5, 1.2, (2, 20)), FITZHUGH_NAGUMO.values({"rate": 3.0})
    exact = FITZHUGH_NAGUMO.jacobian(0.0, tuple(state[:1]), state[1:], p)
    for k in range(2):
        step = np.zeros((2, 1))
        step[k] = 1e-6
        slope = (FITZHUGH_NAGUMO.derivative(0, state + step, p) - FITZHUGH_NAGUMO.derivative(0, state - step, p)) / 2e-6
        assert exact[:, k] == pytest.approx(slope, abs=1e-8)


def test_states_of_rest():
    """V = w = 0; with gamma = 20 further ones where (V - a)(1 - V) = 1/gamma. None: refused."""
    assert resting_point(FITZHUGH_NAGUMO, V=0.05) == pytest.approx([0.0, 0.0], abs=1e-12)
    high = 0.5 * (1.1 + math.sqrt(1.1**2 - 4 * (0.1 + 1 / 20)))
    found = resting_point(FITZHUGH_NAGUMO, {"gamma": 20.0}, V=0.9, w=high / 20)
    assert found == pytest.approx([high, high / 20], rel=1e-10)
    held = FITZHUGH_NAGUMO.rest((np.array([high]),), FITZHUGH_NAGUMO.values({"gamma": 20.0}))
    assert held == pytest.approx(high / 20, rel=1e-12)
    endless = PointKinetics(
        name="growth", time_unit="s", fields=(Variable(name="u"),), rates=lambda _t, u, _x, _p: 1.0 + u[0][None] ** 2
    )
    with pytest.raises(ConvergenceError, match="growth: no state of rest"):
        resting_point(endless)
    with pytest.raises(InputError, match=r"start = 'v'.*one of 'V', 'w'"):
        resting_point(FITZHUGH_NAGUMO, v=1.0)


def test_states_that_drift_and_shared_rates():
    """u -> v at rate k u, a counter of what went over; du + dv = 0."""
    kinetics = PointKinetics(
        name="decay",
        time_unit="s",
        fields=(Variable(name="u", start=1.0), Variable(name="v")),
        states=(Variable(name="count", gate=False),),
        parameters=(Parameter(name="k", value=2.0, unit="1/s", meaning="rate"),),
        rates=lambda _t, u, _x, p: (p.k * u[0])[None],
        stoichiometry=((-1.0,), (1.0,)),
        drift=lambda _t, u, _x, p: (p.k * u[0])[None],
    )
    assert kinetics.derivative(0.0, kinetics.start(), kinetics.values()) == pytest.approx([-2.0, 2.0, 2.0])
    run = solve_ivp(kinetics.derivative, (0, 1), kinetics.start(), args=(kinetics.values(),), rtol=1e-10, atol=1e-12)
    left = math.exp(-2.0)
    assert run.y[:, -1] == pytest.approx([left, 1 - left, 1 - left], rel=1e-8)


def test_a_membrane_as_point_kinetics():
    """The flux that the cytosol gains and the ER loses; at rest, which another way finds, nothing changes."""
    membrane = membrane_from_rates(TRIGGER_WAVE, interface_area=2.0, **FRACTIONS)
    kinetics = exchange_kinetics(li_rinzel(membrane))
    rest = resting_state(membrane, total=2.5, ip3=0.3, **FRACTIONS)
    at_rest = np.array([rest.cytosol, rest.er, rest.inactivation])
    p = kinetics.values({"ip3": 0.3})
    assert np.abs(kinetics.derivative(0.0, at_rest, p)).max() < 1e-12
    assert kinetics.rest((at_rest[:1], at_rest[1:2]), p)[0] == pytest.approx(rest.inactivation, rel=1e-12)
    moved = kinetics.derivative(0.0, at_rest + np.array([0.3, 0.0, 0.0]), p)
    assert moved[0] == -moved[1] != 0.0
    with pytest.raises(InputError, match=r"ip3 = -0.1"):
        kinetics.values({"ip3": -0.1})
