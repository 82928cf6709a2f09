"""Point kinetics at nodes: orders against exact and integrated solutions, shared rates, parameters by node."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from homfem.kinetics import FITZHUGH_NAGUMO, Parameter, PointKinetics, Variable
from homfem.macro.reaction import BLOCK, NodalReaction
from homfem.parameters import InputError

DECAY = PointKinetics(
    name="decay",
    time_unit="s",
    fields=(Variable(name="u"), Variable(name="v")),
    states=(Variable(name="gate", start=1.0), Variable(name="count", gate=False)),
    parameters=(Parameter(name="k", value=2.0, unit="1/s", meaning="rate"),),
    rates=lambda t, u, x, p: (p.k * x[0] * u[0] * (1.0 + t))[None],
    stoichiometry=((-1.0,), (1.0,)),
    relaxation=lambda _t, _u, x, _p: (np.full_like(x[:1], 3.0), np.full_like(x[:1], 0.5)),
    drift=lambda t, u, x, p: (p.k * x[0] * u[0] * (1.0 + t))[None],
)


def run(kinetics, fields, number, end=1.0, **options):
    own = {name: np.array(values, dtype=float) for name, values in fields.items()}
    reaction = NodalReaction(kinetics, own, **options)
    for k in range(number):
        reaction.step(end * k / number, end / number)
    return own, reaction.states


@pytest.mark.parametrize(("order", "cap"), [(1, 0.03), (2, 1e-3)])
def test_orders_of_fields_gates_and_drifting_states(order, cap):
    """du/dt = -k g (1 + t) u with g = (1 + exp(-3t))/2: the integral in closed form."""
    moved = 0.5 * (1 + 0.5) + 0.5 * ((1 - math.exp(-3)) / 3 + (1 - 4 * math.exp(-3)) / 9)
    exact = math.exp(-2.0 * moved)
    errors = []
    for number in (20, 40, 80):
        fields, states = run(DECAY, {"u": [1.0], "v": [0.0]}, number, order=order)
        assert states[0, 0] == pytest.approx(0.5 + 0.5 * math.exp(-3), rel=1e-13)  # gates are exact
        errors.append([abs(fields["u"][0] - exact), abs(states[1, 0] - (1 - exact))])
    rates = np.log2(np.array(errors)[:-1] / np.array(errors)[1:])
    assert rates[-1] == pytest.approx([order, order], abs=0.12)
    assert errors[0][0] < cap


def test_what_one_field_loses_another_gains():
    rng = np.random.default_rng(1)
    n = 2 * BLOCK + 17
    u, scale = rng.uniform(1, 300, n), rng.uniform(0.1, 3, n)
    fields, states = run(DECAY, {"u": u, "v": np.zeros(n)}, 50, scales={"u": 2 * scale, "v": scale})
    assert fields["v"].min() > 0.1
    assert 0.5 * fields["u"] + fields["v"] == pytest.approx(0.5 * u, rel=1e-13)
    assert states.shape == (2, n)


@pytest.mark.parametrize("order", [1, 2])
def test_fitzhugh_nagumo_at_nodes_is_that_of_scipy(order):
    """Three nodes with thresholds of their own, one of which does not fire."""
    end, start = 25.0, {"w": 0.0}
    a = np.array([0.1, 0.15, 0.35])
    fields, states = run(FITZHUGH_NAGUMO, {"V": [0.3] * 3}, 2000, end, parameters={"a": a}, start=start, order=order)
    for k in range(3):
        p = FITZHUGH_NAGUMO.values({"a": a[k]})
        exact = solve_ivp(FITZHUGH_NAGUMO.derivative, (0, end), [0.3, 0.0], args=(p,), rtol=1e-10, atol=1e-12)
        assert [fields["V"][k], states[0, k]] == pytest.approx(exact.y[:, -1], abs=(5e-3, 2e-5)[order - 1])
    assert fields["V"][0] > 0.5 > 0.05 > abs(fields["V"][2])


def test_states_start_as_told_at_rest_or_as_in_their_table():
    fields = {"V": np.array([0.2, 0.4])}
    assert NodalReaction(FITZHUGH_NAGUMO, fields).states == pytest.approx(np.array([[0.4, 0.8]]))
    assert NodalReaction(FITZHUGH_NAGUMO, fields, start={"w": np.array([0.0, 1.0])}).states.tolist() == [[0.0, 1.0]]
    states = NodalReaction(DECAY, {"u": np.ones(2), "v": np.ones(2)}).states
    assert states.tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_a_rank_without_nodes():
    reaction = NodalReaction(FITZHUGH_NAGUMO, {"V": np.zeros(0)}, parameters={"a": np.zeros(0)})
    reaction.step(0.0, 0.1)
    assert reaction.states.shape == (1, 0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"fields": {"U": np.zeros(3)}}, r"fields = \['U'\].*FitzHugh-Nagumo: V"),
        ({"parameters": {"gama": 1.0}}, "parameters = 'gama'.*Did you mean 'gamma'"),
        ({"parameters": {"a": np.zeros(2)}}, r"a = \(2,\).*3 nodes"),
        ({"scales": {"w": 1.0}}, "scales = 'w'.*'V'"),
        ({"start": {"V": 1.0}}, "start = 'V'.*'w'"),
        ({"order": 3}, "order = 3"),
    ],
)
def test_bad_input_is_refused(change, named):
    with pytest.raises(InputError, match=named):
        NodalReaction(**({"kinetics": FITZHUGH_NAGUMO, "fields": {"V": np.zeros(3)}} | change))
