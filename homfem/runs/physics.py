"""The cell problems of the tables ``[effective]``: what their coefficients become, and what solves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from homfem.config.physics.bidomain import Bidomain
from homfem.config.physics.coupled import ActiveStress, CoupledElasticity, Poroelasticity, Thermoelasticity
from homfem.config.physics.diffusion import Diffusion
from homfem.config.physics.double_layers import DOUBLE_LAYER
from homfem.config.physics.effective_table import EffectiveTable
from homfem.config.physics.elasticity import Elasticity
from homfem.config.physics.stokes import Stokes
from homfem.config.table import Missing, keys_from, renamed
from homfem.parameters import InputError, UnitError
from homfem.quantities import LENGTH, check_unit
from homfem.runs.runners import runner

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell
    from homfem.grid import Image, ImageFlow
    from homfem.tensors import EffectiveTensor

Only = Sequence[str] | None
"""The phases that carry the field; None for all of the table."""


def solve_effective(table: EffectiveTable, cell: UnitCell, *, config: Mapping[str, Any], only: Only = None) -> Any:
    """Return the solved cell problem of a table ``[effective]``, with its ``tensor``. Collective.

    Parameters
    ----------
    table
        The table.
    cell
        The cell.
    config
        The config as it was written, for the tensor's provenance.
    only
        The phases that carry the field; by default all that have a coefficient.

    Raises
    ------
    InputError
        If the coefficients do not fit the cell, or a file of them cannot be read.
    """
    return runner(table.runner)(table, cell, config=config, only=only)


def with_symmetry(table: EffectiveTable, cell: UnitCell) -> EffectiveTable:
    """Return the table with ``symmetry = "auto"`` where it leaves that open and the problem may have mirror planes.

    To look for them takes some hundredths of a solve at most; where there are some, a part of the cell is solved, in a
    tenth of the time for a cubic cell. The solution then is that of the part: not for pictures and fields.
    """
    if getattr(table, "symmetry", "none") is not None:
        return table
    whole = bool(getattr(table, "membranes", None)) or getattr(table, "slip_length", None) is not None
    whole = whole or getattr(table, "regime", "") == DOUBLE_LAYER
    whole = whole or getattr(table, "boundary", "periodic") != "periodic" or not cell.matching
    return table.model_copy(update={"symmetry": "none" if whole else "auto"})


def value_of(name: str, phase: Any, unit: str) -> Any:
    """Return the coefficient of a phase in a unit; what is wrong with a file of it has the path of its key."""
    try:
        return phase.to(unit)
    except InputError as error:
        raise renamed(error, f"effective.phases.{name}.{error.name}") from error


def with_known_area(tensor: EffectiveTensor) -> EffectiveTensor:
    """Return the tensor without its interface area if that has no unit, as of an image without the size of a voxel.

    Where nothing else has a length in it the rest of the result stands.
    """
    try:
        check_unit("length_unit", tensor.length_unit, LENGTH)
    except UnitError:
        return replace(tensor, interface_area=None)
    return tensor


def require_length(cell: UnitCell | Image, what: str) -> None:
    """Refuse a cell whose unit of length is not known, such as that of an image without the size of a voxel."""
    try:
        check_unit("length_unit", cell.length_unit, LENGTH)
    except UnitError as error:
        remedy = f"The file states no size of a voxel with its unit, and {what} has a length in it."
        raise InputError("cell.voxel", Missing(), "given, such as voxel = '0.5 um'", remedy) from error


def _coefficients(table: Any, only: Only) -> dict[str, Any]:
    """The coefficient of each phase in the unit of the result."""
    names = list(table.phases) if only is None else only
    return {name: value_of(name, table.phases[name], table.unit) for name in names}


def _given(table: EffectiveTable, *keys: str) -> dict[str, Any]:
    """The values of those keys that are there; the library's own defaults stand for the rest."""
    return {key: value for key in keys if (value := getattr(table, key)) is not None}


def diffusion(table: Diffusion, cell: UnitCell, *, config: Mapping[str, Any], only: Only = None) -> Any:
    """Return the solution, its effective tensor in the table's unit; collective."""
    import homfem

    table.check(cell.phase_names, cell.dimension)
    options = _given(table, "degree", "symmetry")
    if table.membranes:
        require_length(cell, "what a membrane lets through")
        per = f"{table.unit}/({cell.length_unit})"
        options["membranes"] = {name: membrane.to(per) for name, membrane in table.membranes.items()}
    return homfem.solve_diffusion(
        cell,
        _coefficients(table, only),
        tolerance=table.tolerance,
        max_dofs=table.max_dofs,
        unit=table.unit,
        physics=table.physics,
        boundary=table.boundary,
        config=dict(config),
        **options,
    )


