r"""The spectral problem of a periodic cell: the slowest decay, its shape, and that of the adjoint problem.

A solute diffuses in the active phases, is carried by a flow without divergence, reacts there and on surfaces, and is
held in a volume capacity and on surfaces. What is left after a long time is the first eigenfunction of

.. math:: -\nabla\cdot(D\nabla\varphi)+v\cdot\nabla\varphi+k\varphi=\lambda\rho\varphi ,\qquad
          -n\cdot D\nabla\varphi=(k_s-\lambda K)\varphi\ \text{ on surfaces},

with n out of the fluid; the adjoint has :math:`-v` in place of v. As a pair of forms :math:`a(\varphi,w)=\lambda
m(\varphi,w)`,

.. math:: a(u,w)=\int D\nabla u\cdot\nabla w+\tfrac12(v\cdot\nabla u\,w-v\cdot\nabla w\,u)+k\,u\,w
          +\int_\Gamma k_s\,u\,w ,\qquad m(u,w)=\int\rho\,u\,w+\int_\Gamma K\,u\,w .

The convection is written skew: it does not matter then how small the divergence of a computed velocity is. The first
eigenvalue is real and simple, and it alone has a positive eigenfunction (Krein and Rutman): what is found is checked
for all three. Without a flow a is symmetric and :math:`\varphi^*=\varphi`; :math:`\lambda` is the least Rayleigh
quotient then, and that of any conforming function is an upper bound.

How it moves and spreads meanwhile: :mod:`homfem.local.bloch`.

Source: Allaire, Raphael 2007, doi 10.1016/j.crma.2007.03.008; Allaire, Brizzi, Mikelic, Piatnitski 2010,
doi 10.1016/j.ces.2009.09.010.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.clock import Clock
from homfem.local.posed import Posed
from homfem.local.problem import CellProblem, Field
from homfem.parameters import Array, ConvergenceError, InputError, PercolationError

#: An eigenfunction may be negative by so much of its largest value where the mesh does not resolve a steep layer.
NEGATIVE = 1e-2
#: A second eigenvalue as near as this to the first, relative to its distance from the shift: not simple.
SIMPLE = 1e-7
#: Relative residual of the linear solves.
SOLVES = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class SpectralProblem:
    r"""Two UFL forms whose first eigenvalue is sought, :math:`a(\varphi,w)=\lambda\,m(\varphi,w)`.

    Parameters
    ----------
    name
        For messages.
    unknown
        The field; of several components in a system.
    bilinear, mass
        ``bilinear(u, w)`` and ``mass(u, w)``: the forms a and m.
    domain
        The mesh of the forms.
    symmetric
        Whether a and m are, and a is not negative.
    shift
        s >= 0 such that :math:`a+s\,m` is regular, and positive where a is symmetric.
    along, spread
        ``along(u, w, s)`` and ``spread(u, w, s, t)``: the forms :math:`s_jc_j` and :math:`s_it_jd_{ij}` of
        :mod:`homfem.local.bloch`, for vectors s and t; where drift and spreading are asked for.
    coefficients, given, tags, formula
        As of :class:`homfem.local.problem.CellProblem`.
    """

    name: str
    unknown: Field
    bilinear: Callable[[Any, Any], ufl.Form]
    mass: Callable[[Any, Any], ufl.Form]
    domain: Any
    symmetric: bool
    shift: float = 0.0
    along: Callable[[Any, Any, Any], ufl.Form] | None = None
    spread: Callable[[Any, Any, Any, Any], ufl.Form] | None = None
    coefficients: Mapping[str, fem.Function | fem.Constant] = field(default_factory=dict)
    given: Sequence[fem.Function | fem.Constant] = ()
    tags: Sequence[Any] = ()
    formula: Hashable = None

    def cell_problem(self) -> CellProblem:
        """Return the forms as those of a cell problem without loads of its own."""
        return CellProblem(
            name=self.name,
            fields=(self.unknown,),
            loads=1,
            bilinear=self.bilinear,
            # Neither is called: there is no load.
            linear=self.mass,
            average=self.bilinear,  # type: ignore[arg-type]
            kind="definite" if self.symmetric else "general",
            metric=self.mass,
            domain=self.domain,
            coefficients=self.coefficients,
            given=self.given,
            tags=self.tags,
            formula=self.formula,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Spectrum:
    r"""The first eigenvalue of a cell, with its eigenfunctions.

    Parameters
    ----------
    value
        :math:`\lambda`, the Rayleigh quotient :math:`a(\varphi,\varphi^*)/m(\varphi,\varphi^*)`; in the units of the
        forms.
    second
        Real part of the second eigenvalue; infinite where there is none.
    function, adjoint : fem.Function
        :math:`\varphi` and :math:`\varphi^*`, with :math:`m(\varphi,\varphi^*)=m(1,1)`: the same one of a symmetric
        problem; else the mean of :math:`\varphi` over the mesh, and over its components, is 1.
    residual
        The largest relative residual of the two.
    smallest
        The least value of the two, relative to the largest one.
    dofs, iterations, seconds
        Unknowns, linear solves, wall time by stage.
    """

    value: float
    second: float
    function: fem.Function
    adjoint: fem.Function
    residual: float
    smallest: float
    dofs: int
    iterations: int
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def functions(self) -> tuple[fem.Function, ...]:
        """The eigenfunction."""
        return (self.function,)

    @property
    def average(self) -> Array:
        """The eigenvalue, of shape (1, 1)."""
        return np.array([[self.value]])

    @property
    def space(self) -> fem.FunctionSpace:
        """The space of both functions."""
        return self.function.function_space


class Pencil:
    """The matrices of a spectral problem, and what is found of them; collective.

    Parameters
    ----------
    cell
        The cell, restricted to its active phases; one whose faces match.
    problem
        The forms.

    Raises
    ------
    InputError
        For a cell whose faces do not match.
    PercolationError
        If the active phases are in several parts: each decays on its own.
    """

    def __init__(self, cell: UnitCell, problem: SpectralProblem) -> None:
        self.cell, self.problem, self.clock = cell, problem, Clock()
        if not cell.matching:
            raise InputError("cell", cell.name, "one whose opposite faces match for a spectral problem")
        require_one_part(cell)
        self.posed = Posed(cell, problem.cell_problem(), "identified", "periodic")
        self.posed.require_room(direct=False)
        self.clock.lap("constraint")
        self.posed.assemble(sides=False)
        (planes,) = self.posed.groups
        self.reduced = self.posed.unknowns[planes]
        self.matrix = self.posed.operator(self.reduced, nested=False)
        self.mass = self.reduced.matrix(self.posed.metric)
        self.shifted = self.matrix
        if problem.shift:
            self.shifted = self.matrix.copy()
            self.shifted.axpy(problem.shift, self.mass)
        self.clock.lap("assembly")

    def solver(self, matrix: PETSc.Mat, *, symmetric: bool, kernel: solve.Kernel | None = None) -> solve.LinearSolver:
        """Return a solver of a positive matrix of this pencil; collective."""
        prolongations = [p for p in self.reduced.prolongations(self.posed.full()) if p is not None]
        chosen = solve.Multigrid(
            coarse=solve.Coarse(prolongations=prolongations), direct_first=solve.DIRECT_FIRST[self.cell.dimension]
        )
        return solve.LinearSolver(
            matrix,
            method="cg" if symmetric else "gmres",
            preconditioner=chosen,
            rtol=SOLVES,
            kernel=() if kernel is None else kernel,
            name=self.problem.name,
        )

    def first(self) -> Spectrum:
        """Return the first eigenvalue and its functions, checked; collective.

        Raises
        ------
        ConvergenceError
            If it was not found, is not real or not simple, or its function is not positive.
        """
        problem, symmetric = self.problem, self.problem.symmetric
        solver = self.solver(self.shifted, symmetric=symmetric)
        self.clock.lap("preconditioner")
        options: dict[str, Any] = {"shift": problem.shift, "name": problem.name}
        pairs = solve.nearest_eigenpairs(self.matrix, self.mass, solver, count=2, **options)
        solver.destroy()
        second = pairs.values[1].real if len(pairs.values) > 1 else np.inf
        _require_simple(problem, pairs.values)
        right, left, residual, solves = pairs.vectors[0], pairs.vectors[0], pairs.residual, pairs.solves
        if not symmetric:
            left, residual, more = self._adjoint(pairs.values[0], residual, options)
            solves += more
        function, smallest = self._positive(right)
        adjoint = function
        if not symmetric:
            adjoint, other = self._positive(left)
            smallest = min(smallest, other)
        value = self._quotient(right, left)
        self._normalise(function, adjoint, right, left)
        for vector in {id(v): v for v in (*pairs.vectors, left)}.values():
            vector.destroy()
        self.clock.lap("solve")
        return Spectrum(
            value=value,
            second=float(second),
            function=function,
            adjoint=adjoint,
            residual=residual,
            smallest=smallest,
            dofs=self.reduced.dofs,
            iterations=solves,
            seconds=self.clock.seconds,
        )

    def _adjoint(self, value: complex, residual: float, options: Mapping[str, Any]) -> tuple[PETSc.Vec, float, int]:
        """The first vector of the transposed pencil, whose eigenvalue must be the same; collective."""
        matrix, mass, shifted = (one.transpose(PETSc.Mat()) for one in (self.matrix, self.mass, self.shifted))
        solver = self.solver(shifted, symmetric=False)
        pairs = solve.nearest_eigenpairs(matrix, mass, solver, **options)
        solver.destroy()
        for one in (matrix, mass, shifted):
            one.destroy()
        size = abs(value + self.problem.shift)
        if abs(pairs.values[0] - value) > 1e-6 * size:
            raise ConvergenceError(
                f"{self.problem.name}: the adjoint problem has the first eigenvalue {pairs.values[0]:.10g}, "
                f"not {value:.10g}"
            )
        return pairs.vectors[0], max(residual, pairs.residual), pairs.solves

    def _positive(self, vector: PETSc.Vec) -> tuple[fem.Function, float]:
        """The function of a vector, turned to be positive, and its least value relative to the largest; collective."""
        if vector.sum() < 0.0:
            vector.scale(-1.0)
        (function,) = self.reduced.functions(vector, "eigenfunction")
        low, high = vector.min()[1], vector.max()[1]
        smallest = low / high if high > 0.0 else -np.inf
        if not smallest >= -NEGATIVE:
            raise ConvergenceError(
                f"{self.problem.name}: the first eigenfunction is not positive, {smallest:.1e} of its largest value "
                "somewhere. Make the mesh finer (cell.resolution): it does not resolve a steep layer."
            )
        return function, float(smallest)

    def _quotient(self, right: PETSc.Vec, left: PETSc.Vec) -> float:
        image = right.duplicate()
        self.matrix.mult(right, image)
        above = image.dot(left)
        self.mass.mult(right, image)
        below = image.dot(left)
        image.destroy()
        return float(above / below)

    def _normalise(self, function: fem.Function, adjoint: fem.Function, right: PETSc.Vec, left: PETSc.Vec) -> None:
        """Scale both functions as :class:`Spectrum` says; collective."""
        image, full = right.duplicate(), self.posed.metric[0][0]
        assert full is not None  # the form of the mass
        # Of all unknowns, also those that walls fix.
        ones = full.createVecRight()
        ones.set(1.0)
        held = full.createVecLeft()
        full.mult(ones, held)
        whole = ones.dot(held)
        self.mass.mult(right, image)
        pairing = left.dot(image)
        if adjoint is function:
            function.x.array[:] *= np.sqrt(whole / pairing)
        else:
            means = self.reduced.vector(self.posed.means)
            scale = sum(part.sum() for part in self.posed.means) / means.dot(right)
            function.x.array[:] *= scale
            adjoint.x.array[:] *= whole / (pairing * scale)
            means.destroy()
        for thing in (ones, held, image):
            thing.destroy()

    def destroy(self) -> None:
        """Free the matrices."""
        if self.shifted is not self.matrix:
            self.shifted.destroy()
        self.posed.destroy()


def solve_spectrum(cell: UnitCell, problem: SpectralProblem) -> Spectrum:
    """Return the first eigenvalue of a cell with its functions, checked; collective.

    Parameters
    ----------
    cell, problem
        As of :class:`Pencil`.

    Returns
    -------
    Spectrum

    Raises
    ------
    InputError, PercolationError, ConvergenceError
        As :class:`Pencil` and :meth:`Pencil.first` do.
    BudgetError, MemoryLimitError
        If the system is larger than it may be.
    """
    pencil = Pencil(cell, problem)
    spectrum = pencil.first()
    pencil.destroy()
    return spectrum


def require_one_part(cell: UnitCell) -> None:
    """Refuse active phases that do not reach from cell to cell, or are in several parts."""
    cell.require_percolation()
    parts = len(cell.whole.parts)
    if parts > 1:
        raise PercolationError(
            "phases",
            cell.phase_names,
            f"connected with each other: they are in {parts} parts, each with a decay of its own",
            "Solve the parts one by one.",
        )


def _require_simple(problem: SpectralProblem, values: Any) -> None:
    first, shift = values[0], problem.shift
    size = abs(first + shift)
    if len(values) > 1 and abs(values[1] + shift) - size <= SIMPLE * size:
        raise ConvergenceError(
            f"{problem.name}: the first eigenvalue {first.real:.6g} is not simple, the second is {values[1]:.6g}. "
            "Check that every active phase is connected."
        )
