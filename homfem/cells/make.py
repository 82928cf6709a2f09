"""The cells that users ask for: mesh on rank 0, checked, distributed, with a physical size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem.blocks.layout import layer_lengths, read_layout
from homfem.cells.boxgrid import block_array_raw
from homfem.cells.cracks import check_cracks
from homfem.cells.facets import curved_boundaries
from homfem.cells.joined import FACES, join
from homfem.cells.own_meshes import GEOMETRIES, read_raw
from homfem.cells.painted import axis_periods, offset_pipes, painted_cell
from homfem.cells.raw import RawCell
from homfem.cells.shapes import check_edges, three_pipe_raw
from homfem.cells.unitcell import UnitCell
from homfem.parameters import FileError, InputError, Lattice, check_choice, check_number


def three_pipe(
    edges: float | Sequence[float] = 0.1,
    *,
    resolution: float = 0.1,
    grading: float = 0.25,
    growth: float | None = None,
    section: str = "square",
    offsets: Sequence[float] | None = None,
    phases: Sequence[str] = ("er", "cytosol"),
    period: float | Sequence[float] = 1.0,
    length_unit: str = "um",
    order: int = 1,
    mesher: str | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> UnitCell:
    """Return the endoplasmic reticulum as three orthogonal pipes that cross at the centre of the cell; collective.

    Equal square pipes of edge l: volume fraction 3 l^2 - 2 l^3, interface area 12 l (1 - l) per cell.

    Parameters
    ----------
    edges
        Edge of the pipes along x, y, z (``section="round"``: their diameter) as a fraction of the period, in (0, 1),
        or one for all.
    resolution
        Bulk mesh size as a fraction of the period, in (0, 1/3].
    grading
        Mesh size at the re-entrant edges over the bulk size, in (0, 1].
    growth
        Slope of the mesh size away from the edges, > 0; by default 1 on the structured grid, 0.3 with Gmsh.
    section
        ``"square"`` or ``"round"``.
    offsets
        Square pipes: by how much the pipe along x is moved along y, that along y along z, and that along z along x, as
        fractions of the period in (-1/2, 1/2). Pipes that are moved apart no longer cross.
    phases
        ``"er"`` and ``"cytosol"``, or one of them.
    period, length_unit
        Period, or one for each axis (the whole cell is stretched with it), and its unit.
    order
        Degree of the geometry.
    mesher
        ``"structured"`` or ``"gmsh"``; by default the structured grid where it applies.
    comm
        Communicator.

    Raises
    ------
    InputError
        For an edge outside (0, 1), and the like, on every rank.

    Source
    ------
    Goel, Sneyd, Friedman 2006, section 2.7, Multiscale Model. Simul. 5(4), 1045.

    Examples
    --------
    >>> cell = three_pipe(0.1, resolution=0.1)
    >>> round(cell.volume_fractions["er"], 9)
    0.028
    """
    periods = axis_periods(period, 3)
    if offsets is not None:
        check_choice("section", section, ["square"])
        boxes = offset_pipes(check_edges(edges), offsets)
        return painted_cell(
            boxes, "cytosol", name="three-pipe", phases=phases, resolution=resolution, grading=grading,
            growth=1.0 if growth is None else growth, period=list(periods), length_unit=length_unit, comm=comm,
        )  # fmt: skip

    def make() -> RawCell:
        raw = three_pipe_raw(
            edges,
            resolution=resolution,
            grading=grading,
            growth=growth,
            phases=phases,
            section=section,
            order=order,
            mesher=mesher,
        )
        return stretched(raw, periods / periods.min(), length_unit)

    return UnitCell.from_raw(make, comm=comm, name="three-pipe", length=float(periods.min()), length_unit=length_unit)


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
        :func:`homfem.cells.own_meshes.from_meshio_raw`.
    period
        The physical size of the cell: one length (of the first period vector), one per axis, or the whole lattice in
        ``length_unit``. By default the file's own coordinates are taken to be in ``length_unit``.
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
        :func:`homfem.cells.own_meshes.read_raw`.

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
    geometry = Path(path).suffix.lower() in GEOMETRIES and not repair
    return cell if geometry else replace(cell, warnings=cell.warnings + of_the_mesh(cell))


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


def blocks(
    layout: Any,
    *,
    widths: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
    depths: Sequence[float] | None = None,
    resolution: float = 0.1,
    grading: float = 1.0,
    growth: float = 1.0,
    period: float | Sequence[float] = 1.0,
    length_unit: str = "m",
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> UnitCell:
    r"""Return a cell of rectangular blocks (boxes in 3D), each letter of the layout being a phase; collective.

    Volume fraction of a phase: the sum of width times height (times depth) of its blocks, exactly.

    Parameters
    ----------
    layout
        In two dimensions strings of one length, one letter per block, the first being the top row (largest y), such as
        ``["LDD", "LLD"]``; in three dimensions a list of such lists, the first being the top layer (largest z).
    widths, heights, depths
        Widths of the columns along x, heights of the rows along y in the order of the strings, depths of the layers
        along z in the order of the layout: fractions of the period that sum to 1. By default they are equal.
    resolution
        Mesh size as a fraction of the shortest period, in (0, 1/3]; a block has at least two elements across.
    grading
        Mesh size at the sides of the blocks over that in their middle, in (0, 1].
    growth
        Slope of the mesh size away from the sides, > 0.
    period, length_unit
        Period, or one for each axis, and its unit.
    comm
        Communicator.

    Raises
    ------
    InputError
        On every rank: strings of different lengths, widths that do not fit, sizes out of range.

    Examples
    --------
    >>> cell = blocks(["LD", "DL"], resolution=0.25)
    >>> round(cell.volume_fractions["D"], 12)
    0.5
    """
    labels, letters = read_layout(layout)
    periods = axis_periods(period, labels.ndim)
    lengths = layer_lengths(labels.shape, widths, heights, depths)

    def make() -> RawCell:
        scale = periods / periods.min()
        return block_array_raw(
            labels + 1,
            {letter: number for number, letter in enumerate(letters, start=1)},
            [part * factor for part, factor in zip(lengths, scale, strict=True)],
            resolution=resolution,
            grading=grading,
            growth=growth,
            length_unit=length_unit,
        )

    return UnitCell.from_raw(make, comm=comm, name="blocks", length=float(periods.min()), length_unit=length_unit)


def load_cell(path: str | Path, *, comm: MPI.Comm = MPI.COMM_WORLD) -> UnitCell:
    """Read a cell that :meth:`UnitCell.save` wrote; collective.

    Raises
    ------
    FileError
        On every rank, if the file or what stands beside it is missing or broken.
    """
    from homfem import solve
    from homfem.cells import files

    source = Path(path)
    about: dict[str, Any] = {}
    with solve.collective(comm):
        if comm.rank == 0:
            check_choice("suffix", source.suffix, files.SUFFIXES)
            for file in (source, files.beside(source)):
                if not file.is_file():
                    raise FileError("file", str(file), "present", "Save the cell with UnitCell.save, or use from_gmsh.")
            about = json.loads(files.beside(source).read_text())
    about = comm.bcast(about, root=0)
    read = files.read_msh if source.suffix == ".msh" else files.read_xdmf
    faces, origin = about.get("faces", "matching"), about.get("origin")
    origin = None if origin is None else np.array(origin)
    partial, cracks = bool(about.get("partial", False)), bool(about.get("cracks", False))

    def make() -> RawCell:
        raw = files.with_slivers(read(source, about), source, about)
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


def stretched(raw: RawCell, factors: np.ndarray, length_unit: str) -> RawCell:
    """Return the cell with coordinates and lattice multiplied by one factor per axis."""
    if np.all(factors == 1.0) and raw.length_unit == length_unit:
        return raw
    return replace(
        raw,
        points=raw.points * factors,
        lattice=Lattice(vectors=raw.lattice.vectors * factors),
        length_unit=length_unit,
        slivers=None if raw.slivers is None else raw.slivers * float(np.prod(factors)),
    )
