"""A linear problem of transport: its matrices, its load, and its fixed values; see :mod:`homfem.macro.linear`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem.macro.conditions import Condition, Dirichlet, NodalValue, Outflow, Robin, Value
from homfem.macro.domain import Domain
from homfem.parameters import Array, InputError, check_number
from homfem.solve import assemble_matrix, assemble_vector


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinearProblem:
    """Transport on a space: coefficients, source and boundary conditions.

    Parameters
    ----------
    domain
        Where it is solved; its boundaries are named in the conditions.
    space
        A scalar continuous Lagrange space on its mesh.
    coefficient
        K, as :func:`homfem.macro.coefficients.tensor_coefficient` returns it; None: no diffusion.
    capacity
        C, a number or a UFL coefficient.
    source
        s; None: without.
    conditions
        On each boundary at most one.
    velocity
        v, a UFL vector; None: nothing flows.
    streamline
        The time of streamline diffusion (SUPG), a UFL expression; None: without.
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
    velocity: Any = None
    streamline: Any = None
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
        """Whether nothing leaves but by Neumann fluxes: the columns of K sum to zero."""
        return not any(isinstance(condition, (Dirichlet, Robin, Outflow)) for condition in self.conditions)

    @property
    def test(self) -> Any:
        """What the equation is tested with: the basis, with streamline diffusion more of it upstream."""
        v = ufl.TestFunction(self.space)
        return v if self.streamline is None else v + self.streamline * ufl.dot(self.velocity, ufl.grad(v))

    def mass(self, capacity: bool = True) -> PETSc.Mat:
        """Return the mass matrix, with C or with 1; collective."""
        u = ufl.TrialFunction(self.space)
        return assemble_matrix((self.capacity if capacity else 1.0) * u * self.test * ufl.dx(domain=self.domain.mesh))

    def weights(self) -> PETSc.Vec:
        """Return the integrals of C times the basis functions; collective."""
        return assemble_vector(self.capacity * ufl.TestFunction(self.space) * ufl.dx(domain=self.domain.mesh))

    def stiffness(self) -> PETSc.Mat:
        """Return the matrix of transport, with the Robin and outflow terms; collective."""
        u, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        still = fem.Constant(self.domain.mesh, 0.0)  # without diffusion: the pattern of the matrix is that of the mass
        spread = (still if self.coefficient is None else self.coefficient) * ufl.grad(u)
        form = ufl.inner(spread, ufl.grad(v)) * ufl.dx
        if self.velocity is not None:
            form -= u * ufl.dot(self.velocity, ufl.grad(v)) * ufl.dx
        if self.streamline is not None:  # of a flow without divergence: v . grad u is div (v u), and keeps constants
            left = ufl.dot(self.velocity, ufl.grad(u)) - ufl.div(spread)
            form += self.streamline * ufl.dot(self.velocity, ufl.grad(v)) * left * ufl.dx
        for condition in self.conditions:
            if isinstance(condition, Robin):
                h = fem.Constant(self.domain.mesh, float(condition.coefficient))
                form += h * u * v * self.domain.ds(condition.boundary)
        matrix = assemble_matrix(form)
        self._let_out(matrix)
        return matrix

    def _let_out(self, matrix: PETSc.Mat) -> None:
        """Add what flows out: at each node of an outflow boundary the integral of v . grad w, where it is positive.

        That is the flux through its share of the boundary, if v has no divergence against the basis; and then a
        constant field stays.
        """
        open_ = [condition.boundary for condition in self.conditions if isinstance(condition, Outflow)]
        if self.velocity is None or not open_:
            return
        v = ufl.TestFunction(self.space)
        through = assemble_vector(ufl.dot(self.velocity, ufl.grad(v)) * ufl.dx(domain=self.domain.mesh))
        dofs = np.unique(np.concatenate([dofs_on(self, boundary) for boundary in open_]))
        diagonal = matrix.getDiagonal()
        diagonal.array[dofs] += np.maximum(through.array_r[dofs], 0.0)
        matrix.setDiagonal(diagonal)
        for vector in (through, diagonal):
            vector.destroy()


class Load:
    """F(t): sources and boundary fluxes, as a vector; what does not vary is assembled once.

    No source, flux or outer value may be less than ``at_least``.
    """

    def __init__(self, problem: LinearProblem, *, at_least: float = -np.inf) -> None:
        space, domain = problem.space, problem.domain
        u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
        index_map = space.dofmap.index_map
        owned = np.arange(index_map.size_local)
        self._fixed: PETSc.Vec | None = None
        self._varying: list[tuple[PETSc.Mat, NodalValue]] = []
        terms: list[tuple[str, Any, Value, float, Array]] = []
        if problem.source is not None:
            terms.append(("source", u * problem.test * ufl.dx(domain=domain.mesh), problem.source, 1.0, owned))
        for k, condition in enumerate(problem.conditions):
            if isinstance(condition, (Dirichlet, Outflow)):
                continue
            name, value, factor = f"conditions[{k}].flux", getattr(condition, "flux", 0.0), 1.0
            if isinstance(condition, Robin):
                name, value, factor = f"conditions[{k}].ambient", condition.ambient, condition.coefficient
            dofs = dofs_on(problem, condition.boundary)
            terms.append((name, u * v * domain.ds(condition.boundary), value, factor, dofs))
        self._nodal = fem.Function(space)
        for name, form, value, factor, dofs in terms:
            nodal = NodalValue(name, space, dofs, value, at_least=at_least)
            matrix = assemble_matrix(fem.Constant(domain.mesh, factor) * form)
            if nodal.varies:
                self._varying.append((matrix, nodal))
                continue
            self._fixed = matrix.createVecLeft() if self._fixed is None else self._fixed
            self._add(matrix, nodal, 0.0, self._fixed)
            matrix.destroy()
        self.varies, self.any = bool(self._varying), bool(terms)

    def _add(self, matrix: PETSc.Mat, nodal: NodalValue, time: float, result: PETSc.Vec) -> None:
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


class FixedValues:
    """Dirichlet values: their owned dofs, and systems with their rows and columns taken out; none below a limit."""

    def __init__(self, problem: LinearProblem, *, at_least: float = -np.inf) -> None:
        self.values = [
            NodalValue(
                f"conditions[{k}].value", problem.space, dofs_on(problem, c.boundary), c.value, at_least=at_least
            )
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


def dofs_on(problem: LinearProblem, boundary: str) -> Array:
    """Return the owned dofs on a boundary; collective."""
    d, facets = problem.domain.dimension, problem.domain.facets(boundary)
    problem.domain.mesh.topology.create_connectivity(d - 1, d)
    dofs = np.asarray(fem.locate_dofs_topological(problem.space, d - 1, facets))
    return dofs[dofs < problem.space.dofmap.index_map.size_local].astype(np.int32)
