"""Mesh cells of diffuse layers that are too thick for them, bisected."""

from __future__ import annotations

import logging

import numpy as np
from mpi4py import MPI

from homfem import periodic
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import on_root
from homfem.local.charges import LARGEST, Charges, facets_of_wall
from homfem.local.membranes import facet_areas
from homfem.local.poisson_boltzmann import solve_poisson_boltzmann
from homfem.meshing.arrays.refinement import bisect_cells
from homfem.parameters import InputError
from homfem.ranks import collective

log = logging.getLogger("homfem")

#: Most mesh cells that layers may be refined to, by dimension.
MOST = {2: 20_000, 3: 60_000}


#: The mesh cells along a wall are at least as long as so many times what the layer allows for their thickness.
LONG = 3.0


def resolved(cell: UnitCell, charges: Charges, degree: int) -> UnitCell:
    """Return the cell with mesh cells of its diffuse layers that are no thicker than they; collective.

    Bisected are those over which the energy of an ion changes and that are thicker than the length of Debye at the
    concentrations there times the degree (:class:`homfem.local.poisson_boltzmann.Equilibrium`); until there are none,
    or too many mesh cells.

    Raises
    ------
    InputError
        For a mesh that cannot be bisected, and for layers so thin that their walls alone would take too many mesh cells
        (:func:`cells_along_walls`).
    """
    if not cell.simplicial or cell.order != 1:
        remedy = "Give a resolution (or a grading at the walls) that is fine enough."
        raise InputError("refine_layers", True, f"False on {cell.kind}s of order {cell.order}", remedy)
    thickness, number = cells_along_walls(cell, charges, degree)
    if number > MOST[cell.dimension]:
        thick = f"{thickness * cell.length:.1e} {cell.length_unit}".strip()
        allowed = (
            f"False: where a wall is charged so much the layer is {thick} thick, and some "
            f"{number:.0e} mesh cells would lie along it, more than {MOST[cell.dimension]}"
        )
        remedy = "Give the potential where the diffuse layer begins, or refine_layers = False and a resolution."
        raise InputError("refine_layers", True, allowed, remedy)
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


def cells_along_walls(cell: UnitCell, charges: Charges, degree: int) -> tuple[float, float]:
    r"""Return the thinnest layer at a wall, in mesh units, and how many mesh cells the walls take; collective.

    The layer is as thick as the length of Debye at the concentrations of the wall,
    :math:`b^2=\varepsilon/\sum_iz_i^2c_{ib}e^{-z_i\zeta}`. Where a wall has a charge :math:`\sigma_s`, Grahame's
    equation :math:`\sigma_s^2=2\varepsilon\sum_ic_{ib}(e^{-z_i\zeta}-1)` of a flat wall gives :math:`\zeta`.
    The facets of an area A are at least :math:`A/(3kb)^{d-1}` for the degree k.

    Source: Grahame 1947, doi 10.1021/cr60130a002.
    """
    thinnest, number = np.inf, 0.0
    permittivity = min(charges.permittivities[name] for name in charges.fluid)
    walls = [(name, value) for name, value in charges.potentials.items()]
    walls += [(name, _potential(value, charges, permittivity)) for name, value in charges.charges.items()]
    for name, zeta in walls:
        strength = sum(z * z * c * np.exp(-z * zeta) for z, c in zip(charges.valences, charges.baths, strict=True))
        thickness = float(np.sqrt(permittivity / strength)) if zeta else np.inf
        facets = facets_of_wall(cell, charges.fluid, name)
        area = cell.comm.allreduce(float(facet_areas(cell, facets).sum()), op=MPI.SUM)
        number += area / (LONG * degree * thickness) ** (cell.dimension - 1)
        thinnest = min(thinnest, thickness)
    return thinnest, number


def _potential(charge: float, charges: Charges, permittivity: float) -> float:
    """The potential of a flat wall with a charge, in kT/e, by Grahame's equation."""
    if not charge:
        return 0.0
    side = float(np.sign(charge))

    def missing(size: float) -> float:
        held = sum(c * np.expm1(-z * side * size) for z, c in zip(charges.valences, charges.baths, strict=True))
        return float(2.0 * permittivity * held - charge**2)

    largest = LARGEST / max(map(abs, charges.valences))
    from scipy.optimize import brentq

    return side * (largest if missing(largest) < 0.0 else float(brentq(missing, 0.0, largest)))
