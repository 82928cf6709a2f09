"""The table ``[macro]`` with ``model = "reaction-diffusion"``: species, reaction, flow, sources, output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, cast

from pydantic import Field, model_validator

from homfem.config.cells import CellTable
from homfem.config.effective import EffectiveTable
from homfem.config.functions import FunctionTable
from homfem.config.models.macro_table import ComputedTensor, MacroTable, check_source
from homfem.config.models.marching import AdaptiveTime, MarchTable, OutputTable
from homfem.config.models.reactions import ReactionTable, kinetics_of, parse_reactions
from homfem.config.models.species import DARCY, EFFECTIVE, DarcyTable, NumberOrText, SourceTable, SpeciesTable
from homfem.config.models.stimulus import PlaceTable, stimuli, stimulus_path
from homfem.config.table import (
    Check,
    Missing,
    choice,
    flag,
    integer,
    keys_from,
    parse_table,
    renamed,
    tables_by_name,
    text,
)
from homfem.kinds import DIFFUSION, DISPERSION, PERMEABILITY
from homfem.kinetics.expressions import check_name
from homfem.parameters import InputError, check_choice
from homfem.step_control import Interval
from homfem.timestepping import SCHEMES, SPLITTINGS


class TransportTime(AdaptiveTime):
    """``[macro.time]``: a whole number of steps that ends exactly at the end, or steps that follow a tolerance."""

    splitting: Annotated[str, choice(*SPLITTINGS, "implicit")] = "strang"
    """How reaction and transport take turns; `"implicit"`: not at all, both are solved for together."""
    scheme: Annotated[str, choice(*SCHEMES)] | None = None
    """The scheme of transport; without it TR-BDF2, with `"godunov"` backward Euler."""


class ThresholdTable(OutputTable):
    """``[macro.output]``: what is written, and how often."""

    threshold: NumberOrText | None = None
    """Value of a species from which on a place counts as activated."""
    threshold_field: Annotated[str, text("the name of a species")] | None = None
    """Which species; the first one without it."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.threshold is None and self.threshold_field is not None:
            raise InputError("threshold_field", self.threshold_field, "absent without a threshold", "Give a threshold.")
        return self


