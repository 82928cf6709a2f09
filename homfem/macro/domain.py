"""The domain of a macroscale model: a mesh with its unit, named regions and boundaries, and the axes of its fibres.

Regions are disjoint sets of cells, boundaries disjoint sets of facets; cells and facets without a name are allowed.
They come with a file or the arrays that made the mesh (:mod:`homfem.macro.domain_makers`), from
functions of position (:meth:`Domain.with_regions`, :meth:`Domain.with_boundaries`) or from tags of DOLFINx, and are the
same on any number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem, la
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem._dolfinx import geometry_dofmap
from homfem.macro.fibres import FibreFrame
from homfem.meshing.shapes.ventricles import BiVentricle, Ventricle
from homfem.parameters import Array, InputError, nearest_name
from homfem.quantities import LENGTH, check_unit
from homfem.ranks import collective
from homfem.solve import integrate

Indices = npt.NDArray[np.int32]
Where = Callable[[Array], npt.NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Domain:
    """A mesh with its unit, named regions and boundaries, and fibre axes.

    Parameters
    ----------
    mesh : dolfinx.mesh.Mesh
        Cells of the dimension of space.
    unit : str
        Unit of the coordinates.
    cell_tags, facet_tags : dolfinx.mesh.MeshTags or None
        Numbers of cells and facets, ghosts included; 0 is no name.
    regions, boundaries : mapping of str to int
        Name of each number.
    fibres : FibreFrame or None
        Axes of the fibres.
    shape : Ventricle, BiVentricle or None
        The ideal shape that the mesh is of, which rules of fibres may ask for; None of other meshes.

    Raises
    ------
    InputError
        For a unit that is no length, names without tags, two names of one number, or 0 with a name.
    """

    mesh: dmesh.Mesh
    unit: str
    cell_tags: dmesh.MeshTags | None = None
    regions: Mapping[str, int] = field(default_factory=dict)
    facet_tags: dmesh.MeshTags | None = None
    boundaries: Mapping[str, int] = field(default_factory=dict)
    fibres: FibreFrame | None = None
    shape: Ventricle | BiVentricle | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", check_unit("unit", self.unit, LENGTH))
        for what, names, tags, dimension in (
            ("regions", self.regions, self.cell_tags, self.dimension),
            ("boundaries", self.boundaries, self.facet_tags, self.dimension - 1),
        ):
            numbers = list(names.values())
            if len(set(numbers)) != len(numbers) or any(number == 0 for number in numbers):
                raise InputError(what, dict(names), "names with numbers that differ and are not 0")
            if names and (tags is None or tags.dim != dimension):
                raise InputError(what, dict(names), f"given with tags of dimension {dimension}")

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return int(self.mesh.topology.dim)

    @property
    def comm(self) -> MPI.Comm:
        """Communicator of the mesh."""
        return self.mesh.comm

    @property
    def region_of_cell(self) -> Indices:
        """Number of the region of each local cell, ghosts included; 0 without a name."""
        index_map = self.mesh.topology.index_map(self.dimension)
        numbers = np.zeros(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
        if self.cell_tags is not None:
            numbers[self.cell_tags.indices] = self.cell_tags.values
        return numbers

    def region(self, name: str, path: str = "region") -> int:
        """Return the number of a region; raise :class:`InputError` of ``path`` for a name that there is not."""
        return _number(path, name, self.regions, "region")

    def boundary(self, name: str, path: str = "boundary") -> int:
        """Return the number of a boundary; raise :class:`InputError` of ``path`` for a name that there is not."""
        return _number(path, name, self.boundaries, "boundary")

    def cells(self, name: str) -> Indices:
        """Return the local cells of a region, ghosts included."""
        return np.flatnonzero(self.region_of_cell == self.region(name)).astype(np.int32)

    def inside(self, name: str) -> Where:
        """Return a function of midpoints of cells, shape (3, n), that tells which are of a region.

        It serves meshes of parts of the domain as well, whose cells have other numbers.
        """
        from scipy.spatial import cKDTree

        cells = self.cells(name)
        points = dmesh.compute_midpoints(self.mesh, self.dimension, cells).reshape(-1, 3)
        size = float(np.ptp(np.asarray(self.mesh.geometry.x), axis=0).max(initial=0.0))
        tree = cKDTree(points) if len(points) else None

        def where(x: Array) -> npt.NDArray[np.bool_]:
            if tree is None:
                return np.zeros(x.shape[1], dtype=bool)
            return np.asarray(tree.query(x.T)[0] <= 1e-9 * size)

        return where

    def facets(self, name: str) -> Indices:
        """Return the local facets of a boundary, those of ghosts included."""
        number = self.boundary(name)
        return np.zeros(0, dtype=np.int32) if self.facet_tags is None else self.facet_tags.find(number)

    def dx(self, name: str | None = None, **options: Any) -> ufl.Measure:
        """Return the measure of the cells: all, or those of a region."""
        measure = ufl.Measure("dx", domain=self.mesh, subdomain_data=self.cell_tags, metadata=options or None)
        return measure if name is None else measure(self.region(name))

    def ds(self, name: str | None = None, **options: Any) -> ufl.Measure:
        """Return the measure of the outer facets: all, or those of a boundary."""
        measure = ufl.Measure("ds", domain=self.mesh, subdomain_data=self.facet_tags, metadata=options or None)
        return measure if name is None else measure(self.boundary(name))

    def cell_volumes(self) -> Array:
        """Return the volumes of the local cells, ghosts included; straight simplices only."""
        corners = np.asarray(self.mesh.geometry.x)[geometry_dofmap(self.mesh)][:, :, : self.dimension]
        if corners.shape[1] != self.dimension + 1:
            raise InputError("mesh", corners.shape[1], f"of straight simplices with {self.dimension + 1} nodes each")
        edges = corners[:, 1:] - corners[:, :1]
        return np.abs(np.linalg.det(edges)) / float(np.prod(np.arange(1, self.dimension + 1)))

    def volumes(self) -> dict[str, float]:
        """Return the volume of each region, and under ``""`` of the cells without a name, if any; collective."""
        owned = self.mesh.topology.index_map(self.dimension).size_local
        names = {"": 0} | dict(self.regions)
        numbers, volumes = self.region_of_cell[:owned], self.cell_volumes()[:owned]
        mine = np.array([volumes[numbers == number].sum() for number in names.values()])
        self.comm.Allreduce(MPI.IN_PLACE, mine, op=MPI.SUM)
        return {name: float(volume) for name, volume in zip(names, mine, strict=True) if name or volume > 0.0}

    def integral(self, expression: Any, region: str | None = None) -> float:
        """Return the integral of a UFL expression over a region, or over all; collective."""
        return integrate(expression * self.dx(region))

    def nodal(self, values: Mapping[str, float], space: fem.FunctionSpace, name: str = "values") -> Array:
        """Return a number per region as nodal values: the mean over the cells of a node, by their volumes; collective.

        Parameters
        ----------
        values
            A number for each region; ``"*"`` for all that are not named.
        space
            A scalar P1 space on the mesh.
        name
            Of the parameter, for messages.

        Returns
        -------
        array
            Values of the dofs that the rank owns.
        """
        owned = self.mesh.topology.index_map(self.dimension).size_local
        numbers = self.cell_values(values, name)[:owned, None] / (self.dimension + 1)
        return self.nodal_mean(space, np.repeat(numbers, self.dimension + 1, axis=1))

    def nodal_mean(self, space: fem.FunctionSpace, shares: Array) -> Array:
        r"""Return :math:`\int g\varphi_i / \int\varphi_i` at the owned nodes of a P1 space; collective.

        Parameters
        ----------
        space
            A scalar P1 space on the mesh.
        shares
            :math:`\int_T g\varphi_k / |T|` for each owned cell T and each of its corners, shape (cells, d + 1); for a
            constant g it is g / (d + 1).
        """
        owned, d = len(shares), self.dimension
        if space.dofmap.bs != 1 or space.dofmap.list.shape[1] != d + 1:
            raise InputError("space", str(space.ufl_element()), "scalar continuous Lagrange of degree 1 on simplices")
        dofs, volumes = np.asarray(space.dofmap.list)[:owned].ravel(), self.cell_volumes()[:owned]
        sums = [fem.Function(space), fem.Function(space)]
        whole = np.repeat(volumes / (d + 1), d + 1)
        for function, weights in zip(sums, ((volumes[:, None] * shares).ravel(), whole), strict=True):
            array = function.x.array
            array[:] = np.bincount(dofs, weights, minlength=len(array))
            function.x.scatter_reverse(la.InsertMode.add)
        size = space.dofmap.index_map.size_local
        return np.asarray(sums[0].x.array[:size] / sums[1].x.array[:size])

    def cell_values(self, values: Mapping[str, Any], name: str = "values") -> Array:
        """Return one value per region as an array over the local cells; refuse names, and cells without a value.

        Parameters
        ----------
        values
            A number or an array of one shape for each region; ``"*"`` for all cells of other regions or of none.
        name
            Of the parameter, for messages.
        """
        for key in values:
            if key != "*":
                self.region(key, name)
        arrays = {key: np.asarray(value, dtype=np.float64) for key, value in values.items()}
        number_of = self.region_of_cell
        self.require_all(number_of, arrays, name)
        shape = next(iter(arrays.values())).shape
        result = np.zeros((len(number_of), *shape))
        if "*" in arrays:
            result[:] = arrays["*"]
        for key, value in arrays.items():
            if key != "*":
                result[number_of == self.regions[key]] = value
        return result

    def require_all(self, number_of: Indices, given: Mapping[str, Any], name: str) -> None:
        """Refuse values that leave a region, or cells without a name, without one; collective."""
        missing = {key: number for key, number in self.regions.items() if key not in given}
        owned = self.mesh.topology.index_map(self.dimension).size_local
        counts = np.array([np.count_nonzero(number_of[:owned] == number) for number in (0, *missing.values())])
        self.comm.Allreduce(MPI.IN_PLACE, counts, op=MPI.SUM)
        left = [repr(key) for key, count in zip(missing, counts[1:], strict=True) if count]
        left += [f"{counts[0]} cells without a region"] * bool(counts[0])
        if "*" not in given and (left or not given):
            remedy = f'{", ".join(left) or "Every cell"} would have none; the name "*" stands for all others.'
            raise InputError(name, sorted(given), "a value for every region", remedy)

    def with_regions(self, regions: Mapping[str, Where]) -> Domain:
        """Return the domain with regions by position, in place of its own; collective.

        Parameters
        ----------
        regions
            For each name a function ``f(x) -> bool`` of midpoints of cells, x of shape (3, n).

        Raises
        ------
        InputError
            If two regions share a cell, or one has none.
        """
        index_map = self.mesh.topology.index_map(self.dimension)
        cells = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
        points = dmesh.compute_midpoints(self.mesh, self.dimension, cells).T
        numbers = self._located("regions", regions, points)
        tags = dmesh.meshtags(self.mesh, self.dimension, cells, numbers)
        return replace(self, cell_tags=tags, regions={name: k for k, name in enumerate(regions, start=1)})

    def with_rest(self, name: str) -> Domain:
        """Return the domain with one more region, of the cells without a name; itself where there are none. Collective.

        Raises
        ------
        InputError
            If a region has that name already.
        """
        numbers = self.region_of_cell
        if not self.comm.allreduce(bool((numbers == 0).any()), op=MPI.LOR):
            return self
        if name in self.regions:
            raise InputError("name", name, "another name than those of the regions")
        number = max(self.regions.values(), default=0) + 1
        cells = np.arange(len(numbers), dtype=np.int32)
        tags = dmesh.meshtags(
            self.mesh, self.dimension, cells, np.where(numbers == 0, number, numbers).astype(np.int32)
        )
        return replace(self, cell_tags=tags, regions={**self.regions, name: number})

    def with_boundaries(self, boundaries: Mapping[str, Where]) -> Domain:
        """Return the domain with boundaries by position, in place of its own; collective.

        Parameters
        ----------
        boundaries
            For each name a function ``f(x) -> bool`` of midpoints of the outer facets, x of shape (3, n).

        Raises
        ------
        InputError
            If two boundaries share a facet, or one has none.
        """
        d, topology = self.dimension, self.mesh.topology
        topology.create_connectivity(d - 1, d)
        topology.create_connectivity(d - 1, 0)
        facets = np.sort(np.asarray(dmesh.exterior_facet_indices(topology), dtype=np.int32))
        points = dmesh.compute_midpoints(self.mesh, d - 1, facets).T
        numbers = self._located("boundaries", boundaries, points)
        tags = dmesh.meshtags(self.mesh, d - 1, facets, numbers)
        return replace(self, facet_tags=tags, boundaries={name: k for k, name in enumerate(boundaries, start=1)})

    def with_fibres(self, fibres: FibreFrame | None) -> Domain:
        """Return the domain with the axes of fibres."""
        return replace(self, fibres=fibres)

    def _located(self, what: str, places: Mapping[str, Where], points: Array) -> Indices:
        numbers = np.zeros(points.shape[1], dtype=np.int32)
        counts = np.zeros(len(places), dtype=np.int64)
        with collective(self.comm):
            for k, (name, where) in enumerate(places.items(), start=1):
                inside = np.asarray(where(points))
                if inside.dtype != np.bool_ or inside.shape != numbers.shape:
                    allowed = "a function that says of each point whether it is inside"
                    raise InputError(f"{what}.{name}", (inside.dtype.name, inside.shape), allowed)
                both = inside & (numbers > 0)
                if both.any():
                    other = list(places)[int(numbers[both][0]) - 1]
                    place = points[: self.dimension, both][:, 0].tolist()
                    raise InputError(f"{what}.{name}", place, f"outside {other!r}, to which this place belongs")
                numbers[inside] = k
                counts[k - 1] = np.count_nonzero(inside)
        self.comm.Allreduce(MPI.IN_PLACE, counts, op=MPI.SUM)
        for name, count in zip(places, counts, strict=True):
            if not count:
                raise InputError(f"{what}.{name}", "no place", "one that some cell or outer facet has its midpoint in")
        return numbers


def _number(path: str, name: str, known: Mapping[str, int], what: str) -> int:
    if name not in known:
        allowed = f"the name of a {what}: " + (", ".join(map(repr, known)) or "there are none")
        raise InputError(path, name, allowed, nearest_name(str(name), list(known)))
    return known[name]
