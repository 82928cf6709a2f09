"""What straight facets on curved surfaces may change in an effective diffusion tensor: the estimate's integrand.

The formula is in :mod:`homfem.certify.geometry`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.certify.geometry import Indices, change_of_tensor, curved_facets, excess_areas, facet_normals, matrices_of
from homfem.local.boundary import alike
from homfem.local.means import mean_gradients
from homfem.local.membranes import Membranes
from homfem.local.problem import Correctors
from homfem.parameters import Array


def geometric_error(
    cell: UnitCell,
    coefficient: fem.Function,
    correctors: Correctors,
    membranes: Membranes | None = None,
    *,
    axes: Sequence[int] | None = None,
) -> float:
    """Return the estimate in the unit of the coefficients: a largest change over all directions; collective.

    Parameters
    ----------
    cell
        The cell that was solved, with straight facets.
    coefficient
        Diffusivity, constant on each mesh cell.
    correctors
        Conforming correctors on ``cell.mesh``.
    membranes
        Those of the problem that was solved.
    axes
        The axes of the loads; by default all.
    """
    facets, volumes, first, second = curved_facets(cell)
    if not cell.comm.allreduce(len(facets), op=MPI.SUM):
        return 0.0
    gradient = _mean_gradients(
        cell, correctors, membranes, range(cell.dimension) if axes is None else axes
    )  # (local cells, loads, d)
    change, through, resistance = changes_at_facets(cell, coefficient, gradient, (facets, first, second), membranes)
    size = change_of_tensor(cell, correctors.problem, facets, volumes, change)
    longer = np.einsum("f,fi,fj->ij", excess_areas(cell, facets, volumes) * resistance, through, through)
    longer = cell.comm.allreduce(longer, op=MPI.SUM) * alike(cell, correctors.problem)
    return size + float(np.linalg.norm(longer, 2) * cell.copies / cell.lattice.volume)


def changes_at_facets(
    cell: UnitCell,
    coefficient: fem.Function,
    gradient: Array,
    at: tuple[Indices, Indices, Indices],
    membranes: Membranes | None = None,
) -> tuple[Array, Array, Array]:
    """Return what the energies change for each volume that the first cell's side of a facet gains, shape (n, k, k).

    Parameters
    ----------
    cell, coefficient, membranes
        As of :func:`geometric_error`.
    gradient : array, shape (local cells, k, d)
        Of k fields, the affine ones included.
    at
        The facets, and the mesh cells on both sides of each (:func:`homfem.certify.geometry.curved_facets`).

    Returns
    -------
    change
    through : array, shape (n, k)
        What flows through the facets.
    resistance : array, shape (n,)
        One over the permeability of a membrane there, zero without.
    """
    facets, first, second = at
    d = cell.dimension
    alone = (first == second)[:, None]
    normal = facet_normals(cell, facets, first)
    matrix = matrices_of(coefficient, d)
    across = [np.einsum("fi,fij,fj->f", normal, matrix[c], normal) for c in (first, second)]
    flux = [np.einsum("fli,fij,fj->fl", gradient[c], matrix[c], normal) for c in (first, second)]
    mean = 0.5 * (gradient[first] + gradient[second])
    resistance = np.zeros(len(facets))
    if membranes is not None:
        place = np.minimum(np.searchsorted(membranes.facets, facets), max(len(membranes.facets) - 1, 0))
        on = membranes.facets[place] == facets if len(membranes.facets) else np.zeros(len(facets), dtype=bool)
        resistance[on] = 1.0 / membranes.permeability_of_facet[place[on]]
    jump = np.where(alone[:, 0], 0.0, 1.0 / across[0] - 1.0 / across[1])
    through = 0.5 * (flux[0] + flux[1])
    change = -jump[:, None, None] * through[:, :, None] * through[:, None, :]
    for sign, c in ((1.0, first), (np.where(alone[:, 0], 0.0, -1.0), second)):
        own = np.where((resistance > 0.0)[:, None, None], gradient[c], mean)
        tangential = own - np.einsum("fli,fi,fj->flj", own, normal, normal)
        energy = np.einsum("fli,fij,fmj->flm", tangential, matrix[c], tangential)
        change += np.broadcast_to(sign, len(facets))[:, None, None] * energy
    return change, through, resistance


def _mean_gradients(cell: UnitCell, correctors: Correctors, membranes: Membranes | None, axes: Sequence[int]) -> Array:
    """Mean of e + grad(chi) on each local mesh cell; correctors on the torus or on the plain mesh."""
    mesh = correctors.problem.domain
    stacked = mean_gradients(cell, correctors, membranes)[:, :, 0] + np.eye(cell.dimension)[list(axes)]
    return stacked if mesh is cell.mesh else stacked[cell.periodic_mesh.plain_cell]
