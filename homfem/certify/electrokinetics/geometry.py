r"""What straight facets on curved walls may change in the matrix of Onsager: an estimate.

A wall that moves carries its double layer along, so that equilibrium and response both change. The matrix is the value
of Lagrange's function :math:`\mathcal L(X;\psi)` of :mod:`homfem.local.electrokinetics` at its stationary point X:
velocities, pressures and potentials of the ions that are carried along with the mesh change it by nothing in the first
order. So its derivative by a displacement of the walls is that of

.. math:: \mathcal L\bigl(X_h;\psi_h(\text{walls})\bigr)

on the mesh whose nodes on the walls are moved, with the potential :math:`\psi_h` solved for anew from the one at hand:
the discrete derivative, exactly, for walls of a potential or a charge, and solids that the field enters. A quotient of
differences takes it, with a displacement that is small beside the mesh cells.

The displacements are those that straight facets stand for, as in :mod:`homfem.certify.geometry`: with their signs the
mean distance V of the surface from each facet, and, as a second term, the distance by which waves of the amplitude V
act, :math:`16V^2/\ell`, at most V (:mod:`homfem.certify.stokes.geometry`). Where walls have a charge, a third one is
that of a charge on facets that are longer than the surface around the same volume.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.electrokinetics.bounds import cell_means
from homfem.certify.electrokinetics.change import Response
from homfem.certify.geometry import Indices, excess_areas
from homfem.certify.stokes.geometry import WAVES
from homfem.local.charges import Charges
from homfem.local.electrokinetics import part_of_function, potential_on
from homfem.local.membranes import facet_areas
from homfem.local.poisson_boltzmann import solve_poisson_boltzmann
from homfem.local.problem import CellProblem, Correctors
from homfem.parameters import Array

#: The largest displacement that is made, over the least height of a mesh cell at the walls.
SMALL = 1e-3
#: The relative change of a charge that is made.
CHARGED = 1e-4


def matrix_changes(cell: UnitCell, fluid: UnitCell, response: Response) -> list[Array]:
    """Return what each of the terms above changes in the matrix of Onsager; none without curved walls. Collective.

    Parameters
    ----------
    cell, fluid
        The whole cell of straight simplices, and its fluid.
    response
        Of both on this mesh, in mesh units and in the variables of the virtual bath.
    """
    if cell.order != 1 or not cell.simplicial:
        return []
    facets, volumes, inside, outward = _walls(cell, fluid)
    owned = facets < cell.mesh.topology.index_map(cell.dimension - 1).size_local
    if not cell.comm.allreduce(np.count_nonzero(owned), op=MPI.SUM):
        return []
    areas = facet_areas(cell, facets)
    total = volumes.sum(axis=1) / areas
    waves = np.minimum(total, WAVES * total**2 / areas ** (1.0 / (cell.dimension - 1)))
    moves = (outward * (volumes[:, 0] - volumes[:, 1]) / areas, waves)
    moved = Moved(cell, fluid, response)
    found = [moved.derivative(_displacement(cell, facets, inside, move)) for move in moves]
    if response.equilibrium.charges.charges:
        sums = np.array([excess_areas(cell, facets, volumes)[owned].sum(), areas[owned].sum()])
        longer, whole = cell.comm.allreduce(sums, op=MPI.SUM)
        found.append(longer / whole * moved.by_charge())
    return found


def _walls(cell: UnitCell, fluid: UnitCell) -> tuple[Indices, Array, Indices, Array]:
    """The local curved facets between fluid and no fluid, their slivers, the cell in the fluid, the first's sign."""
    facets, volumes = cell.slivers
    links = cell.mesh.topology.connectivity(cell.dimension - 1, cell.dimension)
    first, second = links.array[links.offsets[facets]], links.array[links.offsets[facets + 1] - 1]
    flows = np.isin(cell.phase_of_cell, [cell.phases[name] for name in fluid.phase_names])
    one, other = flows[first], flows[second] & (first != second)
    walls = one != other
    inside = np.where(one, first, second)[walls]
    return facets[walls], volumes[walls], inside, np.where(one, 1.0, -1.0)[walls]


def _displacement(cell: UnitCell, facets: Indices, inside: Indices, move: Array) -> list[fem.Function]:
    """Components of a displacement of the nodes on walls, out of the fluid: means of their facets; collective."""
    mesh, d = cell.mesh, cell.dimension
    order = np.argsort(facets)
    tags = dmesh.meshtags(mesh, d - 1, facets[order], np.ones(len(facets), dtype=np.int32))
    constant = solve.function_space(mesh, "DG", 0)
    speed, within, axis = fem.Function(constant), fem.Function(constant), fem.Constant(mesh, np.zeros(d))
    areas = facet_areas(cell, facets)
    weight = np.bincount(inside, weights=areas, minlength=len(speed.x.array))
    total = np.bincount(inside, weights=areas * move, minlength=len(speed.x.array))
    speed.x.array[:], within.x.array[:] = total / np.where(weight > 0.0, weight, 1.0), weight > 0.0
    for function in (speed, within):
        function.x.scatter_forward()
    space = solve.function_space(mesh, "Lagrange", 1)
    n, test = ufl.FacetNormal(mesh), ufl.TestFunction(space)
    out, into = (ufl.Measure(kind, domain=mesh, subdomain_data=tags, subdomain_id=1) for kind in ("ds", "dS"))

    def at_walls(side: str) -> ufl.Form:
        along = lambda n: ufl.dot(axis, n)  # noqa: E731
        if side == "moved":
            pair = sum(within(s) * speed(s) * along(n(s)) for s in "+-")
            return speed * along(n) * test * out + pair * ufl.avg(test) * into
        return test * out + ufl.avg(test) * into

    def vector(form: ufl.Form) -> Array:
        assembled = solve.assemble_vector(form)
        values = np.array(assembled.array_r)
        assembled.destroy()
        return values

    size = vector(at_walls("size"))
    result = []
    for unit in np.eye(d):
        axis.value[:] = unit
        function = fem.Function(space)
        values = vector(at_walls("moved"))
        function.x.array[: len(values)] = values / np.where(size > 0.0, size, 1.0)
        function.x.scatter_forward()
        result.append(function)
    return result


