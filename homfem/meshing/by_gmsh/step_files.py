"""Cells drawn in a CAD system: STEP files through Gmsh's OpenCASCADE kernel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.spatial

from homfem.meshing.arrays.budget import require_filled
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.by_gmsh.generation import generate
from homfem.meshing.by_gmsh.model_arrays import model_to_raw
from homfem.meshing.by_gmsh.reading import GmshReading
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.parameters import Array, CellError, FileError, Lattice, PeriodicityError
from homfem.quantities import LENGTH, check_unit, conversion_factor

#: Two faces are one when they are closer than this times the shortest period.
_TOLERANCE = 1e-6
#: Names that the libraries give to parts which have none.
_NO_NAMES = ("Open CASCADE STEP translator", "Shapes")


def mesh_step(path: Path, reading: GmshReading, *, periodic: bool = True, size: float | None = None) -> RawCell:
    """Mesh a STEP file in this process: :func:`step_model`, then Gmsh.

    Parameters
    ----------
    path
        The file.
    reading
        Of its words ``lattice`` (in ``length_unit``; by default the sides of the bounding box), ``dimension`` (by
        default 3 if the file holds solids, else 2), ``length_unit``, to which the file's unit is converted,
        ``resolution`` (by default 0.1) and ``order``: of 2 the mid-edge nodes lie on the true surfaces.
    periodic
        Whether it is a cell, whose opposite faces are matched.
    size
        In place of the resolution: the largest mesh size, in ``length_unit``.
    """
    lattice, dimension, length_unit = reading.lattice, reading.dimension, reading.length_unit or "m"
    resolution, order = reading.resolution, reading.order or 1
    # OpenCASCADE converts every file to millimetres; its tolerances are made for numbers of order one to thousands.
    factor = conversion_factor(check_unit("length_unit", length_unit, LENGTH), "mm")
    with gmsh_session(Mesh_ElementOrder=order, Geometry_OCCImportLabels=1) as gmsh:
        vectors = None if lattice is None else lattice.vectors * factor
        shortest, periods = step_model(gmsh, path, vectors, dimension, periodic=periodic)
        largest = (resolution or 0.1) * shortest if size is None else size * factor
        require_filled("resolution", resolution if size is None else size, np.linalg.norm(periods, axis=1), largest)
        gmsh.option.setNumber("Mesh.MeshSizeMax", largest)
        if order == 2:
            gmsh.option.setNumber("Mesh.HighOrderOptimize", 2)
        dimension = len(periods)
        generate(gmsh, dimension, "resolution", resolution)
        raw = model_to_raw(dimension, Lattice(vectors=periods), "mm", periodic=periodic)
    given = Lattice(vectors=np.asarray(periods / factor)) if lattice is None else lattice
    slivers = None if raw.slivers is None else np.asarray(raw.slivers / factor**dimension)
    points = np.asarray(raw.points / factor)
    return replace(raw, points=points, lattice=given, length_unit=length_unit, slivers=slivers)


def step_model(
    gmsh: Any, path: Path, vectors: Array | None, dimension: int | None, *, periodic: bool = True
) -> tuple[float, Array]:
    """Make the model of a STEP file with named phases and periodic faces in the running Gmsh, in millimetres.

    Solids (in two dimensions faces) become phases under their names in the file, parts of one name together; those
    without a name are ``"part1"``, ``"part2"``, ... in the order of the file. Parts that touch share their faces
    afterwards. The faces that lie on two opposite sides of a ``periodic`` cell are paired by area and centre.

    Returns
    -------
    tuple
        The shortest period, and the period vectors.

    Raises
    ------
    FileError
        Gmsh cannot read the file, or it holds no solids.
    CellError
        Parts overlap or reach out of the period.
    PeriodicityError
        A face on a side of the cell has no partner on the other side.
    """
    try:
        gmsh.model.occ.importShapes(str(path), format="step")
    except Exception as error:  # Gmsh has no class of its own
        raise FileError("file", str(path), "a STEP file that OpenCASCADE can read", f"Gmsh says: {error}") from error
    gmsh.model.occ.synchronize()
    d = dimension or (3 if gmsh.model.getEntities(3) else 2)
    parts = gmsh.model.getEntities(d)
    if not parts:
        what = {3: "solid", 2: "face"}[d]
        raise FileError("file", str(path), f"a STEP file with at least one {what}", f"A {d}D cell is made of them.")
    _name_phases(gmsh, d, parts)
    low, high = _corners(gmsh)
    if vectors is None:
        vectors = np.diag((high - low)[:d])
    elif len(vectors) != d:
        raise CellError("lattice", vectors, f"{d} period vectors, as the file has {d}D parts")
    if d == 2 and high[2] - low[2] > _TOLERANCE * np.abs(high - low).max():
        raise CellError("points", float(high[2] - low[2]), "in one plane z = constant for a 2D cell")
    lattice = Lattice(vectors=vectors)
    if periodic:
        _make_periodic(gmsh, d, lattice)
    return lattice.shortest, lattice.vectors


def _name_phases(gmsh: Any, d: int, parts: list[tuple[int, int]]) -> None:
    names = []
    for number, part in enumerate(parts, start=1):
        name = gmsh.model.getEntityName(*part).split("/")[-1].strip()
        names.append(f"part{number}" if not name or name.startswith(_NO_NAMES) else name)
    volumes = [gmsh.model.occ.getMass(*part) for part in parts]
    if len(parts) > 1:
        origin = gmsh.model.occ.fragment(parts, [])[1]
        gmsh.model.occ.synchronize()
    else:
        origin = [parts]
    seen: dict[tuple[int, int], int] = {}
    tags: dict[str, list[int]] = {}
    for number, own in enumerate(origin):
        for piece in own:
            if piece in seen:
                raise CellError(
                    "parts",
                    f"{names[seen[piece]]!r} and {names[number]!r}",
                    "without overlap",
                    f"They share a volume of {gmsh.model.occ.getMass(*piece):.3g} of {volumes[number]:.3g} mm^{d}.",
                )
            seen[piece] = number
            tags.setdefault(names[number], []).append(piece[1])
    for name, own_tags in tags.items():
        gmsh.model.addPhysicalGroup(d, own_tags, name=name)


def _corners(gmsh: Any) -> tuple[Array, Array]:
    """Lowest and highest coordinates of the vertices; the bounding boxes of curved parts are not exact."""
    points = np.array([gmsh.model.getValue(0, tag, []) for _, tag in gmsh.model.getEntities(0)])
    if not len(points):
        raise CellError("period", None, "given: no vertex of the file marks the sides of the cell")
    return points.min(axis=0), points.max(axis=0)


def _make_periodic(gmsh: Any, d: int, lattice: Lattice) -> None:
    """Pair the sides that lie on opposite sides of the cell, one period after the other."""
    points = np.array([gmsh.model.getValue(0, tag, [])[:d] for _, tag in gmsh.model.getEntities(0)])
    origin = lattice.fractional(points).min(axis=0)
    box = np.array(gmsh.model.getBoundingBox(-1, -1)).reshape(2, 3)[:, :d]
    slack = 1e-6 * lattice.shortest + 2e-7
    reach = lattice.fractional(points).max(axis=0) - origin
    if np.any(reach > 1.0 + _TOLERANCE) or (
        np.array_equal(lattice.vectors, np.diag(np.diag(lattice.vectors)))
        and np.any(box[1] > (origin + 1.0) @ lattice.vectors + slack)
    ):
        raise CellError(
            "lattice",
            lattice.vectors.tolist(),
            "period vectors of a cell that holds all parts",
            "They reach out of it.",
        )
    sides = gmsh.model.getEntities(d - 1)
    for k in range(d):
        on_low, on_high = (
            [tag for _, tag in sides if _lies_on(gmsh, d - 1, tag, lattice, k, origin[k] + end)] for end in (0.0, 1.0)
        )
        shift = np.zeros(3)
        shift[:d] = lattice.vectors[k]
        pairs = _partners(gmsh, d - 1, on_low, on_high, shift, lattice.shortest, k)
        if pairs:
            affine = np.eye(4)
            affine[:3, 3] = shift
            gmsh.model.mesh.setPeriodic(d - 1, [b for _, b in pairs], [a for a, _ in pairs], affine.ravel())


def _lies_on(gmsh: Any, dim: int, tag: int, lattice: Lattice, k: int, level: float) -> bool:
    """Whether a plane face (a straight curve) lies where the lattice coordinate k has the given value."""
    low, high = (np.atleast_1d(bound) for bound in gmsh.model.getParametrizationBounds(dim, tag))
    if not np.all(np.isfinite([*low, *high])):
        return False
    # Points of the plane of the face; they may lie outside the face itself.
    steps = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.3, 0.6], [0.7, 0.2]])[:, :dim]
    places = np.array(gmsh.model.getValue(dim, tag, (low + steps * (high - low)).ravel())).reshape(-1, 3)
    there = lattice.fractional(places[:, : dim + 1])[:, k]
    return bool(np.all(np.abs(there - level) < _TOLERANCE))


def _partners(
    gmsh: Any, dim: int, low: list[int], high: list[int], shift: Array, shortest: float, k: int
) -> list[tuple[int, int]]:
    def places(tags: list[int]) -> Array:
        centres = [gmsh.model.occ.getCenterOfMass(dim, tag) for tag in tags]
        return np.array(centres).reshape(-1, 3)

    one, two = places(low) + shift, places(high)
    sizes = [np.array([gmsh.model.occ.getMass(dim, tag) for tag in tags]) for tags in (low, high)]
    if len(low) == len(high) == 0:
        return []
    if len(low) and len(high):
        far, near = scipy.spatial.cKDTree(two).query(one)
        same = np.abs(sizes[0] - sizes[1][near]) <= 1e-4 * sizes[0]
        if len(low) == len(high) == len(set(near)) and np.all(far < 1e-4 * shortest) and np.all(same):
            return [(a, high[b]) for a, b in zip(low, near, strict=True)]
        alone = one[(far >= 1e-4 * shortest) | ~same] - shift
    else:
        alone = (one if len(low) else two) - (shift if len(low) else 0.0)
    where = f", one around ({', '.join(f'{c:.6g}' for c in alone[0])}) mm" if len(alone) else ""
    raise PeriodicityError(
        f"faces across period {k + 1}",
        f"{len(low)} against {len(high)}{where}",
        "alike on both sides of the cell, face by face",
        "Draw the cell periodic, cut by the planes of the period; or give the period vectors that belong to it.",
    )
