"""Dispersion in images: a slit in closed form, a voxelised array of fibres beside the round one, and the config."""

from __future__ import annotations

import numpy as np
import pytest

from homfem import cells, runs
from homfem.certify.dispersion import StokesFlow, homogenize_dispersion
from homfem.grid import Image

#: Of round fibres at Pe = 10, over the fluid: finite elements of order 8, independently of homfem.
ROUND = (2.0785848, 0.8200195)


def channel(shape):
    """Half of the period across the second axis is fluid."""
    labels = np.zeros(shape, dtype=int)
    labels[:, : shape[1] // 4] = labels[:, -(shape[1] // 4) :] = 1
    return Image.from_labels(labels, {"pore": 0, "solid": 1})


def disc(n):
    x = (np.arange(n) + 0.5) / n - 0.5
    return (np.hypot(x[:, None], x) < np.sqrt(0.3 / np.pi)).astype(np.uint8)


def off_closed_form(shape, elements):
    """1 + Pe^2/210 of its own width, which is half of the period across."""
    cell = cells.image_cell(channel(shape), elements=elements)
    tensor = homogenize_dispersion(cell, {"pore": 1.0}, peclet=10.0, degree=2)
    assert np.allclose(tensor.value[1], 0.0, atol=1e-9)
    width = 0.5 * shape[1] / min(shape)
    return abs(tensor.value[0, 0] / (1.0 + (10.0 * width) ** 2 / 210.0) - 1.0)


@pytest.mark.parametrize("elements", ["simplex", "voxel"])
def test_a_slit_of_pixels_tends_to_its_closed_form(elements):
    coarse, fine = (off_closed_form(shape, elements) for shape in ((4, 8), (8, 16)))
    assert fine < coarse / 10.0


def test_a_slit_of_voxels_in_space():
    assert off_closed_form((3, 12, 3), "simplex") < 2e-3


@pytest.mark.parametrize("elements", ["simplex", "voxel"])
def test_voxels_of_fibres_tend_to_the_round_ones(elements):
    """Stairs stand for the circle: 80 pixels leave less than one per cent, and 20 pixels more."""
    off = []
    for n in (20, 80):
        cell = cells.image_cell(Image.from_labels(disc(n), {"matrix": 0, "fibre": 1}), elements=elements)
        tensor = homogenize_dispersion(cell, {"matrix": 1.0}, peclet=10.0, degree=1)
        off.append(np.abs(np.diag(tensor.value) / ROUND - 1.0))
    assert np.all(off[1] < (0.01, 0.01))
    assert np.all(off[1] < off[0])


def test_closed_pores_are_left_out_and_said():
    """A pore that the channel does not reach changes nothing of the fluid that flows but what a volume of it is."""
    labels = channel((4, 16)).phases.astype(int)
    with_pore = labels.copy()
    with_pore[1:3, 1:3] = 0
    found, plain = (
        homogenize_dispersion(
            cells.image_cell(Image.from_labels(one, {"pore": 0, "solid": 1})), {"pore": 1.0}, peclet=10.0
        )
        for one in (with_pore, labels)
    )
    assert found.value == pytest.approx(plain.value, abs=1e-10)
    assert found.coefficients["velocity"].value == pytest.approx(plain.coefficients["velocity"].value, rel=1e-9)
    assert found.per_total_volume().value == pytest.approx(plain.per_total_volume().value, abs=1e-10)
    assert not plain.warnings
    assert found.warnings == ("closed pores of pore, 0.0625 of the volume, carry nothing and are left out",)
    assert found.conventions["average"] == "per volume of the fluid without closed pores"
    assert "retardation" not in found.conventions["velocity"]


def test_a_turned_image_has_the_turned_tensor():
    """Rows of the image are an axis of the cell like the other."""
    labels = disc(20)
    labels[:5] = 0
    one, other = (
        homogenize_dispersion(
            cells.image_cell(Image.from_labels(part, {"matrix": 0, "fibre": 1}), elements="voxel"),
            {"matrix": 1.0},
            flow=StokesFlow(direction=along),
            peclet=20.0,
        ).value
        for part, along in ((labels, [1.0, 0.3]), (labels.T, [0.3, 1.0]))
    )
    assert other == pytest.approx(one[::-1, ::-1], rel=1e-8)
    assert abs(one[0, 1]) > 0.01


@pytest.mark.parametrize("options", [{}, {"bounds": True}])
@pytest.mark.parametrize("direction", [[1.0, 0.0], [2.0, 1.0]])
def test_the_mean_velocity_has_the_direction_that_was_asked_for(direction, options):
    """Pixels round no mirror: a gradient is taken off the flow, and that has a mean of its own."""
    labels = disc(12)
    labels[2:5, 8:10] = 1
    cell = cells.image_cell(Image.from_labels(labels, {"matrix": 0, "fibre": 1}))
    flow = StokesFlow(direction=direction)
    tensor = homogenize_dispersion(cell, {"matrix": 1.0}, flow=flow, peclet=10.0, **options)
    velocity, along = tensor.coefficients["velocity"].value, np.array(direction) / np.linalg.norm(direction)
    assert velocity == pytest.approx(10.0 / min(cell.periods) * along, rel=1e-12, abs=1e-12)


def test_an_image_from_a_config(tmp_path):
    np.save(tmp_path / "slice.npy", disc(40))
    config = {
        "cell": {
            "shape": "image",
            "file": "slice.npy",
            "labels": {"matrix": 0, "fibre": 1},
            "voxel": "0.5 um",
            "elements": "voxel",
        },
        "effective": {"physics": "dispersion", "peclet": [0.0, 10.0], "phases": {"matrix": "100 um^2/s"}},
    }
    at_rest, tensor = (one["value"] for one in runs.tensor(config, folder=tmp_path).report()["results"])
    image = Image.from_labels(disc(40), {"matrix": 0, "fibre": 1})
    expected = homogenize_dispersion(cells.image_cell(image, elements="voxel"), {"matrix": 100.0}, peclet=10.0)
    assert np.array(tensor) == pytest.approx(expected.value, rel=1e-9, abs=1e-9)
    assert np.trace(at_rest) < np.trace(tensor)
