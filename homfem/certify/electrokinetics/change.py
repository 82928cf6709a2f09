r"""How much a degree changes: the estimate of the error of a charged cell, and where it is.

With the velocities, potentials and equilibria of two degrees on one mesh, relative to the dissipation,

.. math:: \max_f\frac{\langle\eta|\nabla(u-\tilde u)|^2+\sum_iD_ic_i|\nabla(\chi_i-\tilde\chi_i)|^2\rangle}{f\cdot Lf}
          \quad\text{or}\quad \max_f\frac{|f\cdot(L-\tilde L)f|}{f\cdot Lf}\quad\text{if that is more.}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import element_sums, on_root
from homfem.local.electrokinetics import cells_within
from homfem.local.poisson_boltzmann import Equilibrium
from homfem.local.problem import Correctors
from homfem.parameters import Array, ConvergenceError
from homfem.ranks import collective


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Response:
    """An equilibrium and what forces do to it, in the variables of the virtual bath and in mesh units."""

    equilibrium: Equilibrium
    correctors: Correctors


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Change:
    """What a degree changes: relative to the dissipation, and in each mesh cell of ``raw`` (on rank 0)."""

    other: Response
    error: float
    parts: Array


def compare(cell: UnitCell, fluid: UnitCell, response: Response, other: Response) -> Change:
    """Compare two responses on one mesh, the first the better one; collective.

    Raises
    ------
    ConvergenceError
        If the mesh is so coarse that the dissipation of the first has no sign.
    """
    error = change_between(fluid, response, other)
    if error is None:
        raise ConvergenceError(
            f"{cell.name}: on {cell.number_of_cells} mesh cells some force dissipates nothing, or less: there is no "
            "estimate of the error. Make the mesh finer (cell.resolution, refine_layers)."
        )
    return Change(other=other, error=error, parts=_parts(cell, fluid, response, other))


def change_between(fluid: UnitCell, response: Response, other: Response) -> float | None:
    """Return how far two responses are apart relative to the dissipation of the first; collective.

    None where that is not positive for every force, as on a mesh that is far too coarse.
    """
    span = np.kron(np.eye(len(response.equilibrium.charges.baths) + 1), fluid.whole.span(fluid.lattice))
    value, before = response.correctors.average, other.correctors.average
    energy = _energies(fluid, response.correctors, other.correctors)
    inside = [span @ matrix @ span.T for matrix in (energy, value - before, value)]
    try:
        return max(float(np.abs(scipy.linalg.eigh(one, inside[2], eigvals_only=True)).max()) for one in inside[:2])
    except np.linalg.LinAlgError:
        return None


def _differences(one: Correctors, other: Correctors) -> tuple[list[fem.Function], list[fem.Function], list[Any]]:
    """Functions for the fields of both but the pressures, and the differences, with zero for the pressure."""
    first = [fem.Function(space) for k, space in enumerate(one.spaces) if k != 1]
    second = [fem.Function(space) for k, space in enumerate(other.spaces) if k != 1]
    return first, second, [a - b for a, b in zip(first, second, strict=True)]


def _take(functions: list[fem.Function], fields: tuple[fem.Function, ...], scale: float = 1.0) -> None:
    for function, source in zip(functions, (one for k, one in enumerate(fields) if k != 1), strict=True):
        function.x.array[:] = scale * source.x.array


def _energies(fluid: UnitCell, one: Correctors, other: Correctors) -> Array:
    problem = one.problem
    assert problem.metric is not None
    zero = fem.Constant(problem.domain, 0.0)
    first, second, u = _differences(one, other)
    third, fourth, v = _differences(one, other)
    value = solve.integral(problem.metric((u[0], zero, *u[1:]), (v[0], zero, *v[1:])))
    result = np.zeros((problem.loads,) * 2)
    for i in range(problem.loads):
        _take(first, one.functions[i])
        _take(second, other.functions[i])
        for j in range(i + 1):
            _take(third, one.functions[j])
            _take(fourth, other.functions[j])
            result[i, j] = result[j, i] = value()
    return np.asarray(result / fluid.lattice.volume)


def _parts(cell: UnitCell, fluid: UnitCell, response: Response, other: Response) -> Array:
    """The relative change in each mesh cell of the whole cell's arrays, on rank 0; collective."""
    one, two, problem = response.correctors, other.correctors, response.correctors.problem
    first, second, u = _differences(one, two)
    zero, size = fem.Constant(problem.domain, 0.0), np.sqrt(np.maximum(np.diag(one.average), np.finfo(float).tiny))

    def take(j: int) -> None:
        _take(first, one.functions[j], 1.0 / size[j] if one.average[j, j] > 0.0 else 0.0)
        _take(second, two.functions[j], 1.0 / size[j] if one.average[j, j] > 0.0 else 0.0)

    def energy() -> ufl.Form:
        assert problem.metric is not None
        return problem.metric((u[0], zero, *u[1:]), (u[0], zero, *u[1:]))

    flow = on_root(fluid, element_sums(fluid, problem, "change", energy, take, [*first, *second], [zero]))
    result = on_root(cell, _of_equilibrium(cell, response.equilibrium, other.equilibrium))
    with collective(cell.comm):
        if cell.raw is not None and fluid.raw is not None:
            result[cells_within(cell.raw, fluid.raw)] += flow
    return result


def _of_equilibrium(cell: UnitCell, one: Equilibrium, other: Equilibrium) -> Array:
    """The energy of the difference of two potentials in each owned mesh cell, relative to their own energy."""
    if not one.charges.charged:
        return np.zeros(cell.mesh.topology.index_map(cell.dimension).size_local)
    permittivities = one.charges.permittivities
    factor = cell.cell_function({name: permittivities.get(name, 0.0) for name in cell.phase_names})
    test = ufl.TestFunction(solve.function_space(cell.mesh, "DG", 0))
    gradient = ufl.grad(one.potential) - ufl.grad(other.potential)
    vector = solve.assemble_vector(factor * ufl.inner(gradient, gradient) * test * ufl.dx)
    full = solve.integrate(factor * ufl.inner(ufl.grad(one.potential), ufl.grad(one.potential)) * ufl.dx)
    result = vector.array_r[: cell.mesh.topology.index_map(cell.dimension).size_local].copy()
    vector.destroy()
    return np.asarray(result / full if full > 0.0 else result)
