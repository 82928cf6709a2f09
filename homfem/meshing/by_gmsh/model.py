"""Gmsh on one rank: sessions that always end, models to arrays, ``.geo`` and ``.msh`` files in and out."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from homfem.meshing.arrays.budget import require_filled
from homfem.meshing.arrays.raw_cell import RawCell, scaled
from homfem.meshing.by_gmsh import step_files
from homfem.meshing.by_gmsh.generation import generate
from homfem.meshing.by_gmsh.model_arrays import FROM_GMSH, GMSH_TYPES, Label, groups_of, model_to_raw
from homfem.meshing.by_gmsh.repair import repaired
from homfem.meshing.by_gmsh.scripts import as_data, check_mesh_head, check_script
from homfem.meshing.by_gmsh.session import Failure, gmsh_session
from homfem.meshing.by_gmsh.subprocess_mesher import TIMEOUT, run_limited
from homfem.parameters import FileError, InputError, Lattice, check_integer, check_number
from homfem.reference import FACET_KIND

log = logging.getLogger("homfem")

#: Endings of other programs' meshes that Gmsh reads, and of all meshes that it reads.
OTHER_MESHES = (".bdf", ".unv")
MESHED = (".msh", ".msh2", ".msh4", *OTHER_MESHES)
STEP = (".step", ".stp")

_COMMENT = re.compile(rb"\$Comments\s+homfem (\{.*\})\s+\$EndComments")


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
    phases: Mapping[str, Label | Sequence[Label]] | None = None,
    repair: bool = False,
    trust: bool = False,
    timeout: float | None = TIMEOUT,
) -> RawCell:
    """Read a cell from a ``.geo`` or ``.step`` file, which is meshed here, or a ``.msh``, ``.bdf`` or ``.unv`` file.

    Parameters
    ----------
    path
        File with named physical groups: those of the highest dimension are the phases, those of one less the facets.
        A ``.step`` (``.stp``) file: see :func:`homfem.meshing.by_gmsh.step_files.step_model`.
    lattice
        Period vectors in the unit of the file. Default: what ``write_msh`` noted in the file, else the sides of the
        bounding box.
    dimension
        2 or 3. Default: the dimension of the geometry.
    length
        Factor for all coordinates and periods.
    length_unit
        Unit of the coordinates after scaling. Default: what ``write_msh`` noted in the file, else "m". A STEP file has
        a unit of its own: its coordinates are converted to ``length_unit``, and so is ``lattice`` meant.
    resolution
        ``.geo`` and ``.step`` only: the file's constant ``resolution`` if it has one, else the largest mesh size as a
        fraction of the shortest period.
    order
        ``.geo`` and ``.step`` only: degree of the geometry, 1 or 2. Default: what the file says, else 1.
    parameters
        ``.geo`` only: values for constants that the file declares by ``DefineConstant``.
    phases
        Not for ``.step``: see :func:`homfem.meshing.by_gmsh.model_arrays.groups_of`.
    repair
        Mesh anew where opposite faces do not match, see :func:`homfem.meshing.by_gmsh.repair.repaired`.
    trust
        ``.geo`` only: let the script start programs, write files and read others, see
        :func:`homfem.meshing.by_gmsh.scripts.check_script`.
    timeout
        Seconds after which meshing is ended; see :func:`homfem.meshing.by_gmsh.subprocess_mesher.run_limited`. None: no
        limit.

    Raises
    ------
    FileError
        The file is missing, or Gmsh cannot read it; with Gmsh's text. A ``.msh`` file that is no mesh, a script that
        is not trusted and does more than draw.
    CellError
        No physical groups, groups without names, or Gmsh cannot mesh the geometry; with Gmsh's text. Or time ran out.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError("file", str(path), "an existing .geo, .step or .msh file", "Check the path.")
    length = check_number("length", length, above=0.0)
    if dimension is not None:
        check_integer("dimension", dimension, at_least=2, at_most=3)
    suffix = path.suffix.lower()
    meshed = suffix in MESHED
    if resolution is not None:
        resolution = check_number("resolution", resolution, above=0.0, at_most=1.0)
    if order is not None:
        check_integer("order", order, at_least=1, at_most=2)
    for name, given in {"resolution": resolution, "order": order, "parameters": parameters}.items():
        if meshed and given is not None:
            raise InputError(name, given, "absent for a mesh that is already made", "Give it with the .geo file.")
    start = time.perf_counter()
    if meshed:
        raw = _read_mesh(path, lattice, dimension, length_unit, phases)
    elif suffix in STEP:
        if parameters is not None:
            raise InputError("parameters", dict(parameters), "absent for a STEP file", "It has no constants.")
        raw = run_limited(
            step_files.mesh_step, path, lattice, dimension, length_unit or "m", resolution, order or 1, timeout=timeout
        )
    else:
        check_script(path, trust=trust)
        constants = dict(parameters or {})
        for name, value in constants.items():
            if not _declares(path, name):
                raise InputError("parameters", name, f"a constant that {path.name} declares by DefineConstant")
            check_number(f"parameters.{name}", value)
        if not path.read_bytes().endswith(b"\n"):
            log.warning("%s does not end with a line break: Gmsh passes over its last line", path)
        raw = run_limited(
            mesh_geo,
            path,
            lattice,
            dimension,
            length_unit or "m",
            resolution,
            order,
            constants,
            phases,
            timeout=timeout,
        )
    log.info("%s: %d cells in %.2f s", path.name, len(raw.cells), time.perf_counter() - start)
    raw = raw if length == 1.0 else scaled(raw, length)
    if repair:
        raw = repaired(raw, timeout=timeout)
    return raw


