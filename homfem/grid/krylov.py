r"""Iterations for the equations of flow and dispersion on a grid: minimal residuals, symmetric and general.

Source: Paige, Saunders 1975, doi 10.1137/0712047 (MINRES, as in Elman, Silvester, Wathen 2014, algorithm 4.1);
Saad, Schultz 1986, doi 10.1137/0907058 (GMRES, SciPy's).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from homfem.parameters import Array, ConvergenceError

#: Iterations after which GMRES starts anew.
RESTART = 30
#: Largest reduction by GMRES at once: the preconditioner is rounded to single precision.
STEP = 1e-5
#: By how much the residual itself may exceed the norm in which MINRES makes it small.
NORMS = 1e3

Operator = Callable[[Array], Array]


def symmetric_solution(
    operator: Operator, preconditioner: Operator, b: Array, *, rtol: float, max_iterations: int, name: str
) -> tuple[Array, int]:
    """Return the solution of a symmetric system by MINRES, and its iterations.

    Parameters
    ----------
    operator
        A symmetric operator, definite or not; b is in its range.
    preconditioner
        Symmetric and positive definite.
    b
        The right-hand side, of any shape.
    rtol
        By how much the residual is made smaller, in the norm of the preconditioner.
    max_iterations
    name
        What is solved, for errors.

    Raises
    ------
    ConvergenceError
        If ``max_iterations`` do not suffice.
    """
    x, v = np.zeros_like(b), b.copy()
    if not b.any():
        return x, 0
    z = preconditioner(v)
    gamma = eta = start = math.sqrt(float(np.vdot(v, z)))
    before, w, w_before = np.zeros_like(b), np.zeros_like(b), np.zeros_like(b)
    last, (s0, s1), (c0, c1) = 1.0, (0.0, 0.0), (1.0, 1.0)
    iterations = 0
    while abs(eta) > rtol * start and iterations < max_iterations:
        iterations += 1
        z /= gamma
        following = operator(z)
        delta = float(np.vdot(following, z))
        following -= (delta / gamma) * v
        before *= gamma / last
        following -= before
        image = preconditioner(following)
        norm = math.sqrt(max(float(np.vdot(image, following)), 0.0))
        a0, a2, a3 = c1 * delta - c0 * s1 * gamma, s1 * delta + c0 * c1 * gamma, s0 * gamma
        a1 = math.hypot(a0, norm)
        w_before *= -a3
        w_before += z
        w_before -= a2 * w
        w_before /= a1
        w, w_before = w_before, w
        c0, c1, s0, s1 = c1, a0 / a1, s1, norm / a1
        x += (c1 * eta) * w
        eta *= -s1
        before, v, z, last, gamma = v, following, image, gamma, norm
    left = float(np.linalg.norm((b - operator(x)).ravel()) / np.linalg.norm(b.ravel()))
    if abs(eta) > rtol * start or left > NORMS * rtol:
        raise ConvergenceError(
            f"{name}: a relative residual of {left:.1e} after {iterations} iterations, {rtol:.1e} was wanted; "
            "allow more max_iterations, or a larger rtol"
        )
    return x, iterations


def general_solution(
    operator: Operator, preconditioner: Operator, b: Array, *, rtol: float, max_iterations: int, name: str
) -> tuple[Array, int]:
    """Return the solution of a general system by restarted GMRES, and its iterations; parameters as above.

    ``rtol`` is that of the residual itself.

    Raises
    ------
    ConvergenceError
        If ``max_iterations`` do not suffice.
    """
    shape, count = b.shape, [0]

    def flat(function: Operator) -> LinearOperator:
        def apply(x: Array) -> Array:
            return function(x.reshape(shape)).ravel()

        return LinearOperator((b.size, b.size), matvec=apply, dtype=np.float64)

    def counted(_: float) -> None:
        count[0] += 1

    x, r = np.zeros_like(b), b
    size = left = float(np.linalg.norm(b.ravel()))
    while left > rtol * size and count[0] < max_iterations:
        before = left
        step, _ = gmres(
            flat(operator), r.ravel(), M=flat(preconditioner), rtol=max(STEP, 0.5 * rtol * size / left), atol=0.0,
            restart=RESTART, maxiter=-(-(max_iterations - count[0]) // RESTART), callback=counted,
            callback_type="pr_norm",
        )  # fmt: skip
        x = x + step.reshape(shape)
        r = b - operator(x)
        left = float(np.linalg.norm(r.ravel()))
        if not left < 0.5 * before:
            break
    if not left <= 10.0 * rtol * size:
        raise ConvergenceError(
            f"{name}: a relative residual of {left / size:.1e} after {count[0]} iterations, {rtol:.1e} was wanted; "
            "allow more max_iterations, a larger rtol, or a finer grid (refine)"
        )
    return x, count[0]
