"""The unknowns of several potentials on one mesh, each on its own part, and the matrices between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dolfinx.la
import numpy as np
import numpy.typing as npt
import scipy.sparse
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from homfem import solve
from homfem.macro.domain import Domain
from homfem.parameters import Array, InputError

Numbers = npt.NDArray[np.int64]


class Spaces:
    """Numbers of the unknowns of each space at the nodes of one Lagrange space; collective.

    Parameters
    ----------
    domain
        The domain.
    spaces
        The regions of each space by name.
    degree
        Of the elements.

    Attributes
    ----------
    space
        The Lagrange space on the whole domain, whose nodes the spaces share.
    numbers
        For each space the number of its unknown at each local node of ``space``, -1 where it has none.
    sizes
        Unknowns of this rank, and of all.
    """

    def __init__(self, domain: Domain, spaces: Mapping[str, Sequence[str]], degree: int) -> None:
        self.domain, self.comm, self.names = domain, domain.comm, list(spaces)
        self.space = solve.function_space(domain.mesh, "Lagrange", degree)
        self.regions = spaces
        self.owned = self.space.dofmap.index_map.size_local
        self.space_of_cell = np.full(len(domain.region_of_cell), -1)
        for k, regions in enumerate(spaces.values()):
            for region in regions:
                self.space_of_cell[domain.region_of_cell == domain.region(region)] = k
        active = [self._active(k) for k in range(len(self.names))]
        counts = [int(np.count_nonzero(flags[: self.owned])) for flags in active]
        size = sum(counts)
        self.first = int(sum(self.comm.allgather(size)[: self.comm.rank]))
        self.sizes = (size, int(self.comm.allreduce(size, op=MPI.SUM)))
        self.numbers: dict[str, Numbers] = {}
        begin = self.first
        for name, flags, count in zip(self.names, active, counts, strict=True):
            function = fem.Function(self.space)
            function.x.array[:] = -1.0
            function.x.array[np.flatnonzero(flags[: self.owned])] = begin + np.arange(count)
            function.x.scatter_forward()
            self.numbers[name] = np.rint(function.x.array).astype(np.int64)
            begin += count
        self._facets = self._links()

    def _active(self, k: int) -> npt.NDArray[np.bool_]:
        """Which local nodes are nodes of the cells of a space."""
        function = fem.Function(self.space)
        cells = np.flatnonzero(self.space_of_cell == k)
        function.x.array[np.unique(self.space.dofmap.list[cells])] = 1.0
        function.x.scatter_reverse(dolfinx.la.InsertMode.add)
        function.x.scatter_forward()
        return np.asarray(function.x.array > 0.0)

    def _links(self) -> dict[frozenset[str], npt.NDArray[np.int32]]:
        """The local inner facets between each two spaces."""
        mesh = self.domain.mesh
        d = mesh.topology.dim
        mesh.topology.create_connectivity(d - 1, d)
        links = mesh.topology.connectivity(d - 1, d)
        inner = np.flatnonzero(np.diff(links.offsets) == 2).astype(np.int32)
        pairs = np.sort(self.space_of_cell[links.array[links.offsets[inner][:, None] + np.arange(2)]], axis=1)
        found = {}
        for k, first in enumerate(self.names):
            for j in range(k + 1, len(self.names)):
                found[frozenset((first, self.names[j]))] = inner[(pairs[:, 0] == k) & (pairs[:, 1] == j)]
        return found

    def mass(self, first: str, second: str, path: str, group: str | None = None) -> PETSc.Mat:
        """Return the mass matrix of the facets between two spaces (of a named group), on the nodes of ``space``.

        Collective.

        Raises
        ------
        InputError
            If the two do not meet, or ranks do not know the cells beyond their own.
        """
        u, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        return solve.assemble_matrix(ufl.avg(u) * ufl.avg(v) * self.between(first, second, path, group))

    def between(self, first: str, second: str, path: str, group: str | None = None) -> ufl.Measure:
        """Return the measure of the facets between two spaces; raises as :meth:`mass`. Collective."""
        facets = self._facets[frozenset((first, second))]
        if group is not None:
            facets = np.intersect1d(facets, self.domain.facets(group))
        mesh = self.domain.mesh
        if not self.comm.allreduce(len(facets), op=MPI.SUM):
            raise InputError(path, (first, second), "two spaces that meet in facets")
        ghosts = mesh.topology.index_map(mesh.topology.dim).num_ghosts
        if self.comm.size > 1 and not self.comm.allreduce(ghosts, op=MPI.SUM):
            remedy = "Make the domain by homfem.macro.emi.tiled_domain, or a mesh with GhostMode.shared_facet."
            raise InputError("domain", f"{self.comm.size} ranks", "a mesh with ghost cells on several ranks", remedy)
        tags = dmesh.meshtags(mesh, mesh.topology.dim - 1, facets, np.ones(len(facets), dtype=np.int32))
        return ufl.Measure("dS", mesh, subdomain_data=tags)(1)

    def stiffness(self, name: str, conductivity: float) -> PETSc.Mat:
        """Return the stiffness matrix of a space on the nodes of ``space``; collective."""
        u, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        sigma = fem.Constant(self.domain.mesh, conductivity)
        form = sum(sigma * ufl.inner(ufl.grad(u), ufl.grad(v)) * self.domain.dx(one) for one in self.regions[name])
        return solve.assemble_matrix(solve.compile_form(form))

    def volumes(self, name: str) -> Array:
        """Return the integral of the basis function of each unknown of a space, at this rank's unknowns; collective."""
        form = sum(ufl.TestFunction(self.space) * self.domain.dx(one) for one in self.regions[name])
        vector = solve.assemble_vector(solve.compile_form(form))
        result = np.zeros(self.sizes[0])
        nodes, places = self.places(name)
        result[places] = vector.array_r[nodes]
        vector.destroy()
        return result

    def places(self, name: str) -> tuple[Numbers, Numbers]:
        """Return the owned nodes of a space, and the places of its unknowns among this rank's."""
        own = self.numbers[name][: self.owned]
        nodes = np.flatnonzero(own >= 0)
        return nodes, own[nodes] - self.first

    def matrix(self, terms: Sequence[tuple[PETSc.Mat, float, str, str]]) -> PETSc.Mat:
        """Return the sum of matrices on the nodes, each with a factor and the spaces of its rows and columns."""
        rows, columns, values = [], [], []
        for matrix, factor, row_space, column_space in terms:
            start, column, value = matrix.getValuesCSR()
            row = np.repeat(self.numbers[row_space][: self.owned], np.diff(start))
            column = self._at_nodes(column_space, column)
            use = (row >= 0) & (column >= 0)
            rows.append(row[use])
            columns.append(column[use])
            values.append(factor * value[use])
        entries = (np.concatenate(values), (np.concatenate(rows) - self.first, np.concatenate(columns)))
        own = scipy.sparse.coo_array(entries, shape=self.sizes).tocsr()
        parts = (own.indptr.astype(PETSc.IntType), own.indices.astype(PETSc.IntType), own.data)
        return PETSc.Mat().createAIJ((self.sizes, self.sizes), csr=parts, comm=self.comm)

    def _at_nodes(self, name: str, nodes: Numbers) -> Numbers:
        """Return the numbers of a space's unknowns at nodes of any rank, by their global numbers; collective."""
        first = self.space.dofmap.index_map.local_range[0]
        own, found = self.numbers[name][: self.owned], np.empty(len(nodes), dtype=np.int64)
        here = (nodes >= first) & (nodes < first + self.owned)
        found[here] = own[nodes[here] - first]
        others, place = np.unique(nodes[~here], return_inverse=True)
        wanted = PETSc.IS().createGeneral(others.astype(PETSc.IntType), comm=MPI.COMM_SELF)
        given = PETSc.Vec().createWithArray(own.astype(np.float64), comm=self.comm)
        values = PETSc.Vec().createSeq(len(others))
        scatter = PETSc.Scatter().create(given, wanted, values, None)
        scatter.scatter(given, values)
        found[~here] = np.rint(values.array_r).astype(np.int64)[place]
        for one in (scatter, values, given, wanted):
            one.destroy()
        return found

    def jumps(self, mass: PETSc.Mat, factor: float, first: str, second: str) -> list[tuple[Any, float, str, str]]:
        """Return the terms of a mass matrix tested with the jump between two spaces."""
        return [
            (mass, factor, first, first),
            (mass, factor, second, second),
            (mass, -factor, first, second),
            (mass, -factor, second, first),
        ]

    def function(self, name: str, values: Array, outside: float = 0.0) -> fem.Function:
        """Return the potential of a space as a function on the whole domain, a number elsewhere; collective."""
        function = fem.Function(self.space, name=name)
        function.x.array[:] = outside
        nodes, places = self.places(name)
        function.x.array[nodes] = values[places]
        function.x.scatter_forward()
        return function

    def through(self, name: str, boundary: str, path: str) -> tuple[Array, float]:
        """Return the integral of the basis function of each unknown over where a space meets a boundary, at this
        rank's unknowns, and the area that they meet in; collective.

        Raises
        ------
        InputError
            If the space does not reach the boundary.
        """
        mesh = self.domain.mesh
        facets = np.sort(self._beside(name, boundary, path))
        tags = dmesh.meshtags(mesh, mesh.topology.dim - 1, facets, np.ones(len(facets), dtype=np.int32))
        form = ufl.TestFunction(self.space) * ufl.Measure("ds", mesh, subdomain_data=tags)(1)
        vector = solve.assemble_vector(solve.compile_form(form))
        result = np.zeros(self.sizes[0])
        nodes, places = self.places(name)
        result[places] = vector.array_r[nodes]
        vector.destroy()
        return result, float(self.comm.allreduce(result.sum(), op=MPI.SUM))

    def held(self, name: str, boundary: str) -> Numbers:
        """Return the places of this rank's unknowns of a space on a boundary; collective.

        Raises
        ------
        InputError
            If the space has none there.
        """
        own = self._beside(name, boundary, "held")
        flags = fem.Function(self.space)
        flags.x.array[fem.locate_dofs_topological(self.space, self.domain.mesh.topology.dim - 1, own)] = 1.0
        flags.x.scatter_reverse(dolfinx.la.InsertMode.add)
        nodes = np.flatnonzero(flags.x.array[: self.owned] > 0.0)
        return np.asarray(self.numbers[name][nodes] - self.first)

    def _beside(self, name: str, boundary: str, path: str) -> npt.NDArray[np.int32]:
        """The local facets of a boundary beside which a space is; an error if there are none on any rank."""
        mesh = self.domain.mesh
        d = mesh.topology.dim
        mesh.topology.create_connectivity(d - 1, d)
        links = mesh.topology.connectivity(d - 1, d)
        facets = self.domain.facets(boundary)
        own = facets[self.space_of_cell[links.array[links.offsets[facets]]] == self.names.index(name)]
        if not self.comm.allreduce(len(own), op=MPI.SUM):
            raise InputError(path, (name, boundary), "a space that reaches this boundary")
        return np.asarray(own)
