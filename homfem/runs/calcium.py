"""The calcium bidomain model from the tables of a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config import Config
from homfem.config.models.calcium import CalciumTable, StimulusTable
from homfem.config.models.macro_table import Taken, take_tensor
from homfem.config.models.stimulus import stimulus_path
from homfem.kinds import DIFFUSION
from homfem.parameters import Array, InputError
from homfem.progress import progress_bar
from homfem.quantities import conversion_factor
from homfem.runs.buffers import make_buffers
from homfem.runs.calcium_parts import make_fluxes, make_ip3, make_sources, make_species, tensors_by_region, with_regions
from homfem.runs.domains import make_domain, with_fibres
from homfem.runs.folders import run_folder
from homfem.runs.keys import keys_under
from homfem.runs.macroscale import MacroRun
from homfem.runs.marching import control_facts
from homfem.runs.outcome import Outcome
from homfem.runs.phases import phase_tensors
from homfem.runs.scales import transport, with_scales
from homfem.runs.watching import Shown, probe_keys, probe_report, watch, write_activation
from homfem.tensors import EffectiveTensor

if TYPE_CHECKING:
    from dolfinx.fem import Function
    from mpi4py import MPI

    from homfem.kinetics.calcium import CalciumKinetics, MembraneKinetics
    from homfem.macro.calcium import CalciumProblem, CalciumResult
    from homfem.macro.domain import Domain
    from homfem.macro.probes import Probes


def make_problem(config: Config, table: CalciumTable, comm: MPI.Comm) -> CalciumProblem:
    """Return the calcium problem of a config; collective."""
    from homfem.macro.calcium import CalciumProblem

    with keys_under("macro.domain"):
        domain = make_domain(table.domain, comm, config.folder)
    if table.fibres is not None:
        with keys_under("macro.fibres"):
            domain = with_fibres(domain, table.fibres, config.folder)
    domain = with_regions(domain, table.regions)
    rise = _rise(domain, table.stimulus)
    sources = make_sources(table, domain.dimension)
    compute = phase_tensors(config, comm)

    def default(name: str) -> EffectiveTensor:
        taken = Taken(
            phase=name, kind=DIFFUSION, unit="um^2/s", dimension=domain.dimension, folder=config.folder, compute=compute
        )
        with keys_under(f"macro.tensors.{name}"):
            return take_tensor(getattr(table.tensors, name), taken)

    phases = {name: getattr(table.tensors, name) for name in ("cytosol", "er")}
    buffers = make_buffers(config, table.buffers, phases, dimension=domain.dimension, compute=compute)
    parts = tensors_by_region(config, table, domain, default, compute)
    start = _start(table, parts, config.folder)
    with keys_under("macro", keys_of(table)):
        return CalciumProblem(
            mesh=domain,
            **parts,
            kinetics=start.kinetics,
            ip3=make_ip3(table),
            initial_cytosol=start.cytosol if rise is None else _raised(start.cytosol, rise),
            initial_er=start.er,
            # A stimulus comes too quickly for the receptors to follow: they start as before it.
            initial_states=start.states,
            density=table.kinetics.density,
            buffers=buffers,
            fluxes=make_fluxes(table.fluxes),
            sources=sources,
            species=make_species(table, domain.dimension, start.cytosol),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Start:
    """The kinetics with the state of rest, or another one at the start, of a tissue without a stimulus."""

    kinetics: MembraneKinetics | CalciumKinetics
    cytosol: float
    er: float
    states: Mapping[str, float]


def _start(table: CalciumTable, parts: Mapping[str, Any], folder: Path) -> _Start:
    """Return the kinetics of the first region with ER, and the start."""
    from homfem.kinetics import li_rinzel, membrane_from_rates, resting_state
    from homfem.kinetics.calcium import Geometry, membrane_kinetics, on_membrane

    of: dict[str, Any] = {}
    for name in ("er", "cytosol", "interface_area"):
        of[name] = parts[name]
        if isinstance(of[name], Mapping):
            of[name] = of[name][next(iter(parts["er"]))]
    shares = {f"{name}_fraction": of[name].active_fraction for name in ("cytosol", "er")}
    ip3, initial = table.kinetics.level, table.initial
    given = None
    if initial.cytosol is not None and initial.er is not None:
        given = initial.cytosol.to("uM"), initial.er.to("uM")
    if table.kinetics.by_name:
        with keys_under("macro.kinetics"):
            named = table.kinetics.named(folder)
        geometry = Geometry(er_area=of["interface_area"], **shares)
        membrane = membrane_kinetics(on_membrane(named, geometry))
        cytosol, er = given or (named.start["cytosol"], named.start["er"])
        found: dict[str, float] = {}
        if membrane is not None and membrane.rest is not None and membrane.states:
            reads = any(entry.name == "ip3" for entry in membrane.parameters)
            p = membrane.values({"ip3": ip3} if reads else {})
            values = membrane.rest([np.array([cytosol]), np.array([er])], p)[:, 0]
            found = {state.name: float(value) for state, value in zip(membrane.states, values, strict=True)}
        return _Start(kinetics=named, cytosol=cytosol, er=er, states=found)
    rates = table.kinetics.rates()
    with keys_under("macro.tensors"):
        transporters = membrane_from_rates(rates, interface_area=of["interface_area"], **shares)
    if given is None:
        rest = resting_state(transporters, total=shares["cytosol_fraction"] * rates.c0, ip3=ip3, **shares)
        given = rest.cytosol, rest.er
    kinetics = li_rinzel(transporters)
    states = kinetics.steady(np.array([given[0]]), np.array([given[1]]), ip3)[:, 0]
    named_states = {name: float(states[row]) for row, name in enumerate(kinetics.states)}
    return _Start(kinetics=kinetics, cytosol=given[0], er=given[1], states=named_states)


def keys_of(table: CalciumTable) -> dict[str, str]:
    """Return the keys of the config by the names of the arguments that they become."""
    keys = dict(_KEYS)
    if table.regions:
        keys |= {"cytosol": "regions", "er": "regions", "interface_area": "regions"}
    for name, entries in (("fluxes", table.fluxes), ("sources", table.sources)):
        if len(entries) == 1:
            keys[f"{name}[0]"] = name
    for k, entry in enumerate(table.sources):
        if entry.at is not None:
            keys[f"sources[{k}].place"] = f"{stimulus_path('sources', k, len(table.sources))}.at"
    return keys


# Keys of the config by the names of the arguments that they become.
_KEYS = {
    "cytosol": "tensors.cytosol",
    "er": "tensors.er",
    "interface_area": "tensors.interface_area",
    "ip3": "kinetics.ip3",
    "density": "kinetics.density",
    "initial_cytosol": "initial.cytosol",
    "initial_er": "initial.er",
    "mesh": "domain",
    "time": "time.step",
    "end": "time.end",
}


def _rise(domain: Domain, stimuli: Sequence[StimulusTable]) -> Function | None:
    """Return the concentration that the stimuli add at the nodes (uM), each felt by some node; None without any."""
    from dolfinx import fem

    from homfem.macro.stimulus import nodes_inside

    if not stimuli:
        return None
    rise = fem.Function(fem.functionspace(domain.mesh, ("Lagrange", 1)), name="rise")
    for index, table in enumerate(stimuli):
        path = stimulus_path("macro.stimulus", index, len(stimuli))
        try:
            inside = nodes_inside(domain, rise.function_space, table.place("um"), name=path)
        except InputError as error:
            if not error.name.endswith(".radius"):
                raise
            raise InputError(error.name, str(table.radius), error.allowed, error.remedy) from error
        rise.x.array[: inside.size][inside] += table.rise.to("uM")
    return rise


def _raised(value: float, rise: Function) -> Function:
    """Return a value and what is added to it at the nodes."""
    rise.x.array[:] += value
    rise.x.scatter_forward()
    return rise


def run_table(config: Config, table: CalciumTable, comm: MPI.Comm, *, resume: bool, drawn: bool) -> MacroRun:
    """Run the model and write its fields and checkpoints; collective."""
    from homfem.macro.calcium import run_calcium
    from homfem.macro.observers import Activation
    from homfem.output.checkpoint import CheckpointFile

    folder = config.folder / table.output.folder
    grid = table.time.grid()
    threshold = None if table.output.threshold is None else table.output.threshold.to("uM")
    with ExitStack() as stack:
        stack.enter_context(run_folder(folder, comm))
        with progress_bar("effective tensors", rank=comm.rank):
            problem = make_problem(config, table, comm)
        move = stack.enter_context(progress_bar("calcium", grid.end, rank=comm.rank, unit="s"))
        shown = Shown(
            folder=folder,
            suffix=table.output.format,
            every=table.steps("every"),
            length_unit="um",
            drawn="cytosol" if drawn else None,
            time_unit=table.time.end.unit,
        )
        watching = watch(shown, table.probes, problem.domain, move)
        watching = with_scales(watching, config, table, problem.domain, front="cytosol", every=shown.every)
        in_cytosol = table.output.threshold_field == "cytosol"
        in_er = Activation("er", None if in_cytosol else threshold, name="activation of er")
        with keys_under("macro", keys_of(table) | probe_keys(table.probes)):
            result = run_calcium(
                problem,
                grid,
                splitting=table.time.splitting,
                subcycles=table.time.subcycles,
                scheme=table.time.scheme,
                threshold=threshold if in_cytosol else None,
                observers=watching.observers if in_cytosol else (*watching.observers, in_er),
                checkpoint=CheckpointFile(folder / "checkpoint"),
                checkpoint_every=table.steps("checkpoint_every"),
                resume=resume,
            )
        activation = result.activation if in_cytosol else in_er.times
        write_activation(shown, activation, float(result.times[-1]), "s")
    tensors = [(name, tensor) for name in ("cytosol", "er") for tensor in problem.tensors(name).values()]
    moved = transport(config, problem.tensors("cytosol").get("*"), exchange=_exchange_rate(problem, result))
    scales = {} if watching.scales is None else {"scales": watching.scales(moved)}
    warnings = dict.fromkeys(f"{name}: {text}" for name, tensor in tensors for text in tensor.warnings)
    return MacroRun(
        result=result,
        facts=_report(config, table, problem, result, watching.probes, threshold) | scales,
        outcome=Outcome.DONE if result.finished else Outcome.INTERRUPTED,
        config=config,
        warnings=tuple(warnings),
        record=None if watching.record is None else watching.record.record,
        label="calcium in the cytosol (uM)",
    )


def _exchange_rate(problem: CalciumProblem, result: CalciumResult) -> float | None:
    """Return the fastest rate at which the membrane changes c, 1/s, over the range of c of a run; None if not known."""
    from homfem.kinetics.calcium import MembraneKinetics

    kinetics, ip3, er = problem.kinetics, problem.ip3, problem.initial_er
    if not isinstance(kinetics, MembraneKinetics) or not isinstance(ip3, float) or not isinstance(er, float):
        return None
    ends = max(float(result.minimum.min()), 0.0), float(result.maximum.max()) + 1e-9
    c: Array = np.linspace(*ends, 201, dtype=np.float64)
    e: Array = np.full_like(c, er)
    states = np.repeat(kinetics.steady(c[:1], e[:1], ip3), len(c), axis=1)
    slope = float(np.abs(np.gradient(kinetics.flux(c, e, states, ip3), c)).max())
    fraction = min(tensor.active_fraction for tensor in problem.tensors("cytosol").values())
    return slope * max(problem.areas().values()) / fraction


def _report(
    config: Config,
    table: CalciumTable,
    problem: CalciumProblem,
    result: CalciumResult,
    probes: Probes | None,
    threshold: float | None,
) -> dict[str, Any]:
    """Return what is said of a run; times are in the unit of its end."""
    from homfem.certify import versions

    unit = table.time.end.unit
    per_time = conversion_factor("s", unit)
    times = [per_time * float(time) for time in result.times]
    total = f"uM um^{problem.domain.dimension}"
    return {
        "model": "calcium",
        "finished": result.finished,
        "end": times[-1],
        "steps": len(result.times) - 1,
        "cytosol_range": {"smallest": float(result.minimum.min()), "largest": float(result.maximum.max())},
        "drift": result.drift,
        "conserved": [{"name": "calcium", "start": float(result.total[0]), "drift": result.drift, "unit": total}],
        "dofs": result.dofs,
        "iterations": int(result.iterations.sum()),
        "ranks": result.ranks,
        "seconds": dict(result.seconds),
        "versions": versions(),
        "units": {"time": unit, "total": total} | dict.fromkeys(result.fields, "uM"),
        "times": times,
        **control_facts(result.control, per_time),
        "total": result.total.tolist(),
        "brought": {name: values.tolist() for name, values in result.brought.items()},
        "maximum": result.maximum.tolist(),
        "minimum": result.minimum.tolist(),
        "probes": probe_report(
            probes, table.probes, field=table.output.threshold_field, threshold=threshold, per_time=per_time
        ),
        "tensors": {name: _told(problem.tensors(name)) for name in ("cytosol", "er")},
        "config": config.document,
    }


def _told(tensors: Mapping[str, EffectiveTensor]) -> dict[str, Any]:
    """Return a tensor as data, or those of the regions by name."""
    if set(tensors) == {"*"}:
        return tensors["*"].to_dict()
    return {region: tensor.to_dict() for region, tensor in tensors.items()}
