r"""Where the gap between the bounds is, and the mesh that closes it.

:math:`U-L` is a sum over elements (Prager and Synge 1947): for one load
:math:`\xi\cdot(U-L)\xi=\frac1{|Y|}\sum_K\int_K\nabla_h\delta\cdot D\nabla_h\delta` with :math:`\delta` the difference
of the two correctors; a membrane adds :math:`\int_\Gamma\frac1h(\sigma\cdot n-h\,[u])^2`. These sums are the
indicators of the adaptive loop, which bisects (:mod:`homfem.meshing.arrays.refinement`).

Source: Prager, Synge 1947, doi 10.1090/qam/25902; Doerfler 1996, doi 10.1137/0733054 (the marking).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem

from homfem import _dolfinx, periodic, solve
from homfem.cells.symmetry import standing_for
from homfem.cells.unitcell import UnitCell
from homfem.local.elasticity import voigt_strain
from homfem.local.engine import Correctors
from homfem.local.flux import Fluxes, inverse_coefficient
from homfem.local.means import broken_fluxes
from homfem.local.membranes import Membranes, gap_energy
from homfem.local.stress import Stresses
from homfem.meshing.arrays.refinement import bisect_cells
from homfem.parameters import Array
from homfem.stiffness import PAIRS

#: Part of the whole gap that the refined elements carry.
BULK = 0.6


def gap_indicators(
    cell: UnitCell,
    upper: Correctors,
    lower: Correctors | Fluxes | Stresses,
    coefficient: fem.Function | None = None,
    membranes: Membranes | None = None,
    *,
    axes: Sequence[int] | None = None,
) -> Array:
    r"""Return :math:`\frac1{|Y|}\sum_j\int_Kg_j\cdot Dg_j` for each owned mesh cell, half of a membrane's.

    The sum over all mesh cells of all ranks is the trace of :math:`U-L` (without the residual's allowance). ``axes``
    are those of the loads (for stresses the places of the strains), by default all.
    """
    mesh, loads = upper.problem.domain, upper.problem.loads
    weight = ufl.TestFunction(solve.function_space(mesh, "DG", 0))
    u = [fem.Function(space) for space in upper.spaces]
    load, none = fem.Constant(mesh, np.zeros(loads)), fem.Constant(mesh, np.zeros(loads))
    size = len(PAIRS[cell.dimension]) if isinstance(lower, Stresses) else cell.dimension
    direction = fem.Constant(mesh, np.zeros(size))
    average, one = upper.problem.average_form, upper.problem.pick(u)
    below: tuple[fem.Function, ...] = lower.functions
    if membranes is not None:
        assert coefficient is not None
        inverse = inverse_coefficient(coefficient, cell.dimension)
        if isinstance(lower, Correctors):
            below = broken_fluxes(cell, coefficient, lower, membranes)
        sigma = fem.Function(below[0].function_space)
        energy = gap_energy(cell, membranes, u, sigma, inverse, load) + average(one, load, one, load)
    elif isinstance(lower, Fluxes):
        # g.Dg = sigma.D^-1 sigma - 2 sigma.(e + grad u) + (e + grad u).D(e + grad u)
        sigma = fem.Function(below[0].function_space)
        inverse = lower.inverse * sigma if not lower.inverse.ufl_shape else ufl.dot(lower.inverse, sigma)
        energy = ufl.inner(sigma, inverse - 2 * (direction + ufl.grad(one))) * ufl.dx + average(one, load, one, load)
    elif isinstance(lower, Stresses):
        # The energy of the stress is known; its linear part does the same work on the strain of degree two at most.
        sigma = fem.Function(below[0].function_space)
        energy = average(one, load, one, load) - 2 * ufl.inner(sigma, direction + voigt_strain(one)) * ufl.dx
    else:
        # With zero loads the averaged form is the energy of the difference of the correctors.
        sigma = fem.Function(below[0].function_space)
        energy = average(sigma - one, none, sigma - one, none)
    weighted = [
        integral.reconstruct(
            integral.integrand() * (ufl.avg(weight) if integral.integral_type() == "interior_facet" else weight)
        )
        for integral in energy.integrals()
    ]
    form = solve.compile_form(ufl.Form(weighted))
    total = np.zeros(mesh.topology.index_map(cell.dimension).size_local)
    for j, (above, other) in enumerate(zip(upper.functions, below, strict=True)):
        for target, function in zip(u, above if isinstance(above, tuple) else (above,), strict=True):
            target.x.array[:] = function.x.array
        sigma.x.array[:] = other.x.array
        load.value[:] = np.eye(loads)[j]
        direction.value[:] = np.eye(size)[j if axes is None else axes[j]]
        vector = solve.assemble_vector(form)
        total += vector.array_r[: len(total)]
        vector.destroy()
        if isinstance(lower, Stresses):
            total += lower.energies[:, j]
    return np.asarray(total * cell.copies / cell.lattice.volume)


def refine_towards(
    cell: UnitCell,
    upper: Correctors,
    lower: Correctors | Fluxes | Stresses,
    max_dofs: int | None,
    dofs: int,
    coefficient: fem.Function | None = None,
    membranes: Membranes | None = None,
    *,
    axes: Sequence[int] | None = None,
) -> UnitCell | None:
    """Bisect the mesh cells that carry most of the gap; None if the budget leaves no room. Collective.

    Parameters
    ----------
    max_dofs, dofs
        The budget, and what the present mesh took.
    coefficient, membranes
        Of the problem, where there are membranes.
    axes
        The axes of the loads; by default all.
    """
    indicators = gap_indicators(cell, upper, lower, coefficient, membranes, axes=axes)
    if upper.problem.domain is not cell.mesh:
        indicators = indicators[cell.periodic_mesh.plain_cell[: len(indicators)]]
    return refine_carriers(cell, on_root(cell, indicators), max_dofs, dofs)


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
        As in :func:`refine_towards`. Collective.
    """
    raw = None
    with solve.collective(cell.comm):
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
    finer = UnitCell.from_raw(
        raw, comm=cell.comm, name=cell.name, length=cell.length, length_unit=cell.length_unit, partial=True
    )
    return standing_for(finer, cell)


def _carriers(indicators: Array, bulk: float) -> npt.NDArray[np.bool_]:
    """Flag the fewest entries that together carry the part ``bulk`` of the sum."""
    order = np.argsort(indicators)[::-1]
    carried = np.cumsum(indicators[order])
    count = int(np.searchsorted(carried, bulk * carried[-1])) + 1
    flags = np.zeros(len(indicators), dtype=bool)
    flags[order[:count]] = True
    return flags
