r"""Linear transport with sources and boundary values, in time and at rest.

.. math::
    C\,\partial_t u = -\nabla\cdot j + s\quad\text{or}\quad 0 = -\nabla\cdot j + s,\qquad
    j = v u - K\nabla u,

with the conditions of :mod:`homfem.macro.conditions` on named boundaries; v = 0 unless a velocity is given. With the
mass matrix M of C and the matrix K of the continuous elements, all that depends on u at the boundaries included,
:math:`M\dot u = -K u + F(t)`. Matrices, solvers and the places of the boundary values are set up once; a source or
flux that is a function of time costs one product with a mass matrix in each stage.

The flux is integrated by parts as a whole, :math:`-\int j\cdot\nabla w`: with w = 1 a step changes :math:`\int C u` by
what sources and boundaries bring and by nothing else, whatever the divergence of v. A velocity whose divergence is not
zero against the basis functions does not keep constants, though. Where nothing is let out by the matrix, the balance
holds to round-off whatever the linear solver leaves.
"""

from __future__ import annotations

import copy
from typing import Any, Self

import ufl
from petsc4py import PETSc

from homfem.macro.diffusion_step import DiffusionStep
from homfem.macro.linear_problem import FixedValues, LinearProblem, Load
from homfem.parameters import Array, ConvergenceError, check_number
from homfem.solve import Kernel, LinearSolver, Successive, assemble_vector
from homfem.timestepping import TR_BDF2, DiffusionScheme


class BoundedDiffusionStep(DiffusionStep):
    r"""Steps of :math:`M\dot u = -K u + F(t)` with Dirichlet values; collective.

    Parameters
    ----------
    problem
        What is solved.
    step, scheme
        The time step, and the one-step method.
    options
        Of :class:`homfem.solve.LinearSolver`.

    Attributes
    ----------
    inner : float
        Part of the step by which values and loads are taken before its end and after its start: steps that end where
        something is switched do not see what comes after.
    brought : float
        What sources and boundaries brought to :math:`\int C u` in the last step: the fluxes of the discrete equations,
        those at Dirichlet values from the rows of these, so that it differs from the change by what the linear solver
        has left.

    Raises
    ------
    InputError
        See :class:`LinearProblem`.
    """

    def __init__(
        self, problem: LinearProblem, *, step: float, scheme: DiffusionScheme = TR_BDF2, **options: Any
    ) -> None:
        self.problem, self._fixed, self._load, self.brought = problem, FixedValues(problem), Load(problem), 0.0
        method = "cg" if problem.velocity is None else "gmres"
        preconditioner = "jacobi" if problem.velocity is None else "incomplete-factors"
        chosen: dict[str, Any] = {"preconditioner": preconditioner, "rtol": 1e-10, "name": problem.name} | options
        self.inner, self._options = 0.0, {"method": method, **chosen}
        super().__init__(
            problem.mass(),
            problem.stiffness(),
            problem.weights(),
            step=step,
            scheme=scheme,
            make_solver=lambda matrix: LinearSolver(self._fixed.eliminated(matrix), **self._options),
            guess=chosen["preconditioner"] != "direct",
        )
        self._values, self._work = self.stiffness.createVecRight(), self.stiffness.createVecLeft()
        self._leaks = None if problem.closed else column_sums(self.stiffness)
        self._fixed_rows = column_sums(self.matrix, self._fixed.dofs) if self._fixed.values else None
        self._follows = False

    def of_other_step(self, step: float) -> Self:
        """Return steps of another length with the assembled matrices of these; collective."""
        other = copy.copy(self)
        other._fixed = FixedValues(self.problem)
        other._make_solver = lambda matrix: LinearSolver(other._fixed.eliminated(matrix), **other._options)
        other._set_up(step)
        other._fixed_rows = column_sums(other.matrix, other._fixed.dofs) if other._fixed.values else None
        return other

    def when(self, time: float, part: float) -> float:
        """Return the time after a part of the step, ``inner`` of it away from both ends."""
        return time + min(max(part, self.inner), 1.0 - self.inner) * self.step

    def follow(self) -> None:
        """From now on keep ``path``, the scheme's mean of u over a step times the step, and ``force``, that of F."""
        self._follows = True
        self.path, self.force = self.stiffness.createVecRight(), self.stiffness.createVecLeft()

    def of_other_values(self, problem: LinearProblem) -> BoundedDiffusionStep:
        """Return steps with the matrices and solvers of these, of a problem with other sources and values alone."""
        other = copy.copy(self)
        other.problem, other._load, other.brought = problem, Load(problem), 0.0
        other._fixed = FixedValues(problem)
        other._fixed.diagonal = self._fixed.diagonal
        other.increments = [vector.duplicate() for vector in self.increments]
        for vector in other.increments:
            vector.set(0.0)
        return other

    def apply(self, u: PETSc.Vec, time: float = 0.0) -> int:
        """Advance ``u`` in place by the step from ``time``; return the number of iterations. Collective.

        The start must have the Dirichlet values of its time.
        """
        self.stiffness.mult(u, self._slope)
        count, brought = 0, 0.0
        leaking = 0.0 if self._leaks is None else float(self._leaks.dot(u))
        for stage, (carry, slope) in enumerate(self.scheme.stages):
            rhs, increment, length = self._rhs, self.increments[stage], slope * self.step
            rhs.zeroEntries()
            for weight, at in self.scheme.forcing[stage]:
                self._load.add(self.when(time, at), weight * length, rhs, self._work)
            brought = carry * brought + (rhs.sum() if self._load.any else 0.0) - length * leaking
            if self._follows:
                self.force.aypx(carry, rhs)
                self.path.scale(carry)
                self.path.axpy(length, u)
            rhs.axpy(-length, self._slope)
            if carry:
                self.mass.mult(self.increments[stage - 1], self._carry)
                rhs.axpy(carry, self._carry)
            if self._fixed.values:
                brought -= self._on_fixed(rhs)
                self._to_values(u, self.when(time, self.scheme.forcing[stage][-1][1]))
                self._fixed.lift(self.matrix, self._values, rhs, self._work)
            count += self.solver.solve(rhs, increment, guess=self.guess)
            if self._leaks is None:
                increment.shift((brought - self.weights.dot(increment)) / self.volume)
            else:
                brought -= self.scheme.diagonal * self.step * float(self._leaks.dot(increment))
            if self._follows:
                self.path.axpy(self.scheme.diagonal * self.step, increment)
            if self._fixed_rows is not None:
                brought += float(self._fixed_rows.dot(increment))
        u.axpy(1.0, self.increments[-1])
        if self._fixed.values:
            self._fixed.at(self.when(time, 1.0), u)
        self.brought = brought
        return count

    def _on_fixed(self, vector: PETSc.Vec) -> float:
        """Return the sum of a vector over the fixed rows; collective."""
        return float(vector.comm.tompi4py().allreduce(float(vector.array_r[self._fixed.dofs].sum())))

    def _to_values(self, u: PETSc.Vec, time: float) -> None:
        """Put the increments that lead to the Dirichlet values of a time into the vector of values."""
        values, dofs = self._values, self._fixed.dofs
        values.set(0.0)
        self._fixed.at(time, values)
        values.array[dofs] -= u.array_r[dofs]