def bidomain(table: Bidomain, cell: UnitCell, *, config: Mapping[str, Any], only: Only = None) -> Any:
    """Return the solution inside of the cells, its tensor with all that is known of the tissue; collective."""
    from homfem.certify import solve_bidomain

    require_length(cell, "the area of a membrane")
    table.check(cell.phase_names, cell.dimension)
    given, per = table.resistance, "kohm*mm^2"
    resistance: Any = 0.0
    if given is not None:
        resistance = {k: r.to(per) for k, r in given.items()} if isinstance(given, Mapping) else given.to(per)
    with keys_from({"resistance": "effective.resistance"}):
        return solve_bidomain(
            cell,
            _coefficients(table, only),
            resistance=resistance,
            tolerance=table.tolerance,
            max_dofs=table.max_dofs,
            config=dict(config),
            **_given(table, "degree"),
        )


def elasticity(table: Elasticity, cell: UnitCell, *, config: Mapping[str, Any], only: Only = None) -> Any:
    """Return the solution, its stiffness in the unit of the first phase; collective."""
    from homfem.certify import solve_elasticity

    table.check(cell.phase_names, cell.dimension)
    return solve_elasticity(
        cell,
        _coefficients(table, only),
        tolerance=table.tolerance,
        max_dofs=table.max_dofs,
        boundary=table.boundary,
        plane=table.plane,
        unit=table.unit,
        config=dict(config),
        **_given(table, "degree", "symmetry"),
    )


def _coupled(table: CoupledElasticity, cell: UnitCell, config: Mapping[str, Any]) -> dict[str, Any]:
    """Check the table against the cell, and give the options that all coupled physics have."""
    table.check(cell.phase_names, cell.dimension)
    options = {key: getattr(table, key) for key in ("tolerance", "max_dofs", "bounds", "plane", "unit")}
    return options | _given(table, "degree") | {"config": dict(config)}


def thermoelasticity(table: Thermoelasticity, cell: UnitCell, *, config: Mapping[str, Any], only: Only = None) -> Any:
    """Return the solution, its expansion in 1/K; collective."""
    from homfem.certify import homogenize_thermoelasticity

    options = _coupled(table, cell, config)
    stiffnesses = _coefficients(table, only)
    expansions = {name: table.phases[name].expansion_in("1/K") for name in stiffnesses}
    return homogenize_thermoelasticity(cell, stiffnesses, expansions, temperature_unit="K", **options)


def poroelasticity(table: Poroelasticity, cell: UnitCell, *, config: Mapping[str, Any], only: Only = None) -> Any:
    """Return the solution; collective."""
    from homfem.certify import homogenize_poroelasticity

    options = _coupled(table, cell, config)
    fluid = None if table.fluid_bulk is None else table.fluid_bulk.to(table.unit)
    return homogenize_poroelasticity(cell, _coefficients(table, only), fluid_bulk=fluid, **options)


def active_stress(table: ActiveStress, cell: UnitCell, *, config: Mapping[str, Any], only: Only = None) -> Any:
    """Return the solution; collective."""
    from homfem.certify import homogenize_active_stress

    options = _coupled(table, cell, config)
    tension = None if table.tension is None else table.tension.to(table.unit)
    stiffnesses = _coefficients(table, only)
    return homogenize_active_stress(cell, stiffnesses, table.active_phase, table.direction, tension=tension, **options)


def stokes(table: Stokes, cell: UnitCell, *, config: Mapping[str, Any], only: Only = None) -> Any:
    """Return the solution, its permeability in the squared unit of length of the cell; collective."""
    from homfem.certify import solve_stokes

    require_length(cell, "a permeability")
    table.check(cell.phase_names, cell.dimension)
    options = _given(table, "degree", "symmetry")
    if table.slip_length is not None:
        options["slip_length"] = table.slip_length.to(cell.length_unit)
    with keys_from({"phases": "effective.fluid"}):
        return solve_stokes(
            cell,
            fluid=table.fluid,
            tolerance=table.tolerance,
            max_dofs=table.max_dofs,
            bounds=table.tolerance is not None if table.bounds is None else table.bounds,
            config=dict(config),
            **options,
        )


def stokes_on_voxels(image: Image, table: Stokes, fields: bool) -> ImageFlow:
    """Return the flow between the voxels of an image, its permeability in the squared unit of length of the image."""
    from homfem.grid import solve_stokes_image

    require_length(image, "a permeability")
    table.check(image.names, image.dimension)
    keys = ("tolerance", "max_dofs", "refine")
    with keys_from({key: f"effective.{key}" for key in ("fluid", *keys)}):
        return solve_stokes_image(image, table.fluid, **_given(table, *keys))
