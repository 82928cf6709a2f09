"""Cells that were meshed elsewhere: whatever Gmsh or meshio reads, by one call."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from homfem.keywords import takes
from homfem.meshing.arrays.elements import SHAPES, Block, uniform, uniform_facets
from homfem.meshing.arrays.facets import facets_of
from homfem.meshing.arrays.raw_cell import Indices, RawCell, Tags, scaled
from homfem.meshing.by_gmsh.model import MESHED, STEP, from_gmsh_raw
from homfem.meshing.by_gmsh.reading import Label, Labels, Reading, ReadingOptions
from homfem.meshing.files.abaqus import read_abaqus
from homfem.meshing.files.dolfinx_xdmf import grids_of, read_dolfinx
from homfem.meshing.files.element_sets import Flags, partition
from homfem.meshing.files.saved import MESHIO_TYPES
from homfem.meshing.files.time_limit import reading_limit
from homfem.parameters import CellError, FileError, InputError, Lattice, check_choice
from homfem.reference import BOX, SIMPLEX

#: Endings of the files that Gmsh reads; meshio is asked about all others.
GMSH_FILES = (".geo", *STEP, *MESHED)
#: Those of them that hold the surfaces themselves.
GEOMETRIES = (".geo", *STEP)

#: The label of all cells that no other label has.
REST = "*"
#: Place in meshio's second-order simplices of each node in the order of DOLFINx.
CURVED: Mapping[tuple[str, int], list[int]] = {
    key: [int(k) for k in np.argsort(place)] for key, (_, place) in MESHIO_TYPES.items() if key[1] == 2
} | {("interval", 2): [0, 1, 2]}
_SECOND_ORDER = {
    "line3", "triangle6", "quad8", "quad9", "tetra10", "hexahedron20", "hexahedron24", "hexahedron27",
    "wedge12", "wedge15", "wedge18", "pyramid13", "pyramid14",
}  # fmt: skip
# Numbered as a tensor product in VTK.
_LATTICES = {"pixel": ("quad", [0, 1, 3, 2]), "voxel": ("hexahedron", [0, 1, 3, 2, 4, 5, 7, 6])}


def read_raw(path: str | Path, **options: Any) -> RawCell:
    """Read a cell from a file of any kind.

    ``.geo``, ``.msh``, ``.step``, ``.bdf`` and ``.unv`` go to :func:`homfem.meshing.by_gmsh.model.from_gmsh_raw`, all
    others to :func:`from_meshio_raw`; ``options`` are theirs.

    Raises
    ------
    InputError
        An option that the kind of file does not have.
    """
    gmsh = Path(path).suffix.lower() in GMSH_FILES
    gmsh_only, meshio_only = ["resolution", "order", "parameters", "trust"], ["phase_data", "facets"]
    own, other = (gmsh_only, meshio_only) if gmsh else (meshio_only, gmsh_only)
    (other if Path(path).suffix.lower() in STEP else own).append("phases")
    for name in other:
        if options.get(name) is not None:
            remedy = f"This kind of file takes {', '.join(own)}."
            raise InputError(name, options[name], f"absent for a {Path(path).suffix} file", remedy)
    given = {name: value for name, value in options.items() if name not in other}
    return from_gmsh_raw(path, **given) if gmsh else from_meshio_raw(path, **given)


class MeshioOptions(ReadingOptions, total=False):
    """The words of :class:`MeshioReading` as keywords of a function."""

    phase_data: str | None
    facets: Labels | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MeshioReading(Reading):
    """What a file of meshio is asked for.

    Parameters
    ----------
    lattice
        Period vectors in the unit of the file. Default: the sides of the bounding box.
    dimension
        2 or 3. Default: 3 if the file has tetrahedra.
    length
        Factor for all coordinates and periods.
    length_unit
        Unit of the coordinates after scaling; default "m".
    phases
        Name of each phase and what it has in the file: a number of the cell data, the name of a cell set, or a list of
        these; ``"*"`` is all other cells. Cells that have none of them are refused. Default: those cell sets that
        together hold each cell once, under their names (of Abaqus those with a section, if they do); else
        ``"phase<number>"`` for each number of the cell data; else one phase, ``"phase1"``. Where several choices of
        sets are possible, or none, the file is refused.
    repair, timeout
        See :class:`homfem.meshing.by_gmsh.reading.GmshReading`.
    phase_data
        Name of the cell data that tells the phases. Default: the only one that holds whole numbers.
    facets
        The same as ``phases`` for cells of one dimension less: named facets. Facets without a name are passed over.
    """

    phase_data: str | None = None
    facets: Labels | None = None


@takes(MeshioReading)
def from_meshio_raw(path: str | Path, **reading: Unpack[MeshioOptions]) -> RawCell:
    """Read a cell from a mesh file in any format of meshio: VTK, VTU, XDMF, Abaqus, Nastran, MEDIT, Exodus, ...

    Cells are the elements of three dimensions of the file, or of two. What stays and what is cut into simplices says
    :func:`homfem.meshing.arrays.elements.uniform`; curved triangles and tetrahedra of order 2 stay so.

    Parameters
    ----------
    path
        The file.
    **reading
        See :class:`MeshioReading`.

    Raises
    ------
    FileError
        The file is missing, or meshio cannot read it.
    CellError
        No cells, cells of other shapes, cells without a phase or in two.
    InputError
        Names of data or sets that the file does not have.
    """
    path, asked = Path(path), MeshioReading(**reading)
    phase_data, facets, lattice = asked.phase_data, asked.facets, asked.lattice
    mesh = read_meshio(path)
    d = asked.dimension or dimension_of(mesh)
    blocks, own = elements(path, mesh, d)
    used = np.unique(np.concatenate([block.nodes.ravel() for block in blocks]))
    points = np.asarray(mesh.points, dtype=np.float64)
    if d == 2 and points.shape[1] == 3 and np.ptp(points[used, 2]) > 1e-10 * np.ptp(points[used, :2], axis=0).max():
        raise CellError("points", float(np.ptp(points[used, 2])), "in one plane z = constant for a 2D cell")
    points = np.ascontiguousarray(points[:, :d])
    lattice = Lattice.box(*np.ptp(points[used], axis=0)) if lattice is None else lattice
    cells = uniform(points, blocks, lattice, CURVED)

    phase_names, tags = named(mesh, own, asked.phases, phase_data, "phases")
    if np.any(tags == 0):
        count = int(np.count_nonzero(tags == 0))
        allowed = f"names for all cells; {count} of {len(tags)} have none"
        raise CellError("phases", list(phase_names), allowed, _contents(mesh, own) + ' The label "*" is all others.')
    side_blocks, own_sides = elements(path, mesh, d - 1, needed=False)
    sides, origin = uniform_facets(cells, side_blocks, CURVED)
    side_names, side_tags = named(mesh, own_sides, facets or {}, phase_data if facets else None, "facets")
    side_tags = side_tags[origin]
    kept = facets_of(cells.cells, sides, cells.kind) & (side_tags > 0)
    raw = RawCell(
        points=cells.points,
        cells=cells.cells,
        kind=cells.kind,
        order=cells.order,
        phase_of_cell=tags[cells.parent],
        phases=phase_names,
        facets=sides[kept],
        facet_tags=side_tags[kept],
        facet_names=side_names,
        lattice=lattice,
        length_unit=asked.length_unit or "m",
        element=None if cells.rank is None else cells.parent,
        element_shape=() if cells.rank is None else (len(tags),),
        notes=cells.notes,
    )
    raw = raw if asked.length == 1.0 else scaled(raw, asked.length)
    if asked.repair:
        from homfem.meshing.by_gmsh.repair import repaired

        raw = repaired(raw, timeout=asked.timeout)
    return raw


def read_meshio(path: Path) -> Any:
    """Return the mesh of a file as meshio has it; raise :class:`FileError` where it has none."""
    import meshio
    from meshio._mesh import topological_dimension

    if not path.is_file():
        raise FileError("file", str(path), "an existing mesh file", "Check the path.")
    # Its readers know these elements, its table of dimensions does not (5.3.5: wedge15, pyramid13).
    for name in _SECOND_ORDER:
        topological_dimension.setdefault(name, _shape(name)[0])
    words = io.StringIO()
    try:
        # Some readers of meshio print, and some end the interpreter, where they should raise.
        with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words), reading_limit(path):
            if path.suffix.lower() == ".xdmf" and len(grids_of(path)) > 1:
                return read_dolfinx(path)
            return read_abaqus(path) if path.suffix.lower() == ".inp" else meshio.read(path)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        from homfem.grid.files import is_image

        if is_image(path) and path.suffix.lower() != ".vtk":  # which may be either
            remedy = "An image is read with shape = 'image' in [cell], beside file, labels (or thresholds) and voxel."
            raise FileError("file", str(path), "a mesh file", remedy) from error
        said = "" if isinstance(error, SystemExit) else str(error).strip()
        text = said or " ".join(words.getvalue().split()) or type(error).__name__
        raise FileError("file", str(path), "a mesh file that meshio can read", f"meshio says: {text}") from error


def dimension_of(mesh: Any) -> int:
    """Return 3 if a mesh has cells of three dimensions, else 2."""
    return 3 if any(_shape(block.type)[0] == 3 for block in mesh.cells if len(block.data)) else 2


def elements(path: Path, mesh: Any, d: int, *, needed: bool = True) -> tuple[list[Block], list[int]]:
    """Return the elements of dimension d, and their places among the blocks of the mesh.

    Raises
    ------
    CellError
        None where they are ``needed``, or elements of a shape that is not known.
    """
    blocks, own = [], []
    for number, block in enumerate(mesh.cells):
        dimension, shape, place = _shape(block.type)
        if dimension == d and len(block.data):
            nodes = np.asarray(block.data, dtype=np.int64)
            order = 1 if nodes.shape[1] == SHAPES[shape][1] else 2 if block.type in _SECOND_ORDER else 3
            blocks.append(Block(shape, order, nodes[:, place] if place else nodes))
            own.append(number)
        elif dimension < 0 and len(block.data):
            allowed = "triangles, quadrilaterals, tetrahedra, hexahedra, wedges and pyramids"
            raise CellError(
                "cells", block.type, allowed, f"Cut the others of {path.name} into triangles or tetrahedra."
            )
    if needed and not blocks:
        types = [block.type for block in mesh.cells if len(block.data)]
        remedy = f"{path.name} has none: is it a {d}D mesh?"
        raise CellError("cells", types, f"at least one {SIMPLEX[d]} or {BOX[d]}", remedy)
    return blocks, own


def _shape(name: str) -> tuple[int, str, list[int]]:
    """Dimension of a type of meshio (negative: one that is not known), its shape, and a change of its node order."""
    if name in _LATTICES:
        shape, place = _LATTICES[name]
        return SHAPES[shape][0], shape, place
    shape = name.rstrip("0123456789")
    if shape in SHAPES:
        return SHAPES[shape][0], shape, []
    return (0 if shape == "vertex" else -1), shape, []


def _whole_numbers(mesh: Any, own: list[int]) -> dict[str, Indices]:
    """Cell data of some blocks of cells that are whole numbers, one a cell."""
    found = {}
    for key, blocks in mesh.cell_data.items():
        parts = [np.asarray(blocks[number]) for number in own]
        values: npt.NDArray = np.concatenate(parts) if parts else np.zeros(0)
        values = values[:, 0] if values.shape[1:] == (1,) else values
        numeric = values.ndim == 1 and np.issubdtype(values.dtype, np.number) and np.all(np.isfinite(values))
        if numeric and np.all(values == np.rint(values)):
            found[key] = values.astype(np.int64)
    return found


def _sets(mesh: Any, own: list[int]) -> dict[str, Flags]:
    """Cell sets that hold cells of some blocks, as flags."""
    found = {}
    for key, blocks in mesh.cell_sets.items():
        flags = [np.zeros(0, dtype=bool)]
        for number in own:
            flag = np.zeros(len(mesh.cells[number].data), dtype=bool)
            members = blocks[number]
            if members is not None and len(members):
                flag[np.asarray(members, dtype=np.int64)] = True
            flags.append(flag)
        if np.concatenate(flags).any():
            found[key] = np.concatenate(flags)
    return found


def _contents(mesh: Any, own: list[int]) -> str:
    data = "; ".join(
        f"{key}: {', '.join(map(str, np.unique(values)[:12]))}" for key, values in _whole_numbers(mesh, own).items()
    )
    sets = [f"{key} ({np.count_nonzero(flags)})" for key, flags in _sets(mesh, own).items()]
    return f"The file's cells have the cell data {{{data}}} and the cell sets {', '.join(sets) or 'none'}."


def _by_themselves(mesh: Any, own: list[int], phase_data: str | None) -> dict[str, Label]:
    """Names of the phases of a file, and what each is in it, where nothing else is said."""
    data, sets = _whole_numbers(mesh, own), _sets(mesh, own)
    count = sum(len(mesh.cells[number].data) for number in own)
    if phase_data is not None:
        return {f"phase{tag}": int(tag) for tag in np.unique(data[phase_data])}
    chosen = partition(sets, (getattr(mesh, "info", None) or {}).get("sections", ()))
    several = [key for key, values in data.items() if len(np.unique(values)) > 1]
    if chosen is not None and (len(chosen) > 1 or not several):
        return {key: key for key in chosen}
    if sets and not several:
        allowed = "given: which of the cell sets are the phases, as they overlap or leave cells out"
        example = 'phases = { fibre = "SET", matrix = "*" }, where "*" is all others'
        raise InputError("phases", None, allowed, f"{_contents(mesh, own)} Give {example}.")
    if data:
        return {f"phase{tag}": int(tag) for tag in np.unique(_only(data))}
    return {"phase1": "*"} if count else {}


def named(
    mesh: Any,
    own: list[int],
    wanted: Mapping[str, Label | Sequence[Label]] | None,
    phase_data: str | None,
    what: str,
) -> tuple[dict[str, int], Tags]:
    """Names with numbers from 1 on, and the number of each cell of some blocks; 0 where it has no name."""
    data, sets = _whole_numbers(mesh, own), _sets(mesh, own)
    if phase_data is not None:
        check_choice("phase_data", phase_data, list(data))
        data = {phase_data: data[phase_data]}
    if wanted is None:
        wanted = _by_themselves(mesh, own, phase_data)
    tags: Tags = np.zeros(sum(len(mesh.cells[number].data) for number in own), dtype=np.int32)
    names = {str(key): number for number, key in enumerate(wanted, start=1)}
    rest: list[str] = []
    for key, labels in wanted.items():
        for label in [labels] if isinstance(labels, (str, int, np.integer)) else list(labels):
            if label == REST and REST not in sets:
                rest.append(str(key))
                continue
            if isinstance(label, str):
                if label not in sets:
                    raise InputError(f"{what}.{key}", label, "the name of a cell set", _contents(mesh, own))
                flags = sets[label]
            else:
                flags = _only(data) == label
                if not flags.any():
                    raise InputError(f"{what}.{key}", label, "a number of the cell data", _contents(mesh, own))
            both = flags & (tags > 0)
            if both.any():
                earlier = next(k for k, tag in names.items() if tag == tags[both][0])
                raise CellError(what, [earlier, str(key)], "of different cells", f"They share {int(both.sum())} cells.")
            tags[flags] = names[str(key)]
    if len(rest) > 1:
        raise InputError(f"{what}.{rest[1]}", REST, "the label of one phase only")
    if rest:
        tags[tags == 0] = names[rest[0]]
    return names, tags


def _only(data: dict[str, Indices]) -> Indices:
    if len(data) != 1:
        allowed = "given where not exactly one of the cell data holds whole numbers"
        raise InputError("phase_data", None, allowed, f"These do: {list(data)}.")
    return next(iter(data.values()))
