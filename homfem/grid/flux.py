r"""The lower bound: fluxes through the faces of the voxels (lowest-order Raviart-Thomas), free of divergence.

For periodic fields :math:`\sigma_j` that are free of divergence and vanish in what insulates, with means
:math:`S_{ij}=\langle\sigma_j\rangle_i` and energies :math:`E_{ij}=\frac1{|Y|}\int\sigma_i\cdot D^{-1}\sigma_j`,

.. math:: \xi\cdot D^*\xi=\max_\sigma\,(2\,\xi\cdot\langle\sigma\rangle-\langle\sigma\cdot D^{-1}\sigma\rangle)
          \;\ge\;\xi\cdot S E^{-1}S^T\xi ,

the maximum over the combinations of the :math:`\sigma_j`. A flux that is linear along each axis of a voxel and has
one value on each face is admissible as soon as in each voxel what flows in flows out, and faces of insulating voxels
carry nothing. Its energy is integrated exactly.

**The discrete problem** (here for a D that is diagonal in the axes of the grid; :mod:`homfem.grid.tensorial` for the
rest). With a potential p, constant in each voxel, as multiplier of the divergence,

.. math:: M_a\sigma_a=\xi_a-\partial_ap,\qquad \sum_a\partial_a\sigma_a=0,

where :math:`M_a` couples the faces along one line of voxels only: it is inverted line by line, and what remains is one
symmetric positive semidefinite problem for p, :math:`S p=b`, with a Fourier-space preconditioner as for potentials.

**What makes it exact.** The iteration leaves a divergence :math:`\rho` in the voxels. It is removed: without
insulators by a gradient on the staggered grid, :math:`\sigma-\nabla\Delta^{-1}\rho` (two transforms); with insulators
by leading the excess of each voxel along a spanning tree of the conducting voxels to a root, where the sum over the
connected part arrives, which is zero: nothing enters it or leaves it. Both change :math:`\sigma` by something
proportional to the residual, and the bound by its square. What :math:`S E^{-1}S^T` is made of is then an admissible
flux, however early the iteration stopped, but for round-off: a divergence :math:`\rho` of the last digits is left. Led
away along a path of voxels it would change the energy norm of the flux by :math:`q`,
:math:`q^2=\frac2n(\sum|\rho|)^2\sum_vh^2/\lambda_{\min}(D_v)` with the longest edge h of the n voxels, and its mean by
:math:`\frac hn\sum|\rho|` for each voxel of the path. That much is given as the noise of the bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from homfem import brackets
from homfem.brackets import EPS, symmetric
from homfem.grid.iteration import FourierInverse, Progress, Stop, axis_symbols, inverse_symbol, minimise
from homfem.parameters import Array

#: A gradient that leads the excess away is at most three times as costly as the preconditioner's own estimate.
LUMPING = 3.0


class Remover:
    """Removes the divergence that is left in face fluxes.

    Parameters
    ----------
    inside : array of bool, shape (n0, n1, n2)
        The voxels that conduct.
    sizes : array, shape (3,)
        Edges of a voxel.
    threads
        Threads of the transforms.
    """

    def __init__(self, inside: npt.NDArray[np.bool_], sizes: Array, threads: int) -> None:
        from homfem.grid import face_kernels

        self._kernels, self._threads = face_kernels, threads
        self.scale = 1.0 / sizes
        self.whole = bool(inside.all())
        if self.whole:
            difference = axis_symbols(inside.shape, sizes)[0]
            self._symbol = difference[0] + difference[1] + difference[2]
            self._symbol[0, 0, 0] = np.inf
        else:
            order = np.empty(int(np.count_nonzero(inside)), dtype=np.int64)
            self.side = np.empty(inside.size, dtype=np.int8)
            face_kernels.spanning_forest(inside, order, self.side)
            self.order = order

    def __call__(self, flux: Array) -> None:
        """Make ``flux`` (3, n0, n1, n2) free of divergence, in place."""
        excess = np.empty(flux.shape[1:])
        self._kernels.divergence(flux, self.scale, excess)
        if not self.whole:
            self._kernels.drain(excess, self.order, self.side, self.scale, flux)
            return
        spectrum = scipy.fft.rfftn(excess, workers=self._threads, overwrite_x=True)
        spectrum /= -self._symbol
        q = scipy.fft.irfftn(spectrum, s=excess.shape, workers=self._threads, overwrite_x=True)
        self._kernels.subtract_gradient(np.ascontiguousarray(q), self.scale, flux)


class FluxProblem:
    """The flux problem for coefficients that are diagonal in the axes of the grid.

    Parameters
    ----------
    phase, coefficients, sizes, threads
        As in :class:`homfem.grid.potential.PotentialProblem`.
    """

    def __init__(self, phase: npt.NDArray[Any], coefficients: Array, sizes: Array, threads: int) -> None:
        from homfem.grid import face_kernels

        self._kernels = face_kernels
        self._phase, self.count = phase, phase.size
        self._threads, self._rtol = threads, 0.0
        self.coefficients, self.sizes, self.scale = coefficients, sizes, 1.0 / sizes
        self.resistivity = np.zeros_like(coefficients)
        self.resistivity[1:] = np.linalg.inv(coefficients[1:])
        self.fractions = np.bincount(phase.reshape(-1), minlength=len(coefficients)) / phase.size
        along = np.einsum("paa->ap", self.resistivity)
        first = along[0][phase]
        self._along = [first, *(first if np.array_equal(row, along[0]) else row[phase] for row in along[1:])]
        self.remove = Remover(phase > 0, sizes, threads)
        self._prepare()

    def _prepare(self) -> None:
        """Make the preconditioner, that of the geometric mean of the coefficients."""
        self.shape: tuple[int, ...] = self._phase.shape
        present = np.einsum("paa->pa", self.coefficients[1:][self.fractions[1:] > 0.0])
        mean = np.exp(np.mean(np.log(present), axis=0))
        #: The operator is at least so many times that of the preconditioner where nothing insulates.
        self._ratio = float((present / mean).min())
        difference, mass, _ = axis_symbols(self.shape, self.sizes)
        symbol = mean[0] * difference[0] / mass[0] + mean[1] * difference[1] / mass[1]
        symbol = symbol + mean[2] * difference[2] / mass[2]
        self._precondition: Callable[[Array], npt.NDArray[Any]] = FourierInverse(
            inverse=inverse_symbol(symbol), shape=self.shape, threads=self._threads
        )

    @property
    def dofs(self) -> int:
        """Number of unknowns."""
        return int(np.prod(self.shape))

    def gradient(self, p: Array, load: Array, out: Array) -> None:
        """Set ``out`` to :math:`Sp-b`: the divergence of the fluxes of p and a mean gradient."""
        self._kernels.flux_divergence(*self._along, p, self.scale, load, out)

    def fluxes(self, p: Array, load: Array) -> Array:
        """The fluxes of p and a mean gradient through all faces, shape (3, n0, n1, n2)."""
        flux = np.empty((3, *self._phase.shape))
        self._kernels.face_fluxes(*self._along, p, self.scale, load, flux)
        return flux

    def _energy(self, load: Array) -> float:
        """The energy of p = 0."""
        return float(load @ self.fluxes(np.zeros(self.shape), load).mean(axis=(1, 2, 3)))

    def _excess(self, residual: Array) -> Array:
        """The divergence that a residual stands for, as a new array."""
        return residual.copy()

    def _small_enough(self, residual: Array, size: float, energy: float) -> bool:
        """Whether removing the divergence costs the bound less than ``rtol`` of the energy, as far as can be told."""
        if self.remove.whole:
            return LUMPING * size / self._ratio <= self._rtol * abs(energy)
        cost = self._kernels.drained_energy(
            self._excess(residual), self.remove.order, self.remove.side, self.scale, *self._along
        )
        return bool(cost / self.count <= self._rtol * abs(energy))

    def solve(
        self, loads: Array, *, rtol: float, max_iterations: int, report: Callable[[int, Progress], None], keep: bool
    ) -> tuple[Array, Array, list[Array]]:
        """Return the lower bound for the given loads, its noise, both of shape (m, m), and the fluxes (3, n0, n1, n2).

        Parameters as in :meth:`homfem.grid.potential.PotentialProblem.solve`.
        """
        self._rtol = rtol
        fluxes = []
        for j in range(len(loads)):
            direction = np.ascontiguousarray(loads[j])
            side = np.empty(self.shape)
            self.gradient(np.zeros(self.shape), direction, side)
            np.negative(side, out=side)
            p, progress = minimise(
                lambda x, out: self.gradient(x, np.zeros(3), out),
                self._precondition,
                side,
                energy=self._energy(direction),
                count=self.count,
                stop=Stop(
                    rtol=rtol, max_iterations=max_iterations, accept=self._small_enough, name=f"flux, load {j + 1}"
                ),
            )
            flux = self.fluxes(p, direction)
            del p, side
            self.remove(flux)
            fluxes.append(flux)
            report(j, progress)
        bound = bound_of_fluxes(fluxes, loads, self.resistivity, self._phase)
        return bound, self._noise(fluxes, np.diag(bound)), fluxes if keep else []

    def _noise(self, fluxes: list[Array], energies: Array) -> Array:
        """What the divergence that round-off leaves can do to the bound, and the sums."""
        smallest = np.linalg.eigvalsh(self.coefficients[1:])[:, 0]
        longest = float(self.sizes.max())
        resistance = longest**2 * self.count * float(self.fractions[1:] @ (1.0 / smallest))
        path = self.count if not self.remove.whole else sum(self._phase.shape)
        error, turned = np.empty(len(fluxes)), np.empty(len(fluxes))
        left = np.empty(self._phase.shape)
        for j, flux in enumerate(fluxes):
            self._kernels.divergence(flux, self.scale, left)
            rest = float(np.abs(left).sum()) + 4.0 * EPS * float(np.abs(flux).sum(axis=(1, 2, 3)) @ self.scale)
            error[j], turned[j] = 2.0 * rest**2 * resistance / self.count, rest * longest / self.count * path
        along = brackets.share(np.ones(len(fluxes)), energies) * brackets.share(turned**2, energies)
        noise = brackets.of_round_off(error, energies, float(np.log2(self.count)) + self._phase.shape[2])
        return noise + 2.0 * np.sqrt(along) * np.diag(np.abs(energies))


def bound_of_fluxes(fluxes: list[Array], loads: Array, resistivity: Array, phase: npt.NDArray[Any]) -> Array:
    r"""Return :math:`S E^{-1}S^T` of admissible fluxes, in the basis of the loads.

    Parameters
    ----------
    fluxes : list of m arrays, shape (3, n0, n1, n2)
    loads : array, shape (m, 3)
        Orthonormal rows.
    resistivity : array, shape (number of phases + 1, 3, 3)
        :math:`D^{-1}` of each phase, zero where it insulates.
    phase : array of int, shape (n0, n1, n2)
    """
    from homfem.grid import face_kernels

    number = len(fluxes)
    energy = np.empty((number, number))
    for i in range(number):
        for j in range(i + 1):
            energy[i, j] = face_kernels.flux_products(fluxes[i], fluxes[j], resistivity, phase) / phase.size
            energy[j, i] = energy[i, j]
    mean = loads @ np.array([flux.mean(axis=(1, 2, 3)) for flux in fluxes]).T
    bound = mean @ np.linalg.solve(energy, mean.T)
    return symmetric(bound)
