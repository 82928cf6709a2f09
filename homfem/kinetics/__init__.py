"""Kinetics: currents, pumps, channels and reactions as functions of the local state. No mesh, no dolfinx."""

from homfem.kinetics.calcium import (
    DE_YOUNG_KEIZER,
    TRIGGER_WAVE,
    LiRinzelMembrane,
    LiRinzelRates,
    MembraneKinetics,
    RestingState,
    exchange_kinetics,
    li_rinzel,
    membrane_from_rates,
    resting_state,
)
from homfem.kinetics.ionic import FITZHUGH_NAGUMO
from homfem.kinetics.parameters import Parameter, describe_parameters, parameters_of
from homfem.kinetics.point import PointKinetics, Variable, resting_point

__all__ = [
    "DE_YOUNG_KEIZER",
    "FITZHUGH_NAGUMO",
    "TRIGGER_WAVE",
    "LiRinzelMembrane",
    "LiRinzelRates",
    "MembraneKinetics",
    "Parameter",
    "PointKinetics",
    "RestingState",
    "Variable",
    "describe_parameters",
    "exchange_kinetics",
    "li_rinzel",
    "membrane_from_rates",
    "parameters_of",
    "resting_point",
    "resting_state",
]
