r"""The part of a period that mirror images complete, for cells that are given by level-set functions.

A medium that is its own mirror image across planes :math:`x_k=0` is so across :math:`x_k=L_k/2` as well. If all axes
have such mirrors and exchanges of axes leave the medium as it is, then the planes :math:`x_i=x_j` are mirrors too. What
lies between all these planes, 1/2 to 1/48 of the period, is meshed alone (:mod:`homfem.meshing.cut.implicit`): its
nodes in the mirror planes, the walls, never leave them. The images of the part fill the period, with a mesh that is
symmetric by construction.

Whether the functions have the mirrors is looked at: at fixed points first, then at every node of the mesh.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from homfem.meshing.arrays.raw_cell import Indices, RawCell, cell_volumes, elements_of
from homfem.meshing.cut.level_sets import LevelSet, values
from homfem.meshing.topology.mirrors import NEAR, merged
from homfem.parameters import Array, CellError, InputError, Lattice

#: What ``mirrors`` may be beside a list of axes.
MIRRORS = ("none", "auto")
AXES = ("x", "y", "z")
#: Values of a function at mirror images differ by less than this times their range.
_ALIKE = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What is meshed of a period: all of it, or what lies between mirror planes.

    Parameters
    ----------
    lattice
        Period vectors; with mirrors a box along the axes.
    mirrored
        Axes with mirrors: the part lies between the planes at 0 and at half a period.
    exchanged
        Pairs (i, j), i < j, of mirrored axes that may change places: the part lies where :math:`x_i\\le x_j`. None, one
        pair, or all three.
    """

    lattice: Lattice
    mirrored: tuple[int, ...] = ()
    exchanged: tuple[tuple[int, int], ...] = ()

    @property
    def copies(self) -> int:
        """How many images make one period."""
        return (1 << len(self.mirrored)) * (1, 2, 0, 6)[len(self.exchanged)]

    @functools.cached_property
    def sides(self) -> Array:
        """Fractions of the period vectors that the part reaches along, shape (d,)."""
        return np.where(np.isin(np.arange(self.lattice.dimension), self.mirrored), 0.5, 1.0)

    @functools.cached_property
    def across(self) -> Array:
        """Unit normals of the planes of :meth:`planes_of`, shape (planes, d): faces of the box, then exchanges."""
        d = self.lattice.dimension
        faces = np.linalg.inv(self.lattice.vectors).T
        faces = faces / np.linalg.norm(faces, axis=1, keepdims=True)
        diagonals = np.zeros((len(self.exchanged), d))
        for row, (i, j) in zip(diagonals, self.exchanged, strict=True):
            row[[i, j]] = math.sqrt(0.5), -math.sqrt(0.5)
        return np.vstack([faces, diagonals])

    @functools.cached_property
    def walls(self) -> np.ndarray:
        """Which of the planes are mirrors, shape (planes,)."""
        d = self.lattice.dimension
        return np.concatenate([np.isin(np.arange(d), self.mirrored), np.ones(len(self.exchanged), dtype=bool)])

    def planes_of(self, points: Array) -> np.ndarray:
        """Return in which planes points lie, shape (n, planes)."""
        fractional = self.lattice.fractional(points)
        faces = (np.abs(fractional) < NEAR) | (np.abs(fractional - self.sides) < NEAR)
        diagonals = [np.abs(fractional[:, [i]] - fractional[:, [j]]) < NEAR for i, j in self.exchanged]
        return np.hstack([faces, *diagonals])

    def within(self, vectors: Array, planes: np.ndarray) -> Array:
        """Return the components of vectors, shape (n, d), within the planes of each, shape (n, planes)."""
        result, number = vectors.copy(), planes.sum(axis=1)
        single, several = np.flatnonzero(number == 1), np.flatnonzero(number > 1)
        if len(single):
            normal = self.across[planes[single].argmax(axis=1)]
            result[single] -= np.einsum("mx,mx->m", normal, vectors[single])[:, None] * normal
        if len(several):
            rows = planes[several][:, :, None] * self.across
            result[several] -= np.einsum("mxk,mky,my->mx", np.linalg.pinv(rows, rcond=1e-6), rows, vectors[several])
        return result

    def contains(self, points: Array) -> np.ndarray:
        """Return which points of the box lie in the part, shape (n,)."""
        inside = np.ones(len(points), dtype=bool)
        for i, j in self.exchanged:
            inside &= points[:, i] <= points[:, j]
        return inside

    def folded(self, points: Array) -> Array:
        """Return those images of points that lie in the part, each once; shape (k, d)."""
        fractional = self.lattice.fractional(points)
        fractional = fractional - np.floor(fractional + NEAR)
        axes = list(self.mirrored)
        fractional[:, axes] = np.minimum(fractional[:, axes], 1.0 - fractional[:, axes])
        if len(self.exchanged) == 1:
            pair = list(self.exchanged[0])
            fractional[:, pair] = np.sort(fractional[:, pair], axis=1)
        elif self.exchanged:
            fractional = np.sort(fractional, axis=1)
        _, first = np.unique(np.rint(fractional / NEAR), axis=0, return_index=True)
        return np.asarray(fractional[np.sort(first)] @ self.lattice.vectors)

    def images(self, points: Array) -> Iterator[Array]:
        """Give the points and their mirror images, one set after the other; the first are the points themselves."""
        d = self.lattice.dimension
        orders = [list(range(d))]
        if len(self.exchanged) == 1:
            (i, j) = self.exchanged[0]
            orders.append([j if k == i else i if k == j else k for k in range(d)])
        elif self.exchanged:
            orders = [list(order) for order in itertools.permutations(range(d))]
        for order in orders:
            for turned in itertools.product((False, True), repeat=len(self.mirrored)):
                image = points[:, order]
                for axis, turn in zip(self.mirrored, turned, strict=True):
                    if turn:
                        image[:, axis] = self.lattice.vectors[axis, axis] - image[:, axis]
                yield image

    def describe(self) -> str:
        """Return which share of the period is meshed."""
        if not self.mirrored:
            return "the period"
        return f"1/{self.copies} of the period, mirrors across " + ", ".join(AXES[k] for k in self.mirrored)


