r"""Ions and fluid that move through a charged cell: the linearised cell problem, and the matrix of Onsager.

About the equilibrium of :mod:`homfem.local.poisson_boltzmann`, with kT = 1, the forces are :math:`f_0=-\nabla P`, of
the pressure :math:`P=p-\sum_ic_i` that is uniform in equilibrium, and :math:`f_i=-\nabla\mu_i`, of the electrochemical
potentials :math:`\mu_i=\ln c_i+z_i\psi`. The velocity u, the pressure and the perturbations :math:`\chi_i` of the
potentials are periodic and obey

.. math:: -\eta\Delta u+\nabla\pi = f_0+\sum_ic_i(f_i-\nabla\chi_i) ,\qquad \nabla\cdot u=0 ,\qquad
          \nabla\cdot\bigl(c_iu+D_ic_i(f_i-\nabla\chi_i)\bigr)=0 ,

:math:`u=0` and no flux through walls. The mean fluxes over the whole cell are linear in the forces,

.. math:: U=\langle u\rangle ,\quad J_i=\langle c_iu+D_ic_i(f_i-\nabla\chi_i)\rangle ,\qquad
          \begin{pmatrix}U\\J_i\end{pmatrix} = L\begin{pmatrix}f_0\\f_i\end{pmatrix} ,

with L symmetric (Onsager) and positive definite: :math:`f\cdot Lf` is what the flow dissipates,
:math:`\langle\eta|\nabla u|^2+\sum_iD_ic_i|f_i-\nabla\chi_i|^2\rangle`. What the perturbation of the electric potential
does is in :math:`\chi_i`; the solid's permittivity enters through the equilibrium alone.

It is solved in the variables of the virtual bath, :math:`f_{0b}=f_0+\sum_ic_{ib}f_i` (the pressure gradient there) and
the excess fluxes :math:`J_i-c_{ib}U`, in which c in the force and in the convection is :math:`c_i-c_{ib}`: where
nothing is charged they do not meet. Then :math:`L_b=TLT^T` with T the unit matrix but for :math:`-c_{ib}` in its first
column.

**Elements.** Taylor and Hood's, or Scott and Vogelius's on a mesh split at the barycentres; for :math:`\chi_i` and the
equilibrium Lagrange elements of the degree of the velocity. The averaged expression is the value of Lagrange's function
at the stationary point, into which errors enter with their square; L is symmetric by its formula.

Source: Looker, Carnie 2006, doi 10.1007/s11242-005-6284-x; Moyne, Murad 2006, doi 10.1007/s11242-004-6796-8; Allaire,
Mikelic, Piatnitski 2010, doi 10.1063/1.3521555; Onsager 1931, doi 10.1103/PhysRev.37.405.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem

from homfem import _dolfinx
from homfem.cells.unitcell import UnitCell
from homfem.local.charges import Charges
from homfem.local.poisson_boltzmann import Equilibrium, quadrature
from homfem.local.problem import CellProblem, Field, element_of
from homfem.local.stokes import MASS
from homfem.parameters import Array, CellError, InputError, check_choice
from homfem.ranks import collective

ELEMENTS = ("taylor-hood", "scott-vogelius")


def electrokinetic_problem(
    fluid: UnitCell,
    charges: Charges,
    potential: fem.Function,
    *,
    diffusivities: Sequence[float | Mapping[str, float]],
    viscosity: float,
    element: str = "taylor-hood",
    degree: int = 2,
) -> CellProblem:
    """Return the cell problem of ions and fluid; its fields are velocity, pressure, and a potential of each ion.

    Its loads are unit forces along all axes: first of the fluid, then of each ion in turn, in the variables of the
    virtual bath.

    Parameters
    ----------
    fluid
        The cell, restricted to the fluid; for ``"scott-vogelius"`` split at the barycentres.
    charges
        Of the equilibrium.
    potential
        That of the equilibrium, on the mesh of ``fluid`` (:func:`potential_on`).
    diffusivities, viscosity
        Of each ion, a number or one for each phase of the fluid, and of the fluid, in mesh units with kT = 1.
    element, degree
        See above; the degree of the velocity.

    Raises
    ------
    InputError
        If there is not one diffusivity for each ion.
    """
    check_choice("element", element, ELEMENTS)
    if len(diffusivities) != len(charges.baths):
        raise InputError("diffusivities", diffusivities, f"one for each of the {len(charges.baths)} ions")
    d = fluid.dimension
    family = "Lagrange" if element == "taylor-hood" else "DG"
    flow = Motion(fluid, charges, potential, diffusivities, viscosity, degree)
    elements = (
        element_of(fluid, "Lagrange", degree, shape=(d,)),
        element_of(fluid, family, degree - 1),
        element_of(fluid, "Lagrange", degree),
    )
    return motion_problem(flow, element, elements, "electrokinetics", (element, degree))


def motion_problem(
    flow: Motion, element: str, elements: tuple[Any, Any, Any], name: str, formula: tuple[Any, ...] = ()
) -> CellProblem:
    """Return the cell problem of forms with the elements of the velocity, the pressure and the potentials.

    ``element`` names those of the flow, ``formula`` has what the forms depend on beside the name and number of ions.
    """
    velocity, pressure, scalar = elements
    count = len(flow.ions)
    return CellProblem(
        name=name,
        fields=(
            Field(element=velocity, fixed_walls=True, name="velocity"),
            Field(element=pressure, primary=False, preconditioner=MASS[element], name="pressure"),
            *(Field(element=scalar, name=f"ion {k + 1}") for k in range(count)),
        ),
        loads=flow.d * (1 + count),
        bilinear=flow.bilinear,
        linear=flow.linear,
        average=flow.average,
        kind="saddle",
        metric=flow.metric,
        component=flow.component,
        domain=flow.mesh,
        given=flow.given,
        formula=(name, *formula, count),
    )


class Motion:
    """The forms of ions and fluid that move."""

    def __init__(
        self,
        fluid: UnitCell,
        charges: Charges,
        potential: fem.Function,
        diffusivities: Sequence[float | Mapping[str, float]],
        viscosity: float,
        degree: int,
    ) -> None:
        mesh, self.d = fluid.mesh, fluid.dimension
        self.mesh = mesh
        self.potential, self.viscosity = potential, fem.Constant(mesh, float(viscosity))
        self.ions = [
            (fem.Constant(mesh, float(z)), fem.Constant(mesh, float(bath)), _by_phase(fluid, one))
            for z, bath, one in zip(charges.valences, charges.baths, diffusivities, strict=True)
        ]
        # One rule for all forms: the average is that of the bilinear form.
        self.dx = ufl.Measure("dx", domain=mesh, metadata={"quadrature_degree": quadrature(degree)})

    @property
    def given(self) -> list[Any]:
        """What the forms take."""
        return [self.potential, self.viscosity, *(one for ion in self.ions for one in ion)]

    def concentrations(self) -> list[tuple[Any, Any]]:
        """Of each ion the concentration less that of the bath, and the concentration times the diffusivity."""
        found = []
        for z, bath, diffusivity in self.ions:
            factor = ufl.exp(-z * self.potential)
            found.append((bath * (factor - 1.0), diffusivity * bath * factor))
        return found

    def bilinear(self, w: Any, z: Any) -> ufl.Form:
        """The form of pairs of velocity, pressure and potentials."""
        (u, p, *chi), (v, q, *psi) = w, z
        form = self.viscosity * ufl.inner(ufl.grad(u), ufl.grad(v)) - p * ufl.div(v) - q * ufl.div(u)
        for (excess, mobile), a, b in zip(self.concentrations(), chi, psi, strict=True):
            form += excess * (ufl.inner(ufl.grad(a), v) + ufl.inner(u, ufl.grad(b)))
            form -= mobile * ufl.inner(ufl.grad(a), ufl.grad(b))
        return form * self.dx

    def component(self, u: Any, v: Any) -> ufl.Form:
        """The viscous form of one component of the velocity."""
        return self.viscosity * ufl.inner(ufl.grad(u), ufl.grad(v)) * self.dx

    def forces(self, s: Any) -> list[Any]:
        """The forces of a load: on the fluid, and on each ion."""
        d = self.d
        return [ufl.as_vector([s[d * k + i] for i in range(d)]) for k in range(1 + len(self.ions))]

    def linear(self, z: Any, s: Any) -> ufl.Form:
        """The work of the forces."""
        v, _, *psi = z
        first, *others = self.forces(s)
        form = ufl.inner(first, v)
        for (excess, mobile), force, b in zip(self.concentrations(), others, psi, strict=True):
            form += excess * ufl.inner(force, v) - mobile * ufl.inner(force, ufl.grad(b))
        return form * self.dx

    def average(self, w: Any, s: Any, z: Any, t: Any) -> ufl.Form:
        """Lagrange's function of two loads."""
        form = self.linear(w, t) + self.linear(z, s) - self.bilinear(w, z)
        pairs = zip(self.concentrations(), self.forces(s)[1:], self.forces(t)[1:], strict=True)
        return form + sum(mobile * ufl.inner(one, other) for (_, mobile), one, other in pairs) * self.dx

    def metric(self, w: Any, z: Any) -> ufl.Form:
        """What measures a velocity, a pressure and the potentials."""
        (u, p, *chi), (v, q, *psi) = w, z
        form = self.viscosity * ufl.inner(ufl.grad(u), ufl.grad(v)) + p * q / self.viscosity
        for (_, mobile), a, b in zip(self.concentrations(), chi, psi, strict=True):
            form += mobile * ufl.inner(ufl.grad(a), ufl.grad(b))
        return form * self.dx


