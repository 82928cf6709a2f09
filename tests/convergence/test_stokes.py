"""Smooth flows, with walls, without, and slipping along curved ones: orders of velocity, pressure and dissipation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells import fibre_array
from homfem.local.engine import solve_correctors
from homfem.local.stokes import stokes_problem
from made_cells import grid_cell

VECTORS = [[1.0, 0.0], [0.25, 1.2]]
FINE = ufl.dx(metadata={"quadrature_degree": 8})
WALL = ufl.ds(metadata={"quadrature_degree": 8})
SLIP = 0.2


def smooth_flow(n):
    """The stream function sin(2 pi s1) sin(2 pi s2), p = cos(2 pi s1), on a skew lattice."""
    cell = grid_cell((n, n), vectors=VECTORS)
    x = ufl.SpatialCoordinate(cell.mesh)
    inverse = np.linalg.inv(np.array(VECTORS))
    s = [sum(float(inverse[j, k]) * x[j] for j in range(2)) for k in range(2)]
    return cell, ufl.sin(2 * ufl.pi * s[0]) * ufl.sin(2 * ufl.pi * s[1]), ufl.cos(2 * ufl.pi * s[0])


def channel_flow(n):
    """Vortices in a channel of half the period, at rest on its walls."""
    cell = grid_cell((n, n), lambda s: (abs(s[:, 1] - 0.5) > 0.25).astype(int)).restrict(["a"])
    x = ufl.SpatialCoordinate(cell.mesh)
    across = ufl.sin(2 * ufl.pi * (x[1] - 0.25))
    return cell, (1 + 0.5 * ufl.cos(2 * ufl.pi * x[0])) * across**2 / 2, ufl.cos(2 * ufl.pi * x[0]) * (x[1] - 0.5)


def errors(flow_in, n, degree, preconditioner):
    """-lap u + grad p = f; relative errors of u in L2 and in the energy norm, of p in L2, and of the dissipation."""
    cell, stream, pressure = flow_in(n)
    flow = ufl.as_vector([stream.dx(1), -stream.dx(0)])
    force = -ufl.div(ufl.grad(flow)) + ufl.grad(pressure)
    standard = stokes_problem(cell, degree=degree)

    def linear(z, t):
        return t[0] * ufl.inner(force, z[0]) * FINE

    def average(w, s, z, t):
        """What the permeability is made of: Lagrange's function at its stationary point."""
        return linear(w, t) + linear(z, s) - standard.bilinear(w, z)

    problem = replace(standard, loads=1, linear=linear, average=average)
    found = solve_correctors(cell, problem, preconditioner=preconditioner, rtol=1e-11)
    u, p = found.functions[0]
    size = solve.integrate(ufl.inner(flow, flow) * FINE)
    dissipation = solve.integrate(ufl.inner(ufl.grad(flow), ufl.grad(flow)) * FINE)
    gradient = ufl.grad(u - flow)
    # Both pressures are of mean zero, and both velocities where there is no wall.
    return (
        np.sqrt(solve.integrate(ufl.inner(u - flow, u - flow) * FINE) / size),
        np.sqrt(solve.integrate((p - pressure) ** 2 * FINE) / cell.lattice.volume),
        np.sqrt(solve.integrate(ufl.inner(gradient, gradient) * FINE) / dissipation),
        abs(found.average[0, 0] * cell.lattice.volume / dissipation - 1.0),
    )


def round_flow(n):
    """Vortices that slip along a cylinder, where neither the normal stress nor the pressure vanishes."""
    cell = fibre_array(fraction=0.09 * np.pi, resolution=1 / n, order=2).restrict(["matrix"])
    x = ufl.SpatialCoordinate(cell.mesh)
    square = (x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2 - 0.09
    bump = ufl.sin(ufl.pi * x[0]) ** 2 * ufl.sin(ufl.pi * x[1]) ** 2
    waves = 1 + 0.5 * ufl.sin(2 * ufl.pi * x[0])
    return cell, square * bump * waves, ufl.cos(2 * ufl.pi * x[0]) + ufl.sin(2 * ufl.pi * x[1])


def slipping_errors(n, degree):
    """-div 2 eps(u) + grad p = f, (2 eps(u) n + u/b)_t = g: relative errors of u, p, 2 eps(u) and the dissipation."""
    cell, stream, pressure = round_flow(n)
    flow = ufl.as_vector([stream.dx(1), -stream.dx(0)])
    normal = ufl.FacetNormal(cell.mesh)
    force = -ufl.div(2 * ufl.sym(ufl.grad(flow))) + ufl.grad(pressure)
    drag = 2 * ufl.dot(ufl.sym(ufl.grad(flow)), normal) + flow / SLIP
    standard = stokes_problem(cell, degree=degree, slip_length=SLIP)

    def linear(z, t):
        along = z[0] - ufl.inner(z[0], normal) * normal
        return t[0] * (ufl.inner(force, z[0]) * FINE + ufl.inner(drag, along) * WALL)

    def average(w, s, z, t):
        return linear(w, t) + linear(z, s) - standard.bilinear(w, z)

    problem = replace(standard, loads=1, linear=linear, average=average)
    found = solve_correctors(cell, problem, preconditioner="direct", rtol=1e-8)
    u, p = found.functions[0]

    def size(field):
        return solve.integrate(ufl.inner(field, field) * FINE)

    # Both pressures up to a constant.
    off, volume = solve.integrate((p - pressure) * FINE), solve.integrate(fem.Constant(cell.mesh, 1.0) * FINE)
    strain, wrong = ufl.sym(ufl.grad(flow)), ufl.sym(ufl.grad(u - flow))
    dissipation = 2 * size(strain) + solve.integrate(ufl.inner(flow, flow) / SLIP * WALL)
    return (
        np.sqrt(size(u - flow) / size(flow)),
        np.sqrt((size(p - pressure) - off**2 / volume) / size(pressure)),
        np.sqrt(size(wrong) / size(strain)),
        abs(found.average[0, 0] * cell.lattice.volume / dissipation - 1.0),
    )


def test_manufactured_slip():
    """All of Nitsche's terms are at work on a curved wall: without those of the stress the pressure has order 1/2."""
    middle, fine = (np.array(slipping_errors(n, 2)) for n in (16, 32))
    # Meshes of a generator: the second is not quite the first with half the edges.
    assert np.all(np.log2(middle / fine) > np.array([2.7, 1.7, 1.7, 3.7]))
    assert np.all(fine < (1e-3, 4e-3, 1e-2, 4e-5))


@pytest.mark.parametrize("flow_in", [smooth_flow, channel_flow])
@pytest.mark.parametrize(("degree", "preconditioner", "cap"), [(2, "multigrid", 4e-3), (3, "direct", 4e-4)])
def test_manufactured_flow(flow_in, degree, preconditioner, cap):
    coarse, middle, fine = (np.array(errors(flow_in, n, degree, preconditioner)) for n in (4, 8, 16))
    assert np.all(coarse > middle)
    rates = np.log2(middle / fine)
    assert rates[0] == pytest.approx(degree + 1, abs=0.2)
    assert rates[1] > degree - 0.2
    assert rates[2] == pytest.approx(degree, abs=0.2)
    assert rates[3] > 2 * degree - 0.2
    assert fine[0] < cap
    assert fine[1] < 50 * cap
