r"""Guaranteed bounds of a dispersion tensor from both sides, for any pair of conforming fields.

In the active part :math:`Y_f` of the cell flows v, without divergence and not through the walls; D is diffusivity,
:math:`\varrho>0` capacity and K that of the walls, :math:`m(w)=\int\varrho w\,dy+\int_\Gamma Kw\,dS` their measure,
:math:`V=\int v/m(1)`. With the correctors :math:`\chi^\pm` of v and -v, :math:`f=(\chi^++\chi^-)/2` and
:math:`g=(\chi^+-\chi^-)/2` obey, for all w,

.. math:: (D(e+\nabla f),\nabla w)+(v\cdot\nabla g,w)=0 ,\qquad
          (D\nabla g,\nabla w)+(v\cdot(e+\nabla f),w)=V\cdot e\,m(w) ,

and :math:`m(1)\,e\cdot D^*e` is the value at this saddle point of

.. math:: \mathcal L(f,g)=\int D|e+\nabla f|^2-D|\nabla g|^2
   -2\Bigl[\int v\cdot(e+\nabla f)\,g-V\cdot e\,m(g)\Bigr].

**Upper bound.** For any f the maximum over g is, by its dual problem, at most

.. math:: \int D|e+\nabla f|^2+\int q\cdot D^{-1}q ,\qquad
          \nabla\cdot q=v\cdot(e+\nabla f)-\varrho\,V\cdot e ,\quad q\cdot n=K\,V\cdot e .

**Lower bound.** As v has no divergence, :math:`-\int v\cdot\nabla f\,g=\int v\cdot\nabla g\,f`, and for any g the
minimum over f is at least

.. math:: \int 2\,p\cdot e-p\cdot D^{-1}p-D|\nabla g|^2-2\Bigl[\int v\cdot e\,g-V\cdot e\,m(g)\Bigr] ,\qquad
          \nabla\cdot p=v\cdot\nabla g ,\quad p\cdot n=0 .

Each holds for all directions at once, with f, g, p and q linear in e. Neither asks how f and g were found.

**What is proved of the computed numbers.** v is quadratic and f of degree p on each simplex, so that the divergences
are polynomials of degree p + 1: the fluxes have exactly these (:mod:`homfem.local.equilibrium`), no oscillation is
left. What their residual can do is in the bounds. So is what the velocity's does
(:mod:`homfem.certify.dispersion.velocity`): the bounds are of a velocity v + w next to v, :math:`\|w\|\le\omega`. The
divergence of q, say, then lacks :math:`r=w\cdot(e+\nabla f)` less a mean, and a flux with it has the norm

.. math:: \|r\|_{-1}\le 2\,\omega\,\|e+\nabla f\|\sqrt W+\frac{h}{\pi\sqrt{D_\mathrm{min}}}\,\omega\,\max|e+\nabla f| ,
          \qquad W=\sum_K\frac{(h_K/d)^2}{|K|D_\mathrm{min}} ,

by Poincare's inequality in each simplex (Payne, Weinberger 1960; Bebendorf 2003) and, for the means of the simplices,
along a path of facets as in :mod:`homfem.certify.diffusion.physics`; the work on g lacks at most
:math:`2\,\omega\,\|g-m(g)/m(1)\|`. Round-off is counted as in
:mod:`homfem.local.roundoff`.

**The gap** is a sum over the simplices (Prager and Synge 1947), whatever f, g, p and q are:

.. math:: U-L=\frac1{m(1)}\sum_K\int_K|D(e+\nabla f)-p|^2_{D^{-1}}+|D\nabla g-q|^2_{D^{-1}} .

Source: Fannjiang, Papanicolaou 1994, doi 10.1137/S0036139992236785 (the two variational principles); Milton 1990, doi
10.1002/cpa.3160430104; Payne, Weinberger 1960, doi 10.1007/BF00252910.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, brackets, solve
from homfem.brackets import EPS
from homfem.certify.dispersion.stream import Stream
from homfem.certify.physics import owned_values
from homfem.local import roundoff
from homfem.local.equilibrium import COMPATIBLE, Equilibrated, Equilibrium
from homfem.local.equilibrium_elements import Moments
from homfem.local.membranes import times
from homfem.local.roundoff import STEPS
from homfem.parameters import Array, InputError

Fields = Sequence[fem.Function]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Certified:
    r"""Both sides of a dispersion tensor, per unit of the measure.

    Parameters
    ----------
    low, high : array, shape (d, d)
        The values that were computed.
    below, above : array, shape (d, d)
        What the residuals may have done to them.
    noise : tuple of two arrays, shape (d, d)
        The same of round-off.
    drift : array, shape (d, d)
        :math:`\int D\nabla g_i\cdot\nabla g_j`.
    fluxes
        q of each axis, then p.
    """

    low: Array
    high: Array
    below: Array
    above: Array
    noise: tuple[Array, Array]
    drift: Array
    fluxes: Equilibrated

    @property
    def lower(self) -> Array:
        """The lower bound."""
        return brackets.symmetric(self.low - self.below - self.noise[0])

    @property
    def upper(self) -> Array:
        """The upper bound."""
        return brackets.symmetric(self.high + self.above + self.noise[1])


def degree_of_fluxes(degree: int, velocity: int = 2) -> int:
    """Return the degree of the fluxes that balance fields of a degree and a velocity of one."""
    return velocity + degree


def certify(stream: Stream, f: Fields, g: Fields, equilibrium: Equilibrium, *, allowance: float = 1e-7) -> Certified:
    """Bound a dispersion tensor from both sides with any fields; collective.

    Parameters
    ----------
    stream
        The flow, and what diffuses in it.
    f, g
        For each axis a continuous, periodic function of one Lagrange space on ``stream.cell.mesh``.
    equilibrium
        The flux problem of the cell and the diffusivity, of the degree :func:`degree_of_fluxes`.
    allowance
        What the residual of the fluxes may add, relative to their energies.

    Raises
    ------
    InputError
        If f and g are not of one continuous space on the mesh, one for each axis; if connected parts have different
        mean velocities.
    ConvergenceError
    """
    _check_fields(stream, f, g, equilibrium)
    forms = _Forms(stream, f[0].function_space, equilibrium.elements.reference.degree - 1)
    sources, balance = forms.sources(f, g)
    elements, d = equilibrium.elements, stream.cell.dimension
    constants = elements.work_of_constants()
    kept = stream.sorption.x.array[: len(constants), None] * equilibrium.wall_areas()
    outflow = np.einsum("mk,j->mkj", np.repeat(kept / d, d, axis=1), np.append(stream.mean, np.zeros(d)))
    work = np.concatenate([np.zeros_like(constants), constants], axis=2)
    # What is carried is balanced on each connected part, or else the parts have different mean velocities.
    slopes = np.concatenate([forms.norms(fields, 0.0)[1] for fields in (f, g)])
    noise = COMPATIBLE * math.sqrt(forms.speed()) * (1.0 + slopes)
    divergence = np.concatenate([sources, balance], axis=2)
    fluxes = equilibrium.solve(divergence, work, outflow, allowance=allowance, noise=noise)
    potential, drift, crossed = forms.energies(f, g)
    q, p = slice(d), slice(d, 2 * d)
    high = potential + fluxes.value[q, q]
    low = -fluxes.value[p, p] - drift - crossed - crossed.T
    allowed = _Allowances(stream, forms, equilibrium, fluxes)
    below, above, rounding = allowed.of(f, g, potential, drift)
    measure = stream.measure
    return Certified(
        low=np.asarray(low / measure),
        high=np.asarray(high / measure),
        below=np.asarray(below / measure),
        above=np.asarray(above / measure),
        noise=(np.asarray(rounding[0] / measure), np.asarray(rounding[1] / measure)),
        drift=np.asarray(drift / measure),
        fluxes=fluxes,
    )


def _check_fields(stream: Stream, f: Fields, g: Fields, equilibrium: Equilibrium) -> None:
    spaces, d = [one.function_space for one in (*f, *g)], stream.cell.dimension
    if len(f) != d or len(g) != d:
        raise InputError("fields", (len(f), len(g)), f"{d} of each kind")
    element = spaces[0].ufl_element()
    alike = all(space.mesh is stream.cell.mesh and space.ufl_element() == element for space in spaces)
    if not alike or element.family_name != "P" or element.discontinuous or element.reference_value_shape:
        raise InputError("fields", str(element), "continuous Lagrange functions of one degree on the mesh of the cell")
    least = degree_of_fluxes(element.degree, stream.velocity.function_space.ufl_element().degree)
    if equilibrium.elements.reference.degree < least:
        given = equilibrium.elements.reference.degree
        raise InputError("equilibrium", given, f"of degree {least} at least", "The divergences are polynomials.")


class _Forms:
    """The forms of a stream and of fields of one space, compiled once."""

    def __init__(self, stream: Stream, space: fem.FunctionSpace, degree: int) -> None:
        self.stream, self.degree, mesh = stream, degree, stream.cell.mesh
        self.u, self.w = fem.Function(space), fem.Function(space)
        self.direction, self.other = (fem.Constant(mesh, np.zeros(stream.cell.dimension)) for _ in range(2))
        self.drift = fem.Constant(mesh, 0.0)
        d, v, rho = stream.coefficient, stream.velocity, stream.density
        u, w, e, t, drift = self.u, self.w, self.direction, self.other, self.drift

        def build() -> list[ufl.Form]:
            along = e + ufl.grad(u)
            return [
                ufl.inner(along, times(d, t + ufl.grad(w))) * ufl.dx,
                ufl.inner(v, e) * w * ufl.dx - drift * stream.held(w),
                ufl.inner(v, v) * ufl.dx,
                ufl.inner(u, u) * ufl.dx,
                ufl.inner(along, along) * ufl.dx,
            ]

        terminals = solve.Terminals(mesh=mesh, functions=[d, v, rho, stream.sorption, u, w], constants=[e, t, drift])
        compiled = solve.compile_formulas(("dispersion", "energies"), build, terminals)
        self.energy, self.crossed, self.speed, self.square, self.slope = (solve.integral(form) for form in compiled)

    def take(self, target: fem.Function, source: fem.Function) -> None:
        """Put the values of a field into one of the forms."""
        target.x.array[:] = source.x.array

    def sources(self, f: Fields, g: Fields) -> tuple[Array, Array]:
        """Moments of the divergences of q and of p for each axis; collective."""
        stream, u, e, drift = self.stream, self.u, self.direction, self.drift
        v, rho = stream.velocity, stream.density

        def build(test: Any) -> ufl.Form:
            return (ufl.inner(v, e + ufl.grad(u)) - rho * drift) * test * ufl.dx

        made = Moments(stream.cell, self.degree, "dispersion", build, [v, rho, u], [e, drift])
        found: list[list[Array]] = [[], []]
        for axis, unit in enumerate(np.eye(stream.cell.dimension)):
            for into, field, vector in zip(found, (f, g), (unit, 0.0 * unit), strict=True):
                self.take(u, field[axis])
                e.value[:], drift.value = vector, stream.mean @ vector
                into.append(made())
        return np.stack(found[0], axis=2), np.stack(found[1], axis=2)

    def energies(self, f: Fields, g: Fields) -> tuple[Array, Array, Array]:
        """The energies of f with its load and of g, and the work of the velocity on g (row: axis of g); collective."""
        stream, unit = self.stream, np.eye(self.stream.cell.dimension)
        shape = unit.shape
        potential, drift, crossed = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for i in range(len(unit)):
            for j in range(len(unit)):
                self.take(self.w, g[i])
                self.direction.value[:], self.drift.value = unit[j], stream.mean[j]
                crossed[i, j] = self.crossed()
                if j > i:
                    continue
                for into, fields, size in ((potential, f, 1.0), (drift, g, 0.0)):
                    self.take(self.u, fields[i])
                    self.take(self.w, fields[j])
                    self.direction.value[:], self.other.value[:] = size * unit[i], size * unit[j]
                    into[i, j] = into[j, i] = self.energy()
        return potential, drift, crossed

    def apart(self, fields: Fields) -> Array:
        """For each axis the norm of what a field differs from its mean under m; collective."""
        self.direction.value[:], self.drift.value, found = 0.0, 1.0, []
        for field in fields:
            self.take(self.w, field)
            self.u.x.array[:] = field.x.array + self.crossed() / self.stream.measure
            found.append(self.square())
        return np.sqrt(found)

    def norms(self, fields: Fields, size: float) -> tuple[Array, Array]:
        """For each axis the norm of a field, and that of its gradient with ``size`` times its load; collective."""
        found = []
        for unit, field in zip(np.eye(self.stream.cell.dimension), fields, strict=True):
            self.take(self.u, field)
            self.direction.value[:] = size * unit
            found.append((self.square(), self.slope()))
        squares = np.array(found)
        return np.sqrt(squares[:, 0]), np.sqrt(squares[:, 1])


class _Allowances:
    """What residuals, the velocity's uncertainty and round-off may have done to both sides."""

    def __init__(self, stream: Stream, forms: _Forms, equilibrium: Equilibrium, fluxes: Equilibrated) -> None:
        self.stream, self.forms, self.fluxes, self.cell = stream, forms, fluxes, stream.cell
        d = self.cell.dimension
        values = owned_values(self.cell, stream.coefficient)
        self.largest = roundoff.largest(values, d)
        smallest = values[:, 0] if values.shape[1] == 1 else np.linalg.eigvalsh(values.reshape(-1, d, d))[:, 0]
        self.volume, self.steep = roundoff.steepness(self.cell)
        nodes = self.cell.mesh.geometry.x[_dolfinx.geometry_dofmap(self.cell.mesh)[: len(self.volume), : d + 1]][
            :, :, :d
        ]
        first, second = np.triu_indices(d + 1, 1)
        diameter = np.linalg.norm(nodes[:, first] - nodes[:, second], axis=2).max(axis=1, initial=0.0)
        comm = self.cell.comm
        path = comm.allreduce(float(np.sum((diameter / d) ** 2 / (self.volume * smallest))), op=MPI.SUM)
        local = comm.allreduce(float((diameter / np.sqrt(smallest)).max(initial=0.0)), op=MPI.MAX)
        steepest = comm.allreduce(float(self.steep.max(initial=0.0)), op=MPI.MAX)
        self.room = comm.allreduce(float(self.volume.sum()), op=MPI.SUM)
        self.path, self.local, self.steepest = math.sqrt(path), local / math.pi, steepest

    def of(self, f: Fields, g: Fields, potential: Array, drift: Array) -> tuple[Array, Array, tuple[Array, Array]]:
        """Return what residuals may have done below and above, and what round-off may have done to each."""
        d, fluxes, omega = self.cell.dimension, self.fluxes, self.stream.uncertainty
        axes = [(axis,) for axis in range(d)]
        _, slope_f = self.forms.norms(f, 1.0)
        size_g, slope_g = self.forms.norms(g, 0.0)
        lacking = [self._lacking(f, slope_f + math.sqrt(self.room), 1.0), self._lacking(g, slope_g, 0.0)]
        energies = np.diag(fluxes.energy)
        # Any numbers above the energies will do: those of a whole side, as a direction in which nothing is carried has
        # no energy of its own to share.
        over, under = (
            roundoff.weights(self.cell, np.diag(np.diag(own) + np.abs(rest)), axes)
            for own, rest in ((potential, energies[:d]), (drift, energies[d:]))
        )
        # sqrt(p.p) + sqrt(e.De) is what a flux of the norm 1 can change.
        under = (np.sqrt(under) + np.sqrt(self._energy_of_loads())) ** 2
        above = brackets.shared(fluxes.excess[:d], over) + brackets.of_round_off(lacking[0], over, 0.0)
        below = brackets.shared(fluxes.excess[d:], under) + brackets.of_round_off(lacking[1], under, 0.0)
        below += 2.0 * d * omega * float(self.forms.apart(g).max()) * np.eye(d)
        speed = math.sqrt(self.forms.speed())
        crossed = STEPS * EPS * 2.0 * d * float(size_g.max()) * speed * np.eye(d)
        noise_f, noise_g = self._noise(f, over), self._noise(g, under)
        noise_q, noise_p = self._noise_of_fluxes(slice(d), over), self._noise_of_fluxes(slice(d, 2 * d), under)
        return below, above, (noise_p + noise_g + crossed, noise_f + noise_q)

    def _noise_of_fluxes(self, own: slice, weights: Array) -> Array:
        """What round-off may have done to the values of fluxes."""
        count = self.cell.comm.allreduce(len(self.volume), op=MPI.SUM)
        whole = brackets.of_round_off(np.zeros(len(weights)), weights, np.log2(2.0 + count) + STEPS)
        return whole + brackets.shared(self.fluxes.error[own], weights)

    def _lacking(self, fields: Fields, slope: Array, load: float) -> Array:
        """The squares of the norms of the fluxes that the velocity's uncertainty asks for, for each axis."""
        degree = fields[0].function_space.ufl_element().degree
        steepest = load + 2.0 * degree**2 * self.steepest * roundoff.sizes(self.cell, fields)
        found = self.stream.uncertainty * (2.0 * self.path * slope + self.local * steepest)
        return np.asarray(found**2)

    def _energy_of_loads(self) -> float:
        return float(self.cell.comm.allreduce(float(self.volume @ self.largest), op=MPI.SUM))

    def _noise(self, fields: Fields, weights: Array) -> Array:
        """What round-off may have done to the energies of fields."""
        degree = fields[0].function_space.ufl_element().degree
        steep = STEPS * EPS * (1.0 + 2.0 * degree**2 * self.steep[:, None] * roundoff.sizes(self.cell, fields))
        parts = self.cell.comm.allreduce(np.asarray((self.volume * self.largest) @ steep**2), op=MPI.SUM)
        count = self.cell.comm.allreduce(len(self.volume), op=MPI.SUM)
        return brackets.of_round_off(parts, weights, float(count))
