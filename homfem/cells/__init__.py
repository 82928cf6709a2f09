"""Unit cells: mesh, phases, lattice; shapes and import from Gmsh."""

from homfem.cells.make import blocks, from_gmsh, three_pipe
from homfem.cells.unitcell import UnitCell, load_cell

__all__ = ["UnitCell", "blocks", "from_gmsh", "load_cell", "three_pipe"]
