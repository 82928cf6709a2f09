r"""A periodic space on faces that do not match, by an explicit prolongation.

All unknowns are :math:`u=Px` with the weights of :mod:`homfem.periodic.nonmatching`: P is the identity on the unknowns
that stay and a row of weights on those that are eliminated. Matrices are :math:`P^TAP`, vectors :math:`P^Tb`.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from dolfinx import mesh as dmesh
from petsc4py import PETSc

from homfem import _dolfinx, solve
from homfem.meshing.arrays.facet_overlaps import TOLERANCE
from homfem.parameters import InputError, Lattice, check_choice
from homfem.periodic.mesh import PeriodicMesh, Seam
from homfem.periodic.nonmatching import FaceTraces, Weights, constraint_weights
from homfem.periodic.spaces import IdentifiedSpace, MultipointSpace, constants_of, fill
from homfem.ranks import collective

log = logging.getLogger("homfem")


class ProlongedSpace:
    r"""A periodic Lagrange space on a mesh whose opposite faces need not match.

    The functions are not continuous across the period: they agree there at points, and in the mean over groups of
    facets. Their energy therefore is no upper bound.

    Error, measured on a smooth solution in a skewed square: for degree 1 and 2 the energy error is at most 4 % above
    the least one on the mesh and comes to it as the mesh is refined (h, h^2); for degree 3 its order is 2.5. By
    interpolation alone the tensor of a homogeneous square was wrong by 1e-4; here it is exact.

    Cost of the solution of a cubic cell against the identified space on the same matching mesh, in CPU time: 1.3 to 1.9
    times for 14 thousand unknowns of degree 1, 1.5 times for 33 thousand of degree 2, where aggregation takes 63
    iterations for three loads and the p-multigrid of the identified space 27. The constraint itself is a matter of
    the faces: its share falls as the mesh is refined. It stands in ``seconds["constraint"]`` of results.

    Eliminated unknowns keep their places in vectors, as in :class:`homfem.periodic.MultipointSpace`: their rows of
    matrices have the diagonal alone, and vectors are zero there.

    Parameters
    ----------
    periodic_mesh
        With a seam: :func:`homfem.periodic.create_open_mesh`.
    element
        ``basix.ufl`` Lagrange element, scalar or blocked.
    lattice
        Period vectors in mesh units.

    Attributes
    ----------
    space
        The unconstrained space; functions of it that :meth:`function` returns are periodic.
    slaves, free
        Numbers of eliminated unknowns, and of those on the same faces that have no partner because nothing of the mesh
        lies one period away: walls. Over all ranks; per point.
    seconds
        Wall time to make the constraint.

    Raises
    ------
    InputError
        For another element.

    Notes
    -----
    An image that misses the mesh by less than half a radius of the facets, as on curved phase boundaries that are cut
    differently on the two faces, is moved to the nearest facet. The facets of the faces are gathered on one rank.
    """

    def __init__(self, periodic_mesh: PeriodicMesh, element: Any, lattice: Lattice) -> None:
        start = time.perf_counter()
        if element.family_name != "P" or element.discontinuous or element.degree < 1:
            raise InputError(
                "element", str(element), "Lagrange on faces that do not match", "Others need faces that match."
            )
        mesh, seam = periodic_mesh.plain, periodic_mesh.seam
        if seam is None:
            raise InputError("periodic_mesh", "matching", "one of create_open_mesh", "Use IdentifiedSpace on it.")
        comm = mesh.comm
        self.space = fem.functionspace(mesh, element)
        traces = _traces(self.space, lattice, seam)
        gathered = comm.gather(traces, root=0)
        found: Weights | None = None
        with collective(comm):
            if gathered is not None:
                found = constraint_weights(_joined(gathered), lattice, element.degree)
        weights: Weights = comm.bcast(found, root=0)
        self.slaves = len(np.unique(weights.slave))
        self.free = weights.free
        self._block = self.space.dofmap.index_map_bs
        self._prolongation = _prolongation(self.space, weights)
        index_map = self.space.dofmap.index_map
        own = np.unique(weights.slave)
        own = own[(own >= index_map.local_range[0]) & (own < index_map.local_range[1])] - index_map.local_range[0]
        #: Eliminated unknowns that this rank owns, by local number, blocks unrolled.
        self.local_slaves = (own[:, None] * self._block + np.arange(self._block)).ravel().astype(np.int32)
        self.seconds = time.perf_counter() - start
        log.info("faces that do not match: %d unknowns eliminated, %d on walls, %.2f s",
                 self.slaves, self.free, self.seconds)  # fmt: skip

    @property
    def dofs(self) -> int:
        """Number of independent unknowns, over all ranks."""
        return (int(self.space.dofmap.index_map.size_global) - self.slaves) * self._block

    def matrix(self, form: Any) -> PETSc.Mat:
        """Assemble a bilinear form; eliminated rows carry a diagonal of the size of the others."""
        full = solve.assemble_matrix(form)
        diagonal = full.getDiagonal()
        result = full.ptap(self._prolongation)
        full.destroy()
        values = diagonal.array_r[self.local_slaves]
        ones = PETSc.Mat().createAIJ(result.getSizes(), nnz=1, comm=result.comm)
        first = ones.getOwnershipRange()[0]
        rows = (self.local_slaves + first).astype(PETSc.IntType)
        ones.setValuesCSR(*_csr(rows - first, rows, values, ones.getLocalSize()[0]))
        ones.assemble()
        result.axpy(1.0, ones, structure=PETSc.Mat.Structure.DIFFERENT_NONZERO_PATTERN)
        ones.destroy()
        diagonal.destroy()
        return result

    def vector(self, form: Any) -> PETSc.Vec:
        """Assemble a linear form; eliminated rows are zero."""
        full = solve.assemble_vector(form)
        result = self._prolongation.createVecRight()
        self._prolongation.multTranspose(full, result)
        full.destroy()
        return result

    def function(self, vector: PETSc.Vec, name: str = "corrector") -> fem.Function:
        """Return the function with the given unknowns, eliminated ones filled in, ghosts up to date."""
        values = self._prolongation.createVecLeft()
        self._prolongation.mult(vector, values)
        result = fem.Function(self.space, name=name)
        fill(result, values)
        values.destroy()
        return result

    def constants(self, part_of_cell: npt.NDArray[np.int32] | None = None) -> list[PETSc.Vec]:
        """Return an orthonormal basis of the constants (of each connected part), zero on eliminated rows."""
        return constants_of(self.space, self.local_slaves, part_of_cell)


def _traces(space: fem.FunctionSpace, lattice: Lattice, seam: Seam) -> FaceTraces:
    """The facets of this rank on the faces of the period cell."""
    mesh, d = space.mesh, space.mesh.topology.dim
    mesh.topology.create_connectivity(d - 1, d)
    mesh.topology.create_connectivity(d, d - 1)
    outer = dmesh.exterior_facet_indices(mesh.topology)
    links = mesh.topology.connectivity(d - 1, d)
    cell = links.array[links.offsets[outer]]
    of_cell = mesh.topology.connectivity(d, d - 1).array.reshape(-1, d + 1)[cell]
    place = np.argmax(of_cell == outer[:, None], axis=1)
    # Facet k of a simplex is opposite to vertex k.
    others = np.array([[j for j in range(d + 1) if j != k] for k in range(d + 1)])[place]
    nodes = np.take_along_axis(_dolfinx.geometry_dofmap(mesh)[cell], others, axis=1)
    corners = lattice.fractional(mesh.geometry.x[nodes][..., :d].reshape(-1, d)).reshape(-1, d, d) - seam.origin
    low, high = np.abs(corners) < TOLERANCE, np.abs(corners - 1.0) < TOLERANCE
    kept = np.any(np.all(low, axis=1) | np.all(high, axis=1), axis=1)
    layout = space.dofmap.dof_layout
    closure = np.array([layout.entity_closure_dofs(d - 1, k) for k in range(d + 1)])
    local = np.take_along_axis(space.dofmap.list[cell[kept]], closure[place[kept]], axis=1)
    where = lattice.fractional(space.tabulate_dof_coordinates()[local.ravel(), :d]) - seam.origin
    unknowns = space.dofmap.index_map.local_to_global(local.ravel().astype(np.int32))
    return FaceTraces(
        corners=_flattened(corners[kept]),
        unknowns=np.asarray(unknowns, dtype=np.int64).reshape(local.shape),
        places=_flattened(where).reshape(*local.shape, d),
        phase=seam.phase_of_cell[cell[kept]].astype(np.int64),
    )


def _flattened(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Coordinates with those that are on a face exactly there."""
    return np.where(np.abs(x) < TOLERANCE, 0.0, np.where(np.abs(x - 1.0) < TOLERANCE, 1.0, x))


