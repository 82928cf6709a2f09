"""The table ``[effective]`` of cells that follow an attractant: what solves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from homfem.config.functions import FunctionTable
from homfem.config.physics.chemotaxis import Chemotaxis
from homfem.config.table import keys_from
from homfem.runs.physics import require_length
from homfem.runs.written import written_on

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell


def chemotaxis(
    table: Chemotaxis, cell: UnitCell, *, config: Mapping[str, Any], only: Sequence[str] | None = None
) -> Any:
    """Return the solution, its sensitivity in the unit of the first phase; collective."""
    from homfem.certify import solve_chemotaxis

    table.check(cell.phase_names, cell.dimension)
    options: dict[str, Any] = {} if table.degree is None else {"degree": table.degree}
    renames = {
        f"{key}[{phase!r}]": f"effective.{key}.{phase}"
        for key in ("motility", "sensitivity", "attractant")
        for phase in getattr(table, key)
    }
    with keys_from(renames):
        return solve_chemotaxis(
            cell,
            _on(cell, table.motility, table.unit, "motility"),
            _on(cell, table.sensitivity, table.sensitivity_unit, "sensitivity"),
            _on(cell, table.attractant, table.unit, "attractant"),
            unit=table.unit,
            sensitivity_unit=table.sensitivity_unit,
            tolerance=table.tolerance,
            max_dofs=table.max_dofs,
            config=dict(config),
            **options,
        )


def _on(cell: UnitCell, given: Mapping[str, Any], unit: str, key: str) -> dict[str, Any]:
    """The coefficients of phases in a unit: numbers, matrices, or functions of points in mesh units."""
    result = {}
    for phase, value in given.items():
        if isinstance(value, FunctionTable):
            require_length(cell, "a function of position")
            result[phase] = written_on(cell, value, unit, f"effective.{key}.{phase}")
        else:
            result[phase] = value.to(unit)
    return result
