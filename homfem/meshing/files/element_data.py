"""Numbers that a mesh file has for each of its elements."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from homfem.grid.found import choose_array
from homfem.meshing.by_gmsh.model import MESHED
from homfem.meshing.by_gmsh.view_data import read_view_data
from homfem.meshing.files.foreign import dimension_of, elements, read_meshio
from homfem.parameters import Array, InputError


def read_element_data(path: str | Path, name: str | None) -> tuple[Array, tuple[str, ...]]:
    """Return the cell data of a mesh file: one value for each element, in the order of the file.

    Parameters
    ----------
    path
        A file that meshio reads, of a format that keeps the order of the elements: ``.vtu``, ``.xdmf``, ``.vtk``. Or a
        ``.msh`` file with ``$ElementData`` (:func:`homfem.meshing.by_gmsh.view_data.read_view_data`): its order is that
        of the tags, and an element without a value has nan.
    name
        Of several cell data; None for the only one.

    Returns
    -------
    array, shape (n,) or (n, ...)
        For the elements of the highest dimension; nine components are a matrix. In a plane mesh the matrices of three
        dimensions that VTK writes lose the third one.
    tuple of str
        Which component of a symmetric matrix each of six is, where the format says so.

    Raises
    ------
    FileError
        No cell data, or none of this name, or none for some of the elements.
    InputError
        A matrix in a plane mesh that couples the plane with the third direction.
    """
    source = Path(path)
    if source.suffix.lower() in MESHED:
        values, d = read_view_data(source, name)
    else:
        values, d = _cell_data(source, name)
    values = values[:, 0] if values.shape[1:] == (1,) else values
    if values.shape[1:] == (9,):
        values = values.reshape(-1, 3, 3)
    if d == 2 and values.shape[1:] == (3, 3):
        if np.abs(values[:, :2, 2]).max() > 0.0 or np.abs(values[:, 2, :2]).max() > 0.0:
            allowed = "a field of matrices without xz and yz in a plane mesh"
            raise InputError("array", name, allowed, "Or give the 4 components xx, xy, yx, yy.")
        values = np.ascontiguousarray(values[:, :2, :2])
    if values.shape[1:] == (4,):
        values = values.reshape(-1, 2, 2)
    vtk = values.shape[1:] == (6,) and source.suffix.lower() != ".xdmf"
    return values, ("xx", "yy", "zz", "xy", "yz", "xz") if vtk else ()


def _cell_data(path: Path, name: str | None) -> tuple[Array, int]:
    """The cell data of a file that meshio reads, and the dimension of the mesh."""
    mesh = read_meshio(path)
    d = dimension_of(mesh)
    _, own = elements(path, mesh, d)
    key = choose_array(path, list(mesh.cell_data), name)
    return np.concatenate([np.asarray(mesh.cell_data[key][number]) for number in own]).astype(np.float64), d
