"""Voigt and Reuss: the arithmetic and the harmonic mean, bounds of every effective tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from homfem.bounds.phases import Fractions, PerPhase, TensorBounds, conductivities, stiffnesses
from homfem.parameters import Array


def arithmetic_mean(matrices: Sequence[Array], fractions: Array) -> Array:
    """Return the mean of matrices weighted by fractions; shape (n, n)."""
    return np.asarray(np.einsum("p,pij->ij", fractions, np.asarray(matrices)))


def harmonic_mean(matrices: Sequence[Array], fractions: Array) -> Array:
    r"""Return :math:`\bigl(\sum_p f_p A_p^{-1}\bigr)^{-1}` of symmetric positive semidefinite matrices; shape (n, n).

    Where a matrix is singular the limit from positive definite ones is taken: zero on its null space.
    """
    stack = np.asarray(matrices)
    values, vectors = np.linalg.eigh(stack)
    size = np.abs(values).max(axis=1, keepdims=True)
    null = values <= 1e-13 * size
    blocked = np.concatenate([v[:, n] for v, n in zip(vectors, null, strict=True)], axis=1)
    # An orthonormal basis of the fluxes (stresses) that every phase can carry.
    u, s, _ = np.linalg.svd(np.concatenate([blocked, np.zeros((len(blocked), 1))], axis=1))
    free = u[:, int(np.sum(s > 1e-9)) :]
    inverse = np.where(null, 0.0, 1.0 / np.where(null, 1.0, values))
    compliance = np.einsum("p,pik,pk,pjk->ij", fractions, vectors, inverse, vectors)
    return np.asarray(free @ np.linalg.inv(free.T @ compliance @ free) @ free.T)


def voigt_reuss_conductivity(values: PerPhase, fractions: Fractions, *, dimension: int) -> TensorBounds:
    r"""Bound an effective conductivity by the means of its phases, in the Loewner order.

    .. math:: \Bigl(\sum_p f_p D_p^{-1}\Bigr)^{-1} \le D^* \le \sum_p f_p D_p .

    Parameters
    ----------
    values
        One per phase: a number > 0, an SPD (d, d) matrix, or 0 for an insulating phase (the lower bound is then 0).
    fractions
        Volume fractions, which sum to one.
    dimension
        2 or 3.

    Returns
    -------
    TensorBounds, shape (d, d). They hold for every geometry, isotropic or not.

    Raises
    ------
    InputError
        For a coefficient that is not positive, and fractions that do not fit.

    Source
    ------
    Wiener 1912; Milton 2002, The Theory of Composites, section 13.1.
    """
    _, matrices, shares = conductivities(values, fractions, dimension)
    return TensorBounds(lower=harmonic_mean(matrices, shares), upper=arithmetic_mean(matrices, shares))


def voigt_reuss_stiffness(values: PerPhase, fractions: Fractions, *, dimension: int) -> TensorBounds:
    r"""Bound an effective stiffness by the means of its phases.

    .. math:: \langle C^{-1}\rangle^{-1} \le C^* \le \langle C\rangle .

    Parameters
    ----------
    values
        One per phase: 0 for a void, a mapping such as ``{"young": 10.0, "poisson": 0.3}``, a Voigt matrix,
        or ``{"bulk": K, "shear": 0}`` for a fluid.
    fractions, dimension
        Volume fractions; 2 (plane strain) or 3.

    Returns
    -------
    TensorBounds, Voigt matrices. They hold for every geometry, in the Loewner order.

    Source
    ------
    Hill 1952, Proc. Phys. Soc. A 65, 349; 1963, J. Mech. Phys. Solids 11, 357.
    """
    _, matrices, shares = stiffnesses(values, fractions, dimension, fluids=True)
    return TensorBounds(lower=harmonic_mean(matrices, shares), upper=arithmetic_mean(matrices, shares))
