"""Arrays of cylinders beyond the published tables: in space, and elsewhere in the cell."""

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
from homfem.validation.published import CYLINDERS

COMM = MPI.COMM_WORLD


def test_cylinders_in_space():
    """Across as in the plane; along the arithmetic mean, exactly."""
    cell = fibre_array(fraction=0.5, dimension=3, axis="y", resolution=0.1, comm=COMM)
    tensor = homogenize_diffusion(cell, {"fibre": 10.0, "matrix": 1.0})
    across = CYLINDERS["square", 0.5][10.0]
    np.testing.assert_allclose(tensor.value, np.diag([across, 5.5, across]), rtol=2e-3, atol=1e-3)
    assert tensor.value[1, 1] == pytest.approx(5.5, rel=1e-9)


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


@pytest.mark.parametrize(
    "cell",
    [
        lambda: fibre_array("square", fraction=0.5, resolution=0.1, comm=COMM),
        lambda: fibre_array("hexagonal", fraction=0.3, resolution=0.1, comm=COMM),
        lambda: sphere_array(fraction=0.1, resolution=0.25, comm=COMM),
    ],
    ids=["square", "hexagonal", "simple-cubic"],
)
def test_arrays_are_isotropic_on_their_whole_cell(cell):
    """The published tables are compared by one entry on a part between mirror planes: here is the whole matrix."""
    made = cell()
    (inside,) = set(made.phases) - {"matrix"}
    tensor = homogenize_diffusion(made, {"matrix": 1.0, inside: 10.0})
    np.testing.assert_allclose(tensor.value, np.eye(len(tensor.value)) * tensor.value[0, 0], atol=1e-3)
