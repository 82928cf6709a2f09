"""Diffusion and conduction: both sides of the bounds, the gap between them, and what straight facets change."""

from homfem.certify.diffusion.dual import residual_allowance, residual_excess, solve_lower
from homfem.certify.diffusion.gap import diffusion_gaps
from homfem.certify.diffusion.geometry import geometric_error
from homfem.certify.diffusion.medium import Medium
from homfem.certify.diffusion.physics import Diffusion, homogenize_diffusion, solve_diffusion

__all__ = [
    "Diffusion",
    "Medium",
    "diffusion_gaps",
    "geometric_error",
    "homogenize_diffusion",
    "residual_allowance",
    "residual_excess",
    "solve_diffusion",
    "solve_lower",
]
