r"""The corrector engine: load, corrector, average. Every cell problem runs through here.

A physics is a :class:`homfem.local.problem.CellProblem`: fields and UFL formulas. The loop over loads, the constraint,
the boundary conditions of the cell, the solver and the bookkeeping stand here, once. With the bilinear form :math:`a`
and the affine field :math:`F_j` of the unit load :math:`j`:

``periodic``
    :math:`a(\chi_j + F_j, v) = 0` for every periodic :math:`v`, :math:`\chi_j` periodic.
``affine`` (kinematically uniform, KUBC)
    the same with :math:`\chi_j = v = 0` on the faces of the cell.
``flux`` (statically uniform, SUBC)
    :math:`a(u_j, v) = T_j(v) = \int_{\partial Y} F_j(n)\cdot v`, no constraint at all. With
    :math:`S_{ij} = (T_i(u_j) + T_j(u_i) - a(u_i, u_j))/|Y|` and :math:`G_{ij} = T_i(F_j)/|Y|` the coefficient is
    :math:`G S^{-1} G`. As :math:`\xi\cdot S\xi=2T(u)-a(u,u)` has its maximum at the solution, an error of the solver
    lowers S and raises the coefficient, with its square.
``mixed``
    those components of :math:`\chi_j` vanish on a pair of faces that are odd under the mirror image across it; the
    other components are free. For a cell with mirror symmetry this is the periodic problem. Otherwise
    :math:`M_{ij}` is the mean flux of load :math:`j` in direction :math:`i`, made symmetric; of loads that fix the same
    components it is their energy, which an error of the solver changes with its square only.

The part of a cell between its mirror planes (:mod:`homfem.cells.symmetry`) is solved as ``mixed`` on those planes and
as ``periodic`` across the other axes; its mirror images make the corrector of the whole cell. :math:`M_{ij}` is zero
for loads that answer a mirror differently.

For positive forms :math:`M^\mathrm{flux} \le M^\mathrm{periodic} \le M^\mathrm{affine}` in the Loewner order.

Source: Hill 1963, doi 10.1016/0022-5096(63)90036-X; Huet 1990, doi 10.1016/0022-5096(90)90041-2; mixed: Hazanov, Huet
1994, doi 10.1016/0022-5096(94)90022-1; Pahr, Zysset 2008, doi 10.1007/s10237-007-0109-7.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import periodic, solve
from homfem.cells.unitcell import UnitCell
from homfem.local import boundary as conditions
from homfem.local.budget import require_system
from homfem.local.fixed import parts_in_space
from homfem.local.problem import BOUNDARIES, CellProblem, Correctors
from homfem.local.system import Reduced, System
from homfem.parameters import Array, InputError, check_choice

log = logging.getLogger("homfem")

#: Skew part of a form, relative, that is taken for round-off.
SYMMETRIC = 1e-10


def solve_correctors(
    cell: UnitCell,
    problem: CellProblem,
    *,
    backend: str | None = None,
    boundary: str = "periodic",
    preconditioner: str | None = None,
    rtol: float = 1e-10,
    max_iterations: int = 500,
) -> Correctors:
    """Solve a cell problem for all of its unit loads; collective.

    One matrix and one preconditioner serve all loads (with ``boundary="mixed"`` all loads that fix the same unknowns).
    Elements above the lowest conforming one, and Crouzeix-Raviart, are preconditioned through the linear Lagrange space
    that they contain (p-multigrid), aggregation below it.

    Parameters
    ----------
    cell
        The cell, restricted to the phases that carry the fields.
    problem
        The physics, made for the mesh of the backend and the boundary (:func:`homfem.local.problem.domain_of`).
    backend
        ``"identified"`` or ``"multipoint"`` (see :mod:`homfem.periodic`); by default the one that the cell needs.
    boundary
        ``"periodic"``, ``"affine"``, ``"flux"`` or ``"mixed"``, see above; all but the first need a parallelepiped.
    preconditioner, rtol, max_iterations
        See :class:`homfem.solve.LinearSolver`; ``"direct"`` serves every problem, others only definite ones. By default
        ``"multigrid"``, and before it a direct solver for a small definite system.

    Returns
    -------
    Correctors

    Raises
    ------
    InputError
        If the problem is made for another mesh, or the boundary condition is not for it.
    BudgetError, MemoryLimitError
        If the system is larger than it may be (:mod:`homfem.local.budget`).
    ConvergenceError
        If a load was not solved to ``rtol``.
    """
    backend = periodic.check_backend(cell.periodic_mesh, backend)
    check_choice("boundary", boundary, BOUNDARIES)
    if problem.kind == "general" and (boundary not in ("periodic", "affine") or cell.mirrors):
        raise InputError(
            "boundary", boundary, f"'periodic' or 'affine' on a whole cell for {problem.name}: not symmetric"
        )
    clock = _Clock()
    system = System(cell, problem, backend, boundary)
    parts = cell.part_of_cell if boundary == "periodic" else parts_in_space(cell)
    groups = conditions.groups(cell, problem, boundary)
    unknowns = {planes: Reduced(system, planes) for planes in groups}
    require_system(
        cell, f"system of the {problem.name}", max(reduced.dofs for reduced in unknowns.values()),
        max(field.components for field in problem.fields),
        direct=preconditioner == "direct" or problem.kind == "general",
    )  # fmt: skip
    clock.lap("constraint")
    load = fem.Constant(problem.domain, np.zeros(problem.loads))
    blocks = system.matrices(problem.bilinear)
    metric = system.matrices(problem.metric) if problem.metric is not None else blocks
    right = conditions.loads(system, boundary, load)
    compiled = system.vectors(right(problem.pick(system.tests)))
    sides = []
    for j in range(problem.loads):
        load.value[:] = np.eye(problem.loads)[j]
        sides.append(system.assemble(compiled))
    means = system.assemble(system.vectors(_mean_form(problem, system.tests)))
    full = functools.cache(system.prolongations)
    clock.lap("assembly")
    functions: list[Any] = [None] * problem.loads
    residuals, dofs, iterations = np.zeros(problem.loads), 0, 0
    compliance = np.zeros((problem.loads, problem.loads))
    for planes, members in groups.items():
        reduced = unknowns[planes]
        matrix = reduced.matrix(blocks)
        # A nest does not multiply by aggregation's algebra: definite systems of several fields become one matrix.
        operator = (
            matrix.convert("aij")
            if len(blocks) > 1 and (problem.kind != "saddle" or preconditioner == "direct")
            else matrix
        )
        if problem.kind != "general":
            _check_symmetry(problem, operator)
        kernel = solve.find_kernel(operator, reduced.candidates(parts, rotations=boundary != "periodic"))
        if problem.kind == "general":
            _check_kernel(problem, operator, kernel)
        # A load that does nothing (layers along the gradient) leaves round-off of a(F, v), which no solver can reduce.
        noise = solve.round_off(operator, reduced.dofs) if problem.linear is None and boundary != "flux" else 0.0
        solver = _solver(reduced, operator, metric, full, kernel, preconditioner, rtol, max_iterations, noise)
        mean, hidden = reduced.vector(means), solve.product_noise(operator)
        clock.lap("preconditioner")
        dofs = max(dofs, reduced.dofs)
        x, rest = reduced.new_vector(), reduced.new_vector()
        for j in members:
            side = reduced.vector(sides[j])
            x.set(0.0)
            if side.norm() > noise:
                count = solver.solve(side, x)
                log.info("%s load %d: %d dofs, %d iterations", problem.name, j + 1, reduced.dofs, count)
            for constant in kernel:
                rest.pointwiseMult(mean, constant)
                x.axpy(-rest.dot(x) / rest.dot(constant), constant)
            operator.mult(x, rest)
            rest.aypx(-1.0, side)
            residuals[j] = rest.norm(PETSc.NormType.N1) + hidden(x)
            functions[j] = problem.pick(reduced.functions(x, f"corrector_{j + 1}"))
            if boundary == "flux":
                for i in range(problem.loads):
                    other = reduced.vector(sides[i])
                    compliance[i, j] = other.dot(x) / cell.lattice.volume
                    other.destroy()
            side.destroy()
        iterations += solver.iterations
        clock.lap("solve")
        solver.destroy()
        for thing in (*kernel, mean, x, rest):
            thing.destroy()
        if operator is not blocks[0][0]:  # which other groups of loads still need
            operator.destroy()
    if boundary == "flux":
        average, functions = conditions.from_fluxes(system, sides, compliance, functions)
    else:
        average = averages(cell, problem, functions, hill=conditions.together(cell, problem, boundary))
    clock.lap("average")
    made = full() if full.cache_info().currsize else ()
    for thing in (*means, *(vector for side in sides for vector in side), *(m for m in made if m is not None)):
        thing.destroy()
    return Correctors(
        functions=tuple(functions),
        average=average,
        residual_norms=residuals,
        problem=problem,
        spaces=tuple(space.space for space in system.spaces),
        dofs=dofs,
        iterations=iterations,
        seconds=clock.seconds,
    )


def averages(
    cell: UnitCell, problem: CellProblem, functions: Sequence[Any], *, hill: npt.NDArray[np.bool_] | None = None
) -> Array:
    r"""Return :math:`M_{ij}` for given correctors, symmetric in its formula, per volume of the period; collective.

    For pairs of loads that are not in ``hill`` (by default all are) the second corrector is left out,
    :math:`m(\chi_j, s_j; 0, s_i)`: the mean flux, of which the symmetric part is returned. Of a problem that is not
    symmetric all entries are computed and returned as they are.
    """
    symmetric = problem.kind != "general"
    hill = np.ones((problem.loads, problem.loads), dtype=bool) if hill is None else hill
    first = functions[0] if isinstance(functions[0], tuple) else (functions[0],)
    spaces = [function.function_space for function in first]
    w, z = [fem.Function(space) for space in spaces], [fem.Function(space) for space in spaces]
    s = fem.Constant(problem.domain, np.zeros(problem.loads))
    t = fem.Constant(problem.domain, np.zeros(problem.loads))
    value = solve.integral(problem.average_form(problem.pick(w), s, problem.pick(z), t))
    result = np.zeros((problem.loads, problem.loads))
    unit, alike = np.eye(problem.loads), conditions.alike(cell, problem)
    for j in range(problem.loads):
        _fill(w, functions[j])
        s.value[:] = unit[j]
        for i in range(problem.loads):
            if not alike[i, j] or (symmetric and hill[i, j] and i < j):
                continue
            for k, part in enumerate(z):
                second = functions[i][k] if isinstance(functions[i], tuple) else functions[i]
                part.x.array[:] = second.x.array if hill[i, j] else 0.0
            t.value[:] = unit[i]
            result[i, j] = value() * cell.copies / cell.lattice.volume
            if symmetric and hill[i, j]:
                result[j, i] = result[i, j]
    return 0.5 * (result + result.T) if symmetric else result


def _fill(targets: Sequence[fem.Function], source: Any) -> None:
    for target, function in zip(targets, source if isinstance(source, tuple) else (source,), strict=True):
        target.x.array[:] = function.x.array


def _solver(
    reduced: Reduced,
    operator: PETSc.Mat,
    metric: Sequence[Sequence[PETSc.Mat | None]],
    full: Callable[[], Sequence[PETSc.Mat | None]],
    kernel: Sequence[PETSc.Vec],
    preconditioner: str | None,
    rtol: float,
    max_iterations: int,
    noise: float,
) -> Any:
    problem = reduced.system.problem
    options: dict[str, Any] = {
        "rtol": rtol,
        "max_iterations": max_iterations,
        "name": f"{problem.name} corrector",
        "kernel": kernel,
    }
    if problem.kind != "saddle" or preconditioner == "direct":
        general = problem.kind == "general"
        return solve.LinearSolver(
            operator,
            method="gmres" if general else "cg",
            preconditioner="direct" if general else preconditioner or "multigrid",
            coarse=lambda: _coarse(reduced, full()),
            direct_first=solve.DIRECT_FIRST[reduced.system.cell.dimension] if preconditioner is None else 0,
            smoother=problem.smoother,
            # Fields that a stiff term ties to each other: the residual is a small difference of large numbers.
            atol=noise if len(problem.fields) > 1 else 0.0,
            **options,
        )
    prolongations = reduced.prolongations(full())
    near = reduced.near_kernels(prolongations)
    blocks = []
    for k, field in enumerate(problem.fields):
        diagonal = metric[k][k]
        if diagonal is None:
            remedy = "Give a metric: a mass matrix of that field, say."
            raise InputError("metric", None, f"given: field {k + 1} of {problem.name} has no diagonal block", remedy)
        blocks.append(
            solve.Block(
                matrix=_positive(reduced.diagonal(diagonal, k)),
                preconditioner=field.preconditioner,
                prolongations=[p for p in (prolongations[k],) if p is not None],
                near_kernel=near[k],
            )
        )
    return solve.BlockSolver(operator, blocks, **options)


def _coarse(reduced: Reduced, full: Sequence[PETSc.Mat | None]) -> solve.Coarse:
    """What multigrid needs for the matrix of all fields; collective."""
    prolongations = reduced.prolongations(full)
    near = reduced.near_kernels(prolongations)
    chain = [p for p in prolongations if p is not None]
    if len(chain) > 1:
        count = len(chain)
        nest = PETSc.Mat().createNest([[chain[i] if i == j else None for j in range(count)] for i in range(count)])
        chain = [nest.convert("aij")]
    return solve.Coarse(prolongations=chain, near_kernel=near[0] if len(near) == 1 else ())


def _check_symmetry(problem: CellProblem, matrix: PETSc.Mat) -> None:
    r"""Compare :math:`x\cdot Ay` with :math:`y\cdot Ax` for random vectors scaled to the diagonal; collective."""
    diagonal = matrix.getDiagonal()
    size = np.abs(diagonal.array_r)
    weight = 1.0 / np.sqrt(np.where(size > 0.0, size, 1.0))
    diagonal.destroy()
    random = np.random.default_rng((12, matrix.comm.rank))
    x, y, image = (matrix.createVecRight() for _ in range(3))
    x.array[:], y.array[:] = weight * random.standard_normal((2, len(weight)))
    matrix.mult(y, image)
    forward = x.dot(image)
    image.array[:] *= weight
    limit = SYMMETRIC * image.norm()
    matrix.mult(x, image)
    different = abs(forward - y.dot(image))
    for vector in (x, y, image):
        vector.destroy()
    if different > limit:
        allowed = f"symmetric for kind = {problem.kind!r}"
        raise InputError("bilinear", problem.name, allowed, "Say kind='general' of a form that is not.")


def _check_kernel(problem: CellProblem, matrix: PETSc.Mat, kernel: Sequence[PETSc.Vec]) -> None:
    """Raise for a kernel that is not that of the transpose; collective."""
    noise = 1e-9 * matrix.norm(PETSc.NormType.INFINITY)
    image = matrix.createVecRight()
    for vector in kernel:
        matrix.multTranspose(vector, image)
        if image.norm() > noise:
            allowed = f"of a form that takes tests {problem.name} does not feel to zero, as it does constants"
            raise InputError("bilinear", problem.name, allowed, "A convection must have no divergence.")
    image.destroy()


def _positive(matrix: PETSc.Mat) -> PETSc.Mat:
    """The matrix, or its negative if its diagonal is negative."""
    diagonal = matrix.getDiagonal()
    if diagonal.max()[1] > 0.0:
        return matrix
    turned = matrix.copy()
    turned.scale(-1.0)
    return turned


def _mean_form(problem: CellProblem, tests: Sequence[Any]) -> ufl.Form:
    """The integral of each basis function (the sum of its components)."""
    form = 0
    for v in tests:
        form += (v if not v.ufl_shape else sum(v[k] for k in range(v.ufl_shape[0]))) * ufl.dx
    return form


class _Clock:
    """Wall time since the last lap, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now
