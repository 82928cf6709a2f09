r"""Straight facets on curved surfaces: what lies between the two, and nodes moved so that the volumes agree.

The height :math:`t(x)` of the surface above a facet is the distance along the facet's normal n, pointing out of the
phase of the surface: :math:`\varphi(x+t\,n)=0`. Its integral over the facet is what the phase lacks there. A node on
the surface is moved along the surface's normal :math:`\nu` by the mean of that over its facets,

.. math:: \delta_i = \frac{\sum_{f\ni i}\int_f t}{\sum_{f\ni i}|f|\,n_f\cdot\nu_i},

which makes the volumes right to fourth order in the mesh size, where nodes on the surface leave an error of second
order.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.raw_cell import Indices
from homfem.meshing.cut.cutting import CutMesh, Flags
from homfem.meshing.cut.level_sets import LevelSet, gradients, values
from homfem.parameters import Array, InputError


@dataclass(frozen=True, slots=True, eq=False)
class Interface:
    """The facets between regions, each once on the torus.

    Parameters
    ----------
    nodes : array of int, shape (f, d)
        Nodes of the facet as the cell of the lower region has them.
    image : array of int, shape (f, d)
        As the cell of the higher region has them; other nodes where the facet is on a face of the cell.
    apex : array of int, shape (f,)
        The node of the cell of the lower region that is opposite to the facet.
    low, high : array of int, shape (f,)
        The regions; the facet lies on surface ``low``.
    """

    nodes: Indices
    image: Indices
    apex: Indices
    low: Indices
    high: Indices


def interface(mesh: CutMesh, phase: Indices) -> Interface:
    """Return the facets between regions of different phases; ``phase`` gives the phase of each region."""
    d = mesh.points.shape[1]
    near = np.flatnonzero(mesh.on[mesh.cells].any(axis=2).sum(axis=1) >= d)
    facets = cell_facets(mesh.cells[near], "triangle" if d == 2 else "tetrahedron")
    touching: Flags = mesh.on[facets].any(axis=3).min(axis=2)
    cell, opposite = np.nonzero(touching)
    nodes, apex, region = facets[cell, opposite], mesh.cells[near][cell, opposite], mesh.region[near][cell]
    number = row_numbers(np.sort(mesh.representative[nodes], axis=1))
    order = np.lexsort((region, number))
    pair = np.flatnonzero(
        (number[order][1:] == number[order][:-1]) & (phase[region[order]][1:] != phase[region[order]][:-1])
    )
    one, other = order[pair], order[pair + 1]
    return Interface(nodes[one], nodes[other], apex[one], region[one], region[other])


def normals_and_areas(points: Array, nodes: Indices, apex: Indices) -> tuple[Array, Array]:
    """Return the unit normals of facets, pointing away from ``apex``, and their areas (lengths in the plane)."""
    x = points[nodes]
    if points.shape[1] == 2:
        along = x[:, 1] - x[:, 0]
        normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
    else:
        normal = 0.5 * np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0])
    area = np.linalg.norm(normal, axis=1)
    normal *= np.sign(np.einsum("fx,fx->f", normal, x[:, 0] - points[apex]))[:, None]
    return normal / area[:, None], area


def heights(mesh: CutMesh, functions: Sequence[LevelSet], faces: Interface, count: int = 4) -> tuple[Array, Array]:
    """Return the heights of the surfaces above points of their facets, shape (f, q), and weights that sum to 1."""
    place, weight = _points_on_simplex(mesh.points.shape[1] - 1, count)
    x = np.einsum("qk,fkx->fqx", place, mesh.points[faces.nodes])
    normal, area = normals_and_areas(mesh.points, faces.nodes, faces.apex)
    found = np.zeros(x.shape[:2])
    limit, step = 0.5 * area ** (1.0 / (mesh.points.shape[1] - 1)), mesh.step
    for number, phi in enumerate(functions):
        own = np.flatnonzero(faces.low == number)
        if not len(own):
            continue
        base = x[own].reshape(-1, x.shape[2])
        along = np.repeat(normal[own], len(weight), axis=0)
        ahead_of = step * along
        bound = np.repeat(limit[own], len(weight))
        height: Array = np.zeros(len(base))
        for _ in range(4):
            here = base + height[:, None] * along
            level, ahead, behind = values(phi, np.vstack([here, here + ahead_of, here - ahead_of])).reshape(3, -1)
            slope = ahead - behind
            slope[slope == 0.0] = np.inf
            height = np.clip(height - 2.0 * step * level / slope, -bound, bound)
        found[own] = height.reshape(-1, len(weight))
    return found, weight


@functools.cache
def _points_on_simplex(dimension: int, count: int) -> tuple[Array, Array]:
    """Barycentric points and weights on a segment or triangle: Gauss-Legendre, collapsed in the second case."""
    nodes, weights = (0.5 * array for array in np.polynomial.legendre.leggauss(count))
    nodes = nodes + 0.5
    if dimension == 1:
        points = np.stack([1.0 - nodes, nodes], axis=1)
    else:
        u, v = (g.ravel() for g in np.meshgrid(nodes, nodes, indexing="ij"))
        weights = 2.0 * np.outer(weights * (1.0 - nodes), weights).ravel()
        points = np.stack([u, (1.0 - u) * v, (1.0 - u) * (1.0 - v)], axis=1)
    for kept in (points, weights):  # they are the next caller's too
        kept.setflags(write=False)
    return points, weights


@dataclass(frozen=True, slots=True, eq=False)
class Normals:
    """Where the nodes of the interface may be moved, and what moving them does.

    Parameters
    ----------
    node : array of int, shape (k,)
        Representatives of the nodes that lie on one surface only.
    surface : array of int, shape (k,)
        Its number.
    direction : array, shape (k, d)
        Moved by this, a node moves by one along the normal of the surface; in the faces of the cell where it can. Nodes
        that their walls do not let move are left out.
    normal : array, shape (k, d)
    """

    node: Indices
    surface: Indices
    direction: Array
    normal: Array


def normals(mesh: CutMesh, functions: Sequence[LevelSet], faces: Interface) -> Normals:
    """Return the normals of the surfaces at the nodes of the facets that lie on one surface."""
    node = np.unique(mesh.representative[faces.nodes])
    node = node[(mesh.on[node].sum(axis=1) == 1) & ~mesh.fixed[node]]
    surface = mesh.on[node].argmax(axis=1)
    normal = np.zeros((len(node), mesh.points.shape[1]))
    for number, phi in enumerate(functions):
        own = surface == number
        normal[own] = gradients(phi, mesh.points[node[own]], mesh.step)
    size = np.linalg.norm(normal, axis=1, keepdims=True)
    normal /= np.where(size > 0.0, size, 1.0)
    # In the faces of the cell where the surface crosses them steeply enough, in the walls in any case.
    bound = mesh.part.within(normal, mesh.planes[node])
    leaves = np.einsum("mx,mx->m", bound, bound) <= 0.25
    mesh.planes[node[leaves]] &= mesh.walls
    mesh.planes = mesh.planes[mesh.representative]
    bound = mesh.part.within(normal, mesh.planes[node])
    square = np.einsum("mx,mx->m", bound, bound)
    moves = square > 0.25
    return Normals(node[moves], surface[moves], (bound / np.maximum(square, 0.25)[:, None])[moves], normal[moves])


def shift(mesh: CutMesh, where: Normals, amount: Array) -> None:
    """Move the nodes by the given distances along the normals."""
    mesh.move(where.node, mesh.points[where.node] + amount[:, None] * where.direction)


def conserve(mesh: CutMesh, functions: Sequence[LevelSet], faces: Interface, where: Normals, rounds: int = 3) -> None:
    """Move the nodes so that what lies outside of the facets balances what lies inside, facet by facet in the mean."""
    n = len(mesh.points)
    nodes = mesh.representative[faces.nodes]
    normal_of = np.zeros((n, mesh.points.shape[1]))
    normal_of[where.node] = where.normal
    for _ in range(rounds):
        height, weight = heights(mesh, functions, faces)
        normal, area = normals_and_areas(mesh.points, faces.nodes, faces.apex)
        lack = np.broadcast_to((area * (height @ weight))[:, None], nodes.shape)
        gain = area[:, None] * np.einsum("fx,fkx->fk", normal, normal_of[nodes])
        total = np.bincount(nodes.ravel(), weights=lack.ravel(), minlength=n)[where.node]
        rate = np.bincount(nodes.ravel(), weights=gain.ravel(), minlength=n)[where.node]
        shift(mesh, where, np.where(rate > 0.0, total / np.where(rate > 0.0, rate, 1.0), 0.0))


def slivers(mesh: CutMesh, functions: Sequence[LevelSet], faces: Interface) -> Array:
    """Return for each facet the volume where the true lower region is larger than its mesh, and where it is smaller."""
    height, weight = heights(mesh, functions, faces, count=8)
    area = normals_and_areas(mesh.points, faces.nodes, faces.apex)[1]
    return np.stack([area * (np.maximum(side * height, 0.0) @ weight) for side in (1.0, -1.0)], axis=1)


def phase_volumes(mesh: CutMesh, chosen: Indices | Flags, phase: Indices) -> Array:
    """Return the volume of each phase within the chosen cells."""
    x = mesh.points[mesh.cells[chosen]]
    volume = np.abs(np.linalg.det(x[:, 1:] - x[:, :1])) / math.factorial(mesh.points.shape[1])
    number = phase[mesh.region[chosen]]
    # Pairwise sums: a running one would lose the last digits of many cells.
    return np.array([volume[number == k].sum() for k in range(int(phase.max()) + 1)])


def meet_volumes(
    mesh: CutMesh, faces: Interface, where: Normals, targets: Mapping[int, float], names: Sequence[str], phase: Indices
) -> None:
    """Move the surfaces of each phase k of ``targets`` along their normals until it has that volume.

    By one distance, but less where the facets are smaller than in the mean, in proportion: a narrow gap stays open.
    ``names`` are those of the phases, ``phase`` gives the phase of each region (and of the surface of that number).

    Raises
    ------
    InputError
        If a surface would have to be moved by more than a tenth of its mesh size: the volume is not that of the
        function.
    """
    count, cell_volume = len(names), mesh.lattice.volume / mesh.part.copies
    number = np.array(sorted(targets))
    wanted = np.array([targets[k] for k in number])
    moving = np.zeros(len(mesh.points), dtype=bool)
    moving[where.node] = True
    near: Flags = moving[mesh.representative[mesh.cells]].max(axis=1)
    far = phase_volumes(mesh, ~near, phase)
    nodes = mesh.representative[faces.nodes]
    d = mesh.points.shape[1]
    total = np.zeros(count)
    scale = _relative_sizes(mesh, faces)[where.node]
    for _ in range(12):
        gap = wanted - np.add(far, phase_volumes(mesh, near, phase))[number]
        if np.abs(gap).max() <= 2e-15 * cell_volume * max(1.0, math.sqrt(near.sum()) / 10):
            return
        normal, area = normals_and_areas(mesh.points, faces.nodes, faces.apex)
        direction = np.zeros((len(mesh.points), d))
        direction[where.node] = scale[:, None] * where.direction
        rate = area / d * np.einsum("fx,fkx->f", normal, direction[nodes])
        growth = np.zeros((count, count))  # of a phase (row) with the surfaces of another (column)
        np.add.at(growth, (phase[faces.low], phase[faces.low]), rate)
        np.add.at(growth, (phase[faces.high], phase[faces.low]), -rate)
        step = np.linalg.lstsq(growth[np.ix_(number, number)], gap, rcond=None)[0]
        total[number] += step
        size = area[np.isin(phase[faces.low], number)].mean() ** (1.0 / (d - 1))
        if np.abs(total).max() > 0.1 * size:
            bad = number[np.abs(total[number]).argmax()]
            found = np.add(far, phase_volumes(mesh, near, phase))[bad] / cell_volume
            raise InputError(
                f"fractions[{names[bad]!r}]",
                targets[bad] / cell_volume,
                f"the volume fraction of the level set; the mesh of size {size:.2g} has {found:.9g}",
                "Correct the fraction, or mesh finer.",
            )
        by_phase = np.zeros(count)
        by_phase[number] = step
        shift(mesh, where, scale * by_phase[phase[where.surface]])


def _relative_sizes(mesh: CutMesh, faces: Interface) -> Array:
    """Those of the facets at each node (representatives); 1 without facets."""
    size = normals_and_areas(mesh.points, faces.nodes, faces.apex)[1] ** (1.0 / (faces.nodes.shape[1] - 1))
    return relative_sizes(mesh.representative[faces.nodes], size, len(mesh.points))


def relative_sizes(nodes: Indices, size: Array, count: int) -> Array:
    """Return the mean size of the facets at each node over that of all facets, 1 at most; 1 without facets.

    Parameters
    ----------
    nodes : array of int, shape (m, k)
        Those of each facet.
    size : array, shape (m,)
        Of the facets.
    count
        Number of nodes.
    """
    number = np.bincount(nodes.ravel(), minlength=count)
    total = np.bincount(nodes.ravel(), np.repeat(size, nodes.shape[1]), count)
    return np.where(number > 0, np.minimum(1.0, total / np.maximum(number, 1) / size.mean()), 1.0)
