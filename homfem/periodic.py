r"""The periodic constraint, with two backends behind one interface.

A field is periodic when :math:`u(x+a_k)=u(x)` for every period vector :math:`a_k` of the lattice.

*Identified topology* (default). The nodes of opposite faces are one vertex when the mesh is made, while the geometry
keeps two coordinates for it: the mesh is a true torus. A function space on it is periodic by construction, whatever
its element: Lagrange of any degree, Crouzeix-Raviart, Raviart-Thomas, discontinuous; interior-facet integrals see the
period faces as interior.

*Multipoint constraint* (:mod:`dolfinx_mpc`). The mesh stays as it is and every degree of freedom on a high face is
eliminated in favour of the basis functions at the point one period away. Faces need not match. It is the independent
cross-check of the first.

Both give :class:`PeriodicSpace`: matrices, vectors, kernels and functions of the constrained space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import basix.ufl
import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.csgraph
import scipy.spatial
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from homfem import _dolfinx, solve
from homfem.parameters import Array, Lattice, PeriodicityError

Indices = npt.NDArray[np.int64]


def identify_nodes(points: npt.ArrayLike, lattice: Lattice, tolerance: float = 1e-8) -> tuple[Indices, Indices]:
    r"""Match the nodes of opposite faces.

    :math:`x_i = x_{r(i)} + \sum_k o_{ik} a_k` with the representative :math:`r(i)` and the integer offset :math:`o_i`.

    Parameters
    ----------
    points : array, shape (n, d)
        Nodes of a mesh of one period cell, or of some phases of it: a parallelepiped spanned by the lattice, or any
        other shape that tiles space by the lattice (then its boundary nodes are matched where they have a partner).
    lattice
        Period vectors, in the unit of ``points``.
    tolerance
        Two nodes are one when they are closer than this times the shortest period.

    Returns
    -------
    representative : array of int, shape (n,)
        For each node the node that stands for it; itself for all but the nodes of the high faces.
    offset : array of int, shape (n, d)

    Raises
    ------
    PeriodicityError
        If a node of a face has no partner on the opposite face; the first such node is named.
    """
    points = np.asarray(points, dtype=np.float64)
    dimension, count = lattice.dimension, len(points)
    fractional = lattice.fractional(points)
    low, high = fractional.min(axis=0), fractional.max(axis=0)
    slack = tolerance * lattice.shortest / np.linalg.norm(lattice.vectors, axis=1)
    slack = np.maximum(slack, tolerance)
    offset = np.zeros((count, dimension), dtype=np.int64)
    if np.any(high - low > 1.0 + slack):
        return _identify_by_wrapping(points, fractional, low - slack, lattice, tolerance * lattice.shortest)
    for k in range(dimension):
        if high[k] - low[k] < 1.0 - slack[k]:
            continue
        at_low = np.flatnonzero(fractional[:, k] <= low[k] + slack[k])
        at_high = np.flatnonzero(fractional[:, k] >= low[k] + 1.0 - slack[k])
        _require_partners(points, at_low, at_high, lattice.vectors[k], k, tolerance * lattice.shortest)
        offset[at_high, k] = 1
    representative = np.arange(count)
    moved = np.flatnonzero(offset.any(axis=1))
    if len(moved):
        fixed = np.flatnonzero(~offset.any(axis=1))
        images = points[moved] - offset[moved] @ lattice.vectors
        distance, nearest = scipy.spatial.cKDTree(points[fixed]).query(images)
        if distance.max() > tolerance * lattice.shortest:
            bad = moved[np.argmax(distance)]
            raise PeriodicityError(
                "mesh", f"node at {_place(points[bad])}", "periodic: its image one period away must be a node", _REMEDY
            )
        representative[moved] = fixed[nearest]
    return representative, offset


def _identify_by_wrapping(
    points: Array, fractional: Array, origin: Array, lattice: Lattice, distance: float
) -> tuple[Indices, Indices]:
    """Match the nodes of a cell that is no parallelepiped: equal are those that wrap to one place."""
    wrapped = (fractional - np.floor(fractional - origin)) @ lattice.vectors
    pairs = scipy.spatial.cKDTree(wrapped).query_pairs(distance, output_type="ndarray")
    links = scipy.sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    _, label = scipy.sparse.csgraph.connected_components(links, directed=False)
    _, first = np.unique(label, return_index=True)
    representative = first[label].astype(np.int64)
    return representative, np.rint(fractional - fractional[representative]).astype(np.int64)


def _require_partners(
    points: Array, low: Indices, high: Indices, shift: Array, direction: int, distance: float
) -> None:
    for source, target, sign in ((low, high, 1.0), (high, low, -1.0)):
        found, _ = scipy.spatial.cKDTree(points[target]).query(points[source] + sign * shift)
        if np.any(found > distance):
            bad = int(np.argmax(found > distance))
            raise PeriodicityError(
                f"mesh faces across period {direction + 1}",
                f"node at {_place(points[source[bad]])} against a nearest node {found[bad]:.3g} away from its image "
                f"{_place(points[source[bad]] + sign * shift)} "
                f"({len(low)} nodes on one face, {len(high)} on the other)",
                "matching node by node",
                _REMEDY,
            )


_REMEDY = 'Mesh opposite faces with "Periodic Surface"/"Periodic Curve" in Gmsh, or check the period vectors.'


def _place(point: Array) -> str:
    return "(" + ", ".join(f"{c:.9g}" for c in point) + ")"


def check_resolution(points: Array, cells: Indices, representative: Indices, lattice: Lattice) -> None:
    """Refuse a mesh with fewer than three elements across a period, on which identified vertices are ambiguous.

    No cell may meet a vertex twice, and two edges with the same identified end points must have the same displacement.
    Only the cells that touch a matched face can fail, so only they are looked at.

    Raises
    ------
    PeriodicityError
        Naming the edge; the remedy is a finer mesh.
    """
    corners = cells[:, : points.shape[1] + 1]
    on_face = np.zeros(len(points), dtype=bool)
    moved = representative != np.arange(len(points))
    on_face[moved] = True
    on_face[representative[moved]] = True
    corners = corners[on_face[corners].any(axis=1)]
    if not len(corners):
        return
    first, second = np.triu_indices(corners.shape[1], 1)
    a, b = corners[:, first].ravel(), corners[:, second].ravel()
    ends = np.column_stack([representative[a], representative[b]])
    step = points[b] - points[a]
    flip = ends[:, 0] > ends[:, 1]
    ends[flip] = ends[flip, ::-1]
    step[flip] *= -1.0
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    ends, step = ends[order], step[order]
    same = (ends[1:] == ends[:-1]).all(axis=1)
    differs = np.abs(step[1:] - step[:-1]).max(axis=1) > 1e-6 * lattice.shortest
    for bad in (np.flatnonzero(ends[:, 0] == ends[:, 1]), np.flatnonzero(same & differs)):
        if len(bad):
            raise PeriodicityError(
                "mesh",
                f"edge at {_place(points[ends[bad[0], 0]])} along {_place(step[bad[0]])}",
                "at least three elements across every period",
                "Choose a finer mesh (a smaller resolution).",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PeriodicMesh:
    """A distributed mesh of one cell, twice: as a torus, and as it lies in space.

    Parameters
    ----------
    mesh
        The torus: identified topology, true coordinates per cell. Function spaces on it are periodic.
    plain
        The same cells with the faces apart: for output, for the multipoint backend, for searches by coordinates.
    plain_cell : array of int, shape (local cells,)
        For each local cell of ``mesh`` the local cell of ``plain``.
    input_vertex : array of int, shape (local cells, d + 1)
        For each local cell of ``mesh`` the identified input nodes at its vertices.
    """

    mesh: dmesh.Mesh
    plain: dmesh.Mesh
    plain_cell: npt.NDArray[np.int32]
    input_vertex: Indices

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
    """Distribute a mesh whose nodes have been matched by :func:`identify_nodes`; collective.

    Parameters
    ----------
    points : array, shape (n, d)
        Nodes, given on rank 0 and empty (0, d) elsewhere. ``n`` is global.
    cells : array of int, shape (m, nodes per cell)
        Nodes of each cell in the ordering of dolfinx, on rank 0 and empty elsewhere; corners come first.
    representative : array of int, shape (n,)
        As :func:`identify_nodes` gives it.
    kind
        ``"triangle"``, ``"tetrahedron"``, ``"quadrilateral"`` or ``"hexahedron"``.
    order
        Degree of the geometry.

    Notes
    -----
    The torus has the corner nodes only; nodes of higher order come from the plain mesh. Both are partitioned alike,
    with the cells next to a facet of each rank as ghosts, so that interior-facet integrals work.
    """
    dimension = points.shape[1]
    corners = _number_of_corners(kind)
    linear = basix.ufl.element("Lagrange", kind, 1, shape=(dimension,), dtype=np.float64)
    element = basix.ufl.element("Lagrange", kind, order, shape=(dimension,), dtype=np.float64)
    destinations: list[Any] = []
    base = _dolfinx.cell_partitioner(dmesh.GhostMode.shared_facet)

    def record(*arguments: Any) -> Any:
        destinations.append(base(*arguments))
        return destinations[-1]

    def replay(*_: Any) -> Any:
        return destinations[-1]

    parallel = comm.size > 1
    torus_cells = representative[cells[:, :corners]] if len(cells) else cells[:, :corners]
    torus = _dolfinx.create_mesh(comm, torus_cells, points, linear, record if parallel else None)
    plain = _dolfinx.create_mesh(comm, cells, points, element, replay if parallel else None)
    ours, theirs = _dolfinx.original_cell_index(torus), _dolfinx.original_cell_index(plain)
    by_input = np.argsort(theirs, kind="stable")
    plain_cell = by_input[np.searchsorted(theirs[by_input], ours)].astype(np.int32)
    dofmap = _dolfinx.geometry_dofmap(plain)[plain_cell]
    vertices = np.asarray(torus.geometry.input_global_indices)[_dolfinx.geometry_dofmap(torus)]
    mesh = _dolfinx.mesh_with_geometry(torus, plain, dofmap, element)
    return PeriodicMesh(mesh=mesh, plain=plain, plain_cell=plain_cell, input_vertex=vertices.astype(np.int64))


def _number_of_corners(kind: str) -> int:
    return {"triangle": 3, "quadrilateral": 4, "tetrahedron": 4, "hexahedron": 8}[kind]


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
        _fill(result, vector)
        return result

    def constants(self, part_of_cell: npt.NDArray[np.int32] | None = None) -> list[PETSc.Vec]:
        """Return an orthonormal basis of the constants.

        Parameters
        ----------
        part_of_cell : array of int, shape (local cells,)
            Connected part of each local cell; parts that share an unknown do not get constants of their own.
        """
        return _constants(self.space, np.zeros(0, dtype=np.int32), part_of_cell)


class MultipointSpace:
    """A periodic space on a plain mesh, constrained by :mod:`dolfinx_mpc`.

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
        _fill(result, vector)
        self.constraint.backsubstitution(result)
        return result

    def constants(self, part_of_cell: npt.NDArray[np.int32] | None = None) -> list[PETSc.Vec]:
        """Return an orthonormal basis of the constants, zero on eliminated rows; of the whole mesh only."""
        return _constants(self.space, self.local_slaves, None)


