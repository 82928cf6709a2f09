"""Meshes of openCARP: nodes (``.pts``), elements (``.elem``), fibres (``.lon``), surfaces (``.surf``, ``.vtx``).

All have the same name but for the ending. Coordinates are in um in openCARP. Of elements it reads tetrahedra (``Tt``)
or, in flat meshes, triangles (``Tr``); the region of an element is the whole number at the end of its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.disk import write_text
from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.files.text_rows import Rows
from homfem.parameters import Array, FileError, InputError

Indices = npt.NDArray[np.int64]

#: Endings of the files that are one mesh.
MESH = (".pts", ".elem", ".lon")
#: The unit of coordinates in openCARP.
UNIT = "um"
#: Endings of files that name a part of the surface.
SURFACES = (".surf", ".vtx")
#: Nodes of the elements that are read, by how their lines begin; what is known beside them.
_ELEMENTS = {"Tt": 4, "Tr": 3}
_OTHERS = {"Hx": "hexahedra", "Pr": "prisms", "Py": "pyramids", "Qd": "quadrilaterals", "Ln": "lines", "cc": "links"}
#: Lengths of directions may differ from 1 by this much; a sheet within this sine of the fibre says nothing.
_UNIT, _PARALLEL = 1e-2, 1e-3
#: An element whose measure is below this part of its longest edge to the power of its dimension is flat.
_FLAT = 1e-12


def read_nodes(path: Path) -> tuple[Array, Rows]:
    """Return the coordinates, shape (n, 3), and the rows that they come from."""
    rows = Rows.read(path, "nodes of openCARP")
    count = rows.header("a .pts file, whose first line is the number of nodes")
    rows = rows.after(1)
    rows.require(count, (3,), "nodes")
    points = rows.numbers(np.float64) if count else np.zeros((0, 3))
    finite = np.isfinite(points).all(axis=1)
    if not finite.all():
        raise rows.refuse(int(np.argmin(finite)), "a file of finite coordinates")
    return points, rows


def read_elements(path: Path) -> tuple[Indices, Indices | None, Rows]:
    """Return the nodes of the elements, shape (m, 4) or (m, 3), their regions if they have any, and the rows."""
    rows = Rows.read(path, "elements of openCARP")
    count = rows.header("an .elem file, whose first line is the number of elements")
    if not count:
        raise FileError("file", str(path), "a file of elements", "It has none.")
    if len(rows.lines) == 1:
        raise FileError("file", str(path), f"a file of {count} elements, as its first line says", "It has none.")
    rows = rows.after(1)
    kind = rows.word(0)
    firsts = rows.starts[np.concatenate([[0], np.cumsum(rows.counts)[:-1]])]
    padded = np.concatenate([rows.letters, np.full(2, 32, dtype=np.uint8)])
    letters = np.frombuffer(kind.encode()[:2].ljust(2), dtype=np.uint8)
    alike = (padded[firsts] == letters[0]) & (padded[firsts + 1] == letters[1]) & (padded[firsts + 2] <= 32)
    if kind not in _ELEMENTS or not alike[:count].all():
        row = 0 if kind not in _ELEMENTS else int(np.argmin(alike))
        other = _OTHERS.get(rows.word(row))
        remedy = f"It has {other}: convert the mesh to tetrahedra." if other else ""
        raise rows.refuse(row, "a file of tetrahedra (Tt), or of triangles (Tr) alone", remedy)
    corners = _ELEMENTS[kind]
    words = rows.require(count, (corners + 2, corners + 1), "elements")
    numbers = rows.numbers(np.int64, without=1)
    return numbers[:, :corners], numbers[:, corners] if words == corners + 2 else None, rows


def read_axes(path: Path, count: int | None = None) -> tuple[Array, Array | None]:
    """Return the fibre of each element, shape (m, 3), zero where there is none, and the sheet directions, if any.

    Raises
    ------
    FileError
        With the line of vectors that are neither of length 1 nor 0, and of sheets along their fibres; and for another
        number of elements than ``count``.
    """
    rows = Rows.read(path, "fibres of openCARP")
    number = rows.header("a .lon file, whose first line is 1 (fibres) or 2 (fibres and sheets)")
    if number not in (1, 2):
        raise rows.refuse(0, "a .lon file, whose first line is 1 (fibres) or 2 (fibres and sheets)")
    rows = rows.after(1)
    if count is not None and len(rows.lines) != count:
        allowed = f"a file of fibres for each of the {count} elements"
        raise FileError("file", str(path), allowed, f"It has {len(rows.lines)}: is it of another mesh, or cut short?")
    rows.require(len(rows.lines), (3 * number,), f"{'fibres' if number == 1 else 'fibres and sheets'}")
    axes = (rows.numbers(np.float64) if len(rows.lines) else np.zeros((0, 3 * number))).reshape(-1, number, 3)
    lengths = np.linalg.norm(axes, axis=2)
    good = ((np.abs(lengths - 1.0) <= _UNIT) | (lengths == 0.0)).all(axis=1)
    if not good.all():
        row = int(np.argmin(good))
        allowed = "a file of unit vectors, or of zeros where there is no fibre"
        raise rows.refuse(row, allowed, f"{int((~good).sum())} elements have others; the first is element {row}.")
    axes = axes / np.where(lengths > 0.0, lengths, 1.0)[:, :, None]
    if number == 1:
        return axes[:, 0], None
    fibre, sheet = axes[:, 0], axes[:, 1]
    across = np.linalg.norm(np.cross(fibre, sheet), axis=1) > _PARALLEL
    across |= ~fibre.any(axis=1)
    if not across.all():
        raise rows.refuse(int(np.argmin(across)), "a file of sheets across the fibres")
    return fibre, sheet


def read_mesh(path: Path) -> tuple[Array, Indices, Indices | None]:
    """Return nodes, elements and their regions of a mesh, in the unit of the file; of flat meshes in two dimensions.

    Raises
    ------
    FileError
        With file and line: files that are cut short or do not fit together, elements of other shapes, with nodes that
        there are not or without a volume, nodes of no element, coordinates that are not finite.
    """
    points, nodes = read_nodes(path.with_suffix(".pts"))
    cells, regions, elements = read_elements(path.with_suffix(".elem"))
    inside = ((cells >= 0) & (cells < len(points))).all(axis=1)
    if not inside.all():
        allowed = f"a file of elements with nodes 0 to {len(points) - 1}"
        raise elements.refuse(int(np.argmin(inside)), allowed)
    used = np.zeros(len(points), dtype=bool)
    used[cells] = True
    if not used.all():
        remedy = f"{int((~used).sum())} nodes belong to none; the first is node {int(np.argmin(used))}."
        raise nodes.refuse(int(np.argmin(used)), "a file of nodes that belong to elements", remedy)
    d = cells.shape[1] - 1
    if d == 2:
        if np.ptp(points[:, 2]) > 1e-10 * np.ptp(points):
            raise elements.refuse(0, "a file of tetrahedra, or of triangles in a plane z = constant")
        points = points[:, :2]
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    longest = np.linalg.norm(edges, axis=2).max(axis=1)
    with np.errstate(all="ignore"):
        solid = np.abs(np.linalg.det(edges / longest[:, None, None])) > _FLAT
    if not solid.all():
        raise elements.refuse(int(np.argmin(solid)), "a file of elements with a volume; this one is flat")
    return points, cells, regions


def read_surface(path: Path, cells: Indices) -> Indices:
    """Return the facets of a part of the surface, shape (f, d): listed in a ``.surf`` file, or by nodes in a ``.vtx``.

    Nodes stand for those facets of the outer surface of the mesh that have no others.
    """
    corners = cells.shape[1] - 1
    if path.suffix.lower() == ".surf":
        rows = Rows.read(path, "triangles of openCARP")
        count = rows.header("a .surf file, whose first line is the number of triangles")
        rows = rows.after(1)
        rows.require(count, (corners + 1, corners + 2), "triangles")
        return rows.numbers(np.int64, without=1)[:, :corners] if count else np.zeros((0, corners), dtype=np.int64)
    rows = Rows.read(path, "nodes of openCARP")
    count = rows.header("a .vtx file, whose first line is the number of nodes")
    skip = 2 if len(rows.lines) > 1 and rows.word(1) in ("intra", "extra") else 1
    rows = rows.after(skip)
    rows.require(count, (1,), "numbers of nodes")
    chosen = np.zeros(int(cells.max()) + 1, dtype=bool)
    numbers = rows.numbers(np.int64)[:, 0] if count else np.zeros(0, dtype=np.int64)
    inside = (numbers >= 0) & (numbers < len(chosen))
    if not inside.all():
        raise rows.refuse(int(np.argmin(inside)), f"a file of nodes 0 to {len(chosen) - 1}")
    chosen[numbers] = True
    facets = outer_facets(cells)
    return facets[chosen[facets].all(axis=1)]


def outer_facets(cells: Indices) -> Indices:
    """Return the facets of simplices that belong to one of them alone, shape (f, d)."""
    facets = cell_facets(cells, {4: "tetrahedron", 3: "triangle"}[cells.shape[1]]).reshape(-1, cells.shape[1] - 1)
    numbers = row_numbers(np.sort(facets, axis=1))
    _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    return np.asarray(facets[first[counts == 1]])


def write_carp(
    path: str | Path, points: Array, cells: Indices, *, regions: Indices | None = None,
    fibre: Array | None = None, sheet: Array | None = None,
) -> None:  # fmt: skip
    """Write a mesh as ``.pts`` and ``.elem``, with fibres as ``.lon``; coordinates are in um in openCARP.

    Parameters
    ----------
    path
        The name of the files; its ending, if any of these, does not count.
    points, cells
        Shape (n, 2 or 3), and (m, 4) or (m, 3).
    regions
        A whole number for each element; 1 without them.
    fibre, sheet
        Unit vectors for each element, shape (m, 3), zero where there is none.

    Raises
    ------
    InputError
        For sheets without fibres.
    OSError
        Where the files cannot be written; each is whole or as it was.
    """
    if sheet is not None and fibre is None:
        raise InputError("sheet", "given", "absent without fibres")
    path = Path(path)
    stem = path.with_suffix("") if path.suffix.lower() in MESH else path
    three = np.zeros((len(points), 3))
    three[:, : points.shape[1]] = points
    kind = {4: "Tt", 3: "Tr"}[cells.shape[1]]
    tags = np.ones(len(cells), dtype=np.int64) if regions is None else regions
    write_text(_named(stem, ".pts"), _text(len(three), three, ""))
    write_text(_named(stem, ".elem"), _text(len(cells), np.column_stack([cells, tags]), f"{kind} "))
    if fibre is not None:
        axes = fibre if sheet is None else np.column_stack([fibre, sheet])
        write_text(_named(stem, ".lon"), _text(1 if sheet is None else 2, axes, ""))


def _named(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def _text(first: int, rows: npt.NDArray[Any], lead: str) -> str:
    return "\n".join([str(first), *(lead + " ".join(map(repr, row)) for row in rows.tolist())]) + "\n"


def groups_of(regions: Indices | None) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Return the elements of each region as flags, by its number as text."""
    if regions is None:
        return {}
    return {str(int(number)): regions == number for number in np.unique(regions)}
