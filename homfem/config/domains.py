"""The table ``[macro.domain]``: a cell body or a tissue, made here or read from a file. Meshes are in um.

A new domain is one class here and its name in :data:`DOMAINS`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import PlainValidator

from homfem.config.table import (
    Missing,
    Table,
    choice,
    choose,
    join,
    lengths_of,
    parse_table,
    quantity,
    refuse_unknown,
    require_table,
    text,
    unit,
)
from homfem.parameters import FileError, InputError
from homfem.quantities import LENGTH, Quantity, conversion_factor

if TYPE_CHECKING:
    from dolfinx.mesh import Mesh
    from mpi4py import MPI

_SIMPLICES = {"tetra": "tetrahedron", "triangle": "triangle"}

Size = Annotated[
    tuple[Quantity, ...],
    PlainValidator(lambda value: lengths_of(LENGTH, value, (2, 3), "a list of 2 or 3 lengths, one per axis")),
]


class DomainTable(Table):
    """What every domain has."""

    @abstractmethod
    def build(self, comm: MPI.Comm, folder: Path) -> Mesh:
        """Return the mesh, coordinates in um; collective."""

    @property
    def known_dimension(self) -> int | None:
        """Number of space dimensions, if it is known before the mesh is made."""
        return None


class SizedDomain(DomainTable):
    """A domain of given size along each axis."""

    size: Size
    resolution: Annotated[Quantity, quantity(LENGTH, above=0.0)]

    @property
    def known_dimension(self) -> int:
        """As many as there are sizes."""
        return len(self.size)

    @property
    def sides(self) -> list[float]:
        """Size along each axis, um."""
        return [entry.to("um") for entry in self.size]


class Box(SizedDomain):
    """A rectangle or a box with one corner at the origin."""

    shape: Annotated[str, choice("box")]

    def build(self, comm: MPI.Comm, folder: Path) -> Mesh:
        """Return the mesh, coordinates in um; collective."""
        from dolfinx import mesh

        from homfem.meshing.shapes.box_grid import require_boxes

        step = self.resolution.to("um")
        boxes = math.prod(max(1.0, side / step) for side in self.sides)
        require_boxes("resolution", str(self.resolution), boxes, len(self.sides))
        counts = [max(1, math.ceil(side / step - 1e-9)) for side in self.sides]
        corners = [np.zeros(len(counts)), np.array(self.sides)]
        return (mesh.create_rectangle if len(counts) == 2 else mesh.create_box)(comm, corners, counts)


class CellBody(SizedDomain):
    """An ellipse or an ellipsoid about the origin; ``size`` holds its diameters."""

    shape: Annotated[str, choice("cell-body")]

    def build(self, comm: MPI.Comm, folder: Path) -> Mesh:
        """Return the mesh, coordinates in um; collective."""
        from homfem.bodies import mesh_from_arrays
        from homfem.meshing.arrays.budget import require_filled

        share = math.pi / (4.0 if len(self.size) == 2 else 6.0)
        require_filled("resolution", str(self.resolution), self.sides, self.resolution.to("um"), share)
        return mesh_from_arrays(comm, self._mesh)

    def _mesh(self) -> tuple[np.ndarray, np.ndarray]:
        from homfem.bodies import gmsh_arrays
        from homfem.meshing.by_gmsh.session import gmsh_session

        d, radii = len(self.size), [0.5 * side for side in self.sides]
        step = self.resolution.to("um")
        with gmsh_session(Mesh_MeshSizeMin=step, Mesh_MeshSizeMax=step) as gmsh:
            occ = gmsh.model.occ
            body = occ.addDisk(0, 0, 0, 1, 1) if d == 2 else occ.addSphere(0, 0, 0, 1)
            occ.dilate([(d, body)], 0, 0, 0, *radii, *([1.0] * (3 - d)))
            occ.synchronize()
            gmsh.model.mesh.generate(d)
            return gmsh_arrays(d)


class FileDomain(DomainTable):
    """A mesh of straight triangles or tetrahedra from a file that meshio reads."""

    file: Annotated[str, text("the path of a .msh or .xdmf file")]
    unit: Annotated[str, unit(LENGTH)]

    def build(self, comm: MPI.Comm, folder: Path) -> Mesh:
        """Return the mesh, coordinates in um; collective."""
        from homfem.bodies import mesh_from_arrays

        try:
            return mesh_from_arrays(comm, lambda: self._read(folder / self.file))
        except InputError as error:
            if error.name != "mesh":
                raise
            allowed = f"{error.allowed} ({error.value})"
            raise FileError("file", self.file, allowed, error.remedy) from error

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        from homfem.meshing.files.foreign import read_meshio

        allowed = "a mesh of straight triangles or tetrahedra that meshio reads"
        mesh = read_meshio(path)
        found = [kind for kind in _SIMPLICES if kind in mesh.cells_dict]
        if not found:
            raise FileError("file", str(path), allowed, f"It has {', '.join(mesh.cells_dict) or 'no cells'}.")
        try:
            corners = np.asarray(mesh.cells_dict[found[0]], dtype=np.int64)
            coordinates = np.asarray(mesh.points, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise FileError("file", str(path), allowed, f"Its numbers are none: {error}.") from error
        if corners.size and (corners.min() < 0 or corners.max() >= len(coordinates)):
            raise FileError("file", str(path), f"{allowed}; its cells have nodes that it does not hold")
        used, cells = np.unique(corners, return_inverse=True)
        points = coordinates[used] * conversion_factor(self.unit, "um")
        d = corners.shape[1] - 1
        if d == 2 and points.shape[1] == 3 and np.ptp(points[:, 2]) > 1e-10 * np.ptp(points):
            raise FileError("file", str(path), "a flat mesh if it is one of triangles")
        return points[:, :d], cells.reshape(corners.shape)


DOMAINS: Mapping[str, type[DomainTable]] = {"box": Box, "cell-body": CellBody}
"""Every domain by its name in a config."""


def parse_domain(value: Any, path: str = "") -> DomainTable:
    """Return the validated table of a domain; raise :class:`InputError` for anything wrong in it."""
    table = require_table(path, value)
    if "shape" not in table:
        known = ["shape", *FileDomain.model_fields, *(key for m in DOMAINS.values() for key in m.model_fields)]
        refuse_unknown(path, table, list(dict.fromkeys(known)))
        if "file" not in table:
            names = ", ".join(map(repr, DOMAINS))
            raise InputError(join(path, "shape"), Missing(), f"one of {names}; or give file, a .msh or .xdmf file")
        return parse_table(FileDomain, table, path)
    name = choose(join(path, "shape"), table["shape"], list(DOMAINS))
    return parse_table(DOMAINS[name], table, path)
