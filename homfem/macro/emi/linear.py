"""One linear system of all potentials: held values, what is left free, and a solver that is set up once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from homfem.macro.emi.problem import EmiMethod, EmiProblem
from homfem.macro.emi.spaces import Numbers, Spaces
from homfem.macro.protocols import Timing
from homfem.parameters import Array, InputError
from homfem.solve import LinearSolver

#: What currents may leave over, relative to the sum of their absolute values.
BALANCE = 1e-8
#: Entries up to which factors are used: a step with them takes less time than one with multigrid, or as much (3D).
DIRECT_FIRST = {2: 1_500_000, 3: 400_000}
#: Entries of a row of the matrix, about, by dimension and degree.
ROW = {(2, 1): 7, (3, 1): 14, (2, 2): 11, (3, 2): 27}


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
        self.values.set(0.0)
        chosen = method.preconditioner
        if chosen is None:
            entries = spaces.sizes[1] * ROW[problem.domain.dimension, method.degree]
            chosen = "direct" if entries <= DIRECT_FIRST[problem.domain.dimension] else "multigrid"
        self.solver = LinearSolver(matrix, preconditioner=chosen, rtol=method.rtol, kernel=kernel, name="potentials")

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
        """Solve with a right-hand side at this rank's unknowns; return the potentials there (a view).

        It starts from ``values``, which are the potentials found last unless someone has set them.
        """
        self._right.array[:] = load
        if self._lift is not None:
            self._right.axpy(-1.0, self._lift)
            self._right.array[self._held] = self._diagonal * self._given
        largest = self.spaces.comm.allreduce(float(np.abs(self._right.array_r).max(initial=0.0)), op=MPI.MAX)
        if largest == 0.0:
            self.values.set(0.0)
        else:
            self.solver.solve(self._right, self.values, guess=True)
        if self._lift is None:
            own = float(self._weights @ self.values.array_r)
            self.values.array[:] -= self.spaces.comm.allreduce(own, op=MPI.SUM) / self._volume
        return np.asarray(self.values.array_r)


class Currents:
    """Currents from electrodes as a right-hand side; collective.

    Parameters
    ----------
    problem, spaces
        What is solved.

    Raises
    ------
    InputError
        If no potential is held, and what enters at some time does not leave.
    """

    def __init__(self, problem: EmiProblem, spaces: Spaces) -> None:
        self._parts: list[tuple[Timing, Array]] = []
        sums: dict[Timing, tuple[float, float]] = {}
        for k, one in enumerate(problem.injected):
            load, area = spaces.through(one.space, one.boundary, f"injected[{k}]")
            self._parts.append((one.schedule, one.density * load))
            net, size = sums.get(one.schedule, (0.0, 0.0))
            sums[one.schedule] = (net + one.density * area, size + abs(one.density) * area)
        for net, size in [] if problem.held else sums.values():
            if abs(net) > BALANCE * size:
                allowed = "currents with sum zero where no potential is held; each is a density times its area"
                raise InputError("injected", net, allowed, "Hold a potential, or let as much out as in.")

    def add(self, load: Array, time: float, step: float) -> None:
        """Add what enters in a step from ``time``, times the step, to a right-hand side, in place."""
        for schedule, part in self._parts:
            share = schedule.share(time, step)
            if share:
                load += (share * step) * part


def conduction(problem: EmiProblem, spaces: Spaces) -> list[tuple[PETSc.Mat, float, str, str]]:
    """Return the terms of the stiffness of all spaces and of all contacts; collective."""
    terms: list[tuple[PETSc.Mat, float, str, str]] = []
    for name, conductivity in problem.conductivities.items():
        terms.append((spaces.stiffness(name, conductivity), 1.0, name, name))
    for k, contact in enumerate(problem.contacts):
        mass = spaces.mass(contact.first, contact.second, f"contacts[{k}]", contact.facets)
        terms += spaces.jumps(mass, 1.0 / contact.resistance, contact.first, contact.second)
    return terms


def scaled(
    terms: Sequence[tuple[PETSc.Mat, float, str, str]], factor: float
) -> list[tuple[PETSc.Mat, float, str, str]]:
    """Return terms with another factor."""
    return [(matrix, factor * own, row, column) for matrix, own, row, column in terms]
