"""The discrete system of a cell problem: spaces, and the blocks of its matrices and vectors."""

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
from homfem.local.fixed import Walls
from homfem.local.problem import CellProblem
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
            return self._given("component", space)
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
            return [[self._given(name, self.spaces[0].space)]]

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

    def _given(self, name: str, space: fem.FunctionSpace) -> PETSc.Mat:
        """A matrix that there is already, for the unknowns of a space; collective."""
        matrix, index_map = self.problem.assembled[name], space.dofmap.index_map
        bs = space.dofmap.index_map_bs
        wanted = ((bs * index_map.size_local, bs * index_map.size_global),) * 2
        if not self.cell.comm.allreduce(matrix.getSizes() == wanted, op=MPI.LAND):
            rows, columns = (whole for _, whole in matrix.getSizes())
            allowed = f"a matrix of the {wanted[0][1]} unknowns of its field, dealt to the ranks as these are"
            raise InputError(f"assembled[{name!r}]", f"{rows} x {columns}", allowed)
        return matrix

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
            result.append(zero(space.space) if entry is None else space.vector(entry))
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


def zero(space: fem.FunctionSpace) -> PETSc.Vec:
    """Return a vector of zeros, of the unknowns of a space."""
    index_map, bs = space.dofmap.index_map, space.dofmap.index_map_bs
    return PETSc.Vec().createMPI((index_map.size_local * bs, index_map.size_global * bs), comm=space.mesh.comm)
