"""Errors, checks and the lattice: what every layer shares about its inputs. No dolfinx here.

An input error always says four things: the name of the parameter, the value that came, what is allowed, and the
remedy. The classes below differ only in what they are about, so that a caller can tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
#: No tolerance of a result is smaller, see :func:`check_tolerance`.
SMALLEST_TOLERANCE = 1e-13
#: Peclet number beyond which no mesh resolves what happens.
LARGEST_PECLET = 1e9


class HomfemError(Exception):
    """Base of every error that homfem raises on purpose."""


class InputError(HomfemError, ValueError):
    """A parameter has a value that is not allowed.

    Parameters
    ----------
    name
        The parameter, as the user wrote it (a TOML key's path, an argument's name).
    value
        What came.
    allowed
        What is allowed, as the end of the sentence "it must be ...".
    remedy
        What to do about it; may be empty.
    """

    def __init__(self, name: str, value: Any, allowed: str, remedy: str = "") -> None:
        self.name, self.value, self.allowed, self.remedy = name, value, allowed, remedy
        super().__init__(name, value, allowed, remedy)

    def __str__(self) -> str:
        text = f"{self.name} = {self.shown}: it must be {self.allowed}"
        return f"{text}. {self.remedy}" if self.remedy else text

    @property
    def shown(self) -> str:
        """The value as the message shows it: in one line, not too long."""
        return _short(self.value)


class UnitError(InputError):
    """A quantity has no unit, an unknown one, or one of another dimension."""


class CellError(InputError):
    """A unit cell cannot be used as it is."""


class PeriodicityError(CellError):
    """Opposite faces of a cell do not match, or the mesh is too coarse across a period."""


class PercolationError(CellError):
    """A phase that should carry a flux through the cell does not reach from cell to cell."""


class VariableError(InputError):
    """An environment variable has a value that is not allowed; its name is that of no key or argument."""


class FileError(InputError):
    """A file is missing, truncated or of another kind than is needed."""


class CheckpointError(FileError):
    """A checkpoint is missing, truncated, or belongs to another problem."""


class ConvergenceError(HomfemError, RuntimeError):
    """A solver did not reach its tolerance."""


def _short(value: Any) -> str:
    try:
        text = np.array2string(value, threshold=12) if isinstance(value, np.ndarray) else repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = "(too long to show)"
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:197] + "..."


def nearest_name(name: str, known: Sequence[str]) -> str:
    """Return ``"Did you mean 'x'?"`` for the known name nearest to ``name``, or an empty string."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else ""


def check_number(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    below: float = math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    remedy: str = "",
) -> float:
    """Return ``value`` as a float if it is finite and inside the given range, else raise :class:`InputError`."""
    limits = [f"> {above:g}"] * (above > -math.inf) + [f">= {at_least:g}"] * (at_least > -math.inf)
    limits += [f"< {below:g}"] * (below < math.inf) + [f"<= {at_most:g}"] * (at_most < math.inf)
    allowed = "a finite number" + (" " + " and ".join(limits) if limits else "")
    if isinstance(value, (bool, str, bytes)) or not np.isscalar(value):
        raise InputError(name, value, allowed, remedy)
    number = float(value)
    if not (math.isfinite(number) and above < number < below and at_least <= number <= at_most):
        raise InputError(name, value, allowed, remedy)
    return number


def check_peclet(value: Any) -> tuple[float, ...]:
    """Return a Peclet number >= 0, or several, as a tuple, else raise :class:`InputError`.

    >>> check_peclet(10), check_peclet([0.1, 1])
    ((10.0,), (0.1, 1.0))
    """
    given = list(value) if isinstance(value, (Sequence, np.ndarray)) else [value]
    if not given or isinstance(value, str):
        raise InputError("peclet", value, "a number >= 0, or several")
    remedy = "Turn the direction round for the reversed flow."
    found = [check_number("peclet", one, at_least=0.0, remedy=remedy) for one in given]
    return tuple(
        check_number("peclet", one, at_most=LARGEST_PECLET, remedy="No mesh resolves the flow.") for one in found
    )


def check_tolerance(value: Any, *, name: str = "tolerance", below: float = 1.0) -> float:
    """Return a relative half-gap of bounds, or a relative error, if one can be reached, else raise :class:`InputError`.

    What round-off does to the bounds is in them: of the simplest cells, with two layers of like coefficients, they are
    2e-14 apart at the least (corner-Galerkin method; grids 5e-14, finite elements 2e-13).
    """
    remedy = "It is a pure number, without unit." if isinstance(value, str) else ""
    if isinstance(value, float) and 0.0 < value < SMALLEST_TOLERANCE:
        remedy = "Round-off alone leaves about that much between bounds."
    return check_number(name, value, at_least=SMALLEST_TOLERANCE, below=below, remedy=remedy)


