"""Kinetics from expressions: slopes by the chain rule against differences, states of rest, what is not used."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.kinetics import Parameter, Variable
from homfem.kinetics.expressions import parse_expression
from homfem.kinetics.written import Formulary, written_kinetics
from homfem.parameters import ConvergenceError, InputError

NAMES = ["u", "v", "x", "y", "z", "k", "square", "both"]


def read(text):
    return parse_expression("test", text, [*NAMES, "t"])


def made(**changes):
    """Two fields, a gate, two drifting states of which one is quadratic, definitions that use each other."""
    formulary = Formulary(
        definitions=(("square", read("u^2")), ("both", read("square*v + x"))),
        rates=(("one", read("k*both*y")), ("two", read("-v*t"))),
        gates=(("x", read("1 + square"), read("u/(1 + v)")),),
        drifts=(("y", read("both - y^2")), ("z", read("x - 3*z"))),
    )
    described = {
        "name": "test",
        "time_unit": "s",
        "fields": (Variable(name="u"), Variable(name="v")),
        "states": (
            Variable(name="x"),
            Variable(name="y", start=1.0, gate=False),
            Variable(name="z", gate=False),
        ),
        "parameters": (Parameter(name="k", value=2.0, meaning="factor"),),
        "stoichiometry": ((1.0, 0.0), (-0.5, 1.0)),
    }
    return written_kinetics(formulary, **described | changes)


def test_functions_are_those_of_the_text():
    kinetics, (u, v, x, y, z) = made(), np.random.default_rng(1).uniform(0.2, 2, (5, 7))
    p, states = kinetics.values({"k": 3.0}), np.array([x, y, z])
    both = u**2 * v + x
    assert kinetics.rates(0.5, [u, v], states, p) == pytest.approx(np.array([3 * both * y, -v * 0.5]), rel=1e-14)
    rate, target = kinetics.relaxation(0.0, [u, v], states, p)
    assert (rate, target) == (pytest.approx(1 + u[None] ** 2), pytest.approx((u / (1 + v))[None]))
    assert kinetics.drift(0.0, [u, v], states, p) == pytest.approx(np.array([both - y**2, x - 3 * z]), rel=1e-13)


def test_jacobian_is_that_of_differences():
    kinetics, state = made(), np.random.default_rng(2).uniform(0.2, 2, (5, 4))
    p = kinetics.values({"k": np.array([1.0, 2.0, 3.0, 4.0])}, size=4)
    found = kinetics.jacobian(0.7, list(state[:2]), state[2:], p)
    for j in range(5):
        step = np.zeros((5, 1))
        step[j] = 1e-6
        up, down = (kinetics.derivative(0.7, state + sign * step, p) for sign in (1, -1))
        assert found[:, j] == pytest.approx((up - down) / 2e-6, abs=1e-7)
    assert not found[2, 3].any()


def test_rest_is_found_also_where_rates_are_not_linear():
    kinetics, (u, v) = made(), np.random.default_rng(3).uniform(0.2, 2, (2, 5))
    x, y, z = kinetics.rest([u, v], kinetics.values())
    assert x == pytest.approx(u / (1 + v), rel=1e-14)
    assert y == pytest.approx(np.sqrt(u**2 * v + x), rel=1e-12)
    assert z == pytest.approx(x / 3, rel=1e-13)


def test_no_state_of_rest_is_an_error():
    growing = written_kinetics(
        Formulary(rates=(("one", read("u")),), drifts=(("x", read("1 + x^2")),)),
        name="test",
        time_unit="s",
        fields=(Variable(name="u"),),
        states=(Variable(name="x", start=0.5, gate=False),),
    )
    with pytest.raises(ConvergenceError, match="test: no states of rest"):
        growing.rest([np.ones(1)], growing.values())


def test_definitions_that_are_needed_come_in_their_order():
    formulary = made().written
    assert [name for name, _ in formulary.needed([read("both")])] == ["square", "both"]
    assert [name for name, _ in formulary.needed([read("square")])] == ["square"]
    assert formulary.needed([read("u*v")]) == ()
    assert formulary.names >= {"u", "v", "t", "both", "square"}


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ([[0.4, -0.1], [0.2, 0.2]], r"x = -0\.1: .*>= 0"),
        ([[0.4, 0.1], [0.61, 0.2]], r"x \+ y = 1\.01: .*at most 1"),
        ([[np.nan, 0.1], [0.2, 0.2]], r"x = nan"),
    ],
)
def test_shares_are_parts_of_one_whole(states, message):
    kinetics = made(shares=(("x", "y"),))
    with pytest.raises(InputError, match=message):
        kinetics.check_shares(np.array([*states, [5.0, 5.0]]))
    kinetics.check_shares(np.array([[0.4, 1.0], [0.6, 0.0], [5.0, -3.0]]))


def test_shares_of_unknown_states_are_refused():
    with pytest.raises(InputError, match="shares = 'w'"):
        made(shares=(("w",),))
