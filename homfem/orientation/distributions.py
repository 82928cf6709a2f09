"""Distributions of directions in two and three dimensions: density, moments and draws.

Every distribution has a ``dimension`` d (2 or 3) and the methods ``density(n)`` (per solid angle or per angle: its
integral over the unit sphere or circle is 1), ``second_moment()`` :math:`A_{ij}=\\langle n_in_j\\rangle`,
``fourth_moment()`` :math:`A_{ijkl}=\\langle n_in_jn_kn_l\\rangle` and ``sample(count, generator)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from homfem.orientation.sphere import (
    axial_fourth_moment,
    axial_second_moment,
    check_directions,
    check_vector,
    fourth_of,
    second_of,
    symmetric_products,
    unit,
)
from homfem.parameters import Array, InputError, check_integer, check_number

LARGEST = 1e6
_LIMIT = "Directions(vectors=...) is the limit of fibres that are all parallel."


class HasMoments(Protocol):
    """What orientation averages need: the moments of directions in 2 or 3 dimensions."""

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""

    def second_moment(self) -> Array:
        """Return the second-order orientation tensor, shape (d, d)."""

    def fourth_moment(self) -> Array:
        """Return the fourth-order orientation tensor, shape (d, d, d, d)."""


class Distribution(HasMoments, Protocol):
    """A distribution of directions."""

    def sample(self, count: int, generator: np.random.Generator) -> Array:
        """Return unit vectors, shape (count, dimension)."""


def check_generator(generator: np.random.Generator) -> np.random.Generator:
    """Return the generator of random numbers, or raise :class:`InputError`: nothing is drawn without one."""
    if not isinstance(generator, np.random.Generator):
        raise InputError("generator", generator, "a generator of random numbers", "Use numpy.random.default_rng(seed).")
    return generator


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every direction is as likely as any other. Axial (n and -n are as likely as each other).

    Parameters
    ----------
    dimension
        2 or 3.
    """

    dimension: int = 3

    def __post_init__(self) -> None:
        check_integer("dimension", self.dimension, at_least=2, at_most=3)

    def density(self, n: npt.ArrayLike) -> Array:
        """Return 1/(4 pi), or 1/(2 pi) in 2D, for unit vectors of shape (..., d); shape (...)."""
        n = check_directions("n", n, self.dimension)
        return np.full(n.shape[:-1], 1.0 / (2.0 * np.pi * (self.dimension - 1)))

    def second_moment(self) -> Array:
        """Return I/d."""
        return np.eye(self.dimension) / self.dimension

    def fourth_moment(self) -> Array:
        r"""Return :math:`(\delta_{ij}\delta_{kl}+\delta_{ik}\delta_{jl}+\delta_{il}\delta_{jk})/(d(d+2))`."""
        d = self.dimension
        return symmetric_products(np.eye(d), np.eye(d)) / (2 * d * (d + 2))

    def sample(self, count: int, generator: np.random.Generator) -> Array:
        """Return unit vectors, shape (count, d)."""
        return unit(check_generator(generator).standard_normal((count, self.dimension)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Directions:
    """One of a list of directions each time. It has no density.

    Parameters
    ----------
    vectors : array, shape (k, d)
        The directions; their lengths do not matter, and for fibres without a head their signs do not either.
    weights : array, shape (k,), optional
        How likely each is, >= 0; equally by default.
    """

    vectors: npt.ArrayLike
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        try:
            rows = np.atleast_2d(np.asarray(self.vectors, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise InputError("vectors", self.vectors, "numbers, shape (k, 2) or (k, 3)") from error
        lengths = np.linalg.norm(rows, axis=1) if rows.ndim == 2 else np.zeros(1)
        if rows.ndim != 2 or rows.shape[1] not in (2, 3) or not np.all(np.isfinite(rows)) or not np.all(lengths > 0.0):
            raise InputError("vectors", self.vectors, "finite vectors that are not zero, shape (k, 2) or (k, 3)")
        weights = np.ones(len(rows)) if self.weights is None else np.asarray(self.weights, dtype=np.float64)
        positive = weights.shape == (len(rows),) and np.all(np.isfinite(weights)) and np.all(weights >= 0.0)
        if not positive or weights.sum() == 0.0:
            raise InputError("weights", self.weights, f"{len(rows)} numbers >= 0, not all zero")
        object.__setattr__(self, "vectors", unit(rows))
        object.__setattr__(self, "weights", weights / weights.sum())

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return int(np.asarray(self.vectors).shape[1])

    def second_moment(self) -> Array:
        """Return the weighted mean of n n, shape (d, d)."""
        return second_of(np.asarray(self.vectors), np.asarray(self.weights))

    def fourth_moment(self) -> Array:
        """Return the weighted mean of n n n n, shape (d, d, d, d)."""
        return fourth_of(np.asarray(self.vectors), np.asarray(self.weights))

    def sample(self, count: int, generator: np.random.Generator) -> Array:
        """Return unit vectors of the list, shape (count, d)."""
        vectors = np.asarray(self.vectors)
        return np.asarray(vectors[check_generator(generator).choice(len(vectors), size=count, p=self.weights)])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VonMisesFisher:
    r"""Directions around a mean: density proportional to :math:`\exp(\kappa\,\mu\cdot n)`. Not axial: n has a head.

    In 3D :math:`f=\frac{\kappa}{4\pi\sinh\kappa}e^{\kappa\mu\cdot n}`, in 2D (von Mises)
    :math:`f=\frac{1}{2\pi I_0(\kappa)}e^{\kappa\mu\cdot n}`. The moments follow from the means of the Legendre
    polynomials, :math:`\langle P_l(\mu\cdot n)\rangle=I_{l+1/2}(\kappa)/I_{1/2}(\kappa)`, and in 2D of
    :math:`\cos l\theta`, :math:`I_l(\kappa)/I_0(\kappa)`.

    Parameters
    ----------
    mean : array, shape (d,)
        Mean direction :math:`\mu`; its length does not matter.
    concentration
        :math:`\kappa`, > 0 and <= 1e6.

    Source: Mardia, Jupp 2000, Directional Statistics, sections 3.5.4 and 9.3.2.
    """

    mean: npt.ArrayLike
    concentration: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", check_vector("mean", self.mean))
        remedy = f"Uniform() is the limit 0. {_LIMIT}"
        kappa = check_number("concentration", self.concentration, above=0.0, at_most=LARGEST, remedy=remedy)
        object.__setattr__(self, "concentration", kappa)

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return len(np.asarray(self.mean))

    def density(self, n: npt.ArrayLike) -> Array:
        """Return the density at unit vectors of shape (..., d); shape (...)."""
        from scipy import special

        t, kappa = check_directions("n", n, self.dimension) @ np.asarray(self.mean), self.concentration
        if self.dimension == 2:
            return np.asarray(np.exp(kappa * (t - 1.0)) / (2.0 * np.pi * special.ive(0, kappa)))
        return np.asarray(np.exp(kappa * (t - 1.0)) * kappa / (-2.0 * np.pi * np.expm1(-2.0 * kappa)))

    def mean_cosines(self) -> tuple[float, float]:
        r"""Return :math:`\langle t^2\rangle` and :math:`\langle t^4\rangle` of :math:`t=\mu\cdot n`."""
        from scipy import special

        kappa = self.concentration
        if self.dimension == 2:
            return _powers_2d(*(special.ive([2, 4], kappa) / special.ive(0, kappa)))
        two, four = special.ive([2.5, 4.5], kappa) / special.ive(0.5, kappa)
        return (1 + 2 * two) / 3, 1 / 5 + 4 / 7 * two + 8 / 35 * four

    def second_moment(self) -> Array:
        """Return the second-order orientation tensor, shape (d, d)."""
        return axial_second_moment(np.asarray(self.mean), self.mean_cosines()[0])

    def fourth_moment(self) -> Array:
        """Return the fourth-order orientation tensor, shape (d, d, d, d)."""
        return axial_fourth_moment(np.asarray(self.mean), *self.mean_cosines())

    def sample(self, count: int, generator: np.random.Generator) -> Array:
        """Return unit vectors, shape (count, d)."""
        import scipy.stats

        law = scipy.stats.vonmises_fisher(np.asarray(self.mean), self.concentration)
        return np.asarray(law.rvs(count, random_state=check_generator(generator))).reshape(count, self.dimension)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Watson:
    r"""Axes without a sense: density proportional to :math:`\exp(\kappa(\mu\cdot n)^2)`. Axial.

    In 3D :math:`f=e^{\kappa t^2}/(4\pi M(\tfrac12,\tfrac32,\kappa))`, :math:`t=\mu\cdot n`, with Kummer's function
    :math:`M=e^\kappa F(\sqrt\kappa)/\sqrt\kappa` and Dawson's integral :math:`F`; in 2D twice the angle has the von
    Mises distribution of concentration :math:`\kappa/2`. With :math:`b=e^\kappa/M` the moments are
    :math:`\langle t^2\rangle=(b-1)/2\kappa`, :math:`\langle t^4\rangle=(b-3\langle t^2\rangle)/2\kappa`.

    Parameters
    ----------
    axis : array, shape (d,)
        The axis :math:`\mu`; its length does not matter.
    concentration
        :math:`\kappa`, of size <= 1e6: > 0 gathers the directions along the axis, < 0 across it, 0 is uniform.

    Notes
    -----
    Draws in three dimensions: :math:`t=\mu\cdot n` has the density :math:`e^{\kappa t^2}` on [-1, 1]: for
    :math:`\kappa<0` a truncated normal one; for :math:`\kappa>0` it is drawn by rejection from :math:`e^{\kappa|t|}`,
    which accepts about half of the draws or more.

    Sources: Mardia, Jupp 2000, Directional Statistics, section 9.4.2; Zhang et al. 2012, NeuroImage 61, 1000
    (:math:`\langle t^2\rangle=-\frac{1}{2\kappa}+\frac{1}{2F(\sqrt\kappa)\sqrt\kappa}`).
    """

    axis: npt.ArrayLike
    concentration: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "axis", check_vector("axis", self.axis))
        kappa = check_number("concentration", self.concentration, at_least=-LARGEST, at_most=LARGEST)
        object.__setattr__(self, "concentration", kappa)

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return len(np.asarray(self.axis))

    def density(self, n: npt.ArrayLike) -> Array:
        """Return the density at unit vectors of shape (..., d); shape (...)."""
        from scipy import special

        t, kappa = check_directions("n", n, self.dimension) @ np.asarray(self.axis), self.concentration
        if self.dimension == 2:
            half = 0.5 * kappa
            exponent = half * (2.0 * t**2 - 1.0) - abs(half)
            return np.asarray(np.exp(exponent) / (2.0 * np.pi * special.ive(0, abs(half))))
        return np.asarray(np.exp(kappa * (t**2 - max(np.sign(kappa), 0.0))) / (4.0 * np.pi * _scaled_kummer(kappa)))

    def mean_cosines(self) -> tuple[float, float]:
        r"""Return :math:`\langle t^2\rangle` and :math:`\langle t^4\rangle` of :math:`t=\mu\cdot n`."""
        from scipy import special

        kappa = self.concentration
        if self.dimension == 2:
            half = abs(0.5 * kappa)
            one, two = special.ive([1, 2], half) / special.ive(0, half)
            return _powers_2d(float(np.sign(kappa)) * one, two)
        if abs(kappa) < 1.0:
            whole = special.hyp1f1(0.5, 1.5, kappa)
            return special.hyp1f1(1.5, 2.5, kappa) / (3 * whole), special.hyp1f1(2.5, 3.5, kappa) / (5 * whole)
        b = (np.exp(kappa) if kappa < 0.0 else 1.0) / _scaled_kummer(kappa)
        square = (b - 1.0) / (2.0 * kappa)
        return square, (b - 3.0 * square) / (2.0 * kappa)

    def second_moment(self) -> Array:
        """Return the second-order orientation tensor, shape (d, d)."""
        return axial_second_moment(np.asarray(self.axis), self.mean_cosines()[0])

    def fourth_moment(self) -> Array:
        """Return the fourth-order orientation tensor, shape (d, d, d, d)."""
        return axial_fourth_moment(np.asarray(self.axis), *self.mean_cosines())

    def sample(self, count: int, generator: np.random.Generator) -> Array:
        """Return unit vectors, shape (count, d)."""
        axis, kappa, generator = np.asarray(self.axis), self.concentration, check_generator(generator)
        if self.dimension == 2:
            angle = generator.vonmises(0.0 if kappa >= 0.0 else np.pi, abs(kappa) / 2.0, size=count) / 2.0
            angle += np.pi * generator.integers(2, size=count)
            across = np.array([-axis[1], axis[0]])
            return np.asarray(np.cos(angle)[:, None] * axis + np.sin(angle)[:, None] * across)
        t = _watson_cosines(kappa, count, generator)
        across = generator.standard_normal((count, 3))
        across = unit(across - (across @ axis)[:, None] * axis)
        return np.asarray(t[:, None] * axis + np.sqrt(np.maximum(1.0 - t**2, 0.0))[:, None] * across)


def _powers_2d(two: float, four: float) -> tuple[float, float]:
    """Return the means of cos^2 and cos^4 from the means of the cosines of twice and four times the angle."""
    return (1.0 + two) / 2.0, (3.0 + 4.0 * two + four) / 8.0


def _scaled_kummer(kappa: float) -> float:
    """Return M(1/2, 3/2, kappa), divided by exp(kappa) where kappa > 0."""
    from scipy import special

    root = np.sqrt(abs(kappa))
    if root < 1e-6:
        return 1.0 + kappa / 3.0 - max(kappa, 0.0)
    return float(special.dawsn(root) / root if kappa > 0.0 else 0.5 * np.sqrt(np.pi) * special.erf(root) / root)


def _watson_cosines(kappa: float, count: int, generator: np.random.Generator) -> Array:
    if abs(kappa) < 1e-8:
        return generator.uniform(-1.0, 1.0, count)
    if kappa < 0.0:
        import scipy.stats

        width = 1.0 / np.sqrt(-2.0 * kappa)
        return np.asarray(scipy.stats.truncnorm.rvs(-1 / width, 1 / width, 0.0, width, count, random_state=generator))
    drawn: Array = np.zeros(0)
    while len(drawn) < count:
        # s = log(1 + u (e^kappa - 1)) / kappa, written so that a large kappa does not overflow.
        u = generator.random(2 * count + 8)
        s = 1.0 + np.log(u + (1.0 - u) * np.exp(-kappa)) / kappa
        drawn = np.append(drawn, s[generator.random(len(s)) < np.exp(kappa * s * (s - 1.0))])
    return drawn[:count] * generator.choice([-1.0, 1.0], size=count)
