r"""The flow that disperses: slow flow through the same cell, or a field that is given.

Of a given field the part :math:`\nabla\phi` that has a divergence or passes a wall
(:func:`homfem.local.solenoidal.solenoidal`) must be small beside it: what interpolation leaves of a field that has
none, and no more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Plan
from homfem.certify.dispersion.parts import extended, fluid_part
from homfem.local.engine import solve_correctors
from homfem.local.posed import Method
from homfem.local.problem import Correctors
from homfem.local.solenoidal import exactness_of, measure, solenoidal, stiffness_matrix
from homfem.local.stokes import stokes_problem
from homfem.parameters import Array, InputError, PercolationError, check_choice, check_direction
from homfem.ranks import collective

#: Largest part of a given field, in the root mean square, that may have a divergence or pass a wall.
DIVERGENCE = 0.05
#: Mean speed below which a field is taken to have none, relative to its root mean square.
STILL = 1e-6
#: Relative residual of the flow over that of the correctors: its error enters the tensor as it is.
FLOW = 0.01


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FlowOnMesh:
    r"""A flow on one mesh, in mesh units: a speed times ``cell.length``.

    Parameters
    ----------
    part
        What flows: the cell, or its part of :func:`homfem.certify.dispersion.parts.fluid_part`.
    flowing
        v on ``part.mesh``.
    velocity
        v on the mesh of all that carries, zero outside of the fluid.
    potential
        :math:`\phi` with :math:`v-\nabla\phi` as in :func:`homfem.local.solenoidal.solenoidal`; None where v has no
        divergence.
    mean : array, shape (d,)
        Mean of :math:`v-\nabla\phi` over the fluid.
    speed
        What a Peclet number is made with: the size of ``mean``, or of a field without a mean its root mean square.
    still
        Whether the field has no mean.
    stokes
        The flows of unit forces on ``part.mesh``, where it was computed from them.
    uncertainty
        Of a velocity without divergence, see :mod:`homfem.certify.dispersion.velocity`.
    change
        What taking the divergence away has changed, relative to the velocity, in the mean square.
    stiffness
        The matrix of :func:`homfem.local.solenoidal.stiffness_matrix` at the degree of the correctors, on the mesh of
        all that carries, where the flow was computed with it.
    """

    part: UnitCell
    flowing: fem.Function
    velocity: fem.Function
    potential: fem.Function | None
    mean: Array
    speed: float
    still: bool = False
    stokes: Correctors | None = None
    uncertainty: float = 0.0
    change: float = 0.0
    stiffness: PETSc.Mat | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow(ABC):
    """What flows.

    Parameters
    ----------
    fluid
        The phase that flows, or several that flow as one; by default the only one that carries.
    """

    fluid: str | Sequence[str] | None = None

    #: Whether the size of the field is left to the Peclet number.
    unit = False

    def phases(self, cell: UnitCell, carriers: Sequence[str]) -> list[str]:
        """Return the phases that flow, of those that carry."""
        if self.fluid is None:
            if len(carriers) != 1:
                raise InputError("flow.fluid", None, f"the phase that flows, one of {', '.join(map(repr, carriers))}")
            return list(carriers)
        chosen = [self.fluid] if isinstance(self.fluid, str) else list(self.fluid)
        if not chosen:
            raise InputError("flow.fluid", self.fluid, f"at least one of {', '.join(map(repr, carriers))}")
        for name in chosen:
            check_choice("flow.fluid", name, tuple(carriers))
        return [name for name in cell.phase_names if name in chosen]

    @abstractmethod
    def check(self, cell: UnitCell, fluid: Sequence[str], alone: bool) -> None:
        """Refuse what does not fit the whole cell; ``alone``: no phase but the fluid carries. Collective."""

    @abstractmethod
    def on(self, cell: UnitCell, fluid: Sequence[str], plan: Plan) -> FlowOnMesh:
        """Return the flow on one mesh, which is restricted to the phases that carry; collective."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StokesFlow(Flow):
    """Slow flow through the cell, without slip on its walls (:mod:`homfem.local.stokes`).

    Parameters
    ----------
    fluid
        As in :class:`Flow`.
    direction : array, shape (d,)
        Of the **mean velocity**, of any length; by default the first axis. The force that drives it is another one
        where the permeability has no axis there.
    """

    direction: Sequence[float] | None = None
    unit = True

    def check(self, cell: UnitCell, fluid: Sequence[str], alone: bool) -> None:
        """Refuse a direction in which the fluid does not reach through the cell; collective."""
        if sum(cell.volume_fractions[name] for name in fluid) > 1.0 - 1e-12:
            remedy = "Without walls nothing holds the flow back: give a velocity."
            raise InputError("flow.fluid", self.fluid, "a part of the cell", remedy)
        whole = cell.connectivity_of(fluid)
        along = self.along(cell.dimension)
        span = whole.span(cell.lattice) if whole.rank else np.zeros((0, cell.dimension))
        if float(np.linalg.norm(along - span.T @ (span @ along))) > 1e-9:
            raise PercolationError(
                "flow.direction", along.tolist(), f"one in which {' and '.join(fluid)} reaches through the cell",
                f"The fluid {whole.describe()}.",
            )  # fmt: skip
        if whole.islands and not alone:
            remedy = "Give closed pores a name of their own."
            raise InputError("flow.fluid", self.fluid, "a phase without closed pores", remedy)

    def along(self, dimension: int) -> Array:
        """Return the direction, of length 1."""
        given = np.eye(dimension)[0] if self.direction is None else self.direction
        return check_direction("flow.direction", given, dimension)

    def on(self, cell: UnitCell, fluid: Sequence[str], plan: Plan) -> FlowOnMesh:
        """Return the flow of mean 1 over the fluid along the direction; collective."""
        part = fluid_part(cell, fluid)
        problem, stiffness = stokes_problem(part, degree=max(plan.degree, 2)), None
        if part is cell and plan.degree >= 2:
            points = exactness_of(cell, plan.degree, plan.degree)
            stiffness = stiffness_matrix(cell, plan.degree, points)
            problem = replace(problem, assembled={"component": stiffness})
        rtol = max(FLOW * plan.rtol, 1e-13)
        flows = solve_correctors(part, problem, rtol=rtol, max_iterations=2000)
        units = [one for one, _ in flows.functions]
        velocities = [extended(one, part, cell) for one in units]
        potentials, _ = solenoidal(cell, velocities, plan.degree, Method(rtol=plan.rtol), stiffness)
        # The work of the unit forces is the integral of the velocity, and the permeability that over the period.
        moved = flows.average * cell.lattice.volume - np.transpose([_slope(cell, phi) for phi in potentials])
        means = list(moved.T / volume(cell, fluid))
        force = driving_force(part, means, self.along(cell.dimension))
        flowing = combined(force, units)
        velocity = flowing if part is cell else combined(force, velocities)
        flowing.name = velocity.name = "velocity"
        return FlowOnMesh(
            part=part,
            flowing=flowing,
            velocity=velocity,
            potential=combined(force, potentials),
            mean=np.transpose(means) @ force,
            speed=1.0,
            stokes=replace(flows, problem=replace(problem, assembled={})),
            stiffness=stiffness,
        )


