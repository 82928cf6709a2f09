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

Both bounds are for the fluid as it is meshed, with straight facets; what these may change is estimated beside them
(:mod:`homfem.certify.geometry_stokes`). Taylor and Hood's element, the default, gives no bound and is far more accurate
than the upper one. What the mesh leaves in its value is estimated, **without guarantee**, by the distance from the
value of one degree less. The error was 0.03 of the estimate in a square duct, and 0.4 to 1.0 around squares, where the
corners take the higher degree its advantage.

Where the gap is, or where the two degrees differ, the mesh is refined: :mod:`homfem.certify.stokes_gap`.

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
import scipy.linalg
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells.refine import split_at_barycentres
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import refine_carriers
from homfem.certify.geometry_stokes import wall_error
from homfem.certify.loop import MeshSolution, add_seconds, solve_adaptively
from homfem.certify.stokes_gap import flow_changes, flow_gaps
from homfem.local.engine import solve_correctors
from homfem.local.problem import Correctors
from homfem.local.stokes import check_element, stokes_problem
from homfem.parameters import Array, ConvergenceError, InputError, check_choice, check_integer, check_number
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
    history
        For each mesh of the adaptive loop: mesh cells, dofs of the larger system, relative half-gap or estimated error,
        seconds.
    """

    tensor: EffectiveTensor
    cell: UnitCell
    correctors: Correctors
    upper: Correctors | None
    history: tuple[Mapping[str, float], ...] = ()


def homogenize_stokes(cell: UnitCell, fluid: str | Sequence[str] = "pore", **options: Any) -> EffectiveTensor:
    """Return the permeability of a cell; see :func:`solve_stokes`."""
    return solve_stokes(cell, fluid, **options).tensor


def solve_stokes(
    cell: UnitCell,
    fluid: str | Sequence[str] = "pore",
    *,
    tolerance: float | None = None,
    max_dofs: int | None = None,
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
    tolerance
        Reached by refinement of a mesh of straight simplices; without it the cell's mesh is used as it is. With
        ``bounds`` the relative half-gap, which is guaranteed. Without, for ``"taylor-hood"``, an **estimate** of the
        relative error, with no guarantee, ``tensor.estimated_error``: the largest relative distance, over all
        directions, of the value from that of one degree less. The value itself is closer.
    max_dofs
        No mesh is made whose larger linear system has more unknowns; what was reached is returned with
        ``tensor.reached`` false and a warning in the log.
    element
        ``"taylor-hood"`` (default), ``"equal-order"``, ``"crouzeix-raviart"`` or ``"scott-vogelius"`` (the default with
        ``bounds``), see :mod:`homfem.local.stokes`.
    degree
        Of the velocity; by default the lowest: 2, 1, 1, and the dimension. For an estimate 3 or 4, by default 3.
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
    estimated = tolerance is not None and not bounds
    if estimated and element == "taylor-hood":
        degree = 3 if degree is None else check_integer("degree", degree, at_least=3, at_most=4)
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
    if tolerance is not None:
        _check_tolerance(cell, tolerance, element, bounds)
    if max_dofs is not None:
        check_integer("max_dofs", max_dofs, at_least=1)
    stages: dict[str, float] = dict(cell.seconds)
    cell.require_whole()
    active = cell.restrict(names)
    active.require_percolation()
    active = active.without_islands()
    if len(active.whole.span(cell.lattice)) < cell.dimension:
        log.warning("%s: %s; no flow in the other directions", cell.name, active.whole.describe())
    add_seconds(stages, {"restrict": time.perf_counter() - start})
    slip = None if slip_length is None else slip_length / cell.length
    options = {"rtol": rtol, "max_iterations": max_iterations}
    solved = active

    def solve_mesh(part: UnitCell) -> MeshSolution:
        nonlocal solved
        solved, other = part, None
        if bounds:
            other = _solve(part, "crouzeix-raviart", 1, None, preconditioner, options)
        if estimated:
            other = _solve(part, element, degree - 1, slip, preconditioner, options)
        if element == "scott-vogelius":
            lap = time.perf_counter()
            solved = _split(part)
            add_seconds(stages, {"split": time.perf_counter() - lap})
        flow = _solve(solved, element, degree, slip, preconditioner, options)

        def refine(dofs: int) -> UnitCell | None:
            if other is None:
                return None
            where = flow_gaps(part, other, solved, flow) if bounds else flow_changes(part, flow, other)
            return refine_carriers(part, where, max_dofs, dofs)

        return MeshSolution(
            tensor=_tensor(cell, part, solved, element, flow, other, bounds),
            upper=flow,
            lower=other,
            refine=refine,
            geometric_error=lambda: 0.0 if cell.order > 1 else cell.length**2 * wall_error(solved, flow),
        )

    found = solve_adaptively(
        cell, active, solve_mesh, tolerance=tolerance, max_dofs=max_dofs, sampled=False, stages=stages, start=start
    )
    tensor = replace(
        found.tensor,
        unit=f"{cell.length_unit}^2",
        active_phases=tuple(names),
        config=dict(config or {}),
    )
    upper = found.lower if bounds else None
    assert upper is None or isinstance(upper, Correctors)
    return StokesSolution(tensor=tensor, cell=solved, correctors=found.upper, upper=upper, history=found.history)


def _check_tolerance(cell: UnitCell, tolerance: float, element: str, bounds: bool) -> None:
    check_number("tolerance", tolerance, above=0.0, below=1.0)
    if not bounds and element != "taylor-hood":
        remedy = "Take bounds=True, or 'taylor-hood' for an estimate."
        raise InputError("tolerance", tolerance, f"None with element={element!r}", remedy)
    if not cell.simplicial or cell.order != 1:
        remedy = "Such a mesh is not refined: choose the resolution instead."
        raise InputError("tolerance", tolerance, f"None on {cell.kind}s of order {cell.order}", remedy)


def _tensor(
    cell: UnitCell,
    part: UnitCell,
    solved: UnitCell,
    element: str,
    flow: Correctors,
    other: Correctors | None,
    bounds: bool,
) -> EffectiveTensor:
    """Value, bounds and estimate of what was solved on the mesh of ``part``."""
    span = part.whole.span(cell.lattice)
    value, low, high, estimate = flow.average, None, None, None
    if element == "scott-vogelius":
        value = low = value - _lower_allowance(solved, flow) * np.eye(cell.dimension)
    if element == "crouzeix-raviart":
        value = high = _upper_bound(solved, flow)
    if bounds and other is not None:
        high = _upper_bound(part, other)
    elif other is not None:
        inside = [span @ matrix @ span.T for matrix in (other.average - value, value)]
        estimate = float(np.max(np.abs(scipy.linalg.eigh(*inside, eigvals_only=True))))
    return EffectiveTensor(
        value=_confined(value, span, cell.length),
        lower=None if low is None else _confined(low, span, cell.length),
        upper=None if high is None else _confined(high, span, cell.length),
        physics="stokes",
        estimated_error=estimate,
    )


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
