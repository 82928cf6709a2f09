"""Cells of rectangular blocks (boxes in space)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homfem.blocks.layout import layer_lengths, read_layout
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.shapes.box_grid import block_array_raw
from homfem.meshing.shapes.painted import axis_periods
from homfem.meshing.shapes.plan import CellPlan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Blocks:
    """Rectangular blocks, as the parameters of :func:`homfem.cells.blocks` say."""

    layout: Any
    widths: Sequence[float] | None
    heights: Sequence[float] | None
    depths: Sequence[float] | None
    resolution: float
    grading: float
    growth: float
    period: float | Sequence[float]
    length_unit: str


def blocks_plan(given: Blocks) -> CellPlan:
    """Plan the cell of a description: its numbers are checked, nothing is meshed."""
    labels, letters = read_layout(given.layout)
    periods = axis_periods(given.period, labels.ndim)
    lengths = layer_lengths(labels.shape, given.widths, given.heights, given.depths)

    def make() -> RawCell:
        scale = periods / periods.min()
        return block_array_raw(
            labels + 1,
            {letter: number for number, letter in enumerate(letters, start=1)},
            [part * factor for part, factor in zip(lengths, scale, strict=True)],
            resolution=given.resolution,
            grading=given.grading,
            growth=given.growth,
            length_unit=given.length_unit,
        )

    return CellPlan(
        make=make, name="blocks", length=float(periods.min()), length_unit=given.length_unit, conforming=True
    )