def driving_force(part: UnitCell, means: Sequence[Array], mean: Array) -> Array:
    """Return the force under which the flow has a mean.

    Parameters
    ----------
    part
        What flows.
    means : sequence of array, shape (d,)
        The mean velocities of unit forces along the axes.
    mean : array, shape (d,)
        In the directions in which the fluid reaches from cell to cell.
    """
    span = part.whole.span(part.lattice)
    mobility = span @ np.transpose(means) @ span.T
    return np.asarray(span.T @ np.linalg.solve(mobility, span @ mean))


def combined(weights: Array, functions: Sequence[fem.Function]) -> fem.Function:
    """Return a sum of functions of one space with weights."""
    result = fem.Function(functions[0].function_space, name=functions[0].name)
    for weight, function in zip(weights, functions, strict=True):
        result.x.array[:] += weight * function.x.array
    return result


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenFlow(Flow):
    """A velocity that is given: without divergence, through no wall, periodic.

    Parameters
    ----------
    fluid
        As in :class:`Flow`.
    velocity
        ``v(x)`` of points (d, n) in mesh units, returns (d, n): speeds in ``cell.length_unit`` per time.
    """

    velocity: Callable[[Array], Array]

    def check(self, cell: UnitCell, fluid: Sequence[str], alone: bool) -> None:
        """Refuse what is no function."""
        if not callable(self.velocity):
            raise InputError("flow.velocity", self.velocity, "a function of points of shape (d, n)")

    def on(self, cell: UnitCell, fluid: Sequence[str], plan: Plan) -> FlowOnMesh:
        """Return the interpolated field; collective."""
        part = fluid_part(cell, fluid)
        velocity = _interpolated(part, "velocity", self.velocity, 2 * plan.degree - 1, (cell.dimension,))
        velocity.x.array[:] *= cell.length
        return _checked(cell, part, velocity, plan)


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamFunction(Flow):
    r"""A flow in the plane by its stream function: :math:`v=(\partial_y\psi,-\partial_x\psi)+\bar v`.

    Parameters
    ----------
    fluid
        As in :class:`Flow`.
    function
        :math:`\psi(x)` of points (2, n) in mesh units, returns (n,): a speed times ``cell.length_unit``; periodic.
    mean : array, shape (2,)
        :math:`\bar v`, in ``cell.length_unit`` per time.
    """

    function: Callable[[Array], Array]
    mean: Sequence[float] = (0.0, 0.0)

    def check(self, cell: UnitCell, fluid: Sequence[str], alone: bool) -> None:
        """Refuse what is no function in the plane."""
        if cell.dimension != 2:
            raise InputError("flow.function", self.function, "left out in space", "Give a velocity there.")
        if not callable(self.function):
            raise InputError("flow.function", self.function, "a function of points of shape (2, n)")
        if np.shape(self.mean) != (2,) or not np.all(np.isfinite(self.mean)):
            raise InputError("flow.mean", self.mean, "two finite speeds")

    def on(self, cell: UnitCell, fluid: Sequence[str], plan: Plan) -> FlowOnMesh:
        """Return the curl of the interpolated function; collective."""
        part = fluid_part(cell, fluid)
        stream = _interpolated(part, "function", self.function, 2 * plan.degree, ())
        velocity = fem.Function(solve.function_space(part.mesh, "DG", 2 * plan.degree - 1, (2,)), name="velocity")
        mean = fem.Constant(part.mesh, cell.length * np.array(self.mean, dtype=np.float64))
        curl = ufl.as_vector([stream.dx(1), -stream.dx(0)]) + mean
        velocity.interpolate(fem.Expression(curl, _dolfinx.interpolation_points(velocity.function_space)))
        return _checked(cell, part, velocity, plan)


