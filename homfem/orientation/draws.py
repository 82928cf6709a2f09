"""Directions and frames drawn from any distribution, for media of random particles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from homfem.orientation.distributions import Distribution, Uniform
from homfem.orientation.sphere import unit
from homfem.parameters import Array, InputError

Orientation = Distribution | Callable[[np.random.Generator, int], npt.ArrayLike]


def sample_directions(
    orientation: Orientation, count: int, dimension: int, generator: np.random.Generator | int
) -> Array:
    """Return unit vectors drawn from a distribution.

    Parameters
    ----------
    orientation
        A distribution of :mod:`homfem.orientation`, such as :class:`Uniform` (of any dimension), ``Directions``,
        ``VonMisesFisher``, ``Watson``, ``Bingham``; or a function ``(generator, count) -> array of
        shape (count, dimension)`` of vectors that are not zero.
    count
        How many.
    dimension
        2 or 3.
    generator
        Generator of random numbers, or a seed.

    Returns
    -------
    ndarray, shape (count, dimension)

    Raises
    ------
    InputError
        The distribution is of another dimension; the function does not return such vectors.
    """
    generator = np.random.default_rng(generator)
    if isinstance(orientation, Uniform):
        orientation = Uniform(dimension)
    sample = getattr(orientation, "sample", None)
    if sample is not None:
        own = getattr(orientation, "dimension", dimension)
        if own != dimension:
            raise InputError("orientation", orientation, f"a distribution in {dimension} dimensions", f"It has {own}.")
        return np.asarray(sample(count, generator))
    if not callable(orientation):
        raise InputError(
            "orientation", orientation, "Uniform(), Directions(), VonMisesFisher(), Watson(), ... or a function",
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
    return unit(vectors)


def frames(directions: Array, generator: np.random.Generator) -> Array:
    """Return orthonormal frames, shape (n, d, d): row 0 is the direction, the others are turned at random about it."""
    count, dimension = directions.shape
    if dimension == 2:
        return np.stack([directions, np.column_stack([-directions[:, 1], directions[:, 0]])], axis=1)
    second = generator.standard_normal((count, 3))
    second = unit(second - np.einsum("ni,ni->n", second, directions)[:, None] * directions)
    return np.stack([directions, second, np.cross(directions, second)], axis=1)
