"""Pixel and voxel images without a mesh: diffusion with two guaranteed bounds, flow and dispersion with an estimate.

:func:`read_image` and :class:`Image` bring the image, :func:`connectivity` tells what percolates, and
:func:`homogenize_image` gives the effective tensor of diffusion; :func:`solve_image` also gives the fields.
:func:`homogenize_stokes_image` gives the permeability, :func:`homogenize_dispersion_image` the dispersion of a solute
in the flow, and their ``solve_...`` the fields, too. No DOLFINx.
"""

from homfem.grid.accuracy import GridAccuracy
from homfem.grid.connectivity import PhaseReport, connectivity, find_parts
from homfem.grid.dispersion import ImageDispersion, homogenize_dispersion_image, solve_dispersion_image
from homfem.grid.effective import GridSolution, homogenize_image, solve_image
from homfem.grid.files import read_image
from homfem.grid.gels import homogenize_gel_image, solve_gel_image
from homfem.grid.image import Image
from homfem.grid.resolution import FlowAccuracy
from homfem.grid.stokes import ImageFlow, homogenize_stokes_image, solve_stokes_image

__all__ = [
    "FlowAccuracy",
    "GridAccuracy",
    "GridSolution",
    "Image",
    "ImageDispersion",
    "ImageFlow",
    "PhaseReport",
    "connectivity",
    "find_parts",
    "homogenize_dispersion_image",
    "homogenize_gel_image",
    "homogenize_image",
    "homogenize_stokes_image",
    "read_image",
    "solve_dispersion_image",
    "solve_gel_image",
    "solve_image",
    "solve_stokes_image",
]
