"""Where fields are sampled: points are located in cells once, regions are functionals of the dofs; on any ranks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem, geometry, la
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem._dolfinx import coordinate_map, geometry_dofmap
from homfem.parameters import Array, InputError
from homfem.ranks import collective
from homfem.solve import assemble_vector, fingerprint, integrate

Indices: TypeAlias = npt.NDArray[np.int32]
Region: TypeAlias = Indices | Callable[[Array], npt.NDArray[np.bool_]]
"""Local cells of the mesh of the fields, or a function of the midpoints (3, n) of the cells that tells which belong."""

_SAME = 1e-12  # relative: round-off of values at nodes
_INSIDE = 1e-8  # of the reference cell: round-off of coordinates


def locate(mesh: dmesh.Mesh, points: Array, among: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
    """Return the owned cell that holds each point, or -1: one cell of one rank for a point of the mesh. Collective.

    Of the cells that share a facet or a node, it is the one with the least numbers of nodes in the input, so that a
    field that jumps there has the same value on any number of ranks.

    Parameters
    ----------
    points
        Shape (n, 3), the same on every rank.
    among
        Which local cells count; None: all.
    """
    d, size = mesh.topology.dim, float(np.ptp(mesh.geometry.x, axis=0).max(initial=0.0))
    count = mesh.topology.index_map(d).size_local
    owned: Indices = np.arange(count, dtype=np.int32)
    if among is not None:
        owned = np.flatnonzero(among[:count]).astype(np.int32)
    nodes, inputs = geometry_dofmap(mesh), np.asarray(mesh.geometry.input_global_indices)
    best: list[tuple[tuple[int, ...], int] | None] = [None] * len(points)
    if owned.size:
        tree = geometry.bb_tree(mesh, d, entities=owned, padding=_INSIDE * size)
        near = geometry.compute_collisions_points(tree, np.ascontiguousarray(points))
        for number in range(len(points)):
            inside = [int(cell) for cell in near.links(number) if _holds(mesh, int(cell), points[number])]
            keys = [(tuple(sorted(inputs[nodes[cell]].tolist())), cell) for cell in inside]
            best[number] = min(keys, default=None)
    everyones = mesh.comm.allgather([None if entry is None else entry[0] for entry in best])
    cells = np.full(len(points), -1, dtype=np.int64)
    for number, mine in enumerate(best):
        least = min((keys[number] for keys in everyones if keys[number] is not None), default=None)
        if mine is not None and mine[0] == least:
            cells[number] = mine[1]
    return cells


def _holds(mesh: dmesh.Mesh, cell: int, point: Array) -> bool:
    """Tell whether a point lies in a cell, by its coordinates in the reference cell."""
    corners = np.ascontiguousarray(mesh.geometry.x[geometry_dofmap(mesh)[cell]][:, : mesh.geometry.dim])
    at = np.ascontiguousarray(point[None, : mesh.geometry.dim])
    map_ = coordinate_map(mesh)
    try:
        reference = map_.pull_back(at, corners)
    except RuntimeError:  # Newton's method did not come to an end: the point is far from the cell
        return False
    if np.abs(map_.push_forward(reference, corners) - at).max() > _INSIDE * np.ptp(corners, axis=0).max():
        return False  # beside a surface
    x, name = reference[0], mesh.topology.cell_name()
    if name in ("quadrilateral", "hexahedron"):
        within = x.max() <= 1.0 + _INSIDE
    elif name == "prism":
        within = x[0] + x[1] <= 1.0 + _INSIDE and x[2] <= 1.0 + _INSIDE
    else:
        within = x.sum() <= 1.0 + _INSIDE
    return bool(within and x.min() >= -_INSIDE)


def refuse_outside(meshes: Sequence[dmesh.Mesh], points: Mapping[str, Array], found: Sequence[bool], unit: str) -> None:
    """Raise :class:`InputError` for the first point that no mesh holds, with the node nearest to it. Collective.

    Parameters
    ----------
    found
        Whether some rank has found each point.
    """
    for (name, point), inside in zip(points.items(), found, strict=True):
        if inside:
            continue
        near = []
        for mesh in meshes:
            distance = np.linalg.norm(mesh.geometry.x - point, axis=1)
            if distance.size:
                k = int(distance.argmin())
                near.append((float(distance[k]), mesh.geometry.x[k].tolist()))
        gathered = [entry for entries in meshes[0].comm.allgather(near) for entry in entries]
        far, node = min(gathered)
        d = meshes[0].geometry.dim
        there, here = (_written(x, unit) for x in (node[:d], point[:d]))
        remedy = f"The nearest node is at {there}, {f'{far:.3g} {unit}'.rstrip()} away."
        raise InputError(f"points[{name!r}]", here, "a point of the domain", remedy)


def _written(point: Iterable[float], unit: str) -> str:
    return f"({', '.join(f'{x:.9g}' for x in point)}) {unit}".rstrip()


@dataclass(frozen=True, slots=True)
class PointValues:
    """The values of functions of one space at points, as sums over the dofs of the cells that hold them.

    Parameters
    ----------
    rows
        Which of the points this rank has.
    dofs, weights
        The dofs that count for each, (n, k), and the basis functions there, (n, k, components).
    """

    rows: npt.NDArray[np.int64]
    dofs: Indices
    weights: Array

    @classmethod
    def of(cls, space: fem.FunctionSpace, points: Array, cells: npt.NDArray[np.int64]) -> PointValues:
        """Evaluate the basis functions at the points, once."""
        rows = np.flatnonzero(cells >= 0)
        at, here = points[rows], cells[rows].astype(np.int32)
        block = space.dofmap.bs
        nodes = np.asarray(space.dofmap.list)[here]
        dofs = (nodes[:, :, None] * block + np.arange(block)).reshape(rows.size, nodes.shape[1] * block)
        basis = fem.Function(space)
        basis.x.array[:] = 0.0
        weights = np.zeros((*dofs.shape, components(space)))
        for row, col in np.ndindex(*dofs.shape):  # of a few points
            basis.x.array[dofs[row, col]] = 1.0
            weights[row, col] = basis.eval(at[row : row + 1], here[row : row + 1]).ravel()
            basis.x.array[dofs[row, col]] = 0.0
        whole = np.rint(weights)
        weights = np.where(
            np.abs(weights - whole) < 1e-14, whole, weights
        )  # at a node, the value there to the last bit
        return cls(rows, dofs.astype(np.int32), weights)

    def __call__(self, function: fem.Function) -> Array:
        """Return the values of a function at the points that this rank has, shape (n, components)."""
        return np.einsum("nk,nkc->nc", function.x.array[self.dofs], self.weights)


@dataclass(frozen=True, slots=True)
class RegionValues:
    """Integrals and extrema over the nodes of functions of one space in a region.

    Parameters
    ----------
    weights
        Integrals of the basis functions over the region, for each component, (components, n).
    counting
        The n owned dofs for which one of these is not zero.
    nodes
        For each component the owned dofs on cells of the region; empty if the dofs are no values at nodes.
    at, grain
        The coordinates of these nodes, (n, 3), and how close they are the same; the same on every rank.
    """

    weights: Array
    counting: npt.NDArray[np.int64]
    nodes: Sequence[Indices]
    at: Array
    grain: float

    @classmethod
    def of(cls, space: fem.FunctionSpace, cells: Indices) -> RegionValues:
        """Assemble the functionals, once; collective."""
        number, block = components(space), space.dofmap.bs
        dx = ufl.Measure("dx", domain=space.mesh, subdomain_data=[(1, cells)])(1)
        v = ufl.TestFunction(space)
        flat = [v] if number == 1 and v.ufl_shape == () else [v[index] for index in np.ndindex(*v.ufl_shape)]
        weights = np.array([assemble_vector(part * dx).array_r for part in flat])
        counting = np.flatnonzero(np.any(weights != 0.0, axis=0))  # others may have no value, in a bath
        weights = weights[:, counting]
        if not space.element.interpolation_ident:
            return cls(weights, counting, [], np.empty((0, 3)), 1.0)
        marks = la.vector(space.dofmap.index_map, 1, dtype=np.float64)
        marks.array[:] = 0.0
        marks.array[np.unique(np.asarray(space.dofmap.list)[cells])] = 1.0
        marks.scatter_reverse(la.InsertMode.add)
        nodes = np.flatnonzero(marks.array[: space.dofmap.index_map.size_local] > 0.0)
        at = np.asarray(space.tabulate_dof_coordinates())[nodes]
        size = space.mesh.comm.allreduce(float(np.abs(at).max(initial=0.0)), op=MPI.MAX)
        by_part = [(nodes * block + part).astype(np.int32) for part in range(number)]
        return cls(weights, counting, by_part, at, 1e-9 * size or 1.0)

    def sums(self, function: fem.Function) -> Array:
        """Return this rank's share of the integral of each component."""
        return np.asarray(self.weights @ function.x.array[self.counting])

    def extrema(self, function: fem.Function) -> tuple[Array, Array]:
        """Return the least and the largest nodal value of each component on this rank."""
        values = [function.x.array[part] for part in self.nodes]
        least = [float(part.min(initial=np.inf)) for part in values]
        return np.array(least), np.array([float(part.max(initial=-np.inf)) for part in values])

    def places(self, function: fem.Function, least: Array, largest: Array) -> tuple[Array, Array]:
        """Return where the least and the largest value of each component is, (components, 3); inf where not here.

        Of several nodes, where values and coordinates are the same up to round-off, it is that of the least first
        coordinate, then of the least second one, and so on.
        """
        found = np.full((2, len(self.nodes), 3), np.inf)
        for number, part in enumerate(self.nodes):
            values, extrema = function.x.array[part], (least[number], largest[number])
            for row, wanted in enumerate(extrema):
                points = self.at[np.abs(values - wanted) <= _SAME * np.abs(extrema).max()]
                if len(points):
                    found[row, number] = first_point(points, self.grain)
        return found[0], found[1]


