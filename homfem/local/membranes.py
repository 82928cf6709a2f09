r"""Diffusion through phases that meet in membranes (Kapitza resistances): the potential jumps, the flux does not.

On a membrane :math:`\Gamma` of permeability h between two phases with the normal n out of the first,

.. math:: D_1\nabla u_1\cdot n = D_2\nabla u_2\cdot n = h\,(u_2-u_1) .

Phases in perfect contact form a group; each group has its own continuous field :math:`u_g`, which lives on its phases.
With :math:`u = \xi\cdot x+\chi`, :math:`\chi` periodic, the effective tensor is the minimum

.. math:: \xi\cdot D^*\xi = \min_\chi\frac1{|Y|}\Bigl[\sum_g\int_{Y_g}\nabla u_g\cdot D\nabla u_g
          + \sum_\Gamma\int_\Gamma h\,(u_2-u_1)^2\Bigr] ,

so that the energy of any continuous :math:`\chi_g` is an upper bound. The limits are :math:`h\to\infty`, perfect
contact, and :math:`h\to0`, phases that do not see each other.

**Units.** Outside h has the unit of D per ``cell.length_unit``; here, where lengths are in mesh units, it is
``h * cell.length``, in the unit of D.

Source: Hashin 2001, doi 10.1016/S0022-5096(01)00011-9 (the energy principles); Lipton, Vernescu 1996,
doi 10.1098/rspa.1996.0018 (bounds and limits).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from scipy.sparse.csgraph import connected_components

from homfem import _dolfinx, solve
from homfem.cells.features import facet_names
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import CellProblem, Field, element_of
from homfem.meshing.topology.faces import join
from homfem.meshing.topology.percolation import part_of_cell
from homfem.parameters import Array, InputError, check_choice, check_number
from homfem.ranks import collective

Indices = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Membranes:
    """The membranes of a cell, on its mesh.

    Parameters
    ----------
    groups
        The phases that are in perfect contact with each other, group by group.
    group_of_cell : array of int, shape (local cells,)
        Number of the group of each local mesh cell.
    facets : array of int, shape (n,)
        Local facets of the membranes that this rank owns, ascending.
    links
        The kinds of facets, the same on all ranks: the two groups on its sides, the smaller number first, and the
        permeability in mesh units.
    link_of_facet : array of int, shape (n,)
        For each of ``facets`` its number in ``links``.
    pieces : array of int, shape (n, 2)
        For each of ``facets`` the connected pieces (of mesh cells that membranes enclose) on its two sides, the smaller
        number first; the same numbers on all ranks.
    cell_tags, facet_tags
        ``group_of_cell`` and ``link_of_facet`` as mesh tags: one object for all the forms that are added up.
    """

    groups: tuple[tuple[str, ...], ...]
    group_of_cell: Indices
    facets: Indices
    links: tuple[tuple[int, int, float], ...]
    link_of_facet: Indices
    pieces: Indices
    cell_tags: dmesh.MeshTags
    facet_tags: dmesh.MeshTags

    @property
    def permeability_of_facet(self) -> Array:
        """Permeability of each of ``facets`` in mesh units."""
        return np.array([h for _, _, h in self.links])[self.link_of_facet]


def crossing_weight(cell: UnitCell, membranes: Membranes) -> float:
    r"""Return :math:`\sum\min_F\frac1{h|F|}`, the sum over pairs of neighbouring pieces; collective.

    A path from one place to another passes through each piece once at the most, and from one to the next through that
    facet F between the two which is best for it.
    """
    own = 1.0 / (membranes.permeability_of_facet * facet_areas(cell, membranes.facets))
    found = cell.comm.allgather((membranes.pieces, own))
    pieces, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    pairs, number = np.unique(pieces, axis=0, return_inverse=True)
    least = np.full(len(pairs), np.inf)
    np.minimum.at(least, number.ravel(), weights)
    return float(least.sum())


def crossing_strength(cell: UnitCell, membranes: Membranes) -> float:
    r"""Return :math:`\int_\Gamma h`, in mesh units; collective."""
    own = membranes.permeability_of_facet * facet_areas(cell, membranes.facets)
    return float(cell.comm.allreduce(own.sum(), op=MPI.SUM))


def _pieces(cell: UnitCell, group_of_phase: Indices) -> Indices:
    """The connected piece of each local mesh cell; facets between groups are membranes, all of them; collective."""
    numbers = None
    with collective(cell.comm):
        if cell.raw is not None:
            raw = cell.raw
            table = np.zeros(max(raw.phases.values()) + 1, dtype=np.int32)
            table[list(raw.phases.values())] = group_of_phase + 1
            groups = {str(g): int(g) for g in np.unique(group_of_phase + 1)}
            grouped = replace(raw, phases=groups, phase_of_cell=table[raw.phase_of_cell])
            joined = join(raw, faces=cell.faces, partial=True, origin=cell.origin)
            numbers = part_of_cell(grouped, *joined.nodes).astype(np.int32)
    return np.asarray(cell.comm.bcast(numbers, root=0)[_dolfinx.original_cell_index(cell.mesh)])


def facet_areas(cell: UnitCell, facets: Indices) -> Array:
    """Return the areas (lengths in 2D) of straight inner facets in mesh units, shape (n,)."""
    mesh, d = cell.mesh, cell.dimension
    links = mesh.topology.connectivity(d - 1, d)
    one = links.array[links.offsets[facets]]
    own = mesh.topology.connectivity(d, d - 1).array.reshape(-1, d + 1)[one]
    opposite = np.argmax(own == facets[:, None], axis=1)
    others = np.array([[j for j in range(d + 1) if j != k] for k in range(d + 1)])[opposite]
    nodes = mesh.geometry.x[np.take_along_axis(_dolfinx.geometry_dofmap(mesh)[one], others, axis=1)]
    edges = nodes[:, 1:] - nodes[:, :1]
    gram = edges @ edges.transpose(0, 2, 1)
    return np.asarray(np.sqrt(np.linalg.det(gram)) / (1.0 if d == 2 else 2.0))


def check_membranes(
    cell: UnitCell, phases: tuple[str, ...] | list[str], permeabilities: Mapping[str, float]
) -> dict[str, float]:
    """Return the permeabilities by the names that the facets have in the cell.

    Parameters
    ----------
    cell
        The cell.
    phases
        Those that conduct.
    permeabilities
        For each interface ``"a|b"`` (or ``"b|a"``) or group of named facets the permeability, > 0, in the unit of the
        coefficients per ``cell.length_unit``.

    Raises
    ------
    InputError
        For a name that is no interface between two of the phases, for one named twice, for a permeability that is not
        positive and finite.
    """
    if not permeabilities:
        return {}
    inactive = [name for name in cell.phase_names if name not in phases]
    result: dict[str, float] = {}
    for given, name in facet_names("membranes", permeabilities, cell.facets).items():
        value = permeabilities[given]
        idle = [phase for phase in name.split("|") if phase in inactive]
        if idle:
            raise InputError(
                f"membranes[{given!r}]", value, f"between phases that conduct: {idle[0]!r} has no coefficient"
            )
        remedy = (
            "For an interface that lets nothing through solve its two sides one by one, or leave one of them out; "
            "for perfect contact leave the membrane out."
        )
        result[name] = check_number(f"membranes[{given!r}]", value, above=0.0, remedy=remedy)
    return result


def find_membranes(cell: UnitCell, permeabilities: Mapping[str, float]) -> Membranes:
    """Return where the membranes of a cell are; collective.

    Named facets that lie on an interface with a membrane of its own have their own permeability.

    Parameters
    ----------
    cell
        Restricted to the phases that conduct.
    permeabilities
        From :func:`check_membranes`.

    Raises
    ------
    InputError
        If a membrane has the same group of phases on both sides (it ends inside), or is no inner boundary.
    """
    mesh, d = cell.mesh, cell.dimension
    names, values = list(permeabilities), list(permeabilities.values())
    number = np.full(max(cell.phases.values()) + 1, -1)
    number[list(cell.phases.values())] = np.arange(len(cell.phases))
    phase_of_cell = number[cell.phase_of_cell]
    beside = _cells_beside(mesh)
    sides = np.where(beside >= 0, phase_of_cell[beside], -1)
    membrane = _membrane_of_facet(cell, names, len(beside))
    groups, group_of_phase = _groups(cell, sides[(membrane < 0) & (sides[:, 0] >= 0)])
    on = np.flatnonzero(membrane >= 0)
    pairs = np.sort(np.where(sides[on] >= 0, group_of_phase[sides[on]], -1), axis=1)
    own = np.column_stack([membrane[on], pairs])
    kinds = np.unique(np.concatenate(cell.comm.allgather(np.unique(own, axis=0))), axis=0)
    _require_sides(kinds, permeabilities, groups)
    key = {tuple(kind): place for place, kind in enumerate(kinds.tolist())}
    facets, group_of_cell = on.astype(np.int32), group_of_phase[phase_of_cell].astype(np.int32)
    link_of_facet = np.array([key[kind] for kind in map(tuple, own.tolist())], dtype=np.int32)
    return Membranes(
        groups=groups,
        group_of_cell=group_of_cell,
        facets=facets,
        links=tuple((one, other, values[k] * cell.length) for k, one, other in kinds.tolist()),
        link_of_facet=link_of_facet,
        pieces=np.sort(_pieces(cell, group_of_phase)[beside[on]], axis=1),
        cell_tags=dmesh.meshtags(mesh, d, np.arange(len(group_of_cell), dtype=np.int32), group_of_cell),
        facet_tags=dmesh.meshtags(mesh, d - 1, facets, link_of_facet),
    )


def _cells_beside(mesh: dmesh.Mesh) -> npt.NDArray[np.int32]:
    """The two local cells at each owned facet; -1 where there is but one."""
    d = mesh.topology.dim
    mesh.topology.create_connectivity(d - 1, d)
    links = mesh.topology.connectivity(d - 1, d)
    beside = np.full((mesh.topology.index_map(d - 1).size_local, 2), -1, dtype=np.int32)
    inner = np.flatnonzero(np.diff(links.offsets[: len(beside) + 1]) == 2)
    beside[inner] = links.array[links.offsets[inner][:, None] + np.arange(2)]
    return beside


def _membrane_of_facet(cell: UnitCell, names: Sequence[str], owned: int) -> npt.NDArray[np.int64]:
    """The number of the membrane of each owned facet, -1 without; that of named facets replaces an interface's."""
    membrane = np.full(owned, -1)
    for k in sorted(range(len(names)), key=lambda k: "|" not in names[k]):
        facets = cell.facets.get(names[k], np.zeros(0, dtype=np.int32))
        membrane[facets[facets < owned]] = k
    return membrane


