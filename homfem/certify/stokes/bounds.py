r"""Guaranteed bounds of a permeability, from the flow of two elements.

**Lower bound.** :math:`\xi\cdot K\xi=\max_v\frac1{|Y|}\int_{Y_f}2\,v\cdot\xi-|\nabla v|^2` over periodic velocities
without divergence that vanish on the walls. Those of Scott and Vogelius are such velocities where the linear system is
solved exactly. Where the solver leaves the residual :math:`\rho` and a divergence, a velocity w of the same space with
that divergence is constructed (:mod:`homfem.certify.stokes.lift`), and :math:`v=u-w` has none. With the averaged
expression A of :mod:`homfem.local.stokes`

.. math:: \int 2\,v\cdot\xi-|\nabla v|^2 = |Y|A - 2\rho(w) - \|\nabla w\|^2 ,

so that :math:`\|\nabla w\|^2+2\,\|\rho\|_1\max|w|` is subtracted.

**Upper bound.** Let :math:`\sigma` be continuous across facets in its normal component, with
:math:`-\nabla\cdot\sigma=\xi` in the fluid. As the true velocity has no divergence,

.. math:: |Y|\,\xi\cdot K\xi = \int u\cdot\xi = \int\nabla u:\sigma = \int\nabla u:\mathrm{dev}\,\sigma
          \quad\Longrightarrow\quad \xi\cdot K\xi\le\frac1{|Y|}\int|\mathrm{dev}\,\sigma|^2 .

The Crouzeix-Raviart solution gives
:math:`\sigma=\nabla_hu_h-\bigl(p_h+\xi\cdot(x-x_K)\bigr)I` in the element with the barycentre :math:`x_K`: its jump
across a facet is constant on the facet, and the discrete problem, with the force tested as in
:mod:`homfem.local.stokes`, says that this constant vanishes. Its deviator is :math:`\nabla_hu_h`, so that the energy of
the discrete velocity is the bound. A residual :math:`\rho` of the solver is a jump, and the means of :math:`u` over the
facets are at most :math:`\sqrt W\,\|\nabla u\|` with :math:`W=\sum_K(h_K/d)^2/|K|` (along a path from a wall, as in
:mod:`homfem.certify.diffusion`), so that

.. math:: \sqrt{|Y|\,\xi\cdot K\xi}\le\|\mathrm{dev}\,\sigma\| + \sqrt W\sum_j|\xi_j|\|\rho_j\|_1 .

Between mirror planes all of this holds with the integrals over the part, times the number of its copies.

Source: Ladyzhenskaya 1969 (variational principles); Crouzeix, Raviart 1973, doi 10.1051/m2an/197307R300331; Linke 2014,
doi 10.1016/j.cma.2013.10.011; Scott, Vogelius 1985, doi 10.1051/m2an/1985190101111.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.stokes.lift import lift
from homfem.local.boundary import alike
from homfem.local.problem import Correctors
from homfem.meshing.arrays.refinement import split_at_barycentres
from homfem.parameters import Array
from homfem.ranks import collective


def split(cell: UnitCell) -> UnitCell:
    """Return the cell with its simplices split at their barycentres; collective."""
    raw = None
    with collective(cell.comm):
        if cell.raw is not None:
            raw = split_at_barycentres(cell.raw)
    return cell.with_mesh(raw)


def lower_allowance(cell: UnitCell, split: UnitCell, correctors: Correctors, axes: Sequence[int]) -> float:
    """Return what the solver left may have added to the lower bound, in mesh units squared; collective.

    Parameters
    ----------
    cell, split
        The cell, and the same split at the barycentres.
    correctors, axes
        The flows on ``split``, and the axes of their unit forces.
    """
    left = lift(cell, split, correctors, axes)
    # Of any unit combination of the loads: each factor is at most the root of their squares.
    energy, largest, residual = (
        float(np.linalg.norm(x)) for x in (left.energy, left.largest, correctors.residual_norms)
    )
    return (energy**2 + 2.0 * residual * largest) * cell.copies / cell.lattice.volume


def upper_bound(cell: UnitCell, correctors: Correctors) -> Array:
    """Return :func:`broken_energy` with what the residual may have taken off; collective."""
    energy = broken_energy(cell, correctors)
    return energy + upper_allowance(cell, correctors, energy)


def broken_energy(cell: UnitCell, correctors: Correctors) -> Array:
    """Return the energy of the deviator of the broken gradient, shape (loads, loads); collective."""
    share_of_part = cell.copies / cell.lattice.volume
    loads, together = len(correctors.functions), alike(cell, correctors.problem)
    u, v = fem.Function(correctors.spaces[0]), fem.Function(correctors.spaces[0])
    terminals = solve.Terminals(mesh=cell.mesh, functions=[u, v])
    form = solve.compile_formula(
        ("flow", "broken energy"), lambda: ufl.inner(ufl.dev(ufl.grad(u)), ufl.grad(v)) * ufl.dx, terminals
    )
    value = solve.integral(form)
    energy = np.zeros((loads, loads))
    for i in range(loads):
        u.x.array[:] = correctors.functions[i][0].x.array
        for j in range(i, loads):
            if together[i, j]:
                v.x.array[:] = correctors.functions[j][0].x.array
                energy[i, j] = energy[j, i] = value() * share_of_part
    return energy


def path_weight(cell: UnitCell) -> float:
    r"""Return :math:`W=\sum_K(h_K/d)^2/|K|` of straight simplices; collective.

    Means of u over two facets differ by no more than :math:`\sqrt W\,\|\nabla u\|`.
    """
    d = cell.dimension
    owned = cell.mesh.topology.index_map(d).size_local
    nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:owned]][:, :, :d]
    first, second = np.triu_indices(d + 1, 1)
    diameter = np.linalg.norm(nodes[:, first] - nodes[:, second], axis=2).max(axis=1, initial=0.0)
    measure = np.abs(np.linalg.det(nodes[:, 1:] - nodes[:, :1])) / (2.0 if d == 2 else 6.0)
    return float(cell.comm.allreduce(float(np.sum((diameter / d) ** 2 / measure)), op=MPI.SUM))


def upper_allowance(cell: UnitCell, correctors: Correctors, energy: Array, viscosity: float = 1.0) -> Array:
    """Return what the residual may have taken off :func:`broken_energy`, shape (loads, loads); collective."""
    share_of_part = cell.copies / cell.lattice.volume / viscosity
    jumps = path_weight(cell) * float(np.sum(correctors.residual_norms**2)) * share_of_part
    # (a + b)^2 <= (1 + e) a^2 + (1 + 1/e) b^2
    size = float(np.trace(energy))
    share = np.sqrt(jumps / size) if size > 0.0 else 0.0
    extra = (1.0 + 1.0 / share) * jumps if share > 0.0 else jumps
    return np.asarray(share * energy + extra * np.eye(len(energy)))
