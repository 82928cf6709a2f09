r"""The homogenized solution, and its reconstruction with the correctors.

.. math:: u_0 + \varepsilon\,\eta\,\chi_j(x/\varepsilon)\,G_j(u_0)

with the macroscopic gradients :math:`G_j` (derivatives, or strains), at the nodes of the resolved mesh. The correctors
are those of the very cell mesh of which that is tiled and are copied node by node; :math:`u_0` is a spline with smooth
derivatives: nothing is interpolated. The cut-off :math:`\eta=\min(1, \mathrm{dist}(x,\partial\Omega)/\varepsilon)`
keeps the values on the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homfem.parameters import Array
from homfem.ranks import collective
from homfem.twoscale.medium import Medium
from homfem.twoscale.problem import SteadyProblem
from homfem.twoscale.resolved import Resolved
from homfem.twoscale.splines import SmoothField, SplineProblem

#: Elements of the splines along an axis, by dimension, and their degree.
ELEMENTS, DEGREE = {2: 48, 3: 12}, 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Limit:
    """The homogenized solution.

    Parameters
    ----------
    field
        It, on the whole box.
    coarser
        The same with two thirds of the elements, for an estimate of its error.
    """

    field: SmoothField
    coarser: SmoothField


def solve_limit(medium: Medium, problem: SteadyProblem, *, elements: int | None = None) -> Limit:
    """Solve the homogenized problem of a medium, with the tensor of its discretised cell; collective.

    Parameters
    ----------
    medium, problem
        As of the resolved problem. The source of the limit is that of each phase times its volume fraction.
    elements
        Of the splines along each axis.
    """
    fractions = medium.fractions
    sources = problem.sources(medium.raw.phases, medium.shape)
    number = ELEMENTS[medium.dimension] if elements is None else elements

    def source(x: Array) -> Array:
        total = np.zeros((medium.components, x.shape[1]))
        for name, one in sources.items():
            total += fractions[name] * one(x)
        return total

    found: list[SmoothField] = []
    sides = problem.sides(medium.dimension, medium.shape)
    with collective(medium.comm):
        if medium.comm.rank == 0:
            for count in (number, 2 * number // 3):
                posed = SplineProblem(medium.sides, medium.tensor, sides, elements=count, degree=DEGREE)
                found.append(posed.solve(source))
    field, coarser = medium.comm.bcast(found)
    return Limit(field=field, coarser=coarser)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Approximations:
    """The limit and its reconstructions at the nodes of a resolved domain, each of shape (m, n)."""

    limit: Array
    reconstructed: Array
    cut: Array


def approximations(resolved: Resolved, field: SmoothField) -> Approximations:
    """Return a homogenized solution and its reconstructions at the nodes of a resolved domain; not collective."""
    medium, points = resolved.medium, resolved.points
    limit, loads = field.values(points), medium.loads(field.gradients(points))
    correction = np.zeros_like(limit)
    for corrector, load in zip(medium.correctors, loads, strict=True):
        correction += resolved.copied(medium.at_elements(corrector)) * load
    correction *= resolved.scale
    sides = resolved.sides[:, None]
    distance = np.minimum(points, sides - points).min(axis=0)
    cut = np.clip(distance / (resolved.eps * sides.min()), 0.0, 1.0)
    return Approximations(limit=limit, reconstructed=limit + correction, cut=limit + cut * correction)
