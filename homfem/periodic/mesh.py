"""The mesh of a cell as a torus: identified topology, true coordinates."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import _dolfinx
from homfem.parameters import Array
from homfem.reference import CORNERS

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seam:
    """What the constraint between faces that do not match needs of a cell.

    Parameters
    ----------
    origin : array, shape (d,)
        Low corner of the period cell in lattice coordinates.
    phase_of_cell : array of int, shape (local cells,)
        Tag of the phase of each local cell.
    """

    origin: Array
    phase_of_cell: npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class PeriodicMesh:
    """A distributed mesh of one cell, twice: as a torus, and as it lies in space.

    Faces that do not match cannot be identified: then ``mesh`` is ``plain``, and ``seam`` is there for the constraint.

    Parameters
    ----------
    mesh
        The torus: identified topology, true coordinates per cell. Function spaces on it are periodic.
    input_vertex : array of int, shape (local cells, corners of a cell)
        For each local cell of ``mesh`` the identified input nodes at its vertices.
    in_space
        Returns :attr:`plain` and :attr:`plain_cell`; called when one of them is first asked for, on one rank without
        communication, on several with the meshes that are there already.
    seam
        Where opposite faces do not match; None where they do.
    """

    mesh: dmesh.Mesh
    input_vertex: Indices
    in_space: Callable[[], tuple[dmesh.Mesh, npt.NDArray[np.int32]]]
    seam: Seam | None = None

    @functools.cached_property
    def _in_space(self) -> tuple[dmesh.Mesh, npt.NDArray[np.int32]]:
        return self.in_space()

    @property
    def plain(self) -> dmesh.Mesh:
        """The same cells with the faces apart: for output, for the multipoint backend, for searches by coordinates."""
        return self._in_space[0]

    @property
    def plain_cell(self) -> npt.NDArray[np.int32]:
        """For each local cell of ``mesh`` the local cell of ``plain``, shape (local cells,)."""
        return self._in_space[1]

    @property
    def matching(self) -> bool:
        """Whether opposite faces match, so that ``mesh`` is a torus."""
        return self.seam is None

    def to_plain(self, function: fem.Function, space: fem.FunctionSpace | None = None) -> fem.Function:
        """Return the same function on ``plain``, in a space of the same element (made here if not given)."""
        source = function.function_space
        if space is None:
            space = fem.functionspace(self.plain, source.ufl_element())
        image = fem.Function(space, name=function.name)
        block = source.dofmap.bs
        theirs, ours = source.dofmap.list, space.dofmap.list[self.plain_cell]
        for component in range(block):
            image.x.array[block * ours + component] = function.x.array[block * theirs + component]
        image.x.scatter_forward()
        return image


def create_periodic_mesh(
    comm: MPI.Comm,
    points: Array,
    cells: Indices,
    representative: Indices,
    *,
    kind: str,
    order: int = 1,
) -> PeriodicMesh:
    """Distribute a mesh whose nodes have been matched by ``identify_nodes``; collective.

    Parameters
    ----------
    points : array, shape (n, d)
        Nodes, given on rank 0 and empty (0, d) elsewhere. ``n`` is global.
    cells : array of int, shape (m, nodes per cell)
        Nodes of each cell in the ordering of dolfinx, on rank 0 and empty elsewhere; corners come first.
    representative : array of int, shape (n,)
        As :func:`homfem.meshing.arrays.identification.identify_nodes` gives it.
    kind
        ``"triangle"``, ``"tetrahedron"``, ``"quadrilateral"`` or ``"hexahedron"``.
    order
        Degree of the geometry.

    Notes
    -----
    The torus has the corner nodes only; nodes of higher order come from the plain mesh. Both are partitioned alike,
    with the cells next to a facet of each rank as ghosts, so that interior-facet integrals work. On one rank the nodes
    are those of the arrays, and the plain mesh is made when it is asked for.
    """
    dimension = points.shape[1]
    corners = CORNERS[kind]
    linear = _dolfinx.element("Lagrange", kind, 1, (dimension,))
    element = _dolfinx.geometry_element(kind, order, dimension)
    torus_cells = representative[cells[:, :corners]] if len(cells) else cells[:, :corners]
    if comm.size == 1:
        torus = _dolfinx.create_mesh(comm, torus_cells, points, linear)
        ours = _dolfinx.original_cell_index(torus)

        def in_space() -> tuple[dmesh.Mesh, npt.NDArray[np.int32]]:
            plain = _dolfinx.create_mesh(comm, cells, points, element)
            return plain, _places(_dolfinx.original_cell_index(plain), ours)

        mesh = _dolfinx.mesh_with_nodes(torus, cells[ours], points, element)
        return PeriodicMesh(mesh=mesh, input_vertex=torus_cells[ours], in_space=in_space)
    destinations: list[Any] = []
    base = _dolfinx.cell_partitioner(dmesh.GhostMode.shared_facet)

    def record(*arguments: Any) -> Any:
        destinations.append(base(*arguments))
        return destinations[-1]

    def replay(*_: Any) -> Any:
        return destinations[-1]

    torus = _dolfinx.create_mesh(comm, torus_cells, points, linear, record)
    plain = _dolfinx.create_mesh(comm, cells, points, element, replay)
    plain_cell = _places(_dolfinx.original_cell_index(plain), _dolfinx.original_cell_index(torus))
    vertices = np.asarray(torus.geometry.input_global_indices)[_dolfinx.geometry_dofmap(torus)]
    mesh = _dolfinx.mesh_with_geometry(torus, plain, _dolfinx.geometry_dofmap(plain)[plain_cell], element)
    return PeriodicMesh(mesh=mesh, input_vertex=vertices.astype(np.int64), in_space=lambda: (plain, plain_cell))


def _places(among: Indices, wanted: Indices) -> npt.NDArray[np.int32]:
    """Where each of some numbers stands among all of them."""
    order = np.argsort(among, kind="stable")
    return order[np.searchsorted(among[order], wanted)].astype(np.int32)


def create_open_mesh(
    comm: MPI.Comm,
    points: Array,
    cells: Indices,
    phase_of_cell: npt.NDArray[np.int32],
    origin: Array,
    *,
    kind: str,
) -> PeriodicMesh:
    """Distribute a mesh of straight simplices whose opposite faces need not match; collective.

    Parameters
    ----------
    points, cells, kind
        As for :func:`create_periodic_mesh`.
    phase_of_cell : array of int, shape (m,)
        Tag of the phase of each cell, on every rank.
    origin : array, shape (d,)
        Low corner of the period cell in lattice coordinates, on every rank.
    """
    element = _dolfinx.element("Lagrange", kind, 1, (points.shape[1],))
    partitioner = _dolfinx.cell_partitioner(dmesh.GhostMode.shared_facet) if comm.size > 1 else None
    mesh = _dolfinx.create_mesh(comm, cells, points, element, partitioner)
    number = _dolfinx.original_cell_index(mesh)
    vertices = np.asarray(mesh.geometry.input_global_indices)[_dolfinx.geometry_dofmap(mesh)]
    return PeriodicMesh(
        mesh=mesh,
        input_vertex=vertices.astype(np.int64),
        in_space=lambda: (mesh, np.arange(len(number), dtype=np.int32)),
        seam=Seam(origin=origin, phase_of_cell=phase_of_cell[number]),
    )
