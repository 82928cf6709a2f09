"""Functions of place and time, and several reactions, in the config of species: exact solutions, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from homfem import runs
from homfem.macro.conditions import Neumann, Outflow
from homfem.macro.domain import Domain
from homfem.macro.reaction_diffusion import ReactionDiffusion, Species, run_reaction_diffusion
from homfem.parameters import InputError
from homfem.timestepping import TimeGrid

SLAB = {
    "model": "reaction-diffusion",
    "domain": {"shape": "interval", "size": ["4 um"], "resolution": "0.05 um"},
    "time": {"end": "1 s", "step": "20 ms"},
}


def run(folder, species, **more):
    return runs.macro({"macro": SLAB | {"species": species} | more}, folder=folder)


def values(made, name="u"):
    function = made.result.fields[name]
    return function.function_space.tabulate_dof_coordinates().T, function.x.array


def test_a_start_and_a_boundary_value_that_are_functions(tmp_path):
    r"""u = c exp(-a^2 D t) sin(a x) + b t at the ends, with the source b: exact for the heat equation."""
    parameters = {"c": "2 uM", "a": "0.5 rad/um", "D": "120 um^2/min", "b": "6 nM/ms"}
    text = "c*exp(-a^2*D*t)*sin(a*x) + b*t"
    here = {"expression": text, "parameters": parameters}
    start = {"expression": "c*sin(a*x)", "parameters": {"c": "2000 nM", "a": "500 rad/mm"}}
    species = {
        "u": {
            "unit": "uM",
            "tensor": {"value": "2 um^2/s", "volume_fraction": 1.0},
            "initial": start,
            "boundary": {"left": {"value": here}, "right": {"value": here}},
        }
    }
    source = {"type": "box", "min": ["-1 um"], "max": ["9 um"], "amplitude": "6 uM/s"}
    x, u = values(run(tmp_path, species, stimulus=source, time=SLAB["time"] | {"splitting": "implicit"}))
    exact = 2.0 * np.exp(-0.25 * 2.0) * np.sin(0.5 * x[0]) + 6.0
    assert np.abs(u - exact).max() < 2e-4


def test_fluxes_and_what_is_outside_may_be_functions(tmp_path):
    """A flux that grows with time brings its integral; a transfer to a ramp outside, stiff, follows the ramp."""
    grown = {"expression": "q*t/T", "parameters": {"q": "3 um/s", "T": "1 s"}}
    end = {"u": {"tensor": {"value": "9 um^2/s", "volume_fraction": 1.0}, "boundary": {"left": {"flux": grown}}}}
    report = run(tmp_path, end).report()
    assert report["total"]["u"][-1] == pytest.approx(1.5, rel=1e-9)
    pulsed = {"left": {"flux": grown, "duration": "0.5 s"}}
    end["u"]["boundary"] = pulsed
    report = run(tmp_path, end, time=SLAB["time"] | {"scheme": "crank-nicolson"}).report()
    assert report["total"]["u"][-1] == pytest.approx(1.5 * 0.25, rel=0.05)  # the last half step is half on
    outside = {"expression": "2 + x/L", "parameters": {"L": "4 um"}}
    end["u"]["boundary"] = {
        "left": {"transfer": "1e6 um/s", "outside": outside},
        "right": {"transfer": "1e6 um/s", "outside": outside},
    }
    x, u = values(run(tmp_path, end, time=SLAB["time"] | {"end": "9 s"}))
    assert u == pytest.approx(2.0 + x[0] / 4.0, abs=1e-4)


def test_a_velocity_that_is_a_function_of_place(tmp_path):
    """Poiseuille's profile carries in what the same profile in Python does, and as much as flows in."""
    domain = {"shape": "box", "size": ["4 um", "2 um"], "resolution": "0.5 um"}
    velocity = {"expression": ["U*(1 - ((y - R)/R)^2)", "0"], "parameters": {"U": "60 um/min", "R": "1 um"}}
    flux = {"expression": "U*(1 - ((y - R)/R)^2)", "parameters": {"U": "60 um/min", "R": "1 um"}}
    tensor = {"value": "0.5 um^2/s", "volume_fraction": 1.0}
    species = {"u": {"tensor": tensor, "velocity": velocity, "boundary": {"left": {"flux": flux}, "right": "outflow"}}}
    made = run(tmp_path, species, domain=domain, degree=2)
    written = Species(
        name="u",
        tensor=0.5,
        velocity=lambda x: np.array([1.0 - (x[1] - 1.0) ** 2, 0.0 * x[0]]),
        conditions=[Neumann(boundary="left", flux=lambda x, _: 1.0 - (x[1] - 1.0) ** 2), Outflow(boundary="right")],
    )
    mesh = made.result.fields["u"].function_space.mesh
    sides = {"left": lambda x: np.abs(x[0]) < 1e-9, "right": lambda x: np.abs(x[0] - 4.0) < 1e-9}
    place = Domain(mesh=mesh, unit="um").with_boundaries(sides)
    problem = ReactionDiffusion(mesh=place, species=[written], degree=2)
    other = run_reaction_diffusion(problem, TimeGrid(end=1.0, step=0.02))
    assert made.report()["total"]["u"] == pytest.approx(other.numbers["u amount"], rel=1e-12)
    early = made.report()["total"]["u"][5]
    assert early == pytest.approx(0.1 * 4.0 / 3.0, rel=1e-3)  # the integral of the profile, before any flows out


