"""Symmetry class and axes of second-order tensors and of stiffnesses, found from the tensor itself."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError, check_number
from homfem.stiffness import (
    CLASSES,
    check_stiffness,
    distance,
    mandel_rotation,
    mandel_to_voigt,
    project,
    rotate,
    voigt_to_mandel,
    voigt_to_tensor,
)
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
    r"""Return the most symmetric class of a stiffness within a tolerance, about the axes in which it is nearest to it.

    The distance from a class is made as small as possible over all frames by least squares. The starts are many frames
    spread over the rotations, the coordinate axes, and the eigenvectors of the dilatational tensor :math:`C_{ijkk}` and
    of the Voigt tensor :math:`C_{ikjk}`, which are the symmetry axes of an exactly symmetric stiffness where their
    eigenvalues differ. Classes that contain each other are tried from the least symmetric on.

    Parameters
    ----------
    stiffness : array, shape (6, 6)
        Voigt matrix, symmetric positive definite.
    tolerance
        Largest relative distance from the class, see :func:`homfem.stiffness.distance`.

    Returns
    -------
    StiffnessSymmetry

    Notes
    -----
    It is never less symmetric than what :func:`homfem.stiffness.symmetry` finds about the coordinate axes. Where the
    deviations from symmetry are as large as the tolerance, the distance has many minima, and a better frame may be
    missed: of 500 random stiffnesses one was given another class when it was turned.

    Sources: Cowin, Mehrabadi 1987, Q. J. Mech. Appl. Math. 40, 451 (axes); Browaeys, Chevrot 2004, Geophys. J. Int.
    159, 667 (distances).
    """
    tolerance = check_number("tolerance", tolerance, at_least=0.0)
    c = check_stiffness("stiffness", stiffness, 3)
    frames = {"general": (np.eye(3), 0.0), "isotropic": (np.eye(3), distance(c, "isotropic"))}
    if frames["isotropic"][1] > tolerance:
        for name, wider in _WIDER.items():
            if wider in frames and frames[wider][1] <= tolerance:
                frames[name] = _best_frame(c, name, tolerance)
    name = next(name for name in CLASSES[3] if name in frames and frames[name][1] <= tolerance)
    frame, far = frames[name]
    frame = frame if name in _WITH_AXIS else _stiffest_first(c, frame)
    turned = rotate(c, frame)
    distances = {each: min(distance(turned, each, axis) for axis in "xyz") for each in CLASSES[3]}
    return StiffnessSymmetry(name=name, axes=frame, distance=far, distances=distances)


_WITH_AXIS = ("monoclinic", "tetragonal", "transversely isotropic")
# For each class one that contains it.
_WIDER = {
    "monoclinic": "general",
    "orthotropic": "monoclinic",
    "tetragonal": "orthotropic",
    "transversely isotropic": "tetragonal",
    "cubic": "tetragonal",
}
# How many frames are spread over the rotations, ten degrees apart but for the symmetry of a frame; how many of the best
# starts are followed.
_SPREAD, _STARTS = 600, 12


def _best_frame(c: Array, name: str, tolerance: float) -> tuple[Array, float]:
    """Return the frame (rows) in which a stiffness is nearest to a class (about z), and its distance there."""
    import scipy.optimize
    from scipy.spatial.transform import Rotation

    mandel = voigt_to_mandel(c)
    mandel = mandel / np.linalg.norm(mandel)
    off = np.eye(36) - _projector(name)

    def residual(turn: Any, start: Array) -> Array:
        q = mandel_rotation(Rotation.from_rotvec(turn).as_matrix() @ start)
        return np.asarray(off @ (q @ mandel @ q.T).ravel())

    def fitted(frames: Array, q: Array) -> tuple[Array, float]:
        """The best of the frames, and of the fits from the best of them."""
        sizes = np.linalg.norm((q @ mandel @ q.transpose(0, 2, 1)).reshape(-1, 36) @ off.T, axis=1)
        order = np.argsort(sizes, kind="stable")
        best, smallest = frames[order[0]], float(sizes[order[0]])
        for start in frames[order[:_STARTS]]:
            if smallest <= exact:
                break
            fit = scipy.optimize.least_squares(residual, np.zeros(3), method="lm", args=(start,), **_SHARP)
            size = float(np.sqrt(2.0 * fit.cost))
            if size < smallest:
                best, smallest = Rotation.from_rotvec(fit.x).as_matrix() @ start, size
        return np.asarray(best), smallest

    exact = max(1e-3 * tolerance, 1e-13)
    d, v = dilatational_tensor(c), voigt_tensor(c)
    own = [_right_handed(np.linalg.eigh(m)[1].T) for m in (d, v, d / np.trace(d) + 0.6 * v / np.trace(v))]
    first = np.array([np.roll(frame, shift, axis=0) for frame in (np.eye(3), *own) for shift in range(3)])
    spread, of_spread = _spread()
    best, smallest = fitted(np.concatenate([first, spread]), np.concatenate([_mandel_rotations(first), of_spread]))
    # Near a transversely isotropic stiffness frames differ little about its axis: there may be a better one.
    while smallest > exact:
        rolled = np.concatenate([_rolls() @ np.roll(best, shift, axis=0) for shift in range(3)])
        frame, size = fitted(rolled, _mandel_rotations(rolled))
        if size > 0.999 * smallest:
            break
        best, smallest = frame, size
    return best, smallest


_SHARP = {"xtol": 1e-13, "ftol": 1e-13, "gtol": 1e-13}


@functools.cache
def _projector(name: str) -> Array:
    """The projection of Mandel matrices, as vectors of 36 entries, on a class about z."""
    units = np.eye(36).reshape(36, 6, 6)
    return np.array([voigt_to_mandel(project(mandel_to_voigt(unit), name)).ravel() for unit in units]).T


@functools.cache
def _spread() -> tuple[Array, Array]:
    """Frames spread evenly over the rotations, and their rotations of Mandel vectors."""
    from scipy.spatial.transform import Rotation

    frames = Rotation.from_quat(np.random.default_rng(0).standard_normal((_SPREAD, 4))).as_matrix()
    return frames, _mandel_rotations(frames)


def _mandel_rotations(frames: Array) -> Array:
    return np.array([mandel_rotation(frame) for frame in frames])


@functools.cache
def _rolls() -> Array:
    """Turns about each axis in steps of 5 degrees, up to a right angle."""
    from scipy.spatial.transform import Rotation

    angles = np.pi / 36.0 * np.arange(1, 18)
    return Rotation.from_rotvec((angles[:, None, None] * np.eye(3)).reshape(-1, 3)).as_matrix()


def _stiffest_first(c: Array, frame: Array) -> Array:
    """Return the frame with the stiffest axis first."""
    return _right_handed(frame[np.argsort(-np.diag(rotate(c, frame))[:3], kind="stable")])


def _right_handed(frame: Array) -> Array:
    """Return the frame (rows) with its last row turned round where it is left-handed."""
    result = np.array(frame, dtype=np.float64)
    if np.linalg.det(result) < 0.0:
        result[-1] *= -1.0
    return result
