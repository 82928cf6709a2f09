"""The velocity that takes away what divergence the solver left: constants, fluxes, sizes, and the bound it serves."""

from __future__ import annotations

from dataclasses import replace

import basix.ufl
import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import _dolfinx, periodic, solve
from homfem.cells.symmetry import symmetric_part
from homfem.certify.stokes import bounds as stokes_bounds
from homfem.certify.stokes import lift as stokes_lift
from homfem.local.engine import averages, solve_correctors
from homfem.local.stokes import stokes_problem
from homfem.meshing.arrays.facets import cell_facets
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.topology.percolation import shared_facets
from homfem.parameters import Lattice
from made_cells import grid_cell, square

REGULAR = {
    2: np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]]),
    3: np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.75**0.5, 0.0], [0.5, 0.75**0.5 / 3, (2 / 3) ** 0.5]]),
}


def right_inverse(corners, degree):
    """On a split simplex: spaces, the smallest velocity at rest on the boundary for each divergence, free dofs."""
    d = corners.shape[1]
    cells = np.array([[j if j != i else d + 1 for j in range(d + 1)] for i in range(d + 1)])
    element = basix.ufl.element("Lagrange", "triangle" if d == 2 else "tetrahedron", 1, shape=(d,))
    mesh = _dolfinx.create_mesh(MPI.COMM_SELF, cells, np.vstack([corners, corners.mean(axis=0)]), element)
    velocity, pressure = (
        fem.functionspace(mesh, ("Lagrange", degree, (d,))),
        fem.functionspace(mesh, ("DG", degree - 1)),
    )
    u, v = ufl.TrialFunction(velocity), ufl.TestFunction(velocity)
    p, q = ufl.TrialFunction(pressure), ufl.TestFunction(pressure)
    forms = (ufl.inner(ufl.grad(u), ufl.grad(v)), ufl.div(u) * q, p * q)
    stiffness, divergence, mass = (solve.assemble_matrix(form * ufl.dx)[:, :] for form in forms)
    mesh.topology.create_connectivity(d - 1, d)
    walls = fem.locate_dofs_topological(velocity, d - 1, dmesh.exterior_facet_indices(mesh.topology))
    free = np.setdiff1d(np.arange(len(stiffness)), (walls[:, None] * d + np.arange(d)).ravel())
    # Divergences in orthonormal coordinates.
    rows = np.linalg.solve(np.linalg.cholesky(mass), divergence[:, free])
    lifted = np.linalg.solve(stiffness[np.ix_(free, free)], rows.T)
    values, vectors = np.linalg.eigh(rows @ lifted)
    # A constant is no divergence, everything else is.
    assert values[0] < 1e-12 < 1e-3 < values[1]
    return lifted @ vectors[:, 1:] / values[1:], values[1:]


@pytest.mark.parametrize(("d", "degree"), list(stokes_lift.REGULAR))
def test_constants_of_the_regular_simplex(d, degree):
    inverse, values = right_inverse(REGULAR[d], degree)
    largest = np.linalg.norm(inverse.reshape(-1, d, len(values)), 2, axis=(1, 2)).max()
    for constant, exact in zip(stokes_lift.REGULAR[d, degree], (values[0] ** -0.5, largest), strict=True):
        assert exact < constant < 1.02 * exact


@pytest.mark.parametrize("d", [2, 3])
def test_a_flux_through_each_facet(d):
    """Of one simplex: the field that carries it, integrated, and the smallest one with a given divergence inside."""
    corners = REGULAR[d] @ np.random.default_rng(d).uniform(-1.0, 1.0, (d, d))
    element = basix.ufl.element("Lagrange", "triangle" if d == 2 else "tetrahedron", 1, shape=(d,))
    mesh = _dolfinx.create_mesh(MPI.COMM_SELF, np.arange(d + 1)[None], corners, element)
    slopes = np.linalg.inv((corners[1:] - corners[0]).T)
    slopes = np.vstack([-slopes.sum(axis=0), slopes])
    bubble = fem.Function(fem.functionspace(mesh, ("Lagrange", d, (d,))))
    flux = solve.integral(ufl.inner(bubble, ufl.FacetNormal(mesh)) * ufl.ds)
    energy = solve.integral(ufl.inner(ufl.grad(bubble), ufl.grad(bubble)) * ufl.dx)
    raw = RawCell(
        points=corners, cells=np.arange(d + 1)[None], kind=mesh.basix_cell().name, order=1,
        phase_of_cell=np.ones(1, dtype=int), phases={"a": 1}, facets=np.zeros((0, d), dtype=np.int64),
        facet_tags=np.zeros(0, dtype=np.int32), facet_names={}, lattice=Lattice(vectors=9.0 * np.eye(d)),
    )  # fmt: skip
    stretches = np.linalg.svd(np.linalg.solve(REGULAR[d][1:], corners[1:] - corners[0]), compute_uv=False)
    for k in range(d + 1):

        def carry(x, k=k):
            shares = [1.0 + slope @ (x[:d].T - corner).T for slope, corner in zip(slopes, corners, strict=True)]
            return slopes[k][:, None] * np.prod(shares[:k] + shares[k + 1 :], axis=0)

        bubble.interpolate(carry)
        exact = np.sqrt(energy()) / abs(flux())
        carried = np.zeros((1, d + 1, 1))
        carried[0, k] = -2.0
        found = stokes_lift._sizes(raw, carried, np.zeros((1, 1)), d)
        inside = 1.0 + stokes_lift.REGULAR[d, d][0] * stretches[0] / stretches[-1]
        assert 2.0 * exact <= found.energy[0] / inside < 6.0 * exact
        top = np.linalg.norm(slopes[k]) / abs(flux()) / d**d
        assert 2.0 * top < found.largest[0]
    # Some velocity inside has a divergence of size 1.
    inverse, values = right_inverse(corners, d)
    found = stokes_lift._sizes(raw, np.zeros((1, d + 1, 1)), np.ones((1, 1)), d)
    assert values[0] ** -0.5 < found.energy[0]
    assert np.linalg.norm(inverse.reshape(-1, d, len(values)), 2, axis=(1, 2)).max() < found.largest[0]


