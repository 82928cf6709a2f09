r"""The kernel of a cell problem's matrix, and that of its transpose: what a load may not work on.

For a form :math:`a` that does not feel a constant k of a connected part, a field m with :math:`a(v,m)=0` for every v is
found with one of its values held at 1: the equation that this drops follows from the others, as the rows of the
transpose, weighted with k, add up to zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from petsc4py import PETSc

from homfem import solve
from homfem.local.problem import CellProblem
from homfem.local.reduced import Reduced, orthonormal
from homfem.parameters import ConvergenceError, InputError

#: Size of the image of a kernel under the transpose, relative, that is taken for round-off.
ROUND_OFF = 1e-9
#: Part of a load that may work on the left kernel: what quadrature leaves of a mean that is zero.
UNBALANCED = 1e-4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Kernels:
    """The kernel of a matrix and that of its transpose.

    Parameters
    ----------
    right, left
        Orthonormal vectors; the same ones of a symmetric matrix.
    apart
        Whether the two differ.
    """

    right: list[PETSc.Vec]
    left: list[PETSc.Vec]
    apart: bool = False

    def destroy(self) -> None:
        """Free the vectors."""
        for vector in (*self.right, *(self.left if self.apart else ())):
            vector.destroy()


def kernels_of(
    reduced: Reduced,
    matrix: PETSc.Mat,
    parts: npt.NDArray[np.int32],
    *,
    symmetric: bool,
    rotations: bool = False,
) -> Kernels:
    """Return the kernels of a matrix; collective.

    Parameters
    ----------
    reduced
        The unknowns.
    matrix
        The operator.
    parts
        The connected part of each mesh cell.
    symmetric
        Whether the matrix is.
    rotations
        Whether rigid-body motions may be in the kernel.

    Raises
    ------
    ConvergenceError
        If the left kernel was not found.
    """
    right = solve.find_kernel(matrix, reduced.candidates(parts, rotations=rotations))
    if symmetric or not right or _same(matrix, right):
        return Kernels(right=right, left=right)
    return Kernels(right=right, left=orthonormal(_densities(matrix, right)), apart=True)


def require_balance(problem: CellProblem, side: PETSc.Vec, kernels: Kernels, j: int, noise: float) -> None:
    """Refuse a load that works on the left kernel: it has no corrector; collective.

    ``noise`` is what round-off may leave of a load that does nothing.
    """
    product = side.duplicate()
    worst = 0.0
    for vector in kernels.left:
        product.pointwiseMult(side, vector)
        whole = abs(product.sum())
        product.abs()
        worst = max(worst, whole / product.sum() if whole > noise else 0.0)
    product.destroy()
    if worst > UNBALANCED:
        what = "an invariant density (homfem.local.engine.left_kernel)" if kernels.apart else "a constant"
        raise InputError(
            "linear",
            f"load {j + 1} of {problem.name}",
            f"without work on {what}: {worst:.1e} of it is not",
            "Subtract its mean under that density, as of a drift: the frame moves with it.",
        )


def _same(matrix: PETSc.Mat, kernel: Sequence[PETSc.Vec]) -> bool:
    """Whether the transpose takes the same vectors to zero; collective."""
    noise, image = ROUND_OFF * matrix.norm(PETSc.NormType.INFINITY), matrix.createVecRight()
    largest = 0.0
    for vector in kernel:
        matrix.multTranspose(vector, image)
        largest = max(largest, image.norm())
    image.destroy()
    return largest <= noise


def _densities(matrix: PETSc.Mat, kernel: Sequence[PETSc.Vec]) -> list[PETSc.Vec]:
    """Return vectors that the transpose takes to zero, one for each of the kernel; collective."""
    pins: list[int] = []
    for vector in kernel:
        pins.append(_largest(vector, pins))
    transposed = matrix.transpose(PETSc.Mat())
    size = matrix.norm(PETSc.NormType.INFINITY)
    held, side, found = transposed.copy(), transposed.createVecLeft(), [transposed.createVecRight() for _ in kernel]
    sides = []
    for pin, x in zip(pins, found, strict=True):
        if transposed.owner_range[0] <= pin < transposed.owner_range[1]:
            x[pin] = 1.0
        x.assemble()
        transposed.mult(x, side)
        side.scale(-1.0)
        for other in pins:
            if transposed.owner_range[0] <= other < transposed.owner_range[1]:
                side[other] = size if other == pin else 0.0
        side.assemble()
        sides.append(side.copy())
    held.zeroRowsColumns(pins, diag=size)
    solver = solve.LinearSolver(held, method="gmres", rtol=1e-13, name="left kernel")
    for x, right in zip(found, sides, strict=True):
        solver.solve(right, x)
        transposed.mult(x, side)
        if side.norm() > ROUND_OFF * size * x.norm():
            raise ConvergenceError(f"left kernel: a residual of {side.norm() / (size * x.norm()):.1e} is left")
    solver.destroy()
    for thing in (transposed, held, side, *sides):
        thing.destroy()
    return found


def _largest(vector: PETSc.Vec, taken: Sequence[int]) -> int:
    """Return the place of the largest absolute value that is not taken; collective."""
    absolute = vector.copy()
    absolute.abs()
    first, last = absolute.owner_range
    for place in taken:
        if first <= place < last:
            absolute[place] = -1.0
    absolute.assemble()
    place, _ = absolute.max()
    absolute.destroy()
    return int(place)
