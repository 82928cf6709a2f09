r"""The flux problem for coefficients that are full matrices in the axes of the grid.

The fluxes are those of :mod:`homfem.grid.flux`. Across a voxel :math:`\sigma_a=m_a+v_a(x_a-\bar x_a)`; without
divergence :math:`\sum_av_a=0`. Here the multiplier is on the faces and enforces that both sides of a face agree: with
:math:`\lambda_a^\pm` on the two faces across axis a, :math:`\Delta_a=\lambda_a^+-\lambda_a^-`,
:math:`\bar\lambda_a` their mean, :math:`R=D^{-1}` and :math:`t_a=12/(R_{aa}h_a^2)`, the fluxes of one voxel are

.. math:: m = D(\xi-\Delta/h),\qquad v_a = t_a(\mu-\bar\lambda_a),\qquad
          \mu = \frac{\sum_bt_b\bar\lambda_b}{\sum_bt_b},

and the energy :math:`\sum_v(\xi-\Delta/h)\cdot D(\xi-\Delta/h)+\sum_at_a(\mu-\bar\lambda_a)^2` is minimal where the
normal flux is continuous, and zero on faces of insulators. What the iteration leaves of the jumps is divided between
both sides, and the divergence that this brings is removed as in :mod:`homfem.grid.flux`.

In Fourier space a homogeneous medium gives one real symmetric 3 x 3 system per frequency.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from homfem.grid.flux import FluxProblem
from homfem.parameters import Array


class TensorialFluxProblem(FluxProblem):
    """The flux problem with multipliers on the faces; parameters as :class:`homfem.grid.flux.FluxProblem`."""

    def _prepare(self) -> None:
        self.shape = (3, *self._phase.shape)
        present = self.coefficients[1:][self.fractions[1:] > 0.0]
        self._mean = present.mean(axis=0)
        self._ratio = float(np.linalg.eigvals(np.linalg.solve(self._mean, present)).real.min())
        self._t = np.zeros((len(self.coefficients), 3))
        self._t[1:] = _stretching(self.coefficients[1:], self.sizes)
        grid = self._phase.shape
        count = (*grid[:2], grid[2] // 2 + 1)
        angles = [np.pi * np.arange(m) / n for m, n in zip(count, grid, strict=True)]
        self._shifts = tuple(np.exp(1j * angle) for angle in angles)
        self._sines, self._cosines = np.zeros((3, max(count))), np.zeros((3, max(count)))
        for a, angle in enumerate(angles):
            self._sines[a, : len(angle)], self._cosines[a, : len(angle)] = np.sin(angle), np.cos(angle)
        self._precondition = self._inverse

    def _inverse(self, residual: Array) -> npt.NDArray[Any]:
        spectrum = scipy.fft.rfftn(residual.astype(np.float32), axes=(1, 2, 3), workers=self._threads)
        mean = _stretching(self._mean[None], self.sizes)[0]
        self._kernels.solve_symbols(self._mean, mean, self._sines, self._cosines, self.scale, self._shifts, spectrum)
        return np.asarray(scipy.fft.irfftn(spectrum, s=self._phase.shape, axes=(1, 2, 3), workers=self._threads))

    def gradient(self, p: Array, load: Array, out: Array) -> None:
        """Set ``out`` to :math:`Sp-b`: the jump of the normal flux on each face."""
        weights = (1.0, -1.0)
        self._kernels.two_sided_fluxes(self.coefficients, self._t, self._phase, p, self.scale, load, weights, out)
        out *= self.scale[:, None, None, None]

    def fluxes(self, p: Array, load: Array) -> Array:
        """The mean of the fluxes on both sides of each face, zero on faces of insulators."""
        flux = np.empty(self.shape)
        weights = (0.5, 0.5)
        self._kernels.two_sided_fluxes(self.coefficients, self._t, self._phase, p, self.scale, load, weights, flux)
        self._close(flux)
        return flux

    def _close(self, flux: Array) -> None:
        if not self.remove.whole:
            inside = self._phase > 0
            for a in range(3):
                flux[a] *= inside & np.roll(inside, 1, axis=a)

    def _energy(self, load: Array) -> float:
        return float(load @ np.tensordot(self.fractions, self.coefficients, axes=1) @ load)

    def _excess(self, residual: Array) -> Array:
        # Half of each jump goes to either side, all of it to the inner one at an insulator.
        inside = self._phase > 0
        excess = np.zeros(self._phase.shape)
        for a in range(3):
            wall = inside != np.roll(inside, 1, axis=a)
            part = np.where(wall, 1.0, 0.5) * residual[a]
            excess += part + np.roll(part, -1, axis=a)
        excess *= inside
        return excess


def _stretching(coefficients: Array, sizes: Array) -> Array:
    """Return :math:`t_a=12/((D^{-1})_{aa}h_a^2)`, shape (n, 3)."""
    return np.asarray(12.0 / (np.einsum("paa->pa", np.linalg.inv(coefficients)) * sizes**2))
