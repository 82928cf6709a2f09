r"""The problem whose energy bounds the matrix of Onsager from above, for concentrations constant in each mesh cell.

For any continuous :math:`\chi_i` the dissipation is at most
:math:`\langle F\cdot SF+\sum_iD_ic_i|f_i-\nabla\chi_i|^2\rangle` with the force
:math:`F=f_{0b}+\sum_i(c_i-c_{ib})(f_i-\nabla\chi_i)` and the flow SF that it drives, and
:math:`\int F\cdot SF\le\frac1\eta\int|\mathrm{dev}\,\sigma|^2` for every stress with :math:`-\nabla\cdot\sigma=F` whose
normal component is continuous across facets. With linear :math:`\chi_i` and concentrations that are constant in each
mesh cell F is so too, and the velocity u of Crouzeix and Raviart's element gives such a stress (Marini 1985): in the
mesh cell with the barycentre :math:`x_K`

.. math:: \sigma = \eta\nabla_hu-pI-\tfrac1dF\otimes(x-x_K) .

The fields of the problem make the sum stationary: for the flow that their force drives it is the smallest in
:math:`\chi`. A residual :math:`\rho` of the flow is a jump of the normal stress, for which
:func:`homfem.certify.stokes.bounds.upper_allowance` has the room.

Source: Marini 1985, doi 10.1137/0722029; the principle: Onsager, Machlup 1953, doi 10.1103/PhysRev.91.1505.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.charges import Charges
from homfem.local.electrokinetics import Motion, motion_problem
from homfem.local.problem import CellProblem, Correctors, element_of
from homfem.local.stokes import midpoints
from homfem.parameters import Array


def upper_problem(
    fluid: UnitCell,
    charges: Charges,
    potential: fem.Function,
    *,
    diffusivities: Sequence[float | Mapping[str, float]],
    viscosity: float,
) -> CellProblem:
    """Return the problem; its parameters, fields and loads are those of
    :func:`homfem.local.electrokinetics.electrokinetic_problem`, its potential is constant in each mesh cell.
    """
    flow = _Above(fluid, charges, potential, diffusivities, viscosity, 1)
    elements = (
        element_of(fluid, "CR", 1, shape=(fluid.dimension,)),
        element_of(fluid, "DG", 0),
        element_of(fluid, "Lagrange", 1),
    )
    return motion_problem(flow, "crouzeix-raviart", elements, "electrokinetics from above")


class _Above(Motion):
    """The forms, with what the stress has beside the gradient of the velocity."""

    def __init__(self, fluid: UnitCell, *given: Any) -> None:
        super().__init__(fluid, *given)
        self.midpoint = midpoints(fluid)
        self.place = ufl.SpatialCoordinate(fluid.mesh) - self.midpoint

    @property
    def given(self) -> list[Any]:
        """What the forms take."""
        return [*super().given, self.midpoint]

    def moment(self, force: Any) -> Any:
        """The part of the stress that a force gives."""
        return ufl.dev(ufl.outer(force, self.place)) / self.d

    def bilinear(self, w: Any, z: Any) -> ufl.Form:
        """The form of pairs of velocity, pressure and potentials."""
        (_, _, *chi), (_, _, *psi) = w, z
        one, other = (
            sum(excess * ufl.grad(a) for (excess, _), a in zip(self.concentrations(), fields, strict=True))
            for fields in (chi, psi)
        )
        return super().bilinear(w, z) - ufl.inner(self.moment(one), self.moment(other)) / self.viscosity * self.dx

    def uniform(self, s: Any) -> Any:
        """The force on the fluid of a load alone."""
        first, *others = self.forces(s)
        return first + sum(excess * one for (excess, _), one in zip(self.concentrations(), others, strict=True))

    def linear(self, z: Any, s: Any) -> ufl.Form:
        """The work of the forces."""
        _, _, *psi = z
        other = sum(excess * ufl.grad(b) for (excess, _), b in zip(self.concentrations(), psi, strict=True))
        extra = ufl.inner(self.moment(self.uniform(s)), self.moment(other)) / self.viscosity * self.dx
        return super().linear(z, s) - extra

    def average(self, w: Any, s: Any, z: Any, t: Any) -> ufl.Form:
        """The energy of the stress and of the potentials, of two loads."""
        form = self.viscous(w, s, z, t)
        (_, _, *chi), (_, _, *psi) = w, z
        parts = zip(self.concentrations(), self.forces(s)[1:], self.forces(t)[1:], chi, psi, strict=True)
        for (_, mobile), one, other, a, b in parts:
            form += mobile * ufl.inner(one - ufl.grad(a), other - ufl.grad(b)) * self.dx
        return form

    def viscous(self, w: Any, s: Any, z: Any, t: Any) -> ufl.Form:
        """The energy of the stress, of two loads."""
        one, other = (self._stress(fields, load) for fields, load in ((w, s), (z, t)))
        return ufl.inner(one, other) / self.viscosity * self.dx

    def _stress(self, fields: Any, load: Any) -> Any:
        """The deviator of the stress."""
        u, _, *chi = fields
        force = self.uniform(load)
        for (excess, _), a in zip(self.concentrations(), chi, strict=True):
            force = force - excess * ufl.grad(a)
        return self.viscosity * ufl.dev(ufl.grad(u)) - self.moment(force)


def viscous_energy(fluid: UnitCell, correctors: Correctors) -> Array:
    """Return the energy of the stresses alone, per volume of the period, shape (loads, loads); collective."""
    problem = correctors.problem
    flow = problem.bilinear.__self__  # type: ignore[attr-defined]
    w, z = ([fem.Function(space) for space in correctors.spaces] for _ in range(2))
    s, t = (fem.Constant(problem.domain, np.zeros(problem.loads)) for _ in range(2))
    value = solve.integral(flow.viscous(tuple(w), s, tuple(z), t))
    result = np.zeros((problem.loads,) * 2)
    for i in range(problem.loads):
        for target, source in zip(w, correctors.functions[i], strict=True):
            target.x.array[:] = source.x.array
        s.value[:] = np.eye(problem.loads)[i]
        for j in range(i + 1):
            for target, source in zip(z, correctors.functions[j], strict=True):
                target.x.array[:] = source.x.array
            t.value[:] = np.eye(problem.loads)[j]
            result[i, j] = result[j, i] = value()
    return np.asarray(result / fluid.lattice.volume)
