r"""Flux lines of block media: level lines of the stream function on a grid whose lines lie on the sides of the blocks.

On such a grid a line that crosses a side turns on it, as the flux does: :math:`D_1\tan\theta_2=D_2\tan\theta_1`.
"""

from __future__ import annotations

import numpy as np

from homfem.blocks.fields import BlockFields
from homfem.blocks.galerkin import solve_galerkin
from homfem.blocks.medium import BlockMedium
from homfem.blocks.rectangles import Integers
from homfem.parameters import Array

#: Steps of a picture's grid along the longer side.
POINTS = 200
#: How far beside a side of two blocks its flux is taken, as a fraction of a step: the series converges slowly on it.
BESIDE = 1e-3


def picture_fields(medium: BlockMedium) -> BlockFields:
    """Return the solution of :mod:`homfem.blocks.galerkin` with as many modes as a picture can show."""
    modes = int(np.clip(POINTS / max(medium.shape), 8, 100))
    return solve_galerkin(medium, degree=4).fields(modes)


def stream_functions(
    medium: BlockMedium, fields: BlockFields, points: int = POINTS
) -> tuple[Array, tuple[Array, Array]]:
    r"""Stream function :math:`\Psi` (:math:`J_x=\partial_y\Psi,\ J_y=-\partial_x\Psi`) of both loads on a grid.

    Least squares over the edges of the grid, along each of which :math:`\Psi` rises by the flux through it,

    .. math:: \min_\Psi \sum_e \frac{\ell_e^*}{\ell_e}\,\Bigl(\Psi_{e_2}-\Psi_{e_1}-\int_eJ_n\Bigr)^2 ,

    :math:`\ell_e^*` being the length of the dual edge. The flux near singular corners, where a grid cannot integrate
    it, then spoils the lines there alone.

    Returns
    -------
    streams : array, shape (2 loads, rows + 1, columns + 1)
    nodes : tuple
        x and y of the grid lines, one period.
    """
    (x, sides_x), (y, sides_y) = (
        _lines(np.asarray(part), points / max(medium.lengths)) for part in (medium.widths, medium.heights)
    )
    rises = _rises(fields, (x, sides_x), (y, sides_y))
    return np.stack([_least_squares(x, y, rises[0][load], rises[1][load]) for load in (0, 1)]), (x, y)


def _lines(widths: Array, density: float) -> tuple[Array, Integers]:
    """Grid lines on the sides of the blocks, and evenly between them, at least two in each; which lie on sides."""
    ends = np.concatenate([[0.0], np.cumsum(widths)])
    counts = np.maximum(2, np.rint(widths * density)).astype(int)
    parts = [np.linspace(ends[k], ends[k + 1], counts[k], endpoint=False) for k in range(len(widths))]
    return np.concatenate([*parts, ends[-1:]]), np.concatenate([[0], np.cumsum(counts)])


def _rises(fields: BlockFields, of_x: tuple[Array, Integers], of_y: tuple[Array, Integers]) -> tuple[Array, Array]:
    """The rise of the stream functions along the vertical edges, (2, rows, columns + 1), and the horizontal ones."""
    (x, sides_x), (y, sides_y) = of_x, of_y
    middle_x, middle_y = 0.5 * (x[1:] + x[:-1]), 0.5 * (y[1:] + y[:-1])

    def sample(along_x: Array, along_y: Array, component: int) -> Array:
        grid = np.meshgrid(along_x, along_y)
        values = fields.flux(np.column_stack([part.ravel() for part in grid]))[:, component]
        return np.asarray(values.T.reshape(2, *grid[0].shape))

    # The flux through a side is the same on both of its faces, but for the error of the series: the mean is taken.
    step_x, step_y = (BESIDE * float(np.diff(lines).min()) for lines in (x, y))
    through_x, through_y = sample(x + step_x, middle_y, 0), sample(middle_x, y + step_y, 1)
    through_x[:, :, sides_x] = 0.5 * (through_x[:, :, sides_x] + sample(x[sides_x] - step_x, middle_y, 0))
    through_y[:, sides_y] = 0.5 * (through_y[:, sides_y] + sample(middle_x, y[sides_y] - step_y, 1))
    return through_x * np.diff(y)[None, :, None], -through_y * np.diff(x)[None, None, :]


def _least_squares(x: Array, y: Array, vertical: Array, horizontal: Array) -> Array:
    """The stream function (rows + 1, columns + 1) whose rises along the edges are nearest to these."""
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import splu

    number = np.arange(len(y) * len(x)).reshape(len(y), len(x))
    dual_x, dual_y = (_dual(part) for part in (x, y))
    edges = np.vstack(
        [
            np.column_stack([number[:-1].ravel(), number[1:].ravel()]),
            np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()]),
        ]
    )
    weight = np.concatenate(
        [
            (dual_x[None, :] / np.diff(y)[:, None]).ravel(),
            (dual_y[:, None] / np.diff(x)[None, :]).ravel(),
        ]
    )
    rise = np.concatenate([vertical.ravel(), horizontal.ravel()])
    row = np.arange(len(edges))
    sign = np.ones(len(edges))
    shape = (len(edges), number.size)
    step = coo_matrix(
        (np.concatenate([-sign, sign]), (np.tile(row, 2), np.concatenate([edges[:, 0], edges[:, 1]]))), shape=shape
    ).tocsr()
    normal = (step.T @ diags(weight) @ step).tocsc()
    right = step.T @ (weight * rise)
    values = np.zeros(number.size)
    values[1:] = splu(normal[1:, 1:]).solve(right[1:])
    return np.asarray(values.reshape(number.shape))


def _dual(lines: Array) -> Array:
    """The length about each grid line that is nearer to it than to another."""
    steps = np.diff(lines)
    return np.asarray(0.5 * (np.concatenate([[0.0], steps]) + np.concatenate([steps, [0.0]])))
