"""The unit sphere and circle: checks of directions, quadrature, and moments of axially symmetric distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError

NODES = 24  # Gauss points per panel


def unit(vectors: Array) -> Array:
    """Return vectors divided by their lengths; the last axis counts the components."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def check_vector(name: str, value: Any, dimension: int | None = None) -> Array:
    """Return one vector that is not zero, divided by its length; of 2 or 3 components if ``dimension`` is None."""
    sizes = (2, 3) if dimension is None else (dimension,)
    allowed = f"a vector of {' or '.join(map(str, sizes))} finite numbers, not all zero"
    try:
        vector = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, value, allowed) from error
    if vector.ndim != 1 or len(vector) not in sizes or not np.all(np.isfinite(vector)) or not np.any(vector):
        raise InputError(name, value, allowed)
    return unit(vector)


def check_directions(name: str, value: npt.ArrayLike, dimension: int) -> Array:
    """Return unit vectors, shape (..., dimension); refuse what is longer or shorter than 1 by more than 1e-6."""
    allowed = f"unit vectors, shape (..., {dimension})"
    try:
        vectors = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, value, allowed) from error
    if vectors.ndim == 0 or vectors.shape[-1] != dimension or not np.all(np.isfinite(vectors)):
        raise InputError(name, value, allowed)
    lengths = np.linalg.norm(vectors, axis=-1)
    if vectors.size and np.abs(lengths - 1.0).max() > 1e-6:
        far = lengths.ravel()[np.abs(lengths - 1.0).argmax()]
        raise InputError(name, value, allowed, f"The length of one of them is {far:g}; divide by the length.")
    return np.asarray(vectors / lengths[..., None])


def frame_about(axis: Array) -> Array:
    """Return an orthonormal right-handed frame as rows, shape (d, d), whose last row is the unit vector ``axis``."""
    if len(axis) == 2:
        return np.array([[axis[1], -axis[0]], axis])
    other = np.eye(3)[np.abs(axis).argmin()]
    first = unit(other - (other @ axis) * axis)
    return np.stack([first, np.cross(axis, first), axis])


def graded_angles(concentration: float, end: float) -> tuple[Array, Array]:
    r"""Return Gauss points and weights on (0, end), on panels that double in length away from 0.

    The first panel is :math:`1/\sqrt{1+|\kappa|}` long: on each panel a density that varies over that length near 0
    is then smooth, whatever the concentration :math:`\kappa`.
    """
    first = min(end, 1.0 / np.sqrt(1.0 + abs(concentration)))
    count = int(np.ceil(np.log2(end / first)))
    edges = np.concatenate([[0.0], first * 2.0 ** np.arange(count), [end]])
    points, weights = np.polynomial.legendre.leggauss(NODES)
    half = 0.5 * np.diff(edges)
    return (edges[:-1, None] + half[:, None] * (points + 1.0)).ravel(), (half[:, None] * weights).ravel()


def sphere_rule(degree: int) -> tuple[Array, Array]:
    r"""Return points and weights on the unit sphere, exact for polynomials up to ``degree``; the weights sum to 4 pi.

    Gauss-Legendre in the cosine of the polar angle, equally spaced azimuths.

    Returns
    -------
    (ndarray, shape (n, 3); ndarray, shape (n,))
    """
    t, weights = np.polynomial.legendre.leggauss(degree // 2 + 1)
    angles = 2.0 * np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1)
    s = np.sqrt(1.0 - t**2)
    points = np.stack(
        [np.outer(s, np.cos(angles)), np.outer(s, np.sin(angles)), np.outer(t, np.ones_like(angles))], axis=-1
    )
    return points.reshape(-1, 3), np.repeat(weights * 2.0 * np.pi / (degree + 1), degree + 1)


