r"""The permeability of a cell, with guaranteed bounds on request.

:math:`\xi\cdot K\xi` is the flux that the unit force :math:`\xi` drives through the cell, and the power that it takes.

Scott and Vogelius's element gives a lower bound, Crouzeix and Raviart's an upper one
(:mod:`homfem.certify.stokes_bounds`). Both bounds are for the fluid as it is meshed, with straight facets; what these
may change is estimated beside them (:mod:`homfem.certify.geometry_stokes`). Taylor and Hood's element, the default,
gives no bound and is far more accurate than the upper one. What the mesh leaves in its value is estimated, **without
guarantee**, by the energy of the difference from the flow of one degree less, or by what the last refinement changed
if that is more. The distance of the two values is smaller but passes through zero: around cylinders it was a thirtieth
of the error on one mesh. The energy cannot. The error was 0.01 to 0.12 of the estimate around cylinders, 0.02 in a
square duct and 0.2 to 0.4 around squares, where the corners take the higher degree its advantage.

Where the gap is, or where the two degrees differ, the mesh is refined: :mod:`homfem.certify.stokes_gap`.

Source: Sanchez-Palencia 1980, Lecture Notes in Physics 127, chapter 7.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
import ufl
from dolfinx import fem

from homfem import brackets, solve
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import refine_carriers
from homfem.certify.geometry_stokes import wall_error
from homfem.certify.loop import MeshSolution, add_seconds, solve_adaptively
from homfem.certify.stokes_bounds import broken_energy, lower_allowance, split, upper_allowance, upper_bound
from homfem.certify.stokes_gap import change_energy, flow_changes, flow_gaps
from homfem.certify.symmetry import SYMMETRIES, Loads, symmetric_flow
from homfem.kinds import PERMEABILITY
from homfem.local import roundoff
from homfem.local.engine import solve_correctors
from homfem.local.problem import Correctors
from homfem.local.stokes import check_element, stokes_problem
from homfem.parameters import (
    Array,
    ConvergenceError,
    InputError,
    check_choice,
    check_integer,
    check_number,
    check_tolerance,
)
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

PRECONDITIONERS = ("multigrid", "direct")
#: Largest number of mesh cells for which the direct solver is the default, by dimension.
DIRECT = {2: 50_000, 3: 1_500}


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
        ``correctors.functions[j]`` is the pair of velocity and pressure that the unit force along axis j drives (with
        symmetry, for each group of axes that are alike), in mesh units and for the viscosity 1: a velocity in physical
        units is ``cell.length**2`` times it.
    upper
        Those of the upper bound (Crouzeix-Raviart), or None.
    history
        For each mesh of the adaptive loop: mesh cells, dofs of the larger system, relative half-gap or estimated error,
        seconds.
    symmetry
        What was found with ``symmetry="auto"``, else None; ``cell`` is the part between the mirror planes then.
    """

    tensor: EffectiveTensor
    cell: UnitCell
    correctors: Correctors
    upper: Correctors | None
    history: tuple[Mapping[str, float], ...] = ()
    symmetry: CellSymmetry | None = None


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
    symmetry: str = "none",
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
        relative error, with no guarantee, ``tensor.estimated_error``: over all directions the largest energy of the
        difference from the flow of one degree less, over the value, or what the last refinement changed in the value if
        that is more. Reached when two meshes in a row are within it.
    max_dofs
        No larger linear system is solved: a first mesh that needs one is refused; refinement ends before, and what was
        reached is returned with ``tensor.reached`` false and a warning in the log.
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
    symmetry
        ``"auto"``: solve on the part between the mirror planes of the mesh, and one force for axes that are alike
        (:mod:`homfem.certify.symmetry`); not with slip. Values and bounds are those of the whole cell.
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
    BudgetError, MemoryLimitError
        If the system of the first mesh has more unknowns than ``max_dofs``, or does not fit into the memory.
    PercolationError
        If the fluid reaches from cell to cell in no direction.
    ConvergenceError
        If a linear solve did not converge.
    """
    start = time.perf_counter()
    check_choice("boundary", boundary, ("periodic",))
    check_choice("backend", backend, ("identified",))
    check_choice("symmetry", symmetry, SYMMETRIES)
    unit = PERMEABILITY.check_unit(f"{cell.length_unit}^2" if cell.length_unit else "", "cell.length_unit")
    if symmetry == "auto" and slip_length is not None:
        raise InputError("symmetry", symmetry, "'none' with a slip length")
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
    loads, symmetric = Loads.of(tuple(range(cell.dimension))), None
    if symmetry == "auto":
        lap = time.perf_counter()
        active, loads, symmetric = symmetric_flow(active)
        add_seconds(stages, {"symmetry": time.perf_counter() - lap})
    slip = None if slip_length is None else slip_length / cell.length
    options = {"rtol": rtol, "max_iterations": max_iterations}
    solved = active

    def solve_mesh(part: UnitCell) -> MeshSolution:
        nonlocal solved
        mesh, other = part, None
        if element == "scott-vogelius":
            lap = time.perf_counter()
            mesh = split(part)
            add_seconds(stages, {"split": time.perf_counter() - lap})
        # The larger system first: what is too large is refused before anything is solved.
        flow = _solve(mesh, element, degree, slip, preconditioner, loads.axes, options)
        if bounds:
            other = _solve(part, "crouzeix-raviart", 1, None, preconditioner, loads.axes, options)
        if estimated:
            other = _solve(part, element, degree - 1, slip, preconditioner, loads.axes, options)

        solved = mesh

        def refine(dofs: int) -> UnitCell | None:
            if other is None:
                return None
            where = flow_gaps(part, other, mesh, flow) if bounds else flow_changes(part, flow, other)
            return refine_carriers(part, where, max_dofs, dofs)

        return MeshSolution(
            tensor=_tensor(cell, loads, part, mesh, element, flow, other, bounds),
            upper=flow,
            lower=other,
            refine=refine,
            geometric_error=lambda: 0.0 if cell.order > 1 else cell.length**2 * wall_error(mesh, flow),
        )

    found = solve_adaptively(
        cell, active, solve_mesh, tolerance=tolerance, max_dofs=max_dofs, sampled=False, stages=stages, start=start
    )
    tensor = replace(
        found.tensor,
        unit=unit,
        active_phases=tuple(names),
        config=dict(config or {}),
    )
    upper = found.lower if bounds else None
    assert upper is None or isinstance(upper, Correctors)
    return StokesSolution(
        tensor=tensor, cell=solved, correctors=found.upper, upper=upper, history=found.history, symmetry=symmetric
    )


def _check_tolerance(cell: UnitCell, tolerance: float, element: str, bounds: bool) -> None:
    check_tolerance(tolerance)
    if not bounds and element != "taylor-hood":
        remedy = "Take bounds=True, or 'taylor-hood' for an estimate."
        raise InputError("tolerance", tolerance, f"None with element={element!r}", remedy)
    if not cell.simplicial or cell.order != 1:
        remedy = "Such a mesh is not refined: choose the resolution instead."
        raise InputError("tolerance", tolerance, f"None on {cell.kind}s of order {cell.order}", remedy)


def _tensor(
    cell: UnitCell,
    loads: Loads,
    part: UnitCell,
    solved: UnitCell,
    element: str,
    flow: Correctors,
    other: Correctors | None,
    bounds: bool,
) -> EffectiveTensor:
    """Value, bounds and estimate of what was solved on the mesh of ``part``."""
    span = part.whole.span(cell.lattice)

    def whole(matrix: Array) -> Array:
        return _confined(matrix, span, cell.length)

    average = loads.tensor(flow.average)
    value, estimate = whole(average), None
    noise = whole(loads.tensor(_noise(solved, flow, flow.average, loads)))
    fields: dict[str, Any] = {"value": value}
    if element == "scott-vogelius":
        left = whole(lower_allowance(part, solved, flow, loads.axes) * np.eye(cell.dimension))
        fields |= {"lower": value - left - noise, "roundoff": float(np.linalg.norm(noise, 2))}
    if element == "crouzeix-raviart":
        fields = _above(solved, flow, loads, whole)
    if bounds and other is not None:
        energy = broken_energy(part, other)
        above = upper_allowance(part, other, energy)
        fields = brackets.bracket(
            value,
            whole(loads.tensor(energy)),
            below=left,
            above=whole(loads.tensor(above)),
            noise=(noise, whole(loads.tensor(_noise(part, other, energy, loads)))),
            best="lower",
        )
    elif other is not None:
        inside = [span @ matrix @ span.T for matrix in (loads.tensor(change_energy(part, flow, other)), average)]
        estimate = float(np.max(np.abs(scipy.linalg.eigh(*inside, eigvals_only=True))))
    return EffectiveTensor(**fields, physics="stokes", estimated_error=estimate)


def _above(cell: UnitCell, flow: Correctors, loads: Loads, whole: Callable[[Array], Array]) -> dict[str, Any]:
    """The upper bound of Crouzeix and Raviart's element, which is the value but for what round-off may do."""
    bound, noise = upper_bound(cell, flow), _noise(cell, flow, broken_energy(cell, flow), loads)
    value, noise = whole(loads.tensor(bound)), whole(loads.tensor(noise))
    return {"value": value, "upper": value + noise, "roundoff": float(np.linalg.norm(noise, 2))}


def _noise(cell: UnitCell, flow: Correctors, energy: Array, loads: Loads) -> Array:
    """What round-off can have done to the power of a flow."""
    velocity = replace(flow, functions=tuple(u for u, _ in flow.functions), spaces=flow.spaces[:1], average=energy)
    owned = cell.mesh.topology.index_map(cell.dimension).size_local
    return roundoff.of_correctors(cell, np.ones(owned), velocity, [(axis,) for axis in loads.axes])


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
    axes: Sequence[int],
    options: Mapping[str, Any],
) -> Correctors:
    problem = stokes_problem(cell, element=element, degree=degree, slip_length=slip, axes=axes)
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


def _confined(matrix: Array, span: Array, length: float) -> Array:
    """The matrix in physical units; exactly zero in the directions that do not percolate."""
    if len(span) < len(matrix):
        project = span.T @ span
        matrix = project @ matrix @ project
        closed = np.linalg.norm(span, axis=0) < 1e-12
        matrix[closed], matrix[:, closed] = 0.0, 0.0
    return np.asarray(0.5 * (matrix + matrix.T) * length**2)
