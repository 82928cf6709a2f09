r"""From an orientation tensor to the effective tensor of a mixture of fibres.

The medium is a mosaic of pieces, each with parallel fibres and the same transversely isotropic tensor about its own
direction n. Averaging the tensors (uniform gradient, Voigt) bounds the effective tensor from above, averaging their
inverses (uniform flux, Reuss) from below, both in the Loewner order. Both averages are exact for the distribution; the
effective tensor depends on how the pieces are arranged, which the distribution does not tell.

Stiffness matrices are in Voigt notation, order xx yy zz yz xz xy, engineering shear strains.

Sources: Hill 1952, Proc. Phys. Soc. A 65, 349 (bounds); Advani, Tucker 1987, J. Rheol. 31, 751, eqs 28-31.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.kinds import conduction_in
from homfem.orientation.distributions import HasMoments
from homfem.orientation.sphere import check_vector, frame_about, symmetric_products
from homfem.parameters import Array, InputError, check_choice, check_number
from homfem.stiffness import (
    check_stiffness,
    mandel_to_voigt,
    project,
    rotate,
    tensor_to_voigt,
    voigt_to_mandel,
)
from homfem.tensors import EffectiveTensor


def _check_moments(orientation: Any) -> HasMoments:
    if not (hasattr(orientation, "second_moment") and hasattr(orientation, "fourth_moment")):
        remedy = "OrientationTensors(second=A) makes one of an orientation tensor."
        raise InputError("orientation", orientation, "a distribution or OrientationTensors", remedy)
    result: HasMoments = orientation
    return result


def average(orientation: HasMoments, *, longitudinal: float, transverse: float) -> Array:
    r"""Return the average conductivity :math:`\langle K\rangle=k_tI+(k_l-k_t)A`: the Voigt-type upper bound.

    Parameters
    ----------
    orientation
        A distribution, or :class:`homfem.orientation.OrientationTensors`, in d = 2 or 3 dimensions.
    longitudinal, transverse
        Conductivity (or diffusivity) of parallel fibres along and across them, > 0 and >= 0; one unit.

    Returns
    -------
    ndarray, shape (d, d), in that unit
    """
    along = check_number("longitudinal", longitudinal, above=0.0)
    across = check_number("transverse", transverse, at_least=0.0)
    a = _check_moments(orientation).second_moment()
    return np.asarray(across * np.eye(len(a)) + (along - across) * a)


def inverse_average(orientation: HasMoments, *, longitudinal: float, transverse: float) -> Array:
    r"""Return :math:`\langle K^{-1}\rangle^{-1}=[I/k_t+(1/k_l-1/k_t)A]^{-1}`: the Reuss-type lower bound.

    Parameters and returned array as in :func:`average`; both conductivities > 0.
    """
    along = check_number("longitudinal", longitudinal, above=0.0)
    remedy = "Where nothing is conducted across the fibres the lower bound is zero across any of them."
    across = check_number("transverse", transverse, above=0.0, remedy=remedy)
    return np.asarray(np.linalg.inv(average(orientation, longitudinal=1.0 / along, transverse=1.0 / across)))


def mixture_tensor(
    orientation: HasMoments,
    *,
    longitudinal: float,
    transverse: float,
    name: str = "tissue",
    estimate: str = "average",
    volume_fraction: float = 1.0,
    unit: str = "",
) -> EffectiveTensor:
    """Return the effective tensor of a mixture of fibres, with the two averages as its bounds.

    Parameters
    ----------
    orientation, longitudinal, transverse
        As in :func:`average`; both conductivities > 0, averaged over the whole tissue.
    name
        Name of the phase that carries the flux.
    estimate
        ``"average"`` (fibres that cross everywhere), ``"inverse-average"``, or ``"midpoint"`` of both.
    volume_fraction
        Volume fraction of that phase, in (0, 1].
    unit
        Unit of the conductivities, which says whether they are those of diffusion, electricity or heat.

    Returns
    -------
    EffectiveTensor
        ``lower`` and ``upper`` are the averages: guaranteed for a mosaic of pieces with parallel fibres.
    """
    check_choice("estimate", estimate, ("average", "inverse-average", "midpoint"))
    check_number("volume_fraction", volume_fraction, above=0.0, at_most=1.0)
    upper = average(orientation, longitudinal=longitudinal, transverse=transverse)
    lower = inverse_average(orientation, longitudinal=longitudinal, transverse=transverse)
    value = {"average": upper, "inverse-average": lower, "midpoint": 0.5 * (lower + upper)}[estimate]
    return EffectiveTensor(
        value=value,
        lower=lower,
        upper=upper,
        unit=unit,
        physics=conduction_in(unit),
        method=f"orientation {estimate}",
        boundary="none",
        volume_fractions={name: volume_fraction},
        active_phases=(name,),
    )


def average_stiffness(
    orientation: HasMoments, stiffness: npt.ArrayLike, *, axis: npt.ArrayLike = (0.0, 0.0, 1.0)
) -> Array:
    r"""Return the average stiffness of fibres in all directions of a distribution: the Voigt-type upper bound.

    :math:`\langle C\rangle_{ijkl}=B_1A_{ijkl}+B_2(A_{ij}\delta_{kl}+A_{kl}\delta_{ij})
    +B_3(A_{ik}\delta_{jl}+A_{il}\delta_{jk}+A_{jl}\delta_{ik}+A_{jk}\delta_{il})+B_4\delta_{ij}\delta_{kl}
    +B_5(\delta_{ik}\delta_{jl}+\delta_{il}\delta_{jk})`, where along 1 and across 2, 3 the fibre
    :math:`B_1=C_{11}+C_{22}-2C_{12}-4C_{66}`, :math:`B_2=C_{12}-C_{23}`, :math:`B_3=C_{66}+\frac12(C_{23}-C_{22})`,
    :math:`B_4=C_{23}`, :math:`B_5=\frac12(C_{22}-C_{23})`.

    Parameters
    ----------
    orientation
        A distribution, or :class:`homfem.orientation.OrientationTensors` with a fourth-order tensor, in 3 dimensions.
    stiffness : array, shape (6, 6)
        Stiffness of parallel fibres, symmetric positive definite. One that is not transversely isotropic about ``axis``
        is first averaged over all rotations about it: the fibres are rolled at random.
    axis : array, shape (3,)
        Direction of the fibres in ``stiffness``; of any length.

    Returns
    -------
    ndarray, shape (6, 6), in the unit of ``stiffness``

    Raises
    ------
    InputError
        Two dimensions, no fourth-order tensor, a matrix that is not positive definite.
    """
    return _average_voigt(orientation, check_stiffness("stiffness", stiffness, 3), check_vector("axis", axis, 3))


def inverse_average_stiffness(
    orientation: HasMoments, stiffness: npt.ArrayLike, *, axis: npt.ArrayLike = (0.0, 0.0, 1.0)
) -> Array:
    r"""Return :math:`\langle C^{-1}\rangle^{-1}` over a distribution: the Reuss-type lower bound.

    Parameters, returned array and errors as in :func:`average_stiffness`; here it is the compliance that is averaged
    over rotations about the axis.
    """
    compliance = _inverse(check_stiffness("stiffness", stiffness, 3))
    return _inverse(_average_voigt(orientation, compliance, check_vector("axis", axis, 3)))


def _inverse(matrix: Array) -> Array:
    """Return the inverse of the linear map behind a Voigt matrix, in the notation of a stiffness too."""
    return mandel_to_voigt(np.linalg.inv(voigt_to_mandel(matrix)))


def _average_voigt(orientation: HasMoments, matrix: Array, axis: Array) -> Array:
    orientation = _check_moments(orientation)
    if orientation.dimension != 3:
        raise InputError("orientation", orientation, "in 3 dimensions, as the stiffness is")
    c = project(rotate(matrix, frame_about(axis)), "transversely isotropic", "z")
    along, across, mixed, inside, shear = c[2, 2], c[0, 0], c[0, 2], c[0, 1], c[3, 3]
    a, one = orientation.second_moment(), np.eye(3)
    pairs, shears = (np.einsum(f"{p},{q}->ijkl", one, one) for p, q in (("ij", "kl"), ("ik", "jl")))
    both = np.einsum("ij,kl->ijkl", a, one)
    both = both + both.transpose(2, 3, 0, 1)
    full = (along + across - 2.0 * mixed - 4.0 * shear) * orientation.fourth_moment()
    full = full + (mixed - inside) * both
    full = full + (shear + 0.5 * (inside - across)) * (symmetric_products(a, one) - both)
    full = full + inside * pairs + 0.5 * (across - inside) * (shears + shears.swapaxes(2, 3))
    return tensor_to_voigt(full)
