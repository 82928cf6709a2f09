"""The place between the bounds that is measured on a sample."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import scipy.ndimage

from homfem.grid import Image, calibration, homogenize_image
from homfem.parameters import InputError


def smooth_image(n: int, seed: int) -> Image:
    """A thresholded random field, correlated over some voxels."""
    field = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((n, n, n)), 1.2, mode="wrap")
    return Image.from_grey(field, float(np.median(field)), ["a", "b"])


def test_extrapolation_is_exact_for_powers():
    for power in (0.7, 1.4, 2.0, 5.0):
        values = [3.0 - 0.2 * (1.0 / k) ** power for k in (1, 2, 3)]
        assert calibration.extrapolated(values) == pytest.approx(3.0, abs=1e-12)
    assert calibration.extrapolated([1.0, 1.0, 1.0]) == 1.0
    assert calibration.extrapolated([1.0, 2.0, 1.5]) == 1.5
    assert calibration.extrapolated([1.0, 1.1, 1.3]) == 1.3


@pytest.mark.parametrize("coefficients", [{"a": 1.0, "b": 20.0}, {"a": 20.0, "b": 1.0}])
@pytest.mark.parametrize("d", [2, 3])
def test_the_calibrated_value_is_near_the_exact_one(monkeypatch, coefficients, d):
    """Obnosov's squares of fraction 1/4, nine of them of 2 x 2 pixels; in space prisms, whose samples are a ninth."""
    monkeypatch.setitem(calibration.SAMPLE_EDGE, d, 4)
    phases = np.tile(np.pad(np.ones((2, 2), dtype=int), 1), (3, 3))
    image = Image(phases=phases if d == 2 else np.repeat(phases[None], 4, axis=0), names=("a", "b"))
    outside, inside = coefficients["a"], coefficients["b"]
    exact = outside * np.sqrt((outside + 3.0 * inside) / (inside + 3.0 * outside))
    midpoint, tensor = (homogenize_image(image, coefficients, estimate=how) for how in ("midpoint", "calibrated"))
    across = slice(d - 2, None)
    errors = [np.abs(np.diag(one.value)[across] - exact).max() for one in (midpoint, tensor)]
    assert errors[0] > 5e-4 * exact
    assert errors[1] < 0.01 * errors[0]
    assert tensor.value[0, 0] == pytest.approx(exact if d == 2 else 0.75 * outside + 0.25 * inside, rel=1e-5)


@pytest.mark.parametrize("coefficients", [{"a": 1.0, "b": 100.0}, {"b": 1.0}])
def test_the_calibrated_value_is_closer_than_the_midpoint(monkeypatch, coefficients):
    monkeypatch.setitem(calibration.SAMPLE_EDGE, 3, 12)
    image = smooth_image(24, 1)
    tensors = [homogenize_image(image, coefficients, refine=cuts) for cuts in (1, 2, 3)]
    # Of no disordered image is the exact value known: here what the finer grids of the whole of it tend to.
    limit = [calibration.extrapolated([tensor.value[i, i] for tensor in tensors]) for i in range(3)]
    tensor = homogenize_image(image, coefficients, estimate="calibrated")
    errors = [np.abs(np.diag(one.value) - limit).max() for one in (tensors[0], tensor)]
    assert errors[1] < 0.5 * errors[0]
    assert tensor.contains(tensor.value)
    assert np.allclose(tensor.lower, tensors[0].lower, rtol=1e-12)
    assert tensor.seconds["calibration"] > 0.0


def test_the_sample_most_like_the_image_comes_first(monkeypatch):
    monkeypatch.setitem(calibration.SAMPLE_EDGE, 2, 4)
    phases = np.zeros((16, 16), dtype=int)
    phases[8:12, 4:8] = [[0, 1, 0, 1]] * 4
    phases[0:4, 0:4] = np.eye(4)
    phases = np.maximum(phases, np.arange(16) % 2 * (np.indices((16, 16))[0] >= 12))
    for image in (Image(phases=phases, names=("a", "b")), Image(phases=phases[::-1, ::-1], names=("a", "b"))):
        found = list(calibration.samples(image))
        assert all(block.names == ("a", "b") for block in found)
        assert all(block.shape == (4, 4) for block in found)
        whole = image.volume_fractions
        differences = [
            sum(abs(block.volume_fractions[name] / whole[name] - 1.0) for name in whole)
            + abs(block.interface_area / image.interface_area - 1.0)
            for block in found
        ]
        assert differences == sorted(differences)
        assert 1 < len(found) < 16


def test_without_a_sample_that_percolates_the_midpoint_stays(monkeypatch, caplog):
    monkeypatch.setattr(calibration, "samples", lambda image: iter(()))
    with caplog.at_level(logging.WARNING, logger="homfem"):
        tensor = homogenize_image(smooth_image(6, 0), {"a": 1.0, "b": 2.0}, estimate="calibrated")
    assert np.allclose(tensor.value, 0.5 * (tensor.lower + tensor.upper))
    assert "no sample" in caplog.text


def test_samples_that_do_not_percolate_are_passed_over(monkeypatch):
    island = np.zeros((4, 4), dtype=int)
    island[1:3, 1:3] = 1
    path = island.copy()
    path[:, 1] = 1
    blocks = [Image(phases=phases, names=("a", "b")) for phases in (island, path)]
    seen = []
    monkeypatch.setattr(calibration, "samples", lambda image: iter(blocks))

    def solve(block: Image, cuts: int):
        seen.append(block)
        return homogenize_image(block, {"b": 1.0}, refine=cuts, thin_gaps="solve")

    assert 0.0 <= calibration.measured_weight(blocks[1], solve, 1) <= 1.0
    assert seen[0] is blocks[0]
    assert seen[1:] == [blocks[1]] * 3


def test_a_bracket_without_width_needs_no_sample_twice():
    layers = Image.from_labels([[0, 1]] * 2, {"a": 0, "b": 1})
    tensor = homogenize_image(layers, {"a": 1.0, "b": 3.0}, estimate="calibrated", rtol=1e-10)
    assert np.allclose(tensor.value, np.diag([2.0, 1.5]))


def test_bad_options_are_refused():
    image = smooth_image(4, 0)
    with pytest.raises(InputError, match="estimate = 'best'"):
        homogenize_image(image, {"a": 1.0}, estimate="best")
    with pytest.raises(InputError, match="two-sided"):
        homogenize_image(image, {"a": 1.0}, estimate="calibrated", bounds=False)
