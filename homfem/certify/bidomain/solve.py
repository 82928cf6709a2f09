"""The call for a bidomain: two cell problems and an area."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions
from homfem.certify.bidomain.problem import MEMBRANE, Resistance, Tissue, tissue_of
from homfem.certify.diffusion import homogenize_diffusion, solve_diffusion
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution
from homfem.keywords import inherits, takes
from homfem.local.diffusion import Coefficient
from homfem.tensors import EffectiveTensor
from homfem.tensors.bidomain import UNIT, BidomainTensors, with_membrane


@takes(Accuracy)
@inherits(solve_cell)
def homogenize_bidomain(
    cell: UnitCell,
    conductivities: Mapping[str, Coefficient],
    *,
    resistance: Resistance = 0.0,
    membrane: str = MEMBRANE,
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> BidomainTensors:
    r"""Return the conductivities of the bidomain equations, with guaranteed bounds, and the area of the membrane.

    .. math:: \Sigma_k=\frac1{|Y|}\int_{Y_k}\sigma_k(I+\nabla\chi),\quad k=i,e,\qquad \beta=\frac{|\Gamma|}{|Y|}

    with insulating membranes :math:`\Gamma`: on the scale of a cell a space constant is long, and what leaves a cell is
    a source of the equations, not of the cell problems (:mod:`homfem.tensors.bidomain`). A junction of the resistance R
    between two cells is a channel with two faces, on each of which the current is 2/R times the jump of the potential.

    Parameters
    ----------
    cell
        A cell with the phases ``intracellular``, ``extracellular`` and, where cells are joined, ``junction``, in any
        unit of length: :func:`homfem.cells.myocyte`, :func:`homfem.cells.hexagonal_myocyte`.
    conductivities
        Of each phase in mS/mm (= S/m). A junction that is not named conducts as the cells do; another phase insulates.
    resistance
        Of the junctions, per area of their section, in kOhm mm^2, >= 0: one number for all, or one for each group of
        faces, such as ``{"end-junctions": 0.15, "side-junctions": 1.5}``. Zero: perfect contact.
    membrane
        The facets that are the membrane.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them; of both conductivities.

    Returns
    -------
    BidomainTensors

    Raises
    ------
    InputError
        For a phase or a conductivity that is missing, a name that the cell does not have, a resistance that is
        negative.
    BudgetError, MemoryLimitError
    PercolationError
        If cells or the space between them reach from cell to cell in no direction.
    ConvergenceError

    Source
    ------
    Krassowska, Neu 1993, Crit. Rev. Biomed. Eng. 21, 137; Hand, Griffith, Peskin 2009, doi 10.1007/s11538-009-9395-y.

    Examples
    --------
    >>> from homfem.cells import myocyte
    >>> cell = myocyte(99.0, 20.0, None, 1.0, staggered=False, joined="x", end_patch=1.0, resolution=1 / 3)
    >>> tissue = homogenize_bidomain(cell, {"intracellular": 0.5, "extracellular": 2.0}, resistance=0.15)
    >>> round(float(tissue.intracellular.value[0, 0]), 6), round(tissue.membrane_area, 4)
    (0.272109, 94.2857)
    """
    given = {"resistance": resistance, "membrane": membrane, "config": config}
    return _solved(cell, conductivities, given, accuracy)[0]


@takes(Accuracy)
@inherits(homogenize_bidomain)
def solve_bidomain(
    cell: UnitCell,
    conductivities: Mapping[str, Coefficient],
    *,
    resistance: Resistance = 0.0,
    membrane: str = MEMBRANE,
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve both cell problems, and keep the fields inside of the cells; collective.

    Parameters
    ----------
    cell
    conductivities
    resistance
    membrane
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them.

    Returns
    -------
    CellSolution
        Of the problem inside. Its tensor is :attr:`homfem.tensors.BidomainTensors.tensor`.

    Raises
    ------
    InputError
    BudgetError, MemoryLimitError
    PercolationError
    ConvergenceError
    """
    given = {"resistance": resistance, "membrane": membrane, "config": config}
    found, inside = _solved(cell, conductivities, given, accuracy)
    return replace(inside, tensor=found.tensor)


def _solved(
    cell: UnitCell, conductivities: Mapping[str, Coefficient], given: Mapping[str, Any], accuracy: AccuracyOptions
) -> tuple[BidomainTensors, CellSolution]:
    tissue = tissue_of(cell, conductivities, given["membrane"])
    resistances = tissue.resistances(given["resistance"])
    inside = solve_diffusion(
        cell,
        tissue.inside,
        membranes=tissue.permeabilities(resistances),
        physics="conductivity",
        unit=UNIT,
        config=given["config"],
        **accuracy,
    )
    outside = solve_outside(tissue, given["config"], **accuracy)
    both = BidomainTensors(
        intracellular=with_membrane(inside.tensor, tissue.area), extracellular=outside, resistance=resistances
    )
    return both, inside


def solve_outside(
    tissue: Tissue, config: Mapping[str, Any] | None, **accuracy: Unpack[AccuracyOptions]
) -> EffectiveTensor:
    """Return the conductivity of the space between the cells, with the area of the membrane; collective."""
    outside = homogenize_diffusion(
        tissue.cell, tissue.outside, physics="conductivity", unit=UNIT, config=config, **accuracy
    )
    return with_membrane(outside, tissue.area)
