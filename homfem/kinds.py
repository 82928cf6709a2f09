"""The physics that share an equation, and with it a kind of effective tensor. No dolfinx here."""

from __future__ import annotations

#: Second-order tensors of a flux driven by a gradient, averaged over the whole cell.
CONDUCTION = ("diffusion", "conductivity")
#: Stiffnesses as Voigt matrices, with further coefficients or without.
ELASTIC = ("elasticity", "thermoelasticity", "poroelasticity", "active-stress")
