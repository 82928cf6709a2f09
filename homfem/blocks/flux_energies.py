r"""Energies of the flux functions on the sides of a rectangle, summed exactly over all cosine modes.

With outward fluxes f on the sides of a rectangle of aspect ratio :math:`\rho` (:mod:`homfem.blocks.elements`), the
complementary energy is the quadratic form of the symmetric matrix with the blocks (m: means, :math:`\omega=k\pi`)

* one side: :math:`\frac\rho3mm^\mathsf{T}+\sum_k\frac2\omega\coth(\omega\rho)\,c_kc_k^\mathsf{T}`;
* opposite sides: :math:`-\frac\rho6mm^\mathsf{T}+\sum_k\frac{2}{\omega\sinh\omega\rho}c_kc_k'^\mathsf{T}`;
* adjacent sides that meet at s = 0 of both:
  :math:`\rho\,m\int(\tfrac{(1-s)^2}2-\tfrac16)f'\,ds+\sum_k\frac2\omega c_kJ'(\omega\rho)`,

with :math:`1/\rho` for :math:`\rho` on the bottom and the top. Corners at s = 1 are mirrored to s = 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from homfem.blocks.elements import decay
from homfem.blocks.interface_basis import QUADRATURE_MODES, FluxBasis
from homfem.parameters import Array

Indices = npt.NDArray[np.int64]


class SideEnergies:
    """Energies of pairs of sides for one aspect ratio; families F ... 2F-1 are the mirror images of 0 ... F-1."""

    def __init__(self, basis: FluxBasis, ratio: float) -> None:
        self.ratio = float(ratio)
        self.modes = int(np.ceil(QUADRATURE_MODES * max(1.0, ratio, 1.0 / ratio)))
        self.omega = np.pi * np.arange(1, self.modes + 1)
        pair = (basis, basis.mirrored())
        self.means = basis.means
        moments = basis.moments(self.modes)[..., 1:]
        self.moments = np.concatenate([moments, moments * (-1.0) ** np.arange(1, self.modes + 1)])
        self.even = np.concatenate([part.even for part in pair])
        self.even_powers = np.concatenate([part.even_powers() for part in pair])
        self.falls = np.concatenate([part.falls(self.ratio, self.modes) for part in pair])
        self.fall = np.concatenate([part.fall for part in pair])
        self.fall_powers = np.concatenate([part.fall_powers() for part in pair])
        quadratic = (1.0 - basis.nodes) ** 2 / 2.0 - 1.0 / 6.0
        self.quadratics = np.concatenate([part.integrals(quadratic) for part in pair])

    def same(self, family: Indices) -> Array:
        """Return the energies of single sides, shape (len(family), n, n)."""
        ends = decay(self.omega * self.ratio, np.array([0.0]))[0]
        c = self.moments[family]
        plain, alternating = self._tails(self.even_powers[family], self.even_powers[family])
        a, b = self.even[family, :, 0], self.even[family, :, 1]
        cross = a @ alternating @ _turn(b)
        tail = a @ plain @ _turn(a) + b @ plain @ _turn(b) + cross + _turn(cross)
        return (
            self.ratio / 3.0 * np.outer(self.means, self.means)
            + (c * (2.0 / self.omega * ends)) @ _turn(c)
            + 2.0 * tail
        )

    def opposite(self, first: Indices, second: Indices) -> Array:
        """Return the energies between opposite sides, shape (len(first), n, n)."""
        ends = decay(self.omega * self.ratio, np.array([1.0]))[0]
        product = (self.moments[first] * (2.0 / self.omega * ends)) @ _turn(self.moments[second])
        return product - self.ratio / 6.0 * np.outer(self.means, self.means)

    def adjacent(self, first: Indices, second: Indices) -> Array:
        """Return the energies between the sides that the ratio runs away from and adjacent ones, corner at s = 0."""
        product = (self.moments[first] * (2.0 / self.omega)) @ _turn(self.falls[second])
        plain, alternating = self._tails(self.even_powers[first], self.fall_powers[second])
        a, b = self.even[first, :, 0], self.even[first, :, 1]
        d = self.fall[second] * self.ratio ** -self.fall_powers[second][:, None, :]
        tail = a @ plain @ _turn(d) + b @ alternating @ _turn(d)
        return product + 2.0 * tail + self.ratio * self.means[:, None] * self.quadratics[second][:, None, :]

    def _tails(self, first: Array, second: Array) -> tuple[Array, Array]:
        """Return sums over k > modes of omega^-(1 + p + q), plain and with the sign (-1)^k."""
        power = 1.0 + first[:, :, None] + second[:, None, :]
        every = hurwitz(power, self.modes + 1.0)
        even = 2.0**-power * hurwitz(power, self.modes // 2 + 1.0)
        scale = np.pi**-power
        return scale * every, scale * (2.0 * even - every)


def hurwitz(power: Array, start: float) -> Array:
    """Return the Hurwitz zeta function, the sum of k^-power over k = start, start + 1, ..., for start >= 10.

    Euler-Maclaurin with six corrections: round-off for powers of up to about 10, and in absolute terms for all.
    """
    base = start**-power
    result = base * (start / (power - 1.0) + 0.5)
    term = base * power / start
    for order, number in enumerate((1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000)):
        result += number * term
        term = term * ((power + 2 * order + 1) * (power + 2 * order + 2) / start**2)
    return np.asarray(result)


def element_energies(basis: FluxBasis, sides: Indices, ratios: Array) -> Array:
    """Return the energies of rectangles, shape (len(sides), 4, 4, n, n), for outward fluxes on unit diffusivity.

    Parameters
    ----------
    basis
        The flux functions.
    sides : int array, shape (r, 4)
        Family of the left, right, bottom and top side.
    ratios : array, shape (r,)
        Aspect ratios.
    """
    number, families = len(basis.means), len(basis.exponents)
    result = np.empty((len(sides), 4, 4, number, number))
    for ratio in np.unique(ratios):
        chosen = np.flatnonzero(ratios == ratio)
        left, right, bottom, top = sides[chosen].T
        across = SideEnergies(basis, ratio)
        up = across if ratio == 1.0 else SideEnergies(basis, 1.0 / ratio)
        for energies, (p, q), fluxes in ((across, (0, 1), (left, right)), (up, (2, 3), (bottom, top))):
            for side, flux in ((p, fluxes[0]), (q, fluxes[1])):
                result[chosen, side, side] = _unique(energies.same, flux)
            result[chosen, p, q] = _unique(energies.opposite, *fluxes)
            result[chosen, q, p] = _turn(result[chosen, p, q])
            if p == 0:
                for side, flux, at_end in ((0, left, 0), (1, right, families)):
                    for other, partner, turned in ((2, bottom, 0), (3, top, families)):
                        value = _unique(energies.adjacent, flux + turned, partner + at_end)
                        result[chosen, side, other] = value
                        result[chosen, other, side] = _turn(value)
    return result


def _unique(function, *families: Indices) -> Array:  # type: ignore[no-untyped-def]
    """Apply a batched function to the distinct tuples of families only."""
    distinct, inverse = np.unique(np.stack(families, axis=1), axis=0, return_inverse=True)
    parts = [function(*piece.T) for piece in np.array_split(distinct, max(1, len(distinct) // 512 + 1)) if len(piece)]
    return np.asarray(np.concatenate(parts)[inverse.ravel()])


def _turn(array: Array) -> Array:
    return np.swapaxes(array, -1, -2)
