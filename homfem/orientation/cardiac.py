r"""Fibre, sheet and normal directions of heart muscle: angles, diffusion tensors, conductivity tensors.

The local frame of the wall has three unit vectors, the rows of a (3, 3) array: radial r (outwards, from endocardium to
epicardium), circumferential c and longitudinal l (in the wall, from apex to base), right-handed: :math:`r\times c=l`;
c runs anticlockwise when the heart is seen from the base. A fibre frame has the rows fibre f, sheet s and sheet normal
n, right-handed too. f, s and n are axes: their signs do not matter. Angles are in radians.

* helix angle :math:`\alpha=\operatorname{atan2}(f\cdot l,f\cdot c)`, in :math:`(-\pi/2,\pi/2]`: from c to the
  projection of f onto the wall's tangent plane (c, l); > 0 is a right-handed helix, as at the endocardium, < 0 a
  left-handed one, as at the epicardium;
* imbrication (intrusion) angle :math:`\beta=\arcsin(f\cdot r)`, in :math:`[-\pi/2,\pi/2]`: from the tangent plane to f,
  with f turned so that :math:`f\cdot c\ge0`; > 0 towards the epicardium;
* transverse angle :math:`\alpha_t=\operatorname{atan2}(f\cdot r,f\cdot c)`, from c to the projection of f onto the
  plane (r, c): :math:`\tan\alpha_t=\tan\beta/\cos\alpha`;
* sheet angle :math:`\gamma`, in :math:`(-\pi/2,\pi/2]`: a rotation about f, :math:`s=\cos\gamma\,t+\sin\gamma\,u`, with
  the cross-fibre direction in the wall :math:`t=-\sin\alpha\,c+\cos\alpha\,l` and :math:`u=f\times t`, which is r where
  :math:`\beta=0`. The angle of the second eigenvector (E2A), measured after projecting s onto the plane (r, t), is
  :math:`\operatorname{atan2}(s\cdot r,s\cdot t)`: :math:`\tan E2A=\tan\gamma\cos\beta`.

Sources: Streeter et al. 1969, Circ. Res. 24, 339; Scollan et al. 1998, Am. J. Physiol. 275, H2308; Geerts et al. 2002,
Am. J. Physiol. 283, H139 (helix, transverse); Ferreira et al. 2014, J. Cardiovasc. Magn. Reson. 16, 87 (E2A).
Authors differ in signs and in the name of the angle out of the wall: what counts are the formulas above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homfem.orientation.sphere import check_directions, unit
from homfem.parameters import Array, InputError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FibreAngles:
    """Angles of fibre frames in the local frame of the wall; arrays of one shape (...), in radians.

    Parameters
    ----------
    helix, imbrication : array, shape (...)
        The direction of the fibre.
    sheet : array, shape (...), optional
        Rotation of the sheet about the fibre; 0 by default.
    """

    helix: npt.ArrayLike
    imbrication: npt.ArrayLike
    sheet: npt.ArrayLike = 0.0

    def __post_init__(self) -> None:
        names = ("helix", "imbrication", "sheet")
        try:
            arrays = np.broadcast_arrays(*(np.asarray(getattr(self, name), dtype=np.float64) for name in names))
        except (TypeError, ValueError) as error:
            raise InputError("angles", "shapes that do not fit", "numbers of one shape, in radians") from error
        for name, array in zip(names, arrays, strict=True):
            if not np.all(np.isfinite(array)):
                raise InputError(name, getattr(self, name), "finite, in radians")
            object.__setattr__(self, name, np.array(array))

    @property
    def transverse(self) -> Array:
        """Angle from c to the projection of the fibre onto the plane (r, c), in (-pi/2, pi/2]; shape (...)."""
        x = np.cos(self.imbrication) * np.cos(self.helix)
        return _axial_angle(np.sin(self.imbrication), x)

    @property
    def second_eigenvector(self) -> Array:
        """The angle E2A of the sheet direction projected onto the plane (r, t), in (-pi/2, pi/2]; shape (...)."""
        return _axial_angle(np.sin(self.sheet) * np.cos(self.imbrication), np.cos(self.sheet))


def local_frames(radial: npt.ArrayLike, longitudinal: npt.ArrayLike) -> Array:
    """Return the local frames of the wall, rows r, c, l.

    Parameters
    ----------
    radial : array, shape (..., 3)
        Outward direction of the wall, such as the gradient of a transmural coordinate; of any length > 0.
    longitudinal : array, shape (..., 3) or (3,)
        A direction from apex to base, of any length > 0, not parallel to ``radial``; made orthogonal to it.

    Returns
    -------
    ndarray, shape (..., 3, 3)
    """
    out, up = np.asarray(radial, dtype=np.float64), np.asarray(longitudinal, dtype=np.float64)
    for name, vectors in (("radial", out), ("longitudinal", up)):
        fits = vectors.ndim > 0 and vectors.shape[-1] == 3 and np.all(np.isfinite(vectors))
        if not fits or np.any(np.linalg.norm(vectors, axis=-1) == 0.0):
            raise InputError(name, vectors, "finite vectors that are not zero, shape (..., 3)")
    out, up = np.broadcast_arrays(unit(out), unit(up))
    up = up - np.sum(up * out, axis=-1, keepdims=True) * out
    if np.any(np.linalg.norm(up, axis=-1) < 1e-8):
        raise InputError("longitudinal", longitudinal, "nowhere parallel to the radial direction")
    up = unit(up)
    return np.stack([out, np.cross(up, out), up], axis=-2)


def fibre_angles(fibre: npt.ArrayLike, local: npt.ArrayLike, *, sheet: npt.ArrayLike | None = None) -> FibreAngles:
    """Return the angles of fibre (and sheet) directions in the local frame of the wall.

    Parameters
    ----------
    fibre : array, shape (..., 3)
        Unit vectors; the sign does not matter.
    local : array, shape (..., 3, 3)
        Rows r, c, l, as :func:`local_frames` gives them.
    sheet : array, shape (..., 3), optional
        Unit vectors across the fibres, in the sheet; the sign does not matter.

    Raises
    ------
    InputError
        Vectors that are not of length 1, frames that are not orthonormal, sheets that are not across the fibres.

    Notes
    -----
    Along the radial direction the helix angle has no meaning; 0 is returned.
    """
    frames, f = check_frames("local", local), check_directions("fibre", fibre, 3)
    fr, fc, fl = np.moveaxis(np.einsum("...ij,...j->...i", frames, f), -1, 0)
    flat = np.hypot(fc, fl) < 1e-14
    # Of f and -f the one that points along c; if it is across c, along l; else along r.
    sign = np.where(flat, np.sign(fr), np.where(fc != 0.0, np.sign(fc), np.sign(fl)))
    helix = np.where(flat, 0.0, np.arctan2(sign * fl, sign * fc))
    imbrication = np.arctan2(sign * fr, np.where(flat, 0.0, np.hypot(fc, fl)))
    if sheet is None:
        return FibreAngles(helix=helix, imbrication=imbrication)
    s = check_directions("sheet", sheet, 3)
    if np.any(np.abs(np.sum(f * s, axis=-1)) > 1e-6):
        raise InputError("sheet", sheet, "orthogonal to the fibre directions to 1e-6")
    across, out = _cross_fibre(helix, imbrication, frames)
    rotation = _axial_angle(np.sum(s * out, axis=-1), np.sum(s * across, axis=-1))
    return FibreAngles(helix=helix, imbrication=imbrication, sheet=rotation)


def fibre_frames(angles: FibreAngles, local: npt.ArrayLike) -> Array:
    """Return the fibre frames with given angles, rows f, s, n, in the frame that ``local`` is given in.

    Parameters
    ----------
    angles : FibreAngles
        Shape (...).
    local : array, shape (..., 3, 3)
        Rows r, c, l.

    Returns
    -------
    ndarray, shape (..., 3, 3)
    """
    frames = check_frames("local", local)
    helix, imbrication, sheet = (np.asarray(a) for a in (angles.helix, angles.imbrication, angles.sheet))
    cosine = np.cos(imbrication)
    parts = np.stack([np.sin(imbrication), cosine * np.cos(helix), cosine * np.sin(helix)], axis=-1)
    fibre = np.einsum("...i,...ij->...j", parts, frames)
    across, out = _cross_fibre(helix, imbrication, frames)
    c, s = np.cos(sheet)[..., None], np.sin(sheet)[..., None]
    return np.stack([fibre, c * across + s * out, c * out - s * across], axis=-2)


def diffusion_frames(tensors: npt.ArrayLike) -> tuple[Array, Array]:
    """Return principal values and fibre frames of diffusion tensors.

    The fibre is the axis of the largest value, the sheet that of the middle one, the normal that of the smallest one.

    Parameters
    ----------
    tensors : array, shape (..., 3, 3)
        Symmetric; any unit.

    Returns
    -------
    (ndarray, shape (..., 3); ndarray, shape (..., 3, 3))
        Values, descending; frames with rows f, s, n, right-handed. Where two values are equal (as measured, within the
        noise) their axes have no meaning.
    """
    array = np.asarray(tensors, dtype=np.float64)
    allowed = "finite symmetric tensors, shape (..., 3, 3)"
    if array.ndim < 2 or array.shape[-2:] != (3, 3) or not np.all(np.isfinite(array)):
        raise InputError("tensors", tensors, allowed)
    if np.abs(array - array.swapaxes(-1, -2)).max(initial=0.0) > 1e-8 * np.abs(array).max(initial=0.0):
        raise InputError("tensors", tensors, allowed, "They are not symmetric.")
    values, vectors = np.linalg.eigh(array)
    frames = vectors[..., ::-1].swapaxes(-1, -2).copy()
    frames[..., 2, :] = np.cross(frames[..., 0, :], frames[..., 1, :])
    return np.asarray(values[..., ::-1]), frames


def conductivity_tensors(values: npt.ArrayLike, frames: npt.ArrayLike) -> Array:
    r"""Return conductivity tensors in the lab frame, :math:`K=k_fff^T+k_sss^T+k_nnn^T`.

    Parameters
    ----------
    values : array, shape (3,) or (..., 3)
        Conductivities along fibre, sheet and normal, >= 0; any unit.
    frames : array, shape (..., 3, 3)
        Rows f, s, n: orthonormal.

    Returns
    -------
    ndarray, shape (..., 3, 3), in the unit of ``values``
    """
    k = np.asarray(values, dtype=np.float64)
    if k.ndim == 0 or k.shape[-1] != 3 or not np.all(np.isfinite(k)) or np.any(k < 0.0):
        raise InputError("values", values, "numbers >= 0 along fibre, sheet and normal, shape (3,) or (..., 3)")
    frames = check_frames("frames", frames)
    return np.einsum("...a,...ai,...aj->...ij", k, frames, frames)


def check_frames(name: str, value: npt.ArrayLike) -> Array:
    """Return orthonormal frames as rows, shape (..., 3, 3); refuse what is off by more than 1e-6."""
    frames = np.asarray(value, dtype=np.float64)
    allowed = "orthonormal frames as rows, shape (..., 3, 3)"
    if frames.ndim < 2 or frames.shape[-2:] != (3, 3) or not np.all(np.isfinite(frames)):
        raise InputError(name, value, allowed)
    off = np.abs(frames @ frames.swapaxes(-1, -2) - np.eye(3)).max(initial=0.0)
    if off > 1e-6:
        raise InputError(name, value, allowed, f"Products of the rows are off by {off:.2g}.")
    return frames


def _cross_fibre(helix: Array, imbrication: Array, frames: Array) -> tuple[Array, Array]:
    """Return t, across the fibre in the wall, and u = f x t."""
    zero, cosine = np.zeros_like(helix), np.cos(imbrication)
    across = np.stack([zero, -np.sin(helix), np.cos(helix)], axis=-1)
    sine = np.sin(imbrication)
    out = np.stack([cosine, -sine * np.cos(helix), -sine * np.sin(helix)], axis=-1)
    return np.einsum("...i,...ij->...j", across, frames), np.einsum("...i,...ij->...j", out, frames)


def _axial_angle(y: Array, x: Array) -> Array:
    """Return the angle of the axis through (x, y), in (-pi/2, pi/2]."""
    sign = np.where((x < 0.0) | ((x == 0.0) & (y < 0.0)), -1.0, 1.0)
    return np.asarray(np.arctan2(sign * y, sign * x))
