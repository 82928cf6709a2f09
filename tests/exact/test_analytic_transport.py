"""The exact solutions that other tests compare with: they solve their equations, their sides and their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate

from analytic_transport import (
    danckwerts_profile,
    fisher_speed,
    fisher_wave,
    gaussian_plume,
    krogh_effectiveness,
    krogh_first_order,
    krogh_zero_order,
    nagumo_speed,
    nagumo_wave,
    ogata_banks,
    reactive_slab,
    wehner_wilhelm,
)

POINTS = 48


def derivative(function, at, order, radius):
    """Return a derivative by Cauchy's integral over a circle: the trapezoidal rule, exact to round-off.

    Source: Lyness, Moler 1967, doi 10.1137/0704019.
    """
    turn = np.exp(2j * np.pi * np.arange(POINTS) / POINTS)
    ring = function(np.asarray(at)[..., None] + radius * turn)
    return (ring * turn**-order).mean(axis=-1).real * math.factorial(order) / radius**order


def test_the_derivative_by_cauchys_integral():
    x = np.linspace(0.5, 2.0, 4)
    for order, expected in ((0, np.sin(x)), (1, np.cos(x)), (2, -np.sin(x))):
        np.testing.assert_allclose(derivative(np.sin, x, order, 0.3), expected, rtol=0, atol=1e-13)


WAVE = {"diffusivity": 2.0, "rate": 3.0}


@pytest.mark.parametrize(
    ("wave", "reaction", "speed"),
    [
        (
            lambda x, t: nagumo_wave(x, t, threshold=0.1, start=1.0, **WAVE),
            lambda u: 3.0 * u * (1.0 - u) * (u - 0.1),
            nagumo_speed(2.0, 3.0, 0.1),
        ),
        (
            lambda x, t: fisher_wave(x, t, capacity=2.5, start=1.0, **WAVE),
            lambda u: 3.0 * u * (1.0 - u / 2.5),
            fisher_speed(2.0, 3.0),
        ),
    ],
    ids=["nagumo", "fisher"],
)
def test_travelling_waves(wave, reaction, speed):
    x, t = np.linspace(-5.0, 9.0, 15), 0.7
    u = wave(x, t)
    in_time = derivative(lambda s: wave(x[:, None], s), t, 1, 0.2)
    left = in_time - 2.0 * derivative(lambda y: wave(y, t), x, 2, 0.3) - reaction(u)
    assert abs(left).max() < 1e-8
    np.testing.assert_allclose(wave(x + speed * 2.0, t + 2.0), u, rtol=1e-12)
    assert wave(-1e3, t) == pytest.approx(wave(-1e2, t), rel=1e-12)
    assert wave(300.0, t) < 1e-12
    assert wave(1.0, 0.0) in (0.5, 2.5 / 4.0)
    assert fisher_speed(2.0, 3.0) > 2.0 * math.sqrt(6.0)  # above the least speed


def test_ogata_banks():
    column = {"velocity": 0.8, "dispersion": 0.3, "inlet": 2.0}
    x, t = np.linspace(0.1, 4.0, 12), 1.7
    in_time = derivative(lambda s: ogata_banks(x[:, None], s, **column), t, 1, 0.4)
    in_space = [derivative(lambda y: ogata_banks(y, t, **column), x, order, 0.4) for order in (1, 2)]
    assert abs(in_time + 0.8 * in_space[0] - 0.3 * in_space[1]).max() < 1e-8
    assert ogata_banks(0.0, t, **column) == pytest.approx(2.0, rel=1e-14)  # the inlet
    assert 0.0 <= ogata_banks(30.0, t, **column) < 1e-100
    assert abs(ogata_banks(x, 1e-9, **column)).max() == 0.0  # the start
    assert ogata_banks(1.0, 1e6, **column) == pytest.approx(2.0)
    # no overflow where exp(Vx/D) does; the front of a thin layer is at Vt
    sharp = ogata_banks(np.array([0.9, 1.0, 1.1]), 1.0, velocity=1.0, dispersion=1e-4)
    assert sharp == pytest.approx([1.0, 0.5, 0.0], abs=1e-2)
    assert sharp[1] == pytest.approx(0.5 + 0.5 * math.sqrt(1e-4 / math.pi), rel=1e-4)
    # published form with erfc, where it can be evaluated
    form = math.erfc(0.2 / 2 / math.sqrt(0.3)) + math.exp(1.0 * 0.8 / 0.3) * math.erfc(1.8 / 2 / math.sqrt(0.3))
    assert ogata_banks(1.0, 1.0, **column) == pytest.approx(form, rel=1e-13)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_gaussian_plume(dimension):
    full = np.array([[0.5, 0.1, 0.05], [0.1, 0.2, -0.03], [0.05, -0.03, 0.1]])[:dimension, :dimension]
    v = np.array([0.7, -0.3, 0.2])[:dimension]
    given = {"mass": 3.0, "velocity": v, "dispersion": full, "fraction": 0.4, "decay": 0.6}
    x, t = np.random.default_rng(1).normal(scale=0.5, size=(dimension, 6)), 1.3

    def along(direction, order):
        def line(s):
            return gaussian_plume([x[i][:, None] + s * direction[i] for i in range(dimension)], t, **given)

        return derivative(lambda s: line(s), 0.0, order, 0.2)

    axes = np.eye(dimension)
    gradient = np.array([along(axis, 1) for axis in axes])
    hessian = np.array(
        [[0.25 * (along(a + b, 2) - along(a - b, 2)) for b in axes] for a in axes]
    )  # a.Hb by polarisation
    in_time = derivative(lambda s: gaussian_plume(x[:, :, None], s, **given), t, 1, 0.2)
    u = gaussian_plume(x, t, **given)
    left = 0.4 * in_time + v @ gradient - np.einsum("ij,ijn->n", full, hessian) + 0.6 * u
    assert abs(left).max() < 1e-8
    # mass: the integral over the line through a tensor product of Gauss-Hermite points about the centre
    nodes, weights = np.polynomial.hermite.hermgauss(8)
    root = np.linalg.cholesky(4.0 * t * full / 0.4)
    grid = np.array(np.meshgrid(*[nodes] * dimension, indexing="ij")).reshape(dimension, -1)
    weight = np.prod(np.array(np.meshgrid(*[weights] * dimension, indexing="ij")).reshape(dimension, -1), axis=0)
    places = v[:, None] * t / 0.4 + root @ grid
    values = gaussian_plume(places, t, **given) * np.exp((grid**2).sum(axis=0))
    total = 0.4 * (values @ weight) * np.linalg.det(root)
    assert total == pytest.approx(3.0 * math.exp(-0.6 * t / 0.4), rel=1e-12)


KROGH = {"capillary": 3.0, "tissue": 25.0, "diffusivity": 2.0, "wall": 40.0}


def radial(function, r, radius=1.0):
    """Return D (r u')'/r without D, for r beyond the radius of differentiation."""
    return derivative(function, r, 2, radius) + derivative(function, r, 1, radius) / r


def test_krogh_with_constant_uptake():
    def u(r):
        return krogh_zero_order(r, uptake=0.05, **KROGH)

    r = np.linspace(3.0, 25.0, 9)
    assert abs(2.0 * radial(u, r) - 0.05).max() < 1e-8
    assert u(3.0) == 40.0
    assert abs(derivative(u, 25.0, 1, 1.0)) < 1e-12
    # what the wall gives is what the tissue takes
    assert -2.0 * np.pi * 3.0 * 2.0 * derivative(u, 3.0, 1, 0.5) == pytest.approx(np.pi * (625.0 - 9.0) * 0.05)


def test_krogh_with_uptake_of_first_order():
    def u(r):
        return krogh_first_order(r, rate=0.01, **KROGH)

    r = np.linspace(3.0, 25.0, 9)
    assert abs(2.0 * radial(u, r) - 0.01 * u(r)).max() < 1e-8
    assert u(3.0) == pytest.approx(40.0, rel=1e-14)
    assert abs(derivative(u, 25.0, 1, 1.0)) < 1e-12
    taken = integrate.quad(lambda s: 2.0 * np.pi * s * 0.01 * u(s), 3.0, 25.0, epsabs=0, epsrel=1e-12)[0]
    assert -2.0 * np.pi * 3.0 * 2.0 * derivative(u, 3.0, 1, 0.5) == pytest.approx(taken, rel=1e-11)
    eta = krogh_effectiveness(capillary=3.0, tissue=25.0, diffusivity=2.0, rate=0.01)
    assert eta == pytest.approx(taken / (np.pi * (625.0 - 9.0) * 0.01 * 40.0), rel=1e-11)
    # slow reaction: constant uptake of k u_c
    slow, constant = (
        krogh_first_order(r, rate=1e-9, **KROGH),
        krogh_zero_order(r, uptake=4e-8, **KROGH),
    )
    np.testing.assert_allclose(slow, constant, rtol=1e-12)
    assert krogh_effectiveness(capillary=3.0, tissue=25.0, diffusivity=2.0, rate=1e-12) == pytest.approx(1.0, rel=1e-8)


REACTOR = {"length": 2.0, "velocity": 0.5, "dispersion": 0.3, "rate": 0.4, "feed": 1.5}


def test_reactor_with_axial_dispersion():
    def u(x):
        return danckwerts_profile(x, **REACTOR)

    x = np.linspace(0.0, 2.0, 9)
    left = 0.5 * derivative(u, x, 1, 0.3) - 0.3 * derivative(u, x, 2, 0.3) + 0.4 * u(x)
    assert abs(left).max() < 1e-8
    assert 0.5 * u(0.0) - 0.3 * derivative(u, 0.0, 1, 0.3) == pytest.approx(0.5 * 1.5, rel=1e-12)
    assert abs(derivative(u, 2.0, 1, 0.3)) < 1e-12
    assert u(2.0) / 1.5 == pytest.approx(wehner_wilhelm(0.5 * 2.0 / 0.3, 0.4 * 2.0 / 0.5), rel=1e-13)
    # what goes in less what comes out is what reacts
    reacts = integrate.quad(lambda s: 0.4 * u(s), 0.0, 2.0, epsabs=0, epsrel=1e-12)[0]
    assert 0.5 * (1.5 - u(2.0)) == pytest.approx(reacts, rel=1e-12)


def test_limits_of_the_reactor():
    """Plug flow, the stirred tank, and no overflow at any number."""
    assert wehner_wilhelm(1e7, 1.5) == pytest.approx(math.exp(-1.5), rel=1e-6)
    assert wehner_wilhelm(1e-7, 1.5) == pytest.approx(1.0 / 2.5, rel=1e-6)
    assert wehner_wilhelm(3.0, 0.0) == pytest.approx(1.0, rel=1e-15)
    for peclet in (1e-6, 1.0, 1e6, 1e9):
        for damkoehler in (1e-6, 1.0, 1e3):
            assert 0.0 <= wehner_wilhelm(peclet, damkoehler) <= 1.0
    # Levenspiel 1999, chapter 13: with little dispersion exp(-Da + Da^2/Pe)
    assert wehner_wilhelm(1e4, 2.0) == pytest.approx(math.exp(-2.0 + 4.0 / 1e4), rel=1e-6)


def test_reactive_slab():
    x = np.linspace(-1.0, 1.0, 7)

    def u(y):
        return reactive_slab(y, half=1.0, diffusivity=0.5, rate=2.0, surface=3.0)

    assert abs(0.5 * derivative(u, x, 2, 0.3) - 2.0 * u(x)).max() < 1e-8
    assert u(1.0) == u(-1.0) == 3.0
    mean = integrate.quad(u, 0.0, 1.0, epsabs=0, epsrel=1e-13)[0] / 3.0
    assert mean == pytest.approx(0.48201379003790845, rel=1e-12)  # tanh(2)/2, Thiele modulus 2
