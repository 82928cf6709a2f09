"""Exact relations between effective properties: thermal expansion and Biot's coefficient from the stiffness.

With two phases, or one solid and a pore, these follow from the effective stiffness without another cell problem.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError
from homfem.stiffness import basis, check_stiffness, dimension_of, voigt_to_mandel


def levin_expansion(
    effective: npt.ArrayLike,
    stiffnesses: Sequence[npt.ArrayLike],
    expansions: Sequence[npt.ArrayLike],
    fractions: Sequence[float],
) -> Array:
    r"""Return the exact effective thermal expansion of two phases from their effective stiffness.

    .. math:: \alpha^* = \langle\alpha\rangle + (S^*-\langle S\rangle)\,(S_1-S_2)^{-1}(\alpha_1-\alpha_2) ;

    for isotropic phases and mixtures
    :math:`\alpha^* = \langle\alpha\rangle+(\alpha_2-\alpha_1)\frac{1/K^*-\langle1/K\rangle}{1/K_2-1/K_1}`.

    Parameters
    ----------
    effective
        Effective stiffness, Voigt matrix of shape (6, 6). In plane strain (3, 3) the expansions are those of the plane,
        free of stress in it: :math:`(1+\nu)\alpha` for an isotropic solid.
    stiffnesses, expansions, fractions
        Two Voigt matrices; two expansions, each a number (isotropic) or a symmetric matrix (d, d), per kelvin; two
        volume fractions.

    Returns
    -------
    ndarray, shape (d, d): strain per kelvin at no mean stress.

    Raises
    ------
    InputError
        If there are not two phases, or if the difference of their compliances cannot be inverted in the direction of
        the difference of their expansions.

    Source
    ------
    Levin 1967, Mekh. Tverd. Tela 2, 88; Rosen and Hashin 1970, Int. J. Eng. Sci. 8, 157.
    """
    d = dimension_of(effective)
    if not len(stiffnesses) == len(expansions) == len(fractions) == 2:
        raise InputError("phases", len(stiffnesses), "two: Levin's relation is exact for two phases only")
    b = basis(d)
    compliance = [np.linalg.inv(voigt_to_mandel(check_stiffness("stiffness", c, d))) for c in stiffnesses]
    total = np.linalg.inv(voigt_to_mandel(check_stiffness("effective", effective, d)))
    alpha = [
        np.einsum("Iij,ij->I", b, np.asarray(a) * np.eye(d) if np.ndim(a) == 0 else np.asarray(a)) for a in expansions
    ]
    f = np.asarray(fractions, dtype=np.float64)
    gap, step = compliance[0] - compliance[1], alpha[0] - alpha[1]
    stress, *_ = np.linalg.lstsq(gap, step, rcond=1e-12)
    if np.linalg.norm(gap @ stress - step) > 1e-9 * np.linalg.norm(step):
        raise InputError("stiffness", stiffnesses, "different in the direction in which the expansions differ")
    mean = f[0] * compliance[0] + f[1] * compliance[1]
    vector = f[0] * alpha[0] + f[1] * alpha[1] + (total - mean) @ stress
    return np.asarray(np.einsum("I,Iij->ij", vector, b))


def biot_coefficient(effective: npt.ArrayLike, solid: npt.ArrayLike) -> Array:
    r"""Return Biot's coefficient of a drained porous body of one solid.

    .. math:: B = I - C^*:S_s:I, \qquad \text{isotropic: } b = 1 - K^*/K_s .

    Parameters
    ----------
    effective, solid
        Voigt matrices (6, 6) of the drained body, averaged over the whole cell, and of its solid.

    Returns
    -------
    ndarray, shape (3, 3), dimensionless: the part of a pore pressure p that the mean stress carries, -B p.

    Source
    ------
    Nur and Byerlee 1971, J. Geophys. Res. 76, 6414; Cheng 2016, Poroelasticity, section 4.4.
    """
    if dimension_of(effective) != 3:
        raise InputError("effective", effective, "a 6x6 Voigt matrix")
    c = voigt_to_mandel(effective)
    s = np.linalg.inv(voigt_to_mandel(check_stiffness("solid", solid, 3)))
    b = basis(3)
    unit = np.einsum("Iii->I", b)
    return np.asarray(np.eye(3) - np.einsum("I,Iij->ij", c @ s @ unit, b))
