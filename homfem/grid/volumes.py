"""Volumes with a header in text or none: NRRD, MetaImage and raw numbers, which end where the header says."""

from __future__ import annotations

import bz2
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.grid.found import Found, along_axes, library, reading, refusal, require_room
from homfem.parameters import InputError, check_choice, check_integer

_META_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
#: The types of raw numbers, by their names in numpy.
RAW_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
RAW_KEYS = ("type", "size", "byte_order", "offset")
#: The order of the entries of symmetric matrices in NRRD.
_NRRD_MATRIX = ("xx", "xy", "xz", "yy", "yz", "zz")


def read_raw(path: Path, header: Mapping[str, Any]) -> Found:
    """Return the numbers of a file without a header; ``header`` has the keys :data:`RAW_KEYS`.

    Raises
    ------
    FileError
        If the file is not as long as they say.
    """
    for key in header:
        check_choice("raw", key, RAW_KEYS)
    name = check_choice("raw.type", header.get("type"), RAW_TYPES)
    size = header.get("size")
    if not isinstance(size, Sequence) or isinstance(size, str) or len(size) not in (2, 3):
        raise InputError("raw.size", size, "a list of 2 or 3 numbers of voxels, along x (the fastest), y and z")
    shape = [check_integer(f"raw.size[{k}]", n, at_least=1) for k, n in enumerate(size)]
    order = check_choice("raw.byte_order", header.get("byte_order", "little"), ("little", "big"))
    offset = check_integer("raw.offset", header.get("offset", 0), at_least=0)
    kind = np.dtype(name).newbyteorder("<" if order == "little" else ">")
    require_room(path, shape, kind.itemsize)
    with reading(path, "raw numbers"):
        needed, there = offset + math.prod(shape) * kind.itemsize, path.stat().st_size
        if there != needed:
            raise refusal(path, f"a file of {needed} bytes, as raw.size and raw.type say", f"It has {there}.")
        array = np.fromfile(path, dtype=kind, offset=offset)
    return Found(_native(array).reshape(shape, order="F"))


def read_nrrd(path: Path) -> Found:
    """Return the numbers of an NRRD file, with the axes of space."""
    nrrd = library(path, "nrrd", "pynrrd")
    kind = "an NRRD image"
    with reading(path, kind, nrrd.NRRDError):
        with path.open("rb") as stream:
            header = nrrd.read_header(stream)
            shape = [int(n) for n in header["sizes"]]
            require_room(path, shape, 8)
            if "data file" not in header and "datafile" not in header:
                _require_size(path, stream, header, 8 * math.prod(shape))
        array, header = nrrd.read(str(path))
        if list(array.shape) != shape:
            raise refusal(path, f"{kind} of {shape} numbers, as its header says", f"It has {array.shape}.")
        return _nrrd_axes(path, array, header)


def _require_size(path: Path, stream: Any, header: Mapping[str, Any], most: int) -> None:
    """Refuse compressed numbers that are far more than the header says, before they are held."""
    makers: dict[str, Any] = {"gzip": lambda: zlib.decompressobj(31), "bzip2": bz2.BZ2Decompressor}
    make = makers.get({"gz": "gzip", "bz2": "bzip2"}.get(header["encoding"], header["encoding"]))
    if make is None:
        return
    most += max(0, int(header.get("byte skip", header.get("byteskip", 0))))
    reader, size = make(), 0
    while not reader.eof:
        pending = getattr(reader, "unconsumed_tail", b"")
        if not pending and getattr(reader, "needs_input", True):
            pending = stream.read(1 << 16)
            if not pending:
                return
        size += len(reader.decompress(pending, 1 << 22))
        if size > most:
            raise refusal(path, "an NRRD image as large as its header says", "Its compressed numbers are many more.")


