"""What a matrix of Onsager has to be: symmetric, positive definite, zero where the fluid does not percolate."""

from __future__ import annotations

import numpy as np

from homfem import brackets
from homfem.cells.unitcell import UnitCell
from homfem.parameters import Array, ConvergenceError

#: An entry and its twin differ by no more, relative to the diagonal.
SYMMETRIC = 1e-10


def confined(fluid: UnitCell, matrix: Array) -> Array:
    """Return a matrix of d x d blocks, exactly zero in the directions in which the fluid does not percolate."""
    span = fluid.whole.span(fluid.lattice)
    d = span.shape[1]
    if len(span) == d:
        return matrix
    blocks = len(matrix) // d
    project = np.kron(np.eye(blocks), span.T @ span)
    matrix = project @ matrix @ project
    closed = np.tile(np.linalg.norm(span, axis=0) < 1e-12, blocks)
    matrix[closed], matrix[:, closed] = 0.0, 0.0
    return np.asarray(matrix)


def symmetric(matrix: Array) -> Array:
    """Return a matrix made symmetric to the last digit; raise :class:`ConvergenceError` if it is not nearly so."""
    size = np.sqrt(np.abs(np.diag(matrix)))
    different = np.abs(matrix - matrix.T) > SYMMETRIC * np.outer(size, size)
    if different.any():
        worst = np.abs(matrix - matrix.T)[different].max()
        raise ConvergenceError(f"the matrix of Onsager is not symmetric: entries differ by {worst:.1e}")
    return brackets.symmetric(matrix)


def require_definite(matrix: Array, span: Array, factors: Array) -> None:
    """Refuse a matrix that is not positive definite where the fluid percolates; ``factors`` are its units."""
    size = np.sqrt(np.diag(factors))
    least = float(np.linalg.eigvalsh(span @ (matrix / np.outer(size, size)) @ span.T)[0])
    if not least > 0.0:
        raise ConvergenceError(
            f"the matrix of Onsager is not positive definite: its smallest eigenvalue is {least:.1e} in reduced "
            "numbers. Resolve the double layers: a finer mesh, or one that is graded at the walls."
        )
