"""Diffusion on quadrilaterals and hexahedra: laminates, and the grid solver of images as the other implementation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import ufl
from mpi4py import MPI

from homfem import cells, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify import homogenize_diffusion, solve_diffusion
from homfem.grid import Image, homogenize_image
from homfem.local.diffusion import diffusion_coefficient
from homfem.parameters import Lattice


def voxel_cell(image: Image) -> UnitCell:
    return cells.image_cell(image, elements="voxel")


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize(("shape", "voxel"), [((6, 3), (0.1, 0.7)), ((3, 6, 4), (0.5, 0.2, 0.9))])
@pytest.mark.parametrize("backend", ["identified", "multipoint"])
def test_laminates_are_exact(shape, voxel, degree, backend):
    d, axis = len(shape), shape.index(6)
    labels = np.zeros(shape, dtype=int)
    np.moveaxis(labels, axis, 0)[[1, 2, 4]] = 1
    image = Image.from_labels(labels, {"a": 0, "b": 1}, voxel=list(voxel), length_unit="um")
    conductive = 7.0 if d == 2 else np.diag([7.0, 5.0, 3.0])
    tensor = homogenize_diffusion(
        voxel_cell(image), {"a": 2.0, "b": conductive}, degree=degree, backend=backend, rtol=1e-13
    )
    other = np.broadcast_to(np.diag(conductive) if d == 3 else 7.0, d)
    expected = 0.5 * (2.0 + other)
    expected[axis] = 1.0 / (0.5 / 2.0 + 0.5 / other[axis])
    assert np.allclose(tensor.upper, np.diag(expected), rtol=0.0, atol=1e-11)
    assert tensor.lower is None
    assert 0.0 < np.abs(tensor.upper - tensor.value).max() <= 1.01 * tensor.roundoff < 1e-10


@pytest.mark.parametrize(("shape", "voxel"), [((9, 7), (0.5, 0.25)), ((5, 6, 4), (0.5, 0.25, 1.0))])
def test_contrast_agrees_with_the_grid(shape, voxel):
    d = len(shape)
    labels = np.random.default_rng(7).integers(0, 3, shape)
    image = Image.from_labels(labels, {"a": 0, "b": 1, "c": 2}, voxel=list(voxel))
    skew = np.eye(d) + 0.3 * (np.eye(d, k=1) + np.eye(d, k=-1))
    for coefficients in ({"a": 1.0, "b": 30.0, "c": 4.0}, {"a": 1.0, "b": skew, "c": 4.0}):
        grid = homogenize_image(image, coefficients, bounds=False, rtol=1e-13)
        mesh = homogenize_diffusion(voxel_cell(image), coefficients, degree=1, rtol=1e-11)
        assert np.allclose(mesh.upper, grid.upper, rtol=0.0, atol=1e-9)
        sharper = homogenize_diffusion(voxel_cell(image), coefficients, degree=2, rtol=1e-11)
        assert np.linalg.eigvalsh(mesh.upper - sharper.upper)[0] > 0.0
    both = homogenize_image(image, coefficients)
    assert np.linalg.eigvalsh(sharper.upper - both.lower)[0] > 0.0


def perforated(d: int) -> Image:
    """A perforated medium, an island in each hole; no two conducting voxels meet in a node alone."""
    labels = np.ones((10,) * d, dtype=int)
    labels[(slice(2, 7),) * d] = 0
    labels[(slice(4, 6),) * d] = 1
    labels[(slice(8, 9), slice(1, 4)) + (slice(0, 9),) * (d - 2)] = 0
    return Image.from_labels(labels, {"hole": 0, "solid": 1}, voxel=[0.5, 0.25, 1.0][:d])


@pytest.mark.parametrize("d", [2, 3])
def test_perforated_images_with_islands_agree_with_the_grid(d):
    image = perforated(d)
    cell = voxel_cell(image)
    assert len(cell.connectivity["solid"].islands) == 1
    grid = homogenize_image(image, {"solid": 3.0}, bounds=False, rtol=1e-13)
    solution = solve_diffusion(cell, {"solid": 3.0}, degree=1, rtol=1e-11)
    assert np.allclose(solution.tensor.upper, grid.upper, rtol=0.0, atol=1e-9)
    assert solution.tensor.geometric_error == 0.0
    assert solution.cell.number_of_cells == np.count_nonzero(image.phases == 1) - 2**d


def test_voxels_that_touch_leave_an_upper_bound():
    """The grid splits the nodes where voxels touch; continuous elements do not, and stay above."""
    labels = np.ones((8, 8), dtype=int)
    labels[2:4, 2:4] = labels[4:6, 4:6] = labels[6, 2] = labels[1, 6] = 0
    image = Image.from_labels(labels, {"hole": 0, "solid": 1})
    grid = homogenize_image(image, {"solid": 1.0}, bounds=False, rtol=1e-13)
    mesh = homogenize_diffusion(voxel_cell(image), {"solid": 1.0}, degree=1, rtol=1e-11)
    assert np.linalg.eigvalsh(mesh.upper - grid.upper)[0] > -1e-9
    assert np.trace(mesh.upper - grid.upper) > 1e-3


def test_simplices_and_voxels_bracket_one_tensor():
    labels = np.random.default_rng(3).integers(0, 2, (4, 5, 3))
    image = Image.from_labels(labels, {"a": 0, "b": 1}, voxel=[1.0, 0.5, 0.8])
    coefficients = {"a": 1.0, "b": 8.0}
    cut = homogenize_diffusion(cells.image_cell(image), coefficients)
    whole = homogenize_diffusion(voxel_cell(image), coefficients)
    assert np.linalg.eigvalsh(whole.upper - cut.lower)[0] > 0.0


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("shape", [(4, 3), (3, 4, 3)])
def test_the_energy_is_integrated_exactly(shape, degree):
    """The energy of the correctors by a rule of much higher degree is the same."""
    labels = np.random.default_rng(5).integers(0, 2, shape)
    image = Image.from_labels(labels, {"a": 0, "b": 1}, voxel=[0.5, 0.25, 0.9][: len(shape)])
    solution = solve_diffusion(voxel_cell(image), {"a": 1.0, "b": 9.0}, degree=degree)
    cell = solution.cell
    gradient = ufl.as_vector([1.0] + [0.0] * (len(shape) - 1)) + ufl.grad(solution.correctors.functions[0])
    density = diffusion_coefficient(cell, {"a": 1.0, "b": 9.0}) * ufl.inner(gradient, gradient)
    energy = solve.integrate(density * ufl.dx(metadata={"quadrature_degree": 2 * degree + 10}))
    assert solution.tensor.value[0, 0] == pytest.approx(energy / cell.lattice.volume, rel=1e-13)


def test_a_coefficient_of_position_is_sampled_at_the_middle_of_each_voxel():
    image = Image.from_labels(np.zeros((8, 3, 3)), {"a": 0})
    cell = voxel_cell(image)
    tensor = homogenize_diffusion(
        cell, {"a": lambda x: 1.0 + np.floor(x[0] / cell.lattice.vectors[0, 0] * 8)}, degree=1
    )
    values = 1.0 + np.arange(8)
    expected = [1.0 / np.mean(1.0 / values), values.mean(), values.mean()]
    assert np.allclose(tensor.value, np.diag(expected), rtol=0.0, atol=1e-8)
    assert tensor.upper is None


def test_no_bound_where_the_jacobian_is_not_constant():
    raw = voxel_cell(Image.from_labels(np.zeros((4, 4)), {"a": 0})).raw
    skewed = raw.lattice.vectors @ np.array([[1.0, 0.3], [0.0, 1.0]])
    sheared = replace(raw, points=raw.points @ np.array([[1.0, 0.3], [0.0, 1.0]]), lattice=Lattice(vectors=skewed))
    moved = raw.points.copy()
    moved[np.flatnonzero((moved == 0.5 * np.diag(raw.lattice.vectors)).all(axis=1))] += 0.05
    bent = replace(raw, points=moved)
    for made, guaranteed in ((raw, True), (sheared, True), (bent, False)):
        cell = UnitCell.from_raw(made, comm=MPI.COMM_SELF)
        tensor = homogenize_diffusion(cell, {"a": 2.0}, degree=1)
        assert cell.volume_fractions["a"] == pytest.approx(1.0, abs=1e-13)
        assert np.allclose(tensor.value, 2.0 * np.eye(2), atol=1e-12)
        assert (tensor.upper is not None) == guaranteed
        assert tensor.lower is None
