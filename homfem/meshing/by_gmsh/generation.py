"""Meshes of Gmsh's models, made one dimension after the other: one that would not fit is refused before it is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from homfem.meshing.arrays.budget import require_cells
from homfem.parameters import Array

#: Cells at the least in a square or cube as wide as the longest edge on the boundary, by the corners of the facets
#: there. A mesh of triangles has 2.3 in a square of its mean edge, and of tetrahedra 7 in such a cube.
FEWEST = {2: 0.9, 3: 5.5, 4: 1.0}
#: Part of a box that whatever is in it fills at the least.
FILLED = 0.05
_KIND = {2: "triangle", 3: "tetrahedron"}
_COUNTS = {2: ("Mesh.NbTriangles", "Mesh.NbQuadrangles"),
           3: ("Mesh.NbTetrahedra", "Mesh.NbHexahedra", "Mesh.NbPrisms", "Mesh.NbPyramids")}  # fmt: skip


def generate(gmsh: Any, dimension: int, name: str, value: Any) -> None:
    """Mesh the model of the running Gmsh.

    Gmsh's sizes inside lie between those on the boundary: with the longest edge there, the boundary, which is meshed
    first, tells how many cells there will be at the least.

    Parameters
    ----------
    dimension
        2 or 3.
    name, value
        The parameter that decides how fine it is, for messages.

    Raises
    ------
    MemoryLimitError
        A mesh that would not fit into the memory.
    """
    require_cells(name, value, _KIND[2], _fewest_lines(gmsh))
    for d in range(1, dimension + 1):
        if d > 1 and gmsh.option.getNumber("Mesh.MeshSizeExtendFromBoundary") == 1.0:
            fewest, longest = _fewest(gmsh, d)
            require_cells(name, value, _KIND[d], fewest)
            if d < dimension and longest > 0.0:
                sides = np.diff(np.reshape(gmsh.model.getBoundingBox(-1, -1), (2, 3)), axis=0)
                require_cells(name, value, _KIND[dimension], FILLED * float(np.prod(sides)) / longest**dimension)
        gmsh.model.mesh.generate(d)
    made = sum(gmsh.option.getNumber(option) for option in _COUNTS[dimension])
    require_cells(name, value, _KIND[dimension], made)


def _fewest_lines(gmsh: Any) -> float:
    """How many lines the sizes that the script gives to its points make at the least; a cell stands on each."""
    if gmsh.option.getNumber("Mesh.MeshSizeFromPoints") == 0.0:
        return 0.0
    count, least = 0.0, gmsh.option.getNumber("Mesh.MeshSizeMin")
    for curve in gmsh.model.getEntities(1):
        low, high = np.reshape(gmsh.model.getBoundingBox(*curve), (2, 3))
        ends = gmsh.model.getBoundary([curve], combined=False, oriented=False)
        sizes = gmsh.model.mesh.getSizes(ends) if ends else np.zeros(1)
        if np.all(np.asarray(sizes) > 0.0):
            count += float(np.linalg.norm(high - low)) / max(float(np.max(sizes)), least)
    return count


def _fewest(gmsh: Any, d: int) -> tuple[float, float]:
    """How many cells of dimension ``d`` there will be at the least, and the longest edge on the boundaries."""
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    points = np.zeros((int(tags.max(initial=0)) + 1, 3))
    points[tags] = coordinates.reshape(-1, 3)
    count, of_all = 0.0, 0.0
    for entity in gmsh.model.getEntities(d):
        measure, longest, density = 0.0, 0.0, FEWEST[d]
        for dim, tag in gmsh.model.getBoundary([entity], combined=False, oriented=True):
            for corners in _corners(gmsh, dim, abs(tag), points):
                density = min(density, FEWEST[corners.shape[1]])
                edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
                longest = max(longest, float(edges.max(initial=0.0)))
                measure = measure + np.sign(tag) * _cone(corners)
        if longest > 0.0:
            count += density * float(np.linalg.norm(measure)) / longest**d
        of_all = max(of_all, longest)
    return count, of_all


def _corners(gmsh: Any, dim: int, tag: int, points: Array) -> list[Array]:
    """The corners of the lines, triangles and quadrilaterals on an entity, each of shape (n, corners, 3)."""
    result = []
    types, _, nodes = gmsh.model.mesh.getElements(dim, tag)
    for kind, own in zip(types, nodes, strict=True):
        _, _, _, number, _, primary = gmsh.model.mesh.getElementProperties(kind)
        result.append(points[own.reshape(-1, number)[:, :primary]])
    return result


def _cone(corners: Array) -> Any:
    """What facets enclose with the origin: the vector of an area for lines, a volume for polygons."""
    if corners.shape[1] == 2:
        return 0.5 * np.cross(corners[:, 0], corners[:, 1]).sum(axis=0)
    fan = zip(corners.swapaxes(0, 1)[1:-1], corners.swapaxes(0, 1)[2:], strict=True)
    return sum(np.einsum("ni,ni->", corners[:, 0], np.cross(second, third)) for second, third in fan) / 6.0
