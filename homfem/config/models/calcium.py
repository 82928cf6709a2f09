"""The table ``[macro]`` with ``model = "calcium"``: domain, tensors, kinetics, time, start, stimulus, output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, create_model, model_validator

from homfem.config.cells import CellTable
from homfem.config.effective import EffectiveTable
from homfem.config.models.buffers import BUFFERS, BufferTable, check_buffers, check_files
from homfem.config.models.calcium_parts import (
    Concentration,
    FileFluxes,
    FileNames,
    Fluxes,
    Ip3Table,
    Regions,
    Source,
    Sources,
)
from homfem.config.models.kinetics import given_parameters, parameter_keys
from homfem.config.models.macro_table import ComputedTensor, MacroTable, check_source
from homfem.config.models.marching import AdaptiveTime, MarchTable, OutputTable
from homfem.config.models.stimulus import PlaceTable, stimuli, stimulus_path
from homfem.config.table import (
    Check,
    Missing,
    Table,
    choice,
    keys_from,
    quantity,
    refuse_unknown,
    require_file,
    text,
)
from homfem.kinds import DIFFUSION
from homfem.kinetics import DE_YOUNG_KEIZER, TRIGGER_WAVE, LiRinzelRates, parameters_of
from homfem.kinetics.calcium import CALCIUM_KINETICS, CalciumKinetics, FluxOfFile, calcium_kinetics, read_calcium
from homfem.kinetics.parameters import Parameter
from homfem.parameters import InputError, check_choice, check_number
from homfem.quantities import (
    CONCENTRATION,
    INVERSE_LENGTH,
    Quantity,
    parse_quantity,
)
from homfem.timestepping import IMPLICIT, SCHEMES, SPLITTINGS

PositiveConcentration = Annotated[Quantity, quantity(CONCENTRATION, above=0.0)]


#: The published sets of rates by their name in a config.
_SETS = {"trigger-wave": TRIGGER_WAVE, "de-young-keizer": DE_YOUNG_KEIZER}


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError("", value, "a table of numbers by the names of parameters")
    return {str(key): entry for key, entry in value.items()}


_TABLE = Check(_table, says="a table of numbers by the names of parameters", schema={"type": "object"})


class CalciumTime(AdaptiveTime):
    """``[macro.time]``: a whole number of steps that ends exactly at the end, or steps that follow a tolerance."""

    splitting: Annotated[str, choice(*SPLITTINGS, IMPLICIT)] = "strang"
    """How reaction and diffusion take turns; `"implicit"`: not at all, Newton's method solves for all together."""
    scheme: Annotated[str, choice(*SCHEMES)] | None = None
    """The scheme of the implicit step; without it TR-BDF2, of second order."""

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.splitting != IMPLICIT and self.scheme is not None:
            raise InputError("scheme", self.scheme, "absent with a splitting, which has its own")
        if self.splitting == IMPLICIT and self.subcycles != 1:
            raise InputError("subcycles", self.subcycles, "1 where nothing is split")
        return self


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
_NAMES = {entry.name for entry in _RATES}
_Rates: Any = create_model("_Rates", __base__=Table, **parameter_keys(_RATES))


