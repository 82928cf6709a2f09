r"""The flux-to-potential map of one rectangle, by separation of variables.

**Derivation.** Let a rectangle of width l and height h carry the diffusivities :math:`D_x, D_y` along its axes. The
stretching :math:`X=x/\sqrt{D_x}`, :math:`Y=y/\sqrt{D_y}` turns
:math:`\partial_x(D_x\partial_xv)+\partial_y(D_y\partial_yv)=0` into Laplace's equation, with :math:`\sqrt{D_xD_y}` as
the scalar diffusivity and the aspect ratio

.. math:: \rho = \frac{l}{h}\sqrt{\frac{D_y}{D_x}} .

On each side let :math:`s\in[0,1]` be the coordinate along it (upwards, to the right) and :math:`f(s)` the *outward*
flux (up the gradient, :math:`D\,\partial_nv`) per unit of s, so that :math:`F=\int_0^1f\,ds` is the total flux through
the side. With the cosine moments :math:`c_k=\int_0^1f(s)\cos(k\pi s)\,ds` and :math:`\omega=k\pi`, the potential of
zero mean is, with :math:`\xi=x/l`, :math:`\eta=y/h`,

.. math::
   \sqrt{D_xD_y}\;v ={}& \tfrac{\rho}{2}\bigl[F_L((1-\xi)^2-\tfrac13)+F_R(\xi^2-\tfrac13)\bigr]
      +\tfrac{1}{2\rho}\bigl[F_B((1-\eta)^2-\tfrac13)+F_T(\eta^2-\tfrac13)\bigr]\\
   &+\sum_{k\ge1}\frac{2}{\omega}\,\frac{c^L_k\cosh\omega\rho(1-\xi)+c^R_k\cosh\omega\rho\xi}{\sinh\omega\rho}\cos\omega\eta
    +\sum_{k\ge1}\frac{2}{\omega}\,\frac{c^B_k\cosh\frac{\omega(1-\eta)}{\rho}+c^T_k\cosh\frac{\omega\eta}{\rho}}
      {\sinh\frac{\omega}{\rho}}\cos\omega\xi .

Every term is harmonic but the quadratics, whose Laplacian adds up to the net flux over the area,
:math:`(F_L+F_R+F_B+F_T)/lh` (in stretched coordinates): zero if and only if the solvability condition holds. The normal
derivative on the left side is that of the terms L alone: :math:`\sinh/\sinh=1` there, 0 on the other three, and
:math:`F_L+2\sum c^L_k\cos\omega s=f_L(s)` is the cosine series of the data; the other sides likewise. This is the
corrected form of the paper's eq. 38 (whose printed arguments mix h and l), with a gauge of zero mean in every
rectangle, which makes the map symmetric.

**Averages.** The flux integrals follow without a sum over the vertical modes, because the cosines integrate to zero:

.. math:: \int D_x\partial_xv = l\Bigl[\tfrac12(F_R-F_L)+\sum_{k\ge1}\frac{2((-1)^k-1)}{(k\pi)^2}(c^B_k+c^T_k)\Bigr],

and likewise in y. (The paper's eqs 58-61 print :math:`k\pi` for :math:`k^2\pi^2` and drop a factor :math:`D_{i,j}`.)

The ratios are evaluated as :math:`\cosh\kappa(1-t)/\sinh\kappa=(e^{-\kappa t}+e^{-\kappa(2-t)})/(1-e^{-2\kappa})`: no
overflow.
"""

from __future__ import annotations

import numpy as np

from homfem.parameters import Array

SIDES = ("left", "right", "bottom", "top")


def decay(kappa: Array, t: Array) -> Array:
    """Return cosh(kappa (1 - t)) / sinh(kappa), shape (len(t), len(kappa)), for kappa > 0 and t in [0, 1]."""
    near = np.exp(-np.multiply.outer(t, kappa))
    far = np.exp(-np.multiply.outer(2.0 - np.asarray(t), kappa))
    return np.asarray((near + far) / -np.expm1(-2.0 * kappa))


