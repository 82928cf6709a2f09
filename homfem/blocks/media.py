"""The media of March, Carr and Turner, and generators of block media: checkerboards, aggregates, pixelations.

Source: March, Carr, Turner, "A fast algorithm for semi-analytically solving the homogenization boundary value problem
for block locally-isotropic heterogeneous media", sections 5.1, 5.3 and 5.4. The text carries no pictures; the layouts
of cases 1-4 are identified from the printed tensors (see :mod:`homfem.blocks.tables`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from homfem.blocks.medium import BlockMedium
from homfem.parameters import Array, InputError, check_choice, check_integer, check_number

LAYOUTS: dict[str, tuple[str, ...]] = {
    "1": ("LLLLLLLL", "LLLLLLLL", "LLDDDDLL", "LLDDDDLL", "LLDDDDLL", "LLDDDDLL", "LLLLLLLL", "LLLLLLLL"),
    "2": ("DDLLLLDD", "LLLLLLLL", "LLLLLLLL", "LLDDDDLL", "LLDDDDLL", "LLLLLLLL", "LLLLLLLL", "DDLLLLDD"),
    "3": ("LLLLLLLL", "LLLLLLLL", "LLLLLLLL", "DDDDDDDD", "DDDDDDDD", "LLLLLLLL", "LLLLLLLL", "LLLLLLLL"),
    "4": ("LLDDLLLL", "LLDDLLLL", "LLDDLLLL", "LLDDLLLL", "LLDDDDLL", "LLDDDDLL", "LLLLLLLL", "LLLLLLLL"),
    "A": ("LLLL", "LDDL", "LDDL", "LLLL"),
    "B": ("LDLL", "LDLL", "LDDL", "LLLL"),
}


def paper_case(name: str, *, light: float = 1.0, dark: float = 0.1) -> BlockMedium:
    """Return a test medium of the paper by its name.

    ``"1"`` ... ``"4"`` have 8 x 8 blocks, ``"A"`` and ``"B"`` 4 x 4, ``"C"`` and ``"D"`` 16 x 16; A and C are case 1 on
    these grids, B and D are case 4.
    """
    check_choice("case", name, ("1", "2", "3", "4", "A", "B", "C", "D"))
    cuts = {"C": 4, "D": 4}.get(name, 1)
    layout = LAYOUTS[{"C": "A", "D": "B"}.get(name, name)]
    medium = BlockMedium.from_layout(layout, {"L": light, "D": dark})
    return medium.refined(cuts) if cuts > 1 else medium


def checkerboard(number: int, *, light: float = 1.0, dark: float = 0.1) -> BlockMedium:
    """Return the m x m checkerboard of unit size with ``dark`` in the corner (0, 0) (their eq. 67)."""
    check_integer("number", number, at_least=1)
    odd = np.add.outer(np.arange(number), np.arange(number)) % 2
    return BlockMedium(diffusivity=np.where(odd == 1, light, dark))


def aggregated(
    number: int, *, seed: int, iterations: int = 10, light: float = 1.0, dark: float = 0.1, share: float = 0.5
) -> BlockMedium:
    r"""Return a random aggregated medium of m x m blocks (their eq. 68).

    Uniform random numbers are smoothed ``iterations`` times, periodically, with the weights 4/9 (the block), 1/9 (its
    four neighbours) and 1/36 (its four diagonal neighbours); then the largest ``share`` of the blocks becomes light
    and the rest dark.

    Parameters
    ----------
    number
        Blocks in each direction, >= 2.
    seed
        Seed of the random numbers: one seed, one medium.
    iterations
        Number of smoothing steps, >= 0. The paper does not print its own.
    light, dark
        The two diffusivities.
    share
        Fraction of light blocks, in (0, 1); the paper's is 0.5.
    """
    check_integer("number", number, at_least=2)
    check_integer("iterations", iterations, at_least=0)
    check_number("share", share, above=0.0, below=1.0)
    field = np.random.default_rng(seed).random((number, number))
    for _ in range(iterations):
        # The nine weights are the product of (1/6, 2/3, 1/6) along both axes.
        for axis in (0, 1):
            field = 2.0 / 3.0 * field + (np.roll(field, 1, axis) + np.roll(field, -1, axis)) / 6.0
    order = np.argsort(field, axis=None, kind="stable")[::-1]
    values = np.full(number * number, float(dark))
    values[order[: round(share * number * number)]] = light
    return BlockMedium(diffusivity=values.reshape(number, number))


def pixelated(
    image: npt.ArrayLike, resolution: int, *, threshold: float = 0.55, light: float = 1.0, dark: float = 0.1
) -> BlockMedium:
    """Return an r x r block medium from a finer image of diffusivities (their section 5.4).

    A block is ``light`` where the mean of its pixels is at least ``threshold``, else ``dark``.

    Parameters
    ----------
    image
        Square array of diffusivities, shape (M, M), row 0 at the smallest y; M a multiple of ``resolution``.
    resolution
        The number of blocks r in each direction.
    threshold
        Their 0.55 is half-way between the diffusivities 0.1 and 1.
    light, dark
        The two diffusivities.
    """
    array: Array = np.asarray(image, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not np.all(np.isfinite(array)):
        raise InputError("image", array, "a square array of finite numbers")
    check_integer("resolution", resolution, at_least=1, at_most=array.shape[0])
    if array.shape[0] % resolution:
        allowed = f"a divisor of the image's {array.shape[0]} pixels"
        raise InputError("resolution", resolution, allowed)
    size = array.shape[0] // resolution
    means = array.reshape(resolution, size, resolution, size).mean(axis=(1, 3))
    return BlockMedium(diffusivity=np.where(means >= threshold * (1.0 - 1e-14), light, dark))


def inclusions_image(size: int = 512, *, light: float = 1.0, dark: float = 0.1) -> Array:
    """Return an image of smooth dark inclusions in a light matrix, shape (size, size), for pixelation.

    The paper's own 512 x 512 image (its Table 4(a)) is not printed; this one has the same kind of geometry: a few
    curved inclusions, three of which cross the boundary of the period.
    """
    check_integer("size", size, at_least=8)
    centre = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(centre, centre)
    # centre x, centre y, half axes, angle, amplitude and number of the lobes
    shapes = [
        (0.27, 0.30, 0.20, 0.13, 0.6, 0.15, 3),
        (0.72, 0.24, 0.15, 0.15, 0.0, 0.20, 4),
        (0.55, 0.66, 0.22, 0.11, 2.3, 0.12, 2),
        (0.12, 0.76, 0.13, 0.17, 0.3, 0.18, 3),
        (0.93, 0.58, 0.10, 0.13, 1.1, 0.10, 5),
        (0.82, 0.94, 0.14, 0.08, 2.8, 0.10, 3),
    ]
    image = np.full((size, size), float(light))
    for cx, cy, a, b, angle, lobes, number in shapes:
        dx, dy = (x - cx + 0.5) % 1.0 - 0.5, (y - cy + 0.5) % 1.0 - 0.5
        u, v = np.cos(angle) * dx + np.sin(angle) * dy, -np.sin(angle) * dx + np.cos(angle) * dy
        radius, polar = np.hypot(u / a, v / b), np.arctan2(v / b, u / a)
        image[radius < 1.0 + lobes * np.cos(number * polar)] = dark
    return image
