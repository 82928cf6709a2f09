"""Cells painted with boxes, and images as cells: exact fractions and areas, the tensors' known values, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homfem import cells, homogenize_diffusion
from homfem.cells.painted import painted_cell
from homfem.grid import Image, homogenize_image
from homfem.meshing.shapes.painted import Box, paint, pipe_boxes
from homfem.parameters import InputError, PeriodicityError


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("axis", [0, 1])
def test_laminates_are_exact(axis, dimension):
    shares, values = [0.2, 0.3, 0.5], [1.0, 4.0, 0.5]
    cell = cells.laminate(shares, axis="xyz"[axis], dimension=dimension, resolution=1 / 3)
    assert list(cell.volume_fractions.values()) == pytest.approx(shares, abs=1e-13)
    assert cell.interface_area == pytest.approx(3.0, abs=1e-12)
    found = homogenize_diffusion(cell, dict(zip(cell.phase_names, values, strict=True)), rtol=1e-12)
    expected = np.full(dimension, np.dot(shares, values))
    expected[axis] = 1.0 / np.dot(shares, 1.0 / np.array(values))
    assert np.abs(found.lower - np.diag(expected)).max() < 1e-10
    assert np.abs(found.upper - np.diag(expected)).max() < 1e-10


def test_slits_carry_along_their_walls_alone():
    cell = cells.slit([0.2, 0.1], axis="z", dimension=3, period=[2.0, 1.0, 1.0], length_unit="um")
    assert cell.volume_fractions == pytest.approx({"pore": 0.3, "solid": 0.7}, abs=1e-13)
    assert cell.interface_area == pytest.approx(4.0, abs=1e-12)
    found = homogenize_diffusion(cell, {"pore": 2.0})
    assert np.abs(found.upper - np.diag([0.6, 0.6, 0.0])).max() < 1e-9
    assert np.abs(found.lower - np.diag([0.6, 0.6, 0.0])).max() < 1e-9


def test_obstacles_have_their_fractions_and_the_dual_of_keller():
    square = cells.obstacles(0.5, resolution=1 / 8)
    assert square.volume_fractions["obstacle"] == pytest.approx(0.25, abs=1e-13)
    k1, k2 = 5.0, 1.0
    # Obnosov's square of fraction 1/4.
    exact = k2 * np.sqrt((k2 + 3 * k1) / (k1 + 3 * k2))
    found = homogenize_diffusion(square, {"obstacle": k1, "pore": k2}, tolerance=2e-3)
    assert found.contains(exact)
    assert found.value[0, 0] == pytest.approx(exact, rel=2e-4)
    staggered = cells.obstacles([0.3, 0.4], lattice="staggered", resolution=1 / 8)
    assert staggered.volume_fractions["obstacle"] == pytest.approx(0.24, abs=1e-13)
    assert staggered.interface_area == pytest.approx(2 * 2 * 0.7, abs=1e-12)
    one = homogenize_diffusion(staggered, {"obstacle": 4.0, "pore": 1.0})
    other = homogenize_diffusion(staggered, {"obstacle": 1.0, "pore": 4.0})
    # Keller: kappa_x(a, b) kappa_y(b, a) = a b lies between the products of the bounds.
    assert one.lower[0, 0] * other.lower[1, 1] < 4.0 < one.upper[0, 0] * other.upper[1, 1]


def test_sheets_by_their_formulas():
    t, e = 0.25, 0.3
    cell = cells.sheets(t, e, axis="y", resolution=0.2)
    assert cell.volume_fractions["er"] == pytest.approx(t + e**2 * (1 - t), abs=1e-13)
    assert cell.interface_area == pytest.approx(2 * (1 - e**2) + 4 * e * (1 - t), abs=1e-12)
    # Without the plane sheet's whole section nothing flows along y but through the tube.
    found = homogenize_diffusion(cell, {"er": 1.0})
    assert found.upper[1, 1] < e**2 + 0.15
    assert found.lower[0, 0] > t - 0.01


@pytest.mark.slow
def test_tortuous_pipes_have_the_numbers_of_the_paper():
    cell = cells.tortuous_pipes(resolution=1 / 3)
    assert cell.volume_fractions["er"] == pytest.approx(0.0285, abs=5e-5)
    assert cell.interface_area == pytest.approx(1.2, abs=0.03)
    found = homogenize_diffusion(cell, {"er": 1.0})
    assert found.value[0, 0] == pytest.approx(6.7e-3, abs=5e-5)
    assert found.value[1, 1] == pytest.approx(6.7e-3, abs=5e-5)
    assert found.value[2, 2] == pytest.approx(1.04e-2, abs=5e-5)


def test_myocytes_are_joined_and_so_is_the_space_around_them():
    cell = cells.myocyte(80.0, 16.0, 12.0, 2.0, resolution=1 / 3)
    inside = 80 * 16 * 12 / (82 * 18 * 14)
    patch = 0.2 * (80 - 2) / 2
    junctions = 2 * (2 * 8 * 6 + 2 * patch * 2 * (6 + 8)) / (82 * 36 * 14)
    assert cell.volume_fractions["intracellular"] == pytest.approx(inside, abs=1e-12)
    assert cell.volume_fractions["junction"] == pytest.approx(junctions, abs=1e-12)
    assert cell.periods == pytest.approx((82.0, 36.0, 14.0))
    assert {"intracellular|junction", "intracellular|extracellular"} <= set(cell.facets)
    assert cell.connectivity["extracellular"].rank == 3
    assert cell.connectivity["intracellular"].rank == 0
    joined = homogenize_diffusion(cell, {"intracellular": 1.0, "junction": 1.0}, degree=1, lower_degree=0)
    assert np.diag(joined.lower).min() > 0.02
    assert joined.value[0, 0] > joined.value[1, 1]


def test_pipes_may_leave_the_cell():
    # A pipe along x that crosses the faces y = 0 and z = 0 is the one through the middle, moved.
    boxes = pipe_boxes([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], 0.3)
    cell = painted_cell(boxes, "cytosol", resolution=0.25)
    assert cell.volume_fractions["er"] == pytest.approx(0.09, abs=1e-13)
    found = homogenize_diffusion(cell, {"er": 1.0})
    assert np.abs(found.value - np.diag([0.09, 0.0, 0.0])).max() < 1e-9


def test_pipes_may_be_moved_apart():
    cell = cells.three_pipe([0.2, 0.3, 0.2], offsets=[0.05, 0.0, -0.05], resolution=0.25)
    straight = cells.three_pipe([0.2, 0.3, 0.2], offsets=[0.0, 0.0, 0.0], resolution=0.25)
    # Moved pipes share less: the boxes of 0.2 x 0.3 x 0.2 where they cross are counted by points.
    points = np.stack(np.meshgrid(*[(np.arange(40) + 0.5) / 40] * 3, indexing="ij"), axis=-1) - 0.5
    x, y, z = np.moveaxis(points, -1, 0)
    inside = (abs(y - 0.05) < 0.1) & (abs(z) < 0.1)
    inside |= (abs(z) < 0.15) & (abs(x) < 0.15)
    inside |= (abs(x + 0.05) < 0.1) & (abs(y) < 0.1)
    assert cell.volume_fractions["er"] == pytest.approx(inside.mean(), abs=1e-12)
    assert straight.volume_fractions["er"] == pytest.approx(
        cells.three_pipe([0.2, 0.3, 0.2], resolution=0.25).volume_fractions["er"], abs=1e-12
    )
    alone = cells.three_pipe(0.2, offsets=[0.4, 0.4, 0.4], phases=["er"], resolution=0.25)
    assert alone.phase_names == ("er",)
    assert alone.volume_fractions["er"] == pytest.approx(0.12, abs=1e-12)
    assert len(alone.connectivity["er"].parts) == 3


corner = st.floats(0.0, 0.95)
width = st.floats(0.05, 0.6)


@settings(max_examples=30, deadline=None)
@given(boxes=st.lists(st.tuples(corner, corner, width, width), min_size=1, max_size=4))
def test_painting_agrees_with_points(boxes):
    made = [Box("ab"[k % 2], (x, y), (x + w, y + h)) for k, (x, y, w, h) in enumerate(boxes)]
    labels, names, lengths = paint(made, "rest")
    edges = [np.concatenate([[0.0], np.cumsum(part)]) for part in lengths]
    assert [edge[-1] for edge in edges] == pytest.approx([1.0, 1.0])
    points = np.random.default_rng(0).random((400, 2))
    i, j = (np.clip(np.searchsorted(edges[a], points[:, a]) - 1, 0, len(lengths[a]) - 1) for a in range(2))
    for point, label in zip(points, labels[i, j], strict=True):
        expected = "rest"
        for box in made:
            if all((point[a] - box.low[a]) % 1.0 < box.high[a] - box.low[a] for a in range(2)):
                expected = box.phase
        near = any(min(abs((point[a] - e + 0.5) % 1.0 - 0.5) for e in edges[a]) < 1e-9 for a in range(2))
        assert near or names[label] == expected


def test_images_become_meshes_inside_the_bracket_of_the_grid():
    labels = np.random.default_rng(4).integers(0, 2, (8, 6))
    image = Image.from_labels(labels, {"a": 0, "b": 1}, voxel=[0.5, 0.25], length_unit="um")
    cell = cells.image_cell(image)
    assert cell.volume_fractions == pytest.approx(image.volume_fractions, abs=1e-13)
    assert cell.interface_area == pytest.approx(image.interface_area, rel=1e-12)
    assert cell.periods == pytest.approx((4.0, 1.5))
    grid = homogenize_image(image, {"a": 1.0, "b": 10.0}, refine=4)
    mesh = homogenize_diffusion(cell, {"a": 1.0, "b": 10.0}, tolerance=1e-3)
    assert np.linalg.eigvalsh(grid.upper - mesh.lower)[0] > 0.0
    assert np.linalg.eigvalsh(mesh.upper - grid.lower)[0] > 0.0
    assert grid.contains(mesh.value)


def test_voxels_too():
    labels = np.random.default_rng(5).integers(0, 2, (4, 5, 3))
    image = Image.from_labels(labels, {"a": 0, "b": 1}, voxel=1.0, length_unit="um")
    cell = cells.image_cell(image)
    assert cell.volume_fractions == pytest.approx(image.volume_fractions, abs=1e-13)
    grid = homogenize_image(image, {"a": 1.0, "b": 5.0}, refine=3)
    mesh = homogenize_diffusion(cell, {"a": 1.0, "b": 5.0})
    assert np.linalg.eigvalsh(grid.upper - mesh.lower)[0] > 0.0
    assert np.linalg.eigvalsh(mesh.upper - grid.lower)[0] > 0.0


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: cells.laminate([0.5, 0.4]), "fractions"),
        (lambda: cells.laminate([0.5, -0.5, 1.0]), "fractions"),
        (lambda: cells.laminate([0.5, 0.5], axis="z"), "axis"),
        (lambda: cells.laminate([0.5, 0.5], dimension=4), "dimension"),
        (lambda: cells.slit(1.0), "aperture"),
        (lambda: cells.slit([]), "aperture"),
        (lambda: cells.slit([0.2, 0.6]), "aperture"),
        (lambda: cells.obstacles(0.6, lattice="staggered"), "edge"),
        (lambda: cells.obstacles([0.5, 0.5, 0.5]), "edge"),
        (lambda: cells.obstacles(lattice="hexagonal"), "lattice"),
        (lambda: cells.sheets(0.0), "thickness"),
        (lambda: cells.sheets(0.2, 1.0), "tube"),
        (lambda: cells.tortuous_pipes(detour=0.05), "detour"),
        (lambda: cells.tortuous_pipes(0.6), "edge"),
        (lambda: cells.myocyte(gap=30.0), "gap"),
        (lambda: cells.myocyte(length=-1.0), "length"),
        (lambda: cells.myocyte(end_patch=1.1), "end_patch"),
        (lambda: cells.hexagonal_myocyte(end_patch=1.0), "end_patch"),
        (lambda: cells.hexagonal_myocyte(side_patch=1.0), "side_patch"),
        (lambda: cells.myocyte(joined="z", height=None), "joined"),
        (lambda: cells.myocyte(joined="along"), "joined"),
        (lambda: cells.myocyte(staggered=1), "staggered"),
        (lambda: cells.myocyte(gap=[1.0, 2.0, 3.0]), "gap"),
        (lambda: painted_cell([], "rest"), "boxes"),
        (lambda: painted_cell([Box("a", (0.1, 0.1), (0.1, 0.2))], "rest"), "boxes"),
        (lambda: painted_cell([Box("a", (0.1, 0.1), (1.2, 0.2))], "rest"), "boxes"),
        (lambda: painted_cell([Box("a", (0.1, 0.1), (0.2, 0.2))], "rest", phases=["b"]), "phases"),
        (lambda: painted_cell([Box("a", (0.1, 0.1), (0.2, 0.2))], "rest", period=[1.0] * 3), "period"),
        (lambda: pipe_boxes([[0, 0, 0], [1, 1, 0]], 0.1), "path"),
        (lambda: pipe_boxes([[0, 0, 0]], 0.1), "path"),
        (lambda: cells.three_pipe(0.2, offsets=[0.1, 0.1]), "offsets"),
        (lambda: cells.three_pipe(0.2, offsets=[0.1, 0.1, 0.5]), "offsets"),
        (lambda: cells.three_pipe(0.2, offsets=[0.1, 0.1, 0.1], section="round"), "section"),
    ],
)
def test_bad_input_is_refused(make, name):
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.name == name


def test_images_of_too_few_voxels_are_refused():
    image = Image.from_labels(np.array([[0, 1], [1, 0]]), {"a": 0, "b": 1})
    with pytest.raises(PeriodicityError, match="at least 3 voxels along x"):
        cells.image_cell(image)
    assert cells.image_cell(image.refined(2)).number_of_cells == 32
