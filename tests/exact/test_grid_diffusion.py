"""The grid solver against what is known exactly: laminates, dualities, symmetries, the order of the bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homfem.blocks import BlockMedium, homogenize_blocks
from homfem.grid import Image, homogenize_image, solve_image

FULL = np.array([[3.0, 0.9, -0.4], [0.9, 1.0, 0.3], [-0.4, 0.3, 2.0]])
CHECKERBOARD = Image.from_labels([[0, 1], [1, 0]], {"a": 0, "b": 1})


def two_phase(array, voxel=1.0) -> Image:
    return Image.from_labels(np.asarray(array).astype(int), {"a": 0, "b": 1}, voxel=voxel)


def random_image(shape, seed, share=0.5, voxel=1.0) -> Image:
    return two_phase(np.random.default_rng(seed).random(shape) < share, voxel)


def of_blocks(image: Image, a: float, b: float) -> np.ndarray:
    """The tensor of a plane image by another method: polynomials and corner singularities on its blocks."""
    values = np.where(image.phases == 0, a, b).T
    medium = BlockMedium(
        diffusivity=values,
        widths=np.full(image.shape[0], image.voxel[0]),
        heights=np.full(image.shape[1], image.voxel[1]),
    )
    return homogenize_blocks(medium, degree=6).value


def laminate(layers, fractions, axis):
    """Exact tensor of layers of symmetric tensors normal to an axis (Tartar's formula, solved layer by layer)."""
    d = len(layers[0])
    n = np.eye(d)[axis]
    effective = np.zeros((d, d))
    normal = 1.0 / sum(f / (n @ D @ n) for f, D in zip(fractions, layers, strict=True))
    for load in np.eye(d):
        # The normal flux is the same in all layers; the tangential gradient is the load's.
        through = normal * (load @ n + sum(f * (n @ D @ (load - n * (load @ n))) / (n @ D @ n)
                                           for f, D in zip(fractions, layers, strict=True)))  # fmt: skip
        for f, D in zip(fractions, layers, strict=True):
            gradient = load - n * (load @ n)
            gradient = gradient + n * (through - n @ D @ gradient) / (n @ D @ n)
            effective[:, np.argmax(load)] += f * D @ gradient
    return effective


def exact_within_round_off(tensor, exact, error):
    """The midpoint of the energies is exact, and so are both, but for what the bounds state as round-off."""
    assert np.abs(tensor.value - exact).max() < error
    assert tensor.contains(exact, slack=1e-15)
    assert 0.0 < tensor.roundoff < 1e-10
    for side in (tensor.lower, tensor.upper):
        assert np.abs(side - exact).max() < error + tensor.roundoff


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_laminates_are_exact_on_both_sides(axis):
    phases = np.moveaxis(np.broadcast_to(np.array([0, 1, 1, 2, 0]), (3, 2, 5)), 2, axis)
    image = Image.from_labels(phases, {"a": 0, "b": 1, "c": 2}, voxel=(0.3, 1.0, 2.0))
    values = {"a": 1.0, "b": 10.0, "c": 0.2}
    tensor = homogenize_image(image, values, rtol=1e-14)
    exact = laminate([k * np.eye(3) for k in values.values()], [0.4, 0.4, 0.2], axis)
    exact_within_round_off(tensor, exact, 1e-12)


@pytest.mark.parametrize("contrast", [1e7, 1e10, 1e12])
def test_the_energies_of_layers_lose_no_digits_by_cancellation(contrast):
    """Across the layers 2 is left of half the contrast: the bounds were inverted by 5e-10 at 1e7, by 7e-7 at 1e10."""
    image = two_phase(np.broadcast_to(np.repeat([0, 1], 4)[:, None], (8, 4)))
    tensor = homogenize_image(image, {"a": 1.0, "b": contrast}, rtol=1e-12)
    exact = np.diag([2.0 / (1.0 + 1.0 / contrast), 0.5 * (1.0 + contrast)])
    assert tensor.reached
    assert tensor.contains(exact, slack=1e-15 * contrast)
    assert np.diag(tensor.value) == pytest.approx(np.diag(exact), rel=1e-10)
    assert tensor.relative_gap < 1e-5


@pytest.mark.parametrize("d", [2, 3])
def test_laminates_of_anisotropic_layers_are_exact_on_both_sides(d):
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((d, d)))[0]
    layers = [np.diag([1.0, 5.0, 3.0][:d]), turn @ np.diag([4.0, 0.5, 2.0][:d]) @ turn.T]
    phases = np.broadcast_to(np.array([0, 1, 1, 0, 0]), (2, 3, 5)[3 - d :])
    tensor = homogenize_image(two_phase(phases), dict(zip("ab", layers, strict=True)), rtol=1e-14)
    exact_within_round_off(tensor, laminate(layers, [0.6, 0.4], d - 1), 1e-11)


