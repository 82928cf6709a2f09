"""Which unknowns of a field stay: those that live on its phases and are not fixed by walls or boundary conditions."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import dolfinx.la
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import Field
from homfem.meshing.topology.mirrors import Mirror
from homfem.meshing.topology.percolation import merged, part_of_cell
from homfem.parameters import Array, InputError
from homfem.ranks import collective

Indices = npt.NDArray[np.int32]
#: For each component of a field the axes on whose faces it is fixed.
Planes = tuple[tuple[int, ...], ...]


def faces(cell: UnitCell) -> list[Indices]:
    """Return for each period vector the local facets of the cell in space (``plain``) on its two faces; collective."""
    plain, lattice, d = cell.periodic_mesh.plain, cell.lattice, cell.dimension
    near = 1e-8
    low, high = extent(cell)
    if np.any(high - low > 1.0 + near):
        raise InputError(
            "cell", cell.name, "a parallelepiped of one period", "Boundary conditions other than periodic need one."
        )

    def on_face(k: int) -> Indices:
        def marker(x: Array) -> npt.NDArray[np.bool_]:
            place = lattice.fractional(x[:d].T)[:, k]
            return (np.abs(place - low[k]) < near) | (np.abs(place - low[k] - 1.0) < near)

        return np.asarray(dmesh.locate_entities_boundary(plain, d - 1, marker), dtype=np.int32)

    return [on_face(k) for k in range(d)]


def mirror_faces(cell: UnitCell, domain: dmesh.Mesh) -> list[Indices]:
    """Return for each axis the local facets on the mirror planes across it; collective."""
    result: list[Indices] = [np.zeros(0, dtype=np.int32)] * cell.dimension
    near = 1e-8 * cell.lattice.shortest
    for mirror in cell.mirrors:

        def marker(x: Array, mirror: Mirror = mirror) -> npt.NDArray[np.bool_]:
            place = x[mirror.axis]
            return (np.abs(place - mirror.low) < near) | (np.abs(place - mirror.high) < near)

        facets = dmesh.locate_entities_boundary(domain, cell.dimension - 1, marker)
        result[mirror.axis] = np.asarray(facets, dtype=np.int32)
    return result


def parts_in_space(cell: UnitCell) -> Indices:
    """Return for each local cell of ``plain`` the connected part that it is in, faces apart; collective."""
    numbers = None
    with collective(cell.comm):
        if cell.raw is not None:
            count = len(cell.raw.points)
            none = np.zeros((count, cell.dimension), dtype=np.int64)
            numbers = part_of_cell(merged(cell.raw), np.arange(count), none).astype(np.int32)
    return np.asarray(cell.comm.bcast(numbers, root=0)[_dolfinx.original_cell_index(cell.periodic_mesh.plain)])


def extent(cell: UnitCell) -> tuple[Array, Array]:
    """Return the smallest and the largest lattice coordinates of the nodes, each of shape (d,); collective."""
    d = cell.dimension
    fractional = cell.lattice.fractional(cell.periodic_mesh.plain.geometry.x[:, :d])
    low, high = np.empty(d), np.empty(d)
    cell.comm.Allreduce(fractional.min(axis=0, initial=np.inf), low, op=MPI.MIN)
    cell.comm.Allreduce(fractional.max(axis=0, initial=-np.inf), high, op=MPI.MAX)
    return low, high


class Walls:
    """The facets of a cell on which fields can be fixed, on the mesh of the forms."""

    def __init__(self, cell: UnitCell, domain: dmesh.Mesh, with_faces: bool) -> None:
        self.cell, self.domain = cell, domain
        d = cell.dimension
        domain.topology.create_connectivity(d - 1, d)
        exterior = dmesh.exterior_facet_indices(domain.topology)
        #: Facets on the two faces of each period, or on the two mirror planes; none on the torus.
        self.faces = faces(cell) if with_faces else mirror_faces(cell, domain) if cell.mirrors else []
        self.outer = np.unique(np.concatenate(self.faces)) if self.faces else np.zeros(0, dtype=np.int32)
        self.walls = np.setdiff1d(exterior, self.outer).astype(np.int32)
        self.phase_of_cell = cell.phase_of_cell
        if domain is not cell.mesh:
            self.phase_of_cell = np.empty_like(cell.phase_of_cell)
            self.phase_of_cell[cell.periodic_mesh.plain_cell] = cell.phase_of_cell

    @functools.cached_property
    def outer_tags(self) -> dmesh.MeshTags:
        """The faces of the cell, tagged 1."""
        return dmesh.meshtags(
            self.domain, self.cell.dimension - 1, self.outer, np.ones(len(self.outer), dtype=np.int32)
        )

    def outer_measure(self) -> ufl.Measure:
        """Return the measure of the faces of the cell.

        Raises
        ------
        InputError
            If the mesh leaves a part of a face out: no uniform flux can pass there.
        """
        d = self.cell.dimension
        measure = ufl.Measure("ds", domain=self.domain, subdomain_data=self.outer_tags, subdomain_id=1)
        one = fem.Constant(self.domain, 1.0)
        terminals = solve.Terminals(mesh=self.domain, constants=[one], tags=[self.outer_tags])
        area = solve.integrate(solve.compile_formula("area of faces", lambda: one * measure, terminals))
        vectors = self.cell.lattice.vectors
        minors = [np.delete(vectors, k, axis=0) for k in range(d)]
        full = 2.0 * sum(float(np.sqrt(np.linalg.det(rows @ rows.T))) for rows in minors)
        if abs(area - full) > 1e-8 * full:
            raise InputError(
                "boundary", "flux", "another one for a cell whose conducting phases do not fill its faces",
                "A uniform flux cannot pass through a hole in a face: move the cell so that the holes lie inside.",
            )  # fmt: skip
        return measure

    def kept(self, space: fem.FunctionSpace, field: Field, planes: Planes = ()) -> Indices | None:
        """Return the owned unknowns of a field that are not fixed, ascending; None for all of them; collective.

        Parameters
        ----------
        space
            The space of the field, or a coarser one of as many components.
        planes
            For each component the axes on whose faces it vanishes.
        """
        bs, owned = space.dofmap.bs, space.dofmap.index_map.size_local
        free = np.ones((owned, bs), dtype=bool)
        if field.phases:
            free &= self._inside(space, field.phases)[:owned, None]
        if field.fixed_walls:
            free[self._dofs(space, self.walls, owned)] = False
            others = [name for name in self.cell.phase_names if field.phases and name not in field.phases]
            if others:
                free &= ~self._inside(space, others)[:owned, None]
        if field.fixed_facets is not None:
            free[self._dofs(space, field.fixed_facets, owned)] = False
        for component, axes in enumerate(planes):
            for axis in axes:
                free[self._dofs(space, self.faces[axis], owned), component] = False
        everything = self.cell.comm.allreduce(bool(free.all()), op=MPI.LAND)
        return None if everything else np.flatnonzero(free.ravel()).astype(np.int32)

    def _dofs(self, space: fem.FunctionSpace, facets: Indices, owned: int) -> Indices:
        dofs = fem.locate_dofs_topological(space, self.cell.dimension - 1, facets)
        return dofs[dofs < owned]

    def _inside(self, space: fem.FunctionSpace, phases: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Whether a mesh cell of the phases has the unknown."""
        chosen = np.isin(self.phase_of_cell, [self.cell.phases[name] for name in phases])
        flag = fem.Function(space)
        bs = space.dofmap.bs
        for component in range(bs):
            flag.x.array[bs * space.dofmap.list[chosen].ravel() + component] = 1.0
        flag.x.scatter_reverse(dolfinx.la.InsertMode.add)
        return np.asarray(flag.x.array.reshape(-1, bs)[:, 0] > 0.0)
