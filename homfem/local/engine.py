r"""The corrector engine: load, corrector, average. Every cell problem runs through here.

A linear cell problem is: find the periodic corrector :math:`\chi_j` with

.. math:: a(\chi_j, v) = \ell(v; s_j) \quad\text{for every periodic } v,

for the unit loads :math:`s_j`, and average it to the effective coefficient

.. math:: M_{ij} = \frac1{|Y|}\int_Y m(\chi_j, s_j;\, \chi_i, s_i)\,dy .

A physics is the element, the two forms and the averaged expression: four UFL formulas in a :class:`CellProblem`. The
loop over loads, the constraint, the solver and the bookkeeping stand here, once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import basix.ufl
import dolfinx.fem.petsc
import numpy as np
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import periodic, solve
from homfem.cells.unitcell import UnitCell
from homfem.parameters import Array, InputError, check_choice

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True)
class CellProblem:
    r"""A linear, symmetric cell problem as UFL formulas.

    Parameters
    ----------
    name
        The physics, for messages and results.
    element
        ``basix.ufl`` element of the corrector.
    loads
        Number of unit loads (d for diffusion, 3 or 6 for elasticity).
    bilinear
        ``bilinear(u, v)``: the UFL form :math:`a(u, v)`, measures included.
    linear
        ``linear(v, s)``: the UFL form :math:`\ell(v; s)`, linear in the load ``s`` (a vector-valued constant of
        ``loads`` components).
    average
        ``average(w, s, z, t)``: the UFL *integrand* :math:`m(w, s; z, t)` for two correctors with their loads.
    domain
        The mesh of the forms: ``cell.mesh``, or ``cell.periodic_mesh.plain`` for the multipoint backend.
    near_kernel
        Optional ``near_kernel(x) -> list of (d, n) arrays``: fields at points ``x`` of shape (3, n) that coarse grids
        must represent, such as rigid-body motions.
    """

    name: str
    element: Any
    loads: int
    bilinear: Callable[[Any, Any], ufl.Form]
    linear: Callable[[Any, Any], ufl.Form]
    average: Callable[[Any, Any, Any, Any], Any]
    domain: Any
    near_kernel: Callable[[Array], list[Array]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Correctors:
    r"""The solved cell problem.

    Parameters
    ----------
    functions : tuple of fem.Function
        :math:`\chi_j`, periodic, mean zero per component over each connected part, in mesh units.
    average : array, shape (loads, loads)
        :math:`M_{ij}`, per volume of the whole period.
    residual_norms : array, shape (loads,)
        :math:`\|b_j - A\chi_j\|_1`, the sum of the absolute algebraic residuals over all unknowns.
    problem, space
        What was solved, and the periodic space.
    dofs, iterations
        Number of independent unknowns; iterations summed over the loads.
    seconds
        Wall time of ``constraint``, ``assembly``, ``preconditioner``, ``solve``, ``average``.
    """

    functions: tuple[fem.Function, ...]
    average: Array
    residual_norms: Array
    problem: CellProblem
    space: Any
    dofs: int
    iterations: int
    seconds: Mapping[str, float] = field(default_factory=dict)


def solve_correctors(
    cell: UnitCell,
    problem: CellProblem,
    *,
    backend: str = "identified",
    preconditioner: str = "multigrid",
    rtol: float = 1e-10,
    max_iterations: int = 500,
) -> Correctors:
    """Solve a cell problem for all of its unit loads; collective.

    One matrix and one preconditioner serve all loads. Elements above the lowest conforming one, and Crouzeix-Raviart,
    are preconditioned through the linear Lagrange space that they contain (p-multigrid), aggregation below it.

    Parameters
    ----------
    cell
        The cell, restricted to the phases that carry the field.
    problem
        The physics.
    backend
        ``"identified"`` or ``"multipoint"`` (see :mod:`homfem.periodic`).
    preconditioner, rtol, max_iterations
        See :class:`homfem.solve.LinearSolver`.

    Returns
    -------
    Correctors

    Raises
    ------
    ConvergenceError
        If a load was not solved to ``rtol``.
    """
    check_choice("backend", backend, ("identified", "multipoint"))
    clock = _Clock()
    space = periodic.make_periodic_space(cell.periodic_mesh, problem.element, cell.lattice, backend)
    if space.space.mesh is not problem.domain:
        raise InputError("domain", problem.domain, f"the mesh of the {backend} backend")
    clock.lap("constraint")
    u, v = ufl.TrialFunction(space.space), ufl.TestFunction(space.space)
    load = fem.Constant(problem.domain, np.zeros(problem.loads))
    matrix = space.matrix(problem.bilinear(u, v))
    linear = solve.compile_form(problem.linear(v, load))
    sides = []
    for j in range(problem.loads):
        load.value[:] = np.eye(problem.loads)[j]
        sides.append(space.vector(linear))
    mean = _mean_vector(space, v)
    clock.lap("assembly")
    kernel = space.constants(cell.part_of_cell)
    prolongations = _prolongations(space, problem, backend)
    near_kernel = _near_kernel(space, problem)
    solver = solve.LinearSolver(
        matrix,
        preconditioner=preconditioner,
        rtol=rtol,
        max_iterations=max_iterations,
        kernel=kernel,
        near_kernel=near_kernel,
        prolongations=prolongations,
        name=f"{problem.name} corrector",
    )
    clock.lap("preconditioner")
    functions, residuals = [], np.zeros(problem.loads)
    x = matrix.createVecRight()
    rest = x.duplicate()
    for j, side in enumerate(sides):
        x.set(0.0)
        if side.norm() > 0.0:
            count = solver.solve(side, x)
            log.info("%s load %d: %d dofs, %d iterations", problem.name, j + 1, space.dofs, count)
        for constant in kernel:
            rest.pointwiseMult(mean, constant)
            x.axpy(-rest.dot(x) / rest.dot(constant), constant)
        matrix.mult(x, rest)
        rest.aypx(-1.0, side)
        residuals[j] = rest.norm(PETSc.NormType.N1)
        functions.append(space.function(x, name=f"corrector_{j + 1}"))
    clock.lap("solve")
    average = averages(cell, problem, functions)
    clock.lap("average")
    result = Correctors(
        functions=tuple(functions),
        average=average,
        residual_norms=residuals,
        problem=problem,
        space=space.space,
        dofs=space.dofs,
        iterations=solver.iterations,
        seconds=clock.seconds,
    )
    solver.destroy()
    for thing in (matrix, *sides, mean, *kernel, *near_kernel, *prolongations, x, rest):
        thing.destroy()
    return result


def averages(cell: UnitCell, problem: CellProblem, functions: list[fem.Function]) -> Array:
    r"""Return :math:`M_{ij}` for given correctors, symmetric in its formula, per volume of the period; collective."""
    space = functions[0].function_space
    w, z = fem.Function(space), fem.Function(space)
    s = fem.Constant(problem.domain, np.zeros(problem.loads))
    t = fem.Constant(problem.domain, np.zeros(problem.loads))
    value = solve.integral(problem.average(w, s, z, t) * ufl.dx)
    result = np.zeros((problem.loads, problem.loads))
    unit = np.eye(problem.loads)
    for j in range(problem.loads):
        w.x.array[:] = functions[j].x.array
        s.value[:] = unit[j]
        for i in range(j, problem.loads):
            z.x.array[:] = functions[i].x.array
            t.value[:] = unit[i]
            result[i, j] = result[j, i] = value() / cell.lattice.volume
    return result


class _Clock:
    """Wall time since the last lap, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def _mean_vector(space: Any, v: Any) -> PETSc.Vec:
    """The integral of each basis function (the sum of its components)."""
    shape = v.ufl_shape
    return space.vector((v if not shape else sum(v[k] for k in range(shape[0]))) * ufl.dx)