def _by_phase(fluid: UnitCell, diffusivity: float | Mapping[str, float]) -> fem.Function:
    given = diffusivity if isinstance(diffusivity, Mapping) else dict.fromkeys(fluid.phase_names, diffusivity)
    return fluid.cell_function({name: float(given[name]) for name in fluid.phase_names})


def potential_on(fluid: UnitCell, equilibrium: Equilibrium) -> fem.Function:
    """Return the potential of an equilibrium on the fluid alone, a part of its cell; collective."""
    return part_of_function(fluid, equilibrium.cell, equilibrium.potential)


def part_of_function(part: UnitCell, cell: UnitCell, function: fem.Function) -> fem.Function:
    """Return a scalar function of Lagrange's elements on a part of its cell; collective."""
    source = function.function_space
    if part is cell:
        return function
    numbers = None
    with collective(cell.comm):
        if cell.raw is not None and part.raw is not None:
            numbers = cells_within(cell.raw, part.raw)
    owned = cell.mesh.topology.index_map(cell.dimension).size_local
    own = function.x.array[source.dofmap.list[:owned]]
    gathered = cell.comm.gather((_dolfinx.original_cell_index(cell.mesh)[:owned], own), root=0)
    values = None
    if gathered is not None and numbers is not None:
        every = np.empty((sum(len(one) for one, _ in gathered), own.shape[1]))
        for index, one in gathered:
            every[index] = one
        values = every[numbers]
    values = cell.comm.bcast(values, root=0)
    assert values is not None
    result = fem.Function(fem.functionspace(part.mesh, source.ufl_element()), name=function.name)
    result.x.array[result.function_space.dofmap.list] = values[_dolfinx.original_cell_index(part.mesh)]
    result.x.scatter_forward()
    return result


def cells_within(whole: Any, part: Any) -> npt.NDArray[np.int64]:
    """Return for each mesh cell of a part of a cell its number among those of the whole, by their corners.

    Raises
    ------
    CellError
        If one is not there.
    """
    centres = [raw.points[raw.corners].sum(axis=1) for raw in (whole, part)]
    order = np.lexsort(centres[0].T)
    known = centres[0][order]
    rows, number = np.unique(np.concatenate([known, centres[1]]), axis=0, return_inverse=True)
    place = np.full(len(rows), -1)
    place[number.ravel()[: len(known)]] = order
    found = place[number.ravel()[len(known) :]]
    if np.any(found < 0):
        raise CellError("fluid", len(found), "a part of the cell of the equilibrium")
    return np.asarray(found)


def bath_transform(baths: Sequence[float], d: int) -> Array:
    """Return T of :math:`L_b=TLT^T`, shape (d (1 + N), d (1 + N)).

    Examples
    --------
    >>> bath_transform([2.0], 1).tolist()
    [[1.0, 0.0], [-2.0, 1.0]]
    """
    small = np.eye(1 + len(baths))
    small[1:, 0] = -np.asarray(baths)
    return np.asarray(np.kron(small, np.eye(d)), dtype=np.float64)
