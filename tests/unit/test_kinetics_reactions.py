"""Named reactions and written rates: numbers, Jacobians, signs, units; hostile text."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from homfem.kinetics import (
    REACTIONS,
    Parameter,
    PointKinetics,
    Variable,
    combined_reactions,
    describe_parameters,
    named_reaction,
    reaction_parameters,
    written_reaction,
)
from homfem.kinetics.dimensions import unit_system
from homfem.kinetics.expressions import FUNCTIONS, parse_expression
from homfem.kinetics.intervals import enclosure
from homfem.parameters import InputError, UnitError
from homfem.quantities import Quantity, conversion_factor

NO_STATES = np.empty((0, 3))

# The rates again, by hand and for complex numbers too: name -> parameters, formula.
BY_HAND = {
    "fisher": ({"rate": 1.5, "capacity": 2.0}, lambda u: [1.5 * u - 0.75 * u**2]),
    "nagumo": (
        {"rate": 3.0, "threshold": 0.2, "capacity": 2.0},
        lambda u: [3.0 * (-(u**3) / 4 + 1.2 * u**2 / 2 - 0.2 * u)],
    ),
    "michaelis-menten": (
        {"maximum": 3.0, "half": 0.4},
        lambda u: [-3.0 + 1.2 / (u + 0.4)],
    ),
    "zero-order": ({"rate": 0.7}, lambda u: [-0.7 + 0.0 * u]),
    "first-order": ({"rate": 0.2, "surface_rate": 3.0, "interface_area": 0.1}, lambda u: [-0.5 * u]),
    "exchange": (
        {"rate": 0.5, "transfer": 2.0, "interface_area": 0.25, "partition": 3.0},
        lambda a, b: [-a + 3.0 * b, a - 3.0 * b],
    ),
    "bimolecular": ({"rate": 2.0}, lambda a, b, c: [-2.0 * a * b, -2.0 * a * b, 2.0 * a * b + 0.0 * c]),
    "lotka-volterra": (
        {"growth": 1.1, "predation": 0.4, "yield_": 0.25, "death": 0.4},
        lambda u, v: [1.1 * u - 0.4 * u * v, 0.1 * u * v - 0.4 * v],
    ),
    "gray-scott": (
        {"rate": 2.0, "feed": 0.03, "kill": 0.05, "inlet": 1.5},
        lambda u, v: [-2.0 * u * v**2 + 0.045 - 0.03 * u, 2.0 * u * v**2 - 0.08 * v],
    ),
    "schnakenberg": (
        {"rate": 2.0, "a": 0.2, "b": 1.3},
        lambda u, v: [0.4 - 2.0 * u + 2.0 * u**2 * v, 2.6 - 2.0 * u**2 * v],
    ),
    "brusselator": (
        {"rate": 2.0, "a": 1.2, "b": 3.0},
        lambda u, v: [2.4 - 8.0 * u + 2.0 * u**2 * v, 6.0 * u - 2.0 * u**2 * v],
    ),
}


def complex_step(function, values):
    """Return the Jacobian (i, j, n) of a function of complex arrays (Squire, Trapp 1998)."""
    columns = []
    for k in range(len(values)):
        moved = [value + 1e-200j * (i == k) for i, value in enumerate(values)]
        columns.append([np.imag(row) / 1e-200 for row in function(*moved)])
    return np.array(columns).transpose(1, 0, 2)


def totals(kinetics, fields, p, time=0.0):
    state = np.array(fields)
    return kinetics.derivative(time, state, p)


@pytest.mark.parametrize("name", REACTIONS)
def test_named_reactions_are_their_formulas_with_their_jacobians(name):
    parameters, formula = BY_HAND[name]
    kinetics = named_reaction(name, parameters=parameters)
    fields = list(np.random.default_rng(3).uniform(0.1, 2.0, (len(kinetics.fields), 3)))
    p = kinetics.values()
    np.testing.assert_allclose(totals(kinetics, fields, p), formula(*fields), rtol=1e-13, atol=1e-15)
    jacobian = kinetics.jacobian(0.0, fields, NO_STATES, p)
    np.testing.assert_allclose(jacobian, complex_step(formula, fields), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", REACTIONS)
def test_which_named_reactions_keep_species_non_negative(name):
    """What interval arithmetic proves agrees with draws of all parameters within their limits."""
    rng = np.random.default_rng(4)
    lowest = math.inf
    for _ in range(200):
        drawn = {
            entry.name: 10.0 ** rng.uniform(-3, 3) if entry.at_least == 0.0 or entry.above == 0.0 else rng.normal()
            for entry in reaction_parameters(name)
        }
        kinetics = named_reaction(name, parameters=drawn)
        for k in range(len(kinetics.fields)):
            fields = list(10.0 ** rng.uniform(-3, 3, (len(kinetics.fields), 5)))
            fields[k] = np.zeros(5)
            lowest = min(lowest, totals(kinetics, fields, kinetics.values())[k].min())
    assert kinetics.quasi_positive == (lowest >= 0.0) == (name != "zero-order")


@pytest.mark.parametrize("name", REACTIONS)
def test_every_parameter_has_a_meaning_a_source_and_a_unit_of_its_own(name):
    unit = "" if REACTIONS[name].pure else "mol/m^3"
    for entry in reaction_parameters(name, unit=unit, time_unit="ms", length_unit="mm"):
        assert entry.meaning
        assert entry.source
        assert entry.kind is None or conversion_factor(entry.unit, entry.kind.unit) == 1.0
        assert (entry.kind is None) == (entry.unit == "")
    assert REACTIONS[name].source in describe_parameters(reaction_parameters(name)) or name in (
        "gray-scott",
        "schnakenberg",
    )


def test_units_of_named_reactions_follow_the_model():
    table = {entry.name: entry.unit for entry in reaction_parameters("gray-scott", unit="mol/m^3", time_unit="ms")}
    assert table == {"rate": "1/ms/(mol/m^3)^2", "feed": "1/ms", "kill": "1/ms", "inlet": "mol/m^3"}
    assert {entry.unit for entry in reaction_parameters("gray-scott")} == {"1/s", ""}
    uptake = named_reaction(
        "michaelis-menten",
        {"oxygen": "mmol/m^3"},
        parameters={"maximum": "1.2 mM/min", "half": Quantity(2.0, "uM")},
        bare=False,
    )
    assert uptake.values().maximum == pytest.approx(20.0, rel=1e-14)
    assert uptake.values().half == pytest.approx(2.0, rel=1e-14)
    assert [field.name for field in uptake.fields] == ["oxygen"]
    wall = named_reaction(
        "first-order", parameters={"surface_rate": "2 mm/s", "interface_area": "0.1 1/um"}, length_unit="mm"
    )
    assert wall.jacobian(0.0, [np.ones(1)], NO_STATES, wall.values()).item() == pytest.approx(-200.0, rel=1e-14)


def test_uptake_is_safe_where_an_iterate_is_negative():
    """Odd, monotone, bounded, once differentiable: no pole at minus the half saturation."""
    uptake = named_reaction("michaelis-menten", parameters={"maximum": 2.0, "half": 0.5})
    u = np.array([-1e300, -3.0, -0.5, -1e-9, 0.0, 1e-9, 0.5, 3.0])
    p = uptake.values()
    rates, slopes = uptake.rates(0.0, [u], NO_STATES, p)[0], uptake.jacobian(0.0, [u], NO_STATES, p)[0, 0]
    np.testing.assert_allclose(rates[1:4], -rates[:4:-1], rtol=0, atol=0)
    assert abs(rates).max() <= 2.0
    assert rates[0] == 2.0
    assert (np.diff(rates) < 0.0).all()
    np.testing.assert_allclose(slopes[3:6], -4.0, rtol=1e-8)
    assert (slopes <= 0.0).all()


def test_exchange_conserves_to_round_off():
    film = named_reaction("exchange", ["fluid", "pellet"], parameters={"rate": 0.3, "partition": 1.7})
    fields = [np.random.default_rng(1).random(50), np.random.default_rng(2).random(50)]
    assert abs(totals(film, fields, film.values()).sum(axis=0)).max() == 0.0
    assert abs(totals(film, [1.7 * fields[1], fields[1]], film.values())).max() < 1e-15


def test_parameters_may_differ_from_node_to_node():
    kinetics = named_reaction("fisher", parameters={"rate": 1.0})
    rate = np.array([0.0, 1.0, 2.0])
    p = kinetics.values({"rate": rate}, size=3)
    u = np.full(3, 0.5)
    np.testing.assert_allclose(kinetics.rates(0.0, [u], NO_STATES, p)[0], 0.25 * rate)
    assert kinetics.jacobian(0.0, [np.zeros(3)], NO_STATES, p)[0, 0].tolist() == rate.tolist()


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: named_reaction("fischer"), "reaction = 'fischer'.*Did you mean 'fisher'"),
        (lambda: named_reaction("fisher"), "parameters = .*'rate'.*1/s.*growth"),
        (lambda: named_reaction("fisher", {"u": "uM"}, parameters={"rate": 1.0}), "'capacity'.*uM"),
        (lambda: named_reaction("fisher", parameters={"rat": 1.0}), "'rat'.*Did you mean 'rate'"),
        (lambda: named_reaction("fisher", parameters={"rate": -1.0}), "rate = -1.0.*>= 0"),
        (lambda: named_reaction("fisher", parameters={"rate": "-1 1/s"}), "rate = '-1 1/s'.*>= 0"),
        (lambda: named_reaction("fisher", parameters={"rate": "1 um"}), "rate = '1 um'.*dimension"),
        (lambda: named_reaction("fisher", parameters={"rate": "1"}), "rate = '1'.*no unit"),
        (lambda: named_reaction("fisher", parameters={"rate": 1.0}, bare=False), "rate = 1.0.*no unit"),
        (lambda: named_reaction("nagumo", parameters={"rate": 1.0, "threshold": "0.1 1"}), "threshold = '0.1 1'"),
        (lambda: named_reaction("fisher", ["u", "v"], parameters={"rate": 1.0}), "species = .*1 for fisher: u"),
        (lambda: named_reaction("exchange", {"a": "uM", "b": "mM"}), "species = .*one unit"),
        (lambda: named_reaction("brusselator", {"a": "uM", "b": "uM"}), "species = 'a'.*one already"),
        (lambda: named_reaction("brusselator", {"c": "uM", "d": "uM"}), "pure numbers for brusselator"),
        (lambda: named_reaction("fisher", ["rate"], parameters={"rate": 1.0}), "species = 'rate'.*one already"),
        (lambda: named_reaction("fisher", ["t"], parameters={"rate": 1.0}), "species = 't'.*one already"),
        (lambda: named_reaction("fisher", ["__class__"], parameters={"rate": 1.0}), "species = '__class__'"),
    ],
)
def test_what_named_reactions_refuse(call, named):
    with pytest.raises(InputError, match=named):
        call()


# Written rates -------------------------------------------------------------------------------------------------------


def test_written_rates_of_species_places_and_time():
    kinetics = written_reaction(
        {"v": "k*exp(-t)*u^2/(1 + x^2) - v*abs(y)"}, ["u", "v", "w"], parameters={"k": 3}, dimension=2
    )
    assert [entry.name for entry in kinetics.parameters] == ["k", "x", "y"]
    u, v, w, x, y = np.random.default_rng(5).normal(size=(5, 3))
    p = kinetics.values({"x": x, "y": y}, size=3)
    found = kinetics.rates(2.0, [u, v, w], NO_STATES, p)
    np.testing.assert_allclose(found[1], 3.0 * math.exp(-2.0) * u * u / (1.0 + x * x) - v * abs(y), rtol=1e-14)
    assert not found[[0, 2]].any()
    jacobian = kinetics.jacobian(2.0, [u, v, w], NO_STATES, p)
    np.testing.assert_allclose(jacobian[1, 0], 6.0 * math.exp(-2.0) * u / (1.0 + x * x), rtol=1e-14)
    np.testing.assert_allclose(jacobian[1, 1], -abs(y), rtol=1e-14)
    assert not jacobian[[0, 2]].any()
    assert not jacobian[1, 2].any()
    with pytest.raises(InputError, match=r"x = nan"):
        kinetics.values()


def test_written_rates_are_the_named_ones():
    text = "2*u*(1-u)*(u-0.1)"
    written = written_reaction({"u": text}, ["u"])
    named = named_reaction("nagumo", parameters={"rate": 2.0, "threshold": 0.1})
    u = [np.linspace(-1.0, 2.0, 7)]
    for each in ("rates", "jacobian"):
        mine, other = (getattr(k, each)(0.0, u, NO_STATES, k.values()) for k in (written, named))
        np.testing.assert_allclose(mine, other, rtol=1e-13, atol=1e-14)
    assert written.quasi_positive


@pytest.mark.parametrize(
    ("rates", "parameters", "expected"),
    [
        ({"u": "-u"}, {}, True),
        ({"u": "v - u", "v": "u - v"}, {}, True),
        ({"u": "v - u - 1e-9"}, {}, False),
        ({"u": "k - u"}, {"k": 0.0}, True),
        ({"u": "k - u"}, {"k": -1e-300}, False),
        ({"u": "(v - k)^2"}, {"k": 3.0}, True),
        ({"u": "(v - k)^3"}, {"k": 3.0}, False),
        ({"u": "exp(-x^2)*v"}, {}, True),
        ({"u": "x*v"}, {}, False),
        ({"u": "t*v"}, {}, True),
        ({"u": "sin(t)"}, {}, False),
        ({"u": "max(sin(t), 0)"}, {}, True),
        ({"u": "min(v, u)"}, {}, True),
        ({"u": "u*log(v)"}, {}, False),  # undefined at v = 0
        ({"u": "u/v"}, {}, False),
        ({"u": "u/(0.1 + v)"}, {}, True),
        ({"u": "v^n/(1 + v^n)"}, {"n": 2.5}, True),
        ({"u": "v^n"}, {"n": -1}, False),
        ({"u": "sqrt(v) - tanh(u)*abs(v)"}, {}, True),
        ({"u": "2^(-v)"}, {}, True),
        ({"v": "-u*v + u^2"}, {}, True),
        ({"v": "-u"}, {}, False),
    ],
)
def test_which_written_rates_keep_species_non_negative(rates, parameters, expected):
    assert written_reaction(rates, ["u", "v"], parameters=parameters).quasi_positive is expected


NAMES = ("u", "v", "k")
leaves = st.sampled_from([*NAMES, "2", "0.5", "pi"])
texts = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda x: f"({x[0]} {x[1]} {x[2]})"),
        st.tuples(inner, st.sampled_from("23")).map(lambda x: f"({x[0]})^{x[1]}"),
        st.tuples(inner, inner).map(lambda x: f"(1 + {x[0]}^2)**({x[1]})"),
        st.tuples(st.sampled_from(["exp", "sin", "cos", "tanh", "log", "sqrt"]), inner).map(
            lambda x: f"{x[0]}({x[1]})"
        ),
        inner.map(lambda x: f"-{x}"),
    ),
    max_leaves=8,
)
values = st.floats(0.1, 2.0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(texts, values, values, values)
def test_values_and_slopes_of_any_expression(text, u, v, k):
    """Python's own arithmetic with complex numbers has the same value; the complex step the same slope."""
    expression = parse_expression("rate", text, NAMES)
    names = {name: getattr(np, name) for name in FUNCTIONS if hasattr(np, name)} | {"pi": np.pi}
    code = compile(text.replace("^", "**"), "test", "eval")
    with np.errstate(all="ignore"):
        own = complex(eval(code, names | {"u": np.complex128(u), "v": np.complex128(v), "k": np.complex128(k)}))
    assume(np.isfinite(own) and abs(own) < 1e6)
    given_values = {"u": np.array([u, u]), "v": v, "k": k}
    value, slopes = expression.slopes(given_values, ["u", "v"])
    assume(abs(own.imag) == 0.0 and np.isfinite(value).all())  # logarithms and roots of positive numbers
    np.testing.assert_allclose(value, own.real, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(value, expression.value(given_values))
    for name in ("u", "v"):
        step = {key: np.complex128(given_values[key] if key != "u" else u) for key in NAMES}
        step[name] += 1e-150j
        with np.errstate(all="ignore"):
            moved = complex(eval(code, names | step)).imag / 1e-150
        slope = np.broadcast_to(slopes.get(name, 0.0), 2)
        assume(np.isfinite(slope).all() and abs(moved) < 1e8)
        np.testing.assert_allclose(slope, moved, rtol=1e-8, atol=1e-8)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(texts, st.tuples(st.floats(-2, 2), st.floats(0, 3)), st.integers(0, 2**31))
def test_an_enclosure_holds_every_value(text, place, seed):
    expression = parse_expression("rate", text, NAMES)
    ends = (place[0], place[0] + place[1])
    ranges = {"u": ends, "v": (0.0, math.inf), "k": (1.5, 1.5)}
    found = enclosure(expression.tree, ranges)
    assume(found is not None)
    draw = np.random.default_rng(seed)
    u, v = draw.uniform(*ends, 50), np.concatenate([[0.0], 10.0 ** draw.uniform(-3, 3, 49)])
    value = np.broadcast_to(expression.value({"u": u, "v": v, "k": 1.5}), 50)
    finite = np.isfinite(value)
    room = 1e-12 * np.abs(value[finite]) + 1e-12
    assert (value[finite] >= found[0] - room).all()
    assert (value[finite] <= found[1] + room).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(texts)
def test_what_is_printed_reads_the_same(text):
    tree = parse_expression("rate", text, NAMES).tree
    values = {"u": 0.7, "v": 1.3, "k": 0.4}
    again = parse_expression("rate", str(tree), NAMES)
    np.testing.assert_allclose(again.value(values), parse_expression("rate", text, NAMES).value(values), rtol=1e-13)
    assert str(again.tree) == str(tree)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("((k)*u)*(1 - u)/(2*v)", "k * u * (1 - u) / (2 * v)"),
        ("u - (v - k)", "u - (v - k)"),
        ("-(u + v)^2", "-(u + v)**2"),
        ("(-u)^2", "(-u)**2"),
        ("(u^v)^k*u^v^k", "(u**v)**k * u**v**k"),
        ("max(u + v, -k)", "max(u + v, -k)"),
        ("u^-2", "u**(-2)"),
    ],
)
def test_how_an_expression_is_printed(text, printed):
    assert str(parse_expression("rate", text, NAMES).tree) == printed


