"""Checked linear solves: a matrix is set up once and then serves any number of right-hand sides."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from petsc4py import PETSc

from homfem.parameters import ConvergenceError, check_choice, check_integer, check_number
from homfem.solve.options import (
    PRECONDITIONERS,
    SMOOTHERS,
    interpolate,
    new_prefix,
    null_space,
    options_of,
    options_set,
    set_near_kernel,
    stopped,
)

log = logging.getLogger("homfem")


class LinearSolver:
    r"""A linear system that is set up once and solved for many right-hand sides, :math:`A x = b`.

    Parameters
    ----------
    matrix
        An assembled PETSc matrix, symmetric and positive (semi-)definite for ``method="cg"``.
    method
        ``"cg"`` (conjugate gradients); ignored by ``preconditioner="direct"``.
    preconditioner
        ``"multigrid"`` (smoothed aggregation), ``"ssor"``, ``"jacobi"``, ``"none"`` or ``"direct"`` (MUMPS).
    rtol, atol
        The solve ends when :math:`\|b-Ax\|_2\le\max(\mathrm{rtol}\,\|b\|_2,\mathrm{atol})`: the true residual, not
        the preconditioned one.
    max_iterations
        Raise :class:`ConvergenceError` beyond this many.
    constant_kernel
        The constants are in the kernel of ``matrix``: they are removed from every right-hand side and solution.
    kernel, near_kernel
        Vectors that span the kernel (orthonormal), and the near-kernel that coarse grids must represent, orthonormal
        too: vectors of the coarsest space where there are prolongations.
    prolongations
        Matrices from a coarser to the next finer space, coarsest first: p-multigrid with Galerkin products, and
        aggregation below the coarsest. Empty: aggregation alone.
    smoother
        Of the p-multigrid: ``"ssor"``, which stays good on stretched meshes, or ``"incomplete-cholesky"``, which is
        up to twice as fast on the fluxes of :mod:`homfem.local.flux` and several times slower on stretched Lagrange
        elements; or ``"incomplete-cholesky-throughout"``, on the aggregated levels as well, which copes with unknowns
        that stiff terms tie in pairs.
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
        preconditioner: str = "multigrid",
        rtol: float = 1e-10,
        atol: float = 0.0,
        max_iterations: int = 500,
        constant_kernel: bool = False,
        kernel: Sequence[PETSc.Vec] = (),
        near_kernel: Sequence[PETSc.Vec] = (),
        prolongations: Sequence[PETSc.Mat] = (),
        smoother: str = "ssor",
        name: str = "linear system",
    ) -> None:
        check_choice("method", method, ("cg",))
        check_choice("preconditioner", preconditioner, tuple(PRECONDITIONERS))
        check_choice("smoother", smoother, tuple(SMOOTHERS))
        check_number("rtol", rtol, at_least=0.0, below=1.0)
        check_number("atol", atol, at_least=0.0)
        check_integer("max_iterations", max_iterations, at_least=1)
        start = time.perf_counter()
        self.matrix, self.name, self.iterations, self.solves = matrix, name, 0, 0
        self._null = null_space(matrix, kernel, constant_kernel)
        prolonged = bool(prolongations) and preconditioner == "multigrid"
        if near_kernel and not prolonged:
            set_near_kernel(matrix, near_kernel)
        elif self._null is not None:
            matrix.setNearNullSpace(self._null)
        self.ksp = PETSc.KSP().create(matrix.comm)
        self.ksp.setOperators(matrix)
        direct = preconditioner == "direct"
        options = options_of(preconditioner, bool(prolongations), smoother, matrix)
        options["ksp_type"] = "preonly" if direct else method
        prefix = new_prefix()
        self.ksp.setOptionsPrefix(prefix)
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        if not direct:
            self.ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        self.ksp.setTolerances(rtol=rtol, atol=max(atol, 1e-300), max_it=max_iterations, divtol=1e30)
        options |= interpolate(self.ksp.getPC(), preconditioner, prolongations, near_kernel)
        with options_set(prefix, options):
            self.ksp.setFromOptions()
            self.ksp.setUp()
        self.setup_seconds = time.perf_counter() - start

    def solve(self, b: PETSc.Vec, x: PETSc.Vec, guess: bool = False, rtol: float | None = None) -> int:
        """Solve for one right-hand side; collective.

        Parameters
        ----------
        b
            Right-hand side; its component in the kernel is removed in place.
        x
            Solution; the start value as well if ``guess`` is true.
        guess
            Start from ``x`` instead of zero; a direct solver has no use for it.
        rtol
            Another relative residual than the solver's own, from now on.

        Returns
        -------
        int
            Number of iterations.

        Raises
        ------
        ConvergenceError
            On every rank, if the tolerance was not reached.
        """
        if self._null is not None:
            self._null.remove(b)
        if rtol is not None:
            self.ksp.setTolerances(rtol=rtol)
        self.ksp.setInitialGuessNonzero(guess and self.ksp.getType() != PETSc.KSP.Type.PREONLY)
        self.ksp.solve(b, x)
        reason, count = self.ksp.getConvergedReason(), self.ksp.getIterationNumber()
        if reason <= 0:
            raise ConvergenceError(
                f"{stopped(self.name, self.ksp.getType(), count, reason, self.ksp.getResidualNorm())}. "
                "Check that every active phase is connected and every coefficient positive; "
                "then raise max_iterations or choose another preconditioner."
            )
        if self._null is not None:
            self._null.remove(x)
        self.iterations += count
        self.solves += 1
        return int(count)

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
        if self._null is not None:
            self._null.destroy()


def solve_with(
    smoothers: Sequence[str],
    matrix: PETSc.Mat,
    sides: Sequence[PETSc.Vec],
    solutions: Sequence[PETSc.Vec],
    *,
    noise: float = 0.0,
    **options: Any,
) -> LinearSolver:
    """Solve for all right-hand sides with the first smoother that copes; collective.

    A faster smoother may be indefinite at a contrast of 1e4 and more: give one that is not as the last.

    Parameters
    ----------
    smoothers
        As of :class:`LinearSolver`, in the order in which they are tried.
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
    for smoother in smoothers:
        for x in solutions:
            x.set(0.0)
        solver = LinearSolver(matrix, smoother=smoother, **options)
        try:
            solver.solve_all(sides, solutions, noise=noise)
            break
        except ConvergenceError as error:
            solver.destroy()
            if smoother == smoothers[-1]:
                raise
            log.info("%s", error)
    return solver
