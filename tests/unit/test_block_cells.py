"""Blocks as unit cells: exact fractions, matching meshes, and the finite elements' bracket around other methods."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import homfem
from homfem import cells
from homfem.blocks import BlockMedium, homogenize_blocks
from homfem.blocks.boxes import BoxMedium, box_volumes, homogenize_boxes
from homfem.blocks.layout import label_fractions, label_interface, layer_lengths, read_layout
from homfem.meshing.shapes.box_grid import block_array_raw, box_grid_raw
from homfem.parameters import CellError, InputError, Lattice

LAYOUT = ["LDD", "LLD"]
SIZES = {"widths": [0.5, 0.3, 0.2], "heights": [0.25, 0.75]}


def test_first_string_is_the_top_row_and_labels_count_from_the_origin():
    labels, letters = read_layout(["ab", "cd", "ca"])
    assert letters == ("a", "b", "c", "d")
    assert labels.tolist() == [[2, 2, 0], [0, 3, 1]]  # column by column, upwards
    deep, _ = read_layout([["ab", "cd"], ["cc", "bb"]])
    assert deep[:, :, 0].tolist() == [[1, 2], [1, 2]]  # the second list is the lower layer
    assert deep[:, :, 1].tolist() == [[2, 0], [3, 1]]


def test_fractions_and_areas_are_exact():
    cell = cells.blocks(LAYOUT, **SIZES, period=[2.0, 1.0], length_unit="um", resolution=0.2)
    assert cell.volume_fractions == pytest.approx({"L": 0.725, "D": 0.275}, abs=1e-13)
    # Sides: D's outline is 0.25 + 0.6 + 0.75 + 1 (period), its top and bottom against L 0.6.
    assert cell.interface_area == pytest.approx(3.2 / 2.0, abs=1e-12)
    assert cell.periods == pytest.approx((2.0, 1.0), abs=1e-14)
    labels, letters = read_layout(LAYOUT)
    lengths = layer_lengths(labels.shape, **SIZES)
    assert label_fractions(labels, letters, lengths) == pytest.approx({"L": 0.725, "D": 0.275}, abs=1e-14)
    physical = [2.0 * lengths[0], lengths[1]]
    assert label_interface(labels, physical) == pytest.approx(cell.interface_area, abs=1e-12)


def test_the_bracket_holds_the_corner_galerkin_tensor():
    cell = cells.blocks(LAYOUT, **SIZES, period=[2.0, 1.0], resolution=0.1)
    found = homfem.homogenize_diffusion(cell, {"L": 1.0, "D": 0.1}, tolerance=1e-3)
    medium = BlockMedium.from_layout(LAYOUT, {"L": 1.0, "D": 0.1}, widths=[1.0, 0.6, 0.4], heights=[0.25, 0.75])
    exact = homogenize_blocks(medium, degree=8)
    assert found.contains(exact.value)
    assert np.abs(found.value - exact.value).max() < 1e-4
    turned = BlockMedium.from_layout(LAYOUT, {"L": 1.0, "D": 0.1}, widths=[1.0, 0.6, 0.4], heights=[0.75, 0.25])
    assert not found.contains(homogenize_blocks(turned, degree=8).value)


letters = st.lists(st.lists(st.sampled_from("abc"), min_size=3, max_size=3), min_size=1, max_size=3)


@settings(max_examples=8, deadline=None)
@given(rows=letters, seed=st.integers(0, 10**6))
def test_random_layouts_lie_inside_the_bracket(rows, seed):
    layout = ["".join(row) for row in rows]
    rng = np.random.default_rng(seed)
    widths, heights = rng.dirichlet(np.full(3, 4.0)), rng.dirichlet(np.full(len(rows), 4.0))
    values = dict(zip("abc", 10.0 ** rng.uniform(-1.0, 1.0, 3), strict=True))
    values = {letter: value for letter, value in values.items() if any(letter in row for row in layout)}
    cell = cells.blocks(layout, widths=widths, heights=heights, resolution=0.2)
    found = homfem.homogenize_diffusion(cell, values)
    exact = homogenize_blocks(BlockMedium.from_layout(layout, values, widths=widths, heights=heights), degree=6)
    assert found.contains(exact.value, slack=1e-9)


def test_an_insulating_letter_is_left_out():
    cell = cells.blocks(["LLV", "LDL", "LLL"], resolution=0.15)
    found = homfem.homogenize_diffusion(cell, {"L": 1.0, "D": 0.1}, tolerance=5e-3)
    exact = homogenize_blocks(BlockMedium.from_layout(["LLV", "LDL", "LLL"], {"L": 1.0, "D": 0.1}), degree=8)
    assert found.contains(exact.value)


BOXES = [["ab", "cc"], ["ba", "bd"]]
VALUES = {"a": 1.0, "b": 0.4, "c": 2.0, "d": 0.7}


def test_boxes_lie_inside_the_bracket_of_the_finite_elements():
    sizes = {"widths": [0.4, 0.6], "heights": [0.5, 0.5], "depths": [0.35, 0.65]}
    found = homfem.homogenize_diffusion(cells.blocks(BOXES, **sizes, resolution=0.15), VALUES, tolerance=8e-3)
    labels, names = read_layout(BOXES)
    medium = BoxMedium(
        diffusivity=np.array([VALUES[name] for name in names])[labels],
        lengths=tuple(layer_lengths(labels.shape, **sizes)),
    )
    galerkin = homogenize_boxes(medium.graded((0.5, 0.5)), degree=2).value
    assert found.contains(galerkin)
    assert np.abs(galerkin - found.value).max() < 4e-3
    # Coarser ones fall below, as their theory says.
    assert np.linalg.eigvalsh(galerkin - homogenize_boxes(medium, degree=1).value)[0] > 0.0


def test_cubes_lie_between_the_finite_elements_and_the_finite_volumes():
    labels, names = read_layout(BOXES)
    medium = BoxMedium(diffusivity=np.array([VALUES[name] for name in names])[labels])
    found = homfem.homogenize_diffusion(cells.blocks(BOXES, resolution=0.15), VALUES, tolerance=8e-3)
    volumes = box_volumes(medium, intervals=8)
    assert np.linalg.eigvalsh(volumes.upper - found.lower)[0] > 0.0
    assert found.contains(homogenize_boxes(medium.graded((0.5, 0.5)), degree=2).value)


def test_laminates_of_boxes_are_exact():
    found = homfem.homogenize_diffusion(
        cells.blocks([["a"], ["b"], ["a"]], depths=[0.2, 0.5, 0.3], resolution=1 / 3), {"a": 1.0, "b": 0.25}
    )
    assert np.diag(found.value) == pytest.approx([0.625, 0.625, 1 / (0.5 + 0.5 / 0.25)], rel=1e-8)


@pytest.mark.parametrize(
    ("layout", "options", "name"),
    [
        (["LL", "L"], {}, "layout"),
        ("LL", {}, "layout"),
        ([], {}, "layout"),
        ([""], {}, "layout"),
        ([["LL"], ["LL", "LL"]], {}, "layout"),
        ([1, 2], {}, "layout"),
        (["LD"], {"widths": [0.5]}, "widths"),
        (["LD"], {"widths": [0.5, 0.4]}, "widths"),
        (["LD"], {"widths": [1.5, -0.5]}, "widths"),
        (["LD"], {"widths": [0.5, float("nan")]}, "widths"),
        (["LD"], {"heights": [0.5, 0.5]}, "heights"),
        (["LD"], {"depths": [1.0]}, "depths"),
        (["LD"], {"period": [1.0, 1.0, 1.0]}, "period"),
        (["LD"], {"period": Lattice.box(1.0, 1.0)}, "period"),
        (["LD"], {"resolution": 0.5}, "resolution"),
        (["LD"], {"grading": 0.0}, "grading"),
        (["LD"], {"growth": -1.0}, "growth"),
    ],
)
def test_bad_input_is_refused(layout, options, name):
    with pytest.raises(InputError) as caught:
        cells.blocks(layout, **options)
    assert caught.value.name == name


def test_tags_fit_the_grid():
    axes = [np.linspace(0.0, 1.0, 4)] * 2
    with pytest.raises(CellError, match="one tag per box"):
        box_grid_raw(axes, np.ones((2, 3), dtype=np.int32), {"a": 1})


def test_graded_boxes_are_refused_unless_their_shares_fill_the_box():
    medium = BoxMedium(diffusivity=np.ones((1, 1, 1)))
    for shares in ((0.2, 0.2), (0.5, 0.5, -0.1, 0.1)):
        with pytest.raises(CellError, match="shares"):
            medium.graded(shares)
    assert [part.tolist() for part in medium.graded((0.25, 0.75)).lengths] == [[0.25, 0.75]] * 3


def test_grading_refines_at_the_sides_of_the_blocks():
    labels = np.array([[1, 2], [2, 1]])
    raw = block_array_raw(labels, {"a": 1, "b": 2}, [np.full(2, 0.5)] * 2, resolution=0.125, grading=0.2)
    x = np.unique(raw.points[:, 0])
    steps = np.diff(x)
    assert steps[0] == pytest.approx(steps[-1], rel=1e-12)
    assert steps.min() == pytest.approx(steps[0], rel=1e-12)
    assert steps.max() > 2.0 * steps[0]
    assert {0.0, 0.5, 1.0} <= {round(value, 14) for value in x}


def case_tensor(comm) -> dict:
    found = homfem.homogenize_diffusion(cells.blocks(LAYOUT, **SIZES, resolution=0.1, comm=comm), {"L": 1.0, "D": 0.1})
    return {"numbers": [*found.value.ravel(), *found.lower.ravel(), *found.upper.ravel()]}


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    one, two, three = (result["numbers"] for result in on_ranks(case_tensor))
    assert two == pytest.approx(one, rel=1e-7, abs=1e-9)
    assert three == pytest.approx(one, rel=1e-7, abs=1e-9)