@pytest.mark.parametrize(
    ("text", "slope"),
    [
        ("exp(u)", lambda u, v: np.exp(u)),
        ("log(u)", lambda u, v: 1.0 / u),
        ("sqrt(u)", lambda u, v: 0.5 * u**-0.5),
        ("sin(u)", lambda u, v: np.cos(u)),
        ("cos(u)", lambda u, v: -np.sin(u)),
        ("tanh(u)", lambda u, v: np.cosh(u) ** -2.0),
        ("abs(u - v)", lambda u, v: np.where(u > v, 1.0, -1.0)),
        ("min(u, v)", lambda u, v: np.where(u < v, 1.0, 0.0)),
        ("max(v, 3*u)", lambda u, v: np.where(3.0 * u > v, 3.0, 0.0)),
        ("v^u", lambda u, v: v**u * np.log(v)),
        ("u^v", lambda u, v: v * u ** (v - 1.0)),
        ("v/u", lambda u, v: -v / u**2),
        ("u^0 + (u - u)^0", lambda u, v: 0.0 * u),
    ],
)
def test_the_slope_of_each_function(text, slope):
    u, v = np.array([0.3, 0.8, 2.5]), np.array([0.5, 0.6, 9.0])
    found = parse_expression("rate", text, NAMES).slopes({"u": u, "v": v}, ["u"])[1]
    np.testing.assert_allclose(found["u"], slope(u, v), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("u", (-2.0, 3.0)),
        ("-u", (-3.0, 2.0)),
        ("abs(u)", (0.0, 3.0)),
        ("abs(u - 5)", (2.0, 7.0)),
        ("u^2", (0.0, 9.0)),
        ("u^3", (-8.0, 27.0)),
        ("(u - 4)^-2", (1.0 / 36.0, 1.0)),
        ("u*(u + 1)", (-8.0, 12.0)),
        ("1/(u + 4)", (1.0 / 7.0, 0.5)),
        ("1/u", None),
        ("u^-1", None),
        ("u^0.5", None),
        ("sqrt(u)", None),
        ("log(u)", None),
        ("min(u, 1)", (-2.0, 1.0)),
        ("max(u, 1)", (1.0, 3.0)),
        ("max(u, v)", (0.0, math.inf)),
        ("sin(u)", (-1.0, 1.0)),
        ("u*v", (-math.inf, math.inf)),
        ("0*v", (0.0, 0.0)),
        ("u - v", (-math.inf, 3.0)),
        ("2^u", (0.25, 8.0)),
        ("v^u", None),
        ("exp(v)", (1.0, math.inf)),
        ("exp(-v)", (0.0, 1.0)),
        ("1e300*exp(600)", (1.7976931348623157e308, math.inf)),
    ],
)
def test_the_enclosure_of_each_operation(text, expected):
    tree = parse_expression("rate", text, NAMES).tree
    found = enclosure(tree, {"u": (-2.0, 3.0), "v": (0.0, math.inf), "k": (1.0, 1.0)})
    assert found == (expected if expected is None else pytest.approx(expected, rel=1e-14))


