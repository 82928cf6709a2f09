r"""Dispersion of a solute that reacts on the walls: what is left decays, moves and spreads.

With :math:`-n\cdot D\nabla c=k_sc+K\partial_tc` on the walls, :math:`c\sim e^{-\lambda t}\varphi(y)\,w(x,t)` and
:math:`\partial_tw+V\cdot\nabla w=\nabla\cdot(D^*\nabla w)`: the first eigenvalue of :mod:`homfem.local.spectral`, its
function and that of the reversed flow, and the derivatives of the Bloch eigenvalue (:mod:`homfem.local.bloch`). Near
walls that take the solute less of it is left, so that V is above the mean velocity; :math:`\lambda` knows the flow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import ufl
from dolfinx import fem

from homfem.certify.dispersion.flow import FlowOnMesh
from homfem.local.bloch import respond
from homfem.local.dispersion import Carrier
from homfem.local.dispersion_series import Dispersed
from homfem.local.problem import Correctors
from homfem.local.reaction import WALLS, Reacting, surfaces_of
from homfem.local.spectral import Pencil, Spectrum


def react_all(
    carrier: Carrier, flow: FlowOnMesh, wall_rate: float, wall_capacity: float, scales: Sequence[float]
) -> tuple[tuple[Dispersed, Spectrum], ...]:
    """Return what disperses and its spectrum for each scale of the velocity; collective.

    Parameters
    ----------
    carrier
        What carries, in mesh units; the capacity of its walls is given again as a number.
    flow
        The flow.
    wall_rate, wall_capacity
        :math:`k_sL` in the unit of the diffusivities, and :math:`K/L`.
    scales
        What the velocity is multiplied with.

    Raises
    ------
    PercolationError
        If the phases that carry are in several parts.
    ConvergenceError
        If an eigenvalue or a response was not found, or the eigenfunction is not positive.
    """
    cell = carrier.cell
    ones = cell.cell_function(dict.fromkeys(cell.phase_names, 1.0))
    scale = fem.Constant(cell.mesh, 0.0)
    velocity = flow.velocity if flow.potential is None else flow.velocity - ufl.grad(flow.potential)
    medium = Reacting(
        cell=cell,
        diffusivity=carrier.diffusivity,
        rate=cell.cell_function(dict.fromkeys(cell.phase_names, 0.0)),
        capacity=ones if carrier.capacity is None else carrier.capacity,
        surfaces=surfaces_of(cell, {WALLS: wall_rate}, {WALLS: wall_capacity}),
        velocity=scale * velocity,
    )
    mass = medium.amount() / cell.lattice.volume
    found = []
    for one in scales:
        scale.value = one
        pencil = Pencil(cell, medium.problem(carrier.degree))
        spectrum = pencil.first()
        response = respond(pencil, spectrum)
        correctors = Correctors(
            functions=response.functions,
            average=response.dispersion * mass,
            residual_norms=np.full(cell.dimension, spectrum.residual),
            problem=pencil.posed.problem,
            spaces=(spectrum.space,),
            dofs=spectrum.dofs,
            iterations=spectrum.iterations + response.iterations,
            seconds={**spectrum.seconds, "respond": response.seconds},
        )
        pencil.destroy()
        dispersed = Dispersed(
            scale=one,
            velocity=response.velocity,
            value=response.dispersion,
            flux=response.dispersion,
            mass=mass,
            correctors=correctors,
        )
        found.append((dispersed, spectrum))
    return tuple(found)
