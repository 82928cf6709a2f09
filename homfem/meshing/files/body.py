"""Meshes of bodies as plain arrays, with named regions and boundaries: from files of Gmsh and of meshio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from homfem.keywords import takes
from homfem.meshing.by_gmsh.model import STEP, read_gmsh
from homfem.meshing.by_gmsh.reading import GmshReading, Labels
from homfem.meshing.files import carp
from homfem.meshing.files.carp_body import carp_body
from homfem.meshing.files.foreign import read_meshio
from homfem.meshing.files.groups import chosen
from homfem.parameters import Array, FileError, InputError, check_number

Indices = npt.NDArray[np.int64]
Tags = npt.NDArray[np.int32]

#: Type of meshio of the cells and of their facets, by the number of dimensions; the larger first.
KINDS = {3: ("tetra", "triangle"), 2: ("triangle", "line")}
#: Corners of each facet of a simplex, in the order of DOLFINx.
_SIDES = {1: [[0], [1]], 2: [[1, 2], [0, 2], [0, 1]], 3: [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]}
#: Cell data that formats use for the numbers of groups.
_GROUPS = ("gmsh:physical", "medit:ref")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BodyArrays:
    """A mesh of straight simplices on one rank, with names of its cells and facets.

    Parameters
    ----------
    points : array, shape (n, d)
        Coordinates, d = 1, 2 or 3.
    cells : array of int, shape (m, d + 1)
        Corner nodes of each cell.
    regions, region_of_cell
        Names with their numbers, and the number of each cell, shape (m,); 0 is no name.
    boundaries, facets, facet_tags
        Names with their numbers, corner nodes of facets, shape (f, d), and their numbers, shape (f,). A facet lies on
        the boundary of the body or inside.
    directions : mapping of str to array, shape (m, d) or (m, 3)
        ``"fibre"`` and ``"sheet"`` directions of each cell.

    Raises
    ------
    InputError
        If the arrays do not fit together.
    """

    points: Array
    cells: Indices
    regions: Mapping[str, int] = field(default_factory=dict)
    region_of_cell: Tags = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    boundaries: Mapping[str, int] = field(default_factory=dict)
    facets: Indices = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    facet_tags: Tags = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    directions: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.regions and self.region_of_cell.shape != (len(self.cells),):
            raise InputError("region_of_cell", self.region_of_cell.shape, f"of shape ({len(self.cells)},)")
        if self.boundaries and self.facets.shape != (len(self.facet_tags), self.cells.shape[1] - 1):
            raise InputError("facets", self.facets.shape, f"{self.cells.shape[1] - 1} nodes for each facet tag")
        for name, values in self.directions.items():
            if name not in ("fibre", "sheet") or values.ndim != 2 or len(values) != len(self.cells):
                raise InputError(f"directions.{name}", values.shape, "fibre or sheet, with one row for each cell")

    def tags_of_sides(self) -> Tags:
        """Return the number of each facet of each cell, shape (m, d + 1), in the order of DOLFINx; 0 is no name.

        Raises
        ------
        InputError
            If a named facet is no facet of any cell.
        """
        d = self.points.shape[1]
        result = np.zeros((len(self.cells), d + 1), dtype=np.int32)
        touched = np.zeros(len(self.points), dtype=bool)
        touched[self.facets] = True
        left = np.ones(len(self.facets), dtype=bool)
        for k, corners in enumerate(_SIDES[d]):
            cells = np.flatnonzero(touched[self.cells[:, corners]].all(axis=1))
            rows = np.sort(np.concatenate([self.facets, self.cells[cells][:, corners]]), axis=1)
            number = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
            facet_of = np.full(number.max(initial=-1) + 1, -1, dtype=np.int64)
            facet_of[number[: len(self.facets)]] = np.arange(len(self.facets))
            found = facet_of[number[len(self.facets) :]]
            hit = found >= 0
            result[cells[hit], k] = self.facet_tags[found[hit]]
            met = np.zeros(len(facet_of), dtype=bool)
            met[number[len(self.facets) :]] = True
            left &= ~met[number[: len(self.facets)]]
        if left.any():
            name = next((key for key, tag in self.boundaries.items() if tag == self.facet_tags[left][0]), "")
            count = int(np.count_nonzero(left))
            raise InputError(f"boundaries.{name}", count, "made of facets of cells; these are facets of none")
        return result


class BodyOptions(TypedDict, total=False):
    """The words of :class:`BodyReading` as keywords of a function."""

    regions: Labels | None
    boundaries: Labels | None
    resolution: float | None
    parameters: Mapping[str, float] | None
    trust: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyReading:
    """What the file of a body is asked for.

    Parameters
    ----------
    regions, boundaries
        For each name the group or set in the file by name or number, or a list of these, in place of the file's own;
        groups and sets that are not listed have no name then. Boundaries of a mesh of openCARP are files beside it:
        ``.surf`` (triangles) or ``.vtx`` (nodes of the outer surface).
    resolution
        ``.geo`` and STEP only: the file's constant ``resolution`` if it has one, else the largest mesh size; in the
        unit of the file's coordinates. By default what the script says, of STEP a tenth of the shortest side.
    parameters
        ``.geo`` only: values for numbers that the file declares by ``DefineConstant`` or ``DefineNumber``, by the names
        of their variables or by their paths in ONELAB.
    trust
        ``.geo`` only: let the script start programs, write files and read others, see
        :func:`homfem.meshing.by_gmsh.scripts.check_script`.
    """

    regions: Labels | None = None
    boundaries: Labels | None = None
    resolution: float | None = None
    parameters: Mapping[str, float] | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        if self.resolution is not None:
            check_number("resolution", self.resolution, above=0.0)


@takes(BodyReading)
def read_body(
    path: str | Path, *, length: float = 1.0, length_unit: str | None = None, **reading: Unpack[BodyOptions]
) -> BodyArrays:
    """Return the mesh of a body from a file, with the names of its regions and boundaries.

    Parameters
    ----------
    path
        A ``.geo`` or STEP file, which is meshed here (regions and boundaries are its named physical groups, or the
        parts of STEP); the ``.pts``, ``.elem`` or ``.lon`` file of openCARP, whose regions have their numbers as names
        and whose fibres come along (:mod:`homfem.meshing.files.carp`); or a mesh that meshio reads: regions and
        boundaries are the physical groups of Gmsh, by name or else by number as text, the cell sets of other formats,
        Medit's references, or the tags of DOLFINx by number. Curved cells become straight.
    length
        Factor of all coordinates.
    length_unit
        Unit of the coordinates before that, to which a STEP file, which has a unit of its own, is converted; by default
        m, of openCARP um.
    **reading
        See :class:`BodyReading`.

    Raises
    ------
    FileError
        For files that cannot be read, without triangles or tetrahedra, or with numbers that are none.
    InputError
        For groups or sets that the file does not have, and those that share a cell or a facet; for words that the kind
        of file does not take, and parameters that it does not declare.
    """
    path, asked = Path(path), BodyReading(**reading)
    length = check_number("length", length, above=0.0)
    if path.suffix.lower() in (".geo", *STEP):
        return _of_gmsh(path, length, length_unit or "m", asked)
    for name in ("resolution", "parameters"):
        if getattr(asked, name) is not None:
            raise InputError(name, getattr(asked, name), f"absent for a {path.suffix} file: its mesh is already made")
    if path.suffix.lower() in carp.MESH:
        return BodyArrays(**carp_body(path, length, length_unit or carp.UNIT, asked.regions, asked.boundaries))
    mesh = read_meshio(path)
    allowed = "a mesh of straight triangles or tetrahedra that meshio reads"
    d = next((d for d, kinds in KINDS.items() if corners_of(mesh, kinds[0]).size), 0)
    if not d:
        raise FileError("file", str(path), allowed, f"It has {', '.join(mesh.cells_dict) or 'no cells'}.")
    try:
        cells, facets = (corners_of(mesh, kind) for kind in KINDS[d])
        coordinates = np.asarray(mesh.points, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise FileError("file", str(path), allowed, f"Its numbers are none: {error}.") from error
    if cells.min() < 0 or cells.max() >= len(coordinates):
        raise FileError("file", str(path), f"{allowed}; its cells have nodes that it does not hold")
    used = np.unique(cells)
    points = coordinates[used] * length
    if d == 2 and points.shape[1] == 3 and np.ptp(points[:, 2]) > 1e-10 * np.ptp(points):
        raise FileError("file", str(path), "a flat mesh if it is one of triangles")
    number = np.full(len(coordinates), -1, dtype=np.int64)
    number[used] = np.arange(len(used))
    region_names, region_of_cell = _named(mesh, KINDS[d][0], d, asked.regions, "regions")
    names, facet_tags = _named(mesh, KINDS[d][1], d - 1, asked.boundaries, "boundaries")
    kept = facet_tags > 0
    kept[kept] = (number[facets[kept]] >= 0).all(axis=1)
    return BodyArrays(
        points=points[:, :d],
        cells=number[cells],
        regions=region_names,
        region_of_cell=region_of_cell,
        boundaries=names,
        facets=number[facets[kept]],
        facet_tags=facet_tags[kept],
    )


def _of_gmsh(path: Path, length: float, length_unit: str, asked: BodyReading) -> BodyArrays:
    words = GmshReading(length_unit=length_unit, parameters=asked.parameters, trust=asked.trust)
    raw = read_gmsh(path, words, periodic=False, size=asked.resolution)
    if not raw.simplicial:
        raise FileError("file", str(path), "a geometry that Gmsh meshes with triangles or tetrahedra")
    used, cells = np.unique(raw.corners, return_inverse=True)
    number = np.full(len(raw.points), -1, dtype=np.int64)
    number[used] = np.arange(len(used))
    regions, region_of_cell = _again(raw.phases, raw.phase_of_cell, asked.regions, "regions")
    boundaries, facet_tags = _again(raw.facet_names, raw.facet_tags, asked.boundaries, "boundaries")
    kept = facet_tags > 0
    return BodyArrays(
        points=raw.points[used] * length,
        cells=cells.reshape(raw.corners.shape),
        regions=regions,
        region_of_cell=region_of_cell,
        boundaries=boundaries,
        facets=number[raw.facet_corners[kept]],
        facet_tags=facet_tags[kept],
    )


def _again(names: Mapping[str, int], tags: Tags, wanted: Labels | None, what: str) -> tuple[dict[str, int], Tags]:
    """Names with their numbers, those that are wanted in place of the file's own."""
    if wanted is None:
        return dict(names), tags
    groups = {str(tag): tags == tag for tag in names.values()} | {name: tags == tag for name, tag in names.items()}
    return chosen(groups, wanted, len(tags), what)


