"""An effective tensor beside another one, or beside what was measured. No dolfinx here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from homfem import brackets
from homfem.parameters import Array, InputError, UnitError, check_choice
from homfem.quantities import conversion_factor
from homfem.stiffness import voigt_to_mandel
from homfem.tensors.properties import TensorProperties, entry_names

if TYPE_CHECKING:
    from homfem.tensors.effective import EffectiveTensor

#: Order of the norm of a matrix in numpy.
NORMS: Mapping[str, Any] = {"frobenius": "fro", "spectral": 2}
#: Two sides may miss each other by so much of themselves: their last digits cannot tell.
_SLACK = 10.0 * brackets.LAST_DIGITS


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryDifference:
    """One entry of two tensors.

    Parameters
    ----------
    name
        Its indices, such as ``"xy"``; of a stiffness ``"xxyy"``.
    value, other, difference
        The two and the first less the second.
    relative
        The difference over the largest entry of the second tensor.
    """

    name: str
    value: float
    other: float
    difference: float
    relative: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TensorComparison:
    r"""Two tensors side by side; ``print`` it.

    Parameters
    ----------
    value, other : array, shape (n, n)
        The tensor and the reference, in ``unit``.
    unit
        Unit of both; empty where it is not known.
    norm
        Name of the norm.
    relative_difference
        :math:`\|D-D'\|/\|D'\|` in that norm, of the values; infinite where the reference is zero and D is not.
    overlap
        Whether the brackets overlap in every direction: :math:`L\le U'` and :math:`L'\le U`. A tensor without bounds is
        a point, beside a bracket: its value (symmetric part). False is certain: in some direction the two have no
        number in common. None where no bounds, or bounds on one side only, do not tell.
    entries
        The entries one by one; of symmetric tensors those of the upper triangle.
    """

    value: Array
    other: Array
    unit: str
    norm: str
    relative_difference: float
    overlap: bool | None
    entries: tuple[EntryDifference, ...]

    def __str__(self) -> str:
        words = {True: "the brackets overlap in every direction", False: "the brackets do not overlap", None: ""}
        unit = f" in {self.unit}" if self.unit else ""
        lines = [f"difference of {self.relative_difference:.3g} relative to the other ({self.norm} norm){unit}"]
        table: list[tuple[str, ...]] = [("", "value", "other", "difference", "relative")]
        for row in self.entries:
            numbers = (f"{number:.7g}" for number in (row.value, row.other, row.difference))
            table.append((row.name, *numbers, f"{row.relative:.2e}"))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines += ["  " + "  ".join(w.rjust(n) for w, n in zip(row, widths, strict=True)) for row in table]
        return "\n".join([*lines, f"  {words[self.overlap]}"] if self.overlap is not None else lines)


def compared(
    tensor: EffectiveTensor, other: EffectiveTensor | npt.ArrayLike, *, unit: str | None, norm: str
) -> TensorComparison:
    """Set a tensor beside another one, see :meth:`homfem.tensors.EffectiveTensor.compared`."""
    check_choice("norm", norm, tuple(NORMS))
    if isinstance(other, TensorProperties):
        if unit is not None:
            raise InputError("unit", unit, "left out beside a tensor, which has its own")
        sides = _of_tensor(tensor, other)
    else:
        matrix = _of_matrix(tensor, other, unit)
        sides = (matrix, None, None)
    reference, lower, upper = sides
    basis = voigt_to_mandel if tensor.kind.voigt else np.asarray
    sizes = [float(np.linalg.norm(basis(m), NORMS[norm])) for m in (tensor.value - reference, reference)]
    relative = sizes[0] / sizes[1] if sizes[1] > 0.0 else (math.inf if sizes[0] > 0.0 else 0.0)
    return TensorComparison(
        value=tensor.value,
        other=reference,
        unit=tensor.unit,
        norm=norm,
        relative_difference=relative,
        overlap=_overlap((tensor.value, tensor.lower, tensor.upper), (reference, lower, upper)),
        entries=tuple(_entries(tensor.value, reference, tensor.kind.voigt)),
    )


def _of_tensor(tensor: EffectiveTensor, other: EffectiveTensor) -> tuple[Array, Array | None, Array | None]:
    """Value and bounds of another tensor in the unit of the first."""
    if other.kind != tensor.kind:
        raise InputError("other", other.kind.name, f"a tensor of {tensor.kind.name}, as this one")
    if other.value.shape != tensor.value.shape:
        raise InputError("other", other.value, f"of shape {tensor.value.shape}, as this tensor")
    if other.averaged_over != tensor.averaged_over:
        remedy = "Compare their per_total_volume()."
        raise InputError(
            "other", f"averaged over {other.averaged_over}", f"averaged over {tensor.averaged_over}", remedy
        )
    if tensor.kind.voigt and (other.plane or "strain") != (tensor.plane or "strain"):
        raise InputError("other", f"in plane {other.plane}", f"in plane {tensor.plane or 'strain'}, as this tensor")
    if bool(other.unit) != bool(tensor.unit):
        raise UnitError("other", other.unit, f"in a unit that converts to {tensor.unit!r}", "Only one of both has one.")
    same = other.to(tensor.unit) if other.unit else other
    return same.value, same.lower, same.upper


def _of_matrix(tensor: EffectiveTensor, other: npt.ArrayLike, unit: str | None) -> Array:
    shape = tensor.value.shape
    allowed = f"a tensor, or a finite matrix of shape {shape}" + ("" if tensor.kind.voigt else ", or a number")
    try:
        matrix = np.array(other, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("other", other, allowed) from error
    if matrix.ndim == 0 and not tensor.kind.voigt:
        matrix = float(matrix) * np.eye(shape[0])
    if matrix.shape != shape or not np.all(np.isfinite(matrix)):
        raise InputError("other", other, allowed)
    if unit is None or unit == tensor.unit:
        return matrix
    if not tensor.unit:
        raise UnitError("unit", unit, "left out beside a tensor without a unit")
    return np.asarray(conversion_factor(tensor.kind.check_unit(unit), tensor.unit) * matrix)


def _overlap(
    one: tuple[Array, Array | None, Array | None], two: tuple[Array, Array | None, Array | None]
) -> bool | None:
    bounded = [any(side is not None for side in sides[1:]) for sides in (one, two)]
    if not any(bounded):
        return None
    (low, high), (low_too, high_too) = (
        (lower, upper) if known else (brackets.symmetric(value),) * 2
        for (value, lower, upper), known in zip((one, two), bounded, strict=True)
    )
    pairs = ((low, high_too), (low_too, high))
    if any(below is not None and above is not None and brackets.violation(below, above) > _SLACK
           for below, above in pairs):  # fmt: skip
        return False
    return True if all(side is not None for pair in pairs for side in pair) else None


def _entries(value: Array, other: Array, voigt: bool) -> list[EntryDifference]:
    names, largest = entry_names(len(value), voigt), float(np.abs(other).max())
    symmetric = np.array_equal(value, value.T) and np.array_equal(other, other.T)
    rows = []
    for (i, j), name in np.ndenumerate(names):
        if symmetric and j < i:
            continue
        gap = float(value[i, j] - other[i, j])
        relative = gap / largest if largest > 0.0 else (math.copysign(math.inf, gap) if gap else 0.0)
        rows.append(
            EntryDifference(
                name=str(name),
                value=float(value[i, j]),
                other=float(other[i, j]),
                difference=gap,
                relative=relative,
            )
        )
    return rows