def _fill(function: fem.Function, vector: PETSc.Vec) -> None:
    owned = function.function_space.dofmap.index_map.size_local * function.function_space.dofmap.index_map_bs
    function.x.array[:owned] = vector.array_r[:owned]
    function.x.scatter_forward()


def _constants(
    space: fem.FunctionSpace, slaves: npt.NDArray[np.int32], part_of_cell: npt.NDArray[np.int32] | None
) -> list[PETSc.Vec]:
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
    """For each connected part 1 on its owned unknowns, 0 elsewhere; one part if two of them share an unknown."""
    owned, comm = space.dofmap.index_map.size_local, space.mesh.comm
    count = 1
    if part_of_cell is not None:
        count += int(comm.allreduce(int(part_of_cell.max(initial=0)), op=MPI.MAX))
    if part_of_cell is None or count == 1:
        return [np.ones(owned)]
    dofs = space.dofmap.list
    flags = np.zeros((count, owned + space.dofmap.index_map.num_ghosts))
    flags[np.repeat(part_of_cell, dofs.shape[1]), dofs.ravel()] = 1.0
    shared = bool(np.any(flags.sum(axis=0) > 1.0))
    if comm.allreduce(shared, op=MPI.LOR):
        return [np.ones(owned)]
    return list(flags[:, :owned])


def make_periodic_space(
    periodic_mesh: PeriodicMesh, element: Any, lattice: Lattice, backend: str = "identified"
) -> IdentifiedSpace | MultipointSpace:
    """Return the periodic space of an element by the chosen backend, ``"identified"`` or ``"multipoint"``."""
    if backend == "identified":
        return IdentifiedSpace(periodic_mesh.mesh, element)
    return MultipointSpace(periodic_mesh.plain, element, lattice, periodic_mesh.plain.comm)