def first_point(points: Array, grain: float) -> Array:
    """Return the first of the points (n, d) in lexicographic order; coordinates are the same that are as close."""
    return np.asarray(points[np.lexsort(np.rint(points / grain).T[::-1])[0]])


def components(space: fem.FunctionSpace) -> int:
    """Return the number of components of the values."""
    return int(np.prod(space.value_shape, dtype=np.int64))


def has_values(space: fem.FunctionSpace) -> bool:
    """Tell whether functions of a space have values at points: not those of quadrature and mixed spaces."""
    element: Any = space.ufl_element()
    return element.family_name != "quadrature" and not (space.num_sub_spaces > 0 and space.dofmap.bs == 1)


def owned_cells(mesh: dmesh.Mesh, name: str, region: Region) -> Indices:
    """Return the owned cells of a region; raise :class:`InputError` for what is none."""
    d = mesh.topology.dim
    owned = mesh.topology.index_map(d).size_local
    if callable(region):
        cells = np.arange(owned, dtype=np.int32)
        inside = np.asarray(region(dmesh.compute_midpoints(mesh, d, cells).T))
        if inside.shape != (owned,) or inside.dtype != np.bool_:
            raise InputError(
                f"regions[{name!r}]", inside.shape, f"a function with values of shape ({owned},), True or False"
            )
        return cells[inside]
    return np.unique(np.asarray(region, dtype=np.int32)[np.asarray(region) < owned])


