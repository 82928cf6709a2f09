"""From a description or a file to the arrays of a periodic cell: no DOLFINx, no MPI, no PETSc.

A mesher that runs in a process of its own loads nothing else. The packages, from the bottom up, each of which imports
only from those before it: ``arrays``, ``topology``, ``cut``, ``by_gmsh``, ``files``, ``shapes``.
"""
