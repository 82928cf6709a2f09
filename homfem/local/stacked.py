"""Saddle points whose first field has components that do not meet: one matrix for all of them, all loads at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from petsc4py import PETSc

from homfem.local.system import Reduced
from homfem.parameters import InputError
from homfem.solve import Block, Componentwise, StackedSolver

if TYPE_CHECKING:
    from homfem.local.posed import Posed


def stackable(posed: Posed, reduced: Reduced) -> bool:
    """Whether the loads of a saddle point are solved at once: what is fixed must be the same of all components."""
    scalar = all(field.components == 1 for field in posed.problem.fields[1:])
    return posed.component is not None and reduced.alike and scalar


class Stacked:
    """What a :class:`homfem.solve.StackedSolver` is made of; collective.

    Parameters
    ----------
    posed
        The problem, assembled, with the matrix of one component.
    reduced
        Its unknowns.
    """

    def __init__(self, posed: Posed, reduced: Reduced) -> None:
        assert posed.component is not None  # or else nothing is stackable
        self.posed, self.reduced = posed, reduced
        self.components = posed.problem.fields[0].components
        self.component = reduced.component(posed.component)
        self._whole = Componentwise(self.component, self.components)
        first = self._whole.operator()
        #: The matrix: a nest of the fields.
        self.operator = reduced.matrix(posed.blocks, first=first)

    def solver(self, count: int, kernel: Sequence[PETSc.Vec], options: dict[str, Any]) -> StackedSolver:
        """Return the solver of so many loads; collective."""
        posed, reduced = self.posed, self.reduced
        fields = posed.problem.fields
        prolongations = reduced.prolongations(posed.full(component=True), component=True)
        matrices = [self.component]
        for k in range(1, len(fields)):
            matrices.append(positive(reduced.diagonal(metric_of(posed, k), k)))
        preconditioners = [
            Block(
                matrix=matrix,
                preconditioner=field.preconditioner,
                prolongations=[one for one in (prolongation,) if one is not None],
            )
            for matrix, field, prolongation in zip(matrices, fields, prolongations, strict=True)
        ]
        rows, columns = self.operator.getNestSize()
        blocks = [
            [None if i == j == 0 else self.operator.getNestSubMatrix(i, j) for j in range(columns)] for i in range(rows)
        ]
        return StackedSolver(
            [[block if block else None for block in row] for row in blocks],
            preconditioners, components=self.components, count=count, kernel=kernel, **options,
        )  # fmt: skip

    def destroy(self) -> None:
        """Free the operator."""
        self.operator.destroy()
        self._whole.destroy()


def metric_of(posed: Posed, k: int) -> PETSc.Mat:
    """Return what measures a field of a saddle point; collective.

    Raises
    ------
    InputError
        If the problem has nothing of the kind.
    """
    own = posed.whole()[0][0] if k == 0 and posed.component is not None else posed.metric[k][k]
    if own is None:
        remedy = "Give a metric: a mass matrix of that field, say."
        allowed = f"given: field {k + 1} of {posed.problem.name} has no diagonal block"
        raise InputError("metric", None, allowed, remedy)
    return own


def positive(matrix: PETSc.Mat) -> PETSc.Mat:
    """Return the matrix, or its negative if its diagonal is negative; collective."""
    diagonal = matrix.getDiagonal()
    if diagonal.max()[1] > 0.0:
        return matrix
    turned = matrix.copy()
    turned.scale(-1.0)
    return turned
