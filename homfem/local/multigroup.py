r"""Neutrons of several groups of energy in a lattice: the flux that multiplies itself, and that of the adjoint problem.

.. math:: -\nabla\cdot(D_g\nabla\varphi_g)+\Sigma_g\varphi_g-\sum_{h\ne g}\Sigma_{h\to g}\varphi_h
          =\frac1k\,\chi_g\sum_h\nu\Sigma_{f,h}\varphi_h ,\qquad \Sigma_g=\Sigma_{a,g}+\sum_{h\ne g}\Sigma_{g\to h} ,

periodic. As forms :math:`a(\varphi,w)=\frac1k\,m(\varphi,w)` with
:math:`m(u,w)=\sum_{gh}\int\chi_gw_g\,\nu\Sigma_{f,h}u_h`, the spectral problem of :mod:`homfem.local.spectral`, not
symmetric but for one group; :math:`1/k` is its first eigenvalue.

**Buckling.** In a lattice of finite size the flux is :math:`e^{iB\cdot x}` times a periodic one, and
:math:`\frac1k(B)=\frac1k+iV\cdot B+B\cdot NB+O(B^3)` by :mod:`homfem.local.bloch`. Without drift, V = 0 as in every
lattice with a centre of symmetry, :math:`k(B)=k\,(1-B\cdot M^2B+\dots)` with the migration area :math:`M^2=kN`.

Source: Bell, Glasstone 1970, Nuclear Reactor Theory, chapters 4 and 6; Larsen 1975, doi 10.1063/1.522714; Allaire, Bal
1999, doi 10.1051/m2an:1999160.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ufl
from dolfinx import fem

from homfem.cells.unitcell import UnitCell
from homfem.local.problem import Field, element_of
from homfem.local.spectral import SpectralProblem


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Groups:
    """Groups of neutrons in a cell on one mesh, lengths in mesh units.

    Parameters
    ----------
    cell
        The whole cell.
    diffusion, removal, production : fem.Function
        :math:`D_g`, :math:`\\Sigma_gL^2` and :math:`\\nu\\Sigma_{f,g}L^2` of each group, constant on each mesh cell.
    scattering : fem.Function
        :math:`\\Sigma_{g\\to h}L^2`, row g, column h, zero on the diagonal.
    spectrum
        :math:`\\chi_g`.
    """

    cell: UnitCell
    diffusion: fem.Function
    removal: fem.Function
    production: fem.Function
    scattering: fem.Function
    spectrum: fem.Constant

    @property
    def count(self) -> int:
        """Number of groups."""
        return int(self.spectrum.value.size)

    def bilinear(self, u: Any, w: Any) -> ufl.Form:
        """Return the form a."""
        all_groups = range(self.count)
        form = ufl.inner(ufl.dot(u, self.scattering), w)
        return (
            sum(
                self.diffusion[g] * ufl.inner(ufl.grad(u[g]), ufl.grad(w[g])) + self.removal[g] * u[g] * w[g]
                for g in all_groups
            )
            - form
        ) * ufl.dx

    def mass(self, u: Any, w: Any) -> ufl.Form:
        """Return the form m."""
        return ufl.inner(self.spectrum, w) * ufl.inner(self.production, u) * ufl.dx

    def along(self, u: Any, w: Any, s: Any) -> ufl.Form:
        """Return the form :math:`s_jc_j` of the Bloch problem."""
        return (
            sum(
                self.diffusion[g] * (u[g] * ufl.dot(s, ufl.grad(w[g])) - w[g] * ufl.dot(s, ufl.grad(u[g])))
                for g in range(self.count)
            )
            * ufl.dx
        )

    def spread(self, u: Any, w: Any, s: Any, t: Any) -> ufl.Form:
        """Return the form :math:`s_it_jd_{ij}` of the Bloch problem."""
        return sum(self.diffusion[g] * ufl.dot(s, t) * u[g] * w[g] for g in range(self.count)) * ufl.dx

    def problem(self, degree: int) -> SpectralProblem:
        """Return the spectral problem in Lagrange elements of a degree."""
        return SpectralProblem(
            name="multiplication of neutrons",
            unknown=Field(element=element_of(self.cell, "Lagrange", degree, (self.count,)), name="flux"),
            bilinear=self.bilinear,
            mass=self.mass,
            domain=self.cell.mesh,
            symmetric=False,
            along=self.along,
            spread=self.spread,
            coefficients={"diffusion": self.diffusion},
            given=[self.removal, self.production, self.scattering, self.spectrum],
            formula=("groups", self.count),
        )
