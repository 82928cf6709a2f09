"""Neutrons in a lattice: multiplication factor, cross-sections that keep the rates, migration area."""

from homfem.certify.multiplication.materials import CrossSections
from homfem.certify.multiplication.physics import Multiplication, homogenize_multiplication, solve_multiplication

__all__ = ["CrossSections", "Multiplication", "homogenize_multiplication", "solve_multiplication"]
