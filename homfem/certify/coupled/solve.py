"""The calls for thermoelasticity, poroelasticity and active stress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy.typing as npt

from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions
from homfem.certify.coupled.physics import ActiveElasticity, Poroelasticity, Thermoelasticity
from homfem.certify.coupled.results import ActiveStress, PoroElastic, ThermoElastic
from homfem.certify.elasticity import solve_elasticity
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution
from homfem.keywords import inherits, part_of, takes
from homfem.local.elasticity import Stiffness


@takes(Accuracy)
@inherits(solve_elasticity)
def solve_thermoelasticity(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    expansions: Mapping[str, float | npt.ArrayLike],
    *,
    temperature_unit: str = "",
    plane: str | None = None,
    unit: str = "",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve for the unit strains and for the unit temperature: stiffness and thermal expansion; collective.

    .. math:: \Sigma = C^*(E - \alpha^*\theta)

    Parameters
    ----------
    cell
        The unit cell; phases without stiffness are voids.
    stiffnesses
    expansions
        For each solid phase its thermal strain per unit of temperature: a number (isotropic) or a Voigt strain. In
        plane strain it is the strain in the plane while none is let out of it: :math:`(1+\nu)\alpha` for an isotropic
        solid of linear expansion :math:`\alpha`, and a number there is said in the warnings.
    temperature_unit
        Unit of temperature, for the result.
    plane
    unit
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them.

    Returns
    -------
    CellSolution
        The tensor is the stiffness, with ``expansion`` and ``stress`` among its ``coefficients``; the last corrector is
        that of the temperature.

    Raises
    ------
    InputError
        For a solid phase without expansion, and as :func:`homfem.certify.solve_elasticity`.
    BudgetError, MemoryLimitError
    PercolationError
        If the solid transmits no stress in some direction: what it expands there is not determined.
    ConvergenceError

    Notes
    -----
    The lower bound of the stiffness takes most of the time, and is made for ``bounds=True`` or a ``tolerance``. No
    ``symmetry``.
    """
    given = Thermoelasticity(
        stiffnesses=stiffnesses, expansions=expansions, temperature_unit=temperature_unit, plane=plane, unit=unit
    )
    return solve_cell(cell, given, Accuracy(**accuracy), config=config)


@takes(Accuracy)
@inherits(solve_elasticity)
def solve_poroelasticity(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    *,
    fluid_bulk: float | None = None,
    plane: str | None = None,
    unit: str = "",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve for the unit strains and for the unit pressure in the voids: drained stiffness and Biot's; collective.

    .. math:: \Sigma = C^*E - b\,p,\qquad \varphi-\varphi_0 = b\cdot E + p/N

    Parameters
    ----------
    cell
        The unit cell; phases without stiffness are voids, filled with a fluid of one pressure. So are islands of solid
        that touch nothing, which the warnings say.
    stiffnesses
    fluid_bulk
        Bulk modulus of the fluid, in ``unit``: the result then tells what the pores store.
    plane
        ``"strain"`` (default), or ``"stress"``: the pressure acts in the plane alone.
    unit
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them.

    Returns
    -------
    CellSolution
        The tensor is the drained stiffness, with ``biot``, ``modulus``, ``porosity`` and, of a fluid, ``storage`` among
        its ``coefficients``; the last corrector is that of the pressure.

    Raises
    ------
    InputError
        If the cell has no voids, and as :func:`homfem.certify.solve_elasticity`.
    BudgetError, MemoryLimitError
    PercolationError
    ConvergenceError

    Notes
    -----
    The lower bound of the stiffness takes most of the time, and is made for ``bounds=True`` or a ``tolerance``. No
    ``symmetry``.
    """
    given = Poroelasticity(stiffnesses=stiffnesses, fluid_bulk=fluid_bulk, plane=plane, unit=unit)
    return solve_cell(cell, given, Accuracy(**accuracy), config=config)


@takes(Accuracy)
@inherits(solve_elasticity)
def solve_active_stress(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    active_phase: str,
    direction: npt.ArrayLike,
    *,
    tension: float | None = None,
    plane: str | None = None,
    unit: str = "",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve for the unit strains and for an active stress :math:`f\otimes f` in one phase; collective.

    .. math:: \Sigma = C^*E + s\,T

    Parameters
    ----------
    cell
        The unit cell; phases without stiffness are voids.
    stiffnesses
    active_phase
        The phase that contracts, such as the myofibrils.
    direction : array, shape (d,)
        The fibre direction :math:`f`; its length does not matter.
    tension
        Active stress of the phase along :math:`f`, in ``unit``; by default the result is per unit of it.
    plane
    unit
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them.

    Returns
    -------
    CellSolution
        The tensor is the stiffness, with ``stress`` and ``average`` among its ``coefficients``; the last corrector is
        that of the activation, which is one.

    Raises
    ------
    InputError
        For a phase without stiffness, a direction of another size, and as :func:`homfem.certify.solve_elasticity`.
    BudgetError, MemoryLimitError
    PercolationError
    ConvergenceError

    Notes
    -----
    The lower bound of the stiffness takes most of the time, and is made for ``bounds=True`` or a ``tolerance``. No
    ``symmetry``.
    """
    given = ActiveElasticity(
        stiffnesses=stiffnesses,
        active_phase=active_phase,
        direction=direction,
        tension=tension,
        plane=plane,
        unit=unit,
    )
    return solve_cell(cell, given, Accuracy(**accuracy), config=config)


homogenize_thermoelasticity = part_of(
    solve_thermoelasticity,
    "homogenize_thermoelasticity",
    lambda solution: ThermoElastic(solution=solution),
    returns=ThermoElastic,
    summary="Return the effective stiffness and thermal expansion of a cell; collective.",
)
homogenize_poroelasticity = part_of(
    solve_poroelasticity,
    "homogenize_poroelasticity",
    lambda solution: PoroElastic(solution=solution),
    returns=PoroElastic,
    summary="Return the drained stiffness, Biot's tensor and Biot's modulus of a cell with voids; collective.",
)
homogenize_active_stress = part_of(
    solve_active_stress,
    "homogenize_active_stress",
    lambda solution: ActiveStress(solution=solution),
    returns=ActiveStress,
    summary="Return the macroscopic stress of an active stress in one phase, with the stiffness; collective.",
)
