"""A cardiac problem from the tables of a config: domain, tensors, membrane, currents, electrodes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config import Config
from homfem.config.models.cardiac import CardiacTable
from homfem.config.models.conductivities import AlongFibres
from homfem.config.models.heart_beats import PacingTable
from homfem.config.models.macro_table import Taken, take_tensor
from homfem.config.models.stimulus import ElectrodeTable, stimulus_path
from homfem.kinds import CONDUCTIVITY
from homfem.parameters import InputError
from homfem.quantities import Quantity, conversion_factor
from homfem.runs.cardiac_tuning import Given, tuned
from homfem.runs.keys import keys_under
from homfem.runs.marching import domain_of
from homfem.runs.phases import phase_tensors

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.kinetics.point import PointKinetics
    from homfem.macro.cardiac import CardiacMethod, CardiacProblem
    from homfem.macro.domain import Domain
    from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

# Keys of the config by the names of the arguments that they become.
KEYS = {
    "mesh": "domain", "step": "time.step", "end": "time.end", "scheme": "time.scheme", "splitting": "time.splitting",
    "intracellular": "tensors.intracellular", "extracellular": "tensors.extracellular", "bath": "tensors.bath",
    "conductivity": "tensors.conductivity", "area": "membrane.area", "capacitance": "membrane.capacitance",
    "parameters": "membrane.parameters", "start": "membrane.initial", "membrane": "membrane.model",
    "ionic": "membrane.scheme",
    "fields": "output.fields", "threshold": "output.threshold", "levels": "output.apd",
}  # fmt: skip
#: What a tissue may have; measured are 70 to 400 /mm and about 0.01 uF/mm^2.
USUAL = {"area": (5.0, 5000.0, "1/mm"), "capacitance": (1e-3, 0.2, "uF/mm^2")}
#: More conducts no tissue and no bath, S/m.
CONDUCTING = 5.0
#: Arguments of the problem by the space into which a current flows.
_CURRENTS = {
    "membrane": "stimuli",
    "intracellular": "intracellular_sources",
    "extracellular": "extracellular_sources",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What the tables of a config become."""

    problem: CardiacProblem
    tensors: dict[str, EffectiveTensor]
    keys: dict[str, str]
    tuning: dict[str, Any]


def method_of(table: CardiacTable) -> CardiacMethod:
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


def make_problem(config: Config, table: CardiacTable, comm: MPI.Comm) -> Made:
    """Return the problem; collective."""
    from homfem.macro.cardiac import CardiacProblem

    domain = domain_of(config, table, comm, "mm")
    _check_variants(domain, table)
    kept: dict[str, EffectiveTensor] = {}
    spaces = _spaces(config, table, comm, domain.dimension, kept)
    with keys_under("macro.membrane"):
        kinetics = table.membrane.kinetics(config.folder)
        parameters, start = table.membrane.numbers(kinetics)
        if table.membrane.pacing is not None:
            start = _paced(kinetics, table.membrane.pacing, parameters, start)
    area, capacitance = _area(table, kept), _numbers(table.membrane.capacitance, "uF/mm^2")
    tuning: dict[str, Any] = {}
    if table.tensors.velocity is not None:
        numbers = {"parameters": parameters, "start": start, "area": area, "capacitance": capacitance}
        level = table.output.level(kinetics.fields[0].unit)
        given = Given(membrane=kinetics, numbers=numbers, method=method_of(table), threshold=level)
        spaces, tuning = tuned(table, domain, spaces, given)
    for k, electrode in enumerate(table.electrodes):
        domain.boundary(electrode.boundary, f"macro.{stimulus_path('electrodes', k, len(table.electrodes))}.boundary")
    currents, keys = _currents(table)
    with keys_under("macro", KEYS):
        problem = CardiacProblem(
            mesh=domain,
            kind=table.kind,  # type: ignore[arg-type]  # checked by the table
            membrane=kinetics,
            parameters=parameters,
            start=start,
            area=area,
            capacitance=capacitance,
            bath=_numbers(table.tensors.bath, "mS/mm") if table.tensors.bath is not None else {},
            electrodes=[_electrode(electrode) for electrode in table.electrodes],
            **spaces,
            **currents,
        )
    if kinetics.fields[0].unit == "mV" and comm.rank == 0:
        _warn_of_units(problem)
    return Made(problem=problem, tensors=kept, keys=keys, tuning=tuning)


def _check_variants(domain: Domain, table: CardiacTable) -> None:
    """Refuse variants of regions that there are not, and regions of the tissue without one; collective."""
    if isinstance(table.membrane.variant, dict):
        bath = table.tensors.bath or {}
        domain.cell_values(dict.fromkeys([*table.membrane.variant, *bath], 0.0), "macro.membrane.variant")


def _warn_of_units(problem: CardiacProblem) -> None:
    """Warn of numbers that no tissue has."""
    from homfem.macro.coefficients import tensor_values

    for name, (least, largest, unit) in USUAL.items():
        values = getattr(problem, name)
        for value in values.values() if isinstance(values, dict) else [values]:
            if not least <= value <= largest:
                log.warning("macro.membrane.%s: %g %s is far from %g to %g %s: is its unit right?",
                            name, value, unit, least, largest, unit)  # fmt: skip
    for name in ("conductivity", "intracellular", "extracellular"):
        given = getattr(problem, name)
        if given is None:
            continue
        tensors = tensor_values(name, given, CONDUCTIVITY, unit="mS/mm", dimension=problem.domain.dimension)
        most = max(float(np.linalg.eigvalsh(matrix)[-1]) for matrix in tensors.values())
        if most > CONDUCTING:
            log.warning("macro.tensors.%s: %g S/m is far from up to 1 S/m: is its unit right?", name, most)


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


def _paced(kinetics: PointKinetics, table: PacingTable, parameters: dict[str, Any], start: dict[str, Any]) -> Any:
    """Return the start, by region where parameters or starts are: that of single cells after their beats."""
    from homfem.kinetics.ionic import Pacing, limit_cycle, pace

    pacing = Pacing(cycle_length=table.cycle_length.to("ms"))
    given = {**parameters, **{f"start.{name}": value for name, value in start.items()}}
    regions = dict.fromkeys(key for value in given.values() if isinstance(value, dict) for key in value)
    found: dict[str, dict[str, float]] = {}
    for region in regions or [""]:
        own = [
            {
                name: value.get(region, value.get("*")) if isinstance(value, dict) else value
                for name, value in part.items()
            }
            for part in (parameters, start)
        ]
        numbers, begin = ({name: value for name, value in part.items() if value is not None} for part in own)
        with keys_under("macro.membrane.pacing"):
            if table.beats is None:
                found[region] = dict(limit_cycle(kinetics, pacing, parameters=numbers, start=begin).start)
            else:
                found[region] = dict(pace(kinetics, pacing, beats=table.beats, parameters=numbers, start=begin).end)
    if not regions:
        return found[""]
    return {name: {region: end[name] for region, end in found.items()} for name in next(iter(found.values()))}


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


def exchanged(problem: CardiacProblem) -> list[str]:
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
