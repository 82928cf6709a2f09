"""The table ``[macro]`` with ``model = "cardiac"``: tensors, membrane, stimuli, electrodes, time, output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from homfem.config.cells import CellTable
from homfem.config.effective import EffectiveTable
from homfem.config.models.conductivities import TensorsTable, check_computed, sources_in
from homfem.config.models.heart_beats import EcgTable
from homfem.config.models.macro_table import MacroTable, check_source
from homfem.config.models.marching import MarchTable, OutputTable, TimeTable
from homfem.config.models.membrane import MembraneTable
from homfem.config.models.stimulus import ElectrodeTable, PulseTable, stimuli, stimulus_path
from homfem.config.models.words import Word, translated
from homfem.config.table import (
    Check,
    Missing,
    choice,
    integer,
    keys_from,
    listed,
    number,
    quantity,
    require_file,
    require_table,
    text,
)
from homfem.parameters import InputError, check_number
from homfem.quantities import CURRENT_PER_VOLUME, VOLTAGE, Quantity, parse_quantity
from homfem.timestepping import SCHEMES, SPLITTINGS

KINDS = ("monodomain", "bidomain", "bath")


def _splitting(theta: Any) -> str:
    names = {1.0: "godunov", 0.5: "strang"}
    if isinstance(theta, bool) or theta not in names:
        raise InputError("theta", theta, "1 (Godunov's splitting) or 0.5 (Strang's)")
    return names[theta]


def _probes(points: Any) -> list[dict[str, Any]]:
    if isinstance(points, list):
        points = {f"P{k}": at for k, at in enumerate(points, start=1)}
    if not isinstance(points, dict):
        raise InputError("points", points, "a table of points by name, or a list of points")
    return [{"name": name, "at": at} for name, at in points.items()]


#: What users of other codes write.
WORDS = (
    Word(("chi",), ("membrane", "area")),
    Word(("C_m",), ("membrane", "capacitance")),
    Word(("membrane", "chi"), ("membrane", "area")),
    Word(("membrane", "C_m"), ("membrane", "capacitance")),
    Word(("ode_file",), ("membrane", "file")),
    Word(("membrane", "ode_file"), ("membrane", "file")),
    Word(("v_name",), ("membrane", "potential")),
    Word(("membrane", "v_name"), ("membrane", "potential")),
    Word(("membrane", "BCL"), ("membrane", "pacing", "cycle_length")),
    Word(("membrane", "num_beats"), ("membrane", "pacing", "beats")),
    Word(("conductivity",), ("tensors", "conductivity")),
    Word(("theta",), ("time", "splitting"), _splitting),
    Word(("time", "theta"), ("time", "splitting"), _splitting),
    Word(("output", "save_every"), ("output", "every")),
    Word(("stimulus", "num_pulses"), ("stimulus", "pulses")),
    Word(("scheme",), ("membrane", "scheme")),
    Word(("parameters",), ("membrane", "parameters")),
    Word(("BCL",), ("membrane", "pacing", "cycle_length")),
    Word(("num_beats",), ("membrane", "pacing", "beats")),
    Word(("steady_state",), ("membrane", "pacing")),
    Word(("membrane", "steady_state"), ("membrane", "pacing")),
    Word(("membrane", "pacing", "BCL"), ("membrane", "pacing", "cycle_length")),
    Word(("membrane", "pacing", "num_beats"), ("membrane", "pacing", "beats")),
    Word(("layers",), ("domain", "layers")),
    Word(("save_every",), ("output", "every")),
    Word(("checkpoint_every",), ("output", "checkpoint_every")),
    Word(("activation_threshold",), ("output", "threshold")),
    Word(("output", "activation_threshold"), ("output", "threshold")),
    Word(("points",), ("probes",), _probes),
    Word(("output", "points"), ("probes",), _probes),
    Word(("dt",), ("time", "step")),
    Word(("end_time",), ("time", "end")),
    Word(("time", "dt"), ("time", "step")),
    Word(("time", "end_time"), ("time", "end")),
)


class CardiacStimulusTable(PulseTable):
    """``[[macro.stimulus]]``: a current in a place, per volume of tissue."""

    amplitude: Annotated[Quantity, quantity(CURRENT_PER_VOLUME)] = Field(
        description="the current per volume, such as '50 uA/mm^3' or '50000 uA/cm**3'"
    )
    current: Annotated[str, choice("membrane", "intracellular", "extracellular")] = "membrane"
    """Where it flows: through the membrane into the cells, or from outside into one of the two spaces."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.duration is None:
            raise InputError("duration", Missing(), "given: how long each pulse lasts, such as '2 ms'")
        return self


