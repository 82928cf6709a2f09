"""Corners of sections made exact, and corners of surfaces found. Plain arrays on one rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from homfem.meshing.cut.background import sines
from homfem.meshing.cut.cutting import FLAT, CutMesh, Flags
from homfem.meshing.cut.level_sets import LevelSet, slopes, values
from homfem.parameters import Array, CellError, InputError

#: Points of a triangle, most of them on its sides, where it is looked at on which side of a surface it lies.
_SAMPLES = np.array([[i, j, 8 - i - j] for i in range(9) for j in range(9 - i)]) / 8.0


def meet_corners(mesh: CutMesh, functions: Sequence[LevelSet], number: int, corners: Array) -> None:
    """Move a node into each corner of surface ``number``, right after its cut; plane cells only.

    Of the nodes near a corner that one is taken after whose move the fewest cells reach over the surface, and of these
    the one with which the worst cell is best. Where the sides are straight, the mesh then has them exactly.

    Raises
    ------
    InputError
        If the surface does not pass through a corner.
    CellError
        If cells reach over the surface still: the grid does not fit the corners.
    """
    off = np.abs(values(functions[number], corners)).max(initial=0.0)
    if off > 1e-9 * np.abs(values(functions[number], mesh.points)).max():
        raise InputError(f"corners[{number}]", corners, f"on the zero level of the function, which is {off:.3g} there")
    for corner in mesh.part.folded(corners):
        _meet_corner(mesh, functions[number], number, len(functions), corner)
    near = np.flatnonzero(mesh.on[mesh.cells, number].any(axis=1) & (mesh.region >= number))
    left = near[_reach_over(mesh, functions[number], mesh.points[mesh.cells[near]])[0]]
    if len(left):
        place = np.array2string(mesh.points[mesh.cells[left[0]]].mean(axis=0), precision=4)
        remedy = "Choose another resolution, or more refinement."
        raise CellError("functions", f"a corner near {place}", "one that the mesh can show", remedy)


def _reach_over(mesh: CutMesh, phi: LevelSet, x: Array) -> tuple[Flags, Flags]:
    """Whether cells with the corners x lie on both sides of a surface, and whether they lie inside in the mean."""
    level = values(phi, np.einsum("qk,mkx->mqx", _SAMPLES, x).reshape(-1, 2)).reshape(len(x), -1)
    tolerance = 1e-9 * mesh.lattice.shortest
    return (level.max(axis=1) > tolerance) & (level.min(axis=1) < -tolerance), level.mean(axis=1) < 0.0


def _meet_corner(mesh: CutMesh, phi: LevelSet, number: int, rest: int, corner: Array, candidates: int = 12) -> None:
    own = np.flatnonzero(mesh.representative == np.arange(len(mesh.points)))
    step = mesh.lattice.fractional(corner - mesh.points[own])
    step = (step - np.rint(step)) @ mesh.lattice.vectors
    order = np.argsort(np.linalg.norm(step, axis=1), kind="stable")[:candidates]
    reach = 2.0 * np.linalg.norm(step[order[-1]])
    close = np.zeros(len(mesh.points), dtype=bool)
    close[own] = np.linalg.norm(step, axis=1) < reach
    near = np.flatnonzero(close[mesh.representative[mesh.cells]].any(axis=1))
    nodes, open_ = mesh.representative[mesh.cells[near]], mesh.region[near] >= number
    others = np.delete(np.arange(mesh.on.shape[1]), number)
    # A node of a wall stays in it, and no other one gets there.
    walls = mesh.part.planes_of(corner[None])[0] & mesh.walls
    best, chosen = (len(near) + 1, 0.0), -1
    inside: Flags = np.zeros(0, dtype=bool)
    for index in order:
        node = own[index]
        star = (nodes == node).any(axis=1)
        if mesh.fixed[node] or mesh.on[node][others].any() or not open_[star].all():
            continue
        if np.any((mesh.planes[node] & mesh.walls) != walls):
            continue
        x = mesh.points[mesh.cells[near]] + np.where((nodes == node)[:, :, None], step[index], 0.0)
        over, within = _reach_over(mesh, phi, x)
        quality = float(sines(x).min())
        found = (int(np.count_nonzero(over & open_)), -quality)
        if quality > FLAT and found < best:
            best, chosen, inside = found, int(index), within
    if chosen < 0:
        return
    node = own[chosen]
    mesh.move(np.array([node]), mesh.points[[node]] + step[chosen])
    images = mesh.representative == node
    mesh.on[images, number] = mesh.fixed[images] = True
    mesh.planes[images] &= np.abs(mesh.across @ step[chosen]) < 1e-12 * mesh.lattice.shortest
    mesh.region[near[open_]] = np.where(inside[open_], number, rest)


def mark_kinks(mesh: CutMesh, functions: Sequence[LevelSet]) -> None:
    """Mark the nodes at which a surface has no normal, as where two spheres meet, as corners: they stay.

    There the slopes to one side and to the other differ by more than a tenth; of a smooth function they differ by the
    step times its curvature.
    """
    for number, phi in enumerate(functions):
        node = np.flatnonzero(mesh.on[:, number] & (mesh.representative == np.arange(len(mesh.points))))
        ahead, behind = slopes(phi, mesh.points[node], mesh.step)
        size = np.maximum(np.linalg.norm(ahead, axis=1), np.linalg.norm(behind, axis=1))
        mesh.fixed[node[np.linalg.norm(ahead - behind, axis=1) > 0.1 * size]] = True
    mesh.fixed = mesh.fixed[mesh.representative]
