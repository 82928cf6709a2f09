"""Diffusion in block media: rectangles of constant diffusivity in a periodic cell.

Three methods on one call, :func:`homogenize_blocks`:

``"semi-analytical"``
    The method of March, Carr and Turner, complete (:mod:`homfem.blocks.semi_analytical`; the block solution is derived
    in :mod:`homfem.blocks.elements`).
``"finite-volume"``
    The vertex-centred finite volumes that they compare with (:mod:`homfem.blocks.finite_volume`); an upper bound.
``"corner-galerkin"``
    Galerkin for the interface fluxes with the corner singularities and two guaranteed bounds
    (:mod:`homfem.blocks.galerkin`).

:mod:`homfem.blocks.tables` regenerates the tables of the paper.
"""

from homfem.blocks.effective import METHODS, homogenize_blocks
from homfem.blocks.media import aggregated, checkerboard, inclusions_image, paper_case, pixelated
from homfem.blocks.medium import BlockMedium

__all__ = [
    "METHODS",
    "BlockMedium",
    "aggregated",
    "checkerboard",
    "homogenize_blocks",
    "inclusions_image",
    "paper_case",
    "pixelated",
]
