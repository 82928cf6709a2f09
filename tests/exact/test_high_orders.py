"""Elements of degree 5 and 6 on triangles whose sides have the order 3 and 4."""

from __future__ import annotations

import basix
import numpy as np
import pytest

from homfem import homogenize_diffusion
from homfem.cells import fibre_array, level_set_cell, sphere_array, tpms
from homfem.certify.dispersion import homogenize_dispersion
from homfem.certify.stokes import homogenize_stokes
from homfem.meshing.arrays.jacobians import lagrange_gradients, lattice_nodes
from homfem.meshing.arrays.raw_cell import RawCell, cell_volumes
from homfem.meshing.cut.implicit import implicit_raw
from homfem.meshing.cut.sections import section_of
from homfem.output.pictures import made_drawable
from homfem.output.subdivision import as_second_order
from homfem.parameters import CellError, InputError, Lattice

RADIUS = np.sqrt(0.3 / np.pi)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_nodes_and_slopes_are_those_of_basix(order):
    variant = basix.LagrangeVariant.equispaced
    element = basix.create_element(basix.ElementFamily.P, basix.CellType.triangle, order, variant)
    np.testing.assert_allclose(lattice_nodes(2, order)[:, 1:], element.points, atol=1e-15)
    places = np.random.default_rng(1).dirichlet(np.ones(3), 7)[:, 1:]
    wanted = element.tabulate(1, places)[1:, :, :, 0]
    np.testing.assert_allclose(lagrange_gradients(places, 2, order), wanted.transpose(1, 2, 0), atol=1e-12)


@pytest.mark.parametrize(("order", "rate", "cap"), [(2, 3.7, 2e-5), (3, 3.7, 2e-5), (4, 5.7, 3e-8)])
def test_the_area_of_a_circle_to_its_order(order, rate, cap):
    box = Lattice.box(1.0, 1.0)
    circle = section_of("round").level_set(box, [[0.5, 0.5]], RADIUS)
    errors = []
    for resolution in (0.2, 0.1, 0.05):
        raw = implicit_raw([circle], ["in", "out"], lattice=box, resolution=resolution, order=order)
        volumes = cell_volumes(raw)
        assert volumes.sum() == pytest.approx(1.0, abs=1e-13)
        errors.append(abs(volumes[raw.phase_of_cell == 1].sum() / 0.3 - 1.0))
    assert errors[1] < cap
    assert np.log2(errors[0] / errors[2]) / 2.0 > rate


def test_a_triangle_of_the_order_is_turned_with_its_nodes():
    """A mirror image is turned to positive orientation: the same area, and nodes where they belong."""
    box = Lattice.box(1.0, 1.0)
    for order in (3, 4):
        nodes = lattice_nodes(2, order)[:, 1:]
        bent = nodes + 0.05 * np.column_stack([nodes[:, 1] * nodes[:, 0] ** 2, nodes[:, 0] * nodes[:, 1]])
        swapped = [int(np.flatnonzero((np.abs(nodes - node[::-1]) < 1e-9).all(axis=1))[0]) for node in nodes]
        made = [
            RawCell(
                points=0.5 * bent, cells=[row], kind="triangle", order=order, phase_of_cell=[1], phases={"a": 1},
                facets=[], facet_tags=[], facet_names={}, lattice=box,
            )
            for row in (np.arange(len(nodes)), np.array(swapped))
        ]  # fmt: skip
        np.testing.assert_array_equal(made[0].cells, made[1].cells)


@pytest.mark.parametrize("degree", [5, 6])
def test_dispersion_to_six_digits_with_some_hundred_unknowns(degree):
    cell = fibre_array(fraction=0.3, resolution=0.25, order=4, refinement=0)
    found = homogenize_dispersion(cell, {"matrix": 1.0}, peclet=[10.0, 100.0], degree=degree)
    allowed = {5: (2e-5, 1e-4), 6: (5e-7, 3e-6)}[degree]
    for one, exact, most in zip(found, [(2.0785848, 0.8200195), (71.510432, 1.0499567)], allowed, strict=True):
        np.testing.assert_allclose(np.diag(one.value), exact, rtol=most)


def test_diffusion_and_flow_between_fibres():
    """The limits are those of the mesh of second order at a tenth of the size."""
    cell = fibre_array(fraction=0.3, resolution=0.25, order=4, refinement=0)
    fine = fibre_array(fraction=0.3, resolution=0.03, order=2)
    for phases in ({"matrix": 1.0}, {"matrix": 1.0, "fibre": 50.0}):
        reference = homogenize_diffusion(fine, phases, degree=4).value
        np.testing.assert_allclose(homogenize_diffusion(cell, phases, degree=6).value, reference, rtol=1e-6, atol=1e-9)
    permeability = homogenize_stokes(cell, degree=6, fluid="matrix").value
    np.testing.assert_allclose(np.diag(permeability), 0.0097199390, rtol=3e-6)


