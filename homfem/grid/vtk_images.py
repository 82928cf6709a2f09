"""VTK images: ``.vti``, and ``.vtk`` with structured points, whose readers' reports are heard.

VTK reads a file that is cut short without an error where the numbers follow the text (appended data): what it leaves
is memory as it was. So the end of the file and the place of every array are looked at first.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from homfem.grid.found import Found, along_axes, choose_array, library, reading, refusal, require_room
from homfem.parameters import FileError

KIND = "a VTK image"


def read_vtk(path: Path, wanted: str | None) -> Found:
    """Return one array of a VTK image: cell data before point data; components of a field last."""
    pyvista = library(path, "pyvista", "pyvista")
    with reading(path, KIND):
        _check_text(path)
        with _heard(path, pyvista):
            data = pyvista.wrap(_output(path))
        if not isinstance(data, pyvista.ImageData):
            raise refusal(path, KIND, f"This is a {type(data).__name__}.")
        points, cells = list(data.dimensions), [max(n - 1, 1) for n in data.dimensions]
        values, shape = (data.cell_data, cells) if len(data.cell_data) else (data.point_data, points)
        if wanted in data.point_data and wanted not in data.cell_data:
            values, shape = data.point_data, points
        names = [*values.keys()] if wanted is None else [*dict.fromkeys([*data.cell_data, *data.point_data])]
        array = np.asarray(values[choose_array(path, names, wanted)])
        if len(array) != math.prod(shape):
            raise refusal(path, f"{KIND} with one value in each voxel", f"It has {len(array)} of {math.prod(shape)}.")
        # x is the fastest of the voxels; components stay last.
        array = array.reshape((*shape[::-1], *array.shape[1:])).transpose(2, 1, 0, *range(3, 2 + array.ndim))
        directions = np.asarray(data.direction_matrix).T * np.asarray(data.spacing, dtype=np.float64)[:, None]
        array, sizes = along_axes(path, array, directions)
    components: tuple[str, ...] = ()
    if array.ndim == 4 and array.shape[3] == 6:
        components = ("xx", "yy", "zz", "xy", "yz", "xz")
    if array.ndim == 4 and array.shape[3] == 9:
        array = array.reshape((*array.shape[:3], 3, 3))
    if array.shape[2] == 1:
        return Found(array[:, :, 0], sizes[:2], components=components)
    return Found(array, sizes, components=components)


def _output(path: Path) -> Any:
    import vtk

    reader = vtk.vtkXMLImageDataReader() if path.suffix.lower() == ".vti" else vtk.vtkDataSetReader()
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


@contextmanager
def _heard(path: Path, pyvista: Any) -> Iterator[None]:
    """Refuse the file if VTK reports an error or a warning while it is read."""
    import vtk

    before = vtk.vtkLogger.GetCurrentVerbosityCutoff()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    try:
        with pyvista.VtkErrorCatcher(raise_errors=False, send_to_logging=False) as told:
            yield
    finally:
        vtk.vtkLogger.SetStderrVerbosity(before)
    if told.events:
        text = " ".join(str(told.events[0]).split())[-160:]
        raise refusal(path, f"{KIND} that is whole", f"VTK says: {text}")


def _check_text(path: Path) -> None:
    """Refuse another kind of file, one that is too large, and one that ends before its numbers do."""
    with path.open("rb") as stream:
        head = stream.read(65536)
    legacy = path.suffix.lower() == ".vtk"
    if not (head.startswith(b"# vtk DataFile") if legacy else b"<VTKFile" in head[:1000]):
        raise refusal(path, KIND, "It has no VTK header.")
    if legacy:
        found = re.search(rb"^\s*DIMENSIONS\s+(\d+)\s+(\d+)\s+(\d+)", head, re.M | re.I)
        shape = [int(n) for n in found.groups()] if found else []
    else:
        found = re.search(rb'WholeExtent\s*=\s*"\s*([-\d]+(?:\s+[-\d]+){5})\s*"', head)
        bounds = [int(n) for n in found[1].split()] if found else []
        shape = [high - low + 1 for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
    if shape:
        require_room(path, shape, 8)
    (_check_words if legacy else _check_end)(path, path.read_bytes())


def _cut(path: Path) -> FileError:
    return refusal(path, f"{KIND} that is whole", "It is cut short: it ends before its numbers do.")


def _check_words(path: Path, data: bytes) -> None:
    """Refuse a legacy file in text whose last number may be cut, or whose colours are too few: VTK does not count."""
    lines = data[:4096].split(b"\n")
    if len(lines) < 3 or lines[2].strip().upper() != b"ASCII":
        return
    if data[-1:] not in (b"\n", b" "):
        raise _cut(path)
    size = re.search(rb"^\s*(?:POINT|CELL)_DATA\s+(\d+)\s*$", data, re.M | re.I)
    for found in re.finditer(rb"^\s*COLOR_SCALARS\s+\S+\s+(\d+)\s*$", data, re.M | re.I):
        numbers = re.match(rb"[-+.eE\d\s]*", data[found.end() :])
        there = len(numbers[0].split()) if numbers else 0
        if size is None or there < int(size[1]) * int(found[1]):
            raise _cut(path)


def _check_end(path: Path, data: bytes) -> None:
    """Refuse a file in XML that ends early, or whose appended numbers end after it does."""
    cut = _cut(path)
    if not data.rstrip(b"\0 \t\r\n").endswith(b"</VTKFile>"):
        raise cut
    start = re.search(rb'<AppendedData[^>]*encoding\s*=\s*"(raw|base64)"[^>]*>\s*_', data)
    if start is None:
        return
    end = data.rindex(b"</AppendedData>")
    text, coded = data[: start.start()], start[1] == b"base64"
    order = ">" if b'byte_order="BigEndian"' in text else "<"
    width = 8 if b'header_type="UInt64"' in text else 4

    def words(place: int, number: int) -> list[int]:
        length = number * width
        part = data[place : min(end, place + (_coded(length) if coded else length))]
        part = base64.b64decode(part)[:length] if coded else part
        if len(part) < length:
            raise cut
        return [int(word) for word in np.frombuffer(part, dtype=f"{order}u{width}")]

    for offset in re.findall(rb'offset\s*=\s*"(\d+)"', text):
        place = start.end() + int(offset)
        first = words(place, 1)[0]
        if b"compressor=" in text:
            head = (3 + first) * width
            sizes = words(place, 3 + first)[3:]
            length = _coded(head) + _coded(sum(sizes)) if coded else head + sum(sizes)
        else:
            length = _coded(width + first) if coded else width + first
        if place + length > end:
            raise cut


def _coded(length: int) -> int:
    """Length of so many bytes in base64."""
    return 4 * ((length + 2) // 3)
