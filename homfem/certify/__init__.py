"""Effective tensors with guaranteed two-sided bounds, and the adaptive loop that tightens them."""

from homfem.certify.adapt import gap_indicators, refine_towards
from homfem.certify.diffusion import (
    CellSolution,
    homogenize_diffusion,
    residual_allowance,
    solve_diffusion,
    versions,
)

__all__ = [
    "CellSolution",
    "gap_indicators",
    "homogenize_diffusion",
    "refine_towards",
    "residual_allowance",
    "solve_diffusion",
    "versions",
]