def test_a_part_between_mirrors_and_a_coating():
    cell = fibre_array("hexagonal", fraction=0.3, coating=0.05, resolution=0.2, order=4, mirrors="auto")
    assert cell.volume_fractions["fibre"] == pytest.approx(0.3, abs=1e-12)
    phases = {"matrix": 1.0, "fibre": 0.2, "coating": 5.0}
    whole, part = (
        homogenize_diffusion(cell, phases, degree=5, bounds=False, symmetry=symmetry).value
        for symmetry in ("none", "auto")
    )
    np.testing.assert_allclose(part, whole, rtol=1e-8, atol=1e-9)


# -- what is refused -------------------------------------------------------------------------------------------------


def test_bounds_beyond_degree_four_are_refused():
    cell = fibre_array(fraction=0.3, resolution=0.3)
    with pytest.raises(InputError, match=r"degree = 5.*<= 4.*bounds = False"):
        homogenize_diffusion(cell, {"matrix": 1.0}, degree=5)
    with pytest.raises(InputError, match=r"degree = 6.*<= 4.*bounds = False"):
        homogenize_dispersion(cell, {"matrix": 1.0}, peclet=1.0, degree=6, bounds=True)
    straight = homogenize_diffusion(cell, {"matrix": 1.0}, degree=5, bounds=False)
    assert straight.upper is not None


def test_in_space_the_order_ends_at_two():
    for make in (lambda: sphere_array(fraction=0.3, order=3), lambda: tpms("gyroid", order=3)):
        with pytest.raises(InputError, match=r"order = 3.*Take order 2"):
            make()
    with pytest.raises(CellError, match=r"order = 3.*1 or 2 for a tetrahedron"):
        RawCell(
            points=np.eye(4, 3), cells=[[0, 1, 2, 3]], kind="tetrahedron", order=3, phase_of_cell=[1], phases={"a": 1},
            facets=[], facet_tags=[], facet_names={}, lattice=Lattice.box(1.0, 1.0, 1.0),
        )  # fmt: skip


def test_a_file_holds_cells_up_to_order_two(tmp_path):
    cell = fibre_array(fraction=0.3, resolution=0.3, order=3)
    for name in ("cell.msh", "cell.xdmf"):
        with pytest.raises(InputError, match="order = 3: it must be 1 or 2 in a file"):
            cell.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


# -- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [3, 4])
def test_pictures_have_the_curved_sides(order):
    """What is drawn of the fibre has its area to the order of quadratic sides, and not that of a polygon."""
    raw = fibre_array(fraction=0.3, resolution=0.25, order=order, refinement=0).raw
    places = as_second_order(raw.points[raw.cells])
    corners = raw.points[raw.corners]
    exact = np.hypot(*(places[:, 3:] - 0.5).reshape(-1, 2).T)
    on_circle = np.abs(exact - RADIUS) < 2e-3
    assert np.count_nonzero(on_circle) >= 16
    np.testing.assert_allclose(exact[on_circle], RADIUS, atol=1e-3)
    inside = raw.phase_of_cell == raw.phases["matrix"]
    drawn = made_drawable(raw.points, raw.cells, raw.phase_of_cell)
    pieces = drawn.nodes[drawn.corners[drawn.tags == raw.phases["matrix"]]]
    area = 0.5 * np.abs(np.linalg.det(pieces[:, 1:] - pieces[:, :1])).sum()
    polygon = 0.5 * np.abs(np.linalg.det(corners[inside][:, 1:] - corners[inside][:, :1])).sum()
    assert abs(area - 0.7) < 0.1 * abs(polygon - 0.7)


# -- ranks -----------------------------------------------------------------------------------------------------------


def flower(x):
    """A rounded body around the corners of the cell, which the faces cut."""
    return np.hypot(np.sin(np.pi * x[:, 0]), np.sin(np.pi * (x[:, 1] - 0.1))) - 0.6


def case_ranks(comm):
    cell = level_set_cell(flower, ["in", "out"], dimension=2, resolution=0.2, order=4, comm=comm)
    value = homogenize_diffusion(cell, {"in": 1.0, "out": 10.0}, degree=5).value
    flow = homogenize_dispersion(cell, {"out": 1.0}, peclet=20.0, degree=5).value
    return [value.tolist(), flow.tolist()]


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    first, *others = on_ranks(case_ranks)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-7, atol=1e-9)
