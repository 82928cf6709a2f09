"""Coefficients with a value for each voxel of an image or each element of a mesh. No dolfinx here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError


def field_of(name: str, value: Any, shape: Sequence[int], tail: tuple[int, ...]) -> Array | None:
    """Return a coefficient that has a value for each voxel or element as an array; None for a single value.

    Parameters
    ----------
    name
        The parameter's name, for messages.
    value
        A number or a matrix of shape ``tail`` (None is returned), or a numpy array of shape ``shape`` or
        ``(*shape, *tail)``; lists are matrices.
    shape
        Numbers of voxels along the axes, or the number of mesh elements.
    tail
        Shape of a matrix.

    Raises
    ------
    InputError
        For an array of another shape, and for one that may be either.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        return None
    array = np.asarray(value, dtype=np.float64)
    whole = tuple(shape)
    if array.shape == tail and tail == whole:
        raise InputError(
            name, value, f"a matrix or a field, not an array of shape {tail} that may be either",
            "Give a matrix as lists, or cut the voxels: image.refined(2).",
        )  # fmt: skip
    if array.ndim == 0 or array.shape == tail:
        return None
    if array.shape not in (whole, whole + tail):
        size = "x".join(map(str, tail))
        allowed = (
            f"a number, a {size} matrix, or one for each voxel or mesh element: of shape {whole} or {whole + tail}"
        )
        raise InputError(name, f"an array of shape {array.shape}", allowed)
    return array


def check_spd_field(
    name: str, field: Array, shape: Sequence[int], inside: npt.NDArray[np.int64], tail: tuple[int, ...]
) -> Array:
    """Return the values of a field at the flat numbers ``inside``, each a number > 0 or a positive definite matrix.

    Returns
    -------
    array, shape (len(inside),) or (len(inside), *tail)

    Raises
    ------
    InputError
        That names the first voxel or element where it is not.
    """
    values = field.reshape((-1, *field.shape[len(tuple(shape)) :]))[inside]
    if values.ndim == 1:
        good = np.isfinite(values) & (values > 0.0)
    else:
        turned = values.swapaxes(1, 2)
        finite = np.asarray(np.isfinite(values).all(axis=(1, 2)))
        size = np.abs(np.where(finite[:, None, None], values, 0.0)).max(axis=(1, 2), initial=0.0)
        good = finite & (np.abs(np.where(finite[:, None, None], values - turned, 0.0)).max(axis=(1, 2)) <= 1e-12 * size)
        values = np.where(good[:, None, None], 0.5 * (values + turned), np.eye(tail[0]))
        good &= np.linalg.eigvalsh(values)[:, 0] > 0.0
    if not good.all():
        first = int(inside[np.argmin(good)])
        place = ", ".join(str(int(k)) for k in np.unravel_index(first, tuple(shape)))
        kind = "a finite number > 0" if values.ndim == 1 else "a symmetric positive definite matrix"
        wrong = field.reshape((-1, *field.shape[len(tuple(shape)) :]))[first]
        raise InputError(f"{name}[{place}]", wrong.tolist(), kind, "Outside the phase any number may stand.")
    return values
