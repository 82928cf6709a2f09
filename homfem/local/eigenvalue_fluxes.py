r"""The fluxes of a lower bound of an eigenvalue: the least :math:`A_2` of :mod:`homfem.local.eigenvalue_bounds`.

Raviart and Thomas's elements, with continuous normal components but on the surfaces inside of the active phases where
something happens: there both sides have one of their own, and what the surface takes is the difference,
:math:`s=Ku-[\tau\cdot n]`. The flux is :math:`\tau=\tau_0+\sum_c\chi_c\tau_c` with one more field :math:`\tau_c` for
each colour c of mesh cells, :math:`\chi_c` its indicator, of which the normal components on those surfaces alone are
unknown. The colours of both sides of a surface differ: they are the phases, and in a phase with a surface inside of it
as many more as that takes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import basix.ufl
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.flux import inverse_coefficient
from homfem.local.membranes import times
from homfem.local.problem import element_of
from homfem.local.reaction import Reacting
from homfem.parameters import ConvergenceError

log = logging.getLogger("homfem")

Indices = npt.NDArray[np.int32]
#: Relative residual of the fluxes, where they are solved for without factors.
LOOSE = 1e-6


def least_square(medium: Reacting, function: fem.Function, gamma: float, degree: int) -> tuple[float, int]:
    """Return the number A_2 of the best flux of at most a degree, and its unknowns; collective."""
    square = Square.of(medium, function, gamma)
    fluxes, matrix = best_fluxes(square, degree)
    side = fluxes.side(square.linear(fluxes.tests))
    (found,) = fluxes.solved(matrix, [side])
    dofs = int(matrix.getSize()[0])
    for thing in (matrix, side):
        thing.destroy()
    return solve.integrate(square.value(fluxes.parts(found))), dofs


def best_fluxes(square: Square, degree: int) -> tuple[Fluxes, PETSc.Mat]:
    """Return the fluxes of the largest degree up to one whose factors are cheap, and their matrix; collective."""
    while True:
        fluxes = Fluxes(square.medium, square, degree)
        matrix = fluxes.matrix(square)
        if degree == 1 or solve.cheap(matrix):
            return fluxes, matrix
        matrix.destroy()
        degree -= 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Surface:
    """A surface on which something happens: its number, its owned and ghost facets, and those inside by a colour.

    ``inside`` has for each colour that stands first at some inner facet these facets; ``inner`` says whether there are
    any on any rank.
    """

    number: int
    facets: Indices
    inside: dict[int, Indices]
    inner: bool


def _surfaces(medium: Reacting) -> tuple[list[_Surface], Indices]:
    """The surfaces that react or hold, and the colour of each local mesh cell; collective."""
    surfaces, cell = medium.surfaces, medium.cell
    if surfaces is None:
        return [], cell.phase_of_cell
    d, topology = cell.dimension, cell.mesh.topology
    links, outer = topology.connectivity(d - 1, d), dmesh.exterior_facet_indices(topology)
    acting = [k for k, pair in enumerate(zip(surfaces.rates, surfaces.capacities, strict=True))
              if any(float(one.value) > 0.0 for one in pair)]  # fmt: skip
    facets = {k: surfaces.tags.indices[surfaces.tags.values == k] for k in acting}
    inner = {k: np.setdiff1d(facets[k], outer).astype(np.int32) for k in acting}
    sides = {k: np.stack([links.array[links.offsets[inner[k]] + i] for i in (0, 1)], axis=1) for k in acting}
    colours = _colours(cell, np.concatenate([np.zeros((0, 2), dtype=np.int32), *sides.values()]))
    known = sorted({int(colour) for own in cell.comm.allgather(np.unique(colours)) for colour in own})
    found = []
    for k in acting:
        first = colours[sides[k]].min(axis=1, initial=np.iinfo(np.int32).max)
        found.append(
            _Surface(
                number=k,
                facets=facets[k],
                inside={colour: inner[k][first == colour] for colour in known},
                inner=bool(cell.comm.allreduce(len(inner[k]), op=MPI.SUM)),
            )
        )
    return found, colours


def _colours(cell: UnitCell, sides: Indices) -> Indices:
    """Colours of the local mesh cells that differ on both sides of all facets: the phase, or more; collective.

    ``sides`` has the mesh cells on both sides of owned and ghost facets.
    """
    alike = cell.phase_of_cell[sides[:, 0]] == cell.phase_of_cell[sides[:, 1]]
    number = _dolfinx.original_cell_index(cell.mesh)
    gathered = cell.comm.allgather(number[sides[alike]])
    pairs = np.unique(np.sort(np.concatenate(gathered), axis=1), axis=0)
    result = cell.phase_of_cell.astype(np.int32)
    if not len(pairs):
        return result
    neighbours: dict[int, list[int]] = {}
    for one, other in pairs.tolist():
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    shade: dict[int, int] = {}
    for one, others in sorted(neighbours.items()):
        taken = {shade.get(other, -1) for other in others}
        shade[one] = next(k for k in range(len(others) + 1) if k not in taken)
    stride = max(cell.phases.values()) + 1
    for local in np.flatnonzero(np.isin(number, pairs)):
        result[local] += stride * shade[int(number[local])]
    return result


@dataclass(frozen=True, kw_only=True, eq=False)
class Square:
    """The number A_2 as a function of the flux, which is given by its fields."""

    medium: Reacting
    inverse: fem.Function
    total: Any
    shift: fem.Constant
    function: fem.Function

    @classmethod
    def of(cls, medium: Reacting, function: fem.Function, gamma: float) -> Self:
        """Return that of a function and a shift."""
        shift = fem.Constant(medium.cell.mesh, gamma)
        return cls(
            medium=medium,
            inverse=inverse_coefficient(medium.diffusivity, medium.cell.dimension),
            total=medium.rate + shift * medium.capacity,
            shift=shift,
            function=function,
        )

    @cached_property
    def _found(self) -> tuple[list[_Surface], Indices]:
        return _surfaces(self.medium)

    @property
    def surfaces(self) -> list[_Surface]:
        """Those on which something happens."""
        return self._found[0]

    @cached_property
    def indicators(self) -> dict[int, fem.Function]:
        """Those of the colours that have a field of their own, in their order."""
        cell, (surfaces, colours) = self.medium.cell, self._found
        result = {}
        for colour in sorted(set().union(*(surface.inside for surface in surfaces))):
            if cell.comm.allreduce(sum(len(surface.inside[colour]) for surface in surfaces), op=MPI.SUM):
                result[colour] = fem.Function(solve.function_space(cell.mesh, "DG", 0))
                result[colour].x.array[:] = colours == colour
        return result

    def flux(self, parts: Any) -> tuple[Any, Any]:
        """The flux of its fields, and its divergence in each mesh cell."""
        first, *others = parts
        whole, divergence = first, ufl.div(first)
        for inside, other in zip(self.indicators.values(), others, strict=True):
            whole, divergence = whole + inside * other, divergence + inside * ufl.div(other)
        return whole, divergence

    def taken(self) -> list[tuple[Any, Any, Any, Any]]:
        """For each surface its K, k_s', what of a flux flows into it, and its measure; the inner facets apart."""
        surfaces = self.medium.surfaces
        if surfaces is None:
            return []
        n, result = ufl.FacetNormal(self.medium.cell.mesh), []
        for surface in self.surfaces:
            k = surface.number
            capacity, (outer, inner) = surfaces.capacities[k], surfaces.measures(k)
            total = surfaces.rates[k] + self.shift * capacity
            result.append((capacity, total, lambda tau: ufl.inner(tau, n), outer))
            if surface.inner:
                jump = lambda tau: ufl.inner(tau("+"), n("+")) + ufl.inner(tau("-"), n("-"))  # noqa: E731
                result.append((capacity, total, jump, inner))
        return result

    def surfaces_taken(self) -> list[tuple[int, tuple[Any, Any, Any, Any]]]:
        """The same, each with the number of its surface."""
        numbers = [one.number for one in self.surfaces for _ in range(1 + one.inner)]
        return list(zip(numbers, self.taken(), strict=True))

    def bilinear(self, trial: Any, test: Any) -> ufl.Form:
        """The part that is of second order in the flux."""
        (tau, source), (sigma, other) = self.flux(trial), self.flux(test)
        form = ufl.inner(times(self.inverse, tau), sigma) * ufl.dx + source * other / self.total * ufl.dx
        for _, total, into, part in self.taken():
            form += into(tau) * into(sigma) / total * part
        return form

    def linear(self, test: Any) -> ufl.Form:
        """The negative of half of the part that is of first order."""
        sigma, source = self.flux(test)
        form = -self.medium.capacity * self.function * source / self.total * ufl.dx
        for capacity, total, into, part in self.taken():
            form += capacity * on(self.function, part) * into(sigma) / total * part
        return form

    def value(self, parts: Any) -> ufl.Form:
        """The whole, a sum of squares."""
        tau, source = self.flux(parts)
        form = ufl.inner(times(self.inverse, tau), tau) * ufl.dx
        form += (self.medium.capacity * self.function + source) ** 2 / self.total * ufl.dx
        for capacity, total, into, part in self.taken():
            form += (capacity * on(self.function, part) - into(tau)) ** 2 / total * part
        return form


