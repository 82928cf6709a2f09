r"""Where between its bounds the effective tensor of an image lies: measured on a sample of it.

The errors of both sides come from the edges and corners where voxels of different phases meet, and are sums over them.
The ratio of the sums, and with it the place w of the tensor between its bounds,

.. math:: D^*\approx L+w\,(U-L),

hardly changes from one part of an image to another, while w = 1/2, the midpoint, is right only where both sides err
alike (for plane images whose phases are interchangeable). So w is measured on a small block of the image, repeated
periodically: its bounds on grids that are two and three times finer give its own tensor by extrapolation. The value
stays between the bounds whatever w in [0, 1] comes out. It is an estimate; the bounds are not.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from homfem.grid.image import Image
from homfem.parameters import PercolationError
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

#: Edge of the sample in voxels, by dimension of the image.
SAMPLE_EDGE = {2: 96, 3: 24}
#: Number of positions of the sample along each axis that are compared.
POSITIONS = 4
MIDPOINT = 0.5


def measured_weight(image: Image, solve: Callable[[Image, int], EffectiveTensor], cuts: int) -> float:
    """Return the weight of the upper bound, in [0, 1].

    Parameters
    ----------
    image
        The image.
    solve
        ``solve(block, cuts)``: tensor with bounds of a block on a grid of so many cuts of a voxel.
    cuts
        Cuts of a voxel of the grid that the weight is for.
    """
    for block in samples(image):
        try:
            coarse = solve(block, cuts)
        except PercolationError:
            continue
        sides = [_traces(tensor) for tensor in (coarse, solve(block, 2 * cuts), solve(block, 3 * cuts))]
        (low, high), (finest_low, finest_high) = sides[0], sides[-1]
        if high - low <= 1e-12 * high:
            return MIDPOINT
        limit = extrapolated([0.5 * (a + b) for a, b in sides])
        weight = (min(max(limit, finest_low), finest_high) - low) / (high - low)
        log.info("image: a sample of %s voxels lies %.3f of the way from the lower to the upper bound",
                 " x ".join(map(str, block.shape)), weight)  # fmt: skip
        return float(min(max(weight, 0.0), 1.0))
    log.warning("image: no sample of it percolates; the value is the midpoint of the bounds")
    return MIDPOINT


def samples(image: Image) -> Iterator[Image]:
    """Yield blocks of the image, those most like the whole in volume fractions and interface area first."""
    edges = [min(n, SAMPLE_EDGE[image.dimension]) for n in image.shape]
    starts = [
        sorted({(n - m) * k // (POSITIONS - 1) for k in range(POSITIONS)})
        for n, m in zip(image.shape, edges, strict=True)
    ]
    whole = _features(image)
    found = []
    for corner in itertools.product(*starts):
        part = tuple(slice(a, a + m) for a, m in zip(corner, edges, strict=True))
        present, phases = np.unique(image.phases[part], return_inverse=True)
        if len(present) < len(image.names):
            continue
        block = replace(image, phases=phases.reshape(edges).astype(np.uint64))
        found.append((float(np.abs(_features(block) / whole - 1.0).sum()), corner, block))
    for _, _, block in sorted(found, key=lambda entry: entry[:2]):
        yield block


def extrapolated(values: Sequence[float]) -> float:
    """Return the limit of a + b h^q, q in [0.5, 6], through values at h, h/2 and h/3; the last one if there is none."""
    first, second, third = values
    if second == third:
        return third
    ratio = (first - second) / (second - third)

    def excess(q: float) -> float:
        return float((1.0 - 2.0**-q) / (2.0**-q - 3.0**-q)) - ratio

    if not excess(0.5) < 0.0 < excess(6.0):
        return third
    import scipy.optimize

    q = scipy.optimize.brentq(excess, 0.5, 6.0)
    return float(first - (first - second) / (1.0 - 2.0**-q))


def _features(image: Image) -> np.ndarray:
    return np.array([*image.volume_fractions.values(), max(image.interface_area, 1e-300)])


def _traces(tensor: EffectiveTensor) -> tuple[float, float]:
    if tensor.lower is None or tensor.upper is None:
        return 0.0, 0.0
    return float(np.trace(tensor.lower)), float(np.trace(tensor.upper))
