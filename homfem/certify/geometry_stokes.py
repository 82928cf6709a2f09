r"""What straight facets on curved walls may change in a permeability: an estimate.

When the walls move by V along their normal n, out of the fluid, the permeability changes by

.. math:: \delta K_{ij}=\frac1{|Y|}\int_\Gamma V\,\partial_nu_i\cdot\partial_nu_j .

It is positive semidefinite: wider pores let more through. As in :mod:`homfem.certify.geometry`, the volumes between the
facets and the walls (slivers) stand for the integral of V, and the sum is taken over absolute values: where facets lie
on both sides of the wall, so that the pores have their true volume, the true change is much smaller.

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
    facets, weight, owner, other = curved_facets(cell)
    walls = owner == other
    facets, weight, owner = facets[walls], weight[walls], owner[walls]
    if not cell.comm.allreduce(len(facets), op=MPI.SUM):
        return 0.0
    move = fem.Function(fem.functionspace(mesh, ("DG", 0)))
    count = len(move.x.array)
    area = np.bincount(owner, weights=facet_areas(cell, facets), minlength=count)
    move.x.array[:] = np.bincount(owner, weights=weight, minlength=count) / np.where(area > 0.0, area, 1.0)
    facets = np.sort(facets)
    tags = dmesh.meshtags(mesh, d - 1, facets, np.ones(len(facets), dtype=np.int32))
    ds = ufl.Measure("ds", domain=mesh, subdomain_data=tags, subdomain_id=1)
    n = ufl.FacetNormal(mesh)
    u, v = fem.Function(correctors.spaces[0]), fem.Function(correctors.spaces[0])
    value = solve.integral(move * ufl.inner(ufl.dot(ufl.grad(u), n), ufl.dot(ufl.grad(v), n)) * ds)
    loads, together = len(correctors.functions), alike(cell, correctors.problem)
    total = np.zeros((loads, loads))
    for i in range(loads):
        u.x.array[:] = correctors.functions[i][0].x.array
        for j in range(i, loads):
            if not together[i, j]:
                continue
            v.x.array[:] = correctors.functions[j][0].x.array
            total[i, j] = total[j, i] = value()
    return float(np.linalg.norm(total, 2) * cell.copies / cell.lattice.volume)
