"""Compiled steps of kinetics that are written as expressions, beside those by NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from homfem.kinetics import TRIGGER_WAVE, exchange_kinetics, li_rinzel, membrane_from_rates
from homfem.kinetics.calcium import calcium_kinetics
from homfem.kinetics.calcium.assembled import tissue_kinetics
from homfem.kinetics.expressions import parse_expression
from homfem.kinetics.joined import joined
from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import PointKinetics, Variable
from homfem.kinetics.written import Formulary, written_kinetics
from homfem.kinetics.written_code import in_c, step_source
from homfem.macro import reaction
from homfem.macro.reaction import CompiledKinetics, NodalReaction, make_reaction

N = 4100
MEMBRANE = membrane_from_rates(TRIGGER_WAVE, cytosol_fraction=0.8, er_fraction=0.2, interface_area=2.0)


def every_operation() -> PointKinetics:
    """Fields a, b, a gate g and a state y, with every function that an expression may call, and the time."""
    names = ["a", "b", "g", "y", "k", "t", "d"]

    def text(what: str) -> object:
        return parse_expression("test", what, names)

    formulary = Formulary(
        definitions=(("d", text("sqrt(a)*exp(-b) + log(1 + a^2) - k")),),
        rates=(
            ("first", text("k*(sin(a) + cos(b))*g - tanh(d)*a^3/b")),
            ("second", text("min(a, b)*max(y, 0.2) - abs(a - b)*a^4 + 0.1*t - (-a)^2 + a^1.5 - 2/3*b^-1")),
        ),
        gates=(("g", text("1 + a*a"), text("1/(1 + exp(-d))")),),
        drifts=(("y", text("-(y - d)*g")),),
    )
    kinetics = written_kinetics(
        formulary,
        name="every operation",
        time_unit="s",
        fields=(Variable(name="a"), Variable(name="b")),
        states=(Variable(name="g"), Variable(name="y", gate=False)),
        parameters=parameter("k", 0.7),
        stoichiometry=((1.0, -2.0), (-1.0, 0.5)),
    )
    return replace(kinetics, rest=None)


def parameter(name: str, value: float) -> tuple[Parameter]:
    return (Parameter(name=name, value=value, meaning="a number"),)


CASES = {
    "li-rinzel": lambda: exchange_kinetics(li_rinzel(MEMBRANE)),
    "every operation": every_operation,
    "de-young-keizer": lambda: tissue_kinetics(calcium_kinetics("de-young-keizer")),
    "two": lambda: joined({"one": exchange_kinetics(li_rinzel(MEMBRANE)), "other": leak()}),
}


def leak() -> PointKinetics:
    rate = parse_expression("leak", "0.1*(er - 20*cytosol)", ["cytosol", "er"])
    return written_kinetics(
        Formulary(rates=(("leak", rate),)),
        name="leak",
        time_unit="s",
        fields=(Variable(name="cytosol", unit="uM"), Variable(name="er", unit="uM")),
        stoichiometry=((1.0,), (-1.0,)),
    )


def both(name: str, order: int, steps: int = 4):
    """Take steps by NumPy and compiled from one start, with a scale and a parameter that vary from node to node."""
    kinetics, random = CASES[name](), np.random.default_rng(5)
    starts = {field.name: random.uniform(0.2, 1.0, N) for field in kinetics.fields}
    starts |= {"er": random.uniform(5.0, 15.0, N)} if "er" in starts else {}
    first = kinetics.fields[0].name
    scales = {field.name: 1.3 for field in kinetics.fields} | {first: random.uniform(0.8, 1.2, N)}
    parameters = {entry.name: random.uniform(0.9, 1.1, N) * (entry.value or 0.3) for entry in kinetics.parameters[:1]}
    found = []
    for make in (NodalReaction, make_reaction):
        fields = {name: values.copy() for name, values in starts.items()}
        start = {state.name: 0.1 for state in kinetics.states}
        made = make(kinetics, fields, parameters=parameters, scales=scales, start=start, order=order)
        for k in range(steps):
            made.step(0.01 * k, 0.01)
        found.append((made, fields))
    return starts, scales, found


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", list(CASES))
def test_compiled_steps_are_those_of_numpy_to_round_off(name, order):
    starts, _, ((plain, fields), (quick, others)) = both(name, order)
    assert type(plain) is NodalReaction
    assert isinstance(quick, CompiledKinetics)
    for field, values in fields.items():
        assert np.abs(values - starts[field]).max() > 1e-4  # something happens
        assert others[field] == pytest.approx(values, rel=1e-13)
    assert quick.states == pytest.approx(plain.states, rel=1e-12, abs=1e-14)


def test_what_one_field_loses_the_other_gains():
    starts, scales, (_, (_, fields)) = both("li-rinzel", 2, steps=1000)
    before, after = (sum(v[name] / scales[name] for name in ("cytosol", "er")) for v in (starts, fields))
    assert np.abs(after / before - 1.0).max() < 1e-12


def test_the_written_membrane_is_the_membrane():
    """The expressions of Li and Rinzel's membrane beside its functions, at random states."""
    random = np.random.default_rng(2)
    membrane = li_rinzel(MEMBRANE)
    c, e, h, p = (random.uniform(*ends, 50) for ends in ((0.01, 2.0), (1.0, 20.0), (0.0, 1.0), (0.05, 1.0)))
    text = written_kinetics(
        membrane.written, name="text", time_unit="s", fields=(Variable(name="cytosol"), Variable(name="er")),
        states=(Variable(name="h"),), parameters=parameter("ip3", 0.3), stoichiometry=((1.0,), (-1.0,)),
    )  # fmt: skip
    values = text.values({"ip3": p}, size=50)
    assert text.rates(0.0, (c, e), h[None], values)[0] == pytest.approx(membrane.flux(c, e, h[None], p), rel=1e-12)
    for one, other in zip(
        text.relaxation(0.0, (c, e), h[None], values), membrane.relaxation(c, e, h[None], p), strict=True
    ):
        assert one == pytest.approx(other, rel=1e-12)


