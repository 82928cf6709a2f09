"""The mesh of the current Gmsh model as plain arrays, in the node order of DOLFINx."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.elements import SHAPES, Block, Uniform, uniform, uniform_facets
from homfem.meshing.arrays.facets import facets_of
from homfem.meshing.arrays.raw_cell import Indices, RawCell, Tags
from homfem.meshing.by_gmsh.model_surfaces import curved_surfaces
from homfem.meshing.by_gmsh.periods import lattice_of_model
from homfem.meshing.by_gmsh.reading import Label
from homfem.parameters import Array, CellError, InputError, Lattice

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


# Shape of an element by its dimension and corners.
_SHAPES = {(dimension, corners): name for name, (dimension, corners, _) in SHAPES.items()}


class Group(NamedTuple):
    """A group of parts of a Gmsh model: its name and number, and the tags of the parts."""

    name: str
    number: int
    entities: list[int]


class ModelArrays(NamedTuple):
    """What a Gmsh model holds of a cell; the fields are those of :class:`~homfem.meshing.arrays.raw_cell.RawCell`."""

    points: Array
    cells: Indices
    kind: str
    order: int
    phase_of_cell: Tags
    phases: dict[str, int]
    facets: Indices
    facet_tags: Tags
    facet_names: dict[str, int]
    element: Indices | None
    element_shape: tuple[int, ...]
    notes: tuple[str, ...]


def read_model(
    dimension: int,
    lattice: Lattice | None = None,
    phases: Mapping[str, Label | Sequence[Label]] | None = None,
    *,
    made: bool = True,
    grouped: bool = True,
    periodic: bool = True,
) -> tuple[ModelArrays, Lattice]:
    """Return the mesh of the current Gmsh model: its physical groups, in the node order of DOLFINx; and its lattice.

    Cells are the elements of the groups of ``dimension`` (2 or 3), facets those of one less; points are in the order of
    their Gmsh tags, and so are cells of one kind. What is kept as it is and what is cut into simplices: see
    :func:`homfem.meshing.arrays.elements.uniform`.

    Parameters
    ----------
    dimension
        2 or 3.
    lattice
        Period vectors. Default: see :func:`homfem.meshing.by_gmsh.periods.lattice_of_model`; also elements in no group
        count.
    phases, grouped
        See :func:`groups_of`.
    made
        The mesh was made here: elements of higher order, other than simplices of order 2, are refused, since it can be
        made without. Else they are taken as straight, which the notes say.
    periodic
        Whether the mesh is one of a cell: else the lattice is the box around it, whatever the model says.

    Raises
    ------
    CellError
        No physical groups, groups without names, elements in two of them, elements of too high an order.
    PeriodicityError
        Periods of the model that are not those of the lattice, or of none.
    """
    groups = groups_of(dimension, phases, grouped=grouped)
    if not groups:
        word = {2: "Physical Surface", 3: "Physical Volume"}[dimension]
        raise CellError("physical groups", 0, f"at least one {word}: the phases of the cell", HOW_TO_ADD)
    points, number = _nodes()
    blocks, cell_tags, phase_of_element = elements_of(dimension, groups, number)
    _check_elements(groups, blocks, cell_tags, made=made)
    inside = number[_nodes_of_all(dimension)]
    if dimension == 2 and np.ptp(points[inside, 2]) > 1e-10 * max(np.ptp(points[inside, :2], axis=0).max(), 1e-300):
        raise CellError("points", float(np.ptp(points[inside, 2])), "in one plane z = constant for a 2D cell")
    points = np.ascontiguousarray(points[:, :dimension])
    lattice = (lattice_of_model(dimension, lattice) if periodic else lattice) or Lattice.box(
        *np.ptp(points[inside], axis=0)
    )
    cells = uniform(points, blocks, lattice, FROM_GMSH)
    numbered = cells.rank is not None or len(blocks) > 1
    sides = groups_of(dimension - 1)
    facets, facet_tags = _facets(sides, cells, number)
    model = ModelArrays(
        points=cells.points,
        cells=cells.cells,
        kind=cells.kind,
        order=cells.order,
        phase_of_cell=phase_of_element[cells.parent],
        phases={group.name: group.number for group in groups},
        facets=facets,
        facet_tags=facet_tags,
        facet_names={group.name: group.number for group in sides},
        # In the order of the tags, as cells of one kind are.
        element=np.argsort(np.argsort(cell_tags))[cells.parent] if numbered else None,
        element_shape=(len(cell_tags),) if numbered else (),
        notes=cells.notes,
    )
    return model, lattice


def _nodes() -> tuple[Array, Indices]:
    """Return the nodes of the current model in the order of their tags, and the number of each tag."""
    import gmsh

    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    number = np.zeros(int(tags.max(initial=0)) + 1, dtype=np.int64)
    by_tag = np.argsort(tags, kind="stable")
    number[tags[by_tag]] = np.arange(len(tags))
    return coordinates.reshape(-1, 3)[by_tag], number


def _check_elements(groups: Sequence[Group], blocks: Sequence[Block], tags: Indices, *, made: bool) -> None:
    """Refuse a model without elements, elements of too high an order in a mesh that was made, and shared ones."""
    if not blocks:
        raise CellError("cells", 0, "at least one cell", "The mesh is empty: check that it was generated.")
    if made:
        _check_orders(blocks)
    if len(np.unique(tags)) < len(tags):
        names = [group.name for group in groups]
        raise CellError("physical groups", names, "disjoint: a part of the cell is in two phases", HOW_TO_ADD)


def _facets(sides: Sequence[Group], cells: Uniform, number: Indices) -> tuple[Indices, Tags]:
    """Return those facets of the cells that are in groups, and the number of the group of each."""
    blocks, _, side_of_element = elements_of(cells.points.shape[1] - 1, sides, number)
    facets, origin = uniform_facets(cells, blocks, FROM_GMSH)
    kept = facets_of(cells.cells, facets, cells.kind)
    return facets[kept], side_of_element[origin][kept]


def model_to_raw(
    dimension: int,
    lattice: Lattice | None = None,
    length_unit: str = "m",
    phases: Mapping[str, Label | Sequence[Label]] | None = None,
    *,
    made: bool = True,
    grouped: bool = True,
    periodic: bool = True,
) -> RawCell:
    """Return the current Gmsh model as a cell; for the arguments see :func:`read_model`.

    Straight facets on curved surfaces of the model have their slivers; its mesh is of second order then.
    """
    model, lattice = read_model(dimension, lattice, phases, made=made, grouped=grouped, periodic=periodic)
    fields = model._asdict()
    whole = dimension == 2 or model.element is None  # facets that were cut are none of Gmsh's
    if model.order == 1 and whole:
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


def groups_of(
    dimension: int, phases: Mapping[str, Label | Sequence[Label]] | None = None, *, grouped: bool = True
) -> list[Group]:
    """Return the groups of elements of one dimension under their names.

    Parameters
    ----------
    dimension
        That of the cells, or of their facets.
    phases
        For each name the number or the name of a physical group, or a list of these. Default: the physical groups under
        their own names; those of the cells must all have names, unnamed ones of facets are passed over.
    grouped
        If there are no physical groups, the parts of the model are not taken in their place, as ``"phase<number>"``.

    Raises
    ------
    CellError
        Groups without names, or two of one name.
    InputError
        Groups that the model does not have, or that are given twice.
    """
    import gmsh

    known = [
        Group(gmsh.model.getPhysicalName(dimension, tag), int(tag), _entities(dimension, tag))
        for _, tag in gmsh.model.getPhysicalGroups(dimension)
    ]
    if not known and not grouped:
        known = [Group("", int(tag), [int(tag)]) for _, tag in gmsh.model.getEntities(dimension)]
    if phases is not None:
        return _chosen(known, phases)
    if known and not grouped and not any(group.name for group in known):
        return [group._replace(name=f"phase{group.number}") for group in known]
    groups: list[Group] = []
    for group in known:
        if group.name:
            if group.name in [other.name for other in groups]:
                raise CellError("physical groups", group.name, "named differently from each other")
            groups.append(group)
        elif dimension == max(int(gmsh.model.getDimension()), 2):
            numbers = ", ".join(f"NAME = {other.number}" for other in known)
            remedy = f"Name them with phases = {{ {numbers} }} in [cell]. {HOW_TO_ADD}"
            raise CellError("physical groups", group.number, "named, every one of them", remedy)
        else:
            text = "physical group %d of dimension %d has no name and is passed over"
            log.warning(text, group.number, dimension)
    return groups


def _entities(dimension: int, tag: int) -> list[int]:
    import gmsh

    return [int(entity) for entity in gmsh.model.getEntitiesForPhysicalGroup(dimension, tag)]


def _chosen(known: list[Group], phases: Mapping[str, Label | Sequence[Label]]) -> list[Group]:
    """The groups that were asked for, with numbers from 1 on."""
    listed = ", ".join(f"{group.number} {group.name!r}" if group.name else str(group.number) for group in known)
    used: dict[int, str] = {}
    result = []
    for number, (name, labels) in enumerate(phases.items(), start=1):
        entities: list[int] = []
        for label in [labels] if isinstance(labels, (str, int, np.integer)) else list(labels):
            own = [group for group in known if label == (group.name if isinstance(label, str) else group.number)]
            if not own:
                allowed = "the number or the name of a physical group"
                raise InputError(f"phases.{name}", label, allowed, f"The file has {listed or 'none'}.")
            if own[0].number in used:
                raise InputError(f"phases.{name}", label, f"another group than that of {used[own[0].number]!r}")
            used[own[0].number] = str(name)
            entities += own[0].entities
        result.append(Group(str(name), number, entities))
    left = [group.name or group.number for group in known if group.number not in used]
    if left:
        remedy = "A group in no phase would be a hole; name it, and give it no coefficient."
        raise InputError("phases", dict(phases), f"a name for each physical group; {left} have none", remedy)
    return result


def _check_orders(blocks: Sequence[Block]) -> None:
    """Refuse orders that only a mesh which was made elsewhere may have."""
    orders, shapes = {block.order for block in blocks}, {block.shape for block in blocks}
    if max(orders) > 1 and (orders != {2} or len(shapes) > 1 or not shapes <= {"triangle", "tetra"}):
        allowed = "of one kind and one order, 1 or 2 (quadrilaterals and hexahedra: 1)"
        found = [f"{block.shape} of order {block.order}" for block in blocks]
        raise CellError("cells", found, allowed, "Recombine all of it or nothing; Mesh.ElementOrder <= 2.")


def elements_of(dimension: int, groups: Sequence[Group], number: Indices) -> tuple[list[Block], Indices, Tags]:
    """Return the elements by type, sorted by tag; their tags and the numbers of their groups in the same order."""
    import gmsh

    found: dict[int, list[tuple[npt.NDArray, npt.NDArray, int]]] = {}
    for group in groups:
        for entity in group.entities:
            for kind, tags, nodes in zip(*gmsh.model.mesh.getElements(dimension, entity), strict=True):
                found.setdefault(int(kind), []).append((tags, nodes, group.number))
    blocks: list[Block] = []
    all_tags: list[Indices] = [np.zeros(0, dtype=np.int64)]
    all_numbers: list[Tags] = [np.zeros(0, dtype=np.int32)]
    for kind in sorted(found):
        name, _, order, width, _, corners = gmsh.model.mesh.getElementProperties(kind)
        if (dimension, corners) not in _SHAPES:
            raise CellError("cells", name, "triangles, quadrilaterals, tetrahedra, hexahedra, wedges and pyramids")
        tags = np.concatenate([own for own, _, _ in found[kind]]).astype(np.int64)
        nodes = np.concatenate([own for _, own, _ in found[kind]]).astype(np.int64).reshape(-1, width)
        numbers = np.concatenate([np.full(len(own), group, dtype=np.int32) for own, _, group in found[kind]])
        by_tag = np.argsort(tags, kind="stable")
        blocks.append(Block(_SHAPES[dimension, corners], int(order), number[nodes[by_tag]]))
        all_tags.append(tags[by_tag])
        all_numbers.append(numbers[by_tag])
    return blocks, np.concatenate(all_tags), np.concatenate(all_numbers)


def _nodes_of_all(dimension: int) -> Indices:
    import gmsh

    return np.unique(np.concatenate(gmsh.model.mesh.getElements(dimension)[2]).astype(np.int64))