class Moved:
    """The matrix of a response on meshes whose walls are moved a little; collective."""

    def __init__(self, cell: UnitCell, fluid: UnitCell, response: Response) -> None:
        self.cell, self.fluid, self.response = cell, fluid, response
        self.value = _Matrix(fluid, response.correctors)

    def derivative(self, displacement: list[fem.Function]) -> Array:
        """Return the change of the matrix by a displacement of the nodes, in the first order."""
        largest = np.sqrt(sum(one.x.array**2 for one in displacement)).max(initial=0.0)
        largest = self.cell.comm.allreduce(float(largest), op=MPI.MAX)
        if largest == 0.0:
            return np.zeros_like(self.response.correctors.average)
        heights = [_least_height(part) for part in (self.cell, self.fluid)]
        small = min(1.0, SMALL * min(heights) / largest)
        meshes = [self.cell] if self.fluid is self.cell else [self.cell, self.fluid]
        kept = [part.mesh.geometry.x.copy() for part in meshes]
        try:
            for part in meshes:
                on = displacement if part is self.cell else [
                    part_of_function(part, self.cell, one) for one in displacement
                ]  # fmt: skip
                _move(part, on, small)
            return np.asarray(self._changed(self.response.equilibrium.charges) / small)
        finally:
            for part, points in zip(meshes, kept, strict=True):
                part.mesh.geometry.x[:] = points

    def by_charge(self) -> Array:
        """Return the change of the matrix by that of the charges of the walls, relative to these."""
        charges = self.response.equilibrium.charges
        more = {name: (1.0 + CHARGED) * value for name, value in charges.charges.items()}
        return np.asarray(self._changed(replace(charges, charges=more)) / CHARGED)

    def _changed(self, charges: Charges) -> Array:
        """What of the matrix is other with the meshes and the charges as they are now."""
        old = self.response.equilibrium
        degree = int(old.potential.function_space.ufl_element().degree)
        new = solve_poisson_boltzmann(self.cell, charges, degree=degree, rtol=1e-11, start=old.potential)
        given = self.response.correctors.problem.given[0]
        kept = given.x.array.copy()
        potential = potential_on(self.fluid, new)
        constant = given.function_space.ufl_element().degree == 0
        given.x.array[:] = (cell_means(potential) if constant else potential).x.array
        try:
            return np.asarray(self.value() - self.response.correctors.average)
        finally:
            given.x.array[:] = kept


class _Matrix:
    """The averaged expression of all pairs of loads, for the functions and the mesh as they are; collective."""

    def __init__(self, fluid: UnitCell, correctors: Correctors) -> None:
        problem: CellProblem = correctors.problem
        assert problem.average is not None  # the matrix is one
        self.fluid, self.correctors, self.loads = fluid, correctors, problem.loads
        self.one, self.two = ([fem.Function(space) for space in correctors.spaces] for _ in range(2))
        self.s, self.t = (fem.Constant(problem.domain, np.zeros(problem.loads)) for _ in range(2))
        self.integral = solve.integral(problem.average(self.one, self.s, self.two, self.t))

    def __call__(self) -> Array:
        """Return the matrix."""
        result, units = np.empty((self.loads, self.loads)), np.eye(self.loads)
        for i in range(self.loads):
            self._take(self.one, self.s, i, units)
            for j in range(i + 1):
                self._take(self.two, self.t, j, units)
                result[i, j] = result[j, i] = self.integral()
        return np.asarray(result / self.fluid.lattice.volume, dtype=np.float64)

    def _take(self, functions: list[fem.Function], force: fem.Constant, j: int, units: Array) -> None:
        force.value[:] = units[j]
        for function, source in zip(functions, self.correctors.functions[j], strict=True):
            function.x.array[:] = source.x.array


def _move(part: UnitCell, displacement: list[fem.Function], small: float) -> None:
    """Move the nodes of a mesh of straight simplices."""
    nodes = _dolfinx.geometry_dofmap(part.mesh)
    for axis, function in enumerate(displacement):
        values = function.x.array[function.function_space.dofmap.list]
        points = part.mesh.geometry.x[:, axis].copy()
        points[nodes] += small * values
        part.mesh.geometry.x[:, axis] = points


def _least_height(part: UnitCell) -> float:
    """The least height of a simplex; collective."""
    d = part.dimension
    corners = part.mesh.geometry.x[_dolfinx.geometry_dofmap(part.mesh)][:, :, :d]
    gradients = np.linalg.inv((corners[:, 1:] - corners[:, :1]).transpose(0, 2, 1))
    slopes = np.concatenate([gradients, -gradients.sum(axis=1, keepdims=True)], axis=1)
    own = float((1.0 / np.linalg.norm(slopes, axis=2)).min(initial=np.inf))
    return float(part.comm.allreduce(own, op=MPI.MIN))
