"""Connected parts of images on the torus, counted by hand and by another method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from homfem.grid import Image, connectivity, find_parts
from homfem.grid.connectivity import open_passages
from homfem.parameters import InputError


def image_of(inside, voxel=1.0) -> Image:
    return Image.from_labels(np.asarray(inside).astype(int), {"a": 1, "b": 0}, voxel=voxel)


def test_inclusion_is_an_island_and_its_matrix_percolates():
    inside = np.zeros((6, 6), dtype=bool)
    inside[2:4, 2:4] = True
    report = connectivity(image_of(inside, voxel=(2.0, 0.5)))
    assert (report["a"].parts, report["a"].islands, report["a"].axes, report["a"].rank) == (1, 1, (), 0)
    assert report["a"].island_volume == pytest.approx(4.0)
    assert report["a"].island_fraction == pytest.approx(4 / 36)
    assert (report["b"].parts, report["b"].islands, report["b"].axes) == (1, 0, (0, 1))
    assert "along no axis" in str(report["a"])
    assert "1 island(s)" in str(report["a"])
    assert "along x and y" in str(report["b"])


def test_inclusion_cut_by_the_corners_is_one_island():
    inside = np.zeros((6, 6), dtype=bool)
    inside[np.ix_([0, 5], [0, 5])] = True
    assert connectivity(image_of(inside))["a"].parts == 1
    assert connectivity(image_of(inside))["a"].islands == 1


def test_layers_percolate_along_themselves_only():
    inside = np.zeros((5, 5, 5), dtype=bool)
    inside[:, :, [1, 3]] = True
    report = connectivity(image_of(inside), ("a", "b"))
    assert (report["a"].parts, report["a"].axes, report["a"].rank) == (2, (0, 1), 2)
    assert (report["b"].parts, report["b"].axes) == (2, (0, 1))
    assert report["a + b"].axes == (0, 1, 2)
    assert report["a + b"].parts == 1


def test_staircase_percolates_along_the_diagonal_only():
    n = 6
    i, j = np.indices((n, n))
    inside = (i == j) | (i == (j + 1) % n)
    report = connectivity(image_of(inside))
    assert (report["a"].parts, report["a"].islands, report["a"].axes, report["a"].rank) == (1, 0, (), 1)
    assert "obliquely" in str(report["a"])
    span = find_parts(inside).span((1.0, 2.0))
    assert np.allclose(np.abs(span), np.array([[1.0, 2.0]]) / np.sqrt(5.0))


def test_voxels_that_meet_at_corners_and_edges_are_apart():
    assert connectivity(image_of(np.indices((4, 4)).sum(axis=0) % 2))["a"].islands == 8
    inside = np.zeros((4, 4, 4), dtype=bool)
    inside[1, 1, :] = inside[2, 2, :] = True
    assert connectivity(image_of(inside))["a"].parts == 2


def test_a_helix_that_closes_after_two_turns():
    # One path that crosses the period in x twice and in y once before it comes back.
    inside = np.zeros((4, 8), dtype=bool)
    inside[:, 0] = inside[:, 4] = True
    inside[0, 0:5] = inside[0, 4:8] = True
    inside[1, 0] = inside[1, 4] = False
    parts = find_parts(inside)
    assert len(parts.voxels) == 1
    assert len(parts.span((1.0, 1.0))) == 1
    inside[1, 0] = True
    assert len(find_parts(inside).span((1.0, 1.0))) == 2


def test_one_voxel_and_nothing():
    assert find_parts(np.ones((1, 1), dtype=bool)).span((1.0, 1.0)).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    nothing = find_parts(np.zeros((2, 3), dtype=bool))
    assert len(nothing.voxels) == 0
    assert nothing.span((1.0, 1.0)).shape == (0, 2)
    assert not nothing.number.any()


def test_unknown_phases_are_refused():
    with pytest.raises(InputError, match="phase = 'c'"):
        connectivity(image_of(np.eye(3)), ("a", "c"))


def ways(inside: np.ndarray) -> tuple[int, int]:
    """Number of parts on the torus and, by counting parts on a cell of twice the period, whether each is an island."""

    def count(array: np.ndarray) -> tuple[int, np.ndarray]:
        numbers = np.arange(array.size).reshape(array.shape)
        pairs = [(numbers[both], np.roll(numbers, 1, axis)[both])
                 for axis in range(array.ndim) for both in [array & np.roll(array, 1, axis)]]  # fmt: skip
        low, high = (np.concatenate(part) for part in zip(*pairs, strict=True))
        graph = coo_matrix((np.ones(len(low)), (low, high)), shape=(array.size, array.size))
        return connected_components(graph, directed=False)[1][array.ravel()], array

    labels, _ = count(inside)
    # An island has as many copies in a cell of three times the period along each axis as that cell has periods.
    wide, _ = count(np.tile(inside, (3,) * inside.ndim))
    original = np.full(inside.shape, -1)
    original[inside] = labels
    pairs = np.unique(
        np.column_stack([np.tile(original, (3,) * inside.ndim)[np.tile(inside, (3,) * inside.ndim)], wide]), axis=0
    )
    copies = np.unique(pairs[:, 0], return_counts=True)[1]
    return len(np.unique(labels)), int((copies == 3**inside.ndim).sum())


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(2, 6), st.integers(2, 6)), elements=st.booleans()))
def test_random_plane_images_against_copies_of_the_cell(inside):
    parts = find_parts(inside)
    assert (len(parts.voxels), int(parts.islands.sum())) == (ways(inside) if inside.any() else (0, 0))
    assert parts.voxels.sum() == inside.sum()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.35, 0.5]))
def test_random_images_against_copies_of_the_cell(seed, share):
    inside = np.random.default_rng(seed).random((4, 3, 5)) < share
    parts = find_parts(inside)
    assert (len(parts.voxels), int(parts.islands.sum())) == (ways(inside) if inside.any() else (0, 0))


def test_passages_without_their_thin_parts():
    inside = np.zeros((8, 8), dtype=bool)
    inside[:, 2:4] = True  # a channel two pixels wide along x ...
    inside[5, :] = True  # ... and one of one pixel along y
    assert open_passages(inside).sum() == 16
    assert not open_passages(inside)[5, 5]
    wrapped = np.zeros((6, 6), dtype=bool)
    wrapped[:, [0, 5]] = True  # two pixels wide across the period
    assert np.array_equal(open_passages(wrapped), wrapped)
    assert np.array_equal(open_passages(np.ones((3, 1, 4), dtype=bool)), np.ones((3, 1, 4), dtype=bool))
