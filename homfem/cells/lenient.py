"""Read a mesh as it is, also one that no cell can be made of: for the checker, which says what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.cells import own_meshes
from homfem.cells.files import MESHIO_TYPES
from homfem.cells.gmsh_arrays import FROM_GMSH, GMSH_TYPES, OF_GMSH_TYPE
from homfem.cells.gmsh_model import from_gmsh_raw, merge_msh, note_of
from homfem.cells.gmsh_session import gmsh_session
from homfem.cells.raw import Indices, RawCell, Tags
from homfem.parameters import Array, CellError, FileError, HomfemError, InputError, Lattice, check_number
from homfem.reference import CORNERS, DIMENSIONS, SIMPLEX


@dataclass(kw_only=True, slots=True, eq=False)
class LooseMesh:
    """A mesh with nothing promised; the fields are those of :class:`~homfem.cells.raw.RawCell`.

    ``problems`` are what the reader found; ``lattice`` is None where the file does not tell it.
    """

    points: Array
    cells: Indices
    kind: str
    order: int
    phase_of_cell: Tags
    phases: dict[str, int]
    lattice: Lattice | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return DIMENSIONS[self.kind]

    @property
    def corners(self) -> Indices:
        """Corner nodes of the cells, shape (m, corners of a cell)."""
        return self.cells[:, : CORNERS[self.kind]]


def read_loosely(source: str | Path | RawCell, dimension: int | None, *, trust: bool = False) -> LooseMesh:
    """Return the mesh of a file or a cell.

    Raises
    ------
    HomfemError
        Only where there is no mesh at all: no file, a file that cannot be read, no triangles or tetrahedra.
    """
    if isinstance(source, RawCell):
        return _of_raw(source)
    path = Path(source)
    if not path.is_file():
        raise FileError("file", str(path), "an existing mesh file", "Check the path.")
    suffix = path.suffix.lower()
    if suffix in (".msh", ".msh2", ".msh4"):
        return _of_msh(path, dimension)
    if suffix in own_meshes.GMSH_FILES:
        return _of_raw(from_gmsh_raw(path, dimension=dimension, trust=trust))
    return _of_meshio(path, dimension)


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


def _of_msh(path: Path, dimension: int | None) -> LooseMesh:
    note = note_of(path)
    with gmsh_session() as gmsh:
        merge_msh(gmsh, path)
        d = dimension or max(int(gmsh.model.getDimension()), 2)
        loose = _of_model(gmsh, d)
    if "lattice" in note:
        loose.lattice = Lattice(vectors=np.array(note["lattice"], dtype=np.float64))
    return loose


def _of_model(gmsh: Any, d: int) -> LooseMesh:
    problems: list[str] = []
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    number = np.zeros(int(tags.max(initial=0)) + 1, dtype=np.int64)
    number[tags] = np.arange(len(tags))
    types, blocks_of, _ = gmsh.model.mesh.getElements(d)
    total = sum(len(block) for block in blocks_of)
    counts = {OF_GMSH_TYPE[t]: len(block) for t, block in zip(types, blocks_of, strict=True) if t in OF_GMSH_TYPE}
    if not any(counts.values()):
        raise CellError("cells", 0, f"at least one {SIMPLEX[d]}", f"Is it a {d}D mesh?")
    kind, order = key = max(counts, key=lambda key: counts[key])
    if total > counts[key]:
        problems.append(f"{total - counts[key]} cells are no {kind} of order {order} and were left out")
    width = len(FROM_GMSH[key])
    phases: dict[str, int] = {}
    blocks: list[Indices] = []
    own_tags: list[npt.NDArray] = []
    for _, entity in gmsh.model.getEntities(d):
        elements, nodes = gmsh.model.mesh.getElementsByType(GMSH_TYPES[key], entity)
        if not len(elements):
            continue
        groups = [int(group) for group in gmsh.model.getPhysicalGroupsForEntity(d, entity)]
        names = [gmsh.model.getPhysicalName(d, group) or f"group {group}" for group in groups]
        for group, name in zip(groups, names, strict=True):
            if name == f"group {group}":
                problems.append(f"{len(elements)} cells are in physical group {group}, which has no name")
        if len(names) != 1:
            problems.append(f"{len(elements)} cells are in {len(names)} physical groups {names}, not in one")
        name = names[0] if names else "no group"
        tag = phases.setdefault(name, len(phases) + 1)
        blocks.append(nodes.astype(np.int64).reshape(-1, width))
        own_tags.append(np.full(len(elements), tag, dtype=np.int32))
    cells = number[np.vstack(blocks)[:, FROM_GMSH[key]]]
    points = coordinates.reshape(-1, 3)
    if d == 2 and np.ptp(points[cells][..., 2]) > 1e-10 * np.ptp(points[cells][..., :2], axis=(0, 1)).max():
        problems.append(
            f"the points are not in one plane z = constant: z differs by {np.ptp(points[cells][..., 2]):.3g}"
        )
    return LooseMesh(
        points=np.ascontiguousarray(points[:, :d]),
        cells=cells,
        kind=kind,
        order=order,
        phase_of_cell=np.concatenate(own_tags),
        phases=phases,
        problems=problems,
    )


def _of_meshio(path: Path, dimension: int | None) -> LooseMesh:
    mesh = own_meshes.read_meshio(path)
    d = dimension or (3 if any(block.type.startswith("tetra") for block in mesh.cells) else 2)
    problems: list[str] = []
    present = {block.type for block in mesh.cells if len(block.data)}
    orders = [order for order in (2, 1) if MESHIO_TYPES[SIMPLEX[d], order][0] in present]
    try:
        own_meshes.kind_and_order(path, mesh, d)
    except CellError as error:
        if not orders:
            raise
        problems.append(str(error))
    name, place = MESHIO_TYPES[SIMPLEX[d], orders[0]]
    cells = own_meshes.nodes_of(mesh, name, place)
    phases = {"all": 1}
    tags: Tags = np.ones(len(cells), dtype=np.int32)
    try:
        phases, tags = own_meshes.named(mesh, name, None, None, "phases")
    except HomfemError as error:
        problems.append(str(error))
    return LooseMesh(
        points=np.ascontiguousarray(np.asarray(mesh.points, dtype=np.float64)[:, :d]),
        cells=cells,
        kind=SIMPLEX[d],
        order=orders[0],
        phase_of_cell=tags,
        phases=phases,
        problems=problems,
    )
