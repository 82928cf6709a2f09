r"""Dispersion at several speeds of one flow: matrices and loads are made once, :math:`A=K+sC`.

K is the matrix of diffusion, C the skew one of convection, s the scale of the velocity. The matrix of each speed is
solved with factors where they are cheap, and of :data:`MANY` speeds and more only a few are: the others are projected
on these (:mod:`homfem.local.dispersion_projection`). Where factors are not cheap, GMRES takes p-multigrid of A that a
diffusion along the streamlines holds up (:class:`homfem.solve.StreamlineSolver`), from :data:`FAST` on only where
factors are dear; of linear elements multigrid of K, or from :data:`STRONG` on incomplete factors of A. What does not
converge goes to factors all the same, if these fit into the memory, and is an error if nothing converges.

Measured in ``tests/benchmarks/dispersion_solvers.py``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import solve
from homfem.brackets import symmetric
from homfem.limits import MemoryLimitError
from homfem.local.clock import Clock
from homfem.local.dispersion import Carrier, dispersion_problem, forms_of, options_of, problem_of
from homfem.local.dispersion_projection import Pencil, project
from homfem.local.engine import solve_correctors
from homfem.local.kernels import Kernels, kernels_of, require_balance
from homfem.local.posed import Found, Group, Method, Posed
from homfem.local.problem import Correctors
from homfem.local.solenoidal import size_at_nodes
from homfem.parameters import Array, ConvergenceError

log = logging.getLogger("homfem")

#: Speeds from which on some are solved and the others projected on these.
MANY = 8
#: Peclet number of the shortest period, with the root mean square speed, from which incomplete factors are taken for
#: linear elements.
STRONG = 20.0
#: The same from which factors go first for elements of a higher degree in space: p-multigrid took 8 to 15 iterations up
#: to 300, 31 at 1000 and 142 at 10,000; with 134,000 unknowns both took as long at 300.
FAST = 500.0
#: Entries of the largest matrix of which these factors are made: 200,000 unknowns of degree 2 in space. With 340,000
#: they did not fit into 12 GB, and p-multigrid took 42 iterations for three loads around a sphere at 1000.
FACTORS = 6_000_000
#: Iterations of p-multigrid before factors are tried, and where nothing else is left.
SHORT, LONG = 100, 1000
#: A load within so many times its round-off is none: real ones were 1e12 times it or more.
NOTHING = 100.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dispersed:
    r"""The solved cell problem at one scale of the velocity.

    Parameters
    ----------
    scale
        What the velocity was multiplied with.
    velocity : array, shape (d,)
        :math:`V`.
    value : array, shape (d, d)
        :math:`D^*`.
    flux : array, shape (d, d)
        F.
    mass
        m over the volume of the period.
    correctors
        :math:`\chi_j`, and :math:`Fm/|Y|`.
    """

    scale: float
    velocity: Array
    value: Array
    flux: Array
    mass: float
    correctors: Correctors


def solve_dispersed(
    carrier: Carrier, scales: Sequence[float], method: Method | None = None, stiffness: PETSc.Mat | None = None
) -> tuple[Dispersed, ...]:
    """Solve the cell problem for several scales of the velocity from one set-up; collective.

    Matrices, loads and the spaces of the preconditioner are made once: :math:`A=K+sC`. ``stiffness`` is the matrix of
    :func:`homfem.local.solenoidal.stiffness_matrix` at the degree of the correctors, if there is one already.

    Raises
    ------
    BudgetError, MemoryLimitError, ConvergenceError
        As :func:`homfem.local.engine.solve_correctors`.
    """
    method, volume = method or Method(), carrier.cell.lattice.volume
    if carrier.velocity is None or not any(scales):
        held = carrier.mass
        mass, mean = held / volume, np.asarray(carrier.flow / held)
        still = replace(carrier, velocity=None, exactness=carrier.points)
        one = _solved(still, method)
        return tuple(_dispersed(scale, mean, mass, one) for scale in scales)
    series = _Series(carrier, method, stiffness)
    solved = series.solve_many(scales) or [series.solve(scale) for scale in scales]
    mass, mean = series.held / volume, series.forms.mean.value.copy()
    series.destroy()
    return tuple(_dispersed(scale, mean, mass, one) for scale, one in zip(scales, solved, strict=True))


def _solved(carrier: Carrier, method: Method) -> Correctors:
    return solve_correctors(carrier.cell, dispersion_problem(carrier), **options_of(method))


def _dispersed(scale: float, mean: Array, mass: float, correctors: Correctors) -> Dispersed:
    flux: Array = np.asarray(correctors.average / mass)
    return Dispersed(
        scale=scale,
        velocity=scale * mean,
        value=symmetric(flux),
        flux=flux,
        mass=mass,
        correctors=correctors,
    )


class _Series:
    """One set-up for all scales."""

    def __init__(self, carrier: Carrier, method: Method, stiffness: PETSc.Mat | None = None) -> None:
        self.clock, self.carrier, self.method = Clock(), carrier, method
        self.forms = forms_of(carrier, 1.0, np.zeros(carrier.cell.dimension))
        self.posed = posed = Posed(carrier.cell, problem_of(self.forms), None, "periodic")
        posed.require_room(direct=method.preconditioner == "direct")
        self.clock.lap("constraint")
        posed.assemble(matrix=False, sides=False)
        system = posed.system
        # Each on its own: as what is left of their sum the smaller one would lose its digits.
        self.still = self._diffusion(stiffness)
        self.convection: PETSc.Mat = system.matrices(carrier.convection, "convection")[0][0]
        self.loads, self.held = self._loads()
        ((self.planes, _),) = posed.groups.items()
        self.clock.lap("assembly")
        self.mean = self._mean()
        self.noise = self._noise()

    def _diffusion(self, stiffness: PETSc.Mat | None) -> PETSc.Mat:
        """K; that of the stiffness where the diffusivity is one number; collective."""
        carrier = self.carrier
        if stiffness is not None and carrier.weight is None and not carrier.diffusivity.ufl_shape:
            own = carrier.diffusivity.x.array
            ends = carrier.cell.comm.allgather((own.min(initial=np.inf), own.max(initial=-np.inf)))
            least, most = min(one for one, _ in ends), max(one for _, one in ends)
            if least == most:
                matrix = stiffness.copy()
                matrix.scale(least)
                return matrix
        return self.posed.system.matrices(carrier.diffusion, "diffusion")[0][0]

    def _loads(self) -> tuple[list[list[PETSc.Vec]], float]:
        """The loads of the gradients and of the drifts, and m; sets the mean velocity; collective.

        The functions of the elements add up to one, so that the entries of a load add up to its integral.
        """
        carrier, system = self.carrier, self.posed.system
        (test,), load = system.tests, fem.Constant(carrier.cell.mesh, np.zeros(carrier.cell.dimension))
        builds = (
            ("load of the gradient", lambda: -ufl.inner(carrier.flux(load), ufl.grad(test)) * carrier.dx),
            ("load of the flow", lambda: ufl.inner(carrier.b, load) * test * carrier.dx),
        )
        loads: list[list[PETSc.Vec]] = []
        for name, build in builds:
            compiled = system.vectors(build, name, [load])
            loads.append([self._load(compiled, load, j) for j in range(len(load.value))])
        (held,) = system.assemble(system.vectors(lambda: carrier.held(test), "held"))
        mass = float(held.sum())
        for j, drift in enumerate(loads[1]):
            self.forms.mean.value[j] = mean = drift.sum() / mass
            drift.axpy(-mean, held)
        held.destroy()
        return loads, mass

    def _mean(self) -> Array:
        r"""Return :math:`\int WD`, shape (d, d); collective."""
        carrier, d = self.carrier, self.carrier.cell.dimension
        if carrier.diffusivity.ufl_shape:
            return carrier.integrals("diffusivity", self._diffusivity, (d, d))
        return np.eye(d) * carrier.integrals("scalar diffusivity", lambda one: carrier.flux(one) * carrier.dx)

    def _noise(self) -> tuple[float, float]:
        """The norms of what round-off leaves of the load of the gradient, and of that of the drift; collective."""
        dofs = self.posed.unknowns[self.planes].dofs
        velocity = self.carrier.velocity
        speed = size_at_nodes(velocity) if isinstance(velocity, fem.Function) else self._speed()
        drift = float(np.finfo(np.float64).eps * np.sqrt(dofs)) * speed * self._norm(self.posed.means[0])
        return solve.round_off(self.still, dofs), drift

    def _norm(self, whole: PETSc.Vec) -> float:
        vector = self.posed.unknowns[self.planes].vector([whole])
        norm = float(vector.norm())
        vector.destroy()
        return norm

    def _speed(self) -> float:
        """The root mean square of the field b; collective."""
        carrier = self.carrier
        volume = carrier.integrals("volume", lambda one: one * carrier.dx)
        square = carrier.integrals(
            "square of the field", lambda one: one * ufl.inner(carrier.b, carrier.b) * carrier.dx
        )
        return float(np.sqrt(square / volume))

    def _diffusivity(self, weight: Any) -> ufl.Form:
        r"""Return :math:`\int\sum_{ij}w_{ij}WD_{ij}`."""
        d = self.carrier.cell.dimension
        pairs = [(i, j) for i in range(d) for j in range(d)]
        return sum(weight[i, j] * self.carrier.flux(ufl.unit_vector(j, d))[i] for i, j in pairs) * self.carrier.dx

    def _load(self, compiled: Any, load: fem.Constant, j: int) -> PETSc.Vec:
        load.value[:] = np.eye(len(load.value))[j]
        return self.posed.system.assemble(compiled)[0]

    def solve(self, scale: float) -> Correctors:
        """Solve at one scale; collective."""
        posed = self.posed
        matrix = self.still.copy()
        matrix.axpy(scale, self.convection)
        posed.blocks = [[matrix]]
        gradients, drifts = self.loads
        sides = []
        for gradient, drift in zip(gradients, drifts, strict=True):
            side = gradient.copy()
            side.axpy(-scale, drift)
            if self._norm(side) <= NOTHING * (self.noise[0] + abs(scale) * self.noise[1]):
                side.set(0.0)  # a load that does nothing, but for round-off: nothing can be solved for it
            sides.append(side)
        posed.sides = [[side] for side in sides]
        found = self._solved(matrix, scale)
        average = self._average(found, scale)
        posed.sides = []
        for thing in (matrix, *sides):
            thing.destroy()
        self.clock.lap("average")
        return self._correctors(scale, found, average)

    def _correctors(self, scale: float, found: Found, average: Array) -> Correctors:
        seconds, self.clock = self.clock.seconds, Clock()
        return Correctors(
            functions=tuple(found.functions),
            average=average,
            residual_norms=found.residuals,
            problem=problem_of(replace(self.forms, scale=fem.Constant(self.carrier.cell.mesh, float(scale)))),
            spaces=tuple(space.space for space in self.posed.system.spaces),
            dofs=found.dofs,
            iterations=found.iterations,
            seconds=seconds,
        )

    def solve_many(self, scales: Sequence[float]) -> list[Correctors] | None:
        """Solve at many scales from a few of them; None where they are not many, or factors are dear; collective."""
        chosen = self.method.preconditioner
        direct = chosen == "direct" or (chosen is None and solve.cheap(self.still))
        if not direct or len(set(map(abs, scales))) < MANY:
            return None
        posed, reduced = self.posed, self.posed.unknowns[self.planes]
        posed.require_room(direct=True)
        kernels = kernels_of(reduced, self.still, posed.parts, symmetric=True)
        for j, (gradient, drift) in enumerate(zip(*self.loads, strict=True)):
            for load, noise in ((gradient, self.noise[0]), (drift, self.noise[1])):
                if load.norm() > NOTHING * noise:
                    require_balance(posed.problem, load, kernels, j, noise)
                else:
                    load.set(0.0)
        gradients, drifts = (np.array([vector.array_r for vector in side]).T for side in self.loads)
        pencil = Pencil(
            still=self.still, convection=self.convection, kernel=kernels.right,
            gradients=gradients, drifts=drifts, mean=self.mean,
        )  # fmt: skip
        try:
            projected = project(pencil, scales, self.method.rtol)
        except ConvergenceError as error:
            log.info("%s Each speed is solved on its own.", error)
            kernels.destroy()
            return None
        columns = self._centred(projected.columns, kernels)
        kernels.destroy()
        self.clock.lap("solve")
        rests = np.abs(pencil.residuals(np.array(scales), np.hstack(list(columns)))).sum(axis=0)
        rests = self.carrier.cell.comm.allreduce(rests).reshape(len(scales), -1)
        result = []
        for k, scale in enumerate(scales):
            found = Found(len(gradients.T))
            found.functions = [self._function(column, f"corrector_{j + 1}") for j, column in enumerate(columns[k].T)]
            found.residuals, found.dofs = rests[k], reduced.dofs
            result.append(self._correctors(scale, found, projected.work[k] / self.carrier.cell.lattice.volume))
        return result

    def _centred(self, columns: Array, kernels: Kernels) -> Array:
        """Correctors of the mean zero over each connected part, shape (s, n, d)."""
        comm, mean = self.carrier.cell.comm, self.posed.means[0].array_r
        for constant in (vector.array_r for vector in kernels.right):
            weight = mean * constant
            means = comm.allreduce(np.einsum("n,snd->sd", weight, columns)) / comm.allreduce(float(weight @ constant))
            columns = columns - constant[:, None] * means[:, None, :]
        return columns

    def _function(self, column: Array, name: str) -> fem.Function:
        vector = self.loads[0][0].duplicate()
        vector.array[:] = column
        function: fem.Function = self.posed.system.spaces[0].function(vector, name=name)
        vector.destroy()
        return function

    def _solved(self, matrix: PETSc.Mat, scale: float) -> Found:
        """Solve for all loads by the first method that converges."""
        methods = self._methods(matrix, scale)
        while True:
            method = methods.pop(0)
            try:
                if method.preconditioner == "direct":
                    self.posed.require_room(direct=True)
                return self._by(method, scale)
            except (ConvergenceError, MemoryLimitError) as error:
                if not methods:
                    raise
                log.info("%s Another solver goes on: %s.", error, methods[0].preconditioner or "multigrid")

    def _methods(self, matrix: PETSc.Mat, scale: float) -> list[Method]:
        if self.method.preconditioner is not None or solve.cheap(matrix):
            return [self.method]
        factors, strong = replace(self.method, preconditioner="direct"), abs(scale) * self.strength
        if self.carrier.degree == 1:
            first = replace(self.method, preconditioner="incomplete-factors") if strong > STRONG else self.method
            return [first, factors]
        most = self.method.max_iterations
        long = replace(self.method, preconditioner="streamline", max_iterations=max(most, LONG))
        if self.carrier.cell.dimension == 2:
            return [factors, long]
        if strong > FAST and solve.entries(matrix) <= FACTORS:
            return [factors, long]
        return [replace(long, max_iterations=min(most, SHORT)), factors, long] if strong <= FAST else [long, factors]

    def _along(self, scale: float) -> PETSc.Mat:
        r"""Return the matrix of :math:`\int\frac{h}{|b|}(b\cdot\nabla u)(b\cdot\nabla w)` at one scale; collective."""
        carrier, mesh = self.carrier, self.carrier.cell.mesh
        topology = mesh.topology.index_map(mesh.topology.dim)
        size = fem.Function(solve.function_space(mesh, "DG", 0))
        everywhere = np.arange(topology.size_local + topology.num_ghosts, dtype=np.int32)
        size.x.array[:] = mesh.h(mesh.topology.dim, everywhere)
        least, b = fem.Constant(mesh, 1e-12 * self._speed() ** 2), carrier.b
        (space,) = self.posed.system.spaces
        (u,), (w,) = self.posed.system.trials, self.posed.system.tests
        form = size / ufl.sqrt(ufl.inner(b, b) + least) * ufl.inner(b, ufl.grad(u)) * ufl.inner(b, ufl.grad(w))
        matrix = space.matrix(solve.compile_form(form * ufl.dx(metadata={"quadrature_degree": 4})))
        matrix.scale(abs(scale))
        return matrix

    @property
    def strength(self) -> float:
        """Peclet number at the scale 1, of the root mean squares of the speed and of the diffusivity."""
        carrier, d = self.carrier, self.carrier.cell.dimension
        volume = solve.integrate(fem.Constant(carrier.cell.mesh, 1.0) * carrier.dx)
        still = float(np.linalg.norm(self.mean)) / np.sqrt(d) / volume
        return self._speed() / still * carrier.cell.lattice.shortest

    def _by(self, method: Method, scale: float) -> Found:
        d, found, start = self.carrier.cell.dimension, Found(self.carrier.cell.dimension), time.perf_counter()
        if method.preconditioner == "streamline":
            self.posed.along = self._along(scale)
        group = None
        try:
            try:
                group = Group(self.posed, self.planes, method)
            finally:
                self.clock.lap("preconditioner")
            for j in range(d):
                group.solve(j, found)
            self.clock.lap("solve")
            found.iterations += group.solver.iterations
            found.dofs = group.reduced.dofs
            name, seconds = method.preconditioner or "by itself", time.perf_counter() - start
            counts = (scale, name, found.dofs, found.iterations, seconds)
            log.info("dispersion at the scale %.3g, solver %s: %d dofs, %d iterations, %.1f s", *counts)
            return found
        finally:
            for thing in (group, self.posed.along):
                if thing is not None:
                    thing.destroy()
            self.posed.along = None

    def _average(self, found: Found, scale: float) -> Array:
        r"""Return :math:`\frac1{|Y|}(\int WD_{ij}-r^-_i(\chi_j))`."""
        gradients, drifts = self.loads
        rows = np.array([a.array_r + scale * b.array_r for a, b in zip(gradients, drifts, strict=True)])
        columns = np.array([function.x.array[: rows.shape[1]] for function in found.functions])
        work = self.carrier.cell.comm.allreduce(rows @ columns.T)
        return np.asarray((self.mean - work) / self.carrier.cell.lattice.volume)

    def destroy(self) -> None:
        """Free the matrices and vectors."""
        self.posed.destroy()
        for thing in (self.still, self.convection, *(v for side in self.loads for v in side)):
            thing.destroy()
