"""The discrete system of a cell problem: its blocks, without the unknowns that are fixed, as one matrix."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import dolfinx.fem.petsc
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import periodic, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.fixed import Planes, Walls
from homfem.local.problem import CellProblem, NearKernel
from homfem.parameters import InputError

Indices = npt.NDArray[np.int32]


class System:
    """Matrices and right-hand sides of all fields, assembled once.

    Parameters
    ----------
    cell, problem, backend, boundary
        As in :func:`homfem.local.engine.solve_correctors`.
    """

    def __init__(self, cell: UnitCell, problem: CellProblem, backend: str, boundary: str) -> None:
        self.cell, self.problem, self.backend = cell, problem, backend
        if cell.mirrors and (backend != "identified" or boundary != "periodic"):
            allowed = "whole for other backends than 'identified' and boundaries than 'periodic'"
            raise InputError("cell", cell.name, allowed, "Do not take its symmetric part.")
        if backend != "identified" and len(problem.fields) > 1:
            raise InputError("backend", backend, "'identified' for a problem of several fields")
        self.spaces: list[Any] = [self._space(field.element, boundary) for field in problem.fields]
        if self.spaces[0].space.mesh is not problem.domain:
            remedy = "Make the problem with the same backend and boundary."
            raise InputError(
                "domain", problem.domain, f"the mesh of the {backend} backend, {boundary} boundary", remedy
            )
        self.walls = Walls(cell, problem.domain, with_faces=boundary != "periodic" or not cell.matching)
        functions = [space.space for space in self.spaces]
        if len(functions) == 1:
            self.trials: Any = (ufl.TrialFunction(functions[0]),)
            self.tests: Any = (ufl.TestFunction(functions[0]),)
        else:
            product = ufl.MixedFunctionSpace(*functions)
            self.trials, self.tests = ufl.TrialFunctions(product), ufl.TestFunctions(product)

    def _space(self, element: Any, boundary: str) -> Any:
        if boundary == "periodic":
            return periodic.make_periodic_space(self.cell.periodic_mesh, element, self.cell.lattice, self.backend)
        return periodic.IdentifiedSpace(self.cell.periodic_mesh.plain, element)

    @functools.cached_property
    def scalar(self) -> fem.FunctionSpace | None:
        """The space of one component of the first field, numbered as its nodes are; None where the problem has none."""
        if self.problem.component is None or self.backend != "identified":
            return None
        whole = self.spaces[0].space
        one = fem.functionspace(self.problem.domain, whole.ufl_element().sub_elements[0])
        alike = np.array_equal(one.dofmap.list, whole.dofmap.list)
        return one if self.cell.comm.allreduce(alike, op=MPI.LAND) else None

    def component(self) -> PETSc.Mat | None:
        """Assemble the matrix of one component of the first field; None where the problem has none; collective."""
        form, space = self.problem.component, self.scalar
        if form is None or space is None:
            return None
        if "component" in self.problem.assembled:
            return self.problem.assembled["component"]
        u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
        (compiled,) = self.problem.compile_blocks("component", lambda: [form(u, v)], spaces=[space])
        return solve.assemble_matrix(compiled)

    def matrices(self, form: Any, name: str, *, first: bool = True) -> list[list[PETSc.Mat | None]]:
        """Assemble ``form(u, v)``, that of the problem under a name: a matrix for each pair of fields it couples.

        Without ``first`` that of the first field with itself is left out, and None; and of a form that says what it is
        for one component, those below the diagonal are transposes.
        """

        def build() -> ufl.Form:
            return form(self.problem.pick(self.trials), self.problem.pick(self.tests))

        count = len(self.spaces)
        if count == 1 and name in self.problem.assembled:
            return [[self.problem.assembled[name]]]

        def blocks() -> list[ufl.Form | None]:
            if count == 1:
                return [build()]
            rows = [_filled(row, count) for row in ufl.extract_blocks(build())]
            entries = [entry for row in _filled(rows, count, [None] * count) for entry in row]
            if first:
                return entries
            return [entry if k > 0 and k // count <= k % count else None for k, entry in enumerate(entries)]

        spaces = [space.space for space in self.spaces]
        compiled = self.problem.compile_blocks((name, first), blocks, spaces=spaces)
        if count == 1:
            return [[self.spaces[0].matrix(compiled[0])]]
        made = [None if one is None else _without_zeros(solve.assemble_matrix(one)) for one in compiled]
        rows = [made[k : k + count] for k in range(0, count**2, count)]
        if first:
            return rows
        for i, row in enumerate(rows):
            above = [other[i] for other in rows[:i]]
            row[:i] = [None if one is None else one.transpose(PETSc.Mat()) for one in above]
        return rows

    def vectors(
        self,
        build: Callable[[], ufl.Form],
        name: str,
        constants: Sequence[fem.Constant] = (),
        tags: Sequence[Any] = (),
    ) -> list[Any]:
        """Compile a linear form in the test functions: one for each field, None where it is absent.

        ``name`` is that of the form within the problem, ``constants`` and ``tags`` are in it besides the problem's own.
        """
        spaces = [space.space for space in self.spaces]

        nothing = fem.Constant(self.problem.domain, 0.0)

        def blocks() -> list[ufl.Form | None]:
            form = build()
            if len(spaces) == 1:
                return [form]
            # UFL counts the fields that occur, not those up to the last of them: one in between has to occur.
            found = {argument.part() for argument in form.arguments()}
            for k in set(range(max(found))) - found:
                form += nothing * summed(self.tests[k]) * ufl.dx
            return _filled(ufl.extract_blocks(form), len(spaces))

        return self.problem.compile_blocks(name, blocks, spaces=spaces, constants=[*constants, nothing], tags=tags)

    def assemble(self, compiled: Sequence[Any]) -> list[PETSc.Vec]:
        """Assemble what :meth:`vectors` compiled."""
        result = []
        for space, entry in zip(self.spaces, compiled, strict=True):
            result.append(_zero(space.space) if entry is None else space.vector(entry))
        return result

    def prolongations(self, *, component: bool = False) -> list[PETSc.Mat | None]:
        """From the linear Lagrange elements of each field to its own; None throughout if all are linear already.

        With ``component`` that of the first field is of one of its components.
        """
        spaces = [space.space for space in self.spaces]
        if component and self.scalar is not None:
            spaces[0] = self.scalar
        elements = [space.ufl_element() for space in spaces]
        linear = all(element.degree == 1 and element.family_name != "CR" for element in elements)
        if self.backend != "identified" or linear:
            return [None] * len(elements)
        result: list[PETSc.Mat | None] = []
        self.coarse: list[fem.FunctionSpace | None] = []
        for space, element, field in zip(spaces, elements, self.problem.fields, strict=True):
            if field.preconditioner != "multigrid" and self.problem.kind == "saddle":
                result.append(None)
                self.coarse.append(None)
                continue
            shape = element.reference_value_shape
            coarse = solve.function_space(self.problem.domain, "Lagrange", 1, shape)
            matrix = dolfinx.fem.petsc.interpolation_matrix(coarse, space)
            matrix.assemble()
            result.append(matrix if len(elements) == 1 else _without_zeros(matrix))
            self.coarse.append(coarse)
        return result


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
            full = _zero(space.space)
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


def summed(v: Any) -> Any:
    """Return the sum of the components of a test function."""
    return v if not v.ufl_shape else sum(v[k] for k in range(v.ufl_shape[0]))


def _filled(entries: Sequence[Any], count: int, empty: Any = None) -> list[Any]:
    """What UFL splits off ends with the last field that occurs: the further ones are empty."""
    return [*entries, *[empty] * (count - len(entries))]


def _without_zeros(matrix: PETSc.Mat) -> PETSc.Mat:
    """A matrix without entries that are stored and zero, if there are many: components that do not meet, say."""
    rows, columns, values = matrix.getValuesCSR()
    nonzero = values != 0.0
    count = matrix.comm.tompi4py().allreduce(np.array([np.count_nonzero(nonzero), len(nonzero)], dtype=np.int64))
    if count[0] > 0.8 * count[1]:
        return matrix
    kept = np.concatenate([[0], np.cumsum(nonzero)])[rows].astype(PETSc.IntType)
    sizes = matrix.getSizes()
    thinned = PETSc.Mat().createAIJ(sizes, csr=(kept, columns[nonzero], values[nonzero]), comm=matrix.comm)
    thinned.assemble()
    matrix.destroy()
    return thinned


def _local_size(space: fem.FunctionSpace) -> int:
    return int(space.dofmap.index_map.size_local * space.dofmap.index_map_bs)


def _zero(space: fem.FunctionSpace) -> PETSc.Vec:
    index_map, bs = space.dofmap.index_map, space.dofmap.index_map_bs
    return PETSc.Vec().createMPI((index_map.size_local * bs, index_map.size_global * bs), comm=space.mesh.comm)


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
