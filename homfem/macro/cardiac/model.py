"""The discretised cardiac problem with its state: one step of it, and what is observed."""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem.kinetics.ionic.ranges import HIGHEST, check_ranges
from homfem.kinetics.ionic.stability import explicit_limit
from homfem.kinetics.parameters import refuse_unknown
from homfem.macro.cardiac.diffusion import Diffusion
from homfem.macro.cardiac.interpolated import InterpolatedCurrent
from homfem.macro.cardiac.problem import CardiacMethod, CardiacProblem
from homfem.macro.cardiac.tissue import Tissue
from homfem.macro.extent import check_extent
from homfem.macro.reaction import make_reaction
from homfem.macro.state import Reduction, StateField, Units
from homfem.macro.stimulus import NodalStimulus
from homfem.parameters import Array, ConvergenceError, InputError, check_number
from homfem.solve import nodal_fingerprint
from homfem.timestepping import advance, subcycled

log = logging.getLogger("homfem")

#: Length of a wave of 0.6 mm/ms and 300 ms over the width of its front, 0.3 mm.
WAVE = 600.0
#: Cells of so many widths :math:`\sqrt{D\cdot 1\,\mathrm{ms}}` of a front are told, and ionic steps beyond this (ms).
COARSE, LONG = 1.5, 0.1


