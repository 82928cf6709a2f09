r"""Several groups of neutrons on one mesh: where the error is, and what straight facets on curved surfaces change.

**The error is estimated with the adjoint flux**, without guarantee: the problem is not symmetric, and 1/k is no least
quotient. The factor is the quotient :math:`m(\varphi,\varphi^*)/a(\varphi,\varphi^*)` of the discrete fluxes, whose
error is the product of both errors, :math:`(a-\lambda m)(\varphi-\varphi_h,\varphi^*-\varphi^*_h)`. It is estimated by
the change from elements of one degree less, as is that of the migration area, and the mesh is refined where

.. math:: e_k\,\frac{\eta_K(\delta\varphi)\,\eta_K(\delta\varphi^*)}{\sum_K\dots}
          +e_M\,\frac{\sum_j\eta_K(\delta\psi_j)^2}{\sum_K\dots} ,\qquad
          \eta_K(u)^2=\sum_g\int_KD_g|\nabla u_g|^2 ,

is large, with the changes :math:`\delta` of the fluxes and of what buckling makes of them
(:mod:`homfem.local.bloch`), and the estimates :math:`e_k`, :math:`e_M` of both.

**Facets.** A surface that moves by V along its normal n, out of phase 1, changes the eigenvalue by

.. math:: m(\varphi,\varphi^*)\,\delta\lambda=\int_\Gamma V\Bigl[\sum_gD_g\nabla_t\varphi_g\cdot\nabla_t\varphi_g^*
          -\frac{q_gq_g^*}{D_g}+\Sigma_g\varphi_g\varphi_g^*-\sum_{h\ne g}\Sigma_{h\to g}\varphi_h\varphi_g^*
          -\lambda\,\chi_g\varphi_g^*\sum_h\nu\Sigma_{f,h}\varphi_h\Bigr]^1_2 ,

V of straight facets as in :mod:`homfem.certify.geometry`, the normal fluxes q continuous.

Source: Bell, Glasstone 1970, Nuclear Reactor Theory, chapter 6 (perturbation by the adjoint); Becker, Rannacher 2001,
doi 10.1017/S0962492901000010 (weighted estimates).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import solve
from homfem.certify.adapt import element_sums, on_root
from homfem.certify.geometry import change_of_number, moved_facets
from homfem.certify.physics import MeshSolution, Side
from homfem.local.bloch import Response, respond
from homfem.local.means import gradients_of
from homfem.local.multigroup import Groups
from homfem.local.problem import Correctors
from homfem.local.spectral import Pencil, Spectrum
from homfem.parameters import Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GroupsOnMesh(MeshSolution):
    """Several groups on one mesh: ``dual`` is the spectrum.

    Parameters
    ----------
    medium
        What was solved.
    other
        The spectrum of the compared degree.
    errors
        The estimates of the factor and of the migration area, relative.
    """

    medium: Groups
    other: Spectrum
    errors: tuple[float, float]

    def gaps(self) -> Array:
        """Return the part of each mesh cell in the estimates of both, on rank 0; collective."""
        one, two = self.dual, self.other
        pairs = [(one.function, two.function), (one.adjoint, two.adjoint)]
        assert self.compared is not None  # always solved
        pairs += list(zip(self.correctors.functions, self.compared.functions, strict=True))
        flux, adjoint, *moved = self._changes(pairs)
        parts = np.stack([np.sqrt(flux * adjoint), np.sum(moved, axis=0)])
        sums = self.cell.comm.allreduce(parts.sum(axis=1), op=MPI.SUM)
        weights = np.divide(self.errors, sums, out=np.zeros(2), where=sums > 0.0)
        return on_root(self.cell, weights @ parts)

    def _changes(self, pairs: Sequence[tuple[fem.Function, fem.Function]]) -> list[Array]:
        """The energy of the difference of two functions in each mesh cell, for each pair; collective."""
        problem, diffusion, count = self.correctors.problem, self.medium.diffusion, self.medium.count
        one, two = (fem.Function(function.function_space) for function in pairs[0])

        def energy() -> ufl.Form:
            apart = ufl.grad(one - two)
            return sum(diffusion[g] * ufl.inner(apart[g, :], apart[g, :]) for g in range(count)) * ufl.dx

        found = []
        for first, second in pairs:

            def take(j: int, first: fem.Function = first, second: fem.Function = second) -> None:
                one.x.array[:], two.x.array[:] = first.x.array, second.x.array

            found.append(element_sums(self.cell, problem, "change", energy, take, [one, two], []))
        return found

    def geometric_error(self) -> float:
        """Return what straight facets may change in the factor, as much relative to the tensor; collective."""
        values = np.linalg.eigvalsh(self.tensor.value)
        return factor_error(self.medium, self.dual) * float(values[0])

    @property
    def sides(self) -> list[Side]:
        """What was solved: the spectra are in both."""
        assert self.compared is not None  # always solved
        return [self.correctors, self.compared]


def factor_error(medium: Groups, spectrum: Spectrum) -> float:
    """Return the estimate, relative to the factor; zero where no facet stands for a curved surface. Collective."""
    cell = medium.cell
    moved = moved_facets(cell)
    if moved is None:
        return 0.0
    facets, volumes, first, second, normal = moved
    pair = (spectrum.function, spectrum.adjoint)
    gradient = gradients_of(cell, pair)
    level = [0.5 * (means[first] + means[second]) for means in map(_means, pair)]
    groups = medium.count
    diffusion, removal, production = (
        one.x.array.reshape(-1, groups) for one in (medium.diffusion, medium.removal, medium.production)
    )
    scattering = medium.scattering.x.array.reshape(-1, groups, groups)
    born = level[1] @ np.asarray(medium.spectrum.value)
    fluxes = [np.einsum("fg,flgi,fi->lfg", diffusion[c], gradient[c], normal) for c in (first, second)]
    through = 0.5 * (fluxes[0] + fluxes[1])
    change = np.zeros(len(facets))
    for sign, c in ((1.0, first), (-1.0, second)):
        along = gradient[c] - np.einsum("flgi,fi,fj->flgj", gradient[c], normal, normal)
        change += sign * np.einsum("fg,fgi,fgi->f", diffusion[c], along[:, 0], along[:, 1])
        change -= sign * (through[0] * through[1] / diffusion[c]).sum(axis=1)
        change += sign * np.einsum("fg,fg,fg->f", removal[c], *level)
        change -= sign * np.einsum("fgh,fg,fh->f", scattering[c], *level)
        change -= sign * spectrum.value * born * np.einsum("fg,fg->f", production[c], level[0])
    amount = solve.integrate(medium.mass(*pair))
    return float(change_of_number(cell, facets, volumes, change) / (amount * spectrum.value))


def _means(function: fem.Function) -> Array:
    """The mean of the unknowns on each local mesh cell, shape (cells, groups)."""
    space = function.function_space
    return np.asarray(function.x.array.reshape(-1, space.dofmap.bs)[space.dofmap.list].mean(axis=1))


def responding(medium: Groups, degree: int) -> tuple[Spectrum, Response, Correctors]:
    """Return the flux, what buckling makes of it, and both as correctors; collective."""
    pencil = Pencil(medium.cell, medium.problem(degree))
    spectrum = pencil.first()
    response = respond(pencil, spectrum)
    correctors = Correctors(
        functions=response.functions,
        average=response.dispersion,
        residual_norms=np.full(medium.cell.dimension, spectrum.residual),
        problem=pencil.posed.problem,
        spaces=(spectrum.space,),
        dofs=spectrum.dofs,
        iterations=spectrum.iterations + response.iterations,
        seconds={**spectrum.seconds, "respond": response.seconds},
    )
    pencil.destroy()
    return spectrum, response, correctors