def on(function: Any, part: ufl.Measure) -> Any:
    """Return a continuous function on outer facets, or on inner ones."""
    return ufl.avg(function) if part.integral_type() == "interior_facet" else function


class Fluxes:
    """The fields of the fluxes, and which of their unknowns are free; collective."""

    def __init__(self, medium: Reacting, square: Square, degree: int) -> None:
        cell, mesh, surfaces = medium.cell, medium.cell.mesh, square.surfaces
        self._own = list(square.indicators)
        element = element_of(cell, "RT", degree)
        several = basix.ufl.mixed_element([element] * (1 + len(self._own))) if self._own else element
        self.space = fem.functionspace(mesh, several)
        at = cell.dimension - 1
        taken = np.concatenate([np.zeros(0, dtype=np.int32), *(one.facets for one in surfaces)])
        closed = np.setdiff1d(dmesh.exterior_facet_indices(mesh.topology), taken).astype(np.int32)
        index_map = self.space.dofmap.index_map
        free = np.ones(index_map.size_local + index_map.num_ghosts, dtype=bool)
        free[fem.locate_dofs_topological(self._field(0), at, closed)] = False
        for c, colour in enumerate(self._own, start=1):
            free[self._field(c).dofmap.list] = False
            inside = np.concatenate([one.inside[colour] for one in surfaces])
            free[fem.locate_dofs_topological(self._field(c), at, inside)] = True
        owned = np.flatnonzero(free[: index_map.size_local])
        rows = (owned + index_map.local_range[0]).astype(PETSc.IntType)
        self._free = PETSc.IS().createGeneral(rows, comm=mesh.comm)

    def _field(self, c: int) -> fem.FunctionSpace:
        return self.space.sub(c) if self._own else self.space

    def parts(self, whole: Any) -> tuple[Any, ...]:
        """The fields of an argument or a function."""
        return tuple(ufl.split(whole)) if self._own else (whole,)

    def matrix(self, square: Square) -> PETSc.Mat:
        """The matrix of the free unknowns."""
        trial, test = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        full = solve.assemble_matrix(square.bilinear(self.parts(trial), self.parts(test)))
        matrix = full.createSubMatrix(self._free, self._free)
        full.destroy()
        return matrix

    @property
    def tests(self) -> tuple[Any, ...]:
        """The fields of a test function."""
        return self.parts(ufl.TestFunction(self.space))

    def side(self, form: ufl.Form) -> PETSc.Vec:
        """The right-hand side of the free unknowns, of a linear form of :attr:`tests`."""
        full = solve.assemble_vector(form)
        part = full.getSubVector(self._free)
        side = part.copy()
        full.restoreSubVector(self._free, part)
        full.destroy()
        return side

    def solved(self, matrix: PETSc.Mat, sides: Sequence[PETSc.Vec]) -> list[fem.Function]:
        """What was found of the best flux of each side, whatever the solver left of it."""
        direct, result = solve.cheap(matrix), []
        solver = solve.LinearSolver(
            matrix, preconditioner="direct" if direct else "ssor", rtol=1e-10 if direct else LOOSE, name="fluxes"
        )
        first = self.space.dofmap.index_map.local_range[0]
        for side in sides:
            found = matrix.createVecRight()
            try:
                solver.solve(side, found)
            except ConvergenceError as error:
                log.info("%s What was reached gives a bound.", error)
            flux = fem.Function(self.space)
            flux.x.array[self._free.getIndices() - first] = found.array_r
            flux.x.scatter_forward()
            found.destroy()
            result.append(flux)
        solver.destroy()
        return result
