"""Shapes of particles: volumes, extents, signed distances, and whether two of them keep apart.

A particle has a centre, a frame (d orthonormal rows, the first along its axis) and a scale, a factor for its size. All
functions take arrays of n particles or n pairs: frames of shape (n, d, d), scales of shape (n,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError, check_number

Flags = npt.NDArray[np.bool_]


class Particle(Protocol):
    """What a shape of particles must know."""

    def check(self, dimension: int) -> None:
        """Raise :class:`InputError` if the shape does not exist in so many dimensions."""

    def volume(self, dimension: int) -> float:
        """Return the volume (area in two dimensions) at scale 1."""

    @property
    def reach(self) -> float:
        """Radius of the smallest sphere about the centre that holds the particle, at scale 1."""

    def extent(self, frames: Array, scales: Array) -> Array:
        """Return half the sides of the bounding boxes, shape (n, d)."""

    def distance(self, x: Array, frames: Array, scales: Array) -> Array:
        """Return the signed distances from points x, relative to the centres, to the surfaces; shape (n,)."""

    def curvature_radius(self, x: Array, frames: Array, scales: Array) -> Array:
        """Return a lower bound of the radii of curvature of the surfaces near points x on them; shape (n,)."""

    def apart(
        self, step: Array, frames: Array, scales: Array, other_frames: Array, other_scales: Array, gap: float
    ) -> Flags:
        """Return whether particles that lie ``step`` from each other, shape (n, d), keep the gap; shape (n,)."""


@dataclass(frozen=True, slots=True)
class Sphere:
    """A sphere, a disc in two dimensions.

    Parameters
    ----------
    radius
        In the unit of the period, > 0.
    """

    radius: float

    def __post_init__(self) -> None:
        check_number("radius", self.radius, above=0.0)

    def check(self, dimension: int) -> None:
        """Spheres exist in any number of dimensions."""

    def volume(self, dimension: int) -> float:
        r"""Return :math:`\frac43\pi r^3`, or :math:`\pi r^2` in two dimensions."""
        return math.pi * self.radius**2 * (1.0 if dimension == 2 else 4.0 / 3.0 * self.radius)

    @property
    def reach(self) -> float:
        """The radius."""
        return self.radius

    def extent(self, frames: Array, scales: Array) -> Array:
        """Return half the sides of the bounding boxes, shape (n, d)."""
        return np.repeat(self.radius * scales[:, None], frames.shape[1], axis=1)

    def distance(self, x: Array, frames: Array, scales: Array) -> Array:
        """Return :math:`|x|-r`, exact."""
        return np.linalg.norm(x, axis=1) - self.radius * scales

    def curvature_radius(self, x: Array, frames: Array, scales: Array) -> Array:
        """Return the radii."""
        return self.radius * scales

    def apart(
        self, step: Array, frames: Array, scales: Array, other_frames: Array, other_scales: Array, gap: float
    ) -> Flags:
        """Return whether the surfaces are at least ``gap`` apart, exactly."""
        return np.asarray(np.linalg.norm(step, axis=1) >= self.radius * (scales + other_scales) + gap)


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """An ellipsoid, an ellipse in two dimensions.

    Parameters
    ----------
    semi_axes
        One for each dimension, in the unit of the period, > 0; the first lies along the direction of the orientation.
    """

    semi_axes: Sequence[float]

    def __post_init__(self) -> None:
        axes = tuple(check_number("semi_axes", value, above=0.0) for value in self.semi_axes)
        object.__setattr__(self, "semi_axes", axes)

    def check(self, dimension: int) -> None:
        """Raise :class:`InputError` unless there is one semi-axis for each dimension."""
        if len(self.semi_axes) != dimension:
            raise InputError("semi_axes", self.semi_axes, f"{dimension} numbers > 0, one for each dimension")

    def volume(self, dimension: int) -> float:
        r"""Return :math:`\frac43\pi abc`, or :math:`\pi ab` in two dimensions."""
        return math.pi * math.prod(self.semi_axes) * (1.0 if dimension == 2 else 4.0 / 3.0)

    @property
    def reach(self) -> float:
        """The longest semi-axis."""
        return max(self.semi_axes)

    def extent(self, frames: Array, scales: Array) -> Array:
        """Return half the sides of the bounding boxes, shape (n, d)."""
        axes = np.array(self.semi_axes)
        return scales[:, None] * np.sqrt(np.einsum("k,nkx->nx", axes**2, frames**2))

    def distance(self, x: Array, frames: Array, scales: Array) -> Array:
        r"""Return :math:`k_0(k_0-1)/k_1` with :math:`k_0=|y_i/a_i|`, :math:`k_1=|y_i/a_i^2|`, y in the frame.

        Its sign is exact and its error is of second order in the distance; it is never below the distance to the sphere
        about the ellipsoid.
        """
        axes = np.array(self.semi_axes) * scales[:, None]
        y = np.einsum("nij,nj->ni", frames, x)
        k0 = np.linalg.norm(y / axes, axis=1)
        k1 = np.linalg.norm(y / axes**2, axis=1)
        shortest = axes.min(axis=1)
        # Towards the centre the quotient tends to minus one of the semi-axes.
        inner = np.divide(k0, k1, out=shortest.copy(), where=k1 > 0.0)
        return np.maximum(inner * (k0 - 1.0), np.linalg.norm(x, axis=1) - axes.max(axis=1))

    def curvature_radius(self, x: Array, frames: Array, scales: Array) -> Array:
        r"""Return :math:`a_{min}^2/p`, p being the distance of the tangent plane from the centre.

        The principal curvatures are those of :math:`p\sum y_i^2/a_i^2` in that plane: :math:`p/a_{min}^2` at most.
        """
        axes = np.array(self.semi_axes) * scales[:, None]
        y = np.einsum("nij,nj->ni", frames, x)
        k0, k1 = np.linalg.norm(y / axes, axis=1), np.linalg.norm(y / axes**2, axis=1)
        shortest = axes.min(axis=1)
        plane = np.divide(k0, k1, out=shortest.copy(), where=k1 > 0.0)
        return np.asarray(shortest**2 / plane)

    def apart(
        self, step: Array, frames: Array, scales: Array, other_frames: Array, other_scales: Array, gap: float
    ) -> Flags:
        r"""Return whether the ellipsoids keep the gap.

        Two ellipsoids with the matrices :math:`A=\sum a_i^2e_i\otimes e_i` and B are disjoint if and only if
        :math:`\max_\lambda\lambda(1-\lambda)\,r\cdot[(1-\lambda)A+\lambda B]^{-1}r>1` (Perram, Wertheim 1985, J.
        Comput. Phys. 58, 409). For a gap g each is enlarged by the factor :math:`1+g/(2a_{min})`, which holds all that
        is within g/2 of it: particles that are said to be apart are so; some that are further apart than g along
        their long axes are refused.
        """
        a, b = self._matrix(frames, scales, gap), self._matrix(other_frames, other_scales, gap)
        # Where the value at lambda = 1/2 does not decide, and the inscribed spheres do not meet, the maximum is sought.
        result = 0.25 * np.einsum("ni,ni->n", step, _solve(0.5 * (a + b), step)) >= 1.0
        near = np.linalg.norm(step, axis=1) < min(self.semi_axes) * (scales + other_scales) + gap
        open_ = np.flatnonzero(~result & ~near)
        result[open_] = _contact(step[open_], a[open_], b[open_]) >= 1.0
        return np.asarray(result)

    def _matrix(self, frames: Array, scales: Array, gap: float) -> Array:
        axes = np.array(self.semi_axes) * (scales + 0.5 * gap / min(self.semi_axes))[:, None]
        return np.einsum("nk,nkx,nky->nxy", axes**2, frames, frames)


@dataclass(frozen=True, slots=True)
class Fibre:
    """A cylinder with hemispherical ends (a stadium in two dimensions).

    Parameters
    ----------
    radius
        In the unit of the period, > 0.
    length
        Length of the axis without the ends, >= 0: the whole fibre is ``length + 2 radius`` long.
    """

    radius: float
    length: float

    def __post_init__(self) -> None:
        check_number("radius", self.radius, above=0.0)
        check_number("length", self.length, at_least=0.0)

    def check(self, dimension: int) -> None:
        """Fibres exist in any number of dimensions."""

    def volume(self, dimension: int) -> float:
        r"""Return :math:`\pi r^2l+\frac43\pi r^3`, or :math:`2rl+\pi r^2` in two dimensions."""
        r = self.radius
        if dimension == 2:
            return 2.0 * r * self.length + math.pi * r**2
        return math.pi * r**2 * self.length + 4.0 / 3.0 * math.pi * r**3

    @property
    def reach(self) -> float:
        """Half the length with the ends."""
        return 0.5 * self.length + self.radius

    def extent(self, frames: Array, scales: Array) -> Array:
        """Return half the sides of the bounding boxes, shape (n, d)."""
        return scales[:, None] * (0.5 * self.length * np.abs(frames[:, 0]) + self.radius)

    def distance(self, x: Array, frames: Array, scales: Array) -> Array:
        """Return the distance to the axis minus the radius, exact."""
        half = 0.5 * self.length * scales
        along = np.clip(np.einsum("ni,ni->n", x, frames[:, 0]), -half, half)
        return np.linalg.norm(x - along[:, None] * frames[:, 0], axis=1) - self.radius * scales

    def curvature_radius(self, x: Array, frames: Array, scales: Array) -> Array:
        """Return the radii."""
        return self.radius * scales

    def apart(
        self, step: Array, frames: Array, scales: Array, other_frames: Array, other_scales: Array, gap: float
    ) -> Flags:
        """Return whether the surfaces are at least ``gap`` apart, exactly (distance of the axes)."""
        u, v = frames[:, 0], other_frames[:, 0]
        between = segment_distance(step, u, 0.5 * self.length * scales, v, 0.5 * self.length * other_scales)
        return np.asarray(between >= self.radius * (scales + other_scales) + gap)


def segment_distance(step: Array, u: Array, p: Array, v: Array, q: Array) -> Array:
    r"""Return the distances between the segments :math:`su`, :math:`|s|\le p`, and :math:`r+tv`, :math:`|t|\le q`.

    Parameters
    ----------
    step, u, v : array, shape (n, d)
        From the middle of one segment to that of the other (r), and unit vectors.
    p, q : array, shape (n,)
        Half lengths.

    Notes
    -----
    Unless the closest points of the lines are inside both, an end of one segment is a closest point.
    """
    cosine = np.einsum("ni,ni->n", u, v)
    ru, rv = np.einsum("ni,ni->n", step, u), np.einsum("ni,ni->n", step, v)
    sine2 = 1.0 - cosine**2
    oblique = sine2 > 1e-12
    s = np.divide(ru - cosine * rv, sine2, out=np.zeros_like(ru), where=oblique)
    t = np.divide(cosine * ru - rv, sine2, out=np.zeros_like(ru), where=oblique)
    inside = oblique & (np.abs(s) <= p) & (np.abs(t) <= q)

    def between(s: Array, t: Array) -> Array:
        return np.asarray(np.linalg.norm(s[:, None] * u - step - t[:, None] * v, axis=1))

    result = np.where(inside, between(s, t), np.inf)
    for end in (-p, p):
        result = np.minimum(result, between(end, np.clip(cosine * end - rv, -q, q)))
    for end in (-q, q):
        result = np.minimum(result, between(np.clip(ru + cosine * end, -p, p), end))
    return result


def _contact(step: Array, a: Array, b: Array) -> Array:
    """Maximum over lambda of the concave function of Perram and Wertheim, by golden sections; shape (n,)."""
    root = np.asarray(np.linalg.cholesky(b), dtype=np.float64)
    half = np.linalg.solve(root, a)
    mu, vectors = np.linalg.eigh(np.linalg.solve(root, half.transpose(0, 2, 1)))
    w = np.einsum("nji,nj->ni", vectors, _solve(root, step)) ** 2

    def value(t: Array) -> Array:
        return np.asarray(t * (1.0 - t) * (w / ((1.0 - t)[:, None] * mu + t[:, None])).sum(axis=1))

    low: Array = np.zeros(len(step))
    high: Array = np.ones(len(step))
    for _ in range(25):  # the interval shrinks to 6e-6, the error of the maximum is of the order of its square
        left, right = low + (high - low) * 0.382, low + (high - low) * 0.618
        up = value(left) < value(right)
        low, high = np.where(up, left, low), np.where(up, high, right)
    return value(0.5 * (low + high))


def _solve(matrices: Array, vectors: Array) -> Array:
    return np.asarray(np.linalg.solve(matrices, vectors[:, :, None])[:, :, 0])