HOSTILE = [
    "__import__('os').system('true')",
    "().__class__.__base__.__subclasses__()",
    "u.__class__",
    "open('/etc/passwd')",
    "eval('u')",
    "exec",
    "lambda: u",
    "(lambda: u)()",
    "[u for u in (1,)]",
    "{u}",
    "{'u': u}",
    "u if u else v",
    "u > 0",
    "u and v",
    "not u",
    "~u",
    "u // 2",
    "u % 2",
    "u @ v",
    "u << 2",
    "u | v",
    "u[0]",
    "u.real",
    "u := 1",
    "u = 1",
    "u; v",
    "u\nimport os",
    "u # v",
    "f'{u}'",
    "'u'",
    "b'u'",
    "1j",
    "True",
    "None",
    "...",
    "*u",
    "exp(*u)",
    "exp(x=u)",
    "exp()",
    "exp(u, v)",
    "max(u)",
    "exp",
    "yield u",
    "await u",
    "\x00",
    "u\x00",
    "1e999",
    "9" * 400,
    "9" * 1900,
    "u" * 3000,
    "(" * 250 + "u" + ")" * 250,
    "-" * 500 + "u",
    "+".join(["u"] * 300),
    "u" + "**u" * 300,
    "exp(" * 150 + "u" + ")" * 150,
    "",
    " \n ",
    "２u",
]


