"""What preconditions one scalar field of a saddle point, for the columns of several loads at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from petsc4py import PETSc

from homfem.parameters import Array
from homfem.solve.blocks import Block
from homfem.solve.columns import Columns
from homfem.solve.options import ESTIMATES, new_prefix, options_of, options_set

#: Steps of Chebyshev's smoother before and after: one took a fifth more iterations, three one tenth less.
STEPS = 2


class FieldSolver:
    """What preconditions one scalar field of several loads: its columns."""

    def __init__(self, field: Block, columns: Columns) -> None:
        self._columns, self._made, self._whole = columns, list[Any](), False
        matrix = field.matrix
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        self._pc, self._prefix = PETSc.PC().create(matrix.comm), new_prefix()
        self._pc.setOptionsPrefix(self._prefix)  # the levels take theirs from it
        if field.prolongations and field.preconditioner == "multigrid":
            self._levels(field)
        else:
            self._one, self._other = matrix.createVecs()
            self._set_up(matrix, options_of(field.preconditioner, False, "ssor", matrix))

    def _set_up(self, matrix: PETSc.Mat, options: dict[str, Any]) -> None:
        self._pc.setOperators(matrix)
        with options_set(self._prefix, options):
            self._pc.setFromOptions()
            self._pc.setUp()

    def _levels(self, field: Block) -> None:
        """Multigrid of all columns: Chebyshev's smoother about the diagonal, aggregation of the coarse matrix."""
        (prolongation,), count = field.prolongations, self._columns.count
        coarse = field.matrix.ptap(prolongation)
        inner = FieldSolver(Block(matrix=coarse), Columns(coarse, count))
        transfer, small = Columns(prolongation, count), Columns(coarse, count)
        operators = [one.operator() for one in (self._columns, transfer, small)]
        self._pc.setType("mg")
        self._pc.setMGLevels(2)
        self._pc.setMGInterpolation(1, operators[1])
        level = self._pc.getMGCoarseSolve()
        level.setOperators(operators[2])
        level.getPC().setType("python")
        level.getPC().setPythonContext(SimpleNamespace(apply=inner.apply))
        options = {
            "pc_mg_galerkin": "none",
            "mg_levels_ksp_type": "chebyshev",
            "mg_levels_ksp_chebyshev_esteig_steps": ESTIMATES,
            "mg_levels_ksp_max_it": STEPS,
            "mg_levels_ksp_norm_type": "none",
            "mg_levels_pc_type": "jacobi",
            "mg_coarse_ksp_type": "preonly",
            "mg_coarse_pc_type": "python",
        }
        self._set_up(operators[0], options)
        self._one, self._other = operators[0].createVecs()
        self._made = [inner, transfer, small, *operators, coarse]
        self._whole = True

    def solve(self, columns: Array) -> Array:
        """Return what the preconditioner makes of columns, shape (k, n)."""
        if self._whole:
            self._one.array[:] = columns.ravel()
            self._pc.apply(self._one, self._other)
            return self._other.array_r.reshape(columns.shape)
        result = np.empty_like(columns)
        for k, own in enumerate(columns):
            self._one.array[:] = own
            self._pc.apply(self._one, self._other)
            result[k] = self._other.array_r
        return result

    def apply(self, _: Any, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """As PETSc asks for it."""
        y.array[:] = self.solve(x.array_r.reshape(self._columns.count, -1)).ravel()

    def destroy(self) -> None:
        """Free all but the matrix and the columns."""
        for thing in (self._pc, self._one, self._other, *self._made):
            thing.destroy()
        self._made = []
