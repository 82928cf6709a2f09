"""Gmsh on one rank: sessions that always end, models to arrays, ``.geo`` and ``.msh`` files in and out."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from homfem.cells.raw import KINDS, Indices, RawCell, Tags, facets_of, scaled
from homfem.parameters import Array, CellError, FileError, InputError, Lattice, check_integer, check_number

log = logging.getLogger("homfem")

HOW_TO_ADD = (
    'Add named groups to the .geo file, for example: Physical Volume("er") = {1}; Physical Surface("membrane") = {2}; '
    "in 2D the phases are Physical Surfaces and the facets Physical Curves."
)

# Gmsh's element types, by (dimension, order).
_TYPES = {(1, 1): 1, (2, 1): 2, (3, 1): 4, (1, 2): 8, (2, 2): 9, (3, 2): 11}
_ORDER_OF_TYPE = {number: key for key, number in _TYPES.items()}
# Position in Gmsh's element of each node of the DOLFINx element. Gmsh numbers the edges (01)(12)(20)(30)(23)(13).
_FROM_GMSH = {
    (1, 1): [0, 1],
    (2, 1): [0, 1, 2],
    (3, 1): [0, 1, 2, 3],
    (1, 2): [0, 1, 2],
    (2, 2): [0, 1, 2, 4, 5, 3],
    (3, 2): [0, 1, 2, 3, 8, 9, 5, 7, 6, 4],
}
_COMMENT = re.compile(rb"\$Comments\s+homfem (\{.*\})\s+\$EndComments")


class _Failure:
    """Turn Gmsh's own failure, which has no class of its own, into ``error(text)``."""

    def __init__(self, error: Callable[[str], Exception]) -> None:
        self.error = error

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is Exception:
            raise self.error(_last_error(str(value))) from value


def _last_error(text: str) -> str:
    import gmsh

    lines = [line.split(":", 1)[1].strip() for line in gmsh.logger.get() if line.startswith("Error")]
    return "; ".join(dict.fromkeys([*lines, text.strip()])) if lines or text.strip() else "unknown error"


