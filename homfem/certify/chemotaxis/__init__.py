"""Cells that follow an attractant: motility, sensitivity and diffusion of the attractant, with bounds of all three."""

from homfem.certify.chemotaxis.data import ChemotaxisData
from homfem.certify.chemotaxis.physics import Chemotaxis, homogenize_chemotaxis, solve_chemotaxis

__all__ = ["Chemotaxis", "ChemotaxisData", "homogenize_chemotaxis", "solve_chemotaxis"]
