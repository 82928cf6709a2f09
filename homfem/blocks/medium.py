"""Block media: a periodic rectangle cut into an m x n array of rectangular blocks, each with a constant diffusivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from homfem.blocks.layout import check_lengths, read_layout, rectangular
from homfem.parameters import Array, CellError, InputError

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BlockMedium:
    r"""A periodic cell :math:`[0,L]\times[0,H]` of m rows and n columns of rectangular blocks.

    Parameters
    ----------
    diffusivity : array, shape (m, n) or (m, n, 2)
        Row ``i`` counts upwards (row 0 has the smallest y), column ``j`` to the right. Finite and >= 0; a block with
        zero insulates. The second shape gives ``(D_x, D_y)`` of blocks whose principal axes are x and y: both
        positive, or both zero. Any unit (length^2 / time).
    widths : array, shape (n,), optional
        Widths of the columns, > 0, any unit of length. Default: 1/n each.
    heights : array, shape (m,), optional
        Heights of the rows, > 0, same unit. Default: 1/m each.

    Raises
    ------
    CellError
        Ragged array, negative or non-finite diffusivity, all blocks zero, widths or heights that do not fit.

    Examples
    --------
    >>> BlockMedium(diffusivity=[[0.1, 1.0], [1.0, 0.1]]).area
    1.0
    """

    diffusivity: Array
    widths: Array = None  # type: ignore[assignment]  # filled in below
    heights: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        given = rectangular(self.diffusivity)
        if given.ndim not in (2, 3) or given.size == 0 or (given.ndim == 3 and given.shape[2] != 2):
            raise CellError("diffusivity", self.diffusivity, "an array of shape (m, n) or (m, n, 2), m, n >= 1")
        check_diffusivity(given, anisotropic=given.ndim == 3)
        _freeze(self, "diffusivity", given)
        for name, number, what in (("widths", given.shape[1], "column"), ("heights", given.shape[0], "row")):
            _freeze(self, name, check_lengths(name, getattr(self, name), number, what))

    @classmethod
    def from_layout(
        cls,
        layout: Sequence[str],
        phases: Mapping[str, float | Sequence[float]],
        *,
        widths: npt.ArrayLike | None = None,
        heights: npt.ArrayLike | None = None,
    ) -> BlockMedium:
        """Return the medium drawn by strings, one letter per block, the first string being the top row (largest y).

        Parameters
        ----------
        layout
            Strings of one length, such as ``["LDD", "LLD"]``.
        phases
            Diffusivity of each letter: a number, or ``(D_x, D_y)``. A letter that is not named is zero (insulates).
        widths, heights
            As in the class, but ``heights`` has the order of the strings: the first is the height of the top row.
        """
        labels, letters = read_layout(layout)
        if labels.ndim != 2:
            raise CellError("layout", layout, "a list of strings, one letter per block", "A medium has two dimensions.")
        unknown = sorted(set(phases) - set(letters))
        if unknown:
            raise InputError("phases", unknown, f"letters of the layout ({''.join(letters)})")
        table = np.array([np.broadcast_to(np.asarray(phases.get(x, 0.0), dtype=float), 2) for x in letters])
        values = table[labels.T]
        if heights is not None:
            heights = check_lengths("heights", heights, len(values), "row")[::-1].copy()
        isotropic = bool(np.array_equal(values[..., 0], values[..., 1], equal_nan=True))
        return cls(diffusivity=values[..., 0] if isotropic else values, widths=widths, heights=heights)  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns, (m, n)."""
        return int(self.diffusivity.shape[0]), int(self.diffusivity.shape[1])

    @property
    def axial(self) -> Array:
        """Diffusivities along x and y of each block, shape (m, n, 2)."""
        given = self.diffusivity
        return given if given.ndim == 3 else np.repeat(given[..., None], 2, axis=2)

    @property
    def conducting(self) -> npt.NDArray[np.bool_]:
        """Which blocks have a positive diffusivity, shape (m, n)."""
        return np.asarray(self.axial[..., 0] > 0.0)

    @property
    def lengths(self) -> tuple[float, float]:
        """Period along x and along y."""
        return float(np.sum(self.widths)), float(np.sum(self.heights))

    @property
    def area(self) -> float:
        """Area of the cell."""
        return self.lengths[0] * self.lengths[1]

    @property
    def block_areas(self) -> Array:
        """Area of each block, shape (m, n)."""
        return np.asarray(np.outer(self.heights, self.widths), dtype=np.float64)

    def transposed(self) -> BlockMedium:
        """Return the medium mirrored in the line x = y."""
        values = np.swapaxes(self.diffusivity, 0, 1)
        if values.ndim == 3:
            values = values[..., ::-1]
        return BlockMedium(diffusivity=values, widths=self.heights, heights=self.widths)

    def shifted(self, rows: int, columns: int) -> BlockMedium:
        """Return the medium moved cyclically up by ``rows`` and to the right by ``columns`` blocks."""
        return BlockMedium(
            diffusivity=np.roll(self.diffusivity, (rows, columns), axis=(0, 1)),
            widths=np.roll(self.widths, columns),
            heights=np.roll(self.heights, rows),
        )

    def refined(self, rows: int, columns: int | None = None) -> BlockMedium:
        """Return the same medium with every block cut into ``rows`` x ``columns`` equal blocks."""
        columns = rows if columns is None else columns
        return BlockMedium(
            diffusivity=np.repeat(np.repeat(self.diffusivity, rows, axis=0), columns, axis=1),
            widths=np.repeat(self.widths, columns) / columns,
            heights=np.repeat(self.heights, rows) / rows,
        )

    def collapsed(self) -> BlockMedium:
        """Return the same periodic medium, up to a shift, with neighbouring equal rows and columns joined.

        The effective tensor is unchanged. Rows that are equal across the period (the last and the first) are joined
        as well, after a cyclic shift.
        """
        return _join_rows(_join_rows(self).transposed()).transposed()

    def dual(self) -> BlockMedium:
        r"""Return Keller's dual medium, :math:`D'=R^\mathsf{T}D^{-1}R` with the quarter turn R: (1/D_y, 1/D_x).

        Its effective tensor is :math:`D'^*=R^\mathsf{T}(D^*)^{-1}R`. All blocks must conduct.
        """
        if not self.conducting.all():
            raise CellError("diffusivity", 0.0, "> 0 in every block for the dual medium")
        inverse: Array = np.asarray(1.0 / self.diffusivity, dtype=np.float64)
        values = inverse[..., ::-1] if inverse.ndim == 3 else inverse
        return BlockMedium(diffusivity=values, widths=self.widths, heights=self.heights)

    def components(self) -> tuple[int, Labels]:
        """Return the number of connected components of the conducting blocks and each block's component.

        Blocks are connected through shared edges, across the period too. Blocks of zero diffusivity have label -1.
        """
        rows, columns = self.shape
        number = np.arange(rows * columns).reshape(rows, columns)
        active = self.conducting
        pairs = []
        for axis in (0, 1):
            both = active & np.roll(active, 1, axis=axis)
            pairs.append((number[both], np.roll(number, 1, axis=axis)[both]))
        first, second = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        graph = sp.coo_matrix((np.ones(len(first)), (first, second)), shape=(number.size, number.size))
        label = connected_components(graph, directed=False)[1].reshape(rows, columns)
        names, inverse = np.unique(label[active], return_inverse=True)
        result = np.full((rows, columns), -1, dtype=np.int64)
        result[active] = inverse
        return len(names), result

    def interface_length(self) -> float:
        """Return the total length of the edges between blocks of different diffusivity, per cell."""
        values = self.axial
        vertical = (values != np.roll(values, 1, axis=1)).any(axis=-1) * np.asarray(self.heights)[:, None]
        horizontal = (values != np.roll(values, 1, axis=0)).any(axis=-1) * np.asarray(self.widths)[None, :]
        return float(vertical.sum() + horizontal.sum())

    def volume_fractions(self) -> dict[str, float]:
        """Return the fraction of area of the conducting blocks (``"conducting"``) and of the rest (``"void"``)."""
        share = float(self.block_areas[self.conducting].sum() / self.area)
        return {"conducting": share, "void": 1.0 - share} if not self.conducting.all() else {"conducting": 1.0}


