"""Effective tensors with guaranteed bounds where theory gives them, and the adaptive loop that tightens them."""

from homfem.certify.adapt import gap_indicators, refine_towards
from homfem.certify.coupled import homogenize_active_stress, homogenize_poroelasticity, homogenize_thermoelasticity
from homfem.certify.coupled_results import ActiveStress, CoupledOptions, PoroElastic, ThermoElastic
from homfem.certify.diffusion import homogenize_diffusion, solve_diffusion
from homfem.certify.elasticity import hill_mandel, homogenize_elasticity, solve_elasticity
from homfem.certify.loop import CellSolution, versions
from homfem.certify.lower import residual_allowance
from homfem.certify.stokes import StokesSolution, homogenize_stokes, solve_stokes

__all__ = [
    "ActiveStress",
    "CellSolution",
    "CoupledOptions",
    "PoroElastic",
    "StokesSolution",
    "ThermoElastic",
    "gap_indicators",
    "hill_mandel",
    "homogenize_active_stress",
    "homogenize_diffusion",
    "homogenize_elasticity",
    "homogenize_poroelasticity",
    "homogenize_stokes",
    "homogenize_thermoelasticity",
    "refine_towards",
    "residual_allowance",
    "solve_diffusion",
    "solve_elasticity",
    "solve_stokes",
    "versions",
]
