"""A unit cell as plain arrays on one rank: what the meshers give and what is distributed. No MPI, no dolfinx here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.facets import facets_of
from homfem.meshing.arrays.jacobians import bent_cells, flat_cells, integrate, jacobians
from homfem.parameters import Array, CellError, InputError, Lattice, check_choice, check_number
from homfem.reference import CORNERS, DIMENSIONS, FACET_CORNERS, is_simplex

Indices = npt.NDArray[np.int64]
Tags = npt.NDArray[np.int32]

#: Nodes per cell and per facet, by (kind, order).
CELL_NODES = {
    ("triangle", 1): 3,
    ("triangle", 2): 6,
    ("triangle", 3): 10,
    ("triangle", 4): 15,
    ("tetrahedron", 1): 4,
    ("tetrahedron", 2): 10,
    ("quadrilateral", 1): 4,
    ("hexahedron", 1): 8,
}
FACET_NODES = {
    ("triangle", 1): 2,
    ("triangle", 2): 3,
    ("triangle", 3): 4,
    ("triangle", 4): 5,
    ("tetrahedron", 1): 3,
    ("tetrahedron", 2): 6,
    ("quadrilateral", 1): 2,
    ("hexahedron", 1): 4,
}

# Exchanging the last two corners turns a simplex's orientation; the mid-edge nodes follow. DOLFINx numbers the edges of
# a triangle (12)(02)(01) and of a tetrahedron (23)(13)(12)(03)(02)(01). Of the others x and y change places.
_TURNED = {
    ("triangle", 1): [0, 2, 1],
    ("triangle", 2): [0, 2, 1, 3, 5, 4],
    ("triangle", 3): [0, 2, 1, 4, 3, 7, 8, 5, 6, 9],
    ("triangle", 4): [0, 2, 1, 5, 4, 3, 9, 10, 11, 6, 7, 8, 12, 14, 13],
    ("tetrahedron", 1): [0, 1, 3, 2],
    ("tetrahedron", 2): [0, 1, 3, 2, 4, 6, 5, 8, 7, 9],
    ("quadrilateral", 1): [0, 2, 1, 3],
    ("hexahedron", 1): [0, 2, 1, 3, 4, 6, 5, 7],
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RawCell:
    """Mesh of one period cell, or of some of its phases, as arrays.

    Points that no cell uses are removed, facets with such points too, and cells are turned to positive orientation;
    the order of what stays is kept.

    Parameters
    ----------
    points : array, shape (n, d)
        Coordinates, in ``length_unit``.
    cells : array of int, shape (m, k)
        Nodes of each cell in the order of DOLFINx: 3 or 6 for a triangle, 4 or 10 for a tetrahedron, 4 for a
        quadrilateral, 8 for a hexahedron (see :mod:`homfem.reference`).
    kind
        ``"triangle"`` or ``"quadrilateral"`` (d = 2), ``"tetrahedron"`` or ``"hexahedron"`` (d = 3).
    order
        Degree of the geometry: 1, or for simplices 2.
    phase_of_cell : array of int, shape (m,)
        Tag of the phase of each cell.
    phases
        Name of each phase and its tag; each has at least one cell.
    facets : array of int, shape (f, kf)
        Nodes of the facets that carry a name.
    facet_tags : array of int, shape (f,)
    facet_names
        Name of each facet group and its tag.
    lattice
        Period vectors, in ``length_unit``.
    length_unit
        Unit of the coordinates.
    slivers : array, shape (f, 2), optional
        Volume between each of the ``facets`` and the curved surface that it stands for, in ``length_unit`` to the power
        d: where the true phase named first in "a|b" is larger than its mesh, and where it is smaller. (Of a group with
        another name the first is the phase of lower tag.) None (zeros) where the facets are the surface.

    element : array of int, shape (m,), optional
        Number of the element of the mesh, or voxel of the image, as it was made, that each cell is or is a part of; by
        default the cells are numbered.
    element_shape : tuple of int, optional
        Shape of an array with a value for each of them: that of an image, or ``(m,)``.
    notes : tuple of str
        What its user must know, such as what was changed when it was read.

    Raises
    ------
    CellError
        No cells, a tag without a name, a name without cells, degenerate or folded cells, cells that together are
        larger than one period.
    """

    points: Array
    cells: Indices
    kind: str
    order: int
    phase_of_cell: Tags
    phases: Mapping[str, int]
    facets: Indices
    facet_tags: Tags
    facet_names: Mapping[str, int]
    lattice: Lattice
    length_unit: str = "m"
    slivers: Array | None = None
    element: Indices | None = None
    element_shape: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        key = _check_kind(self.kind, self.order)
        points = np.ascontiguousarray(self.points, dtype=np.float64)
        cells = np.ascontiguousarray(self.cells, dtype=np.int64)
        phase_of_cell = np.ascontiguousarray(self.phase_of_cell, dtype=np.int32)
        facets = np.asarray(self.facets, dtype=np.int64)
        facets = facets.reshape(-1, FACET_NODES[key]) if facets.size == 0 else facets
        facet_tags = np.asarray(self.facet_tags, dtype=np.int32)
        _check_shapes(key, points, cells, phase_of_cell, facets, facet_tags, self.lattice)
        slivers = None if self.slivers is None else np.ascontiguousarray(self.slivers, dtype=np.float64)
        if slivers is not None and (slivers.shape != (len(facets), 2) or not np.all(slivers >= 0.0)):
            raise CellError("slivers", slivers.shape, f"two volumes >= 0 for each of the {len(facets)} facets")
        element = np.arange(len(cells)) if self.element is None else np.asarray(self.element, dtype=np.int64)
        element_shape = self.element_shape or (len(cells),)
        if element.shape != (len(cells),):  # another mesh, made of this one's points
            element, element_shape = np.arange(len(cells)), (len(cells),)
        phases = _check_names("phases", self.phases, phase_of_cell, "cells")
        facet_names = {str(name): int(tag) for name, tag in self.facet_names.items()}
        unnamed = sorted({int(tag) for tag in np.unique(facet_tags)}.difference(facet_names.values()))
        if unnamed:
            raise CellError("facet_names", facet_names, f"a name for every facet tag; tag {unnamed[0]} has none")

        points, cells, facets, facet_tags, slivers = _used(points, cells, facets, facet_tags, slivers)
        facet_names = {name: tag for name, tag in facet_names.items() if np.any(facet_tags == tag)}

        cells, volumes = _orient(points, cells, key)
        if volumes.sum() > self.lattice.volume * (1.0 + 1e-9):
            raise CellError(
                "cells",
                float(volumes.sum()),
                f"of total volume <= {self.lattice.volume:.12g}, the volume of one period",
                "Give the period vectors that belong to the mesh; cells must not overlap.",
            )
        for name, value in {
            "points": points,
            "cells": np.ascontiguousarray(cells),
            "phase_of_cell": phase_of_cell,
            "phases": phases,
            "facets": np.ascontiguousarray(facets),
            "facet_tags": np.ascontiguousarray(facet_tags),
            "facet_names": facet_names,
            "slivers": slivers,
            "element": element,
            "element_shape": element_shape,
            "order": int(self.order),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def dimension(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return DIMENSIONS[self.kind]

    @property
    def corners(self) -> Indices:
        """Corner nodes of the cells, shape (m, corners of a cell)."""
        return self.cells[:, : CORNERS[self.kind]]

    @property
    def facet_corners(self) -> Indices:
        """Corner nodes of the named facets, shape (f, corners of a facet)."""
        return self.facets[:, : FACET_CORNERS[self.kind]]

    @property
    def affine(self) -> bool:
        """Whether every cell is an affine image of the reference cell: its Jacobian is constant."""
        return self.order == 1 and (self.simplicial or not bool(bent_cells(self.points, self.corners).any()))

    @property
    def simplicial(self) -> bool:
        """Whether the cells are simplices."""
        return is_simplex(self.kind)


def restrict(raw: RawCell, phase_names: Sequence[str]) -> RawCell:
    """Return the mesh of the named phases alone: their cells, the points and the named facets of those cells.

    Raises
    ------
    InputError
        If a name is not one of ``raw.phases``, or none is given.
    """
    names = [phase_names] if isinstance(phase_names, str) else list(phase_names)
    known = list(raw.phases)
    for name in names:
        check_choice("phase", name, known)
    if not names:
        raise InputError("phase_names", phase_names, "at least one of " + ", ".join(map(repr, known)))
    phases = {name: tag for name, tag in raw.phases.items() if name in names}
    chosen = np.isin(raw.phase_of_cell, list(phases.values()))
    if chosen.all():
        return raw
    return select(raw, chosen)


def select(raw: RawCell, chosen: npt.NDArray[np.bool_]) -> RawCell:
    """Return the cells for which ``chosen`` (shape (m,)) is true, with their points, phases and named facets."""
    cells, phase_of_cell = raw.cells[chosen], raw.phase_of_cell[chosen]
    present = np.unique(phase_of_cell)
    _require_cells(cells)
    kept = facets_of(cells, raw.facets, raw.kind)
    slivers = None if raw.slivers is None else raw.slivers[kept]
    points, cells, facets, facet_tags, slivers = _used(
        raw.points, cells, raw.facets[kept], raw.facet_tags[kept], slivers
    )
    return unchecked(
        raw,
        points=points,
        cells=cells,
        phase_of_cell=phase_of_cell,
        phases={name: tag for name, tag in raw.phases.items() if tag in present},
        facets=facets,
        facet_tags=facet_tags,
        facet_names={name: tag for name, tag in raw.facet_names.items() if np.any(facet_tags == tag)},
        slivers=slivers,
        element=elements_of(raw)[chosen],
    )


def unchecked(raw: RawCell, **changes: Any) -> RawCell:
    """Return the cell with other fields, which the caller knows to be right and in their final form."""
    made: RawCell = object.__new__(RawCell)
    for each in fields(RawCell):
        object.__setattr__(made, each.name, changes[each.name] if each.name in changes else getattr(raw, each.name))
    return made


def elements_of(raw: RawCell) -> Indices:
    """Return the number of the original element of each cell."""
    assert raw.element is not None  # set when the cell was made
    return raw.element


def scaled(raw: RawCell, length: float, length_unit: str | None = None) -> RawCell:
    """Return the cell with every coordinate and the lattice multiplied by ``length``; the unit is renamed if given."""
    length = check_number("length", length, above=0.0)
    return replace(
        raw,
        points=raw.points * length,
        lattice=Lattice(vectors=raw.lattice.vectors * length),
        length_unit=raw.length_unit if length_unit is None else length_unit,
        slivers=None if raw.slivers is None else raw.slivers * length**raw.dimension,
    )


def stretched(raw: RawCell, factors: Array, length_unit: str) -> RawCell:
    """Return the cell with coordinates and lattice multiplied by one factor per axis."""
    if np.all(factors == 1.0):
        return raw if raw.length_unit == length_unit else unchecked(raw, length_unit=length_unit)
    return replace(
        raw,
        points=raw.points * factors,
        lattice=Lattice(vectors=raw.lattice.vectors * factors),
        length_unit=length_unit,
        slivers=None if raw.slivers is None else raw.slivers * float(np.prod(factors)),
    )


def cell_volumes(raw: RawCell) -> Array:
    """Return the area or volume of each cell, shape (m,), exact for every kind and order."""
    key = (raw.kind, raw.order)
    return integrate(jacobians(raw.points, raw.cells, key), key)


def _check_kind(kind: str, order: int) -> tuple[str, int]:
    check_choice("kind", kind, list(DIMENSIONS))
    known = [known for name, known in CELL_NODES if name == kind]
    if order not in known:
        remedy = "Set Mesh.ElementOrder to 1, or mesh with simplices." if max(known) == 1 else ""
        raise CellError("order", order, f"{' or '.join(map(str, known))} for a {kind}", remedy)
    return kind, int(order)


def _check_shapes(
    key: tuple[str, int],
    points: Array,
    cells: Indices,
    phase_of_cell: Tags,
    facets: Indices,
    facet_tags: Tags,
    lattice: Lattice,
) -> None:
    dimension = DIMENSIONS[key[0]]
    _require_cells(cells)
    shapes: list[tuple[str, npt.NDArray, int]] = [
        ("points", points, dimension),
        ("cells", cells, CELL_NODES[key]),
        ("facets", facets, FACET_NODES[key]),
    ]
    for name, array, width in shapes:
        if array.ndim != 2 or array.shape[1] != width:
            raise CellError(name, array.shape, f"of shape (n, {width}) for a {key[0]} of order {key[1]}")
    if phase_of_cell.shape != cells.shape[:1]:
        raise CellError("phase_of_cell", phase_of_cell.shape, f"of shape ({len(cells)},): one tag per cell")
    if facet_tags.shape != facets.shape[:1]:
        raise CellError("facet_tags", facet_tags.shape, f"of shape ({len(facets)},): one tag per facet")
    if lattice.dimension != dimension:
        raise CellError("lattice", lattice.vectors, f"{dimension} period vectors, as the mesh has {key[0]} cells")
    if not np.all(np.isfinite(points)):
        raise CellError("points", points, "finite")
    for name, array in (("cells", cells), ("facets", facets)):
        if array.size and (array.min() < 0 or array.max() >= len(points)):
            raise CellError(name, (int(array.min()), int(array.max())), f"node numbers from 0 to {len(points) - 1}")


def _require_cells(cells: Indices) -> None:
    if len(cells) == 0:
        raise CellError("cells", 0, "at least one cell", "The mesh is empty: check that it was generated.")


def _used(
    points: Array, cells: Indices, facets: Indices, facet_tags: Tags, slivers: Array | None
) -> tuple[Array, Indices, Indices, Tags, Array | None]:
    """The arrays without the points that no cell uses, and without the facets that have such points."""
    used = np.zeros(len(points), dtype=bool)
    used[cells] = True
    if used.all():
        return points, cells, facets, facet_tags, slivers
    number = np.cumsum(used) - 1
    kept = used[facets].all(axis=1)
    return (
        points[used],
        number[cells],
        number[facets[kept]],
        facet_tags[kept],
        None if slivers is None else slivers[kept],
    )


def _check_names(name: str, names: Mapping[str, int], tags: Tags, what: str) -> dict[str, int]:
    known = {str(key): int(tag) for key, tag in names.items()}
    if len(set(known.values())) < len(known):
        raise CellError(name, known, "a different tag for each name")
    present = {int(tag) for tag in np.unique(tags)}
    unnamed = sorted(present.difference(known.values()))
    if unnamed:
        count = int(np.count_nonzero(tags == unnamed[0]))
        remedy = "Give every part of the cell a named physical group."
        raise CellError(name, known, f"a name for every tag; tag {unnamed[0]} of {count} {what} has none", remedy)
    for key, tag in known.items():
        if tag not in present:
            raise CellError(name, known, f"names of groups with {what}; {key!r} has none")
    return known


def _orient(points: Array, cells: Indices, key: tuple[str, int]) -> tuple[Indices, Array]:
    """Turn negative cells and refuse degenerate and folded ones; return the cells and their volumes."""
    determinants = jacobians(points, cells, key)
    negative = determinants.mean(axis=1) < 0.0
    if negative.any():
        cells = cells.copy()
        cells[negative] = cells[negative][:, _TURNED[key]]
        determinants = determinants.copy()
        determinants[negative] *= -1.0
    flat = flat_cells(points, cells, determinants, key[0])
    if flat.any():
        first = int(np.flatnonzero(flat)[0])
        centre = points[cells[first, : CORNERS[key[0]]]].mean(axis=0)
        raise CellError(
            "cells",
            int(np.count_nonzero(flat)),
            f"0 degenerate or folded cells; the first is cell {first} near {np.array2string(centre, precision=6)}",
            "Repair the mesh, or mesh finer; second order: Mesh.HighOrderOptimize = 2.",
        )
    return cells, integrate(determinants, key)
