"""Where the gap between the bounds of an effective stiffness is (:mod:`homfem.certify.adapt`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import ufl
from dolfinx import fem

from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import element_sums, on_cell
from homfem.local.elasticity import voigt_strain
from homfem.local.problem import Correctors
from homfem.local.stress import Stresses
from homfem.parameters import Array
from homfem.stiffness import PAIRS


def elastic_gaps(cell: UnitCell, upper: Correctors, lower: Stresses, *, strains: Sequence[int] | None = None) -> Array:
    r"""Return :math:`\frac1{|Y|}\sum_j\int_Kg_j\cdot C^{-1}g_j` of each owned mesh cell, :math:`g_j=\sigma_j-C(E_j+
    \varepsilon(u_j))`; collective.

    The sum over all mesh cells of all ranks is the trace of :math:`U-L` (without the residual's allowance).

    Parameters
    ----------
    cell
        The cell that was solved.
    upper, lower
        Conforming correctors and stresses.
    strains
        The places of the loads among the strains, by default all.
    """
    domain, loads = upper.problem.domain, upper.problem.loads
    size = len(PAIRS[cell.dimension])
    u, sigma = fem.Function(upper.space), fem.Function(lower.functions[0].function_space)
    load, direction = fem.Constant(domain, np.zeros(loads)), fem.Constant(domain, np.zeros(size))
    along = range(size) if strains is None else strains

    def energy() -> ufl.Form:
        # The energy of the stress is known; its linear part does the same work on the strain of degree two at most.
        work = ufl.inner(sigma, direction + voigt_strain(u)) * ufl.dx
        return upper.problem.average_form(u, load, u, load) - 2 * work

    def take(j: int) -> None:
        u.x.array[:] = upper.functions[j].x.array
        sigma.x.array[:] = lower.functions[j].x.array
        load.value[:] = np.eye(loads)[j]
        direction.value[:] = np.eye(size)[along[j]]

    found = element_sums(cell, upper.problem, "gap", energy, take, [u, sigma], [load, direction])
    return on_cell(cell, domain, found + lower.energies.sum(axis=1) * cell.copies / cell.lattice.volume)
