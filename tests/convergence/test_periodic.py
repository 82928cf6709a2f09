"""A smooth periodic solution on a skew lattice: right rate, small error, the same numbers on 1, 2, 3 ranks."""

from __future__ import annotations

import basix.ufl
import numpy as np
import pytest
import ufl

from homfem import solve
from homfem.periodic import make_periodic_space
from made_cells import grid_cell

VECTORS = {2: [[1.0, 0.0], [0.25, 1.2]], 3: [[1.0, 0.0, 0.0], [0.2, 1.0, 0.0], [0.1, -0.2, 1.1]]}


def case_poisson(comm, divisions, family, degree, backend):
    """-div grad u = f with u = sin(2 pi s1) cos(2 pi s2) in lattice coordinates s; returns the error in L2."""
    d = len(divisions)
    cell = grid_cell(divisions, comm=comm, vectors=VECTORS[d])
    element = basix.ufl.element(family, cell.kind, degree)
    space = make_periodic_space(cell.periodic_mesh, element, cell.lattice, backend)
    domain = space.space.mesh
    inverse = np.linalg.inv(np.array(VECTORS[d]))
    x = ufl.SpatialCoordinate(domain)
    s = [sum(float(inverse[j, k]) * x[j] for j in range(d)) for k in range(d)]
    exact = ufl.sin(2 * ufl.pi * s[0]) * ufl.cos(2 * ufl.pi * s[1])
    u, v = ufl.TrialFunction(space.space), ufl.TestFunction(space.space)
    A = space.matrix(ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx)
    b = space.vector(-ufl.div(ufl.grad(exact)) * v * ufl.dx(metadata={"quadrature_degree": 2 * degree + 4}))
    X = A.createVecRight()
    solver = solve.LinearSolver(A, kernel=space.constants(), rtol=1e-12)
    solver.solve(b, X)
    w = space.function(X)
    dx = ufl.dx(metadata={"quadrature_degree": 2 * degree + 4})
    volume = cell.lattice.volume
    mean = solve.integrate((w - exact) * dx) / volume
    return {"error": float(np.sqrt(solve.integrate((w - exact - mean) ** 2 * dx) / volume)), "dofs": space.dofs}


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("meshes", "family", "degree", "backend", "rate", "cap"),
    [
        (((12, 12), (24, 24)), "Lagrange", 1, "identified", 2.0, 1.5e-2),
        (((8, 8), (16, 16)), "Lagrange", 2, "identified", 3.0, 1.0e-3),
        (((8, 8), (16, 16)), "Lagrange", 2, "multipoint", 3.0, 1.0e-3),
        (((12, 12), (24, 24)), "CR", 1, "identified", 2.0, 8.0e-3),
        (((8, 8, 3), (16, 16, 6)), "Lagrange", 2, "identified", 3.0, 1.0e-3),
        (((12, 12, 4), (24, 24, 8)), "Lagrange", 1, "multipoint", 2.0, 3.0e-2),
    ],
)
def test_rate_and_ranks(on_ranks, meshes, family, degree, backend, rate, cap):
    common = {"family": family, "degree": degree, "backend": backend}
    coarse = on_ranks(case_poisson, ranks=(1,), divisions=meshes[0], **common)[0]
    fine = on_ranks(case_poisson, ranks=(1, 2, 3), divisions=meshes[1], **common)
    assert len({answer["dofs"] for answer in fine}) == 1
    errors = [answer["error"] for answer in fine]
    assert max(errors) - min(errors) < 1e-9
    assert abs(np.log2(coarse["error"] / errors[0]) - rate) < 0.25
    assert errors[0] < cap
