"""What is measured and named on a cell: volume fractions, areas, facets by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import _dolfinx, periodic, solve
from homfem.meshing.arrays.raw_cell import row_numbers
from homfem.parameters import Array, Lattice
from homfem.reference import CORNERS, FACETS

Slivers = tuple[npt.NDArray[np.int32], Array]

#: Facets on the period faces are named "period-1", "period-2", ... after the period vector that crosses them.
PERIOD = "period-"


def on_cells(values: npt.NDArray[np.int32], number: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Values for the local cells; one value stands for all."""
    return values[number] if len(values) > 1 else np.full(len(number), values[0])


def measure(
    mesh: dmesh.Mesh,
    phase_of_cell: npt.NDArray[np.int32],
    phases: Mapping[str, int],
    lattice: Lattice,
    *,
    affine: bool = False,
) -> tuple[dict[str, float], float, float]:
    """Volume fraction of each phase, total area of the phase boundaries (mesh units), and the volume of all cells.

    One quadrature point is exact where the mesh cells are ``affine``.
    """
    rule = {"quadrature_degree": 0} if affine else {}
    dx, ds, jumps = (kind(domain=mesh, metadata=rule) for kind in (ufl.dx, ufl.ds, ufl.dS))
    constants = solve.function_space(mesh, "DG", 0)
    volumes = solve.assemble_vector(ufl.TestFunction(constants) * dx)
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    by_tag = np.bincount(phase_of_cell[:owned], weights=volumes.array_r[:owned], minlength=max(phases.values()) + 1)
    by_tag = mesh.comm.allreduce(by_tag, op=MPI.SUM)
    fractions = {name: float(by_tag[tag] / lattice.volume) for name, tag in phases.items()}
    tag = fem.Function(constants)
    tag.x.array[:] = phase_of_cell
    changes = ufl.conditional(ufl.ne(tag("+"), tag("-")), 1.0, 0.0)
    outer = 1.0 * ds
    area = solve.integrate(outer if len(phases) == 1 else changes * jumps + outer)
    return fractions, area, float(by_tag.sum())


def at_nodes(
    function: fem.Function, periodic_mesh: periodic.PeriodicMesh, count: int | None
) -> npt.NDArray[np.float64] | None:
    """Values of a function at the nodes of the arrays; ``count`` is their number on rank 0, None elsewhere.

    See :meth:`homfem.cells.unitcell.UnitCell.nodal_values`.
    """
    plain = periodic_mesh.plain
    there = function if function.function_space.mesh is plain else periodic_mesh.to_plain(function)
    shape = function.ufl_shape
    linear = fem.Function(solve.function_space(plain, "Lagrange", 1, shape))
    linear.interpolate(there)
    linear.x.scatter_forward()
    entries = linear.x.array.reshape(-1, *shape)[linear.function_space.dofmap.list].reshape(-1, *shape)
    corners = _dolfinx.geometry_dofmap(plain)[:, : CORNERS[str(plain.basix_cell().name)]]
    nodes = np.asarray(plain.geometry.input_global_indices)[corners]
    pairs = plain.comm.gather((nodes.ravel(), entries), root=0)
    if pairs is None or count is None:
        return None
    values = np.full((count, *shape), np.nan)
    for index, there_values in pairs:
        values[index] = there_values
    return values


def named_facets(
    periodic_mesh: periodic.PeriodicMesh, phase_of_cell: npt.NDArray[np.int32], head: Mapping[str, Any]
) -> tuple[dict[str, npt.NDArray[np.int32]], Slivers]:
    """Local facets of the torus by name (interfaces, period faces, the groups that the arrays name), and slivers."""
    mesh = periodic_mesh.mesh
    dimension = mesh.topology.dim
    mesh.topology.create_connectivity(dimension - 1, dimension)
    mesh.topology.create_connectivity(dimension, dimension - 1)
    links = mesh.topology.connectivity(dimension - 1, dimension)
    count = len(links.offsets) - 1
    first = phase_of_cell[links.array[links.offsets[:-1]]]
    last = phase_of_cell[links.array[links.offsets[1:] - 1]]
    inner = np.diff(links.offsets) == 2
    named: dict[str, npt.NDArray[np.int32]] = {}
    names = list(head["phases"].items())
    for i, (one, tag) in enumerate(names):
        for other, second in names[i + 1 :]:
            found = inner & (((first == tag) & (last == second)) | ((first == second) & (last == tag)))
            named[f"{one}|{other}"] = np.flatnonzero(found).astype(np.int32)
    # A facet is named by the identified input nodes at its corners, on every rank.
    corners = np.sort(periodic_mesh.input_vertex[:, FACETS[head["kind"]]], axis=2)
    nodes = np.empty((count, corners.shape[2]), dtype=np.int64)
    nodes[mesh.topology.connectivity(dimension, dimension - 1).array] = corners.reshape(-1, corners.shape[2])
    for k, on_face in enumerate(head["face_nodes"]):
        flag = np.isin(nodes, on_face).all(axis=1)
        named[f"{PERIOD}{k + 1}"] = np.flatnonzero(flag).astype(np.int32)
    slivers = no_slivers()
    if len(head["facets"]):
        numbers = row_numbers(np.vstack([head["facets"], nodes]))
        tagged, own = numbers[: len(head["facets"])], numbers[len(head["facets"]) :]
        slivers = slivers_of(own, tagged, head, first)
        for name, tag in head["facet_names"].items():
            named.setdefault(name, np.flatnonzero(np.isin(own, tagged[head["facet_tags"] == tag])).astype(np.int32))
    kept = {name: facets for name, facets in named.items() if mesh.comm.allreduce(len(facets), op=MPI.SUM)}
    return kept, slivers


def no_slivers() -> Slivers:
    """No facet stands for a curved surface."""
    return np.zeros(0, dtype=np.int32), np.zeros((0, 2))


def slivers_of(
    own: npt.NDArray[np.int64], tagged: npt.NDArray[np.int64], head: Mapping[str, Any], phase: npt.NDArray[np.int32]
) -> Slivers:
    """Local facets that stand for a curved surface, and the volumes between the two.

    ``own`` and ``tagged`` number the local facets and those of the arrays alike; ``phase`` is that of the first cell at
    each local facet.
    """
    if head["slivers"] is None:
        return no_slivers()
    curved = np.flatnonzero(head["slivers"].sum(axis=1) > 0.0)
    curved = curved[np.argsort(tagged[curved], kind="stable")]
    if not len(curved):
        return no_slivers()
    place = curved[np.clip(np.searchsorted(tagged[curved], own), 0, len(curved) - 1)]
    found = np.flatnonzero(tagged[place] == own)
    place = place[found]
    # The phase whose growth stands in the first column; -1 where it is not in this part of the cell.
    ahead = np.full(int(head["facet_tags"].max()) + 1, -1)
    for name, tag in head["facet_names"].items():
        one, bar, _ = name.partition("|")
        ahead[tag] = head["phases"].get(one, -1) if bar else min(head["phases"].values())
    volumes = head["slivers"][place]
    turned = ahead[head["facet_tags"][place]] != phase[found]
    volumes[turned] = volumes[turned][:, ::-1]
    return found.astype(np.int32), volumes
