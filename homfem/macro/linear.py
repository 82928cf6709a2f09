r"""Linear diffusion with sources and boundary values, in time and at rest.

.. math::
    C\,\partial_t u &= \nabla\cdot(K\nabla u) + s\quad\text{or}\quad 0 = \nabla\cdot(K\nabla u) + s,\\
    u &= g\ \text{(Dirichlet)},\qquad n\cdot K\nabla u = q\ \text{(Neumann)},\qquad
    n\cdot K\nabla u = h\,(u_a - u)\ \text{(Robin)}

on named boundaries; no flux where nothing is said. With the mass matrix M of C and the stiffness K of the continuous
elements, h included, :math:`M\dot u = -K u + F(t)`. Matrices, solvers and the places of the boundary values are set up
once; a source or flux that is a function of time costs one product with a mass matrix in each stage.

Where neither Dirichlet nor Robin conditions let something out, a step changes :math:`\int C u` by exactly what the
sources bring, to round-off, whatever the linear solver leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem.macro.domain import Domain
from homfem.parameters import Array, ConvergenceError, InputError, check_number
from homfem.solve import Kernel, LinearSolver, assemble_matrix, assemble_vector
from homfem.timestepping import TR_BDF2, DiffusionScheme, DiffusionStep

Value: TypeAlias = float | Callable[[Array, float], Array]
"""A number, or a function ``f(x, time) -> values`` of points x of shape (3, n), values of shape (n,) or a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dirichlet:
    """``u = value`` on a boundary."""

    boundary: str
    value: Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Neumann:
    """``n . K grad u = flux`` on a boundary: what enters, per area and time."""

    boundary: str
    flux: Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Robin:
    """``n . K grad u = coefficient (ambient - u)`` on a boundary; coefficient > 0."""

    boundary: str
    coefficient: float
    ambient: Value


Condition: TypeAlias = Dirichlet | Neumann | Robin


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinearProblem:
    """Diffusion on a space: coefficient, capacity, source and boundary conditions.

    Parameters
    ----------
    domain
        Where it is solved; its boundaries are named in the conditions.
    space
        A scalar continuous Lagrange space on its mesh.
    coefficient
        K, as :func:`homfem.macro.coefficients.tensor_coefficient` returns it.
    capacity
        C, a number or a UFL coefficient.
    source
        s; None: without.
    conditions
        On each boundary at most one.
    name
        For messages.

    Raises
    ------
    InputError
        For an unknown boundary, one with two conditions, or a Robin coefficient that is not > 0.
    """

    domain: Domain
    space: fem.FunctionSpace
    coefficient: Any
    capacity: Any = 1.0
    source: Value | None = None
    conditions: Sequence[Condition] = ()
    name: str = "diffusion"

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for k, condition in enumerate(self.conditions):
            self.domain.boundary(condition.boundary, f"conditions[{k}].boundary")
            if condition.boundary in seen:
                allowed = "a boundary with one condition; this one has two"
                raise InputError(f"conditions[{k}].boundary", condition.boundary, allowed)
            seen.add(condition.boundary)
            if isinstance(condition, Robin):
                check_number(f"conditions[{k}].coefficient", condition.coefficient, above=0.0)

    @property
    def closed(self) -> bool:
        """Whether nothing leaves but by Neumann fluxes: K has the constants in its kernel."""
        return not any(isinstance(condition, (Dirichlet, Robin)) for condition in self.conditions)

    def mass(self, capacity: bool = True) -> PETSc.Mat:
        """Return the mass matrix, with C or with 1; collective."""
        u, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        return assemble_matrix((self.capacity if capacity else 1.0) * u * v * ufl.dx(domain=self.domain.mesh))

    def stiffness(self) -> PETSc.Mat:
        """Return the stiffness matrix, with the Robin terms; collective."""
        u, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        form = ufl.inner(self.coefficient * ufl.grad(u), ufl.grad(v)) * ufl.dx
        for condition in self.conditions:
            if isinstance(condition, Robin):
                h = fem.Constant(self.domain.mesh, float(condition.coefficient))
                form += h * u * v * self.domain.ds(condition.boundary)
        return assemble_matrix(form)


