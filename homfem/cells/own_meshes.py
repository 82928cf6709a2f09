"""Cells that were meshed elsewhere: whatever Gmsh or meshio reads, by one call."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.cells.files import MESHIO_TYPES, facet_type
from homfem.cells.gmsh_model import from_gmsh_raw
from homfem.cells.limited import TIMEOUT
from homfem.cells.raw import Indices, RawCell, Tags, facets_of, scaled
from homfem.parameters import CellError, FileError, InputError, Lattice, check_choice, check_integer, check_number
from homfem.reference import SIMPLEX

#: Endings of the files that Gmsh reads; meshio is asked about all others.
GMSH_FILES = (".geo", ".msh", ".msh2", ".msh4", ".step", ".stp")
#: Those of them that hold the surfaces themselves.
GEOMETRIES = (".geo", ".step", ".stp")

Label = int | str


def read_raw(path: str | Path, **options: Any) -> RawCell:
    """Read a cell from a file of any kind.

    ``.geo``, ``.msh`` and ``.step`` go to :func:`homfem.cells.gmsh_model.from_gmsh_raw`, all others to
    :func:`from_meshio_raw`; ``options`` are theirs.

    Raises
    ------
    InputError
        An option that the kind of file does not have.
    """
    gmsh = Path(path).suffix.lower() in GMSH_FILES
    own = ("phases", "phase_data", "facets") if not gmsh else ("resolution", "order", "parameters", "trust")
    other = ("resolution", "order", "parameters", "trust") if not gmsh else ("phases", "phase_data", "facets")
    for name in other:
        if options.get(name) is not None:
            remedy = f"This kind of file takes {', '.join(own)}."
            raise InputError(name, options[name], f"absent for a {Path(path).suffix} file", remedy)
    given = {name: value for name, value in options.items() if name not in other}
    return from_gmsh_raw(path, **given) if gmsh else from_meshio_raw(path, **given)


def from_meshio_raw(
    path: str | Path,
    *,
    lattice: Lattice | None = None,
    phases: Mapping[str, Label | Sequence[Label]] | None = None,
    phase_data: str | None = None,
    facets: Mapping[str, Label | Sequence[Label]] | None = None,
    dimension: int | None = None,
    length: float = 1.0,
    length_unit: str | None = None,
    repair: bool = False,
    timeout: float | None = TIMEOUT,
) -> RawCell:
    """Read a cell from a mesh file in any format of meshio: VTK, VTU, XDMF, Abaqus, Nastran, MEDIT, Exodus, ...

    Cells are the tetrahedra of the file (two dimensions: the triangles), of order 1 or 2; curved ones stay so.

    Parameters
    ----------
    path
        The file.
    lattice
        Period vectors in the unit of the file. Default: the sides of the bounding box.
    phases
        Name of each phase and what it has in the file: a number of the cell data, the name of a cell set, or a list of
        these. Cells that have none of them are refused. Default: the cell sets under their names if each cell is in
        one; else ``"phase<number>"`` for each number of the cell data; else one phase, ``"phase1"``.
    phase_data
        Name of the cell data that tells the phases. Default: the only one that holds whole numbers.
    facets
        The same as ``phases`` for cells of one dimension less: named facets. Facets without a name are passed over.
    dimension
        2 or 3. Default: 3 if the file has tetrahedra.
    length
        Factor for all coordinates and periods.
    length_unit
        Unit of the coordinates after scaling; default "m".
    repair, timeout
        See :func:`homfem.cells.gmsh_model.from_gmsh_raw`.

    Raises
    ------
    FileError
        The file is missing, or meshio cannot read it.
    CellError
        No triangles or tetrahedra, cells of other shapes or of two orders, cells without a phase or in two.
    InputError
        Names of data or sets that the file does not have.
    """
    path = Path(path)
    length = check_number("length", length, above=0.0)
    if dimension is not None:
        check_integer("dimension", dimension, at_least=2, at_most=3)
    mesh = read_meshio(path)
    present = {block.type for block in mesh.cells}
    d = dimension or (3 if any(name.startswith("tetra") for name in present) else 2)
    kind, order = kind_and_order(path, mesh, d)
    name, place = MESHIO_TYPES[kind, order]
    points = np.asarray(mesh.points, dtype=np.float64)
    if d == 2 and points.shape[1] == 3 and np.ptp(points[:, 2]) > 1e-10 * np.ptp(points[:, :2], axis=0).max():
        raise CellError("points", float(np.ptp(points[:, 2])), "in one plane z = constant for a 2D cell")
    points = np.ascontiguousarray(points[:, :d])

    cells = nodes_of(mesh, name, place)
    phase_names, phase_of_cell = named(mesh, name, phases, phase_data, "phases")
    if np.any(phase_of_cell == 0):
        count = int(np.count_nonzero(phase_of_cell == 0))
        allowed = f"names for all cells; {count} of {len(cells)} have none"
        raise CellError("phases", list(phase_names), allowed, _contents(mesh, name))
    side, side_place = facet_type(kind, order)
    sides = nodes_of(mesh, side, side_place)
    side_names, side_tags = named(mesh, side, facets or {}, phase_data, "facets")
    kept = facets_of(cells, sides, kind) & (side_tags > 0)
    sides, side_tags = sides[kept], side_tags[kept]
    used = points[np.unique(cells)]
    raw = RawCell(
        points=points,
        cells=cells,
        kind=kind,
        order=order,
        phase_of_cell=phase_of_cell,
        phases=phase_names,
        facets=sides,
        facet_tags=side_tags,
        facet_names=side_names,
        lattice=Lattice.box(*np.ptp(used, axis=0)) if lattice is None else lattice,
        length_unit=length_unit or "m",
    )
    raw = raw if length == 1.0 else scaled(raw, length)
    if repair:
        from homfem.cells.repair import repaired

        raw = repaired(raw, timeout=timeout)
    return raw


def read_meshio(path: Path) -> Any:
    """Return the mesh of a file as meshio has it; raise :class:`FileError` where it has none."""
    import meshio

    if not path.is_file():
        raise FileError("file", str(path), "an existing mesh file", "Check the path.")
    words = io.StringIO()
    try:
        # Some readers of meshio print, and some end the interpreter, where they should raise.
        with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
            return meshio.read(path)
    except (Exception, SystemExit) as error:
        text = str(error).strip() or words.getvalue().strip() or type(error).__name__
        raise FileError("file", str(path), "a mesh file that meshio can read", f"meshio says: {text}") from error


def kind_and_order(path: Path, mesh: Any, d: int) -> tuple[str, int]:
    """Return the kind of the cells of dimension d and their order; refuse other shapes and a mixture."""
    kind = SIMPLEX[d]
    known = {MESHIO_TYPES[kind, order][0]: order for order in (1, 2)}
    dimensions = {"triangle": 2, "quad": 2, "tetra": 3, "hexahedron": 3, "wedge": 3, "pyramid": 3}
    blocks = [block.type for block in mesh.cells if len(block.data)]
    own = [name for name in dict.fromkeys(blocks) if dimensions.get(name.rstrip("0123456789")) == d]
    if not own:
        raise CellError("cells", blocks, f"at least one {kind}", f"{path.name} has none: is it a {d}D mesh?")
    others = [name for name in own if name not in known]
    if others or len(own) > 1:
        remedy = "Mesh with simplices of one order; cut other shapes into simplices."
        raise CellError("cells", own, f"{' or '.join(known)}, all of one kind", remedy)
    return kind, known[own[0]]


def nodes_of(mesh: Any, name: str, place: list[int]) -> Indices:
    """Return the nodes of all cells of one type of meshio, in the order of DOLFINx."""
    blocks = [np.asarray(block.data, dtype=np.int64) for block in mesh.cells if block.type == name]
    return np.concatenate([np.zeros((0, len(place)), dtype=np.int64), *blocks])[:, np.argsort(place)]


def _whole_numbers(mesh: Any, name: str) -> dict[str, Indices]:
    """Cell data of the cells of one type that are whole numbers, one a cell."""
    found = {}
    for key, blocks in mesh.cell_data.items():
        parts = [np.asarray(part) for block, part in zip(mesh.cells, blocks, strict=True) if block.type == name]
        values: npt.NDArray = np.concatenate(parts) if parts else np.zeros(0)
        values = values[:, 0] if values.shape[1:] == (1,) else values
        numeric = values.ndim == 1 and np.issubdtype(values.dtype, np.number) and np.all(np.isfinite(values))
        if numeric and np.all(values == np.rint(values)):
            found[key] = values.astype(np.int64)
    return found


def _sets(mesh: Any, name: str) -> dict[str, Any]:
    """Cell sets that hold cells of one type, as flags."""
    found = {}
    for key, blocks in mesh.cell_sets.items():
        flags = []
        for block, members in zip(mesh.cells, blocks, strict=True):
            if block.type == name:
                flag = np.zeros(len(block.data), dtype=bool)
                if members is not None and len(members):
                    flag[np.asarray(members, dtype=np.int64)] = True
                flags.append(flag)
        flags = [*flags, np.zeros(0, dtype=bool)]
        if np.concatenate(flags).any():
            found[key] = np.concatenate(flags)
    return found


def _contents(mesh: Any, name: str) -> str:
    data = "; ".join(
        f"{key}: {', '.join(map(str, np.unique(values)[:12]))}" for key, values in _whole_numbers(mesh, name).items()
    )
    return f"The file's {name} cells have the cell data {{{data}}} and the cell sets {list(_sets(mesh, name))}."


def named(
    mesh: Any, name: str, wanted: Mapping[str, Label | Sequence[Label]] | None, phase_data: str | None, what: str
) -> tuple[dict[str, int], Tags]:
    """Names with numbers from 1 on, and the number of each cell; 0 where it has no name."""
    data, sets = _whole_numbers(mesh, name), _sets(mesh, name)
    count = sum(len(block.data) for block in mesh.cells if block.type == name)
    if phase_data is not None:
        check_choice("phase_data", phase_data, list(data))
        data = {phase_data: data[phase_data]}
    if wanted is None:
        if sets and phase_data is None and np.all(np.sum(list(sets.values()), axis=0) == 1):
            wanted = {key: key for key in sets}
        elif data:
            wanted = {f"phase{tag}": int(tag) for tag in np.unique(_only(data, name))}
        else:
            return {"phase1": 1}, np.ones(count, dtype=np.int32)
    tags: Tags = np.zeros(count, dtype=np.int32)
    names: dict[str, int] = {}
    for number, (key, labels) in enumerate(wanted.items(), start=1):
        names[str(key)] = number
        for label in [labels] if isinstance(labels, (str, int, np.integer)) else list(labels):
            if isinstance(label, str):
                if label not in sets:
                    raise InputError(f"{what}.{key}", label, "the name of a cell set", _contents(mesh, name))
                own = sets[label]
            else:
                own = _only(data, name) == label
                if not own.any():
                    raise InputError(f"{what}.{key}", label, "a number of the cell data", _contents(mesh, name))
            both = own & (tags > 0)
            if both.any():
                earlier = next(k for k, tag in names.items() if tag == tags[both][0])
                raise CellError(what, [earlier, str(key)], "of different cells", f"They share {int(both.sum())} cells.")
            tags[own] = number
    return names, tags


def _only(data: dict[str, Indices], name: str) -> Indices:
    if len(data) != 1:
        allowed = "given where not exactly one of the cell data holds whole numbers"
        raise InputError("phase_data", None, allowed, f"For {name} cells these do: {list(data)}.")
    return next(iter(data.values()))
