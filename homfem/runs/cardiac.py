"""The cardiac model from the tables of a config."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config import Config
from homfem.config.models.cardiac import CardiacTable, ElectrodeTable
from homfem.config.models.conductivities import AlongFibres
from homfem.config.models.macro_table import Taken, take_tensor
from homfem.config.models.stimulus import stimulus_path
from homfem.kinds import CONDUCTIVITY
from homfem.parameters import InputError
from homfem.progress import progress_bar
from homfem.quantities import Quantity, conversion_factor
from homfem.runs.domains import make_domain, with_fibres
from homfem.runs.folders import run_folder
from homfem.runs.keys import keys_under
from homfem.runs.macroscale import MacroRun
from homfem.runs.outcome import Outcome
from homfem.runs.phases import phase_tensors
from homfem.runs.watching import Shown, Watch, probe_keys, probe_report, watch, write_map

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.macro.action_potentials import ActionPotentials
    from homfem.macro.cardiac import CardiacMethod, CardiacProblem, CardiacResult
    from homfem.tensors import EffectiveTensor

# Keys of the config by the names of the arguments that they become.
_KEYS = {
    "mesh": "domain", "step": "time.step", "end": "time.end", "scheme": "time.scheme", "splitting": "time.splitting",
    "intracellular": "tensors.intracellular", "extracellular": "tensors.extracellular", "bath": "tensors.bath",
    "conductivity": "tensors.conductivity", "area": "membrane.area", "capacitance": "membrane.capacitance",
    "parameters": "membrane.parameters", "start": "membrane.initial", "membrane": "membrane.model",
    "ionic": "membrane.scheme",
    "fields": "output.fields", "threshold": "output.threshold", "levels": "output.apd",
}  # fmt: skip
#: Arguments of the problem by the space into which a current flows.
_CURRENTS = {
    "membrane": "stimuli",
    "intracellular": "intracellular_sources",
    "extracellular": "extracellular_sources",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Made:
    """What the tables of a config become."""

    problem: CardiacProblem
    tensors: dict[str, EffectiveTensor]
    keys: dict[str, str]


def _make(config: Config, table: CardiacTable, comm: MPI.Comm) -> _Made:
    """Return the problem; collective."""
    from homfem.macro.cardiac import CardiacProblem

    with keys_under("macro.domain"):
        domain = make_domain(table.domain, comm, config.folder, "mm")
    if table.fibres is not None:
        with keys_under("macro.fibres"):
            domain = with_fibres(domain, table.fibres, config.folder)
    kept: dict[str, EffectiveTensor] = {}
    spaces = _spaces(config, table, comm, domain.dimension, kept)
    with keys_under("macro.membrane"):
        kinetics = table.membrane.kinetics(config.folder)
        parameters, start = table.membrane.numbers(kinetics)
    for k, electrode in enumerate(table.electrodes):
        domain.boundary(electrode.boundary, f"macro.{stimulus_path('electrodes', k, len(table.electrodes))}.boundary")
    currents, keys = _currents(table)
    with keys_under("macro", _KEYS):
        problem = CardiacProblem(
            mesh=domain,
            kind=table.kind,  # type: ignore[arg-type]  # checked by the table
            membrane=kinetics,
            parameters=parameters,
            start=start,
            area=_area(table, kept),
            capacitance=_numbers(table.membrane.capacitance, "uF/mm^2"),
            bath=_numbers(table.tensors.bath, "mS/mm") if table.tensors.bath is not None else {},
            electrodes=[_electrode(electrode) for electrode in table.electrodes],
            **spaces,
            **currents,
        )
    return _Made(problem=problem, tensors=kept, keys=keys)


def _spaces(
    config: Config, table: CardiacTable, comm: MPI.Comm, dimension: int, kept: dict[str, EffectiveTensor]
) -> dict[str, Any]:
    """Return the tensors by argument, also by region; those that are effective tensors are kept. Collective."""
    compute = phase_tensors(config, comm)

    def tensor(path: str, entry: Any) -> Any:
        if isinstance(entry, AlongFibres):
            return entry.matrix(dimension)
        if isinstance(entry, Quantity):
            return entry.to("mS/mm")
        taken = Taken(
            phase=path, kind=CONDUCTIVITY, unit="mS/mm", dimension=dimension, folder=config.folder, compute=compute
        )
        with keys_under(f"macro.tensors.{path}"):
            kept[path] = take_tensor(entry, taken)
        return kept[path]

    found: dict[str, Any] = {}
    for name, source in table.tensors.spaces.items():
        if isinstance(source, dict):
            found[name] = {region: tensor(f"{name}.{region}", entry) for region, entry in source.items()}
        else:
            found[name] = tensor(name, source)
    return found


def _numbers(given: Any, unit: str) -> Any:
    if isinstance(given, dict):
        return {region: entry.to(unit) for region, entry in given.items()}
    return given.to(unit)


def _area(table: CardiacTable, tensors: dict[str, EffectiveTensor]) -> Any:
    """Return the area of the membrane per volume, 1/mm: as given, or as the tensors tell alike."""
    if table.membrane.area is not None:
        return _numbers(table.membrane.area, "1/mm")
    told = {
        path: tensor.interface_area * conversion_factor(f"1/{tensor.length_unit}", "1/mm")
        for path, tensor in tensors.items()
        if tensor.interface_area
    }
    values = list(told.values())
    if not values or not np.allclose(values, values[0], rtol=1e-6):
        allowed = f"given, as tensors tell {told}" if told else "given: no tensor tells the area of an interface"
        raise InputError("area", table.membrane.area, allowed)
    return values[0]


def _currents(table: CardiacTable) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Return the stimuli by argument, and the keys of the config by the names of their arguments."""
    from homfem.macro.stimulus import Stimulus

    found: dict[str, list[Any]] = {name: [] for name in _CURRENTS.values()}
    keys: dict[str, str] = {}
    for k, entry in enumerate(table.stimulus):
        argument = _CURRENTS[entry.current]
        keys[f"{argument}[{len(found[argument])}]"] = stimulus_path("stimulus", k, len(table.stimulus))
        found[argument].append(
            Stimulus(place=entry.place("mm"), amplitude=entry.amplitude.to("uA/mm^3"), schedule=entry.schedule("ms"))
        )
    electrodes = {
        f"electrodes[{k}]": stimulus_path("electrodes", k, len(table.electrodes)) for k in range(len(table.electrodes))
    }
    return found, keys | electrodes