def corners_of(mesh: Any, kind: str) -> Indices:
    """Corner nodes of all cells of a shape, of any order, in the order of the file."""
    count = {"line": 2, "triangle": 3, "tetra": 4}[kind]
    blocks = [np.asarray(block.data)[:, :count] for block in mesh.cells if _of_kind(block, kind)]
    return np.concatenate(blocks).astype(np.int64) if blocks else np.zeros((0, count), dtype=np.int64)


def _of_kind(block: Any, kind: str) -> bool:
    return block.type.rstrip("0123456789") == kind and len(block.data) > 0


def _named(mesh: Any, kind: str, dimension: int, wanted: Labels | None, what: str) -> tuple[dict[str, int], Tags]:
    """Names with numbers from 1 on, and the number of each cell of a shape; 0 where it has no name."""
    groups = _groups(mesh, kind, dimension)
    size = sum(len(block.data) for block in mesh.cells if _of_kind(block, kind))
    return chosen(groups, {name: name for name in groups} if wanted is None else wanted, size, what)


def _groups(mesh: Any, kind: str, dimension: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Named groups of the cells of a shape, as flags; those of Gmsh under their numbers too, if they have no name."""
    blocks = [number for number, block in enumerate(mesh.cells) if _of_kind(block, kind)]
    for key in _GROUPS:
        if key in mesh.cell_data and blocks:
            numbers = np.concatenate([np.asarray(mesh.cell_data[key][block]).ravel() for block in blocks])
            names = {int(tag): str(name) for name, (tag, dim) in mesh.field_data.items() if int(dim) == dimension}
            return {names.get(int(tag), str(int(tag))): numbers == tag for tag in np.unique(numbers) if tag != 0}
    found = {}
    for name, members in mesh.cell_sets.items():
        flags = [np.isin(np.arange(len(mesh.cells[block].data)), _members(members[block])) for block in blocks]
        joined = np.concatenate([np.zeros(0, dtype=bool), *flags])
        if joined.any() and not str(name).startswith("gmsh:"):  # meshio's own book-keeping
            found[str(name)] = joined
    return found


def _members(members: Any) -> Indices:
    return np.zeros(0, dtype=np.int64) if members is None else np.asarray(members, dtype=np.int64)
