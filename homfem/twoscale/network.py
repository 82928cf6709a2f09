r"""Calcium in a resolved network: cytosol and endoplasmic reticulum (ER) in a box of periods, and their membrane.

.. math::
    \partial_t c &= \nabla\cdot(D_c\nabla c) \text{ in the cytosol},\qquad
    \partial_t e = \nabla\cdot(D_e\nabla e) \text{ in the ER},\\
    D_c\nabla c\cdot n_c &= -D_e\nabla e\cdot n_e = \varepsilon\lambda f(c, e, X),\qquad
    \partial_tX = \Phi(c, e, X) \text{ on the membrane},

without flux through the sides of the box. P1 elements; the flux is at the nodes of the membrane, times the integrals of
their basis functions over it. BDF2 for diffusion, the flux extrapolated from two steps (order 2; the first step Euler),
gates exponentially, other states as the flux. The one vector of fluxes that the cytosol gains the ER loses, and a solve
keeps the integral of its right-hand side: :math:`\int c + \int e` stays to round-off.

Source: Goel, Sneyd, Friedman 2006, eqs 2.1, 2.2, 5.6, Multiscale Model. Simul. 5(4), 1045; Ascher, Ruuth, Wetton 1995,
doi 10.1137/0732037 (the steps).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dolfinx
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from homfem import solve
from homfem.kinetics.point import PointKinetics
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.parameters import Array, ConvergenceError, InputError
from homfem.solve import LinearSolver
from homfem.twoscale.resolved import Tiled

#: Of a state of a membrane, which is a share of a whole or of order one.
LARGEST_STATE = 1e6
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Flux:
    """The flux through the membrane: kinetics of the fields ``cytosol`` and ``er``, parameters, and a factor."""

    kinetics: PointKinetics
    parameters: Mapping[str, float]
    factor: float


class _Phase:
    """One phase: its mass and stiffness on the nodes of the whole box, and a solver for each kind of step."""

    def __init__(self, tiled: Tiled, name: str, diffusivity: float, step: float, rtol: float) -> None:
        self.cells, self.name = tiled.phase(name), name
        inside = fem.Function(solve.function_space(tiled.mesh, "DG", 0))
        inside.x.array[inside.function_space.dofmap.list[:, 0]] = self.cells
        u, v = ufl.TrialFunction(tiled.space), ufl.TestFunction(tiled.space)
        self.mass = solve.assemble_matrix(inside * u * v * ufl.dx)
        stiffness = solve.assemble_matrix(diffusivity * inside * ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx)
        ones = self.mass.createVecRight()
        ones.set(1.0)
        weights = self.mass.createVecLeft()
        self.mass.mult(ones, weights)
        self.weights = weights.array_r.copy()
        self.nodes = self.weights > 0.0
        self.volume = float(tiled.comm.allreduce(self.weights.sum(), op=MPI.SUM))
        self._comm, self._atol = tiled.comm, 1e-15 * weights.norm()
        self.solvers = {
            factor: self._solver(stiffness, factor, step, rtol, f"calcium of the {name}") for factor in (1.0, 1.5)
        }
        self.values, self.before = np.zeros(tiled.owned), np.zeros(tiled.owned)
        self._x, self._b = self.mass.createVecs()
        for thing in (ones, weights, stiffness):
            thing.destroy()

    def _solver(self, stiffness: PETSc.Mat, factor: float, step: float, rtol: float, name: str) -> LinearSolver:
        matrix = self.mass.copy()
        matrix.scale(factor)
        matrix.axpy(step, stiffness, PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        diagonal = matrix.getDiagonal()
        diagonal.array[~self.nodes] = 1.0  # nodes of the other phase
        matrix.setDiagonal(diagonal)
        diagonal.destroy()
        return LinearSolver(matrix, preconditioner="jacobi", rtol=rtol, atol=self._atol, name=name)

    def start(self, values: Array) -> None:
        """Set the concentrations at the nodes of the phase."""
        self.values[:] = np.where(self.nodes, values, 0.0)
        self.before[:] = self.values

    def advance(self, gained: Array, first: bool) -> int:
        """Advance by a step in which nodes gain amounts; return the iterations. Collective."""
        factor = 1.0 if first else 1.5
        self._x.array[:] = self.values if first else 2.0 * self.values - 0.5 * self.before
        self.mass.mult(self._x, self._b)
        self._b.array[:] += gained
        wanted = float(self._b.sum())
        self._x.array[:] = self.values if first else 2.0 * self.values - self.before
        count = self.solvers[factor].solve(self._b, self._x, guess=True)
        new = self._x.array_r
        # What the solver has left of the integral is spread over the phase.
        left = wanted - factor * float(self._comm.allreduce(self.weights @ new, op=MPI.SUM))
        self.before[:] = self.values
        self.values[:] = np.where(self.nodes, new + left / (factor * self.volume), 0.0)
        return count


class Network:
    """The resolved network with its state; collective.

    Parameters
    ----------
    comm, raw, counts, scale
        As of :class:`homfem.twoscale.resolved.Tiled`; lengths in um.
    diffusivities
        Of the two phases by name, um^2/s: first the cytosol.
    flux
        What passes the membrane, into the cytosol, uM um/s.
    step
        Time step, s.
    rtol
        Of the linear solvers.

    Attributes
    ----------
    cytosol, er
        The phases; ``values`` are the concentrations at the owned nodes, zero off the phase.
    area
        Of the membrane, um^(d-1).
    """

    def __init__(
        self,
        comm: MPI.Comm,
        raw: RawCell,
        counts: Sequence[int],
        *,
        scale: float,
        diffusivities: Mapping[str, float],
        flux: Flux,
        step: float,
        rtol: float = 1e-10,
    ) -> None:
        self.tiled = tiled = Tiled(comm, raw, counts, scale=scale, degree=1, ghosts=True)
        self.comm, self.step, self.flux = comm, step, flux
        self.cytosol, self.er = (_Phase(tiled, name, value, step, rtol) for name, value in diffusivities.items())
        weights = self._membrane()
        self.area = float(comm.allreduce(weights.sum(), op=MPI.SUM))
        self._at = np.flatnonzero(weights > 0.0)
        self._weights = flux.factor * weights[self._at]
        self._p: Any = flux.kinetics.values(flux.parameters, size=len(self._at))
        self._order, self._row = _exchanged(flux.kinetics)
        self._gained: Array | None = None
        self._drift: Array | None = None
        self.states = np.zeros((len(flux.kinetics.states), len(self._at)))
        self.steps, self.iterations = 0, 0

    @property
    def unknowns(self) -> int:
        """Of both phases."""
        return int(self.comm.allreduce(self.cytosol.nodes.sum() + self.er.nodes.sum(), op=MPI.SUM))

    def _membrane(self) -> Array:
        """Integrals over the membrane of the basis functions of the owned nodes."""
        mesh = self.tiled.mesh
        d = mesh.topology.dim
        mesh.topology.create_connectivity(d - 1, d)
        links = mesh.topology.connectivity(d - 1, d)
        inner = np.flatnonzero(np.diff(links.offsets) == 2).astype(np.int32)
        beside = links.array[links.offsets[inner][:, None] + np.arange(2)]
        here = self.cytosol.cells[beside] & ~self.er.cells[beside]
        there = self.er.cells[beside]
        between = (here[:, 0] & there[:, 1]) | (here[:, 1] & there[:, 0])
        tags = dmesh.meshtags(mesh, d - 1, inner[between], np.ones(np.count_nonzero(between), dtype=np.int32))
        v = ufl.TestFunction(self.tiled.space)
        vector = solve.assemble_vector(ufl.avg(v) * ufl.Measure("dS", mesh, subdomain_data=tags)(1))
        values = vector.array_r.copy()
        vector.destroy()
        return np.asarray(values)

    def start(self, cytosol: Array, er: Array) -> None:
        """Set the concentrations at the owned nodes; the states are at rest with them."""
        self.cytosol.start(cytosol)
        self.er.start(er)
        kinetics = self.flux.kinetics
        if kinetics.rest is not None and len(kinetics.states):
            self.states[:] = kinetics.rest(self._fields(0.0), self._p)
        else:
            self.states[:] = np.array([state.start for state in kinetics.states])[:, None]
        self.steps, self._gained, self._drift = 0, None, None

    def _fields(self, ahead: float) -> list[Array]:
        """Concentrations at the membrane in the order of the kinetics, extrapolated by a part of a step."""
        phases = {"cytosol": self.cytosol, "er": self.er}
        return [((1.0 + ahead) * phases[name].values - ahead * phases[name].before)[self._at] for name in self._order]

    def advance(self) -> None:
        """Advance by one step."""
        time, kinetics, first = self.steps * self.step, self.flux.kinetics, self._gained is None
        rates = kinetics.rates(time, self._fields(0.0), self.states, self._p)
        gained = np.zeros(self.tiled.owned)
        gained[self._at] = self.step * self._weights * (self._row @ rates)
        taken = gained if self._gained is None else 2.0 * gained - self._gained
        self._gate(time, first)
        self.iterations += self.cytosol.advance(taken, first) + self.er.advance(-taken, first)
        self._gained = gained
        self.steps += 1
        self._judge()
        if len(self.states):
            self._judge_states()

    def _gate(self, time: float, first: bool) -> None:
        """Advance the states of the membrane."""
        kinetics, gates = self.flux.kinetics, self.flux.kinetics.gates
        drift = None if kinetics.drift is None else kinetics.drift(time, self._fields(0.0), self.states, self._p)
        if kinetics.relaxation is not None:
            middle = self.states.copy()  # a target may depend on other states
            for states, ahead, part in ((self.states, 0.0, 0.5), (middle, 0.0 if first else 0.5, 1.0)):
                rate, target = kinetics.relaxation(time, self._fields(ahead), states, self._p)
                middle[:gates] = target + (self.states[:gates] - target) * np.exp(-part * self.step * rate)
            self.states[:gates] = middle[:gates]
        if drift is not None:
            self.states[gates:] += self.step * (drift if self._drift is None else 1.5 * drift - 0.5 * self._drift)
            self._drift = drift

    def _judge(self) -> None:
        """Refuse concentrations that are negative or no numbers, on every rank."""
        for phase in (self.cytosol, self.er):
            least = float(self.comm.allreduce(phase.values.min(initial=0.0), op=MPI.MIN))
            if not least >= -1e-9 * (1.0 + float(self.comm.allreduce(phase.values.max(initial=0.0), op=MPI.MAX))):
                raise ConvergenceError(
                    f"resolved network: {least:.3g} uM in the {phase.name} at t = {self.steps * self.step:g} s. "
                    "Take a smaller step, or a smoother start."
                )

    def _judge_states(self) -> None:
        """Refuse states of the membrane that are no numbers, or shares that are negative, on every rank."""
        kinetics = self.flux.kinetics
        shares = {name for group in kinetics.shares for name in group}
        worst = float(np.abs(self.states).max(initial=0.0))
        for state, values in zip(kinetics.states, self.states, strict=True):
            if state.name in shares:
                worst = max(worst, 2.0 * LARGEST_STATE * float(values.min(initial=0.0) < -1e-3))
        worst = float(self.comm.allreduce(worst if np.isfinite(worst) else np.inf, op=MPI.MAX))
        if worst > LARGEST_STATE:
            raise ConvergenceError(
                f"resolved network: states of {kinetics.name} leave their range at t = {self.steps * self.step:g} s. "
                "Take a smaller step: states that are no gates are advanced explicitly."
            )

    def total(self) -> float:
        """Return the calcium in both phases, uM um^d."""
        own = self.cytosol.weights @ self.cytosol.values + self.er.weights @ self.er.values
        return float(self.comm.allreduce(own, op=MPI.SUM))

    def at_nodes(self, phase: _Phase) -> Array:
        """Return the concentration of a phase at all local nodes of the box, shape (1, n); collective."""
        function = fem.Function(self.tiled.space)
        function.x.array[: self.tiled.owned] = phase.values
        function.x.scatter_forward()
        return np.asarray(function.x.array)[None].copy()

    def nodes_of(self, phase: _Phase) -> Flags:
        """Return which local nodes are of a phase; collective."""
        function = fem.Function(self.tiled.space)
        function.x.array[np.unique(self.tiled.space.dofmap.list[phase.cells])] = 1.0
        function.x.scatter_reverse(dolfinx.la.InsertMode.add)
        function.x.scatter_forward()
        return np.asarray(function.x.array > 0.0)


def _exchanged(kinetics: PointKinetics) -> tuple[list[str], Array]:
    """Return the names of the two fields in the order of the kinetics, and what a rate brings into the cytosol."""
    names, rows = [field.name for field in kinetics.fields], kinetics.stoichiometry
    if sorted(names) != ["cytosol", "er"]:
        raise InputError("kinetics", names, "kinetics of the fields cytosol and er")
    if rows is None or any(one + other != 0.0 for one, other in zip(*rows, strict=True)):
        raise InputError("kinetics", rows, "kinetics by which the cytosol gains what the ER loses")
    return names, np.asarray(rows[names.index("cytosol")], dtype=np.float64)
