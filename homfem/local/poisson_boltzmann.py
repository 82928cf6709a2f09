r"""The equilibrium of ions in a charged cell: the nonlinear equation of Poisson and Boltzmann.

With the potential :math:`\psi` in kT/e and ions of the valences :math:`z_i` in equilibrium with a neutral bath,

.. math:: -\nabla\cdot(\varepsilon\nabla\psi) = \sum_i z_ic_i + \rho_f ,\qquad c_i = c_{ib}\,e^{-z_i\psi}

in the fluid, without ions in solid phases that the field enters; :math:`\psi=\zeta` on walls of a given potential,
:math:`[\varepsilon\,\partial_n\psi]=\sigma_s` on walls of a given charge, :math:`\psi` periodic. It is the minimum of
the convex

.. math:: J(\psi) = \int\tfrac\varepsilon2|\nabla\psi|^2 + \sum_ic_{ib}(e^{-z_i\psi}-1+z_i\psi) - \rho_f\psi
          - \int_\Gamma\sigma_s\psi ,

the sum over the ions in the fluid alone. Newton's method, with steps that no ion feels as more than :data:`STEP` kT and
that lower J (Armijo), finds it from any start; should it fail, from the potential of smaller charges. It ends where the
residual is small beside the charges, and raises otherwise.

Source: Gouy 1910, Chapman 1913; Looker, Carnie 2006, doi 10.1007/s11242-005-6284-x (periodic cells); convexity:
Gilson, Davis, Luty, McCammon 1993, doi 10.1021/j100116a025.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.charges import Charges, facets_of_wall
from homfem.local.posed import Found, Group, Method, Posed
from homfem.local.problem import CellProblem, Field, element_of
from homfem.parameters import Array, ConvergenceError, check_integer, check_number

log = logging.getLogger("homfem")

#: The most that a step may change the energy of an ion, in kT.
STEP = 3.0
#: Part of the slope by which a step must lower the energy.
ARMIJO = 1e-4
#: Halvings of one step, and of the part of the charges that is added.
HALVINGS, SMALLEST = 30, 1.0 / 128.0
#: The layer is looked at where the energy of an ion changes by more over one mesh cell, in kT.
STEEP = 0.1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Equilibrium:
    """A potential with the ions that it holds.

    Parameters
    ----------
    cell, charges
        What was solved.
    potential
        In kT/e, on the mesh of the cell; zero in phases that the field does not enter.
    energy
        Its energy J, in kT per mesh unit to the power d.
    residual
        Of the discrete equations, relative to the charges.
    iterations
        Of Newton's method, over all parts of the charges.
    resolution
        The largest thickness of a mesh cell of the diffuse layer in lengths of Debye at the concentrations there, over
        the degree: beyond 1 the mesh is too coarse.
    """

    cell: UnitCell
    charges: Charges
    potential: fem.Function
    energy: float
    residual: float
    iterations: int
    resolution: float
    coarse_cells: npt.NDArray[np.bool_] = field(repr=False)


class _Layer:
    """The forms of the equilibrium."""

    def __init__(self, cell: UnitCell, charges: Charges, degree: int) -> None:
        mesh, d = cell.mesh, cell.dimension
        self.cell, self.charges, self.mesh = cell, charges, mesh
        # One rule for all forms: force and tangent are the derivatives of the energy as it is integrated.
        self.dx = ufl.Measure("dx", domain=mesh, metadata={"quadrature_degree": quadrature(degree)})
        names = cell.phase_names
        self.permittivity = cell.cell_function({name: charges.permittivities.get(name, 0.0) for name in names})
        self.inside = cell.cell_function({name: float(name in charges.fluid) for name in names})
        self.density = cell.cell_function({name: charges.fixed.get(name, 0.0) for name in names})
        element = element_of(cell, "Lagrange", degree)
        self.psi = fem.Function(fem.functionspace(mesh, element), name="potential")
        self.part = fem.Constant(mesh, 1.0)
        self.ions = [
            (fem.Constant(mesh, float(z)), fem.Constant(mesh, float(c)))
            for z, c in zip(charges.valences, charges.baths, strict=True)
        ]
        walls = [(facets_of_wall(cell, charges.fluid, name), value) for name, value in charges.charges.items()]
        self.surface = [fem.Constant(mesh, float(value)) for _, value in walls]
        facets = np.concatenate([np.zeros(0, dtype=np.int32), *(one for one, _ in walls)])
        number = np.concatenate([np.zeros(0), *(np.full(len(one), k) for k, (one, _) in enumerate(walls))])
        order = np.argsort(facets, kind="stable")
        self.tags = dmesh.meshtags(mesh, d - 1, facets[order], number[order].astype(np.int32))
        self.held = [(facets_of_wall(cell, charges.fluid, name), v) for name, v in charges.potentials.items()]
        self.dofs = [(fem.locate_dofs_topological(self.psi.function_space, d - 1, one), v) for one, v in self.held]
        self.problem = CellProblem(
            name="Poisson-Boltzmann equilibrium",
            fields=(
                Field(
                    element=element,
                    phases=charges.active,
                    fixed_facets=np.concatenate([np.zeros(0, dtype=np.int32), *(one for one, _ in self.held)]),
                    name="potential",
                ),
            ),
            loads=1,
            bilinear=self.tangent,
            linear=self.force,
            average=self.tangent_of_two,
            domain=mesh,
            given=[
                self.permittivity,
                self.inside,
                self.density,
                self.psi,
                self.part,
                *self.surface,
                *(one for pair in self.ions for one in pair),
            ],
            tags=(self.tags,),
            formula=("poisson-boltzmann", degree, len(self.ions), len(self.surface)),
        )

    def hold(self, part: float) -> None:
        """Take a part of the charges and of the potentials of the walls."""
        self.part.value = part
        for dofs, value in self.dofs:
            self.psi.x.array[dofs] = part * value

    def factors(self) -> list[tuple[Any, Any, Any]]:
        """For each ion its valence, its concentration in the bath, and Boltzmann's factor."""
        return [(z, c, ufl.exp(-z * self.psi)) for z, c in self.ions]

    def wall(self, v: Any) -> ufl.Form:
        """The integral of the charge of the walls times a function that is continuous."""
        inner, outer = (ufl.Measure(kind, domain=self.mesh, subdomain_data=self.tags) for kind in ("dS", "ds"))
        form: Any = 0
        for k, value in enumerate(self.surface):
            form += self.part * value * (ufl.avg(v) * inner(k) + v * outer(k))
        return form

    def tangent(self, u: Any, v: Any) -> ufl.Form:
        """The second derivative of the energy."""
        held = sum(z * z * c * factor for z, c, factor in self.factors())
        return (self.permittivity * ufl.inner(ufl.grad(u), ufl.grad(v)) + self.inside * held * u * v) * self.dx

    def tangent_of_two(self, w: Any, s: Any, z: Any, t: Any) -> ufl.Form:
        """The same, of two corrections."""
        return self.tangent(w, z)

    def force(self, v: Any, s: Any) -> ufl.Form:
        """The first derivative of the energy, turned."""
        charge = self.inside * sum(z * c * factor for z, c, factor in self.factors()) + self.part * self.density
        form = (charge * v - self.permittivity * ufl.inner(ufl.grad(self.psi), ufl.grad(v))) * self.dx
        return form + self.wall(v) if self.surface else form

    def size(self, v: Any) -> ufl.Form:
        """What the charges amount to, all with one sign."""
        charge = self.inside * sum(abs(z) * c * factor for z, c, factor in self.factors())
        form = (charge + self.part * abs(self.density)) * v * self.dx
        for k, value in enumerate(self.surface):
            inner, outer = (ufl.Measure(kind, domain=self.mesh, subdomain_data=self.tags) for kind in ("dS", "ds"))
            form += self.part * abs(value) * (ufl.avg(v) * inner(k) + v * outer(k))
        return form

    def energy(self) -> ufl.Form:
        """The energy."""
        psi = self.psi
        ions = sum(c * (factor - 1.0 + z * psi) for z, c, factor in self.factors())
        form = 0.5 * self.permittivity * ufl.inner(ufl.grad(psi), ufl.grad(psi)) + self.inside * ions
        form = (form - self.part * self.density * psi) * self.dx
        return form - self.wall(psi) if self.surface else form


