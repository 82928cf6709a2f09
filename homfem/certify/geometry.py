r"""What straight facets on curved surfaces may change in an effective tensor: an estimate.

When the surface between two phases moves by V along its normal n, out of phase 1, the effective tensor changes by

.. math:: \delta D^*_{ij}=\frac1{|Y|}\int_\Gamma V\Bigl[(D_1-D_2)\,g_i^t\cdot g_j^t
   -\Bigl(\frac1{D_1}-\frac1{D_2}\Bigr)q_iq_j\Bigr],

with the tangential gradient :math:`g^t` and the normal flux q, which are continuous there; where phase 2 insulates, by
:math:`\frac1{|Y|}\int_\Gamma V D_1\,g_i^t\cdot g_j^t`. At a membrane of permeability h the tangential gradients differ,
and its own energy :math:`q_iq_j/h` changes with its area: facets on a surface of radius r are longer than the surface
around the same volume by the part :math:`\delta=\ell^2/24r^2`, which is about :math:`40V^2/\ell^2`.

The volumes between the facets and the surface (slivers) stand for the integral of V. Where facets lie on both sides of
the surface, as those of a mesh with the true volumes do, the sum over all nearly vanishes, and the second order counts.
A wave of amplitude a and length :math:`\ell` on a surface along which a flux runs acts as a surface that is moved by
:math:`\pi a^2/\ell` to the side that conducts less, and so does one that a flux crosses; with the reflection of the
coefficients, at most one, in between. A parabola over a facet has a mean of :math:`|V|` of .64 a. The estimate is the
norm of the sum with signs plus :data:`SECOND` times :math:`V^2/\ell` times what stands in the brackets, or plus the sum
of absolute values where the mesh is so coarse that this is less. ``tests/benchmarks/curved_cells.py`` compares it with
discs, of true volumes and with their nodes on the surface.

**Bounds on curved cells** of second order would leave the fourth order of the mesh size alone to an estimate. Both
sides exist there: conforming correctors in the coordinates of the reference cell, and fluxes under Piola's map, which
keeps normal components and divergence. With the Jacobian J their energies have the integrands
:math:`|\mathrm{adj}(J)^T\hat\nabla u|^2/\det J` and :math:`|J\hat\sigma|^2/\det J`, for unit coefficients: a polynomial
over another, so that no quadrature is exact. What it takes is a polynomial above :math:`1/\det J` on each cell, from
the Bernstein coefficients of the determinant, to integrate instead; and refinement that puts new nodes on the surfaces.

Source: the shape derivative of the energy, e.g. Sokolowski, Zolesio 1992, doi 10.1007/978-3-642-58106-9.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx
from homfem.brackets import symmetric
from homfem.cells.unitcell import UnitCell
from homfem.local.boundary import alike
from homfem.local.membranes import facet_areas
from homfem.local.problem import CellProblem
from homfem.parameters import Array
from homfem.reference import CORNERS, FACETS

Indices = npt.NDArray[np.int32]

#: Weight of the second order: :math:`\pi/.64^2`, rounded up.
SECOND = 8.0


def curved_facets(cell: UnitCell) -> tuple[Indices, Array, Indices, Indices]:
    """Return the owned facets that stand for curved surfaces, the volumes between the two, and the cells beside them.

    The volumes are those of :attr:`homfem.cells.UnitCell.slivers`. The second mesh cell is the first again where a
    facet has but one.
    """
    facets, volumes = cell.slivers
    owned = facets < cell.mesh.topology.index_map(cell.dimension - 1).size_local
    facets = facets[owned]
    links = cell.mesh.topology.connectivity(cell.dimension - 1, cell.dimension)
    first, second = links.array[links.offsets[facets]], links.array[links.offsets[facets + 1] - 1]
    return facets, volumes[owned], first, second


def moved_facets(cell: UnitCell) -> tuple[Indices, Array, Indices, Indices, Array] | None:
    """Return :func:`curved_facets` with their normals out of the first cell; None where there are none. Collective."""
    if cell.order != 1:
        return None
    facets, volumes, first, second = curved_facets(cell)
    if not cell.comm.allreduce(len(facets), op=MPI.SUM):
        return None
    return facets, volumes, first, second, facet_normals(cell, facets, first)


def change_of_tensor(cell: UnitCell, problem: CellProblem, facets: Indices, volumes: Array, change: Array) -> float:
    """Return the estimate of how much a tensor changes, a largest one over all directions; collective.

    Parameters
    ----------
    cell, problem
        The cell, and what was solved on it.
    facets, volumes
        From :func:`curved_facets`.
    change : array, shape (facets, loads, loads)
        Change of the tensor for each volume that the first cell's side gains, times the volume of the cell.
    """
    # Loads that answer a mirror differently have nothing in common on the whole cell.
    return _norm_of_sums(cell, facets, volumes, change, alike(cell, problem)) * cell.copies / cell.lattice.volume


def change_of_number(cell: UnitCell, facets: Indices, volumes: Array, change: Array, waves: float = SECOND) -> float:
    """Return the same of an integral over the cell, changes of shape (facets,); ``waves`` weighs the second order."""
    return _norm_of_sums(cell, facets, volumes, change[:, None, None], np.ones((1, 1)), waves)


def _norm_of_sums(
    cell: UnitCell, facets: Indices, volumes: Array, change: Array, weight: npt.ArrayLike, waves: float = SECOND
) -> float:
    total, area = volumes.sum(axis=1), facet_areas(cell, facets)
    thickness = total / area / area ** (1.0 / (cell.dimension - 1))
    signed = np.einsum("f,fij->ij", volumes[:, 0] - volumes[:, 1], change)
    sums = np.stack([signed, absolute_sum(change, total), absolute_sum(change, total * thickness)])
    sums = cell.comm.allreduce(sums, op=MPI.SUM) * np.asarray(weight, dtype=np.float64)
    first, every, second = np.linalg.norm(sums, 2, axis=(1, 2))
    return float(first + min(every, waves * second))


def excess_areas(cell: UnitCell, facets: Indices, volumes: Array) -> Array:
    """Return by how much each facet is longer than the surface that it stands for, around the same volume."""
    area = facet_areas(cell, facets)
    return np.asarray(40.0 * (volumes.sum(axis=1) / area) ** 2 / area ** (2 / (cell.dimension - 1)) * area)


def absolute_sum(change: Array, weight: Array) -> Array:
    """Return the weighted sum of the absolute values of matrices of shape (n, k, k), made symmetric."""
    values, turned = np.linalg.eigh(symmetric(change))
    return np.asarray(np.einsum("f,fik,fk,fjk->ij", weight, turned, np.abs(values), turned))


def matrices_of(coefficient: fem.Function, dimension: int) -> Array:
    """Return a coefficient of each local mesh cell, numbers or matrices, as matrices of shape (n, d, d)."""
    values = coefficient.x.array.reshape(-1, coefficient.function_space.dofmap.bs)
    if values.shape[1] == 1:
        return np.asarray(values[:, :, None] * np.eye(dimension))
    return np.asarray(values.reshape(-1, dimension, dimension))


def facet_normals(cell: UnitCell, facets: Indices, first: Indices) -> Array:
    """Return unit normals of facets, out of their first cell."""
    mesh, d = cell.mesh, cell.dimension
    corners = mesh.geometry.x[_dolfinx.geometry_dofmap(mesh)[first, : CORNERS[cell.kind]]][..., :d]
    mine = np.array(FACETS[cell.kind])[_places(cell, facets, first)]
    points = np.take_along_axis(corners, mine[..., None], axis=1)
    if d == 2:
        edge = points[:, 1] - points[:, 0]
        normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1)
    else:
        normal = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    inward = corners.mean(axis=1) - points[:, 0]
    normal *= -np.sign(np.einsum("fi,fi->f", normal, inward))[:, None]
    return np.asarray(normal / np.linalg.norm(normal, axis=1)[:, None])


def facet_values(cell: UnitCell, function: fem.Function, at: tuple[Indices, Indices, Indices]) -> Array:
    """Return a continuous function of Lagrange's elements at facets: the mean over its nodes there.

    Between two mesh cells it is the mean over the nodes of both, as of their gradients. ``at`` are the facets with
    their cells of :func:`curved_facets`.
    """
    (facets, first, second), space = at, function.function_space
    nodes = np.array([space.dofmap.dof_layout.entity_closure_dofs(cell.dimension - 1, k)
                      for k in range(len(FACETS[cell.kind]))])  # fmt: skip
    on_walls = function.x.array[space.dofmap.list[first[:, None], nodes[_places(cell, facets, first)]]].mean(axis=1)
    means = function.x.array[space.dofmap.list].mean(axis=1)
    return np.where(first == second, on_walls, 0.5 * (means[first] + means[second]))


def _places(cell: UnitCell, facets: Indices, first: Indices) -> npt.NDArray[np.int64]:
    """Which of the facets of their first cells some are."""
    d = cell.dimension
    own = cell.mesh.topology.connectivity(d, d - 1).array.reshape(-1, len(FACETS[cell.kind]))[first]
    return np.argmax(own == facets[:, None], axis=1)
