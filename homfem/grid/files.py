"""Images from files: pictures, stacks and volumes.

How the axes of a file become x, y and z:

==================  ====================================================================================================
``.npy``, ``.npz``  axes in their order: ``array[i, j, k]`` is x, y, z. Of several arrays one is named.
HDF5                (``.h5``, ``.hdf5``) as ``.npy``; ``array`` is the path of a dataset.
PNG, BMP, JPEG      columns are x; rows are y, the top row at the largest y, as one sees it. A palette's indices are
                    labels. A JPEG is lossy: a warning.
TIFF                as PNG for each page; pages are z, the first page at z = 0. One page is an image of two axes.
NRRD                (``.nrrd``, ``.nhdr``) axes in their order, the fastest first: x, y, z; with directions, those of
                    space.
MetaImage           (``.mha``, ``.mhd``) likewise.
NIfTI               (``.nii``, ``.nii.gz``) likewise.
VTK                 x, y, z as in the file (``.vti``, or ``.vtk`` with structured points); cell data before point data.
                    One layer is an image of two axes.
raw                 numbers without a header, x the fastest; ``raw`` says how many and of which type.
==================  ====================================================================================================

Where a file states the size of a voxel, it is used; one that is given as well must agree with it. Edges that are all
one, without a unit, are what programs write where nothing is known, and count as none. A file that ends before its
numbers do is refused, and one that is too large before it is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from homfem.grid.arrays import read_hdf5, read_npy, read_npz
from homfem.grid.found import Found, refuse_array
from homfem.grid.image import Image, check_array, check_voxel
from homfem.grid.pictures import read_picture
from homfem.grid.tiff import read_tiff
from homfem.grid.volumes import read_meta_image, read_nifti, read_nrrd, read_raw
from homfem.grid.vtk_images import read_vtk
from homfem.keywords import takes
from homfem.parameters import FileError, InputError
from homfem.quantities import LENGTH, check_unit, conversion_factor

#: Unit of length of an image whose file states no size of a voxel: its edge.
VOXEL = "voxel"
#: Unit of length of an image whose file states a size without a unit.
OF_FILE = "unit of the file"
#: A size that is given may differ so much from the one in the file: digits that were left out.
SAME = 1e-3


class ImageOptions(TypedDict, total=False):
    """The words of :class:`ImageReading` as keywords of a function."""

    labels: Mapping[str, int | float | Sequence[int | float]] | None
    thresholds: float | Sequence[float] | None
    names: Sequence[str] | None
    voxel: float | Sequence[float] | None
    period: float | Sequence[float] | None
    length_unit: str
    dimension: int | None
    array: str | None
    raw: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageReading:
    """What the file of an image is asked for.

    Parameters
    ----------
    labels
        Name and label(s) of each phase, for an image of labels; see :meth:`homfem.grid.Image.from_labels`.
    thresholds, names
        Instead of labels, for grey levels; see :meth:`homfem.grid.Image.from_grey`.
    voxel
        Edges of a voxel along x, y (and z), or one number. By default those in the file.
    period
        In place of ``voxel``, the lengths of the image along the axes, or one number.
    length_unit
        Unit of length of ``voxel`` or ``period``; without them that of the result. By default that of the file;
        ``"unit of the file"`` where it states none, and ``"voxel"`` where it states no size.
    dimension
        2 or 3 if the image must have that many axes.
    array
        Which array, where a file may have several.
    raw
        Of numbers without a header: ``type``, such as ``"uint8"``; ``size``, the numbers of voxels along x, y (and z);
        ``byte_order``, ``"little"`` (default) or ``"big"``; ``offset``, the bytes before them.
    """

    labels: Mapping[str, int | float | Sequence[int | float]] | None = None
    thresholds: float | Sequence[float] | None = None
    names: Sequence[str] | None = None
    voxel: float | Sequence[float] | None = None
    period: float | Sequence[float] | None = None
    length_unit: str = ""
    dimension: int | None = None
    array: str | None = None
    raw: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.labels is None) == (self.thresholds is None):
            raise InputError("labels", self.labels, "given, or thresholds and names instead")
        if self.thresholds is not None and self.names is None:
            raise InputError("names", self.names, "given with thresholds: one name more than thresholds")
        if self.voxel is not None and self.period is not None:
            raise InputError("voxel", self.voxel, "absent where the period is given")


@takes(ImageReading)
def read_image(path: str | Path, **reading: Unpack[ImageOptions]) -> Image:
    """Return the image in a file.

    Parameters
    ----------
    path
        A file with one of the endings above; with ``raw`` any.
    **reading
        As :class:`ImageReading` has them.

    Raises
    ------
    FileError
        For a missing file, one that is not an image of its kind, is cut short or too large.
    InputError
        For an image that cannot be used (see :class:`Image`), and a size that contradicts the file.
    """
    asked = ImageReading(**reading)
    found = read_array(path, array=asked.array, raw=asked.raw, dimension=asked.dimension)
    check_array("image", found.array, asked.dimension)
    sizes, unit = voxel_size(found, asked.voxel, asked.period, asked.length_unit)
    options: dict[str, Any] = {"voxel": sizes, "length_unit": unit, "dimension": asked.dimension}
    if asked.labels is not None:
        image = Image.from_labels(found.array, asked.labels, **options)
    elif found.palette:
        remedy = "Its numbers are places in a palette of colours: give labels, or save it as grey levels."
        raise InputError("thresholds", asked.thresholds, "absent for an image with a palette", remedy)
    else:
        image = Image.from_grey(found.array, asked.thresholds, asked.names, **options)  # type: ignore[arg-type]
    return replace(image, warnings=found.warnings)


def is_image(path: str | Path) -> bool:
    """Tell whether a file ends as those do that :func:`read_image` reads."""
    return _ending(Path(path)) in _READERS


def _ending(path: Path) -> str:
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def read_array(
    path: str | Path, *, array: str | None = None, raw: Mapping[str, Any] | None = None, dimension: int | None = None
) -> Found:
    """Return the numbers in an image file with the axes x, y (and z), and what the file tells of a voxel."""
    source = Path(path)
    ending = _ending(source)
    if raw is None and ending not in _READERS:
        known = ", ".join(_READERS)
        raise FileError("file", str(path), f"an image that ends in one of {known}", "Other files need the key raw.")
    if not source.is_file():
        raise FileError("file", str(path), "an image file that exists", "Check the path.")
    if raw is not None:
        refuse_array(source, array)
        return read_raw(source, raw)
    if ending in _OF_SEVERAL:
        return _OF_SEVERAL[ending](source, array)
    refuse_array(source, array)
    if ending in (".tif", ".tiff"):
        return read_tiff(source, dimension)
    return _READERS[ending](source)


def voxel_size(
    found: Found, voxel: float | Sequence[float] | None, period: float | Sequence[float] | None, length_unit: str
) -> tuple[tuple[float, ...], str]:
    """Return the edges of a voxel and their unit: those that are given, or those of the file.

    Raises
    ------
    InputError
        If both are known and differ, or if the file states some of them only.
    """
    shape = found.array.shape
    own, unit = found.voxel, found.unit
    if unit:
        unit = check_unit("file", unit, LENGTH)
    if own is not None and not unit and all(h == 1.0 or math.isnan(h) for h in own):
        own = None
    if own is not None and (len(own) != len(shape) or not all(h > 0.0 or math.isnan(h) for h in own)):
        raise InputError("file", own, f"an image whose header states the {len(shape)} edges of a voxel, > 0")
    if own is not None and unit and length_unit:
        own, unit = tuple(h * conversion_factor(unit, length_unit) for h in own), length_unit
    if voxel is None and period is None:
        return _of_file(own, unit, length_unit, len(shape))
    given = check_voxel(voxel if period is None else period, len(shape), "voxel" if period is None else "period")
    if period is not None:
        given = tuple(length / n for length, n in zip(given, shape, strict=True))
    if own is not None:
        ratios = np.array([h / g for h, g in zip(own, given, strict=True) if not math.isnan(h)])
        wanted = 1.0 if unit and length_unit else ratios[0]
        if np.any(np.abs(ratios / wanted - 1.0) > SAME):
            listed = " x ".join("?" if math.isnan(h) else f"{h:.6g}" for h in own)
            said = f"{listed} {unit}".strip() + ("" if unit else " (without a unit)")
            name, value = ("voxel", voxel) if period is None else ("period", period)
            said_too = f"{list(given)} {length_unit}".strip()
            remedy = f"{said_too} per voxel contradicts it. Leave {name} out, or correct the file."
            raise InputError(name, value, f"absent, or what the file states: voxels of {said}", remedy)
    return given, length_unit


def _of_file(
    own: tuple[float, ...] | None, unit: str, length_unit: str, dimension: int
) -> tuple[tuple[float, ...], str]:
    if own is None:
        return (1.0,) * dimension, length_unit or VOXEL
    if any(math.isnan(h) for h in own):
        known = " and ".join("xyz"[k] for k, h in enumerate(own) if not math.isnan(h))
        raise InputError("voxel", None, f"given: the file states the edge of a voxel along {known} alone")
    return own, unit or length_unit or OF_FILE


_OF_SEVERAL: dict[str, Callable[[Path, str | None], Found]] = {
    ".npz": read_npz,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".vti": read_vtk,
    ".vtk": read_vtk,
}
_READERS: dict[str, Callable[..., Found]] = {
    ".npy": read_npy,
    ".png": read_picture,
    ".bmp": read_picture,
    ".jpg": read_picture,
    ".jpeg": read_picture,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
    ".mha": read_meta_image,
    ".mhd": read_meta_image,
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
    **_OF_SEVERAL,
}
