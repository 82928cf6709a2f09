r"""Where the gap between the bounds is, and the mesh that closes it.

:math:`U-L` is a sum over elements (Prager and Synge 1947): for one load
:math:`\xi\cdot(U-L)\xi=\frac1{|Y|}\sum_K\int_K\nabla_h\delta\cdot D\nabla_h\delta` with :math:`\delta` the difference
of the two correctors. These sums are the indicators of the adaptive loop, which bisects (:mod:`homfem.cells.refine`).

Source: Prager, Synge 1947, doi 10.1090/qam/25902; Doerfler 1996, doi 10.1137/0733054 (the marking).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem

from homfem import _dolfinx, periodic, solve
from homfem.cells.refine import bisect_cells
from homfem.cells.unitcell import UnitCell
from homfem.local.engine import Correctors
from homfem.local.flux import Fluxes
from homfem.parameters import Array

#: Part of the whole gap that the refined elements carry.
BULK = 0.6


def gap_indicators(cell: UnitCell, upper: Correctors, lower: Correctors | Fluxes) -> Array:
    r"""Return :math:`\frac1{|Y|}\sum_j\int_Kg_j\cdot Dg_j` for each owned mesh cell.

    The sum over all mesh cells of all ranks is the trace of :math:`U-L` (without the residual's allowance).
    """
    mesh, loads = upper.problem.domain, upper.problem.loads
    weight = ufl.TestFunction(fem.functionspace(mesh, ("DG", 0)))
    u, sigma = fem.Function(upper.space), fem.Function(lower.functions[0].function_space)
    load, none = fem.Constant(mesh, np.zeros(loads)), fem.Constant(mesh, np.zeros(loads))
    average = upper.problem.average_form
    if isinstance(lower, Fluxes):
        # g.Dg = sigma.D^-1 sigma - 2 sigma.(e + grad u) + (e + grad u).D(e + grad u)
        inverse = lower.inverse * sigma if not lower.inverse.ufl_shape else ufl.dot(lower.inverse, sigma)
        energy = ufl.inner(sigma, inverse - 2 * (load + ufl.grad(u))) * ufl.dx + average(u, load, u, load)
    else:
        # With zero loads the averaged form is the energy of the difference of the correctors.
        energy = average(sigma - u, none, sigma - u, none)
    weighted = [integral.reconstruct(integral.integrand() * weight) for integral in energy.integrals()]
    form = solve.compile_form(ufl.Form(weighted))
    total = np.zeros(mesh.topology.index_map(cell.dimension).size_local)
    for j, (one, other) in enumerate(zip(upper.functions, lower.functions, strict=True)):
        u.x.array[:] = one.x.array
        sigma.x.array[:] = other.x.array
        load.value[:] = np.eye(loads)[j]
        vector = solve.assemble_vector(form)
        total += vector.array_r[: len(total)]
        vector.destroy()
    return np.asarray(total / cell.lattice.volume)


def refine_towards(
    cell: UnitCell, upper: Correctors, lower: Correctors | Fluxes, max_dofs: int | None, dofs: int
) -> UnitCell | None:
    """Bisect the mesh cells that carry most of the gap; None if the budget leaves no room. Collective.

    Parameters
    ----------
    max_dofs, dofs
        The budget, and what the present mesh took.
    """
    indicators = gap_indicators(cell, upper, lower)
    if upper.problem.domain is not cell.mesh:
        indicators = indicators[cell.periodic_mesh.plain_cell[: len(indicators)]]
    owned = len(indicators)
    number = _dolfinx.original_cell_index(cell.mesh)[:owned]
    gathered = cell.comm.gather((number, indicators), root=0)
    raw = None
    with solve.collective(cell.comm):
        if cell.raw is not None and gathered is not None:
            all_cells = np.zeros(len(cell.raw.cells))
            for index, values in gathered:
                all_cells[index] = values
            representative, _ = periodic.identify_nodes(cell.raw.points, cell.raw.lattice, partial=True)
            bulk = BULK
            while True:
                raw = bisect_cells(cell.raw, representative, _carriers(all_cells, bulk))
                growth = len(raw.cells) / len(cell.raw.cells)
                if max_dofs is None or dofs * growth <= max_dofs:
                    break
                bulk *= 0.5
                if bulk < 0.05:
                    raw = None
                    break
    if not cell.comm.bcast(raw is not None, root=0):
        return None
    finer = UnitCell.from_raw(
        raw, comm=cell.comm, name=cell.name, length=cell.length, length_unit=cell.length_unit, partial=True
    )
    return replace(finer, volume_fractions=cell.volume_fractions, interface_area=cell.interface_area)


def _carriers(indicators: Array, bulk: float) -> npt.NDArray[np.bool_]:
    """Flag the fewest entries that together carry the part ``bulk`` of the sum."""
    order = np.argsort(indicators)[::-1]
    carried = np.cumsum(indicators[order])
    count = int(np.searchsorted(carried, bulk * carried[-1])) + 1
    flags = np.zeros(len(indicators), dtype=bool)
    flags[order[:count]] = True
    return flags
