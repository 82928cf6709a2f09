r"""The permeability of a cell, with guaranteed bounds on request.

:math:`\xi\cdot K\xi` is the flux that the unit force :math:`\xi` drives through the cell, and the power that it takes.

Scott and Vogelius's element gives a lower bound, Crouzeix and Raviart's an upper one
(:mod:`homfem.certify.stokes.bounds`). Both bounds are for the fluid as it is meshed, with straight facets; what these
may change is estimated beside them (:mod:`homfem.certify.stokes.geometry`). Taylor and Hood's element, the default,
gives no bound and is far more accurate than the upper one. What the mesh leaves in its value is estimated, **without
guarantee**, by the energy of the difference from the flow of one degree less, or by what the last refinement changed
if that is more. The distance of the two values is smaller but passes through zero: around cylinders it was a thirtieth
of the error on one mesh. The energy cannot. The error was 0.01 to 0.12 of the estimate around cylinders, 0.02 in a
square duct and 0.2 to 0.4 around squares, where the corners take the higher degree its advantage.

Where the gap is, or where the two degrees differ, the mesh is refined: :mod:`homfem.certify.stokes.gap`.

Source: Sanchez-Palencia 1980, Lecture Notes in Physics 127, chapter 7.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, Unpack

import numpy as np
import scipy.linalg

from homfem import brackets
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import HIGHEST, Accuracy, AccuracyOptions, Plan
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution, MeshSolution
from homfem.certify.stokes.bounds import broken_energy, lower_allowance, split, upper_allowance, upper_bound
from homfem.certify.stokes.gap import change_energy, flow_changes, flow_gaps
from homfem.certify.stokes.geometry import wall_error
from homfem.certify.symmetry import Loads, symmetric_flow
from homfem.keywords import inherits, part_of, takes
from homfem.kinds import PERMEABILITY
from homfem.local import roundoff
from homfem.local.engine import solve_correctors
from homfem.local.problem import Correctors
from homfem.local.stokes import check_element, stokes_problem
from homfem.parameters import Array, InputError, check_choice, check_integer
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

PRECONDITIONERS = ("multigrid", "direct")
#: Relative residual of the linear solves, whose square enters the permeability.
RTOL = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class Stokes:
    """Slow flow through the pores; see :func:`solve_stokes` for the parameters."""

    fluid: str | Sequence[str] = "pore"
    element: str | None = None
    slip_length: float | None = None
    preconditioner: str | None = None
    max_iterations: int = 2000
    boundary: str = "periodic"

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; return the physics with its element, and the plan."""
        check_choice("boundary", self.boundary, ("periodic",))
        check_choice("backend", accuracy.backend or "identified", ("identified",))
        accuracy.allow_symmetry(self.slip_length is None, "with a slip length")
        check_integer("max_iterations", self.max_iterations, at_least=1)
        if self.preconditioner is not None:
            check_choice("preconditioner", self.preconditioner, PRECONDITIONERS)
        _unit(cell)
        names = fluid_phases(cell, self.fluid)
        bounds = bool(accuracy.bounds)
        element = self.element or ("scott-vogelius" if bounds else "taylor-hood")
        degree = accuracy.degree
        if accuracy.tolerance is not None and not bounds and element == "taylor-hood":  # two degrees are compared
            degree = 3 if degree is None else check_integer("degree", degree, at_least=3, at_most=4)
        degree = check_element(cell, element, degree, self.slip_length)
        if bounds and element != "scott-vogelius":
            remedy = "'scott-vogelius' is the lower bound."
            raise InputError("bounds", bounds, f"False with element={element!r}", remedy)
        self._check_mesh(cell)
        if accuracy.tolerance is not None:
            _check_tolerance(cell, accuracy.tolerance, element, bounds)
        plan = accuracy.plan(degree=degree, two_sided=bounds, backend="identified", rtol=RTOL, highest=HIGHEST)
        return replace(self, fluid=names, element=element), plan

    def _check_mesh(self, cell: UnitCell) -> None:
        if not cell.matching:
            remedy = "Mesh the faces alike: no pair of velocity and pressure is known to be stable across others."
            raise InputError("cell", cell.name, "one whose opposite faces match", remedy)
        if self.slip_length is not None and cell.order == 1 and cell.comm.allreduce(len(cell.slivers[0])):
            raise InputError(
                "slip_length", self.slip_length, "None on straight facets that stand for a curved wall",
                "Their corners hold the fluid. Make the cell with order=2.",
            )  # fmt: skip

    def active(self, cell: UnitCell) -> UnitCell:
        """Return the fluid, without islands; collective."""
        cell.require_whole()
        active = cell.restrict(fluid_phases(cell, self.fluid))
        active.require_percolation()
        active = active.without_islands()
        if len(active.whole.span(cell.lattice)) < cell.dimension:
            log.warning("%s: %s; no flow in the other directions", cell.name, active.whole.describe())
        return active

    def loads(self, dimension: int) -> Loads:
        """Return the unit forces along all axes."""
        return Loads.of(tuple(range(dimension)))

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, Loads, CellSymmetry]:
        """Return the part between the mirror planes, and the forces that are left; collective."""
        return symmetric_flow(active)

    def solve(self, cell: UnitCell, loads: Loads, plan: Plan) -> StokesOnMesh:
        """Solve one flow or two on one mesh; collective."""
        element, start = str(self.element), time.perf_counter()
        seconds, mesh = {}, cell
        if element == "scott-vogelius":
            mesh = split(cell)
            seconds["split"] = time.perf_counter() - start
        # The larger system first: what is too large is refused before anything is solved.
        flow = self._flow(mesh, loads, plan, element, plan.degree)
        dual = compared = None
        if plan.two_sided:
            dual = self._flow(cell, loads, plan, "crouzeix-raviart", 1)
        elif plan.tolerance is not None:
            compared = self._flow(cell, loads, plan, element, plan.degree - 1)
        pores = Pores(cell=cell, mesh=mesh, loads=loads)
        return StokesOnMesh(
            tensor=pores.tensor(element, flow, dual, compared),
            cell=mesh,
            correctors=flow,
            dual=dual,
            compared=compared,
            seconds=seconds,
            pores=pores,
        )

    def _flow(self, cell: UnitCell, loads: Loads, plan: Plan, element: str, degree: int) -> Correctors:
        slip = None if self.slip_length is None else self.slip_length / cell.length
        problem = stokes_problem(cell, element=element, degree=degree, slip_length=slip, axes=loads.axes)
        return solve_correctors(
            cell, problem, preconditioner=self.preconditioner, rtol=plan.rtol, max_iterations=self.max_iterations
        )

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""
        return {"unit": _unit(cell), "active_phases": tuple(fluid_phases(cell, self.fluid))}

    @property
    def sampled(self) -> bool:
        """No coefficient is a function of position."""
        return False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pores:
    """What flows, on one mesh.

    Parameters
    ----------
    cell
        Restricted to the fluid.
    mesh
        The same, split at the barycentres where the element needs it.
    loads
        The unit forces.
    """

    cell: UnitCell
    mesh: UnitCell
    loads: Loads

    def whole(self, matrix: Array) -> Array:
        """Return a tensor of the loads as one of the cell; collective."""
        return confined(self.cell, self.loads.tensor(matrix))

    def noise(self, cell: UnitCell, flow: Correctors, energy: Array) -> Array:
        """Return what round-off can have done to the power of a flow; collective."""
        velocity = replace(flow, functions=tuple(u for u, _ in flow.functions), spaces=flow.spaces[:1], average=energy)
        owned = cell.mesh.topology.index_map(cell.dimension).size_local
        found = roundoff.of_correctors(cell, np.ones(owned), velocity, [(axis,) for axis in self.loads.axes])
        return self.whole(found)

    def tensor(
        self, element: str, flow: Correctors, dual: Correctors | None, compared: Correctors | None
    ) -> EffectiveTensor:
        """Return value, bounds and estimate of what was solved; collective."""
        if element == "crouzeix-raviart":
            return self._above(flow)
        value = self.whole(flow.average)
        if element != "scott-vogelius":
            estimate = None if compared is None else self._estimate(flow, compared)
            return EffectiveTensor(value=value, physics="stokes", estimated_error=estimate)
        noise = self.noise(self.mesh, flow, flow.average)
        allowance = lower_allowance(self.cell, self.mesh, flow, self.loads.axes) * np.eye(self.cell.dimension)
        left = confined(self.cell, allowance)
        if dual is None:
            lower, size = value - left - noise, float(np.linalg.norm(noise, 2))
            return EffectiveTensor(value=value, lower=lower, roundoff=size, physics="stokes")
        energy = broken_energy(self.cell, dual)
        found = brackets.bracket(
            value,
            self.whole(energy),
            below=left,
            above=self.whole(upper_allowance(self.cell, dual, energy)),
            noise=(noise, self.noise(self.cell, dual, energy)),
            best="lower",
        )
        return EffectiveTensor(**found, physics="stokes")

    def _above(self, flow: Correctors) -> EffectiveTensor:
        """The upper bound of Crouzeix and Raviart's element, which is the value but for what round-off may do."""
        value = self.whole(upper_bound(self.mesh, flow))
        noise = self.noise(self.mesh, flow, broken_energy(self.mesh, flow))
        size = float(np.linalg.norm(noise, 2))
        return EffectiveTensor(value=value, upper=value + noise, roundoff=size, physics="stokes")

    def _estimate(self, flow: Correctors, other: Correctors) -> float:
        """The largest energy of the difference of two flows over all directions, relative to the value."""
        span = self.cell.whole.span(self.cell.lattice)
        change, average = (self.loads.tensor(m) for m in (change_energy(self.cell, flow, other), flow.average))
        inside = [span @ matrix @ span.T for matrix in (change, average)]
        return float(np.max(np.abs(scipy.linalg.eigh(*inside, eigvals_only=True))))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StokesOnMesh(MeshSolution):
    """A flow on one mesh."""

    pores: Pores

    def gaps(self) -> Array:
        """Return the part of the gap, or of the estimate, in each mesh cell, on rank 0; collective."""
        part = self.pores.cell
        if self.compared is not None:
            return flow_changes(part, self.correctors, self.compared)
        return flow_gaps(part, self.dual, self.cell, self.correctors)

    def geometric_error(self) -> float:
        """Return an estimate of what straight facets change; collective."""
        return 0.0 if self.cell.order > 1 else self.cell.length**2 * wall_error(self.cell, self.correctors)


