"""Figures and field files of a unit cell: the cell alone, and with the fields of its solution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.kinds import PERMEABILITY
from homfem.output.fields import write_unfolded
from homfem.output.pictures import draw_cell
from homfem.output.solved import Members, fields_of_load, shown_fields, values_at_arrays, whole_function
from homfem.output.views import CellView
from homfem.ranks import on_root

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell
    from homfem.local.problem import CellProblem
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
        Values at the nodes of ``cell.raw``, or at the corners of each of its mesh cells, on rank 0.
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
            view=CellView(
                translucent=translucent,
                label=label,
                title=(title or cell.name) + (f", 1/{cell.copies} of the period" if cell.mirrors else ""),
                unit=cell.length_unit,
                # Mirror planes open the cell already.
                cut=False if cell.mirrors else None,
            ),
        )

    on_root(cell.comm, draw)


def draw_solution(solution: Any, path: str) -> None:
    """Draw the solved cell with the fields of its first load into PNG files, of vectors their size; collective.

    The first field goes into ``NAME.png``, a further one, such as a pressure, into ``NAME_pressure.png``.
    """
    cell, tensor, solved = solution.cell, solution.tensor, solution.correctors
    functions = fields_of_load(solved.problem, solved.functions[0])
    for place, (name, members) in zip(*_places(path, solved.problem), strict=True):
        values = values_at_arrays(cell, solved.problem, members, functions)
        vector = solved.problem.fields[members[0]].components > 1
        power = 2 if name == "velocity" else 1
        if values is not None:
            values = cell.length**power * (np.linalg.norm(values, axis=-1) if vector else values)
        unit = cell.length_unit if power == 1 else f"{cell.length_unit}^{power}"
        if tensor.kind == PERMEABILITY:
            label = f"{'speed' if vector else name} for a unit force ({unit})"
        else:
            label = f"corrector 1 ({unit})"
        # Where a field jumps, both sides are to be seen.
        translucent = () if len(members) > 1 else None
        title = f"{cell.name}: {tensor.physics}"
        draw_unit_cell(cell, place, values, label=label, title=title, translucent=translucent)


def write_solution(solution: Any, path: str) -> None:
    """Write the fields of all loads to VTX files; collective.

    The first field goes into ``NAME.bp``, a further one, such as a pressure, into ``NAME_pressure.bp``. A field that
    jumps across membranes is discontinuous in the file.
    """
    cell, solved = solution.cell, solution.correctors
    for place, (_, members) in zip(*_places(path, solved.problem), strict=True):
        functions = [fields_of_load(solved.problem, function) for function in solved.functions]
        shown = [whole_function(cell, solved.problem, members, fields) for fields in functions]
        write_unfolded(place, cell.periodic_mesh, shown)


def _places(path: str, problem: CellProblem) -> tuple[list[str], list[tuple[str, Members]]]:
    """The file of each field, and the fields."""
    shown, place = list(shown_fields(problem).items()), Path(path)
    further = [str(place.with_name(f"{place.stem}_{name}{place.suffix}")) for name, _ in shown[1:]]
    return [path, *further], shown
