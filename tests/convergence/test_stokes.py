"""A smooth flow on a skew lattice, without walls: right rates of velocity and pressure, small errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import ufl

from homfem import solve
from homfem.local.engine import solve_correctors
from homfem.local.stokes import stokes_problem
from made_cells import grid_cell

VECTORS = [[1.0, 0.0], [0.25, 1.2]]
FINE = ufl.dx(metadata={"quadrature_degree": 8})


def errors(n, degree, preconditioner):
    """-lap u + grad p = f with the stream function sin(2 pi s1) sin(2 pi s2), p = cos(2 pi s1); errors in L2."""
    cell = grid_cell((n, n), vectors=VECTORS)
    x = ufl.SpatialCoordinate(cell.mesh)
    inverse = np.linalg.inv(np.array(VECTORS))
    s = [sum(float(inverse[j, k]) * x[j] for j in range(2)) for k in range(2)]
    stream = ufl.sin(2 * ufl.pi * s[0]) * ufl.sin(2 * ufl.pi * s[1])
    flow = ufl.as_vector([stream.dx(1), -stream.dx(0)])
    pressure = ufl.cos(2 * ufl.pi * s[0])
    force = -ufl.div(ufl.grad(flow)) + ufl.grad(pressure)
    problem = replace(
        stokes_problem(cell, degree=degree),
        loads=1,
        linear=lambda z, t: t[0] * ufl.inner(force, z[0]) * FINE,
        average=lambda w, _, z, __: ufl.inner(w[0], z[0]) * ufl.dx,
    )
    found = solve_correctors(cell, problem, preconditioner=preconditioner, rtol=1e-11)
    u, p = found.functions[0]
    size = solve.integrate(ufl.inner(flow, flow) * FINE)
    # Velocity and pressure are both of mean zero.
    return (
        np.sqrt(solve.integrate(ufl.inner(u - flow, u - flow) * FINE) / size),
        np.sqrt(solve.integrate((p - pressure) ** 2 * FINE) / cell.lattice.volume),
    )


@pytest.mark.parametrize(("degree", "preconditioner", "cap"), [(2, "multigrid", 2e-3), (3, "direct", 2e-4)])
def test_manufactured_flow(degree, preconditioner, cap):
    coarse, fine = (errors(n, degree, preconditioner) for n in (8, 16))
    rates = np.log2(np.array(coarse) / np.array(fine))
    assert rates[0] > degree + 0.8
    assert rates[1] > degree - 0.2
    assert fine[0] < cap
    assert fine[1] < 50 * cap