class _Newton:
    """Newton's method for the potential of a layer; collective."""

    def __init__(self, layer: _Layer, rtol: float, most: int) -> None:
        self.layer, self.rtol, self.most = layer, rtol, most
        self.posed = Posed(layer.cell, layer.problem, None, "periodic")
        self.posed.require_room(direct=False)
        ((self.planes, self.reduced),) = self.posed.unknowns.items()
        self.energy = solve.integral(layer.problem.compile("energy", layer.energy))
        (test,) = self.posed.system.tests
        self.sizes = self.posed.system.vectors(lambda: layer.size(test), "size")
        self.iterations, self.residual, self.story = 0, np.inf, ""

    def solve(self, part: float) -> bool:
        """Go to the potential of a part of the charges from that at hand; whether it was reached."""
        layer, psi = self.layer, self.layer.psi
        layer.hold(part)
        energy = self.energy()
        for count in range(self.most + 1):
            self.posed.assemble()
            side, size = (
                self.reduced.vector(one) for one in (self.posed.sides[0], self.posed.system.assemble(self.sizes))
            )
            self.residual = side.norm() / max(size.norm(), np.finfo(float).tiny)
            for vector in (side, size):
                vector.destroy()
            self.story = (
                f"{count} steps with {part:.3g} of the charges: the residual is {self.residual:.2e} of the charges, "
                f"the energy {energy:.6g}, the largest potential {self._largest(psi):.4g} kT/e"
            )
            log.debug("Poisson-Boltzmann: %s", self.story)
            if self.residual <= self.rtol or not np.isfinite(self.residual) or count == self.most:
                break
            lowered = self._step(energy)
            if lowered is None:
                break
            energy = lowered
            self.iterations += 1
        self.posed.destroy()
        return bool(self.residual <= self.rtol)

    def _step(self, energy: float) -> float | None:
        """Make one step; the energy after it, None if no step lowers it."""
        psi, found = self.layer.psi, Found(1)
        group = Group(self.posed, self.planes, Method(rtol=1e-10))
        try:
            group.solve(0, found)
            side = self.reduced.vector(self.posed.sides[0])
            slope = side.dot(group.x)
            side.destroy()
        finally:
            group.destroy()
        delta = found.functions[0].x.array
        most = self._largest(found.functions[0]) * max(map(abs, self.layer.charges.valences))
        length, start = min(1.0, STEP / most) if most > 0.0 else 1.0, psi.x.array.copy()
        # Near the minimum the energy falls by less than its own round-off.
        noise = 64.0 * np.finfo(float).eps * (abs(energy) + abs(slope))
        for _ in range(HALVINGS):
            psi.x.array[:] = start + length * delta
            lowered = self.energy()
            if lowered <= energy - ARMIJO * length * slope + noise:
                return lowered
            length *= 0.5
        psi.x.array[:] = start
        return None

    def _largest(self, function: fem.Function) -> float:
        own = float(np.abs(function.x.array).max(initial=0.0))
        return float(self.layer.cell.comm.allreduce(own, op=MPI.MAX))


