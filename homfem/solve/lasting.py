"""Iterations that end by the true residual, or as soon as there is no hope."""

from __future__ import annotations

import math
from collections.abc import Callable

from petsc4py import PETSc

#: Iterations over which the fall of the residual is looked at; plateaus of 60 iterations come to an end by themselves.
WINDOW = 150
_REASONS = PETSc.KSP.ConvergedReason


def iterate(
    ksp: PETSc.KSP,
    b: PETSc.Vec,
    x: PETSc.Vec,
    *,
    residual: Callable[[PETSc.Vec], float],
    wanted: float,
    most: int,
    early: bool = True,
) -> tuple[int, int]:
    """Solve from a zero start by a method that watches the preconditioned residual; collective.

    Parameters
    ----------
    ksp
        The method, set up; its test of convergence is replaced.
    b, x
        Right-hand side and solution.
    residual
        Returns the size of the true residual of a solution. It is asked where the preconditioned one may be small
        enough.
    wanted
        What the true residual shall be at the most.
    most
        Iterations.
    early
        Whether to end before them where the residual falls so slowly that they would not do.

    Returns
    -------
    tuple
        The iterations, and PETSc's reason of the end: what is not positive is a failure.
    """
    x.set(0.0)
    start, known = residual(x), list[float]()
    if start <= wanted:
        return 0, int(_REASONS.CONVERGED_ATOL)
    goal = wanted / start

    def test(ksp: PETSc.KSP, count: int, size: float) -> int:
        nonlocal goal
        known.append(size)
        if size <= goal * known[0]:
            there = residual(ksp.getSolution())
            if there <= wanted:
                return int(_REASONS.CONVERGED_ATOL)
            if size == 0.0:
                return int(_REASONS.DIVERGED_BREAKDOWN)
            goal = size / known[0] * max(0.5 * wanted / there, 1e-3)
        if not math.isfinite(size):
            return int(_REASONS.DIVERGED_NANORINF)
        if count >= most or goal < 1e-15 or (early and _hopeless(known, goal * known[0], most)):
            return int(_REASONS.DIVERGED_MAX_IT)
        return int(_REASONS.CONVERGED_ITERATING)

    ksp.setConvergenceTest(test)
    ksp.setTolerances(max_it=most)
    ksp.solve(b, x)
    return int(ksp.getIterationNumber()), int(ksp.getConvergedReason())


def _hopeless(known: list[float], goal: float, most: int) -> bool:
    """Whether the iterations that are left do not do at the rate of the last ones."""
    count = len(known) - 1
    if count < WINDOW:
        return False
    rate = math.log(known[-1 - WINDOW] / known[-1]) / WINDOW
    return rate * (most - count) < math.log(known[-1] / goal)