def _electrode(table: ElectrodeTable) -> Any:
    from homfem.macro.conditions import Dirichlet, Neumann, Pulsed

    value = 0.0
    if table.potential is not None:
        value = table.potential.to("mV")
    elif table.current is not None:
        value = table.current.to("uA/mm^2")
    given: Any = value
    if table.timed:
        given = Pulsed(value=value, schedule=table.schedule("ms"))
    if table.current is not None:
        return Neumann(boundary=table.boundary, flux=given)
    return Dirichlet(boundary=table.boundary, value=given)


def _method(table: CardiacTable) -> CardiacMethod:
    """Return how it is solved."""
    from homfem.macro.cardiac import CardiacMethod

    time = table.time
    return CardiacMethod(
        splitting=time.splitting,
        scheme=time.scheme,
        coupling=time.coupling,
        ionic=table.membrane.scheme,
        subcycles=time.subcycles,
        degree=table.degree,
        mass=table.mass,
    )


def _threshold(table: CardiacTable, unit: str) -> float:
    """Return the threshold of V in its unit: by default 0 mV, of a model without units half of 1."""
    given = table.output.threshold
    if given is None:
        return 0.0 if unit else 0.5
    if isinstance(given, Quantity) != bool(unit):
        allowed = "a voltage, such as '0 mV'" if unit else "a number: the model has V without a unit"
        raise InputError("macro.output.threshold", str(given), allowed)
    return given.to(unit) if isinstance(given, Quantity) else float(given)


def run_table(config: Config, table: CardiacTable, comm: MPI.Comm, *, resume: bool, drawn: bool) -> MacroRun:
    """Run the model and write its fields and checkpoints; collective."""
    from homfem.macro.action_potentials import ActionPotentials
    from homfem.macro.cardiac import solve_cardiac
    from homfem.output.checkpoint import CheckpointFile

    folder = config.folder / table.output.folder
    with ExitStack() as stack:
        stack.enter_context(run_folder(folder, comm))
        made = _make(config, table, comm)
        unit = made.problem.membrane.fields[0].unit
        level = _threshold(table, unit)
        grid = table.time.grid("ms")
        move = stack.enter_context(progress_bar("cardiac", grid.end, rank=comm.rank, unit="ms"))
        shown = Shown(
            folder=folder,
            suffix=table.output.format,
            every=table.steps("every"),
            length_unit="mm",
            drawn="V" if drawn else None,
            time_unit=table.time.end.unit,
            fields=table.output.fields or (("V",) if table.kind == "monodomain" else ("V", "phi_e")),
        )
        watching = watch(shown, table.probes, made.problem.domain, move)
        beats = ActionPotentials("V", level, levels=table.output.apd) if table.output.apd else None
        with keys_under("macro", _KEYS | probe_keys(table.probes) | made.keys):
            result = solve_cardiac(
                made.problem,
                grid,
                _method(table),
                threshold=level,
                checkpoint=CheckpointFile(folder / "checkpoint"),
                checkpoint_every=table.steps("checkpoint_every"),
                resume=resume,
                observers=[*watching.observers, *([] if beats is None else [beats])],
            )
        durations = _write_maps(shown, table, result, beats)
    return MacroRun(
        result=result,
        facts=_report(config, table, made, result, watching, level) | durations,
        outcome=Outcome.DONE if result.finished else Outcome.INTERRUPTED,
        config=config,
        warnings=(
            *_swapped(made.problem),
            *(f"{at}: {text}" for at, tensor in made.tensors.items() for text in tensor.warnings),
        ),
        record=None if watching.record is None else watching.record.record,
        label=f"V ({unit})" if unit else "V",
    )


