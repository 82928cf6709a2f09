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

**Kernels.** Where the form does not feel constants, the correctors have mean zero. A form that is not symmetric then
has a left kernel, fields m with :math:`a(v, m)=0` for every v: constants again for a convection without divergence,
else the invariant densities of the process (:func:`left_kernel`). A load :math:`\ell` has a corrector only if
:math:`\ell(m)=0`: in the frame that moves with the mean drift under m.

For positive forms :math:`M^\mathrm{flux} \le M^\mathrm{periodic} \le M^\mathrm{affine}` in the Loewner order.

Source: Hill 1963, doi 10.1016/0022-5096(63)90036-X; Huet 1990, doi 10.1016/0022-5096(90)90041-2; mixed: Hazanov, Huet
1994, doi 10.1016/0022-5096(94)90022-1; Pahr, Zysset 2008, doi 10.1007/s10237-007-0109-7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from homfem.cells.unitcell import UnitCell
from homfem.local import boundary as conditions
from homfem.local.averages import averages
from homfem.local.clock import Clock
from homfem.local.kernels import kernels_of
from homfem.local.posed import Found, Group, Method, Posed
from homfem.local.problem import CellProblem, Correctors

__all__ = ["averages", "left_kernel", "solve_correctors"]


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
        See :class:`homfem.solve.LinearSolver`; ``"direct"`` serves every problem. By default ``"multigrid"``, and
        before it a direct solver for a small definite system. A problem that is not symmetric is solved by factors
        where they are cheap, else by GMRES, preconditioned by multigrid of the symmetric part or incomplete factors.

    Returns
    -------
    Correctors

    Raises
    ------
    InputError
        If the problem is made for another mesh, the boundary condition is not for it, the form is not symmetric and
        does not say so, or a load works on the left kernel.
    BudgetError, MemoryLimitError
        If the system is larger than it may be (:mod:`homfem.local.budget`).
    ConvergenceError
        If a load was not solved to ``rtol``: the residual is looked at after every solve, of a direct solver too.
    """
    clock = Clock()
    posed = Posed(cell, problem, backend, boundary)
    method = Method(preconditioner=preconditioner, rtol=rtol, max_iterations=max_iterations)
    posed.require_room(direct=posed.direct(method))
    clock.lap("constraint")
    posed.assemble()
    clock.lap("assembly")
    found = Found(problem.loads)
    for planes in posed.groups:
        group = Group(posed, planes, method)
        clock.lap("preconditioner")
        group.solve_all(found)
        clock.lap("solve")
        found.iterations += group.solver.iterations
        found.dofs = max(found.dofs, group.reduced.dofs)
        group.destroy()
    if boundary == "flux":
        average, functions = conditions.from_fluxes(posed.system, posed.sides, found.compliance, found.functions)
    else:
        functions = found.functions
        if problem.stationary and len(posed.groups) == 1 and not cell.mirrors:
            average = np.asarray(found.stationary(cell.comm) / cell.lattice.volume)
        else:
            average = averages(cell, problem, functions, hill=conditions.together(cell, problem, boundary))
    clock.lap("average")
    posed.destroy()
    return Correctors(
        functions=tuple(functions),
        average=average,
        residual_norms=found.residuals,
        problem=problem,
        spaces=tuple(space.space for space in posed.system.spaces),
        dofs=found.dofs,
        iterations=found.iterations,
        left_kernel=found.left_kernel,
        seconds=clock.seconds,
    )


def left_kernel(cell: UnitCell, problem: CellProblem, *, backend: str | None = None) -> tuple[Any, ...]:
    r"""Return a basis of the fields m with :math:`a(v, m)=0` for every periodic v; collective.

    One for each connected part and each field that the form does not feel a constant of, with the mean 1 over that
    part: the invariant densities of a drift and a diffusion, for which a load is made (:math:`\ell(m)=0`).

    Parameters
    ----------
    cell, problem, backend
        As in :func:`solve_correctors`; of the problem its fields and its bilinear form.

    Returns
    -------
    tuple of fem.Function
        Or of tuples of them, of several fields.
    """
    posed = Posed(cell, problem, backend, "periodic")
    posed.require_room(direct=False)
    posed.assemble(sides=False)
    (planes,) = posed.groups
    reduced = posed.unknowns[planes]
    operator = posed.operator(reduced, nested=False)
    found = kernels_of(reduced, operator, posed.parts, symmetric=problem.kind != "general")
    result = tuple(posed.mean_one(reduced, vector) for vector in found.left)
    found.destroy()
    posed.destroy()
    return result
