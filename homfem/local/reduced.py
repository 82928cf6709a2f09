"""The system of a cell problem without its fixed unknowns: matrices and vectors of all fields as one."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from petsc4py import PETSc

from homfem.local.fixed import Planes
from homfem.local.problem import NearKernel
from homfem.local.system import Indices, System, zero


class Reduced:
    """The system without its fixed unknowns; vectors of all fields are concatenated rank by rank.

    Parameters
    ----------
    system
        What is reduced.
    planes
        For each field, for each of its components, the axes on whose faces it vanishes; or nothing.
    """

    def __init__(self, system: System, planes: Sequence[Planes]) -> None:
        self.system, self.planes = system, planes
        fields = system.problem.fields
        self.kept = [
            system.walls.kept(space.space, field, axes)
            for space, field, axes in zip(system.spaces, fields, planes, strict=True)
        ]
        sizes = [
            _local_size(space.space) if kept is None else len(kept)
            for space, kept in zip(system.spaces, self.kept, strict=True)
        ]
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])

    @property
    def dofs(self) -> int:
        """Number of independent unknowns of all fields, over all ranks."""
        comm = self.system.cell.comm
        kept = zip(self.system.spaces, self.kept, strict=True)
        return sum(space.dofs if own is None else comm.allreduce(len(own)) for space, own in kept)

    def matrix(self, blocks: Sequence[Sequence[PETSc.Mat | None]], first: PETSc.Mat | None = None) -> PETSc.Mat:
        """Return one matrix, the blocks' own if there is nothing to do; several fields make a nest.

        ``first`` is the block of the first field with itself, without its fixed unknowns, where that is none of these.
        """
        reduced = [
            [None if block is None else _sub(block, self.kept[i], self.kept[j], self._spaces(i), self._spaces(j))
             for j, block in enumerate(row)]
            for i, row in enumerate(blocks)
        ]  # fmt: skip
        if len(reduced) == 1:
            return reduced[0][0]
        if first is not None:
            reduced[0][0] = first
        for i, row in enumerate(reduced):
            if row[i] is None:
                row[i] = self._empty(i)
        nest = PETSc.Mat().createNest(reduced, comm=self.system.cell.comm)
        nest.assemble()
        return nest

    @functools.cached_property
    def alike(self) -> bool:
        """Whether what is fixed is the same of all components of the first field."""
        return not any(self.planes[0])

    def nodes(self, space: fem.FunctionSpace) -> Indices | None:
        """Return the nodes of the first field that stay, of a scalar space; None for all of them; collective."""
        return self.system.walls.kept(space, self.system.problem.fields[0])

    def component(self, matrix: PETSc.Mat) -> PETSc.Mat:
        """Return the matrix of one component of the first field without fixed nodes; collective."""
        space = self.system.scalar
        kept = self.nodes(space)
        return _sub(matrix, kept, kept, space, space)

    def of_component(self, prolongation: PETSc.Mat) -> PETSc.Mat:
        """Return the prolongation of one component of the first field without fixed nodes; collective."""
        space, coarse = self.system.scalar, self.system.coarse[0]
        return _sub(prolongation, self.nodes(space), self.nodes(coarse), space, coarse)

    def diagonal(self, block: PETSc.Mat, k: int) -> PETSc.Mat:
        """Return a diagonal block of field ``k`` without its fixed rows and columns."""
        return _sub(block, self.kept[k], self.kept[k], self._spaces(k), self._spaces(k))

    def vector(self, parts: Sequence[PETSc.Vec]) -> PETSc.Vec:
        """Return the unknowns of all fields as one new vector."""
        result = self.new_vector()
        array = result.array
        for k, (part, kept) in enumerate(zip(parts, self.kept, strict=True)):
            values = part.array_r[: _local_size(self._spaces(k))]
            array[self.offsets[k] : self.offsets[k + 1]] = values if kept is None else values[kept]
        del array
        return result

    def new_vector(self) -> PETSc.Vec:
        """Return a zero vector."""
        return PETSc.Vec().createMPI((int(self.offsets[-1]), None), comm=self.system.cell.comm)

    def functions(self, vector: PETSc.Vec, name: str) -> list[fem.Function]:
        """Return the functions of the fields; fixed unknowns are zero."""
        result = []
        for k, (space, kept) in enumerate(zip(self.system.spaces, self.kept, strict=True)):
            full = zero(space.space)
            values = vector.array_r[self.offsets[k] : self.offsets[k + 1]]
            array = full.array
            array[slice(None) if kept is None else kept] = values
            del array
            result.append(space.function(full, name=name))
            full.destroy()
        return result

    def prolongations(self, full: Sequence[PETSc.Mat | None], *, component: bool = False) -> list[PETSc.Mat | None]:
        """Reduce the prolongations of all fields on both sides; ``component`` as of :meth:`System.prolongations`."""
        result: list[PETSc.Mat | None] = []
        for k, matrix in enumerate(full):
            if matrix is None:
                result.append(None)
                continue
            if k == 0 and component:
                result.append(self.of_component(matrix))
                continue
            coarse = self.system.coarse[k]
            columns = self.system.walls.kept(coarse, self.system.problem.fields[k], self.planes[k])
            result.append(_sub(matrix, self.kept[k], columns, self._spaces(k), coarse))
        return result

    def near_kernels(self, prolongations: Sequence[PETSc.Mat | None]) -> list[list[PETSc.Vec]]:
        """For each field the vectors that its coarse grids must represent, on its coarsest space; orthonormal."""
        result = []
        for k, field in enumerate(self.system.problem.fields):
            space, kept = self._spaces(k), self.kept[k]
            if prolongations[k] is not None:
                space = self.system.coarse[k]
                kept = self.system.walls.kept(space, field, self.planes[k])
            vectors = []
            for values in at_points(space, field.near_kernel):
                own = values if kept is None else values[kept]
                vector = PETSc.Vec().createMPI((len(own), None), comm=self.system.cell.comm)
                vector.array[:] = own
                vectors.append(vector)
            result.append(orthonormal(vectors))
        return result

    def candidates(self, part_of_cell: npt.NDArray[np.int32], rotations: bool) -> list[PETSc.Vec]:
        """Orthonormal fields that may be in the kernel: constants on each part, and rigid-body motions on request."""
        found, turned = [], []
        for k, (space, field) in enumerate(zip(self.system.spaces, self.system.problem.fields, strict=True)):
            for vector in space.constants(part_of_cell):
                constant = self._alone(k, vector.array_r)
                vector.destroy()
                if constant.norm() > 0.0:
                    constant.normalize()  # those of different parts share no unknown: they are orthogonal
                    found.append(constant)
                else:
                    constant.destroy()
            if rotations:
                turned += [self._alone(k, values) for values in at_points(space.space, field.near_kernel)]
        return orthonormal(turned, found)

    def _alone(self, k: int, values: npt.NDArray[np.float64]) -> PETSc.Vec:
        vector, kept = self.new_vector(), self.kept[k]
        vector.array[self.offsets[k] : self.offsets[k + 1]] = values if kept is None else values[kept]
        return vector

    def _empty(self, k: int) -> PETSc.Mat:
        size, comm = int(self.offsets[k + 1] - self.offsets[k]), self.system.cell.comm
        first = sum(comm.allgather(size)[: comm.rank])
        # A diagonal of zeros is there for what holds an unknown.
        csr = (np.arange(size + 1, dtype=PETSc.IntType), first + np.arange(size, dtype=PETSc.IntType), np.zeros(size))
        matrix = PETSc.Mat().createAIJ(((size, None), (size, None)), csr=csr, comm=comm)
        matrix.assemble()
        return matrix

    def _spaces(self, k: int) -> fem.FunctionSpace:
        return self.system.spaces[k].space


def _local_size(space: fem.FunctionSpace) -> int:
    return int(space.dofmap.index_map.size_local * space.dofmap.index_map_bs)


def _sub(
    matrix: PETSc.Mat,
    rows: Indices | None,
    columns: Indices | None,
    of_row: fem.FunctionSpace,
    of_column: fem.FunctionSpace,
) -> PETSc.Mat:
    """The matrix without fixed rows and columns; the matrix itself if all stay."""
    if rows is None and columns is None:
        return matrix
    sets = []
    for kept, space in ((rows, of_row), (columns, of_column)):
        first = space.dofmap.index_map.local_range[0] * space.dofmap.index_map_bs
        local = np.arange(_local_size(space), dtype=PETSc.IntType) if kept is None else kept.astype(PETSc.IntType)
        sets.append(PETSc.IS().createGeneral(local + first, comm=space.mesh.comm))
    return matrix.createSubMatrix(*sets)


def at_points(space: fem.FunctionSpace, near_kernel: NearKernel) -> list[npt.NDArray[np.float64]]:
    """The near-kernel of a field at its owned unknowns, unrolled."""
    if near_kernel is None:
        return []
    index_map, block = space.dofmap.index_map, space.dofmap.index_map_bs
    points = space.tabulate_dof_coordinates()[: index_map.size_local].T
    return [np.asarray(values)[:block].T.ravel() for values in near_kernel(points)]


def orthonormal(vectors: list[PETSc.Vec], before: Sequence[PETSc.Vec] = ()) -> list[PETSc.Vec]:
    """Gram and Schmidt, after orthonormal vectors; what depends on the earlier ones is dropped."""
    result = list(before)
    for vector in vectors:
        size = vector.norm()
        for _ in range(2):
            for earlier in result:
                vector.axpy(-vector.dot(earlier), earlier)
        if vector.norm() > 1e-8 * size:
            vector.normalize()
            result.append(vector)
        else:
            vector.destroy()
    return result
