"""Cells from files: meshes and geometries of others, and cells that were saved here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.meshing.arrays.raw_cell import RawCell, stretched
from homfem.meshing.files import saved
from homfem.meshing.files.foreign import GEOMETRIES, read_raw
from homfem.meshing.topology.cracks import check_cracks
from homfem.meshing.topology.faces import FACES, join
from homfem.meshing.topology.walls import curved_boundaries
from homfem.parameters import CellError, FileError, InputError, Lattice, check_choice, check_number
from homfem.ranks import collective


def from_file(
    path: str | Path,
    *,
    period: float | Sequence[float] | Lattice | None = None,
    length_unit: str = "m",
    dimension: int | None = None,
    repair: bool = False,
    faces: str = "matching",
    cracks: bool = False,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **options: Any,
) -> UnitCell:
    """Return a cell from a file: ``.geo``, ``.step``, ``.msh``, or anything that meshio reads; collective.

    Parameters
    ----------
    path
        The file. In Gmsh's files physical groups of the highest dimension are the phases, those of one less are named
        facets; the parts of a STEP file have its names; of other files see
        :func:`homfem.meshing.files.foreign.from_meshio_raw`.
    period
        The physical size of the cell: one length (of the first period vector), one per axis, or the whole lattice in
        ``length_unit``, which the mesh must fill: it is not scaled. One that the mesh reaches across in no direction is
        refused, and where it does so in some the cell has a warning. By default the file's own coordinates are taken to
        be in ``length_unit``.
    length_unit
        Unit of the periods.
    dimension
        2 or 3; by default that of the file.
    repair
        Mesh anew where opposite faces do not match; straight simplices only.
    faces
        ``"matching"``: opposite faces match node by node, or the mesh is refused. ``"non-matching"``: they need not;
        the mesh is used as it is. Phase boundaries must meet opposite faces in the same places, but may be cut
        differently there. The cell must be a parallelepiped of straight simplices. Results have a value but no
        bounds; see :class:`homfem.periodic.ProlongedSpace` for the error and the cost.
    cracks
        Whether parts that touch and are not joined (nodes that are there twice, hanging nodes) are meant, as cracks
        that insulate. By default they are refused; the results say so among their warnings.
    comm
        Communicator.
    options
        ``resolution``, ``order``, ``parameters`` and ``timeout`` (files that are meshed here), ``trust`` (scripts of
        Gmsh that do more than draw), ``phases``, ``phase_data`` and ``facets`` (files of meshio): see
        :func:`homfem.meshing.files.foreign.read_raw`.

    Raises
    ------
    FileError, CellError, PeriodicityError
        On every rank; a mesh whose faces do not match is refused with the first node that fails, one whose parts are
        not joined with a place.
    InputError
        ``repair`` together with non-matching faces, and the like.
    """
    check_choice("faces", faces, FACES)
    if repair and faces == "non-matching":
        raise InputError("repair", repair, "False with faces = 'non-matching'", "A repaired mesh has faces that match.")
    given = None if period is None or isinstance(period, Lattice) else np.atleast_1d(np.asarray(period, dtype=float))
    if given is not None:
        for value in given:
            check_number("period", float(value), above=0.0)

    def make() -> RawCell:
        raw = read_raw(
            path,
            lattice=period if isinstance(period, Lattice) else None,
            dimension=dimension,
            length_unit=length_unit,
            repair=repair,
            **options,
        )
        if isinstance(period, Lattice) and not _reached(raw).any():
            sizes = " x ".join(f"{size:.6g}" for size in np.ptp(raw.points, axis=0))
            remedy = "Give the period vectors of the mesh; one length instead of vectors scales the mesh to it."
            raise CellError("period", period.vectors, f"that of a mesh of size {sizes}, which does not fill it", remedy)
        if given is None:
            return raw
        sides = np.linalg.norm(raw.lattice.vectors, axis=1)
        if len(given) not in (1, len(sides)):
            raise InputError("period", given, f"one length, or {len(sides)}")
        factors = given / sides[: len(given)]
        if not np.allclose(factors, factors[0], rtol=1e-9):
            raise InputError("period", given, f"in the ratio of the file's period vectors, {sides}",
                             "Give one length, or the period vectors (rows of lengths), in the unit of the file's "
                             "coordinates.")  # fmt: skip
        return stretched(raw, np.full(len(sides), factors[0]), length_unit)

    cell = UnitCell.from_raw(
        make, comm=comm, name=Path(path).name, length_unit=length_unit, normalise=True, faces=faces, cracks=cracks
    )
    if isinstance(period, Lattice):
        cell = replace(cell, warnings=cell.warnings + _gaps(cell))
    geometry = Path(path).suffix.lower() in GEOMETRIES and not repair
    return cell if geometry else replace(cell, warnings=cell.warnings + of_the_mesh(cell))


def _reached(raw: RawCell) -> npt.NDArray[np.bool_]:
    """Tell of each period vector whether the mesh reaches across it: only then can it meet its copies there."""
    return np.ptp(raw.lattice.fractional(raw.points), axis=0) > 1.0 - 1e-6


def _gaps(cell: UnitCell) -> tuple[str, ...]:
    """Return a warning where the mesh does not reach across its period; collective."""
    short = [] if cell.raw is None else [str(k + 1) for k in np.flatnonzero(~_reached(cell.raw))]
    short = cell.comm.bcast(short, root=0)
    if not short:
        return ()
    names = " and ".join(short)
    return (f"the mesh is shorter than period vector {names}: what is between its copies there is taken to be empty",)


def of_the_mesh(cell: UnitCell) -> tuple[str, ...]:
    """Return a warning where facets look like those of a curved surface of which nothing is known; collective."""
    angle = 0.0
    if cell.raw is not None and cell.raw.order == 1 and cell.raw.slivers is None:
        angle = curved_boundaries(cell.raw)
    angle = cell.comm.bcast(angle, root=0)
    if not angle:
        return ()
    return (
        f"facets between phases meet at angles up to {angle:.2g} degrees, as on a curved surface, and the file has no "
        "surface: the result and its bounds are of the mesh (a .geo or .step file tells what facets change)",
    )


def from_gmsh(path: str | Path, **options: Any) -> UnitCell:
    """Return a cell from a ``.geo`` or ``.msh`` file with named physical groups: :func:`from_file`; collective."""
    return from_file(path, **options)


def load_cell(path: str | Path, *, comm: MPI.Comm = MPI.COMM_WORLD) -> UnitCell:
    """Read a cell that :meth:`UnitCell.save` wrote; collective.

    Raises
    ------
    FileError
        On every rank, if the file or what stands beside it is missing or broken.
    """
    source = Path(path)
    about: dict[str, Any] = {}
    with collective(comm):
        if comm.rank == 0:
            check_choice("suffix", source.suffix, saved.SUFFIXES)
            for file in (source, saved.beside(source)):
                if not file.is_file():
                    raise FileError("file", str(file), "present", "Save the cell with UnitCell.save, or use from_gmsh.")
            about = json.loads(saved.beside(source).read_text())
    about = comm.bcast(about, root=0)
    read = saved.read_msh if source.suffix == ".msh" else saved.read_xdmf
    faces, origin = about.get("faces", "matching"), about.get("origin")
    origin = None if origin is None else np.array(origin)
    partial, cracks = bool(about.get("partial", False)), bool(about.get("cracks", False))

    def make() -> RawCell:
        raw = saved.with_slivers(read(source, about), source, about)
        if partial:
            # What was cut out of a cell is not looked at again, but this is a file.
            known = join(raw, faces=faces, partial=True, origin=origin)
            check_cracks(raw, known.representative, faces=faces == "matching", cracks=cracks)
        return raw

    cell = UnitCell.from_raw(
        make,
        comm=comm,
        name=about["name"],
        length=about["length"],
        length_unit=about["length_unit"],
        partial=partial,
        cracks=cracks,
        faces=faces,
        origin=origin,
    )
    return replace(cell, warnings=tuple(about.get("warnings", cell.warnings)))
