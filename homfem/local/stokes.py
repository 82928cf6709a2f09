r"""The Stokes cell problem: slow flow through the pores, and the permeability.

With the viscosity 1 and a unit force :math:`e_j` per volume in the fluid :math:`Y_f`,

.. math:: -\Delta u_j + \nabla p_j = e_j ,\qquad \nabla\cdot u_j = 0 ,\qquad u_j = 0 \text{ on the walls},

.. math:: K_{ij} = \frac1{|Y|}\int_{Y_f} u_j\cdot e_i = \frac1{|Y|}\int_{Y_f}\nabla u_i:\nabla u_j ,

velocity and pressure periodic. On no-slip walls the form with the gradient and the one with its symmetric part have the
same solution. Darcy's law for a fluid of viscosity :math:`\mu` is :math:`q=-\frac{K}{\mu}(\nabla P-f)` with the flux
:math:`q` averaged over the whole cell.

The averaged expression is the value of Lagrange's function at the stationary point,
:math:`\ell(z;s)+\ell(w;t)-a(w,z)`: the residual of the solver enters with its square.

**Slip.** With Navier's slip length :math:`b` the walls carry :math:`u\cdot n=0` and
:math:`(2\varepsilon(u)n)_t=-u_t/b`: the symmetric gradient, and Nitsche's terms for the normal component.

**Elements**

``taylor-hood``
    Lagrange of degree k for the velocity and k - 1 for the pressure, k = 2 by default; also on quadrilaterals and
    hexahedra. By far the most accurate for its cost. No bound.
``equal-order``
    Lagrange of degree 1 for both, stabilised by the residual in the elements,
    :math:`-\sum_K\frac{d^2}{40\sum_kh_{K,k}^{-2}}\int_K(\nabla p-s)\cdot(\nabla q-t)` with the edges
    :math:`h_{K,k}` of a box, :math:`2\sum_kh_{K,k}^{-2}` the sum over the heights of a simplex: a sixth of the unknowns
    on the same mesh, and an error some twenty times as large. For images, and meshes too large for the others.
``crouzeix-raviart``
    Mean values of the velocity on the facets, a constant pressure in each element, and the force tested with the
    normal components alone, :math:`\sum_K\int_{\partial K}s\cdot(x-x_K)\,(v\cdot n)` with the midpoint rule on each
    facet: an **upper bound** of K, see :mod:`homfem.certify.stokes`. Simplices with straight sides only.
``scott-vogelius``
    Lagrange of degree d for the velocity and discontinuous of degree d - 1 for the pressure, on a mesh whose simplices
    are split at their barycentres (:func:`homfem.meshing.arrays.refinement.split_at_barycentres`): the discrete
    velocity has no divergence at all, and its energy is a **lower bound** of K. Straight sides only.

Source: Sanchez-Palencia 1980, Lecture Notes in Physics 127, chapter 7; Linke 2014, doi 10.1016/j.cma.2013.10.011
(forces tested with normal components); Hughes, Franca, Balestra 1986, doi 10.1016/0045-7825(86)90025-3 (equal order);
Zhang 2005, doi 10.1090/S0025-5718-04-01711-9 (Scott-Vogelius on split tetrahedra); Urquiza, Garon, Farinas 2014,
doi 10.1016/j.jcp.2013.08.057 (slip on curved walls).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.elasticity import rigid_motions
from homfem.local.problem import CellProblem, Field, element_of
from homfem.parameters import Array, InputError, check_choice, check_integer, check_number

ELEMENTS = ("taylor-hood", "equal-order", "crouzeix-raviart", "scott-vogelius")
SIMPLICES = ("triangle", "tetrahedron")
#: What preconditions the mass matrix of the pressure.
MASS = {"taylor-hood": "ssor", "equal-order": "ssor", "crouzeix-raviart": "jacobi", "scott-vogelius": "direct"}
#: Weight of the residual in the elements; cubes with edge h: d h^2 times this. Smaller ones gave larger errors.
STABILISATION = 1.0 / 40.0
#: Nitsche's penalty of the normal velocity is this times the square of the degree, over the size of the element.
PENALTY = 10.0


def stokes_problem(
    cell: UnitCell,
    *,
    element: str = "taylor-hood",
    degree: int | None = None,
    slip_length: float | None = None,
    axes: Sequence[int] | None = None,
) -> CellProblem:
    """Return the Stokes cell problem of a cell; its fields are velocity and pressure, its loads unit forces.

    Parameters
    ----------
    cell
        Restricted to the fluid; for ``"scott-vogelius"`` split at the barycentres.
    element
        See above.
    degree
        Of the velocity, 2 to 4, for ``"taylor-hood"``; d to 4 for ``"scott-vogelius"``; 1 for the others.
    slip_length
        In mesh units, > 0; no slip without it. For ``"taylor-hood"``.
    axes
        The axes of the unit forces; by default all.

    Raises
    ------
    InputError
        For an element that the mesh, the degree or the slip does not go with.
    """
    d = cell.dimension
    degree = check_element(cell, element, degree, slip_length)
    if slip_length is not None:
        cell.require_whole()
    along = list(range(d)) if axes is None else list(axes)
    velocity = element_of(cell, "CR" if element == "crouzeix-raviart" else "Lagrange", degree, shape=(d,))
    family = "Lagrange" if element in ("taylor-hood", "equal-order") else "DG"
    pressure = element_of(cell, family, degree if element == "equal-order" else degree - 1)
    # Without slip the components of the velocity do not meet in its block: aggregation needs no hint.
    near = None if slip_length is None else rigid_motions(d)
    fields = (
        Field(element=velocity, fixed_walls=slip_length is None, near_kernel=near, name="velocity"),
        Field(element=pressure, primary=False, preconditioner=MASS[element], name="pressure"),
    )
    flow = _Flow(
        cell=cell,
        axes=tuple(along),
        degree=degree,
        slip=None if slip_length is None else (fem.Constant(cell.mesh, slip_length), _heights(cell)),
        stable=_stabilisation(cell) if element == "equal-order" else None,
        midpoint=midpoints(cell) if element == "crouzeix-raviart" else None,
    )
    return CellProblem(
        name="Stokes flow",
        fields=fields,
        loads=len(along),
        bilinear=flow.bilinear,
        linear=flow.linear,
        average=flow.average,
        kind="saddle",
        metric=flow.metric,
        component=flow.component if slip_length is None else None,
        stationary=element == "taylor-hood",
        # Across a mirror the force along its axis changes sign; the pressure is odd then, which is a natural condition.
        parity=(1 - 2 * np.eye(d, dtype=int))[along],
        domain=cell.mesh,
        given=flow.given,
        formula=("stokes", element, degree, slip_length is not None, tuple(along)),
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Flow:
    """The forms of a flow.

    ``slip`` is the slip length and the height of each mesh cell, ``stable`` weighs the residual in the elements,
    ``midpoint`` is where forces are centred.
    """

    cell: UnitCell
    axes: tuple[int, ...]
    degree: int
    slip: tuple[fem.Constant, fem.Function] | None
    stable: fem.Function | None
    midpoint: fem.Function | None

    @property
    def given(self) -> list[fem.Function | fem.Constant]:
        """What the forms take of the mesh and its walls."""
        return [one for one in (*(self.slip or ()), self.stable, self.midpoint) if one is not None]

    def viscous(self, u: Any, v: Any) -> ufl.Form:
        """The work of the viscous stress."""
        if self.slip is None:
            return ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx
        return slipping(u, v, *self.slip, degree=self.degree)

    def component(self, u: Any, v: Any) -> ufl.Form:
        """The work of the viscous stress of one component of the velocity, without slip."""
        return ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx

    def bilinear(self, w: Any, z: Any) -> ufl.Form:
        """The form of pairs of velocity and pressure."""
        (u, p), (v, q) = w, z
        form = self.viscous(u, v) - p * ufl.div(v) * ufl.dx - q * ufl.div(u) * ufl.dx
        if self.slip is not None:
            n = ufl.FacetNormal(self.cell.mesh)
            form += p * ufl.inner(v, n) * ufl.ds + q * ufl.inner(u, n) * ufl.ds
        if self.stable is not None:
            form -= self.stable * ufl.inner(ufl.grad(p), ufl.grad(q)) * ufl.dx
        return form

    def force(self, s: Any) -> Any:
        """The force of a load."""
        return ufl.as_vector([s[self.axes.index(k)] if k in self.axes else 0 for k in range(self.cell.dimension)])

    def linear(self, z: Any, s: Any) -> ufl.Form:
        """The work of the force."""
        (v, q), force = z, self.force(s)
        if self.midpoint is not None:
            mesh = self.cell.mesh
            moment = ufl.inner(force, ufl.SpatialCoordinate(mesh) - self.midpoint) * ufl.inner(v, ufl.FacetNormal(mesh))
            # The degree 1 stands for one point in the middle of the facet; on walls the velocity is zero there.
            middle = {"quadrature_degree": 1}
            return (moment("+") + moment("-")) * ufl.dS(metadata=middle) + moment * ufl.ds(metadata=middle)
        form = ufl.inner(force, v) * ufl.dx
        return form if self.stable is None else form - self.stable * ufl.inner(force, ufl.grad(q)) * ufl.dx

    def average(self, w: Any, s: Any, z: Any, t: Any) -> ufl.Form:
        """Lagrange's function of two loads."""
        form = self.linear(w, t) + self.linear(z, s) - self.bilinear(w, z)
        if self.stable is None:
            return form
        return form + self.stable * ufl.inner(self.force(s), self.force(t)) * ufl.dx(self.cell.mesh)

    def metric(self, w: Any, z: Any) -> ufl.Form:
        """What measures a velocity and a pressure."""
        form = self.viscous(w[0], z[0]) + w[1] * z[1] * ufl.dx
        return form if self.stable is None else form + self.stable * ufl.inner(ufl.grad(w[1]), ufl.grad(z[1])) * ufl.dx


