"""The steady state with passive membranes: a linear problem, that of a cell of the same geometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.macro.emi.linear import Potentials, conduction
from homfem.macro.emi.problem import EmiMethod, EmiProblem
from homfem.macro.emi.spaces import Spaces
from homfem.parameters import InputError, check_number


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Steady:
    """A steady state.

    Parameters
    ----------
    potentials
        Of each space by name, mV; zero outside of it.
    currents
        What enters by each of the held values, in their order, uA (in the plane per mm of depth).
    dofs
        Unknowns.
    """

    potentials: Mapping[str, fem.Function]
    currents: tuple[float, ...]
    dofs: int


def solve_steady(problem: EmiProblem, *, leak: float = 0.0, method: EmiMethod | None = None) -> Steady:
    r"""Return the steady state between held potentials, with :math:`I_{ion}=gV` on the membrane; collective.

    Parameters
    ----------
    problem
        With potentials that are held. Of its membrane the two spaces count.
    leak
        g, mS/mm^2, >= 0.
    method
        Degree and solver.

    Raises
    ------
    InputError
        If nothing is held, or something on a schedule, and for bad input.
    """
    method = EmiMethod() if method is None else method
    check_number("leak", leak, at_least=0.0)
    if not problem.held:
        raise InputError("held", (), "at least one potential: else nothing drives a current")
    for k, one in enumerate(problem.held):
        if one.schedule is not None:
            raise InputError(f"held[{k}].schedule", repr(one.schedule), "absent: nothing changes in a steady state")
    spaces = Spaces(problem.domain, problem.spaces, method.degree)
    terms = conduction(problem, spaces)
    if leak > 0.0:
        if problem.membrane is None:
            raise InputError("leak", leak, "0 without a membrane")
        inside, outside = problem.membrane.inside, problem.membrane.outside
        terms += spaces.jumps(spaces.mass(inside, outside, "membrane"), leak, inside, outside)
    whole, reduced = spaces.matrix(terms), spaces.matrix(terms)
    system = Potentials(problem, method, spaces, reduced)
    values = system.solve(np.zeros(spaces.sizes[0]))
    flux = whole.createVecLeft()
    whole.mult(system.values, flux)
    currents = tuple(
        float(problem.domain.comm.allreduce(flux.array_r[spaces.held(one.space, one.boundary)].sum(), op=MPI.SUM))
        for one in problem.held
    )
    return Steady(
        potentials={name: spaces.function(name, values) for name in spaces.names},
        currents=currents,
        dofs=spaces.sizes[1],
    )
