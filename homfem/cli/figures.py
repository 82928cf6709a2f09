"""Figures of the commands: the cell, and the cell with a corrector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from homfem.cli.session import on_root
from homfem.output.pictures import draw_cell

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell
    from homfem.certify import CellSolution
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


def draw_solution(solution: CellSolution, path: str) -> None:
    """Draw the solved cell with its first corrector into a PNG file; collective."""
    cell = solution.cell
    values = cell.nodal_values(solution.upper.functions[0])
    scaled = None if values is None else cell.length * values
    draw_unit_cell(
        cell, path, scaled, label=f"corrector 1 ({cell.length_unit})", title=f"{cell.name}: {solution.tensor.physics}"
    )