@pytest.mark.parametrize("text", [*HOSTILE, None, True, [], {}, float("nan"), float("inf"), b"u", 1 + 1j])
def test_hostile_rates_are_refused(text):
    with pytest.raises(InputError, match=r"^rates\.u"):
        written_reaction({"u": text}, ["u", "v"])


def test_what_is_no_harm_is_read():
    for text, expected in (
        ("u^2 + 1", 5.0),
        ("-u^2", -4.0),
        ("2**-u", 0.25),
        ("u\n  + 1", 3.0),
        (".5e1", 5.0),
        (3, 3.0),
        ("+u", 2.0),
        ("9**9**9**9", math.inf),
        ("max(u, 1)*min(u, 3)", 4.0),
        ("1/0", math.inf),
        ("cos(pi*u)", 1.0),
        ("+".join(["u"] * 100), 200.0),
    ):
        kinetics = written_reaction({"u": text}, ["u"])
        assert kinetics.rates(0.0, [np.full(2, 2.0)], NO_STATES, kinetics.values()).tolist() == [[expected] * 2]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (
            lambda: written_reaction({"u": "rat*u"}, ["u"], parameters={"rate": 1}),
            "'rat' is unknown.*Did you mean 'rate'",
        ),
        (lambda: written_reaction({"u": "u(1-u)"}, ["u"]), r"u\*\(1 - u\)"),
        (lambda: written_reaction({"u": "expp(u)"}, ["u"]), "'expp' is no function.*Did you mean 'exp'"),
        (lambda: written_reaction({"u": "z*u"}, ["u"], dimension=2), "'z' is unknown"),
        (lambda: written_reaction({"w": "u"}, ["u"]), "rates = 'w'"),
        (lambda: written_reaction({}, ["u"]), "rates = {}"),
        (lambda: written_reaction({"u": "u"}, ["u"], parameters={"k": 1}), "parameters = 'k'.*Leave out"),
        (lambda: written_reaction({"u": "u*k"}, ["u"], parameters={"k": math.nan}), "parameters.k = nan"),
        (lambda: written_reaction({"u": "u*k"}, ["u"], parameters={"k": "fast"}), "parameters.k = 'fast'"),
        (lambda: written_reaction({"u": "u"}, ["exp"]), "species = 'exp'.*one already"),
        (lambda: written_reaction({"u": "u"}, ["x"]), "species = 'x'.*one already"),
        (lambda: written_reaction({"u": "u"}, ["lambda"]), "species = 'lambda'"),
        (lambda: written_reaction({"u": "u"}, ["u", "µ"]), "species = 'µ'"),
        (lambda: written_reaction({"u": "u"}, ["u"], parameters={"u": 1}), "parameters = 'u'.*one already"),
        (lambda: written_reaction({"u": "u"}, ["u"], parameters={"__dict__": 1}), "parameters = '__dict__'"),
        (lambda: written_reaction({"u": "u"}, ["u"], dimension=4), "dimension = 4"),
    ],
)
def test_what_written_rates_refuse(call, named):
    with pytest.raises(InputError, match=named):
        call()


