"""Periodic level-set functions: negative inside, positive outside, zero on the surface. Plain arrays, no dolfinx."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.spatial

from homfem.parameters import Array, CellError, ConvergenceError, InputError, Lattice

#: phi(points of shape (n, d)) -> values of shape (n,): periodic, continuous, negative inside.
LevelSet = Callable[[Array], npt.ArrayLike]

#: Step of the central differences of a gradient, as a fraction of the shortest period.
STEP = 1e-5
#: Most rounds of the search for a root; bisection alone takes 53 for the digits of a number, and 33 to reach NEAREST.
ROUNDS = 100
#: A root that is nearer to 0 than this has no more digits than one there.
NEAREST = 1e-10


def values(phi: LevelSet, points: Array, name: str = "function") -> Array:
    """Return the level-set function at points, shape (n,), checked to be one finite number per point."""
    found = np.asarray(phi(points), dtype=np.float64)
    if found.shape != (len(points),):
        raise InputError(
            name, found.shape, f"a function of points (n, d) that returns shape (n,), here ({len(points)},)"
        )
    if not np.isfinite(found).all():
        bad = points[np.flatnonzero(~np.isfinite(found))[0]]
        raise InputError(name, "not a finite number", f"finite everywhere; it is not at {np.array2string(bad)}")
    return found


def gradients(phi: LevelSet, points: Array, step: float) -> Array:
    """Return the gradient by central differences of the given step, shape (n, d)."""
    return expansions(phi, points, step)[1]


def expansions(phi: LevelSet, points: Array, step: float) -> tuple[Array, Array]:
    """Return the values, shape (n,), and the gradients by central differences of a step, shape (n, d), by one call."""
    here, ahead, behind = _around(phi, points, step)
    return here, np.asarray((ahead - behind) / (2.0 * step))


def slopes(phi: LevelSet, points: Array, step: float) -> tuple[Array, Array]:
    """Return the slopes by differences ahead and behind of a step along each axis, both of shape (n, d)."""
    here, ahead, behind = _around(phi, points, step)
    return np.asarray((ahead - here[:, None]) / step), np.asarray((here[:, None] - behind) / step)


def _around(phi: LevelSet, points: Array, step: float) -> tuple[Array, Array, Array]:
    """Values at points, shape (n,), and a step ahead of and behind them along each axis, shape (n, d)."""
    n, d = points.shape
    shifts = step * np.vstack([np.zeros(d), np.eye(d), -np.eye(d)])
    found = values(phi, (points + shifts[:, None]).reshape(-1, d)).reshape(2 * d + 1, n)
    return found[0], found[1 : d + 1].T, found[d + 1 :].T


def roots(function: Callable[[Array, npt.NDArray[np.int64]], Array], count: int) -> Array:
    """Return for each of ``count`` functions a root between 0 and 1, shape (count,), to the last digits.

    Parameters
    ----------
    function
        ``function(x, number)`` gives the values at ``x`` of the functions of these numbers. At 0 and at 1 their signs
        differ.

    Raises
    ------
    ConvergenceError
        If there is none.

    Notes
    -----
    Bisection and inverse quadratic interpolation: Chandrupatla 1997, doi 10.1016/S0965-9978(96)00051-8.
    """
    result: Array = np.empty(count)
    number: npt.NDArray[np.int64] = np.arange(count)
    part: Array = np.full(count, 0.5)
    # The newest point of each function, the other end of its bracket, and the point before; their values.
    ends: Array = np.array([np.zeros(count), np.ones(count), np.zeros(count)])
    x, y, z = ends
    fx, fy, fz = function(x, number), function(y, number), ends[2]
    if np.any(np.sign(fx) * np.sign(fy) > 0.0):
        raise ConvergenceError("no root: the level set has one sign at both ends of an edge")
    for _ in range(ROUNDS):
        new = x + part * (y - x)
        found = function(new, number)
        alike = np.sign(found) == np.sign(fx)
        z, fz = np.where(alike, x, y), np.where(alike, fx, fy)
        y, fy = np.where(alike, y, x), np.where(alike, fy, fx)
        x, fx = new, found
        best = np.where(np.abs(fx) < np.abs(fy), x, y)
        width, least = np.abs(y - x), 8.0 * np.finfo(np.float64).eps * np.maximum(np.abs(best), NEAREST)
        done = (width < least) | (fx == 0.0) | (fy == 0.0)
        result[number[done]] = best[done]
        if done.all():
            return result
        number, best, width, least = (values[~done] for values in (number, best, width, least))
        x, y, z, fx, fy, fz = (values[~done] for values in (x, y, z, fx, fy, fz))
        with np.errstate(divide="ignore", invalid="ignore"):
            xi, phi = (x - y) / (z - y), (fx - fy) / (fz - fy)
            curved = (1.0 - np.sqrt(1.0 - xi) < phi) & (phi < np.sqrt(xi))
            step = fx / (fx - fy) * fz / (fz - fy) - (z - x) / (y - x) * fx / (fz - fx) * fy / (fy - fz)
        part = np.clip(np.where(curved, step, 0.5), 0.5 * least / width, 1.0 - 0.5 * least / width)
    raise ConvergenceError(f"no root of the level set on {len(number)} edges after {ROUNDS} rounds")


def check_periodic(phi: LevelSet, lattice: Lattice, name: str) -> None:
    """Raise :class:`InputError` if the function differs between points one period apart.

    Sixty-four fixed points are looked at, to 1e-6 of the range of their values.
    """
    d = lattice.dimension
    points = np.modf(np.arange(1, 65)[:, None] * np.sqrt([2.0, 3.0, 5.0])[:d])[0] @ lattice.vectors
    here = values(phi, points, name)
    for k, vector in enumerate(lattice.vectors):
        change = np.abs(values(phi, points + vector, name) - here).max()
        if change > 1e-6 * max(np.ptp(here), 1e-300):
            raise InputError(
                name,
                f"changed by {change:.3g} along period {k + 1}",
                "periodic: the same one period on",
                "Wrap the points, or check the lattice.",
            )


def balls(lattice: Lattice, centres: npt.ArrayLike, radii: npt.ArrayLike) -> LevelSet:
    r"""Return :math:`\min_j(|x-c_j|-r_j)` over all discs (spheres) and their images: the signed distance outside.

    Parameters
    ----------
    lattice
        Period vectors.
    centres : array, shape (k, d)
    radii
        One radius, or one for each; in the unit of the lattice.
    """
    middle = np.atleast_2d(np.asarray(centres, dtype=np.float64))
    radius = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(middle),))
    if middle.shape[1:] != (lattice.dimension,) or not np.all(np.isfinite(middle)):
        raise CellError("centres", middle, f"finite, of shape (k, {lattice.dimension})")
    if not np.all(radius > 0.0):
        raise CellError("radii", radius, "> 0")
    if len(middle) <= 8 and not np.any(lattice.vectors - np.diag(np.diag(lattice.vectors))):
        sides = np.diag(lattice.vectors)
        return lambda points: _nearest_in_box(points, middle, radius, sides)
    images = _images(lattice)
    groups = []
    for r in np.unique(radius):
        copies = _wrapped(lattice, middle[radius == r])[None] + images[:, None]
        groups.append((scipy.spatial.cKDTree(copies.reshape(-1, lattice.dimension)), r))

    def distance(points: Array) -> Array:
        inside = _wrapped(lattice, points)
        return np.asarray(np.min([tree.query(inside)[0] - r for tree, r in groups], axis=0))

    return distance


def nearest(lattice: Lattice, places: npt.ArrayLike) -> Callable[[Array], tuple[Array, npt.NDArray[np.int64]]]:
    """Return a function of points that gives the distance to the nearest of the places or images, and which it is."""
    middle = _wrapped(lattice, np.atleast_2d(np.asarray(places, dtype=np.float64)))
    copies = (middle[None] + _images(lattice)[:, None]).reshape(-1, lattice.dimension)
    tree = scipy.spatial.cKDTree(copies)

    def found(points: Array) -> tuple[Array, npt.NDArray[np.int64]]:
        distance, number = tree.query(_wrapped(lattice, points))
        return distance, number % len(middle)

    return found


def second_nearest(lattice: Lattice, centres: npt.ArrayLike, radius: float) -> Callable[[Array], Array]:
    """Return the sum of the distances from the surfaces of the two nearest of equal balls: near one, the gap there."""
    middle = _wrapped(lattice, np.atleast_2d(np.asarray(centres, dtype=np.float64)))
    copies = (middle[None] + _images(lattice)[:, None]).reshape(-1, lattice.dimension)
    tree = scipy.spatial.cKDTree(copies)

    def gap(points: Array) -> Array:
        return np.asarray(np.abs(tree.query(_wrapped(lattice, points), k=2)[0] - radius).sum(axis=1))

    return gap


def _nearest_in_box(points: Array, centres: Array, radii: Array, sides: Array) -> Array:
    nearest: Array | None = None
    for centre, radius in zip(centres, radii, strict=True):
        away = points - centre
        away -= sides * np.rint(away / sides)
        away *= away
        distance = np.sqrt(away.sum(axis=1)) - radius
        nearest = distance if nearest is None else np.minimum(nearest, distance)
    assert nearest is not None  # there are balls
    return nearest


def cylinders(lattice: Lattice, centres: npt.ArrayLike, radii: npt.ArrayLike, axis: int) -> LevelSet:
    """Return the signed distance to straight circular cylinders along a coordinate axis of a box lattice.

    Parameters
    ----------
    lattice
        A box.
    centres : array, shape (k, 2)
        In the plane of the other two axes, in their order.
    radii
        One radius, or one for each.
    axis
        0, 1 or 2.
    """
    others = [a for a in range(3) if a != axis]
    plane = balls(Lattice(vectors=lattice.vectors[np.ix_(others, others)]), centres, radii)
    return lambda points: plane(points[:, others])


def ellipses(lattice: Lattice, centres: npt.ArrayLike, semi_axes: Sequence[float], angle: float) -> LevelSet:
    r"""Return a function that is zero on equal ellipses: :math:`\min_j\,(|A^{-1}R^\top(x-c_j)|-1)\,\min(a, b)`.

    Parameters
    ----------
    lattice
        Period vectors in the plane.
    centres : array, shape (k, 2)
    semi_axes
        Half of the axes a and b, > 0.
    angle
        From the first coordinate axis to the axis a, in radians.
    """
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / np.asarray(semi_axes)
    # In stretched coordinates the ellipses are discs of radius 1.
    round_ones = balls(Lattice(vectors=lattice.vectors @ turned), np.atleast_2d(centres) @ turned, 1.0)
    scale = float(np.min(semi_axes))
    return lambda points: scale * np.asarray(round_ones(points @ turned))


def polygons(lattice: Lattice, centres: npt.ArrayLike, radius: float, sides: int, angle: float) -> LevelSet:
    r"""Return :math:`\min_j\max_k(n_k\cdot(x-c_j)-r\cos\tfrac\pi n)`, zero on equal regular polygons.

    Parameters
    ----------
    lattice
        A rectangle.
    centres : array, shape (k, 2)
    radius
        Of the circle through the corners.
    sides
        Number n of sides.
    angle
        From the first axis to a corner, in radians.
    """
    middle = np.atleast_2d(np.asarray(centres, dtype=np.float64))
    turn = angle + (2.0 * np.arange(sides) + 1.0) * np.pi / sides
    normals = np.stack([np.cos(turn), np.sin(turn)])
    images = _images(lattice)

    def distance(points: Array) -> Array:
        inside = _wrapped(lattice, points)
        nearest = np.full(len(points), np.inf)
        for centre in (_wrapped(lattice, middle)[:, None] + images).reshape(-1, 2):
            np.minimum(nearest, ((inside - centre) @ normals).max(axis=1), out=nearest)
        return nearest - radius * np.cos(np.pi / sides)

    return distance


def _images(lattice: Lattice) -> Array:
    """Lattice vectors of the images that can be nearest to a point of the period that is wrapped to [0, 1)."""
    d = lattice.dimension
    # The nearest image is no further than half of the longest diagonal.
    corners = (np.stack(np.unravel_index(np.arange(2**d), (2,) * d), axis=1) - 0.5) * 2.0
    reach = 0.5 * np.linalg.norm(corners @ lattice.vectors, axis=1).max()
    heights = 1.0 / np.linalg.norm(np.linalg.inv(lattice.vectors), axis=0)
    counts = np.ceil(reach / heights).astype(int)
    grid = np.meshgrid(*(np.arange(-n, n + 1) for n in counts), indexing="ij")
    return np.stack([g.ravel() for g in grid], axis=1) @ lattice.vectors


def _wrapped(lattice: Lattice, points: Array) -> Array:
    """Points moved by whole periods into the cell at the origin."""
    fractional = lattice.fractional(points)
    return np.asarray((fractional - np.floor(fractional)) @ lattice.vectors)