def _require_sides(
    kinds: npt.NDArray[np.int64], permeabilities: Mapping[str, float], groups: Sequence[Sequence[str]]
) -> None:
    """Refuse a membrane with the same group of phases on both sides, and one that is no inner boundary."""
    names = list(permeabilities)
    for k, one, other in kinds:
        if one == other or one < 0:
            joined = "|".join(groups[one]) if one >= 0 else ""
            raise InputError(
                f"membranes[{names[k]!r}]", permeabilities[names[k]],
                "with different phases on its two sides, which nowhere touch but in membranes"
                + (f"; {joined} are in perfect contact elsewhere" if joined else ""),
                "A membrane cannot end inside: give the other interfaces between them a permeability as well.",
            )  # fmt: skip
    missing = [name for k, name in enumerate(names) if not np.any(kinds[:, 0] == k)]
    if missing:
        raise InputError("membranes", missing[0], "between phases that conduct")


def _groups(
    cell: UnitCell, contacts: npt.NDArray[np.int64]
) -> tuple[tuple[tuple[str, ...], ...], npt.NDArray[np.int32]]:
    """The phases that touch without a membrane between them, and the group of each; in the order of the phases."""
    count = len(cell.phases)
    touching = np.zeros((count, count), dtype=np.int32)
    touching[contacts[:, 0], contacts[:, 1]] = 1
    touching = cell.comm.allreduce(touching, op=MPI.SUM)
    number, label = connected_components(touching, directed=False)
    names = list(cell.phases)
    groups = tuple(tuple(names[p] for p in np.flatnonzero(label == g)) for g in range(number))
    return groups, label.astype(np.int32)


