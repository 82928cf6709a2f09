"""Dispersion: diffusion in a flow, as it appears on the scale of many cells."""

from homfem.certify.dispersion.flow import Flow, GivenFlow, StokesFlow, StreamFunction
from homfem.certify.dispersion.physics import Dispersion
from homfem.certify.dispersion.solve import homogenize_dispersion, solve_dispersion

__all__ = [
    "Dispersion",
    "Flow",
    "GivenFlow",
    "StokesFlow",
    "StreamFunction",
    "homogenize_dispersion",
    "solve_dispersion",
]
