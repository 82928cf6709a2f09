"""Short edges that a cut leaves, collapsed where the cells get no worse than wished. Plain arrays on one rank.

A collapse takes a node away: its cells get the other end of an edge in its place, and those that have both vanish. All
images of a node go together, along images of one edge. A node on a surface goes along the surface, one in a face of the
period within that. The cells around the node fill the same place afterwards if each keeps its orientation, which is
looked at; so phases keep their parts, and surfaces change by the chords of their edges alone. Collapses in one round
share no cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homfem.meshing.arrays.raw_cell import Indices
from homfem.meshing.arrays.refinement import PAIRS
from homfem.meshing.cut.background import sines
from homfem.meshing.cut.cutting import CutMesh, Flags
from homfem.meshing.cut.ears import surface_edges
from homfem.meshing.cut.level_sets import LevelSet, gradients
from homfem.parameters import Array

#: Least sine of an angle (dihedral in space) of cells after a collapse, unless they were worse before.
LEAST = {2: 0.35, 3: 0.22}
#: Largest angle between the normals at the ends of an edge on a surface, in degrees, by the order of the geometry.
TURN = {2: 40.0, 3: 40.0, 4: 60.0}
#: Edges longer than this times the longest one are not collapsed.
SHORT = 0.8
#: Most rounds; from which one on it ends if a round takes away less than a share of the nodes that are gone.
ROUNDS, FEW = 40, (8, 0.01)


def coarsen(
    mesh: CutMesh,
    functions: Sequence[LevelSet],
    phase: Indices,
    longest: float,
    order: int,
    kept: Flags | None = None,
) -> int:
    """Collapse edges of a mesh, the shortest first; return how many nodes were taken away.

    Parameters
    ----------
    mesh
        After its cuts.
    functions
        The level-set functions, for the normals at the nodes on their surfaces.
    phase
        That of each region.
    longest
        No edge becomes longer than this.
    order
        Degree of the geometry.
    kept : array of bool, shape (n,), optional
        Nodes that are not taken away, besides those that are fixed.
    """
    normal = _normals(mesh, functions)
    stays = mesh.fixed if kept is None else mesh.fixed | kept[mesh.representative]
    tried: Indices = np.zeros(0, dtype=np.int64)
    count = 0
    for turn in range(ROUNDS):
        found = _candidates(mesh, phase, longest, tried, stays)
        if not len(found.node):
            break
        good = _is_good(mesh, found, normal, longest, float(np.cos(np.radians(TURN[order]))))
        tried = np.concatenate([tried, found.key[~good]])
        chosen = good & _first(mesh, found, good)
        taken = _collapse(mesh, found, chosen)
        count += taken
        if turn >= FEW[0] and taken < FEW[1] * count:
            break
    return count


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """For some nodes of the torus the edge along which each may go.

    ``node`` are the nodes, ``length`` and ``key`` those of their edges; ``target`` gives for each node of the mesh the
    one that takes its place, -1 for none, and ``owner`` the number of its candidate. ``surface`` says which pairs of
    corners of each cell are edges on a surface.
    """

    node: Indices
    length: Array
    key: Indices
    target: Indices
    owner: Indices
    surface: Flags


def _normals(mesh: CutMesh, functions: Sequence[LevelSet]) -> Array:
    """Unit normals at the nodes on surfaces, of several the last one's, zero elsewhere; shape (n, d)."""
    normal = np.zeros_like(mesh.points)
    for number, phi in enumerate(functions):
        own = np.flatnonzero(mesh.on[:, number])
        normal[own] = gradients(phi, mesh.points[own], mesh.step)
    size = np.linalg.norm(normal, axis=1, keepdims=True)
    return np.asarray(normal / np.where(size > 0.0, size, 1.0))


def _candidates(mesh: CutMesh, phase: Indices, longest: float, tried: Indices, stays: Flags) -> _Candidates:
    """The shortest edge of each node along which it may go and which was not tried in vain."""
    n, d = mesh.points.shape
    first, second = PAIRS[d + 1]
    number, on = surface_edges(mesh, phase)
    surface = on[number]
    tail, head = mesh.cells[:, first].ravel(), mesh.cells[:, second].ravel()
    _, one = np.unique(np.minimum(tail, head) * n + np.maximum(tail, head), return_index=True)
    a: Indices = np.concatenate([tail[one], head[one]])
    b: Indices = np.concatenate([head[one], tail[one]])
    along = np.tile(surface.ravel()[one], 2)
    length = np.round(np.linalg.norm(mesh.points[a] - mesh.points[b], axis=1) / mesh.lattice.shortest, 9)
    step = mesh.offset[b] - mesh.offset[a] + 2
    key = (mesh.representative[a] * n + mesh.representative[b]) * 5**d + step @ (5 ** np.arange(d))
    used = np.zeros(n, dtype=bool)
    used[mesh.cells] = True
    images = np.bincount(mesh.representative[used], minlength=n)
    _, of_key, copies = np.unique(key, return_inverse=True, return_counts=True)
    able = (copies[of_key] == images[mesh.representative[a]]) & ~stays[a]
    able &= length < SHORT * longest / mesh.lattice.shortest
    able &= ~(mesh.planes[a] & ~mesh.planes[b]).any(axis=1) & ~(mesh.on[a] & ~mesh.on[b]).any(axis=1)
    able &= along | ~mesh.on[a].any(axis=1)
    able &= mesh.on[a].sum(axis=1) <= 1
    able &= ~np.isin(key, tried)
    a, b, key, length = a[able], b[able], key[able], length[able]
    # The shortest edge of each node of the torus, ties by the key; then all images of it.
    order = np.lexsort((key, length, mesh.representative[a]))
    node, place = np.unique(mesh.representative[a[order]], return_index=True)
    best = order[place]
    chosen = np.full(n, -1)
    chosen[node] = key[best]
    mine = chosen[mesh.representative[a]] == key
    target, owner, of_node = np.full(n, -1), np.full(n, -1), np.full(n, -1)
    of_node[node] = np.arange(len(node))
    target[a[mine]] = b[mine]
    owner[a[mine]] = of_node[mesh.representative[a[mine]]]
    return _Candidates(node, length[best], key[best], target, owner, surface)


