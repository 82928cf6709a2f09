r"""How an effective tensor answers its coefficients: derivatives by what a cell problem names in ``coefficients``.

The averaged form of a symmetric problem is stationary in its correctors, so that they need not be derived:
:math:`\partial M_{ij}/\partial c=\frac1{|Y|}\,\partial_cm(\chi_j,s_j;\chi_i,s_i)`.
"""

from __future__ import annotations

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import Correctors
from homfem.parameters import Array, InputError, check_choice


def slopes(cell: UnitCell, correctors: Correctors, name: str) -> Array:
    r"""Return :math:`\partial M_{ij}/\partial c_{Kk}` by the values of a coefficient on each mesh cell; collective.

    Parameters
    ----------
    cell
        The cell that was solved, whole.
    correctors
        Of a problem that is symmetric, with ``boundary="periodic"`` or ``"affine"``.
    name
        Of the coefficient, a function that is constant on each mesh cell.

    Returns
    -------
    array, shape (loads, loads, owned mesh cells, components)
        In the order of the cells of the mesh of the forms; components in the order of the coefficient's.

    Raises
    ------
    InputError
        For a coefficient that the problem does not name or that is no such function, for a problem that is not
        symmetric, and for the part of a cell.
    """
    problem = correctors.problem
    check_choice("name", name, tuple(problem.coefficients))
    if problem.kind == "general":
        raise InputError("correctors", problem.name, "of a symmetric problem", "Others need their adjoint.")
    cell.require_whole()
    coefficient = problem.coefficients[name]
    space = getattr(coefficient, "function_space", None)
    if space is None or space.ufl_element().degree != 0:
        raise InputError("name", name, "a function that is constant on each mesh cell")
    w, z = ([fem.Function(one) for one in correctors.spaces] for _ in range(2))
    s, t = (fem.Constant(problem.domain, np.zeros(problem.loads)) for _ in range(2))

    def slope() -> ufl.Form:
        average = problem.average_form(problem.pick(w), s, problem.pick(z), t)
        return ufl.derivative(average, coefficient, ufl.TestFunction(space))

    form = problem.compile(f"slope by {name}", slope, spaces=[space], functions=[*w, *z], constants=[s, t])
    unit, size = np.eye(problem.loads), space.dofmap.bs
    owned = space.dofmap.index_map.size_local
    result = np.empty((problem.loads, problem.loads, owned, size))
    for j, first in enumerate(correctors.functions):
        s.value[:] = unit[j]
        for target, function in zip(w, first if isinstance(first, tuple) else (first,), strict=True):
            target.x.array[:] = function.x.array
        for i, second in enumerate(correctors.functions[: j + 1]):
            t.value[:] = unit[i]
            for target, function in zip(z, second if isinstance(second, tuple) else (second,), strict=True):
                target.x.array[:] = function.x.array
            vector = solve.assemble_vector(form)
            result[i, j] = result[j, i] = vector.array_r.reshape(owned, size) / cell.lattice.volume
            vector.destroy()
    return result
