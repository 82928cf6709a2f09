r"""What straight facets on curved surfaces may change in an effective tensor: an estimate.

When the surface between two phases moves by V along its normal n, out of phase 1, the effective tensor changes by

.. math:: \delta D^*_{ij}=\frac1{|Y|}\int_\Gamma V\Bigl[(D_1-D_2)\,g_i^t\cdot g_j^t
   -\Bigl(\frac1{D_1}-\frac1{D_2}\Bigr)q_iq_j\Bigr],

with the tangential gradient :math:`g^t` and the normal flux q, which are continuous there; where phase 2 insulates, by
:math:`\frac1{|Y|}\int_\Gamma V D_1\,g_i^t\cdot g_j^t`. The volumes between the facets and the surface (slivers) stand
for the integral of V, and the sum is taken over absolute values: where facets lie on both sides of the surface, so that
the volumes of the phases agree, the true change is much smaller.

Source: the shape derivative of the energy, e.g. Sokolowski, Zolesio 1992, doi 10.1007/978-3-642-58106-9.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.diffusion import Coefficient, diffusion_coefficient
from homfem.local.engine import Correctors
from homfem.parameters import Array
from homfem.reference import CORNERS, FACETS


def geometric_error(cell: UnitCell, coefficients: Mapping[str, Coefficient], correctors: Correctors) -> float:
    """Return the estimate in the unit of the coefficients: a largest change over all directions; collective.

    Parameters
    ----------
    cell
        The cell that was solved, with straight facets.
    coefficients
        Of each of its phases.
    correctors
        Conforming correctors on ``cell.mesh``.
    """
    facets, volumes = cell.slivers
    if not cell.comm.allreduce(len(facets), op=MPI.SUM):
        return 0.0
    coefficient = diffusion_coefficient(cell, {name: coefficients[name] for name in cell.phase_names})
    mesh, d = cell.mesh, cell.dimension
    gradient = _mean_gradients(cell, correctors)  # (local cells, loads, d)
    owned = facets < mesh.topology.index_map(d - 1).size_local
    facets, weight = facets[owned], volumes[owned].sum(axis=1)
    links = mesh.topology.connectivity(d - 1, d)
    first = links.array[links.offsets[facets]]
    second = links.array[links.offsets[facets + 1] - 1]
    alone = (first == second)[:, None]
    normal = _normals(cell, facets, first)
    matrix = _matrices(coefficient, len(gradient), d)
    across = [np.einsum("fi,fij,fj->f", normal, matrix[c], normal) for c in (first, second)]
    flux = [np.einsum("fli,fij,fj->fl", gradient[c], matrix[c], normal) for c in (first, second)]
    mean = 0.5 * (gradient[first] + gradient[second])
    tangential = mean - np.einsum("fli,fi,fj->flj", mean, normal, normal)
    jump = matrix[first] - np.where(alone[..., None], 0.0, matrix[second])
    resistance = np.where(alone[:, 0], 0.0, 1.0 / across[0] - 1.0 / across[1])
    through = 0.5 * (flux[0] + flux[1])
    change = np.einsum("fli,fij,fmj->flm", tangential, jump, tangential)
    change -= resistance[:, None, None] * through[:, :, None] * through[:, None, :]
    values, axes = np.linalg.eigh(0.5 * (change + change.transpose(0, 2, 1)))
    total = np.einsum("f,fik,fk,fjk->ij", weight, axes, np.abs(values), axes)
    total = cell.comm.allreduce(total, op=MPI.SUM)
    return float(np.linalg.norm(total, 2) / cell.lattice.volume)


def _mean_gradients(cell: UnitCell, correctors: Correctors) -> Array:
    """Mean of e + grad(chi) on each local mesh cell; correctors on the torus or on the plain mesh."""
    mesh, d = correctors.problem.domain, cell.dimension
    constants = fem.functionspace(mesh, ("DG", 0))
    volume = solve.assemble_vector(ufl.TestFunction(constants) * ufl.dx).array_r.copy()
    vectors = fem.functionspace(mesh, ("DG", 0, (d,)))
    u, mean = fem.Function(correctors.space), fem.Function(vectors)
    form = solve.compile_form(ufl.inner(ufl.grad(u), ufl.TestFunction(vectors)) * ufl.dx)
    result = []
    for load, function in enumerate(correctors.functions):
        u.x.array[:] = function.x.array
        vector = solve.assemble_vector(form)
        mean.x.array[: len(vector.array_r)] = (vector.array_r.reshape(-1, d) / volume[:, None]).ravel()
        vector.destroy()
        mean.x.scatter_forward()
        result.append(mean.x.array.reshape(-1, d) + np.eye(d)[load])
    stacked = np.stack(result, axis=1)
    return stacked if mesh is cell.mesh else stacked[cell.periodic_mesh.plain_cell]


def _normals(cell: UnitCell, facets: npt.NDArray[np.int32], first: npt.NDArray[np.int32]) -> Array:
    """Unit normals of facets, out of their first cell."""
    mesh, d = cell.mesh, cell.dimension
    of_cell = np.array(FACETS[cell.kind])
    own = mesh.topology.connectivity(d, d - 1).array.reshape(-1, len(of_cell))[first]
    corners = mesh.geometry.x[_dolfinx.geometry_dofmap(mesh)[first, : CORNERS[cell.kind]]][..., :d]
    mine = of_cell[np.argmax(own == facets[:, None], axis=1)]
    points = np.take_along_axis(corners, mine[..., None], axis=1)
    if d == 2:
        edge = points[:, 1] - points[:, 0]
        normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1)
    else:
        normal = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    inward = corners.mean(axis=1) - points[:, 0]
    normal *= -np.sign(np.einsum("fi,fi->f", normal, inward))[:, None]
    return np.asarray(normal / np.linalg.norm(normal, axis=1)[:, None])


def _matrices(coefficient: fem.Function, cells: int, d: int) -> Array:
    values = coefficient.x.array.reshape(cells, -1)
    return values[:, :1, None] * np.eye(d) if values.shape[1] == 1 else values.reshape(cells, d, d)
