"""Images from files: numpy arrays, TIFF stacks, PNG, NRRD and VTK images.

How the axes of a file become x, y and z:

=========  =============================================================================================
``.npy``   axes in their order: ``array[i, j, k]`` is x, y, z.
PNG        columns are x; rows are y, the top row at the largest y, as one sees it.
TIFF       as PNG for each page; pages are z, the first page at z = 0. One page is an image of two axes.
NRRD       axes in their order, the fastest first: x, y, z.
VTK        x, y, z as in the file (``.vti``, or ``.vtk`` with structured points); cell data before point data. One layer
           is an image of two axes.
=========  =============================================================================================

NRRD and VTK files tell the size of a voxel, which is used unless one is given.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.grid.image import Image, check_array
from homfem.parameters import FileError, InputError

Found = tuple[npt.NDArray[Any], tuple[float, ...] | None]


def read_image(
    path: str | Path,
    *,
    labels: Mapping[str, int | float | Sequence[int | float]] | None = None,
    thresholds: float | Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    voxel: float | Sequence[float] | None = None,
    length_unit: str = "",
    dimension: int | None = None,
) -> Image:
    """Return the image in a file.

    Parameters
    ----------
    path
        A file that ends in .npy, .png, .tif, .tiff, .nrrd, .nhdr, .vti or .vtk.
    labels
        Name and label(s) of each phase, for an image of labels; see :meth:`Image.from_labels`.
    thresholds, names
        Instead of labels, for grey levels; see :meth:`Image.from_grey`.
    voxel
        Edges of a voxel along x, y (and z), or one number. By default those in the file, or 1.
    length_unit
        Unit of length of ``voxel``, or of the file.
    dimension
        2 or 3 if the image must have that many axes.

    Raises
    ------
    FileError
        For a missing file, or one that is not an image of its kind.
    InputError
        For an image that cannot be used; see :class:`Image`.
    """
    if (labels is None) == (thresholds is None):
        raise InputError("labels", labels, "given, or thresholds and names instead")
    if thresholds is not None and names is None:
        raise InputError("names", names, "given with thresholds: one name more than thresholds")
    array, own = read_array(path)
    check_array(str(path), array, dimension)
    sizes: Any = voxel if voxel is not None else own if own is not None else 1.0
    options: dict[str, Any] = {"voxel": sizes, "length_unit": length_unit, "dimension": dimension}
    if labels is not None:
        return Image.from_labels(array, labels, **options)
    return Image.from_grey(array, thresholds, names, **options)  # type: ignore[arg-type]


def read_array(path: str | Path) -> Found:
    """Return the numbers in an image file with the axes x, y (and z), and the edges of a voxel if the file tells."""
    source = Path(path)
    reader = _READERS.get(source.suffix.lower())
    if reader is None:
        raise FileError("file", str(path), f"an image that ends in one of {', '.join(_READERS)}")
    if not source.is_file():
        raise FileError("file", str(path), "an image file that exists", "Check the path.")
    return reader(source)


def _numpy(path: Path) -> Found:
    try:
        return np.load(path, allow_pickle=False), None
    except (ValueError, OSError, EOFError) as error:
        raise _no_image(path, "a numpy array of numbers", error) from error


def _png(path: Path) -> Found:
    from PIL import Image as Picture
    from PIL import UnidentifiedImageError

    try:
        with Picture.open(path) as picture:
            picture.load()
            if picture.mode in ("P", "PA", "LA", "RGB", "RGBA"):
                array = _grey(path, np.asarray(picture.convert("RGBA")))
            else:
                array = np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise _no_image(path, "a PNG image", error) from error
    return _upright(array), None


def _grey(path: Path, colours: npt.NDArray[Any]) -> npt.NDArray[Any]:
    red, green, blue = colours[..., 0], colours[..., 1], colours[..., 2]
    if not (np.array_equal(red, green) and np.array_equal(red, blue)):
        raise FileError("file", str(path), "an image of grey levels or labels", "This one is coloured.")
    if colours.shape[-1] == 4 and colours[..., 3].min() < 255:
        raise FileError("file", str(path), "an image without transparent pixels")
    return red


def _tiff(path: Path) -> Found:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            array, axes = series.asarray(), series.axes
    except (tifffile.TiffFileError, OSError, ValueError, IndexError) as error:
        raise _no_image(path, "a TIFF image or stack", error) from error
    if "S" in axes:
        array = np.moveaxis(array, axes.index("S"), -1)
        array = _grey(path, array) if array.shape[-1] in (3, 4) else array
    array = array.reshape([n for n in array.shape if n > 1] if array.ndim > 3 else array.shape)
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    return _upright(array), None


def _nrrd(path: Path) -> Found:
    nrrd = _library(path, "nrrd", "pynrrd")
    try:
        array, header = nrrd.read(str(path))
    except (nrrd.NRRDError, OSError, ValueError, KeyError, EOFError, StopIteration) as error:
        raise _no_image(path, "an NRRD image", error) from error
    if "spacings" in header:
        sizes = np.asarray(header["spacings"], dtype=np.float64)
    elif "space directions" in header:
        directions = np.asarray(header["space directions"], dtype=np.float64)
        sizes = np.linalg.norm(directions, axis=1)
        box = np.count_nonzero(np.abs(directions) > 1e-9 * sizes.max(), axis=1)
        if (box > 1).any():
            raise FileError("file", str(path), "an NRRD image on a rectangular grid along its axes")
    else:
        return array, None
    usable = len(sizes) == array.ndim and np.isfinite(sizes).all() and (sizes > 0.0).all()
    return array, tuple(float(h) for h in sizes) if usable else None


def _vtk(path: Path) -> Found:
    if path.suffix.lower() == ".vti" and b"<VTKFile" not in path.read_bytes()[:1000]:
        raise FileError("file", str(path), "a VTK image", "It has no VTK header.")
    if path.suffix.lower() == ".vtk" and not path.read_bytes()[:40].startswith(b"# vtk DataFile"):
        raise FileError("file", str(path), "a VTK image", "It has no VTK header.")
    pyvista = _library(path, "pyvista", "pyvista")
    data = pyvista.read(path)
    if not isinstance(data, pyvista.ImageData):
        raise FileError("file", str(path), "a VTK image", f"This is a {type(data).__name__}.")
    fields, shape = (data.cell_data, [max(n - 1, 1) for n in data.dimensions]), data.dimensions
    values, shape = (data.cell_data, fields[1]) if len(data.cell_data) else (data.point_data, list(shape))
    if len(values) != 1:
        found = f"It has {', '.join(values.keys()) or 'none'}."
        raise FileError("file", str(path), "a VTK image with one array of numbers", found)
    array = np.asarray(values[next(iter(values.keys()))])
    if array.ndim != 1 or array.size != np.prod(shape):
        raise FileError("file", str(path), "a VTK image with one number in each voxel")
    array = array.reshape(shape, order="F")
    sizes = tuple(float(h) for h in data.spacing)
    if array.shape[2] == 1:
        return array[:, :, 0], sizes[:2]
    return array, sizes


def _library(path: Path, module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise FileError("file", str(path), f"readable with {package}", f"Install it: pip install {package}") from error


def _upright(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows from the top down and columns to x, y; pages to z."""
    if array.ndim == 2:
        return array[::-1].T
    return array[:, ::-1].transpose(2, 1, 0) if array.ndim == 3 else array


def _no_image(path: Path, kind: str, error: Exception) -> FileError:
    return FileError("file", str(path), kind, f"It cannot be read: {str(error)[:120]}")


_READERS: dict[str, Callable[[Path], Found]] = {
    ".npy": _numpy,
    ".png": _png,
    ".tif": _tiff,
    ".tiff": _tiff,
    ".nrrd": _nrrd,
    ".nhdr": _nrrd,
    ".vti": _vtk,
    ".vtk": _vtk,
}
