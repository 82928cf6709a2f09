r"""Where the gap between the bounds is, and the mesh that closes it.

:math:`U-L` is a sum over elements (Prager and Synge 1947): for one load
:math:`\xi\cdot(U-L)\xi=\frac1{|Y|}\sum_K\int_K\nabla_h\delta\cdot D\nabla_h\delta` with :math:`\delta` the difference
of the two correctors; a membrane adds :math:`\int_\Gamma\frac1h(\sigma\cdot n-h\,[u])^2`. These sums are the
indicators of the adaptive loop, which bisects (:mod:`homfem.meshing.arrays.refinement`).

Source: Prager, Synge 1947, doi 10.1090/qam/25902; Doerfler 1996, doi 10.1137/0733054 (the marking).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem

from homfem import _dolfinx, periodic, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import CellProblem
from homfem.meshing.arrays.refinement import bisect_cells
from homfem.parameters import Array
from homfem.ranks import collective

#: Part of the whole gap that the refined elements carry.
BULK = 0.6


def element_sums(
    cell: UnitCell,
    problem: CellProblem,
    name: str,
    energy: Callable[[], ufl.Form],
    take: Callable[[int], None],
    functions: Sequence[fem.Function],
    constants: Sequence[fem.Constant],
) -> Array:
    r"""Return the sum over the loads of :math:`\frac1{|Y|}\int_K` of an energy for each owned mesh cell; collective.

    Half of what an inner facet has is that of the mesh cell on each of its sides.

    Parameters
    ----------
    cell, problem
        The cell, and what was solved on it.
    name, energy
        Name of the energy among the forms of the problem, and what builds it: a form without arguments.
    take
        ``take(j)`` gives the functions in it their values for the load j.
    functions, constants
        What is in it besides what is the problem's own.
    """
    space = solve.function_space(problem.domain, "DG", 0)

    def weighted() -> ufl.Form:
        weight = ufl.TestFunction(space)
        of_type = {"interior_facet": ufl.avg(weight)}
        parts = [part.reconstruct(part.integrand() * of_type.get(part.integral_type(), weight))
                 for part in energy().integrals()]  # fmt: skip
        return ufl.Form(parts)

    form = problem.compile(name, weighted, spaces=[space], functions=functions, constants=constants)
    total = np.zeros(space.dofmap.index_map.size_local)
    for j in range(problem.loads):
        take(j)
        vector = solve.assemble_vector(form)
        total += vector.array_r[: len(total)]
        vector.destroy()
    return np.asarray(total * cell.copies / cell.lattice.volume)


def on_cell(cell: UnitCell, domain: Any, values: Array) -> Array:
    """Return values of the owned mesh cells of the mesh of the forms in the order of those of ``cell.mesh``."""
    return values if domain is cell.mesh else values[cell.periodic_mesh.plain_cell[: len(values)]]


def on_root(cell: UnitCell, values: Array) -> Array:
    """Return values of the owned mesh cells in the order of ``cell.raw``, on rank 0; elsewhere nothing. Collective."""
    number = _dolfinx.original_cell_index(cell.mesh)[: len(values)]
    gathered = cell.comm.gather((number, values), root=0)
    if gathered is None:
        return values[:0]
    result = np.zeros((sum(len(part) for part, _ in gathered), *values.shape[1:]))
    for index, part in gathered:
        result[index] = part
    return result


def refine_carriers(cell: UnitCell, indicators: Array, max_dofs: int | None, dofs: int) -> UnitCell | None:
    """Bisect the fewest mesh cells that carry most of the sum of indicators; None if the budget leaves no room.

    Parameters
    ----------
    indicators
        One for each mesh cell of ``cell.raw``, on rank 0 (:func:`on_root`).
    max_dofs, dofs
        The budget, and what the present mesh took. Collective.
    """
    raw = None
    with collective(cell.comm):
        if cell.raw is not None:
            representative, _ = periodic.identify_nodes(cell.raw.points, cell.raw.lattice, partial=True)
            bulk = BULK
            while True:
                raw = bisect_cells(cell.raw, representative, _carriers(indicators, bulk))
                growth = len(raw.cells) / len(cell.raw.cells)
                if max_dofs is None or dofs * growth <= max_dofs:
                    break
                bulk *= 0.5
                if bulk < 0.05:
                    raw = None
                    break
    if not cell.comm.bcast(raw is not None, root=0):
        return None
    return cell.with_mesh(raw)


def _carriers(indicators: Array, bulk: float) -> npt.NDArray[np.bool_]:
    """Flag the fewest entries that together carry the part ``bulk`` of the sum."""
    order = np.argsort(indicators)[::-1]
    carried = np.cumsum(indicators[order])
    count = int(np.searchsorted(carried, bulk * carried[-1])) + 1
    flags = np.zeros(len(indicators), dtype=bool)
    flags[order[:count]] = True
    return flags
