"""Meshes of cells and tissues for the macroscale models, from arrays or from Gmsh, made on one rank and distributed."""

from __future__ import annotations

from collections.abc import Callable

import basix.ufl
import numpy as np
import numpy.typing as npt
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import _dolfinx
from homfem.parameters import Array, InputError
from homfem.solve import collective

Indices = npt.NDArray[np.int64]


def mesh_from_arrays(comm: MPI.Comm, make: Callable[[], tuple[Array, Indices]]) -> dmesh.Mesh:
    """Return the distributed mesh of straight simplices that ``make`` gives on rank 0; collective.

    Parameters
    ----------
    comm
        Communicator of the mesh.
    make
        Called on rank 0 only; returns points of shape (n, d) and corner nodes of shape (m, d + 1), d = 1, 2 or 3. An
        error that it raises is raised on every rank.
    """
    arrays: tuple[Array, Indices] | None = None
    with collective(comm):
        if comm.rank == 0:
            arrays = make()
            shapes = (arrays[0].shape, arrays[1].shape)
            if arrays[0].ndim != 2 or not 1 <= shapes[0][1] <= 3 or shapes[1][1:] != (shapes[0][1] + 1,):
                raise InputError("mesh", shapes, "points of shape (n, d) and simplices of shape (m, d + 1)")
    d = comm.bcast(None if arrays is None else arrays[0].shape[1], root=0)
    points, cells = (np.zeros((0, d)), np.zeros((0, d + 1), dtype=np.int64)) if arrays is None else arrays
    element = basix.ufl.element("Lagrange", {1: "interval", 2: "triangle", 3: "tetrahedron"}[d], 1, shape=(d,))
    cells = np.ascontiguousarray(cells, dtype=np.int64)
    return _dolfinx.create_mesh(comm, cells, np.ascontiguousarray(points), element)


def gmsh_arrays(dimension: int) -> tuple[Array, Indices]:
    """Return points and simplices of the current Gmsh model, which has been meshed; unused points are left out."""
    import gmsh

    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    _, corners = gmsh.model.mesh.getElementsByType({1: 1, 2: 2, 3: 4}[dimension])
    number = np.zeros(int(tags.max()) + 1, dtype=np.int64)
    number[tags] = np.arange(len(tags))
    used, cells = np.unique(number[corners.astype(np.int64)], return_inverse=True)
    return coordinates.reshape(-1, 3)[used][:, :dimension], cells.reshape(-1, dimension + 1).astype(np.int64)