class _NodalValue:
    """A value at some owned dofs; a number is evaluated once."""

    def __init__(self, name: str, space: fem.FunctionSpace, dofs: Array, value: Value) -> None:
        self.name, self.dofs, self.varies = name, dofs, callable(value)
        self._value, self._points = value, space.tabulate_dof_coordinates()[dofs].T
        self._fixed = None if callable(value) else np.full(len(dofs), check_number(name, value))

    def at(self, time: float) -> Array:
        """Return the values at a time."""
        if self._fixed is not None:
            return self._fixed
        values = np.asarray(self._value(self._points, time), dtype=np.float64)  # type: ignore[operator]
        if values.shape not in ((), (len(self.dofs),)):
            raise InputError(self.name, values.shape, f"a function whose values have shape ({len(self.dofs)},)")
        return np.broadcast_to(values, (len(self.dofs),))


class _Load:
    """F(t): sources and boundary fluxes, as a vector; what does not vary is assembled once."""

    def __init__(self, problem: LinearProblem) -> None:
        space, domain = problem.space, problem.domain
        u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
        index_map = space.dofmap.index_map
        owned = np.arange(index_map.size_local)
        self._fixed: PETSc.Vec | None = None
        self._varying: list[tuple[PETSc.Mat, _NodalValue]] = []
        terms: list[tuple[str, Any, Value, float, Array]] = []
        if problem.source is not None:
            terms.append(("source", u * v * ufl.dx(domain=domain.mesh), problem.source, 1.0, owned))
        for k, condition in enumerate(problem.conditions):
            if isinstance(condition, Dirichlet):
                continue
            name, value, factor = f"conditions[{k}].flux", getattr(condition, "flux", 0.0), 1.0
            if isinstance(condition, Robin):
                name, value, factor = f"conditions[{k}].ambient", condition.ambient, condition.coefficient
            dofs = _dofs_on(problem, condition.boundary)
            terms.append((name, u * v * domain.ds(condition.boundary), value, factor, dofs))
        self._nodal = fem.Function(space)
        for name, form, value, factor, dofs in terms:
            nodal = _NodalValue(name, space, dofs, value)
            matrix = assemble_matrix(fem.Constant(domain.mesh, factor) * form)
            if nodal.varies:
                self._varying.append((matrix, nodal))
                continue
            self._fixed = matrix.createVecLeft() if self._fixed is None else self._fixed
            self._add(matrix, nodal, 0.0, self._fixed)
            matrix.destroy()
        self.varies, self.any = bool(self._varying), bool(terms)

    def _add(self, matrix: PETSc.Mat, nodal: _NodalValue, time: float, result: PETSc.Vec) -> None:
        vector = self._nodal.x.petsc_vec
        vector.set(0.0)
        vector.array[nodal.dofs] = nodal.at(time)
        matrix.multAdd(vector, result, result)

    def add(self, time: float, factor: float, result: PETSc.Vec, work: PETSc.Vec) -> None:
        """Add ``factor F(time)`` to a vector."""
        if self._fixed is not None:
            result.axpy(factor, self._fixed)
        if self._varying:
            work.set(0.0)
            for matrix, nodal in self._varying:
                self._add(matrix, nodal, time, work)
            result.axpy(factor, work)