class EllipticSolver:
    r"""Solves :math:`-\nabla\cdot(K\nabla u) = s` with boundary conditions, many times; collective.

    Without Dirichlet and Robin conditions the solution is that of mean zero, and the sources and fluxes must balance.

    Parameters
    ----------
    problem
        What is solved.
    balance
        What sources and fluxes may leave over, relative to the sum of their absolute values.
    noise
        What they may leave over in any case: the round-off of a load that is added.
    options
        Of :class:`homfem.solve.LinearSolver`; multigrid by default.
    """

    def __init__(self, problem: LinearProblem, *, balance: float = 1e-8, noise: float = 0.0, **options: Any) -> None:
        self.problem, self.balance = problem, check_number("balance", balance, at_least=0.0)
        self.noise = check_number("noise", noise, at_least=0.0)
        self.matrix = problem.stiffness()
        self._fixed, self._load = FixedValues(problem), Load(problem)
        chosen: dict[str, Any] = {"name": problem.name} | options
        self.solver = LinearSolver(
            self._fixed.eliminated(self.matrix), kernel=Kernel(constant=problem.closed), **chosen
        )
        v = ufl.TestFunction(problem.space)
        self.weights = assemble_vector(v * ufl.dx(domain=problem.domain.mesh))
        self._rhs, self._work = self.matrix.createVecLeft(), self.matrix.createVecLeft()
        self._values = self.matrix.createVecRight()

    def solve(
        self,
        u: PETSc.Vec,
        time: float = 0.0,
        *,
        more: PETSc.Vec | None = None,
        guess: bool = False,
        before: Successive | None = None,
    ) -> int:
        """Solve for the state at a time; return the number of iterations. Collective.

        Parameters
        ----------
        u
            Solution; the start value as well if ``guess`` is true.
        time
            Of the sources and boundary values.
        more
            An assembled load that is added to the right-hand side.
        guess
            Start from ``u``.
        before
            Start from the solutions before, which these are, and keep this one there.

        Raises
        ------
        ConvergenceError
            If sources and fluxes do not balance where nothing else lets them out.
        """
        rhs = self._rhs
        rhs.zeroEntries()
        self._load.add(time, 1.0, rhs, self._work)
        if more is not None:
            rhs.axpy(1.0, more)
        if self.problem.closed:
            self._check_balance(rhs)
        if self._fixed.values:
            self._values.set(0.0)
            self._fixed.at(time, self._values)
            self._fixed.lift(self.matrix, self._values, rhs, self._work)
        count = self.solver.solve(rhs, u, guess=guess, before=before)
        if self.problem.closed:
            u.shift(-self.weights.dot(u) / self.weights.sum())
        if self._fixed.values:
            self._fixed.at(time, u)
        return count

    def _check_balance(self, rhs: PETSc.Vec) -> None:
        net, size = rhs.sum(), rhs.norm(PETSc.NormType.NORM_1)
        if abs(net) > self.balance * size + self.noise:
            raise ConvergenceError(
                f"{self.problem.name}: sources and fluxes leave {net:.6g} over (of {size:.6g} in all), and no boundary "
                "lets it out: balance them, or fix a value on some boundary."
            )


def column_sums(matrix: PETSc.Mat, rows: Array | None = None) -> PETSc.Vec:
    """Return the sums of the columns of a matrix over all rows, or over some that the rank owns; collective."""
    ones, result = matrix.createVecLeft(), matrix.createVecRight()
    if rows is None:
        ones.set(1.0)
    else:
        ones.set(0.0)
        ones.array[rows] = 1.0
    matrix.multTranspose(ones, result)
    ones.destroy()
    return result
