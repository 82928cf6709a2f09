"""What the table ``[macro]`` of every model that marches in time has: domain, fibres, time, output, probes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from homfem.config.models.domains import DomainTable, FibresTable, FileDomain, parse_domain
from homfem.config.models.macro_table import MacroTable
from homfem.config.models.probes import check_dimension
from homfem.config.table import (
    Check,
    Missing,
    Table,
    choice,
    integer,
    number,
    parse_table,
    quantity,
    require_file,
    table,
    text,
)
from homfem.parameters import InputError
from homfem.quantities import LENGTH, TIME, Quantity, parse_quantity
from homfem.step_control import AdaptiveGrid, Interval
from homfem.timestepping import SPLITTINGS, TimeGrid

PositiveTime = Annotated[Quantity, quantity(TIME, above=0.0)]

#: More time steps than these are a slip: of a microsecond each they would take days.
MOST_STEPS = 10**9


class TimeTable(Table):
    """``[macro.time]``: a whole number of steps that ends exactly at the end."""

    end: PositiveTime = Field(description="the end time, such as '8 s'")
    step: PositiveTime = Field(description="the time step, such as '20 ms'")
    splitting: Annotated[str, choice(*SPLITTINGS)] = "strang"
    """How reaction and diffusion take turns."""
    subcycles: Annotated[int, integer(at_least=1, at_most=1000)] = 1
    """Steps of the reaction in one of diffusion."""

    @property
    def auto(self) -> bool:
        """Whether an error tolerance finds the steps."""
        return False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.auto:
            return self
        end, step = self.end.to("s"), self.step.to("s")
        steps = max(1, round(end / step))
        if not math.isclose(end / step, steps, rel_tol=1e-12, abs_tol=1e-9):
            unit = self.step.unit
            allowed = f"one that divides the end, {self.end} (it fits {end / step:.6g} times)"
            remedy = f"The nearest one is '{self.end.to(unit) / steps!r} {unit}' ({steps} steps)."
            raise InputError("step", str(self.step), allowed, remedy)
        if steps > MOST_STEPS:
            raise InputError("step", str(self.step), f"one that fits at most {MOST_STEPS:g} times into {self.end}")
        return self

    def grid(self, unit: str = "s") -> Any:
        """Return the time grid in a unit of time."""
        return TimeGrid(end=self.end.to(unit), step=self.step.to(unit))


AUTO = "auto"


def _step(value: Any) -> Any:
    return value if value == AUTO else parse_quantity("", value, TIME, above=0.0)


_STEP = {"type": "string", "examples": [AUTO, "20 ms"]}


class AdaptiveTime(TimeTable):
    """``[macro.time]``: a whole number of steps that ends exactly at the end, or steps that follow a tolerance."""

    step: Annotated[Any, Check(_step, says='a time > 0, such as "20 ms", or "auto"', schema=_STEP)] = Field(
        description="the time step, such as '20 ms'; `\"auto\"`: steps that follow `tolerance`"
    )
    tolerance: Annotated[float, number(above=0.0, at_most=0.1)] | None = None
    """With `step = "auto"`: the largest error of a step, relative to the largest value that each field has had."""
    step_max: PositiveTime | None = None
    """With `step = "auto"`: the longest step; a tenth of the end without it."""
    step_min: PositiveTime | None = None
    """With `step = "auto"`: the shortest step, else the run ends with an error; 1e-7 of the longest without it."""

    @property
    def auto(self) -> bool:
        """Whether an error tolerance finds the steps."""
        return bool(self.step == AUTO)

    @model_validator(mode="after")
    def _tolerated(self) -> Self:
        for name in ("tolerance", "step_max", "step_min"):
            if not self.auto and getattr(self, name) is not None:
                raise InputError(name, str(getattr(self, name)), 'absent, unless step = "auto"')
        if self.auto and self.tolerance is None:
            raise InputError("tolerance", Missing(), 'given with step = "auto", such as 1e-3')
        if self.auto:
            self.grid()
        return self

    def grid(self, unit: str = "s") -> Any:
        """Return the time grid in a unit of time, or the tolerance that finds one."""
        if not self.auto or self.tolerance is None:
            return super().grid(unit)
        longest = None if self.step_max is None else self.step_max.to(unit)
        shortest = None if self.step_min is None else self.step_min.to(unit)
        return AdaptiveGrid(end=self.end.to(unit), tolerance=self.tolerance, step_max=longest, step_min=shortest)


#: Of files of fields.
SUFFIXES = ("xdmf", "h5", "bp", "pvd")


class OutputTable(Table):
    """``[macro.output]``: what is written, and how often."""

    folder: Annotated[str, text("the path of a folder")] = "output"
    """Where fields and checkpoints are written."""
    every: PositiveTime | None = None
    """Time between two outputs; start and end alone without it."""
    checkpoint_every: PositiveTime | None = None
    """Time between two checkpoints; the end alone without it."""
    format: Annotated[str, choice("xdmf", "bp", "pvd")] = "xdmf"
    """Format of the fields: XDMF with HDF5 for ParaView, PyVista and meshio, ADIOS2 for ParaView, or VTU files."""


class RunTable(MacroTable):
    """What every model that marches in time has, whatever its domain."""

    example: ClassVar[Mapping[str, Any]] = {
        "time": {"end": "0.4 s", "step": "20 ms"},
        "output": {"folder": "output", "every": "0.1 s"},
    }

    time: TimeTable = Field(description="a table [macro.time]")
    cell_size: Annotated[Quantity, quantity(LENGTH, above=0.0)] | None = None
    """Period of the cells that the tensors stand for, where no table [cell] says it: the run then tells whether it is
    short beside the domain and the length over which the solution varies."""
    output: OutputTable = OutputTable()
    """What is written."""

    @model_validator(mode="after")
    def _marches(self) -> Self:
        for name in ("every", "checkpoint_every"):
            self.steps(name)
        return self

    def steps(self, name: str) -> int | Interval:
        """Return how many time steps lie between two outputs: ``every`` or ``checkpoint_every``; all if not given.

        Of steps that follow a tolerance the time that lies between them, in s.
        """
        interval: Quantity | None = getattr(self.output, name)
        if self.time.auto:
            return Interval((self.time.end if interval is None else interval).to("s"))
        grid = self.time.grid()
        if interval is None:
            return int(grid.steps)
        ratio = interval.to("s") / grid.step
        if round(ratio) < 1 or not math.isclose(ratio, round(ratio), rel_tol=1e-9):
            raise InputError(f"output.{name}", str(interval), f"a whole number of steps of {self.time.step}")
        return round(ratio)

    def written(self, folder: Path) -> list[Path]:
        """Return what the run writes into its folder, and what an earlier one wrote there."""
        place = folder / self.output.folder
        fields = [place / f"{name}.{suffix}" for name in ("fields", "activation") for suffix in SUFFIXES]
        pieces = [path for name in ("fields", "activation") for path in place.glob(f"{name}*.*vtu")]
        probes = [place / f"probes.{suffix}" for suffix in ("csv", "csv.part", "h5", "h5.part")]
        checkpoints = [place / f"checkpoint{part}" for part in ("", ".previous", ".part", ".old")]
        return [*fields, *pieces, *probes, *checkpoints, place / ".lock", *place.glob("fields-*")]


class MarchTable(RunTable):
    """What every model on a domain that marches in time has."""

    example: ClassVar[Mapping[str, Any]] = {
        "domain": {"shape": "box", "size": ["40 um", "20 um"], "resolution": "2 um"},
    }

    domain: Annotated[DomainTable, table(parse_domain)] = Field(description="a table [macro.domain]")
    fibres: FibresTable | None = None
    """The axes of fibres, in which the tensors then are."""

    @classmethod
    def parse(cls, value: Any, folder: Path, path: str) -> Self:
        """Return the validated table; files are sought from ``folder``."""
        result = parse_table(cls, value, path)
        if isinstance(result.domain, FileDomain):
            require_file(f"{path}.domain.file", result.domain.file, folder)
        if result.fibres is not None and result.fibres.file is not None:
            require_file(f"{path}.fibres.file", result.fibres.file, folder)
        return result

    @model_validator(mode="after")
    def _located(self) -> Self:
        check_dimension(self.probes, self.domain.known_dimension)
        if self.fibres is not None and self.fibres.file is not None and not isinstance(self.domain, FileDomain):
            remedy = "The elements of a domain that is made here have no order that a file could follow."
            raise InputError("fibres.file", self.fibres.file, "absent, unless [macro.domain] has a file", remedy)
        return self