def test_several_reactions_add_up(tmp_path):
    """Fisher's growth and a decay are growth with another rate and capacity; parameters may differ by region."""
    one = [{"name": "fisher", "rate": "2 1/s"}]
    two = [
        {"name": "fisher", "rate": "3 1/s", "capacity": 1.5},
        {"rates": {"u": "-k*u"}, "parameters": {"k": {"*": "60 1/min"}}},
    ]
    found = [values(run(tmp_path, {"u": {"initial": 0.1}}, reaction=reactions))[1] for reactions in (one, two)]
    assert found[1] == pytest.approx(found[0], rel=1e-12)
    assert found[0][0] == pytest.approx(1.0 / (1.0 + 9.0 * np.exp(-2.0)), rel=1e-4)


def function(text, **parameters):
    return {"expression": text, "parameters": parameters}


WRONG = [
    ({"initial": function("x")}, r"u\.initial\.expression = 'x'.*no unit.*\[length\]"),
    ({"initial": function("t")}, r"u\.initial\.expression = 't'.*'t' is unknown"),
    ({"initial": function("x/L", L="5 ms")}, r"u\.initial\.expression = 'x/L'.*no unit"),
    ({"initial": function("y/L", L="5 um")}, r"u\.initial\.expression = 'y/L'.*'y' is unknown"),
    ({"initial": function("1/(x/L - 2)", L="1 um")}, r"u\.initial = .*finite"),
    ({"initial": function("1", L="5 um")}, r"u\.initial\.parameters = 'L'.*in the expression"),
    ({"initial": function("x/lenght", length="5 um")}, r"u\.initial\.expression = 'x/lenght'.*Did you mean 'length'"),
    ({"initial": function(["1"])}, r"u\.initial\.expression = \['1'\].*one expression"),
    (
        {"initial": {"expression": "1", "parameter": {}}},
        r"u\.initial\.parameter = \{\}.*'macro\.species\.u\.initial\.parameters'",
    ),
    ({"initial": {"expression": True}}, r"u\.initial\.expression = True"),
    ({"initial": {"expression": "1", "parameters": 3}}, r"u\.initial\.parameters = 3"),
    ({"initial": function("c", c=[1])}, r"u\.initial\.parameters\.c = \[1\]"),
    ({"initial": function("c", c="5 blub")}, r"u\.initial\.parameters\.c = '5 blub'"),
    ({"initial": function("__import__('os')")}, r"u\.initial\.expression"),
    ({"velocity": function("1", v="1 um/s")}, r"u\.velocity\.expression = '1'.*list of expressions"),
    ({"velocity": function(["1"])}, r"u\.velocity\.expression\[0\] = '1'.*\[length\]"),
    ({"velocity": function(["v", "v"], v="1 um/s")}, r"u\.velocity\.expression = .*1 expressions"),
    ({"velocity": function(["v*t/T"], v="1 um/s", T="1 s")}, r"u\.velocity\.expression\[0\].*'t' is unknown"),
    ({"boundary": {"left": {"value": function("x")}}}, r"u\.boundary\.left\.value\.expression = 'x'"),
    ({"boundary": {"left": {"flux": function("1")}}}, r"u\.boundary\.left\.flux\.expression = '1'"),
    ({"boundary": {"left": {"transfer": function("1")}}}, r"u\.boundary\.left\.transfer"),
    ({"boundary": {"left": {"transfer": "1 um/s", "outside": function("x")}}}, r"left\.outside\.expression = 'x'"),
    ({"unit": "uM", "initial": function("1")}, r"u\.initial\.expression = '1'.*\[substance\]"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_functions_that_do_not_fit_are_refused_under_their_key(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path, {"u": changes})
    assert not list(tmp_path.glob("output/*.xdmf"))


REACTIONS = [
    ([{"name": "fisher", "rate": "1 1/s"}, {"name": "fisher"}], r"macro\.reaction\[1\]\.rate = \(missing\)"),
    ([{"name": "fisher", "rate": "1 1/s"}, 3], r"macro\.reaction = .*\[\[macro\.reaction\]\]"),
    ([{"rates": {"u": "1"}}, {"rates": {"u": "k"}}], r"macro\.reaction\[1\]\.rates\.u = 'k'"),
    (
        [{"rates": {"u": "1"}}, {"rates": {"u": "k*u"}, "parameters": {"k": {"here": 1.0}}}],
        r"macro\.reaction\[1\]\.parameters\.k = 'here'",
    ),
]


@pytest.mark.parametrize(("reactions", "message"), REACTIONS)
def test_wrong_reactions_are_refused_by_their_number(tmp_path, reactions, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path, {"u": {}}, reaction=reactions)


def test_rates_of_species_with_a_unit_have_units(tmp_path):
    """-0.5*u of uM is per what? Only scaled species may say so, per second then."""
    with pytest.raises(InputError, match=r"macro\.reaction\.rates\.u = '-0\.5\*u'.*\[time\]"):
        run(tmp_path, {"u": {"initial": "1 uM"}}, reaction={"rates": {"u": "-0.5*u"}})
    _, u = values(run(tmp_path, {"u": {"initial": 1.0}}, reaction={"rates": {"u": "-0.5*u"}}))
    assert u == pytest.approx(np.exp(-0.5), rel=1e-4)
    rates = {"u": "-k*u", "v": "0"}
    species = {"u": {"initial": "1 uM"}, "v": {"initial": "2 uM"}}
    made = run(tmp_path, species, reaction={"rates": rates, "parameters": {"k": "30 1/min"}})
    assert values(made)[1] == pytest.approx(np.exp(-0.5), rel=1e-4)
