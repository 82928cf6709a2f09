"""The Bingham distribution: axes with an ellipsoidal concentration, in three dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.brackets import symmetric
from homfem.orientation.distributions import LARGEST, check_generator
from homfem.orientation.sphere import check_directions, graded_angles, unit
from homfem.parameters import Array, ConvergenceError, InputError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Bingham:
    r"""Axes without a sense: density proportional to :math:`\exp(n\cdot Bn)` on the unit sphere. Axial.

    Parameters
    ----------
    matrix : array, shape (3, 3)
        :math:`B`, symmetric; adding a multiple of I changes nothing. :math:`B=\kappa\mu\mu^T` is the Watson
        distribution. Its eigenvalues may differ by 1e6 at the most.

    Notes
    -----
    In principal axes with the largest eigenvalue along z, the azimuth is integrated exactly by Bessel functions,
    :math:`\int_0^{2\pi}e^{x\cos2\varphi}\cos2m\varphi\,d\varphi=2\pi I_m(x)`, and the polar angle by Gauss points on
    panels that double in length away from the pole: the moments are accurate to 1e-12.

    Draws are made by rejection from the angular central Gaussian distribution.

    Sources: Bingham 1974, Ann. Stat. 2, 1201; Kent, Ganeiber, Mardia 2018, J. Comput. Graph. Stat. 27, 291 (draws).
    """

    matrix: npt.ArrayLike

    def __post_init__(self) -> None:
        allowed = f"a symmetric 3x3 matrix whose eigenvalues differ by {LARGEST:g} at the most"
        try:
            matrix = np.array(self.matrix, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError("matrix", self.matrix, allowed) from error
        fits = matrix.shape == (3, 3) and np.all(np.isfinite(matrix))
        if not fits or not np.allclose(matrix, matrix.T, rtol=1e-10, atol=1e-10 * np.abs(matrix).max()):
            raise InputError("matrix", self.matrix, allowed)
        matrix = symmetric(matrix)
        if np.ptp(np.linalg.eigvalsh(matrix)) > LARGEST:
            raise InputError("matrix", self.matrix, allowed)
        object.__setattr__(self, "matrix", matrix)

    @property
    def dimension(self) -> int:
        """Number of space dimensions: 3."""
        return 3

    def _principal(self) -> tuple[Array, Array]:
        values, axes = np.linalg.eigh(np.asarray(self.matrix))
        return values, axes.T

    def density(self, n: npt.ArrayLike) -> Array:
        """Return the density at unit vectors of shape (..., 3); shape (...)."""
        n = check_directions("n", n, 3)
        values, axes = self._principal()
        exponent = ((n @ axes.T) ** 2) @ (values - values[2])
        return np.asarray(np.exp(exponent) / bingham_integrals(values)[0])

    def second_moment(self) -> Array:
        """Return the second-order orientation tensor, shape (3, 3)."""
        values, axes = self._principal()
        return np.asarray((axes.T * bingham_integrals(values)[1].sum(axis=1)) @ axes)

    def fourth_moment(self) -> Array:
        """Return the fourth-order orientation tensor, shape (3, 3, 3, 3)."""
        values, axes = self._principal()
        return orthotropic_fourth(bingham_integrals(values)[1], axes)

    def sample(self, count: int, generator: np.random.Generator) -> Array:
        """Return unit vectors, shape (count, 3)."""
        import scipy.optimize

        check_generator(generator)
        values, axes = self._principal()
        a = values[2] - values
        b = scipy.optimize.brentq(lambda x: np.sum(1.0 / (x + 2.0 * a)) - 1.0, 1.0 - 1e-12, 3.0 + 1e-12)
        omega = 1.0 + 2.0 * a / b
        log_bound = -0.5 * (3.0 - b) + 1.5 * np.log(3.0 / b)
        drawn = np.zeros((0, 3))
        while len(drawn) < count:
            x = unit(generator.standard_normal((2 * count + 8, 3)) / np.sqrt(omega))
            log_ratio = -(x**2 @ a) + 1.5 * np.log(x**2 @ omega) - log_bound
            drawn = np.concatenate([drawn, x[np.log(generator.random(len(x))) < log_ratio]])
        return np.asarray(drawn[:count] @ axes)


def bingham_integrals(values: Array) -> tuple[float, Array]:
    r"""Return the integral of :math:`e^{\sum_ib_ix_i^2-\max b}` over the sphere, and the means of :math:`x_i^2x_j^2`.

    Parameters
    ----------
    values : array, shape (3,)
        :math:`b`, in any order.

    Returns
    -------
    (float; ndarray, shape (3, 3)); the rows of the matrix sum to the second moments :math:`\langle x_i^2\rangle`.
    """
    from scipy import special

    order = np.argsort(values)  # x: lowest, y: middle, z: highest
    low, middle = values[order[:2]] - values[order[2]]
    mean, half = 0.5 * (low + middle), 0.5 * (middle - low)
    polar, weights = graded_angles(-low, 0.5 * np.pi)
    s = np.sin(polar) ** 2
    argument = half * s
    # The mean of cos(2 m phi) has the sign (-1)^m: y, the middle one, is where the density is larger.
    zero, one, two = special.ive([[0], [1], [2]], argument) * np.array([[1.0], [-1.0], [1.0]])
    density = 4.0 * np.pi * weights * np.sin(polar) * np.exp(mean * s + argument)
    integral = float(density @ zero)
    c = 1.0 - s
    xx, yy, xy = (3 * zero + 4 * one + two) / 8, (3 * zero - 4 * one + two) / 8, (zero - two) / 8
    rows = [s**2 * xx, s**2 * yy, c**2 * zero, s**2 * xy, s * c * (zero + one) / 2, s * c * (zero - one) / 2]
    m = np.array(rows) @ density / integral
    sorted_means = np.array([[m[0], m[3], m[4]], [m[3], m[1], m[5]], [m[4], m[5], m[2]]])
    means = np.empty((3, 3))
    means[np.ix_(order, order)] = sorted_means
    return integral, means


def orthotropic_fourth(means: Array, axes: Array) -> Array:
    r"""Return a fully symmetric orthotropic tensor with entries :math:`A_{iijj}` in principal axes.

    Parameters
    ----------
    means : array, shape (..., 3, 3)
        :math:`A_{iijj}=\langle x_i^2x_j^2\rangle`.
    axes : array, shape (..., 3, 3)
        The principal axes as rows.

    Returns
    -------
    ndarray, shape (..., 3, 3, 3, 3)
    """
    local = np.zeros((*means.shape[:-2], 3, 3, 3, 3))
    for i in range(3):
        for j in range(3):
            for place in {(i, i, j, j), (i, j, i, j), (i, j, j, i)}:
                local[(..., *place)] = means[..., i, j]
    return np.asarray(np.einsum("...pqrs,...pi,...qj,...rk,...sl->...ijkl", local, *[axes] * 4, optimize=True))


def fit_bingham(second_moment: npt.ArrayLike) -> Bingham:
    r"""Return the Bingham distribution that has a given second-order orientation tensor.

    Of all distributions with that tensor it has the largest entropy, and it is the maximum-likelihood estimate for
    directions with that mean of n n. Newton's method on the convex function :math:`\log c(b)-\sum_ib_iA_{ii}`.

    Parameters
    ----------
    second_moment : array, shape (3, 3)
        Symmetric, of trace 1, eigenvalues >= 1e-5.

    Raises
    ------
    InputError
        It is not such a tensor.

    Source: Mardia, Jupp 2000, Directional Statistics, section 10.3.
    """
    from homfem.orientation.tensors import check_second

    second = check_second("second_moment", second_moment, 3)
    wanted, axes = np.linalg.eigh(second)
    if wanted[0] < 1e-5:
        remedy = f"The smallest is {wanted[0]:.3g}: fibres in a plane or along a line have no Bingham density."
        raise InputError("second_moment", second_moment, "a tensor with eigenvalues >= 1e-5", remedy)
    b = _fit_values(wanted)
    return Bingham(matrix=(axes * b) @ axes.T)


def _fit_values(wanted: Array) -> Array:
    """Return the eigenvalues b, the largest 0, for ascending wanted second moments."""
    b: Array = np.asarray(-0.5 / wanted)
    b = b - b[2]

    def objective(b: Any) -> float:
        return float(np.log(bingham_integrals(b)[0]) + b.max() - b @ wanted)

    smallest = np.inf
    for _ in range(100):
        means = bingham_integrals(b)[1]
        moments = means.sum(axis=1)
        residual = (wanted - moments)[:2]
        size = float(np.abs(residual / wanted[:2]).max())
        if size < 1e-12 or (size < 1e-9 and size >= smallest):  # as far as round-off allows
            return b
        smallest = min(size, smallest)
        step = np.append(np.linalg.solve((means - np.outer(moments, moments))[:2, :2], residual), 0.0)
        length, value = 1.0, objective(b)
        # Far from the solution the step is halved until the convex function falls.
        while size > 1e-3 and length > 1e-6 and objective(b + length * step) > value:
            length *= 0.5
        b = np.asarray(b + length * step)
    raise ConvergenceError(f"no Bingham distribution was found with second moments {wanted}")
