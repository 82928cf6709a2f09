"""The table ``[macro]`` with ``model = "emi"``: periods of the config's cell with resolved membranes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from homfem.config.cells import CellTable
from homfem.config.effective import EffectiveTable
from homfem.config.models.cardiac import CardiacOutput
from homfem.config.models.macro_table import MacroTable
from homfem.config.models.marching import RunTable, TimeTable
from homfem.config.models.membrane import MembraneTable
from homfem.config.models.probes import check_dimension
from homfem.config.models.stimulus import ElectrodeTable, PulseTable, stimuli, stimulus_path
from homfem.config.table import (
    Check,
    Missing,
    choice,
    integer,
    keys_from,
    listed,
    parse_table,
    quantity,
    require_file,
    text,
)
from homfem.parameters import InputError, check_choice, check_integer
from homfem.quantities import AREA_RESISTANCE, CONDUCTIVITY, CURRENT_DENSITY, Quantity, parse_quantity
from homfem.timestepping import SPLITTINGS

#: The phases that a cell of heart muscle has; junctions where cells are joined.
INSIDE, OUTSIDE, JUNCTION = "intracellular", "extracellular", "junction"


def _phases(value: Any) -> dict[str, Quantity]:
    if not isinstance(value, dict):
        raise InputError("", value, f"a table with the conductivity of {INSIDE} and {OUTSIDE}")
    return {
        check_choice("", name, (INSIDE, OUTSIDE, JUNCTION)): parse_quantity(name, entry, CONDUCTIVITY, above=0.0)
        for name, entry in value.items()
    }


def _resistance(value: Any) -> Quantity | dict[str, Quantity]:
    if not isinstance(value, dict):
        return parse_quantity("", value, AREA_RESISTANCE, above=0.0)
    if not value:
        raise InputError("", value, f"{AREA_RESISTANCE.allowed}, or a table of them by the faces of junctions")
    return {name: parse_quantity(name, entry, AREA_RESISTANCE, above=0.0) for name, entry in value.items()}


def _no_map(value: Any) -> tuple[float, ...]:
    raise InputError("", value, "absent: of resolved membranes there is no such map")


class EmiMembraneTable(MembraneTable):
    """``[macro.membrane]``: the ionic model; its area is that of the cells."""

    area: None = None
    """Absent: the cells have their own."""

    @model_validator(mode="after")
    def _everywhere(self) -> Self:
        if isinstance(self.capacitance, dict):
            raise InputError("capacitance", sorted(self.capacitance), "one for the whole membrane")
        for key in ("parameters", "initial"):
            for name, value in getattr(self, key).items():
                if isinstance(value, dict):
                    raise InputError(f"{key}.{name}", sorted(value), "a number or a quantity for the whole membrane")
        return self


class EmiStimulusTable(PulseTable):
    """``[[macro.stimulus]]``: a current into the cells, on what of the membrane lies in a place."""

    amplitude: Annotated[Quantity, quantity(CURRENT_DENSITY)] = Field(
        description="the current per area of the membrane, such as '50 uA/cm^2'"
    )

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.duration is None:
            raise InputError("duration", Missing(), "given: how long each pulse lasts, such as '1 ms'")
        return self


class EmiElectrodeTable(ElectrodeTable):
    """``[[macro.electrodes]]``: on a side of the tissue, where one of its spaces meets it."""

    boundary: Annotated[str, text("the name of a side, such as 'x-low'")]
    """Where it is: `"x-low"`, `"x-high"`, `"y-low"`, ..."""
    space: Annotated[str, choice(OUTSIDE, INSIDE, JUNCTION)] = OUTSIDE
    """The space that it touches."""


class EmiOutput(CardiacOutput):
    """``[macro.output]``: what is written, and how often."""

    apd: Annotated[tuple[float, ...], Check(_no_map, says="absent", schema={"maxItems": 0})] = ()
    """Absent: of resolved membranes there is no such map."""
    fields: (
        Annotated[tuple[str, ...], listed(text("a name").func, range(1, 201), "a list of names of fields")] | None
    ) = None
    """What is written: `V` and states of the ionic model on the membrane, spaces by their names, `potential` (that
    inside where there is one, else that of another space); the potentials without it."""


class EmiTime(TimeTable):
    """``[macro.time]``: a whole number of steps that ends exactly at the end."""

    splitting: Annotated[str, choice(*SPLITTINGS)] = "godunov"
    """How membrane and currents take turns: of first order with implicit Euler, or of second with Crank-Nicolson."""


class EmiTable(RunTable):
    """``[macro]`` of heart muscle with resolved membranes (:mod:`homfem.macro.emi`): periods of ``[cell]``."""

    runner = "homfem.runs.emi:run_table"

    example: ClassVar[Mapping[str, Any]] = {
        "cells": [12, 1],
        "phases": {INSIDE: "0.5 S/m", OUTSIDE: "2 S/m"},
        "resistance": "0.05 kohm*mm^2",
        "membrane": {"model": "gray-pathmanathan-2016", "capacitance": "1 uF/cm^2"},
        "stimulus": [
            {
                "type": "box",
                "min": ["0 mm", "0 mm"],
                "max": ["0.3 mm", "1 mm"],
                "amplitude": "100 uA/cm^2",
                "duration": "1 ms",
            }
        ],
        "probes": [{"name": "near", "at": ["0.4 mm", "0.01 mm"]}, {"name": "far", "at": ["1 mm", "0.01 mm"]}],
        "time": {"end": "4 ms", "step": "0.02 ms"},
        "output": {"folder": "output", "every": "1 ms"},
    }
    example_cell: ClassVar[Mapping[str, Any]] = {
        "shape": "myocyte",
        "dimension": 2,
        "length": "96 um",
        "width": "14 um",
        "gap": ["4 um", "6 um"],
        "staggered": False,
        "joined": "x",
        "end_patch": 0.4,
        "resolution": 0.33,
    }

    model: Annotated[str, choice("emi")]
    cells: Annotated[
        tuple[int, ...],
        listed(
            lambda value: check_integer("", value, at_least=1), (2, 3), "a list of whole numbers >= 1, one per axis"
        ),
    ] = Field(description="how many periods of the cell there are along each axis, such as [12, 1]")
    phases: Annotated[Mapping[str, Quantity], Check(_phases, says="a table", schema={"type": "object"})] = Field(
        description="a table [macro.phases] with the conductivity of `intracellular`, `extracellular` and, where it is "
        "another than inside, `junction`"
    )
    resistance: Annotated[Any, Check(_resistance, says="a resistance times an area, or a table of them", schema={})] = (
        None
    )
    """What the gap junctions resist, per area: one for all, or a table by `end-junctions` and `side-junctions`; without
    it next to nothing."""
    membrane: EmiMembraneTable = Field(description="a table [macro.membrane]")
    stimulus: Annotated[tuple[EmiStimulusTable, ...], Check(stimuli(EmiStimulusTable), says="a list of tables")] = ()
    """Currents that stimulate."""
    electrodes: Annotated[
        tuple[EmiElectrodeTable, ...], Check(stimuli(EmiElectrodeTable, "electrodes"), says="a list of tables")
    ] = ()
    """Electrodes on the sides of the tissue."""
    degree: Annotated[int, integer(at_least=1, at_most=2)] = 1
    """Degree of the elements."""
    time: EmiTime = Field(description="a table [macro.time]")
    output: EmiOutput = EmiOutput()
    """What is written."""

    @classmethod
    def parse(cls, value: Any, folder: Path, path: str) -> Self:
        """Return the validated table; files are sought from ``folder``."""
        result = parse_table(cls, value, path)
        if result.membrane.file is not None:
            require_file(f"{path}.membrane.file", result.membrane.file, folder)
        with keys_from({}, f"{path}.membrane"):
            result.membrane.check(result.membrane.kinetics(folder))
        return result

    @model_validator(mode="after")
    def _fits(self) -> Self:
        dimension = len(self.cells)
        for k, entry in enumerate(self.stimulus):
            with keys_from({}, stimulus_path("stimulus", k, len(self.stimulus))):
                entry.check_dimension(dimension)
        check_dimension(self.probes, dimension)
        for k, probe in enumerate(self.probes):
            if probe.at is None:
                remedy = "A probe keeps the means over the cell that holds a point."
                raise InputError(f"probes[{k}].at", Missing(), "given: a list of lengths", remedy)
        for name in (INSIDE, OUTSIDE):
            if name not in self.phases:
                raise InputError(f"phases.{name}", Missing(), f"given, {CONDUCTIVITY.allowed}")
        return self

    def check(self, cell: CellTable | None, effective: EffectiveTable | None) -> None:
        """Refuse a cell that has not what a tissue has."""
        if cell is None:
            remedy = "Its periods are the tissue: shape = 'myocyte', or a file."
            raise InputError("cell", Missing(), "given, as a table [cell]", remedy)
        if cell.known_phases is not None:
            check_phases(cell.known_phases)
        if cell.known_dimension not in (None, len(self.cells)):
            raise InputError(
                "macro.cells", list(self.cells), f"{cell.known_dimension} whole numbers, as the cell has axes"
            )


def check_phases(names: Any) -> None:
    """Refuse a cell whose phases are not those of a tissue.

    Raises
    ------
    InputError
        With the phases that it has.
    """
    allowed = f"a cell with the phases {INSIDE!r}, {OUTSIDE!r} and, where cells are joined, {JUNCTION!r}"
    if not {INSIDE, OUTSIDE} <= set(names) or set(names) - {INSIDE, OUTSIDE, JUNCTION}:
        raise InputError(
            "cell", sorted(names), allowed, "Take shape = 'myocyte' or 'hexagonal-myocyte', or rename them."
        )


TABLES: Mapping[str, type[MacroTable]] = {"emi": EmiTable}
