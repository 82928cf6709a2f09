"""Figures of the commands: the cell, and the cell with a corrector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.cli.session import on_root
from homfem.output.pictures import draw_cell

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell
    from homfem.parameters import Array


def draw_unit_cell(
    cell: UnitCell,
    path: str,
    corrector: Array | None = None,
    label: str = "",
    title: str = "",
    translucent: Sequence[str] | None = None,
) -> None:
    """Draw a cell into a PNG file; collective.

    Parameters
    ----------
    cell
        The cell.
    path
        The figure's file.
    corrector
        Values at the nodes of ``cell.raw``, on rank 0.
    label, title
        What the corrector is; the line above the figure.
    translucent
        Phases that let the others be seen; by default the one of the largest volume.
    """

    def draw() -> None:
        raw: Any = cell.raw
        draw_cell(
            cell.length * raw.points,
            raw.cells,
            raw.phase_of_cell,
            path,
            phases=raw.phases,
            corrector=corrector,
            translucent=translucent,
            label=label,
            title=title or cell.name,
            unit=cell.length_unit,
        )

    on_root(cell.comm, draw)


def first_fields(solution: Any) -> list[Any]:
    """The function of each load: the corrector, of several fields the first (the velocity of a flow)."""
    solved = solution.correctors if hasattr(solution, "correctors") else solution.upper
    return [function[0] if isinstance(function, tuple) else function for function in solved.functions]


def draw_solution(solution: Any, path: str) -> None:
    """Draw the solved cell with its first corrector into a PNG file, of a vector its size; collective."""
    cell, physics = solution.cell, solution.tensor.physics
    values = cell.nodal_values(first_fields(solution)[0])
    if values is not None:
        values = np.linalg.norm(values, axis=1) if values.ndim > 1 else values
        values = (cell.length**2 if physics == "stokes" else cell.length) * values
    label = (
        f"speed for a unit force ({cell.length_unit}^2)" if physics == "stokes" else f"corrector 1 ({cell.length_unit})"
    )
    draw_unit_cell(cell, path, values, label=label, title=f"{cell.name}: {physics}")
