"""Particles at random places: by random sequential addition, or independently of each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt
import scipy.spatial

from homfem.keywords import takes
from homfem.orientation.distributions import Uniform
from homfem.orientation.draws import Orientation, frames, sample_directions
from homfem.parameters import Array, InputError, check_integer, check_number
from homfem.random_media.particles import Indices, ParticleMedium, check_period, images, require_particles
from homfem.random_media.shapes import Flags, Particle

Scale = Callable[[np.random.Generator, int], npt.ArrayLike]


class ManyOptions(TypedDict, total=False):
    """The words of :class:`Many` as keywords of a function."""

    fraction: float | None
    number: int | None
    orientation: Orientation
    scale: Scale | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Many:
    """How many particles there are, in which directions and sizes.

    Parameters
    ----------
    fraction
        Volume fraction, in (0, 1). Without ``number`` the nearest that whole particles make.
    number
        How many particles. With ``fraction`` the particles are scaled, so that it is met exactly.
    orientation
        Distribution of the directions, of :mod:`homfem.orientation`: ``Uniform``, ``Directions``, ``VonMisesFisher``,
        ``Watson``, ...; or a function ``(generator, count) -> vectors``.
    scale
        Function ``(generator, count) -> factors > 0`` for the sizes; large particles are then tried first.
    """

    fraction: float | None = None
    number: int | None = None
    orientation: Orientation = Uniform()  # noqa: RUF009  (frozen)
    scale: Scale | None = None


@takes(Many)
def random_sequential_addition(
    particle: Particle,
    *,
    period: Sequence[float],
    seed: int,
    gap: float = 0.0,
    tries: int = 2000,
    **many: Unpack[ManyOptions],
) -> ParticleMedium:
    """Return particles that do not overlap, added one after the other at random places of a periodic box.

    A place where a particle would overlap is given up and another one is tried; what is placed stays. Sizes and
    directions are drawn before the places, so that they have the asked-for distributions however dense the medium.

    Parameters
    ----------
    particle
        ``Sphere``, ``Ellipsoid`` or ``Fibre``.
    period
        Sides of the box along x, y (and z): their number is the dimension.
    seed
        Seed of the random numbers: one seed, one medium.
    gap
        Least distance between the surfaces of two particles, >= 0 (for ellipsoids see ``Ellipsoid.apart``).
    tries
        Places that are tried before the fraction is taken to be out of reach, per particle that is wanted.
    **many
        As :class:`homfem.random_media.packing.Many` has them.

    Returns
    -------
    ParticleMedium

    Raises
    ------
    InputError
        The fraction is out of reach, with what was reached; a particle meets its own image; input out of range.

    Notes
    -----
    Discs and spheres of one size come to a halt near 0.547 and 0.382 (Torquato, Uche, Stillinger 2006, Phys. Rev. E 74,
    061308); from a few percent below that on the number of tries grows steeply. Places are tried in blocks, by a k-d
    tree: the work is proportional to the number of tries.

    Source: Feder 1980, J. Theor. Biol. 87, 237.

    Examples
    --------
    >>> from homfem.random_media import Sphere
    >>> medium = random_sequential_addition(Sphere(0.1), period=(1, 1, 1), fraction=0.2, seed=1)
    >>> medium.number
    48
    """
    asked = Many(**many)
    generator = np.random.default_rng(check_integer("seed", seed, at_least=0))
    sides = check_period(period)
    d, box = len(sides), np.array(sides)
    particle.check(d)
    gap = check_number("gap", gap, at_least=0.0)
    tries = check_integer("tries", tries, at_least=1)
    scales = _scales(particle, box, asked, generator)
    count = len(scales)
    wanted = float(particle.volume(d) * np.sum(scales**d) / box.prod())
    turned = frames(sample_directions(asked.orientation, count, d, generator), generator)
    if not np.all(_apart_from_images(particle, box, turned, scales, gap)):
        raise InputError(
            "period", sides, "so large that no particle meets its own image", f"It reaches {particle.reach:g} far."
        )
    centres, placed, used = _place(particle, box, turned, scales, gap, tries * count, generator)
    if not placed.all():
        reached = float(particle.volume(d) * np.sum(scales[placed] ** d) / box.prod())
        raise InputError(
            "fraction",
            wanted,
            f"within reach of random sequential addition: {used} tries gave {reached:.4g} "
            f"({int(placed.sum())} of {count} particles)",
            "Ask for less, a smaller gap or more tries; boolean_model lets particles overlap.",
        )
    return ParticleMedium(
        particle=particle,
        period=sides,
        centres=centres,
        frames=turned,
        scales=scales,
        overlap=False,
        expected_fraction=wanted if asked.fraction is None else float(asked.fraction),
        seed=int(seed),
        tries=used,
    )


def boolean_model(
    particle: Particle,
    *,
    period: Sequence[float],
    seed: int,
    fraction: float | None = None,
    density: float | None = None,
    orientation: Orientation = Uniform(),  # noqa: B008  (frozen)
) -> ParticleMedium:
    r"""Return particles at independent places of a periodic box, which may overlap: a Boolean model.

    Their number has the Poisson distribution of the given density n, so that the expected volume fraction of the
    particles of volume v is exactly

    .. math:: f=1-e^{-nv}.

    Parameters
    ----------
    particle
        ``Sphere``, ``Ellipsoid`` or ``Fibre``; not longer than the shortest period.
    period
        Sides of the box along x, y (and z).
    seed
        Seed of the random numbers.
    fraction
        Expected volume fraction, in (0, 1); or else
    density
        Expected number of particles per volume, > 0.
    orientation
        As for :func:`random_sequential_addition`.

    Raises
    ------
    InputError
        For input out of range.

    Source
    ------
    Chiu, Stoyan, Kendall, Mecke 2013, Stochastic Geometry and its Applications, section 3.1.
    """
    generator = np.random.default_rng(check_integer("seed", seed, at_least=0))
    sides = check_period(period)
    d, box = len(sides), np.array(sides)
    particle.check(d)
    volume = particle.volume(d)
    if (fraction is None) == (density is None):
        raise InputError("fraction", fraction, "given, or the density, one of the two")
    if density is None:
        density = -math.log1p(-check_number("fraction", fraction, above=0.0, below=1.0)) / volume
    density = check_number("density", density, above=0.0)
    if 2.0 * particle.reach > box.min():
        raise InputError("period", sides, f"at least {2 * particle.reach:g}, the length of a particle")
    require_particles(particle, density * float(box.prod()))
    count = int(generator.poisson(density * box.prod()))
    centres = generator.random((count, d)) * box
    turned = frames(sample_directions(orientation, count, d, generator), generator)
    return ParticleMedium(
        particle=particle,
        period=sides,
        centres=centres,
        frames=turned,
        scales=np.ones(count),
        overlap=True,
        expected_fraction=-math.expm1(-density * volume),
        seed=int(seed),
        tries=count,
    )


def _scales(particle: Particle, box: Array, asked: Many, generator: np.random.Generator) -> Array:
    """Sizes of the particles, largest first: as many as were asked for, or as come nearest to the fraction."""
    fraction, number, scale = asked.fraction, asked.number, asked.scale
    d, volume = len(box), particle.volume(len(box))
    if fraction is None and number is None:
        raise InputError("fraction", fraction, "given, or the number of particles, or both")
    if fraction is not None:
        check_number("fraction", fraction, above=0.0, below=1.0)
    if number is not None:
        require_particles(particle, float(check_integer("number", number, at_least=1)))
        scales = _draw(scale, number, generator)
        if fraction is not None:
            scales *= (fraction * box.prod() / (volume * np.sum(scales**d))) ** (1.0 / d)
    else:
        wanted = float(fraction or 0.0) * box.prod() / volume
        require_particles(particle, wanted)
        if scale is None:
            scales = np.ones(round(wanted))
        else:
            scales = np.zeros(0)
            while np.sum(scales**d) <= wanted:
                scales = np.append(scales, _draw(scale, max(64, len(scales)), generator))
            total = np.append(0.0, np.cumsum(scales**d))
            scales = scales[: int(np.argmin(np.abs(total - wanted)))]
        if not len(scales):
            least = volume / box.prod()
            raise InputError("fraction", fraction, f"enough for one particle, which has {least:.3g}", "Give number=1.")
    return np.sort(scales)[::-1]


def _draw(scale: Scale | None, count: int, generator: np.random.Generator) -> Array:
    if scale is None:
        return np.ones(count)
    try:
        drawn = np.array(scale(generator, count), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("scale", scale, f"a function (generator, count) -> factors > 0 ({error})") from error
    if drawn.shape != (count,) or not np.all(np.isfinite(drawn)) or np.any(drawn <= 0.0):
        raise InputError("scale", f"a function that gave {drawn}", f"finite numbers > 0, shape ({count},)")
    return drawn


def _apart_from_images(particle: Particle, box: Array, turned: Array, scales: Array, gap: float) -> Flags:
    """Whether each particle keeps the gap from its own images."""
    reach = 2.0 * particle.reach * float(scales.max()) + gap
    result = np.ones(len(scales), dtype=bool)
    turns = itertools.product(*[range(-int(reach / side), int(reach / side) + 1) for side in box])
    for turn in turns:
        if turn > (0,) * len(box):
            step = np.repeat([np.array(turn) * box], len(scales), axis=0)
            result &= particle.apart(step, turned, scales, turned, scales, gap)
    return result


def _place(
    particle: Particle, box: Array, turned: Array, scales: Array, gap: float, tries: int, generator: np.random.Generator
) -> tuple[Array, Flags, int]:
    """Place the particles; return their centres, which of them are placed, and the number of tries.

    Of a block of random places those in conflict with placed particles are given up at once; of the others each in
    turn is taken unless one that was taken before is in its way: as if they had been tried one by one.
    """
    count, d = len(scales), len(box)
    block = min(max(500, count), 20_000)
    centres, placed, used = np.zeros((count, d)), np.zeros(count, dtype=bool), 0

    def conflicts(i: Indices, x: Array, j: Indices, y: Array, same: bool = False) -> tuple[Indices, Indices]:
        """Pairs of rows of (i, x) and (j, y), particles at places, of which one is in the way of the other."""
        reach = particle.reach * (scales[i].max() + scales[j].max()) + gap
        places, owner = images(y, box, reach)
        far = scipy.spatial.cKDTree(x).sparse_distance_matrix(
            scipy.spatial.cKDTree(places), reach, output_type="ndarray"
        )
        a, b = far["i"], far["j"]
        if same:
            a, b = a[owner[b] < a], b[owner[b] < a]
        step = places[b] - x[a]
        b = owner[b]
        meet = ~particle.apart(step, turned[i[a]], scales[i[a]], turned[j[b]], scales[j[b]], gap)
        return a[meet], b[meet]

    while used < tries and not placed.all():
        waiting = np.flatnonzero(~placed)
        # Large particles are tried first; where few wait, each gets many places at a time.
        size = min(block, tries - used)
        who = np.repeat(waiting[:size], max(size // len(waiting), 1))
        x = generator.random((len(who), d)) * box
        used += len(who)
        settled = np.flatnonzero(placed)
        free = np.ones(len(who), dtype=bool)
        if len(settled):
            free[conflicts(who, x, settled, centres[settled])[0]] = False
        who, x = who[free], x[free]
        if not len(who):
            continue
        later, earlier = conflicts(who, x, who, x, same=True)
        start = np.searchsorted(later, np.arange(len(who) + 1), sorter=(order := np.argsort(later, kind="stable")))
        earlier = earlier[order]
        taken = np.zeros(len(who), dtype=bool)
        for k in range(len(who)):
            if not placed[who[k]] and not taken[earlier[start[k] : start[k + 1]]].any():
                taken[k] = placed[who[k]] = True
        centres[who[taken]] = x[taken]
    return centres, placed, used
