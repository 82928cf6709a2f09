"""The boundary conditions of a cell: what the loads are, what they fix, and the tensor from uniform fluxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import _dolfinx, brackets, solve
from homfem.brackets import symmetric
from homfem.cells.unitcell import UnitCell
from homfem.local.fixed import Planes
from homfem.local.problem import CellProblem
from homfem.local.system import System
from homfem.parameters import Array, InputError


def loads(system: System, boundary: str, load: fem.Constant) -> Any:
    """The right-hand side as a function of the test functions."""
    problem = system.problem
    if boundary != "flux":
        return lambda v: problem.linear_form(v, load)
    affine = problem.affine
    if affine is None:
        raise InputError("boundary", boundary, f"another one for {problem.name}, which no macroscopic gradient drives")
    outer = system.walls.outer_measure()
    normal = ufl.FacetNormal(problem.domain)

    def traction(v: Any) -> ufl.Form:
        several = v if isinstance(v, tuple) else (v,)
        fluxes = affine(normal, load)
        fluxes = fluxes if isinstance(fluxes, tuple) else (fluxes,)
        return sum(ufl.inner(flux, test) * outer for flux, test in zip(fluxes, several, strict=True))

    return traction


def from_fluxes(
    system: System, sides: Sequence[Sequence[PETSc.Vec]], compliance: Array, functions: Sequence[Any]
) -> tuple[Array, list[Any]]:
    r""":math:`G S^{-1} G` and the fluctuations for unit gradients."""
    problem, volume = system.problem, system.cell.lattice.volume
    load = fem.Constant(problem.domain, np.zeros(problem.loads))
    affine = problem.affine(ufl.SpatialCoordinate(problem.domain), load) if problem.affine is not None else ()
    expressions = affine if isinstance(affine, tuple) else (affine,)
    interpolants = [
        (fem.Function(space.space), fem.Expression(expression, _dolfinx.interpolation_points(space.space)))
        for space, expression in zip(system.spaces, expressions, strict=True)
    ]
    gram = np.zeros_like(compliance)
    fields = []
    for j in range(problem.loads):
        load.value[:] = np.eye(problem.loads)[j]
        parts = []
        for k, (function, expression) in enumerate(interpolants):
            function.interpolate(expression)
            parts.append(function.copy())
            owned = sides[j][k].getLocalSize()
            for i in range(problem.loads):
                gram[i, j] += float(np.dot(sides[i][k].array_r, function.x.array[:owned]))
        fields.append(parts)
    gram = system.cell.comm.allreduce(gram) / volume
    compliance = _least(system, compliance, functions)
    average = gram @ np.linalg.solve(compliance, gram)
    # The unit gradient j is the combination of the unit fluxes with these weights.
    weights = np.linalg.solve(compliance, gram)
    result = []
    for j in range(problem.loads):
        parts = []
        for k in range(len(interpolants)):
            function = fem.Function(system.spaces[k].space, name=f"corrector_{j + 1}")
            function.x.array[:] = -fields[j][k].x.array
            for i in range(problem.loads):
                one = functions[i] if not isinstance(functions[i], tuple) else functions[i][k]
                function.x.array[:] += weights[i, j] * one.x.array
            parts.append(function)
        result.append(problem.pick(parts))
    return symmetric(average), result


def _least(system: System, work: Array, functions: Sequence[Any]) -> Array:
    r""":math:`(T_i(u_j)+T_j(u_i)-a(u_i,u_j))/|Y|` from :math:`T_i(u_j)/|Y|`, less what round-off may have added."""
    problem = system.problem
    first, second = ([fem.Function(space.space) for space in system.spaces] for _ in range(2))
    energy = solve.integral(
        problem.compile(
            "energy",
            lambda: problem.bilinear(problem.pick(first), problem.pick(second)),
            functions=[*first, *second],
        )
    )
    result = work + work.T
    for i in range(problem.loads):
        _fill(first, functions[i])
        for j in range(problem.loads):
            _fill(second, functions[j])
            result[i, j] -= energy() / system.cell.lattice.volume
    result = symmetric(result)
    size = max(space.space.dofmap.index_map.size_global for space in system.spaces)
    return np.asarray(result - brackets.of_round_off(np.zeros(len(work)), np.diag(work), float(size)))


def _fill(targets: Sequence[fem.Function], source: Any) -> None:
    for target, function in zip(targets, source if isinstance(source, tuple) else (source,), strict=True):
        target.x.array[:] = function.x.array


def groups(cell: UnitCell, problem: CellProblem, boundary: str) -> dict[tuple[Planes, ...], list[int]]:
    """The loads by what they fix: for each field and component the axes on whose faces it vanishes.

    On the part of a cell between mirror planes, of all axes those across which there is a mirror.
    """
    d = cell.dimension
    everywhere = tuple(range(d))
    groups: dict[tuple[Planes, ...], list[int]] = {}
    if boundary != "mixed" and not cell.mirrors:
        planes = tuple(
            (everywhere,) * field.components if boundary == "affine" and field.primary else ()
            for field in problem.fields
        )
        return {planes: list(range(problem.loads))}
    if problem.parity is None:
        if cell.mirrors:
            raise InputError("cell", cell.name, f"whole for {problem.name}, whose parity is not given")
        raise InputError("boundary", boundary, f"another one for {problem.name}, whose parity is not given")
    axes = tuple(mirror.axis for mirror in cell.mirrors) or everywhere
    parity = np.asarray(problem.parity)
    off = np.abs(cell.lattice.vectors - np.diag(np.diag(cell.lattice.vectors))).max()
    if off > 1e-12 * cell.lattice.shortest:
        raise InputError("boundary", boundary, "another one for a period that is not a box along the axes")
    for j in range(problem.loads):
        # Continued by mirror images, a field that no boundary condition fixes (a pressure) is odd as well.
        planes = tuple(
            odd_planes(field.components, parity[j], axes) if field.primary or cell.mirrors else ()
            for field in problem.fields
        )
        groups.setdefault(planes, []).append(j)
    return groups


def together(cell: UnitCell, problem: CellProblem, boundary: str) -> npt.NDArray[np.bool_]:
    """For each pair of loads whether the corrector of one may test the other: they fix the same unknowns.

    On the part between mirror planes all pairs that have an energy do.
    """
    result = np.zeros((problem.loads, problem.loads), dtype=bool)
    for members in groups(cell, problem, boundary).values() if boundary == "mixed" else [range(problem.loads)]:
        result[np.ix_(members, members)] = True
    return result


def alike(cell: UnitCell, problem: CellProblem) -> npt.NDArray[np.bool_]:
    """For each pair of loads whether they answer the mirrors of the cell alike; if not, their coefficient is zero.

    The energy of a cell is that of its mirror image, in which one load of such a pair has changed its sign.
    """
    if not cell.mirrors:
        return np.ones((problem.loads, problem.loads), dtype=bool)
    parity = np.asarray(problem.parity)[:, [mirror.axis for mirror in cell.mirrors]]
    return np.asarray((parity[:, None] == parity).all(axis=2))


def odd_planes(components: int, parity: npt.NDArray[Any], axes: Sequence[int]) -> Planes:
    """Return for each component of a field the axes, of those given, across which it is odd.

    Parameters
    ----------
    components
        Of the field; d of them are those of a vector.
    parity : array, shape (d,)
        Of its load: 1 if a mirror across the axis keeps it, -1 if it changes its sign.
    axes
        Axes to look at.
    """
    vector = components == len(parity)
    return tuple(tuple(m for m in axes if parity[m] * (-1 if vector and m == k else 1) < 0) for k in range(components))
