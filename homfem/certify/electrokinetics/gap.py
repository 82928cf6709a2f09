r"""Where the gap between the bounds of a charged cell is.

With the stress and potentials of the upper bound, the velocity and fluxes of the lower one
(:mod:`homfem.certify.electrokinetics.bounds`), whatever they are, and the forces f,

.. math:: f\cdot(U-L)f=\frac1{|Y|}\sum_K\int_K\frac1\eta|\mathrm{dev}\,\sigma-\eta\nabla v|^2
          +\sum_i\frac{|j_i-e_iv-D_ic_i(f_i-\nabla\chi_i)|^2}{D_ic_i} ,

as :math:`\int\sigma:\nabla v=\int F\cdot v` and :math:`\int j_i\cdot\nabla\chi_i=0`.

Source: Prager, Synge 1947, doi 10.1090/qam/25902.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.certify.adapt import on_root
from homfem.certify.electrokinetics.bounds import Lower, on_parts
from homfem.local.means import gradients_of
from homfem.local.problem import Correctors
from homfem.local.stokes import midpoints
from homfem.parameters import Array


def electrokinetic_gaps(upper: Correctors, lower: Lower, forces: Array) -> Array:
    """Return the gap of each combination of loads in each mesh cell, on rank 0, in the order of the fluid's arrays.

    Parameters
    ----------
    upper, lower
        Both sides.
    forces : array, shape (n, loads)
        The combinations.

    Returns
    -------
    array, shape (n, mesh cells)
        On other ranks empty. Collective.
    """
    gap = _Gap(upper, lower)
    found = np.array([gap.of(one) for one in forces])
    return found / lower.volume


class _Gap:
    """The form of the gap on the mesh that is split at the barycentres."""

    def __init__(self, upper: Correctors, lower: Lower) -> None:
        self.upper, self.lower, medium = upper, lower, lower.medium
        self.d, self.mesh, self.fluid = lower.d, lower.mesh, lower.fluid
        d, domain = self.d, lower.mesh.mesh
        self.owned = self.fluid.mesh.topology.index_map(d).size_local
        self.speed = fem.Function(lower.flow.spaces[0])
        self.shear, self.force, self.middle = self._space((d, d)), self._space((d,)), self._space((d,))
        self.rests = [self._space((d,)) for _ in range(lower.ions)]
        self.places = [medium.mobile(k) for k in range(lower.ions)]
        self._put(self.middle, midpoints(self.fluid).x.array.reshape(-1, d)[: self.owned])
        pairs = [(self._space(()), self._space(())) for _ in self.places]
        for functions, arrays in zip(pairs, self.places, strict=True):
            for function, values in zip(functions, arrays, strict=True):
                self._put(function, values)
        test = ufl.TestFunction(solve.function_space(domain, "DG", 0))
        moment = ufl.dev(ufl.outer(self.force, ufl.SpatialCoordinate(domain) - self.middle)) / d
        apart: Any = self.shear - moment - medium.viscosity * ufl.grad(self.speed)
        density = ufl.inner(apart, apart) / medium.viscosity
        for rest, (excess, mobile) in zip(self.rests, pairs, strict=True):
            left = rest - excess * self.speed
            density += ufl.inner(left, left) / mobile
        self.form = solve.compile_form(density * test * ufl.dx)
        # Of every load the gradients of velocity and potentials on the mesh cells of the fluid.
        fields = list(zip(*upper.functions, strict=True))
        self.shears = gradients_of(self.fluid, fields[0])[: self.owned]
        self.slopes = [gradients_of(self.fluid, one)[: self.owned, :, 0] for one in fields[2:]]

    def _space(self, shape: tuple[int, ...]) -> fem.Function:
        return fem.Function(solve.function_space(self.mesh.mesh, "DG", 0, shape))

    def _put(self, function: fem.Function, values: Array) -> None:
        function.x.array[:] = on_parts(self.fluid, self.mesh, values).ravel()

    def of(self, force: Array) -> Array:
        """The gap of one combination of loads, on rank 0."""
        d, medium = self.d, self.lower.medium
        forces = force.reshape(-1, d)
        total = np.tile(forces[0], (self.owned, 1))
        for k, (excess, mobile) in enumerate(self.places):
            slope = forces[1 + k] - np.einsum("n,mna->ma", force, self.slopes[k])
            total += excess[:, None] * slope
            flux = np.einsum("n,nma->ma", force, self.lower.fluxes[k])
            self._put(self.rests[k], flux - mobile[:, None] * slope)
        shear = medium.viscosity * np.einsum("n,mnab->mab", force, self.shears)
        shear -= np.einsum("maa->m", shear)[:, None, None] * np.eye(d) / d
        self._put(self.shear, shear)
        self._put(self.force, total)
        self.speed.x.array[:] = sum(
            size * fields[0].x.array for size, fields in zip(force, self.lower.flow.functions, strict=True)
        )
        vector = solve.assemble_vector(self.form)
        parts = on_root(self.mesh, vector.array_r.copy())
        vector.destroy()
        return np.asarray(parts.reshape(-1, d + 1).sum(axis=1))
