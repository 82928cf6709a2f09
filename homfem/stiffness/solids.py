"""Stiffnesses as a user writes them: constants of isotropic or orthotropic solids, or a Voigt matrix, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError, check_choice, check_number, nearest_name
from homfem.stiffness.notation import INDEX_NAMES, PAIRS, check_plane, plane_strain, plane_stress, voigt_to_mandel

_MODULI = (("young", "poisson"), ("bulk", "shear"), ("lame", "shear"))


def moduli(name: str = "stiffness", /, **given: float) -> tuple[float, float]:
    r"""Return (bulk, shear) modulus of an isotropic solid from one pair of constants.

    .. math:: K = \frac{E}{3(1-2\nu)} = \lambda + \tfrac23\mu, \quad \mu = \frac{E}{2(1+\nu)} .

    Parameters
    ----------
    name
        For messages.
    **given
        ``young`` > 0 with ``poisson`` in (-1, 0.5), or ``bulk`` > 0 with ``shear`` > 0, or ``lame`` with ``shear`` > 0.

    Raises
    ------
    InputError
        For another choice of constants, and for a value that no stable compressible solid has.
    """
    known = sorted({key for pair in _MODULI for key in pair})
    if not any(set(given) == set(pair) for pair in _MODULI):
        near = {key: nearest_name(key, known).rstrip("?") for key in given if key not in known}
        hints = [f"{question} by {key!r}?" for key, question in near.items() if question]
        allowed = "given by young and poisson, or by bulk and shear, or by lame and shear"
        raise InputError(name, given, allowed, " ".join(hints))
    if "young" in given:
        young = check_number(f"{name}.young", given["young"], above=0.0)
        ratio = given["poisson"]
        limit = "At 0.5 the solid is incompressible and its stiffness infinite; take a value below, such as 0.499."
        ratio = check_number(f"{name}.poisson", ratio, above=-1.0, below=0.5, remedy=limit if ratio == 0.5 else "")
        return young / (3.0 * (1.0 - 2.0 * ratio)), young / (2.0 * (1.0 + ratio))
    shear = check_number(f"{name}.shear", given["shear"], above=0.0)
    if "bulk" in given:
        return check_number(f"{name}.bulk", given["bulk"], above=0.0), shear
    remedy = "The bulk modulus lame + 2/3 shear must be positive."
    lame = check_number(f"{name}.lame", given["lame"], above=-2.0 * shear / 3.0, remedy=remedy)
    return lame + 2.0 * shear / 3.0, shear


def check_dimension(dimension: int) -> int:
    """Return ``dimension`` if it is 2 or 3, else raise :class:`InputError`."""
    if dimension not in PAIRS:
        raise InputError("dimension", dimension, "2 (plane strain or plane stress) or 3")
    return dimension


def isotropic(*, dimension: int = 3, **given: float) -> Array:
    r"""Return the Voigt matrix of an isotropic solid.

    .. math:: \sigma = \lambda\,\mathrm{tr}(\varepsilon)\,I + 2\mu\varepsilon .

    Parameters
    ----------
    dimension
        3, or 2 for plane strain of the same solid: its constants stay those of the solid in space.
    **given
        The constants, as :func:`moduli` takes them: ``isotropic(young=10.0, poisson=0.3)``.

    Returns
    -------
    ndarray, shape (6, 6) or (3, 3), in the unit of the moduli.
    """
    return from_moduli(*moduli(**given), dimension=dimension)


def from_moduli(bulk: float, shear: float, *, dimension: int = 3) -> Array:
    """Return the Voigt matrix of bulk and shear modulus (in space) without any check; zeros and limits are allowed."""
    n, d = len(PAIRS[check_dimension(dimension)]), dimension
    result = np.zeros((n, n))
    result[:d, :d] = bulk - 2.0 * shear / 3.0
    result[range(n), range(n)] += [2.0 * shear] * d + [shear] * (n - d)
    return result


def _bulk_of_sheet(bulk: Any, shear: Any) -> Any:
    r"""Return the bulk modulus (or moduli) whose plane strain is plane stress of the given one.

    Lamé's constant becomes :math:`2\lambda\mu/(\lambda+2\mu)`; the shear modulus stays.
    """
    lame = bulk - 2.0 * shear / 3.0
    return 2.0 * lame * shear / (lame + 2.0 * shear) + 2.0 * shear / 3.0


def isotropic_field(name: str, given: Mapping[str, Array], dimension: int, plane: str | None = None) -> Array:
    """Return Voigt matrices of isotropic solids, shape (\\*n, m, m), of arrays of moduli, each of shape n.

    Which moduli are a pair is checked; where they are those of no stable solid the matrix is not positive definite.
    ``plane`` as in :func:`stiffness`.
    """
    plane = check_plane(plane, dimension)
    if not any(set(given) == set(pair) for pair in _MODULI):
        moduli(name, **dict.fromkeys(given, 0.25))
    if "young" in given:
        young, ratio = given["young"], given["poisson"]
        with np.errstate(divide="ignore", invalid="ignore"):
            bulk, shear = young / (3.0 * (1.0 - 2.0 * ratio)), young / (2.0 * (1.0 + ratio))
    else:
        shear = given["shear"]
        bulk = given["bulk"] if "bulk" in given else given["lame"] + 2.0 * shear / 3.0
    stable = (bulk > 0.0) & (shear > 0.0)
    if plane == "stress":
        with np.errstate(divide="ignore", invalid="ignore"):
            bulk = _bulk_of_sheet(bulk, shear)
    along, across = from_moduli(1.0, 0.0, dimension=dimension), from_moduli(0.0, 1.0, dimension=dimension)
    with np.errstate(invalid="ignore"):
        matrices = bulk[..., None, None] * along + shear[..., None, None] * across
    # In the plane the matrix of an unstable solid may be positive definite.
    return np.where(stable[..., None, None], matrices, matrices if dimension == 3 else -np.abs(matrices))


def orthotropic(
    young: Sequence[float], poisson: Sequence[float], shear: Sequence[float], name: str = "stiffness"
) -> Array:
    r"""Return the Voigt matrix of an orthotropic solid from its engineering constants about the coordinate axes.

    The compliance has :math:`S_{ii}=1/E_i`, :math:`S_{ij}=-\nu_{ij}/E_i` and the reciprocals of the shear moduli;
    :func:`homfem.stiffness.engineering_constants` reads them off again.

    Parameters
    ----------
    young
        Young's moduli along x, y and z, > 0.
    poisson
        :math:`\nu_{xy},\nu_{xz},\nu_{yz}`: contraction along the second axis under stress along the first.
    shear
        Shear moduli in the planes yz, xz and xy (the order of the Voigt matrix), > 0.
    name
        For messages.

    Raises
    ------
    InputError
        If they are no stable stiffness.

    Source: Lekhnitskii 1981, Theory of Elasticity of an Anisotropic Body.
    """
    for label, values in (("young", young), ("poisson", poisson), ("shear", shear)):
        if len(values) != 3:
            raise InputError(f"{name}.{label}", values, "three numbers")
        least = -math.inf if label == "poisson" else 0.0
        for value in values:
            check_number(f"{name}.{label}", value, above=least)
    s = np.zeros((6, 6))
    s[range(6), range(6)] = 1.0 / np.array([*young, *shear])
    for (i, j), ratio in zip(((0, 1), (0, 2), (1, 2)), poisson, strict=True):
        s[i, j] = s[j, i] = -ratio / young[i]
    smallest = float(np.linalg.eigvalsh(s)[0])
    if smallest <= 0.0:
        remedy = "Every ratio must obey nu_ij^2 < E_i/E_j, and all three together leave the compliance positive."
        raise InputError(
            f"{name}.poisson", tuple(poisson), "those of a solid that stores energy in every strain", remedy
        )
    return check_stiffness(name, np.linalg.inv(s), 3)


def transversely_isotropic(
    *,
    young_along: float,
    young_across: float,
    poisson_along: float,
    poisson_across: float,
    shear_along: float,
    axis: str = "z",
    name: str = "stiffness",
) -> Array:
    r"""Return the Voigt matrix of a solid that is isotropic about an axis: a fibre, a sheet of layers, a muscle.

    Parameters
    ----------
    young_along, young_across
        Young's moduli along the axis and across it.
    poisson_along
        Contraction across the axis under stress along it.
    poisson_across
        Contraction in the isotropic plane under stress in it; :math:`G=E/2(1+\nu)` there.
    shear_along
        Shear modulus in the planes that hold the axis.
    axis
        ``"x"``, ``"y"`` or ``"z"``; for others turn the result with :func:`homfem.stiffness.rotate`.
    name
        For messages.

    Raises
    ------
    InputError
        If they are no stable stiffness.
    """
    check_choice("axis", axis, ("x", "y", "z"))
    check_number(f"{name}.poisson_across", poisson_across, above=-1.0, below=1.0)
    k = "xyz".index(axis)
    young, shear = [young_across] * 3, [shear_along] * 3
    young[k], shear[k] = young_along, 0.5 * young_across / (1.0 + poisson_across)
    # Of a pair the ratio with stress along its first axis: if that is across, by the symmetry of the compliance.
    check_number(f"{name}.young_along", young_along, above=0.0)
    turned = poisson_along * young_across / young_along
    ratios = [
        poisson_across if k not in pair else poisson_along if pair[0] == k else turned
        for pair in ((0, 1), (0, 2), (1, 2))
    ]
    return orthotropic(young, ratios, shear, name)


def check_stiffness(name: str, value: npt.ArrayLike, dimension: int) -> Array:
    """Return a Voigt matrix if it is finite, symmetric and positive definite, else raise :class:`InputError`.

    Parameters
    ----------
    name
        For the message.
    value
        Matrix of shape (6, 6), or (3, 3) for ``dimension`` 2, in any unit of stress.
    dimension
        2 or 3.
    """
    n = len(PAIRS[check_dimension(dimension)])
    allowed = f"a symmetric positive definite {n}x{n} Voigt matrix (order {' '.join(INDEX_NAMES[dimension])})"
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, value, allowed) from error
    if matrix.shape != (n, n) or not np.all(np.isfinite(matrix)):
        raise InputError(name, value, allowed)
    if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=1e-12 * np.abs(matrix).max()):
        raise InputError(name, value, allowed, "This one is not symmetric.")
    matrix = 0.5 * (matrix + matrix.T)
    smallest = float(np.linalg.eigvalsh(voigt_to_mandel(matrix))[0])
    if smallest <= 0.0:
        remedy = f"Its smallest eigenvalue (as Mandel matrix) is {smallest:g}: a strain that stores no positive energy."
        raise InputError(name, value, allowed, remedy)
    return matrix


def stiffness(value: Any, dimension: int, name: str = "stiffness", plane: str | None = None) -> Array:
    """Return the Voigt matrix of a stiffness as a user writes it.

    Parameters
    ----------
    value
        A mapping such as ``{"young": 10.0, "poisson": 0.3}`` (see :func:`moduli`), or a Voigt matrix of shape (6, 6),
        or (3, 3): that of the plane itself. In 2D a 6x6 matrix is taken too, and reduced by :func:`plane_strain` or
        :func:`plane_stress`.
    dimension
        2 or 3.
    name
        For messages.
    plane
        What vanishes out of the plane in 2D: ``"strain"`` (default) or ``"stress"``.

    Raises
    ------
    InputError
        If it is no stable stiffness; the message names the constant at fault.
    """
    plane = check_plane(plane, check_dimension(dimension))
    if isinstance(value, Mapping):
        bulk, shear = moduli(name, **value)
        matrix = from_moduli(_bulk_of_sheet(bulk, shear) if plane == "stress" else bulk, shear, dimension=dimension)
        # Moduli too far apart leave no shear, or no bulk modulus, in the last digits of the matrix.
        if not np.linalg.eigvalsh(voigt_to_mandel(matrix))[0] > 1e-14 * np.abs(matrix).max():
            allowed = "those of a stiffness that is positive definite in floating-point numbers"
            remedy = f"Bulk modulus {bulk:g} and shear modulus {shear:g} are too far apart: bring them closer together."
            raise InputError(name, dict(value), allowed, remedy)
        return matrix
    if dimension == 2 and np.shape(value) == (6, 6):
        return (plane_stress if plane == "stress" else plane_strain)(check_stiffness(name, value, 3), name)
    if np.ndim(value) == 0:
        allowed = 'a mapping such as {"young": 10.0, "poisson": 0.3} or a Voigt matrix'
        raise InputError(name, value, allowed, "One number does not make a stiffness.")
    return check_stiffness(name, value, dimension)
