"""An effective tensor in another unit, with all that is in its unit. No dolfinx here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from homfem.coefficients import NamedCoefficient
from homfem.parameters import Array, InputError, UnitError, check_number
from homfem.quantities import conversion_factor

if TYPE_CHECKING:
    from homfem.tensors.effective import EffectiveTensor


def converted(tensor: EffectiveTensor, unit: str) -> EffectiveTensor:
    """Return the tensor in another unit, see :meth:`homfem.tensors.EffectiveTensor.to`."""
    if not tensor.unit:
        raise UnitError("unit", tensor.unit, f"given, to be converted to {unit}")
    wanted = tensor.kind.check_unit(unit)
    factor = conversion_factor(tensor.unit, wanted)
    given = {name: getattr(tensor, name) for name in ("value", "lower", "upper", "roundoff", "geometric_error")}
    scaled = {name: factor * entry for name, entry in given.items() if entry is not None}
    membranes = {name: factor * entry for name, entry in tensor.membranes.items()}
    coefficients = {name: _with_it(entry, tensor.unit, wanted) for name, entry in tensor.coefficients.items()}
    return replace(tensor, unit=wanted, membranes=membranes, coefficients=coefficients, **scaled)


#: What the value of a tensor is an average over.
AVERAGES = ("total", "active")


def per_total_volume(tensor: EffectiveTensor) -> EffectiveTensor:
    """Return the tensor averaged over the whole cell, see :meth:`homfem.tensors.EffectiveTensor.per_total_volume`."""
    if tensor.averaged_over == "total":
        return tensor
    factor, changed = tensor.storage, _times(tensor, tensor.storage)
    coefficients = {
        name: mapped(one, lambda entry: factor * entry) if one.basis == "matrix" and one.unit == tensor.unit else one
        for name, one in tensor.coefficients.items()
    }
    return replace(tensor, averaged_over="total", coefficients=coefficients, **changed)


#: How far bounds are moved outwards where a factor is rounded, relative.
_ROUNDED = 1e-13


def scaled(tensor: EffectiveTensor, factor: float) -> EffectiveTensor:
    r"""Return the tensor of the same medium whose coefficients are all a number times as large, bounds included.

    :math:`(\alpha D)^*=\alpha D^*`; the bounds are moved outwards by what rounding can do, so that they stay bounds.

    Raises
    ------
    InputError
        For a factor that is not > 0, and a tensor with membranes or further coefficients, which need not scale with it.
    """
    number = check_number("factor", factor, above=0.0)
    if tensor.membranes or tensor.coefficients:
        raise InputError("tensor", sorted({*tensor.membranes, *tensor.coefficients}), "without membranes and the like")
    return replace(tensor, **_times(tensor, number))


def _times(tensor: EffectiveTensor, number: float) -> dict[str, Any]:
    """What a positive factor makes of the value and its errors, bounds moved outwards by what rounding can do."""
    outwards = {"value": 1.0, "lower": 1.0 - _ROUNDED, "upper": 1.0 + _ROUNDED, "roundoff": 1.0, "geometric_error": 1.0}
    given = {name: getattr(tensor, name) for name in outwards}
    return {name: number * outwards[name] * entry for name, entry in given.items() if entry is not None}


def _with_it(coefficient: NamedCoefficient, old: str, new: str) -> NamedCoefficient:
    """Return a coefficient beside a tensor that goes from one unit to another."""
    unit = _unit_with_it(coefficient.unit, old, new)
    if unit == coefficient.unit:
        return coefficient
    factor = conversion_factor(coefficient.unit, unit)
    return mapped(coefficient, lambda entry: factor * entry, unit=unit)


def _unit_with_it(unit: str, old: str, new: str) -> str:
    """Return the unit of such a coefficient: the new one in the place of the old one, or of one that converts to it."""
    if not unit:
        return unit
    try:
        conversion_factor(unit, new)
    except UnitError:
        pass
    else:
        return new
    around = re.fullmatch(rf"{re.escape(old)}(/.+)", unit)
    if around:
        return f"{new}{around[1]}"
    below = f"({new})" if re.search(r"[*/]", new) else new
    return f"1/{below}" if unit in (f"1/{old}", f"1/({old})") else unit


def mapped(
    coefficient: NamedCoefficient, change: Callable[[Array], Array], *, unit: str | None = None
) -> NamedCoefficient:
    """Return the coefficient with a positive factor or a turn applied to its value and its bounds."""
    entries = {name: getattr(coefficient, name) for name in ("value", "lower", "upper")}
    changed: dict[str, Any] = {name: change(entry) for name, entry in entries.items() if entry is not None}
    return replace(coefficient, unit=coefficient.unit if unit is None else unit, **changed)
