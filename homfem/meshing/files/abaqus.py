"""Input files of Abaqus: nodes, elements and element sets of one part, as CAE and TexGen write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from homfem.parameters import CellError, FileError

#: Families of elements, by their names without the number of nodes: solids and plane elements.
_SOLIDS = ("C3D", "DC3D", "AC3D", "CC3D", "DCC3D", "EC3D", "Q3D", "SC", "CSS")
_PLANE = (
    "CPS",
    "CPE",
    "CPEG",
    "CAX",
    "CGAX",
    "DC2D",
    "DCAX",
    "AC2D",
    "DCC2D",
    "M3D",
    "R3D",
    "SFM3D",
    "S",
    "DS",
    "STRI",
)
#: Those that are points or lines, which no cell is made of.
_THIN = re.compile(r"(T2D|T3D|B\d|PIPE|FRAME|R2D|RAX|RB|MASS|ROTARYI|CONN|SPRING|DASHPOT|GAP|ITT|HEATCAP|JOINTC)")
_ELEMENTS = {
    (2, 3): "triangle", (2, 6): "triangle6", (2, 4): "quad", (2, 8): "quad8", (2, 9): "quad9",
    (3, 4): "tetra", (3, 10): "tetra10", (3, 5): "pyramid", (3, 13): "pyramid13", (3, 6): "wedge", (3, 15): "wedge15",
    (3, 8): "hexahedron", (3, 20): "hexahedron20", (3, 27): "hexahedron27",
}  # fmt: skip
#: Keywords that make nodes, elements or places in ways that are not read.
_REFUSED = ("NGEN", "NFILL", "NCOPY", "NMAP", "ELGEN", "ELCOPY", "SYSTEM", "SUBSTRUCTURE PATH", "SUBMODEL")
_DEPTH = 8


@dataclass(kw_only=True, slots=True)
class _Part:
    """Node numbers and coordinates, elements by type, and the numbers of the elements of each set, names as written."""

    nodes: list[Any] = field(default_factory=list)
    elements: list[tuple[str, Any]] = field(default_factory=list)
    sets: dict[str, tuple[str, list[Any]]] = field(default_factory=dict)
    sections: list[str] = field(default_factory=list)
    instances: int = 0

    def add(self, name: str, numbers: Any) -> None:
        self.sets.setdefault(name.upper(), (name, []))[1].append(np.asarray(numbers, dtype=np.int64))

    def members(self, name: str) -> Any:
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *self.sets[name.upper()][1]]))


def read_abaqus(path: Path) -> Any:
    """Return the mesh of an input file as meshio has it; ``info["sections"]``: the sets that have a section.

    All ``*Node`` blocks are read; nodes that no element has, such as reference points, do no harm. Everything that is
    no node, element, set or section (constraints, orientations, steps) is passed over.

    Raises
    ------
    FileError
        Keywords that make nodes or elements in other ways, element types that are not known, numbers that are none.
    CellError
        Several parts with elements, or a part that is there twice or turned.
    """
    import meshio

    parts: dict[str, _Part] = {"": _Part()}
    reader = _Reader(path=path, parts=parts)
    try:
        reader.read(_lines(path, path, 0))
        full = list({id(part): part for part in parts.values() if part.elements}.values())
        if not full:
            raise FileError("file", str(path), "an input file of Abaqus with elements")
        if len(full) > 1 or full[0].instances > 1:
            given = [name for name, part in parts.items() if part.elements]
            raise CellError("parts", given, "one part with elements, there once", "Merge the instances into one part.")
        return _mesh(meshio, path, full[0])
    except (ValueError, IndexError, KeyError) as error:
        if isinstance(error, CellError | FileError):
            raise
        raise FileError("file", str(path), "an input file of Abaqus", f"Near line {reader.line}: {error}") from error


def _mesh(meshio: Any, path: Path, part: _Part) -> Any:
    table = np.concatenate(part.nodes) if part.nodes else np.zeros((0, 4))
    number, first = np.unique(table[:, 0].astype(np.int64), return_index=True)
    coordinates = table[first, 1:]
    if len(number) < len(table):
        again = np.abs(table[:, 1:] - coordinates[np.searchsorted(number, table[:, 0].astype(np.int64))])
        if again.max() > 0.0:
            raise FileError("file", str(path), "an input file where each node number has one place")
    cells, numbers = [], []
    for kind, rows in part.elements:
        nodes = np.minimum(np.searchsorted(number, rows[:, 1:]), len(number) - 1)
        missing = rows[:, 1:][number[nodes] != rows[:, 1:]] if len(number) else rows[:, 1:].ravel()
        if len(missing):
            raise FileError(
                "file", str(path), f"an input file with all nodes of its elements; node {missing[0]} is not"
            )
        cells.append((kind, nodes))
        numbers.append(rows[:, 0])
    every = np.concatenate(numbers)
    if len(np.unique(every)) < len(every):
        raise FileError("file", str(path), "an input file where each element has its own number")
    sets = {}
    for name, _ in part.sets.values():
        own = part.members(name)
        sets[name] = [np.flatnonzero(np.isin(block, own)) for block in numbers]
    sections = list(dict.fromkeys(part.sets[name][0] for name in part.sections if name in part.sets))
    return meshio.Mesh(coordinates, cells, cell_sets=sets, info={"sections": sections})


def _lines(path: Path, root: Path, depth: int) -> Iterator[str]:
    """Lines of a file without comments, those of the files that it includes in their place."""
    if depth > _DEPTH:
        raise FileError("file", str(root), f"an input file that includes others at most {_DEPTH} deep")
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise FileError("file", str(root), f"an input file whose included files exist; {path.name} does not") from error
    for line in text.splitlines():
        if line.startswith("**") or not line.strip():
            continue
        if line.startswith("*") and _keyword(line)[0] == "INCLUDE":
            yield from _lines(root.parent / _keyword(line)[1].get("INPUT", ""), root, depth + 1)
        else:
            yield line


def _keyword(line: str) -> tuple[str, dict[str, str]]:
    name, *given = line.lstrip("*").split(",")
    pairs = [entry.partition("=") for entry in given if entry.strip()]
    return " ".join(name.upper().split()), {key.strip().upper(): value.strip().strip('"') for key, _, value in pairs}


@dataclass(kw_only=True, slots=True)
class _Reader:
    path: Path
    parts: dict[str, _Part]
    current: str = ""
    line: str = ""

    def read(self, lines: Iterator[str]) -> None:
        block: list[str] = []
        head = ""
        for line in lines:
            if head.endswith(","):
                head += line.lstrip("*")
            elif line.startswith("*"):
                self._block(head, block)
                head, block = line.rstrip(), []
            else:
                block.append(line)
        self._block(head, block)

    def _block(self, head: str, data: list[str]) -> None:
        self.line = head
        keyword, given = _keyword(head)
        if keyword in _REFUSED:
            raise FileError(
                "file", str(self.path), f"an input file without *{keyword}", "Write all nodes and elements."
            )
        if keyword in ("NODE", "ELEMENT", "ELSET") and "INPUT" in given:
            data = list(_lines(self.path.parent / given["INPUT"], self.path, 1))
        if keyword == "PART":
            self.current = given["NAME"].upper()
            self.parts.setdefault(self.current, _Part())
        elif keyword in ("END PART", "END INSTANCE"):
            self.current = ""
        elif keyword == "INSTANCE":
            self._instance(given, data)
        elif keyword == "NODE":
            self._nodes(given, data)
        elif keyword == "ELEMENT":
            self._elements(given, data)
        elif keyword == "ELSET":
            self._set(given, data)
        elif keyword.endswith("SECTION") and "ELSET" in given:
            self.parts[self.current].sections.append(given["ELSET"].upper())

    def _instance(self, given: dict[str, str], data: list[str]) -> None:
        part = self.parts.get(given.get("PART", "").upper())
        if part is None:
            return
        part.instances += 1
        self.parts[given["NAME"].upper()] = part
        if len(data) > 1 and part.elements:
            raise CellError("instance", given["NAME"], "not turned", "Turn the part itself.")
        self.current = given["NAME"].upper()

    def _nodes(self, given: dict[str, str], data: list[str]) -> None:
        if given.get("SYSTEM", "R").upper() != "R":
            raise FileError("file", str(self.path), "an input file with Cartesian coordinates")
        rows = np.zeros((len(data), 4))
        for row, line in zip(rows, data, strict=True):
            values = [float(entry) for entry in line.split(",") if entry.strip()][:4]
            row[: len(values)] = values
        self.parts[self.current].nodes.append(rows)

    def _elements(self, given: dict[str, str], data: list[str]) -> None:
        kind = _element(self.path, given["TYPE"].upper())
        if kind is None:
            return
        name, count = kind
        numbers = np.array(",".join(data).replace(",", " ").split(), dtype=np.int64)
        if not len(numbers):
            return
        rows = numbers.reshape(-1, count + 1)
        self.parts[self.current].elements.append((name, rows))
        if "ELSET" in given:
            self.parts[self.current].add(given["ELSET"], rows[:, 0])

    def _set(self, given: dict[str, str], data: list[str]) -> None:
        part = self.parts.get(given.get("INSTANCE", self.current).upper(), self.parts[self.current])
        name = given["ELSET"]
        part.add(name, [])
        entries = [[entry.strip() for entry in line.split(",") if entry.strip()] for line in data]
        if "GENERATE" in given:
            for first, last, *step in entries:
                part.add(name, np.arange(int(first), int(last) + 1, int(step[0]) if step else 1))
            return
        for entry in (entry for line in entries for entry in line):
            place, _, label = entry.strip('"').rpartition(".")
            owner = self.parts.get(place.upper(), part) if place else part
            if label.lstrip("-").isdigit():
                owner.add(name, [int(label)])
            elif label.upper() in owner.sets:
                owner.add(name, owner.members(label))
            else:
                raise FileError("file", str(self.path), f"an input file with all its sets; {label} of {name} is not")


def _element(path: Path, name: str) -> tuple[str, int] | None:
    """Name in meshio and number of nodes of an element type; None for points and lines."""
    if _THIN.match(name):
        return None
    match = re.match(r"([A-Z]+(?:2D|3D)?)(\d+)", name)
    family, count = (match[1], int(match[2])) if match else (name, 0)
    count = 6 if family == "STRI" and count == 65 else count
    d = 3 if family in _SOLIDS else 2 if family in _PLANE else 0
    if (d, count) not in _ELEMENTS:
        raise FileError("file", str(path), f"an input file with elements that are known; {name} is not")
    return _ELEMENTS[d, count], count