def membrane_problem(
    cell: UnitCell, coefficient: fem.Function, membranes: Membranes, *, element: str = "Lagrange", degree: int = 2
) -> CellProblem:
    r"""Return the cell problem, one field for each group of phases.

    Parameters
    ----------
    cell
        Restricted to the phases that conduct; the identified backend.
    coefficient
        As :func:`homfem.local.diffusion.diffusion_coefficient` gives it.
    membranes
        From :func:`find_membranes` for this mesh.
    element, degree
        ``"Lagrange"`` (upper bound) or ``"CR"`` of degree 1 (lower bound: the jump is then taken in the middle of each
        facet, so that the flux :math:`h\,[u]` is constant on it, as that of the elements is).
    """
    check_choice("element", element, ("Lagrange", "CR"))
    mesh = cell.mesh
    dx, facets = measures(mesh, membranes, degree=1 if element == "CR" else None)
    # Constants, not numbers: the compiled form serves every permeability.
    links = [(one, other, fem.Constant(mesh, value)) for one, other, value in membranes.links]

    def bilinear(u: Any, v: Any) -> ufl.Form:
        form = sum(
            ufl.inner(times(coefficient, ufl.grad(a)), ufl.grad(b)) * part for a, b, part in zip(u, v, dx, strict=True)
        )
        for (one, other, h), part in zip(links, facets, strict=True):
            # Each field is continuous on the torus mesh (in the middle of the facets, with CR): avg is its trace.
            form += h * ufl.avg(u[other] - u[one]) * ufl.avg(v[other] - v[one]) * part
        return form

    return CellProblem(
        name="diffusion with membranes",
        fields=tuple(
            Field(element=element_of(cell, element, degree), phases=group, name="potential")
            for group in membranes.groups
        ),
        loads=cell.dimension,
        bilinear=bilinear,
        affine=lambda x, s: (ufl.dot(s, x),) * len(membranes.groups),
        smoother="incomplete-cholesky-throughout",  # pairs of unknowns that a large permeability ties
        parity=1 - 2 * np.eye(cell.dimension, dtype=int),
        flux=lambda u, _: times(
            coefficient, sum(part * ufl.grad(v) for part, v in zip(_indicators(cell, membranes), u, strict=True))
        ),
        domain=mesh,
        coefficients={"diffusivity": coefficient},
        given=[h for _, _, h in links],
        tags=(membranes.cell_tags, membranes.facet_tags),
        formula=("membranes", element, tuple((one, other) for one, other, _ in links)),
    )


