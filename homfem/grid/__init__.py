"""Diffusion on pixel and voxel images: effective tensors with two guaranteed bounds, without a mesh.

:func:`read_image` and :class:`Image` bring the image, :func:`connectivity` tells what percolates, and
:func:`homogenize_image` gives the effective tensor; :func:`solve_image` also gives the fields. No DOLFINx.
"""

from homfem.grid.accuracy import GridAccuracy
from homfem.grid.connectivity import PhaseReport, connectivity, find_parts
from homfem.grid.effective import GridSolution, homogenize_image, solve_image
from homfem.grid.files import read_image
from homfem.grid.gels import homogenize_gel_image, solve_gel_image
from homfem.grid.image import Image

__all__ = [
    "GridAccuracy",
    "GridSolution",
    "Image",
    "PhaseReport",
    "connectivity",
    "find_parts",
    "homogenize_gel_image",
    "homogenize_image",
    "read_image",
    "solve_gel_image",
    "solve_image",
]
