"""Gmsh on one rank: sessions that always end, models to arrays, ``.geo`` and ``.msh`` files in and out."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from homfem.keywords import takes
from homfem.meshing.arrays.budget import require_filled
from homfem.meshing.arrays.raw_cell import RawCell, scaled
from homfem.meshing.by_gmsh import step_files
from homfem.meshing.by_gmsh.constants import chosen_constants, constants_of
from homfem.meshing.by_gmsh.generation import generate
from homfem.meshing.by_gmsh.model_arrays import FROM_GMSH, GMSH_TYPES, groups_of, model_to_raw
from homfem.meshing.by_gmsh.periods import check_unmoved
from homfem.meshing.by_gmsh.reading import GmshOptions, GmshReading
from homfem.meshing.by_gmsh.repair import repaired
from homfem.meshing.by_gmsh.scripts import as_data, check_mesh_head, check_script
from homfem.meshing.by_gmsh.session import Failure, gmsh_session
from homfem.meshing.by_gmsh.subprocess_mesher import run_limited
from homfem.parameters import FileError, InputError, Lattice
from homfem.reference import FACET_KIND

log = logging.getLogger("homfem")

#: Endings of other programs' meshes that Gmsh reads, and of all meshes that it reads.
OTHER_MESHES = (".bdf", ".unv")
MESHED = (".msh", ".msh2", ".msh4", *OTHER_MESHES)
STEP = (".step", ".stp")

_COMMENT = re.compile(rb"\$Comments\s+homfem (\{.*\})\s+\$EndComments")


@takes(GmshReading)
def from_gmsh_raw(path: str | Path, **reading: Unpack[GmshOptions]) -> RawCell:
    """Read a cell from a ``.geo`` or ``.step`` file, which is meshed here, or a ``.msh``, ``.bdf`` or ``.unv`` file.

    Parameters
    ----------
    path
        File with named physical groups: those of the highest dimension are the phases, those of one less the facets.
        A ``.step`` (``.stp``) file: see :func:`homfem.meshing.by_gmsh.step_files.step_model`.
    **reading
        See :class:`homfem.meshing.by_gmsh.reading.GmshReading`.

    Raises
    ------
    FileError
        The file is missing, or Gmsh cannot read it; with Gmsh's text. A ``.msh`` file that is no mesh, a script that
        is not trusted and does more than draw.
    CellError
        No physical groups, groups without names, or Gmsh cannot mesh the geometry; with Gmsh's text. Or time ran out.
    PeriodicityError
        Translations of ``Periodic`` that are not those of the lattice.
    InputError
        ``parameters`` that the file does not declare.
    """
    return read_gmsh(Path(path), GmshReading(**reading))


def read_gmsh(path: Path, reading: GmshReading, *, periodic: bool = True, size: float | None = None) -> RawCell:
    """Read a file as :func:`from_gmsh_raw` does.

    Parameters
    ----------
    path, reading
        As there.
    periodic
        Whether it is a cell. Of what is none the lattice is the box around it, and no faces are matched.
    size
        ``.geo`` and ``.step`` only, in place of the resolution: the same as a length, in the unit of the coordinates.
    """
    if not path.is_file():
        raise FileError("file", str(path), "an existing .geo, .step or .msh file", "Check the path.")
    suffix = path.suffix.lower()
    meshed = suffix in MESHED
    for name in ("resolution", "order", "parameters"):
        given = getattr(reading, name)
        if meshed and given is not None:
            raise InputError(name, given, "absent for a mesh that is already made", "Give it with the .geo file.")
    start = time.perf_counter()
    if meshed:
        raw = _read_mesh(path, reading)
    elif suffix in STEP:
        if reading.parameters is not None:
            raise InputError("parameters", dict(reading.parameters), "absent for a STEP file", "It has no constants.")
        raw = run_limited(step_files.mesh_step, path, reading, periodic=periodic, size=size, timeout=reading.timeout)
    else:
        check_script(path, trust=reading.trust)
        chosen_constants(path, reading.parameters or {})  # refuses unknown ones before another process begins
        if not path.read_bytes().endswith(b"\n"):
            log.warning("%s does not end with a line break: Gmsh passes over its last line", path)
        raw = run_limited(mesh_geo, path, reading, periodic=periodic, size=size, timeout=reading.timeout)
    log.info("%s: %d cells in %.2f s", path.name, len(raw.cells), time.perf_counter() - start)
    raw = raw if reading.length == 1.0 else scaled(raw, reading.length)
    if reading.repair:
        raw = repaired(raw, timeout=reading.timeout)
    return raw


def mesh_geo(path: Path, reading: GmshReading, *, periodic: bool = True, size: float | None = None) -> RawCell:
    """Mesh a ``.geo`` file in this process; arguments as for :func:`read_gmsh`."""
    parameters, dimension = dict(reading.parameters or {}), reading.dimension
    resolution = reading.resolution if size is None else size
    own_resolution = resolution is not None and "resolution" in constants_of(path)
    if own_resolution:
        if "resolution" in parameters:
            raise InputError("parameters", "resolution", "left out where a resolution is given beside it")
        parameters["resolution"] = float(resolution or 0.0)
    with gmsh_session() as gmsh:
        with _cannot_read(path):
            _open_geo(gmsh, path, parameters)
        if dimension is None:
            dimension = max(int(gmsh.model.getDimension()), 2)
        if reading.order is not None:
            gmsh.option.setNumber("Mesh.ElementOrder", reading.order)
        if resolution is not None and not own_resolution:
            box = np.array(gmsh.model.getBoundingBox(-1, -1)).reshape(2, 3)
            shortest = np.sort(box[1] - box[0])[-dimension] if reading.lattice is None else reading.lattice.shortest
            largest = resolution * float(shortest) if size is None else size
            require_filled("resolution", resolution, (box[1] - box[0])[:dimension], largest)
            gmsh.option.setNumber("Mesh.MeshSizeMax", largest)
        groups_of(dimension, reading.phases)  # refuses unnamed groups before the mesh is made
        name, value = ("file", str(path)) if resolution is None else ("resolution", resolution)
        generate(gmsh, dimension, name, value)
        unit = reading.length_unit or "m"
        return model_to_raw(dimension, reading.lattice, unit, reading.phases, periodic=periodic)


def _read_mesh(path: Path, reading: GmshReading) -> RawCell:
    note, lattice = note_of(path), reading.lattice
    if lattice is None and "lattice" in note:
        lattice = Lattice(vectors=np.array(note["lattice"], dtype=np.float64))
    with gmsh_session() as gmsh:
        merge_mesh(gmsh, path)
        dimension = reading.dimension or max(int(gmsh.model.getDimension()), 2)
        grouped = path.suffix.lower() not in OTHER_MESHES
        unit = reading.length_unit or note.get("length_unit", "m")
        return model_to_raw(dimension, lattice, unit, reading.phases, made=False, grouped=grouped)


def merge_mesh(gmsh: Any, path: Path) -> None:
    """Read a mesh that is made into the running Gmsh, as a mesh and nothing else.

    Raises
    ------
    FileError
        If Gmsh cannot read it.
    PeriodicityError
        If Gmsh would move its nodes, see :func:`homfem.meshing.by_gmsh.periods.check_unmoved`.
    """
    suffix = path.suffix.lower()
    if suffix not in OTHER_MESHES:
        check_mesh_head(path)
        with _cannot_read(path):
            check_unmoved(gmsh, path)
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


def _open_geo(gmsh: Any, path: Path, parameters: Mapping[str, float]) -> None:
    """Open a ``.geo`` file with values for its constants.

    ``open`` forgets the macros of an earlier file, which ``merge`` does not, and constants set before it: they stand
    in a file that includes the other. Numbers of ONELAB are set where it keeps them.
    """
    early, late = chosen_constants(path, parameters)
    with tempfile.TemporaryDirectory(prefix="homfem-") as folder:
        outer = Path(folder) / "cell.geo"
        lines = [f"{name} = {value!r};" for name, value in early.items()]
        outer.write_text("\n".join([*lines, f'Include "{path.resolve()}";', ""]), encoding="utf-8")
        for name, value in late.items():
            gmsh.onelab.setNumber(name, [value])
        try:
            gmsh.open(str(outer))
        finally:
            for name in late:
                gmsh.onelab.clear(name)


def note_of(path: Path) -> dict[str, Any]:
    """Return what :func:`write_msh` noted in a file: lattice and unit; empty for other files."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        found = _COMMENT.search(file.read())
    return dict(json.loads(found[1])) if found else {}
