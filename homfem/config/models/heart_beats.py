"""Tables of what surrounds a cardiac run: pacing of the membrane before it, electrodes of an electrocardiogram."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from homfem.config.table import Check, Missing, Table, integer, quantity, tables_by_name
from homfem.parameters import InputError
from homfem.quantities import AREA, CONDUCTIVITY, LENGTH, TIME, Quantity, parse_quantity


class PacingTable(Table):
    """``[macro.membrane.pacing]``: single cells are paced first, and the tissue starts as they then are."""

    cycle_length: Annotated[Quantity, quantity(TIME, above=0.0)]
    """Time from one stimulus to the next."""
    beats: Annotated[int, integer(at_least=1, at_most=100_000)] | None = None
    """How many; without it until beats repeat, to 1e-5 of every state."""


def _electrode(value: Any) -> tuple[Quantity, ...]:
    if not isinstance(value, (list, tuple)) or len(value) not in (1, 2, 3):
        raise InputError("", value, "a list of 1 to 3 lengths, one per axis")
    return tuple(parse_quantity(f"[{k}]", entry, LENGTH) for k, entry in enumerate(value))


def _section(value: Any) -> Quantity:
    try:
        return parse_quantity("", value, LENGTH, above=0.0)
    except InputError:
        return parse_quantity("", value, AREA, above=0.0)


class EcgTable(Table):
    """``[macro.ecg]``: an electrocardiogram: the tissue lies in a conductor that fills space."""

    electrodes: Annotated[Mapping[str, tuple[Quantity, ...]], tables_by_name(_electrode, "electrode")] = Field(
        description="places by name, such as RA = ['-60 mm', '40 mm', '0 mm']"
    )
    conductivity: Annotated[Quantity, quantity(CONDUCTIVITY, above=0.0)] = Quantity(0.2, "S/m")
    """Conductivity of what is around."""
    section: Annotated[Quantity, Check(_section, says="a length in 2D, an area in 1D")] | None = None
    """Of a sheet its thickness, of a cable the area of its section."""

    @model_validator(mode="after")
    def _some(self) -> EcgTable:
        for name in self.electrodes:
            if name in (".", "time") or "/" in name:
                raise InputError("electrodes", name, "a name without '/', and not 'time' or '.'")
        return self

    def check(self, dimension: int | None) -> None:
        """Refuse a section that the dimension of the tissue does not have, and the lack of one."""
        if dimension is None:
            return
        if (self.section is None) != (dimension == 3):
            given = Missing() if self.section is None else str(self.section)
            allowed = {1: "given: the area of the section", 2: "given: the thickness", 3: "absent in 3D"}[dimension]
            raise InputError("section", given, allowed)
        if self.section is not None:
            kind = AREA if dimension == 1 else LENGTH
            parse_quantity("section", f"{self.section.value!r} {self.section.unit}", kind)

    def places(self) -> dict[str, list[float]]:
        """Return the electrodes in mm."""
        return {name: [x.to("mm") for x in at] for name, at in self.electrodes.items()}
