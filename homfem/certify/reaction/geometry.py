r"""What straight facets on curved surfaces may change in a rate of decay: an estimate.

With the normalised functions, :math:`\lambda\,m(\varphi,\varphi^*)=a(\varphi,\varphi^*)`, a surface between the phases
1 and 2 on which :math:`\beta=k_s-\lambda K`, and that moves by V along its normal n, out of phase 1, changes it by

.. math:: m(\varphi,\varphi^*)\,\delta\lambda=\int_\Gamma V\Bigl[D\nabla_t\varphi\cdot\nabla_t\varphi^*
          -\frac{qq^*}{D_n}+(k-\lambda\varrho)\varphi\varphi^*\Bigr]^1_2+\beta\varphi\varphi^*\,\delta S ,

:math:`[\,]^1_2` the difference of the two sides, or what is in phase 1 alone at a wall, q the normal flux on each side:
:math:`q_1-q_2=-\beta\varphi`, at a wall :math:`q_1=-\beta\varphi`, and where the wall takes all that comes what the
gradient gives. :math:`\delta S` is what facets are longer or shorter than the surface, V and :math:`\delta S` as in
:mod:`homfem.certify.geometry`; where the concentration is zero on the walls waves of these count twice, as without
slip. That a flow changes, too, is left out. Around round fibres whose surface reacts it was 1.1 to 1.7 times what the
rate was off, at rest and in a flow; with a reaction inside of them alone, where the slivers of a mesh with the true
volumes cancel, some hundred times.

Source: the derivative of an eigenvalue by the domain, e.g. Henrot 2006, doi 10.1007/3-7643-7706-2.
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from homfem.certify.geometry import (
    SECOND,
    Indices,
    change_of_number,
    excess_areas,
    facet_values,
    matrices_of,
    moved_facets,
)
from homfem.certify.stokes.geometry import WAVES
from homfem.local.means import gradients_of
from homfem.local.reaction import Reacting
from homfem.local.spectral import Spectrum
from homfem.parameters import Array


def rate_error(medium: Reacting, spectrum: Spectrum) -> float:
    """Return the estimate, relative to the rate; zero where no facet stands for a curved surface. Collective."""
    cell = medium.cell
    moved = moved_facets(cell)
    if moved is None:
        return 0.0
    facets, volumes, first, second, normal = moved
    alone = first == second
    pair = (spectrum.function, spectrum.adjoint)
    gradient = gradients_of(cell, pair)[:, :, 0]
    at = facets, first, second
    level = [np.where(alone & medium.absorbing, 0.0, facet_values(cell, one, at)) for one in pair]
    size, beta = level[0] * level[1], _taken(medium, spectrum.value, facets)
    matrix = matrices_of(medium.diffusivity, cell.dimension)
    fluxes = np.stack([np.einsum("fli,fij,fj->fl", gradient[c], matrix[c], normal) for c in (first, second)])
    middle, half = fluxes.mean(axis=0), 0.5 * beta[:, None] * np.stack(level, axis=1)
    change = np.zeros(len(facets))
    for sign, c, own in ((1.0, first, middle - half), (np.where(alone, 0.0, -1.0), second, middle + half)):
        through = np.where(alone[:, None], middle if medium.absorbing else -2.0 * half, own)
        tangential = gradient[c] - np.einsum("fli,fi,fj->flj", gradient[c], normal, normal)
        energy = np.einsum("fi,fij,fj->f", tangential[:, 0], matrix[c], tangential[:, 1])
        energy -= through[:, 0] * through[:, 1] / np.einsum("fi,fij,fj->f", normal, matrix[c], normal)
        energy += (medium.rate.x.array[c] - spectrum.value * medium.capacity.x.array[c]) * size
        change += sign * energy
    longer = cell.comm.allreduce(float(excess_areas(cell, facets, volumes) @ np.abs(beta * size)), op=MPI.SUM)
    waves = WAVES if medium.absorbing else SECOND
    whole = change_of_number(cell, facets, volumes, change, waves) + longer
    return float(whole / (medium.amount() * abs(spectrum.value)))


def _taken(medium: Reacting, value: float, facets: Indices) -> Array:
    """:math:`\\beta` of each of the facets."""
    found, surfaces = np.zeros(len(facets)), medium.surfaces
    if surfaces is None:
        return found
    place = np.clip(np.searchsorted(surfaces.tags.indices, facets), 0, max(len(surfaces.tags.indices) - 1, 0))
    if len(surfaces.tags.indices):
        on = surfaces.tags.indices[place] == facets
        rates = np.array([float(k.value) - value * float(c.value)
                          for k, c in zip(surfaces.rates, surfaces.capacities, strict=True)])  # fmt: skip
        found[on] = rates[surfaces.tags.values[place[on]]]
    return found
