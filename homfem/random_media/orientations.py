"""Distributions of directions in two and three dimensions, and draws from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from homfem.parameters import Array, InputError, check_number


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every direction is as likely as any other."""

    def sample(self, count: int, dimension: int, generator: np.random.Generator) -> Array:
        """Return unit vectors, shape (count, dimension)."""
        return _unit(generator.standard_normal((count, dimension)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Directions:
    """One of a list of directions each time.

    Parameters
    ----------
    vectors : array, shape (k, d)
        The directions; their lengths do not matter.
    weights : array, shape (k,), optional
        How likely each is, >= 0; equally by default.
    """

    vectors: npt.ArrayLike
    weights: Sequence[float] | None = None

    def sample(self, count: int, dimension: int, generator: np.random.Generator) -> Array:
        """Return unit vectors, shape (count, dimension)."""
        vectors = np.stack([_direction("vectors", vector, dimension) for vector in np.atleast_2d(self.vectors)])
        weights = np.ones(len(vectors)) if self.weights is None else np.asarray(self.weights, dtype=np.float64)
        positive = weights.shape == (len(vectors),) and np.all(np.isfinite(weights)) and np.all(weights >= 0.0)
        if not positive or weights.sum() == 0.0:
            raise InputError("weights", self.weights, f"{len(vectors)} numbers >= 0, not all zero")
        return np.asarray(vectors[generator.choice(len(vectors), size=count, p=weights / weights.sum())])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VonMisesFisher:
    r"""Directions around a mean: density proportional to :math:`\exp(\kappa\,\mu\cdot x)` on the unit sphere or circle.

    Parameters
    ----------
    mean : array, shape (d,)
        Mean direction :math:`\mu`; its length does not matter.
    concentration
        :math:`\kappa` > 0.
    """

    mean: npt.ArrayLike
    concentration: float

    def sample(self, count: int, dimension: int, generator: np.random.Generator) -> Array:
        """Return unit vectors, shape (count, dimension)."""
        kappa = check_number("concentration", self.concentration, above=0.0, remedy="Uniform() is the limit 0.")
        law = scipy.stats.vonmises_fisher(_direction("mean", self.mean, dimension), kappa)
        return np.asarray(law.rvs(count, random_state=generator)).reshape(count, dimension)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Watson:
    r"""Axes without a sense: density proportional to :math:`\exp(\kappa(\mu\cdot x)^2)` on the unit sphere or circle.

    Parameters
    ----------
    axis : array, shape (d,)
        The axis :math:`\mu`; its length does not matter.
    concentration
        :math:`\kappa`: > 0 gathers the directions along the axis, < 0 across it, 0 is uniform.

    Notes
    -----
    In three dimensions :math:`t=\mu\cdot x` has the density :math:`e^{\kappa t^2}` on [-1, 1]: for :math:`\kappa<0` a
    truncated normal one; for :math:`\kappa>0` it is drawn by rejection from :math:`e^{\kappa|t|}`, which accepts about
    half of the draws or more. In two dimensions twice the angle has the von Mises distribution of concentration
    :math:`\kappa/2`.

    Source: Mardia, Jupp 2000, Directional Statistics, section 9.4.2.
    """

    axis: npt.ArrayLike
    concentration: float

    def sample(self, count: int, dimension: int, generator: np.random.Generator) -> Array:
        """Return unit vectors, shape (count, dimension)."""
        kappa = check_number("concentration", self.concentration)
        axis = _direction("axis", self.axis, dimension)
        if dimension == 2:
            angle = generator.vonmises(0.0 if kappa >= 0.0 else np.pi, abs(kappa) / 2.0, size=count) / 2.0
            angle += np.pi * generator.integers(2, size=count)
            across = np.array([-axis[1], axis[0]])
            return np.cos(angle)[:, None] * axis + np.sin(angle)[:, None] * across
        t = _watson_cosines(kappa, count, generator)
        across = generator.standard_normal((count, 3))
        across = _unit(across - (across @ axis)[:, None] * axis)
        return t[:, None] * axis + np.sqrt(np.maximum(1.0 - t**2, 0.0))[:, None] * across


Orientation = Uniform | Directions | VonMisesFisher | Watson | Callable[[np.random.Generator, int], npt.ArrayLike]


def sample_directions(
    orientation: Orientation, count: int, dimension: int, generator: np.random.Generator | int
) -> Array:
    """Return unit vectors drawn from a distribution.

    Parameters
    ----------
    orientation
        :class:`Uniform`, :class:`Directions`, :class:`VonMisesFisher`, :class:`Watson`, or a function
        ``(generator, count) -> array of shape (count, dimension)`` of vectors that are not zero.
    count
        How many.
    dimension
        2 or 3.
    generator
        Generator of random numbers, or a seed.

    Returns
    -------
    ndarray, shape (count, dimension)
    """
    generator = np.random.default_rng(generator)
    if isinstance(orientation, (Uniform, Directions, VonMisesFisher, Watson)):
        return orientation.sample(count, dimension, generator)
    if not callable(orientation):
        raise InputError(
            "orientation", orientation, "Uniform(), Directions(), VonMisesFisher(), Watson(), or a function",
            "A function takes (generator, count) and returns vectors, one a row.",
        )  # fmt: skip
    try:
        vectors = np.asarray(orientation(generator, count), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("orientation", orientation, f"a function (generator, count) -> vectors ({error})") from error
    fits = vectors.shape == (count, dimension) and np.all(np.isfinite(vectors))
    if not fits or np.any(np.linalg.norm(vectors, axis=1) == 0.0):
        allowed = f"finite vectors that are not zero, shape ({count}, {dimension})"
        raise InputError("orientation", f"a function that gave shape {vectors.shape}", allowed)
    return _unit(vectors)


def frames(directions: Array, generator: np.random.Generator) -> Array:
    """Return orthonormal frames, shape (n, d, d): row 0 is the direction, the others are turned at random about it."""
    count, dimension = directions.shape
    if dimension == 2:
        return np.stack([directions, np.column_stack([-directions[:, 1], directions[:, 0]])], axis=1)
    second = generator.standard_normal((count, 3))
    second = _unit(second - np.einsum("ni,ni->n", second, directions)[:, None] * directions)
    return np.stack([directions, second, np.cross(directions, second)], axis=1)


def _watson_cosines(kappa: float, count: int, generator: np.random.Generator) -> Array:
    if abs(kappa) < 1e-8:
        return generator.uniform(-1.0, 1.0, count)
    if kappa < 0.0:
        width = 1.0 / np.sqrt(-2.0 * kappa)
        return np.asarray(scipy.stats.truncnorm.rvs(-1 / width, 1 / width, 0.0, width, count, random_state=generator))
    drawn: Array = np.zeros(0)
    while len(drawn) < count:
        # s = log(1 + u (e^kappa - 1)) / kappa, written so that a large kappa does not overflow.
        u = generator.random(2 * count + 8)
        s = 1.0 + np.log(u + (1.0 - u) * np.exp(-kappa)) / kappa
        drawn = np.append(drawn, s[generator.random(len(s)) < np.exp(kappa * s * (s - 1.0))])
    return drawn[:count] * generator.choice([-1.0, 1.0], size=count)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _direction(name: str, value: Any, dimension: int) -> Array:
    try:
        vector = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, value, f"a vector of {dimension} numbers") from error
    if vector.shape != (dimension,) or not np.all(np.isfinite(vector)) or not np.any(vector):
        raise InputError(name, value, f"a vector of {dimension} finite numbers, not all zero")
    return np.asarray(vector / np.linalg.norm(vector))
