"""Systems of several fields, and the kernel of a matrix."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from homfem.parameters import ConvergenceError, check_choice, check_integer, check_number
from homfem.solve.lasting import iterate
from homfem.solve.linear import LinearSolver
from homfem.solve.options import (
    PRECONDITIONERS,
    Kernel,
    cheap,
    interpolate,
    new_prefix,
    null_space,
    options_of,
    options_set,
    set_near_kernel,
    stopped,
)

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Block:
    """One field of a :class:`BlockSolver`.

    Parameters
    ----------
    matrix
        Symmetric positive (semi-)definite, spectrally equivalent to what the field sees.
    preconditioner, prolongations, near_kernel
        As in :class:`LinearSolver`.
    """

    matrix: PETSc.Mat
    preconditioner: str = "multigrid"
    prolongations: Sequence[PETSc.Mat] = ()
    near_kernel: Sequence[PETSc.Vec] = ()


class BlockSolver:
    r"""A symmetric indefinite system of several fields: MINRES with one preconditioner per field.

    Parameters
    ----------
    matrix
        A nest of the blocks.
    blocks
        For each field what preconditions it.
    rtol
        The solve ends when :math:`\|b-Ax\|_2\le\mathrm{rtol}\,\|b\|_2`. Where MINRES fails a direct solver goes
        on, if the matrix is not too large for one, and then as soon as there is no hope.
    max_iterations
        Of each solver that is tried; a direct one has its own.
    kernel
        Orthonormal vectors that span the kernel of ``matrix``.
    name
        For messages.

    Source: Elman, Silvester, Wathen 2014, Finite Elements and Fast Iterative Solvers, section 4.2.
    """

    def __init__(
        self,
        matrix: PETSc.Mat,
        blocks: Sequence[Block],
        *,
        rtol: float = 1e-10,
        max_iterations: int = 500,
        kernel: Sequence[PETSc.Vec] = (),
        name: str = "block system",
    ) -> None:
        check_number("rtol", rtol, at_least=0.0, below=1.0)
        check_integer("max_iterations", max_iterations, at_least=1)
        for block in blocks:
            check_choice("preconditioner", block.preconditioner, tuple(PRECONDITIONERS))
        start = time.perf_counter()
        self.matrix, self.name, self.iterations, self.solves = matrix, name, 0, 0
        self._rtol, self._max_iterations = rtol, max_iterations
        self._null, self._kernel = null_space(matrix, Kernel(vectors=kernel)), tuple(kernel)
        self._direct: LinearSolver | None = None
        count = len(blocks)
        self._preconditioner = PETSc.Mat().createNest(
            [[blocks[i].matrix if i == j else None for j in range(count)] for i in range(count)], comm=matrix.comm
        )
        self.ksp = PETSc.KSP().create(matrix.comm)
        prefix = new_prefix()
        self.ksp.setOptionsPrefix(prefix)
        self.ksp.setOperators(matrix, self._preconditioner)
        self.ksp.setType("minres")
        pc = self.ksp.getPC()
        pc.setType("fieldsplit")
        pc.setFieldSplitType(PETSc.PC.CompositeType.ADDITIVE)
        rows = matrix.getNestISs()[0]
        pc.setFieldSplitIS(*((str(k), rows[k]) for k in range(count)))
        for block in blocks:
            block.matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
            if block.near_kernel and not (block.prolongations and block.preconditioner == "multigrid"):
                set_near_kernel(block.matrix, block.near_kernel)
        pc.setUp()
        for k, (block, part) in enumerate(zip(blocks, pc.getFieldSplitSubKSP(), strict=True)):
            inner = f"{prefix}{k}_"
            part.setOptionsPrefix(inner)
            # Here one step would cost as many more iterations as it saves.
            options = options_of(block.preconditioner, bool(block.prolongations), "ssor", block.matrix, steps=2)
            options["ksp_type"] = "preonly"
            options |= interpolate(part.getPC(), block.preconditioner, block.prolongations, block.near_kernel)
            with options_set(inner, options):
                part.setFromOptions()
                part.setUp()
        self.setup_seconds = time.perf_counter() - start

    def solve(self, b: PETSc.Vec, x: PETSc.Vec, guess: bool = False) -> int:
        """Solve for one right-hand side; collective. As :meth:`LinearSolver.solve`."""
        if self._direct is None:
            try:
                return self._iterate(b, x, guess)
            except ConvergenceError as error:
                if not cheap(self.matrix):
                    raise
                log.info("%s A direct solver goes on.", error)
            self._whole = self.matrix.convert("aij", PETSc.Mat())
            options: dict[str, Any] = {"rtol": self._rtol, "kernel": self._kernel, "name": self.name}
            self._direct = LinearSolver(self._whole, preconditioner="direct", **options)
        used = self._direct.solve(b, x)
        self.iterations += used
        self.solves += 1
        return used

    def _iterate(self, b: PETSc.Vec, x: PETSc.Vec, guess: bool) -> int:
        if self._null is not None:
            self._null.remove(b)
        wanted, rest = self._rtol * b.norm(), b.copy()
        if guess:
            self.matrix.mult(x, rest)
            rest.aypx(-1.0, b)
        if not guess or not rest.norm() < b.norm():
            x.set(0.0)
            b.copy(rest)
        more, work = b.duplicate(), b.duplicate()

        def residual(found: PETSc.Vec) -> float:
            self.matrix.mult(found, work)
            work.aypx(-1.0, rest)
            return float(work.norm())

        most = self._max_iterations
        used, reason = iterate(
            self.ksp, rest, more, residual=residual, wanted=wanted, most=most, early=cheap(self.matrix)
        )
        there = residual(more)
        x.axpy(1.0, more)
        for vector in (rest, more, work):
            vector.destroy()
        if reason <= 0 or not there <= wanted:
            raise ConvergenceError(
                f"{stopped(self.name, 'minres', used, reason, there)} where {wanted:.3e} was asked for. "
                "Mesh with less stretched elements."
            )
        if self._null is not None:
            self._null.remove(x)
        self.iterations += used
        self.solves += 1
        return used

    def destroy(self) -> None:
        """Free the solver's PETSc objects (collective); the matrices stay the caller's."""
        if self._direct is not None:
            self._direct.destroy()
            self._whole.destroy()
        self.ksp.destroy()
        self._preconditioner.destroy()
        if self._null is not None:
            self._null.destroy()


def find_kernel(matrix: PETSc.Mat, candidates: Sequence[PETSc.Vec], tolerance: float = 1e-12) -> list[PETSc.Vec]:
    r"""Return an orthonormal basis of those combinations of the candidates that the matrix takes to zero; collective.

    Parameters
    ----------
    matrix
        Symmetric.
    candidates
        Orthonormal vectors. Those that are not returned are destroyed.
    tolerance
        :math:`\|Ac\|\le\mathrm{tolerance}\,\|A\|_\infty\|c\|` counts as zero.
    """
    limit = tolerance * _size(matrix)
    kernel, images, rest = [], [], []
    for candidate in candidates:
        image = matrix.createVecLeft()
        matrix.mult(candidate, image)
        if image.norm() <= limit:
            kernel.append(candidate)
            image.destroy()
        else:
            rest.append(candidate)
            images.append(image)
    if len(rest) > 1:
        # Triangular factors and singular values: the squares of a Gram matrix would lose half of the digits.
        local = np.linalg.qr(np.column_stack([image.array_r for image in images]), mode="r")
        factors = matrix.comm.tompi4py().allgather(local)
        _, values, rows = np.linalg.svd(np.vstack(factors))
        for weights in rows[values <= limit]:
            combined = rest[0].duplicate()
            combined.maxpy(weights, rest)
            kernel.append(combined)
    for vector in (*images, *rest):
        vector.destroy()
    return kernel


def _size(matrix: PETSc.Mat) -> float:
    """The maximum norm; of a nest, which PETSc does not give, at most the sum of those of its blocks."""
    if matrix.getType() != "nest":
        return float(matrix.norm(PETSc.NormType.INFINITY))
    rows, columns = matrix.getNestSize()
    blocks = [matrix.getNestSubMatrix(i, j) for i in range(rows) for j in range(columns)]
    return float(sum(block.norm(PETSc.NormType.INFINITY) for block in blocks if block))


def product_noise(matrix: PETSc.Mat) -> Callable[[PETSc.Vec], float]:
    r"""Return the function of x that bounds the error of the absolute entries of a computed :math:`Ax`, summed.

    A row of n entries is off by :math:`n\epsilon\sum_j|a_{ij}x_j|` at the most. A is symmetric, so that the sum over
    the rows needs no more than those of its absolute entries; of a nest, at most its size is known. Collective.
    """
    eps, comm = float(np.finfo(np.float64).eps), matrix.comm.tompi4py()
    if matrix.getType() == "nest":
        factor = 2.0 * eps * np.sqrt(matrix.getSize()[0]) * _size(matrix)
        return lambda x: float(factor * x.norm(PETSc.NormType.N1))
    rows, _, values = matrix.getValuesCSR()
    entries = np.diff(rows)
    filled, sums = entries > 0, np.zeros(len(entries))
    sums[filled] = np.add.reduceat(np.abs(values), rows[:-1][filled])  # rows without entries lie between none
    longest = comm.allreduce(int(entries.max(initial=0)), op=MPI.MAX) + 2

    def noise(x: PETSc.Vec) -> float:
        return float(eps * longest * comm.allreduce(float(sums @ np.abs(x.array_r)), op=MPI.SUM))

    return noise


def round_off(matrix: PETSc.Mat, unknowns: int) -> float:
    r"""Return the norm below which :math:`Av` is round-off, for a vector ``v`` of entries of order one; collective."""
    return float(np.finfo(np.float64).eps * _size(matrix) * np.sqrt(unknowns))
