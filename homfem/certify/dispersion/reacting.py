r"""Dispersion of a solute that reacts on the walls: what is left decays, moves and spreads.

With :math:`-n\cdot D\nabla c=k_sc+K\partial_tc` on the walls, :math:`c\sim e^{-\lambda t}\varphi(y)\,w(x,t)` and
:math:`\partial_tw+V\cdot\nabla w=\nabla\cdot(D^*\nabla w)`: the first eigenvalue of :mod:`homfem.local.spectral`, its
function and that of the reversed flow, and the derivatives of the Bloch eigenvalue (:mod:`homfem.local.bloch`). Near
walls that take the solute less of it is left, so that V is above the mean velocity; :math:`\lambda` knows the flow.
Where :math:`k_s` is infinite all is taken that comes to the walls: c = 0 there.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem.certify.dispersion.coarse import distance
from homfem.certify.dispersion.flow import FlowOnMesh
from homfem.local.bloch import respond
from homfem.local.dispersion import Carrier
from homfem.local.dispersion_series import Dispersed
from homfem.local.problem import Correctors
from homfem.local.reaction import WALLS, Reacting, surfaces_of
from homfem.local.spectral import Pencil, Spectrum
from homfem.parameters import ConvergenceError

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True)
class WallReaction:
    """What the walls do, in mesh units.

    Parameters
    ----------
    rate
        :math:`k_sL` in the unit of the diffusivities; infinite where the concentration on the walls is zero.
    capacity
        :math:`K/L`.
    """

    rate: float
    capacity: float = 0.0

    def medium(self, carrier: Carrier, velocity: Any) -> Reacting:
        """Return what decays; collective."""
        cell = carrier.cell
        ones = cell.cell_function(dict.fromkeys(cell.phase_names, 1.0))
        absorbing = math.isinf(self.rate)
        return Reacting(
            cell=cell,
            diffusivity=carrier.diffusivity,
            rate=cell.cell_function(dict.fromkeys(cell.phase_names, 0.0)),
            capacity=ones if carrier.capacity is None else carrier.capacity,
            surfaces=None if absorbing else surfaces_of(cell, {WALLS: self.rate}, {WALLS: self.capacity}),
            velocity=velocity,
            absorbing=absorbing,
        )


def react_all(
    carrier: Carrier, flow: FlowOnMesh, walls: WallReaction, scales: Sequence[float]
) -> tuple[tuple[Dispersed, Spectrum], ...]:
    """Return what disperses and its spectrum for each scale of the velocity; collective.

    Parameters
    ----------
    carrier
        What carries, in mesh units; the capacity of its walls is that of ``walls``.
    flow
        The flow.
    walls
        What they do.
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
    scale = fem.Constant(cell.mesh, 0.0)
    velocity = flow.velocity if flow.potential is None else flow.velocity - ufl.grad(flow.potential)
    medium = walls.medium(carrier, scale * velocity)
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


def changes_of_degree(
    carrier: Carrier,
    flow: FlowOnMesh,
    walls: WallReaction,
    solved: Sequence[tuple[Dispersed, Spectrum]],
) -> list[float | None]:
    """Return estimates of the errors: the change from elements of one degree less, of degree 2 where it is 1.

    For each scale it is the largest relative change of the rate, of the velocity (beside what diffusion makes in a
    period, where that is faster) and, in the worst direction, of the tensor: without guarantee. None where the other
    degree found no positive function. Collective.
    """
    degree = carrier.degree - 1 if carrier.degree > 1 else 2
    try:
        others = react_all(replace(carrier, degree=degree), flow, walls, [one.scale for one, _ in solved])
    except ConvergenceError as error:
        log.info("%s: no estimate of the error: %s", carrier.cell.name, error)
        return [None] * len(solved)
    errors: list[float | None] = []
    for (one, spectrum), (other, below) in zip(solved, others, strict=True):
        speed = max(
            float(np.linalg.norm(one.velocity)), float(np.linalg.norm(one.value, 2)) / carrier.cell.lattice.shortest
        )
        errors.append(
            max(
                abs(below.value / spectrum.value - 1.0),
                float(np.linalg.norm(other.velocity - one.velocity)) / speed,
                distance(carrier, one.value, other.value),
            )
        )
    return errors