@contextmanager
def gmsh_session(**options: float) -> Iterator[Any]:
    """Give the module ``gmsh`` with an empty model, and leave Gmsh as it was found, also after an error.

    Meshing is repeatable: one thread, no configuration files of the user. Messages go to the log at level DEBUG.

    Parameters
    ----------
    **options
        Numbers for Gmsh's options, with ``_`` for the dot: ``Mesh_ElementOrder=2``.

    Raises :class:`CellError` with Gmsh's text, if Gmsh fails in a place that has no better error.
    """
    import gmsh

    settings = {"General.Terminal": 0.0, "General.NumThreads": 1.0, "Mesh.Algorithm3D": 10.0}
    settings |= {name.replace("_", ".", 1): float(value) for name, value in options.items()}
    started = not gmsh.isInitialized()
    if started:
        gmsh.initialize(argv=["gmsh"], readConfigFiles=False, run=False, interruptible=False)
    before = {name: gmsh.option.getNumber(name) for name in settings}
    models, current = gmsh.model.list(), gmsh.model.getCurrent()
    try:
        for name, value in settings.items():
            gmsh.option.setNumber(name, value)
        gmsh.model.add("homfem")
        gmsh.logger.start()
        with _Failure(lambda text: CellError("gmsh", text, "a geometry that Gmsh can mesh")):
            yield gmsh
    finally:
        if log.isEnabledFor(logging.DEBUG):
            for line in gmsh.logger.get():
                log.debug("gmsh: %s", line)
        gmsh.logger.stop()
        if started:
            gmsh.finalize()
        else:
            for name in [model for model in gmsh.model.list() if model not in models]:
                gmsh.model.setCurrent(name)
                gmsh.model.remove()
            gmsh.model.setCurrent(current)
            for name, value in before.items():
                gmsh.option.setNumber(name, value)


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
        No physical groups, groups without names, elements in two of them, elements other than triangles and
        tetrahedra of order 1 or 2.
    """
    import gmsh

    kind = {number: name for name, number in KINDS.items()}[dimension]
    groups = _groups(dimension)
    if not groups:
        word = {2: "Physical Surface", 3: "Physical Volume"}[dimension]
        raise CellError("physical groups", 0, f"at least one {word}: the phases of the cell", HOW_TO_ADD)
    order = _order(dimension)
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    number = np.zeros(int(tags.max(initial=0)) + 1, dtype=np.int64)
    by_tag = np.argsort(tags, kind="stable")
    number[tags[by_tag]] = np.arange(len(tags))
    points = coordinates.reshape(-1, 3)[by_tag]
    if dimension == 2 and np.ptp(points[:, 2]) > 1e-10 * max(np.ptp(points[:, :2], axis=0).max(), 1e-300):
        raise CellError("points", float(np.ptp(points[:, 2])), "in one plane z = constant for a 2D cell")

    cell_tags, cells, phase_of_cell = _elements(dimension, order, groups)
    if len(np.unique(cell_tags)) < len(cell_tags):
        raise CellError("physical groups", list(groups), "disjoint: a part of the cell is in two phases", HOW_TO_ADD)
    sides = _groups(dimension - 1)
    _, facets, facet_tags = _elements(dimension - 1, order, sides)
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
    """Return the current Gmsh model as a cell; without a lattice the periods are the sides of the bounding box."""
    model = read_model(dimension)
    if lattice is None:
        lattice = Lattice.box(*(model.high - model.low))
    fields = {name: value for name, value in model._asdict().items() if name not in ("low", "high")}
    return RawCell(**fields, lattice=lattice, length_unit=length_unit)


def from_gmsh_raw(
    path: str | Path,
    *,
    lattice: Lattice | None = None,
    dimension: int | None = None,
    length: float = 1.0,
    length_unit: str | None = None,
    resolution: float | None = None,
    order: int | None = None,
    parameters: Mapping[str, float] | None = None,
) -> RawCell:
    """Read a cell from a ``.geo`` file, which is meshed here, or from a ``.msh`` file.

    Parameters
    ----------
    path
        File with named physical groups: those of the highest dimension are the phases, those of one less the facets.
    lattice
        Period vectors in the unit of the file. Default: what ``write_msh`` noted in the file, else the sides of the
        bounding box.
    dimension
        2 or 3. Default: the dimension of the geometry.
    length
        Factor for all coordinates and periods.
    length_unit
        Unit of the coordinates after scaling. Default: what ``write_msh`` noted in the file, else "m".
    resolution
        ``.geo`` only: the file's constant ``resolution`` if it has one, else the largest mesh size as a fraction of
        the shortest period.
    order
        ``.geo`` only: degree of the geometry, 1 or 2. Default: what the file says.
    parameters
        ``.geo`` only: values for constants that the file declares by ``DefineConstant``.

    Raises
    ------
    FileError
        The file is missing, or Gmsh cannot read it; with Gmsh's text.
    CellError
        No physical groups, groups without names, or Gmsh cannot mesh the geometry; with Gmsh's text.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError("file", str(path), "an existing .geo or .msh file", "Check the path.")
    length = check_number("length", length, above=0.0)
    if dimension is not None:
        check_integer("dimension", dimension, at_least=2, at_most=3)
    meshed = path.suffix in (".msh", ".msh2", ".msh4")
    constants = dict(parameters or {})
    if resolution is not None:
        resolution = check_number("resolution", resolution, above=0.0, at_most=1.0)
    for name, given in {"resolution": resolution, "order": order, "parameters": parameters}.items():
        if meshed and given is not None:
            raise InputError(name, given, "absent for a mesh that is already made", "Give it with the .geo file.")
    if not meshed and not path.read_bytes().endswith(b"\n"):
        log.warning("%s does not end with a line break: Gmsh passes over its last line", path)
    note = _note(path) if meshed else {}
    own_resolution = resolution is not None and not meshed and _declares(path, "resolution")
    if own_resolution:
        constants["resolution"] = float(resolution or 0.0)
    for name in constants:
        if not _declares(path, name):
            raise InputError("parameters", name, f"a constant that {path.name} declares by DefineConstant")
    if lattice is None and "lattice" in note:
        lattice = Lattice(vectors=np.array(note["lattice"], dtype=np.float64))

    start = time.perf_counter()
    with gmsh_session() as gmsh:
        with _Failure(lambda text: FileError("file", str(path), "a file that Gmsh can read", f"Gmsh says: {text}")):
            if meshed:
                gmsh.merge(str(path))
            else:
                _open_geo(gmsh, path, constants)
        if dimension is None:
            dimension = max(int(gmsh.model.getDimension()), 2)
        if not meshed:
            if order is not None:
                gmsh.option.setNumber("Mesh.ElementOrder", check_integer("order", order, at_least=1, at_most=2))
            if resolution is not None and not own_resolution:
                box = np.array(gmsh.model.getBoundingBox(-1, -1)).reshape(2, 3)
                shortest = np.sort(box[1] - box[0])[-dimension] if lattice is None else lattice.shortest
                gmsh.option.setNumber("Mesh.MeshSizeMax", resolution * float(shortest))
            _groups(dimension)  # refuses unnamed groups before the mesh is made
            gmsh.model.mesh.generate(dimension)
        raw = model_to_raw(dimension, lattice, length_unit or note.get("length_unit", "m"))
    log.info("%s: %d cells in %.2f s", path.name, len(raw.cells), time.perf_counter() - start)
    return raw if length == 1.0 else scaled(raw, length)


