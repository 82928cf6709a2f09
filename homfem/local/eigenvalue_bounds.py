r"""Both sides of a first eigenvalue: the least Rayleigh quotient of a cell without a flow.

The forms are those of :mod:`homfem.local.reaction`.

**Above**: the quotient :math:`a(u,u)/m(u,u)` of the conforming function u that was computed, whatever solver made it.

**Below** (Temple 1928, Lehmann 1949, Goerisch 1985). Let :math:`\gamma\ge0` and :math:`a'=a+\gamma m`, with
:math:`k'=k+\gamma\rho>0` and :math:`k_s'=k_s+\gamma K`; the eigenvalues are :math:`\lambda_i'=\lambda_i+\gamma`. Any
flux :math:`\tau` of H(div) with :math:`\tau\cdot n=0` on the walls where :math:`k_s'=0` gives, with :math:`p=\rho
u+\nabla\cdot\tau` and :math:`s=Ku-\tau\cdot n`, on surfaces inside of the active phases :math:`s=Ku-[\tau\cdot n]`
with normal components of both sides that need not agree there,

.. math:: \int\tau\cdot\nabla v+\int p\,v+\int_\Gamma s\,v=m(u,v)\quad\text{for every }v ,\qquad
          A_2=\int\tau\cdot D^{-1}\tau+\int\frac{p^2}{k'}+\int_\Gamma\frac{s^2}{k_s'}\ge\sum_i\frac{c_i^2}{\lambda_i'}

for :math:`u=\sum_ic_iu_i`, as the sum is the least of all such :math:`A_2`. With :math:`A_0=a'(u,u)`,
:math:`A_1=m(u,u)` and a number :math:`\varrho\le\lambda_2'` with :math:`\varrho A_1>A_0`,

.. math:: 0\le\sum_ic_i^2\frac{(\lambda_i'-\varrho)(\lambda_i'-\lambda_1')}{\lambda_i'}
          \le A_0-\varrho A_1-\lambda_1'(A_1-\varrho A_2) ,\qquad\text{so}\qquad
          \lambda_1'\ge\frac{\varrho A_1-A_0}{\varrho A_2-A_1} .

What the kernel of m adds to u makes the first sum no smaller. The flux is the least :math:`A_2` of Raviart and
Thomas's elements (:mod:`homfem.local.eigenvalue_fluxes`); whatever the solver leaves of it, the bound is one. Its
distance goes with the square of the errors of u and :math:`\tau`.

**The second eigenvalue** has only to be known from below, not well: by means over mesh cells and facets. For a function
v let :math:`v_K` be its mean on the simplex K with the corners :math:`x_K+y_i`, :math:`v_F` that on a facet,
:math:`\bar v` the mean of the latter over the facets of K, g the gradient of the linear function that they belong to.
Of all functions with these means the one with the least energy is linear but for a multiple of :math:`y\cdot D^{-1}y`,
so that

.. math:: \int_KD\nabla v\cdot\nabla v\ge|K|\,g\cdot Dg+w_K(v_K-\bar v)^2 ,\qquad
          w_K=\frac{d^2(d+1)(d+2)\,|K|}{\sum_iy_i\cdot D^{-1}y_i} ,

and :math:`\int_Kkv^2\ge|K|kv_K^2`, :math:`\int_Fk_sv^2\ge|F|k_sv_F^2` (Jensen). On the other hand
:math:`\int_K(v-v_K)^2\le(h_K/\pi)^2\int_K|\nabla v|^2` (Payne and Weinberger, Bebendorf) and, by the divergence of
:math:`(x-x_i)(v-v_K)^2`, :math:`\int_F(v-v_F)^2\le\frac{|F|h_K^2}{|K|}(\frac1{\pi^2}+\frac2{\pi d})\int_K|\nabla v|^2`,
so that with

.. math:: \delta=\max_K\frac{h_K^2}{d_K}\Bigl(\frac\rho{\pi^2}+\sum_{F\subset\Gamma}\frac{K|F|}{|K|}
          \bigl(\frac1{\pi^2}+\frac2{\pi d}\bigr)\Bigr) ,

:math:`d_K` the least eigenvalue of D, the forms :math:`a_h`, :math:`m_h` of the means obey :math:`a_h\le a` and
:math:`m\le m_h+\delta a`. By the min-max principle :math:`\lambda_2\ge\sigma/(1+\delta\sigma)` for every :math:`\sigma`
below which the pencil of the means has at most one eigenvalue. These are counted by the inertia of the factors of
:math:`a_h-\sigma m_h` (Sylvester), with the means :math:`v_K` eliminated. On any mesh, with no constant that is not
known.

Round-off is in both sides (:mod:`homfem.local.roundoff`); of the factors it is covered by a thousandth of
:math:`\sigma`.

Source: Goerisch, Haunhorst 1985, doi 10.1002/zamm.19850650310; Carstensen, Gedicke 2014,
doi 10.1090/S0025-5718-2014-02833-0, and Liu 2015, doi 10.1016/j.amc.2015.03.048 (bounds from interpolation); Hu, Huang,
Lin 2014, doi 10.1007/s10915-014-9821-5 (means on cells and facets); Payne, Weinberger 1960, doi 10.1007/BF00252910;
Bebendorf 2003, doi 10.4171/ZAA/1170.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import _dolfinx, solve
from homfem.brackets import EPS
from homfem.local import roundoff
from homfem.local.eigenvalue_fluxes import least_square
from homfem.local.membranes import times
from homfem.local.reaction import Reacting
from homfem.local.roundoff import STEPS
from homfem.local.spectral import Spectrum
from homfem.parameters import Array, ConvergenceError

log = logging.getLogger("homfem")

#: Parts of the second eigenvalue of the conforming functions at which those of the means are counted, in this order.
TRIED = (0.97, 0.9, 0.8, 0.65, 0.5)
#: What of the value at which they are counted is left to the round-off of the factors.
FACTORED = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class EigenvalueBounds:
    r"""Both sides of a first eigenvalue, in the units of the forms.

    Parameters
    ----------
    lower, upper
        :math:`\lambda` is between the two; ``lower`` is None where ``reason`` tells why.
    second
        A lower bound of the second eigenvalue; zero where none was found.
    reason
        Why there is no lower bound; empty with one.
    dofs
        Unknowns of the fluxes.
    """

    lower: float | None
    upper: float
    second: float
    reason: str = ""
    dofs: int = 0


def eigenvalue_bounds(medium: Reacting, spectrum: Spectrum, *, degree: int) -> EigenvalueBounds:
    """Return guaranteed bounds of the first eigenvalue; collective.

    Parameters
    ----------
    medium
        On a cell of straight simplices, without a flow.
    spectrum
        What was found of it.
    degree
        Of the fluxes, 1 (the lowest) or more.

    Returns
    -------
    EigenvalueBounds
    """
    energy, mass = _energies(medium, spectrum.function)
    doubt = _doubt(medium, spectrum.function, energy + mass * medium.shift())
    upper = (energy / mass) * (1.0 + 2.0 * doubt) + 2.0 * doubt * medium.shift()
    if not _positive(medium):
        reason = "where nothing reacts nothing is held either"
        return EigenvalueBounds(lower=None, upper=upper, second=0.0, reason=reason)
    second = second_eigenvalue(medium, spectrum.second)
    if second <= upper:
        return EigenvalueBounds(
            lower=None,
            upper=upper,
            second=second,
            reason="the mesh is too coarse to tell the second eigenvalue from the first",
        )
    gamma = second
    square, dofs = least_square(medium, spectrum.function, gamma, degree)
    rho, energy = second + gamma, energy + gamma * mass
    above = rho * mass * (1.0 - doubt) - energy * (1.0 + doubt)
    below = rho * square * (1.0 + doubt) - mass * (1.0 - doubt)
    lower = above / below - gamma if above > 0.0 and below > 0.0 else -math.inf
    if not lower > -gamma:
        return EigenvalueBounds(
            lower=None, upper=upper, second=second, reason="the mesh is too coarse for the fluxes", dofs=dofs
        )
    return EigenvalueBounds(lower=min(lower, upper), upper=upper, second=second, dofs=dofs)


def second_eigenvalue(medium: Reacting, guess: float) -> float:
    """Return a lower bound of the second eigenvalue, zero where none was found; collective.

    Parameters
    ----------
    medium
        As of :func:`eigenvalue_bounds`.
    guess
        Its value as it is known; from above.
    """
    shape = _Simplices.of(medium)
    for part in TRIED:
        sigma = part * guess
        matrix, negative = _of_means(medium, shape, sigma)
        try:
            count = negative + solve.negative_eigenvalues(matrix, "means over cells and facets")
        except ConvergenceError as error:
            log.info("%s", error)
            continue
        finally:
            matrix.destroy()
        if count <= 1:
            safe = sigma * (1.0 - FACTORED)
            return safe / (1.0 + shape.delta * safe)
    return 0.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Simplices:
    """Volume and weight of the mesh cells, owned and ghosts; delta over all ranks."""

    volume: Array
    weight: Array
    delta: float

    @classmethod
    def of(cls, medium: Reacting) -> _Simplices:
        cell, d = medium.cell, medium.cell.dimension
        nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:, : d + 1]][:, :, :d]
        arms = nodes - nodes.mean(axis=1, keepdims=True)
        volume = np.abs(np.linalg.det(nodes[:, 1:] - nodes[:, :1])) / math.factorial(d)
        values = medium.diffusivity.x.array.reshape(len(nodes), -1)
        if values.shape[1] == 1:
            least, spread = values[:, 0], (arms**2).sum(axis=(1, 2)) / values[:, 0]
        else:
            matrices = values.reshape(-1, d, d)
            least = np.linalg.eigvalsh(matrices)[:, 0]
            spread = np.einsum("mik,mkl,mil->m", arms, np.linalg.inv(matrices), arms)
        first, second = np.triu_indices(d + 1, 1)
        diameter = np.linalg.norm(nodes[:, first] - nodes[:, second], axis=2).max(axis=1)
        held = medium.capacity.x.array / math.pi**2 + _walls(medium) / volume * (1 / math.pi**2 + 2 / (math.pi * d))
        own = float(np.max(diameter**2 / least * held, initial=0.0))
        return cls(
            volume=volume,
            weight=d**2 * (d + 1) * (d + 2) * volume / spread,
            delta=cell.comm.allreduce(own, op=MPI.MAX),
        )


def _walls(medium: Reacting) -> Array:
    """The integral of K over the facets of each mesh cell; collective."""
    surfaces, space = medium.surfaces, solve.function_space(medium.cell.mesh, "DG", 0)
    result = fem.Function(space)
    if surfaces is not None:
        test = ufl.TestFunction(space)
        form = 0
        for k, capacity in enumerate(surfaces.capacities):
            walls, inner = surfaces.measures(k)
            form += capacity * test * walls + capacity * (test("+") + test("-")) * inner
        vector = solve.assemble_vector(form)
        result.x.array[: vector.local_size] = vector.array_r
        result.x.scatter_forward()
        vector.destroy()
    return np.asarray(result.x.array)


def _of_means(medium: Reacting, shape: _Simplices, sigma: float) -> tuple[PETSc.Mat, int]:
    """The matrix of facet means, and the number of eliminated cell means with a negative pivot; collective."""
    cell, mesh = medium.cell, medium.cell.mesh
    reaction = (medium.rate.x.array - sigma * medium.capacity.x.array) * shape.volume
    pivot = shape.weight + reaction
    owned = mesh.topology.index_map(cell.dimension).size_local
    negative = cell.comm.allreduce(int(np.count_nonzero(pivot[:owned] < 0.0)), op=MPI.SUM)
    left = fem.Function(medium.rate.function_space)
    left.x.array[:] = shape.weight * reaction / (pivot * shape.volume)
    space = solve.function_space(mesh, "CR", 1)
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    # One point in the middle: the means are the values there.
    form = ufl.inner(times(medium.diffusivity, ufl.grad(u)), ufl.grad(v)) * ufl.dx
    form += left * u * v * ufl.dx(metadata={"quadrature_degree": 1})
    value = fem.Constant(mesh, sigma)
    if medium.surfaces is not None:
        surfaces = medium.surfaces
        for k, (rate, capacity) in enumerate(zip(surfaces.rates, surfaces.capacities, strict=True)):
            walls, inner = surfaces.measures(k)
            one = {"quadrature_degree": 1}
            form += (rate - value * capacity) * u * v * walls(metadata=one)
            form += (rate - value * capacity) * ufl.avg(u) * ufl.avg(v) * inner(metadata=one)
    return solve.assemble_matrix(form), negative


def _energies(medium: Reacting, function: fem.Function) -> tuple[float, float]:
    """The forms a and m of a function; collective."""
    return solve.integrate(medium.energy(function, function)), solve.integrate(medium.mass(function, function))


def _positive(medium: Reacting) -> bool:
    """Whether k or rho is positive on every mesh cell; collective."""
    own = bool(np.all(medium.rate.x.array + medium.capacity.x.array > 0.0))
    return bool(medium.cell.comm.allreduce(own, op=MPI.LAND))


def _doubt(medium: Reacting, function: fem.Function, size: float) -> float:
    """What round-off may do to the energies, relative: gradients from nodal values, and the sums; collective."""
    cell = medium.cell
    volume, slope = roundoff.steepness(cell)
    owned = medium.diffusivity.x.array.reshape(len(cell.phase_of_cell), -1)[: len(volume)]
    degree = function.function_space.ufl_element().degree
    largest = float(roundoff.sizes(cell, [function])[0])
    steep = STEPS * EPS * (1.0 + 2.0 * degree**2 * slope * largest)
    own = np.array([float((volume * roundoff.largest(owned, cell.dimension)) @ steep**2), float(len(volume))])
    parts, count = cell.comm.allreduce(own, op=MPI.SUM)
    return float(2.0 * math.sqrt(parts / size) + parts / size + EPS * (STEPS + math.log2(2.0 + count)))
