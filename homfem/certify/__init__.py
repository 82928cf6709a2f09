"""Effective tensors with guaranteed two-sided bounds, and the adaptive loop that tightens them."""

from homfem.certify.adapt import gap_indicators, refine_towards
from homfem.certify.coupled import (
    ActiveStress,
    PoroElastic,
    ThermoElastic,
    homogenize_active_stress,
    homogenize_poroelasticity,
    homogenize_thermoelasticity,
)
from homfem.certify.diffusion import (
    CellSolution,
    homogenize_diffusion,
    residual_allowance,
    solve_diffusion,
    versions,
)

__all__ = [
    "ActiveStress",
    "CellSolution",
    "PoroElastic",
    "ThermoElastic",
    "gap_indicators",
    "homogenize_active_stress",
    "homogenize_diffusion",
    "homogenize_poroelasticity",
    "homogenize_thermoelasticity",
    "refine_towards",
    "residual_allowance",
    "solve_diffusion",
    "versions",
]
