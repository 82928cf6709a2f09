"""A medium of particles in a periodic box."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.spatial

from homfem.limits import require_memory
from homfem.parameters import Array, InputError, check_integer, check_number
from homfem.random_media.shapes import Particle

Labels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

#: Points per block when the level set is evaluated: bounds the memory.
_BLOCK = 100_000
#: Bytes for each particle while it is placed, and for each voxel of a grid: measured, rounded up.
PARTICLE, VOXEL = 2500.0, 50.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ParticleMedium:
    """Particles of one shape in a periodic box whose low corner is the origin.

    Parameters
    ----------
    particle
        The shape at scale 1.
    period : tuple of float
        Sides of the box along x, y (and z).
    centres : array, shape (n, d)
        Inside the box.
    frames : array, shape (n, d, d)
        Orthonormal; row 0 is the direction of a particle.
    scales : array, shape (n,)
        Factors for the size.
    overlap
        Whether particles may overlap.
    expected_fraction
        Fraction that was asked for; for a Boolean model the expectation, which is exact.
    seed
        Seed that it was drawn from.
    tries
        How many positions were tried.
    """

    particle: Particle
    period: tuple[float, ...]
    centres: Array
    frames: Array
    scales: Array
    overlap: bool
    expected_fraction: float
    seed: int
    tries: int = 0

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return len(self.period)

    @property
    def number(self) -> int:
        """How many particles there are."""
        return len(self.centres)

    @property
    def directions(self) -> Array:
        """Unit vectors along the particles, shape (n, d)."""
        return np.asarray(self.frames[:, 0])

    @property
    def volume_fraction(self) -> float | None:
        """Volume of the particles per volume of the box, exact; None if they may overlap."""
        if self.overlap:
            return None
        d = self.dimension
        return float(self.particle.volume(d) * np.sum(self.scales**d) / np.prod(self.period))

    def labels(self, shape: int | Sequence[int]) -> Labels:
        """Return 1 in each voxel whose centre is in a particle and 0 elsewhere.

        Parameters
        ----------
        shape
            Voxels along x, y (and z), or one number for all axes.

        Returns
        -------
        ndarray of uint8, shape (n_x, n_y[, n_z])
            Axes in the order x, y, z; voxel i lies at ``[i h, (i + 1) h]`` with ``h = period / shape``.
        """
        shape = check_shape(shape, self.dimension)
        result = np.zeros(shape, dtype=np.uint8)
        h = np.array(self.period) / shape
        extent = self.particle.extent(self.frames, self.scales)
        first = np.ceil((self.centres - extent) / h - 0.5).astype(np.int64)
        last = np.floor((self.centres + extent) / h - 0.5).astype(np.int64)
        for k in range(self.number):
            index = [np.arange(a, b + 1) for a, b in zip(first[k], last[k], strict=True)]
            x = np.stack(np.meshgrid(*index, indexing="ij"), axis=-1).reshape(-1, self.dimension)
            if not len(x):
                continue
            inside = self._distance((x + 0.5) * h - self.centres[k], np.full(len(x), k)) < 0.0
            # Voxels repeat where a particle is longer than the period, so that what is inside is set, never cleared.
            result[tuple(np.mod(x[inside], shape).T)] = 1
        return result

    def level_set(self) -> Callable[[npt.ArrayLike], Array]:
        """Return a periodic function of points, shape (n, d), negative in the particles and positive between them.

        Near the surface of one particle it is the signed distance (spheres, fibres), or differs from it by a term of
        second order (ellipsoids); at most half the shortest period. It is the smallest value of all particles and
        their images: inside overlapping particles it is not the distance to the outer surface.
        """
        nearest, _, _ = self._nearest(1)

        def value(points: npt.ArrayLike) -> Array:
            return np.asarray(nearest(points)[0][:, 0])

        return value

    def feature_size(self) -> Callable[[npt.ArrayLike], Array]:
        """Return a function of points, shape (n, d), near a surface: what a mesh must resolve there, shape (n,).

        The width of the gap, which is the sum of the distances from the two nearest particles, or the radius of
        curvature of the nearest one where that is smaller. For spheres both are exact on the line between the centres.
        """
        nearest, centre, owner = self._nearest(2)

        def value(points: npt.ArrayLike) -> Array:
            x = np.atleast_2d(np.asarray(points, dtype=np.float64))
            low, whose = nearest(x)
            size = np.maximum(low[:, 0], 0.0) + low[:, 1]
            known = np.flatnonzero(whose[:, 0] >= 0)
            image = whose[known, 0]
            step, who = np.mod(x[known], self.period) - centre[image], owner[image]
            radius = self.particle.curvature_radius(step, self.frames[who], self.scales[who])
            size[known] = np.minimum(size[known], radius)
            return size

        return value

    def _nearest(self, count: int) -> tuple[Callable[[npt.ArrayLike], tuple[Array, Indices]], Array, Indices]:
        """Return a function of points, and the centres of all particles and images with their numbers.

        The function returns the smallest values, shape (n, count), and of which images they are (-1: of none, there
        the value is half the shortest period).
        """
        box = np.array(self.period)
        largest = 0.5 * float(box.min())
        reach = self.particle.reach * float(self.scales.max(initial=0.0))
        places, owner = images(self.centres, box, reach + largest)
        tree = scipy.spatial.cKDTree(places) if len(places) else None

        def value(points: npt.ArrayLike) -> tuple[Array, Indices]:
            x = np.atleast_2d(np.asarray(points, dtype=np.float64))
            low, whose = np.full((len(x), count), largest), np.full((len(x), count), -1)
            if tree is not None:
                for start in range(0, len(x), _BLOCK):
                    part = slice(start, start + _BLOCK)
                    self._lower(np.mod(x[part], box), tree, owner, reach, low[part], whose[part])
            return low, whose

        return value, places, owner

    def _lower(self, x: Array, tree: Any, owner: Indices, reach: float, low: Array, whose: Indices) -> None:
        """Lower the values at points: ever more of the nearest centres, until no further one can give less."""
        count = low.shape[1]
        open_ = np.arange(len(x))
        seen, wanted = 0, count
        while len(open_) and seen < len(owner):
            wanted = min(wanted, len(owner))
            far, near = tree.query(x[open_], k=np.arange(seen + 1, wanted + 1))
            index = near.ravel()
            step = np.repeat(x[open_], near.shape[1], axis=0) - tree.data[index]
            values = self._distance(step, owner[index]).reshape(near.shape)
            if count == 1:
                first = values.argmin(axis=1)[:, None]
                values, near = np.take_along_axis(values, first, axis=1), np.take_along_axis(near, first, axis=1)
                lower = values < low[open_]
                low[open_] = np.where(lower, values, low[open_])
                whose[open_] = np.where(lower, near, whose[open_])
            else:
                values, near = np.hstack([low[open_], values]), np.hstack([whose[open_], near])
                order = np.argsort(values, axis=1, kind="stable")[:, :count]
                low[open_] = np.take_along_axis(values, order, axis=1)
                whose[open_] = np.take_along_axis(near, order, axis=1)
            # Of equal spheres the nearest has the smallest value: what rounding leaves is no reason to go on.
            open_ = open_[far[:, -1] < (1.0 - 1e-14) * (reach + low[open_, -1])]
            seen, wanted = wanted, 2 * wanted + 2

    def _distance(self, step: Array, owner: Indices) -> Array:
        return self.particle.distance(step, self.frames[owner], self.scales[owner])


def images(centres: Array, box: Array, reach: float) -> tuple[Array, Indices]:
    """Return all periodic images of centres within ``reach`` of the box, and the number of the centre of each."""
    d = len(box)
    places: list[Array] = [np.zeros((0, d))]
    owner: list[Indices] = [np.zeros(0, dtype=np.int64)]
    turns = [range(-int(np.ceil(reach / side)), int(np.ceil(reach / side)) + 1) for side in box]
    for turn in itertools.product(*turns):
        moved = centres + np.array(turn) * box
        near = np.all((moved >= -reach) & (moved <= box + reach), axis=1)
        places.append(moved[near])
        owner.append(np.flatnonzero(near).astype(np.int64))
    return np.concatenate(places), np.concatenate(owner)


def check_shape(shape: Any, dimension: int) -> tuple[int, ...]:
    """Return numbers of voxels, one for each axis; one number stands for all."""
    counts = [shape] * dimension if np.isscalar(shape) else list(shape)
    if len(counts) != dimension:
        raise InputError("shape", shape, f"one number of voxels, or {dimension}, one for each axis")
    result = tuple(check_integer("shape", count, at_least=1) for count in counts)
    voxels = math.prod(map(float, result))
    require_memory("shape", shape, VOXEL * voxels, f"an image of {voxels:.3g} voxels")
    return result


def require_particles(particle: Particle, count: float) -> None:
    """Refuse particles that are so small that all of them would not fit into the memory."""
    require_memory("particle", particle, PARTICLE * count, f"a medium of {count:.3g} particles", "Choose larger ones.")


def check_period(period: Any, dimension: int | None = None) -> tuple[float, ...]:
    """Return the sides of the box; two or three of them."""
    try:
        sides = list(period)
    except TypeError as error:
        raise InputError("period", period, "the 2 or 3 sides of the periodic box", "(1, 1, 1), say.") from error
    if len(sides) not in ((2, 3) if dimension is None else (dimension,)):
        raise InputError("period", period, "the 2 or 3 sides of the periodic box")
    return tuple(check_number("period", side, above=0.0) for side in sides)
