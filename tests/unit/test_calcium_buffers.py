"""Calcium buffers at a point and in a cell: exact solutions, conservation, stiff rates, tensors that are shared."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from homfem import homogenize_calcium, homogenize_diffusion, three_pipe
from homfem.kinetics.calcium import Buffer, binding_step, rapid_buffering
from homfem.kinetics.calcium.binding_code import compiled_binding
from homfem.kinetics.calcium.buffers import check_bound
from homfem.parameters import ConvergenceError, InputError
from homfem.tensors import EffectiveTensor
from homfem.tensors.conversion import scaled

DYE = Buffer(name="dye", total=50.0, k_on=100.0, k_off=50.0, diffusivity=20.0)
SLOW = Buffer(name="slow", total=200.0, k_on=10.0, k_off=2000.0)
LOW = {"degree": 1, "symmetry": "auto"}
FAST = Buffer(name="fast", total=1.0, k_on=1e6, k_off=1e5)


def after(buffers, start, time, steps, **options):
    state = [np.array([value]) for value in start]
    for _ in range(steps):
        binding_step(state[0], state[1:], buffers, time / steps, **options)
    return np.array([values[0] for values in state])


def exact(buffers, start, time, shares=None):
    """By another method, at a tolerance near round-off."""
    rho = shares or [1.0] * len(buffers)

    def rates(_t, y):
        bound = [q.k_on * y[0] * (q.total - b) - q.k_off * b for q, b in zip(buffers, y[1:], strict=True)]
        return [-float(np.dot(rho, bound)), *bound]

    return solve_ivp(rates, (0.0, time), start, method="Radau", rtol=1e-11, atol=1e-13).y[:, -1]


@pytest.mark.parametrize("rapid", [(False, False, False), (False, False, True), (True, True, True)])
@pytest.mark.parametrize("order", [1, 2])
def test_compiled_steps_are_those_of_numpy(rapid, order):
    """Random starts, far from equilibrium, where the extrapolation leaves the range at some nodes."""
    rng, n = np.random.default_rng(3), 1003
    given = [(50.0, 100.0, 50.0), (100.0, 50.0, 100.0), (30.0, 5.0, 10.0)]
    buffers = [
        Buffer(name=f"b{k}", total=total, k_on=on, k_off=off, rapid=quick)
        for k, ((total, on, off), quick) in enumerate(zip(given, rapid, strict=True))
    ]
    shares = [1.0, rng.uniform(0.5, 1.0, n), 0.7]
    fields = [rng.uniform(0.0, 2.0, n), *(rng.uniform(0.0, one.total, n) for one in buffers)]
    other = [values.copy() for values in fields]
    total = fields[0] + sum(share * values for share, values in zip(shares, fields[1:], strict=True))
    step = compiled_binding(other[0], other[1:], buffers, shares, order)
    assert step is not None
    for length in (1e-4, 0.05):
        binding_step(fields[0], fields[1:], buffers, length, shares=shares, order=order)
        step(length)
        for one, two in zip(fields, other, strict=True):
            assert two == pytest.approx(one, rel=1e-9, abs=1e-11)
    kept = other[0] + sum(share * values for share, values in zip(shares, other[1:], strict=True))
    assert kept == pytest.approx(total, rel=1e-14)
    other[0][7] = np.nan
    with pytest.raises(ConvergenceError, match="negative or not finite"):
        step(0.01)


@pytest.mark.parametrize("shares", [None, [0.4]])
@pytest.mark.parametrize("start", [[2.0, 0.0], [0.0, 30.0], [0.3, 50.0]])
def test_a_step_with_one_buffer_is_exact(start, shares):
    theirs = exact([DYE], start, 3e-3, shares)
    for steps in (1, 7):
        assert after([DYE], start, 3e-3, steps, shares=shares) == pytest.approx(theirs, rel=1e-8, abs=1e-10)


def test_steps_with_several_buffers_are_of_second_order():
    buffers, start = [DYE, SLOW, FAST], [2.0, 0.0, 5.0, 0.2]
    theirs = exact(buffers, start, 0.01)
    errors = [np.abs(after(buffers, start, 0.01, steps) - theirs).max() for steps in (160, 320)]
    assert errors[0] < 2e-5
    assert 1.7 < np.log2(errors[0] / errors[1]) < 2.5
    first = [np.abs(after(buffers, start, 0.01, steps, order=1) - theirs).max() for steps in (160, 320)]
    assert 0.8 < np.log2(first[0] / first[1]) < 1.2


@pytest.mark.parametrize("buffers", [[DYE], [DYE, SLOW], [DYE, SLOW, FAST]])
@pytest.mark.parametrize("step", [1e-6, 1e-2, 1e6])
def test_no_step_is_too_long(buffers, step):
    generator = np.random.default_rng(3)
    calcium = np.concatenate([[0.0, 0.0, 1e4, 1e-12], generator.random(200)])
    bound = [buffer.total * np.concatenate([[0.0, 1.0, 1.0, 0.5], generator.random(200)]) for buffer in buffers]
    shares = [0.5, generator.random(204) + 0.1, 1.0][: len(buffers)]
    total = calcium + sum(r * b for r, b in zip(shares, bound, strict=True))
    for _ in range(3):
        binding_step(calcium, bound, buffers, step, shares=shares)
        now = calcium + sum(r * b for r, b in zip(shares, bound, strict=True))
        assert np.abs(now - total).max() <= 4e-15 * total.max()
        assert calcium.min() >= -1e-15 * total.max()
        for values, buffer in zip(bound, buffers, strict=True):
            assert values.min() >= 0.0
            assert values.max() <= buffer.total * (1.0 + 1e-14)
    if step > 1.0:
        for values, buffer in zip(bound, buffers, strict=True):
            assert values == pytest.approx(buffer.bound(calcium), rel=1e-6, abs=1e-10)


def test_rapid_buffers_are_the_limit_of_large_rates():
    start = [2.0, 0.0, 5.0]
    rapid = [dataclasses.replace(buffer, rapid=True) for buffer in (DYE, SLOW)]
    limit = after(rapid, start, 1e-3, 1)
    assert limit.sum() == pytest.approx(7.0, rel=1e-15)
    assert limit[1:] == pytest.approx([float(buffer.bound(limit[0])) for buffer in rapid], rel=1e-13)
    errors = []
    for factor in (1.0, 1e4):
        quick = [dataclasses.replace(b, k_on=factor * b.k_on, k_off=factor * b.k_off) for b in (DYE, SLOW)]
        errors.append(np.abs(after(quick, start, 1e-3, 40) - limit).max())
    assert errors[1] < 1e-12 < errors[0]
    # One that is rapid beside one that is not: in equilibrium after each step, and the other as slow as it is.
    both = after([rapid[0], SLOW], start, 1e-5, 5)
    assert both[1] == pytest.approx(float(DYE.bound(both[0])), rel=1e-12)
    assert abs(both[2] - 5.0) < 1.0


def test_the_nonlinear_term_of_rapid_buffers():
    """d/dx((D + kappa D_b) dc/dx) of a curve, beside Wagner and Keizer's form, by differences."""
    x, h = np.linspace(0.1, 0.9, 9), 1e-4
    curve = lambda s: 0.4 + 0.3 * np.sin(3.0 * s)  # noqa: E731
    buffers = [DYE, dataclasses.replace(SLOW, diffusivity=7.0)]
    flux = lambda s: rapid_buffering(buffers, curve(s), 220.0).transport * 0.9 * np.cos(3.0 * s)  # noqa: E731
    theirs = (flux(x + h) - flux(x - h)) / (2 * h)
    found = rapid_buffering(buffers, curve(x), 220.0)
    ours = found.transport * -2.7 * np.sin(3.0 * x) - found.gradient * (0.9 * np.cos(3.0 * x)) ** 2
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert found.diffusivity == pytest.approx(found.transport / found.capacity)
    # An immobile buffer only slows; with none nothing changes.
    still = rapid_buffering([SLOW], 0.1, 220.0)
    assert float(still.transport) == 220.0
    assert float(still.capacity) == pytest.approx(1.0 + 200.0 * 200.0 / 200.1**2)
    assert float(rapid_buffering([], 0.1, 220.0).diffusivity) == 220.0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"k_on": -1.0}, "k_on"),
        ({"k_off": 0.0}, "k_off"),
        ({"total": -3.0}, "total"),
        ({"diffusivity": -1.0}, "diffusivity"),
        ({"phase": "nucleus"}, "phase"),
        ({"name": " "}, "name"),
        ({"rapid": 1}, "rapid"),
        ({"total": float("nan")}, "total"),
    ],
)
def test_a_buffer_is_refused(change, told):
    with pytest.raises(InputError) as caught:
        dataclasses.replace(DYE, **change)
    assert caught.value.name == told


