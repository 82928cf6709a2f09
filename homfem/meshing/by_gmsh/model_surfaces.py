"""The surfaces that straight facets of a Gmsh mesh stand for: Gmsh's own geometry, by a node on each edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.spatial

from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.raw_cell import Indices, Tags
from homfem.parameters import Array
from homfem.reference import CORNERS, FACET_KIND

#: Gmsh's types of curves and surfaces that straight facets follow, or of which it has no more than the mesh.
_STRAIGHT = ("Line", "Plane", "Discrete curve", "Discrete surface")
#: A facet lies on its surface where that leaves its edges by less than this, over their length.
_FLAT = 1e-9
#: Gmsh's element of second order for each kind of facet, and the ends of the edge of each of its further nodes.
_SECOND_ORDER = {"interval": (8, [(0, 1)]), "triangle": (9, [(0, 1), (1, 2), (2, 0)])}


class Surfaces(NamedTuple):
    """Facets that stand for curved surfaces; the fields are those of a ``RawCell``."""

    facets: Indices
    facet_tags: Tags
    facet_names: dict[str, int]
    slivers: Array


def curved_surfaces(
    kind: str,
    points: Array,
    cells: Indices,
    phase_of_cell: Tags,
    phases: Mapping[str, int],
    facet_names: Mapping[str, int],
) -> Surfaces | None:
    """Return the facets between phases and at voids of the current Gmsh model that stand for curved surfaces.

    They are named ``"a|b"``, or ``"a|outside"`` where there is no other phase. The volumes between them and the surface
    are those below parabolas through the nodes that Gmsh puts into the middle of their edges, which lie on its own
    geometry: right up to the fourth order of the mesh size. Gmsh's mesh is of second order afterwards.

    Parameters
    ----------
    kind, points, cells, phase_of_cell, phases
        The mesh of the model, of first order.
    facet_names
        The names that facets have already, with their tags.
    """
    import gmsh

    d = points.shape[1]
    curved = [tag for _, tag in gmsh.model.getEntities(d - 1) if gmsh.model.getType(d - 1, tag) not in _STRAIGHT]
    if FACET_KIND[kind] not in _SECOND_ORDER or not curved:
        return None
    element, edges = _SECOND_ORDER[FACET_KIND[kind]]
    gmsh.model.mesh.setOrder(2)
    rows = np.concatenate([gmsh.model.mesh.getElementsByType(element, tag)[1] for tag in curved]).astype(np.int64)
    rows = rows.reshape(-1, d + len(edges))
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    place = np.zeros(int(tags.max()) + 1, dtype=np.int64)
    place[tags] = np.arange(len(tags))
    x = coordinates.reshape(-1, 3)[:, :d][place[rows]]
    rise = x[:, d:] - np.stack([0.5 * (x[:, a] + x[:, b]) for a, b in edges], axis=1)

    # The cells beside each facet; its normal, as long as the facet is large, out of that of the lower tag.
    # Gmsh numbers its nodes anew, and leaves them where they are.
    facets = scipy.spatial.cKDTree(points).query(x[:, :d])[1]
    first, second = _cells_beside(facets, cells[:, : CORNERS[kind]], kind)
    facets, x, rise, first, second = (array[first >= 0] for array in (facets, x, rise, first, second))
    swapped = (second >= 0) & (phase_of_cell[first] > phase_of_cell[second])
    first, second = np.where(swapped, second, first), np.where(swapped, first, second)
    normal = _normals(x[:, :d])
    inward = points[cells[first, : CORNERS[kind]]].mean(axis=1) - x[:, 0]
    normal *= -np.sign(np.einsum("fi,fi->f", normal, inward))[:, None]
    # A parabola over an edge is two thirds of its height high in the mean; each of three of a triangle a third.
    volume = np.einsum("fei,fi->fe", rise, normal) * ((2.0 if d == 2 else 1.0) / 3.0)
    slivers = np.stack([np.maximum(side * volume, 0.0).sum(axis=1) for side in (1.0, -1.0)], axis=1)

    size = np.linalg.norm(normal, axis=1)
    one, other = phase_of_cell[first], np.where(second >= 0, phase_of_cell[second], 0)
    kept = (one != other) & (slivers.sum(axis=1) > _FLAT * size ** (d / (d - 1)))
    names, facet_tags = dict(facet_names), np.zeros(len(facets), dtype=np.int32)
    name_of = {tag: name for name, tag in phases.items()} | {0: "outside"}
    for a, b in np.unique(np.column_stack([one, other])[kept], axis=0).tolist():
        tag = names.setdefault(f"{name_of[a]}|{name_of[b]}", max(names.values(), default=0) + 1)
        facet_tags[(one == a) & (other == b)] = tag
    return Surfaces(facets[kept], facet_tags[kept], names, slivers[kept])


def _cells_beside(facets: Indices, corners: Indices, kind: str) -> tuple[Indices, Indices]:
    """The one or two cells of each facet; -1 where there is none."""
    own = cell_facets(corners, kind)
    of_cells = own.reshape(-1, own.shape[2])
    numbers = row_numbers(np.sort(np.vstack([facets, of_cells]), axis=1))
    wanted, mine = numbers[: len(facets)], numbers[len(facets) :]
    order = np.argsort(mine, kind="stable")
    low, high = np.searchsorted(mine[order], wanted), np.searchsorted(mine[order], wanted, side="right")
    cell = np.append(order // own.shape[1], -1)
    return np.where(high > low, cell[low], -1), np.where(high > low + 1, cell[np.minimum(low + 1, len(order))], -1)


def _normals(x: Array) -> Array:
    """Normals of facets, as long as these are large."""
    if x.shape[2] == 2:
        edge = x[:, 1] - x[:, 0]
        return np.stack([edge[:, 1], -edge[:, 0]], axis=1)
    return np.asarray(0.5 * np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]))