class ReactionDiffusionTable(MarchTable):
    """``[macro]`` of species that diffuse, flow and react (:mod:`homfem.macro.reaction_diffusion`)."""

    runner = "homfem.runs.reaction_diffusion:run_table"

    example: ClassVar[Mapping[str, Any]] = {
        "species": {
            "u": {
                "tensor": {"value": "20 um^2/s", "volume_fraction": 1.0},
                "initial": {"type": "box", "min": ["0 um", "0 um"], "max": ["5 um", "20 um"], "value": 1.0},
            }
        },
        "reaction": {"name": "nagumo", "rate": "20 1/s", "threshold": 0.1},
    }

    model: Annotated[str, choice("reaction-diffusion")]
    species: Annotated[
        Mapping[str, SpeciesTable], tables_by_name(lambda value: parse_table(SpeciesTable, value, ""), "species")
    ] = Field(description="a table [macro.species.NAME] for each species")
    reaction: Annotated[tuple[ReactionTable, ...], Check(parse_reactions, says="a table, or a list of tables")] = ()
    """The reaction, or several `[[macro.reaction]]` that add up; without it the species only move."""
    darcy: DarcyTable | None = None
    """The flow that `velocity = "darcy"` means."""
    stimulus: Annotated[tuple[SourceTable, ...], Check(stimuli(SourceTable), says="a table, or a list of tables")] = ()
    """Sources."""
    degree: Annotated[int, integer(at_least=1, at_most=2)] = 1
    """Degree of the elements."""
    stabilization: Annotated[str, choice("auto", "supg", "none")] = "auto"
    """Of advection: `"supg"`, `"none"`, or SUPG where a cell has a Peclet number above 1."""
    positivity: Annotated[bool, flag()] = False
    """Keep what is not negative so: upwinding with limited fluxes, reactions that take no more than there is."""
    steady: Annotated[bool, flag()] = False
    """Solve for the state at rest, from the start, in place of a run in time."""
    time: TransportTime = Field(
        default=cast(TransportTime, None), description="a table [macro.time]; absent for a state at rest"
    )
    output: ThresholdTable = ThresholdTable()
    """What is written."""

    def steps(self, name: str) -> int | Interval:
        """Return how many time steps lie between two outputs; one for a state at rest."""
        if self.time is None:
            interval = getattr(self.output, name)
            if interval is not None:
                raise InputError(f"output.{name}", str(interval), "absent for a state at rest")
            return 1
        return super().steps(name)

    @property
    def time_unit(self) -> str:
        """Unit of the times of a result."""
        return "s" if self.time is None else self.time.end.unit

    @property
    def units(self) -> dict[str, str]:
        """The units of the species; empty for pure numbers."""
        return {name: table.own_unit for name, table in self.species.items()}

    @property
    def threshold_field(self) -> str:
        """The species that the threshold belongs to."""
        return self.output.threshold_field or next(iter(self.species))

    def source_of(self, index: int) -> tuple[str, SpeciesTable]:
        """Return the species that a source feeds, with its table."""
        name = self.stimulus[index].species or next(iter(self.species))
        return name, self.species[name]

    @classmethod
    def parse(cls, value: Any, folder: Path, path: str) -> Self:
        """Return the validated table; files are sought from ``folder``."""
        result = super().parse(value, folder, path)
        for name, table in result.species.items():
            for region, source in table.tensors.items():
                check_source(_tensor_path(path, name, region), source, folder)
        if result.darcy is not None:
            check_source(f"{path}.darcy.permeability", result.darcy.permeability, folder)
        return result

    @model_validator(mode="after")
    def _fits(self) -> Self:
        dimension = self.domain.known_dimension
        for name, table in self.species.items():
            check_name("species", name, ("t", "x", "y", "z"))
            self._check_species(f"species.{name}", table, dimension)
        if self.darcy is not None and not any(table.velocity == DARCY for table in self.species.values()):
            raise InputError("darcy", "given", 'absent unless a species has velocity = "darcy"')
        if self.steady == (self.time is not None):
            allowed = "absent with steady = true" if self.steady else "given, as a table [macro.time], or steady = true"
            raise InputError("time", "given" if self.steady else Missing(), allowed)
        if self.output.threshold is not None:
            check_choice("output.threshold_field", self.threshold_field, list(self.species))
            self.species[self.threshold_field].number("output.threshold", self.output.threshold)
        for index, source in enumerate(self.stimulus):
            path = stimulus_path("stimulus", index, len(self.stimulus))
            if source.species is not None:
                check_choice(f"{path}.species", source.species, list(self.species))
            self.source_of(index)[1].number(f"{path}.amplitude", source.amplitude, "1/s")
            _check_place(path, source, dimension)
        kinetics_of(self.reaction, self.units, dimension or 3)
        return self

    def _check_species(self, path: str, table: SpeciesTable, dimension: int | None) -> None:
        if isinstance(table.initial, tuple):
            for k, entry in enumerate(table.initial):
                _check_place(stimulus_path(f"{path}.initial", k, len(table.initial)), entry, dimension)
        if table.velocity == DARCY and self.darcy is None:
            raise InputError("darcy", Missing(), f"given, as a table [macro.darcy], for {path}.velocity")
        if dimension is not None:
            with keys_from({}, path):
                table.check_functions(dimension)
            _check_axes(f"{path}.velocity", table.velocity, dimension)

    def check(self, cell: CellTable | None, effective: EffectiveTable | None) -> None:
        """Refuse tensors that cannot be computed from the other tables."""
        for name, table in self.species.items():
            kinds = DISPERSION if table.velocity == EFFECTIVE else (DIFFUSION, DISPERSION)
            for region, source in table.tensors.items():
                if isinstance(source, ComputedTensor):
                    source.check(_tensor_path("macro", name, region), cell, effective, kinds)
        if self.darcy is not None and isinstance(self.darcy.permeability, ComputedTensor):
            self.darcy.permeability.check("macro.darcy.permeability", cell, effective, PERMEABILITY)


def _check_axes(path: str, velocity: Any, dimension: int) -> None:
    """Refuse velocities that have not as many components as the domain has axes."""
    if velocity in (None, DARCY, EFFECTIVE):
        return
    if isinstance(velocity, FunctionTable):
        entries, what = {f"{path}.expression": velocity.expression}, "expressions"
    else:
        entries = (
            {f"{path}.{key}": given for key, given in velocity.items()}
            if isinstance(velocity, dict)
            else {path: velocity}
        )
        what = "speeds"
    for at, given in entries.items():
        if len(given) != dimension:
            raise InputError(at, [str(entry) for entry in given], f"{dimension} {what}, as the domain has axes")


def _tensor_path(path: str, name: str, region: str) -> str:
    return f"{path}.species.{name}.tensor" + (f".{region}" if region else "")


def _check_place(path: str, place: PlaceTable, dimension: int | None) -> None:
    try:
        place.check_dimension(dimension)
    except InputError as error:
        raise renamed(error, f"{path}.{error.name}") from error


TABLES: Mapping[str, type[MacroTable]] = {"reaction-diffusion": ReactionDiffusionTable}
