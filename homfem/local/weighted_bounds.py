r"""Both sides of the diffusivity of what is left of a solute that decays: the tensor weighted by :math:`\varphi^2`.

The weight is the square of the first eigenfunction of :mod:`homfem.local.reaction`, of which a computed u is known, and
not :math:`\varphi` itself. Pointwise bounds of it are not needed: with the bounds
:math:`\lambda_-\le\lambda\le\lambda_+` and :math:`\mu\le\lambda_2` of :mod:`homfem.local.eigenvalue_bounds`, where
:math:`\lambda_+` is the quotient of u, and :math:`m(u,u)=m(\varphi,\varphi)=M`, the angle of the two has

.. math:: \sin^2\alpha\le\frac{\lambda_+-\lambda_-}{\mu-\lambda_-} ,\qquad
          m(\eta,\eta)=2M(1-\cos\alpha)\le\delta^2 ,\qquad
          a'(\eta,\eta)\le M(\lambda_+-\lambda_-)+\lambda_+'\delta^2=\epsilon^2

for :math:`\eta=\varphi-u`, with :math:`a'=a+\gamma m` and :math:`\lambda'=\lambda+\gamma`.

**Above**, for any correctors :math:`\chi`, linear in e, and :math:`g=e+\nabla\chi`,

.. math:: (M\,e\cdot D^*e)^{1/2}\le\Bigl(\int\varphi^2g\cdot Dg\Bigr)^{1/2}
          \le\Bigl(\int u^2g\cdot Dg\Bigr)^{1/2}+\frac\delta{\sqrt{\rho}}\,\max(g\cdot Dg)^{1/2} ,

the largest value from Bernstein's coefficients of g on each simplex.

**Below.** With :math:`w=\varphi v` for v in the energy principle (the transformation by the ground state)

.. math:: M\,e\cdot D^*e=\min_wJ(w) ,\quad J(w)=\int\varphi^2e\cdot De+2c(\varphi,w)+(a-\lambda m)(w,w) ,\quad
          c(\varphi,w)=\int\varphi\,De\cdot\nabla w-w\,De\cdot\nabla\varphi .

Nothing changes with multiples of :math:`\varphi` in w, and for z that is m-orthogonal to it
:math:`(a-\lambda m)(z,z)\ge\kappa\,a'(z,z)`, :math:`\kappa=1-\lambda_+'/\mu'`. So for any w, such as :math:`u\chi` less
a multiple of u,

.. math:: M\,e\cdot D^*e\ge J(w)-\frac1\kappa\|r\|^2 ,\qquad r(z)=c(\varphi,z)+(a-\lambda m)(w,z) ,

with the norm of the dual of a'. With u and :math:`\lambda_+` in place of :math:`\varphi` and :math:`\lambda` the
residual r has a norm that any flux of H(div) bounds,

.. math:: \|r_u\|^2\le\int(F-\tau)\cdot D^{-1}(F-\tau)+\int\frac{(f-\nabla\cdot\tau)^2}{k'}
          +\int_\Gamma\frac{(s+[\tau\cdot n])^2}{k_s'} ,\quad F=D\nabla w+u\,De ,\quad
          f=(k-\lambda_+\rho)w-De\cdot\nabla u ,\quad s=k_sw ,

and the best one of Raviart and Thomas is taken (:mod:`homfem.local.eigenvalue_fluxes`). The rest is
:math:`\eta`: with :math:`d_\pm` the extreme eigenvalues of D, of a unit vector e,

.. math:: J(w)\ge J_u(w)-(d_+-d_-)\sqrt M\,\delta\rho^{-1}-2\bigl(\delta\rho^{-1/2}d_+\|\nabla w\|
          +\epsilon\sqrt{d_+}\,\|w\|\bigr) ,\qquad
          \|r\|\le\|r_u\|+\sqrt{d_+}\Bigl(\frac\delta{\sqrt\rho}+\frac\epsilon{\sqrt{\gamma\rho}}\Bigr)
          +(\lambda_+-\lambda_-)\sqrt{m(w,w)/\gamma} .

:math:`\delta` and :math:`\epsilon` are of the order of the error of u in the energy, so that the distance of the two
sides is of that order too, and not of its square as that of the bounds of the rate: they are wider than the error is.
The capacity :math:`\rho` is constant, and nothing is held on surfaces.

Source: Allaire, Raphael 2007, doi 10.1016/j.crma.2007.03.008 (the transformation); Weinberger 1974, Variational Methods
for Eigenvalue Approximation (angles from eigenvalues); Prager, Synge 1947, doi 10.1090/qam/25902.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.brackets import EPS
from homfem.local.eigenvalue_bounds import EigenvalueBounds
from homfem.local.eigenvalue_fluxes import Square, best_fluxes, on
from homfem.local.membranes import times
from homfem.local.problem import Correctors
from homfem.local.reaction import Reacting
from homfem.local.spectral import Spectrum
from homfem.parameters import Array

#: What round-off may do to energies that are sums over all mesh cells, for each, relative.
ROUNDED = 64.0 * EPS


def weighted_bounds(
    medium: Reacting, spectrum: Spectrum, correctors: Correctors, bounds: EigenvalueBounds, *, degree: int
) -> tuple[Array, Array] | None:
    """Return both sides of the weighted diffusivity, per amount, in the Loewner order; collective.

    Parameters
    ----------
    medium
        On a cell of straight simplices, without a flow, of constant capacity.
    spectrum, correctors
        What was found of its decay, and of the diffusion that it weighs.
    bounds
        Of its eigenvalue.
    degree
        Of the fluxes.

    Returns
    -------
    lower, upper : array, shape (d, d)
        In the unit of the diffusivity; the lower one may say nothing. None without a lower bound of the rate.
    """
    if bounds.lower is None or not bounds.upper < bounds.second:
        return None
    squared_sine = (bounds.upper - bounds.lower) / (bounds.second - bounds.lower)
    own = _Weighted(medium, spectrum, correctors, bounds, squared_sine)
    noise = ROUNDED * (medium.cell.number_of_cells + 1000.0) * own.amount * own.largest * np.eye(own.d)
    return (own.lower(degree) - noise) / own.amount, (own.upper() + noise) / own.amount


@dataclass(frozen=True, kw_only=True, slots=True)
class Apart:
    """How far u is from the eigenfunction: in m, and in a'."""

    mass: float
    energy: float


