"""Random media as cells and in configs."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from homfem import cells, homogenize_diffusion
from homfem.config import make_config
from homfem.grid import homogenize_image
from homfem.parameters import CellError, InputError
from homfem.random_media import Sphere, random_sequential_addition

DISCS = {"shape": "random-particles", "fraction": 0.25, "radius": 0.1, "gap": 0.04, "seed": 5}
FIELD = {"shape": "gaussian-field", "fraction": 0.4, "correlation_length": 0.15, "seed": 2}


def test_mesh_and_voxels_of_one_medium_agree():
    table = make_config({"cell": DISCS | {"resolution": 0.04, "voxels": 160, "period": "3 um"}}).cell
    cell = table.build(MPI.COMM_WORLD, None)
    exact = table.medium().volume_fraction
    assert cell.volume_fractions["inclusion"] == pytest.approx(exact, abs=1e-11)
    assert cell.periods == pytest.approx((3.0, 3.0))
    count = table.medium().number
    assert cell.interface_area == pytest.approx(count * 2 * np.pi * 0.1 / 3.0, rel=5e-3)
    mesh = homogenize_diffusion(cell, {"inclusion": 10.0, "matrix": 1.0})
    grid = homogenize_image(table.image(), {"inclusion": 10.0, "matrix": 1.0})
    assert np.abs(mesh.value - grid.value).max() < 0.02
    assert mesh.half_gap < 1e-3


def test_one_seed_is_one_medium():
    first, again = (make_config({"cell": DISCS}).cell.medium() for _ in range(2))
    other = make_config({"cell": DISCS | {"seed": 6}}).cell.medium()
    assert np.array_equal(first.centres, again.centres)
    assert not np.array_equal(first.centres, other.centres)


def test_every_kind_of_particle_and_field():
    fibres = DISCS | {"particle": "fibre", "length": 0.2, "radius": 0.03, "dimension": 3, "fraction": 0.02, "gap": 0.0}
    assert make_config({"cell": fibres}).cell.medium().dimension == 3
    ellipses = {key: value for key, value in DISCS.items() if key != "radius"}
    ellipses |= {"particle": "ellipsoid", "semi_axes": [0.12, 0.06]}
    image = make_config({"cell": ellipses}).cell.image()
    assert image.volume_fractions["inclusion"] == pytest.approx(0.25, abs=0.03)
    overlapping = make_config({"cell": DISCS | {"overlap": True, "fraction": 0.6}}).cell.image()
    assert overlapping.volume_fractions["inclusion"] == pytest.approx(0.6, abs=0.15)
    field = make_config({"cell": FIELD | {"voxels": 50}}).cell.image()
    assert field.volume_fractions["inclusion"] == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ({key: value for key, value in DISCS.items() if key != "seed"}, "cell.seed"),
        (DISCS | {"fraction": 1.2}, "cell.fraction"),
        (DISCS | {"particle": "cube"}, "cell.particle"),
        (DISCS | {"voxels": 2}, "cell.voxels"),
        (DISCS | {"overlap": "yes"}, "cell.overlap"),
        (FIELD | {"radius": 0.1}, "cell.radius"),
        (FIELD | {"correlation_length": "1 um"}, "cell.correlation_length"),
    ],
)
def test_bad_configs_are_refused(cell, name):
    with pytest.raises(InputError) as caught:
        make_config({"cell": cell})
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"radius": None}, "radius"),
        ({"length": 0.1}, "length"),
        ({"particle": "ellipsoid"}, "radius"),
        ({"fraction": 0.9}, "fraction"),
        ({"period": ["1 um", "2 um"]}, "period"),
    ],
)
def test_media_that_cannot_be_are_refused(keys, name):
    table = {key: value for key, value in (DISCS | keys).items() if value is not None}
    with pytest.raises(InputError) as caught:
        make_config({"cell": table}).cell.image()
    assert caught.value.name == f"cell.{name}"


def test_a_mesh_too_coarse_for_the_gaps_is_refused():
    medium = random_sequential_addition(Sphere(0.1), period=(1.0, 1.0), fraction=0.4, gap=0.002, seed=1)
    with pytest.raises(CellError, match="resolved by the mesh"):
        cells.medium_cell(medium, resolution=0.1)
    with pytest.raises(InputError, match="two different names"):
        cells.medium_cell(medium, phases=["a"])
