"""Calcium in a resolved network: against kinetics of a well-mixed cell, conservation, rates towards the bidomain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.integrate
from mpi4py import MPI

from homfem import three_pipe
from homfem.cells import laminate
from homfem.kinetics import DE_YOUNG_KEIZER, MembraneKinetics, exchange_kinetics, li_rinzel, membrane_from_rates
from homfem.kinetics.calcium import Geometry, calcium_kinetics, membrane_kinetics, on_membrane
from homfem.limits import BudgetError
from homfem.parameters import ConvergenceError, InputError, PercolationError
from homfem.twoscale import CalciumPair, CalciumPairMethod, calcium_two_scale_study
from homfem.twoscale.medium import on_own_rank
from homfem.twoscale.network import Flux, Network

SIDE = 8.0


def leak(permeability=0.5):
    none = np.zeros((0, 1))
    return MembraneKinetics(
        name="leak",
        states=(),
        flux=lambda c, e, _x, _p: permeability * (e - c),
        relaxation=lambda *_: (none, none),
        steady=lambda *_: none,
    )


def pipes(comm=MPI.COMM_WORLD, period=1.0):
    return three_pipe(0.4, resolution=0.33, period=period, length_unit="um", comm=comm)


def pair(comm=MPI.COMM_WORLD, **changes):
    given = {
        "cell": pipes(comm),
        "diffusivities": {"cytosol": 20.0, "er": 10.0},
        "kinetics": leak(),
        "side": SIDE,
        "strip": True,
        "initial_cytosol": lambda x: 1.0 + 0.5 * np.cos(np.pi * x[0] / SIDE),
        "initial_er": lambda x: 10.0 + 3.0 * np.cos(2.0 * np.pi * x[0] / SIDE),
        "end": 0.2,
        "step": 0.01,
    }
    return CalciumPair(**given | changes)


def network(kinetics, *, step, diffusivity=1e4, factor=1.0, ip3=0.0):
    raw = on_own_rank(pipes()).raw
    if isinstance(kinetics, MembraneKinetics):
        kinetics = exchange_kinetics(kinetics)
    flux = Flux(kinetics=kinetics, parameters={"ip3": ip3} if ip3 else {}, factor=factor)
    made = Network(
        MPI.COMM_WORLD, raw, [2, 1, 1], scale=1.0, diffusivities={"cytosol": diffusivity, "er": diffusivity},
        flux=flux, step=step,
    )  # fmt: skip
    return made, (made.cytosol.volume, made.er.volume, made.area)


def test_rates_and_conservation():
    study = calcium_two_scale_study(pair(), periods=(4, 8))
    for name in study.names:
        floor = study.floor[name.removesuffix(" inside")]
        assert floor < 0.2 * study.errors(name)[-1], name
        assert 0.93 < study.rates(name)[-1] < 1.7, name
    assert study.errors("cytosol l2")[-1] < 5e-3
    assert study.errors("er l2")[-1] < 8e-3
    assert study.errors("cytosol h1 inside")[-1] < 0.3
    assert study.errors("er h1 inside")[-1] < 0.24
    assert max(level.drift for level in study.levels) < 1e-12


def test_a_leak_in_a_well_mixed_box_is_the_closed_form():
    """Fast diffusion: e - c decays with lambda P |membrane| (1/V_c + 1/V_e), the total stays."""
    step, count, factor = 5e-3, 40, 0.7
    made, (v_c, v_e, area) = network(leak(0.5), step=step, factor=factor)
    assert (v_c, v_e, area) == pytest.approx((2 * 0.648, 2 * 0.352, 2 * 2.88))
    n = made.tiled.owned
    made.start(np.full(n, 1.0), np.full(n, 9.0))
    total = made.total()
    for _ in range(count):
        made.advance()
    rate = factor * 0.5 * area * (1.0 / v_c + 1.0 / v_e)
    apart = 8.0 * np.exp(-rate * step * count)
    mean = (v_c + 9.0 * v_e) / (v_c + v_e)
    expected = mean - apart * v_e / (v_c + v_e), mean + apart * v_c / (v_c + v_e)
    for phase, value in zip((made.cytosol, made.er), expected, strict=True):
        found = phase.weights @ phase.values / phase.volume
        assert found == pytest.approx(value, abs=4e-4)
    assert made.total() == pytest.approx(total, rel=1e-13)


def membranes():
    """Kinetics per area of the ER's membrane: a gate, and seven states of one receptor whose targets are coupled."""
    geometry = Geometry(cytosol_fraction=0.648, er_fraction=0.352, er_area=2.88)
    unit = membrane_from_rates(DE_YOUNG_KEIZER, cytosol_fraction=0.648, er_fraction=0.352, interface_area=2.88)
    eight = membrane_kinetics(on_membrane(calcium_kinetics("de-young-keizer"), geometry))
    one = exchange_kinetics(li_rinzel(unit))

    def drift(time, fields, states, p):
        rate, target = one.relaxation(time, fields, states, p)
        return rate * (target - states)

    states = tuple(replace(state, gate=False) for state in one.states)
    drifting = replace(one, states=states, relaxation=None, drift=drift)
    return {"li-rinzel": one, "de-young-keizer": eight, "drifting": drifting}


