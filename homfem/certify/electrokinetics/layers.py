"""Mesh cells of diffuse layers that are too thick for them, bisected."""

from __future__ import annotations

import logging

from homfem import periodic
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import on_root
from homfem.local.charges import Charges
from homfem.local.poisson_boltzmann import solve_poisson_boltzmann
from homfem.meshing.arrays.refinement import bisect_cells
from homfem.parameters import InputError
from homfem.ranks import collective

log = logging.getLogger("homfem")

#: Most mesh cells that layers may be refined to, by dimension.
MOST = {2: 20_000, 3: 60_000}


def resolved(cell: UnitCell, charges: Charges, degree: int) -> UnitCell:
    """Return the cell with mesh cells of its diffuse layers that are no thicker than they; collective.

    Bisected are those over which the energy of an ion changes and that are thicker than the length of Debye at the
    concentrations there times the degree (:class:`homfem.local.poisson_boltzmann.Equilibrium`); until there are none,
    or too many mesh cells.

    Raises
    ------
    InputError
        For a mesh that cannot be bisected.
    """
    if not cell.simplicial or cell.order != 1:
        remedy = "Give a resolution (or a grading at the walls) that is fine enough."
        raise InputError("refine_layers", True, f"False on {cell.kind}s of order {cell.order}", remedy)
    while True:
        found = solve_poisson_boltzmann(cell, charges, degree=degree)
        if found.resolution <= 1.0:
            return cell
        flags, raw = on_root(cell, found.coarse_cells.astype(float)) > 0.5, None
        with collective(cell.comm):
            if cell.raw is not None:
                representative, _ = periodic.identify_nodes(cell.raw.points, cell.raw.lattice, partial=True)
                raw = bisect_cells(cell.raw, representative, flags)
        count = cell.comm.bcast(None if raw is None else len(raw.cells), root=0)
        if count > MOST[cell.dimension]:
            log.warning("%s: the layers would take %d mesh cells: they stay as coarse as they are", cell.name, count)
            return cell
        log.info("%s: mesh cells of layers bisected, %d mesh cells", cell.name, count)
        cell = cell.with_mesh(raw)