def write_msh(raw: RawCell, path: str | Path) -> None:
    """Write a cell as a binary ``.msh`` file, version 4.1, that Gmsh and :func:`from_gmsh_raw` read.

    Names are physical groups; lattice and unit stand in a comment section. Everything comes back bit for bit and in the
    same order. The file appears under its name only when it is complete.
    """
    path = Path(path)
    if path.suffix != ".msh":
        raise FileError("file", str(path), "a name that ends in .msh")
    d = raw.dimension
    coordinates = np.zeros((len(raw.points), 3))
    coordinates[:, :d] = raw.points
    note = {"lattice": raw.lattice.vectors.tolist(), "length_unit": raw.length_unit}
    with gmsh_session(Mesh_MshFileVersion=4.1, Mesh_Binary=1, Mesh_SaveAll=0) as gmsh:
        first = True
        for dim, names, elements, tags, offset in (
            (d, raw.phases, raw.cells, raw.phase_of_cell, 1),
            (d - 1, raw.facet_names, raw.facets, raw.facet_tags, 1 + len(raw.cells)),
        ):
            back = np.argsort(_FROM_GMSH[dim, raw.order])
            for name, tag in names.items():
                entity = gmsh.model.addDiscreteEntity(dim)
                gmsh.model.addPhysicalGroup(dim, [entity], tag, name)
                if first:
                    gmsh.model.mesh.addNodes(dim, entity, np.arange(1, len(coordinates) + 1), coordinates.ravel())
                    first = False
                chosen = np.flatnonzero(tags == tag)
                nodes = elements[chosen][:, back].ravel() + 1
                gmsh.model.mesh.addElementsByType(entity, _TYPES[dim, raw.order], chosen + offset, nodes)
        if not path.parent.is_dir():
            raise FileError("file", str(path), "in an existing directory")
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".homfem-") as folder:
            whole = Path(folder) / path.name
            gmsh.write(str(whole))
            with whole.open("ab") as file:
                file.write(f"$Comments\nhomfem {json.dumps(note)}\n$EndComments\n".encode())
            whole.replace(path)


def _open_geo(gmsh: Any, path: Path, constants: Mapping[str, float]) -> None:
    """Open a ``.geo`` file with values for its constants.

    ``open`` forgets the macros of an earlier file, which ``merge`` does not, and constants set before it: they stand
    in a file that includes the other.
    """
    with tempfile.TemporaryDirectory(prefix="homfem-") as folder:
        outer = Path(folder) / "cell.geo"
        lines = [f"{name} = {check_number(f'parameters.{name}', value)!r};" for name, value in constants.items()]
        outer.write_text("\n".join([*lines, f'Include "{path.resolve()}";', ""]), encoding="utf-8")
        gmsh.open(str(outer))


def _note(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        found = _COMMENT.search(file.read())
    return dict(json.loads(found[1])) if found else {}


def _declares(path: Path, name: str) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    blocks = re.findall(r"DefineConstant\s*\[(.*?)\]\s*;", text, re.S)
    return any(re.search(rf"\b{re.escape(name)}\b", block) for block in blocks)


def _groups(dimension: int) -> dict[str, int]:
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


def _order(dimension: int) -> int:
    import gmsh

    types = [int(number) for number in gmsh.model.mesh.getElementTypes(dimension)]
    orders = {_ORDER_OF_TYPE.get(number, (0, 0))[1] for number in types}
    if not types:
        raise CellError("cells", 0, "at least one cell", "The mesh is empty: check that it was generated.")
    if len(orders) != 1 or 0 in orders:
        names = [gmsh.model.mesh.getElementProperties(number)[0] for number in types]
        raise CellError(
            "cells", names, "triangles or tetrahedra of one order, 1 or 2", "No Recombine; Mesh.ElementOrder <= 2."
        )
    return orders.pop()


def _elements(dimension: int, order: int, groups: Mapping[str, int]) -> tuple[Indices, Indices, Tags]:
    """Tags, node tags (DOLFINx order) and groups of the elements, sorted by tag."""
    import gmsh

    width = len(_FROM_GMSH[dimension, order])
    numbers: list[npt.NDArray] = [np.zeros(0, dtype=np.int64)]
    nodes: list[npt.NDArray] = [np.zeros((0, width), dtype=np.int64)]
    tags: list[npt.NDArray] = [np.zeros(0, dtype=np.int32)]
    for tag in groups.values():
        for entity in gmsh.model.getEntitiesForPhysicalGroup(dimension, tag):
            element, corners = gmsh.model.mesh.getElementsByType(_TYPES[dimension, order], int(entity))
            numbers.append(element.astype(np.int64))
            nodes.append(corners.astype(np.int64).reshape(-1, width))
            tags.append(np.full(len(element), tag, dtype=np.int32))
    number = np.concatenate(numbers)
    by_tag = np.argsort(number, kind="stable")
    permuted = np.vstack(nodes)[by_tag][:, _FROM_GMSH[dimension, order]]
    return number[by_tag], permuted, np.concatenate(tags)[by_tag]


def _nodes_of_all(dimension: int) -> Indices:
    import gmsh

    return np.unique(np.concatenate(gmsh.model.mesh.getElements(dimension)[2]).astype(np.int64))
