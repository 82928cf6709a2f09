r"""The upper bound: trilinear potentials on the voxels (bilinear on pixels).

For every periodic potential :math:`u`, whether or not it solves anything,

.. math:: \xi\cdot D^*\xi\le\frac1{|Y|}\int(\xi+\nabla u)\cdot D(\xi+\nabla u)\,dy ,

and the integral is exact: D is constant in a voxel. Conducting voxels that meet only at an edge or a corner are not
connected in the continuum, because a line or a point has no capacity. A node there carries one unknown for each group
of voxels around it that are connected through faces, so that nothing leaks through it; such functions are admissible,
for the integral is over the conducting voxels alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem import brackets
from homfem.brackets import EPS
from homfem.grid.iteration import FourierInverse, Progress, Stop, axis_symbols, inverse_symbol, minimise
from homfem.parameters import Array

Indices = npt.NDArray[np.int64]
#: Roundings in the gradient of a field at a point.
STEPS = 32.0
_CORNERS = np.array([[v >> 2 & 1, v >> 1 & 1, v & 1] for v in range(8)])


def element_matrices(coefficients: Array, sizes: Array) -> Array:
    r"""Trilinear stiffness :math:`\frac1{|v|}\int\nabla\phi_a\cdot D\nabla\phi_b` of a voxel for each D.

    Parameters
    ----------
    coefficients : array, shape (n, 3, 3)
    sizes : array, shape (3,)
        Edges of the voxel.

    Returns
    -------
    array, shape (n, 8, 8)
        Corner number 4 i + 2 j + k.
    """
    mass = np.array([[2.0, 1.0], [1.0, 2.0]]) / 6.0
    stiff = np.array([[1.0, -1.0], [-1.0, 1.0]])
    mixed = np.array([[-0.5, -0.5], [0.5, 0.5]])  # integral of phi_a' phi_b
    result = np.zeros((len(coefficients), 8, 8))
    for a in range(3):
        for b in range(3):
            factors = [mass, mass, mass]
            if a == b:
                factors[a] = stiff
            else:
                factors[a], factors[b] = mixed, mixed.T
            matrix = np.kron(np.kron(factors[0], factors[1]), factors[2]) / (sizes[a] * sizes[b])
            result += coefficients[:, a, b, None, None] * matrix
    return result


def corner_groups() -> npt.NDArray[np.int8]:
    """For each of the 256 sets of voxels around a node the group of each voxel, -1 outside; shape (256, 8)."""
    groups = np.full((256, 8), -1, dtype=np.int8)
    for bits in range(256):
        number = 0
        for start in range(8):
            if not bits >> start & 1 or groups[bits, start] >= 0:
                continue
            pending = [start]
            while pending:
                voxel = pending.pop()
                if bits >> voxel & 1 and groups[bits, voxel] < 0:
                    groups[bits, voxel] = number
                    pending += [voxel ^ 1, voxel ^ 2, voxel ^ 4]
            number += 1
    return groups


class PotentialProblem:
    """The trilinear cell problem.

    Parameters
    ----------
    phase : array of int, shape (n0, n1, n2)
        Phase of each voxel, 0 where it insulates.
    coefficients : array, shape (number of phases + 1, 3, 3)
        Row 0 is zero.
    sizes : array, shape (3,)
        Edges of a voxel.
    threads
        Threads of the transforms.
    """

    def __init__(self, phase: npt.NDArray[Any], coefficients: Array, sizes: Array, threads: int) -> None:
        from homfem.grid import kernels

        self._kernels = kernels
        self.shape, self.count = phase.shape, phase.size
        self.coefficients, self.sizes = coefficients, sizes
        self.fractions = np.bincount(phase.reshape(-1), minlength=len(coefficients)) / phase.size
        self._split(phase)
        scalar = coefficients[:, 0, 0]
        self._unit = element_matrices(np.eye(3)[None], sizes)[0, 0].copy()
        isotropic = np.array_equal(coefficients, scalar[:, None, None] * np.eye(3))
        self._values = scalar[self._phase] if isotropic else None
        mean = np.tensordot(self.fractions, coefficients, axes=1)
        difference, mass, slope = axis_symbols(self.shape, sizes)
        symbol = mean[0, 0] * difference[0] * mass[1] * mass[2]
        symbol = symbol + mean[1, 1] * mass[0] * difference[1] * mass[2]
        symbol += mean[2, 2] * mass[0] * mass[1] * difference[2]
        for a, b, c in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
            if mean[a, b] != 0.0:
                symbol += 2.0 * mean[a, b] * slope[a] * slope[b] * mass[c]
        self._inverse = FourierInverse(inverse=inverse_symbol(symbol), shape=self.shape, threads=threads)

    @cached_property
    def _table(self) -> Array:
        return element_matrices(self.coefficients, self.sizes)

    @property
    def dofs(self) -> int:
        """Number of unknowns."""
        return self.count + len(self._copies)

    def _split(self, phase: npt.NDArray[Any]) -> None:
        """Give nodes where groups of voxels only touch one more unknown per group, numbered after the grid's."""
        self._phase = phase
        self._copies: Indices = np.zeros(0, dtype=np.int64)
        if phase.min() > 0:
            return
        groups, inside = corner_groups(), phase > 0
        number = np.empty(phase.shape, dtype=np.int8)
        self._kernels.count_copies(inside, groups, number)
        self._copies = np.repeat(np.arange(phase.size), number.reshape(-1))
        if len(self._copies) == 0:
            return
        first = phase.size + np.cumsum(number.reshape(-1), dtype=np.int64) - number.reshape(-1)
        around = np.zeros(phase.shape, dtype=bool)
        split = number > 0
        for i, j, k in _CORNERS:
            around |= np.roll(split, (-i, -j, -k), axis=(0, 1, 2))
        voxels = np.flatnonzero(around & inside)
        self._corners = np.empty((len(voxels), 8), dtype=np.int64)
        self._kernels.number_corners(voxels, inside, groups, first, self._corners)
        self._voxel_phase = phase.reshape(-1)[voxels]
        self._phase = phase.copy()
        self._phase.reshape(-1)[voxels] = 0
        diagonal = np.bincount(
            self._corners.reshape(-1),
            weights=np.einsum("vaa->va", self._table[self._voxel_phase]).reshape(-1),
            minlength=self.dofs,
        )
        self._diagonal = diagonal[self.count :]

    def _on_grid(self, field: Array) -> Array:
        return field[: self.count].reshape(self.shape)

    def product(self, u: Array, out: Array) -> None:
        """The stiffness applied to ``u``; flat arrays of ``dofs`` numbers."""
        if self._values is not None:
            self._kernels.stiffness_product(self._unit, self._values, self._on_grid(u), self._on_grid(out))
        else:
            self._kernels.stiffness_product_table(self._table, self._phase, self._on_grid(u), self._on_grid(out))
        if len(self._copies):
            out[self.count :] = 0.0
            self._kernels.add_elements(self._table, self._voxel_phase, self._corners, u, out)

    def precondition(self, residual: Array) -> npt.NDArray[Any]:
        """The Fourier-space inverse; copies of a node follow it, up to a difference of their own."""
        if len(self._copies) == 0:
            return self._inverse(self._on_grid(residual)).reshape(-1)
        copies, own = self._copies, residual[self.count :]
        grid = residual[: self.count].copy()
        np.add.at(grid, copies, own)
        result = np.empty(self.dofs, dtype=np.float64)
        result[: self.count] = self._inverse(grid.reshape(self.shape)).reshape(-1)
        result[self.count :] = result[copies] + own / self._diagonal
        return result

    def load(self, direction: Array) -> Array:
        r"""The load :math:`-\int\nabla\phi\cdot D\xi`, flat."""
        flux = self.coefficients @ direction
        table = -0.25 * ((2 * _CORNERS - 1) / self.sizes @ flux.T).T
        side = np.zeros(self.dofs)
        self._kernels.load_nodes(np.ascontiguousarray(table), self._phase, self._on_grid(side))
        if len(self._copies):
            self._kernels.add_loads(np.ascontiguousarray(table), self._voxel_phase, self._corners, side)
        return side

    def solve(
        self, loads: Array, *, rtol: float, max_iterations: int, report: Callable[[int, Progress], None], keep: bool
    ) -> tuple[Array, Array, list[Array]]:
        r"""Return the energy tensor :math:`U` of the computed potentials for the given loads, and the potentials.

        Parameters
        ----------
        loads : array, shape (m, 3)
        rtol, max_iterations
            See :func:`homfem.grid.iteration.minimise`.
        report
            Called after each load.
        keep
            Whether the potentials on the grid are returned (copies of nodes left out).

        Returns
        -------
        array, shape (m, m)
            :math:`U_{ij}=\frac1{|Y|}\int(\xi_i+\nabla u_i)\cdot D(\xi_j+\nabla u_j)`, of the fields as they are.
        array, shape (m, m)
            What round-off can have done to it.
        list of array, shape (n0, n1, n2)
        """
        mean = np.tensordot(self.fractions, self.coefficients, axes=1)
        start = np.diag(loads @ mean @ loads.T)
        potentials = []
        for j in range(len(loads)):
            u, progress = minimise(
                self.product,
                self.precondition,
                self.load(loads[j]),
                energy=float(start[j]),
                count=self.count,
                stop=Stop(rtol=rtol, max_iterations=max_iterations, name=f"potential, load {j + 1}"),
            )
            potentials.append(u)
            report(j, progress)
        energy, noise = self._energies(potentials, loads)
        return energy, noise, [self._on_grid(u) for u in potentials] if keep else []

    def _energies(self, potentials: list[Array], loads: Array) -> tuple[Array, Array]:
        """Energies of the fields, voxel by voxel, and what round-off can have done to them."""
        number = len(loads)
        traces = loads @ (_CORNERS * self.sizes).T
        fields = np.stack([self._on_grid(u) for u in potentials])
        sums = np.zeros((self.shape[0] * self.shape[1], number, number))
        self._kernels.energies(self._table, self._phase, fields, traces, sums)
        energy = sums.sum(axis=0)
        energy = np.tril(energy) + np.tril(energy, -1).T
        if len(self._copies):
            local = np.stack([u[self._corners] for u in potentials]) + traces[:, None]
            local -= local.mean(axis=2, keepdims=True)
            energy += np.einsum("ivb,vab,jva->ij", local, self._table[self._voxel_phase], local, optimize=True)
        energy /= self.count
        size = np.array([float(np.abs(u).max(initial=0.0)) for u in potentials])
        stiffest = float(self.fractions @ np.linalg.eigvalsh(self.coefficients)[:, -1])
        error = stiffest * (STEPS * EPS * (1.0 + size / self.sizes.min())) ** 2
        return energy, brackets.of_round_off(error, np.diag(energy), STEPS + self.shape[2])