def _nrrd_axes(path: Path, array: npt.NDArray[Any], header: Mapping[str, Any]) -> Found:
    """Bring the components of a field to the end, and find the edges of a voxel."""
    kinds = list(header.get("kinds", ["domain"] * array.ndim))
    matrix = [k for k, name in enumerate(kinds) if str(name).endswith("matrix") or name in ("vector", "list")]
    array = np.moveaxis(array, matrix, range(array.ndim - len(matrix), array.ndim))
    domain = [k for k in range(array.ndim) if k not in matrix]
    components: tuple[str, ...] = ()
    if any(str(kinds[k]) == "3D-symmetric-matrix" for k in matrix):
        components = _NRRD_MATRIX
    if any(str(kinds[k]) == "3D-masked-symmetric-matrix" for k in matrix):
        array, components = array[..., 1:], _NRRD_MATRIX
    if any(str(kinds[k]) == "3D-matrix" for k in matrix):
        array = array.reshape((*array.shape[:-1], 3, 3))
    if "space directions" in header:
        rows = header["space directions"]
        directions = np.array([rows[k] for k in domain], dtype=np.float64)
        array, sizes = along_axes(path, array, directions)
        units = {str(unit) for unit in header.get("space units", [])} - {"", "None"}
        return Found(array, sizes, _one_unit(path, units), components=components)
    if "spacings" in header:
        edges = np.abs(np.asarray(header["spacings"], dtype=np.float64)[domain])
        if (edges == 0.0).any() or np.isinf(edges).any():
            raise refusal(path, "an NRRD image with spacings > 0", f"They are {edges.tolist()}.")
        names = header.get("units", [])
        units = {str(names[k]) for k in domain if k < len(names)} - {"", "None"}
        voxel = None if np.isnan(edges).all() else tuple(float(h) for h in edges)
        return Found(array, voxel, _one_unit(path, units), components=components)
    return Found(array, components=components)


def _one_unit(path: Path, units: set[str]) -> str:
    if len(units) > 1:
        raise refusal(path, "an image with one unit of length along all axes", f"It has {', '.join(sorted(units))}.")
    plain = units.pop().replace("µ", "u").replace("μ", "u") if units else ""
    return {"microns": "um", "micron": "um", "millimeters": "mm", "meters": "m", "pixel": ""}.get(plain, plain)


def read_meta_image(path: Path) -> Found:
    """Return the numbers of a MetaImage (.mha, or .mhd with its .raw), with the axes of space."""
    kind = "a MetaImage"
    with reading(path, kind):
        header, start = _meta_header(path, kind)
        if header.get("ObjectType", "Image").lower() != "image":
            raise refusal(path, kind, f"Its ObjectType is {header['ObjectType']}.")
        shape = [int(n) for n in header["DimSize"].split()]
        channels = int(header.get("ElementNumberOfChannels", "1"))
        if len(shape) != int(header["NDims"]) or header["ElementType"] not in _META_TYPES or channels < 1:
            raise refusal(path, f"{kind} of numbers", f"It has DimSize {shape}, elements {header['ElementType']}.")
        if header.get("BinaryData", "True").lower() != "true":
            raise refusal(path, f"{kind} of binary data", "Its numbers are written as text.")
        big = header.get("ElementByteOrderMSB", header.get("BinaryDataByteOrderMSB", "False")).lower() == "true"
        number = np.dtype(_META_TYPES[header["ElementType"]]).newbyteorder(">" if big else "<")
        require_room(path, [channels, *shape], number.itemsize)
        needed = channels * math.prod(shape) * number.itemsize
        array = _native(np.frombuffer(_meta_bytes(path, header, start, needed), dtype=number))
        array = array.reshape([channels, *shape], order="F")
        array = array[0] if channels == 1 else np.moveaxis(array, 0, -1)
        return _meta_axes(path, array, header, len(shape))


def _meta_header(path: Path, kind: str) -> tuple[dict[str, str], int]:
    """The keys of the header, and where it ends."""
    with path.open("rb") as stream:
        text = stream.read(65536)
    found = re.search(rb"^[ \t]*ElementDataFile[ \t]*=[ \t]*([^\r\n]+?)[ \t]*\r?\n?$", text, re.M)
    end = re.search(rb"^[ \t]*ElementDataFile[ \t]*=[^\n]*(?:\n|$)", text, re.M)
    if found is None or end is None:
        raise refusal(path, kind, "Its header has no ElementDataFile.")
    lines = text[: end.end()].decode("latin-1").splitlines()
    pairs = [line.partition("=") for line in lines if "=" in line]
    header = {key.strip(): value.strip() for key, _, value in pairs}
    for key in ("NDims", "DimSize", "ElementType"):
        if key not in header:
            raise refusal(path, kind, f"Its header has no {key}.")
    return header, end.end()


