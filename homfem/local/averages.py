"""The effective coefficients of given correctors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local import boundary as conditions
from homfem.local.problem import CellProblem
from homfem.parameters import Array


def averages(
    cell: UnitCell, problem: CellProblem, functions: Sequence[Any], *, hill: npt.NDArray[np.bool_] | None = None
) -> Array:
    r"""Return :math:`M_{ij}` for given correctors, symmetric in its formula, per volume of the period; collective.

    For pairs of loads that are not in ``hill`` (by default all are) the second corrector is left out,
    :math:`m(\chi_j, s_j; 0, s_i)`: the mean flux, of which the symmetric part is returned. Of a problem that is not
    symmetric all entries are computed and returned as they are.
    """
    symmetric = problem.kind != "general"
    hill = np.ones((problem.loads, problem.loads), dtype=bool) if hill is None else hill
    first = functions[0] if isinstance(functions[0], tuple) else (functions[0],)
    spaces = [function.function_space for function in first]
    w, z = [fem.Function(space) for space in spaces], [fem.Function(space) for space in spaces]
    s = fem.Constant(problem.domain, np.zeros(problem.loads))
    t = fem.Constant(problem.domain, np.zeros(problem.loads))
    compiled = problem.compile(
        "average",
        lambda: problem.average_form(problem.pick(w), s, problem.pick(z), t),
        functions=[*w, *z],
        constants=[s, t],
    )
    value = solve.integral(compiled)
    result = np.zeros((problem.loads, problem.loads))
    unit, alike = np.eye(problem.loads), conditions.alike(cell, problem)
    for j in range(problem.loads):
        _fill(w, functions[j])
        s.value[:] = unit[j]
        for i in range(problem.loads):
            if not alike[i, j] or (symmetric and hill[i, j] and i < j):
                continue
            for k, part in enumerate(z):
                second = functions[i][k] if isinstance(functions[i], tuple) else functions[i]
                part.x.array[:] = second.x.array if hill[i, j] else 0.0
            t.value[:] = unit[i]
            result[i, j] = value() * cell.copies / cell.lattice.volume
            if symmetric and hill[i, j]:
                result[j, i] = result[i, j]
    return 0.5 * (result + result.T) if symmetric else result


def _fill(targets: Sequence[fem.Function], source: Any) -> None:
    for target, function in zip(targets, source if isinstance(source, tuple) else (source,), strict=True):
        target.x.array[:] = function.x.array
