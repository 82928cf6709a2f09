"""What is measured and named on the distributed mesh of a cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import _dolfinx, periodic, solve
from homfem.meshing.arrays.facets import row_numbers
from homfem.meshing.topology.broadcast import Facts, MeshArrays
from homfem.parameters import Array, InputError, check_choice
from homfem.reference import CORNERS, FACETS

Slivers = tuple[npt.NDArray[np.int32], Array]

#: Facets on the period faces are named "period-1", "period-2", ... after the period vector that crosses them.
PERIOD = "period-"


def facet_name(label: str, given: str, facets: Iterable[str], also: Sequence[str] = ()) -> str:
    """Return the name that a cell has for facets, of an interface in either order of its phases.

    Parameters
    ----------
    label
        The parameter, for messages.
    given
        The name that was given.
    facets
        Those of the cell; faces of the period are not meant.
    also
        Further names that are allowed.

    Raises
    ------
    InputError
        If there is none of the name.
    """
    known = [name for name in facets if not name.startswith(PERIOD)]
    turned = "|".join(reversed(given.split("|")))
    return check_choice(label, turned if given not in known and turned in known else given, [*known, *also])


def facet_names(label: str, given: Iterable[str], facets: Iterable[str]) -> dict[str, str]:
    """Return for each name that was given that of the cell, as :func:`facet_name`; each once."""
    found: dict[str, str] = {}
    for one in given:
        name = facet_name(label, one, facets)
        if name in found.values():
            raise InputError(label, one, "named once: the order of the two phases does not matter")
        found[one] = name
    return found


def boundary_area(mesh: dmesh.Mesh, phase_of_cell: npt.NDArray[np.int32], phases: int) -> float:
    """Area of all boundaries of phases, of which there are so many, in mesh units; integrated on the mesh."""
    tag = fem.Function(solve.function_space(mesh, "DG", 0))
    tag.x.array[:] = phase_of_cell

    def outer() -> ufl.Form:
        return 1.0 * ufl.ds(domain=mesh)

    def every() -> ufl.Form:
        return ufl.conditional(ufl.ne(tag("+"), tag("-")), 1.0, 0.0) * ufl.dS(domain=mesh) + outer()

    name, build = ("outer area", outer) if phases == 1 else ("area", every)
    return solve.integrate(solve.compile_formula(name, build, solve.Terminals(mesh=mesh, functions=[tag])))


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
    periodic_mesh: periodic.PeriodicMesh, phase_of_cell: npt.NDArray[np.int32], facts: Facts, arrays: MeshArrays
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
    names = list(facts.phases.items())
    for i, (one, tag) in enumerate(names):
        for other, second in names[i + 1 :]:
            found = inner & (((first == tag) & (last == second)) | ((first == second) & (last == tag)))
            named[f"{one}|{other}"] = np.flatnonzero(found).astype(np.int32)
    # A facet is named by the identified input nodes at its corners, on every rank.
    corners = np.sort(periodic_mesh.input_vertex[:, FACETS[facts.kind]], axis=2)
    nodes = np.empty((count, corners.shape[2]), dtype=np.int64)
    nodes[mesh.topology.connectivity(dimension, dimension - 1).array] = corners.reshape(-1, corners.shape[2])
    for k, on_face in enumerate(arrays.face_nodes):
        flag = np.isin(nodes, on_face).all(axis=1)
        named[f"{PERIOD}{k + 1}"] = np.flatnonzero(flag).astype(np.int32)
    slivers = no_slivers()
    if len(arrays.facets):
        numbers = row_numbers(np.vstack([arrays.facets, nodes]))
        tagged, own = numbers[: len(arrays.facets)], numbers[len(arrays.facets) :]
        slivers = slivers_of(own, tagged, facts.phases, arrays, first)
        for name, tag in arrays.facet_names.items():
            named.setdefault(name, np.flatnonzero(np.isin(own, tagged[arrays.facet_tags == tag])).astype(np.int32))
    kept = {name: facets for name, facets in named.items() if mesh.comm.allreduce(len(facets), op=MPI.SUM)}
    return kept, slivers


def no_slivers() -> Slivers:
    """No facet stands for a curved surface."""
    return np.zeros(0, dtype=np.int32), np.zeros((0, 2))


def slivers_of(
    own: npt.NDArray[np.int64],
    tagged: npt.NDArray[np.int64],
    phases: Mapping[str, int],
    arrays: MeshArrays,
    phase: npt.NDArray[np.int32],
) -> Slivers:
    """Local facets that stand for a curved surface, and the volumes between the two.

    ``own`` and ``tagged`` number the local facets and those of the arrays alike; ``phase`` is that of the first cell at
    each local facet.
    """
    if arrays.slivers is None:
        return no_slivers()
    curved = np.flatnonzero(arrays.slivers.sum(axis=1) > 0.0)
    curved = curved[np.argsort(tagged[curved], kind="stable")]
    if not len(curved):
        return no_slivers()
    place = curved[np.clip(np.searchsorted(tagged[curved], own), 0, len(curved) - 1)]
    found = np.flatnonzero(tagged[place] == own)
    place = place[found]
    # The phase whose growth stands in the first column; -1 where it is not in this part of the cell.
    ahead = np.full(int(arrays.facet_tags.max()) + 1, -1)
    for name, tag in arrays.facet_names.items():
        one, bar, _ = name.partition("|")
        ahead[tag] = phases.get(one, -1) if bar else min(phases.values())
    volumes = arrays.slivers[place]
    turned = ahead[arrays.facet_tags[place]] != phase[found]
    volumes[turned] = volumes[turned][:, ::-1]
    return found.astype(np.int32), volumes