def mesh_geo(
    path: Path,
    lattice: Lattice | None,
    dimension: int | None,
    length_unit: str,
    resolution: float | None,
    order: int | None,
    constants: dict[str, float],
    phases: Mapping[str, Label | Sequence[Label]] | None = None,
) -> RawCell:
    """Mesh a ``.geo`` file in this process; arguments as for :func:`from_gmsh_raw`."""
    own_resolution = resolution is not None and _declares(path, "resolution")
    if own_resolution:
        constants = constants | {"resolution": float(resolution or 0.0)}
    with gmsh_session() as gmsh:
        with _cannot_read(path):
            _open_geo(gmsh, path, constants)
        if dimension is None:
            dimension = max(int(gmsh.model.getDimension()), 2)
        if order is not None:
            gmsh.option.setNumber("Mesh.ElementOrder", order)
        if resolution is not None and not own_resolution:
            box = np.array(gmsh.model.getBoundingBox(-1, -1)).reshape(2, 3)
            shortest = np.sort(box[1] - box[0])[-dimension] if lattice is None else lattice.shortest
            sides = (box[1] - box[0])[:dimension]
            require_filled("resolution", resolution, sides, resolution * float(shortest))
            gmsh.option.setNumber("Mesh.MeshSizeMax", resolution * float(shortest))
        groups_of(dimension, phases)  # refuses unnamed groups before the mesh is made
        name, value = ("file", str(path)) if resolution is None else ("resolution", resolution)
        generate(gmsh, dimension, name, value)
        return model_to_raw(dimension, lattice, length_unit, phases)


def _read_mesh(
    path: Path,
    lattice: Lattice | None,
    dimension: int | None,
    length_unit: str | None,
    phases: Mapping[str, Label | Sequence[Label]] | None,
) -> RawCell:
    note = note_of(path)
    if lattice is None and "lattice" in note:
        lattice = Lattice(vectors=np.array(note["lattice"], dtype=np.float64))
    with gmsh_session() as gmsh:
        merge_mesh(gmsh, path)
        dimension = dimension or max(int(gmsh.model.getDimension()), 2)
        grouped = path.suffix.lower() not in OTHER_MESHES
        unit = length_unit or note.get("length_unit", "m")
        return model_to_raw(dimension, lattice, unit, phases, made=False, grouped=grouped)


def merge_mesh(gmsh: Any, path: Path) -> None:
    """Read a mesh that is made into the running Gmsh, as a mesh and nothing else, or raise :class:`FileError`."""
    suffix = path.suffix.lower()
    if suffix not in OTHER_MESHES:
        check_mesh_head(path)
    with _cannot_read(path), as_data(path, suffix if suffix in OTHER_MESHES else ".msh") as name:
        gmsh.merge(name)


def _cannot_read(path: Path) -> Failure:
    return Failure(lambda text: FileError("file", str(path), "a file that Gmsh can read", f"Gmsh says: {text}"))


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
        for dim, kind, names, elements, tags, offset in (
            (d, raw.kind, raw.phases, raw.cells, raw.phase_of_cell, 1),
            (d - 1, FACET_KIND[raw.kind], raw.facet_names, raw.facets, raw.facet_tags, 1 + len(raw.cells)),
        ):
            back = np.argsort(FROM_GMSH[kind, raw.order])
            for name, tag in names.items():
                entity = gmsh.model.addDiscreteEntity(dim)
                gmsh.model.addPhysicalGroup(dim, [entity], tag, name)
                if first:
                    gmsh.model.mesh.addNodes(dim, entity, np.arange(1, len(coordinates) + 1), coordinates.ravel())
                    first = False
                chosen = np.flatnonzero(tags == tag)
                nodes = elements[chosen][:, back].ravel() + 1
                gmsh.model.mesh.addElementsByType(entity, GMSH_TYPES[kind, raw.order], chosen + offset, nodes)
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
        lines = [f"{name} = {float(value)!r};" for name, value in constants.items()]
        outer.write_text("\n".join([*lines, f'Include "{path.resolve()}";', ""]), encoding="utf-8")
        gmsh.open(str(outer))


def note_of(path: Path) -> dict[str, Any]:
    """Return what :func:`write_msh` noted in a file: lattice and unit; empty for other files."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        found = _COMMENT.search(file.read())
    return dict(json.loads(found[1])) if found else {}


def _declares(path: Path, name: str) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    blocks = re.findall(r"DefineConstant\s*\[(.*?)\]\s*;", text, re.S)
    return any(re.search(rf"\b{re.escape(name)}\b", block) for block in blocks)
