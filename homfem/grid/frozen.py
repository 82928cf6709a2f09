r"""What a frozen current carries of each ion in an image: means of the potentials of the conductivity, with bounds.

With the potentials :math:`u_j` of the frozen conductivity s (:mod:`homfem.electrolytes.transport`) the flux of an ion
of conductivity :math:`s_i` is :math:`T_{kj}=\langle e_k\cdot s_i(e_j+\nabla\chi_j)\rangle`. For any number
:math:`\beta`, and any :math:`\alpha` where the whole image conducts (else 0), with :math:`\delta_j=\chi_j-u_j`

.. math:: T_{kj}-\langle e_k\cdot s_i(e_j+\nabla u_j)\rangle=\beta\,\bigl(\sigma^*_{kj}-\langle e_k\cdot s(e_j+\nabla
    u_j)\rangle\bigr)+\langle(s_i-\alpha-\beta s)e_k\cdot\nabla\delta_j\rangle ,

whose first part lies between the bounds of :math:`\sigma^*`, and whose second is at most
:math:`\langle|(s_i-\alpha-\beta s)e_k|^2_{s^{-1}}\rangle^{1/2}(U-L)_{jj}^{1/2}`. The numbers are those
of least squares.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homfem.electrolytes.transport import ROUNDED, Sides
from homfem.grid.effective import GridSolution
from homfem.parameters import Array
from homfem.tensors import EffectiveTensor


def frozen_flux(
    solution: GridSolution, frozen: EffectiveTensor, total: Mapping[str, Array], own: Mapping[str, Array]
) -> Sides:
    """Return the mean flux of an ion, of unit fields, with the bounds of each entry where the conductivity has both.

    Parameters
    ----------
    solution
        Of the frozen conductivity, with its potentials.
    frozen
        Its tensor, in the units of ``total``.
    total, own
        :math:`s` and the conductivity of the ion of each phase, shape (d, d); an ion may be absent of a phase.
    """
    d, fields = solution.image.dimension, _mean_fields(solution)
    names = [name for name in solution.image.names if name in total and name in fields]
    shares = {name: fields[name][0] for name in names}
    part = {name: own.get(name, np.zeros((d, d))) for name in names}
    flux, current = (sum(given[name] @ fields[name][1] for name in names) for given in (part, total))
    if frozen.lower is None or frozen.upper is None:
        return Sides(value=np.asarray(flux))
    alpha, beta = _nearest(part, {name: total[name] for name in names}, shares, bool(np.all(solution.inside)))
    half = 0.5 * np.diag(frozen.upper - frozen.lower)
    root = np.sqrt(np.maximum(half, 0.0))
    square = np.zeros(d)
    for name in names:
        rest = part[name] - alpha * np.eye(d) - beta * total[name]
        square += shares[name] * np.einsum("ak,ab,bk->k", rest, np.linalg.inv(total[name]), rest)
    value = np.asarray(flux + beta * (0.5 * (frozen.upper + frozen.lower) - current))
    width = np.outer(np.sqrt(square), np.sqrt(2.0) * root) + abs(beta) * np.outer(root, root)
    width += ROUNDED * sum(shares[name] * float(np.linalg.norm(total[name])) for name in names)
    return Sides(value=value, lower=value - width, upper=value + width)


def _mean_fields(solution: GridSolution) -> dict[str, tuple[float, Array]]:
    """For each phase its share of the voxels that conduct, and the mean of e + grad u there times it: columns e."""
    image, loads = solution.image, solution.loads
    d, inside = image.dimension, solution.inside
    span = loads.T @ loads
    found = {}
    gradients = [_gradient(potential, image.voxel) for potential in solution.potentials]
    for number, name in enumerate(image.names):
        here = inside & (image.phases == number)
        share = float(here.sum() / here.size)
        means = np.array([[axis[here].sum() / here.size for axis in one] for one in gradients]).reshape(-1, d)
        if share:
            found[name] = (share, share * span + means.T @ loads)
    return found


def _gradient(potential: Array, voxel: tuple[float, ...]) -> list[Array]:
    """The mean of each component of the gradient in each voxel, of values at its lowest corner."""
    d, found = potential.ndim, list[Array]()
    edges = voxel if len(voxel) == d else voxel * d
    for axis in range(d):
        slope = (np.roll(potential, -1, axis) - potential) / edges[axis]
        for other in range(d):
            if other != axis:
                slope = 0.5 * (slope + np.roll(slope, -1, other))
        found.append(np.asarray(slope, dtype=np.float64))
    return found


def _nearest(
    own: Mapping[str, Array], total: Mapping[str, Array], shares: Mapping[str, float], whole: bool
) -> tuple[float, float]:
    """The numbers for which alpha + beta s is nearest to the conductivity of an ion."""
    weight = np.concatenate([np.sqrt(shares[name]) * np.ones(total[name].size) for name in own])
    s, wanted = (np.concatenate([given[name].ravel() for name in own]) for given in (total, own))
    size = float(np.abs(s).max())
    one = np.concatenate([np.eye(len(matrix)).ravel() for matrix in own.values()])
    basis = np.stack([one * size, s], axis=1) if whole else s[:, None]
    numbers, *_ = np.linalg.lstsq(basis * weight[:, None], wanted * weight, rcond=1e-12)
    return (float(numbers[0] * size) if whole else 0.0), float(numbers[-1])
