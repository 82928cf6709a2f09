"""Symmetry class and axes of second-order tensors and of stiffnesses, found from the tensor itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError, check_number
from homfem.stiffness import CLASSES, Symmetry, check_stiffness, distance, rotate, symmetry, voigt_to_tensor
from homfem.tensors import anisotropy_class, principal


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TensorSymmetry:
    """Symmetry of a second-order tensor.

    Parameters
    ----------
    name : str
        ``"isotropic"``, ``"transversely isotropic"`` (3D) or ``"orthotropic"``.
    values : array, shape (d,)
        Principal values. Transversely isotropic: first the one that is alone. Otherwise descending.
    axes : array, shape (d, d)
        Principal axes as rows, in the order of ``values``; a right-handed frame. Axes of equal values are arbitrary.
    """

    name: str
    values: Array
    axes: Array


def tensor_symmetry(tensor: npt.ArrayLike, *, tolerance: float = 1e-6) -> TensorSymmetry:
    """Return the symmetry class and the axes of a symmetric second-order tensor.

    Parameters
    ----------
    tensor : array, shape (d, d)
        Symmetric, d = 2 or 3.
    tolerance
        Two principal values count as equal when they differ by no more than this part of the largest magnitude.

    Raises
    ------
    InputError
        The tensor is not symmetric (to 1e-8), not finite or of another shape.
    """
    tolerance = check_number("tolerance", tolerance, at_least=0.0)
    array = np.asarray(tensor, dtype=np.float64)
    allowed = "a finite symmetric matrix of shape (2, 2) or (3, 3)"
    if array.shape not in ((2, 2), (3, 3)) or not np.all(np.isfinite(array)):
        raise InputError("tensor", tensor, allowed)
    size = float(np.abs(array).max())
    if np.abs(array - array.T).max() > 1e-8 * size:
        raise InputError("tensor", tensor, allowed)
    values, axes = principal(array)
    equal = tolerance * float(np.abs(values).max())
    name = anisotropy_class(values, equal)
    if name == "transversely isotropic" and values[0] - values[1] <= values[1] - values[2]:
        values, axes = values[::-1], axes[::-1]
    return TensorSymmetry(name=name, values=np.array(values), axes=_right_handed(axes))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StiffnessSymmetry:
    """Symmetry of a stiffness in its own axes.

    Parameters
    ----------
    name : str
        One of ``homfem.stiffness.CLASSES[3]``; trigonal symmetry counts as the class below it that is known.
    axes : array, shape (3, 3)
        The symmetry axes as rows, a right-handed frame: ``homfem.stiffness.rotate(stiffness, axes)`` is the stiffness
        in them. The axis of a class that has one is the third row.
    distance : float
        Relative distance from the class, in the Frobenius norm of Mandel matrices.
    distances : mapping
        The same for every class, in ``axes`` (about the best of the three).
    """

    name: str
    axes: Array
    distance: float
    distances: Mapping[str, float]


def dilatational_tensor(stiffness: npt.ArrayLike) -> Array:
    """Return C_ijkk, shape (3, 3): the stress of a volume change."""
    return np.einsum("ijkk->ij", voigt_to_tensor(check_stiffness("stiffness", stiffness, 3)))


def voigt_tensor(stiffness: npt.ArrayLike) -> Array:
    """Return C_ikjk, shape (3, 3): n.v.n is the density times the sum of the squared speeds of plane waves along n."""
    return np.einsum("ikjk->ij", voigt_to_tensor(check_stiffness("stiffness", stiffness, 3)))


def symmetry_class(stiffness: npt.ArrayLike, *, tolerance: float = 1e-6) -> StiffnessSymmetry:
    r"""Return the most symmetric class of a stiffness within a tolerance, about axes found from the stiffness.

    The symmetry axes of an orthotropic or more symmetric stiffness are eigenvectors of the dilatational tensor
    :math:`C_{ijkk}` and of the Voigt tensor :math:`C_{ikjk}`. Where these have equal eigenvalues (cubic, tetragonal)
    and where the stiffness is only nearly symmetric, the frame is found by least squares from there and from fixed
    frames: the entries that vanish in symmetry axes are made as small as possible.

    Parameters
    ----------
    stiffness : array, shape (6, 6)
        Voigt matrix, symmetric positive definite.
    tolerance
        Largest relative distance from the class, see :func:`homfem.stiffness.distance`.

    Returns
    -------
    StiffnessSymmetry

    Sources: Cowin, Mehrabadi 1987, Q. J. Mech. Appl. Math. 40, 451 (axes); Browaeys, Chevrot 2004, Geophys. J. Int.
    159, 667 (distances).
    """
    tolerance = check_number("tolerance", tolerance, at_least=0.0)
    c = check_stiffness("stiffness", stiffness, 3)
    orthotropic = _best_frame(c, _ORTHOTROPIC, tolerance)
    # A cubic stiffness is orthotropic about an edge and two face diagonals too: try half a right angle about each.
    half_right = [_about(orthotropic[k], np.pi / 4) for k in range(3)]
    frames = [orthotropic, *(orthotropic @ turn.T for turn in half_right)]
    found = [symmetry(rotate(c, frame), tolerance=tolerance) for frame in frames]
    ranks = [(CLASSES[3].index(s.name), s.distance) for s in found]
    best = min(range(4), key=ranks.__getitem__)
    frame, result = frames[best], found[best]
    if result.name == "general":
        monoclinic = _best_frame(c, _MONOCLINIC, tolerance)
        if (other := symmetry(rotate(c, monoclinic), tolerance=tolerance)).name != "general":
            frame, result = monoclinic, other
    frame = _ordered(c, frame, result)
    turned = rotate(c, frame)
    distances = {name: min(distance(turned, name, axis) for axis in "xyz") for name in CLASSES[3]}
    return StiffnessSymmetry(name=result.name, axes=frame, distance=result.distance, distances=distances)


# Entries of the Mandel matrix that vanish in symmetry axes (about z for the monoclinic class).
_ORTHOTROPIC = np.array([(i, j) for i in range(6) for j in range(max(i + 1, 3), 6)]).T
_MONOCLINIC = np.array([(i, j) for i in (0, 1, 2, 5) for j in (3, 4)]).T


def _best_frame(c: Array, entries: Array, tolerance: float) -> Array:
    """Return the frame (rows) in which the given entries of the Mandel matrix are smallest."""
    import scipy.optimize
    from scipy.spatial.transform import Rotation

    from homfem.stiffness import mandel_rotation, voigt_to_mandel

    mandel = voigt_to_mandel(c)
    mandel = mandel / np.linalg.norm(mandel)

    def residual(turn: Any, start: Array) -> Array:
        q = mandel_rotation(Rotation.from_rotvec(turn).as_matrix() @ start)
        return np.asarray((q @ mandel @ q.T)[entries[0], entries[1]])

    d, v = dilatational_tensor(c), voigt_tensor(c)
    eigenframes = [_right_handed(np.linalg.eigh(m)[1].T) for m in (d, v, d / np.trace(d) + 0.6 * v / np.trace(v))]
    rolls = [_about(e, angle) for e in np.eye(3) for angle in np.arange(1, 8) * np.pi / 16]
    fixed = Rotation.from_euler(
        "xyz", [(a, b, g) for a in (0.2, 0.7, 1.2) for b in (0.1, 0.5, 1.0) for g in (0.1, 0.6)]
    )
    starts = [*eigenframes, *(roll @ eigenframes[2] for roll in rolls), *fixed.as_matrix()]
    # The third axis is that of the monoclinic class: put each axis there.
    starts = [np.roll(frame, shift, axis=0) for frame in starts for shift in range(3 if entries is _MONOCLINIC else 1)]
    starts.sort(key=lambda start: float(np.linalg.norm(residual(np.zeros(3), start))))
    best, smallest = starts[0], np.inf
    for start in starts[:6]:
        fit = scipy.optimize.least_squares(residual, np.zeros(3), args=(start,), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        size = float(np.sqrt(2.0 * fit.cost))
        if size < smallest - 1e-15:
            best, smallest = Rotation.from_rotvec(fit.x).as_matrix() @ start, size
        if smallest <= max(1e-3 * tolerance, 1e-13):
            break
    return np.asarray(best)


def _ordered(c: Array, frame: Array, found: Symmetry) -> Array:
    """Return the frame with the axis of the class third, or else with the stiffest axis first."""
    if found.axis:
        return np.roll(frame, 2 - "xyz".index(found.axis), axis=0)
    turned = rotate(c, frame)
    return _right_handed(frame[np.argsort(-np.diag(turned)[:3], kind="stable")])


def _right_handed(frame: Array) -> Array:
    """Return the frame (rows) with its last row turned round where it is left-handed."""
    result = np.array(frame, dtype=np.float64)
    if np.linalg.det(result) < 0.0:
        result[-1] *= -1.0
    return result


def _about(axis: Array, angle: float) -> Array:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(angle * np.asarray(axis)).as_matrix())
