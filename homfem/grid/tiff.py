"""TIFF images and stacks: all pages, whatever their grouping, or a refusal that names the readings.

The pages of a file are the slices of a volume, the first at z = 0, if they are alike. Where the file says that they
are channels or times, ``dimension = 3`` says that they are slices nevertheless. The size of a voxel is that of ImageJ's
or OME's description, or of the resolution, unless that is one of the dots per inch which programs for pictures write
where nothing is known (:data:`PRINT`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.grid.found import Found, reading, refusal, require_room, upright
from homfem.grid.pictures import LOSSY, grey, strictly

KIND = "a TIFF image or stack"
#: Dots per inch that programs for pictures write where nothing is known.
PRINT = (72, 75, 96, 100, 120, 144, 150, 180, 200, 240, 300, 350, 360, 400, 600, 720, 1200)
#: Compressions that tifffile reads by itself (none, deflate, PackBits, LZMA), and those that lose.
_OWN, _JPEG = (1, 8, 32946, 32773, 34925), (6, 7)
#: What ImageJ calls units of length.
_UNITS = {"micron": "um", "microns": "um", "pixel": "", "pixels": ""}


def read_tiff(path: Path, dimension: int | None) -> Found:
    """Return all pages of a TIFF file: one is an image of two axes, several are one of three."""
    import tifffile

    with reading(path, KIND, tifffile.TiffFileError), _reports(path) as told, tifffile.TiffFile(path) as file:
        series = _whole_series(path, file)
        shape = (len(file.pages), *file.pages[0].shape) if series is None else series.shape
        require_room(path, shape, np.dtype(file.pages[0].dtype).itemsize)
        # Without a series of all of them: one page in each, all alike.
        axes = "I" + file.pages[0].axes if series is None else series.axes
        if int(file.pages[0].compression) not in _OWN:
            array = _by_pillow(path, file).reshape(shape)
        elif series is None:
            array = np.stack([np.asarray(page.asarray()) for page in file.pages])
        else:
            array = np.asarray(series.asarray())
        lossy = (LOSSY,) if int(file.pages[0].compression) in _JPEG else ()
        voxel, unit = _voxel(file)
    array, axes = _without_samples(path, array, axes)
    if len(axes) == 3 and axes[0] in "CTSRPLMHAEF" and dimension != 3:
        kinds = {"C": "channels", "T": "times"}.get(axes[0], f"pages of axis {axes[0]}")
        raise refusal(
            path, "a volume or one picture",
            f"It says that its {len(array)} pages are {kinds} of one picture: where they are slices of a volume "
            "give dimension = 3, else save the one that counts.",
        )  # fmt: skip
    edges = None if voxel is None else voxel[: array.ndim]
    return Found(upright(array), edges, unit if edges else "", lossy + tuple(told))


def _by_pillow(path: Path, file: Any) -> npt.NDArray[Any]:
    """All pages, decompressed by Pillow; tifffile alone knows few compressions."""
    from PIL import Image as Picture

    if any(int(page.photometric) == 0 or str(page.dtype) in ("uint32", "uint64") for page in file.pages):
        raise refusal(path, KIND, f"Its compression ({file.pages[0].compression.name}) is not known for such numbers.")
    with strictly(), Picture.open(path, formats=("TIFF",)) as picture:
        found = []
        for number in range(len(file.pages)):
            picture.seek(number)
            found.append(np.asarray(picture))
    return np.stack(found)


def _whole_series(path: Path, file: Any) -> Any:
    """Return the series that has all pages; None where each page is a series of its own, all of them alike."""
    series = [entry for entry in file.series if entry.keyframe is not None]
    if len(series) == 1:
        return series[0]
    pages = [(page.shape, str(page.dtype), page.photometric) for page in file.pages]
    alone = sum(len(entry.pages) for entry in series) == len(pages)
    if len(series) > 1 and alone and len(set(pages)) == 1 and len(pages[0][0]) == 2:
        return None
    shapes = ", ".join("x".join(map(str, entry.shape)) for entry in series)
    raise refusal(
        path, "a TIFF file of one picture or one volume",
        f"Its pages are {len(series)} images of different kinds ({shapes} rows and columns): save the one that counts.",
    )  # fmt: skip


def _without_samples(path: Path, array: npt.NDArray[Any], axes: str) -> tuple[npt.NDArray[Any], str]:
    """Return the array without axes of length one, and without colours that are grey."""
    if "S" in axes:
        array = np.moveaxis(array, axes.index("S"), -1)
        axes = axes.replace("S", "") + "S"
        if array.shape[-1] in (3, 4):
            array, axes = grey(path, array), axes[:-1]
    kept = [k for k, name in enumerate(axes) if array.shape[k] > 1 or name in "YX"]
    array = array.reshape([array.shape[k] for k in kept])
    axes = "".join(axes[k] for k in kept)
    if array.ndim > 3:
        raise refusal(path, "an image with 2 or 3 axes", f"It has the axes {axes} of {array.shape} entries.")
    return array, axes


@contextmanager
def _reports(path: Path) -> Iterator[list[str]]:
    """Gather what the library reports in its log: an error refuses the file, the rest is told to the user."""
    log = logging.getLogger("tifffile")
    records: list[logging.LogRecord] = []

    class Gather(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler, before = Gather(), (log.level, log.propagate)
    log.addHandler(handler)
    log.setLevel(logging.WARNING)
    log.propagate = False
    warnings: list[str] = []
    try:
        yield warnings
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]
    messages = [" ".join(record.getMessage().split())[:160] for record in records]
    broken = [text for record, text in zip(records, messages, strict=True) if record.levelno >= logging.ERROR]
    if broken:
        raise refusal(path, f"{KIND} that is whole", f"It is cut short or damaged: {broken[0]}.")
    warnings += [f"{path.name}: {text}" for text in messages]


def _voxel(file: Any) -> tuple[tuple[float, float, float] | None, str]:
    """Return the edges of a voxel, nan where the file does not state one, and their unit."""
    nothing = float("nan")
    if file.is_ome and file.ome_metadata:
        pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", file.ome_metadata)
        words = dict(re.findall(r'(\w+)="([^"]*)"', pixels[0] if pixels else ""))
        if "PhysicalSizeX" in words and "PhysicalSizeY" in words:
            edges = [float(words.get(f"PhysicalSize{axis}", nothing)) for axis in "XYZ"]
            units = {_unit(words.get(f"PhysicalSize{axis}Unit", "um")) for axis in "XYZ"}
            if len(units) == 1:
                return (edges[0], edges[1], edges[2]), units.pop()
    edges = [_edge(file.pages[0], f"{axis}Resolution") for axis in "XY"]
    if file.is_imagej and file.imagej_metadata:
        described = file.imagej_metadata
        unit = _unit(str(described.get("unit", "")))
        if unit or "spacing" in described:
            return (edges[0], edges[1], float(described.get("spacing", nothing))), unit
        return None, ""
    tag = file.pages[0].tags.get("ResolutionUnit")
    unit = {2: "inch", 3: "cm"}.get(int(tag.value), "") if tag is not None else ""
    inch = 1.0 if unit == "inch" else 2.54
    printed = unit != "" and edges[0] == edges[1] and any(abs(inch / edges[0] - dots) < 0.02 for dots in PRINT)
    if printed or not np.isfinite(edges).all() or (not unit and edges[0] == edges[1]):
        return None, ""
    return (edges[0], edges[1], nothing), unit


def _edge(page: Any, name: str) -> float:
    tag = page.tags.get(name)
    if tag is None or 0 in tag.value:
        return float("nan")
    return float(tag.value[1]) / float(tag.value[0])


def _unit(text: str) -> str:
    plain = text.strip().replace("\\u00B5", "u").replace("\\u00b5", "u").replace("µ", "u").replace("μ", "u")
    return _UNITS.get(plain, plain)
