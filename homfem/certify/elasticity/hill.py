"""Hill's condition: the mean work of stresses is that of their means."""

from __future__ import annotations

import numpy as np
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import Correctors


def hill_mandel(cell: UnitCell, correctors: Correctors) -> tuple[float, float]:
    r"""Return how far Hill's condition and the symmetry of the mean stresses are violated; collective.

    .. math:: \max_{ij}|\langle\sigma_j\cdot\varepsilon_i\rangle-\langle\sigma_j\rangle\cdot E_i|,\qquad
              \max_{ij}|\langle\sigma_j\rangle_i-\langle\sigma_i\rangle_j|,

    both over the largest entry; they measure the algebraic residual. For periodic correctors of unit strains.

    Parameters
    ----------
    cell
        The cell that was solved.
    correctors
        As :func:`homfem.certify.solve_elasticity` returns them.
    """
    problem = correctors.problem
    w, z = fem.Function(correctors.space), fem.Function(correctors.space)
    none = fem.Function(correctors.space)
    s, t = (fem.Constant(problem.domain, np.zeros(problem.loads)) for _ in range(2))
    of_energy = solve.integral(problem.average_form(w, s, z, t))
    of_mean = solve.integral(problem.average_form(w, s, none, t))
    unit = np.eye(problem.loads)
    energy, mean = np.zeros_like(unit), np.zeros_like(unit)
    for j, first in enumerate(correctors.functions):
        w.x.array[:] = first.x.array
        s.value[:] = unit[j]
        for i, second in enumerate(correctors.functions):
            z.x.array[:] = second.x.array
            t.value[:] = unit[i]
            energy[i, j], mean[i, j] = of_energy(), of_mean()
    size = np.abs(energy).max()
    return float(np.abs(energy - mean).max() / size), float(np.abs(mean - mean.T).max() / size)