def _meta_bytes(path: Path, header: Mapping[str, str], start: int, needed: int) -> bytes:
    """The bytes of the numbers, exactly as many as are needed."""
    source = header["ElementDataFile"]
    if source.upper() == "LOCAL":
        data = path.read_bytes()[start:]
    elif source.upper().startswith("LIST") or "%" in source:
        raise refusal(path, "a MetaImage with one file of numbers", f"ElementDataFile is {source}.")
    else:
        own = path.parent / source
        if not own.is_file():
            raise refusal(path, "a MetaImage whose file of numbers exists", f"{source!r} is not beside it.")
        data = own.read_bytes()
        skipped = int(header.get("HeaderSize", "0"))
        data = data[-needed:] if skipped == -1 else data[skipped:]
    if header.get("CompressedData", "False").lower() == "true":
        reader = zlib.decompressobj(zlib.MAX_WBITS | 32)
        data = reader.decompress(data, needed + 1)
    if len(data) != needed:
        remedy = (
            f"It has {'more' if len(data) > needed else f'{len(data)} of'} the {needed} bytes: cut short or damaged."
        )
        raise refusal(path, "a MetaImage as large as its header says", remedy)
    return data


def _meta_axes(path: Path, array: npt.NDArray[Any], header: Mapping[str, str], d: int) -> Found:
    words = header.get("ElementSpacing", header.get("ElementSize", ""))
    matrix = header.get("TransformMatrix", header.get("Rotation", header.get("Orientation", "")))
    turn = np.array([float(x) for x in matrix.split()]).reshape(d, d) if matrix else np.eye(d)
    sizes = np.array([float(x) for x in words.split()]) if words else np.ones(d)
    if len(sizes) != d:
        raise refusal(path, f"a MetaImage with {d} spacings", f"It has {words}.")
    array, edges = along_axes(path, array, sizes[:, None] * turn)
    unit = header.get("DistanceUnits", "").strip("?")
    return Found(array, edges if words else None, unit)


def _native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def read_nifti(path: Path) -> Found:
    """Return the numbers of a NIfTI image with the axes of space; a field's components last."""
    nibabel = library(path, "nibabel", "nibabel")
    kind = "a NIfTI image"
    errors = (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError)
    with reading(path, kind, *errors):
        image = nibabel.load(path, mmap=False)
        if not isinstance(image, nibabel.Nifti1Pair):
            raise refusal(path, kind, f"It is one of {type(image).__name__}.")
        header = image.header
        shape = [int(n) for n in image.shape]
        require_room(path, shape, max(8, header.get_data_dtype().itemsize))
        array = np.asanyarray(image.dataobj)
        while array.ndim > 3 and array.shape[3] == 1:
            array = array[:, :, :, 0]
        unit = {"unknown": "", "micron": "um", "meter": "m"}.get(header.get_xyzt_units()[0], header.get_xyzt_units()[0])
        known = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
        d = min(3, array.ndim)
        sizes = [float(h) for h in header.get_zooms()[:d]]
        if not known:
            return Found(array, tuple(sizes), unit, components=_nifti_matrix(header))
        steps = np.asarray(image.affine[:3, :3], dtype=np.float64).T[:d, :d]
        array, edges = along_axes(path, array, steps)
        return Found(array, edges, unit, components=_nifti_matrix(header))


def _nifti_matrix(header: Any) -> tuple[str, ...]:
    """The order of the entries of a symmetric matrix, where the file says that it holds one (intent code 1005)."""
    return ("xx", "xy", "yy", "xz", "yz", "zz") if int(header["intent_code"]) == 1005 else ()
