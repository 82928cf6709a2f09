"""The table of the layers of a wall, in ``[macro.domain]``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from homfem.config.table import Check, Table, parse_table, refuse_unknown
from homfem.parameters import InputError, check_number


def names_of(value: Any) -> tuple[str, ...]:
    """Return names of regions or boundaries."""
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        raise InputError("", value, 'a list of names, such as ["left", "right"]')
    return tuple(value)


def _parts(value: Any) -> dict[str, float]:
    allowed = "a table of layers from the inside out with their parts of the depth, such as { endo = 0.4, epi = 0.6 }"
    if not isinstance(value, dict) or not value:
        raise InputError("", value, allowed)
    parts = {name: check_number(name, part, above=0.0, at_most=1.0) for name, part in value.items()}
    if not math.isclose(sum(parts.values()), 1.0, rel_tol=1e-6):
        raise InputError("", value, f"parts of the depth that sum to 1; these sum to {sum(parts.values()):g}")
    return parts


class LayersTable(Table):
    """Layers of the wall as regions, by the depth in it: Laplace's equation between its inner and its outer surface."""

    parts: Annotated[Mapping[str, float], Check(_parts, says="a table of layers, each with its part of the depth")]
    """By name the part of the depth that each layer has, from the inside out; they sum to 1."""
    inner: Annotated[tuple[str, ...], Check(names_of, says="a list of names of boundaries")] | None = None
    """The boundaries on the inside; without it `lv` and `rv`, or `endo`."""
    outer: Annotated[tuple[str, ...], Check(names_of, says="a list of names of boundaries")] | None = None
    """The boundaries on the outside; without it `epi`."""
    within: Annotated[tuple[str, ...], Check(names_of, says="a list of names of regions")] | None = None
    """The regions that are the wall, others stay; without it the whole domain."""


#: Keys of a table of layers that are no names of layers.
_OF_LAYERS = {*LayersTable.model_fields, "method"}


def _parse(value: Any) -> LayersTable:
    """Return the table of layers; one of numbers alone holds the parts."""
    if not isinstance(value, dict):
        raise InputError("", value, "a table of layers, such as { endo = 0.3, mid = 0.4, epi = 0.3 }")
    if value.get("method", "transmural") != "transmural":
        raise InputError("method", value["method"], "'transmural'; layers by markers are the regions of the mesh file")
    if {"endo_size", "epi_size"} & value.keys():  # words of others
        refuse_unknown("", value, ["method", "endo_size", "epi_size", *LayersTable.model_fields])
        sizes = [check_number(f"{n}_size", value.get(f"{n}_size", 0.3), above=0.0, below=1.0) for n in ("endo", "epi")]
        if sum(sizes) >= 1.0:
            raise InputError("epi_size", sizes[1], f"less than what endo_size = {sizes[0]:g} leaves of 1")
        rest = {key: entry for key, entry in value.items() if key in LayersTable.model_fields}
        value = rest | {"parts": {"endo": sizes[0], "mid": 1.0 - sum(sizes), "epi": sizes[1]}}
    elif not _OF_LAYERS & value.keys() or any(isinstance(entry, (int, float)) for entry in value.values()):
        return LayersTable.model_construct(parts=_parts(value))
    return parse_table(LayersTable, {key: entry for key, entry in value.items() if key != "method"}, "")


#: The validator of such a table.
LAYERS = Check(_parse, says="a table of layers", schema={"type": "object"})
