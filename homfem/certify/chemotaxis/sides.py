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

:math:`\tau_j` is the linear field without divergence, continuous in its normal component, that is nearest to
:math:`SQ_j` in that norm (:mod:`homfem.local.equilibrium`), and so is the flux of the unit gradient that L is of: one
matrix serves all. What the residual of the solver leaves of the continuity is at most the root of its excess there, per
volume, in the norm of :math:`\eta`. Both sides are of one order for quadratic correctors.

Source: Prudhomme, Oden 1999, doi 10.1016/S0045-7825(98)00343-0 (the adjoint, in other words).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import _dolfinx, brackets, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import on_root
from homfem.local import roundoff
from homfem.local.chemotaxis import driven_diffusion
from homfem.local.electrokinetics import cells_within
from homfem.local.engine import solve_correctors
from homfem.local.equilibrium import Equilibrated, Equilibrium
from homfem.local.equilibrium_elements import Moments
from homfem.local.problem import Correctors
from homfem.local.roundoff import STEPS
from homfem.parameters import Array
from homfem.ranks import collective

#: What the residual of the fluxes may add, relative to their energies: little beside the errors that are multiplied.
ALLOWANCE = 1e-10
#: Relative size of a drive's load up to which it is none, also where the solvers end far above it: one that is larger
#: may be real.
NOTHING = 1e-9


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

    @property
    def inverse(self) -> fem.Function:
        """Its inverse, zero where nothing diffuses."""
        result = fem.Function(self.coefficient.function_space)
        matrices, values = self.matrices, np.zeros_like(self.matrices)
        inside = matrices[:, 0, 0] > 0.0
        values[inside] = np.linalg.inv(matrices[inside])
        result.x.array[:] = values.ravel()
        return result

    def solve(self, drives: Sequence[fem.Function], *, degree: int, rtol: float) -> Correctors:
        """Solve for unit gradients, and for the correctors of the other one that drive it; collective."""
        problem = driven_diffusion(
            self.cell, self.coefficient, self.phases, degree=degree, drives=drives, sensitivity=self.sensitivity,
            size=min(rtol, NOTHING),
        )  # fmt: skip
        return solve_correctors(self.cell, problem, rtol=rtol)

    def noise(self, correctors: Correctors) -> Array:
        """What round-off can have done to the energies of the unit gradients, shape (d, d); collective."""
        owned, d = self.cell.mesh.topology.index_map(self.cell.dimension).size_local, self.cell.dimension
        largest = roundoff.largest(self.matrices[:owned].reshape(owned, -1), d)
        gradients = replace(correctors, functions=correctors.functions[:d], average=correctors.average[:d, :d])
        return roundoff.of_correctors(self.cell, largest, gradients, [(k,) for k in range(d)])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Below:
    r"""Fluxes without divergence: of the unit gradients, then those nearest to what drives.

    Parameters
    ----------
    functions
        Linear on each mesh cell of the whole cell, zero where nothing diffuses.
    average : array, shape (d, d)
        The energies of the first d, from below but for what follows.
    excess : array, shape (2 d,)
        What the residual of each may have added; the square of its distance from a flux that does not jump.
    noise : array, shape (d, d)
        What round-off may have done to the energies.
    dofs, iterations, seconds
        As in :class:`homfem.local.engine.Correctors`.
    """

    functions: tuple[fem.Function, ...]
    average: Array
    excess: Array
    noise: Array
    dofs: int
    iterations: int
    seconds: Mapping[str, float]


def solve_below(own: Diffusing, other: Correctors, rtol: float) -> Below:
    """Return the fluxes of one mesh; ``other`` are the correctors that drive. Collective."""
    cell, d = own.cell, own.cell.dimension
    part = Part(cell, own.phases)
    coefficient = fem.Function(solve.function_space(part.cell.mesh, "DG", 0, (d, d)))
    matrices = part.take(own.matrices[: part.owned])
    coefficient.x.array[: matrices.size] = matrices.ravel()
    coefficient.x.scatter_forward()
    problem = Equilibrium(part.cell, coefficient, 1, rtol=rtol)
    constants = problem.elements.work_of_constants()
    driven = problem.elements.work(part.take(_drives(own, other)))
    moments = np.zeros((len(constants), 1, 2 * d))
    found = problem.solve(moments, np.concatenate([constants, driven], axis=2), allowance=ALLOWANCE)
    problem.destroy()
    volume = cell.lattice.volume
    average: Array = np.asarray(-found.value[:d, :d] / volume, dtype=np.float64)
    error: Array = np.asarray(found.error[:d] / volume, dtype=np.float64)
    weights = roundoff.weights(part.cell, average, [(k,) for k in range(d)])
    terms = np.log2(2.0 + part.cell.number_of_cells) + STEPS
    noise: Array = brackets.of_round_off(np.zeros(d), weights, terms) + brackets.shared(error, weights)
    return Below(
        functions=_functions(cell, part, found),
        average=average,
        excess=np.asarray(found.excess / volume, dtype=np.float64),
        noise=noise,
        dofs=found.dofs,
        iterations=found.iterations,
        seconds=found.seconds,
    )


