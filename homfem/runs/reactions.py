"""The tables ``[effective]`` of what reacts in a cell: what they become, and what solves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from homfem.config.physics.multiplication import Multiplication
from homfem.config.physics.reaction import Reaction
from homfem.config.table import keys_from
from homfem.runs.physics import require_length, value_of

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell

#: The unit of time that rates are computed in.
TIME = "s"


def reaction(table: Reaction, cell: UnitCell, *, config: Mapping[str, Any], only: Sequence[str] | None = None) -> Any:
    """Return the solution, its diffusivity in the table's unit and its rates in 1/s; collective."""
    from dataclasses import replace

    from homfem.certify import solve_reaction, solve_reactive_inclusions

    require_length(cell, "a rate beside a diffusivity")
    table.check(cell.phase_names, cell.dimension)
    names = list(table.phases) if only is None else list(only)
    per, speed = f"{cell.length_unit}^2/{TIME}", f"{cell.length_unit}/{TIME}"
    options = {key: value for key in ("degree", "bounds") if (value := getattr(table, key)) is not None}
    if table.regime == "inclusions":
        with keys_from({"rates": "effective.rates", "coefficients": "effective.phases"}):
            found = solve_reactive_inclusions(
                cell,
                {name: value_of(name, table.phases[name], per) for name in names},
                {name: rate.to(f"1/{TIME}") for name, rate in (table.rates or {}).items()},
                time_unit=TIME,
                tolerance=table.tolerance,
                max_dofs=table.max_dofs,
                config=dict(config),
                **options,
            )
        return replace(found, tensor=found.tensor.to(table.unit))
    renamed = {name: f"effective.{name}" for name in ("rates", "interface_rates")}
    with keys_from({**renamed, "coefficients": "effective.phases", "phases": "effective.phases"}):
        solution = solve_reaction(
            cell,
            {name: value_of(name, table.phases[name], per) for name in names},
            rates={name: rate.to(f"1/{TIME}") for name, rate in (table.rates or {}).items()},
            interface_rates={name: rate.to(speed) for name, rate in (table.interface_rates or {}).items()},
            regime=table.regime,
            time_unit=TIME,
            tolerance=table.tolerance,
            max_dofs=table.max_dofs,
            config=dict(config),
            **options,
        )
    return replace(solution, tensor=solution.tensor.to(table.unit))


def multiplication(
    table: Multiplication, cell: UnitCell, *, config: Mapping[str, Any], only: Sequence[str] | None = None
) -> Any:
    """Return the solution, in the unit of length of the cell; collective."""
    from homfem.certify import CrossSections, solve_multiplication

    require_length(cell, "a cross-section")
    table.check(cell.phase_names, cell.dimension)
    options = {key: value for key in ("degree", "bounds") if (value := getattr(table, key)) is not None}
    own = ("production", "absorption", "spectrum", "tolerance", "bounds")
    with keys_from({"materials": "effective.phases", **{name: f"effective.{name}" for name in own}}):
        return solve_multiplication(
            cell,
            {name: CrossSections(**data.to(cell.length_unit)) for name, data in table.phases.items()},
            spectrum=table.spectrum,
            tolerance=table.tolerance,
            max_dofs=table.max_dofs,
            config=dict(config),
            **options,
        )
