"""Block media: what is refused, and what the generators of the paper's media make."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.blocks.media import aggregated, checkerboard, inclusions_image, paper_case, pixelated
from homfem.blocks.medium import BlockMedium
from homfem.blocks.rectangles import merged_blocks, single_blocks
from homfem.parameters import CellError, InputError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"diffusivity": [[1.0, -2.0], [1.0, 1.0]]}, r"diffusivity\[0, 1\].*-2.0.*>= 0"),
        ({"diffusivity": [[1.0, np.nan]]}, r"diffusivity\[0, 1\].*nan"),
        ({"diffusivity": [[1.0, np.inf]]}, r"diffusivity\[0, 1\].*inf"),
        ({"diffusivity": [[1.0, 2.0], [1.0]]}, "rectangular"),
        ({"diffusivity": [[0.0, 0.0]]}, "All blocks are zero"),
        ({"diffusivity": [1.0, 2.0]}, r"shape \(m, n\)"),
        ({"diffusivity": [[[1.0, 0.0]]]}, "together"),
        ({"diffusivity": [[1.0, 2.0]], "widths": [1.0]}, "widths.*2 finite numbers > 0"),
        ({"diffusivity": [[1.0, 2.0]], "widths": [1.0, 0.0]}, "widths"),
        ({"diffusivity": [[1.0, 2.0]], "heights": [np.nan]}, "heights"),
    ],
)
def test_bad_media_are_refused(arguments, message):
    with pytest.raises(CellError, match=message):
        BlockMedium(**arguments)


def test_layout_strings_have_the_top_row_first():
    medium = BlockMedium.from_layout(["LD", "LL"], {"L": 1.0, "D": 0.1})
    assert medium.diffusivity.tolist() == [[1.0, 1.0], [1.0, 0.1]]
    perforated = BlockMedium.from_layout(["LV"], {"L": [2.0, 3.0]})
    assert perforated.axial.tolist() == [[[2.0, 3.0], [0.0, 0.0]]]
    with pytest.raises(CellError, match="one length"):
        BlockMedium.from_layout(["LL", "L"], {"L": 1.0})
    with pytest.raises(InputError, match="phases"):
        BlockMedium.from_layout(["LL"], {"L": 1.0, "Q": 2.0})
    with pytest.raises(CellError, match="list of strings"):
        BlockMedium.from_layout("LL", {"L": 1.0})


def test_media_are_frozen_and_unaffected_by_later_changes():
    given = np.ones((2, 2))
    medium = BlockMedium(diffusivity=given)
    given[0, 0] = 5.0
    assert medium.diffusivity[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        medium.diffusivity[0, 0] = 2.0


def test_paper_cases_have_the_areas_that_their_layouts_say():
    dark = {name: float((paper_case(name).diffusivity == 0.1).mean()) for name in "1234ABCD"}
    assert dark == {"1": 0.25, "2": 0.25, "3": 0.25, "4": 0.25, "A": 0.25, "B": 0.25, "C": 0.25, "D": 0.25}
    assert paper_case("C").shape == (16, 16)
    assert np.array_equal(checkerboard(3).diffusivity, [[0.1, 1, 0.1], [1, 0.1, 1], [0.1, 1, 0.1]])


def test_aggregated_media_are_seeded_half_and_half_and_aggregated():
    medium = aggregated(20, seed=3, iterations=10)
    assert np.array_equal(medium.diffusivity, aggregated(20, seed=3, iterations=10).diffusivity)
    assert not np.array_equal(medium.diffusivity, aggregated(20, seed=4, iterations=10).diffusivity)
    assert np.count_nonzero(medium.diffusivity == 1.0) == 200
    scattered = aggregated(20, seed=3, iterations=0).diffusivity

    def equal_neighbours(values):
        return np.mean(values == np.roll(values, 1, axis=0)) + np.mean(values == np.roll(values, 1, axis=1))

    assert equal_neighbours(medium.diffusivity) > 1.6 > 1.2 > equal_neighbours(scattered)


def test_aggregation_uses_the_weights_of_equation_68():
    # Three steps by the nine-point formula written out decide the same half of the blocks.
    field = np.random.default_rng(5).random((20, 20))
    for _ in range(3):
        smoothed = 4 / 9 * field
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                if di or dj:
                    smoothed = smoothed + (1 / 36 if di and dj else 1 / 9) * np.roll(field, (di, dj), (0, 1))
        field = smoothed
    expected = np.where(field >= np.sort(field, axis=None)[200], 1.0, 0.1)
    assert np.array_equal(aggregated(20, seed=5, iterations=3).diffusivity, expected)


def test_pixelation_thresholds_the_means():
    image = np.full((4, 4), 0.1)
    image[:2, :2] = [[1.0, 1.0], [0.1, 0.1]]  # mean .55: light
    image[2:, 2:] = [[1.0, 0.1], [0.1, 0.1]]  # mean .325: dark
    assert pixelated(image, 2).diffusivity.tolist() == [[1.0, 0.1], [0.1, 0.1]]
    assert np.array_equal(pixelated(image, 4).diffusivity, image)
    for bad, resolution in ((np.ones((4, 3)), 2), (image, 3), (image, 0), (np.full((4, 4), np.nan), 2)):
        with pytest.raises(InputError):
            pixelated(bad, resolution)
    picture = inclusions_image(64)
    assert set(np.unique(picture)) == {0.1, 1.0}


def test_collapse_joins_equal_rows_and_columns_across_the_period_too():
    small = paper_case("C").collapsed()
    assert small.shape == (2, 2)
    assert sorted(np.asarray(small.widths)) == [0.5, 0.5]
    assert small.diffusivity.min() == 0.1
    assert BlockMedium(diffusivity=np.ones((3, 4))).collapsed().shape == (1, 1)
    assert paper_case("3").collapsed().shape == (2, 1)


@pytest.mark.parametrize("seed", range(4))
def test_merged_rectangles_tile_the_conducting_blocks(seed):
    rng = np.random.default_rng(seed)
    medium = BlockMedium(diffusivity=rng.choice([0.0, 0.1, 1.0], (9, 7)))
    partition = merged_blocks(medium)
    cover = np.zeros((9, 7), dtype=int)
    for number, (bottom, top, first, last) in enumerate(partition.boxes):
        cover[bottom:top, first:last] += 1
        assert np.ptp(medium.diffusivity[bottom:top, first:last]) == 0.0
        assert np.all(partition.owner[bottom:top, first:last] == number)
    assert np.array_equal(cover == 1, medium.conducting)
    assert cover.max() == 1
    assert len(partition.boxes) < len(single_blocks(medium).boxes)


def test_the_largest_rectangle_comes_first():
    medium = paper_case("4")
    sizes = [(b - a) * (d - c) for a, b, c, d in merged_blocks(medium).boxes]
    assert sizes[0] == 16
    assert sizes == sorted(sizes, reverse=True)


def test_components_connect_through_edges_and_the_period():
    number, label = BlockMedium(diffusivity=[[1, 0, 1], [0, 1, 0], [0, 0, 0]]).components()
    assert number == 2
    assert label[0, 0] == label[0, 2] != label[1, 1]
    assert label[0, 1] == -1
