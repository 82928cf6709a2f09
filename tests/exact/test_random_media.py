"""Random media against exact statistics."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.random_media import (
    Directions,
    Ellipsoid,
    Fibre,
    Sphere,
    boolean_model,
    correlation_length,
    gaussian_medium,
    radial_average,
    random_sequential_addition,
    specific_surface,
    two_point_correlation,
)


@pytest.mark.parametrize("d", [2, 3])
def test_correlation_of_a_periodic_array_of_discs_or_spheres(d):
    """While the images of an inclusion do not meet, S2(r) is the common volume of it and itself moved by r."""
    radius, n = 0.3, {2: 800, 3: 160}[d]
    labels = random_sequential_addition(Sphere(radius), period=(1.0,) * d, number=1, seed=1).labels(n)
    s2 = two_point_correlation(labels)
    fraction = np.pi * radius**2 if d == 2 else 4 / 3 * np.pi * radius**3
    area = 2 * np.pi * radius if d == 2 else 4 * np.pi * radius**2
    assert s2.flat[0] == pytest.approx(labels.mean(), abs=1e-14)
    assert s2.flat[0] == pytest.approx(fraction, rel=2e-3)
    assert s2.mean() == pytest.approx(labels.mean() ** 2, rel=1e-10)
    r, mean = radial_average(s2, (1.0,) * d)
    near = r < 1 - 2 * radius
    t = r[near] / (2 * radius)
    lens = 2 / np.pi * (np.arccos(t) - t * np.sqrt(1 - t**2)) if d == 2 else 1 - 1.5 * t + 0.5 * t**3
    assert np.abs(mean[near] / fraction - lens).max() < 2e-3
    # Debye's slope at 0: -S_v/pi in the plane, -S_v/4 in space.
    assert specific_surface(labels, (1.0,) * d) == pytest.approx(area, rel=4e-3)


def test_surface_on_voxels_of_different_edges():
    labels = random_sequential_addition(Sphere(0.3), period=(1.0, 1.0, 1.0), number=1, seed=1).labels((160, 100, 80))
    assert specific_surface(labels, (1.0, 1.0, 1.0)) == pytest.approx(4 * np.pi * 0.09, rel=0.01)
    # A flat spheroid, whose normals lie mostly along z: 2 pi a^2 (1 + (1 - e^2) artanh(e) / e).
    a, c = 0.4, 0.12
    flat = random_sequential_addition(Ellipsoid((c, a, a)), period=(1.0,) * 3, number=1, seed=1,
                                      orientation=Directions(vectors=[0, 0, 1])).labels((160, 160, 40))  # fmt: skip
    e = np.sqrt(1 - (c / a) ** 2)
    area = 2 * np.pi * a**2 * (1 + (1 - e**2) * np.arctanh(e) / e)
    assert specific_surface(flat, (1.0, 1.0, 1.0)) == pytest.approx(area, rel=0.04)
    # The faces of the voxels have 3/2 of the area of the sphere, however fine they are.
    faces = sum(np.mean(labels != np.roll(labels, 1, k)) * n for k, n in enumerate(labels.shape))
    assert faces == pytest.approx(1.5 * 4 * np.pi * 0.09, rel=0.01)


@pytest.mark.parametrize(("d", "particle"), [(2, Sphere(0.06)), (3, Sphere(0.12)), (2, Fibre(0.03, 0.2))])
def test_the_boolean_model_has_its_expected_fraction(d, particle):
    """Over many draws the mean fraction is 1 - exp(-n v), within its statistical error."""
    drawn = [boolean_model(particle, period=(1.0,) * d, fraction=0.4, seed=seed) for seed in range(150)]
    fractions = np.array([medium.labels({2: 60, 3: 24}[d]).mean() for medium in drawn])
    error = fractions.std(ddof=1) / np.sqrt(len(fractions))
    assert error < 0.008
    assert abs(fractions.mean() - 0.4) < 3.5 * error
    numbers = np.array([medium.number for medium in drawn])
    density = -np.log(0.6) / particle.volume(d)
    assert abs(numbers.mean() - density) < 3.5 * np.sqrt(density / len(numbers))


def test_correlation_of_the_boolean_model():
    """No centre within the radius of either of two points: 1 - 2 f + S2 = exp(-n |union of two discs|)."""
    radius, n, count = 0.08, 100, 60
    r, curves = None, []
    for seed in range(count):
        labels = boolean_model(Sphere(radius), period=(1.0, 1.0), fraction=0.5, seed=seed).labels(n)
        r, mean = radial_average(two_point_correlation(1 - labels), (1.0, 1.0))
        curves.append(mean)
    curves = np.array(curves)
    error = curves.std(axis=0, ddof=1) / np.sqrt(count)
    t = np.clip(r / (2 * radius), 0.0, 1.0)
    common = 2 / np.pi * (np.arccos(t) - t * np.sqrt(1 - t**2))
    density = np.log(2.0) / (np.pi * radius**2)
    expected = np.exp(-density * np.pi * radius**2 * (2.0 - common))
    assert expected[-1] == pytest.approx(0.25)  # far away f^2
    assert np.abs((curves.mean(axis=0) - expected) / error).max() < 4.5


@pytest.mark.parametrize("lengths", [(0.06, 0.06), (0.04, 0.1), (0.15, 0.15, 0.1)])
def test_correlation_of_a_gaussian_field_at_half(lengths):
    """At fraction 1/2: S2(r) = 1/4 + asin(C(r)) / (2 pi) (Sheppard 1899)."""
    d = len(lengths)
    n, count = {2: 64, 3: 24}[d], 120
    s2 = np.array([
        two_point_correlation(gaussian_medium(lengths, period=(1.0,) * d, fraction=0.5, seed=seed).labels(n))
        for seed in range(count)
    ])  # fmt: skip
    error = s2.std(axis=0, ddof=1) / np.sqrt(count)
    correlation, mean_of_field = np.ones(()), 1.0
    for length in lengths:
        x = np.arange(n)[:, None] / n + np.arange(-3, 4)
        one = np.exp(-((x / length) ** 2)).sum(axis=1)
        mean_of_field *= one.mean() / one[0]
        correlation = np.multiply.outer(correlation, one / one[0])
    correlation = (correlation - mean_of_field) / (1 - mean_of_field)  # the mean over the box is taken away
    expected = 0.25 + np.arcsin(np.clip(correlation, -1, 1)) / (2 * np.pi)
    # The threshold is the median of each draw, not 0: S2 is lower by the variance that the fraction then would have.
    variance = np.mean(expected) - 0.25
    assert 0.0 < variance < 2e-3
    assert np.all(np.abs(s2.mean(axis=0) - expected) < 5.0 * error + 2.0 * variance)
    assert np.abs(s2.mean(axis=0) - expected).max() < 0.01
    assert s2[:, *([0] * d)] == pytest.approx(0.5)
    rows = [s2.mean(axis=0)[(0,) * k + (slice(1, 4),) + (0,) * (d - k - 1)] for k in range(d)]
    assert lengths[0] == lengths[1] or np.all(rows[0] < rows[1] - 0.01)  # the shorter length falls faster


def test_correlation_length_of_a_gaussian_medium():
    """(S2 - 1/4) / (1/4) = (2/pi) asin C is 1/e where C = sin(pi / (2 e)): at r = l sqrt(-ln C)."""
    length = 0.05
    exact = length * np.sqrt(-np.log(np.sin(np.pi / (2 * np.e))))
    measured = [
        correlation_length(gaussian_medium(length, period=(1.0, 1.0), fraction=0.5, seed=seed).labels(128), (1.0, 1.0))
        for seed in range(30)
    ]
    error = np.std(measured, ddof=1) / np.sqrt(30)
    assert abs(np.mean(measured) - exact) < 4 * error + 0.01 * exact
    assert error < 0.01 * exact


def test_surface_of_a_gaussian_medium():
    """Rice: S_v = (2/pi) exp(-u^2/2) |C''(0)|^(1/2) in space; at half and C = exp(-(r/l)^2): (2/pi) sqrt(2) / l."""
    length = 0.1
    measured = [
        specific_surface(gaussian_medium(length, period=(1.0,) * 3, fraction=0.5, seed=seed).labels(100), (1.0,) * 3)
        for seed in range(6)
    ]
    assert np.mean(measured) == pytest.approx(2 / np.pi * np.sqrt(2) / length, rel=0.02)
