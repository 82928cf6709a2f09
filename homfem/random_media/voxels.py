"""Media that are made of voxels, such as the aggregated medium of March, Carr and Turner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homfem.blocks.media import aggregated
from homfem.parameters import InputError
from homfem.random_media.particles import Labels, check_shape


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VoxelMedium:
    """A medium of equal voxels.

    Parameters
    ----------
    voxels : array of uint8, shape (n_x, n_y[, n_z])
        Label of each voxel; axes in the order x, y, z.
    seed
        Seed that it was drawn from.
    """

    voxels: Labels
    seed: int

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return self.voxels.ndim

    @property
    def volume_fraction(self) -> float:
        """Share of the voxels with label 1, exact."""
        return float(np.count_nonzero(self.voxels == 1) / self.voxels.size)

    def labels(self, shape: int | Sequence[int] | None = None) -> Labels:
        """Return the label of each voxel, axes in the order x, y, z; ``shape`` may be a multiple of the own shape."""
        own = self.voxels.shape
        shape = own if shape is None else check_shape(shape, self.dimension)
        if any(n % m for n, m in zip(shape, own, strict=True)):
            raise InputError("shape", shape, f"multiples of {own}, the voxels that the medium is made of")
        result = self.voxels
        for axis, (n, m) in enumerate(zip(shape, own, strict=True)):
            result = np.repeat(result, n // m, axis=axis)
        return result.copy()


def aggregated_medium(number: int, *, seed: int, iterations: int = 10, share: float = 0.5) -> VoxelMedium:
    """Return the aggregated medium of March, Carr and Turner (their eq. 68) as voxels, 1 where it is light.

    Parameters
    ----------
    number
        Blocks along each of the two axes, >= 2.
    seed
        Seed of the random numbers.
    iterations
        Smoothing steps, >= 0: more make larger aggregates.
    share
        Share of the light blocks, in (0, 1); exact up to half a block.

    See :func:`homfem.blocks.aggregated`, which it is; the axes here are x, y.
    """
    medium = aggregated(number, seed=seed, iterations=iterations, light=2.0, dark=1.0, share=share)
    rows = np.asarray(medium.diffusivity).reshape(number, number, -1)[:, :, 0]
    return VoxelMedium(voxels=np.ascontiguousarray(rows.T > 1.5).astype(np.uint8), seed=int(seed))
