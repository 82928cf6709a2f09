r"""Several right-hand sides of one saddle point at once, whose first field has components that do not meet.

A velocity :math:`u` of d components with one matrix A for each of them, and further fields p (a pressure, potentials):

.. math:: \begin{pmatrix}I_d\otimes A&B^T\\B&-C\end{pmatrix}\begin{pmatrix}u\\p\end{pmatrix} ,\qquad
          P=\begin{pmatrix}I_d\otimes\tilde A&B^T\\0&-\tilde M\end{pmatrix} .

All loads stand side by side as one system: GMRES on it, preconditioned from the right by P with multigrid
:math:`\tilde A` of the one matrix A and :math:`\tilde M` of what measures the further fields, which is spectrally
equivalent to the Schur complement. A triangular P takes half the iterations of a diagonal one, and products with many
columns read each matrix once for four of them: with three loads in space both together took a quarter of the time of
MINRES with a diagonal P, load by load.

GMRES that is restarted forgets. Where a few eigenvalues are small (the Schur complement has some of the order
:math:`w^2` in pipes of width w and length 1, and of any size where mesh cells are nearly folded) it begins with them
again each time, and may get nowhere. The short recurrence of MINRES finds them once: with the diagonal of P it goes on,
with all loads, from what there is.

Source: Elman, Silvester, Wathen 2014, Finite Elements and Fast Iterative Solvers, chapter 4 (triangular
preconditioners); Paige, Saunders 1975, doi 10.1137/0712047 (MINRES).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from petsc4py import PETSc

from homfem.parameters import Array, ConvergenceError, check_integer, check_number
from homfem.solve.blocks import Block
from homfem.solve.columns import Columns, component
from homfem.solve.factors import EXCUSED, Factors, summed
from homfem.solve.field_solver import FieldSolver
from homfem.solve.lasting import iterate
from homfem.solve.options import new_prefix, options_set, stopped

log = logging.getLogger("homfem")

#: Directions that GMRES keeps: with 100 it took 68 iterations for 73, and three times the memory.
RESTART = 30
#: What these leave of the residual at the most, or else MINRES goes on. It takes twice as many iterations as GMRES
#: without restarts, each little cheaper; with them GMRES took 761 in a pipe of width .03 (.34 of the residual each
#: time), MINRES 635 at two thirds of the cost, and in a pipe of width .1 158 (.03) and 235, as much time.
SLOW = 0.1


class StackedSolver:
    """A saddle point that is set up once and solved for a number of right-hand sides at once; collective.

    Parameters
    ----------
    blocks
        The matrices of each pair of fields, None where they do not meet; that of the first field with itself is left
        out. Vectors hold the fields one after the other, the components of the first side by side.
    fields
        What preconditions each field, as in :class:`homfem.solve.BlockSolver`; the matrix of the first is A.
    components
        d.
    count
        The number of right-hand sides.
    rtol, max_iterations, name
        As in :class:`homfem.solve.BlockSolver`: of each right-hand side the true residual falls to rtol, or as little
        as rounding allows (:class:`homfem.solve.Factors`).
    kernel
        Orthonormal vectors that span that of the matrix.

    Attributes
    ----------
    instead
        Returns the factors of the whole matrix, or None where they would take too long; it is asked where GMRES is
        slow, before MINRES goes on, and the factors are freed with the solver. None until it is set.
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[PETSc.Mat | None]],
        fields: Sequence[Block],
        *,
        components: int,
        count: int,
        rtol: float = 1e-10,
        max_iterations: int = 500,
        kernel: Sequence[PETSc.Vec] = (),
        name: str = "block system",
    ) -> None:
        check_number("rtol", rtol, at_least=0.0, below=1.0)
        check_integer("max_iterations", max_iterations, at_least=1)
        start = time.perf_counter()
        self.name, self.iterations, self.solves = name, 0, 0
        self._d, self._count, self._rtol, self._max_iterations = components, count, rtol, max_iterations
        self._comm = fields[0].matrix.comm
        sizes = [field.matrix.getLocalSize()[0] for field in fields]
        self._sizes = [sizes[0]] * components + sizes[1:]
        self._starts = np.concatenate([[0], count * np.cumsum(self._sizes)])
        self._first = Columns(fields[0].matrix, components * count)
        self._size = _size(blocks, fields[0].matrix)
        self._made: list[PETSc.Mat] = []
        self._above = {(s, t): one for s, t, one in self._split(blocks) if s < components <= t}
        self._below = {(s, t): one for s, t, one in self._split(blocks) if s >= components}
        self._kernel = [self._parts(vector.array_r) for vector in kernel]
        self._parts_of = [FieldSolver(fields[0], self._first)]
        self._parts_of += [FieldSolver(field, Columns(field.matrix, count)) for field in fields[1:]]
        size = count * sum(self._sizes)
        self._matrix = PETSc.Mat().createPython(
            ((size, None), (size, None)), SimpleNamespace(mult=self._mult), comm=self._comm
        )
        self._matrix.setUp()
        self.ksp = PETSc.KSP().create(self._comm)
        self.ksp.setOperators(self._matrix)
        self.ksp.setType("gmres")
        prefix = new_prefix()
        self.ksp.setOptionsPrefix(prefix)
        with options_set(prefix, {"ksp_gmres_restart": RESTART, "ksp_pc_side": "right"}):
            self.ksp.setFromOptions()
        pc = self.ksp.getPC()
        pc.setType("python")
        pc.setPythonContext(SimpleNamespace(apply=self._apply))
        self._minres: PETSc.KSP | None = None
        self.instead: Callable[[], Factors | None] | None = None
        self._factors: Factors | None = None
        self._lasting = "minres"
        self.setup_seconds = time.perf_counter() - start

    def _split(self, blocks: Sequence[Sequence[PETSc.Mat | None]]) -> list[tuple[int, int, Columns]]:
        """The matrices of pairs of scalar fields, the components apart."""
        d, result = self._d, list[tuple[int, int, Columns]]()
        for i, row in enumerate(blocks):
            for j, block in enumerate(row):
                if block is None or i == j == 0:
                    continue
                if i and j:
                    result.append((d + i - 1, d + j - 1, Columns(block, self._count)))
                    continue
                for c in range(d):
                    own = component(block, d, c, columns=j == 0)
                    self._made.append(own)
                    place = (c, d + j - 1) if i == 0 else (d + i - 1, c)
                    result.append((*place, Columns(own, self._count)))
        return result

    def _parts(self, array: Array) -> list[Array]:
        """The scalar fields of a vector of one load."""
        n, d = self._sizes[0], self._d
        ends = np.cumsum([d * n, *self._sizes[d:]])
        first, *others = np.split(np.asarray(array), ends[:-1])
        return [*first.reshape(n, d).T, *others]

    def _fields(self, array: Array) -> list[Array]:
        """The scalar fields of a vector of all loads, shape (count, n) each: views."""
        return [
            array[start : start + self._count * n].reshape(self._count, n)
            for start, n in zip(self._starts[:-1], self._sizes, strict=True)
        ]

    def _mult(self, _: Any, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """Multiply with the matrix, as PETSc asks for it."""
        given, array = self._fields(x.array_r), y.array
        found, end = self._fields(array), self._starts[self._d]
        array[:end] = self._first.product(x.array_r[:end].reshape(self._first.count, -1)).ravel()
        array[end:] = 0.0
        for (s, t), block in (*self._above.items(), *self._below.items()):
            found[s] += block.product(given[t])

    def _apply(self, _: Any, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """Precondition, as PETSc asks for it."""
        given, array, end = self._fields(x.array_r), y.array, self._starts[self._d]
        found = self._fields(array)
        for k, part in enumerate(self._parts_of[1:], start=self._d):
            found[k][:] = -part.solve(given[k])
        rest = np.array(x.array_r[:end])
        fields = rest.reshape(self._d, self._count, -1)
        for (s, t), block in self._above.items():
            fields[s] -= block.product(found[t])
        array[:end] = self._parts_of[0].solve(rest.reshape(self._first.count, -1)).ravel()
        self._remove(found)

    def _apply_apart(self, _: Any, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """Precondition each field alone, which is symmetric, as PETSc asks for it."""
        given, array, end = self._fields(x.array_r), y.array, self._starts[self._d]
        found = self._fields(array)
        for k, part in enumerate(self._parts_of[1:], start=self._d):
            found[k][:] = part.solve(given[k])
        array[:end] = self._parts_of[0].solve(x.array_r[:end].reshape(self._first.count, -1)).ravel()
        self._remove(found)

    def _remove(self, fields: Sequence[Array]) -> None:
        """Take the kernel out of all loads; collective."""
        for vector in self._kernel:
            part = sum(field @ own for field, own in zip(fields, vector, strict=True))
            weights = summed(self._comm.tompi4py(), part)
            for field, own in zip(fields, vector, strict=True):
                field -= weights[:, None] * own

    def solve_all(self, sides: Sequence[PETSc.Vec], solutions: Sequence[PETSc.Vec]) -> int:
        """Solve for as many right-hand sides as it is made for from a zero start; collective.

        The sides lose their component in the kernel in place. Solutions are what was found, also where it fails.

        Returns
        -------
        int
            Number of iterations, which all loads share.

        Raises
        ------
        ConvergenceError
            On every rank, if the tolerance was not reached.
        """
        b, x = self._matrix.createVecLeft(), self._matrix.createVecRight()
        for j, side in enumerate(sides):
            for target, own in zip(self._fields(b.array), self._parts(side.array_r), strict=True):
                target[j] = own
        self._remove(self._fields(b.array))
        sizes = self._norms(b)
        for target in self._fields(b.array):  # all of one size, so that the residual of each is as small
            target /= np.where(sizes > 0.0, sizes, 1.0)[:, None]
        try:
            used = self._iterate(b, x)
        finally:
            for j, (side, solution) in enumerate(zip(sides, solutions, strict=True)):
                for source, vector in ((b, side), (x, solution)):
                    vector.array[:] = self._joined([sizes[j] * field[j] for field in self._fields(source.array_r)])
            for thing in (b, x):
                thing.destroy()
        self.solves += len(sides)
        return used

    def _joined(self, parts: Sequence[Array]) -> Array:
        return np.concatenate([np.stack(parts[: self._d], axis=1).ravel(), *parts[self._d :]])

    def _norms(self, vector: PETSc.Vec) -> Array:
        own = sum(np.einsum("kn,kn->k", field, field) for field in self._fields(vector.array_r))
        return np.sqrt(summed(self._comm.tompi4py(), own))

    def _iterate(self, b: PETSc.Vec, x: PETSc.Vec) -> int:
        """Solve for the rest, and for what is left of it: GMRES while that is quick, then what lasts."""
        rest, more, used, quick, reason = b.copy(), b.duplicate(), 0, True, 0
        x.set(0.0)
        residual = self._residual(b, x, rest)
        going = math.isfinite(residual)
        while going and residual > self._rtol:
            before = residual
            count, reason = self._cycle(rest, more, self._max_iterations - used) if quick else self._long(rest, more)
            used += count
            self.iterations += count
            if not math.isfinite(more.norm()):  # a breakdown
                more.set(0.0)
            x.axpy(1.0, more)
            self._remove(self._fields(x.array))
            residual = self._residual(b, x, rest)
            if not residual <= before:  # worse than nothing
                x.axpy(-1.0, more)
                residual = self._residual(b, x, rest)
            if quick:
                going = used < self._max_iterations
                quick = not going or residual < SLOW * before or residual * residual < self._rtol * before
            else:  # what lasts does not get below round-off, however often
                going = reason > 0 and residual < 0.5 * before
        for vector in (rest, more):
            vector.destroy()
        if not residual <= max(self._rtol, self._round_off(x)):
            message = stopped(self.name, f"{'gmres' if quick else self._lasting} of all loads", used, reason, residual)
            raise ConvergenceError(f"{message}, relative, where {self._rtol:.3e} was asked for.")
        return used

    def _round_off(self, x: PETSc.Vec) -> float:
        """What rounding excuses of the residual, as of :class:`homfem.solve.Factors`."""
        largest = float(np.max(self._norms(x)))
        return min(float(np.finfo(np.float64).eps) * (self._size * largest + 1.0), EXCUSED)

    def _cycle(self, rest: PETSc.Vec, more: PETSc.Vec, left: int) -> tuple[int, int]:
        """GMRES until its memory is full; the iterations, and PETSc's reason of the end."""
        self.ksp.setTolerances(rtol=1e-300, atol=self._rtol, max_it=min(left, RESTART), divtol=1e30)
        self.ksp.solve(rest, more)
        return int(self.ksp.getIterationNumber()), int(self.ksp.getConvergedReason())

    def _long(self, rest: PETSc.Vec, more: PETSc.Vec) -> tuple[int, int]:
        """Factors if there are any, else MINRES; the iterations, and PETSc's reason of the end."""
        try:
            if self.instead is not None:
                instead, self.instead = self.instead, None
                self._factors = instead()
            if self._factors is not None:
                return self._by_factors(self._factors, rest, more)
        except ConvergenceError as error:
            log.info("%s", error)
            if self._factors is not None:
                self._factors.destroy()
                self._factors = None
        self._lasting = "minres"
        log.info("%s: gmres of all loads is slow, minres goes on", self.name)
        if self._minres is None:
            self._minres = PETSc.KSP().create(self._comm)
            self._minres.setOperators(self._matrix)
            self._minres.setType("minres")
            pc = self._minres.getPC()
            pc.setType("python")
            pc.setPythonContext(SimpleNamespace(apply=self._apply_apart))
        side, work, most = rest.copy(), rest.duplicate(), self._max_iterations * self._count

        def residual(x: PETSc.Vec) -> float:
            return self._residual(side, x, work)

        found = iterate(self._minres, side, more, residual=residual, wanted=self._rtol, most=most)
        for vector in (side, work):
            vector.destroy()
        return found

    def _by_factors(self, factors: Factors, rest: PETSc.Vec, more: PETSc.Vec) -> tuple[int, int]:
        """Solve by factors of the matrix of one load."""
        self._lasting = "factors"
        log.info("%s: gmres of all loads is slow, factors go on", self.name)
        given = self._fields(rest.array_r)
        sides = np.stack([self._joined([field[j] for field in given]) for j in range(self._count)], axis=1)
        found = factors.solve(sides)
        for j in range(self._count):
            for target, own in zip(self._fields(more.array), self._parts(found[:, j]), strict=True):
                target[j] = own
        return 1, 1

    def _residual(self, b: PETSc.Vec, x: PETSc.Vec, rest: PETSc.Vec) -> float:
        """Put b - Ax into ``rest``; the largest size of those of the loads."""
        self._matrix.mult(x, rest)
        rest.aypx(-1.0, b)
        return float(np.max(self._norms(rest)))

    def destroy(self) -> None:
        """Free the solver's PETSc objects (collective); the matrices stay the caller's."""
        self.ksp.destroy()
        if self._minres is not None:
            self._minres.destroy()
        if self._factors is not None:
            self._factors.destroy()
        freed: list[Any] = [self._first, *self._above.values(), *self._below.values(), *self._parts_of]
        for one in freed:
            one.destroy()
        for matrix in (*self._made, self._matrix):
            matrix.destroy()


def _size(blocks: Sequence[Sequence[PETSc.Mat | None]], first: PETSc.Mat) -> float:
    """Return a bound of the largest row sum of the magnitudes of the whole matrix; collective."""
    norms = [[0.0 if one is None else one.norm(PETSc.NormType.INFINITY) for one in row] for row in blocks]
    norms[0][0] = first.norm(PETSc.NormType.INFINITY)
    return float(max(sum(row) for row in norms))
