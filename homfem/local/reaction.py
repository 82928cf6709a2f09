r"""Decay by reaction in the phases and on surfaces, and what the solute that is left does meanwhile.

The spectral problem of :mod:`homfem.local.spectral` for one solute. With :math:`dm=\rho\,dy+K\,dS` and
:math:`\int\varphi\varphi^*dm=m(Y)`, what is left is :math:`e^{-\lambda t}\varphi(y)\,w(x,t)` with

.. math:: \partial_tw+V\cdot\nabla w=\nabla\cdot(D^*\nabla w) ,\qquad
          V=\frac1{m(Y)}\int b ,\qquad b=\varphi\varphi^*v+D(\varphi\nabla\varphi^*-\varphi^*\nabla\varphi) ,

the field b without divergence and with :math:`b\cdot n=0` on the walls. Without a flow :math:`b=0`, and

.. math:: -\nabla\cdot\bigl(\varphi^2D(e_j+\nabla\chi_j)\bigr)=0 ,\qquad
          D^*_{ij}=\frac1{m(Y)}\int\varphi^2\,(e_i+\nabla\chi_i)\cdot D(e_j+\nabla\chi_j) .

**Units.** The forms are in mesh units: D has its own unit, k is :math:`kL^2`, :math:`k_s` is :math:`k_sL`, K is
:math:`K/L`, v is :math:`vL` with the length L of the cell, so that the eigenvalue is :math:`\lambda L^2`; all in the
unit of D.

Source: Allaire, Raphael 2007, doi 10.1016/j.crma.2007.03.008; Mauri 1991, doi 10.1063/1.858023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.membranes import times
from homfem.local.problem import CellProblem, Field, element_of
from homfem.local.spectral import SpectralProblem, Spectrum
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.topology.faces import join
from homfem.meshing.topology.named_interfaces import with_interfaces
from homfem.parameters import check_choice

#: The name of all outer facets of the active phases together.
WALLS = "walls"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Surfaces:
    """Where a solute reacts or is held on surfaces.

    Parameters
    ----------
    mesh
        The mesh of the forms.
    names
        Of the surfaces.
    tags
        Their facets, numbered by the place of the name: walls and inner facets.
    rates, capacities : tuple of fem.Constant
        :math:`k_sL` and :math:`K/L` of each.
    """

    mesh: dmesh.Mesh
    names: tuple[str, ...]
    tags: dmesh.MeshTags
    rates: tuple[fem.Constant, ...]
    capacities: tuple[fem.Constant, ...]

    @property
    def given(self) -> tuple[fem.Constant, ...]:
        """What the forms take."""
        return (*self.rates, *self.capacities)

    def measures(self, k: int) -> tuple[Any, Any]:
        """Return the measures of the facets of a surface on walls, and inside."""
        walls = ufl.Measure("ds", domain=self.mesh, subdomain_data=self.tags)
        inner = ufl.Measure("dS", domain=self.mesh, subdomain_data=self.tags)
        return walls(k), inner(k)

    def product(self, coefficients: tuple[fem.Constant, ...], u: Any, w: Any) -> ufl.Form:
        """Return the form of a product of continuous functions on the surfaces, each with its coefficient."""
        form = 0
        for k, value in enumerate(coefficients):
            walls, inner = self.measures(k)
            form += value * u * w * walls + value * ufl.avg(u) * ufl.avg(w) * inner
        return form


def surfaces_of(
    cell: UnitCell, rates: Mapping[str, float], capacities: Mapping[str, float] | None = None
) -> Surfaces | None:
    """Return the surfaces of a cell on which something happens, None without any; collective.

    Parameters
    ----------
    cell
        Restricted to its active phases; interfaces to others keep their names
        (:func:`homfem.meshing.topology.named_interfaces.with_interfaces`).
    rates, capacities
        :math:`k_sL` and :math:`K/L` by the names of the facets; the name :data:`WALLS` stands for all outer facets.

    Raises
    ------
    InputError
        For facets that the cell does not have.
    """
    held = capacities or {}
    names = tuple(dict.fromkeys((*rates, *held)))
    if not names:
        return None
    mesh, d = cell.mesh, cell.dimension
    mesh.topology.create_connectivity(d - 1, d)
    owned = mesh.topology.index_map(d - 1).size_local
    number = np.full(owned, -1, dtype=np.int32)
    for k, name in enumerate(names):
        if name == WALLS:
            facets = dmesh.exterior_facet_indices(mesh.topology)
        else:
            check_choice("surface", name, tuple(cell.facets))
            facets = cell.facets[name]
        number[facets[facets < owned]] = k
    facets = np.flatnonzero(number >= 0).astype(np.int32)
    return Surfaces(
        mesh=mesh,
        names=names,
        tags=dmesh.meshtags(mesh, d - 1, facets, number[facets]),
        rates=tuple(fem.Constant(mesh, float(rates.get(name, 0.0))) for name in names),
        capacities=tuple(fem.Constant(mesh, float(held.get(name, 0.0))) for name in names),
    )


def keep_interfaces(cell: UnitCell, names: Sequence[str]) -> UnitCell:
    """Return the cell with names on interfaces that stay when one of their phases is left out; collective.

    Parameters
    ----------
    cell
        Whole, with all phases.
    names
        The interfaces ``"a|b"``; other names stay as they are.
    """
    interfaces = [name for name in names if "|" in name]
    known = cell.comm.bcast(None if cell.raw is None else tuple(cell.raw.facet_names), root=0)
    missing = [name for name in interfaces if name not in known]
    if not missing:
        return cell
    raw = cell.raw

    def make() -> RawCell | None:
        if raw is None:
            return None
        joined = join(raw, faces=cell.faces, partial=True, origin=cell.origin)
        return with_interfaces(raw, joined.representative, joined.offset, missing)

    return cell.with_mesh(make)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reacting:
    r"""A solute in a cell on one mesh.

    Parameters
    ----------
    cell
        Restricted to its active phases.
    diffusivity, rate, capacity : fem.Function
        D (a number or a matrix on each mesh cell), :math:`kL^2` and :math:`\rho`, constant on each mesh cell.
    surfaces
        Where it reacts or is held on surfaces, if anywhere.
    velocity
        vL, a UFL vector on ``cell.mesh``; none without a flow.
    absorbing
        Whether all walls take the solute at once: its concentration is zero there, the limit of :math:`k_s\to\infty`.
    """

    cell: UnitCell
    diffusivity: fem.Function
    rate: fem.Function
    capacity: fem.Function
    surfaces: Surfaces | None = None
    velocity: Any = None
    absorbing: bool = False

    def reacting(self, u: Any, w: Any) -> ufl.Form:
        """Return the part of a that reaction makes."""
        form = self.rate * u * w * ufl.dx(domain=self.cell.mesh)
        return form if self.surfaces is None else form + self.surfaces.product(self.surfaces.rates, u, w)

    def energy(self, u: Any, w: Any) -> ufl.Form:
        """Return the form a without the flow."""
        return ufl.inner(times(self.diffusivity, ufl.grad(u)), ufl.grad(w)) * ufl.dx + self.reacting(u, w)

    def bilinear(self, u: Any, w: Any) -> ufl.Form:
        """Return the form a."""
        form = self.energy(u, w)
        if self.velocity is None:
            return form
        return form + 0.5 * (ufl.dot(self.velocity, ufl.grad(u)) * w - ufl.dot(self.velocity, ufl.grad(w)) * u) * ufl.dx

    def mass(self, u: Any, w: Any) -> ufl.Form:
        """Return the form m."""
        form = self.capacity * u * w * ufl.dx(domain=self.cell.mesh)
        return form if self.surfaces is None else form + self.surfaces.product(self.surfaces.capacities, u, w)

    def along(self, u: Any, w: Any, s: Any) -> ufl.Form:
        """Return the form :math:`s_jc_j` of the Bloch problem."""
        flux = times(self.diffusivity, s)
        form = (u * ufl.dot(flux, ufl.grad(w)) - w * ufl.dot(flux, ufl.grad(u))) * ufl.dx
        return form if self.velocity is None else form + ufl.dot(self.velocity, s) * u * w * ufl.dx

    def spread(self, u: Any, w: Any, s: Any, t: Any) -> ufl.Form:
        """Return the form :math:`s_it_jd_{ij}` of the Bloch problem."""
        return ufl.dot(s, times(self.diffusivity, t)) * u * w * ufl.dx

    def amount(self) -> float:
        """Return :math:`m(Y)`, in mesh units; collective."""
        return self._integral("amount", self.mass)

    def slow_rate(self) -> float:
        r"""Return :math:`a(1,1)/m(1,1)`: the rate of decay (times :math:`L^2`) where diffusion is fast; collective."""
        return self._integral("slow", self.reacting) / self.amount()

    def _integral(self, name: str, form: Any) -> float:
        one = fem.Constant(self.cell.mesh, 1.0)
        surfaces = self.surfaces
        terminals = solve.Terminals(
            mesh=self.cell.mesh,
            functions=[self.diffusivity, self.rate, self.capacity],
            constants=[one, *(() if surfaces is None else surfaces.given)],
            tags=[] if surfaces is None else [surfaces.tags],
        )
        count = 0 if surfaces is None else len(surfaces.names)
        return solve.integrate(solve.compile_formula(("reaction", name, count), lambda: form(one, one), terminals))

    def problem(self, degree: int) -> SpectralProblem:
        """Return the spectral problem in Lagrange elements of a degree; collective."""
        surfaces, count = self.surfaces, 0 if self.surfaces is None else len(self.surfaces.names)
        flow = isinstance(self.velocity, fem.Function)
        return SpectralProblem(
            name="decay of a solute",
            unknown=Field(element=element_of(self.cell, "Lagrange", degree), name="solute", fixed_walls=self.absorbing),
            bilinear=self.bilinear,
            mass=self.mass,
            domain=self.cell.mesh,
            symmetric=self.velocity is None,
            shift=self.shift(),
            along=self.along,
            spread=self.spread,
            coefficients={"diffusivity": self.diffusivity},
            given=[
                self.rate,
                self.capacity,
                *(() if surfaces is None else surfaces.given),
                *((self.velocity,) if flow else ()),
            ],
            tags=() if surfaces is None else (surfaces.tags,),
            formula=("reaction", count, flow) if flow or self.velocity is None else None,
        )

    def shift(self) -> float:
        """Return a rate (times :math:`L^2`) that is not small beside the gaps of the spectrum; collective."""
        owned = self.cell.mesh.topology.index_map(self.cell.dimension).size_local
        values = self.diffusivity.x.array.reshape(len(self.cell.phase_of_cell), -1)[:owned]
        sizes = np.sqrt((values**2).sum(axis=1))
        largest, held = (
            self.cell.comm.allreduce(float(np.max(array, initial=0.0)), op=MPI.MAX)
            for array in (sizes, self.capacity.x.array[:owned])
        )
        return largest / held if held > 0.0 else 0.0

    def weighted(self, spectrum: Spectrum, degree: int) -> CellProblem:
        """Return the cell problem of what is left, weighted by the square of the eigenfunction: without a flow."""
        weight = spectrum.function
        along = range(self.cell.dimension)

        def bilinear(u: Any, w: Any) -> ufl.Form:
            return weight**2 * ufl.inner(times(self.diffusivity, ufl.grad(u)), ufl.grad(w)) * ufl.dx

        return CellProblem(
            name="diffusion weighted by the square of the eigenfunction",
            fields=(Field(element=element_of(self.cell, "Lagrange", degree), name="potential"),),
            loads=self.cell.dimension,
            bilinear=bilinear,
            affine=lambda x, s: sum(s[k] * x[k] for k in along),
            parity=1 - 2 * np.eye(self.cell.dimension, dtype=int),
            flux=lambda u, _: weight**2 * times(self.diffusivity, ufl.grad(u)),
            domain=self.cell.mesh,
            coefficients={"diffusivity": self.diffusivity},
            given=[weight],
            formula=("weighted diffusion",),
        )
