"""Implicit steps of linear diffusion that keep the integral of their field to round-off."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self

from homfem.parameters import check_number
from homfem.timestepping import DiffusionScheme

if TYPE_CHECKING:
    from petsc4py import PETSc


class _Solver(Protocol):
    def solve(self, b: PETSc.Vec, x: PETSc.Vec, guess: bool = False) -> int: ...


class DiffusionStep:
    r"""Steps of :math:`M\dot u = -K u + F`, by which :math:`1^T M u` changes by :math:`\Delta t\,1^T F` to round-off.

    F, the attribute ``load``, is what enters per time at each node, constant in the step; None is nothing. K has the
    constants in its kernel (no flux through the boundary). A stage's right-hand side is one product with K (and one
    with M); the iteration starts from the increment of the step before. What an iterative solve leaves of
    :math:`1^T M d` beside that is taken away as a constant.

    Parameters
    ----------
    mass, stiffness
        Assembled matrices M (consistent) and K of one sparsity pattern.
    weights
        :math:`M 1`, the integrals of the basis functions.
    step
        The time step.
    scheme
        The one-step method.
    make_solver
        Sets up the solver of a matrix, once.
    guess
        The solver takes a start value.
    """

    def __init__(
        self,
        mass: PETSc.Mat,
        stiffness: PETSc.Mat,
        weights: PETSc.Vec,
        *,
        step: float,
        scheme: DiffusionScheme,
        make_solver: Callable[[PETSc.Mat], _Solver],
        guess: bool = True,
    ) -> None:
        self.mass, self.stiffness, self.weights = mass, stiffness, weights
        self.scheme, self.guess, self._make_solver = scheme, guess, make_solver
        self.volume = weights.sum()
        self.load: PETSc.Vec | None = None
        self._slope, self._rhs, self._carry = (stiffness.createVecLeft() for _ in range(3))
        self._set_up(step)

    def _set_up(self, step: float) -> None:
        """Make the matrix of a length of step, its solver, and the increments; collective."""
        self.step = check_number("step", step, above=0.0)
        self.matrix, same = self.mass.copy(), self.stiffness.Structure.SAME_NONZERO_PATTERN
        self.matrix.axpy(self.scheme.diagonal * step, self.stiffness, structure=same)
        self.solver = self._make_solver(self.matrix)
        self.increments = [self.stiffness.createVecRight() for _ in self.scheme.stages]
        for vector in self.increments:
            vector.set(0.0)

    def of_other_step(self, step: float) -> Self:
        """Return steps of another length with the assembled matrices of these; collective."""
        other = copy.copy(self)
        other._set_up(step)
        return other

    def of_another(self) -> Self:
        """Return steps of another field with the matrices and the solver of this one; collective."""
        other = copy.copy(self)
        other.load = None
        other.increments = [vector.duplicate() for vector in self.increments]
        for vector in other.increments:
            vector.set(0.0)
        return other

    def apply(self, u: PETSc.Vec) -> int:
        """Advance ``u`` in place by the step; return the number of iterations. Collective."""
        count = self.solve(u)
        u.axpy(1.0, self.increments[-1])
        return count

    def solve(self, driver: PETSc.Vec) -> int:
        """Find the increments that ``driver``, u or u and what else drives the flux, brings; return the iterations.

        The last of ``increments`` is that of the step. Collective.
        """
        self.stiffness.mult(driver, self._slope)
        rate = 0.0
        if self.load is not None:
            self._slope.axpy(-1.0, self.load)
            rate = self.load.sum()
        count, brought = 0, 0.0
        for stage, (carry, slope) in enumerate(self.scheme.stages):
            self._rhs.zeroEntries()
            self._rhs.axpy(-slope * self.step, self._slope)
            if carry:
                self.mass.mult(self.increments[stage - 1], self._carry)
                self._rhs.axpy(carry, self._carry)
            increment = self.increments[stage]
            count += self.solver.solve(self._rhs, increment, guess=self.guess)
            brought = carry * brought + slope * self.step * rate
            increment.shift((brought - self.weights.dot(increment)) / self.volume)
        return count
