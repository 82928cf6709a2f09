"""The fields of a solved cell problem as one looks at them: by name, and in one piece where they jump at membranes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import CellProblem
from homfem.parameters import Array
from homfem.reference import CORNERS

#: Numbers of the fields of a problem that are one field to look at.
Members = tuple[int, ...]


def shown_fields(problem: CellProblem) -> dict[str, Members]:
    """Return the names of the fields to look at, and the fields of the problem that each is made of.

    Fields of one name and one element on different phases are one field, which jumps where they meet (at membranes). A
    field without a name is called ``field`` with its number.
    """
    found: list[list[int]] = []
    for k, field in enumerate(problem.fields):
        for members in found:
            first = problem.fields[members[0]]
            taken = {phase for m in members for phase in problem.fields[m].phases}
            alike = (field.name, field.element) == (first.name, first.element)
            if alike and first.phases and field.phases and taken.isdisjoint(field.phases):
                members.append(k)
                break
        else:
            found.append([k])
    names = [problem.fields[members[0]].name or f"field{members[0] + 1}" for members in found]
    unique = [name if names.count(name) == 1 else f"{name}{found[i][0] + 1}" for i, name in enumerate(names)]
    return dict(zip(unique, map(tuple, found), strict=True))


def fields_of_load(problem: CellProblem, function: Any) -> tuple[fem.Function, ...]:
    """Return the fields of one load of :class:`homfem.local.problem.Correctors`, as a tuple also if there is one."""
    return function if len(problem.fields) > 1 else (function,)


def whole_function(
    cell: UnitCell, problem: CellProblem, members: Members, functions: Sequence[fem.Function]
) -> fem.Function:
    """Return one field as one function: as it is, or discontinuous, on each phase that of the member living there.

    Parameters
    ----------
    cell, problem
        What was solved.
    members
        From :func:`shown_fields`.
    functions
        All fields of one load.
    """
    first = functions[members[0]]
    if len(members) == 1:
        return first
    space = solve.function_space(problem.domain, "DG", problem.fields[members[0]].element.degree, first.ufl_shape)
    result = fem.Function(space, name=first.name)
    tags = np.empty_like(cell.phase_of_cell)
    tags[slice(None) if problem.domain is cell.mesh else cell.periodic_mesh.plain_cell] = cell.phase_of_cell
    for k in members:
        own = np.flatnonzero(np.isin(tags, _tags(cell.phases, problem.fields[k].phases))).astype(np.int32)
        result.interpolate(functions[k], cells0=own, cells1=own)
    return result


def values_at_arrays(
    cell: UnitCell, problem: CellProblem, members: Members, functions: Sequence[fem.Function]
) -> Array | None:
    """Return the values of one field on the arrays ``cell.raw``, on rank 0 (None elsewhere); collective.

    Shape (n, ...) at the nodes of a continuous field; (m, corners, ...) at the corners of each mesh cell of a field
    with several members, which jumps. Parameters as in :func:`whole_function`.
    """
    values = [cell.nodal_values(functions[k]) for k in members]
    raw = cell.raw
    if raw is None or values[0] is None:
        return None
    if len(members) == 1:
        return values[0]
    corners = raw.cells[:, : CORNERS[raw.kind]]
    result = np.full((*corners.shape, *values[0].shape[1:]), np.nan)
    for k, nodal in zip(members, values, strict=True):
        own = np.isin(raw.phase_of_cell, _tags(raw.phases, problem.fields[k].phases))
        if nodal is not None:
            result[own] = nodal[corners[own]]
    return result


def _tags(phases: Mapping[str, int], names: Sequence[str]) -> list[int]:
    return [phases[name] for name in names]
