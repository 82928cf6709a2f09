"""Opposite faces that do not match: overlaps, constraint, percolation, area, refusals; against exact values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import basix.ufl
import numpy as np
import pytest
import scipy.spatial
import ufl
from mpi4py import MPI

from homfem import certify, periodic, solve
from homfem.cells import from_file, load_cell
from homfem.cells.unitcell import UnitCell
from homfem.meshing.arrays.facet_overlaps import close_pairs, measures, overlaps
from homfem.meshing.files.check import check_mesh
from homfem.parameters import InputError, PercolationError, PeriodicityError
from made_cells import grid_raw

GEO = Path(__file__).parents[1] / "meshes"
SKEW2 = [[1.0, 0.0], [0.3, 0.9]]
SKEW3 = [[1.0, 0.0, 0.0], [0.2, 1.1, 0.0], [0.1, -0.3, 0.9]]


def unmatched(divisions, phase=None, *, vectors=None, amount=0.04, keeps=2):
    """A grid with its nodes moved along its faces, more on the high ones: planes s = k / ``keeps`` stay."""
    raw = grid_raw(divisions, phase, vectors=vectors)
    s = raw.lattice.fractional(raw.points)
    d = len(divisions)
    moved = s.copy()
    for axis in range(d):
        others = [j for j in range(d) if j != axis]
        moved[:, axis] += amount * np.sin(keeps * np.pi * s[:, axis]) * (s[:, others] @ [1.0, 0.6][: d - 1])
    return replace(raw, points=moved @ raw.lattice.vectors)


def open_cell(raw, comm=MPI.COMM_WORLD, **options):
    return UnitCell.from_raw(raw, comm=comm, faces="non-matching", **options)


def layers(axis):
    return lambda s: (s[:, axis] > 0.5).astype(int)


# Overlaps.


def test_overlaps_of_two_triangulations_cover_each_triangle():
    rng = np.random.default_rng(3)
    square = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    meshes = []
    for count in (40, 300):
        points = np.vstack([rng.random((count, 2)) ** 2, square])
        meshes.append(points[scipy.spatial.Delaunay(points).simplices])
    one, other, parts = overlaps(*meshes)
    for mesh, owner in zip(meshes, (one, other), strict=True):
        assert np.allclose(np.bincount(owner, measures(parts), len(mesh)), measures(mesh), atol=1e-14)
    # The parts are where they should be: the integral of x y is 1/4.
    middles = 0.5 * (parts + np.roll(parts, 1, axis=1))
    assert np.isclose((measures(parts) / 3.0 * middles.prod(axis=2).sum(axis=1)).sum(), 0.25, atol=1e-13)


def test_overlaps_of_intervals_by_hand():
    first = np.array([[[0.0], [0.4]], [[1.0], [0.4]]])
    second = np.array([[[0.0], [0.1]], [[0.6], [0.1]], [[0.6], [1.0]]])
    one, other, parts = overlaps(first, second)
    assert list(zip(one, other, np.round(measures(parts), 12), strict=True)) == [
        (0, 0, 0.1), (0, 1, 0.3), (1, 1, 0.2), (1, 2, 0.4)]  # fmt: skip


def test_close_pairs_are_all_pairs_of_balls_that_meet():
    rng = np.random.default_rng(5)
    a, b = rng.random((60, 2)), rng.random((80, 2))
    ra, rb = 0.2 * rng.random(60) ** 6, 0.2 * rng.random(80) ** 6
    gap = np.linalg.norm(a[:, None] - b, axis=2)
    expected = np.argwhere(gap <= ra[:, None] + rb)
    assert len(expected) > 20
    assert np.array_equal(np.column_stack(close_pairs(a, ra, b, rb)), expected)


# The constraint.


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize(("divisions", "axis"), [((6, 8), 0), ((6, 8), 1), ((4, 6, 4), 0), ((4, 6, 4), 2)])
def test_laminates_are_exact(divisions, axis, degree):
    """Normal to the layers the harmonic mean, along them the arithmetic mean, to round-off."""
    cell = open_cell(unmatched(divisions, layers(axis)))
    assert cell.volume_fractions["a"] == pytest.approx(0.5, abs=1e-14)
    tensor = certify.homogenize_diffusion(cell, {"a": 1.0, "b": 10.0}, degree=degree, rtol=1e-13)
    expected = np.full(len(divisions), 5.5)
    expected[axis] = 20.0 / 11.0
    assert np.abs(tensor.value - np.diag(expected)).max() < 1e-10
    assert tensor.lower is None
    assert tensor.upper is None


@pytest.mark.parametrize("vectors", [SKEW2, SKEW3])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_homogeneous_anisotropic_media_on_skew_lattices_are_exact(vectors, degree):
    d = len(vectors)
    matrix = np.diag([1.0, 3.0, 9.0][:d]) + 0.4
    cell = open_cell(unmatched((5, 4, 3)[:d], vectors=vectors))
    tensor = certify.homogenize_diffusion(cell, {"a": matrix}, degree=degree)
    assert np.abs(tensor.value - matrix).max() < 1e-10


def blocks(s):
    """Two conducting phases a, d and two others that lie opposite to conducting ones across period 1."""
    number = np.zeros(len(s), dtype=int)
    number[(s[:, 0] > 0.5) & (s[:, 1] > 0.25) & (s[:, 1] < 0.5)] = 1
    number[(s[:, 0] < 0.5) & (s[:, 1] > 0.5) & (s[:, 1] < 0.75)] = 2
    number[(s[:, 0] > 0.5) & (s[:, 1] > 0.5) & (s[:, 1] < 0.75)] = 3
    number[(s[:, 0] < 0.5) & (s[:, 1] > 0.25) & (s[:, 1] < 0.5)] = 3
    return number


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize(
    ("divisions", "vectors", "phase", "coefficients"),
    [
        ((6, 8), None, blocks, {"a": 1.0, "d": 10.0}),
        ((6, 8), SKEW2, blocks, {"a": 1.0, "b": 7.0, "c": 0.1, "d": 10.0}),
        ((4, 4, 4), SKEW3, blocks, {"a": 1.0, "d": 10.0}),
    ],
)
def test_on_matching_faces_it_is_the_identified_space(divisions, vectors, phase, coefficients, degree):
    """Also with walls: conducting phases that lie opposite to insulating ones."""
    raw = grid_raw(divisions, phase, vectors=vectors)
    results = [
        certify.solve_diffusion(cell, coefficients, degree=degree, bounds=False, rtol=1e-13)
        for cell in (UnitCell.from_raw(raw, comm=MPI.COMM_WORLD), open_cell(raw))
    ]
    assert np.allclose(results[0].tensor.value, results[1].tensor.value, rtol=0.0, atol=1e-10)
    assert results[0].tensor.dofs == results[1].tensor.dofs
    assert results[0].tensor.interface_area == pytest.approx(results[1].tensor.interface_area, rel=1e-12)


def test_the_unknowns_on_one_face_of_each_pair_are_eliminated():
    cell = open_cell(unmatched((4, 5, 6)))
    space = periodic.make_periodic_space(cell.periodic_mesh, _element(cell, 1), cell.lattice)
    assert space.dofs == 4 * 5 * 6
    assert space.free == 0


def _element(cell, degree, shape=()):
    return basix.ufl.element("Lagrange", cell.kind, degree, shape=shape)


@pytest.mark.parametrize("shape", [(), (2,)])
def test_the_jump_has_no_mean(shape):
    """Of any periodic function, over the faces and over each phase; and the energy is that of its matrix."""
    cell = open_cell(unmatched((6, 8), layers(1)))
    space = periodic.make_periodic_space(cell.periodic_mesh, _element(cell, 2, shape), cell.lattice)
    u, v = ufl.TrialFunction(space.space), ufl.TestFunction(space.space)
    matrix = space.matrix(ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx)
    x = matrix.createVecRight()
    x.array[:] = np.random.default_rng(1).random(len(x.array_r))
    x.array[space.local_slaves] = 0.0
    function = space.function(x)
    y = x.duplicate()
    matrix.mult(x, y)
    energy = solve.integrate(ufl.inner(ufl.grad(function), ufl.grad(function)) * ufl.dx)
    assert x.dot(y) == pytest.approx(energy, rel=1e-12)
    where = ufl.SpatialCoordinate(cell.mesh)
    normal = ufl.FacetNormal(cell.mesh)
    component = function if not shape else function[1]
    for weight in (1.0, ufl.conditional(ufl.gt(where[1], 0.5), 1.0, 0.0)):
        sides = normal[0] * weight * component
        assert abs(solve.integrate(sides * ufl.ds)) < 1e-13
    # It does jump: the values differ.
    assert solve.integrate(normal[0] * component * where[1] ** 3 * ufl.ds) ** 2 > 1e-10
    for constant in space.constants():
        matrix.mult(constant, y)
        assert y.norm() < 1e-10


def case_ranks(comm):
    cell = from_file(GEO / "unmatched_disc.geo", resolution=0.15, faces="non-matching", comm=comm)
    raw = unmatched((4, 4, 4), layers(2)) if comm.rank == 0 else None
    space = open_cell(raw, comm=comm)
    solutions = [
        certify.solve_diffusion(cell, {"disc": 10.0, "matrix": 1.0}, degree=1, rtol=1e-12),
        certify.solve_diffusion(cell, {"matrix": 1.0}, degree=2, rtol=1e-12),
        certify.solve_diffusion(space, {"a": 1.0, "b": 3.0}, degree=2, rtol=1e-12),
    ]
    return {
        "values": [cell.interface_area, *(float(s.tensor.value[i, 0]) for s in solutions for i in (0, 1))],
        "dofs": [s.tensor.dofs for s in solutions],
        "seconds": solutions[0].tensor.seconds["constraint"],
    }


@pytest.mark.mpi
def test_results_do_not_depend_on_the_ranks(on_ranks):
    answers = on_ranks(case_ranks)
    for answer in answers:
        assert answer["values"][5] == pytest.approx(2.0, abs=1e-10)
        assert np.allclose(answer["values"], answers[0]["values"], rtol=0.0, atol=1e-9)
        assert answer["dofs"] == answers[0]["dofs"]
        assert answer["seconds"] > 0.0


# Percolation and area.


def test_layers_percolate_along_themselves_and_have_two_interfaces():
    cell = open_cell(unmatched((6, 8), layers(1)))
    for name in ("a", "b"):
        assert cell.connectivity[name].directions.tolist() == [[1, 0]]
        assert len(cell.connectivity[name].parts) == 1
    assert cell.whole.percolates
    # One interface is inside, one lies on the period faces.
    assert cell.interface_area == pytest.approx(2.0, rel=1e-12)
    assert {name: len(facets) for name, facets in cell.facets.items()} == {"a|b": 6, "period-1": 16, "period-2": 12}


def test_an_island_is_found_and_left_out():
    def phase(s):
        return np.where(np.abs(s - 0.5).max(axis=1) < 0.17, 0, np.where(np.abs(s[:, 1] - 0.5) < 0.34, 1, 0))

    cell = open_cell(unmatched((6, 6), phase, keeps=6, amount=0.02))
    assert [len(part.directions) for part in cell.connectivity["a"].parts] == [1, 0]
    solution = certify.solve_diffusion(cell, {"a": 2.0}, rtol=1e-12)
    assert solution.cell.number_of_cells == 24
    assert np.abs(solution.tensor.value - np.diag([2.0 / 3.0, 0.0])).max() < 1e-10
    assert solution.tensor.interface_area == pytest.approx(2.0 + 4.0 / 3.0, rel=1e-12)


def test_two_parallel_parts_have_a_constant_each():
    def phase(s):
        return np.where((s[:, 1] % 0.5 > 0.17) & (s[:, 1] % 0.5 < 0.33), 0, 1)

    cell = open_cell(unmatched((6, 6), phase, keeps=6, amount=0.02))
    assert len(cell.connectivity["a"].parts) == 2
    tensor = certify.homogenize_diffusion(cell, {"a": 3.0}, rtol=1e-12)
    assert np.abs(tensor.value - np.diag([1.0, 0.0])).max() < 1e-10


def test_a_phase_that_does_not_percolate_is_refused():
    cell = from_file(GEO / "unmatched_disc.geo", resolution=0.2, faces="non-matching")
    with pytest.raises(PercolationError):
        certify.homogenize_diffusion(cell, {"disc": 1.0})


# Refusals.


def test_phase_boundaries_in_other_places_are_refused():
    raw = unmatched((8, 8), layers(1), keeps=1, amount=0.05)
    with pytest.raises(PeriodicityError, match=r"period 1.*phase boundary at .*0\.05 away.*same places"):
        open_cell(raw)


def test_a_small_shift_of_phase_boundaries_is_taken():
    cell = open_cell(unmatched((8, 8), layers(1), keeps=1, amount=0.01))
    tensor = certify.homogenize_diffusion(cell, {"b": 1.0})
    assert tensor.value[0, 0] == pytest.approx(0.5, abs=0.01)
    assert cell.connectivity["b"].directions.tolist() == [[1, 0]]


def test_curved_meshes_and_other_shapes_are_refused():
    with pytest.raises(PeriodicityError, match=r"triangle of order 2.*straight"):
        from_file(GEO / "unmatched_disc.geo", resolution=0.3, order=2, faces="non-matching")
    raw = grid_raw((6, 6))
    points = raw.points + 0.1 * np.column_stack([np.sin(2 * np.pi * raw.points[:, 1]), np.zeros(len(raw.points))])
    with pytest.raises(PeriodicityError, match=r"reaching over 1\.17.*parallelepiped of exactly one period"):
        open_cell(replace(raw, points=points))


def test_what_needs_matching_faces_is_refused_by_name():
    cell = open_cell(unmatched((4, 4)))
    with pytest.raises(InputError, match=r"backend = 'identified'.*'multipoint'.*repair"):
        certify.homogenize_diffusion(cell, {"a": 1.0}, backend="identified")
    with pytest.raises(InputError, match=r"tolerance = 0\.01.*do not match"):
        certify.homogenize_diffusion(cell, {"a": 1.0}, tolerance=0.01)
    with pytest.raises(InputError, match=r"element.*Lagrange on faces that do not match"):
        periodic.make_periodic_space(cell.periodic_mesh, basix.ufl.element("CR", cell.kind, 1), cell.lattice)
    matching = UnitCell.from_raw(grid_raw((4, 4)), comm=MPI.COMM_WORLD)
    with pytest.raises(InputError, match="create_open_mesh"):
        periodic.ProlongedSpace(matching.periodic_mesh, _element(matching, 1), matching.lattice)


def test_options_that_exclude_each_other_are_refused():
    path = GEO / "unmatched_disc.geo"
    with pytest.raises(InputError, match="repair = True"):
        from_file(path, repair=True, faces="non-matching")
    with pytest.raises(InputError, match="faces = 'none'"):
        from_file(path, faces="none")
    with pytest.raises(PeriodicityError, match="matching node by node"):
        from_file(path, resolution=0.3)


# The checker, files.


def test_the_checker_names_the_ways_out():
    report = check_mesh(unmatched((6, 6), layers(1)))
    assert not report.ok
    assert [phase.directions for phase in report.phases] == [((1, 0),), ((1, 0),)]
    assert any("two ways out: repair" in note and "faces = 'non-matching'" in note for note in report.notes)
    report = check_mesh(unmatched((8, 8), layers(1), keeps=1, amount=0.05))
    assert any("non-matching' is no way here" in note and "same places" in note for note in report.notes)
    assert not any("non-matching" in note for note in check_mesh(grid_raw((6, 6))).notes)


@pytest.mark.parametrize("suffix", [".msh", ".xdmf"])
def test_a_saved_part_comes_back(tmp_path, suffix):
    cell = open_cell(unmatched((6, 8), layers(1))).restrict(["b"])
    cell.save(tmp_path / f"cell{suffix}")
    again = load_cell(tmp_path / f"cell{suffix}")
    assert again.faces == "non-matching"
    values = [certify.homogenize_diffusion(one, {"b": 1.0}).value for one in (cell, again)]
    assert np.allclose(values[0], values[1], atol=1e-9)
    assert "not matched node by node" in again.describe()


def test_the_plain_mesh_is_the_mesh():
    cell = open_cell(unmatched((4, 4)))
    assert cell.periodic_mesh.plain is cell.mesh
    assert not cell.periodic_mesh.matching
    assert np.array_equal(cell.origin, [0.0, 0.0])
