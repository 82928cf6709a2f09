r"""The permeability of a cell, with guaranteed bounds on request.

:math:`\xi\cdot K\xi` is the flux that the unit force :math:`\xi` drives through the cell, and the power that it takes.

**Lower bound.** :math:`\xi\cdot K\xi=\max_v\frac1{|Y|}\int_{Y_f}2\,v\cdot\xi-|\nabla v|^2` over periodic velocities
without divergence that vanish on the walls. Those of Scott and Vogelius are such velocities, to the last digit where
the linear system is solved exactly. What the solver leaves enters the averaged expression of
:mod:`homfem.local.stokes` with its square, as :math:`(\|\nabla\cdot u\|/\beta)^2` and
:math:`\|\rho\|_1\|\nabla\cdot u\|/\beta` with the inf-sup constant :math:`\beta`; that much is subtracted with
:math:`\beta=10^{-3}`, the only number here that is not proved.

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

Both bounds are for the fluid as it is meshed, with straight facets. Taylor and Hood's element, the default, gives no
bound and is far more accurate than the upper one.

Source: Ladyzhenskaya 1969 (variational principles); Crouzeix, Raviart 1973, doi 10.1051/m2an/197307R300331; Linke 2014,
doi 10.1016/j.cma.2013.10.011; Scott, Vogelius 1985, doi 10.1051/m2an/1985190101111.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells.refine import split_at_barycentres
from homfem.cells.unitcell import UnitCell
from homfem.certify.loop import add_seconds, measured
from homfem.local.engine import Correctors, solve_correctors
from homfem.local.stokes import check_element, stokes_problem
from homfem.parameters import Array, ConvergenceError, InputError, check_choice, check_number
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

PRECONDITIONERS = ("multigrid", "direct")
#: Largest number of mesh cells for which the direct solver is the default, by dimension.
DIRECT = {2: 50_000, 3: 1_500}
#: Assumed of the inf-sup constant where the residual of the lower bound is accounted for.
INF_SUP = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StokesSolution:
    """A permeability together with the flow that it was averaged from.

    Parameters
    ----------
    tensor
        The result.
    cell
        The cell that was solved, restricted to its fluid; split at the barycentres for ``"scott-vogelius"``.
    correctors
        ``correctors.functions[j]`` is the pair of velocity and pressure that the unit force along axis j drives, in
        mesh units and for the viscosity 1: a velocity in physical units is ``cell.length**2`` times it.
    upper
        Those of the upper bound (Crouzeix-Raviart), or None.
    """

    tensor: EffectiveTensor
    cell: UnitCell
    correctors: Correctors
    upper: Correctors | None


def homogenize_stokes(cell: UnitCell, fluid: str | Sequence[str] = "pore", **options: Any) -> EffectiveTensor:
    """Return the permeability of a cell; see :func:`solve_stokes`."""
    return solve_stokes(cell, fluid, **options).tensor


def solve_stokes(
    cell: UnitCell,
    fluid: str | Sequence[str] = "pore",
    *,
    element: str | None = None,
    degree: int | None = None,
    bounds: bool = False,
    slip_length: float | None = None,
    rtol: float = 1e-8,
    max_iterations: int = 2000,
    preconditioner: str | None = None,
    boundary: str = "periodic",
    backend: str = "identified",
    config: Mapping[str, Any] | None = None,
) -> StokesSolution:
    r"""Solve the Stokes cell problem of the fluid phases and average its permeability; collective.

    .. math:: K_{ij} = \frac1{|Y|}\int_{Y_f} u_j\cdot e_i ,\qquad -\Delta u_j+\nabla p_j=e_j ,\quad \nabla\cdot u_j=0 .

    Parameters
    ----------
    cell
        The unit cell.
    fluid
        The phase that flows, or several that flow as one. The others are solid.
    element
        ``"taylor-hood"`` (default), ``"equal-order"``, ``"crouzeix-raviart"`` or ``"scott-vogelius"`` (the default with
        ``bounds``), see :mod:`homfem.local.stokes`.
    degree
        Of the velocity; by default the lowest: 2, 1, 1, and the dimension.
    bounds
        Both bounds: Scott and Vogelius's element for the value, which is the lower one, and Crouzeix and Raviart's for
        the upper one. Dear in 3D. Without, ``tensor.lower`` is set for ``"scott-vogelius"``, ``tensor.upper`` for
        ``"crouzeix-raviart"``, and there is no guarantee for the others.
    slip_length
        Navier's slip length of the walls, > 0, in ``cell.length_unit``; by default the fluid sticks. Curved walls then
        need second-order geometry.
    rtol
        Relative residual of the linear solves, whose square enters the permeability.
    max_iterations
        Of MINRES, for each load.
    preconditioner
        ``"multigrid"`` or ``"direct"``; by default direct in 2D and for small cells in 3D.
    boundary, backend
        ``"periodic"`` and ``"identified"``, nothing else.
    config
        The input that led here, kept in the result.

    Returns
    -------
    StokesSolution
        ``tensor.value`` is the permeability for the whole cell's volume, in ``cell.length_unit`` squared; exactly zero
        along axes that the fluid does not percolate.

    Raises
    ------
    InputError
        For an unknown phase, a fluid without walls, an option out of range.
    PercolationError
        If the fluid reaches from cell to cell in no direction.
    ConvergenceError
        If a linear solve did not converge.
    """
    start = time.perf_counter()
    check_choice("boundary", boundary, ("periodic",))
    check_choice("backend", backend, ("identified",))
    check_number("rtol", rtol, above=0.0, at_most=1e-4)
    if preconditioner is not None:
        check_choice("preconditioner", preconditioner, PRECONDITIONERS)
    names = _fluid_phases(cell, fluid)
    if element is None:
        element = "scott-vogelius" if bounds else "taylor-hood"
    degree = check_element(cell, element, degree, slip_length)
    if bounds and element != "scott-vogelius":
        raise InputError("bounds", bounds, f"False with element={element!r}", "'scott-vogelius' is the lower bound.")
    if not cell.periodic_mesh.matching:
        remedy = "Mesh the faces alike: no pair of velocity and pressure is known to be stable across others."
        raise InputError("cell", cell.name, "one whose opposite faces match", remedy)
    if slip_length is not None and cell.order == 1 and cell.comm.allreduce(len(cell.slivers[0])):
        raise InputError(
            "slip_length", slip_length, "None on straight facets that stand for a curved wall",
            "Their corners hold the fluid. Make the cell with order=2.",
        )  # fmt: skip
    stages: dict[str, float] = dict(cell.seconds)
    cell.require_whole()
    active = cell.restrict(names)
    active.require_percolation()
    active = active.without_islands()
    span = active.whole.span(cell.lattice)
    if len(span) < cell.dimension:
        log.warning("%s: %s; no flow in the other directions", cell.name, active.whole.describe())
    add_seconds(stages, {"restrict": time.perf_counter() - start})
    slip = None if slip_length is None else slip_length / cell.length
    options = {"rtol": rtol, "max_iterations": max_iterations}
    upper = None
    if bounds:
        upper = _solve(active, "crouzeix-raviart", 1, None, preconditioner, options)
    solved = active
    if element == "scott-vogelius":
        lap = time.perf_counter()
        solved = _split(active)
        add_seconds(stages, {"split": time.perf_counter() - lap})
    correctors = _solve(solved, element, degree, slip, preconditioner, options)
    value = correctors.average
    low = high = None
    if element == "scott-vogelius":
        value = low = value - _lower_allowance(solved, correctors) * np.eye(cell.dimension)
    if element == "crouzeix-raviart":
        value = high = _upper_bound(solved, correctors)
    if upper is not None:
        high = _upper_bound(active, upper)
    add_seconds(stages, *(part.seconds for part in (correctors, upper) if part is not None))
    stages["total"] = sum(cell.seconds.values()) + time.perf_counter() - start
    tensor = EffectiveTensor(
        value=_confined(value, span, cell.length),
        lower=None if low is None else _confined(low, span, cell.length),
        upper=None if high is None else _confined(high, span, cell.length),
        unit=f"{cell.length_unit}^2",
        physics="stokes",
        active_phases=tuple(names),
        **measured(cell),
        dofs=max(correctors.dofs, upper.dofs if upper is not None else 0),
        iterations=correctors.iterations + (upper.iterations if upper is not None else 0),
        seconds=stages,
        config=dict(config or {}),
    )
    return StokesSolution(tensor=tensor, cell=solved, correctors=correctors, upper=upper)


def _fluid_phases(cell: UnitCell, fluid: str | Sequence[str]) -> list[str]:
    chosen = [fluid] if isinstance(fluid, str) else list(fluid)
    if not chosen:
        raise InputError("fluid", fluid, f"at least one of {cell.phase_names}")
    for name in chosen:
        check_choice("fluid", name, cell.phase_names)
    names = [name for name in cell.phase_names if name in chosen]
    if sum(cell.volume_fractions[name] for name in names) > 1.0 - 1e-12:
        raise InputError("fluid", fluid, "a part of the cell", "Without walls nothing holds the flow back.")
    return names


def _solve(
    cell: UnitCell,
    element: str,
    degree: int,
    slip: float | None,
    preconditioner: str | None,
    options: Mapping[str, Any],
) -> Correctors:
    problem = stokes_problem(cell, element=element, degree=degree, slip_length=slip)
    if preconditioner is None:
        preconditioner = "direct" if cell.number_of_cells <= DIRECT[cell.dimension] else "multigrid"
    correctors = solve_correctors(cell, problem, preconditioner=preconditioner, **options)
    # The sum of all entries of a load is the volume of the fluid; a direct solver does not look at its residual.
    volume = solve.integrate(fem.Constant(cell.mesh, 1.0) * ufl.dx)
    worst = float(correctors.residual_norms.max()) / volume
    if preconditioner == "direct" and worst > 1e-6:
        raise ConvergenceError(
            f"stokes corrector: the direct solver left a relative residual of {worst:.1e}. "
            "Choose preconditioner='multigrid', or mesh with less stretched elements."
        )
    return correctors


def _split(cell: UnitCell) -> UnitCell:
    """The cell with its simplices split at their barycentres; collective."""
    raw = None
    with solve.collective(cell.comm):
        if cell.raw is not None:
            raw = split_at_barycentres(cell.raw)
    finer = UnitCell.from_raw(
        raw, comm=cell.comm, name=cell.name, length=cell.length, length_unit=cell.length_unit, partial=True
    )
    return replace(finer, volume_fractions=cell.volume_fractions, interface_area=cell.interface_area)


def _lower_allowance(cell: UnitCell, correctors: Correctors) -> float:
    """What the divergence and the residual that the solver left may add to the lower bound, in mesh units squared."""
    velocity = fem.Function(correctors.spaces[0])
    square = solve.integral(ufl.div(velocity) ** 2 * ufl.dx)
    total = 0.0
    for (u, _), residual in zip(correctors.functions, correctors.residual_norms, strict=True):
        velocity.x.array[:] = u.x.array
        lifting = float(np.sqrt(square())) / INF_SUP
        total += lifting**2 + 2.0 * residual * lifting
    return total / cell.lattice.volume


def _upper_bound(cell: UnitCell, correctors: Correctors) -> Array:
    """The energy of the deviator of the broken gradient, with what the residual may take off; collective."""
    d, volume = cell.dimension, cell.lattice.volume
    u, v = fem.Function(correctors.spaces[0]), fem.Function(correctors.spaces[0])
    value = solve.integral(ufl.inner(ufl.dev(ufl.grad(u)), ufl.grad(v)) * ufl.dx)
    energy = np.zeros((d, d))
    for i in range(d):
        u.x.array[:] = correctors.functions[i][0].x.array
        for j in range(i, d):
            v.x.array[:] = correctors.functions[j][0].x.array
            energy[i, j] = energy[j, i] = value() / volume
    owned = cell.mesh.topology.index_map(d).size_local
    nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:owned]][:, :, :d]
    first, second = np.triu_indices(d + 1, 1)
    diameter = np.linalg.norm(nodes[:, first] - nodes[:, second], axis=2).max(axis=1, initial=0.0)
    measure = np.abs(np.linalg.det(nodes[:, 1:] - nodes[:, :1])) / (2.0 if d == 2 else 6.0)
    weight = cell.comm.allreduce(float(np.sum((diameter / d) ** 2 / measure)), op=MPI.SUM)
    jumps = weight * float(np.sum(correctors.residual_norms**2)) / volume
    # (a + b)^2 <= (1 + e) a^2 + (1 + 1/e) b^2
    share = np.sqrt(jumps / np.trace(energy)) if jumps > 0.0 else 0.0
    extra = (1.0 + 1.0 / share) * jumps if share > 0.0 else 0.0
    return np.asarray((1.0 + share) * energy + extra * np.eye(d))


def _confined(matrix: Array, span: Array, length: float) -> Array:
    """The matrix in physical units; exactly zero in the directions that do not percolate."""
    if len(span) < len(matrix):
        project = span.T @ span
        matrix = project @ matrix @ project
        closed = np.linalg.norm(span, axis=0) < 1e-12
        matrix[closed], matrix[:, closed] = 0.0, 0.0
    return np.asarray(0.5 * (matrix + matrix.T) * length**2)
