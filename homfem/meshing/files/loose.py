"""Read a mesh as it is, also one that no cell can be made of: for the checker, which says what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from homfem.meshing.arrays.elements import SHAPES, Block, uniform
from homfem.meshing.arrays.raw_cell import Indices, RawCell, Tags
from homfem.meshing.by_gmsh.model import MESHED, OTHER_MESHES, from_gmsh_raw, merge_mesh, note_of
from homfem.meshing.by_gmsh.model_arrays import FROM_GMSH, Group, elements_of
from homfem.meshing.by_gmsh.periods import lattice_of_model
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.files import foreign
from homfem.parameters import Array, CellError, FileError, HomfemError, InputError, Lattice, check_number
from homfem.reference import CORNERS, DIMENSIONS, SIMPLEX


@dataclass(kw_only=True, slots=True, eq=False)
class LooseMesh:
    """A mesh with nothing promised; the fields are those of :class:`~homfem.meshing.arrays.raw_cell.RawCell`.

    ``problems`` and ``notes`` are what the reader found; ``lattice`` is None where the file does not tell it.
    """

    points: Array
    cells: Indices
    kind: str
    order: int
    phase_of_cell: Tags
    phases: dict[str, int]
    lattice: Lattice | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return DIMENSIONS[self.kind]

    @property
    def corners(self) -> Indices:
        """Corner nodes of the cells, shape (m, corners of a cell)."""
        return self.cells[:, : CORNERS[self.kind]]


def read_loosely(
    source: str | Path | RawCell, dimension: int | None, period: Any = None, *, trust: bool = False
) -> LooseMesh:
    """Return the mesh of a file or a cell.

    Raises
    ------
    HomfemError
        Only where there is no mesh at all: no file, a file that cannot be read, no cells.
    """
    if isinstance(source, RawCell):
        return _of_raw(source)
    path = Path(source)
    if not path.is_file():
        raise FileError("file", str(path), "an existing mesh file", "Check the path.")
    suffix = path.suffix.lower()
    if suffix in MESHED:
        return _of_merged(path, dimension, period)
    if suffix in foreign.GMSH_FILES:
        told = period if isinstance(period, Lattice) and suffix == ".geo" else None
        return _of_raw(from_gmsh_raw(path, dimension=dimension, trust=trust, lattice=told))
    return _of_meshio(path, dimension, period)


def read_period(period: Any, dimension: int) -> Lattice:
    """Return the lattice that was given: one length, one for each axis, or a lattice."""
    if isinstance(period, Lattice):
        if period.dimension != dimension:
            raise InputError("period", period.vectors, f"{dimension} period vectors")
        return period
    sides: Sequence[Any] = [period] * dimension if np.isscalar(period) else list(period)
    if len(sides) != dimension:
        raise InputError("period", period, f"one length, or {dimension}, one for each axis")
    return Lattice.box(*(check_number("period", side, above=0.0) for side in sides))


def _of_raw(raw: RawCell) -> LooseMesh:
    return LooseMesh(
        points=raw.points,
        cells=raw.cells,
        kind=raw.kind,
        order=raw.order,
        phase_of_cell=raw.phase_of_cell,
        phases=dict(raw.phases),
        lattice=raw.lattice,
    )


def _of_merged(path: Path, dimension: int | None, period: Any) -> LooseMesh:
    note = note_of(path)
    lattice = Lattice(vectors=np.array(note["lattice"], dtype=np.float64)) if "lattice" in note else None
    with gmsh_session() as gmsh:
        merge_mesh(gmsh, path)
        d = dimension or max(int(gmsh.model.getDimension()), 2)
        grouped = path.suffix.lower() not in OTHER_MESHES
        problems: list[str] = []
        try:
            found = lattice_of_model(d, lattice if period is None else read_period(period, d))
            lattice = found if period is None else lattice
        except HomfemError as error:
            problems.append(str(error))
        mesh = _of_model(gmsh, d, lattice if period is None else period, grouped)
        return replace(mesh, lattice=lattice, problems=[*mesh.problems, *problems])


def _of_model(gmsh: Any, d: int, period: Any, grouped: bool) -> LooseMesh:
    problems: list[str] = []
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    number = np.zeros(int(tags.max(initial=0)) + 1, dtype=np.int64)
    number[tags] = np.arange(len(tags))
    parts = [Group("", int(entity), [int(entity)]) for _, entity in gmsh.model.getEntities(d)]
    blocks, _, entity_of_element = elements_of(d, parts, number)
    if not blocks:
        raise CellError("cells", 0, f"at least one {SIMPLEX[d]}", f"Is it a {d}D mesh?")
    phases: dict[str, int] = {}
    phase_of_element: Tags = np.zeros(len(entity_of_element), dtype=np.int32)
    for entity, count in zip(*np.unique(entity_of_element, return_counts=True), strict=True):
        groups = [int(group) for group in gmsh.model.getPhysicalGroupsForEntity(d, int(entity))]
        names = [gmsh.model.getPhysicalName(d, group) or f"group {group}" for group in groups]
        for group, name in zip(groups, names, strict=True):
            if name == f"group {group}":
                problems.append(f"{count} cells are in physical group {group}, which has no name")
        if len(names) != 1:
            problems.append(f"{count} cells are in {len(names)} physical groups {names}, not in one")
        name = names[0] if names else "no group"
        phase_of_element[entity_of_element == entity] = phases.setdefault(name, len(phases) + 1)
    if not grouped and not gmsh.model.getPhysicalGroups(d):
        phases, problems = {f"phase{entity}": int(entity) for entity in np.unique(entity_of_element)}, []
        phase_of_element = entity_of_element
    points = coordinates.reshape(-1, 3)
    return _loose(points, blocks, FROM_GMSH, period, phases, phase_of_element, problems)


def _loose(
    points: Array,
    blocks: list[Block],
    curved: Mapping[tuple[str, int], Sequence[int]],
    period: Any,
    phases: dict[str, int],
    phase_of_element: Tags,
    problems: list[str],
) -> LooseMesh:
    """The mesh of elements as they are or, if they are of several kinds, cut into simplices."""
    d = SHAPES[blocks[0].shape][0]
    used = np.unique(np.concatenate([block.nodes.ravel() for block in blocks]))
    if d == 2 and np.ptp(points[used, 2:]) > 1e-10 * np.ptp(points[used, :2], axis=0).max():
        problems.append(f"the points are not in one plane z = constant: z differs by {np.ptp(points[used, 2]):.3g}")
    points = np.ascontiguousarray(points[:, :d])
    sides = np.ptp(points[used], axis=0)
    box = Lattice.box(*np.where(np.isfinite(sides) & (sides > 0.0), sides, 1.0))
    lattice = box if period is None else read_period(period, d)
    cells = uniform(points, blocks, lattice, curved)
    return LooseMesh(
        points=cells.points,
        cells=cells.cells,
        kind=cells.kind,
        order=cells.order,
        phase_of_cell=phase_of_element[cells.parent],
        phases=phases,
        problems=problems,
        notes=list(cells.notes),
    )


def _of_meshio(path: Path, dimension: int | None, period: Any) -> LooseMesh:
    mesh = foreign.read_meshio(path)
    blocks, own = foreign.elements(path, mesh, dimension or foreign.dimension_of(mesh))
    problems: list[str] = []
    phases = {"all": 1}
    tags: Tags = np.ones(sum(len(block.nodes) for block in blocks), dtype=np.int32)
    try:
        phases, tags = foreign.named(mesh, own, None, None, "phases")
    except HomfemError as error:
        problems.append(str(error))
    points = np.asarray(mesh.points, dtype=np.float64)
    if points.shape[1] == 2:
        points = np.column_stack([points, np.zeros(len(points))])
    return _loose(points, blocks, foreign.CURVED, period, phases, tags, problems)
