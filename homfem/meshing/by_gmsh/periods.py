"""The periods that a Gmsh model says by itself: ``Periodic Surface {..} = {..} Translate {..}``, and ``$Periodic``."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.raw_cell import Indices
from homfem.parameters import Array, Lattice, PeriodicityError

#: Lengths are the same when they differ by less, relative to the size of the cell.
_SAME = 1e-6
#: A side of the box that is the period but for round-off is taken for it, relative.
_BOX = 1e-9


def lattice_of_model(dimension: int, given: Lattice | None) -> Lattice | None:
    """Return the lattice of the cell in the current Gmsh model, which has a mesh; None where nothing tells it.

    The model may tell translations from one part of its boundary to another; those between two flat and opposite sides
    of its hull are periods. Where these are along axes, and fewer, the others are the sides of the bounding box.

    Parameters
    ----------
    dimension
        2 or 3.
    given
        The lattice that is known by other means: it must have these translations.

    Raises
    ------
    PeriodicityError
        If the translations are not those of the given lattice, or of none; if there are too few of them, and not along
        axes.
    """
    tags, points, hull = _nodes(dimension)
    found = _translations(dimension, tags, points, hull)
    if given is not None:
        for shift in found:
            if len(shift) != given.dimension or not _steps(given, shift):
                allowed = f"a lattice with the translation {_shown(shift)}, which Periodic in the file says"
                raise PeriodicityError("lattice", given.vectors.tolist(), allowed, "Give that, or leave it out.")
        return given
    if not found:
        return None
    lattice = Lattice(vectors=_completed(found, np.ptp(hull[:, :dimension], axis=0)))
    if not all(_steps(lattice, shift) for shift in found):
        remedy = "Give the period vectors that are meant: period = [[...], ...]."
        raise PeriodicityError("Periodic", "; ".join(map(_shown, found)), "translations of one lattice", remedy)
    return lattice


def check_unmoved(gmsh: Any, path: Path) -> None:
    """Refuse a mesh whose nodes do not lie as its section ``$Periodic`` says: Gmsh moves them there as it reads them.

    The file is read once more without that section, if it has one.

    Raises
    ------
    PeriodicityError
        With the node that would be moved most.
    """
    data = path.read_bytes()
    start, end = data.rfind(b"\n$Periodic"), data.rfind(b"$EndPeriodic")
    if not 0 <= start < end:
        return
    found = []
    with tempfile.TemporaryDirectory(prefix="homfem-") as folder:
        bare, whole = Path(folder) / "bare.msh", Path(folder) / "whole.msh"
        bare.write_bytes(data[: start + 1] + data[end + len(b"$EndPeriodic") :].lstrip())
        whole.symlink_to(path.resolve())
        current = gmsh.model.getCurrent()
        for file in (bare, whole):
            gmsh.model.add("read once more")
            try:
                gmsh.merge(str(file))
                tags, coordinates, _ = gmsh.model.mesh.getNodes()
                found.append(coordinates.reshape(-1, 3)[np.argsort(tags, kind="stable")])
            finally:
                gmsh.model.remove()
                gmsh.model.setCurrent(current)
    one, other = found
    off = np.abs(one - other).max(axis=1) if one.shape == other.shape else np.zeros(0)
    size = float(np.ptp(one, axis=0).max()) if len(off) else 0.0
    if len(off) and off.max() > _SAME * size:
        worst = int(off.argmax())
        allowed = f"where Periodic of the file says, at {_shown(other[worst])}"
        remedy = "Translate does not fit the mesh; a file without $Periodic is read as it is."
        raise PeriodicityError("Periodic", f"node at {_shown(one[worst])}", allowed, remedy)


def _steps(lattice: Lattice, shift: Array) -> bool:
    """Whether a translation is made of whole periods, and of some."""
    steps = lattice.fractional(shift)
    return bool(np.abs(steps - np.rint(steps)).max() <= _SAME and np.rint(steps).any())


def _nodes(dimension: int) -> tuple[Indices, Array, Array]:
    """Tags of all nodes in order, their points, and the points of the cells."""
    import gmsh

    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    order = np.argsort(tags, kind="stable")
    tags, points = tags[order].astype(np.int64), coordinates.reshape(-1, 3)[order]
    of_cells = gmsh.model.mesh.getElements(dimension)[2]
    used = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *of_cells]).astype(np.int64))
    return tags, points, points[np.isin(tags, used)]


def _translations(dimension: int, tags: Indices, points: Array, hull: Array) -> list[Array]:
    """Return the translations across the hull, between flat sides, each once, the shorter first; shape (dimension,)."""
    import gmsh

    size = float(np.ptp(hull, axis=0).max(initial=0.0)) if len(hull) else 0.0
    found: list[Array] = []
    for dim, tag in gmsh.model.getEntities(dimension - 1):
        master, nodes, masters, affine = gmsh.model.mesh.getPeriodicNodes(dim, tag)
        if master == tag or not len(nodes) or not np.isin(np.append(nodes, masters), tags).all():
            continue
        here, there = (points[np.searchsorted(tags, np.asarray(own, dtype=np.int64))] for own in (nodes, masters))
        said = _translation(affine)
        if said is None and len(affine):
            continue  # a rotation
        gaps = here - there
        shift = gaps.mean(axis=0) if said is None else said
        moved = bool(np.abs(gaps - shift).max() <= _SAME * size)  # else what is not told is no translation
        if not (moved and _across(here, shift, hull, size)):
            continue
        one = shift[:dimension]
        one = one if one[int(np.argmax(np.abs(one)))] > 0.0 else -one
        if not any(np.abs(one - other).max() <= _SAME * size for other in found):
            found.append(one)
    return sorted(found, key=lambda shift: float(np.linalg.norm(shift)))


def _translation(affine: npt.ArrayLike) -> Array | None:
    """Return the vector of an affine map that moves all points alike; else None."""
    matrix = np.asarray(affine, dtype=np.float64)
    if matrix.size != 16:
        return None
    matrix = matrix.reshape(4, 4)
    return matrix[:3, 3].copy() if np.abs(matrix[:3, :3] - np.eye(3)).max() < 1e-9 else None


def _across(side: Array, shift: Array, hull: Array, size: float) -> bool:
    """Whether some points lie in a plane (in 2D on a line) that bounds the hull, and a shift leads to its other end."""
    middle = side.mean(axis=0)
    d = 2 if np.ptp(hull[:, 2]) <= 1e-10 * size else 3
    _, spread, axes = np.linalg.svd((side - middle)[:, :d], full_matrices=True)
    if len(spread) == d and spread[-1] > _SAME * size:
        return False
    level, step = (hull - middle)[:, :d] @ axes[-1], abs(float(shift[:d] @ axes[-1]))
    outer = level.max() <= _SAME * size or level.min() >= -_SAME * size
    return bool(outer and abs(step - np.ptp(level)) <= _SAME * size)


def _completed(found: list[Array], box: Array) -> Array:
    """Return d independent vectors: of those found, and where these are along axes the sides of the box."""
    d, size = len(box), float(box.max())
    chosen: list[Array] = []
    for shift in found:
        rows = np.array([*chosen, shift]) / size
        if len(chosen) < d and np.linalg.svd(rows, compute_uv=False)[-1] > _SAME:
            chosen.append(shift)
    along = [np.flatnonzero(np.abs(shift) > _SAME * size) for shift in chosen]
    if len(chosen) < d and any(len(axes) != 1 for axes in along):
        remedy = "Say Periodic for the other sides as well, or give all period vectors: period = [[...], ...]."
        text = "; ".join(map(_shown, chosen))
        raise PeriodicityError("Periodic", text, f"{d} independent translations where one is along no axis", remedy)
    sides = np.diag(box)
    used = [int(axes[0]) for axes in along]
    chosen += [sides[k] for k in range(d) if len(chosen) < d and k not in used]
    # In the order of the axes, as far as they have one.
    ordered = max(itertools.permutations(chosen), key=lambda rows: sum(abs(row[k]) for k, row in enumerate(rows)))
    return np.array([s if np.abs(row - s).max() <= _BOX * size else row for row, s in zip(ordered, sides, strict=True)])


def _shown(vector: Array) -> str:
    return f"({', '.join(f'{entry:.6g}' for entry in vector)})"
