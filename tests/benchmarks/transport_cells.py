"""The cells in which dispersion is computed beside other codes, with what is known of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Least distance from a ball to the border of its box, over the side of the box.
GAP = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Medium:
    """Balls (discs in the plane) in a square or cube of one period, and a flow along the first axis around them.

    One ball is in the centre. Of more, each is in a box of its own of the side 1 / n, at a random place.

    Parameters
    ----------
    n
        How many there are along a side.
    dimension
        2 or 3.
    fraction
        Of the balls.
    numbers
        Peclet numbers, of the period.
    title
        In the figure.
    """

    n: int
    dimension: int
    fraction: float
    numbers: tuple[float, ...]
    title: str

    @property
    def radius(self) -> float:
        """Of each ball."""
        one = math.sqrt(self.fraction / math.pi) if self.dimension == 2 else (0.75 * self.fraction / math.pi) ** (1 / 3)
        return one / self.n

    @property
    def centres(self) -> Any:
        """Of the balls, shape (n^d, d); the same in all codes and runs."""
        free = 0.0 if self.n == 1 else 0.5 - GAP - self.n * self.radius
        boxes = np.stack(np.meshgrid(*[np.arange(self.n)] * self.dimension, indexing="ij"), axis=-1)
        boxes = boxes.reshape(-1, self.dimension) + 0.5
        return (boxes + free * np.random.default_rng(1).uniform(-1.0, 1.0, boxes.shape)) / self.n


#: Thirty numbers from .1 to 1000.
SWEEP = tuple(10.0 ** (-1.0 + 4.0 * k / 29.0) for k in range(30))
MEDIA = {
    "Pe 10": Medium(n=1, dimension=2, fraction=0.3, numbers=(10.0,), title="one fibre, Pe = 10"),
    "Pe 100": Medium(n=1, dimension=2, fraction=0.3, numbers=(100.0,), title="one fibre, Pe = 100"),
    "32 numbers": Medium(n=1, dimension=2, fraction=0.3, numbers=(*SWEEP, 10.0, 100.0), title="one fibre, 32 numbers"),
    "16 fibres": Medium(n=4, dimension=2, fraction=0.3, numbers=(40.0,), title="16 fibres, Pe = 40"),
    "16 fibres, 32 numbers": Medium(
        n=4, dimension=2, fraction=0.3, numbers=(*SWEEP, 40.0, 400.0), title="16 fibres, 32 numbers"
    ),
    "64 fibres": Medium(n=8, dimension=2, fraction=0.3, numbers=(80.0,), title="64 fibres, Pe = 80"),
    "64 fibres, 32 numbers": Medium(
        n=8, dimension=2, fraction=0.3, numbers=(*SWEEP, 80.0, 800.0), title="64 fibres, 32 numbers"
    ),
    "sphere": Medium(n=1, dimension=3, fraction=0.3, numbers=(10.0,), title="one sphere, Pe = 10"),
    "8 spheres": Medium(n=2, dimension=3, fraction=0.2, numbers=(20.0,), title="8 spheres, Pe = 20"),
    "8 spheres, 32 numbers": Medium(
        n=2, dimension=3, fraction=0.2, numbers=(*SWEEP, 20.0, 200.0), title="8 spheres, 32 numbers"
    ),
}
