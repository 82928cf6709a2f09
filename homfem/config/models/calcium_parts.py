"""Tables of calcium by parts of the domain: regions, fluxes through boundaries, sources, IP3 that diffuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from homfem.config.models.macro_table import TensorSource, source_of
from homfem.config.models.stimulus import PlaceTable, Point, ScheduleTable, stimuli
from homfem.config.table import Check, Missing, Table, choice, flag, number, parse_table, quantity, tables_by_name, text
from homfem.kinds import DIFFUSION
from homfem.kinetics.currents import PER_PICOAMPERE
from homfem.parameters import InputError
from homfem.quantities import (
    CONCENTRATION,
    CURRENT,
    DIFFUSIVITY,
    INVERSE_LENGTH,
    PERMEABILITY,
    RATE,
    Kind,
    Quantity,
    conversion_factor,
)

SURFACE_FLUX = Kind(name="a flux of calcium per area", unit="mol/m^2/s", example="0.3 uM*um/s")
#: What a source brings per time: a substance, or that per length or area where the domain has two dimensions or one.
AMOUNT_RATE = Kind(name="what a source brings per time", unit="", example="5 uM*um^3/s")

Concentration = Annotated[Quantity, quantity(CONCENTRATION, at_least=0.0)]
Source = Annotated[TensorSource, source_of(DIFFUSION)]


class RegionTable(Table):
    """``[macro.regions.NAME]``: what differs in a region: cytosol without ER, such as a cleft or a nucleus, or another
    type of ER."""

    diffusivity: Annotated[Quantity, quantity(DIFFUSIVITY, above=0.0)] | None = None
    """Of calcium in cytosol that has no ER in it; the ER then ends at this region, without a flux."""
    barrier: Annotated[bool, flag()] = False
    """Whether no calcium passes the border of the region, which then has a diffusivity: a field of its own, by the name
    of the region, that starts as the cytosol does."""
    cytosol: Source | None = None
    """The tensor of the cytosol there."""
    er: Source | None = None
    """The tensor of the ER there."""
    interface_area: Annotated[Quantity, quantity(INVERSE_LENGTH, above=0.0)] | None = None
    """Membrane area per volume there, where the tensors do not say it."""

    @model_validator(mode="after")
    def _one(self) -> RegionTable:
        if self.diffusivity is not None:
            for key in ("cytosol", "er", "interface_area"):
                if getattr(self, key) is not None:
                    remedy = "A region with a diffusivity has no ER."
                    raise InputError(key, "given", "absent where diffusivity is given", remedy)
        elif self.barrier:
            raise InputError("barrier", True, "false where diffusivity is absent", "Within it there is cytosol alone.")
        elif self.cytosol is None or self.er is None:
            key = "cytosol" if self.cytosol is None else "er"
            raise InputError(key, Missing(), "given, or diffusivity in a region without ER")
        return self


#: The keys of each type of flux.
FLUXES: Mapping[str, tuple[str, ...]] = {
    "constant": ("flux",),
    "pump": ("largest", "half"),
    "leak": ("permeability", "outside"),
    "store-operated": ("largest", "half"),
}
_FLUX = Annotated[Quantity, quantity(SURFACE_FLUX)]


class FluxTable(ScheduleTable):
    """``[[macro.fluxes]]``: calcium through a part of the plasma membrane, per its area."""

    boundary: Annotated[str, text("the name of a boundary of the domain")] = Field(
        description='the name of a boundary of the domain, such as `"surface"`'
    )
    name: Annotated[str, text("a name")] | None = None
    """By which the report says what it has brought; without it type and boundary."""
    type: Annotated[str, choice(*FLUXES)] = "constant"
    """The law: constant, a Hill pump out of the cell, a leak into it, or an influx that an empty ER opens."""
    flux: _FLUX | None = None
    """What enters, of a constant flux; negative where it leaves."""
    largest: Annotated[Quantity, quantity(SURFACE_FLUX, at_least=0.0)] | None = None
    """Largest flux of a pump or a store-operated influx."""
    half: Annotated[Quantity, quantity(CONCENTRATION, above=0.0)] | None = None
    """Calcium in the cytosol at half the rate of a pump; in the ER at half a store-operated influx."""
    permeability: Annotated[Quantity, quantity(PERMEABILITY, at_least=0.0)] | None = None
    """Of a leak: the influx over the difference of the concentrations outside and inside."""
    outside: Concentration | None = None
    """Calcium outside, of a leak."""

    @model_validator(mode="after")
    def _keys(self) -> FluxTable:
        own = FLUXES[self.type]
        for key in ("flux", "largest", "half", "permeability", "outside"):
            given = getattr(self, key)
            if key in own and given is None:
                raise InputError(key, Missing(), f"given for type = {self.type!r}")
            if key not in own and given is not None:
                raise InputError(key, str(given), f"absent for type = {self.type!r}, which has {' and '.join(own)}")
        return self

    @property
    def label(self) -> str:
        """By which the report says what it has brought."""
        return self.name or (self.boundary if self.type == "constant" else f"{self.type} at {self.boundary}")


class SourceTable(PlaceTable, ScheduleTable):
    """``[[macro.sources]]``: calcium that enters in a place or at a point: a channel mouth, a puff."""

    at: Point | None = None
    """A point, in place of a ball, a box or a region."""
    name: Annotated[str, text("a name")] | None = None
    """By which the report says what it has brought."""
    current: Annotated[Quantity, quantity(CURRENT)] | None = None
    """The current of calcium, in a domain of three dimensions: 0.1 pA brings 518 uM*um^3/s."""
    rate: Annotated[Quantity, quantity(AMOUNT_RATE)] | None = None
    """What it brings per time in place of a current: in uM*um^3/s, in two dimensions uM*um^2/s, in one uM*um/s."""
    field: Annotated[str, choice("cytosol", "er", "ip3")] = "cytosol"
    """What it brings: calcium of the cytosol or the ER, or IP3."""

    @model_validator(mode="after")
    def _keys(self) -> SourceTable:
        if self.at is None:
            PlaceTable._keys(self)  # type: ignore[operator]
        else:
            for key in ("centre", "radius", "min", "max", "region"):
                if getattr(self, key) is not None:
                    raise InputError(key, str(getattr(self, key)), "absent where at is given")
        if (self.current is None) == (self.rate is None):
            given = Missing() if self.current is None else str(self.current)
            raise InputError("current", given, "given, or rate: one of the two")
        if self.current is not None and self.field == "ip3":
            raise InputError("current", str(self.current), "absent for ip3, which has a rate")
        return self

    def check_dimension(self, dimension: int | None) -> None:
        """Refuse points of another dimension than the domain's, and units that do not fit it, where that is known."""
        super().check_dimension(dimension)
        if self.at is not None and dimension is not None and len(self.at) != dimension:
            raise InputError("at", [str(x) for x in self.at], f"{dimension} lengths, as the domain")
        if dimension is not None:
            self.strength(dimension)

    def strength(self, dimension: int) -> float:
        """Return what it brings per time, in uM um^d/s."""
        unit = f"uM*um^{dimension}/s"
        if self.rate is not None:
            try:
                return self.rate.value * conversion_factor(self.rate.unit, unit)
            except InputError as error:
                allowed = f"in a unit that converts to {unit}, in a domain of {dimension} dimension(s)"
                raise InputError("rate", str(self.rate), allowed) from error
        if self.current is None or dimension != 3:
            remedy = (
                f"Give rate in {unit}: the current over the extent of the domain in the directions that it has not."
            )
            raise InputError("current", str(self.current), "absent in a domain of fewer than three dimensions", remedy)
        return PER_PICOAMPERE * self.current.to("pA")


