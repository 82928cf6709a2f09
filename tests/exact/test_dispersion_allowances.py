"""What is allowed for in the bounds of dispersion: residuals, an uncertain velocity, round-off, where each matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from homfem import UnitCell, brackets, solve
from homfem.certify.dispersion.bounds import _Allowances, _Forms, certify
from homfem.certify.dispersion.stream import Stream
from homfem.local import equilibrium
from homfem.local.diffusion import diffusion_coefficient
from homfem.local.equilibrium import Equilibrium
from homfem.parameters import Lattice
from made_cells import grid_cell, grid_raw

TAU = 2.0 * np.pi


def sheared(n, strength, diffusivity=1.0, uncertainty=0.0, along=3):
    """Along x by the cosine of y, interpolated: without any divergence and jump."""
    cell = grid_cell((along, n))
    velocity = fem.Function(solve.function_space(cell.mesh, "Lagrange", 2, (2,)))
    velocity.interpolate(lambda x: np.stack([strength * np.cos(TAU * x[1]), 0.0 * x[0]]))
    coefficient = diffusion_coefficient(cell, {"a": diffusivity})
    return Stream(cell=cell, coefficient=coefficient, velocity=velocity, uncertainty=uncertainty)


def waves(given, size=0.1, constant=0.0):
    """f and g of each axis."""
    space, found = solve.function_space(given.cell.mesh, "Lagrange", 2), []
    for k in range(4):
        field = fem.Function(space)
        field.interpolate(lambda x, k=k: constant + size * np.sin(TAU * (x[k % 2] + (k > 1) * x[1]) + k))
        found.append(field)
    return found[:2], found[2:]


def sides_of(given, f, g):
    problem = Equilibrium(given.cell, given.coefficient, 4)
    found = certify(given, f, g, problem)
    problem.destroy()
    return found


def test_fluxes_that_are_not_converged(monkeypatch):
    """Both sides are off, to where they are no bounds; what the residual may have done covers it."""
    given = sheared(6, 3.0)
    f, g = waves(given)
    exact, take = sides_of(given, f, g), equilibrium._Found.take

    def spoilt(self, multipliers):
        draw = np.random.default_rng(4)
        for x in multipliers:
            x.array[:] += 1e-3 * np.abs(x.array).max() * draw.uniform(-1.0, 1.0, x.local_size)
        return take(self, multipliers)

    monkeypatch.setattr(equilibrium._Found, "take", spoilt)
    monkeypatch.setattr(equilibrium, "ROUNDS", 0)
    loose = sides_of(given, f, g)
    assert min((exact.high - loose.high)[0, 0], (loose.low - exact.low)[0, 0]) > 1e-7
    assert brackets.violation(exact.high, loose.upper) == brackets.violation(loose.lower, exact.low) == 0.0


def test_the_worst_uncertainty_of_a_shear_flow():
    """More of the same flow: what it carries adds up over the whole cell, and not in each mesh cell."""
    omega, speed = 1e-6, 10.0
    given = sheared(20, speed, uncertainty=omega, along=20)
    zero = [fem.Function(solve.function_space(given.cell.mesh, "Lagrange", 1)) for _ in range(2)]
    faster = fem.Function(given.velocity.function_space)
    size = speed / np.sqrt(2.0)  # its root mean square
    faster.x.array[:] = (1.0 + omega / size) * given.velocity.x.array
    problem = Equilibrium(given.cell, given.coefficient, 3)
    one, other = (certify(flow, zero, zero, problem) for flow in (given, replace(given, velocity=faster)))
    problem.destroy()
    change = (other.high - one.high)[0, 0]
    # The root of <q.q> is the size over 2 pi: twice that times what the uncertainty carries.
    assert change == pytest.approx(2.0 * (size / TAU) * (omega / TAU), rel=1e-3)
    assert change <= one.above[0, 0]


def test_what_an_uncertain_velocity_does_inside_of_a_mesh_cell():
    """Poincare's constant of a right triangle with two legs l is l / pi, that of the bound its diameter / pi."""
    omega, n, diffusivity = 1e-3, 3, 4.0
    given = sheared(n, 0.0, diffusivity, omega)
    f = [fem.Function(solve.function_space(given.cell.mesh, "Lagrange", 2)) for _ in range(2)]
    forms, problem = _Forms(given, f[0].function_space, 3), Equilibrium(given.cell, given.coefficient, 4)
    allowances = _Allowances(given, forms, problem, certify(given, f, f, problem).fluxes)
    found = np.sqrt(allowances._lacking(f, np.zeros(2), 1.0))
    least = omega / (n * np.pi * np.sqrt(diffusivity))
    assert np.all((found >= least) & (found <= 1.001 * np.sqrt(2.0) * least))
    problem.destroy()


@pytest.mark.parametrize(("which", "speed"), [("f", 3.0), ("g", 0.0)])
def test_round_off_of_gradients(which, speed):
    """A large constant in f or g takes digits from their gradients: a side moves, by no more than is allowed for."""
    given = sheared(6, speed)
    right, wrong = waves(given), waves(given)
    for one in wrong["fg".index(which)]:
        one.x.array[:] += 1e7
    before, after = sides_of(given, *right), sides_of(given, *wrong)
    off, allowed = {
        "f": (after.high - before.high, after.noise[1]),
        "g": (after.low - before.low, after.noise[0]),
    }[which]
    assert 1e-10 < np.abs(np.diag(off)).max() <= np.diag(allowed).min()


def test_round_off_of_the_work_on_a_constant():
    """It is zero but for round-off, which is no part of the energies where next to nothing diffuses."""
    given = sheared(6, 3.0, 1e-10)
    (f, _), (_, g) = waves(given, 0.0), waves(given, 0.0, 1e5)
    found = sides_of(given, f, g)
    off = np.linalg.eigvalsh(found.low)
    assert 1e-12 < np.abs(off).max() < found.noise[0][0, 0] < 1e-8


def test_round_off_in_flat_mesh_cells():
    """A slit with a layer of mesh cells of a hundred thousandth of their length, in several units of length."""
    found = []
    for size in (1.0, 3.0, 7.0, 0.3, 11.0):
        raw = grid_raw((3, 8), lambda s: (np.abs(s[:, 1] - 0.5) > 0.25).astype(int))
        points = raw.points.copy()
        points[np.isclose(points[:, 1], 0.5), 1] = 0.625 - 0.125e-5
        raw = replace(raw, points=size * points, lattice=Lattice(vectors=size * np.eye(2)))
        cell = UnitCell.from_raw(raw, comm=MPI.COMM_WORLD).restrict(["a"])
        velocity = fem.Function(solve.function_space(cell.mesh, "Lagrange", 2, (2,)))
        velocity.interpolate(lambda x, h=0.25 * size: np.stack([(h * h - (x[1] - 2.0 * h) ** 2) / h**3, 0.0 * x[0]]))
        given = Stream(cell=cell, coefficient=diffusion_coefficient(cell, {"a": 1.0}), velocity=velocity)
        zero = [fem.Function(solve.function_space(cell.mesh, "Lagrange", 1)) for _ in range(2)]
        problem = Equilibrium(cell, given.coefficient, 3)
        found.append(certify(given, zero, zero, problem))
        problem.destroy()
    values = np.array([[one.high[0, 0], one.low[0, 0]] for one in found])
    noise = np.array([[one.noise[1][0, 0], one.noise[0][0, 0]] for one in found])
    assert np.all(np.ptp(values, axis=0) <= noise.min(axis=0))
    assert np.all(noise < 1e-9)
