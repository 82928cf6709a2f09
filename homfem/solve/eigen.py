r"""Eigenvalues of a pencil :math:`Ax=\lambda Mx` by inverse iteration in Krylov spaces, and their number below a value.

With a shift s for which :math:`A+sM` is regular, :math:`x\mapsto(A+sM)^{-1}Mx` has the eigenvalues
:math:`1/(\lambda+s)`: those next to :math:`-s` are its largest, which Krylov and Schur's method finds first. Each
product is a checked solve of :class:`homfem.solve.LinearSolver`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from petsc4py import PETSc

from homfem.parameters import ConvergenceError, check_integer
from homfem.solve.linear import LinearSolver
from homfem.solve.options import PRECONDITIONERS, new_prefix, options_set

log = logging.getLogger("homfem")

#: Relative residual of the eigenvalues of the inverse, restarts of the Krylov space, and directions that it keeps.
RTOL, RESTARTS, DIRECTIONS = 1e-11, 200, 24
#: Largest residual :math:`\|Ax-\lambda Mx\|` relative to :math:`|\lambda+s|\,\|Mx\|` of a first eigenvalue.
RESIDUAL = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Eigenpairs:
    r"""Eigenvalues next to the negative of the shift, and their vectors.

    Parameters
    ----------
    values : array of complex, shape (n,)
        In the order of :math:`|\lambda+s|`.
    vectors
        The real parts of the vectors; the caller's to destroy.
    residual
        Of the first, relative: see :data:`RESIDUAL`.
    solves
        Number of linear solves.
    """

    values: npt.NDArray[np.complex128]
    vectors: Sequence[PETSc.Vec]
    residual: float
    solves: int


class _Inverse:
    """The product with the inverse of the shifted matrix times the mass, for a matrix of PETSc in Python."""

    def __init__(self, solver: LinearSolver, mass: PETSc.Mat) -> None:
        self.solver, self.mass, self.solves = solver, mass, 0
        self.right, self.found = mass.createVecLeft(), mass.createVecRight()

    def mult(self, _: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """``y = (A + s M)^-1 M x``."""
        self.mass.mult(x, self.right)
        if self.right.norm() > 0.0:
            self.solver.solve(self.right, self.found)
        else:
            self.found.set(0.0)
        self.found.copy(y)
        self.solves += 1

    def free(self) -> None:
        """Free the vectors."""
        self.right.destroy()
        self.found.destroy()


def nearest_eigenpairs(
    matrix: PETSc.Mat,
    mass: PETSc.Mat,
    solver: LinearSolver,
    *,
    shift: float = 0.0,
    count: int = 1,
    name: str = "eigenvalue problem",
) -> Eigenpairs:
    r"""Return the eigenvalues that are nearest to :math:`-s`; collective.

    Parameters
    ----------
    matrix, mass
        A and M.
    solver
        Of :math:`A+sM`.
    shift
        s.
    count
        How many, at least one; of a smaller system all.
    name
        For messages.

    Raises
    ------
    ConvergenceError
        If they were not found, a linear solve did not converge, or the residual of the first is not small.
    """
    from slepc4py import SLEPc  # nothing else needs it

    rows, columns = matrix.getSizes()
    count = min(check_integer("count", count, at_least=1), int(rows[1]))
    inverse = _Inverse(solver, mass)
    shell = PETSc.Mat().createPython((rows, columns), inverse, comm=matrix.comm)
    shell.setUp()
    eps = SLEPc.EPS().create(matrix.comm)
    eps.setOperators(shell)
    eps.setProblemType(SLEPc.EPS.ProblemType.NHEP)
    eps.setType(SLEPc.EPS.Type.KRYLOVSCHUR)
    eps.setWhichEigenpairs(SLEPc.EPS.Which.LARGEST_MAGNITUDE)
    eps.setDimensions(count, min(int(rows[1]), count + DIRECTIONS))
    eps.setTolerances(RTOL, RESTARTS)
    start = _start(matrix)
    eps.setInitialSpace([start])
    try:
        eps.solve()
        if eps.getConverged() < count:
            raise ConvergenceError(
                f"{name}: {eps.getConverged()} of {count} eigenvalues after {eps.getIterationNumber()} restarts "
                f"(SLEPc reason {eps.getConvergedReason()}). Check that every active phase is connected."
            )
        values, vectors = [], []
        for k in range(count):
            real, imaginary = matrix.createVecRight(), matrix.createVecRight()
            values.append(1.0 / complex(eps.getEigenpair(k, real, imaginary)) - shift)
            imaginary.destroy()
            vectors.append(real)
        # Once more through the inverse: what is left of the residual is smooth then.
        inverse.mult(shell, vectors[0], start)
        start.copy(vectors[0])
        vectors[0].normalize()
        residual = _residual(matrix, mass, vectors[0], values[0].real, shift)
    finally:
        eps.destroy()
        shell.destroy()
        start.destroy()
        inverse.free()
    if not residual <= RESIDUAL:
        real = abs(values[0].imag) < 0.1 * residual * abs(values[0] + shift)
        told = "" if real else f"the first eigenvalue {values[0]:.6g} is not real: "
        raise ConvergenceError(
            f"{name}: {told}a relative residual of {residual:.1e} is left, {RESIDUAL:.0e} is allowed. "
            "Make the mesh finer (cell.resolution)."
        )
    return Eigenpairs(values=np.array(values), vectors=vectors, residual=residual, solves=inverse.solves)


def _start(matrix: PETSc.Mat) -> PETSc.Vec:
    """A positive vector that has a part of every eigenvector, as good as surely."""
    start = matrix.createVecRight()
    start.array[:] = 1.0 + np.random.default_rng((17, matrix.comm.rank)).uniform(-0.5, 0.5, start.local_size)
    return start


def _residual(matrix: PETSc.Mat, mass: PETSc.Mat, x: PETSc.Vec, value: float, shift: float) -> float:
    image, other = matrix.createVecLeft(), matrix.createVecLeft()
    matrix.mult(x, image)
    mass.mult(x, other)
    image.axpy(-value, other)
    size = abs(value + shift) * other.norm()
    residual = image.norm() / size if size > 0.0 else np.inf
    image.destroy()
    other.destroy()
    return float(residual)


def negative_eigenvalues(matrix: PETSc.Mat, name: str = "matrix") -> int:
    """Return how many eigenvalues of a symmetric matrix are negative, by Sylvester's law of inertia; collective.

    The factors are those of a matrix that differs by round-off.

    Raises
    ------
    ConvergenceError
        If the matrix cannot be factored, or an eigenvalue is zero to round-off.
    """
    ksp = PETSc.KSP().create(matrix.comm)
    prefix = new_prefix()
    ksp.setOptionsPrefix(prefix)
    matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    ksp.setOperators(matrix)
    # One root on all ranks would hide its part of the inertia.
    options: dict[str, Any] = PRECONDITIONERS["direct"] | {"ksp_type": "preonly", "mat_mumps_icntl_13": 1}
    try:
        with options_set(prefix, options):
            ksp.setFromOptions()
            ksp.setUp()
        negative, zero, _ = ksp.getPC().getFactorMatrix().getInertia()
    except PETSc.Error as error:
        raise ConvergenceError(f"{name}: its factors cannot be made") from error
    finally:
        ksp.destroy()
    if zero:
        raise ConvergenceError(f"{name}: {zero} eigenvalues are zero to round-off")
    return int(negative)