def _interpolated(
    cell: UnitCell, name: str, function: Callable[[Array], Array], degree: int, shape: tuple[int, ...]
) -> fem.Function:
    """A given function on the mesh, checked; collective."""
    d = cell.dimension
    found = fem.Function(solve.function_space(cell.mesh, "Lagrange", degree, shape), name=name)

    def values(x: Array) -> Array:
        array = np.asarray(function(x[:d]), dtype=np.float64)
        wanted = (*shape, x.shape[1])
        if array.shape != wanted:
            raise InputError(f"flow.{name}", function, f"a function that returns numbers of shape {wanted}")
        finite = np.isfinite(array).reshape(-1, x.shape[1]).all(axis=0)
        if not finite.all():
            where = ", ".join(f"{one:.4g}" for one in x[:d, int(np.argmin(finite))] * cell.length)
            raise InputError(f"flow.{name}", function, f"finite in the whole cell, which it is not at ({where})")
        return array

    with collective(cell.comm):
        _check_periodic(cell, name, function, values)
        found.interpolate(values)
    found.x.scatter_forward()
    _check_resolved(cell, name, function, values, found)
    return found


def _inside(cell: UnitCell) -> tuple[Array, Array]:
    """Some mesh cells (n,) of this rank, and a point (n, 3) in each that is no place of symmetry."""
    nodes = np.asarray(cell.mesh.geometry.dofmap)
    some = np.arange(0, len(nodes), max(1, len(nodes) // 256))
    weights = np.sqrt(2.0 + np.arange(nodes.shape[1]))
    corners = cell.mesh.geometry.x[nodes[some]]
    return some.astype(np.int32), np.einsum("k,nkx->nx", weights / weights.sum(), corners)


def _check_resolved(
    cell: UnitCell, name: str, function: object, values: Callable[[Array], Array], found: fem.Function
) -> None:
    """Refuse a function that its interpolant has little to do with; collective."""
    some, points = _inside(cell)
    exact = np.moveaxis(values(points.T), -1, 0).reshape(len(some), -1)
    off = found.eval(points, some).reshape(len(some), -1) - exact if len(some) else exact
    missed, size = (cell.comm.allreduce(float((part**2).sum())) for part in (off, exact))
    if missed > 0.25 * size:
        share = float(np.sqrt(missed / size))
        allowed = f"resolved by the mesh: between its nodes the elements are {share:.2g} of it off, in the mean square"
        raise InputError(f"flow.{name}", function, allowed, "Take a finer resolution, or a higher degree.")


def _check_periodic(cell: UnitCell, name: str, function: object, values: Callable[[Array], Array]) -> None:
    """Refuse a function that is another one a period away, where the cell reaches there."""
    d, span = cell.dimension, cell.whole.span(cell.lattice)
    points = _inside(cell)[1][:, :d].T
    here = values(points)
    for k in range(d):
        period = np.asarray(cell.lattice.vectors)[k]
        if np.linalg.norm(period - span.T @ (span @ period)) > 1e-9 * cell.lattice.shortest:
            continue
        off = float(np.abs(values(points + period.reshape(d, 1)) - here).max(initial=0.0))
        if off > 1e-8 * (float(np.abs(here).max(initial=0.0)) + off):
            raise InputError(f"flow.{name}", function, f"periodic; it changes by {off:.3g} along period {k + 1}")


def _checked(cell: UnitCell, part: UnitCell, flowing: fem.Function, plan: Plan) -> FlowOnMesh:
    """A given field in a part of the cell without what is left of a divergence; collective."""
    velocity, fluid = extended(flowing, part, cell), part.phase_names
    (potential,), (slope,) = solenoidal(cell, [velocity], plan.degree, Method(rtol=plan.rtol))
    rms = float(np.sqrt(solve.integrate(ufl.inner(flowing, flowing) * ufl.dx) / volume(cell, fluid)))
    defect = slope / (rms * np.sqrt(volume(cell, fluid))) if rms > 0.0 else 0.0
    if defect > DIVERGENCE:
        divergence = np.sqrt(solve.integrate(ufl.div(flowing) ** 2 * ufl.dx) / volume(cell, fluid)) / cell.length**2
        n = ufl.FacetNormal(part.mesh)
        wall = solve.integrate(fem.Constant(part.mesh, 1.0) * ufl.ds)
        through = solve.integrate(ufl.inner(flowing, n) ** 2 * ufl.ds)
        across = np.sqrt(through / wall) / cell.length if wall > 0.0 else 0.0
        raise InputError(
            "flow.velocity",
            f"a field of root mean square divergence {divergence:.3g} and speed through walls {across:.3g}",
            "without divergence, and through no wall",
            f"{defect:.1%} of it is the gradient of a potential. On a mesh too coarse for the field, refine.",
        )
    mean = mean_velocity(cell, fluid, velocity, potential)
    still = float(np.linalg.norm(mean)) <= STILL * rms
    return FlowOnMesh(
        part=part,
        flowing=flowing,
        velocity=velocity,
        potential=potential,
        mean=mean,
        speed=rms if still else float(np.linalg.norm(mean)),
        still=still,
    )


def volume(cell: UnitCell, phases: Sequence[str]) -> float:
    """Return the volume of phases on the mesh, in mesh units; collective."""
    if set(phases) >= set(cell.phase_names):
        return solve.volume(cell.mesh)
    inside = cell.cell_function({name: float(name in phases) for name in cell.phase_names})
    return float(solve.integrals("inside", lambda one: one * inside * ufl.dx, cell.mesh, [inside]))


def _slope(cell: UnitCell, potential: fem.Function) -> Array:
    r"""Return :math:`\int\nabla\phi`, shape (d,); collective."""
    degree, d = int(potential.function_space.ufl_element().degree), cell.dimension
    # On simplices the cofactors of the map are what the gradient takes: a polynomial.
    exact = None if cell.affine or not cell.simplicial else degree - 1 + (d - 1) * (cell.order - 1)
    dx = ufl.Measure("dx", domain=cell.mesh, metadata={} if exact is None else {"quadrature_degree": exact})
    return solve.integrals(
        ("slope", exact), lambda s: ufl.inner(ufl.grad(potential), s) * dx, cell.mesh, [potential], (d,)
    )


def mean_velocity(
    cell: UnitCell, fluid: Sequence[str], velocity: fem.Function, potential: fem.Function | None
) -> Array:
    r"""Return the integral of :math:`v-\nabla\phi` over the volume of the fluid; collective."""
    field, dx, given, exact = velocity, ufl.dx(cell.mesh), [velocity], None
    if potential is not None:
        points = exactness_of(cell, potential.function_space.ufl_element().degree, velocity)
        field, dx = velocity - ufl.grad(potential), measure(cell, points)
        given, exact = [velocity, potential], None if cell.affine else points
    name = ("mean velocity", potential is None, exact)
    total = solve.integrals(name, lambda s: ufl.inner(field, s) * dx, cell.mesh, given, (cell.dimension,))
    return np.asarray(total / volume(cell, fluid))
