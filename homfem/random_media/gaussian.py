"""Media cut out of a periodic Gaussian random field by a threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage

from homfem.parameters import Array, InputError, check_integer, check_number
from homfem.random_media.particles import Labels, check_period, check_shape

#: Modes whose amplitude is below this part of the largest are left out.
_SMALLEST = 1e-8
_MODES = 30_000_000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GaussianMedium:
    r"""The part of a periodic box where a Gaussian random field is large.

    The field has mean 0 over the box, variance 1 (up to that of its mean, which is taken away) and the correlation

    .. math:: C(r)=\sum_{m}\exp\Bigl(-\sum_k\bigl((r_k+m_kL_k)/\ell_k\bigr)^2\Bigr)\Big/\text{(the same at }r=0),

    so that C falls to 1/e at the length :math:`\ell_k` along axis k (the sum runs over all images of the box). It is a
    sum of Fourier modes, a smooth function of all points, and does not depend on the grid on which it is seen.

    Parameters
    ----------
    period : tuple of float
        Sides L of the box.
    lengths : tuple of float
        Correlation lengths :math:`\ell`, one for each axis.
    fraction
        Volume fraction of the phase where the field is large.
    seed
        Seed that it was drawn from.
    modes : array of complex, shape (2 K_x + 1, ..., K_z + 1)
        Fourier coefficients, in the order of a real FFT of odd shape.
    """

    period: tuple[float, ...]
    lengths: tuple[float, ...]
    fraction: float
    seed: int
    modes: npt.NDArray[np.complex128]

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return len(self.period)

    def field(self, shape: int | Sequence[int]) -> Array:
        """Return the field at the centres of voxels, exact on every grid, shape (n_x, n_y[, n_z])."""
        shape = check_shape(shape, self.dimension)
        own = _grid(self.modes)
        # A grid that is too coarse for all modes is made finer by an odd factor, whose voxels have the same centres.
        factors = [2 * (-(-m // n) // 2) + 1 for m, n in zip(own, shape, strict=True)]
        fine = [n * f for n, f in zip(shape, factors, strict=True)]
        spectrum = np.zeros((*fine[:-1], fine[-1] // 2 + 1), dtype=np.complex128)
        waves = [np.fft.fftfreq(m, 1.0 / m).astype(np.int64) for m in own[:-1]] + [np.arange(self.modes.shape[-1])]
        shift = [np.exp(1j * np.pi * k / n) for k, n in zip(waves, fine, strict=True)]
        spectrum[np.ix_(*waves)] = self.modes * reduce(np.multiply, np.ix_(*shift))
        values = scipy.fft.irfftn(spectrum, s=fine, norm="forward")
        return np.ascontiguousarray(values[tuple(slice(f // 2, None, f) for f in factors)])

    def labels(self, shape: int | Sequence[int]) -> Labels:
        """Return 1 where the field is largest and 0 elsewhere; the fraction is met up to half a voxel.

        ``shape``: voxels along x, y (and z), or one number for all axes. The threshold is the quantile of the field on
        this very grid.
        """
        values = self.field(shape)
        count = round(self.fraction * values.size)
        if count in (0, values.size):
            remedy = f"A fraction of {self.fraction:g} needs more voxels."
            raise InputError("shape", shape, "so fine that both phases have a voxel", remedy)
        result = np.zeros(values.size, dtype=np.uint8)
        result[np.argpartition(values.ravel(), values.size - count)[values.size - count :]] = 1
        return result.reshape(values.shape)

    def level_set(self) -> Callable[[npt.ArrayLike], Array]:
        r"""Return a periodic function of points, shape (n, d), negative where the field is large.

        It is (threshold - field) / :math:`\sqrt{\langle|\nabla field|^2\rangle}`, a length of the order of the distance
        near the surface. Values come from cubic splines on a grid of two points per shortest wave or more; their error
        is about 2e-4 standard deviations of the field. The threshold is the quantile of that grid.
        """
        own = _grid(self.modes)
        shape = tuple(2 * m if m > 32 else 64 for m in own)
        values = self.field(shape)
        threshold = float(np.quantile(values, 1.0 - self.fraction))
        slope = np.sqrt(sum(2.0 / length**2 for length in self.lengths))
        spline = scipy.ndimage.spline_filter(values, order=3, mode="grid-wrap")
        scale = np.array(shape) / np.array(self.period)

        def value(points: npt.ArrayLike) -> Array:
            places = np.atleast_2d(np.asarray(points, dtype=np.float64)) * scale - 0.5
            there = scipy.ndimage.map_coordinates(spline, places.T, order=3, mode="grid-wrap", prefilter=False)
            return np.asarray((threshold - there) / slope)

        return value


def gaussian_medium(
    lengths: float | Sequence[float], *, period: Sequence[float], fraction: float, seed: int
) -> GaussianMedium:
    """Return a medium cut out of a Gaussian random field.

    Parameters
    ----------
    lengths
        Correlation length of the field (its correlation is 1/e there), one for all axes or one for each; at most half
        the period.
    period
        Sides of the periodic box along x, y (and z).
    fraction
        Volume fraction of the label 1, in (0, 1).
    seed
        Seed of the random numbers: one seed, one medium, on whatever grid.

    Raises
    ------
    InputError
        For input out of range, or lengths so short that the field has more than 3e7 modes.

    Source
    ------
    Adler 1981, The Geometry of Random Fields; level cuts as media: Quiblier 1984, J. Colloid Interface Sci. 98, 84.

    Examples
    --------
    >>> medium = gaussian_medium(0.1, period=(1, 1), fraction=0.3, seed=1)
    >>> int(medium.labels(100).sum())
    3000
    """
    sides = check_period(period)
    d = len(sides)
    fraction = check_number("fraction", fraction, above=0.0, below=1.0)
    generator = np.random.default_rng(check_integer("seed", seed, at_least=0))
    given = [lengths] * d if np.isscalar(lengths) else list(lengths)  # type: ignore[arg-type]
    if len(given) != d:
        raise InputError("lengths", lengths, f"one length, or {d}, one for each axis")
    lengths = tuple(
        check_number("lengths", value, above=0.0, at_most=0.5 * side) for value, side in zip(given, sides, strict=True)
    )
    # The modes of exp(-(r/l)^2) in a box of side L have variances proportional to exp(-(pi l k / L)^2).
    rate = [np.pi * length / side for length, side in zip(lengths, sides, strict=True)]
    highest = [int(np.ceil(np.sqrt(-2.0 * np.log(_SMALLEST)) / r)) for r in rate]
    shape = tuple(2 * k + 1 for k in highest)
    if np.prod([float(n) for n in shape]) > _MODES:
        remedy = f"It would take {np.prod([float(n) for n in shape]):.1e} modes."
        raise InputError("lengths", lengths, f"so long that the field has at most {_MODES:.0e} modes", remedy)
    noise = scipy.fft.rfftn(generator.standard_normal(shape), norm="ortho")
    waves = [np.fft.fftfreq(n, 1.0 / n) for n in shape[:-1]] + [np.arange(highest[-1] + 1.0)]
    each = [np.exp(-((r * k) ** 2)) for r, k in zip(rate, waves, strict=True)]
    total = np.prod([np.sum(np.exp(-((r * np.arange(-k, k + 1)) ** 2))) for r, k in zip(rate, highest, strict=True)])
    variance = reduce(np.multiply, np.ix_(*each)) / total
    variance[(0,) * d] = 0.0  # the mean of the field is only a shift of the threshold
    return GaussianMedium(
        period=sides, lengths=lengths, fraction=fraction, seed=int(seed), modes=noise * np.sqrt(variance)
    )


def _grid(modes: npt.NDArray[np.complex128]) -> tuple[int, ...]:
    return (*modes.shape[:-1], 2 * modes.shape[-1] - 1)
