"""Tables of stimuli: where and when. A model's own table adds how strong, with its unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from pydantic import model_validator

from homfem.config.table import (
    Check,
    Missing,
    Table,
    choice,
    flag,
    integer,
    lengths,
    parse_table,
    quantity,
    renamed,
    text,
)
from homfem.parameters import InputError
from homfem.quantities import CURRENT_DENSITY, LENGTH, TIME, VOLTAGE, Quantity, parse_quantity
from homfem.timestepping import Schedule

if TYPE_CHECKING:
    from homfem.macro.protocols import Timing
    from homfem.macro.stimulus import Place

#: The keys of each type of place.
PLACES: Mapping[str, tuple[str, ...]] = {"ball": ("centre", "radius"), "box": ("min", "max"), "region": ("region",)}


def _point(value: Any) -> tuple[Quantity, ...]:
    allowed = "a list of 1 to 3 lengths, one per axis"
    if not isinstance(value, (list, tuple)) or len(value) not in (1, 2, 3):
        raise InputError("", value, allowed)
    return tuple(parse_quantity(f"[{k}]", entry, LENGTH) for k, entry in enumerate(value))


_MEANING = {
    "centre": "the centre of the ball, one length per axis",
    "radius": "the radius of the ball",
    "min": "the corner of the box with the smallest coordinates, one length per axis",
    "max": "the corner of the box with the largest coordinates, one length per axis",
    "region": "the name of a region of the domain",
}

Point = Annotated[tuple[Quantity, ...], Check(_point, says="a list of 1 to 3 lengths, one per axis")]


class PlaceTable(Table):
    """Where a stimulus acts: a ball (``centre``, ``radius``), a box (``min``, ``max``) or a ``region`` by name."""

    type: Annotated[str, choice(*PLACES)] = "ball"
    """The kind of place."""
    centre: Point | None = None
    """Centre of the ball."""
    radius: Annotated[Quantity, quantity(LENGTH, above=0.0)] | None = None
    """Radius of the ball."""
    min: Point | None = None
    """Corner of the box with the smallest coordinates."""
    max: Point | None = None
    """Corner of the box with the largest coordinates."""
    region: Annotated[str, text("the name of a region of the domain")] | None = None
    """A region of the domain by its name."""

    @model_validator(mode="after")
    def _keys(self) -> PlaceTable:
        for kind, keys in PLACES.items():
            for key in keys:
                given = getattr(self, key)
                if kind == self.type and given is None:
                    raise InputError(key, Missing(), f"given: {_MEANING[key]}")
                if kind != self.type and given is not None:
                    shown = [str(entry) for entry in given] if isinstance(given, tuple) else str(given)
                    raise InputError(key, shown, f"absent for type = {self.type!r}, which has {_listed(self.type)}")
        if self.min is not None and self.max is not None:
            low, high = ([entry.to("m") for entry in corner] for corner in (self.min, self.max))
            if len(low) != len(high):
                raise InputError("max", [str(entry) for entry in self.max], f"{lengths(len(low))}, as min")
            if any(a > b for a, b in zip(low, high, strict=True)):
                raise InputError("max", [str(entry) for entry in self.max], "on no axis less than min")
        return self

    def check_dimension(self, dimension: int | None) -> None:
        """Refuse points of another dimension than the domain's, where that is known."""
        for key in ("centre", "min"):
            point = getattr(self, key)
            if dimension is not None and point is not None and len(point) != dimension:
                raise InputError(key, [str(x) for x in point], f"{lengths(dimension)}, as the domain")

    def place(self, unit: str) -> Place:
        """Return the place, lengths in a unit."""
        from homfem.macro.stimulus import Ball, Box, Region

        if self.type == "region":
            return Region(name=str(self.region))
        if self.type == "ball" and self.centre is not None and self.radius is not None:
            return Ball(centre=tuple(x.to(unit) for x in self.centre), radius=self.radius.to(unit))
        low, high = (tuple(x.to(unit) for x in point or ()) for point in (self.min, self.max))
        return Box(low=low, high=high)