# Units ---------------------------------------------------------------------------------------------------------------


def test_units_in_any_mixture_give_the_same_rate():
    """An Arrhenius rate and a second-order one, in the model's units, against SI by hand."""
    kinetics = written_reaction(
        {"c": "-A*exp(-E/(R*T))*c^2"},
        {"c": "uM"},
        parameters={"A": "5e3 l/mol/min", "E": "20 kJ/mol", "R": "8.314 J/(mol K)", "T": "310 K"},
        time_unit="ms",
    )
    rate = kinetics.rates(0.0, [np.array([3.0])], NO_STATES, kinetics.values()).item()
    by_hand = -5e3 * 1e-3 / 60.0 * math.exp(-2e4 / (8.314 * 310.0)) * (3e-3) ** 2  # mol/m^3/s
    assert rate == pytest.approx(by_hand * 1e3 / 1e3, rel=1e-12)  # 1e3 uM per mol/m^3, 1e-3 s per ms


def test_exponents_may_be_parameters():
    hill = written_reaction({"c": "-V*c^n/(K^n + c^n)"}, {"c": "uM"}, parameters={"V": "1 uM/s", "K": "2 uM", "n": 2.5})
    assert hill.rates(0.0, [np.array([2.0])], NO_STATES, hill.values()).item() == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("rate", "parameters", "named"),
    [
        ("k*c*(1 - c)", {"k": "1 1/s"}, r"1 is of no unit and c is of \[length\]\^-3 \[substance\]"),
        ("k*c", {"k": "1 1/um"}, r"of dimension .*\[time\]\^-1.*It is of \[length\]\^-4"),
        ("k*exp(c)", {"k": "1 uM/s"}, "must be a pure number"),
        ("k*c^(c/K)", {"k": "1 1/s", "K": "1 uM"}, "exponent must be a number"),
        ("k*2^c", {"k": "1 1/s"}, "must be a pure number"),
        ("k*c*x", {"k": "1 1/s"}, "It is of"),
        ("k*max(c, 1)", {"k": "1 1/s"}, "fit together"),
        ("k*c", {"k": "20 degC"}, "starts at zero"),
        ("k*c", {"k": "1 parrot"}, "parrot"),
    ],
)
def test_units_that_do_not_fit_are_refused(rate, parameters, named):
    with pytest.raises(UnitError, match=named):
        written_reaction({"c": rate}, {"c": "uM"}, parameters=parameters)


