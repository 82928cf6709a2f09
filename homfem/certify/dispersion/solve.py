"""Dispersion in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions
from homfem.certify.dispersion.flow import Flow, StokesFlow
from homfem.certify.dispersion.physics import Dispersion
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution
from homfem.keywords import inherits, takes
from homfem.local.diffusion import Coefficient
from homfem.tensors import EffectiveTensor


class WallOptions(AccuracyOptions, total=False):
    """The words of :class:`Walls` as keywords of a function."""

    sorption_length: float
    wall_rate: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Walls(Accuracy):
    r"""What the walls do, beside how well all of it is to be solved.

    Parameters
    ----------
    sorption_length
        K >= 0, in ``cell.length_unit``: what a unit concentration holds on an area of the walls, in equilibrium.
    wall_rate
        :math:`k_s` >= 0, in ``cell.length_unit`` per the time of ``unit``: the reaction on the walls,
        :math:`-n\cdot D\nabla c=k_sc`. What is left of the solute decays then at ``rate``, a further coefficient, and
        velocity and tensor are those of what is left (:mod:`homfem.certify.dispersion.reacting`), and
        ``estimated_error`` is the change from elements of one degree less. ``math.inf``: the walls take all that comes,
        and the concentration on them is zero.
    """

    sorption_length: float = 0.0
    wall_rate: float = 0.0


@takes(Walls)
@inherits(solve_cell)
def solve_dispersion(
    cell: UnitCell,
    diffusivities: Mapping[str, Coefficient],
    *,
    flow: Flow | None = None,
    peclet: float | Sequence[float] | None = None,
    partition: Mapping[str, float] | None = None,
    unit: str = "",
    config: Mapping[str, Any] | None = None,
    **how: Unpack[WallOptions],
) -> CellSolution:
    r"""Solve the cell problem of dispersion for one Peclet number or several; collective.

    .. math:: \partial_tc+V\cdot\nabla c=\nabla\cdot(D^*\nabla c) ,\qquad
              D^*_{ij}=\frac1m\int D(e_i+\nabla\chi_i)\cdot(e_j+\nabla\chi_j) ,\qquad
              -\nabla\cdot D(e_j+\nabla\chi_j)+v\cdot(e_j+\nabla\chi_j)=V_j .

    Parameters
    ----------
    cell
    diffusivities
        Of each phase that carries: a number, a matrix, a function or an array
        (:func:`homfem.local.diffusion.diffusion_coefficient`). Nothing passes into the others.
    flow
        What flows: :class:`~homfem.certify.dispersion.flow.StokesFlow` (default,
        along the first axis), :class:`~homfem.certify.dispersion.flow.GivenFlow` or
        :class:`~homfem.certify.dispersion.flow.StreamFunction`.
    peclet
        Mean speed in the fluid times the shortest period over the diffusivity of the fluid, >= 0; or several, from one
        mesh, one flow and one assembly. Left out, a given flow is taken as it is.
    partition
        Concentration in a phase over that in the fluid, where it is not 1.
    unit
        Of the diffusivities.
    config
    **how
        As :class:`Walls` has them.

    Returns
    -------
    CellSolution
        ``tensor``: the symmetric :math:`D^*` of the largest Peclet number, **over the fluid** (``averaged_over`` is
        ``"active"``), with the coefficients ``velocity`` V, ``flux_form`` F and ``peclet``; ``series``: those of all
        Peclet numbers in their order. What else one must know stands in ``tensor.conventions``.

    Raises
    ------
    InputError
        For a Peclet number < 0, a velocity that has a divergence or passes a wall, phases that the cell does not have.
    PercolationError
        If the phases, or the fluid along the direction of its mean velocity, do not reach through the cell.
    BudgetError, MemoryLimitError
    ConvergenceError

    Notes
    -----
    The flow is that of Taylor and Hood, without what of it has a divergence for the correctors. Without bounds, and
    where the flow is fast for the mesh, ``tensor.estimated_error`` is an estimate
    (:mod:`homfem.certify.dispersion.coarse`), with a warning where it is large.

    With ``bounds=True``, or a ``tolerance``, the tensor lies between guaranteed bounds
    (:mod:`homfem.certify.dispersion.bounds`) for a flow that has no divergence at all, which is made from the other one
    (:mod:`homfem.certify.dispersion.velocity`). They are bounds **of that flow on this mesh**: how far it is from the
    true one is not bounded; ``conventions`` says what was changed. They need straight simplices. In phases that carry
    and do not flow the velocity is exactly zero. Of several Peclet numbers each has its own; the mesh is refined until
    the last is within the tolerance, and ``tensor`` is the one whose bounds are farthest apart. Beside them
    ``geometric_error`` estimates what straight facets change (:mod:`homfem.certify.dispersion.geometry`).

    Source
    ------
    Brenner 1980, doi 10.1098/rsta.1980.0205; Mauri 1991, doi 10.1063/1.858159.
    """
    walls = Walls(**how)
    given = Dispersion(
        diffusivities=diffusivities,
        flow=StokesFlow() if flow is None else flow,
        peclet=peclet,
        sorption_length=walls.sorption_length,
        wall_rate=walls.wall_rate,
        partition=dict(partition or {}),
        unit=unit,
    )
    return solve_cell(cell, given, walls, config=config)


def homogenize_dispersion(
    cell: UnitCell,
    diffusivities: Mapping[str, Coefficient],
    *,
    peclet: float | Sequence[float] | None = None,
    **options: Any,
) -> EffectiveTensor | tuple[EffectiveTensor, ...]:
    """Return the dispersion tensor of a cell, or one for each of several Peclet numbers; collective.

    Parameters
    ----------
    cell, diffusivities, peclet, **options
        As :func:`solve_dispersion` has them.

    Examples
    --------
    >>> from homfem.cells import fibre_array
    >>> tensor = homogenize_dispersion(fibre_array(fraction=0.3, order=2), {"matrix": 1.0}, peclet=10.0)
    >>> print(tensor.principal_values.round(2))
    [2.08 0.82]
    """
    solution = solve_dispersion(cell, diffusivities, peclet=peclet, **options)
    several = peclet is not None and not isinstance(peclet, (int, float))
    return solution.series if several else solution.tensor
