"""Kinetics: currents, pumps, channels and reactions as pure functions of the local state. No mesh, no dolfinx."""

from homfem.kinetics.calcium import (
    DE_YOUNG_KEIZER,
    TRIGGER_WAVE,
    LiRinzelMembrane,
    LiRinzelRates,
    MembraneKinetics,
    RestingState,
    li_rinzel,
    membrane_from_rates,
    resting_state,
)

__all__ = [
    "DE_YOUNG_KEIZER",
    "TRIGGER_WAVE",
    "LiRinzelMembrane",
    "LiRinzelRates",
    "MembraneKinetics",
    "RestingState",
    "li_rinzel",
    "membrane_from_rates",
    "resting_state",
]
