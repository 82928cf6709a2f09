"""Membranes from files: what a file becomes, what is refused, and that nothing heavy loads before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from homfem.kinetics.ionic import IONIC_MODELS, files, ionic_kinetics, read_ionic
from homfem.kinetics.ionic.kernels import SCHEMES
from homfem.kinetics.ionic.stability import explicit_limit
from homfem.macro.reaction import CompiledReaction, MembraneReaction, make_reaction
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
    path.write_text(text, encoding="utf-8")
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


SINGULAR = """
states(V = ScalarParam(-80, unit="mV"), a = 0.1, b = 0.1, c = 0.1, d = 0.1, e = 0.1)
parameters(E_K = ScalarParam(-77), F = 96485, R = 8314, T = 310)
alpha = 0.32*(V + 47.13)/(1 - exp(-0.1*(V + 47.13)))
da_dt = alpha
half = (V + 23)/4
divisor = 1 - exp(-0.16*half)
db_dt = half/divisor
dc_dt = Conditional(Gt(V, -100), 2.837*(exp(0.04*(V + 77)) - 1)/((V + 77)*exp(0.04*(V + 35))), 1)
fluxes = 4*(V - 15)*F*F/(R*T)*(0.01*exp(2*(V - 15)*F/(R*T)) - 2)/(exp(2*(V - 15)*F/(R*T)) - 1)
dd_dt = fluxes/100000
de_dt = (V - E_K)/(exp((V - E_K)/10) - 1)
dV_dt = -fluxes/1000 - alpha
"""


def exactly(v: float) -> list[float]:
    """Return the rates of the file above with many digits; a limit is taken next to it."""
    import mpmath

    with mpmath.workdps(60):
        v, f, rt = mpmath.mpf(v) + mpmath.mpf("1e-25"), mpmath.mpf(96485), mpmath.mpf(8314) * 310
        exp, number = mpmath.exp, mpmath.mpf
        shifted, fifteen = v + number("47.13"), v - 15
        alpha = number("0.32") * shifted / (1 - exp(-shifted / 10))
        u = 2 * fifteen * f / rt
        flux = 4 * fifteen * f * f / rt * (number("0.01") * exp(u) - 2) / (exp(u) - 1)
        c = number("2.837") * (exp((v + 77) / 25) - 1) / ((v + 77) * exp((v + 35) / 25))
        half = (v + 23) / 4
        rates = [-flux / 1000 - alpha, alpha, half / (1 - exp(-number("0.16") * half)), c, flux / 100000]
        return [float(rate) for rate in [*rates, (v + 77) / (exp((v + 77) / 10) - 1)]]


@pytest.mark.parametrize("singular", [-47.13, -23.0, -77.0, 15.0])
def test_removable_singularities_are_removed_at_and_around_each(tmp_path, singular):
    kinetics = read_ionic(written(tmp_path, SINGULAR))
    v = singular + np.array([0.0, 1e-14, -1e-12, 1e-9, -1e-7, 1e-5, -1e-3, 0.1, -0.9, 1.1, -3.1, 30.0])
    expected = np.array([exactly(value) for value in v]).T
    state = np.vstack([v, np.full((5, v.size), 0.1)])
    assert kinetics.derivative(0.0, state, kinetics.values()) == pytest.approx(expected, rel=2e-13)

    compiled = make_reaction(kinetics, {"V": v.copy()}, scheme="explicit", order=1)
    before = compiled.states.copy()
    compiled.step(0.0, 1.0)
    assert type(compiled) is CompiledReaction
    assert compiled.states - before == pytest.approx(expected[1:], rel=2e-13, abs=1e-15)
    p, h = kinetics.values(), 1e-3
    ends = [kinetics.derivative(0.0, np.vstack([v + s * h, state[1:]]), p)[0] for s in (-1.0, 1.0)]
    slope = kinetics.slopes(0.0, (v,), state[1:], p)[0]
    assert slope == pytest.approx((ends[1] - ends[0]) / (2.0 * h), rel=1e-5)


VOLTS = """<?xml version="1.0"?>
<model xmlns="http://www.cellml.org/cellml/1.0#" xmlns:cellml="http://www.cellml.org/cellml/1.0#" name="toy">
<units name="per_second"><unit units="second" exponent="-1"/></units>
<component name="environment"><variable name="time" units="second" public_interface="out"/></component>
<component name="membrane">
<variable name="time" units="second" public_interface="in"/>
<variable name="V" units="volt" initial_value="-0.08"/>
<variable name="n" units="dimensionless" initial_value="0.3"/>
<variable name="g" units="per_second" initial_value="200"/>
<variable name="tau" units="second" initial_value="0.005"/>
<math xmlns="http://www.w3.org/1998/Math/MathML">
<apply><eq/><apply><diff/><bvar><ci>time</ci></bvar><ci>V</ci></apply>
<apply><minus/><apply><times/><ci>g</ci><ci>n</ci><ci>V</ci></apply></apply></apply>
<apply><eq/><apply><diff/><bvar><ci>time</ci></bvar><ci>n</ci></apply>
<apply><divide/><apply><minus/><cn cellml:units="dimensionless">0.5</cn><ci>n</ci></apply><ci>tau</ci></apply></apply>
</math></component>
<connection><map_components component_1="environment" component_2="membrane"/>
<map_variables variable_1="time" variable_2="time"/></connection>
</model>
"""


def test_a_cellml_file_in_volts_and_seconds_becomes_mv_and_ms(tmp_path):
    kinetics = read_ionic(written(tmp_path, VOLTS, "in volts.cellml"))
    assert (kinetics.fields[0].name, kinetics.fields[0].unit, kinetics.fields[0].start) == ("V", "mV", -80.0)
    assert kinetics.gates == 1
    assert kinetics.values().tau == 0.005
    # dV/dt = -200/s 0.3 (-0.08 V) = 4.8 V/s = 4.8 mV/ms; dn/dt = 0.2/(5 ms)
    assert kinetics.derivative(0.0, kinetics.start(), kinetics.values()) == pytest.approx([4.8, 0.04], rel=1e-13)


def test_files_of_myokit_are_as_myokit_evaluates_them(tmp_path):
    import myokit
    import myokit.formats

    model = myokit.load_model(myokit.EXAMPLE)  # Luo-Rudy 1991
    exported = tmp_path / "exported.cellml"
    myokit.formats.exporter("cellml").model(str(exported), model)
    one, other = read_ionic(myokit.EXAMPLE), read_ionic(exported)
    assert (len(one.states), one.gates) == (7, 6)
    assert [state.name for state in one.states[:3]] == ["m", "h", "j"]
    assert "i_stim, pace is 0" in one.formulas.notes[0]
    model.binding("pace").set_rhs(0)
    names = [state.name() for state in model.states()]
    for seed in range(3):
        state = np.array(model.initial_values(True)) * np.random.default_rng(seed).uniform(0.8, 1.2, len(names))
        expected = dict(zip(names, model.evaluate_derivatives(list(state)), strict=True))
        given = dict(zip(names, state, strict=True))
        for kinetics in (one, other):
            order = ["V", *(entry.name for entry in kinetics.states)]
            found = kinetics.derivative(0.0, np.array([given[name] for name in order]), kinetics.values())
            assert found == pytest.approx([expected[name] for name in order], rel=1e-11)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.cellml", "", "as myokit reads it"),
        ("a.cellml", VOLTS[:900], "as myokit reads it"),
        ("a.cellml", "states(V = 1)\ndV_dt = -V\n", "as myokit reads it"),
        ("a.cellml", VOLTS.replace('name="V"', 'name="Cai"').replace("<ci>V<", "<ci>Cai<"), "its states are Cai, n"),
        ("a.cellml", VOLTS.replace('units="second"', 'units="metre"'), "time in ms or s"),
        ("a.cellml", VOLTS.replace('"volt"', '"mole"'), "membrane potential in mV or V"),
        ("a.mmt", "", "as myokit reads it"),
        ("a.mmt", "[[protocol]]\n", r"no \[\[model\]\]"),
        ("a.mmt", "[[model]]\n[x]\ndot(V) = 1\n", "as myokit reads it"),
        ("a.ode", "", "has none"),
        ("a.ode", "parameters(a = 1)\nb = a\n", "has none"),
        ("a.ode", "states(V = 1)\n", "as gotranx reads them"),
        ("a.ode", "states(V = 1)\ndV_dt = -V*unknown\n", "as gotranx reads them"),
        ("a.ode", "states(V = 1)\ndV_dt = -(V\n", "as gotranx reads them"),
        ("a.ode", "states(V = 1)\ndV_dt = ContinuousConditional(Gt(V, 1), 1, 2)\n", "as gotranx reads them"),
        ("a.ode", "states(V = 1)\ndV_dt = -Ω\n", "as gotranx reads them"),
        ("a.ode", "states(V = 1)\na = b\nb = a\ndV_dt = -V*a\n", "is defined by itself"),
        ("a.ode", "states(x = 1)\ndx_dt = -x\n", "its states are x"),
        ("a.ode", "states(V = 1)\ndV_dt = V/(1 - 1)\n", "infinite"),
        ("a.ode", "states(V = 1)\ndV_dt = -V*1e400\n", "infinite"),
        ("a.ode", "states(V = 1)\ndV_dt = -V*sqrt(-2)\n", "not real"),
        ("a.ode", "states(V = 1e999)\ndV_dt = -V\n", "V is inf"),
        ("a.ode", "states(V = 1)\ndV_dt = -V*9**9**9\n", "size that can be handled"),
        (
            "a.ode",
            "states(V = 1)\na0 = V\n" + "".join(f"a{k + 1} = a{k} + 1\n" for k in range(900)) + "dV_dt = -a900\n",
            "size that can be handled",
        ),
        ("a.ode", "states(V = 1)\ndV_dt = " + "exp(" * 2000 + "V" + ")" * 2000 + "\n", "as gotranx reads them"),
        ("a.ode", "states(V = 1)\na = 1 + V\na = 2 + V\ndV_dt = -a\n", "a has several"),
        ("a.ode", "states(V = 1)\ndV_dt = -V\ndV_dt = -2*V\n", "dV_dt has several"),
    ],
    ids=lambda value: value[:40],
)
def test_a_file_that_is_no_membrane_is_refused_in_words(tmp_path, name, text, complaint):
    with pytest.raises(InputError, match=complaint):
        read_ionic(written(tmp_path, text, name))


def test_bytes_that_are_no_text_and_files_that_are_too_large_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.ode"
    path.write_bytes(b"states(V = 1)\xff\xfe\n")
    with pytest.raises(FileError, match="as gotranx reads them"):
        read_ionic(path)
    monkeypatch.setattr(files, "_LARGEST", 10)
    with pytest.raises(FileError, match="at most"):
        read_ionic(path)


def test_names_of_any_language_and_a_potential_of_another_name(tmp_path):
    words = ["int", "double", "lambda", "None", "def", "exp_", "power2", "numpy", "step", "y0", "x0", "states_", "i"]
    text = "states(" + ", ".join(f"{word} = 0.{k + 1}" for k, word in enumerate(words)) + ", u = -10)\n"
    text += "parameters(fields = 2.0, p = 0.5, result = 1.0, restrict = 3.0, E_1 = 0.1)\n"
    text += "".join(f"d{word}_dt = (fields*exp(u/100)*p - {word})*{k + 1}\n" for k, word in enumerate(words))
    text += "du_dt = -" + "*".join(words) + "*restrict + result*E_1\n"
    kinetics = read_ionic(written(tmp_path, text), "u")
    assert (len(kinetics.states), kinetics.gates) == (len(words), len(words))
    values = [0.0, 0.0]
    for k, compile_ in enumerate((True, False)):
        v = np.array([-10.0])
        reaction = make_reaction(kinetics, {"V": v}, order=1, compile=compile_)
        assert type(reaction) is (CompiledReaction if compile_ else MembraneReaction)
        reaction.step(0.0, 0.01)
        values[k] = np.r_[v, reaction.states[:, 0]]
    assert values[0] == pytest.approx(values[1], rel=1e-13)
    assert values[0][1] == pytest.approx(0.1 + (np.exp(-0.1) - 0.1) * (1 - np.exp(-0.01)), rel=1e-12)


EVERYTHING = """
states(V = ScalarParam(-80, unit="mV"), n = 0.3, c = 0.5)
parameters(k = 2*3, a = 0.7)
b1 = Conditional(And(Gt(V, -60), Lt(V, 20), Ge(c, 0.1)), sqrt(Abs(V)), 2.0)
b2 = Conditional(Or(Le(V, -70), Not(Lt(c, 0.6))), Conditional(Eq(k, 6), sin(V/30), cos(V/30)), tan(c))
b3 = Max(c, n, 0.2) + Min(c, n) + floor(V/10)/50 + Mod(abs(V), 7 + c)/30
b4 = ContinuousConditional(Gt(V, -30), 1, c, 2.5) + log(1 + c**2) + ln(2 + n) + asin(n) + acos(n) + atan(V)/pi
b5 = V**2/1e4 - c**3.0 + (c + 1)**-2 + a**c + a**(-1.5) + (V/100)**4 + (2 + c)**5/100 + c**0.5
dn_dt = (1/(1 + exp(-(V + 25)/8)) - n)*(1 + (V/50)**2)
dc_dt = (b1 + b2 + b3 + b4 + b5)/100 - c
dV_dt = -b1 - b2*V/100 - b3
"""


def test_all_that_the_format_has_is_the_same_compiled_by_numpy_and_by_gotranx(tmp_path):
    import gotranx
    from gotranx.cli.gotran2py import get_code
    from gotranx.codegen.python import Format

    kinetics = read_ionic(written(tmp_path, EVERYTHING))
    ode = gotranx.load.ode_from_string(EVERYTHING, remove_singularities=False)
    module: dict = {}
    exec(get_code(ode, format=Format.none), module)
    v = np.linspace(-95.0, 45.0, 97)
    given = {"V": v, "n": np.linspace(0.01, 0.99, 97), "c": np.linspace(1.1, 0.05, 97)}
    names = ["V", *(state.name for state in kinetics.states)]
    values = np.array([given[name] for name in names])
    order = [module["state_index"](name) for name in names]
    theirs = np.empty_like(values)
    theirs[order] = values
    expected = module["rhs"](0.0, theirs, module["init_parameter_values"]())[order]
    assert kinetics.derivative(0.0, values, kinetics.values()) == pytest.approx(expected, rel=1e-12, abs=1e-14)
    ends = []
    for compile_ in (True, False):
        v = values[0].copy()
        start = dict(zip(names[1:], values[1:], strict=True))
        reaction = make_reaction(
            kinetics, {"V": v}, scheme="generalized-rush-larsen", order=2, start=start, compile=compile_
        )
        reaction.step(0.0, 0.02)
        ends.append(np.vstack([v, reaction.states]))
    assert type(make_reaction(kinetics, {"V": v})) is CompiledReaction
    assert ends[0] == pytest.approx(ends[1], rel=1e-12)


def test_slopes_are_derivatives_between_jumps_and_kinks(tmp_path):
    kinetics = read_ionic(written(tmp_path, EVERYTHING))
    v = np.linspace(-95.03, 44.91, 97)  # at no jump
    values, p, h = np.vstack([v, np.linspace(0.01, 0.99, 97), np.linspace(1.1, 0.05, 97)]), kinetics.values(), 1e-6
    slopes = kinetics.slopes(0.0, (v,), values[1:], p)
    for row, found in ((0, slopes[0]), (2, slopes[1])):
        ends = []
        for sign in (-1.0, 1.0):
            moved = values.copy()
            moved[row] += sign * h
            ends.append(kinetics.derivative(0.0, moved, p)[row])
        assert found == pytest.approx((ends[1] - ends[0]) / (2.0 * h), rel=1e-5, abs=1e-7)


IN_SECONDS = """[[model]]
membrane.V = -0.08
[engine]
time = 0 [s] in [s] bind time
[membrane]
dot(V) = 0.5 [V/s] * cos(engine.time * 20 [1/s])
    in [V]