class KineticsTable(_Rates):
    """``[macro.kinetics]``: the membrane of the endoplasmic reticulum; any rate of the model by its name."""

    model: Annotated[str, choice(*CALCIUM_KINETICS)] = "li-rinzel"
    """The kinetics; those of `li-rinzel` may also have their numbers as keys here."""
    parameters: Annotated[str, text("the name of a set")] | None = None
    """The published set of rates that single ones replace; `li-rinzel` has `trigger-wave` without it."""
    values: Annotated[Mapping[str, Any], _TABLE] = {}
    """Numbers of the kinetics by their names, with units where they have some, in place of those of the set."""
    file: Annotated[str, text("the path of a file")] | None = None
    """Kinetics of your own in place of `model`: a gotranx `.ode`, CellML `.cellml` or Myokit `.mmt` file."""
    names: FileNames | None = None
    """How the file names the concentrations."""
    fluxes: FileFluxes = ()
    """Which quantities of the file are fluxes."""
    unit: Annotated[str, text("a unit")] | None = None
    """Of the concentrations, where the file does not say it."""
    time_unit: Annotated[str, text("a unit")] | None = None
    """Of time, where the file does not say it, as `.ode` files never do."""
    ip3: Concentration | None = None
    """The concentration of IP3, such as `"0.3 uM"`; needed by kinetics with receptors of IP3."""
    density: Annotated[Any, Check(_density, says="a number >= 0, or a table with one for each region")] = 1.0
    """Density of the transporters in the membrane relative to that of the set, or by region; `"*"` is all others."""

    @model_validator(mode="after")
    def _fits(self) -> KineticsTable:
        if self.file is not None:
            return self._of_file()
        for key in ("names", "fluxes", "unit", "time_unit"):
            if getattr(self, key):
                raise InputError(key, "given", "absent without a file")
        if self.parameters is not None:
            sets = _SETS if self.model == "li-rinzel" else CALCIUM_KINETICS[self.model].sets
            check_choice("parameters", self.parameters, tuple(sets))
        if self.model != "li-rinzel":
            for entry in _RATES:
                if getattr(self, entry.name) is not None:
                    shown = str(getattr(self, entry.name))
                    raise InputError(entry.name, shown, f"absent for {self.model}", "Its numbers stand in values.")
        for name in self.values:
            if self.model == "li-rinzel" and getattr(self, name, None) is not None and name in _NAMES:
                raise InputError(f"values.{name}", str(self.values[name]), f"absent where {name} is given")
        if self.ip3 is None and CALCIUM_KINETICS[self.model].ip3 is not None:
            raise InputError("ip3", Missing(), "the concentration of IP3, such as '0.3 uM'")
        self.named()
        return self

    def _of_file(self) -> KineticsTable:
        for key in ("model", "parameters", *sorted(_NAMES)):
            if key in self.model_fields_set:
                remedy = "The numbers of the file stand in values."
                raise InputError(key, str(getattr(self, key)), "absent where file is given", remedy)
        if self.names is None:
            raise InputError("names", Missing(), "a table with the names of the concentrations in the file")
        if not self.fluxes:
            raise InputError("fluxes", Missing(), "at least one table with a quantity of the file that is a flux")
        if self.ip3 is None and self.names.ip3 is not None:
            raise InputError("ip3", Missing(), "the concentration of IP3, such as '0.3 uM', which the file has")
        return self

    @property
    def by_name(self) -> bool:
        """Whether they are other kinetics than `li-rinzel`, whose membrane has a class of its own."""
        return self.file is not None or self.model != "li-rinzel"

    @property
    def level(self) -> float:
        """The concentration of IP3, uM; 0 where the kinetics do not depend on it."""
        return 0.0 if self.ip3 is None else self.ip3.to("uM")

    def rates(self) -> LiRinzelRates:
        """Return the rates of Li and Rinzel: the named set with the given ones in place of its own; units uM, s."""
        numbers = given_parameters(self, _RATES) | self._given(_RATES)
        return replace(_SETS[self.parameters or "trigger-wave"], **numbers)

    def named(self, folder: Path | None = None) -> CalciumKinetics:
        """Return other kinetics, with their numbers in place of their own; a file is sought from ``folder``."""
        if self.file is not None and self.names is not None:
            found = read_calcium(
                (folder or Path()) / self.file,
                cytosol=self.names.cytosol,
                er=self.names.er,
                ip3=self.names.ip3,
                fluxes=[
                    FluxOfFile(name=one.name, source=one.source, target=one.target, per=one.per, unit=one.unit or "")
                    for one in self.fluxes
                ],
                unit=self.unit or "",
                time_unit=self.time_unit or "",
            )
            numbers = self._given(found.parameters)
            return found.with_parameters(numbers) if numbers else found
        if self.model == "li-rinzel":
            self._given(_RATES)
            return calcium_kinetics(self.model)
        kinetics = calcium_kinetics(self.model, self.parameters)
        given = self._given(kinetics.parameters)
        return kinetics.with_parameters(given) if given else kinetics

    def _given(self, parameters: Sequence[Parameter]) -> dict[str, float]:
        """Return the numbers in ``values``, in the units of the parameters."""
        table = {entry.name: entry for entry in parameters}
        given = {}
        for name, value in self.values.items():
            with keys_from({}, "values"):
                refuse_unknown("", {name: value}, list(table))
                entry = table[name]
                if entry.kind is None:
                    given[name] = entry.check(value)
                else:
                    given[name] = entry.check(parse_quantity(name, value, entry.kind).to(entry.unit))
        return given


class InitialTable(Table):
    """``[macro.initial]``: concentrations at the start; without them the tissue is at rest, of other kinetics than
    `li-rinzel` at their own start."""

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