def check_diffusivity(given: Array, *, anisotropic: bool) -> None:
    """Raise :class:`CellError` unless all entries are finite and >= 0, some are positive, and zeros come together."""
    if not np.all(np.isfinite(given)) or np.any(given < 0.0):
        wrong = np.argwhere(~(np.isfinite(given) & (given >= 0.0)))[0]
        name = f"diffusivity[{', '.join(map(str, wrong))}]"
        raise CellError(name, float(given[tuple(wrong)]), "finite and >= 0", "Zero makes a block insulating.")
    if not np.any(given > 0.0):
        raise CellError("diffusivity", 0.0, "positive in at least one block", "All blocks are zero.")
    if anisotropic and np.any((given > 0.0).any(axis=-1) != (given > 0.0).all(axis=-1)):
        raise CellError("diffusivity", given, "positive, or zero, along all axes of a block together")


def _freeze(medium: object, name: str, array: Array) -> None:
    array.setflags(write=False)
    object.__setattr__(medium, name, array)


def _join_rows(medium: BlockMedium) -> BlockMedium:
    values, heights = medium.diffusivity, np.asarray(medium.heights)
    changed = np.array([not np.array_equal(values[i], values[i - 1]) for i in range(len(values))])
    if not changed.any():
        return BlockMedium(diffusivity=values[:1], widths=medium.widths, heights=heights.sum(keepdims=True))
    first = int(np.argmax(changed))
    values, heights, changed = np.roll(values, -first, 0), np.roll(heights, -first), np.roll(changed, -first)
    starts = np.flatnonzero(changed)
    return BlockMedium(diffusivity=values[starts], widths=medium.widths, heights=np.add.reduceat(heights, starts))
