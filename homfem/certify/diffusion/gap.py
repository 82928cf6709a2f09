"""Where the gap between the bounds of an effective diffusion tensor is (:mod:`homfem.certify.adapt`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import ufl
from dolfinx import fem

from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import element_sums, on_cell
from homfem.local.flux import Fluxes, inverse_coefficient
from homfem.local.means import broken_fluxes
from homfem.local.membranes import Membranes, gap_energy
from homfem.local.problem import Correctors
from homfem.parameters import Array


def diffusion_gaps(
    cell: UnitCell,
    upper: Correctors,
    lower: Correctors | Fluxes,
    coefficient: fem.Function | None = None,
    membranes: Membranes | None = None,
    *,
    axes: Sequence[int] | None = None,
) -> Array:
    r"""Return :math:`\frac1{|Y|}\sum_j\int_Kg_j\cdot Dg_j` for each owned mesh cell, half of a membrane's; collective.

    The sum over all mesh cells of all ranks is the trace of :math:`U-L` (without the residual's allowance).

    Parameters
    ----------
    cell
        The cell that was solved.
    upper, lower
        Conforming correctors, and fluxes or Crouzeix-Raviart correctors.
    coefficient, membranes
        Of the problem, where there are membranes.
    axes
        Those of the loads, by default all.
    """
    domain, loads, d = upper.problem.domain, upper.problem.loads, cell.dimension
    u = [fem.Function(space) for space in upper.spaces]
    one, average = upper.problem.pick(u), upper.problem.average_form
    load, direction = fem.Constant(domain, np.zeros(loads)), fem.Constant(domain, np.zeros(d))
    below: tuple[fem.Function, ...] = lower.functions
    if membranes is not None and coefficient is not None:
        inverse = inverse_coefficient(coefficient, d)
        if not isinstance(lower, Fluxes):
            below = broken_fluxes(cell, coefficient, lower, membranes)
        sigma = fem.Function(below[0].function_space)
        energy = gap_energy(cell, membranes, u, sigma, inverse, load) + average(one, load, one, load)
    elif isinstance(lower, Fluxes):
        # g.Dg = sigma.D^-1 sigma - 2 sigma.(e + grad u) + (e + grad u).D(e + grad u)
        sigma = fem.Function(below[0].function_space)
        across = lower.inverse * sigma if not lower.inverse.ufl_shape else ufl.dot(lower.inverse, sigma)
        energy = ufl.inner(sigma, across - 2 * (direction + ufl.grad(one))) * ufl.dx + average(one, load, one, load)
    else:
        # With zero loads the averaged form is the energy of the difference of the correctors.
        sigma, none = fem.Function(below[0].function_space), fem.Constant(domain, np.zeros(loads))
        energy = average(sigma - one, none, sigma - one, none)
    along = range(d) if axes is None else axes

    def take(j: int) -> None:
        above = upper.functions[j]
        for target, function in zip(u, above if isinstance(above, tuple) else (above,), strict=True):
            target.x.array[:] = function.x.array
        sigma.x.array[:] = below[j].x.array
        load.value[:] = np.eye(loads)[j]
        direction.value[:] = np.eye(d)[along[j]]

    return on_cell(cell, domain, element_sums(cell, domain, energy, take, loads))
