"""The discretised calcium bidomain problem with its state: one step of it, and what is observed."""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem.kinds import DIFFUSION
from homfem.kinetics import exchange_kinetics
from homfem.macro.calcium.problem import CalciumProblem, diffusivity
from homfem.macro.coefficients import tensor_coefficient
from homfem.macro.initial import FieldInput, nodal_values
from homfem.macro.reaction import NodalReaction
from homfem.macro.state import Reduction, StateField, Units
from homfem.parameters import Array, ConvergenceError, check_integer, check_number
from homfem.solve import LinearSolver, assemble_matrix, nodal_fingerprint
from homfem.timestepping import BACKWARD_EULER, TR_BDF2, DiffusionStep, Splitting, advance, get_splitting, subcycled

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Snapshot:
    """The fields at one time; they are the model's own and change with the next step: copy what you keep."""

    step: int
    time: float
    cytosol: fem.Function
    er: fem.Function
    states: Mapping[str, fem.Function]


class CalciumModel:
    """The discretised problem with its state: matrices and solvers are set up here, once; collective.

    Parameters
    ----------
    problem
        What is solved.
    step
        Time step, s.
    splitting
        ``"strang"`` (second order), ``"godunov"`` (first order) or a :class:`~homfem.timestepping.Splitting` of the
        operators ``"reaction"`` and ``"diffusion"``.
    subcycles
        Reaction steps per stage of the splitting.
    rtol, preconditioner
        Of the linear solver, on the increments of a step; a name that :class:`homfem.solve.LinearSolver` knows.
        ``"jacobi"`` takes the same iterations on any number of ranks; ``"multigrid"`` is for steps much longer than
        h^2/D, with mesh size h and diffusivity D.

    Raises
    ------
    InputError
        For negative or non-finite concentrations at the start, and fields of the wrong shape.
    """

    name = "calcium bidomain"
    units = Units(time="s", length="um", fields={"cytosol": "uM", "er": "uM"})

    def __init__(
        self,
        problem: CalciumProblem,
        *,
        step: float,
        splitting: str | Splitting = "strang",
        subcycles: int = 1,
        rtol: float = 1e-10,
        preconditioner: str = "jacobi",
    ) -> None:
        started = clock.perf_counter()
        step = check_number("step", step, above=0.0)
        self.problem, self.splitting, self.iterations = problem, get_splitting(splitting), 0
        mesh = problem.domain.mesh
        self.comm = mesh.comm
        self.space = fem.functionspace(mesh, ("Lagrange", 1))
        self.dofs = int(self.space.dofmap.index_map.size_global)
        self.owned = int(self.space.dofmap.index_map.size_local)
        self.cytosol, self.er = (fem.Function(self.space, name=name) for name in ("cytosol", "er"))
        self.state_functions = {name: fem.Function(self.space, name=name) for name in problem.kinetics.states}
        self._c, self._e = self.cytosol.x.array[: self.owned], self.er.x.array[: self.owned]
        self._set_initial()

        u, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        self.mass = assemble_matrix(u * v * ufl.dx)
        ones = self.mass.createVecRight()
        ones.set(1.0)
        self._weights = self.mass.createVecLeft()
        self.mass.mult(ones, self._weights)
        self.weights = self._weights.array_r.copy()
        second = self.splitting.order > 1
        self.diffusion: dict[tuple[str, float], DiffusionStep] = {}
        for name, tensor, function in (("cytosol", problem.cytosol, self.cytosol), ("er", problem.er, self.er)):
            coefficient = tensor_coefficient(
                name,
                problem.domain,
                diffusivity(name, tensor, mesh),
                DIFFUSION,
                unit="um^2/s",
                axes="domain" if problem.domain.fibres is None else "fibre",
            )
            stiffness = assemble_matrix(ufl.inner(coefficient * ufl.grad(u), ufl.grad(v)) * ufl.dx)
            # At rest there is nothing to solve for but round-off: an increment of 1e-15 of the field is none.
            largest = self.comm.allreduce(float(function.x.array.max(initial=0.0)), op=MPI.MAX)
            options = {
                "preconditioner": preconditioner,
                "rtol": check_number("rtol", rtol),
                "atol": 1e-15 * (largest or 1.0) * self._weights.norm(),
                "name": f"calcium diffusion, {name}",
            }
            for fraction in self.splitting.fractions("diffusion"):
                self.diffusion[name, fraction] = DiffusionStep(
                    self.mass,
                    stiffness,
                    self._weights,
                    step=fraction * step,
                    scheme=TR_BDF2 if second else BACKWARD_EULER,
                    make_solver=partial(LinearSolver, **options),
                    guess=preconditioner != "direct",
                )
        self._step, self._subcycles = step, check_integer("subcycles", subcycles, at_least=1)
        self._identity = self._given(rtol)  # of the start: no step has changed the fields yet
        self.seconds = {"setup": clock.perf_counter() - started, "reaction": 0.0, "diffusion": 0.0}
        self._last_iterations, self._warned = 0, False

    def _set_initial(self) -> None:
        problem = self.problem
        self._c[:] = self._values("initial_cytosol", problem.initial_cytosol)
        self._e[:] = self._values("initial_er", problem.initial_er)
        self._ip3 = self._values("ip3", problem.ip3)
        given = problem.density
        if isinstance(given, Mapping):
            for region, value in given.items():
                check_number(f"density.{region}", value, at_least=0.0)
            density = problem.domain.nodal(given, self.space, "density")
        else:
            density = self._values("density", given)
        self._into_cytosol = density * (problem.area / problem.cytosol_fraction)
        self.reaction = NodalReaction(
            exchange_kinetics(problem.kinetics),
            {"cytosol": self._c, "er": self._e},
            parameters={"ip3": self._ip3},
            scales={"cytosol": self._into_cytosol, "er": density * (problem.area / problem.er_fraction)},
            start={
                name: self._values(f"initial_states[{name!r}]", given) for name, given in problem.initial_states.items()
            },
            order=self.splitting.order,
        )
        self._x = self.reaction.states

    def _values(self, name: str, given: FieldInput) -> Array:
        """Return the owned nodal values of a non-negative field; errors on every rank."""
        return nodal_values(name, given, self.space, at_least=0.0)

    def _react(self, time: float, step: float) -> None:
        started = clock.perf_counter()
        self.reaction.step(time, step)
        self.seconds["reaction"] += clock.perf_counter() - started

    def _diffuse(self, _time: float, step: float) -> None:
        started = clock.perf_counter()
        fraction = min(self.splitting.fractions("diffusion"), key=lambda f: abs(f * self._step - step))
        for name, function in (("cytosol", self.cytosol), ("er", self.er)):
            self.iterations += self.diffusion[name, fraction].apply(function.x.petsc_vec)
        self.seconds["diffusion"] += clock.perf_counter() - started

    def advance(self, time: float) -> int:
        """Advance the state by one step from ``time``; return the iterations of the linear solver. Collective."""
        before = self.iterations
        operators = {"reaction": subcycled(self._react, self._subcycles), "diffusion": self._diffuse}
        advance(self.splitting, operators, time, self._step)
        self._last_iterations = self.iterations - before
        return self._last_iterations

    def measure(self) -> dict[str, tuple[float, Reduction]]:
        """Return the total calcium (uM um^d), the largest and smallest c (uM), and the iterations of the last step."""
        c, problem = self._c, self.problem
        total = self.weights @ (problem.cytosol_fraction * c + problem.er_fraction * self._e)
        return {
            "total": (float(total), "sum"),
            "maximum": (float(c.max(initial=-np.inf)), "max"),
            "minimum": (float(c.min(initial=np.inf)), "min"),
            "iterations": (float(self._last_iterations), "max"),
        }

    def judge(self, time: float, numbers: Mapping[str, float]) -> None:
        """Refuse concentrations that are not finite; warn once of negative ones."""
        if not np.isfinite(numbers["total"]):
            raise ConvergenceError(
                f"calcium bidomain: the concentrations are not finite at t = {time:g} s. "
                "Take a smaller step or more subcycles."
            )
        if numbers["minimum"] < 0.0 and not self._warned:
            self._warned = True
            if self.comm.rank == 0:
                log.warning(
                    "calcium bidomain: c = %.3g uM < 0 at t = %g s; resolve the front by a finer mesh or "
                    "a smoother start, or take a smaller step",
                    numbers["minimum"],
                    time,
                )

    def fields(self) -> dict[str, fem.Function]:
        """Return c, e and the states X by name, their ghosts brought up to date; collective."""
        for row, function in enumerate(self.state_functions.values()):
            function.x.array[: self.owned] = self._x[row]
        shown = {"cytosol": self.cytosol, "er": self.er, **self.state_functions}
        for function in shown.values():
            function.x.scatter_forward()
        return shown

    def snapshot(self, step: int, time: float) -> Snapshot:
        """Return the fields at a time; collective."""
        self.fields()
        return Snapshot(step=step, time=time, cytosol=self.cytosol, er=self.er, states=self.state_functions)

    def state(self) -> dict[str, StateField]:
        """Return all that a restart needs: the fields, and the start values of the linear solver."""
        values = {"cytosol": self._c, "er": self._e}
        values |= {name: self._x[row] for row, name in enumerate(self.state_functions)}
        for (name, fraction), step in self.diffusion.items():
            for stage, increment in enumerate(step.increments):
                values[f"increment {name} {fraction:g} {stage}"] = increment.array
        return {name: StateField(self.space, array) for name, array in values.items()}

    def identity(self) -> dict[str, Any]:
        """Return what tells this problem, its start and its steps from others: a checkpoint of another is refused.

        Plain data for :class:`homfem.output.checkpoint.CheckpointFile`, equal on any number of ranks.
        """
        return dict(self._identity)

    def _energies(self) -> list[float]:
        """Return what tells the diffusion of both fields in space: their energies of polynomials; collective."""
        points = self.space.tabulate_dof_coordinates()[: self.owned, : self.problem.domain.dimension]
        extent = self.comm.allreduce(float(np.abs(points).max(initial=0.0)), op=MPI.MAX)
        scaled = points / (extent or 1.0)
        columns = [*scaled.T, *(scaled[:, i] * scaled[:, j] for i, j in np.ndindex(scaled.shape[1], scaled.shape[1]))]
        found = []
        for step in {name: step for (name, _), step in self.diffusion.items()}.values():
            vector, product = step.stiffness.createVecs()
            for column in columns:
                vector.array[:] = column
                step.stiffness.mult(vector, product)
                found.append(float(product.dot(vector)))
            vector.destroy()
            product.destroy()
        return found

    def _given(self, rtol: float) -> dict[str, Any]:
        problem = self.problem
        stages = ", ".join(f"{name} {fraction!r}" for name, fraction in self.splitting.stages)
        tensors, mesh = {"cytosol": problem.cytosol, "er": problem.er}, problem.domain.mesh
        fields = {
            "IP3 (uM)": self._ip3,
            "density": self._into_cytosol * (problem.cytosol_fraction / problem.area),
            "cytosol at the start (uM)": self._c,
            "ER at the start (uM)": self._e,
            "volumes of the nodes (um^d)": self.weights,
        }
        fields |= {f"{name} at the start": self._x[row] for row, name in enumerate(self.state_functions)}
        # Tensors that are computed, and all that follows from them, depend on the number of ranks by round-off.
        about: dict[str, Any] = {
            f"{name} (um^2/s)": diffusivity(name, tensor, mesh).tolist() for name, tensor in tensors.items()
        }
        if problem.domain.fibres is not None:
            about["energies of polynomials in fibre axes (um^d/s)"] = self._energies()
        about["volume fractions"] = [problem.cytosol_fraction, problem.er_fraction]
        about["membrane area (1/um)"] = problem.area
        about |= {f"parameter {name}": number for name, number in problem.kinetics.parameters.items()}
        for name, values in fields.items():
            about[f"{name} min/max/means"] = nodal_fingerprint(self.space, values)
        return {
            "model": "calcium bidomain",
            "kinetics": problem.kinetics.name,
            "time step (s)": self._step,
            "splitting": f"{self.splitting.name}: {stages}",
            "subcycles": self._subcycles,
            "rtol": check_number("rtol", rtol),
        } | {name: {"about": value} for name, value in about.items()}
