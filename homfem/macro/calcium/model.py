"""The discretised calcium problem with its state: one step of it, and what is observed."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.macro.calcium.buffers import NodalBinding, binding_exchange
from homfem.macro.calcium.diffusion import Diffusion
from homfem.macro.calcium.exchange import NodalExchange
from homfem.macro.calcium.fields import MEMBRANE, REST, Exchange
from homfem.macro.calcium.identity import identity_of
from homfem.macro.calcium.implicit import ImplicitStep
from homfem.macro.calcium.loads import Loads
from homfem.macro.calcium.problem import CYTOSOL, ER, CalciumProblem
from homfem.macro.calcium.unknowns import Unknown
from homfem.macro.coefficients import cell_function
from homfem.macro.initial import nodal_values
from homfem.macro.parts import DomainPart
from homfem.macro.rungs import Rungs
from homfem.macro.state import Reduction, StateField, Units
from homfem.parameters import Array, ConvergenceError, InputError, check_integer, check_number
from homfem.solve import function_space
from homfem.timestepping import IMPLICIT, Operator, Splitting, advance, method_of, subcycled

#: A negative concentration that is less than this part of the largest one at the time is round-off.
NEGATIVE = 1e-9


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
        ``"strang"`` (second order), ``"godunov"`` (first order), a :class:`~homfem.timestepping.Splitting` of the
        operators ``"reaction"`` and ``"diffusion"``, or ``"implicit"``: nothing is split, and all is solved for
        together by Newton's method (:mod:`homfem.macro.calcium.implicit`).
    subcycles
        Reaction steps per stage of the splitting.
    scheme
        Of the implicit step: ``"tr-bdf2"`` (second order; None is this), ``"crank-nicolson"`` or ``"backward-euler"``;
        splittings have their own.
    rtol, preconditioner
        Of the linear solver or Newton's method, on the increments of a step; a name that
        :class:`homfem.solve.LinearSolver` knows, or ``"auto"``: ``"jacobi"``, which takes the same iterations on any
        number of ranks (of the implicit step it is of the blocks of each node), and for the diffusion of 20,000 nodes
        and more what is the fastest for the step (:func:`homfem.macro.calcium.diffusion.preconditioner_of`).
    adaptive
        Steps of any length are taken, ``step`` is the longest (:class:`homfem.macro.state.Adjustable`); no iteration
        starts from the step before.

    Attributes
    ----------
    unknowns : mapping of str to Unknown
        The fields by name, at the nodes of the parts of the domain where they live.
    exchange, diffusion, loads
        What happens at the nodes, in space, and from outside.

    Raises
    ------
    InputError
        For negative or non-finite concentrations at the start, and fields of the wrong shape.
    """

    name = "calcium bidomain"

    def __init__(
        self,
        problem: CalciumProblem,
        *,
        step: float,
        splitting: str | Splitting = "strang",
        subcycles: int = 1,
        scheme: str | None = None,
        rtol: float = 1e-10,
        preconditioner: str = "auto",
        adaptive: bool = False,
    ) -> None:
        started = clock.perf_counter()
        self._step, self.adaptive, self.extrapolates = check_number("step", step, above=0.0), adaptive, True
        self.problem, self.iterations = problem, 0
        self.splitting, self.scheme = method_of(splitting, scheme, subcycles)
        self.rtol = check_number("rtol", rtol)
        self.subcycles = check_integer("subcycles", subcycles, at_least=1)
        self.comm = problem.domain.comm
        self.space = function_space(problem.domain.mesh, "Lagrange", 1, ())
        self._make_unknowns()
        self._make_exchange()
        self.loads = Loads(problem.domain, self.unknowns, problem.fluxes, problem.sources)
        self.diffusion: Diffusion = Diffusion(
            list(self.unknowns.values()),
            scheme=self.scheme,
            rtol=rtol,
            preconditioner=preconditioner,
            guess=not adaptive,
        )
        self.lengths = Rungs(self._prepared, rounded=adaptive)
        for fraction in self.splitting.fractions("diffusion"):
            self.lengths.of(fraction * self._step)
        self.implicit = self._make_implicit(preconditioner) if self.splitting.name == IMPLICIT else None
        self.refresh()
        self._identity = identity_of(
            self, step="adaptive" if adaptive else self._step
        )  # of the start: no step has changed the fields yet
        stages = self.splitting.operators
        self.seconds = {"setup": clock.perf_counter() - started} | dict.fromkeys(stages, 0.0)
        self._last_iterations = 0

    def _make_implicit(self, preconditioner: str) -> ImplicitStep:
        return ImplicitStep(
            self.unknowns, self.exchange, self.diffusion, self.loads,
            scheme=self.scheme, rtol=self.rtol, preconditioner=preconditioner,
        )  # fmt: skip

    def _make_unknowns(self) -> None:
        self._parts: dict[frozenset[str] | None, DomainPart] = {}
        self.unknowns: dict[str, Unknown] = {}
        for one in self.problem.fields():
            self.unknowns[one.name] = Unknown(one, self._part(one.regions))
        self.binding = NodalBinding(self.problem.buffers, self.unknowns, order=self.splitting.order)
        together = self.splitting.name == IMPLICIT
        self.order = (
            1 if self.binding.rapid and not together else self.scheme.order if together else self.splitting.order
        )
        self.cytosol, self.er = self.unknowns[CYTOSOL].function, self.unknowns[ER].function
        self.dofs = int(self.space.dofmap.index_map.size_global)

    def _part(self, regions: tuple[str, ...] | None) -> DomainPart:
        """Return the part of some regions, the same one for the same cells; collective."""
        domain = self.problem.domain
        key = None if regions is None else frozenset(regions)
        if regions is not None:
            named = np.isin(domain.region_of_cell, [domain.region(name) for name in regions])
            key = None if self.comm.allreduce(bool(named.all()), op=MPI.LAND) else key
        if key not in self._parts:
            self._parts[key] = DomainPart(domain, self.space, None if key is None else regions)
        return self._parts[key]

    def _make_exchange(self) -> None:
        problem, er = self.problem, self.unknowns[ER]
        areas = problem.areas()
        numbers = set(areas.values())
        given = problem.density
        if isinstance(given, Mapping):
            for region, value in given.items():
                check_number(f"density.{region}", value, at_least=0.0)
        if isinstance(given, Mapping) or len(numbers) > 1:
            factors: Any = given if isinstance(given, Mapping) else {REST: 1.0}
            relative = problem.domain.cell_values(factors, "density")
            product = relative * problem.domain.cell_values({REST: 1.0} | areas, "interface_area")
            membrane = er.part.integrals(cell_function(problem.domain, product))
        else:
            membrane = numbers.pop() * er.part.volumes
        if not isinstance(given, Mapping):
            membrane = membrane * er.part.of_nodes(nodal_values("density", given, self.space, at_least=0.0))
        self.membrane = er.part.spread(membrane)
        start = {
            name: nodal_values(f"initial_states[{name!r}]", one, self.space, at_least=0.0)
            for name, one in problem.initial_states.items()
        }
        together = self.splitting.name == IMPLICIT
        bindings = [binding_exchange(one.buffer, step=self._step) for one in problem.buffers] if together else []
        self.exchange = NodalExchange(
            self._checked((*problem.kinetics_of_fields(), *bindings)),
            self.unknowns,
            self.membrane,
            start=start,
            order=self.splitting.order,
        )
        self._held = problem.held()
        self.state_functions = {name: nodal.function for name, nodal in self.exchange.states.items()}
        fields = {name: one.field.unit for name, one in self.unknowns.items()}
        self.units = Units(time="s", length="um", fields=fields)

    def _checked(self, exchanges: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
        """Refuse rates that are per something that is not there."""
        known = (MEMBRANE, *self.unknowns)
        for one in exchanges:
            if one.per not in known:
                raise InputError("exchanges", one.per, f"per one of {', '.join(known)}")
        return exchanges

    def _prepared(self, length: float) -> float:
        self.diffusion.prepare(length)
        return length

    def _react(self, time: float, step: float) -> None:
        started = clock.perf_counter()
        # The binding is the stiffest of all: it comes last.
        before = 0.5 * step if self.splitting.order > 1 else 0.0
        self.binding.step(before)
        self.exchange.step(time, step)
        self.binding.step(step - before)
        self.seconds["reaction"] += clock.perf_counter() - started

    def _solve(self, time: float, step: float) -> None:
        started = clock.perf_counter()
        if self.implicit is not None:
            self.iterations += self.implicit.take(time, step)
        self.seconds[IMPLICIT] += clock.perf_counter() - started

    def _diffuse(self, time: float, step: float) -> None:
        started = clock.perf_counter()
        step = self.lengths.of(step)
        if not self.loads.any:
            self.iterations += self.diffusion.apply(step)
        else:
            values = {name: one.values for name, one in self.unknowns.items()}
            rates = self.loads.rates(time, step, values)
            if self.loads.follows and self.splitting.order > 1:
                self.iterations += self.diffusion.apply(step, rates, tried=True)
                then = {
                    name: self.diffusion.predicted(one, step) if name in rates else one.values
                    for name, one in self.unknowns.items()
                }
                rates = self.loads.rates(time, step, then, values)
            self.iterations += self.diffusion.apply(step, rates)
            self.loads.count(step)
        self.seconds["diffusion"] += clock.perf_counter() - started

    def advance(self, time: float) -> int:
        """Advance the state by one step from ``time``; return the iterations of the linear solver. Collective."""
        return self.take(time, self._step)

    def take(self, time: float, step: float) -> int:
        """Advance the state by a step of this length; return the iterations. Collective."""
        before = self.iterations
        self.loads.begin()
        operators: dict[str, Operator] = {
            "reaction": subcycled(self._react, self.subcycles),
            "diffusion": self._diffuse,
        }
        operators[IMPLICIT] = self._solve
        with np.errstate(over="ignore", invalid="ignore") if self.adaptive else nullcontext():
            advance(self.splitting, operators, time, step)
        self._show_parts()
        self._last_iterations = self.iterations - before
        return self._last_iterations

    def _show_parts(self) -> None:
        """Bring up to date what is shown of fields on a part, and the states."""
        for one in self.unknowns.values():
            if one.part.nodes is not None:
                one.refresh()
        self.exchange.gather()

    def judged(self) -> dict[str, list[Array]]:
        """Return the fields and the states X, as views."""
        found = {name: [one.values] for name, one in self.unknowns.items()}
        found |= {name: [] for name in self.exchange.states}
        for group in self.exchange.groups:
            for row, state in enumerate(group.reaction.kinetics.states):
                found[state.name].append(group.reaction.states[row])
        return found

    def tally(self) -> Array:
        """Return what each flux and source has brought in the last step, and its iterations."""
        return np.array([*self.loads.brought.values(), float(self._last_iterations)])

    def accept(self, numbers: Array) -> None:
        """Take these numbers as those of the last step, and the values as they are now; collective."""
        self.binding.settle()
        self._show_parts()
        *brought, iterations = (float(number) for number in numbers)
        self.loads.brought = dict(zip(self.loads.labels, brought, strict=True))
        self._last_iterations = round(iterations)

    def edges(self, start: float, end: float) -> list[float]:
        """Return the times in between at which fluxes and sources are switched on or off."""
        return self.loads.edges(start, end)

    def measure(self) -> dict[str, tuple[float, Reduction]]:
        """Return the total calcium (uM um^d), also what pumps hold, the largest and smallest c (uM), the iterations of
        the last step, the smallest of every other field, and what each flux and source has brought in the step."""
        total = sum(one.field.calcium * float(one.weights @ one.values) for one in self.unknowns.values())
        for group in self.exchange.groups:
            for state, row in zip(group.reaction.kinetics.states, group.reaction.states, strict=True):
                if state.name in self._held:
                    total += self._held[state.name] * float(self.membrane[group.nodes] @ row)
        c = self.unknowns[CYTOSOL].values
        numbers: dict[str, tuple[float, Reduction]] = {
            "total": (float(total), "sum"),
            "maximum": (float(c.max(initial=-np.inf)), "max"),
            "minimum": (float(c.min(initial=np.inf)), "min"),
            "iterations": (float(self._last_iterations), "max"),
        }
        for name, one in self.unknowns.items():
            if name != CYTOSOL:
                numbers[f"minimum of {name}"] = (float(one.values.min(initial=np.inf)), "min")
        for label, value in self.loads.brought.items():
            numbers[f"brought by {label}"] = (value, "sum")
        return numbers

    def judge(self, time: float, numbers: Mapping[str, float]) -> None:
        """Refuse concentrations that are not finite, or negative beyond round-off (:data:`NEGATIVE`)."""
        if not np.isfinite(numbers["total"]):
            raise ConvergenceError(
                f"calcium bidomain: the concentrations are not finite at t = {time:g} s. "
                "Take a smaller step or more subcycles."
            )
        for name, one in self.unknowns.items():
            least = numbers["minimum" if name == CYTOSOL else f"minimum of {name}"]
            if least < 0.0 and least < -NEGATIVE * one.largest():
                raise ConvergenceError(self._negative(one, least, time))

    def _negative(self, one: Unknown, least: float, time: float) -> str:
        """Return what is said of a negative concentration, with its place; collective."""
        points = one.part.of_nodes(self.space.tabulate_dof_coordinates()[: one.part.owned])
        found = points[one.values == least][:, : self.problem.domain.dimension].round(9).tolist()
        place = min(place for places in self.comm.allgather(found) for place in places)
        where = ", ".join(f"{x + 0.0:.6g}" for x in place)
        return (
            f"calcium bidomain: {one.name} = {least:.4g} {one.field.unit} < 0 at t = {time:g} s, at ({where}) um. "
            "Take a smaller step or more subcycles, a finer mesh where it is steep, or a smoother start."
        )

    def refresh(self) -> None:
        """Bring all functions up to date, ghosts included; collective."""
        for one in self.unknowns.values():
            one.refresh()
        self.exchange.refresh()

    def fields(self) -> dict[str, fem.Function]:
        """Return c, e, further fields and the states X by name, their ghosts brought up to date; collective."""
        self.refresh()
        return {name: one.function for name, one in self.unknowns.items()} | self.state_functions

    def snapshot(self, step: int, time: float) -> Snapshot:
        """Return the fields at a time; collective."""
        self.fields()
        return Snapshot(step=step, time=time, cytosol=self.cytosol, er=self.er, states=self.state_functions)

    def _kept(self) -> dict[str, Any]:
        """All that a restart needs, by name."""
        found: dict[str, Any] = {**self.unknowns, **self.exchange.states}
        for name, one in self.unknowns.items():
            if one.field.diffusion is not None and not self.adaptive:
                for fraction in self.splitting.fractions("diffusion"):
                    for stage, nodal in enumerate(self.diffusion.increments(name, fraction * self._step)):
                        found[f"increment {name} {fraction:g} {stage}"] = nodal
        return found

    def state(self) -> dict[str, StateField]:
        """Return all that a restart needs: the fields, and the start values of the linear solver."""
        kept = self._kept()
        self.exchange.refresh()
        for nodal in kept.values():
            nodal.refresh()
        return {name: nodal.state() for name, nodal in kept.items()}

    def restored(self) -> None:
        """Take what a checkpoint has put into the state; collective."""
        for nodal in self._kept().values():
            nodal.taken()
        self.exchange.taken()

    def identity(self) -> dict[str, Any]:
        """Return what tells this problem, its start and its steps from others: a checkpoint of another is refused.

        Plain data for :class:`homfem.output.checkpoint.CheckpointFile`, equal on any number of ranks.
        """
        return dict(self._identity)

    def start_states(self) -> dict[str, Array]:
        """Return the states X at all owned dofs, 0 where there are none."""
        return {name: nodal.part.spread(nodal.values) for name, nodal in self.exchange.states.items()}
