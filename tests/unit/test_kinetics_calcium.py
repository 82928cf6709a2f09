"""Calcium kinetics: published oscillations, the resting state, the conversion from volume rates to a membrane."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from homfem.kinetics import (
    DE_YOUNG_KEIZER,
    TRIGGER_WAVE,
    LiRinzelRates,
    li_rinzel,
    membrane_from_rates,
    resting_state,
)
from homfem.parameters import InputError

C1 = 0.185
GEOMETRY = {"cytosol_fraction": 1 / (1 + C1), "er_fraction": C1 / (1 + C1), "interface_area": 1.7}
FRACTIONS = {name: GEOMETRY[name] for name in ("cytosol_fraction", "er_fraction")}


def closed_cell(rates: LiRinzelRates, ip3: float):
    """dc/dt, de/dt, dh/dt of a closed tissue through the membrane's flux, as the bidomain equations have it."""
    kinetics = li_rinzel(membrane_from_rates(rates, **GEOMETRY))
    gamma_c, gamma_e, area = GEOMETRY.values()

    def rate(_t, y):
        c, e, h = (np.array([v]) for v in y)
        f = area * kinetics.flux(c, e, h[None], ip3)[0]
        speed, target = kinetics.relaxation(c, e, h[None], ip3)
        return [f / gamma_c, -f / gamma_e, (speed * (target - h))[0, 0]]

    return rate


@pytest.mark.parametrize(("ip3", "period"), [(0.4, 12.77), (0.5, 11.49)])
def test_closed_cell_oscillates_with_the_published_period(ip3, period):
    crossing = lambda _t, y: y[0] - 0.3  # noqa: E731
    crossing.direction = 1.0
    start = [0.2, (2.0 - 0.2) / C1, 0.6]
    run = solve_ivp(closed_cell(DE_YOUNG_KEIZER, ip3), (0, 150), start, rtol=1e-9, atol=1e-10, events=crossing)
    periods = np.diff(run.t_events[0])[-4:]
    assert len(periods) == 4
    assert periods == pytest.approx(period, abs=0.006)
    assert run.y[0] + C1 * run.y[1] == pytest.approx(2.0, rel=1e-9)


def test_closed_cell_is_quiet_below_the_published_range():
    run = solve_ivp(closed_cell(DE_YOUNG_KEIZER, 0.3), (0, 400), [0.2, 1.8 / C1, 0.6], rtol=1e-9, atol=1e-10)
    late = run.y[0][run.t > 300]
    assert np.ptp(late) < 1e-3


def test_flux_equals_the_published_rate_per_volume():
    rng = np.random.default_rng(1)
    c, e, h, p = rng.uniform(0.01, 2, 50), rng.uniform(1, 300, 50), rng.uniform(0, 1, 50), rng.uniform(0.1, 1, 50)
    gamma_c, gamma_e, area = 0.9, 0.06, 3.3
    r = TRIGGER_WAVE
    membrane = membrane_from_rates(r, cytosol_fraction=gamma_c, er_fraction=gamma_e, interface_area=area)
    m = p / (p + r.d1) * c / (c + r.d5)
    published = (r.v1 * (m * h) ** 3 + r.v2) * (gamma_e / gamma_c) * (e - c) - r.v3 * c**2 / (r.k3**2 + c**2)
    assert area * li_rinzel(membrane).flux(c, e, h[None], p) == pytest.approx(gamma_c * published, rel=1e-12)


def test_inactivation_is_the_published_rate():
    rng = np.random.default_rng(2)
    c, h = rng.uniform(0.01, 2, 20), rng.uniform(0, 1, 20)
    membrane = membrane_from_rates(TRIGGER_WAVE, **GEOMETRY)
    rate, target = li_rinzel(membrane).relaxation(c, c, h[None], 0.3)
    q2 = 1.049 * (0.3 + 0.13) / (0.3 + 0.9434)
    assert (rate * (target - h))[0] == pytest.approx(0.2 * (q2 - (q2 + c) * h), rel=1e-12)


def test_resting_state_is_the_published_one_and_nothing_moves_there():
    membrane = membrane_from_rates(TRIGGER_WAVE, **GEOMETRY)
    rest = resting_state(membrane, total=3.0 / (1 + C1), **FRACTIONS, ip3=0.3)
    assert rest.cytosol == pytest.approx(0.1, abs=2e-3)
    assert rest.er == pytest.approx(15.68, abs=0.01)
    rates = closed_cell(TRIGGER_WAVE, 0.3)(0.0, [rest.cytosol, rest.er, rest.inactivation])
    assert np.abs(rates).max() < 1e-12


def test_resting_state_does_not_depend_on_the_membrane_area():
    states = [
        resting_state(
            membrane_from_rates(TRIGGER_WAVE, **(GEOMETRY | {"interface_area": area})), total=2.5, **FRACTIONS, ip3=0.3
        )
        for area in (0.5, 20.0)
    ]
    assert states[0].cytosol == pytest.approx(states[1].cytosol, rel=1e-10)


def test_functions_leave_their_arguments_alone():
    kinetics = li_rinzel(membrane_from_rates(TRIGGER_WAVE, **GEOMETRY))
    c, e, h, p = np.full(3, 0.2), np.full(3, 15.0), np.full((1, 3), 0.5), np.full(3, 0.3)
    before = [a.copy() for a in (c, e, h, p)]
    kinetics.flux(c, e, h, p)
    kinetics.relaxation(c, e, h, p)
    for a, b in zip((c, e, h, p), before, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("name", ["v1", "v3", "k3", "d5", "c1"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_rates_must_be_positive(name, value):
    with pytest.raises(InputError, match=name):
        LiRinzelRates(**{name: value})


@pytest.mark.parametrize(
    "change", [{"cytosol_fraction": 1.0}, {"er_fraction": 0.0}, {"interface_area": -1.0}], ids=lambda d: next(iter(d))
)
def test_geometry_out_of_range_is_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        membrane_from_rates(TRIGGER_WAVE, **(GEOMETRY | change))


def test_negative_ip3_is_refused():
    with pytest.raises(InputError, match="ip3"):
        resting_state(membrane_from_rates(TRIGGER_WAVE, **GEOMETRY), total=2.0, **FRACTIONS, ip3=-0.1)
