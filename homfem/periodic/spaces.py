"""Periodic function spaces on a torus, or by multipoint constraints on a plain mesh."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.csgraph
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from homfem import _dolfinx, solve
from homfem.parameters import Array, Lattice, PeriodicityError


class PeriodicSpace(Protocol):
    """What the engine needs of a periodic function space, whichever backend made it."""

    space: fem.FunctionSpace

    @property
    def dofs(self) -> int:
        """Number of independent unknowns, over all ranks."""

    def matrix(self, form: Any) -> PETSc.Mat:
        """Assemble a bilinear form on the constrained space."""

    def vector(self, form: Any) -> PETSc.Vec:
        """Assemble a linear form on the constrained space."""

    def function(self, vector: PETSc.Vec, name: str = "corrector") -> fem.Function:
        """Return the periodic function with the given unknowns."""

    def constants(self, part_of_cell: npt.NDArray[np.int32] | None = None) -> list[PETSc.Vec]:
        """Return an orthonormal basis of the constants, one vector per component (and connected part)."""


class IdentifiedSpace:
    """A periodic space on a torus mesh: nothing to constrain."""

    def __init__(self, mesh: dmesh.Mesh, element: Any) -> None:
        self.space = fem.functionspace(mesh, element)

    @property
    def dofs(self) -> int:
        """Number of unknowns, over all ranks."""
        return int(self.space.dofmap.index_map.size_global * self.space.dofmap.index_map_bs)

    def matrix(self, form: Any) -> PETSc.Mat:
        """Assemble a bilinear form."""
        return solve.assemble_matrix(form)

    def vector(self, form: Any) -> PETSc.Vec:
        """Assemble a linear form."""
        return solve.assemble_vector(form)

    def function(self, vector: PETSc.Vec, name: str = "corrector") -> fem.Function:
        """Return the function with the given unknowns, ghosts up to date."""
        result = fem.Function(self.space, name=name)
        fill(result, vector)
        return result

    def constants(self, part_of_cell: npt.NDArray[np.int32] | None = None) -> list[PETSc.Vec]:
        """Return an orthonormal basis of the constants.

        Parameters
        ----------
        part_of_cell : array of int, shape (local cells,)
            Connected part of each local cell; parts that share an unknown, such as two that touch in a node, have one
            constant together.
        """
        return constants_of(self.space, np.zeros(0, dtype=np.int32), part_of_cell)


class MultipointSpace:
    """A periodic space on a plain mesh, constrained by ``dolfinx_mpc``.

    Only for single spaces (scalar or blocked) and homogeneous relations. The mesh should have a size of order one: the
    search tolerance of the library is absolute. Faces that do not match node by node must still do so within one mesh
    cell of the edges of the period cell, where an eliminated unknown would depend on another; that is refused.
    """

    def __init__(self, mesh: dmesh.Mesh, element: Any, lattice: Lattice, comm: MPI.Comm, tolerance: float = 1e-8):
        import dolfinx_mpc

        unconstrained = fem.functionspace(mesh, element)
        dimension = lattice.dimension
        fractional = lattice.fractional(mesh.geometry.x[:, :dimension])
        low, high = np.empty(dimension), np.empty(dimension)
        comm.Allreduce(fractional.min(axis=0, initial=np.inf), low, op=MPI.MIN)
        comm.Allreduce(fractional.max(axis=0, initial=-np.inf), high, op=MPI.MAX)
        wraps = np.flatnonzero(high - low > 1.0 - tolerance)

        def beyond(x: Array) -> npt.NDArray[np.bool_]:
            return np.abs(lattice.fractional(x[:dimension].T) - low - 1.0)[:, wraps] < tolerance

        def image(x: Array) -> Array:
            moved = x.copy()
            moved[:dimension] -= (beyond(x).astype(np.float64) @ lattice.vectors[wraps]).T
            return moved

        self.constraint = dolfinx_mpc.MultiPointConstraint(unconstrained)
        _dolfinx.periodic_constraint(self.constraint, unconstrained, lambda x: beyond(x).any(axis=1), image)
        self.constraint.finalize()
        self._refuse_chains(comm)
        self.space = self.constraint.function_space
        #: Eliminated unknowns: local numbers of those that this rank owns, and how many there are on all ranks.
        self.local_slaves = np.asarray(self.constraint.slaves[: self.constraint.num_local_slaves], dtype=np.int32)
        self.slaves = int(comm.allreduce(len(self.local_slaves), op=MPI.SUM))

    def _refuse_chains(self, comm: MPI.Comm) -> None:
        """Raise if an eliminated unknown depends on another one: the library does not follow such chains."""
        eliminated = fem.Function(self.constraint.function_space)
        eliminated.x.array[np.asarray(self.constraint.slaves[: self.constraint.num_local_slaves])] = 1.0
        eliminated.x.scatter_forward()
        masters, weights = self.constraint.masters.array, self.constraint.coefficients()[0]
        chained = bool(np.any(eliminated.x.array[masters] * np.abs(weights[: len(masters)]) > 1e-9))
        if comm.allreduce(chained, op=MPI.LOR):
            raise PeriodicityError(
                "mesh",
                "a node of a face whose image lies in a mesh cell that touches another high face",
                "matching within one mesh cell of the edges of the period cell",
                "Mesh the faces alike along their edges; away from them they need not match.",
            )

    @property
    def dofs(self) -> int:
        """Number of independent unknowns, over all ranks."""
        return int(self.space.dofmap.index_map.size_global * self.space.dofmap.index_map_bs) - self.slaves

    def matrix(self, form: Any) -> PETSc.Mat:
        """Assemble a bilinear form; eliminated rows carry a unit diagonal."""
        import dolfinx_mpc

        matrix = dolfinx_mpc.assemble_matrix(solve.compile_form(form), self.constraint)
        matrix.assemble()
        return matrix

    def vector(self, form: Any) -> PETSc.Vec:
        """Assemble a linear form; eliminated rows are zero."""
        import dolfinx_mpc

        vector = dolfinx_mpc.assemble_vector(solve.compile_form(form), self.constraint)
        vector.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        return vector

    def function(self, vector: PETSc.Vec, name: str = "corrector") -> fem.Function:
        """Return the periodic function: eliminated unknowns are filled in."""
        result = fem.Function(self.space, name=name)
        fill(result, vector)
        self.constraint.backsubstitution(result)
        return result

    def constants(self, part_of_cell: npt.NDArray[np.int32] | None = None) -> list[PETSc.Vec]:
        """Return an orthonormal basis of the constants, zero on eliminated rows; of the whole mesh only."""
        return constants_of(self.space, self.local_slaves, None)


def fill(function: fem.Function, vector: PETSc.Vec) -> None:
    """Give a function the values of a vector of its unknowns, ghosts up to date."""
    owned = function.function_space.dofmap.index_map.size_local * function.function_space.dofmap.index_map_bs
    function.x.array[:owned] = vector.array_r[:owned]
    function.x.scatter_forward()


def constants_of(
    space: fem.FunctionSpace, slaves: npt.NDArray[np.int32], part_of_cell: npt.NDArray[np.int32] | None
) -> list[PETSc.Vec]:
    """Return the constants of a space, see :meth:`PeriodicSpace.constants`, zero on the unknowns ``slaves``."""
    index_map, block, comm = space.dofmap.index_map, space.dofmap.index_map_bs, space.mesh.comm
    owned = index_map.size_local
    parts = _parts_of_dofs(space, part_of_cell)
    vectors = []
    for part in parts:
        for component in range(block):
            vector = PETSc.Vec().createMPI((owned * block, index_map.size_global * block), comm=comm)
            values = vector.array
            values[component::block] = part
            values[slaves] = 0.0
            del values
            vector.normalize()
            vectors.append(vector)
    return vectors


def _parts_of_dofs(space: fem.FunctionSpace, part_of_cell: npt.NDArray[np.int32] | None) -> list[Array]:
    """For each connected part 1 on its owned unknowns, 0 elsewhere; parts that share an unknown are one."""
    owned, comm = space.dofmap.index_map.size_local, space.mesh.comm
    count = 1
    if part_of_cell is not None:
        count += int(comm.allreduce(int(part_of_cell.max(initial=0)), op=MPI.MAX))
    if part_of_cell is None or count == 1:
        return [np.ones(owned)]
    dofs = space.dofmap.list.ravel()
    here = np.repeat(part_of_cell, space.dofmap.list.shape[1])
    part_of_dof = np.zeros(owned + space.dofmap.index_map.num_ghosts, dtype=np.int64)
    part_of_dof[dofs] = here
    # Cells around an unknown may lie on several ranks: what its owner says is compared as well.
    owners = fem.Function(space)
    for component in range(space.dofmap.bs):
        owners.x.array[component :: space.dofmap.bs] = part_of_dof
    owners.x.scatter_forward()
    theirs = np.rint(owners.x.array[:: space.dofmap.bs].real).astype(np.int64)
    pairs = np.concatenate([np.column_stack([here, part_of_dof[dofs]]), np.column_stack([part_of_dof, theirs])])
    pairs = np.concatenate(comm.allgather(np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)))
    graph = scipy.sparse.coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(count, count))
    together, number = scipy.sparse.csgraph.connected_components(graph, directed=False)
    own = number[part_of_dof[:owned]]
    return [(own == k).astype(np.float64) for k in range(together)]
