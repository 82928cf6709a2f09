r"""What floating-point round-off can do to the energies of fields: numbers for the bounds.

**Fields.** The energy of a computed field is a sum of squares, which loses next to nothing. But the gradient in it is
computed from values at nodes, with an error of :math:`\delta_K\le c\,\epsilon\,(1+p^2\max|\chi|/\rho_K)` on the element
K of the smallest height :math:`\rho_K`, so that with :math:`q_j^2=\int|D|\delta^2` the energy of
:math:`\sum_j\xi_j(F_j+\chi_j)` is off by :math:`2\sqrt{E(\xi)}\,q(\xi)+q(\xi)^2` at the most,
:math:`q(\xi)=\sum_j|\xi_j|q_j`, and by the rounding of the sum itself (:func:`homfem.brackets.of_round_off`).

**Elements.** The energies :math:`t^TSt` of multipliers are summed element by element, with each element's own constant
(or rigid motion) taken out of t: :math:`S` does not feel it, but its digits do. The error of S itself, some
:math:`\epsilon\,\mathrm{tr}\,S`, then counts with what varies inside of the element alone.

The constants count operations, with room; they are not proved line by line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem import _dolfinx, brackets
from homfem.brackets import EPS
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import Correctors
from homfem.parameters import Array

#: Roundings in the gradient of a field at a point, in the matrix of an element, in a residual.
STEPS = 16.0
#: A direction has no part of an axis below this.
_ALONG = 1e-9


def steepness(cell: UnitCell) -> tuple[Array, Array]:
    """Return volume and the largest gradient of a linear basis function (1 / height) of each owned cell, mesh units."""
    d = cell.dimension
    owned = cell.mesh.topology.index_map(d).size_local
    corners = [0, 1, 2, 3][: d + 1] if cell.simplicial else [0, 1, 2, 4][: d + 1]
    nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:owned][:, corners]][:, :, :d]
    edges = np.moveaxis(nodes[:, 1:] - nodes[:, :1], 0, -1)  # component by component: no small matrices
    if d == 2:
        a, b = edges
        across = [a, b, a - b]
        determinant = a[0] * b[1] - a[1] * b[0]
    else:
        a, b, c = edges
        across = [_cross(a, b), _cross(b, c), _cross(c, a)]
        determinant = sum(across[0][k] * c[k] for k in range(3))
        across.append(across[0] + across[1] + across[2])
    # The gradient of a barycentric coordinate is as long as the opposite side, over the determinant.
    longest = np.sqrt(np.max([(side**2).sum(axis=0) for side in across], axis=0))
    size = np.abs(determinant)
    return size / ({2: 2.0, 3: 6.0}[d] if cell.simplicial else 1.0), longest / size


def _cross(a: Array, b: Array) -> Array:
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def largest(values: Array, dimension: int) -> Array:
    """Return the largest eigenvalue of each coefficient, shape (n,), or at most twice as much: the Frobenius norm.

    Parameters
    ----------
    values : array, shape (n, 1) or (n, m * m)
    dimension
        m.
    """
    if values.shape[1] == 1:
        return np.asarray(values[:, 0])
    return np.asarray(np.linalg.norm(values.reshape(-1, dimension, dimension), axis=(1, 2)))


def sizes(cell: UnitCell, functions: Sequence[Any]) -> Array:
    """Return the largest absolute value of each corrector, over all of its fields; collective."""
    several = [f if isinstance(f, tuple) else (f,) for f in functions]
    own = np.array([max(float(np.abs(field.x.array).max(initial=0.0)) for field in fields) for fields in several])
    result = np.empty_like(own)
    cell.comm.Allreduce(own, result, op=MPI.MAX)
    return result


def weights(cell: UnitCell, average: Array, axes: Sequence[Sequence[int]]) -> Array:
    """Return the energies of loads as weights of what they share; large where nothing flows, so that none is spoilt.

    Parameters
    ----------
    cell
        The cell that was solved.
    average : array, shape (loads, loads)
        Its energies.
    axes
        Of each load the axes that it needs: where the cell reaches from period to period in a direction that has no
        part of one of them, the load moves nothing, and its bounds are exactly zero.
    """
    energies = np.abs(np.diag(average))
    reached = np.abs(cell.whole.span(cell.lattice)).max(axis=0, initial=0.0) > _ALONG
    idle = [not all(reached[axis] for axis in needed) for needed in axes]
    return np.where(idle, energies.max(initial=0.0), energies)


def of_correctors(
    cell: UnitCell, coefficient: Array, correctors: Correctors, axes: Sequence[Sequence[int]], jumps: float = 0.0
) -> Array:
    r"""Return the matrix that covers what round-off can have done to ``correctors.average``; collective.

    Parameters
    ----------
    cell
        The cell that was solved, with straight sides.
    coefficient : array, shape (owned mesh cells,)
        Largest eigenvalue of the coefficient.
    correctors
        The solution.
    axes
        Of each load, see :func:`weights`.
    jumps
        :math:`\int_\Gamma h` of its membranes, in mesh units.
    """
    volume, slope = steepness(cell)
    degree = max(space.ufl_element().degree for space in correctors.spaces)
    size = sizes(cell, correctors.functions)
    steep = STEPS * EPS * (1.0 + 2.0 * degree**2 * slope[:, None] * size)
    parts = (volume * coefficient) @ steep**2
    count = cell.comm.allreduce(np.append(parts, float(len(volume))), op=MPI.SUM)
    parts = count[:-1] + jumps * (STEPS * EPS * size) ** 2
    parts *= cell.copies / cell.lattice.volume
    return brackets.of_round_off(parts, weights(cell, correctors.average, axes), float(count[-1]))
