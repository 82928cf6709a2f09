"""The model with resolved membranes from the tables of a config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config import Config, present
from homfem.config.models.emi import INSIDE, JUNCTION, OUTSIDE, EmiTable, check_phases
from homfem.config.models.stimulus import stimulus_path
from homfem.parameters import Array, InputError
from homfem.quantities import Quantity, conversion_factor
from homfem.ranks import collective
from homfem.runs.cells import build_cell
from homfem.runs.keys import keys_under
from homfem.runs.macroscale import MacroRun
from homfem.runs.marching import ModelUnits, marching
from homfem.runs.watching import watch, write_activation

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.cells import UnitCell
    from homfem.macro.emi import CellProbes, Contact, EmiMethod, EmiProblem, EmiResult, Membrane

#: kOhm mm^2; next to nothing beside the inside of a cell, 0.1 mm long, with 0.2. Their sides stay no membrane.
LEAST = 1e-7
# Keys of the config by the names of the arguments that they become.
KEYS = {
    "step": "time.step", "end": "time.end", "order": "time.splitting", "subcycles": "time.subcycles",
    "ionic": "membrane.scheme", "conductivities": "phases", "counts": "cells", "contacts": "resistance",
    "fields": "output.fields", "field": "output.threshold",
}  # fmt: skip


def make_problem(config: Config, table: EmiTable, comm: MPI.Comm) -> EmiProblem:
    """Return the tissue of a config, periods of its cell; collective."""
    from homfem.macro.emi import EmiProblem, Held, Injected, require_tiles, tiled_domain

    cell = build_cell(config, comm)
    check_phases(cell.phases)
    _check_lattice(cell)
    joined = JUNCTION in cell.phases
    spaces = {OUTSIDE: [OUTSIDE], INSIDE: [INSIDE]}
    if joined:
        spaces[JUNCTION] = [JUNCTION]
    with keys_under("macro", KEYS):
        contacts = _contacts(cell, table, joined)
        raw = cell.raw
        with collective(comm):
            if raw is not None:
                require_tiles(raw, spaces, table.cells, table.degree)
        length = cell.length * conversion_factor(cell.length_unit, "mm")
        domain = tiled_domain(comm, raw, table.cells, length=length)
        inside = table.phases[INSIDE]
        electrodes = [(entry, {"space": entry.space, "boundary": entry.boundary}) for entry in table.electrodes]
        for k, (entry, _) in enumerate(electrodes):
            path = f"macro.{stimulus_path('electrodes', k, len(electrodes))}"
            domain.boundary(entry.boundary, f"{path}.boundary")
            if entry.space not in spaces:
                raise InputError(f"{path}.space", entry.space, "one of " + ", ".join(map(repr, spaces)))
        return EmiProblem(
            domain=domain,
            spaces=spaces,
            conductivities={name: table.phases.get(name, inside).to("mS/mm") for name in spaces},
            membrane=_membrane(config, table),
            contacts=contacts,
            held=[
                Held(
                    **at,
                    value=0.0 if entry.potential is None else entry.potential.to("mV"),
                    schedule=entry.schedule("ms") if entry.timed else None,
                )
                for entry, at in electrodes
                if entry.current is None
            ],
            injected=[
                Injected(**at, density=entry.current.to("uA/mm^2"), schedule=entry.schedule("ms"))
                for entry, at in electrodes
                if entry.current is not None
            ],
        )


def _check_lattice(cell: UnitCell) -> None:
    """Refuse a cell whose periods are not along the axes."""
    vectors = np.asarray(cell.lattice.vectors)
    if np.abs(vectors - np.diag(np.diag(vectors))).max() > 1e-9 * np.abs(vectors).max():
        raise InputError("cell", vectors.tolist(), "a cell whose period vectors are along the axes")


def _contacts(cell: UnitCell, table: EmiTable, joined: bool) -> list[Contact]:
    """Return the gap junctions: a junction of the resistance R has R/2 on each of its two faces."""
    from homfem.macro.emi import Contact

    given = table.resistance
    if not joined:
        if given is not None:
            raise InputError("resistance", str(given), f"absent for a cell without the phase {JUNCTION!r}")
        return []
    if given is None or isinstance(given, Quantity):
        one = LEAST if given is None else given.to("kohm*mm^2")
        return [Contact(first=INSIDE, second=JUNCTION, resistance=0.5 * one)]
    known = [name for name in cell.facets if name.endswith("junctions")]
    found = []
    for name, value in given.items():
        if name not in known:
            there = ", ".join(map(repr, known)) or "none has a name: give one number for all"
            raise InputError(f"resistance.{name}", str(value), f"of faces of junctions that the cell has: {there}")
        found.append(Contact(first=INSIDE, second=JUNCTION, resistance=0.5 * value.to("kohm*mm^2"), facets=name))
    return found


def _membrane(config: Config, table: EmiTable) -> Membrane:
    """Return the membrane with its stimuli."""
    from homfem.kinetics.ionic import Pacing, limit_cycle, pace
    from homfem.macro.emi import Membrane
    from homfem.macro.stimulus import Stimulus

    given = table.membrane
    with keys_under("macro.membrane", {"parameters": "parameters", "start": "initial"}):
        kinetics = given.kinetics(config.folder)
        parameters, start = given.numbers(kinetics)
        if given.pacing is not None:
            pacing, beats = Pacing(cycle_length=given.pacing.cycle_length.to("ms")), given.pacing.beats
            if beats is None:
                start = dict(limit_cycle(kinetics, pacing, parameters=parameters, start=start).start)
            else:
                start = dict(pace(kinetics, pacing, beats=beats, parameters=parameters, start=start).end)
        return Membrane(
            kinetics=kinetics,
            capacitance=given.capacitance.to("uF/mm^2"),
            inside=INSIDE,
            outside=OUTSIDE,
            parameters=parameters,
            start=start,
            stimuli=[
                Stimulus(
                    place=entry.place("mm"), amplitude=entry.amplitude.to("uA/mm^2"), schedule=entry.schedule("ms")
                )
                for entry in table.stimulus
            ],
        )


def _method(table: EmiTable) -> EmiMethod:
    from homfem.macro.emi import EmiMethod
    from homfem.timestepping import get_splitting

    return EmiMethod(
        degree=table.degree,
        order=get_splitting(table.time.splitting).order,
        ionic=table.membrane.scheme,
        subcycles=table.time.subcycles,
    )


def run_table(config: Config, table: EmiTable, comm: MPI.Comm, *, resume: bool, drawn: bool) -> MacroRun:
    """Run the model and write its fields and checkpoints; collective."""
    from homfem.macro.emi import CellProbes, solve_emi

    units = ModelUnits(length="mm", time="ms", told=table.time.end.unit)
    with marching(config, table, comm, units=units, title="emi", resume=resume, drawn=drawn) as run:
        problem = make_problem(config, table, comm)
        unit = "" if problem.membrane is None else problem.membrane.kinetics.fields[0].unit
        level = table.output.level(unit)
        shown = run.shown("potential", table.output.fields or ("potential", "V", *problem.spaces))
        watching, probes = watch(shown, (), problem.domain, run.move), None
        if table.probes:
            points = {probe.name: probe.point("mm") for probe in table.probes}
            probes = CellProbes(points, table.cells, path=run.folder / "probes")
        with keys_under("macro", KEYS | run.keys | _argument_keys(table)):
            result = solve_emi(
                problem,
                table.time.grid("ms"),
                _method(table),
                threshold=level,
                **run.options(*watching.observers, probes),
            )
        write_activation(shown, result.activation, float(result.times[-1]), "ms")
    arrival = np.concatenate(comm.allgather(result.arrival))
    facts = run.facts(result, watching, field="V", threshold=level) | _report(table, problem, result, arrival, level)
    facts["probes"] = _probed(probes, level, units.per_time)
    label = f"potential ({unit})" if unit else "potential"
    return run.run(result, watching, facts, label=label, warnings=_silent(table, result, arrival, level))


def _argument_keys(table: EmiTable) -> dict[str, str]:
    """The keys of the config by the names of the arguments that stimuli and electrodes become."""
    found = {"held": "electrodes", "injected": "electrodes"}
    for k in range(len(table.stimulus)):
        at = stimulus_path("stimulus", k, len(table.stimulus))
        found |= {f"membrane.stimuli[{k}].{key}": f"{at}.{key}" for key in ("radius", "max", "min", "centre", "region")}
    currents = [k for k, entry in enumerate(table.electrodes) if entry.current is not None]
    for number, k in enumerate(currents):
        found[f"injected[{number}]"] = stimulus_path("electrodes", k, len(table.electrodes))
    return found


def _silent(table: EmiTable, result: EmiResult, arrival: Array, level: float) -> list[str]:
    """Return a warning of stimuli after which no membrane is active."""
    if not (table.stimulus or table.electrodes) or np.isfinite(arrival).any():
        return []
    key, largest = "stimulus" if table.stimulus else "electrodes", float(result.numbers["V maximum"].max())
    return [f"macro.{key}: no membrane becomes active: the largest V is {largest:.4g}, the threshold {level:g}."]


def _probed(probes: CellProbes | None, level: float, per_time: float) -> dict[str, Any]:
    """Return the series by probe, and when V of each passed the threshold."""
    found: dict[str, Any] = {}
    if probes is None:
        return found
    for name in probes.points:
        arrival = probes.activation(name, level)
        found[name] = {field: probes.values(name, field).tolist() for field in probes.kept}
        found[name]["activation"] = per_time * arrival if np.isfinite(arrival) else None
    return found


def _report(table: EmiTable, problem: EmiProblem, result: EmiResult, arrival: Array, level: float) -> dict[str, Any]:
    """Return what is said of a run of this model beside what is of any."""
    unit, kinetics = table.time.end.unit, present("macro.membrane", problem.membrane).kinetics
    active = conversion_factor("ms", unit) * arrival[np.isfinite(arrival)]
    told: dict[str, float | None] = {"smallest": None, "mean": None, "largest": None}
    if active.size:
        told = {"smallest": float(active.min()), "mean": float(active.mean()), "largest": float(active.max())}
    potential = kinetics.fields[0].unit
    return {
        "model": "emi",
        "membrane": kinetics.name,
        "cells": list(table.cells),
        "membrane_nodes": result.nodes,
        "V_range": {
            "smallest": float(result.numbers["V minimum"].min()),
            "largest": float(result.numbers["V maximum"].max()),
        },
        "activation": told | {"share": active.size / max(1, arrival.size)},
        "conserved": [],
        "iterations": result.iterations,
        "units": {"time": unit, "activation": unit, "length": "mm", "threshold": potential, "V": potential}
        | dict.fromkeys(problem.spaces, potential),
        "threshold": level,
        "maximum": {"V": result.numbers["V maximum"].tolist()},
        "minimum": {"V": result.numbers["V minimum"].tolist()},
    }
