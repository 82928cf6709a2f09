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
from homfem.kinetics.combined import combined_reactions
from homfem.kinetics.ionic import FITZHUGH_NAGUMO
from homfem.kinetics.named_reactions import REACTIONS, NamedReaction
from homfem.kinetics.parameters import Parameter, describe_parameters, parameters_of
from homfem.kinetics.point import PointKinetics, Variable, resting_point
from homfem.kinetics.reactions import (
    COORDINATES,
    named_reaction,
    reaction_parameters,
    written_reaction,
)

__all__ = [
    "COORDINATES",
    "DE_YOUNG_KEIZER",
    "FITZHUGH_NAGUMO",
    "REACTIONS",
    "TRIGGER_WAVE",
    "LiRinzelMembrane",
    "LiRinzelRates",
    "MembraneKinetics",
    "NamedReaction",
    "Parameter",
    "PointKinetics",
    "RestingState",
    "Variable",
    "combined_reactions",
    "describe_parameters",
    "exchange_kinetics",
    "li_rinzel",
    "membrane_from_rates",
    "named_reaction",
    "parameters_of",
    "reaction_parameters",
    "resting_point",
    "resting_state",
    "written_reaction",
]
