r"""What straight facets on curved walls may change in a permeability: an estimate.

When the walls move by V along their normal n, out of the fluid, the permeability changes by

.. math:: \delta K_{ij}=\frac1{|Y|}\int_\Gamma V\,\partial_nu_i\cdot\partial_nu_j .

It is positive semidefinite: wider pores let more through. The integral is taken as in :mod:`homfem.certify.geometry`;
the second order weighs twice as much: a wave of amplitude a and length :math:`\ell` on a wall without slip acts as one
that is moved by :math:`2\pi a^2/\ell`.

Source: the shape derivative of the dissipation, e.g. Mohammadi, Pironneau 2009, Applied Shape Optimization for Fluids,
doi 10.1093/acprof:oso/9780199546909.001.0001.
"""

from __future__ import annotations

import numpy as np
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.geometry import curved_facets
from homfem.local.boundary import alike
from homfem.local.membranes import facet_areas
from homfem.local.problem import Correctors

#: Weight of the second order: :math:`2\pi/.64^2`, rounded up.
WAVES = 16.0


def wall_error(cell: UnitCell, correctors: Correctors) -> float:
    """Return the estimate in squared mesh units: a largest change over all directions; collective.

    Parameters
    ----------
    cell
        The cell that was solved, restricted to its fluid, with straight facets and without slip.
    correctors
        Velocities and pressures on ``cell.mesh``.

    Notes
    -----
    Of a mesh cell with several facets on curved walls the mean V of these is taken.
    """
    mesh, d = cell.mesh, cell.dimension
    facets, volumes, owner, other = curved_facets(cell)
    walls = owner == other
    facets, volumes, owner = facets[walls], volumes[walls], owner[walls]
    if not cell.comm.allreduce(len(facets), op=MPI.SUM):
        return 0.0
    move = fem.Function(solve.function_space(mesh, "DG", 0))
    areas, count = facet_areas(cell, facets), len(move.x.array)
    area = np.bincount(owner, weights=areas, minlength=count)
    total = volumes.sum(axis=1)
    weights = (volumes[:, 0] - volumes[:, 1], total, total**2 / areas / areas ** (1.0 / (d - 1)))
    facets = np.sort(facets)
    tags = dmesh.meshtags(mesh, d - 1, facets, np.ones(len(facets), dtype=np.int32))
    u, v = fem.Function(correctors.spaces[0]), fem.Function(correctors.spaces[0])

    def change() -> ufl.Form:
        ds, n = ufl.Measure("ds", domain=mesh, subdomain_data=tags, subdomain_id=1), ufl.FacetNormal(mesh)
        return move * ufl.inner(ufl.dot(ufl.grad(u), n), ufl.dot(ufl.grad(v), n)) * ds

    terminals = solve.Terminals(mesh=mesh, functions=[move, u, v], tags=[tags])
    value = solve.integral(solve.compile_formula(("flow", "wall error"), change, terminals))
    loads, together = len(correctors.functions), alike(cell, correctors.problem)
    sums = np.zeros((len(weights), loads, loads))
    for number, weight in enumerate(weights):
        move.x.array[:] = np.bincount(owner, weights=weight, minlength=count) / np.where(area > 0.0, area, 1.0)
        for i, j in zip(*np.nonzero(np.triu(together)), strict=True):
            u.x.array[:] = correctors.functions[i][0].x.array
            v.x.array[:] = correctors.functions[j][0].x.array
            sums[number, i, j] = sums[number, j, i] = value()
    first, every, second = np.linalg.norm(sums, 2, axis=(1, 2))
    return float((first + min(every, WAVES * second)) * cell.copies / cell.lattice.volume)