def _prolongations(space: Any, problem: CellProblem, backend: str) -> list[PETSc.Mat]:
    element = space.space.ufl_element()
    if backend != "identified" or (element.degree == 1 and element.family_name != "CR"):
        return []
    shape = element.reference_value_shape
    linear = basix.ufl.element("Lagrange", problem.domain.basix_cell(), 1, shape=shape)
    coarse = fem.functionspace(problem.domain, linear)
    matrix = dolfinx.fem.petsc.interpolation_matrix(coarse, space.space)
    matrix.assemble()
    return [matrix]


def _near_kernel(space: Any, problem: CellProblem) -> list[PETSc.Vec]:
    if problem.near_kernel is None:
        return []
    points = space.space.tabulate_dof_coordinates().T
    vectors = []
    index_map, block = space.space.dofmap.index_map, space.space.dofmap.index_map_bs
    owned = index_map.size_local
    sizes = (owned * block, index_map.size_global * block)
    for values in problem.near_kernel(points[:, :owned]):
        vector = PETSc.Vec().createMPI(sizes, comm=space.space.mesh.comm)
        vector.array[:] = np.asarray(values)[:block].T.ravel()
        vectors.append(vector)
    return _orthonormal(vectors)


def _orthonormal(vectors: list[PETSc.Vec]) -> list[PETSc.Vec]:
    for k, vector in enumerate(vectors):
        for earlier in vectors[:k]:
            vector.axpy(-vector.dot(earlier), earlier)
        vector.normalize()
    return vectors


def element_of(cell: UnitCell, family: str, degree: int, shape: tuple[int, ...] = ()) -> Any:
    """Return the ``basix.ufl`` element of a family on the cell's mesh."""
    return basix.ufl.element(family, cell.kind, degree, shape=shape)
