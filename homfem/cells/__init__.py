"""Unit cells: mesh, phases, lattice; shapes and import from Gmsh."""
