"""Voigt, Mandel and full components of a stiffness; its rotation; plane strain and plane stress.

Source: Helnwein 2001, Comput. Methods Appl. Mech. Eng. 190, 2753.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError, check_choice

#: Index pairs of the rows of a Voigt or Mandel matrix, by dimension.
PAIRS = {2: ((0, 0), (1, 1), (0, 1)), 3: ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))}
#: Names of the rows.
INDEX_NAMES = {2: ("xx", "yy", "xy"), 3: ("xx", "yy", "zz", "yz", "xz", "xy")}
#: What is zero out of the plane of a solid in 2D: its strain, or its stress.
PLANES = ("strain", "stress")


def dimension_of(matrix: npt.ArrayLike) -> int:
    """Return the number of space dimensions of a Voigt or Mandel matrix: 2 for 3x3, 3 for 6x6."""
    shape = np.shape(matrix)
    if shape not in ((3, 3), (6, 6)):
        raise InputError("stiffness", np.asarray(matrix), "a 6x6 matrix, or 3x3 in plane strain")
    return 2 if shape == (3, 3) else 3


def _weights(dimension: int) -> Array:
    pairs = PAIRS[dimension]
    w = np.array([1.0 if i == j else math.sqrt(2.0) for i, j in pairs])
    return np.outer(w, w)


def basis(dimension: int) -> Array:
    """Return the orthonormal basis of symmetric matrices behind the Mandel notation; shape (n, d, d), n = 3 or 6."""
    result = np.zeros((len(PAIRS[dimension]), dimension, dimension))
    for row, (i, j) in enumerate(PAIRS[dimension]):
        result[row, i, j] = result[row, j, i] = 1.0 if i == j else math.sqrt(0.5)
    return result


def voigt_to_mandel(stiffness: npt.ArrayLike) -> Array:
    """Return the Mandel matrix of a stiffness given as Voigt matrix."""
    return np.asarray(np.asarray(stiffness, dtype=np.float64) * _weights(dimension_of(stiffness)))


def mandel_to_voigt(mandel: npt.ArrayLike) -> Array:
    """Return the Voigt matrix of a stiffness given as Mandel matrix."""
    return np.asarray(np.asarray(mandel, dtype=np.float64) / _weights(dimension_of(mandel)))


def voigt_to_tensor(stiffness: npt.ArrayLike) -> Array:
    r"""Return the components :math:`C_{ijkl}`, shape (d, d, d, d), of a Voigt matrix."""
    b = basis(dimension_of(stiffness))
    return np.asarray(np.einsum("IJ,Iij,Jkl->ijkl", voigt_to_mandel(stiffness), b, b))


def tensor_to_voigt(tensor: npt.ArrayLike) -> Array:
    r"""Return the Voigt matrix of components :math:`C_{ijkl} = C_{jikl} = C_{ijlk}`, shape (d, d, d, d), d = 2 or 3."""
    c = np.asarray(tensor, dtype=np.float64)
    if c.shape not in ((2,) * 4, (3,) * 4):
        raise InputError("tensor", c.shape, "of shape (2, 2, 2, 2) or (3, 3, 3, 3)")
    size = 1e-10 * np.abs(c).max()
    if np.abs(c - c.swapaxes(0, 1)).max() > size or np.abs(c - c.swapaxes(2, 3)).max() > size:
        raise InputError("tensor", c, "symmetric in the first two and in the last two indices")
    b = basis(c.shape[0])
    return mandel_to_voigt(np.einsum("ijkl,Iij,Jkl->IJ", c, b, b))


def mandel_rotation(rotation: npt.ArrayLike) -> Array:
    r"""Return the orthogonal matrix Q that rotates Mandel vectors, :math:`Q_{IJ} = B_I : R B_J R^T`; shape (n, n)."""
    r = np.asarray(rotation, dtype=np.float64)
    square = r.shape in ((2, 2), (3, 3))
    if not square or not np.abs(r @ r.T - np.eye(len(r))).max() <= 1e-9:
        raise InputError("rotation", rotation, "an orthogonal 2x2 or 3x3 matrix")
    b = basis(len(r)).reshape(-1, r.size)
    return np.asarray(b @ np.kron(r, r) @ b.T)


def rotate(stiffness: npt.ArrayLike, rotation: npt.ArrayLike) -> Array:
    r"""Return the Voigt matrix of the body turned by R, :math:`C'_{ijkl} = R_{ia}R_{jb}R_{kc}R_{ld}C_{abcd}`."""
    q = mandel_rotation(rotation)
    mandel = voigt_to_mandel(stiffness)
    if q.shape != mandel.shape:
        raise InputError(
            "rotation", rotation, f"a {dimension_of(mandel)}x{dimension_of(mandel)} matrix, as the stiffness"
        )
    return mandel_to_voigt(q @ mandel @ q.T)


def plane_strain(stiffness: npt.ArrayLike, name: str = "stiffness") -> Array:
    """Return the 3x3 plane-strain stiffness (strain only in xx, yy, xy) of a 6x6 one.

    Raises
    ------
    InputError
        If in-plane strain causes out-of-plane shear stress: plane strain then does not stay plane. The plane z = const
        has to be a plane of symmetry.
    """
    c = np.asarray(stiffness, dtype=np.float64)
    if c.shape != (6, 6):
        raise InputError(name, stiffness, "a 6x6 Voigt matrix")
    inside = [0, 1, 5]
    if np.abs(c[np.ix_(inside, [3, 4])]).max() > 1e-10 * np.abs(c).max():
        raise InputError(name, stiffness, "free of coupling between in-plane strain and out-of-plane shear",
                         "Compute in 3D, or turn the axes so that z = const is a plane of symmetry.")  # fmt: skip
    return np.asarray(c[np.ix_(inside, inside)])


def plane_stress(stiffness: npt.ArrayLike, name: str = "stiffness") -> Array:
    r"""Return the reduced 3x3 stiffness of a 6x6 one whose stresses zz, yz and xz vanish: that of a thin sheet.

    .. math:: Q = C_{ii} - C_{io}\,C_{oo}^{-1}\,C_{oi}

    with i = xx, yy, xy and o = zz, yz, xz. Every positive definite stiffness has one, whatever its symmetry; that of an
    isotropic solid has :math:`Q_{11}=E/(1-\nu^2)`, :math:`Q_{12}=\nu Q_{11}`, :math:`Q_{33}=E/2(1+\nu)`.

    Source: Jones 1999, Mechanics of Composite Materials, section 2.4.
    """
    c = np.asarray(stiffness, dtype=np.float64)
    if c.shape != (6, 6):
        raise InputError(name, stiffness, "a 6x6 Voigt matrix")
    inside, out = [0, 1, 5], [2, 3, 4]
    coupling = c[np.ix_(out, inside)]
    reduced = c[np.ix_(inside, inside)] - coupling.T @ np.linalg.solve(c[np.ix_(out, out)], coupling)
    return np.asarray(0.5 * (reduced + reduced.T))


def check_plane(plane: str | None, dimension: int) -> str | None:
    """Return what vanishes out of the plane: ``"strain"`` (default) or ``"stress"`` in 2D, None in 3D."""
    if dimension == 3:
        if plane is not None:
            raise InputError("plane", plane, "left out in three dimensions")
        return None
    return check_choice("plane", "strain" if plane is None else plane, PLANES)
