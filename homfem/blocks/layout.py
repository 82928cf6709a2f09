"""Layouts: block media drawn with letters, one letter per block, one letter per phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, CellError

Labels = npt.NDArray[np.int64]


def read_layout(layout: Any) -> tuple[Labels, tuple[str, ...]]:
    """Return the number of the letter of each block, and the letters in alphabetical order.

    Parameters
    ----------
    layout
        In two dimensions strings of one length, the first being the top row (largest y), such as ``["LDD", "LLD"]``; in
        three dimensions a list of such lists, the first being the top layer (largest z).

    Returns
    -------
    labels : array of int, shape (columns, rows) or (columns, rows, layers)
        Block (i, j, k) is the i-th along x, the j-th along y, the k-th along z, from the origin.
    letters : tuple of str

    Raises
    ------
    CellError
        For anything but strings of one length (lists of them of one length), each with at least one letter.
    """
    deep = isinstance(layout, Sequence) and bool(layout) and all(_is_list(layer) for layer in layout)
    layers: list[Any] = list(layout) if deep else [layout]
    for layer in layers:
        if not _is_list(layer) or not layer or any(not isinstance(row, str) or not row.strip() for row in layer):
            allowed = "a list of strings, one letter per block; in three dimensions a list of such lists"
            raise CellError("layout", layout, allowed, "The first string is the top row.")
    if len({len(row) for layer in layers for row in layer}) != 1 or len({len(layer) for layer in layers}) != 1:
        raise CellError("layout", layout, "strings of one length", "Every row has the same number of blocks.")
    table = np.array([[list(row) for row in reversed(layer)] for layer in reversed(layers)])  # z, y, x
    letters, numbers = np.unique(table, return_inverse=True)
    labels = np.ascontiguousarray(numbers.reshape(table.shape).transpose(2, 1, 0)).astype(np.int64)
    return (labels if deep else labels[:, :, 0]), tuple(map(str, letters))


def layer_lengths(
    shape: Sequence[int],
    widths: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
    depths: Sequence[float] | None = None,
) -> list[Array]:
    """Return the lengths of the layers along x, y (and z) from the origin, as fractions of the period.

    Parameters
    ----------
    shape
        Numbers of blocks along x, y (and z).
    widths, heights, depths
        Fractions that sum to 1, in the order of the layout: from left to right, from the top row down, from the top
        layer down. By default all are equal.

    Raises
    ------
    CellError
        For a wrong number of lengths, one that is not positive, or a sum other than 1.
    """
    given = {"widths": widths, "heights": heights, "depths": depths}
    result: list[Array] = []
    for axis, (name, value) in enumerate(given.items()):
        if axis >= len(shape):
            if value is not None:
                raise CellError(name, value, "absent for a layout of two dimensions")
            continue
        part = check_lengths(name, value, shape[axis], ("column", "row", "layer")[axis])
        total = float(part.sum())
        if abs(total - 1.0) > 1e-9:
            raise CellError(name, value, f"fractions of the period, whose sum is 1, not {total:.12g}")
        result.append(np.asarray((part if axis == 0 else part[::-1]) / total, dtype=np.float64))
    return result


def check_lengths(name: str, value: Any, number: int, what: str) -> Array:
    """Return ``number`` positive lengths, 1/number each by default, or raise :class:`CellError`."""
    if value is None:
        return np.full(number, 1.0 / number)
    array = rectangular(value, name)
    if array.shape != (number,) or not np.all(np.isfinite(array)) or np.any(array <= 0.0):
        raise CellError(name, value, f"{number} finite numbers > 0", f"There is one for each {what} of blocks.")
    return array


def rectangular(value: Any, name: str = "diffusivity") -> Array:
    """Return an array of numbers, or raise :class:`CellError`."""
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CellError(name, value, "a rectangular array of numbers", "All rows have the same length.") from error


def label_fractions(labels: Labels, letters: Sequence[str], lengths: Sequence[Array]) -> dict[str, float]:
    """Return the fraction of area or volume of each letter; ``lengths`` holds the lengths of the layers per axis."""
    share: Any = 1.0
    for part in lengths:
        share = np.multiply.outer(share, np.asarray(part) / np.sum(part))
    sums = np.bincount(labels.ravel(), weights=share.ravel(), minlength=len(letters))
    return {letter: float(total) for letter, total in zip(letters, sums, strict=True)}


def label_interface(labels: Labels, lengths: Sequence[Array]) -> float:
    """Return the length (area) of the sides between blocks of different letters, per area (volume) of the cell."""
    total = 0.0
    for axis, part in enumerate(lengths):
        changes = (labels != np.roll(labels, 1, axis=axis)).astype(float)
        for other, across in enumerate(lengths):
            if other != axis:
                shape = [-1 if a == other else 1 for a in range(labels.ndim)]
                changes = changes * (np.asarray(across) / np.sum(across)).reshape(shape)
        total += float(changes.sum() / np.sum(part))
    return total


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
