"""Effective coefficients beside a tensor, each with its name, such as a thermal expansion. No dolfinx here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from homfem.brackets import check_symmetric
from homfem.kinds import TensorKind
from homfem.parameters import Array, InputError, check_choice

_VOIGT = ((3,), (6,))
# The shapes of each basis, in the plane and in space.
_SHAPES: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "scalar": ((),),
    "vector": ((2,), (3,)),
    "matrix": ((2, 2), (3, 3)),
    "strain": _VOIGT,
    "stress": _VOIGT,
    "stiffness": ((3, 3), (6, 6)),
    "third-order": ((2, 2, 2), (3, 3, 3)),
}
ORDERS = ("entries", "loewner")
#: Entries that are smaller, relative to the largest, are printed as zero.
_ROUND_OFF = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NamedCoefficient:
    """A number, vector or matrix that a cell problem gives beside its tensor.

    Parameters
    ----------
    value : array, any shape
        The coefficient; shape () for a number. In Voigt notation where the tensor is.
    lower, upper : array of the same shape, or None
        Bounds, where the theory gives some; in the sense of ``order``.
    unit : str
        Unit of ``value``; empty for a pure number, and where none was given.
    basis : str
        What the entries mean, and so how they turn with the axes: ``"scalar"``, ``"vector"`` (a velocity),
        ``"matrix"`` (a second-order tensor), ``"strain"`` (Voigt, engineering shear: a thermal expansion), ``"stress"``
        (Voigt: Biot's tensor), ``"stiffness"`` (Voigt matrix), ``"third-order"``; empty where it was not said.
    order : str
        ``"entries"``: the bounds hold entry by entry. ``"loewner"``: of a matrix or a stiffness, in every direction.

    Raises
    ------
    InputError
        If an entry is not finite, a bound has another shape, the shape is none of the basis, or bounds are said to be
        in the Loewner order of what has none.
    """

    value: Array
    lower: Array | None = None
    upper: Array | None = None
    unit: str = ""
    basis: str = ""
    order: str = "entries"

    def __post_init__(self) -> None:
        for name in ("value", "lower", "upper"):
            given = getattr(self, name)
            if given is None and name != "value":
                continue
            array = np.array(given, dtype=np.float64)
            if not np.all(np.isfinite(array)) or array.shape != np.shape(self.value):
                raise InputError(name, given, f"finite, of shape {np.shape(self.value)}")
            object.__setattr__(self, name, array)
        if not isinstance(self.unit, str):
            raise InputError("unit", self.unit, "a string")
        if self.basis:
            shapes = _SHAPES[check_choice("basis", self.basis, tuple(_SHAPES))]
            if self.value.shape not in shapes:
                raise InputError("value", self.value, f"of shape {' or '.join(map(str, shapes))}, as a {self.basis}")
        if check_choice("order", self.order, ORDERS) == "loewner":
            square = not self.basis and self.value.ndim == 2 and len(self.value) == len(self.value.T)
            if self.basis not in ("matrix", "stiffness") and not square:
                raise InputError("order", self.order, "'entries' but for square matrices")
            for name in ("value", "lower", "upper"):
                if getattr(self, name) is not None and self.bounded:
                    check_symmetric(name, getattr(self, name))

    @property
    def bounded(self) -> bool:
        """Whether it has a bound."""
        return self.lower is not None or self.upper is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NamedCoefficient):
            return NotImplemented
        return bool(plain(self) == plain(other))

    def __hash__(self) -> int:
        return hash((self.unit, self.basis, tuple(self.value.ravel().tolist())))

    def __str__(self) -> str:
        text = f"{_text(self.value)} {self.unit}".rstrip()
        sides = [f"{name} {_text(side)}" for name, side in (("at least", self.lower), ("at most", self.upper))
                 if side is not None]  # fmt: skip
        return f"{text} ({', '.join(sides)})" if sides else text


def _text(array: Array) -> str:
    """An array in one line; what is round-off beside its largest entry as zero."""
    shown = np.where(np.abs(array) < _ROUND_OFF * np.abs(array).max(initial=0.0), 0.0, array)
    text = np.array2string(shown, separator=", ", max_line_width=200, formatter={"float_kind": lambda x: f"{x:.7g}"})
    return " ".join(text.split())


def named_coefficients(given: Mapping[str, Any]) -> dict[str, NamedCoefficient]:
    """Return the coefficients by their names, also of what :func:`plain` and :func:`nested` made of them."""
    result: dict[str, NamedCoefficient] = {}
    for name, entry in given.items():
        if isinstance(entry, Mapping) and not _is_one(entry):
            inner = named_coefficients({f"{name}.{key}": value for key, value in entry.items()})
            result |= inner
            continue
        try:
            result[str(name)] = NamedCoefficient(**entry) if isinstance(entry, Mapping) else entry
        except (TypeError, ValueError) as error:
            allowed = "a coefficient with value, lower, upper and unit"
            raise InputError(f"coefficients.{name}", entry, allowed) from error
    return result


def nested(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return coefficients by name with tables of those whose names have a dot.

    Example
    -------
    >>> nested({"modulus": 1.0, "transference.Na": 0.4, "transference.Cl": 0.6})
    {'modulus': 1.0, 'transference': {'Na': 0.4, 'Cl': 0.6}}
    """
    result: dict[str, Any] = {}
    for name, entry in given.items():
        *above, last = name.split(".")
        table = result
        for key in above:
            table = table.setdefault(key, {})
        table[last] = entry
    return result


def _is_one(entry: Mapping[str, Any]) -> bool:
    """Whether a table is one coefficient, and not a table of several, all of which are tables."""
    return not entry or not all(isinstance(inner, (Mapping, NamedCoefficient)) for inner in entry.values())


def plain(entry: Any) -> Any:
    """Return what JSON takes: arrays as lists, numbers of numpy as plain ones, coefficients as tables."""
    if isinstance(entry, NamedCoefficient):
        return {field.name: plain(getattr(entry, field.name)) for field in dataclasses.fields(entry)}
    if isinstance(entry, TensorKind):
        return entry.plain()
    if isinstance(entry, np.ndarray):
        return entry.tolist()
    if isinstance(entry, np.generic):
        return entry.item()
    if isinstance(entry, Mapping):
        return {str(key): plain(inner) for key, inner in entry.items()}
    if isinstance(entry, (tuple, list)):
        return [plain(inner) for inner in entry]
    return entry