class _Weighted:
    """The numbers of both sides; collective."""

    def __init__(
        self,
        medium: Reacting,
        spectrum: Spectrum,
        correctors: Correctors,
        bounds: EigenvalueBounds,
        squared_sine: float,
    ) -> None:
        self.medium, self.cell, self.d = medium, medium.cell, medium.cell.dimension
        self.u, self.chi, self.bounds = spectrum.function, correctors.functions, bounds
        assert bounds.lower is not None  # looked at before
        self.gap, self.gamma, self.amount = bounds.upper - bounds.lower, bounds.second, medium.amount()
        square = 2.0 * self.amount * squared_sine / (1.0 + math.sqrt(1.0 - squared_sine))
        self.apart = Apart(
            mass=math.sqrt(square),
            energy=math.sqrt(self.amount * self.gap + (bounds.upper + self.gamma) * square),
        )
        values = medium.diffusivity.x.array.reshape(len(self.cell.phase_of_cell), -1)
        size = values.shape[1]
        matrices = values[:, :, None] * np.eye(self.d) if size == 1 else values.reshape(-1, self.d, self.d)
        owned = self.cell.mesh.topology.index_map(self.d).size_local
        self.matrices = matrices[:owned]
        sizes = np.linalg.eigvalsh(self.matrices)
        comm = self.cell.comm
        self.largest = comm.allreduce(float(sizes.max(initial=0.0)), op=MPI.MAX)
        self.least = comm.allreduce(float(sizes.min(initial=np.inf)), op=MPI.MIN)
        self.capacity = comm.allreduce(float(medium.capacity.x.array.min(initial=np.inf)), op=MPI.MIN)
        span = self.cell.whole.span(self.cell.lattice)
        self.span = np.eye(self.d) if len(span) == self.d else span

    def upper(self) -> Array:
        """The energy, and what the eigenfunction may add to it."""
        pair = self._pairs
        energy = self._matrix(lambda: self.u**2 * ufl.inner(times(self.medium.diffusivity, pair.g), pair.h) * ufl.dx)
        steep = self._steepest(self.span @ energy @ self.span.T)
        return np.asarray(energy * (1.0 + self.apart.mass * math.sqrt(steep / self.capacity)) ** 2)

    def _steepest(self, energy: Array) -> float:
        """The largest :math:`g\\cdot Dg` of all e for which the energy is 1; collective."""
        degree = max(int(self.chi[0].function_space.ufl_element().degree) - 1, 0)
        space = solve.function_space(self.cell.mesh, "DG", degree, (self.d,))
        pair, target = self._pairs, fem.Function(space)
        expression = fem.Expression(pair.g, _dolfinx.interpolation_points(space))
        found = np.empty((len(self.matrices), math.comb(degree + self.d, self.d), self.d, len(self.span)))
        owned = len(self.matrices)
        for k in range(len(self.span)):
            pair.first(self.span[k])
            target.interpolate(expression)
            found[..., k] = target.x.array.reshape(-1, self.d)[space.dofmap.list[:owned]]
        control = np.einsum("kn,mnxe->mkxe", np.linalg.inv(_bernstein(self.d, degree, space)), found)
        squares = np.einsum("mkxe,mxy,mkyf->mkef", control, self.matrices, control)
        root = np.linalg.inv(np.linalg.cholesky(energy))
        scaled = np.einsum("ae,mkef,bf->mkab", root, squares, root)
        own = float(np.linalg.eigvalsh(scaled)[..., -1].max(initial=0.0)) if owned else 0.0
        return float(self.cell.comm.allreduce(own, op=MPI.MAX)) * (1.0 + 1e-10)

    def lower(self, degree: int) -> Array:
        """The energy in the form of the ground state, less what the residual and the eigenfunction may take."""
        medium, pair, apart, upper = self.medium, self._pairs, self.apart, self.bounds.upper
        v, w, u = pair.v, pair.w, self.u
        flux = lambda e: times(medium.diffusivity, e)  # noqa: E731
        along = lambda e, z: u * ufl.inner(flux(e), ufl.grad(z)) - z * ufl.inner(flux(e), ufl.grad(u))  # noqa: E731

        def energy() -> ufl.Form:
            form = (u**2 * ufl.inner(flux(pair.e), pair.f) + along(pair.e, w) + along(pair.f, v)) * ufl.dx
            return form + medium.energy(v, w) - fem.Constant(self.cell.mesh, upper) * medium.mass(v, w)

        of_u = self._matrix(energy)
        slopes = math.sqrt(max(np.trace(self._matrix(lambda: ufl.inner(ufl.grad(v), ufl.grad(w)) * ufl.dx)), 0.0))
        levels = math.sqrt(max(np.trace(self._matrix(lambda: v * w * ufl.dx)), 0.0))
        held = math.sqrt(max(np.trace(self._matrix(lambda: medium.mass(v, w))), 0.0))
        beside = apart.mass / math.sqrt(self.capacity)
        lost = (self.largest - self.least) * math.sqrt(self.amount / self.capacity) * beside
        lost += 2.0 * (beside * self.largest * slopes + apart.energy * math.sqrt(self.largest) * levels)
        more = math.sqrt(self.largest) * (beside + apart.energy / math.sqrt(self.gamma * self.capacity))
        more += self.gap * held / math.sqrt(self.gamma)
        residual = self._residual(degree)
        part = more / math.sqrt(max(float(np.trace(residual)), 1e-300))
        kappa = 1.0 - (upper + self.gamma) / (self.bounds.second + self.gamma)
        worst = (1.0 + part) * residual + (1.0 + 1.0 / part if part > 0.0 else 1.0) * more**2 * np.eye(self.d)
        project = self.span.T @ self.span
        return np.asarray(project @ (of_u - lost * np.eye(self.d) - worst / kappa) @ project)

    def _residual(self, degree: int) -> Array:
        """The squares of the norm of the residual, for the best fluxes of Raviart and Thomas; collective."""
        pair, square = self._pairs, Square.of(self.medium, self.u, self.gamma)
        fluxes, matrix = best_fluxes(square, degree)
        form = solve.compile_form(self._load(square, square.flux(fluxes.tests)))
        sides = []
        axes = np.eye(self.d)
        for j in range(self.d):
            pair.first(axes[j])
            sides.append(fluxes.side(form))
        found = fluxes.solved(matrix, sides)
        for thing in (matrix, *sides):
            thing.destroy()
        one, two = fem.Function(fluxes.space), fem.Function(fluxes.space)
        value = solve.integral(self._square(square, [square.flux(fluxes.parts(part)) for part in (one, two)]))
        result = np.empty((self.d, self.d))
        for i in range(self.d):
            pair.first(axes[i])
            one.x.array[:] = found[i].x.array
            for j in range(i + 1):
                pair.second(axes[j])
                two.x.array[:] = found[j].x.array
                result[i, j] = result[j, i] = value()
        return result

    def _target(self, e: Any, w: Any) -> tuple[Any, Any]:
        """F over D, and f."""
        medium, u = self.medium, self.u
        reacts = (medium.rate - fem.Constant(self.cell.mesh, self.bounds.upper) * medium.capacity) * w
        return ufl.grad(w) + u * e, reacts - ufl.inner(times(medium.diffusivity, e), ufl.grad(u))

    def _load(self, square: Square, test: tuple[Any, Any]) -> ufl.Form:
        """The part that is of first order in the flux, halved and turned."""
        (tau, divergence), w = test, self._pairs.v
        slope, source = self._target(self._pairs.e, w)
        form = (ufl.inner(slope, tau) + source * divergence / square.total) * ufl.dx
        for surface, (_, total, into, part) in square.surfaces_taken():
            form -= self._rate(surface) * on(w, part) * into(tau) / total * part
        return form

    def _square(self, square: Square, fluxes: list[tuple[Any, Any]]) -> ufl.Form:
        """The whole, of two pairs of an axis and a flux."""
        pair, medium = self._pairs, self.medium
        levels = (pair.v, pair.w)
        (slope, source), (second, other) = (
            self._target(axis, w) for axis, w in zip((pair.e, pair.f), levels, strict=True)
        )
        (tau, divergence), (sigma, another) = fluxes
        left, right = (flux - times(medium.diffusivity, one) for flux, one in ((tau, slope), (sigma, second)))
        form = ufl.inner(times(square.inverse, left), right) * ufl.dx
        form += (source - divergence) * (other - another) / square.total * ufl.dx
        for surface, (_, total, into, part) in square.surfaces_taken():
            rest = [
                self._rate(surface) * on(w, part) + into(flux) for w, flux in zip(levels, (tau, sigma), strict=True)
            ]
            form += rest[0] * rest[1] / total * part
        return form

    def _rate(self, surface: int) -> fem.Constant:
        assert self.medium.surfaces is not None  # one of them
        return self.medium.surfaces.rates[surface]

    @cached_property
    def _pairs(self) -> _Pairs:
        return _Pairs(self)

    def _matrix(self, form: Any) -> Array:
        """The values of a form of both of a pair, for all axes."""
        value, result, pair, axes = solve.integral(form()), np.empty((self.d, self.d)), self._pairs, np.eye(self.d)
        for i in range(self.d):
            pair.first(axes[i])
            for j in range(i + 1):
                pair.second(axes[j])
                result[i, j] = result[j, i] = value()
        return result


