r"""Both sides of the sensitivity on one mesh: conforming correctors, fluxes that are free of divergence, error bounds.

With approximations :math:`p_i,q_j` of :math:`\chi^n_i,\chi^c_j`, and :math:`P_i=e_i+\nabla p_i`,
:math:`Q_j=e_j+\nabla q_j`,

.. math:: S^*_{ij}-\langle P_i\cdot SQ_j\rangle=\langle\nabla\delta p_i\cdot SQ_j\rangle
    +\langle P_i\cdot S\nabla\delta q_j\rangle+\langle\nabla\delta p_i\cdot S\nabla\delta q_j\rangle .

The energies of the errors are known: :math:`\varepsilon_i^2=\langle\nabla\delta p_i\cdot D_n\nabla\delta p_i\rangle\le
U_{ii}-L_{ii}`. For the first term let :math:`\omega_j` be conforming and :math:`\tau_j` free of divergence and without
flux through walls, both nearly the solution of the problem that :math:`SQ_j` drives. As
:math:`\langle\nabla\delta p_i\cdot\tau_j\rangle=0` and :math:`\langle D_n(e_i+\nabla\chi^n_i)\cdot\nabla\omega_j
\rangle=0`,

.. math:: \langle\nabla\delta p_i\cdot SQ_j\rangle=-\langle D_nP_i\cdot\nabla\omega_j\rangle
    +\langle\nabla\delta p_i\cdot(SQ_j-D_n\nabla\omega_j-\tau_j)\rangle ,

a number that is computed and at most :math:`\varepsilon_i\,\eta_j`, :math:`\eta_j=\|SQ_j-D_n\nabla\omega_j-\tau_j
\|_{D_n^{-1}}`. The second term is the mirror image, with :math:`D_c` and :math:`S^TP_i`, the third is at most
:math:`\varepsilon^n_i\varepsilon^c_j\max\|D_n^{-1/2}SD_c^{-1/2}\|`: everything is a product of two errors.

:math:`\tau_j=V_j-D_n\nabla_h\tilde\omega_j` with the Crouzeix-Raviart solution that a field :math:`V_j`, constant on
each mesh cell, drives: its flux is continuous as that of :mod:`homfem.certify.diffusion` is. What the residual
:math:`\rho` of the solver leaves of that is at most :math:`\sqrt{W/|Y|}\,\|\rho\|_1` in the norm of :math:`\eta`.

Source: Prudhomme, Oden 1999, doi 10.1016/S0045-7825(98)00343-0 (the adjoint, in other words).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.brackets import EPS
from homfem.cells.unitcell import UnitCell
from homfem.local import roundoff
from homfem.local.chemotaxis import driven_diffusion
from homfem.local.engine import solve_correctors
from homfem.local.means import mean_gradients
from homfem.local.problem import Correctors
from homfem.parameters import Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Diffusing:
    """One of the two diffusions.

    Parameters
    ----------
    coefficient
        A matrix on each mesh cell, zero where nothing diffuses.
    sensitivity
        That by which the other one drives it: S for the cells, its transpose for the attractant.
    phases
        Where it diffuses.
    """

    cell: UnitCell
    coefficient: fem.Function
    sensitivity: fem.Function
    phases: tuple[str, ...]

    @property
    def matrices(self) -> Array:
        """The coefficient on each local mesh cell."""
        d = self.cell.dimension
        return self.coefficient.x.array.reshape(-1, d, d)

    def solve(
        self, drives: Sequence[fem.Function], *, degree: int, rtol: float, element: str = "Lagrange"
    ) -> Correctors:
        """Solve for unit gradients and for what drives it: correctors of the other one, or vectors; collective."""
        scalar = bool(drives) and not drives[0].ufl_shape
        problem = driven_diffusion(
            self.cell, self.coefficient, self.phases, degree=degree, element=element, drives=drives,
            sensitivity=self.sensitivity if scalar else None,
        )  # fmt: skip
        return solve_correctors(self.cell, problem, rtol=rtol)

    def noise(self, correctors: Correctors) -> Array:
        """What round-off can have done to the energy of each unit gradient, shape (d,); collective."""
        owned, d = self.cell.mesh.topology.index_map(self.cell.dimension).size_local, self.cell.dimension
        largest = roundoff.largest(self.matrices[:owned].reshape(owned, -1), d)
        gradients = replace(correctors, functions=correctors.functions[:d], average=correctors.average[:d, :d])
        return np.diag(roundoff.of_correctors(self.cell, largest, gradients, [(k,) for k in range(d)]))

    def excess(self, broken: Correctors, drives: Array) -> Array:
        r"""Return :math:`W\|\rho\|_1^2/|Y|` of each load, with what round-off can hide of the residual; collective.

        ``drives`` has the vectors of the further loads on each local mesh cell, shape (cells, loads - d, d).
        """
        cell, d = self.cell, self.cell.dimension
        owned = cell.mesh.topology.index_map(d).size_local
        nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:owned, : d + 1]][:, :, :d]
        first, second = np.triu_indices(d + 1, 1)
        diameter = np.linalg.norm(nodes[:, first] - nodes[:, second], axis=2).max(axis=1, initial=0.0)
        volume, slope = roundoff.steepness(cell)
        smallest = np.linalg.eigvalsh(self.matrices[:owned])[:, 0]
        inside = smallest > 0.0
        weight = np.sum((diameter[inside] / d) ** 2 / (volume[inside] * smallest[inside]))
        sizes = np.concatenate([np.repeat(roundoff.largest(self.matrices[:owned].reshape(owned, -1), d)[:, None], d, 1),
                                np.linalg.norm(drives[:owned], axis=2)], axis=1)  # fmt: skip
        hidden = 4.0 * EPS * (d + 1) * d * ((volume * slope) @ sizes)
        total = cell.comm.allreduce(np.append(hidden, weight), op=MPI.SUM)
        return np.asarray(total[-1] * (broken.residual_norms + total[:-1]) ** 2 * cell.copies / cell.lattice.volume)


def pairing(cell: UnitCell, tensor: fem.Function) -> Callable[[fem.Function, Array, fem.Function, Array], float]:
    r"""Return ``f(u, a, v, b)`` :math:`=\frac1{|Y|}\int(a+\nabla u)\cdot A(b+\nabla v)`; collective."""
    kept: dict[int, tuple[fem.Function, fem.Function, fem.Constant, fem.Constant, Callable[[], float]]] = {}

    def of(u: fem.Function, a: Array, v: fem.Function, b: Array) -> float:
        key = id(u.function_space)
        if key not in kept:
            one, two = fem.Function(u.function_space), fem.Function(v.function_space)
            left, right = (fem.Constant(cell.mesh, np.zeros(cell.dimension)) for _ in range(2))
            form = ufl.inner(left + ufl.grad(one), ufl.dot(tensor, right + ufl.grad(two))) * ufl.dx
            kept[key] = one, two, left, right, solve.integral(form)
        one, two, left, right, value = kept[key]
        one.x.array[:], two.x.array[:] = u.x.array, v.x.array
        left.value[:], right.value[:] = a, b
        return value() * cell.copies / cell.lattice.volume

    return of


def vectors(cell: UnitCell, values: Array) -> list[fem.Function]:
    """Return vectors that are constant on each mesh cell, of shape (local cells, n, d), as n functions."""
    found = []
    for k in range(values.shape[1]):
        found.append(fem.Function(solve.function_space(cell.mesh, "DG", 0, (cell.dimension,))))
        found[-1].x.array[:] = values[:, k].ravel()
    return found


def driven_means(own: Diffusing, other: Correctors) -> Array:
    """Return the mean of S(e + grad q) on each local mesh cell, shape (local cells, d, d): last the components."""
    d = own.cell.dimension
    gradients = mean_gradients(own.cell, other)[:, :d, 0] + np.eye(d)
    return np.einsum("mij,mkj->mki", own.sensitivity.x.array.reshape(-1, d, d), gradients)


def distances(own: Diffusing, upper: Correctors, broken: Correctors, other: Correctors, means: Array) -> Array:
    r"""Return :math:`\frac1{|Y|}\int_K|SQ-V-D(\nabla u-\nabla_h\tilde u)|^2_{D^{-1}}` (loads, cells); collective.

    For the unit gradients without the first two terms.
    """
    cell, d = own.cell, own.cell.dimension
    inverse = fem.Function(own.coefficient.function_space)
    matrices = own.matrices
    inside = matrices[:, 0, 0] > 0.0
    values = np.zeros_like(matrices)
    values[inside] = np.linalg.inv(matrices[inside])
    inverse.x.array[:] = values.ravel()
    u, c, q = (fem.Function(one.functions[0].function_space) for one in (upper, broken, other))
    v = fem.Function(solve.function_space(cell.mesh, "DG", 0, (d,)))
    on, axis = fem.Constant(cell.mesh, 0.0), fem.Constant(cell.mesh, np.zeros(d))
    weight = ufl.TestFunction(solve.function_space(cell.mesh, "DG", 0))
    rest = on * (ufl.dot(own.sensitivity, axis + ufl.grad(q)) - v) - ufl.dot(own.coefficient, ufl.grad(u) - ufl.grad(c))
    form = solve.compile_form(ufl.inner(rest, ufl.dot(inverse, rest)) * weight * ufl.dx)
    owned = cell.mesh.topology.index_map(d).size_local
    found = np.zeros((len(upper.functions), owned))
    for k, (above, below) in enumerate(zip(upper.functions, broken.functions, strict=True)):
        u.x.array[:], c.x.array[:] = above.x.array, below.x.array
        on.value = float(k >= d)
        if k >= d:
            axis.value[:], q.x.array[:], v.x.array[:] = (
                np.eye(d)[k - d],
                other.functions[k - d].x.array,
                means[:, k - d].ravel(),
            )
        vector = solve.assemble_vector(form)
        found[k] = vector.array_r[:owned]
        vector.destroy()
    return found * cell.copies / cell.lattice.volume
