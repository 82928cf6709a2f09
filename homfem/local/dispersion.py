r"""The cell problem of dispersion: diffusion and convection of what the phases and their walls hold.

In the frame that moves with the mean velocity, with a weight :math:`W>0`, a field b, the diffusivity D, the capacity
:math:`\rho` of the phases and that of the walls, K, which hold :math:`dm=\rho W\,dy+KW\,dS` of a unit concentration:

.. math:: -\nabla\cdot\bigl(WD(e_j+\nabla\chi_j)\bigr)+b\cdot(e_j+\nabla\chi_j)=V_j\rho W ,\qquad
          n\cdot WD(e_j+\nabla\chi_j)=V_jKW \text{ on the walls},\qquad V=\frac1m\int b ,\quad m=\int dm ,

.. math:: D^*_{ij}=\frac1m\int WD(e_i+\nabla\chi_i)\cdot(e_j+\nabla\chi_j) ,\qquad
          F_{ij}=\frac1m\Bigl(\int WD e_i\cdot(e_j+\nabla\chi_j)-\int b_i\chi_j+V_i\int\chi_j\,dm\Bigr) ,

and the macroscale equation :math:`\partial_tc+V\cdot\nabla c=\nabla\cdot(D^*\nabla c)`. Without reaction :math:`W=1`
and b is the velocity; of a reaction W is the product of the first eigenfunctions, and b belongs to it. The symmetric
part of F is :math:`D^*`, for Galerkin's solutions too, so that its error is quadratic in theirs:
:math:`F_{ij}=\frac1m(\int WD_{ij}-r^-_i(\chi_j))` with :math:`a(\chi_j,w)=r^+_j(w)` and the load :math:`r^-` of the
reversed field.

**Convection.** The discrete field has no divergence for what is tested with it:
:func:`homfem.local.solenoidal.solenoidal` takes the gradient off that is left, :math:`b=b_h-\nabla\phi` with
:math:`\int b\cdot\nabla w=0` for every w. The form is skew,
:math:`c(\chi,w)=\frac12\int(b\cdot\nabla\chi\,w-b\cdot\nabla w\,\chi)`, so constants are in its kernel on both sides
and no energy is lost or made. :math:`F(-b)=F(b)^T` and :math:`D^*(b)\ge D^*(0)` then hold for the discrete numbers.

**Symmetrised.** With :math:`f=(\chi^++\chi^-)/2` and :math:`g=(\chi^+-\chi^-)/2` of the field and the reversed one

.. math:: \int WD\nabla f\cdot\nabla w+c(g,w)=-\int WDe\cdot\nabla w ,\qquad
          -c(f,z)-\int WD\nabla g\cdot\nabla z=\int b\cdot e\,z-V\cdot e\int z\,dm ,

a symmetric saddle point, and :math:`D^*=\frac1m\int WD(e+\nabla f)\cdot(e+\nabla f)+WD\nabla g\cdot\nabla g`.

Source: Brenner 1980, doi 10.1098/rsta.1980.0205; Mauri 1991, doi 10.1063/1.858159; Allaire, Raphael 2007, doi
10.1016/j.crma.2007.03.008; Fannjiang, Papanicolaou 1994, doi 10.1137/S0036139992236785 (symmetrised).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.posed import Method
from homfem.local.problem import CellProblem, Field, element_of
from homfem.local.solenoidal import degree_of, exactness_of, measure
from homfem.parameters import Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Carrier:
    """What carries, on one mesh; everything in mesh units.

    Parameters
    ----------
    cell
        Restricted to the phases that carry.
    diffusivity
        :math:`D`, constant on each mesh cell, a number or a matrix.
    velocity
        :math:`b_h`: a vector function, or a UFL vector; None where nothing flows.
    potential
        :math:`\\phi`, see :func:`homfem.local.solenoidal.solenoidal`; None of a field that has no divergence, as of
        Scott and Vogelius's.
    weight
        :math:`W`, a function; None for 1.
    capacity
        :math:`\\rho`, a function; None for 1.
    wall_capacity
        K, of the walls: a function or a constant; None for 0.
    degree
        Of the correctors.
    exactness
        Degree of the quadrature on curved mesh cells; by default that of :func:`homfem.local.solenoidal.exactness_of`.
    """

    cell: UnitCell
    diffusivity: fem.Function
    velocity: Any = None
    potential: fem.Function | None = None
    weight: fem.Function | None = None
    capacity: fem.Function | None = None
    wall_capacity: fem.Function | fem.Constant | None = None
    degree: int = 2
    exactness: int | None = None

    @property
    def given(self) -> list[fem.Function | fem.Constant]:
        """The functions in the forms."""
        parts = [self.velocity, self.potential, self.weight, self.capacity, self.wall_capacity]
        return [part for part in parts if isinstance(part, (fem.Function, fem.Constant))]

    @property
    def formula(self) -> Any:
        """What the forms depend on beside their functions; None where the velocity is an expression of its own."""
        parts = (self.velocity, self.potential, self.weight, self.capacity, self.wall_capacity)
        plain = self.velocity is None or isinstance(self.velocity, fem.Function)
        exact = None if self.cell.affine else self.points
        return ("dispersion", exact, tuple(part is not None for part in parts)) if plain else None

    @property
    def points(self) -> int:
        """The degree of the quadrature: that with which the potential was found and the field has no divergence."""
        if self.exactness is not None:
            return self.exactness
        degree = self.degree if self.potential is None else degree_of(self.potential)
        return exactness_of(self.cell, degree, self.velocity)

    @property
    def b(self) -> Any:
        """The field b as a UFL vector."""
        return self.velocity if self.potential is None else self.velocity - ufl.grad(self.potential)

    @property
    def dx(self) -> ufl.Measure:
        """The measure of the forms."""
        return measure(self.cell, self.points)

    @property
    def ds(self) -> ufl.Measure:
        """The measure of the walls."""
        return measure(self.cell, self.points, "ds")

    def flux(self, gradient: Any) -> Any:
        """Return :math:`WD` times a gradient."""
        found = ufl.dot(self.diffusivity, gradient) if self.diffusivity.ufl_shape else self.diffusivity * gradient
        return found if self.weight is None else self.weight * found

    def diffusion(self, u: Any, v: Any) -> ufl.Form:
        r"""Return :math:`\int WD\nabla u\cdot\nabla v`."""
        return ufl.inner(self.flux(ufl.grad(u)), ufl.grad(v)) * self.dx

    def convection(self, u: Any, v: Any) -> ufl.Form:
        """Return the skew form c."""
        along = [ufl.inner(self.b, ufl.grad(one)) for one in (u, v)]
        return 0.5 * (along[0] * v - along[1] * u) * self.dx

    @property
    def density(self) -> Any:
        r""":math:`\rho W`."""
        parts = [part for part in (self.weight, self.capacity) if part is not None]
        return math.prod(parts, start=1.0)

    def held(self, v: Any) -> ufl.Form:
        r"""Return :math:`\int v\,dm`."""
        form = v * self.density * self.dx
        if self.wall_capacity is None:
            return form
        return form + v * (1.0 if self.weight is None else self.weight) * self.wall_capacity * self.ds

    @property
    def mass(self) -> float:
        """m, of the whole period; collective."""
        return self.cell.copies * float(self.integrals("held", self.held))

    @property
    def flow(self) -> Array:
        r""":math:`\int b` over the period, shape (d,); collective."""
        d = self.cell.dimension
        if self.velocity is None:
            return np.zeros(d)
        return self.integrals("flow", lambda s: ufl.inner(self.b, s) * self.dx, (d,))

    def integrals(self, name: str, build: Callable[[Any], ufl.Form], shape: tuple[int, ...] = ()) -> Array:
        """Return the integrals of a form of the carrier's functions and a constant, see :func:`homfem.solve.integrals`.

        A form of one name is built once in a process.
        """
        formula = None if self.formula is None else (self.formula, name)
        return solve.integrals(formula, build, self.cell.mesh, [self.diffusivity, *self.given], shape)


def dispersion_problem(carrier: Carrier, scale: float = 1.0) -> CellProblem:
    r"""Return the cell problem, not symmetric; its average is :math:`Fm/|Y|`.

    Parameters
    ----------
    carrier
        What carries.
    scale
        What the velocity is multiplied with.
    """
    return problem_of(forms_of(carrier, scale))


def problem_of(forms: Forms) -> CellProblem:
    """Return the cell problem of forms at one scale."""
    carrier = forms.carrier
    return CellProblem(
        name="dispersion",
        fields=(Field(element=element_of(carrier.cell, "Lagrange", carrier.degree), name="concentration"),),
        loads=carrier.cell.dimension,
        bilinear=forms.bilinear,
        affine=lambda x, s: ufl.inner(x, s),
        linear=forms.linear,
        average=forms.average,
        kind="general" if carrier.velocity is not None else "definite",
        domain=carrier.cell.mesh,
        coefficients={"diffusivity": carrier.diffusivity},
        given=[*carrier.given, forms.scale, forms.mean],
        formula=carrier.formula,
        flux=forms.flux,
    )


def symmetrised_problem(carrier: Carrier, scale: float = 1.0) -> CellProblem:
    r"""Return the saddle point of f and g; its average is :math:`D^*m/|Y|`."""
    forms = forms_of(carrier, scale)
    element = element_of(carrier.cell, "Lagrange", carrier.degree)

    def metric(w: Any, z: Any) -> ufl.Form:
        return sum(carrier.diffusion(u, v) for u, v in zip(w, z, strict=True))

    return CellProblem(
        name="symmetrised dispersion",
        fields=(Field(element=element, name="even"), Field(element=element, name="odd")),
        loads=carrier.cell.dimension,
        bilinear=forms.saddle,
        linear=lambda z, s: -ufl.inner(carrier.flux(s), ufl.grad(z[0])) * carrier.dx + forms.drift(z[1], s),
        average=forms.energy,
        kind="saddle",
        metric=metric,
        domain=carrier.cell.mesh,
        coefficients={"diffusivity": carrier.diffusivity},
        given=[*carrier.given, forms.scale, forms.mean],
        formula=carrier.formula,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Forms:
    """The forms at one scale of the velocity; ``mean`` is V of the unit scale."""

    carrier: Carrier
    scale: fem.Constant
    mean: fem.Constant

    def drift(self, v: Any, s: Any) -> ufl.Form:
        r"""Return :math:`\int b\cdot s\,v-V\cdot s\int v\,dm`."""
        carrier = self.carrier
        if carrier.velocity is None:
            return fem.Constant(carrier.cell.mesh, 0.0) * v * carrier.dx
        form = self.scale * ufl.inner(carrier.b, s) * v * carrier.dx
        return form - carrier.held(self.scale * ufl.inner(self.mean, s) * v)

    def bilinear(self, u: Any, v: Any) -> ufl.Form:
        """Return diffusion and convection."""
        form = self.carrier.diffusion(u, v)
        return form if self.carrier.velocity is None else form + self.scale * self.carrier.convection(u, v)

    def linear(self, v: Any, s: Any) -> ufl.Form:
        """Return :math:`r^+`."""
        return -ufl.inner(self.carrier.flux(s), ufl.grad(v)) * self.carrier.dx - self.drift(v, s)

    def average(self, w: Any, s: Any, z: Any, t: Any) -> ufl.Form:
        """Return the flux form: row t, gradient s."""
        return ufl.inner(self.carrier.flux(t), s + ufl.grad(w)) * self.carrier.dx - self.drift(w, t)

    def flux(self, u: Any, s: Any) -> Any:
        r"""Return :math:`WD\nabla u-(b-\rho WV)(u-s\cdot x)`, in the frame that moves: F of s, less what walls hold."""
        carrier = self.carrier
        diffusive = carrier.flux(ufl.grad(u))
        if carrier.velocity is None:
            return diffusive
        fluctuation = u - ufl.inner(ufl.SpatialCoordinate(carrier.cell.mesh), s)
        return diffusive - self.scale * (carrier.b - carrier.density * self.mean) * fluctuation

    def saddle(self, w: Any, z: Any) -> ufl.Form:
        """Return the symmetrised form."""
        (f, g), (v, q), carrier = w, z, self.carrier
        form = carrier.diffusion(f, v) - carrier.diffusion(g, q)
        if carrier.velocity is None:
            return form
        return form + self.scale * (carrier.convection(g, v) - carrier.convection(f, q))

    def energy(self, w: Any, s: Any, z: Any, t: Any) -> ufl.Form:
        """Return the energy of the even part and of the odd one."""
        flux = self.carrier.flux
        form = ufl.inner(flux(s + ufl.grad(w[0])), t + ufl.grad(z[0])) * self.carrier.dx
        return form + ufl.inner(flux(ufl.grad(w[1])), ufl.grad(z[1])) * self.carrier.dx


def forms_of(carrier: Carrier, scale: float, mean: Array | None = None) -> Forms:
    """Return the forms at a scale of the velocity; collective where its mean is not given."""
    mesh = carrier.cell.mesh
    own = np.asarray(carrier.flow / carrier.mass if mean is None else mean)
    return Forms(carrier=carrier, scale=fem.Constant(mesh, float(scale)), mean=fem.Constant(mesh, own))


def options_of(method: Method) -> dict[str, Any]:
    """Return the options of :func:`homfem.local.engine.solve_correctors` that a method is."""
    return {name: getattr(method, name) for name in ("preconditioner", "rtol", "max_iterations")}
