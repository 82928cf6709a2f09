"""Cells on disk: ``.msh`` for Gmsh, ``.xdmf`` for ParaView and meshio. On one rank; every file appears complete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from homfem.disk import require_room, write_text
from homfem.meshing.arrays.raw_cell import FACET_NODES, RawCell
from homfem.meshing.by_gmsh.model import from_gmsh_raw, write_msh
from homfem.parameters import FileError, InputError, Lattice

__all__ = [
    "MESHIO_TYPES",
    "SUFFIXES",
    "beside",
    "facet_type",
    "read_msh",
    "read_xdmf",
    "with_slivers",
    "write_cell",
    "write_msh",
    "write_slivers",
    "write_xdmf",
]

#: What a cell is saved to: Gmsh and ParaView.
SUFFIXES = (".msh", ".xdmf")

# Names of meshio, and where its node k stands in the order of DOLFINx (mid-edge nodes differ).
MESHIO_TYPES = {
    ("triangle", 1): ("triangle", [0, 1, 2]),
    ("triangle", 2): ("triangle6", [0, 1, 2, 5, 3, 4]),
    ("tetrahedron", 1): ("tetra", [0, 1, 2, 3]),
    ("tetrahedron", 2): ("tetra10", [0, 1, 2, 3, 9, 6, 8, 7, 5, 4]),
    ("quadrilateral", 1): ("quad", [0, 1, 3, 2]),
    ("hexahedron", 1): ("hexahedron", [0, 1, 3, 2, 4, 5, 7, 6]),
}
_FACETS = {
    2: ("line", [0, 1]),
    3: ("triangle", [0, 1, 2]),
    4: ("quad", [0, 1, 3, 2]),
    6: ("triangle6", [0, 1, 2, 5, 3, 4]),
}
_CURVED_LINE = ("line3", [0, 1, 2])


def beside(path: Path) -> Path:
    """Return the JSON file beside a cell file, for what the format cannot hold."""
    return path.with_name(path.name + ".json")


def _facets_file(path: Path) -> Path:
    return path.with_name(path.stem + "_facets.xdmf")


def facet_type(raw_kind: str, order: int) -> tuple[str, list[int]]:
    """Return meshio's name of the facets of a kind of cell, and where its node k stands in the order of DOLFINx."""
    if raw_kind == "triangle" and order == 2:
        return _CURVED_LINE
    return _FACETS[FACET_NODES[(raw_kind, order)]]


def _slivers_file(path: Path) -> Path:
    return path.with_name(path.name + ".slivers.npz")


def write_slivers(raw: RawCell, path: Path) -> bool:
    """Write the slivers of a cell beside its file, by the middles of their facets; tell whether there are any."""
    if raw.slivers is None:
        return False
    middles = raw.points[raw.facet_corners].mean(axis=1)
    np.savez_compressed(_slivers_file(path), middles=middles, slivers=raw.slivers)
    return True


def with_slivers(raw: RawCell, path: Path, about: Mapping[str, Any]) -> RawCell:
    """Return a cell that was read with the slivers that :func:`write_slivers` wrote, if there were any.

    Raises
    ------
    FileError
        If they are missing, or belong to other facets.
    """
    if not about.get("slivers", False):
        return raw
    file = _slivers_file(path)
    if not file.is_file():
        raise FileError("file", str(file), "present beside the cell, whose surfaces are curved", "Save the cell again.")
    with np.load(file) as held:
        middles, slivers = held["middles"], held["slivers"]
    ours = raw.points[raw.facet_corners].mean(axis=1)
    distance, place = cKDTree(middles).query(ours)
    if len(middles) != len(ours) or np.any(distance > 1e-8 * raw.lattice.shortest):
        raise FileError("file", str(file), "of the facets of this cell", "Save the cell again.")
    return replace(raw, slivers=slivers[place])


def write_cell(raw: RawCell, path: Path, about: Mapping[str, Any]) -> None:
    """Write a cell as its suffix says, and a JSON file beside it: what the format cannot hold, and ``about``."""
    if (raw.kind, raw.order) not in MESHIO_TYPES:
        raise InputError("order", raw.order, "1 or 2 in a file", "Make the cell anew where it is needed.")
    require_room(path, 3 * (raw.points.nbytes + raw.cells.nbytes + raw.facets.nbytes))
    (write_msh if path.suffix == ".msh" else write_xdmf)(raw, path)
    entries = {
        "lattice": raw.lattice.vectors.tolist(),
        "kind": raw.kind,
        "order": raw.order,
        "phases": dict(raw.phases),
        "facet_names": dict(raw.facet_names),
        "slivers": write_slivers(raw, path),
    }
    write_text(beside(path), json.dumps(entries | dict(about), indent=2) + "\n")


def read_msh(path: Path, about: Mapping[str, Any]) -> RawCell:
    """Read a cell that :func:`write_msh` wrote; ``about`` is what stands in the JSON file beside it."""
    return from_gmsh_raw(path, lattice=Lattice(vectors=np.array(about["lattice"])))


def write_xdmf(raw: RawCell, path: Path) -> None:
    """Write a cell as XDMF with its phases as cell data, and its named facets as a second XDMF file beside it."""
    import meshio

    kind, order = MESHIO_TYPES[(raw.kind, raw.order)]
    mesh = meshio.Mesh(raw.points, [(kind, raw.cells[:, order])], cell_data={"phase": [raw.phase_of_cell]})
    mesh.write(path)
    if len(raw.facets):
        kind, order = facet_type(raw.kind, raw.order)
        facets = meshio.Mesh(raw.points, [(kind, raw.facets[:, order])], cell_data={"facet": [raw.facet_tags]})
        facets.write(_facets_file(path))


def read_xdmf(path: Path, about: Mapping[str, Any]) -> RawCell:
    """Read a cell that :func:`write_xdmf` wrote; ``about`` is what stands in the JSON file beside it.

    Raises
    ------
    FileError
        If the file is truncated or not XDMF.
    """
    import meshio

    key = (about["kind"], about["order"])
    facets = np.zeros((0, FACET_NODES[key]), dtype=np.int64)
    tags = np.zeros(0, dtype=np.int32)
    try:
        mesh = meshio.read(path)
        if _facets_file(path).is_file():
            surface = meshio.read(_facets_file(path))
            place = np.argsort(facet_type(*key)[1])
            facets, tags = surface.cells[0].data[:, place], surface.cell_data["facet"][0]
    except (meshio.ReadError, OSError, KeyError, SyntaxError) as error:
        raise FileError("file", str(path), "a complete XDMF file with its HDF5 data", str(error)) from error
    lattice = Lattice(vectors=np.array(about["lattice"]))
    return RawCell(
        points=mesh.points[:, : lattice.dimension],
        cells=mesh.cells[0].data[:, np.argsort(MESHIO_TYPES[key][1])],
        kind=about["kind"],
        order=about["order"],
        phase_of_cell=mesh.cell_data["phase"][0],
        phases=about["phases"],
        facets=facets,
        facet_tags=tags,
        facet_names=about["facet_names"],
        lattice=lattice,
        length_unit=about["length_unit"],
    )
