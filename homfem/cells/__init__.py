"""Unit cells: mesh, phases, lattice; shapes and import from Gmsh."""

from homfem.cells.blocks import blocks
from homfem.cells.fibres import fibre_array, tube
from homfem.cells.files import from_file, from_gmsh, load_cell
from homfem.cells.hexagonal import hexagonal_myocyte
from homfem.cells.images import image_cell
from homfem.cells.networks import myocyte, tortuous_pipes
from homfem.cells.painted import laminate, obstacles, painted_cell, sheets, slit
from homfem.cells.random_media import medium_cell
from homfem.cells.spheres import sphere_array
from homfem.cells.struts import struts
from homfem.cells.surfaces import level_set_cell, tpms
from homfem.cells.symmetry import find_symmetry, symmetric_part
from homfem.cells.three_pipe import three_pipe
from homfem.cells.unitcell import UnitCell
from homfem.meshing.shapes.painted import Box, pipe_boxes

__all__ = [
    "Box",
    "UnitCell",
    "blocks",
    "fibre_array",
    "find_symmetry",
    "from_file",
    "from_gmsh",
    "hexagonal_myocyte",
    "image_cell",
    "laminate",
    "level_set_cell",
    "load_cell",
    "medium_cell",
    "myocyte",
    "obstacles",
    "painted_cell",
    "pipe_boxes",
    "sheets",
    "slit",
    "sphere_array",
    "struts",
    "symmetric_part",
    "three_pipe",
    "tortuous_pipes",
    "tpms",
    "tube",
]