class CardiacTime(TimeTable):
    """``[macro.time]``: a whole number of steps that ends exactly at the end."""

    splitting: Annotated[str, choice(*SPLITTINGS)] = "godunov"
    """How membrane and diffusion take turns: of first or of second order."""
    scheme: Annotated[str, choice(*SCHEMES)] = "crank-nicolson"
    """The scheme of diffusion."""
    coupling: Annotated[str, choice("lagged", "midpoint", "implicit")] | None = None
    """Which extracellular potential drives a step of the bidomain: that of the step before (first order), one from a
    predictor (second order), or the scheme's own; without it the first with Godunov's splitting, else the second."""


def _voltage(value: Any) -> Any:
    return parse_quantity("", value, VOLTAGE) if isinstance(value, str) else check_number("", value)


_LEVEL = "a list of percentages, such as [50, 90]"


class CardiacOutput(OutputTable):
    """``[macro.output]``: what is written, and how often."""

    threshold: Annotated[Any, Check(_voltage, says="a voltage, such as '0 mV'; a number for a model without units")] = (
        None
    )
    """V from which on a place is active; 0 mV without it, of a model without units half of 1."""
    apd: Annotated[
        tuple[float, ...], listed(lambda value: check_number("", value, above=0.0, below=100.0), range(1, 21), _LEVEL)
    ] = ()
    """Percentages of repolarisation at which action potential durations are mapped: at each node of the last of its
    beats that has one."""
    fields: (
        Annotated[tuple[str, ...], listed(text("a name").func, range(1, 201), "a list of names of fields")] | None
    ) = None
    """What is written and kept by probes: `V`, `phi_e` and states of the ionic model; the potentials without it."""

    def level(self, unit: str) -> float:
        """Return the threshold of V in its unit: by default 0 mV, of a model without units half of 1."""
        if self.threshold is None:
            return 0.0 if unit else 0.5
        if isinstance(self.threshold, Quantity) != bool(unit):
            allowed = "a voltage, such as '0 mV'" if unit else "a number: the model has V without a unit"
            raise InputError("macro.output.threshold", str(self.threshold), allowed)
        return self.threshold.to(unit) if isinstance(self.threshold, Quantity) else float(self.threshold)


