"""Directions of fibres that a mesh file has for its elements or its points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from homfem.meshing.by_gmsh.model import MESHED
from homfem.meshing.by_gmsh.view_data import midpoints_by_tag
from homfem.meshing.files.body import KINDS, corners_of, read_body
from homfem.meshing.files.element_data import read_element_data
from homfem.meshing.files.foreign import read_meshio
from homfem.parameters import Array, FileError, InputError, nearest_name

#: Lengths of directions may differ from 1 by this much.
UNIT = 1e-2


def read_directions(path: str | Path, name: str | None) -> Array:
    """Return a vector for each element of a mesh file, shape (m, 3): its data ``name`` of cells or points.

    Vectors at the corners of an element are turned to one side and averaged; corners with zeros do not count.

    Parameters
    ----------
    path
        See :func:`homfem.meshing.files.element_data.read_element_data`.
    name
        Of the data; None: the only ones of cells, or without any the only ones of points.

    Raises
    ------
    FileError
        Without such data.
    InputError
        If they are no vectors, or of a length that is neither 1 nor 0 (or is no number): with the element or the node
        and its place.
    """
    path = Path(path)
    mesh = None if path.suffix.lower() in MESHED else read_meshio(path)
    if mesh is not None and name not in mesh.cell_data:
        only = [] if name or mesh.cell_data else list(mesh.point_data)
        data = name if name in mesh.point_data else only[0] if len(only) == 1 else None
        if data is not None:
            return _of_corners(mesh, data)
        named = (("cells", mesh.cell_data), ("points", mesh.point_data))
        known = "; ".join(f"{', '.join(map(repr, names))} of {what}" for what, names in named if names) or "it has none"
        if name is not None:
            near = nearest_name(name, [*mesh.cell_data, *mesh.point_data])
            raise InputError("name", name, f"the name of data in the file: {known}", near)
        if not mesh.cell_data:
            raise FileError("file", str(path), f"a file with one field, or name the one that is meant: {known}")
    try:
        values, _ = read_element_data(path, name)
    except InputError as error:
        if error.name != "array":
            raise
        raise InputError("name", error.value, error.allowed, error.remedy) from error
    _require_vectors(values)
    return values


def _require_vectors(values: Array) -> None:
    if values.ndim != 2 or values.shape[1] not in (2, 3):
        raise InputError("name", values.shape, "data with 2 or 3 components for each element or point")


def _of_corners(mesh: Any, name: str) -> Array:
    """Vectors of points as vectors of the elements of the highest dimension, in the order of the file."""
    values = np.asarray(mesh.point_data[name], dtype=np.float64)
    _require_vectors(values)
    lengths = np.linalg.norm(values, axis=1)
    used = next(cells for cells in (corners_of(mesh, kinds[0]) for kinds in KINDS.values()) if cells.size)
    counts = np.zeros(len(values), dtype=bool)
    counts[used] = True
    bad = counts & ~((np.abs(lengths - 1.0) <= UNIT) | (lengths == 0.0))
    if bad.any():
        node = int(np.argmax(bad))
        place = ", ".join(f"{x:.6g}" for x in np.asarray(mesh.points)[node])
        allowed = "a field of unit vectors, or zeros where there is no fibre"
        remedy = f"{int(bad.sum())} are of another length; the first is at node {node}, ({place})."
        raise InputError("fibre", values[node].tolist(), allowed, remedy)
    corners = values[used]
    some = corners.any(axis=2)
    first = corners[np.arange(len(used)), np.argmax(some, axis=1)]
    side = np.where(np.einsum("ckx,cx->ck", corners, first) < 0.0, -1.0, 1.0)
    mean = np.einsum("ck,ckx->cx", side, corners)
    length = np.linalg.norm(mean, axis=1)
    return np.asarray(mean / np.where(length > 0.0, length, 1.0)[:, None])


def midpoints_of_directions(path: str | Path) -> Array:
    """Return the midpoints of the elements of a file, shape (m, 2 or 3), in the order of :func:`read_directions`."""
    path = Path(path)
    if path.suffix.lower() in MESHED:
        # Element data of Gmsh come in the order of the elements' tags, which need not be that of the file.
        return midpoints_by_tag(path)
    body = read_body(path)
    return np.asarray(body.points[body.cells].mean(axis=1))
