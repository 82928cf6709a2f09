"""The reaction-diffusion model from the tables of a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config import Config
from homfem.config.functions import FunctionTable
from homfem.config.models.macro_table import Taken, TensorSource, take_tensor
from homfem.config.models.reaction_diffusion import ReactionDiffusionTable
from homfem.config.models.reactions import kinetics_of
from homfem.config.models.species import DARCY, EFFECTIVE, BoundaryTable, SpeciesTable
from homfem.config.models.stimulus import stimulus_path
from homfem.kinds import DIFFUSION, DISPERSION, PERMEABILITY, TensorKinds
from homfem.parameters import InputError
from homfem.quantities import conversion_factor
from homfem.runs.keys import keys_under
from homfem.runs.macroscale import MacroRun
from homfem.runs.marching import Marching, ModelUnits, control_facts, domain_of, marching, tensor_warnings
from homfem.runs.phases import phase_tensors
from homfem.runs.scales import transport
from homfem.runs.watching import Watch, write_activation

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.macro.conditions import Condition
    from homfem.macro.domain import Domain
    from homfem.macro.reaction_diffusion import Method, ReactionDiffusion, ReactionDiffusionResult, Species
    from homfem.tensors import EffectiveTensor

#: The tensors that serve a species.
SERVING = (DIFFUSION, DISPERSION)

# Keys of the config by the names of the arguments that they become.
_KEYS = {"step": "time.step", "time": "time.step", "end": "time.end", "mesh": "domain", "parameters": "reaction"}


class _Made:
    """What the tables of a config become; collective."""

    def __init__(self, config: Config, table: ReactionDiffusionTable, comm: MPI.Comm) -> None:
        self.config, self.table, self.compute = config, table, phase_tensors(config, comm)
        self.domain: Domain = domain_of(config, table, comm, "um")
        self.tensors: dict[str, EffectiveTensor] = {}

    def problem(self) -> ReactionDiffusion:
        """Return the problem."""
        from homfem.macro.reaction_diffusion import ReactionDiffusion

        table = self.table
        with keys_under("macro"):
            kinetics, parameters = kinetics_of(table.reaction, table.units, self.domain.dimension)
        flow = self._darcy()
        species = [self._species(name, entry, flow) for name, entry in table.species.items()]
        return ReactionDiffusion(
            mesh=self.domain, species=species, kinetics=kinetics, parameters=parameters, degree=table.degree
        )

    def _species(self, name: str, table: SpeciesTable, flow: Any) -> Species:
        from homfem.macro.reaction_diffusion import Species

        path = f"macro.species.{name}"
        tensors = {
            region: self._tensor(f"{path}.tensor" + (f".{region}" if region else ""), name, source, SERVING, "um^2/s")
            for region, source in table.tensors.items()
        }
        self.tensors |= {f"{name}.{region}" if region else name: tensor for region, tensor in tensors.items()}
        velocity: Any = flow
        if table.velocity == EFFECTIVE:
            velocity = self._carried(path, tensors)
        elif table.velocity != DARCY:
            with keys_under(f"{path}.velocity"):
                velocity = _speeds(table.velocity, self.domain.dimension)
        return Species(
            name=name,
            tensor=tensors.get("", tensors or None),
            initial=self._initial(f"{path}.initial", table),
            velocity=velocity if table.velocity is not None else None,
            conditions=self._conditions(f"{path}.boundary", table),
            sources=self._sources(name),
            unit=table.own_unit,
        )

    def _carried(self, path: str, tensors: Mapping[str, EffectiveTensor]) -> Any:
        """Return the velocity that dispersion tensors come with: one, or one for each region."""
        from homfem.materials import carrying_velocity

        if self.domain.fibres is not None:
            remedy = "Give the speeds: a tensor in the axes of fibres has its flow there, too."
            raise InputError(f"{path}.velocity", EFFECTIVE, "speeds in a domain with fibres", remedy)
        found = {key: carrying_velocity(f"{path}.tensor", tensor, unit="um/s") for key, tensor in tensors.items()}
        return found.get("", found)

    def _tensor(self, path: str, name: str, source: TensorSource, kind: TensorKinds, unit: str) -> EffectiveTensor:
        taken = Taken(
            phase=name,
            kind=kind,
            unit=unit,
            dimension=self.domain.dimension,
            folder=self.config.folder,
            compute=self.compute,
        )
        with keys_under(path):
            return take_tensor(source, taken)

    def _darcy(self) -> Any:
        from homfem.macro.flow import Darcy

        table = self.table.darcy
        if table is None:
            return None
        for boundary in table.pressures:
            self.domain.boundary(boundary, "macro.darcy.pressures")
        return Darcy(
            permeability=self._tensor("macro.darcy.permeability", "fluid", table.permeability, PERMEABILITY, "um^2"),
            viscosity=table.viscosity.to("Pa*s"),
            pressures={boundary: pressure.to("Pa") for boundary, pressure in table.pressures.items()},
            axes="domain" if self.domain.fibres is None else "fibre",
        )

    def _initial(self, path: str, table: SpeciesTable) -> Any:
        from dolfinx import fem

        from homfem.macro.initial import Inside, placed_values

        if not isinstance(table.initial, tuple):
            return table.value(path, table.initial, dimension=self.domain.dimension, timed=False)
        places = [Inside(place=entry.place("um"), value=table.number(path, entry.value)) for entry in table.initial]
        first = table.initial[0].outside
        outside = 0.0 if first == 0.0 else table.number(path, first)
        function = fem.Function(fem.functionspace(self.domain.mesh, ("Lagrange", self.table.degree)))
        values = placed_values(path, self.domain, function.function_space, places, outside)
        function.x.array[: values.size] = values
        function.x.scatter_forward()
        return function

    def _conditions(self, path: str, table: SpeciesTable) -> tuple[Condition, ...]:
        found = []
        for boundary, entry in table.boundary.items():
            self.domain.boundary(boundary, path)
            condition = _condition(boundary, entry, table, f"{path}.{boundary}", self.domain.dimension)
            if condition is not None:
                found.append(condition)
        return tuple(found)

    def _sources(self, name: str) -> tuple[Any, ...]:
        from homfem.macro.stimulus import Stimulus

        found = []
        for index, entry in enumerate(self.table.stimulus):
            fed, species = self.table.source_of(index)
            if fed == name:
                path = f"macro.{stimulus_path('stimulus', index, len(self.table.stimulus))}.amplitude"
                found.append(
                    Stimulus(
                        place=entry.place("um"),
                        amplitude=species.number(path, entry.amplitude, "1/s"),
                        schedule=entry.schedule("s"),
                    )
                )
        return tuple(found)

    def method(self) -> Method:
        """Return how it is solved."""
        from homfem.macro.reaction_diffusion import Method

        table = self.table
        if table.steady:
            return Method(splitting="implicit", stabilization=table.stabilization, positivity=table.positivity)
        return Method(
            splitting=table.time.splitting,
            subcycles=table.time.subcycles,
            scheme=table.time.scheme,
            stabilization=table.stabilization,
            positivity=table.positivity,
        )


def _source_keys(table: ReactionDiffusionTable) -> dict[str, str]:
    """Return the keys of the sources by the names of the arguments that they become."""
    keys: dict[str, str] = {}
    count = dict.fromkeys(table.species, 0)
    for index in range(len(table.stimulus)):
        name = table.source_of(index)[0]
        path = stimulus_path("stimulus", index, len(table.stimulus))
        argument = f"species.{name}.sources[{count[name]}]"
        keys |= {f"{argument}.{key}": f"{path}.{key}" for key in ("centre", "radius", "min", "max", "region")}
        count[name] += 1
    return keys


def _reaction_keys(table: ReactionDiffusionTable, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of parameters that differ by region, by the names of the arguments that they become."""
    keys: dict[str, str] = {}
    for argument, given in parameters.items():
        index, name, several = 0, argument, len(table.reaction) > 1
        if several:
            label, _, name = argument.partition("_")
            index = int(label.removeprefix("reaction"))
        path = stimulus_path("reaction", index, len(table.reaction))
        path += ".parameters" if table.reaction[index].name is None else ""
        keys[f"parameters.{argument}"] = f"{path}.{name}"
        keys |= {f"parameters.{argument}.{region}": f"{path}.{name}.{region}" for region in given}
    return keys


