r"""Galerkin method for the interface fluxes of a block medium, with the corner singularities: `corner-galerkin`.

**Lower bound.** Among all periodic fluxes :math:`\sigma` that are free of divergence,

.. math:: E\cdot D^*E=\max_\sigma\frac1A\int(2\sigma\cdot E-\sigma\cdot D^{-1}\sigma),

so every admissible set of fluxes gives a lower bound of the effective tensor, in the Loewner order. Here the normal
fluxes on the interfaces are taken from a finite basis (:mod:`homfem.blocks.interface_basis`) with zero net flux in
every block, and inside a block :math:`\sigma` is the flux of least energy with these boundary values: the separated
solution of :mod:`homfem.blocks.elements`, *all* of its modes (:mod:`homfem.blocks.flux_energies`). Normal fluxes are
continuous by construction. The stationary point of the quadratic form under the constraints is

.. math::
   \begin{pmatrix}B&G^\mathsf{T}\\G&0\end{pmatrix}\begin{pmatrix}q\\K\end{pmatrix}=\begin{pmatrix}r\\0\end{pmatrix},
   \qquad D^-=\frac1A(R^\mathsf{T}Q+Q^\mathsf{T}R-Q^\mathsf{T}BQ),

which is the weak form of the paper's continuity conditions. :math:`D^-` is evaluated from the quadratic form, not from
its stationary value, so an unfinished iteration lowers it and never breaks the bound; what round-off can do is given
beside it (:meth:`homfem.blocks.flux_system.FluxSystem.noise`).

**Upper bound.** In two dimensions Keller's duality turns it around: with the quarter turn R, a lower bound :math:`L'`
of the dual medium :math:`D'=R^\mathsf{T}D^{-1}R` gives :math:`D^*=R(D'^*)^{-1}R^\mathsf{T}\le R(L')^{-1}R^\mathsf{T}`.
Where blocks insulate, their duals conduct perfectly (:mod:`homfem.blocks.perfect`).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from homfem.blocks.fields import BlockFields
from homfem.blocks.flux_system import FluxSystem
from homfem.blocks.medium import BlockMedium
from homfem.blocks.perfect import PerfectDual, turned_inverse
from homfem.parameters import Array, check_integer, check_number

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GalerkinSolution:
    """Result of the Galerkin method.

    Parameters
    ----------
    lower : array, shape (2, 2)
        Lower bound of the effective tensor, but for round-off.
    noise : array, shape (2, 2)
        What round-off can have done to it.
    unknowns : int
        Flux unknowns and one potential per conducting block.
    iterations : int
        Iterations of conjugate gradients, of both loads together.
    seconds : mapping
        Wall time: ``"energies"``, ``"solve"``, ``"total"``.
    system : FluxSystem
        The discrete problem.
    coefficients : array, shape (edges, n, 2)
        Fluxes on the edges in the orthonormal functions.
    constants : array, shape (blocks, 2)
        Mean potentials of the conducting blocks, up to a constant for each component.
    """

    lower: Array
    noise: Array
    unknowns: int
    iterations: int
    seconds: dict[str, float]
    system: FluxSystem
    coefficients: Array
    constants: Array

    def fields(self, modes: int = 200) -> BlockFields:
        """Return potential and flux at any point, from ``modes`` cosine modes of the interface fluxes."""
        return self.system.fields(self.coefficients, self.constants, modes)


def solve_galerkin(
    medium: BlockMedium,
    *,
    degree: int = 4,
    singular: int = 2,
    tolerance: float = 1e-8,
    like: GalerkinSolution | None = None,
) -> GalerkinSolution:
    """Solve the cell problem of a block medium by the Galerkin method for the interface fluxes.

    Parameters
    ----------
    medium
        The block medium.
    degree
        Polynomial degree of the fluxes on an interface, 0 to 12.
    singular
        Singular functions for each end of an interface, 0 to 2.
    tolerance
        Relative accuracy of the conjugate gradients in the energy norm; the tensor's error is its square.
    like
        The solution of the dual medium, whose tables are used again.

    Raises
    ------
    InputError
        Options outside their range.
    ConvergenceError
        Conjugate gradients that stall.
    """
    check_integer("degree", degree, at_least=0, at_most=12)
    check_integer("singular", singular, at_least=0, at_most=2)
    check_number("tolerance", tolerance, above=0.0, below=1.0)
    start = time.perf_counter()
    system = FluxSystem(medium, degree, singular, None if like is None else like.system)
    middle = time.perf_counter()
    flux, constants, iterations = system.solve(tolerance)
    lower = system.bound(flux)
    end = time.perf_counter()
    seconds = {"energies": middle - start, "solve": end - middle, "total": end - start}
    log.info("corner-galerkin: %d unknowns, %d iterations, %.3f s", system.unknowns, iterations, end - start)
    return GalerkinSolution(
        lower=lower,
        noise=system.noise(flux, constants, lower),
        unknowns=system.unknowns,
        iterations=iterations,
        seconds=seconds,
        system=system,
        coefficients=flux,
        constants=constants,
    )


def solve_bounds(
    medium: BlockMedium, *, degree: int = 4, singular: int = 2, tolerance: float = 1e-8
) -> tuple[GalerkinSolution, int, Array, Array]:
    """Return the solution (lower bound), the iterations for the dual medium, the upper bound (2, 2) and its noise."""
    first = solve_galerkin(medium, degree=degree, singular=singular, tolerance=tolerance)
    if not medium.conducting.all():
        upper, noise, iterations = PerfectDual(medium, degree, singular).upper(tolerance)
        return first, iterations, upper, noise
    dual = solve_galerkin(medium.dual(), degree=degree, singular=singular, tolerance=tolerance, like=first)
    return first, dual.iterations, *turned_inverse(dual.lower, dual.noise)
