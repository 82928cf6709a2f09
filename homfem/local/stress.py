r"""The elastic cell problem in its stresses: a guaranteed lower bound of the effective stiffness.

The effective stiffness is also a maximum over stresses: for every symmetric field :math:`\sigma` that is periodic, in
equilibrium and without traction on the walls of voids,

.. math:: E\cdot C^*E \;\ge\; \frac1{|Y|}\int (2\,E\cdot\sigma - \sigma\cdot C^{-1}\sigma)\,dy .

Here :math:`\sigma` is a Johnson-Mercier field without divergence on each simplex
(:mod:`homfem.local.johnson_mercier`). Continuity of the traction is imposed by a multiplier :math:`\lambda`, a linear
vector on each facet, and :math:`\sigma` is eliminated element by element as in :mod:`homfem.local.flux`:

.. math:: \sigma_K = A_K^{-1}C_K(\lambda+Ex),\qquad A_K=\int_K\tau_i\cdot C^{-1}\tau_j,\qquad
          C_K=\int_{\partial K}\mu_j\cdot\tau_in,\qquad \sum_K\mu^TS_K(\lambda+Ex)=0,\quad S_K=C_K^TA_K^{-1}C_K .

:math:`S_K` vanishes on the rigid motions alone. The minimal energy per volume is a lower bound of
:math:`E\cdot C^*E`.

The algebraic residual makes the energy computed too high: :mod:`homfem.local.allowance` bounds by how much. Energies
and residuals are summed element by element, with the nearest rigid motion of each taken out of :math:`\lambda+Ex`
(:mod:`homfem.local.roundoff`).

Source: Johnson, Mercier 1978, doi 10.1007/BF01403910; Arnold, Brezzi 1985, doi 10.1051/m2an/1985190100071 (the
multipliers).
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import brackets, solve
from homfem.cells.unitcell import UnitCell
from homfem.local import roundoff
from homfem.local.allowance import Spread
from homfem.local.boundary import odd_planes
from homfem.local.budget import require_system
from homfem.local.elasticity import rigid_motions, strain_parity
from homfem.local.facets import FacetUnknowns, HeldUnknowns, VertexFunctions
from homfem.local.fixed import Planes
from homfem.local.roundoff import STEPS
from homfem.local.stress_elements import StressElements
from homfem.parameters import Array, ConvergenceError, InputError
from homfem.stiffness import PAIRS

log = logging.getLogger("homfem")

Indices = npt.NDArray[np.int64]
#: No solve is asked for a smaller relative residual than this: round-off is near.
SHARPEST = 1e-14


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stresses:
    r"""The solved stress problem.

    Parameters
    ----------
    functions : tuple of fem.Function
        For each load, a unit strain (order of :data:`homfem.stiffness.PAIRS`, engineering shear), the stress, a Voigt
        vector, as the nearest linear function on each mesh cell.
    energies : array, shape (owned mesh cells, loads)
        :math:`\int_K\sigma_j\cdot C^{-1}\sigma_j`.
    average : array, shape (loads, loads)
        The energy tensor, a Voigt matrix; the allowance is not subtracted.
    excess : array, shape (loads,)
        What the algebraic residual of each load can have added to its own energy; the square of what it adds to
        combined ones (:func:`homfem.brackets.shared`).
    noise : array, shape (loads, loads)
        What round-off can have done to ``average``.
    allowance
        What the algebraic residual can have added: ``average - allowance * identity`` is a lower bound.
    dofs, iterations, seconds
        As in :class:`homfem.local.problem.Correctors`.
    """

    functions: tuple[fem.Function, ...]
    energies: Array
    average: Array
    excess: Array
    noise: Array
    allowance: float
    dofs: int
    iterations: int
    seconds: Mapping[str, float] = field(default_factory=dict)


def solve_stresses(
    cell: UnitCell,
    coefficient: fem.Function,
    *,
    strains: Sequence[int] | None = None,
    rtol: float = 1e-10,
    allowance: float = 1e-6,
    max_iterations: int = 500,
) -> Stresses:
    """Solve the stress problem for unit strains; collective.

    On the part of a cell between mirror planes a multiplier vanishes there in the components that are odd: loads that
    answer the mirrors differently have matrices of their own, and no energy together.

    Parameters
    ----------
    cell
        A cell of straight simplices, restricted to the solid phases.
    coefficient
        Stiffness, constant on each mesh cell (see :func:`homfem.local.elasticity.elastic_coefficient`).
    strains
        The macroscopic strains, by their place in :data:`homfem.stiffness.PAIRS`; by default all.
    rtol, max_iterations
        See :class:`homfem.solve.LinearSolver`.
    allowance
        Where the residual may add more than this part of the energies, the solver goes on.

    Raises
    ------
    ConvergenceError
        If a load was not solved to ``rtol``.
    PercolationError
        If a connected part of the solid can turn freely about an axis.
    """
    if not (cell.simplicial and cell.order == 1):
        raise InputError("cell", f"{cell.kind} cells of order {cell.order}", "made of straight simplices")
    if not cell.matching:
        raise InputError("faces", "non-matching", "matching: a stress is in equilibrium across the period only there")
    start, d = time.perf_counter(), cell.dimension
    along = list(range(len(PAIRS[d]))) if strains is None else list(strains)
    number, groups = FacetUnknowns(cell, d), _groups(cell, along)
    vertices = VertexFunctions(number)
    unknowns = {planes: HeldUnknowns(number, vertices, planes) for planes in groups}
    require_system(cell, "system of the stresses", max(held.dofs for held in unknowns.values()), d)
    loads = _Loads(cell, StressElements(cell, coefficient, number, Spread(cell), along), number, along)
    loads.seconds["assembly"] = time.perf_counter() - start
    options = {"rtol": rtol, "max_iterations": max_iterations}
    for planes, members in groups.items():
        # Components that are held on mirror planes: see homfem.local.allowance.
        factor = (1.0 + math.sqrt(d)) ** 2 if any(planes) else 1.0
        loads.solve_for(unknowns[planes], members, factor, allowance, options)
    loads.destroy()
    vertices.destroy()
    return loads.stresses()


def _groups(cell: UnitCell, along: Sequence[int]) -> dict[Planes, list[int]]:
    """The loads by the components of the multiplier that vanish on mirror planes."""
    parity, mirrored = strain_parity(cell.dimension)[along], [mirror.axis for mirror in cell.mirrors]
    groups: dict[Planes, list[int]] = {}
    for j in range(len(along)):
        groups.setdefault(odd_planes(cell.dimension, parity[j], mirrored), []).append(j)
    return groups


class _Loads:
    """The multipliers of all loads, element by element, what they took, and the stresses from them; collective.

    Parameters
    ----------
    cell, elements, number
        The cell, its elements and the unknowns of its facets.
    along
        The strains that are the loads.
    """

    def __init__(self, cell: UnitCell, elements: StressElements, number: FacetUnknowns, along: Sequence[int]) -> None:
        self.cell, self.elements, self.number, self.along = cell, elements, number, along
        self._matrix, self._sides, self._constant, self._weight = elements.assemble()
        self._share = cell.copies / cell.lattice.volume
        self._traces = np.empty((len(elements.nodes), number.rows.shape[1], len(along)))
        #: Unknowns, loads and the weight of their residuals.
        self._solved: list[tuple[HeldUnknowns, list[int], float]] = []
        self.iterations, self.dofs = 0, 0
        self.seconds = dict.fromkeys(("assembly", "preconditioner", "solve"), 0.0)

    def solve_for(
        self, held: HeldUnknowns, members: list[int], weight: float, allowance: float, options: Mapping[str, Any]
    ) -> None:
        """Solve for loads that hold the same unknowns; ``weight`` is that of their residuals among all."""
        lap, d = time.perf_counter(), self.cell.dimension
        matrix, kernel = held.matrix(self._matrix), held.constants()
        sides = [held.without(self._sides[j]) for j in members]
        factor = self._weight * self._share * weight
        self._solved.append((held, members, factor))
        multipliers, solver = _solve_group(
            matrix,
            sides,
            self._constant[np.ix_(members, members)],
            self._share,
            factor,
            allowance,
            held.node_norms,
            kernel=kernel,
            preconditioner=solve.Multigrid(
                coarse=functools.partial(held.coarse, rigid_motions(d)),
                smoother=("incomplete-cholesky", "ssor"),
                direct_first=solve.DIRECT_FIRST[d],
            ),
            name="stress",
            **options,
        )
        for j, x in zip(members, multipliers, strict=True):
            self._traces[:, :, j] = held.local(x)
        self.dofs, self.iterations = max(self.dofs, matrix.getSize()[0]), self.iterations + solver.iterations
        self.seconds["preconditioner"] += solver.setup_seconds
        self.seconds["solve"] += time.perf_counter() - lap - solver.setup_seconds
        solver.destroy()
        for thing in (*kernel, *sides, *multipliers, *((matrix,) if matrix is not self._matrix else ())):
            thing.destroy()

    def destroy(self) -> None:
        """Free the matrix."""
        self._matrix.destroy()

    def stresses(self) -> Stresses:
        """Return the stresses with their energies."""
        lap = time.perf_counter()
        found = self.elements.recover(self._traces)
        average = self._average(found.energy)
        excess = self._excess(found.reaction, found.hidden)
        noise = self._noise(average, found.error)
        self.seconds["average"] = time.perf_counter() - lap
        return Stresses(
            functions=found.functions,
            energies=found.energies,
            average=average,
            excess=excess,
            noise=noise,
            allowance=max(float(excess[members].sum()) for _, members, _ in self._solved),
            dofs=self.dofs,
            iterations=self.iterations,
            seconds=self.seconds,
        )

    def _average(self, energy: Array) -> Array:
        """Energies per volume; loads that hold different unknowns have none together."""
        average = np.zeros((len(self.along),) * 2)
        for _, members, _ in self._solved:
            own = np.ix_(members, members)
            average[own] = self._share * energy[own]
        return average

    def _excess(self, reaction: Array, hidden: Array) -> Array:
        """What the residual of each load can have added to its energy."""
        excess = np.zeros(len(self.along))
        for held, members, factor in self._solved:
            for j in members:
                rest = held.without(self.number.vector(-reaction[:, :, j], self.elements.rows))
                left = self.cell.comm.allreduce(float(held.node_norms(rest).sum()), op=MPI.SUM) + hidden[j]
                excess[j] = factor * left**2
                rest.destroy()
        return excess

    def _noise(self, average: Array, error: Array) -> Array:
        """What round-off can have done to the energies."""
        count = float(np.log2(2.0 + self.cell.comm.allreduce(len(self.elements.nodes), op=MPI.SUM)))
        size = roundoff.weights(self.cell, average, [PAIRS[self.cell.dimension][k] for k in self.along])
        noise = brackets.of_round_off(np.zeros(len(self.along)), size, count + STEPS)
        return noise + brackets.shared(self._share * error, size)


def _solve_group(
    matrix: PETSc.Mat,
    sides: list[PETSc.Vec],
    constant: Array,
    share: float,
    weight: float,
    allowance: float,
    node_norms: Callable[[PETSc.Vec], Array],
    *,
    rtol: float,
    **options: Any,
) -> tuple[list[PETSc.Vec], solve.LinearSolver]:
    """Solve for loads that hold the same unknowns until the residual may add little."""
    multipliers = [matrix.createVecRight() for _ in sides]
    solver = solve.solve_with(matrix, sides, multipliers, rtol=rtol, **options)
    best = math.inf
    while True:
        energies, residuals = _energy(matrix, sides, multipliers, constant, node_norms)
        left = brackets.share(weight * residuals, share * energies)
        if left <= allowance or rtol <= SHARPEST or left > 0.5 * best:
            break
        best = left
        # The allowance goes with the square of the residual.
        rtol = max(rtol * min(0.1, 0.5 * math.sqrt(allowance / left)), SHARPEST)
        log.info("stress: the residual may add %.1e of the energy, %.1e is wanted; rtol = %.0e", left, allowance, rtol)
        try:
            solver.solve_all(sides, multipliers, rtol=rtol)
        except ConvergenceError as error:
            log.info("%s", error)  # what was reached is a bound, whatever it is
            rtol = SHARPEST
    if left > allowance:
        log.warning("stress: the residual may add %.1e of the energies; %.1e was wanted", left, allowance)
    return multipliers, solver


def _energy(
    matrix: PETSc.Mat,
    sides: list[PETSc.Vec],
    multipliers: list[PETSc.Vec],
    constant: Array,
    node_norms: Callable[[PETSc.Vec], Array],
) -> tuple[Array, Array]:
    r"""The energy of each load, and :math:`(\sum_i|\rho_{j,i}|)^2` over the nodes; collective."""
    energies, residuals = np.diag(constant).copy(), np.zeros(len(sides))
    product = matrix.createVecRight()
    for j, (x, side) in enumerate(zip(multipliers, sides, strict=True)):
        matrix.mult(x, product)
        energies[j] += x.dot(product) - 2.0 * x.dot(side)
        product.aypx(-1.0, side)
        total = float(node_norms(product).sum())
        residuals[j] = matrix.comm.tompi4py().allreduce(total, op=MPI.SUM) ** 2
    product.destroy()
    return energies, residuals
