r"""Numbers of dofs and nodes that do not depend on how the ranks share a mesh, for functions of any space.

The cells are put in the order of the numbers that their nodes had in the arrays which made the mesh
(``mesh.geometry.input_global_indices``), and the dofs are numbered as one meets them, cell by cell. A value belongs to
the frame of the reference cell of the first cell that holds the dof:

.. math::  c_\mathrm{ref} = T^T c

with the transformation T that relates the basis functions of the reference cell to those which neighbours share
(identity for Lagrange elements, signs and rotations for H(curl), H(div) and others). So the values are the same on any
number of ranks, though edges and facets may be turned. T mixes only dofs of one edge or facet, and these have the same
first cell.

In a mesh of the facets of another, the order of a cell's nodes depends on the ranks. Lagrange functions on straight
simplices are numbered there as if it were the order of the numbers of the nodes; other spaces hold on to it.

Numbers are found by sorting over all ranks, and each rank has a block of what they number: nothing is whole anywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from dolfinx import fem, la
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem._dolfinx import geometry_dofmap, interpolation_points
from homfem.parameters import Array
from homfem.solve.routes import Blocks, Route, fingerprint, positions

Integers = npt.NDArray[np.int64]


class MeshNumbering:
    """The nodes and cells of a mesh, in blocks over the ranks; collective.

    Parameters
    ----------
    mesh
        Any mesh, also a part of another (``create_submesh``).

    Attributes
    ----------
    cells
        The number of each cell that the rank owns.
    keys, points
        A part of the numbers that the nodes had in the input and of their coordinates, (n, 3). The keys of one rank
        after the other ascend.
    digest, orientation
        What tells the cells from those of other meshes, and the order of the nodes in them; the same on every rank.
    """

    def __init__(self, mesh: dmesh.Mesh) -> None:
        self.mesh, self.comm = mesh, mesh.comm
        number = mesh.topology.index_map(mesh.topology.dim).size_local
        nodes = geometry_dofmap(mesh)[:number]
        inputs = np.asarray(mesh.geometry.input_global_indices, dtype=np.int64)
        rows = inputs[nodes].reshape(number, nodes.shape[1])
        ascending = np.sort(rows, axis=1)
        self.cells = positions(self.comm, ascending)
        self.digest, self.orientation = fingerprint(self.comm, ascending), fingerprint(self.comm, rows)
        used = np.unique(nodes)
        route = Route(self.comm, _share(self.comm, inputs[used]))
        self.keys, first = np.unique(route.there(inputs[used]), return_index=True)
        self.points = route.there(np.asarray(mesh.geometry.x, dtype=np.float64)[used])[first]


class Numbering:
    """The dofs of a space in an order that is the same on any number of ranks; collective.

    Parameters
    ----------
    space
        A function space with any element: continuous or not, scalar, vector, mixed, quadrature.
    mesh
        The numbering of its mesh, if there is one already.

    Attributes
    ----------
    size
        Number of dofs, times the block size ``block``: that many values has a function.
    orientation
        What the order of the nodes in the cells must be for the values to be the same; empty if it does not matter.

    Example
    -------
    ``whole = numbering.gather(u.x.array)`` on two ranks, ``u.x.array[: owned] = numbering.scatter(whole)`` on three.
    """

    def __init__(self, space: fem.FunctionSpace, mesh: MeshNumbering | None = None) -> None:
        self.space, self.mesh = space, MeshNumbering(space.mesh) if mesh is None else mesh
        dofmap = space.dofmap
        self.comm, self.block = space.mesh.comm, int(dofmap.bs)
        self._map = dofmap.index_map
        topology = space.mesh.topology
        cells = np.asarray(dofmap.list)[: topology.index_map(topology.dim).size_local]
        self.orientation = self.mesh.orientation
        if topology.dim < space.mesh.geometry.dim and _is_plain(space):
            cells, self.orientation = _in_order_of_nodes(space, cells), ""
        places = self._first_places(cells)
        numbers = positions(self.comm, self._met[:, None])
        self._blocks = Blocks(self.comm, numbers, int(self._map.size_global))
        self._turned = bool(space.element.needs_dof_transformations)
        if self._turned:
            topology.create_entity_permutations()
            touched, row = np.unique(places // max(1, cells.shape[1]), return_inverse=True)
            self._cells = cells[touched]
            self._turns = topology.get_cell_permutation_info()[touched]
            self._pairs = row * cells.shape[1] + places % max(1, cells.shape[1])
        self._dofs = cells.ravel()[places]
        self.size = int(self._map.size_global) * self.block
        self._numbers = numbers

    def _first_places(self, cells: npt.NDArray[np.int32]) -> Integers:
        """Return where in the cells of this rank dofs are met first, of all ranks."""
        width = cells.shape[1]
        met = (self.mesh.cells[:, None] * width + np.arange(width)).ravel()
        owned, ghosts = int(self._map.size_local), np.asarray(self._map.ghosts, dtype=np.int64)
        first = np.full(owned + len(ghosts), np.iinfo(np.int64).max)
        np.minimum.at(first, cells.ravel(), met)
        # Owners take the least of all ranks, and tell it.
        route = Route(self.comm, np.asarray(self._map.owners, dtype=np.int64))
        mine = route.there(ghosts) - int(self._map.local_range[0])
        least = first[:owned].copy()
        np.minimum.at(least, mine, route.there(first[owned:]))
        least = np.concatenate([least, route.back(least[mine])])
        places = np.flatnonzero(met == least[cells.ravel()])
        self._met = met[places]
        return places

    def gather(self, values: Array) -> Array:
        """Return the values in this order on rank 0, nothing on the others; collective.

        Parameters
        ----------
        values
            An array that begins with the values that the rank owns.
        """
        parts = self.comm.gather(self.to_block(values))
        return np.empty(0) if parts is None else np.concatenate(parts).ravel()

    def scatter(self, whole: Array) -> Array:
        """Return the values that the rank owns of those that rank 0 holds in this order; collective."""
        counts = self.comm.gather(self.rows)
        parts = None if counts is None else np.split(whole.reshape(-1, self.block), np.cumsum(counts)[:-1])
        return self.from_block(self.comm.scatter(parts))

    @property
    def rows(self) -> int:
        """Length of the block of this rank."""
        return self._blocks.count

    @property
    def first(self) -> int:
        """Where the block of this rank begins."""
        return self._blocks.first

    def to_block(self, values: Array) -> Array:
        """Return this rank's part of the values in this order, shape (rows, block); collective.

        Parameters
        ----------
        values
            An array that begins with the values that the rank owns.
        """
        vector = self._vector()
        owned = self.owned
        vector.array[:owned] = values[:owned]
        vector.scatter_forward()
        blocks = vector.array.reshape(-1, self.block)
        mine = blocks[self._dofs]
        if self._turned:
            local = np.ascontiguousarray(blocks[self._cells].reshape(-1))
            self.space.element.Tt_apply(local, self._turns, self.block)
            mine = local.reshape(-1, self.block)[self._pairs]
        return np.asarray(self._blocks.gather(mine))

    def from_block(self, block: Array) -> Array:
        """Return the values that the rank owns, of the parts of all ranks, (rows, block) each; collective."""
        mine = self._blocks.scatter(block)
        vector = self._vector()
        if self._turned:
            local = np.zeros((self._cells.size, self.block))
            local[self._pairs] = mine
            flat = local.reshape(-1)
            self.space.element.Tt_inv_apply(flat, self._turns, self.block)
            mine = flat.reshape(-1, self.block)[self._pairs]
        # One rank alone has each value; the owner, who may be another, gets it as the sum with zeros.
        vector.array.reshape(-1, self.block)[self._dofs] = mine
        vector.scatter_reverse(la.InsertMode.add)
        return vector.array[: self.owned].copy()

    def numbers(self) -> Integers:
        """Return the number of each local dof of the space, ghosts included; collective."""
        vector = la.vector(self._map, 1, dtype=np.float64)
        vector.array[:] = 0.0
        vector.array[self._dofs] = self._numbers
        vector.scatter_reverse(la.InsertMode.add)
        vector.scatter_forward()
        return np.rint(vector.array).astype(np.int64)

    @property
    def owned(self) -> int:
        """How many values the rank owns."""
        return int(self._map.size_local) * self.block

    def _vector(self) -> la.Vector:
        vector = la.vector(self._map, self.block, dtype=np.float64)
        vector.array[:] = 0.0
        return vector


def _share(comm: MPI.Comm, keys: Integers) -> Integers:
    """Return the rank of each key: as many possible keys for each."""
    largest = comm.allreduce(int(keys.max(initial=0)), op=MPI.MAX)
    return keys * comm.size // (largest + 1)


def _is_plain(space: fem.FunctionSpace) -> bool:
    """Tell whether functions are given by their values at points of straight simplices."""
    mesh = space.mesh
    simplex = str(mesh.topology.cell_name()) in ("interval", "triangle", "tetrahedron")
    straight = geometry_dofmap(mesh).shape[1] == mesh.topology.dim + 1
    return simplex and straight and bool(space.element.interpolation_ident)


def _in_order_of_nodes(space: fem.FunctionSpace, cells: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return the dofs of cells as they would be if the nodes of each cell had ascending numbers in the input."""
    nodes = geometry_dofmap(space.mesh)[: len(cells)]
    orders = np.argsort(np.asarray(space.mesh.geometry.input_global_indices)[nodes], axis=1)
    points = interpolation_points(space)
    shares = np.column_stack([1.0 - points.sum(axis=1), points])  # barycentric
    found = np.empty_like(cells)
    for order in np.unique(orders, axis=0):
        apart = np.abs(shares[:, order][None] - shares[:, None]).sum(axis=2)
        rows = (orders == order).all(axis=1)
        found[rows] = cells[rows][:, apart.argmin(axis=1)]
    return found
