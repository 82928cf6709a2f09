"""Membranes of excitable cells: the rate of change of the membrane potential and the states of its channels."""

from homfem.kinetics.ionic.fitzhugh_nagumo import FITZHUGH_NAGUMO

__all__ = ["FITZHUGH_NAGUMO"]
