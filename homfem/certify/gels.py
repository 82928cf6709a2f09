"""Electroneutral gels with fixed charges in a cell: a diffusion problem for each ion and one for all, on one mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions
from homfem.certify.chemotaxis import homogenize_chemotaxis
from homfem.certify.diffusion import Diffusion
from homfem.certify.diffusion.several import SeveralDiffusions
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution
from homfem.electrolytes import Gel, gel_tensor
from homfem.electrolytes.gels import FROZEN, solved_gel
from homfem.electrolytes.transport import Sides
from homfem.keywords import inherits, part_of, takes
from homfem.tensors import EffectiveTensor


@takes(Accuracy)
@inherits(solve_cell)
def solve_gel(
    cell: UnitCell,
    gel: Gel,
    *,
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve the transport of ions in an electroneutral gel, and bound all of its coefficients; collective.

    Every phase is in Donnan equilibrium with one bath (:mod:`homfem.electrolytes.donnan`), so that steady transport is
    a diffusion problem for each ion with the coefficient :math:`D_ic_i` (:mod:`homfem.electrolytes.gels`), and all else
    follows (:mod:`homfem.electrolytes.transport`). Ions that enter the same phases are solved on one mesh, which is
    refined until the worst of them is as good as asked for.

    Parameters
    ----------
    cell
    gel
        Ions and fixed charges; a phase that no ion enters insulates.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them; of all diffusion problems.

    Returns
    -------
    CellSolution
        The tensor is the steady conductivity with the coefficients of :func:`homfem.electrolytes.gel_tensor`. The
        fields are those of the last problem that was solved: the electric potential at frozen concentrations, where
        that is not a number times the steady one of an ion.

    Raises
    ------
    InputError
        For ions and charges that the gel refuses, of phases that the cell does not have.
    BudgetError, MemoryLimitError
    PercolationError
        If an ion reaches from cell to cell in no direction.
    ConvergenceError
    """
    solutions: list[CellSolution] = []
    shown: list[str] = []

    def solve(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, EffectiveTensor]:
        found: dict[str, EffectiveTensor] = {}
        for names in _of_one_mesh(tables):
            physics = SeveralDiffusions(problems=tuple(Diffusion(coefficients=tables[name]) for name in names))
            solutions.append(solve_cell(cell, physics, Accuracy(**accuracy), config=config))
            found |= zip(names, _counted_once(solutions[-1].series), strict=True)
            shown[:] = names[-1:]
        return found

    tensors = solved_gel(gel, cell.phase_names, cell.dimension, solve)
    # Where the mesh was refined for the ions it is a start for what they do at frozen concentrations.
    widest = max(solutions, key=lambda one: len(one.cell.phase_names))
    start = cell if widest.symmetry is not None else widest.cell

    def frozen_flux(ion: str) -> Sides:
        """The flux that one potential drives: a sensitivity where the motility is the same everywhere."""
        all_ions = tensors.coefficients[FROZEN]
        own = {phase: matrix.tolist() for phase, matrix in tensors.coefficients[ion].items()}
        # Any motility will do; one of the size of the others, so that round-off of loads that do nothing is told.
        alike = max(float(np.abs(matrix).max()) for matrix in all_ions.values())
        found = homogenize_chemotaxis(
            start, dict.fromkeys(all_ions, alike), own, {phase: matrix.tolist() for phase, matrix in all_ions.items()},
            config=config, **accuracy | {"symmetry": "none"},
        )  # fmt: skip
        named = found.coefficients.get("sensitivity")
        return (
            Sides(value=found.value)
            if named is None
            else Sides(value=named.value, lower=named.lower, upper=named.upper)
        )

    tensor = gel_tensor(gel, tensors, frozen_flux)
    words = dict(tensor.conventions) | {"fields": _whose(shown[0], tensors.shared)}
    return replace(solutions[-1], tensor=replace(tensor, conventions=words), series=())


def _whose(name: str, shared: Mapping[str, str]) -> str:
    """Whose correctors the fields are, in words: of one problem and of those that are numbers times it."""
    alike = [name, *(other for other, of in shared.items() if of == name)]
    words = ["the potential at frozen concentrations" if one == FROZEN else one for one in alike]
    return f"correctors of {' and '.join(words)}"


def _of_one_mesh(tables: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The names of the problems in groups of the same phases, in their order; the last name is in the last group."""
    groups: dict[frozenset[str], list[str]] = {}
    for name, table in tables.items():
        groups.setdefault(frozenset(table), []).append(name)
    last = list(tables)[-1]
    return sorted(groups.values(), key=lambda names: last in names)


def _counted_once(series: Sequence[EffectiveTensor]) -> list[EffectiveTensor]:
    """The tensors of one mesh, what all of them took together kept by the first."""
    return [tensor if k == 0 else replace(tensor, iterations=0, seconds={}) for k, tensor in enumerate(series)]


homogenize_gel = part_of(
    solve_gel,
    "homogenize_gel",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the steady conductivity of a gel with bounds, and all coefficients of its ions; collective.",
)
