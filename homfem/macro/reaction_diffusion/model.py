"""The discretised reaction-diffusion problem with its state: one step of it, and what is observed."""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
from dolfinx import fem

from homfem.macro.conditions import Dirichlet, Neumann, Pulsed, Robin, told
from homfem.macro.initial import nodal_values
from homfem.macro.linear import BoundedDiffusionStep
from homfem.macro.linear_problem import FixedValues, dofs_on
from homfem.macro.positive import PositiveStep
from homfem.macro.reaction import NodalReaction, make_reaction
from homfem.macro.reaction_diffusion.coupled import Coupled
from homfem.macro.reaction_diffusion.equations import Equations
from homfem.macro.reaction_diffusion.problem import Method, ReactionDiffusion, Species
from homfem.macro.reaction_diffusion.reacting import kept_sums, with_species
from homfem.macro.rungs import Rungs
from homfem.macro.state import Reduction, StateField, Units
from homfem.macro.stimulus import NodalStimulus
from homfem.parameters import Array, ConvergenceError, InputError, check_number
from homfem.solve import nodal_fingerprint
from homfem.timestepping import advance, subcycled

log = logging.getLogger("homfem")
#: Part of an adaptive step by which boundary values are taken away from its ends, where they may jump.
INNER = 1e-9


class ReactionDiffusionModel:
    """The discretised problem with its state: matrices and solvers are set up here, once; collective.

    Parameters
    ----------
    problem
        What is solved.
    step
        Time step, in the problem's unit.
    method
        How it is solved.
    adaptive
        Steps of any length are taken, ``step`` is the longest (:class:`homfem.macro.state.Adjustable`); no iteration
        starts from the step before.

    Raises
    ------
    InputError
        For bad coefficients, starts, sources or parameters, under the name of the species.
    """

    name = "reaction-diffusion"

    def __init__(
        self, problem: ReactionDiffusion, *, step: float, method: Method | None = None, adaptive: bool = False
    ) -> None:
        started = clock.perf_counter()
        self.problem, self.method = problem, Method() if method is None else method
        self.step, self.adaptive = check_number("step", step, above=0.0), adaptive
        self.order, self.extrapolates = self.method.order, not self.method.positivity
        self.comm, self.iterations = problem.domain.comm, 0
        units = {species.name: species.unit for species in problem.species}
        self.units = Units(time=problem.time_unit, length=problem.domain.unit, fields=units)
        self.equations = Equations(problem, self.method)
        self.space = self.equations.space
        self.dofs = int(self.space.dofmap.index_map.size_global) * len(problem.species)
        self.functions = {name: fem.Function(self.space, name=name) for name in units}
        owned = self.equations.owned
        self.values = {name: function.x.array[:owned] for name, function in self.functions.items()}
        least = 0.0 if self.method.positivity else -np.inf
        for species in problem.species:
            path = f"species.{species.name}.initial"
            self.values[species.name][:] = nodal_values(path, species.initial, self.space, at_least=least)
        if self.method.positivity:
            self._check_positivity()
        self.coupled: Coupled | None = None
        self.reaction: NodalReaction | None = None
        if self.method.implicit:
            self.coupled = Coupled(self.equations, problem.kinetics, self._parameters())
            self.coupled.inner = INNER if adaptive else 0.0
        else:
            self.reaction = self._make_reaction()
        names = [] if self.reaction is None else [state.name for state in self.reaction.kinetics.states]
        self.state_functions = {name: fem.Function(self.space, name=name) for name in names}
        self.rungs = Rungs(self._make_transport, rounded=adaptive)
        self._first: dict[str, BoundedDiffusionStep | PositiveStep] = {}
        self.transport = {
            (name, fraction): transport
            for fraction in self.method.split.fractions("diffusion")
            if not self.method.implicit
            for name, transport in self.rungs.of(fraction * self.step).items()
        }
        self._hold()
        self.brought, self.reacted = dict.fromkeys(units, 0.0), dict.fromkeys(units, 0.0)
        self.sums = kept_sums(problem)
        self._last = 0
        self._identity = self._given()  # of the start: no step has changed the fields yet
        self.seconds = {"setup": clock.perf_counter() - started, "reaction": 0.0, "transport": 0.0}

    def _hold(self) -> None:
        """Start boundaries that are held from their values: raised within the first step they would cost an order."""
        time = INNER * self.step if self.adaptive else 0.0
        for name, linear in self.equations.problems.items():
            FixedValues(linear).at(time, self.functions[name].x.petsc_vec)

    def _check_positivity(self) -> None:
        """Refuse what is not proved to keep u >= 0."""
        problem = self.problem
        if problem.degree > 1:
            raise InputError("degree", problem.degree, "1 with positivity")
        for species in problem.species:
            for k, source in enumerate(species.sources):
                check_number(f"species.{species.name}.sources[{k}].amplitude", source.amplitude, at_least=0.0,
                             remedy="With positivity nothing is taken away but by reactions.")  # fmt: skip
        kinetics = problem.kinetics
        if kinetics is not None and not kinetics.quasi_positive and self.comm.rank == 0:
            log.warning(
                "reaction-diffusion: %s may take away what is not there; with positivity it takes what there is",
                kinetics.name,
            )

    def _make_transport(self, length: float) -> dict[str, BoundedDiffusionStep | PositiveStep]:
        """Return the steps of a length, of the species that move, those of like species with one matrix."""
        made: dict[str, BoundedDiffusionStep | PositiveStep] = {}
        for name, problem in self.equations.problems.items():
            same = self.equations.alike[name]
            if same != name:
                made[name] = made[same].of_other_values(problem)
                continue
            first = self._first.get(name)
            if isinstance(first, BoundedDiffusionStep):
                made[name] = first.of_other_step(length)
                continue
            options: dict[str, Any] = {"step": length, "scheme": self.method.one_step}
            options |= self.equations.solver_options(name)
            if self.method.positivity:
                high = made[name] = PositiveStep(problem, ranged=name in self.equations.ranged, **options)
                moved = high.high
            else:
                moved = made[name] = BoundedDiffusionStep(problem, **options)
            if self.adaptive:
                moved.guess, moved.inner = False, INNER
        self._first = self._first or made
        return made

    def _make_reaction(self) -> NodalReaction | None:
        """Return the reaction with the sources; None if nothing reacts."""
        problem, equations = self.problem, self.equations
        self.sources = {
            species.name: NodalStimulus(
                problem.domain,
                self.space,
                species.sources,
                scale=equations.per_tissue[species.name],
                name=f"species.{species.name}.sources",
            )
            for species in problem.species
            if species.sources
        }
        if problem.kinetics is None and not self.sources:
            return None
        return make_reaction(
            with_species(problem.kinetics, problem.species),
            self.values,
            parameters=self._parameters(),
            scales=equations.per_tissue,
            sources=self.sources,
            order=self.method.split.order,
            positive=self.method.positivity,
        )

    def _parameters(self) -> dict[str, Any]:
        """Return the parameters at the nodes: by region, and the coordinates."""
        given = dict(self.problem.parameters)
        for name, value in given.items():
            if isinstance(value, Mapping):
                if self.problem.degree > 1:
                    raise InputError(f"parameters.{name}", dict(value), "a number, with elements of degree 2")
                given[name] = self.problem.domain.nodal(value, self.space, f"parameters.{name}")
        kinetics = self.problem.kinetics
        for axis, name in zip(self.equations.coordinates(), "xyz", strict=True):
            if kinetics is not None and name not in given and name in [entry.name for entry in kinetics.parameters]:
                given[name] = axis
        return given

    def _react(self, time: float, step: float) -> None:
        if self.reaction is None:
            return
        started = clock.perf_counter()
        before = self._amounts()
        self.reaction.step(time, step)
        for name, amount in self._amounts().items():
            fed = self.sources[name].brought(self.equations.weights[name], time, step) if name in self.sources else 0.0
            self.brought[name] += amount - before[name]
            self.reacted[name] += amount - before[name] - fed
        self.seconds["reaction"] += clock.perf_counter() - started

    def _move(self, time: float, step: float) -> None:
        started = clock.perf_counter()
        if self.coupled is not None:
            vectors = [function.x.petsc_vec for function in self.functions.values()]
            self.iterations += self.coupled.step(vectors, time, step, self.method.one_step)
            if self.comm.rank == 0:
                self.brought = dict(zip(self.brought, self.coupled.brought, strict=True))
                self.reacted = dict(zip(self.reacted, self.coupled.reacted, strict=True))
            self.seconds["transport"] += clock.perf_counter() - started
            return
        transports = self.rungs.of(step)
        for name in self.equations.problems:
            transport = transports[name]
            self.iterations += transport.apply(self.functions[name].x.petsc_vec, time)
            if self.comm.rank == 0:
                self.brought[name] += transport.brought
        self.seconds["transport"] += clock.perf_counter() - started

    def _amounts(self) -> dict[str, float]:
        """Return the integral of phi u of each species, the rank's part of it."""
        return {name: float(self.equations.weights[name] @ values) for name, values in self.values.items()}

    def advance(self, time: float) -> int:
        """Advance the state by one step from ``time``; return the iterations of the linear solvers. Collective."""
        return self.take(time, self.step)

    def take(self, time: float, step: float) -> int:
        """Advance the state by a step of this length; return the iterations. Collective."""
        before = self.iterations
        self.brought, self.reacted = dict.fromkeys(self.brought, 0.0), dict.fromkeys(self.brought, 0.0)
        operators = {"reaction": subcycled(self._react, self.method.subcycles), "diffusion": self._move}
        with np.errstate(over="ignore", invalid="ignore") if self.adaptive else nullcontext():
            advance(self.method.split, operators, time, step)
        self._last = self.iterations - before
        return self._last

    def judged(self) -> dict[str, list[Array]]:
        """Return the species and the states of the kinetics, as views."""
        return {name: [values] for name, values in self._all().items()}

    def _all(self) -> dict[str, Array]:
        found = dict(self.values)
        if self.reaction is not None:
            found |= {name: self.reaction.states[row] for row, name in enumerate(self.state_functions)}
        return found

    def tally(self) -> Array:
        """Return what the last step brought to each species, what of that came from reactions, and its iterations."""
        return np.array([*self.brought.values(), *self.reacted.values(), float(self._last)])

    def accept(self, numbers: Array) -> None:
        """Take these numbers as those of the last step."""
        names, given = list(self.brought), [float(number) for number in numbers]
        self.brought = dict(zip(names, given[: len(names)], strict=True))
        self.reacted = dict(zip(names, given[len(names) : -1], strict=True))
        self._last = round(given[-1])

    def edges(self, start: float, end: float) -> list[float]:
        """Return the times in between at which sources and boundary values are switched on or off."""
        timings = [source.schedule for species in self.problem.species for source in species.sources]
        for species in self.problem.species:
            for entry in species.conditions:
                values = (getattr(entry, key, None) for key in ("value", "flux", "ambient"))
                timings += [value.schedule for value in values if isinstance(value, Pulsed)]
        return [edge for timing in timings for edge in timing.edges(start, end)]

    def settle(self) -> dict[str, float]:
        """Solve for the state at rest; return of each species what is left of its balance, relative. Collective.

        Raises
        ------
        InputError
            Unless the method is implicit.
        """
        if self.coupled is None:
            raise InputError("method.splitting", self.method.split.name, "'implicit' for a state at rest")
        started = clock.perf_counter()
        self._last = self.coupled.rest([function.x.petsc_vec for function in self.functions.values()])
        found = {}
        for name, brought, thrown in zip(self.brought, self.coupled.brought, self.coupled.thrown, strict=True):
            self.brought[name] = brought if self.comm.rank == 0 else 0.0
            found[name] = abs(brought) / thrown if thrown > 0.0 else 0.0
        self.seconds["transport"] += clock.perf_counter() - started
        return found

    def measure(self) -> dict[str, tuple[float, Reduction]]:
        """Return of each species the amount, the extrema, and what the last step brought; and its iterations."""
        found: dict[str, tuple[float, Reduction]] = {}
        for name, amount in self._amounts().items():
            found[f"{name} amount"] = (amount, "sum")
            found[f"{name} brought"] = (self.brought[name], "sum")
            found[f"{name} maximum"] = (float(self.values[name].max(initial=-np.inf)), "max")
            found[f"{name} minimum"] = (float(self.values[name].min(initial=np.inf)), "min")
        for name in dict.fromkeys(name for weights in self.sums for name in weights):
            found[f"{name} reacted"] = (self.reacted[name], "sum")
        return found | {"iterations": (float(self._last), "max")}

    def judge(self, time: float, numbers: Mapping[str, float]) -> None:
        """Refuse fields that are not finite."""
        for name in self.values:
            if not np.isfinite(numbers[f"{name} amount"]):
                raise ConvergenceError(
                    f"reaction-diffusion: {name} is not finite at t = {time:g} {self.units.time}. "
                    "Take a smaller step or more subcycles."
                )

    def fields(self) -> dict[str, fem.Function]:
        """Return the species and the states of the kinetics by name, their ghosts brought up to date; collective."""
        for row, function in enumerate(self.state_functions.values()):
            function.x.array[: self.equations.owned] = self.reaction.states[row]  # type: ignore[union-attr]
        shown = {**self.functions, **self.state_functions}
        for function in shown.values():
            function.x.scatter_forward()
        return shown

    def state(self) -> dict[str, StateField]:
        """Return all that a restart needs: the fields, the states, and the start values of iterations."""
        values = self._all()
        for (name, fraction), step in self.transport.items():
            if step.guess:
                for stage, increment in enumerate(step.increments):
                    values[f"increment {name} {fraction:g} {stage}"] = increment.array
        return {name: StateField(self.space, array) for name, array in values.items()}

    def identity(self) -> dict[str, Any]:
        """Return what tells this problem, its start and its steps from others; equal on any number of ranks."""
        return dict(self._identity)

    def _described(self, species: Species) -> dict[str, Any]:
        """Return the boundary values and sources of a species as plain data."""
        linear, conditions = self.equations.problem_of(species.name), {}
        for k, entry in enumerate(species.conditions):
            value: Any = ""
            if isinstance(entry, (Dirichlet, Neumann, Robin)):
                key = {Dirichlet: "value", Neumann: "flux", Robin: "ambient"}[type(entry)]
                path, dofs = f"species.{species.name}.conditions[{k}].{key}", dofs_on(linear, entry.boundary)
                value = told(path, self.space, dofs, getattr(entry, key), (0.0, 0.0 if self.adaptive else self.step))
            conditions[entry.boundary] = {"type": type(entry).__name__, "value": value}
        return {"unit": species.unit, "conditions": conditions, "sources": [repr(entry) for entry in species.sources]}

    def _given(self) -> dict[str, Any]:
        method, problem = self.method, self.problem
        kinetics = problem.kinetics
        about: dict[str, Any] = {}
        for (name, fraction), step in self.transport.items():
            norms = [matrix.norm() for matrix in (step.mass, step.stiffness)]
            about[f"{name}: norms of the matrices of {fraction:g}"] = norms
        if self.coupled is not None:
            matrices = [*self.coupled.mass, *self.coupled.stiffness]
            about["norms of the matrices"] = [matrix.norm() for matrix in matrices]
        for name, values in self.values.items():
            about[f"{name} at the start, min/max/means"] = nodal_fingerprint(self.space, values)
            about[f"{name}: volumes of the nodes"] = nodal_fingerprint(self.space, self.equations.weights[name])
        if kinetics is not None:
            for name, value in vars(kinetics.values(self._parameters(), size=self.equations.owned)).items():
                number = isinstance(value, float)
                about[f"parameter {name}"] = value if number else nodal_fingerprint(self.space, value)
        stages = ", ".join(f"{name} {fraction!r}" for name, fraction in method.split.stages)
        return {
            "model": self.name,
            "kinetics": "" if kinetics is None else kinetics.name,
            "species": {species.name: self._described(species) for species in problem.species},
            f"time step ({problem.time_unit})": "adaptive" if self.adaptive else self.step,
            "splitting": f"{method.split.name}: {stages}",
            "scheme": method.one_step.name,
            "subcycles": method.subcycles,
            "degree": problem.degree,
            "positivity": method.positivity,
            "rtol": method.rtol,
        } | {name: {"about": value} for name, value in about.items()}


def conserved_amount(numbers: Mapping[str, Array], name: str) -> Array:
    """Return the amount of a species over time less all that was brought: constant if the balance holds."""
    return np.asarray(numbers[f"{name} amount"] - np.cumsum(numbers[f"{name} brought"]))
