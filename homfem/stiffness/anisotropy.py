"""Engineering constants, symmetry class and anisotropy of a stiffness.

Source: Browaeys and Chevrot 2004, Geophys. J. Int. 159, 667 (distance to a symmetry class); Ranganathan and
Ostoja-Starzewski 2008, Phys. Rev. Lett. 101, 055504 (universal anisotropy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError, check_choice
from homfem.stiffness.notation import INDEX_NAMES, check_plane, dimension_of, mandel_to_voigt, rotate, voigt_to_mandel
from homfem.stiffness.solids import check_stiffness

_AXES = "xyz"
# Rotations (axis, order) whose successive averages project on a class about z (3D); x -> y -> z -> x gives the others.
_X, _Z, _DIAGONAL = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0)
_AVERAGES = {
    "cubic": ((_Z, 4), (_X, 2), (_DIAGONAL, 3)),
    "transversely isotropic": ((_Z, 5),),  # a stiffness has angular harmonics up to four
    "tetragonal": ((_Z, 4), (_X, 2)),
    "orthotropic": ((_Z, 2), (_X, 2)),
    "monoclinic": ((_Z, 2),),
}
#: Symmetry classes by dimension, the most symmetric first.
CLASSES = {2: ("isotropic", "square", "orthotropic", "general"), 3: ("isotropic", *_AVERAGES, "general")}
_WITH_AXIS = ("transversely isotropic", "tetragonal", "monoclinic")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EngineeringConstants:
    r"""Constants read off a compliance :math:`S = C^{-1}`: :math:`E_i = 1/S_{ii}`, :math:`\nu_{ij} = -S_{ji}/S_{ii}`.

    In plane strain they are those of stress along i with :math:`\varepsilon_{zz} = 0`. An isotropic solid then
    shows :math:`E/(1-\nu^2)` and :math:`\nu/(1-\nu)`, not its E and ν; the shear modulus is the solid's own. In plane
    stress they are the solid's own.

    Parameters
    ----------
    young : array, shape (d,)
        Young's moduli along the axes, unit of stress.
    poisson : array, shape (d, d)
        Entry (i, j): contraction along j over extension along i, under stress along i alone. Diagonal NaN.
    shear : array, shape (3,) or (1,)
        Shear moduli in the planes yz, xz, xy (3D) or xy, unit of stress.
    plane
        ``"strain"`` or ``"stress"`` in 2D, else None.
    """

    young: Array
    poisson: Array
    shear: Array
    plane: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists for JSON, in the order of the fields; the diagonal of ``poisson`` is None."""
        ratios = [[None if np.isnan(entry) else float(entry) for entry in row] for row in self.poisson]
        return {"young": self.young.tolist(), "poisson": ratios, "shear": self.shear.tolist()}

    def __str__(self) -> str:
        d = len(self.young)
        parts = [f"E_{_AXES[i]} {self.young[i]:.6g}" for i in range(d)]
        parts += [f"G_{n} {g:.6g}" for n, g in zip(INDEX_NAMES[d][d:], self.shear, strict=True)]
        parts += [f"nu_{_AXES[i]}{_AXES[j]} {self.poisson[i, j]:.6g}" for i in range(d) for j in range(d) if i != j]
        return ", ".join(parts) + (f" (plane {self.plane})" if self.plane else "")


def engineering_constants(stiffness: npt.ArrayLike, *, plane: str | None = None) -> EngineeringConstants:
    """Return the engineering constants of a positive definite Voigt matrix about the coordinate axes.

    ``plane`` says of a 3x3 matrix whether it is one of plane ``"strain"`` (default) or plane ``"stress"``.
    """
    d = dimension_of(stiffness)
    plane = check_plane(plane, d)
    s = np.linalg.inv(check_stiffness("stiffness", stiffness, d))
    diagonal = np.diag(s)
    poisson = (0.0 - s[:d, :d].T) / diagonal[:d, None]  # without negative zeros
    np.fill_diagonal(poisson, np.nan)
    return EngineeringConstants(young=1.0 / diagonal[:d], poisson=poisson, shear=1.0 / diagonal[d:], plane=plane)


def _parts(mandel: Array) -> tuple[float, float]:
    """Averages over all orientations of a Mandel matrix: its hydrostatic and its deviatoric eigenvalue (dK, 2G)."""
    d = dimension_of(mandel)
    hydrostatic = float(mandel[:d, :d].sum()) / d
    return hydrostatic, (float(np.trace(mandel)) - hydrostatic) / (len(mandel) - 1)


def isotropic_moduli(stiffness: npt.ArrayLike, *, tolerance: float = 1e-9) -> tuple[float, float]:
    """Return (bulk, shear) modulus in space of an isotropic Voigt matrix, 6x6 or 3x3 in plane strain.

    Raises
    ------
    InputError
        If its relative distance from isotropy is more than ``tolerance``.
    """
    if (far := distance(stiffness, "isotropic")) > tolerance:
        raise InputError("stiffness", stiffness, "isotropic", f"Its relative distance from isotropy is {far:.2g}.")
    d = dimension_of(stiffness)
    hydrostatic, deviatoric = _parts(voigt_to_mandel(stiffness))
    shear = 0.5 * deviatoric
    return (hydrostatic - 2.0 * shear) / d + 2.0 * shear / 3.0, shear


