r"""Transport in time that keeps what is not negative so: discrete upwinding with limited fluxes that take it back.

With lumped masses :math:`m_i`, the matrix A of transport and :math:`d_{ij} = \max(0, a_{ij}, a_{ji})`, the low order

.. math:: (m + \Delta t L)\,u^L = m\,u^n + \Delta t\,F(t_{n+1}),\qquad L = A - d\ \text{off the diagonal},\qquad
    L_{ii} = A_{ii} + \sum_j d_{ij},

has no positive entry off its diagonal, and columns with a positive sum: those of A sum to what flows out
(:mod:`homfem.macro.linear`), those of d to zero. It is an M-matrix, on any mesh, for any tensor, velocity and step:
with :math:`u^n, F \ge 0` so is :math:`u^L`, and nothing is made. The solution of the Galerkin method :math:`u^H`, of
the mass matrix M and the scheme's mean w of u over the step (times the step), differs from it by fluxes between nodes,

.. math:: m_i (u^H_i - u^L_i) = \sum_j f_{ij} + e_i,\qquad f_{ij} = M_{ij}(\delta_i - \delta_j)
    - (a_{ij} w_j - a_{ji} w_i) + \Delta t\,(l_{ij} u^L_j - l_{ji} u^L_i) = -f_{ji},\quad \delta = u^H - u^n,

and by :math:`e_i`, which comes through the boundary. Each is added as far as no node loses more than it has: the result
is not negative, as much as before, and the Galerkin solution where that is not negative by itself. Where advection
rules, which that method answers with wiggles, no node may leave the range of :math:`u^L, u^n` at itself and its
neighbours either (Zalesak's limiter); it flattens extrema, the more the longer the step is.

Source: Kuzmin, Turek 2002, J. Comput. Phys. 175, 525, doi 10.1006/jcph.2001.6955; Kuzmin 2012, Flux-Corrected
Transport, chapter 6, doi 10.1007/978-94-007-4038-9_6; Zalesak 1979, doi 10.1016/0021-9991(79)90051-2.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import scipy.sparse
from mpi4py import MPI
from petsc4py import PETSc

from homfem.macro.linear import BoundedDiffusionStep, column_sums
from homfem.macro.linear_problem import FixedValues, LinearProblem, Load
from homfem.parameters import Array, ConvergenceError, InputError
from homfem.solve import LinearSolver
from homfem.timestepping import TR_BDF2, DiffusionScheme

#: What of the largest value may be negative by the solver's tolerance and by round-off, before it is set to zero.
ROUND_OFF = 1e-9


class PositiveStep:
    """Steps as those of :class:`homfem.macro.linear.BoundedDiffusionStep` that keep u >= 0; collective.

    Parameters
    ----------
    problem
        What is solved: of degree 1, without streamline diffusion; boundary values and what enters are not negative.
    step, scheme
        The time step, and the scheme of the Galerkin solution.
    ranged
        Keep each node in the range about it, too.
    options
        Of :class:`homfem.solve.LinearSolver`.

    Attributes
    ----------
    brought : float
        As of :class:`homfem.macro.linear.BoundedDiffusionStep`.

    Raises
    ------
    InputError
        For elements of another degree, streamline diffusion, and negative values and fluxes.
    """

    def __init__(
        self,
        problem: LinearProblem,
        *,
        step: float,
        scheme: DiffusionScheme = TR_BDF2,
        ranged: bool = False,
        **options: Any,
    ) -> None:
        self.ranged = ranged
        if problem.space.ufl_element().degree != 1 or problem.streamline is not None:
            raise InputError("positivity", True, "asked of elements of degree 1 without SUPG")
        self.high = BoundedDiffusionStep(problem, step=step, scheme=scheme, **options)
        self.high.follow()
        self.problem, self.step, self.brought = problem, self.high.step, 0.0
        self.load, self.fixed = Load(problem, at_least=0.0), FixedValues(problem, at_least=0.0)
        self.lumped = self.high.weights.array_r.copy()
        if not self.lumped.min(initial=np.inf) > 0.0:
            raise InputError("positivity", True, "asked of a mesh whose basis functions have positive integrals")
        self._set_up(options)

    def _set_up(self, options: dict[str, Any]) -> None:
        matrix, mass = self.high.stiffness, self.high.mass
        transposed = matrix.transpose(PETSc.Mat())
        rows, neighbours = _rows(matrix), _rows(transposed)
        masses = _rows(mass)
        first, last = matrix.getOwnershipRange()
        i = np.repeat(np.arange(last - first), np.diff(rows.indptr))
        off = rows.indices != i + first
        there, back = rows.data[off], neighbours.data[off]
        upwind = np.maximum(0.0, np.maximum(there, back))
        self.i, self.m = i[off], masses.data[off]
        self.a, self.a_back, self.low, self.low_back = there, back, there - upwind, back - upwind
        low = rows.copy()
        low.data[off] = self.low
        low.data[~off] += np.bincount(self.i, upwind, minlength=last - first)
        closed = self.problem.closed
        self.leaks = np.zeros(len(self.lumped)) if closed else column_sums(matrix).array_r.copy()
        system = low.copy()
        system.data *= self.step
        system.data[~off] += self.lumped
        size = ((last - first, matrix.getSize()[0]),) * 2
        self.matrix = PETSc.Mat().createAIJ(size, csr=(system.indptr, system.indices, system.data), comm=matrix.comm)
        self.matrix.assemble()
        self.neighbours = _Neighbours(matrix, rows.indices[off])
        method = "cg" if self.problem.velocity is None else "gmres"
        default = "jacobi" if method == "cg" else "incomplete-factors"
        chosen: dict[str, Any] = {"preconditioner": default, "rtol": 1e-12, "name": self.problem.name} | options
        self.solver = LinearSolver(self.fixed.eliminated(self.matrix), method=method, **chosen)
        self.fixed_rows = column_sums(self.matrix, self.fixed.dofs) if self.fixed.values else None
        self._made = [self.matrix.createVecRight() for _ in range(6)]  # what each step works with
        self.free = np.full(last - first, True)
        self.free[self.fixed.dofs] = False
        # Fluxes between a free node and one whose value is fixed.
        self.crossing = self.free[self.i] & (self.neighbours.of(self.free.astype(np.float64)) == 0.0)
        transposed.destroy()

    @property
    def guess(self) -> bool:
        """Whether the Galerkin solution starts from that of the step before."""
        return self.high.guess

    @property
    def increments(self) -> list[PETSc.Vec]:
        """The start values of its iterations."""
        return self.high.increments

    @property
    def mass(self) -> PETSc.Mat:
        """The mass matrix."""
        return self.high.mass

    @property
    def stiffness(self) -> PETSc.Mat:
        """The matrix of transport."""
        return self.high.stiffness

    def of_other_values(self, problem: LinearProblem) -> PositiveStep:
        """Return steps with the matrices and solvers of these, of a problem with other sources and values alone."""
        other = copy.copy(self)
        other.problem, other.brought, other.high = problem, 0.0, self.high.of_other_values(problem)
        other.high.follow()
        other.load, other.fixed = Load(problem, at_least=0.0), FixedValues(problem, at_least=0.0)
        other.fixed.diagonal = self.fixed.diagonal
        return other

    def apply(self, u: PETSc.Vec, time: float = 0.0) -> int:
        """Advance ``u`` >= 0 in place by the step from ``time``; return the number of iterations. Collective.

        Raises
        ------
        InputError
            For boundary values or fluxes that are negative at that time.
        ConvergenceError
            If the solver leaves more than round-off below zero.
        """
        galerkin, force = self._made[:2]
        start = np.asarray(u.array_r).copy()
        galerkin.array[:] = start
        low, count = self._upwind(u, time, force)
        count += self.high.apply(galerkin, time)
        change = galerkin.array_r - start
        path, came = self.high.path.array_r, self.high.force.array_r
        at = self.neighbours
        fluxes = self.m * (change[self.i] - at.of(change))
        fluxes -= self.a * at.of(path) - self.a_back * path[self.i]
        fluxes += self.step * (self.low * at.of(low) - self.low_back * low[self.i])
        outer = came - force.array_r - self.leaks * (path - self.step * low)
        fluxes, outer = self._limited(fluxes, outer, low, start)
        gained = np.bincount(self.i, fluxes, minlength=len(low))
        mine = float(fluxes[self.crossing].sum() + outer[self.free].sum())
        self.brought += self._sum(mine)
        low[self.free] += (gained + outer)[self.free] / self.lumped[self.free]
        u.array[:] = self._kept(low)
        self.fixed.at(self.high.when(time, 1.0), u)
        return count

    def _upwind(self, u: PETSc.Vec, time: float, force: PETSc.Vec) -> tuple[Array, int]:
        """Return the solution of low order and the iterations; what enters in the step goes into ``force``."""
        work, values, solution, side = self._made[2:]
        solution.array[:] = u.array_r
        force.set(0.0)
        self.load.add(self.high.when(time, 1.0), self.step, force, work)
        side.array[:] = force.array_r + self.lumped * u.array_r
        expected = side.sum()
        on_fixed = self._sum(float(side.array_r[self.fixed.dofs].sum()))
        if self.fixed.values:
            values.set(0.0)
            self.fixed.at(self.high.when(time, 1.0), values)
            self.fixed.lift(self.matrix, values, side, work)
        count = self.solver.solve(side, solution, guess=self.guess)
        low = self._kept(np.asarray(solution.array_r).copy())
        if self.problem.closed:
            there = self._sum(float(self.lumped @ low))
            low *= expected / there if there > 0.0 else 1.0
        self.brought = force.sum() - self.step * self._sum(float(self.leaks @ low))
        if self.fixed_rows is not None:
            solution.array[:] = low
            self.brought += float(self.fixed_rows.dot(solution)) - on_fixed
        return low, count

    def _limited(self, fluxes: Array, outer: Array, low: Array, start: Array) -> tuple[Array, Array]:
        """Return what of the fluxes no node leaves its range by."""
        at, i, n = self.neighbours, self.i, len(low)
        highest: Array = np.full(n, np.inf)
        lowest: Array = np.zeros(n)
        if self.ranged:
            most, least = np.maximum(low, start), np.minimum(low, start)
            highest, lowest = most.copy(), least.copy()
            np.maximum.at(highest, i, at.of(most))
            np.minimum.at(lowest, i, at.of(least))
        shares = []
        for bound, sign in ((highest, 1.0), (lowest, -1.0)):
            inward = np.maximum(0.0, sign * fluxes)
            wanted = np.bincount(i, inward, minlength=n) + np.maximum(0.0, sign * outer)
            room = sign * self.lumped * (bound - low)
            share = np.where(wanted > room, room / np.where(wanted > 0.0, wanted, 1.0), 1.0)
            share[~self.free] = 1.0
            shares.append(share)
        up, down = shares
        factor = np.where(fluxes > 0.0, np.minimum(up[i], at.of(down)), np.minimum(down[i], at.of(up)))
        return factor * fluxes, np.where(outer > 0.0, up, down) * outer

    def _kept(self, values: Array) -> Array:
        """Return values without what is below zero by round-off, as much in all."""
        comm = self.neighbours.comm
        extrema = np.array([-values.min(initial=np.inf), values.max(initial=-np.inf)])
        comm.Allreduce(MPI.IN_PLACE, extrema, op=MPI.MAX)
        if extrema[0] <= 0.0:
            return values
        if not extrema[0] <= ROUND_OFF * max(extrema[1], 0.0):
            raise ConvergenceError(
                f"{self.problem.name}: the linear solver leaves {-extrema[0]:.3g} where nothing is negative. "
                "Take a smaller rtol."
            )
        before = self._sum(float(self.lumped @ values))
        values = np.maximum(values, 0.0)
        after = self._sum(float(self.lumped @ values))
        return values * (before / after) if before > 0.0 else values

    def _sum(self, mine: float) -> float:
        return float(self.neighbours.comm.allreduce(mine))


class _Neighbours:
    """The values at the columns of the entries of a rank's rows, wherever these are."""

    def __init__(self, matrix: PETSc.Mat, columns: Array) -> None:
        self.comm = matrix.comm.tompi4py()
        first, last = matrix.getOwnershipRange()
        outside = np.unique(columns[(columns < first) | (columns >= last)])
        self.place = np.where(
            (columns >= first) & (columns < last), columns - first, last - first + np.searchsorted(outside, columns)
        )
        self._vector = matrix.createVecRight()
        wanted = PETSc.IS().createGeneral(outside.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
        self._ghosts = PETSc.Vec().createSeq(len(outside), comm=PETSc.COMM_SELF)
        self._scatter = PETSc.Scatter().create(self._vector, wanted, self._ghosts, None)

    def of(self, values: Array) -> Array:
        """Return the values at the columns; collective."""
        self._vector.array[:] = values
        forward = PETSc.ScatterMode.FORWARD
        self._scatter.scatter(self._vector, self._ghosts, addv=PETSc.InsertMode.INSERT_VALUES, mode=forward)
        return np.asarray(np.concatenate([values, self._ghosts.array_r])[self.place])


def _rows(matrix: PETSc.Mat) -> scipy.sparse.csr_matrix:
    """Return the rows that a rank owns, with sorted global columns."""
    pointers, columns, values = matrix.getValuesCSR()
    rows = scipy.sparse.csr_matrix((values, columns, pointers), shape=(len(pointers) - 1, matrix.getSize()[1]))
    rows.sort_indices()
    return rows
