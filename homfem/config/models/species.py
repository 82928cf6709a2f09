"""The tables of a reaction-diffusion model: a species with its start and its boundaries, and what feeds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import model_validator

from homfem.config.functions import FunctionTable, is_function, parse_function
from homfem.config.models.macro_table import SOURCES, TensorSource, is_measured, parse_source, source_of
from homfem.config.models.stimulus import PlaceTable, PulseTable, ScheduleTable, stimuli, stimulus_path
from homfem.config.table import (
    Check,
    Missing,
    Table,
    choice,
    keys_from,
    parse_table,
    quantity,
    tables_by_name,
    text,
)
from homfem.kinds import DIFFUSION, PERMEABILITY
from homfem.kinetics.dimensions import ANY
from homfem.parameters import InputError, check_number
from homfem.quantities import PRESSURE, SPEED, VISCOSITY, Kind, Quantity, parse_quantity

#: The velocity that [macro.darcy] gives.
DARCY = "darcy"
#: The velocity that belongs to the dispersion tensor of a species.
EFFECTIVE = "effective"
_ENDS = ("outflow", "no-flux")


def in_unit(name: str, value: Any, unit: str, what: str = "a quantity") -> float:
    """Return a number in a unit: a bare one where the unit is empty, else one with a unit that converts to it."""
    if not unit:
        remedy = "The species has no unit, so that this is a pure number." if isinstance(value, str) else ""
        return check_number(name, value, remedy=remedy)
    return parse_quantity(name, value, Kind(name=what, unit=unit, example=f"1 {unit}")).to(unit)


def _number_or_text(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InputError("", value, "a number, or a quantity with the unit of the species")
    return value


NumberOrText = Annotated[Any, Check(_number_or_text, says="a number, or a quantity with the unit of the species")]


class InsideTable(PlaceTable):
    """``[macro.species.NAME.initial]``: a value in a place."""

    value: NumberOrText
    """What the species is there."""
    outside: NumberOrText = 0.0
    """What it is elsewhere, of the first place; without a unit where it is 0."""


def _given(value: Any) -> Any:
    return parse_function(value) if is_function(value) else _number_or_text(value)


_GIVEN = "or a function { expression = ..., parameters = ... }"
Given = Annotated[Any, Check(_given, says=f"a number, a quantity with the unit of the species, {_GIVEN}")]


def _initial(value: Any) -> Any:
    if is_function(value):
        return parse_function(value)
    if isinstance(value, (dict, list)):
        return stimuli(InsideTable)(value)
    return _number_or_text(value)


class BoundaryTable(ScheduleTable):
    """``[macro.species.NAME.boundary.BOUNDARY]``: a value, a flux, or transfer to what is outside."""

    value: Given | None = None
    """What the species is there; 0 while a schedule is off."""
    flux: Annotated[Any, Check(_given, says=f'a flux, such as "1 um/s" for species without unit, {_GIVEN}')] | None = (
        None
    )
    """What enters per area and time, times its unit; nothing while a schedule is off."""
    transfer: Annotated[Quantity, quantity(SPEED, above=0.0)] | None = None
    """Coefficient of transfer to what is outside: what enters is the coefficient times the difference."""
    outside: Given | None = None
    """What the species is outside, for a transfer; 0 without it."""
    type: Annotated[str, choice(*_ENDS)] | None = None
    """`"outflow"`: what flows out takes the species along, what flows in brings none; `"no-flux"`: nothing passes."""

    @model_validator(mode="after")
    def _one(self) -> BoundaryTable:
        given = [key for key in ("value", "flux", "transfer", "type") if getattr(self, key) is not None]
        if len(given) != 1:
            names = 'value, flux, transfer (with outside), or type = "outflow" or "no-flux"'
            raise InputError("", given or Missing(), f"a table with exactly one of {names}")
        if self.outside is not None and self.transfer is None:
            raise InputError("outside", self.outside, "absent without transfer")
        for key in ScheduleTable.model_fields:
            if getattr(self, key) is not None and self.value is None and self.flux is None:
                raise InputError(key, str(getattr(self, key)), "absent without value or flux")
        return self


def _boundary(value: Any) -> BoundaryTable:
    return parse_table(BoundaryTable, {"type": value} if isinstance(value, str) else value, "")


def _by_region(value: Any) -> bool:
    """Whether a table has tensors by region, not one tensor."""
    return (
        isinstance(value, dict)
        and bool(value)
        and not any(key in value for key in (*SOURCES, "volume_fraction"))
        and all(
            isinstance(entry, dict) or (isinstance(entry, str) and entry.endswith(".json")) for entry in value.values()
        )
    )


def _tensor(value: Any) -> Any:
    if _by_region(value):
        return tables_by_name(lambda entry: parse_source(entry, kind=DIFFUSION), "region").func(value)  # type: ignore[call-arg]
    return parse_source(value, kind=DIFFUSION)


def _velocity(value: Any) -> Any:
    lists = 'a list of 1 to 3 speeds, one per axis, such as ["1 um/s"], one for each region'
    allowed = f"{lists}, {_GIVEN}, {DARCY!r} or {EFFECTIVE!r}"
    if value in (DARCY, EFFECTIVE):
        return value
    if is_function(value):
        return parse_function(value, vector=True)
    if isinstance(value, dict) and value:
        return {str(region): _speeds(f"{region}", entry, allowed) for region, entry in value.items()}
    return _speeds("", value, allowed)


def _speeds(name: str, value: Any, allowed: str) -> tuple[Quantity, ...]:
    if not isinstance(value, list) or len(value) not in (1, 2, 3):
        raise InputError(name, value, allowed)
    return tuple(parse_quantity(f"{name}[{k}]", entry, SPEED) for k, entry in enumerate(value))


#: What the unit of a value at a boundary has beside that of the species.
_PER = {"value": "", "flux": "um/s", "outside": ""}
_SOURCE = source_of(DIFFUSION).says


class SpeciesTable(Table):
    """``[macro.species.NAME]``: what diffuses, flows and reacts."""

    tensor: Annotated[Any, Check(_tensor, says=f"{_SOURCE}; or one for each region")] | None = None
    """The effective tensor, with the volume fraction of its phase; without it the species does not diffuse."""
    initial: Annotated[
        Any, Check(_initial, says=f"a number or quantity, a table with a place and a value, {_GIVEN}")
    ] = 0.0
    """The start: a number, a `value` in a place (`type`, `min`, `max`, `centre`, `radius`, `region`), or an
    `expression` of place with `parameters`."""
    unit: Annotated[str, text("the unit of the species, such as 'uM'")] | None = None
    """Its unit; without it that of its start, and of a bare number none."""
    velocity: (
        Annotated[
            Any, Check(_velocity, says=f'a list of speeds, one for each region, {_GIVEN}, "darcy" or "effective"')
        ]
        | None
    ) = None
    """What carries it along: the flux of the fluid per area of tissue; `"darcy"`: that of `[macro.darcy]`;
    `"effective"`: the one that the dispersion tensor was computed in; an `expression` of place for each axis."""
    boundary: Annotated[Mapping[str, BoundaryTable], tables_by_name(_boundary, "boundary")] = {}
    """Conditions by boundary; nothing passes where nothing is said."""

    @property
    def own_unit(self) -> str:
        """The unit of the species, in plain letters; empty for a pure number."""
        first = self.initial[0].value if isinstance(self.initial, tuple) else self.initial
        if self.unit is not None:
            return parse_quantity("unit", f"1 {self.unit}", ANY).unit
        return parse_quantity("initial", first, ANY).unit if isinstance(first, str) else ""

    @property
    def tensors(self) -> dict[str, TensorSource]:
        """The tensors by region; of one for all under an empty name."""
        if self.tensor is None:
            return {}
        return dict(self.tensor) if isinstance(self.tensor, dict) else {"": self.tensor}

    def number(self, key: str, value: Any, per: str = "") -> float:
        """Return a number of the species, or of its unit times another one (``"um/s"``), in the model's units."""
        return in_unit(key, value, self._unit(per))

    def value(self, key: str, value: Any, per: str = "", *, dimension: int = 3, timed: bool = True) -> Any:
        """Return a number of the species, or a function of place and time, as :meth:`number`."""
        if not isinstance(value, FunctionTable):
            return self.number(key, value, per)
        with keys_from({}, key):
            return value.function(self._unit(per), dimension=dimension, timed=timed)

    def _unit(self, per: str) -> str:
        return f"{self.own_unit}*{per}" if self.own_unit and per else self.own_unit or per

    def check_functions(self, dimension: int) -> None:
        """Refuse functions that do not fit: their units, their names, their number of components."""
        if isinstance(self.initial, FunctionTable):
            self.value("initial", self.initial, dimension=dimension, timed=False)
        if isinstance(self.velocity, FunctionTable):
            with keys_from({}, "velocity"):
                self.velocity.function("um/s", dimension=dimension, timed=False)
        for name, entry in self.boundary.items():
            for key, per in _PER.items():
                if isinstance(getattr(entry, key), FunctionTable):
                    self.value(f"boundary.{name}.{key}", getattr(entry, key), per, dimension=dimension)

    @model_validator(mode="after")
    def _carried(self) -> SpeciesTable:
        if self.velocity == EFFECTIVE and (not self.tensors or any(map(is_measured, self.tensors.values()))):
            allowed = "speeds, unless the tensor is one of dispersion from a file or from the cell"
            raise InputError("velocity", EFFECTIVE, allowed, "It is the velocity that such a tensor comes with.")
        return self

    @model_validator(mode="after")
    def _units(self) -> SpeciesTable:
        if isinstance(self.initial, tuple):
            for k, entry in enumerate(self.initial):
                path = stimulus_path("initial", k, len(self.initial))
                self.number(f"{path}.value", entry.value)
                if entry.outside != 0.0:
                    self.number(f"{path}.outside", entry.outside)
        elif not isinstance(self.initial, FunctionTable):
            self.number("initial", self.initial)
        self.check_functions(3)
        for name, entry in self.boundary.items():
            for key, per in _PER.items():
                value = getattr(entry, key)
                if value is not None and not isinstance(value, FunctionTable):
                    self.number(f"boundary.{name}.{key}", value, per)
            if entry.type == "outflow" and self.velocity is None:
                raise InputError(f"boundary.{name}", "outflow", "absent where nothing flows", "Give a velocity.")
        return self


class SourceTable(PulseTable):
    """``[[macro.stimulus]]``: what feeds a species somewhere, per volume of tissue and time."""

    amplitude: NumberOrText
    """How much: of a species without unit such as `"2 1/s"`, else such as `"2 uM/s"`; negative: a sink."""
    species: Annotated[str, text("the name of a species")] | None = None
    """Which species; the first one without it."""


class DarcyTable(Table):
    """``[macro.darcy]``: the flow through the tissue between boundaries with pressures."""

    permeability: Annotated[TensorSource, source_of(PERMEABILITY)]
    """The permeability tensor."""
    viscosity: Annotated[Quantity, quantity(VISCOSITY, above=0.0)]
    """Viscosity of the fluid."""
    pressures: Annotated[
        Mapping[str, Quantity],
        tables_by_name(lambda value: parse_quantity("", value, PRESSURE), "boundary with a pressure"),
    ]
    """Pressures by boundary; nothing flows through the others."""
