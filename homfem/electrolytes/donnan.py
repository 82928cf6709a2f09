r"""Donnan equilibrium: an electroneutral phase with a fixed charge beside a bath.

Every ion has one electrochemical potential :math:`\mu_i=\ln c_i+z_i\psi` in the phase and in the bath (units of kT, e),
so that :math:`c_i=c_{ib}e^{-z_i\psi}`, and the phase is neutral:

.. math:: \sum_iz_ic_{ib}e^{-z_i\psi}+c_f=0 .

The sum falls with :math:`\psi`. Of the cations with a positive fixed charge, P, and of the anions with a negative one,
N, the logarithms are nearly straight: :math:`g=\ln P-\ln N` falls with a slope of one or more, so that the root lies
between 0 and :math:`g(0)`, however large the charge. There it is found to round-off; that of a 1:1 salt is
:math:`\psi=\operatorname{arsinh}(c_f/2c_b)`.

Source: Donnan 1911, reprinted 1995, doi 10.1016/0376-7388(94)00297-C.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from homfem.electrolytes.ions import NEUTRAL, Ion
from homfem.parameters import Array, InputError, check_choice, check_number

#: No concentration of an ion that enters a phase may be less than this part of the largest: its flux is lost in digits.
LEAST = 1e-200


@dataclass(frozen=True, kw_only=True, slots=True)
class Equilibrium:
    """What is in a phase.

    Parameters
    ----------
    potential
        Against the bath, in kT/e: negative in a phase whose fixed charge is.
    concentrations
        Of each ion that enters the phase, by name, in the unit of the bath.
    """

    potential: float
    concentrations: Mapping[str, float]


def donnan_potential(valences: Sequence[int], baths: Sequence[float], fixed_charge: float) -> float:
    r"""Return the potential :math:`\psi` in kT/e at which a phase is neutral.

    Parameters
    ----------
    valences, baths
        Charge number (not 0) and concentration in the bath (> 0) of each ion that enters the phase.
    fixed_charge
        Concentration of elementary charges that do not move, with their sign, in the unit of the bath.

    Raises
    ------
    InputError
        If no ion is there to balance the charge.

    Example
    -------
    >>> round(donnan_potential([1, -1], [1.0, 1.0], -2.0), 9)
    -0.881373587
    """
    z, c, q = np.asarray(valences, dtype=np.float64), np.asarray(baths, dtype=np.float64), float(fixed_charge)
    imbalance = math.fsum(z * c)
    if abs(imbalance) <= NEUTRAL * math.fsum(np.abs(z) * c):
        imbalance = 0.0  # a neutral bath, in the digits that it was given with
    if imbalance + q == 0.0:
        return 0.0
    if not ((z > 0.0).any() or q > 0.0) or not ((z < 0.0).any() or q < 0.0):
        has = "cations" if (z > 0.0).any() else "anions" if len(z) else "no ions"
        raise InputError("fixed_charge", q, "one that the ions of the phase can balance", f"It has only {has}.")

    def excess(psi: float) -> float:
        return _logarithm(z, c, q, psi) - _logarithm(-z, c, -q, -psi)

    reach = excess(0.0)
    low, high = sorted((0.0, math.copysign((1.0 + 1e-12) * abs(reach) + 1e-300, reach)))
    import scipy.optimize  # not before it is needed: it takes long to load

    psi = float(scipy.optimize.brentq(excess, low, high, xtol=1e-14, rtol=4.0 * np.finfo(np.float64).eps))
    for _ in range(3):
        if imbalance == 0.0:  # the digits of a small potential: the charges of the bath itself cancel
            charge = math.fsum([*(z * c * np.expm1(-z * psi)), q])
        else:
            charge = math.fsum([*(z * c * np.exp(-z * psi)), q])
        psi += charge / math.fsum(z**2 * c * np.exp(-z * psi))
    return psi


def _logarithm(z: Array, c: Array, q: float, psi: float) -> float:
    """The logarithm of the positive charge: of the ions at a potential, and of the phase."""
    own = z > 0.0
    parts = [*(np.log(z[own] * c[own]) - z[own] * psi), *([math.log(q)] if q > 0.0 else [])]
    return float(np.logaddexp.reduce(parts))


def equilibria(
    ions: Sequence[Ion], fixed_charges: Mapping[str, float], phases: Sequence[str]
) -> dict[str, Equilibrium]:
    """Return what is in each phase that an ion enters, in the order of ``phases``.

    Parameters
    ----------
    ions
        With an electroneutral bath (:func:`homfem.electrolytes.check_bath`).
    fixed_charges
        Signed concentration of fixed elementary charges of each phase that has some.
    phases
        The phases of the cell.

    Raises
    ------
    InputError
        For a phase that is not of the cell, a charge where no ion enters, and one that they cannot balance, or so large
        that next to nothing is left of an ion.
    """
    for ion in ions:
        for phase in ion.diffusivities:
            check_choice(f"ions.{ion.name}.diffusivities", phase, phases)
    inside = {phase: [ion for ion in ions if phase in ion.diffusivities] for phase in phases}
    for phase, charge in fixed_charges.items():
        check_choice("fixed_charges", phase, phases)
        check_number(f"fixed_charges.{phase}", charge)
        if not inside[phase]:
            remedy = "Give an ion a diffusivity there: it must be neutral."
            raise InputError(f"fixed_charges.{phase}", charge, "absent for a phase without ions", remedy)
    return {phase: _in_phase(phase, present, fixed_charges.get(phase, 0.0)) for phase, present in inside.items()
            if present}  # fmt: skip


def _in_phase(phase: str, ions: Sequence[Ion], charge: float) -> Equilibrium:
    name = f"fixed_charges.{phase}"
    try:
        psi = donnan_potential([ion.valence for ion in ions], [ion.bath for ion in ions], charge)
    except InputError as error:
        raise InputError(name, charge, error.allowed, error.remedy) from error
    found = {ion.name: ion.bath * math.exp(-ion.valence * psi) for ion in ions}
    least = min(found, key=lambda ion: found[ion])
    if not found[least] >= LEAST * max(found.values()):
        allowed = f"so small that every ion is left in the phase; of {least!r} there would be {found[least]:g}"
        raise InputError(name, charge, allowed, "Leave the ion out of the phase: give it no diffusivity there.")
    return Equilibrium(potential=psi, concentrations=found)
