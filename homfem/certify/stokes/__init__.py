"""Stokes flow: permeability, both sides of its bounds, the gap between them, and what straight facets change."""

from homfem.certify.stokes.physics import Stokes, homogenize_stokes, solve_stokes

__all__ = ["Stokes", "homogenize_stokes", "solve_stokes"]