def project(stiffness: npt.ArrayLike, name: str, axis: str = "z") -> Array:
    """Return the nearest Voigt matrix of a symmetry class (in the Frobenius norm of Mandel matrices).

    Parameters
    ----------
    stiffness
        Voigt matrix.
    name
        One of :data:`CLASSES` of its dimension.
    axis
        ``"x"``, ``"y"`` or ``"z"``: the axis of the classes that have one (3D).
    """
    d = dimension_of(stiffness)
    check_choice("name", name, CLASSES[d])
    check_choice("axis", axis, tuple(_AXES))
    c = np.asarray(stiffness, dtype=np.float64)
    if name == "isotropic":
        hydrostatic, deviatoric = _parts(voigt_to_mandel(c))
        unit = np.zeros(len(c))
        unit[:d] = d**-0.5
        j = np.outer(unit, unit)
        return mandel_to_voigt(hydrostatic * j + deviatoric * (np.eye(len(c)) - j))
    if d == 2 and name != "general":
        c = 0.5 * (c + rotate(c, np.diag([1.0, -1.0])))
        return 0.5 * (c + rotate(c, np.array([[0.0, -1.0], [1.0, 0.0]]))) if name == "square" else c
    from scipy.spatial.transform import Rotation

    for direction, order in _AVERAGES.get(name, ()):
        turned = np.roll(direction, _AXES.index(axis) + 1) / np.linalg.norm(direction)
        angles = 2.0 * np.pi * np.arange(order) / order
        turns = Rotation.from_rotvec(angles[:, None] * turned).as_matrix()
        c = np.mean([rotate(c, turn) for turn in turns], axis=0)
    return c


def distance(stiffness: npt.ArrayLike, name: str, axis: str = "z") -> float:
    """Return the relative distance of a stiffness from a symmetry class, :math:`|C - PC| / |C|` (0 to 1)."""
    mandel = voigt_to_mandel(stiffness)
    size = float(np.linalg.norm(mandel))
    return float(np.linalg.norm(mandel - voigt_to_mandel(project(stiffness, name, axis)))) / size if size else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Symmetry:
    """The symmetry class of a stiffness about the coordinate axes.

    Parameters
    ----------
    name
        The class, one of :data:`CLASSES`.
    axis
        ``"x"``, ``"y"``, ``"z"`` for a class with an axis, else empty.
    distance
        Relative distance from the class.
    """

    name: str
    axis: str
    distance: float

    def __str__(self) -> str:
        return f"{self.name} about {self.axis}" if self.axis else self.name


def symmetry(stiffness: npt.ArrayLike, *, tolerance: float = 1e-6) -> Symmetry:
    """Return the most symmetric class within ``tolerance`` (relative distance), about the coordinate axes.

    A body with the symmetry about other axes counts as less symmetric: turn it first (:func:`rotate`).
    """
    d = dimension_of(stiffness)
    for name in CLASSES[d]:
        axes = tuple(_AXES) if name in _WITH_AXIS else ("z",)
        far, axis = min((distance(stiffness, name, axis), axis) for axis in axes)
        if far <= tolerance:
            return Symmetry(name=name, axis=axis if name in _WITH_AXIS else "", distance=far)
    raise InputError("tolerance", tolerance, "a number >= 0")


def universal_anisotropy(stiffness: npt.ArrayLike) -> float:
    r"""Return the universal index :math:`A^U = 5G_V/G_R + K_V/K_R - 6` (3D); in 2D :math:`2G_V/G_R + K_V/K_R - 3`.

    V and R are the Voigt and Reuss averages over all orientations. Zero for an isotropic solid, and only for one.
    """
    mandel = voigt_to_mandel(check_stiffness("stiffness", stiffness, dimension_of(stiffness)))
    stiff, soft = _parts(mandel), _parts(np.asarray(np.linalg.inv(mandel), dtype=np.float64))
    deviatoric = len(mandel) - 1
    return deviatoric * (stiff[1] * soft[1] - 1.0) + stiff[0] * soft[0] - 1.0


def zener_anisotropy(stiffness: npt.ArrayLike, *, tolerance: float = 1e-6) -> float:
    r"""Return Zener's ratio :math:`2C_{44}/(C_{11}-C_{12})` of a cubic stiffness (in 2D a square one, shear xy).

    Raises
    ------
    InputError
        If the stiffness is not cubic (square) about the coordinate axes within ``tolerance``.
    """
    name = CLASSES[dimension_of(stiffness)][1]
    if (far := distance(stiffness, name)) > tolerance:
        raise InputError(
            "stiffness", stiffness, f"{name} about the axes", f"Its relative distance from it is {far:.2g}."
        )
    c = project(stiffness, name)
    return float(2.0 * c[-1, -1] / (c[0, 0] - c[0, 1]))
