"""The table ``[effective]`` of ions in charged media: what it becomes, and what solves it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from homfem.config.physics.electrodiffusion import Electrodiffusion
from homfem.config.table import renamed
from homfem.electrolytes import Gel
from homfem.parameters import InputError

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell
    from homfem.grid import GridSolution, Image


def electrodiffusion(
    table: Electrodiffusion, cell: UnitCell, *, config: Mapping[str, Any], only: Sequence[str] | None = None
) -> Any:
    """Return the solution, its conductivity in S/m; collective."""
    from homfem.certify import solve_gel

    table.check(cell.phase_names, cell.dimension)
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
        if head == "fixed_charges":
            raise renamed(error, f"effective.fixed_charge.{rest}") from error
        number = {f"{ion.name}.diffusivities": k for k, ion in enumerate(table.ions)}
        ion, _, phase = rest.rpartition(".") if not rest.endswith(".diffusivities") else (rest, "", "")
        if head == "ions" and ion in number:
            at = f"effective.ions[{number[ion]}].diffusivity"
            raise renamed(error, f"{at}.{phase}" if phase else at) from error
        raise
