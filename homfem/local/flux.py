r"""The diffusion cell problem in its fluxes, one degree above Crouzeix-Raviart: a sharper lower bound.

The effective tensor is also a maximum over fluxes: for every field :math:`\sigma` that is periodic, free of divergence
and without flux through insulated walls,

.. math:: \xi\cdot D^*\xi \;\ge\; \frac1{|Y|}\int (2\,\xi\cdot\sigma - \sigma\cdot D^{-1}\sigma)\,dy .

Here :math:`\sigma` is linear on each simplex with :math:`\nabla\cdot\sigma=0` (the divergence-free fields of
Raviart-Thomas of second order) and its normal component is continuous. Continuity is imposed by a multiplier
:math:`\lambda`, linear on each facet (Arnold and Brezzi 1985), and :math:`\sigma` is eliminated element by element:

.. math:: \sigma_K = A_K^{-1} C_K(\lambda + \xi\cdot x),\qquad
          A_K = \int_K \tau_i\cdot D^{-1}\tau_j,\qquad C_K = \int_{\partial K}\mu_j\,\tau_i\cdot n ,

for a basis :math:`\tau_i` of the divergence-free linear fields (:math:`d + d^2 - 1` of them) and the functions
:math:`\mu_j` of the facets. What is left is a symmetric problem for :math:`\lambda` that looks like a conforming one,

.. math:: \sum_K \mu^T S_K(\lambda+\xi\cdot x) = 0\quad\text{for all }\mu,\qquad S_K = C_K^TA_K^{-1}C_K .

It says that :math:`[\sigma\cdot n]` vanishes on every inner and period facet and :math:`\sigma\cdot n` on every wall.
Its minimal energy per volume,

.. math:: \frac1{|Y|}\sum_K(\lambda+\xi\cdot x)^TS_K(\lambda+\xi\cdot x)
          = \frac1{|Y|}\int\sigma\cdot D^{-1}\sigma = \xi\cdot\langle\sigma\rangle ,

is the value of the maximum above for this :math:`\sigma`: a lower bound of :math:`\xi\cdot D^*\xi`.

On the part of a cell between its mirror planes :math:`\lambda=0` on the planes across the load, where the potential is
a constant, and on the others nothing is asked: :math:`\sigma\cdot n=0` comes out. The mirror images of
:math:`\sigma` make a flux of the whole cell.

The solver leaves a residual :math:`\rho`: the energy computed is too high by :math:`\rho^TA^+\rho`. On one element any
two unknowns obey :math:`|\mu_i-\mu_j|^2\le w_K\,\mu^TS_K\mu` with :math:`w_K = 4\max_i(S_K^+)_{ii}`, and the argument
of :mod:`homfem.certify` gives :math:`\rho^TA^+\rho\le\|\rho\|_1^2\sum_Kw_K`.

Energy and residual are summed element by element, with the mean of :math:`\lambda+\xi\cdot x` over each element taken
out: :math:`S_K` does not feel it, but the digits of the sums do. Where the residual matters it is solved for once more.

**Membranes** of permeability h (:mod:`homfem.local.membranes`) have two multipliers, one for each side, which

.. math:: \int_\Gamma h\,(\lambda_+-\lambda_-)(\mu_+-\mu_-)

ties to each other. Tested with the linear :math:`\mu_+` it says that :math:`\sigma\cdot n=h\,(\lambda_+-\lambda_-)`
with n towards the + side: the flux passes, and the energy has the term :math:`\int_\Gamma h(\lambda_+-\lambda_-)^2
=\int_\Gamma(\sigma\cdot n)^2/h` of the maximum principle with membranes. On a facet the unknowns at a vertex obey
:math:`|\mu_{+,i}-\mu_{-,i}|^2\le w_F\int_Fh(\mu_+-\mu_-)^2` with :math:`w_F=(M^{-1})_{ii}/h=d^2/(h|F|)` for the mass
matrix :math:`M=\frac{|F|}{d(d+1)}(I+11^T)`; for each pair of pieces that membranes enclose the least is added to
:math:`\sum_Kw_K`.

Source: Arnold, Brezzi 1985, doi 10.1051/m2an/1985190100071.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import brackets, solve
from homfem.brackets import EPS
from homfem.cells.unitcell import UnitCell
from homfem.local import roundoff
from homfem.local.budget import require_system
from homfem.local.facets import FacetUnknowns, HeldUnknowns, VertexFunctions
from homfem.local.fixed import Planes
from homfem.local.flux_elements import FluxElements
from homfem.local.membrane_facets import MembraneUnknowns
from homfem.local.membranes import Membranes, crossing_weight
from homfem.local.roundoff import STEPS
from homfem.parameters import Array, ConvergenceError, InputError

log = logging.getLogger("homfem")

#: At most so many solves for the residual, each to this part of it.
ROUNDS, REFINED = 3, 1e-6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fluxes:
    r"""The solved flux problem.

    Parameters
    ----------
    functions : tuple of fem.Function
        :math:`\sigma_j` for the load :math:`e_j`, linear and discontinuous with a continuous normal component.
    average : array, shape (loads, loads)
        The energy tensor; the allowance is not subtracted.
    inverse : fem.Function
        :math:`D^{-1}`, constant on each mesh cell, scalar or tensor as the coefficient is.
    excess : array, shape (loads,)
        What the algebraic residual of each load can have added to its own energy; the square of what it adds to
        combined ones (:func:`homfem.brackets.shared`).
    noise : array, shape (loads, loads)
        What round-off can have done to ``average``.
    dofs, iterations, seconds
        As in :class:`homfem.local.engine.Correctors`.
    """

    functions: tuple[fem.Function, ...]
    average: Array
    inverse: fem.Function
    excess: Array
    noise: Array
    dofs: int
    iterations: int
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def allowance(self) -> float:
        """What the algebraic residual can have added to any eigenvalue of ``average``."""
        return float(self.excess.sum())


def solve_fluxes(
    cell: UnitCell,
    coefficient: fem.Function,
    *,
    membranes: Membranes | None = None,
    axes: Sequence[int] | None = None,
    rtol: float = 1e-10,
    allowance: float = 1e-7,
    max_iterations: int = 500,
) -> Fluxes:
    """Solve the flux problem for unit loads; collective.

    Parameters
    ----------
    cell
        A cell of straight simplices, restricted to the phases that conduct.
    coefficient
        Diffusivity, constant on each mesh cell (see :func:`homfem.local.diffusion.diffusion_coefficient`).
    membranes
        Of the cell, see :func:`homfem.local.membranes.find_membranes`.
    axes
        The axes of the loads; by default all.
    rtol, max_iterations
        See :class:`homfem.solve.LinearSolver`.
    allowance
        Where the residual may add more than this part of the energies, it is solved for.

    Raises
    ------
    InputError
        For curved cells, quadrilaterals and hexahedra.
    ConvergenceError
        If a load was not solved to ``rtol``.
    """
    if not (cell.simplicial and cell.order == 1):
        raise InputError("cell", f"{cell.kind} cells of order {cell.order}", "made of straight simplices")
    start, d = time.perf_counter(), cell.dimension
    axes = list(range(d)) if axes is None else list(axes)
    number = FacetUnknowns(cell) if membranes is None else MembraneUnknowns(cell, membranes)
    vertices, groups = VertexFunctions(number), _groups(cell, axes)
    unknowns = {planes: HeldUnknowns(number, vertices, planes) for planes in groups}
    require_system(cell, "system of the fluxes", max(held.dofs for held in unknowns.values()))
    elements = FluxElements(cell, coefficient, number.order)
    matrix = number.matrix(elements.stiffness)
    weight = cell.comm.allreduce(elements.weight, op=MPI.SUM)
    if membranes is not None:
        weight += d**2 * crossing_weight(cell, membranes)
    state = _State(elements, number, elements.trace[:, :, axes], weight, [(axis,) for axis in axes])
    noise = solve.round_off(matrix, number.dofs)
    options: dict[str, Any] = {"rtol": rtol, "max_iterations": max_iterations, "name": "diffusion flux", "noise": noise}
    options["atol"] = 0.0 if membranes is None else noise
    state.seconds["assembly"] = time.perf_counter() - start
    for planes, members in groups.items():
        state.solve_for(matrix, unknowns[planes], members, allowance, options)
    matrix.destroy()
    vertices.destroy()
    return Fluxes(
        functions=tuple(elements.flux(state.inner[:, :, j], f"flux_{axis + 1}") for j, axis in enumerate(axes)),
        average=state.energy,
        inverse=inverse_coefficient(coefficient, d),
        excess=state.excess,
        noise=state.noise(),
        dofs=state.dofs,
        iterations=state.iterations,
        seconds=state.seconds,
    )


class _State:
    """The multipliers of all loads, element by element, with their energies and residuals.

    Parameters
    ----------
    elements, number
        Of the cell.
    trace : array, shape (owned mesh cells, k, loads)
        That of the loads.
    weight
        The factor of the allowance.
    axes
        Of each load, see :func:`homfem.local.roundoff.weights`.
    """

    inner: Array
    energy: Array
    excess: Array

    def __init__(self, elements: FluxElements, number: FacetUnknowns, trace: Array, weight: float, axes: Any) -> None:
        self.elements, self.number, self.trace, self._axes = elements, number, trace, axes
        loads, cell = trace.shape[2], elements.cell
        self._share = cell.copies / cell.lattice.volume
        self._weight = weight
        #: What varies inside of each mesh cell, of the multiplier and its load's trace together.
        self.inner = np.empty_like(trace)
        self.energy = np.zeros((loads, loads))
        self.excess = np.zeros(loads)
        self._error = np.zeros(loads)
        self.iterations, self.dofs = 0, 0
        self.seconds = dict.fromkeys(("assembly", "preconditioner", "solve"), 0.0)

    def solve_for(
        self, full: PETSc.Mat, held: HeldUnknowns, members: list[int], allowance: float, options: Mapping[str, Any]
    ) -> None:
        """Solve for loads that hold the same unknowns; collective."""
        lap, stiffness = time.perf_counter(), self.elements.stiffness
        matrix, kernel = held.matrix(full), held.constants()
        sides = [held.without(self.number.vector(-stiffness @ self.trace[:, :, j, None])) for j in members]
        multipliers = [matrix.createVecRight() for _ in sides]
        # With membranes the faster smoother is used on every level.
        faster = "incomplete-cholesky" + ("-throughout" if isinstance(self.number, MembraneUnknowns) else "")
        first = solve.DIRECT_FIRST[self.elements.cell.dimension]
        chosen = solve.Multigrid(coarse=held.coarse, smoother=(faster, "ssor"), direct_first=first)
        solver = solve.solve_with(matrix, sides, multipliers, kernel=kernel, preconditioner=chosen, **options)
        self.refine(held, members, multipliers, solver, allowance)
        self.iterations, self.dofs = self.iterations + solver.iterations, max(self.dofs, matrix.getSize()[0])
        self.seconds["preconditioner"] += solver.setup_seconds
        solver.destroy()
        for thing in (*kernel, *sides, *multipliers, *((matrix,) if matrix is not full else ())):
            thing.destroy()
        self.seconds["solve"] += time.perf_counter() - lap - solver.setup_seconds

    def take(self, held: HeldUnknowns, members: Sequence[int], multipliers: Sequence[PETSc.Vec]) -> list[PETSc.Vec]:
        """Energies and residuals of loads that hold the same unknowns; return the latter. Collective."""
        stiffness, comm = self.elements.stiffness, self.elements.cell.comm
        rests, images, jumps = [], [], []
        for j, x in zip(members, multipliers, strict=True):
            whole = held.local(x) + self.trace[:, :, j]
            self.inner[:, :, j] = whole - whole.mean(axis=1, keepdims=True)
            images.append((stiffness @ self.inner[:, :, j, None])[:, :, 0])
            rest = held.without(self.number.vector(-images[-1]))
            jumps.append(self.number.jumps(x, rest))
            rests.append(rest)
        for a, i in enumerate(members):
            for b, j in enumerate(members[: a + 1]):
                own = float(np.einsum("mk,mk->m", self.inner[:, :, i], images[b]).sum())
                own += float(np.sum(jumps[a][0] * jumps[b][1]))
                self.energy[i, j] = self.energy[j, i] = self._share * comm.allreduce(own, op=MPI.SUM)
        for j, rest, jump in zip(members, rests, jumps, strict=True):
            inside = self.inner[:, :, j]
            square = float(self.elements.trace_of @ (inside**2).sum(axis=1))
            absolute = math.sqrt(stiffness.shape[1]) * float(self.elements.trace_of @ np.abs(inside).sum(axis=1))
            absolute += 2.0 * float(np.abs(jump[1]).sum())
            doubt = STEPS * EPS * comm.allreduce(np.array([square, absolute]), op=MPI.SUM)
            self._error[j] = self._share * doubt[0]
            self.excess[j] = self._weight * self._share * (rest.norm(PETSc.NormType.N1) + doubt[1]) ** 2
        return rests

    def refine(
        self,
        held: HeldUnknowns,
        members: Sequence[int],
        multipliers: Sequence[PETSc.Vec],
        solver: solve.LinearSolver,
        allowance: float,
    ) -> None:
        """Solve for the residual while it may add more than this part of the energies, and falls; collective."""
        rests, best = self.take(held, members, multipliers), math.inf
        for _ in range(ROUNDS):
            added = self._added(members)
            if added <= allowance or added > 0.25 * best:
                break
            best = added
            log.info("diffusion flux: the residual may add %.1e of the energy, %.1e is wanted", added, allowance)
            steps = [x.duplicate() for x in multipliers]
            try:
                solver.solve_all(rests, steps, rtol=REFINED)
            except ConvergenceError as error:
                log.info("%s", error)  # what was reached is a bound, whatever it is
            sign = 1.0
            while True:
                for x, step in zip(multipliers, steps, strict=True):
                    x.axpy(sign, step)
                for rest in rests:
                    rest.destroy()
                rests = self.take(held, members, multipliers)
                if sign < 0.0 or self._added(members) <= best:
                    break
                sign = -1.0  # it made things worse
            for step in steps:
                step.destroy()
        for rest in rests:
            rest.destroy()

    def _added(self, members: Sequence[int]) -> float:
        """What the residuals may add, relative to the energies."""
        own = list(members)
        return brackets.share(self.excess[own], roundoff.weights(self.elements.cell, self.energy, self._axes)[own])

    def noise(self) -> Array:
        """What round-off can have done to the energies; collective."""
        count = self.elements.cell.comm.allreduce(len(self.trace), op=MPI.SUM)
        size = roundoff.weights(self.elements.cell, self.energy, self._axes)
        whole = brackets.of_round_off(np.zeros(len(size)), size, np.log2(2.0 + count) + STEPS)
        return whole + brackets.shared(self._error, size)


def _groups(cell: UnitCell, axes: Sequence[int]) -> dict[Planes, list[int]]:
    """The loads by the axes on whose mirror planes the multiplier vanishes."""
    mirrored = [mirror.axis for mirror in cell.mirrors]
    groups: dict[Planes, list[int]] = {}
    for j, axis in enumerate(axes):
        groups.setdefault(((axis,) if axis in mirrored else (),), []).append(j)
    return groups


def inverse_coefficient(coefficient: fem.Function, dimension: int) -> fem.Function:
    """Return :math:`D^{-1}` for a cell-wise constant coefficient."""
    result = fem.Function(coefficient.function_space)
    values = coefficient.x.array
    if coefficient.ufl_shape:
        result.x.array[:] = np.linalg.inv(values.reshape(-1, dimension, dimension)).ravel()
    else:
        result.x.array[:] = 1.0 / values
    return result
