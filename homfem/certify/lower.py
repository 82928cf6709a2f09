"""The lower side of diffusion: fluxes or Crouzeix-Raviart correctors, and what may be wrong with their energies."""

from __future__ import annotations

import logging

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, brackets
from homfem.brackets import EPS
from homfem.cells.unitcell import UnitCell
from homfem.certify.symmetry import Loads
from homfem.local import roundoff
from homfem.local.diffusion import diffusion_problem
from homfem.local.engine import solve_correctors
from homfem.local.flux import Fluxes, solve_fluxes
from homfem.local.membranes import Membranes, crossing_strength, crossing_weight, membrane_problem
from homfem.local.problem import Correctors
from homfem.parameters import Array, ConvergenceError

log = logging.getLogger("homfem")

#: No solve is asked for a smaller relative residual than this: round-off is near.
SHARPEST = 1e-14


def values_of(cell: UnitCell, coefficient: fem.Function) -> Array:
    """The coefficient on each owned mesh cell, shape (n, 1) or (n, d * d)."""
    owned = cell.mesh.topology.index_map(cell.dimension).size_local
    return np.asarray(coefficient.x.array.reshape(len(cell.phase_of_cell), -1)[:owned])


def solve_lower(
    cell: UnitCell,
    coefficient: fem.Function,
    membranes: Membranes | None,
    loads: Loads,
    lower_degree: int,
    backend: str,
    rtol: float,
    allowance: float,
) -> tuple[Correctors | Fluxes, Array, Array]:
    """The lower side, what its residuals may have added to the energy of each load, and what round-off may have done.

    It is solved again, sharper, where the residual may add more than ``allowance`` of the energy: a finer mesh would
    not help, as that grows with the number of mesh cells.
    """
    if lower_degree == 1:
        fluxes = solve_fluxes(cell, coefficient, membranes=membranes, axes=loads.axes, rtol=rtol, allowance=allowance)
        return fluxes, fluxes.excess, fluxes.noise
    if membranes is None:
        problem = diffusion_problem(cell, coefficient, element="CR", axes=loads.axes, backend=backend)
    else:
        problem = membrane_problem(cell, coefficient, membranes, element="CR", degree=1)
    axes = [(axis,) for axis in loads.axes]
    largest = roundoff.largest(values_of(cell, coefficient), cell.dimension)
    jumps = 0.0 if membranes is None else crossing_strength(cell, membranes)
    correctors = solve_correctors(cell, problem, backend=backend, rtol=rtol)
    while True:
        excess = residual_excess(cell, coefficient, correctors, membranes)
        noise = roundoff.of_correctors(cell, largest, correctors, axes, jumps)
        size = roundoff.weights(cell, correctors.average, axes)
        added = brackets.share(excess, size)
        if added <= allowance or rtol <= SHARPEST:
            break
        # It goes with the square of the residual.
        rtol = max(rtol * min(0.1, 0.5 * float(np.sqrt(allowance / added))), SHARPEST)
        log.info("%s: the residual may add %.1e of the energy; rtol = %.0e now", cell.name, added, rtol)
        try:
            sharper = solve_correctors(cell, problem, backend=backend, rtol=rtol)
        except ConvergenceError as error:
            log.warning("%s: %s", cell.name, error)  # what was reached before is a bound
            break
        if brackets.share(residual_excess(cell, coefficient, sharper, membranes), size) < added:
            correctors = sharper
    return correctors, excess, noise


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
    values = values_of(cell, coefficient)
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