def decay_slope(kappa: Array, t: Array) -> Array:
    """Return sinh(kappa (1 - t)) / sinh(kappa), shape (len(t), len(kappa)): minus the slope of `decay` over kappa."""
    near = np.exp(-np.multiply.outer(t, kappa))
    far = np.exp(-np.multiply.outer(2.0 - np.asarray(t), kappa))
    return np.asarray((near - far) / -np.expm1(-2.0 * kappa))


def potential_map(
    ratio: float, points_y: Array, weights_y: Array, modes_y: int, points_x: Array, weights_x: Array, modes_x: int
) -> Array:
    r"""Return the matrix from outward fluxes at abscissas to the potential at the same abscissas.

    Parameters
    ----------
    ratio
        The aspect ratio rho.
    points_y, weights_y : arrays, shape (P,)
        Abscissas s in (0, 1) and quadrature weights (sum 1) on the left and on the right side.
    modes_y
        Number of cosine modes kept on these sides.
    points_x, weights_x, modes_x
        The same for the bottom and the top, shape (Q,).

    Returns
    -------
    array, shape (2P + 2Q, 2P + 2Q)
        Rows and columns in the order left, right, bottom, top; multiplies fluxes per unit of s, gives
        :math:`\sqrt{D_xD_y}\,v` with zero mean over the rectangle.
    """
    number_y, number_x = len(points_y), len(points_x)
    cut = (0, number_y, 2 * number_y, 2 * number_y + number_x, 2 * number_y + 2 * number_x)
    result = np.zeros((cut[4], cut[4]))

    def fill(offset: int, other: int, rho: float, s: Array, w: Array, modes: int, across: Array) -> None:
        """Columns of the two sides at `offset` (coordinate s); rows of the same two and of the two at `other`."""
        omega = np.pi * np.arange(1, modes + 1)
        ends = decay(omega * rho, np.array([0.0, 1.0]))  # coth and 1/sinh
        moments = 2.0 / omega[:, None] * np.cos(np.outer(omega, s)) * w
        cosines = np.cos(np.outer(s, omega))
        same = rho / 3.0 * w + (cosines * ends[0]) @ moments
        opposite = -rho / 6.0 * w + (cosines * ends[1]) @ moments
        a, b = (slice(cut[offset + k], cut[offset + k + 1]) for k in (0, 1))
        result[a, a] = result[b, b] = same
        result[a, b] = result[b, a] = opposite
        signs = (-1.0) ** np.arange(1, modes + 1)
        for column, t in ((a, across), (b, 1.0 - across)):
            quadratic = rho * ((1.0 - t) ** 2 / 2.0 - 1.0 / 6.0)[:, None] * w
            hyperbolic = decay(omega * rho, t)
            result[cut[other] : cut[other + 1], column] = quadratic + hyperbolic @ moments
            result[cut[other + 1] : cut[other + 2], column] = quadratic + (hyperbolic * signs) @ moments

    fill(0, 2, ratio, points_y, weights_y, modes_y, points_x)
    fill(2, 0, 1.0 / ratio, points_x, weights_x, modes_x, points_y)
    return result


def cosine_moments(points: Array, weights: Array, modes: int) -> Array:
    """Return the matrix of the quadrature of c_0 ... c_modes, shape (modes + 1, len(points))."""
    return np.asarray(np.cos(np.pi * np.outer(np.arange(modes + 1), points)) * weights)


def average_weights(modes: int) -> Array:
    """Return the weights of the moments c_0 ... c_modes of a side in the flux integral across: 0, -4/pi^2, 0, ..."""
    k = np.arange(1, modes + 1)
    return np.concatenate([[0.0], 2.0 * ((-1.0) ** k - 1.0) / (np.pi * k) ** 2])
