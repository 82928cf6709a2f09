"""Several periods of a cell as one: windows for boundary conditions other than periodic, and checks of periodicity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from homfem.cells.unitcell import UnitCell
from homfem.meshing.arrays.budget import require_cells
from homfem.meshing.topology.tiles import tiled_raw
from homfem.parameters import InputError, check_integer


def tiled(cell: UnitCell, counts: int | Sequence[int]) -> UnitCell:
    """Return a cell of several periods, with the same mesh in each; collective.

    Parameters
    ----------
    cell
        The cell.
    counts
        Number of periods along each period vector; one number for all.

    Raises
    ------
    InputError
        If ``counts`` are not whole numbers >= 1, one for each period.
    """
    d = cell.dimension
    several = [counts] * d if isinstance(counts, (int, np.integer)) else list(counts)
    if len(several) != d:
        raise InputError("counts", counts, f"a whole number, or {d} of them")
    numbers = [check_integer(f"counts[{k}]", count, at_least=1) for k, count in enumerate(several)]
    cell.require_whole()
    if max(numbers) == 1:
        return cell
    count = float(np.prod([float(number) for number in numbers]))
    require_cells("counts", counts, cell.kind, cell.number_of_cells * count)
    raw = cell.raw
    part = UnitCell.from_raw(
        lambda: tiled_raw(raw, numbers, partial=cell.partial)[0] if raw is not None else None,
        comm=cell.comm,
        name=f"{cell.name} ({' x '.join(map(str, numbers))} periods)",
        length=cell.length,
        length_unit=cell.length_unit,
        partial=cell.partial,
    )
    return replace(part, volume_fractions=cell.volume_fractions, interface_area=cell.interface_area)