def test_few_nodes_and_kept_signs_and_no_compiler_are_left_to_numpy(monkeypatch):
    kinetics = exchange_kinetics(li_rinzel(MEMBRANE))

    def made(n: int, **options):
        fields = {"cytosol": np.full(n, 0.1), "er": np.full(n, 15.0)}
        return make_reaction(kinetics, fields, parameters={"ip3": 0.3}, **options)

    assert type(made(N)) is CompiledKinetics
    assert type(made(100)) is NodalReaction
    assert type(made(N, positive=True)) is NodalReaction
    assert type(made(N, compile=False)) is NodalReaction
    monkeypatch.setattr(reaction, "compiled", lambda _source: None)
    assert type(made(N)) is NodalReaction


def test_values_that_are_no_numbers_stay_so():
    kinetics = every_operation()
    fields = {"a": np.full(N, 0.5), "b": np.full(N, 0.4)}
    fields["a"][7] = np.nan
    quick = make_reaction(kinetics, fields, start={"g": 0.4, "y": 0.3})
    quick.step(0.0, 0.01)
    assert np.isnan(fields["a"][7])
    assert quick.not_finite() == ("a", 7)
    assert np.isfinite(np.delete(fields["a"], 7)).all()


def test_code_of_expressions():
    names = ["u", "step", "time"]
    assert in_c(parse_expression("e", "step^2 - u**-1", names)) == "(power2(v_step) - pow(v_u, (-1.0)))"
    assert in_c(parse_expression("e", "max(abs(u), 3)", names)) == "greatest(fabs(v_u), 3.0)"
    source = step_source(every_operation(), 2, ["k"])
    assert source.count("const double v_k = a0[i];") == 1
    assert "numbers[0]" in source  # the scale of a
