r"""Exponents of the corner singularities of a block medium.

Around a vertex where four blocks meet, :math:`v=r^\lambda\Theta(\theta)` in every quadrant, after the stretching of
:mod:`homfem.blocks.elements`, and the flux on the interfaces grows like :math:`s^{\lambda-1}`. With the geometric means
:math:`k_i=\sqrt{D_xD_y}` of the quadrants, in order around the vertex, the pair (potential, normal flux) is carried
through a quadrant by the matrix

.. math:: R_i=\begin{pmatrix}C&S/k_i\\-k_iS&C\end{pmatrix},\qquad C=\cos\tfrac{\lambda\pi}{2},\
   S=\sin\tfrac{\lambda\pi}{2},

and :math:`\lambda` is an exponent if :math:`R_4R_3R_2R_1` has the eigenvalue 1, that is, its trace is 2. Multiplying
out,

.. math:: \operatorname{tr} = 2C^4-C^2S^2\sum_{i<j}\Bigl(\frac{k_i}{k_j}+\frac{k_j}{k_i}\Bigr)+S^4\Bigl(P+\frac1P\Bigr),
   \qquad P=\frac{k_1k_3}{k_2k_4},

and with :math:`2=2(C^2+S^2)^2` all exponents are the even numbers and :math:`\pm\lambda_0+2\mathbb Z` in closed form:

.. math:: \tan^2\frac{\lambda_0\pi}{2}=\frac{4+\sum_{i<j}(k_i/k_j+k_j/k_i)}{P+1/P-2},\qquad 0<\lambda_0\le1 .

Checks: no contrast gives 1; a checkerboard gives :math:`\tan(\pi\lambda_0/4)=\sqrt{k_{min}/k_{max}}`; one insulating
block, as a limit, :math:`\tan^2=(k_2+k_3+k_4)k_3/k_2k_4`, that is :math:`\lambda_0=2/3` for equal blocks (the
re-entrant corner).

Anisotropic quadrants stretch the two axes by different factors, which multiplies the product by :math:`F^{\lambda/2}`
with :math:`F=a_1a_3/a_2a_4`, :math:`a=D_x/D_y`; then the trace must be :math:`2\cosh(\frac\lambda2\ln F)`, solved
numerically.

Source: the transfer-matrix argument is classical (Kellogg, Applicable Analysis 4 (1975) 101); the formula is derived
here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from homfem.blocks.medium import BlockMedium
from homfem.parameters import Array


def vertex_exponents(medium: BlockMedium) -> Array:
    """Return the two smallest positive non-trivial exponents at the lower left vertex of every block.

    Returns
    -------
    array, shape (m, n, 2)
        lambda_0 <= 1 and (aligned isotropic case) 2 - lambda_0; 1 and 1 where the fluxes are smooth.
    """
    axial = medium.axial
    quadrants = [np.roll(axial, shift, axis=(0, 1)) for shift in ((0, 0), (0, 1), (1, 1), (1, 0))]  # NE, NW, SW, SE
    stacked = np.stack(quadrants, axis=-2).reshape(-1, 4, 2)
    unique, inverse = np.unique(stacked, axis=0, return_inverse=True)
    return corner_exponents(unique)[inverse.ravel()].reshape(*medium.shape, 2)


def corner_exponents(quadrants: npt.ArrayLike) -> Array:
    """Return the two smallest non-trivial exponents of corners.

    Parameters
    ----------
    quadrants : array, shape (c, 4, 2)
        (D_x, D_y) of the four quadrants in order around each corner; zero where insulating.

    Returns
    -------
    array, shape (c, 2)
    """
    given = np.asarray(quadrants, dtype=np.float64)
    k = np.sqrt(given[..., 0] * given[..., 1])
    result = np.ones((len(k), 2))
    positive = k > 0.0
    number = positive.sum(axis=1)
    full = number == 4
    if full.any():
        ratio = given[full, :, 0] / given[full, :, 1]
        stretch = np.log(ratio[:, 0] * ratio[:, 2] / (ratio[:, 1] * ratio[:, 3]))
        result[full] = _closed(k[full])
        odd = np.abs(stretch) > 1e-12
        if odd.any():
            result[np.flatnonzero(full)[odd]] = _searched(k[full][odd], stretch[odd])
    three = number == 3
    if three.any():
        # Turn each corner so that the insulating quadrant is the first.
        empty = np.argmin(positive[three], axis=1)
        turned = np.take_along_axis(k[three], (empty[:, None] + np.arange(4)) % 4, axis=1)
        square = turned[:, 1:].sum(axis=1) * turned[:, 2] / (turned[:, 1] * turned[:, 3])
        first = 2.0 / np.pi * np.arctan(np.sqrt(square))
        result[three] = np.stack([first, 2.0 - first], axis=1)
    return result


def _sums(k: Array) -> tuple[Array, Array]:
    """Return the sum of k_i/k_j over i != j, and P + 1/P - 2, without cancellation."""
    pairs = k.sum(axis=1) * (1.0 / k).sum(axis=1) - 4.0
    odd, even = k[:, 0] * k[:, 2], k[:, 1] * k[:, 3]
    return pairs, (odd - even) ** 2 / (odd * even)


def _closed(k: Array) -> Array:
    pairs, excess = _sums(k)
    first = 2.0 / np.pi * np.arctan2(np.sqrt(pairs + 4.0), np.sqrt(excess))
    return np.stack([first, 2.0 - first], axis=1)


def _searched(k: Array, stretch: Array) -> Array:
    pairs, excess = _sums(k)

    def miss(value: Array) -> Array:
        c, s = np.cos(value * np.pi / 2) ** 2, np.sin(value * np.pi / 2) ** 2
        trace = 2 * c * c - c * s * pairs[:, None] + s * s * (excess[:, None] + 2.0)
        return np.asarray(trace - 2.0 * np.cosh(0.5 * value * stretch[:, None]))

    grid = np.linspace(1e-4, 1.9999, 2001)[None, :] * np.ones((len(k), 1))
    sign = np.sign(miss(grid))
    result = np.ones((len(k), 2))
    for corner in range(len(k)):
        places = np.flatnonzero(sign[corner, 1:] * sign[corner, :-1] < 0)[:2]
        for which, place in enumerate(places):
            low, high = grid[corner, place], grid[corner, place + 1]
            start = sign[corner, place]
            for _ in range(60):
                middle = 0.5 * (low + high)
                at = np.sign(miss(np.full((len(k), 1), middle))[corner, 0])
                low, high = (middle, high) if at == start else (low, middle)
            result[corner, which] = 0.5 * (low + high)
    return result