def test_more_bound_than_there_is_is_refused():
    check_bound(DYE, np.array([0.0, 50.0]), name="initial")
    with pytest.raises(InputError, match=r"at most its total, 50 uM.*there is of dye"):
        check_bound(DYE, np.array([0.0, 50.1]), name="initial")
    with pytest.raises(InputError, match=">= 0 uM"):
        check_bound(DYE, np.array([-1e-3]), name="initial")
    with pytest.raises(InputError, match="of one phase"):
        rapid_buffering([DYE, dataclasses.replace(SLOW, phase="er")], 0.1, 220.0)


@pytest.mark.parametrize("buffers", [[DYE], [DYE, SLOW]])
def test_what_has_no_solution_is_told(buffers):
    with pytest.raises(ConvergenceError, match="not finite"):
        binding_step(np.array([np.nan]), [np.zeros(1) for _ in buffers], buffers, 1e-3)


@pytest.fixture(scope="module")
def cell():
    return three_pipe([0.3, 0.4, 0.5], resolution=1 / 3, period=0.5, length_unit="um")


def test_proportional_buffers_share_the_correctors(cell):
    along = np.diag([30.0, 20.0, 10.0])
    buffers = [DYE, SLOW, dataclasses.replace(DYE, name="in the ER", phase="er", diffusivity=11.0)]
    buffers += [dataclasses.replace(DYE, name=name) for name in ("fibrous", "half as fibrous")]
    found = homogenize_calcium(
        cell,
        {"cytosol": 220.0, "er": 110.0},
        buffers,
        of_buffers={"fibrous": along, "half as fibrous": 0.5 * along},
        **LOW,
    )
    assert dict(found.shared) == {"dye": "cytosol", "in the ER": "er", "half as fibrous": "fibrous"}
    assert set(found.buffers) == {"dye", "in the ER", "fibrous", "half as fibrous"}
    # The same numbers as those of its own cell problem, and bounds that hold them.
    own = homogenize_diffusion(cell, {"cytosol": 20.0}, unit="um^2/s", **LOW)
    dye = found.buffers["dye"]
    assert dye.value == pytest.approx(own.value, rel=1e-8)
    assert np.all(dye.lower.diagonal() <= own.value.diagonal() * (1 + 1e-9))
    assert dye.upper == pytest.approx(own.upper, rel=1e-8)
    assert dye.volume_fractions == own.volume_fractions
    assert found.buffers["in the ER"].active_phases == ("er",)
    fibrous = homogenize_diffusion(cell, {"cytosol": 0.5 * along}, unit="um^2/s", **LOW)
    assert found.buffers["half as fibrous"].value == pytest.approx(fibrous.value, rel=1e-7)
    # Not a number times that of calcium.
    shares = found.buffers["fibrous"].value.diagonal() / found.cytosol.value.diagonal()
    assert np.ptp(shares) > 0.02


