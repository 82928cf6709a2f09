r"""A velocity that takes away what divergence a discrete flow has left: how large it is at the most.

The velocity u of Scott and Vogelius's element has as much divergence as the linear solver left. Here a velocity w of
the same space with :math:`\nabla\cdot w=\nabla\cdot u` is constructed, so that :math:`u-w` has none at all. No
inf-sup constant is assumed. Of the simplices K of the mesh before the split:

1. *Fluxes.* A tree joins the simplices of each part of the fluid across facets. Each simplex hands what flows out of
   it, :math:`m_K=\int_K\nabla\cdot u`, on towards the root; :math:`\varphi_F` is what the facet F carries. The
   root is left with the sum of all, which is zero, or lies at a mirror plane that the flow crosses. With the
   barycentric coordinates :math:`\lambda_i` of its corners

   .. math:: w_1=\sum_F\varphi_F\,\frac{N_d}{|F|}\,n_F\prod_{i\in F}\lambda_i ,\qquad N_2=6 ,\quad N_3=60 ,

   has the mean divergence of u in each K.
2. *In the simplices.* The rest q of the divergence has mean zero in each K, and some :math:`w_2` of the same degree
   that vanishes on the boundary of K has just this divergence (Zhang 2005; Guzman, Neilan 2018). On the regular simplex
   with edges 1 the smallest one is at most :math:`\|\nabla w_2\|\le C\|q\|`, :math:`|w_2|\le S\|q\|` at its nodes, with
   the singular values of a small matrix, :data:`REGULAR`; from there Piola's transform takes it to K.

:math:`w=w_1+w_2`.

Source: Zhang 2005, doi 10.1090/S0025-5718-04-01711-9; Guzman, Neilan 2018, doi 10.1137/17M1153467.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np
import ufl
from dolfinx import fem
from scipy.sparse import coo_array, eye_array
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.sparse.linalg import splu

from homfem import _dolfinx, periodic, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import on_root
from homfem.local.problem import Correctors
from homfem.meshing.arrays.facets import cell_facets
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.topology.percolation import shared_facets
from homfem.meshing.topology.walls import COINCIDE
from homfem.parameters import Array
from homfem.ranks import collective

#: C and S of the regular simplex with edges 1, rounded up, by dimension and degree of the velocity.
REGULAR = {(2, 2): (2.62, 0.90), (2, 3): (2.87, 0.96), (2, 4): (3.03, 0.98), (3, 3): (4.67, 3.02), (3, 4): (4.87, 3.69)}
#: One over the mean of the product of the barycentric coordinates of a facet's corners, over the facet.
_FLUX = {2: 6.0, 3: 60.0}
#: Mean over the simplex of the square of the product of d - 1 barycentric coordinates.
_SQUARE = {2: 1.0 / 6.0, 3: 1.0 / 210.0}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lift:
    r"""How large w is at the most, for each load.

    Parameters
    ----------
    energy : array, shape (loads,)
        Of :math:`\|\nabla w\|`.
    largest : array, shape (loads,)
        Of the components of w at the nodes.
    """

    energy: Array
    largest: Array


def lift(cell: UnitCell, split: UnitCell, correctors: Correctors, axes: Sequence[int]) -> Lift:
    """Bound the velocity with the divergence of each corrector; collective.

    Parameters
    ----------
    cell, split
        The cell, and the same split at the barycentres.
    correctors
        Of Scott and Vogelius's element on ``split``.
    axes
        Those of their unit forces.
    """
    degree = correctors.spaces[0].ufl_element().degree
    outflow, squares = (on_root(split, values) for values in _divergences(correctors))
    found = None
    with collective(cell.comm):
        if cell.raw is not None:
            shape = (len(cell.raw.cells), cell.dimension + 1, -1)
            means, squares = outflow.reshape(shape).sum(axis=1), squares.reshape(shape).sum(axis=1)
            found = _sizes(cell.raw, carried(cell, cell.raw, means, axes), squares, degree)
    result: Lift = cell.comm.bcast(found, root=0)
    return result


def _divergences(correctors: Correctors) -> tuple[Array, Array]:
    """Integrals of the divergence and of its square over each owned mesh cell, shape (cells, loads)."""
    mesh = correctors.problem.domain
    velocity, space = fem.Function(correctors.spaces[0]), solve.function_space(mesh, "DG", 0)
    forms = solve.compile_formulas(
        ("flow", "divergence"),
        lambda: [ufl.div(velocity) ** power * ufl.TestFunction(space) * ufl.dx for power in (1, 2)],
        solve.Terminals(mesh=mesh, spaces=[space], functions=[velocity]),
    )
    found: list[list[Array]] = [[], []]
    for u, _ in correctors.functions:
        velocity.x.array[:] = u.x.array
        for form, into in zip(forms, found, strict=True):
            vector = solve.assemble_vector(form)
            into.append(vector.array_r.copy())
            vector.destroy()
    return np.stack(found[0], axis=1), np.stack(found[1], axis=1)


def carried_fluxes(cell: UnitCell, outflow: Array) -> Array:
    """Return fluxes through facets that carry off what flows out of each simplex; collective.

    Sums and differences are all that is done to the numbers.

    Parameters
    ----------
    cell
        A whole cell.
    outflow : array, shape (owned mesh cells, loads)
        What flows out of each mesh cell; over each connected part its sum is zero.

    Returns
    -------
    array, shape (owned mesh cells, d + 1, loads)
        Outwards, through the facet opposite to each corner.
    """
    whole = on_root(cell, outflow)
    found = None
    with collective(cell.comm):
        if cell.raw is not None:
            found = carried(cell, cell.raw, whole, range(whole.shape[1]))
    result = cell.comm.bcast(found, root=0)
    return np.asarray(result[_dolfinx.original_cell_index(cell.mesh)[: len(outflow)]])


def carried(cell: UnitCell, raw: RawCell, means: Array, axes: Sequence[int]) -> Array:
    """What flows out of each mesh cell through each facet for each load, shape (cells, d + 1, loads)."""
    one, other, _ = shared_facets(raw, *periodic.identify_nodes(raw.points, raw.lattice, partial=True))
    places = raw.points[cell_facets(raw.corners, raw.kind).reshape(-1, raw.dimension)]
    flows = []
    for j, axis in enumerate(axes):
        # A force along the axis of mirror planes drives the flow across them.
        planes = np.array([end for mirror in cell.mirrors if mirror.axis == axis for end in (mirror.low, mirror.high)])
        near = np.abs(places[:, :, axis, None] - planes) < COINCIDE * raw.lattice.shortest
        exits = np.flatnonzero(near.all(axis=1).any(axis=1))
        flows.append(_along_tree(one, other, exits, means[:, j], raw.dimension + 1))
    return np.stack(flows, axis=1).reshape(len(raw.cells), raw.dimension + 1, len(axes))


def _along_tree(one: Indices, other: Indices, exits: Indices, means: Array, width: int) -> Array:
    """The same for one load, for all facets by number; ``exits`` are facets that the flow may leave through."""
    count = len(means)
    first, second = one // width, other // width
    parts, label = connected_components(_graph(first, second, count), directed=False)
    # One more vertex, joined to one cell of each part, by a facet where the flow leaves the part.
    root, way_out = np.unique(label, return_index=True)[1], np.full(parts, -1)
    root[label[exits // width]], way_out[label[exits // width]] = exits // width, exits
    outer = np.full(parts, count)
    graph = _graph(np.concatenate([first, outer]), np.concatenate([second, root]), count + 1)
    order, parent = breadth_first_order(graph, count, directed=False)
    place = np.argsort(order)
    child = order[1:]
    # What a cell hands on is what it has and what its children hand on: parents come first, the matrix is triangular.
    handed = coo_array((np.ones(count), (place[parent[child]], place[child])), shape=(count + 1, count + 1))
    sums = splu((eye_array(count + 1) - handed).tocsc(), permc_spec="NATURAL").solve(np.append(means, 0.0)[order])
    flux = sums[place]
    carried = np.zeros(count * width)
    inner = child[parent[child] != count]
    link = _found(inner, parent[inner], first, second)
    outwards = np.where(first[link] == inner, flux[inner], -flux[inner])
    carried[one[link]], carried[other[link]] = outwards, -outwards
    carried[way_out[way_out >= 0]] = flux[root[way_out >= 0]]
    return np.asarray(carried)


def _graph(first: Indices, second: Indices, count: int) -> coo_array:
    return coo_array((np.ones(len(first), dtype=np.int32), (first, second)), shape=(count, count))


def _found(one: Indices, other: Indices, first: Indices, second: Indices) -> Indices:
    """For each pair of one and other its place among the pairs of first and second, in whatever order they are."""
    factor = np.int64(max(first.max(initial=0), second.max(initial=0)) + 1)
    known = np.minimum(first, second) * factor + np.maximum(first, second)
    order = np.argsort(known, kind="stable")
    wanted = np.minimum(one, other) * factor + np.maximum(one, other)
    return np.asarray(order[np.searchsorted(known[order], wanted)])


def _sizes(raw: RawCell, carried: Array, squares: Array, degree: int) -> Lift:
    d = raw.dimension
    corners = raw.points[raw.corners]
    edges = np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2)
    slopes = np.linalg.inv(edges)
    slopes = np.linalg.norm(np.concatenate([-slopes.sum(axis=1, keepdims=True), slopes], axis=1), axis=2)
    volume = np.abs(np.linalg.det(edges)) / factorial(d)
    # Facet i is d |K| times the slope of its barycentric coordinate.
    speed = _FLUX[d] / (d * volume[:, None] * slopes)
    energy = speed * np.sqrt(_SQUARE[d] * volume)[:, None] * (slopes.sum(axis=1, keepdims=True) - slopes)
    across = np.einsum("mk,mkj->mj", energy, np.abs(carried))
    highest = np.einsum("mk,mkj->mj", speed * float(d) ** -d, np.abs(carried))
    stretches = np.linalg.svd(edges @ np.linalg.inv(_regular_edges(d)), compute_uv=False)
    rest = np.sqrt(squares) + across
    inverse, largest = REGULAR[d, degree]
    inside = inverse * (stretches[:, 0] / stretches[:, -1])[:, None] * rest
    highest += largest * (stretches[:, 0] / np.sqrt(stretches.prod(axis=1)))[:, None] * rest
    return Lift(energy=np.linalg.norm(across + inside, axis=0), largest=highest.max(axis=0))


def _regular_edges(d: int) -> Array:
    """Columns: edges from one corner of the regular simplex with edges 1."""
    return np.asarray(np.linalg.cholesky(0.5 * (np.eye(d) + 1.0)).T)
