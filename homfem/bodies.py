"""Meshes of cells and tissues for the macroscale models, from arrays or from Gmsh, made on one rank and distributed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import basix.ufl
import numpy as np
import numpy.typing as npt
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import _dolfinx
from homfem.parameters import Array, InputError
from homfem.ranks import collective

Indices = npt.NDArray[np.int64]


def mesh_from_arrays(comm: MPI.Comm, make: Callable[[], tuple[Array, Indices]], *, ghosts: bool = False) -> dmesh.Mesh:
    """Return the distributed mesh of straight simplices that ``make`` gives on rank 0; collective.

    Parameters
    ----------
    comm
        Communicator of the mesh.
    make
        Called on rank 0 only; returns points of shape (n, d) and corner nodes of shape (m, d + 1), d = 1, 2 or 3. An
        error that it raises is raised on every rank.
    ghosts
        Whether a rank knows the cells beyond the facets of its own, as integrals over inner facets need.
    """
    arrays: tuple[Array, Indices] | None = None
    with collective(comm):
        if comm.rank == 0:
            arrays = make()
            shapes = (arrays[0].shape, arrays[1].shape)
            if arrays[0].ndim != 2 or not 1 <= shapes[0][1] <= 3 or shapes[1][1:] != (shapes[0][1] + 1,):
                raise InputError("mesh", shapes, "points of shape (n, d) and simplices of shape (m, d + 1)")
            check_simplices(*arrays)
    d = comm.bcast(None if arrays is None else arrays[0].shape[1], root=0)
    points, cells = (np.zeros((0, d)), np.zeros((0, d + 1), dtype=np.int64)) if arrays is None else arrays
    element = basix.ufl.element("Lagrange", {1: "interval", 2: "triangle", 3: "tetrahedron"}[d], 1, shape=(d,))
    cells = np.ascontiguousarray(cells, dtype=np.int64)
    partitioner = _dolfinx.cell_partitioner(dmesh.GhostMode.shared_facet) if ghosts and comm.size > 1 else None
    return _dolfinx.create_mesh(comm, cells, np.ascontiguousarray(points), element, partitioner)


def box_mesh(comm: MPI.Comm, sides: Sequence[float], counts: Sequence[int]) -> dmesh.Mesh:
    """Return the mesh of an interval, a rectangle or a box with one corner at the origin; collective.

    Parameters
    ----------
    comm
        Communicator of the mesh.
    sides, counts
        Length and number of elements along each axis; 1 to 3 of them.
    """
    if len(sides) == 1:
        return dmesh.create_interval(comm, counts[0], [0.0, float(sides[0])])
    corners = [np.zeros(len(sides)), np.array(sides, dtype=np.float64)]
    return (dmesh.create_rectangle if len(sides) == 2 else dmesh.create_box)(comm, corners, list(counts))


def check_simplices(points: Array, cells: Indices) -> None:
    """Refuse simplices of which no mesh can be made: DOLFINx takes them, and computes with them or crashes.

    Parameters
    ----------
    points : array, shape (n, d)
        Coordinates.
    cells : array of int, shape (m, d + 1)
        Corner nodes.

    Raises
    ------
    InputError
        If there are no cells, a node is none of the points, a coordinate is not finite, a simplex is flat (its measure
        is below 1e-12 of its longest edge to the power d), or more than two share a facet.
    """
    count, d = len(cells), points.shape[1]
    if not count:
        raise InputError("mesh", 0, "a mesh with cells")
    if cells.min() < 0 or cells.max() >= len(points):
        allowed = f"a mesh whose cells have nodes 0 to {len(points) - 1}"
        raise InputError("mesh", [int(cells.min()), int(cells.max())], allowed)
    corners = points[cells]
    finite = np.isfinite(corners).all(axis=(1, 2))
    if not finite.all():
        raise InputError("mesh", int(np.argmin(finite)), "a mesh of finite coordinates; those of this cell are not")
    edges = corners[:, 1:] - corners[:, :1]
    longest = np.linalg.norm(edges, axis=2).max(axis=1)
    with np.errstate(all="ignore"):
        flat = ~(np.abs(np.linalg.det(edges / longest[:, None, None])) > 1e-12) | ~np.isfinite(longest)
    if flat.any():
        raise InputError("mesh", int(np.argmax(flat)), "a mesh of cells with a volume; this one is flat")
    facets = np.concatenate([np.sort(np.delete(cells, k, axis=1), axis=1) for k in range(d + 1)])
    shared = np.unique(facets, axis=0, return_counts=True)[1]
    if shared.max() > 2:
        raise InputError("mesh", int(shared.max()), "a mesh in which a facet belongs to one cell or two")


def gmsh_arrays(dimension: int) -> tuple[Array, Indices]:
    """Return points and simplices of the current Gmsh model, which has been meshed; unused points are left out."""
    import gmsh

    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    _, corners = gmsh.model.mesh.getElementsByType({1: 1, 2: 2, 3: 4}[dimension])
    number = np.zeros(int(tags.max()) + 1, dtype=np.int64)
    number[tags] = np.arange(len(tags))
    used, cells = np.unique(number[corners.astype(np.int64)], return_inverse=True)
    return coordinates.reshape(-1, 3)[used][:, :dimension], cells.reshape(-1, dimension + 1).astype(np.int64)
