"""Distributions of directions against quadrature, draws, limits and each other; orientation tensors and closures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from scipy.spatial.transform import Rotation

from homfem.orientation import (
    Bingham,
    Directions,
    MeasuredDensity,
    OrientationTensors,
    SphericalHarmonicDensity,
    Uniform,
    VonMisesFisher,
    Watson,
    bingham_closure,
    density_on_grid,
    fit_bingham,
    fractional_anisotropy,
    hybrid_closure,
    linear_closure,
    mean_diffusivity,
    orthotropic_closure,
    quadratic_closure,
    sample_directions,
    scalar_order,
)
from homfem.orientation.sphere import concentrated_rule, sphere_rule
from homfem.parameters import InputError

MU3, MU2 = np.array([1.0, 2.0, -2.0]) / 3.0, np.array([0.6, -0.8])
TURN = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()


G, OVAL = np.random.default_rng(1), np.diag([0.6, 0.4])
KAPPAS = (-1e6, -1e4, -30, -0.9, 0, 1e-7, 0.99, 1.01, 30, 1e4, 1e6)
THREE = {"min_size": 3, "max_size": 3}


def bingham(*values, turn=TURN):
    return Bingham(matrix=turn @ np.diag(values) @ turn.T)


SMOOTH = [
    (Uniform(3), MU3, 1.0),
    (Uniform(2), MU2, 1.0),
    *((VonMisesFisher(mean=mu, concentration=k), mu, k) for mu in (MU3, MU2) for k in (1e-3, 0.7, 30.0, 1e4, 1e6)),
    *((Watson(axis=mu, concentration=k), mu, k) for mu in (MU3, MU2) for k in KAPPAS),
    (bingham(0.0, 0.0, 5.0), TURN[:, 2], 5.0),
    (bingham(1.0, -2.0, 4.0), TURN[:, 2], 6.0),
    (bingham(-9990.0, -9995.0, 5.0), TURN[:, 2], 1e4),
]  # fmt: skip


@pytest.mark.parametrize(
    ("law", "axis", "kappa"), SMOOTH, ids=lambda p: type(p).__name__ if hasattr(p, "sample") else None
)
def test_density_and_moments_agree_with_quadrature(law, axis, kappa):
    n, weights = concentrated_rule(axis, kappa)
    mass = weights * law.density(n)
    assert mass.sum() == pytest.approx(1.0, rel=2e-10)
    second, fourth = law.second_moment(), law.fourth_moment()
    assert np.allclose(np.einsum("n,ni,nj->ij", mass, n, n), second, atol=1e-10, rtol=0)
    assert np.allclose(np.einsum("n,ni,nj,nk,nl->ijkl", mass, n, n, n, n, optimize=True), fourth, atol=1e-10, rtol=0)
    # The small moments of concentrated laws count relatively: their spread, 1 - <t^2> and <t^2>.
    t = n @ axis
    for power, moment in ((t**2, axis @ second @ axis), (1 - t**2, 1 - axis @ second @ axis)):
        assert mass @ power == pytest.approx(moment, rel=1e-8)


@pytest.mark.parametrize(
    ("law", "axis", "kappa"), SMOOTH, ids=lambda p: type(p).__name__ if hasattr(p, "sample") else None
)
def test_moments_have_their_identities(law, axis, kappa):
    second, fourth = law.second_moment(), law.fourth_moment()
    assert np.trace(second) == pytest.approx(1.0, abs=1e-13)
    assert np.linalg.eigvalsh(second).min() >= -1e-14
    assert np.allclose(np.einsum("ijkk->ij", fourth), second, atol=1e-11)
    for order in ((1, 0, 2, 3), (0, 2, 1, 3), (3, 1, 2, 0)):
        assert np.allclose(fourth.transpose(order), fourth, atol=1e-15)
    OrientationTensors(second=second, fourth=fourth)


LAWS = [
    Uniform(3), Uniform(2), VonMisesFisher(mean=MU3, concentration=4.0), VonMisesFisher(mean=MU2, concentration=2.0),
    Watson(axis=MU3, concentration=6.0), Watson(axis=MU3, concentration=-6.0), Watson(axis=MU2, concentration=3.0),
    bingham(1.0, -8.0, 4.0), bingham(0.0, -200.0, 0.0), bingham(-300.0, -500.0, 0.0),
    Directions(vectors=[[1, 0, 0], [0, 3, 0], [1, 1, 1]], weights=[1, 2, 3]),
    SphericalHarmonicDensity(coefficients=[0.3, 0.02, -0.03, 0.05, 0.01, -0.02]),
    density_on_grid(1.0 + np.outer(np.cos(np.linspace(0.1, 3.0, 12)) ** 2, np.ones(16))),
]  # fmt: skip


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_draws_have_the_moments(law):
    count, d = 60_000, law.dimension
    x = law.sample(count, np.random.default_rng(5))
    assert x.shape == (count, d)
    assert np.allclose(np.linalg.norm(x, axis=1), 1.0)
    assert np.array_equal(x, law.sample(count, np.random.default_rng(5)))
    pairs = np.einsum("ni,nj->nij", x, x).reshape(count, -1)
    quads = np.einsum("ni,nj->nij", pairs, pairs).reshape(count, -1)
    # Five standard errors of the mean of each entry, from the sample itself.
    for drawn, moment in ((pairs, law.second_moment()), (quads, law.fourth_moment())):
        bound = 5.0 * drawn.std(axis=0) / np.sqrt(count) + 1e-12
        assert np.all(np.abs(drawn.mean(axis=0) - moment.ravel()) <= bound)


def test_known_moments():
    # Watson by Kummer's function, von Mises-Fisher by the Langevin function, written out here.
    for kappa in (-40.0, -0.3, 0.5, 9.0):
        square = special.hyp1f1(1.5, 2.5, kappa) / special.hyp1f1(0.5, 1.5, kappa) / 3
        assert MU3 @ Watson(axis=MU3, concentration=kappa).second_moment() @ MU3 == pytest.approx(square, rel=1e-12)
    for kappa in (0.5, 9.0, 300.0):
        square = 1 - 2 / kappa * (1 / np.tanh(kappa) - 1 / kappa)
        law = VonMisesFisher(mean=MU3, concentration=kappa)
        assert MU3 @ law.second_moment() @ MU3 == pytest.approx(square, rel=1e-12)


def test_limits_of_the_concentration():
    for make in (lambda k: VonMisesFisher(mean=MU3, concentration=k), lambda k: Watson(axis=MU3, concentration=k)):
        assert np.allclose(make(1e-9).fourth_moment(), Uniform(3).fourth_moment(), atol=1e-9)
        straight = np.einsum("i,j,k,l->ijkl", MU3, MU3, MU3, MU3)
        assert np.allclose(make(1e6).fourth_moment(), straight, atol=1e-5)
        # Near the axis both are normal distributions: <1 - t^2> is (d - 1)/kappa or (d - 1)/(2 kappa).
        factor = 1.0 if isinstance(make(1.0), VonMisesFisher) else 0.5
        assert 1 - MU3 @ make(1e5).second_moment() @ MU3 == pytest.approx(2 * factor * 1e-5, rel=1e-4)
    plane = Watson(axis=MU3, concentration=-1e6).second_moment()
    assert np.allclose(plane, 0.5 * (np.eye(3) - np.outer(MU3, MU3)), atol=1e-6)


def test_bingham_contains_watson_and_forgets_a_multiple_of_one():
    for kappa in (-1e4, -3.0, 0.0, 2.0, 1e4):
        watson = Watson(axis=MU3, concentration=kappa)
        same = Bingham(matrix=kappa * np.outer(MU3, MU3) + 17.0 * np.eye(3))
        assert np.allclose(same.fourth_moment(), watson.fourth_moment(), atol=1e-11)
        n = np.stack([MU3, TURN[0], TURN[1]])
        assert np.allclose(same.density(n), watson.density(n), rtol=1e-9)


@given(
    values=st.lists(st.floats(-50, 50), min_size=3, max_size=3), turn=st.lists(st.floats(-3, 3), min_size=3, max_size=3)
)
def test_moments_turn_with_the_distribution(values, turn):
    r = Rotation.from_rotvec(turn).as_matrix()
    straight, turned = bingham(*values, turn=np.eye(3)), bingham(*values, turn=r)
    assert np.allclose(turned.second_moment(), r @ straight.second_moment() @ r.T, atol=1e-11)
    expected = np.einsum("ia,jb,kc,ld,abcd->ijkl", r, r, r, r, straight.fourth_moment(), optimize=True)
    assert np.allclose(turned.fourth_moment(), expected, atol=1e-11)


def test_moments_of_a_list_turn_with_it():
    n = np.random.default_rng(1).standard_normal((7, 3))
    a, b = Directions(vectors=n).second_moment(), Directions(vectors=n @ TURN.T).second_moment()
    assert np.allclose(b, TURN @ a @ TURN.T, atol=1e-14)
    assert np.allclose(Directions(vectors=-n).fourth_moment(), Directions(vectors=n).fourth_moment())


# Measured densities


def test_a_measured_density_comes_near_its_law_in_second_order():
    law = Watson(axis=(0.0, 0.6, 0.8), concentration=4.0)
    errors = []
    for m in (20, 40):
        polar, azimuth = np.meshgrid((np.arange(m) + 0.5) * np.pi / m, np.pi * np.arange(2 * m) / m, indexing="ij")
        n = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1)
        grid = density_on_grid(7.0 * law.density(n))
        errors.append(np.abs(grid.fourth_moment() - law.fourth_moment()).max())
        assert np.allclose(grid.density(n), law.density(n), rtol=0.02)
    assert errors[1] < 0.3 * errors[0]
    assert errors[1] < 2e-3


def test_half_a_sphere_of_directions_is_completed():
    law = Watson(axis=MU3, concentration=3.0)
    k = np.arange(2000) + 0.5  # Fibonacci points of the upper half
    z, azimuth = k / 2000, np.pi * (1 + 5**0.5) * k
    n = np.stack([np.sqrt(1 - z**2) * np.cos(azimuth), np.sqrt(1 - z**2) * np.sin(azimuth), z], axis=1)
    measured = MeasuredDensity(directions=n, values=law.density(n), half=True)
    assert np.allclose(measured.second_moment(), law.second_moment(), atol=1e-3)
    assert np.allclose(measured.fourth_moment(), law.fourth_moment(), atol=1e-3)
    assert measured.density(-n[5]) == pytest.approx(measured.density(n[5]))
    assert np.array(measured.areas).sum() == pytest.approx(4 * np.pi)
    flat = Watson(axis=MU2, concentration=3.0)
    angle = np.sort(np.random.default_rng(3).uniform(0, np.pi, 4000))
    half = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    circle = MeasuredDensity(directions=half, values=flat.density(half), half=True)
    assert np.allclose(circle.fourth_moment(), flat.fourth_moment(), atol=1e-3)


def test_patches_of_uneven_directions():
    # On the circle: half of both gaps, here pi/2, pi and pi/2.
    circle = MeasuredDensity(directions=[[1, 0], [0, 1], [0, -1]], values=[1, 1, 1])
    assert np.allclose(circle.areas, np.pi * np.array([0.5, 0.75, 0.75]))
    # On the sphere: the six faces of a cube, blown up.
    octahedron = MeasuredDensity(directions=np.eye(3), values=[1, 2, 3], half=True)
    assert np.allclose(octahedron.areas, 4 * np.pi / 6)
    assert np.allclose(octahedron.second_moment(), np.diag([1, 2, 3]) / 6)


def real_harmonics(n, basis, degree=4):
    """The documented conventions in Cartesian coordinates, for the degrees 2 and 4 that are tested."""
    x, y, z = n.T
    r15, r5 = np.sqrt(15 / np.pi), np.sqrt(5 / np.pi)
    # With the Condon-Shortley phase Y_2^1 is -(1/2) sqrt(15/2pi) sin cos e^{i phi}.
    im2, im1, zero = r15 / 2 * x * y, -r15 / 2 * y * z, r5 / 4 * (3 * z**2 - 1)
    re1, re2 = -r15 / 2 * x * z, r15 / 4 * (x**2 - y**2)
    if basis == "tournier07":
        return [im2, im1, zero, re1, re2]
    return [re2, re1 if basis.endswith("legacy") else -re1, zero, im1, im2]


@pytest.mark.parametrize("basis", ["tournier07", "descoteaux07", "descoteaux07-legacy"])
def test_spherical_harmonics_follow_the_convention(basis):
    n, weights = sphere_rule(10)
    c = np.array([0.4, 0.03, -0.05, 0.1, 0.07, -0.02])
    law = SphericalHarmonicDensity(coefficients=c, basis=basis)
    series = (c[0] / np.sqrt(4 * np.pi) + c[1:] @ np.array(real_harmonics(n, basis))) / (c[0] * np.sqrt(4 * np.pi))
    assert np.allclose(law.density(n), series, atol=1e-14)
    assert np.allclose(law.second_moment(), np.einsum("n,ni,nj->ij", weights * series, n, n), atol=1e-13)


@pytest.mark.parametrize("basis", ["tournier07", "descoteaux07", "descoteaux07-legacy"])
def test_a_law_expanded_in_harmonics_keeps_its_moments(basis):
    law = bingham(0.5, -1.0, 2.0)
    n, weights = sphere_rule(60)
    size = 15
    # Each basis function from the class itself, by a series with one coefficient more.
    functions = []
    for k in range(size):
        c = np.zeros(size)
        c[0], c[k] = 1.0, 1.0
        y = SphericalHarmonicDensity(coefficients=c, basis=basis).density(n) * np.sqrt(4 * np.pi)
        functions.append(y if k == 0 else y - 1 / np.sqrt(4 * np.pi))
    gram = np.einsum("an,bn,n->ab", functions, functions, weights)
    assert np.allclose(gram, np.eye(size), atol=1e-12)
    coefficients = np.array(functions) @ (weights * law.density(n))
    series = SphericalHarmonicDensity(coefficients=coefficients, basis=basis)
    assert np.allclose(series.second_moment(), law.second_moment(), atol=1e-12)
    assert np.allclose(series.fourth_moment(), law.fourth_moment(), atol=1e-12)


# Orientation tensors and closures


def test_closures_are_exact_where_they_should_be():
    uniform, straight = np.eye(3) / 3, np.outer(MU3, MU3)
    exact = np.einsum("i,j,k,l->ijkl", MU3, MU3, MU3, MU3)
    for closure in (linear_closure, hybrid_closure, bingham_closure):
        assert np.allclose(closure(uniform), Uniform(3).fourth_moment(), atol=1e-12)
    for closure in (quadratic_closure, hybrid_closure):
        assert np.allclose(closure(straight), exact, atol=1e-14)
    assert np.allclose(linear_closure(np.eye(2) / 2), Uniform(2).fourth_moment())
    # The fit is off by what its authors accept.
    assert np.allclose(orthotropic_closure(uniform), Uniform(3).fourth_moment(), atol=0.01)
    assert np.allclose(orthotropic_closure(straight), exact, atol=0.02)


def test_closures_in_the_plane_by_hand():
    """Second moment diag(.8, .2), so that f = 1 - 4 det A = .36; then both ends, and a frame that is turned."""
    a = np.diag([0.8, 0.2])
    wanted = {"1111": 0.64 * 0.675 + 0.36 * 0.64, "2222": 0.64 * 0.075 + 0.36 * 0.04,
              "1122": 0.64 * 0.125 + 0.36 * 0.16, "1212": 0.64 * 0.125, "1112": 0.0}  # fmt: skip
    found = hybrid_closure(a)
    for entry, value in wanted.items():
        assert found[tuple(int(k) - 1 for k in entry)] == pytest.approx(value, abs=1e-15), entry
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    turned = np.einsum("ia,jb,kc,ld,abcd->ijkl", turn, turn, turn, turn, found)
    assert np.allclose(hybrid_closure(turn @ a @ turn.T), turned, atol=1e-14)
    assert np.allclose(hybrid_closure(np.eye(2) / 2), Uniform(2).fourth_moment(), atol=1e-15)
    fibre = turn[:, 0]
    exact = np.einsum("i,j,k,l->ijkl", fibre, fibre, fibre, fibre)
    for closure in (hybrid_closure, quadratic_closure):
        assert np.allclose(closure(np.outer(fibre, fibre)), exact, atol=1e-14)
    for closure in (linear_closure, hybrid_closure, quadratic_closure):
        assert np.allclose(np.einsum("ijkk->ij", closure(a)), a, atol=1e-15)


@pytest.mark.parametrize(
    "closure", [linear_closure, hybrid_closure, quadratic_closure, orthotropic_closure, bingham_closure]
)
def test_closures_keep_the_second_order_tensor(closure):
    a = bingham(1.0, -2.0, 3.0).second_moment()
    assert np.allclose(np.einsum("ijkk->ij", closure(a)), a, atol=1e-9)


def test_the_fitted_closures_are_close_to_true_moments_and_the_hybrid_is_not():
    errors = {}
    for closure in (hybrid_closure, orthotropic_closure, bingham_closure):
        laws = [Watson(axis=MU3, concentration=k) for k in (-3.0, 2.0, 8.0)]
        off = [np.abs(closure(law.second_moment()) - law.fourth_moment()).max() for law in laws]
        errors[closure.__name__] = max(off)
    assert errors["bingham_closure"] < 1e-9  # Watson is a Bingham distribution
    assert errors["orthotropic_closure"] < 0.02
    assert errors["hybrid_closure"] > 2 * errors["orthotropic_closure"]


@given(a=st.floats(0.002, 1.0), b=st.floats(0.002, 1.0), c=st.floats(0.002, 1.0))
def test_the_fitted_bingham_has_the_wanted_tensor(a, b, c):
    wanted = TURN @ np.diag(np.array([a, b, c]) / (a + b + c)) @ TURN.T
    assert np.allclose(fit_bingham(wanted).second_moment(), wanted, atol=1e-9)


def test_invariants():
    # Basser and Pierpaoli's index of a prolate tensor: (l - t) / sqrt(l^2 + 2 t^2).
    tensors = np.array([TURN @ np.diag([t, t, 1.7]) @ TURN.T for t in (0.0, 0.3, 1.7)])
    expected = [(1.7 - t) / np.sqrt(1.7**2 + 2 * t**2) for t in (0.0, 0.3, 1.7)]
    assert np.allclose(fractional_anisotropy(tensors), expected, atol=1e-12)
    assert np.allclose(mean_diffusivity(tensors), [1.7 / 3, 2.3 / 3, 1.7])
    assert fractional_anisotropy(np.diag([1.0, 0.0])) == pytest.approx(1.0)
    assert fractional_anisotropy(np.zeros((3, 3))) == 0.0
    law = VonMisesFisher(mean=MU3, concentration=3.0)
    p2 = 1 - 3 / 3.0 * (1 / np.tanh(3.0) - 1 / 3.0)  # <P2> = 1 - 3 L(k)/k
    assert scalar_order(law.second_moment()) == pytest.approx(p2)
    assert scalar_order(np.eye(2) / 2) == 0.0


# Input


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Uniform(4), "dimension"),
        (lambda: VonMisesFisher(mean=MU3, concentration=-1.0), "concentration"),
        (lambda: VonMisesFisher(mean=MU3, concentration=1e7), "Directions"),
        (lambda: VonMisesFisher(mean=(0, np.nan, 1), concentration=1.0), "mean"),
        (lambda: Watson(axis=(1, 0, 0, 0), concentration=1.0), "axis"),
        (lambda: Watson(axis=MU3, concentration=np.nan), "concentration"),
        (lambda: Watson(axis=MU3, concentration=-1e7), "concentration"),
        (lambda: Bingham(matrix=np.eye(2)), "matrix"),
        (lambda: Bingham(matrix=[[0, 1, 0], [0, 0, 0], [0, 0, 0]]), "symmetric"),
        (lambda: Bingham(matrix=np.diag([0, 0, 1e8])), "differ"),
        (lambda: Bingham(matrix="B"), "matrix"),
        (lambda: Directions(vectors=[[0, 0, 0]]), "vectors"),
        (lambda: Directions(vectors="up"), "vectors"),
        (lambda: Directions(vectors=np.eye(3), weights=[1, -1, 1]), "weights"),
        (lambda: Directions(vectors=np.eye(3), weights=[1, 1]), "weights"),
        (lambda: Uniform(3).density([0, 0, 2.0]), "divide by the length"),
        (lambda: Uniform(3).density([0, 1.0]), "unit vectors"),
        (lambda: Uniform(3).density("n"), "unit vectors"),
        (lambda: Uniform(3).sample(3, 1), "default_rng"),
        (lambda: bingham(1, 2, 3).sample(3, None), "generator"),
        (lambda: sample_directions(Watson(axis=MU2, concentration=1.0), 3, 3, 1), "3 dimensions"),
        (lambda: MeasuredDensity(directions=np.eye(3), values=[1, 1, 1]), "directions"),
        (lambda: MeasuredDensity(directions=[1.0, 0, 0], values=[1]), "shape"),
        (lambda: MeasuredDensity(directions=2 * np.eye(3), values=[1, 1, 1]), "length"),
        (lambda: MeasuredDensity(directions=np.eye(3), values=[1, 1, -1], half=True), "values"),
        (lambda: MeasuredDensity(directions=np.eye(3), values=[0, 0, 0], half=True), "not zero"),
        (lambda: MeasuredDensity(directions=np.eye(3), values=[1, 1, 1], areas=[1, 1]), "areas"),
        (lambda: MeasuredDensity(directions=np.eye(3), values=[1, 1, 1], areas=[0, 0, 0]), "areas"),
        (lambda: MeasuredDensity(directions=[[1.0, 0], [1.0, 0]], values=[1, 1]), "different"),
        (lambda: density_on_grid(np.ones(4)), "table"),
        (lambda: SphericalHarmonicDensity(coefficients=np.ones(5)), "even degrees"),
        (lambda: SphericalHarmonicDensity(coefficients=np.ones(3)), "even degrees"),
        (lambda: SphericalHarmonicDensity(coefficients=-np.ones(6)), "> 0"),
        (lambda: SphericalHarmonicDensity(coefficients=np.ones(6), basis="tournier"), "tournier07"),
        (lambda: SphericalHarmonicDensity(coefficients=[0.3, 0, 0, 2, 0, 0]).sample(2, G), "positive"),
        (lambda: OrientationTensors(second=np.eye(3)), "trace 1"),
        (lambda: OrientationTensors(second=0.5), "shape"),
        (lambda: OrientationTensors(second=np.diag([1.2, -0.2])), "eigenvalue"),
        (lambda: OrientationTensors(second=np.eye(3) / 3, fourth=np.zeros((3,) * 4)), "contraction"),
        (lambda: OrientationTensors(second=np.eye(3) / 3, fourth=np.zeros(3)), "shape"),
        (lambda: OrientationTensors(second=OVAL, fourth=hybrid_closure(OVAL)), "symmetric"),
        (lambda: OrientationTensors(second=np.eye(3) / 3).fourth_moment(), "closure"),
        (lambda: bingham_closure(np.diag([0.5, 0.5, 0.0])), "eigenvalues"),
        (lambda: linear_closure("A"), "second_moment"),
        (lambda: orthotropic_closure(np.eye(2) / 2), "3x3"),
        (lambda: fractional_anisotropy([[0, 1.0], [0, 0]]), "symmetric"),
        (lambda: mean_diffusivity([1.0, 2.0]), "shape"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call, match):
    with pytest.raises(InputError, match=match):
        call()
