"""The periodic constraint: counts by hand, both backends against an elimination made by hand, refusals."""

from __future__ import annotations

import basix.ufl
import numpy as np
import pytest
import scipy.sparse as sp
import scipy.spatial
import ufl
from mpi4py import MPI

from homfem import solve
from homfem.parameters import CellError, Lattice, PeriodicityError
from homfem.periodic import (
    IdentifiedSpace,
    MultipointSpace,
    check_faces,
    check_resolution,
    identify_nodes,
    make_periodic_space,
)
from made_cells import grid_cell, grid_raw

SKEW2 = [[1.0, 0.0], [0.5, np.sqrt(0.75)]]
SKEW3 = [[1.0, 0.0, 0.0], [0.2, 1.1, 0.0], [0.1, -0.3, 0.9]]


@pytest.mark.parametrize(("divisions", "vectors"), [((4, 5), None), ((4, 6), SKEW2), ((3, 4, 5), SKEW3)])
def test_representatives_by_hand(divisions, vectors):
    raw = grid_raw(divisions, vectors=vectors)
    representative, offset = identify_nodes(raw.points, raw.lattice)
    assert np.allclose(raw.points, raw.points[representative] + offset @ raw.lattice.vectors, atol=1e-12)
    number = np.stack(np.unravel_index(np.arange(len(raw.points)), [n + 1 for n in divisions]), axis=1)
    expected = np.ravel_multi_index(tuple((number % divisions).T), [n + 1 for n in divisions])
    assert np.array_equal(representative, expected)
    assert np.array_equal(offset, number // divisions)


def test_hexagonal_cell_is_matched_by_its_lattice():
    """A regular hexagon tiles the plane though it is no parallelogram: 6 corners are 2 nodes, 6 sides 3."""
    angle = np.arange(6) * np.pi / 3
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    middle = 0.5 * (ring + np.roll(ring, -1, axis=0))
    points = np.vstack([ring, middle, [[0.0, 0.0]]])
    lattice = Lattice(vectors=np.array([[1.5, np.sqrt(0.75)], [0.0, np.sqrt(3.0)]]))
    representative, offset = identify_nodes(points, lattice)
    assert np.allclose(points, points[representative] + offset @ lattice.vectors)
    assert len(np.unique(representative[:6])) == 2
    assert len(np.unique(representative[6:12])) == 3


def test_a_face_that_does_not_match_names_the_node():
    raw = grid_raw((4, 4))
    points = raw.points.copy()
    moved = np.flatnonzero((points[:, 0] == 1.0) & (points[:, 1] == 0.5))[0]
    points[moved, 1] += 0.01
    with pytest.raises(PeriodicityError) as error:
        identify_nodes(points, raw.lattice)
    assert "period 1" in str(error.value)
    assert "0.5" in str(error.value)
    assert "Periodic" in error.value.remedy


def test_faces_with_equal_nodes_and_other_diagonals_are_refused():
    """Identified, they would be walls, and a first-order function would jump across them."""
    raw = grid_raw((3, 3, 3))
    last = raw.points[raw.cells][:, :, 0].mean(axis=1) > 2 / 3
    mirror = np.arange(64).reshape(4, 4, 4)[:, ::-1].ravel()
    cells = raw.cells.copy()
    cells[last] = mirror[cells[last]]
    representative, _ = identify_nodes(raw.points, raw.lattice)
    check_faces(raw.points, raw.cells, representative, raw.lattice, whole=True)
    for whole in (True, False):
        with pytest.raises(PeriodicityError, match="facet by facet"):
            check_faces(raw.points, cells, representative, raw.lattice, whole=whole)


def hexagon(n, move):
    """A fan of n rings of triangles in a regular hexagon; one node of one side is moved along it."""
    ring = np.stack([np.cos(np.arange(6) * np.pi / 3), np.sin(np.arange(6) * np.pi / 3)], axis=1)
    points = [np.zeros((1, 2))]
    for k in range(1, n + 1):
        t = np.arange(k)[:, None] / k
        points += [(k / n) * ((1 - t) * ring[j] + t * ring[(j + 1) % 6]) for j in range(6)]
    points = np.vstack(points)
    cells = scipy.spatial.Delaunay(points).simplices
    points[-n + 1] += move * (ring[0] - ring[5])
    return points, cells, Lattice(vectors=np.array([[1.5, np.sqrt(0.75)], [0.0, np.sqrt(3.0)]]))


def test_a_hexagon_whose_sides_do_not_match_is_refused():
    for move, fine in ((0.0, True), (0.05, False)):
        points, cells, lattice = hexagon(4, move)
        representative, _ = identify_nodes(points, lattice)
        if fine:
            check_faces(points, cells, representative, lattice, whole=True)
        else:
            with pytest.raises(PeriodicityError, match="matching facet by facet"):
                check_faces(points, cells, representative, lattice, whole=True)


@pytest.mark.parametrize("vectors", [None, SKEW2])
def test_nodes_of_a_part_keep_the_partners_they_have(vectors):
    """Some cells of a matched mesh: two of their nodes are one exactly when they were one in the whole."""
    raw = grid_raw((6, 5), vectors=vectors)
    whole, _ = identify_nodes(raw.points, raw.lattice)
    rng = np.random.default_rng(4)
    for _ in range(20):
        used = np.unique(raw.cells[rng.random(len(raw.cells)) < 0.4])
        part, offset = identify_nodes(raw.points[used], raw.lattice, partial=True)
        assert np.allclose(raw.points[used], raw.points[used][part] + offset @ raw.lattice.vectors)
        assert np.array_equal(part[:, None] == part, whole[used][:, None] == whole[used])


def test_a_node_twice_on_one_face_does_not_stand_for_two_of_the_other():
    """As many nodes on both faces, and each of the low one has a partner: one of the high one has none."""
    low, high = [0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.7, 1.0]
    points = np.array([[0.0, y] for y in low] + [[1.0, y] for y in high])
    with pytest.raises(PeriodicityError, match=r"node at \(1, 0\.7\)"):
        identify_nodes(points, Lattice.box(1.0, 1.0))


def test_an_extra_node_on_one_face_is_refused():
    points = np.vstack([grid_raw((4, 4)).points, [[0.0, 0.3]]])
    with pytest.raises(PeriodicityError, match="period 1"):
        identify_nodes(points, Lattice.box(1.0, 1.0))


@pytest.mark.parametrize("divisions", [(1, 4), (2, 4), (4, 2), (2, 4, 4), (4, 1, 4), (4, 4, 2)])
def test_too_coarse_a_period_is_refused_by_name(divisions):
    with pytest.raises(PeriodicityError, match="at least three elements across every period"):
        grid_cell(divisions)


def test_a_period_that_is_too_coarse_inside_alone_is_refused():
    along = np.arange(4) / 4.0
    sides = [
        (along, 0.0 * along),
        (1.0 + 0.0 * along, along),
        (1.0 - along, 1.0 + 0.0 * along),
        (0.0 * along, 1.0 - along),
    ]
    points = np.vstack([*(np.column_stack(side) for side in sides), [[0.5, 0.5]]])
    cells = np.column_stack([np.arange(16), (np.arange(16) + 1) % 16, np.full(16, 16)])
    lattice = Lattice.box(1.0, 1.0)
    with pytest.raises(PeriodicityError, match="at least three elements across every period"):
        check_resolution(points, cells, identify_nodes(points, lattice)[0], lattice)


@pytest.mark.parametrize("divisions", [(3, 3), (3, 3, 3)])
def test_three_elements_are_enough(divisions):
    raw = grid_raw(divisions)
    representative, _ = identify_nodes(raw.points, raw.lattice)
    check_resolution(raw.points, raw.cells, representative, raw.lattice)
    cell = grid_cell(divisions)
    assert cell.number_of_cells == len(raw.cells)


def test_singular_lattice_is_refused():
    with pytest.raises(CellError, match="linearly independent"):
        Lattice(vectors=np.array([[1.0, 0.0], [2.0, 0.0]]))


def counts(n: tuple[int, ...], family: str, degree: int) -> int:
    """Degrees of freedom of a Kuhn grid on the torus: vertices, edges, facets, cells per grid box, by hand."""
    boxes = int(np.prod(n))
    vertices, edges, facets, cells = (1, 3, 3, 2) if len(n) == 2 else (1, 7, 12, 6)
    table = {
        ("Lagrange", 1): vertices,
        ("Lagrange", 2): vertices + edges,
        ("Lagrange", 3): vertices + 2 * edges + (cells if len(n) == 2 else facets),
        ("CR", 1): facets,
        ("RT", 1): facets,
        ("DG", 0): cells,
    }
    return boxes * table[(family, degree)]


def case_counts(comm, divisions, elements):
    cell = grid_cell(divisions, comm=comm)
    found = []
    for family, degree, backend in elements:
        element = basix.ufl.element(family, cell.kind, degree)
        found.append(make_periodic_space(cell.periodic_mesh, element, cell.lattice, backend).dofs)
    exterior = solve.integrate(1.0 * ufl.ds(domain=cell.mesh))
    interior = solve.integrate(1.0 * ufl.dS(domain=cell.mesh))
    return {"dofs": found, "exterior": exterior, "interior": interior}


ELEMENTS = [
    ("Lagrange", 1, "identified"),
    ("Lagrange", 2, "identified"),
    ("Lagrange", 3, "identified"),
    ("CR", 1, "identified"),
    ("RT", 1, "identified"),
    ("DG", 0, "identified"),
    ("Lagrange", 1, "multipoint"),
    ("Lagrange", 2, "multipoint"),
    ("CR", 1, "multipoint"),
]


@pytest.mark.mpi
@pytest.mark.parametrize("divisions", [(4, 5), (3, 4, 5)])
def test_counts_equal_counting_by_hand(on_ranks, divisions):
    expected = [counts(divisions, family, degree) for family, degree, _ in ELEMENTS]
    measures = []
    for answer in on_ranks(case_counts, divisions=divisions, elements=ELEMENTS):
        assert answer["dofs"] == expected
        assert answer["exterior"] == 0.0
        measures.append(answer["interior"])
    assert np.allclose(measures, measures[0], rtol=1e-12)


def by_elimination(raw, representative, points_of_dofs, matrix, vector):
    """Solve with the hand-built prolongation P: nodes follow their representative (first-order Lagrange)."""
    place = {tuple(np.round(p, 9)): k for k, p in enumerate(points_of_dofs)}
    dof = np.array([place[tuple(np.round(p, 9))] for p in raw.points])
    independent = np.unique(representative)
    column = np.searchsorted(independent, representative)
    prolongation = sp.csr_matrix((np.ones(len(dof)), (dof, column)), shape=(len(dof), len(independent)))
    reduced = (prolongation.T @ matrix @ prolongation).toarray()
    side = prolongation.T @ vector
    ones = np.ones((len(independent), 1))
    bordered = np.block([[reduced, ones], [ones.T, np.zeros((1, 1))]])
    return prolongation @ np.linalg.solve(bordered, np.append(side, 0.0))[:-1], dof


@pytest.mark.parametrize(("divisions", "vectors"), [((5, 4), SKEW2), ((4, 3, 4), SKEW3)])
def test_both_backends_equal_the_elimination_by_hand(divisions, vectors):
    cell = grid_cell(divisions, vectors=vectors)
    raw, mesh = cell.raw, cell.periodic_mesh
    representative, _ = identify_nodes(raw.points, raw.lattice)
    inverse = np.linalg.inv(np.array(vectors))
    d = len(divisions)

    def forms(space, domain):
        u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
        x = ufl.SpatialCoordinate(domain)
        s = [sum(float(inverse[j, k]) * x[j] for j in range(d)) for k in range(d)]
        weight = 2 + ufl.cos(2 * ufl.pi * s[0]) * ufl.sin(2 * ufl.pi * s[1])
        source = ufl.sin(2 * ufl.pi * (s[0] + s[-1])) + 0.3 * ufl.cos(2 * ufl.pi * s[1])
        return weight * ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx, source * v * ufl.dx

    element = basix.ufl.element("Lagrange", cell.kind, 1)
    from dolfinx import fem

    plain = fem.functionspace(mesh.plain, element)
    a, b = forms(plain, mesh.plain)
    ai, aj, av = solve.assemble_matrix(a).getValuesCSR()
    matrix = sp.csr_matrix((av, aj, ai))
    expected, _ = by_elimination(
        raw, representative, plain.tabulate_dof_coordinates()[:, :d], matrix, solve.assemble_vector(b).array
    )
    expected -= expected.mean()
    results = {}
    for backend in ("identified", "multipoint"):
        space = make_periodic_space(mesh, element, cell.lattice, backend)
        assert isinstance(space, IdentifiedSpace if backend == "identified" else MultipointSpace)
        a, b = forms(space.space, mesh.mesh if backend == "identified" else mesh.plain)
        A, side = space.matrix(a), space.vector(b)
        x = A.createVecRight()
        solve.LinearSolver(A, rtol=1e-13, kernel=space.constants()).solve(side, x)
        u = space.function(x)
        if backend == "identified":
            u = mesh.to_plain(u, plain)
        values = u.x.array
        # Both plain spaces number their nodes by position.
        order = np.lexsort(np.round(u.function_space.tabulate_dof_coordinates()[:, :d], 9).T)
        results[backend] = values[order] - values.mean()
    order = np.lexsort(np.round(plain.tabulate_dof_coordinates()[:, :d], 9).T)
    scale = np.abs(expected).max()
    for values in results.values():
        assert np.abs(values - expected[order]).max() < 1e-10 * scale


def case_jump(comm, divisions):
    """A Crouzeix-Raviart function that is one across the period sees no boundary: its jump is integrated there."""
    cell = grid_cell(divisions, comm=comm)
    from dolfinx import fem

    space = fem.functionspace(cell.mesh, ("DG", 1))
    u = fem.Function(space)
    u.interpolate(lambda x: x[0])
    return {"jump": solve.integrate(ufl.jump(u) ** 2 * ufl.dS)}


@pytest.mark.mpi
def test_interior_facet_integrals_see_the_period_faces(on_ranks):
    """The function x jumps by one across the face x = 0 = 1 of unit area, nowhere else."""
    for answer in on_ranks(case_jump, divisions=(4, 4, 3)):
        assert abs(answer["jump"] - 1.0) < 1e-12


def shifted_side(comm, n, width):
    """A unit square whose right side has its nodes moved, but for a strip of the given width at its ends."""
    from dolfinx import mesh as dmesh

    plain = dmesh.create_unit_square(comm, n, n)
    x = plain.geometry.x
    inside = np.clip((x[:, 1] - width) * (1.0 - width - x[:, 1]), 0.0, None)
    x[:, 1] += 0.3 * x[:, 0] * inside
    return plain


def case_nonmatching(comm, n):
    """Opposite sides with different nodes: only the multipoint backend takes them."""
    plain = shifted_side(comm, n, 0.125)
    element = basix.ufl.element("Lagrange", "triangle", 1)
    space = MultipointSpace(plain, element, Lattice.box(1.0, 1.0), comm)
    u, v = ufl.TrialFunction(space.space), ufl.TestFunction(space.space)
    p = ufl.SpatialCoordinate(plain)
    k = 2 * ufl.pi
    exact = ufl.sin(k * p[0]) * ufl.cos(k * p[1])
    A, b = space.matrix(ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx), space.vector(2 * k**2 * exact * v * ufl.dx)
    X = A.createVecRight()
    solve.LinearSolver(A, kernel=space.constants(), rtol=1e-9).solve(b, X)
    w = space.function(X)
    mean = solve.integrate((w - exact) * ufl.dx)
    return {"error": float(np.sqrt(solve.integrate((w - exact - mean) ** 2 * ufl.dx))), "slaves": space.slaves}


def test_a_chain_of_eliminated_unknowns_is_refused():
    plain = shifted_side(MPI.COMM_WORLD, 16, 0.0)
    element = basix.ufl.element("Lagrange", "triangle", 1)
    with pytest.raises(PeriodicityError, match="within one mesh cell of the edges"):
        MultipointSpace(plain, element, Lattice.box(1.0, 1.0), MPI.COMM_WORLD)


@pytest.mark.mpi
def test_nonmatching_faces_through_multipoint_constraints(on_ranks):
    coarse = on_ranks(case_nonmatching, ranks=(1,), n=16)[0]
    fine = on_ranks(case_nonmatching, ranks=(1, 2), n=32)
    assert fine[0]["slaves"] == fine[1]["slaves"] == 65
    assert abs(fine[0]["error"] - fine[1]["error"]) < 1e-7
    rate = np.log2(coarse["error"] / fine[0]["error"])
    assert 1.8 < rate < 2.2
    assert fine[0]["error"] < 1.2e-2


def test_comm_of_one_rank_is_enough():
    assert grid_cell((3, 3), comm=MPI.COMM_SELF).comm.size == 1