def _is_good(mesh: CutMesh, found: _Candidates, normal: Array, longest: float, cosine: float) -> Flags:
    """Whether the cells around each candidate are as wished after its collapse alone."""
    d = mesh.points.shape[1]
    row, corner = np.nonzero(found.target[mesh.cells] >= 0)
    node = mesh.cells[row, corner]
    owner, new = found.owner[node], found.target[node]
    good = np.ones(len(found.node), dtype=bool)
    before = np.full(len(found.node), np.inf)
    np.minimum.at(before, owner, sines(mesh.points[mesh.cells[row]]))
    stays = (mesh.cells[row] != new[:, None]).all(axis=1)
    row, corner, node, owner, new = (x[stays] for x in (row, corner, node, owner, new))
    x = mesh.points[mesh.cells[row]]
    here = mesh.points[new]
    x[np.arange(len(row)), corner] = here
    with np.errstate(divide="ignore", invalid="ignore"):  # facets of no area
        bad = ~(sines(x) >= np.minimum(LEAST[d], before[owner]))
    others = np.arange(d + 1) != corner[:, None]
    bad |= (np.linalg.norm(x - here[:, None], axis=2) > longest * (1.0 + 1e-9)).any(axis=1)
    # Along surfaces the normal turns little; cells with all corners on one surface are not made.
    pair = _pair_of(d)[corner]
    along = np.where(others, found.surface[row[:, None], np.maximum(pair, 0)], False)
    turned = np.einsum("mkx,mx->mk", normal[mesh.cells[row]], normal[new]) < cosine
    bad |= (along & turned).any(axis=1)
    on = mesh.on[mesh.cells[row]]
    on[np.arange(len(row)), corner] = mesh.on[new]
    bad |= np.any(on.all(axis=1), axis=-1) & ~mesh.on[node].any(axis=1)
    good[owner[bad]] = False
    return good


def _pair_of(d: int) -> Indices:
    """Number of the pair of two corners, -1 for a corner with itself; shape (d + 1, d + 1)."""
    result = np.full((d + 1, d + 1), -1)
    for k, (i, j) in enumerate(zip(*PAIRS[d + 1], strict=True)):
        result[i, j] = result[j, i] = k
    return result


def _first(mesh: CutMesh, found: _Candidates, good: Flags) -> Flags:
    """Good candidates of which no two share a cell, and to which none can be added; the shortest edges go first."""
    corners = found.owner[mesh.cells]
    corners = corners[(corners >= 0).any(axis=1)]
    count = len(good)
    left, chosen = np.append(good, False), np.zeros(count + 1, dtype=bool)
    while left.any():
        own = np.flatnonzero(left)
        rank = np.full(count + 1, count)
        rank[own[np.lexsort((found.key[own], found.length[own]))]] = np.arange(len(own))
        of_corner = rank[corners]
        beaten = np.zeros(count + 1, dtype=bool)
        beaten[corners[of_corner > of_corner.min(axis=1)[:, None]]] = True
        wins = left & ~beaten
        chosen |= wins
        near = np.zeros(count + 1, dtype=bool)
        near[corners[wins[corners].any(axis=1)]] = True
        left &= ~near
        left[-1] = False
        corners = corners[left[corners].any(axis=1)]
    return chosen[:-1]


def _collapse(mesh: CutMesh, found: _Candidates, chosen: Flags) -> int:
    go = found.owner >= 0
    go[go] = chosen[found.owner[go]]
    target = np.where(go, found.target, np.arange(len(mesh.points)))
    cells = target[mesh.cells]
    first, second = PAIRS[cells.shape[1]]
    kept = (cells[:, first] != cells[:, second]).all(axis=1)
    mesh.cells, mesh.region = cells[kept], mesh.region[kept]
    return int(np.count_nonzero(chosen))
