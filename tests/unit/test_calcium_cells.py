"""Single cells of calcium beside independent right-hand sides: periods, Hopf points, Markov chains, pumps."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm, null_space

from homfem.kinetics import resting_point
from homfem.kinetics.calcium import (
    CALCIUM_KINETICS,
    Receptor,
    calcium_kinetics,
    cell_kinetics,
    check_reversible,
    closed_cell,
    number,
)
from homfem.kinetics.calcium.ip3_receptors import de_young_keizer_subunit
from homfem.kinetics.calcium.oscillations import Cell, hopf_points, limit_cycle
from homfem.parameters import ConvergenceError, InputError

C1, V1, V2, V3, K3 = 0.185, 6.0, 0.11, 0.9, 0.1
A = {1: 400.0, 2: 0.2, 3: 400.0, 4: 0.2, 5: 20.0}
D = {1: 0.13, 2: 1.049, 3: 0.9434, 5: 0.08234}
D[4] = D[1] * D[2] / D[3]
TIGHT = {"method": "Radau", "rtol": 1e-9, "atol": 1e-12}


def li_rinzel(_t, y, p, total=2.0):
    c, h = y
    e = (total - c) / C1
    m, q = p / (p + D[1]) * c / (c + D[5]), D[2] * (p + D[1]) / (p + D[3])
    return [C1 * (V1 * (m * h) ** 3 + V2) * (e - c) - V3 * c * c / (K3 * K3 + c * c), A[2] * (q - (q + c) * h)]


def subunit(c, p, a=A):
    """The generator of the eight states by the sites that are taken, bits IP3, activation, inactivation."""
    rates = np.zeros((8, 8))
    for state in itertools.product((0, 1), repeat=3):
        i, _, k = state
        for site, (on, dissociation, ligand) in enumerate(
            ((3 if k else 1, D[3 if k else 1], p), (5, D[5], c), (2 if i else 4, D[2 if i else 4], c))
        ):
            if state[site] == 0:
                free, bound = (4 * s[0] + 2 * s[1] + s[2] for s in (state, [*state[:site], 1, *state[site + 1 :]]))
                rates[free, bound], rates[bound, free] = a[on] * ligand, a[on] * dissociation
    return rates - np.diag(rates.sum(axis=1))


def de_young_keizer(_t, y, p, a=A, total=2.0):
    c, x = y[0], y[1:]
    flux = C1 * (V1 * x[6] ** 3 + V2) * ((total - c) / C1 - c) - V3 * c * c / (K3 * K3 + c * c)
    return np.array([flux, *(x @ subunit(c, p, a))])


def steady(generator):
    found = null_space(generator.T)[:, 0]
    return found / found.sum()


@pytest.mark.parametrize(("ip3", "period"), [(0.4, 12.77), (0.5, 11.49)])
def test_li_rinzel_has_the_published_periods(ip3, period):
    cycle = limit_cycle(Cell(calcium_kinetics("li-rinzel")), parameters={"ip3": ip3}, settle=200.0, tolerance=1e-8)
    assert cycle.period == pytest.approx(period, abs=0.005)
    run = solve_ivp(li_rinzel, (0, cycle.period), cycle.state[[0, 2]], args=(ip3,), **TIGHT)
    assert run.y[:, -1] == pytest.approx(cycle.state[[0, 2]], rel=2e-4)
    assert run.y[0].max() == pytest.approx(cycle.largest, rel=1e-3)
    assert run.y[0].min() == pytest.approx(cycle.smallest, rel=1e-3)


def test_hopf_points_of_li_rinzel_are_where_the_trace_vanishes():
    """At 0.3545 and 0.6369 uM: the trace of the Jacobian of an independent right-hand side, by differences."""
    cell = Cell(calcium_kinetics("li-rinzel"))
    found = hopf_points(cell, "ip3", 0.2, 0.8, number=12)
    assert [ip3 for ip3, _ in found] == pytest.approx([0.354534, 0.636882], abs=1e-6)
    for ip3, period in found:
        y = cell.rest({"ip3": ip3})[[0, 2]]
        assert li_rinzel(0, y, ip3) == pytest.approx([0, 0], abs=1e-12)
        step = 1e-5 * np.eye(2)
        slopes = np.array([np.subtract(li_rinzel(0, y + s, ip3), li_rinzel(0, y - s, ip3)) / 2e-5 for s in step]).T
        assert np.trace(slopes) == pytest.approx(0.0, abs=1e-8)
        assert 2 * np.pi / np.sqrt(np.linalg.det(slopes)) == pytest.approx(period, rel=1e-7)
    assert limit_cycle(cell, parameters={"ip3": 0.3}, settle=150.0, tolerance=1e-7) is None


def test_de_young_keizer_is_that_of_an_independent_right_hand_side():
    kinetics, ip3 = cell_kinetics(calcium_kinetics("de-young-keizer")), 0.5
    x = steady(subunit(0.3, ip3))
    p = kinetics.values({"ip3": ip3})
    start = [0.2, 1.8 / C1, *x[1:]]
    mine = solve_ivp(lambda t, y: kinetics.derivative(t, y, p), (0, 8), start, method="LSODA", rtol=1e-8, atol=1e-10)
    other = solve_ivp(de_young_keizer, (0, 8), [0.2, *x], args=(ip3,), method="LSODA", rtol=1e-8, atol=1e-10)
    assert mine.y[[0, *range(2, 9)], -1] == pytest.approx(other.y[[0, *range(2, 9)], -1], rel=2e-6)
    assert other.y[1:, -1].sum() == pytest.approx(1.0, rel=1e-9)
    assert np.ptp(other.y[0]) > 0.1


def test_de_young_keizer_becomes_li_rinzel_as_fast_sites_become_faster():
    """First order in the time constants of a1, a3, a5."""
    ip3 = 0.45
    start = [0.2, 0.7]
    exact = solve_ivp(li_rinzel, (0, 6), start, args=(ip3,), **TIGHT).y[0, -1]
    c, h = start
    m, n = ip3 / (ip3 + D[1]), c / (c + D[5])
    free = np.array([(1 - m) * (1 - n), (1 - m) * n, m * (1 - n), m * n])
    m3 = ip3 / (ip3 + D[3])
    taken = np.array([(1 - m3) * (1 - n), (1 - m3) * n, m3 * (1 - n), m3 * n])
    x = np.array([[h, 1 - h]]) * np.stack([free, taken], axis=1)
    model, errors = calcium_kinetics("de-young-keizer"), []
    for scale in (8.0, 32.0, 128.0):
        kinetics = cell_kinetics(model.with_parameters({f"a{k}": scale * A[k] for k in (1, 3, 5)}))
        p = kinetics.values({"ip3": ip3})
        begin = [c, (2.0 - c) / C1, *x.ravel()[1:]]
        run = solve_ivp(
            lambda t, y, k=kinetics, p=p: k.derivative(t, y, p), (0, 6), begin, method="LSODA", rtol=1e-8, atol=1e-10
        )
        errors.append(abs(run.y[0, -1] - exact))
    assert errors[0] < 0.02
    assert np.array(errors[:-1]) / errors[1:] == pytest.approx([4.0, 4.0], rel=0.1)


@pytest.mark.parametrize("ip3", [0.05, 0.4, 2.0])
def test_open_probability_at_rest_is_that_of_the_chain_and_of_li_rinzel(ip3):
    c = np.geomspace(1e-3, 20, 9)
    models = [cell_kinetics(calcium_kinetics(name)) for name in ("de-young-keizer", "li-rinzel")]
    full, reduced = (model.rest([c, np.full_like(c, 9.0)], model.values({"ip3": ip3})) for model in models)
    chain = np.array([steady(subunit(value, ip3)) for value in c]).T
    assert full == pytest.approx(chain[1:], rel=1e-9, abs=1e-13)
    m = ip3 / (ip3 + D[1]) * c / (c + D[5])
    assert (m * reduced[0]) ** 3 == pytest.approx(chain[6] ** 3, rel=1e-9)


def test_atri_oscillates_in_the_published_range():
    """0.289 < mu < 0.495 at k_flux 16.2 uM/s without leak: the numbers of Kaouri et al. 2019."""
    free = calcium_kinetics("atri").with_parameters({"k_flux": 16.2, "beta": 0.0, "mu0": 0.0, "mu1": 1.0})
    found = hopf_points(Cell(free, held=("er",)), "ip3", 1.0, 5.0, number=8)
    assert [p / (4.0 + p) for p, _ in found] == pytest.approx([0.289, 0.495], abs=5e-4)


def test_keizer_levine_is_the_chain_of_its_rates_and_its_reduced_form_where_that_is_slow():
    full, reduced = (cell_kinetics(calcium_kinetics(name)) for name in ("keizer-levine", "keizer-levine-reduced"))
    assert pytest.approx((0.0192, 0.2573, 0.0571), abs=5e-5) == (28.8 / 1500, 385.9 / 1500, 0.1 / 1.75)

    def chain(c):
        on = {(0, 1): 1500 * c**4, (1, 0): 28.8, (1, 2): 1500 * c**3, (2, 1): 385.9, (1, 3): 1.75, (3, 1): 0.1}
        rates = np.zeros((4, 4))
        for (i, j), rate in on.items():
            rates[i, j] = rate
        return rates - np.diag(rates.sum(axis=1))

    c = np.geomspace(0.02, 3, 7)
    states = full.rest([c, c], full.values())
    expected = np.array([steady(chain(value)) for value in c]).T
    assert states == pytest.approx(expected[1:], rel=1e-9, abs=1e-15)
    w = reduced.rest([c, c], reduced.values())
    assert 1 - w[0] == pytest.approx(expected[3], rel=1e-9)
    rates = [
        kinetics.rates(0.0, [c, 9 + 0 * c], x, kinetics.values())[0] for kinetics, x in ((full, states), (reduced, w))
    ]
    assert rates[0] == pytest.approx(rates[1], rel=1e-9)
    # a step of c: fast opening, then slow adaptation to the plateau
    start, generator = expected[:, 2], chain(0.4)
    for time in (0.05, 1.0):
        exact = start @ expm(generator * time)
        change = lambda t, x: full.relaxation(t, [np.array([0.4])] * 2, x[:, None], full.values())  # noqa: E731
        run = solve_ivp(
            lambda t, x, f=change: (f(t, x)[0] * (f(t, x)[1] - x[:, None]))[:, 0], (0, time), start[1:], **TIGHT
        )
        assert run.y[:, -1] == pytest.approx(exact[1:], abs=1e-8)
    opening = lambda time: (start @ expm(generator * time))[1:3].sum()  # noqa: E731
    assert opening(0.05) > 4 * opening(60.0)


def test_chains_that_gain_energy_around_a_cycle_are_refused():
    fine = de_young_keizer_subunit()
    numbers = [number(f"a{k}", A[k], "1/(uM*s)", "rate") for k in A] + [
        number(f"d{k}", D[k], "uM", "constant") for k in (1, 2, 3, 5)
    ]
    check_reversible(fine, numbers)
    with pytest.raises(InputError, match=r"same product in both directions.*Their ratio is"):
        check_reversible(dataclasses.replace(fine, definitions={"d4": "1.01*d1*d2/d3"}), numbers)
    one_way = Receptor(states=("a", "b", "w"), transitions={("a", "b"): "1", ("b", "w"): "1", ("w", "a"): "1"})
    with pytest.raises(InputError, match="with the reverse"):
        check_reversible(one_way, ())
    with pytest.raises(InputError, match="a state that can be left"):
        Receptor(states=("a", "b"), transitions={("a", "b"): "1"})
    with pytest.raises(InputError, match="between two of a, b"):
        Receptor(states=("a", "b"), transitions={("a", "q"): "1"})


def test_the_reversible_pump_stands_still_at_its_ratio_and_is_the_hill_pump_of_an_empty_er():
    kinetics = cell_kinetics(calcium_kinetics("li-rinzel-reversible"))
    c = np.array([0.05, 0.1, 0.4])
    p = kinetics.values({"cytosol_fraction": 1.0})

    def pump(e):
        return kinetics.rates(0.0, [c, e], np.ones((1, 3)), p)[2]

    assert pump(0 * c) == pytest.approx(V3 * c**2 / (K3**2 + c**2), rel=1e-14)
    assert pump(7000.0 * c) == pytest.approx(0 * c, abs=1e-16)
    assert (pump(8000.0 * c) < 0).all()
    assert (pump(6000.0 * c) > 0).all()


def test_the_pump_that_holds_calcium_becomes_the_reversible_one_and_keeps_what_it_holds():
    ends = []
    start = {"cytosol": 0.3, "er": (2.0 - 0.3) / C1, "h": 0.7}
    for k2 in (40.0, 160.0, 640.0):
        kinetics = cell_kinetics(calcium_kinetics("li-rinzel-buffering").with_parameters({"k2": k2}))
        p, amount = kinetics.values(), V3 / k2
        begin = kinetics.start(start)
        begin[3] = kinetics.rest([begin[:1], begin[1:2]], p)[1, 0]
        begin[0] -= amount * begin[3]  # of the same total
        run = solve_ivp(lambda t, y, k=kinetics, p=p: k.derivative(t, y, p), (0, 3), begin, **TIGHT)
        total = run.y[0] + C1 * run.y[1] + amount * run.y[3]
        assert total == pytest.approx(2.0, rel=1e-10)
        ends.append(run.y[0, -1])
    plain = cell_kinetics(calcium_kinetics("li-rinzel-reversible"))
    exact = solve_ivp(lambda t, y: plain.derivative(t, y, plain.values()), (0, 3), plain.start(start), **TIGHT).y[0, -1]
    errors = np.abs(np.array(ends) - exact)
    assert errors[0] / exact < 0.2
    assert errors[:-1] / errors[1:] == pytest.approx([4.0, 4.0], rel=0.2)


@pytest.mark.parametrize("name", CALCIUM_KINETICS)
def test_nothing_divides_by_zero_without_calcium(name):
    kinetics = cell_kinetics(calcium_kinetics(name), closed_cell(C1))
    zero = np.zeros(2)
    for ip3 in (0.0, 0.4):
        p = kinetics.values({"ip3": ip3})
        states = kinetics.rest([zero, np.array([0.0, 9.0])], p)
        kinetics.check_shares(states)
        state = np.vstack([zero, [0.0, 9.0], states])
        assert np.isfinite(kinetics.derivative(0.0, state, p)).all()
        assert np.isfinite(kinetics.jacobian(0.0, list(state[:2]), states, p)).all()
        assert kinetics.derivative(0.0, state, p)[0].min() >= 0.0  # nothing leaves an empty cytosol
        below = state - 1e-3  # a little too far, as a step may go
        assert np.isfinite(kinetics.derivative(0.0, below, p)).all()


def test_cells_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"held = 'ER'"):
        Cell(calcium_kinetics("atri"), held=("ER",))
    with pytest.raises(InputError, match="total = None"):
        Cell(calcium_kinetics("atri"))
    with pytest.raises(InputError, match="total = -1"):
        Cell(calcium_kinetics("li-rinzel"), total=-1.0)
    with pytest.raises(InputError, match=r"ip3 = -0\.1"):
        Cell(calcium_kinetics("li-rinzel")).rest({"ip3": -0.1})
    empty = Cell(calcium_kinetics("li-rinzel").with_parameters({"v3": 0.0}))
    assert resting_point(empty.kinetics)[0] == pytest.approx(resting_point(empty.kinetics)[1])
    with pytest.raises(ConvergenceError, match="no state of rest"):
        Cell(calcium_kinetics("atri").with_parameters({"gamma": 0.01}), held=("er",)).rest({})
