r"""Flux functions on an interface that know the corner singularities, and their cosine moments to round-off.

On an interface, :math:`s\in[0,1]`, the flux is expanded in the Legendre polynomials :math:`P_0,\dots,P_p` and in
:math:`s^{\lambda-1}` and :math:`(1-s)^{\lambda-1}` with the exponents of the two end vertices
(:mod:`homfem.blocks.corners`), all but :math:`P_0` of zero mean. What is left out is smooth up to the next exponents,
and the polynomials take care of it quickly.

The energies of :mod:`homfem.blocks.galerkin` are infinite sums over the cosine modes. They are summed exactly: the
moments are known up to :math:`k=32` by quadrature on a mesh that is graded towards both ends, and beyond through their
asymptotic series in :math:`\omega=k\pi` (for polynomials it ends),

.. math:: c_k=\sum_ea_e\omega^{-e}+(-1)^k\sum_eb_e\omega^{-e},\qquad
   \int_0^1s^{\lambda-1}\cos\omega s\,ds\sim\Gamma(\lambda)\cos\tfrac{\pi\lambda}2\,\omega^{-\lambda}
   +(-1)^k\sum_{m\ge1}\frac{(-1)^{m+1}f^{(2m-1)}(1)}{\omega^{2m}},

so that the tails of the sums are Hurwitz zeta functions. The decay integrals
:math:`J(\kappa)=\int_0^1f\cosh\kappa(1-s)/\sinh\kappa\,ds` have the series :math:`\Gamma(\lambda)\kappa^{-\lambda}` and
:math:`\sum_jf^{(j)}(0)\kappa^{-j-1}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Legendre
from scipy.special import gamma

from homfem.blocks.elements import decay
from homfem.parameters import Array

QUADRATURE_MODES = 32  # beyond these the asymptotic series are exact to round-off
EVEN_TERMS = 9  # terms omega^-2 ... omega^-18
DECAY_TERMS = 18  # terms kappa^-1 ... kappa^-18
FINEST = 52  # binary orders of the graded mesh


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FluxBasis:
    """Flux functions of several families of interfaces.

    Parameters
    ----------
    degree : int
        Highest polynomial degree p.
    exponents : array, shape (f, 4)
        lambda of the singular functions of each family: two at s = 0, two at s = 1.
    active : bool array, shape (f, n)
        Which of the n = p + 5 functions of each family exist: a singular function that is a polynomial does not.
    distinct : array, shape (u, g)
        Values times weights at the nodes of the graded mesh, zero means subtracted, of the u distinct functions.
    index : int array, shape (f, n)
        Which of them each function is.
    nodes : array, shape (g,)
        The nodes s.
    means : array, shape (n,)
        Integrals over the interface: 1, 0, 0, ...
    even : array, shape (f, n, 2, 4 + EVEN_TERMS)
        Asymptotic coefficients a (index 0) and b (index 1) for the powers ``exponents`` and 2, 4, ...
    fall : array, shape (f, n, 4 + DECAY_TERMS)
        Coefficients of J, seen from s = 0, for the powers ``exponents`` and 1, 2, ...
    """

    degree: int
    exponents: Array
    active: Array
    distinct: Array
    index: npt.NDArray[np.int64]
    nodes: Array
    means: Array
    even: Array
    fall: Array

    def moments(self, modes: int) -> Array:
        """Return c_0 ... c_modes of all functions, shape (f, n, modes + 1)."""
        low = np.pi * np.arange(min(modes, QUADRATURE_MODES) + 1)
        result = [(self.distinct @ _cosines()[:, : len(low)])[self.index]]
        if modes > QUADRATURE_MODES:
            k = np.arange(QUADRATURE_MODES + 1, modes + 1)
            powers = self.even_powers()[:, :, None]
            scaled = (np.pi * k)[None, None, :] ** -powers
            parts = np.einsum("fnte,fek->tfnk", self.even, scaled)
            result.append(parts[0] + (-1.0) ** k * parts[1])
        return np.concatenate(result, axis=-1)

    def falls(self, ratio: float, modes: int) -> Array:
        """Return J(k pi ratio), k = 1 ... modes, of all functions, seen from s = 0, shape (f, n, modes)."""
        return np.asarray((self.distinct @ _decays(ratio, modes))[self.index])

    def integrals(self, weight: Array) -> Array:
        """Return the integrals of all functions times a function given at the nodes, shape (f, n)."""
        return np.asarray((self.distinct @ weight)[self.index])

    def even_powers(self) -> Array:
        """Return the powers of the asymptotic series of the moments, shape (f, 4 + EVEN_TERMS)."""
        return np.concatenate(
            [self.exponents, np.tile(2.0 * np.arange(1, EVEN_TERMS + 1), (len(self.exponents), 1))], axis=1
        )

    def fall_powers(self) -> Array:
        """Return the powers of the series of J, shape (f, 4 + DECAY_TERMS)."""
        return np.concatenate(
            [self.exponents, np.tile(np.arange(1.0, DECAY_TERMS + 1), (len(self.exponents), 1))], axis=1
        )

    def mirrored(self) -> FluxBasis:
        """Return the same functions of 1 - s, in the same order."""
        series = _series(self.degree, self.exponents[:, [2, 3, 0, 1]], self.active[:, self._swap()])
        order = self._swap()
        signs = np.ones(self.active.shape[1])
        signs[: self.degree + 1] = (-1.0) ** np.arange(self.degree + 1)
        return FluxBasis(
            degree=self.degree,
            exponents=self.exponents[:, [2, 3, 0, 1]],
            active=self.active,
            distinct=self.distinct[:, ::-1],
            index=self.index,
            nodes=self.nodes,
            means=self.means,
            even=signs[:, None, None] * series[0][:, order],
            fall=signs[:, None] * series[1][:, order],
        )

    def _swap(self) -> Array:
        p = self.degree + 1
        return np.concatenate([np.arange(p), p + np.array([2, 3, 0, 1])])


def make_basis(exponents: Array, degree: int, singular: int = 2) -> FluxBasis:
    """Return the flux functions for families of interfaces.

    Parameters
    ----------
    exponents : array, shape (f, 4)
        Corner exponents lambda: the two of the vertex at s = 0, the two of the vertex at s = 1.
    degree
        Highest polynomial degree, >= 0.
    singular
        How many exponents of each vertex are used: 0, 1 or 2.
    """
    exponents = np.asarray(exponents, dtype=np.float64)
    near = np.abs(exponents - np.maximum(1.0, np.round(exponents))) < 1e-7
    use = ~near & (np.arange(4) % 2 < singular)[None, :]
    use &= ~((np.arange(4) % 2 == 1) & (np.abs(exponents - np.roll(exponents, 1, axis=1)) < 1e-7))
    exponents = np.where(use, exponents, 1.0)
    active = np.concatenate([np.ones((len(exponents), degree + 1), dtype=bool), use], axis=1)
    nodes, _, weights = _graded()
    polynomials = _polynomials(degree)[0]
    # Rows: the polynomials, a zero, then the singular functions of every distinct exponent, at s = 0 and at s = 1.
    powers, which = np.unique(exponents, return_inverse=True)
    near_end = np.maximum(nodes, 2.0**-FINEST) ** (powers[:, None] - 1.0) * weights
    # The first node stands for the end piece, where the integral of the power is taken exactly.
    near_end[:, 0] = (2.0**-FINEST) ** powers / powers
    near_end -= weights / powers[:, None]
    distinct = np.concatenate([polynomials * weights, np.zeros((1, len(nodes))), near_end, near_end[:, ::-1]])
    index = np.tile(np.arange(degree + 5), (len(exponents), 1))
    place = degree + 2 + which.reshape(exponents.shape) + len(powers) * (np.arange(4) >= 2)
    index[:, degree + 1 :] = np.where(use, place, degree + 1)
    means = np.zeros(degree + 5)
    means[0] = 1.0
    even, fall = _series(degree, exponents, active)
    return FluxBasis(
        degree=degree,
        exponents=exponents,
        active=active,
        distinct=distinct,
        index=index,
        nodes=nodes,
        means=means,
        even=even,
        fall=fall,
    )


@lru_cache(maxsize=1)
def _graded() -> tuple[Array, Array, Array]:
    """Return nodes, 1 - nodes and weights of Gauss rules on panels that shrink by 4 towards both ends."""
    parts, sizes = [np.array([0.0])], [np.array([2.0**-FINEST])]
    rules = {number: np.polynomial.legendre.leggauss(number) for number in (17, 24, 30)}
    for order in range(FINEST, 1, -2):
        # The coarse panels must resolve cos(32 pi s).
        x, w = rules[{2: 30, 4: 24}.get(order, 17)]
        low = 2.0**-order
        width = 3.0 * low if order > 2 else low
        parts.append(low + width * (x + 1.0) / 2.0)
        sizes.append(width * w / 2.0)
    half, weight = np.concatenate(parts), np.concatenate(sizes)
    nodes = np.concatenate([half, 1.0 - half[::-1]])
    rest = np.concatenate([1.0 - half, half[::-1]])
    return nodes, rest, np.concatenate([weight, weight[::-1]])


@lru_cache(maxsize=1)
def _cosines() -> Array:
    return np.asarray(np.cos(np.outer(_graded()[0], np.pi * np.arange(QUADRATURE_MODES + 1))))


@lru_cache(maxsize=8)
def _decays(ratio: float, modes: int) -> Array:
    return decay(np.asarray(np.pi * ratio * np.arange(1, modes + 1)), _graded()[0])


@lru_cache(maxsize=16)
def _polynomials(degree: int) -> tuple[Array, Array]:
    """Return the values of P_0 ... P_degree at the nodes and their derivatives at 0 and 1, (degree + 1, 2, terms)."""
    nodes, rest, _ = _graded()
    values: Array = np.array([Legendre.basis(j)(nodes - rest) for j in range(degree + 1)])
    derivatives = np.zeros((degree + 1, 2, DECAY_TERMS))
    for j in range(degree + 1):
        current = Legendre.basis(j, domain=[0.0, 1.0])
        for order in range(min(j + 1, DECAY_TERMS)):
            derivatives[j, :, order] = current(np.array([0.0, 1.0]))
            current = current.deriv()
    return values, derivatives


def _series(degree: int, exponents: Array, active: Array) -> tuple[Array, Array]:
    families = len(exponents)
    even = np.zeros((families, degree + 5, 2, 4 + EVEN_TERMS))
    fall = np.zeros((families, degree + 5, 4 + DECAY_TERMS))
    sign = (-1.0) ** (np.arange(1, EVEN_TERMS + 1) + 1)
    derivatives = _polynomials(degree)[1]
    even[:, : degree + 1, 0, 4:] = -sign * derivatives[:, 0, 1 : 2 * EVEN_TERMS : 2]
    even[:, : degree + 1, 1, 4:] = sign * derivatives[:, 1, 1 : 2 * EVEN_TERMS : 2]
    fall[:, : degree + 1, 4:] = derivatives[:, 0]
    for place in range(4):
        power = exponents[:, place]
        use = active[:, degree + 1 + place]
        row = degree + 1 + place
        leading = gamma(power)
        falling = np.cumprod(power[:, None] - 1.0 - np.arange(DECAY_TERMS - 1), axis=1)  # f', f'', ... of s^(l-1) at 1
        falling = np.concatenate([np.ones((families, 1)), falling], axis=1)
        smooth = sign * falling[:, 1 : 2 * EVEN_TERMS : 2]
        near, far = (0, 1) if place < 2 else (1, 0)
        even[:, row, near, place] = leading * np.cos(np.pi * power / 2.0)
        even[:, row, far, 4:] = smooth
        if place < 2:
            fall[:, row, place] = leading
        else:
            fall[:, row, 4:] = falling * (-1.0) ** np.arange(DECAY_TERMS)
        fall[:, row, 4] -= 1.0 / power
        even[:, row] *= use[:, None, None]
        fall[:, row] *= use[:, None]
    return even, fall
