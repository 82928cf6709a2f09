r"""Exact solutions of transport with reaction, for tests of macroscale models; a test of their own checks them.

The equation is :math:`\phi\,u_t + v\cdot\nabla u = \nabla\cdot(D\nabla u) + R(u)`: :math:`\phi` a volume fraction, v
the volumetric (Darcy) velocity, D and R per total volume. Any consistent units. Every function is analytic in its
coordinates and takes complex ones too, so that it can be differentiated without differences.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

Value = Any  # a number or an array, real or complex


# Travelling waves ----------------------------------------------------------------------------------------------------


def nagumo_speed(diffusivity: float, rate: float, threshold: float) -> float:
    r"""Return the speed :math:`\sqrt{Dk/2}\,(1 - 2a)` of :func:`nagumo_wave`, for :math:`\phi = 1`."""
    return float(np.sqrt(0.5 * diffusivity * rate) * (1.0 - 2.0 * threshold))


def nagumo_wave(x: Value, t: Value, *, diffusivity: float, rate: float, threshold: float, start: float = 0.0) -> Value:
    r"""Return the front :math:`u = 1/(1 + e^{(x - x_0 - ct)/w})`, :math:`w = \sqrt{2D/k}`, from 1 to 0.

    It solves :math:`u_t = Du_{xx} + ku(1-u)(u-a)` on the line.

    Source
    ------
    McKean 1970, doi 10.1016/0001-8708(70)90023-X; Murray 2002, Mathematical Biology I, section 13.5.
    """
    place = x - start - nagumo_speed(diffusivity, rate, threshold) * t
    return 1.0 / (1.0 + np.exp(place / np.sqrt(2.0 * diffusivity / rate)))


def fisher_speed(diffusivity: float, rate: float) -> float:
    r"""Return the speed :math:`(5/\sqrt6)\sqrt{Dk}` of :func:`fisher_wave`; the least one is :math:`2\sqrt{Dk}`."""
    return float(5.0 / np.sqrt(6.0) * np.sqrt(diffusivity * rate))


def fisher_wave(
    x: Value, t: Value, *, diffusivity: float, rate: float, capacity: float = 1.0, start: float = 0.0
) -> Value:
    r"""Return the front :math:`u = K/(1 + e^{(x - x_0 - ct)/w})^2`, :math:`w = \sqrt{6D/k}`, :math:`c = 5\sqrt{Dk/6}`.

    It solves :math:`u_t = Du_{xx} + ku(1 - u/K)` on the line.

    Source
    ------
    Ablowitz, Zeppetella 1979, doi 10.1016/S0092-8240(79)80020-8.
    """
    place = x - start - fisher_speed(diffusivity, rate) * t
    return capacity / (1.0 + np.exp(place / np.sqrt(6.0 * diffusivity / rate))) ** 2


# Advection and dispersion --------------------------------------------------------------------------------------------


def ogata_banks(x: Value, t: Value, *, velocity: float, dispersion: float, inlet: float = 1.0) -> Value:
    r"""Return the column that was empty, with :math:`u = u_0` at x = 0 from t = 0 on, on the half line.

    .. math:: u = \tfrac{u_0}{2}\Bigl[\operatorname{erfc}\frac{x - Vt}{2\sqrt{Dt}}
        + e^{Vx/D}\operatorname{erfc}\frac{x + Vt}{2\sqrt{Dt}}\Bigr]

    It solves :math:`u_t + Vu_x = Du_{xx}`: V the velocity in the pores (:math:`v/\phi`), D the dispersion per volume of
    the pores (:math:`D/\phi`).

    Source
    ------
    Ogata, Banks 1961, US Geological Survey Professional Paper 411-A.
    """
    width = 2.0 * np.sqrt(dispersion * t)
    ahead, behind = (x - velocity * t) / width, (x + velocity * t) / width
    # e^{Vx/D} erfc(behind) = e^{-ahead^2} erfcx(behind), which does not overflow
    return 0.5 * inlet * (special.erfc(ahead) + np.exp(-ahead * ahead) * special.erfcx(behind))


def gaussian_plume(
    x: Value, t: Value, *, mass: float, velocity: Any, dispersion: Any, fraction: float = 1.0, decay: float = 0.0
) -> Value:
    r"""Return what an instantaneous point source becomes in uniform flow, with anisotropic dispersion and decay.

    .. math:: u = \frac{M}{\phi\,(4\pi t)^{d/2}\sqrt{\det D'}}
        \exp\Bigl(-\frac{y\cdot D'^{-1}y}{4t} - \frac{k t}{\phi}\Bigr), \quad y = x - vt/\phi,\quad D' = D/\phi

    It solves :math:`\phi u_t + v\cdot\nabla u = \nabla\cdot(D\nabla u) - ku` with :math:`\int\phi u = M e^{-kt/\phi}`.

    Parameters
    ----------
    x : array, shape (d, ...)
        Coordinates.
    velocity, dispersion : shape (d,), (d, d)
        v and D, per total volume.

    Source
    ------
    Bear 1972, Dynamics of Fluids in Porous Media, section 10.6; Carslaw, Jaeger 1959, section 10.2.
    """
    d = len(x)
    matrix = np.asarray(dispersion, dtype=np.float64) / fraction
    y = [x[i] - velocity[i] * t / fraction for i in range(d)]
    inverse = np.linalg.inv(matrix)
    form = sum(inverse[i, j] * y[i] * y[j] for i in range(d) for j in range(d))
    size = mass / (fraction * np.sqrt(np.linalg.det(matrix))) * (4.0 * np.pi * t) ** (-0.5 * d)
    return size * np.exp(-form / (4.0 * t) - decay * t / fraction)


# Tissue around a capillary -------------------------------------------------------------------------------------------


def krogh_zero_order(
    r: Value, *, capillary: float, tissue: float, diffusivity: float, uptake: float, wall: float
) -> Value:
    r"""Return the steady concentration of tissue around a capillary that consumes M per volume and time.

    .. math:: u = u_c + \frac{M}{4D}(r^2 - r_c^2) - \frac{MR^2}{2D}\ln\frac{r}{r_c}

    It solves :math:`D(ru')'/r = M`, :math:`u(r_c) = u_c`, :math:`u'(R) = 0`; it holds where it is positive everywhere.

    Source
    ------
    Krogh 1919, doi 10.1113/jphysiol.1919.sp001839 (the formula is Erlang's).
    """
    curve = uptake / (4.0 * diffusivity) * (r * r - capillary**2)
    return wall + curve - uptake * tissue**2 / (2.0 * diffusivity) * np.log(r / capillary)


def krogh_first_order(
    r: Value, *, capillary: float, tissue: float, diffusivity: float, rate: float, wall: float
) -> Value:
    r"""Return the steady concentration of tissue around a capillary that consumes ku per volume and time.

    .. math:: u = u_c\,\frac{I_0(mr)K_1(mR) + K_0(mr)I_1(mR)}{I_0(mr_c)K_1(mR) + K_0(mr_c)I_1(mR)},\quad m = \sqrt{k/D}

    It solves :math:`D(ru')'/r = ku`, :math:`u(r_c) = u_c`, :math:`u'(R) = 0`.

    Source
    ------
    Gardner 1945, Efficiency of extended surface, Transactions of the ASME 67, 621-631: his annular fin.
    """
    m = np.sqrt(rate / diffusivity)

    def shape(at: Value) -> Value:
        return special.iv(0, m * at) * special.kv(1, m * tissue) + special.kv(0, m * at) * special.iv(1, m * tissue)

    return wall * shape(r) / shape(capillary)


def krogh_effectiveness(*, capillary: float, tissue: float, diffusivity: float, rate: float) -> float:
    r"""Return the uptake of :func:`krogh_first_order` over that of tissue at the concentration of the wall.

    :math:`-2\pi r_cDu'(r_c)` over :math:`\pi(R^2 - r_c^2)ku_c`.
    """
    m = np.sqrt(rate / diffusivity)
    a, b = m * capillary, m * tissue
    over = special.kv(1, a) * special.iv(1, b) - special.iv(1, a) * special.kv(1, b)
    under = special.iv(0, a) * special.kv(1, b) + special.kv(0, a) * special.iv(1, b)
    return float(2.0 * a / (b * b - a * a) * over / under)


# Reactors ------------------------------------------------------------------------------------------------------------


def danckwerts_profile(
    x: Value, *, length: float, velocity: float, dispersion: float, rate: float, feed: float = 1.0
) -> Value:
    r"""Return the steady concentration in a reactor with axial dispersion and a reaction of first order.

    It solves :math:`vu' = Du'' - ku` with :math:`vu_0 = vu - Du'` at 0 and :math:`u' = 0` at L. With
    :math:`a = \sqrt{1 + 4kD/v^2}`, :math:`P = vL/D` and :math:`s = x/L`,

    .. math:: \frac{u}{u_0} = 2e^{Ps/2}\,
        \frac{(1+a)e^{aP(1-s)/2} - (1-a)e^{-aP(1-s)/2}}{(1+a)^2e^{aP/2} - (1-a)^2e^{-aP/2}}

    Source
    ------
    Danckwerts 1953, doi 10.1016/0009-2509(53)80001-1; Wehner, Wilhelm 1956, doi 10.1016/0009-2509(56)80014-6.
    """
    peclet = velocity * length / dispersion
    a = np.sqrt(1.0 + 4.0 * rate * dispersion / velocity**2)
    s = x / length
    # every exponent less aP/2, so that nothing overflows
    over = (1.0 + a) * np.exp(0.5 * peclet * s * (1.0 - a)) - (1.0 - a) * np.exp(
        0.5 * peclet * (s * (1.0 + a) - 2.0 * a)
    )
    under = (1.0 + a) ** 2 - (1.0 - a) ** 2 * np.exp(-a * peclet)
    return 2.0 * feed * over / under


def wehner_wilhelm(peclet: float, damkoehler: float) -> float:
    r"""Return :math:`u(L)/u_0` of :func:`danckwerts_profile`: 1 - conversion, for :math:`P = vL/D`, :math:`kL/v`.

    .. math:: \frac{u_L}{u_0} = \frac{4ae^{P/2}}{(1+a)^2e^{aP/2} - (1-a)^2e^{-aP/2}},
        \quad a = \sqrt{1 + 4\,\mathrm{Da}/P}

    Source
    ------
    Wehner, Wilhelm 1956, doi 10.1016/0009-2509(56)80014-6.
    """
    a = np.sqrt(1.0 + 4.0 * damkoehler / peclet)
    under = (1.0 + a) ** 2 - (1.0 - a) ** 2 * np.exp(-a * peclet)
    return float(4.0 * a * np.exp(0.5 * peclet * (1.0 - a)) / under)


def reactive_slab(x: Value, *, half: float, diffusivity: float, rate: float, surface: float = 1.0) -> Value:
    r"""Return :math:`u = u_s\cosh(mx)/\cosh(mh)`, :math:`m = \sqrt{k/D}`: a slab with half thickness h, held outside.

    It solves :math:`Du'' = ku`, :math:`u(\pm h) = u_s`; the mean is :math:`u_s\tanh(mh)/(mh)`.

    Source
    ------
    Thiele 1939, doi 10.1021/ie50355a027.
    """
    m = np.sqrt(rate / diffusivity)
    return surface * np.cosh(m * x) / np.cosh(m * half)