def quadrature(degree: int) -> int:
    """Return the degree of the rule by which all forms of a potential of a degree are integrated."""
    return 3 * degree + 2


def solve_poisson_boltzmann(
    cell: UnitCell,
    charges: Charges,
    *,
    degree: int = 2,
    rtol: float = 1e-9,
    max_iterations: int = 60,
    start: fem.Function | None = None,
) -> Equilibrium:
    """Solve for the potential of a charged cell; collective.

    Parameters
    ----------
    cell
        The whole cell, with all of its phases.
    charges
        Of its phases, walls and ions.
    degree
        Of the Lagrange elements of the potential, 1 to 4.
    rtol
        Residual of the discrete equations, relative to the charges.
    max_iterations
        Of Newton's method, for each part of the charges.
    start
        A potential of this degree on the mesh of the cell from which the method starts; zero by default.

    Returns
    -------
    Equilibrium

    Raises
    ------
    InputError
        For phases and walls that the cell does not have.
    ConvergenceError
        If the potential was not found, with what was reached.

    Examples
    --------
    >>> from homfem.cells import slit
    >>> from homfem.local.charges import Charges
    >>> ions = {"fluid": ("pore",), "valences": (1, -1), "baths": (1.0, 1.0)}
    >>> charges = Charges(**ions, permittivities={"pore": 0.125}, potentials={"walls": -2.0})
    >>> found = solve_poisson_boltzmann(slit(0.5, resolution=0.1), charges)
    >>> bool(found.residual < 1e-9), float(found.potential.x.array.min())
    (True, -2.0)
    """
    check_integer("degree", degree, at_least=1, at_most=4)
    check_integer("max_iterations", max_iterations, at_least=1)
    check_number("rtol", rtol, above=0.0, at_most=1e-4)
    cell.require_whole()
    charges.check_cell(cell)
    layer = _Layer(cell, charges, degree)
    if start is not None:
        layer.psi.x.array[:] = start.x.array
    newton = _Newton(layer, rtol, max_iterations)
    reached, step = 0.0, 1.0
    while charges.charged and reached < 1.0:
        start = layer.psi.x.array.copy()
        try:
            done = newton.solve(min(1.0, reached + step))
        except ConvergenceError as error:
            done, newton.story = False, str(error)
        if done:
            reached, step = min(1.0, reached + step), 2.0 * step
            continue
        layer.psi.x.array[:] = start
        step *= 0.5
        if step < SMALLEST:
            raise ConvergenceError(
                f"Poisson-Boltzmann equilibrium: not found beyond {reached:.3g} of the charges. {newton.story}. "
                "Mesh the walls finer, or give smaller charges."
            )
    resolution, coarse = _resolution(layer, degree)
    log.info("%s: Poisson-Boltzmann, %d steps, kappa h / degree %.2g", cell.name, newton.iterations, resolution)
    return Equilibrium(
        cell=cell,
        charges=charges,
        potential=layer.psi,
        energy=newton.energy(),
        residual=newton.residual if charges.charged else 0.0,
        iterations=newton.iterations,
        resolution=resolution,
        coarse_cells=coarse,
    )