@pytest.mark.parametrize("mirrors", [False, True])
@pytest.mark.parametrize("d", [2, 3])
def test_fluxes_leave_nothing(d, mirrors):
    """What flows out of each simplex is what was asked for, nothing passes a wall."""
    cell = grid_cell((4,) * d, square, names=("pore", "solid")).restrict(["pore"])
    cell = symmetric_part(cell) if mirrors else cell
    raw, width = cell.raw, d + 1
    means = np.random.default_rng(7).standard_normal((len(raw.cells), d))
    if not mirrors:
        means -= means.mean(axis=0)
    flows = stokes_lift.carried(cell, raw, means, range(d))
    assert flows.sum(axis=1) == pytest.approx(means, abs=1e-12)
    flows = flows.reshape(-1, d)
    one, other, _ = shared_facets(raw, *periodic.identify_nodes(raw.points, raw.lattice, partial=True))
    assert np.array_equal(flows[one], -flows[other])
    flows[one], flows[other] = 0.0, 0.0
    places = raw.points[cell_facets(raw.cells, raw.kind).reshape(-1, d)]
    for axis in range(d):
        outer = np.flatnonzero(flows[:, axis])
        assert len(outer) == mirrors
        for facet in outer:
            assert np.ptp(places[facet, :, axis]) == 0.0
            assert places[facet, 0, axis] in (cell.mirrors[axis].low, cell.mirrors[axis].high)
    assert len(flows) == width * len(raw.cells)


@pytest.mark.parametrize("mirrors", [False, True])
def test_lower_bound_holds_for_a_wrong_flow(mirrors):
    """A divergence that the pressure works on: the average is far above the permeability."""
    cell = grid_cell((8, 8), square, names=("pore", "solid")).restrict(["pore"])
    cell = symmetric_part(cell) if mirrors else cell
    split = stokes_bounds.split(cell)
    problem = stokes_problem(split, element="scott-vogelius")
    found = solve_correctors(split, problem, preconditioner="direct")
    exact = found.average.copy()
    x = ufl.SpatialCoordinate(split.mesh)
    spaces = found.spaces
    v = ufl.TestFunction(spaces[0])
    norms, divergence = [], 0.0
    for j, (u, p) in enumerate(found.functions):
        u.x.array[:] *= 1.1
        more = fem.Function(spaces[0])
        expression = 0.1 * ufl.cos(2 * ufl.pi * x[j]) * u
        more.interpolate(fem.Expression(expression, _dolfinx.interpolation_points(spaces[0])))
        u.x.array[:] += more.x.array
        divergence += solve.integrate(ufl.div(u) ** 2 * ufl.dx) * split.copies
        rough = fem.Function(spaces[1])
        rough.interpolate(fem.Expression(ufl.div(u), _dolfinx.interpolation_points(spaces[1])))
        p.x.array[:] += 1e6 * rough.x.array
        rest = solve.assemble_vector((v[j] - ufl.inner(ufl.grad(u), ufl.grad(v)) + p * ufl.div(v)) * ufl.dx)
        norms.append(np.abs(rest.array_r).sum())
    # No velocity has less energy than its divergence squared.
    wrong = replace(found, residual_norms=np.zeros(2))
    assert stokes_bounds.lower_allowance(cell, split, wrong, (0, 1)) > divergence
    wrong = replace(found, residual_norms=np.array(norms))
    above = averages(split, problem, found.functions)
    assert np.all(np.linalg.eigvalsh(above - exact) > 0.0)
    allowance = stokes_bounds.lower_allowance(cell, split, wrong, (0, 1))
    assert np.all(np.linalg.eigvalsh(exact - above + allowance * np.eye(2)) > 0.0)
    # A period of the area 1 has four times what its quarter has.
    left = stokes_lift.lift(cell, split, wrong, (0, 1))
    energy, largest, rest = (np.linalg.norm(values) for values in (left.energy, left.largest, norms))
    assert allowance == pytest.approx((4.0 if mirrors else 1.0) * (energy**2 + 2.0 * rest * largest), rel=1e-12)
