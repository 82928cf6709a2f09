"""The mesh of the current Gmsh model as plain arrays, in the node order of DOLFINx."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from homfem.cells.gmsh_surfaces import curved_surfaces
from homfem.cells.raw import Indices, RawCell, Tags, facets_of
from homfem.parameters import Array, CellError, Lattice
from homfem.reference import FACET_KIND

log = logging.getLogger("homfem")

HOW_TO_ADD = (
    'Add named groups to the .geo file, for example: Physical Volume("er") = {1}; Physical Surface("membrane") = {2}; '
    "in 2D the phases are Physical Surfaces and the facets Physical Curves."
)

# Gmsh's element types, by (kind, order).
GMSH_TYPES = {
    ("interval", 1): 1,
    ("triangle", 1): 2,
    ("quadrilateral", 1): 3,
    ("tetrahedron", 1): 4,
    ("hexahedron", 1): 5,
    ("interval", 2): 8,
    ("triangle", 2): 9,
    ("tetrahedron", 2): 11,
}
OF_GMSH_TYPE = {number: key for key, number in GMSH_TYPES.items()}
# Position in Gmsh's element of each node of the DOLFINx element. Gmsh numbers the edges (01)(12)(20)(30)(23)(13), and
# the corners of quadrilaterals one after the other.
FROM_GMSH = {
    ("interval", 1): [0, 1],
    ("triangle", 1): [0, 1, 2],
    ("quadrilateral", 1): [0, 1, 3, 2],
    ("tetrahedron", 1): [0, 1, 2, 3],
    ("hexahedron", 1): [0, 1, 3, 2, 4, 5, 7, 6],
    ("interval", 2): [0, 1, 2],
    ("triangle", 2): [0, 1, 2, 4, 5, 3],
    ("tetrahedron", 2): [0, 1, 2, 3, 8, 9, 5, 7, 6, 4],
}


class ModelArrays(NamedTuple):
    """What a Gmsh model holds of a cell; the fields are those of :class:`~homfem.cells.raw.RawCell`."""

    points: Array
    cells: Indices
    kind: str
    order: int
    phase_of_cell: Tags
    phases: dict[str, int]
    facets: Indices
    facet_tags: Tags
    facet_names: dict[str, int]
    low: Array
    high: Array


def read_model(dimension: int) -> ModelArrays:
    """Return the mesh of the current Gmsh model: its named physical groups, in the node order of DOLFINx.

    Cells are the elements of the groups of ``dimension`` (2 or 3), facets those of one less; points and cells are in
    the order of their Gmsh tags. ``low`` and ``high`` bound all elements of ``dimension``, also those in no group.

    Raises
    ------
    CellError
        No physical groups, groups without names, elements in two of them, elements other than simplices of order 1 or
        2, quadrilaterals and hexahedra of order 1, or elements of several kinds.
    """
    import gmsh

    groups = groups_of(dimension)
    if not groups:
        word = {2: "Physical Surface", 3: "Physical Volume"}[dimension]
        raise CellError("physical groups", 0, f"at least one {word}: the phases of the cell", HOW_TO_ADD)
    kind, order = _kind_and_order(dimension)
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    number = np.zeros(int(tags.max(initial=0)) + 1, dtype=np.int64)
    by_tag = np.argsort(tags, kind="stable")
    number[tags[by_tag]] = np.arange(len(tags))
    points = coordinates.reshape(-1, 3)[by_tag]
    if dimension == 2 and np.ptp(points[:, 2]) > 1e-10 * max(np.ptp(points[:, :2], axis=0).max(), 1e-300):
        raise CellError("points", float(np.ptp(points[:, 2])), "in one plane z = constant for a 2D cell")

    cell_tags, cells, phase_of_cell = _elements(dimension, (kind, order), groups)
    if len(np.unique(cell_tags)) < len(cell_tags):
        raise CellError("physical groups", list(groups), "disjoint: a part of the cell is in two phases", HOW_TO_ADD)
    sides = groups_of(dimension - 1)
    _, facets, facet_tags = _elements(dimension - 1, (FACET_KIND[kind], order), sides)
    inside = number[_nodes_of_all(dimension)]
    cells, facets = number[cells], number[facets]
    kept = facets_of(cells, facets, kind)
    coordinates = np.ascontiguousarray(points[:, :dimension])
    return ModelArrays(
        points=coordinates,
        cells=cells,
        kind=kind,
        order=order,
        phase_of_cell=phase_of_cell,
        phases=groups,
        facets=facets[kept],
        facet_tags=facet_tags[kept],
        facet_names=sides,
        low=coordinates[inside].min(axis=0),
        high=coordinates[inside].max(axis=0),
    )


def model_to_raw(dimension: int, lattice: Lattice | None = None, length_unit: str = "m") -> RawCell:
    """Return the current Gmsh model as a cell; without a lattice the periods are the sides of the bounding box.

    Straight facets on curved surfaces of the model have their slivers; its mesh is of second order then.
    """
    model = read_model(dimension)
    if lattice is None:
        lattice = Lattice.box(*(model.high - model.low))
    fields = {name: value for name, value in model._asdict().items() if name not in ("low", "high")}
    if model.order == 1:
        known = (model.points, model.cells, model.phase_of_cell, model.phases, model.facet_names)
        found = curved_surfaces(model.kind, *known)
        if found is not None:
            none = np.zeros((len(model.facets), 2))
            fields |= {
                "facets": np.vstack([model.facets, found.facets]),
                "facet_tags": np.concatenate([model.facet_tags, found.facet_tags]),
                "facet_names": found.facet_names,
                "slivers": np.vstack([none, found.slivers]),
            }
    return RawCell(**fields, lattice=lattice, length_unit=length_unit)


def groups_of(dimension: int) -> dict[str, int]:
    """Named physical groups; those of the cells must all have names, unnamed ones of facets are passed over."""
    import gmsh

    groups: dict[str, int] = {}
    for _, tag in gmsh.model.getPhysicalGroups(dimension):
        name = gmsh.model.getPhysicalName(dimension, tag)
        if name:
            if name in groups:
                raise CellError("physical groups", name, "named differently from each other")
            groups[name] = int(tag)
        elif dimension == max(int(gmsh.model.getDimension()), 2):
            raise CellError("physical groups", int(tag), "named, every one of them", HOW_TO_ADD)
        else:
            log.warning("physical group %d of dimension %d has no name and is passed over", tag, dimension)
    return groups


def _kind_and_order(dimension: int) -> tuple[str, int]:
    import gmsh

    types = [int(number) for number in gmsh.model.mesh.getElementTypes(dimension)]
    if not types:
        raise CellError("cells", 0, "at least one cell", "The mesh is empty: check that it was generated.")
    if len(types) != 1 or types[0] not in OF_GMSH_TYPE:
        names = [gmsh.model.mesh.getElementProperties(number)[0] for number in types]
        allowed = "of one kind and one order, 1 or 2 (quadrilaterals and hexahedra: 1)"
        raise CellError("cells", names, allowed, "Recombine all of it or nothing; Mesh.ElementOrder <= 2.")
    return OF_GMSH_TYPE[types[0]]


def _elements(dimension: int, key: tuple[str, int], groups: Mapping[str, int]) -> tuple[Indices, Indices, Tags]:
    """Tags, node tags (DOLFINx order) and groups of the elements, sorted by tag."""
    import gmsh

    width = len(FROM_GMSH[key])
    numbers: list[npt.NDArray] = [np.zeros(0, dtype=np.int64)]
    nodes: list[npt.NDArray] = [np.zeros((0, width), dtype=np.int64)]
    tags: list[npt.NDArray] = [np.zeros(0, dtype=np.int32)]
    for tag in groups.values():
        for entity in gmsh.model.getEntitiesForPhysicalGroup(dimension, tag):
            element, corners = gmsh.model.mesh.getElementsByType(GMSH_TYPES[key], int(entity))
            numbers.append(element.astype(np.int64))
            nodes.append(corners.astype(np.int64).reshape(-1, width))
            tags.append(np.full(len(element), tag, dtype=np.int32))
    number = np.concatenate(numbers)
    by_tag = np.argsort(number, kind="stable")
    permuted = np.vstack(nodes)[by_tag][:, FROM_GMSH[key]]
    return number[by_tag], permuted, np.concatenate(tags)[by_tag]


def _nodes_of_all(dimension: int) -> Indices:
    import gmsh

    return np.unique(np.concatenate(gmsh.model.mesh.getElements(dimension)[2]).astype(np.int64))
