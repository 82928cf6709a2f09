"""The tables ``[[macro.probes]]``: named points and regions in which a model's fields are kept over time."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import model_validator

from homfem.config.table import Check, Missing, Table, keys_from, lengths, listed, parse_table, text
from homfem.parameters import InputError, check_choice
from homfem.quantities import LENGTH, Quantity, parse_quantity

#: Names that the files of probes have a use for: the series of times, and the group that a name would be in.
RESERVED = ("time", ".")

#: What is kept of a region.
QUANTITIES = ("mean", "minimum", "maximum", "integral")
#: Stands for the whole domain.
EVERYWHERE = "*"

_AT = "a list of 1 to 3 lengths, one per axis"


_QUANTITY = " or ".join(f'"{name}"' for name in QUANTITIES) + ", or a list of them"

_SCHEMA = {"anyOf": [{"enum": list(QUANTITIES)}, {"type": "array", "items": {"enum": list(QUANTITIES)}, "minItems": 1}]}


def _quantities(value: Any) -> tuple[str, ...] | str:
    if isinstance(value, str):
        return check_choice("", value, QUANTITIES)
    if not isinstance(value, (list, tuple)) or not value or len(set(map(str, value))) < len(value):
        raise InputError("", value, f"{_QUANTITY} without repeats")
    return tuple(check_choice(f"[{k}]", entry, QUANTITIES) for k, entry in enumerate(value))


class ProbeTable(Table):
    """One probe: a point, or a region of which mean, extrema (and where they are) and integral are kept."""

    name: Annotated[str, text("the name of a probe")]
    """Its name in the result."""
    at: (
        Annotated[tuple[Quantity, ...], listed(lambda value: parse_quantity("", value, LENGTH), (1, 2, 3), _AT)] | None
    ) = None
    """Where it is; either this or a region is given."""
    region: Annotated[str, text("the name of a region of the domain")] | None = None
    """The region of the domain, or `"*"` for all of it."""
    quantity: Annotated[tuple[str, ...] | str, Check(_quantities, says=_QUANTITY, schema=_SCHEMA)] | None = None
    """What is kept of the region; all by default, and with a quantity and no region it is that of the whole domain."""

    @model_validator(mode="after")
    def _names(self) -> ProbeTable:
        if "/" in self.name or self.name in RESERVED:
            raise InputError("name", self.name, f"a name without '/', and not {' or '.join(map(repr, RESERVED))}")
        return self

    @model_validator(mode="after")
    def _one(self) -> ProbeTable:
        if self.at is not None and self.quantity is not None:
            raise InputError("quantity", self.quantity, "absent beside at: it is of regions")
        nowhere = self.at is None and self.region is None and self.quantity is None
        if nowhere or (self.at is not None and self.region is not None):
            given = Missing() if nowhere else "beside region"
            raise InputError("at", given, "given, or region, not both: a list of lengths, or the name of a region")
        return self

    @property
    def place(self) -> str | None:
        """The region, ``"*"`` for all of the domain; None for a point."""
        return None if self.at is not None else self.region or EVERYWHERE

    @property
    def kept(self) -> tuple[str, ...]:
        """The quantities that are kept of the region."""
        if self.quantity is None:
            return QUANTITIES
        return (self.quantity,) if isinstance(self.quantity, str) else self.quantity

    def point(self, unit: str) -> list[float]:
        """Return the coordinates of a point in a unit of length."""
        return [entry.to(unit) for entry in self.at or ()]


def parse_probes(value: Any) -> tuple[ProbeTable, ...]:
    """Return the validated probes, whose names differ; raise :class:`InputError` for anything wrong in them."""
    if not isinstance(value, list):
        raise InputError("", value, "a list of tables, each as [[macro.probes]] with name and at or region")
    probes: list[ProbeTable] = []
    for k, entry in enumerate(value):
        with keys_from({"": f"[{k}]"}, f"[{k}]"):
            probe = parse_table(ProbeTable, entry, "")
            if any(probe.name == other.name for other in probes):
                raise InputError("name", probe.name, "a name that no other probe has")
        probes.append(probe)
    return tuple(probes)


def check_dimension(probes: tuple[ProbeTable, ...], dimension: int | None) -> None:
    """Refuse points of another dimension than the domain's, if that is known."""
    for k, probe in enumerate(probes):
        if dimension is not None and probe.at is not None and len(probe.at) != dimension:
            given = [str(entry) for entry in probe.at]
            raise InputError(f"probes[{k}].at", given, f"{lengths(dimension)}, as the domain")