@pytest.mark.parametrize(
    ("rate", "unit"),
    [("-k*sqrt(c)", "uM^0.5/s"), ("k*c^(-1/2)", "uM^1.5/s"), ("k*c^-2", "uM^3/s"), ("-k*sqrt(c*K)", "1/s")],
)
def test_roots_and_inverse_powers_have_units(rate, unit):
    more = {"K": "4 uM"} if "K" in rate else {}
    kinetics = written_reaction({"c": rate}, {"c": "uM"}, parameters={"k": f"3 {unit}", **more})
    p = kinetics.values()
    assert p.k == pytest.approx(3.0, rel=1e-12)
    expected = {"-k*sqrt(c)": -6.0, "k*c^(-1/2)": 1.5, "k*c^-2": 3.0 / 16.0, "-k*sqrt(c*K)": -12.0}[rate]
    assert kinetics.rates(0.0, [np.array([4.0])], NO_STATES, p).item() == pytest.approx(expected, rel=1e-12)
    with pytest.raises(UnitError, match="It is of"):
        written_reaction({"c": rate}, {"c": "uM"}, parameters={"k": "3 1/ms^2", **more})


def test_what_is_zero_may_be_left_out_where_species_have_units():
    decay = named_reaction("first-order", {"c": "uM"}, parameters={"rate": "2 1/min"})
    assert vars(decay.values()) == pytest.approx({"rate": 1.0 / 30.0, "surface_rate": 0.0, "interface_area": 0.0})


