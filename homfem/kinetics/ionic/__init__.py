"""Membranes of excitable cells: the rate of change of the membrane potential and the states of its channels."""

from homfem.kinetics.ionic.files import read_ionic
from homfem.kinetics.ionic.fitzhugh_nagumo import FITZHUGH_NAGUMO
from homfem.kinetics.ionic.registry import IONIC_MODELS, IonicModel, ionic_kinetics

__all__ = ["FITZHUGH_NAGUMO", "IONIC_MODELS", "IonicModel", "ionic_kinetics", "read_ionic"]
