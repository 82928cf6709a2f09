"""The bidomain of heart muscle: both conductivities and the area of the membrane of a cell, and sweeps of junctions."""

from homfem.certify.bidomain.solve import homogenize_bidomain, solve_bidomain
from homfem.certify.bidomain.sweep import sweep_bidomain

__all__ = ["homogenize_bidomain", "solve_bidomain", "sweep_bidomain"]
