"""Orders of convergence on three meshes: manufactured correctors of smooth media, and media graded along one axis.

A corrector is chosen, and its load follows in the strong form. The mean energy, of which tensors are made, is off by
the energy of the error: twice the order of the energy norm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import ufl

from homfem import homogenize_diffusion, homogenize_elasticity, solve
from homfem.local.diffusion import diffusion_problem
from homfem.local.elasticity import elasticity_problem, voigt_strain
from homfem.local.engine import solve_correctors
from homfem.local.membranes import find_membranes, measures, membrane_problem
from made_cells import grid_cell

VECTORS = [[1.0, 0.0], [0.25, 1.2]]
MESHES = {1: (16, 32, 64), 2: (8, 16, 32), 3: (6, 12, 24)}
DEGREES = [1, 2, 3]
PI = np.pi
FINE = ufl.dx(metadata={"quadrature_degree": 10})


def near(order):
    return pytest.approx(order, abs=0.2)


def orders(errors):
    """Orders from the second mesh to the third, half as wide, of each kind of error."""
    first, second, third = np.array(errors)
    assert np.all(first > second)
    return np.log2(second / third)


def angles(mesh, vectors=VECTORS):
    """2 pi times the lattice coordinates."""
    x, inverse = ufl.SpatialCoordinate(mesh), np.linalg.inv(np.array(vectors))
    return [2 * PI * sum(float(inverse[j, k]) * x[j] for j in range(2)) for k in range(2)]


def distance(cell, problem, exact, flux, gradient):
    """Solve with the load whose correctors are ``exact(s)``; return what the last one and the mean energy are off by.

    In L2, in the energy norm; and <flux_s . gradient_t> less the work of both loads, of the first and the last load.
    """
    x, volume = ufl.SpatialCoordinate(cell.mesh), cell.lattice.volume

    def affine(s):
        return problem.affine(x, s)

    def force(s):
        return -ufl.div(flux(exact(s) + affine(s)))

    def average(w, s, z, t):
        work = ufl.inner(force(s), z) + ufl.inner(force(t), w)
        return problem.bilinear(w + affine(s), z + affine(t)) - work * FINE

    made = replace(
        problem, linear=lambda v, s: ufl.inner(force(s), v) * FINE - problem.bilinear(affine(s), v), average=average
    )
    found = solve_correctors(cell, made, rtol=1e-12)
    one, last = (ufl.as_vector(row.tolist()) for row in np.eye(made.loads)[[0, -1]])
    off = found.functions[-1] - exact(last)
    # By parts: the work of the first load on the last field is <flux_1 . gradient of the corrector>.
    mean = ufl.inner(flux(exact(one) + affine(one)), gradient(affine(last)))
    mean -= ufl.inner(flux(exact(last) + affine(last)), gradient(exact(one)))
    return (
        np.sqrt(solve.integrate(ufl.inner(off, off) * FINE)),
        np.sqrt(solve.integrate(ufl.inner(flux(off), gradient(off)) * FINE)),
        abs(found.average[0, -1] - solve.integrate(mean * FINE) / volume),
    )


@pytest.mark.parametrize("degree", DEGREES)
def test_diffusion(degree):
    """An anisotropic diffusivity that turns and grows, on a skew lattice."""
    errors = []
    for n in MESHES[degree]:
        cell = grid_cell((n, n), vectors=VECTORS)
        a, b = angles(cell.mesh)
        off = 0.3 * ufl.sin(b)
        diffusivity = ufl.as_matrix([[2 + ufl.sin(a) * ufl.cos(b), off], [off, 1.5 + 0.5 * ufl.cos(a)]])

        def exact(s, a=a, b=b):
            return 0.1 * (s[0] + 0.5 * s[1]) * (ufl.sin(a) * ufl.cos(b) + 0.5 * ufl.cos(a + b))

        def flux(u, matrix=diffusivity):
            return ufl.dot(matrix, ufl.grad(u))

        errors.append(distance(cell, diffusion_problem(cell, diffusivity, degree=degree), exact, flux, ufl.grad))
    assert orders(errors) == near([degree + 1, degree, 2 * degree])
    assert errors[-1][2] < {1: 1e-3, 2: 1e-5, 3: 1e-7}[degree]


@pytest.mark.parametrize("degree", DEGREES)
def test_elasticity(degree):
    """Moduli that vary with the place; stresses from Lame's, strains as tensors."""
    errors = []
    for n in MESHES[degree]:
        cell = grid_cell((n, n), vectors=VECTORS)
        a, b = angles(cell.mesh)
        lam, mu = 1.5 + 0.5 * ufl.sin(a + b), 1 + 0.5 * ufl.cos(a) * ufl.sin(b)
        moduli = ufl.as_matrix([[lam + 2 * mu, lam, 0], [lam, lam + 2 * mu, 0], [0, 0, mu]])

        def exact(s, a=a, b=b):
            size = 0.1 * (s[0] - 0.5 * s[1] + 2 * s[2])
            return size * ufl.as_vector([ufl.sin(a) * ufl.cos(b), ufl.cos(a - b)])

        def strain(u):
            return ufl.sym(ufl.grad(u))

        def stress(u, lam=lam, mu=mu, strain=strain):
            return lam * ufl.tr(strain(u)) * ufl.Identity(2) + 2 * mu * strain(u)

        errors.append(distance(cell, elasticity_problem(cell, moduli, degree=degree), exact, stress, strain))
    assert orders(errors) == near([degree + 1, degree, 2 * degree])
    assert errors[-1][2] < {1: 5e-3, 2: 3e-5, 3: 3e-7}[degree]