def _drives(own: Diffusing, other: Correctors) -> Array:
    r"""Moments of :math:`D^{-1}S(e_j+\nabla q_j)` on each owned mesh cell, shape (m, d, d + 1, d); collective."""
    cell, inverse = own.cell, own.inverse
    q, axis = fem.Function(other.functions[0].function_space), fem.Constant(cell.mesh, np.zeros(cell.dimension))

    def build(test: Any) -> ufl.Form:
        return ufl.inner(ufl.dot(inverse, ufl.dot(own.sensitivity, axis + ufl.grad(q))), test) * ufl.dx

    made, found = Moments(cell, 1, "chemotaxis", build, [inverse, own.sensitivity, q], [axis], vector=True), []
    for j, unit in enumerate(np.eye(cell.dimension)):
        q.x.array[:], axis.value[:] = other.functions[j].x.array, unit
        found.append(made())
    return np.stack(found, axis=3)


def _functions(cell: UnitCell, part: Part, found: Equilibrated) -> tuple[fem.Function, ...]:
    """The fluxes as functions on the whole cell; collective."""
    d, result = cell.dimension, []
    for j in range(found.coefficients.shape[2]):
        own = found.function(j, f"flux_{j + 1}")
        if part.cell is cell:
            result.append(own)
            continue
        values = own.x.array.reshape(-1, d)[own.function_space.dofmap.list[: len(found.coefficients)]]
        function = fem.Function(solve.function_space(cell.mesh, "DG", 1, (d,)), name=own.name)
        function.x.array.reshape(-1, d)[function.function_space.dofmap.list[: part.owned]] = part.put(values)
        function.x.scatter_forward()
        result.append(function)
    return tuple(result)


class Part:
    """Some phases of a cell as a cell of their own, and values of mesh cells on the way there and back; collective."""

    def __init__(self, cell: UnitCell, phases: Sequence[str]) -> None:
        self.whole, d = cell, cell.dimension
        self.owned = cell.mesh.topology.index_map(d).size_local
        self.cell = cell if set(phases) == set(cell.phase_names) else cell.restrict(list(phases))
        self._numbers = None
        with collective(cell.comm):
            if self.cell is not cell and cell.raw is not None and self.cell.raw is not None:
                self._numbers = cells_within(cell.raw, self.cell.raw)

    def take(self, values: Array) -> Array:
        """Return those of the owned mesh cells of the part."""
        if self.cell is self.whole:
            return values
        every = on_root(self.whole, values)
        return self._dealt(self.cell, None if self._numbers is None else every[self._numbers])

    def put(self, values: Array) -> Array:
        """Return values of the part on the owned mesh cells of the whole, zero elsewhere."""
        own, full = on_root(self.cell, values), None
        if self._numbers is not None:
            full = np.zeros((self.whole.number_of_cells, *own.shape[1:]))
            full[self._numbers] = own
        return self._dealt(self.whole, full)

    def _dealt(self, cell: UnitCell, values: Array | None) -> Array:
        owned = cell.mesh.topology.index_map(cell.dimension).size_local
        return np.asarray(cell.comm.bcast(values, root=0)[_dolfinx.original_cell_index(cell.mesh)[:owned]])


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


def distances(own: Diffusing, upper: Correctors, below: Below, other: Correctors) -> Array:
    r"""Return the squares of the distances of both sides in each owned mesh cell, shape (2 d, cells); collective.

    Per volume of the period :math:`\int_K|D(e+\nabla p)-\tau|^2_{D^{-1}}` of the unit gradients, then
    :math:`\int_K|SQ-D\nabla\omega-\tau|^2_{D^{-1}}` of what drives.
    """
    cell, d, inverse = own.cell, own.cell.dimension, own.inverse
    u, q = (fem.Function(one.functions[0].function_space) for one in (upper, other))
    tau, unit = fem.Function(below.functions[0].function_space), fem.Constant(cell.mesh, 1.0)
    axis, space = fem.Constant(cell.mesh, np.zeros(d)), solve.function_space(cell.mesh, "DG", 0)

    def build() -> ufl.Form:
        driven = ufl.dot(own.sensitivity, axis + ufl.grad(q)) - ufl.dot(own.coefficient, ufl.grad(u))
        apart = unit * ufl.dot(own.coefficient, axis + ufl.grad(u)) + (1.0 - unit) * driven - tau
        return ufl.inner(apart, ufl.dot(inverse, apart)) * ufl.TestFunction(space) * ufl.dx

    given = [own.coefficient, own.sensitivity, inverse, u, q, tau]
    terminals = solve.Terminals(mesh=cell.mesh, spaces=[space], functions=given, constants=[unit, axis])
    form = solve.compile_formula(("chemotaxis", "distance"), build, terminals)
    found = np.zeros((2 * d, cell.mesh.topology.index_map(d).size_local))
    for k in range(2 * d):
        unit.value, axis.value[:] = float(k < d), np.eye(d)[k % d]
        u.x.array[:], q.x.array[:] = upper.functions[k].x.array, other.functions[k % d].x.array
        tau.x.array[:] = below.functions[k].x.array
        vector = solve.assemble_vector(form)
        found[k] = vector.array_r[: found.shape[1]]
        vector.destroy()
    return found * cell.copies / cell.lattice.volume
