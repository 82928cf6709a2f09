r"""Guaranteed bounds of a matrix of Onsager, for concentrations that are constant in each mesh cell.

The equilibrium itself is not bounded: the bounds are those of a cell in whose mesh cells the potential is the mean of
the discrete one. They are in the Loewner order, in the variables of the virtual bath, :math:`e_i=c_i-c_{ib}`.

**Upper bound**: :mod:`homfem.local.electrokinetic_upper`, with room for the residual as for a flow.

**Lower bound.** For every velocity v without divergence that vanishes on the walls, and fluxes :math:`j_i` without
divergence that no wall lets through,

.. math:: f\cdot Lf\ge\frac1{|Y|}\Bigl[2\int\bigl(f_0\cdot v+\sum_if_i\cdot j_i\bigr)-\int\eta|\nabla v|^2
          -\sum_i\int\frac{|j_i-e_iv|^2}{D_ic_i}\Bigr] .

v is that of Scott and Vogelius's element, on the mesh split at the barycentres; with its mean :math:`\bar v` in each
mesh cell and Crouzeix and Raviart's solution :math:`w_i` of
:math:`(D_ic_i\nabla w,\nabla z)=(D_ic_if_i+e_i\bar v,\nabla z)` the constant
:math:`j_i=e_i\bar v+D_ic_i(f_i-\nabla_hw_i)` is such a flux: its normal component is continuous. Where solvers leave
a divergence of v, a velocity that takes it away (:mod:`homfem.certify.stokes.lift`) is at most so large; where they
leave jumps :math:`\rho` of :math:`j_i`, the bound holds but for :math:`2\sum_F\rho_F\bar\chi_F`, with means over facets
of the true :math:`\chi_i`, at most :math:`\sqrt W\,\|\nabla\chi_i\|`
(:func:`homfem.certify.stokes.bounds.path_weight`), and
:math:`\|f_i-\nabla\chi_i\|^2\le|Y|f\cdot Lf/\min D_ic_i`, which the upper bound bounds.

Source: Onsager, Machlup 1953, doi 10.1103/PhysRev.91.1505 (the principles); Marini 1985, doi 10.1137/0722029.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import on_root
from homfem.certify.stokes.bounds import path_weight, split, upper_allowance
from homfem.certify.stokes.lift import lift
from homfem.local.charges import Charges
from homfem.local.electrokinetic_upper import upper_problem, viscous_energy
from homfem.local.electrokinetics import electrokinetic_problem
from homfem.local.engine import solve_correctors
from homfem.local.problem import CellProblem, Correctors, Field, element_of
from homfem.parameters import Array

#: A polynomial is at most so many times its largest value at the nodes: their number, at degree 3 in space, and more.
LEBESGUE = 25.0
#: What rounding does to a sum of positive terms, for each of them, relative.
ROUNDED = 4.0 * float(np.finfo(np.float64).eps)
RTOL = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Medium:
    """A fluid with concentrations that are constant in each mesh cell, in mesh units with kT = 1.

    ``potential`` is constant in each mesh cell of ``fluid``, ``diffusivities`` are by phase for each ion.
    """

    fluid: UnitCell
    charges: Charges
    potential: fem.Function
    diffusivities: list[dict[str, float]]
    viscosity: float

    @property
    def given(self) -> dict[str, Any]:
        """What the problems take."""
        return {"diffusivities": self.diffusivities, "viscosity": self.viscosity}

    def mobile(self, k: int) -> tuple[Array, Array]:
        """Excess, and concentration times diffusivity, of an ion on each owned mesh cell."""
        owned = self.fluid.mesh.topology.index_map(self.fluid.dimension).size_local
        bath, z = self.charges.baths[k], self.charges.valences[k]
        factor = np.exp(-z * self.potential.x.array[:owned])
        table = np.zeros(max(self.fluid.phases.values()) + 1)
        for name, tag in self.fluid.phases.items():
            table[tag] = self.diffusivities[k][name]
        return bath * (factor - 1.0), table[self.fluid.phase_of_cell[:owned]] * bath * factor


def cell_means(potential: fem.Function) -> fem.Function:
    """Return the mean of a function in each mesh cell; collective."""
    space = solve.function_space(potential.function_space.mesh, "DG", 0)
    result, test = fem.Function(space, name=potential.name), ufl.TestFunction(space)
    values, sizes = _assembled(potential * test * ufl.dx), _assembled(test * ufl.dx)
    result.x.array[: len(values)] = values / sizes
    result.x.scatter_forward()
    return result


def _assembled(form: ufl.Form) -> Array:
    vector = solve.assemble_vector(form)
    values = np.asarray(vector.array_r.copy())
    vector.destroy()
    return values


def upper_matrix(medium: Medium) -> tuple[Array, Correctors]:
    """Return the upper bound in the variables of the virtual bath, and the fields that it is of; collective."""
    fluid = medium.fluid
    problem = upper_problem(fluid, medium.charges, medium.potential, **medium.given)
    found = solve_correctors(fluid, problem, preconditioner="direct", rtol=RTOL)
    room = upper_allowance(fluid, found, viscous_energy(fluid, found), medium.viscosity)
    rounded = ROUNDED * (fluid.number_of_cells + 1000.0) * float(np.trace(found.average))
    return found.average + room + rounded * np.eye(len(room)), found


def lower_matrix(medium: Medium, upper: Array) -> tuple[Array, Lower]:
    """Return the lower bound likewise, and what it is of; ``upper`` is that of the other side. Collective."""
    fluid = medium.fluid
    mesh = split(fluid)
    parents = _on_parts(medium, mesh)
    problem = electrokinetic_problem(
        mesh, medium.charges, parents, element="scott-vogelius", degree=fluid.dimension, **medium.given
    )
    flow = solve_correctors(mesh, problem, preconditioner="direct", rtol=RTOL)
    found = Lower(medium, mesh, parents, flow, upper)
    return found.matrix(), found


def _on_parts(medium: Medium, mesh: UnitCell) -> fem.Function:
    """The potential on the mesh split at the barycentres, the same on all parts of a mesh cell."""
    fluid = medium.fluid
    owned = fluid.mesh.topology.index_map(fluid.dimension).size_local
    result = fem.Function(solve.function_space(mesh.mesh, "DG", 0), name="potential")
    result.x.array[:] = on_parts(fluid, mesh, medium.potential.x.array[:owned])
    return result


def on_parts(fluid: UnitCell, mesh: UnitCell, values: Array) -> Array:
    """Return values of the owned mesh cells on the local ones of the mesh split at the barycentres; collective."""
    every = fluid.comm.bcast(np.repeat(on_root(fluid, values), fluid.dimension + 1, axis=0), root=0)
    return np.asarray(every[_dolfinx.original_cell_index(mesh.mesh)])


class Lower:
    """The lower bound of a flow: its fluxes, their energies, and what the solvers may have left.

    ``fluxes`` are those of each ion in each mesh cell of the fluid, of shape (loads, cells, d), once there is a matrix.
    """

    def __init__(self, medium: Medium, mesh: UnitCell, potential: fem.Function, flow: Correctors, upper: Array) -> None:
        self.medium, self.mesh, self.flow, self.upper = medium, mesh, flow, upper
        self.fluid, self.d, self.loads = medium.fluid, medium.fluid.dimension, len(flow.functions)
        self.ions, self.fluxes = len(medium.charges.baths), list[Array]()
        self.volume = self.fluid.lattice.volume
        owned = self.fluid.mesh.topology.index_map(self.d).size_local
        test = ufl.TestFunction(solve.function_space(self.fluid.mesh, "DG", 0))
        self.sizes = _assembled(test * ufl.dx)[:owned]
        self.means = self._means(owned)
        self.gradients, self.squares = self._integrals(potential)

    def _means(self, owned: int) -> list[fem.Function]:
        """The mean velocity of each load in each mesh cell that was split."""
        space = solve.function_space(self.mesh.mesh, "DG", 0, (self.d,))
        velocity, test = fem.Function(self.flow.spaces[0]), ufl.TestFunction(space)
        form = solve.compile_form(ufl.inner(velocity, test) * ufl.dx)
        target = solve.function_space(self.fluid.mesh, "DG", 0, (self.d,))
        result, here = [], _dolfinx.original_cell_index(self.fluid.mesh)
        for fields in self.flow.functions:
            velocity.x.array[:] = fields[0].x.array
            parts = on_root(self.mesh, _assembled(form).reshape(-1, self.d))
            whole = self.fluid.comm.bcast(parts.reshape(-1, self.d + 1, self.d).sum(axis=1), root=0)
            mean = fem.Function(target)
            mean.x.array[: owned * self.d] = (whole[here[:owned]] / self.sizes[:, None]).ravel()
            mean.x.scatter_forward()
            result.append(mean)
        return result

    def _integrals(self, potential: fem.Function) -> tuple[Array, Array]:
        r"""Of pairs of loads :math:`\int\nabla v:\nabla v` and :math:`\sum_i\int e_i^2v\cdot v/D_ic_i`."""
        problem, (u, v) = self.flow.problem, (fem.Function(self.flow.spaces[0]) for _ in range(2))
        pairs = problem.bilinear.__self__.concentrations()  # type: ignore[attr-defined]
        weight = sum(excess**2 / mobile for excess, mobile in pairs)
        forms = (ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx, weight * ufl.inner(u, v) * ufl.dx)
        values = [solve.integral(form) for form in forms]
        found = np.zeros((2, self.loads, self.loads))
        for i in range(self.loads):
            u.x.array[:] = self.flow.functions[i][0].x.array
            for j in range(i + 1):
                v.x.array[:] = self.flow.functions[j][0].x.array
                found[:, i, j] = found[:, j, i] = [value() for value in values]
        return found[0], found[1]

    def matrix(self) -> Array:
        """The bound, with what the solvers may have added to it taken off."""
        speeds = np.stack([one.x.array[: len(self.sizes) * self.d].reshape(-1, self.d) for one in self.means])
        own, inner = np.zeros((2, self.loads, self.loads))
        for j in range(self.d):
            own[j] += speeds[:, :, j] @ self.sizes
        lost = 0.0
        for k in range(self.ions):
            excess, mobile = self.medium.mobile(k)
            fluxes, residual = self._fluxes(k, speeds, excess, mobile)
            self.fluxes.append(fluxes)
            for j in range(self.d):
                own[self.d * (1 + k) + j] += fluxes[:, :, j] @ self.sizes
            weight = self.sizes / mobile
            mixed = np.einsum("smx,tmx,m->st", excess[:, None] * speeds, fluxes, weight)
            inner += np.einsum("smx,tmx,m->st", fluxes, fluxes, weight) - mixed - mixed.T
            least = self.fluid.comm.allreduce(float(mobile.min(initial=np.inf)), op=MPI.MIN)
            steepest = np.sqrt(self.volume * np.trace(self.upper) / least) + np.sqrt(self.volume)
            lost += float(2.0 * residual * np.sqrt(path_weight(self.fluid)) * steepest)
        own, inner = (self.fluid.comm.allreduce(part, op=MPI.SUM) for part in (own, inner))
        viscous = self.medium.viscosity * self.gradients
        dissipated = viscous + self.squares + inner
        left = float(lost + self._of_divergence(viscous, dissipated - viscous))
        size = float(np.trace(np.abs(own) + np.abs(viscous) + np.abs(self.squares) + np.abs(inner)))
        left += ROUNDED * (self.mesh.number_of_cells + 1000.0) * size
        return np.asarray((own + own.T - dissipated - left * np.eye(self.loads)) / self.volume)

    def _fluxes(self, k: int, speeds: Array, excess: Array, mobile: Array) -> tuple[Array, float]:
        """Fluxes of an ion in each mesh cell, shape (loads, cells, d), and their jumps, of any unit load."""
        fluid, d = self.fluid, self.d
        space = solve.function_space(fluid.mesh, "DG", 0)
        weight, over = fem.Function(space), fem.Function(space)
        for function, values in ((weight, mobile), (over, excess)):
            function.x.array[: len(values)] = values
            function.x.scatter_forward()

        def drive(s: Any) -> Any:
            force = ufl.as_vector([s[d * (1 + k) + j] for j in range(d)])
            return weight * force + over * sum(s[n] * mean for n, mean in enumerate(self.means))

        problem = CellProblem(
            name=f"flux of ion {k + 1}",
            fields=(Field(element=element_of(fluid, "CR", 1), name="potential"),),
            loads=self.loads,
            bilinear=lambda u, v: weight * ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx,
            linear=lambda v, s: ufl.inner(drive(s), ufl.grad(v)) * ufl.dx,
            average=lambda w, s, z, t: weight * ufl.inner(ufl.grad(w), ufl.grad(z)) * ufl.dx,
            domain=fluid.mesh,
        )
        found = solve_correctors(fluid, problem, preconditioner="direct", rtol=RTOL)
        function = fem.Function(found.space)
        test = ufl.TestFunction(solve.function_space(fluid.mesh, "DG", 0, (d,)))
        form = solve.compile_form(ufl.inner(ufl.grad(function), test) * ufl.dx)
        result = np.empty_like(speeds)
        for n, one in enumerate(found.functions):
            function.x.array[:] = one.x.array
            gradient = _assembled(form).reshape(-1, d)[: len(self.sizes)] / self.sizes[:, None]
            result[n] = excess[:, None] * speeds[n] - mobile[:, None] * gradient
            if n // d == 1 + k:
                result[n][:, n % d] += mobile
        return result, float(np.linalg.norm(found.residual_norms))

    def _of_divergence(self, viscous: Array, others: Array) -> float:
        """What the divergence that the solver left may have added, of any unit load, times the volume."""
        pairs = replace(self.flow, functions=tuple(fields[:2] for fields in self.flow.functions))
        away = lift(self.fluid, self.mesh, pairs, [0] * self.loads)
        energy = float(np.linalg.norm(away.energy)) * np.sqrt(self.medium.viscosity)
        largest = LEBESGUE * np.sqrt(self.d) * float(np.linalg.norm(away.largest))
        weight = sum(
            self.fluid.comm.allreduce(float(self.sizes @ (excess**2 / mobile)), op=MPI.SUM)
            for excess, mobile in map(self.medium.mobile, range(self.ions))
        )
        moved = largest * np.sqrt(weight)
        shear, rest = (np.sqrt(max(float(np.trace(part)), 0.0)) for part in (viscous, others))
        return float(2.0 * largest * self.volume + (2.0 * shear + energy) * energy + (2.0 * rest + moved) * moved)
