"""One linear system of all potentials: held values, what is left free, and a solver that is set up once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from homfem.macro.emi.problem import EmiMethod, EmiProblem
from homfem.macro.emi.spaces import Numbers, Spaces
from homfem.parameters import Array
from homfem.solve import LinearSolver


class Potentials:
    """Solves for all potentials at once; collective.

    Parameters
    ----------
    problem, method, spaces
        What is solved, and how.
    matrix
        Symmetric, positive semidefinite; it is changed where potentials are held.
    """

    def __init__(self, problem: EmiProblem, method: EmiMethod, spaces: Spaces, matrix: PETSc.Mat) -> None:
        self.spaces, self.matrix = spaces, matrix
        self.values, self._right = matrix.createVecs()
        self._held: Numbers = np.zeros(0, dtype=np.int64)
        self._lift: PETSc.Vec | None = None
        kernel = []
        if problem.held:
            self._hold(problem)
        else:
            constant = matrix.createVecRight()
            constant.set(1.0)
            constant.normalize()
            kernel = [constant]
            self._weights = spaces.volumes(spaces.names[0])
            self._volume = spaces.comm.allreduce(float(self._weights.sum()), op=MPI.SUM)
        self.solver = LinearSolver(
            matrix, preconditioner=method.preconditioner, rtol=method.rtol, kernel=kernel, name="potentials"
        )

    def _hold(self, problem: EmiProblem) -> None:
        """Take held unknowns out of the matrix, and keep what they bring to the right-hand side."""
        values = self.matrix.createVecRight()
        places = []
        for one in problem.held:
            own = self.spaces.held(one.space, one.boundary)
            values.array[own] = one.value
            places.append(own)
        self._held = np.unique(np.concatenate(places))
        self._given = values.array_r[self._held].copy()
        self._lift = self.matrix.createVecLeft()
        self.matrix.mult(values, self._lift)
        diagonal = float(self.matrix.getDiagonal().max()[1])
        self._diagonal = diagonal
        self.matrix.zeroRowsColumns((self.spaces.first + self._held).astype(PETSc.IntType), diag=diagonal)
        values.destroy()

    def solve(self, load: Array) -> Array:
        """Solve with a right-hand side at this rank's unknowns; return the potentials there (a view)."""
        self._right.array[:] = load
        if self._lift is not None:
            self._right.axpy(-1.0, self._lift)
            self._right.array[self._held] = self._diagonal * self._given
        largest = self.spaces.comm.allreduce(float(np.abs(self._right.array_r).max(initial=0.0)), op=MPI.MAX)
        if largest == 0.0:
            self.values.set(0.0)
        else:
            self.solver.solve(self._right, self.values, guess=False)
        if self._lift is None:
            own = float(self._weights @ self.values.array_r)
            self.values.array[:] -= self.spaces.comm.allreduce(own, op=MPI.SUM) / self._volume
        return np.asarray(self.values.array_r)


def conduction(problem: EmiProblem, spaces: Spaces) -> list[tuple[PETSc.Mat, float, str, str]]:
    """Return the terms of the stiffness of all spaces and of all contacts; collective."""
    terms: list[tuple[PETSc.Mat, float, str, str]] = []
    for name, conductivity in problem.conductivities.items():
        terms.append((spaces.stiffness(name, conductivity), 1.0, name, name))
    for k, contact in enumerate(problem.contacts):
        mass = spaces.mass(contact.first, contact.second, f"contacts[{k}]")
        terms += spaces.jumps(mass, 1.0 / contact.resistance, contact.first, contact.second)
    return terms


def scaled(
    terms: Sequence[tuple[PETSc.Mat, float, str, str]], factor: float
) -> list[tuple[PETSc.Mat, float, str, str]]:
    """Return terms with another factor."""
    return [(matrix, factor * own, row, column) for matrix, own, row, column in terms]
