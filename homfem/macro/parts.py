r"""The part of a domain on which a field lives: its cells, its nodes, what is assembled on it, and how it is shown.

Fields of all parts have their unknowns at nodes of one space on the whole mesh, on the ranks that own these there:
what happens between fields at a node needs no communication. A field on a part is shown, and saved, as a function on a
mesh of its own (``create_submesh``): outside the part it has no values, not even zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem, la
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from homfem._dolfinx import geometry_dofmap
from homfem.macro.domain import Domain
from homfem.macro.stimulus import Part
from homfem.parameters import Array, InputError
from homfem.solve import assemble_vector, function_space

Numbers = npt.NDArray[np.int64]


class NodalPart:
    """The cells of some regions of a domain, or all of it, and the nodes of a Lagrange space on them; collective.

    Parameters
    ----------
    domain, space
        The domain and a scalar Lagrange space on its mesh.
    regions
        Names of the regions; None: everything.
    without
        Names of regions that it has not, cells without a name being in it; in place of ``regions``.

    Attributes
    ----------
    cells
        Which local cells, ghosts included, belong to it.
    nodes
        Its nodes, among the dofs of ``space`` that the rank owns; None: all are.
    size, count
        Number of nodes that the rank owns, and of all ranks.

    Raises
    ------
    InputError
        For unknown regions.
    """

    def __init__(
        self,
        domain: Domain,
        space: fem.FunctionSpace,
        regions: Sequence[str] | None = None,
        *,
        without: Sequence[str] = (),
    ) -> None:
        self.domain, self.space = domain, space
        self.owned = int(space.dofmap.index_map.size_local)
        self.nodes: Numbers | None = None
        self.size = self.owned
        named = without if regions is None else regions
        among = np.isin(domain.region_of_cell, [domain.region(name) for name in named])
        self.cells: npt.NDArray[np.bool_] = ~among if regions is None else among
        if regions is not None or without:
            marks = fem.Function(space)
            marks.x.array[np.unique(np.asarray(space.dofmap.list)[self.cells])] = 1.0
            marks.x.scatter_reverse(la.InsertMode.add)
            self.nodes = np.flatnonzero(marks.x.array[: self.owned] > 0.0)
            self.size = len(self.nodes)
        self.count = int(domain.comm.allreduce(self.size, op=MPI.SUM))

    @property
    def comm(self) -> MPI.Comm:
        """Communicator of the domain."""
        return self.domain.comm

    @property
    def stimulated(self) -> Part | None:
        """The part as stimuli take it; None for the whole domain."""
        return None if self.nodes is None else Part(cells=self.cells, nodes=self.nodes)

    def measure(self) -> ufl.Measure:
        """Return the measure of its cells."""
        mesh = self.domain.mesh
        if self.nodes is None:
            return ufl.Measure("dx", domain=mesh)
        owned = mesh.topology.index_map(mesh.topology.dim).size_local
        cells = np.flatnonzero(self.cells[:owned]).astype(np.int32)
        return ufl.Measure("dx", domain=mesh, subdomain_data=[(1, cells)])(1)

    def integrals(self, coefficient: Any) -> Array:
        r"""Return :math:`\int a\varphi_i` over the part at its nodes, of a number or UFL coefficient a; collective."""
        if isinstance(coefficient, float):
            coefficient = fem.Constant(self.domain.mesh, coefficient)
        vector = assemble_vector(coefficient * ufl.TestFunction(self.space) * self.measure())
        values = self.of_nodes(vector.array_r).copy()
        vector.destroy()
        return values

    def of_nodes(self, values: Array) -> Array:
        """Return those of the values of owned dofs that belong to nodes of the part."""
        return values if self.nodes is None else values[self.nodes]

    def spread(self, values: Array) -> Array:
        """Return values of the nodes of the part as those of all owned dofs, 0 elsewhere."""
        if self.nodes is None:
            return values
        whole = np.zeros(self.owned)
        whole[self.nodes] = values
        return whole

    def restricted(self, matrix: PETSc.Mat) -> PETSc.Mat:
        """Return the rows and columns of the nodes of the part; what it is taken from is destroyed. Collective."""
        if self.nodes is None:
            return matrix
        first = self.space.dofmap.index_map.local_range[0]
        rows = PETSc.IS().createGeneral((self.nodes + first).astype(PETSc.IntType), comm=self.comm)
        result = matrix.createSubMatrix(rows, rows)
        matrix.destroy()
        rows.destroy()
        return result

    def positions(self, whole: Numbers) -> Numbers:
        """Return where in the part some owned dofs are; all must be nodes of it."""
        return whole if self.nodes is None else np.searchsorted(self.nodes, whole)

    def has(self, whole: Numbers) -> npt.NDArray[np.bool_]:
        """Tell which owned dofs are nodes of the part."""
        return np.ones(len(whole), dtype=bool) if self.nodes is None else np.isin(whole, self.nodes)


class DomainPart(NodalPart):
    """A part on whose nodes of a P1 space fields live that are shown on a mesh of its own; collective.

    Parameters
    ----------
    domain, space, regions
        As of :class:`NodalPart`; ``space`` of degree 1.

    Attributes
    ----------
    volumes
        :math:`\\int\\varphi_i` over the part at its nodes.
    shown
        The space of the functions that show a field: ``space``, or one on a mesh of the part.

    Raises
    ------
    InputError
        For unknown regions.
    """

    def __init__(self, domain: Domain, space: fem.FunctionSpace, regions: Sequence[str] | None = None) -> None:
        super().__init__(domain, space, regions)
        self.regions = None if regions is None else tuple(regions)
        self.shown = space
        if regions is not None:
            self._make_shown()
        self.volumes = self.integrals(1.0)

    def _make_shown(self) -> None:
        """Make the mesh of the part, and find which local dof of the whole mesh each of its dofs is."""
        mesh = self.domain.mesh
        d = mesh.topology.dim
        made = dmesh.create_submesh(mesh, d, np.flatnonzero(self.cells).astype(np.int32))
        part, nodes = made[0], np.asarray(made[3])
        self.shown = function_space(part, "Lagrange", 1, ())
        dof_of_node = np.zeros(len(mesh.geometry.x), dtype=np.int64)
        dof_of_node[geometry_dofmap(mesh)] = np.asarray(self.space.dofmap.list)
        dofs = np.asarray(self.shown.dofmap.list)
        index_map = self.shown.dofmap.index_map
        self._whole = np.zeros(index_map.size_local + index_map.num_ghosts, dtype=np.int64)
        self._whole[dofs] = dof_of_node[nodes[geometry_dofmap(part)]]
        self._work = fem.Function(self.space)

    def show(self, values: Array, function: fem.Function) -> None:
        """Put values at the nodes of the part into a function of the space ``shown``, ghosts included; collective."""
        if self.nodes is None:
            function.x.array[: self.owned] = values
            function.x.scatter_forward()
            return
        self._work.x.array[self.nodes] = values
        self._work.x.scatter_forward()
        function.x.array[:] = self._work.x.array[self._whole]

    def take(self, function: fem.Function, values: Array) -> None:
        """Put what the ranks own of a function of the space ``shown`` into values at the nodes; collective."""
        if self.nodes is None:
            values[:] = function.x.array[: self.owned]
            return
        size = self.shown.dofmap.index_map.size_local
        self._work.x.array[:] = 0.0
        self._work.x.array[self._whole[:size]] = function.x.array[:size]
        self._work.x.scatter_reverse(la.InsertMode.add)
        values[:] = self._work.x.array[self.nodes]


def refuse_not_beside(domain: Domain, regions: Sequence[str], name: str) -> None:
    """Refuse regions that share no facet with the rest of the domain: their interface bounds nothing. Collective."""
    mesh = domain.mesh
    d = mesh.topology.dim
    numbers = [domain.region(region, name) for region in regions]
    inside = np.isin(domain.region_of_cell, numbers)
    space = function_space(mesh, "Lagrange", 1, ())
    dofs, meets = np.asarray(space.dofmap.list), []
    for flags in (inside, ~inside):
        marks = fem.Function(space)
        owned = mesh.topology.index_map(d).size_local
        marks.x.array[np.unique(dofs[:owned][flags[:owned]])] = 1.0
        marks.x.scatter_reverse(la.InsertMode.add)
        meets.append(marks.x.array[: space.dofmap.index_map.size_local] > 0.0)
    if not domain.comm.allreduce(bool((meets[0] & meets[1]).any()), op=MPI.LOR):
        what = "has no cells" if not domain.comm.allreduce(bool(inside.any()), op=MPI.LOR) else "touches no other"
        raise InputError(name, list(regions), "regions that meet the rest of the domain", f"This one {what}.")
