r"""Calcium flux through the membrane of the endoplasmic reticulum (ER): SERCA pump, IP3 receptor, leak.

The net flux from the ER into the cytosol, per area of membrane, and the slow inactivation :math:`h` of the receptor are

.. math::
    f &= \bigl(P_3\,(m_\infty h)^3 + P_l\bigr)(e - c) - V\,\frac{c^2}{k_3^2 + c^2},\qquad
    m_\infty = \frac{p}{p + d_1}\,\frac{c}{c + d_5},\\
    \dot h &= a_2\bigl(Q_2 - (Q_2 + c)\,h\bigr),\qquad Q_2 = d_2\,\frac{p + d_1}{p + d_3}.

Units throughout: concentrations ``c`` (cytosol), ``e`` (ER), ``p`` (IP3) in uM, lengths in um, time in s; so
permeabilities are in um/s and a flux per membrane area in uM um/s (1 uM um/s = 1e-9 mol / (m^2 s)).

From rates per volume to a membrane
-----------------------------------
Models of a well-mixed cell give the flux per volume of cytosol,

.. math:: J = \bigl(v_1(m_\infty h)^3 + v_2\bigr)c_1(e - c) - v_3\frac{c^2}{k_3^2 + c^2},\qquad
    \dot c = J,\quad \dot e = -J/c_1,

with :math:`c_1` the volume of the ER over that of the cytosol. The calcium bidomain equations read
:math:`\gamma_c\dot c = \tilde\lambda f`, :math:`\gamma_e\dot e = -\tilde\lambda f` with the volume fractions
:math:`\gamma`, and :math:`\tilde\lambda = \lambda S` where ``S`` is the membrane area per volume of tissue (1/um) and
:math:`\lambda` the density of the transporters relative to the one that ``f`` stands for. The two are the same when
:math:`c_1 = \gamma_e/\gamma_c` and :math:`\tilde\lambda f = \gamma_c J`, that is, at :math:`\lambda = 1`,

.. math:: P_3 = v_1\gamma_e/S,\qquad P_l = v_2\gamma_e/S,\qquad V = v_3\gamma_c/S .

:func:`membrane_from_rates` does this. Diffusion likewise: :math:`A^* = \gamma_c D_c`, :math:`B^* = \gamma_e D_e`.

Source
------
De Young, Keizer 1992, doi 10.1073/pnas.89.20.9895 (parameters). Li, Rinzel 1994, doi 10.1006/jtbi.1994.1041 (reduction
to c and h). Goel, Sneyd, Friedman 2006, Multiscale Model. Simul. 5(4), 1045, eqs 2.2, 2.26 and the
appendix (flux per membrane area).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import scipy.optimize

from homfem.parameters import Array, InputError, check_number


@dataclass(frozen=True, kw_only=True, slots=True)
class MembraneKinetics:
    r"""The flux through a membrane and the states that gate it, as functions of the local state.

    :math:`f = f(c, e, X, p)` and :math:`\dot X_k = r_k(c, e, X, p)\,(X_{k,\infty}(c, e, X, p) - X_k)`. Any rate
    :math:`\Phi` can be written so (:math:`X_\infty = X + \Phi/r`); for a gate, r and :math:`X_\infty` do not depend
    on X and the step is exponential.

    Parameters
    ----------
    name : str
        Name of the kinetics.
    states : tuple of str
        Names of the gating states X; may be empty.
    flux : callable ``(c, e, X, ip3) -> f``
        Flux from the ER into the cytosol per membrane area, uM um/s. ``c``, ``e`` (uM) have shape (n,), ``X`` has shape
        (len(states), n), ``ip3`` (uM) is a number or has shape (n,); ``f`` is a new array of shape (n,).
    relaxation : callable ``(c, e, X, ip3) -> (rate, target)``
        Rates (1/s) and targets of the states, each of shape (len(states), n).
    steady : callable ``(c, e, ip3) -> X``
        The states at rest for fixed c and e, shape (len(states), n).
    parameters : mapping
        Numbers that identify the kinetics, for logs and checkpoints.
    """

    name: str
    states: tuple[str, ...]
    flux: Callable[[Array, Array, Array, Array | float], Array]
    relaxation: Callable[[Array, Array, Array, Array | float], tuple[Array, Array]]
    steady: Callable[[Array, Array, Array | float], Array]
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class LiRinzelRates:
    """Rates of the Li-Rinzel model per volume of cytosol, as they are published; every one > 0.

    Parameters
    ----------
    v1, v2 : float
        Rate of the IP3 receptors and of the leak, 1/s.
    v3 : float
        Largest rate of the SERCA pump, uM/s.
    k3 : float
        Concentration at half pump rate, uM.
    a2 : float
        Binding rate of the inactivating calcium, 1/(uM s).
    d1, d2, d3, d5 : float
        Dissociation constants of the receptor, uM.
    c0 : float
        Free calcium of the closed cell per volume of cytosol, c + c1 e, uM.
    c1 : float
        Volume of the ER over the volume of the cytosol.
    """

    v1: float = 6.0
    v2: float = 0.11
    v3: float = 0.9
    k3: float = 0.1
    a2: float = 0.2
    d1: float = 0.13
    d2: float = 1.049
    d3: float = 0.9434
    d5: float = 0.08234
    c0: float = 2.0
    c1: float = 0.185

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_number(name, value, above=0.0)


DE_YOUNG_KEIZER = LiRinzelRates()
"""The published set (De Young, Keizer 1992, table 1; v2, v3, k3 as there). A closed cell oscillates for IP3 from about
0.36 to 0.65 uM; at rest this set does not support a travelling wave."""

TRIGGER_WAVE = LiRinzelRates(c0=3.0, v1=12.0, v3=2.5)
"""A set whose resting state (c 0.1, e 15.7 uM at IP3 0.3 uM) supports a travelling wave: about 11 um/s in the plane for
Dc = 20, De = 10 um^2/s. c0, v1 and v3 are chosen for that; the other constants are those of De Young and Keizer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiRinzelMembrane:
    """The membrane of the ER with IP3 receptors, leak and SERCA pumps; every number > 0.

    Parameters
    ----------
    channel_permeability, leak_permeability : float
        P3 and Pl: permeability with all receptors open, and of the leak, um/s.
    pump_flux : float
        V: largest flux of the pumps, uM um/s.
    k3, a2, d1, d2, d3, d5 : float
        As in :class:`LiRinzelRates`.
    """

    channel_permeability: float
    leak_permeability: float
    pump_flux: float
    k3: float = 0.1
    a2: float = 0.2
    d1: float = 0.13
    d2: float = 1.049
    d3: float = 0.9434
    d5: float = 0.08234

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_number(name, value, above=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RestingState:
    """A state of a closed, well-mixed tissue in which nothing changes: c and e in uM, h dimensionless."""

    cytosol: float
    er: float
    inactivation: float


def membrane_from_rates(
    rates: LiRinzelRates, *, cytosol_fraction: float, er_fraction: float, interface_area: float
) -> LiRinzelMembrane:
    r"""Return the membrane that has the given rates per volume of cytosol in the given geometry.

    :math:`P_3 = v_1\gamma_e/S`, :math:`P_l = v_2\gamma_e/S`, :math:`V = v_3\gamma_c/S`. The geometry's own
    :math:`\gamma_e/\gamma_c` takes the place of the published ``c1``; with the same calcium per volume of cytosol the
    dynamics of c then differ little (exactly nothing where the two ratios agree).

    Parameters
    ----------
    rates
        Rates per volume of cytosol.
    cytosol_fraction, er_fraction
        Volume fractions, each in (0, 1).
    interface_area
        Membrane area per volume of tissue, 1/um, > 0.

    Raises
    ------
    InputError
        If a number is out of range.

    Example
    -------
    >>> m = membrane_from_rates(DE_YOUNG_KEIZER, cytosol_fraction=0.9, er_fraction=0.1, interface_area=2.0)
    >>> round(m.channel_permeability, 12), round(m.pump_flux, 12)
    (0.3, 0.405)
    """
    gamma_c = check_number("cytosol_fraction", cytosol_fraction, above=0.0, below=1.0)
    gamma_e = check_number("er_fraction", er_fraction, above=0.0, below=1.0)
    area = check_number("interface_area", interface_area, above=0.0)
    return LiRinzelMembrane(
        channel_permeability=rates.v1 * gamma_e / area,
        leak_permeability=rates.v2 * gamma_e / area,
        pump_flux=rates.v3 * gamma_c / area,
        k3=rates.k3,
        a2=rates.a2,
        d1=rates.d1,
        d2=rates.d2,
        d3=rates.d3,
        d5=rates.d5,
    )


def open_probability(membrane: LiRinzelMembrane, c: Array, h: Array, ip3: Array | float) -> Array:
    r"""Return :math:`(m_\infty h)^3`: the fraction of open receptors, for c and IP3 in uM; shape of c."""
    gate = c / (c + membrane.d5)
    gate *= h
    gate *= ip3 / (ip3 + membrane.d1)
    opened = gate * gate
    opened *= gate
    return np.asarray(opened)


def pump_flux(membrane: LiRinzelMembrane, c: Array) -> Array:
    r"""Return :math:`V c^2/(k_3^2 + c^2)`: the flux of the SERCA pumps into the ER, uM um/s, for c in uM."""
    square = c * c
    pumped = square + membrane.k3**2
    np.divide(square, pumped, out=pumped)
    pumped *= membrane.pump_flux
    return np.asarray(pumped)


def membrane_flux(membrane: LiRinzelMembrane, c: Array, e: Array, h: Array, ip3: Array | float) -> Array:
    r"""Return the net flux f from the ER into the cytosol per membrane area, uM um/s (module docstring).

    Parameters
    ----------
    membrane
        Parameters of the membrane.
    c, e
        Concentrations in cytosol and ER, uM, shape (n,).
    h
        Fraction of receptors that are not inactivated, shape (n,).
    ip3
        Concentration of IP3, uM, a number or shape (n,).
    """
    flux = open_probability(membrane, c, h, ip3)
    flux *= membrane.channel_permeability
    flux += membrane.leak_permeability
    flux *= e - c
    flux -= pump_flux(membrane, c)
    return flux


def inactivation(membrane: LiRinzelMembrane, c: Array, ip3: Array | float) -> tuple[Array, Array]:
    r"""Return the rate :math:`a_2(Q_2 + c)` (1/s) and the target :math:`Q_2/(Q_2 + c)` of h, for c and IP3 in uM."""
    q2 = membrane.d2 * (ip3 + membrane.d1) / (ip3 + membrane.d3)
    total = q2 + c
    target = q2 / total
    total *= membrane.a2
    return np.asarray(total), np.asarray(target)


def li_rinzel(membrane: LiRinzelMembrane) -> MembraneKinetics:
    """Return the kinetics of a membrane with IP3 receptors (state ``"h"``), leak and SERCA pumps."""

    def flux(c: Array, e: Array, states: Array, ip3: Array | float) -> Array:
        return membrane_flux(membrane, c, e, states[0], ip3)

    def relaxation(c: Array, _e: Array, _states: Array, ip3: Array | float) -> tuple[Array, Array]:
        rate, target = inactivation(membrane, c, ip3)
        return rate[None, :], target[None, :]

    def steady(c: Array, _e: Array, ip3: Array | float) -> Array:
        return inactivation(membrane, np.atleast_1d(c), ip3)[1][None, :]

    return MembraneKinetics(
        name="Li-Rinzel",
        states=("h",),
        flux=flux,
        relaxation=relaxation,
        steady=steady,
        parameters=asdict(membrane),
    )


def resting_state(
    membrane: LiRinzelMembrane, *, total: float, cytosol_fraction: float, er_fraction: float, ip3: float
) -> RestingState:
    r"""Return the resting state of a closed tissue: the lowest c with :math:`f(c, e, h_\infty(c)) = 0`.

    The total :math:`\gamma_c c + \gamma_e e` is given; the flux is positive at c = 0 and negative at e = 0, so that a
    root exists. Whether it is stable depends on the parameters (oscillating cells have an unstable one).

    Parameters
    ----------
    membrane
        Parameters of the membrane.
    total
        Free calcium per volume of tissue, uM, > 0. (A published c0 is per volume of cytosol: total = gamma_c c0.)
    cytosol_fraction, er_fraction
        Volume fractions, each in (0, 1).
    ip3
        Concentration of IP3, uM, >= 0.

    Raises
    ------
    InputError
        If a number is out of range.

    Example
    -------
    >>> gamma_c, gamma_e = 1 / 1.185, 0.185 / 1.185
    >>> m = membrane_from_rates(TRIGGER_WAVE, cytosol_fraction=gamma_c, er_fraction=gamma_e, interface_area=1.0)
    >>> rest = resting_state(m, total=3 * gamma_c, cytosol_fraction=gamma_c, er_fraction=gamma_e, ip3=0.3)
    >>> round(rest.cytosol, 3), round(rest.er, 2)
    (0.1, 15.68)
    """
    total = check_number("total", total, above=0.0)
    gamma_c = check_number("cytosol_fraction", cytosol_fraction, above=0.0, below=1.0)
    gamma_e = check_number("er_fraction", er_fraction, above=0.0, below=1.0)
    ip3 = check_number("ip3", ip3, at_least=0.0)

    def net(c: Array) -> Array:
        e = np.asarray((total - gamma_c * c) / gamma_e, dtype=np.float64)
        return membrane_flux(membrane, c, e, inactivation(membrane, c, ip3)[1], ip3)

    grid: Array = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 2001)])
    grid *= total / gamma_c
    sign = np.sign(net(grid))
    first = int(np.argmax(sign <= 0.0))
    if sign[0] <= 0.0 or sign[first] > 0.0:
        raise InputError("membrane", membrane, "one whose flux is positive at c = 0 and negative at e = 0")
    lowest = scipy.optimize.brentq(
        lambda c: float(net(np.array([c]))[0]), grid[first - 1], grid[first], xtol=1e-15, rtol=8.9e-16
    )
    c = np.array([lowest])
    return RestingState(
        cytosol=float(lowest),
        er=float((total - gamma_c * lowest) / gamma_e),
        inactivation=float(inactivation(membrane, c, ip3)[1][0]),
    )
