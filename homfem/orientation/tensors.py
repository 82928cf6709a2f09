"""Orientation tensors of second and fourth order, given or measured, and their invariants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.brackets import symmetric
from homfem.parameters import Array, InputError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OrientationTensors:
    r"""Orientation tensors without the distribution they came from.

    Parameters
    ----------
    second : array, shape (d, d)
        :math:`A_{ij}=\langle n_in_j\rangle`: symmetric, positive semidefinite, trace 1.
    fourth : array, shape (d, d, d, d), optional
        :math:`A_{ijkl}=\langle n_in_jn_kn_l\rangle`: fully symmetric, with :math:`A_{ijkk}=A_{ij}`; measured, or an
        estimate from ``second`` by a closure of :mod:`homfem.orientation.closures`.

    Raises
    ------
    InputError
        One of these identities does not hold to 1e-6.
    """

    second: npt.ArrayLike
    fourth: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        size = np.shape(self.second)[0] if np.ndim(self.second) else 0
        if size not in (2, 3):
            raise InputError("second", self.second, "a tensor of shape (2, 2) or (3, 3)")
        second = check_second("second", self.second, size)
        object.__setattr__(self, "second", second)
        if self.fourth is not None:
            object.__setattr__(self, "fourth", _check_fourth(self.fourth, second))

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return len(np.asarray(self.second))

    def second_moment(self) -> Array:
        """Return the second-order tensor, shape (d, d)."""
        return np.asarray(self.second)

    def fourth_moment(self) -> Array:
        """Return the fourth-order tensor, shape (d, d, d, d); refused where only the second-order one is known."""
        if self.fourth is None:
            remedy = "A closure gives an estimate, such as homfem.orientation.bingham_closure(second)."
            raise InputError("fourth", None, "given for an average of a fourth-order tensor", remedy)
        return np.asarray(self.fourth)


def check_second(name: str, value: Any, dimension: int) -> Array:
    """Return a second-order orientation tensor: symmetric, positive semidefinite and of trace 1 to 1e-6."""
    allowed = f"a symmetric positive semidefinite {dimension}x{dimension} matrix of trace 1"
    try:
        tensor = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, value, allowed) from error
    if tensor.shape != (dimension, dimension) or not np.all(np.isfinite(tensor)):
        raise InputError(name, value, allowed)
    if np.abs(tensor - tensor.T).max() > 1e-6 or abs(np.trace(tensor) - 1.0) > 1e-6:
        raise InputError(name, value, allowed, f"This one has the trace {np.trace(tensor):g}.")
    tensor = symmetric(tensor)
    smallest = np.linalg.eigvalsh(tensor)[0]
    if smallest < -1e-6:
        raise InputError(name, value, allowed, f"Its smallest eigenvalue is {smallest:g}.")
    return np.asarray(tensor)


def _check_fourth(value: Any, second: Array) -> Array:
    d = len(second)
    allowed = f"a fully symmetric tensor of shape {(d,) * 4} whose contraction A_ijkk is the second-order one"
    tensor = np.array(value, dtype=np.float64)
    if tensor.shape != (d,) * 4 or not np.all(np.isfinite(tensor)):
        raise InputError("fourth", value, allowed)
    orders = ((1, 0, 2, 3), (0, 2, 1, 3), (2, 3, 0, 1), (0, 1, 3, 2))
    off = max(np.abs(tensor - tensor.transpose(order)).max() for order in orders)
    trace = np.abs(np.einsum("ijkk->ij", tensor) - second).max()
    if max(off, trace) > 1e-6:
        raise InputError("fourth", value, allowed, f"It is off by {off:.2g} and {trace:.2g}.")
    return tensor


def _symmetric_tensors(name: str, value: npt.ArrayLike) -> Array:
    tensors = np.asarray(value, dtype=np.float64)
    square = tensors.ndim >= 2 and tensors.shape[-1] == tensors.shape[-2] and tensors.shape[-1] in (2, 3)
    if not square or not np.all(np.isfinite(tensors)):
        raise InputError(name, value, "finite symmetric tensors, shape (..., 2, 2) or (..., 3, 3)")
    size = np.abs(tensors).max(initial=0.0)
    if np.abs(tensors - tensors.swapaxes(-1, -2)).max(initial=0.0) > 1e-8 * size:
        raise InputError(name, value, "symmetric tensors")
    return tensors


def mean_diffusivity(tensors: npt.ArrayLike) -> Array:
    """Return the mean of the principal values, tr D / d, of tensors of shape (..., d, d); shape (...)."""
    tensors = _symmetric_tensors("tensors", tensors)
    return np.asarray(np.trace(tensors, axis1=-2, axis2=-1) / tensors.shape[-1])


def fractional_anisotropy(tensors: npt.ArrayLike) -> Array:
    r"""Return the fractional anisotropy of symmetric tensors: 0 isotropic, 1 along one axis only.

    :math:`\sqrt{\frac{d}{d-1}}\,\frac{|D-\bar DI|}{|D|}` with :math:`\bar D=\mathrm{tr}D/d` and the Frobenius norm.

    Parameters
    ----------
    tensors : array, shape (..., d, d)
        Symmetric; a zero tensor gives 0.

    Returns
    -------
    ndarray, shape (...)

    Source: Basser, Pierpaoli 1996, J. Magn. Reson. B 111, 209 (d = 3).
    """
    tensors = _symmetric_tensors("tensors", tensors)
    d = tensors.shape[-1]
    deviator = tensors - mean_diffusivity(tensors)[..., None, None] * np.eye(d)
    norm = np.linalg.norm(tensors, axis=(-2, -1))
    ratio = np.linalg.norm(deviator, axis=(-2, -1)) / np.where(norm > 0.0, norm, 1.0)
    return np.asarray(np.sqrt(d / (d - 1.0)) * ratio)


def scalar_order(second_moment: npt.ArrayLike) -> float:
    r"""Return the scalar order parameter :math:`S=(d\lambda_1-1)/(d-1)` of an orientation tensor.

    With its largest eigenvalue :math:`\lambda_1`: 0 for uniform directions, 1 for parallel fibres; in 3D the mean of
    the Legendre polynomial :math:`P_2` about an axis of symmetry.
    """
    d = np.shape(second_moment)[-1] if np.ndim(second_moment) else 0
    tensor = check_second("second_moment", second_moment, d if d in (2, 3) else 3)
    return float((d * np.linalg.eigvalsh(tensor)[-1] - 1.0) / (d - 1.0))
