"""Moving the nodes around the worst simplices of a cut mesh so that their angles get better. Plain arrays on one rank.

Every node of a bad simplex tries steps along the axes and towards the middle of its neighbours, on its surface and in
its faces of the cell, and keeps the one after which the worst simplex around it is best. No simplex gets worse than
the worst around the node was, so that the mesh stays valid; nodes that share a simplex move one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from homfem.meshing.arrays.raw_cell import Indices
from homfem.meshing.cut.background import sines
from homfem.meshing.cut.cutting import CutMesh, Flags, project
from homfem.meshing.cut.level_sets import LevelSet
from homfem.parameters import Array

#: Simplices with an angle below this, or above 180 degrees less this, are worked on; in degrees.
GOAL = {2: 26.0, 3: 16.0}
ROUNDS = 12


def smooth(mesh: CutMesh, functions: Sequence[LevelSet], *, on_surfaces: bool = True) -> None:
    """Improve the worst simplices; nodes on more than one surface and marked corners stay.

    Nodes on one surface slide on it, or stay as well (``on_surfaces=False``).
    """
    d = mesh.points.shape[1]
    goal = np.sin(np.radians(GOAL[d]))
    near = np.flatnonzero(mesh.on[mesh.cells].any(axis=(1, 2)))
    bad = near[sines(mesh.points[mesh.cells[near]]) < goal]
    size = 0.2
    for turn in range(ROUNDS):
        if not len(bad):
            return
        node = np.unique(mesh.representative[mesh.cells[bad]])
        node = node[~mesh.fixed[node] & (mesh.on[node].sum(axis=1) <= int(on_surfaces))]
        moved = _improve(mesh, functions, node, size)
        if moved < 0.05 * len(node):
            size *= 0.5
        if size < 0.01:
            return
        flag = np.zeros(len(mesh.points), dtype=bool)
        flag[mesh.representative[mesh.cells[bad]]] = True
        again = np.flatnonzero(flag[mesh.representative[mesh.cells]].any(axis=1)) if turn % 5 == 4 else bad
        bad = again[sines(mesh.points[mesh.cells[again]]) < goal]


def _improve(mesh: CutMesh, functions: Sequence[LevelSet], node: Indices, size: float) -> int:
    """One round of steps for the nodes; return how many moved."""
    d = mesh.points.shape[1]
    numbers = np.full(len(mesh.points), -1)
    numbers[node] = np.arange(len(node))
    place: Indices = numbers[mesh.representative]
    cells = np.flatnonzero((place[mesh.cells] >= 0).any(axis=1))
    row, corner = np.nonzero(place[mesh.cells[cells]] >= 0)
    owner = place[mesh.cells[cells][row, corner]]
    x = mesh.points[mesh.cells[cells]]
    now = _worst(sines(x)[row], owner, len(node))
    # Step length: of the shortest edge; middle of the neighbours: mean of the other corners around.
    others = x[row] - x[row, corner][:, None]
    away = np.linalg.norm(others, axis=2)
    away[away == 0.0] = np.inf
    shortest = np.full(len(node), np.inf)
    np.minimum.at(shortest, owner, away.min(axis=1))
    total = np.bincount(owner, minlength=len(node))
    sums = np.stack([np.bincount(owner, others[:, :, k].sum(axis=1), len(node)) for k in range(d)], axis=1)
    middle = np.asarray(sums / (d * total[:, None]), dtype=np.float64)
    steps = [sign * size * shortest[:, None] * np.eye(d)[k] for k in range(d) for sign in (1.0, -1.0)]
    steps += [middle, 0.4 * middle]
    best, choice = now.copy(), np.zeros((len(node), d))
    for step in steps:
        target, valid = _allowed(mesh, functions, node, step, shortest)
        change = target - mesh.points[node]
        trial = x[row].copy()
        trial[np.arange(len(row)), corner] += change[owner]
        # Two corners of a simplex never are images of one node, so that the others stay.
        then = np.where(valid, _worst(sines(trial), owner, len(node)), -np.inf)
        better = then > best
        best[better], choice[better] = then[better], change[better]
    gains = best > now + 1e-3
    if not gains.any():
        return 0
    # The worst go first: a node moves if no other that gains and shares a simplex with it is worse off.
    rank = np.full(len(node), len(node))
    rank[np.lexsort((np.arange(len(node)), now, ~gains))] = np.arange(len(node))
    rank[~gains] = len(node)
    of_cell = np.full(len(cells), len(node))
    np.minimum.at(of_cell, row, rank[owner])
    first = np.ones(len(node), dtype=bool)
    first[owner[rank[owner] > of_cell[row]]] = False
    wins = gains & first
    mesh.move(node[wins], mesh.points[node[wins]] + choice[wins])
    return int(wins.sum())


def _allowed(
    mesh: CutMesh, functions: Sequence[LevelSet], node: Indices, step: Array, shortest: Array
) -> tuple[Array, Flags]:
    """Places of the nodes after a step, on their surfaces and in their faces, and whether there are such places."""
    target = mesh.points[node] + mesh.part.within(step, mesh.planes[node])
    valid = np.ones(len(node), dtype=bool)
    curved = np.flatnonzero(mesh.on[node].any(axis=1))
    if len(curved):
        at = node[curved]
        planes = mesh.planes[at]
        target[curved], kept, valid[curved] = project(
            mesh, functions, target[curved], mesh.on[at], planes, 0.5 * shortest[curved]
        )
        valid[curved] &= (kept == planes).all(axis=1)
    return target, valid


def _worst(quality: Array, owner: Indices, count: int) -> Array:
    worst = np.full(count, np.inf)
    np.minimum.at(worst, owner, quality)
    return worst