def _joined(parts: list[FaceTraces]) -> FaceTraces:
    names = ("corners", "unknowns", "places", "phase")
    return FaceTraces(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _prolongation(space: fem.FunctionSpace, weights: Weights) -> PETSc.Mat:
    """The identity on unknowns that stay, the weights on those that are eliminated; the columns of these are empty."""
    index_map, block = space.dofmap.index_map, space.dofmap.index_map_bs
    first, last = index_map.local_range
    own = (weights.slave >= first) & (weights.slave < last)
    slave, master, value = weights.slave[own], weights.master[own], weights.value[own]
    stays = np.setdiff1d(np.arange(first, last), slave)
    row = np.concatenate([slave, stays])
    column = np.concatenate([master, stays])
    values = np.concatenate([value, np.ones(len(stays))])
    component = np.arange(block)
    row = (row[:, None] * block + component).ravel()
    column = (column[:, None] * block + component).ravel()
    sizes = ((last - first) * block, int(index_map.size_global) * block)
    matrix = PETSc.Mat().create(comm=space.mesh.comm)
    matrix.setSizes((sizes, sizes))
    matrix.setType(PETSc.Mat.Type.AIJ)
    offsets, columns, entries = _csr(row - first * block, column, np.repeat(values, block), sizes[0])
    matrix.setPreallocationCSR((offsets, columns, entries))
    matrix.assemble()
    return matrix


def _csr(
    row: npt.NDArray[np.int64], column: npt.NDArray[np.int64], values: npt.NDArray[np.float64], rows: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float64]]:
    order = np.lexsort((column, row))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    return offsets.astype(PETSc.IntType), column[order].astype(PETSc.IntType), values[order]


