"""The flux of the Li-Rinzel model through the membrane of the ER, its gate, and the state of rest."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from homfem.kinetics.calcium.membrane import MembraneKinetics
from homfem.kinetics.calcium.rates import LiRinzelMembrane
from homfem.kinetics.expressions import Expression, parse_expression
from homfem.kinetics.written import Formulary
from homfem.parameters import Array, InputError, check_number


@dataclass(frozen=True, kw_only=True, slots=True)
class RestingState:
    """A state of a closed, well-mixed tissue in which nothing changes: c and e in uM, h dimensionless."""

    cytosol: float
    er: float
    inactivation: float


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
        written=_written(membrane),
    )


def _written(membrane: LiRinzelMembrane) -> Formulary:
    """Return the equations of :func:`membrane_flux` and :func:`inactivation` as expressions."""
    m, names = membrane, ["cytosol", "er", "ip3", "h", "q2", "gate"]

    def parsed(text: str) -> Expression:
        return parse_expression("li_rinzel", text, names)

    flux = (
        f"({m.channel_permeability!r}*gate^3 + {m.leak_permeability!r})*(er - cytosol)"
        f" - {m.pump_flux!r}*cytosol^2/(cytosol^2 + {m.k3**2!r})"
    )
    return Formulary(
        definitions=(
            ("q2", parsed(f"{m.d2!r}*(ip3 + {m.d1!r})/(ip3 + {m.d3!r})")),
            ("gate", parsed(f"cytosol/(cytosol + {m.d5!r})*h*(ip3/(ip3 + {m.d1!r}))")),
        ),
        rates=(("flux", parsed(flux)),),
        gates=(("h", parsed(f"{m.a2!r}*(q2 + cytosol)"), parsed("q2/(q2 + cytosol)")),),
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
    >>> from homfem.kinetics import TRIGGER_WAVE, membrane_from_rates
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
    import scipy.optimize

    lowest = scipy.optimize.brentq(
        lambda c: float(net(np.array([c]))[0]), grid[first - 1], grid[first], xtol=1e-15, rtol=8.9e-16
    )
    c = np.array([lowest])
    return RestingState(
        cytosol=float(lowest),
        er=float((total - gamma_c * lowest) / gamma_e),
        inactivation=float(inactivation(membrane, c, ip3)[1][0]),
    )
