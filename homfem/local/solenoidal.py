r"""Velocities that have no divergence for what they carry, and the quadrature with which that holds.

On curved mesh cells no quadrature is exact for all forms of a cell problem. One and the same for all of them, that of
:func:`measure`, keeps what holds of the discrete numbers to round-off (:mod:`homfem.local.dispersion`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.engine import solve_correctors
from homfem.local.posed import Method
from homfem.local.problem import CellProblem, Field, element_of
from homfem.parameters import Array


def exactness_of(cell: UnitCell, degree: int, velocity: Any = None) -> int:
    r"""Return the degree of the quadrature on curved mesh cells that is exact for convection.

    Of a velocity of the degree q, correctors of the degree p and maps of the order g,
    :math:`\int v\cdot\nabla u\,w\,|\det J|` has the degree :math:`q+2p-1+(d-1)(g-1)` on simplices: the cofactors of J,
    not its inverse, are what is left.

    Parameters
    ----------
    cell
    degree
        p.
    velocity
        v, or q; of an expression, and on other mesh cells, the degree is 4p.
    """
    of_velocity = degree_of(velocity) if isinstance(velocity, fem.Function) else velocity
    if not cell.simplicial or not isinstance(of_velocity, int):
        return 4 * degree
    return of_velocity + 2 * degree - 1 + (cell.dimension - 1) * (cell.order - 1)


def degree_of(function: fem.Function) -> int:
    """Return the degree of the elements of a function."""
    return int(function.function_space.ufl_element().degree)


def measure(cell: UnitCell, exactness: int, kind: str = "dx") -> ufl.Measure:
    """Return the measure of all forms: of one quadrature for all where no quadrature is exact.

    What holds of the discrete numbers to round-off holds then on curved mesh cells, too. ``exactness`` is the degree of
    the quadrature there.
    """
    points = {} if cell.affine else {"quadrature_degree": exactness}
    return ufl.Measure(kind, domain=cell.mesh, metadata=points)


def stiffness_matrix(cell: UnitCell, degree: int, exactness: int) -> PETSc.Mat:
    r"""Return the matrix of :math:`\int\nabla u\cdot\nabla w` on Lagrange's elements; collective.

    It is that of a component of the flow, of :func:`solenoidal` and, times the diffusivity, of the diffusion.
    """
    space, dx = solve.function_space(cell.mesh, "Lagrange", degree), measure(cell, exactness)
    form = solve.compile_formula(
        ("stiffness", None if cell.affine else exactness),
        lambda: ufl.inner(ufl.grad(ufl.TrialFunction(space)), ufl.grad(ufl.TestFunction(space))) * dx,
        solve.Terminals(mesh=cell.mesh, spaces=[space]),
    )
    return solve.assemble_matrix(form)


def solenoidal(
    cell: UnitCell,
    velocities: Sequence[fem.Function],
    degree: int,
    method: Method | None = None,
    stiffness: PETSc.Mat | None = None,
) -> tuple[tuple[fem.Function, ...], Array]:
    r"""Return :math:`\phi` of each field: what of it does work on the correctors is its gradient; collective.

    :math:`\int(v-\nabla\phi)\cdot\nabla w=0` for every w of the degree: then :math:`v-\nabla\phi` has no divergence and
    passes no wall, as far as these functions can tell.

    Parameters
    ----------
    cell
        Restricted to the phases that carry.
    velocities
        v, vector functions of one space.
    degree
        Of the correctors.
    method
        How the systems are solved.
    stiffness
        The matrix of :func:`stiffness_matrix` at the degree, if there is one already.

    Returns
    -------
    phi
    array, shape (velocities,)
        :math:`(\int|\nabla\phi|^2)^{1/2}`: small beside that of v for a field that has no divergence.
    """
    points = exactness_of(cell, degree, velocities[0])
    dx, exact = measure(cell, points), None if cell.affine else points
    # In units of its own: what round-off leaves of a field without divergence is told by its size.
    speeds = np.array([size_at_nodes(velocity) for velocity in velocities])
    speeds[speeds == 0.0] = 1.0
    units = fem.Constant(cell.mesh, 1.0 / speeds)

    def linear(v: Any, s: Any) -> ufl.Form:
        field = sum(s[k] * units[k] * velocity for k, velocity in enumerate(velocities))
        return ufl.inner(field, ufl.grad(v)) * dx

    problem = CellProblem(
        name="divergence",
        fields=(Field(element=element_of(cell, "Lagrange", degree), name="potential"),),
        loads=len(velocities),
        bilinear=lambda u, v: ufl.inner(ufl.grad(u), ufl.grad(v)) * dx,
        linear=linear,
        average=lambda w, s, z, t: linear(w, t) + linear(z, s) - ufl.inner(ufl.grad(w), ufl.grad(z)) * dx,
        stationary=True,
        domain=cell.mesh,
        given=[*velocities, units],
        assembled={} if stiffness is None else {"bilinear": stiffness},
        formula=("divergence", exact, len(velocities)),
    )
    how = method or Method()
    found = solve_correctors(
        cell, problem, preconditioner=how.preconditioner, rtol=how.rtol, max_iterations=how.max_iterations
    )
    for potential, speed in zip(found.functions, speeds, strict=True):
        potential.x.array[:] *= speed
    energies = np.maximum(np.diag(found.average), 0.0) * cell.lattice.volume
    return found.functions, speeds * np.sqrt(energies)


def size_at_nodes(function: fem.Function) -> float:
    """The root mean square of the values at the nodes; collective."""
    space = function.function_space
    own = function.x.array[: space.dofmap.index_map.size_local * space.dofmap.index_map_bs]
    square, count = solve.summed(space.mesh.comm, [own @ own, len(own)])
    return float(np.sqrt(square / count))
