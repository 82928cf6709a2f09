r"""Gels in layers, in closed form: steady, and the rule for frozen concentrations.

Across layers of fractions :math:`\varphi_p` every :math:`L_i` is the harmonic mean of :math:`D_ic_i`, along them the
arithmetic mean: :func:`layered_gel_steady`. The rule that the conductivity of layers in series is the harmonic mean of
their conductivities, and the transference number the average of theirs, holds while concentrations have no time to
change, for alternating currents: :func:`layered_gel_frozen`. In the steady state salt accumulates at the interfaces,
and the conductivity is lower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from homfem.electrolytes.donnan import equilibria
from homfem.electrolytes.ions import Ion, check_bath
from homfem.parameters import Array, InputError, check_choice, check_number

DIRECTIONS = ("across", "along")


@dataclass(frozen=True, kw_only=True, slots=True)
class GelTransport:
    """Transport of charge in one direction.

    Parameters
    ----------
    conductivity
        Sum of valence squared times diffusivity times concentration, in their units: times F^2/(RT) a conductivity.
    transference
        The part of the current that each ion carries, by name; they add up to 1.
    """

    conductivity: float
    transference: Mapping[str, float]


def layered_gel_steady(
    ions: Sequence[Ion],
    fixed_charges: Mapping[str, float],
    fractions: Mapping[str, float],
    direction: str = "across",
) -> GelTransport:
    """Return the steady transport of a gel in layers.

    Parameters
    ----------
    ions, fixed_charges
        As :class:`homfem.electrolytes.Gel` has them; diffusivities are numbers.
    fractions
        Volume fraction of each phase; they add up to 1.
    direction
        ``"across"`` the layers, or ``"along"``.

    Raises
    ------
    InputError
        For fractions that do not add up to 1, and a direction that is none.

    Example
    -------
    >>> salt = [Ion(name=name, valence=z, bath=1.0, diffusivities={"gel": 0.5 * D, "water": D})
    ...         for name, z, D in (("K", 1, 1.0), ("X", -1, 1.5))]
    >>> fractions = {"gel": 0.4, "water": 0.6}
    >>> round(layered_gel_steady(salt, {"gel": -2.0}, fractions).conductivity, 9)
    1.666250471
    >>> round(layered_gel_frozen(salt, {"gel": -2.0}, fractions).conductivity, 9)
    1.985919547
    """
    mobility, phi = _mobilities(ions, fixed_charges, fractions)
    if check_choice("direction", direction, DIRECTIONS) == "along":
        onsager = mobility @ phi
    else:
        blocked = (mobility == 0.0).any(axis=1)
        onsager = np.where(blocked, 0.0, 1.0 / (phi / np.where(mobility == 0.0, 1.0, mobility)).sum(axis=1))
    own = np.array([ion.valence for ion in ions]) ** 2 * onsager
    return _transport(ions, own)


def layered_gel_frozen(
    ions: Sequence[Ion], fixed_charges: Mapping[str, float], fractions: Mapping[str, float]
) -> GelTransport:
    """Return the transport across layers at frozen concentrations: the harmonic mean of their conductivities.

    The transference numbers are the averages of those of the layers, by volume. Along layers frozen and steady are the
    same (:func:`layered_gel_steady`).

    Parameters
    ----------
    ions, fixed_charges, fractions
        As in :func:`layered_gel_steady`.

    Raises
    ------
    InputError
        For fractions that do not add up to 1.
    """
    mobility, phi = _mobilities(ions, fixed_charges, fractions)
    own = np.array([ion.valence for ion in ions])[:, None] ** 2 * mobility
    total = own.sum(axis=0)
    conductivity = 1.0 / float(np.sum(phi / total)) if total.all() else 0.0
    return _transport(ions, conductivity * (own / np.where(total == 0.0, 1.0, total)) @ phi)


def _transport(ions: Sequence[Ion], own: Array) -> GelTransport:
    total = float(own.sum())
    return GelTransport(
        conductivity=total, transference={ion.name: float(part) / total for ion, part in zip(ions, own, strict=True)}
    )


def _mobilities(
    ions: Sequence[Ion], fixed_charges: Mapping[str, float], fractions: Mapping[str, float]
) -> tuple[Array, Array]:
    r""":math:`D_ic_i` by ion and phase, zero where an ion does not enter; and the fractions."""
    check_bath(ions)
    phi = np.array([check_number(f"fractions.{name}", value, above=0.0) for name, value in fractions.items()])
    if abs(phi.sum() - 1.0) > 1e-9:
        raise InputError("fractions", dict(fractions), "volume fractions that add up to 1")
    inside = equilibria(ions, fixed_charges, tuple(fractions))
    table = np.zeros((len(ions), len(phi)))
    for i, ion in enumerate(ions):
        for k, phase in enumerate(fractions):
            if phase in ion.diffusivities:
                name = f"ions.{ion.name}.diffusivities.{phase}"
                table[i, k] = check_number(name, ion.diffusivities[phase], above=0.0)
                table[i, k] *= inside[phase].concentrations[ion.name]
    return table, phi