@pytest.mark.parametrize(("name", "cap"), [("li-rinzel", 3e-4), ("de-young-keizer", 2e-3), ("drifting", 3e-4)])
def test_receptors_in_a_well_mixed_box_are_those_of_the_ordinary_differential_equations(name, cap):
    """Of second order in the step, in c and in the states of the receptors."""
    kinetics, ip3, end = membranes()[name], 0.5, 0.4
    errors = []
    for steps in (80, 160) if name == "de-young-keizer" else (20, 40):
        made, (v_c, v_e, area) = network(kinetics, step=end / steps, ip3=ip3)
        n = made.tiled.owned
        made.start(np.full(n, 0.3), np.full(n, 5.0))
        start = np.array([0.3, 5.0, *made.states[:, 0]])
        for _ in range(steps):
            made.advance()
        found = np.array([made.cytosol.weights @ made.cytosol.values / v_c, *made.states.mean(axis=1)])
        p, gates = kinetics.values({"ip3": ip3}), kinetics.gates

        def slopes(t, y, v_c=v_c, v_e=v_e, area=area, p=p, gates=gates):
            fields, x = [y[[0]], y[[1]]], y[2:, None]
            flux = area * float((np.asarray(kinetics.stoichiometry[0]) @ kinetics.rates(t, fields, x, p))[0])
            change = [flux / v_c, -flux / v_e]
            if gates:
                rate, target = kinetics.relaxation(t, fields, x, p)
                change += list((rate * (target - x[:gates]))[:, 0])
            if gates < len(x):
                change += list(kinetics.drift(t, fields, x, p)[:, 0])
            return change

        exact = scipy.integrate.solve_ivp(slopes, (0.0, end), start, method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1]
        assert abs(exact[0] - 0.3) > 0.05  # something happens
        errors.append(float(np.abs(found - exact[[0, *range(2, len(exact))]]).max()))
    assert errors[1] < cap
    assert errors[0] / errors[1] > 3.0


def test_what_counts_is_the_exchange_per_volume():
    """A cell twice as large has half the area per volume: with twice the density all is the same."""
    one = calcium_two_scale_study(pair(), periods=(2,))
    other = calcium_two_scale_study(pair(cell=pipes(period=2.0), density=2.0), periods=(2,))
    for name in one.names:
        assert other.errors(name)[0] == pytest.approx(one.errors(name)[0], rel=1e-7)
    weaker = calcium_two_scale_study(pair(density=0.5), periods=(2,))
    assert abs(weaker.errors("cytosol l2")[0] / one.errors("cytosol l2")[0] - 1.0) > 0.1


@pytest.mark.parametrize("name", ["li-rinzel", "de-young-keizer"])
def test_named_kinetics(name):
    """Their fluxes per volume of cytosol are put on the membrane, the same on both sides."""
    given = {"kinetics": calcium_kinetics(name), "ip3": 0.5, "initial_cytosol": 0.3, "step": 0.01, "end": 0.1}
    study = calcium_two_scale_study(pair(**given), periods=(4, 8), method=CalciumPairMethod(elements=96))
    assert study.rates("cytosol l2")[0] > 0.9
    assert study.errors("cytosol l2")[-1] < 0.02
    assert max(level.drift for level in study.levels) < 1e-12


