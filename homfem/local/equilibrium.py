r"""Fluxes with a given divergence and of the least energy, with normal components that are continuous.

For loads of a divergence s, work w and outflow through walls t, all of polynomials on each simplex,

.. math:: \min_q\int q\cdot D^{-1}q-2\int w\cdot q\qquad\text{over}\quad
          \nabla\cdot q=s\text{ in each K},\quad q\cdot n\text{ continuous},\quad q\cdot n=t\text{ on the walls}

among the fields q of one degree with linear normal components on the facets (:mod:`homfem.local.equilibrium_elements`).
What each facet asks is imposed by a multiplier :math:`\lambda`, linear on it (Arnold and Brezzi 1985), and q is
eliminated: with the element's :math:`H` and :math:`S_K=C^THC` it is that of

.. math:: \sum_KS_K\lambda = t-\sum_KC^Tq_0 ,\qquad q=q_0+HC\lambda ,

:math:`q_0` the field of the multiplier zero. The matrix is that of :mod:`homfem.local.flux` with a larger element, the
same for all loads: it is factored, or its multigrid made, once.

**The residual.** For the multiplier that was found the value of Lagrange's function

.. math:: \Phi=\int q\cdot D^{-1}q-2\int w\cdot q+2\lambda\cdot\rho ,\qquad\rho=t-\sum_KC^Tq ,

is below that of the exact one by :math:`\rho^TS^+\rho\le\|\rho\|_1^2\sum_Kw_K`, :math:`w_K=4\max_i(S_K^+)_{ii}`, with
the argument of :mod:`homfem.local.flux`: the fields that were computed jump a little, and next to them there are some
that do not, whose energy is known to lie between :math:`\Phi` and :math:`\Phi+\|\rho\|_1^2\sum_Kw_K`. Their distance
in the energy is at most the root of the latter.

**Compatibility.** On each connected part the integral of s must be what flows out through its walls. What round-off
leaves of the difference is spread over the part; more is refused.

Source: Arnold, Brezzi 1985, doi 10.1051/m2an/1985190100071.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import brackets, solve
from homfem.brackets import EPS
from homfem.cells.unitcell import UnitCell
from homfem.local.budget import require_system
from homfem.local.equilibrium_elements import EquilibriumElements
from homfem.local.facets import FacetUnknowns, HeldUnknowns, VertexFunctions
from homfem.local.roundoff import STEPS
from homfem.parameters import Array, ConvergenceError, InputError

log = logging.getLogger("homfem")

#: At most so many solves for the residual, each to this part of it.
ROUNDS, REFINED = 3, 1e-6
#: Part of the sources of a connected part by which they may miss what flows out of it.
COMPATIBLE = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Equilibrated:
    r"""Fluxes, in mesh units: integrals over the cell, not means.

    Parameters
    ----------
    elements
        What their coefficients belong to.
    coefficients : array, shape (owned mesh cells, n, loads)
        Of the fields.
    energy : array, shape (loads, loads)
        :math:`\int q_i\cdot D^{-1}q_j`.
    value : array, shape (loads, loads)
        :math:`\Phi` of combined loads, see above.
    excess : array, shape (loads,)
        What the residual of each load can have taken off its own value; the square of what it takes off combined ones
        (:func:`homfem.brackets.shared`).
    error : array, shape (loads,)
        What round-off in the elements can have done to the values.
    dofs, iterations, seconds
        As in :class:`homfem.local.engine.Correctors`.
    """

    elements: EquilibriumElements
    coefficients: Array
    energy: Array
    value: Array
    excess: Array
    error: Array
    dofs: int
    iterations: int
    seconds: Mapping[str, float]

    def function(self, load: int, name: str) -> fem.Function:
        """Return the flux of a load as a discontinuous function on the torus."""
        return self.elements.function(self.coefficients[:, :, load], name)


class Equilibrium:
    """The flux problem on one mesh, set up for any number of loads; collective.

    Parameters
    ----------
    cell
        A whole cell of straight simplices, restricted to the phases that carry the flux.
    coefficient
        D, constant on each mesh cell.
    degree
        Of the fields; their divergence has one degree less.
    rtol, max_iterations
        See :class:`homfem.solve.LinearSolver`.

    Raises
    ------
    InputError
        For curved cells, quadrilaterals and hexahedra, and for a part between mirror planes.
    """

    def __init__(
        self, cell: UnitCell, coefficient: fem.Function, degree: int, *, rtol: float = 1e-10, max_iterations: int = 500
    ) -> None:
        if not (cell.simplicial and cell.order == 1):
            raise InputError("cell", f"{cell.kind} cells of order {cell.order}", "made of straight simplices")
        if cell.mirrors:
            raise InputError("cell", cell.name, "whole", "Do not take its symmetric part.")
        start = time.perf_counter()
        self.cell, self._number = cell, FacetUnknowns(cell)
        require_system(cell, "system of the fluxes", self._number.dofs)
        self.elements = EquilibriumElements(cell, coefficient, degree, self._number.order)
        self.weight = cell.comm.allreduce(self.elements.weight, op=MPI.SUM)
        self._matrix = self._number.matrix(self.elements.stiffness)
        self._noise = solve.round_off(self._matrix, self._number.dofs)
        self._vertices = VertexFunctions(self._number)
        held = HeldUnknowns(self._number, self._vertices, ((),))
        self._kernel = self._number.constants()
        self._solver: solve.LinearSolver | None = None
        chosen = solve.Multigrid(
            coarse=held.coarse,
            smoother=("incomplete-cholesky", "ssor"),
            direct_first=solve.DIRECT_FIRST[cell.dimension],
        )
        self._options: dict[str, Any] = {
            "rtol": rtol, "max_iterations": max_iterations, "kernel": self._kernel, "preconditioner": chosen,
            "name": "fluxes", "atol": self._noise,
        }  # fmt: skip
        self.seconds = {"assembly": time.perf_counter() - start, "preconditioner": 0.0, "solve": 0.0}

    def solve(
        self,
        divergence: Array,
        work: Array,
        outflow: Array | None = None,
        *,
        allowance: float = 1e-7,
        noise: npt.ArrayLike = 0.0,
    ) -> Equilibrated:
        r"""Solve for loads; collective.

        Parameters
        ----------
        divergence : array, shape (owned mesh cells, moments, loads)
            Integrals of s with the orthonormal polynomials of the reference simplex.
        work : array, shape (owned mesh cells, n, loads)
            :math:`\int_Kw\cdot q_i` with the fields of the element, such as
            :meth:`homfem.local.equilibrium_elements.EquilibriumElements.work_of_constants`.
        outflow : array, shape (owned mesh cells, (d + 1) d, loads)
            Integrals of t with the linear functions of the facets, in the order of the unknowns; none for closed walls.
        allowance
            Where the residual may add more than this part of the energies, it is solved for.
        noise
            What round-off may have done to the sum of the sources, of all loads or of each.

        Raises
        ------
        InputError
            If the sources of a connected part are not what flows out of it.
        ConvergenceError
        """
        lap, elements, number = time.perf_counter(), self.elements, self._number
        divergence = self._compatible(divergence, outflow, noise)
        start = elements.outflow(elements.fluxes(None, divergence, work))
        wanted = np.zeros_like(start) if outflow is None else outflow
        sides = [number.vector(wanted[:, :, j] - start[:, :, j]) for j in range(work.shape[2])]
        multipliers = [self._matrix.createVecRight() for _ in sides]
        if self._solver is None:
            self._solver = solve.solve_with(self._matrix, sides, multipliers, noise=self._noise, **self._options)
            self.seconds["preconditioner"] += self._solver.setup_seconds
            lap += self._solver.setup_seconds
        else:
            for x in multipliers:
                x.set(0.0)
            self._solver.solve_all(sides, multipliers, noise=self._noise)
        for side in sides:
            side.destroy()
        found = _Found(self, divergence, work, wanted)
        self._refine(found, multipliers, allowance)
        self.seconds["solve"] += time.perf_counter() - lap
        for x in multipliers:
            x.destroy()
        return Equilibrated(
            elements=elements,
            coefficients=found.coefficients,
            energy=found.energy,
            value=found.value,
            excess=found.excess,
            error=found.error,
            dofs=number.dofs,
            iterations=self._solver.iterations,
            seconds=dict(self.seconds),
        )

    def _refine(self, found: _Found, multipliers: Sequence[PETSc.Vec], allowance: float) -> None:
        """Solve for the residual while it may add more than this part of the energies, and falls; collective."""
        assert self._solver is not None
        rests, best = found.take(multipliers), math.inf
        for _ in range(ROUNDS):
            added = brackets.share(found.excess, np.diag(found.energy))
            if added <= allowance or added > 0.25 * best:
                break
            best = added
            log.info("fluxes: the residual may add %.1e of the energy, %.1e is wanted", added, allowance)
            steps = [x.duplicate() for x in multipliers]
            try:
                self._solver.solve_all(rests, steps, rtol=REFINED)
            except ConvergenceError as error:
                log.info("%s", error)  # what was reached is a bound, whatever it is
            for x, step in zip(multipliers, steps, strict=True):
                x.axpy(1.0, step)
                step.destroy()
            for rest in rests:
                rest.destroy()
            rests = found.take(multipliers)
        for rest in rests:
            rest.destroy()

    def _compatible(self, divergence: Array, outflow: Array | None, noise: npt.ArrayLike) -> Array:
        """The sources less what round-off leaves of their sum over each connected part; collective."""
        part, comm = self.cell.part_of_cell[: len(divergence)], self.cell.comm
        parts = comm.allreduce(int(part.max(initial=0)), op=MPI.MAX) + 1
        mean, loads = divergence[:, 0], divergence.shape[2]
        root = math.sqrt(math.factorial(self.cell.dimension))  # the constant among the polynomials
        sums = np.zeros((3, parts, loads))
        np.add.at(sums[0], part, mean / root)
        np.add.at(sums[1], part, np.abs(divergence).sum(axis=1) / root)
        if outflow is not None:
            np.add.at(sums[0], part, -outflow.sum(axis=1))
            np.add.at(sums[1], part, np.abs(outflow).sum(axis=1))
        volume = np.bincount(part, weights=self.elements.determinant, minlength=parts)
        sums, volume = comm.allreduce(sums, op=MPI.SUM), comm.allreduce(volume, op=MPI.SUM)
        wrong = np.abs(sums[0]) > COMPATIBLE * sums[1].max(axis=0) + np.asarray(noise)
        if wrong.any():
            number = int(np.flatnonzero(wrong.any(axis=1))[0])
            raise InputError(
                "divergence", float(sums[0][number][wrong[number]][0]), "what flows out of each connected part",
                "With several channels that are not joined each must have the same mean velocity.",
            )  # fmt: skip
        result = divergence.copy()
        result[:, 0] -= root * (sums[0] / volume[:, None])[part] * self.elements.determinant[:, None]
        return result

    @functools.cached_property
    def _side(self) -> Array:
        """1 or -1 on the two sides of each inner facet, 0 on walls; shape (m, d + 1). Collective."""
        d, count = self.cell.dimension, len(self.elements.determinant)
        first = self.cell.mesh.topology.index_map(d).local_range[0]
        own = 1.0 + (d + 1) * (first + np.arange(count))[:, None] + np.arange(d + 1)
        vector = self._number.vector(np.repeat(own, d, axis=1))
        other = self._number.local(vector)[:, ::d] - own
        vector.destroy()
        return np.where(other == 0.0, 0.0, np.where(own > other, 1.0, -1.0))

    def wall_areas(self) -> Array:
        """Return the areas of walls, shape (owned mesh cells, d + 1), zero of other facets; collective."""
        return np.where(self._side == 0.0, self.elements.areas(), 0.0)

    def single_valued(self, outflow: Array) -> Array:
        """Return the moments on facets with the mean of their two sides in place of each, zero on walls; collective.

        Parameters
        ----------
        outflow : array, shape (owned mesh cells, (d + 1) d, loads)
            In the order of the unknowns.
        """
        number, result = self._number, np.empty_like(outflow)
        sign = 0.5 * np.repeat(self._side, self.cell.dimension, axis=1)
        for j in range(outflow.shape[2]):
            mean = number.vector(sign * outflow[:, :, j])
            result[:, :, j] = 2.0 * sign * number.local(mean)
            mean.destroy()
        return result

    def destroy(self) -> None:
        """Free the PETSc objects; collective."""
        if self._solver is not None:
            self._solver.destroy()
        for thing in (*self._kernel, self._matrix):
            thing.destroy()
        self._vertices.destroy()


class _Found:
    """The fields of multipliers, with their values and residuals."""

    coefficients: Array
    energy: Array
    value: Array
    excess: Array
    error: Array

    def __init__(self, problem: Equilibrium, divergence: Array, work: Array, wanted: Array) -> None:
        self._problem, self._divergence, self._work, self._wanted = problem, divergence, work, wanted

    def take(self, multipliers: Sequence[PETSc.Vec]) -> list[PETSc.Vec]:
        """Compute all of it; return the residuals. Collective."""
        problem, work, wanted = self._problem, self._work, self._wanted
        elements, number, comm = problem.elements, problem._number, problem.cell.comm
        local = np.stack([number.local(x) for x in multipliers], axis=2)
        self.coefficients = elements.fluxes(local, self._divergence, work)
        through = elements.outflow(self.coefficients)
        rests = [number.vector((wanted - through)[:, :, j]) for j in range(work.shape[2])]
        energy, size = elements.energies(self.coefficients)
        works = np.einsum("mni,mnj->ij", work, self.coefficients)
        size += 2.0 * np.einsum("mnj,mnj->j", np.abs(work), np.abs(self.coefficients))
        doubt = (np.abs(through) + np.abs(wanted)).sum(axis=(0, 1)) + np.abs(self._divergence).sum(axis=(0, 1))
        energy, works, size, doubt = (comm.allreduce(x, op=MPI.SUM) for x in (energy, works, size, doubt))
        forces = np.array([[x.dot(rest) for rest in rests] for x in multipliers])
        self.energy = energy
        self.value = energy - works - works.T + forces + forces.T
        self.error = STEPS * EPS * size
        norms = np.array([rest.norm(PETSc.NormType.N1) for rest in rests])
        self.excess = problem.weight * (norms + STEPS * EPS * doubt) ** 2
        return rests