def extent(mesh: dmesh.Mesh, name: str, region: Region) -> dict[str, Any]:
    """Return what tells a region from others on any ranks: a hash of the nodes of its cells. Collective."""
    cells = owned_cells(mesh, name, region)
    nodes = np.asarray(mesh.geometry.input_global_indices, dtype=np.int64)[geometry_dofmap(mesh)[cells]]
    return {"cells": int(mesh.comm.allreduce(len(cells))), "hash": fingerprint(mesh.comm, np.sort(nodes, axis=1))}


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Where a field has values: in which local cells of its mesh; None: in all of them, on every rank.

    A field has none in cells with a node at which it is not a number, such as the membrane potential in a bath.
    """

    space: fem.FunctionSpace
    cells: npt.NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, fields: Mapping[str, fem.Function]) -> dict[str, Held]:
        """Return where fields have values as they now are; the same object where they do so alike. Collective."""
        found: dict[str, Held] = {}
        for name, function in fields.items():
            here = cls._of(function)
            same = (other for other in found.values() if other._equals(here))
            found[name] = next(same, here)
        return found

    @classmethod
    def _of(cls, function: fem.Function) -> Held:
        space = function.function_space
        nothing = np.isnan(function.x.array)
        if not space.mesh.comm.allreduce(bool(nothing.any()), op=MPI.LOR):
            return cls(space)
        block, nodes = space.dofmap.bs, np.asarray(space.dofmap.list)
        at_node = nothing.reshape(-1, block).any(axis=1)
        return cls(space, ~at_node[nodes].any(axis=1))

    def _equals(self, other: Held) -> bool:
        """Tell whether both are of one space and in the same cells, on every rank; collective."""
        if self.space is not other.space or (self.cells is None) != (other.cells is None):
            return False
        if self.cells is None or other.cells is None:
            return True
        return bool(self.space.mesh.comm.allreduce(np.array_equal(self.cells, other.cells), op=MPI.LAND))

    def within(self, cells: Indices) -> Indices:
        """Return those of the cells in which it has values."""
        return cells if self.cells is None else cells[self.cells[cells]]


def sample_points(
    comm: MPI.Comm, fields: Mapping[str, fem.Function], points: Mapping[str, Array], unit: str
) -> dict[str, tuple[PointValues, list[int]]]:
    """Return for each field how its values at points come about, and at which points it has values. Collective.

    Raises
    ------
    InputError
        For a point that no mesh holds, and one at which no field has values.
    """
    at = np.array([*points.values()]).reshape(-1, 3)
    held = Held.of(fields)
    located: dict[int, tuple[PointValues, list[int]]] = {}
    for entry in held.values():
        if id(entry) not in located:
            cells = locate(entry.space.mesh, at, entry.cells)
            there = np.array(cells >= 0, dtype=np.int64)
            comm.Allreduce(MPI.IN_PLACE, there, op=MPI.MAX)
            rows = [int(row) for row in np.flatnonzero(there)]
            located[id(entry)] = PointValues.of(entry.space, at, cells), rows
    anywhere = {row for _, rows in located.values() for row in rows}
    missed = {name: point for row, (name, point) in enumerate(points.items()) if row not in anywhere}
    if missed:
        meshes = list({id(entry.space.mesh): entry.space.mesh for entry in held.values()}.values())
        places = np.array([*missed.values()])
        inside = np.max([comm.allreduce(np.array(locate(mesh, places) >= 0), op=MPI.MAX) for mesh in meshes], axis=0)
        refuse_outside(meshes, missed, inside.tolist(), unit)
        (name, point) = next(iter(missed.items()))
        shown = _written(point[: meshes[0].geometry.dim], unit)
        remedy = "There is no membrane in a bath: take a point of the tissue, or keep phi_e as well."
        raise InputError(f"points[{name!r}]", shown, f"a point at which {' or '.join(fields)} has a value", remedy)
    return {name: located[id(entry)] for name, entry in held.items()}


def sample_regions(
    comm: MPI.Comm,
    fields: Mapping[str, fem.Function],
    regions: Mapping[str, Region],
    statistics: Mapping[str, Sequence[str]],
) -> dict[tuple[str, str], tuple[RegionValues, float]]:
    """Return for each region and field its functionals and the measure of the region, if the field is there.

    Of a region where a field has values in some cells alone, these count. Collective.

    Raises
    ------
    InputError
        For a region without cells on any mesh or without values, and for extrema of a field without values at nodes.
    """
    found: dict[tuple[str, str], tuple[RegionValues, float]] = {}
    held = Held.of(fields)
    for (name, entry), (key, region) in itertools.product(held.items(), regions.items()):
        same = next((other for other in held if held[other] is entry and (key, other) in found), None)
        if same is not None:
            found[key, name] = found[key, same]
            continue
        mesh = entry.space.mesh
        with collective(comm):
            cells = entry.within(owned_cells(mesh, key, region))
        if not comm.allreduce(cells.size):
            continue
        values = RegionValues.of(entry.space, cells)
        if not values.nodes and {"minimum", "maximum"} & set(statistics[key]):
            remedy = "Ask for the statistics mean and integral alone, or for other fields."
            raise InputError("statistics", list(statistics[key]), f"without extrema: {name!r} has no nodes", remedy)
        measure = ufl.Measure("dx", domain=mesh, subdomain_data=[(1, cells)])(1)
        found[key, name] = values, integrate(1.0 * measure)
    for key in regions:
        if not any(key == entry for entry, _ in found):
            allowed = f"a region with at least one cell of the mesh in which {' or '.join(fields)} has values"
            raise InputError(f"regions[{key!r}]", "no cells", allowed)
    return found
