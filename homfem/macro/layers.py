r"""Layers of a wall, such as endocardial, M and epicardial ones, as regions: by the depth in the wall.

The depth is the solution of Laplace's equation that is 0 on the inner surfaces and 1 on the outer ones, its mean in
each cell; in a plane wall it is the distance from the inner surface over the thickness.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem.macro.coefficients import cell_function
from homfem.macro.conditions import Dirichlet
from homfem.macro.domain import Domain
from homfem.macro.linear import EllipticSolver
from homfem.macro.linear_problem import LinearProblem
from homfem.parameters import Array, InputError, check_number
from homfem.ranks import collective
from homfem.solve import function_space

#: Conductivity of what is not in the wall, relative to that of the wall.
OUTSIDE = 1e-8


def wall_depth(
    domain: Domain,
    inner: Sequence[str],
    outer: Sequence[str],
    *,
    within: Sequence[str] | None = None,
    rtol: float = 1e-10,
) -> Array:
    """Return the depth in the wall of each local cell, ghosts included: 0 inside, 1 outside; collective.

    Parameters
    ----------
    domain
        With these boundaries.
    inner, outer
        Names of boundaries.
    within
        The regions that are the wall, NaN elsewhere; None: the whole domain.
    rtol
        Relative tolerance of the solve.

    Raises
    ------
    InputError
        For names that there are not, and a boundary that is on both sides.
    """
    for what, names in (("inner", inner), ("outer", outer)):
        if not names:
            raise InputError(what, [], "at least one boundary")
        for name in names:
            domain.boundary(name, what)
    if set(inner) & set(outer):
        raise InputError("outer", list(outer), "boundaries that are not inner ones")
    wall = _cells(domain, within)
    conditions = [Dirichlet(boundary=name, value=float(name in outer)) for name in (*inner, *outer)]
    space = function_space(domain.mesh, "Lagrange", 1)
    problem = LinearProblem(
        domain=domain,
        space=space,
        coefficient=cell_function(domain, np.where(wall, 1.0, OUTSIDE)),
        conditions=conditions,
        name="depth in the wall",
    )
    function = fem.Function(space)
    EllipticSolver(problem, rtol=rtol).solve(function.x.petsc_vec)
    function.x.scatter_forward()
    depth = function.x.array[np.asarray(space.dofmap.list)].mean(axis=1)
    return np.where(wall, np.clip(depth, 0.0, 1.0), np.nan)


def with_layers(
    domain: Domain,
    parts: Mapping[str, float],
    *,
    inner: Sequence[str] | None = None,
    outer: Sequence[str] | None = None,
    within: Sequence[str] | None = None,
) -> Domain:
    """Return the domain with the layers of its wall as regions, in place of those that are the wall; collective.

    Parameters
    ----------
    domain
        A ventricle, or any domain with a boundary on each side of the wall.
    parts
        By name the part of the depth that each layer has, from the inside out; they sum to 1.
    inner, outer
        Names of boundaries. None: ``lv`` and ``rv``, or ``endo``; ``epi``.
    within
        The regions that are the wall; others stay. None: the whole domain.

    Raises
    ------
    InputError
        See :func:`wall_depth`; for parts that do not sum to 1, a name that another region has, and a layer without a
        cell.

    Example
    -------
    ``with_layers(heart, {"endo": 0.3, "mid": 0.4, "epi": 0.3})``
    """
    ends = np.cumsum([check_number(f"parts.{name}", part, above=0.0) for name, part in parts.items()])
    if not len(ends) or not math.isclose(ends[-1], 1.0, rel_tol=1e-6):
        raise InputError("parts", dict(parts), "parts of the depth that sum to 1")
    if inner is None:
        inner = [name for name in ("lv", "rv") if name in domain.boundaries] or ["endo"]
    depth = wall_depth(domain, inner, ["epi"] if outer is None else outer, within=within)
    wall, old = np.isfinite(depth), domain.region_of_cell
    kept = {name: number for name, number in domain.regions.items() if within is not None and name not in within}
    for name in parts:
        if name in kept:
            raise InputError(f"parts.{name}", name, "the name of no other region")
    first = max([0, *domain.regions.values()]) + 1
    numbers = np.where(wall, first + np.searchsorted(ends[:-1], np.nan_to_num(depth), side="right"), old)
    regions = kept | {name: first + k for k, name in enumerate(parts)}
    owned = domain.mesh.topology.index_map(domain.dimension).size_local
    counts = np.array([np.count_nonzero(numbers[:owned] == first + k) for k in range(len(parts))])
    domain.comm.Allreduce(MPI.IN_PLACE, counts, op=MPI.SUM)
    with collective(domain.comm):
        for name, count in zip(parts, counts, strict=True):
            if not count:
                raise InputError(f"parts.{name}", parts[name], "a layer with cells", "Refine the mesh.")
    cells = np.arange(len(numbers), dtype=np.int32)
    tags = dmesh.meshtags(domain.mesh, domain.dimension, cells, numbers.astype(np.int32))
    return replace(domain, cell_tags=tags, regions=regions)


def _cells(domain: Domain, within: Sequence[str] | None) -> npt.NDArray[np.bool_]:
    """Which of the local cells are the wall."""
    numbers = domain.region_of_cell
    if within is None:
        return np.ones(len(numbers), dtype=bool)
    return np.isin(numbers, [domain.region(name, "within") for name in within])
