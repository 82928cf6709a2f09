"""Every cell problem: Hill's condition, symmetric tensors, the same numbers on 1, 2 and 3 ranks."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import solve
from homfem.local.diffusion import diffusion_coefficient, diffusion_problem
from homfem.local.elasticity import elastic_coefficient, elasticity_problem
from homfem.local.engine import solve_correctors
from homfem.local.membranes import find_membranes, membrane_problem
from homfem.local.stokes import stokes_problem
from made_cells import grid_cell

VECTORS = [[1.0, 0.0], [0.25, 1.2]]
CONDUCT = {"a": np.array([[2.0, 0.5], [0.5, 1.0]]), "b": 10.0 * np.eye(2)}
SOLIDS = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": 0.2}}


def corner(s):
    """No mirror symmetry, away from the faces."""
    return ((s[:, 0] > 0.25) & (s[:, 0] < 0.9) & (s[:, 1] > 0.4) & (s[:, 0] + s[:, 1] < 1.5)).astype(int)


def problems(comm):
    """Name, cell, problem, and the mean flux of fields ``u`` and a load ``s``, a vector to be integrated."""
    cell = grid_cell((8, 8), corner, comm=comm, vectors=VECTORS)
    pores = cell.restrict(["a"])
    diffusivity, moduli = diffusion_coefficient(cell, CONDUCT), elastic_coefficient(cell, SOLIDS)
    conduction = diffusion_problem(cell, diffusivity, degree=2)
    behind = membrane_problem(cell, diffusivity, find_membranes(cell, {"a|b": 3.0}), degree=2)
    elastic = elasticity_problem(cell, moduli)
    soft = elastic_coefficient(pores, {"a": SOLIDS["a"]})
    stress = pores.cell_function({"a": np.array([0.3, -0.1, 0.2])})
    coupled = elasticity_problem(pores, soft, eigenstresses=[stress], pressure=True)
    share = 1.0 - pores.volume_fractions["a"]
    # The stress of the fluid, spread over the solid, over which it is integrated.
    fluid = ufl.as_vector([-share / (1.0 - share), -share / (1.0 - share), 0.0])
    return (
        ("diffusion", cell, conduction, conduction.flux),
        ("membranes", cell, behind, behind.flux),
        ("elasticity", cell, elastic, elastic.flux),
        ("coupled", pores, coupled, lambda u, s: coupled.flux(u, s) + s[4] * fluid),
        ("stokes", pores, stokes_problem(pores), lambda u, _: u[0]),
    )


def case(comm):
    answers = {}
    for name, cell, problem, flux in problems(comm):
        found = solve_correctors(cell, problem, rtol=1e-13)
        u = [fem.Function(space) for space in found.spaces]
        s = fem.Constant(problem.domain, np.zeros(problem.loads))
        total = tuple(u)
        if problem.affine is not None:
            affine = problem.affine(ufl.SpatialCoordinate(problem.domain), s)
            total = [one + other for one, other in zip(u, affine if len(u) > 1 else (affine,), strict=True)]
        expression = flux(problem.pick(total), s)
        rows = [solve.integral(expression[i] * ufl.dx) for i in range(expression.ufl_shape[0])]
        means = np.zeros((len(rows), problem.loads))
        for j, functions in enumerate(found.functions):
            for target, function in zip(u, functions if len(u) > 1 else (functions,), strict=True):
                target.x.array[:] = function.x.array
            s.value[:] = np.eye(problem.loads)[j]
            means[:, j] = [row() / cell.lattice.volume for row in rows]
        answers[name] = {"energy": found.average.tolist(), "flux": means.tolist()}
    return answers


@pytest.mark.mpi
def test_energy_flux_and_ranks(on_ranks):
    """<flux_j . gradient_i> is <flux_j>_i: the mean of a flux against the energy, in which no flux is averaged."""
    one, others = case(MPI.COMM_WORLD), on_ranks(case, ranks=(2, 3))
    assert len(one) == 5
    for name, found in one.items():
        energy, flux = np.array(found["energy"]), np.array(found["flux"])
        size = np.abs(energy).max()
        assert np.abs(energy - energy.T).max() <= 1e-10 * size, name
        assert np.abs(flux - energy[: len(flux)]).max() <= 1e-10 * size, name
        assert np.abs(energy - np.diag(np.diag(energy))).max() > 1e-3 * size, name
        for other in others:
            for key, value in found.items():
                assert np.abs(np.array(other[name][key]) - value).max() <= 1e-9 * size, (name, key)