class HasFaces(Protocol):
    """A cell or its mesh: whether opposite faces match."""

    @property
    def matching(self) -> bool:
        """Whether they match node by node."""


def check_backend(cell: HasFaces, backend: str | None) -> str:
    """Return the backend that a cell or its mesh is given to, by default the one that it needs.

    Raises
    ------
    InputError
        For an unknown backend, and for ``"identified"`` where opposite faces do not match.
    """
    if backend is None:
        return "identified" if cell.matching else "multipoint"
    check_choice("backend", backend, ("identified", "multipoint"))
    if backend == "identified" and not cell.matching:
        raise InputError(
            "backend", backend, "'multipoint' on faces that do not match", "Repair the mesh (repair=True) for it."
        )
    return backend


def make_periodic_space(
    periodic_mesh: PeriodicMesh, element: Any, lattice: Lattice, backend: str | None = None
) -> IdentifiedSpace | MultipointSpace | ProlongedSpace:
    """Return the periodic space of an element by ``"identified"`` or ``"multipoint"``, see :func:`check_backend`."""
    if check_backend(periodic_mesh, backend) == "identified":
        return IdentifiedSpace(periodic_mesh.mesh, element)
    if periodic_mesh.matching:
        return MultipointSpace(periodic_mesh.plain, element, lattice, periodic_mesh.plain.comm)
    return ProlongedSpace(periodic_mesh, element, lattice)
