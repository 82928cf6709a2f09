"""The cardiac model from the tables of a config."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config import Config
from homfem.config.models.cardiac import CardiacTable
from homfem.parameters import InputError
from homfem.quantities import conversion_factor
from homfem.runs.cardiac_problem import KEYS, Made, exchanged, make_problem, method_of
from homfem.runs.keys import keys_under
from homfem.runs.macroscale import MacroRun
from homfem.runs.marching import ModelUnits, marching, tensor_warnings
from homfem.runs.watching import Shown, write_map

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.macro.action_potentials import ActionPotentials
    from homfem.macro.cardiac import CardiacProblem, CardiacResult
    from homfem.macro.leads import LeadSeries

#: No front in a heart is faster, mm/ms.
FASTEST = 5.0
#: Velocities are those of fronts that began, and will end, at least so long a way off, ms.
FORGOTTEN = 2.0


def run_table(config: Config, table: CardiacTable, comm: MPI.Comm, *, resume: bool, drawn: bool) -> MacroRun:
    """Run the model and write its fields and checkpoints; collective."""
    from homfem.macro.action_potentials import ActionPotentials
    from homfem.macro.cardiac import solve_cardiac

    units = ModelUnits(length="mm", time="ms", told=table.time.end.unit)
    with marching(config, table, comm, units=units, title="cardiac", resume=resume, drawn=drawn) as run:
        made = make_problem(config, table, comm)
        unit = made.problem.membrane.fields[0].unit
        level = table.output.level(unit)
        shown = run.shown("V", table.output.fields or (("V",) if table.kind == "monodomain" else ("V", "phi_e")))
        watching = run.watch(shown, made.problem.domain, front="V")
        beats = ActionPotentials("V", level, levels=table.output.apd, beats=2) if table.output.apd else None
        ecg = _ecg(table, made.problem, run.folder)
        with keys_under("macro", KEYS | run.keys | made.keys):
            result = solve_cardiac(
                made.problem,
                table.time.grid("ms"),
                method_of(table),
                threshold=level,
                **run.options(*watching.observers, beats, ecg),
            )
        durations = _write_maps(shown, table, result, beats)
    facts = run.facts(result, watching, field="V", threshold=level) | _report(table, made, result, level) | durations
    if ecg is not None:
        facts["ecg"] = {name: ecg.values(name).tolist() for name in ecg.leads.names}
    warnings = (
        *exchanged(made.problem),
        *_without_front(made.problem, result, level),
        *tensor_warnings(made.tensors),
    )
    return run.run(result, watching, facts, label=f"V ({unit})" if unit else "V", warnings=warnings)


def _ecg(table: CardiacTable, problem: CardiacProblem, folder: Path) -> LeadSeries | None:
    """Return what records the electrocardiogram: the electrodes, and the leads that those of the limbs give."""
    from homfem.macro.cardiac.electrodes import cardiac_ecg
    from homfem.macro.leads import LIMBS, Leads, LeadSeries, standard_leads

    if table.ecg is None:
        return None
    section = table.ecg.section
    spaces = {name: f"macro.tensors.{name}" for name in ("intracellular", "extracellular")}
    with keys_under("macro.ecg", {"bath": "conductivity"} | spaces):
        table.ecg.check(problem.domain.dimension)
        electrodes = cardiac_ecg(
            problem,
            table.ecg.places(),
            bath=table.ecg.conductivity.to("mS/mm"),
            method=method_of(table),
            section=None if section is None else section.to("mm" if problem.domain.dimension == 2 else "mm^2"),
        )
    shown = electrodes
    if set(LIMBS) <= set(electrodes.names):
        # An electrode of the chest and its lead have one name: that of the lead counts.
        leads = electrodes.combined(standard_leads(electrodes.names))
        alone = [k for k, name in enumerate(electrodes.names) if name not in leads.names]
        names = (*leads.names, *(electrodes.names[k] for k in alone))
        shown = Leads(comm=leads.comm, names=names, weights=np.vstack([leads.weights, electrodes.weights[alone]]))
    return LeadSeries(shown, path=folder / "ecg", name="ecg")


def _write_maps(
    shown: Shown, table: CardiacTable, result: CardiacResult, beats: ActionPotentials | None
) -> dict[str, Any]:
    """Write the maps of activation and of action potential durations; return what is told of these. Collective."""
    end = float(result.times[-1])
    if result.activation is not None:
        write_map(shown, "activation", [result.activation], end, "ms")
    if beats is None:
        return {}
    maps = {level: _last_durations(beats, level) for level in table.output.apd}
    write_map(shown, "apd", list(maps.values()), end, "ms")
    return {"apd": {f"{level:g}": _spread(function) for level, function in maps.items()}}


def _without_front(problem: CardiacProblem, result: CardiacResult, level: float) -> list[str]:
    """Return a warning of stimuli after which no place is active; collective."""
    pulses = [entry.schedule for entry in (*problem.stimuli, *problem.intracellular_sources)]
    if not pulses or result.activation is None or _spread(result.activation)["mean"] is not None:
        return []
    unit, end = problem.membrane.fields[0].unit, float(result.times[-1])
    first = min(entry.start for entry in pulses)
    why = f"the largest V is {float(result.numbers['V maximum'].max()):.4g}, the threshold {level:g} {unit}".rstrip()
    if first >= end:
        why = f"the first pulse begins at {first:g} ms, and the run ends at {end:g} ms"
    return [f"macro.stimulus: no place becomes active: {why}."]


def _last_durations(beats: ActionPotentials, level: float) -> Any:
    """Return the durations of the last beat of each node that has one: at the end the next may be under way."""
    function, before = beats.duration(level), beats.duration(level, beat=-2)
    function.x.array[:] = np.where(np.isnan(function.x.array), before.x.array, function.x.array)
    return function


def _velocity(problem: CardiacProblem, result: CardiacResult) -> dict[str, float | int | None]:
    """Return the mean speed of the front, and where it runs along and across fibres (mm/ms), and of how many cells.

    Over the cells that it passes as a front by itself: not those that are active by the end of the first pulse, or
    activated faster than 5 mm/ms, nor those nearer than :data:`FORGOTTEN` to these or to a boundary that it meets head
    on. Collective.
    """
    from homfem.macro.conduction import conduction_velocity

    found: dict[str, float | int | None] = dict.fromkeys(("mean", "along_fibres", "across_fibres"))
    found |= {"cells": 0, "cells_in_all": 0}
    if result.activation is None:
        return found
    pulses = [entry.schedule for entry in (*problem.stimuli, *problem.intracellular_sources)]
    begun = min((entry.start + entry.duration for entry in pulses), default=-np.inf)
    velocity = conduction_velocity(result.activation, after=begun, fastest=FASTEST, clear=FORGOTTEN)
    found["cells_in_all"] = velocity.cells
    frame = problem.domain.fibres
    asked: dict[str, Any] = {"mean": velocity.over_all}
    if frame is not None:
        asked["along_fibres"] = lambda: velocity.along(frame.fibre)
        asked["across_fibres"] = lambda: velocity.across(frame.fibre)
    for name, speed in asked.items():
        with contextlib.suppress(InputError):  # the front runs nowhere so
            front = speed()
            found[name] = front.mean
            if name == "mean":
                found["cells"] = front.cells
    return found


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


def _report(table: CardiacTable, made: Made, result: CardiacResult, level: float) -> dict[str, Any]:
    """Return what is said of a run of this model beside what is of any."""
    unit = table.time.end.unit
    per_time = conversion_factor("ms", unit)
    active = _spread(result.activation) if result.activation is not None else {}
    potential = made.problem.membrane.fields[0].unit
    return {
        "model": "cardiac",
        "kind": table.kind,
        "membrane": made.problem.membrane.name,
        "V_range": {
            "smallest": float(result.numbers["V minimum"].min()),
            "largest": float(result.numbers["V maximum"].max()),
        },
        "activation": {key: None if value is None else per_time * value for key, value in active.items()},
        "velocity": _velocity(made.problem, result),
        "conserved": [],
        "iterations": sum(result.iterations.values()),
        "iterations_by_stage": dict(result.iterations),
        "units": {
            "time": unit,
            "V": potential,
            "phi_e": potential,
            "length": "mm",
            "apd": "ms",
            "activation": unit,
            "velocity": "mm/ms",
            "threshold": potential,
            "ecg": "mV",
        },
        "threshold": level,
        "maximum": {"V": result.numbers["V maximum"].tolist()},
        "minimum": {"V": result.numbers["V minimum"].tolist()},
        "tensors": {name: tensor.to_dict() for name, tensor in made.tensors.items()},
        **({"tuning": made.tuning} if made.tuning else {}),
    }
