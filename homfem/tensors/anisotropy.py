"""Principal values and symmetry classes of effective tensors, within the width of what is known. No dolfinx here."""

from __future__ import annotations

import numpy as np

from homfem.brackets import symmetric
from homfem.parameters import Array, InputError
from homfem.stiffness import symmetry

#: Relative width of a bracket beyond which values that differ within it are not called equal.
VAGUE = 0.1


def principal(matrix: Array) -> tuple[Array, Array]:
    """Return the eigenvalues of the symmetric part of a matrix, descending, and the unit eigenvectors as rows."""
    values, vectors = np.linalg.eigh(symmetric(matrix))
    return np.asarray(values[::-1]), np.asarray(vectors[:, ::-1].T)


def anisotropy_class(values: Array, equal: float) -> str:
    """Return ``"isotropic"``, ``"transversely isotropic"`` or ``"orthotropic"`` for sorted principal values.

    Two neighbours that differ by no more than ``equal`` count as equal.
    """
    if abs(values[0] - values[-1]) <= equal:
        return "isotropic"
    return "transversely isotropic" if np.any(np.abs(np.diff(values)) <= equal) else "orthotropic"


def class_within(value: Array, voigt: bool, width: float) -> str:
    """Return the symmetry class of a tensor that is known to a relative ``width``, zero where it has no bounds.

    ``"undetermined"`` where the class needs values that are equal, and the width is more than :data:`VAGUE`.

    Parameters
    ----------
    value : array, shape (n, n)
        A second-order tensor, or a stiffness as Voigt matrix.
    voigt
        Which of both it is.
    width
        Differences that are smaller, relative to the largest value, do not count; those below 1e-6 never do.

    Raises
    ------
    InputError
        If a second-order tensor is larger than 3x3.
    """
    tolerance = max(width, 1e-6)
    if voigt:
        found, lowest = str(symmetry(value, tolerance=tolerance)), "general"
    elif len(value) > 3:
        raise InputError("dimension", len(value), "2 or 3 for an anisotropy class")
    else:
        values = principal(value)[0]
        found, lowest = anisotropy_class(values, tolerance * abs(values[0])), "orthotropic"
    return found if width <= VAGUE or found == lowest else "undetermined"
