"""Whether a mesh resolves the level sets that it was cut along: no part and no gap thinner than its cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from homfem.meshing.arrays.raw_cell import Indices
from homfem.meshing.arrays.refinement import PAIRS
from homfem.meshing.cut.cutting import CutMesh
from homfem.meshing.cut.level_sets import LevelSet, gradients, values
from homfem.parameters import Array, CellError

#: Cosine between the normal of a surface and an edge from which on the edge is said to leave its phase.
LEAVES = 0.6


class TooCoarseError(CellError):
    """A mesh too coarse for a surface at ``places``, shape (k, d), where the lengths of its edges are ``sizes``."""

    places: Array
    sizes: Array

    @classmethod
    def at(cls, places: Array, sizes: Array, name: str, value: object, allowed: str, remedy: str) -> TooCoarseError:
        """Return the error, whose words have the first of the places after ``value``."""
        error = cls(name, f"{value} near {np.array2string(places[0], precision=4)}", allowed, remedy)
        error.places, error.sizes = places, sizes
        return error


def require_resolved(mesh: CutMesh, functions: Sequence[LevelSet], names: Sequence[str]) -> None:
    """Refuse a mesh that closed a gap, joined or lost a part; see :func:`hidden_crossings`.

    Raises
    ------
    TooCoarseError
        Naming the phases and a place.
    CellError
        For a phase without cells.
    """
    remedy = "Choose a smaller resolution or more refinement there, or other sizes."
    for number, name in enumerate(names):
        if not np.any(mesh.region == number):
            raise CellError("functions", f"phase {name!r} without cells", "resolved by the mesh", remedy)
    for number in range(len(functions)):
        for inside in (True, False):
            bad, sizes = hidden_crossings(mesh, functions[number], number, inside=inside)
            if len(bad):
                what = f"a gap in {names[number]!r}" if inside else f"a part of {names[number]!r}"
                value = f"{what} thinner than the mesh, or a sharp corner of it,"
                raise TooCoarseError.at(bad, sizes, "functions", value, "resolved by the mesh", remedy)


def hidden_crossings(mesh: CutMesh, phi: LevelSet, number: int, *, inside: bool) -> tuple[Array, Array]:
    """Return the middles, shape (k, d), and lengths of edges that leave the region in which they are said to be.

    Parameters
    ----------
    mesh
        The mesh after all cuts.
    phi, number
        A function and its number.
    inside
        Whether to look at the edges of the region where the function is negative, or of those beyond it.

    Notes
    -----
    An edge of a chord leaves its phase too, by the height of the arc, almost along the surface. What is looked for goes
    out steeply: from a node on the surface, or from both of two nodes off it with a place between them where the sign
    is another.
    """
    side = 1.0 if inside else -1.0
    cells = mesh.cells[mesh.region == number if inside else mesh.region > number]
    if not len(cells):
        return mesh.points[:0], mesh.points[:0, 0]
    tail, head = _edges(cells, len(mesh.points))
    on = mesh.on[:, number]
    level = side * values(phi, mesh.points)
    level[on] = 0.0
    length = np.linalg.norm(mesh.points[head] - mesh.points[tail], axis=1)
    steepest = float((np.abs(level[head] - level[tail]) / length).max(initial=0.0))
    close = -(level[tail] + level[head]) < 1.5 * steepest * length
    tail, head, length = tail[close], head[close], length[close]
    ends = np.unique(np.concatenate([tail, head]))
    slope = np.zeros_like(mesh.points)
    slope[ends] = side * gradients(phi, mesh.points[ends], mesh.step)
    size = np.linalg.norm(slope, axis=1, keepdims=True)
    slope /= np.where(size > 0.0, size, 1.0)
    along = (mesh.points[head] - mesh.points[tail]) / length[:, None]
    out_of_tail = np.einsum("ex,ex->e", slope[tail], along)
    out_of_head = -np.einsum("ex,ex->e", slope[head], along)
    # A corner has no normal; a surface that ends on another one may leave it at any angle.
    smooth = on & ~mesh.fixed & (mesh.on.sum(axis=1) == 1)
    steep = (smooth[tail] & (out_of_tail > LEAVES)) | (smooth[head] & (out_of_head > LEAVES))
    both = ~on[tail] & ~on[head] & (out_of_tail > LEAVES) & (out_of_head > LEAVES)
    peak = np.full(len(tail), -np.inf)
    peak[both] = _highest(lambda x: side * values(phi, x), mesh.points[tail[both]], mesh.points[head[both]])
    bad = steep | (peak > 0.0)
    return np.asarray(0.5 * (mesh.points[tail] + mesh.points[head])[bad]), length[bad]


def _edges(cells: Indices, count: int) -> tuple[Indices, Indices]:
    first, second = PAIRS[cells.shape[1]]
    a, b = cells[:, first].ravel(), cells[:, second].ravel()
    keys = np.unique(np.minimum(a, b) * count + np.maximum(a, b))
    return keys // count, keys % count


def _highest(function: LevelSet, tail: Array, head: Array) -> Array:
    """Highest value between the ends of edges on which the function rises and then falls, by golden section."""
    ratio = 0.5 * (np.sqrt(5.0) - 1.0)
    low: Array = np.zeros(len(tail))
    high: Array = np.ones(len(tail))
    best: Array = np.full(len(tail), -np.inf)
    if not len(tail):
        return best

    def at(fraction: Array) -> Array:
        return np.asarray(function(tail + fraction[:, None] * (head - tail)))

    for _ in range(30):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        left, right = at(a), at(b)
        best = np.maximum(best, np.maximum(left, right))
        low, high = np.where(left < right, a, low), np.where(left < right, high, b)
    return best