class Ip3Table(Table):
    """``[macro.ip3]``: IP3 as a field that diffuses and is degraded, in place of the number in the kinetics."""

    initial: Concentration | None = None
    """At the start; without it the ``ip3`` of the kinetics."""
    diffusivity_ratio: Annotated[float, number(above=0.0)] = 283.0 / 223.0
    """Its diffusivity over that of calcium to which the tensors of the cytosol belong; free calcium without it."""
    degradation: Annotated[Quantity, quantity(RATE, at_least=0.0)] | None = None
    """Rate of degradation; without it none."""
    rest: Concentration | None = None
    """The level that production and degradation keep; without it that of the start."""


class FileNames(Table):
    """``[macro.kinetics.names]``: how a file of kinetics names the concentrations."""

    cytosol: Annotated[str, text("a name in the file")] = Field(description="calcium of the cytosol, such as 'Ca'")
    er: Annotated[str, text("a name in the file")] = Field(description="calcium of the ER, such as 'CaER'")
    ip3: Annotated[str, text("a name in the file")] | None = None
    """IP3, if the file has it."""


class FileFlux(Table):
    """``[[macro.kinetics.fluxes]]``: a quantity of a file that is a flux through the membrane of the ER."""

    name: Annotated[str, text("a name in the file")] = Field(description="its name in the file, such as 'J_leak'")
    source: Annotated[str, choice("cytosol", "er")] = Field(description="where it comes from where it is > 0")
    target: Annotated[str, choice("cytosol", "er")] = Field(description="where it goes to")
    per: Annotated[str, choice("volume", "surface")] = "volume"
    """Of cytosol, or of the membrane."""
    unit: Annotated[str, text("a unit")] | None = None
    """Its unit, where the file does not say it: one that converts to uM/s or uM*um/s."""


FileFluxes = Annotated[tuple[FileFlux, ...], Check(stimuli(FileFlux, "fluxes"), says="a table, or a list of tables")]


def _region(value: Any) -> RegionTable:
    return parse_table(RegionTable, value, "")


Regions = Annotated[Mapping[str, RegionTable], tables_by_name(_region, "region")]
Fluxes = Annotated[tuple[FluxTable, ...], Check(stimuli(FluxTable, "fluxes"), says="a table, or a list of tables")]
Sources = Annotated[
    tuple[SourceTable, ...], Check(stimuli(SourceTable, "sources"), says="a table, or a list of tables")
]