"""


@pytest.mark.parametrize("compile_", [True, False])
def test_rates_that_depend_on_time_in_seconds_are_taken_in_the_middle_of_a_step(tmp_path, compile_):
    kinetics = read_ionic(written(tmp_path, IN_SECONDS, "beat.mmt"))
    assert kinetics.derivative(10.0, np.array([-80.0]), kinetics.values()) == pytest.approx(0.5 * np.cos(0.2))
    for scheme in SCHEMES:
        v = np.array([-80.0])
        reaction = make_reaction(kinetics, {"V": v}, scheme=scheme, order=2, compile=compile_)
        for k in range(20):
            reaction.step(5.0 * k, 5.0)  # V = -80 + 25 sin(20 t) mV
        assert v[0] == pytest.approx(-80.0 + 25.0 * np.sin(2.0), abs=0.02)


def test_a_membrane_without_states_and_a_rank_without_nodes(tmp_path):
    passive = read_ionic(written(tmp_path, "states(V = -60)\nparameters(g = 0.1)\ndV_dt = -g*(V + 80)\n"))
    assert passive.states == ()
    for compile_ in (True, False):
        v = np.array([-60.0, -70.0])
        reaction = make_reaction(passive, {"V": v}, scheme="generalized-rush-larsen", order=1, compile=compile_)
        reaction.step(0.0, 5.0)  # linear: exact at any step
        assert v == pytest.approx(-80.0 + np.array([20.0, 10.0]) * np.exp(-0.5), rel=1e-12)
        nothing = make_reaction(ionic_kinetics("tentusscher-panfilov-2006"), {"V": np.empty(0)}, compile=compile_)
        nothing.step(0.0, 0.1)
        assert nothing.not_finite() is None


def test_the_step_of_an_explicit_scheme_has_a_limit_by_the_fastest_quantity(tmp_path):
    kinetics = read_ionic(written(tmp_path, TOY))
    # n relaxes with alpha + int, V with g n, lambda with 2 lambda n
    assert explicit_limit(kinetics, "rush-larsen") == ("V", pytest.approx(2 / 0.6))
    alpha = 0.1 * -40 / (1 - np.exp(4))
    assert explicit_limit(kinetics, "explicit", {"g": 0.1}) == ("n", pytest.approx(2 / (alpha + 0.5)))
    assert explicit_limit(kinetics, "generalized-rush-larsen") == ("", np.inf)
