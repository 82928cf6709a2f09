"""Domains from shapes, arrays and files: what makes a :class:`homfem.macro.domain.Domain`; collective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem._dolfinx import original_cell_index
from homfem.bodies import mesh_from_arrays
from homfem.keywords import takes
from homfem.macro.domain import Domain
from homfem.macro.fibres import FibreFrame
from homfem.meshing.files.body import BodyArrays, BodyOptions, BodyReading, read_body
from homfem.meshing.shapes.ventricles import BiVentricle, Ventricle
from homfem.quantities import LENGTH, check_unit, conversion_factor
from homfem.ranks import collective


def ventricle_domain(comm: MPI.Comm, shape: Ventricle | BiVentricle, *, resolution: float, unit: str = "mm") -> Domain:
    """Return the distributed domain of an ideal ventricle or of both, without fibres; collective.

    Parameters
    ----------
    comm
        Communicator of the mesh.
    shape
        Lengths in ``unit``.
    resolution
        Size of the tetrahedra; a wall wants two of them across, or more.
    unit
        Unit of the coordinates.

    Example
    -------
    >>> from mpi4py import MPI
    >>> from homfem.macro.domain_makers import ventricle_domain
    >>> from homfem.meshing.shapes.ventricles import Ventricle
    >>> heart = ventricle_domain(MPI.COMM_WORLD, Ventricle(), resolution=3.0)
    >>> sorted(heart.boundaries), round(heart.volumes()["wall"] / Ventricle().volume, 1)
    (['base', 'endo', 'epi'], 1.0)
    """
    return replace(domain_from_arrays(comm, lambda: shape.mesh(resolution), unit=unit), shape=shape)


def domain_from_arrays(comm: MPI.Comm, make: Callable[[], BodyArrays], *, unit: str, ghosts: bool = False) -> Domain:
    """Return the distributed domain of the arrays that ``make`` gives on rank 0; collective.

    Parameters
    ----------
    comm
        Communicator of the mesh.
    make
        Called on rank 0 only; an error that it raises is raised on every rank. Its ``fibre`` and ``sheet`` directions,
        if any, become the fibre axes.
    unit
        Unit of the points.
    ghosts
        See :func:`homfem.bodies.mesh_from_arrays`.
    """
    body: BodyArrays | None = None
    with collective(comm):
        if comm.rank == 0:
            body = make()
    # The function is called on rank 0 only, which has the arrays.
    mesh = mesh_from_arrays(comm, lambda: (body.points, body.cells), ghosts=ghosts)  # type: ignore[union-attr]
    d = mesh.topology.dim
    names = comm.bcast(None if body is None else (dict(body.regions), dict(body.boundaries), sorted(body.directions)))
    regions, boundaries, directions = names
    cells = np.arange(len(original_cell_index(mesh)), dtype=np.int32)
    cell_tags = facet_tags = None
    if regions:
        cell_tags = dmesh.meshtags(mesh, d, cells, to_local_cells(mesh, None if body is None else body.region_of_cell))
    if boundaries:
        sides = to_local_cells(mesh, None if body is None else body.tags_of_sides())
        facet_tags = _facet_tags(mesh, sides)
    domain = Domain(
        mesh=mesh, unit=unit, cell_tags=cell_tags, regions=regions, facet_tags=facet_tags, boundaries=boundaries
    )
    if not directions:
        return domain
    given = {name: to_local_cells(mesh, None if body is None else body.directions[name]) for name in directions}
    return domain.with_fibres(FibreFrame.of_cells(mesh, **given))


@takes(BodyReading)
def read_domain(
    comm: MPI.Comm, path: str | Path, *, unit: str, to: str | None = None, **reading: Unpack[BodyOptions]
) -> Domain:
    """Return the domain of a mesh or geometry file; collective.

    Parameters
    ----------
    comm
        Communicator of the mesh.
    path
        See :func:`homfem.meshing.files.body.read_body`.
    unit, to
        Unit of the file's coordinates, and of the mesh (by default the same). A STEP file, which has a unit of its own,
        is converted.
    **reading
        See :class:`homfem.meshing.files.body.BodyReading`.
    """
    wanted = to or unit
    factor = conversion_factor(check_unit("unit", unit, LENGTH), check_unit("to", wanted, LENGTH))

    def make() -> BodyArrays:
        return read_body(path, length=factor, length_unit=unit, **reading)

    return domain_from_arrays(comm, make, unit=wanted)


def to_local_cells(mesh: dmesh.Mesh, values: npt.NDArray | None) -> npt.NDArray:
    """Return the rows of an array over the cells as they were given, for the local cells, ghosts included; collective.

    Parameters
    ----------
    mesh
        A mesh that was made from arrays on rank 0.
    values
        On rank 0 one row for each cell of those arrays.
    """
    wanted = mesh.comm.gather(original_cell_index(mesh), root=0)
    parts = None if wanted is None or values is None else [values[rows] for rows in wanted]
    return mesh.comm.scatter(parts, root=0)


def _facet_tags(mesh: dmesh.Mesh, sides: npt.NDArray[np.int32]) -> dmesh.MeshTags:
    d = mesh.topology.dim
    mesh.topology.create_connectivity(d, d - 1)
    facets = mesh.topology.connectivity(d, d - 1).array.reshape(-1, d + 1)[: len(sides)]
    named = sides > 0
    found, first = np.unique(facets[named], return_index=True)
    return dmesh.meshtags(mesh, d - 1, found.astype(np.int32), sides[named][first].astype(np.int32))