class CardiacTable(MarchTable):
    """``[macro]`` of the electrical activity of the heart (:mod:`homfem.macro.cardiac`)."""

    runner = "homfem.runs.cardiac:run_table"

    example: ClassVar[Mapping[str, Any]] = {
        "domain": {"shape": "box", "size": ["10 mm", "2 mm"], "resolution": "0.25 mm"},
        "fibres": {"direction": [1.0, 0.0]},
        "tensors": {"conductivity": {"longitudinal": "0.1334 S/m", "transverse": "0.0176 S/m"}},
        "membrane": {"model": "tentusscher-panfilov-2006", "area": "140 1/mm", "capacitance": "0.01 uF/mm^2"},
        "stimulus": [
            {
                "type": "box",
                "min": ["0 mm", "0 mm"],
                "max": ["1 mm", "2 mm"],
                "amplitude": "50 uA/mm^3",
                "duration": "2 ms",
            }
        ],
        "probes": [{"name": "far", "at": ["9 mm", "1 mm"]}],
        "time": {"end": "20 ms", "step": "0.05 ms"},
        "output": {"folder": "output", "every": "5 ms"},
    }

    model: Annotated[str, choice("cardiac")]
    kind: Annotated[str, choice(*KINDS)] = "monodomain"
    """The equations: `"bath"` is a bidomain with a perfusing bath around it."""
    tensors: TensorsTable = Field(description="a table [macro.tensors]")
    membrane: MembraneTable = Field(description="a table [macro.membrane]")
    stimulus: Annotated[
        tuple[CardiacStimulusTable, ...], Check(stimuli(CardiacStimulusTable), says="a list of tables")
    ] = ()
    """Currents that stimulate."""
    electrodes: Annotated[
        tuple[ElectrodeTable, ...], Check(stimuli(ElectrodeTable, "electrodes"), says="a list of tables")
    ] = ()
    """Electrodes on boundaries, of the extracellular potential of a bidomain or its bath."""
    ecg: EcgTable | None = None
    """Electrodes of an electrocardiogram, outside of the tissue or, in three dimensions, in it."""
    degree: Annotated[int, integer(at_least=1, at_most=2)] = 1
    """Degree of the elements."""
    mass: Annotated[float, number(at_least=0.0, at_most=1.0)] = 1.0
    """1: consistent mass, with which fronts on coarse meshes are too fast; 0: lumped, too slow; or in between."""
    time: CardiacTime = Field(description="a table [macro.time]")
    output: CardiacOutput = CardiacOutput()
    """What is written."""

    @classmethod
    def parse(cls, value: Any, folder: Path, path: str) -> Self:
        """Return the validated table, also of words of other codes; files are sought from ``folder``."""
        given = translated(require_table(path, value), WORDS, path)
        try:
            result = super().parse(given.table, folder, path)
            if result.membrane.file is not None:
                require_file(f"{path}.membrane.file", result.membrane.file, folder)
            for at, source in sources_in(result.tensors):
                check_source(f"{path}.tensors.{at}", source, folder)
            with keys_from({}, f"{path}.membrane"):
                result.membrane.check(result.membrane.kinetics(folder))
        except InputError as error:
            told = given.told(error, path)
            if told is error:
                raise
            raise told from error
        return result

    @model_validator(mode="after")
    def _fits(self) -> Self:
        dimension = self.domain.known_dimension
        for k, entry in enumerate(self.stimulus):
            path = stimulus_path("stimulus", k, len(self.stimulus))
            with keys_from({}, path):
                entry.check_dimension(dimension)
            if self.kind == "monodomain" and entry.current == "extracellular":
                raise InputError(f"{path}.current", entry.current, "another space in a monodomain")
        self.tensors.check(self.kind)
        self._check_ecg(dimension)
        if self.kind == "monodomain" and self.electrodes:
            raise InputError("electrodes", len(self.electrodes), "absent in a monodomain", "Take kind = 'bidomain'.")
        if self.fibres is None and self.tensors.anisotropic and dimension != 1:
            raise InputError("fibres", Missing(), "given, as a table [macro.fibres]: longitudinal is along them")
        return self

    def _check_ecg(self, dimension: int | None) -> None:
        if self.ecg is None:
            return
        with keys_from({}, "ecg"):
            self.ecg.check(dimension)
        if self.kind == "bath":
            raise InputError("ecg", "given", "absent in a bath", "There phi_e at probes is what electrodes see.")
        if "intracellular" not in self.tensors.spaces:
            allowed = "absent without intracellular and extracellular conductivities"
            raise InputError("ecg", "given", allowed, "Give [macro.tensors] both, or a preset.")

    def check(self, cell: CellTable | None, effective: EffectiveTable | None) -> None:
        """Refuse tensors that cannot be computed from the other tables, and a membrane of which nothing is known."""
        computed = check_computed(self.tensors, cell, effective)
        if self.membrane.area is None and not computed:
            raise InputError(
                "macro.membrane.area", Missing(), "given: the area of the membrane per volume, such as '140 1/mm'"
            )

    def written(self, folder: Path) -> list[Path]:
        """Return what the run writes into its folder, and what an earlier one wrote there."""
        place = folder / self.output.folder
        maps = [place / f"apd.{suffix}" for suffix in ("xdmf", "h5", "bp")]
        maps += [place / f"ecg.{suffix}" for suffix in ("csv", "csv.part", "h5", "h5.part")]
        return [*super().written(folder), *maps]


TABLES: Mapping[str, type[MacroTable]] = {"cardiac": CardiacTable}