def test_layers_between_insulators_are_exact_and_zero_across():
    phases = np.broadcast_to(np.array([0, 1, 1, 0, 1]), (4, 3, 5))
    tensor = homogenize_image(two_phase(phases), {"b": 2.0})
    exact_within_round_off(tensor, np.diag([1.2, 1.2, 0.0]), 1e-13)
    assert not tensor.value[2].any()


def test_a_diagonal_path_conducts_along_the_diagonal_only():
    i, j = np.indices((5, 5))
    image = two_phase((i == j) | (i == (j + 1) % 5))
    tensor = homogenize_image(image, {"b": 1.0}, refine=2)
    across = np.array([1.0, -1.0])
    for side in (tensor.lower, tensor.upper):
        assert np.abs(side @ across).max() < 1e-13
    assert tensor.contains(of_blocks(image, 0.0, 1.0))
    assert tensor.relative_gap < 0.1


def test_dykhne_is_inside_the_bracket_and_the_geometric_mean_of_the_bounds():
    for contrast in (9.0, 1e4):
        for cuts in (1, 6):
            tensor = homogenize_image(CHECKERBOARD, {"a": 1.0, "b": contrast}, refine=cuts, rtol=1e-10)
            assert tensor.contains(np.sqrt(contrast))
            assert tensor.lower[0, 0] * tensor.upper[0, 0] == pytest.approx(contrast, rel=1e-7)


@pytest.mark.parametrize("voxel", [1.0, (1.0, 0.4)])
def test_the_lower_bound_is_the_upper_one_of_the_dual_medium(voxel):
    """Keller 1964: turned by a right angle, plane fluxes are gradients; on this grid the discrete ones are too."""
    image = random_image((9, 7), 3, voxel=voxel)
    coefficients = {"a": np.array([[2.0, 0.7], [0.7, 1.0]]), "b": 5.0}
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    dual = {
        name: turn.T @ np.linalg.inv(D * np.eye(2) if np.isscalar(D) else D) @ turn for name, D in coefficients.items()
    }
    here = homogenize_image(image, coefficients, rtol=1e-13)
    there = homogenize_image(image, dual, rtol=1e-13)
    assert np.allclose(here.lower, np.linalg.inv(turn @ there.upper @ turn.T), rtol=1e-9, atol=1e-9)
    assert np.allclose(here.upper, np.linalg.inv(turn @ there.lower @ turn.T), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("low", "seed"), [(0.1, 0), (0.1, 1), (1e-4, 2)])
def test_plane_images_agree_with_block_media(low, seed):
    image = random_image((8, 6), seed, voxel=(1.0, 1.5))
    exact = of_blocks(image, low, 1.0)
    gaps = []
    for cuts in (2, 4, 8):
        tensor = homogenize_image(image, {"a": low, "b": 1.0}, refine=cuts)
        assert tensor.contains(exact, slack=1e-9)
        gaps.append(tensor.relative_gap)
    assert gaps[2] < gaps[1] < gaps[0]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_plane_images_with_insulators_agree_with_block_media(seed):
    image = random_image((12, 12), seed, share=0.62)
    exact = of_blocks(image, 0.0, 1.0)
    for cuts in (2, 4):
        tensor = homogenize_image(image, {"b": 1.0}, refine=cuts)
        assert tensor.contains(exact, slack=1e-7)
    # Voxels that touch at a corner do not leak: both sides close in.
    assert tensor.relative_gap < 0.03


def test_both_sides_and_the_midpoint_converge():
    image = random_image((4, 4), 5)
    exact = of_blocks(image, 0.2, 1.0)
    errors = []
    for cuts in (4, 8, 16):
        tensor = homogenize_image(image, {"a": 0.2, "b": 1.0}, refine=cuts, rtol=1e-10)
        errors.append([np.linalg.norm(side - exact, 2) for side in (tensor.lower, tensor.upper, tensor.value)])
    errors = np.array(errors)
    rates = np.log2(errors[:-1] / errors[1:])
    # Where four voxels of contrast c meet as in a checkerboard the exponent is (4/pi) arctan(c^-1/2): h^1.07 for c = 5.
    assert rates[:, :2].min() > 1.07
    assert rates[:, 2].min() > 1.9
    assert (errors[:, 2] < errors[:, :2].min(axis=1) / 20.0).all()
    assert errors[-1, 2] < 1e-4


