"""Factors of a matrix that serve many right-hand sides at once, and those of its transpose."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from mpi4py import MPI
from petsc4py import PETSc

from homfem.parameters import Array, ConvergenceError
from homfem.solve.options import new_prefix, options_of, options_set

#: Steps of refinement.
REFINEMENTS = 4
#: Largest relative residual that rounding excuses.
EXCUSED = 1e-6
#: Number of the control of MUMPS that says which of the matrix and its transpose is solved with.
TRANSPOSED = 9


class Factors:
    r"""The factors of a square matrix (MUMPS); vectors are the columns of arrays, of the owned rows; collective.

    Parameters
    ----------
    matrix
        Square; it stays the caller's.
    kernel
        Orthonormal vectors that span its kernel and that of its transpose.
    rtol
        A solution has :math:`\|b-Ax\|_2\le\mathrm{rtol}\,\|b\|_2`, or as little as rounding allows, as of
        :class:`homfem.solve.LinearSolver`.
    symmetric
        Whether the matrix is.
    dimension
        Of the mesh: how the unknowns are ordered.
    name
        For messages.

    Raises
    ------
    ConvergenceError
        If the matrix has no factors, and of a solution whose residual does not fall that far.
    """

    def __init__(
        self,
        matrix: PETSc.Mat,
        *,
        kernel: Sequence[PETSc.Vec] = (),
        rtol: float = 1e-10,
        symmetric: bool = False,
        dimension: int = 3,
        name: str = "linear system",
    ) -> None:
        self.matrix, self.name, self.rtol, self._symmetric = matrix, name, rtol, symmetric
        self._comm = matrix.comm.tompi4py()
        self._kernel = np.array([vector.array_r for vector in kernel]).reshape(len(kernel), matrix.getLocalSize()[0]).T
        self._size = matrix.norm(PETSc.NormType.INFINITY)
        # As in LinearSolver: pivots are compared with absolute numbers.
        self._scale = 1.0 if 1e-6 < self._size < 1e6 or not self._size else 2.0 ** -round(math.log2(self._size))
        self._scaled = matrix
        if self._scale != 1.0:
            self._scaled = matrix.copy()
            self._scaled.scale(self._scale)
        self._scaled.setOption(PETSc.Mat.Option.SYMMETRIC, symmetric)
        self.solves = 0
        self._pc = PETSc.PC().create(matrix.comm)
        self._pc.setOperators(self._scaled)
        prefix = new_prefix()
        self._pc.setOptionsPrefix(prefix)
        options = options_of("direct", False, "", matrix, dimension=dimension) | {
            "pc_type": "cholesky" if symmetric else "lu"
        }
        try:
            with options_set(prefix, options):
                self._pc.setFromOptions()
                self._pc.setUp()
        except PETSc.Error as error:
            self.destroy()
            words = " ".join(str(error).split())[-120:]
            raise ConvergenceError(f"{name}: the matrix has no factors (...{words}).") from error
        self._factor = self._pc.getFactorMatrix()

    def solve(self, sides: Array, *, transposed: bool = False) -> Array:
        """Return the solutions of right-hand sides, shape (n, k); without what they have of the kernel; collective."""
        transposed = transposed and not self._symmetric
        sides = self._without_kernel(np.asarray(sides))
        sizes = self._norms(sides)
        if not np.all(np.isfinite(sizes)):
            raise ConvergenceError(f"{self.name}: the right-hand side is not finite.")
        x, rest = np.zeros_like(sides), sides
        worst = np.zeros_like(sizes)
        for _ in range(REFINEMENTS):
            x = self._without_kernel(x + self._applied(rest, transposed))
            rest = self._without_kernel(sides - multiply(self.matrix, x, transposed=transposed))
            floor = np.finfo(np.float64).eps * (self._size * self._norms(x) + sizes)
            wanted = np.maximum(self.rtol * sizes, np.minimum(floor, EXCUSED * sizes))
            worst = self._norms(rest)
            if np.all(worst <= wanted):
                self.solves += sides.shape[1]
                return x
        raise ConvergenceError(f"{self.name}: factors left a residual of {np.nanmax(worst / sizes):.1e}, relative.")

    def _applied(self, sides: Array, transposed: bool) -> Array:
        given, found = (_dense(self.matrix, array) for array in (self._scale * sides, np.zeros_like(sides)))
        self._factor.setMumpsIcntl(TRANSPOSED, 2 if transposed else 1)
        self._factor.matSolve(given, found)
        result = np.array(found.getDenseArray(readonly=True))
        given.destroy()
        found.destroy()
        return result

    def _norms(self, columns: Array) -> Array:
        return np.sqrt(summed(self._comm, np.einsum("nk,nk->k", columns, columns)))

    def _without_kernel(self, columns: Array) -> Array:
        if not self._kernel.shape[1]:
            return columns
        return np.asarray(columns - self._kernel @ summed(self._comm, self._kernel.T @ columns))

    def destroy(self) -> None:
        """Free the factors."""
        self._pc.destroy()
        if self._scaled is not self.matrix:
            self._scaled.destroy()


def work_of_factors(matrix: PETSc.Mat, dimension: int) -> float:
    """Return the operations that factors of a symmetric matrix would take: the analysis alone is made; collective.

    Infinite where the analysis fails.
    """
    pc, prefix = PETSc.PC().create(matrix.comm), new_prefix()
    matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    # One megabyte is too little for any factors: MUMPS ends before it begins with them.
    options = options_of("direct", False, "", matrix, dimension=dimension) | {"mat_mumps_icntl_23": 1}
    try:
        pc.setOperators(matrix)
        pc.setOptionsPrefix(prefix)
        with options_set(prefix, options):
            pc.setFromOptions()
            pc.setUp()
        found = float(pc.getFactorMatrix().getMumpsRinfog(1))
    except PETSc.Error:
        return math.inf
    finally:
        pc.destroy()
    return found if found > 0.0 else math.inf


def summed(comm: MPI.Comm, part: npt.ArrayLike) -> Array:
    """Return the sum of an array over all ranks; collective."""
    own = np.array(part, dtype=np.float64, order="C")
    if comm.size > 1:
        comm.Allreduce(MPI.IN_PLACE, own)
    return own


def multiply(matrix: PETSc.Mat, columns: Array, *, transposed: bool = False) -> Array:
    """Return the product of a square matrix, or of its transpose, with the columns of an array; collective."""
    if transposed:
        x, y = matrix.createVecs()
        result = np.empty_like(columns)
        for k in range(columns.shape[1]):
            x.array[:] = columns[:, k]
            matrix.multTranspose(x, y)
            result[:, k] = y.array_r
        x.destroy()
        y.destroy()
        return result
    given = _dense(matrix, columns)
    product = matrix.matMult(given)
    found = np.array(product.getDenseArray(readonly=True))
    given.destroy()
    product.destroy()
    return found


def _dense(matrix: PETSc.Mat, columns: Array) -> PETSc.Mat:
    """The columns as a matrix of PETSc; it holds a copy."""
    local, whole = matrix.getSizes()[0]
    made = PETSc.Mat().createDense(((local, whole), (None, columns.shape[1])), comm=matrix.comm)
    made.setUp()
    made.getDenseArray()[:] = columns
    made.assemble()
    return made
