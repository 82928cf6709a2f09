r"""Slow flow through the voxels of an image: velocities on faces, pressures in voxels (the grid of Harlow and Welch).

.. math:: -\Delta u+\nabla p=f ,\qquad \nabla\cdot u=0 ,\qquad u=0 \text{ on the walls},

with viscosity 1. Velocity k lives on the faces across axis k. A wall lies on faces of voxels: what is normal to it
vanishes there, what is parallel has its mirror image of the other sign behind it. All of it is symmetric, and the
velocities of a solution have no divergence in any voxel and pass no wall. Of what the iterations leave of a divergence
nothing remains: it is led away along a spanning tree of the voxels (:class:`homfem.grid.flux.Remover`).

**Accuracy.** A channel of n voxels lets through :math:`1+2/n^2` of what it should; in general the error falls as the
square of the voxel where walls are flat, and about as the voxel itself at corners, of which stairs are full.

**Solver.** MINRES with a V-cycle for each velocity, and for the pressure the inverse of :math:`1+B\,\mathrm{diag}(a)
B^T` in its two parts: a is the velocity of a unit force without pressure, which knows how wide the pores are. The
second part is what long pores need; with it the iterations hardly grow with the image.

Source: Harlow, Welch 1965, doi 10.1063/1.1761178; Elman, Silvester, Wathen 2014, Finite Elements and Fast Iterative
Solvers (MINRES with a block preconditioner); the mobility in place of a scaled identity follows Cahouet, Chabard 1988,
doi 10.1002/fld.1650080802.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homfem.grid.flux import Remover
from homfem.grid.krylov import symmetric_solution
from homfem.grid.multigrid import Multigrid, diagonal_of
from homfem.parameters import Array, ConvergenceError

#: Residual of the mobility, which only chooses the preconditioner.
ROUGH = 1e-2
#: Largest part of a flow that may be led away as a divergence of the iterations.
LED_AWAY = 1e-2


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoreFlow:
    r"""The flow that one force drives.

    Parameters
    ----------
    fluxes : array, shape (3, n0, n1, n2)
        What passes the lower face of each voxel along each axis: free of divergence.
    force : array, shape (3,)
        The force.
    iterations
        Of MINRES.
    """

    fluxes: Array
    force: Array
    iterations: int


class Pores:
    """The fluid of an image on one grid.

    Parameters
    ----------
    inside : array of bool, shape (n0, n1, n2)
        The voxels of the fluid; not all of them.
    sizes : array, shape (3,)
        Edges of a voxel.
    dimension
        2 for one voxel along the first axis, across which nothing flows; or 3.
    """

    def __init__(self, inside: npt.NDArray[np.bool_], sizes: Array, dimension: int) -> None:
        self.inside, self.sizes = inside, sizes
        self.axes = list(range(3 - dimension, 3))
        self.volume = float(np.prod(sizes))
        self.areas = self.volume / sizes
        across = self.volume / sizes**2
        self._through, self._diagonal, self._cycles, mobility = [], [], [], np.zeros((3, *inside.shape))
        for axis in self.axes:
            active = inside & np.roll(inside, 1, axis)
            through, walls = np.zeros((3, *inside.shape)), np.zeros((3, *inside.shape))
            for a in self.axes:
                through[a] = across[a] * joined(active, a)
                # The next velocity along its own axis is that of the wall; beside a wall there is a mirror image.
                weight = across[a] if a == axis else 2.0 * across[a]
                for side in (1, -1):
                    walls[a] += weight * (active & ~np.roll(active, side, a))
            self._through.append(through)
            self._diagonal.append(diagonal_of(through) + walls.sum(axis=0))
            self._cycles.append(Multigrid(through, walls))
            rough = self._mobility(len(self._through) - 1, active.astype(np.float64))
            mobility[axis] = self.areas[axis] ** 2 * np.where(active, np.maximum(rough, 0.0), 0.0)
        self._pressure = Multigrid(mobility)
        self._remove = Remover(inside, np.ones(3), 1)

    def _mobility(self, number: int, force: Array) -> Array:
        """The velocity of a unit force without pressure, roughly."""
        found, _ = symmetric_solution(
            lambda x: self._viscous(number, x), self._cycles[number], force, rtol=ROUGH, max_iterations=500,
            name="mobility of the pores",
        )  # fmt: skip
        return found

    def _viscous(self, number: int, x: Array) -> Array:
        from homfem.grid import seven_points as kernels

        out = np.empty_like(x)
        kernels.product(self._through[number], None, self._diagonal[number], x, out)
        return out

    def _saddle(self, y: Array) -> Array:
        from homfem.grid import seven_points as kernels

        out = np.empty_like(y)
        for number in range(len(self.axes)):
            kernels.product(self._through[number], None, self._diagonal[number], y[number], out[number])
        kernels.add_coupling(self.inside, self.areas, y, out)
        return out

    def _precondition(self, r: Array) -> Array:
        out = np.empty_like(r)
        for number, cycle in enumerate(self._cycles):
            out[number] = cycle(r[number])
        out[-1] = r[-1] / self.volume
        out[-1] += self._pressure(r[-1])
        return out

    def flow(self, force: Array, *, rtol: float, max_iterations: int) -> PoreFlow:
        """Return the flow that a uniform force (3,) drives.

        Raises
        ------
        ConvergenceError
            If ``max_iterations`` do not suffice.
        """
        b = np.zeros((len(self.axes) + 1, *self.inside.shape))
        for number, axis in enumerate(self.axes):
            b[number] = force[axis] * self.volume * (self.inside & np.roll(self.inside, 1, axis))
        y, iterations = symmetric_solution(
            self._saddle, self._precondition, b, rtol=rtol, max_iterations=max_iterations, name="flow through the image"
        )
        fluxes = np.zeros((3, *self.inside.shape))
        for number, axis in enumerate(self.axes):
            fluxes[axis] = self.areas[axis] * y[number]
        before = fluxes.copy()
        self._remove(fluxes)
        led = float(np.linalg.norm((fluxes - before).ravel()) / (np.linalg.norm(before.ravel()) or 1.0))
        if led > LED_AWAY:
            raise ConvergenceError(f"flow through the image: {led:.1e} of it has a divergence; take a smaller rtol")
        return PoreFlow(fluxes=fluxes, force=np.asarray(force, dtype=np.float64), iterations=iterations)


def joined(inside: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.bool_]:
    """Return the lower faces along an axis between two different voxels that are inside."""
    return inside & np.roll(inside, 1, axis) if inside.shape[axis] > 1 else np.zeros_like(inside)