class CalciumOutputTable(OutputTable):
    """``[macro.output]``: what is written, and how often."""

    threshold: PositiveConcentration | None = None
    """Calcium from which on a place counts as activated."""
    threshold_field: Annotated[str, choice("cytosol", "er")] = "cytosol"
    """Where that calcium is."""

    @model_validator(mode="after")
    def _used(self) -> CalciumOutputTable:
        if self.threshold is None and "threshold_field" in self.model_fields_set:
            raise InputError("threshold_field", self.threshold_field, "absent without a threshold", "Give a threshold.")
        return self


class CalciumTable(MarchTable):
    """``[macro]`` of the calcium bidomain model (:mod:`homfem.macro.calcium`)."""

    runner = "homfem.runs.calcium:run_table"

    example: ClassVar[Mapping[str, Any]] = {
        "tensors": {
            "cytosol": {"value": "16 um^2/s", "volume_fraction": 0.8},
            "er": {"value": "2 um^2/s", "volume_fraction": 0.2},
            "interface_area": "2 1/um",
        },
        "kinetics": {"ip3": "0.3 uM"},
        "stimulus": {"rise": "0.8 uM", "centre": ["0 um", "0 um"], "radius": "12 um"},
    }

    model: Annotated[str, choice("calcium")]
    tensors: TensorsTable = TensorsTable()
    """The effective tensors; without it they are computed from the config's cell."""
    kinetics: KineticsTable = Field(description="a table [macro.kinetics]")
    time: CalciumTime = Field(description="a table [macro.time]")
    initial: InitialTable = InitialTable()
    """The start; without it the tissue is at rest."""
    regions: Regions = Field(default_factory=dict)
    """What differs in regions of the domain by their names: no ER, or another type of it."""
    fluxes: Fluxes = ()
    """What passes the plasma membrane."""
    sources: Sources = ()
    """What enters in places."""
    ip3: Ip3Table | None = None
    """IP3 as a field; without it the number of the kinetics stays everywhere."""
    stimulus: Annotated[
        tuple[StimulusTable, ...], Check(stimuli(StimulusTable), says="a table, or a list of tables")
    ] = ()
    """What is added at the start."""
    buffers: Annotated[Mapping[str, BufferTable], BUFFERS] = {}
    """What binds calcium in the cytosol and in the ER."""
    output: CalciumOutputTable = CalciumOutputTable()
    """What is written."""

    @classmethod
    def parse(cls, value: Any, folder: Path, path: str) -> CalciumTable:
        """Return the validated table; files are sought from ``folder``."""
        result = super().parse(value, folder, path)
        for name in ("cytosol", "er"):
            check_source(f"{path}.tensors.{name}", getattr(result.tensors, name), folder)
            for region, entry in result.regions.items():
                if (source := getattr(entry, name)) is not None:
                    check_source(f"{path}.regions.{region}.{name}", source, folder)
        check_files(result.buffers, path, folder)
        if result.kinetics.file is not None:
            require_file(f"{path}.kinetics.file", result.kinetics.file, folder)
        return result

    @model_validator(mode="after")
    def _fits(self) -> CalciumTable:
        for index, stimulus in enumerate(self.stimulus):
            path = stimulus_path("stimulus", index, len(self.stimulus))
            with keys_from({}, path):
                stimulus.check_dimension(self.domain.known_dimension)
        for index, source in enumerate(self.sources):
            with keys_from({}, stimulus_path("sources", index, len(self.sources))):
                source.check_dimension(self.domain.known_dimension)
                if source.field == "ip3" and self.ip3 is None:
                    raise InputError("field", "ip3", "'cytosol' or 'er' without a table [macro.ip3]")
        return self

    def check(self, cell: CellTable | None, effective: EffectiveTable | None) -> None:
        """Refuse tensors that cannot be computed from the other tables."""
        for name in ("cytosol", "er"):
            source = getattr(self.tensors, name)
            if isinstance(source, ComputedTensor):
                source.check(f"macro.tensors.{name}", cell, effective, DIFFUSION)
            for region, entry in self.regions.items():
                if isinstance(other := getattr(entry, name), ComputedTensor):
                    other.check(f"macro.regions.{region}.{name}", cell, effective, DIFFUSION)
        check_buffers(self.buffers, {"cytosol": self.tensors.cytosol, "er": self.tensors.er}, cell, effective)


TABLES: Mapping[str, type[MacroTable]] = {"calcium": CalciumTable}
