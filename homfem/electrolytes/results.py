"""The tensor of a gel: its steady conductivity, with all that follows from the transport of each ion, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from homfem.coefficients import NamedCoefficient
from homfem.electrolytes.gels import Gel, GelTensors
from homfem.electrolytes.ions import conductivity_factor, thermal_voltage
from homfem.electrolytes.transport import (
    Sides,
    added,
    frozen_parts,
    of_inverse,
    over,
    salt_diffusion,
    storage,
    transference,
)
from homfem.kinds import kind_of
from homfem.parameters import Array
from homfem.quantities import conversion_factor
from homfem.tensors import EffectiveTensor

MOBILITY_UNIT, CONDUCTIVITY_UNIT = "mol/(m*s)", "S/m"
PHYSICS = "electrodiffusion"
#: Gives the mean flux of an ion at frozen concentrations, in the unit of the mobilities.
FrozenFlux = Callable[[str], Sides]
CONVENTIONS: Mapping[str, str] = {
    "average": "per volume of the whole cell",
    "variables": "fluxes against the electrochemical potentials of the ions in a bath that is in equilibrium with the "
    "cell, in units of RT; currents against the electric potential of that bath",
    "regime": "electroneutral phases in Donnan equilibrium; steady state (conductivity, transference, salt_diffusion), "
    "or concentrations that have no time to change (frozen_conductivity, frozen_transference)",
    "fixed_charge": "concentration of elementary charges with their sign, per volume of the phase",
}


def gel_tensor(gel: Gel, tensors: GelTensors, frozen_flux: FrozenFlux) -> EffectiveTensor:
    """Return the conductivity of a gel with bounds, and all that follows beside it.

    Parameters
    ----------
    gel, tensors
        What was solved; of units as the gel says them.
    frozen_flux
        Gives the mean fluxes at frozen concentrations where they do not follow from the frozen conductivity.

    Returns
    -------
    EffectiveTensor
        ``value`` is the steady conductivity, in S/m where the gel has units. ``coefficients``: ``conductivity``,
        ``frozen_conductivity``, ``transference.ION``, ``frozen_transference.ION``, ``salt_diffusion`` (of more than two
        ions ``salt_diffusion.A.B``), ``salt_partition`` (of two), ``onsager.ION``, ``donnan_potential.PHASE`` (mV),
        ``reduced_donnan_potential.PHASE`` (kT/e), ``concentration.PHASE.ION``.
    """
    first = next(iter(tensors.onsager.values()))
    mobility, electric = _factors(gel)
    units = (MOBILITY_UNIT, CONDUCTIVITY_UNIT) if gel.unit else ("", "")
    parts = {ion.name: Sides.of(tensors.onsager[ion.name]) for ion in gel.ions}
    own = [parts[ion.name].scaled(float(ion.valence**2)) for ion in gel.ions]
    conductivity = added(own).scaled(electric).outwards().named(units[1])
    found = {
        "conductivity": conductivity,
        "frozen_conductivity": Sides.of(tensors.frozen).scaled(electric).outwards().named(units[1]),
    }
    for k, ion in enumerate(gel.ions):
        rest = added([other for i, other in enumerate(own) if i != k])
        found[f"transference.{ion.name}"] = transference(own[k], rest).named("", order="entries")
    fluxes = _frozen_transference(gel, tensors, first, frozen_flux)
    found |= fluxes | _salt(gel, list(parts.values()), storage(gel, tensors, first.volume_fractions))
    found |= {f"onsager.{name}": part.scaled(mobility).outwards().named(units[0]) for name, part in parts.items()}
    found |= _inside(gel, tensors)
    return replace(
        first,
        **{name: getattr(conductivity, name) for name in ("value", "lower", "upper")},
        **_gathered(gel, tensors, electric),
        physics=PHYSICS,
        kind=kind_of(PHYSICS),
        unit=units[1],
        coefficients=found,
        warnings=tuple(dict.fromkeys(text for tensor in tensors.solved for text in tensor.warnings)),
        conventions={**CONVENTIONS, "temperature": f"{gel.temperature:g} K"},
    )


def _factors(gel: Gel) -> tuple[float, float]:
    """What makes of a mobility one in mol/(m s), and a conductivity in S/m; 1 without units."""
    if not gel.unit:
        return 1.0, 1.0
    mobility = conversion_factor(f"({gel.unit})*({gel.concentration_unit})", MOBILITY_UNIT)
    return mobility, mobility * conductivity_factor(gel.temperature)


def _salt(gel: Gel, onsager: Sequence[Sides], stored: Array) -> dict[str, NamedCoefficient]:
    """How salt diffuses at zero current, and of two ions how much of it there is beside that in the bath."""
    salt = salt_diffusion(gel, onsager, stored)
    found = {name: part.named(gel.unit, order=order) for name, (part, order) in salt.items()}
    if len(gel.ions) == 2:
        one, two = gel.ions
        value = np.asarray(stored[0, 0] * (1.0 - one.valence / two.valence) / one.bath)
        found["salt_partition"] = NamedCoefficient(value=value, basis="scalar")
    return found


def _gathered(gel: Gel, tensors: GelTensors, electric: float) -> dict[str, Any]:
    """What all problems took together, and what may be wrong with their sum."""
    solved = tensors.solved
    seconds: dict[str, float] = {}
    for tensor in solved:
        for stage, spent in tensor.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    active = {phase for tensor in solved for phase in tensor.active_phases}
    weights = [(electric * ion.valence**2, tensors.onsager[ion.name]) for ion in gel.ions]
    return {
        "active_phases": tuple(phase for phase in solved[0].volume_fractions if phase in active),
        "dofs": max(tensor.dofs for tensor in solved),
        "iterations": sum(tensor.iterations for tensor in solved),
        "seconds": seconds,
        "reached": all(tensor.reached for tensor in solved),
        "geometric_error": sum(weight * tensor.geometric_error for weight, tensor in weights),
        "roundoff": sum(weight * tensor.roundoff for weight, tensor in weights),
    }


def _frozen_transference(
    gel: Gel, tensors: GelTensors, first: EffectiveTensor, frozen_flux: FrozenFlux
) -> dict[str, NamedCoefficient]:
    """What part of the current each ion carries at frozen concentrations; nothing where that is not known."""
    frozen, names = Sides.of(tensors.frozen), [ion.name for ion in gel.ions]
    parts = frozen_parts(gel, tensors, whole=set(tensors.inside) == set(first.volume_fractions))
    if parts is not None:
        return {f"frozen_transference.{name}": of_inverse(frozen, *parts[name]).named("") for name in names}
    fluxes = {ion.name: frozen_flux(ion.name).scaled(ion.valence**2.0) for ion in gel.ions}
    # The fluxes add up to the current: what they leave of it is in the bounds.
    total = replace(frozen, value=np.sum([flux.value for flux in fluxes.values()], axis=0))
    return {
        f"frozen_transference.{name}": over(flux, total).named("", order="entries") for name, flux in fluxes.items()
    }


def _inside(gel: Gel, tensors: GelTensors) -> dict[str, NamedCoefficient]:
    """Potential and concentrations of each phase."""
    found: dict[str, tuple[float, str]] = {}
    volt = 1e3 * thermal_voltage(gel.temperature)
    for phase, inside in tensors.inside.items():
        found[f"donnan_potential.{phase}"] = (inside.potential * volt, "mV")
        found[f"reduced_donnan_potential.{phase}"] = (inside.potential, "")
        for name, concentration in inside.concentrations.items():
            found[f"concentration.{phase}.{name}"] = (concentration, gel.concentration_unit)
    return {
        name: NamedCoefficient(value=np.asarray(value), unit=unit, basis="scalar")
        for name, (value, unit) in found.items()
    }
