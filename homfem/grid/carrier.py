r"""Diffusion and convection between the voxels of an image: finite volumes, for any speeds of one flow.

With :math:`T_f` of a face (the harmonic mean of the diffusivities on both sides, times area over distance), the flow
:math:`F_f` through it and the capacity :math:`m_v` of a voxel, the corrector of the gradient along axis j solves

.. math:: \sum_f\pm\bigl(F_f\{x_j+\chi\}_f-T_f[x_j+\chi]_f\bigr)=V_jm_v ,\qquad V_j=\frac1m\sum_fF_fh_j ,\quad
          m=\sum_vm_v ,

with the mean :math:`\{\cdot\}` and the jump :math:`[\cdot]` of both sides of a face: central, without upwinding. The
flow leaves no voxel with more than enters it, so that constants are in the kernel on both sides and the convection is
skew. Therefore, for the discrete numbers and up to what the iterations leave,

.. math:: mD^*_{ij}=\sum_fT_f[x_i+\chi_i]_f[x_j+\chi_j]_f=\tfrac m2(F_{ij}+F_{ji}) ,\qquad
          mF_{ij}=\sum_fT_fh_i^2\delta_{ij}-r^-_i\cdot\chi_j ,

with the load :math:`r^-` of the reversed flow; :math:`D^*(F)\ge D^*(0)`, :math:`D^*(-F)=D^*(F)` and
:math:`F(-F)=F(F)^T`, as on meshes (:mod:`homfem.local.dispersion`).

**Solver.** GMRES on :math:`A=K+sC`, with a V-cycle for what A is with the flow upwind where that is faster than
diffusion across a voxel (:mod:`homfem.grid.multigrid`). On small grids factors take over where that does not end.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homfem.grid.factors import LARGEST, Factors
from homfem.grid.krylov import general_solution, symmetric_solution
from homfem.grid.multigrid import Multigrid, diagonal_of
from homfem.parameters import Array, ConvergenceError

log = logging.getLogger("homfem")

#: Iterations after which factors are taken, where they may be.
PATIENCE = 300
#: A load within so much of what it is the difference of is none: round-off, which no iteration makes smaller.
NOTHING = 1e-13


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Carried:
    r"""The solved cell problem at one speed, in the units of the carrier; three axes.

    Parameters
    ----------
    correctors : array, shape (m, n0, n1, n2)
        :math:`\chi_j` of the last m axes, in the middle of each voxel; without a mean over those that carry.
    flux : array, shape (m, m)
        F.
    velocity : array, shape (m,)
        V.
    iterations
        Of all axes together.
    """

    correctors: Array
    flux: Array
    velocity: Array
    iterations: int


class Carrier:
    """What carries, on one grid.

    Parameters
    ----------
    diffusivities : array, shape (3, n0, n1, n2)
        Along each axis; zero where nothing is carried.
    fluxes : array, shape (3, n0, n1, n2)
        What flows through the lower face of each voxel along each axis; without divergence.
    capacity : array, shape (n0, n1, n2)
        What a unit concentration is in each voxel, its walls included.
    sizes : array, shape (3,)
        Edges of a voxel.
    dimension
        2 for one voxel along the first axis, along which nothing happens; or 3.
    """

    def __init__(self, diffusivities: Array, fluxes: Array, capacity: Array, sizes: Array, dimension: int) -> None:
        self.axes, self.sizes = list(range(3 - dimension, 3)), sizes
        self.inside = diffusivities[2] > 0.0
        self.fluxes, self.capacity, self.mass = fluxes, capacity, float(capacity.sum())
        across = float(np.prod(sizes)) / sizes**2
        # Between a voxel and itself, of an axis of one voxel, diffusion does nothing: but its mean counts.
        self.alone = [a for a in self.axes if self.inside.shape[a] == 1]
        self.whole = np.zeros((3, *self.inside.shape))
        for a in self.axes:
            here, below = diffusivities[a], np.roll(diffusivities[a], 1, a)
            total = here + below
            np.divide(2.0 * across[a] * here * below, total, out=self.whole[a], where=total > 0.0)
        self.through = self.whole.copy()
        self.through[self.alone] = 0.0
        self._diagonal = diagonal_of(self.through)

    def solve(self, scale: float, *, rtol: float, max_iterations: int) -> Carried:
        """Return the solution for a speed: what the fluxes are multiplied with.

        Raises
        ------
        ConvergenceError
            If ``max_iterations`` do not suffice.
        """
        from homfem.grid import seven_points as kernels

        flow = scale * self.fluxes if scale else None
        cycle = Multigrid(self.through, flow=flow)

        def operator(x: Array) -> Array:
            out = np.empty_like(x)
            kernels.product(self.through, flow, self._diagonal, x, out)
            return out

        velocity = np.array([scale * self.fluxes[a].sum() * self.sizes[a] / self.mass for a in self.axes])
        gradients = np.stack([self._gradient(a) for a in self.axes])
        drifts = np.stack(
            [scale * self._drift(a) - v * self.capacity for a, v in zip(self.axes, velocity, strict=True)]
        )
        small = flow is not None and np.count_nonzero(self.inside) <= LARGEST[len(self.axes)]
        most = min(max_iterations, PATIENCE) if small else max_iterations
        found, iterations, factors = np.empty_like(gradients), 0, None
        for number, axis in enumerate(self.axes):
            b, name = gradients[number] - drifts[number], f"concentration, gradient along axis {axis - self.axes[0]}"
            drag = abs(velocity[number]) * float(np.linalg.norm(self.capacity))
            if float(np.linalg.norm(b)) <= NOTHING * (float(np.linalg.norm(gradients[number])) + drag):
                b[:] = 0.0
            steps = 1
            if flow is None:
                x, steps = symmetric_solution(operator, cycle, b, rtol=rtol, max_iterations=most, name=name)
            elif factors is None:
                try:
                    x, steps = general_solution(operator, cycle, b, rtol=rtol, max_iterations=most, name=name)
                except ConvergenceError as error:
                    if not small:
                        raise
                    log.info("image: %s; factors are taken", error)
                    factors = Factors(self.inside, self.through, flow)
            if factors is not None:
                x = factors.solution(b, rtol=rtol, name=name)
            x[~self.inside] = 0.0
            x[self.inside] -= x[self.inside].mean()
            found[number], iterations = x, iterations + steps
        mean = np.diag([float(self.whole[a].sum()) * self.sizes[a] ** 2 for a in self.axes])
        work = np.tensordot(gradients + drifts, found, axes=([1, 2, 3], [1, 2, 3]))
        return Carried(correctors=found, flux=(mean - work) / self.mass, velocity=velocity, iterations=iterations)

    def _gradient(self, axis: int) -> Array:
        """The load of a unit gradient by diffusion: what a voxel gains."""
        through = self.through[axis]
        return np.asarray(self.sizes[axis] * (np.roll(through, -1, axis) - through))

    def _drift(self, axis: int) -> Array:
        """The mean of the flow along an axis over each voxel, times its volume."""
        flux = self.fluxes[axis]
        return np.asarray(0.5 * self.sizes[axis] * (flux + np.roll(flux, -1, axis)))


def wall_areas(inside: npt.NDArray[np.bool_], sizes: Array, dimension: int) -> Array:
    """Return the area of the faces of each voxel inside beyond which there is none inside."""
    areas, found = float(np.prod(sizes)) / sizes, np.zeros(inside.shape)
    for axis in range(3 - dimension, 3):
        for side in (1, -1):
            found += areas[axis] * (inside & ~np.roll(inside, side, axis))
    return found
