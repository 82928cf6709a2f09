"""An effective tensor in the forms of somebody's own code: a UFL expression. UFL and DOLFINx load on use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.parameters import InputError
from homfem.stiffness import PAIRS, voigt_to_tensor
from homfem.tensors.rotation import ALIKE, value_alike_across

if TYPE_CHECKING:
    from homfem.tensors.effective import EffectiveTensor


def expression(tensor: EffectiveTensor, mesh: Any, *, unit: str | None, per_phase: bool, fibre: Any, sheet: Any) -> Any:
    """Return a tensor as a UFL expression, see :meth:`homfem.tensors.EffectiveTensor.ufl`."""
    if unit is not None:
        unit = tensor.kind.check_unit(unit)
        tensor = tensor.to(unit) if tensor.unit else tensor
    d = tensor.space_dimension
    value = tensor.effective_coefficient if per_phase else tensor.per_total_volume().value
    components = voigt_to_tensor(value) if tensor.kind.voigt else value
    if mesh is not None and getattr(getattr(mesh, "geometry", None), "dim", None) != d:
        raise InputError("mesh", mesh, f"a mesh in {d} dimensions, as the tensor, or left out")
    axes = _axes(tensor, fibre, sheet)
    coefficient = _constant(components, mesh)
    return coefficient if axes is None else laid_along(coefficient, axes)


def _constant(components: Any, mesh: Any) -> Any:
    if mesh is None:
        import ufl

        return ufl.as_tensor(components.tolist())
    from dolfinx import fem

    return fem.Constant(mesh, np.array(components))


def _axes(tensor: EffectiveTensor, fibre: Any, sheet: Any) -> list[Any] | None:
    """The axes along which the tensor lies; the fibre alone where the sheet does not matter."""
    import ufl

    if fibre is None:
        if sheet is not None:
            raise InputError("sheet", sheet, "left out without a fibre")
        return None
    d = tensor.space_dimension
    for name, axis in (("fibre", fibre), ("sheet", sheet)):
        if axis is not None and getattr(axis, "ufl_shape", None) != (d,):
            remedy = "Of one direction everywhere, tensor.rotated(fibre=...) has the tensor."
            raise InputError(name, axis, f"a UFL vector of {d} components", remedy)
    if d == 2:
        return [fibre, ufl.perp(fibre) if sheet is None else sheet]
    if d == 1:
        return [fibre]
    if sheet is not None:
        return [fibre, sheet, ufl.cross(fibre, sheet)]
    value, voigt = tensor.value, tensor.kind.voigt
    symmetric = np.abs(value - value.T).max() <= ALIKE * np.abs(value).max()
    if not symmetric or not value_alike_across(value, voigt):
        raise InputError("sheet", None, "given for a tensor that is not alike in all directions across its first axis")
    if not voigt:
        return [fibre]
    # Any direction across the fibre will do.
    ends = (ufl.as_vector([1.0, 0.0, 0.0]), ufl.as_vector([0.0, 1.0, 0.0]))
    across = ufl.cross(fibre, ufl.conditional(ufl.lt(abs(fibre[0]), 0.75), *ends))
    across = across / ufl.sqrt(ufl.inner(across, across))
    return [fibre, across, ufl.cross(fibre, across)]


def laid_along(components: Any, axes: list[Any]) -> Any:
    r"""Return :math:`\sum_{ij}D_{ij}\,a_i\otimes a_j`, of four indices alike, as a UFL expression.

    Parameters
    ----------
    components : UFL expression, shape (d, d) or (d, d, d, d)
        The components in the axes; of four indices those of a stiffness.
    axes : list of UFL vectors
        Orthonormal; d of them, or for a matrix in 3D that is alike in all directions across the first that one alone:
        :math:`D_{22}I+(D_{11}-D_{22})\,a_1\otimes a_1`.
    """
    import ufl

    d = components.ufl_shape[0]
    if len(axes) < d:
        along = (components[0, 0] - components[1, 1]) * ufl.outer(axes[0], axes[0])
        return components[1, 1] * ufl.Identity(d) + along
    if len(components.ufl_shape) == 2:
        a = ufl.as_matrix([[axis[i] for i in range(d)] for axis in axes])
        return ufl.dot(ufl.transpose(a), ufl.dot(components, a))
    # Over the pairs of a symmetric tensor: 36 terms, where four sums over axes have 81 in each of 81 entries.
    pairs = PAIRS[d]
    sides = [ufl.outer(axes[p], axes[q]) for p, q in pairs]
    sides = [side if p == q else side + ufl.transpose(side) for side, (p, q) in zip(sides, pairs, strict=True)]
    return sum(
        ufl.outer(one, sum(components[p, q, r, s] * two for two, (r, s) in zip(sides, pairs, strict=True)))
        for one, (p, q) in zip(sides, pairs, strict=True)
    )
