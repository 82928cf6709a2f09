"""Square and hexagonal arrays of cylinders, simple cubic spheres: published conductivities, at moderate meshes.

Sources: Perrins, McKenzie, McPhedran 1979 (cylinders); Sangani, Acrivos 1983 (spheres).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpi4py import MPI

from homfem.cells.fibres import fibre_array
from homfem.cells.spheres import sphere_array
from homfem.cells.surfaces import level_set_cell
from homfem.certify import homogenize_diffusion
from homfem.meshing.cut.level_sets import balls
from homfem.parameters import Lattice

COMM = MPI.COMM_WORLD


def coefficients(name: str, value: float) -> dict[str, float]:
    return {"matrix": 1.0} | ({name: value} if value else {})


@pytest.mark.parametrize(
    ("lattice", "fraction", "inside", "published"),
    [
        ("square", 0.1, 0.0, 0.8181768),
        ("square", 0.1, 10.0, 1.1782218),
        ("square", 0.1, 50.0, 1.2125880),
        ("square", 0.5, 0.0, 0.3246545),
        ("square", 0.5, 10.0, 2.4154674),
        ("square", 0.5, 50.0, 2.9145940),
        ("hexagonal", 0.3, 0.0, 0.5384420),
        ("hexagonal", 0.3, 10.0, 1.6506341),
        ("hexagonal", 0.3, 50.0, 1.8099751),
    ],
)
def test_cylinders(lattice, fraction, inside, published):
    cell = fibre_array(lattice, fraction=fraction, resolution=0.05, comm=COMM)
    tensor = homogenize_diffusion(cell, coefficients("fibre", inside))
    np.testing.assert_allclose(tensor.value, published * np.eye(2), atol=1e-4 * published)


def test_cylinders_in_space():
    """Across as in the plane; along the arithmetic mean, exactly."""
    cell = fibre_array(fraction=0.5, dimension=3, axis="y", resolution=0.1, comm=COMM)
    tensor = homogenize_diffusion(cell, {"fibre": 10.0, "matrix": 1.0})
    np.testing.assert_allclose(tensor.value, np.diag([2.4154674, 5.5, 2.4154674]), rtol=2e-3, atol=1e-3)
    assert tensor.value[1, 1] == pytest.approx(5.5, rel=1e-9)


@pytest.mark.parametrize(
    ("fraction", "inside", "published"),
    [(0.1, 0.0, 0.857112), (0.1, 10.0, 1.243339), (0.3, 0.0, 0.60566), (0.3, 10.0, 1.88774)],
)
def test_spheres(fraction, inside, published):
    cell = sphere_array(fraction=fraction, resolution=0.15, comm=COMM)
    tensor = homogenize_diffusion(cell, coefficients("sphere", inside))
    np.testing.assert_allclose(tensor.value, published * np.eye(3), atol=1e-3 * published)


def test_translated_cell():
    """Another place in the cell, another mesh: the tensor moves by less than the brackets and the slivers allow."""
    radius, tensors, gaps = math.sqrt(0.3 / math.pi), [], []
    for centre in ([0.5, 0.5], [0.03, 0.97], [0.21, 0.62]):
        cell = level_set_cell(balls(Lattice.box(1.0, 1.0), [centre], radius), ["fibre", "matrix"], dimension=2,
                        resolution=0.07, fractions={"fibre": 0.3}, comm=COMM)  # fmt: skip
        tensor = homogenize_diffusion(cell, {"fibre": 10.0, "matrix": 1.0})
        tensors.append(tensor.value)
        gaps.append(tensor.relative_gap)
    assert max(gaps) < 1e-3
    for other in tensors[1:]:
        assert np.abs(other - tensors[0]).max() < 2.0 * max(gaps) * tensors[0][0, 0]