def confined(cell: UnitCell, matrix: Array) -> Array:
    """Return a matrix in physical units, exactly zero in the directions that do not percolate."""
    span = cell.whole.span(cell.lattice)
    if len(span) < len(matrix):
        project = span.T @ span
        matrix = project @ matrix @ project
        closed = np.linalg.norm(span, axis=0) < 1e-12
        matrix[closed], matrix[:, closed] = 0.0, 0.0
    return np.asarray(brackets.symmetric(matrix) * cell.length**2)


def _check_tolerance(cell: UnitCell, tolerance: float, element: str, bounds: bool) -> None:
    if not bounds and element != "taylor-hood":
        remedy = "Take bounds=True, or 'taylor-hood' for an estimate."
        raise InputError("tolerance", tolerance, f"None with element={element!r}", remedy)
    if not cell.simplicial or cell.order != 1:
        remedy = "Such a mesh is not refined: choose the resolution instead."
        raise InputError("tolerance", tolerance, f"None on {cell.kind}s of order {cell.order}", remedy)


def _unit(cell: UnitCell) -> str:
    """The unit of the permeability; refused where the cell's is no length."""
    return PERMEABILITY.check_unit(f"{cell.length_unit}^2" if cell.length_unit else "", "cell.length_unit")


def fluid_phases(cell: UnitCell, fluid: str | Sequence[str]) -> list[str]:
    """Return the phases that flow, in the order of the cell; refuse those that it does not have, and all of it."""
    chosen = [fluid] if isinstance(fluid, str) else list(fluid)
    if not chosen:
        raise InputError("fluid", fluid, f"at least one of {cell.phase_names}")
    for name in chosen:
        check_choice("fluid", name, cell.phase_names)
    names = [name for name in cell.phase_names if name in chosen]
    if sum(cell.volume_fractions[name] for name in names) > 1.0 - 1e-12:
        raise InputError("fluid", fluid, "a part of the cell", "Without walls nothing holds the flow back.")
    return names


