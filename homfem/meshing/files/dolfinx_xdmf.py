"""XDMF files of DOLFINx: a mesh, functions and tags in grids of their own, which meshio does not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.facets import row_numbers
from homfem.parameters import FileError

#: Type of meshio by the topology.
_TYPES = {
    "triangle": "triangle", "tetrahedron": "tetra", "polyline": "line", "interval": "line",
    "triangle_6": "triangle6", "tri_6": "triangle6", "tetrahedron_10": "tetra10", "tet_10": "tetra10",
    "edge_3": "line3", "quadrilateral": "quad", "hexahedron": "hexahedron",
}  # fmt: skip
_FACETS = {"tetra": "triangle", "tetra10": "triangle6", "triangle": "line", "triangle6": "line3"}
_INCLUDE = "{https://www.w3.org/2001/XInclude}include"


def grids_of(path: Path) -> list[Any]:
    """Return the grids that an XDMF file has beside each other; none of a file that is no XML."""
    try:
        domain = ElementTree.parse(path).getroot().find("Domain")
    except (ElementTree.ParseError, OSError):
        return []
    return [] if domain is None else domain.findall("Grid")


def read_dolfinx(path: Path) -> Any:
    """Return the mesh of a file as a mesh of meshio.

    Functions are data of points or cells by name, of several times the last. Tags are sets of cells and facets by their
    number, ``NAME:number`` where there are several tags of one kind.

    Raises
    ------
    FileError
        Without a mesh, for a cell shape that is not known, numbers that are not there or do not fit.
    """
    import meshio

    grids = [
        grid for top in grids_of(path) for grid in top.iter("Grid") if grid.get("GridType", "Uniform") == "Uniform"
    ]
    mesh = next(
        (g for g in grids if g.find("Topology/DataItem") is not None and g.find("Geometry/DataItem") is not None), None
    )
    if mesh is None:
        raise FileError("file", str(path), "an XDMF file with a mesh")
    kind, cells = _topology(path, mesh)
    points = _numbers(path, mesh.find("Geometry/DataItem"))
    found: dict[str, dict[str, npt.NDArray]] = {"Node": {}, "Cell": {}}
    tags: list[tuple[str, str, npt.NDArray, npt.NDArray]] = []
    for grid in grids:
        if grid is not mesh and grid.find("Topology/DataItem") is not None:
            of, rows = _topology(path, grid)
            marks = [_numbers(path, item).ravel() for item in grid.findall("Attribute/DataItem")]
            tags += [(str(grid.get("Name")), of, rows, numbers) for numbers in marks]
            continue
        if grid is not mesh and grid.find(_INCLUDE) is None:
            continue
        for attribute in grid.findall("Attribute"):
            centre, item = str(attribute.get("Center", "Node")), attribute.find("DataItem")
            if centre in found and item is not None:
                values = _numbers(path, item)
                count = len(points) if centre == "Node" else len(cells)
                if len(values) != count:
                    allowed = (
                        f"a file whose data {attribute.get('Name')!r} have {count} values; they have {len(values)}"
                    )
                    raise FileError("file", str(path), allowed)
                found[centre][str(attribute.get("Name"))] = values
    blocks, sets = _sets(path, kind, cells, tags)
    data = {
        name: [values, *[np.zeros((len(b), *values.shape[1:])) for _, b in blocks[1:]]]
        for name, values in found["Cell"].items()
    }
    return meshio.Mesh(points, blocks, point_data=found["Node"], cell_data=data, cell_sets=sets)


def _sets(
    path: Path, kind: str, cells: npt.NDArray, tags: list[tuple[str, str, npt.NDArray, npt.NDArray]]
) -> tuple[list[tuple[str, npt.NDArray]], dict[str, list[npt.NDArray]]]:
    """The blocks of cells and tagged facets, and the sets of both by the names of their tags."""
    own = [tag for tag in tags if tag[1] == kind]
    facets = [tag for tag in tags if tag[1] == _FACETS.get(kind)]
    blocks = [(kind, cells), *[(of, rows) for _, of, rows, _ in facets]]
    sets: dict[str, list[npt.NDArray]] = {}

    def put(name: str, block: int, members: npt.NDArray) -> None:
        sets.setdefault(name, [np.zeros(0, dtype=np.int64) for _ in blocks])[block] = members

    for tag, _, rows, numbers in own:
        place = _places(path, cells, rows)
        for number in np.unique(numbers):
            put(_name(tag, number, len(own)), 0, np.sort(place[numbers == number]))
    for block, (tag, _, _, numbers) in enumerate(facets, start=1):
        for number in np.unique(numbers):
            put(_name(tag, number, len(facets)), block, np.flatnonzero(numbers == number))
    return blocks, sets


def _name(tag: str, number: Any, several: int) -> str:
    return f"{tag}:{int(number)}" if several > 1 else str(int(number))


def _places(path: Path, cells: npt.NDArray, rows: npt.NDArray) -> npt.NDArray[np.int64]:
    """Which cell each row of nodes is."""
    numbers = row_numbers(np.sort(np.vstack([cells, rows]), axis=1))
    order = np.argsort(numbers[: len(cells)], kind="stable")
    known, wanted = numbers[: len(cells)][order], numbers[len(cells) :]
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    if (known[at] != wanted).any():
        raise FileError("file", str(path), "a file whose tags are of its cells")
    return np.asarray(order[at])


def _topology(path: Path, grid: Any) -> tuple[str, npt.NDArray[np.int64]]:
    topology = grid.find("Topology")
    name = str(topology.get("TopologyType", topology.get("Type", "")))
    if name.lower() not in _TYPES:
        raise FileError("file", str(path), f"an XDMF file of cells that are known; it has {name!r}")
    rows = _numbers(path, topology.find("DataItem"))
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.integer):
        raise FileError("file", str(path), "an XDMF file whose cells are rows of whole numbers")
    return _TYPES[name.lower()], rows.astype(np.int64)


def _numbers(path: Path, item: Any) -> npt.NDArray:
    """The numbers of a DataItem: in HDF5, or as text."""
    import h5py

    text = (item.text or "").strip()
    try:
        if item.get("Format", "XML").upper() == "HDF":
            name, _, inside = text.partition(":")
            with h5py.File(path.parent / name, "r") as file:
                return np.asarray(file[inside])
        shape = [int(side) for side in item.get("Dimensions", "").split()]
        kind = np.int64 if item.get("NumberType", item.get("DataType", "Float")) in ("Int", "UInt") else np.float64
        return np.array(text.split(), dtype=kind).reshape(shape)
    except (OSError, KeyError, ValueError) as error:
        raise FileError(
            "file", str(path), "an XDMF file whose numbers are all there", f"{text[:60]}: {error}"
        ) from error