def times(coefficient: Any, gradient: Any) -> Any:
    """Return the product of a coefficient, a number or a matrix, and a vector in UFL."""
    return coefficient * gradient if not coefficient.ufl_shape else ufl.dot(coefficient, gradient)


def group_numbers(cell: UnitCell, membranes: Membranes) -> fem.Function:
    """Return the number of the group on each mesh cell."""
    group = fem.Function(solve.function_space(cell.mesh, "DG", 0))
    group.x.array[:] = membranes.group_of_cell
    return group


def _indicators(cell: UnitCell, membranes: Membranes) -> list[Any]:
    """For each group the expression that is 1 there and 0 elsewhere."""
    group = group_numbers(cell, membranes)
    return [ufl.conditional(ufl.eq(group, float(g)), 1.0, 0.0) for g in range(len(membranes.groups))]


def measures(mesh: dmesh.Mesh, membranes: Membranes, degree: int | None = None) -> tuple[list[Any], list[Any]]:
    """Return ``dx`` of each group and ``dS`` of each link; of the latter the degree of the quadrature on request."""
    metadata = {} if degree is None else {"quadrature_degree": degree}
    dx = ufl.Measure("dx", domain=mesh, subdomain_data=membranes.cell_tags)
    facets = ufl.Measure("dS", domain=mesh, subdomain_data=membranes.facet_tags, metadata=metadata)
    return [dx(g) for g in range(len(membranes.groups))], [facets(k) for k in range(len(membranes.links))]


def gap_energy(
    membranes: Membranes,
    u: Any,
    sigma: Any,
    inverse: Any,
    load: Any,
    *,
    group: fem.Function,
    permeabilities: Sequence[fem.Constant],
) -> ufl.Form:
    r"""Return the form whose value is the distance of a potential from a flux.

    .. math:: \sum_g\int_{Y_g}(g-D^{-1}\sigma)\cdot D(g-D^{-1}\sigma)
              + \sum_\Gamma\int_\Gamma\frac1h\bigl(\sigma\cdot n - h\,(u_2-u_1)\bigr)^2 ,\qquad g = \xi+\nabla u_g ,

    less the first integral's term :math:`g\cdot Dg` and the second's :math:`h(u_2-u_1)^2`, which are the energy of u.
    ``group`` is that of :func:`group_numbers`, ``permeabilities`` are those of the links in mesh units.
    """
    mesh = group.function_space.mesh
    dx, facets = measures(mesh, membranes)
    across = times(inverse, sigma)
    form = sum(ufl.inner(sigma, across - 2 * (load + ufl.grad(v))) * part for v, part in zip(u, dx, strict=True))
    normal = ufl.FacetNormal(mesh)
    for (one, other, _), h, part in zip(membranes.links, permeabilities, facets, strict=True):
        turn = ufl.conditional(ufl.eq(group("+"), float(one)), 1.0, -1.0)
        through = turn * ufl.inner(sigma("+"), normal("+"))
        form += through * (through / h - 2 * ufl.avg(u[other] - u[one])) * part
    return form