def _times(value: Any) -> tuple[Quantity, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InputError("", value, "a list of times, at least one")
    return tuple(parse_quantity(f"[{k}]", entry, TIME) for k, entry in enumerate(value))


Times = Annotated[tuple[Quantity, ...], Check(_times, says="a list of times")]


class ScheduleTable(Table):
    """When something is on: pulses of a ``duration`` from ``start`` on, one every ``period``; always without keys.

    S1-S2: a train of ``pulses`` with a ``period``, then ``coupling = ["280 ms"]``. Or any list of ``times``.
    """

    start: Annotated[Quantity, quantity(TIME)] | None = None
    """When the first pulse begins; 0 without it."""
    duration: Annotated[Quantity, quantity(TIME, above=0.0)] | None = None
    """How long each pulse lasts; without end without it."""
    period: Annotated[Quantity, quantity(TIME, above=0.0)] | None = None
    """Time from the start of a pulse to that of the next; one pulse alone without it."""
    pulses: Annotated[int, integer(at_least=1)] | None = None
    """How many pulses; without it one, with a period no end of them."""
    coupling: Times | None = None
    """Further pulses after these (S2, S3, ...): the interval from the start of the one before to that of each."""
    times: Times | None = None
    """When each pulse begins, in place of ``start``, ``period``, ``pulses`` and ``coupling``."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        self.schedule("s")
        return self

    @property
    def timed(self) -> bool:
        """Whether anything is said; without it is always on."""
        return any(getattr(self, key) is not None for key in ScheduleTable.model_fields)

    def schedule(self, unit: str) -> Timing:
        """Return the schedule, times in a unit; with a period and no number of pulses it goes on without end."""
        if self.times is not None or self.coupling is not None:
            return self._pulse_times(unit)
        times = {key: getattr(self, key) for key in ("start", "duration", "period")}
        given = {key: value.to(unit) for key, value in times.items() if value is not None}
        pulses = self.pulses if self.pulses is not None else None if "period" in given else 1
        return Schedule(**{"duration": math.inf} | given, pulses=pulses)

    def _pulse_times(self, unit: str) -> Timing:
        from homfem.macro.protocols import PulseTimes, s1_s2

        given = [key for key in ("start", "period", "pulses", "coupling") if getattr(self, key) is not None]
        if self.duration is None:
            raise InputError("duration", Missing(), "given: how long each pulse lasts")
        duration = self.duration.to(unit)
        if self.times is not None:
            if given:
                raise InputError(given[0], getattr(self, given[0]), "absent where times are given")
            return PulseTimes(times=tuple(time.to(unit) for time in self.times), duration=duration)
        if self.period is not None and self.pulses is None:
            raise InputError("pulses", Missing(), "given: how many pulses come before those with a coupling interval")
        if self.period is None and self.pulses not in (None, 1):
            raise InputError("period", Missing(), f"given where pulses = {self.pulses}")
        return s1_s2(
            period=duration if self.period is None else self.period.to(unit), pulses=self.pulses or 1,
            coupling=[interval.to(unit) for interval in self.coupling or ()], duration=duration,
            start=0.0 if self.start is None else self.start.to(unit),
        )  # fmt: skip


class ElectrodeTable(ScheduleTable):
    """``[[macro.electrodes]]``: on a boundary, what the potential is there or what enters."""

    boundary: Annotated[str, text("the name of a boundary")]
    """Where it is."""
    ground: Annotated[bool, flag()] = False
    """Whether the potential there is 0."""
    potential: Annotated[Quantity, quantity(VOLTAGE)] | None = None
    """The potential there; on a schedule, 0 while that is off."""
    current: Annotated[Quantity, quantity(CURRENT_DENSITY)] | None = None
    """What enters per area; on a schedule, nothing while that is off."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [key for key in ("potential", "current") if getattr(self, key) is not None]
        if len(given) + self.ground != 1:
            raise InputError("", given or Missing(), "a table with one of potential, current, ground = true")
        if self.ground and self.timed:
            raise InputError("ground", True, "without a schedule")
        return self


class PulseTable(PlaceTable, ScheduleTable):
    """A place with a schedule: pulses of a ``duration`` from ``start`` on, one every ``period``."""


T = TypeVar("T", bound=Table)


def stimuli(table: type[T], key: str = "stimulus") -> Callable[[Any], tuple[T, ...]]:
    """Return the reader of one table, or a list of tables such as ``[[macro.stimulus]]``, as a tuple of ``table``."""

    def read(value: Any) -> tuple[T, ...]:
        if isinstance(value, dict):
            return (parse_table(table, value, ""),)
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise InputError("", value, f"a table [macro.{key}], or several [[macro.{key}]]")
        return tuple(_entry(table, stimulus_path("", k, len(value)), entry) for k, entry in enumerate(value))

    return read


def stimulus_path(path: str, index: int, count: int) -> str:
    """Return the path of an entry of a list in a config: without a number if there is one alone."""
    return path if count == 1 else f"{path}[{index}]"


def _entry(table: type[T], path: str, value: Any) -> T:
    try:
        return parse_table(table, value, "")
    except InputError as error:
        raise renamed(error, f"{path}.{error.name}" if path and error.name else error.name or path) from error


def _listed(kind: str) -> str:
    return " and ".join(PLACES[kind])
