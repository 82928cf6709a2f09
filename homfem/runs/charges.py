"""The table ``[effective]`` of ions in charged media: what it becomes, and what solves it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from homfem.config.physics.double_layers import DOUBLE_LAYER, in_unit
from homfem.config.physics.electrodiffusion import Electrodiffusion
from homfem.config.table import join, renamed
from homfem.electrolytes import VACUUM, Gel, Ion
from homfem.parameters import InputError

#: Stands for all walls in the errors of the library.
WALLS = "walls"

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell
    from homfem.grid import GridSolution, Image


def electrodiffusion(
    table: Electrodiffusion, cell: UnitCell, *, config: Mapping[str, Any], only: Sequence[str] | None = None
) -> Any:
    """Return the solution, its conductivity in S/m; collective."""
    from homfem.certify import solve_gel

    table.check(cell.phase_names, cell.dimension)
    if table.regime == DOUBLE_LAYER:
        return _double_layers(table, cell, config)
    options = {key: value for key in ("degree", "symmetry") if (value := getattr(table, key)) is not None}
    with _keys(table):
        return solve_gel(
            cell,
            gel_of(table),
            tolerance=table.tolerance,
            max_dofs=table.max_dofs,
            config=dict(config),
            **options,
        )


def _double_layers(table: Electrodiffusion, cell: UnitCell, config: Mapping[str, Any]) -> Any:
    """Return the solution of charged pores, all in SI; collective."""
    from homfem.certify import solve_electrokinetics

    ions = [
        Ion(
            name=ion.name,
            valence=ion.valence,
            bath=ion.bath.to("mol/m^3"),
            diffusivities={phase: value.to("m^2/s") for phase, value in ion.diffusivity.items()},
        )
        for ion in table.ions
    ]
    given = table.permittivity
    assert table.viscosity is not None
    assert given is not None  # or else the table was refused
    permittivity = {name: VACUUM * one for name, one in given.items()} if isinstance(given, Mapping) else VACUUM * given
    keys = ("degree", "refine_layers", "bounds")
    options = {key: value for key in keys if (value := getattr(table, key)) is not None}
    with _keys(table):
        return solve_electrokinetics(
            cell,
            ions,
            table.phase_names,
            viscosity=table.viscosity.to("Pa*s"),
            permittivity=permittivity,
            wall_potential=in_unit(table.wall_potential, "V"),
            wall_charge=in_unit(table.wall_charge, "C/m^2"),
            fixed_charge=in_unit(table.fixed_charge, "mol/m^3") or {},
            temperature=table.temperature.to("K"),
            tolerance=table.tolerance,
            max_dofs=table.max_dofs,
            config=dict(config),
            **options,
        )


def electrodiffusion_on_voxels(image: Image, table: Electrodiffusion, fields: bool) -> GridSolution:
    """Return the solution on the voxels of an image."""
    from homfem.grid import solve_gel_image

    table.check(image.names, image.dimension)
    with _keys(table):
        return solve_gel_image(
            image,
            gel_of(table),
            tolerance=table.tolerance,
            refine=table.refine or 1,
            max_dofs=table.max_dofs,
            fields=fields,
        )


def gel_of(table: Electrodiffusion) -> Gel:
    """Return ions and fixed charges in the units of the first ion."""
    unit, concentration = table.units
    charges = table.fixed_charge or {}
    return Gel(
        ions=table.as_ions(),
        fixed_charges={phase: charge.to(concentration) for phase, charge in charges.items()},
        temperature=table.temperature.to("K"),
        unit=unit,
        concentration_unit=concentration,
    )


@contextmanager
def _keys(table: Electrodiffusion) -> Iterator[None]:
    """Give errors of ions and charges the paths of their keys."""
    try:
        yield
    except InputError as error:
        head, _, rest = error.name.partition(".")
        word = error.name.partition("[")[0]
        if table.regime == DOUBLE_LAYER and word in Electrodiffusion.model_fields:
            name = error.name.partition("['")[2].removesuffix("']")
            raise renamed(error, join(f"effective.{word}", "" if name == WALLS else name)) from error
        if error.name == "phases":  # those of one ion, or of all
            raise renamed(error, "effective.ions") from error
        if head == "fixed_charges":
            raise renamed(error, f"effective.fixed_charge.{rest}") from error
        number = {f"{ion.name}.diffusivities": k for k, ion in enumerate(table.ions)}
        ion, _, phase = rest.rpartition(".") if not rest.endswith(".diffusivities") else (rest, "", "")
        if head == "ions" and ion in number:
            at = f"effective.ions[{number[ion]}].diffusivity"
            raise renamed(error, f"{at}.{phase}" if phase else at) from error
        raise