@pytest.mark.parametrize("degree", DEGREES)
def test_diffusion_with_membranes(degree):
    """Two chosen fields that meet in flat membranes: what their fluxes and jump lack there is a load on each side."""
    h = 3.0
    errors = []
    for n in MESHES[degree]:
        n = max(n, 8)
        cell = grid_cell((n, n), lambda s: (abs(s[:, 0] - 0.5) < 0.25).astype(int))
        membranes = find_membranes(cell, {"a|b": h})
        a, b = angles(cell.mesh, np.eye(2))
        diffusivity = 2 + ufl.sin(a) * ufl.cos(b)
        exact = (ufl.sin(a) * ufl.cos(b) + ufl.cos(a), 0.5 * ufl.cos(a + b))
        problem = membrane_problem(cell, diffusivity, membranes, degree=degree)
        dx, (facets,) = measures(cell.mesh, membranes, degree=10)
        right = ufl.conditional(ufl.gt(ufl.SpatialCoordinate(cell.mesh)[0], 0.5), 1.0, -1.0)
        # Through the membrane out of a, whose outer normal is -x on its right and x on its left.
        through = [-right * diffusivity * u.dx(0) for u in exact]

        def linear(v, s, d=diffusivity, u=exact, dx=dx, facets=facets, through=through):
            form = sum(-ufl.div(d * ufl.grad(w)) * z * part for w, z, part in zip(u, v, dx, strict=True))
            exchange = h * (u[1] - u[0])
            form += ufl.avg(through[0] - exchange) * ufl.avg(v[0]) * facets
            return s[0] * (form + ufl.avg(exchange - through[1]) * ufl.avg(v[1]) * facets)

        def average(w, s, z, t, linear=linear, problem=problem):
            return linear(w, t) + linear(z, s) - problem.bilinear(w, z)

        found = solve_correctors(cell, replace(problem, loads=1, linear=linear, average=average), rtol=1e-12)
        off = [one - other for one, other in zip(found.functions[0], exact, strict=True)]
        # The mean of both together is free.
        mean = solve.integrate(sum(e * part for e, part in zip(off, dx, strict=True)))
        square = solve.integrate(sum((e - mean) ** 2 * part for e, part in zip(off, dx, strict=True)))
        form = sum(diffusivity * ufl.inner(ufl.grad(e), ufl.grad(e)) * part for e, part in zip(off, dx, strict=True))
        energy = solve.integrate(form + h * ufl.avg(off[1] - off[0]) ** 2 * facets)
        form = sum(diffusivity * ufl.inner(ufl.grad(u), ufl.grad(u)) * part for u, part in zip(exact, dx, strict=True))
        whole = solve.integrate(form + h * ufl.avg(exact[1] - exact[0]) ** 2 * facets)
        errors.append((np.sqrt(square), np.sqrt(energy), abs(found.average[0, 0] - whole)))
    assert orders(errors) == near([degree + 1, degree, 2 * degree])
    assert errors[-1][2] < {1: 0.2, 2: 2e-3, 3: 2e-5}[degree]


@pytest.mark.parametrize("degree", [1, 2])
def test_active_stress(degree):
    """An active stress that is the stress of a chosen displacement, turned round: that displacement relaxes it."""
    errors = []
    for n in MESHES[degree]:
        cell = grid_cell((n, n), vectors=VECTORS)
        a, b = angles(cell.mesh)
        lam, mu = 1.5 + 0.5 * ufl.sin(a + b), 1 + 0.5 * ufl.cos(a) * ufl.sin(b)
        moduli = ufl.as_matrix([[lam + 2 * mu, lam, 0], [lam, lam + 2 * mu, 0], [0, 0, mu]])
        exact = 0.1 * ufl.as_vector([ufl.sin(a) * ufl.cos(b), ufl.cos(a - b)])
        active = ufl.as_vector([0.3, -0.2, 0.1]) - ufl.dot(moduli, voigt_strain(exact))
        found = solve_correctors(cell, elasticity_problem(cell, moduli, degree=degree, eigenstresses=[active]))
        off = found.functions[-1] - exact
        strain = voigt_strain(off)
        errors.append((
            np.sqrt(solve.integrate(ufl.inner(off, off) * FINE)),
            np.sqrt(solve.integrate(ufl.inner(ufl.dot(moduli, strain), strain) * FINE)),
            np.abs(found.average[:3, -1] - [0.3, -0.2, 0.1]).max(),
        ))  # fmt: skip
    assert orders(errors) == near([degree + 1, degree, 2 * degree])


