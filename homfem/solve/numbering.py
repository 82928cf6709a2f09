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
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from dolfinx import fem, la
from dolfinx import mesh as dmesh

from homfem._dolfinx import geometry_dofmap, interpolation_points
from homfem.parameters import Array

Integers = npt.NDArray[np.int64]


class MeshNumbering:
    """The nodes and cells of a mesh, whole on rank 0; collective.

    Parameters
    ----------
    mesh
        Any mesh, also a part of another (``create_submesh``).

    Attributes
    ----------
    keys, points
        On rank 0 the numbers that the nodes had in the input, ascending, and their coordinates (n, 3); else empty.
    digest, orientation
        What tells the cells from those of other meshes, and the order of the nodes in them; the same on every rank.
    """

    def __init__(self, mesh: dmesh.Mesh) -> None:
        self.mesh, self.comm = mesh, mesh.comm
        number = mesh.topology.index_map(mesh.topology.dim).size_local
        nodes = geometry_dofmap(mesh)[:number]
        inputs = np.asarray(mesh.geometry.input_global_indices, dtype=np.int64)
        used = np.unique(nodes)
        cells = inputs[nodes].reshape(number, -1)
        parts = self.comm.gather((cells, inputs[used], np.asarray(mesh.geometry.x, dtype=np.float64)[used]))
        self.keys, self.points = np.empty(0, dtype=np.int64), np.empty((0, 3))
        self.order: Integers = np.empty(0, dtype=np.int64)
        digests: tuple[str, str] | None = None
        if parts is not None:
            self.keys, first = np.unique(np.concatenate([part[1] for part in parts]), return_index=True)
            self.points = np.concatenate([part[2] for part in parts])[first]
            whole = np.concatenate([part[0] for part in parts])
            rows = np.sort(whole, axis=1)
            self.order = np.lexsort(rows.T[::-1])
            digests = _digest(rows[self.order]), _digest(whole[self.order])
        self.digest, self.orientation = self.comm.bcast(digests)


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
        mine = self._map.local_to_global(np.ascontiguousarray(cells.ravel(), dtype=np.int32)).reshape(cells.shape)
        parts = self.comm.gather(np.asarray(mine, dtype=np.int64))
        pairs = None if parts is None else self._first_pairs(parts)
        places: Integers = self.comm.scatter(None if pairs is None else [place for place, _ in pairs])
        self._numbers = [] if pairs is None else [number for _, number in pairs]  # of every rank, on rank 0
        self._turned = bool(space.element.needs_dof_transformations)
        if self._turned:
            topology.create_entity_permutations()
            touched, row = np.unique(places // max(1, cells.shape[1]), return_inverse=True)
            self._cells = cells[touched]
            self._turns = topology.get_cell_permutation_info()[touched]
            self._pairs = row * cells.shape[1] + places % max(1, cells.shape[1])
        self._dofs = cells.ravel()[places]
        self.size = int(self._map.size_global) * self.block

    def _first_pairs(self, parts: Sequence[Integers]) -> list[tuple[Integers, Integers]]:
        """Return for each rank the places (cell and local dof) where dofs are met first, and the dofs' numbers."""
        width = parts[0].shape[1]
        whole = np.concatenate(parts)[self.mesh.order]
        met = np.sort(np.unique(whole, return_index=True)[1])
        places = self.mesh.order[met // width] * width + met % width
        ends = np.cumsum([0, *(part.size for part in parts)])
        rank = np.searchsorted(ends, places, side="right") - 1
        pairs = []
        for number in range(len(parts)):
            chosen = np.flatnonzero(rank == number)
            pairs.append((places[chosen] - ends[number], chosen))
        return pairs

    def gather(self, values: Array) -> Array:
        """Return the values in this order on rank 0, nothing on the others; collective.

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
        parts = self.comm.gather(mine)
        if parts is None:
            return np.empty(0)
        whole = np.empty((self.size // self.block, self.block))
        whole[np.concatenate(self._numbers)] = np.concatenate(parts)
        return whole.ravel()

    def scatter(self, whole: Array) -> Array:
        """Return the values that the rank owns of those that rank 0 holds in this order; collective."""
        blocks = [whole.reshape(-1, self.block)[numbers] for numbers in self._numbers]
        mine: Array = self.comm.scatter(blocks if self.comm.rank == 0 else None)
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

    @property
    def owned(self) -> int:
        """How many values the rank owns."""
        return int(self._map.size_local) * self.block

    def _vector(self) -> la.Vector:
        vector = la.vector(self._map, self.block, dtype=np.float64)
        vector.array[:] = 0.0
        return vector


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


def _digest(cells: Integers) -> str:
    return hashlib.sha256(np.ascontiguousarray(cells, dtype="<i8").tobytes()).hexdigest()[:16]
