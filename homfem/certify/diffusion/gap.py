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
from homfem.local.membranes import Membranes, gap_energy, group_numbers, times
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
    problem, d = upper.problem, cell.dimension
    u = [fem.Function(space) for space in upper.spaces]
    below: tuple[fem.Function, ...] = lower.functions
    if membranes is not None and coefficient is not None and not isinstance(lower, Fluxes):
        below = broken_fluxes(cell, coefficient, lower, membranes)
    sigma = fem.Function(below[0].function_space)
    load, none, direction = (fem.Constant(problem.domain, np.zeros(n)) for n in (problem.loads, problem.loads, d))
    one, average = problem.pick(u), problem.average_form
    inverse = group = None

    def at_membranes() -> ufl.Form:
        assert membranes is not None
        own = gap_energy(membranes, u, sigma, inverse, load, group=group, permeabilities=problem.given)
        return own + average(one, load, one, load)

    def of_fluxes() -> ufl.Form:
        # g.Dg = sigma.D^-1 sigma - 2 sigma.(e + grad u) + (e + grad u).D(e + grad u)
        own = ufl.inner(sigma, times(inverse, sigma) - 2 * (direction + ufl.grad(one))) * ufl.dx
        return own + average(one, load, one, load)

    def of_correctors() -> ufl.Form:
        # With zero loads the averaged form is the energy of the difference of the correctors.
        return average(sigma - one, none, sigma - one, none)

    name, energy = "gap of correctors", of_correctors
    if membranes is not None and coefficient is not None:
        name, energy = "gap at membranes", at_membranes
        inverse, group = inverse_coefficient(coefficient, d), group_numbers(cell, membranes)
    elif isinstance(lower, Fluxes):
        name, energy, inverse = "gap of fluxes", of_fluxes, lower.inverse
    along = range(d) if axes is None else axes

    def take(j: int) -> None:
        above = upper.functions[j]
        for target, function in zip(u, above if isinstance(above, tuple) else (above,), strict=True):
            target.x.array[:] = function.x.array
        sigma.x.array[:] = below[j].x.array
        load.value[:] = np.eye(problem.loads)[j]
        direction.value[:] = np.eye(d)[along[j]]

    functions = [*u, sigma, *(more for more in (inverse, group) if more is not None)]
    found = element_sums(cell, problem, name, energy, take, functions, [load, none, direction])
    return on_cell(cell, problem.domain, found)
