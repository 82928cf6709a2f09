"""Membranes of excitable cells: the rate of change of the membrane potential and the states of its channels.

Single cells: :func:`pace`, :func:`restitution`, :func:`limit_cycle`.
"""

from homfem.kinetics.ionic.action_potential import ActionPotential
from homfem.kinetics.ionic.files import read_ionic
from homfem.kinetics.ionic.fitzhugh_nagumo import FITZHUGH_NAGUMO
from homfem.kinetics.ionic.limit_cycle import LimitCycle, limit_cycle
from homfem.kinetics.ionic.pacing import Beat, Paced, Pacing, UnstableStepError, pace
from homfem.kinetics.ionic.registry import IONIC_MODELS, IonicModel, ionic_kinetics
from homfem.kinetics.ionic.restitution import Restitution, restitution

__all__ = [
    "FITZHUGH_NAGUMO",
    "IONIC_MODELS",
    "ActionPotential",
    "Beat",
    "IonicModel",
    "LimitCycle",
    "Paced",
    "Pacing",
    "Restitution",
    "UnstableStepError",
    "ionic_kinetics",
    "limit_cycle",
    "pace",
    "read_ionic",
    "restitution",
]
