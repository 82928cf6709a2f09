r"""Elastic moduli of mixtures of isotropic phases: bounds, exact results and estimates.

All formulas are one mean, :math:`\Lambda(s) = (\sum f_i/(v_i+s))^{-1} - s`, with another shift s:

==================================  ===================================================================
bulk modulus K                      :math:`s = \tfrac43 G_0`
shear modulus G                     :math:`s = \zeta_0 = \frac{G_0}{6}\,\frac{9K_0+8G_0}{K_0+2G_0}`
area bulk modulus k = K + G/3 (2D)  :math:`s = G_0`
shear modulus G across (2D)         :math:`s = k_0G_0/(k_0+2G_0)`
shear modulus along fibres          :math:`s = G_0`
==================================  ===================================================================

The bounds take the largest and the smallest of each modulus over the phases for :math:`K_0, G_0`, whether or not one
phase has both (Walpole); Mori-Tanaka takes the matrix; self-consistency takes the mixture itself.

Source: Hashin and Shtrikman 1963, J. Mech. Phys. Solids 11, 127; Walpole 1966, J. Mech. Phys. Solids 14, 151; 1969,
ibid. 17, 235; Hill 1964, ibid. 12, 199; Hashin 1965, ibid. 13, 119; Berryman 1980, J. Acoust. Soc. Am. 68, 1820.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from homfem.bounds.phases import Bounds, Estimate, Fractions, PerPhase, matrix_index, shifted_mean, solids
from homfem.parameters import Array, InputError
from homfem.stiffness import check_dimension


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuliBounds:
    """Bounds of a bulk modulus (2D: area bulk modulus k = K + G/3, plane strain) and a shear modulus."""

    bulk: Bounds
    shear: Bounds


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuliEstimate:
    """Estimates of a bulk modulus (2D: area bulk modulus k = K + G/3, plane strain) and a shear modulus."""

    bulk: Estimate
    shear: Estimate


def _shifts(bulk: float, shear: float, dimension: int) -> tuple[float, float]:
    """Shifts of the bulk and of the shear mean; in 2D ``bulk`` is the area bulk modulus. Zero and inf are allowed."""
    if shear == 0.0 or math.isinf(shear):
        return shear, (bulk if dimension == 2 and shear > 0.0 else shear)
    ratio = shear / bulk if bulk > 0.0 else math.inf
    if dimension == 2:
        return shear, shear / (1.0 + 2.0 * ratio)
    return 4.0 * shear / 3.0, shear / 6.0 * ((9.0 + 8.0 * ratio) / (1.0 + 2.0 * ratio) if ratio < math.inf else 4.0)


def _read(values: PerPhase, fractions: Fractions, dimension: int) -> tuple[list[str], Array, Array, Array]:
    names, bulk, shear, f = solids(values, fractions)
    return names, bulk + shear / 3.0 if check_dimension(dimension) == 2 else bulk, shear, f


def hashin_shtrikman_moduli(values: PerPhase, fractions: Fractions, *, dimension: int = 3) -> ModuliBounds:
    r"""Return the Hashin-Shtrikman-Walpole bounds of the moduli of an isotropic mixture of N isotropic phases.

    Parameters
    ----------
    values
        One per phase: ``{"young": 10.0, "poisson": 0.3}`` or another pair, an isotropic Voigt matrix, 0 for a void;
        in ``{"bulk": K, "shear": G}`` zero and ``inf`` are allowed (fluid, rigid).
    fractions
        Volume fractions, which sum to one.
    dimension
        3, or 2 for plane strain: then ``bulk`` bounds the area bulk modulus :math:`k = K + G/3` (:math:`(C_{11}+
        C_{12})/2` of the plane) and ``shear`` the shear modulus in the plane.

    Returns
    -------
    ModuliBounds. They hold for isotropic mixtures. The bulk bounds hold for cubic ones too (2D: square).

    Raises
    ------
    InputError
        For moduli that no stable solid has, anisotropic phases, and fractions that do not fit.
    """
    _, bulk, shear, f = _read(values, fractions, dimension)
    low = _shifts(float(bulk.min()), float(shear.min()), dimension)
    high = _shifts(float(bulk.max()), float(shear.max()), dimension)
    return ModuliBounds(
        bulk=Bounds(lower=shifted_mean(bulk, f, low[0]), upper=shifted_mean(bulk, f, high[0])),
        shear=Bounds(lower=shifted_mean(shear, f, low[1]), upper=shifted_mean(shear, f, high[1])),
    )


def hill_equal_shear(values: PerPhase, fractions: Fractions, *, dimension: int = 3) -> float:
    r"""Return the exact bulk modulus (2D: area bulk modulus) of any mixture of phases with one shear modulus.

    .. math:: \frac1{K^*+\frac43 G} = \Bigl\langle\frac1{K+\frac43 G}\Bigr\rangle, \qquad
              \text{2D: } \frac1{k^*+G} = \Bigl\langle\frac1{k+G}\Bigr\rangle .

    The mixture is isotropic with the shear modulus G, whatever its geometry. Hill 1963, 1964.

    Raises
    ------
    InputError
        If the shear moduli are not equal to 1e-9.
    """
    _, bulk, shear, f = _read(values, fractions, dimension)
    if not np.ptp(shear) <= 1e-9 * shear.max():
        raise InputError("shear", shear, "the same in all phases for Hill's exact result")
    return shifted_mean(bulk, f, _shifts(1.0, float(shear.mean()), dimension)[0])


def mori_tanaka(values: PerPhase, fractions: Fractions, *, matrix: str | int, dimension: int = 3) -> ModuliEstimate:
    """Return the Mori-Tanaka estimate for spheres (2D: circular fibres, plane strain) in a matrix.

    Exact to first order in the fraction of the inclusions; it equals the Hashin-Shtrikman bounds where the matrix has
    both of the largest or both of the smallest moduli. Parameters as for :func:`hashin_shtrikman_moduli`, and the name
    (or number) of the matrix phase. Benveniste 1987, Mech. Mater. 6, 147.
    """
    names, bulk, shear, f = _read(values, fractions, dimension)
    m = matrix_index(matrix, names)
    s = _shifts(float(bulk[m]), float(shear[m]), dimension)
    model = f"Mori-Tanaka, matrix {matrix}"
    return ModuliEstimate(
        bulk=Estimate(value=shifted_mean(bulk, f, s[0]), model=model),
        shear=Estimate(value=shifted_mean(shear, f, s[1]), model=model),
    )


def self_consistent(values: PerPhase, fractions: Fractions, *, dimension: int = 3) -> ModuliEstimate:
    """Return the symmetric self-consistent estimate for spheres (2D: circular fibres, plane strain).

    Each modulus is the mean whose shift belongs to the estimate itself. The shear modulus is zero once voids fill 1/2
    (2D: 1/3) or more. Parameters as for :func:`hashin_shtrikman_moduli`, all moduli finite. Hill 1965, J.
    Mech. Phys. Solids 13, 213; Budiansky 1965, ibid. 13, 223.
    """
    from scipy.optimize import brentq

    _, bulk, shear, f = _read(values, fractions, dimension)
    if not (np.all(np.isfinite(bulk)) and np.all(np.isfinite(shear))):
        raise InputError("stiffness", [*bulk, *shear], "finite for the self-consistent estimate")
    top = float(shear.max())

    def bulk_for(trial: float) -> float:
        return shifted_mean(bulk, f, _shifts(1.0, trial, dimension)[0])

    def excess(x: float) -> float:
        trial = x * top
        return float(np.sum(f * (shear - trial) / (shear + _shifts(bulk_for(trial), trial, dimension)[1])))

    smallest = 1e-12
    if top == 0.0 or excess(smallest) <= 0.0:
        value = 0.0
    else:
        value = top * float(brentq(excess, smallest, 1.0, xtol=1e-15, rtol=1e-14, maxiter=1000))
    model = "self-consistent"
    return ModuliEstimate(bulk=Estimate(value=bulk_for(value), model=model), shear=Estimate(value=value, model=model))


# -- long parallel fibres ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class FibreBounds:
    """Bounds of the five moduli of a transversely isotropic fibre composite, in the unit of the phases' moduli.

    Parameters
    ----------
    area_bulk, transverse_shear, longitudinal_shear, young, poisson
        Area bulk modulus k at no longitudinal strain, shear modulus across and along the fibres, Young's modulus along
        them, and Poisson's ratio of the contraction across under stress along.
    """

    area_bulk: Bounds
    transverse_shear: Bounds
    longitudinal_shear: Bounds
    young: Bounds
    poisson: Bounds


def fibre_relations(values: PerPhase, fractions: Fractions, area_bulk: float) -> tuple[float, float]:
    r"""Return (longitudinal Young's modulus, Poisson's ratio) that belong to an area bulk modulus k* of two phases.

    .. math:: \nu^* = \langle\nu\rangle - \beta\,\bigl(\langle 1/k\rangle - 1/k^*\bigr), \quad
              E^* = \langle E\rangle + 4\beta^2\bigl(\langle 1/k\rangle - 1/k^*\bigr), \quad
              \beta = \frac{\nu_1-\nu_2}{1/k_1-1/k_2} .

    Exact for every cross-section with at least three-fold symmetry or statistical isotropy. Hill 1964, eq. 3.6.

    Raises
    ------
    InputError
        If there are not two phases with shear and bulk moduli > 0, or if their k are equal while their ratios differ:
        k* then says nothing.
    """
    k, nu, young, f = _two_phases(values, fractions)
    slope = 1.0 / k[0] - 1.0 / k[1]
    if abs(slope) <= 1e-12 / float(k.min()):
        if abs(nu[0] - nu[1]) > 1e-12:
            raise InputError("area bulk moduli", k, "different for Hill's relations, or Poisson's ratios equal")
        return float(f @ young), float(f @ nu)
    beta = (nu[0] - nu[1]) / slope
    rest = float(f @ (1.0 / k)) - 1.0 / area_bulk
    return float(f @ young) + 4.0 * beta**2 * rest, float(f @ nu) - beta * rest


def _two_phases(values: PerPhase, fractions: Fractions) -> tuple[Array, Array, Array, Array]:
    """Area bulk modulus, Poisson's ratio, Young's modulus and fraction of two solids."""
    names, bulk, shear, f = solids(values, fractions)
    if len(names) != 2 or min(bulk.min(), shear.min()) <= 0.0 or not np.all(np.isfinite([bulk, shear])):
        raise InputError("phases", names, "two, with finite bulk and shear moduli > 0, for Hill's formulas")
    nu = (3.0 * bulk - 2.0 * shear) / (6.0 * bulk + 2.0 * shear)
    return bulk + shear / 3.0, nu, 9.0 * bulk * shear / (3.0 * bulk + shear), f


def fibre_bounds(values: PerPhase, fractions: Fractions) -> FibreBounds:
    r"""Bound the moduli of two isotropic phases in long parallel fibres of any transversely isotropic arrangement.

    With :math:`D_0 = f_1/k_2+f_2/k_1+1/G_0`, :math:`G_0` the smallest (largest) shear modulus,

    .. math:: E_0 = \langle E\rangle + \frac{4f_1f_2(\nu_1-\nu_2)^2}{D_0}, \qquad
              \nu_0 = \langle\nu\rangle + \frac{f_1f_2(\nu_1-\nu_2)(1/k_2-1/k_1)}{D_0} ;

    k and both shear moduli as in two dimensions (the table at the head of this module).

    Parameters
    ----------
    values, fractions
        Two phases, as for :func:`hashin_shtrikman_moduli`, with moduli > 0 and finite.

    Source
    ------
    Hill 1964, J. Mech. Phys. Solids 12, 199; Hashin 1965, ibid. 13, 119.
    """
    k, nu, young, f = _two_phases(values, fractions)
    _, _, shear, _ = solids(values, fractions)
    plane = hashin_shtrikman_moduli(values, fractions, dimension=2)
    ends = [float(shear.min()), float(shear.max())]
    along = [shifted_mean(shear, f, end) for end in ends]
    share = [float(f[0] * f[1]) / (f[0] / k[1] + f[1] / k[0] + 1.0 / end) for end in ends]
    step = float(nu[0] - nu[1])
    stretched = [float(f @ young) + 4.0 * s * step**2 for s in share]
    ratios = sorted(float(f @ nu) + s * step * float(1.0 / k[1] - 1.0 / k[0]) for s in share)
    return FibreBounds(
        area_bulk=plane.bulk,
        transverse_shear=plane.shear,
        longitudinal_shear=Bounds(lower=along[0], upper=along[1]),
        young=Bounds(lower=stretched[0], upper=stretched[1]),
        poisson=Bounds(lower=ratios[0], upper=ratios[1]),
    )