def test_zero_is_of_any_dimension():
    kinetics = written_reaction({"c": "0 - k*max(c, 0)"}, {"c": "uM"}, parameters={"k": "2 1/s"})
    rates = kinetics.rates(0.0, [np.array([-1.0, 3.0])], NO_STATES, kinetics.values())
    assert rates.tolist() == [[0.0, -6.0]]


def test_a_rate_without_units_is_in_those_of_the_model():
    kinetics = written_reaction({"c": "3*c*(1 - c)", "b": "-k*b"}, {"c": "uM", "b": "uM"}, parameters={"k": "60 1/min"})
    p = kinetics.values()
    assert kinetics.rates(0.0, [np.array([2.0]), np.array([5.0])], NO_STATES, p).tolist() == [[-6.0], [-5.0]]


def test_species_of_one_dimension_have_one_unit():
    with pytest.raises(InputError, match=r"species = 'mM'.*uM"):
        written_reaction({"a": "k*(b - a)"}, {"a": "uM", "b": "mM"}, parameters={"k": "1 1/s"})
    # Without units in the parameters, numbers are as they stand.
    written_reaction({"a": "1e-3*b"}, {"a": "uM", "b": "mM"})


def test_a_system_of_units_needs_no_factors():
    system = unit_system("species", ["ms", "um", "uM", "mV"])
    for text in ("1 m^2/s", "1 mol/m^3", "1 kg", "1 S/m^2", "1 uF/cm^2", "2 1/K", "3 uM^2*um^3/ms"):
        number, unit = text.split(maxsplit=1)
        value, own = system.number(Quantity(float(number), unit))
        assert value == pytest.approx(float(number) * conversion_factor(unit, own), rel=1e-12)
    assert system.unit_of({}) == ""


