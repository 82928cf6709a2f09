"""Arrays from files of numpy and HDF5: the axes are x, y and z in their order."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.grid.found import Found, choose_array, library, reading, refusal, require_room


def read_npy(path: Path) -> Found:
    """Return the array of a ``.npy`` file."""
    kind = "a numpy array of numbers"
    with reading(path, kind), path.open("rb") as stream:
        shape, number = _header(stream)
        _require_numbers(path, shape, number)
        stream.seek(0)
        return Found(np.load(stream, allow_pickle=False))


def read_npz(path: Path, wanted: str | None) -> Found:
    """Return one array of a ``.npz`` file."""
    with reading(path, "a numpy archive (.npz)"), zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        chosen = choose_array(path, list(members), wanted)
        with archive.open(members[chosen]) as stream:
            shape, number = _header(stream)
        _require_numbers(path, shape, number)
        with archive.open(members[chosen]) as stream:
            return Found(np.lib.format.read_array(stream, allow_pickle=False))


def _header(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array as its header says."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, number = read(stream)
    return shape, number


def _require_numbers(path: Path, shape: tuple[int, ...], number: np.dtype[Any]) -> None:
    if number.hasobject or number.names:
        raise refusal(path, "a numpy array of numbers", f"This one holds {number}.")
    if shape:
        require_room(path, shape, number.itemsize)


def read_hdf5(path: Path, wanted: str | None) -> Found:
    """Return one dataset of an HDF5 file; ``element_size_um`` (ImageJ, ilastik) is the size of a voxel."""
    h5py: Any = library(path, "h5py", "h5py")
    with reading(path, "an HDF5 file"), h5py.File(path, "r") as file:
        datasets: dict[str, Any] = {}

        def visit(name: str, entry: Any) -> None:
            if isinstance(entry, h5py.Dataset) and entry.dtype.kind in "biuf" and len(entry.shape) >= 1:
                datasets[name] = entry

        file.visititems(visit)
        name = choose_array(path, list(datasets), None if wanted is None else wanted.strip("/"))
        data = datasets[name]
        if data.is_virtual or data.external:
            raise refusal(path, "an HDF5 file that holds its numbers", f"Those of {name!r} are in other files.")
        require_room(path, data.shape, data.dtype.itemsize)
        array: npt.NDArray[Any] = data[()]
        sizes = data.attrs.get("element_size_um")
        voxel = None if sizes is None else tuple(float(h) for h in np.atleast_1d(sizes))
        return Found(array, voxel, "um" if voxel else "")