@takes(Accuracy)
@inherits(solve_cell)
def solve_stokes(
    cell: UnitCell,
    fluid: str | Sequence[str] = "pore",
    *,
    element: str | None = None,
    slip_length: float | None = None,
    preconditioner: str | None = None,
    max_iterations: int = 2000,
    boundary: str = "periodic",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve the Stokes cell problem of the fluid phases and average its permeability; collective.

    .. math:: K_{ij} = \frac1{|Y|}\int_{Y_f} u_j\cdot e_i ,\qquad -\Delta u_j+\nabla p_j=e_j ,\quad \nabla\cdot u_j=0 .

    Parameters
    ----------
    cell
    fluid
        The phase that flows, or several that flow as one. The others are solid.
    element
        ``"taylor-hood"`` (default), ``"equal-order"``, ``"crouzeix-raviart"`` or ``"scott-vogelius"`` (the default with
        ``bounds``), see :mod:`homfem.local.stokes`.
    slip_length
        Navier's slip length of the walls, > 0, in ``cell.length_unit``; by default the fluid sticks. Curved walls then
        need second-order geometry, and ``symmetry`` is not for it.
    preconditioner
        ``"multigrid"`` or ``"direct"``; by default direct in 2D and for small cells in 3D.
    max_iterations
        Of MINRES, for each load.
    boundary
        ``"periodic"``, nothing else.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them.

    Returns
    -------
    CellSolution
        The value of the tensor is the permeability for the whole cell's volume, in ``cell.length_unit`` squared;
        exactly zero along axes that the fluid does not percolate.

    Raises
    ------
    InputError
        For an unknown phase, a fluid without walls, an option out of range.
    BudgetError, MemoryLimitError
    PercolationError
        If the fluid reaches from cell to cell in no direction.
    ConvergenceError

    Notes
    -----
    ``bounds=True``: Scott and Vogelius's element gives the value, which is the lower bound, and Crouzeix and Raviart's
    the upper one; dear in 3D. Without, the default here, ``tensor.lower`` is set for ``"scott-vogelius"``,
    ``tensor.upper`` for ``"crouzeix-raviart"``, and there is no guarantee for the others. A ``tolerance`` with
    ``bounds`` is the relative half-gap, which is guaranteed. Without, for ``"taylor-hood"``, it is an **estimate** of
    the relative error, with no guarantee, ``tensor.estimated_error``: over all directions the largest energy of the
    difference from the flow of one degree less, over the value, or what the last refinement changed in the value if
    that is more. It is reached when two meshes in a row are within it.

    ``degree`` is that of the velocity; by default the lowest: 2, 1, 1, and the dimension. For an estimate 3 or 4, by
    default 3. ``rtol`` enters the permeability with its square. ``backend`` is ``"identified"``.
    """
    given = Stokes(
        fluid=fluid,
        element=element,
        slip_length=slip_length,
        preconditioner=preconditioner,
        max_iterations=max_iterations,
        boundary=boundary,
    )
    return solve_cell(cell, given, Accuracy(**accuracy), config=config)


homogenize_stokes = part_of(
    solve_stokes,
    "homogenize_stokes",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the permeability of a cell; collective.",
)
