"""The lower side of diffusion: fluxes or Crouzeix-Raviart correctors, and what may be wrong with their energies."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, brackets
from homfem.brackets import EPS
from homfem.cells.unitcell import UnitCell
from homfem.certify.diffusion.medium import Medium
from homfem.certify.physics import owned_values
from homfem.local import roundoff
from homfem.local.engine import solve_correctors
from homfem.local.flux import Fluxes, solve_fluxes
from homfem.local.membranes import Membranes, crossing_weight
from homfem.local.problem import CellProblem, Correctors
from homfem.parameters import Array, ConvergenceError

log = logging.getLogger("homfem")

#: No solve is asked for a smaller relative residual than this: round-off is near.
SHARPEST = 1e-14


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lower:
    """The lower side.

    Parameters
    ----------
    fields
        Fluxes or Crouzeix-Raviart correctors.
    excess : array, shape (loads,)
        What the residuals may have added to the energy of each load.
    noise : array, shape (loads, loads)
        What round-off may have done to the energies.
    """

    fields: Correctors | Fluxes
    excess: Array
    noise: Array


def solve_lower(medium: Medium, degree: int, rtol: float, allowance: float) -> Lower:
    """Return the lower side of a degree, 0 (Crouzeix-Raviart) or 1 (fluxes); collective.

    It is solved again, sharper, where the residual may add more than ``allowance`` of the energy: a finer mesh would
    not help, as that grows with the number of mesh cells.
    """
    if degree == 0:
        return _solve_broken(medium, rtol, allowance)
    fluxes = solve_fluxes(
        medium.cell,
        medium.coefficient,
        membranes=medium.membranes,
        axes=medium.loads.axes,
        rtol=rtol,
        allowance=allowance,
    )
    return Lower(fields=fluxes, excess=fluxes.excess, noise=fluxes.noise)


def _solve_broken(medium: Medium, rtol: float, allowance: float) -> Lower:
    cell, problem = medium.cell, medium.problem("CR", 1)
    found = _judged(medium, problem, rtol)
    while True:
        size = roundoff.weights(cell, found.fields.average, medium.axes)
        added = brackets.share(found.excess, size)
        if added <= allowance or rtol <= SHARPEST:
            return found
        # It goes with the square of the residual.
        rtol = max(rtol * min(0.1, 0.5 * float(np.sqrt(allowance / added))), SHARPEST)
        log.info("%s: the residual may add %.1e of the energy; rtol = %.0e now", cell.name, added, rtol)
        try:
            sharper = _judged(medium, problem, rtol)
        except ConvergenceError as error:
            log.warning("%s: %s", cell.name, error)  # what was reached before is a bound
            return found
        if brackets.share(sharper.excess, size) < added:
            found = sharper


def _judged(medium: Medium, problem: CellProblem, rtol: float) -> Lower:
    correctors = solve_correctors(medium.cell, problem, backend=medium.backend, rtol=rtol)
    excess = residual_excess(medium.cell, medium.coefficient, correctors, medium.membranes)
    return Lower(fields=correctors, excess=excess, noise=medium.noise(correctors))


def residual_allowance(
    cell: UnitCell, coefficient: fem.Function, correctors: Correctors, membranes: Membranes | None = None
) -> float:
    r"""Return :math:`\frac{W}{|Y|}\sum_j\|\rho_j\|_1^2`, which covers the algebraic residual; collective."""
    return float(residual_excess(cell, coefficient, correctors, membranes).sum())


def residual_excess(
    cell: UnitCell, coefficient: fem.Function, correctors: Correctors, membranes: Membranes | None = None
) -> Array:
    r"""Return :math:`\frac{W}{|Y|}\|\rho_j\|_1^2` of each load, round-off in the residual included; collective."""
    d = cell.dimension
    values = owned_values(cell, coefficient)
    owned = len(values)
    nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:owned, : d + 1]][:, :, :d]
    first, second = np.triu_indices(d + 1, 1)
    diameter = np.linalg.norm(nodes[:, first] - nodes[:, second], axis=2).max(axis=1, initial=0.0)
    volume, slope = roundoff.steepness(cell)
    smallest = values[:, 0] if values.shape[1] == 1 else np.linalg.eigvalsh(values.reshape(-1, d, d))[:, 0]
    # The loads are integrals of D e . grad, some of which cancel.
    side = (d + 1) * d * roundoff.largest(values, d) * volume * slope
    weight, hidden = cell.comm.allreduce(
        np.array([np.sum((diameter / d) ** 2 / (volume * smallest)), 4.0 * EPS * np.sum(side)]), op=MPI.SUM
    )
    if membranes is not None:
        weight += crossing_weight(cell, membranes)
    return np.asarray(weight * (correctors.residual_norms + hidden) ** 2 * cell.copies / cell.lattice.volume)
