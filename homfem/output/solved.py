"""The fields of a solved cell problem as one looks at them: by name, and in one piece where they jump at membranes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import CellProblem
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.output.subdivision import as_second_order, straight
from homfem.parameters import Array, InputError
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


def on_cells(cell: UnitCell, expression: Any, domain: Any, degree: int) -> Array | None:
    """Return a function or UFL expression on each mesh cell, in the order of ``cell.raw``, on rank 0; collective.

    Parameters
    ----------
    cell
        The cell.
    expression, domain
        On this mesh, ``cell.mesh`` or ``cell.periodic_mesh.plain``.
    degree
        0: in the middle, shape (m, 1, ...); 1: at the corners; 2: at the nodes of second order of simplices.
    """
    shape = expression.ufl_shape
    function = fem.Function(solve.function_space(domain, "DG", degree, shape))
    if isinstance(expression, fem.Function):
        function.interpolate(expression)
    else:
        function.interpolate(fem.Expression(expression, _dolfinx.interpolation_points(function.function_space)))
    owned = domain.topology.index_map(domain.topology.dim).size_local
    number = _dolfinx.original_cell_index(domain)[:owned]
    entries = function.x.array.reshape(-1, *shape)[function.function_space.dofmap.list[:owned]]
    gathered = cell.comm.gather((number, entries), root=0)
    if gathered is None:
        return None
    result = np.empty((sum(len(index) for index, _ in gathered), *gathered[0][1].shape[1:]))
    for index, values in gathered:
        result[index] = values
    return result


def flux_of_load(problem: CellProblem, functions: Sequence[fem.Function], load: Array) -> Any:
    """Return the flux or stress of a load, as UFL.

    Parameters
    ----------
    problem
        The cell problem, with an affine field and a flux.
    functions
        The periodic parts, one for each field.
    load : array, shape (loads,)
        The load.
    """
    if problem.affine is None or problem.flux is None:
        raise InputError("problem", problem.name, "one that a macroscopic gradient drives, with its flux")
    constant = fem.Constant(problem.domain, np.asarray(load, dtype=np.float64))
    affine = fields_of_load(problem, problem.affine(ufl.SpatialCoordinate(problem.domain), constant))
    total = problem.pick([one + other for one, other in zip(functions, affine, strict=True)])
    return problem.flux(total, constant)


def gradient_of(problem: CellProblem, load: Array, d: int) -> Array:
    """Return the matrix G of a load's affine field, F(x) = x G, read off at the unit vectors; shape (d, components)."""
    if problem.affine is None:
        raise InputError("problem", problem.name, "one that a macroscopic gradient drives")
    constant = ufl.as_vector(np.asarray(load, dtype=np.float64).tolist())
    columns = []
    for k in range(d):
        value = fields_of_load(problem, problem.affine(ufl.as_vector(np.eye(d)[k].tolist()), constant))[0]
        entries = [value] if not value.ufl_shape else [value[i] for i in range(value.ufl_shape[0])]
        columns.append([float(entry) for entry in entries])
    return np.array(columns)


def node_places(raw: RawCell, count: int) -> Array:
    """Return the places of so many nodes of each mesh cell, its corners or those of second order, (m, count, d)."""
    if raw.cells.shape[1] == count:
        return raw.points[raw.cells]
    corners = raw.points[raw.cells[:, : CORNERS[raw.kind]]]
    if corners.shape[1] == count:
        return corners
    return straight(corners) if raw.order == 1 else as_second_order(raw.points[raw.cells])


def _tags(phases: Mapping[str, int], names: Sequence[str]) -> list[int]:
    return [phases[name] for name in names]