def _resolution(layer: _Layer, degree: int) -> tuple[float, npt.NDArray[np.bool_]]:
    """The largest thickness of a cell of the layer over the local length of Debye and the degree; which exceed 1."""
    cell, charges = layer.cell, layer.charges
    owned = cell.mesh.topology.index_map(cell.dimension).size_local
    values = layer.psi.x.array[layer.psi.function_space.dofmap.list[:owned]]
    tag = [cell.phases[name] for name in charges.fluid]
    fluid = np.isin(cell.phase_of_cell[:owned], tag)
    permittivity = np.where(fluid, layer.permittivity.x.array[:owned], 1.0)
    local = sum(
        z * z * c * np.exp(-z * values).mean(axis=1) for z, c in zip(charges.valences, charges.baths, strict=True)
    )
    across = np.ptp(values, axis=1) * max(map(abs, charges.valences))
    ratio = np.sqrt(local / permittivity) * _thickness(cell, owned) / degree
    ratio = np.where(fluid & (across > STEEP), ratio, 0.0)
    largest = float(cell.comm.allreduce(float(ratio.max(initial=0.0)), op=MPI.MAX))
    return largest, ratio > 1.0


def _thickness(cell: UnitCell, owned: int) -> Array:
    """Smallest height of each owned simplex, smallest edge of each box."""
    d = cell.dimension
    number = d + 1 if cell.simplicial else 2**d
    corners = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:owned, :number]][:, :, :d]
    if not cell.simplicial:
        edges = corners[:, [2**k for k in range(d)]] - corners[:, :1]
        return np.asarray(np.linalg.norm(edges, axis=2).min(axis=1, initial=np.inf))
    gradients = np.linalg.inv((corners[:, 1:] - corners[:, :1]).transpose(0, 2, 1))
    slopes = np.concatenate([gradients, -gradients.sum(axis=1, keepdims=True)], axis=1)
    return np.asarray(1.0 / np.linalg.norm(slopes, axis=2).max(axis=1, initial=0.0))
