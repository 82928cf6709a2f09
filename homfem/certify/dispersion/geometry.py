r"""What straight facets on curved surfaces may change in a dispersion tensor: an estimate.

With the value :math:`\mathcal L(f,g)` of :mod:`homfem.certify.dispersion.bounds`, which is stationary in f and g, a
wall without slip that moves by V along its normal n, out of the fluid, changes :math:`m(1)\,D^*` by

.. math:: \int_\Gamma V\Bigl[D(e+\nabla f)_t^2-D(\nabla g)_t^2+\frac{(K\,V\cdot e)^2}{D_n}\Bigr]
          +(\varrho V+K\,\delta S)\,(2\,V\cdot e\,g-e\cdot D^*e) ,

as long as the velocity stays (:math:`V\cdot e` is that of its mean), with g less its mean under m, and :math:`\delta S`
what facets are longer than the surface. At surfaces between two phases :math:`\varrho` is the difference of the
capacities, and the energies are as in :mod:`homfem.certify.geometry`. The velocity changes, too, of the same mean: by
the part :math:`\kappa` at the most that the permeability changes by (:mod:`homfem.certify.stokes.geometry`), most of
which the mean takes up. So it is :math:`2\kappa\int D|\nabla g|^2` that is added, about as much as all that the flow
adds to :math:`D^*(0)`.

At high Peclet numbers a tensor has principal values that are far apart. The estimate is the largest one relative to the
tensor over all directions, times its smallest principal value.

Around round fibres of the fraction .3, of Peclet 1 to 100, it was three to ten times what the worst direction was off.
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from homfem import solve
from homfem.certify.diffusion.geometry import changes_at_facets
from homfem.certify.dispersion.certified import Bounded, scaled
from homfem.certify.dispersion.flow import FlowOnMesh
from homfem.certify.geometry import (
    Indices,
    change_of_tensor,
    curved_facets,
    excess_areas,
    facet_normals,
    facet_values,
    matrices_of,
)
from homfem.certify.stokes.geometry import wall_error
from homfem.local.means import gradients_of
from homfem.local.problem import CellProblem
from homfem.parameters import Array


def geometric_error(problem: CellProblem, bounded: Bounded, flow: FlowOnMesh, value: Array) -> float:
    """Return the estimate in the unit of the tensor; collective.

    Parameters
    ----------
    problem
        Any one of the loads along all axes.
    bounded
        Both sides, with their fields.
    flow
        The flow.
    value
        The tensor. In a direction in which nothing flows it counts with 1e-9 of its largest principal value.
    """
    stream = bounded.stream
    cell = stream.cell
    facets, volumes, first, second = curved_facets(cell)
    if not cell.comm.allreduce(len(facets), op=MPI.SUM):
        return 0.0
    scale, smallest = scaled(value)
    change, longer = (scale.T @ one @ scale for one in _changes(bounded, (facets, first, second), value))
    relative = change_of_tensor(cell, problem, facets, volumes, change)
    longer = np.einsum("f,fij->ij", excess_areas(cell, facets, volumes), longer)
    relative += float(np.linalg.norm(cell.comm.allreduce(longer, op=MPI.SUM), 2)) / cell.lattice.volume
    relative *= cell.lattice.volume / stream.measure
    if flow.stokes is not None:
        permeable = np.linalg.eigvalsh(flow.stokes.average)
        kappa = wall_error(flow.part, flow.stokes) / float(permeable[permeable > 1e-9 * permeable[-1]][0])
        relative += 2.0 * kappa * float(np.linalg.norm(scale.T @ bounded.sides.drift @ scale, 2))
    return float(relative * smallest)


def _changes(bounded: Bounded, at: tuple[Indices, Indices, Indices], value: Array) -> tuple[Array, Array]:
    """What a volume that a side of a facet gains changes, and what an area of a wall does, (n, d, d); collective."""
    stream, cell, (facets, first, second) = bounded.stream, bounded.stream.cell, at
    d, wall = cell.dimension, first == second
    even = gradients_of(cell, bounded.even)[:, :, 0] + np.eye(d)
    odd = gradients_of(cell, bounded.odd)[:, :, 0]
    change = changes_at_facets(cell, stream.coefficient, even, at)[0]
    change -= changes_at_facets(cell, stream.coefficient, odd, at)[0]
    # What is held grows, and what is dragged along; of the same flow, V is the less the more is held.
    level = np.stack([facet_values(cell, g, at) for g in bounded.odd], axis=1)
    level -= np.array([solve.integrate(stream.held(g)) for g in bounded.odd]) / stream.measure
    dragged = level[:, :, None] * stream.mean
    grown = dragged + dragged.transpose(0, 2, 1) - value
    density, kept = stream.density.x.array, np.where(wall, stream.sorption.x.array[first], 0.0)
    change += (density[first] - np.where(wall, 0.0, density[second]))[:, None, None] * grown
    normal = facet_normals(cell, facets, first)
    across = np.einsum("fi,fij,fj->f", normal, matrices_of(stream.coefficient, d)[first], normal)
    change += (kept**2 / across)[:, None, None] * np.outer(stream.mean, stream.mean)
    return change, kept[:, None, None] * grown