def case_pair(comm) -> dict:
    study = calcium_two_scale_study(pair(comm, step=0.02), periods=(2, 3), method=CalciumPairMethod(elements=48))
    return {"errors": [study.errors(name).tolist() for name in study.names], "dofs": study.levels[-1].dofs}


def test_the_same_on_1_2_3_ranks(on_ranks):
    one, *others = on_ranks(case_pair)
    for other in others:
        assert other["dofs"] == one["dofs"]
        assert np.allclose(other["errors"], one["errors"], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell": None}, ["cell = None"]),
        ({"density": -1.0}, ["density = -1.0"]),
        ({"ip3": -0.1}, ["ip3"]),
        ({"side": 0.0}, ["side"]),
        ({"diffusivities": {"cytosol": 20.0}}, ["diffusivities", "two phases"]),
        ({"diffusivities": {"cytosol": 20.0, "er": -1.0}}, ["diffusivities.er = -1.0"]),
        ({"diffusivities": {"cytosol": 20.0, "ER": 1.0}}, ["diffusivities = 'ER'", "'er'"]),
        ({"kinetics": None}, ["kinetics"]),
        ({"step": 0.03}, ["step"]),
        ({"end": -1.0}, ["end"]),
        ({"initial_er": -1.0}, ["initial, er"]),
        ({"initial_er": lambda x: x[1]}, ["initial, er", "first coordinate alone", "strip = False"]),
        ({"initial_cytosol": lambda x: np.nan * x[0]}, ["initial, cytosol"]),
    ],
)  # fmt: skip
def test_bad_input(changes, words):
    with pytest.raises(InputError) as error:
        calcium_two_scale_study(pair(**changes), periods=(2,))
    for word in words:
        assert word in str(error.value)


def test_a_phase_that_is_not_connected():
    layers = laminate([0.5, 0.5], axis="x", dimension=3, resolution=0.33, period=1.0, length_unit="um")
    with pytest.raises(PercolationError, match="one connected body"):
        calcium_two_scale_study(pair(cell=layers, diffusivities={"layer1": 1.0, "layer2": 1.0}), periods=(2,))


def test_a_cell_without_a_unit_of_length():
    with pytest.raises(InputError, match="um"):
        pair(cell=three_pipe(0.4, resolution=0.33, length_unit="1"))


def test_too_many_unknowns():
    with pytest.raises(BudgetError, match=r"periods = 20000: .*max_dofs = 2000000"):
        calcium_two_scale_study(pair(), periods=(2, 20000))


def test_a_step_so_large_that_a_concentration_turns_negative():
    with pytest.raises(ConvergenceError, match="Take a smaller step"):  # of the limit, which runs first
        calcium_two_scale_study(pair(kinetics=leak(-8.0), step=0.1, initial_cytosol=1.0), periods=(2,))
    runaway = replace(membranes()["drifting"], drift=lambda _t, _f, states, _p: 1e5 * states)
    wild, _ = network(runaway, step=0.1, ip3=0.5, factor=0.0)
    wild.start(np.full(wild.tiled.owned, 0.3), np.full(wild.tiled.owned, 5.0))
    wild.advance()
    with pytest.raises(ConvergenceError, match=r"states of Li-Rinzel leave their range at t = 0.2 s. Take a smaller"):
        wild.advance()
    made, _ = network(leak(-8.0), step=0.1, diffusivity=1.0)
    made.start(np.full(made.tiled.owned, 1.0), np.full(made.tiled.owned, 9.0))
    with pytest.raises(ConvergenceError, match=r"uM in the cytosol at t = 0.1 s. Take a smaller step"):
        made.advance()


def test_methods_are_checked():
    for bad in ({"margin": 0.5}, {"rtol": 0.1}, {"max_dofs": 0}, {"elements": 2}):
        with pytest.raises(InputError, match=next(iter(bad))):
            CalciumPairMethod(**bad)
    assert replace(pair(), density=2.0).density == 2.0
