"""Random media: what is drawn is what was asked for, and what cannot be drawn is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import special

from homfem.blocks import aggregated
from homfem.parameters import InputError
from homfem.random_media import (
    Directions,
    Ellipsoid,
    Fibre,
    ParticleMedium,
    Sphere,
    Uniform,
    VonMisesFisher,
    VoxelMedium,
    Watson,
    aggregated_medium,
    boolean_model,
    correlation_length,
    gaussian_medium,
    radial_average,
    random_sequential_addition,
    sample_directions,
    specific_surface,
    two_point_correlation,
)
from homfem.random_media.shapes import segment_distance

BOX = (1.0, 0.8, 1.2)


def axis_points(medium: ParticleMedium, k: int, count: int = 201) -> np.ndarray:
    half = 0.5 * medium.particle.length * medium.scales[k]
    return medium.centres[k] + np.linspace(-half, half, count)[:, None] * medium.directions[k]


def surface_points(medium: ParticleMedium, k: int, count: int = 400) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((count, medium.dimension))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return medium.centres[k] + (x * np.array(medium.particle.semi_axes) * medium.scales[k]) @ medium.frames[k]


def least_gap(medium: ParticleMedium, points: list[np.ndarray], radius: float) -> float:
    """Distance of point clouds of two particles or their images, over all pairs, less the radius of both."""
    least = np.inf
    for turn in itertools.product((-1, 0, 1), repeat=medium.dimension):
        shift = np.array(turn) * medium.period
        for i, j in itertools.product(range(medium.number), repeat=2):
            if (i == j and not any(turn)) or np.linalg.norm(
                medium.centres[i] - medium.centres[j] - shift
            ) > 2 * medium.particle.reach * medium.scales.max() + 0.1:
                continue
            between = points[i][:, None] - points[j][None] - shift
            sizes = radius * (medium.scales[i] + medium.scales[j])
            least = min(least, float(np.linalg.norm(between, axis=2).min()) - sizes)
    return least


@pytest.mark.parametrize(("period", "radius"), [(BOX, 0.1), (BOX[:2], 0.05)])
def test_spheres_never_overlap(period, radius):
    medium = random_sequential_addition(Sphere(radius), period=period, fraction=0.25, gap=0.02, seed=3)
    assert medium.volume_fraction == pytest.approx(0.25, abs=0.02)
    gap = least_gap(medium, list(medium.centres[:, None]), radius)
    assert 0.02 <= gap < 0.03
    crowded = medium.centres + 0.1 * (medium.centres - 0.5)  # the check sees an overlap
    assert least_gap(medium, list(crowded[:, None]), radius) < 0.02


def test_spheres_of_different_sizes_never_overlap():
    medium = random_sequential_addition(
        Sphere(0.1), period=BOX, fraction=0.25, seed=3, scale=lambda g, n: g.uniform(0.3, 1.0, n)
    )
    assert medium.volume_fraction == pytest.approx(0.25, abs=0.003)
    assert np.all(np.diff(medium.scales) <= 0)
    assert medium.scales[-1] < 0.5 < 0.9 < medium.scales[0]
    assert 0.0 <= least_gap(medium, list(medium.centres[:, None]), 0.1) < 0.01


def test_fibres_never_overlap():
    medium = random_sequential_addition(Fibre(0.03, 0.3), period=BOX, fraction=0.07, gap=0.01, seed=4)
    points = [axis_points(medium, k) for k in range(medium.number)]
    assert medium.number > 50
    assert 0.01 <= least_gap(medium, points, 0.03) < 0.02


@pytest.mark.parametrize(("axes", "period"), [((0.2, 0.1, 0.07), BOX), ((0.2, 0.06), BOX[:2])])
def test_ellipsoids_never_overlap(axes, period):
    medium = random_sequential_addition(Ellipsoid(axes), period=period, fraction=0.2, gap=0.01, seed=5)
    points = [surface_points(medium, k) for k in range(medium.number)]
    assert least_gap(medium, points, 0.0) >= 0.01
    for k, turn in itertools.product(range(medium.number), itertools.product((-1, 0, 1), repeat=len(period))):
        for other in range(medium.number):
            x = (points[k] + np.array(turn) * period - medium.centres[other]) @ medium.frames[other].T
            inside = np.sum((x / axes) ** 2, axis=1) < 1 - 1e-9
            assert (other == k and not any(turn)) or not inside.any()


def test_contact_of_ellipses_agrees_with_supporting_lines():
    """Convex bodies are disjoint if and only if a line separates them: some direction in which they are apart."""
    g = np.random.default_rng(1)
    count, axes = 400, np.array([0.3, 0.1])
    angle = g.uniform(0, 2 * np.pi, (2, count))
    frames = [np.stack([np.stack([np.cos(a), np.sin(a)], 1), np.stack([-np.sin(a), np.cos(a)], 1)], 1) for a in angle]
    step, scales = g.uniform(-0.5, 0.5, (count, 2)), g.uniform(0.5, 1.5, (2, count))
    apart = Ellipsoid(tuple(axes)).apart(step, frames[0], scales[0], frames[1], scales[1], 0.0)
    normal = np.linspace(0, 2 * np.pi, 4001)
    normal = np.stack([np.cos(normal), np.sin(normal)])
    support = [np.sqrt(np.einsum("k,nkq->nq", axes**2, (f @ normal) ** 2)) * s[:, None]
               for f, s in zip(frames, scales, strict=True)]  # fmt: skip
    margin = (step @ normal - support[0] - support[1]).max(axis=1)
    clear = np.abs(margin) > 1e-5
    assert 50 < np.count_nonzero(apart) < 350
    assert clear.sum() > 390
    assert np.array_equal(apart[clear], margin[clear] > 0)


def test_distance_of_segments_agrees_with_sampling():
    g = np.random.default_rng(2)
    u, v = sample_directions(Uniform(), 200, 3, g), sample_directions(Uniform(), 200, 3, g)
    v[:20] = u[:20]  # parallel ones
    step, p, q = g.uniform(-1, 1, (200, 3)), g.uniform(0, 1, 200), g.uniform(0, 1, 200)
    t = np.linspace(-1, 1, 201)
    one = (t[:, None] * p)[..., None] * u
    two = step + (t[:, None] * q)[..., None] * v
    sampled = np.linalg.norm(one[:, None] - two[None], axis=-1).min(axis=(0, 1))
    exact = segment_distance(step, u, p, v, q)
    assert np.all(exact <= sampled + 1e-12)
    assert np.all(sampled - exact < 0.011)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: random_sequential_addition(Sphere(0.1), period=BOX, fraction=0.2, seed=seed).labels(20),
        lambda seed: boolean_model(Fibre(0.05, 0.3), period=BOX, fraction=0.2, seed=seed).labels(20),
        lambda seed: gaussian_medium(0.2, period=BOX, fraction=0.3, seed=seed).labels(20),
        lambda seed: aggregated_medium(20, seed=seed).labels(),
    ],
)
def test_one_seed_one_medium(make):
    assert np.array_equal(make(1), make(1))
    assert not np.array_equal(make(1), make(2))


def test_number_and_fraction_together_are_met_exactly():
    medium = random_sequential_addition(Ellipsoid((0.1, 0.05)), period=(2, 1), number=37, fraction=0.3, seed=1)
    assert medium.number == 37
    assert medium.volume_fraction == pytest.approx(0.3, rel=1e-12)
    axes = 0.1 * medium.scales[0], 0.05 * medium.scales[0]
    assert 37 * np.pi * axes[0] * axes[1] / 2 == pytest.approx(0.3, rel=1e-12)
    assert random_sequential_addition(Sphere(0.1), period=(1, 1), number=3, seed=1).volume_fraction == pytest.approx(
        0.03 * np.pi
    )


@pytest.mark.parametrize(
    ("particle", "period"),
    [(Sphere(0.15), BOX), (Ellipsoid((0.25, 0.15, 0.1)), BOX), (Fibre(0.08, 0.4), BOX), (Fibre(0.05, 0.3), BOX[:2])],
)
def test_level_set_labels_and_fraction_tell_the_same(particle, period):
    medium = random_sequential_addition(particle, period=period, fraction=0.15, seed=8)
    d, value = len(period), medium.level_set()
    shape = (40, 32, 48)[:d]
    labels = medium.labels(shape)
    centres = (np.argwhere(np.ones(shape)) + 0.5) * np.array(period) / shape
    inside = (value(centres) < 0).reshape(shape)
    assert np.array_equal(inside, labels == 1)
    assert labels.mean() == pytest.approx(medium.volume_fraction, rel=0.02)
    shift = np.array([1, -2, 3][:d]) * period
    assert np.allclose(value(centres + shift), value(centres), atol=1e-12)
    # Against all images of all particles, one by one.
    x = np.random.default_rng(0).random((500, d)) * period
    lowest = np.full(len(x), 0.5 * min(period))
    for turn in itertools.product((-1, 0, 1), repeat=d):
        for k in range(medium.number):
            step = x - medium.centres[k] - np.array(turn) * period
            frames, scales = np.repeat(medium.frames[[k]], len(x), 0), np.repeat(medium.scales[[k]], len(x))
            lowest = np.minimum(lowest, particle.distance(step, frames, scales))
    assert np.allclose(value(x), lowest, atol=1e-13)


def test_level_set_of_an_ellipsoid_is_a_distance_near_the_surface():
    particle = Ellipsoid((0.4, 0.2, 0.1))
    x = surface_points(random_sequential_addition(particle, period=(1, 1, 1), number=1, seed=1,
                                                  orientation=Directions(vectors=[1, 0, 0])), 0)  # fmt: skip
    medium = random_sequential_addition(particle, period=(1, 1, 1), number=1, seed=1,
                                        orientation=Directions(vectors=[1, 0, 0]))  # fmt: skip
    normal = ((x - medium.centres[0]) @ medium.frames[0].T) / np.array(particle.semi_axes) ** 2 @ medium.frames[0]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    value = medium.level_set()
    assert np.abs(value(x)).max() < 1e-14
    errors = [np.abs(value(x + h * normal) - h).max() for h in (0.004, 0.002)]
    assert errors[0] < 0.004 * 0.06
    assert errors[0] / errors[1] > 3.4
    assert value(medium.centres)[0] < -0.09


def test_feature_size_is_the_gap_or_the_radius_of_curvature():
    ellipse = Ellipsoid((0.12, 0.06))
    along = Directions(vectors=[1.0, 0.0])
    medium = random_sequential_addition(ellipse, period=(1, 1), number=1, seed=1, orientation=along)
    turned, side = medium.frames[0][0], medium.frames[0][1]
    tip, flank = medium.centres[0] + 0.12 * turned, medium.centres[0] + 0.06 * side
    assert medium.feature_size()([tip, flank]) == pytest.approx([0.06**2 / 0.12, 0.06**2 / 0.06])
    discs = random_sequential_addition(Sphere(0.1), period=(1, 1), fraction=0.4, seed=15)
    turns = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(-1, 2)
    centres = (discs.centres[:, None] + turns).reshape(-1, 2)
    away = np.linalg.norm(centres[:, None] - discs.centres, axis=2).T
    away[away < 1e-9] = np.inf
    first, second = np.unravel_index(away.argmin(), away.shape)
    middle = 0.5 * (discs.centres[first] + centres[second])
    assert discs.feature_size()(middle)[0] == pytest.approx(away.min() - 0.2, rel=1e-9)
    assert discs.feature_size()(discs.centres).max() <= 0.1


def test_a_fibre_longer_than_the_period_is_taken_where_it_passes_itself_by():
    oblique = Directions(vectors=[2.0, 1.0])
    medium = random_sequential_addition(Fibre(0.03, 1.2), period=(1, 1), number=1, seed=1, orientation=oblique)
    assert medium.labels(400).mean() == pytest.approx(medium.volume_fraction, rel=0.01)
    with pytest.raises(InputError, match="meets its own image"):
        random_sequential_addition(Fibre(0.03, 1.2), period=(1, 1), number=1, seed=1,
                                   orientation=Directions(vectors=[1.0, 0.0]))  # fmt: skip


def test_overlapping_media_have_no_exact_fraction():
    medium = boolean_model(Sphere(0.1), period=(1, 1), density=30.0, seed=1)
    assert medium.overlap
    assert medium.volume_fraction is None
    assert medium.expected_fraction == pytest.approx(1 - np.exp(-0.3 * np.pi))
    empty = boolean_model(Sphere(0.1), period=(1, 1), density=1e-9, seed=1)
    assert empty.number == 0
    assert not empty.labels(5).any()
    assert np.all(empty.level_set()([[0.1, 0.2]]) == 0.5)


# Orientations


def test_directions_have_their_exact_moments():
    n = 200_000
    mean3, mean2 = np.array([1.0, 2.0, -2.0]) / 3, np.array([0.6, -0.8])
    for d in (2, 3):
        x = sample_directions(Uniform(), n, d, 1)
        assert np.allclose(np.linalg.norm(x, axis=1), 1)
        assert np.allclose(x.T @ x / n, np.eye(d) / d, atol=0.005)
    for kappa in (0.5, 20.0):
        # von Mises-Fisher: the mean cosine is coth k - 1/k, or I1(k)/I0(k) in the plane.
        x = sample_directions(VonMisesFisher(mean=3 * mean3, concentration=kappa), n, 3, 1)
        assert np.allclose(x.mean(axis=0), (1 / np.tanh(kappa) - 1 / kappa) * mean3, atol=0.005)
        x = sample_directions(VonMisesFisher(mean=mean2, concentration=kappa), n, 2, 1)
        assert np.allclose(x.mean(axis=0), special.ive(1, kappa) / special.ive(0, kappa) * mean2, atol=0.005)
    for kappa in (-30.0, -1.0, 0.0, 1.0, 8.0):
        # Watson: the mean of cos^2 is (1/d) M(3/2, d/2 + 1, k) / M(1/2, d/2, k) with Kummer's function M.
        for mean in (mean2, mean3):
            d = len(mean)
            x = sample_directions(Watson(axis=mean, concentration=kappa), n, d, 1)
            square = special.hyp1f1(1.5, d / 2 + 1, kappa) / special.hyp1f1(0.5, d / 2, kappa) / d
            expected = square * np.outer(mean, mean) + (1 - square) / (d - 1) * (np.eye(d) - np.outer(mean, mean))
            assert np.allclose(x.T @ x / n, expected, atol=0.006), (d, kappa)
            assert np.abs(x.mean(axis=0)).max() < 0.01
    x = sample_directions(Watson(axis=mean3, concentration=2000.0), 500, 3, 1)  # exp(2000) is no floating-point number
    assert np.all(np.abs(x @ mean3) > 0.99)
    x = sample_directions(Directions(vectors=[[0, 2], [3, 0]], weights=[1, 3]), n, 2, 1)
    assert x[:, 0].mean() == pytest.approx(0.75, abs=0.005)
    assert set(np.unique(x)) == {0.0, 1.0}
    x = sample_directions(lambda g, count: np.column_stack([np.full(count, 2.0), g.random(count)]), 10, 2, 1)
    assert np.all(x[:, 0] > 0.8)
    assert np.allclose(np.linalg.norm(x, axis=1), 1)


def test_a_dense_medium_keeps_its_orientations():
    law = Watson(axis=(0, 0, 1), concentration=-3.0)
    medium = random_sequential_addition(Fibre(0.03, 0.2), period=(1, 1, 1), fraction=0.14, seed=1, orientation=law)
    x = medium.directions
    square = special.hyp1f1(1.5, 2.5, -3.0) / special.hyp1f1(0.5, 1.5, -3.0) / 3
    assert np.mean(x[:, 2] ** 2) == pytest.approx(square, abs=4 * np.std(x[:, 2] ** 2) / np.sqrt(len(x)))
    frames = medium.frames
    assert np.allclose(frames @ frames.transpose(0, 2, 1), np.eye(3), atol=1e-12)


# Fields, voxels, statistics


def test_the_fraction_of_a_field_is_met_on_every_grid():
    medium = gaussian_medium((0.1, 0.3), period=(1.0, 1.5), fraction=1 / 3, seed=1)
    for shape in ((40, 60), (7, 9), (101, 33)):
        labels = medium.labels(shape)
        assert labels.shape == shape
        assert abs(labels.sum() - labels.size / 3) <= 0.5
    coarse, fine = medium.field((20, 20)), medium.field((100, 60))
    assert np.allclose(coarse, fine[2::5, 1::3], atol=1e-12)  # the same field, whose voxel centres coincide
    assert abs(fine.mean()) < 1e-12
    value, labels = medium.level_set(), medium.labels((200, 200))
    x = (np.argwhere(np.ones((200, 200))) + 0.5) / 200 * np.array([1.0, 1.5])
    assert np.mean((value(x) < 0).reshape(200, 200) != (labels == 1)) < 2e-3
    assert np.allclose(value(x + np.array([1.0, -3.0])), value(x), atol=1e-9)
    scale = np.polyfit(fine.ravel(), value((np.argwhere(np.ones((100, 60))) + 0.5) / (100, 60) * (1.0, 1.5)), 1)[0]
    assert scale == pytest.approx(-1 / np.sqrt(2 / 0.1**2 + 2 / 0.3**2), rel=1e-3)


def test_the_aggregated_medium_is_that_of_the_blocks():
    medium = aggregated_medium(16, seed=4, iterations=3, share=0.25)
    blocks = aggregated(16, seed=4, iterations=3, share=0.25).diffusivity
    assert medium.volume_fraction == 0.25
    for i, j in ((0, 0), (3, 7), (15, 2)):
        assert medium.labels()[i, j] == (blocks[j, i] == 1.0)  # axes x, y against rows, columns
    fine = medium.labels((32, 48))
    assert fine.shape == (32, 48)
    assert np.array_equal(fine[::2, ::3], medium.labels())
    with pytest.raises(InputError, match="multiples"):
        medium.labels(40)


def test_correlation_of_a_small_array_by_hand():
    labels = np.array([[1, 1, 0, 0], [0, 0, 0, 2]])
    s2 = two_point_correlation(labels)
    assert np.allclose(s2, np.array([[2, 1, 0, 1], [0, 0, 0, 0]]) / 8)
    assert np.allclose(two_point_correlation(labels, phase=2)[0, 0], 1 / 8)
    radius, mean = radial_average(s2, (1.0, 2.0))
    # Lags (0, 1), (0, -1), (1, 0) at 0.5 and (1, 1), (1, -1) at 0.707 fall into the shell around 0.5.
    assert np.allclose(radius, [0.0, (1.5 + np.sqrt(2.0)) / 5])
    assert np.allclose(mean, [0.25, 2 / 5 / 8])


def test_planes_have_nearly_their_surface():
    """8 or 26 directions do not suffice where all normals are equal: the stated errors are met, not surpassed."""
    for shape, low in (((60, 60), 0.948), ((60, 60, 60), 0.927)):
        labels = np.zeros(shape, dtype=int)
        labels[:30] = 1
        measured = specific_surface(labels, (1.0,) * len(shape)) / 2.0
        assert measured == pytest.approx(low, abs=1e-3)
        assert specific_surface(labels, (2.0,) * len(shape)) == pytest.approx(measured)


# Refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, 1), fraction=0.6, seed=1, tries=50),
         r"within reach.*3800 tries gave 0\.[45]"),
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, 1), fraction=0.4, gap=0.05, seed=1, tries=50),
         "within reach"),
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, 1), fraction=1.2, seed=1), "fraction = 1.2"),
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, 1), seed=1), "or the number"),
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, 1), fraction=1e-4, seed=1), "one particle"),
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, 1), number=0, seed=1), "number = 0"),
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, 1), number=2, seed=-1), "seed = -1"),
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, 1), number=2, seed=1, gap=-1.0), "gap = -1"),
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, 1), number=2, seed=1, tries=0), "tries = 0"),
        (lambda: random_sequential_addition(Sphere(0.05), period=1.0, number=2, seed=1), "period = 1.0"),
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, 1, 1, 1), number=2, seed=1), "2 or 3 sides"),
        (lambda: random_sequential_addition(Sphere(0.05), period=(1, -1), number=2, seed=1), "period = -1"),
        (lambda: random_sequential_addition(Sphere(0.6), period=(1, 1), number=1, seed=1), "own image"),
        (lambda: random_sequential_addition(Ellipsoid((0.1, 0.2)), period=BOX, number=2, seed=1), "semi_axes"),
        (lambda: random_sequential_addition(Sphere(0.1), period=BOX, number=2, seed=1, scale=lambda g, n: -np.ones(n)),
         "scale"),
        (lambda: random_sequential_addition(Sphere(0.1), period=BOX, number=2, seed=1, scale=lambda: 1), "scale"),
        (lambda: Sphere(0.0), "radius = 0"),
        (lambda: Ellipsoid((0.1, -0.2)), "semi_axes = -0.2"),
        (lambda: Fibre(-1.0, 1.0), "radius = -1"),
        (lambda: Fibre(1.0, -1.0), "length = -1"),
        (lambda: boolean_model(Sphere(0.1), period=BOX, seed=1), "one of the two"),
        (lambda: boolean_model(Sphere(0.1), period=BOX, fraction=0.1, density=2.0, seed=1), "one of the two"),
        (lambda: boolean_model(Sphere(0.1), period=BOX, density=0.0, seed=1), "density = 0"),
        (lambda: boolean_model(Sphere(0.1), period=BOX, fraction=1.0, seed=1), "fraction = 1"),
        (lambda: boolean_model(Fibre(0.1, 0.9), period=BOX, fraction=0.1, seed=1), "length of a particle"),
        (lambda: boolean_model(Sphere(0.1), period=BOX, fraction=0.1, seed=1).labels((3, 4)), "shape"),
        (lambda: boolean_model(Sphere(0.1), period=BOX, fraction=0.1, seed=1).labels(0), "shape = 0"),
        (lambda: gaussian_medium(0.6, period=BOX, fraction=0.3, seed=1), "lengths = 0.6"),
        (lambda: gaussian_medium((0.1, 0.1), period=BOX, fraction=0.3, seed=1), "lengths"),
        (lambda: gaussian_medium(0.001, period=BOX, fraction=0.3, seed=1), "modes"),
        (lambda: gaussian_medium(0.1, period=BOX, fraction=0.0, seed=1), "fraction = 0"),
        (lambda: gaussian_medium(0.1, period=BOX, fraction=0.001, seed=1).labels(4), "both phases"),
        (lambda: sample_directions(Watson(axis=(0, 0), concentration=1.0), 3, 2, 1), "axis"),
        (lambda: sample_directions(Watson(axis="up", concentration=1.0), 3, 2, 1), "axis"),
        (lambda: sample_directions(VonMisesFisher(mean=(0, 1), concentration=0.0), 3, 2, 1), "concentration = 0"),
        (lambda: sample_directions(Directions(vectors=[[1, 0]], weights=[-1]), 3, 2, 1), "weights"),
        (lambda: sample_directions("up", 3, 2, 1), "orientation = 'up'"),
        (lambda: sample_directions(lambda g, n: np.zeros((n, 2)), 3, 2, 1), "not zero"),
        (lambda: sample_directions(lambda: 1, 3, 2, 1), "orientation"),
        (lambda: two_point_correlation(np.zeros(5)), "labels"),
        (lambda: correlation_length(np.ones((5, 5)), (1, 1)), "phase = 1"),
        (lambda: correlation_length(np.kron([[0, 1]], np.ones((8, 4), dtype=int)), (1, 100)), "1/e"),
        (lambda: specific_surface(np.ones((5, 5)), (1, 1, 1)), "period"),
        (lambda: aggregated_medium(1, seed=1), "number = 1"),
        (lambda: VoxelMedium(voxels=np.ones((2, 2), dtype=np.uint8), seed=1).labels(3), "multiples"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