class CardiacModel:
    """The discretised problem with its state: matrices and solvers are set up here, once; collective.

    Parameters
    ----------
    problem
        What is solved.
    step
        Time step, ms.
    method
        How it is solved.
    time
        Of the start, ms: that of the currents which the first extracellular potential belongs to.

    Attributes
    ----------
    potential : Function
        V, mV; NaN in a bath, as the states are. ``phi_e``: the extracellular potential, of a bidomain.
    values : array
        V at the nodes of the tissue that the rank owns.
    reaction
        The membrane at these nodes, with its ``states``.
    diffusion
        The step in space.

    Raises
    ------
    InputError
        For bad coefficients, starts, stimuli or parameters, and methods that do not fit the problem.
    """

    def __init__(
        self, problem: CardiacProblem, *, step: float, method: CardiacMethod | None = None, time: float = 0.0
    ) -> None:
        started = clock.perf_counter()
        self.problem, self.method = problem, CardiacMethod() if method is None else method
        self.name = "cardiac " + ("bidomain with bath" if problem.kind == "bath" else problem.kind)
        self.step, self.comm = check_number("step", step, above=0.0), problem.domain.comm
        self.bidomain = problem.kind != "monodomain"
        unit = problem.membrane.fields[0].unit
        fields = {"V": unit, "phi_e": unit} | {state.name: state.unit for state in problem.membrane.states}
        self.units = Units(time="ms", length="mm", fields=fields)
        self.tissue = Tissue(problem, self.method)
        self.space, self.owned = self.tissue.space, self.tissue.owned
        self.dofs = int(self.space.dofmap.index_map.size_global) * (2 if self.bidomain else 1)
        self.seconds = dict.fromkeys(("setup", "ODE"), 0.0)
        self._make_potential()
        self._make_reaction()
        self._warn_of_resolution()
        self.diffusion = Diffusion(self.tissue, self._v, self.seconds, step=self.step, time=time)
        self.current: InterpolatedCurrent | None = None
        if self.method.current == "interpolated":
            self.current = InterpolatedCurrent(self.tissue, self.diffusion.mass, self._parameters())
        self.phi_e, self._last = self.diffusion.phi_e, dict(self.iterations)
        self._identity = self._given()  # of the start: no step has changed the fields yet
        self.seconds["setup"] = clock.perf_counter() - started

    def _make_potential(self) -> None:
        tissue, membrane = self.tissue, self.problem.membrane
        self.potential = fem.Function(self.space, name="V")
        self._whole = self.potential.x.array[: self.owned]
        rest = membrane.fields[0].start
        self._whole[:] = np.nan
        start = tissue.values(
            "start.V", self.problem.start.get("V", self.problem.start.get(membrane.fields[0].name, rest))
        )
        if tissue.nodes is None:
            self.values = self._whole
            self._v = self.potential.x.petsc_vec
        else:
            self.values = np.empty(tissue.size)
            self._v = PETSc.Vec().createWithArray(self.values, comm=self.comm)
        self.values[:] = start
        self._to_whole()

    def _make_reaction(self) -> None:
        problem, tissue, membrane = self.problem, self.tissue, self.problem.membrane
        name = membrane.fields[0].name
        self._check_ionic_step()
        sources = [
            NodalStimulus(
                problem.domain,
                self.space,
                given,
                scale=np.reciprocal(tissue.capacity),
                name=path,
                within=tissue.stimulated,
            )
            for path, given in (
                ("stimuli", problem.stimuli),
                ("intracellular_sources", problem.intracellular_sources),
            )
            if given
        ]
        self._sources = _Together(sources)
        start = {
            key: tissue.values(f"start.{key}", value) for key, value in problem.start.items() if key not in ("V", name)
        }
        check_ranges("start", membrane, start | {name: self.values})
        self.reaction = make_reaction(
            membrane,
            {name: self.values},
            scheme=self.method.ionic,
            parameters=self._parameters(),
            start=start,
            sources={name: self._sources} if sources and self.method.current == "nodal" else None,
            order=self.method.split.order,
        )
        self.state_functions = {state.name: fem.Function(self.space, name=state.name) for state in membrane.states}
        if tissue.nodes is not None:
            for function in self.state_functions.values():
                function.x.array[:] = np.nan
        self._states = self.reaction.states
        if tissue.nodes is not None:
            self._states = np.full((len(membrane.states), self.owned), np.nan)
            self._states[:, tissue.nodes] = self.reaction.states

    def _check_ionic_step(self) -> None:
        """Refuse a step that the ionic scheme does not take even at rest."""
        numbers = {key: value for key, value in self.problem.parameters.items() if isinstance(value, (int, float))}
        try:
            limiting, limit = explicit_limit(self.problem.membrane, self.method.ionic, numbers)
        except ZeroDivisionError as error:
            raise InputError("parameters", numbers, f"numbers with which {self.problem.membrane.name} does not divide "
                             "by zero") from error  # fmt: skip
        if self.step > limit * self.method.subcycles:
            allowed = (
                f"at most {limit * self.method.subcycles:.3g} ms: the scheme {self.method.ionic!r} takes {limiting} "
            )
            allowed += f"of {self.problem.membrane.name} explicitly, which is unstable beyond"
            raise InputError("step", self.step, allowed, "Take more subcycles, or 'generalized-rush-larsen'.")

    def _parameters(self) -> dict[str, float | Array]:
        """Return the parameters of the membrane that are given, at the nodes of the tissue."""
        given = self.problem.parameters
        refuse_unknown("parameters", given, [entry.name for entry in self.problem.membrane.parameters])
        values = {name: self.tissue.values(f"parameters.{name}", value) for name, value in given.items()}
        check_ranges("parameters", self.problem.membrane, values)
        return values

    def _react(self, time: float, step: float) -> None:
        started = clock.perf_counter()
        if self.current is None:
            self.reaction.step(time, step)
        else:
            self._sources.add(self.values, time, step, part=1.0)
            after = self.values + self.current.change(self.values, self.reaction.states, time, step)
            self.reaction.step(time, step)
            self.values[:] = after
        wrong = not np.isfinite(self.values.sum() + self.reaction.states.sum())
        if self.comm.allreduce(wrong, op=MPI.LOR):
            self._tell_wrong(time + step)
        self.seconds["ODE"] += clock.perf_counter() - started

    def _tell_wrong(self, time: float) -> None:
        """Say where a state is not finite, and which one; collective."""
        names = ["V", *self.state_functions]
        rows = np.vstack([self.values, self.reaction.states])
        bad = np.argwhere(~np.isfinite(rows).T)
        found = None
        if len(bad):
            node = bad[0, 0]
            points = self.tissue.of_nodes(self.space.tabulate_dof_coordinates()[: self.owned])
            at = ", ".join(f"{x:.6g}" for x in points[node, : self.problem.domain.dimension])
            found = f"{', '.join(names[k] for k in bad[bad[:, 0] == node, 1])} at the node ({at}) mm"
        told = next((entry for entry in self.comm.allgather(found) if entry), "the sum of the states")
        ionic = self.step / self.method.subcycles
        raise ConvergenceError(
            f"{self.name}: {told} is not finite at t = {time:g} ms ({self.problem.membrane.name}). The ionic step of "
            f"up to {ionic:g} ms may be too large for an explicit step: take a smaller time step or more subcycles."
        )

    def advance(self, time: float) -> int:
        """Advance the state by one step from ``time``; return the iterations of the linear solvers. Collective."""
        before = dict(self.iterations)
        operators = {"reaction": subcycled(self._react, self.method.subcycles), "diffusion": self.diffusion.move}
        advance(self.method.split, operators, time, self.step)
        self.diffusion.follow(time + self.step)
        self._to_whole()
        self._last = {stage: count - before[stage] for stage, count in self.iterations.items()}
        return sum(self._last.values())

    @property
    def iterations(self) -> dict[str, int]:
        """Those of the linear solvers so far, by stage."""
        return self.diffusion.iterations

    def _to_whole(self) -> None:
        """Bring the potential of the tissue into its function."""
        if self.tissue.nodes is not None:
            self._whole[self.tissue.nodes] = self.values

    def restored(self) -> None:
        """Take what a checkpoint has put into the fields of the whole domain."""
        nodes = self.tissue.nodes
        if nodes is not None:
            self.values[:] = self._whole[nodes]
            self.reaction.states[:] = self._states[:, nodes]
        self.diffusion.restored()

    def measure(self) -> dict[str, tuple[float, Reduction]]:
        """Return the mean of V, the extrema of the potentials (mV), and the iterations of the last step."""
        found: dict[str, tuple[float, Reduction]] = {
            "V maximum": (float(self.values.max(initial=-np.inf)), "max"),
            "V minimum": (float(self.values.min(initial=np.inf)), "min"),
        }
        if self.phi_e is not None:
            phi = self.phi_e.x.array[: self.owned]
            found["phi_e maximum"] = (float(phi.max(initial=-np.inf)), "max")
            found["phi_e minimum"] = (float(phi.min(initial=np.inf)), "min")
        return found | {f"{stage} iterations": (float(count), "max") for stage, count in self._last.items()}

    def judge(self, time: float, numbers: Mapping[str, float]) -> None:
        """Refuse a potential that no membrane has."""
        largest = max(abs(numbers["V maximum"]), abs(numbers["V minimum"]))
        if not largest <= HIGHEST:
            ionic = self.step / self.method.subcycles
            raise ConvergenceError(
                f"{self.name}: |V| is {largest:.3g} {self.units.fields['V']} at t = {time:g} ms: the ionic step of up "
                f"to {ionic:g} ms is too large for an explicit step of {self.problem.membrane.name}. Take a smaller "
                "time step or more subcycles."
            )

    def fields(self) -> Mapping[str, fem.Function]:
        """Return V, the extracellular potential and the states, each brought up to date where it is looked up.

        Looking up is collective.
        """
        return _Shown(self)

    def _shown(self, name: str) -> fem.Function:
        """Return a field by name, its ghosts up to date; collective."""
        if name in self.state_functions:
            function, row = self.state_functions[name], list(self.state_functions).index(name)
            values = function.x.array[: self.owned]
            if self.tissue.nodes is None:
                values[:] = self.reaction.states[row]
            else:
                values[self.tissue.nodes] = self.reaction.states[row]
        else:
            function = self.potential if name == "V" else self.phi_e
        function.x.scatter_forward()
        return function

    def _spread_states(self) -> None:
        if self.tissue.nodes is not None:
            self._states[:, self.tissue.nodes] = self.reaction.states

    def state(self) -> dict[str, StateField]:
        """Return all that a restart needs: the potentials, the states, and the start values of iterations."""
        self._spread_states()
        found = {"V": self._whole}
        found |= {name: self._states[row] for row, name in enumerate(self.state_functions)}
        return {name: StateField(self.space, values) for name, values in (found | self.diffusion.state()).items()}

    def identity(self) -> dict[str, Any]:
        """Return what tells this problem, its start and its steps from others; equal on any number of ranks."""
        return dict(self._identity)

    def _given(self) -> dict[str, Any]:
        method, problem = self.method, self.problem
        about: dict[str, Any] = {"matrices": self.diffusion.norms()}
        p = problem.membrane.values(self._parameters(), size=self.tissue.size)
        for name, value in vars(p).items():
            spread = None if isinstance(value, float) else self.tissue.spread(value)
            about[f"parameter {name}"] = value if spread is None else nodal_fingerprint(self.space, spread)
        about["V at the start"] = nodal_fingerprint(self.space, self.tissue.spread(self.values))
        for row, name in enumerate(self.state_functions):
            about[f"{name} at the start"] = nodal_fingerprint(self.space, self.tissue.spread(self.reaction.states[row]))
        stages = ", ".join(f"{name} {fraction!r}" for name, fraction in method.split.stages)
        sources = ("stimuli", "intracellular_sources", "extracellular_sources")
        return {
            "model": self.name,
            "membrane": problem.membrane.name,
            "time step (ms)": self.step,
            "splitting": f"{method.split.name}: {stages}",
            "scheme": method.scheme,
            "coupling": method.coupled if self.bidomain else "",
            "ionic steps": method.ionic,
            "subcycles": method.subcycles,
            "current": method.current,
            "degree": method.degree,
            "mass": method.mass,
            "rtol": [method.rtol, method.elliptic_rtol],
            **{name: [repr(entry) for entry in getattr(problem, name)] for name in sources},
        } | {name: {"about": value} for name, value in about.items()}

    def _warn_of_resolution(self) -> None:
        r"""Warn of a mesh whose coordinates can hardly be in mm, and of cells and steps that do not resolve a front.

        A wave is :data:`WAVE` times as long as :math:`\sqrt{D\cdot 1\,\mathrm{ms}}`, about the width of its front. A
        model without units has fronts of any width.
        """
        problem = self.problem
        tensors = next(iter(problem.tissue_tensors().values()))
        largest = max(np.linalg.eigvalsh(values)[-1] for name, values in tensors.items() if name not in problem.bath)
        least = self.comm.allreduce(float(np.min(self.tissue.capacity, initial=np.inf)), op=MPI.MIN)
        width = float(np.sqrt(largest / least))
        check_extent(problem.domain, WAVE * width)
        cell, ionic = self.tissue.mean_size() / self.method.degree, self.step / self.method.subcycles
        if self.comm.rank != 0 or problem.membrane.fields[0].unit != "mV":
            return
        if cell > COARSE * width:
            log.warning(
                "Nodes of the tissue are about %.2g mm apart, and a front along the fibres is about %.2g mm wide: how "
                "fast it runs, and whether it does, depends on the mesh. Take a finer one, down to %.2g mm.",
                cell, width, 0.6 * width,
            )  # fmt: skip
        if ionic > LONG * (1.0 + 1e-9):
            log.warning(
                "Ionic steps of up to %g ms do not resolve an upstroke: how fast a front runs, and whether it does, "
                "depends on them. Take a time step of 0.05 ms or less, or more subcycles.",
                ionic,
            )


class _Together:
    """Several sources as one."""

    def __init__(self, sources: list[NodalStimulus]) -> None:
        self.sources = sources

    def add(self, values: Array, time: float, step: float, *, part: float) -> None:
        for source in self.sources:
            source.add(values, time, step, part=part)


class _Shown(Mapping[str, fem.Function]):
    """The fields of a model by name: a step of it changes them all, and few of them are looked at."""

    def __init__(self, model: CardiacModel) -> None:
        self._model = model
        self._names = ("V", *(() if model.phi_e is None else ("phi_e",)), *model.state_functions)

    def __getitem__(self, name: str) -> fem.Function:
        if name not in self._names:
            raise KeyError(name)
        return self._model._shown(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
