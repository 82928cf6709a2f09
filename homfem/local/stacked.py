"""Saddle points whose first field has components that do not meet: one matrix for all of them, all loads at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from petsc4py import PETSc

from homfem.local.reduced import Reduced
from homfem.parameters import ConvergenceError, InputError
from homfem.solve import Block, Componentwise, Factors, StackedSolver, entries, work_of_factors

if TYPE_CHECKING:
    from homfem.local.posed import Posed

#: Operations of factors for each entry of the matrix, beyond which iterations that are slow are as fast: MINRES takes
#: some 400 of them, which read the matrix at a two hundredth of the rate of operations on dense fronts.
WORK = 5e4
#: Entries of the largest matrix whose factors are thought of: the analysis alone takes seconds there.
LARGEST = 12_000_000


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
        self._joined: PETSc.Mat | None = None

    def solver(
        self, count: int, kernel: Sequence[PETSc.Vec], options: dict[str, Any], *, factors: bool = False
    ) -> StackedSolver:
        """Return the solver of so many loads, which may turn to factors where iterations are slow; collective."""

        def instead() -> Factors | None:
            return self._factors(kernel, options)

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
        solver = StackedSolver(
            [[block if block else None for block in row] for row in blocks],
            preconditioners, components=self.components, count=count, kernel=kernel,
            **options,
        )  # fmt: skip
        if factors:
            solver.instead = instead
        return solver

    def _factors(self, kernel: Sequence[PETSc.Vec], options: dict[str, Any]) -> Factors | None:
        """Factors of the whole matrix, if they take less than iterations that are slow; collective."""
        posed, d = self.posed, self.posed.cell.dimension
        if self._entries() > LARGEST or not posed.has_room():
            return None
        joined = posed.operator(self.reduced, nested=False)
        if work_of_factors(joined, d) > WORK * entries(joined):
            joined.destroy()
            return None
        rtol, name = options["rtol"], options["name"]
        try:
            factors = Factors(joined, kernel=kernel, rtol=rtol, symmetric=True, dimension=d, name=name)
        except ConvergenceError:
            joined.destroy()
            raise
        self._joined = joined
        return factors

    def _entries(self) -> int:
        """Entries of the whole matrix, which is not made for that; collective."""
        rows, columns = self.operator.getNestSize()
        pairs = [(i, j) for i in range(rows) for j in range(columns) if i or j]
        blocks = [self.operator.getNestSubMatrix(*pair) for pair in pairs]
        return self.components * entries(self.component) + sum(entries(block) for block in blocks if block)

    def destroy(self) -> None:
        """Free the operator."""
        if self._joined is not None:
            self._joined.destroy()
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