def check_integer(name: str, value: Any, *, at_least: int, at_most: int | None = None, remedy: str = "") -> int:
    """Return ``value`` as an int if it is a whole number inside the given range, else raise :class:`InputError`."""
    allowed = f"a whole number >= {at_least}" + (f" and <= {at_most}" if at_most is not None else "")
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputError(name, value, allowed, remedy)
    if value < at_least or (at_most is not None and value > at_most):
        raise InputError(name, value, allowed, remedy)
    return int(value)


def check_direction(name: str, value: npt.ArrayLike, dimension: int) -> Array:
    """Return a direction as a vector of length 1, shape (dimension,).

    Raises
    ------
    InputError
        For anything but ``dimension`` finite numbers that are not all 0.

    Example
    -------
    >>> check_direction("fibre", [0, 3, 4], 3).tolist()
    [0.0, 0.6, 0.8]
    """
    allowed = f"a direction: {dimension} finite numbers, not all 0"
    try:
        vector = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, value, allowed) from error
    if vector.shape != (dimension,) or not np.all(np.isfinite(vector)) or not vector.any():
        raise InputError(name, value, allowed)
    vector /= np.abs(vector).max()
    return np.asarray(vector / np.linalg.norm(vector))


def check_choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``known``, else raise :class:`InputError` that names the nearest one."""
    if value not in known:
        raise InputError(name, value, "one of " + ", ".join(map(repr, known)), nearest_name(str(value), known))
    return str(value)


def check_spd(name: str, value: Any, dimension: int) -> Array:
    """Return a coefficient as a symmetric positive definite matrix.

    Parameters
    ----------
    name
        The parameter's name, for the message.
    value
        A positive number ``k`` (gives ``k I``) or a symmetric positive definite ``(dimension, dimension)`` array.
    dimension
        2 or 3.

    Returns
    -------
    ndarray, shape (dimension, dimension)
    """
    allowed = f"a number > 0 or a symmetric positive definite {dimension}x{dimension} matrix"
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, value, allowed) from error
    if matrix.ndim == 0:
        matrix = float(matrix) * np.eye(dimension)
    if matrix.shape != (dimension, dimension) or not np.all(np.isfinite(matrix)):
        raise InputError(name, value, allowed)
    if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=1e-12 * np.abs(matrix).max()):
        raise InputError(name, value, allowed, "This one is not symmetric.")
    matrix = 0.5 * (matrix + matrix.T)
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    if smallest <= 0.0:
        raise InputError(name, value, allowed, f"Its smallest eigenvalue is {smallest:g}.")
    return matrix


@dataclass(frozen=True, kw_only=True, slots=True)
class Lattice:
    """The period vectors of a cell: the microstructure is unchanged by every integer combination of them.

    Parameters
    ----------
    vectors : array, shape (d, d)
        Row ``k`` is the k-th period vector, in the length unit of the mesh; linearly independent.
    volume, shortest
        Area or volume of one period, and length of the shortest period vector.
    """

    vectors: Array
    volume: float = field(init=False, repr=False)
    shortest: float = field(init=False, repr=False)
    _sides: Array | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        vectors = np.array(self.vectors, dtype=np.float64)
        allowed = "d linearly independent period vectors, shape (d, d) with d = 2 or 3"
        if vectors.shape not in ((2, 2), (3, 3)) or not np.all(np.isfinite(vectors)):
            raise CellError("lattice", self.vectors, allowed)
        lengths = np.linalg.norm(vectors, axis=1)
        if lengths.min() <= 0.0 or abs(np.linalg.det(vectors / lengths[:, None])) < 1e-9:
            raise CellError("lattice", self.vectors, allowed)
        vectors.setflags(write=False)
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "volume", float(abs(np.linalg.det(vectors))))
        object.__setattr__(self, "shortest", float(lengths.min()))
        sides = np.diag(vectors)
        object.__setattr__(self, "_sides", None if np.any(vectors - np.diag(sides)) else sides)

    @classmethod
    def box(cls, *lengths: float) -> Lattice:
        """Return the lattice of a rectangle or box with the given side lengths."""
        return cls(vectors=np.diag(np.array(lengths, dtype=np.float64)))

    @property
    def dimension(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return int(self.vectors.shape[0])

    def fractional(self, points: npt.ArrayLike) -> Array:
        """Return the lattice coordinates ``s`` of points, ``x = s @ vectors``; shape (n, d)."""
        x = np.asarray(points, dtype=np.float64)
        return x / self._sides if self._sides is not None else np.asarray(np.linalg.solve(self.vectors.T, x.T).T)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lattice) and np.array_equal(self.vectors, other.vectors)

    def __hash__(self) -> int:
        return hash(self.vectors.tobytes())


def left_out(phases: Iterable[str]) -> tuple[str, ...]:
    """Return the warning that phases which were given a coefficient take no part, or nothing where there are none."""
    names = ", ".join(map(repr, phases))
    reason = "it is connected to no part that reaches from period to period, so that it carries nothing"
    return (f"{names} was given a coefficient but left out: {reason}",) if names else ()
