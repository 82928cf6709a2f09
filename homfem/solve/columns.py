"""One matrix on several columns at once: their product reads it once for four of them.

Columns lie one after the other in a vector, of each rank its own part of all of them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from petsc4py import PETSc

from homfem.parameters import Array


class Columns:
    """A matrix on k columns.

    Parameters
    ----------
    matrix
        It stays the caller's.
    count
        k.
    """

    def __init__(self, matrix: PETSc.Mat, count: int) -> None:
        self.matrix, self.count = matrix, count
        self._transposed: Columns | None = None
        (own, whole), self._shape = matrix.getSizes()[1], matrix.getSizes()
        self._given = PETSc.Mat().createDense(((own, whole), (None, count)), comm=matrix.comm)
        self._given.setUp()
        self._given.getDenseArray()[:] = 0.0
        self._given.assemble()
        self._found = matrix.matMult(self._given)

    def product(self, columns: Array) -> Array:
        """Return the product with columns that are rows here, shape (k, n); a view until the next one; collective."""
        self._given.getDenseArray()[:] = columns.T
        self.matrix.matMult(self._given, result=self._found)
        return np.asarray(self._found.getDenseArray(readonly=True)).T

    @property
    def transposed(self) -> Columns:
        """The transpose on as many columns; it is made when it is asked for, collective."""
        if self._transposed is None:
            self._transposed = Columns(self.matrix.transpose(PETSc.Mat()), self.count)
        return self._transposed

    def operator(self) -> PETSc.Mat:
        """Return a matrix of PETSc that is this one on vectors of k columns."""
        (own_rows, rows), (own, whole) = self._shape
        k = self.count
        # Not this object itself, whose method destroy is another one than PETSc would call.
        names = ("mult", "multTranspose", "getDiagonal", "norm")
        context = SimpleNamespace(**{name: getattr(self, name) for name in names})
        made = PETSc.Mat().createPython(
            ((k * own_rows, k * rows), (k * own, k * whole)), context, comm=self.matrix.comm
        )
        made.setUp()
        return made

    def mult(self, _: Any, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """As PETSc asks for it."""
        y.array[:] = self.product(x.array_r.reshape(self.count, -1)).ravel()

    def multTranspose(self, _: Any, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """As PETSc asks for it."""
        self.transposed.mult(_, x, y)

    def getDiagonal(self, _: Any, diagonal: PETSc.Vec) -> None:
        """As PETSc asks for it."""
        own = self.matrix.getDiagonal()
        diagonal.array.reshape(self.count, -1)[:] = own.array_r
        own.destroy()

    def norm(self, _: Any, kind: PETSc.NormType) -> float:
        """As PETSc asks for it: the largest sum of a row is that of the one matrix."""
        return float(self.matrix.norm(PETSc.NormType.INFINITY))

    def destroy(self) -> None:
        """Free all but the matrix."""
        if self._transposed is not None:
            self._transposed.matrix.destroy()
            self._transposed.destroy()
            self._transposed = None
        for thing in (self._given, self._found):
            thing.destroy()


class Componentwise(Columns):
    """A matrix on each component of a field whose components lie side by side: entry ``d n + c`` is that of node n."""

    def mult(self, _: Any, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """As PETSc asks for it."""
        y.array.reshape(-1, self.count)[:] = self.product(x.array_r.reshape(-1, self.count).T).T

    def getDiagonal(self, _: Any, diagonal: PETSc.Vec) -> None:
        """As PETSc asks for it."""
        own = self.matrix.getDiagonal()
        diagonal.array.reshape(-1, self.count)[:] = own.array_r[:, None]
        own.destroy()


def repeated(matrix: PETSc.Mat, count: int) -> PETSc.Mat:
    """Return the sparse matrix that a :class:`Componentwise` is; collective."""
    rows, columns, values = matrix.getValuesCSR()
    lengths = np.repeat(np.diff(rows), count)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    # Row d n + c holds the entries of row n, shifted by c.
    place = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths) + np.repeat(np.repeat(rows[:-1], count), lengths)
    shift = np.repeat(np.tile(np.arange(count), len(rows) - 1), lengths)
    sizes = tuple((count * own, count * whole) for own, whole in matrix.getSizes())
    csr = (starts.astype(PETSc.IntType), (columns[place] * count + shift).astype(PETSc.IntType), values[place])
    made = PETSc.Mat().createAIJ(sizes, csr=csr, comm=matrix.comm)
    made.assemble()
    return made


def component(matrix: PETSc.Mat, count: int, c: int, *, columns: bool) -> PETSc.Mat:
    """Return the columns (or the rows) of a matrix that belong to one of the components side by side; collective."""
    sets = []
    for side, ((own, _), first) in enumerate(
        zip(matrix.getSizes(), (matrix.owner_range[0], matrix.getOwnershipRangeColumn()[0]), strict=True)
    ):
        split = columns == bool(side)
        size, start, step = (own // count, first + c, count) if split else (own, first, 1)
        sets.append(PETSc.IS().createStride(size, start, step, comm=matrix.comm))
    found = matrix.createSubMatrix(*sets)
    for one in sets:
        one.destroy()
    return found
