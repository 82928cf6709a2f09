r"""Ions: valence, concentration in a bath, diffusivity in each phase; and what turns numbers of kT and e into SI.

With the temperature T the thermal voltage is :math:`RT/F` (25.7 mV at 298.15 K), and a mobility :math:`z^2Dc` in
mol/(m s) is a conductivity :math:`\frac{F^2}{RT}z^2Dc` in S/m (Nernst and Einstein).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy.typing as npt
from scipy import constants

from homfem.parameters import InputError, check_integer, check_number

#: Charge of a mole of protons, C/mol.
FARADAY = float(constants.physical_constants["Faraday constant"][0])
#: Gas constant, J/(mol K).
GAS = float(constants.R)
#: Permittivity of the vacuum, F/m.
VACUUM = float(constants.epsilon_0)
#: 25 degrees Celsius, in K.
TEMPERATURE = 298.15
#: How much charge a bath may have, relative to that of its cations and anions together: the digits of its numbers.
NEUTRAL = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Ion:
    """A mobile ion.

    Parameters
    ----------
    name
        Its name in results, such as ``"Na"``; without a dot, which parts the names of coefficients.
    valence
        Its charge number, a whole number but 0: a solute without charge is one of ``physics = "diffusion"``.
    bath
        Its concentration in the bath with which all phases are in equilibrium, > 0.
    diffusivities
        Its diffusivity in each phase that it enters: a number or a symmetric positive definite matrix. It is kept out
        of a phase that is not named.

    Raises
    ------
    InputError
        For a name, a valence or a concentration out of range.

    Example
    -------
    >>> Ion(name="Na", valence=1, bath=150.0, diffusivities={"gel": 700.0, "outside": 1330.0}).valence
    1
    """

    name: str
    valence: int
    bath: float
    diffusivities: Mapping[str, float | npt.ArrayLike]

    def __post_init__(self) -> None:
        check_ion_name("name", self.name)
        check_valence("valence", self.valence)
        check_number("bath", self.bath, above=0.0, remedy="An ion that is not in the bath is left out.")


def check_ion_name(name: str, value: object) -> str:
    """Return the name of an ion; raise :class:`InputError` for anything that is none."""
    if not isinstance(value, str) or not value.strip() or "." in value or not value.isprintable():
        raise InputError(name, value, "the name of an ion, such as 'Na' or 'Cl-', without a dot")
    return value


def check_valence(name: str, value: object) -> int:
    """Return a charge number; raise :class:`InputError` for 0 and for what is no whole number."""
    remedy = "Its sign counts: 1 of sodium, -1 of chloride, 2 of calcium."
    number = check_integer(name, value, at_least=-1000, at_most=1000, remedy=remedy)
    if number == 0:
        remedy = 'What no potential moves is no ion: use physics = "diffusion" for it.'
        raise InputError(name, value, "a whole number but 0", remedy)
    return number


def check_bath(ions: Sequence[Ion], name: str = "ions") -> None:
    """Refuse no ions, two of one name, and a bath that is not electroneutral.

    Raises
    ------
    InputError
        With the charge that is too much.

    Example
    -------
    >>> check_bath([Ion(name="Na", valence=1, bath=2.0, diffusivities={}), Ion(name="SO4", valence=-2, bath=1.0,
    ...                                                                       diffusivities={})])
    """
    names = [ion.name for ion in ions]
    if not ions:
        raise InputError(name, names, "at least one cation and one anion")
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise InputError(name, twice, "ions with names that differ")
    charges = [ion.valence * ion.bath for ion in ions]
    excess = math.fsum(charges)
    if abs(excess) > NEUTRAL * math.fsum(map(abs, charges)):
        shown = ", ".join(f"{ion.name} {ion.valence:+d} x {ion.bath:g}" for ion in ions)
        remedy = f"Valences times concentrations add up to {excess:g}: give the counter-ion that is missing."
        raise InputError(name, shown, "an electroneutral bath", remedy)


def check_temperature(value: object, name: str = "temperature") -> float:
    """Return a temperature in K; raise :class:`InputError` for what is none of water."""
    remedy = "It is in kelvin: 25 degrees Celsius are 298.15 K."
    return check_number(name, value, at_least=200.0, at_most=1000.0, remedy=remedy)


def thermal_voltage(temperature: float) -> float:
    """Return RT/F in V.

    Example
    -------
    >>> round(1e3 * thermal_voltage(298.15), 4)
    25.6926
    """
    return GAS * temperature / FARADAY


def conductivity_factor(temperature: float) -> float:
    """Return F^2/(RT), in S m^-1 per mol/(m s).

    Example
    -------
    Potassium chloride at infinite dilution, 1 mol/m^3, diffusivities in m^2/s: 0.015 S/m as in tables.

    >>> round(conductivity_factor(298.15) * (1.957e-9 + 2.032e-9), 5)
    0.01498
    """
    return FARADAY**2 / (GAS * temperature)
