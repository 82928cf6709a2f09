"""The bounds of dispersion for the Peclet numbers of one mesh: flow without divergence, both sides, the tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import brackets, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.dispersion.bounds import Certified, certify, degree_of_fluxes
from homfem.certify.dispersion.flow import FlowOnMesh, combined, driving_force, mean_velocity, volume
from homfem.certify.dispersion.gap import dispersion_gaps
from homfem.certify.dispersion.parts import extended
from homfem.certify.dispersion.stream import Stream
from homfem.certify.dispersion.velocity import changes, solenoidal
from homfem.local.dispersion import Carrier
from homfem.local.dispersion_series import Dispersed
from homfem.local.equilibrium import Equilibrium
from homfem.parameters import Array


def without_divergence(cell: UnitCell, flow: FlowOnMesh) -> FlowOnMesh:
    """Return the flow without what it has of a divergence, of the same mean where a force drives it; collective."""
    part, fluid = flow.part, flow.part.phase_names
    units = [flow.flowing] if flow.stokes is None else [one for one, _ in flow.stokes.functions]
    found = solenoidal(part, units)
    means = [mean_velocity(part, fluid, one, None) for one in found.functions]
    force = np.ones(1) if flow.stokes is None else driving_force(part, means, flow.mean)
    flowing, uncertainty = found.combined(force)
    mean = np.transpose(means) @ force
    if flow.stokes is not None:
        speed = flow.speed
    elif flow.still:
        speed = float(np.sqrt(solve.integrate(ufl.inner(flowing, flowing) * ufl.dx) / volume(part, fluid)))
    else:
        speed = float(np.linalg.norm(mean))
    return replace(
        flow,
        flowing=flowing,
        velocity=extended(flowing, part, cell),
        potential=None,
        mean=mean,
        speed=speed,
        uncertainty=uncertainty,
        change=float(changes(part, [combined(force, units)], [flowing])[0]),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounded:
    """Both sides at one scale of the velocity, and the fields that they are made of.

    Parameters
    ----------
    stream
        What flows, at this scale.
    even, odd
        f and g of each axis.
    sides
        The two sides.
    """

    stream: Stream
    even: tuple[fem.Function, ...]
    odd: tuple[fem.Function, ...]
    sides: Certified

    @cached_property
    def functions(self) -> tuple[fem.Function, ...]:
        """The fluxes q of each axis, then p."""
        count = self.sides.fluxes.coefficients.shape[2]
        return tuple(self.sides.fluxes.function(j, f"flux_{j + 1}") for j in range(count))

    @property
    def average(self) -> Array:
        """The lower side."""
        return self.sides.low

    @property
    def dofs(self) -> int:
        """Number of independent unknowns."""
        return self.sides.fluxes.dofs

    @property
    def iterations(self) -> int:
        """Iterations, summed over the loads of all scales."""
        return self.sides.fluxes.iterations

    @property
    def seconds(self) -> Mapping[str, float]:
        """Wall time by stage, of all scales."""
        return self.sides.fluxes.seconds

    def flow_error(self, change: float, value: Array) -> float:
        r"""Return an estimate of what a relative change of the flow does to the tensor, relative to it.

        Of a change by the part c, :math:`2c\int D|\nabla g|^2`: as much as if it were a change of the speed.
        """
        scale, _ = scaled(value)
        return 2.0 * change * float(np.linalg.norm(scale.T @ self.sides.drift @ scale, 2))

    def gaps(self) -> Array:
        """Return the gap in each owned mesh cell; collective."""
        return dispersion_gaps(self.stream, self.even, self.odd, self.sides.fluxes)

    def bracket(self, value: Array, project: Array) -> dict[str, Any]:
        """Return value, bounds and what goes with them in the directions in which anything flows.

        Parameters
        ----------
        value
            That of Galerkin, which lies between the two sides: it is the value of :math:`\\mathcal L` at (f, g).
        project
            On the directions.
        """

        def whole(matrix: Array) -> Array:
            return np.asarray(project @ matrix @ project)

        sides = self.sides
        found = brackets.bracket(
            whole(sides.low),
            whole(sides.high),
            below=whole(sides.below),
            above=whole(sides.above),
            noise=(whole(sides.noise[0]), whole(sides.noise[1])),
        )
        if found["lower"] is not None and not found["warnings"]:
            found["value"] = brackets.clipped(whole(value), found["lower"], found["upper"])
        return found


def scaled(value: Array) -> tuple[Array, float]:
    """Return what scales loads so that a tensor becomes the unit matrix, and its smallest principal value.

    A direction in which nothing flows counts with 1e-9 of the largest one.
    """
    sizes, axes = np.linalg.eigh(value)
    flows = sizes > 1e-9 * sizes[-1]
    return np.asarray(axes / np.sqrt(np.where(flows, sizes, 1e-9 * sizes[-1]))), float(sizes[flows][0])


def bound_all(
    carrier: Carrier, flow: FlowOnMesh, pairs: Sequence[tuple[Dispersed, Dispersed]], *, rtol: float, allowance: float
) -> list[Bounded]:
    """Bound the tensors of several scales of the velocity; collective.

    Parameters
    ----------
    carrier, flow
        What carries, and the flow without divergence.
    pairs
        For each scale the cell problem solved in the flow, and in the reversed one.
    rtol
        Relative residual of the fluxes.
    allowance
        What their residual may add, relative to their energies.

    Notes
    -----
    The flux problem is set up once: it knows of the diffusivity alone.
    """
    cell, found = carrier.cell, []
    degree = degree_of_fluxes(carrier.degree)
    equilibrium = Equilibrium(cell, carrier.diffusivity, degree, rtol=rtol)
    for onwards, back in pairs:
        velocity = fem.Function(flow.velocity.function_space, name="velocity")
        velocity.x.array[:] = onwards.scale * flow.velocity.x.array
        stream = Stream(
            cell=cell,
            coefficient=carrier.diffusivity,
            velocity=velocity,
            uncertainty=2.0 * onwards.scale * flow.uncertainty,
            capacity=carrier.capacity,
            wall_capacity=carrier.wall_capacity,
        )
        even, odd = _halves(onwards.correctors.functions, back.correctors.functions)
        sides = certify(stream, even, odd, equilibrium, allowance=allowance)
        found.append(Bounded(stream=stream, even=even, odd=odd, sides=sides))
    equilibrium.destroy()
    return found


def _halves(
    onwards: Sequence[fem.Function], back: Sequence[fem.Function]
) -> tuple[tuple[fem.Function, ...], tuple[fem.Function, ...]]:
    """Half of the sum of two correctors of each axis, and of their difference."""
    result = []
    for sign in (1.0, -1.0):
        fields = []
        for one, other in zip(onwards, back, strict=True):
            field = fem.Function(one.function_space)
            field.x.array[:] = 0.5 * (one.x.array + sign * other.x.array)
            fields.append(field)
        result.append(tuple(fields))
    return result[0], result[1]