class _Pairs:
    r"""Two vectors e and f with :math:`e+\nabla\chi` and :math:`u\,(\chi-c)` of each; collective."""

    def __init__(self, own: _Weighted) -> None:
        mesh, space = own.cell.mesh, own.chi[0].function_space
        self._chi, self._d = own.chi, own.d
        (self.e, self.f) = (fem.Constant(mesh, np.zeros(own.d)) for _ in range(2))
        self._functions = [fem.Function(space) for _ in range(2)]
        level = solve.integral(own.medium.mass(own.u * self._functions[0], own.u))
        self.g, self.h = (ufl.grad(one) + axis for one, axis in zip(self._functions, (self.e, self.f), strict=True))
        self.v, self.w = (own.u * one for one in self._functions)
        self._levels = np.zeros(own.d)
        axes = np.eye(own.d)
        for j in range(own.d):
            self.first(axes[j])
            self._levels[j] = level() / own.amount

    def first(self, axis: Array) -> None:
        """Take e."""
        self._take(0, self.e, axis)

    def second(self, axis: Array) -> None:
        """Take f."""
        self._take(1, self.f, axis)

    def _take(self, k: int, constant: fem.Constant, axis: Array) -> None:
        constant.value[:] = axis
        function = self._functions[k]
        function.x.array[:] = sum(part * (chi.x.array - level)
                                  for part, chi, level in zip(axis, self._chi, self._levels, strict=True))  # fmt: skip


def _bernstein(d: int, degree: int, space: fem.FunctionSpace) -> Array:
    """Bernstein's polynomials at the nodes of a space, shape (nodes, polynomials)."""
    if degree == 0:
        return np.ones((1, 1))
    points = np.asarray(space.element.basix_element.points)
    places = np.concatenate([1.0 - points.sum(axis=1, keepdims=True), points], axis=1)
    powers = [one for one in product(range(degree + 1), repeat=d + 1) if sum(one) == degree]
    factor = [math.factorial(degree) / math.prod(math.factorial(k) for k in one) for one in powers]
    return np.asarray(factor * np.prod(places[:, None, :] ** np.array(powers)[None], axis=2))