class _Fixed:
    """Dirichlet values: their owned dofs, and systems with their rows and columns taken out."""

    def __init__(self, problem: LinearProblem) -> None:
        self.values = [
            _NodalValue(f"conditions[{k}].value", problem.space, _dofs_on(problem, c.boundary), c.value)
            for k, c in enumerate(problem.conditions)
            if isinstance(c, Dirichlet)
        ]
        found = [value.dofs for value in self.values]
        self.dofs = np.unique(np.concatenate([np.zeros(0, dtype=np.int32), *found])).astype(np.int32)
        first = problem.space.dofmap.index_map.local_range[0]
        self.rows = (self.dofs + first).astype(PETSc.IntType)
        self.diagonal = 1.0

    def eliminated(self, matrix: PETSc.Mat) -> PETSc.Mat:
        """Return the matrix without rows and columns of the fixed dofs, but a diagonal of its size; collective."""
        if not self.values:
            return matrix
        result = matrix.copy()
        diagonal = matrix.getDiagonal()
        self.diagonal = diagonal.sum() / diagonal.getSize()
        result.zeroRowsColumns(self.rows, diag=self.diagonal)
        return result

    def at(self, time: float, into: PETSc.Vec) -> None:
        """Put the values at a time into a vector, at the fixed dofs."""
        for value in self.values:
            into.array[value.dofs] = value.at(time)

    def lift(self, matrix: PETSc.Mat, values: PETSc.Vec, rhs: PETSc.Vec, work: PETSc.Vec) -> None:
        """Take the part of fixed ``values`` (zero elsewhere) from a right-hand side, and set its fixed rows."""
        matrix.mult(values, work)
        rhs.axpy(-1.0, work)
        rhs.array[self.dofs] = self.diagonal * values.array_r[self.dofs]


class BoundedDiffusionStep(DiffusionStep):
    r"""Steps of :math:`M\dot u = -K u + F(t)` with Dirichlet values; collective.

    Parameters
    ----------
    problem
        What is solved.
    step, scheme
        The time step, and the one-step method.
    options
        Of :class:`homfem.solve.LinearSolver`.

    Raises
    ------
    InputError
        See :class:`LinearProblem`.
    """

    def __init__(
        self, problem: LinearProblem, *, step: float, scheme: DiffusionScheme = TR_BDF2, **options: Any
    ) -> None:
        mass, stiffness = problem.mass(), problem.stiffness()
        weights = mass.createVecLeft()
        ones = mass.createVecRight()
        ones.set(1.0)
        mass.mult(ones, weights)
        ones.destroy()
        self.problem, self._fixed, self._load = problem, _Fixed(problem), _Load(problem)
        chosen: dict[str, Any] = {"preconditioner": "jacobi", "rtol": 1e-10, "name": problem.name} | options
        super().__init__(
            mass,
            stiffness,
            weights,
            step=step,
            scheme=scheme,
            make_solver=lambda matrix: LinearSolver(self._fixed.eliminated(matrix), **chosen),
            guess=chosen["preconditioner"] != "direct",
        )
        self._values, self._work = stiffness.createVecRight(), stiffness.createVecLeft()

    def apply(self, u: PETSc.Vec, time: float = 0.0) -> int:
        """Advance ``u`` in place by the step from ``time``; return the number of iterations. Collective.

        The start must have the Dirichlet values of its time.
        """
        self.stiffness.mult(u, self._slope)
        count, brought = 0, 0.0
        for stage, (carry, slope) in enumerate(self.scheme.stages):
            rhs, increment, length = self._rhs, self.increments[stage], slope * self.step
            rhs.zeroEntries()
            for weight, at in self.scheme.forcing[stage]:
                self._load.add(time + at * self.step, weight * length, rhs, self._work)
            brought = carry * brought + (rhs.sum() if self._load.any and self.problem.closed else 0.0)
            rhs.axpy(-length, self._slope)
            if carry:
                self.mass.mult(self.increments[stage - 1], self._carry)
                rhs.axpy(carry, self._carry)
            if self._fixed.values:
                self._to_values(u, time + self.scheme.forcing[stage][-1][1] * self.step)
                self._fixed.lift(self.matrix, self._values, rhs, self._work)
            count += self.solver.solve(rhs, increment, guess=self.guess)
            if self.problem.closed:
                increment.shift((brought - self.weights.dot(increment)) / self.volume)
        u.axpy(1.0, self.increments[-1])
        if self._fixed.values:
            self._fixed.at(time + self.step, u)
        return count

    def _to_values(self, u: PETSc.Vec, time: float) -> None:
        """Put the increments that lead to the Dirichlet values of a time into the vector of values."""
        values, dofs = self._values, self._fixed.dofs
        values.set(0.0)
        self._fixed.at(time, values)
        values.array[dofs] -= u.array_r[dofs]


