"""One linear system of all potentials: held values, what is left free, and a solver that is set up once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from homfem.macro.emi.problem import EmiMethod, EmiProblem, Held
from homfem.macro.emi.spaces import Numbers, Spaces
from homfem.macro.protocols import Timing
from homfem.parameters import Array, InputError
from homfem.solve import LinearSolver

#: What currents may leave over, relative to the sum of their absolute values.
BALANCE = 1e-8
#: Entries up to which factors are used: a step with them takes less time than one with multigrid (a quarter in a row of
#: 1,024 cells in the plane, of 2.8 million entries), or as much (3D).
DIRECT_FIRST = {2: 3_000_000, 3: 400_000}
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
        self._held: list[_HeldValues] = []
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
        owner = np.full(self.spaces.sizes[0], -1)
        for k, one in enumerate(problem.held):
            owner[self.spaces.held(one.space, one.boundary)] = k  # of two at a place the last one counts
        values = self.matrix.createVecRight()
        for k, one in enumerate(problem.held):
            places, lift = np.flatnonzero(owner == k), self.matrix.createVecLeft()
            values.set(0.0)
            values.array[places] = one.value
            self.matrix.mult(values, lift)
            self._held.append(_HeldValues(one, places, lift))
        values.destroy()
        self._diagonal = float(self.matrix.getDiagonal().max()[1])
        rows = self.spaces.first + np.flatnonzero(owner >= 0)
        self.matrix.zeroRowsColumns(rows.astype(PETSc.IntType), diag=self._diagonal)

    def solve(self, load: Array, time: float = 0.0, step: float = 0.0) -> Array:
        """Solve with a right-hand side at this rank's unknowns; return the potentials there (a view).

        It starts from ``values``, which are the potentials found last unless someone has set them. Potentials on
        schedules are held at their means over a step from a time, or at what they are at this time.
        """
        self._right.array[:] = load
        factors = [one.share(time, step) for one in self._held]
        for one, factor in zip(self._held, factors, strict=True):
            self._right.axpy(-factor, one.lift)
        for one, factor in zip(self._held, factors, strict=True):
            self._right.array[one.places] = self._diagonal * factor * one.held.value
        largest = self.spaces.comm.allreduce(float(np.abs(self._right.array_r).max(initial=0.0)), op=MPI.MAX)
        if largest == 0.0:
            self.values.set(0.0)
        else:
            self.solver.solve(self._right, self.values, guess=True)
        if not self._held:
            own = float(self._weights @ self.values.array_r)
            self.values.array[:] -= self.spaces.comm.allreduce(own, op=MPI.SUM) / self._volume
        return np.asarray(self.values.array_r)


@dataclass(frozen=True, slots=True, eq=False)
class _HeldValues:
    """A held potential: the places of its unknowns on this rank, and what it brings to other rows."""

    held: Held
    places: Numbers
    lift: PETSc.Vec

    def share(self, time: float, step: float) -> float:
        """Return the share of a step from a time in which it is on; of no step whether it is on at this time."""
        schedule = self.held.schedule
        if schedule is None:
            return 1.0
        return schedule.share(time, step) if step > 0.0 else float(schedule.active(time))


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
