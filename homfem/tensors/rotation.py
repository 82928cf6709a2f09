r"""Effective tensors of a body that is turned, with their bounds and further coefficients. No dolfinx here.

Whatever the basis, the entries of a coefficient, in one column, turn by one matrix T(R) (:func:`turning`). Bounds in
the Loewner order turn as the value does: :math:`L\le D` gives :math:`RLR^T\le RDR^T`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from homfem import brackets
from homfem.coefficients import NamedCoefficient
from homfem.kinds import GENERAL
from homfem.parameters import Array, InputError, check_choice, check_direction
from homfem.stiffness import mandel_rotation, mandel_to_voigt, voigt_to_mandel
from homfem.tensors.conversion import mapped

if TYPE_CHECKING:
    from homfem.tensors.effective import EffectiveTensor

#: Entries across an axis that differ by less, relative to the largest of the tensor, are alike.
ALIKE = 1e-9
#: A sheet within this angle (its sine) of the fibre says nothing.
_PARALLEL = 1e-6
_AXES = "xyz"
#: The weights of Voigt strains and stresses: what they are multiplied with in the Mandel notation.
_SHEAR = {"strain": math.sqrt(0.5), "stress": math.sqrt(2.0)}


def rotated(
    tensor: EffectiveTensor,
    rotation: npt.ArrayLike | None,
    *,
    fibre: npt.ArrayLike | None,
    sheet: npt.ArrayLike | None,
    axis: str,
) -> EffectiveTensor:
    """Return the tensor of the turned body, see :meth:`homfem.tensors.EffectiveTensor.rotated`."""
    d = tensor.space_dimension
    if d not in (2, 3):
        raise InputError("value", tensor.value.shape, "a tensor of 2 or 3 space dimensions to be turned")
    if tensor.kind == GENERAL:
        remedy = "Say what its entries mean: kind=TensorKind(name=...), see homfem.kinds."
        raise InputError("kind", tensor.kind.name, "one of which it is known how it turns", remedy)
    if (rotation is None) == (fibre is None):
        raise InputError("rotation", rotation, "given, or else a fibre, and not both")
    if rotation is None:
        r = _laid_along(tensor, np.asarray(fibre), sheet, axis)
    elif sheet is not None:
        raise InputError("sheet", sheet, "left out with a rotation")
    else:
        r = orthogonal(rotation, d)
    turned: dict[str, Any] = {
        name: _turned(getattr(tensor, name), tensor.kind.voigt, r)
        for name in ("value", "lower", "upper")
        if getattr(tensor, name) is not None
    }
    moved = 0.0
    if len(turned) > 1:
        moved = _widen(tensor, turned, r)
    coefficients = {name: _turned_coefficient(name, entry, r) for name, entry in tensor.coefficients.items()}
    return replace(tensor, roundoff=tensor.roundoff + moved, coefficients=coefficients, **turned)


def orthogonal(rotation: npt.ArrayLike, dimension: int) -> Array:
    """Return the orthogonal matrix nearest to one that is orthogonal to 1e-9."""
    allowed = f"an orthogonal {dimension}x{dimension} matrix"
    try:
        r = np.array(rotation, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("rotation", rotation, allowed) from error
    if r.shape != (dimension, dimension) or not np.all(np.isfinite(r)):
        raise InputError("rotation", rotation, allowed)
    off = float(np.abs(r @ r.T - np.eye(dimension)).max())
    if off > 1e-9:
        raise InputError("rotation", rotation, allowed, f"R R^T is off the identity by {off:.1e}.")
    if np.isin(r, (0.0, 1.0, -1.0)).all():
        return r  # exact: axes that are permuted
    left, _, right = np.linalg.svd(r)
    return np.asarray(left @ right)


def _laid_along(tensor: EffectiveTensor, fibre: Array, sheet: npt.ArrayLike | None, axis: str) -> Array:
    """Return the rotation that lays an axis of a tensor along the fibre and the next one along the sheet."""
    d = tensor.space_dimension
    first = _AXES.index(check_choice("axis", axis, tuple(_AXES[:d])))
    f = check_direction("fibre", fibre, d)
    if sheet is None and d == 3 and not alike_across(tensor, axis):
        remedy = "Give a sheet: the direction of the axis after it."
        raise InputError("sheet", None, f"given for a tensor that is not alike in all directions across {axis}", remedy)
    if d == 2:
        across = np.array([-f[1], f[0]]) if first == 0 else np.array([f[1], -f[0]])
        if sheet is not None:
            given = check_direction("sheet", sheet, 2)
            if abs(float(given @ across)) < _PARALLEL:
                raise InputError("sheet", sheet, f"a direction across the fibre {f.tolist()}")
            across = across if float(given @ across) > 0.0 else -across
        rows = [f, across]
    else:
        start = np.eye(3)[int(np.argmin(np.abs(f)))] if sheet is None else check_direction("sheet", sheet, 3)
        s = start - (start @ f) * f
        if float(np.linalg.norm(s)) < _PARALLEL:
            raise InputError("sheet", sheet, f"a direction across the fibre {f.tolist()}")
        s /= np.linalg.norm(s)
        rows = [f, s, np.cross(f, s)]
    return orthogonal(np.roll(np.array(rows), first, axis=0).T, d)


def alike_across(tensor: EffectiveTensor, axis: str = "x") -> bool:
    """Tell whether a tensor in space, its bounds and its coefficients are the same however it is turned about an axis.

    To :data:`ALIKE` of the largest entry.
    """
    turn = _about(axis)
    sides = [side for side in (tensor.value, tensor.lower, tensor.upper) if side is not None]
    turned = [(entry, _turned_coefficient(name, entry, turn)) for name, entry in tensor.coefficients.items()]
    return all(value_alike_across(side, tensor.kind.voigt, axis) for side in sides) and all(
        _alike(old.value, new.value) for old, new in turned
    )


def value_alike_across(value: Array, voigt: bool, axis: str = "x") -> bool:
    """Tell the same of a matrix alone, a stiffness as Voigt matrix."""
    return _alike(value, _turned(value, voigt, _about(axis)))


def _about(axis: str) -> Array:
    """A turn by one radian: as that is no fraction of a circle, what it leaves alone is left alone by every turn."""
    k, c, s = _AXES.index(axis), np.cos(1.0), np.sin(1.0)
    return np.roll(np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]]), (k, k), axis=(0, 1))


def _alike(one: Array, other: Array) -> bool:
    return bool(np.abs(one - other).max(initial=0.0) <= ALIKE * np.abs(one).max(initial=0.0))


def _turned(matrix: Array, voigt: bool, r: Array) -> Array:
    if not voigt:
        return np.asarray(r @ matrix @ r.T)
    q = mandel_rotation(r)
    return mandel_to_voigt(q @ voigt_to_mandel(matrix) @ q.T)


def _widen(tensor: EffectiveTensor, turned: dict[str, Array], r: Array) -> float:
    r"""Move turned bounds apart for what round-off can have done; return by how much.

    A product of n terms is off by :math:`n\epsilon` of the sum of their magnitudes: that of three matrices by
    :math:`2n^2\epsilon\|D\|` at the most, R itself by some :math:`\epsilon`, which counts twice; a stiffness turns by a
    matrix of products of two.
    """
    if np.isin(r, (0.0, 1.0, -1.0)).all():
        return 0.0
    n = tensor.dimension
    size = max(float(np.linalg.norm(tensor.in_orthonormal_basis(side), 2)) for side in turned.values())
    moved = 8.0 * n**2 * brackets.EPS * size
    one = mandel_to_voigt(np.eye(n)) if tensor.kind.voigt else np.eye(n)
    for name, sign in (("lower", -1.0), ("upper", 1.0)):
        if name in turned:
            turned[name] = turned[name] + sign * moved * one
    return moved


def turning(basis: str, r: Array) -> Array:
    """Return the matrix by which the entries of a coefficient of a basis, in one column, turn with R.

    Parameters
    ----------
    basis
        See :class:`homfem.coefficients.NamedCoefficient`.
    r : array, shape (d, d)
        Orthogonal.

    Returns
    -------
    ndarray, shape (n, n), n being the number of entries
    """
    if basis == "scalar":
        return np.eye(1)
    if basis == "vector":
        return r
    if basis == "matrix":
        return np.asarray(np.kron(r, r))
    if basis == "third-order":
        return np.asarray(np.kron(r, np.kron(r, r)))
    d = len(r)
    q = mandel_rotation(r)
    if basis == "stiffness":
        turn = np.kron(q, q)
        w = voigt_to_mandel(np.ones_like(q)).ravel()
    else:
        turn = q
        w = np.where(np.arange(len(q)) < d, 1.0, _SHEAR[basis]).ravel()
    return np.asarray(turn * w / w[:, None])


def _turned_coefficient(name: str, coefficient: NamedCoefficient, r: Array) -> NamedCoefficient:
    """Return a coefficient of the turned body; bounds that hold entry by entry are derived again, or left out."""
    shape, d = coefficient.value.shape, len(r)
    basis = coefficient.basis or ("scalar" if shape == () else "")
    if not basis:
        remedy = "NamedCoefficient(..., basis=...) says it; dataclasses.replace leaves the coefficient out."
        raise InputError(f"coefficients.{name}.basis", basis, "given, so that it is known how the entries turn", remedy)
    turn = turning(basis, r)
    if len(turn) != coefficient.value.size:
        raise InputError(f"coefficients.{name}", coefficient.value, f"a {basis} of {d} dimensions, as the tensor")

    def by(matrix: Array, entries: Array) -> Array:
        return np.asarray((matrix @ entries.ravel()).reshape(shape))

    if not coefficient.bounded or basis == "scalar" or coefficient.order == "loewner":
        return mapped(coefficient, lambda entries: by(turn, entries))
    value = by(turn, coefficient.value)
    if coefficient.lower is None or coefficient.upper is None:
        return replace(coefficient, value=value, lower=None, upper=None)
    plus, minus = np.maximum(turn, 0.0), np.minimum(turn, 0.0)
    lower = by(plus, coefficient.lower) + by(minus, coefficient.upper)
    upper = by(plus, coefficient.upper) + by(minus, coefficient.lower)
    return replace(coefficient, value=value, lower=lower, upper=upper)
