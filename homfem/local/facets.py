"""Multipliers that are linear on each facet of a mesh: their numbers, matrices, vectors, and the way to vertices."""

from __future__ import annotations

import functools
from typing import Any

import dolfinx.fem.petsc
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import periodic, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.fixed import Planes, mirror_faces
from homfem.local.problem import NearKernel
from homfem.local.reduced import at_points, orthonormal
from homfem.parameters import Array

Indices = npt.NDArray[np.int64]
Indices32 = npt.NDArray[np.int32]


class FacetUnknowns:
    """Unknowns of the facets: on each one per vertex, in the order of the vertices' global numbers, and component.

    Unknown (facet, vertex, component) of a cell stands at ``(facet * d + vertex) * components + component``.

    Parameters
    ----------
    cell
        A cell of simplices.
    components
        1 for a scalar multiplier, d for a vector.
    """

    def __init__(self, cell: UnitCell, components: int = 1) -> None:
        d = cell.dimension
        block = d * components
        self.cell, self.components, self._block = cell, components, block
        self.space = solve.function_space(cell.mesh, "CR", 1, (block,))
        self.owned_cells = cell.mesh.topology.index_map(d).size_local
        vertices = cell.periodic_mesh.input_vertex[: self.owned_cells]
        opposite = np.array([[j for j in range(d + 1) if j != k] for k in range(d + 1)])
        of_facet = vertices[:, opposite]
        #: For each cell and facet its local vertices in the order that both neighbours agree on, shape (m, d + 1, d).
        self.order = np.take_along_axis(np.broadcast_to(opposite, of_facet.shape), np.argsort(of_facet, axis=2), axis=2)
        self.dofmap = self.space.dofmap.list[: self.owned_cells]
        index_map = self.space.dofmap.index_map
        self.dofs = int(index_map.size_global * block)
        self.sizes = (index_map.size_local * block, self.dofs)
        on_facet = index_map.local_to_global(self.dofmap.ravel().astype(np.int32)).reshape(self.dofmap.shape)
        #: Global number of each unknown of each owned cell, shape (m, (d + 1) d components).
        self.rows = (on_facet[:, :, None] * block + np.arange(block)).reshape(len(self.dofmap), -1)
        self.rows = self.rows.astype(PETSc.IntType)

    def empty_matrix(self) -> PETSc.Mat:
        """A matrix that takes element matrices of all cells."""
        # The pattern of a vector-valued Crouzeix-Raviart mass matrix: all unknowns of a cell are coupled.
        compiled = solve.compile_formula(
            "mass",
            lambda: ufl.inner(ufl.TrialFunction(self.space), ufl.TestFunction(self.space)) * ufl.dx,
            solve.Terminals(mesh=self.cell.mesh, spaces=(self.space,)),
        )
        return dolfinx.fem.petsc.create_matrix(compiled)

    def matrix(self, values: Array) -> PETSc.Mat:
        """Assemble element matrices, shape (m, k, k)."""
        matrix = self.empty_matrix()
        matrix.setValuesRCV(self.rows, self.rows, values, addv=PETSc.InsertMode.ADD_VALUES)
        matrix.assemble()
        return matrix

    def vector(self, values: Array, rows: npt.NDArray[Any] | None = None) -> PETSc.Vec:
        """Assemble element vectors, shape (m, k); into other rows than :attr:`rows` on request."""
        vector = PETSc.Vec().createMPI(self.sizes, comm=self.cell.comm)
        vector.setOption(PETSc.Vec.Option.IGNORE_OFF_PROC_ENTRIES, False)
        vector.setValues(
            (self.rows if rows is None else rows).ravel(), values.ravel(), addv=PETSc.InsertMode.ADD_VALUES
        )
        vector.assemble()
        return vector

    def jumps(self, x: PETSc.Vec, rest: PETSc.Vec) -> tuple[Array, Array]:
        """Jumps of the unknowns and the forces that they exert, which are taken off ``rest``: none here."""
        return np.zeros(0), np.zeros(0)

    def at_vertices(self) -> fem.FunctionSpace:
        """The continuous linear functions of as many components."""
        shape = (self.components,) if self.components > 1 else ()
        return solve.function_space(self.cell.mesh, "Lagrange", 1, shape)

    def from_vertices(self, space: fem.FunctionSpace) -> PETSc.Mat:
        """Prolong the functions of :meth:`at_vertices`: each unknown takes the value at its vertex."""
        index_map, c = space.dofmap.index_map, self.components
        local = space.dofmap.list[: self.owned_cells]
        columns = np.take_along_axis(local, self.order.reshape(len(local), -1), axis=1)
        columns = index_map.local_to_global(columns.ravel().astype(np.int32)).astype(PETSc.IntType)
        columns = (columns[:, None] * c + np.arange(c, dtype=PETSc.IntType)).ravel()
        rows = self.rows.ravel()
        low, high = (part * self._block for part in self.space.dofmap.index_map.local_range)
        mine = (rows >= low) & (rows < high)
        rows, first = np.unique(rows[mine], return_index=True)
        matrix = PETSc.Mat().create(self.cell.comm)
        matrix.setSizes((self.sizes, (index_map.size_local * c, index_map.size_global * c)))
        matrix.setType("aij")
        matrix.setBlockSizes(c, c)
        matrix.setPreallocationNNZ((1, 1))
        matrix.setValuesRCV(rows[:, None], columns[mine][first][:, None], np.ones((len(rows), 1, 1)))
        matrix.assemble()
        return matrix

    def constants(self) -> list[PETSc.Vec]:
        """On each connected part, for each component, the function that is one constant there; orthonormal."""
        vectors = periodic.IdentifiedSpace(self.cell.mesh, self.space.ufl_element()).constants(self.cell.part_of_cell)
        kernel = []
        for first in range(0, len(vectors), self._block):
            for component in range(self.components):
                members = vectors[first + component : first + self._block : self.components]
                one = members[0]
                for other in members[1:]:
                    one.axpy(1.0, other)
                    other.destroy()
                one.normalize()
                kernel.append(one)
        return kernel

    def local(self, vector: PETSc.Vec) -> Array:
        """Unknowns of each owned cell, shape (m, k)."""
        function = fem.Function(self.space)
        function.x.array[: self.sizes[0]] = vector.array_r
        function.x.scatter_forward()
        return np.asarray(function.x.array.reshape(-1, self._block)[self.dofmap].reshape(len(self.dofmap), -1))


