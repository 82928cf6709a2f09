"""Faces that do not match: orders on a smooth solution, and a disc and a ball against published numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import basix.ufl
import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import certify, periodic, solve
from homfem.cells import from_file
from homfem.cells.unitcell import UnitCell
from made_cells import grid_raw

GEO = Path(__file__).parents[1] / "meshes"


def skewed(divisions):
    """A grid whose nodes are moved along the faces, further on the high ones."""
    raw = grid_raw(divisions)
    x, d = raw.points, len(divisions)
    share = np.array([[x[:, [j for j in range(d) if j != k]].sum(axis=1)] for k in range(d)])[:, 0].T
    return replace(raw, points=x + 0.06 * np.sin(2 * np.pi * x) * share)


def errors(cell, degree):
    """Errors of a smooth periodic solution of the Poisson equation in L2 and energy, and the least one in energy."""
    d, k = cell.dimension, 2 * ufl.pi
    element = basix.ufl.element("Lagrange", cell.kind, degree)
    space = periodic.make_periodic_space(cell.periodic_mesh, element, cell.lattice)
    x = ufl.SpatialCoordinate(cell.mesh)
    # Shifted, so that no symmetry hides what the faces do.
    exact = ufl.sin(k * (x[0] - 0.1)) * ufl.cos(k * (x[1] + 0.2))
    if d == 3:
        exact = exact + ufl.sin(k * (x[0] + x[2] - 0.3))
    fine = ufl.dx(metadata={"quadrature_degree": 2 * degree + 2})
    u, v = ufl.TrialFunction(space.space), ufl.TestFunction(space.space)
    energy = ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx
    matrix, side = space.matrix(energy), space.vector(-ufl.div(ufl.grad(exact)) * v * fine)
    solution = matrix.createVecRight()
    solve.LinearSolver(matrix, kernel=space.constants(), rtol=1e-10).solve(side, solution)
    w = space.function(solution)
    mean = solve.integrate((w - exact) * fine)
    found = [solve.integrate((w - exact - mean) ** 2 * fine), _energy(w - exact, fine)]
    # The best that the mesh has, with no constraint at all.
    full, side = solve.assemble_matrix(energy), solve.assemble_vector(ufl.inner(ufl.grad(exact), ufl.grad(v)) * fine)
    best = fem.Function(space.space)
    solve.LinearSolver(full, kernel=solve.Kernel(constant=True), rtol=1e-10).solve(side, best.x.petsc_vec)
    best.x.scatter_forward()
    return np.sqrt([*found, _energy(best - exact, fine)])


def _energy(u, measure):
    return solve.integrate(ufl.inner(ufl.grad(u), ufl.grad(u)) * measure)


@pytest.mark.parametrize(
    ("divisions", "degree", "cap"), [((16, 16), 1, 0.008), ((8, 8), 2, 8e-4), ((8, 8, 8), 1, 0.075)]
)
def test_orders_are_those_of_matching_faces(divisions, degree, cap):
    """In L2 p + 1, in energy p; and in energy hardly more than the least error on the mesh."""
    found = []
    for factor in (1, 2):
        raw = skewed(tuple(factor * n for n in divisions))
        found.append(errors(UnitCell.from_raw(raw, comm=MPI.COMM_WORLD, faces="non-matching"), degree))
    rates = np.log2(found[0] / found[1])
    assert rates[0] > degree + 0.75
    assert rates[1] > degree - 0.15
    assert found[1][0] < cap
    assert np.all([entry[1] < (1.045 if len(divisions) == 2 else 1.09) * entry[2] for entry in found])


def test_a_disc_comes_to_the_published_conductivity():
    """Square array, area fraction 1/2, contrast 10: Perrins, McKenzie, McPhedran 1979.

    The chords of the circle leave an error of order two, which one extrapolation takes away. By linear elements the
    order is two as well, and the values go along with those of matching faces.
    """
    published, values, linear = 2.4154674, [], []
    for h in (0.1, 0.05):
        cell = from_file(GEO / "unmatched_disc.geo", resolution=h, faces="non-matching")
        values.append(_diagonal(cell, 2))
        matching = from_file(GEO / "unmatched_disc.geo", resolution=h, parameters={"matching": 1})
        assert np.abs(values[-1] / _diagonal(matching, 2) - 1.0).max() < 1.5e-4 * (h / 0.1) ** 2
        linear.append(np.abs(_diagonal(cell, 1) - values[-1]).max())
    assert np.log2(linear[0] / linear[1]) > 1.7
    assert np.abs((4.0 * values[1] - values[0]) / 3.0 / published - 1.0).max() < 5e-4


def _diagonal(cell, degree):
    value = certify.homogenize_diffusion(cell, {"disc": 10.0, "matrix": 1.0}, degree=degree, bounds=False).value
    assert abs(value[0, 1]) < 1e-3
    return np.diag(value)


def test_a_ball_comes_to_the_published_conductivity():
    """Simple cubic array, volume fraction 0.3, contrast 10: Sangani and Acrivos 1983; extrapolated as the disc."""
    published, values, fractions = 1.88774, [], []
    for h in (0.14, 0.1):
        cell = from_file(GEO / "unmatched_ball.geo", resolution=h, faces="non-matching")
        tensor = certify.homogenize_diffusion(cell, {"ball": 10.0, "matrix": 1.0}, degree=2)
        values.append(np.diag(tensor.value).mean())
        fractions.append(cell.volume_fractions["ball"])
        assert np.ptp(np.diag(tensor.value)) < 0.006
    # Both fall short by the volume that the chords cut away.
    slope = (values[1] - values[0]) / (fractions[1] - fractions[0])
    assert values[1] + slope * (0.3 - fractions[1]) == pytest.approx(published, rel=2e-3)
