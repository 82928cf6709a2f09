r"""What straight facets on curved surfaces may change in an effective stiffness: an estimate.

When the surface between two solids moves by V along its normal n, out of solid 1, the effective stiffness changes by

.. math:: \delta C^*_{ij}=\frac1{|Y|}\int_\Gamma V\,\bigl[\varepsilon_i\cdot C\varepsilon_j
          - t_i\cdot\partial_nu_j - t_j\cdot\partial_nu_i\bigr],

the difference of side 1 and side 2, with the traction :math:`t=\sigma n` and the tangential strains, which are
continuous there. They give the strain of each side,
:math:`\varepsilon=\bar\varepsilon+\mathrm{sym}(a\otimes n)` with :math:`(n\cdot C\cdot n)\,a=t-C\bar\varepsilon\,n`. A
void has no energy, and its surface no traction. The integral is taken as in :mod:`homfem.certify.geometry`.

Source: the shape derivative of the energy, Eshelby 1975, doi 10.1007/BF00126994 (the energy-momentum tensor).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.certify.geometry import change_of_tensor, curved_facets, facet_normals
from homfem.local.means import mean_gradients
from homfem.local.problem import Correctors
from homfem.parameters import Array
from homfem.stiffness import PAIRS, voigt_to_mandel


def elastic_geometric_error(
    cell: UnitCell, coefficient: fem.Function, correctors: Correctors, *, strains: Sequence[int] | None = None
) -> float:
    """Return the estimate in the unit of the stiffness: a largest change over all strains of norm 1; collective.

    Parameters
    ----------
    cell
        The cell that was solved, with straight facets.
    coefficient
        Stiffness as Voigt matrices, constant on each mesh cell.
    correctors
        Conforming correctors on ``cell.mesh`` or on the mesh in space.
    strains
        The macroscopic strains that are the loads, by their place in :data:`homfem.stiffness.PAIRS`; by default all.
    """
    facets, volumes, first, second = curved_facets(cell)
    if not cell.comm.allreduce(len(facets), op=MPI.SUM):
        return 0.0
    size = len(PAIRS[cell.dimension])
    along = list(range(size)) if strains is None else list(strains)
    # Loads of norm 1.
    unit = np.eye(size)[along] * np.sqrt(np.diag(voigt_to_mandel(np.eye(size))))[along, None]
    strain = _mean_strains(cell, correctors) * unit.max(axis=1)[:, None] + unit
    stiffness = coefficient.x.array.reshape(-1, size, size)
    normal = _normal_strains(facet_normals(cell, facets, first))
    alone = first == second
    traction = [np.einsum("fIx,fIJ,flJ->flx", normal, stiffness[c], strain[c]) for c in (first, second)]
    through = np.where(alone[:, None, None], 0.0, 0.5 * (traction[0] + traction[1]))
    mean = 0.5 * (strain[first] + strain[second])
    change = np.zeros((len(facets), len(along), len(along)))
    for sign, c in ((1.0, first), (-1.0, second)):
        matrix = stiffness[c]
        acoustic = np.einsum("fIx,fIJ,fJy->fxy", normal, matrix, normal)
        lacking = through - np.einsum("fIx,fIJ,flJ->flx", normal, matrix, mean)
        slope = np.linalg.solve(acoustic, lacking.transpose(0, 2, 1)).transpose(0, 2, 1)
        own = mean + np.einsum("fIx,flx->flI", normal, slope)
        energy = np.einsum("fiI,fIJ,fjJ->fij", own, matrix, own)
        work = np.einsum("fix,fjx->fij", through, slope)
        energy -= work + work.transpose(0, 2, 1)
        change += np.where((sign < 0.0) & alone, 0.0, sign)[:, None, None] * energy
    return change_of_tensor(cell, correctors.problem, facets, volumes, change)


def _mean_strains(cell: UnitCell, correctors: Correctors) -> Array:
    """Mean strain of each corrector on each local mesh cell of ``cell.mesh`` in Voigt notation, (cells, loads, m)."""
    gradient = mean_gradients(cell, correctors)
    pairs = PAIRS[cell.dimension]
    parts = [gradient[..., i, j] if i == j else gradient[..., i, j] + gradient[..., j, i] for i, j in pairs]
    strain = np.stack(parts, axis=-1)
    return strain if correctors.problem.domain is cell.mesh else strain[cell.periodic_mesh.plain_cell]


def _normal_strains(normal: Array) -> Array:
    """The matrices that give the Voigt strain of sym(a n) for a, shape (facets, m, d); transposed, the traction."""
    d = normal.shape[1]
    result = np.zeros((len(normal), len(PAIRS[d]), d))
    for k, (i, j) in enumerate(PAIRS[d]):
        result[:, k, i] = normal[:, j]
        result[:, k, j] = normal[:, i]
    return result