def check_element(cell: UnitCell, element: str, degree: int | None, slip_length: float | None) -> int:
    """Return the degree of the velocity; raises :class:`InputError` for what does not go together."""
    check_choice("element", element, ELEMENTS)
    least = {"taylor-hood": 2, "scott-vogelius": cell.dimension}.get(element, 1)
    if degree is None:
        degree = least
    most = {"taylor-hood": 6, "scott-vogelius": 4}.get(element, 1)
    check_integer("degree", degree, at_least=least, at_most=most)
    if element in ("crouzeix-raviart", "scott-vogelius") and (cell.kind not in SIMPLICES or cell.order != 1):
        raise InputError(
            "element", element, f"'taylor-hood' or 'equal-order' for {cell.kind}s of order {cell.order}",
            "The elements that bound the permeability need simplices with straight sides.",
        )  # fmt: skip
    if slip_length is not None:
        check_number("slip_length", slip_length, above=0.0, remedy="None stands for walls without slip.")
        if element != "taylor-hood":
            raise InputError("slip_length", slip_length, f"None with element={element!r}", "Use 'taylor-hood'.")
    return degree


def slipping(u: Any, v: Any, slip_length: fem.Constant, height: fem.Function, *, degree: int) -> ufl.Form:
    """Return the viscous form with Navier's slip at the walls, the normal component by Nitsche's method."""
    n = ufl.FacetNormal(height.function_space.mesh)

    def strain(w: Any) -> Any:
        return ufl.sym(ufl.grad(w))

    def pull(w: Any) -> Any:
        return 2.0 * ufl.inner(ufl.dot(strain(w), n), n)

    normal_u, normal_v = ufl.inner(u, n), ufl.inner(v, n)
    along = ufl.inner(u, v) - normal_u * normal_v
    form = 2.0 * ufl.inner(strain(u), strain(v)) * ufl.dx + along / slip_length * ufl.ds
    form -= (pull(u) * normal_v + pull(v) * normal_u) * ufl.ds
    return form + PENALTY * degree**2 / height * normal_u * normal_v * ufl.ds


