"""Measured orientation densities: values on directions or on a spherical grid, and spherical-harmonic series."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homfem.orientation.distributions import check_generator
from homfem.orientation.sphere import check_directions, fourth_of, second_of, sphere_rule, unit
from homfem.parameters import Array, InputError, check_choice


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeasuredDensity:
    r"""A density measured in a list of directions: constant on the patch of points nearest to each direction.

    Moments are sums over the directions, :math:`\sum_kw_kf_kn_kn_k/\sum_kw_kf_k`, with the areas :math:`w_k` of the
    patches: an error of second order in the distance of the directions. Draws are directions of the list.

    Parameters
    ----------
    directions : array, shape (k, d)
        Unit vectors, d = 2 or 3.
    values : array, shape (k,)
        The density in each direction, >= 0, up to a common factor.
    half : bool
        The directions cover only half of the sphere (or circle), as is usual for fibres without a head: each is
        completed by its opposite with the same value.
    areas : array, shape (k,), optional
        Areas of the patches, up to a common factor; by default those of the Voronoi cells on the sphere (half the gaps
        to both neighbours on the circle).

    Raises
    ------
    InputError
        Vectors that are not of length 1, negative values, directions that occur twice (without ``areas``).
    """

    directions: npt.ArrayLike
    values: npt.ArrayLike
    half: bool = False
    areas: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        rows = np.asarray(self.directions, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] not in (2, 3):
            raise InputError("directions", self.directions, "unit vectors, shape (k, 2) or (k, 3)")
        rows = check_directions("directions", rows, rows.shape[1])
        values = _not_negative("values", self.values, len(rows))
        given = None if self.areas is None else _not_negative("areas", self.areas, len(rows))
        if self.half:
            rows, values = np.concatenate([rows, -rows]), np.tile(values, 2)
            given = None if given is None else np.tile(given, 2)
        areas: Array = _patch_areas(rows) if given is None else given
        if areas.sum() == 0.0:
            raise InputError("areas", self.areas, "not zero everywhere")
        areas = areas * (2.0 * np.pi * (rows.shape[1] - 1) / areas.sum())
        total = float(areas @ values)
        if total == 0.0:
            raise InputError("values", self.values, "not zero everywhere")
        for name, array in (("directions", rows), ("values", values / total), ("areas", areas)):
            object.__setattr__(self, name, array)
        object.__setattr__(self, "half", False)  # the opposites are there now

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return int(np.asarray(self.directions).shape[1])

    @property
    def weights(self) -> Array:
        """Probability of each patch, shape (k,)."""
        return np.asarray(np.asarray(self.areas) * np.asarray(self.values))

    def density(self, n: npt.ArrayLike) -> Array:
        """Return the density at unit vectors of shape (..., d): the value of the nearest direction; shape (...)."""
        import scipy.spatial

        nearest = scipy.spatial.cKDTree(self.directions).query(check_directions("n", n, self.dimension))[1]
        return np.asarray(np.asarray(self.values)[nearest])

    def second_moment(self) -> Array:
        """Return the second-order orientation tensor, shape (d, d)."""
        return second_of(np.asarray(self.directions), self.weights)

    def fourth_moment(self) -> Array:
        """Return the fourth-order orientation tensor, shape (d, d, d, d)."""
        return fourth_of(np.asarray(self.directions), self.weights)

    def sample(self, count: int, generator: np.random.Generator) -> Array:
        """Return unit vectors of the list, shape (count, d)."""
        rows = np.asarray(self.directions)
        return np.asarray(rows[check_generator(generator).choice(len(rows), size=count, p=self.weights)])


def density_on_grid(values: npt.ArrayLike) -> MeasuredDensity:
    r"""Return the density with given values on a grid of spherical angles.

    ``values[i, j]`` is the density at the polar angle :math:`\theta_i=(i+\frac12)\pi/m` (from z) and the azimuth
    :math:`\varphi_j=2\pi j/k` (from x towards y); the patches have the exact areas of the grid,
    :math:`(\cos\theta_{i-1/2}-\cos\theta_{i+1/2})2\pi/k`.

    Parameters
    ----------
    values : array, shape (m, k)
        >= 0, up to a common factor; m >= 2, k >= 4.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 4:
        raise InputError("values", values, "a table of shape (m, k), m >= 2 polar angles and k >= 4 azimuths")
    m, k = table.shape
    polar, azimuth = np.meshgrid((np.arange(m) + 0.5) * np.pi / m, 2.0 * np.pi * np.arange(k) / k, indexing="ij")
    rows = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1)
    return MeasuredDensity(directions=unit(rows.reshape(-1, 3)), values=table.ravel(), areas=np.sin(polar).ravel())


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SphericalHarmonicDensity:
    r"""A series of real spherical harmonics of even degree, as diffusion imaging gives it. Axial; three dimensions.

    :math:`f(n)=\sum_{l=0,2,\dots,L}\sum_{m=-l}^lc_{lm}Y_{lm}(n)/(\sqrt{4\pi}c_{00})`, the coefficients in the order
    l = 0, 2, ..., and m = -l ... l within each degree: :math:`c_{lm}` is at position :math:`l(l+1)/2+m`. With the
    complex harmonics :math:`Y_l^m` (Condon-Shortley phase, polar angle from z, azimuth from x towards y), all times
    :math:`\sqrt2` where :math:`m\ne0`:

    ============================ ======================= =======================
    basis                        m < 0                   m > 0
    ============================ ======================= =======================
    ``"tournier07"`` (MRtrix3)   Im of :math:`Y_l^{|m|}` Re of :math:`Y_l^m`
    ``"descoteaux07"``           Re of :math:`Y_l^m`     Im of :math:`Y_l^m`
    ``"descoteaux07-legacy"``    Re of :math:`Y_l^{|m|}` Im of :math:`Y_l^m`
    ============================ ======================= =======================

    Parameters
    ----------
    coefficients : array, shape ((L + 1)(L + 2) / 2,)
        The first one > 0; it only sets the scale.
    basis : str
        One of the above.

    Notes
    -----
    The orientation tensors depend on the degrees 0, 2 and 4 only, and are exact for the series (round-off). A series
    may be negative in places: the moments are those of the series as it is, and draws are refused.

    Sources: Descoteaux et al. 2007, Magn. Reson. Med. 58, 497; Tournier et al. 2007, NeuroImage 35, 1459; the
    documentations of DIPY 1.9 ("Spherical harmonic bases") and MRtrix3 ("Spherical harmonics").
    """

    coefficients: npt.ArrayLike
    basis: str = "tournier07"

    def __post_init__(self) -> None:
        check_choice("basis", self.basis, ("tournier07", "descoteaux07", "descoteaux07-legacy"))
        c = np.array(self.coefficients, dtype=np.float64)
        degree = (math.isqrt(8 * c.size + 1) - 3) // 2
        if c.ndim != 1 or c.size == 0 or (degree + 1) * (degree + 2) != 2 * c.size or degree % 2:
            raise InputError("coefficients", self.coefficients, "1, 6, 15, 28, 45, ... numbers: even degrees up to L")
        if not np.all(np.isfinite(c)) or c[0] <= 0.0:
            raise InputError("coefficients", self.coefficients, "finite numbers, the first one > 0")
        object.__setattr__(self, "coefficients", c / (c[0] * np.sqrt(4.0 * np.pi)))

    @property
    def dimension(self) -> int:
        """Number of space dimensions: 3."""
        return 3

    @property
    def degree(self) -> int:
        """The highest degree L."""
        return (math.isqrt(8 * np.size(self.coefficients) + 1) - 3) // 2

    def density(self, n: npt.ArrayLike) -> Array:
        """Return the series at unit vectors of shape (..., 3); shape (...). It may be negative."""
        return self._series(check_directions("n", n, 3))

    def _series(self, n: Array) -> Array:
        from scipy import special

        polar, azimuth = np.arccos(np.clip(n[..., 2], -1.0, 1.0)), np.arctan2(n[..., 1], n[..., 0])
        total = np.zeros(n.shape[:-1])
        for degree in range(0, self.degree + 1, 2):
            for m in range(-degree, degree + 1):
                y = special.sph_harm_y(degree, -m if m < 0 and self.basis != "descoteaux07" else m, polar, azimuth)
                real = (m < 0) == self.basis.startswith("descoteaux") or m == 0
                part = (y.real if real else y.imag) * (math.sqrt(2.0) if m else 1.0)
                total += np.asarray(self.coefficients)[degree * (degree + 1) // 2 + m] * part
        return total

    def second_moment(self) -> Array:
        """Return the second-order orientation tensor, shape (3, 3)."""
        n, weights = sphere_rule(self.degree + 2)
        return second_of(n, weights * self._series(n))

    def fourth_moment(self) -> Array:
        """Return the fourth-order orientation tensor, shape (3, 3, 3, 3)."""
        n, weights = sphere_rule(self.degree + 4)
        return fourth_of(n, weights * self._series(n))

    def sample(self, count: int, generator: np.random.Generator) -> Array:
        """Return unit vectors, shape (count, 3), by rejection; refused where the series is negative somewhere."""
        check_generator(generator)
        on_grid = self._series(sphere_rule(4 * self.degree + 20)[0])
        if on_grid.min() < -1e-6 * on_grid.max():
            share = on_grid.min() / on_grid.max()
            remedy = f"Its smallest value is {share:.2g} of its largest. MeasuredDensity takes values cut off at 0."
            raise InputError("coefficients", "a series", "positive everywhere, to draw from it", remedy)
        highest, drawn = 1.05 * on_grid.max(), np.zeros((0, 3))
        while len(drawn) < count:
            n = unit(generator.standard_normal((4 * count + 8, 3)))
            drawn = np.concatenate([drawn, n[highest * generator.random(len(n)) < self._series(n)]])
        return np.asarray(drawn[:count])


def _not_negative(name: str, value: npt.ArrayLike, count: int) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (count,) or not np.all(np.isfinite(array)) or np.any(array < 0.0):
        raise InputError(name, value, f"{count} finite numbers >= 0, one for each direction")
    return array


def _patch_areas(rows: Array) -> Array:
    """Return the lengths or areas of the sets of points nearest to each direction."""
    import scipy.spatial

    twice = "different directions that do not all lie in one plane"
    if rows.shape[1] == 2:
        angle = np.arctan2(rows[:, 1], rows[:, 0])
        order = np.argsort(angle)
        gaps = np.diff(np.append(angle[order], angle[order[0]] + 2.0 * np.pi))
        if len(rows) < 2 or gaps.min() < 1e-9:
            raise InputError("directions", rows, "two or more different directions")
        lengths = np.empty(len(rows))
        lengths[order] = 0.5 * (gaps + np.roll(gaps, 1))
        return lengths
    try:
        cells = scipy.spatial.SphericalVoronoi(rows, threshold=1e-9)
        cells.sort_vertices_of_regions()
        return np.asarray(cells.calculate_areas())
    except (ValueError, scipy.spatial.QhullError) as error:
        remedy = "Leave half = False if the list covers the sphere; or give the areas."
        raise InputError("directions", rows, f"four or more {twice}", f"{error}. {remedy}") from error
