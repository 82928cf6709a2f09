r"""Two sides of an effective tensor: their order, their distance, what lies between, and what is known if they fail.

Everything here is in the Loewner order and relative: a matrix is scaled with the square roots of the diagonal of the
bracket first, so that a direction that conducts a millionth as well as another counts as much, whatever the unit.

**What is shared by loads.** If what the loads :math:`\xi_j` leave adds up as :math:`(\sum_j|\xi_j|r_j)^2` at the most,
Cauchy's inequality with any weights :math:`w_j>0` gives

.. math:: \Bigl(\sum_j|\xi_j|r_j\Bigr)^2\le\Bigl(\sum_k\frac{r_k^2}{w_k}\Bigr)\sum_jw_j\xi_j^2 .

With the energies of the loads as weights no load pays for another that conducts better.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg

from homfem.parameters import Array, InputError

EPS = float(np.finfo(np.float64).eps)
#: Directions that conduct so much less than the best one conduct nothing: their square root of energy, relative.
_NOTHING = 1e-9
#: An order that fails by less, relative to the bracket, is one that the last digits of its numbers cannot tell.
LAST_DIGITS = 1e-13
#: Relative asymmetry of a symmetric matrix that was printed with seven digits.
_SKEW = 1e-6


def symmetric(matrix: Array) -> Array:
    """Return the symmetric part of a matrix, or of each of a stack of them."""
    return 0.5 * (matrix + matrix.swapaxes(-1, -2))


def _scale(*matrices: Array) -> Array:
    """Square roots of the largest diagonal entries; one for matrices of zeros."""
    size = np.sqrt(np.max([np.abs(np.diag(matrix)) for matrix in matrices], axis=0))
    largest = float(size.max(initial=0.0))
    return np.maximum(size, _NOTHING * largest) if largest > 0.0 else np.ones_like(size)


def violation(lower: Array, upper: Array) -> float:
    r"""Return by how much ``lower <= upper`` fails: the largest eigenvalue of the scaled L - U; zero if it holds."""
    scale = _scale(lower, upper)
    apart = symmetric(lower - upper) / np.outer(scale, scale)
    return max(0.0, float(np.linalg.eigvalsh(apart)[-1]))


def check_symmetric(name: str, matrix: Array) -> None:
    """Refuse a bound, or a value with bounds, that is not symmetric."""
    if np.abs(matrix - matrix.T).max() > _SKEW * np.abs(matrix).max():
        raise InputError(name, matrix.tolist(), "a symmetric matrix", "Only such a tensor has bounds.")


def check_order(name: str, lower: Array, other: str, upper: Array) -> None:
    """Refuse matrices that are not in order; their own last digits do not count."""
    wrong = violation(lower, upper)
    if wrong > 10.0 * LAST_DIGITS:
        remedy = f"In some direction it lies above by {wrong:.1e}, relative to the larger one."
        raise InputError(name, lower.tolist(), f"at most {other} in every direction", remedy)


def outwards(number: float) -> str:
    """Return a number >= 0 with three digits, not smaller than it is but for its own last digits."""
    text = f"{number:.3g}"
    if float(text) < number * (1.0 - 1e-12):
        text = f"{float(text) + 10.0 ** (math.floor(math.log10(number)) - 2):.3g}"
    return text


def rounded(value: Array, gap: float | None) -> tuple[list[str], Array]:
    """Return the rows of a value with seven digits, or as many as its half-gap is worth; and the matrix they show."""
    size = float(np.abs(value).max())
    known = math.log10(size / gap) + 2.0 if gap and size > 0.0 else 0.0
    digits = min(max(math.ceil(known), 7), 16)
    rows = [[f"{entry: .{digits}g}" for entry in row] for row in value]
    return ["  ".join(entry.rjust(digits + 7) for entry in row) for row in rows], np.array(rows, dtype=np.float64)


def relative_gap(lower: Array, upper: Array) -> float:
    r"""Return :math:`\max_\xi\frac{\xi\cdot(U-L)\xi}{\xi\cdot(U+L)\xi}`.

    A direction in which nothing flows counts with 1e-12 of the scaled tensor. Infinite when the midpoint is not
    positive definite; one or more when the lower bound is not: it says nothing about some direction then.
    """
    mean, apart = symmetric(upper + lower), symmetric(upper - lower)
    if not mean.any():
        return math.inf if apart.any() else 0.0
    scale = _scale(mean)
    mean, apart = mean / np.outer(scale, scale), apart / np.outer(scale, scale)
    mean = mean + 1e-12 * np.eye(len(mean))
    if np.linalg.eigvalsh(mean)[0] <= 0.0:
        return math.inf
    return float(np.max(np.abs(scipy.linalg.eigh(apart, mean, eigvals_only=True))))


def relative_error(value: Array, lower: Array, upper: Array) -> tuple[float, float]:
    r"""Return how far a number of another origin is from a tensor between two bounds: at the least and at the most.

    Relative to the midpoint M of the bounds, over all directions: with the half-gap g of :func:`relative_gap` and the
    distance :math:`d=\|M^{-1/2}(V-M)M^{-1/2}\|_2` (V need not be symmetric) these are :math:`d-g` and :math:`d+g`; the
    first is zero where V may be the tensor. A direction in which nothing flows counts with 1e-12 of the scaled tensor.
    """
    mean = symmetric(0.5 * (lower + upper))
    scale = _scale(mean, value)
    outer = np.outer(scale, scale)
    sizes, axes = np.linalg.eigh(mean / outer)
    weight = axes / np.sqrt(np.maximum(sizes, 0.0) + 1e-12)
    distance = float(np.linalg.norm(weight.T @ ((value - mean) / outer) @ weight, 2))
    gap = float(np.linalg.norm(weight.T @ (symmetric(upper - lower) / outer) @ weight, 2)) / 2.0
    return max(distance - gap, 0.0), distance + gap


def clipped(value: Array, lower: Array, upper: Array) -> Array:
    r"""Return what lies between the bounds and nearest to ``value`` in the measure of their distance.

    With :math:`G=U-L` the eigenvalues of :math:`G^{-1/2}(V-L)G^{-1/2}` are cut to [0, 1]; where the bounds are equal
    the value is theirs.
    """
    if max(violation(lower, value), violation(value, upper)) <= LAST_DIGITS:
        return symmetric(value)  # which loses no digits
    scale = _scale(lower, upper)
    outer = np.outer(scale, scale)
    sizes, axes = np.linalg.eigh(symmetric(upper - lower) / outer)
    apart = sizes > 4.0 * EPS * max(float(np.abs(sizes).max()), EPS)
    width = np.sqrt(sizes[apart])
    onto = axes[:, apart] / width
    place, turned = np.linalg.eigh(onto.T @ (symmetric(value - lower) / outer) @ onto)
    back = axes[:, apart] * width @ turned
    return symmetric(lower + outer * (back * np.clip(place, 0.0, 1.0) @ back.T))


def shared(parts: Array, energies: Array) -> Array:
    r"""Return the diagonal matrix that covers :math:`(\sum_j|\xi_j|r_j)^2`, see above.

    Parameters
    ----------
    parts : array, shape (loads,)
        :math:`r_j^2`, in the unit of the energies.
    energies : array, shape (loads,)
        The energies of the loads, the weights. One that is next to nothing counts with a small part of the largest.
    """
    return np.diag(_weights(energies) * share(parts, energies))


def share(parts: Array, energies: Array) -> float:
    r"""Return the factor of :func:`shared`: what is left of any combination of loads, relative to their energies."""
    return float(np.sum(np.asarray(parts) / _weights(energies)))


def of_round_off(parts: Array, energies: Array, terms: float) -> Array:
    r"""Return the diagonal matrix that covers what round-off can do to the energy of combined loads.

    An error :math:`q(\xi)=\sum_j|\xi_j|q_j` of the field changes its energy by :math:`2\sqrt{E(\xi)}q(\xi)+q(\xi)^2`,
    and :math:`E(\xi)\le n\sum_jE_{jj}\xi_j^2`.

    Parameters
    ----------
    parts : array, shape (n,)
        :math:`q_j^2`, in the unit of the energies.
    energies : array, shape (n,)
        Those of the loads.
    terms
        Number of terms in the sum that an energy is.
    """
    weights = _weights(energies)
    error, loads = share(parts, energies), len(weights)
    return np.diag(weights * (2.0 * math.sqrt(loads * error) + error + loads * terms * EPS))


def _weights(energies: Array) -> Array:
    weights = np.maximum(np.abs(energies), 1e-14 * np.abs(energies).max(initial=0.0))
    return weights if weights.any() else np.ones_like(weights)


def bracket(
    low: Array, high: Array, *, below: Array, above: Array, noise: tuple[Array, Array], best: str = "middle"
) -> dict[str, Any]:
    """Return the fields of an effective tensor that two energies and what may be wrong with them give.

    The bounds are ``low - below - noise[0]`` and ``high + above + noise[1]``. ``value`` is the midpoint of the
    energies, brought between the bounds. Where these are not in order, or the lower one is not positive, the solver or
    round-off has made the lower one worthless: the upper one is the energy of a field as it is, a sum of positive
    numbers, and is the value. ``reached`` is False then, and ``warnings`` tells the reason.

    Parameters
    ----------
    low, high : array, shape (n, n)
        The energies that were computed.
    below, above : array, shape (n, n)
        Positive semidefinite: what the residual of the solver may have done to each.
    noise : tuple of two arrays, shape (n, n)
        The same of round-off.
    best
        ``"middle"``, or ``"lower"`` where the lower energy is the far better one: it is the value then, and the one
        that is trusted where the two are not in order.
    """
    middle = best == "middle"
    trusted, other, name = (high, "lower", "upper") if middle else (low, "upper", "lower")
    lower, upper = symmetric(low - below - noise[0]), symmetric(high + above + noise[1])
    roundoff = max(float(np.linalg.norm(part, 2)) for part in noise)
    fields: dict[str, Any] = {"lower": lower, "upper": upper, "roundoff": roundoff, "reached": True, "warnings": ()}
    wrong = violation(lower, upper)
    if wrong > LAST_DIGITS:
        reason = f"the lower bound lies above the upper one by {wrong:.1e} of it, more than round-off explains"
        fields |= {"reached": False, "warnings": (f"{reason}: the {other} is left out, and the value is the {name}",)}
        return fields | {other: None, "value": symmetric(trusted)}
    if relative_gap(lower, upper) > 1.0 - 1e-11:
        reason = "the lower bound is not positive in every direction: what the solver and round-off leave is too large"
        fields |= {"reached": False, "warnings": (f"{reason}: it says nothing there, and the value is the {name}",)}
        return fields | {"value": clipped(symmetric(trusted), lower, upper)}
    return fields | {"value": clipped(symmetric(0.5 * (low + high) if middle else low), lower, upper)}
