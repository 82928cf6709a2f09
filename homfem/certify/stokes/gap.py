r"""Where the gap between the bounds of a permeability is, and where and how much a higher degree changes the flow.

With the flux :math:`\sigma` of the upper bound and the velocity v of the lower one (:mod:`homfem.certify.stokes`),
:math:`\int v\cdot\xi=\int\nabla v:\mathrm{dev}\,\sigma` as v has no divergence, and the gap is a sum over elements
(Prager and Synge 1947):

.. math:: \xi\cdot(U-L)\xi = \frac1{|Y|}\sum_T\int_T|\mathrm{dev}\,\sigma-\nabla v|^2 .

Source: Prager, Synge 1947, doi 10.1090/qam/25902.
"""

from __future__ import annotations

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import on_root
from homfem.local.boundary import alike
from homfem.local.problem import Correctors
from homfem.meshing.arrays.raw_cell import cell_volumes
from homfem.parameters import Array


def flow_gaps(cell: UnitCell, upper: Correctors, split: UnitCell, lower: Correctors) -> Array:
    r"""Return :math:`\frac1{|Y|}\sum_j\int_T|\mathrm{dev}\,\sigma_j-\nabla v_j|^2` of each cell of ``cell.raw``.

    On rank 0, nothing elsewhere; collective. Their sum is the trace of :math:`U-L` without the allowances.

    Parameters
    ----------
    cell, upper
        The cell and its Crouzeix-Raviart correctors.
    split, lower
        The same cell split at the barycentres (:func:`homfem.meshing.arrays.refinement.split_at_barycentres`), and its
        Scott-Vogelius correctors.
    """
    d = cell.dimension
    above = on_root(cell, _gradients(upper))
    below, energy = on_root(split, _gradients(lower)), on_root(split, _energies(lower, None))
    if cell.raw is None:
        return energy
    above -= np.einsum("mjkk,xy->mjxy", above, np.eye(d)) / d
    below = below.reshape(len(above), d + 1, *above.shape[1:]).sum(axis=1)
    mixed = np.einsum("mjxy,mjxy->m", above, above - 2.0 * below) / cell_volumes(cell.raw)
    return np.asarray((mixed + energy.reshape(-1, d + 1).sum(axis=1)) * cell.copies / cell.lattice.volume)


def flow_changes(cell: UnitCell, one: Correctors, other: Correctors) -> Array:
    r"""Return :math:`\frac1{|Y|}\sum_j\int_T|\nabla(u_j-\tilde u_j)|^2` of each cell of ``cell.raw``.

    On rank 0, nothing elsewhere; collective. Of two pairs of velocities and pressures on one mesh.
    """
    return np.asarray(on_root(cell, _energies(one, other)) * cell.copies / cell.lattice.volume)


def change_energy(cell: UnitCell, one: Correctors, other: Correctors) -> Array:
    r"""Return :math:`\frac1{|Y|}\int\nabla(u_i-\tilde u_i):\nabla(u_j-\tilde u_j)`, shape (loads, loads); collective.

    Of two pairs of velocities and pressures on one mesh; with slip the viscous form of the first.
    """
    problem = one.problem
    u, v = (fem.Function(one.spaces[0]) for _ in range(2))
    lesser, lesser_too = (fem.Function(other.spaces[0]) for _ in range(2))
    none = fem.Constant(problem.domain, 0.0)
    form = problem.compile(
        "change",
        lambda: problem.bilinear((u - lesser, none), (v - lesser_too, none)),
        functions=[u, lesser, v, lesser_too],
        constants=[none],
    )
    value = solve.integral(form)
    together, energy = alike(cell, problem), np.zeros((problem.loads,) * 2)
    for i, j in zip(*np.nonzero(np.triu(together)), strict=True):
        for k, full, less in ((i, u, lesser), (j, v, lesser_too)):
            full.x.array[:], less.x.array[:] = one.functions[k][0].x.array, other.functions[k][0].x.array
        energy[i, j] = energy[j, i] = value()
    return np.asarray(energy * cell.copies / cell.lattice.volume)


def _gradients(correctors: Correctors) -> Array:
    """Integral of each velocity's gradient over each owned mesh cell, shape (cells, loads, d, d)."""
    mesh = correctors.problem.domain
    d = mesh.topology.dim
    velocity = fem.Function(correctors.spaces[0])
    space = solve.function_space(mesh, "DG", 0, (d, d))
    form = solve.compile_formula(
        ("flow", "gradients"),
        lambda: ufl.inner(ufl.grad(velocity), ufl.TestFunction(space)) * ufl.dx,
        solve.Terminals(mesh=mesh, spaces=[space], functions=[velocity]),
    )
    found = []
    for u, _ in correctors.functions:
        velocity.x.array[:] = u.x.array
        vector = solve.assemble_vector(form)
        found.append(vector.array_r.reshape(-1, d, d).copy())
        vector.destroy()
    return np.stack(found, axis=1)


def _energies(one: Correctors, other: Correctors | None) -> Array:
    """Sum over the loads of the energy of the velocity, or of the difference of two, on each owned mesh cell."""
    mesh = one.problem.domain
    first = fem.Function(one.spaces[0])
    second = None if other is None else fem.Function(other.spaces[0])
    space = solve.function_space(mesh, "DG", 0)

    def energy() -> ufl.Form:
        gradient = ufl.grad(first) if second is None else ufl.grad(first) - ufl.grad(second)
        return ufl.inner(gradient, gradient) * ufl.TestFunction(space) * ufl.dx

    functions = [first] if second is None else [first, second]
    terminals = solve.Terminals(mesh=mesh, spaces=[space], functions=functions)
    form = solve.compile_formula(("flow", "energy"), energy, terminals)
    total = np.zeros(mesh.topology.index_map(mesh.topology.dim).size_local)
    for j, (u, _) in enumerate(one.functions):
        first.x.array[:] = u.x.array
        if other is not None and second is not None:
            second.x.array[:] = other.functions[j][0].x.array
        vector = solve.assemble_vector(form)
        total += vector.array_r[: len(total)]
        vector.destroy()
    return total