# Sums ----------------------------------------------------------------------------------------------------------------


def test_a_sum_of_reactions_is_the_sum():
    parts = {
        "growth": named_reaction("fisher", ["b"], parameters={"rate": 0.3}),
        "film": named_reaction("exchange", ["a", "b"], parameters={"rate": 2.0}),
        "light": written_reaction({"a": "k*x"}, ["a"], parameters={"k": 0.5}, dimension=1),
    }
    both = combined_reactions(parts)
    assert [field.name for field in both.fields] == ["b", "a"]
    b, a, x = np.random.default_rng(6).random((3, 4))
    p = both.values({"x": x}, size=4)
    assert vars(p).keys() == {
        *("growth_rate", "growth_capacity", "film_rate", "film_transfer", "film_interface_area", "film_partition"),
        *("light_k", "x"),
    }
    by_hand = [0.3 * b * (1 - b) + 2.0 * (a - b), -2.0 * (a - b) + 0.5 * x]
    np.testing.assert_allclose(both.rates(0.0, [b, a], NO_STATES, p), by_hand, rtol=1e-13)
    expected = np.zeros((2, 2, 4))
    expected[0] = [0.3 * (1 - 2 * b) - 2.0, np.full(4, 2.0)]
    expected[1] = [[2.0] * 4, [-2.0] * 4]
    np.testing.assert_allclose(both.jacobian(0.0, [b, a], NO_STATES, p), expected, rtol=1e-13)
    assert not both.quasi_positive  # light may be negative
    assert combined_reactions({"growth": parts["growth"], "film": parts["film"]}).quasi_positive


def test_what_a_sum_refuses():
    fisher = named_reaction("fisher", parameters={"rate": 1.0})
    slow = named_reaction("fisher", parameters={"rate": 1.0}, time_unit="ms")
    other = named_reaction("fisher", {"u": "uM"}, parameters={"rate": 1.0, "capacity": 1.0})
    gated = PointKinetics(
        name="gated",
        time_unit="s",
        fields=(Variable(name="u"),),
        states=(Variable(name="h", gate=False),),
        parameters=(Parameter(name="k", value=1.0, meaning="k"),),
        rates=lambda _t, u, _x, _p: np.array(u),
        drift=lambda _t, _u, x, _p: x,
    )
    for parts, named in (
        ({}, "at least one"),
        ({"a": fisher, "b": slow}, "reactions.b = 'ms'.*in s"),
        ({"a": fisher, "b": other}, "reactions.b = 'uM'.*pure numbers"),
        ({"a": fisher, "b": gated}, "without states"),
        ({"a b": fisher}, "reactions = 'a b'"),
    ):
        with pytest.raises(InputError, match=named):
            combined_reactions(parts)
