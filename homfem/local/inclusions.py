r"""A solute that reacts on its way into inclusions in which it diffuses slowly: a problem in each, from both sides.

In the inclusions P the concentration over that outside is w,

.. math:: \nabla\cdot(D\nabla w)=k\,w\text{ in }P,\qquad w=1\text{ on }\partial P,

and what they consume is the least energy: with :math:`J(w)=\int_Pk\,w^2+\nabla w\cdot D\nabla w`,

.. math:: \int_Pk\,w=\min_{w=1\text{ on }\partial P}J(w)
    =\max_\tau\;2\int_{\partial P}\tau\cdot n-\int_P\tau\cdot D^{-1}\tau+\tfrac1k(\nabla\cdot\tau)^2 .

Conforming elements give more, Raviart and Thomas' give less, at any residual of the solver; the difference is
:math:`\int_P|\tau-D\nabla w|^2_{D^{-1}}+\frac1k(\nabla\cdot\tau-kw)^2`, which says where it is.

Source: Thiele 1939, doi 10.1021/ie50355a027; Aris 1975, The Mathematical Theory of Diffusion and Reaction.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.budget import require_system
from homfem.local.flux import inverse_coefficient
from homfem.local.problem import CellProblem, Correctors, Field, domain_of, element_of
from homfem.parameters import Array


def inclusion_problem(cell: UnitCell, coefficient: fem.Function, rate: fem.Function, degree: int) -> CellProblem:
    """Return the problem of 1 - w, which vanishes on the walls; its average is the energy J over the cell's volume.

    Parameters
    ----------
    cell
        The inclusions alone.
    coefficient, rate
        On each mesh cell; the rate > 0, in mesh units.
    degree
        Of the elements.
    """

    def flux(gradient: Any) -> Any:
        return coefficient * gradient if not coefficient.ufl_shape else ufl.dot(coefficient, gradient)

    def average(u: Any, s: Any, v: Any, t: Any) -> ufl.Form:
        return (ufl.inner(flux(ufl.grad(u)), ufl.grad(v)) + rate * (s[0] - u) * (t[0] - v)) * ufl.dx

    return CellProblem(
        name="reaction in inclusions",
        fields=(Field(element=element_of(cell, "Lagrange", degree), fixed_walls=True, name="consumed"),),
        loads=1,
        bilinear=lambda u, v: (ufl.inner(flux(ufl.grad(u)), ufl.grad(v)) + rate * u * v) * ufl.dx,
        linear=lambda v, s: s[0] * rate * v * ufl.dx,
        average=average,
        flux=lambda u, _: flux(ufl.grad(u)),
        domain=domain_of(cell),
        coefficients={"diffusivity": coefficient, "rate": rate},
        formula=("reaction in inclusions",),
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Supply:
    """Fluxes into the inclusions: the lower side.

    Parameters
    ----------
    functions : tuple of one fem.Function
        The flux, Raviart-Thomas.
    average : array, shape (1, 1)
        The value of the maximum, over the cell's volume.
    places : array, shape (owned mesh cells,)
        Where the difference to the upper side is, over the cell's volume.
    dofs, iterations, seconds
        As in :class:`homfem.local.problem.Correctors`.
    """

    functions: tuple[fem.Function, ...]
    average: Array
    places: Array
    dofs: int
    iterations: int
    seconds: Mapping[str, float]


def solve_supply(
    cell: UnitCell, coefficient: fem.Function, rate: fem.Function, above: Correctors, *, degree: int, rtol: float
) -> Supply:
    """Return the lower side of a degree, 1 or more, beside the conforming one; collective.

    Raises
    ------
    MemoryLimitError, BudgetError
        If the system is larger than it may be.
    ConvergenceError
        If it was not solved.
    """
    start, mesh, d = time.perf_counter(), cell.mesh, cell.dimension
    space = solve.function_space(mesh, "RT", degree)
    dofs = space.dofmap.index_map.size_global * space.dofmap.index_map_bs
    require_system(cell, "system of the flux into inclusions", dofs, direct=True)
    inverse = inverse_coefficient(coefficient, d)
    trial, test, tau = ufl.TrialFunction(space), ufl.TestFunction(space), fem.Function(space, name="flux")

    def energy(s: Any, t: Any) -> Any:
        resisted = inverse * s if not inverse.ufl_shape else ufl.dot(inverse, s)
        return ufl.inner(resisted, t) + ufl.div(s) * ufl.div(t) / rate

    normal = ufl.FacetNormal(mesh)
    matrix = solve.assemble_matrix(solve.compile_form(energy(trial, test) * ufl.dx))
    side = solve.assemble_vector(solve.compile_form(ufl.inner(test, normal) * ufl.ds))
    unknown = matrix.createVecRight()
    solver = solve.solve_with(
        matrix, [side], [unknown], preconditioner="direct", rtol=rtol, name="flux into inclusions"
    )
    owned = space.dofmap.index_map.size_local
    tau.x.array[:owned] = unknown.array_r
    tau.x.scatter_forward()
    value = solve.integrate(2.0 * ufl.inner(tau, normal) * ufl.ds - energy(tau, tau) * ufl.dx)
    share = cell.copies / cell.lattice.volume
    (gone,) = above.functions
    slope = coefficient * ufl.grad(gone) if not coefficient.ufl_shape else ufl.dot(coefficient, ufl.grad(gone))
    apart = tau + slope
    resisted = inverse * apart if not inverse.ufl_shape else ufl.dot(inverse, apart)
    density = ufl.inner(resisted, apart) + (ufl.div(tau) - rate * (1.0 - gone)) ** 2 / rate
    weight = ufl.TestFunction(solve.function_space(mesh, "DG", 0))
    places = solve.assemble_vector(solve.compile_form(density * weight * ufl.dx))
    found = places.array_r[: mesh.topology.index_map(d).size_local] * share
    for thing in (matrix, side, unknown, places):
        thing.destroy()
    iterations = solver.iterations
    solver.destroy()
    return Supply(
        functions=(tau,),
        average=np.array([[value * share]]),
        places=found,
        dofs=dofs,
        iterations=iterations,
        seconds={"solve": time.perf_counter() - start},
    )
