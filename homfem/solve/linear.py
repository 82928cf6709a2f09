"""Checked linear solves: a matrix is set up once and then serves any number of right-hand sides."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from petsc4py import PETSc

from homfem.parameters import ConvergenceError, check_choice, check_integer, check_number
from homfem.solve.options import (
    PRECONDITIONERS,
    RELAXATIONS,
    Coarse,
    Direct,
    Kernel,
    Multigrid,
    cheap,
    entries,
    held,
    interpolate,
    new_prefix,
    null_space,
    options_of,
    options_set,
    set_near_kernel,
    stopped,
    symmetric_part,
)
from homfem.solve.successive import Successive

log = logging.getLogger("homfem")

#: Iterations about the factors of a direct solver.
REFINEMENTS = 20
#: What one pass of these iterations takes the residual down to, relatively, and how many it takes at the most: the
#: residual that they carry along is not the true one any more then.
PASS = 1e-10
PASS_ITERATIONS = 7
#: What is left where the factors alone are applied once more: with less gained iterations about them go on.
ALONE = 1e-3
#: Directions that GMRES keeps.
RESTART = 100
#: Largest relative residual that rounding excuses.
LARGEST = 1e-6
_NONE = Coarse()
#: Largest tolerance for which factors are made where iterations serve as well.
SHARP = 1e-8
#: PETSc's reason where a matrix is indefinite: no other solver makes that right.
INDEFINITE = -10


class LinearSolver:
    r"""A linear system that is set up once and solved for many right-hand sides, :math:`A x = b`.

    Parameters
    ----------
    matrix
        An assembled PETSc matrix, symmetric and positive (semi-)definite for ``method="cg"``.
    method
        ``"cg"`` (conjugate gradients); ``"gmres"`` for a matrix that is not symmetric.
    preconditioner
        ``"multigrid"`` (smoothed aggregation) or a :class:`homfem.solve.Multigrid`, ``"ssor"``, ``"jacobi"``,
        ``"incomplete-cholesky"`` (Jacobi's goes on where it fails), ``"nodal-blocks"`` (of a matrix that knows their
        sizes), ``"incomplete-factors"``, ``"none"`` or ``"direct"`` (MUMPS), or a :class:`homfem.solve.Direct`. With
        ``"gmres"`` multigrid is that of the symmetric part: cheap factors are tried before, incomplete ones, which hold
        where the skew part is large, after it.
    rtol, atol
        The solve ends when :math:`\|b-Ax\|_2\le\max(\mathrm{rtol}\,\|b\|_2,\mathrm{atol})`: the true residual, not
        the preconditioned one, computed after every solve, of a direct solver too; or when rounding lets it fall no
        further, :math:`\|b-Ax\|_2\le\min(\epsilon(\|A\|_\infty\|x\|_2+\|b\|_2), 10^{-6}\|b\|_2)`.
    max_iterations
        Of each solver that is tried; a direct one has its own.
    kernel
        Orthonormal vectors that span it, or a :class:`homfem.solve.Kernel`.
    name
        For messages.

    Raises
    ------
    InputError
        For an unknown method or a tolerance out of range.
    """

    def __init__(
        self,
        matrix: PETSc.Mat,
        *,
        method: str = "cg",
        preconditioner: str | Multigrid | Direct = "multigrid",
        rtol: float = 1e-10,
        atol: float = 0.0,
        max_iterations: int = 500,
        kernel: Kernel | Sequence[PETSc.Vec] = (),
        name: str = "linear system",
    ) -> None:
        check_choice("method", method, ("cg", "gmres"))
        multigrid = preconditioner if isinstance(preconditioner, Multigrid) else Multigrid()
        first = {Multigrid: "multigrid", Direct: "direct"}.get(type(preconditioner), str(preconditioner))
        self._dimension = 3 if isinstance(preconditioner, str) else preconditioner.dimension
        check_choice("preconditioner", first, tuple(PRECONDITIONERS))
        known = kernel if isinstance(kernel, Kernel) else Kernel(vectors=kernel)
        check_number("rtol", rtol, at_least=0.0, below=1.0)
        check_number("atol", atol, at_least=0.0)
        check_integer("max_iterations", max_iterations, at_least=1)
        self.matrix, self.name, self.iterations, self.solves, self.setup_seconds = matrix, name, 0, 0, 0.0
        self._method, self._rtol, self._atol, self._max_iterations = method, rtol, atol, max_iterations
        self._coarse, self._definite, self._part = multigrid.coarse, False, None
        self._size = matrix.norm(PETSc.NormType.INFINITY)
        self._null = null_space(matrix, known)
        self._kernel = known.vectors[0] if len(known.vectors) == 1 and not (known.constant or known.left) else None
        self._left = self._null if not known.left else PETSc.NullSpace().create(vectors=list(known.left))
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, method == "cg")
        # PETSc compares pivots with absolute numbers: where those could matter the solver sees a matrix of size one.
        self._scale = 1.0 if 1e-6 < self._size < 1e6 or not self._size else 2.0 ** -round(math.log2(self._size))
        self._scaled = matrix
        if self._scale != 1.0:
            self._scaled = matrix.copy()
            self._scaled.scale(self._scale)
            self._scaled.setOption(PETSc.Mat.Option.SYMMETRIC, method == "cg")
            null_space(self._scaled, known)
        self._attempts = self._tried(first, multigrid)
        self._work: tuple[PETSc.Vec, PETSc.Vec] | None = None
        self._prepare()

    def _tried(self, first: str, multigrid: Multigrid) -> list[tuple[str, str, str]]:
        """The solvers in the order in which they are tried, each with its smoothers."""
        smoothers, skew = multigrid.smoothers, self._method == "gmres" and first == "multigrid"
        pairs = list(product(smoothers, multigrid.relaxations))
        attempts = [(first, *pair) for pair in (pairs if first == "multigrid" else pairs[:1])]
        if first == "incomplete-cholesky":
            attempts.append(("jacobi", *pairs[0]))
        if skew:
            attempts.append(("incomplete-factors", *pairs[0]))
        small = self._method == "cg" and entries(self.matrix) <= multigrid.direct_first
        if first != "direct" and (small or cheap(self.matrix)):
            # Where the matrix is not symmetric nothing else holds for all of them: cheap factors come first.
            self._definite = self._rtol <= SHARP and small
            attempts.insert(0 if self._definite or skew else len(attempts), ("direct", *pairs[0]))
        return attempts

    def _prepare(self) -> None:
        """Set up the first of the solvers that are left."""
        start = time.perf_counter()
        preconditioner, smoother, relaxation = self._attempts[0]
        operator, coarse = self._scaled, _NONE
        if preconditioner == "multigrid":
            coarse = self._coarse = self._coarse() if callable(self._coarse) else self._coarse
        matrix = operator
        if self._method != "cg" and preconditioner == "multigrid":
            matrix = self._part = symmetric_part(operator)
            if self._null is not None:
                matrix.setNullSpace(self._null)
        if coarse.near_kernel and not coarse.prolongations:
            set_near_kernel(matrix, coarse.near_kernel)
        elif self._null is not None:
            matrix.setNearNullSpace(self._null)
        self.ksp = PETSc.KSP().create(matrix.comm)
        self.ksp.setOperators(operator, matrix)
        options = options_of(preconditioner, bool(coarse.prolongations), smoother, matrix, dimension=self._dimension)
        if preconditioner == "multigrid" and not coarse.prolongations:
            options |= RELAXATIONS[relaxation]
        options["ksp_type"] = self._method
        if preconditioner == "direct":
            # Iterations about the factors: one as a rule, more where rounding has left something.
            options |= {"ksp_type": "gmres", "ksp_pc_side": "right"}
            if self._method != "cg":
                options["pc_type"] = "lu"
        prefix = new_prefix()
        self.ksp.setOptionsPrefix(prefix)
        self.ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        if self._method != "cg":
            options |= {"ksp_pc_side": "right", "ksp_gmres_restart": RESTART}
        options |= interpolate(self.ksp.getPC(), preconditioner, coarse.prolongations, coarse.near_kernel)
        # A pivot of round-off takes the solution far into the kernel, which costs digits: an unknown there is held.
        pinned = self._kernel if preconditioner == "direct" and self._method == "cg" else None
        try:
            with options_set(prefix, options), held(operator, pinned):
                self.ksp.setFromOptions()
                self.ksp.setUp()
                self.ksp.getPC().setReusePreconditioner(pinned is not None)
        except PETSc.Error as error:  # entries too far apart, or a zero where none may be
            if len(self._attempts) == 1:
                raise ConvergenceError(_broken(self.name, error)) from error
            self._attempts = self._attempts[1:]
            self.ksp.destroy()
            self._prepare()
        self.setup_seconds += time.perf_counter() - start

    def solve(
        self,
        b: PETSc.Vec,
        x: PETSc.Vec,
        guess: bool = False,
        rtol: float | None = None,
        before: Successive | None = None,
    ) -> int:
        """Solve for one right-hand side; collective.

        A solver that fails hands over to the next one, for good: the next smoother, and in the end a direct solver
        where the matrix is not too large for it.

        Parameters
        ----------
        b
            Right-hand side; its component in the (left) kernel is removed in place.
        x
            Solution; the start value as well if ``guess`` is true.
        guess
            Start from ``x`` instead of zero, where the residual of zero is larger.
        rtol
            Another relative residual than the solver's own, from now on.
        before
            Start from the solutions before, which these are, and keep this one there.

        Returns
        -------
        int
            Number of iterations.

        Raises
        ------
        ConvergenceError
            On every rank, if the tolerance was not reached.
        """
        if self._left is not None:
            self._left.remove(b)
        self._rtol = self._rtol if rtol is None else rtol
        used, image = 0, None
        if before is not None:
            before.start(x)
            guess, image = True, before.image
        while True:
            count, failure = self._try(b, x, guess, image)
            used += count
            if not failure:
                self._check_energy(b, x)
                break
            if len(self._attempts) == 1 or self.ksp.getConvergedReason() == INDEFINITE:
                raise ConvergenceError(failure)
            log.info("%s Another solver goes on.", failure)
            self._attempts = self._attempts[1:]
            self.ksp.destroy()
            self._prepare()
            guess = False
        if before is not None and self._work is not None:
            before.keep(x, b, self._work[0])
        self.iterations += used
        self.solves += 1
        return used

    def _check_energy(self, b: PETSc.Vec, x: PETSc.Vec) -> None:
        """Factors solve with an indefinite matrix too, which conjugate gradients do not."""
        if self._definite and b.dot(x) < -LARGEST * b.norm() * x.norm():
            raise ConvergenceError(stopped(self.name, "a direct solver", 1, INDEFINITE, 0.0))

    def _try(self, b: PETSc.Vec, x: PETSc.Vec, guess: bool, image: PETSc.Vec | None) -> tuple[int, str]:
        """Solve with the solver at hand until the true residual is small; the iterations, and why it failed.

        ``image`` is the product of the matrix with the start value, where that is known.
        """
        size = b.norm()
        if not math.isfinite(size):
            raise ConvergenceError(
                f"{self.name}: the right-hand side is not finite. Take a smaller step, or numbers "
                "that are nearer to each other."
            )
        if self._work is None:
            self._work = b.duplicate(), b.duplicate()
        rest, more = self._work
        b.copy(rest)
        if guess and image is not None:
            rest.axpy(-1.0, image)
        elif guess:
            self._residual(b, x, rest)
        if guess and rest.norm() > size:
            guess = False
            b.copy(rest)
        if not guess:
            x.set(0.0)
        direct = self._attempts[0][0] == "direct"
        limit = min(self._max_iterations, REFINEMENTS) if direct else self._max_iterations
        most = PASS_ITERATIONS if direct else limit
        wanted = max(self._rtol * size, self._atol)
        used, before, alone = 0, math.inf, direct
        while True:
            atol = max(0.5 * wanted if used else wanted, 1e-300) * self._scale
            # What is asked of one pass about the factors they can give; the next pass starts from the true residual.
            part = PASS if direct else 0.0
            self.ksp.setTolerances(rtol=part, atol=atol, max_it=min(most, limit - used), divtol=1e30)
            # Factors of a singular matrix give a correction with a large part in the kernel, which costs digits: of the
            # correction alone, not of the solution, and the fewer the less of the residual is in that of the transpose.
            if self._left is not None:
                self._left.remove(rest)
            if self._scale != 1.0:
                rest.scale(self._scale)
            try:
                reason, count = self._applied(rest, more) if alone else self._iterated(rest, more)
            except PETSc.Error as error:
                failure, self._work = _broken(self.name, error), None  # PETSc leaves them locked
                break
            used += count
            x.axpy(1.0, more)
            if self._null is not None:
                self._null.remove(x)
            residual = self._residual(b, x, rest)
            # What rounding leaves in the product alone is no fault of the solver; a huge solution is one.
            floor = min(np.finfo(np.float64).eps * (self._size * x.norm() + size), LARGEST * size)
            failure = ""
            if residual <= max(wanted, floor):
                break
            if alone and not residual < 0.5 * size:  # worse than nothing: iterations about the factors begin there
                x.set(0.0)
                b.copy(rest)
                residual = size
            alone = alone and residual < ALONE * min(before, size)
            failure = (
                f"{stopped(self.name, self.ksp.getType(), used, reason, residual)} where {wanted:.3e} was asked for. "
                "Check that every active phase is connected and every coefficient positive; "
                "then mesh with less stretched elements."
            )
            ended = reason > 0 or (direct and reason == PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT)
            if not ended or used >= limit or not residual < 0.5 * before:
                break
            before = residual
        return used, failure

    def _applied(self, rest: PETSc.Vec, more: PETSc.Vec) -> tuple[int, int]:
        """Apply the factors alone: as a rule that is all, at a third of the cost of an iteration about them."""
        self.ksp.setUp()
        self.ksp.getPC().apply(rest, more)
        return 1, 1

    def _iterated(self, rest: PETSc.Vec, more: PETSc.Vec) -> tuple[int, int]:
        """Iterate; the reason of the end, and how many iterations."""
        self.ksp.solve(rest, more)
        return self.ksp.getConvergedReason(), self.ksp.getIterationNumber()

    def _residual(self, b: PETSc.Vec, x: PETSc.Vec, rest: PETSc.Vec) -> float:
        """Put b - Ax into ``rest``; its size."""
        self.matrix.mult(x, rest)
        rest.aypx(-1.0, b)
        return float(rest.norm())

    def solve_all(
        self,
        sides: Sequence[PETSc.Vec],
        solutions: Sequence[PETSc.Vec],
        *,
        noise: float = 0.0,
        rtol: float | None = None,
    ) -> None:
        """Solve for each right-hand side that is larger than ``noise``; collective.

        With ``rtol``, as of :meth:`solve`, it starts from the solutions that there are.
        """
        for number, (side, x) in enumerate(zip(sides, solutions, strict=True)):
            if side.norm() > noise:
                count = self.solve(side, x, guess=rtol is not None, rtol=rtol)
                log.info("%s: load %d, %d dofs, %d iterations", self.name, number + 1, x.getSize(), count)

    def destroy(self) -> None:
        """Free the solver's PETSc objects (collective); the matrix stays the caller's."""
        self.ksp.destroy()
        if self._part is not None:
            self._part.destroy()
        for null in {id(one): one for one in (self._null, self._left) if one is not None}.values():
            null.destroy()
        if self._scaled is not self.matrix:
            self._scaled.destroy()


def solve_with(
    matrix: PETSc.Mat,
    sides: Sequence[PETSc.Vec],
    solutions: Sequence[PETSc.Vec],
    *,
    noise: float = 0.0,
    **options: Any,
) -> LinearSolver:
    """Solve for all right-hand sides with the first solver that copes; collective.

    A faster smoother may be indefinite at a contrast of 1e4 and more: give one that is not as the last.

    Parameters
    ----------
    matrix, sides, solutions, noise
        As of :class:`LinearSolver` and :meth:`LinearSolver.solve_all`; the solutions are overwritten.
    options
        Of :class:`LinearSolver`.

    Returns
    -------
    LinearSolver
        The one that coped, to go on with; it is the caller's to destroy.

    Raises
    ------
    ConvergenceError
        If none did.
    """
    for x in solutions:
        x.set(0.0)
    solver = LinearSolver(matrix, **options)
    try:
        solver.solve_all(sides, solutions, noise=noise)
    except ConvergenceError:
        solver.destroy()
        raise
    return solver


def _broken(name: str, error: PETSc.Error) -> str:
    """Return what to say where PETSc does not set a solver up or run it: entries far apart, a zero on the diagonal."""
    words = " ".join(str(error).split())[-120:]
    return f"{name}: PETSc breaks off (...{words}). Coefficients may be too far apart, too large or too small."