def find_part(functions: Sequence[LevelSet], lattice: Lattice, mirrors: str | Sequence[str]) -> Part:
    """Return the part of the period that has to be meshed.

    Parameters
    ----------
    functions
        Level-set functions.
    lattice
        Period vectors.
    mirrors
        ``"none"``; ``"auto"``: mirrors that the functions have; or the axes that are to have them, such as
        ``["x", "y"]``.

    Raises
    ------
    InputError
        For axes that are asked for and have no mirrors.
    """
    d = lattice.dimension
    whole = Part(lattice=lattice)
    if isinstance(mirrors, str) and mirrors == "none":
        return whole
    known = AXES[:d]
    if isinstance(mirrors, str) and mirrors != "auto":
        raise InputError("mirrors", mirrors, "'none', 'auto', or a list of axes such as ['x', 'y']")
    asked = [] if isinstance(mirrors, str) else list(mirrors)
    if not isinstance(mirrors, str) and (not asked or any(axis not in known for axis in asked)):
        raise InputError("mirrors", mirrors, f"'none', 'auto', or a list of axes out of {', '.join(known)}")
    sides = np.diag(lattice.vectors)
    if sides.min() <= 0.0 or np.abs(lattice.vectors - np.diag(sides)).max() > 0.0:
        if asked:
            raise InputError("mirrors", mirrors, "'none' where the period is no box along the axes")
        return whole
    fixed = np.modf(np.arange(1, 65)[:, None] * np.sqrt([2.0, 3.0, 5.0])[:d])[0] * sides
    found = []
    for axis in range(d):
        if asked and known[axis] not in asked:
            continue
        image = fixed.copy()
        image[:, axis] = sides[axis] - image[:, axis]
        different = _differs(functions, fixed, image)
        if different is None:
            found.append(axis)
        elif asked:
            raise _no_mirror(mirrors, *different, f"across the plane {known[axis]} = 0")
    pairs = []
    if len(found) == d:
        for i, j in itertools.combinations(range(d), 2):
            order = [j if k == i else i if k == j else k for k in range(d)]
            if sides[i] == sides[j] and _differs(functions, fixed, fixed[:, order]) is None:
                pairs.append((i, j))
    return Part(lattice=lattice, mirrored=tuple(found), exchanged=tuple(pairs))


def check_images(part: Part, functions: Sequence[LevelSet], points: Array) -> None:
    """Raise :class:`InputError` if a function differs between points of the part and their images."""
    for image in itertools.islice(part.images(points), 1, None):
        different = _differs(functions, points, image)
        if different is not None:
            raise _no_mirror("asked for", *different, "at mirror images of the nodes")


def _differs(functions: Sequence[LevelSet], points: Array, images: Array) -> tuple[int, Array] | None:
    """The first function that differs between points and images, and a point; None where all agree."""
    for number, phi in enumerate(functions):
        here, there = (values(phi, x, f"functions[{number}]") for x in (points, images))
        change = np.abs(there - here)
        if change.max() > _ALIKE * max(np.ptp(here), 1e-300):
            return number, points[change.argmax()]
    return None


def _no_mirror(mirrors: object, number: int, point: Array, where: str) -> InputError:
    place = np.array2string(point, precision=4)
    allowed = f"those of the functions; functions[{number}] at {place} is not its mirror image {where}"
    return InputError("mirrors", mirrors, allowed, "Leave mirrors out, or move the origin into the mirror planes.")


def completed(raw: RawCell, part: Part) -> RawCell:
    """Return the cell that the images of a part make, of any order.

    Parameters
    ----------
    raw
        The mesh of the part.
    part
        Its mirrors.

    Raises
    ------
    CellError
        If the mesh does not fill the part, so that its images do not fill the period.
    """
    if part.copies == 1:
        return raw
    filled = part.copies * float(cell_volumes(raw).sum()) / part.lattice.volume
    if abs(filled - 1.0) > 1e-9:
        raise CellError("mirrors", f"a mesh of {filled:.12g} of the part", "one of the whole part", "Mesh finer.")
    count, copies = len(raw.points), part.copies
    points = np.vstack(list(part.images(raw.points)))
    number = np.arange(len(points))
    seam = np.flatnonzero(np.tile(part.planes_of(raw.points)[:, part.walls].any(axis=1), copies))
    number[seam] = seam[merged(np.asarray(points[seam] / part.lattice.shortest, dtype=np.float64))]
    shift: Indices = count * np.arange(copies)[:, None, None]
    return replace(
        raw,
        points=points,
        cells=number[(raw.cells + shift).reshape(-1, raw.cells.shape[1])],
        phase_of_cell=np.tile(raw.phase_of_cell, copies),
        element=np.tile(elements_of(raw), copies),
        facets=number[(raw.facets + shift).reshape(-1, raw.facets.shape[1])],
        facet_tags=np.tile(raw.facet_tags, copies),
        slivers=None if raw.slivers is None else np.tile(raw.slivers, (copies, 1)),
    )
