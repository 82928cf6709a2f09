"""Figures and field files of a unit cell: the cell alone, and with the fields of its solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dolfinx import fem
from dolfinx.mesh import meshtags

from homfem.kinds import DISPERSION, PERMEABILITY
from homfem.macro.domain import Domain
from homfem.macro.state import Units
from homfem.output.canvas import nice_number
from homfem.output.fields import write_unfolded
from homfem.output.peclet_chart import draw_peclet
from homfem.output.pictured import draw_pictured, functions_beside, pictured, view_words
from homfem.output.pictures import draw_cell, draw_fields, made_drawable
from homfem.output.solved import (
    Members,
    fields_of_load,
    flux_of_load,
    gradient_of,
    node_places,
    on_cells,
    shown_fields,
    whole_function,
)
from homfem.output.views import CellView
from homfem.output.words import load_words, physics_words, strain_name, with_unit
from homfem.parameters import Array
from homfem.ranks import collective, on_root
from homfem.reference import is_simplex

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell
    from homfem.local.problem import CellProblem

#: Largest displacement in a picture, as a fraction of the cell.
DISPLACED = 0.12


def draw_unit_cell(
    cell: UnitCell,
    path: str,
    corrector: Array | None = None,
    label: str = "",
    title: str = "",
    translucent: Sequence[str] | None = None,
    theme: str = "light",
) -> None:
    """Draw a cell into a PNG, PDF or SVG file; collective.

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
    theme
        The ground: ``"light"`` or ``"dark"``.
    """

    def draw() -> None:
        raw: Any = cell.raw
        view = view_of(cell, label=label, title=title or cell.name, translucent=translucent, theme=theme)
        fields = {"phases": raw.phases, "corrector": corrector, "view": view}
        draw_cell(cell.length * raw.points, raw.cells, raw.phase_of_cell, path, **fields)

    on_root(cell.comm, draw)


def view_of(cell: UnitCell, *, title: str, **words: Any) -> CellView:
    """Return how a cell is drawn: in its unit of length, the part between mirror planes named and not cut."""
    return CellView(
        title=title + (f", 1/{cell.copies} of the period" if cell.mirrors else ""),
        unit=cell.length_unit,
        # Mirror planes open the cell already.
        cut=False if cell.mirrors else None,
        **words,
    )


def draw_solution(solution: Any, path: str, *, theme: str = "light") -> None:
    """Draw the solved cell with the fields of its first load into PNG, PDF or SVG files; collective.

    The first field goes into ``NAME.png``, a further one, such as a pressure, into ``NAME_pressure.png``. Of a scalar
    the corrector is shown, in the plane with lines along the flux, which in space are in ``NAME_flux.png``; of a
    displacement the deformed shape, coloured by the stress that belongs to the load; of a flow the speed and the lines
    along it. Of transport: what :mod:`homfem.output.pictured` says, and of several Péclet numbers a chart,
    ``NAME_peclet.png``.
    """
    own = pictured(solution)
    for picture in own:
        heads = picture.vectors is not None
        view = view_of(solution.cell, **view_words(solution, picture), theme=theme, heads=heads)
        draw_pictured(solution.cell, picture, _beside(path, picture.name) if picture.name else path, view)
    if solution.tensor.kind == DISPERSION:
        title = f"{solution.cell.name}: {physics_words(solution.tensor.physics)}"
        place = _beside(path, "peclet")
        on_root(solution.cell.comm, lambda: draw_peclet(solution.series, place, title=title, theme=theme))
    if own:
        return
    cell, tensor, solved = solution.cell, solution.tensor, solution.correctors
    problem = solved.problem
    functions = fields_of_load(problem, solved.functions[0])
    load = load_words(tensor.kind.name, 0, problem.loads)
    for place, (name, members) in zip(*_places(path, problem), strict=True):
        shown = _fields_of(solution, name, members, functions)
        if shown.vectors is not None and cell.dimension == 3 and tensor.kind != PERMEABILITY:
            _draw_flux(solution, shown, _beside(place, "flux"), f"{load}, flux", theme)
            shown = replace(shown, vectors=None)
        title = f"{cell.name}: {physics_words(tensor.physics)}, {load}{shown.more}"
        if "fields" in tensor.conventions:  # of several problems one is shown
            title += f", {tensor.conventions['fields']}"
        # Where a field is known on both sides of an interface, both are to be seen.
        several = len(members) > 1 or shown.everywhere
        words = {"title": title, "label": shown.label, "theme": theme, "heads": tensor.kind == PERMEABILITY}
        view = view_of(cell, translucent=() if several else None, **words)

        with collective(cell.comm):
            if cell.raw is not None:
                raw: Any = cell.raw
                mesh = cell.length * raw.points, raw.cells, raw.phase_of_cell
                drawn = made_drawable(*mesh, shown.values, vectors=shown.vectors, displacement=shown.displacement)
                draw_fields(drawn if shown.values is not None else drawn.sized(), place, phases=raw.phases, view=view)


def _draw_flux(solution: Any, shown: _Shown, path: str, load: str, theme: str) -> None:
    """Draw lines along the flux in space, coloured by its size, and the phases that it runs through; collective."""
    cell, tensor = solution.cell, solution.tensor
    words = {
        "title": f"{cell.name}: {physics_words(tensor.physics)}, {load}",
        "label": with_unit("flux for a gradient of 1", tensor.unit),
        "theme": theme,
    }
    view = view_of(cell, translucent=list(cell.phases), lines=30, **words)
    with collective(cell.comm):
        if cell.raw is not None:
            raw: Any = cell.raw
            mesh = cell.length * raw.points, raw.cells, raw.phase_of_cell
            draw_fields(made_drawable(*mesh, vectors=shown.vectors), path, phases=raw.phases, view=view)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Shown:
    """What is drawn of a field, on rank 0 (None elsewhere), with its words."""

    label: str
    values: Array | None = None
    vectors: Array | None = None
    displacement: Array | None = None
    more: str = ""
    everywhere: bool = True


def _fields_of(solution: Any, name: str, members: Members, functions: Sequence[fem.Function]) -> _Shown:
    """What is drawn of one field of the first load; collective."""
    cell, tensor, problem = solution.cell, solution.tensor, solution.correctors.problem
    unit = cell.length_unit
    known = at_second_order(cell, problem, members, functions)
    if tensor.kind == PERMEABILITY:
        power = 2 if name == "velocity" else 1
        scaled = None if known is None else cell.length**power * known
        label = f"{'speed' if name == 'velocity' else name} for a unit force"
        if name != "velocity" or scaled is None:
            return _Shown(values=scaled, label=with_unit(label, _power(unit, power)))
        return _Shown(vectors=scaled, label=with_unit(label, _power(unit, power)))
    first = np.eye(problem.loads)[0]
    driven = problem.affine is not None and problem.flux is not None and len(shown_fields(problem)) == 1
    flux = on_cells(cell, flux_of_load(problem, functions, first), problem.domain, 1) if driven else None
    vector = problem.fields[members[0]].components > 1
    if not vector:
        values = None if known is None else cell.length * known
        lines = flux if flux is not None and flux.shape[-1] == cell.dimension else None
        return _Shown(values=values, vectors=lines, label=with_unit("corrector", unit))
    if not driven or not tensor.kind.voigt:
        values = None if known is None else cell.length * np.linalg.norm(known, axis=-1)
        return _Shown(values=values, label=with_unit("size of the corrector", unit))
    entry = strain_name(0, 3 if cell.dimension == 2 else 6)
    label = with_unit(f"stress {entry} for the strain {entry} = 1", tensor.unit)
    if known is None or flux is None or cell.raw is None:
        return _Shown(values=None, label=label)
    total = known + node_places(cell.raw, known.shape[1]) @ gradient_of(problem, first, cell.dimension)
    reach = float(np.abs(total).max())
    factor = nice_number(DISPLACED * float(np.ptp(cell.raw.points, axis=0).max()) / reach) if reach > 0.0 else 0.0
    outline = "dashed" if cell.dimension == 2 else "frame"
    more = f"(drawn for a strain of {factor:g}; {outline}: at rest)" if factor else ""
    return _Shown(values=flux[..., 0], displacement=factor * cell.length * total, label=label, more=f"\n{more}")


def _power(unit: str, power: int) -> str:
    return unit if power == 1 or not unit else f"{unit}^{power}"


def at_second_order(
    cell: UnitCell, problem: CellProblem, members: Members, functions: Sequence[fem.Function]
) -> Array | None:
    """Return one field on each mesh cell, on rank 0 (None elsewhere); collective.

    At the nodes of second order of simplices where the elements have a degree above one, (m, 6 or 10, ...), else at the
    corners. Parameters as :func:`homfem.output.solved.whole_function` takes them.
    """
    whole = whole_function(cell, problem, members, functions)
    degree = problem.fields[members[0]].element.degree
    simplex = is_simplex(str(cell.mesh.basix_cell().name))
    return on_cells(cell, whole, problem.domain, 2 if degree > 1 and simplex else 1)


def write_solution(solution: Any, path: str) -> None:
    """Write the fields of all loads to XDMF or VTX files; collective.

    The first field goes into ``NAME.xdmf`` (``.bp``), a further one, such as a pressure, into
    ``NAME_pressure.xdmf``. A field that jumps across membranes is discontinuous in the file. XDMF has the phases as
    cell data ``region`` with their names, and units: a length of 1 in the file is one of ``"40 um"``, say. What a
    transport problem has beside its correctors, such as the velocity, goes into files of its own.
    """
    cell, solved = solution.cell, solution.correctors
    for place, (name, members) in zip(*_places(path, solved.problem), strict=True):
        functions = [fields_of_load(solved.problem, function) for function in solved.functions]
        shown = [whole_function(cell, solved.problem, members, fields) for fields in functions]
        power = 2 if solution.tensor.kind == PERMEABILITY and name == "velocity" else 1
        units = Units(length=_unit_of(cell, 1), fields={function.name: _unit_of(cell, power) for function in shown})
        write_unfolded(place, cell.periodic_mesh, shown, units=units, domain=_phases_of(cell))
    for name, function in functions_beside(solution).items():
        units = Units(length=_unit_of(cell, 1), fields={function.name: ""})
        write_unfolded(_beside(path, name), cell.periodic_mesh, [function], units=units, domain=_phases_of(cell))


def _unit_of(cell: UnitCell, power: int) -> str:
    """Return the unit of a power of a length in the mesh of a cell."""
    factor = "" if cell.length == 1.0 else f"{cell.length**power:.12g} "
    return factor + _power(cell.length_unit, power) if cell.length_unit else factor.strip()


def _phases_of(cell: UnitCell) -> Domain:
    """Return the mesh of a cell as it lies in space, with its phases as regions."""
    mesh, tags = cell.periodic_mesh.plain, np.zeros(len(cell.phase_of_cell), dtype=np.int32)
    tags[cell.periodic_mesh.plain_cell] = cell.phase_of_cell
    cells = np.arange(len(tags), dtype=np.int32)
    marked = meshtags(mesh, mesh.topology.dim, cells, tags)
    return Domain(mesh=mesh, unit=cell.length_unit or "m", cell_tags=marked, regions=dict(cell.phases))


def _places(path: str, problem: CellProblem) -> tuple[list[str], list[tuple[str, Members]]]:
    """The file of each field, and the fields."""
    shown = list(shown_fields(problem).items())
    return [path, *(_beside(path, name) for name, _ in shown[1:])], shown


def _beside(path: str, name: str) -> str:
    """The file of a further picture or field."""
    place = Path(path)
    return str(place.with_name(f"{place.stem}_{name}{place.suffix}"))
