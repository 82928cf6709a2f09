r"""Velocities without divergence: the smallest change of a given one that takes its divergence away.

The flow of Taylor and Hood's element, or a formula, has a divergence on every element, with which convection is not
skew and no bound holds. A continuous quadratic velocity u, without flow through the walls, is changed to

.. math:: v=u+z ,\qquad z=\arg\min\int_{Y_f}|z|^2\quad\text{over}\quad\nabla\cdot z=-\nabla\cdot u\text{ in each K},\
          z\cdot n\text{ continuous, zero on the walls}

with z quadratic and its normal components linear (:mod:`homfem.local.equilibrium`), so that v is quadratic on each
simplex, has no divergence at all, and normal components without jumps: in the plane the curl of a cubic stream function
that is constant on each wall, with a mean drift. Its distance from the true flow is of the third
order, as that of u is.

**Exactly.** The solver leaves normal components of z that jump a little, and fluxes through facets that do not add up
to zero. So the two sides of a facet are averaged, and the flux :math:`T_F` of v through it is rounded to a multiple of
a power of two that is small enough: sums of these are exact in floating-point numbers. What then still flows out of
each simplex is handed on along a tree of the simplices to its root (:mod:`homfem.certify.stokes.lift`), exactly too,
and it is looked at that every sum is zero. With these fluxes, and all else as it was found, there is one velocity
without divergence and without jumps. The function that is returned differs from it by what round-off does to its values
at the nodes, at most :math:`\omega` in the mean square, which is in the bounds of
:mod:`homfem.certify.dispersion.bounds`.

Source: Brezzi, Douglas, Marini 1985, doi 10.1007/BF01389710; Linke 2014, doi 10.1016/j.cma.2013.10.011.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import ufl
from dolfinx import fem, la
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.brackets import EPS
from homfem.cells.unitcell import UnitCell
from homfem.certify.stokes.lift import carried_fluxes
from homfem.local.equilibrium import COMPATIBLE, Equilibrium
from homfem.local.equilibrium_elements import Moments, facet_fluxes, polynomials, reference_fluxes
from homfem.local.roundoff import STEPS
from homfem.parameters import Array, ConvergenceError, InputError

#: Binary digits of the largest flux through a facet: sums of some thousand of them are exact.
DIGITS = 46
#: Normals of walls that meet in a node are one where they differ by less.
PARALLEL = 1e-12
#: A quadratic polynomial is at most so many times its largest value at the nodes, on triangles and tetrahedra.
_BETWEEN = 4.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SolenoidalVelocity:
    r"""Velocities without divergence, quadratic on each simplex, on ``cell.mesh``.

    Parameters
    ----------
    functions
        The velocities.
    uncertainty : array, shape (velocities,)
        :math:`\omega`: each is at most so far from one without divergence and jumps, in :math:`(\int|v|^2)^{1/2}`.
    change : array, shape (velocities,)
        Its distance from what was given, relative to that, in the mean square.
    dofs, iterations, seconds
        As in :class:`homfem.local.engine.Correctors`.
    """

    functions: tuple[fem.Function, ...]
    uncertainty: Array
    change: Array
    dofs: int
    iterations: int
    seconds: Mapping[str, float]

    def combined(self, weights: Array, name: str = "velocity") -> tuple[fem.Function, float]:
        """Return a linear combination of the velocities, and its uncertainty."""
        result = fem.Function(self.functions[0].function_space, name=name)
        for weight, function in zip(weights, self.functions, strict=True):
            result.x.array[:] += weight * function.x.array
        size = float(np.abs(weights) @ self.uncertainty)
        return result, (1.0 + len(self.functions)) * size


def solenoidal(cell: UnitCell, velocities: Sequence[fem.Function], *, rtol: float = 1e-12) -> SolenoidalVelocity:
    """Return velocities without divergence and without flow through the walls, near to given ones; collective.

    Parameters
    ----------
    cell
        The part that they flow in, whole, of straight simplices.
    velocities
        Functions of a vector on ``cell.mesh``; those that are not continuous and quadratic are projected onto such. On
        walls they are taken without their normal component, and none where walls meet.
    rtol
        See :class:`homfem.solve.LinearSolver`.

    Raises
    ------
    InputError
        For what is no vector on the mesh, curved cells, quadrilaterals and hexahedra, a part between mirror planes.
    ConvergenceError
    """
    d = cell.dimension
    for velocity in velocities:
        if velocity.function_space.mesh is not cell.mesh or velocity.ufl_shape != (d,):
            raise InputError("velocity", velocity.ufl_shape, f"a function of {d} components on the mesh of the cell")
    one = fem.Function(solve.function_space(cell.mesh, "DG", 0))
    one.x.array[:] = 1.0
    problem = Equilibrium(cell, one, 2, rtol=rtol)
    space = solve.function_space(cell.mesh, "Lagrange", 2, (d,))
    u = fem.Function(space)
    divergence = Moments(cell, 1, "divergence", lambda test: -ufl.div(u) * test * ufl.dx, [u])
    walls, nodes, parts = _Walls(problem, space), [], []
    for velocity in velocities:
        _take(u, velocity)
        walls.close(u)
        nodes.append(u.x.array.reshape(-1, d)[space.dofmap.list[: len(problem.elements.determinant)]])
        parts.append(divergence())
    given, sources = np.stack(nodes, axis=3), np.stack(parts, axis=2)
    none = np.zeros((len(given), len(problem.elements.reference.fields), len(parts)))
    # The flow through all facets of u, of which its divergence is what is left.
    scale = np.abs(facet_fluxes(problem.elements, given, _nodes(cell), 2)).sum(axis=(0, 1))
    found = problem.solve(sources, none, allowance=0.0, noise=COMPATIBLE * cell.comm.allreduce(scale, op=MPI.SUM))
    functions, uncertainty = _exact(problem, given, found.coefficients, sources, walls)
    problem.destroy()
    return SolenoidalVelocity(
        functions=functions,
        uncertainty=uncertainty,
        change=changes(cell, velocities, functions),
        dofs=found.dofs,
        iterations=found.iterations,
        seconds=found.seconds,
    )


def _nodes(cell: UnitCell) -> Array:
    """The nodes of quadratic elements on the reference simplex."""
    return _dolfinx.interpolation_points(solve.function_space(cell.mesh, "DG", 2, (cell.dimension,)))


def _take(u: fem.Function, velocity: fem.Function) -> None:
    """Take the nearest continuous quadratic function in the mean square; collective."""
    space = u.function_space
    if velocity.function_space.ufl_element() == space.ufl_element():
        u.x.array[:] = velocity.x.array
        return
    terminals = solve.Terminals(mesh=space.mesh, spaces=[space], functions=[velocity])
    trial, test = ufl.TrialFunction(space), ufl.TestFunction(space)
    forms = solve.compile_formulas(
        ("velocity", "projection"), lambda: [ufl.inner(one, test) * ufl.dx for one in (trial, velocity)], terminals
    )
    matrix, side = solve.assemble_matrix(forms[0]), solve.assemble_vector(forms[1])
    solver = solve.LinearSolver(matrix, preconditioner="jacobi", rtol=1e-13, name="projection of a velocity")
    solver.solve(side, u.x.petsc_vec)
    u.x.scatter_forward()
    for thing in (solver, matrix, side):
        thing.destroy()


class _Walls:
    """What takes the normal component on walls off the nodes of quadratic vectors."""

    def __init__(self, problem: Equilibrium, space: fem.FunctionSpace) -> None:
        mesh, d = space.mesh, space.mesh.topology.dim
        tensors = fem.Function(solve.function_space(mesh, "Lagrange", 2, (d, d)))
        blocks = tensors.x.array.reshape(-1, d, d)
        slopes = np.linalg.inv(problem.elements.jacobian)
        slopes = np.concatenate([-slopes.sum(axis=1, keepdims=True), slopes], axis=1)
        normals = slopes / np.linalg.norm(slopes, axis=2, keepdims=True)
        cells, facets = np.nonzero(problem.wall_areas())
        closure = tensors.function_space.dofmap.dof_layout
        on_facet = np.array([closure.entity_closure_dofs(d - 1, k) for k in range(d + 1)])
        nodes = tensors.function_space.dofmap.list[cells[:, None], on_facet[facets]]
        squares = np.einsum("fi,fj->fij", normals[cells, facets], normals[cells, facets])
        np.add.at(blocks, nodes.ravel(), np.repeat(squares, nodes.shape[1], axis=0))
        tensors.x.scatter_reverse(la.InsertMode.add)
        tensors.x.scatter_forward()
        sizes, axes = np.linalg.eigh(blocks)
        free = np.where(sizes < PARALLEL**2 * np.maximum(sizes[:, -1:], 1e-300), 1.0, 0.0)
        free[sizes[:, -1] == 0.0] = 1.0
        self._along = np.einsum("nik,nk,njk->nij", axes, free, axes)
        self._touched = np.flatnonzero(sizes[:, -1] > 0.0)
        #: Whether a node of an owned mesh cell lies on a wall, shape (m, nodes).
        self.touched = (sizes[:, -1] > 0.0)[space.dofmap.list[: len(slopes)]]

    def close(self, u: fem.Function) -> None:
        """Take the normal components off."""
        values, own = u.x.array.reshape(-1, self._along.shape[1]), self._touched
        values[own] = np.einsum("nij,nj->ni", self._along[own], values[own])
        u.x.scatter_forward()


def _exact(
    problem: Equilibrium, given: Array, coefficients: Array, sources: Array, walls: _Walls
) -> tuple[tuple[fem.Function, ...], Array]:
    """Return u + z with fluxes that add up exactly, and the uncertainty; collective.

    Parameters
    ----------
    given : array, shape (m, nodes, d, loads)
        u at the nodes of each owned mesh cell.
    coefficients, sources
        Of z, and the moments of its divergence.
    walls
        What was done on the walls.
    """
    elements, cell, d = problem.elements, problem.cell, problem.cell.dimension
    own = elements.outflow(coefficients).reshape(len(given), d + 1, d, -1)
    at, space = _nodes(cell), solve.function_space(cell.mesh, "DG", 2, (d,))
    before = facet_fluxes(elements, given, at, 2)
    flux = before + own.sum(axis=2)
    rounded = problem.single_valued(np.repeat(flux, d, axis=1)).reshape(own.shape)[:, :, 0]
    largest = cell.comm.allreduce(float(np.abs(rounded).max(initial=0.0)), op=MPI.MAX)
    quantum = 2.0 ** (math.frexp(largest)[1] - DIGITS)
    rounded = quantum * np.round(rounded / quantum)
    rounded -= carried_fluxes(cell, rounded.sum(axis=1))
    left = float(np.abs(rounded.sum(axis=1)).max(initial=0.0))
    if cell.comm.allreduce(left, op=MPI.MAX) != 0.0:
        raise ConvergenceError(f"{cell.name}: the fluxes of a velocity do not add up to zero: {left:.1e} is left")
    wanted = problem.single_valued(own.reshape(len(own), (d + 1) * d, -1)).reshape(own.shape)
    wanted += ((rounded - before - wanted.sum(axis=2)) / d)[:, :, None]
    step = elements.linear_fields((wanted - own).reshape(len(own), (d + 1) * d, -1))
    linear = reference_fluxes(d, 1)
    tables = [one.fields @ polynomials(d, one.degree, at)[0].T for one in (elements.reference, linear)]
    change = sum(np.einsum("mnj,nax->mxaj", c, table) for c, table in zip((coefficients, step), tables, strict=True))
    change = np.einsum("mab,mxbj->mxaj", elements.jacobian, change) / elements.determinant[:, None, None, None]
    functions = []
    for j in range(given.shape[3]):
        function = fem.Function(space, name=f"velocity_{j + 1}")
        function.x.array.reshape(-1, d)[space.dofmap.list[: len(given)]] = (given + change)[..., j]
        function.x.scatter_forward()
        functions.append(function)
    # Of each value at a node: u itself, on walls without its normal component, and the sums that z is.
    terms = np.abs(coefficients).sum(axis=1) + np.abs(step).sum(axis=1) + np.abs(own).sum(axis=(1, 2))
    terms += np.abs(sources).sum(axis=1) + np.abs(before).sum(axis=1)
    stretch = np.linalg.norm(elements.jacobian, axis=(1, 2)) / elements.determinant
    sizes = [one.largest * (1.0 + float(np.linalg.norm(one.lifting, 2))) for one in (elements.reference, linear)]
    factor = max(*sizes, float(np.linalg.norm(np.linalg.inv(linear.traces), 2)))
    size = STEPS * EPS * (np.abs(given).max(axis=(1, 2)) + factor * stretch[:, None] * terms)
    slip = np.where(walls.touched[:, :, None, None], np.abs(given), 0.0).max(axis=(1, 2))
    size += d * PARALLEL * slip
    square = (elements.determinant / math.factorial(d)) @ (_BETWEEN * size) ** 2
    return tuple(functions), np.sqrt(cell.comm.allreduce(np.asarray(square), op=MPI.SUM))


def changes(cell: UnitCell, given: Sequence[fem.Function], found: Sequence[fem.Function]) -> Array:
    """Return distances in the mean square, relative to what was given; collective."""
    u, v = fem.Function(given[0].function_space), fem.Function(found[0].function_space)
    forms = solve.compile_formulas(
        ("velocity", "change"),
        lambda: [ufl.inner(w, w) * ufl.dx for w in (v - u, u)],
        solve.Terminals(mesh=cell.mesh, functions=[u, v]),
    )
    values, result = [solve.integral(form) for form in forms], []
    for one, other in zip(given, found, strict=True):
        u.x.array[:], v.x.array[:] = one.x.array, other.x.array
        apart, size = (value() for value in values)
        result.append(np.sqrt(apart / size) if size > 0.0 else 0.0)
    return np.array(result)