def _speeds(given: Any, dimension: int) -> Any:
    if isinstance(given, FunctionTable):
        return given.function("um/s", dimension=dimension, timed=False)
    if isinstance(given, dict):
        return {region: _speeds(speeds, dimension) for region, speeds in given.items()}
    return None if given is None else [speed.to("um/s") for speed in given]


def _condition(
    boundary: str, table: BoundaryTable, species: SpeciesTable, path: str, dimension: int
) -> Condition | None:
    from homfem.macro.conditions import Dirichlet, Neumann, Outflow, Robin

    if table.type is not None:
        return Outflow(boundary=boundary) if table.type == "outflow" else None

    def value(key: str, per: str = "") -> Any:
        return species.value(f"{path}.{key}", getattr(table, key), per, dimension=dimension)

    if table.transfer is not None:
        outside = 0.0 if table.outside is None else value("outside")
        return Robin(boundary=boundary, coefficient=table.transfer.to("um/s"), ambient=outside)
    if table.flux is not None:
        return Neumann(boundary=boundary, flux=_in_pulses(value("flux", "um/s"), table))
    return Dirichlet(boundary=boundary, value=_in_pulses(value("value"), table))


def _in_pulses(value: Any, table: BoundaryTable) -> Any:
    """Return a number or function of place and time, or one that is zero while the schedule is off."""
    from homfem.macro.conditions import Pulsed

    if not table.timed:
        return value
    return Pulsed(value=value, schedule=table.schedule("s"))


