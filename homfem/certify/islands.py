"""Closed pores: parts of what carries that reach from cell to cell in no direction."""

from __future__ import annotations

import logging
from dataclasses import replace

from homfem.cells.unitcell import UnitCell
from homfem.meshing.arrays.raw_cell import cell_volumes

log = logging.getLogger("homfem")


def without_closed_pores(active: UnitCell) -> UnitCell:
    """Return the part of a cell that reaches on; how much is left out is among its warnings. Collective.

    For what is given per volume of the phases that carry, of which closed pores are no part then.
    """
    part = active.without_islands()
    if part is active:
        return active
    whole, reached = active.raw, part.raw  # the arrays are on rank 0
    lost = 0.0
    if whole is not None and reached is not None:
        lost = float(cell_volumes(whole).sum() - cell_volumes(reached).sum()) / whole.lattice.volume
    lost = active.comm.bcast(lost)
    names = " and ".join(active.phase_names)
    warning = f"closed pores of {names}, {lost:.3g} of the volume, carry nothing and are left out"
    log.warning("%s: %s", active.name, warning)
    return replace(part, warnings=(*part.warnings, warning))
