r"""What flows through a domain: a given velocity, or Darcy's from pressures at boundaries; and what advection needs.

.. math:: v = -\frac{k}{\mu}\nabla p,\qquad \nabla\cdot v = 0,\qquad p = p_k\ \text{on boundary k},\qquad
    n\cdot v = 0\ \text{elsewhere},

v is the flux of the fluid per area of the medium (Darcy's velocity), not the mean speed in its pores. The pressure is
in the space of the fields that v carries, so that the integral of :math:`v\cdot\nabla w` is zero for every basis
function w of it that belongs to no boundary with a pressure: a constant field stays as it is, and no mass is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import exterior_facet_indices
from mpi4py import MPI

from homfem._dolfinx import interpolation_points
from homfem.kinds import PERMEABILITY
from homfem.macro.coefficients import TensorInput, cell_function, tensor_coefficient
from homfem.macro.conditions import Dirichlet, Value
from homfem.macro.domain import Domain
from homfem.macro.linear import EllipticSolver, LinearProblem
from homfem.parameters import InputError, check_number
from homfem.solve import assemble_vector, function_space


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Darcy:
    """A flow through a porous medium.

    Parameters
    ----------
    permeability
        k, a tensor or one for each region (:func:`homfem.macro.coefficients.tensor_coefficient`), in the square of the
        domain's unit of length.
    viscosity
        mu > 0, in the unit of the pressures times that of time.
    pressures
        At boundaries by their names: a number, or a function of position and time, which is taken at time 0.
    axes
        ``"domain"`` or ``"fibre"``.
    """

    permeability: TensorInput | Mapping[str, TensorInput]
    viscosity: float
    pressures: Mapping[str, Value]
    axes: str = "domain"


VelocityInput: TypeAlias = Any
"""A vector; one for each region by its name; a function ``f(x)`` of points (3, n) with values (d, n); a
:class:`Darcy`; or a function of DOLFINx."""


def velocity_coefficient(name: str, domain: Domain, space: fem.FunctionSpace, given: VelocityInput) -> Any:
    """Return a velocity as a UFL coefficient of shape (d,), in the units of the model; collective.

    Parameters
    ----------
    name
        The parameter, for messages.
    domain, space
        Where it is, and the space of the fields that it carries: a function of position is interpolated in its degree.
    given
        The velocity.

    Raises
    ------
    InputError
        For vectors of another length, numbers that are not finite, unknown regions or such without a velocity.
    """
    d, degree = domain.dimension, space.ufl_element().degree
    if isinstance(given, Darcy):
        return darcy_velocity(name, domain, space, given)
    if hasattr(given, "ufl_shape"):
        if given.ufl_shape != (d,):
            raise InputError(name, given.ufl_shape, f"of shape ({d},)")
        return given
    if isinstance(given, Mapping):
        vectors = {region: _vector(f"{name}.{region}", entry, d) for region, entry in given.items()}
        return cell_function(domain, domain.cell_values(vectors, name))
    if callable(given):
        function = fem.Function(fem.functionspace(domain.mesh, ("Lagrange", degree, (d,))))
        function.interpolate(lambda x: _field(name, given(x), d, x.shape[1]))
        return function
    return fem.Constant(domain.mesh, _vector(name, given, d))


def darcy_velocity(name: str, domain: Domain, space: fem.FunctionSpace, given: Darcy) -> fem.Function:
    """Return the velocity of a flow through a porous medium, of one degree less than ``space``; collective.

    Raises
    ------
    InputError
        Without a pressure, for unknown boundaries, and for a tensor that is no permeability.
    """
    if not given.pressures:
        raise InputError(f"{name}.pressures", {}, "a pressure at one boundary at least")
    viscosity = check_number(f"{name}.viscosity", given.viscosity, above=0.0)
    k = tensor_coefficient(
        f"{name}.permeability", domain, given.permeability, PERMEABILITY, unit=f"{domain.unit}^2", axes=given.axes
    )
    for boundary in given.pressures:
        domain.boundary(boundary, f"{name}.pressures")
    mobility = k / fem.Constant(domain.mesh, viscosity)
    conditions = tuple(Dirichlet(boundary=boundary, value=value) for boundary, value in given.pressures.items())
    problem = LinearProblem(
        domain=domain, space=space, coefficient=mobility, conditions=conditions, name="Darcy's pressure"
    )
    pressure = fem.Function(space)
    EllipticSolver(problem, rtol=1e-13).solve(pressure.x.petsc_vec)
    pressure.x.scatter_forward()
    made = function_space(domain.mesh, "DG", space.ufl_element().degree - 1, (domain.dimension,))
    return _interpolated(-mobility * ufl.grad(pressure), made)


def cell_peclet(domain: Domain, velocity: Any, coefficient: Any, degree: int = 1) -> float:
    r"""Return the largest Peclet number of a cell, :math:`|v| h/(2Kp)` along the flow, p the degree; collective.

    Infinite where something flows without diffusion.
    """
    along, across = _rates(domain, velocity, coefficient, degree)
    ratio = ufl.conditional(ufl.gt(along, 0.0), along / ufl.max_value(2.0 * across, 1e-300), 0.0)
    found = _interpolated(ratio, function_space(domain.mesh, "DG", 0)).x.array
    largest = float(domain.comm.allreduce(float(found.max(initial=0.0)), op=MPI.MAX))
    return largest if largest < 1e100 else np.inf


def streamline_time(domain: Domain, velocity: Any, coefficient: Any, degree: int = 1) -> fem.Function:
    r"""Return the time of streamline diffusion of each cell; collective.

    .. math:: \tau = \bigl((2p|J^{-1}v|)^2 + 9(4p^2|J^{-1}KJ^{-T}|)^2\bigr)^{-1/2}

    with the Jacobian J of the cell and the degree p: on an interval, :math:`(2v/h)^2 + 9(4K/h^2)^2` for p = 1.

    Source: Shakib, Hughes 1991, Comput. Methods Appl. Mech. Eng. 87, 35, doi 10.1016/0045-7825(91)90145-V.
    """
    along, across = _rates(domain, velocity, coefficient, degree)
    tau = 1.0 / ufl.sqrt((2.0 * along) ** 2 + 9.0 * (4.0 * across) ** 2 + 1e-200)
    return _interpolated(ufl.conditional(ufl.gt(along, 0.0), tau, 0.0), function_space(domain.mesh, "DG", 0))


def divergence(space: fem.FunctionSpace, velocity: Any) -> float:
    r"""Return the largest :math:`|\int w\,\nabla\cdot v|` of a basis function, relative; collective.

    To the largest :math:`\int w|v|/h` with the diameter h of the cells. The integral is by parts, what a constant field
    would gain, of the functions that are zero on the boundary.
    """
    w, mesh = ufl.TestFunction(space), space.mesh
    gained = assemble_vector(ufl.dot(velocity, ufl.grad(w)) * ufl.dx(domain=mesh))
    d = mesh.topology.dim
    mesh.topology.create_connectivity(d - 1, d)
    dofs = fem.locate_dofs_topological(space, d - 1, exterior_facet_indices(mesh.topology))
    gained.array[dofs[dofs < space.dofmap.index_map.size_local]] = 0.0
    size = ufl.sqrt(ufl.dot(velocity, velocity)) / ufl.CellDiameter(space.mesh)
    whole = assemble_vector(size * w * ufl.dx)
    found = np.abs(gained.array_r), whole.array_r
    largest = [space.mesh.comm.allreduce(float(values.max(initial=0.0)), op=MPI.MAX) for values in found]
    return largest[0] / largest[1] if largest[1] > 0.0 else 0.0


def _rates(domain: Domain, velocity: Any, coefficient: Any, degree: int) -> tuple[Any, Any]:
    """Return how often a second a cell is crossed by the flow, and by diffusion."""
    inverse = ufl.inv(ufl.Jacobian(domain.mesh))
    along = inverse * velocity
    across: Any = 0.0
    if coefficient is not None:
        spread = inverse * coefficient * inverse.T
        across = degree * degree * ufl.sqrt(ufl.inner(spread, spread))
    return degree * ufl.sqrt(ufl.dot(along, along)), across


def _interpolated(expression: Any, space: fem.FunctionSpace) -> fem.Function:
    function = fem.Function(space)
    function.interpolate(fem.Expression(expression, interpolation_points(space)))
    function.x.scatter_forward()
    return function


def _vector(name: str, given: Any, d: int) -> np.ndarray:
    try:
        vector = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, given, f"a vector of {d} numbers") from error
    if vector.shape != (d,) or not np.all(np.isfinite(vector)):
        raise InputError(name, given, f"a vector of {d} finite numbers, as the domain has axes")
    return vector


def _field(name: str, values: Any, d: int, count: int) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64)
    if found.shape not in ((d,), (d, 1), (d, count)) or not np.all(np.isfinite(found)):
        raise InputError(name, found.shape, f"a function with finite values of shape ({d}, {count})")
    return np.array(np.broadcast_to(found.reshape(d, -1), (d, count)))
