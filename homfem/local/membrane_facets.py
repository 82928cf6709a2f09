"""Multipliers on the facets of a mesh with membranes: two on each membrane facet, one for each of its sides."""

from __future__ import annotations

import dolfinx.la
import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.facets import FacetUnknowns
from homfem.local.membranes import Membranes, facet_areas
from homfem.parameters import Array


class MembraneUnknowns(FacetUnknowns):
    """Unknowns of the facets as in :class:`FacetUnknowns`, of one component; twice on a membrane.

    On the side of the group of phases with the smaller number they stand where those of any other facet do; those of
    the other side come after all of them, rank by rank.

    Parameters
    ----------
    cell
        A cell of simplices.
    membranes
        Its membranes.
    """

    def __init__(self, cell: UnitCell, membranes: Membranes) -> None:
        super().__init__(cell)
        d = cell.dimension
        self.membranes = membranes
        self._difference: PETSc.Mat | None = None
        self._owned = self.space.dofmap.index_map.size_local
        self._single = solve.function_space(cell.mesh, "CR", 1)
        larger = self._larger_group()
        self._twice = np.flatnonzero(larger[: self._owned] >= 0)
        size = (self._owned + len(self._twice)) * d
        self._low = _offset(cell.comm, size)
        self.dofs = int(cell.comm.allreduce(size, op=MPI.SUM))
        self.sizes = (size, self.dofs)
        dofmap = self.space.dofmap.list
        group = membranes.group_of_cell[: len(dofmap)]
        second = (larger[dofmap] >= 0) & (larger[dofmap] == group[:, None])
        self._second = second[: self.owned_cells]
        self._first_row = self._shared(np.arange(self._owned), self._low + d * np.arange(self._owned))
        after = self._low + d * (self._owned + np.arange(len(self._twice)))
        self._second_row = self._shared(self._twice, after)
        base = np.where(second, self._second_row[dofmap], self._first_row[dofmap])
        #: Of ghost cells too: the owner of a facet may own the mesh cell on one of its sides only.
        self._all_rows = (base[:, :, None] + np.arange(d)).reshape(len(dofmap), -1).astype(PETSc.IntType)
        self.rows = self._all_rows[: self.owned_cells]

    def _shared(self, where: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Numbers of owned facets, -1 elsewhere, for all local ones."""
        function = fem.Function(self._single)
        function.x.array[:] = -1.0
        function.x.array[where] = numbers
        function.x.scatter_forward()
        return np.rint(function.x.array).astype(np.int64)

    def _larger_group(self) -> npt.NDArray[np.int64]:
        """For each local facet unknown the larger of the two groups at a membrane, -1 on other facets."""
        function = fem.Function(self._single)
        other = np.array([link[1] for link in self.membranes.links])
        function.x.array[self._on_membranes()] = other[self.membranes.link_of_facet] + 1.0
        function.x.scatter_reverse(dolfinx.la.InsertMode.add)
        function.x.scatter_forward()
        return np.rint(function.x.array).astype(np.int64) - 1

    def _on_membranes(self) -> npt.NDArray[np.int32]:
        """The number of each membrane facet in the space of the facets."""
        topology, d = self.cell.mesh.topology, self.cell.dimension
        links = topology.connectivity(d - 1, d)
        one = links.array[links.offsets[self.membranes.facets]]
        own = topology.connectivity(d, d - 1).array.reshape(-1, d + 1)[one]
        return np.asarray(self._single.dofmap.list[one, np.argmax(own == self.membranes.facets[:, None], axis=1)])

    def matrix(self, values: Array) -> PETSc.Mat:
        r"""Assemble element matrices, shape (m, k, k), and :math:`\int_\Gamma h(\lambda_+-\lambda_-)(\mu_+-\mu_-)`."""
        rows = self._link_rows().reshape(-1, 2 * self.cell.dimension)
        links = np.kron([[1.0, -1.0], [-1.0, 1.0]], self._masses())
        matrix = PETSc.Mat().create(self.cell.comm)
        matrix.setSizes((self.sizes, self.sizes))
        matrix.setType("aij")
        matrix.setUp()
        matrix.setValuesRCV(self.rows, self.rows, values, addv=PETSc.InsertMode.ADD_VALUES)
        matrix.setValuesRCV(rows, rows, links, addv=PETSc.InsertMode.ADD_VALUES)
        matrix.assemble()
        return matrix

    def _link_rows(self) -> npt.NDArray[np.int32]:
        """Global numbers of the unknowns on both sides of each membrane facet, shape (n, 2, d)."""
        facet = self._on_membranes()
        base = np.stack([self._first_row[facet], self._second_row[facet]], axis=1)
        return np.asarray((base[:, :, None] + np.arange(self.cell.dimension)).astype(PETSc.IntType))

    def _masses(self) -> Array:
        r"""The matrix of :math:`\int_Fh\lambda\mu` of each membrane facet, shape (n, d, d)."""
        d = self.cell.dimension
        strength = self.membranes.permeability_of_facet * facet_areas(self.cell, self.membranes.facets)
        return np.asarray(strength[:, None, None] * ((np.eye(d) + 1.0) / (d * (d + 1))))

    def jumps(self, x: PETSc.Vec, rest: PETSc.Vec) -> tuple[Array, Array]:
        """Jumps across the owned membrane facets and the forces that they exert, which are taken off ``rest``."""
        if self._difference is None:
            rows = self._link_rows()
            count = rows[:, 0].size
            self._difference = PETSc.Mat().create(self.cell.comm)
            self._difference.setSizes(((count, None), self.sizes))
            self._difference.setType("aij")
            self._difference.setPreallocationNNZ((2, 2))
            number = _offset(self.cell.comm, count) + np.arange(count, dtype=PETSc.IntType)
            columns = np.stack([rows[:, 0].ravel(), rows[:, 1].ravel()], axis=1)
            self._difference.setValuesRCV(
                number[:, None], columns, np.tile([1.0, -1.0], (count, 1)).reshape(count, 1, 2)
            )
            self._difference.assemble()
        jump = self._difference.createVecLeft()
        self._difference.mult(x, jump)
        across = jump.array_r.reshape(-1, self.cell.dimension).copy()
        force = (self._masses() @ across[:, :, None])[:, :, 0]
        jump.array[:] = -force.ravel()
        self._difference.multTransposeAdd(jump, rest, rest)
        jump.destroy()
        return across, force

    def at_vertices(self) -> fem.FunctionSpace:
        """The linear functions of each group of phases, one component for each group."""
        return solve.function_space(self.cell.mesh, "Lagrange", 1, (len(self.membranes.groups),))

    def from_vertices(self, space: fem.FunctionSpace) -> PETSc.Mat:
        """Prolong functions that are linear and continuous but at membranes; components outside of groups left out."""
        d, groups = self.cell.dimension, len(self.membranes.groups)
        vertices = self.cell.periodic_mesh.input_vertex
        opposite = np.array([[j for j in range(d + 1) if j != k] for k in range(d + 1)])
        turn = np.argsort(vertices[:, opposite], axis=2)
        order = np.take_along_axis(np.broadcast_to(opposite, turn.shape), turn, axis=2).reshape(len(vertices), -1)
        vertex = np.take_along_axis(space.dofmap.list, order, axis=1)
        place = vertex * groups + self.membranes.group_of_cell[:, None]
        number = fem.Function(space)
        number.x.array[place] = 1.0
        number.x.scatter_reverse(dolfinx.la.InsertMode.add)
        used = np.flatnonzero(number.x.array[: space.dofmap.index_map.size_local * groups] > 0.0)
        number.x.array[used] = _offset(self.cell.comm, len(used)) + np.arange(len(used))
        number.x.scatter_forward()
        columns = np.rint(number.x.array[place.ravel()]).astype(PETSc.IntType)
        rows = self._all_rows.ravel()
        mine = (rows >= self._low) & (rows < self._low + self.sizes[0])
        rows, first = np.unique(rows[mine], return_index=True)
        matrix = PETSc.Mat().create(self.cell.comm)
        matrix.setSizes((self.sizes, (len(used), None)))
        matrix.setType("aij")
        matrix.setPreallocationNNZ((1, 1))
        matrix.setValuesRCV(rows[:, None], columns[mine][first][:, None], np.ones((len(rows), 1, 1)))
        matrix.assemble()
        return matrix

    def constants(self) -> list[PETSc.Vec]:
        """On each connected part the function that is one constant there, membranes crossed; orthonormal."""
        d = self.cell.dimension
        kernel = []
        for vector in super().constants():
            values = vector.array_r.reshape(-1, d)
            one = PETSc.Vec().createMPI(self.sizes, comm=self.cell.comm)
            one.array[:] = np.concatenate([values, values[self._twice]]).ravel()
            vector.destroy()
            one.normalize()
            kernel.append(one)
        return kernel

    def local(self, vector: PETSc.Vec) -> Array:
        """Unknowns of each owned cell, shape (m, k)."""
        d = self.cell.dimension
        values = vector.array_r.reshape(-1, d)
        sides = []
        for where, part in ((np.arange(self._owned), values[: self._owned]), (self._twice, values[self._owned :])):
            function = fem.Function(self.space)
            function.x.array.reshape(-1, d)[where] = part
            function.x.scatter_forward()
            sides.append(function.x.array.reshape(-1, d)[self.dofmap])
        return np.where(self._second[:, :, None], sides[1], sides[0]).reshape(len(self.dofmap), -1)


def _offset(comm: MPI.Comm, size: int) -> int:
    """The sum of the sizes on the ranks before this one."""
    return int(sum(comm.allgather(size)[: comm.rank]))
