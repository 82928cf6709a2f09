"""Fill plane regions and volumes between given boundaries, which stay as they are. In this process, by Gmsh."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from homfem.meshing.arrays.raw_cell import Indices
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.parameters import Array, CellError

Mesh = tuple[Array, Indices]


def fill_regions(points: Array, regions: Sequence[Indices]) -> list[Mesh]:
    """Return triangles that fill plane regions; regions that share an edge fit together.

    Parameters
    ----------
    points : array, shape (n, 2)
    regions
        For each region the edges of its boundary, shape (m, 2): closed lines without crossings, in any order. No edge
        is cut.

    Returns
    -------
    list
        For each region points and triangles.

    Raises
    ------
    CellError
        Lines that are not closed or touch themselves; Gmsh fails.
    """
    edges, inverse = np.unique(np.sort(np.vstack(regions), axis=1), axis=0, return_inverse=True)
    numbers = np.split(np.asarray(inverse).ravel(), np.cumsum([len(region) for region in regions])[:-1])
    with gmsh_session(Mesh_MeshSizeExtendFromBoundary=1, Mesh_MeshSizeFromPoints=0, Mesh_Algorithm=6) as gmsh:
        geo = gmsh.model.geo
        for node in np.unique(edges):
            geo.addPoint(float(points[node, 0]), float(points[node, 1]), 0.0, 0.0, int(node) + 1)
        for number in range(len(edges)):
            geo.addLine(int(edges[number, 0]) + 1, int(edges[number, 1]) + 1, number + 1)
            geo.mesh.setTransfiniteCurve(number + 1, 2)
        surfaces = []
        for own in numbers:
            loops = [(own[loop] + 1).tolist() for loop in _loops(points, edges[own])]
            surfaces.append(geo.addPlaneSurface([geo.addCurveLoop(loop, -1, True) for loop in loops]))
        geo.synchronize()
        gmsh.model.mesh.generate(2)
        return [_elements(gmsh, 2, surface, 2) for surface in surfaces]


def fill_volume(points: Array, triangles: Indices) -> Mesh:
    """Return tetrahedra that fill a volume between closed surfaces, which stay as they are.

    Parameters
    ----------
    points : array, shape (n, 3)
    triangles : array of int, shape (m, 3)
        All surfaces of the volume, oriented in any way.

    Raises
    ------
    CellError
        A surface that is not closed; Gmsh fails.
    """
    corners = np.sort(np.vstack([triangles[:, list(pair)] for pair in combinations(range(3), 2)]), axis=1)
    count = np.unique(corners, axis=0, return_counts=True)[1]
    if np.any(count % 2):
        raise CellError("surface", int(np.count_nonzero(count % 2)), "closed: 0 open edges")
    shells = _components(triangles, len(points))
    failures = []
    for algorithm in (10, 1):
        try:
            with gmsh_session(Mesh_Algorithm3D=algorithm, Mesh_MeshSizeExtendFromBoundary=1) as gmsh:
                tags = []
                for number in range(int(shells.max()) + 1):
                    own = triangles[shells == number]
                    nodes = np.unique(own)
                    tags.append(gmsh.model.addDiscreteEntity(2))
                    gmsh.model.mesh.addNodes(2, tags[-1], nodes + 1, points[nodes].ravel())
                    gmsh.model.mesh.addElementsByType(tags[-1], 2, [], (own + 1).ravel())
                gmsh.model.geo.addVolume([gmsh.model.geo.addSurfaceLoop([tag]) for tag in _outermost_first(gmsh, tags)])
                gmsh.model.geo.synchronize()
                gmsh.model.mesh.generate(3)
                return _elements(gmsh, 3, gmsh.model.getEntities(3)[0][1], 4)
        except CellError as error:
            failures.append(str(error))
    raise CellError("volume", "; ".join(failures), "such that Gmsh can fill it")


def _outermost_first(gmsh: Any, tags: list[int]) -> list[int]:
    def size(tag: int) -> float:
        box = np.array(gmsh.model.getBoundingBox(2, tag))
        return float(np.linalg.norm(box[3:] - box[:3]))

    return sorted(tags, key=size, reverse=True)


def _loops(points: Array, edges: Indices) -> list[npt.NDArray]:
    """Numbers of the edges of each closed line, the outer one first."""
    degree = np.bincount(edges.ravel())
    if np.any((degree != 0) & (degree != 2)):
        bad = int(np.flatnonzero((degree != 0) & (degree != 2))[0])
        raise CellError("boundary", points[bad].tolist(), "a closed line that does not touch itself, around every part")
    label = _components(edges, len(points))
    loops = [np.flatnonzero(label == number) for number in range(int(label.max()) + 1)]
    return sorted(loops, key=lambda loop: -float(np.ptp(points[edges[loop]].reshape(-1, 2), axis=0).max()))


def _components(simplices: Indices, count: int) -> npt.NDArray:
    """Number of the connected part of each simplex; parts share a node."""
    ends = simplices[:, :1].repeat(simplices.shape[1] - 1, axis=1).ravel(), simplices[:, 1:].ravel()
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(count, count))
    label = connected_components(graph, directed=False)[1][simplices[:, 0]]
    return np.unique(label, return_inverse=True)[1]


def _elements(gmsh: Any, dim: int, tag: int, element_type: int) -> Mesh:
    mesh = gmsh.model.mesh
    tags, coordinates, _ = mesh.getNodes()
    _, nodes = mesh.getElementsByType(element_type, tag)
    if not len(nodes):
        raise CellError("mesh", 0, "at least one element in every part")
    used, cells = np.unique(nodes, return_inverse=True)
    order = np.argsort(tags)
    found = order[np.searchsorted(tags[order], used)]
    return coordinates.reshape(-1, 3)[found][:, :dim], cells.reshape(-1, dim + 1).astype(np.int64)
