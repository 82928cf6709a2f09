"""The table ``[effective]`` of cells that follow an attractant: what solves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from homfem.config.physics.chemotaxis import Chemotaxis

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell


def chemotaxis(
    table: Chemotaxis, cell: UnitCell, *, config: Mapping[str, Any], only: Sequence[str] | None = None
) -> Any:
    """Return the solution, its sensitivity in the unit of the first phase; collective."""
    from homfem.certify import solve_chemotaxis

    table.check(cell.phase_names, cell.dimension)
    options: dict[str, Any] = {} if table.degree is None else {"degree": table.degree}
    return solve_chemotaxis(
        cell,
        {phase: value.to(table.unit) for phase, value in table.motility.items()},
        {phase: value.to(table.sensitivity_unit) for phase, value in table.sensitivity.items()},
        {phase: value.to(table.unit) for phase, value in table.attractant.items()},
        unit=table.unit,
        sensitivity_unit=table.sensitivity_unit,
        tolerance=table.tolerance,
        max_dofs=table.max_dofs,
        config=dict(config),
        **options,
    )
