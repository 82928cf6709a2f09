"""What the readers of image files share: what they find, what they refuse, and how much they may read."""

from __future__ import annotations

import importlib
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from homfem.limits import require_memory
from homfem.parameters import Array, FileError, HomfemError, InputError, nearest_name

#: What a reader takes for each voxel beside the numbers themselves: sorting labels, phases.
BYTES_PER_VOXEL = 34
#: A library that reads what is no file of its kind fails in one of these ways.
READER_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


class Found(NamedTuple):
    """What an image file holds.

    Parameters
    ----------
    array
        Numbers with the axes x, y (and z); further axes are the components of a field.
    voxel
        Edges of a voxel as the file states them, nan where it does not; None if it states none.
    unit
        Unit of the edges; empty if the file states none.
    warnings
        What its user must know.
    palette
        The numbers are indices into a palette of colours: labels, not grey levels.
    components
        Which component of a symmetric matrix each entry of the last axis is, where the format states it.
    """

    array: npt.NDArray[Any]
    voxel: tuple[float, ...] | None = None
    unit: str = ""
    warnings: tuple[str, ...] = ()
    palette: bool = False
    components: tuple[str, ...] = ()


@contextmanager
def reading(path: Path, kind: str, *own: type[Exception]) -> Iterator[None]:
    """Turn what a library raises, its own errors among it, into a refusal of the file."""
    errors = READER_ERRORS + own
    try:
        yield
    except HomfemError:
        raise
    except errors as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise refusal(path, kind, f"It cannot be read: {reason.rstrip('.')}.") from error


def refusal(path: Path, allowed: str, remedy: str = "") -> FileError:
    """Return the error that refuses a file."""
    return FileError("file", str(path), allowed, remedy)


def require_room(path: Path, shape: Sequence[int], itemsize: int) -> None:
    """Refuse an image before it is read, by the size in its header."""
    if len(shape) == 0 or min(shape) < 1:
        raise refusal(path, "an image with at least one voxel along every axis", f"Its header says {tuple(shape)}.")
    what = f"an image of {' x '.join(map(str, shape))} numbers"
    require_memory("file", str(path), float(math.prod(shape)) * (itemsize + BYTES_PER_VOXEL), what)


def library(path: Path, module: str, package: str) -> Any:
    """Return a module that reads such files, or refuse the file with the package's name."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise refusal(path, f"readable with {package}", f"Install it: pip install {package}") from error


def choose_array(path: Path, found: Sequence[str], wanted: str | None) -> str:
    """Return the name of the array to read: the one that is asked for, or the only one."""
    names = list(found)
    listed = ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
    if not names:
        raise refusal(path, "a file with one array of numbers", "It has none.")
    if wanted is None:
        if len(names) > 1:
            remedy = f"It has {listed}: name one by the key array."
            raise refusal(path, "a file with one array of numbers, or with the key array", remedy)
        return names[0]
    if wanted not in names:
        raise InputError("array", wanted, f"one of the arrays of {path.name}: {listed}", nearest_name(wanted, names))
    return wanted


def refuse_array(path: Path, wanted: str | None) -> None:
    """Refuse the name of an array where a file has one without a name."""
    if wanted is not None:
        raise InputError("array", wanted, f"absent for {path.name}", "It has one array, without a name.")


def upright(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows from the top down and columns to x, y; pages to z."""
    if array.ndim == 2:
        return array[::-1].T
    return array[:, ::-1].transpose(2, 1, 0) if array.ndim == 3 else array


def along_axes(
    path: Path, array: npt.NDArray[Any], directions: Array, *, flip: bool = True
) -> tuple[npt.NDArray[Any], tuple[float, ...]]:
    """Return the voxels with the axes of space, and the edges of a voxel.

    Parameters
    ----------
    directions : array, shape (d, d)
        Row a is the step from a voxel to the next along axis a of the array, in space.
    flip
        Whether an axis that runs backwards in space is turned round.

    Raises
    ------
    FileError
        If the steps are not along the axes of space.
    """
    d = len(directions)
    sizes = np.linalg.norm(directions, axis=1)
    if directions.shape != (d, d) or not np.isfinite(directions).all() or sizes.min() <= 0.0:
        raise refusal(path, "an image whose header states steps from voxel to voxel", f"It says {directions.tolist()}.")
    along = np.abs(directions) > 1e-6 * sizes[:, None]
    if (along.sum(axis=1) != 1).any() or (along.sum(axis=0) != 1).any():
        remedy = "Its axes are turned against those of space: resample it, or save it without directions."
        raise refusal(path, "an image on a rectangular grid along its axes", remedy)
    order = [int(np.flatnonzero(along[:, axis])[0]) for axis in range(d)]
    turned = np.transpose(array, [*order, *range(d, array.ndim)])
    for axis, own in enumerate(order):
        if flip and directions[own, axis] < 0.0:
            turned = np.flip(turned, axis)
    return turned, tuple(float(sizes[own]) for own in order)