class VertexFunctions:
    """The continuous linear functions of as many components as a multiplier: made when multigrid needs them."""

    def __init__(self, number: FacetUnknowns) -> None:
        self.number = number
        #: PETSc objects that :meth:`destroy` frees.
        self.made: list[Any] = []

    @functools.cached_property
    def space(self) -> fem.FunctionSpace:
        """Their space; collective."""
        return self.number.at_vertices()

    @functools.cached_property
    def prolongation(self) -> PETSc.Mat:
        """From them to the multipliers; collective."""
        self.made.append(self.number.from_vertices(self.space))
        return self.made[-1]

    def destroy(self) -> None:
        """Free the PETSc objects that were made; collective."""
        for thing in self.made:
            thing.destroy()


class HeldUnknowns:
    """The unknowns of a multiplier without those that are zero on mirror planes.

    Parameters
    ----------
    number
        All unknowns.
    vertices
        Its coarser functions.
    planes
        For each component the axes on whose mirror planes it vanishes.
    """

    def __init__(self, number: FacetUnknowns, vertices: VertexFunctions, planes: Planes) -> None:
        self.number, self._free, self._vertices, self._planes = number, not any(planes), vertices, planes
        if not self._free:
            #: Owned unknowns that stay, ascending.
            self.kept = self._unheld(number.space)

    @property
    def dofs(self) -> int:
        """Their number, over all ranks; collective."""
        return self.number.dofs if self._free else int(self.number.cell.comm.allreduce(len(self.kept)))

    def matrix(self, full: PETSc.Mat) -> PETSc.Mat:
        """The matrix without what is held; itself where nothing is."""
        if self._free:
            return full
        own = self._numbers(self.number.space, self.kept)
        return full.createSubMatrix(own, own)

    def coarse(self, near_kernel: NearKernel = None) -> solve.Coarse:
        """What multigrid needs; ``near_kernel`` is that of :class:`homfem.local.problem.Field`. Collective.

        :meth:`VertexFunctions.destroy` frees it.
        """
        prolongation, space = self._vertices.prolongation, self._vertices.space
        kept: Any = slice(None)
        if not self._free:
            kept = self._unheld(space)
            own = self._numbers(self.number.space, self.kept)
            prolongation = prolongation.createSubMatrix(own, self._numbers(space, kept))
            self._vertices.made.append(prolongation)
        vectors = []
        for values in at_points(space, near_kernel):
            vectors.append(PETSc.Vec().createMPI((len(values[kept]), None), comm=self.number.cell.comm))
            vectors[-1].array[:] = values[kept]
        vectors = orthonormal(vectors)
        self._vertices.made += vectors
        return solve.Coarse(prolongations=(prolongation,), near_kernel=tuple(vectors))

    def _numbers(self, space: fem.FunctionSpace, kept: Indices32) -> PETSc.IS:
        first = space.dofmap.index_map.local_range[0] * space.dofmap.index_map_bs
        return PETSc.IS().createGeneral((kept + first).astype(PETSc.IntType), comm=self.number.cell.comm)

    def _unheld(self, space: fem.FunctionSpace) -> Indices32:
        """Owned unknowns of a space that do not lie on the planes of their component, ascending."""
        faces = mirror_faces(self.number.cell, self.number.cell.mesh)
        free = np.ones((space.dofmap.index_map.size_local, space.dofmap.bs), dtype=bool)
        for component, axes in enumerate(self._planes):
            for axis in axes:
                found = fem.locate_dofs_topological(space, space.mesh.topology.dim - 1, faces[axis])
                free[found[found < len(free)], component :: len(self._planes)] = False
        return np.flatnonzero(free.ravel()).astype(np.int32)

    def without(self, vector: PETSc.Vec) -> PETSc.Vec:
        """A vector without what is held; the given one, or a new one in its place."""
        if self._free:
            return vector
        result = PETSc.Vec().createMPI((len(self.kept), None), comm=self.number.cell.comm)
        result.array[:] = vector.array_r[self.kept]
        vector.destroy()
        return result

    def constants(self) -> list[PETSc.Vec]:
        """The kernel: the constants of the connected parts that do not touch the planes; the others are held there."""
        kernel = []
        for one in self.number.constants():
            own = self.without(one)
            if self._free or own.norm() > 1.0 - 0.25 / self.number.dofs:
                kernel.append(own)
            else:
                own.destroy()
        return kernel

    def every(self, vector: PETSc.Vec) -> Array:
        """All owned unknowns, zero where they are held."""
        if self._free:
            return np.asarray(vector.array_r)
        values = np.zeros(self.number.sizes[0])
        values[self.kept] = vector.array_r
        return values

    def node_norms(self, vector: PETSc.Vec) -> Array:
        """The Euclidean norm of the components at each owned node of a facet."""
        return np.asarray(np.linalg.norm(self.every(vector).reshape(-1, self.number.components), axis=1))

    def local(self, vector: PETSc.Vec) -> Array:
        """Unknowns of each owned cell, shape (m, k)."""
        if self._free:
            return self.number.local(vector)
        full = PETSc.Vec().createMPI(self.number.sizes, comm=self.number.cell.comm)
        full.array[:] = self.every(vector)
        values = self.number.local(full)
        full.destroy()
        return values