def _corners(cell: UnitCell) -> Array:
    """Corners of the local mesh cells, shape (cells, corners, d)."""
    number = cell.dimension + 1 if cell.kind in SIMPLICES else 2**cell.dimension
    return np.asarray(cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:, :number]][:, :, : cell.dimension])


def _per_cell(cell: UnitCell, values: Array) -> fem.Function:
    shape = values.shape[1:]
    function = fem.Function(solve.function_space(cell.mesh, "DG", 0, shape))
    function.x.array[:] = values.ravel()
    return function


def midpoints(cell: UnitCell) -> fem.Function:
    """Return the mean of the corners of each mesh cell."""
    return _per_cell(cell, _corners(cell).mean(axis=1))


def _slopes(cell: UnitCell) -> Array:
    """Reciprocals of the heights of each simplex, of the edges of each box; shape (cells, d + 1) or (cells, d)."""
    corners = _corners(cell)
    if cell.kind in SIMPLICES:
        gradients = np.linalg.inv((corners[:, 1:] - corners[:, :1]).transpose(0, 2, 1))
        return np.linalg.norm(np.concatenate([gradients, -gradients.sum(axis=1, keepdims=True)], axis=1), axis=2)
    return 1.0 / np.linalg.norm(corners[:, [2**k for k in range(cell.dimension)]] - corners[:, :1], axis=2)


def _heights(cell: UnitCell) -> fem.Function:
    return _per_cell(cell, 1.0 / _slopes(cell).max(axis=1, initial=0.0))


def _stabilisation(cell: UnitCell) -> fem.Function:
    """The weight of the residual: small where the element is thin."""
    share = 0.5 if cell.kind in SIMPLICES else 1.0
    return _per_cell(cell, STABILISATION * cell.dimension**2 / (share * (_slopes(cell) ** 2).sum(axis=1)))