def run_table(config: Config, table: ReactionDiffusionTable, comm: MPI.Comm, *, resume: bool, drawn: bool) -> MacroRun:
    """Run the model and write its fields and checkpoints; collective."""
    name = table.threshold_field
    given = table.output.threshold
    threshold = None if given is None else table.species[name].number("threshold", given)
    units = ModelUnits(told=table.time_unit)
    with marching(config, table, comm, units=units, title="reaction-diffusion", resume=resume, drawn=drawn) as run:
        made = _Made(config, table, comm)
        with keys_under("macro", _KEYS):
            problem = made.problem()
        shown = run.shown(name)
        watching = run.watch(shown, problem.domain, front=name)
        own = _source_keys(table) | _reaction_keys(table, problem.parameters)
        with keys_under("macro", _KEYS | run.keys | own):
            level = None if threshold is None else (name, threshold)
            result = _solved(run, made, problem, level, watching)
        write_activation(shown, result.activation, float(result.times[-1]), "s")
    moved = transport(config, made.tensors.get(name), speed=_largest_speed(problem, name))
    facts = run.facts(result, watching, field=name, threshold=threshold, moved=moved) | _report(made, result)
    unit = table.units[name]
    label = f"{name} ({unit})" if unit else name
    return run.run(result, watching, facts, label=label, warnings=tensor_warnings(made.tensors))


def _largest_speed(problem: ReactionDiffusion, name: str) -> float | None:
    """Return how fast a species is carried, um/s, where that is one velocity; None where nothing carries it."""
    velocity = next(one.velocity for one in problem.species if one.name == name)
    if not isinstance(velocity, Sequence) or not all(isinstance(entry, (int, float)) for entry in velocity):
        return None
    return float(np.linalg.norm(np.asarray(velocity, dtype=np.float64)))


def _solved(
    run: Marching, made: _Made, problem: ReactionDiffusion, threshold: tuple[str, float] | None, watching: Watch
) -> ReactionDiffusionResult:
    """March, or solve for the state at rest; collective."""
    from homfem.macro.reaction_diffusion import run_reaction_diffusion, solve_at_rest

    table = made.table
    if table.steady:
        return solve_at_rest(problem, made.method(), observers=watching.observers)
    options = run.options(*watching.observers)
    return run_reaction_diffusion(problem, table.time.grid(), made.method(), threshold=threshold, **options)


def _report(made: _Made, result: ReactionDiffusionResult) -> dict[str, Any]:
    """Return what is said of a run of this model beside what is of any."""
    table = made.table
    dimension = made.domain.dimension
    length = f"um^{dimension}" if dimension > 1 else "um"
    amounts = {name: f"{own} {length}".strip() for name, own in table.units.items()}
    extrema = {
        f"{name}_range": {
            "smallest": float(result.numbers[f"{name} minimum"].min()),
            "largest": float(result.numbers[f"{name} maximum"].max()),
        }
        for name in table.species
    }
    return {
        "model": "reaction-diffusion",
        **extrema,
        "conserved": [
            {
                "name": entry.name,
                "start": entry.start,
                "drift": entry.drift,
                "unit": amounts[next(name for name in amounts if name in entry.name.split())],
            }
            for entry in result.conserved
        ],
        "iterations": int(result.numbers["iterations"].sum()),
        **control_facts(result.numbers, 1.0 if table.steady else conversion_factor("s", table.time.end.unit)),
        "units": {"time": table.time_unit, **table.units},
        "total": {name: result.numbers[f"{name} amount"].tolist() for name in table.species},
        "maximum": {name: result.numbers[f"{name} maximum"].tolist() for name in table.species},
        "minimum": {name: result.numbers[f"{name} minimum"].tolist() for name in table.species},
        "tensors": {name: tensor.to_dict() for name, tensor in made.tensors.items()},
    }
