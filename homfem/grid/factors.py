r"""Factors for what diffuses and is carried on a small grid: where iterations do not end, at the largest speeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.linalg

from homfem.parameters import Array, ConvergenceError

#: Voxels up to which factors are taken, in the plane and in space.
LARGEST = {2: 300_000, 3: 30_000}


class Factors:
    """The factors of an operator of six neighbours (:mod:`homfem.grid.seven_points`) whose kernel is the constants.

    One voxel is taken out: rows and columns of the operator have the sum zero, so that its equation is that of the
    others, and the solution is known up to a constant.

    Parameters
    ----------
    inside : array of bool, shape (n0, n1, n2)
        The voxels, connected.
    through, flow : array, shape (3, n0, n1, n2)
        What the lower faces let through, and what flows through them, without divergence.
    """

    def __init__(self, inside: npt.NDArray[np.bool_], through: Array, flow: Array) -> None:
        self._inside = inside
        number = np.full(inside.shape, -1, dtype=np.int64)
        number[inside] = np.arange(np.count_nonzero(inside))
        rows, columns, values = [], [], []
        for axis in range(3):
            below = np.roll(number, 1, axis)
            joined = through[axis] > 0.0
            here, there = number[joined], below[joined]
            T, half = through[axis][joined], 0.5 * flow[axis][joined]
            # Of a face: the upper voxel has -(T + F/2) from the lower one, which has -(T - F/2) from it; both have T.
            rows += [here, there, here, there]
            columns += [there, here, here, there]
            values += [-T - half, half - T, T, T]
        size = int(np.count_nonzero(inside))
        matrix = scipy.sparse.coo_array(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(size, size)
        ).tocsc()
        self._matrix = matrix[1:, 1:].tocsc()
        self._factors = scipy.sparse.linalg.splu(
            self._matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.1, options={"SymmetricMode": True}
        )

    def solution(self, b: Array, *, rtol: float, name: str) -> Array:
        """Return the solution for a right-hand side of the shape of the grid, whose sum is zero.

        Raises
        ------
        ConvergenceError
            If the residual is above ``rtol`` of the right-hand side.
        """
        wanted = b[self._inside][1:]
        found = self._factors.solve(wanted)
        found += self._factors.solve(wanted - self._matrix @ found)
        size = float(np.linalg.norm(wanted))
        left = float(np.linalg.norm(wanted - self._matrix @ found))
        if not left <= rtol * size:
            raise ConvergenceError(f"{name}: factors leave a relative residual of {left / size:.1e}; take a finer grid")
        x = np.zeros(self._inside.shape)
        x[self._inside] = np.concatenate([[0.0], found])
        return x
