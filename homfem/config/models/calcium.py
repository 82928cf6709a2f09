"""The table ``[macro]`` with ``model = "calcium"``: domain, tensors, kinetics, time, start, stimulus, output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, create_model, model_validator

from homfem.config.cells import CellTable
from homfem.config.effective import EffectiveTable
from homfem.config.models.domains import DomainTable, FibresTable, FileDomain, parse_domain
from homfem.config.models.kinetics import given_parameters, parameter_keys
from homfem.config.models.macro_table import (
    ComputedTensor,
    MacroTable,
    TensorSource,
    check_source,
    run_files,
    source_of,
)
from homfem.config.models.probes import check_dimension
from homfem.config.models.stimulus import PlaceTable, stimuli, stimulus_path
from homfem.config.table import (
    Check,
    Missing,
    Table,
    choice,
    integer,
    keys_from,
    parse_table,
    quantity,
    require_file,
    table,
    text,
)
from homfem.kinds import DIFFUSION
from homfem.kinetics import DE_YOUNG_KEIZER, TRIGGER_WAVE, LiRinzelRates, parameters_of
from homfem.parameters import InputError, check_number
from homfem.quantities import (
    CONCENTRATION,
    INVERSE_LENGTH,
    TIME,
    Quantity,
)
from homfem.timestepping import SPLITTINGS, TimeGrid

Concentration = Annotated[Quantity, quantity(CONCENTRATION, at_least=0.0)]
PositiveConcentration = Annotated[Quantity, quantity(CONCENTRATION, above=0.0)]
PositiveTime = Annotated[Quantity, quantity(TIME, above=0.0)]


Source = Annotated[TensorSource, source_of(DIFFUSION)]


#: The published sets of rates by their name in a config.
_SETS = {"trigger-wave": TRIGGER_WAVE, "de-young-keizer": DE_YOUNG_KEIZER}

#: More time steps than these are a slip: of a microsecond each they would take days.
MOST_STEPS = 10**9


class TensorsTable(Table):
    """``[macro.tensors]``: where the effective tensors of the two phases come from."""

    cytosol: Source = ComputedTensor(phase="cytosol")
    """The tensor of the cytosol."""
    er: Source = ComputedTensor(phase="er")
    """The tensor of the endoplasmic reticulum."""
    interface_area: Annotated[Quantity, quantity(INVERSE_LENGTH, above=0.0)] | None = None
    """Membrane area per volume, where the tensors do not say it."""


def _density(value: Any) -> float | dict[str, float]:
    if isinstance(value, dict):
        return {str(region): check_number(region, entry, at_least=0.0) for region, entry in value.items()}
    remedy = "It is a pure number, without unit." if isinstance(value, str) else ""
    return check_number("", value, at_least=0.0, remedy=remedy)


#: c1 is that of the tensors' geometry.
_RATES = [entry for entry in parameters_of(LiRinzelRates) if entry.name != "c1"]
_Rates: Any = create_model("_Rates", __base__=Table, **parameter_keys(_RATES))


class KineticsTable(_Rates):
    """``[macro.kinetics]``: the membrane of the endoplasmic reticulum; any rate of the model by its name."""

    model: Annotated[str, choice("li-rinzel")] = "li-rinzel"
    """The kinetics."""
    parameters: Annotated[str, choice(*_SETS)] = "trigger-wave"
    """The published set of rates that single ones replace."""
    ip3: Concentration = Field(description="the concentration of IP3, such as '0.3 uM'")
    density: Annotated[Any, Check(_density, says="a number >= 0, or a table with one for each region")] = 1.0
    """Density of the transporters in the membrane relative to that of the set, or by region; `"*"` is all others."""

    def rates(self) -> LiRinzelRates:
        """Return the rates: the named set with the given ones in place of its own; units uM, s."""
        return replace(_SETS[self.parameters], **given_parameters(self, _RATES))


class TimeTable(Table):
    """``[macro.time]``: a whole number of steps that ends exactly at the end."""

    end: PositiveTime = Field(description="the end time, such as '8 s'")
    step: PositiveTime = Field(description="the time step, such as '20 ms'")
    splitting: Annotated[str, choice(*SPLITTINGS)] = "strang"
    """How reaction and diffusion take turns."""
    subcycles: Annotated[int, integer(at_least=1, at_most=1000)] = 1
    """Steps of the reaction in one of diffusion."""

    @model_validator(mode="after")
    def _whole(self) -> TimeTable:
        if self.grid().steps > MOST_STEPS:
            raise InputError("step", str(self.step), f"one that fits at most {MOST_STEPS:g} times into {self.end}")
        return self

    def grid(self) -> TimeGrid:
        """Return the time grid in s."""
        return TimeGrid(end=self.end.to("s"), step=self.step.to("s"))


class InitialTable(Table):
    """``[macro.initial]``: concentrations at the start; without them the tissue is at rest."""

    cytosol: Concentration | None = None
    """Calcium in the cytosol."""
    er: Concentration | None = None
    """Calcium in the reticulum."""

    @model_validator(mode="after")
    def _both(self) -> InitialTable:
        for name, other in (("cytosol", "er"), ("er", "cytosol")):
            if getattr(self, name) is None and getattr(self, other) is not None:
                raise InputError(name, Missing(), f"given where {other} is", "Give both, or none to start at rest.")
        return self


class StimulusTable(PlaceTable):
    """``[macro.stimulus]``: calcium added to the cytosol at the start, somewhere; the receptors start as before it."""

    rise: PositiveConcentration = Field(description="the added concentration, such as '0.8 uM'")


class OutputTable(Table):
    """``[macro.output]``: what is written, and how often."""

    folder: Annotated[str, text("the path of a folder")] = "output"
    """Where fields and checkpoints are written."""
    every: PositiveTime | None = None
    """Time between two outputs; start and end alone without it."""
    checkpoint_every: PositiveTime | None = None
    """Time between two checkpoints; the end alone without it."""
    format: Annotated[str, choice("xdmf", "bp")] = "xdmf"
    """Format of the fields."""
    threshold: PositiveConcentration | None = None
    """Calcium in the cytosol from which on a place counts as activated."""


class CalciumTable(MacroTable):
    """``[macro]`` of the calcium bidomain model (:mod:`homfem.macro.calcium`)."""

    runner = "homfem.runs.calcium:run_table"

    model: Annotated[str, choice("calcium")]
    domain: Annotated[DomainTable, table(parse_domain)] = Field(description="a table [macro.domain]")
    fibres: FibresTable | None = None
    """The axes of fibres, in which the tensors then are."""
    tensors: TensorsTable = TensorsTable()
    """The effective tensors; without it they are computed from the config's cell."""
    kinetics: KineticsTable = Field(description="a table [macro.kinetics]")
    time: TimeTable = Field(description="a table [macro.time]")
    initial: InitialTable = InitialTable()
    """The start; without it the tissue is at rest."""
    stimulus: Annotated[
        tuple[StimulusTable, ...], Check(stimuli(StimulusTable), says="a table, or a list of tables")
    ] = ()
    """What is added at the start."""
    output: OutputTable = OutputTable()
    """What is written."""

    @classmethod
    def parse(cls, value: Any, folder: Path, path: str) -> CalciumTable:
        """Return the validated table; files are sought from ``folder``."""
        result = parse_table(cls, value, path)
        if isinstance(result.domain, FileDomain):
            require_file(f"{path}.domain.file", result.domain.file, folder)
        if result.fibres is not None and result.fibres.file is not None:
            require_file(f"{path}.fibres.file", result.fibres.file, folder)
        for name in ("cytosol", "er"):
            check_source(f"{path}.tensors.{name}", getattr(result.tensors, name), folder)
        return result

    @model_validator(mode="after")
    def _fits(self) -> CalciumTable:
        for name in ("every", "checkpoint_every"):
            self.steps(name)
        for index, stimulus in enumerate(self.stimulus):
            path = stimulus_path("stimulus", index, len(self.stimulus))
            with keys_from({}, path):
                stimulus.check_dimension(self.domain.known_dimension)
        check_dimension(self.probes, self.domain.known_dimension)
        return self

    def steps(self, name: str) -> int:
        """Return how many time steps lie between two outputs: ``every`` or ``checkpoint_every``; all if not given."""
        interval: Quantity | None = getattr(self.output, name)
        grid = self.time.grid()
        if interval is None:
            return grid.steps
        ratio = interval.to("s") / grid.step
        if round(ratio) < 1 or not math.isclose(ratio, round(ratio), rel_tol=1e-9):
            raise InputError(f"output.{name}", str(interval), f"a whole number of steps of {self.time.step}")
        return round(ratio)

    def check(self, cell: CellTable | None, effective: EffectiveTable | None) -> None:
        """Refuse tensors that cannot be computed from the other tables."""
        for name in ("cytosol", "er"):
            source = getattr(self.tensors, name)
            if isinstance(source, ComputedTensor):
                source.check(f"macro.tensors.{name}", cell, effective, DIFFUSION)

    def written(self, folder: Path) -> list[Path]:
        """Return what the run writes into its folder, and what an earlier one wrote there."""
        return run_files(folder / self.output.folder)


TABLES: Mapping[str, type[MacroTable]] = {"calcium": CalciumTable}
