r"""A slit between charged walls with a 1:1 salt, by elliptic functions: double layers of any thickness.

With y the distance from the middle over the half-width h, :math:`\psi'=\kappa\sqrt{2(\cosh\psi-\cosh\psi_0)}`, so that

.. math:: \kappa y = 2e^{-s/2}\,\bigl[K(m)-F(\arcsin e^{-(|\psi|-s)/2},m)\bigr] ,\qquad s=|\psi_0|,\quad
          \text{modulus } m=e^{-s} .

Along the walls the flow of a force is that of one dimension: with :math:`I_i(y)=\int_0^yc_i` the matrix of Onsager,
averaged over the slit, of lengths in h, concentrations in that of the bath and diffusivities D_i, is

.. math:: L_{00}=\frac1{3\eta} ,\qquad L_{0i}=\frac1\eta\int_0^1\tfrac12(1-y^2)\,c_i ,\qquad
          L_{ij}=\delta_{ij}D_i\langle c_i\rangle+\frac1\eta\int_0^1I_iI_j .

Source: Verwey, Overbeek 1948, Theory of the stability of lyophobic colloids; Burgreen, Nakache 1964,
doi 10.1021/j100787a019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ellipkinc, ellipkm1

from homfem.parameters import Array, check_number


@dataclass(frozen=True, kw_only=True, slots=True)
class ChargedSlit:
    """A slit whose walls hold a potential.

    Parameters
    ----------
    zeta
        Of the walls, in kT/e; not 0.
    kappa
        Half-width of the slit over the length of Debye, > 0.

    Raises
    ------
    InputError
        For a number out of range.

    Example
    -------
    >>> slit = ChargedSlit(zeta=-2.0, kappa=2.0)
    >>> round(slit.centre, 9)
    -0.480456115
    >>> round(float(slit.onsager(viscosity=1.0)[1, 1]), 9)
    4.301887863
    """

    zeta: float
    kappa: float

    def __post_init__(self) -> None:
        check_number("kappa", self.kappa, above=0.0)
        check_number("zeta", abs(self.zeta), above=0.0, at_most=100.0)

    @property
    def centre(self) -> float:
        """The potential in the middle."""
        return math.copysign(self._least, self.zeta)

    @property
    def _least(self) -> float:
        size = abs(self.zeta)

        def excess(logarithm: float) -> float:
            return float(_place(size, math.exp(logarithm))) - self.kappa

        # Two thin layers add up to 8 tanh(zeta / 4) exp(-kappa) in the middle: far below is a start.
        low = math.log(math.tanh(size / 4.0)) - self.kappa - 3.0
        from scipy.optimize import brentq

        return math.exp(brentq(excess, low, math.log(size * (1.0 - 1e-15)), xtol=1e-14, rtol=1e-14))

    def place(self, potential: npt.ArrayLike) -> Array:
        """Return the distance from the middle, over the half-width, of potentials in the slit."""
        found = _place(np.abs(np.asarray(potential, dtype=float)), self._least) / self.kappa
        return np.asarray(np.maximum(found, 0.0))

    def onsager(self, *, viscosity: float, diffusivities: Sequence[float] = (1.0, 1.0)) -> Array:
        """Return the matrix of Onsager averaged over the slit, order (U, J+, J-), shape (3, 3)."""
        _, ions, flow, pairs, _ = self._integrals()
        matrix = np.zeros((3, 3))
        matrix[0, 0] = 1.0 / (3.0 * viscosity)
        matrix[0, 1:] = matrix[1:, 0] = flow / viscosity
        matrix[1:, 1:] = pairs / viscosity + np.diag(np.asarray(diffusivities) * ions)
        return matrix

    @property
    def concentrations(self) -> Array:
        """Means of cation and anion."""
        return self._integrals()[1]

    @property
    def mean_potential(self) -> float:
        """The mean of the potential."""
        return math.copysign(self._integrals()[0], self.zeta)

    @property
    def mean_square_field(self) -> float:
        """The mean of the square of its slope."""
        return self._integrals()[4]

    def _integrals(self) -> tuple[float, Array, Array, Array, float]:
        """Means of the potential, of both ions, of them times the flow, of products of I, of the field squared."""
        least, sign = self._least, math.copysign(1.0, self.zeta)

        def slopes(t: float, state: Array) -> Array:
            # |psi| = s + t^2 takes the root in the middle away.
            size = least + t * t
            ratio = math.sqrt(2.0) if t < 1e-6 else t / math.sqrt(math.sinh(0.5 * t * t))
            dy = ratio / (self.kappa * math.sqrt(math.sinh(0.5 * (size + least))))
            c = np.exp([-sign * size, sign * size])
            y, inside = state[0], state[1:3]
            field = 2.0 * self.kappa**2 * (math.cosh(size) - math.cosh(least))
            pairs = [inside[0] ** 2, inside[0] * inside[1], inside[1] ** 2]
            return dy * np.array([1.0, *c, size, *(0.5 * (1.0 - y * y) * c), *pairs, field])

        end = math.sqrt(abs(self.zeta) - least)
        from scipy.integrate import solve_ivp

        found = solve_ivp(slopes, (0.0, end), np.zeros(10), method="DOP853", rtol=1e-13, atol=1e-15).y[:, -1]
        pairs = np.array([[found[6], found[7]], [found[7], found[8]]])
        return float(found[3]), found[1:3], found[4:6], pairs, float(found[9])


def _place(size: npt.ArrayLike, least: float) -> Array:
    """Kappa times the distance from the middle, where the size of the potential is ``least``."""
    amplitude = np.arcsin(np.minimum(np.exp(-0.5 * (np.asarray(size) - least)), 1.0))
    square = math.exp(-2.0 * least)
    return np.asarray(
        2.0 * math.exp(-0.5 * least) * (ellipkm1(-math.expm1(-2.0 * least)) - ellipkinc(amplitude, square))
    )
