"""A domain as plain arrays on one rank, as the files and pictures of it take it; and as a mesh of openCARP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from dolfinx import fem

from homfem._dolfinx import geometry_dofmap, original_cell_index
from homfem.macro.domain import Domain
from homfem.meshing.files.body import BodyArrays
from homfem.meshing.files.carp import UNIT, write_carp
from homfem.parameters import Array, InputError
from homfem.quantities import conversion_factor
from homfem.ranks import collective


def body_of(domain: Domain) -> BodyArrays | None:
    """Return nodes, cells, regions and axes of fibres of a domain on rank 0, None elsewhere; collective.

    Nodes and cells are in the order in which the mesh was given; axes that vary within a cell are those at its middle.
    Boundaries are left out.
    """
    mesh, d = domain.mesh, domain.dimension
    owned = mesh.topology.index_map(d).size_local
    nodes = np.asarray(mesh.geometry.input_global_indices, dtype=np.int64)
    cells = nodes[geometry_dofmap(mesh)[:owned]]
    if cells.shape[1:] != (d + 1,):
        raise InputError("mesh", cells.shape[1], f"of straight simplices with {d + 1} nodes each")
    axes: dict[str, Array] = {}
    if domain.fibres is not None:
        given = {"fibre": domain.fibres.fibre, "sheet": domain.fibres.sheet}
        axes = {name: _in_cells(axis, owned, d) for name, axis in given.items() if axis is not None}
    mine = (original_cell_index(mesh)[:owned], cells, domain.region_of_cell[:owned], *axes.values())
    parts = domain.comm.gather((nodes, np.asarray(mesh.geometry.x)[:, :d], mine))
    if parts is None:
        return None
    points = np.zeros((max(int(part[0].max(initial=-1)) for part in parts) + 1, d))
    for number, own, _ in parts:
        points[number] = own
    order, corners, regions, *vectors = (np.concatenate(arrays) for arrays in zip(*(p[2] for p in parts), strict=True))
    sorted_ = np.argsort(order)
    return BodyArrays(
        points=points,
        cells=corners[sorted_],
        regions=dict(domain.regions),
        region_of_cell=regions[sorted_],
        directions={name: values[sorted_] for name, values in zip(axes, vectors, strict=True)},
    )


def _in_cells(axis: fem.Function | fem.Constant, owned: int, d: int) -> Array:
    """An axis in each owned cell, shape (cells, d)."""
    if not isinstance(axis, fem.Function):
        return np.tile(np.asarray(axis.value, dtype=np.float64), (owned, 1))
    values: Any = np.asarray(axis.x.array).reshape(-1, d)[np.asarray(axis.function_space.dofmap.list)[:owned]]
    mean = values.mean(axis=1)
    length = np.linalg.norm(mean, axis=1)
    return np.asarray(mean / np.where(length > 0.0, length, 1.0)[:, None])


def export_carp(domain: Domain, path: str | Path) -> None:
    """Write a domain as a mesh of openCARP: ``.pts`` (in um), ``.elem`` and, with fibres, ``.lon``; collective.

    Regions keep their numbers; cells without a region have 0. Boundaries are not written.

    Parameters
    ----------
    domain
        Of tetrahedra or triangles.
    path
        The name of the files, with or without one of these endings.

    Raises
    ------
    InputError
        For other meshes.
    OSError
        Where the files cannot be written, on every rank.
    """
    body = body_of(domain)
    with collective(domain.comm):
        if body is not None:
            axes = {name: _three(values) for name, values in body.directions.items()}
            factor = conversion_factor(domain.unit, UNIT)
            write_carp(path, body.points * factor, body.cells, regions=body.region_of_cell.astype(np.int64), **axes)


def _three(vectors: Array) -> Array:
    """Vectors with three components."""
    return np.pad(vectors, ((0, 0), (0, 3 - vectors.shape[1])))