def concentrated_rule(axis: Array, concentration: float, azimuths: int = 64) -> tuple[Array, Array]:
    r"""Return points and weights on the sphere or circle, graded towards ``axis``, its opposite and the equator.

    For smooth densities that vary over angles of :math:`1/\sqrt{1+|\kappa|}` about the axis or the equator.

    Parameters
    ----------
    axis : array, shape (d,)
        Unit vector.
    concentration
        :math:`\kappa`.
    azimuths
        Number of equally spaced azimuths in 3D: enough for a density whose azimuthal Fourier series ends there.

    Returns
    -------
    (ndarray, shape (n, d); ndarray, shape (n,)), the weights sum to the area of the sphere.
    """
    frame = frame_about(axis)
    near, weight = graded_angles(concentration, np.pi / 4)
    polar = np.concatenate([near, np.pi / 2 - near, np.pi / 2 + near, np.pi - near])
    weights = np.tile(weight, 4)
    if len(axis) == 2:
        polar, weights = np.concatenate([polar, -polar]), np.tile(weights, 2)
        return np.column_stack([np.sin(polar), np.cos(polar)]) @ frame, weights
    angles = 2.0 * np.pi * np.arange(azimuths) / azimuths
    s, c = np.sin(polar), np.cos(polar)
    local = np.stack(
        [np.outer(s, np.cos(angles)), np.outer(s, np.sin(angles)), np.outer(c, np.ones_like(angles))], axis=-1
    )
    return local.reshape(-1, 3) @ frame, np.repeat(weights * s * 2.0 * np.pi / azimuths, azimuths)


def second_of(n: Array, weights: Array) -> Array:
    """Return the sum of w n n over directions of shape (k, d); shape (d, d)."""
    return np.asarray((n.T * weights) @ n)


def fourth_of(n: Array, weights: Array) -> Array:
    """Return the sum of w n n n n over directions of shape (k, d); shape (d, d, d, d)."""
    d = n.shape[1]
    pairs = np.einsum("ni,nj->nij", n, n).reshape(len(n), d * d)
    return np.asarray((pairs.T * weights) @ pairs).reshape((d,) * 4)


def symmetric_products(a: Array, b: Array) -> Array:
    r"""Return the sum of the tensor products of two symmetric matrices over the distinct ways to share four indices.

    :math:`a_{ij}b_{kl}+a_{kl}b_{ij}+a_{ik}b_{jl}+a_{jl}b_{ik}+a_{il}b_{jk}+a_{jk}b_{il}`: six terms, twice the three
    distinct ones when ``a`` is ``b``. Leading axes are kept.
    """
    total = sum(
        np.einsum(f"...{p},...{q}->...ijkl", a, b)
        for p, q in (("ij", "kl"), ("kl", "ij"), ("ik", "jl"), ("jl", "ik"), ("il", "jk"), ("jk", "il"))
    )
    return np.asarray(total)


def axial_second_moment(axis: Array, square: float) -> Array:
    r"""Return :math:`\langle n_in_j\rangle` about ``axis``, given :math:`\langle(n\cdot\mu)^2\rangle`, shape (d, d)."""
    along = np.outer(axis, axis)
    across = np.eye(len(axis)) - along
    return np.asarray(square * along + (1.0 - square) / (len(axis) - 1) * across)


def axial_fourth_moment(axis: Array, square: float, fourth: float) -> Array:
    r"""Return :math:`\langle n_in_jn_kn_l\rangle` about an axis of rotational symmetry, shape (d, d, d, d).

    With :math:`n=t\mu+\sqrt{1-t^2}\,p`, :math:`p` uniform across the axis and :math:`P=I-\mu\mu`:
    :math:`\langle t^4\rangle\mu\mu\mu\mu+\frac{\langle t^2-t^4\rangle}{d-1}[\mu\mu P]_6
    +\frac{\langle1-2t^2+t^4\rangle}{(d-1)(d+1)}[PP]_3`, the brackets being sums over the distinct orders of indices.
    """
    d = len(axis)
    along: Array = np.outer(axis, axis).astype(np.float64)
    across: Array = np.asarray(np.eye(d) - along, dtype=np.float64)
    moment = fourth * np.einsum("ij,kl->ijkl", along, along)
    moment = moment + (square - fourth) / (d - 1) * symmetric_products(along, across)
    return np.asarray(moment + (1.0 - 2.0 * square + fourth) / (d * d - 1) * 0.5 * symmetric_products(across, across))
