r"""Multigrid for operators of six neighbours on the voxels of an image: the preconditioner of flow and dispersion.

Blocks of two voxels along each axis are the voxels of the next grid, but for axes along which neighbours are joined by
less than a third of what joins them along another: these wait, so that long voxels become square ones first. What faces
let through is the sum over the faces of a block, halved along an axis on which the middles of blocks are twice as far
apart; what flows through them is the sum as it is, so that a flow without divergence has none on any grid. Where it is
so fast that the rows would have entries of both signs it is taken upwind: this is a preconditioner, and the equations
stay as they are. The corrections are constant in a block, the smoother is that of Gauss and Seidel: voxels in two
colours, or with a flow in their order and the reverse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homfem.grid.iteration import Single
from homfem.parameters import Array

#: Voxels of the last grid, which is solved at once.
LAST = 256
#: Part of the strongest axis from which on an axis is taken in blocks with it.
STRONG = 0.3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Level:
    """One grid: what faces let through, what flows through them, the diagonal and its inverse, voxels to a block."""

    through: Single
    flow: Single | None
    diagonal: Single
    inverse: Single
    steps: tuple[int, ...]


class Multigrid:
    """A V-cycle for an operator of six neighbours, in single precision: it only chooses directions.

    Parameters
    ----------
    through : array, shape (3, n0, n1, n2)
        :math:`T_a`, of the lower face of each voxel.
    shift : array, shape (3, n0, n1, n2), or None
        What the diagonal has beside the sum of what the faces let through: by walls across each axis.
    flow : array, shape (3, n0, n1, n2), or None
        :math:`F_a`, without divergence.
    """

    def __init__(self, through: Array, shift: Array | None = None, flow: Array | None = None) -> None:
        self.levels: list[Level] = []
        T, s, F = through, shift, flow
        while True:
            upwind = T if F is None else np.maximum(T, 0.5 * np.abs(F))
            diagonal = diagonal_of(upwind) + (0.0 if s is None else s.sum(axis=0))
            shape = diagonal.shape
            if 1 in shape:  # a voxel is no neighbour of its own
                upwind = upwind * (np.array(shape) > 1)[:, None, None, None]
            steps = _steps(T, shape)
            with np.errstate(divide="ignore"):
                inverse = np.where(diagonal > 0.0, 1.0 / diagonal, 0.0)
            self.levels.append(
                Level(
                    through=upwind.astype(np.float32),
                    flow=None if F is None else F.astype(np.float32),
                    diagonal=diagonal.astype(np.float32),
                    inverse=inverse.astype(np.float32),
                    steps=steps,
                )
            )
            if diagonal.size <= LAST or max(steps) == 1:
                self._last = _pseudo_inverse(upwind, F, diagonal).astype(np.float32)
                return
            T = np.stack([_faces(T[a], a, steps) / steps[a] for a in range(3)])
            F = None if F is None else np.stack([_faces(F[a], a, steps) for a in range(3)])
            s = None if s is None else np.stack([_blocks(s[a], steps) / steps[a] for a in range(3)])

    def __call__(self, b: Array) -> Array:
        """Return an approximate solution for a right-hand side of the shape of the grid."""
        return self._cycle(0, np.ascontiguousarray(b, dtype=np.float32)).astype(np.float64)

    def _cycle(self, number: int, b: Single) -> Single:
        from homfem.grid import seven_points as kernels

        level = self.levels[number]
        if number == len(self.levels) - 1:
            return np.asarray(self._last @ b.ravel()).reshape(b.shape)
        x = np.zeros_like(b)
        self._smooth(level, b, x, forth=True)
        coarse = np.empty(self.levels[number + 1].diagonal.shape, dtype=np.float32)
        kernels.restricted_residual(level.through, level.flow, level.diagonal, b, x, level.steps, coarse)
        kernels.add_blocks(self._cycle(number + 1, coarse), level.steps, level.diagonal, x)
        self._smooth(level, b, x, forth=False)
        return x

    def _smooth(self, level: Level, b: Single, x: Single, *, forth: bool) -> None:
        from homfem.grid import seven_points as kernels

        given = level.through, level.flow, level.inverse, b, x
        if level.flow is not None:
            kernels.sweep_line(*given, True)
            kernels.sweep_line(*given, False)
            return
        odd = any(n > 1 and n % 2 for n in b.shape)
        if odd and not forth:
            kernels.sweep_rest(*given, False)
        for colour in (0, 1) if forth else (1, 0):
            kernels.sweep_colour(*given, colour)
        if odd and forth:
            kernels.sweep_rest(*given, True)


def diagonal_of(through: Array) -> Array:
    """Return the sum of what the faces of each voxel let through; an axis of one voxel has none."""
    total = np.zeros(through.shape[1:])
    for a in range(3):
        if through.shape[1 + a] > 1:
            total += through[a] + np.roll(through[a], -1, axis=a)
    return total


def _steps(through: Array, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Voxels of a block along each axis: 2 where neighbours are joined strongly."""
    joined = [
        float(through[a].sum()) / max(np.count_nonzero(through[a]), 1) if n > 1 else 0.0 for a, n in enumerate(shape)
    ]
    return tuple(2 if n > 1 and one >= STRONG * max(joined) else 1 for n, one in zip(shape, joined, strict=True))


def _blocks(array: Array, steps: tuple[int, ...]) -> Array:
    """The sums over blocks; the last ones may be smaller."""
    for axis, step in enumerate(steps):
        array = np.add.reduceat(array, np.arange(0, array.shape[axis], step), axis=axis)
    return array


def _faces(array: Array, axis: int, steps: tuple[int, ...]) -> Array:
    """The sums over the lower faces of blocks along an axis."""
    first = np.arange(0, array.shape[axis], steps[axis])
    across = tuple(1 if a == axis else step for a, step in enumerate(steps))
    return _blocks(np.take(array, first, axis=axis), across)


def _pseudo_inverse(through: Array, flow: Array | None, diagonal: Array) -> Array:
    from homfem.grid import seven_points as kernels

    size = diagonal.size
    matrix, column = np.empty((size, size)), np.empty(diagonal.shape)
    for k in range(size):
        unit = np.zeros(size)
        unit[k] = 1.0
        kernels.product(through, flow, diagonal, unit.reshape(diagonal.shape), column)
        matrix[:, k] = column.ravel()
    return np.asarray(np.linalg.pinv(matrix, rcond=1e-10), dtype=np.float64)
