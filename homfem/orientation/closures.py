"""Closures: estimates of the fourth-order orientation tensor from the second-order one.

The second-order tensor does not determine the fourth-order one: what these functions return are estimates. All give
a tensor with :math:`A_{ijkk}=A_{ij}` but the hybrid and the quadratic one are not fully symmetric in general: no
distribution has them, and ``OrientationTensors`` refuses them. The Bingham closure is the one for averages.

Source of all but the Bingham closure: Advani, Tucker 1990, J. Rheol. 34, 367; Cintra, Tucker 1995, J. Rheol. 39, 1095.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from homfem.orientation.bingham import fit_bingham, orthotropic_fourth
from homfem.orientation.sphere import symmetric_products
from homfem.orientation.tensors import check_second
from homfem.parameters import Array

# A_mm = C . (1, a1, a1^2, a2, a2^2, a1 a2) in principal axes, a1 >= a2 >= a3 (Cintra, Tucker 1995, ORF).
ORF = np.array(
    [
        [0.060964, 0.371243, 0.555301, -0.369160, 0.318266, 0.371218],
        [0.124711, -0.389402, 0.258844, 0.086169, 0.796080, 0.544992],
        [1.228982, -2.054116, 0.821548, -2.260574, 1.053907, 1.819756],
    ]
)


def _second(value: npt.ArrayLike) -> Array:
    return check_second("second_moment", value, 2 if np.shape(value) == (2, 2) else 3)


def linear_closure(second_moment: npt.ArrayLike) -> Array:
    r"""Return the linear estimate: exact for uniform directions, fully symmetric, not positive for aligned ones.

    :math:`-\frac{1}{(d+2)(d+4)}[\delta\delta]_3+\frac{1}{d+4}[\delta A]_6`, sums over the distinct orders of indices.

    Parameters
    ----------
    second_moment : array, shape (d, d)
        d = 2 or 3.

    Returns
    -------
    ndarray, shape (d, d, d, d)
    """
    a = _second(second_moment)
    d, one = len(a), np.eye(len(a))
    return symmetric_products(one, a) / (d + 4) - symmetric_products(one, one) / (2 * (d + 2) * (d + 4))


def quadratic_closure(second_moment: npt.ArrayLike) -> Array:
    r"""Return the quadratic estimate :math:`A_{ij}A_{kl}`: exact for parallel fibres, not fully symmetric otherwise.

    Parameters and returned shape as in :func:`linear_closure`.
    """
    a = _second(second_moment)
    return np.einsum("ij,kl->ijkl", a, a)


def hybrid_closure(second_moment: npt.ArrayLike) -> Array:
    r"""Return the hybrid estimate :math:`(1-f)A^{lin}+fA^{quad}`, :math:`f=1-d^d\det A`; exact at both ends.

    Parameters and returned shape as in :func:`linear_closure`.
    """
    a = _second(second_moment)
    f = 1.0 - len(a) ** len(a) * np.linalg.det(a)
    return np.asarray((1.0 - f) * linear_closure(a) + f * quadratic_closure(a))


def orthotropic_closure(second_moment: npt.ArrayLike) -> Array:
    r"""Return the orthotropic fitted estimate ORF: principal entries are quadratic in the principal values.

    Fitted to flows of fibres with interaction coefficient 0.01. Fully symmetric; the fit leaves errors of about 0.005
    at the uniform and the parallel end.

    Parameters
    ----------
    second_moment : array, shape (3, 3)

    Returns
    -------
    ndarray, shape (3, 3, 3, 3)

    Source: Cintra, Tucker 1995, J. Rheol. 39, 1095, table II (ORF).
    """
    values, axes = np.linalg.eigh(check_second("second_moment", second_moment, 3))
    a, axes = values[::-1], axes[:, ::-1].T
    diagonal = ORF @ np.array([1.0, a[0], a[0] ** 2, a[1], a[1] ** 2, a[0] * a[1]])
    # The rows of A_iijj sum to a_i: three equations for the three entries off the diagonal.
    rest = a - diagonal
    xy, xz, yz = 0.5 * (rest[[0, 0, 1]] + rest[[1, 2, 2]] - rest[[2, 1, 0]])
    means = np.array([[diagonal[0], xy, xz], [xy, diagonal[1], yz], [xz, yz, diagonal[2]]])
    return orthotropic_fourth(means, axes)


def bingham_closure(second_moment: npt.ArrayLike) -> Array:
    """Return the fourth moment of the Bingham distribution with this second one: the estimate of largest entropy.

    Fully symmetric, and the moment of a true distribution for every admissible tensor.

    Parameters
    ----------
    second_moment : array, shape (3, 3)
        Eigenvalues >= 1e-5.

    Returns
    -------
    ndarray, shape (3, 3, 3, 3)

    Source: Chaubal, Leal 1998, J. Rheol. 42, 177.
    """
    return fit_bingham(second_moment).fourth_moment()