class EllipticSolver:
    r"""Solves :math:`-\nabla\cdot(K\nabla u) = s` with boundary conditions, many times; collective.

    Without Dirichlet and Robin conditions the solution is that of mean zero, and the sources and fluxes must balance.

    Parameters
    ----------
    problem
        What is solved.
    balance
        What sources and fluxes may leave over, relative to the sum of their absolute values.
    options
        Of :class:`homfem.solve.LinearSolver`; multigrid by default.
    """

    def __init__(self, problem: LinearProblem, *, balance: float = 1e-8, **options: Any) -> None:
        self.problem, self.balance = problem, check_number("balance", balance, at_least=0.0)
        self.matrix = problem.stiffness()
        self._fixed, self._load = _Fixed(problem), _Load(problem)
        chosen: dict[str, Any] = {"name": problem.name} | options
        self.solver = LinearSolver(
            self._fixed.eliminated(self.matrix), kernel=Kernel(constant=problem.closed), **chosen
        )
        v = ufl.TestFunction(problem.space)
        self.weights = assemble_vector(v * ufl.dx(domain=problem.domain.mesh))
        self._rhs, self._work = self.matrix.createVecLeft(), self.matrix.createVecLeft()
        self._values = self.matrix.createVecRight()

    def solve(self, u: PETSc.Vec, time: float = 0.0, *, more: PETSc.Vec | None = None, guess: bool = False) -> int:
        """Solve for the state at a time; return the number of iterations. Collective.

        Parameters
        ----------
        u
            Solution; the start value as well if ``guess`` is true.
        time
            Of the sources and boundary values.
        more
            An assembled load that is added to the right-hand side.
        guess
            Start from ``u``.

        Raises
        ------
        ConvergenceError
            If sources and fluxes do not balance where nothing else lets them out.
        """
        rhs = self._rhs
        rhs.zeroEntries()
        self._load.add(time, 1.0, rhs, self._work)
        if more is not None:
            rhs.axpy(1.0, more)
        if self.problem.closed:
            self._check_balance(rhs)
        if self._fixed.values:
            self._values.set(0.0)
            self._fixed.at(time, self._values)
            self._fixed.lift(self.matrix, self._values, rhs, self._work)
        count = self.solver.solve(rhs, u, guess=guess)
        if self.problem.closed:
            u.shift(-self.weights.dot(u) / self.weights.sum())
        if self._fixed.values:
            self._fixed.at(time, u)
        return count

    def _check_balance(self, rhs: PETSc.Vec) -> None:
        net, size = rhs.sum(), rhs.norm(PETSc.NormType.NORM_1)
        if abs(net) > self.balance * size:
            raise ConvergenceError(
                f"{self.problem.name}: sources and fluxes leave {net:.6g} over (of {size:.6g} in all), and no boundary "
                "lets it out: balance them, or fix a value on some boundary."
            )


def _dofs_on(problem: LinearProblem, boundary: str) -> Array:
    """Return the owned dofs on a boundary; collective."""
    d, facets = problem.domain.dimension, problem.domain.facets(boundary)
    problem.domain.mesh.topology.create_connectivity(d - 1, d)
    dofs = np.asarray(fem.locate_dofs_topological(problem.space, d - 1, facets))
    return dofs[dofs < problem.space.dofmap.index_map.size_local].astype(np.int32)
