r"""Means of the correctors' gradients over each mesh cell, from their unknowns: no form is compiled for them.

With the map x of the reference cell, its Jacobian J and a quadrature :math:`(\hat x_q, w_q)`,

.. math:: \frac1{|K|}\int_K\nabla u\,dx
          = \frac1{|K|}\sum_qw_q\det J_q\,J_q^{-T}\sum_iu_i\hat\nabla\hat\varphi_i(\hat x_q) ,\qquad
          |K|=\sum_qw_q\det J_q ,

exactly: :math:`\det J\,J^{-T}` is the cofactor of J, a polynomial.
"""

from __future__ import annotations

from collections.abc import Sequence

import basix
import numpy as np
from dolfinx import fem

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.membranes import Membranes
from homfem.local.problem import Correctors
from homfem.parameters import Array


def mean_gradients(cell: UnitCell, correctors: Correctors, membranes: Membranes | None = None) -> Array:
    """Return the mean gradient of each corrector on each local mesh cell of the mesh of the forms.

    Parameters
    ----------
    cell, correctors
        The cell, and what was solved on it or on its mesh in space: one field, or a potential for each group of phases.
    membranes
        Those of the problem that was solved.

    Returns
    -------
    array, shape (local cells, loads, components, d)
        On each mesh cell that of the field which lives there.
    """
    if membranes is None:
        return _means(cell, correctors.functions)
    groups = [_means(cell, functions) for functions in zip(*correctors.functions, strict=True)]
    return np.asarray(np.choose(membranes.group_of_cell[:, None, None, None], groups))


def gradients_of(cell: UnitCell, functions: Sequence[fem.Function]) -> Array:
    """Return the mean gradients of functions of one space on each local mesh cell, as :func:`mean_gradients` does."""
    return _means(cell, functions)


def broken_fluxes(
    cell: UnitCell, coefficient: fem.Function, correctors: Correctors, membranes: Membranes
) -> tuple[fem.Function, ...]:
    """Return the fluxes of Crouzeix-Raviart correctors, constant on each mesh cell."""
    d = cell.dimension
    gradients = mean_gradients(cell, correctors, membranes)[:, :, 0] + np.eye(d)
    values = coefficient.x.array.reshape(len(gradients), -1)
    matrices = values[:, :, None] * np.eye(d) if values.shape[1] == 1 else values.reshape(-1, d, d)
    fluxes = np.einsum("mij,mlj->mli", matrices, gradients)
    result = []
    for load in range(d):
        function = fem.Function(solve.function_space(cell.mesh, "DG", 0, (d,)), name=f"flux_{load + 1}")
        function.x.array[:] = fluxes[:, load].ravel()
        result.append(function)
    return tuple(result)


def _means(cell: UnitCell, functions: Sequence[fem.Function]) -> Array:
    """The mean gradients of functions of one Lagrange or Crouzeix-Raviart space."""
    space = functions[0].function_space
    element, block = space.ufl_element(), space.dofmap.bs
    coordinates = space.mesh.ufl_domain().ufl_coordinate_element()
    degree = element.embedded_superdegree + cell.dimension * coordinates.embedded_superdegree
    points, weights = basix.make_quadrature(basix.CellType[cell.kind], degree)
    slopes, maps = (one.basix_element.tabulate(1, points)[1:, :, :, 0] for one in (element, coordinates))
    if cell.affine:  # one Jacobian for each cell
        slopes = np.einsum("q,kqi->ki", weights, slopes)[:, None] / weights.sum()
        maps, weights = maps[:, :1], weights.sum(keepdims=True)
    nodes = space.mesh.geometry.x[_dolfinx.geometry_dofmap(space.mesh)][:, :, : cell.dimension]
    values = np.stack([function.x.array.reshape(-1, block)[space.dofmap.list] for function in functions], axis=1)
    total = np.zeros((len(nodes), len(functions), block, cell.dimension))
    volume = np.zeros(len(nodes))
    for q, weight in enumerate(weights):
        jacobian = np.einsum("mna,kn->mak", nodes, maps[:, q])
        size = weight * np.abs(np.linalg.det(jacobian))
        reference = np.einsum("mlic,ki->mlck", values, slopes[:, q])
        total += size[:, None, None, None] * (reference @ np.linalg.inv(jacobian)[:, None])
        volume += size
    return total / volume[:, None, None, None]
