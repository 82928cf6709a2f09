"""Axes of fibres from files: unit vectors of the elements or nodes of the mesh of a domain."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem.macro.domain_makers import to_local_cells
from homfem.macro.fibres import FibreFrame
from homfem.meshing.files import carp
from homfem.meshing.files.directions import midpoints_of_directions, read_directions
from homfem.parameters import Array, FileError, InputError
from homfem.ranks import collective


def fibres_of_file(mesh: dmesh.Mesh, path: str | Path, name: str | None = None, sheet: str | None = None) -> FibreFrame:
    """Return the axes of fibres from unit vectors of the elements or nodes of a file; collective.

    Parameters
    ----------
    mesh
        A mesh of the same elements in the same order, such as that of
        :func:`homfem.macro.domain_makers.read_domain` of the same file.
    path, name
        See :func:`homfem.meshing.files.directions.read_directions`. Or a ``.lon`` file of openCARP, which has no names.
    sheet
        The name of the sheet directions; None: they are not known, of a ``.lon`` file those in it.

    Raises
    ------
    InputError
        Without such data, or for data of another number of elements or of vectors that are not of length 1 or 0.
    FileError
        For elements elsewhere or in another order than those of the mesh; the unit of the file may be another.
    """
    total = mesh.topology.index_map(mesh.topology.dim).size_global
    given: dict[str, Array] = {}
    middles: Array | None = None
    with collective(mesh.comm):
        if mesh.comm.rank == 0:
            given = _directions(Path(path), name, sheet, total)
            middles = None if _of_carp(path) else midpoints_of_directions(path)
    if not _of_carp(path):
        _require_same_elements(mesh, to_local_cells(mesh, middles), path)
    keys = mesh.comm.bcast(sorted(given))
    return FibreFrame.of_cells(mesh, **{key: to_local_cells(mesh, given.get(key)) for key in keys})


def _of_carp(path: str | Path) -> bool:
    return Path(path).suffix.lower() in carp.MESH


def _directions(path: Path, name: str | None, sheet: str | None, total: int) -> dict[str, Array]:
    """The directions of all elements by what they are."""
    if _of_carp(path):
        for key, value in (("name", name), ("sheet_name", sheet)):
            if value is not None:
                raise InputError(key, value, "absent for a .lon file: its directions have no names")
        fibre, across = carp.read_axes(path.with_suffix(".lon"), total)
        return {"fibre": fibre} | ({} if across is None else {"sheet": across})
    given = {}
    for key, data in ({"fibre": name} | ({} if sheet is None else {"sheet": sheet})).items():
        given[key] = read_directions(path, data)
        if len(given[key]) != total:
            raise InputError(key, len(given[key]), f"a vector for each of the {total} elements of the domain")
    return given


def _require_same_elements(mesh: dmesh.Mesh, middles: Array, path: str | Path) -> None:
    """Refuse midpoints of elements that are not those of the local cells, up to one factor; collective."""
    d = mesh.topology.dim
    cells = np.arange(len(middles), dtype=np.int32)
    own = dmesh.compute_midpoints(mesh, d, cells)[:, :d]
    middles = middles[:, :d]
    sums = mesh.comm.allreduce(np.array([np.sum(own * own), np.sum(middles * middles)]), op=MPI.SUM)
    scaled = middles * math.sqrt(sums[0] / max(sums[1], 1e-300))
    size = mesh.comm.allreduce(float(np.abs(own).max(initial=0.0)), op=MPI.MAX)
    apart = mesh.comm.allreduce(float(np.abs(scaled - own).max(initial=0.0)), op=MPI.MAX)
    if apart > 1e-6 * size:
        raise FileError(
            "file",
            str(path),
            f"the elements of the domain in their order: some are {apart / size:.1e} of its size elsewhere",
            "Write the directions into the mesh file of the domain.",
        )
