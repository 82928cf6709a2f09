"""Shapes with period vectors: the same medium in other cells has the same tensor."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from homfem import homogenize_diffusion
from homfem.config import make_config
from homfem.parameters import InputError
from homfem.runs.shapes import make_cell

LAYERS = {"shape": "laminate", "fractions": [0.3, 0.7]}
FIBRES = {"shape": "fibre-array", "fraction": 0.4, "resolution": 0.15}
OBLIQUE = [["1 um", "0 um"], ["0.5 um", "0.9 um"]]


def tensor(cell, **coefficients):
    built = make_cell(make_config({"cell": cell}).cell, MPI.COMM_WORLD, None)
    return homogenize_diffusion(built, coefficients)


def vectors(rows):
    return [[f"{entry!r} um" for entry in row] for row in rows]


@pytest.mark.parametrize(
    ("rows", "axis"),
    [
        ([[1.0, 0.0], [0.5, 0.9]], 0),
        ([[1.0, 0.0], [0.5, 0.9]], 1),
        ([[0.0, 1.3], [1.0, -0.4]], 0),  # left-handed
        ([[1.0, 0.2, 0.0], [0.5, 0.9, 0.0], [0.2, 0.1, 1.3]], 2),
    ],
)
def test_layers_lie_along_the_other_period_vectors(rows, axis):
    cell = LAYERS | {"period": vectors(rows), "axis": "xyz"[axis], "resolution": 0.33, "dimension": len(rows)}
    found = tensor(cell, layer1=10.0, layer2=1.0)
    # Harmonic along the normal, the reciprocal vector of the one that crosses the layers; arithmetic in the layers.
    normal = np.linalg.inv(rows)[:, axis]
    across = np.outer(normal, normal) / (normal @ normal)
    exact = across / (0.3 / 10.0 + 0.7 / 1.0) + (np.eye(len(rows)) - across) * (0.3 * 10.0 + 0.7 * 1.0)
    for value in (found.value, found.lower, found.upper):
        assert value == pytest.approx(exact, abs=1e-9)


def test_square_array_in_a_sheared_cell():
    sheared = tensor(FIBRES | {"period": vectors([[1.0, 0.0], [3.0, 1.0]])}, fibre=10.0, matrix=1.0)
    square = tensor(FIBRES, fibre=10.0, matrix=1.0)
    assert sheared.value == pytest.approx(square.value, abs=1e-12)


def test_hexagonal_array_in_its_smallest_cell():
    # The rectangle of two fibres is another mesh of the same medium, also from vectors that are far from the shortest.
    oblique = tensor(FIBRES | {"period": vectors([[1.0, 0.0], [2.5, 0.75**0.5]])}, fibre=10.0, matrix=1.0)
    rectangle = tensor(FIBRES | {"lattice": "hexagonal"}, fibre=10.0, matrix=1.0)
    assert oblique.volume_fractions["fibre"] == pytest.approx(0.4, abs=1e-12)
    apart = np.abs(oblique.value - rectangle.value).max()
    assert apart < oblique.half_gap + rectangle.half_gap + oblique.geometric_error + rectangle.geometric_error
    assert apart < 1e-3 * rectangle.value[0, 0]
    # Isotropic by the threefold symmetry, which no mesh has.
    assert np.abs(oblique.value - np.eye(2) * oblique.value.trace() / 2).max() < 1e-3


def test_obstacles_along_the_period_vectors():
    # Fully insulating, and as a check of the geometry alone: the fraction is that of the unit square.
    found = tensor({"shape": "obstacles", "edge": [0.5, 0.4], "period": OBLIQUE}, obstacle=1.0, pore=1.0)
    assert found.volume_fractions["obstacle"] == pytest.approx(0.2, abs=1e-12)
    assert found.value == pytest.approx(np.eye(2), abs=1e-10)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"shape": "blocks", "layout": ["LD", "DL"]}, "'blocks'.*Period vectors are for .*'laminate'"),
        ({"shape": "sphere-array", "fraction": 0.2}, "'sphere-array'"),
        ({"shape": "random-particles", "fraction": 0.2, "radius": 0.1, "seed": 1}, "'random-particles'"),
        ({"shape": "image", "file": "a.npy", "labels": {"a": 0}}, "'image'"),
        ({"shape": "three-pipe", "edge": 0.1}, "'three-pipe'"),
        ({"shape": "myocyte"}, "'myocyte'"),
        ({"shape": "tube", "radius": 0.2}, "2 period vectors with dimension = 2"),
        ({"shape": "fibre-array", "fraction": 0.2, "dimension": 3}, "2 period vectors with dimension = 2"),
        (LAYERS | {"dimension": 3}, "3 period vectors with dimension = 3"),
    ],
)
def test_shapes_that_take_no_period_vectors_say_so(cell, message):
    with pytest.raises(InputError, match=message) as caught:
        make_config({"cell": cell | {"period": OBLIQUE}})
    assert caught.value.name == "cell.period"


def test_period_vectors_say_the_lattice_of_fibres():
    table = make_config({"cell": FIBRES | {"lattice": "hexagonal", "period": OBLIQUE}}).cell
    with pytest.raises(InputError, match="they say the lattice"):
        make_cell(table, MPI.COMM_WORLD, None)
