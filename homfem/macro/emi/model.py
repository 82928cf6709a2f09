"""The discretised tissue with its state: one step of it, and what is observed."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.kinetics.parameters import refuse_unknown
from homfem.macro.emi.linear import Currents, Potentials, conduction, scaled
from homfem.macro.emi.problem import EmiMethod, EmiProblem, described
from homfem.macro.emi.spaces import Spaces
from homfem.macro.reaction import make_reaction
from homfem.macro.state import Reduction, StateField, Units
from homfem.macro.stimulus import NodalStimulus
from homfem.parameters import Array, ConvergenceError, InputError, check_number


class EmiModel:
    """The discretised problem with its state, for :func:`homfem.macro.march.march`; collective.

    Parameters
    ----------
    problem
        What is solved; it has a membrane.
    step
        Time step, ms.
    method
        How it is solved.
    time
        Of the start, ms: that of the held potentials which the first potentials belong to.

    Attributes
    ----------
    values : array
        V at the nodes of the membrane that the rank owns, mV.
    nodes : array of int, shape (n,)
        These nodes, among those of ``spaces.space`` that the rank owns.
    points : array, shape (n, d)
        Where they are, mm.
    reaction
        The kinetics there, with its ``states``.
    potentials : array
        Of all spaces, at this rank's unknowns; with ``order`` 2 those of the middle of the step.

    Raises
    ------
    InputError
        For bad input.
    """

    name = "resolved membranes"

    def __init__(self, problem: EmiProblem, *, step: float, method: EmiMethod | None = None, time: float = 0.0) -> None:
        started = clock.perf_counter()
        self.problem, self.method = problem, EmiMethod() if method is None else method
        self.step, self.comm = check_number("step", step, above=0.0), problem.domain.comm
        membrane = problem.membrane
        if membrane is None:
            raise InputError("membrane", None, "given: nothing else changes in time")
        self.membrane = membrane
        self.spaces = spaces = Spaces(problem.domain, problem.spaces, self.method.degree)
        self.dofs = spaces.sizes[1]
        self._mass = spaces.mass(membrane.inside, membrane.outside, "membrane")
        self._mass.scale(membrane.capacitance)
        terms = spaces.jumps(self._mass, 1.0, membrane.inside, membrane.outside)
        implicit = self.step / self.method.order
        system = spaces.matrix([*terms, *scaled(conduction(problem, spaces), implicit)])
        self._norm = system.norm()
        self._system = Potentials(problem, self.method, spaces, system)
        self._currents = Currents(problem, spaces)
        self._make_membrane()
        self.potentials = self._system.solve(self._charge(), time).copy()
        self._before = self.potentials.copy()
        self._kept = {name: np.zeros((2, spaces.owned)) for name in spaces.names}
        self._spread()
        self.seconds = {"setup": clock.perf_counter() - started, "ODE": 0.0, "potentials": 0.0}

    def _make_membrane(self) -> None:
        membrane, spaces = self.membrane, self.spaces
        diagonal = self._mass.getDiagonal()
        self.nodes = np.flatnonzero(diagonal.array_r > 0.0)
        self._inside = spaces.numbers[membrane.inside][self.nodes] - spaces.first
        self._outside = spaces.numbers[membrane.outside][self.nodes] - spaces.first
        points = spaces.space.tabulate_dof_coordinates()[: spaces.owned]
        self.points = points[self.nodes][:, : self.problem.domain.dimension]
        self._whole = self._mass.createVecRight()
        self._image = self._mass.createVecLeft()
        kinetics = membrane.kinetics
        name = kinetics.fields[0].name
        refuse_unknown("membrane.start", membrane.start, ["V", name, *(state.name for state in kinetics.states)])
        rest = membrane.start.get("V", membrane.start.get(name, kinetics.fields[0].start))
        self.values = np.full(len(self.nodes), self._at_points(rest))
        sources = None
        if membrane.stimuli:
            stimulus = NodalStimulus(
                self.problem.domain,
                spaces.space,
                membrane.stimuli,
                scale=1.0 / membrane.capacitance,
                name="membrane.stimuli",
            )
            sources = {name: _OnMembrane(stimulus, self.nodes, spaces.owned)}
        self.reaction = make_reaction(
            kinetics,
            {name: self.values},
            scheme=self.method.ionic,
            parameters=dict(membrane.parameters),
            start={key: self._at_points(value) for key, value in membrane.start.items() if key not in ("V", name)},
            sources=sources,
            order=self.method.order,
        )
        self._states = np.zeros((len(kinetics.states), spaces.owned))
        self._v = np.full(spaces.owned, float(kinetics.fields[0].start))
        units = {"V": kinetics.fields[0].unit} | {state.name: state.unit for state in kinetics.states}
        units |= dict.fromkeys((*spaces.names, "potential"), kinetics.fields[0].unit)
        self.units = Units(time="ms", length="mm", fields=units)

    def _at_points(self, value: float | Callable[[Array], Array]) -> float | Array:
        return np.asarray(value(self.points.T), dtype=np.float64) if callable(value) else float(value)

    def advance(self, time: float) -> int:
        """Advance the state by one step from ``time``; collective."""
        order = self.method.order
        self._react(time, self.step / order)
        self._move(time)
        if order > 1:
            self._react(time + 0.5 * self.step, 0.5 * self.step)
        self._spread()
        return self.iterations

    @property
    def iterations(self) -> int:
        """Those of the linear solver so far."""
        return self._system.solver.iterations

    def _react(self, time: float, step: float) -> None:
        started = clock.perf_counter()
        part = step / self.method.subcycles
        for k in range(self.method.subcycles):
            self.reaction.step(time + k * part, part)
        wrong = self.reaction.not_finite()
        told = None
        if wrong is not None:
            at = ", ".join(f"{x:.6g}" for x in self.points[wrong[1]])
            told = f"{wrong[0]} at the node ({at}) mm"
        found = next((entry for entry in self.comm.allgather(told) if entry), None)
        if found is not None:
            raise ConvergenceError(
                f"{self.name}: {found} is not finite at t = {time + step:g} ms ({self.membrane.kinetics.name}). "
                "Take a smaller time step."
            )
        self.seconds["ODE"] += clock.perf_counter() - started

    def _charge(self) -> Array:
        """Return the right-hand side of V on the membrane, at this rank's unknowns."""
        self._whole.set(0.0)
        self._whole.array[self.nodes] = self.values
        self._mass.mult(self._whole, self._image)
        charge, load = self._image.array_r[self.nodes], np.zeros(self.spaces.sizes[0])
        load[self._inside] = charge
        load[self._outside] -= charge
        return load

    def _move(self, time: float) -> None:
        """Let the currents of the step from ``time`` flow, and take V from the potentials."""
        started, order = clock.perf_counter(), self.method.order
        load, entered = self._charge(), np.zeros(self.spaces.sizes[0])
        self._currents.add(entered, time, self.step)
        load += entered / order
        guess = self._system.values
        guess.array[:] = 2.0 * self.potentials - self._before
        self._before[:] = self.potentials
        self.potentials[:] = self._system.solve(load, time, self.step)
        jump = self.potentials[self._inside] - self.potentials[self._outside]
        self.values[:] = jump if order == 1 else 2.0 * jump - self.values
        self.seconds["potentials"] += clock.perf_counter() - started

    def measure(self) -> dict[str, tuple[float, Reduction]]:
        """Return the extrema of V."""
        return {
            "V maximum": (float(self.values.max(initial=-np.inf)), "max"),
            "V minimum": (float(self.values.min(initial=np.inf)), "min"),
        }

    def judge(self, time: float, numbers: Mapping[str, float]) -> None:
        """Nothing but what is not finite ends a run; the step tells that itself."""

    def fields(self) -> dict[str, fem.Function]:
        """Return the potential of each space, 0 elsewhere, V and the states on the membrane; collective.

        And ``"potential"``: that inside of the membrane where there is one, else that of another space, the outside
        last; for pictures of all spaces in one.
        """
        shown = {name: self.spaces.function(name, self.potentials) for name in self.spaces.names}
        every = fem.Function(self.spaces.space, name="potential")
        order = sorted(shown, key=lambda name: (name == self.membrane.inside) - (name == self.membrane.outside))
        for name in order:
            there = self.spaces.numbers[name] >= 0
            every.x.array[there] = shown[name].x.array[there]
        shown["potential"] = every
        for name, row in (("V", self._v), *self._named_states()):
            function = fem.Function(self.spaces.space, name=name)
            function.x.array[: self.spaces.owned] = row
            function.x.scatter_forward()
            shown[name] = function
        return shown

    def _spread(self) -> None:
        self._v[self.nodes] = self.values
        self._states[:, self.nodes] = self.reaction.states
        for name, rows in self._kept.items():
            nodes, places = self.spaces.places(name)
            rows[0, nodes], rows[1, nodes] = self.potentials[places], self._before[places]

    def state(self) -> dict[str, StateField]:
        """Return all that a restart needs: V, the states of the membrane, and the potentials of the last two steps."""
        rows = {"V": self._v} | dict(self._named_states())
        for name, kept in self._kept.items():
            rows |= {name: kept[0], f"{name} before": kept[1]}
        return {name: StateField(self.spaces.space, values) for name, values in rows.items()}

    def _named_states(self) -> list[tuple[str, Array]]:
        return [(state.name, row) for state, row in zip(self.membrane.kinetics.states, self._states, strict=True)]

    def restored(self) -> None:
        """Take what a checkpoint has put into the fields of the whole domain."""
        self.values[:] = self._v[self.nodes]
        self.reaction.states[:] = self._states[:, self.nodes]
        for name, rows in self._kept.items():
            nodes, places = self.spaces.places(name)
            self.potentials[places], self._before[places] = rows[0, nodes], rows[1, nodes]

    def identity(self) -> dict[str, Any]:
        """Return what tells this problem and its steps from others; equal on any number of ranks."""
        return {
            "model": self.name,
            "time step (ms)": self.step,
            "degree": self.method.degree,
            "order": self.method.order,
            "ionic steps": self.method.ionic,
            "subcycles": self.method.subcycles,
            "dofs": self.dofs,
            **described(self.problem),
            "matrix": {"about": self._norm},
        }

    def total(self) -> float:
        """Return the charge on the membrane, the integral of Cm V, uF mV; collective."""
        self._whole.set(0.0)
        self._whole.array[self.nodes] = self.values
        self._mass.mult(self._whole, self._image)
        return float(self.comm.allreduce(self._image.array_r.sum(), op=MPI.SUM))


class _OnMembrane:
    """Stimuli at the nodes of the membrane alone."""

    def __init__(self, stimulus: NodalStimulus, nodes: Any, owned: int) -> None:
        self._stimulus, self._nodes, self._all = stimulus, nodes, np.zeros(owned)

    def add(self, values: Array, time: float, step: float, *, part: float) -> None:
        """Add what the stimuli bring to V, in place."""
        self._all[:] = 0.0
        self._stimulus.add(self._all, time, step, part=part)
        values += self._all[self._nodes]