def test_the_bracket_holds_however_early_the_iteration_stops():
    image = random_image((10, 9), 7, share=0.65)
    for coefficients, low in (({"a": 0.01, "b": 1.0}, 0.01), ({"b": 1.0}, 0.0)):
        exact = of_blocks(image, low, 1.0)
        tight = homogenize_image(image, coefficients, refine=2, rtol=1e-10)
        for rtol in (1e-2, 1e-4):
            tensor = homogenize_image(image, coefficients, refine=2, rtol=rtol)
            assert tensor.contains(exact, slack=1e-12)
            assert tensor.iterations < tight.iterations
            # The same spaces: no better than what minimises, and not much worse.
            assert np.linalg.eigvalsh(tensor.upper - tight.upper)[0] > -1e-10
            assert np.linalg.eigvalsh(tight.lower - tensor.lower)[0] > -1e-10
            assert np.linalg.norm(tensor.upper - tight.upper) < 4.0 * rtol


@pytest.mark.parametrize("coefficients", [{"b": 1.0}, {"a": 1e-4, "b": 1.0}, {"b": FULL}, {"a": 1e-3, "b": FULL}])
def test_what_the_iteration_leaves_is_about_rtol_on_both_sides(coefficients):
    image = random_image((8, 9, 7), 0, share=0.55)
    tight = homogenize_image(image, coefficients, rtol=1e-10, refine=2)
    for rtol in (1e-3, 1e-5):
        tensor = homogenize_image(image, coefficients, rtol=rtol, refine=2)
        # What removing the divergence costs is bounded; the energy of potentials is judged by its last steps.
        for left, whole, times in (
            (tight.lower - tensor.lower, tight.lower, 2.0),
            (tensor.upper - tight.upper, tight.upper, 5.0),
        ):
            assert np.linalg.eigvalsh(left)[-1] < times * rtol * np.linalg.eigvalsh(whole)[-1]