def _swapped(problem: CardiacProblem) -> list[str]:
    """Return warnings of spaces that look exchanged.

    Of all measured sets the intracellular conductivity is the smaller one across the fibres, and the more anisotropic
    one (Roth 1997, doi 10.1109/10.650887).
    """
    from homfem.macro.coefficients import tensor_values

    d, told = problem.domain.dimension, []
    if d < 2 or problem.intracellular is None or problem.extracellular is None:
        return []
    inner, outer = (
        tensor_values(name, getattr(problem, name), CONDUCTIVITY, unit="mS/mm", dimension=d)
        for name in ("intracellular", "extracellular")
    )
    for region in inner.keys() & outer.keys():
        inside, outside = inner[region], outer[region]
        if inside[1, 1] > outside[1, 1] and inside[0, 0] / inside[1, 1] < outside[0, 0] / outside[1, 1]:
            where = f" of {region}" if region != "*" else ""
            told.append(
                f"macro.tensors: the intracellular conductivity{where} is larger across the fibres and less "
                "anisotropic than the extracellular one: are they exchanged?"
            )
    return told


def _write_maps(
    shown: Shown, table: CardiacTable, result: CardiacResult, beats: ActionPotentials | None
) -> dict[str, Any]:
    """Write the maps of activation and of action potential durations; return what is told of these. Collective."""
    end = float(result.times[-1])
    if result.activation is not None:
        write_map(shown, "activation", [result.activation], end, "ms")
    if beats is None:
        return {}
    maps = {level: beats.duration(level) for level in table.output.apd}
    write_map(shown, "apd", list(maps.values()), end, "ms")
    return {"apd": {f"{level:g}": _spread(function) for level, function in maps.items()}}


def _spread(function: Any) -> dict[str, float | None]:
    """Return the extrema and the mean over the nodes of a map in ms, null where no node has a value; collective."""
    comm, owned = function.function_space.mesh.comm, function.function_space.dofmap.index_map.size_local
    values = function.x.array[:owned]
    values = values[np.isfinite(values)]
    found = comm.allgather((values.size, float(values.sum()), values.min(initial=np.inf), values.max(initial=-np.inf)))
    count = sum(entry[0] for entry in found)
    if not count:
        return {"smallest": None, "mean": None, "largest": None}
    return {
        "smallest": float(min(entry[2] for entry in found)),
        "mean": sum(entry[1] for entry in found) / count,
        "largest": float(max(entry[3] for entry in found)),
    }


def _report(
    config: Config, table: CardiacTable, made: _Made, result: CardiacResult, watching: Watch, level: float
) -> dict[str, Any]:
    """Return what is said of a run; times are in the unit of its end."""
    from homfem.certify import versions

    unit = table.time.end.unit
    grid = table.time.grid(unit)
    times = [grid.time(step) for step in range(len(result.times))]
    per_time = conversion_factor("ms", unit)
    active = _spread(result.activation) if result.activation is not None else {}
    potential = made.problem.membrane.fields[0].unit
    return {
        "model": "cardiac",
        "kind": table.kind,
        "membrane": made.problem.membrane.name,
        "finished": result.finished,
        "end": times[-1],
        "steps": len(times) - 1,
        "V_range": {
            "smallest": float(result.numbers["V minimum"].min()),
            "largest": float(result.numbers["V maximum"].max()),
        },
        "activation": {key: None if value is None else per_time * value for key, value in active.items()},
        "conserved": [],
        "dofs": result.dofs,
        "iterations": sum(result.iterations.values()),
        "iterations_by_stage": dict(result.iterations),
        "ranks": result.ranks,
        "seconds": dict(result.seconds),
        "versions": versions(),
        "units": {"time": unit, "V": potential, "phi_e": potential, "length": "mm", "apd": "ms"},
        "threshold": level,
        "times": times,
        "maximum": {"V": result.numbers["V maximum"].tolist()},
        "minimum": {"V": result.numbers["V minimum"].tolist()},
        "probes": probe_report(watching.probes, table.probes, field="V", threshold=level, per_time=per_time),
        "tensors": {name: tensor.to_dict() for name, tensor in made.tensors.items()},
        "config": config.document,
    }
