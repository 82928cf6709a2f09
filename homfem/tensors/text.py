"""An effective tensor as text: the value, what is guaranteed, what is known of it, where it came from. No dolfinx here.

What is printed claims no more than the bounds do: digits beyond the half-gap are left out, and a symmetry class says
within what it holds. Entries off the diagonal that are below round-off are printed as zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from homfem import brackets
from homfem.kinds import MIGRATION_AREA
from homfem.parameters import Array

if TYPE_CHECKING:
    from homfem.tensors.effective import EffectiveTensor

#: Entries off the diagonal that are smaller, relative to the two on it, are round-off whatever the tensor says of it.
_ROUND_OFF = 1e-14


def described(tensor: EffectiveTensor) -> str:
    """Return the text of a tensor, in several lines."""
    rows, printed = shown(tensor)
    return "\n".join([headline(tensor), *(f"  [{row} ]" for row in rows), *remarks(tensor, printed)])


def shown(tensor: EffectiveTensor) -> tuple[list[str], Array]:
    """Return the rows of the value with the digits that are known, and the matrix that they show."""
    return brackets.rounded(without_round_off(tensor.value, tensor.roundoff), tensor.half_gap)


def described_together(tensors: Sequence[EffectiveTensor]) -> str:
    """Return the text of tensors that one number of the input tells apart; what they have in common stands once."""
    if len(tensors) == 1:
        return described(tensors[0])
    parts = []
    for tensor in tensors:
        rows, printed = shown(tensor)
        parts.append(([f"  [{row} ]" for row in rows], remarks(tensor, printed)))
    common = [line for line in parts[0][1] if all(line in lines for _, lines in parts)]
    heads = [headline(tensor) for tensor in tensors]
    blocks = [
        "\n".join([head, *matrix, *(line for line in lines if line not in common)])
        for head, (matrix, lines) in zip(heads, parts, strict=True)
    ]
    return "\n\n".join([*blocks, "\n".join([f"all {len(tensors)}:", *common])])


def remarks(tensor: EffectiveTensor, printed: Array) -> list[str]:
    """Return, in lines, what is guaranteed of the matrix that is printed, what is known of it, where it came from."""
    lines = [*_guarantee(tensor, printed), *_doubts(tensor), *_structure(tensor)]
    return lines + _coefficients(tensor) + _origin(tensor)


def _coefficients(tensor: EffectiveTensor) -> list[str]:
    """The further coefficients, each with the words that are said of it, and the words that are said of all."""
    words, lines = dict(tensor.conventions), []
    for name, coefficient in tensor.coefficients.items():
        own = [words.pop(name)] if name in words else []
        for key in [key for key in words if key.startswith(f"{name}_") and key not in tensor.coefficients]:
            own.append(f"{key.removeprefix(f'{name}_').replace('_', ' ')}: {words.pop(key)}")
        lines.append("; ".join([f"  {name}: {coefficient}", *own]))
    return lines + [f"  {name.replace('_', ' ')}: {said}" for name, said in words.items()]


def without_round_off(value: Array, roundoff: float) -> Array:
    """Return the matrix with zeros for what off its diagonal is below round-off, in the unit of the value.

    Parameters
    ----------
    value : array, shape (n, n)
        The matrix.
    roundoff
        What round-off can have done to its bounds, zero where that is not accounted for.
    """
    size = np.sqrt(np.abs(np.diag(value)))
    noise = np.maximum(_ROUND_OFF * np.outer(size, size), roundoff)
    off = ~np.eye(len(value), dtype=bool)
    return np.where(off & (np.abs(value) <= noise), 0.0, value)


def headline(tensor: EffectiveTensor) -> str:
    """Return what a tensor is, of which phases, by which method and in which unit."""
    physics = tensor.physics + (" in plane stress" if tensor.plane == "stress" else "")
    name = f"{physics}, {', '.join(tensor.active_phases) or 'whole cell'}"
    unit = f" in {tensor.unit}" if tensor.unit else ""
    return f"{tensor.kind.title} ({name}; {tensor.method}, {tensor.boundary}){unit}"


def _guarantee(tensor: EffectiveTensor, printed: Array) -> list[str]:
    """What the bounds guarantee of the matrix that is printed."""
    gap, half, lower, upper = tensor.relative_gap, tensor.half_gap, tensor.lower, tensor.upper
    if gap is None or half is None or lower is None or upper is None:
        if upper is not None:
            return ["  an upper bound; no lower bound is guaranteed"]
        if lower is not None:
            return ["  a lower bound; no upper bound is guaranteed"]
        return ["  no guaranteed bounds"]
    of = ", for the straight-sided mesh" if tensor.geometric_error else ""
    parts = (tensor.in_orthonormal_basis(part) for part in (upper - printed, printed - lower))
    around = max(float(np.linalg.norm(part, 2)) for part in parts)
    if around <= 1.5 * half:
        within = brackets.outwards(around)
        return [f"  guaranteed to ± {within} in every direction (relative {gap:.2e}{of})"]
    return [f"  between bounds {brackets.outwards(2.0 * half)} apart, off their middle (relative {gap:.2e}{of})"]


def _doubts(tensor: EffectiveTensor) -> list[str]:
    """What is known of the error without guarantee, and what the user must know."""
    lines = []
    if tensor.estimated_error is not None:
        own = tensor.coefficients.get(tensor.kind.name)  # of a tensor that has bounds entry by entry
        if own is not None and own.lower is not None and own.order != "loewner":
            lines.append(f"  guaranteed relative error of each entry, over the largest: {tensor.estimated_error:.1e}")
        else:
            lines.append(f"  relative error by an estimate, without guarantee: {tensor.estimated_error:.1e}")
    if tensor.geometric_error:
        lines.append(
            f"  straight facets on curved surfaces change it by less than about {tensor.geometric_error:.1e} "
            f"(relative {tensor.relative_geometric_error:.1e})"
        )
    if not tensor.reached:
        why = "see below" if tensor.warnings else "the budget ended it"
        lines.append(f"  NOTE: short of the tolerance that was asked for, or of a bound: {why}")
    return lines + [f"  WARNING: {warning}" for warning in tensor.warnings]


def _structure(tensor: EffectiveTensor) -> list[str]:
    """The symmetry class with what it is known by, and the constants or the principal values."""
    if not tensor.kind.voigt and tensor.dimension > 3:
        return []
    found = tensor.anisotropy
    if found == "undetermined":
        known = "of undetermined class, the bracket is too wide"
    elif tensor.class_width is None:
        known = f"{found} by the value alone"
    else:
        known = f"{found} within the bracket" if tensor.class_width > 1e-6 else found
    if not tensor.kind.voigt:
        return [f"  {known}; principal values " + ", ".join(f"{v:.6g}" for v in tensor.principal_values)]
    constants = tensor.engineering_constants
    return [f"  {known}; " + ("it transmits no stress in some direction" if constants is None else str(constants))]


def _origin(tensor: EffectiveTensor) -> list[str]:
    """Fractions, membranes and interfaces of the cell, and what the computation took."""
    lines = []
    if tensor.active_phases:
        share = ", ".join(f"{phase} {fraction:.6g}" for phase, fraction in tensor.volume_fractions.items())
        lines.append(f"  volume fractions: {share}")
    of_volume = not tensor.kind.voigt and tensor.kind != MIGRATION_AREA
    if tensor.active_phases and of_volume and abs(tensor.storage - 1.0) > 1e-9:
        over, factor = ("the active phases", 1.0 / tensor.storage)
        if tensor.averaged_over == "active":
            over, factor = "the whole cell", tensor.storage
        elif tensor.retardation != 1.0:
            over = "the active phases, retarded"
        values = tensor.principal_values * factor
        lines.append(f"  principal values per volume of {over}: " + ", ".join(f"{v:.6g}" for v in values))
    if tensor.membranes:
        per = f" {tensor.unit}/{tensor.length_unit}" if tensor.unit and tensor.length_unit else ""
        lines.append("  membranes: " + ", ".join(f"{name} {h:.6g}{per}" for name, h in tensor.membranes.items()))
    if tensor.interface_area is None:
        lines.append("  interface area per volume: left out, no unit of length is known (cell.voxel of an image)")
    elif tensor.interface_area:
        unit = f" /{tensor.length_unit}" if tensor.length_unit else ""
        lines.append(f"  interface area per volume: {tensor.interface_area:.6g}{unit}")
    if tensor.dofs:
        total = tensor.seconds.get("total", 0.0)
        lines.append(f"  {tensor.dofs} dofs, {tensor.iterations} iterations, {total:.1f} s on {tensor.ranks} rank(s)")
    return lines
