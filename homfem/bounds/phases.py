"""What a bound takes and gives: phases with fractions; bounds, estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from homfem.parameters import Array, InputError, check_number, check_spd
from homfem.stiffness import check_dimension, check_stiffness, from_moduli, isotropic_moduli, moduli
from homfem.stiffness import stiffness as read_stiffness

#: One entry per phase: a list, or a mapping from phase names; a phase without entry is insulating, or a void.
PerPhase = Sequence[Any] | Mapping[str, Any]
Fractions = Sequence[float] | Mapping[str, float]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """A number between two sides, ``lower <= number <= upper``, in the unit of the phases' coefficients."""

    lower: float
    upper: float

    def __contains__(self, number: float) -> bool:
        return self.lower <= number <= self.upper


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TensorBounds:
    """A symmetric matrix between two in the Loewner order; shape (n, n), in the unit of the phases' coefficients."""

    lower: Array
    upper: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number from a model of the geometry. It bounds nothing."""

    value: float
    model: str


def aligned(values: PerPhase, fractions: Fractions) -> tuple[list[str], list[Any], Array]:
    """Return (names, values, fractions) of the phases that are there; phases of fraction zero are left out.

    Raises
    ------
    InputError
        If a fraction is outside [0, 1], the fractions do not sum to one (to 1e-6; they are then scaled to), or the
        phases do not match.
    """
    if isinstance(values, Mapping) and isinstance(fractions, Mapping):
        names = list(fractions)
        if unknown := [name for name in values if name not in fractions]:
            raise InputError(
                "fractions", dict(fractions), f"given for every phase with a coefficient; {unknown} is not"
            )
        entries, shares = [values.get(name, 0.0) for name in names], [fractions[name] for name in names]
    elif isinstance(values, Mapping) or isinstance(fractions, Mapping):
        raise InputError("fractions", fractions, "a mapping from phase names if the coefficients are one, else a list")
    else:
        entries, shares = list(values), list(fractions)
        names = [str(number) for number in range(len(shares))]
        if len(entries) != len(shares):
            raise InputError("fractions", fractions, f"as many as there are phases, {len(entries)}")
    checked = [
        check_number(f"fractions[{n}]", f, at_least=0.0, at_most=1.0) for n, f in zip(names, shares, strict=True)
    ]
    total = sum(checked)
    if abs(total - 1.0) > 1e-6:
        raise InputError("fractions", fractions, "numbers that sum to one", f"Their sum is {total:g}.")
    kept = [number for number, share in enumerate(checked) if share > 0.0]
    return [names[k] for k in kept], [entries[k] for k in kept], np.array([checked[k] for k in kept]) / total


def _modulus(name: str, value: Any) -> float:
    """Check a number that may be zero (insulating, void, fluid) or infinite (perfect conductor, rigid)."""
    if isinstance(value, float) and value == math.inf:
        return math.inf
    return check_number(name, value, at_least=0.0)


def scalars(values: PerPhase, fractions: Fractions, name: str = "conductivity") -> tuple[list[str], Array, Array]:
    """Return (names, numbers, fractions) of isotropic phases; numbers in [0, inf], inf for a perfect conductor."""
    names, entries, shares = aligned(values, fractions)
    return names, np.array([_modulus(f"{name}[{n}]", v) for n, v in zip(names, entries, strict=True)]), shares


def conductivities(values: PerPhase, fractions: Fractions, dimension: int) -> tuple[list[str], list[Array], Array]:
    """Return (names, matrices, fractions); each value is 0, a positive number or an SPD matrix."""
    check_dimension(dimension)
    names, entries, shares = aligned(values, fractions)
    matrices = [
        np.zeros((dimension, dimension))
        if np.ndim(v) == 0 and v == 0
        else check_spd(f"conductivity[{n}]", v, dimension)
        for n, v in zip(names, entries, strict=True)
    ]
    return names, matrices, shares


def stiffnesses(
    values: PerPhase, fractions: Fractions, dimension: int, *, fluids: bool = False
) -> tuple[list[str], list[Array], Array]:
    """Return (names, Voigt matrices, fractions); each value is 0 (void) or what ``stiffness.stiffness`` takes.

    With ``fluids`` a value ``{"bulk": K, "shear": 0}`` is taken too.
    """
    n = {2: 3, 3: 6}[check_dimension(dimension)]
    names, entries, shares = aligned(values, fractions)
    matrices: list[Array] = []
    for name, value in zip(names, entries, strict=True):
        where = f"stiffness[{name}]"
        if np.ndim(value) == 0 and not isinstance(value, Mapping) and value == 0:
            matrices.append(np.zeros((n, n)))
        elif fluids and isinstance(value, Mapping) and set(value) == {"bulk", "shear"} and value["shear"] == 0:
            matrices.append(
                from_moduli(check_number(f"{where}.bulk", value["bulk"], at_least=0.0), 0.0, dimension=dimension)
            )
        else:
            matrices.append(read_stiffness(value, dimension, where))
    return names, matrices, shares


def solids(values: PerPhase, fractions: Fractions) -> tuple[list[str], Array, Array, Array]:
    """Return (names, bulk, shear, fractions) of isotropic phases, moduli of the solids in space.

    Each value is 0 (void), a mapping as :func:`homfem.stiffness.moduli` takes it, an isotropic Voigt matrix, or
    ``{"bulk": K, "shear": G}`` in which zero (a fluid has no shear modulus) and ``inf`` are allowed too.
    """
    names, entries, shares = aligned(values, fractions)
    bulk, shear = np.zeros(len(names)), np.zeros(len(names))
    for row, (name, value) in enumerate(zip(names, entries, strict=True)):
        where = f"stiffness[{name}]"
        if isinstance(value, Mapping) and set(value) == {"bulk", "shear"}:
            bulk[row], shear[row] = (_modulus(f"{where}.{key}", value[key]) for key in ("bulk", "shear"))
        elif isinstance(value, Mapping):
            bulk[row], shear[row] = moduli(where, **value)
        elif np.ndim(value) == 2:
            bulk[row], shear[row] = isotropic_moduli(check_stiffness(where, value, 2 if len(value) == 3 else 3))
        elif np.ndim(value) > 0 or value != 0:
            raise InputError(where, value, "0 for a void, a mapping of moduli, or an isotropic Voigt matrix")
    return names, bulk, shear, shares


def shifted_mean(values: Array, fractions: Array, shift: float) -> float:
    r"""Return :math:`\bigl(\sum_i f_i/(v_i+s)\bigr)^{-1} - s`: harmonic mean at s = 0, arithmetic as s grows.

    It is evaluated as the weighted mean :math:`\sum w_iv_i/\sum w_i` with :math:`w_i = f_i/(v_i+s)`, free of
    cancellation; values and shift may be zero or infinite. It increases with the values and with the shift.
    """
    if math.isinf(shift):
        return float(np.sum(fractions * values))
    if shift == 0.0 and np.any(values == 0.0):
        return 0.0
    weights = fractions / (values + shift)  # zero where a value is infinite, and w v is then f
    finite = np.isfinite(values)
    total = float(weights.sum())
    top = float(np.sum(weights[finite] * values[finite]) + fractions[~finite].sum())
    return top / total if total > 0.0 else math.inf


def matrix_index(matrix: str | int, names: Sequence[str]) -> int:
    """Return the number of the matrix phase among ``names``."""
    if str(matrix) not in names:
        raise InputError("matrix", matrix, f"a phase with a positive fraction: {', '.join(names)}")
    return list(names).index(str(matrix))
