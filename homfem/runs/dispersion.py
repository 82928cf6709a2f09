"""The run of dispersion: what its table becomes, in the cell's unit of length and s."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from homfem.config.physics.dispersion import Dispersion
from homfem.config.table import keys_from
from homfem.parameters import InputError
from homfem.runs.physics import Only, require_length, value_of
from homfem.runs.written import written_on

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell
    from homfem.grid import Image, ImageDispersion


def dispersion(table: Dispersion, cell: UnitCell, *, config: Mapping[str, Any], only: Only = None) -> Any:
    """Return the solution, its tensors in the table's unit, velocities in the cell's length per s; collective."""
    from homfem.certify import solve_dispersion

    require_length(cell, "a flow")
    table.check(cell.phase_names, cell.dimension)
    own = f"({cell.length_unit})^2/s"
    names = list(table.phases) if only is None else only
    if only is not None and isinstance(table.peclet, tuple):
        raise InputError("effective.peclet", list(table.peclet), "one number for a macroscale model")
    keys = ("degree", "max_dofs", "partition", "tolerance", "bounds")
    options: dict[str, Any] = {key: value for key in keys if (value := getattr(table, key)) is not None}
    if table.sorption_length is not None:
        options["sorption_length"] = table.sorption_length.to(cell.length_unit)
    if table.wall_rate is not None:
        options["wall_rate"] = table.wall_rate.to(f"{cell.length_unit}/s")
    renames = {"sorption_length": "effective.sorption_length", "wall_rate": "effective.wall_rate"}
    renames |= {"tolerance": "effective.tolerance", "bounds": "effective.bounds"}
    renames |= {"flow.direction": "effective.direction", "flow.fluid": "effective.fluid", "phases": "effective.phases"}
    renames |= {"flow.velocity": "effective.velocity", "flow.function": "effective.stream_function"}
    endless = table.wall_rate is not None and math.isinf(table.wall_rate.value)
    written = {"sorption_length": table.sorption_length, "wall_rate": "infinite" if endless else table.wall_rate}
    with keys_from(renames, written=written):
        solution = solve_dispersion(
            cell,
            {name: value_of(name, table.phases[name], own) for name in names},
            flow=flow_of(table, cell),
            peclet=list(table.peclet) if isinstance(table.peclet, tuple) else table.peclet,
            unit=own,
            config=dict(config),
            **options,
        )
    series = tuple(tensor.to(table.unit) for tensor in solution.series)
    return replace(solution, tensor=solution.tensor.to(table.unit), series=series)


def dispersion_on_voxels(image: Image, table: Dispersion, fields: bool) -> ImageDispersion:
    """Return the solution between the voxels of an image, its tensors in the table's unit."""
    from homfem.grid import solve_dispersion_image

    require_length(image, "a flow")
    table.check(image.names, image.dimension)
    own = f"({image.length_unit})^2/s"
    keys = ("max_dofs", "partition", "tolerance", "refine", "fluid", "direction")
    options: dict[str, Any] = {key: value for key in keys if (value := getattr(table, key)) is not None}
    if table.sorption_length is not None:
        options["sorption_length"] = table.sorption_length.to(image.length_unit)
    renames = {key: f"effective.{key}" for key in ("direction", "fluid", "peclet", *keys)}
    renames |= {"diffusivities": "effective.phases", "coefficients": "effective.phases"}
    peclet: Any = list(table.peclet) if isinstance(table.peclet, tuple) else table.peclet
    with keys_from(renames):
        solution = solve_dispersion_image(
            image,
            {name: value_of(name, value, own) for name, value in table.phases.items()},
            peclet=peclet,
            unit=own,
            **options,
        )
    series = tuple(tensor.to(table.unit) for tensor in solution.series)
    return replace(solution, tensor=solution.tensor.to(table.unit), series=series)


def flow_of(table: Dispersion, cell: UnitCell) -> Any:
    """Return the flow of a table, in the cell's unit of length and s."""
    from homfem.certify.dispersion import GivenFlow, StokesFlow, StreamFunction

    fluid, unit = table.fluid, cell.length_unit
    given = table.velocity or table.stream_function
    if given is None:
        return StokesFlow(fluid=fluid, direction=table.direction)
    speed = f"{unit}/s" if table.velocity is not None else f"({unit})^2/s"
    key = "velocity" if table.velocity is not None else "stream_function"
    function = written_on(cell, given, speed, key)
    if table.velocity is not None:
        return GivenFlow(fluid=fluid, velocity=function)
    mean = [0.0, 0.0] if table.mean_velocity is None else [one.to(f"{unit}/s") for one in table.mean_velocity]
    return StreamFunction(fluid=fluid, function=function, mean=mean)