def layered(d, x):
    """Voigt matrices of the layers at ``x`` in d dimensions, shape (n, m, m)."""
    lam, mu = 1.5 + np.sin(2 * PI * x), 1.2 + 0.6 * np.cos(2 * PI * x)
    m = 3 if d == 2 else 6
    matrix = np.zeros((len(x), m, m))
    matrix[:, :d, :d] = lam[:, None, None]
    matrix += np.einsum("n,ij->nij", mu, np.diag([2.0] * d + [1.0] * (m - d)))
    return matrix


def graded_tensor(d):
    """Layers with normal x: the traction is constant, and so are the strains along the layers. Exact quadrature."""
    c = layered(d, np.arange(64) / 64)  # of smooth periodic functions: spectral
    normal = [0, 2] if d == 2 else [0, 4, 5]
    along = [k for k in range(c.shape[1]) if k not in normal]
    nn, nt, tt = (c[np.ix_(range(64), rows, columns)] for rows, columns in
                  ((normal, normal), (normal, along), (along, along)))  # fmt: skip
    soft = np.linalg.inv(nn)
    stiff = np.linalg.inv(soft.mean(axis=0))
    mixed = (soft @ nt).mean(axis=0)
    result = np.zeros(c.shape[1:])
    result[np.ix_(normal, normal)] = stiff
    result[np.ix_(normal, along)] = stiff @ mixed
    result[np.ix_(along, normal)] = mixed.T @ stiff
    rest = tt - nt.transpose(0, 2, 1) @ soft @ nt
    result[np.ix_(along, along)] = rest.mean(axis=0) + mixed.T @ stiff @ mixed
    return result


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("d", [2, 3])
def test_graded_layers_conduct(d, degree):
    """1/D* = <1/D> across, D* = <D> along."""
    exact = np.diag([np.sqrt(3.0), *[2.0] * (d - 1)])  # of 2 + sin: <1/D> = 1/sqrt(4 - 1)
    errors = []
    for n in (8, 16, 32):
        cell = grid_cell((n, 3, 3)[:d])
        diffusivity = 2 + ufl.sin(2 * PI * ufl.SpatialCoordinate(cell.mesh)[0])
        problem = diffusion_problem(cell, diffusivity, degree=degree)
        errors.append(np.abs(solve_correctors(cell, problem, rtol=1e-12).average - exact).max())
    assert orders([[e] for e in errors]) == near([2 * degree])


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("d", [2, 3])
def test_graded_layers_are_elastic(d, degree):
    exact, errors = graded_tensor(d), []
    for n in (5, 10, 20):
        cell = grid_cell((n, 3, 3)[:d])
        a = 2 * PI * ufl.SpatialCoordinate(cell.mesh)[0]
        lam, mu = 1.5 + ufl.sin(a), 1.2 + 0.6 * ufl.cos(a)
        m = len(exact)
        shear = np.diag([2.0] * d + [1.0] * (m - d))
        rows = [[lam * float(max(i, j) < d) + mu * shear[i, j] for j in range(m)] for i in range(m)]
        problem = elasticity_problem(cell, ufl.as_matrix(rows), degree=degree)
        errors.append(np.abs(solve_correctors(cell, problem, rtol=1e-12).average - exact).max())
    assert orders([[e] for e in errors]) == near([2 * degree])


@pytest.mark.parametrize("degree", [1, 2])
def test_functions_of_position_are_of_second_order(degree):
    """The public road: coefficients sampled in the middle of each mesh cell."""
    conduct, elastic = [], []
    for n in (8, 16, 32):
        cell = grid_cell((n, n))
        found = homogenize_diffusion(cell, {"a": lambda x: 2 + np.sin(2 * PI * x[0])}, degree=degree, bounds=False)
        conduct.append(np.abs(found.value - np.diag([np.sqrt(3.0), 2.0])).max())
        found = homogenize_elasticity(cell, {"a": lambda x: layered(2, x[0])}, degree=degree, bounds=False)
        elastic.append(np.abs(found.value - graded_tensor(2)).max())
    assert orders(np.column_stack([conduct, elastic])) == near([2.0, 2.0])
