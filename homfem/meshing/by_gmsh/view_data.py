"""Numbers that a ``.msh`` file has for its elements: the sections ``$ElementData``, views in Gmsh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from homfem.grid.found import choose_array
from homfem.meshing.arrays.raw_cell import Indices
from homfem.meshing.by_gmsh.model import merge_mesh
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.parameters import Array, FileError


def read_view_data(path: Path, name: str | None) -> tuple[Array, int]:
    """Return the element data of a ``.msh`` file, and the dimension of the mesh.

    Parameters
    ----------
    path
        The file.
    name
        Of several data; None for the only one.

    Returns
    -------
    array, shape (n, components)
        For the elements of the highest dimension in the physical groups, in the order of their tags, which is that of
        the elements of the cell; nan where the file has no value.
    int
        2 or 3.

    Raises
    ------
    FileError
        No data, data of nodes, several time steps, two of one name.
    """
    with gmsh_session() as gmsh:
        before = set(gmsh.view.getTags())
        try:
            merge_mesh(gmsh, path)
            views = [int(tag) for tag in gmsh.view.getTags() if tag not in before]
            names = [gmsh.view.option.getString(tag, "Name") for tag in views]
            view = views[names.index(choose_array(path, names, name))]
            found, values = _values(gmsh, path, view, names)
            dimension = max(int(gmsh.model.getDimension()), 2)
            tags = _tags(gmsh, dimension)
        finally:
            for tag in set(gmsh.view.getTags()) - before:
                gmsh.view.remove(tag)
    order = np.argsort(found)
    place = np.minimum(np.searchsorted(found[order], tags), len(found) - 1)
    given = found[order][place] == tags
    return np.where(given[:, None], values[order][place], np.nan), dimension


def midpoints_by_tag(path: Path) -> Array:
    """Return the midpoints, shape (n, 3), of the elements that :func:`read_view_data` has values for, in its order."""
    with gmsh_session() as gmsh:
        merge_mesh(gmsh, path)
        dimension = max(int(gmsh.model.getDimension()), 2)
        tags, middles = [np.zeros(0)], [np.zeros((0, 3))]
        for entity in _entities(gmsh, dimension):
            kinds, own, _ = gmsh.model.mesh.getElements(dimension, entity)
            tags += own
            middles += [np.reshape(gmsh.model.mesh.getBarycenters(k, entity, False, True), (-1, 3)) for k in kinds]
    return np.asarray(np.concatenate(middles)[np.argsort(np.concatenate(tags))])


def _values(gmsh: Any, path: Path, view: int, names: list[str]) -> tuple[Indices, Array]:
    """Tags of elements and their values."""
    name = gmsh.view.option.getString(view, "Name")
    if names.count(name) > 1:
        raise FileError("file", str(path), f"a mesh with one view {name!r}", f"It has {names.count(name)}.")
    steps = int(gmsh.view.option.getNumber(view, "NbTimeStep"))
    kind, tags, values, _, components = gmsh.view.getHomogeneousModelData(view, 0)
    if kind != "ElementData" or steps != 1 or not len(tags):
        remedy = f"It has {kind} in {steps} step(s) there, for {len(tags)} of its parts."
        raise FileError("file", str(path), f"a mesh with element data {name!r} of one step", remedy)
    return np.asarray(tags, dtype=np.int64), np.asarray(values).reshape(-1, components)


def _tags(gmsh: Any, dimension: int) -> Indices:
    """Tags of the elements in the physical groups of a dimension, ascending."""
    own = [gmsh.model.mesh.getElements(dimension, entity)[1] for entity in _entities(gmsh, dimension)]
    return np.sort(np.concatenate([np.zeros(0), *(tags for kinds in own for tags in kinds)]).astype(np.int64))


def _entities(gmsh: Any, dimension: int) -> list[int]:
    groups = gmsh.model.getPhysicalGroups(dimension)
    of_groups = [gmsh.model.getEntitiesForPhysicalGroup(*group) for group in groups]
    return [int(tag) for tag in np.unique(np.concatenate([*of_groups, []]))]
