r"""What straight facets on curved surfaces may change in a dispersion tensor: an estimate.

With the value :math:`\mathcal L(f,g)` of :mod:`homfem.certify.dispersion.bounds`, which is stationary in f and g, a
wall without slip that moves by V along its normal n, out of the fluid, changes :math:`m(1)\,D^*` by

.. math:: \int_\Gamma V\bigl[D(e+\nabla f)_t^2-D(\nabla g)_t^2+2\,V\cdot e\,g-e\cdot D^*e\bigr] ,

as long as the velocity stays (:math:`V\cdot e` is that of its mean), with the capacity :math:`\varrho` before the last
two terms; at surfaces between two phases these count with the difference of the capacities, and the first two as in
:mod:`homfem.certify.geometry`. The velocity changes, too, of the same mean: by the part :math:`\kappa` at the most that
the permeability changes by (:mod:`homfem.certify.stokes.geometry`), most of which the mean takes up. So it is
:math:`2\kappa\int D|\nabla g|^2` that is added, about as much as all that the flow adds to :math:`D^*(0)`.

At high Peclet numbers a tensor has principal values that are far apart. The estimate is the largest one relative to the
tensor over all directions, times its smallest principal value.

Around round fibres of the fraction .3, of Peclet 1 to 100, it was three to ten times what the worst direction was off.
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from homfem.certify.diffusion.geometry import changes_at_facets
from homfem.certify.dispersion.certified import Bounded, scaled
from homfem.certify.dispersion.flow import FlowOnMesh
from homfem.certify.geometry import change_of_tensor, curved_facets
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
    d = cell.dimension
    even = gradients_of(cell, bounded.even)[:, :, 0] + np.eye(d)
    odd = gradients_of(cell, bounded.odd)[:, :, 0]
    at = facets, first, second
    change = changes_at_facets(cell, stream.coefficient, even, at)[0]
    change -= changes_at_facets(cell, stream.coefficient, odd, at)[0]
    # What is held grows, and what is dragged along.
    level = np.stack([g.x.array[g.function_space.dofmap.list].mean(axis=1) for g in bounded.odd], axis=1)[first]
    dragged = level[:, :, None] * stream.mean[None, None, :]
    held = stream.density.x.array
    held = held[first] - np.where(first == second, 0.0, held[second])
    change += held[:, None, None] * (dragged + dragged.transpose(0, 2, 1) - value)
    scale, smallest = scaled(value)
    relative = change_of_tensor(cell, problem, facets, volumes, scale.T @ change @ scale)
    relative *= cell.lattice.volume / stream.measure
    if flow.stokes is not None:
        permeable = np.linalg.eigvalsh(flow.stokes.average)
        kappa = wall_error(flow.part, flow.stokes) / float(permeable[permeable > 1e-9 * permeable[-1]][0])
        relative += 2.0 * kappa * float(np.linalg.norm(scale.T @ bounded.sides.drift @ scale, 2))
    return float(relative * smallest)
