"""Boxes in three dimensions: laminates, columns, permutations, the order of the two methods."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from homfem.blocks import BlockMedium, homogenize_blocks
from homfem.blocks.boxes import BoxMedium, box_volumes, homogenize_boxes
from homfem.limits import MemoryLimitError
from homfem.parameters import CellError, InputError


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_laminates_to_round_off(axis):
    values, shares = np.array([0.1, 1.0, 3.0]), np.array([0.2, 0.5, 0.3])
    shape, lengths = [2, 2, 2], [None, None, None]
    shape[axis], lengths[axis] = 3, shares
    form = [-1 if a == axis else 1 for a in range(3)]
    medium = BoxMedium(diffusivity=values.reshape(form) * np.ones(shape), lengths=tuple(lengths))
    expected = np.full(3, (values * shares).sum())
    expected[axis] = 1.0 / (shares / values).sum()
    assert np.allclose(homogenize_boxes(medium, degree=2).value, np.diag(expected), atol=1e-12)
    volumes = box_volumes(medium, intervals=2, tolerance=1e-13)
    assert np.allclose(volumes.value, np.diag(expected), atol=1e-11)
    assert volumes.estimated_error < 1e-9
    assert volumes.warnings == ()


@pytest.mark.parametrize("contrast", [4.0, 1e4])
@pytest.mark.parametrize("solve", [homogenize_boxes, box_volumes])
def test_the_error_of_each_method_is_within_what_the_other_says(solve, contrast):
    """Columns of a checkerboard: the geometric mean across, and the arithmetic one along."""
    plane = np.array([[1.0, contrast], [contrast, 1.0]])
    tensor = solve(BoxMedium(diffusivity=np.repeat(plane[..., None], 2, axis=2)))
    exact = np.diag([contrast**0.5, contrast**0.5, 0.5 * (1.0 + contrast)])
    across = tensor.estimated_error * exact[0, 0]
    assert abs(tensor.value[0, 0] - exact[0, 0]) <= across or contrast > 10.0
    assert tensor.estimated_error > (1.0 if contrast > 10.0 else 0.0)
    assert bool(tensor.warnings) == (contrast > 10.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_columns_have_the_plane_tensor_across_and_the_mean_along(axis):
    # Block (row i, column j) of the plane medium is box (j, i) of the first two axes; the third is repeated.
    plane = np.array([[1.0, 0.2], [0.4, 3.0]])
    exact = homogenize_blocks(BlockMedium(diffusivity=plane, widths=[0.4, 0.6]), degree=6)
    mean = float((plane * [0.4, 0.6]).sum() / 2)
    cross = [a for a in range(3) if a != axis]
    lengths = [None, None, None]
    lengths[cross[0]] = [0.4, 0.6]
    diffusivity = np.repeat(np.expand_dims(plane.T, axis), 2, axis=axis)
    values = [
        homogenize_boxes(BoxMedium(diffusivity=diffusivity, lengths=tuple(lengths)), degree=degree).value
        for degree in (1, 3)
    ]
    for value in values:
        assert value[axis, axis] == pytest.approx(mean, rel=1e-9)
        across = value[np.ix_(cross, cross)]
        assert np.linalg.eigvalsh(exact.upper - across)[0] > 0.0
    gaps = [np.linalg.norm(value[np.ix_(cross, cross)] - exact.value) for value in values]
    assert gaps[1] < 0.5 * gaps[0]
    assert gaps[1] < 0.03


def test_anisotropic_boxes_stretch_to_isotropic_ones():
    rng = np.random.default_rng(3)
    values = 10.0 ** rng.uniform(-1, 1, (2, 1, 2))
    factors = np.array([2.0, 0.5, 1.5])
    plain = homogenize_boxes(BoxMedium(diffusivity=values), degree=2).value
    lengths = tuple(np.full(size, np.sqrt(factor) / size) for size, factor in zip((2, 1, 2), factors, strict=True))
    stretched = BoxMedium(diffusivity=values[..., None] * factors, lengths=lengths)
    assert np.allclose(homogenize_boxes(stretched, degree=2).value, np.diag(factors) @ plain, rtol=1e-9, atol=1e-12)


def test_galerkin_rises_volumes_fall_and_both_permute():
    rng = np.random.default_rng(0)
    values = 10.0 ** rng.uniform(-1, 1, (2, 2, 2))
    medium = BoxMedium(diffusivity=values)
    below = [homogenize_boxes(medium, degree=degree).value for degree in (0, 1, 3)]
    above = [box_volumes(medium, intervals=intervals).value for intervals in (4, 8, 16)]
    for low, high in itertools.pairwise(below):
        assert np.linalg.eigvalsh(high - low)[0] > 0.0
    for high, low in itertools.pairwise(above):
        assert np.linalg.eigvalsh(high - low)[0] > 0.0
    gap = np.linalg.eigvalsh(above[-1] - below[-1])
    assert 0.0 < gap[0] < gap[-1] < 5e-3
    turned = BoxMedium(diffusivity=values.transpose(2, 0, 1))
    order = np.ix_([2, 0, 1], [2, 0, 1])
    assert np.allclose(
        homogenize_boxes(turned, degree=2).value, homogenize_boxes(medium, degree=2).value[order], atol=1e-10
    )
    assert np.allclose(box_volumes(turned, intervals=4).value, above[0][order], atol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"diffusivity": [[1.0, 2.0]]}, "shape"),
        ({"diffusivity": np.zeros((2, 2, 2))}, "zero"),
        ({"diffusivity": [[[1.0, 0.0]]]}, "> 0 in every box"),
        ({"diffusivity": [[[1.0, np.nan]]]}, "nan"),
        ({"diffusivity": [[[1.0, 2.0]]], "lengths": ([1.0], [1.0], [1.0])}, r"lengths\[2\]"),
        ({"diffusivity": [[[1.0, 2.0]]], "lengths": ([1.0], [1.0])}, "three lists"),
    ],
)
def test_bad_boxes_are_refused(arguments, message):
    with pytest.raises(CellError, match=message):
        BoxMedium(**arguments)


def test_bad_options_are_refused():
    medium = BoxMedium(diffusivity=[[[1.0, 2.0]]])
    for options in ({"degree": -1}, {"degree": 9}, {"modes": 3}):
        with pytest.raises(InputError):
            homogenize_boxes(medium, **options)
    with pytest.raises(InputError):
        box_volumes(medium, intervals=0)


def test_what_the_other_method_cannot_do_is_said(monkeypatch):
    monkeypatch.setenv("HOMFEM_MEMORY", "1 MB")
    medium = BoxMedium(diffusivity=np.ones((2, 2, 2)))
    tensor = homogenize_boxes(medium, degree=0)
    assert tensor.estimated_error is None
    assert "nothing is known of the error" in tensor.warnings[0]
    with pytest.raises(MemoryLimitError, match="intervals"):
        box_volumes(medium)
