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
        box = np.array(self.period)
        largest = 0.5 * float(box.min())
        reach = self.particle.reach * float(self.scales.max(initial=0.0))
        places, owner = images(self.centres, box, reach + largest)
        tree = scipy.spatial.cKDTree(places) if len(places) else None

        def value(points: npt.ArrayLike) -> Array:
            x = np.atleast_2d(np.asarray(points, dtype=np.float64))
            result = np.full(len(x), largest)
            if tree is not None:
                for start in range(0, len(x), _BLOCK):
                    part = np.mod(x[start : start + _BLOCK], box)
                    result[start : start + _BLOCK] = self._lowest(part, tree, places, owner, reach, largest)
            return result

        return value

    def _lowest(
        self, x: Array, tree: Any, places: Array, owner: Indices, reach: float, largest: float
    ) -> Array:  # fmt: skip
        """Smallest value at points: ever more of the nearest centres, until no further one can give less."""
        lowest = np.full(len(x), largest)
        open_ = np.arange(len(x))
        seen, wanted = 0, 1
        while len(open_) and seen < len(places):
            wanted = min(wanted, len(places))
            far, near = tree.query(x[open_], k=np.arange(seen + 1, wanted + 1))
            index = near.ravel()
            step = np.repeat(x[open_], near.shape[1], axis=0) - places[index]
            values = self._distance(step, owner[index]).reshape(near.shape)
            lowest[open_] = np.minimum(lowest[open_], values.min(axis=1))
            open_ = open_[far[:, -1] < reach + lowest[open_]]
            seen, wanted = wanted, 2 * wanted + 2
        return lowest

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
