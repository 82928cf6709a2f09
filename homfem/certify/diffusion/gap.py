"""Where the gap between the bounds of an effective diffusion tensor is (:mod:`homfem.certify.adapt`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import element_sums, on_cell
from homfem.local.flux import Fluxes, inverse_coefficient
from homfem.local.means import broken_fluxes
from homfem.local.membranes import Membranes, gap_energy, group_numbers, times
from homfem.local.problem import CellProblem, Correctors
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
    load, direction = (fem.Constant(problem.domain, np.zeros(size)) for size in (problem.loads, d))
    if membranes is not None and coefficient is not None:
        gap = _at_membranes(cell, problem, membranes, inverse_coefficient(coefficient, d), u, sigma, load)
    elif isinstance(lower, Fluxes):
        gap = _of_fluxes(problem, lower.inverse, problem.pick(u), sigma, load, direction)
    else:
        gap = _of_correctors(problem, problem.pick(u), sigma)
    along = range(d) if axes is None else axes

    def take(j: int) -> None:
        above = upper.functions[j]
        for target, function in zip(u, above if isinstance(above, tuple) else (above,), strict=True):
            target.x.array[:] = function.x.array
        sigma.x.array[:] = below[j].x.array
        load.value[:] = np.eye(problem.loads)[j]
        direction.value[:] = np.eye(d)[along[j]]

    functions, constants = [*u, sigma, *gap.functions], [load, direction, *gap.constants]
    return on_cell(cell, problem.domain, element_sums(cell, problem, gap.name, gap.energy, take, functions, constants))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Gap:
    """The form of a gap: its name, what builds it, and what is in it besides correctors, fluxes and loads."""

    name: str
    energy: Callable[[], ufl.Form]
    functions: Sequence[fem.Function] = ()
    constants: Sequence[fem.Constant] = ()


def _at_membranes(
    cell: UnitCell,
    problem: CellProblem,
    membranes: Membranes,
    inverse: fem.Function,
    u: list[fem.Function],
    sigma: fem.Function,
    load: fem.Constant,
) -> _Gap:
    group, one = group_numbers(cell, membranes), problem.pick(u)

    def energy() -> ufl.Form:
        own = gap_energy(membranes, u, sigma, inverse, load, group=group, permeabilities=problem.given)
        return own + problem.average_form(one, load, one, load)

    return _Gap(name="gap at membranes", energy=energy, functions=[inverse, group])


def _of_fluxes(
    problem: CellProblem,
    inverse: fem.Function,
    one: Any,
    sigma: fem.Function,
    load: fem.Constant,
    direction: fem.Constant,
) -> _Gap:
    def energy() -> ufl.Form:
        # g.Dg = sigma.D^-1 sigma - 2 sigma.(e + grad u) + (e + grad u).D(e + grad u)
        own = ufl.inner(sigma, times(inverse, sigma) - 2 * (direction + ufl.grad(one))) * ufl.dx
        return own + problem.average_form(one, load, one, load)

    return _Gap(name="gap of fluxes", energy=energy, functions=[inverse])


def _of_correctors(problem: CellProblem, one: Any, other: fem.Function) -> _Gap:
    none = fem.Constant(problem.domain, np.zeros(problem.loads))

    def energy() -> ufl.Form:
        # With zero loads the averaged form is the energy of the difference of the correctors.
        return problem.average_form(other - one, none, other - one, none)

    return _Gap(name="gap of correctors", energy=energy, constants=[none])
