"""The shape ``blocks`` of the table ``[cell]``: rectangles (boxes in 3D), one letter each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from homfem.blocks.layout import layer_lengths, read_layout
from homfem.config.shapes.cell_table import CellTable, Period, sizes
from homfem.config.table import Check, choice, integer, lengths_of, number
from homfem.parameters import CellError, InputError, check_number
from homfem.quantities import LENGTH, Quantity

Layers = tuple[float, ...] | tuple[Quantity, ...]


def _layout(value: Any) -> tuple[Any, ...]:
    try:
        read_layout(value)
    except CellError as error:
        raise CellError("", value, error.allowed, error.remedy) from error
    return tuple(row if isinstance(row, str) else tuple(row) for row in value)


def _layers(value: Any) -> Layers:
    allowed = "a list of fractions of the period whose sum is 1, or a list of lengths"
    if not isinstance(value, (list, tuple)) or not value:
        raise InputError("", value, allowed)
    if any(isinstance(entry, str) for entry in value):
        return lengths_of(LENGTH, list(value), (len(value),), allowed)
    return tuple(check_number(f"[{k}]", entry, above=0.0, at_most=1.0) for k, entry in enumerate(value))


LayersOf = Annotated[Layers, Check(_layers, says="a list of fractions of the period whose sum is 1, or of lengths")]


class Blocks(CellTable):
    """Rectangular blocks, or boxes, of any widths and heights: the media of March, Carr and Turner."""

    maker = "homfem.cells:blocks"
    meshless_runner = "homfem.runs.meshless:solve_blocks"

    shape: Annotated[str, choice("blocks")]
    layout: Annotated[tuple[Any, ...], Check(_layout, says="a list of strings, in 3D a list of such lists")] = Field(
        description="a list of strings, one letter per block, the first being the top row, such as ['LDD', 'LLD']"
    )
    widths: LayersOf | None = None
    """Widths of the columns."""
    heights: LayersOf | None = None
    """Heights of the rows, the first being the top one."""
    depths: LayersOf | None = None
    """Depths of the layers in three dimensions."""
    period: Period | None = None
    """The period: one length, or one per axis."""
    resolution: Annotated[float, number(above=0.0, at_most=1.0 / 3.0)] | None = None
    """Size of the mesh cells as a fraction of the shortest period."""
    dimension: Annotated[int, integer(at_least=2, at_most=3)] | None = None
    """As the layout has it."""

    @model_validator(mode="after")
    def _fits(self) -> Blocks:
        d = self.known_dimension
        if self.dimension not in (None, d):
            raise InputError("dimension", self.dimension, f"{d}: the layout has {d} dimensions")
        if self.period is not None and len(self.period) not in (1, d):
            raise InputError("period", [str(p) for p in self.period], f"one length, or {d}, one per axis")
        given = {name: getattr(self, name) for name in ("widths", "heights", "depths")[:d]}
        lengths = [name for name, value in given.items() if value and isinstance(value[0], Quantity)]
        if lengths and self.period is not None:
            raise InputError("period", [str(p) for p in self.period], f"absent where {lengths[0]} are lengths")
        for name, value in given.items():
            if lengths and name not in lengths:
                raise InputError(name, value, f"lengths, as {lengths[0]}", "Give lengths for all axes, or for none.")
        self.parts()
        return self

    def parts(self) -> list[np.ndarray]:
        """Return fractions of the period along each axis, from the origin; refuse what does not fit."""
        shares: dict[str, list[float] | None] = {}
        for name in ("widths", "heights", "depths"):
            value = getattr(self, name)
            if value and isinstance(value[0], Quantity):
                total = sum(entry.value for entry in value)
                shares[name] = [entry.value / total for entry in value]
            else:
                shares[name] = None if value is None else list(value)
        return layer_lengths(read_layout(self.layout)[0].shape, **shares)

    @property
    def periods(self) -> tuple[Quantity, ...]:
        """The length of each period."""
        d = self.known_dimension
        if self.widths and isinstance(self.widths[0], Quantity):
            axes = [getattr(self, name) for name in ("widths", "heights", "depths")[:d]]
            unit = self.widths[0].unit
            return tuple(Quantity(sum(entry.to(unit) for entry in axis), unit) for axis in axes)
        given = self.period or (Quantity(1.0, "m"),)
        return given if len(given) == d else given * d

    @property
    def known_phases(self) -> tuple[str, ...]:
        """The letters."""
        return read_layout(self.layout)[1]

    @property
    def known_dimension(self) -> int:
        """Two for strings, three for lists of strings."""
        return read_layout(self.layout)[0].ndim

    @property
    def methods(self) -> tuple[str, ...]:
        """Those of :mod:`homfem.blocks`, in two dimensions."""
        from homfem.blocks.effective import METHODS

        return METHODS if self.known_dimension == 2 else ()

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the maker."""
        parts = [part if axis == 0 else part[::-1] for axis, part in enumerate(self.parts())]
        names = ("widths", "heights", "depths")
        given = {name: part for name, part in zip(names, parts, strict=False) if getattr(self, name) is not None}
        return {"layout": self.layout, **given, **sizes(self.periods, self.resolution)}


TABLES: Mapping[str, type[CellTable]] = {"blocks": Blocks}