def test_of_a_cell_is_refused(cell):
    both = {"cytosol": 220.0, "er": 110.0}
    with pytest.raises(InputError, match="given for cytosol and er"):
        homogenize_calcium(cell, {"cytosol": 220.0})
    with pytest.raises(InputError, match="names that differ"):
        homogenize_calcium(cell, both, [DYE, DYE])
    with pytest.raises(InputError, match="'dye'"):
        homogenize_calcium(cell, both, [DYE], of_buffers={"dy": 3.0})


def test_a_tensor_is_scaled_with_its_bounds():
    tensor = EffectiveTensor(value=np.diag([2.0, 1.0]), lower=np.diag([1.9, 0.9]), upper=np.diag([2.1, 1.1]))
    third = scaled(tensor, 1.0 / 3.0)
    assert third.value == pytest.approx(tensor.value / 3.0)
    assert np.all(third.lower.diagonal() < tensor.lower.diagonal() / 3.0)
    assert np.all(third.upper.diagonal() > tensor.upper.diagonal() / 3.0)
    assert third.upper == pytest.approx(tensor.upper / 3.0, rel=1e-12)
    with pytest.raises(InputError, match="factor"):
        scaled(tensor, -1.0)
    with pytest.raises(InputError, match="membranes"):
        scaled(dataclasses.replace(tensor, membranes={"er|cytosol": 0.1}), 2.0)