def test_anisotropic_voxels_are_a_rescaled_medium():
    shape, scale = (4, 5, 3), np.array([1.0, 2.0, 0.5])
    stretched = homogenize_image(random_image(shape, 1, voxel=tuple(scale)), {"a": 1.0, "b": 8.0}, rtol=1e-12)
    # In coordinates x / scale the voxels are cubes and D becomes D_ab / (scale_a scale_b).
    cubes = {name: k * np.diag(scale**-2.0) for name, k in (("a", 1.0), ("b", 8.0))}
    other = homogenize_image(random_image(shape, 1), cubes, rtol=1e-12)
    for one, two in ((stretched.lower, other.lower), (stretched.upper, other.upper)):
        assert np.allclose(one, two * np.outer(scale, scale), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("coefficients", [{"a": 1.0, "b": 8.0}, {"b": 1.0}, {"a": np.diag([1.0, 2.0, 3.0]), "b": 8.0}])
def test_shifts_permutations_and_doubled_periods_change_nothing(coefficients):
    image = random_image((5, 4, 6), 2, share=0.6, voxel=(1.0, 0.8, 1.2))
    first = homogenize_image(image, coefficients, refine=2, rtol=1e-12)
    order = (2, 0, 1)
    turned = {name: D if np.isscalar(D) else D[np.ix_(order, order)] for name, D in coefficients.items()}
    doubled = Image(phases=np.tile(image.phases, (1, 2, 1)), names=image.names, voxel=image.voxel)
    for other, same, by in (
        (image.shifted(2, 1, 5), coefficients, (0, 1, 2)),
        (image.transposed(*order), turned, order),
        (doubled, coefficients, (0, 1, 2)),
    ):
        tensor = homogenize_image(other, same, refine=2, rtol=1e-12)
        for here, there in ((first.lower, tensor.lower), (first.upper, tensor.upper)):
            assert np.allclose(here[np.ix_(by, by)], there, rtol=1e-7, atol=1e-7)


def test_a_plane_image_is_a_layer_of_a_solid_one():
    image = random_image((6, 5), 0, share=0.8, voxel=(1.0, 1.3))
    solid = Image(phases=np.repeat(image.phases[..., None], 2, axis=2), names=image.names, voxel=(1.0, 1.3, 0.7))
    for coefficients in ({"a": 1.0, "b": 20.0}, {"b": 20.0}):
        plane, thick = (homogenize_image(one, coefficients, refine=2, rtol=1e-12) for one in (image, solid))
        mean = sum(thick.volume_fractions[name] * value for name, value in coefficients.items())
        for here, there in ((plane.lower, thick.lower), (plane.upper, thick.upper)):
            assert np.allclose(here, there[:2, :2], rtol=1e-7, atol=1e-7)
            assert np.allclose(there[2, :2], 0.0, atol=1e-9)
            assert there[2, 2] == pytest.approx(mean)


def test_contrast_of_10000_in_iterations_that_do_not_grow_with_the_grid():
    i, j, k = np.indices((4, 4, 4))
    image = two_phase((i < 2) & (j < 2) & (k < 2))
    for coefficients in ({"a": 1.0, "b": 1e4}, {"a": 1e4, "b": 1.0}, {"a": 1.0}):
        counts = [homogenize_image(image, coefficients, refine=cuts).iterations for cuts in (3, 6, 12)]
        assert counts[2] < 1.3 * counts[0]
        assert counts[2] < 160


def test_islands_change_nothing():
    inside = np.zeros((8, 8), dtype=bool)
    inside[:, :3] = True
    inside[2:4, 4:7] = True
    inside[6, 6] = True
    image = two_phase(inside)
    with_them, without = (
        homogenize_image(image, {"b": 1.0}, refine=2, drop_islands=drop, rtol=1e-12) for drop in (False, True)
    )
    for tensor in (with_them, without):
        assert np.allclose(tensor.lower, np.diag([3 / 8, 0.0]), atol=1e-9)
        assert np.allclose(tensor.upper, np.diag([3 / 8, 0.0]), atol=1e-9)
    assert without.iterations < with_them.iterations
    assert without.volume_fractions == with_them.volume_fractions
    assert without.active_fraction == pytest.approx(inside.mean())


def test_full_tensors_beside_insulators_are_bracketed_on_every_grid():
    image = random_image((5, 6, 4), 1, share=0.8, voxel=(1.0, 0.8, 1.1))
    tensors = [homogenize_image(image, {"b": FULL}, refine=cuts) for cuts in (1, 2, 4)]
    for one in tensors:
        assert all(np.linalg.eigvalsh(one.upper - other.lower)[0] > 0.0 for other in tensors)
    gaps = [tensor.relative_gap for tensor in tensors]
    assert gaps[2] < 0.7 * gaps[1] < 0.5 * gaps[0]
    assert all(tensor.contains(tensors[2].value) for tensor in tensors)


@pytest.mark.parametrize("coefficients", [{"b": 3.0}, {"b": FULL}, {"a": 1.0, "b": FULL}])
def test_fields_are_admissible_and_carry_the_tensor(coefficients):
    image = random_image((7, 6, 5), 3, share=0.7, voxel=(1.0, 0.7, 1.2))
    solution = solve_image(image, coefficients, refine=2, rtol=1e-10)
    tensor = solution.tensor
    inside, scale = solution.inside, 1.0 / np.array(solution.image.voxel)
    for j, flux in enumerate(solution.fluxes):
        assert flux.shape == (3, 14, 12, 10)
        for a in range(3):
            wall = ~(inside & np.roll(inside, 1, axis=a))
            assert not flux[a][wall].any()
        leaving = sum((np.roll(flux[a], -1, axis=a) - flux[a]) * scale[a] for a in range(3))
        assert np.abs(leaving).max() < 1e-12
        assert np.allclose(flux.mean(axis=(1, 2, 3)), tensor.lower[:, j], rtol=1e-5, atol=1e-5)
        assert solution.potentials[j].shape == inside.shape


def test_fields_of_a_laminate():
    solution = solve_image(two_phase([[0, 1, 1]] * 2), {"a": 1.0, "b": 2.0}, rtol=1e-14)
    across = solution.potentials[1][0]
    # Series of 1 and 2 x 1/2: flux 3/2, gradients 3/2 and 3/4.
    assert np.allclose(np.diff(np.append(across, across[0])), [0.5, -0.25, -0.25])
    assert np.allclose(solution.fluxes[1][1], 1.5)
    assert np.allclose(solution.fluxes[1][0], 0.0)
    assert solution.history[0]["cuts"] == 1


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=3),
    st.integers(0, 2**32 - 1),
    st.floats(1.0, 1e3),
    st.floats(0.2, 5.0),
)
def test_random_images_are_ordered_and_between_voigt_and_reuss(shape, seed, contrast, edge):
    values = np.array([1.0, contrast, 0.5])
    phases = np.random.default_rng(seed).integers(0, 3, shape)
    _, small = np.unique(phases, return_inverse=True)
    names = tuple("abc"[k] for k in np.unique(phases))
    voxel = (edge,) + (1.0,) * (len(shape) - 1)
    image = Image(phases=small.reshape(shape), names=names, voxel=voxel)
    coefficients = {name: values["abc".index(name)] for name in names}
    tensor = homogenize_image(image, coefficients)
    local = values[phases]
    scale = 1e-9 * local.max()
    assert np.linalg.eigvalsh(tensor.upper - tensor.lower)[0] > -scale
    assert np.linalg.eigvalsh(tensor.lower)[0] > 1.0 / (1.0 / local).mean() * (1.0 - 1e-3) - scale
    assert np.linalg.eigvalsh(tensor.upper)[-1] < local.mean() + scale
